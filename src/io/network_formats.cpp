#include "io/network_formats.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <system_error>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/units.hpp"
#include "io/network_text.hpp"

namespace sanctuary {
namespace network_text {

void fail(const std::string& file, long line, const std::string& what) {
  throw InputError(line > 0 ? fmt::format("{}:{}: {}", file, line, what) : fmt::format("{}: {}", file, what));
}

std::string slurp(const std::filesystem::path& path) {
  std::error_code code;
  const auto status = std::filesystem::status(path, code);
  if (!std::filesystem::exists(status)) fail(path.string(), 0, "no such network file; check the path");
  if (std::filesystem::is_directory(status)) fail(path.string(), 0, "is a directory; expected a network file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail(path.string(), 0, fmt::format("cannot be opened: {}", std::strerror(errno)));
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (stream.bad()) throw IoError(fmt::format("{}: reading failed: {}", path.string(), std::strerror(errno)));
  return text;
}

Lines::Lines(const std::filesystem::path& path) : file(path.string()), text(slurp(path)) {
  std::string_view rest = text;
  if (rest.starts_with("\xff\xfe") || rest.starts_with("\xfe\xff"))
    fail(file, 1, "the file is UTF-16; save it as plain text (UTF-8)");
  if (rest.starts_with("\xef\xbb\xbf")) rest.remove_prefix(3);
  if (const auto nul = rest.find('\0'); nul != std::string_view::npos)
    fail(file, 1 + std::count(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(nul), '\n'),
         "holds binary data; expected text. Is this the right format?");
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    std::string_view next = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    if (next.ends_with('\r')) next.remove_suffix(1);
    line.push_back(next);
  }
}

std::vector<std::string_view> words(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\f\v\xa0";
  std::vector<std::string_view> result;
  for (auto begin = text.find_first_not_of(blanks); begin != std::string_view::npos;) {
    const auto end = std::min(text.find_first_of(blanks, begin), text.size());
    result.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(blanks, end);
  }
  return result;
}

namespace {
template <class T>
bool parse(std::string_view word, T& value) {
  if (word.starts_with('+')) word.remove_prefix(1);
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc{} && end == word.data() + word.size() && !word.empty();
}
}  // namespace

bool is_number(std::string_view word) {
  double value = 0;
  return parse(word, value);
}

bool is_integer(std::string_view word) {
  long value = 0;
  return parse(word, value);
}

double number(std::string_view word, const std::string& file, long line, std::string_view what) {
  double value = 0;
  if (!parse(word, value) || !std::isfinite(value))
    fail(file, line, fmt::format("{}: expected a finite number, found '{}'", what, word));
  return value;
}

long integer(std::string_view word, const std::string& file, long line, std::string_view what) {
  long value = 0;
  if (!parse(word, value)) fail(file, line, fmt::format("{}: expected an integer, found '{}'", what, word));
  return value;
}

double unit_factor(const std::string& unit, std::string_view like, const std::string& file) {
  if (!units::known(unit) || !units::compatible(unit, like))
    fail(file, 0, fmt::format("'{}' is not a unit of the dimension of {}; give one such as {}", unit, like, like));
  return units::factor(unit);
}

void NodeNames::add(long name, long index, const std::string& file, long line) {
  if (name < 0) fail(file, line, fmt::format("node name {} is negative; expected 0 or more", name));
  if (!index_.emplace(name, index).second)
    fail(file, line, fmt::format("node {} is listed twice; names must be unique", name));
}

long NodeNames::find(long name, const std::string& file, long line) const {
  const auto found = index_.find(name);
  if (found == index_.end())
    fail(file, line, fmt::format("node {} is not among the nodes of the file; add it or correct the name", name));
  return found->second;
}

std::string_view name_of(BoundaryKind kind) {
  constexpr std::array<std::string_view, 3> names{"none", "pressure", "flow"};
  return names[static_cast<std::size_t>(kind)];
}

}  // namespace network_text

namespace {

NetworkFormat resolved(NetworkFormat format, const std::filesystem::path& path) {
  return format == NetworkFormat::automatic ? network_format_of(path) : format;
}

}  // namespace

NetworkFormat network_format(std::string_view name) {
  if (name == "auto") return NetworkFormat::automatic;
  if (name == "dat") return NetworkFormat::dat;
  if (name == "dgf") return NetworkFormat::dgf;
  if (name == "vtp") return NetworkFormat::vtp;
  if (name == "csv") return NetworkFormat::csv;
  if (name == "hdf5") return NetworkFormat::hdf5;
  throw InputError(fmt::format("'{}' is not a network format; expected auto, dat, dgf, vtp, csv or hdf5", name));
}

NetworkFormat network_format_of(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension == ".dat") return NetworkFormat::dat;
  if (extension == ".dgf") return NetworkFormat::dgf;
  if (extension == ".vtp") return NetworkFormat::vtp;
  if (extension == ".csv") return NetworkFormat::csv;
  if (extension == ".h5" || extension == ".hdf5") return NetworkFormat::hdf5;
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) return NetworkFormat::csv;
  throw InputError(
      fmt::format("{}: the network format is not known from the extension '{}'; expected .dat, .dgf, .vtp, .csv or "
                  ".h5, or name the "
                  "format",
                  path.string(), extension));
}

