#pragma once
#include <mpi.h>

#include <filesystem>
#include <functional>
#include <string>

#include "base/deck.hpp"
#include "base/error.hpp"
#include "cohort/plan.hpp"
#include "cohort/task.hpp"

namespace sanctuary {

/// How a cohort stands, for the display.
struct CohortProgress {
  long tasks = 0, done = 0, running = 0, failed = 0, rejected = 0;
  double elapsed = 0;     ///< [s] of this run
  double left = 0;        ///< [s] expected
  double efficiency = 1;  ///< share of the workers' time spent on tasks
  long done_before = 0;   ///< tasks that an earlier run settled
};

/// What a run of a cohort needs beside its deck.
struct CohortOptions {
  std::filesystem::path directory;
  std::string command, git_hash, program_version;
  bool extend = false;        ///< the deck may ask for more patients or arms than the folder holds
  bool retry_failed = false;  ///< tasks that failed are done again
  bool is_shard = false;
  long shard = 0, shards = 1;            ///< this run takes patients shard, shard + shards, ... into DIR/shards
  std::function<bool()> stop_requested;  ///< true on any rank: stop early, with everything saved
  std::function<void(const CohortProgress&)> progress;  ///< called on rank 0 a few times a second; may be empty
  /// What a group does with a task; empty: run_task. For measurements of what is around it.
  std::function<TaskReport(MPI_Comm group, const TaskOrder& order)> task = {};
};

/// Counts at the end of a run of a cohort, the same on all ranks.
struct CohortResult {
  ExitCode code = ExitCode::done;
  long done = 0, failed = 0, rejected = 0, pending = 0;
  double elapsed = 0, efficiency = 1;
  double start_up = 0, tables = 0;  ///< [s] until the first order could go out, and for the tables at the end
  std::filesystem::path directory;
  std::string tables_text = {};  ///< what the tables rest on, where they were written; on rank 0 after a merge
};

/// Runs every patient of a cohort in every arm, goes on where an earlier run of the same deck stopped or was killed,
/// and writes cohort.h5 and cohort.csv when all is settled. Rank 0 coordinates and holds the ledger. InputError for a
/// folder of another deck (what differs is listed) or one that another cohort works in, IoError for a full disk; both
/// leave the ledger whole. Collective on `comm`.
[[nodiscard]] CohortResult run_cohort(MPI_Comm comm, const Deck& deck, const CohortOptions& options);

/// Joins the ledgers of all shards of a folder into one and writes its tables. Stopped, with the names, when shards are
/// missing or unfinished. Collective.
[[nodiscard]] CohortResult merge_cohort(MPI_Comm comm, const Deck& deck, const CohortOptions& options);

/// What a cohort would take: tasks, memory per rank, core-hours, disk and files, in words. Collective.
[[nodiscard]] std::string cohort_estimate(MPI_Comm comm, const Deck& deck, int ranks);

/// Folder of a shard.
[[nodiscard]] std::filesystem::path shard_folder(const std::filesystem::path& directory, long shard, long shards);

}  // namespace sanctuary
