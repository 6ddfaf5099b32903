#include <fmt/format.h>

#include <array>

#include "base/catalogue.hpp"
#include "base/error.hpp"
#include "base/units.hpp"
#include "tissue/oxygen_formulas.hpp"
#include "tissue/vasculature.hpp"

namespace sanctuary {
namespace {

namespace key {
inline constexpr Parameter preset{
    .key = "network.generate.preset",
    .kind = Kind::choice,
    .text = "healthy",
    .choices = "healthy|pdac|hcc|ccrcc|nsclc|crc|tnbc|hnscc|xenograft",
    .meaning = "Tissue or tumour type whose values hold where no other is given; a patient must state it",
    .source = "choice"};
Presets::Default preset_default(const Parameter& parameter, std::string_view preset);
inline constexpr Presets by_preset{&preset, &preset_default};
inline constexpr Parameter seed{.key = "network.generate.seed",
                                .kind = Kind::integer,
                                .value = 1,
                                .range = {0, 9007199254740992.0},
                                .meaning = "Seed of the network",
                                .source = "choice"};
inline constexpr Parameter length_density{
    .key = "network.generate.length_density",
    .unit = "mm/mm^3",
    .value = 370,
    .range = {0, 5000},
    .meaning =
        "Vessel length per volume to be met, 0 to follow from segment_density; of the tumour, or of the host with "
        "preset healthy",
    .source = "Baxter & Jain 1989, Microvasc Res 37:77: 70/cm of surface in normal tissue, at a radius of 3 um",
    .presets = &by_preset};
inline constexpr Parameter segment_density{
    .key = "network.generate.segment_density",
    .unit = "1/mm^3",
    .value = 0,
    .range = {0, 1000000.0},
    .meaning = "Segments per volume to be met in place of length_density where above 0",
    .source = "choice",
    .presets = &by_preset};
inline constexpr Parameter radius{
    .key = "network.generate.radius",
    .unit = "um",
    .value = 3,
    .range = {1, 100},
    .meaning = "Median radius of all segments to be met",
    .source =
        "assumed: upper end of cortex capillaries, which Koch 2023 (Fluids Barriers CNS 20:20) takes as below 3 um",
    .presets = &by_preset};
inline constexpr Parameter surface_per_volume{
    .key = "network.generate.surface_per_volume",
    .unit = "1/cm",
    .value = 0,
    .range = {0, 5000},
    .meaning = "Vessel surface per volume to be met by the radii in place of their median; 0: median",
    .source = "choice"};
inline constexpr Parameter volume_fraction{
    .key = "network.generate.volume_fraction",
    .value = 0,
    .range = {0, 0.6},
    .meaning = "Vessel volume fraction to be met by the radii in place of their median; 0: median",
    .source = "choice"};
inline constexpr Parameter radius_spread{.key = "network.generate.radius_spread",
                                         .value = 0.15,
                                         .range = {0, 1.5},
                                         .meaning = "Standard deviation of the logarithm of the capillary radius",
                                         .source = "assumed: 95 percent of the radii within 26 percent of the median",
                                         .presets = &by_preset};
inline constexpr Parameter tortuosity{.key = "network.generate.tortuosity",
                                      .value = 1.1,
                                      .range = {1, 3},
                                      .meaning = "Curved over straight length to be met",
                                      .source = "assumed: normal capillaries are nearly straight",
                                      .presets = &by_preset};
inline constexpr Parameter perfused_fraction{
    .key = "network.generate.perfused_fraction",
    .value = 1,
    .range = {0.21, 1},
    .meaning = "Share of the length that can carry flow to be met in the tumour",
    .source = "assumed: healthy vessels are all perfused",
    .presets = &by_preset};
inline constexpr Parameter host_length_density{
    .key = "network.generate.host_length_density",
    .unit = "mm/mm^3",
    .value = 370,
    .range = {1, 5000},
    .meaning = "Vessel length per volume of the host around a tumour",
    .source = "Baxter & Jain 1989, Microvasc Res 37:77: 70/cm of surface in normal tissue, at a radius of 3 um",
    .presets = &by_preset};
inline constexpr Parameter host_radius{
    .key = "network.generate.host_radius",
    .unit = "um",
    .value = 3,
    .range = {1, 100},
    .meaning = "Median radius of all segments of the host around a tumour",
    .source =
        "assumed: upper end of cortex capillaries, which Koch 2023 (Fluids Barriers CNS 20:20) takes as below 3 um",
    .presets = &by_preset};
inline constexpr Parameter murray_exponent{
    .key = "network.generate.murray_exponent",
    .value = 3,
    .range = {1, 6},
    .meaning = "Exponent g of Murray's law r0^g = r1^g + r2^g",
    .source = "Nakamura & Awa 2014, Physiol Rep 2:e00236: 3.0 for radii of 4 to 100 um, 2.7 above",
    .presets = &by_preset};
inline constexpr Parameter murray_scatter{
    .key = "network.generate.murray_scatter",
    .value = 0.1,
    .range = {0, 1},
    .meaning = "Standard deviation of the logarithm of a tree's radius about Murray's law",
    .source = "assumed: about the scatter between branchings of one order",
    .presets = &by_preset};
inline constexpr Parameter demand_spread{
    .key = "network.generate.demand_spread",
    .value = 0.3,
    .range = {0, 2},
    .meaning = "Standard deviation of the logarithm of the flow that a terminal asks for; makes branchings unequal",
    .source = "assumed: unequal branchings, most daughters within a factor of two",
    .presets = &by_preset};
inline constexpr Parameter terminal_arteriole_radius{.key = "network.generate.terminal_arteriole_radius",
                                                     .unit = "um",
                                                     .value = 5,
                                                     .range = {1, 100},
                                                     .meaning = "Radius of a terminal arteriole at unit demand",
                                                     .source = "assumed: above the capillaries it feeds",
                                                     .presets = &by_preset};
inline constexpr Parameter terminal_venule_radius{
    .key = "network.generate.terminal_venule_radius",
    .unit = "um",
    .value = 7,
    .range = {1, 100},
    .meaning = "Radius of a terminal venule at unit demand",
    .source = "assumed: venules are wider than the arterioles they answer to",
    .presets = &by_preset};
inline constexpr Parameter arterial_faces{.key = "network.generate.arterial_faces",
                                          .kind = Kind::texts,
                                          .text = "-x",
                                          .meaning = "Faces of the box through which arteries enter, or all",
                                          .source = "choice",
                                          .presets = &by_preset};
inline constexpr Parameter venous_faces{.key = "network.generate.venous_faces",
                                        .kind = Kind::texts,
                                        .text = "+x",
                                        .meaning = "Faces of the box through which veins leave, or all",
                                        .source = "choice",
                                        .presets = &by_preset};
inline constexpr Parameter feeds{.key = "network.generate.feeds",
                                 .kind = Kind::integer,
                                 .value = 4,
                                 .range = {1, 4096},
                                 .meaning = "Arteries that enter, and veins that leave; rounded down to a power of two",
                                 .source = "assumed: a few vessels feed a millimetre",
                                 .presets = &by_preset};
inline constexpr Parameter junctions_per_unit{
    .key = "network.generate.junctions_per_unit",
    .value = 80,
    .range = {8, 400},
    .meaning = "Junctions of the capillary bed fed by one terminal arteriole",
    .source = "assumed: units 0.25 to 0.45 mm across, as between terminal arterioles",
    .presets = &by_preset};
inline constexpr Parameter inlet_pressure{.key = "network.generate.inlet_pressure",
                                          .unit = "mmHg",
                                          .value = 45,
                                          .range = {0, 150},
                                          .meaning = "Blood pressure at the arterial roots",
                                          .source = "assumed: about that of arterioles 20 to 50 um across",
                                          .presets = &by_preset};
inline constexpr Parameter outlet_pressure{.key = "network.generate.outlet_pressure",
                                           .unit = "mmHg",
                                           .value = 12,
                                           .range = {0, 150},
                                           .meaning = "Blood pressure at the venous roots",
                                           .source = "assumed: about that of small veins",
                                           .presets = &by_preset};
inline constexpr Parameter rim_width{
    .key = "network.generate.rim_width",
    .unit = "mm",
    .value = 0.3,
    .range = {0.001, 100},
    .meaning = "Depth over which the vessel density of a tumour falls from rim to core by a factor e",
    .source = "assumed: a few inter-vessel distances",
    .presets = &by_preset};
inline constexpr Parameter core_density{.key = "network.generate.core_density",
                                        .value = 0.3,
                                        .range = {0.02, 1},
                                        .meaning = "Length density of a tumour's core over that of its rim",
                                        .source = "assumed: cores are poor in vessels; 1 for none",
                                        .presets = &by_preset};
inline constexpr Parameter patchiness{
    .key = "network.generate.patchiness",
    .value = 0,
    .range = {0, 1.5},
    .meaning = "Standard deviation of the logarithm of the length density from patch to patch of a tumour",
    .source = "assumed: none in healthy tissue, whose capillaries fill space (Gazit 1995, Phys Rev Lett 75:2428)",
    .presets = &by_preset};
inline constexpr Parameter patch_length{.key = "network.generate.patch_length",
                                        .unit = "mm",
                                        .value = 0.25,
                                        .range = {0.01, 10},
                                        .meaning = "Length over which patches change",
                                        .source = "assumed: a few inter-vessel distances",
                                        .presets = &by_preset};
inline constexpr Parameter transition{.key = "network.generate.transition",
                                      .unit = "um",
                                      .value = 50,
                                      .range = {0, 10000.0},
                                      .meaning = "Length over which host vessels turn into tumour vessels",
                                      .source = "assumed: about one inter-vessel distance",
                                      .presets = &by_preset};
inline constexpr Parameter radius_correlation{
    .key = "network.generate.radius_correlation",
    .value = 0.5,
    .range = {0, 1},
    .meaning = "Share of the variance of ln(radius) that near tumour vessels have in common",
    .source = "assumed: dilated and narrow stretches span several segments",
    .presets = &by_preset};
inline constexpr Parameter correlation_length{.key = "network.generate.correlation_length",
                                              .unit = "um",
                                              .value = 100,
                                              .range = {5, 10000.0},
                                              .meaning = "Length of that correlation",
                                              .source = "assumed: about one segment",
                                              .presets = &by_preset};
inline constexpr Parameter hierarchy_loss{
    .key = "network.generate.hierarchy_loss",
    .value = 0,
    .range = {0, 1},
    .meaning = "How far tree radii in the tumour have lost their order: 0 Murray's law, 1 as in the bed",
    .source = "assumed: none in healthy tissue",
    .presets = &by_preset};
inline constexpr Parameter shunt_share{
    .key = "network.generate.shunt_share",
    .value = 0,
    .range = {0, 1},
    .meaning = "Share of the tumour's units with a direct shunt from arteriole to venule",
    .source = "assumed: none in healthy tissue",
    .presets = &by_preset};
inline constexpr Parameter shunt_radius{.key = "network.generate.shunt_radius",
                                        .unit = "um",
                                        .value = 8,
                                        .range = {1, 100},
                                        .meaning = "Radius of a shunt",
                                        .source = "assumed: as a small arteriole",
                                        .presets = &by_preset};
inline constexpr Parameter sprout_share{.key = "network.generate.sprout_share",
                                        .value = 0,
                                        .range = {0, 1},
                                        .meaning = "Blind sprouts per junction of the tumour's bed",
                                        .source = "assumed: none in healthy tissue",
                                        .presets = &by_preset};
inline constexpr Parameter loop_share{.key = "network.generate.loop_share",
                                      .value = 0,
                                      .range = {0, 1},
                                      .meaning = "Extra loops per junction of the tumour's bed",
                                      .source = "assumed: none in healthy tissue",
                                      .presets = &by_preset};
inline constexpr Parameter maturity{
    .key = "network.generate.maturity",
    .value = 0,
    .range = {0, 1},
    .meaning = "Maturity of vessel walls in the tumour: 0 immature and leaky, 1 as in the host",
    .source = "assumed: tumour vessels are immature",
    .presets = &by_preset};
inline constexpr Parameter host_maturity{.key = "network.generate.host_maturity",
                                         .value = 1,
                                         .range = {0, 1},
                                         .meaning = "Maturity of vessel walls in the host",
                                         .source = "assumed: host vessels are mature",
                                         .presets = &by_preset};
inline constexpr Parameter unperfused{.key = "network.generate.unperfused",
                                      .kind = Kind::choice,
                                      .text = "keep",
                                      .choices = "keep|drop",
                                      .meaning = "What becomes of tumour vessels that cannot carry flow",
                                      .source = "choice"};
inline constexpr Parameter smallest_radius{
    .key = "network.generate.smallest_radius",
    .unit = "um",
    .value = 1.3,
    .range = {0.1, 50},
    .meaning = "Floor of capillary radii",
    .source = "Schmid 2017, PLoS Comput Biol 13:e1005392: 1.27 to 3.51 um in a network of mouse cortex",
    .presets = &by_preset};
inline constexpr Parameter tolerance{.key = "network.generate.tolerance",
                                     .value = 0.05,
                                     .range = {0.001, 0.5},
                                     .meaning = "Relative tolerance of the targets that are met",
                                     .source = "choice"};
inline constexpr Parameter miss{.key = "network.generate.miss",
                                .kind = Kind::choice,
                                .text = "error",
                                .choices = "error|report",
                                .meaning = "What follows from a missed target",
                                .source = "choice"};
}  // namespace key

/// What a preset sets; SI but for the unit in a name.
struct Preset {
  const char *name, *source;
  double length_density_mm, segment_density_mm, radius_um, spread, perfused;
  double patchiness, hierarchy_loss, shunts, sprouts, loops;
  double terminal_arteriole_um, terminal_venule_um;
  double core_density = 0.3;
  double surface_cm = 0, volume_percent = 0;  // reported against, not met; 0: none found
};

// Length per volume is twice the profiles per area of a random section (attributed to Smith & Guttman 1953, Trans AIME
// 197:81; not checked against the paper). Patchiness, loss of
// hierarchy, sprouts and loops are assumed throughout: more than in healthy tissue, by no measured amount.
// Roots are 9 to 40 um across. In rat mammary tumours, vessels 15 to 45 um across: arterioles 38.9 mmHg, venules 13.3,
// capillaries between them 23.8 (Wiig 1982, Scand J Clin Lab Invest 42:165).
constexpr double tumour_inlet_pressure = 39, tumour_outlet_pressure = 13;  // [mmHg]
// Curved over straight length in tumours: mammary line Db-7, straight over curved 0.81 (FASEB J 1996, 10:3).
constexpr double tumour_tortuosity = 1.23;
constexpr std::array presets{
    Preset{
        "healthy",
        "surface 70/cm: Baxter & Jain 1989, Microvasc Res 37:77; radius at the upper end of cortex capillaries: Koch "
        "2023, Fluids Barriers CNS 20:20",
        370, 0, 3.0, 0.15, 1.0, 0, 0, 0, 0, 0, 5, 7, 0.3, 70},
    Preset{"pdac",
           "65 profiles/mm2 in hot spots at x200: Pancreas 2001, 22:240; radius assumed: near that of crc, with which "
           "perfusion comes near the 16.6 +- 13.1 ml/min/100 ml of perfusion CT: Yadav 2016, Pancreatology 16:979; "
           "perfused share assumed: compressed vessels",
           130, 0, 6.5, 0.40, 0.55, 0.4, 0.6, 0.02, 0.05, 0.05, 8, 10},
    Preset{"hcc",
           "2.9 times the count of pdac: Oncol Rep 2002, 9:239; perfused 81 percent: VX2 liver tumour, PMC4698187; "
           "shunts up to 15 percent of flow in angioscintigraphy; radius assumed: wide as sinusoids",
           377, 0, 5.5, 0.35, 0.81, 0.3, 0.5, 0.10, 0.05, 0.05, 7, 9},
    Preset{"ccrcc",
           "811 profiles/mm2 in hot spots: MacLennan & Bostwick 1995, Urology 46:27, half of it assumed for the mean; "
           "radius, perfusion assumed",
           800, 0, 4.5, 0.35, 0.85, 0.3, 0.5, 0.05, 0.05, 0.05, 7, 9},
    Preset{"nsclc", "assumed: 100 profiles/mm2, between pdac and crc; radius, perfusion assumed", 200, 0, 5.0, 0.40,
           0.75, 0.4, 0.5, 0.02, 0.05, 0.05, 6, 8},
    Preset{"crc",
           "242 profiles/mm2, diameter 13.5 um: Cartana 2012, PLoS ONE 7:e52815; shunts 0 to 3 percent in liver "
           "metastases by angioscintigraphy; perfusion assumed",
           484, 0, 6.75, 0.35, 0.80, 0.4, 0.5, 0.02, 0.05, 0.05, 8, 10},
    Preset{"tnbc",
           "assumed: 120 profiles/mm2, radius, perfusion; volume 3.1 percent: mammary DU4475, Radiology 2003, 226:214",
           240, 0, 5.0, 0.45, 0.70, 0.5, 0.6, 0.03, 0.08, 0.05, 6, 8, 0.3, 0, 3.1},
    Preset{"hnscc", "assumed: 90 profiles/mm2; radius, perfusion assumed", 180, 0, 5.0, 0.40, 0.70, 0.5, 0.5, 0.02,
           0.05, 0.05, 6, 8},
    Preset{
        "xenograft",
        "1,200 to 1,600 segments/mm3, R3230Ac 1,580 with radius 4.9 um and surface 40/cm: Secomb 1998; perfused "
        "above 55 percent in most of seven glioma lines: Bernsen 1995, Br J Cancer 71:721; volume 2.1 to 6.6 percent: "
        "Radiology 2003, 226:214; as dense in the middle as at the rim: J Cancer Res Clin Oncol 1990, 116:517",
        0, 1400, 4.9, 0.45, 0.70, 0.5, 0.6, 0.03, 0.08, 0.05, 7, 9, 1, 40, 3.1},
};

const Preset& preset_of(const std::string& name) {
  std::string known;
  for (const Preset& p : presets) {
    if (name == p.name) return p;
    known += (known.empty() ? "" : ", ") + std::string(p.name);
  }
  throw InputError("network.generate.preset '" + name + "'; expected one of " + known);
}

std::vector<int> faces(const Deck& deck, const Parameter& parameter) {
  std::vector<int> result;
  for (const std::string& text : deck.texts(parameter)) {
    if (text == "all") return {0, 1, 2, 3, 4, 5};
    const bool signed_axis = text.size() == 2 && (text[0] == '-' || text[0] == '+');
    const std::size_t axis = signed_axis ? std::string("xyz").find(text[1]) : std::string::npos;
    if (axis == std::string::npos)
      throw InputError(deck.where(parameter) + ": '" + text + "'; expected faces such as -x, +y, or all");
    result.push_back(2 * static_cast<int>(axis) + (text[0] == '+' ? 1 : 0));
  }
  return result;
}

}  // namespace

const Parameter& vasculature_preset_parameter() { return key::preset; }

const std::vector<std::string>& vasculature_presets() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Preset& p : presets) list.emplace_back(p.name);
    return list;
  }();
  return names;
}

