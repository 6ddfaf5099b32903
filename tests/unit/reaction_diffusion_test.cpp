#include "solvers/reaction_diffusion.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numbers>
#include <numeric>

#include "base/random.hpp"
#include "support/allocation_count.hpp"

namespace sanctuary {
namespace {

constexpr double pi = std::numbers::pi;
using Point = std::array<double, 3>;

void set_each(const Grid& grid, Vec vec, const std::function<double(const Point&)>& value) {
  const WriteAccess access(vec);
  for (std::size_t c = 0; c < grid.local_cells(); ++c) access[c] = value(grid.centre(c));
}

double least(Vec vec) {
  double value = 0;
  petsc(VecMin(vec, nullptr, &value));
  return value;
}

double largest(Vec vec) {
  double value = 0;
  petsc(VecMax(vec, nullptr, &value));
  return value;
}

/// Root mean square of the difference of a vector from a function of the place.
double error_of(const Grid& grid, Vec vec, const std::function<double(const Point&)>& value) {
  const ReadAccess access(vec);
  double sum = 0;
  for (std::size_t c = 0; c < grid.local_cells(); ++c) sum += std::pow(access[c] - value(grid.centre(c)), 2);
  return std::sqrt(sum / static_cast<double>(grid.global_cells()));
}

Stop to(double tolerance) {
  Stop stop;
  stop.tolerance = tolerance;
  return stop;
}

/// A box of side 1 along x with diffusion 1 and use of the same maximum everywhere.
struct Box {
  Grid grid;
  CellOperator op;
  MichaelisMenten reaction;
  VecHandle f = grid.vector(), u = grid.vector();
  ReactionDiffusionSolver solver{grid, "reaction_diffusion_test_"};

  Box(std::array<long, 3> cells, const Walls& walls, double half, double maximum)
      : grid(MPI_COMM_SELF, {{0, 0, 0},
                             {1.0 / static_cast<double>(cells[0]), 1.0 / static_cast<double>(cells[0]),
                              1.0 / static_cast<double>(cells[0])},
                             cells}),
        op(grid),
        reaction(grid, {{half, std::vector<double>(grid.local_cells(), maximum)}}) {
    op.reset(walls);
    op.add_diffusion(std::vector<double>(grid.local_cells(), 1.0));
    op.add_wall_source(f.get());
    solver.set(op, reaction);
  }
  ReactionReport solve(double tolerance = 1e-8) { return solver.solve(f.get(), u.get(), to(tolerance)); }
};

Walls fed_from_below_x() {
  Walls walls = Walls::all(WallKind::closed);
  walls.kind[0] = WallKind::fixed;
  walls.value[0] = 1;
  return walls;
}

/// Use that is slow at first and then sets in: r = maximum u^power / (half^power + u^power); not concave.
class Hill final : public PointwiseReaction {
 public:
  Hill(double half, double maximum, double power) : half_(half), maximum_(maximum), power_(power) {}

 private:
  void evaluate_impl(std::span<const double> u, std::span<double> rate, std::span<double> slope) const override {
    for (std::size_t c = 0; c < u.size(); ++c) {
      const double ratio = std::pow(u[c] / half_, power_ - 1), share = 1 / (1 + ratio * u[c] / half_);
      rate[c] = maximum_ * ratio * u[c] / half_ * share;
      slope[c] = maximum_ * power_ / half_ * ratio * share * share;
    }
  }
  double half_, maximum_, power_;
};

TEST(MichaelisMentenLaw, IsItsFormula) {
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {1, 1, 1}, {4, 1, 1}});
  const MichaelisMenten one(grid, {{2, {6, 6, 6, 5}}});
  const MichaelisMenten two(grid, {{2, {6, 6, 6, 5}}, {1, {0, 4, 8, 1}}});
  const std::vector<double> u{0, 1, 4, -1};
  std::vector<double> rate(4), slope(4);
  one.evaluate(u, rate, slope);
  const std::vector<double> rates{0, 2, 4, -2.5}, slopes{3, 4.0 / 3, 1.0 / 3, 2.5};  // linear below zero
  for (std::size_t c = 0; c < 4; ++c) {
    EXPECT_NEAR(rate[c], rates[c], 1e-15);
    EXPECT_NEAR(slope[c], slopes[c], 1e-15);
  }
  two.evaluate(u, rate, slope);
  const std::vector<double> more{0, 2, 6.4, -1}, steeper{0, 1, 8.0 / 25, 1};
  for (std::size_t c = 0; c < 4; ++c) {
    EXPECT_NEAR(rate[c], rates[c] + more[c], 2e-15);
    EXPECT_NEAR(slope[c], slopes[c] + steeper[c], 2e-15);
  }
}

