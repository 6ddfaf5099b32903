#pragma once
#include <span>
#include <vector>

#include "solvers/grid.hpp"

namespace sanctuary {

/// Distance [m] from the centre of each owned cell to that of the nearest cell of which `marked` (owned cells) is not
/// 0; infinity where no cell of the box is marked. Exact to rounding, and the same digits on any number of ranks: axis
/// by axis the lower envelope of parabolas along whole lines (Felzenszwalb and Huttenlocher 2012, Theory Comput 8:415),
/// which the ranks of a row of blocks share out. Work in proportion to the cells; each owned cell is sent twice per
/// axis that is cut. Memory: up to 16 bytes per owned cell beside the result. Collective.
[[nodiscard]] std::vector<double> distance_to(const Grid& grid, std::span<const char> marked);

}  // namespace sanctuary
