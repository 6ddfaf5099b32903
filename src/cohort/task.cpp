#include "cohort/task.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <new>
#include <nlohmann/json.hpp>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "cohort/parameters.hpp"
#include "patient/simulate.hpp"

namespace sanctuary {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double size = 0, resident = 0;
  if (!(file >> size >> resident)) return 0;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// A task that took more than its cohort allows.
struct OverBudget : Error {
  explicit OverBudget(const std::string& what) : Error(ExitCode::numerics, what) {}
};

json written(const Cells& cells) {
  json object = json::object();
  for (const auto& [name, cell] : cells) {
    if (const auto* number = std::get_if<double>(&cell)) object[name] = *number;
    if (const auto* text = std::get_if<std::string>(&cell)) object[name] = *text;
  }
  return object;
}

Cells read(const json& object) {
  Cells cells;
  for (const auto& [name, value] : object.items()) {
    if (value.is_string()) {
      cells[name] = value.get<std::string>();
    } else {
      cells[name] = value.get<double>();
    }
  }
  return cells;
}

void add_sanctuary(const json& summary, Cells& endpoints) {
  if (!summary.contains("sanctuary") || summary.at("sanctuary").empty()) return;
  const json& all = summary.at("sanctuary");
  const json& found = all.contains("regimen") ? all.at("regimen") : all.front();
  if (!found.value("direct_effect", false)) return;
  endpoints["sanctuary_share"] = found.at("s1").at("share").get<double>();
  endpoints["sanctuary_volume_mm3"] = found.at("s1").at("volume_mm3").get<double>();
  for (const char* cause : {"delivery_share", "protection_share", "both_share", "joint_share"})
    endpoints[std::string("sanctuary_") + cause] = found.at(cause).get<double>();
}

/// Work of the program, not of the tumour: differs between ranks and versions.
bool is_outcome(const std::string& name) {
  return name != "steps" && name != "steps_rejected" && name != "undershoot" && !name.starts_with("worst_balance");
}

void take_findings(const Patient& patient, const Patient::Findings& findings, bool is_baseline, TaskReport& report) {
  for (const auto& [name, value] : findings.outcome.items()) {
    if (value.is_number() && is_outcome(name)) report.endpoints[name] = value.get<double>();
  }
  if (is_baseline) return;
  add_sanctuary(findings.summary, report.endpoints);
  const std::vector<double>& time = patient.series_time();
  for (const double due : patient.settings().output_times) {
    const auto at = std::lower_bound(time.begin(), time.end(), due - 1e-9 * std::abs(due));
    if (at == time.end() || std::abs(*at - due) > 1e-6 * std::max(1.0, due)) continue;
    const auto row = static_cast<std::size_t>(at - time.begin());
    Cells visit{{"day", due / 86400}};
    for (const auto& [name, column] : patient.series()) {
      if (name == "step" || row >= column.values.size()) continue;
      visit[name + (column.unit == "1" || column.unit.empty() ? "" : " [" + column.unit + "]")] = column.values[row];
    }
    report.visits.push_back(std::move(visit));
  }
}

/// What is wrong with the deck's [plausible] where it names an endpoint that is not there; empty if nothing.
std::string unknown_endpoint(const CohortPlan& plan, const Cells& endpoints) {
  for (const Plausibility& bound : plan.plausible()) {
    if (endpoints.contains(bound.endpoint)) continue;
    std::string names;
    for (const auto& [name, cell] : endpoints) names += (names.empty() ? "" : ", ") + name;
    return fmt::format("[plausible] {}: no such endpoint before treatment; expected one of {}", bound.endpoint, names);
  }
  return {};
}

std::string implausible(const CohortPlan& plan, const Cells& endpoints) {
  std::string reason;
  for (const Plausibility& bound : plan.plausible()) {
    const double value = std::get<double>(endpoints.at(bound.endpoint));
    if (value >= bound.lowest && value <= bound.highest) continue;
    reason += fmt::format("{}{} = {:.6g} outside [{:g}, {:g}]", reason.empty() ? "" : "; ", bound.endpoint, value,
                          bound.lowest, bound.highest);
  }
  return reason;
}

}  // namespace

std::string packed(const TaskOrder& order) {
  std::string bytes(sizeof order, '\0');
  std::memcpy(bytes.data(), &order, sizeof order);
  return bytes;
}

TaskOrder unpacked(std::string_view bytes) {
  TaskOrder order;
  std::memcpy(&order, bytes.data(), sizeof order);
  return order;
}

std::string packed(const TaskReport& r) {
  json visits = json::array();
  for (const Cells& visit : r.visits) visits.push_back(written(visit));
  const json all{{"status", r.status},         {"reason", r.reason}, {"deck", r.deck},
                 {"ranks", r.ranks},           {"wall", r.wall},     {"cpu", r.cpu},
                 {"memory", r.memory},         {"host", r.host},     {"endpoints", written(r.endpoints)},
                 {"visits", std::move(visits)}};
  std::string bytes;
  json::to_cbor(all, bytes);
  return bytes;
}

