#include "io/run_file.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>
#include <limits>
#include <optional>
#include <set>

#include "base/build_info.hpp"
#include "base/comm.hpp"
#include "base/error.hpp"
#include "io/atomic_file.hpp"
#include "io/hdf5.hpp"
#include "io/xdmf.hpp"

namespace sanctuary {
namespace fs = std::filesystem;
namespace {

constexpr const char* network_file = "times/network_0.h5";
constexpr const char* constant_file = "times/constant.h5";
constexpr const char* network_group = "/network/0";
const std::set<std::string> geometry_names{"nodes",  "node_ids", "segments", "segment_ids",
                                           "radius", "length",   "born",     "died"};

/// What a file of one time holds.
struct Item {
  std::string name, unit, long_name;
  Stored type = Stored::float32;
  bool on_nodes = false, of_cycle = false;
};

struct TimeFile {
  std::string file;  // relative to the run directory
  double seconds = 0;
  long cycle = 0;
  std::vector<Item> fields, network;
};

std::string time_name(long index) { return fmt::format("times/time_{:06d}.h5", index); }

bool is_there(const fs::path& path) {
  std::error_code unreadable;
  return fs::exists(path, unreadable);
}

/// Number of a file of an output time; -1 for other files.
long time_index(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with("time_") || path.extension() != ".h5") return -1;
  const char* const end = name.data() + name.size() - 3;
  long index = -1;
  const auto result = std::from_chars(name.data() + 5, end, index);
  return result.ec == std::errc() && result.ptr == end ? index : -1;
}

std::vector<std::pair<long, fs::path>> time_files(const fs::path& directory) {
  std::vector<std::pair<long, fs::path>> found;
  std::error_code error;
  for (fs::directory_iterator entry(directory / "times", error), end; !error && entry != end; entry.increment(error))
    if (const long index = time_index(entry->path()); index >= 0) found.emplace_back(index, entry->path());
  std::sort(found.begin(), found.end());
  return found;
}

Extent grid_extent(const GridLayout& grid) {
  return {static_cast<hsize_t>(grid.cells[2]), static_cast<hsize_t>(grid.cells[1]),
          static_cast<hsize_t>(grid.cells[0])};
}

Extent zyx(const std::array<long, 3>& xyz) {
  return {static_cast<hsize_t>(xyz[2]), static_cast<hsize_t>(xyz[1]), static_cast<hsize_t>(xyz[0])};
}

std::string utc_now() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

/// The numbers of a comma-separated text; empty if any entry is none.
std::vector<double> numbers_in(const std::string& text) {
  std::vector<double> numbers;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const auto first = text.find_first_not_of(' ', begin), last = text.find_last_not_of(' ', end == 0 ? 0 : end - 1);
    if (first == std::string::npos || first >= end) return {};
    double value = 0;
    const char* const stop = text.data() + last + 1;
    const auto result = std::from_chars(text.data() + first, stop, value);
    if (result.ec != std::errc() || result.ptr != stop) return {};
    numbers.push_back(value);
    begin = end + 1;
  }
  return numbers;
}

void write_parameter(Hdf5Writer& file, const RunRecord::Value& parameter) {
  const std::string path = "/parameters/" + parameter.key;
  const auto numbers = numbers_in(parameter.value);
  if (numbers.size() == 1)
    file.write(path, numbers.front());
  else if (!numbers.empty())
    file.write(path, std::span<const double>(numbers), {numbers.size()});
  else
    file.write(path, parameter.value);
  file.attribute(path, "unit", parameter.unit);
  file.attribute(path, "default", parameter.is_default);
  file.attribute(path, "source", parameter.source);
}

