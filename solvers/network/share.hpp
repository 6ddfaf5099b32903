#pragma once
#include <mpi.h>

#include <functional>
#include <span>
#include <type_traits>
#include <vector>

#include "solvers/network/graph.hpp"

namespace sanctuary {

/// A network on several ranks is dealt out in shares: on each rank a VesselGraph that holds some of the segments, with
/// the nodes that they touch (and nodes without any segment, each on one rank). Ids join the shares: a node that
/// segments of several ranks touch stands on each of them with equal data. On one rank the share is the whole network.

/// Rank that looks after a point of the tissue; the same on every rank.
using ShareOwner = std::function<int(const std::array<double, 3>&)>;

/// Calls `visit` with each rank that must see segment `s` of `graph`.
using SeenBy = std::function<void(const VesselGraph& graph, long s, const std::function<void(int)>& visit)>;

/// From shares to what each rank sees: every segment goes to all ranks that `seen_by` names, nodes without a segment to
/// the owner of their place. A segment is taken from one share only. Collective.
[[nodiscard]] VesselGraph spread(MPI_Comm comm, const VesselGraph& share, const ShareOwner& owner,
                                 const SeenBy& seen_by);

/// The network with rank 0 holding all of it and the others nothing, from a copy that is whole on rank 0. Not
/// collective.
[[nodiscard]] VesselGraph share_of_root(MPI_Comm comm, const VesselGraph& graph);

/// The whole network on rank 0, nodes and segments by rising id; empty on the other ranks. Collective.
[[nodiscard]] VesselGraph gathered(MPI_Comm comm, const VesselGraph& share);

/// Cuts the space into one region per rank by recursive bisection at the median of the segments' midpoints, so that
/// each rank owns about as many. Collective.
[[nodiscard]] ShareOwner balanced_owner(MPI_Comm comm, const VesselGraph& share);

/// Values of things that the ranks own, brought to rank 0 in the order of their keys and back.
class RootOrder {
 public:
  RootOrder() = default;
  /// `keys`: of the owned things, unique over all ranks. Collective.
  RootOrder(MPI_Comm comm, std::span<const std::array<long, 2>> keys);
  /// All values in the order of the keys on rank 0, nothing elsewhere. Collective.
  [[nodiscard]] std::vector<double> gather(std::span<const double> owned) const;
  /// The owned values from all of them on rank 0 (ignored elsewhere). Collective.
  [[nodiscard]] std::vector<double> scatter(std::span<const double> all) const;
  /// Things over all ranks.
  [[nodiscard]] long size() const { return size_; }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
  long size_ = 0;
  std::size_t owned_ = 0;
  std::vector<long> count_;               // rank 0: things of each rank
  std::vector<std::vector<long>> place_;  // rank 0: of each thing of each rank
};

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
