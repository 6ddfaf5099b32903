#include "patient/simulate.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>

#include "base/build_info.hpp"
#include "base/comm.hpp"
#include "base/log.hpp"
#include "patient/parameters.hpp"

namespace sanctuary {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

RunRecord record_of(const Deck& deck, const RunOptions& options, const PatientSettings& settings) {
  RunRecord record{.original_deck = deck.original(),
                   .resolved_deck = deck.resolved(),
                   .command = options.command,
                   .program_version = build_info::version,
                   .git_hash = options.git_hash,
                   .seed = settings.seed};
  for (const Deck::Entry& e : deck.entries())
    record.parameters.push_back({e.key, e.value, e.unit, e.source, e.is_default});
  return record;
}

/// A resolved deck without the marks of defaults: a default that is given changes nothing.
std::string values_of(std::istream& resolved) {
  constexpr std::string_view mark = "# default";
  std::string values;
  for (std::string line; std::getline(resolved, line);) {
    if (line.ends_with(mark)) line.resize(line.size() - mark.size());
    line.resize(line.find_last_not_of(' ') + 1);
    values += line + "\n";
  }
  return values;
}

/// Refuses a directory that holds the run of another deck.
void check_same_run(const std::filesystem::path& directory, const std::string& values) {
  std::ifstream file(directory / "deck.ini");
  if (file && values_of(file) == values) return;
  throw InputError(directory.string() +
                   " holds a run of another deck (its deck.ini differs from the one given); choose another directory "
                   "with -o, or remove this one");
}

/// Refuses a directory that cannot be made or written, before hours of work; makes nothing yet.
void check_writable(const std::filesystem::path& directory) {
  std::filesystem::path there = std::filesystem::absolute(directory);
  std::error_code ignored;
  while (!std::filesystem::exists(there, ignored) && there.has_relative_path()) there = there.parent_path();
  const bool is_folder = std::filesystem::is_directory(there, ignored);
  if (is_folder && ::access(there.c_str(), W_OK | X_OK) == 0) return;
  throw IoError("cannot write to " + directory.string() + ": " + there.string() +
                (is_folder ? " is not writable" : " is not a directory") + "; choose another directory with -o");
}

/// Refuses names of output.fields that this run does not have. Collective.
void check_field_names(const Deck& deck, const Patient& patient) {
  std::vector<std::string> names{"all"};
  patient.with_output([&](std::span<const FieldOutput> fields, std::span<const NetworkOutput>) {
    for (const FieldOutput& field : fields) names.push_back(field.name);
  });
  patient.with_constants([&](std::span<const FieldOutput> fields) {
    for (const FieldOutput& field : fields) names.push_back(field.name);
  });
  for (const std::string& wanted : patient.settings().output_fields) {
    if (std::find(names.begin(), names.end(), wanted) != names.end()) continue;
    throw InputError(deck.where(output::fields) + ": this run has no field '" + wanted +
                     "'; expected names as they stand under /fields of a run.h5 made with output.fields = all");
  }
}

double peak_memory_bytes(MPI_Comm comm) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return sum_over(comm, static_cast<double>(usage.ru_maxrss) * 1024);
}

}  // namespace

