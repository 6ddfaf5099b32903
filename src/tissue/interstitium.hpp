#pragma once
#include <memory>
#include <vector>

#include "solvers/coupled.hpp"
#include "solvers/network/flow.hpp"
#include "solvers/network/pressure_inverse.hpp"

namespace sanctuary {

/// What the interstitial fluid meets in each owned cell and at each wall of the box.
struct FluidTissue {
  std::vector<double> conductivity;       ///< K [m^2/(Pa s)]
  std::vector<double> lymph_conductance;  ///< L_PL S_L/V [1/(Pa s)]
  double lymph_pressure = 0;              ///< [Pa]
  Walls walls;                            ///< pressure [Pa]
  /// Homogenised vessels, L_p S/V [1/(Pa s)] and effective pressure [Pa]; empty: none (they stand in the network).
  std::vector<double> filtration, effective_pressure;
};

/// What each own piece of vessel lets through.
struct FluidWall {
  std::vector<double> conductance;  ///< L_p times surface [m^3/(Pa s)]
  std::vector<double> oncotic;      ///< sigma_T (pi_v - pi_i) of the blood that enters [Pa]
  /// sigma_T pi_v of the blood that enters [Pa]: grows as filtration concentrates the plasma's proteins. Empty:
  /// constant.
  std::vector<double> protein_oncotic = {};
  /// Mean velocity of blood from which a piece with proteins filters in full, down to nothing at half of it [m/s].
  double filtration_velocity = 0;
};

/// Oncotic pressure of plasma over that at a relative protein concentration of 1: cubic of Landis & Pappenheimer 1963
/// at 6 g/dl (coefficients not checked against the paper).
[[nodiscard]] double relative_oncotic_pressure(double protein);

/// Filtration of a piece [m^3/s] and its slope to the pressure difference, with the proteins of its plasma concentrated
/// by it: J = g (dp - (oncotic + protein_oncotic (f(c) - 1))), c = protein / (plasma - J).
struct Filtration {
  double flow = 0, slope = 0;
};
[[nodiscard]] Filtration concentrating_filtration(double conductance, double pressure_difference, double oncotic,
                                                  double protein_oncotic, double plasma, double protein);

/// Blood flow, interstitial pressure and all that moves between them.
struct FluidState {
  BloodFlow blood;                ///< empty without a network
  VecHandle pressure;             ///< interstitial fluid pressure of the cells [Pa]
  FaceField discharge;            ///< fluid through each face, positive along the axis [m^3/s]
  std::vector<double> lymph;      ///< fluid drained from each owned cell [m^3/s]
  std::vector<double> filtrated;  ///< from homogenised vessels into each owned cell [m^3/s]
  double filtration = 0;          ///< net plasma lost by the vessels [m^3/s]
  double filtration_out = 0;      ///< by those pieces that lose plasma
  double drained = 0;             ///< by lymphatics [m^3/s]
  double walls = 0;               ///< through the walls of the box, outward [m^3/s]
  double plasma_inflow = 0;       ///< plasma entering the network [m^3/s]
  double imbalance = 0;  ///< of the tissue's fluid over the boundary inflow of blood (without: over what flows)
  int outer_iterations = 0, linear_iterations = 0;
  std::array<double, 2> residual{};  ///< diagonally scaled true residual of cells and network
};

/// Fills what follows from pressure, blood flow and leaks of a state: flow through faces, lymph, sums, imbalance.
/// Collective.
void complete_fluid(const Grid& grid, const EmbeddedNetwork* network, const FluidTissue& tissue, FluidState& state);

/// Filtration and interstitial pressure (M04 to M06): Poiseuille flow in the vessels, Starling exchange through their
/// walls and Darcy flow in the tissue, solved as one symmetric system; what leaks is lost by the blood, and the
/// haematocrit follows. Lymph drains where the pressure exceeds its own. Filtration
/// concentrates the proteins of the plasma, whose oncotic pressure in turn ends it before the plasma is spent; blood
/// that stands filters nothing. Collective.
class FluidSolver {
 public:
  /// `network` and `flow` may both be null: tissue alone, with homogenised vessels.
  FluidSolver(const Grid& grid, const EmbeddedNetwork* network, const FlowSolver* flow);

  /// Solves from the state given (a converged one saves work; empty: from the start). Throws NumericsError when no
  /// steady state is reached.
  void solve(const FluidTissue& tissue, const FluidWall& wall, FluidState& state);

  /// Scaled true residual that each solve must reach.
  double tolerance = 1e-13;

 private:
  /// Largest of the given pressures [Pa].
  [[nodiscard]] double scale_of(const FluidTissue& tissue, const FluidWall& wall) const;
  /// Pressures at the filtration `wall` (linear) and the haematocrits of `state`, and the blood flow at these
  /// pressures.
  void solve_pressure(const FluidTissue& tissue, const FluidWall& wall, double scale, const std::vector<char>& draining,
                      Vec nodes, FluidState& state);
  /// Which cells drain lymph at this pressure; true where that is news.
  bool drain(const FluidTissue& tissue, double scale, Vec pressure, std::vector<char>& draining) const;
  /// One step of the haematocrit at the leaks given; true once it stays (or finds no steady state).
  bool settle_haematocrit(BloodFlow& blood) const;
  void assemble(const FluidTissue& tissue, const FluidWall& wall, const std::vector<double>& conductance,
                const std::vector<char>& draining);

  const Grid* grid_;
  const EmbeddedNetwork* network_;
  const FlowSolver* flow_;
  CellOperator op_;
  std::unique_ptr<PressureInverse> inverse_;
  CoupledSolver solver_;
  MatHandle n_;
  std::unique_ptr<VesselExchange> exchange_;
  std::vector<WallConductance> walls_;
  std::vector<LumenLink> links_;
  std::vector<double> constant_leak_;
  VecHandle rhs_cells_, rhs_network_;
};

}  // namespace sanctuary
