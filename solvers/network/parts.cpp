#include "solvers/network/parts.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "base/comm.hpp"

namespace sanctuary {

NetworkParts::NetworkParts(const CutNetwork& network, std::span<const char> open)
    : network_(&network), set_(network.nodes()), label_(network.node_number) {
  std::iota(set_.begin(), set_.end(), std::size_t{0});
  const auto root = [&](std::size_t n) {
    while (set_[n] != n) n = set_[n] = set_[set_[n]];
    return n;
  };
  for (std::size_t p = 0; p < network.pieces(); ++p) {
    if (!open[p]) continue;
    const std::size_t a = root(static_cast<std::size_t>(network.piece_nodes[p][0])),
                      b = root(static_cast<std::size_t>(network.piece_nodes[p][1]));
    set_[std::max(a, b)] = std::min(a, b);
  }
  for (std::size_t n = 0; n < set_.size(); ++n) set_[n] = root(n);
  lowest(label_);
}

void NetworkParts::lowest(std::span<long> values) const {
  for (bool changed = true; changed;) {
    std::vector<long> before(values.begin(), values.end());
    for (std::size_t n = 0; n < set_.size(); ++n) values[set_[n]] = std::min(values[set_[n]], values[n]);
    for (std::size_t n = 0; n < set_.size(); ++n) values[n] = values[set_[n]];
    network_->node_halo.lower(values);
    changed = !std::equal(before.begin(), before.end(), values.begin());
    changed = max_over(network_->comm, changed ? 1 : 0) > 0;
  }
}

std::vector<std::size_t> set_missing_levels(CutNetwork& network, double pressure) {
  const NetworkParts parts(network, std::vector<char>(network.pieces(), 1));
  constexpr long none = std::numeric_limits<long>::max();
  // Doubles as whole numbers of the same order.
  const auto ordered = [](double value) {
    const auto bits = std::bit_cast<long>(value);
    return bits < 0 ? std::numeric_limits<long>::min() - bits : bits;
  };
  std::vector<long> no_pressure(network.nodes()), flow(network.nodes(), none), number(network.nodes(), none);
  for (std::size_t n = 0; n < network.nodes(); ++n) {
    no_pressure[n] = network.boundary[n] == BoundaryKind::pressure ? 0 : 1;
    if (network.boundary[n] == BoundaryKind::flow) flow[n] = ordered(network.boundary_value[n]);
  }
  parts.lowest(no_pressure);
  parts.lowest(flow);
  for (std::size_t n = 0; n < network.nodes(); ++n) {
    if (network.boundary[n] == BoundaryKind::flow && ordered(network.boundary_value[n]) == flow[n])
      number[n] = network.node_number[n];
  }
  parts.lowest(number);
  std::vector<std::size_t> changed;
  for (std::size_t n = 0; n < network.nodes(); ++n) {
    if (no_pressure[n] == 0 || flow[n] == none || number[n] != network.node_number[n]) continue;
    network.boundary[n] = BoundaryKind::pressure;
    network.boundary_value[n] = pressure;
    if (n < network.own_nodes) changed.push_back(n);
  }
  return changed;
}

std::vector<long> parts_without_pressure(const CutNetwork& network) {
  const NetworkParts parts(network, std::vector<char>(network.pieces(), 1));
  std::vector<long> no_pressure(network.nodes());
  for (std::size_t n = 0; n < network.nodes(); ++n)
    no_pressure[n] = network.boundary[n] == BoundaryKind::pressure ? 0 : 1;
  parts.lowest(no_pressure);
  std::vector<std::vector<long>> found(static_cast<std::size_t>(size_of(network.comm)));
  for (std::size_t n = 0; n < network.own_nodes; ++n) {
    if (no_pressure[n] == 1 && parts.label()[n] == network.node_number[n]) found[0].push_back(network.node_key[n][1]);
  }
  std::vector<long> all;
  for (const auto& list : exchange_lists(network.comm, found)) all.insert(all.end(), list.begin(), list.end());
  return all;
}

}  // namespace sanctuary
