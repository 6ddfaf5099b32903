#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/network_formats.hpp"
#include "solvers/network/graph.hpp"

/// What the readers of network files share; not for use outside src/io/network_*.cpp.
namespace sanctuary::network_text {

/// Throws InputError `file:line: what`; without line if it is 0.
[[noreturn]] void fail(const std::string& file, long line, const std::string& what);

/// The bytes of a file of a user; a missing or unreadable file is an InputError.
[[nodiscard]] std::string slurp(const std::filesystem::path& path);

/// A text file as lines without line ends and byte-order mark.
struct Lines {
  explicit Lines(const std::filesystem::path& path);
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  [[nodiscard]] long size() const { return static_cast<long>(line.size()); }
  std::string file;
  std::string text;
  std::vector<std::string_view> line;  // line[i] is line i + 1 of the file
};

/// The parts of a line between blanks and tabs.
[[nodiscard]] std::vector<std::string_view> words(std::string_view line);

[[nodiscard]] bool is_number(std::string_view word);
[[nodiscard]] bool is_integer(std::string_view word);
/// A finite number, or InputError that says what was expected.
[[nodiscard]] double number(std::string_view word, const std::string& file, long line, std::string_view what);
/// An integer, or InputError that says what was expected.
[[nodiscard]] long integer(std::string_view word, const std::string& file, long line, std::string_view what);

/// SI size of a unit that must have the dimension of `like`; InputError names the file.
[[nodiscard]] double unit_factor(const std::string& unit, std::string_view like, const std::string& file);

/// Node index by name; repeated names are InputErrors.
class NodeNames {
 public:
  void add(long name, long index, const std::string& file, long line);
  [[nodiscard]] long find(long name, const std::string& file, long line) const;
  [[nodiscard]] bool knows(long name) const { return index_.contains(name); }

 private:
  std::unordered_map<long, long> index_;
};

using Notes = std::vector<std::string>;

[[nodiscard]] VesselGraph read_dat(const std::filesystem::path& path, const ReadOptions& options, Notes& notes);
[[nodiscard]] VesselGraph read_dgf(const std::filesystem::path& path, const ReadOptions& options, Notes& notes);
[[nodiscard]] VesselGraph read_vtp(const std::filesystem::path& path, const ReadOptions& options, Notes& notes);
[[nodiscard]] VesselGraph read_csv(const std::filesystem::path& path, const ReadOptions& options, Notes& notes);
[[nodiscard]] VesselGraph read_hdf5(const std::filesystem::path& path, const ReadOptions& options, Notes& notes);
/// This rank's part of the file: as many segments as on the other ranks, with their nodes. Collective.
[[nodiscard]] VesselGraph read_hdf5_share(MPI_Comm comm, const std::filesystem::path& path);

void write_dgf(const std::filesystem::path& path, const VesselGraph& graph);
void write_vtp(const std::filesystem::path& path, const VesselGraph& graph);
void write_csv(const std::filesystem::path& path, const VesselGraph& graph);
void write_hdf5(const std::filesystem::path& path, const VesselGraph& graph);

/// `none`, `pressure` or `flow`.
[[nodiscard]] std::string_view name_of(BoundaryKind kind);

}  // namespace sanctuary::network_text
