#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

#include "base/error.hpp"
#include "io/hdf5.hpp"
#include "io/network_text.hpp"

namespace sanctuary::network_text {
namespace {

constexpr std::string_view schema = "sanctuary-network";
constexpr long schema_version = 1;
constexpr std::size_t head_size = 512;

/// The text at the head of a file that we wrote: length and CRC-32 of all that follows the head.
std::string head_of(std::string_view bytes) {
  uLong sum = crc32(0, nullptr, 0);
  for (std::string_view rest = bytes.substr(std::min(head_size, bytes.size())); !rest.empty();) {
    const auto part = rest.substr(0, 1 << 30);
    sum = crc32(sum, reinterpret_cast<const Bytef*>(part.data()), static_cast<uInt>(part.size()));
    rest.remove_prefix(part.size());
  }
  return fmt::format("sanctuary network, {} bytes from byte {}, crc32 {:08x}\n", bytes.size() - head_size, head_size,
                     sum);
}

VesselGraph read_datasets(const std::filesystem::path& path) {
  const std::string file = path.string();
  const Hdf5Reader reader(path);
  if (!reader.has_attribute("/", "schema") || reader.text_attribute("/", "schema") != schema)
    fail(file, 0, "is an HDF5 file, but not of a vessel network (root attribute schema)");
  if (const double version = reader.number_attribute("/", "schema_version"); version != schema_version)
    fail(file, 0, fmt::format("has network schema {}; this program reads {}", version, schema_version));
  const auto check_unit = [&](const std::string& dataset, std::string_view unit) {
    const std::string stated = reader.has_attribute(dataset, "unit") ? reader.text_attribute(dataset, "unit") : "";
    if (stated != unit) fail(file, 0, fmt::format("{} has unit '{}'; expected '{}'", dataset, stated, unit));
  };
  const auto shaped = [&](const std::string& dataset, const Extent& expected) {
    if (!reader.has(dataset)) fail(file, 0, fmt::format("no data set {}", dataset));
    if (reader.extent(dataset) != expected)
      fail(file, 0,
           fmt::format("{} has another shape than {} requires", dataset,
                       expected.size() > 1 ? "its kind" : "the number of nodes or segments"));
  };
  VesselGraph graph;
  for (const char* dataset : {"/nodes", "/segments"})
    if (!reader.has(dataset) || reader.extent(dataset).size() != 2) fail(file, 0, fmt::format("no table {}", dataset));
  const hsize_t nodes = reader.extent("/nodes")[0], segments = reader.extent("/segments")[0];
  shaped("/nodes", {nodes, 3});
  shaped("/segments", {segments, 2});
  const auto numbers = [&](const std::string& dataset, hsize_t length, std::string_view unit) {
    shaped(dataset, {length});
    check_unit(dataset, unit);
    return reader.numbers(dataset);
  };
  const auto integers = [&](const std::string& dataset, hsize_t length) {
    shaped(dataset, {length});
    return reader.integers(dataset);
  };
  check_unit("/nodes", "m");
  const auto places = reader.numbers("/nodes");
  const auto pairs = reader.integers("/segments");
  for (std::size_t n = 0; n < nodes; ++n)
    graph.position.push_back({places[3 * n], places[3 * n + 1], places[3 * n + 2]});
  for (std::size_t s = 0; s < segments; ++s) graph.segment.push_back({pairs[2 * s], pairs[2 * s + 1]});
  graph.node_id = integers("/node_id", nodes);
  for (const long kind : integers("/boundary/kind", nodes)) {
    if (kind < 0 || kind > 2) fail(file, 0, fmt::format("/boundary/kind holds {}; expected 0, 1 or 2", kind));
    graph.boundary.push_back(static_cast<BoundaryKind>(kind));
  }
  graph.boundary_value = numbers("/boundary/value", nodes, "Pa or m^3/s");
  graph.boundary_haematocrit = numbers("/boundary/haematocrit", nodes, "1");
  graph.boundary_po2 = numbers("/boundary/po2", nodes, "Pa");
  graph.segment_id = integers("/segment_id", segments);
  graph.radius = numbers("/radius", segments, "m");
  graph.length = numbers("/length", segments, "m");
  graph.maturity = numbers("/maturity", segments, "1");
  for (const long type : integers("/type", segments)) graph.type.push_back(static_cast<int>(type));
  if (reader.has("/flow")) graph.file_flow = numbers("/flow", segments, "m^3/s");
  if (reader.has("/haematocrit")) graph.file_haematocrit = numbers("/haematocrit", segments, "1");
  return graph;
}

}  // namespace

VesselGraph read_hdf5(const std::filesystem::path& path, const ReadOptions&, Notes&) {
  // HDF5 1.10 can hang or crash on damaged files, so the checksum of ours is looked at first. Files of other programs
  // begin with the signature and have none.
  const std::string bytes = slurp(path);
  if (!bytes.starts_with("\x89HDF\r\n\x1a\n") && (bytes.size() <= head_size || !bytes.starts_with(head_of(bytes))))
    fail(path.string(), 0, "is cut short, damaged or no HDF5 network file; write it again");
  try {
    return read_datasets(path);
  } catch (const IoError& error) {
    // What a user hands over is input: damage in it is a fault of the input, not of the disk.
    throw InputError(fmt::format("{}: is cut short, damaged or no network file: {}", path.string(), error.what()));
  }
}

void write_hdf5(const std::filesystem::path& path, const VesselGraph& graph) {
  const auto nodes = static_cast<hsize_t>(graph.nodes()), segments = static_cast<hsize_t>(graph.segments());
  Hdf5Writer writer(path, 8 * (8 * nodes + 9 * segments), head_size);
  writer.attribute("/", "schema", std::string(schema));
  writer.attribute("/", "schema_version", schema_version);
  const auto reals = [&](const std::string& name, const std::vector<double>& values, const Extent& extent,
                         const char* unit) {
    writer.write(name, std::span<const double>(values), extent);
    writer.attribute(name, "unit", unit);
  };
  const auto integers = [&](const std::string& name, const std::vector<long>& values, const Extent& extent) {
    writer.write(name, std::span<const long>(values), extent);
  };
  std::vector<double> places;
  for (const auto& p : graph.position) places.insert(places.end(), p.begin(), p.end());
  std::vector<long> pairs, kinds;
  for (const auto& pair : graph.segment) pairs.insert(pairs.end(), pair.begin(), pair.end());
  for (const auto kind : graph.boundary) kinds.push_back(static_cast<long>(kind));
  reals("/nodes", places, {nodes, 3}, "m");
  integers("/node_id", graph.node_id, {nodes});
  integers("/boundary/kind", kinds, {nodes});
  writer.attribute("/boundary/kind", "meaning", "0 none, 1 pressure, 2 flow");
  reals("/boundary/value", graph.boundary_value, {nodes}, "Pa or m^3/s");
  reals("/boundary/haematocrit", graph.boundary_haematocrit, {nodes}, "1");
  reals("/boundary/po2", graph.boundary_po2, {nodes}, "Pa");
  integers("/segments", pairs, {segments, 2});
  integers("/segment_id", graph.segment_id, {segments});
  reals("/radius", graph.radius, {segments}, "m");
  reals("/length", graph.length, {segments}, "m");
  reals("/maturity", graph.maturity, {segments}, "1");
  integers("/type", std::vector<long>(graph.type.begin(), graph.type.end()), {segments});
  writer.attribute("/type", "meaning", "0 unknown, 1 arteriole, 2 capillary, 3 venule");
  if (graph.has_file_flow()) reals("/flow", graph.file_flow, {segments}, "m^3/s");
  if (graph.has_file_haematocrit()) reals("/haematocrit", graph.file_haematocrit, {segments}, "1");
  writer.commit([](const std::filesystem::path& written) { return head_of(slurp(written)); });
}

}  // namespace sanctuary::network_text
