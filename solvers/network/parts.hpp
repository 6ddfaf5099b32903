#pragma once
#include <span>
#include <vector>

#include "solvers/network/embedding.hpp"

namespace sanctuary {

/// Connected parts of a network over all ranks. Borrows the network.
class NetworkParts {
 public:
  /// `open` of each local piece: closed ones do not connect. Collective.
  NetworkParts(const CutNetwork& network, std::span<const char> open);
  /// Lowest node number in the part of each local node.
  [[nodiscard]] const std::vector<long>& label() const { return label_; }
  /// Replaces values of the local nodes (equal on copies) by the lowest in their part. Collective.
  void lowest(std::span<long> values) const;

 private:
  const CutNetwork* network_;
  std::vector<std::size_t> set_;  // of each local node: representative among those that local pieces connect
  std::vector<long> label_;
};

/// In each part with boundary flows and no boundary pressure the largest outlet takes a pressure [Pa] in place of its
/// flow. Returns the own nodes that did. Collective.
std::vector<std::size_t> set_missing_levels(CutNetwork& network, double pressure);

/// Ids of nodes, one in each connected part without a boundary pressure, on rank 0. Collective.
[[nodiscard]] std::vector<long> parts_without_pressure(const CutNetwork& network);

}  // namespace sanctuary
