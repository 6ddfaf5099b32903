#include "tissue/oxygen_formulas.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/catalogue.hpp"
#include "verification/exact.hpp"

namespace sanctuary {
namespace {

const BloodOxygen human{.half_saturation = 27 * mmhg, .hill = 2.7, .capacity = 0.5, .solubility = 3.1e-5 / mmhg};

TEST(Oxygen, SaturationAndContentOfHandWorkedPressures) {  // model sources D1
  struct Row {
    double pressure, saturation, content;
  };
  for (const auto& row :
       {Row{95, 0.96760, 0.22066}, Row{40, 0.74292, 0.16840}, Row{20, 0.30783, 0.06988}, Row{10, 0.06406, 0.01472}}) {
    EXPECT_NEAR(saturation(human, row.pressure * mmhg), row.saturation, 1e-5);
    EXPECT_NEAR(oxygen_content(human, row.pressure * mmhg, 0.45), row.content, 1e-5);
  }
  EXPECT_NEAR(saturation(BloodOxygen{}, 40 * mmhg), 0.53839, 1e-5);
}

TEST(Oxygen, SlopesAreTheDerivatives) {
  for (const double p : {0.5, 5.0, 38.0, 90.0}) {
    const double pressure = p * mmhg, step = 1e-4 * pressure;
    EXPECT_NEAR(saturation_slope(human, pressure),
                (saturation(human, pressure + step) - saturation(human, pressure - step)) / (2 * step),
                1e-6 * saturation_slope(human, pressure));
    EXPECT_NEAR(
        oxygen_content_slope(human, pressure, 0.3),
        (oxygen_content(human, pressure + step, 0.3) - oxygen_content(human, pressure - step, 0.3)) / (2 * step),
        1e-6 * oxygen_content_slope(human, pressure, 0.3));
    EXPECT_NEAR(oxygen_use_slope(5e-4, mmhg, pressure),
                (oxygen_use(5e-4, mmhg, pressure + step) - oxygen_use(5e-4, mmhg, pressure - step)) / (2 * step),
                1e-11);
  }
}

TEST(Oxygen, PressureOfContentInvertsEveryContent) {
  const BloodOxygen steep{.half_saturation = 10 * mmhg, .hill = 5, .capacity = 1, .solubility = 1e-6 / mmhg};
  for (const auto& blood : {BloodOxygen{}, human, steep})
    for (const double haematocrit : {0.0, 1e-12, 0.01, 0.45, 0.9})
      for (double p = 1e-4; p < 2000; p *= 1.07) {
        const double content = oxygen_content(blood, p * mmhg, haematocrit);
        const double pressure = oxygen_pressure(blood, content, haematocrit);
        EXPECT_NEAR(oxygen_content(blood, pressure, haematocrit), content, 4e-15 * content) << p << ' ' << haematocrit;
        EXPECT_NEAR(pressure / mmhg, p, 1e-9 * p) << haematocrit;
      }
  EXPECT_EQ(oxygen_pressure(human, 0.0, 0.45), 0.0);
  EXPECT_LT(oxygen_pressure(human, -1e-3, 0.45), 0.0);
}

TEST(Oxygen, IntravascularResistanceIsTheTable) {
  const double unit = mmhg * 1e12;
  EXPECT_NEAR(intravascular_resistance(10e-6) / unit, 1.27, 1e-12);
  EXPECT_NEAR(intravascular_resistance(5e-6) / unit, 2.00, 1e-12);
  EXPECT_NEAR(intravascular_resistance(9e-6) / unit, 1.355, 1e-12);
  EXPECT_NEAR(intravascular_resistance(1e-6) / unit, 2.45, 1e-12);
  EXPECT_NEAR(intravascular_resistance(90e-6) / unit, 0.730, 1e-12);
  // D2: a Krogh cylinder of 5 and 50 um at M0 5e-4 draws 3.8877 um^2/s and loses 4.937 mmHg inside a 10 um vessel.
  const double supply = exact::krogh_supply(5e-6, 50e-6, 5e-4);
  EXPECT_NEAR(supply * 1e12, 3.8877, 1e-4);
  EXPECT_NEAR(supply * intravascular_resistance(10e-6) / mmhg, 4.937, 1e-3);
}

TEST(Oxygen, UseIsHalfAtTheHalfPressureAndNeverNegative) {
  EXPECT_DOUBLE_EQ(oxygen_use(5e-4, mmhg, mmhg), 2.5e-4);
  EXPECT_EQ(oxygen_use(5e-4, mmhg, -5.0), 0.0);
  EXPECT_DOUBLE_EQ(oxygen_use_slope(5e-4, mmhg, -5.0), 5e-4 / mmhg);
}

TEST(Oxygen, DefaultsOfTheDeckAreThoseOfTheStruct) {
  const auto deck = oxygen_settings(Deck::from_text("", ".", {}, oxygen_parameters()));
  const OxygenSettings plain;
  const auto same = [](double a, double b) { EXPECT_NEAR(a, b, 1e-6 * b); };
  same(deck.blood.half_saturation, plain.blood.half_saturation);
  same(deck.blood.solubility, plain.blood.solubility);
  same(deck.use_tumour, plain.use_tumour);
  same(deck.use_host, plain.use_host);
  same(deck.half_pressure, plain.half_pressure);
  same(deck.krogh_coefficient, plain.krogh_coefficient);
  same(deck.tissue_solubility, plain.tissue_solubility);
  same(deck.inlet_pressure, plain.inlet_pressure);
  same(deck.host_pressure, plain.host_pressure);
  same(deck.hypoxia_threshold, plain.hypoxia_threshold);
}

TEST(Oxygen, ParametersHaveRangeMeaningAndSource) {
  EXPECT_EQ(catalogue_faults(oxygen_parameters()), std::vector<std::string>{});
}

}  // namespace
}  // namespace sanctuary
