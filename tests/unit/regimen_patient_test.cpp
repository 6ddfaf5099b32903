#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "io/checkpoint.hpp"
#include "patient/parameters.hpp"
#include "patient/patient.hpp"
#include "support/small_patient.hpp"

namespace sanctuary {
namespace {

const std::string nodule = small_nodule;
const std::string library = std::string(SANCTUARY_SOURCE_DIR) + "/decks/drugs/";

/// The nodule treated with drugs of the library.
std::string treated_with(const std::vector<std::string>& names) {
  std::string includes;
  for (const std::string& name : names) includes += "include = " + library + name + ".ini\n";
  return includes + nodule;
}

std::unique_ptr<Patient> new_patient(const std::string& text, const std::vector<Override>& changes) {
  auto patient = std::make_unique<Patient>(MPI_COMM_SELF,
                                           patient_settings(Deck::from_text(text, ".", changes, program_catalogue())));
  patient->establish_baseline();
  return patient;
}

/// A patient at the end of the run, with what was found.
struct Treated {
  std::unique_ptr<Patient> patient = {};
  nlohmann::json outcome = {}, summary = {};
  std::vector<char> tumour = {};

  [[nodiscard]] double operator[](const std::string& key) const { return outcome.at(key).get<double>(); }
  [[nodiscard]] const DrugCourse& drug(const std::string& name) const {
    for (const DrugCourse& course : patient->regimen()->courses()) {
      if (course.drug.name == name) return course;
    }
    throw std::out_of_range(name);
  }
  [[nodiscard]] BalanceEntry entry(const std::string& species, const std::string& compartment) const {
    for (const BalanceEntry& e : patient->balance()) {
      if (e.species == species && e.compartment == compartment) return e;
    }
    throw std::out_of_range(species + " in " + compartment);
  }
  /// Mean over tumour (or host) of a value of each cell.
  template <class Value>
  [[nodiscard]] double mean(bool in_tumour, const Value& value) const {
    double sum = 0, cells = 0;
    for (std::size_t c = 0; c < tumour.size(); ++c) {
      if ((tumour[c] != 0) != in_tumour) continue;
      sum += value(c);
      ++cells;
    }
    return sum / cells;
  }
  [[nodiscard]] double in_cells(const std::string& name, bool in_tumour) const {
    return mean(in_tumour, [&](std::size_t c) { return drug(name).response->in_cells(c); });
  }
  /// Mean area of the free concentration over the tumour's cells further than `least` from perfused vessels, at most
  /// `most` [m].
  [[nodiscard]] double area(const std::string& name, double least = 0, double most = 1) const {
    double sum = 0, cells = 0;
    for (std::size_t c = 0; c < tumour.size(); ++c) {
      const double distance = patient->distance_to_vessel()[c];
      if (!tumour[c] || distance < least || distance > most) continue;
      sum += drug(name).response->free_record().area[c];
      ++cells;
    }
    return sum / cells;
  }
  [[nodiscard]] std::vector<double> field(const std::string& name) const {
    std::vector<double> found;
    patient->with_output([&](std::span<const FieldOutput> fields, std::span<const NetworkOutput>) {
      for (const FieldOutput& f : fields) {
        if (f.name == name) found.assign(f.values.begin(), f.values.end());
      }
    });
    return found;
  }
};

void finish(Treated& r) {
  Patient& p = *r.patient;
  while (!p.finished()) p.advance();
  p.check_balance();
  const Patient::Findings found = p.findings();
  r.outcome = found.outcome;
  r.summary = found.summary;
  p.with_constants([&](std::span<const FieldOutput> fields) {
    for (const double t : fields.front().values) r.tumour.push_back(t > 0);
  });
}

Treated run(const std::string& text, const std::vector<Override>& changes = {}) {
  Treated r{.patient = new_patient(text, changes)};
  finish(r);
  return r;
}

std::vector<Override> operator+(std::vector<Override> one, const std::vector<Override>& other) {
  one.insert(one.end(), other.begin(), other.end());
  return one;
}

void expect_closed(const Treated& r, double allowed = 1e-8) {
  for (const BalanceEntry& e : r.patient->balance())
    EXPECT_LT(e.error, allowed) << e.species << " in " << e.compartment;
}

// Carriers and what they set free.

TEST(Conjugate, EveryAmountClosesOverACycleOfThreeWeeks) {
  const Treated r = run(treated_with({"t_dm1"}), {{"patient.duration", "21 d"}});
  expect_closed(r);
  const DrugResponse::Ledger &carrier = r.drug("t_dm1").response->ledger(), &free = r.drug("dm1").response->ledger();
  const double released = carrier.released + carrier.released_from_sites + carrier.degraded + carrier.degraded_in_cells;
  EXPECT_GT(carrier.degraded, 0);
  EXPECT_GT(carrier.released, 0);
  EXPECT_NEAR(free.set_free + free.set_free_in_cells, 3.5 * released, 1e-8 * released);
  EXPECT_NEAR(free.set_free_in_cells, 3.5 * carrier.degraded, 1e-8 * carrier.degraded);
  const BalanceEntry carriers = r.entry("dm1", "carriers");
  EXPECT_NEAR(carriers.in, 3.5 * released, 1e-12 * carriers.in);
  EXPECT_LT(carriers.error, 1e-8);
  EXPECT_LT(r.patient->steps(), 2000);
}

/// T-DM1 that lets its payload go in cells alone, none of which comes by the blood; and does not kill.
const std::vector<Override> in_cells_alone{
    {"patient.duration", "48 h"}, {"drug.t_dm1.metabolite_fraction", "0"}, {"drug.t_dm1.release_rate", "0 1/h"}},
    harmless{{"drug.dm1.emax", "0 1/h"}};

TEST(Conjugate, PayloadThatCrossesMembranesReachesBystanders) {
  const std::vector<Override> through{{"drug.dm1.passive_influx", "20 1/h"}, {"drug.dm1.passive_efflux", "20 1/h"}},
      not_through{{"drug.dm1.passive_influx", "0 1/h"}, {"drug.dm1.passive_efflux", "0 1/h"}};
  const Treated crosses = run(treated_with({"t_dm1"}), in_cells_alone + harmless + through),
                stays = run(treated_with({"t_dm1"}), in_cells_alone + harmless + not_through);
  // Host cells have no targets: what is in them was set free in others.
  EXPECT_EQ(stays.in_cells("dm1", false), 0);
  EXPECT_GT(crosses.in_cells("dm1", false), 0.01 * crosses.in_cells("dm1", true));
  EXPECT_EQ(stays["dm1_auc_umol_h_L_mean"], 0);
  EXPECT_GT(crosses["dm1_auc_umol_h_L_mean"], 0);
  // What cannot leave stays, all of it.
  EXPECT_GT(stays.in_cells("dm1", true), 2 * crosses.in_cells("dm1", true));
  const DrugResponse& dm1 = *stays.drug("dm1").response;
  EXPECT_NEAR(dm1.amount_in_cells(), 3.5 * stays.drug("t_dm1").response->ledger().degraded,
              1e-8 * dm1.amount_in_cells());
  for (const Treated* r : {&crosses, &stays}) expect_closed(*r);
}

TEST(Conjugate, PayloadThatCannotLeaveAliveComesFreeByDeath) {
  const std::vector<Override> deadly{{"drug.dm1.passive_influx", "0 1/h"}, {"drug.dm1.passive_efflux", "0 1/h"},
                                     {"drug.dm1.effect_site", "cell"},     {"drug.dm1.emax", "0.2 1/h"},
                                     {"drug.dm1.ic50", "1e-3 uM"},         {"drug.dm1.assay_duration", "24 h"}};
  const Treated r = run(treated_with({"t_dm1"}), in_cells_alone + deadly);
  EXPECT_GT(r["log_kill"], 0.1);
  EXPECT_GT(r["dm1_auc_umol_h_L_mean"], 0);
  EXPECT_GT(r.drug("dm1").response->ledger().released_by_death, 0);
  expect_closed(r);
}

TEST(Liposome, FasterReleaseInTissueGivesMoreFreeDrugThere) {
  double last = -1;
  for (const char* rate : {"0 1/h", "0.006 1/h", "0.06 1/h", "0.6 1/h"}) {
    // Nothing comes free in plasma, so that all there is comes free in the tissue.
    const Treated r = run(treated_with({"pegylated_liposomal_doxorubicin"}),
                          {{"patient.duration", "24 h"},
                           {"drug.pegylated_liposomal_doxorubicin.metabolite_fraction", "0"},
                           {"drug.pegylated_liposomal_doxorubicin.release_rate", rate}});
    const double area = r["doxorubicin_auc_umol_h_L_mean"];
    EXPECT_GT(area, last) << rate;
    EXPECT_LT(last > 0 ? area / last : 1.0, 10.5) << rate;  // at most in proportion
    last = area;
    const DrugResponse::Ledger& carrier = r.drug("pegylated_liposomal_doxorubicin").response->ledger();
    EXPECT_NEAR(r.drug("doxorubicin").response->ledger().set_free, carrier.released, 1e-8 * carrier.released);
    EXPECT_NEAR(r.entry("doxorubicin", "carriers").in, carrier.released, 1e-12 * carrier.released);
    expect_closed(r);
  }
}

// Several drugs.

/// A drug that passes membranes in proportion and kills cells in and out of cycle alike; 90 mg in all.
std::string simple_drug(const std::string& name, const std::string& more) {
  return "[drug." + name + R"(]
molar_mass = 300 g/mol
stokes_radius = 0.4 nm
lipophilic_permeability = 1e-4 cm/s
unbound_fraction = 0.5
clearance = 20 L/h
volume1 = 20 L
infusion_duration = 5 min
passive_influx = 5 1/h
passive_efflux = 20 1/h
)" + more;
}
const std::string first_drug =
                      simple_drug("first", "dose_flat = 90 mg\nemax = 0.5 1/h\nic50 = 1 uM\nassay_duration = 4 h\n"),
                  second_drug = simple_drug(
                      "second", "dose_flat = 60 mg\nemax = 0.4 1/h\nhill = 2\nic50 = 0.5 uM\nassay_duration = 4 h\n");
const std::vector<Override> closely{{"transport.relative_tolerance", "1e-4"}, {"patient.duration", "1 h"}};

TEST(Regimen, IndependentDrugsAddTheirHazardsAndLogKills) {
  const Treated both = run(nodule + first_drug + second_drug, closely), one = run(nodule + first_drug, closely),
                other = run(nodule + second_drug, closely);
  expect_closed(both);
  const std::size_t cells = both.tumour.size();
  const CellKill& kill = both.patient->regimen()->kill();
  for (const Treated* r : {&one, &other}) {
    const std::size_t d = r == &one ? 0 : 1;
    const std::string& name = r->patient->settings().drugs.front().name;
    const std::vector<double>&together = kill.hazard(d, 0), &alone = r->patient->regimen()->kill().hazard(0, 0);
    for (std::size_t c = 0; c < cells; ++c)
      ASSERT_NEAR(together[c], alone[c], 1e-3 * alone[c] + 1e-4) << name << ' ' << c;
    for (const char* form : {"_auc_umol_h_L_mean", "_auc_umol_h_L_a95"})
      EXPECT_NEAR(both[name + form], (*r)[name + form], 1e-3 * (*r)[name + form]) << name;
    EXPECT_EQ(both[name + "_plasma_auc_umol_h_L"], (*r)[name + "_plasma_auc_umol_h_L"]);
    EXPECT_FALSE(r->summary.at("sanctuary").contains("regimen"));
  }
  const std::vector<double> all = both.field("regimen_log_kill"), first = both.field("first_log_kill"),
                            second = both.field("second_log_kill"), first_alone = one.field("first_log_kill"),
                            second_alone = other.field("second_log_kill");
  ASSERT_EQ(all.size(), cells);
  for (std::size_t c = 0; c < cells; ++c) {
    ASSERT_NEAR(kill.hazard_cycling(0, c), kill.hazard(0, 0)[c] + kill.hazard(1, 0)[c], 1e-14);
    // Cells in and out of cycle die alike: then log kills add, too.
    ASSERT_NEAR(all[c], first[c] + second[c], 1e-12);
    ASSERT_NEAR(all[c], first_alone[c] + second_alone[c], 1e-3 * all[c] + 1e-4);
  }
  EXPECT_GT(both["log_kill"], 0.2);
  const auto& found = both.summary.at("sanctuary");
  for (const char* name : {"first", "second", "regimen"}) ASSERT_TRUE(found.contains(name)) << name;
  EXPECT_NEAR(both["regimen_reference_log_kill"], both["first_reference_log_kill"] + both["second_reference_log_kill"],
              1e-6);
}

TEST(Regimen, HalvesOfOneDrugInOneGroupAreTheWhole) {
  const std::string law = "emax = 6 1/h\nhill = 2\nic50 = 4 uM\nassay_duration = 1 h\n";
  const Treated whole = run(nodule + simple_drug("whole", law + "dose_flat = 90 mg\n"), closely);
  const auto halves = [&](const std::string& how) {
    const std::string half = law + "dose_flat = 45 mg\ncombination = " + how + "\n";
    return run(nodule + simple_drug("left", half) + simple_drug("right", half), closely);
  };
  const Treated loewe = halves("same"), bliss = halves("bliss");
  expect_closed(loewe);
  for (const char* form : {"_auc_umol_h_L_mean", "_auc_cells_umol_h_L_mean", "_plasma_auc_umol_h_L"}) {
    const std::string key = form;
    EXPECT_NEAR(loewe["left" + key] + loewe["right" + key], whole["whole" + key], 1e-3 * whole["whole" + key]) << key;
  }
  EXPECT_NEAR(loewe["log_kill"], whole["log_kill"], 1e-3 * whole["log_kill"]);
  EXPECT_NEAR(loewe["regimen_reference_log_kill"], whole["whole_reference_log_kill"],
              1e-6 * whole["whole_reference_log_kill"]);
  EXPECT_TRUE(loewe.summary.at("sanctuary").contains("regimen"));
  const CellKill &kill = loewe.patient->regimen()->kill(), &of_whole = whole.patient->regimen()->kill();
  for (std::size_t c = 0; c < loewe.tumour.size(); ++c)
    ASSERT_NEAR(kill.hazard_cycling(0, c), of_whole.hazard(0, 0)[c], 1e-3 * of_whole.hazard(0, 0)[c] + 1e-5) << c;
  // As independent drugs they would do less: each alone is too weak for a Hill exponent of 2.
  EXPECT_LT(bliss["log_kill"], 0.9 * whole["log_kill"]);
}

// Clones and cycles.

/// Doxorubicin that kills enough in short time for a sanctuary to be defined.
const std::vector<Override> strong{{"drug.doxorubicin.emax", "6 1/h"},
                                   {"drug.doxorubicin.ic50", "0.05 uM"},
                                   {"drug.doxorubicin.assay_duration", "0.2 h"},
                                   {"drug.doxorubicin.quiescent_factor", "1"},
                                   {"patient.duration", "1 h"}};
const std::string doxorubicin = nodule + small_dose;

TEST(Clones, ResistantCellsAreWhatSurvivesAndAProtection) {
  const std::vector<Override> some{{"tumour.resistant_share", "0.3"}, {"drug.doxorubicin.resistance_fold", "1000"}};
  const Treated none = run(doxorubicin, strong), mixed = run(doxorubicin, strong + some),
                off = run(doxorubicin, strong + some + std::vector<Override>{{"mechanisms.clone_resistance", "off"}});
  const CellKill& kill = mixed.patient->regimen()->kill();
  ASSERT_EQ(kill.clones(), 2U);
  double all = 0, resistant = 0;
  for (std::size_t c = 0; c < mixed.tumour.size(); ++c) {
    if (!mixed.tumour[c]) continue;
    all += kill.survival(c);
    resistant += kill.clone_share(1)[c] * kill.survival(1, c);
    ASSERT_LE(kill.survival(0, c), kill.survival(1, c));
  }
  EXPECT_GT(resistant / all, 0.8);
  EXPECT_GT(mixed["viable_cells"], 0.25 * mixed["viable_cells_start"]);
  EXPECT_LT(none["viable_cells"], 0.25 * none["viable_cells_start"]);
  const auto& found = mixed.summary.at("sanctuary").at("doxorubicin");
  ASSERT_TRUE(found.at("direct_effect").get<bool>());
  EXPECT_GT(mixed["doxorubicin_s4_share"], none["doxorubicin_s4_share"] + 0.5);
  EXPECT_GT(found.at("protection_share").get<double>() + found.at("both_share").get<double>(), 0.5);
  EXPECT_GT(found.at("resistant_share_in_s1").get<double>(), 0.3);
  EXPECT_NEAR(found.at("resistant_share_in_mask").get<double>(), resistant / all, 1e-9);
  // Of equal sensitivity two clones are one.
  for (const char* key : {"log_kill", "doxorubicin_s1_share", "doxorubicin_s4_share", "doxorubicin_auc_umol_h_L_mean"})
    EXPECT_NEAR(off[key], none[key], 1e-9 * std::abs(none[key])) << key;
  EXPECT_NEAR(off.summary.at("sanctuary").at("doxorubicin").at("resistant_share_in_mask").get<double>(), 0.3, 1e-9);
}

const std::vector<Override> three_doses{{"patient.duration", "0.75 h"},
                                        {"drug.doxorubicin.start_times", "0 h, 0.25 h, 0.5 h"},
                                        {"drug.doxorubicin.diffusivity", "5 um^2/s"},
                                        {"drug.doxorubicin.emax", "10 1/h"},
                                        {"drug.doxorubicin.ic50", "0.05 uM"},
                                        {"drug.doxorubicin.assay_duration", "0.2 h"}};

const std::vector<Override> three_cycles = three_doses + std::vector<Override>{{"patient.cycle", "0.25 h"}};

TEST(Cycles, EachIsFoundApartAndTheNextStartsWithTheSurvivors) {
  const Treated r = run(doxorubicin, three_cycles + std::vector<Override>{{"drug.doxorubicin.quiescent_factor", "1"}});
  EXPECT_EQ(r.patient->cycle(), 3);
  EXPECT_DOUBLE_EQ(r.patient->cycle_start(), 1800);
  const auto& sanctuary = r.summary.at("sanctuary").at("doxorubicin");
  const auto& exposure = r.summary.at("exposure").at("doxorubicin");
  ASSERT_EQ(sanctuary.at("cycles").size(), 2U);
  ASSERT_EQ(exposure.at("cycles").size(), 2U);
  // Exposure of each cycle alone; plasma areas add up to that of the whole course.
  const PatientSettings& s = r.patient->settings();
  const PlasmaKinetics plasma(s.drugs.front().plasma, s.drugs.front().doses);
  std::vector<nlohmann::json> rows(exposure.at("cycles").begin(), exposure.at("cycles").end());
  rows.push_back(exposure.at("last"));
  for (std::size_t i = 0; i < 3; ++i) {
    const auto t = 900.0 * static_cast<double>(i);
    EXPECT_NEAR(rows[i].at("plasma_auc_umol_h_L").get<double>(), plasma.area(t, t + 900) / 3.6, 1e-9);
    if (i < 2) {
      EXPECT_EQ(rows[i].at("cycle").get<int>(), static_cast<int>(i) + 1);
      EXPECT_NEAR(rows[i].at("end_h").get<double>(), 0.25 * static_cast<double>(i + 1), 1e-12);
    }
  }
  // S3 is a part of S1 of every cycle, and never grows.
  std::vector<nlohmann::json> found(sanctuary.at("cycles").begin(), sanctuary.at("cycles").end());
  found.push_back(sanctuary);
  double before = 1;
  for (const auto& row : found) {
    ASSERT_TRUE(row.at("direct_effect").get<bool>());
    const double s1 = row.at("s1").at("volume_mm3").get<double>(), s3 = row.at("s3").at("volume_mm3").get<double>();
    EXPECT_LE(s3, s1);
    EXPECT_LE(s3, before);
    before = s3;
  }
  EXPECT_GT(found.front().at("s1").at("share").get<double>(), 0.05);
  EXPECT_LT(found.front().at("s1").at("share").get<double>(), 1);
  EXPECT_EQ(found.front().at("s1").at("share"), found.front().at("s3").at("share"));
  // Cells in and out of cycle die alike: then the borders of cycles change nothing of what is left in the end.
  const Treated one = run(doxorubicin, three_doses + std::vector<Override>{{"drug.doxorubicin.quiescent_factor", "1"}});
  // (To the tolerance of the steps, which is relative to the hazard of the cycle.)
  EXPECT_NEAR(r["viable_cells"], one["viable_cells"], 1e-3 * one["viable_cells"]);
  EXPECT_FALSE(one.summary.at("sanctuary").at("doxorubicin").contains("cycles"));
  const std::vector<double>&last = r.patient->regimen()->kill().hazard(0, 0),
        &whole = one.patient->regimen()->kill().hazard(0, 0);
  double sum = 0;
  for (std::size_t c = 0; c < last.size(); ++c) {
    if (!r.tumour[c]) continue;
    ASSERT_LT(last[c], whole[c]);
    // Hazards of the cycles before are in the cells that they left.
    const double earlier = -std::log(r.patient->regimen()->kill().population().density[c] / s.tumour_density);
    ASSERT_NEAR(last[c] + earlier, whole[c], 1e-3 * whole[c]);
    sum += earlier;
  }
  EXPECT_GT(sum, 0);
  // The records of exposure, too, start anew.
  double of_last = 0, of_whole = 0;
  for (std::size_t c = 0; c < last.size(); ++c) {
    of_last += r.drug("doxorubicin").response->free_record().area[c];
    of_whole += one.drug("doxorubicin").response->free_record().area[c];
  }
  EXPECT_LT(of_last, 0.7 * of_whole);
}

TEST(Cycles, ARunThatIsInterruptedInTheSecondIsTheWhole) {
  // The second drug is strong in the first cycle and gone thereafter.
  const std::string text =
      doxorubicin +
      simple_drug("second",
                  "dose_flat = 400 mg\nemax = 10 1/h\nic50 = 5 uM\nassay_duration = 0.2 h\ndamage_delay = "
                  "0.02 h\ncell_sites = 1 uM\ncell_on_rate = 10 1/(uM h)\ncell_off_rate = 1 1/h\n"
                  "damage_repair = 0.2 1/h\n");
  const std::vector<Override> changes = three_cycles + std::vector<Override>{{"drug.second.clearance", "400 L/h"},
                                                                             {"tumour.resistant_share", "0.1"},
                                                                             {"drug.doxorubicin.resistance_fold", "9"}};
  const Treated whole = run(text, changes);
  // Less lies in S1 in the first cycle than later: what was in it before counts.
  const auto& of_both = whole.summary.at("sanctuary").at("regimen");
  ASSERT_LT(of_both.at("s3").at("share").get<double>(), 0.9 * of_both.at("s1").at("share").get<double>());
  const std::filesystem::path place = std::filesystem::path(::testing::TempDir()) / "sanctuary_cycles_checkpoint";
  std::filesystem::remove_all(place);
  {
    const auto first = new_patient(text, changes);
    while (first->time() < 0.4 * 3600) first->advance();
    ASSERT_EQ(first->cycle(), 2);
    ASSERT_LT(first->time(), 0.5 * 3600);
    first->with_checkpoint(
        [&](Checkpoint& point) { write_checkpoint(MPI_COMM_SELF, place, first->layout(), first->box(), point); });
  }
  Treated again{.patient = new_patient(text, changes)};
  Checkpoint kept;
  again.patient->with_checkpoint([&](Checkpoint& point) {
    ASSERT_TRUE(read_latest_checkpoint(MPI_COMM_SELF, place, again.patient->layout(), again.patient->box(), point));
    kept.arrays = std::move(point.arrays);
    kept.root_arrays = std::move(point.root_arrays);
    kept.state = std::move(point.state);
  });
  again.patient->restored(kept);
  ASSERT_EQ(again.patient->cycle(), 2);
  finish(again);
  std::filesystem::remove_all(place);
  int compared = 0;
  const auto compare = [&](const nlohmann::json& one, const nlohmann::json& other, const std::string& where) {
    const auto a = one.flatten(), b = other.flatten();
    ASSERT_EQ(a.size(), b.size()) << where;
    for (const auto& [key, value] : a.items()) {
      if (!value.is_number() || key.find("balance_error") != std::string::npos) continue;
      const auto expected = value.get<double>();
      EXPECT_NEAR(b.at(key).get<double>(), expected, 1e-8 * std::abs(expected) + 1e-14) << where << key;
      ++compared;
    }
  };
  compare(whole.outcome, again.outcome, "outcome");
  compare(whole.summary.at("sanctuary"), again.summary.at("sanctuary"), "sanctuary");
  compare(whole.summary.at("exposure"), again.summary.at("exposure"), "exposure");
  EXPECT_GT(compared, 200);
  EXPECT_TRUE(again.summary.at("sanctuary").at("regimen").contains("cycles"));
  expect_closed(again);
}

// Switches of what drugs meet in cells and matrix.

/// A dose that does not fill all targets.
const std::vector<Override> two_days{{"patient.duration", "48 h"}, {"drug.trastuzumab.dose_per_weight", "0.05 mg/kg"}};

TEST(DrugSwitch, TargetBinding) {
  const Treated on = run(treated_with({"trastuzumab"}), two_days),
                off = run(treated_with({"trastuzumab"}),
                          two_days + std::vector<Override>{{"mechanisms.target_binding", "off"}});
  EXPECT_GT(off["trastuzumab_auc_umol_h_L_mean"], 2 * on["trastuzumab_auc_umol_h_L_mean"]);
  EXPECT_GT(on["trastuzumab_auc_complexes_umol_h_L_mean"], on["trastuzumab_auc_umol_h_L_mean"]);
  EXPECT_FALSE(off.outcome.contains("trastuzumab_auc_complexes_umol_h_L_mean"));
  EXPECT_GT(on["log_kill"], 0);
  for (const Treated* r : {&on, &off}) expect_closed(*r);
}

TEST(DrugSwitch, DrugEfflux) {
  const std::string pumped =
      nodule + simple_drug("pumped", "dose_flat = 90 mg\nefflux_maximum = 100 uM/h\nefflux_half = 5 uM\n");
  const Treated on = run(pumped), off = run(pumped, {{"mechanisms.drug_efflux", "off"}});
  EXPECT_LT(on["pumped_auc_cells_umol_h_L_mean"], 0.7 * off["pumped_auc_cells_umol_h_L_mean"]);
  EXPECT_GT(on["pumped_auc_umol_h_L_mean"], off["pumped_auc_umol_h_L_mean"]);  // what cells do not hold is free
  for (const Treated* r : {&on, &off}) expect_closed(*r);
}

TEST(DrugSwitch, DrugSink) {
  const std::vector<Override> free{{"mechanisms.drug_sink", "off"}};
  const Treated on = run(doxorubicin), off = run(doxorubicin, free);
  EXPECT_GT(off["doxorubicin_auc_umol_h_L_mean"], 1.5 * on["doxorubicin_auc_umol_h_L_mean"]);
  EXPECT_GT(off["doxorubicin_auc_cells_umol_h_L_mean"], on["doxorubicin_auc_cells_umol_h_L_mean"]);
  const Treated held = run(treated_with({"trastuzumab"}), two_days),
                through = run(treated_with({"trastuzumab"}), two_days + free);
  EXPECT_GT(through["trastuzumab_auc_umol_h_L_mean"], 2 * held["trastuzumab_auc_umol_h_L_mean"]);
  EXPECT_GT(through["trastuzumab_auc_complexes_umol_h_L_mean"], held["trastuzumab_auc_complexes_umol_h_L_mean"]);
  for (const Treated* r : {&on, &off, &held, &through}) expect_closed(*r);
}

/// A carrier of 10 nm with sites in the matrix.
std::string with_sites(const std::string& name, const std::string& more) {
  return "[drug." + name + R"(]
molar_mass = 1e5 g/mol
stokes_radius = 10 nm
unbound_fraction = 1
clearance = 1 L/h
volume1 = 5 L
dose_flat = 100 mg
infusion_duration = 5 min
binding_sites = 20 uM
binding_on_rate = 0.01 1/(uM s)
binding_off_rate = 1e-2 1/s
)" + more;
}

