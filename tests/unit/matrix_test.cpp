#include "tissue/matrix.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/catalogue.hpp"

namespace sanctuary {
namespace {

double conductivity_ratio(double borne_by_collagen, double collagen, double hyaluronan) {
  MatrixLaw law;
  law.collagen_borne_gag = borne_by_collagen;
  return hydraulic_conductivity(law, {.collagen = 0.06 * collagen, .hyaluronan = hyaluronan}, 1.0);
}

TEST(Matrix, ReferenceCompositionGivesTheTumoursPermeability) {  // k = 31 nm^2, collagen alone 1882 nm^2
  EXPECT_NEAR(fibre_permeability(20e-9, 0.06), 1882e-18, 1e-18);
  EXPECT_NEAR(matrix_permeability({}, {}), 30.7e-18, 0.1e-18);
  EXPECT_DOUBLE_EQ(hydraulic_conductivity({}, {}, 3.098e-14), 3.098e-14);
}

TEST(Matrix, HyaluronidaseRaisesConductivity) {  // M07
  EXPECT_NEAR(conductivity_ratio(0.0, 1, 0.1), 12.4, 0.05);
  EXPECT_NEAR(conductivity_ratio(0.3, 1, 0.1), 3.2, 0.05);
  EXPECT_NEAR(conductivity_ratio(0.5, 1, 0.1), 2.0, 0.05);
  EXPECT_NEAR(conductivity_ratio(0.0, 1, 0.5), 2.27, 0.01);
  EXPECT_NEAR(conductivity_ratio(0.0, 1, 0.01), 47.0, 0.5);
}

TEST(Matrix, CollagenaseRaisesConductivityByTheGagItCarries) {
  EXPECT_NEAR(conductivity_ratio(0.0, 0.1, 1), 1.02, 0.01);
  EXPECT_NEAR(conductivity_ratio(0.3, 0.1, 1), 1.5, 0.02);
  EXPECT_NEAR(conductivity_ratio(0.5, 0.1, 1), 2.1, 0.02);
}

TEST(Matrix, StokesEinstein) {  // C2 [um^2/s]
  for (const auto& [radius, value] : {std::pair{0.45, 731.6}, {3.0, 109.7}, {5.0, 65.85}, {30.0, 10.97}, {50.0, 6.585}})
    EXPECT_NEAR(free_diffusivity(radius * 1e-9) * 1e12, value, 1e-3 * value);
}

TEST(Matrix, Brinkman) {  // C3, sqrt(k) = 5.566 nm
  const double k = 5.566e-9 * 5.566e-9;
  for (const auto& [radius, value] : {std::pair{0.45, 0.9246}, {5.0, 0.5030}, {30.0, 0.1040}, {50.0, 0.0528}})
    EXPECT_NEAR(brinkman_factor(radius * 1e-9, k), value, 1e-4);
}

TEST(Matrix, PhillipsAndOgston) {  // C4
  EXPECT_NEAR(phillips_factor(5e-9, 20e-9, 0.06), 0.7565, 1e-4);
  EXPECT_NEAR(phillips_factor(5e-9, 0.5e-9, 0.005), 0.3356, 1e-4);
  EXPECT_NEAR(phillips_factor(50e-9, 20e-9, 0.06), 0.2821, 1e-4);
  EXPECT_NEAR(phillips_factor(5e-9, 20e-9, 0.12), 0.5755, 1e-4);
  EXPECT_NEAR(phillips_factor(0.45e-9, 20e-9, 0.06), 0.8982, 1e-4);
  EXPECT_NEAR(ogston_partition(5e-9, 20e-9, 0.06), 0.9105, 1e-4);
  EXPECT_NEAR(ogston_partition(5e-9, 0.5e-9, 0.005), 0.5461, 1e-4);
  EXPECT_NEAR(ogston_partition(50e-9, 20e-9, 0.06), 0.4795, 1e-4);
}

TEST(Matrix, DiffusivityFallsWithSize) {  // M08: 365, 15 and 0.06 to 0.13 um^2/s
  EXPECT_NEAR(matrix_diffusivity({}, {}, 0.45e-9) * 1e12, 365, 2);
  EXPECT_NEAR(matrix_diffusivity({}, {}, 5e-9) * 1e12, 15, 0.1);
  const double particle = matrix_diffusivity({}, {}, 50e-9) * 1e12;
  EXPECT_GE(particle, 0.055);
  EXPECT_LE(particle, 0.13);
  EXPECT_DOUBLE_EQ(matrix_diffusivity({}, {}, 500e-9), 1e-14);  // floor
  for (double radius = 0.2e-9; radius < 8e-8; radius *= 1.1)
    EXPECT_GT(matrix_diffusivity({}, {}, radius), matrix_diffusivity({}, {}, 1.1 * radius));
}

TEST(Matrix, DeclaredDiffusivityHoldsAtTheReferenceAndFollowsTheLaw) {
  EXPECT_DOUBLE_EQ(matrix_diffusivity({}, {}, 0.45e-9, 117e-12), 117e-12);
  const MatrixComposition digested{.collagen = 0.06, .hyaluronan = 0.1};
  EXPECT_NEAR(matrix_diffusivity({}, digested, 5e-9, 10e-12) / 10e-12,
              matrix_diffusivity({}, digested, 5e-9) / matrix_diffusivity({}, {}, 5e-9), 1e-12);
}

TEST(Matrix, CrosslinkingLowersConductivityAndTheDiffusionOfLargeSolutesMost) {
  const MatrixComposition linked{.collagen = 0.06, .hyaluronan = 1, .crosslinking = 1};
  EXPECT_DOUBLE_EQ(hydraulic_conductivity({}, linked, 1.0), 0.5);
  const auto loss = [&](double radius) {
    return matrix_diffusivity({}, linked, radius) / matrix_diffusivity({}, {}, radius);
  };
  EXPECT_LT(loss(5e-9), 1.0);
  EXPECT_LT(loss(5e-9), loss(0.45e-9));
  EXPECT_GT(loss(0.45e-9), 0.95);
}

TEST(Matrix, EmptyMatrixDoesNotHinder) {
  MatrixLaw law;
  law.collagen_borne_gag = 0;
  EXPECT_TRUE(std::isinf(matrix_permeability(law, {.collagen = 0, .hyaluronan = 0})));
  EXPECT_DOUBLE_EQ(matrix_diffusivity(law, {.collagen = 0, .hyaluronan = 0}, 5e-9), 0.6 * free_diffusivity(5e-9));
}

TEST(Matrix, SettingsComeFromTheDeck) {
  const auto deck = Deck::from_text("[matrix]\ncollagen_borne_gag = 0.3\n[interstitium]\nporosity = 0.25\n", ".", {},
                                    matrix_parameters());
  const auto settings = matrix_settings(deck);
  EXPECT_NEAR(settings.tumour.hydraulic_conductivity, 3.0977e-14, 1e-17);  // B&J: 30.9 um^2/(kPa s)
  EXPECT_NEAR(settings.host.hydraulic_conductivity, 6.398e-15, 1e-18);
  EXPECT_DOUBLE_EQ(settings.law.collagen_borne_gag, 0.3);
  EXPECT_DOUBLE_EQ(settings.porosity, 0.25);
  EXPECT_NEAR(matrix_diffusivity(settings.law, settings.tumour.matrix, 5e-9), matrix_diffusivity({}, {}, 5e-9), 1e-16);
}

TEST(Matrix, ParametersHaveRangeMeaningAndSource) {
  EXPECT_EQ(catalogue_faults(matrix_parameters()), std::vector<std::string>{});
}

}  // namespace
}  // namespace sanctuary
