#include "patient/simulate.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/build_info.hpp"
#include "base/comm.hpp"
#include "base/log.hpp"
#include "patient/baseline_key.hpp"
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

/// Keeps a baseline with what it belongs to in `directory`. Collective.
void save_baseline(MPI_Comm comm, const Deck& deck, const std::filesystem::path& directory, Patient& patient) {
  patient.with_baseline([&](Checkpoint& point) {
    point.deck_hash = baseline_key(deck);
    point.state["entries"] = baseline_entries(deck);
    write_baseline(comm, directory, patient.layout(), patient.box(), point);
  });
}

/// Refuses the baseline of another patient.
void check_same_patient(const Deck& deck, const std::filesystem::path& path, const nlohmann::json& state) {
  const auto kept = state.at("entries").get<std::map<std::string, std::string>>();
  const std::vector<std::string> keys = differing_keys(baseline_entries(deck), kept);
  if (keys.empty()) return;
  constexpr std::size_t most = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(keys.size(), most); ++i) {
    const auto value = kept.find(keys[i]);
    text += (i > 0 ? ", " : "") + keys[i] + " (there: " + (value == kept.end() ? "none" : value->second) + ")";
  }
  if (keys.size() > most) text += " and " + std::to_string(keys.size() - most) + " more";
  throw InputError(path.string() + " is the baseline of another patient: the deck differs from it in " + text +
                   "; branch from a baseline of this patient, or make these keys equal");
}

/// Restores a new patient from the baseline kept in `directory`; else it is left to establish one.
/// Collective.
BaselineFile restore_from(MPI_Comm comm, const Deck& deck, const std::filesystem::path& directory, Patient& patient) {
  Checkpoint kept;
  BaselineFile found = BaselineFile::none;
  patient.with_baseline([&](Checkpoint& point) {
    found = read_baseline(
        comm, directory, patient.layout(), patient.box(),
        [&](const auto& path, const nlohmann::json& state) { check_same_patient(deck, path, state); }, point);
    kept.arrays = std::move(point.arrays);
    kept.root_arrays = std::move(point.root_arrays);
    kept.state = std::move(point.state);
  });
  if (found == BaselineFile::read) patient.restore_baseline(kept);
  return found;
}