TEST(MatrixSites, OfACationicCarrierGoWithHyaluronanAndHoldItsFrontBack) {
  const std::string both =
      nodule + with_sites("charged", "charge = cationic\n") + with_sites("neutral", "charge = neutral\n");
  // Hyaluronan by its charges alone: it neither hinders diffusion nor flow.
  const std::vector<Override> by_charge{
      {"patient.duration", "6 h"}, {"mechanisms.hindered_diffusion", "off"}, {"mechanisms.matrix_conductivity", "off"}};
  const Treated poor = run(both, by_charge),
                rich = run(both, by_charge + std::vector<Override>{{"matrix.hyaluronan.tumour", "5"}});
  EXPECT_NEAR(poor["charged_auc_umol_h_L_mean"], poor["neutral_auc_umol_h_L_mean"],
              1e-9 * poor["neutral_auc_umol_h_L_mean"]);
  EXPECT_LT(rich["charged_auc_umol_h_L_mean"], 0.8 * poor["charged_auc_umol_h_L_mean"]);
  EXPECT_NEAR(rich["neutral_auc_umol_h_L_mean"], poor["neutral_auc_umol_h_L_mean"],
              1e-3 * poor["neutral_auc_umol_h_L_mean"]);
  // The front: what is far from vessels falls by more than what is near them.
  constexpr double near = 25e-6, far = 50e-6;
  EXPECT_LT(rich.area("charged", far) / poor.area("charged", far),
            0.9 * rich.area("charged", 0, near) / poor.area("charged", 0, near));
  for (const Treated* r : {&poor, &rich}) expect_closed(*r);
}

