#include "outcomes/regions.hpp"

#include <algorithm>
#include <limits>

namespace sanctuary {

Regions find_regions(MPI_Comm comm, const CellBox& box, const std::vector<char>& marked, long least) {
  const auto [nx, ny, nz] = box.cells;
  const auto at = [nx = nx, ny = ny](long i, long j, long k) {
    return static_cast<std::size_t>((k * ny + j) * nx + i);
  };
  std::vector<unsigned char> all(static_cast<std::size_t>(nx * ny * nz), 0);
  const auto owned = [&](auto&& visit) {
    std::size_t c = 0;
    for (long k = 0; k < box.size[2]; ++k) {
      for (long j = 0; j < box.size[1]; ++j) {
        for (long i = 0; i < box.size[0]; ++i) visit(c++, at(box.start[0] + i, box.start[1] + j, box.start[2] + k));
      }
    }
  };
  owned([&](std::size_t local, std::size_t global) { all[global] = marked[local] ? 1 : 0; });
  constexpr std::size_t chunk = static_cast<std::size_t>(std::numeric_limits<int>::max());
  for (std::size_t first = 0; first < all.size(); first += chunk) {
    MPI_Allreduce(MPI_IN_PLACE, all.data() + first, static_cast<int>(std::min(chunk, all.size() - first)),
                  MPI_UNSIGNED_CHAR, MPI_MAX, comm);
  }

  // 1: marked, 2: kept, 3: dropped. Each region is flooded once; its cells are then given their fate.
  Regions result;
  std::vector<std::array<long, 3>> region;
  for (long k = 0; k < nz; ++k) {
    for (long j = 0; j < ny; ++j) {
      for (long i = 0; i < nx; ++i) {
        if (all[at(i, j, k)] != 1) continue;
        region.assign(1, {i, j, k});
        all[at(i, j, k)] = 2;
        for (std::size_t head = 0; head < region.size(); ++head) {
          const auto [x, y, z] = region[head];
          for (long c = std::max(0L, z - 1); c <= std::min(nz - 1, z + 1); ++c) {
            for (long b = std::max(0L, y - 1); b <= std::min(ny - 1, y + 1); ++b) {
              for (long a = std::max(0L, x - 1); a <= std::min(nx - 1, x + 1); ++a) {
                if (all[at(a, b, c)] != 1) continue;
                all[at(a, b, c)] = 2;
                region.push_back({a, b, c});
              }
            }
          }
        }
        const auto cells = static_cast<long>(region.size());
        if (cells >= least) {
          ++result.count;
          result.largest = std::max(result.largest, cells);
        } else {
          ++result.dropped;
          result.dropped_cells += cells;
          for (const auto& [x, y, z] : region) all[at(x, y, z)] = 3;
        }
      }
    }
  }
  result.kept.assign(marked.size(), 0);
  owned([&](std::size_t local, std::size_t global) { result.kept[local] = all[global] == 2; });
  return result;
}

}  // namespace sanctuary
