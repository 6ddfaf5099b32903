#include "solvers/network/parts.hpp"

#include <algorithm>
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

}  // namespace sanctuary
