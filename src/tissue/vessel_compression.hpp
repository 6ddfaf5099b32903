#pragma once
#include <mpi.h>

#include <array>
#include <functional>
#include <span>
#include <vector>

#include "base/deck.hpp"
#include "base/parameter.hpp"
#include "solvers/network/graph.hpp"

namespace sanctuary {

/// How vessels give way to solid stress (M14), in SI units.
struct CompressionSettings {
  double support_immature = 667;    ///< [Pa] external excess pressure at which the walls of an immature vessel touch
  double support_mature = 2666;     ///< [Pa] the same at maturity 1
  double support_arteriole = 8000;  ///< [Pa] the same of an arteriole, whatever its maturity
  double touching = 5.247;          ///< support over the bending stiffness K of the wall
  double reopening = 0.857;         ///< external excess pressure at which a collapsed vessel opens, over its support
  double residual_radius = 0;       ///< radius left in a collapsed vessel over the open one; 0: closed
};

/// External excess pressure [Pa] that a wall bears until opposite sides touch: between immature and mature by
/// geometric interpolation, arterioles on their own.
[[nodiscard]] double wall_support(const CompressionSettings& settings, double maturity, int type);

/// Lumen area over the open one at transmural pressure p [Pa] (blood less interstitial pressure less solid stress) and
/// bending stiffness K [Pa]: 1 for p >= 0, (1 + (p/K)^2)^(-1/3) under it, with continuous derivative; far below zero
/// the similarity law (-p/K)^(-2/3) of flattened tubes (Shapiro 1977, J Biomech Eng 99:126).
[[nodiscard]] double lumen_area_ratio(double transmural, double stiffness);
/// Conductance over the open one of a short stretch: the square of the area ratio, as for circles of the same area.
[[nodiscard]] double lumen_conductance_ratio(double transmural, double stiffness);
/// Mean of `lumen_conductance_ratio` over pressure between the ends of a vessel: with it the flow of a uniform vessel
/// under uniform stress, conductance x pressure drop, is exact, flow limitation included. To rounding.
[[nodiscard]] double mean_conductance_ratio(double first_transmural, double second_transmural, double stiffness);

/// What presses on a segment. [Pa]
struct VesselLoad {
  double support = 0;  ///< see `wall_support`
  double fluid = 0;    ///< interstitial fluid pressure
  double solid = 0;    ///< solid stress, compression positive
};
/// Blood pressure at the two ends of a segment [Pa]; NaN where no open vessel joins the node to a boundary pressure.
using EndPressures = std::array<double, 2>;
/// True if a segment is collapsed: the higher of its transmural pressures lies under -support, or, where it was
/// collapsed before, under -reopening x support. A vessel whose upstream end is held open is not collapsed: it limits
/// flow (Starling's resistor). Where no blood pressure is known, blood is taken to have the pressure of the tissue
/// fluid.
[[nodiscard]] bool collapses(const CompressionSettings& settings, const VesselLoad& load, const EndPressures& pressure,
                             bool was_collapsed);
/// Hydraulic radius over the open one of a segment that is not collapsed, (mean conductance ratio)^(1/4).
[[nodiscard]] double radius_factor(const CompressionSettings& settings, const VesselLoad& load,
                                   const EndPressures& pressure);

/// What a segment does for the flow when some are closed.
enum class SegmentState {
  flowing,   ///< lies on a path between boundary nodes
  standing,  ///< open and joined to a pressure boundary, but without through-flow
  cut_off,   ///< open, but no open vessel leads to a pressure boundary: pressure undefined, blood stands
  closed
};
/// What is left of a network when segments are closed.
struct OpenPart {
  std::vector<SegmentState> state;   ///< of each segment
  std::vector<bool> pressurised;     ///< of each node: joined to a pressure boundary by open segments, or one itself
  std::vector<long> stopped_inlets;  ///< flow boundary nodes that lead to no pressure boundary: their flow stops
  bool any_flow = false;             ///< false: nothing to solve
};
/// Replaces each value of a node by the largest over the ranks that hold the node. Collective.
using SharedNodes = std::function<void(std::vector<double>&)>;
/// Nodes of a share that open segments join to a pressure boundary anywhere in the network: each rank walks its share,
/// then the ranks compare, as often as a way to the farthest node crosses ranks. Empty `largest_over_ranks`: the share
/// is the whole network. Collective on `comm`.
[[nodiscard]] std::vector<bool> pressurised_nodes(MPI_Comm comm, const VesselGraph& share,
                                                  const std::vector<bool>& closed,
                                                  const SharedNodes& largest_over_ranks);
/// Judges a whole graph (not a share) with `closed` marking segments out of use; segments without a positive radius and
/// self loops are closed too.
[[nodiscard]] OpenPart open_part(const VesselGraph& graph, const std::vector<bool>& closed);
/// The flowing and standing segments as a graph on the same nodes, with stopped inlets turned into plain nodes; empty
/// of segments when nothing flows. `kept` receives the index in `graph` of each of its segments.
[[nodiscard]] VesselGraph open_graph(const VesselGraph& graph, const OpenPart& part, std::vector<long>& kept);

/// Radii of the segments of a share, carried from one settling to the next (hysteresis).
struct CompressedRadii {
  std::vector<double> factor;  ///< hydraulic radius over the open one; the residual (or 0) where collapsed
  std::vector<char> collapsed;
};
/// Solves the flow at given radius factors (0: closed) and fills the blood pressures at the ends of the local segments;
/// those of closed segments are the pressures of their nodes.
using PressureSolve = std::function<void(std::span<const double> factor, std::span<EndPressures> pressure)>;
/// How radii and pressures settle.
struct SettleOptions {
  double tolerance = 1e-8;  ///< largest change of the logarithm of a conductance
  int max_iterations = 500;
  int most_turns = 2;  ///< collapses of a segment in one settling; after them it stays open and limits flow
  /// Collapses so far, for settlings that follow each other under one load; null: counted from zero.
  std::vector<int>* turns = nullptr;
};
struct SettleReport {
  bool converged = false;
  bool cycling = false;  ///< stopped because the residual no longer falls; the state is the best that was met
  int iterations = 0;
  double change = 0;       ///< largest change of the logarithm of a conductance in the last iteration
  long collapsed = 0;      ///< segments over all ranks
  long flow_limiting = 0;  ///< open segments over all ranks that would collapse and reopen for ever
};
/// Finds radii that agree with the pressures they give: a fixed point in the logarithm of the conductances, damped
/// segment by segment (the damping doubles where the residual changes sign). `state` may be empty: all open. Each
/// segment belongs to one rank; the result does not depend on the number of ranks beyond `solve`. Collective on `comm`.
SettleReport settle_radii(MPI_Comm comm, const CompressionSettings& settings, std::span<const VesselLoad> load,
                          const PressureSolve& solve, CompressedRadii& state, const SettleOptions& options = {});

namespace compression {
inline constexpr Parameter enabled{.key = "mechanisms.vessel_compression",
                                   .kind = Kind::flag,
                                   .value = 0,
                                   .range = {0, 1},
                                   .meaning = "M14: solid stress narrows and collapses vessels; off: open radii",
                                   .source = "choice"};
inline constexpr Parameter support_immature{
    .key = "vessels.compression.support.immature",
    .unit = "mmHg",
    .value = 5,
    .range = {0.01, 500},
    .meaning = "Solid stress over transmural fluid pressure at which the walls of an immature vessel touch",
    .source =
        "assumed: fragile vessels of tumour cores collapse under growth-induced stress of 10 to 100 mmHg "
        "(Stylianopoulos 2013, Cancer Res 73:3833) with blood and interstitial pressures nearly equal "
        "(Padera 2004, Nature 427:695)"};
inline constexpr Parameter support_mature{
    .key = "vessels.compression.support.mature",
    .unit = "mmHg",
    .value = 20,
    .range = {0.01, 500},
    .meaning = "The same of a mature capillary or venule",
    .source = "assumed: vessels of host tissue around a tumour are deformed, not closed (Stylianopoulos 2013)"};
inline constexpr Parameter support_arteriole{.key = "vessels.compression.support.arteriole",
                                             .unit = "mmHg",
                                             .value = 60,
                                             .range = {0.01, 1000},
                                             .meaning = "The same of an arteriole",
                                             .source = "assumed: a muscular wall, the last to give way"};
inline constexpr Parameter touching{
    .key = "vessels.compression.touching",
    .value = 5.247,
    .range = {3, 100},
    .meaning =
        "Support over the bending stiffness K of the wall, which sets how far a vessel narrows before it collapses",
    .source =
        "assumed: load at which a buckled elastic ring touches itself, attributed to Flaherty, Keller & Rubinow "
        "1972, SIAM J Appl Math 23:446, not verified"};
inline constexpr Parameter reopening{
    .key = "vessels.compression.reopening",
    .value = 0.857,
    .range = {0, 1},
    .meaning = "Load at which a collapsed vessel opens again over that at which it collapses",
    .source = "assumed: recovery 0.60 over threshold 0.70 of the collapse fraction in the public PDAC model"};
inline constexpr Parameter residual_radius{
    .key = "vessels.compression.residual_radius",
    .value = 0,
    .range = {0, 0.5},
    .meaning = "Radius left in a collapsed vessel over the open one; 0: it is closed to blood",
    .source = "assumed: no red cell passes (collapsed vessels of Padera 2004 are without lumen)"};
}  // namespace compression

/// Parameters of section `vessels.compression` and the switch of the mechanism.
[[nodiscard]] const Catalogue& compression_parameters();
[[nodiscard]] CompressionSettings compression_settings(const Deck& deck);

}  // namespace sanctuary