/// Writes a JSON object as attributes: numbers, texts and flags as they are, null as NaN, the rest as JSON text.
void write_attributes(Hdf5Writer& file, const std::string& object, const nlohmann::json& values) {
  for (const auto& [name, value] : values.items()) {
    if (value.is_boolean())
      file.attribute(object, name, value.get<bool>());
    else if (value.is_number_integer())
      file.attribute(object, name, value.get<long>());
    else if (value.is_number())
      file.attribute(object, name, value.get<double>());
    else if (value.is_null())
      file.attribute(object, name, std::numeric_limits<double>::quiet_NaN());
    else
      file.attribute(object, name, value.is_string() ? value.get<std::string>() : value.dump());
  }
}

void write_columns(Hdf5Writer& file, const std::string& group, const Columns& columns) {
  file.group(group);
  for (const auto& [name, column] : columns) {
    const std::string path = group + "/" + name;
    file.write(path, std::span<const double>(column.values), {column.values.size()});
    file.attribute(path, "unit", column.unit);
  }
}

std::uint64_t bytes_of(const Columns& columns) {
  std::uint64_t bytes = 0;
  for (const auto& [name, column] : columns) bytes += 1024 + column.values.size() * sizeof(double);
  return bytes;
}

}  // namespace

struct RunWriter::State {
  MPI_Comm comm = MPI_COMM_NULL;
  fs::path directory;
  RunRecord record;
  GridLayout grid;
  LocalBox box;
  std::size_t nodes = 0, segments = 0;
  std::vector<double> times;  // on all ranks
  // Rank 0 only from here on.
  std::vector<LocalBox> boxes;
  std::vector<TimeFile> files;
  std::vector<Item> constants;
  std::vector<double> series_time;
  Columns series;
  std::string created;
  long next_index = 0;

  [[nodiscard]] bool root() const { return rank_of(comm) == 0; }

  void set_up(NetworkLayout network, std::optional<double> resume_at);
  void check_network(const NetworkLayout& network) const;
  void write_network(const NetworkLayout& network) const;
  void read_back(double until);
  [[nodiscard]] TimeFile describe(const std::string& file) const;

  void check_fields(std::span<const FieldOutput> fields) const;
  [[nodiscard]] std::uint64_t bytes_of_fields(std::span<const FieldOutput> fields) const;
  void write_fields(Hdf5Writer* file, const std::string& group, std::span<const FieldOutput> fields) const;

  void write_run_file(const nlohmann::json* outcome, std::span<const GroupOutput> groups);
  [[nodiscard]] std::unique_ptr<Hdf5Writer> begin_run_file(std::uint64_t extra_bytes, bool complete) const;
  void show_fields(Hdf5Writer& file) const;
  void show_network(Hdf5Writer& file) const;
  void write_xdmf() const;
};

void RunWriter::State::set_up(NetworkLayout network, std::optional<double> resume_at) {
  boxes = gather_boxes(comm, grid, box);
  std::vector<long> sizes;
  on_root(comm, [&] {
    check_network(network);
    created = utc_now();
    if (!resume_at && run_state(directory) != RunState::none)
      throw InputError(
          fmt::format("{} already holds a run: resume it, or give another output directory", directory.string()));
    make_directory(directory / "times");
    remove_temporaries(directory / "times");
    for (const char* name : {"run.h5", "run.xdmf", "summary.json", "deck.ini"})
      remove_file(temporary_of(directory / name));
    nodes = network.nodes.size();
    segments = network.segments.size();
    if (resume_at) {
      read_back(*resume_at);
      remove_file(directory / "summary.json");
    }
    if (nodes > 0 && !is_there(directory / network_file)) write_network(network);
    write_text_atomically(directory / "deck.ini", record.resolved_deck);
    sizes = {static_cast<long>(nodes), static_cast<long>(segments)};
    for (const auto& file : files) times.push_back(file.seconds);
  });
  broadcast(comm, sizes);
  nodes = static_cast<std::size_t>(sizes[0]);
  segments = static_cast<std::size_t>(sizes[1]);
  broadcast(comm, times);
  write_run_file(nullptr, {});
  // Only now: before, the old run.h5 still showed the times after `resume_at`.
  on_root(comm, [&] {
    for (const auto& [index, path] : time_files(directory))
      if (index >= next_index) remove_file(path);
  });
}

