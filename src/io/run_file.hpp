#pragma once
#include <mpi.h>

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "io/boxes.hpp"

namespace sanctuary {

/// A cell field to be written. Converting to `unit` is the caller's; stored in single precision unless told otherwise.
/// All ranks give the same fields in the same order.
struct FieldOutput {
  std::string name, unit, long_name;
  std::span<const double> values;  ///< of the local box
  bool double_precision = false;
  bool of_cycle = false;  ///< sums up a treatment cycle: XDMF shows it for each cycle under a name of its own
};

/// The vessels of an epoch in m; only rank 0's is used. Ids persist through epochs. `born` and `died` (s; NaN: not yet)
/// are per segment and may be left empty.
struct NetworkLayout {
  std::vector<std::array<double, 3>> nodes;
  std::vector<long> node_ids;
  std::vector<std::array<long, 2>> segments;  ///< indices of nodes
  std::vector<long> segment_ids;
  std::vector<double> radius, length;
  std::vector<double> born = {}, died = {};
};

/// Data of the network at one time: full length on rank 0, ignored on the others.
struct NetworkOutput {
  std::string name, unit;
  bool on_nodes = false;
  std::span<const double> values;
};

/// What a run file says about where it comes from; only rank 0's is used.
struct RunRecord {
  std::string original_deck, resolved_deck, command, program_version, git_hash;
  long seed = 0;
  struct Value {
    std::string key, value, unit, source;
    bool is_default = true;
  };
  std::vector<Value> parameters = {};
};

/// A list of numbers with a unit.
struct Column {
  std::string unit;
  std::vector<double> values;
};
/// Columns by name.
using Columns = std::map<std::string, Column>;

/// A group written when the run is finished: whole-grid fields (collective), columns (rank 0's) and scalars as
/// attributes (rank 0's; a JSON object of numbers, texts and flags). `path` such as `/balance/oxygen` or
/// `/sanctuary/doxorubicin`.
struct GroupOutput {
  std::string path;
  std::vector<FieldOutput> fields = {};
  Columns columns = {};
  nlohmann::json attributes = nlohmann::json::object();
};

/// Whether a directory holds a run. `finished`: summary.json is there, so everything else is.
enum class RunState { none, unfinished, finished };
/// Looks at a directory. Serial.
[[nodiscard]] RunState run_state(const std::filesystem::path& directory);

/// Writes one run: a file per output time under DIR/times, and DIR/run.h5 and DIR/run.xdmf, which show all of them as
/// one and are made anew at each time (docs/formats.md). Rank 0 writes; other ranks' cells come to it box by box. Each
/// file is whole or absent. Every failure is an IoError on all ranks and leaves earlier files as they were. All members
/// but the plain queries are collective on the communicator, which is borrowed.
class RunWriter {
 public:
  /// Starts a run in a directory that holds none (InputError otherwise); makes the directory and DIR/deck.ini.
  RunWriter(MPI_Comm comm, std::filesystem::path directory, RunRecord record, GridLayout grid, LocalBox box,
            NetworkLayout network);
  /// Goes on with the run of a directory: keeps the output times up to `time` [s] and drops later ones, the summary and
  /// whatever was half-written. InputError if the grid or the network differ. Starts anew where there is no run.
  static RunWriter reopen(MPI_Comm comm, std::filesystem::path directory, RunRecord record, GridLayout grid,
                          LocalBox box, NetworkLayout network, double time);
  RunWriter(RunWriter&&) noexcept;
  RunWriter& operator=(RunWriter&&) noexcept;
  ~RunWriter();

  /// Fields that do not change with time (tissue label, porosity): stored once, shown at every time. Before write_time;
  /// after a reopen they must be given again.
  void write_constant(std::span<const FieldOutput> fields);
  /// Writes DIR/times/time_NNNNNN.h5, then refreshes run.h5 and run.xdmf. Times increase. `cycle`: number of the
  /// treatment cycle, 0 where there is none.
  void write_time(double seconds, std::span<const FieldOutput> fields, std::span<const NetworkOutput> network = {},
                  long cycle = 0);
  /// Sets the time courses under /series, all as long as `time` [s], shown from the next refresh on. Only rank 0's
  /// count.
  void set_series(std::vector<double> time, Columns series);
  /// Rewrites run.h5 and run.xdmf.
  void refresh();
  /// Writes the end of the run: groups, /outcome, `complete` = 1 in run.h5, and last DIR/summary.json with `summary` as
  /// given plus `outcome`. `outcome` and `summary` are JSON objects, rank 0's count.
  void finish(const nlohmann::json& outcome, std::span<const GroupOutput> groups, const nlohmann::json& summary);

  /// Output times so far [s], on all ranks. Not collective.
  [[nodiscard]] const std::vector<double>& times() const;
  /// Not collective.
  [[nodiscard]] const std::filesystem::path& directory() const;

 private:
  struct State;
  explicit RunWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sanctuary
