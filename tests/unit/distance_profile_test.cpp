#include "outcomes/distance_profile.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.hpp"

namespace sanctuary {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

DistanceProfile profile(const std::vector<double>& distance, const std::vector<double>& value,
                        const std::vector<double>& weight, double width, int bins) {
  return distance_profile(MPI_COMM_SELF, distance, value, weight, width, bins);
}

TEST(DistanceProfile, MeansByWeightInEachBin) {
  const DistanceProfile p =
      profile({0, 0.5, 1, 2.5, 2, 3, infinity, 0.1}, {8, 4, 3, 1, 2, 99, 99, 1e9}, {1, 3, 2, 1, 3, 5, 7, 0}, 1, 3);
  EXPECT_EQ(p.weight, (std::vector<double>{4, 2, 4}));
  EXPECT_EQ(p.mean, (std::vector<double>{5, 3, 1.75}));
  EXPECT_EQ(p.distance, (std::vector<double>{0.375, 1, 2.125}));
  EXPECT_EQ(p.beyond, 12);
  EXPECT_EQ(p.width, 1);
}

TEST(DistanceProfile, EmptyBinsHaveNoMean) {
  const DistanceProfile p = profile({2.5}, {4}, {2}, 1, 4);
  EXPECT_EQ(p.mean, (std::vector<double>{0, 0, 4, 0}));
  EXPECT_EQ(p.distance, (std::vector<double>{0.5, 1.5, 2.5, 3.5}));
}

TEST(DistanceProfile, NeedsBinsWithAWidth) {
  EXPECT_THROW((void)profile({}, {}, {}, 0, 4), InputError);
  EXPECT_THROW((void)profile({}, {}, {}, 1, 0), InputError);
}

TEST(HalfDistance, OfAnExponentialIsItsLengthTimesTheLogarithmOfTwo) {
  const double length = 63e-6, step = 2e-6;
  std::vector<double> distance, value;
  for (int i = 0; i < 200; ++i) {
    distance.push_back(i * step);
    value.push_back(7 * std::exp(-i * step / length));
  }
  const std::vector<double> weight(200, 1);
  const double exact = length * std::numbers::ln2;
  const double error = half_distance(profile(distance, value, weight, step * (1 - 1e-9), 100)) - exact;
  EXPECT_LT(std::abs(error), step * step / (8 * length));  // of linear interpolation
  EXPECT_GT(std::abs(error), 0);
  // Bins of five points: the first lies at 2 steps, and the mean of each bin is a constant times that at its middle.
  EXPECT_NEAR(half_distance(profile(distance, value, weight, 5 * step * (1 - 1e-9), 40)), exact + 2 * step,
              25 * step * step / (8 * length));
}

TEST(HalfDistance, IsLinearBetweenBinsWithWeight) {
  DistanceProfile p{.width = 1, .distance = {0.5, 1.5, 2.5, 3.5}, .mean = {0, 8, 0, 2}, .weight = {0, 1, 0, 1}};
  EXPECT_DOUBLE_EQ(half_distance(p), 1.5 + 2 * 4.0 / 6);
  p.mean[3] = 4;
  EXPECT_DOUBLE_EQ(half_distance(p), 3.5);
  p.mean[3] = 4.001;
  EXPECT_EQ(half_distance(p), infinity);
  p.mean[1] = 0;
  EXPECT_EQ(half_distance(p), infinity);
  EXPECT_EQ(half_distance(DistanceProfile{}), infinity);
}

}  // namespace
}  // namespace sanctuary
