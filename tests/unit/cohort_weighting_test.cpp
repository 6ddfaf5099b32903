#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/random.hpp"
#include "cohort/design.hpp"
#include "cohort/weighting.hpp"

namespace sanctuary {
namespace {

const Parameter score{.key = "test.score", .range = {-1e300, 1e300}};
const Parameter count{.key = "test.count", .kind = Kind::integer, .range = {0, 100}};
const Parameter host{.key = "test.host", .kind = Kind::choice, .choices = "xenograft|human|mouse"};

std::vector<double> sample(const Variation& law, const std::string& key, std::uint64_t patients) {
  const Design random({.kind = DesignKind::monte_carlo, .seed = 4, .keys = {key}});
  std::vector<double> values;
  for (std::uint64_t p = 0; p < patients; ++p) values.push_back(law.quantile(random.uniforms(p)[0]));
  return values;
}

double mean(std::span<const double> values, std::span<const double> weights) {
  return std::inner_product(values.begin(), values.end(), weights.begin(), 0.0) /
         std::accumulate(weights.begin(), weights.end(), 0.0);
}

std::string refusal(std::span<const WeightTarget> targets) {
  try {
    (void)balanced_weights(targets);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(CohortWeighting, ShiftedNormalHasTheKnownEffectiveSize) {  // K2
  constexpr std::uint64_t patients = 100000;
  const Variation plausible = Variation::parse(score, "normal(mean = 0, sd = 1)");
  const std::vector<double> values = sample(plausible, "x", patients);
  for (const auto& [shift, share, tolerance] : {std::tuple{1.0, 0.3679, 0.02}, std::tuple{0.5, 0.7788, 0.01}}) {
    const Variation target = Variation::parse(score, "normal(mean = " + std::to_string(shift) + ", sd = 1)");
    const Weighting found = balanced_weights(std::vector<WeightTarget>{{"shifted", &target, values}});
    EXPECT_NEAR(mean(values, found.weights), shift, 1e-8);
    EXPECT_NEAR(std::accumulate(found.weights.begin(), found.weights.end(), 0.0), patients, 1e-6);
    // The mean of w^2 = exp(2 x s - s^2) has a relative standard error of sqrt((exp(4 s^2) - 1) / N): 0.023, 0.004.
    EXPECT_NEAR(found.effective / patients, share, tolerance);
    RecordProperty("effective_share", std::to_string(found.effective / patients));
    EXPECT_NEAR(found.targets[0].before, std::erf(shift / 2 / std::sqrt(2)), 0.006);  // 2 Phi(s / 2) - 1
    EXPECT_LT(found.targets[0].after, 1.95 / std::sqrt(found.effective));
    // The weights are those of the densities.
    for (std::size_t p = 0; p < 50; ++p) {
      EXPECT_NEAR(found.weights[p] / std::exp(shift * values[p] - shift * shift / 2), 1, 0.08);
    }
  }
}

TEST(CohortWeighting, SampleOfItsTargetKeepsItsWeights) {  // K5
  const Variation law = Variation::parse(score, "lognormal(median = 3, gsd = 2)");
  std::vector<double> values;
  constexpr int patients = 1000;
  for (int p = 0; p < patients; ++p) values.push_back(law.quantile((p + 0.5) / patients));
  const std::vector<double> even(patients, 1);
  EXPECT_EQ(ks_distance(values, even, values, even), 0);
  EXPECT_NEAR(ks_distance(values, even, law), 0.5 / patients, 1e-12);
  const Weighting found = balanced_weights(std::vector<WeightTarget>{{"same", &law, values}});
  EXPECT_GT(found.effective, 0.99999 * patients);
}

TEST(CohortWeighting, DistancesByHand) {
  const std::vector<double> a{1, 2}, b{1, 3}, even{1, 1}, heavy{3, 1};
  EXPECT_DOUBLE_EQ(ks_distance(a, even, b, even), 0.5);
  EXPECT_DOUBLE_EQ(ks_distance(a, heavy, b, even), 0.5);
  EXPECT_DOUBLE_EQ(ks_distance(a, heavy, a, even), 0.25);
  const Variation uniform = Variation::parse(score, "uniform(0, 4)");
  EXPECT_DOUBLE_EQ(ks_distance(a, even, uniform), 0.5);  // all is below 2
  const Variation die = Variation::parse(count, "uniform(1, 4)");
  EXPECT_DOUBLE_EQ(ks_distance(std::vector<double>{1, 2, 3, 4}, std::vector<double>(4, 1), die), 0);
  EXPECT_DOUBLE_EQ(ks_distance(std::vector<double>{1, 4}, even, die), 0.25);
  EXPECT_DOUBLE_EQ(effective_size(heavy), 1.6);
}

TEST(CohortWeighting, SharesOfAChoiceAreMatchedByHand) {
  const Variation law = Variation::parse(host, "choice(human: 0.7, mouse: 0.3)");
  const std::vector<double> values{0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
  const Weighting found = balanced_weights(std::vector<WeightTarget>{{"host", &law, values}});
  EXPECT_NEAR(found.weights[0], 1.4, 1e-9);
  EXPECT_NEAR(found.weights[1], 0.6, 1e-9);
  EXPECT_NEAR(found.effective, 100 / 11.6, 1e-8);
  EXPECT_NEAR(found.targets[0].before, 0.2, 1e-12);
  EXPECT_NEAR(found.targets[0].after, 0, 1e-9);
}

TEST(CohortWeighting, TwoMomentsFixTheSharesOfThreeWholeNumbers) {
  const Variation law = Variation::parse(count, "uniform(1, 3)");
  const std::vector<double> values{1, 2, 2, 3, 3, 3};
  const Weighting found = balanced_weights(std::vector<WeightTarget>{{"grade", &law, values}});
  const std::vector<double> expected{2, 1, 1, 2.0 / 3, 2.0 / 3, 2.0 / 3};
  for (std::size_t p = 0; p < values.size(); ++p) EXPECT_NEAR(found.weights[p], expected[p], 1e-8);
}

TEST(CohortWeighting, FourMomentsAreThoseOfTheNormal) {
  const Variation wide = Variation::parse(score, "uniform(-3, 3)");
  const Variation target = Variation::parse(score, "normal(mean = 0, sd = 1)");
  const std::vector<double> values = sample(wide, "x", 5000);
  const Weighting found = balanced_weights(std::vector<WeightTarget>{{"x", &target, values}}, {.moments = 4});
  for (const auto& [power, moment] : {std::pair{1, 0}, {2, 1}, {3, 0}, {4, 3}}) {
    std::vector<double> raised;
    for (const double value : values) raised.push_back(std::pow(value, power));
    EXPECT_NEAR(mean(raised, found.weights), moment, 1e-7) << power;
  }
}

TEST(CohortWeighting, SeveralTargetsAreMetTogether) {
  constexpr std::uint64_t patients = 20000;
  const Design tied({.kind = DesignKind::monte_carlo,
                     .seed = 4,
                     .keys = {"a", "b", "c", "d"},
                     .correlations = {{0, 1, 0.6}, {1, 2, 0.3}}});
  const Variation a = Variation::parse(score, "lognormal(median = 2, gsd = 1.6)");
  const Variation b = Variation::parse(score, "beta(a = 2, b = 3)");
  const Variation die = Variation::parse(count, "uniform(1, 6)");
  const Variation items = Variation::parse(host, "choice(human: 0.5, mouse: 0.3, xenograft: 0.2)");
  std::vector<double> x, y, faces, index;
  for (std::uint64_t p = 0; p < patients; ++p) {
    const auto u = tied.uniforms(p);
    x.push_back(1.5 * std::exp(0.6 * normal_quantile({u[0], 1 - u[0]})));
    y.push_back(u[1]);
    faces.push_back(std::floor(1 + 6 * u[2] * u[2]));
    index.push_back(std::floor(3 * u[3]));
  }
  const Weighting found = balanced_weights(
      std::vector<WeightTarget>{{"a", &a, x}, {"b", &b, y}, {"die", &die, faces}, {"items", &items, index}});
  for (const auto& [law, values] : {std::pair{&a, &x}, std::pair{&b, &y}}) {
    std::vector<double> z, square;
    for (const double value : *values) {
      z.push_back(normal_score(*law, value));
      square.push_back(z.back() * z.back());
    }
    EXPECT_NEAR(mean(z, found.weights), 0, 1e-8);
    EXPECT_NEAR(mean(square, found.weights), 1, 1e-8);
  }
  EXPECT_NEAR(mean(faces, found.weights), 3.5, 0.02);
  for (const TargetFit& fit : found.targets) EXPECT_LT(fit.after, 0.6 * fit.before) << fit.name;
  EXPECT_NEAR(found.targets[3].after, 0, 1e-8);
  EXPECT_GT(found.effective, 0.1 * patients);
}

TEST(CohortWeighting, NormalScoreStaysFinite) {
  const Variation law = Variation::parse(score, "uniform(0, 1)");
  EXPECT_EQ(normal_score(law, -3), -8);
  EXPECT_EQ(normal_score(law, 3), 8);
  EXPECT_NEAR(normal_score(law, 0.5), 0, 1e-15);
  const Variation die = Variation::parse(count, "uniform(1, 6)");
  EXPECT_NEAR(normal_score(die, 6), -normal_score(die, 1), 1e-14);
  EXPECT_NEAR(normal_tails(normal_score(die, 1)).lower, 1.0 / 12, 1e-15);
}

TEST(CohortWeighting, RefusalsNameTheTarget) {
  const Variation near = Variation::parse(score, "normal(mean = 0, sd = 1)");
  const Variation far = Variation::parse(score, "normal(mean = 30, sd = 1)");
  const Variation thin = Variation::parse(score, "normal(mean = 3, sd = 0.3)");
  const Variation up = Variation::parse(score, "normal(mean = 0.5, sd = 0.5)");
  const Variation down = Variation::parse(score, "normal(mean = -0.5, sd = 0.5)");
  const std::vector<double> values = sample(near, "x", 2000);
  const std::string advice =
      "; expected a target within what the sample spans; move the target or widen the sampled distributions";
  EXPECT_EQ(refusal(std::vector<WeightTarget>{{"tumour.size", &far, values}}),
            "target normal(mean = 30, sd = 1) of tumour.size: moment 1 lies beyond the sample, all of which is below" +
                advice);
  const std::string collapsed = refusal(std::vector<WeightTarget>{{"tumour.size", &thin, values}});
  EXPECT_EQ(collapsed.substr(0, 56), "target normal(mean = 3, sd = 0.3) of tumour.size: moment") << collapsed;
  EXPECT_NE(collapsed.find("effective patients of 2000"), std::string::npos) << collapsed;
  const std::string contrary = refusal(std::vector<WeightTarget>{{"one", &up, values}, {"other", &down, values}});
  EXPECT_NE(contrary.find("beside the other targets"), std::string::npos) << contrary;
  const Variation items = Variation::parse(host, "choice(human: 0.5, mouse: 0.5)");
  EXPECT_EQ(refusal(std::vector<WeightTarget>{{"host", &items, std::vector<double>(5, 0)}}),
            "target choice(human: 0.5, mouse: 0.5) of host: share 0.5 of 'human' lies beyond the sample, all of which "
            "is above" +
                advice);
  EXPECT_EQ(refusal({}), "no targets to weight to; expected one at least");
  EXPECT_EQ(refusal(std::vector<WeightTarget>{{"x", &near, std::vector<double>{1, NAN}}}),
            "target x: a value is not finite; expected one for each patient");
}

}  // namespace
}  // namespace sanctuary