/// Puts time and memory into the summary. Collective.
void add_cost(MPI_Comm comm, const Patient& patient, double writing, double total, double memory_before,
              nlohmann::json& summary) {
  auto& timing = summary["timing"];
  for (const auto& [phase, seconds] : patient.timing()) timing[phase + "_s"] = max_over(comm, seconds);
  timing["writing_s"] = max_over(comm, writing);
  timing["total_s"] = max_over(comm, total);
  const double memory = peak_memory_bytes(comm);
  const auto cells =
      static_cast<double>(patient.layout().cells[0] * patient.layout().cells[1] * patient.layout().cells[2]);
  summary["memory"] = {{"peak_bytes", memory},
                       {"before_bytes", memory_before},
                       {"peak_bytes_per_cell", (memory - memory_before) / cells}};
  summary["ranks"] = size_of(comm);
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
    if (!options.files && state != RunState::none)
      throw InputError(options.directory.string() + " holds the files of a run: choose another directory");
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
  const bool branches = !options.baseline.empty();
  const std::filesystem::path baseline_directory = branches ? options.baseline : options.directory;
  bool baseline_kept = branches;
  const BaselineFile baseline = branches || !options.files || state == RunState::unfinished
                                    ? restore_from(comm, deck, baseline_directory, patient)
                                    : BaselineFile::none;
  if (baseline == BaselineFile::read) {
    baseline_kept = true;
  } else {
    if (branches && baseline == BaselineFile::none)
      throw InputError(options.baseline.string() + " holds no baseline to branch from; prepare it first");
    if (state == RunState::unfinished)
      log::info("{} keeps no baseline that can be read: it is computed again", options.directory.string());
    if (options.progress) options.progress(0, settings.duration, "flow, pressure and oxygen");
    patient.establish_baseline();
  }
  patient.check_balance();
  if (options.files) {
    check_field_names(deck, patient);
    for (const std::string& note : patient.notes()) log::info("{}", note);
  }

  bool resumed = false;
  if (state == RunState::unfinished || !options.files) {
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

  std::optional<RunWriter> writer;
  if (options.files) {
    RunRecord record = record_of(deck, options, settings);
    writer = state == RunState::none
                 ? RunWriter(comm, options.directory, std::move(record), patient.layout(), patient.box(),
                             patient.network_layout())
                 : RunWriter::reopen(comm, options.directory, std::move(record), patient.layout(), patient.box(),
                                     patient.network_layout(), resumed ? patient.time() : -1);
    patient.with_constants([&](std::span<const FieldOutput> fields) { writer->write_constant(fields); });
  }

  auto last_checkpoint = Clock::now();
  double writing = 0;
  const auto checkpoint = [&] {
    const auto start = Clock::now();
    // First, so that who finds a checkpoint finds the baseline too.
    if (!baseline_kept) save_baseline(comm, deck, options.directory, patient);
    baseline_kept = true;
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
    if (!writer) return;
    writer->set_series(patient.series_time(), patient.series());
    const auto& times = writer->times();
    if (times.empty() || times.back() < patient.time()) {
      patient.with_output([&](std::span<const FieldOutput> fields, std::span<const NetworkOutput> network) {
        writer->write_time(patient.time(), fields, network, settings.drugs.empty() ? 0 : patient.cycle());
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
    if (patient.at_output()) write_output();
    if (!writer || !patient.at_output()) {
      // Rank 0's clock decides for all.
      int due = seconds_since(last_checkpoint) >= settings.checkpoint_interval && settings.checkpoint_interval > 0 &&
                !patient.finished();
      MPI_Bcast(&due, 1, MPI_INT, 0, comm);
      if (due) checkpoint();
    }
    const bool stop = options.stop_requested && options.stop_requested();
    if (max_over(comm, stop ? 1 : 0) > 0 && !patient.finished()) {
      checkpoint();
      return ExitCode::stopped;
    }
  }

  Patient::Findings findings = patient.findings();
  add_cost(comm, patient, writing, seconds_since(started), memory_before, findings.summary);
  findings.summary["remarks"] = findings.remarks;
  for (const std::string& remark : findings.remarks) log::debug("{}", remark);
  if (writer) {
    patient.with_groups(
        [&](std::span<const GroupOutput> groups) { writer->finish(findings.outcome, groups, findings.summary); });
  }
  if (options.finished) options.finished(patient, findings);
  if (!options.files) remove_checkpoints(comm, options.directory, !branches);
  return ExitCode::done;
}

ExitCode prepare_baseline(MPI_Comm comm, const Deck& deck, const RunOptions& options) {
  const auto started = Clock::now();
  PatientSettings settings = patient_settings(deck);
  settings.drugs.clear();
  on_root(comm, [&] { check_writable(options.directory); });
  const double memory_before = peak_memory_bytes(comm);
  Patient patient(comm, settings);
  double writing = 0;
  if (restore_from(comm, deck, options.directory, patient) == BaselineFile::read) {
    patient.check_balance();
  } else {
    if (options.progress) options.progress(0, settings.duration, "flow, pressure and oxygen");
    patient.establish_baseline();
    patient.check_balance();
    const auto start = Clock::now();
    save_baseline(comm, deck, options.directory, patient);
    writing = seconds_since(start);
  }
  Patient::Findings findings = patient.findings();
  add_cost(comm, patient, writing, seconds_since(started), memory_before, findings.summary);
  findings.summary["remarks"] = findings.remarks;
  if (options.finished) options.finished(patient, findings);
  return ExitCode::done;
}

}  // namespace sanctuary
