#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "io/atomic_file.hpp"
#include "io/network_text.hpp"

namespace sanctuary::network_text {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::string_view vertex_mark = "% sanctuary vertex parameters:",
                           simplex_mark = "% sanctuary simplex parameters:";
constexpr std::string_view vertex_columns =
    "pressure boundary_kind boundary_value boundary_haematocrit boundary_po2 node_id";
constexpr std::string_view simplex_columns = "radius segment_id length maturity type flow haematocrit";

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

struct Block {
  long line = 0;  // of its name
  long parameters = 0, first_index = 0;
  std::vector<std::pair<long, std::vector<std::string_view>>> rows;
};

/// The rows of the block that begins behind line `i`; leaves `i` behind the line that ends it.
Block read_block(const Lines& lines, long& i, const std::string& name) {
  Block block;
  block.line = i;
  while (i < lines.size()) {
    std::string_view line = lines.line[static_cast<std::size_t>(i++)];
    line = line.substr(0, line.find('%'));
    auto parts = words(line);
    if (parts.empty()) continue;
    if (parts[0].starts_with('#')) return block;
    parts = words(line.substr(0, line.find('#')));
    const std::string keyword = lower(parts[0]);
    if (keyword == "parameters" || keyword == "firstindex") {
      if (parts.size() < 2) fail(lines.file, i, keyword + ": expected a number behind it");
      const long value = integer(parts[1], lines.file, i, keyword);
      if (value < 0 || value > 1000) fail(lines.file, i, fmt::format("{} {}: expected 0 to 1000", keyword, value));
      (keyword == "parameters" ? block.parameters : block.first_index) = value;
      continue;
    }
    block.rows.emplace_back(i, std::move(parts));
  }
  fail(lines.file, lines.size(),
       fmt::format("the file ends inside block {} of line {}; expected a line with #", name, block.line));
}

std::vector<std::string> names_of(std::string_view text) {
  std::vector<std::string> result;
  for (const auto word : words(text)) result.emplace_back(word);
  return result;
}

/// Place of each named column in a row, behind the `before` numbers that come first.
class Columns {
 public:
  Columns(std::vector<std::string> names, std::size_t before) : names_(std::move(names)), before_(before) {}
  [[nodiscard]] std::optional<std::size_t> find(std::string_view name, const Block& block) const {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end() || found - names_.begin() >= block.parameters) return std::nullopt;
    return before_ + static_cast<std::size_t>(found - names_.begin());
  }

 private:
  std::vector<std::string> names_;
  std::size_t before_;
};

}  // namespace

