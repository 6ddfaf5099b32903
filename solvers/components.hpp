#pragma once
#include <mpi.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "solvers/grid.hpp"

namespace sanctuary {

/// Where the cells of a rank lie in the box; x runs fastest. Sizes may be 0.
struct CellBox {
  std::array<long, 3> start{}, size{}, cells{};
};

/// Which cells of a cell's surroundings count as its neighbours.
enum class Neighbours {
  faces = 1,    ///< 6: those that share a face
  edges = 2,    ///< 18: or an edge
  corners = 3,  ///< 26: or a corner
};

/// A connected set of marked cells.
struct Component {
  long number = 0;              ///< by size, largest first; of equal size, the one with the smaller `first` first
  long cells = 0;               ///< how many
  long first = 0;               ///< smallest number of its cells in the box, x fastest
  std::array<long, 3> lower{};  ///< smallest place of its cells along each axis
  std::array<long, 3> upper{};  ///< largest place of its cells along each axis
  std::array<bool, 6> touches_wall{};  ///< -x, +x, -y, +y, -z, +z
};

/// The connected components of a set of cells spread over ranks; the same on any number of ranks.
struct Components {
  static constexpr std::int32_t none = -1;
  /// Of each owned cell: its component's place in `here`, or `none`.
  std::vector<std::int32_t> part;
  /// The components that have a cell on this rank, in the order of their first cells here; each describes the whole.
  std::vector<Component> here;
  /// A share of all components, in the order of their numbers and rank after rank: each component is on one rank.
  std::vector<Component> share;
  /// Number of components on all ranks.
  long count = 0;

  /// Number of the component of an owned cell, or -1.
  [[nodiscard]] long number(std::size_t cell) const {
    return part[cell] == none ? -1 : here[static_cast<std::size_t>(part[cell])].number;
  }
  /// The `most` largest components (fewer where there are fewer), on every rank. Collective.
  [[nodiscard]] std::vector<Component> largest(MPI_Comm comm, long most) const;
};

/// Finds the components of the cells of which `marked` is not 0 (owned cells). Union-find on each rank (Wu, Otoo and
/// Suzuki 2009, Pattern Anal Appl 12:117); labels of the cells at the faces between ranks are exchanged once; their
/// union over the ranks takes about log2 of the number of crossings rounds (Zhang, Azad and Buluc 2020, SIAM PP), in
/// which each rank sends a few numbers per pair of components that touch at its faces; numbers by sorting on samples.
/// Memory: 4 bytes per owned cell, 0.6 kB per component on the rank and 0.6 kB per rank. Collective. Throws InputError
/// where a rank owns more than 2^31 - 1 cells.
[[nodiscard]] Components find_components(const Grid& grid, std::span<const char> marked, Neighbours neighbours);
/// The same for boxes of cells that together cover the whole without overlap.
[[nodiscard]] Components find_components(MPI_Comm comm, const CellBox& box, std::span<const char> marked,
                                         Neighbours neighbours);

}  // namespace sanctuary
