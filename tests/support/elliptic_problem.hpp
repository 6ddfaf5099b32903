#pragma once
#include <array>
#include <cmath>
#include <vector>

#include "base/random.hpp"
#include "solvers/operator.hpp"

namespace sanctuary::test {

/// One number in (0, 1) for each cell of a box, whatever the ranks.
inline double noise(const Grid& grid, const std::array<long, 3>& cell, const char* purpose) {
  const auto& n = grid.spec().cells;
  return RandomStream(11, purpose).uniform(static_cast<std::uint64_t>((cell[2] * n[1] + cell[1]) * n[0] + cell[0]));
}

/// Conductivity of each owned cell: rough (log-uniform over `contrast`) on top of a smooth wave.
inline std::vector<double> rough_field(const Grid& grid, double contrast) {
  std::vector<double> k(grid.local_cells());
  for (std::size_t c = 0; c < k.size(); ++c) {
    const auto place = grid.place(c);
    double wave = 0;
    for (std::size_t a = 0; a < 3; ++a) {
      wave += std::sin(7.0 * (static_cast<double>(place[a]) + 0.5) / static_cast<double>(grid.spec().cells[a]));
    }
    const double share = 0.5 * (noise(grid, place, "conductivity") - 0.5) + wave / 12;
    k[c] = std::pow(contrast, share);
  }
  return k;
}

/// A right-hand side of numbers around one.
inline VecHandle noisy_source(const Grid& grid) {
  VecHandle f = grid.vector();
  const WriteAccess values(f.get());
  for (std::size_t c = 0; c < grid.local_cells(); ++c)
    values[c] = grid.cell_volume() * (0.5 + noise(grid, grid.place(c), "source"));
  return f;
}

/// A box of cells of edge 1/n along x (times `aspect`).
inline GridSpec box_of(const std::array<long, 3>& cells, const std::array<double, 3>& aspect = {1, 1, 1}) {
  GridSpec spec;
  spec.cells = cells;
  for (std::size_t a = 0; a < 3; ++a) spec.spacing[a] = aspect[a] / static_cast<double>(cells[0]);
  return spec;
}

}  // namespace sanctuary::test