TEST(MichaelisMentenLaw, RefusesWhatIsOutOfRange) {
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {1, 1, 1}, {2, 1, 1}});
  EXPECT_THROW(MichaelisMenten(grid, {}), InputError);
  EXPECT_THROW(MichaelisMenten(grid, {{0, {1, 1}}}), InputError);
  EXPECT_THROW(MichaelisMenten(grid, {{1, {1, -1}}}), InputError);
  EXPECT_THROW(MichaelisMenten(grid, {{1, {1}}}), InputError);
  EXPECT_THROW(MichaelisMenten(grid, {{1, {1, NAN}}}), InputError);
}

TEST(ReactionDiffusion, IsSecondOrderInSpace) {
  // u = 1 + sin sin sin / 2, k = 1 + x y / 2 + z / 2, use by two terms.
  const auto error = [](long n) {
    Box box({n, n, n}, Walls::all(WallKind::fixed, 1), 1, 1);
    std::vector<double> k(box.grid.local_cells());
    std::vector<MichaelisMenten::Term> terms{{0.3, k}, {2, k}};
    for (std::size_t c = 0; c < k.size(); ++c) {
      const Point x = box.grid.centre(c);
      k[c] = 1 + 0.5 * x[0] * x[1] + 0.5 * x[2];
      terms[0].maximum[c] = 20 * x[0];
      terms[1].maximum[c] = 30 * x[1];
    }
    box.op.reset(Walls::all(WallKind::fixed, 1));
    box.op.add_diffusion(k);
    const auto exact = [](const Point& x) {
      return 1 + 0.5 * std::sin(pi * x[0]) * std::sin(pi * x[1]) * std::sin(pi * x[2]);
    };
    set_each(box.grid, box.f.get(), [&](const Point& x) {
      const double sx = std::sin(pi * x[0]), sy = std::sin(pi * x[1]), sz = std::sin(pi * x[2]);
      const double cx = std::cos(pi * x[0]), cy = std::cos(pi * x[1]), cz = std::cos(pi * x[2]);
      const double here = 1 + 0.5 * x[0] * x[1] + 0.5 * x[2], u = exact(x);
      const double diffusion =
          1.5 * pi * pi * here * sx * sy * sz - 0.25 * pi * (x[1] * cx * sy * sz + x[0] * sx * cy * sz + sx * sy * cz);
      return box.grid.cell_volume() * (diffusion + 20 * x[0] * u / (0.3 + u) + 30 * x[1] * u / (2 + u));
    });
    box.op.add_wall_source(box.f.get());
    const MichaelisMenten reaction(box.grid, terms);
    box.solver.set(box.op, reaction);
    const ReactionReport report = box.solve(1e-11);
    EXPECT_TRUE(report.converged) << report.reason;
    return error_of(box.grid, box.u.get(), exact);
  };
  const std::array errors{error(8), error(16), error(32)};
  EXPECT_NEAR(std::log2(errors[0] / errors[1]), 2, 0.15);
  EXPECT_NEAR(std::log2(errors[1] / errors[2]), 2, 0.05);
}

