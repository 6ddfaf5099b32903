#pragma once
#include <mpi.h>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/plan.hpp"
#include "io/ledger.hpp"

namespace sanctuary {

/// Which task a group shall do.
struct TaskOrder {
  long patient = 0;
  std::size_t variant = 0;
};
[[nodiscard]] std::string packed(const TaskOrder& order);
[[nodiscard]] TaskOrder unpacked(std::string_view bytes);

/// What a group reports about a task.
struct TaskReport {
  std::string status;  ///< done, failed, rejected, interrupted, io (files could not be written) or deck (the
                       ///< cohort's deck is wrong)
  std::string reason;  ///< why it is not done
  std::string deck;    ///< resolved, where it is not done: what reproduces it
  int ranks = 1;
  double wall = 0, cpu = 0;  ///< [s]
  double memory = 0;         ///< largest resident size seen, all ranks [bytes]
  std::string host;
  Cells endpoints;
  std::vector<Cells> visits;
};
[[nodiscard]] std::string packed(const TaskReport& report);
[[nodiscard]] TaskReport report_from(std::string_view bytes);

/// What tasks of a cohort share.
struct TaskSetting {
  const CohortPlan* plan;
  std::filesystem::path directory;  ///< of the cohort
  std::string command, git_hash;
  std::function<bool()> stop_requested;  ///< on this rank, beside the coordinator's word; may be empty
};

/// Does one task on a group: the baseline of a patient, or an arm from it. Never throws: what all ranks agree failed
/// becomes a report, a rank that fails alone ends the program. The report counts on rank 0. Collective on `group`.
[[nodiscard]] TaskReport run_task(MPI_Comm group, const TaskSetting& setting, const TaskOrder& order,
                                  const std::function<bool()>& stop_requested);

/// Folder of what a task keeps while it runs, and of a kept run.
[[nodiscard]] std::filesystem::path work_folder(const std::filesystem::path& directory, long patient,
                                                const std::string& variant);
[[nodiscard]] std::filesystem::path run_folder(const std::filesystem::path& directory, long patient,
                                               const std::string& variant);

}  // namespace sanctuary
