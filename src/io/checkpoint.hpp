#pragma once
#include <mpi.h>

#include <filesystem>
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

/// Writes DIRECTORY/checkpoints/checkpoint_NNNNNN.h5, whole or not at all, with a checksum, then removes all but the
/// newest `keep`. IoError on all ranks if it cannot; older ones then stay. Collective.
void write_checkpoint(MPI_Comm comm, const std::filesystem::path& directory, const GridLayout& grid,
                      const LocalBox& box, const Checkpoint& checkpoint, int keep = 2);

/// Reads the newest checkpoint that is undamaged into the fields named by `into`, on any number of ranks; warns about
/// damaged ones. False if there is none. InputError if grid, deck hash, schema or the fields do not fit. Collective.
[[nodiscard]] bool read_latest_checkpoint(MPI_Comm comm, const std::filesystem::path& directory, const GridLayout& grid,
                                          const LocalBox& box, Checkpoint& into);

}  // namespace sanctuary
