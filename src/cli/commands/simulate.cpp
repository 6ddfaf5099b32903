#include "patient/simulate.hpp"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/build_info.hpp"
#include "base/comm.hpp"
#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "cohort/parameters.hpp"
#include "patient/parameters.hpp"

namespace sanctuary {
namespace {

void print_findings(MPI_Comm comm, const std::filesystem::path& directory) {
  std::string text;
  on_root(comm, [&] {
    std::ifstream file(directory / "summary.json");
    if (!file) throw IoError("cannot read " + (directory / "summary.json").string());
    const auto summary = nlohmann::json::parse(file);
    const auto& outcome = summary.at("outcome");
    const auto line = [&](const char* key, const char* label, const char* unit) {
      if (outcome.contains(key) && outcome.at(key).is_number()) {
        text += fmt::format("  {:<38} {:.4g}{}{}\n", label, outcome.at(key).get<double>(), *unit ? " " : "", unit);
      }
    };
    text += fmt::format("{}: done\n", directory.string());
    line("tumour_volume_mm3", "tumour volume", "mm3");
    line("perfused_fraction", "perfused fraction of vessel length", "");
    line("interstitial_pressure_mean_mmHg", "mean interstitial pressure", "mmHg");
    line("interstitial_pressure_rim_mmHg", "interstitial pressure of the rim", "mmHg");
    line("hypoxic_fraction", "hypoxic fraction of viable cells", "");
    line("log_kill", "log10 kill", "");
    if (summary.contains("sanctuary")) {
      for (const auto& [drug, found] : summary.at("sanctuary").items()) {
        if (!found.at("direct_effect").get<bool>()) {
          text += fmt::format("  {}: no direct effect to date (log kill of the reference cell {:.3g})\n", drug,
                              found.at("L_ref").get<double>());
          continue;
        }
        text += fmt::format("  sanctuary of {}{}: {:.1f} % of viable cells, {:.4g} mm3 (threshold {:.3g} log10{})\n",
                            drug, found.at("to_date").get<bool>() ? " to date" : "",
                            100 * found.at("s1").at("share").get<double>(),
                            found.at("s1").at("volume_mm3").get<double>(), found.at("theta").get<double>(),
                            found.at("theta_relative").get<bool>() ? ", theta_relative = true" : "");
        text += fmt::format("    delivery {:.1f} %, protection {:.1f} %, both {:.1f} %, joint {:.1f} %\n",
                            100 * found.at("delivery_share").get<double>(),
                            100 * found.at("protection_share").get<double>(),
                            100 * found.at("both_share").get<double>(), 100 * found.at("joint_share").get<double>());
      }
    }
    text += fmt::format("  fields: {}\n", (directory / "run.xdmf").string());
  });
  print_once(comm, text);
}

int run(MPI_Comm comm, const Invocation& invocation, const std::filesystem::path& deck_path,
        const std::filesystem::path& directory) {
  const Deck deck = read_patient_deck(comm, deck_path, invocation.overrides);
  if (holds_cohort(comm, directory))
    throw InputError(directory.string() + " holds a cohort: choose another folder with -o");
  std::optional<Progress> progress;
  double reached = 0;  // [h]
  RunOptions options;
  options.directory = directory;
  options.command = invocation.command_line;
  options.git_hash = build_info::git_hash();
  options.stop_requested = [] { return signal_came(); };
  options.progress = [&](double done, double all, const std::string& note) {
    if (!progress) progress.emplace(comm, "simulate", all / 3600, "h", invocation.quiet);
    reached = done / 3600;
    progress->update(reached, note);
  };
  const ExitCode code = simulate(comm, deck, options);
  if (progress && code == ExitCode::done) progress->finish();
  if (code == ExitCode::stopped)
    log::info(
        "stopped on request at {:.6g} h with everything saved: run the same command again, or `sanctuary resume {}`",
        reached, directory.string());
  if (code == ExitCode::done && !invocation.quiet) print_findings(comm, directory);
  return static_cast<int>(code);
}

}  // namespace

Deck read_patient_deck(MPI_Comm comm, const std::filesystem::path& path, const std::vector<Override>& overrides) {
  const Deck deck = read_deck(comm, path, overrides, cohort_catalogue());
  if (is_cohort_deck(deck))
    throw InputError(path.string() + ": this is the deck of a cohort: run it with `sanctuary cohort`");
  return deck.over({}, nullptr, program_catalogue());
}

std::vector<CommandOption> simulate_options() { return {}; }
std::vector<CommandOption> resume_options() { return {{"retry-failed", "", "of a cohort: does again what failed"}}; }

int run_simulate(MPI_Comm comm, const Invocation& invocation) {
  const std::filesystem::path deck = invocation.positional.at(0);
  const std::filesystem::path directory =
      invocation.output.empty() ? std::filesystem::path("out") / deck.stem() : invocation.output;
  return run(comm, invocation, deck, directory);
}

int run_resume(MPI_Comm comm, const Invocation& invocation) {
  const std::filesystem::path directory = invocation.positional.at(0);
  if (holds_cohort(comm, directory)) return resume_cohort(comm, invocation, directory);
  if (invocation.options.contains("retry-failed"))
    throw InputError(directory.string() + " holds no cohort: --retry-failed is for cohorts");
  on_root(comm, [&] {
    if (!std::filesystem::exists(directory / "deck.ini")) {
      throw InputError(directory.string() + " holds no run (no deck.ini): start one with `sanctuary simulate DECK -o " +
                       directory.string() + "`");
    }
  });
  return run(comm, invocation, directory / "deck.ini", directory);
}

}  // namespace sanctuary
