#pragma once
#include <mpi.h>

#include <functional>
#include <span>
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

}  // namespace sanctuary
