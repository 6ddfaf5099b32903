#include <fmt/format.h>

#include <limits>
#include <unordered_set>

#include "io/network_text.hpp"

namespace sanctuary::network_text {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Walks over the lines that hold something, keeping the number of the line for messages.
class Cursor {
 public:
  explicit Cursor(const Lines& lines) : lines_(lines) {}

  /// The next line that is not blank; InputError if there is none.
  const std::vector<std::string_view>& next(const std::string& expected) {
    if (!advance()) fail(lines_.file, lines_.size(), "the file ends early; expected " + expected);
    return words_;
  }
  bool advance() {
    while (line_ < lines_.size()) {
      words_ = words(lines_.line[static_cast<std::size_t>(line_++)]);
      if (!words_.empty()) return true;
    }
    return false;
  }
  /// Reads the current line again on the next call.
  void back() { --line_; }
  [[nodiscard]] long line() const { return line_; }
  [[nodiscard]] const std::vector<std::string_view>& current() const { return words_; }

  /// A line such as `104 total number of segments` and the header behind it.
  long count(const std::string& what) {
    next("the number of " + what);
    if (words_.size() > 1 && is_number(words_[1]))
      fail(lines_.file, line_,
           fmt::format("expected the number of {}, found a row of numbers: more rows than counted?", what));
    const long result = integer(words_[0], lines_.file, line_, "number of " + what);
    if (result < 0 || result > lines_.size())
      fail(lines_.file, line_,
           fmt::format("{} {} are announced, but the file has {} lines", result, what, lines_.size()));
    if (result > 0 && !is_integer(next("the header of the table of " + what)[0])) return result;
    if (result > 0) back();
    return result;
  }
  /// One row of at least `columns` numbers.
  const std::vector<std::string_view>& row(const std::string& what, long index, long total, std::size_t columns) {
    next(fmt::format("{} {} of {}", what, index + 1, total));
    if (!is_integer(words_[0]) || words_.size() < columns || !is_number(words_[1]))
      fail(lines_.file, line_,
           fmt::format("expected {} {} of {} with {} numbers, found '{}'; is the count right?", what, index + 1, total,
                       columns, lines_.line[static_cast<std::size_t>(line_ - 1)].substr(0, 60)));
    return words_;
  }

 private:
  const Lines& lines_;
  long line_ = 0;
  std::vector<std::string_view> words_;
};

struct Row {
  long id, from, to, line;
  double diameter, flow, haematocrit;
};

}  // namespace

