#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/random.hpp"
#include "solvers/transport.hpp"

namespace sanctuary {
namespace {

/// Values of all cells in the order of the box, on every rank. Collective.
std::vector<double> natural(const Grid& grid, Vec values) {
  const auto& n = grid.spec().cells;
  const ReadAccess owned(values);
  std::vector<double> all(static_cast<std::size_t>(grid.global_cells()), 0.0);
  for (std::size_t c = 0; c < grid.local_cells(); ++c) {
    const auto [i, j, k] = grid.place(c);
    all[static_cast<std::size_t>((k * n[1] + j) * n[0] + i)] = owned[c];
  }
  MPI_Allreduce(MPI_IN_PLACE, all.data(), static_cast<int>(all.size()), MPI_DOUBLE, MPI_SUM, grid.comm());
  return all;
}

/// Draw that belongs to a place, whatever rank owns it.
double draw(const std::array<long, 3>& at, const char* purpose, double low, double high) {
  return RandomStream(23, purpose)
      .uniform(static_cast<std::uint64_t>((at[2] * 1000 + at[1]) * 1000 + at[0]), low, high);
}

struct Outcome {
  long limited = 0;
  std::vector<double> cells, slope;
  double error = 0, blended = 0, in = 0, out = 0, drained = 0, held = 0;
};

/// A solute in a box with walls of every kind, random flow that diverges and cells that swell, for four steps; with a
/// new solver from the third on where there is a restart.
Outcome run(MPI_Comm comm, const std::array<long, 3>& cells, ConvectionScheme scheme, bool local, bool restart) {
  const Grid grid(comm, {{0, 0, 0}, {1, 2, 0.5}, cells});
  CellOperator op(grid);
  Walls walls;
  walls.kind = {WallKind::fixed,  WallKind::outflow, WallKind::exchange,
                WallKind::closed, WallKind::outflow, WallKind::fixed};
  walls.coefficient[2] = 0.3;
  op.reset(walls);
  FaceField flow(grid);
  for (int axis = 0; axis < 3; ++axis) {
    const auto& n = flow.extent(axis);
    for (long k = 0; k < n[2]; ++k) {
      for (long j = 0; j < n[1]; ++j) {
        for (long i = 0; i < n[0]; ++i) {
          const std::array<long, 3> at{grid.start()[0] + i, grid.start()[1] + j, grid.start()[2] + k};
          flow[axis][flow.index(axis, i, j, k)] = draw(at, axis == 0 ? "x" : axis == 1 ? "y" : "z", -1, 1);
        }
      }
    }
  }
  const std::size_t owned = grid.local_cells();
  std::vector<double> k, fraction;
  for (std::size_t c = 0; c < owned; ++c) {
    k.push_back(std::pow(10.0, draw(grid.place(c), "k", -2, 0)));
    fraction.push_back(draw(grid.place(c), "fraction", 0.2, 0.9));
  }
  op.add_diffusion_and_convection(k, flow);
  std::unique_ptr<TransportSolver> solver;
  const auto build = [&] {
    auto made = std::make_unique<TransportSolver>(grid, nullptr, "transport_mpi_test_");
    made->convection = scheme;
    made->bounds.local = local;
    made->relative_tolerance = 1e12;
    made->linear_tolerance = 1e-14;
    made->outside = [](double t) { return 1 + 0.5 * std::sin(t); };
    made->set_cells(fraction, op, std::vector<double>(owned, 0.05));
    return made;
  };
  solver = build();
  {
    const WriteAccess c(solver->cells());
    for (std::size_t i = 0; i < owned; ++i) c[i] = draw(grid.place(i), "start", 0, 1) > 0.8 ? 3 : 0;
  }
  solver->open_ledger();
  Outcome result;
  for (int s = 0; s < 4; ++s) {
    if (restart && s == 2) {
      auto resumed = build();
      petsc(VecCopy(solver->cells(), resumed->cells()));
      petsc(VecCopy(solver->slope(), resumed->slope()));
      resumed->set_has_slope(solver->has_slope());
      resumed->ledger() = solver->ledger();
      solver = std::move(resumed);
    }
    for (std::size_t c = 0; c < owned; ++c)
      fraction[c] = 0.5 * fraction[c] + 0.5 * draw(grid.place(c), "fraction", 0.2, 0.9);
    solver->set_accessible_at_end(fraction);
    const StepReport report = solver->advance(s, 0.3 * (1 + s), nullptr);
    EXPECT_TRUE(report.converged) << report.reason;
    result.error += report.error;
    result.blended += report.blended;
    result.limited += report.limited;
  }
  const TransportLedger& l = solver->ledger();
  result.in = l.cells_start + l.walls_in;
  result.out = l.walls_out;
  result.drained = l.drained;
  result.held = solver->amount_in_cells();
  result.cells = natural(grid, solver->cells());
  result.slope = natural(grid, solver->slope());
  return result;
}

void expect_same(const Outcome& a, const Outcome& b, double tolerance) {
  ASSERT_EQ(a.cells.size(), b.cells.size());
  double largest = 0, difference = 0;
  for (std::size_t c = 0; c < a.cells.size(); ++c) {
    largest = std::max(largest, std::abs(b.cells[c]));
    difference = std::max(difference, std::abs(a.cells[c] - b.cells[c]));
  }
  EXPECT_GT(largest, 0);
  EXPECT_LE(difference, tolerance * largest);
  EXPECT_NEAR(a.error, b.error, 1e-9 * b.error);
  EXPECT_NEAR(a.blended, b.blended, tolerance * b.blended);
  EXPECT_EQ(a.limited, b.limited);
  EXPECT_GT(b.blended + static_cast<double>(b.limited), 0);
  EXPECT_NEAR(a.in, b.in, tolerance * b.in);
  EXPECT_NEAR(a.out, b.out, tolerance * b.out);
  EXPECT_NEAR(a.drained, b.drained, tolerance * b.drained);
  EXPECT_NEAR(a.in - a.out - a.drained, a.held, 1e-12 * a.in);
}

TEST(TransportMpi, AStepIsTheSameOnAnyNumberOfRanks) {
  const auto same = [](const std::array<long, 3>& cells, ConvectionScheme scheme, bool local) {
    expect_same(run(MPI_COMM_WORLD, cells, scheme, local, false), run(MPI_COMM_SELF, cells, scheme, local, false),
                1e-12);
  };
  same({7, 6, 5}, ConvectionScheme::exponential, false);
  same({7, 6, 5}, ConvectionScheme::limited, true);
  same({3, 4, 7}, ConvectionScheme::limited, false);
}

TEST(TransportMpi, ARestartEqualsARunWithoutOne) {
  const std::array<long, 3> box{7, 6, 5};
  for (const auto scheme : {ConvectionScheme::exponential, ConvectionScheme::limited}) {
    expect_same(run(MPI_COMM_WORLD, box, scheme, false, true), run(MPI_COMM_WORLD, box, scheme, false, false), 1e-12);
  }
}

}  // namespace
}  // namespace sanctuary
