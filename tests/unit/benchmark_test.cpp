#include "benchmark/benchmark.hpp"

#include <gtest/gtest.h>
#include <mpi.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "benchmark/cohort_model.hpp"
#include "benchmark/contender.hpp"
#include "benchmark/cycle_model.hpp"
#include "benchmark/elliptic_problem.hpp"
#include "benchmark/halo.hpp"
#include "benchmark/measure.hpp"

namespace sanctuary {
namespace {

TEST(BenchmarkFit, FindsTheCostsThatMadeTheTimes) {
  std::vector<std::vector<double>> rows;
  std::vector<double> values;
  for (int i = 1; i <= 8; ++i) {
    rows.push_back({1.0, 1e6 * i * i, 1e3 / i});
    values.push_back(2e-6 * 1 + 3e-13 * 1e6 * i * i + 5e-9 * 1e3 / i);
  }
  const std::vector<double> x = fit_positive(rows, values);
  EXPECT_NEAR(x[0] / 2e-6, 1, 1e-8);
  EXPECT_NEAR(x[1] / 3e-13, 1, 1e-8);
  EXPECT_NEAR(x[2] / 5e-9, 1, 1e-8);
  EXPECT_LT(relative_misfit(rows, values, x).second, 1e-9);
}

TEST(BenchmarkFit, TakesZeroWhereTheBestCostWouldBeNegative) {
  // 3 - i at i = 1, 2: the free fit is (3, -1); with no cost negative, relative least squares give (1/2 + 1) / (1/4 +
  // 1).
  const std::vector<std::vector<double>> rows{{1, 1}, {1, 2}};
  const std::vector<double> values{2, 1};
  const std::vector<double> x = fit_positive(rows, values);
  EXPECT_NEAR(x[0], 1.5 / 1.25, 1e-12);
  EXPECT_EQ(x[1], 0);
}

TEST(BenchmarkFit, MedianOfOddAndEvenNumbers) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
  EXPECT_TRUE(std::isnan(median({})));
}

TEST(BenchmarkCycleModel, CountsLevelsNeighboursAndBytesByHand) {
  CycleConstants constants;
  constants.gather_below = 4096;
  // 64^3 on 2 ranks, cut along z: 32^3 keeps both (16384 cells each), 16^3 has 2048 each and moves to one rank; 8^3,
  // 4^3.
  const auto levels = cycle_levels({64, 64, 64}, 2, constants);
  ASSERT_EQ(levels.size(), 5U);
  EXPECT_EQ(levels[0].cells, 64 * 64 * 32);
  EXPECT_EQ(levels[0].neighbours, 1);
  EXPECT_EQ(levels[0].faces, 64 * 64);
  EXPECT_EQ(levels[1].ranks, 2);
  EXPECT_EQ(levels[2].ranks, 1);
  EXPECT_EQ(levels[2].cells, 16 * 16 * 16);
  EXPECT_EQ(levels[2].neighbours, 0);
  const CycleTraffic traffic = cycle_traffic(levels, constants);
  EXPECT_EQ(traffic.messages, 4 * 2 + 2);
  EXPECT_EQ(traffic.bytes, 4 * 2 * (64 * 64 + 32 * 32) + 2 * 4 * 16 * 16 * 16 / 2);
  EXPECT_EQ(traffic.reductions, 3);
  EXPECT_EQ(cycle_traffic(cycle_levels({64, 64, 64}, 1, constants), constants).messages, 0);
}

TEST(BenchmarkProblem, RollingFlowIsFreeOfDivergenceAndStaysInTheBox) {
  EllipticCase what;
  what.cells = {9, 7, 12};
  what.spacing = {1, 2, 0.5};
  const EllipticProblem problem(MPI_COMM_SELF, what);
  const Grid& grid = problem.grid();
  const FaceField q = rolling_flow(grid, 3.0);
  double fastest = 0;
  for (long k = 0; k < 12; ++k) {
    for (long j = 0; j < 7; ++j) {
      for (long i = 0; i < 9; ++i) {
        const double out = q[0][q.index(0, i + 1, j, k)] - q[0][q.index(0, i, j, k)] + q[1][q.index(1, i, j + 1, k)] -
                           q[1][q.index(1, i, j, k)] + q[2][q.index(2, i, j, k + 1)] - q[2][q.index(2, i, j, k)];
        EXPECT_NEAR(out, 0, 1e-15);
        for (int axis = 0; axis < 3; ++axis) {
          fastest = std::max(fastest, std::abs(q[axis][q.index(axis, i, j, k)]) / grid.face_area(axis));
        }
      }
      EXPECT_NEAR(q[0][q.index(0, 0, j, k)], 0, 1e-15);
      EXPECT_NEAR(q[0][q.index(0, 9, j, k)], 0, 1e-15);
    }
  }
  EXPECT_GT(fastest, 0.3 * 3.0);
  EXPECT_LE(fastest, 3.0 * (1 + 1e-12));
}

TEST(BenchmarkProblem, CoefficientsHaveTheContrastAskedFor) {
  EllipticCase what;
  what.cells = {24, 24, 24};
  const EllipticProblem problem(MPI_COMM_SELF, what);
  for (const std::string& name : coefficient_fields()) {
    const std::vector<double> k = coefficient_field(problem.grid(), name, 1e4);
    const auto [low, high] = std::minmax_element(k.begin(), k.end());
    const double contrast = *high / *low, asked = name == "smooth" ? 19 : 1e4;
    EXPECT_GT(*low, 0) << name;
    EXPECT_LE(contrast, asked * (1 + 1e-12)) << name;
    EXPECT_GE(contrast, 0.8 * asked) << name;
  }
}

TEST(BenchmarkProblem, EveryContenderComesToTheSameSolution) {
  EllipticCase what;
  what.cells = {13, 8, 10};
  what.coefficient = "lognormal";
  what.walls = "mixed";
  for (const double peclet : {0.0, 4.0}) {
    what.peclet = peclet;
    const EllipticProblem problem(MPI_COMM_SELF, what);
    EXPECT_EQ(problem.op().symmetric(), peclet == 0);
    VecHandle u = problem.grid().vector(), first = problem.grid().vector();
    for (const ContenderKind& kind : contender_kinds()) {
      if (!kind.available) continue;
      const auto contender = kind.make(problem.op().symmetric(), 1);
      contender->set_up(problem);
      EXPECT_TRUE(contender->solve(problem.rhs(), 1e-11, 2000, u.get()).converged) << kind.name;
      EXPECT_LT(problem.true_residual(u.get()), 1e-10) << kind.name;
      if (kind.name == "ours") petsc(VecCopy(u.get(), first.get()));
      double norm = 0, difference = 0;
      petsc(VecNorm(first.get(), NORM_2, &norm));
      petsc(VecAXPY(u.get(), -1.0, first.get()));
      petsc(VecNorm(u.get(), NORM_2, &difference));
      EXPECT_LT(difference, 1e-8 * norm) << kind.name;
    }
  }
}

TEST(BenchmarkMessages, LatencyAndBandwidthOfALine) {
  std::vector<PingPong> samples;
  for (double bytes = 8; bytes < 1e7; bytes *= 8) samples.push_back({bytes, 2e-6 + bytes / 5e9});
  const MessageCost cost = fit_messages(samples);
  EXPECT_NEAR(cost.latency, 2e-6, 1e-12);
  EXPECT_NEAR(cost.per_byte * 5e9, 1, 1e-8);
  EXPECT_LT(cost.worst_misfit, 1e-8);
}

TEST(BenchmarkOptionsText, ReadsListsBoxesAndRefusesTheRest) {
  const BenchmarkOptions given("elliptic", {{"cells", "8, 100x60x37"}, {"walls", "all"}, {"x", "1e3"}, {"n", "7"}});
  const auto boxes = given.boxes("cells", {});
  ASSERT_EQ(boxes.size(), 2U);
  EXPECT_EQ(boxes[0], (std::array<long, 3>{8, 8, 8}));
  EXPECT_EQ(boxes[1], (std::array<long, 3>{100, 60, 37}));
  EXPECT_EQ(given.words("walls", {}, wall_mixes()), wall_mixes());
  EXPECT_EQ(given.number("x", 0, 1, 1e6), 1e3);
  EXPECT_EQ(given.count("n", 0, 1, 10), 7);
  EXPECT_EQ(given.count("absent", 5, 1, 10), 5);
  EXPECT_THROW((void)given.count("n", 0, 1, 6), InputError);
  EXPECT_THROW((void)given.count("x", 0, 1, 10000), InputError);
  EXPECT_THROW((void)given.number("cells", 0, 0, 1), InputError);
  EXPECT_THROW((void)given.boxes("x", {}), InputError);
}

LoadPlan lognormal_tasks(long tasks, double error, bool known, std::uint64_t seed, int children = 0) {
  LoadPlan plan;
  plan.tasks = tasks;
  plan.error = error;
  plan.known = known;
  plan.seed = seed;
  plan.children = children;
  return plan;
}

// 50 tasks per group, times log-normal with sigma 1, expected within a log-normal factor of sigma 0.5.
TEST(CohortModel, KeepsGroupsBusyToTwoPercentOfTheBound) {
  for (const int groups : {10, 100, 1000}) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      const auto run = [&](double error, bool known) {
        return simulate_pool(groups, lognormal_load(lognormal_tasks(50L * groups, error, known, seed)), {});
      };
      const PoolRun guessed = run(0.5, true), exact = run(0, true), unknown = run(0, false);
      for (const PoolRun& one : {guessed, exact, unknown}) EXPECT_LE(one.share_of_bound(), 1 + 1e-12);
      EXPECT_GE(guessed.share_of_bound(), 0.98) << groups << " groups, seed " << seed;
      EXPECT_GE(exact.share_of_bound(), 0.98) << groups << " groups, seed " << seed;
      EXPECT_LT(unknown.share_of_bound(), guessed.share_of_bound()) << groups << " groups, seed " << seed;
      EXPECT_NEAR(guessed.busy / unknown.busy, 1, 1e-12);
    }
  }
}