ExitCode simulate(MPI_Comm comm, const Deck& deck, const RunOptions& options) {
  const auto started = Clock::now();
  const PatientSettings settings = patient_settings(deck);
  std::istringstream resolved(deck.resolved());
  const std::string values = values_of(resolved);
  RunState state = RunState::none;
  on_root(comm, [&] {
    state = run_state(options.directory);
    if (state != RunState::none) check_same_run(options.directory, values);
    if (state != RunState::finished) check_writable(options.directory);
  });
  int shared = static_cast<int>(state);
  MPI_Bcast(&shared, 1, MPI_INT, 0, comm);
  state = static_cast<RunState>(shared);
  if (state == RunState::finished) {
    log::info("{} is complete: nothing to do", options.directory.string());
    return ExitCode::done;
  }

  const double memory_before = peak_memory_bytes(comm);
  Patient patient(comm, settings);
  if (options.progress) options.progress(0, settings.duration, "flow, pressure and oxygen");
  patient.establish_baseline();
  patient.check_balance();
  check_field_names(deck, patient);
  for (const std::string& note : patient.notes()) log::info("{}", note);

  bool resumed = false;
  if (state == RunState::unfinished) {
    Checkpoint kept;
    patient.with_checkpoint([&](Checkpoint& point) {
      point.deck_hash = text_hash(values);
      resumed = read_latest_checkpoint(comm, options.directory, patient.layout(), patient.box(), point);
      kept.arrays = std::move(point.arrays);
      kept.root_arrays = std::move(point.root_arrays);
      kept.state = std::move(point.state);
    });
    if (resumed) {
      patient.restored(kept);
      log::info("going on from the checkpoint at {:.6g} h", patient.time() / 3600);
    }
  }

  RunRecord record = record_of(deck, options, settings);
  RunWriter writer = state == RunState::none
                         ? RunWriter(comm, options.directory, std::move(record), patient.layout(), patient.box(),
                                     patient.network_layout())
                         : RunWriter::reopen(comm, options.directory, std::move(record), patient.layout(),
                                             patient.box(), patient.network_layout(), resumed ? patient.time() : -1);
  patient.with_constants([&](std::span<const FieldOutput> fields) { writer.write_constant(fields); });

  auto last_checkpoint = Clock::now();
  double writing = 0;
  const auto checkpoint = [&] {
    const auto start = Clock::now();
    patient.with_checkpoint([&](Checkpoint& point) {
      point.deck_hash = text_hash(values);
      write_checkpoint(comm, options.directory, patient.layout(), patient.box(), point);
    });
    last_checkpoint = Clock::now();
    writing += seconds_since(start);
  };
  const auto write_output = [&] {
    const auto start = Clock::now();
    patient.check_balance();
    writer.set_series(patient.series_time(), patient.series());
    const auto& times = writer.times();
    if (times.empty() || times.back() < patient.time()) {
      patient.with_output([&](std::span<const FieldOutput> fields, std::span<const NetworkOutput> network) {
        writer.write_time(patient.time(), fields, network, settings.drugs.empty() ? 0 : patient.cycle());
      });
    }
    writing += seconds_since(start);
    checkpoint();
  };
  if (!resumed && patient.at_output()) write_output();

  while (!patient.finished()) {
    patient.advance();
    if (options.after_step) options.after_step(patient);
    if (options.progress) {
      options.progress(patient.time(), settings.duration, "step " + std::to_string(patient.steps()));
    }
    if (patient.at_output()) {
      write_output();
    } else {
      // Rank 0's clock decides for all.
      int due = seconds_since(last_checkpoint) >= settings.checkpoint_interval && settings.checkpoint_interval > 0;
      MPI_Bcast(&due, 1, MPI_INT, 0, comm);
      if (due) checkpoint();
    }
    const bool stop = options.stop_requested && options.stop_requested();
    if (max_over(comm, stop ? 1 : 0) > 0 && !patient.finished()) {
      checkpoint();
      log::info(
          "stopped on request at {:.6g} h with everything saved: run the same command again, or `sanctuary resume {}`",
          patient.time() / 3600, options.directory.string());
      return ExitCode::stopped;
    }
  }

  Patient::Findings findings = patient.findings();
  auto& timing = findings.summary["timing"];
  for (const auto& [phase, seconds] : patient.timing()) timing[phase + "_s"] = max_over(comm, seconds);
  timing["writing_s"] = max_over(comm, writing);
  timing["total_s"] = max_over(comm, seconds_since(started));
  const double memory = peak_memory_bytes(comm);
  const auto cells =
      static_cast<double>(patient.layout().cells[0] * patient.layout().cells[1] * patient.layout().cells[2]);
  findings.summary["memory"] = {{"peak_bytes", memory},
                                {"before_bytes", memory_before},
                                {"peak_bytes_per_cell", (memory - memory_before) / cells}};
  findings.summary["ranks"] = size_of(comm);
  findings.summary["remarks"] = findings.remarks;
  for (const std::string& remark : findings.remarks) log::debug("{}", remark);
  patient.with_groups(
      [&](std::span<const GroupOutput> groups) { writer.finish(findings.outcome, groups, findings.summary); });
  return ExitCode::done;
}

}  // namespace sanctuary
