#pragma once
#include <mpi.h>

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/run_file.hpp"

namespace sanctuary {

/// A cell field of the local box, kept to the last bit.
struct CheckpointField {
  std::string name;
  std::span<double> values;
};

/// All that a run needs to go on. Fields are distributed; arrays and state count on rank 0 when written and are on all
/// ranks when read, `root_arrays` on rank 0 alone. Numbers in `state` keep their bits (JSON with shortest round trip),
/// except NaN and infinity: those belong in arrays.
struct Checkpoint {
  std::vector<CheckpointField> fields = {};
  std::map<std::string, std::vector<double>> arrays = {}, root_arrays = {};
  nlohmann::json state = nlohmann::json::object();
  std::string deck_hash = {};  ///< of the resolved deck; read_latest_checkpoint compares unless empty
};

/// Sixteen hexadecimal digits that tell texts apart (FNV-1a, 64 bits). Serial.
[[nodiscard]] std::string text_hash(std::string_view text);

/// Looks at the state of a file before the rest of it is read, on rank 0; throws InputError for what does not belong.
using CheckpointJudge = std::function<void(const std::filesystem::path& path, const nlohmann::json& state)>;

/// Writes DIRECTORY/checkpoints/checkpoint_NNNNNN.h5, whole or not at all, with a checksum, then removes all but the
/// newest `keep`. IoError on all ranks if it cannot; older ones then stay. Collective.
void write_checkpoint(MPI_Comm comm, const std::filesystem::path& directory, const GridLayout& grid,
                      const LocalBox& box, const Checkpoint& checkpoint, int keep = 2);

/// Reads the newest checkpoint that is undamaged into the fields named by `into`, on any number of ranks; warns about
/// damaged ones. False if there is none. InputError if grid, deck hash, schema or the fields do not fit. Collective.
[[nodiscard]] bool read_latest_checkpoint(MPI_Comm comm, const std::filesystem::path& directory, const GridLayout& grid,
                                          const LocalBox& box, Checkpoint& into);

/// Writes DIRECTORY/checkpoints/baseline.h5, the state before treatment, as write_checkpoint does; checkpoints stay.
/// Collective.
void write_baseline(MPI_Comm comm, const std::filesystem::path& directory, const GridLayout& grid, const LocalBox& box,
                    const Checkpoint& baseline);
/// What was found in the place of a baseline. A damaged one is warned about.
enum class BaselineFile { none, damaged, read };
/// Reads it as read_latest_checkpoint does, after `judge` (may be empty) let it pass. Collective.
[[nodiscard]] BaselineFile read_baseline(MPI_Comm comm, const std::filesystem::path& directory, const GridLayout& grid,
                                         const LocalBox& box, const CheckpointJudge& judge, Checkpoint& into);

/// Removes the checkpoints of a directory, the baseline too if wanted, and then what is empty of its folders.
/// Collective.
void remove_checkpoints(MPI_Comm comm, const std::filesystem::path& directory, bool with_baseline);

}  // namespace sanctuary
