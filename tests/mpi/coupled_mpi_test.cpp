#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"
#include "solvers/network/flow_sweep.hpp"
#include "support/perfused_bed.hpp"

namespace sanctuary {
namespace {

/// Sets how the networks of the two solvers below are solved.
void choose(const char* network_solver) {
  for (const char* name : {"-pressure_network_solver", "-coupled_test_network_solver", "-bound_solute_network_solver"})
    petsc(PetscOptionsSetValue(nullptr, name, network_solver));
}

double largest_difference(Vec a, Vec b) {
  VecHandle difference;
  petsc(VecDuplicate(a, difference.out()));
  petsc(VecWAXPY(difference.get(), -1.0, a, b));
  double largest = 0, size = 0;
  petsc(VecNorm(difference.get(), NORM_INFINITY, &largest));
  petsc(VecNorm(a, NORM_INFINITY, &size));
  return largest / size;
}

/// A steady solute on cells and network; `between`: whether cells exchange beyond the diagonal.
int solve_solute(const PerfusedBed& bed, const FluidState& fluid, bool between, Vec cells, VecHandle& network) {
  const auto matrices = bed.matrices(fluid.blood, 1e-10);
  CellOperator op(*bed.grid);
  op.reset(Walls::all(WallKind::outflow));
  op.add_diffusion_and_convection(std::vector<double>(bed.grid->local_cells(), 1e-10), fluid.discharge);
  MatHandle x;
  const auto count = static_cast<PetscInt>(bed.grid->local_cells());
  petsc(
      MatCreateAIJ(bed.grid->comm(), count, count, PETSC_DETERMINE, PETSC_DETERMINE, 2, nullptr, 0, nullptr, x.out()));
  const double volume = bed.grid->cell_volume();
  for (std::size_t c = 0; c < bed.grid->local_cells(); ++c) {
    op.diagonal()[c] = 1e-3 * volume + matrices->cell_diagonal()[c] + fluid.lymph[c];
    const PetscInt row = bed.grid->row(c);
    petsc(MatSetValue(x.get(), row, row, 2e-4 * volume, INSERT_VALUES));
    if (c > 0) petsc(MatSetValue(x.get(), row, row - 1, -2e-4 * volume, INSERT_VALUES));
  }
  petsc(MatAssemblyBegin(x.get(), MAT_FINAL_ASSEMBLY));
  petsc(MatAssemblyEnd(x.get(), MAT_FINAL_ASSEMBLY));
  CoupledSolver solver(*bed.grid, bed.embedded->local_unknowns(true), "coupled_test_", false);
  NetworkBlocks blocks = matrices->blocks();
  if (between) blocks.between_cells = x.get();
  solver.set(op, blocks);
  network = solver.network_vector();
  const VecHandle rhs = bed.grid->vector(), network_rhs = solver.network_vector();
  std::vector<double> entering(bed.cut.own_nodes);
  for (std::size_t n = 0; n < entering.size(); ++n) entering[n] = std::max(fluid.blood.inflow[n], 0.0);
  bed.embedded->set_values(entering, std::vector<double>(bed.cut.own_pieces, 0.0), network_rhs.get());
  petsc(VecSet(cells, 0.0));
  const SolveReport report = solver.solve(rhs.get(), network_rhs.get(), 1.0, 1e-13, cells, network.get());
  EXPECT_TRUE(report.converged) << report.reason;
  const auto residual = solver.scaled_residual(rhs.get(), network_rhs.get(), 1.0, cells, network.get());
  EXPECT_LE(residual[0], 1e-13);
  EXPECT_LE(residual[1], 2e-13);
  return report.iterations;
}

TEST(CoupledOnRanks, LargeNetworksHaveTheSolutionOfTheDirectMode) {
  PerfusedBed bed(2);
  FluidState direct, iterative;
  choose("direct");
  bed.solve_fluid(direct);
  choose("iterative");
  bed.solve_fluid(iterative);
  EXPECT_LE(largest_difference(direct.pressure.get(), iterative.pressure.get()), 1e-10);
  EXPECT_NEAR(iterative.filtration / direct.filtration, 1, 1e-10);
  for (const bool between : {false, true}) {
    const VecHandle cells = bed.grid->vector(), others = bed.grid->vector();
    VecHandle network, other_network;
    choose("direct");
    solve_solute(bed, direct, between, cells.get(), network);
    choose("iterative");
    solve_solute(bed, direct, between, others.get(), other_network);
    EXPECT_LE(largest_difference(cells.get(), others.get()), 1e-10) << between;
    EXPECT_LE(largest_difference(network.get(), other_network.get()), 1e-10) << between;
  }
  choose("auto");
}

TEST(CoupledOnRanks, IterationsStayAsTheNetworkGrows) {
  choose("iterative");
  int least_pressure = 1 << 20, most_pressure = 0, least_solute = 1 << 20, most_solute = 0;
  for (const long tiles : {2, 3}) {
    PerfusedBed bed(tiles);
    FluidState fluid;
    const int pressure = bed.solve_fluid(fluid);
    const VecHandle cells = bed.grid->vector();
    VecHandle network;
    const int solute = solve_solute(bed, fluid, false, cells.get(), network);
    least_pressure = std::min(least_pressure, pressure);
    most_pressure = std::max(most_pressure, pressure);
    least_solute = std::min(least_solute, solute);
    most_solute = std::max(most_solute, solute);
  }
  choose("auto");
  EXPECT_LE(most_pressure, 1.5 * least_pressure);
  EXPECT_LE(most_solute, 1.5 * least_solute);
  EXPECT_LE(most_pressure, 20);
  EXPECT_LE(most_solute, 40);
}

TEST(CoupledOnRanks, IterationsStayOverTwoDoublingsWhereExchangeIsFarAboveUptake) {
  choose("iterative");
  int least = 1 << 20, most = 0;
  for (const long cells_per_tile : {8, 16, 32}) {
    PerfusedBed bed(2, cells_per_tile);
    FluidState fluid;
    bed.solve_fluid(fluid);
    const SolveReport report = bed.solve_bound_solute(fluid.blood);
    EXPECT_TRUE(report.converged) << report.reason;
    least = std::min(least, report.iterations);
    most = std::max(most, report.iterations);
  }
  choose("auto");
  EXPECT_LE(most, 1.5 * least);
  EXPECT_LE(most, 33);  // 42 where the cells are preconditioned as if the network gave nothing back
}

TEST(FlowSweep, IsExactWithoutDiffusionFromJointToJoint) {
  PerfusedBed bed(2);
  FluidState fluid;
  bed.solve_fluid(fluid);
  const auto error = [&](double diffusivity) {
    const auto matrices = bed.matrices(fluid.blood, diffusivity);
    FlowSweep sweep(MPI_COMM_WORLD);
    sweep.set(matrices->network());
    EXPECT_EQ(sweep.circles(), 0);
    VecHandle exact, rhs, found;
    petsc(MatCreateVecs(matrices->network(), exact.out(), rhs.out()));
    petsc(VecDuplicate(exact.get(), found.out()));
    petsc(VecSet(exact.get(), 1.0));
    petsc(MatMult(matrices->network(), exact.get(), rhs.get()));
    sweep.apply(rhs.get(), found.get());
    return largest_difference(exact.get(), found.get());
  };
  EXPECT_LE(error(1e-20), 1e-10);
  EXPECT_GT(error(1e-9), 1e-8);  // the joints feel it
}

}  // namespace
}  // namespace sanctuary
