#include "solvers/network/rheology.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/catalogue.hpp"
#include "tissue/blood.hpp"
#include "tissue/oxygen_formulas.hpp"

namespace sanctuary {
namespace {

using Values = std::vector<std::pair<double, double>>;  // diameter [um], relative viscosity

void expect_viscosities(ViscosityLaw law, double haematocrit, const Values& values) {
  for (const auto& [diameter, viscosity] : values)
    EXPECT_NEAR(relative_viscosity(law, diameter * 1e-6, haematocrit), viscosity, 1e-3 * viscosity)
        << diameter << " um";
}

TEST(Rheology, InVivoViscosityOfHandWorkedDiameters) {  // model sources A2
  expect_viscosities(ViscosityLaw::in_vivo_1994, 0.45,
                     {{4, 17.697},
                      {5, 12.620},
                      {6, 10.012},
                      {8, 7.307},
                      {10, 5.872},
                      {15, 4.076},
                      {20, 3.231},
                      {30, 2.522},
                      {50, 2.282},
                      {100, 2.532}});
  expect_viscosities(ViscosityLaw::in_vivo_1994, 0.30, {{8, 4.920}, {10, 3.655}});
  expect_viscosities(ViscosityLaw::in_vivo_1994, 0.20, {{10, 2.651}});
}

TEST(Rheology, InVitroAndSurfaceLayerViscosityOfHandWorkedDiameters) {
  expect_viscosities(ViscosityLaw::in_vitro_1992, 0.45, {{4, 2.307}, {6, 1.2735}, {10, 1.328}, {100, 2.443}});
  expect_viscosities(
      ViscosityLaw::surface_layer_2005, 0.45,
      {{4, 6.820}, {6, 5.205}, {8, 6.057}, {10, 7.320}, {15, 4.176}, {20, 3.205}, {50, 2.531}, {100, 2.722}});
}

TEST(Rheology, OneVesselCarriesTheHandWorkedFlow) {  // A1
  const Rheology blood;
  const double conductance = segment_conductance(blood, 10e-6, 100e-6, 0.45);
  EXPECT_NEAR(conductance * mmhg, 5.324e-14, 5.324e-14 * 1e-3);
  EXPECT_NEAR(wall_shear_stress(10e-6, 100e-6, -mmhg), 3.333, 1e-3);  // 33.33 dyn/cm^2
}

TEST(Rheology, PlasmaAloneHasItsOwnViscosityInTheGlassTube) {
  EXPECT_DOUBLE_EQ(relative_viscosity(ViscosityLaw::in_vitro_1992, 8e-6, 0.0), 1.0);
}

TEST(Rheology, SmallRedCellsMakeVesselsWider) {  // rat: (92/55)^(1/3) = 1.187
  Rheology rat;
  rat.mean_cell_volume = 55e-18;
  EXPECT_NEAR(law_diameter(rat, 10e-6), 11.8707e-6, 1e-10);
  EXPECT_LT(apparent_viscosity(rat, 10e-6, 0.45), apparent_viscosity(Rheology{}, 10e-6, 0.45));
  EXPECT_DOUBLE_EQ(
      apparent_viscosity(rat, 10e-6, 0.45),
      rat.plasma_viscosity * relative_viscosity(ViscosityLaw::in_vivo_1994, law_diameter(rat, 10e-6), 0.45));
}

TEST(Rheology, FloorActsOnlyUnderItAndOnlyInTheViscosity) {
  Rheology floored, free;
  free.smallest_diameter = 0;
  EXPECT_DOUBLE_EQ(segment_conductance(floored, 3.01e-6, 1e-4, 0.45), segment_conductance(free, 3.01e-6, 1e-4, 0.45));
  EXPECT_DOUBLE_EQ(apparent_viscosity(floored, 1e-6, 0.45), apparent_viscosity(free, 3e-6, 0.45));
  EXPECT_NEAR(segment_conductance(floored, 1e-6, 1e-4, 0.45) / segment_conductance(floored, 3e-6, 1e-4, 0.45), 1.0 / 81,
              1e-12);
  for (const auto law : {ViscosityLaw::in_vivo_1994, ViscosityLaw::in_vitro_1992, ViscosityLaw::surface_layer_2005}) {
    floored.law = law;
    for (double d = 0.2e-6; d < 60e-6; d += 0.1e-6)
      for (const double h : {0.0, 0.2, 0.6, 0.9, 0.99}) {
        const double viscosity = apparent_viscosity(floored, d, h);
        EXPECT_TRUE(std::isfinite(viscosity) && viscosity >= 0.999 * floored.plasma_viscosity) << d << ' ' << h;
      }
  }
}

TEST(Rheology, FahraeusEffectIsStrongestInCapillaries) {
  // H 0.45, D 10 um: 0.45 + 0.55 (1 + 1.7 e^-4.15 - 0.6 e^-0.11) = 0.71911 by hand
  EXPECT_NEAR(tube_to_discharge_haematocrit(10e-6, 0.45), 0.71911, 1e-5);
  EXPECT_NEAR(tube_to_discharge_haematocrit(1e-3, 0.45), 1.0, 1e-4);
}

TEST(Rheology, ParametersHaveRangeMeaningAndSource) {
  EXPECT_EQ(catalogue_faults(blood_parameters()), std::vector<std::string>{});
}

TEST(Rheology, SettingsComeFromTheDeck) {
  const auto deck = Deck::from_text(
      "[blood]\nmean_cell_volume = 55 fl\nviscosity_law = surface_layer_2005\nphase_separation = pries_1989\n", ".", {},
      blood_parameters());
  const Rheology rheology = rheology_settings(deck);
  EXPECT_NEAR(rheology.mean_cell_volume, 55e-18, 1e-30);
  EXPECT_NEAR(rheology.plasma_viscosity, 1.0466e-3, 1e-15);
  EXPECT_EQ(rheology.law, ViscosityLaw::surface_layer_2005);
  EXPECT_EQ(split_settings(deck).form, SplitForm::pries_1989);
}

}  // namespace
}  // namespace sanctuary