VasculatureSettings vasculature_preset(const std::string& name) {
  constexpr double um = 1e-6;
  const Preset& p = preset_of(name);
  VasculatureSettings set;
  set.preset = p.name;
  set.source = p.source;
  VesselTargets targets;
  targets.length_density = p.length_density_mm * 1e6;
  targets.segment_density = p.segment_density_mm * 1e9;
  targets.radius = p.radius_um * um;
  targets.radius_spread = p.spread;
  targets.tortuosity = name == "healthy" ? 1.1 : tumour_tortuosity;
  targets.perfused_fraction = p.perfused;
  targets.surface_per_volume = p.surface_cm * 1e2;
  targets.volume_fraction = p.volume_percent * 1e-2;
  set.smallest_radius = 1.3 * um;
  set.shunt_radius = 8 * um;
  set.inlet_pressure = 45 * mmhg;
  set.outlet_pressure = 12 * mmhg;
  if (name == "healthy") {
    set.host = targets;
    return set;
  }
  set.host = vasculature_preset("healthy").host;
  set.tumour = targets;
  set.region.shape = TumourRegion::Shape::whole;
  set.core_density = p.core_density;
  set.patchiness = p.patchiness;
  set.hierarchy_loss = p.hierarchy_loss;
  set.shunt_share = p.shunts;
  set.sprout_share = p.sprouts;
  set.loop_share = p.loops;
  set.terminal_arteriole = p.terminal_arteriole_um * um;
  set.terminal_venule = p.terminal_venule_um * um;
  set.inlet_pressure = tumour_inlet_pressure * mmhg;
  set.outlet_pressure = tumour_outlet_pressure * mmhg;
  set.arterial_faces = set.venous_faces = {0, 1, 2, 3, 4, 5};
  set.feeds = 8;
  return set;
}

