#pragma once
#include <memory>
#include <vector>

#include "solvers/coupled.hpp"
#include "solvers/network/convection.hpp"
#include "solvers/network/flow.hpp"
#include "tissue/oxygen_formulas.hpp"

namespace sanctuary {

/// Oxygen in tissue and blood, and what moved. Amounts are volumes of O2 per time [m^3/s].
struct OxygenState {
  VecHandle cells;                     ///< pO2 of the cells [Pa]
  std::vector<double> node_pressure;   ///< pO2 of the blood at each local node [Pa]
  std::vector<double> piece_pressure;  ///< at the outlet of each own piece [Pa]
  double blood_in = 0, blood_out = 0, walls_in = 0, walls_out = 0, supplied = 0, used = 0;
  double imbalance = 0;  ///< of blood plus tissue over what enters
  int newton = 0, linear = 0;
  double residual = 0;
};

/// Steady oxygen (M22): carried by plasma and haemoglobin along the network and mixed as content at nodes; leaves
/// through the intravascular resistance and the exchange of the embedded network (exchange.hpp); diffuses and is used
/// by Michaelis-Menten kinetics in the tissue. Newton's method on cells and network together; the law of use goes on
/// linearly below zero, so that every iterate is defined. Collective.
class OxygenSolver {
 public:
  /// `network` and `flow` may be null: no vessels.
  OxygenSolver(const Grid& grid, const EmbeddedNetwork* network, const FlowSolver* flow);

  /// `use`: M0 of each owned cell [1/s]; `walls` in Pa. Starts from `state` where it holds a solution. Throws
  /// NumericsError when Newton's method fails.
  void solve(const OxygenSettings& settings, const Walls& walls, const std::vector<double>& use, const BloodFlow& blood,
             OxygenState& state);

  double tolerance = 1e-12;  ///< diagonally scaled true residual

 private:
  const Grid* grid_;
  const EmbeddedNetwork* network_;
  const FlowSolver* flow_;
  CellOperator op_;
  CoupledSolver solver_;
  std::unique_ptr<NetworkMatrices> matrices_;
};

}  // namespace sanctuary