TEST(ReactionDiffusion, FindsTheFreeBoundaryOfASlab) {
  // Use at a constant rate down to zero: u = (1 - x/d)^2 up to the depth d = sqrt(2 k u0 / M), and 0 beyond.
  constexpr double depth = 0.377;
  const auto exact = [](const Point& x) { return x[0] < depth ? std::pow(1 - x[0] / depth, 2) : 0.0; };
  std::vector<double> errors;
  for (const long n : {32, 64, 128, 256}) {
    Box box({n, 1, 1}, fed_from_below_x(), 1e-8, 2 / (depth * depth));
    const ReactionReport report = box.solve(1e-11);
    EXPECT_TRUE(report.converged) << report.reason;
    EXPECT_GE(least(box.u.get()), 0);
    errors.push_back(error_of(box.grid, box.u.get(), exact));
    double reached = 0;
    const ReadAccess values(box.u.get());
    for (std::size_t c = 0; c < box.grid.local_cells(); ++c) {
      if (values[c] > 1e-6) reached = std::max(reached, box.grid.centre(c)[0]);
    }
    EXPECT_NEAR(reached, depth, 1.5 / static_cast<double>(n));
  }
  for (std::size_t i = 1; i < errors.size(); ++i) EXPECT_LT(errors[i], 0.5 * errors[i - 1]) << i;
  EXPECT_NEAR(std::log2(errors.front() / errors.back()) / 3, 2, 0.4);
}

TEST(ReactionDiffusion, FindsTheAnoxicCoreOfASphere) {
  // u = M/6 (r^2 - 3 a^2 + 2 a^3 / r) outside the anoxic radius a, 0 inside; an eighth of the sphere in a box whose
  // outer walls hold the exact values.
  constexpr double radius = 0.42, maximum = 9;
  const auto exact = [](const Point& x) {
    const double r = std::hypot(x[0], x[1], x[2]);
    return r > radius ? maximum / 6 * (r * r - 3 * radius * radius + 2 * std::pow(radius, 3) / r) : 0.0;
  };
  std::vector<double> errors, core_errors;
  for (const long n : {10, 20, 40}) {
    Walls walls = Walls::all(WallKind::closed);
    for (const std::size_t w : {1U, 3U, 5U}) walls.kind[w] = WallKind::fixed;
    Box box({n, n, n}, walls, 1e-8, maximum);
    const double h = 1.0 / static_cast<double>(n);
    {
      const WriteAccess f(box.f.get());
      for (std::size_t c = 0; c < box.grid.local_cells(); ++c) {
        const Point x = box.grid.centre(c);
        for (std::size_t axis = 0; axis < 3; ++axis) {
          Point on_wall = x;
          on_wall[axis] = 1;
          if (x[axis] > 1 - h) f[c] += 2 * h * exact(on_wall);
        }
      }
    }
    const ReactionReport report = box.solve(1e-11);
    EXPECT_TRUE(report.converged) << report.reason;
    errors.push_back(error_of(box.grid, box.u.get(), exact));
    double core = 0;
    const ReadAccess values(box.u.get());
    for (std::size_t c = 0; c < box.grid.local_cells(); ++c) core += values[c] < 1e-6 ? h * h * h : 0;
    core_errors.push_back(std::abs(std::cbrt(core * 6 / pi) / radius - 1));
  }
  for (std::size_t i = 1; i < errors.size(); ++i) EXPECT_LT(errors[i], 0.35 * errors[i - 1]) << i;
  EXPECT_LT(core_errors.back(), 0.02);
  EXPECT_LT(core_errors.back(), core_errors.front());
}

TEST(ReactionDiffusion, IsNeverNegativeAndNeverAboveWhatFeedsIt) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const RandomStream draws(seed, "reaction_diffusion_test");
    const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {1e-5, 2e-5, 1e-5}, {11, 7, 9}});
    Walls walls = Walls::all(WallKind::closed);
    walls.kind[0] = WallKind::fixed;
    walls.kind[1] = WallKind::outflow;
    walls.kind[draws.below(0, 6)] = WallKind::fixed;
    walls.kind[2 + draws.below(1, 4)] = WallKind::exchange;
    walls.value.fill(40);
    walls.coefficient.fill(1e-5);
    std::vector<double> k(grid.local_cells()), maximum(k);
    for (std::size_t c = 0; c < k.size(); ++c) {
      k[c] = draws.lognormal(100 + c, 1e-9, 1);
      maximum[c] = draws.uniform(5000 + c) < 0.2 ? 0 : draws.lognormal(9000 + c, 20, 2);
    }
    FaceField flow(grid);
    for (double& q : flow[0]) q = draws.uniform(2, -1e-14, 1e-14);
    CellOperator op(grid);
    op.reset(walls);
    op.add_diffusion_and_convection(k, flow);
    const VecHandle f = grid.vector(), u = grid.vector();
    op.add_wall_source(f.get());
    const MichaelisMenten reaction(grid, {{draws.lognormal(3, 1e-2, 3), maximum}});
    ReactionDiffusionSolver solver(grid, "reaction_diffusion_test_");
    solver.set(op, reaction);
    petsc(VecSet(u.get(), draws.uniform(4, -10, 50)));
    const ReactionReport report = solver.solve(f.get(), u.get(), to(1e-9));
    EXPECT_TRUE(report.converged) << seed << ": " << report.reason;
    EXPECT_GE(least(u.get()), 0) << seed;
    EXPECT_LE(largest(u.get()), 40 * (1 + 1e-6)) << seed;
    solver.max_newton = 1;  // nor is the value given back when it does not get there
    petsc(VecSet(u.get(), 40));
    EXPECT_FALSE(solver.solve(f.get(), u.get(), to(1e-13)).converged);
    EXPECT_GE(least(u.get()), 0) << seed;
  }
}

