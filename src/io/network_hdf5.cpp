#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <fstream>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "io/hdf5.hpp"
#include "io/network_text.hpp"

namespace sanctuary::network_text {
namespace {

constexpr std::string_view schema = "sanctuary-network";
constexpr long schema_version = 1;
constexpr std::size_t head_size = 512;

constexpr std::string_view signature = "\x89HDF\r\n\x1a\n";

/// The text at the head of a file that we wrote: length and CRC-32 of all that follows the head.
std::string head_text(std::uint64_t bytes, uLong sum) {
  return fmt::format("sanctuary network, {} bytes from byte {}, crc32 {:08x}\n", bytes, head_size, sum);
}

std::string head_of(std::string_view bytes) {
  uLong sum = crc32(0, nullptr, 0);
  for (std::string_view rest = bytes.substr(std::min(head_size, bytes.size())); !rest.empty();) {
    const auto part = rest.substr(0, 1 << 30);
    sum = crc32(sum, reinterpret_cast<const Bytef*>(part.data()), static_cast<uInt>(part.size()));
    rest.remove_prefix(part.size());
  }
  return head_text(bytes.size() - head_size, sum);
}

/// Rows first, first + 1, ..., of which there are `count`.
struct Rows {
  hsize_t first = 0, count = 0;
};

/// Rows of `all` that a rank reads.
Rows part_of(hsize_t all, int rank, int ranks) {
  const auto r = static_cast<hsize_t>(rank), n = static_cast<hsize_t>(ranks);
  return {all * r / n, all * (r + 1) / n - all * r / n};
}

/// A network file, its form checked; gives rows of its tables.
class Tables {
 public:
  explicit Tables(const std::filesystem::path& path) : reader_(path), file_(path.string()) {
    if (!reader_.has_attribute("/", "schema") || reader_.text_attribute("/", "schema") != schema)
      fail(file_, 0, "is an HDF5 file, but not of a vessel network (root attribute schema)");
    if (const double version = reader_.number_attribute("/", "schema_version"); version != schema_version)
      fail(file_, 0, fmt::format("has network schema {}; this program reads {}", version, schema_version));
    for (const char* dataset : {"/nodes", "/segments"})
      if (!reader_.has(dataset) || reader_.extent(dataset).size() != 2)
        fail(file_, 0, fmt::format("no table {}", dataset));
    nodes = reader_.extent("/nodes")[0];
    segments = reader_.extent("/segments")[0];
    check_shape("/nodes", {nodes, 3});
    check_shape("/segments", {segments, 2});
    check_unit("/nodes", "m");
    if (nodes == 0 || segments == 0)
      fail(file_, 0, fmt::format("the network is empty ({} nodes, {} segments)", nodes, segments));
  }

  [[nodiscard]] bool has(const char* dataset) const { return reader_.has(dataset); }
  [[nodiscard]] std::vector<double> numbers(const char* dataset, hsize_t length, Rows rows,
                                            std::string_view unit) const {
    check_shape(dataset, {length});
    check_unit(dataset, unit);
    std::vector<double> values(rows.count);
    if (rows.count > 0) reader_.read_box(dataset, {rows.first}, {rows.count}, values.data());
    return values;
  }
  [[nodiscard]] std::vector<long> integers(const char* dataset, hsize_t length, Rows rows) const {
    check_shape(dataset, {length});
    std::vector<long> values(rows.count);
    if (rows.count > 0) reader_.read_box(dataset, {rows.first}, {rows.count}, values.data());
    return values;
  }
  [[nodiscard]] std::vector<std::array<double, 3>> places(Rows rows) const {
    std::vector<std::array<double, 3>> values(rows.count);
    if (rows.count > 0) reader_.read_box("/nodes", {rows.first, 0}, {rows.count, 3}, values.data()->data());
    return values;
  }
  [[nodiscard]] std::vector<std::array<long, 2>> pairs(Rows rows) const {
    std::vector<std::array<long, 2>> values(rows.count);
    if (rows.count > 0) reader_.read_box("/segments", {rows.first, 0}, {rows.count, 2}, values.data()->data());
    for (const auto& pair : values) {
      for (const long node : pair) {
        if (node < 0 || static_cast<hsize_t>(node) >= nodes)
          fail(file_, 0, fmt::format("/segments refers to node number {}, but there are {} nodes", node, nodes));
      }
    }
    return values;
  }
  hsize_t nodes = 0, segments = 0;

