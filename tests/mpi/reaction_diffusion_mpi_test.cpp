#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/comm.hpp"
#include "base/random.hpp"
#include "solvers/reaction_diffusion.hpp"

namespace sanctuary {
namespace {

struct Answer {
  ReactionReport report;
  std::vector<double> values;  // of all cells in the order of the box
};

/// Oxygen-like use in tissue of varying coefficients, warm-started once. Collective.
Answer answer(MPI_Comm comm, std::array<long, 3> cells, double half) {
  const Grid grid(comm, {{0, 0, 0}, {2e-5, 2.5e-5, 2e-5}, cells});
  const RandomStream draws(5, "reaction_diffusion_mpi_test");
  const std::size_t owned = grid.local_cells();
  std::vector<double> k(owned), maximum(owned), other(owned);
  const auto number = [&](std::size_t c) {
    const auto [i, j, l] = grid.place(c);
    return static_cast<std::uint64_t>((l * cells[1] + j) * cells[0] + i);
  };
  for (std::size_t c = 0; c < owned; ++c) {
    k[c] = draws.lognormal(3 * number(c), 1e-9, 0.7);
    maximum[c] = draws.uniform(3 * number(c) + 1, 2, 10);
    other[c] = draws.uniform(3 * number(c) + 2, 0, 2);
  }
  Walls walls = Walls::all(WallKind::closed);
  walls.kind[0] = walls.kind[3] = WallKind::fixed;
  walls.kind[4] = WallKind::exchange;
  walls.value = {40, 0, 0, 30, 40, 0};
  walls.coefficient[4] = 1e-4;
  CellOperator op(grid);
  op.reset(walls);
  op.add_diffusion(k);
  const VecHandle f = grid.vector(), u = grid.vector();
  op.add_wall_source(f.get());
  {
    const WriteAccess right(f.get());
    for (std::size_t c = 0; c < owned; ++c) {
      if (number(c) % 97 == 0) right[c] += 30 * grid.cell_volume();  // vessels
    }
  }
  MichaelisMenten reaction(grid, {{half, maximum}, {20, other}});
  ReactionDiffusionSolver solver(grid, "reaction_diffusion_mpi_test_");
  solver.set(op, reaction);
  Stop stop;
  stop.tolerance = 1e-13;
  const ReactionReport cold = solver.solve(f.get(), u.get(), stop);
  EXPECT_TRUE(cold.converged) << cold.reason;
  for (double& m : reaction.term(0).maximum) m *= 1.01;
  Answer found;
  found.report = solver.solve(f.get(), u.get(), stop);
  EXPECT_TRUE(found.report.converged) << found.report.reason;
  EXPECT_GT(found.report.newton, 0);
  const auto out = op.wall_outflow(u.get());
  double in = 0, sources = 0;
  for (const double amount : out) in -= amount;
  for (std::size_t c = 0; c < owned; ++c) sources += number(c) % 97 == 0 ? 30 * grid.cell_volume() : 0;
  in += sum_over(comm, sources);
  EXPECT_NEAR(in, found.report.reacted, 1e-10 * in);

  found.values.assign(static_cast<std::size_t>(grid.global_cells()), 0.0);
  {
    const ReadAccess values(u.get());
    for (std::size_t c = 0; c < owned; ++c) {
      EXPECT_GE(values[c], 0);
      found.values[number(c)] = values[c];
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, found.values.data(), static_cast<int>(found.values.size()), MPI_DOUBLE, MPI_SUM, comm);
  return found;
}

void expect_same(std::array<long, 3> cells, double half) {
  std::vector<double> alone(static_cast<std::size_t>(cells[0] * cells[1] * cells[2])), facts(3);
  if (rank_of(MPI_COMM_WORLD) == 0) {
    Answer found = answer(MPI_COMM_SELF, cells, half);
    alone = std::move(found.values);
    facts = {found.report.reacted, static_cast<double>(found.report.newton), static_cast<double>(found.report.linear)};
  }
  broadcast(MPI_COMM_WORLD, alone);
  broadcast(MPI_COMM_WORLD, facts);
  const Answer ours = answer(MPI_COMM_WORLD, cells, half);
  EXPECT_NEAR(ours.report.reacted, facts[0], 1e-13 * facts[0]);
  EXPECT_EQ(ours.report.newton, static_cast<int>(facts[1]));
  EXPECT_EQ(ours.report.linear, static_cast<int>(facts[2]));
  double largest = 0, difference = 0;
  for (std::size_t c = 0; c < alone.size(); ++c) {
    largest = std::max(largest, std::abs(alone[c]));
    const double apart = std::abs(ours.values[c] - alone[c]);
    difference = apart <= difference ? difference : apart;
  }
  EXPECT_GT(largest, 10);
  EXPECT_LE(difference, 1e-13 * largest) << cells[0] << "x" << cells[1] << "x" << cells[2] << " half " << half;
}

TEST(ReactionDiffusionMpi, GivesTheSameAnswerOnAnyNumberOfRanks) {
  for (const double half : {2.0, 1e-4}) {
    expect_same({33, 17, 29}, half);
    expect_same({64, 3, 20}, half);
    expect_same({1, 1, 50}, half);
  }
}

TEST(ReactionDiffusionMpi, RefusesBadDataOnAllRanks) {
  const Grid grid(MPI_COMM_WORLD, {{0, 0, 0}, {1, 1, 1}, {8, 8, 8}});
  std::vector<double> maximum(grid.local_cells(), 1.0);
  if (rank_of(MPI_COMM_WORLD) == size_of(MPI_COMM_WORLD) - 1) maximum.back() = -1;
  EXPECT_THROW(MichaelisMenten(grid, {{1, maximum}}), InputError);
}

}  // namespace
}  // namespace sanctuary
