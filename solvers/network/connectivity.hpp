#pragma once
#include <mpi.h>

#include <array>
#include <vector>

#include "solvers/network/graph.hpp"
#include "solvers/network/share.hpp"

namespace sanctuary {

/// Block (biconnected component, Hopcroft and Tarjan 1973, Commun ACM 16:372) of each edge of a graph with `vertices`
/// vertices; parallel edges are allowed, self loops are not. Blocks are numbered from 0.
[[nodiscard]] std::vector<long> blocks_of(long vertices, const std::vector<std::array<long, 2>>& edges);

/// can_carry_flow of a network that is spread over ranks, for the segments of this rank. Each rank finds the blocks of
/// its own share and hands rank 0 one edge or ring per block that links nodes shared between ranks, which has the same
/// cycles through these nodes; so rank 0 handles no more than the ranks share of nodes. Collective.
[[nodiscard]] std::vector<bool> can_carry_flow(MPI_Comm comm, const VesselGraph& share, const NodeRoles& roles);

/// Connected pieces of a network that is spread over ranks.
struct Pieces {
  long count = 0;             ///< isolated nodes are pieces of their own
  double longest_length = 0;  ///< length of segments in the longest piece [m]
};
/// Lengths are added exactly, in units of 2^-100 m. Collective.
[[nodiscard]] Pieces pieces_of(MPI_Comm comm, const VesselGraph& share, const NodeRoles& roles);

}  // namespace sanctuary
