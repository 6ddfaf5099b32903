#pragma once
#include <array>
#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

namespace sanctuary {

/// Where a task stands.
enum class TaskStatus : std::uint8_t { pending, running, done, failed, rejected, interrupted };
/// As ledger and tables have them, by value.
inline constexpr std::array<std::string_view, 6> task_status_names{"pending", "running",  "done",
                                                                   "failed",  "rejected", "interrupted"};

/// A piece of work as the scheduler sees it: what it waits for, how wide it runs, how long it may take.
struct TaskNode {
  long parent = -1;     ///< task whose result must be durable first; -1: none
  int width = 1;        ///< ranks; one of the scheduler's widths
  double expected = 1;  ///< [s], for the order alone
  int crashes = 0;      ///< times it was in flight when a run died
};

/// Decides which task runs next and on which ranks. Knows no MPI and no clock, so that a simulation drives it as well
/// as the coordinator does. Longest expected first, but children of what has finished come before new roots: few
/// parents are open at a time. While few roots are left the longest of both comes first, so that what is short fills
/// the end. Workers are numbered from 0; a task of width w takes an aligned block of w of them. Blocks are kept for
/// wide tasks while there are any that could run, so that narrow ones cannot starve them. What was in flight at a crash
/// runs after all others, an eighth of the groups at a time; what was in flight twice runs alone.
class Scheduler {
 public:
  /// `widths` rise and each divides the next; `workers` at least the widest, those beyond a whole block stay idle.
  Scheduler(int workers, std::vector<int> widths);

  /// Adds a task and returns its number, the count of those before it; parents before children. At most 2^31 - 1.
  long add(const TaskNode& node);
  /// Takes over what an earlier run settled, before `start`.
  void restore(long task, TaskStatus status);
  /// How often a task was in flight when a run died, before `start`.
  void set_crashes(long task, int crashes);
  /// Makes ready what can run, after the first tasks were added; tasks that are added later need no call.
  void start();

  /// Roots per group from where on they compete with children; so many and one more parents may be open per group.
  static constexpr int last_roots = 4;

  struct Assignment {
    long task = -1;
    int first_worker = 0, width = 1;
  };
  /// Gives the next task that can run now to workers that are free; false if there is none.
  [[nodiscard]] bool next(Assignment& assignment);
  /// The workers of a task are free again; its children wait until it is `settled`.
  void released(long task);
  /// What became of a released task is durable. Only children of a `done` task become ready; the caller settles others.
  void settled(long task, TaskStatus status);
  /// Settles a task that never ran, such as a child of a failed one.
  void dropped(long task, TaskStatus status);
  /// New expectation of a pending task [s]; takes effect with `reorder`.
  void expect(long task, double seconds);
  /// Orders what is ready by the present expectations. Linear in the number of ready tasks.
  void reorder();

  [[nodiscard]] TaskStatus status(long task) const { return at(task).status; }
  [[nodiscard]] long parent(long task) const { return at(task).parent; }
  [[nodiscard]] double expected(long task) const { return at(task).expected; }
  [[nodiscard]] int crashes(long task) const { return at(task).crashes; }
  [[nodiscard]] int width(long task) const { return widths_[at(task).level]; }
  /// First child of a task and the next child of the same parent; -1: none.
  [[nodiscard]] long first_child(long task) const { return at(task).first_child; }
  [[nodiscard]] long next_sibling(long task) const { return at(task).next_sibling; }

  [[nodiscard]] long tasks() const { return static_cast<long>(records_.size()); }
  /// Tasks that have not started, and those that have and are not settled.
  [[nodiscard]] long pending() const { return pending_; }
  [[nodiscard]] long running() const { return running_; }
  /// Blocks of the narrowest width.
  [[nodiscard]] int groups() const { return workers_ / widths_.front(); }
  [[nodiscard]] int idle_workers() const { return idle_; }
  [[nodiscard]] const std::vector<int>& widths() const { return widths_; }

 private:
  struct Record {
    std::int32_t parent = -1, first_child = -1, next_sibling = -1;
    float expected = 0;
    std::int32_t first_worker = -1;
    std::uint8_t level = 0, crashes = 0;
    TaskStatus status = TaskStatus::pending;
    bool ready = false;
  };
  struct Entry {
    float urgency;
    std::int32_t task;
    bool operator<(const Entry& other) const {
      return urgency != other.urgency ? urgency < other.urgency : task > other.task;
    }
  };
  enum Tier : std::size_t { child = 0, root = 1, suspect = 2, alone = 3, tiers = 4 };
  struct Level {
    std::set<int> free;                           // blocks
    std::vector<int> busy;                        // workers of each block
    std::array<std::vector<Entry>, tiers> ready;  // heaps
    std::vector<char> held;                       // blocks on which a task of this level runs
    long released = 0;                            // tasks that ended and are not settled
  };

  [[nodiscard]] const Record& at(long task) const { return records_[static_cast<std::size_t>(task)]; }
  [[nodiscard]] Record& at(long task) { return records_[static_cast<std::size_t>(task)]; }
  [[nodiscard]] static Tier tier_of(const Record& record);
  [[nodiscard]] Entry entry_of(long task) const;
  void make_ready(long task);
  void make_ready_if_possible(long task);
  [[nodiscard]] bool take_longest(std::size_t level, Assignment& assignment);
  void mark(int first, int width, bool busy);
  [[nodiscard]] int free_block(std::size_t level, bool reserve) const;
  [[nodiscard]] bool take(std::size_t level, Tier tier, bool reserve, Assignment& assignment);

  int workers_, idle_;
  std::vector<int> widths_;
  std::vector<Level> levels_;
  std::vector<Record> records_;
  long pending_ = 0, running_ = 0, suspects_running_ = 0;
  bool started_ = false;
};

}  // namespace sanctuary