TEST(ReactionDiffusion, UsesWhatEntersThroughTheWalls) {
  Walls walls = Walls::all(WallKind::closed);
  walls.kind[0] = WallKind::fixed;
  walls.kind[3] = walls.kind[4] = WallKind::exchange;
  walls.value = {1, 0, 0, 2, 0.5, 0};
  walls.coefficient.fill(3);
  for (const double half : {0.3, 1e-5}) {
    Box box({16, 12, 10}, walls, half, 25);
    const ReactionReport report = box.solve(1e-13);
    EXPECT_TRUE(report.converged) << report.reason;
    const auto out = box.op.wall_outflow(box.u.get());
    const double in = -std::accumulate(out.begin(), out.end(), 0.0);
    EXPECT_GT(report.reacted, 0.1);
    EXPECT_NEAR(in, report.reacted, 1e-10 * report.reacted);
    // The sum that was reported is that of the law itself.
    std::vector<double> rate(box.grid.local_cells()), slope(rate);
    const ReadAccess values(box.u.get());
    box.reaction.evaluate({values.data(), rate.size()}, rate, slope);
    EXPECT_NEAR(box.grid.cell_volume() * std::accumulate(rate.begin(), rate.end(), 0.0), report.reacted,
                1e-12 * report.reacted);
  }
}

TEST(ReactionDiffusion, TakesFewStepsFromSmoothToAnoxic) {
  // Half values from 10 to 1e-6 of what the walls hold, from nothing and from everything.
  for (const auto& [cells, walls, maximum] :
       {std::tuple{std::array<long, 3>{64, 1, 1}, fed_from_below_x(), 22.0},
        std::tuple{std::array<long, 3>{300, 1, 1}, fed_from_below_x(), 800.0},
        std::tuple{std::array<long, 3>{24, 22, 20}, Walls::all(WallKind::fixed, 1), 60.0}}) {
    for (double half = 10; half > 0.5e-6; half /= 10) {
      Box box(cells, walls, half, maximum);
      double first = 0;
      for (const double start : {0.0, 1.0}) {
        petsc(VecSet(box.u.get(), start));
        const ReactionReport report = box.solve(1e-10);
        EXPECT_TRUE(report.converged) << half << " from " << start << ": " << report.reason;
        EXPECT_LE(report.newton, 35) << half << " from " << start;
        EXPECT_LE(report.residual, 1e-10);
        double sum = 0;
        petsc(VecSum(box.u.get(), &sum));
        if (start > 0) {
          EXPECT_NEAR(sum, first, 1e-6 * first) << half;
        }
        first = sum;
      }
    }
  }
}