namespace {

VesselTargets& targets_of(VasculatureSettings& set) { return set.preset == "healthy" ? set.host : set.tumour; }

/// Calls `use(parameter, value)` for each number that a preset sets; SI.
template <class Use>
void each_number(VasculatureSettings& set, Use&& use) {
  VesselTargets& targets = targets_of(set);
  use(key::length_density, targets.length_density);
  use(key::segment_density, targets.segment_density);
  use(key::radius, targets.radius);
  use(key::radius_spread, targets.radius_spread);
  use(key::tortuosity, targets.tortuosity);
  use(key::perfused_fraction, targets.perfused_fraction);
  use(key::host_length_density, set.host.length_density);
  use(key::host_radius, set.host.radius);
  use(key::murray_exponent, set.murray_exponent);
  use(key::murray_scatter, set.murray_scatter);
  use(key::demand_spread, set.demand_spread);
  use(key::terminal_arteriole_radius, set.terminal_arteriole);
  use(key::terminal_venule_radius, set.terminal_venule);
  use(key::junctions_per_unit, set.points_per_unit);
  use(key::inlet_pressure, set.inlet_pressure);
  use(key::outlet_pressure, set.outlet_pressure);
  use(key::rim_width, set.rim_width);
  use(key::core_density, set.core_density);
  use(key::patchiness, set.patchiness);
  use(key::patch_length, set.patch_length);
  use(key::transition, set.transition);
  use(key::radius_correlation, set.radius_correlation);
  use(key::correlation_length, set.correlation_length);
  use(key::hierarchy_loss, set.hierarchy_loss);
  use(key::shunt_share, set.shunt_share);
  use(key::shunt_radius, set.shunt_radius);
  use(key::sprout_share, set.sprout_share);
  use(key::loop_share, set.loop_share);
  use(key::maturity, set.tumour_maturity);
  use(key::host_maturity, set.host_maturity);
  use(key::smallest_radius, set.smallest_radius);
}

}  // namespace

