#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "base/random.hpp"
#include "solvers/elliptic.hpp"
#include "support/allocation_count.hpp"
#include "support/elliptic_check.hpp"

namespace sanctuary {
namespace {

constexpr double pi = std::numbers::pi;

using Profile = std::function<double(double)>;

void set_each(const Grid& grid, Vec vec, const std::function<double(const std::array<double, 3>&)>& value) {
  const WriteAccess access(vec);
  for (std::size_t c = 0; c < grid.local_cells(); ++c) access[c] = value(grid.centre(c));
}

/// Largest difference of a vector from a function of the place; infinity where it is not a number.
double largest_error(const Grid& grid, Vec vec, const std::function<double(const std::array<double, 3>&)>& value) {
  const ReadAccess access(vec);
  double largest = 0;
  for (std::size_t c = 0; c < grid.local_cells(); ++c) {
    const double error = std::abs(access[c] - value(grid.centre(c)));
    if (!(error <= largest)) largest = std::isnan(error) ? INFINITY : error;
  }
  return largest;
}

SolveReport solve(const CellOperator& op, Vec f, Vec u, double tolerance = 1e-12) {
  EllipticSolver solver(op.grid(), "elliptic_acceptance_");
  solver.set(op);
  Stop stop;
  stop.tolerance = tolerance;
  return solver.solve(f, u, stop);
}

/// -(k u')' + u = f along one axis with a wall of some kind below and a fixed wall above; largest error.
double error_along(int axis, WallKind kind, long cells) {
  const auto a = static_cast<std::size_t>(axis);
  // Flat at 0, as closed walls and walls of outflow without flow ask for.
  const bool flat = kind == WallKind::closed || kind == WallKind::outflow;
  const Profile u = [&](double x) { return flat ? 2 + std::cos(2 * x) : std::exp(x); };
  const Profile slope = [&](double x) { return flat ? -2 * std::sin(2 * x) : std::exp(x); };
  const Profile bend = [&](double x) { return flat ? -4 * std::cos(2 * x) : std::exp(x); };
  const Profile k = [](double x) { return 1 + 0.5 * std::sin(3 * x + 1); };
  const Profile k_slope = [](double x) { return 1.5 * std::cos(3 * x + 1); };

  GridSpec spec{{0, 0, 0}, {0.3, 0.2, 0.5}, {2, 3, 2}};
  spec.cells[a] = cells;
  spec.spacing[a] = 1.0 / static_cast<double>(cells);
  const Grid grid(MPI_COMM_SELF, spec);
  Walls walls = Walls::all(WallKind::closed);
  walls.kind[2 * a] = kind;
  walls.kind[2 * a + 1] = WallKind::fixed;
  walls.value[2 * a + 1] = u(1);
  walls.value[2 * a] = u(0);
  if (kind == WallKind::exchange) {
    walls.coefficient[2 * a] = 3;
    walls.value[2 * a] = u(0) - k(0) * slope(0) / 3;  // what leaves at the lower wall is k u'
  }
  CellOperator op(grid);
  op.reset(walls);
  std::vector<double> coefficient(grid.local_cells());
  for (std::size_t c = 0; c < coefficient.size(); ++c) {
    coefficient[c] = k(grid.centre(c)[a]);
    op.diagonal()[c] = grid.cell_volume();
  }
  op.add_diffusion(coefficient);
  const VecHandle f = grid.vector(), found = grid.vector();
  set_each(grid, f.get(), [&](const auto& x) {
    return grid.cell_volume() * (u(x[a]) - k(x[a]) * bend(x[a]) - k_slope(x[a]) * slope(x[a]));
  });
  op.add_wall_source(f.get());
  const SolveReport report = solve(op, f.get(), found.get());
  EXPECT_TRUE(report.converged) << report.reason;
  return largest_error(grid, found.get(), [&](const auto& x) { return u(x[a]); });
}

TEST(EllipticAcceptance, IsSecondOrderAlongEachAxisAtEachKindOfWall) {
  for (int axis = 0; axis < 3; ++axis) {
    for (const WallKind kind : {WallKind::closed, WallKind::fixed, WallKind::outflow, WallKind::exchange}) {
      const std::array error{error_along(axis, kind, 16), error_along(axis, kind, 32), error_along(axis, kind, 64)};
      EXPECT_NEAR(std::log2(error[0] / error[1]), 2, 0.25) << axis << " " << static_cast<int>(kind);
      EXPECT_NEAR(std::log2(error[1] / error[2]), 2, 0.15) << axis << " " << static_cast<int>(kind);
    }
  }
}

TEST(EllipticAcceptance, IsSecondOrderInABoxWithVariableCoefficients) {
  // u = 1 + sin sin sin, k = 1 + x y / 2 + z / 2.
  const auto error = [](long n) {
    const double h = 1.0 / static_cast<double>(n);
    const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {h, h, h}, {n, n, n}});
    CellOperator op(grid);
    op.reset(Walls::all(WallKind::fixed, 1));
    std::vector<double> k(grid.local_cells());
    for (std::size_t c = 0; c < k.size(); ++c) {
      const auto x = grid.centre(c);
      k[c] = 1 + 0.5 * x[0] * x[1] + 0.5 * x[2];
    }
    op.add_diffusion(k);
    const VecHandle f = grid.vector(), found = grid.vector();
    set_each(grid, f.get(), [&](const auto& x) {
      const double sx = std::sin(pi * x[0]), sy = std::sin(pi * x[1]), sz = std::sin(pi * x[2]);
      const double cx = std::cos(pi * x[0]), cy = std::cos(pi * x[1]), cz = std::cos(pi * x[2]);
      const double here = 1 + 0.5 * x[0] * x[1] + 0.5 * x[2];
      return grid.cell_volume() * (3 * pi * pi * here * sx * sy * sz -
                                   0.5 * pi * (x[1] * cx * sy * sz + x[0] * sx * cy * sz + sx * sy * cz));
    });
    op.add_wall_source(f.get());
    const SolveReport report = solve(op, f.get(), found.get());
    EXPECT_TRUE(report.converged) << report.reason;
    const VecHandle difference = grid.vector();
    set_each(grid, difference.get(),
             [&](const auto& x) { return 1 + std::sin(pi * x[0]) * std::sin(pi * x[1]) * std::sin(pi * x[2]); });
    petsc(VecAXPY(difference.get(), -1.0, found.get()));
    double norm = 0;
    petsc(VecNorm(difference.get(), NORM_2, &norm));
    return norm / std::sqrt(static_cast<double>(grid.global_cells()));
  };
  const std::array errors{error(8), error(16), error(32)};
  EXPECT_NEAR(std::log2(errors[0] / errors[1]), 2, 0.15);
  EXPECT_NEAR(std::log2(errors[1] / errors[2]), 2, 0.05);
}

