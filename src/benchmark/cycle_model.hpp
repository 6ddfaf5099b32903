#pragma once
#include <array>
#include <string>
#include <vector>

#include "solvers/multigrid.hpp"

namespace sanctuary {

/// What one rank does on one level of a multigrid cycle.
struct CycleLevel {
  double cells = 0;       ///< of this rank, the largest over the ranks
  double faces = 0;       ///< of this rank's block that touch other ranks' blocks, largest
  double neighbours = 0;  ///< other ranks that it sends to, largest
  double ranks = 0;       ///< that hold cells of this level
};

/// How one iteration of our conjugate gradients with one V-cycle works: constants of the cost model. They follow
/// solvers/multigrid.cpp and solvers/elliptic.cpp; the counts of MultigridStatistics stand beside them in the output.
struct CycleConstants {
  double exchanges_per_level = 4;       ///< of one colour each: two before and two after the coarser levels
  double reductions_per_iteration = 3;  ///< sums over all ranks
  double bytes_per_face = 2;            ///< of an exchange: one colour, half of the cells, 4 bytes each
  double gather_below = static_cast<double>(
      MultigridSettings{}.cells_per_rank);  ///< cells of a rank below which a coarse level is held by half of the ranks
  double coarsest =
      static_cast<double>(MultigridSettings{}.dense_cells);  ///< cells of the level that one rank solves directly
  /// Memory traffic of one iteration per cell beside the cycle [bytes], in the counting of STREAM and if nothing stayed
  /// in cache: direction 20, operator 40 (the direction is at hand), products 20, update 52.
  double krylov_bytes_per_cell = 20 + 40 + 20 + 52;
  /// That of the cycle on all levels.
  double cycle_bytes_per_cell = 51 * 8.0 / 7.0;
};

/// Levels of a box of `cells` on `ranks` ranks cut as evenly as whole numbers allow: halved along every axis that has
/// more than two cells until at most `coarsest` cells are left. Where a rank's part of a coarse level gets small, the
/// level is held by half as many ranks, and so on.
[[nodiscard]] std::vector<CycleLevel> cycle_levels(const std::array<double, 3>& cells, double ranks,
                                                   const CycleConstants& constants);

/// Messages that one rank sends in an iteration, and their bytes.
struct CycleTraffic {
  double messages = 0, bytes = 0, reductions = 0;
};
[[nodiscard]] CycleTraffic cycle_traffic(const std::vector<CycleLevel>& levels, const CycleConstants& constants);

}  // namespace sanctuary
