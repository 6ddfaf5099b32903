#include <fmt/format.h>

#include <algorithm>

#include "base/catalogue.hpp"
#include "base/comm.hpp"
#include "base/error.hpp"
#include "cli/commands.hpp"
#include "cohort/cohort.hpp"
#include "cohort/parameters.hpp"
#include "patient/parameters.hpp"
#include "patient/settings.hpp"

namespace sanctuary {
namespace {

// Fields, solver vectors and multigrid levels of a patient with one drug; to be replaced by the figure of the
// benchmark.
constexpr double bytes_per_cell = 1500;

std::string origin_text(const Deck::Entry& entry) {
  if (!entry.preset.empty()) return "preset " + entry.preset;
  if (entry.is_default) return "default";
  return entry.origin.line > 0 ? fmt::format("{}:{}", entry.origin.file, entry.origin.line) : entry.origin.file;
}

std::string listing(const Deck& deck) {
  const std::vector<Deck::Entry> entries = deck.entries();
  std::vector<std::string> values;
  std::size_t key_width = 0, value_width = 0;
  for (const Deck::Entry& entry : entries) {
    const bool show_unit = !entry.unit.empty() && entry.unit != "1" && !entry.value.empty();
    values.push_back(entry.value.empty() ? "\"\"" : entry.value + (show_unit ? " " + entry.unit : ""));
    key_width = std::max(key_width, entry.key.size());
    value_width = std::max(value_width, std::min<std::size_t>(values.back().size(), 40));
  }
  std::string text;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    text += fmt::format("{:<{}} = {:<{}}  # {}\n", entries[i].key, key_width, values[i], value_width,
                        origin_text(entries[i]));
  }
  return text;
}

int check_patient(MPI_Comm comm, const Deck& deck, bool quiet) {
  (void)patient_settings(deck);  // what concerns several keys at once
  std::string text = quiet ? "" : listing(deck);
  if (const double cells = grid_cells(deck); cells > 0) {
    text += fmt::format("\ncells: {:.0f}\nmemory: about {:.2g} GB ({:.1f} kB per cell, not yet measured)\n", cells,
                        cells * bytes_per_cell / 1e9, bytes_per_cell / 1e3);
  }
  text += fmt::format("{}: sound\n", deck.file());
  print_once(comm, text);
  return static_cast<int>(ExitCode::done);
}

}  // namespace

std::vector<CommandOption> check_options() { return {}; }

int run_check(MPI_Comm comm, const Invocation& invocation) {
  const Catalogue& catalogue = cohort_catalogue();
  const Deck deck = read_deck(comm, invocation.positional.front(), invocation.overrides, catalogue);
  if (is_cohort_deck(deck)) {
    const std::string estimate = cohort_estimate(comm, deck, size_of(comm));
    print_once(comm,
               (invocation.quiet ? "" : listing(deck) + "\n") + estimate + fmt::format("{}: sound\n", deck.file()));
    return static_cast<int>(ExitCode::done);
  }
  return check_patient(comm, deck.over({}, nullptr, program_catalogue()), invocation.quiet);
}

}  // namespace sanctuary