TEST(EllipticAcceptance, IsExactAcrossLayers) {
  // Layers of 1, 1000 and 1e-3: the flux is the same everywhere, the fall of u follows the resistances.
  for (int axis = 0; axis < 3; ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    GridSpec spec{{0, 0, 0}, {1, 1, 1}, {3, 3, 3}};
    spec.cells[a] = 12;
    const Grid grid(MPI_COMM_SELF, spec);
    Walls walls = Walls::all(WallKind::closed);
    walls.kind[2 * a] = walls.kind[2 * a + 1] = WallKind::fixed;
    walls.value[2 * a] = 1;
    const auto layer = [](double x) { return x < 4 ? 1.0 : x < 7 ? 1e3 : 1e-3; };
    CellOperator op(grid);
    op.reset(walls);
    std::vector<double> k(grid.local_cells());
    for (std::size_t c = 0; c < k.size(); ++c) k[c] = layer(grid.centre(c)[a]);
    op.add_diffusion(k);
    const VecHandle f = grid.vector(), u = grid.vector();
    op.add_wall_source(f.get());
    const SolveReport report = solve(op, f.get(), u.get(), 1e-14);
    EXPECT_TRUE(report.converged) << report.reason;
    const double flux = 1 / (4 + 3e-3 + 5e3);
    const auto exact = [&](const std::array<double, 3>& x) {
      const double resistance =
          std::min(x[a], 4.0) + 1e-3 * std::clamp(x[a] - 4, 0.0, 3.0) + 1e3 * std::max(x[a] - 7, 0.0);
      return 1 - flux * resistance;
    };
    EXPECT_LE(largest_error(grid, u.get(), exact), 1e-9) << axis;
  }
}

