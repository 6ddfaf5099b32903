#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "base/units.hpp"
#include "io/atomic_file.hpp"
#include "io/network_text.hpp"

namespace sanctuary::network_text {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

/// A column that a table may have: its name and other names for it, and the dimension of its values.
struct ColumnSpec {
  std::string name;
  std::vector<std::string> others;
  std::string like;  // empty: no unit
};

const std::vector<ColumnSpec>& node_columns() {
  static const std::vector<ColumnSpec> list{{"node", {"node_id", "id", "name"}, ""},
                                            {"x", {}, "m"},
                                            {"y", {}, "m"},
                                            {"z", {}, "m"},
                                            {"boundary", {"boundary_kind"}, ""},
                                            {"boundary_pressure", {}, "Pa"},
                                            {"boundary_flow", {}, "m^3/s"},
                                            {"boundary_haematocrit", {"boundary_hematocrit", "boundary_hd"}, ""},
                                            {"boundary_po2", {}, "Pa"}};
  return list;
}

const std::vector<ColumnSpec>& segment_columns() {
  static const std::vector<ColumnSpec> list{{"segment", {"segment_id", "id", "name"}, ""},
                                            {"node_a", {"from", "start", "start_node", "node1"}, ""},
                                            {"node_b", {"to", "end", "end_node", "node2"}, ""},
                                            {"radius", {}, "m"},
                                            {"diameter", {"diam"}, "m"},
                                            {"length", {}, "m"},
                                            {"maturity", {}, ""},
                                            {"type", {}, ""},
                                            {"flow", {}, "m^3/s"},
                                            {"haematocrit", {"hematocrit", "hd"}, ""}};
  return list;
}

/// The unit in a header such as `x_um`, `flow_nl_min`, `radius [um]`; `known` is false if the text is none.
std::string unit_text(std::string suffix, const std::string& like) {
  if (suffix.size() > 1 && (suffix.front() == '[' || suffix.front() == '('))
    suffix = std::string(trimmed(suffix.substr(1, suffix.size() - 2)));
  std::replace(suffix.begin(), suffix.end(), '_', '/');
  const std::map<std::string, std::string> spelt{{"mmhg", "mmHg"}, {"pa", "Pa"}, {"kpa", "kPa"}};
  if (const auto found = spelt.find(lower(suffix)); found != spelt.end()) suffix = found->second;
  return units::known(suffix) && units::compatible(suffix, like) ? suffix : std::string{};
}

class Table {
 public:
  Table(const std::filesystem::path& path, const std::vector<ColumnSpec>& specs, const ReadOptions& options,
        Notes& notes)
      : lines_(path) {
    long head = 0;
    while (head < lines_.size() && trimmed(line(head)).empty()) ++head;
    if (head == lines_.size()) fail(file(), 0, "is empty; expected a header and rows");
    for (const char candidate : {';', '\t'})
      if (line(head).find(',') == std::string_view::npos && line(head).find(candidate) != std::string_view::npos)
        separator_ = candidate;
    const auto headers = cells(head);
    for (std::size_t c = 0; c < headers.size(); ++c) place(headers[c], c, specs, options, head + 1, notes);
    for (long i = head + 1; i < lines_.size(); ++i) {
      if (trimmed(line(i)).empty()) continue;
      rows_.push_back(cells(i));
      row_line_.push_back(i + 1);
      if (rows_.back().size() != headers.size())
        fail(file(), i + 1, fmt::format("a row of {} columns; the header has {}", rows_.back().size(), headers.size()));
    }
    if (rows_.empty()) fail(file(), lines_.size(), "has no rows");
  }

  [[nodiscard]] const std::string& file() const { return lines_.file; }
  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  [[nodiscard]] long line_of(std::size_t row) const { return row_line_[row]; }
  [[nodiscard]] bool has(const std::string& name) const { return columns_.contains(name); }
  void require(const std::string& name, const std::string& what) const {
    if (!has(name))
      fail(file(), 1, fmt::format("no column '{}' ({}); a unit may follow, as in {}_um", name, what, name));
  }
  /// Text of a cell; empty if there is no such column.
  [[nodiscard]] std::string text(const std::string& name, std::size_t row) const {
    const auto found = columns_.find(name);
    return found == columns_.end() ? std::string{} : rows_[row][found->second.index];
  }
  /// Value in SI; NaN if the cell is empty or there is no such column.
  [[nodiscard]] double optional(const std::string& name, std::size_t row) const {
    return text(name, row).empty() ? nan : required(name, row);
  }
  [[nodiscard]] double required(const std::string& name, std::size_t row) const {
    return number(text(name, row), file(), line_of(row), fmt::format("column {}", name)) * columns_.at(name).factor;
  }
  [[nodiscard]] long whole(const std::string& name, std::size_t row) const {
    return integer(text(name, row), file(), line_of(row), fmt::format("column {}", name));
  }