void RunWriter::State::check_network(const NetworkLayout& network) const {
  const auto expect = [](const char* what, std::size_t given, std::size_t expected) {
    if (given != expected) throw IoError(fmt::format("network: {} {} given, {} expected", given, what, expected));
  };
  expect("node ids", network.node_ids.size(), network.nodes.size());
  const std::size_t count = network.segments.size();
  expect("segment ids", network.segment_ids.size(), count);
  expect("radii", network.radius.size(), count);
  expect("lengths", network.length.size(), count);
  if (!network.born.empty()) expect("times of birth", network.born.size(), count);
  if (!network.died.empty()) expect("times of death", network.died.size(), count);
}

void RunWriter::State::write_network(const NetworkLayout& network) const {
  const std::size_t node_count = network.nodes.size(), count = network.segments.size();
  Hdf5Writer file(directory / network_file, 8 * (4 * node_count + 7 * count));
  const std::string group = std::string(network_group) + "/";
  const auto put = [&](const char* name, const std::vector<double>& values, const char* unit) {
    std::vector<double> unknown;
    if (values.empty()) unknown.assign(count, std::numeric_limits<double>::quiet_NaN());
    file.write(group + name, std::span<const double>(values.empty() ? unknown : values), {count});
    file.attribute(group + name, "unit", unit);
  };
  static_assert(sizeof(std::array<double, 3>) == 3 * sizeof(double) && sizeof(std::array<long, 2>) == 2 * sizeof(long));
  file.attribute("/", "schema_version", static_cast<long>(build_info::schema_version));
  file.write(group + "nodes", std::span<const double>(network.nodes.data()->data(), 3 * node_count), {node_count, 3});
  file.attribute(group + "nodes", "unit", "m");
  file.write(group + "node_ids", std::span<const long>(network.node_ids), {node_count});
  const long* ends = count > 0 ? network.segments.data()->data() : nullptr;
  file.write(group + "segments", std::span<const long>(ends, 2 * count), {count, 2});
  file.write(group + "segment_ids", std::span<const long>(network.segment_ids), {count});
  put("radius", network.radius, "m");
  put("length", network.length, "m");
  put("born", network.born, "s");
  put("died", network.died, "s");
  file.commit();
}

TimeFile RunWriter::State::describe(const std::string& name) const {
  const Hdf5Reader file(directory / name);
  const auto item = [&](const std::string& group, const std::string& data) {
    const std::string path = group + "/" + data;
    Item result{.name = data, .unit = file.text_attribute(path, "unit"), .long_name = {}, .type = file.stored(path)};
    if (file.has_attribute(path, "long_name")) result.long_name = file.text_attribute(path, "long_name");
    if (file.has_attribute(path, "on")) result.on_nodes = file.text_attribute(path, "on") == "nodes";
    result.of_cycle = file.has_attribute(path, "of_cycle");
    return result;
  };
  TimeFile result{.file = name, .fields = {}, .network = {}};
  if (file.has_attribute("/", "time")) result.seconds = file.number_attribute("/", "time");
  if (file.has_attribute("/", "cycle")) result.cycle = std::lround(file.number_attribute("/", "cycle"));
  for (const auto& data : file.datasets("/fields")) {
    result.fields.push_back(item("/fields", data));
    if (file.extent("/fields/" + data) != grid_extent(grid))
      throw InputError(
          fmt::format("{} was made with another grid: give the deck that this run was started with, or "
                      "another output directory",
                      file.path().string()));
  }
  for (const auto& data : file.datasets(network_group)) {
    result.network.push_back(item(network_group, data));
    const std::string path = std::string(network_group) + "/" + data;
    if (file.extent(path) != Extent{result.network.back().on_nodes ? nodes : segments})
      throw InputError(
          fmt::format("{} was made with another network: give the deck that this run was started with, or "
                      "another output directory",
                      file.path().string()));
  }
  return result;
}

