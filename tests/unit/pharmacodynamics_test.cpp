#include "therapy/pharmacodynamics.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "base/catalogue.hpp"
#include "base/error.hpp"
#include "therapy/drug.hpp"

namespace sanctuary {
namespace {

constexpr double hour = 3600, mmhg_pa = 133.322387415;

TEST(Pharmacodynamics, HillFunctionOfHandWorkedNumbers) {  // model sources H4
  EXPECT_NEAR(0.8 * hill_function(0.2, 0.1, 1), 0.53333, 1e-5);
  EXPECT_DOUBLE_EQ(hill_function(3.0, 3.0, 2.7), 0.5);
  EXPECT_EQ(hill_function(0.0, 1.0, 2.0), 0.0);
  EXPECT_EQ(hill_function(-1.0, 1.0, 2.5), 0.0);
  EXPECT_EQ(hill_function(1e300, 1e-300, 8.0), 1.0);
}

TEST(Pharmacodynamics, Ec50ReproducesTheAssayItCameFrom) {
  for (const double hill : {0.7, 1.0, 2.5}) {
    const double emax = 0.1 / hour, duration = 24 * hour, ic50 = 55e-6;
    const KillLaw law{.emax = emax, .ec50 = ec50_from_ic50(ic50, emax, duration, hill), .hill = hill};
    EXPECT_NEAR(std::exp(-kill_rate_cycling(law, ic50) * duration), 0.5, 1e-12);
  }
  EXPECT_NEAR(ec50_from_ic50(0.055, 0.1 / hour, 24 * hour, 1), 0.055 * (2.4 / std::numbers::ln2 - 1), 1e-12);
}

TEST(Pharmacodynamics, AssayTooShortForItsIc50IsRefused) {
  EXPECT_THROW((void)ec50_from_ic50(1, 0.02 / hour, 24 * hour, 1), InputError);
  EXPECT_THROW((void)ec50_from_ic50(1, 0, 24 * hour, 1), InputError);
  try {
    (void)ec50_from_ic50(1, 0.02 / hour, 24 * hour, 1, "a.ini:3: drug.x.emax");
    FAIL();
  } catch (const InputError& error) {
    const std::string text = error.what();
    EXPECT_TRUE(text.starts_with("a.ini:3: drug.x.emax: ")) << text;
    EXPECT_NE(text.find("0.02888"), std::string::npos) << text;  // the emax that would do, ln 2/24 h
  }
}

TEST(Pharmacodynamics, QuiescentCellsDieSlower) {
  const KillLaw law{.emax = 2e-5, .ec50 = 1e-4, .hill = 1, .quiescent_factor = 0.3};
  EXPECT_DOUBLE_EQ(kill_rate_cycling(law, 1e-4), 1e-5);
  EXPECT_DOUBLE_EQ(kill_rate_quiescent(law, 1e-4), 3e-6);
}

TEST(Pharmacodynamics, CyclingFallsWithOxygen) {
  const CyclingLaw law;
  EXPECT_NEAR(cycling_fraction(law, 8.9 * mmhg_pa), 0.15, 1e-12);
  EXPECT_GT(cycling_fraction(law, 60 * mmhg_pa), 0.29);
  EXPECT_LT(cycling_fraction(law, 1 * mmhg_pa), 0.004);
  EXPECT_EQ(cycling_fraction(law, 0), 0.0);
}

TEST(Pharmacodynamics, SurvivalIsMixedByCellNotByHazard) {
  // 0.3 e^-4 + 0.7 e^-1 = 0.263010 by hand
  EXPECT_NEAR(log10_survival(0.3, 4.0, 1.0), std::log10(0.263010), 1e-6);
  EXPECT_NEAR(log10_survival(1.0, 2.0, 5.0), -2.0 / std::numbers::ln10, 1e-15);
  EXPECT_NEAR(log10_survival(0.5, 3000.0, 2000.0), std::log10(0.5) - 2000 / std::numbers::ln10, 1e-9);
  const std::array weight{0.2, 0.3, 0.5}, hazard{1.0, 2.0, 3.0};
  EXPECT_NEAR(log10_survival(weight, hazard),
              std::log10(0.2 * std::exp(-1.0) + 0.3 * std::exp(-2.0) + 0.5 * std::exp(-3.0)), 1e-15);
}

TEST(Pharmacodynamics, CarrierStandsStillAtItsEquivalentConcentration) {
  const CellUptake uptake{.maximum = 8.6e-20, .half_outside = 4.03e-4, .half_inside = 2.5e-17};
  for (const double c : {1e-6, 4.03e-4, 0.1}) {
    const double inside = equilibrium_amount(uptake, c);
    EXPECT_NEAR(uptake_rate(uptake, c, inside), 0.0, 1e-15 * uptake.maximum);
    EXPECT_NEAR(equivalent_concentration(uptake, inside), c, 1e-15 * c);
    EXPECT_GT(uptake_rate(uptake, c, 0.5 * inside), 0);
    EXPECT_LT(uptake_rate(uptake, c, 2 * inside), 0);
    const double step = 1e-4;
    EXPECT_NEAR(uptake_slope_outside(uptake, c),
                (uptake_rate(uptake, c * (1 + step), 0) - uptake_rate(uptake, c * (1 - step), 0)) / (2 * c * step),
                1e-6 * uptake_slope_outside(uptake, c));
    EXPECT_NEAR(uptake_slope_inside(uptake, inside),
                (uptake_rate(uptake, c, inside * (1 + step)) - uptake_rate(uptake, c, inside * (1 - step))) /
                    (2 * inside * step),
                -1e-6 * uptake_slope_inside(uptake, inside));
  }
  EXPECT_DOUBLE_EQ(uptake_rate(uptake, uptake.half_outside, 0), 0.5 * uptake.maximum);
}

TEST(Pharmacodynamics, BindingStandsStillAtItsEquilibrium) {
  const MatrixBinding binding{.on_rate = 20, .off_rate = 0.283, .sites = 0.01};
  const double bound = equilibrium_bound(binding, 0.005);
  EXPECT_NEAR(bound, 0.01 * 0.1 / (0.1 + 0.283), 1e-12);
  EXPECT_NEAR(binding_rate(binding, 0.005, bound), 0.0, 1e-15);
  EXPECT_EQ(equilibrium_bound({}, 1.0), 0.0);
}

Catalogue therapy_parameters() {
  Catalogue list = drug_parameters();
  for (const auto* parameter : cycling_parameters()) list.push_back(parameter);
  return list;
}

Deck deck_of(const std::string& text) {
  static const Catalogue list = therapy_parameters();
  return Deck::from_text(text, ".", {}, list);
}

std::string failure(const std::string& text) {
  try {
    const auto deck = deck_of(text);
    (void)drugs(deck);
  } catch (const InputError& error) {
    return error.what();
  }
  return {};
}

/// What every drug that is given must have.
const std::string needed =
    "molar_mass = 100 g/mol\nstokes_radius = 0.5 nm\nunbound_fraction = 0.5\nvolume1 = 10 L\nclearance = 5 L/h\n";

TEST(Drug, DoxorubicinOfTheLibraryIsInSiUnits) {
  const auto list = drugs(
      Deck::from_text("include = drugs/doxorubicin.ini\n", SANCTUARY_SOURCE_DIR "/decks", {}, therapy_parameters()));
  ASSERT_EQ(list.size(), 1u);
  const Drug& d = list[0];
  EXPECT_EQ(d.name, "doxorubicin");
  ASSERT_EQ(d.doses.size(), 1u);
  EXPECT_NEAR(d.doses[0].amount, 60e-6 * 1.73 / 0.54352, 1e-12);
  EXPECT_NEAR(d.doses[0].duration, 900, 1e-9);
  EXPECT_NEAR(d.plasma.clearance, 62.4e-3 / 3600, 1e-15);
  EXPECT_NEAR(d.plasma.peripheral[0], 1.830, 1e-12);
  EXPECT_NEAR(d.uptake.maximum * d.molar_mass * 1e5, 4.67e-15, 0.01e-15);  // [kg/s] per 1e5 cells, tissue_transport.csv
  EXPECT_NEAR(d.uptake.half_outside, 219e-6 / 0.54352, 1e-12);
  EXPECT_NEAR(d.uptake.half_inside * d.molar_mass, 1.37e-12 / 1e5, 1e-24);
  EXPECT_NEAR(d.interior.on_rate * d.interior.sites * 3600, 1.22, 1e-3);      // Andrean 2025 [1/h]
  EXPECT_NEAR(d.interior.off_rate * 25 * 3600 / std::numbers::ln2, 1, 1e-3);  // Laginha 2005: 25 h
  EXPECT_NEAR(d.kill.ec50, 55e-6 * (2.4 / std::numbers::ln2 - 1), 1e-12);
  EXPECT_NEAR(d.diffusivity.value_or(0), 117e-12, 1e-22);
  EXPECT_EQ(d.effect, EffectSite::cell);
  EXPECT_FALSE(d.wall_permeability.has_value());
  EXPECT_EQ(d.unbound(4.0), 1.0);
  EXPECT_NEAR(PlasmaKinetics(d.plasma, d.doses).total_area() * d.molar_mass, 60e-6 * 1.73 / (62.4e-3 / 3600), 1e-9);
}

TEST(Drug, DoseBasesAndSchedule) {
  const auto list =
      drugs(deck_of("[patient]\nbody_weight = 80 kg\n[drug.a]\ndose_per_weight = 2 mg/kg\nstart_times = 0 "
                    "h, 24 h\ndiffusivity = 117 um^2/s\nwall_permeability = 160 um/min\n" +
                    needed + "[drug.b]\ndose_flat = 50 mg\ninfusion_duration = 0 h\n" + needed));
  ASSERT_EQ(list.size(), 2u);
  ASSERT_EQ(list[0].doses.size(), 2u);
  EXPECT_NEAR(list[0].doses[1].start, 24 * hour, 1e-9);
  EXPECT_NEAR(list[0].doses[1].amount, 1.6e-3, 1e-15);
  EXPECT_NEAR(list[0].diffusivity.value_or(0), 117e-12, 1e-22);
  EXPECT_NEAR(list[0].wall_permeability.value_or(0), 160e-6 / 60, 1e-15);
  EXPECT_NEAR(list[1].doses[0].amount, 0.5e-3, 1e-15);
  EXPECT_EQ(list[1].doses[0].duration, 0.0);
}

TEST(Drug, BadSectionsAreRefusedWithTheRemedy) {
  const std::string a_drug = "[drug.a]\n" + needed, uptake = "uptake_maximum = 1 fg/min\n";
  EXPECT_NE(failure(a_drug).find("exactly one"), std::string::npos);
  EXPECT_NE(failure(a_drug + "dose_flat = 1 mg\ndose_per_area = 1 mg/m^2\n").find("gives 2 of"), std::string::npos);
  EXPECT_NE(failure(a_drug + "dose_flat = 1 mg\nic50 = 1 uM\nemax = 0.001 1/h\n").find("ln 2"), std::string::npos);
  EXPECT_NE(failure(a_drug + "dose_flat = 1 mg\nemax = 0.1 1/h\n").find("no ic50"), std::string::npos);
  const std::string bound = a_drug + "dose_flat = 1 mg\ndiffusivity = 16 um^2/s\ndiffusivity_includes_binding = on\n";
  EXPECT_NE(failure(bound + uptake).find("uptake_maximum = 0"), std::string::npos);
  EXPECT_EQ(failure(bound), "");
  EXPECT_NE(failure(a_drug + "dose_flat = 1 mg\ndiffusivity = 0 um^2/s\n").find("leave the key out"),
            std::string::npos);
  EXPECT_NE(failure(a_drug + "dose_flat = 1 mg\nflow2 = 1 L/h\n").find("flow2"), std::string::npos);
  EXPECT_NE(failure(a_drug + "dose_flat = 1 mg\nrelease_rate = 1 1/h\n").find("payload"), std::string::npos);
  EXPECT_NE(failure(a_drug + "dose_flat = 1 mg\npayload = b\n").find("no drug b"), std::string::npos);
  EXPECT_NE(failure(a_drug + "dose_flat = 1 mg\npayload = a\n").find("back to themselves"), std::string::npos);
  EXPECT_NE(failure(a_drug + "dose_flat = 1 mg\neffect_site = target\n").find("target_number"), std::string::npos);
  EXPECT_NE(failure(a_drug + "dose_flat = 1 mg\neffect_site = cell\n").find("uptake_maximum"), std::string::npos);
  EXPECT_NE(failure(a_drug + "dose_flat = 1 mg\ndamage_repair = 1 1/h\n").find("damage_delay"), std::string::npos);
  EXPECT_NE(failure("[drug.a]\nmolar_mass = 1 kDa\nstokes_radius = 1 nm\nunbound_fraction = 1\ndose_flat = 1 mg\n")
                .find("volume1"),
            std::string::npos);
}

TEST(Drug, PayloadsComeAfterTheirCarriersAndNeedNoDose) {
  const auto list =
      drugs(deck_of("[drug.free]\nmolar_mass = 500 g/mol\nstokes_radius = 0.5 nm\nunbound_fraction = "
                    "0.5\n[drug.carrier]\npayload = free\npayload_ratio = 3.5\ndose_flat = 5 mg\n" +
                    needed));
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].name, "carrier");
  EXPECT_EQ(list[0].payload, "free");
  EXPECT_DOUBLE_EQ(list[0].payload_ratio, 3.5);
  EXPECT_TRUE(list[1].doses.empty());
}