TEST(ReactionDiffusion, ConvergesWithAnAnoxicCoreAtATinyHalfPressure) {
  // pO2 [Pa]: 40 mmHg on the walls of a box of 0.8 mm, P_cr 1e-4 mmHg, oxygen reaches 0.15 mm deep.
  constexpr double mmhg = 133.322;
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {4e-5, 4e-5, 4e-5}, {20, 20, 20}});
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::fixed, 40 * mmhg));
  op.add_diffusion(std::vector<double>(grid.local_cells(), 4.5e-16));
  const VecHandle f = grid.vector(), u = grid.vector();
  op.add_wall_source(f.get());
  const MichaelisMenten reaction(grid, {{1e-4 * mmhg, std::vector<double>(grid.local_cells(), 2e-4)}});
  ReactionDiffusionSolver solver(grid, "reaction_diffusion_test_");
  solver.set(op, reaction);
  Stop stop;
  stop.measure = Stop::Measure::scaled;
  stop.scale = 40 * mmhg;
  stop.tolerance = 1e-12;
  const ReactionReport report = solver.solve(f.get(), u.get(), stop);
  EXPECT_TRUE(report.converged) << report.reason;
  EXPECT_LE(report.newton, 35);
  const ReadAccess values(u.get());
  EXPECT_LT(values[grid.local(10, 10, 10)], 1e-4 * mmhg);
  EXPECT_GE(least(u.get()), 0);
  EXPECT_GT(largest(u.get()), 10 * mmhg);
}

TEST(ReactionDiffusion, WarmStartCostsNoMoreThanTwoAndAHalfLinearSolves) {
  // Half value 0.05 of the walls', as of oxygen; then maxima and what feeds the box change by 1 %.
  for (const std::array<long, 3> cells : {std::array<long, 3>{32, 32, 32}, std::array<long, 3>{128, 4, 4}}) {
    Walls walls = Walls::all(WallKind::fixed, 1);
    Box box(cells, walls, 0.05, 40);
    ASSERT_TRUE(box.solve().converged);
    std::vector<double> rate(box.grid.local_cells()), slope(rate);
    {
      const ReadAccess values(box.u.get());
      box.reaction.evaluate({values.data(), rate.size()}, rate, slope);
    }
    const std::vector<double> own = box.op.diagonal();
    for (std::size_t c = 0; c < slope.size(); ++c) box.op.diagonal()[c] += box.grid.cell_volume() * slope[c];
    EllipticSolver linear(box.grid, "reaction_diffusion_test_linear_");
    linear.set(box.op);
    const VecHandle answer = box.grid.vector();
    const SolveReport once = linear.solve(box.f.get(), answer.get(), to(1e-8));
    ASSERT_TRUE(once.converged);
    box.op.diagonal() = own;

    for (double& m : box.reaction.term(0).maximum) m *= 1.01;
    petsc(VecScale(box.f.get(), 0.99));
    box.solver.set(box.op, box.reaction);
    const ReactionReport report = box.solve();
    EXPECT_TRUE(report.converged) << report.reason;
    EXPECT_GT(report.newton, 0);
    EXPECT_LE(report.work(), 2.5 * once.iterations) << report.linear << " " << report.evaluations;
    EXPECT_LE(report.setups, 1);
    const ReactionReport again = box.solve();
    EXPECT_TRUE(again.converged);
    EXPECT_EQ(again.newton, 0);
  }
}

TEST(ReactionDiffusion, SolvesALawThatIsNotConcave) {
  // The solution is given; the source follows from it.
  for (const auto& [half, maximum, power] : {std::array{2.0, 30.0, 2.0}, std::array{0.02, 30.0, 2.0},
                                             std::array{1.4, 1000.0, 4.0}, std::array{1.7, 3000.0, 8.0}}) {
    Box box({12, 10, 8}, Walls::all(WallKind::fixed, 0), 1, 1);
    const Hill hill(half, maximum, power);
    box.solver.set(box.op, hill);
    const VecHandle exact = box.grid.vector();
    set_each(box.grid, exact.get(),
             [](const Point& x) { return 1.5 + std::sin(3 * x[0] + 2 * x[1]) * std::cos(4 * x[2]); });
    box.op.apply(exact.get(), box.f.get());
    {
      std::vector<double> rate(box.grid.local_cells()), slope(rate);
      const ReadAccess values(exact.get());
      hill.evaluate({values.data(), rate.size()}, rate, slope);
      const WriteAccess f(box.f.get());
      for (std::size_t c = 0; c < rate.size(); ++c) f[c] += box.grid.cell_volume() * rate[c];
    }
    for (const double start : {0.0, 0.1, 5.0}) {
      petsc(VecSet(box.u.get(), start));
      const ReactionReport report = box.solve(1e-11);
      EXPECT_TRUE(report.converged) << half << " from " << start << ": " << report.reason;
      EXPECT_GE(least(box.u.get()), 0);
      petsc(VecAXPY(box.u.get(), -1.0, exact.get()));
      double error = 0;
      petsc(VecNorm(box.u.get(), NORM_INFINITY, &error));
      EXPECT_LE(error, 1e-8) << half << " from " << start;
    }
  }
}

