#pragma once
#include <mpi.h>

#include <functional>
#include <string>
#include <string_view>

#include "cohort/scheduler.hpp"

namespace sanctuary {

/// How the work of a pool stands.
struct PoolState {
  double elapsed = 0;  ///< [s] since the first order
  double busy = 0;     ///< [rank s] spent on tasks, those that run included
  int workers = 0;     ///< ranks that work
  long finished = 0;   ///< tasks that came to an end in this run
  /// Share of the workers' time that went into tasks.
  [[nodiscard]] double efficiency() const { return elapsed > 0 && workers > 0 ? busy / (elapsed * workers) : 1; }
};

/// What a group does with an order: runs on all its ranks, and what its rank 0 returns goes back to the coordinator.
/// `stop_requested` is true on some rank when the work shall be saved and given back. Must not throw; collective on
/// `group`.
using PoolWork =
    std::function<std::string(MPI_Comm group, std::string_view order, const std::function<bool()>& stop_requested)>;

/// What the coordinator does; called on rank 0 alone. Any of them may throw: the running tasks are then told to stop
/// and every rank throws.
struct PoolBook {
  /// Bytes that tell a group what to do; the task counts as in flight from here.
  std::function<std::string(long task)> order;
  /// Takes a report and says what became of the task. `interrupted` asks the whole pool to stop.
  std::function<TaskStatus(long task, std::string_view report, double seconds)> finished;
  /// Makes durable what `order` and `finished` wrote.
  std::function<void()> commit;
  /// Called after the commit, when the scheduler knows.
  std::function<void(long task, TaskStatus status)> settled;
  /// True: hand out nothing more, have what runs saved.
  std::function<bool()> stop_requested;
  /// Called once what is in flight has no part in it should the program die: the pool is stopping and all came back, or
  /// it has been stopping for a minute. Not before: a launcher that lost a rank asks the others to stop, too, and kills
  /// them some time later, so that only what does not come back tells a crash from a stop. A pool that is killed sooner
  /// than its tasks can stop blames them. Must not throw.
  std::function<void()> excuse;
  /// Called a few times a second.
  std::function<void(const PoolState&)> progress;
};

/// Works through the tasks of a scheduler. Rank 0 of `comm` coordinates: it sleeps between messages, so that a rank
/// more than cores costs nothing; the others form groups as wide as their tasks. A single rank does both in turn.
/// Returns true when every task is settled, false when stopped. `scheduler` and `book` count on rank 0. Collective.
bool run_pool(MPI_Comm comm, const std::vector<int>& widths, Scheduler* scheduler, const PoolBook* book,
              const PoolWork& work, PoolState* state = nullptr);

/// Ranks that work where `ranks` are there: all but the coordinator, or the only one.
[[nodiscard]] constexpr int pool_workers(int ranks) { return ranks > 1 ? ranks - 1 : 1; }

}  // namespace sanctuary