TEST(WallCharge, RaisesTheFluxThroughTheWall) {
  const std::string plain = nodule + with_sites("carrier", "");
  // Without what filtration carries, of which a wall that reflects little lets all pass already.
  const std::vector<Override> soon{{"patient.duration", "6 min"}, {"mechanisms.filtration", "off"}};
  const Treated once = run(plain, soon),
                twice = run(plain, soon + std::vector<Override>{{"drug.carrier.wall_charge_factor", "2"}}),
                by_class = run(plain, soon + std::vector<Override>{{"drug.carrier.class", "cationic_carrier"}});
  EXPECT_NEAR(twice["carrier_wall_permeability_cm_s"], 2 * once["carrier_wall_permeability_cm_s"],
              1e-12 * twice["carrier_wall_permeability_cm_s"]);
  const auto flux = [](const Treated& r) { return r.drug("carrier").transport->ledger().exchanged_in; };
  EXPECT_GT(flux(twice), 1.9 * flux(once));
  EXPECT_LT(flux(twice), 2.001 * flux(once));
  EXPECT_EQ(flux(by_class), flux(twice));  // the class brings the factor
}

// Penetration of probes that bind to nothing.

struct Probe {
  const char *name, *mass, *radius;
};
/// Dextrans of 3, 10, 70 and 2000 kDa and particles of 100 nm, all of one plasma course.
constexpr std::array probes{Probe{"dextran_3", "3e3", "1.4"}, Probe{"dextran_10", "1e4", "2.3"},
                            Probe{"dextran_70", "7e4", "6.5"}, Probe{"dextran_2000", "2e6", "27"},
                            Probe{"particle", "1e8", "50"}};
