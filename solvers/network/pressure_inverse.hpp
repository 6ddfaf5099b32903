#pragma once
#include <span>
#include <string>
#include <vector>

#include "solvers/network/network_laplacian.hpp"
#include "solvers/network_inverse.hpp"

namespace sanctuary {

/// Approximate inverse for pressures of a network that leaks, as coupled to the tissue: with conductance g of the
/// pieces and w of their walls, of which each end takes half, a piece couples its nodes by -(g - w/4), each of which
/// has g + w/4 on its diagonal: a graph with edges g - w/4 held at both ends by w/2. Chains are eliminated exactly,
/// what is left gets one multigrid cycle (see NetworkLaplacian). Symmetric and positive.
class PressureInverse : public NetworkInverse {
 public:
  /// Borrows the network. `prefix`: of the options.
  PressureInverse(const CutNetwork& network, const std::string& prefix)
      : network_(&network), laplacian_(network, prefix) {}
  /// Conductances of all local pieces, of the walls of the own pieces [m^3/(Pa s)], and which local nodes have a given
  /// pressure. Collective; `set` with the matrix follows.
  void set_conductance(std::span<const double> conductance, std::span<const double> wall, std::span<const char> fixed);
  [[nodiscard]] const NetworkLaplacian& laplacian() const { return laplacian_; }

 private:
  void set_impl(Mat network) override;
  void apply_impl(Vec in, Vec out) const override;

  const CutNetwork* network_;
  mutable NetworkLaplacian laplacian_;
  std::vector<char> fixed_;
  std::vector<double> fixed_diagonal_;
};

}  // namespace sanctuary
