#pragma once
#include <string>

#include "solvers/elliptic.hpp"
#include "support/random_problem.hpp"

namespace sanctuary {

/// How EllipticSolver did on one problem.
struct EllipticCheck {
  SolveReport report;       ///< of a solve to 1e-12 in the measure of rows
  double row_residual = 0;  ///< the same, computed here
  double residual = 0;      ///< true one in the scaled measure, computed here
  double difference = 0;    ///< to a direct solve: 2-norm, relative
};

/// Solves from `u` until the residual with each row over its own diagonal entry is 1e-12. Leaves `difference` zero.
/// Collective.
[[nodiscard]] EllipticCheck solve_by_rows(EllipticSolver& solver, Vec f, Vec u, double scale);

/// Solves a problem so and compares with a direct solve of the assembled matrix. On MPI_COMM_SELF.
[[nodiscard]] EllipticCheck check_elliptic(const RandomProblem& problem);

}  // namespace sanctuary
