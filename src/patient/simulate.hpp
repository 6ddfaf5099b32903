#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "base/deck.hpp"
#include "base/error.hpp"
#include "patient/patient.hpp"

namespace sanctuary {

/// What a run needs beside its deck.
struct RunOptions {
  std::filesystem::path directory;
  std::string command, git_hash;
  /// Called after every step with time done and whole [s] and a note. May be empty.
  std::function<void(double, double, const std::string&)> progress;
  /// True on any rank: stop after this step with everything saved. May be empty.
  std::function<bool()> stop_requested;
  /// Called with the patient after each accepted step, for tests. May be empty.
  std::function<void(Patient&)> after_step;
};

/// Runs one patient into a directory; goes on where an interrupted run of the same deck stopped, on any number of
/// ranks; does nothing where the run is complete. InputError if the directory holds another run. Returns done, or
/// stopped when asked to stop early. Collective on `comm`.
[[nodiscard]] ExitCode simulate(MPI_Comm comm, const Deck& deck, const RunOptions& options);

}  // namespace sanctuary
