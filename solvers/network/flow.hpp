#pragma once
#include <algorithm>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "solvers/network/blood_flow.hpp"
#include "solvers/network/network_laplacian.hpp"
#include "solvers/network/red_cells.hpp"

namespace sanctuary {

/// Poiseuille flow with haematocrit (Pries and Secomb): pressures from conductances, red cells swept from high to low
/// pressure, viscosity from both, to a fixed point: a few relaxed rounds, then Newton's method in pseudo-time (each
/// round one solve for the pressures and some ten cycles of its preconditioner), which follows the haematocrit to a
/// steady state whether or not plain repetition would settle there. What counts as settled is the change under one full
/// round without any damping.
/// Pressures are found as well as the haematocrit is known; the last ones to rounding. Each rank works on its part of
/// the network; the sweep crosses from rank to rank in flow order, so that its result does not depend on how the
/// network is dealt out. All functions but the queries are collective.
class FlowSolver {
 public:
  /// `radius` of each local piece [m]; 0: closed. Throws InputError when a connected part has flow boundaries but no
  /// pressure boundary to fix its level, or when no boundary pressure is given at all. Borrows the network.
  FlowSolver(const CutNetwork& network, std::vector<double> radius, BloodLaws laws);

  /// Takes other radii (vessels compressed, collapsed or reopened). Parts that closed vessels cut off from every
  /// pressure carry no flow: flows given at their boundaries are left out.
  void set_radius(std::vector<double> radius);
  /// Factors of the conductance of each local piece (vasomotion); empty: none. Not collective.
  void set_conductance_factor(std::vector<double> factor) { factor_ = std::move(factor); }

  /// What comes next does not hang on what was solved before (a preconditioner may outlive its matrix). Not collective.
  void forget() { laplacian_ = std::make_unique<NetworkLaplacian>(*network_, "flow_"); }

  /// Steady flow at given leaks (zero, or what the tissue takes from each piece), starting from the haematocrits in
  /// `state` (empty: the inlet haematocrit). Not converged within `max_iterations`: the state says so, and is the one
  /// nearest to steady: its flows, leaks and red cells balance all the same.
  void solve(BloodFlow& state, double tolerance = 2e-9, int max_iterations = 300) const;
  /// Poiseuille conductance of each local piece [m^3/(Pa s)]. Not collective.
  [[nodiscard]] std::vector<double> conductance(const std::vector<double>& haematocrit) const;
  /// Pressures (near those given, if any), flows and boundary inflow from leaks and conductances.
  /// `tolerance`: of the imbalances, see NetworkLaplacian::solve.
  void flows_at(const std::vector<double>& conductance, BloodFlow& state, double tolerance = 1e-13) const;
  /// Red cells and haematocrits from flows and leaks.
  void sweep(BloodFlow& state) const;
  /// Largest change of a haematocrit against another one; where flow all but stands it counts by its share of 1e-3 of
  /// the largest flow.
  [[nodiscard]] double weighted_change(const BloodFlow& state, const std::vector<double>& haematocrit) const;
  /// Fills the imbalances.
  void balance(BloodFlow& state) const;
  [[nodiscard]] const CutNetwork& network() const { return *network_; }
  [[nodiscard]] const std::vector<double>& radius() const { return radius_; }
  /// Radius of a local piece for what its blood holds and passes on [m]: a closed vessel counts as a thread of 0.1 um,
  /// whose still content settles with the tissue.
  [[nodiscard]] double lumen_radius(std::size_t piece) const { return std::max(radius_[piece], 1e-7); }
  [[nodiscard]] const BloodLaws& laws() const { return laws_; }
  /// True for local nodes whose pressure is given: a pressure boundary, or one node of a part without any.
  [[nodiscard]] const std::vector<char>& fixed() const { return fixed_; }
  /// Flow given at each own node by the boundary (0 where it is cut off) [m^3/s].
  [[nodiscard]] double given_flow(std::size_t node) const {
    return network_->boundary[node] == BoundaryKind::flow && !cut_off_[node] ? network_->boundary_value[node] : 0.0;
  }
  /// True for local nodes that no open piece joins to a given pressure: their pressure means nothing, blood stands.
  [[nodiscard]] const std::vector<char>& cut_off() const { return cut_off_; }
  /// Parts of the network that closed vessels cut off although blood is to flow through their boundary.
  [[nodiscard]] long cut_off_parts() const { return cut_off_parts_; }
  /// The solver for pressures, for its counts.
  [[nodiscard]] const NetworkLaplacian& laplacian() const { return *laplacian_; }

 private:
  class NewtonSteps;
  void find_parts(bool strict);
  /// Fills what `state` says of its changes against the haematocrits that gave the resistances.
  void judge(const std::vector<double>& used, BloodFlow& state) const;
  const CutNetwork* network_;
  std::vector<double> radius_, factor_;
  BloodLaws laws_;
  std::vector<char> fixed_, cut_off_;
  long cut_off_parts_ = 0;
  PiecesAtNodes at_node_;
  std::unique_ptr<NetworkLaplacian> laplacian_;
};

}  // namespace sanctuary
