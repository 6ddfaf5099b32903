#include "benchmark/cohort_model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>
#include <utility>

#include "base/random.hpp"
#include "cohort/scheduler.hpp"

namespace sanctuary {
namespace {

constexpr int most_at_once = 1000;  // as in run_pool

}  // namespace

TaskLoad lognormal_load(const LoadPlan& plan) {
  const RandomStream time(plan.seed, "bench.cohort.seconds"), error(plan.seed, "bench.cohort.error");
  const double median = plan.mean * std::exp(-plan.sigma * plan.sigma / 2);
  TaskLoad load;
  const int family = 1 + plan.children;
  for (long root = 0; root < plan.tasks; root += family) {
    double longest_child = 0;
    for (int member = 0; member < family; ++member) {
      const auto number = static_cast<std::uint64_t>(root + member);
      const double seconds = time.lognormal(number, median, plan.sigma);
      load.seconds.push_back(seconds);
      load.expected.push_back(plan.known ? error.lognormal(number, seconds, plan.error) : plan.mean);
      load.parent.push_back(member == 0 ? -1 : static_cast<std::int32_t>(root));
      load.total += seconds;
      if (member > 0) longest_child = std::max(longest_child, seconds);
    }
    load.longest = std::max(load.longest, load.seconds[static_cast<std::size_t>(root)] + longest_child);
  }
  return load;
}

PoolRun simulate_pool(int groups, const TaskLoad& load, const CoordinatorCosts& costs) {
  Scheduler scheduler(groups, {1});
  for (std::size_t t = 0; t < load.seconds.size(); ++t)
    scheduler.add({.parent = load.parent[t], .width = 1, .expected = load.expected[t]});
  scheduler.start();

  using Report = std::pair<double, long>;  // when it is seen, of which task
  std::priority_queue<Report, std::vector<Report>, std::greater<>> reports;
  std::vector<long> awaiting;
  bool parent_awaits = false;
  double now = 0, oldest = 0;
  PoolRun run;
  run.groups = groups;
  run.bound = std::max(load.longest, load.total / groups);
  const auto works = [&](double seconds) {
    now += seconds;
    run.coordinator += seconds;
  };
  for (;;) {
    bool moved = false, handed = false;
    for (int count = 0; count < most_at_once && !reports.empty() && reports.top().first <= now; ++count) {
      const long task = reports.top().second;
      reports.pop();
      works(costs.service / 2);
      scheduler.released(task);
      if (awaiting.empty()) oldest = now;
      awaiting.push_back(task);
      parent_awaits |= scheduler.first_child(task) >= 0;
      moved = true;
    }
    Scheduler::Assignment order;
    for (int count = 0; count < most_at_once && scheduler.next(order); ++count) {
      works(costs.service / 2);
      const double seconds = load.seconds[static_cast<std::size_t>(order.task)];
      reports.emplace(now + seconds + 2 * costs.latency, order.task);
      run.busy += seconds;
      handed = true;
    }
    const bool someone_waits = parent_awaits && scheduler.idle_workers() > 0;
    const bool nothing_runs = !handed && reports.empty();
    if (!awaiting.empty() && (someone_waits || nothing_runs || now - oldest >= costs.interval)) {
      works(costs.commit);
      ++run.commits;
      for (const long task : awaiting) scheduler.settled(task, TaskStatus::done);
      awaiting.clear();
      parent_awaits = false;
      moved = true;
    }
    if (reports.empty() && awaiting.empty() && scheduler.pending() == 0) break;
    if (moved || handed) continue;
    double next = std::numeric_limits<double>::infinity();
    if (!reports.empty()) next = reports.top().first;
    if (!awaiting.empty()) next = std::min(next, oldest + costs.interval);
    now = std::max(now, next);
    // Rounding may leave the commit due by a hair.
    if (!awaiting.empty() && next == oldest + costs.interval) now = std::max(now, std::nextafter(next, next + 1));
  }
  run.makespan = now;
  return run;
}

}  // namespace sanctuary
