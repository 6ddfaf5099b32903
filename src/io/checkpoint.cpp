#include "io/checkpoint.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <optional>

#include "base/build_info.hpp"
#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "io/atomic_file.hpp"
#include "io/hdf5.hpp"

namespace sanctuary {
namespace fs = std::filesystem;
namespace {

constexpr hsize_t head_size = 512;
constexpr const char* remedy = "; give the deck that this run was started with, or another output directory";

/// Number of a checkpoint file; -1 for other files.
long checkpoint_index(const fs::path& path) {
  const std::string name = path.filename().string();
  const std::string_view prefix = "checkpoint_";
  if (!name.starts_with(prefix) || path.extension() != ".h5") return -1;
  const char* const end = name.data() + name.size() - 3;
  long index = -1;
  const auto result = std::from_chars(name.data() + prefix.size(), end, index);
  return result.ec == std::errc() && result.ptr == end ? index : -1;
}

/// Number and path of every checkpoint, oldest first.
std::vector<std::pair<long, fs::path>> checkpoints_in(const fs::path& directory) {
  std::vector<std::pair<long, fs::path>> found;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    if (const long index = checkpoint_index(entry->path()); index >= 0) found.emplace_back(index, entry->path());
  std::sort(found.begin(), found.end());
  return found;
}

/// The text at the head of a checkpoint: length and CRC-32 of all that follows the head.
std::string head_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(head_size);
  std::vector<char> buffer(1 << 20);
  uLong sum = crc32(0, nullptr, 0);
  std::uint64_t length = 0;
  while (file) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    const auto read = static_cast<uInt>(file.gcount());
    sum = crc32(sum, reinterpret_cast<const Bytef*>(buffer.data()), read);
    length += read;
  }
  if (!file.is_open() || file.bad()) throw IoError(io_message("cannot read", path, errno));
  return fmt::format("sanctuary checkpoint, {} bytes from byte {}, crc32 {:08x}\n", length, head_size, sum);
}