void RunWriter::State::read_back(double until) {
  for (const auto& [index, path] : time_files(directory)) {
    TimeFile file = describe(time_name(index));
    if (file.seconds > until + 1e-9 * std::max(1.0, std::abs(file.seconds))) break;
    files.push_back(std::move(file));
    next_index = index + 1;
  }
  if (is_there(directory / constant_file)) constants = describe(constant_file).fields;
  if (is_there(directory / network_file)) {
    const Hdf5Reader file(directory / network_file);
    const std::string group = std::string(network_group) + "/";
    if (file.extent(group + "nodes") != Extent{nodes, 3} || file.extent(group + "segments") != Extent{segments, 2})
      throw InputError(
          fmt::format("{} was made with another network: give the deck that this run was started with, or "
                      "another output directory",
                      file.path().string()));
  }
  if (is_there(directory / "run.h5")) {
    const Hdf5Reader file(directory / "run.h5");
    created = file.text_attribute("/", "created");
  }
}

void RunWriter::State::check_fields(std::span<const FieldOutput> fields) const {
  for (const auto& field : fields)
    if (field.values.size() != box.cells())
      throw IoError(fmt::format("field {}: {} values given on rank {}, {} expected", field.name, field.values.size(),
                                rank_of(comm), box.cells()));
}

std::uint64_t RunWriter::State::bytes_of_fields(std::span<const FieldOutput> fields) const {
  std::uint64_t bytes = 0;
  for (const auto& field : fields)
    bytes += 2048 + static_cast<std::uint64_t>(grid.cells[0] * grid.cells[1] * grid.cells[2]) *
                        (field.double_precision ? 8 : 4);
  return bytes;
}

void RunWriter::State::write_fields(Hdf5Writer* file, const std::string& group,
                                    std::span<const FieldOutput> fields) const {
  std::vector<float> single;
  together(comm, [&] {
    check_fields(fields);
    single.resize(box.cells());
  });
  for (const auto& field : fields) {
    const std::string path = group + "/" + field.name;
    on_root(comm, [&] {
      file->create(path, field.double_precision ? Stored::float64 : Stored::float32, grid_extent(grid));
      file->attribute(path, "unit", field.unit);
      file->attribute(path, "long_name", field.long_name);
      if (field.of_cycle) file->attribute(path, "of_cycle", true);
    });
    const auto sink = [&](const LocalBox& part, const auto* values) {
      file->write_box(path, zyx(part.start), zyx(part.size), values);
    };
    if (field.double_precision) {
      collect_boxes(comm, boxes, field.values, sink);
    } else {
      std::transform(field.values.begin(), field.values.end(), single.begin(),
                     [](double value) { return static_cast<float>(value); });
      collect_boxes(comm, boxes, std::span<const float>(single), sink);
    }
  }
}

std::unique_ptr<Hdf5Writer> RunWriter::State::begin_run_file(std::uint64_t extra_bytes, bool complete) const {
  std::uint64_t bytes = extra_bytes + bytes_of(series) + 16 * times.size() + record.original_deck.size() +
                        2048 * record.parameters.size();
  for (const auto& file : files) bytes += 256 * (file.fields.size() + file.network.size() + constants.size());
  auto file = std::make_unique<Hdf5Writer>(directory / "run.h5", bytes);
  file->attribute("/", "schema_version", static_cast<long>(build_info::schema_version));
  file->attribute("/", "program_version", record.program_version);
  file->attribute("/", "git_hash", record.git_hash);
  file->attribute("/", "created", created);
  file->attribute("/", "command", record.command);
  file->attribute("/", "deck", record.original_deck);
  file->attribute("/", "resolved_deck", record.resolved_deck);
  file->attribute("/", "seed", record.seed);
  file->attribute("/", "ranks", static_cast<long>(size_of(comm)));
  file->attribute("/", "complete", static_cast<long>(complete));
  file->group("/parameters");
  for (const auto& parameter : record.parameters) write_parameter(*file, parameter);
  file->group("/grid");
  file->attribute("/grid", "origin", std::span<const double>(grid.origin));
  file->attribute("/grid", "spacing", std::span<const double>(grid.spacing));
  file->attribute("/grid", "cells", std::span<const long>(grid.cells));
  file->attribute("/grid", "unit", "m");
  file->attribute("/grid", "order", "zyx");
  file->write("/time", std::span<const double>(times), {times.size()});
  file->attribute("/time", "unit", "s");
  std::vector<long> cycles;
  for (const auto& one : files) cycles.push_back(one.cycle);
  file->write("/cycle", std::span<const long>(cycles), {cycles.size()});
  file->group("/fields");
  show_fields(*file);
  if (nodes > 0) show_network(*file);
  write_columns(*file, "/series", series);
  file->write("/series/time", std::span<const double>(series_time), {series_time.size()});
  file->attribute("/series/time", "unit", "s");
  return file;
}