TaskReport report_from(std::string_view bytes) {
  const json all = json::from_cbor(bytes);
  TaskReport r;
  r.status = all.at("status").get<std::string>();
  r.reason = all.at("reason").get<std::string>();
  r.deck = all.at("deck").get<std::string>();
  r.ranks = all.at("ranks").get<int>();
  r.wall = all.at("wall").get<double>();
  r.cpu = all.at("cpu").get<double>();
  r.memory = all.at("memory").get<double>();
  r.host = all.at("host").get<std::string>();
  r.endpoints = read(all.at("endpoints"));
  for (const json& visit : all.at("visits")) r.visits.push_back(read(visit));
  return r;
}

std::filesystem::path work_folder(const std::filesystem::path& directory, long patient, const std::string& variant) {
  return directory / "work" / std::to_string(patient / 1000) / std::to_string(patient) / variant;
}

std::filesystem::path run_folder(const std::filesystem::path& directory, long patient, const std::string& variant) {
  return directory / "runs" / std::to_string(patient) / variant;
}

TaskReport run_task(MPI_Comm group, const TaskSetting& setting, const TaskOrder& order,
                    const std::function<bool()>& stop_requested) {
  const auto start = Clock::now();
  const double cpu_before = cpu_seconds();
  const CohortPlan& plan = *setting.plan;
  const Variant& variant = plan.variants()[order.variant];
  const double time_budget = plan.deck().number(cohort::time_budget);
  const double memory_budget = plan.deck().number(cohort::memory_budget) / 8;  // UDUNITS counts bits
  MPI_Comm failures = MPI_COMM_NULL;  // keeps ranks that fail from matching the collectives of those that work
  MPI_Comm_dup(group, &failures);
  TaskReport report;
  report.ranks = size_of(group);
  double memory = 0;
  std::string deck_text;
  const auto end = [&](const char* status, const std::string& reason) {
    report.status = status;
    report.reason = reason;
    report.deck = deck_text;
  };
  const auto failed = [&](const char* status, const std::string& reason) {
    constexpr double patience = 30;  // [s]
    if (!all_arrive(failures, patience)) {
      std::fprintf(stderr, "sanctuary: patient %ld, %s: one rank failed alone: %s\n", order.patient,
                   variant.name.c_str(), reason.c_str());
      MPI_Abort(group, static_cast<int>(ExitCode::numerics));
    }
    end(status, reason);
  };
  try {
    Deck deck;
    together(group, [&] { deck = plan.deck_of(order.patient, order.variant); });
    deck_text = deck.resolved();
    RunOptions options;
    options.command = setting.command;
    options.git_hash = setting.git_hash;
    options.files = !variant.is_baseline && plan.deck().text(cohort::keep_runs) == "all";
    options.directory = options.files ? run_folder(setting.directory, order.patient, variant.name)
                                      : work_folder(setting.directory, order.patient, variant.name);
    if (variant.parent >= 0 && plan.deck().flag(cohort::share_baseline)) {
      const auto baseline =
          work_folder(setting.directory, order.patient, plan.variants()[static_cast<std::size_t>(variant.parent)].name);
      int there = 0;
      on_root(group, [&] { there = std::filesystem::exists(baseline / "checkpoints" / "baseline.h5"); });
      MPI_Bcast(&there, 1, MPI_INT, 0, group);
      if (there) options.baseline = baseline;  // else it is computed again
    }
    options.stop_requested = [&] { return stop_requested() || (setting.stop_requested && setting.stop_requested()); };
    const auto within_budget = [&] {
      memory = std::max(memory, resident_bytes());
      if (time_budget > 0 && max_over(group, seconds_since(start)) > time_budget)
        throw OverBudget(fmt::format("over its time budget of {:g} h (cohort.time_budget)", time_budget / 3600));
      if (memory_budget > 0 && sum_over(group, resident_bytes()) > memory_budget)
        throw OverBudget(fmt::format("over its memory budget of {:g} GB (cohort.memory_budget)", memory_budget / 1e9));
    };
    options.after_step = [&](Patient&) { within_budget(); };
    std::string reason, fault;
    options.finished = [&](const Patient& patient, const Patient::Findings& findings) {
      within_budget();
      take_findings(patient, findings, variant.is_baseline, report);
      if (!variant.is_baseline) return;
      fault = unknown_endpoint(plan, report.endpoints);
      if (fault.empty()) reason = implausible(plan, report.endpoints);
    };
    // A run that was whole when the program died, before the ledger knew, gives its findings once more.
    if (options.files) on_root(group, [&] { remove_file(options.directory / "summary.json"); });
    const ExitCode code = variant.is_baseline ? prepare_baseline(group, deck, options) : simulate(group, deck, options);
    if (code == ExitCode::stopped) {
      end("interrupted", "");
    } else if (!fault.empty()) {
      end("deck", fault);
    } else if (!reason.empty()) {
      end("rejected", reason);
    } else {
      end("done", "");
    }
  } catch (const IoError& error) {
    failed("io", error.what());
  } catch (const std::bad_alloc&) {
    failed("failed", "out of memory");
  } catch (const std::exception& error) {
    failed("failed", error.what());
  }
  report.memory = sum_over(group, std::max(memory, resident_bytes()));
  report.cpu = sum_over(group, cpu_seconds() - cpu_before);
  report.wall = seconds_since(start);
  std::string host(256, '\0');
  (void)::gethostname(host.data(), host.size() - 1);
  report.host = host.c_str();
  MPI_Comm_free(&failures);
  return report;
}

}  // namespace sanctuary
