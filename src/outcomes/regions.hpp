#pragma once
#include <mpi.h>

#include <cstdint>
#include <vector>

#include "solvers/components.hpp"

namespace sanctuary {

/// Connected regions of a set of cells.
struct Regions {
  long count = 0;          ///< regions that were kept
  long largest = 0;        ///< cells of the largest
  long dropped = 0;        ///< regions that were dropped
  long dropped_cells = 0;  ///< cells in them
  std::vector<char> kept;  ///< of the owned cells: in a region that was kept
  /// Of the owned cells: number of its kept region, largest first, of equal size the one with the smaller first cell
  /// first; -1 in none.
  std::vector<std::int32_t> number;
};

/// Finds the regions (26 neighbours) of the marked cells and drops those with fewer than `least` cells. The same on any
/// number of ranks. Collective.
[[nodiscard]] Regions find_regions(MPI_Comm comm, const CellBox& box, const std::vector<char>& marked, long least);

}  // namespace sanctuary