TEST(Drug, ClassesSetTheEffectSiteAndCharge) {
  const auto of = [](const std::string& keys) {
    return drugs(deck_of("[drug.a]\ndose_flat = 1 mg\n" + needed + keys)).front();
  };
  EXPECT_EQ(of("").effect, EffectSite::fluid);
  EXPECT_EQ(of("passive_influx = 1 1/h\npassive_efflux = 1 1/h\n").effect, EffectSite::cell);
  EXPECT_EQ(of("class = antibody\ntarget_number = 1e5\n").effect, EffectSite::target);
  EXPECT_EQ(of("class = adc\ntarget_number = 1e5\n").effect, EffectSite::fluid);
  EXPECT_EQ(of("class = cationic_carrier\n").charge, Charge::cationic);
  EXPECT_DOUBLE_EQ(of("class = cationic_carrier\n").wall_charge_factor, 2);
  EXPECT_DOUBLE_EQ(of("class = liposome\n").wall_charge_factor, 1);
}

TEST(Drug, ParametersHaveRangeMeaningAndSource) {
  EXPECT_EQ(catalogue_faults(therapy_parameters()), std::vector<std::string>{});
}

TEST(Drug, ResolvedDeckGivesTheSameDrug) {
  const auto deck = deck_of("[drug.a]\ndose_flat = 5 mg\n" + needed);
  const auto first = drugs(deck), again = drugs(deck_of(deck.resolved()));
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].doses[0].amount, first[0].doses[0].amount);
  EXPECT_EQ(again[0].plasma.volume, first[0].plasma.volume);
  EXPECT_FALSE(again[0].diffusivity.has_value());
}

TEST(Drug, CyclingComesFromTheDeck) {
  const auto law = cycling_settings(deck_of("[cycling]\nhalf_pressure = 5 mmHg\n"));
  EXPECT_NEAR(law.half_pressure, 5 * mmhg_pa, 1e-6);
  EXPECT_DOUBLE_EQ(law.largest, 0.3);
}

}  // namespace
}  // namespace sanctuary