 private:
  struct Column {
    std::size_t index = 0;
    double factor = 1;
  };
  [[nodiscard]] std::string_view line(long i) const { return lines_.line[static_cast<std::size_t>(i)]; }
  [[nodiscard]] std::vector<std::string> cells(long i) const {
    std::vector<std::string> result;
    std::string cell;
    bool quoted = false;
    for (const char c : line(i)) {
      if (c == '"') {
        quoted = !quoted;
      } else if (c == separator_ && !quoted) {
        result.emplace_back(trimmed(cell));
        cell.clear();
      } else {
        cell += c;
      }
    }
    if (quoted) fail(file(), i + 1, "a quote is not closed");
    result.emplace_back(trimmed(cell));
    return result;
  }

  void place(const std::string& header, std::size_t index, const std::vector<ColumnSpec>& specs,
             const ReadOptions& options, long head_line, Notes& notes) {
    for (const auto& spec : specs) {
      std::vector<std::string> names{spec.name};
      names.insert(names.end(), spec.others.begin(), spec.others.end());
      for (const auto& name : names) {
        if (!lower(header).starts_with(name)) continue;
        std::string suffix(trimmed(std::string_view(header).substr(name.size())));
        if (!suffix.empty() && spec.like.empty()) continue;
        if (suffix.starts_with('_')) suffix.erase(0, 1);
        double factor = 1;
        if (!spec.like.empty()) {
          const std::string unit = suffix.empty() ? fallback(spec, options) : unit_text(suffix, spec.like);
          if (unit.empty() && suffix.empty())
            fail(file(), head_line,
                 fmt::format("column '{}' has no unit; name it as in {}_{} or state the unit of the file", header, name,
                             spec.like == "m"    ? "um"
                             : spec.like == "Pa" ? "mmHg"
                                                 : "nl_min"));
          if (unit.empty()) continue;
          factor = unit_factor(unit, spec.like, file());
        }
        if (!columns_.emplace(spec.name, Column{index, factor}).second)
          fail(file(), head_line,
               fmt::format("column '{}' stands for {}, which another column gives too", header, spec.name));
        return;
      }
    }
    notes.push_back(fmt::format("{}: column '{}' is not used", file(), header));
  }

  static std::string fallback(const ColumnSpec& spec, const ReadOptions& options) {
    if (spec.like == "Pa") return options.pressure_unit;
    if (spec.like == "m^3/s") return options.flow_unit;
    const bool across = spec.name == "radius" || spec.name == "diameter";
    return across && !options.radius_unit.empty() ? options.radius_unit : options.length_unit;
  }

  Lines lines_;
  char separator_ = ',';
  std::map<std::string, Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<long> row_line_;
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto place = text.rfind(from);
  return place == std::string::npos ? std::string{} : text.replace(place, from.size(), to);
}

}  // namespace