VesselGraph read_network(const std::filesystem::path& path, const ReadOptions& options,
                         std::vector<std::string>* notes) {
  std::vector<std::string> unheard;
  std::vector<std::string>& heard = notes != nullptr ? *notes : unheard;
  if (!(options.maturity >= 0 && options.maturity <= 1))
    throw InputError(fmt::format("maturity of network segments is {}; expected 0 to 1", options.maturity));
  VesselGraph graph;
  switch (resolved(options.format, path)) {
    case NetworkFormat::dat:
      graph = network_text::read_dat(path, options, heard);
      break;
    case NetworkFormat::dgf:
      graph = network_text::read_dgf(path, options, heard);
      break;
    case NetworkFormat::vtp:
      graph = network_text::read_vtp(path, options, heard);
      break;
    case NetworkFormat::csv:
      graph = network_text::read_csv(path, options, heard);
      break;
    case NetworkFormat::hdf5:
      graph = network_text::read_hdf5(path, options, heard);
      break;
    case NetworkFormat::automatic:
      break;
  }
  check_consistent(graph, path.string());
  return graph;
}

VesselGraph read_network_share(MPI_Comm comm, const std::filesystem::path& path, const ReadOptions& options,
                               std::vector<std::string>* notes) {
  VesselGraph graph;
  bool in_parts = false;
  together(comm, [&] { in_parts = resolved(options.format, path) == NetworkFormat::hdf5; });
  if (in_parts) return network_text::read_hdf5_share(comm, path);
  on_root(comm, [&] { graph = read_network(path, options, notes); });
  return graph;
}

VesselGraph read_network(MPI_Comm comm, const std::filesystem::path& path, const ReadOptions& options,
                         std::vector<std::string>* notes) {
  VesselGraph graph;
  on_root(comm, [&] { graph = read_network(path, options, notes); });
  broadcast(comm, graph);
  return graph;
}

void broadcast(MPI_Comm comm, VesselGraph& graph) {
  const auto nodes = graph.position.size(), segments = graph.segment.size();
  std::vector<double> numbers;
  std::vector<long> integers{static_cast<long>(nodes), static_cast<long>(segments), graph.has_file_flow() ? 1 : 0,
                             graph.has_file_haematocrit() ? 1 : 0};
  const bool root = rank_of(comm) == 0;
  if (root) {
    for (std::size_t n = 0; n < nodes; ++n) {
      numbers.insert(numbers.end(), graph.position[n].begin(), graph.position[n].end());
      numbers.insert(numbers.end(), {graph.boundary_value[n], graph.boundary_haematocrit[n], graph.boundary_po2[n]});
      integers.insert(integers.end(), {graph.node_id[n], static_cast<long>(graph.boundary[n])});
    }
    for (std::size_t s = 0; s < segments; ++s) {
      numbers.insert(numbers.end(), {graph.radius[s], graph.length[s], graph.maturity[s]});
      if (graph.has_file_flow()) numbers.push_back(graph.file_flow[s]);
      if (graph.has_file_haematocrit()) numbers.push_back(graph.file_haematocrit[s]);
      integers.insert(integers.end(), {graph.segment[s][0], graph.segment[s][1], graph.segment_id[s],
                                       static_cast<long>(graph.type[s])});
    }
  }
  broadcast(comm, numbers);
  broadcast(comm, integers);
  if (root) return;
  graph = VesselGraph{};
  auto number = numbers.begin();
  auto integer = integers.begin();
  const long node_count = *integer++, segment_count = *integer++;
  const bool flow = *integer++ != 0, haematocrit = *integer++ != 0;
  for (long n = 0; n < node_count; ++n) {
    const std::array<double, 3> where{number[0], number[1], number[2]};
    graph.add_node(where, integer[0]);
    graph.set_boundary(n, static_cast<BoundaryKind>(integer[1]), number[3], number[4], number[5]);
    number += 6, integer += 2;
  }
  for (long s = 0; s < segment_count; ++s) {
    graph.segment.push_back({integer[0], integer[1]});
    graph.segment_id.push_back(integer[2]);
    graph.type.push_back(static_cast<int>(integer[3]));
    graph.radius.push_back(*number++);
    graph.length.push_back(*number++);
    graph.maturity.push_back(*number++);
    if (flow) graph.file_flow.push_back(*number++);
    if (haematocrit) graph.file_haematocrit.push_back(*number++);
    integer += 4;
  }
}

void write_network(const std::filesystem::path& path, const VesselGraph& graph, NetworkFormat format) {
  check_consistent(graph, path.string());
  switch (resolved(format, path)) {
    case NetworkFormat::dgf:
      return network_text::write_dgf(path, graph);
    case NetworkFormat::vtp:
      return network_text::write_vtp(path, graph);
    case NetworkFormat::csv:
      return network_text::write_csv(path, graph);
    case NetworkFormat::hdf5:
      return network_text::write_hdf5(path, graph);
    case NetworkFormat::dat:
    case NetworkFormat::automatic:
      break;
  }
  throw InputError(
      fmt::format("{}: .dat networks are read, not written; choose .h5, .vtp, .csv or .dgf", path.string()));
}

}  // namespace sanctuary