VesselGraph read_dgf(const std::filesystem::path& path, const ReadOptions& options, Notes& notes) {
  const auto unit = [&](const std::string& given, const char* usual) {
    return unit_factor(given.empty() ? usual : given, usual, path.string());
  };
  const double metres = unit(options.length_unit, "m"), pascals = unit(options.pressure_unit, "Pa");
  const double radius_metres =
      (options.radius_unit.empty() ? metres : unit(options.radius_unit, "m")) * (options.radius_is_diameter ? 0.5 : 1);
  for (const auto& name : options.dgf_vertex_columns)
    if (name != "pressure" && name != "skip")
      throw InputError(fmt::format("dgf vertex column '{}': expected pressure or skip", name));
  for (const auto& name : options.dgf_segment_columns)
    if (name != "radius" && name != "length" && name != "skip")
      throw InputError(fmt::format("dgf segment column '{}': expected radius, length or skip", name));

  const Lines lines(path);
  const std::string& file = lines.file;
  std::vector<std::string> of_vertices = options.dgf_vertex_columns, of_segments = options.dgf_segment_columns;
  bool own = false;
  std::optional<Block> vertices, simplices;
  bool begun = false;
  for (long i = 0; i < lines.size();) {
    std::string_view line = lines.line[static_cast<std::size_t>(i++)];
    if (line.starts_with(vertex_mark)) of_vertices = names_of(line.substr(vertex_mark.size())), own = true;
    if (line.starts_with(simplex_mark)) of_segments = names_of(line.substr(simplex_mark.size())), own = true;
    const auto parts = words(line.substr(0, line.find('%')));
    if (parts.empty() || parts[0].starts_with('#')) continue;
    const std::string keyword = lower(parts[0]);
    if (!begun) {
      if (keyword != "dgf") fail(file, i, "expected a line with DGF: is this a DUNE grid file?");
      begun = true;
      continue;
    }
    if (!std::isalpha(static_cast<unsigned char>(keyword[0])))
      fail(file, i, fmt::format("expected the name of a block, found '{}'", line.substr(0, 60)));
    Block block = read_block(lines, i, keyword);
    if (keyword == "vertex" || keyword == "simplex") {
      auto& mine = keyword == "vertex" ? vertices : simplices;
      if (mine) fail(file, block.line, fmt::format("a second block {}; expected one", keyword));
      mine = std::move(block);
    } else if (keyword != "boundarydomain" && keyword != "gridparameter") {
      notes.push_back(fmt::format("{}:{}: block {} is not used", file, block.line, keyword));
    }
  }
  if (!begun) fail(file, 0, "is empty; expected a DUNE grid file");
  if (!vertices || !simplices)
    fail(file, lines.size(), fmt::format("no block {}; expected Vertex and Simplex", vertices ? "Simplex" : "Vertex"));

  VesselGraph graph;
  const Columns vertex(of_vertices, 3), simplex(of_segments, 2);
  const auto pressure = vertex.find("pressure", *vertices), kind = vertex.find("boundary_kind", *vertices),
             value = vertex.find("boundary_value", *vertices),
             boundary_haematocrit = vertex.find("boundary_haematocrit", *vertices),
             po2 = vertex.find("boundary_po2", *vertices), node_id = vertex.find("node_id", *vertices);
  // In a file of ours a negative haematocrit or pO2 and a NaN flow say "not given".
  const auto given = [](double x) { return x < 0 ? nan : x; };
  std::vector<double> end_pressure;
  for (const auto& [line, row] : vertices->rows) {
    const auto columns = static_cast<std::size_t>(3 + vertices->parameters);
    if (row.size() != columns)
      fail(file, line,
           fmt::format("a vertex row has {} numbers; expected {} (x y z and {} parameters)", row.size(), columns,
                       vertices->parameters));
    std::vector<double> x(row.size());
    for (std::size_t c = 0; c < row.size(); ++c) x[c] = number(row[c], file, line, "vertex row");
    const long n =
        graph.add_node({x[0] * metres, x[1] * metres, x[2] * metres},
                       node_id ? integer(row[*node_id], file, line, "node id") : graph.nodes() + vertices->first_index);
    end_pressure.push_back(pressure ? x[*pressure] * pascals : nan);
    if (!own || !kind) continue;
    if (x[*kind] != 0 && x[*kind] != 1 && x[*kind] != 2)
      fail(file, line, fmt::format("boundary kind {}: expected 0 (none), 1 (pressure) or 2 (flow)", x[*kind]));
    graph.set_boundary(n, static_cast<BoundaryKind>(static_cast<int>(x[*kind])), value ? x[*value] : 0,
                       boundary_haematocrit ? given(x[*boundary_haematocrit]) : nan, po2 ? given(x[*po2]) : nan);
  }

  const auto radius = simplex.find("radius", *simplices), length = simplex.find("length", *simplices),
             segment_id = simplex.find("segment_id", *simplices), maturity = simplex.find("maturity", *simplices),
             type = simplex.find("type", *simplices), flow = simplex.find("flow", *simplices),
             haematocrit = simplex.find("haematocrit", *simplices);
  if (!radius)
    fail(file, simplices->line,
         fmt::format("segments have no radius: the block has {} parameters; state which one holds the radius",
                     simplices->parameters));
  bool any_flow = false, any_haematocrit = false;
  std::vector<double> flows, haematocrits;
  for (const auto& [line, row] : simplices->rows) {
    const auto columns = static_cast<std::size_t>(2 + simplices->parameters);
    if (row.size() != columns)
      fail(file, line,
           fmt::format("a simplex row has {} numbers; expected {} (two vertices and {} parameters)", row.size(),
                       columns, simplices->parameters));
    std::array<long, 2> node{};
    for (std::size_t c = 0; c < 2; ++c) {
      node[c] = integer(row[c], file, line, "vertex of a simplex") - vertices->first_index;
      if (node[c] < 0 || node[c] >= graph.nodes())
        fail(file, line, fmt::format("vertex {} does not exist; the file has {} vertices", row[c], graph.nodes()));
    }
    const auto column = [&](std::optional<std::size_t> c, const char* what) {
      if (!c) return nan;
      return own && (row[*c] == "nan" || row[*c] == "-nan") ? nan : number(row[*c], file, line, what);
    };
    for (std::size_t c = 2; c < columns; ++c)
      if (!own) (void)number(row[c], file, line, "simplex row");
    const double r = number(row[*radius], file, line, "radius");
    const auto s = static_cast<std::size_t>(
        graph.add_segment(node[0], node[1], r * radius_metres,
                          segment_id ? integer(row[*segment_id], file, line, "segment id") : graph.segments()));
    if (length) graph.length[s] = number(row[*length], file, line, "length") * metres;
    graph.maturity[s] = maturity ? number(row[*maturity], file, line, "maturity") : options.maturity;
    if (type) graph.type[s] = static_cast<int>(integer(row[*type], file, line, "type"));
    flows.push_back(column(flow, "flow"));
    haematocrits.push_back(column(haematocrit, "haematocrit"));
    any_flow = any_flow || !std::isnan(flows.back());
    any_haematocrit = any_haematocrit || !std::isnan(haematocrits.back());
  }
  if (any_flow) graph.file_flow = std::move(flows);
  if (any_haematocrit) graph.file_haematocrit = std::move(haematocrits);
  if (!(own && kind)) {
    if (!pressure) notes.push_back(file + ": no vertex pressure, so end vertices have no boundary condition");
    for (long n : end_nodes(graph))
      if (pressure) graph.set_boundary(n, BoundaryKind::pressure, end_pressure[static_cast<std::size_t>(n)]);
  }
  return graph;
}

