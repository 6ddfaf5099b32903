#pragma once
#include <mpi.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "solvers/network/graph.hpp"

namespace sanctuary {

/// File formats of vessel networks; docs/network_formats.md describes them.
enum class NetworkFormat { automatic, dat, dgf, vtp, csv, hdf5 };

/// `dat`, `dgf`, `vtp`, `csv`, `hdf5` or `auto`. InputError for anything else.
[[nodiscard]] NetworkFormat network_format(std::string_view name);
/// Format by extension: .dat, .dgf, .vtp, .csv (or a directory), .h5 or .hdf5. InputError for anything else.
[[nodiscard]] NetworkFormat network_format_of(const std::filesystem::path& path);

/// How to read a network file. An empty unit stands for the unit that the format or the file states; where neither does
/// (`.vtp`, CSV headers without a unit) reading fails and asks for it.
struct ReadOptions {
  NetworkFormat format = NetworkFormat::automatic;
  std::string length_unit;                                  // positions and lengths; .dat: um, .dgf: m
  std::string radius_unit;                                  // radii and diameters; empty: as length_unit
  std::string pressure_unit;                                // .dat: mmHg, .dgf: Pa
  std::string flow_unit;                                    // .dat: nl/min
  double flow_factor = 1;                                   // .dat: multiplies all listed flows (R3230Ac: 1.333)
  std::string radius_name;                                  // .vtp: name of the point or cell array with the radius
  bool radius_is_diameter = false;                          // .vtp with radius_name, .dgf: the column holds diameters
  std::vector<std::string> dgf_vertex_columns{"pressure"};  // meaning of the vertex parameters: pressure or skip
  std::vector<std::string> dgf_segment_columns{"radius"};   // meaning of the simplex parameters: radius, length or skip
  double maturity = 0;  // of segments for which the file gives none; 0: immature, as in tumours
};

/// Reads a vessel network. What is wrong with the file (missing, cut short, not a number, counts that do not match,
/// unknown or repeated names) is an InputError that names file and line; odd but readable geometry is left to
/// `diagnose`. Remarks such as dropped segments go to `notes`. Serial.
[[nodiscard]] VesselGraph read_network(const std::filesystem::path& path, const ReadOptions& options = {},
                                       std::vector<std::string>* notes = nullptr);
/// Reads a share of the network (solvers/network/share.hpp): of our HDF5 each rank reads its part of the file, other
/// formats are read on rank 0, which then holds all of it. A failure is thrown on all ranks; `notes` is filled on rank
/// 0. Collective on `comm`.
[[nodiscard]] VesselGraph read_network_share(MPI_Comm comm, const std::filesystem::path& path,
                                             const ReadOptions& options = {},
                                             std::vector<std::string>* notes = nullptr);
/// Reads on rank 0 and gives all of the graph to all ranks, for networks that are small; a failure is thrown on all of
/// them. `notes` is filled on rank 0. Collective on `comm`.
[[nodiscard]] VesselGraph read_network(MPI_Comm comm, const std::filesystem::path& path,
                                       const ReadOptions& options = {}, std::vector<std::string>* notes = nullptr);
/// Copies the graph of rank 0 to all ranks. Collective on `comm`.
void broadcast(MPI_Comm comm, VesselGraph& graph);

/// Writes .csv (a pair, see `csv_pair`), .h5, .vtp or .dgf in SI units, so that reading gives the same graph. Files
/// appear under their name only when whole. Throws IoError; InputError for .dat, which is only read. Serial.
void write_network(const std::filesystem::path& path, const VesselGraph& graph,
                   NetworkFormat format = NetworkFormat::automatic);

/// The two files that `path` stands for: `net.csv` for `net_nodes.csv` and `net_segments.csv`; a name with `nodes` or
/// `segments` in it for itself and its partner; a directory for `nodes.csv` and `segments.csv` in it.
struct CsvPair {
  std::filesystem::path nodes, segments;
};
[[nodiscard]] CsvPair csv_pair(const std::filesystem::path& path);

}  // namespace sanctuary
