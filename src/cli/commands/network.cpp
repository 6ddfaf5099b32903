#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "io/network_formats.hpp"
#include "patient/parameters.hpp"
#include "patient/settings.hpp"
#include "solvers/network/haemodynamics.hpp"
#include "solvers/network/morphometry.hpp"
#include "solvers/network/share.hpp"
#include "tissue/blood.hpp"
#include "tissue/boundary_settings.hpp"
#include "tissue/network_generator.hpp"
#include "tissue/vasculature.hpp"

namespace sanctuary {
namespace {

std::string option(const Invocation& invocation, const std::string& name) {
  const auto found = invocation.options.find(name);
  return found == invocation.options.end() ? std::string{} : found->second;
}

double number_option(const Invocation& invocation, const std::string& name, double otherwise) {
  const std::string text = option(invocation, name);
  if (text.empty()) return otherwise;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    throw InputError(fmt::format("network: --{} '{}': expected a number", name, text));
  return value;
}

ReadOptions read_options(const Invocation& invocation) {
  ReadOptions options;
  if (const std::string format = option(invocation, "input-format"); !format.empty())
    options.format = network_format(format);
  options.length_unit = option(invocation, "length-unit");
  options.radius_unit = option(invocation, "radius-unit");
  options.pressure_unit = option(invocation, "pressure-unit");
  options.flow_unit = option(invocation, "flow-unit");
  options.radius_name = option(invocation, "radius-name");
  options.radius_is_diameter = !option(invocation, "diameter").empty();
  options.flow_factor = number_option(invocation, "flow-factor", options.flow_factor);
  options.maturity = number_option(invocation, "maturity", options.maturity);
  return options;
}

/// The box of the statistics: that of --box, or the smallest around the nodes.
Box box_of(const Invocation& invocation, const Box& around) {
  const std::string text = option(invocation, "box");
  if (text.empty()) return around;
  const std::vector<std::string> parts = split(text, ',');
  const auto expected =
      "network: --box: expected three lengths (from 0) or six (corner, then size), as in "
      "'200 um, 200 um, 200 um'";
  if (parts.size() != 3 && parts.size() != 6) throw InputError(expected);
  std::vector<double> lengths;
  for (const auto& part : parts) lengths.push_back(units::parse(part, "m"));
  Box box;
  for (std::size_t d = 0; d < 3; ++d) {
    if (parts.size() == 6) box.origin[d] = lengths[d];
    box.size[d] = lengths[d + parts.size() - 3];
    if (!(box.size[d] > 0)) throw InputError(expected);
  }
  return box;
}

std::string spread_text(const Distribution& d, double scale, const char* unit) {
  return fmt::format(
      "mean {:.4g}, SD {:.3g}, min {:.4g}, 5 % {:.4g}, 25 % {:.4g}, median {:.4g}, 75 % {:.4g}, 95 % {:.4g}, max "
      "{:.4g} {}",
      d.mean * scale, d.deviation * scale, d.smallest * scale, d.quantile_05 * scale, d.quantile_25 * scale,
      d.median * scale, d.quantile_75 * scale, d.quantile_95 * scale, d.largest * scale, unit);
}

std::string statistics_text(const NetworkStatistics& found, bool own_box) {
  constexpr double um = 1e6;
  constexpr std::array type_names{"unknown", "arterioles", "capillaries", "venules"};
  std::string text;
  const auto line = [&](const char* name, const std::string& value) {
    text += fmt::format("  {:<26} {}\n", name, value);
  };
  line("segments", fmt::format("{}", found.segments));
  line("vessels", fmt::format("{} (between branch points, ends and boundary nodes)", found.vessels));
  line("nodes", fmt::format("{}, of these {} branch points, {} ends ({} blind)", found.nodes, found.branch_points,
                            found.end_nodes, found.blind_ends));
  line("boundary nodes",
       fmt::format("{}: {} with pressure, {} with flow", found.boundary_nodes, found.pressure_nodes, found.flow_nodes));
  line("connected pieces",
       fmt::format("{}, {:.1f} % of the length in the longest", found.pieces, 100 * found.largest_piece_share));
  line("loops", fmt::format("{}", found.loops));
  line("can carry flow", fmt::format("{:.1f} % of the length", 100 * found.through_flow_share));
  line("total length", fmt::format("{:.4g} mm", found.total_length * 1e3));
  line("tortuosity", fmt::format("{:.4g} (vessels: median {:.4g}, 95 % {:.4g})", found.tortuosity,
                                 found.vessel_tortuosity.median, found.vessel_tortuosity.quantile_95));
  line("radius", spread_text(found.radius, um, "um"));
  line("radius by length", spread_text(found.radius_by_length, um, "um"));
  line("segment length", spread_text(found.length, um, "um"));
  line("vessel length", spread_text(found.vessel_length, um, "um"));
  line("vessel radius", spread_text(found.vessel_radius, um, "um"));
  std::string types;
  for (std::size_t type = 0; type < 4; ++type)
    if (found.types[type].segments > 0)
      types += fmt::format("{}{} {:.1f} %", types.empty() ? "" : ", ", type_names[type],
                           100 * found.types[type].length_share);
  line("length by type", types);
  std::string degrees;
  for (std::size_t d = 0; d < found.degrees.size(); ++d)
    if (found.degrees[d] > 0) degrees += fmt::format("{}{}: {}", degrees.empty() ? "" : ", ", d, found.degrees[d]);
  line("nodes by degree", degrees);
  line(own_box ? "box" : "box (around the nodes)",
       fmt::format("{:.4g} x {:.4g} x {:.4g} um from ({:.4g}, {:.4g}, {:.4g}) um", found.box.size[0] * um,
                   found.box.size[1] * um, found.box.size[2] * um, found.box.origin[0] * um, found.box.origin[1] * um,
                   found.box.origin[2] * um));
  if (found.box.volume() > 0) {
    line("length density", fmt::format("{:.4g} mm/mm3", found.length_density * 1e-6));
    line("surface per volume", fmt::format("{:.4g} 1/cm", found.surface_per_volume * 1e-2));
    line("volume fraction", fmt::format("{:.4g} %", 100 * found.volume_fraction));
    line("segment density", fmt::format("{:.4g} 1/mm3", found.segment_density * 1e-9));
    line("vessel density", fmt::format("{:.4g} 1/mm3", found.vessel_density * 1e-9));
    line("branch point density", fmt::format("{:.4g} 1/mm3", found.branch_point_density * 1e-9));
  } else {
    line("densities", "none: the box has no volume (give --box)");
  }
  line("tissue to nearest wall", spread_text(found.distance_to_wall, um, "um"));
  line("tissue to nearest axis", spread_text(found.distance_to_axis, um, "um"));
  if (!found.boxes.edge.empty())
    line("fractal dimension",
         fmt::format("{:.3f} by counts of boxes of {:.4g} to {:.4g} um", found.boxes.dimension,
                     found.boxes.edge.front() * um, found.boxes.edge[found.boxes.fitted - 1] * um));
  return text;
}

std::string haemodynamics_text(const Haemodynamics& found, double perfusion_velocity) {
  constexpr double nl_per_min = 6e13, ml_per_min_per_100g = 6e6;
  std::string text = "blood flow:\n";
  const auto line = [&](const char* name, const std::string& value) {
    text += fmt::format("  {:<26} {}\n", name, value);
  };
  line("perfused",
       fmt::format("{:.1f} % of the length, {:.1f} % of the segments (velocity from {:.4g} um/s)",
                   100 * found.perfused_fraction, 100 * found.perfused_segment_fraction, perfusion_velocity * 1e6));
  line("inflow", fmt::format("{:.4g} nl/min of blood, {:.4g} nl/min of plasma", found.inflow * nl_per_min,
                             found.plasma_inflow * nl_per_min));
  if (found.perfusion > 0)
    line("perfusion",
         fmt::format("{:.4g} ml/min/100 g of blood, {:.4g} of plasma", found.perfusion_per_mass * ml_per_min_per_100g,
                     found.plasma_flow_per_mass * ml_per_min_per_100g));
  line("variation of flow", fmt::format("{:.3f} (coefficient of variation, by length)", found.flow_variation));
  line("variation of velocity", fmt::format("{:.3f}", found.velocity_variation));
  line("velocity by length", spread_text(found.velocity, 1e3, "mm/s"));
  line("flow by length", spread_text(found.flow, nl_per_min, "nl/min"));
  line("wall shear by length", spread_text(found.wall_shear, 10, "dyn/cm2"));
  line("haematocrit, perfused", spread_text(found.haematocrit, 1, ""));
  line("transit time",
       fmt::format("mean {:.4g} s, SD {:.4g} s, variation {:.3f}, of {:.2f} % of the outflow", found.transit_mean,
                   found.transit_deviation, found.transit_variation, 100 * found.transit_share));
  line("blood volume / inflow", fmt::format("{:.4g} s", found.volume_over_inflow));
  line("transit time of walks", spread_text(found.transit, 1, "s"));
  return text;
}

nlohmann::ordered_json spread_json(const Distribution& d) {
  return {{"count", d.count},
          {"mean", d.mean},
          {"deviation", d.deviation},
          {"min", d.smallest},
          {"max", d.largest},
          {"quantile_05", d.quantile_05},
          {"quantile_25", d.quantile_25},
          {"median", d.median},
          {"quantile_75", d.quantile_75},
          {"quantile_95", d.quantile_95}};
}

nlohmann::ordered_json bins_json(const Binned& bins) {
  return {{"edges", bins.edges}, {"share", bins.share}, {"below", bins.below}, {"above", bins.above}};
}

nlohmann::ordered_json statistics_json(const NetworkStatistics& found) {
  nlohmann::ordered_json types;
  constexpr std::array type_names{"unknown", "arteriole", "capillary", "venule"};
  for (std::size_t type = 0; type < 4; ++type)
    types[type_names[type]] = {{"segments", found.types[type].segments},
                               {"length_share", found.types[type].length_share}};
  return {{"segments", found.segments},
          {"vessels", found.vessels},
          {"nodes", found.nodes},
          {"branch_points", found.branch_points},
          {"end_nodes", found.end_nodes},
          {"blind_ends", found.blind_ends},
          {"pieces", found.pieces},
          {"largest_piece_share", found.largest_piece_share},
          {"loops", found.loops},
          {"boundary_nodes", found.boundary_nodes},
          {"pressure_nodes", found.pressure_nodes},
          {"flow_nodes", found.flow_nodes},
          {"total_length_m", found.total_length},
          {"length_density_m_per_m3", found.length_density},
          {"surface_per_volume_per_m", found.surface_per_volume},
          {"volume_fraction", found.volume_fraction},
          {"segment_density_per_m3", found.segment_density},
          {"vessel_density_per_m3", found.vessel_density},
          {"branch_point_density_per_m3", found.branch_point_density},
          {"through_flow_share", found.through_flow_share},
          {"tortuosity", found.tortuosity},
          {"fractal_dimension", found.boxes.dimension},
          {"box_counts", {{"edge_m", found.boxes.edge}, {"count", found.boxes.count}, {"fitted", found.boxes.fitted}}},
          {"radius_m", spread_json(found.radius)},
          {"radius_by_length_m", spread_json(found.radius_by_length)},
          {"length_m", spread_json(found.length)},
          {"vessel_length_m", spread_json(found.vessel_length)},
          {"vessel_radius_m", spread_json(found.vessel_radius)},
          {"vessel_tortuosity", spread_json(found.vessel_tortuosity)},
          {"distance_to_wall_m", spread_json(found.distance_to_wall)},
          {"distance_to_axis_m", spread_json(found.distance_to_axis)},
          {"points_inside_share", found.points_inside},
          {"types", types},
          {"nodes_by_degree", found.degrees},
          {"histograms",
           {{"radius_by_length_m", bins_json(found.radius_bins)},
            {"vessel_length_m", bins_json(found.vessel_length_bins)},
            {"vessel_tortuosity", bins_json(found.tortuosity_bins)},
            {"distance_to_wall_m", bins_json(found.distance_bins)}}},
          {"box_origin_m", found.box.origin},
          {"box_size_m", found.box.size}};
}

nlohmann::ordered_json haemodynamics_json(const Haemodynamics& found, double perfusion_velocity) {
  return {{"perfusion_velocity_m_per_s", perfusion_velocity},
          {"perfused_fraction", found.perfused_fraction},
          {"perfused_segment_fraction", found.perfused_segment_fraction},
          {"inflow_m3_per_s", found.inflow},
          {"outflow_m3_per_s", found.outflow},
          {"plasma_inflow_m3_per_s", found.plasma_inflow},
          {"perfusion_per_s", found.perfusion},
          {"perfusion_ml_per_min_per_100g", found.perfusion_per_mass * 6e6},
          {"plasma_flow_ml_per_min_per_100g", found.plasma_flow_per_mass * 6e6},
          {"flow_variation", found.flow_variation},
          {"velocity_variation", found.velocity_variation},
          {"flow_by_length_m3_per_s", spread_json(found.flow)},
          {"velocity_by_length_m_per_s", spread_json(found.velocity)},
          {"wall_shear_by_length_Pa", spread_json(found.wall_shear)},
          {"haematocrit_by_length", spread_json(found.haematocrit)},
          {"blood_volume_m3", found.blood_volume},
          {"volume_over_inflow_s", found.volume_over_inflow},
          {"transit_share", found.transit_share},
          {"transit_mean_s", found.transit_mean},
          {"transit_deviation_s", found.transit_deviation},
          {"transit_variation", found.transit_variation},
          {"transit_walks_s", spread_json(found.transit)},
          {"histograms",
           {{"transit_s", bins_json(found.transit_bins)},
            {"velocity_by_length_m_per_s", bins_json(found.velocity_bins)},
            {"wall_shear_by_length_Pa", bins_json(found.shear_bins)}}}};
}

nlohmann::ordered_json diagnosis_json(const Diagnosis& found) {
  nlohmann::ordered_json pieces = nlohmann::ordered_json::array();
  for (const auto& piece : found.pieces)
    pieces.push_back({{"nodes", piece.nodes},
                      {"segments", piece.segments},
                      {"boundary_nodes", piece.boundary_nodes},
                      {"pressure_nodes", piece.pressure_nodes},
                      {"length_m", piece.length}});
  return {{"usable", found.usable()},
          {"pieces", pieces},
          {"pieces_without_boundary", found.pieces_without_boundary.size()},
          {"pieces_without_pressure", found.pieces_without_pressure.size()},
          {"dangling_ends", found.dangling_ends.size()},
          {"isolated_nodes", found.isolated_nodes.size()},
          {"outside_nodes", found.outside_nodes.size()},
          {"coincident_nodes", found.coincident_nodes.size()},
          {"zero_radius", found.zero_radius.size()},
          {"negative_radius", found.negative_radius.size()},
          {"zero_length", found.zero_length.size()},
          {"short_segments", found.short_segments.size()},
          {"self_loops", found.self_loops.size()},
          {"duplicate_segments", found.duplicate_segments.size()},
          {"parallel_segments", found.parallel_segments.size()},
          {"no_through_flow", found.no_through_flow.size()}};
}

std::string findings(const VesselGraph& graph, const Box& box, bool advise) {
  const Diagnosis found = diagnose(graph, box);
  std::string text = report(found, graph);
  if (!found.usable())
    text += advise
                ? "  not usable in a simulation as it is; --repair mends geometry, pressures must come from the file\n"
                : "  not usable in a simulation as it is\n";
  return text;
}

const std::string& one_file(const Invocation& invocation) {
  if (invocation.positional.size() != 2)
    throw InputError(fmt::format("network {}: expected one file", invocation.positional.front()));
  return invocation.positional[1];
}

void need_output(const Invocation& invocation) {
  if (invocation.output.empty())
    throw InputError(
        fmt::format("network {}: no output; give -o FILE with .h5, .vtp, .csv or .dgf", invocation.positional.front()));
  if (network_format_of(invocation.output) == NetworkFormat::dat)
    throw InputError(
        fmt::format("network {}: .dat networks are read, not written; give -o FILE with .h5, .vtp, .csv or "
                    ".dgf",
                    invocation.positional.front()));
}

void write_and_tell(MPI_Comm comm, const Invocation& invocation, const VesselGraph& graph, std::string text) {
  on_root(comm, [&] { write_network(invocation.output, graph); });
  text += fmt::format("wrote {} segments and {} nodes to {}\n", graph.segments(), graph.nodes(),
                      invocation.output.string());
  if (!invocation.quiet) print_once(comm, text);
}

/// Estimates what the file leaves open at the ends of vessels; the report.
std::string estimate(const Invocation& invocation, VesselGraph& graph) {
  Catalogue catalogue = boundary_estimate_parameters();
  catalogue.insert(catalogue.end(), blood_parameters().begin(), blood_parameters().end());
  const Deck deck = Deck::from_text("", ".", invocation.overrides, catalogue);
  const Box box = box_of(invocation, bounding_box(graph));
  BoundaryEstimate found = estimate_boundaries(graph, open_ends(graph, box, deck.number(network::estimate_margin)),
                                               boundary_estimate_settings(deck));
  graph = std::move(found.graph);
  return "boundary pressures estimated:\n" + found.text();
}

int import_network(MPI_Comm comm, const Invocation& invocation) {
  need_output(invocation);
  VesselGraph graph;
  std::string text;
  on_root(comm, [&] {
    std::vector<std::string> notes;
    graph = read_network(one_file(invocation), read_options(invocation), &notes);
    text = fmt::format("{}: {} segments, {} nodes\n", invocation.positional[1], graph.segments(), graph.nodes());
    for (const auto& note : notes) text += "  note: " + note + "\n";
    text += "found:\n" + findings(graph, box_of(invocation, bounding_box(graph)), option(invocation, "repair").empty());
    if (!option(invocation, "repair").empty()) {
      auto [mended, done] = repair(graph);
      if (mended.segments() == 0)
        throw InputError(fmt::format("{}: nothing is left of the network after the repair:\n{}",
                                     invocation.positional[1], done.text()));
      text += done.changed() ? "repaired:\n" + done.text() : "repaired: nothing\n" + done.text();
      graph = std::move(mended);
      text += "left:\n" + findings(graph, box_of(invocation, bounding_box(graph)), false);
    }
    if (!option(invocation, "estimate-boundaries").empty()) {
      text += estimate(invocation, graph);
    } else if (!invocation.overrides.empty()) {
      throw InputError(fmt::format("network import: --set {}: has no effect without --estimate-boundaries",
                                   invocation.overrides.front().key));
    }
  });
  write_and_tell(comm, invocation, graph, std::move(text));
  return static_cast<int>(ExitCode::done);
}

int make_network(MPI_Comm comm, const Invocation& invocation) {
  need_output(invocation);
  if (invocation.positional.size() > 2) throw InputError("network generate: expected at most one deck");
  // Without a deck only the keys that matter here exist, so that a key without effect is refused.
  Catalogue catalogue = vasculature_parameters();
  catalogue.insert(catalogue.end(), {&grid::cells, &grid::spacing, &grid::origin, &patient::kind, &tumour::radius,
                                     &tumour::centre, &host::face, &host::depth});
  const Deck deck = invocation.positional.size() == 2
                        ? read_deck(comm, invocation.positional[1], invocation.overrides, program_catalogue())
                        : Deck::from_text("", ".", invocation.overrides, catalogue);
  const auto cells = deck.numbers(grid::cells), spacing = deck.numbers(grid::spacing),
             origin = deck.numbers(grid::origin);
  const auto along = [](const std::vector<double>& list, std::size_t axis, const char* key) {
    if (list.size() != 1 && list.size() != 3)
      throw InputError(fmt::format("{}: {} values; expected one or three", key, list.size()));
    return list[list.size() == 1 ? 0 : axis];
  };
  Box box;
  for (std::size_t d = 0; d < 3; ++d) {
    box.origin[d] = along(origin, d, "grid.origin");
    box.size[d] = along(cells, d, "grid.cells") * along(spacing, d, "grid.spacing");
  }
  if (invocation.positional.size() == 2 && deck.text(network::source) == "lattice") {
    VesselGraph graph;
    on_root(comm, [&] { graph = generate_network(generator_settings(deck, box)); });
    const NetworkStatistics found = statistics(comm, graph, box);
    write_and_tell(comm, invocation, graph, "plain test network (not morphometric)\n" + statistics_text(found, true));
    return static_cast<int>(ExitCode::done);
  }
  VasculatureSettings settings = vasculature_settings(deck, box);
  if (settings.preset != "healthy") settings.region = tumour_region(deck, box);
  VasculatureReport grown;
  // All ranks grow; one writes.
  const VesselGraph graph = grow_vasculature(
      comm, settings, [](const auto&) { return 0; }, &grown);
  write_and_tell(comm, invocation, graph, grown.text());
  return static_cast<int>(ExitCode::done);
}

/// Figures of the steady blood flow by the laws of section `blood`. Collective.
Haemodynamics flow_figures(MPI_Comm comm, const Invocation& invocation, const VesselGraph& share, const Box& box,
                           HaemodynamicSettings& settings, std::vector<std::string>& notes) {
  Catalogue catalogue = blood_parameters();
  catalogue.push_back(&outcomes::perfusion_velocity);
  const Deck deck = Deck::from_text("", ".", invocation.overrides, catalogue);
  settings.perfusion_velocity = deck.number(outcomes::perfusion_velocity);
  const FlowOfShare solved = steady_flow(comm, share, blood_laws(deck));
  if (!solved.flow.steady)
    notes.push_back(
        "the haematocrit runs through a cycle: the flow shown is the state nearest to a steady one "
        "(--set blood.phase_separation=proportional always settles)");
  return haemodynamics(comm, solved.share, box, solved.flow, settings);
}

int describe_network(MPI_Comm comm, const Invocation& invocation) {
  const std::string format = option(invocation, "format");
  if (!format.empty() && format != "text" && format != "json")
    throw InputError(fmt::format("network info: --format '{}'; expected text or json", format));
  const bool with_flow = !option(invocation, "flow").empty();
  if (!with_flow && !invocation.overrides.empty())
    throw InputError("network info: --set has an effect with --flow alone; leave it out or add --flow");
  std::vector<std::string> notes;
  const VesselGraph share = read_network_share(comm, one_file(invocation), read_options(invocation), &notes);
  const Box box = box_of(invocation, bounding_box(comm, share));
  const NetworkStatistics found = statistics(comm, share, box);
  HaemodynamicSettings settings;
  Haemodynamics flow;
  if (with_flow) flow = flow_figures(comm, invocation, share, box, settings, notes);
  const VesselGraph graph = gathered(comm, share);  // on rank 0, which looks for defects
  if (format == "json") {
    // Notes are known to rank 0 alone, and only rank 0 prints.
    nlohmann::ordered_json all{{"file", invocation.positional[1]},
                               {"statistics", statistics_json(found)},
                               {"diagnosis", rank_of(comm) == 0 ? diagnosis_json(diagnose(graph, box)) : nullptr},
                               {"notes", notes}};
    if (with_flow) all["haemodynamics"] = haemodynamics_json(flow, settings.perfusion_velocity);
    print_once(comm, all.dump(2) + "\n");
  } else {
    std::string text = invocation.positional[1] + "\n" + statistics_text(found, !option(invocation, "box").empty());
    if (with_flow) text += haemodynamics_text(flow, settings.perfusion_velocity);
    for (const auto& note : notes) text += "  note: " + note + "\n";
    if (rank_of(comm) == 0) text += "found:\n" + findings(graph, box, true);
    print_once(comm, text);
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace

std::vector<CommandOption> network_options() {
  return {{"input-format", "NAME", "import, info: auto (by extension), dat, dgf, vtp, csv or hdf5"},
          {"length-unit", "UNIT", "import, info: unit of positions where the file states none (needed for .vtp)"},
          {"radius-unit", "UNIT", "import, info: unit of radii; else as positions"},
          {"pressure-unit", "UNIT", "import, info: unit of boundary pressures where the file states none"},
          {"flow-unit", "UNIT", "import, info: unit of flows where the file states none"},
          {"flow-factor", "NUMBER", "import, info: multiplies all flows of a .dat file"},
          {"radius-name", "NAME", "import, info: array of a .vtp file that holds the radius"},
          {"diameter", "", "import, info: that array (or the .dgf column) holds diameters"},
          {"maturity", "NUMBER", "import, info: maturity of segments for which the file gives none (0 to 1)"},
          {"box", "LENGTHS", "import, info: box of tissue: size, or corner and size, as in '550 um, 520 um, 230 um'"},
          {"repair", "", "import: repairs what is found: merges, drops, fills radii; each change is reported"},
          {"estimate-boundaries", "",
           "import: estimates pressures of open ends; targets by --set network.target_pressure=..."},
          {"flow", "", "info: solves the blood flow too: perfusion, heterogeneity, transit times, wall shear"},
          {"format", "FORMAT", "info: text (default) or json"}};
}

int run_network(MPI_Comm comm, const Invocation& invocation) {
  const std::string what = invocation.positional.empty() ? std::string{} : invocation.positional.front();
  if (what == "import") return import_network(comm, invocation);
  if (what == "generate") return make_network(comm, invocation);
  if (what == "info") return describe_network(comm, invocation);
  const std::vector<std::string> known{"import", "generate", "info"};
  const std::string near = nearest(what, known);
  throw InputError(fmt::format("network: unknown task '{}'; expected import, generate or info{}", what,
                               near.empty() ? "" : "; did you mean " + near + "?"));
}

}  // namespace sanctuary
