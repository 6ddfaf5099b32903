#include "solvers/network/pressure_inverse.hpp"

#include <algorithm>

namespace sanctuary {

void PressureInverse::set_conductance(std::span<const double> conductance, std::span<const double> wall,
                                      std::span<const char> fixed) {
  const CutNetwork& net = *network_;
  std::vector<double> leak(net.pieces(), 0.0), weight(net.pieces(), 0.0), excess(net.own_nodes, 0.0);
  std::copy_n(wall.begin(), net.own_pieces, leak.begin());
  net.piece_halo.update(std::span<double>(leak));
  for (std::size_t p = 0; p < net.pieces(); ++p) {
    // Walls that conduct more than the lumen would make the edge negative: then it only counts on the diagonal.
    weight[p] = std::max(conductance[p] - 0.25 * leak[p], 0.0);
    for (const long end : net.piece_nodes[p]) {
      const auto n = static_cast<std::size_t>(end);
      if (n < net.own_nodes) excess[n] += conductance[p] + 0.25 * leak[p] - weight[p];
    }
  }
  fixed_.assign(fixed.begin(), fixed.end());
  laplacian_.set(weight, excess, fixed_);
}

void PressureInverse::set_impl(Mat network) {
  VecHandle diagonal;
  petsc(MatCreateVecs(network, nullptr, diagonal.out()));
  petsc(MatGetDiagonal(network, diagonal.get()));
  const ReadAccess d(diagonal.get());
  fixed_diagonal_.assign(d.data(), d.data() + network_->own_nodes);
}

void PressureInverse::apply_impl(Vec in, Vec out) const {
  const ReadAccess r(in);
  const WriteAccess z(out);
  laplacian_.precondition({r.data(), network_->own_nodes}, {z.data(), network_->own_nodes});
  for (std::size_t n = 0; n < network_->own_nodes; ++n) {
    if (fixed_[n]) z[n] = r[n] / fixed_diagonal_[n];
  }
}

}  // namespace sanctuary