void RunWriter::State::show_fields(Hdf5Writer& file) const {
  if (files.empty()) return;
  const Extent cells = grid_extent(grid), all{files.size(), cells[0], cells[1], cells[2]};
  const Extent one{1, cells[0], cells[1], cells[2]};
  struct Shown {
    const Item* item = nullptr;
    std::vector<Hdf5Writer::Part> parts;
    bool constant = false;
  };
  std::map<std::string, Shown> shown;
  const auto add = [&](const Item& item, const std::string& source, hsize_t index, bool constant) {
    Shown& target = shown[item.name];
    target.item = &item;
    target.constant = constant;
    target.parts.push_back({source, "/fields/" + item.name, cells, {index, 0, 0, 0}, one});
  };
  for (hsize_t index = 0; index < files.size(); ++index) {
    for (const auto& item : files[index].fields) add(item, files[index].file, index, false);
    for (const auto& item : constants) add(item, constant_file, index, true);
  }
  for (const auto& [name, field] : shown) {
    const std::string path = "/fields/" + name;
    file.write_virtual(path, field.item->type, all, field.parts);
    file.attribute(path, "unit", field.item->unit);
    file.attribute(path, "long_name", field.item->long_name);
    file.attribute(path, "constant", field.constant);
  }
}

void RunWriter::State::show_network(Hdf5Writer& file) const {
  const std::string group = std::string(network_group) + "/";
  const auto geometry = [&](const char* name, Stored type, const Extent& extent, const char* unit) {
    const Extent start(extent.size(), 0);
    file.write_virtual(group + name, type, extent, {{network_file, group + name, extent, start, extent}});
    if (unit != nullptr) file.attribute(group + name, "unit", unit);
  };
  geometry("nodes", Stored::float64, {nodes, 3}, "m");
  geometry("node_ids", Stored::int64, {nodes}, nullptr);
  if (segments == 0) return;
  geometry("segments", Stored::int64, {segments, 2}, nullptr);
  geometry("segment_ids", Stored::int64, {segments}, nullptr);
  for (const char* name : {"radius", "length"}) geometry(name, Stored::float64, {segments}, "m");
  for (const char* name : {"born", "died"}) geometry(name, Stored::float64, {segments}, "s");
  std::map<std::string, std::pair<const Item*, std::vector<Hdf5Writer::Part>>> shown;
  for (hsize_t index = 0; index < files.size(); ++index)
    for (const auto& item : files[index].network) {
      const hsize_t count = item.on_nodes ? nodes : segments;
      auto& [first, parts] = shown[item.name];
      first = &item;
      parts.push_back({files[index].file, group + item.name, {count}, {index, 0}, {1, count}});
    }
  for (const auto& [name, data] : shown) {
    const auto& [item, parts] = data;
    file.write_virtual(group + name, item->type, {files.size(), item->on_nodes ? nodes : segments}, parts);
    file.attribute(group + name, "unit", item->unit);
    file.attribute(group + name, "on", item->on_nodes ? "nodes" : "segments");
  }
}

