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
    EXPECT_NEAR(free_diffusivity(radius * 1e-9) * 1e12, value, 6e-4 * value);
}

TEST(Matrix, Brinkman) {  // C3, sqrt(k) = 5.566 nm
  const double k = 5.566e-9 * 5.566e-9;
  for (const auto& [radius, value] : {std::pair{0.45, 0.9246}, {5.0, 0.5030}, {30.0, 0.1040}, {50.0, 0.0528}})
    EXPECT_NEAR(brinkman_factor(radius * 1e-9, k), value, 6e-5);
}

TEST(Matrix, PhillipsAndOgston) {  // C4
  EXPECT_NEAR(phillips_factor(5e-9, 20e-9, 0.06), 0.7565, 6e-5);
  EXPECT_NEAR(phillips_factor(5e-9, 0.5e-9, 0.005), 0.3356, 6e-5);
  EXPECT_NEAR(phillips_factor(50e-9, 20e-9, 0.06), 0.2821, 6e-5);
  EXPECT_NEAR(phillips_factor(5e-9, 20e-9, 0.12), 0.5755, 6e-5);
  EXPECT_NEAR(phillips_factor(0.45e-9, 20e-9, 0.06), 0.8982, 6e-5);
  EXPECT_NEAR(ogston_partition(5e-9, 20e-9, 0.06), 0.9105, 6e-5);
  EXPECT_NEAR(ogston_partition(5e-9, 0.5e-9, 0.005), 0.5461, 6e-5);
  EXPECT_NEAR(ogston_partition(50e-9, 20e-9, 0.06), 0.4795, 6e-5);
}

TEST(Matrix, DiffusivityFallsWithSize) {  // M08: 365, 15 and 0.06 to 0.13 um^2/s
  EXPECT_NEAR(matrix_diffusivity({}, {}, 0.45e-9) * 1e12, 365, 2);
  EXPECT_NEAR(matrix_diffusivity({}, {}, 5e-9) * 1e12, 15, 0.1);
  const double particle = matrix_diffusivity({}, {}, 50e-9) * 1e12;
  EXPECT_GE(particle, 0.055);  // 0.058, the 0.06 of the row to its digit
  EXPECT_LE(particle, 0.13);
  EXPECT_DOUBLE_EQ(matrix_diffusivity({}, {}, 500e-9), 1e-14);  // floor
  for (double radius = 0.2e-9; radius < 8e-8; radius *= 1.1)
    EXPECT_GT(matrix_diffusivity({}, {}, radius), matrix_diffusivity({}, {}, 1.1 * radius));
}

TEST(Matrix, ProbesOfEverySizeRankByDiffusivity) {
  // Stokes radii of 3, 10, 70 and 2000 kDa dextran (commonly listed values, not verified) and of a 100 nm particle.
  double last = 1;
  for (const double radius : {1.4e-9, 2.3e-9, 6.5e-9, 27e-9, 50e-9}) {
    const double diffusivity = matrix_diffusivity({}, {}, radius);
    EXPECT_LT(diffusivity, last) << radius;
    EXPECT_GT(diffusivity, 1e-14) << radius;
    last = diffusivity;
  }
  for (double radius = 1e-10; radius < 1e-6; radius *= 1.2) EXPECT_GE(matrix_diffusivity({}, {}, radius), 1e-14);
}

