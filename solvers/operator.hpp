#pragma once
#include <vector>

#include "solvers/boundary.hpp"
#include "solvers/grid.hpp"

namespace sanctuary {

/// Cell-centred finite-volume operator in flux form, matrix-free:
/// (A u)_c = diagonal_c u_c + sum over faces of the flux out of c, flux = from_lower u_lower - from_upper u_upper.
/// Rows are integrals over cells, so that flux coefficients are in m^3/s (for a value per volume) and every interior
/// face cancels in a sum over cells. Wall values enter through `wall_source`.
class CellOperator {
 public:
  explicit CellOperator(const Grid& grid);

  /// Clears to zero and takes wall conditions.
  void reset(const Walls& walls);
  /// Adds diffusion with coefficient k per cell (owned cells; harmonic mean on faces) [m^2/s times capacity].
  /// Collective.
  void add_diffusion(const std::vector<double>& coefficient);
  /// Sets diffusion and convection together in exponentially fitted form (Scharfetter and Gummel 1969): positive at any
  /// cell Péclet number, second order as it falls, upwind as it grows; exact for steady flow in one dimension.
  /// `discharge`: volume per time through each face, positive along the axis [m^3/s]. Collective.
  void add_diffusion_and_convection(const std::vector<double>& coefficient, const FaceField& discharge);

  /// Adds given transmissibilities (no convection): flux = t (u_lower - u_upper) through each face [m^3/s]. On a wall
  /// the value outside stands for the missing side; wall kinds are not looked at. Local.
  void add_transmissibility(const FaceField& transmissibility);

  /// The same faces and walls with other entries on the diagonal. Collective.
  [[nodiscard]] CellOperator with_diagonal(std::vector<double> diagonal) const;

  /// True as long as every face carries the same coefficient both ways: the matrix is symmetric, one array per axis is
  /// kept, and `from_upper` is the same array as `from_lower`.
  [[nodiscard]] bool symmetric() const { return symmetric_; }
  /// Coefficients of the faces normal to `axis`, in the order of FaceField: flux = from_lower u_lower - from_upper
  /// u_upper.
  [[nodiscard]] const std::vector<double>& from_lower(int axis) const { return from_lower_[axis]; }
  [[nodiscard]] const std::vector<double>& from_upper(int axis) const {
    return symmetric_ ? from_lower_[axis] : from_upper_[axis];
  }

  /// Entries added to the diagonal of owned cells [m^3/s].
  std::vector<double>& diagonal() { return diagonal_; }
  [[nodiscard]] const std::vector<double>& diagonal() const { return diagonal_; }
  [[nodiscard]] const Grid& grid() const { return *grid_; }
  [[nodiscard]] const Walls& walls() const { return walls_; }
  /// Changes the wall values, not their kinds.
  void set_wall_value(int wall, double value) { walls_.value[static_cast<std::size_t>(wall)] = value; }

  /// out = A in, without the wall sources. Collective.
  void apply(Vec in, Vec out) const;
  /// out += what the wall values bring into each cell. Local.
  void add_wall_source(Vec out) const;
  /// Full diagonal of A (diagonal plus face coefficients) of owned cells.
  [[nodiscard]] std::vector<double> full_diagonal() const;
  /// The same into `out`, one value per owned cell.
  void full_diagonal(double* out) const;
  /// Changes whenever the coefficients of the faces do; two operators never share a value.
  [[nodiscard]] long revision() const { return revision_; }
  /// Amount per time that leaves the box through each wall for the values `u`. Collective.
  [[nodiscard]] std::array<double, 6> wall_outflow(Vec u) const;
  /// Sum of the positive parts and of the negative parts of what crosses the walls face by face, out and in.
  /// Collective.
  [[nodiscard]] std::array<double, 2> wall_exchange(Vec u) const;
  /// Flux through every face for the values `u` (positive along the axis). Collective.
  void flux(Vec u, FaceField& out) const;
  /// Sets the rows of an assembled matrix on the grid's DMDA (used by preconditioners and checks). Collective.
  void assemble(Mat matrix) const;

 private:
  void add_faces(const std::vector<double>& coefficient, const FaceField* discharge);
  void split_directions();
  void touch();
  template <class Visit>
  void for_each_wall_face(Visit&& visit) const;

  const Grid* grid_;
  Walls walls_;
  bool symmetric_ = true;
  long revision_ = 0;
  FaceField from_lower_, from_upper_;  // the second is empty while symmetric
  std::vector<double> diagonal_;
  VecHandle ghosted_;
  mutable GhostedCells scratch_;
};

}  // namespace sanctuary
