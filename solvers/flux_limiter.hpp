#pragma once
#include <limits>
#include <span>

#include "solvers/operator.hpp"

namespace sanctuary {

/// Values that a solution is held within.
struct Bounds {
  double lowest = 0, highest = std::numeric_limits<double>::infinity();
  /// Also within the values of the cell, its face neighbours and the walls it touches, before the step and after the
  /// positive step.
  bool local = false;
};

/// Flux-corrected transport (Zalesak 1979, J Comput Phys 31:335): starting from a solution within bounds, takes from
/// given differences of amounts, face by face and cell by cell, as much as keeps every cell within bounds. What passes
/// an inner face leaves one cell and enters the other, so that amounts are kept. Borrows the grid.
class FluxLimiter {
 public:
  explicit FluxLimiter(const Grid& grid);

  /// `low`, `before`: concentrations of the solution within bounds and at the start; `capacity`: accessible fraction;
  /// `faces`: differences through faces [volume times concentration], replaced by the part that is withheld; `own`:
  /// differences that each cell gains from elsewhere, in the same unit; `own_share`: the share of them that is kept.
  /// Returns the sums of what is withheld over inner and wall faces and over the cells. Collective.
  [[nodiscard]] double limit(const CellOperator& op, const Bounds& bounds, std::span<const double> capacity, Vec before,
                             Vec low, std::span<const double> own, FaceField& faces, std::span<double> own_share);

 private:
  const Grid* grid_;
  VecHandle more_, less_, local_more_, local_less_;
};

/// Sum of the absolute values over all faces, each counted once. Collective.
[[nodiscard]] double absolute_sum(const Grid& grid, const FaceField& faces);

}  // namespace sanctuary