void RunWriter::State::write_run_file(const nlohmann::json* outcome, std::span<const GroupOutput> groups) {
  std::unique_ptr<Hdf5Writer> file;
  on_root(comm, [&] {
    std::uint64_t extra = 0;
    for (const auto& group : groups) extra += 4096 + bytes_of_fields(group.fields) + bytes_of(group.columns);
    file = begin_run_file(extra, outcome != nullptr);
    if (outcome == nullptr) return;
    file->group("/outcome");
    write_attributes(*file, "/outcome", *outcome);
    for (const auto& group : groups) {
      write_columns(*file, group.path, group.columns);
      write_attributes(*file, group.path, group.attributes);
    }
  });
  for (const auto& group : groups) write_fields(file.get(), group.path, group.fields);
  on_root(comm, [&] {
    file->commit();
    write_xdmf();
  });
}

void RunWriter::State::write_xdmf() const {
  if (files.empty()) {
    // ParaView cannot open a collection of nothing.
    remove_file(directory / "run.xdmf");
    return;
  }
  std::vector<XdmfTime> listed;
  // The last time of each cycle, where there is more than one.
  std::map<long, const TimeFile*> cycles;
  for (const auto& file : files) cycles[file.cycle] = &file;
  if (cycles.size() == 1) cycles.clear();
  const auto array = [](const Item& item, const std::string& source, const std::string& group) {
    return XdmfArray{.name = item.name,
                     .unit = item.unit,
                     .file = source,
                     .object = group + "/" + item.name,
                     .on_nodes = item.on_nodes,
                     .bytes = static_cast<int>(sanctuary::bytes_of(item.type))};
  };
  for (const auto& file : files) {
    XdmfTime time{.seconds = file.seconds, .fields = {}, .network = {}};
    for (const auto& item : file.fields) time.fields.push_back(array(item, file.file, "/fields"));
    for (const auto& item : constants) time.fields.push_back(array(item, constant_file, "/fields"));
    // At every time, because ParaView offers the arrays of the first.
    for (const auto& [cycle, end] : cycles) {
      for (const auto& item : end->fields) {
        if (!item.of_cycle) continue;
        time.fields.push_back(array(item, end->file, "/fields"));
        time.fields.back().name += fmt::format("_cycle_{}", cycle);
      }
    }
    for (const auto& item : file.network) time.network.push_back(array(item, file.file, network_group));
    listed.push_back(std::move(time));
  }
  const XdmfNetwork network{network_file, network_group, static_cast<long>(nodes), static_cast<long>(segments)};
  write_text_atomically(directory / "run.xdmf", xdmf_text(grid, network, listed));
}

RunState run_state(const fs::path& directory) {
  if (is_there(directory / "summary.json")) return RunState::finished;
  if (is_there(directory / "run.h5") || !time_files(directory).empty()) return RunState::unfinished;
  return RunState::none;
}

RunWriter::RunWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
RunWriter::RunWriter(RunWriter&&) noexcept = default;
RunWriter& RunWriter::operator=(RunWriter&&) noexcept = default;
RunWriter::~RunWriter() = default;

RunWriter::RunWriter(MPI_Comm comm, fs::path directory, RunRecord record, GridLayout grid, LocalBox box,
                     NetworkLayout network)
    : state_(std::make_unique<State>()) {
  state_->comm = comm;
  state_->directory = std::move(directory);
  state_->record = std::move(record);
  state_->grid = grid;
  state_->box = box;
  state_->set_up(std::move(network), std::nullopt);
}

RunWriter RunWriter::reopen(MPI_Comm comm, fs::path directory, RunRecord record, GridLayout grid, LocalBox box,
                            NetworkLayout network, double time) {
  auto state = std::make_unique<State>();
  state->comm = comm;
  state->directory = std::move(directory);
  state->record = std::move(record);
  state->grid = grid;
  state->box = box;
  state->set_up(std::move(network), time);
  return RunWriter(std::move(state));
}

