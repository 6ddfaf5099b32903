#include <gtest/gtest.h>

#include <algorithm>

#include "support/perfused_bed.hpp"

namespace sanctuary {
namespace {

TEST(CoupledGrowth, IterationsStayFrom16To64CellsASide) {
  for (const char* name : {"-pressure_network_solver", "-bound_solute_network_solver"})
    petsc(PetscOptionsSetValue(nullptr, name, "iterative"));
  int least = 1 << 20, most = 0, least_pressure = 1 << 20, most_pressure = 0;
  for (const long tiles : {2, 4, 8}) {  // up to 31,000 segments
    PerfusedBed bed(tiles);
    FluidState fluid;
    const int pressure = bed.solve_fluid(fluid);
    const SolveReport report = bed.solve_bound_solute(fluid.blood);
    EXPECT_TRUE(report.converged) << report.reason;
    least = std::min(least, report.iterations);
    most = std::max(most, report.iterations);
    least_pressure = std::min(least_pressure, pressure);
    most_pressure = std::max(most_pressure, pressure);
  }
  for (const char* name : {"-pressure_network_solver", "-bound_solute_network_solver"})
    petsc(PetscOptionsSetValue(nullptr, name, "auto"));
  EXPECT_LE(most, 1.5 * least);
  EXPECT_LE(most_pressure, 1.5 * least_pressure);
}

}  // namespace
}  // namespace sanctuary
