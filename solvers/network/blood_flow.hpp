#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <vector>

#include "solvers/network/embedding.hpp"
#include "solvers/network/phase_separation.hpp"
#include "solvers/network/rheology.hpp"

namespace sanctuary {

/// How blood resists and how red cells divide; the formulas stand in rheology.hpp and phase_separation.hpp.
struct BloodLaws {
  Rheology rheology;
  SplitLaw separation;
  double inlet_haematocrit = 0.45;  ///< where a boundary node states none
  /// In place of `rheology`, if set: apparent viscosity [Pa s] of blood in a vessel of a diameter [m] at a discharge
  /// haematocrit.
  std::function<double(double diameter, double haematocrit)> viscosity;
  /// In place of `separation`, if set: discharge haematocrits of the daughters from the feed: (haematocrit of the feed,
  /// mean diameter of the feeding vessels, flows out, diameters out) -> haematocrits out. Conserves red cells; depends
  /// on ratios of the flows alone.
  std::function<void(double, double, std::span<const double>, std::span<const double>, std::span<double>)> split;

  /// Apparent viscosity [Pa s]. Filtration can thicken blood that all but stands beyond what the law knows.
  [[nodiscard]] double apparent_viscosity(double diameter, double haematocrit) const {
    constexpr double densest = 0.95;
    return viscosity ? viscosity(diameter, haematocrit)
                     : sanctuary::apparent_viscosity(rheology, diameter, std::min(haematocrit, densest));
  }
};

/// Blood flow on a CutNetwork: values of its local nodes and pieces, copies included. Flows are positive from the first
/// to the second node of a piece.
struct BloodFlow {
  std::vector<double> pressure;     ///< of each node [Pa]
  std::vector<double> remainder;    ///< of the pressures, below their rounding [Pa]
  std::vector<double> flow;         ///< at the middle of each piece [m^3/s]
  std::vector<double> leak;         ///< plasma lost through the wall of each piece [m^3/s]
  std::vector<double> haematocrit;  ///< discharge haematocrit at the middle of each piece
  std::vector<double> red_cells;    ///< red-cell volume carried along each piece, in the direction of the flow [m^3/s]
  std::vector<double> viscous_haematocrit;  ///< that gave the resistances; equal to `haematocrit` once converged
  std::vector<double>
      protein;  ///< plasma protein flux of each piece over its concentration in the blood that enters [m^3/s]
  std::vector<double> plasma;  ///< plasma entering each piece [m^3/s]; 0 where no blood passes through
  std::vector<double>
      red_inflow;  ///< red cells entering at each node through the boundary; none where no vessel leads on [m^3/s]
  std::vector<double> inflow;  ///< blood entering (positive) or leaving at each node through the boundary [m^3/s]
  bool converged = false;
  bool oscillating = false;  ///< no steady state was found: what moves is told below
  int iterations = 0;
  // Changes of the haematocrit under one full round of pressures and red cells, undamped:
  double change = 0;              ///< the largest (FlowSolver::weighted_change)
  double flux_change = 0;         ///< the mean by flow and length over that of the haematocrit
  double moving_segments = 0;     ///< share of the pieces that change by more than 1e-4 (as in `change`)
  double moving_red_cells = 0;    ///< share of the red-cell flux, by length, in these pieces
  double blood_imbalance = 0;     ///< largest imbalance at a node over the boundary inflow
  double red_cell_imbalance = 0;  ///< boundary red cells in minus out, over in
  /// Red cells that the pieces bring to each own node less those they take from it [m^3/s].
  [[nodiscard]] std::vector<double> red_cells_arriving(const CutNetwork& network) const;
  /// Flow at the first (0) and the second (1) end of a piece, positive from first to second.
  [[nodiscard]] double end_flow(std::size_t piece, int end) const {
    return flow[piece] + (end == 0 ? 0.5 : -0.5) * leak[piece];
  }
};

}  // namespace sanctuary