TEST(CohortModel, ChildrenWaitForTheirParents) {
  for (const int groups : {10, 100}) {
    const TaskLoad load = lognormal_load(lognormal_tasks(50L * groups, 0.5, true, 1, 2));
    const PoolRun run = simulate_pool(groups, load, {});
    EXPECT_LE(run.share_of_bound(), 1 + 1e-12);
    EXPECT_GE(run.share_of_bound(), 0.98) << groups;
  }
  TaskLoad chain;  // a parent of 3 s and its child of 2 s on two groups
  chain.seconds = chain.expected = {3, 2};
  chain.parent = {-1, 0};
  chain.total = chain.longest = 5;
  EXPECT_DOUBLE_EQ(simulate_pool(2, chain, {}).makespan, 5);
  // The commit that the child waits for, the last one, half a service for each order and report, and the sleepers.
  const PoolRun slow = simulate_pool(2, chain, {0.2, 1, 100, 0.01});
  EXPECT_NEAR(slow.makespan, 5 + 2 * 0.2 + 2 * 1 + 4 * 0.01, 1e-12);
  EXPECT_EQ(slow.commits, 2);
}

TEST(CohortModel, ACoordinatorThatIsAskedTooMuchIsTheBound) {
  const TaskLoad load = lognormal_load(lognormal_tasks(20000, 0.5, true, 1));  // of 1 s
  CoordinatorCosts costs{1e-3, 0, 0.05, 0};
  const PoolRun free = simulate_pool(100, load, costs);  // 100 tasks a second of 1000
  EXPECT_GT(free.share_of_bound(), 0.95);
  EXPECT_LT(free.coordinator / free.makespan, 0.2);
  const PoolRun full = simulate_pool(4000, load, costs);  // asked for 4000
  EXPECT_GT(full.coordinator / full.makespan, 0.6);
  EXPECT_GE(full.makespan, 20000 * costs.service);
}

}  // namespace
}  // namespace sanctuary