Presets::Default key::preset_default(const Parameter& parameter, std::string_view preset) {
  VasculatureSettings set = vasculature_preset(std::string(preset));
  std::string text;
  each_number(set, [&](const Parameter& of, double value) {
    if (of.key != parameter.key) return;
    // Twelve digits: the conversion to SI and back must not show.
    text = fmt::format("{:.12g}", value / units::to_si(1, of.unit));
    if (of.unit != "1") text += fmt::format(" {}", of.unit);
  });
  const auto listed = [](const std::vector<int>& faces) {
    if (faces.size() == 6) return std::string("all");
    std::string names;
    for (const int face : faces) {
      if (!names.empty()) names += ", ";
      names += fmt::format("{}{}", face % 2 == 0 ? '-' : '+', "xyz"[face / 2]);
    }
    return names;
  };
  if (parameter.key == key::arterial_faces.key) text = listed(set.arterial_faces);
  if (parameter.key == key::venous_faces.key) text = listed(set.venous_faces);
  if (parameter.key == key::feeds.key) text = fmt::format("{}", set.feeds);
  if (text == default_text(parameter)) return {};
  return {std::move(text), set.source};
}

VasculatureSettings vasculature_settings(const Deck& deck, const Box& box) {
  VasculatureSettings set = vasculature_preset(deck.text(key::preset));
  set.box = box;
  set.seed = static_cast<std::uint64_t>(deck.integer(key::seed));
  VesselTargets& targets = targets_of(set);
  each_number(set, [&](const Parameter& parameter, double& value) {
    if (deck.given(parameter)) value = deck.number(parameter);
  });
  const auto widths = [&](const Parameter& parameter, double& target, RadiusTarget what) {
    if (deck.number(parameter) == 0) return;
    target = deck.number(parameter);
    targets.radii_meet = what;
  };
  widths(key::surface_per_volume, targets.surface_per_volume, RadiusTarget::surface);
  widths(key::volume_fraction, targets.volume_fraction, RadiusTarget::volume);
  set.arterial_faces = faces(deck, key::arterial_faces);
  set.venous_faces = faces(deck, key::venous_faces);
  set.feeds = deck.integer(key::feeds);
  set.keep_unperfused = deck.text(key::unperfused) == "keep";
  set.tolerance = deck.number(key::tolerance);
  set.miss_is_error = deck.text(key::miss) == "error";
  const auto need = [&](bool good, const Parameter& parameter, const char* what) {
    if (!good) throw InputError(deck.where(parameter) + ": " + what);
  };
  need(set.inlet_pressure > set.outlet_pressure, key::inlet_pressure,
       "must be above outlet_pressure: nothing would flow");
  need(!deck.given(key::length_density) || deck.given(key::segment_density) || targets.segment_density == 0,
       key::length_density, "gives way to the segment_density of this preset; give segment_density = 0 1/mm^3 as well");
  need(targets.length_density > 0 || targets.segment_density > 0, key::length_density,
       "is 0 without a segment_density: there would be no vessels");
  need(!(deck.number(key::volume_fraction) > 0 && deck.number(key::surface_per_volume) > 0), key::volume_fraction,
       "and surface_per_volume cannot both be met; give one of them");
  need(targets.radius >= set.smallest_radius, key::radius, "must not be below smallest_radius");
  need(set.preset != "healthy" || targets.perfused_fraction == 1, key::perfused_fraction,
       "belongs to tumours; vessels of preset healthy are all perfused");
  return set;
}