VesselGraph read_csv(const std::filesystem::path& path, const ReadOptions& options, Notes& notes) {
  const CsvPair pair = csv_pair(path);
  const Table of_nodes(pair.nodes, node_columns(), options, notes);
  const Table of_segments(pair.segments, segment_columns(), options, notes);
  for (const char* axis : {"x", "y", "z"}) of_nodes.require(axis, "position");
  of_nodes.require("node", "name of the node");
  of_segments.require("node_a", "first node");
  of_segments.require("node_b", "second node");
  if (of_segments.has("radius") == of_segments.has("diameter"))
    of_segments.has("radius") ? fail(of_segments.file(), 1, "columns for radius and diameter; expected one of them")
                              : of_segments.require("radius", "or diameter");

  VesselGraph graph;
  NodeNames names;
  for (std::size_t row = 0; row < of_nodes.size(); ++row) {
    const long line = of_nodes.line_of(row);
    const auto wrong = [&](const std::string& what) { fail(of_nodes.file(), line, what); };
    const long name = of_nodes.whole("node", row);
    names.add(name, graph.nodes(), of_nodes.file(), line);
    const long n =
        graph.add_node({of_nodes.required("x", row), of_nodes.required("y", row), of_nodes.required("z", row)}, name);
    const double pressure = of_nodes.optional("boundary_pressure", row), flow = of_nodes.optional("boundary_flow", row);
    std::string kind = lower(of_nodes.text("boundary", row));
    if (!std::isnan(pressure) && !std::isnan(flow)) wrong("a node has either a boundary pressure or a boundary flow");
    if (kind.empty()) kind = !std::isnan(pressure) ? "pressure" : !std::isnan(flow) ? "flow" : "none";
    if (kind == "none") continue;
    if (kind != "pressure" && kind != "flow")
      wrong(fmt::format("boundary '{}': expected none, pressure or flow", kind));
    const double value = kind == "pressure" ? pressure : flow;
    if (std::isnan(value)) wrong(fmt::format("a {0} boundary without a value in a column boundary_{0}", kind));
    graph.set_boundary(n, kind == "pressure" ? BoundaryKind::pressure : BoundaryKind::flow, value,
                       of_nodes.optional("boundary_haematocrit", row), of_nodes.optional("boundary_po2", row));
  }
  std::vector<double> flows, haematocrits;
  for (std::size_t row = 0; row < of_segments.size(); ++row) {
    const long line = of_segments.line_of(row);
    const long from = names.find(of_segments.whole("node_a", row), of_segments.file(), line);
    const long to = names.find(of_segments.whole("node_b", row), of_segments.file(), line);
    const double radius =
        of_segments.has("radius") ? of_segments.required("radius", row) : 0.5 * of_segments.required("diameter", row);
    const long id = of_segments.has("segment") ? of_segments.whole("segment", row) : static_cast<long>(row);
    if (id < 0) fail(of_segments.file(), line, fmt::format("segment name {} is negative; expected 0 or more", id));
    const auto s = static_cast<std::size_t>(graph.add_segment(from, to, radius, id));
    if (const double length = of_segments.optional("length", row); !std::isnan(length)) graph.length[s] = length;
    const double maturity = of_segments.optional("maturity", row);
    graph.maturity[s] = std::isnan(maturity) ? options.maturity : maturity;
    if (!of_segments.text("type", row).empty()) graph.type[s] = static_cast<int>(of_segments.whole("type", row));
    flows.push_back(of_segments.optional("flow", row));
    haematocrits.push_back(of_segments.optional("haematocrit", row));
  }
  if (of_segments.has("flow")) graph.file_flow = std::move(flows);
  if (of_segments.has("haematocrit")) graph.file_haematocrit = std::move(haematocrits);
  return graph;
}

void write_csv(const std::filesystem::path& path, const VesselGraph& graph) {
  const CsvPair pair = csv_pair(path);
  const auto given = [](double x) { return std::isnan(x) ? std::string{} : shortest(x); };
  std::string nodes =
      "node,x_m,y_m,z_m,boundary,boundary_pressure_Pa,boundary_flow_m3_s,boundary_haematocrit,boundary_po2_Pa\n";
  for (std::size_t n = 0; n < graph.position.size(); ++n) {
    const auto& p = graph.position[n];
    const BoundaryKind kind = graph.boundary[n];
    nodes +=
        fmt::format("{},{},{},{},{},{},{},{},{}\n", graph.node_id[n], shortest(p[0]), shortest(p[1]), shortest(p[2]),
                    name_of(kind), kind == BoundaryKind::pressure ? shortest(graph.boundary_value[n]) : "",
                    kind == BoundaryKind::flow ? shortest(graph.boundary_value[n]) : "",
                    given(graph.boundary_haematocrit[n]), given(graph.boundary_po2[n]));
  }
  std::string segments = "segment,node_a,node_b,radius_m,length_m,maturity,type";
  segments += graph.has_file_flow() ? ",flow_m3_s" : "";
  segments += graph.has_file_haematocrit() ? ",haematocrit\n" : "\n";
  for (std::size_t s = 0; s < graph.segment.size(); ++s) {
    segments += fmt::format("{},{},{},{},{},{},{}", graph.segment_id[s],
                            graph.node_id[static_cast<std::size_t>(graph.segment[s][0])],
                            graph.node_id[static_cast<std::size_t>(graph.segment[s][1])], shortest(graph.radius[s]),
                            shortest(graph.length[s]), shortest(graph.maturity[s]), graph.type[s]);
    if (graph.has_file_flow()) segments += fmt::format(",{}", given(graph.file_flow[s]));
    if (graph.has_file_haematocrit()) segments += fmt::format(",{}", given(graph.file_haematocrit[s]));
    segments += '\n';
  }
  write_text_atomically(pair.nodes, nodes);
  write_text_atomically(pair.segments, segments);
}

}  // namespace sanctuary::network_text

namespace sanctuary {

CsvPair csv_pair(const std::filesystem::path& path) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) return {path / "nodes.csv", path / "segments.csv"};
  const std::string name = path.filename().string();
  if (const auto other = network_text::replaced(name, "nodes", "segments"); !other.empty())
    return {path, path.parent_path() / other};
  if (const auto other = network_text::replaced(name, "segments", "nodes"); !other.empty())
    return {path.parent_path() / other, path};
  const std::string stem = path.stem().string(), extension = path.extension().string();
  return {path.parent_path() / (stem + "_nodes" + extension), path.parent_path() / (stem + "_segments" + extension)};
}

}  // namespace sanctuary
