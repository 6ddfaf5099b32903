#pragma once
#include <cstdint>

#include "base/deck.hpp"
#include "base/parameter.hpp"
#include "solvers/network/graph.hpp"

namespace sanctuary {

/// What `generate_network` makes, in SI units.
struct GeneratorSettings {
  Box box;
  std::uint64_t seed = 1;
  long segments = 2000;             // about; see generate_network
  double mean_radius = 5e-6;        // [m] of capillaries before truncation
  double radius_spread = 0.2;       // standard deviation of the logarithm of their radius
  double smallest_radius = 3e-6;    // [m]
  double largest_radius = 8e-6;     // [m] of capillaries
  double irregularity = 0.35;       // largest displacement of a node, in mesh widths
  long inlets = 6, outlets = 6;     // on the low and the high x face
  double arteriole_radius = 12e-6;  // [m] at the face
  double venule_radius = 15e-6;     // [m] at the face
  double trunk_reach = 0.6;         // how far into the box arterioles and venules reach, share of its x size
  double inlet_pressure = 4666.0;   // [Pa]
  double outlet_pressure = 2000.0;  // [Pa]
  double core_density = 1;          // share of the segments that is kept within the core
  double core_radius = 0;           // [m] of a sphere in the middle of the box; 0: no core
  double blind_end_fraction = 0;    // blind ends per segment
  double maturity = 0;              // of all vessels
};

/// A plain seeded network for test problems and the quickstart: not morphometric (for that see vasculature.hpp).
/// An irregular capillary mesh, most nodes of degree 3, radii log-normal and truncated, is fed by tapering arterioles
/// from the low x face and drained by tapering venules to the high x face; boundary nodes lie on these faces. It is one
/// piece, every segment can carry flow except the blind ends asked for, and the number of segments is met within about
/// 2 percent. The same settings give the same network on every rank. InputError for
/// settings that cannot be met.
[[nodiscard]] VesselGraph generate_network(const GeneratorSettings& settings);

namespace generator {
inline constexpr Parameter seed{.key = "network.lattice.seed",
                                .kind = Kind::integer,
                                .value = 1,
                                .range = {0, 9007199254740992.0},
                                .meaning = "Seed of the plain network generator",
                                .source = "choice"};
inline constexpr Parameter segments{.key = "network.lattice.segments",
                                    .kind = Kind::integer,
                                    .value = 2000,
                                    .range = {30, 5e6},
                                    .meaning = "Number of vessel segments aimed at",
                                    .source = "choice"};
inline constexpr Parameter mean_radius{
    .key = "network.lattice.mean_radius",
    .unit = "um",
    .value = 5,
    .range = {1, 50},
    .meaning = "Mean radius of capillaries before truncation",
    .source = "assumed: tumour capillaries are wider than normal ones; the R3230Ac network (Secomb 1998) has 4.9 um"};
inline constexpr Parameter radius_spread{
    .key = "network.lattice.radius_spread",
    .value = 0.2,
    .range = {0, 1},
    .meaning = "Standard deviation of the logarithm of the capillary radius",
    .source = "assumed: puts 95 percent of the radii between 3.3 and 7.2 um at the default mean"};
inline constexpr Parameter smallest_radius{.key = "network.lattice.smallest_radius",
                                           .unit = "um",
                                           .value = 3,
                                           .range = {0.5, 50},
                                           .meaning = "Lower limit of the capillary radius",
                                           .source = "assumed: a red cell needs about this much room"};
inline constexpr Parameter largest_radius{.key = "network.lattice.largest_radius",
                                          .unit = "um",
                                          .value = 8,
                                          .range = {1, 100},
                                          .meaning = "Upper limit of the capillary radius",
                                          .source = "assumed: wider vessels count as arterioles or venules"};
inline constexpr Parameter irregularity{
    .key = "network.lattice.irregularity",
    .value = 0.35,
    .range = {0, 0.45},
    .meaning = "Largest displacement of a node from its lattice place, in mesh widths",
    .source = "choice"};
inline constexpr Parameter inlets{.key = "network.lattice.inlets",
                                  .kind = Kind::integer,
                                  .value = 6,
                                  .range = {1, 10000},
                                  .meaning = "Number of feeding arterioles on the low x face",
                                  .source = "choice"};
inline constexpr Parameter outlets{.key = "network.lattice.outlets",
                                   .kind = Kind::integer,
                                   .value = 6,
                                   .range = {1, 10000},
                                   .meaning = "Number of draining venules on the high x face",
                                   .source = "choice"};
inline constexpr Parameter arteriole_radius{.key = "network.lattice.arteriole_radius",
                                            .unit = "um",
                                            .value = 12,
                                            .range = {1, 200},
                                            .meaning = "Radius of feeding arterioles at the face",
                                            .source = "assumed: terminal arterioles are 10 to 15 um in radius"};
inline constexpr Parameter venule_radius{.key = "network.lattice.venule_radius",
                                         .unit = "um",
                                         .value = 15,
                                         .range = {1, 200},
                                         .meaning = "Radius of draining venules at the face",
                                         .source = "assumed: venules are wider than the arterioles they answer to"};
inline constexpr Parameter trunk_reach{
    .key = "network.lattice.trunk_reach",
    .value = 0.6,
    .range = {0, 1},
    .meaning = "How far arterioles and venules reach into the box, share of its x size",
    .source = "choice"};
inline constexpr Parameter inlet_pressure{.key = "network.lattice.inlet_pressure",
                                          .unit = "mmHg",
                                          .value = 35,
                                          .range = {0, 150},
                                          .meaning = "Blood pressure at the inlets",
                                          .source = "assumed: about the arteriolar end of a capillary bed"};
inline constexpr Parameter outlet_pressure{.key = "network.lattice.outlet_pressure",
                                           .unit = "mmHg",
                                           .value = 15,
                                           .range = {0, 150},
                                           .meaning = "Blood pressure at the outlets",
                                           .source = "assumed: about the venular end of a capillary bed"};
inline constexpr Parameter core_density{
    .key = "network.lattice.core_density",
    .value = 0.3,
    .range = {0, 1},
    .meaning = "Share of the segments that is kept within the vessel-poor core; 1: no such core",
    .source = "assumed: tumour cores are poor in vessels; low enough for hypoxia to appear"};
inline constexpr Parameter core_radius{.key = "network.lattice.core_radius",
                                       .unit = "mm",
                                       .value = 0.35,
                                       .range = {0, 100},
                                       .meaning = "Radius of the vessel-poor core, a sphere in the middle of the box",
                                       .source = "assumed: about half of a 1.28 mm piece across"};
inline constexpr Parameter blind_end_fraction{.key = "network.lattice.blind_end_fraction",
                                              .value = 0,
                                              .range = {0, 0.5},
                                              .meaning = "Blind ends added, per segment",
                                              .source = "choice"};
inline constexpr Parameter maturity{
    .key = "network.lattice.maturity",
    .value = 0,
    .range = {0, 1},
    .meaning = "Maturity of the walls of all vessels: 0 as in tumours, 1 as in host tissue",
    .source = "assumed: tumour vessels are immature"};
}  // namespace generator

/// The parameters of the plain generator, section `network.lattice`.
[[nodiscard]] inline const Catalogue& generator_parameters() {
  static const Catalogue list{&generator::seed,
                              &generator::segments,
                              &generator::mean_radius,
                              &generator::radius_spread,
                              &generator::smallest_radius,
                              &generator::largest_radius,
                              &generator::irregularity,
                              &generator::inlets,
                              &generator::outlets,
                              &generator::arteriole_radius,
                              &generator::venule_radius,
                              &generator::trunk_reach,
                              &generator::inlet_pressure,
                              &generator::outlet_pressure,
                              &generator::core_density,
                              &generator::core_radius,
                              &generator::blind_end_fraction,
                              &generator::maturity};
  return list;
}

/// Settings of the deck for a box. InputError, naming file and line, where they contradict each other.
[[nodiscard]] GeneratorSettings generator_settings(const Deck& deck, const Box& box);

}  // namespace sanctuary
