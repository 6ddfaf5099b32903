#include "cohort/task_pool.hpp"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <map>
#include <utility>
#include <vector>

#include "base/comm.hpp"
#include "base/error.hpp"

namespace sanctuary {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int order_tag = 1, report_tag = 2, stop_tag = 3;
constexpr double commit_interval = 0.05, progress_interval = 0.25;  // [s]
// For how long a launcher that lost a rank may leave the others after it told them to stop. Usual: 30 s (srun,
// KillWait), 10 s (Open MPI under jobs/env.sh). [s]
constexpr double launchers_patience = 60;
constexpr int most_at_once = 1000;  // reports or orders before anything else is done

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Sleeps an eighth of the time for which nothing has happened, 20 us at least and 1 ms at most: what comes soon does
/// not wait long for a sleeper, and one that waits for long costs no processor.
class Patience {
 public:
  void reset() { last_ = Clock::now(); }
  void wait() const {
    const timespec span{0, std::clamp(static_cast<long>(1e9 / 8 * seconds_since(last_)), 20'000L, 1'000'000L)};
    (void)nanosleep(&span, nullptr);
  }

 private:
  Clock::time_point last_ = Clock::now();
};

/// Communicators of the blocks of each width that hold this rank.
class Groups {
 public:
  Groups(MPI_Comm workers, const std::vector<int>& widths) {
    const int rank = rank_of(workers), size = size_of(workers);
    for (const int width : widths) {
      const int block = rank / width;
      const bool whole = (block + 1) * width <= size;
      MPI_Comm group = MPI_COMM_NULL;
      MPI_Comm_split(workers, whole ? block : MPI_UNDEFINED, rank, &group);
      groups_[width] = group;
    }
  }
  ~Groups() {
    for (auto& [width, group] : groups_) {
      if (group != MPI_COMM_NULL) MPI_Comm_free(&group);
    }
  }
  Groups(const Groups&) = delete;
  Groups& operator=(const Groups&) = delete;
  [[nodiscard]] MPI_Comm of(int width) const { return groups_.at(width); }

 private:
  std::map<int, MPI_Comm> groups_;
};

class OwnedComm {
 public:
  explicit OwnedComm(MPI_Comm comm) : comm_(comm) {}
  ~OwnedComm() {
    if (comm_ != MPI_COMM_NULL) MPI_Comm_free(&comm_);
  }
  OwnedComm(const OwnedComm&) = delete;
  OwnedComm& operator=(const OwnedComm&) = delete;
  [[nodiscard]] MPI_Comm get() const { return comm_; }

 private:
  MPI_Comm comm_;
};

/// The head of an order; task -1: go home.
struct Head {
  long task;
  int width, first_worker;
};

void send_order(MPI_Comm comm, int to, const Head& head, std::string_view order) {
  std::string message(sizeof head, '\0');
  std::memcpy(message.data(), &head, sizeof head);
  message += order;
  MPI_Send(message.data(), static_cast<int>(message.size()), MPI_BYTE, to, order_tag, comm);
}

bool try_receive(MPI_Comm comm, int from, int tag, std::string& bytes, int& source, int& found_tag) {
  // Not MPI_Improbe: between nodes, Open MPI 4.1 over libfabric fails in MPI_Mrecv. A rank has one thread, so that what
  // was probed is what is received.
  int there = 0;
  MPI_Status status;
  MPI_Iprobe(from, tag, comm, &there, &status);
  // The first look may do no more than take from the network what the second one finds (Open MPI 4).
  if (!there) MPI_Iprobe(from, tag, comm, &there, &status);
  if (!there) return false;
  source = status.MPI_SOURCE;
  found_tag = status.MPI_TAG;
  int size = 0;
  MPI_Get_count(&status, MPI_BYTE, &size);
  bytes.resize(static_cast<std::size_t>(size));
  MPI_Recv(bytes.data(), size, MPI_BYTE, source, found_tag, comm, MPI_STATUS_IGNORE);
  return true;
}

/// Waits for orders and carries them out until sent home. Worker w is rank w + 1 of `comm`.
void serve(MPI_Comm comm, const Groups& groups, const PoolWork& work) {
  const int worker = rank_of(comm) - 1;
  Patience patience;
  for (;;) {
    std::string bytes;
    int source = 0, tag = 0;
    if (!try_receive(comm, MPI_ANY_SOURCE, MPI_ANY_TAG, bytes, source, tag)) {
      patience.wait();
      continue;
    }
    patience.reset();
    if (tag != order_tag) continue;  // a stop that came too late
    Head head{};
    std::memcpy(&head, bytes.data(), sizeof head);
    if (head.task < 0) return;
    const std::string_view order = std::string_view(bytes).substr(sizeof head);
    // Down a binomial tree: member m has it from m less its highest bit.
    const int member = worker - head.first_worker;
    for (int step = 1; step < head.width; step *= 2) {
      if (member < step && member + step < head.width)
        send_order(comm, head.first_worker + member + step + 1, head, order);
    }
    bool stop = false;
    const auto stop_requested = [&] {
      std::string ignored;
      if (!stop && member == 0 && try_receive(comm, 0, stop_tag, ignored, source, tag)) stop = true;
      return stop;
    };
    const std::string report = work(groups.of(head.width), order, stop_requested);
    if (member == 0) MPI_Send(report.data(), static_cast<int>(report.size()), MPI_BYTE, 0, report_tag, comm);
  }
}

class Coordinator {
 public:
  Coordinator(MPI_Comm comm, Scheduler& scheduler, const PoolBook& book, const PoolWork& work)
      : comm_(comm), alone_(size_of(comm) == 1), scheduler_(scheduler), book_(book), work_(work) {
    state_.workers = scheduler_.groups() * scheduler_.widths().front();
    flights_.resize(static_cast<std::size_t>(pool_workers(size_of(comm))));
  }

  /// True when all is settled; rethrows what the book threw once nothing runs any more.
  bool run() {
    Patience patience;
    for (;;) {
      bool moved = false;
      attempt([&] { moved |= take_reports(); });
      attempt([&] {
        if (!stopping_ && book_.stop_requested && book_.stop_requested()) begin_to_stop();
      });
      bool handed = false;
      attempt([&] { handed = hand_out(); });
      // Before a commit that may take long.
      if (stopping_ && (in_flight_ == 0 || seconds_since(stop_began_) > launchers_patience)) excuse();
      attempt([&] { moved |= commit_if_due(!handed && in_flight_ == 0); });
      moved |= handed;
      attempt([&] { show(); });
      if (in_flight_ == 0 && awaiting_.empty() && (stopping_ || scheduler_.pending() == 0)) break;
      if (moved) {
        patience.reset();
      } else {
        patience.wait();
      }
    }
    show(true);
    if (failure_) excuse();
    if (failure_) std::rethrow_exception(failure_);
    return scheduler_.pending() == 0 && !stopping_;
  }

  [[nodiscard]] const PoolState& state() const { return state_; }

 private:
  struct Flight {
    long task = -1;
    int width = 0;
    double start = 0;  // [s] since the first order
  };

  /// What the book throws stops the pool; the first failure is the one that is told.
  template <class Work>
  void attempt(const Work& work) {
    try {
      work();
    } catch (...) {
      if (!failure_) failure_ = std::current_exception();
      awaiting_.clear();
      unwritten_ = false;
      begin_to_stop();
    }
  }

  void begin_to_stop() {
    if (stopping_) return;
    stopping_ = true;
    stop_began_ = Clock::now();
    for (std::size_t leader = 0; !alone_ && leader < flights_.size(); ++leader) {
      if (flights_[leader].task >= 0) MPI_Send(nullptr, 0, MPI_BYTE, static_cast<int>(leader) + 1, stop_tag, comm_);
    }
  }

  void excuse() {
    if (!excused_ && book_.excuse) book_.excuse();
    excused_ = true;
  }

  void begin_flight(const Scheduler::Assignment& a) {
    if (!begun_) begin_ = Clock::now();
    begun_ = true;
    const Flight flight{a.task, a.width, seconds_since(begin_)};
    flights_[static_cast<std::size_t>(a.first_worker)] = flight;
    ++in_flight_;
    flying_ += flight.width;
    starts_ += flight.width * flight.start;
  }
  /// The seconds that it took.
  double end_flight(std::size_t leader) {
    const Flight flight = std::exchange(flights_[leader], {});
    --in_flight_;
    flying_ -= flight.width;
    starts_ = in_flight_ == 0 ? 0 : starts_ - flight.width * flight.start;
    scheduler_.released(flight.task);
    return seconds_since(begin_) - flight.start;
  }

  void take(std::size_t leader, std::string_view report) {
    const long task = flights_[leader].task;
    const int width = flights_[leader].width;
    const double seconds = end_flight(leader);
    state_.busy += seconds * width;
    ++state_.finished;
    if (failure_) return;  // it is run again
    note_unwritten();
    const TaskStatus status = book_.finished(task, report, seconds);
    awaiting_.emplace_back(task, status);
    parent_awaits_ |= status == TaskStatus::done && scheduler_.first_child(task) >= 0;
    if (status == TaskStatus::interrupted) begin_to_stop();
  }

  bool take_reports() {
    std::string bytes;
    int source = 0, tag = 0, count = 0;
    while (!alone_ && count < most_at_once && try_receive(comm_, MPI_ANY_SOURCE, report_tag, bytes, source, tag)) {
      ++count;
      take(static_cast<std::size_t>(source - 1), bytes);
    }
    return count > 0;
  }

  bool hand_out() {
    bool any = false;
    Scheduler::Assignment a;
    for (int count = 0; count < most_at_once && !stopping_ && scheduler_.next(a); ++count) {
      any = true;
      begin_flight(a);
      const auto leader = static_cast<std::size_t>(a.first_worker);
      std::string order;
      note_unwritten();
      try {
        order = book_.order(a.task);
        if (alone_ && seconds_since(committed_) >= commit_interval) commit();  // nothing can while it works
      } catch (...) {
        (void)end_flight(leader);
        throw;
      }
      if (alone_) {
        const auto stop = [&] { return book_.stop_requested && book_.stop_requested(); };
        take(leader, work_(MPI_COMM_SELF, order, stop));
        break;  // commits and progress come between tasks
      }
      send_order(comm_, a.first_worker + 1, {a.task, a.width, a.first_worker}, order);
    }
    return any;
  }

  /// The book takes something that the next commit makes durable.
  void note_unwritten() {
    if (!unwritten_) oldest_ = Clock::now();
    unwritten_ = true;
  }

  // At once where an idle group waits for it; workers without work that no commit brings do not count. Orders alone are
  // committed by the clock: a reader of the ledger sees what runs, and no transaction stays open while tasks take
  // hours.
  bool commit_if_due(bool nothing_runs) {
    if (!unwritten_) return false;
    const bool someone_waits = parent_awaits_ && scheduler_.idle_workers() > 0;
    const bool at_once = !awaiting_.empty() && (someone_waits || nothing_runs || stopping_);
    if (!at_once && seconds_since(oldest_) < commit_interval) return false;
    commit();
    return true;
  }

  void commit() {
    book_.commit();
    committed_ = Clock::now();
    parent_awaits_ = unwritten_ = false;
    std::vector<std::pair<long, TaskStatus>> durable;
    durable.swap(awaiting_);
    for (const auto& [task, status] : durable) {
      scheduler_.settled(task, status);
      if (book_.settled) book_.settled(task, status);
    }
  }

  void show(bool last = false) {
    if (!begun_ || (!last && seconds_since(shown_) < progress_interval)) return;
    shown_ = Clock::now();
    PoolState now = state_;
    now.elapsed = state_.elapsed = seconds_since(begin_);
    now.busy += now.elapsed * flying_ - starts_;
    if (book_.progress) book_.progress(now);
  }

  MPI_Comm comm_;
  bool alone_;
  Scheduler& scheduler_;
  const PoolBook& book_;
  const PoolWork& work_;
  std::vector<Flight> flights_;     // of the groups that a worker leads
  long in_flight_ = 0;              // groups at work,
  double flying_ = 0, starts_ = 0;  // their ranks, and the sum of their starts over these [rank s]
  std::vector<std::pair<long, TaskStatus>> awaiting_;
  Clock::time_point oldest_, committed_, begin_, shown_, stop_began_;
  bool begun_ = false, stopping_ = false, excused_ = false;
  bool unwritten_ = false;      // since `oldest_`
  bool parent_awaits_ = false;  // of a task that can start after the commit
  std::exception_ptr failure_;
  PoolState state_;
};

}  // namespace

bool run_pool(MPI_Comm comm, const std::vector<int>& widths, Scheduler* scheduler, const PoolBook* book,
              const PoolWork& work, PoolState* state) {
  MPI_Comm copy = MPI_COMM_NULL, part = MPI_COMM_NULL;
  MPI_Comm_dup(comm, &copy);
  const OwnedComm own(copy);
  const bool coordinates = rank_of(comm) == 0;
  MPI_Comm_split(comm, coordinates ? 0 : 1, rank_of(comm), &part);
  const OwnedComm workers(part);
  int all_done = 0;
  const auto coordinate = [&] {
    Coordinator coordinator(own.get(), *scheduler, *book, work);
    std::exception_ptr failure;
    try {
      all_done = coordinator.run() ? 1 : 0;
    } catch (...) {
      failure = std::current_exception();
    }
    for (int r = 1; r < size_of(comm); ++r) send_order(own.get(), r, {-1, 0, 0}, {});
    if (state) *state = coordinator.state();
    if (failure) std::rethrow_exception(failure);
  };
  if (!coordinates) {
    const Groups groups(workers.get(), widths);
    serve(own.get(), groups, work);
  }
  on_root(comm, coordinate);
  MPI_Bcast(&all_done, 1, MPI_INT, 0, comm);
  return all_done != 0;
}

}  // namespace sanctuary