TEST(ReactionDiffusion, IsTheImplicitStageWhereTheDiagonalHoldsIt) {
  // One cell: (s/dt) (u - 1) + M u / (K + u) = 0 has the root of a square.
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {0.1, 0.2, 0.5}, {1, 1, 1}});
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::closed));
  const double rate = 3, maximum = 5, half = 0.2, volume = grid.cell_volume();
  op.diagonal()[0] = volume * rate;
  const VecHandle f = grid.vector(), u = grid.vector();
  petsc(VecSet(f.get(), volume * rate));
  const MichaelisMenten reaction(grid, {{half, {maximum}}});
  ReactionDiffusionSolver solver(grid, "reaction_diffusion_test_");
  solver.set(op, reaction);
  const ReactionReport report = solver.solve(f.get(), u.get(), to(1e-13));
  EXPECT_TRUE(report.converged) << report.reason;
  const double b = rate * (half - 1) + maximum;  // rate u^2 + b u - rate half = 0
  const ReadAccess value(u.get());
  EXPECT_NEAR(value[0], (-b + std::sqrt(b * b + 4 * rate * rate * half)) / (2 * rate), 1e-12);
  EXPECT_EQ(op.diagonal()[0], volume * rate);  // given back
}

TEST(ReactionDiffusion, SaysWhyItDidNotConverge) {
  Box box({16, 6, 5}, fed_from_below_x(), 1e-3, 50);
  box.solver.max_newton = 2;
  const ReactionReport few = box.solve();
  EXPECT_FALSE(few.converged);
  EXPECT_NE(few.reason.find("Newton"), std::string::npos) << few.reason;
  EXPECT_GT(few.residual, 1e-8);
  box.solver.max_newton = 60;
  const ReactionReport unreachable = box.solve(1e-30);
  EXPECT_FALSE(unreachable.converged);
  EXPECT_LE(unreachable.residual, 1e-12);
  EXPECT_FALSE(unreachable.reason.empty());
  petsc(VecSet(box.f.get(), NAN));
  EXPECT_FALSE(box.solve().converged);
}

TEST(ReactionDiffusion, IsZeroWithoutASource) {
  Box box({6, 5, 4}, Walls::all(WallKind::fixed, 0), 0.1, 50);
  petsc(VecSet(box.u.get(), 1.0));
  const ReactionReport report = box.solve();
  EXPECT_TRUE(report.converged);
  EXPECT_EQ(report.newton, 0);
  EXPECT_EQ(report.residual, 0);
  EXPECT_EQ(largest(box.u.get()), 0);
  EXPECT_EQ(least(box.u.get()), 0);
}

TEST(ReactionDiffusion, AllocatesNothingAfterTheFirstSolve) {
  if (!allocations_are_counted()) GTEST_SKIP() << "the heap is not watched in this build";
  Box box({12, 11, 10}, fed_from_below_x(), 0.05, 40);
  ASSERT_TRUE(box.solve().converged);
  const auto taken_by_solve = [&](int newton_at_least) {
    const long before = allocations();
    const ReactionReport report = box.solve();
    const long taken = allocations() - before;
    EXPECT_TRUE(report.converged);
    EXPECT_GE(report.newton, newton_at_least);
    return taken;
  };
  EXPECT_EQ(taken_by_solve(0), 0);
  const auto change = [&](double factor) {
    for (double& m : box.reaction.term(0).maximum) m *= factor;
  };
  change(1.01);
  (void)taken_by_solve(1);
  change(1.01);
  EXPECT_EQ(taken_by_solve(1), 0);
  const long held = live_bytes();
  for (int repeat = 0; repeat < 100; ++repeat) {
    change(repeat % 2 == 0 ? 1.01 : 1 / 1.01);
    (void)taken_by_solve(1);
  }
  EXPECT_LE(live_bytes() - held, 0);
}

}  // namespace
}  // namespace sanctuary
