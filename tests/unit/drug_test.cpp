#include "therapy/drug.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"

namespace sanctuary {
namespace {

constexpr double hour = 3600, day = 24 * hour, litre = 1e-3, mg = 1e-6;

/// One drug of 500 g/mol given as 100 mg unless the keys say otherwise.
Drug read(const std::string& keys, const std::vector<Override>& changes = {}, std::uint64_t seed = 1) {
  const std::string dose = keys.find("dose_") == std::string::npos ? "dose_flat = 100 mg\n" : "";
  const auto unless_given = [&](const std::string& key, const std::string& value) {
    return ("\n" + keys).find("\n" + key + " =") == std::string::npos ? key + " = " + value + "\n" : "";
  };
  const std::string text = "[drug.x]\nmolar_mass = 500 g/mol\nstokes_radius = 0.5 nm\nunbound_fraction = 0.5\n" + dose +
                           unless_given("clearance", "5 L/h") + unless_given("volume1", "10 L") + keys;
  return drugs(Deck::from_text(text, ".", changes, drug_parameters()), seed).front();
}

std::string error_of(const std::string& keys) {
  try {
    (void)read(keys);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Dosing, ByCalvertsFormula) {
  // AUC 5 at 90 mL/min: 5 (90 + 25) = 575 mg.
  const Drug d = read("dose_target_auc = 5 mg min/mL\n");
  EXPECT_NEAR(d.doses.at(0).amount * d.molar_mass, 575 * mg, 1e-12);
  const Drug kidney = read("dose_target_auc = 5 mg min/mL\n", {{"patient.glomerular_filtration", "35 mL/min"}});
  EXPECT_NEAR(kidney.doses.at(0).amount * kidney.molar_mass, 300 * mg, 1e-12);
}

TEST(Dosing, InCyclesOnDaysWithALoadingDose) {
  const Drug d =
      read("cycles = 2\ncycle_length = 28 d\ncycle_days = 1, 8, 15\nloading_factor = 2\nfirst_cycle = 2 h\n");
  ASSERT_EQ(d.doses.size(), 6U);
  EXPECT_DOUBLE_EQ(d.doses[0].start, 2 * hour);
  EXPECT_DOUBLE_EQ(d.doses[2].start, 2 * hour + 14 * day);
  EXPECT_DOUBLE_EQ(d.doses[3].start, 2 * hour + 28 * day);
  EXPECT_DOUBLE_EQ(d.doses[0].amount, 2 * d.doses[1].amount);
  EXPECT_NE(error_of("cycles = 2\nstart_times = 0 h\n").find("both start_times and cycles"), std::string::npos);
  EXPECT_NE(error_of("cycles = 2\ncycle_length = 7 d\ncycle_days = 1, 8\n").find("beyond its cycle"),
            std::string::npos);
}

TEST(Dosing, ByMouthWithLagAndLoss) {
  const Drug d = read("absorption_rate = 0.95 1/h\nabsorption_lag = 0.5 h\nbioavailability = 0.6\nstart_times = 1 h\n");
  ASSERT_EQ(d.doses.size(), 1U);
  EXPECT_TRUE(d.doses[0].gut);
  EXPECT_DOUBLE_EQ(d.doses[0].start, 1.5 * hour);
  EXPECT_DOUBLE_EQ(d.doses[0].duration, 0);
  EXPECT_NEAR(d.doses[0].amount * d.molar_mass, 60 * mg, 1e-15);
  EXPECT_NE(error_of("absorption_rate = 1 1/h\ninfusion_duration = 1 h\n").find("by mouth"), std::string::npos);
}

TEST(Dosing, ErlotinibRunsUpToItsSteadyState) {
  // Lu 2006: CL/F 3.95 L/h, V/F 233 L, ka 0.95/h; 150 mg a day. Mean of the steady state: 150 mg/(24 h CL) = 1.58 mg/L.
  const Drug d = read(
      "dose_flat = 150 mg\nabsorption_rate = 0.95 1/h\nclearance = 3.95 L/h\nvolume1 = 233 L\nflow2 = 0 L/h\nflow3 = 0 "
      "L/h\n"
      "cycles = 40\ncycle_length = 1 d\n");
  const PlasmaKinetics plasma(d.plasma, d.doses);
  EXPECT_NEAR(plasma.area(39 * day, 40 * day) / day * d.molar_mass / mg * litre, 1.5823, 1e-3);
}

TEST(Kinetics, ScaleWithWeightAndAlbumin) {
  const std::string keys =
      "clearance = 10 L/h\nvolume1 = 20 L\nflow2 = 5 L/h\nvolume2 = 30 L\nflow3 = 0 L/h\nreference_weight = 70 kg\n"
      "clearance_weight_exponent = 0.75\nvolume_weight_exponent = 1\nclearance_albumin_exponent = -1\n";
  const Drug typical = read(keys),
             heavy = read(keys, {{"patient.body_weight", "105 kg"}, {"patient.albumin", "20 g/L"}});
  EXPECT_NEAR(heavy.plasma.clearance / typical.plasma.clearance, 2 * std::pow(1.5, 0.75), 1e-12);
  EXPECT_NEAR(heavy.plasma.flow[0] / typical.plasma.flow[0], std::pow(1.5, 0.75), 1e-12);
  EXPECT_NEAR(heavy.plasma.volume / typical.plasma.volume, 1.5, 1e-12);
  EXPECT_NEAR(heavy.plasma.peripheral[0] / typical.plasma.peripheral[0], 1.5, 1e-12);
}

TEST(Kinetics, VaryBetweenPatientsAsStatedAndBySeedAlone) {
  const std::string keys = "clearance = 10 L/h\ncv_clearance = 0.4\ncv_volume1 = 0.2\n";
  const std::vector<Override> on{{"patient.variability", "on"}};
  EXPECT_EQ(read(keys, on, 7).plasma.clearance, read(keys, on, 7).plasma.clearance);
  EXPECT_EQ(read(keys).plasma.clearance, read("clearance = 10 L/h\n").plasma.clearance);  // off: the typical patient
  constexpr int patients = 4000;
  double mean = 0, square = 0, below = 0, with_volume = 0;
  const double typical = read(keys).plasma.clearance, volume = read(keys).plasma.volume;
  for (int seed = 0; seed < patients; ++seed) {
    const Drug d = read(keys, on, static_cast<std::uint64_t>(seed));
    const double c = d.plasma.clearance / typical;
    mean += c / patients;
    square += c * c / patients;
    below += c < 1 ? 1.0 / patients : 0;
    with_volume += std::log(c) * std::log(d.plasma.volume / volume) / patients;
  }
  EXPECT_NEAR(std::sqrt(square - mean * mean) / mean, 0.4, 0.02);
  EXPECT_NEAR(below, 0.5, 0.025);                       // the typical value is the median
  EXPECT_NEAR(with_volume / (0.385 * 0.198), 0, 0.06);  // drawn apart
}

TEST(Kinetics, RefuseATargetOfNoAmount) {
  EXPECT_NE(error_of("plasma_target_half = 1 nM\n").find("plasma_target_baseline"), std::string::npos);
}

}  // namespace
}  // namespace sanctuary
