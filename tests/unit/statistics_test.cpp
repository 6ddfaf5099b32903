#include "solvers/statistics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.hpp"

namespace sanctuary {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double largest = std::numeric_limits<double>::max();
const MPI_Comm alone = MPI_COMM_SELF;
using Values = std::vector<double>;

TEST(Norms, OfNumbersWorkedByHand) {
  const Values v{3, -4, 0, 12};
  EXPECT_EQ(norm1(alone, v), 19);
  EXPECT_EQ(norm2(alone, v), 13);
  EXPECT_EQ(norm_max(alone, v), 12);
  EXPECT_EQ(weighted_sum(alone, Values{1, 2, 3, -1}, v), -17);
  EXPECT_EQ(norm1(alone, Values{}), 0);
  EXPECT_EQ(norm2(alone, Values{}), 0);
  EXPECT_EQ(norm_max(alone, Values{}), 0);
}

TEST(Norms, NeitherOverflowNorUnderflow) {
  for (const double unit : {1e300, 1e-300, 0x1p-1074, 0x1p1020, 1e-160, 1e160}) {
    EXPECT_DOUBLE_EQ(norm2(alone, Values{3 * unit, 0, -4 * unit}), 5 * unit) << unit;
  }
  EXPECT_EQ(norm2(alone, Values{largest, largest}), infinity);
  EXPECT_EQ(norm2(alone, Values(100, 1e-200)), 1e-199);
}

TEST(Norms, SayWhatIsNotFinite) {
  EXPECT_EQ(norm2(alone, Values{1, -infinity}), infinity);
  EXPECT_EQ(norm1(alone, Values{1, -infinity}), infinity);
  EXPECT_EQ(norm_max(alone, Values{1, -infinity}), infinity);
  EXPECT_TRUE(std::isnan(norm2(alone, Values{1, nan, infinity})));
  EXPECT_TRUE(std::isnan(norm1(alone, Values{1, -nan})));
  EXPECT_TRUE(std::isnan(norm_max(alone, Values{infinity, -nan, 2})));
}

TEST(Norms, WhatCancelsIsNotLost) {
  EXPECT_EQ(weighted_sum(alone, Values{1, 1, 1}, Values{1e200, 1, -1e200}), 1);
  EXPECT_EQ(weighted_sum(alone, Values{0x1p300, 1, 0x1p200}, Values{0x1p300, 1, -0x1p400}), 1);
}

TEST(Norms, OfVectorsAreThoseOfTheirEntries) {
  const Grid grid(alone, {{0, 0, 0}, {2, 3, 4}, {5, 3, 2}});
  const VecHandle vec = grid.vector(), weights = grid.vector();
  Values entries;
  {
    const WriteAccess v(vec.get()), w(weights.get());
    for (std::size_t c = 0; c < grid.local_cells(); ++c) {
      entries.push_back(v[c] = std::sin(static_cast<double>(c)));
      w[c] = 2;
    }
  }
  EXPECT_EQ(norm1(vec.get()), norm1(alone, entries));
  EXPECT_EQ(norm2(vec.get()), norm2(alone, entries));
  EXPECT_EQ(norm_max(vec.get()), norm_max(alone, entries));
  const double sum = exact_sum_over(alone, entries);
  EXPECT_EQ(weighted_sum(weights.get(), vec.get()), 2 * sum);
  EXPECT_EQ(integral(grid, vec.get()), 24 * sum);
  double petsc_norm = 0;
  petsc(VecNorm(vec.get(), NORM_2, &petsc_norm));
  EXPECT_NEAR(norm2(vec.get()), petsc_norm, 1e-14 * petsc_norm);
}

TEST(Histogram, CountsWithItsEdges) {
  const Values values{-1, 0, 0.5, 1, 1, 2, 2.5, 3, 3.5}, edges{0, 1, 2, 3};
  const Histogram counts = histogram(alone, values, {}, edges);
  EXPECT_EQ(counts.inside, (Values{2, 2, 3}));
  EXPECT_EQ(counts.below, 1);
  EXPECT_EQ(counts.above, 1);
  const Histogram weights = histogram(alone, values, Values{1, 2, 4, 8, 16, 32, 64, 128, 256}, edges);
  EXPECT_EQ(weights.inside, (Values{6, 24, 224}));
  EXPECT_EQ(weights.below, 1);
  EXPECT_EQ(weights.above, 256);
}

TEST(Histogram, RefusesWhatMakesNoSense) {
  EXPECT_THROW(histogram(alone, Values{1, nan}, {}, Values{0, 1}), InputError);
  EXPECT_THROW(histogram(alone, Values{1}, {}, Values{0, 0}), InputError);
  EXPECT_THROW(histogram(alone, Values{1}, {}, Values{0, nan}), InputError);
  EXPECT_THROW(histogram(alone, Values{1}, {}, Values{0}), InputError);
}

/// By sorting; the weights are small whole numbers, so that their sums are exact.
double quantile_by_sorting(const Values& values, const Values& weights, double fraction) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double sum = 0;
  for (const std::size_t i : order) {
    sum += weights[i];
    if (weights[i] > 0 && sum >= fraction * total) return values[i];
  }
  return nan;
}

