#pragma once
#include <mpi.h>

#include <type_traits>
#include <vector>

#include "solvers/network/graph.hpp"

namespace sanctuary {

/// Sends `outgoing[r]` to rank r and returns what arrives, rank after rank; a rank may send to itself. Collective.
template <class T>
[[nodiscard]] std::vector<T> deliver(MPI_Comm comm, const std::vector<std::vector<T>>& outgoing) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (outgoing.size() == 1) return outgoing.front();
  std::vector<int> counts(outgoing.size()), places(outgoing.size()), arriving(outgoing.size()), from(outgoing.size());
  std::vector<T> packed;
  for (std::size_t r = 0; r < outgoing.size(); ++r) {
    counts[r] = static_cast<int>(outgoing[r].size());
    places[r] = static_cast<int>(packed.size());
    packed.insert(packed.end(), outgoing[r].begin(), outgoing[r].end());
  }
  MPI_Alltoall(counts.data(), 1, MPI_INT, arriving.data(), 1, MPI_INT, comm);
  for (std::size_t r = 1; r < from.size(); ++r) from[r] = from[r - 1] + arriving[r - 1];
  std::vector<T> result(static_cast<std::size_t>(from.back() + arriving.back()));
  MPI_Datatype item = MPI_DATATYPE_NULL;
  MPI_Type_contiguous(static_cast<int>(sizeof(T)), MPI_BYTE, &item);
  MPI_Type_commit(&item);
  MPI_Alltoallv(packed.data(), counts.data(), places.data(), item, result.data(), arriving.data(), from.data(), item,
                comm);
  MPI_Type_free(&item);
  return result;
}

/// Sum of a whole number over the ranks. Collective.
[[nodiscard]] long count_over(MPI_Comm comm, long value);

/// Part of a network: the segments of one rank with the nodes they touch, and where these stand in the whole.
struct GraphShare {
  VesselGraph graph;
  std::vector<long> node, segment;  ///< indices in the whole
};
/// The share of `rank` when the segments are dealt out in blocks of equal size by index; isolated nodes belong to the
/// last rank.
[[nodiscard]] GraphShare block_share(const VesselGraph& whole, int rank, int ranks);
/// The share made of the segments for which `mine` is true; isolated nodes come along if `with_isolated`.
[[nodiscard]] GraphShare share_of(const VesselGraph& whole, const std::vector<bool>& mine, bool with_isolated);

/// What a rank knows of its nodes when the whole network is asked.
struct NodeRoles {
  std::vector<long> degree;  ///< segment ends at the node on all ranks; a self loop counts twice
  std::vector<char> shared;  ///< other ranks hold the node too
  std::vector<char> counts;  ///< true on exactly one of the ranks that hold it: the lowest
};
/// Roles of the nodes of a share; nodes meet by their id. Collective.
[[nodiscard]] NodeRoles node_roles(MPI_Comm comm, const VesselGraph& share);
/// The rank at which the ranks meet about a node: spread evenly, whatever the ids.
[[nodiscard]] int meeting_rank(long node_id, int ranks);

}  // namespace sanctuary
