#include "outcomes/regions.hpp"

#include <algorithm>
#include <array>

namespace sanctuary {

Regions find_regions(MPI_Comm comm, const CellBox& box, const std::vector<char>& marked, long least) {
  const Components found = find_components(comm, box, marked, Neighbours::corners);
  Regions result;
  for (const Component& component : found.share) {
    if (component.cells >= least) {
      ++result.count;
      result.largest = std::max(result.largest, component.cells);
    } else {
      ++result.dropped;
      result.dropped_cells += component.cells;
    }
  }
  std::array<long, 3> sums{result.count, result.dropped, result.dropped_cells};
  MPI_Allreduce(MPI_IN_PLACE, sums.data(), 3, MPI_LONG, MPI_SUM, comm);
  MPI_Allreduce(MPI_IN_PLACE, &result.largest, 1, MPI_LONG, MPI_MAX, comm);
  result.count = sums[0];
  result.dropped = sums[1];
  result.dropped_cells = sums[2];
  result.kept.assign(marked.size(), 0);
  result.number.assign(marked.size(), -1);
  for (std::size_t c = 0; c < marked.size(); ++c) {
    const std::int32_t part = found.part[c];
    result.kept[c] = part != Components::none && found.here[static_cast<std::size_t>(part)].cells >= least;
    // Components are numbered by size, so that the kept ones are the first.
    if (result.kept[c]) result.number[c] = static_cast<std::int32_t>(found.number(c));
  }
  return result;
}

}  // namespace sanctuary
