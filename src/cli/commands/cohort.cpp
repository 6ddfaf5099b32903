#include "cohort/cohort.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "base/build_info.hpp"
#include "base/comm.hpp"
#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "cohort/parameters.hpp"
#include "io/ledger.hpp"

namespace sanctuary {
namespace {

// `2/8`: the third of eight shards.
std::pair<long, long> shard_of(const std::string& text) {
  long shard = -1, shards = 0;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, shard);
  bool good = first.ec == std::errc{} && first.ptr != end && *first.ptr == '/';
  if (good) {
    const auto second = std::from_chars(first.ptr + 1, end, shards);
    good = second.ec == std::errc{} && second.ptr == end;
  }
  if (!good || shards < 1 || shard < 0 || shard >= shards)
    throw InputError(
        fmt::format("--shard: '{}' is not understood; expected I/N with I from 0 to N - 1, as in --shard 0/8", text));
  return {shard, shards};
}

std::string end_text(const CohortResult& r) {
  std::string text = fmt::format("{}: {} done", r.directory.string(), r.done);
  if (r.rejected > 0) text += fmt::format(", {} of rejected patients", r.rejected);
  if (r.failed > 0)
    text += fmt::format(", {} failed (reasons in ledger.sqlite, decks in failed/; --retry-failed does them again)",
                        r.failed);
  if (r.pending > 0) text += fmt::format(", {} to go", r.pending);
  if (r.elapsed > 0)
    text += fmt::format("\n  {} on tasks, {:.1f} % of the workers' time", duration_text(r.elapsed), 100 * r.efficiency);
  text += "\n";
  if (!r.tables_text.empty()) text += "  " + r.tables_text + "\n";
  if (r.code == ExitCode::stopped)
    text += fmt::format(
        "  stopped on request with everything saved: run the same command again, or `sanctuary resume {}`\n",
        r.directory.string());
  return text;
}

int run(MPI_Comm comm, const Invocation& invocation, const std::filesystem::path& deck_path,
        const std::filesystem::path& directory, const std::string& shard) {
  const Deck deck = read_deck(comm, deck_path, invocation.overrides, cohort_catalogue());
  const auto has = [&](const char* option) { return invocation.options.contains(option); };
  if (has("dry-run")) {
    print_once(comm, cohort_estimate(comm, deck, size_of(comm)));
    return static_cast<int>(ExitCode::done);
  }
  CohortOptions options;
  options.directory = directory;
  options.command = invocation.command_line;
  options.git_hash = build_info::git_hash();
  options.program_version = build_info::version;
  options.extend = has("extend");
  options.retry_failed = has("retry-failed");
  options.is_shard = !shard.empty();
  if (options.is_shard) std::tie(options.shard, options.shards) = shard_of(shard);
  if (options.is_shard && has("merge")) throw InputError("--merge joins all shards; expected it without --shard");
  options.stop_requested = signal_came;
  std::optional<Progress> progress;
  options.progress = [&](const CohortProgress& p) {
    if (!progress) {
      progress.emplace(comm, "cohort", static_cast<double>(p.tasks), "tasks", invocation.quiet);
      progress->start_at(static_cast<double>(p.done_before));
    }
    std::string note = fmt::format("{} running", p.running);
    if (p.failed > 0) note += fmt::format(", {} failed", p.failed);
    if (p.rejected > 0) note += fmt::format(", {} rejected", p.rejected);
    progress->update(static_cast<double>(p.done + p.failed + p.rejected),
                     note + fmt::format(", efficiency {:.0f} %", 100 * p.efficiency), p.left);
  };
  const CohortResult result = has("merge") ? merge_cohort(comm, deck, options) : run_cohort(comm, deck, options);
  if (progress && result.code != ExitCode::stopped) progress->finish();
  if (!invocation.quiet) print_once(comm, end_text(result));
  return static_cast<int>(result.code);
}

}  // namespace

std::vector<CommandOption> cohort_options() {
  return {{"dry-run", "", "what it would take: tasks, memory, core-hours, disk; runs nothing"},
          {"extend", "", "the deck may ask for more patients or arms than the folder holds"},
          {"retry-failed", "", "does again what failed"},
          {"shard", "I/N", "does the I-th of N shares of the patients (from 0), for arrays of jobs"},
          {"merge", "", "joins the shards of a folder and writes the tables"}};
}

int run_cohort_command(MPI_Comm comm, const Invocation& invocation) {
  const std::filesystem::path deck = invocation.positional.at(0);
  const std::filesystem::path directory =
      invocation.output.empty() ? std::filesystem::path("out") / deck.stem() : invocation.output;
  const auto shard = invocation.options.find("shard");
  return run(comm, invocation, deck, directory, shard == invocation.options.end() ? "" : shard->second);
}

bool holds_cohort(MPI_Comm comm, const std::filesystem::path& directory) {
  int found = 0;
  on_root(comm, [&] { found = Ledger::exists(directory); });
  MPI_Bcast(&found, 1, MPI_INT, 0, comm);
  return found != 0;
}

int resume_cohort(MPI_Comm comm, const Invocation& invocation, const std::filesystem::path& directory) {
  std::string shard;
  on_root(comm, [&] { shard = Ledger(directory).meta("shard").value_or("whole"); });
  shard = broadcast(comm, shard);
  if (shard == "whole") return run(comm, invocation, directory / "deck.ini", directory, "");
  const auto whole = std::filesystem::absolute(directory / ".").parent_path().parent_path().parent_path();
  return run(comm, invocation, directory / "deck.ini", whole, shard);
}

}  // namespace sanctuary