 private:
  void check_unit(const std::string& dataset, std::string_view unit) const {
    const std::string stated = reader_.has_attribute(dataset, "unit") ? reader_.text_attribute(dataset, "unit") : "";
    if (stated != unit) fail(file_, 0, fmt::format("{} has unit '{}'; expected '{}'", dataset, stated, unit));
  }
  void check_shape(const std::string& dataset, const Extent& expected) const {
    if (!reader_.has(dataset)) fail(file_, 0, fmt::format("no data set {}", dataset));
    if (reader_.extent(dataset) != expected)
      fail(file_, 0,
           fmt::format("{} has another shape than {} requires", dataset,
                       expected.size() > 1 ? "its kind" : "the number of nodes or segments"));
  }
  Hdf5Reader reader_;
  std::string file_;
};

/// The nodes of some rows, without segments.
VesselGraph nodes_of(const Tables& tables, Rows rows, const std::string& file) {
  VesselGraph graph;
  graph.position = tables.places(rows);
  graph.node_id = tables.integers("/node_id", tables.nodes, rows);
  for (const long kind : tables.integers("/boundary/kind", tables.nodes, rows)) {
    if (kind < 0 || kind > 2) fail(file, 0, fmt::format("/boundary/kind holds {}; expected 0, 1 or 2", kind));
    graph.boundary.push_back(static_cast<BoundaryKind>(kind));
  }
  graph.boundary_value = tables.numbers("/boundary/value", tables.nodes, rows, "Pa or m^3/s");
  graph.boundary_haematocrit = tables.numbers("/boundary/haematocrit", tables.nodes, rows, "1");
  graph.boundary_po2 = tables.numbers("/boundary/po2", tables.nodes, rows, "Pa");
  return graph;
}

/// Adds the segments of some rows but for their nodes.
void read_segments(const Tables& tables, Rows rows, VesselGraph& graph) {
  graph.segment_id = tables.integers("/segment_id", tables.segments, rows);
  graph.radius = tables.numbers("/radius", tables.segments, rows, "m");
  graph.length = tables.numbers("/length", tables.segments, rows, "m");
  graph.maturity = tables.numbers("/maturity", tables.segments, rows, "1");
  for (const long type : tables.integers("/type", tables.segments, rows)) graph.type.push_back(static_cast<int>(type));
  if (tables.has("/flow")) graph.file_flow = tables.numbers("/flow", tables.segments, rows, "m^3/s");
  if (tables.has("/haematocrit")) graph.file_haematocrit = tables.numbers("/haematocrit", tables.segments, rows, "1");
}

VesselGraph read_datasets(const std::filesystem::path& path) {
  const Tables tables(path);
  VesselGraph graph = nodes_of(tables, {0, tables.nodes}, path.string());
  graph.segment = tables.pairs({0, tables.segments});
  read_segments(tables, {0, tables.segments}, graph);
  return graph;
}

/// What a user hands over is input: damage in it is a fault of the input, not of the disk.
template <class Work>
void as_input(const std::filesystem::path& path, Work work) {
  try {
    work();
  } catch (const IoError& error) {
    throw InputError(fmt::format("{}: is cut short, damaged or no network file: {}", path.string(), error.what()));
  }
}

/// CRC-32 of a part of a file.
uLong crc_of(std::ifstream& file, std::uint64_t first, std::uint64_t count) {
  uLong sum = crc32(0, nullptr, 0);
  std::vector<char> part(1 << 20);
  file.seekg(static_cast<std::streamoff>(first));
  while (count > 0) {
    const auto now = std::min<std::uint64_t>(count, part.size());
    file.read(part.data(), static_cast<std::streamsize>(now));
    if (!file) return 0;
    sum = crc32(sum, reinterpret_cast<const Bytef*>(part.data()), static_cast<uInt>(now));
    count -= now;
  }
  return sum;
}

/// Compares the checksum of a file of ours, each rank over its part. HDF5 1.10 can hang or crash on damaged files, so
/// this comes first; files of other programs begin with the signature and have none. Collective.
void check_whole(MPI_Comm comm, const std::filesystem::path& path) {
  std::ifstream file;
  std::string head(head_size, '\0');
  std::uint64_t size = 0;
  bool ours = false;
  const auto damaged = [&] { fail(path.string(), 0, "is cut short, damaged or no HDF5 network file; write it again"); };
  together(comm, [&] {
    std::error_code code;
    size = std::filesystem::file_size(path, code);
    file.open(path, std::ios::binary);
    if (code || !file) fail(path.string(), 0, "no such network file");
    file.read(head.data(), static_cast<std::streamsize>(std::min<std::uint64_t>(size, head_size)));
    ours = !head.starts_with(signature);
    if (ours && size <= head_size) damaged();
  });
  if (!ours) return;
  const std::uint64_t body = size - head_size;
  const Rows mine = part_of(body, rank_of(comm), size_of(comm));
  std::vector<std::vector<long>> parts(static_cast<std::size_t>(size_of(comm)));
  parts[0] = {static_cast<long>(crc_of(file, head_size + mine.first, mine.count)), static_cast<long>(mine.count)};
  parts = exchange_lists(comm, parts);
  on_root(comm, [&] {
    uLong sum = crc32(0, nullptr, 0);
    for (const auto& part : parts) sum = crc32_combine(sum, static_cast<uLong>(part[0]), part[1]);
    if (!head.starts_with(head_text(body, sum))) damaged();
  });
}

}  // namespace

VesselGraph read_hdf5(const std::filesystem::path& path, const ReadOptions&, Notes&) {
  check_whole(MPI_COMM_SELF, path);
  VesselGraph graph;
  as_input(path, [&] { graph = read_datasets(path); });
  return graph;
}

VesselGraph read_hdf5_share(MPI_Comm comm, const std::filesystem::path& path) {
  check_whole(comm, path);
  const int rank = rank_of(comm), ranks = size_of(comm);
  VesselGraph graph, block;  // the share; all nodes of some rows, which other ranks ask for
  std::vector<std::array<long, 2>> pairs;
  Rows rows;
  hsize_t nodes = 0;
  together(comm, [&] {
    as_input(path, [&] {
      const Tables tables(path);
      nodes = tables.nodes;
      rows = part_of(nodes, rank, ranks);
      const Rows mine = part_of(tables.segments, rank, ranks);
      block = nodes_of(tables, rows, path.string());
      pairs = tables.pairs(mine);
      read_segments(tables, mine, graph);
    });
  });
  const auto holder = [&](long node) {
    auto r = static_cast<std::size_t>(static_cast<hsize_t>(node) * static_cast<hsize_t>(ranks) / nodes);
    while (part_of(nodes, static_cast<int>(r), ranks).first > static_cast<hsize_t>(node)) --r;
    while (true) {
      const Rows part = part_of(nodes, static_cast<int>(r), ranks);
      if (static_cast<hsize_t>(node) < part.first + part.count) return r;
      ++r;
    }
  };
  std::vector<long> needed;
  for (const auto& pair : pairs) needed.insert(needed.end(), pair.begin(), pair.end());
  std::sort(needed.begin(), needed.end());
  needed.erase(std::unique(needed.begin(), needed.end()), needed.end());
  std::vector<std::vector<long>> asked(static_cast<std::size_t>(ranks));
  for (const long node : needed) asked[holder(node)].push_back(node);
  const auto wanted = exchange_lists(comm, asked);
  std::vector<std::vector<double>> numbers(wanted.size());
  std::vector<std::vector<long>> integers(wanted.size());
  std::vector<char> touched(block.position.size(), 0);
  for (std::size_t r = 0; r < wanted.size(); ++r) {
    for (const long node : wanted[r]) {
      const auto n = static_cast<std::size_t>(node) - rows.first;
      touched[n] = 1;
      numbers[r].insert(numbers[r].end(), block.position[n].begin(), block.position[n].end());
      numbers[r].insert(numbers[r].end(),
                        {block.boundary_value[n], block.boundary_haematocrit[n], block.boundary_po2[n]});
      integers[r].insert(integers[r].end(), {block.node_id[n], static_cast<long>(block.boundary[n])});
    }
  }
  numbers = exchange_lists(comm, numbers);
  integers = exchange_lists(comm, integers);
  // Asked for by rising rank and rising number, so the nodes stand in the order of `needed`.
  for (std::size_t r = 0; r < integers.size(); ++r) {
    for (std::size_t i = 0; i < integers[r].size() / 2; ++i) {
      const double* x = numbers[r].data() + 6 * i;
      const long n = graph.add_node({x[0], x[1], x[2]}, integers[r][2 * i]);
      graph.set_boundary(n, static_cast<BoundaryKind>(integers[r][2 * i + 1]), x[3], x[4], x[5]);
    }
  }
  for (const auto& pair : pairs) {
    std::array<long, 2> ends{};
    for (std::size_t e = 0; e < 2; ++e)
      ends[e] = std::lower_bound(needed.begin(), needed.end(), pair[e]) - needed.begin();
    graph.segment.push_back(ends);
  }
  for (std::size_t n = 0; n < touched.size(); ++n) {  // nodes without a segment
    if (touched[n]) continue;
    const long own = graph.add_node(block.position[n], block.node_id[n]);
    graph.set_boundary(own, block.boundary[n], block.boundary_value[n], block.boundary_haematocrit[n],
                       block.boundary_po2[n]);
  }
  together(comm, [&] {
    if (graph.segments() > 0) check_consistent(graph, path.string());
  });
  return graph;
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
