#include "patient/baseline_key.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "io/checkpoint.hpp"

namespace sanctuary {
namespace {

/// Keys that cannot change the state before treatment; a name that ends in a dot stands for all keys that begin with
/// it. What is not listed here counts: a new key is safe, at worst it keeps arms from sharing.
constexpr auto without_effect = std::to_array<std::string_view>(
    {// drugs, how much of them a patient's body clears, and how their course is computed
     "drug.", "transport.", "patient.body_weight", "patient.body_surface_area", "patient.glomerular_filtration",
     "patient.albumin", "patient.variability",
     // what drugs meet in the tissue
     "tumour.resistant_share", "mechanisms.convection", "mechanisms.hindered_diffusion",
     "mechanisms.wall_size_selectivity", "mechanisms.intravascular_depletion", "mechanisms.cellular_uptake",
     "mechanisms.matrix_binding", "mechanisms.target_binding", "mechanisms.drug_efflux", "mechanisms.drug_sink",
     "mechanisms.clone_resistance",
     // cycling shares follow from oxygen
     "cycling.", "mechanisms.quiescence",
     // how long the run is, what is written, what is made of it (perfusion_velocity and rim_width count: the perfused
     // fraction of open vessels is part of the state, the pressure of the rim an endpoint of it)
     "patient.duration", "patient.cycle", "output.", "tumour.doubling_time", "outcomes.viable_mask",
     "outcomes.smallest_region", "outcomes.histogram_bins"});

bool counts(const std::string& key) {
  return std::none_of(without_effect.begin(), without_effect.end(),
                      [&](std::string_view name) { return name.ends_with('.') ? key.starts_with(name) : key == name; });
}

}  // namespace

std::map<std::string, std::string> baseline_entries(const Deck& deck) {
  std::map<std::string, std::string> entries;
  for (const Deck::Entry& entry : deck.entries()) {
    if (counts(entry.key)) entries[entry.key] = entry.value;
  }
  return entries;
}

std::string baseline_key(const Deck& deck) {
  std::string text;
  for (const auto& [key, value] : baseline_entries(deck)) text += key + " = " + value + "\n";
  return text_hash(text);
}

std::vector<std::string> differing_keys(const std::map<std::string, std::string>& one,
                                        const std::map<std::string, std::string>& other) {
  std::vector<std::string> keys;
  const auto missing = [](const auto& entries, const auto& entry) {
    const auto found = entries.find(entry.first);
    return found == entries.end() || found->second != entry.second;
  };
  for (const auto& entry : one) {
    if (missing(other, entry)) keys.push_back(entry.first);
  }
  for (const auto& entry : other) {
    if (!one.contains(entry.first)) keys.push_back(entry.first);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace sanctuary
