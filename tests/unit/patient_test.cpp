#include "patient/patient.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "patient/parameters.hpp"
#include "support/small_patient.hpp"
#include "therapy/plasma_kinetics.hpp"

namespace sanctuary {
namespace {

constexpr double mmhg = 133.322387415;

/// A particle of 50 nm across that neither enters cells nor crosses membranes, of steady plasma level.
constexpr const char* carrier = R"(
[drug.carrier]
molar_mass = 1e6 g/mol
stokes_radius = 25 nm
lipophilic_permeability = 0 cm/s
unbound_fraction = 1
clearance = 0.1 L/h
volume1 = 3 L
flow2 = 0 L/h
flow3 = 0 L/h
dose_flat = 100 mg
infusion_duration = 5 min
start_times = 0 h
uptake_maximum = 0 fg/min
)";

PatientSettings settings_of(const std::string& text, const std::vector<Override>& changes = {}) {
  return patient_settings(Deck::from_text(text, ".", changes, program_catalogue()));
}

/// A patient brought to the end of the run, and what was found.
struct Treated {
  std::unique_ptr<Patient> patient;
  nlohmann::json outcome;
  std::vector<double> pressure, po2, tumour;  ///< of each cell [mmHg]; 1 in the tumour
  [[nodiscard]] double operator[](const std::string& key) const { return outcome.at(key).get<double>(); }
  [[nodiscard]] double mean_pressure(bool in_tumour) const {
    double sum = 0, cells = 0;
    for (std::size_t c = 0; c < pressure.size(); ++c) {
      if ((tumour[c] > 0) != in_tumour) continue;
      sum += pressure[c];
      ++cells;
    }
    return sum / cells;
  }
  /// Standard deviation of the haematocrit over the pieces through which blood flows.
  [[nodiscard]] double haematocrit_spread() const {
    const BloodFlow& b = patient->fluid().blood;
    double most = 0, n = 0, sum = 0, squares = 0;
    for (const double q : b.flow) most = std::max(most, std::abs(q));
    for (std::size_t p = 0; p < b.flow.size(); ++p) {
      if (std::abs(b.flow[p]) < 1e-3 * most) continue;
      ++n;
      sum += b.haematocrit[p];
      squares += b.haematocrit[p] * b.haematocrit[p];
    }
    return std::sqrt(std::max(squares / n - sum * sum / (n * n), 0.0));
  }
};

Treated run(const std::string& text, const std::vector<Override>& changes = {}) {
  Treated r;
  r.patient = std::make_unique<Patient>(MPI_COMM_SELF, settings_of(text, changes));
  Patient& p = *r.patient;
  p.establish_baseline();
  while (!p.finished()) p.advance();
  p.check_balance();
  r.outcome = p.findings().outcome;
  const ReadAccess pressure(p.fluid().pressure.get()), po2(p.oxygen().cells.get());
  p.with_constants([&](std::span<const FieldOutput> fields) {
    for (const double t : fields.front().values) r.tumour.push_back(t);
  });
  for (std::size_t c = 0; c < r.tumour.size(); ++c) {
    r.pressure.push_back(pressure[c] / mmhg);
    r.po2.push_back(po2[c] / mmhg);
  }
  return r;
}

/// The undisturbed runs that the switches are compared with; made when first asked for, gone before PETSc is.
std::unique_ptr<Treated> doxorubicin_run, carrier_run;
const Treated& with_doxorubicin() {
  if (!doxorubicin_run) doxorubicin_run = std::make_unique<Treated>(run(std::string(small_nodule) + small_dose));
  return *doxorubicin_run;
}
const Treated& with_carrier() {
  if (!carrier_run) carrier_run = std::make_unique<Treated>(run(std::string(small_nodule) + carrier));
  return *carrier_run;
}
/// The same with one switch, or more values, changed.
Treated doxorubicin_with(const std::vector<Override>& changes) {
  return run(std::string(small_nodule) + small_dose, changes);
}
Treated carrier_with(const std::vector<Override>& changes) { return run(std::string(small_nodule) + carrier, changes); }

constexpr const char* free_area = "doxorubicin_auc_umol_h_L_mean";
constexpr const char* carrier_area = "carrier_auc_umol_h_L_mean";

class PatientTest : public ::testing::Test {
 protected:
  static void TearDownTestSuite() {
    doxorubicin_run.reset();
    carrier_run.reset();
  }
};

TEST_F(PatientTest, LedgersCloseFarBelowWhatIsAllowed) {
  for (const Treated* r : {&with_doxorubicin(), &with_carrier()}) {
    int entries = 0;
    for (const BalanceEntry& e : r->patient->balance()) {
      EXPECT_LT(e.error, 1e-9) << e.species << " in " << e.compartment;
      EXPECT_GT(e.allowed, 0);
      ++entries;
    }
    EXPECT_EQ(entries, 8);
    EXPECT_NO_THROW(r->patient->check_balance());
  }
}

TEST_F(PatientTest, ALostAmountFailsTheBalanceAndIsNamed) {
  Patient p(MPI_COMM_SELF, settings_of(std::string(small_nodule) + small_dose, {{"patient.duration", "0.15 h"}}));
  p.establish_baseline();
  for (int i = 0; i < 5; ++i) p.advance();
  EXPECT_NO_THROW(p.check_balance());
  petsc(VecScale(p.regimen()->courses()[0].transport->cells(), 0.0));
  const auto failure = [&] {
    try {
      p.check_balance();
    } catch (const NumericsError& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(failure().find("doxorubicin in interstitium"), std::string::npos) << failure();
  while (!p.finished()) p.advance();  // what was lost stays lost
  EXPECT_NE(failure().find("doxorubicin in interstitium"), std::string::npos) << failure();
}

TEST_F(PatientTest, AChangeInTheBloodFailsTheBalanceOfTheNetwork) {
  Patient p(MPI_COMM_SELF, settings_of(std::string(small_nodule) + small_dose, {{"patient.duration", "0.1 h"}}));
  p.establish_baseline();
  for (int i = 0; i < 5; ++i) p.advance();
  petsc(VecScale(p.regimen()->courses()[0].transport->network(), 1.01));
  EXPECT_THROW(p.check_balance(), NumericsError);
}

TEST_F(PatientTest, WithoutDrugOrVesselsStillHasABaseline) {
  const Treated r = run(small_nodule, {{"network.source", "none"}});
  EXPECT_NEAR(r.mean_pressure(true), 0, 1e-9);  // host pressure all through: nothing leaks
  EXPECT_EQ(r["viable_cells"], r["viable_cells_start"]);
  EXPECT_LT(r["oxygen_pressure_mean_mmHg"], 40);  // from the host alone
}

TEST_F(PatientTest, ALateBolusStartsFromNothing) {
  Patient p(MPI_COMM_SELF,
            settings_of(std::string(small_nodule) + small_dose, {{"drug.doxorubicin.start_times", "0.1 h, 0.2 h"},
                                                                 {"drug.doxorubicin.infusion_duration", "0 h"},
                                                                 {"patient.duration", "0.3 h"}}));
  p.establish_baseline();
  double before = -1, between = 0;
  while (!p.finished()) {
    p.advance();
    p.check_balance();
    const double free = p.series().at("doxorubicin_free_mean").values.back();
    if (p.time() < 300) before = free;
    if (p.time() <= 0.2 * 3600) between = free;
  }
  EXPECT_NEAR(before, 0, 1e-12);
  EXPECT_GT(between, 1e-3);
  EXPECT_GT(p.series().at("doxorubicin_free_mean").values.back(), between);
  EXPECT_LT(p.findings().outcome.at("steps_rejected").get<double>(), 100);
  for (const BalanceEntry& e : p.balance()) EXPECT_LT(e.error, 1e-9) << e.species << " in " << e.compartment;
}

TEST_F(PatientTest, TumourVolumeAndCellsAreThoseOfTheNodule) {
  const Treated& r = with_doxorubicin();
  const double volume = 4.0 / 3 * std::numbers::pi * std::pow(0.15, 3);
  EXPECT_NEAR(r["tumour_volume_mm3"], volume, 0.1 * volume);
  EXPECT_NEAR(r["viable_cells_start"], r["tumour_volume_mm3"] * 1e6, 1e-6 * r["viable_cells_start"]);
  EXPECT_LT(r["viable_cells"], r["viable_cells_start"]);
  EXPECT_NEAR(r["log_kill"], -std::log10(r["viable_cells"] / r["viable_cells_start"]), 1e-12);
}

TEST_F(PatientTest, FiltrationIsAnchoredToTheDeclaredProduct) {
  const std::string text = std::string(small_nodule) + "[vessel_wall]\nanchor = on\n";
  const std::vector<Override> interior{{"patient.kind", "interior"}};
  const Treated r = run(text, interior);
  const CutNetwork& cut = r.patient->network()->network();
  const PatientSettings& s = r.patient->settings();
  double conductance = 0;
  for (std::size_t p = 0; p < cut.pieces(); ++p) {
    conductance += wall_conductivity(s.wall.wall, 0) * 2 * std::numbers::pi * cut.piece_radius(p) * cut.piece_length[p];
  }
  const double anchored = r["filtration_anchor_tumour"] * conductance / std::pow(360e-6, 3);
  EXPECT_NEAR(anchored * mmhg, 2.8e-7 * 200, 1e-9 * 5.6e-5);
  EXPECT_NEAR(r.patient->fluid().filtration, 0, 1e-9 * r.patient->fluid().filtration_out);  // interior: no way out
  EXPECT_EQ(run(text, {{"patient.kind", "interior"}, {"vessel_wall.anchor", "off"}})["filtration_anchor_tumour"], 1);
}

TEST_F(PatientTest, PlasmaOfTheTumourLeavesByVesselsOrThroughTheirWalls) {
  const Treated r = run(small_nodule);
  const Patient::TumourFluid tumour = r.patient->tumour_fluid();
  EXPECT_NEAR(tumour.plasma_in - tumour.plasma_out, tumour.filtration, 1e-9 * tumour.plasma_in);
  EXPECT_GT(tumour.filtration, 0);
  EXPECT_LT(tumour.plasma_in, tumour.blood_in);
  EXPECT_NEAR(tumour.mass, r["tumour_volume_mm3"] * 1.05e-6, 1e-12);
  // By hand: m^3/s over kg, 1e6 ml per m^3, 1e3 g per kg, 3600 s per h.
  EXPECT_NEAR(r["tumour_filtration_ml_h_g"], tumour.filtration / tumour.mass * 1e6 / 1e3 * 3600,
              1e-9 * r["tumour_filtration_ml_h_g"]);
  // The host's vessels lose some, too.
  EXPECT_LT(tumour.filtration, r.patient->fluid().filtration);
}

TEST_F(PatientTest, AnInteriorPieceIsTumourAlone) {
  const Treated r = run(small_nodule, {{"patient.kind", "interior"}});
  const Patient::TumourFluid tumour = r.patient->tumour_fluid();
  const FluidState& fluid = r.patient->fluid();
  EXPECT_NEAR(tumour.plasma_in, fluid.plasma_inflow, 1e-9 * fluid.plasma_inflow);
  EXPECT_NEAR(tumour.filtration, 0, 1e-9 * fluid.filtration_out);
  EXPECT_GT(fluid.filtration_out, 0);
}

TEST_F(PatientTest, SanctuaryPartsSplitS1) {
  const Treated r = doxorubicin_with({{"drug.doxorubicin.emax", "4 1/h"},
                                      {"drug.doxorubicin.ic50", "0.005 uM"},
                                      {"drug.doxorubicin.quiescent_factor", "0.2"},
                                      {"patient.duration", "2 h"},
                                      {"drug.doxorubicin.diffusivity", "5 um^2/s"},
                                      {"oxygen.use.tumour", "1.5e-3 1/s"}});
  const auto found = r.patient->findings().summary.at("sanctuary").at("doxorubicin");
  ASSERT_TRUE(found.at("direct_effect").get<bool>()) << found.at("L_ref");
  double parts = 0;
  for (const char* part : {"delivery", "protection", "both", "joint"}) {
    const double share = found.at(part).at("share").get<double>();
    EXPECT_GE(share, 0);
    parts += share;
  }
  const double s1 = found.at("s1").at("share").get<double>();
  EXPECT_NEAR(parts, s1, 1e-14);
  EXPECT_GT(s1, 0.01) << found;
  EXPECT_LT(s1, 0.99);
  EXPECT_LE(found.at("robustness").at("half_theta").at("share").get<double>(), s1);
  EXPECT_GE(found.at("robustness").at("twice_theta").at("share").get<double>(), s1);
  EXPECT_EQ(found.at("robustness").at("theta").at("share").get<double>(), s1);
  EXPECT_EQ(r["doxorubicin_s1_share"], s1);
  EXPECT_TRUE(found.at("to_date").get<bool>());
  // Drawn field, one label a cell, of the same share as the mask's cells are all alike.
  double under = 0, counted = 0;
  r.patient->with_output([&](std::span<const FieldOutput> fields, std::span<const NetworkOutput>) {
    for (const FieldOutput& f : fields) {
      if (f.name != "doxorubicin_sanctuary") continue;
      for (const double label : f.values) {
        counted += label >= 0;
        under += label >= 0 && static_cast<int>(label) % 2 == 1;
      }
    }
  });
  ASSERT_GT(counted, 0);
  EXPECT_NEAR(under / counted, s1, 1e-12);
}

TEST_F(PatientTest, PlasmaAreaIsThatOfTheKinetics) {
  const Treated& r = with_carrier();
  const PatientSettings& s = r.patient->settings();
  const PlasmaKinetics plasma(s.drugs.front().plasma, s.drugs.front().doses);
  EXPECT_NEAR(r["carrier_plasma_auc_umol_h_L"], plasma.area(0, s.duration) / 3.6, 1e-9);
  EXPECT_LT(r[carrier_area], r["carrier_plasma_auc_umol_h_L"]);
}

// Each switch of [mechanisms]: the sign of what it does.

TEST_F(PatientTest, SwitchFiltration) {
  const Treated off = doxorubicin_with({{"mechanisms.filtration", "off"}});
  EXPECT_GT(with_doxorubicin().patient->fluid().filtration, 0);
  EXPECT_EQ(off.patient->fluid().filtration, 0);
  EXPECT_GT(with_doxorubicin().mean_pressure(true), 1);
  EXPECT_NEAR(off.mean_pressure(true), 0, 1e-9);
}

TEST_F(PatientTest, SwitchLymphatics) {
  const Treated off = doxorubicin_with({{"mechanisms.lymphatics", "off"}});
  EXPECT_GT(with_doxorubicin().patient->fluid().drained, 0);
  EXPECT_EQ(off.patient->fluid().drained, 0);
  EXPECT_GT(off.mean_pressure(false), with_doxorubicin().mean_pressure(false));
}

TEST_F(PatientTest, SwitchConvection) {
  const Treated off = carrier_with({{"mechanisms.convection", "off"}});
  EXPECT_GT(std::abs(off[carrier_area] / with_carrier()[carrier_area] - 1), 1e-3);
  EXPECT_EQ(off.mean_pressure(true), with_carrier().mean_pressure(true));  // the fluid itself flows on
}

TEST_F(PatientTest, SwitchMatrixConductivity) {
  const Treated degraded = doxorubicin_with({{"matrix.hyaluronan.tumour", "0.1"}});
  const Treated declared =
      doxorubicin_with({{"matrix.hyaluronan.tumour", "0.1"}, {"mechanisms.matrix_conductivity", "off"}});
  EXPECT_LT(degraded.mean_pressure(true), 0.99 * declared.mean_pressure(true));
  EXPECT_NEAR(declared.mean_pressure(true), with_doxorubicin().mean_pressure(true), 1e-9);
}

TEST_F(PatientTest, SwitchHinderedDiffusion) {
  const Treated off = carrier_with({{"mechanisms.hindered_diffusion", "off"}});
  EXPECT_GT(off["carrier_diffusivity_um2_s"], 2 * with_carrier()["carrier_diffusivity_um2_s"]);
  const Treated measured = doxorubicin_with({{"mechanisms.hindered_diffusion", "off"}});
  EXPECT_NEAR(with_doxorubicin()["doxorubicin_diffusivity_um2_s"], 117, 1e-9);
  EXPECT_GT(measured["doxorubicin_diffusivity_um2_s"], 117);
}

TEST_F(PatientTest, SwitchWallSizeSelectivity) {
  const Treated off = carrier_with({{"mechanisms.wall_size_selectivity", "off"}});
  EXPECT_GT(off["carrier_wall_permeability_cm_s"], 2 * with_carrier()["carrier_wall_permeability_cm_s"]);
  EXPECT_EQ(off["carrier_wall_reflection"], 0);
  EXPECT_GT(off[carrier_area], with_carrier()[carrier_area]);
}

TEST_F(PatientTest, SwitchIntravascularDepletion) {
  const Treated off = doxorubicin_with({{"mechanisms.intravascular_depletion", "off"}});
  EXPECT_GT(off[free_area], 1.001 * with_doxorubicin()[free_area]);
}

TEST_F(PatientTest, SwitchOxygen) {
  // Off: 60 mmHg everywhere, and nothing about oxygen is reported.
  const Treated off = doxorubicin_with({{"mechanisms.oxygen", "off"}});
  for (const double p : off.po2) ASSERT_NEAR(p, 60, 1e-12);
  EXPECT_FALSE(off.outcome.contains("hypoxic_fraction"));
  EXPECT_GT(off["log_kill"], with_doxorubicin()["log_kill"]);  // more cells cycle
}

TEST_F(PatientTest, LessUseOfOxygenMeansLessHypoxia) {
  const Treated thrifty = run(small_nodule, {{"oxygen.use.tumour", "1e-4 1/s"}});
  const Treated greedy = run(small_nodule, {{"oxygen.use.tumour", "1.5e-3 1/s"}});
  EXPECT_GT(greedy["hypoxic_fraction"], 0.05);
  EXPECT_LT(thrifty["hypoxic_fraction"], greedy["hypoxic_fraction"]);
  EXPECT_GT(thrifty["oxygen_pressure_median_mmHg"], greedy["oxygen_pressure_median_mmHg"]);
}

TEST_F(PatientTest, SwitchCellularUptake) {
  const Treated off = doxorubicin_with({{"mechanisms.cellular_uptake", "off"}});
  EXPECT_GT(off[free_area], 1.01 * with_doxorubicin()[free_area]);
  EXPECT_FALSE(off.outcome.contains("doxorubicin_auc_cells_umol_h_L_mean"));
  EXPECT_GT(with_doxorubicin()["doxorubicin_auc_cells_umol_h_L_mean"], 0);
}

TEST_F(PatientTest, SwitchMatrixBinding) {
  const std::vector<Override> sites{{"drug.carrier.binding_sites", "1 uM"},
                                    {"drug.carrier.binding_on_rate", "0.1 1/(uM s)"},
                                    {"drug.carrier.binding_off_rate", "1e-3 1/s"}};
  const Treated on = carrier_with(sites);
  std::vector<Override> and_off = sites;
  and_off.push_back({"mechanisms.matrix_binding", "off"});
  const Treated off = carrier_with(and_off);
  EXPECT_LT(on[carrier_area], 0.99 * off[carrier_area]);
  EXPECT_DOUBLE_EQ(off[carrier_area], with_carrier()[carrier_area]);
  for (const BalanceEntry& e : on.patient->balance()) EXPECT_LT(e.error, 1e-9) << e.compartment;
}

TEST_F(PatientTest, SwitchQuiescence) {
  const Treated off = doxorubicin_with({{"mechanisms.quiescence", "off"}});
  EXPECT_GT(off["log_kill"], with_doxorubicin()["log_kill"]);
  // The drug's way is the same but for what the dead release.
  EXPECT_NEAR(off[free_area], with_doxorubicin()[free_area], 1e-3 * off[free_area]);
}

TEST_F(PatientTest, SwitchPhaseSeparation) {
  const Treated off = run(small_nodule, {{"mechanisms.phase_separation", "off"}});
  const Treated on = run(small_nodule);
  EXPECT_GT(on.haematocrit_spread(), 0.01);
  EXPECT_LT(off.haematocrit_spread(), 0.2 * on.haematocrit_spread());
}

/// Values near trastuzumab's (Bruno 2005), 5e5 targets of 1 nM on each cell.
constexpr const char* antibody = R"(
[drug.antibody]
molar_mass = 145531 g/mol
stokes_radius = 5 nm
lipophilic_permeability = 0 cm/s
unbound_fraction = 1
clearance = 0.225 L/d
volume1 = 2.95 L
flow2 = 0.4838 L/d
volume2 = 4.79 L
flow3 = 0 L/h
dose_per_weight = 0.1 mg/kg
infusion_duration = 30 min
uptake_maximum = 0 fg/min
emax = 0 1/h
target_number = 5e5
target_on_rate = 1e5 1/(M s)
target_turnover = 0.04 1/h
target_internalisation = 0.04 1/h
target_degradation = 0.02 1/h
)";

TEST_F(PatientTest, AnAntibodyOverThreeWeeksTakesHundredsOfStepsAndItsTargetsHoldItBack) {
  const std::vector<Override> weeks{{"patient.duration", "21 d"}, {"output.times", "0 h"}};
  const Treated held = run(std::string(small_nodule) + antibody, weeks);
  EXPECT_LT(held.patient->steps(), 600);
  std::vector<Override> free = weeks;
  free.push_back({"drug.antibody.target_number", "0"});
  const Treated through = run(std::string(small_nodule) + antibody, free);
  EXPECT_LT(held["antibody_auc_umol_h_L_mean"], 0.8 * through["antibody_auc_umol_h_L_mean"]);
  EXPECT_GT(held["antibody_auc_internalised_umol_h_L_mean"], held["antibody_auc_umol_h_L_mean"]);
}

}  // namespace
}  // namespace sanctuary
