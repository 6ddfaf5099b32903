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
  /// False: nothing is left behind. Only checkpoints go under `directory`, made when one is due (every
  /// output.checkpoint_interval of wall time, and on a stop) and removed once the run is whole.
  bool files = true;
  /// A directory that holds the baseline to branch from, as `prepare_baseline` or a run left it. Empty: the run keeps
  /// its own beside its checkpoints.
  std::filesystem::path baseline;
  std::string command, git_hash;
  /// Called after every step with time done and whole [s] and a note. May be empty.
  std::function<void(double, double, const std::string&)> progress;
  /// True on any rank: stop after this step with everything saved. May be empty.
  std::function<bool()> stop_requested;
  /// Called with the patient after each accepted step, for tests. May be empty.
  std::function<void(Patient&)> after_step;
  /// Called once at the end of a whole run with what was found, collectively, before its checkpoints are removed. May
  /// be empty.
  std::function<void(const Patient&, const Patient::Findings&)> finished;
};

/// Runs one patient into a directory; goes on where an interrupted run of the same deck stopped, on any number of
/// ranks; does nothing where the run is complete (without files that is not known: it runs again). InputError if the
/// directory holds another run, or the baseline to branch from is missing or another patient's (baseline_key.hpp); a
/// damaged one is computed again. Returns done, or stopped when asked to stop early. Collective on `comm`.
[[nodiscard]] ExitCode simulate(MPI_Comm comm, const Deck& deck, const RunOptions& options);

/// Establishes the baseline of a deck, its drugs left out, saves it in `options.directory` for others to branch from
/// and calls options.finished with the findings before treatment. One that is there already is read instead; InputError
/// if it is another patient's. Uses neither files nor baseline of the options; is not stopped on the way. Two groups
/// must not prepare in one directory at once; any number may branch from it. Collective on `comm`.
[[nodiscard]] ExitCode prepare_baseline(MPI_Comm comm, const Deck& deck, const RunOptions& options);

}  // namespace sanctuary