std::string with_probes() {
  std::string text = nodule;
  for (const Probe& p : probes) {
    text += std::string("[drug.") + p.name + "]\nmolar_mass = " + p.mass + " g/mol\nstokes_radius = " + p.radius +
            " nm\nunbound_fraction = 1\nclearance = 0.5 L/h\nvolume1 = 3 L\ndose_flat = 100 mg\n"
            "infusion_duration = 5 min\n";
  }
  return text;
}

TEST(Penetration, ByDiffusionFallsWithSize) {
  const Treated r =
      run(with_probes(), {{"patient.duration", "2 h"}, {"patient.kind", "interior"}, {"mechanisms.filtration", "off"}});
  expect_closed(r);
  double mean = 1, far = 1, depth = 1;
  for (const Probe& p : probes) {
    const std::string name = p.name;
    const double plasma = r[name + "_plasma_auc_umol_h_L"], of_mean = r[name + "_auc_umol_h_L_mean"] / plasma,
                 of_far = r.area(name, 50e-6) / 3.6 / plasma, of_near = r.area(name, 0, 25e-6) / 3.6 / plasma;
    EXPECT_LT(of_mean, mean) << name;
    EXPECT_LT(of_far, far) << name;
    EXPECT_LT(of_far / of_near, depth) << name;
    EXPECT_GT(of_far, 0) << name;
    std::printf("%s: %.4g of the plasma area on the mean, %.4g beyond 50 um\n", p.name, of_mean, of_far);
    mean = of_mean;
    far = of_far;
    depth = of_far / of_near;
  }
}