TEST(Matrix, CollagenExcludesBySize) {
  // By hand, phi 0.06, r_f 20 nm: exp(-0.06 (2 x + x^2)), x = 0.0225, 0.25, 2.5.
  EXPECT_NEAR(fluid_partition({}, {}, 0.45e-9), 0.99727, 5e-6);
  EXPECT_NEAR(fluid_partition({}, {}, 5e-9), 0.96681, 5e-6);
  EXPECT_NEAR(fluid_partition({}, {}, 50e-9), 0.50916, 5e-6);
  EXPECT_NEAR(fluid_partition({}, {.collagen = 0.12}, 50e-9), 0.50916 * 0.50916, 1e-5);
  EXPECT_EQ(fluid_partition({}, {}, 0.0), 1.0);
  EXPECT_EQ(fluid_partition({}, {.collagen = 0.0}, 50e-9), 1.0);
  EXPECT_DOUBLE_EQ(accessible_volume_fraction({}, {}, 0.4, 50e-9), 0.4 * fluid_partition({}, {}, 50e-9));
  // IgG: 0.24 in use. Collagen alone leaves too much, rigid GAG chains would leave too little and nothing to 50 nm.
  const auto with_gag = [](double radius) {
    const MatrixLaw law;
    return 0.4 * fluid_partition(law, {}, radius) * ogston_partition(radius, law.gag_radius, law.reference_gag) /
           ogston_partition(0.0, law.gag_radius, law.reference_gag);
  };
  EXPECT_NEAR(accessible_volume_fraction({}, {}, 0.4, 5e-9), 0.387, 1e-3);
  EXPECT_NEAR(with_gag(5e-9), 0.207, 1e-3);
  EXPECT_LT(with_gag(50e-9), 1e-20);
}

TEST(Matrix, ConvectionIsRetardedBySize) {
  // By hand: 1 - 0.00273^2, 1 - 0.03319^2, 1 - 0.49084^2; at twice the collagen 1 - 0.74076^2.
  EXPECT_NEAR(convective_retardation({}, {}, 0.45e-9), 0.999993, 1e-6);
  EXPECT_NEAR(convective_retardation({}, {}, 5e-9), 0.99890, 5e-6);
  EXPECT_NEAR(convective_retardation({}, {}, 50e-9), 0.75907, 1e-5);
  EXPECT_NEAR(convective_retardation({}, {.collagen = 0.12}, 50e-9), 0.45128, 1e-5);
  EXPECT_EQ(convective_retardation({}, {}, 0.0), 1.0);
  for (double radius = 1e-10; radius < 5e-7; radius *= 1.2) {
    const double slowed = convective_retardation({}, {}, radius), open = fluid_partition({}, {}, radius);
    EXPECT_GT(slowed, 0.0);
    EXPECT_LE(slowed, 1.0);
    EXPECT_LE(convective_retardation({}, {}, 1.2 * radius), slowed);
    EXPECT_GE(slowed, open);  // in what is open to it a solute is no slower than the fluid
    EXPECT_LE(slowed, 2 * open);
  }
}

TEST(Matrix, BindingSitesOfCationicSolutesGoWithGag) {
  for (const bool cationic : {false, true}) EXPECT_DOUBLE_EQ(binding_site_factor({}, {}, cationic), 1.0);
  const MatrixComposition rich{.hyaluronan = 3.0}, digested{.hyaluronan = 0.1}, scarred{.collagen = 0.12};
  EXPECT_NEAR(binding_site_factor({}, rich, true), 2.2, 1e-12);  // 0.6 x 3 + 0.4
  EXPECT_NEAR(binding_site_factor({}, digested, true), 0.46, 1e-12);
  EXPECT_NEAR(binding_site_factor({}, scarred, true), 1.4, 1e-12);  // b = 0.4 of GAG goes with collagen
  for (const auto& composition : {rich, digested, scarred}) EXPECT_EQ(binding_site_factor({}, composition, false), 1.0);
  MatrixLaw other;
  other.reference = {.collagen = 0.03, .hyaluronan = 2.0};
  EXPECT_DOUBLE_EQ(binding_site_factor(other, other.reference, true), 1.0);
}

TEST(Matrix, DonnanPotentialIsTooSmallToBind) {  // pitfalls of C, why charge acts by sites
  // One charge per disaccharide of 400 g/mol, 150 mM of salt, RT/F at 310.15 K.
  const auto potential = [](double milligrams) {
    return 8.314462618 * 310.15 / 96485.332 * std::asinh(milligrams / 0.4 / (2 * 150)) * 1e3;  // [mV]
  };
  const auto partition = [](double milligrams, double charge) {
    return std::exp(charge * std::asinh(milligrams / 0.4 / (2 * 150)));
  };
  EXPECT_NEAR(potential(1), 0.22, 5e-3);
  EXPECT_NEAR(potential(10), 2.2, 5e-2);
  EXPECT_NEAR(partition(1, 10), 1.09, 5e-3);
  EXPECT_NEAR(partition(10, 10), 2.3, 5e-2);
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
