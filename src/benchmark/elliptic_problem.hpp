#pragma once
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "solvers/operator.hpp"

namespace sanctuary {

/// What an elliptic problem of the benchmarks is made of.
struct EllipticCase {
  std::array<long, 3> cells{64, 64, 64};
  std::string coefficient = "smooth";
  double contrast = 1e3;                   ///< largest over smallest coefficient; the smooth field has 19
  std::string walls = "dirichlet";         ///< see `wall_mixes`
  std::array<double, 3> spacing{1, 1, 1};  ///< sides of a cell relative to each other
  double reaction = 0;                     ///< lambda h^2 / k, with h the shortest side of a cell and k = 1
  double peclet = 0;                       ///< largest v h / k, with h the longest side of a cell and k = 1
};

/// Names of the coefficient fields: `smooth`; `lognormal` (correlated over a 32nd of the longest side, with noise in
/// each cell); `independent` (log-uniform in each cell); `inclusions` (balls of one value in another).
[[nodiscard]] const std::vector<std::string>& coefficient_fields();
/// Names of the wall conditions: `dirichlet`, `neumann` (closed), `robin`, `mixed` (all of them).
[[nodiscard]] const std::vector<std::string>& wall_mixes();

/// Coefficient of the owned cells [1], positive, geometric mean about 1; depends on the place in the box alone and not
/// on ranks.
[[nodiscard]] std::vector<double> coefficient_field(const Grid& grid, const std::string& name, double contrast);

/// Discharge through the faces of two crossed rolls that fill the box: free of divergence, zero at the walls; the
/// largest velocity is `speed` [m/s].
[[nodiscard]] FaceField rolling_flow(const Grid& grid, double speed);

/// Fills an operator with the diffusion, flow, walls and reaction of a case. Collective.
void fill_operator(const EllipticCase& what, CellOperator& op);

/// -div(k grad u - v u) + lambda u = f on a box whose longest side is 1, with a right-hand side between 0.75 and 1.25
/// in each cell (its mean taken off where the system is singular). Not movable: the operator borrows the grid.
class EllipticProblem {
 public:
  /// Collective.
  EllipticProblem(MPI_Comm comm, const EllipticCase& what);
  /// On the box of `what`, with an operator that `fill` makes on the new grid; not singular. Collective.
  EllipticProblem(MPI_Comm comm, const EllipticCase& what, const std::function<void(CellOperator&)>& fill);
  EllipticProblem(const EllipticProblem&) = delete;
  EllipticProblem& operator=(const EllipticProblem&) = delete;

  [[nodiscard]] const EllipticCase& what() const { return what_; }
  [[nodiscard]] const Grid& grid() const { return grid_; }
  [[nodiscard]] const CellOperator& op() const { return op_; }
  [[nodiscard]] Vec rhs() const { return rhs_.get(); }
  /// True if constants solve the homogeneous system.
  [[nodiscard]] bool singular() const { return singular_; }
  /// Bytes of the operator's coefficients on all ranks, by malloc; not a number where that is not known.
  [[nodiscard]] double operator_bytes() const { return operator_bytes_; }
  /// 2-norm of rhs - A u over that of rhs, computed with the operator. Collective.
  [[nodiscard]] double true_residual(Vec u) const;

 private:
  EllipticCase what_;
  Grid grid_;
  double heap_before_;
  CellOperator op_;
  VecHandle rhs_, residual_;
  bool singular_ = false;
  double operator_bytes_ = 0;
};

}  // namespace sanctuary
