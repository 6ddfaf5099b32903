#include <gtest/gtest.h>

#include <vector>

#include "base/comm.hpp"
#include "solvers/elliptic.hpp"
#include "tests/support/elliptic_problem.hpp"

namespace sanctuary {
namespace {

struct Case {
  std::array<long, 3> cells;
  std::array<double, 3> aspect;
  double contrast;
  double flow;  ///< cell Péclet number at conductivity 1
  bool closed;
};

/// The solution in the order of the box on every rank, and what was reported.
std::pair<std::vector<double>, SolveReport> solution(MPI_Comm comm, const Case& problem) {
  const Grid grid(comm, test::box_of(problem.cells, problem.aspect));
  CellOperator op(grid);
  Walls walls = Walls::all(problem.closed ? WallKind::closed : WallKind::fixed);
  if (!problem.closed) {
    walls.kind[3] = WallKind::exchange;
    walls.coefficient[3] = 1;
    walls.kind[4] = problem.flow > 0 ? WallKind::outflow : WallKind::closed;
  }
  op.reset(walls);
  const std::vector<double> k = test::rough_field(grid, problem.contrast);
  FaceField discharge(grid);
  for (int a = 0; a < 3; ++a) {
    const double t = grid.face_area(a) / grid.spec().spacing[static_cast<std::size_t>(a)];
    std::fill(discharge[a].begin(), discharge[a].end(), problem.flow * t * (1 - 0.4 * a));
  }
  op.add_diffusion_and_convection(k, discharge);
  const VecHandle f = test::noisy_source(grid), u = grid.vector();
  if (problem.closed) {  // a source and a sink of the same digits on any number of ranks
    petsc(VecSet(f.get(), 0.0));
    const WriteAccess values(f.get());
    const std::array<long, 3> first{0, 0, 0};
    const std::array<long, 3> last{problem.cells[0] - 1, problem.cells[1] - 1, problem.cells[2] - 1};
    if (grid.owns(first)) values[grid.local(0, 0, 0)] = 1;
    if (grid.owns(last)) values[grid.local(last[0], last[1], last[2])] = -1;
  }
  EllipticSolver solver(grid, "multigrid_mpi_");
  solver.set(op);
  const SolveReport report = solver.solve(f.get(), u.get(), {.tolerance = 1e-9});
  std::vector<double> all(static_cast<std::size_t>(grid.global_cells()), 0.0);
  const ReadAccess values(u.get());
  for (std::size_t c = 0; c < grid.local_cells(); ++c) {
    const auto p = grid.place(c);
    all[static_cast<std::size_t>((p[2] * problem.cells[1] + p[1]) * problem.cells[0] + p[0])] = values[c];
  }
  MPI_Allreduce(MPI_IN_PLACE, all.data(), static_cast<int>(all.size()), MPI_DOUBLE, MPI_SUM, comm);
  return {all, report};
}

TEST(MultigridOnRanks, GivesTheSameDigitsOnAnyNumberOfRanks) {
  const std::vector<Case> cases{{{32, 32, 32}, {1, 1, 1}, 100, 0, false}, {{33, 17, 29}, {1, 1, 1}, 1000, 0, false},
                                {{50, 30, 19}, {1, 3, 1}, 10, 0, false},  {{64, 3, 40}, {1, 1, 1}, 10, 0, false},
                                {{7, 5, 9}, {1, 1, 1}, 10, 0, false},     {{130, 9, 8}, {1, 1, 1}, 10, 0, false},
                                {{40, 24, 36}, {1, 1, 1}, 100, 0, true},  {{31, 18, 22}, {1, 1, 1}, 10, 2, false},
                                {{36, 40, 20}, {1, 1, 0.1}, 10, 0, false}};
  for (const Case& problem : cases) {
    SCOPED_TRACE(std::to_string(problem.cells[0]) + " x " + std::to_string(problem.cells[1]) + " x " +
                 std::to_string(problem.cells[2]));
    const auto [ours, report] = solution(MPI_COMM_WORLD, problem);
    const auto [alone, alone_report] = solution(MPI_COMM_SELF, problem);
    EXPECT_TRUE(report.converged) << report.reason;
    EXPECT_EQ(report.iterations, alone_report.iterations);
    EXPECT_EQ(report.residual, alone_report.residual);
    std::size_t different = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) different += ours[i] == alone[i] ? 0 : 1;
    EXPECT_EQ(different, 0U) << "of " << ours.size();
  }
}

TEST(MultigridOnRanks, GathersCoarseLevelsAndCountsItsMessages) {
  const Grid grid(MPI_COMM_WORLD, test::box_of({48, 48, 48}));
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::fixed));
  op.add_diffusion(std::vector<double>(grid.local_cells(), 1.0));
  Multigrid multigrid(grid);
  multigrid.set(op);
  const VecHandle f = test::noisy_source(grid), u = grid.vector();
  multigrid.apply(f.get(), u.get());
  const MultigridStatistics s = multigrid.statistics();
  const int ranks = size_of(MPI_COMM_WORLD);
  EXPECT_EQ(s.levels.front().ranks, ranks);
  EXPECT_EQ(s.levels.back().ranks, 1);
  const double messages = sum_over(MPI_COMM_WORLD, static_cast<double>(s.messages));
  if (ranks == 1) {
    EXPECT_EQ(messages, 0);
  } else {
    EXPECT_GT(messages, 0);
    // Five exchanges with at most six neighbours on each level that is spread, two moves to and from fewer ranks.
    EXPECT_LE(messages, ranks * 34.0 * static_cast<double>(s.levels.size()));
    EXPECT_GT(s.bytes_sent, 0U);
  }
}

}  // namespace
}  // namespace sanctuary
