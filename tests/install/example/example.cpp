#include <cmath>
#include <vector>

#include "solvers/elliptic.hpp"

using namespace sanctuary;

// Diffusion along x past lumps in which the coefficient is a thousand times lower.
SolveReport solve_on(MPI_Comm comm) {
  const Grid grid(comm, {.origin = {0, 0, 0}, .spacing = {1e-5, 1e-5, 2e-5}, .cells = {64, 60, 33}});
  std::vector<double> coefficient(grid.local_cells());  // of the owned cells, x runs fastest [m^2/s]
  for (std::size_t cell = 0; cell < coefficient.size(); ++cell) {
    const auto [x, y, z] = grid.centre(cell);
    const bool lump = std::sin(x / 4e-5) * std::sin(y / 4e-5) * std::sin(z / 4e-5) > 0.2;
    coefficient[cell] = lump ? 1e-12 : 1e-9;
  }
  Walls walls = Walls::all(WallKind::closed);
  walls.kind[0] = walls.kind[1] = WallKind::fixed;
  walls.value[0] = 1;  // at -x; 0 at +x

  CellOperator diffusion(grid);  // A u = -div(k grad u), integrated over each cell
  diffusion.reset(walls);
  diffusion.add_diffusion(coefficient);
  const VecHandle f = grid.vector(), u = grid.vector();
  diffusion.add_wall_source(f.get());

  EllipticSolver solver(grid, "example_");  // takes the options -example_view, -example_preconditioner, ...
  solver.set(diffusion);
  const SolveReport report = solver.solve(f.get(), u.get(), {.tolerance = 1e-11, .measure = Stop::Measure::scaled});
  petsc(PetscPrintf(comm, "%d iterations, residual %.1e, flow out at +x %.6e m^3/s\n", report.iterations,
                    report.residual, diffusion.wall_outflow(u.get())[1]));
  return report;
}

int main(int argc, char** argv) {
  if (PetscInitialize(&argc, &argv, nullptr, nullptr) != 0) return 1;
  const bool converged = solve_on(PETSC_COMM_WORLD).converged;
  return PetscFinalize() == 0 && converged ? 0 : 1;
}
