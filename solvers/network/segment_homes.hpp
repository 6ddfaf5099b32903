#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "solvers/network/embedding.hpp"

namespace sanctuary {

/// Whole segments of a CutNetwork, whose pieces may lie on several ranks: each segment is at home on one rank, that of
/// the owner of its midpoint, where values of its pieces and ends meet. All functions but the queries are collective.
class SegmentHomes {
 public:
  /// Borrows the network.
  SegmentHomes(const CutNetwork& network, const ShareOwner& owner);

  /// The segments at home here, with the nodes they touch.
  [[nodiscard]] const VesselGraph& share() const { return share_; }
  /// Order of the segments at home by id, for files. Collective.
  [[nodiscard]] RootOrder order() const;
  /// Mean over the length of each segment at home of values of the own pieces.
  [[nodiscard]] std::vector<double> mean(std::span<const double> of_own_pieces) const;
  /// Values at the first and the second node of each segment at home from values of the local nodes.
  [[nodiscard]] std::vector<std::array<double, 2>> ends(std::span<const double> of_nodes) const;
  /// Values of the segments at home as values of the local pieces, copies included.
  [[nodiscard]] std::vector<double> to_pieces(std::span<const double> of_segments) const;
  /// Nodes of the share get the largest of their values over the ranks that hold them.
  void largest(std::span<double> of_share_nodes) const;

 private:
  /// Things that several ranks know and that meet at one of them.
  struct Meeting {
    std::vector<std::vector<std::size_t>> brought;  // to each rank: local numbers
    std::vector<std::size_t> place, from;           // of what arrives: its place here, the rank it came from
  };
  [[nodiscard]] Meeting meet(const std::vector<std::vector<std::size_t>>& brought, std::span<const long> id,
                             std::span<const long> id_here) const;

  const CutNetwork* network_;
  VesselGraph share_;
  std::vector<std::vector<std::size_t>> own_pieces_;  // of each local segment
  std::vector<std::vector<std::size_t>> pieces_;      // the same with the copies
  Meeting segments_, nodes_;
  std::size_t places_ = 0;  // of nodes that meet here
};

}  // namespace sanctuary
