#pragma once
#include "solvers/operator.hpp"

namespace sanctuary {

/// How the transport step treats convection through a face.
enum class ConvectionScheme {
  exponential,  ///< exponentially fitted (Scharfetter and Gummel 1969): positive; first order at high Péclet numbers
  limited,      ///< the same with a limited correction: second order in smooth regions at any Péclet number
};

/// What the exponentially fitted flux of a CellOperator lacks to a flux of second order at any cell Péclet number. On
/// an inner face the fitted flux has the diffusion (q/2) coth(P/2) in place of the true t = q/P; the excess is taken
/// back along the slope of the upstream cell, limited to the monotonised central one (van Leer 1977, J Comput Phys
/// 23:276): downstream of an extremum the fitted flux stays. Walls: where flow leaves through a fixed, exchange or
/// outflow wall, the value on the wall comes from the same limited slope. Borrows the grid.
class ConvectionCorrection {
 public:
  explicit ConvectionCorrection(const Grid& grid);
  /// Takes the coefficients of `op`, set by add_diffusion_and_convection alone. Collective.
  void set(const CellOperator& op);
  /// True where some face has an excess: without, there is nothing to correct.
  [[nodiscard]] bool active() const { return axes_ > 0; }
  /// Number of axes with an excess somewhere, and the excess on the faces normal to an axis [m^3/s].
  [[nodiscard]] int axes() const { return axes_; }
  [[nodiscard]] const std::vector<double>& excess(int axis) const { return excess_[axis]; }
  /// Correction of the flux through every face at the values `u` and the wall values of `op`, positive along the axis
  /// [m^3/s times the unit of u]; to be added to CellOperator::flux. Collective.
  void flux(const CellOperator& op, Vec u, FaceField& out) const;

 private:
  void slopes(const CellOperator& op, int axis, Vec u) const;

  const Grid* grid_;
  int axes_ = 0;
  std::array<bool, 3> moves_{};  // axes with an excess
  FaceField excess_;
  std::array<std::vector<double>, 6>
      approach_;  // of the faces of exchange walls: share of (outside - cell) at the wall
  VecHandle slope_, ghosted_, ghosted_slope_;
};

/// out += factor times what `flux` brings into each owned cell, net. Local.
void add_inflow(const Grid& grid, const FaceField& flux, double factor, Vec out);

}  // namespace sanctuary
