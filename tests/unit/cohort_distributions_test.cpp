#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "base/units.hpp"
#include "cohort/distributions.hpp"

namespace sanctuary {
namespace {

constexpr Range anywhere{-1e300, 1e300};
const Parameter pressure{.key = "test.pressure", .unit = "mmHg", .range = {0, 1000}};
const Parameter score{.key = "test.score", .range = anywhere};
const Parameter share{.key = "test.share", .range = {0, 1}};
const Parameter length{.key = "test.length", .unit = "um", .range = {0.1, 1e4}};
const Parameter temperature{.key = "test.temperature", .unit = "K", .range = {0, 1000}};
const Parameter count{.key = "test.count", .kind = Kind::integer, .range = {0, 100}};
const Parameter pump{.key = "test.pump", .kind = Kind::flag};
const Parameter host{.key = "test.host", .kind = Kind::choice, .choices = "xenograft|human|mouse"};

constexpr double one_deviation = 0.8413447460685429;  // Phi(1)

Variation law(const Parameter& parameter, std::string_view text) { return Variation::parse(parameter, text); }

std::string refusal(const Parameter& parameter, std::string_view text) {
  try {
    (void)Variation::parse(parameter, text);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

void expect_relative(double value, double expected, double tolerance) {
  EXPECT_NEAR(value, expected, tolerance * std::abs(expected));
}

TEST(CohortDistribution, LogNormalOneDeviationUpIsMedianTimesGeometricDeviation) {
  const Variation tumour = law(pressure, "lognormal(median = 40 mmHg, gsd = 1.5)");
  expect_relative(tumour.quantile(one_deviation), 60, 1e-14);
  expect_relative(tumour.quantile(0.5), 40, 1e-15);
  expect_relative(tumour.quantile(1 - one_deviation), 40 / 1.5, 1e-14);
  EXPECT_NEAR(tumour.cdf(60), one_deviation, 1e-15);
  EXPECT_NEAR(tumour.density(40), 1 / (40 * std::log(1.5) * std::sqrt(2 * M_PI)), 1e-16);
  EXPECT_EQ(tumour.cdf(-1), 0);
  EXPECT_FALSE(tumour.is_discrete());
}

TEST(CohortDistribution, NormalTailsAreAccurate) {
  const Variation normal = law(score, "normal(mean = 10, sd = 2)");
  expect_relative(normal.quantile(0.975), 10 + 2 * 1.959963984540054, 1e-14);
  expect_relative(normal.quantile(1e-10) - 10, -2 * 6.361340902404056, 1e-14);
  expect_relative(normal.quantile(1e-300) - 10, -2 * 37.0470962993612, 1e-13);
  expect_relative(normal.quantile(1 - 0x1p-53) - 10, 2 * 8.209536151601387, 1e-14);
  expect_relative(normal.tails(10 + 2 * 6.361340902404056).upper, 1e-10, 1e-12);
}

TEST(CohortDistribution, CutOffFarInATailStaysAccurate) {
  // Q(6) = 9.865876450376981e-10, Q(7) = 1.279812543885835e-12, Phi(-6.1075...) half way between.
  for (const double sign : {-1.0, 1.0}) {
    const Variation tail =
        law(score, sign > 0 ? "normal(mean = 0, sd = 1) in [6, 7]" : "normal(mean = 0, sd = 1) in [-7, -6]");
    expect_relative(tail.probability_kept(), 9.865876450376981e-10 - 1.279812543885835e-12, 1e-12);
    const double middle = tail.quantile(0.5);
    expect_relative(normal_tails(std::abs(middle)).upper, (9.865876450376981e-10 + 1.279812543885835e-12) / 2, 1e-12);
    for (const double u : {1e-9, 0.1, 0.5, 0.9, 1 - 1e-9}) EXPECT_NEAR(tail.cdf(tail.quantile(u)), u, 1e-12);
    EXPECT_GE(std::abs(tail.quantile(1e-15)), 6);
    EXPECT_LE(std::abs(tail.quantile(1 - 0x1p-53)), 7);
  }
}

TEST(CohortDistribution, UniformLogUniformAndBeta) {
  const Variation uniform = law(score, "uniform(2, 6)");
  EXPECT_DOUBLE_EQ(uniform.quantile(0.25), 3);
  EXPECT_DOUBLE_EQ(uniform.cdf(5), 0.75);
  EXPECT_DOUBLE_EQ(uniform.density(5), 0.25);
  EXPECT_EQ(uniform.density(7), 0);
  const Variation part = law(score, "uniform(low = 2, high = 6) in [3, 4]");
  EXPECT_DOUBLE_EQ(part.quantile(0.5), 3.5);
  EXPECT_DOUBLE_EQ(part.density(3.2), 1);
  const Variation decades = law(score, "loguniform(1, 100)");
  EXPECT_DOUBLE_EQ(decades.quantile(0.5), 10);
  EXPECT_DOUBLE_EQ(decades.cdf(10), 0.5);
  EXPECT_DOUBLE_EQ(decades.density(10), 1 / (10 * std::log(100)));
  const Variation square = law(share, "beta(a = 2, b = 1)");  // F = x^2
  EXPECT_DOUBLE_EQ(square.quantile(0.25), 0.5);
  expect_relative(square.quantile(1e-20), 1e-10, 1e-12);
  EXPECT_DOUBLE_EQ(square.density(0.5), 1);
  EXPECT_DOUBLE_EQ(square.density(1), 2);
  EXPECT_EQ(square.density(0), 0);
  EXPECT_TRUE(std::isinf(law(share, "beta(a = 0.5, b = 1)").density(0)));
  const Variation cube = law(share, "beta(a = 1, b = 3)");  // F = 1 - (1 - x)^3
  expect_relative(cube.quantile(0.875), 0.5, 1e-14);
  EXPECT_DOUBLE_EQ(law(pressure, "beta(a = 2, b = 1, low = 10, high = 30 mmHg)").quantile(0.25), 20);
  expect_relative(law(share, "beta(a = 2, b = 1) in [0.6, 1]").quantile(0.5), std::sqrt(0.36 + 0.32), 1e-14);
}

TEST(CohortDistribution, QuantileAndShareAreInverse) {
  const std::vector<Variation> laws{law(pressure, "lognormal(median = 40 mmHg, gsd = 1.5)"),
                                    law(pressure, "lognormal(median = 40 mmHg, gsd = 1.5) in [10, 90] mmHg"),
                                    law(score, "normal(mean = -3, sd = 0.1)"),
                                    law(score, "normal(mean = 0, sd = 1) in [-1, 0.5]"),
                                    law(score, "normal(mean = 0, sd = 1) in [2, 3]"),
                                    law(score, "uniform(-2, 5)"),
                                    law(score, "loguniform(1e-6, 1e3)"),
                                    law(share, "beta(a = 2, b = 5)"),
                                    law(share, "beta(a = 0.5, b = 0.5)"),
                                    law(share, "beta(a = 3000, b = 8000)"),
                                    law(share, "beta(a = 20, b = 5) in [0.5, 0.9]")};
  for (const Variation& each : laws) {
    double before = -1e308;
    for (const double u : {1e-12, 1e-6, 0.01, 0.2, 0.5, 0.7, 0.99, 1 - 1e-6, 1 - 1e-12}) {
      const double value = each.quantile(u);
      EXPECT_GT(value, before) << each.describe();
      before = value;
      const Tails at = each.tails(value);
      // The value itself is rounded: near the upper end of a beta with b < 1, that is what limits.
      const double slope = std::isinf(each.density(value)) ? 1e6 : each.density(value);
      const double tolerance = 1e-14 + 1e-11 * std::min(u, 1 - u) + 0x1p-51 * std::abs(value) * slope;
      EXPECT_NEAR(at.lower, u, tolerance) << each.describe() << ' ' << u;
      EXPECT_NEAR(at.upper, 1 - u, tolerance) << each.describe() << ' ' << u;
    }
  }
}

TEST(CohortDistribution, DensityIsTheSlopeOfTheShare) {
  for (const Variation& each :
       {law(pressure, "lognormal(median = 40 mmHg, gsd = 1.5) in [10, 90] mmHg"), law(share, "beta(a = 2, b = 5)"),
        law(score, "normal(mean = 1, sd = 2) in [0, 9]"), law(score, "loguniform(1, 9)")}) {
    for (const double u : {0.2, 0.5, 0.8}) {
      const double x = each.quantile(u), step = 1e-5 * std::abs(x);
      expect_relative((each.cdf(x + step) - each.cdf(x - step)) / (2 * step), each.density(x), 1e-6);
    }
  }
}

TEST(CohortDistribution, DeclaredRangeCutsOff) {
  const Variation half = law(pressure, "normal(mean = 0, sd = 1 mmHg)");  // range begins at 0
  EXPECT_DOUBLE_EQ(half.probability_kept(), 0.5);
  expect_relative(half.quantile(0.5), 0.6744897501960817, 1e-14);  // Phi^-1(0.75)
  EXPECT_DOUBLE_EQ(law(pressure, "uniform(900, 1100 mmHg)").quantile(0.5), 950);
  EXPECT_DOUBLE_EQ(law(pressure, "uniform(900, 1100 mmHg) in [800, 920] mmHg").quantile(0.5), 910);
}

TEST(CohortDistribution, UnitsAreConverted) {
  EXPECT_NEAR(law(length, "uniform(0.001, 0.002 cm)").quantile(0.5), 15, 1e-12);
  EXPECT_NEAR(law(length, "uniform(0.001 cm, 20 um)").quantile(0.5), 15, 1e-12);
  EXPECT_NEAR(law(pressure, "lognormal(median = 4 kPa, gsd = 1.1)").quantile(0.5), 4000 / 133.322387415, 1e-6);
  for (const char* text : {"in [20, 60] mmHg", "in [20 mmHg, 60 mmHg]", "in[20, 60 mmHg]"}) {
    EXPECT_EQ(law(pressure, std::string("lognormal(median = 40 mmHg, gsd = 1.5)") + text).describe(),
              "lognormal(median = 40 mmHg, gsd = 1.5) in [20, 60] mmHg");
  }
  // A deviation is a difference: it has no zero point.
  EXPECT_NEAR(law(temperature, "normal(mean = 37 degC, sd = 1 degC)").quantile(one_deviation), 311.15, 1e-10);
}

TEST(CohortDistribution, WholeNumbersHaveTheirFullShare) {
  const Variation die = law(count, "uniform(1, 6)");
  EXPECT_TRUE(die.is_discrete());
  for (int face = 1; face <= 6; ++face) {
    EXPECT_EQ(die.quantile((face - 0.999) / 6), face);
    EXPECT_EQ(die.quantile((face - 0.001) / 6), face);
    EXPECT_NEAR(die.density(face), 1.0 / 6, 1e-15);
    EXPECT_NEAR(die.cdf(face), face / 6.0, 1e-15);
    EXPECT_NEAR(die.cdf(face + 0.9), face / 6.0, 1e-15);
  }
  EXPECT_EQ(die.density(1.5), 0);
  EXPECT_EQ(die.text_of(4), "4");
  EXPECT_EQ(law(count, "uniform(1, 6) in [2, 3]").quantile(0.49), 2);
  EXPECT_EQ(law(count, "uniform(1, 6) in [2, 3]").quantile(0.51), 3);
  const Variation few = law(count, "normal(mean = 5, sd = 2)");
  EXPECT_NEAR(few.density(5), 0.1974126513658474 / few.probability_kept(), 1e-14);  // Phi(1/4) - Phi(-1/4)
  EXPECT_EQ(few.quantile(1e-15), 0);
}

TEST(CohortDistribution, ChoicesHaveTheirWeights) {
  const Variation weighted = law(host, "choice(xenograft: 0.7, human: 0.3)");
  EXPECT_TRUE(weighted.is_choice());
  EXPECT_EQ(weighted.quantile(0.69), 0);
  EXPECT_EQ(weighted.quantile(0.71), 1);
  EXPECT_EQ(weighted.text_of(weighted.quantile(0.71)), "human");
  EXPECT_DOUBLE_EQ(weighted.cdf(0), 0.7);
  EXPECT_EQ(weighted.cdf(1), 1);
  EXPECT_DOUBLE_EQ(weighted.density(1), 0.3);
  EXPECT_DOUBLE_EQ(law(host, "choice(xenograft: 14, human: 6)").density(0), 0.7);
  EXPECT_EQ(law(host, "choice(mouse, human, xenograft)").text_of(0), "mouse");
  EXPECT_NEAR(law(host, "choice(mouse, human, xenograft)").density(2), 1.0 / 3, 1e-15);
  EXPECT_EQ(law(pump, "choice(on, off)").text_of(1), "off");
  EXPECT_EQ(law(count, "choice(2, 4, 8)").text_of(2), "8");
  EXPECT_EQ(law(length, "choice(10 um, 0.002 cm)").text_of(1), "20 um");
}

TEST(CohortDistribution, TextsReadBack) {
  const Variation tumour = law(pressure, "lognormal(median = 40 mmHg, gsd = 1.5)");
  const double value = tumour.quantile(0.123);
  const auto quantity = units::split_quantity(tumour.text_of(value));
  ASSERT_TRUE(quantity);
  EXPECT_EQ(quantity->value, value);
  EXPECT_EQ(quantity->unit, "mmHg");
  EXPECT_EQ(law(score, "uniform(0, 1)").text_of(0.1), "0.1");
  const std::vector<std::pair<const Parameter*, std::string>> texts{
      {&pressure, "lognormal(median = 40 mmHg, gsd = 1.5) in [10, 90] mmHg"},
      {&pressure, "normal(mean = 40, sd = 5 mmHg)"},
      {&pressure, "uniform(10, 20.5 mmHg)"},
      {&score, "loguniform(0.01, 100)"},
      {&pressure, "beta(a = 2, b = 5, low = 10, high = 30 mmHg)"},
      {&host, "choice(human: 3, mouse: 0.7)"},
      {&count, "uniform(1, 6) in [2, 5]"}};
  for (const auto& [parameter, text] : texts) EXPECT_EQ(law(*parameter, text).describe(), text);
}

TEST(CohortDistribution, RefusalsSayWhatWasExpected) {
  EXPECT_EQ(refusal(score, "lognorml(median = 1, gsd = 2)"),
            "'lognorml' is no distribution; expected lognormal, normal, uniform, loguniform, beta or choice, with "
            "arguments in brackets; did you mean lognormal?");
  EXPECT_EQ(refusal(score, "normal(mean = 1, std = 2)"),
            "'std' is no argument of normal; expected normal(mean = , sd = ); did you mean sd?");
  EXPECT_EQ(refusal(score, "normal(mean = 1)"), "'sd' is missing; expected normal(mean = , sd = )");
  EXPECT_EQ(refusal(score, "normal(1, 2)"), "'1' has no name; expected normal(mean = , sd = )");
  EXPECT_EQ(refusal(score, "normal(mean = 1, sd = )"), "'sd' has no value; expected normal(mean = , sd = )");
  EXPECT_EQ(refusal(score, "normal(mean = 1, mean = 2, sd = 1)"),
            "'mean' is given twice; expected normal(mean = , sd = )");
  EXPECT_EQ(refusal(score, "normal(mean = 1, sd = -2)"), "sd = -2; expected a positive standard deviation");
  EXPECT_EQ(refusal(score, "lognormal(median = 1, gsd = 1)"),
            "gsd = 1; expected a geometric standard deviation above 1");
  EXPECT_EQ(refusal(score, "lognormal(median = 0, gsd = 2)"), "median = 0; expected a positive median");
  EXPECT_EQ(refusal(score, "uniform(3, 3)"), "low = 3 and high = 3; expected low below high");
  EXPECT_EQ(refusal(score, "uniform(1, 2, 3)"), "3 arguments; expected uniform(low, high)");
  EXPECT_EQ(refusal(score, "loguniform(0, 3)"), "low = 0; expected a positive lower end");
  EXPECT_EQ(refusal(score, "uniform"), "'uniform' has no arguments; expected uniform(low, high)");
  EXPECT_EQ(refusal(score, "uniform(1, 2"), "no ')' closes 'uniform(1, 2'; expected uniform(low, high)");
  EXPECT_EQ(refusal(score, "uniform(1, 2) within [1, 2]"),
            "'within [1, 2]' after the distribution; expected nothing, or 'in [low, high]' with a unit");
  EXPECT_EQ(refusal(score, "uniform(1, 2) in [2, 1]"),
            "'in [2, 1]' ends below its beginning; expected 'in [low, high]' with low below high");
  EXPECT_EQ(refusal(pressure, "lognormal(median = 40, gsd = 1.5)"),
            "'40' has no unit; expected a number with a unit like 'mmHg'");
  EXPECT_EQ(refusal(pressure, "normal(mean = 40 mmHg, sd = 5 um)"),
            "unit 'um' has the wrong dimension; expected a number with a unit like 'mmHg'");
  EXPECT_EQ(refusal(pressure, "lognormal(median = 40 mmHg, gsd = 1.5 mmHg)"),
            "unit 'mmHg' on a dimensionless number; expected a number");
  EXPECT_EQ(refusal(share, "beta(a = 0, b = 5)"), "a = 0; expected an exponent from 0.001 to 1e6");
  EXPECT_EQ(refusal(share, "beta(a = 2, b = 1e300)"), "b = 1e+300; expected an exponent from 0.001 to 1e6");
  EXPECT_EQ(refusal(pressure, "beta(a = 2, b = 5)"),
            "'low' is missing; expected low = and high = in a unit like 'mmHg'");
  EXPECT_EQ(
      refusal(pressure, "uniform(2000, 3000 mmHg)"),
      "'uniform(2000, 3000 mmHg)' leaves nothing between 0 and 1000 mmHg; expected a probability of 1e-12 at least "
      "within the bounds and the range of test.pressure");
  EXPECT_EQ(refusal(score, "normal(mean = 0, sd = 1) in [8, 9]").substr(0, 70),
            "'normal(mean = 0, sd = 1) in [8, 9]' leaves nothing between 8 and 9; e");
  EXPECT_EQ(refusal(count, "uniform(1.5, 3)"), "'1.5' is not an integer; expected an integer");
  EXPECT_EQ(refusal(pump, "uniform(0, 1)"), "'uniform' on what is no single number; expected choice(first, second)");
  EXPECT_EQ(refusal(host, "normal(mean = 1, sd = 1)"),
            "'normal' on what is no single number; expected choice(first, second)");
  EXPECT_EQ(refusal(host, "choice(humn, mouse)"),
            "'humn' is none of the choices; expected one of xenograft, human, mouse; did you mean human?");
  EXPECT_EQ(refusal(host, "choice(human, human)"), "'human' is given twice; expected each item once");
  EXPECT_EQ(refusal(host, "choice(human: 0.2, mouse)"),
            "1 of 2 items have a weight; expected a weight for each or for none");
  EXPECT_EQ(refusal(host, "choice(human: 0, mouse: 1)"), "weight 0 of 'human'; expected a positive weight");
  EXPECT_EQ(refusal(host, "choice()"),
            "'choice' has no items; expected choice(first, second) or choice(first: weight, second: weight)");
  EXPECT_EQ(refusal(host, "choice(human) in [0, 1]"), "'in [0, 1]' after a choice; expected the items alone");
  const Parameter note{.key = "test.note", .kind = Kind::text}, list{.key = "test.list", .kind = Kind::numbers};
  EXPECT_EQ(refusal(list, "uniform(0, 1)"), "'uniform' on what is no single number; expected choice(first, second)");
  EXPECT_EQ(Variation::parse(note, "choice(a, b)").text_of(1), "b");
}

}  // namespace
}  // namespace sanctuary
