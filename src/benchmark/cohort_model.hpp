#pragma once
#include <cstdint>
#include <vector>

namespace sanctuary {

/// Tasks of a pool with the time that each takes and the time that is expected of it.
struct TaskLoad {
  std::vector<double> seconds, expected;
  std::vector<std::int32_t> parent;  ///< -1: none
  double total = 0;                  ///< [s]
  double longest = 0;                ///< [s] of a chain of tasks that wait for each other
  [[nodiscard]] long tasks() const { return static_cast<long>(seconds.size()); }
};

/// How a load is drawn.
struct LoadPlan {
  long tasks = 0;
  int children = 0;   ///< that wait for each root; families are whole, so that there may be a few tasks more
  double mean = 1;    ///< [s]
  double sigma = 1;   ///< standard deviation of the logarithm of the times
  double error = 0;   ///< of the logarithm of what is expected over what it takes
  bool known = true;  ///< false: the same is expected of all
  std::uint64_t seed = 1;
};

/// Log-normal times; the same for the same seed whatever is expected of them.
[[nodiscard]] TaskLoad lognormal_load(const LoadPlan& plan);

/// What a coordinator costs; all 0: orders, reports and commits take no time.
struct CoordinatorCosts {
  double service = 0;   ///< [s] of the coordinator per task, half for the order and half for the report
  double commit = 0;    ///< [s] of the coordinator per commit
  double interval = 0;  ///< [s] between commits where no idle group waits for one
  double latency = 0;   ///< [s] that an order, and a report, waits for a sleeper to look
};

/// What a simulated pool did.
struct PoolRun {
  double makespan = 0, busy = 0;  ///< [s], [group s]
  double coordinator = 0;         ///< [s] that the coordinator worked
  long commits = 0;
  int groups = 0;
  double bound = 0;  ///< [s] that no schedule goes below: max(longest chain, total / groups)
  [[nodiscard]] double efficiency() const { return busy / (makespan * groups); }
  [[nodiscard]] double share_of_bound() const { return bound / makespan; }
};

/// Drives a Scheduler with groups of one rank through a load in virtual time, as run_pool does in real time: the
/// coordinator is a single server that takes up to 1000 reports, hands out up to 1000 orders and commits where it is
/// due. Not collective.
[[nodiscard]] PoolRun simulate_pool(int groups, const TaskLoad& load, const CoordinatorCosts& costs);

}  // namespace sanctuary
