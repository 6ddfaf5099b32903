#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/parameter.hpp"
#include "solvers/network/morphometry.hpp"

namespace sanctuary {

/// Wall shear stress [Pa] that vessels of the rat mesentery keep at a blood pressure [Pa]: 100 - 86
/// exp(-5000 (log10 log10 p)^5.4) dyn/cm^2 with p in mmHg, held below 10 mmHg (Pries et al. 1995, Circ Res 77:1017).
[[nodiscard]] inline double shear_at_pressure(double pressure) {
  constexpr double mmhg = 133.322387415;
  const double decades = std::log10(std::max(pressure / mmhg, 10.0));
  return 0.1 * (100.0 - 86.0 * std::exp(-5000.0 * std::pow(std::log10(decades), 5.4)));
}

/// How unknown boundary conditions are estimated, in SI units.
struct BoundaryEstimateSettings {
  double target_pressure = 31 * 133.322387415;  ///< [Pa] of all nodes
  bool shear_from_pressure = true;              ///< shear_at_pressure, else target_shear
  double target_shear = 6.35;                   ///< [Pa] magnitude
  double shear_weight = 7.2805e6;               ///< k_tau / k_p at the end: 4.096 (mmHg cm^2/dyn)^2
  bool correct_bias =
      true;            ///< multiplies target shears by mean(tau^2) / mean(|tau|)^2, for least squares shrinks them
  int doublings = 12;  ///< of the weight of shear on its way to shear_weight
  int repeats = 5;     ///< most updates of the directions at one weight; the last weight has last_repeats
  int last_repeats = 200;
  double tolerance = 1e-6;      ///< largest last change of a pressure over the target pressure
  int starts = 1;               ///< random sets of first directions of which the best is kept
  long reduction_limit = 2000;  ///< most unknown nodes to which the system is reduced, see estimate_boundaries
  std::uint64_t seed = 1;       ///< of the first directions
  double haematocrit = 0.45;    ///< discharge haematocrit of all vessels where `segment_haematocrit` is empty
  std::vector<double> segment_haematocrit;
  /// Apparent viscosity [Pa s] at a diameter [m] and a haematocrit. Required.
  std::function<double(double diameter, double haematocrit)> viscosity;
  /// Haematocrit of each segment at the estimated boundary conditions; asked `haematocrit_rounds` times.
  std::function<std::vector<double>(const VesselGraph&)> solve_haematocrit;
  int haematocrit_rounds = 0;
};

/// Boundary conditions that were estimated, and how well they met the targets. Means are weighted by length, over the
/// segments that can carry flow.
struct BoundaryEstimate {
  VesselGraph graph;                   ///< unknown nodes are pressure boundaries; all else as given
  std::vector<double> pressure, flow;  ///< per node [Pa], per segment [m^3/s]; NaN in parts whose level stays open
  long unknown_nodes = 0, known_pressures = 0, known_flows = 0;
  long parts = 0, parts_at_rest = 0;  ///< at rest: no two boundary nodes to flow between; take the target pressure
  long parts_without_level = 0;       ///< no known pressure and no unknown node: left as they are
  long segments_at_rest = 0;          ///< cannot carry flow: dead ends, loops hung on one node, parts at rest
  double lowest_estimate = 0, highest_estimate = 0;   ///< pressures given to unknown nodes [Pa]
  double mean_pressure = 0, pressure_deviation = 0;   ///< mean and root mean square distance to the target [Pa]
  double mean_target_shear = 0, shear_deviation = 0;  ///< [Pa]; the deviation is of the magnitude
  Distribution shear;                                 ///< magnitudes [Pa]
  double bias_factor = 1;                             ///< that multiplied the target shears
  double inflow = 0;                                  ///< into all parts with a level [m^3/s]
  double imbalance = 0;        ///< largest imbalance of a node that is no pressure boundary over `inflow`
  double objective = 0;        ///< mean square deviations, shear times its weight [Pa^2]
  long direction_changes = 0;  ///< of all segments in all updates
  long unsettled = 0;          ///< segments still changing direction when the updates ended
  int solves = 0;              ///< of the constrained least squares
  bool held = false;           ///< targets ran in a cycle with pressures or directions and were held, which settles
  bool converged = false;
  double change = 0;              ///< largest last change of a pressure over the target pressure
  double haematocrit_change = 0;  ///< largest change in the last round of haematocrits
  /// What was done, as lines of text.
  [[nodiscard]] std::string text() const;
};

/// Ends of vessels without a boundary condition within `margin` [m] of a face of `box` (of its sides, where it is
/// flat), ascending; what ends deeper is a blind end.
[[nodiscard]] std::vector<long> open_ends(const VesselGraph& graph, const Box& box, double margin);

/// Estimates the pressures of `unknown` nodes (Fry, Lee, Smith & Secomb 2012, Microcirculation 19:530): minimises
/// sum w (p - p_0)^2 + k sum l (tau - s tau_0)^2, w half the length of vessel at a node, subject to conservation of
/// flow at all other nodes and to the known pressures and flows; the directions s follow the flow while the weight k is
/// doubled up to its last value. Up to `reduction_limit` unknown nodes the least squares are written in their pressures
/// alone (one sparse factorisation, three solves per unknown node, then a dense system); for more, one sparse symmetric
/// system of pressures and Lagrange multipliers is factored at each weight. MUMPS does both, on this process. `graph`
/// is a whole network. Throws InputError for segments without length or radius, for unknown nodes that do not exist or
/// have a condition. Not collective.
[[nodiscard]] BoundaryEstimate estimate_boundaries(const VesselGraph& graph, const std::vector<long>& unknown,
                                                   const BoundaryEstimateSettings& settings);

namespace network {
inline constexpr Parameter estimate_boundaries{
    .key = "network.estimate_boundaries",
    .kind = Kind::flag,
    .value = 0,
    .range = {0, 1},
    .meaning = "Estimate pressures of vessel ends without boundary condition; off: they are blind ends",
    .source = "choice"};
inline constexpr Parameter estimate_margin{
    .key = "network.estimate_margin",
    .unit = "um",
    .value = 1e6,
    .range = {0, 1e6},
    .meaning = "Ends this near a face of the box around the network are open, deeper ones blind",
    .source = "assumed: every end is open, as in Fry 2012"};
inline constexpr Parameter target_pressure{.key = "network.target_pressure",
                                           .unit = "mmHg",
                                           .value = 31,
                                           .range = {1, 150},
                                           .meaning = "Blood pressure that estimated boundary conditions aim at",
                                           .source = "Fry 2012; Secomb FlowEstimateV1, FlowEstParams.dat"};
inline constexpr Parameter target_shear_law{
    .key = "network.target_shear_law",
    .kind = Kind::choice,
    .text = "pressure",
    .choices = "pressure|constant",
    .meaning = "Wall shear stress that the estimate aims at: that of the pressure, or network.target_shear",
    .source = "Pries 1995, Circ Res 77:1017, as in Secomb FlowEstimateV1"};
inline constexpr Parameter target_shear{.key = "network.target_shear",
                                        .unit = "dyn/cm^2",
                                        .value = 63.5,
                                        .range = {0.01, 1000},
                                        .meaning = "Wall shear stress of network.target_shear_law = constant",
                                        .source = "Secomb FlowEstimateV1, FlowEstParams.dat"};
inline constexpr Parameter shear_weight{
    .key = "network.shear_weight",
    .unit = "(mmHg cm^2/dyn)^2",
    .value = 4.096,
    .range = {1e-6, 1e6},
    .meaning = "Weight of squared deviations of shear over that of pressure when the estimate ends",
    .source = "Fry 2012, as told in Secomb FlowEstimateV1, README.md"};
inline constexpr Parameter estimate_haematocrit{
    .key = "network.estimate_haematocrit",
    .value = 0.45,
    .range = {0, 0.8},
    .meaning = "Discharge haematocrit of all vessels while boundary conditions are estimated",
    .source = "assumed: as blood.inlet_haematocrit; Secomb FlowEstimateV1 advises to hold it"};
inline constexpr Parameter estimate_seed{.key = "network.estimate_seed",
                                         .kind = Kind::integer,
                                         .value = 1,
                                         .range = {0, 9007199254740992},
                                         .meaning = "Seed of the first flow directions of the estimate",
                                         .source = "choice"};
inline constexpr Parameter estimate_starts{
    .key = "network.estimate_starts",
    .kind = Kind::integer,
    .value = 1,
    .range = {1, 1000},
    .meaning = "Sets of first flow directions that are tried; the one nearest to the targets is kept",
    .source = "choice"};
}  // namespace network

/// Parameters of the estimate, section `network`.
const Catalogue& boundary_estimate_parameters();

}  // namespace sanctuary