TEST(Quantiles, OfNumbersWorkedByHand) {
  const Values values{5, 1, 4, 2, 3};
  EXPECT_EQ(quantiles(alone, values, {}, Values{0, 0.2, 0.21, 0.5, 0.6, 1}), (Values{1, 1, 2, 3, 3, 5}));
  EXPECT_EQ(quantiles(alone, values, Values{0, 0, 1, 1, 0}, Values{0, 0.5, 0.51, 1}), (Values{2, 2, 4, 4}));
  EXPECT_EQ(quantiles(alone, Values(7, 2.5), {}, Values{0, 0.5, 1}), Values(3, 2.5));
  EXPECT_FALSE(std::signbit(quantiles(alone, Values{-0.0, 0.0}, {}, Values{0})[0]));
  EXPECT_EQ(quantiles(alone, Values{infinity, -infinity, 0}, {}, Values{0.1, 0.5, 0.9}),
            (Values{-infinity, 0, infinity}));
  EXPECT_EQ(quantiles(alone, values, {}, {}), Values{});
}

TEST(Quantiles, AgreeWithSorting) {
  const RandomStream draws(11, "statistics_test");
  const Values fractions{0.9, 0, 0.01, 0.05, 0.25, 0.5, 0.5, 0.75, 0.95, 0.99, 1};
  for (std::uint64_t round = 0; round < 100; ++round) {
    const std::size_t count = 1 + draws.below(10 * round, 400);
    const std::uint64_t kind = round % 5;
    Values values, weights;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t key = 100000 + round * 5000 + 3 * i;
      const double u = draws.uniform(key, -1, 1);
      const int wide = static_cast<int>(draws.below(key + 1, 2000)) - 1000;
      values.push_back(kind == 0   ? u
                       : kind == 1 ? std::ldexp(u, wide)     // all exponents
                       : kind == 2 ? std::round(3 * u)       // many alike
                       : kind == 3 ? 1 + u * 0x1p-50         // differ in the last bits
                                   : std::abs(u) * 1e-310);  // subnormal
      weights.push_back(static_cast<double>(draws.below(key + 2, 4)));
    }
    weights[0] = 1;
    const Values found = quantiles(alone, values, weights, fractions);
    for (std::size_t f = 0; f < fractions.size(); ++f) {
      ASSERT_EQ(found[f], quantile_by_sorting(values, weights, fractions[f])) << round << " " << fractions[f];
    }
    const Values ones(count, 1.0), unweighted = quantiles(alone, values, {}, fractions);
    for (std::size_t f = 0; f < fractions.size(); ++f) {
      ASSERT_EQ(unweighted[f], quantile_by_sorting(values, ones, fractions[f])) << round << " " << fractions[f];
    }
  }
}

TEST(Quantiles, RefuseWhatMakesNoSense) {
  EXPECT_THROW((void)quantiles(alone, Values{1, nan}, {}, Values{0.5}), InputError);
  EXPECT_THROW((void)quantiles(alone, Values{}, {}, Values{0.5}), InputError);
  EXPECT_THROW((void)quantiles(alone, Values{1}, Values{0}, Values{0.5}), InputError);
  EXPECT_THROW((void)quantiles(alone, Values{1, 2}, Values{1, -1}, Values{0.5}), InputError);
  EXPECT_THROW((void)quantiles(alone, Values{1}, Values{infinity}, Values{0.5}), InputError);
  EXPECT_THROW((void)quantiles(alone, Values{1}, {}, Values{1.5}), InputError);
  EXPECT_THROW((void)quantiles(alone, Values{1}, {}, Values{nan}), InputError);
}

}  // namespace
}  // namespace sanctuary