const Catalogue& vasculature_parameters() {
  static const Catalogue list{&key::preset,
                              &key::seed,
                              &key::length_density,
                              &key::segment_density,
                              &key::radius,
                              &key::surface_per_volume,
                              &key::volume_fraction,
                              &key::radius_spread,
                              &key::tortuosity,
                              &key::perfused_fraction,
                              &key::host_length_density,
                              &key::host_radius,
                              &key::murray_exponent,
                              &key::murray_scatter,
                              &key::demand_spread,
                              &key::terminal_arteriole_radius,
                              &key::terminal_venule_radius,
                              &key::arterial_faces,
                              &key::venous_faces,
                              &key::feeds,
                              &key::junctions_per_unit,
                              &key::inlet_pressure,
                              &key::outlet_pressure,
                              &key::rim_width,
                              &key::core_density,
                              &key::patchiness,
                              &key::patch_length,
                              &key::transition,
                              &key::radius_correlation,
                              &key::correlation_length,
                              &key::hierarchy_loss,
                              &key::shunt_share,
                              &key::shunt_radius,
                              &key::sprout_share,
                              &key::loop_share,
                              &key::maturity,
                              &key::host_maturity,
                              &key::unperfused,
                              &key::smallest_radius,
                              &key::tolerance,
                              &key::miss};
  return list;
}

}  // namespace sanctuary