TEST(EllipticAcceptance, AgreesWithADirectSolveOnRandomProblems) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const RandomProblem problem = random_problem(seed, {.most_cells = 2000});
    const EllipticCheck check = check_elliptic(problem);
    EXPECT_TRUE(check.report.converged) << problem.describe() << ": " << check.report.reason;
    EXPECT_LE(check.residual, 1.01e-12) << problem.describe();
    EXPECT_LE(check.row_residual, 1e-12) << problem.describe();
    EXPECT_LT(check.difference, 1e-8) << problem.describe();
  }
}

/// All walls closed and no reaction: only the differences of u are determined.
struct ClosedBox {
  Grid grid{MPI_COMM_SELF, {{0, 0, 0}, {1e-5, 2e-5, 1e-5}, {9, 7, 8}}};
  CellOperator op{grid};
  VecHandle exact = grid.vector(), f = grid.vector(), u = grid.vector();
  ClosedBox() {
    const RandomStream draws(3, "closed_box");
    op.reset(Walls::all(WallKind::closed));
    std::vector<double> k(grid.local_cells());
    for (std::size_t c = 0; c < k.size(); ++c) k[c] = draws.lognormal(c, 1e-10, 1);
    op.add_diffusion(k);
    set_each(grid, exact.get(), [](const auto& x) { return std::sin(1e5 * x[0]) + std::cos(7e4 * x[1] + 4e4 * x[2]); });
    double sum = 0;
    petsc(VecSum(exact.get(), &sum));
    petsc(VecShift(exact.get(), -sum / static_cast<double>(grid.global_cells())));
    op.apply(exact.get(), f.get());
  }
};

TEST(EllipticAcceptance, SolvesAConsistentSingularSystem) {
  ClosedBox box;
  const SolveReport report = solve(box.op, box.f.get(), box.u.get());
  EXPECT_TRUE(report.converged) << report.reason;
  double sum = 0, error = 0;
  petsc(VecSum(box.u.get(), &sum));
  petsc(VecShift(box.u.get(), -sum / static_cast<double>(box.grid.global_cells())));
  petsc(VecAXPY(box.u.get(), -1.0, box.exact.get()));
  petsc(VecNorm(box.u.get(), NORM_INFINITY, &error));
  EXPECT_LE(error, 1e-9);
  EXPECT_LE(std::abs(sum) / static_cast<double>(box.grid.global_cells()), 10) << "the constant ran away";
}

TEST(EllipticAcceptance, SaysWhatDoesNotBalanceInAnInconsistentSystem) {
  ClosedBox box;
  double norm = 0;
  petsc(VecNorm(box.f.get(), NORM_INFINITY, &norm));
  petsc(VecShift(box.f.get(), 0.1 * norm));
  const SolveReport report = solve(box.op, box.f.get(), box.u.get(), 1e-8);
  EXPECT_FALSE(report.converged);
  EXPECT_NE(report.reason.find("balance"), std::string::npos) << report.reason;
  petsc(VecNorm(box.u.get(), NORM_INFINITY, &norm));
  EXPECT_TRUE(std::isfinite(norm));
}

TEST(EllipticAcceptance, TakesNoSourceForZero) {
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {1e-5, 1e-5, 1e-5}, {6, 5, 4}});
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::fixed, 0));
  op.add_diffusion(std::vector<double>(grid.local_cells(), 1e-10));
  const VecHandle f = grid.vector(), u = grid.vector();
  for (const double start : {0.0, 1.0}) {
    petsc(VecSet(u.get(), start));
    const SolveReport report = solve(op, f.get(), u.get(), 1e-8);
    EXPECT_TRUE(report.converged) << report.reason;
    double norm = 0;
    petsc(VecNorm(u.get(), NORM_INFINITY, &norm));
    EXPECT_LE(norm, 1e-8) << "from " << start;
  }
}