/// Whether the file is as it was written.
bool is_whole(const fs::path& path) {
  const std::string expected = head_of(path);
  std::string head(expected.size(), '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  return file && head == expected;
}

Extent zyx(const std::array<long, 3>& xyz) {
  return {static_cast<hsize_t>(xyz[2]), static_cast<hsize_t>(xyz[1]), static_cast<hsize_t>(xyz[0])};
}

void expect(bool good, const fs::path& path, const std::string& problem) {
  if (!good) throw InputError(fmt::format("{} {}{}", path.string(), problem, remedy));
}

/// The newest undamaged checkpoint, opened; none if there is none.
std::optional<Hdf5Reader> open_newest(const fs::path& folder) {
  auto found = checkpoints_in(folder);
  for (; !found.empty(); found.pop_back()) {
    const fs::path& path = found.back().second;
    try {
      if (is_whole(path)) return Hdf5Reader(path);
      log::warning("{} is damaged; looking for the checkpoint before it", path.string());
    } catch (const IoError& error) {
      log::warning("{}; looking for the checkpoint before it", error.what());
    }
  }
  return std::nullopt;
}

fs::path baseline_of(const fs::path& directory) { return directory / "checkpoints" / "baseline.h5"; }

/// Opens the baseline if it is there and undamaged. Serial.
std::optional<Hdf5Reader> open_baseline(const fs::path& directory) {
  const fs::path path = baseline_of(directory);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  try {
    if (is_whole(path)) return Hdf5Reader(path);
    log::warning("{} is damaged", path.string());
  } catch (const IoError& error) {
    log::warning("{}", error.what());
  }
  return std::nullopt;
}

void check_schema(const Hdf5Reader& file) {
  const auto schema = static_cast<int>(file.number_attribute("/", "schema_version"));
  expect(schema == build_info::schema_version, file.path(),
         fmt::format("has schema version {}, this program reads {}", schema, build_info::schema_version));
}

void check_fits(const Hdf5Reader& file, const GridLayout& grid, const Checkpoint& into) {
  expect(into.deck_hash.empty() || file.text_attribute("/", "deck_hash") == into.deck_hash, file.path(),
         "was made with another deck");
  const auto cells = file.numbers_attribute("/", "cells");
  const bool same =
      cells.size() == 3 && static_cast<long>(cells[0]) == grid.cells[0] &&
      static_cast<long>(cells[1]) == grid.cells[1] && static_cast<long>(cells[2]) == grid.cells[2] &&
      file.numbers_attribute("/", "origin") == std::vector<double>(grid.origin.begin(), grid.origin.end()) &&
      file.numbers_attribute("/", "spacing") == std::vector<double>(grid.spacing.begin(), grid.spacing.end());
  expect(same, file.path(), "was made with another grid");
  for (const auto& field : into.fields)
    expect(file.has("/fields/" + field.name), file.path(), fmt::format("holds no field {}", field.name));
}

void check_spans(const Checkpoint& checkpoint, const LocalBox& box) {
  for (const auto& field : checkpoint.fields)
    if (field.values.size() != box.cells())
      throw IoError(fmt::format("checkpoint field {}: {} values given, {} expected", field.name, field.values.size(),
                                box.cells()));
}

/// Writes a state into the file of `folder` that `path` names on rank 0. Collective.
void write_state(MPI_Comm comm, const fs::path& folder, const std::function<fs::path()>& path, const GridLayout& grid,
                 const LocalBox& box, const Checkpoint& checkpoint) {
  const auto boxes = gather_boxes(comm, grid, box);
  together(comm, [&] { check_spans(checkpoint, box); });
  std::unique_ptr<Hdf5Writer> file;
  on_root(comm, [&] {
    make_directory(folder);
    remove_temporaries(folder);
    const std::string state = checkpoint.state.dump();
    std::uint64_t bytes = state.size();
    for (const auto* arrays : {&checkpoint.arrays, &checkpoint.root_arrays})
      for (const auto& [name, values] : *arrays) bytes += 1024 + sizeof(double) * values.size();
    bytes += checkpoint.fields.size() *
             (1024 + sizeof(double) * static_cast<std::uint64_t>(grid.cells[0] * grid.cells[1] * grid.cells[2]));
    file = std::make_unique<Hdf5Writer>(path(), bytes, head_size);
    file->attribute("/", "schema_version", static_cast<long>(build_info::schema_version));
    file->attribute("/", "deck_hash", checkpoint.deck_hash);
    file->attribute("/", "cells", std::span<const long>(grid.cells));
    file->attribute("/", "origin", std::span<const double>(grid.origin));
    file->attribute("/", "spacing", std::span<const double>(grid.spacing));
    file->write("/state", state);
    file->group("/fields");
    file->group("/arrays");
    file->group("/root_arrays");
    for (const auto& [name, values] : checkpoint.arrays)
      file->write("/arrays/" + name, std::span<const double>(values), {values.size()});
    for (const auto& [name, values] : checkpoint.root_arrays)
      file->write("/root_arrays/" + name, std::span<const double>(values), {values.size()});
    for (const auto& field : checkpoint.fields) file->create("/fields/" + field.name, Stored::float64, zyx(grid.cells));
  });
  for (const auto& field : checkpoint.fields)
    collect_boxes(comm, boxes, std::span<const double>(field.values), [&](const LocalBox& part, const double* values) {
      file->write_box("/fields/" + field.name, zyx(part.start), zyx(part.size), values);
    });
  on_root(comm, [&] { file->commit(head_of); });
}

/// Reads the state of the file that `open` opens on rank 0. Collective.
bool read_state(MPI_Comm comm, const std::function<std::optional<Hdf5Reader>()>& open, const GridLayout& grid,
                const LocalBox& box, const CheckpointJudge& judge, Checkpoint& into) {
  const auto boxes = gather_boxes(comm, grid, box);
  together(comm, [&] { check_spans(into, box); });
  std::optional<Hdf5Reader> file;
  std::vector<long> found(1, 0);
  std::string state;
  on_root(comm, [&] {
    file = open();
    found.front() = file ? 1 : 0;
    if (!file) return;
    check_schema(*file);
    state = file->text("/state");
    if (judge) judge(file->path(), nlohmann::json::parse(state));
    check_fits(*file, grid, into);
  });
  broadcast(comm, found);
  if (found.front() == 0) return false;
  for (auto& field : into.fields)
    distribute_boxes(comm, boxes, field.values, [&](const LocalBox& part, double* values) {
      file->read_box("/fields/" + field.name, zyx(part.start), zyx(part.size), values);
    });
  std::string names, hash;
  std::map<std::string, std::vector<double>> arrays;
  on_root(comm, [&] {
    hash = file->text_attribute("/", "deck_hash");
    for (const auto& name : file->datasets("/arrays")) {
      arrays[name] = file->numbers("/arrays/" + name);
      names += name + "\n";
    }
    into.root_arrays.clear();
    for (const auto& name : file->datasets("/root_arrays"))
      into.root_arrays[name] = file->numbers("/root_arrays/" + name);
  });
  names = broadcast(comm, std::move(names));
  for (std::size_t begin = 0; begin < names.size();) {
    const std::size_t end = names.find('\n', begin);
    broadcast(comm, arrays[names.substr(begin, end - begin)]);
    begin = end + 1;
  }
  into.arrays = std::move(arrays);
  into.state = nlohmann::json::parse(broadcast(comm, std::move(state)));
  into.deck_hash = broadcast(comm, std::move(hash));
  return true;
}

}  // namespace

