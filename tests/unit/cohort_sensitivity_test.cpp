#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/random.hpp"
#include "cohort/design.hpp"
#include "cohort/sensitivity.hpp"

namespace sanctuary {
namespace {

constexpr double missing = std::numeric_limits<double>::quiet_NaN();

// Ishigami & Homma 1990 with a = 7, b = 0.1; arguments uniform in (-pi, pi). Variance 13.8446.
double ishigami(const std::vector<double>& u) {
  const auto angle = [&](std::size_t i) { return std::numbers::pi * (2 * u[i] - 1); };
  return std::sin(angle(0)) + 7 * std::pow(std::sin(angle(1)), 2) + 0.1 * std::pow(angle(2), 4) * std::sin(angle(0));
}
constexpr std::array first_exact{0.3139, 0.4424, 0.0}, total_exact{0.5576, 0.4424, 0.2437};

std::vector<double> ishigami_outputs(std::uint64_t groups, std::uint64_t seed) {
  const Design saltelli({.kind = DesignKind::saltelli, .seed = seed, .keys = {"x1", "x2", "x3"}});
  std::vector<double> outputs;
  for (std::uint64_t p = 0; p < groups * saltelli.group_size(); ++p) outputs.push_back(ishigami(saltelli.uniforms(p)));
  return outputs;
}

TEST(CohortSensitivity, IshigamiIndicesAreThoseOfTheFormula) {  // K3
  const SobolIndices found = sobol_indices(ishigami_outputs(4096, 1), 3, 1);
  EXPECT_EQ(found.groups, 4096U);
  EXPECT_EQ(found.dropped, 0U);
  EXPECT_NEAR(found.mean, 3.5, 0.02);
  EXPECT_NEAR(found.variance, 13.8446, 0.1);
  for (std::size_t i = 0; i < 3; ++i) {
    // Standard errors of 4096 random groups are 0.02 at most; scrambled Sobol groups have half of that or less.
    EXPECT_NEAR(found.first[i].value, first_exact[i], 0.015) << i;
    EXPECT_NEAR(found.total[i].value, total_exact[i], 0.015) << i;
    for (const auto& [estimate, exact] :
         {std::pair{found.first[i], first_exact[i]}, std::pair{found.total[i], total_exact[i]}}) {
      EXPECT_GT(estimate.standard_error, 0.002);
      EXPECT_LT(estimate.standard_error, 0.03);
      EXPECT_LT(estimate.lowest, exact);
      EXPECT_GT(estimate.highest, exact);
      EXPECT_NEAR(estimate.highest - estimate.lowest, 2 * 1.96 * estimate.standard_error,
                  0.4 * estimate.standard_error);
    }
  }
}

TEST(CohortSensitivity, GroupsWithAMissingOutputAreDroppedAndCounted) {  // K3
  std::vector<double> outputs = ishigami_outputs(4096, 1);
  const RandomStream stream(9, "knocked.out");
  std::uint64_t hit = 0;
  for (std::size_t group = 0; group < 4096; ++group) {
    bool any = false;
    for (std::size_t row = 0; row < 5; ++row) {
      if (stream.uniform(5 * group + row) >= 0.05) continue;
      outputs[5 * group + row] = missing;
      any = true;
    }
    hit += any ? 1 : 0;
  }
  outputs.resize(outputs.size() - 1);  // and one group is cut short
  const SobolIndices found = sobol_indices(outputs, 3, 1);
  EXPECT_NEAR(static_cast<double>(hit), 4096 * (1 - std::pow(0.95, 5)), 4 * std::sqrt(4096 * 0.17));
  EXPECT_LE(found.dropped - hit, 1U);
  EXPECT_EQ(found.groups + found.dropped, 4096U);
  for (std::size_t i = 0; i < 3; ++i) {  // the net has holes: errors of random groups, two to three of them
    EXPECT_NEAR(found.first[i].value, first_exact[i], 0.05) << i;
    EXPECT_NEAR(found.total[i].value, total_exact[i], 0.05) << i;
  }
}

TEST(CohortSensitivity, StandardErrorIsTheScatterOverSeeds) {
  constexpr std::uint64_t groups = 256, seeds = 60;
  double mean = 0, square = 0, claimed = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    std::vector<double> outputs;
    const Design random({.kind = DesignKind::monte_carlo, .seed = seed, .keys = {"a", "b", "c", "d"}});
    for (std::uint64_t p = 0; p < groups; ++p) {
      const auto u = random.uniforms(p);
      for (const auto& [x, y] : {std::pair{0, 1}, {2, 3}, {2, 1}, {0, 3}}) {
        outputs.push_back(u[std::size_t(x)] + u[std::size_t(y)]);
      }
    }
    const Estimate found = sobol_indices(outputs, 2, seed, 200).total[0];
    mean += found.value / seeds;
    square += found.value * found.value / seeds;
    claimed += found.standard_error / seeds;
  }
  EXPECT_NEAR(mean, 0.5, 0.02);
  EXPECT_NEAR(claimed / std::sqrt(square - mean * mean), 1, 0.35);  // 4 / sqrt(2 * 60) and a bit
}

TEST(CohortSensitivity, EstimatorsByHand) {
  // Rows A, B, AB of two groups, mean 1.5, variance 1.25.
  const std::vector<double> outputs{1, 3, 3, 2, 0, 0};
  const SobolIndices found = sobol_indices(outputs, 1, 1);
  EXPECT_DOUBLE_EQ(found.mean, 1.5);
  EXPECT_DOUBLE_EQ(found.variance, 1.25);
  EXPECT_DOUBLE_EQ(found.first[0].value, (1.5 * 2 + -1.5 * -2) / 2 / 1.25);
  EXPECT_DOUBLE_EQ(found.total[0].value, (2.0 * 2 + 2.0 * 2) / 4 / 1.25);
}

TEST(CohortSensitivity, IndicesDoNotDependOnTheOriginOrTheScale) {
  std::vector<double> outputs = ishigami_outputs(128, 2);
  const SobolIndices found = sobol_indices(outputs, 3, 1);
  for (double& output : outputs) output = 1e6 + 1e-3 * output;
  const SobolIndices moved = sobol_indices(outputs, 3, 1);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(moved.first[i].value, found.first[i].value, 1e-6);
    EXPECT_NEAR(moved.total[i].standard_error, found.total[i].standard_error, 1e-6);
  }
}