TEST(EllipticAcceptance, ReportsACellThatNothingHolds) {
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {1e-5, 1e-5, 1e-5}, {6, 5, 4}});
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::fixed, 1));
  std::vector<double> k(grid.local_cells(), 1e-10);
  const std::size_t lonely = grid.local(3, 2, 1);
  k[lonely] = 0;
  op.add_diffusion(k);
  for (const double source : {0.0, 1e-16}) {
    const VecHandle f = grid.vector(), u = grid.vector();
    op.add_wall_source(f.get());
    {
      const WriteAccess access(f.get());
      access[lonely] += source;
    }
    const SolveReport report = solve(op, f.get(), u.get(), 1e-8);
    double norm = 0;
    petsc(VecNorm(u.get(), NORM_INFINITY, &norm));
    EXPECT_TRUE(std::isfinite(norm));
    const bool clear = report.reason.find("singular") != std::string::npos;
    EXPECT_TRUE(report.converged || clear) << report.reason;
    if (source > 0) {
      EXPECT_FALSE(report.converged);
    }
    if (report.converged) {  // any value will do there; elsewhere the solution is 1
      {
        const WriteAccess values(u.get());
        values[lonely] = 1;
      }
      EXPECT_LE(largest_error(grid, u.get(), [](const auto&) { return 1.0; }), 1e-6);
    }
  }
}

TEST(EllipticAcceptance, SolvesWithoutAllocatingAndWithoutGrowing) {
  if (!allocations_are_counted()) GTEST_SKIP() << "the heap is not watched in this build";
  for (const double peclet : {0.0, 10.0}) {
    RandomProblem problem = random_problem(4);
    problem.spec.cells = {12, 9, 10};
    problem.walls = Walls::all(WallKind::fixed, 1);
    problem.peclet = peclet;
    const Grid grid(MPI_COMM_SELF, problem.spec);
    CellOperator op(grid);
    const VecHandle f = grid.vector(), u = grid.vector();
    problem.build(op, f.get());
    EllipticSolver solver(grid, "elliptic_acceptance_");
    solver.set(op);
    const Stop stop;
    EXPECT_TRUE(solver.solve(f.get(), u.get(), stop).converged);
    petsc(VecSet(u.get(), 0.0));
    const long before = allocations(), held = live_bytes();
    const bool converged = solver.solve(f.get(), u.get(), stop).converged;
    const long taken = allocations() - before;
    EXPECT_TRUE(converged);
    EXPECT_EQ(taken, 0) << "Peclet " << peclet;
    for (int repeat = 0; repeat < 1000; ++repeat) {
      petsc(VecSet(u.get(), 0.0));
      if (repeat % 100 == 0) solver.set(op, repeat % 200 == 0);
      if (!solver.solve(f.get(), u.get(), stop).converged) FAIL() << repeat;
    }
    EXPECT_LE(live_bytes() - held, 1024) << "Peclet " << peclet;
  }
}

TEST(EllipticAcceptance, SetsUpInTwoHundredBytesPerCell) {
  if (!allocations_are_counted()) GTEST_SKIP() << "the heap is not watched in this build";
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {1e-5, 1e-5, 1e-5}, {48, 44, 50}});
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::fixed, 1));
  std::vector<double> k(grid.local_cells());
  for (std::size_t c = 0; c < k.size(); ++c) k[c] = RandomStream(1, "bytes").lognormal(c, 1e-10, 1);
  op.add_diffusion(k);
  const VecHandle f = grid.vector(), u = grid.vector();
  op.add_wall_source(f.get());
  const long before = live_bytes();
  EllipticSolver solver(grid, "elliptic_acceptance_");
  solver.set(op);
  EXPECT_TRUE(solver.solve(f.get(), u.get(), {}).converged);
  EXPECT_LE(static_cast<double>(live_bytes() - before) / static_cast<double>(grid.global_cells()), 200);
}

}  // namespace
}  // namespace sanctuary
