#include "support/elliptic_check.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/comm.hpp"
#include "support/direct_solution.hpp"

namespace sanctuary {

EllipticCheck solve_by_rows(EllipticSolver& solver, Vec f, Vec u, double scale) {
  const CellOperator& op = solver.op();
  const MPI_Comm comm = op.grid().comm();
  const std::vector<double> diagonal = op.full_diagonal();
  const VecHandle r = op.grid().vector();
  double squares = 0;
  for (const double d : diagonal) squares += d * d;
  squares = sum_over(comm, squares);
  const double size = scale * std::sqrt(static_cast<double>(op.grid().global_cells()));
  EllipticCheck check;
  check.report = solver.solve(f, u, {.tolerance = 1e-12, .measure = Stop::Measure::rows, .scale = scale});
  op.apply(u, r.get());
  petsc(VecAYPX(r.get(), -1.0, f));
  const ReadAccess rows(r.get());
  double whole = 0, by_row = 0;
  for (std::size_t c = 0; c < diagonal.size(); ++c) {
    whole += rows[c] * rows[c];
    by_row += rows[c] / diagonal[c] * (rows[c] / diagonal[c]);
  }
  check.row_residual = std::sqrt(sum_over(comm, by_row)) / size;
  check.residual = std::sqrt(sum_over(comm, whole) / squares) / scale;
  return check;
}

EllipticCheck check_elliptic(const RandomProblem& problem) {
  const Grid grid(MPI_COMM_SELF, problem.spec);
  CellOperator op(grid);
  const VecHandle f = grid.vector(), u = grid.vector();
  problem.build(op, f.get());
  const VecHandle exact = direct_solution(op, f.get());
  double size = 0, difference = 0;
  petsc(VecNorm(exact.get(), NORM_2, &size));
  EllipticSolver solver(grid, "check_elliptic_");
  solver.set(op);
  EllipticCheck check =
      solve_by_rows(solver, f.get(), u.get(), size / std::sqrt(static_cast<double>(grid.global_cells())));
  petsc(VecAXPY(u.get(), -1.0, exact.get()));
  petsc(VecNorm(u.get(), NORM_2, &difference));
  check.difference = difference / size;
  return check;
}

}  // namespace sanctuary