void write_dgf(const std::filesystem::path& path, const VesselGraph& graph) {
  // DUNE reads the first parameters alone: vertex pressure and segment radius, as DuMux expects them.
  std::string text = fmt::format("DGF\n% m, Pa, m^3/s\n{} {}\n{} {}\nVertex\nparameters {}\n", vertex_mark,
                                 vertex_columns, simplex_mark, simplex_columns, words(vertex_columns).size());
  const auto given = [](double x) { return std::isnan(x) ? std::string("-1") : shortest(x); };
  for (std::size_t n = 0; n < graph.position.size(); ++n) {
    const auto& p = graph.position[n];
    const double pressure = graph.boundary[n] == BoundaryKind::pressure ? graph.boundary_value[n] : 0;
    text += fmt::format("{} {} {} {} {} {} {} {} {}\n", shortest(p[0]), shortest(p[1]), shortest(p[2]),
                        shortest(pressure), static_cast<int>(graph.boundary[n]), shortest(graph.boundary_value[n]),
                        given(graph.boundary_haematocrit[n]), given(graph.boundary_po2[n]), graph.node_id[n]);
  }
  text += fmt::format("#\nSIMPLEX\nparameters {}\n", words(simplex_columns).size());
  const auto listed = [](const std::vector<double>& values, std::size_t s) {
    return values.empty() || std::isnan(values[s]) ? std::string("nan") : shortest(values[s]);
  };
  for (std::size_t s = 0; s < graph.segment.size(); ++s)
    text +=
        fmt::format("{} {} {} {} {} {} {} {} {}\n", graph.segment[s][0], graph.segment[s][1], shortest(graph.radius[s]),
                    graph.segment_id[s], shortest(graph.length[s]), shortest(graph.maturity[s]), graph.type[s],
                    listed(graph.file_flow, s), listed(graph.file_haematocrit, s));
  text += "#\nBOUNDARYDOMAIN\ndefault 1\n#\n";
  write_text_atomically(path, text);
}

}  // namespace sanctuary::network_text
