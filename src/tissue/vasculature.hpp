#pragma once
#include <mpi.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/deck.hpp"
#include "base/parameter.hpp"
#include "solvers/network/share.hpp"

namespace sanctuary {

/// Where the tumour lies in the box; the rest is host tissue.
struct TumourRegion {
  enum class Shape { none, sphere, slab, whole };
  Shape shape = Shape::none;
  std::array<double, 3> centre{0, 0, 0};  // [m] of the sphere
  double radius = 0;                      // [m] of the sphere
  int host_face = 0;                      // slab: face on which the host lies; -x, +x, -y, +y, -z, +z are 0 to 5
  double host_depth = 0;                  // [m] of the host beneath that face
  /// How deep a point lies beneath the surface of the tumour, negative outside; infinite where all is tumour. [m]
  [[nodiscard]] double depth(const std::array<double, 3>& where, const Box& box) const;
  /// Volume of the tumour within the box [m^3]; a sphere that leaves the box is summed over 10^6 cells.
  [[nodiscard]] double volume(const Box& box) const;
};

/// What the radii are scaled to meet: their median, the surface per volume or the volume fraction.
enum class RadiusTarget { median, surface, volume };

/// What one kind of tissue, host or tumour, shall have.
struct VesselTargets {
  double length_density = 3.7e8;  // [m/m^3], curved length; 0: whatever follows from the segment density
  double segment_density = 0;     // [1/m^3]; above 0 it is met in place of the length density
  double radius = 3e-6;           // [m] median of all segments
  double radius_spread = 0.15;    // standard deviation of the logarithm of the capillary radius
  double tortuosity = 1.1;        // curved over straight length, of all segments together
  double perfused_fraction = 1;   // share of the length that can carry flow
  RadiusTarget radii_meet = RadiusTarget::median;
  double volume_fraction = 0;     // 0: no target; reported against it unless the radii meet it
  double surface_per_volume = 0;  // [1/m] reported against it; 0: no target
};

/// What `grow_vasculature` makes, in SI units.
struct VasculatureSettings {
  Box box;
  std::uint64_t seed = 1;
  std::string preset = "healthy", source;
  TumourRegion region;
  VesselTargets host, tumour;
  // trees
  double murray_exponent = 3;          // r0^g = r1^g + r2^g
  double murray_scatter = 0.1;         // standard deviation of the logarithm of a radius about that law
  double demand_spread = 0.3;          // standard deviation of the logarithm of the flow that a terminal asks for
  double terminal_arteriole = 5e-6;    // [m] radius at unit demand
  double terminal_venule = 7e-6;       // [m]
  std::vector<int> arterial_faces{0};  // -x, +x, -y, +y, -z, +z are 0 to 5
  std::vector<int> venous_faces{1};
  long feeds = 4;                 // arterial roots, and as many venous ones; rounded to a power of two
  double points_per_unit = 80;    // junctions of the bed between one terminal arteriole and its venule
  double inlet_pressure = 6000;   // [Pa]
  double outlet_pressure = 2000;  // [Pa]
  // tumour
  double rim_width = 3e-4;           // [m] over which the density falls from rim to core
  double core_density = 0.3;         // length density of the core over that of the rim
  double patchiness = 0;             // standard deviation of the logarithm of the length density from patch to patch
  double patch_length = 2.5e-4;      // [m]
  double transition = 5e-5;          // [m] over which host vessels turn into tumour vessels
  double radius_correlation = 0.5;   // share of the variance of ln(radius) that neighbours have in common
  double correlation_length = 1e-4;  // [m]
  double hierarchy_loss = 0;         // 0: trees as Murray has them, 1: radii as in the bed
  double shunt_share = 0;            // of the units (one arteriole, one venule) with a direct shunt
  double shunt_radius = 1e-5;        // [m]
  double sprout_share = 0;           // blind sprouts per junction of the bed
  double loop_share = 0;             // extra loops per junction of the bed
  double tumour_maturity = 0, host_maturity = 1;
  bool keep_unperfused = true;      // else segments that cannot carry flow are dropped
  double smallest_radius = 1.5e-6;  // [m] floor of capillary radii
  double tolerance = 0.05;          // of the targets that are met, relative
  bool miss_is_error = true;        // else a miss is stated in the report alone
};

/// A figure of the network beside what was asked for.
struct VasculatureFigure {
  std::string tissue, name, unit;                 // the unit for reading; `target` and `reached` are in it
  double target = 0, reached = 0, tolerance = 0;  // tolerance relative; target 0: none was set
  bool binding = false;                           // outside tolerance is a miss
  [[nodiscard]] bool has_target() const { return target > 0; }
  [[nodiscard]] bool met() const;
};

/// What was grown, summed over all ranks: the same on each.
struct VasculatureReport {
  std::string preset, source;
  std::vector<VasculatureFigure> figures;
  long segments = 0, arteriole_segments = 0, venule_segments = 0, roots = 0, units = 0;
  long blind_ends = 0, shunts = 0, unperfused_segments = 0, dropped_segments = 0;
  int calibrations = 0;
  [[nodiscard]] bool met() const;
  /// The figure of a name in a tissue ("host", "tumour" or "all"); throws std::out_of_range where there is none.
  [[nodiscard]] const VasculatureFigure& figure(const std::string& tissue, const std::string& name) const;
  [[nodiscard]] std::string text() const;
};

/// Grows arterial and venous trees with a capillary bed between them, and remodels them within the tumour. Returns this
/// rank's share: the segments whose midpoint `owner` gives to it (empty: the rank that grew them) with their nodes,
/// both ordered by id. The network does not depend on the number of ranks. The box is halved again and again into units
/// of one terminal arteriole and one terminal venule; a rank grows a run of units, a rim of its neighbours' units, and
/// the branches of the trees that begin in its run, so that memory falls with the number of ranks. Within a unit,
/// jittered points of a lattice, thinned to the density of the place, are joined as their relative neighbourhood graph
/// (Toussaint 1980, Pattern Recogn 12:261), which is connected and mostly of degree 3; what could not carry flow is
/// left out. Faces of the box: only arterial and venous roots cross them; for capillaries a face is a mirror, as it is
/// for the fluid of the tissue. Density, perfusion, median radius and tortuosity are calibrated to their targets.
/// InputError for settings that cannot be met, and for a missed target if the settings say so. Collective on `comm`.
[[nodiscard]] VesselGraph grow_vasculature(MPI_Comm comm, const VasculatureSettings& settings,
                                           const ShareOwner& owner = {}, VasculatureReport* report = nullptr);

/// Share of the length in which blood moves: Poiseuille flow at uniform viscosity between the boundary pressures,
/// velocity above `threshold` times the median over segments that carry flow at all. Of a whole graph; not collective.
[[nodiscard]] double perfused_length_fraction(const VesselGraph& graph, double threshold = 1e-3);

/// Settings from the deck; keys not given take the values of `network.generate.preset`. InputError, naming file and
/// line, where they contradict each other. The region of the tumour is the caller's to set; until then a tumour preset
/// fills the box.
[[nodiscard]] VasculatureSettings vasculature_settings(const Deck& deck, const Box& box);
/// The settings of a preset by name; InputError for an unknown one.
[[nodiscard]] VasculatureSettings vasculature_preset(const std::string& name);
/// The parameter that names the preset; patients must give it, since its default is healthy tissue.
[[nodiscard]] const Parameter& vasculature_preset_parameter();
/// Names of the presets.
[[nodiscard]] const std::vector<std::string>& vasculature_presets();
/// The parameters of section `network.generate`.
[[nodiscard]] const Catalogue& vasculature_parameters();

}  // namespace sanctuary
