#pragma once
#include <string>

#include "solvers/elliptic.hpp"
#include "support/random_problem.hpp"

namespace sanctuary {

/// How EllipticSolver did on one problem.
struct EllipticCheck {
  bool converged = false;  ///< to 1e-12 in the scaled measure
  int iterations = 0;      ///< of that solve
  bool changed = false;    ///< algebraic multigrid took over
  double residual = 0;     ///< true one in that measure, computed here
  int more_iterations = 0;
  double row_residual = 0;  ///< in the end: 2-norm of the residual with each row over its own diagonal entry, over
                            ///< scale x sqrt(cells)
  double difference = 0;    ///< to a direct solve in the end: 2-norm, relative
  std::string reason;
};

/// Solves from `u` to a scaled true residual of 1e-12, then goes on from there until the residual with each row over
/// its own diagonal entry is 1e-12 too: where diagonal entries differ by 1e6 the first says little about rows of small
/// ones. Leaves `difference` zero. Collective.
[[nodiscard]] EllipticCheck solve_by_rows(EllipticSolver& solver, Vec f, Vec u, double scale);

/// Solves a problem so and compares with a direct solve of the assembled matrix. On MPI_COMM_SELF.
[[nodiscard]] EllipticCheck check_elliptic(const RandomProblem& problem);

}  // namespace sanctuary
