#include "cohort/parameters.hpp"

#include "patient/parameters.hpp"

namespace sanctuary {

const Catalogue& cohort_parameters() {
  static const Catalogue list{&cohort::patients,
                              &cohort::seed,
                              &cohort::design,
                              &cohort::geometries,
                              &cohort::share_baseline,
                              &cohort::group_width,
                              &cohort::cells_per_rank,
                              &cohort::attempts,
                              &cohort::time_budget,
                              &cohort::memory_budget,
                              &cohort::keep_runs,
                              &cohort::weight_moments,
                              &cohort::sensitivity,
                              &vary::correlate,
                              &vary::key,
                              &plausible::key,
                              &target::key,
                              &arm::label,
                              &arm::deck,
                              &arm::key};
  return list;
}

const Catalogue& cohort_catalogue() {
  static const Catalogue all = [] {
    Catalogue list = program_catalogue();
    list.insert(list.end(), cohort_parameters().begin(), cohort_parameters().end());
    return list;
  }();
  return all;
}

bool is_cohort_deck(const Deck& deck) {
  for (const Parameter* p : cohort_parameters()) {
    const bool of_arm = p->key.starts_with("arm.");
    if (p->kind == Kind::open ? !of_arm && !deck.open(*p).empty() : !of_arm && deck.given(*p)) return true;
  }
  return !deck.names("arm").empty();
}

}  // namespace sanctuary