VesselGraph read_dat(const std::filesystem::path& path, const ReadOptions& options, Notes& notes) {
  const auto unit = [&](const std::string& given, const char* usual, const char* like) {
    return unit_factor(given.empty() ? usual : given, like, path.string());
  };
  const double metres = unit(options.length_unit, "um", "m");
  const double radius_metres = options.radius_unit.empty() ? metres : unit(options.radius_unit, "um", "m");
  const double pascals = unit(options.pressure_unit, "mmHg", "Pa");
  const double flow_si = unit(options.flow_unit, "nl/min", "m^3/s") * options.flow_factor;
  const double po2_pascals = unit("", "mmHg", "Pa");
  const Lines lines(path);
  const std::string& file = lines.file;
  Cursor cursor(lines);
  if (lines.size() == 0) fail(file, 0, "is empty; expected a network in the format of Secomb");
  const char* const head[] = {"the title",
                              "the box dimensions",
                              "the numbers of tissue points",
                              "the outer bound distance",
                              "the largest segment length",
                              "the largest number of segments per node"};
  for (int i = 0; i < 6; ++i) {
    cursor.next(head[i]);
    if (i > 0)
      for (std::size_t w = 0; w < (i < 3 ? 3U : 1U); ++w)
        (void)number(w < cursor.current().size() ? cursor.current()[w] : "", file, cursor.line(), head[i]);
  }

  const long segment_count = cursor.count("segments");
  std::vector<Row> rows;
  std::unordered_set<long> names, dropped_nodes;
  long dropped = 0;
  bool any_flow = false, any_haematocrit = false;
  for (long s = 0; s < segment_count; ++s) {
    const auto& word = cursor.row("segment", s, segment_count, 5);
    const long line = cursor.line();
    Row row{integer(word[0], file, line, "segment name"),
            integer(word[2], file, line, "start node"),
            integer(word[3], file, line, "end node"),
            line,
            number(word[4], file, line, "diameter"),
            nan,
            nan};
    const long type = integer(word[1], file, line, "segment type");
    if (row.id < 0) fail(file, line, fmt::format("segment name {} is negative; expected 0 or more", row.id));
    if (!names.insert(row.id).second)
      fail(file, line, fmt::format("segment {} is listed twice; names must be unique", row.id));
    if (word.size() > 5 && word[5] != "*") row.flow = number(word[5], file, line, "flow"), any_flow = true;
    if (word.size() > 6 && word[5] != "*" && word[6] != "*")
      row.haematocrit = number(word[6], file, line, "haematocrit"), any_haematocrit = true;
    if (type == 4 || type == 5) {
      rows.push_back(row);
    } else {
      ++dropped;
      dropped_nodes.insert({row.from, row.to});
    }
  }
  if (dropped > 0)
    notes.push_back(fmt::format("{} segments whose type is neither 4 nor 5 (no flow) were dropped", dropped));
  for (const Row& row : rows) dropped_nodes.erase(row.from), dropped_nodes.erase(row.to);

  VesselGraph graph;
  NodeNames nodes;
  const long node_count = cursor.count("nodes");
  for (long n = 0; n < node_count; ++n) {
    const auto& word = cursor.row("node", n, node_count, 4);
    const long line = cursor.line(), name = integer(word[0], file, line, "node name");
    const std::array<double, 3> where{number(word[1], file, line, "x") * metres,
                                      number(word[2], file, line, "y") * metres,
                                      number(word[3], file, line, "z") * metres};
    const bool drop = dropped_nodes.contains(name);
    nodes.add(name, drop ? -1 : graph.nodes(), file, line);
    if (!drop) graph.add_node(where, name);
  }
  for (const Row& row : rows) {
    const long s = graph.add_segment(nodes.find(row.from, file, row.line), nodes.find(row.to, file, row.line),
                                     0.5 * row.diameter * radius_metres, row.id);
    graph.maturity[static_cast<std::size_t>(s)] = options.maturity;
  }
  for (const Row& row : rows) {
    if (any_flow) graph.file_flow.push_back(row.flow * flow_si);
    if (any_haematocrit) graph.file_haematocrit.push_back(row.haematocrit);
  }

  const long boundary_count = cursor.count("boundary nodes");
  for (long b = 0; b < boundary_count; ++b) {
    const auto& word = cursor.row("boundary node", b, boundary_count, 3);
    const long line = cursor.line();
    const long node = nodes.find(integer(word[0], file, line, "boundary node"), file, line);
    const long kind = integer(word[1], file, line, "boundary type");
    if (kind != 0 && kind != 2)
      fail(file, line, fmt::format("boundary type {} is not known; expected 0 (pressure) or 2 (flow)", kind));
    const double value = number(word[2], file, line, "boundary value");
    const auto optional = [&](std::size_t column, const char* what) {
      return word.size() > column && word[column] != "*" ? number(word[column], file, line, what) : nan;
    };
    const double haematocrit = optional(3, "haematocrit"), po2 = haematocrit == haematocrit ? optional(4, "PO2") : nan;
    if (node < 0) {
      notes.push_back(fmt::format("boundary node {} had only dropped segments and was dropped", word[0]));
      continue;
    }
    if (graph.boundary[static_cast<std::size_t>(node)] != BoundaryKind::none)
      fail(file, line, fmt::format("boundary node {} is listed twice", word[0]));
    graph.set_boundary(node, kind == 0 ? BoundaryKind::pressure : BoundaryKind::flow,
                       value * (kind == 0 ? pascals : flow_si), haematocrit, po2 * po2_pascals);
  }
  if (cursor.advance() && cursor.current().size() > 1 && is_integer(cursor.current()[0]) &&
      is_number(cursor.current()[1]))
    fail(file, cursor.line(),
         fmt::format("more rows follow the {} boundary nodes that were announced", boundary_count));
  return graph;
}

}  // namespace sanctuary::network_text
