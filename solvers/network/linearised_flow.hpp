#pragma once
#include <span>
#include <vector>

#include "solvers/elliptic.hpp"
#include "solvers/network/network_laplacian.hpp"
#include "solvers/network/red_cells.hpp"
#include "solvers/petsc.hpp"

namespace sanctuary {

/// The linear system of a Newton step of blood flow: changes of pressure at the nodes, from which red cells and with
/// them resistances follow exactly in the order of the flow, so that blood is balanced. GMRES with the inverse of the
/// pressures at fixed resistances as preconditioner (one multigrid cycle). Options prefix: `flow_newton_`. Collective.
class LinearisedFlow {
 public:
  /// Borrows all.
  LinearisedFlow(const CutNetwork& network, RedCells& red_cells, NetworkLaplacian& laplacian,
                 std::span<const char> fixed);
  /// Change of the haematocrits that give the conductances, of each local piece; see RedCells::linearise. `tolerance`:
  /// of the 2-norm of the imbalances of blood, relative.
  SolveReport solve(const BloodFlow& state, std::span<const double> used, std::span<const double> conductance,
                    std::span<const float> drag, double tolerance, std::span<double> change);

 private:
  void multiply(Vec in, Vec out);
  void precondition(Vec in, Vec out);

  const CutNetwork* network_;
  RedCells* red_cells_;
  NetworkLaplacian* laplacian_;
  std::span<const char> fixed_;
  std::vector<double> pressure_;
  MatHandle matrix_;
  KspHandle ksp_;
  VecHandle unknown_, right_;
};

}  // namespace sanctuary