TEST(CohortSensitivity, ConstantOrMissingOutputsHaveNoIndices) {
  EXPECT_TRUE(std::isnan(sobol_indices(std::vector<double>(40, 0.1), 2, 1).first[0].value));
  const SobolIndices none = sobol_indices(std::vector<double>(8, missing), 2, 1);
  EXPECT_EQ(none.dropped, 2U);
  EXPECT_EQ(none.groups, 0U);
  EXPECT_TRUE(std::isnan(none.total[1].value));
}

TEST(CohortSensitivity, TiesShareTheirRank) {
  EXPECT_EQ(average_ranks(std::vector<double>{10, 20, 20, 5}), (std::vector<double>{2, 3.5, 3.5, 1}));
}

TEST(CohortSensitivity, RankCorrelationByHand) {
  // Spearman 1 - 6 * 2 / (4 * 15) = 0.8; with two degrees of freedom, p = 1 - t / sqrt(2 + t^2) = 1 - 0.8.
  const RankCorrelations found = rank_correlations({{1, 2, 3, 4}}, std::vector<double>{1, 30, 20, 400});
  EXPECT_EQ(found.rows, 4U);
  EXPECT_NEAR(found.inputs[0].coefficient, 0.8, 1e-14);
  EXPECT_NEAR(found.inputs[0].p_value, 0.2, 1e-14);
}

TEST(CohortSensitivity, PartialCorrelationOfTwoInputsIsTheFormula) {
  const std::vector<double> x{1, 2, 3, 4, 5, 6}, z{2, 1, 4, 3, 6, 5}, y{1, 3, 2, 6, 4, 5};
  const auto plain = [](const std::vector<double>& a, const std::vector<double>& b) {
    return rank_correlations({a}, b).inputs[0].coefficient;
  };
  const double xy = plain(x, y), xz = plain(x, z), zy = plain(z, y);
  const RankCorrelations found = rank_correlations({x, z}, y);
  EXPECT_NEAR(found.inputs[0].coefficient, (xy - xz * zy) / std::sqrt((1 - xz * xz) * (1 - zy * zy)), 1e-14);
  EXPECT_NEAR(found.inputs[1].coefficient, (zy - xz * xy) / std::sqrt((1 - xz * xz) * (1 - xy * xy)), 1e-14);
  // Student's law with 6 - 2 - 1 degrees of freedom: P(|T| > t) = 1 - 2 / pi (s / (1 + s^2) + atan s), s = t / sqrt 3.
  const double rho = found.inputs[0].coefficient, s = std::abs(rho) / std::sqrt(1 - rho * rho);
  EXPECT_NEAR(found.inputs[0].p_value, 1 - 2 / std::numbers::pi * (s / (1 + s * s) + std::atan(s)), 1e-13);
}