TEST(Penetration, ByFiltrationIsWhatTheWallDoesNotHoldBack) {
  const Treated r = run(with_probes(), {{"patient.duration", "1 h"}});
  expect_closed(r);
  // Diffusion through the wall adds next to nothing to what filtration carries of large solutes, and mature vessels of
  // the host hold them back.
  double filtrated = 0;
  const std::vector<double>& leak = r.patient->fluid().blood.leak;
  for (std::size_t p = 0; p < leak.size(); ++p) {
    if (r.tumour[r.patient->network()->piece_cell()[p]]) filtrated += std::max(leak[p], 0.0);
  }
  for (const std::string name : {"dextran_2000", "particle"}) {
    const double expected = filtrated * (1 - r[name + "_wall_reflection"]) * r[name + "_plasma_auc_umol_h_L"] * 3.6;
    const double found = r.drug(name).transport->ledger().exchanged_in;
    EXPECT_NEAR(found, expected, 0.05 * expected) << name;
  }
}

TEST(Penetration, OfParticlesInAnInteriorThatFiltersAndTakesBack) {
  const Treated r = run(with_probes(), {{"patient.duration", "0.5 h"}, {"patient.kind", "interior"}});
  expect_closed(r);
  EXPECT_LT(r.patient->steps(), 100);
  for (const Probe& p : probes)
    EXPECT_LT(r[std::string(p.name) + "_auc_umol_h_L_mean"], r[std::string(p.name) + "_plasma_auc_umol_h_L"]);
}

TEST(Penetration, WithoutConvectionNothingPilesUpBehindTheWall) {
  const Treated r = run(with_probes(), {{"patient.duration", "2 h"}, {"mechanisms.convection", "off"}});
  expect_closed(r);
  for (const Probe& p : probes) {
    const double highest = r.mean(true, [&](std::size_t c) { return r.drug(p.name).response->free_record().area[c]; });
    EXPECT_LT(highest / 3.6, r[std::string(p.name) + "_plasma_auc_umol_h_L"]) << p.name;
  }
}

}  // namespace
}  // namespace sanctuary
