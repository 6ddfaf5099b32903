#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/comm.hpp"
#include "solvers/elliptic.hpp"
#include "support/elliptic_check.hpp"

namespace sanctuary {
namespace {

/// Values of all cells in the order of the box, on every rank. Collective.
std::vector<double> natural(const Grid& grid, Vec values) {
  const auto& n = grid.spec().cells;
  std::vector<double> all(static_cast<std::size_t>(grid.global_cells()), 0.0);
  {
    const ReadAccess owned(values);
    for (std::size_t c = 0; c < grid.local_cells(); ++c) {
      const auto [i, j, k] = grid.place(c);
      all[static_cast<std::size_t>((k * n[1] + j) * n[0] + i)] = owned[c];
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, all.data(), static_cast<int>(all.size()), MPI_DOUBLE, MPI_SUM, grid.comm());
  return all;
}

struct Answer {
  int iterations = 0;
  bool changed = false;
  double scale = 0;
  std::vector<double> values;
};

/// Solves a problem until each row is at 1e-12 of its diagonal entry; `scale` 0: takes the root mean square of a first
/// solution. Collective.
Answer answer(MPI_Comm comm, const RandomProblem& problem, double scale) {
  const Grid grid(comm, problem.spec);
  CellOperator op(grid);
  const VecHandle f = grid.vector(), u = grid.vector();
  problem.build(op, f.get());
  if (scale == 0) {
    EllipticSolver coarse(grid, "elliptic_mpi_");
    coarse.set(op);
    const SolveReport first = coarse.solve(f.get(), u.get(), {});
    EXPECT_TRUE(first.converged) << problem.describe() << ": " << first.reason;
    petsc(VecNorm(u.get(), NORM_2, &scale));
    scale /= std::sqrt(static_cast<double>(grid.global_cells()));
    petsc(VecSet(u.get(), 0.0));
  }
  EllipticSolver solver(grid, "elliptic_mpi_");
  solver.set(op);
  const EllipticCheck check = solve_by_rows(solver, f.get(), u.get(), scale);
  EXPECT_TRUE(check.report.converged) << problem.describe() << ": " << check.report.reason;
  EXPECT_LE(check.residual, 1.01e-12) << problem.describe();
  EXPECT_LE(check.row_residual, 1e-12) << problem.describe();
  return {check.report.iterations, check.report.changed, scale, natural(grid, u.get())};
}

/// The solution and the iterations of one rank must be those of all.
void expect_same(const RandomProblem& problem) {
  std::vector<double> facts(2),
      alone(static_cast<std::size_t>(problem.spec.cells[0] * problem.spec.cells[1] * problem.spec.cells[2]));
  if (rank_of(MPI_COMM_WORLD) == 0) {
    Answer found = answer(MPI_COMM_SELF, problem, 0);
    facts = {static_cast<double>(found.iterations), found.scale, found.changed ? 1.0 : 0.0};
    alone = std::move(found.values);
  }
  broadcast(MPI_COMM_WORLD, facts);
  broadcast(MPI_COMM_WORLD, alone);
  const Answer ours = answer(MPI_COMM_WORLD, problem, facts[1]);
  EXPECT_EQ(ours.changed, facts[2] != 0) << problem.describe();
  // Algebraic multigrid coarsens each rank's cells apart.
  if (!ours.changed) {
    EXPECT_EQ(ours.iterations, static_cast<int>(facts[0])) << problem.describe();
  }
  double largest = 0, difference = 0;
  for (std::size_t c = 0; c < alone.size(); ++c) {
    largest = std::max(largest, std::abs(alone[c]));
    const double apart = std::abs(ours.values[c] - alone[c]);
    difference = apart <= difference ? difference : apart;
  }
  EXPECT_GT(largest, 0) << problem.describe();
  EXPECT_LE(difference, 1e-10 * largest) << problem.describe();
}

RandomProblem box(std::array<long, 3> cells, Texture texture, double contrast) {
  RandomProblem problem;
  problem.seed = 17;
  problem.spec = {{0, 0, 0}, {1e-5, 1.3e-5, 2e-5}, cells};
  problem.walls = Walls::all(WallKind::closed);
  problem.walls.kind[0] = WallKind::fixed;
  problem.walls.value[0] = 1;
  problem.walls.kind[3] = WallKind::exchange;
  problem.walls.coefficient[3] = 1e-5;
  problem.walls.value[3] = 2;
  problem.texture = texture;
  problem.contrast = contrast;
  return problem;
}

TEST(EllipticMpi, OddBoxIsSolvedAlikeOnAnyNumberOfRanks) {
  expect_same(box({33, 17, 29}, Texture::smooth, 100));
  // Inclusions of 1e6 that float in this box are left out: rounding of the coefficients alone moves them by 1.4e-10.
  expect_same(box({33, 17, 29}, Texture::smooth, 1e6));
  expect_same(box({33, 17, 29}, Texture::independent, 1e6));
}

TEST(EllipticMpi, UnevenBoxIsSolvedAlikeOnAnyNumberOfRanks) {
  expect_same(box({100, 60, 37}, Texture::independent, 1e3));
  expect_same(box({100, 60, 37}, Texture::smooth, 1e6));
}

TEST(EllipticMpi, ThinSlabIsSolvedAlikeOnAnyNumberOfRanks) {
  expect_same(box({64, 3, 40}, Texture::smooth, 100));
  expect_same(box({64, 3, 40}, Texture::inclusions, 1e6));
  expect_same(box({64, 3, 40}, Texture::independent, 1e6));
}

TEST(EllipticMpi, FlowAndReactionAreSolvedAlikeOnAnyNumberOfRanks) {
  RandomProblem problem = box({33, 17, 29}, Texture::smooth, 100);
  problem.walls.kind[1] = WallKind::outflow;
  problem.peclet = 20;
  problem.reaction = 10;
  problem.patchy = true;
  expect_same(problem);
}

TEST(EllipticMpi, RandomProblemsAreSolvedAlikeOnAnyNumberOfRanks) {
  int solved = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const RandomProblem problem = random_problem(seed, {.most_cells = 1500, .contrast = 1e3});
    const auto& n = problem.spec.cells;
    if (std::max({n[0], n[1], n[2]}) < 8) continue;  // cannot be cut into four
    expect_same(problem);
    ++solved;
  }
  EXPECT_GT(solved, 15);
}

}  // namespace
}  // namespace sanctuary