std::string text_hash(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char letter : text) hash = (hash ^ static_cast<unsigned char>(letter)) * 1099511628211ULL;
  return fmt::format("{:016x}", hash);
}

void write_checkpoint(MPI_Comm comm, const fs::path& directory, const GridLayout& grid, const LocalBox& box,
                      const Checkpoint& checkpoint, int keep) {
  const fs::path folder = directory / "checkpoints";
  const auto next = [&] {
    const auto found = checkpoints_in(folder);
    return folder / fmt::format("checkpoint_{:06d}.h5", found.empty() ? 0 : found.back().first + 1);
  };
  write_state(comm, folder, next, grid, box, checkpoint);
  on_root(comm, [&] {
    const auto found = checkpoints_in(folder);
    const auto kept = static_cast<std::size_t>(std::max(keep, 1));
    for (std::size_t old = 0; old + kept < found.size(); ++old) remove_file(found[old].second);
  });
}

bool read_latest_checkpoint(MPI_Comm comm, const fs::path& directory, const GridLayout& grid, const LocalBox& box,
                            Checkpoint& into) {
  return read_state(
      comm, [&] { return open_newest(directory / "checkpoints"); }, grid, box, {}, into);
}

void write_baseline(MPI_Comm comm, const fs::path& directory, const GridLayout& grid, const LocalBox& box,
                    const Checkpoint& baseline) {
  write_state(
      comm, directory / "checkpoints", [&] { return baseline_of(directory); }, grid, box, baseline);
}

BaselineFile read_baseline(MPI_Comm comm, const fs::path& directory, const GridLayout& grid, const LocalBox& box,
                           const CheckpointJudge& judge, Checkpoint& into) {
  if (read_state(
          comm, [&] { return open_baseline(directory); }, grid, box, judge, into))
    return BaselineFile::read;
  std::vector<long> there(1, 0);
  on_root(comm, [&] {
    std::error_code ignored;
    there.front() = fs::exists(baseline_of(directory), ignored) ? 1 : 0;
  });
  broadcast(comm, there);
  return there.front() != 0 ? BaselineFile::damaged : BaselineFile::none;
}

void remove_checkpoints(MPI_Comm comm, const fs::path& directory, bool with_baseline) {
  on_root(comm, [&] {
    const fs::path folder = directory / "checkpoints";
    for (const auto& [index, path] : checkpoints_in(folder)) remove_file(path);
    if (with_baseline) remove_file(baseline_of(directory));
    std::error_code not_empty;
    if (!fs::is_directory(folder, not_empty)) return;
    remove_temporaries(folder);
    fs::remove(folder, not_empty);
    fs::remove(directory, not_empty);
  });
}

}  // namespace sanctuary