struct Cohort {
  std::vector<std::vector<double>> inputs;
  std::vector<double> output;
};

Cohort two_of_three(std::uint64_t rows) {
  const Design random({.kind = DesignKind::monte_carlo, .seed = 3, .keys = {"x1", "x2", "unused"}});
  Cohort cohort{std::vector<std::vector<double>>(3), {}};
  for (std::uint64_t p = 0; p < rows; ++p) {
    const auto u = random.uniforms(p);
    for (std::size_t i = 0; i < 3; ++i) cohort.inputs[i].push_back(u[i]);
    cohort.output.push_back(u[0] + 2 * u[1]);
  }
  return cohort;
}

TEST(CohortSensitivity, RankCorrelationsHaveTheSignsOfTheInputs) {  // K4
  constexpr std::uint64_t rows = 1000;
  Cohort cohort = two_of_three(rows);
  const RankCorrelations found = rank_correlations(cohort.inputs, cohort.output);
  EXPECT_GT(found.inputs[0].coefficient, 0.9);
  EXPECT_GT(found.inputs[1].coefficient, found.inputs[0].coefficient);
  EXPECT_LT(std::abs(found.inputs[2].coefficient), 3 / std::sqrt(rows));
  EXPECT_LT(found.inputs[0].p_value, 1e-100);
  EXPECT_GT(found.inputs[2].p_value, 0.0027);
  for (double& output : cohort.output) output = -std::exp(5 * output);  // monotone: the same ranks, the other way
  const RankCorrelations turned = rank_correlations(cohort.inputs, cohort.output);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(turned.inputs[i].coefficient, -found.inputs[i].coefficient, 1e-12);
  }
}

TEST(CohortSensitivity, ConstantAndRepeatedColumnsAreMarkedAndHarmNothing) {
  Cohort cohort = two_of_three(400);
  const RankCorrelations alone = rank_correlations(cohort.inputs, cohort.output);
  cohort.inputs.push_back(std::vector<double>(400, 7));
  cohort.inputs.push_back(cohort.inputs[2]);
  cohort.inputs[0][17] = cohort.output[18] = missing;
  const RankCorrelations found = rank_correlations(cohort.inputs, cohort.output);
  EXPECT_EQ(found.rows, 398U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(found.inputs[i].coefficient, alone.inputs[i].coefficient, 0.005);
  }
  for (std::size_t i = 2; i < 5; ++i) EXPECT_TRUE(std::isnan(found.inputs[i].coefficient)) << i;
  const RankCorrelations constant = rank_correlations({{1, 2, 3, 4, 5}}, std::vector<double>(5, 1));
  EXPECT_TRUE(std::isnan(constant.inputs[0].coefficient));
  // Nothing of an output that one input alone determines is left for the others.
  const Cohort plain = two_of_three(50);
  const RankCorrelations exact = rank_correlations(plain.inputs, plain.inputs[0]);
  EXPECT_NEAR(exact.inputs[0].coefficient, 1, 1e-12);
  EXPECT_EQ(exact.inputs[1].coefficient, 0);
  EXPECT_EQ(exact.inputs[1].p_value, 1);
}

TEST(CohortSensitivity, PValuesAreUniformForAnUnusedInput) {
  int below = 0;
  constexpr int repeats = 400;
  for (std::uint64_t seed = 0; seed < repeats; ++seed) {
    const RandomStream stream(seed, "p");
    std::vector<double> x, z, y;
    for (std::uint64_t p = 0; p < 20; ++p) {
      x.push_back(stream.uniform(3 * p));
      z.push_back(stream.uniform(3 * p + 1));
      y.push_back(z.back() + stream.uniform(3 * p + 2));
    }
    below += rank_correlations({x, z}, y).inputs[0].p_value < 0.2 ? 1 : 0;
  }
  EXPECT_NEAR(below, 0.2 * repeats, 4 * std::sqrt(repeats * 0.2 * 0.8));
}

}  // namespace
}  // namespace sanctuary