void RunWriter::write_constant(std::span<const FieldOutput> fields) {
  State& run = *state_;
  std::unique_ptr<Hdf5Writer> file;
  on_root(run.comm, [&] {
    file = std::make_unique<Hdf5Writer>(run.directory / constant_file, run.bytes_of_fields(fields));
    file->attribute("/", "schema_version", static_cast<long>(build_info::schema_version));
  });
  run.write_fields(file.get(), "/fields", fields);
  on_root(run.comm, [&] {
    file->commit();
    run.constants.clear();
    for (const auto& field : fields)
      run.constants.push_back({.name = field.name,
                               .unit = field.unit,
                               .long_name = field.long_name,
                               .type = field.double_precision ? Stored::float64 : Stored::float32});
  });
}

void RunWriter::write_time(double seconds, std::span<const FieldOutput> fields, std::span<const NetworkOutput> network,
                           long cycle) {
  State& run = *state_;
  std::unique_ptr<Hdf5Writer> file;
  TimeFile entry{.file = time_name(run.next_index), .seconds = seconds, .cycle = cycle, .fields = {}, .network = {}};
  on_root(run.comm, [&] {
    if (!run.times.empty() && !(seconds > run.times.back()))
      throw IoError(fmt::format("output times must increase: {} s follows {} s", seconds, run.times.back()));
    std::uint64_t bytes = run.bytes_of_fields(fields);
    for (const auto& data : network) {
      const std::size_t expected = data.on_nodes ? run.nodes : run.segments;
      if (data.values.size() != expected || geometry_names.contains(data.name))
        throw IoError(fmt::format("network data {}: {} values given, {} expected; names of the geometry are taken",
                                  data.name, data.values.size(), expected));
      bytes += 2048 + 8 * expected;
    }
    file = std::make_unique<Hdf5Writer>(run.directory / entry.file, bytes);
    file->attribute("/", "schema_version", static_cast<long>(build_info::schema_version));
    file->attribute("/", "time", seconds);
    file->attribute("/", "epoch", 0L);
    file->attribute("/", "cycle", cycle);
    for (const auto& data : network) {
      const std::string path = std::string(network_group) + "/" + data.name;
      file->write(path, data.values, {data.values.size()});
      file->attribute(path, "unit", data.unit);
      file->attribute(path, "on", data.on_nodes ? "nodes" : "segments");
      entry.network.push_back(
          {.name = data.name, .unit = data.unit, .long_name = {}, .type = Stored::float64, .on_nodes = data.on_nodes});
    }
  });
  run.write_fields(file.get(), "/fields", fields);
  on_root(run.comm, [&] {
    file->commit();
    for (const auto& field : fields)
      entry.fields.push_back({.name = field.name,
                              .unit = field.unit,
                              .long_name = field.long_name,
                              .type = field.double_precision ? Stored::float64 : Stored::float32,
                              .of_cycle = field.of_cycle});
    run.files.push_back(std::move(entry));
    ++run.next_index;
  });
  run.times.push_back(seconds);
  run.write_run_file(nullptr, {});
}

void RunWriter::set_series(std::vector<double> time, Columns series) {
  State& run = *state_;
  on_root(run.comm, [&] {
    for (const auto& [name, column] : series)
      if (column.values.size() != time.size() || name == "time")
        throw IoError(fmt::format("series {}: {} values given for {} times", name, column.values.size(), time.size()));
    run.series_time = std::move(time);
    run.series = std::move(series);
  });
}

void RunWriter::refresh() { state_->write_run_file(nullptr, {}); }

void RunWriter::finish(const nlohmann::json& outcome, std::span<const GroupOutput> groups,
                       const nlohmann::json& summary) {
  State& run = *state_;
  run.write_run_file(&outcome, groups);
  on_root(run.comm, [&] {
    nlohmann::json text = summary;
    text["schema_version"] = build_info::schema_version;
    text["outcome"] = outcome;
    write_text_atomically(run.directory / "summary.json", text.dump(2) + "\n");
  });
}

const std::vector<double>& RunWriter::times() const { return state_->times; }

const fs::path& RunWriter::directory() const { return state_->directory; }

}  // namespace sanctuary
