#include "patient/baseline_key.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "patient/parameters.hpp"
#include "patient/patient.hpp"
#include "support/small_patient.hpp"

namespace sanctuary {
namespace {

Deck deck_of(const std::vector<Override>& with, const std::string& drugs = small_dose) {
  return Deck::from_text(std::string(small_nodule) + drugs, ".", with, program_catalogue());
}

TEST(BaselineKey, IsThatOfThePatientNotOfTheTreatment) {
  const std::string key = baseline_key(deck_of({}));
  EXPECT_EQ(key.size(), 16U);
  EXPECT_EQ(baseline_key(deck_of({}, "")), key);
  EXPECT_EQ(baseline_key(deck_of({{"drug.doxorubicin.clearance", "50 L/h"}, {"patient.duration", "40 h"}})), key);
  EXPECT_EQ(baseline_key(deck_of({{"grid.spacing", "0.03 mm"}, {"vessel_wall.anchor", "on"}})), key);  // as it was
  EXPECT_NE(baseline_key(deck_of({{"grid.spacing", "31 um"}})), key);
  EXPECT_NE(baseline_key(deck_of({{"network.lattice.seed", "4"}})), key);
  EXPECT_NE(baseline_key(deck_of({{"outcomes.perfusion_velocity", "11 um/s"}})), key);
}

TEST(BaselineKey, NamesTheKeysThatDiffer) {
  const std::map<std::string, std::string> one{{"a", "1"}, {"b", "2"}, {"c", "3"}},
      other{{"b", "2"}, {"c", "4"}, {"d", "5"}};
  EXPECT_EQ(differing_keys(one, other), (std::vector<std::string>{"a", "c", "d"}));
  EXPECT_TRUE(differing_keys(one, one).empty());
}

/// The state before treatment as numbers: what the solves find and a baseline holds.
std::vector<double> state_of(const std::vector<Override>& with) {
  Patient patient(MPI_COMM_SELF, patient_settings(deck_of(with)));
  patient.establish_baseline();
  std::vector<double> all;
  patient.with_baseline([&](Checkpoint& point) {
    for (const CheckpointField& field : point.fields) all.insert(all.end(), field.values.begin(), field.values.end());
    for (const auto* arrays : {&point.arrays, &point.root_arrays})
      for (const auto& [name, values] : *arrays) all.insert(all.end(), values.begin(), values.end());
  });
  return all;
}

/// Every key that is left out of the baseline's, with another value: the state before treatment must stay to the last
/// bit. A key that is left out by mistake, or comes to have an effect, fails here.
TEST(BaselineKey, LeavesOutOnlyWhatChangesNothingBeforeTreatment) {
  const std::vector<Override> vessels{{"mechanisms.intermittent_flow", "on"},
                                      {"mechanisms.vessel_compression", "on"},
                                      {"solid_stress.tumour", "45 mmHg"},
                                      {"vessels.intermittency.snapshots", "4"}};
  const Deck deck = deck_of(vessels);
  const auto counted = baseline_entries(deck);
  std::vector<Override> changed = vessels;
  int left_out = 0;
  for (const Deck::Entry& entry : deck.entries()) {
    if (counted.contains(entry.key)) continue;
    ++left_out;
    if (entry.key.starts_with("drug.") || entry.key == "output.times" || entry.key == "output.fields") continue;
    const auto declared = std::find_if(program_catalogue().begin(), program_catalogue().end(),
                                       [&](const Parameter* p) { return p->key == entry.key; });
    ASSERT_NE(declared, program_catalogue().end()) << entry.key;
    const Parameter& p = **declared;
    std::string value;
    if (p.kind == Kind::flag) {
      value = deck.flag(p) ? "off" : "on";
    } else {
      const double now = std::stod(entry.value),
                   other = std::min(p.range.highest, std::max(p.range.lowest, now * 1.5 + (now == 0 ? 0.3 : 0)));
      ASSERT_NE(other, now) << entry.key;
      value = p.kind == Kind::integer ? std::to_string(std::lround(other))
                                      : std::to_string(other) + (p.unit == "1" ? "" : " " + std::string(p.unit));
    }
    changed.push_back({entry.key, value});
  }
  changed.push_back({"drug.doxorubicin.stokes_radius", "2 nm"});
  EXPECT_GT(left_out, 40);
  EXPECT_GT(changed.size(), 30U);
  EXPECT_EQ(baseline_key(deck_of(changed)), baseline_key(deck));
  EXPECT_TRUE(state_of(changed) == state_of(vessels));
}

}  // namespace
}  // namespace sanctuary
