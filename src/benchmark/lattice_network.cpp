#include "benchmark/lattice_network.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/comm.hpp"
#include "base/random.hpp"

namespace sanctuary {

VesselGraph lattice_share(MPI_Comm comm, long segments, std::uint64_t seed) {
  constexpr double spacing = 60e-6, jitter = 0.3, median_radius = 4e-6, radius_scatter = 0.3, open_share = 0.25,
                   mmhg = 133.322387415, arteriole = 60 * mmhg, venule = 15 * mmhg;
  constexpr double segments_per_node = 1.5;
  const long side = std::max(2L, std::lround(std::cbrt(static_cast<double>(segments) / segments_per_node)));
  const double kept = segments_per_node / 3 * static_cast<double>(side) / static_cast<double>(side - 1);
  const RandomStream place(seed, "lattice.place"), edge(seed, "lattice.edge"), radius(seed, "lattice.radius"),
      open(seed, "lattice.open");
  VesselGraph share;
  const long ranks = size_of(comm), rank = rank_of(comm), first = side * rank / ranks, last = side * (rank + 1) / ranks;
  const auto id = [side](long i, long j, long k) { return i + side * (j + side * k); };
  // Nodes of the planes, and of the next plane where an edge leads there.
  std::vector<long> local(static_cast<std::size_t>(side * side * std::max(0L, last - first + 1)), -1);
  const auto node = [&](std::array<long, 3> at) {
    const long number = id(at[0], at[1], at[2]);
    long& known = local[static_cast<std::size_t>(number - id(0, 0, first))];
    if (known >= 0) return known;
    std::array<double, 3> where{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double push = place.uniform(3 * static_cast<std::uint64_t>(number) + axis, -jitter, jitter);
      where[axis] = spacing * (static_cast<double>(at[axis]) + 0.5 + push);
    }
    known = share.add_node(where, number);
    const bool artery = at[0] == 0, vein = at[0] == side - 1;
    if ((artery || vein) && open.uniform(static_cast<std::uint64_t>(number)) < open_share)
      share.set_boundary(known, BoundaryKind::pressure, artery ? arteriole : venule);
    return known;
  };
  for (long k = first; k < last; ++k) {
    for (long j = 0; j < side; ++j) {
      for (long i = 0; i < side; ++i) {
        const std::array<long, 3> here{i, j, k};
        const long from = node(here);
        for (std::size_t axis = 0; axis < 3; ++axis) {
          if (here[axis] + 1 == side) continue;
          const long number = 3 * id(i, j, k) + static_cast<long>(axis);
          const auto draw = static_cast<std::uint64_t>(number);
          if (edge.uniform(draw) >= kept) continue;
          std::array<long, 3> next = here;
          ++next[axis];
          share.add_segment(from, node(next), radius.lognormal(draw, median_radius, radius_scatter), number);
        }
      }
    }
  }
  return share;
}

}  // namespace sanctuary
