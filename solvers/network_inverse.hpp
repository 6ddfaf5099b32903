#pragma once
#include "solvers/petsc.hpp"

namespace sanctuary {

/// What stands in for the inverse of the network's block of a CoupledSolver, inside a Krylov method.
class NetworkInverse {
 public:
  virtual ~NetworkInverse() = default;
  /// Takes new coefficients; `network` is borrowed until the next call. Collective.
  void set(Mat network) { set_impl(network); }
  /// out = approximate inverse times in; the same linear map until the next `set`. Collective.
  void apply(Vec in, Vec out) const { apply_impl(in, out); }

 private:
  virtual void set_impl(Mat network) = 0;
  virtual void apply_impl(Vec in, Vec out) const = 0;
};

}  // namespace sanctuary
