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
Box box_of(const Invocation& invocation, const VesselGraph& graph) {
  const std::string text = option(invocation, "box");
  if (text.empty()) return bounding_box(graph);
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

std::string statistics_text(const NetworkStatistics& found, bool own_box) {
  constexpr double um = 1e6;
  std::string text;
  const auto line = [&](const char* name, const std::string& value) {
    text += fmt::format("  {:<26} {}\n", name, value);
  };
  const auto spread = [&](const char* name, const Distribution& d) {
    line(name,
         fmt::format("mean {:.4g}, SD {:.3g}, min {:.4g}, 5 % {:.4g}, 25 % {:.4g}, median {:.4g}, 75 % {:.4g}, 95 % "
                     "{:.4g}, max {:.4g} um",
                     d.mean * um, d.deviation * um, d.smallest * um, d.quantile_05 * um, d.quantile_25 * um,
                     d.median * um, d.quantile_75 * um, d.quantile_95 * um, d.largest * um));
  };
  line("segments", fmt::format("{}", found.segments));
  line("nodes", fmt::format("{}, of these {} ends", found.nodes, found.end_nodes));
  line("boundary nodes",
       fmt::format("{}: {} with pressure, {} with flow", found.boundary_nodes, found.pressure_nodes, found.flow_nodes));
  line("connected pieces", fmt::format("{}", found.pieces));
  line("can carry flow", fmt::format("{:.1f} % of the length", 100 * found.through_flow_share));
  line("total length", fmt::format("{:.4g} mm", found.total_length * 1e3));
  line("tortuosity", fmt::format("{:.4g}", found.tortuosity));
  spread("radius", found.radius);
  spread("segment length", found.length);
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
  } else {
    line("densities", "none: the box has no volume (give --box)");
  }
  return text;
}

nlohmann::ordered_json statistics_json(const NetworkStatistics& found) {
  const auto spread = [](const Distribution& d) {
    return nlohmann::ordered_json{{"mean", d.mean},     {"deviation", d.deviation},     {"min", d.smallest},
                                  {"max", d.largest},   {"quantile_05", d.quantile_05}, {"quantile_25", d.quantile_25},
                                  {"median", d.median}, {"quantile_75", d.quantile_75}, {"quantile_95", d.quantile_95}};
  };
  return {{"segments", found.segments},
          {"nodes", found.nodes},
          {"end_nodes", found.end_nodes},
          {"pieces", found.pieces},
          {"boundary_nodes", found.boundary_nodes},
          {"pressure_nodes", found.pressure_nodes},
          {"flow_nodes", found.flow_nodes},
          {"total_length_m", found.total_length},
          {"length_density_m_per_m3", found.length_density},
          {"surface_per_volume_per_m", found.surface_per_volume},
          {"volume_fraction", found.volume_fraction},
          {"segment_density_per_m3", found.segment_density},
          {"through_flow_share", found.through_flow_share},
          {"tortuosity", found.tortuosity},
          {"radius_m", spread(found.radius)},
          {"length_m", spread(found.length)},
          {"nodes_by_degree", found.degrees},
          {"box_origin_m", found.box.origin},
          {"box_size_m", found.box.size}};
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

VesselGraph read_one(MPI_Comm comm, const Invocation& invocation, std::vector<std::string>& notes) {
  if (invocation.positional.size() != 2)
    throw InputError(fmt::format("network {}: expected one file", invocation.positional.front()));
  return read_network(comm, invocation.positional[1], read_options(invocation), &notes);
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

int import_network(MPI_Comm comm, const Invocation& invocation) {
  need_output(invocation);
  std::vector<std::string> notes;
  VesselGraph graph = read_one(comm, invocation, notes);
  std::string text =
      fmt::format("{}: {} segments, {} nodes\n", invocation.positional[1], graph.segments(), graph.nodes());
  for (const auto& note : notes) text += "  note: " + note + "\n";
  text += "found:\n" + findings(graph, box_of(invocation, graph), option(invocation, "repair").empty());
  if (!option(invocation, "repair").empty()) {
    auto [mended, done] = repair(graph);
    if (mended.segments() == 0)
      throw InputError(fmt::format("{}: nothing is left of the network after the repair:\n{}", invocation.positional[1],
                                   done.text()));
    text += done.changed() ? "repaired:\n" + done.text() : "repaired: nothing\n" + done.text();
    graph = std::move(mended);
    text += "left:\n" + findings(graph, box_of(invocation, graph), false);
  }
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
    broadcast(comm, graph);
    write_and_tell(comm, invocation, graph,
                   "plain test network (not morphometric)\n" + statistics_text(statistics(graph, box), true));
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

int describe_network(MPI_Comm comm, const Invocation& invocation) {
  const std::string format = option(invocation, "format");
  if (!format.empty() && format != "text" && format != "json")
    throw InputError(fmt::format("network info: --format '{}'; expected text or json", format));
  std::vector<std::string> notes;
  const VesselGraph graph = read_one(comm, invocation, notes);
  const Box box = box_of(invocation, graph);
  const NetworkStatistics found = statistics(graph, box);
  if (format == "json") {
    // Notes are known to rank 0 alone, and only rank 0 prints.
    const nlohmann::ordered_json all{{"file", invocation.positional[1]},
                                     {"statistics", statistics_json(found)},
                                     {"diagnosis", diagnosis_json(diagnose(graph, box))},
                                     {"notes", notes}};
    print_once(comm, all.dump(2) + "\n");
  } else {
    std::string text = invocation.positional[1] + "\n" + statistics_text(found, !option(invocation, "box").empty());
    for (const auto& note : notes) text += "  note: " + note + "\n";
    print_once(comm, text + "found:\n" + findings(graph, box, true));
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
