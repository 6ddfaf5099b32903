#include "outcomes/exposure.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace sanctuary {
namespace {

/// Shuffled by a stride prime to the length, so that order does not matter unseen.
std::vector<double> ramp(std::size_t n) {
  std::vector<double> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i * 617 % n] = (static_cast<double>(i) + 0.5) / static_cast<double>(n);
  return v;
}

TEST(DoseVolume, OfAUniformDoseIsAStep) {
  const std::vector<double> value(64, 3.7), weight(64, 2.5);
  const DoseVolume v = dose_volume(MPI_COMM_SELF, value, weight, 8);
  for (const double a : {v.a95, v.a50, v.a05, v.mean, v.lowest, v.highest}) EXPECT_NEAR(a, 3.7, 1e-12);
  ASSERT_EQ(v.fraction.size(), 8u);
  for (const double f : v.fraction) EXPECT_NEAR(f, 1, 1e-15);
  EXPECT_EQ(v.dose.front(), 0);
}

TEST(DoseVolume, OfARampFallsLinearly) {
  const std::vector<double> value = ramp(1000), weight(1000, 0.125);
  const DoseVolume v = dose_volume(MPI_COMM_SELF, value, weight, 40);
  EXPECT_NEAR(v.mean, 0.5, 1e-13);
  EXPECT_NEAR(v.a95, 0.0505, 1e-12);  // the 51st of a thousand: 950 have at least as much
  EXPECT_NEAR(v.a50, 0.5005, 1e-12);
  EXPECT_NEAR(v.a05, 0.9505, 1e-12);
  EXPECT_NEAR(v.lowest, 0.0005, 1e-15);
  EXPECT_NEAR(v.highest, 0.9995, 1e-15);
  for (std::size_t b = 0; b < v.dose.size(); ++b) {
    const auto reached = std::count_if(value.begin(), value.end(), [&](double x) { return x >= v.dose[b]; });
    EXPECT_NEAR(v.dose[b], 0.9995 * static_cast<double>(b) / 40, 1e-15);
    EXPECT_NEAR(v.fraction[b], static_cast<double>(reached) / 1000, 1e-12) << b;
  }
}

TEST(DoseVolume, CountsByWeightAndNothingWithoutIt) {
  const std::vector<double> value{1, 2, 3, 99, -99}, weight{6, 3, 1, 0, 0};
  const DoseVolume v = dose_volume(MPI_COMM_SELF, value, weight, 3);
  EXPECT_NEAR(v.mean, 1.5, 1e-15);
  EXPECT_EQ(v.lowest, 1);
  EXPECT_EQ(v.highest, 3);
  EXPECT_NEAR(v.a50, 1, 1e-12);
  EXPECT_NEAR(v.a05, 3, 1e-12);
  EXPECT_NEAR(v.fraction[0], 1, 1e-15);
  EXPECT_NEAR(v.fraction[1], 1, 1e-15);    // from 1
  EXPECT_NEAR(v.fraction[2], 0.4, 1e-15);  // from 2
}

TEST(DoseVolume, OfNothingIsZero) {
  const std::vector<double> value{1, 2}, weight{0, 0};
  const DoseVolume v = dose_volume(MPI_COMM_SELF, value, weight, 2);
  for (const double a : {v.a95, v.a50, v.a05, v.mean, v.lowest, v.highest, v.fraction[0]}) EXPECT_EQ(a, 0);
}

TEST(ReachedBy, IsTheLargestValueThatTheShareReaches) {
  const std::vector<double> value{4, 1, 3, 2}, weight{1, 1, 1, 1};
  EXPECT_NEAR(reached_by(MPI_COMM_SELF, value, weight, 1), 1, 1e-13);
  EXPECT_NEAR(reached_by(MPI_COMM_SELF, value, weight, 0.75), 2, 1e-13);
  EXPECT_NEAR(reached_by(MPI_COMM_SELF, value, weight, 0.6), 2, 1e-13);
  EXPECT_NEAR(reached_by(MPI_COMM_SELF, value, weight, 0.25), 4, 1e-13);
  EXPECT_EQ(reached_by(MPI_COMM_SELF, {}, {}, 0.5), 0);
  const std::vector<double> below{-4, -2, 0}, even{1, 1, 1};
  EXPECT_NEAR(reached_by(MPI_COMM_SELF, below, even, 0.9), -4, 1e-13);
  EXPECT_NEAR(reached_by(MPI_COMM_SELF, below, even, 0.6), -2, 1e-13);
}

TEST(WeightedMean, DividesByTheWeight) {
  const std::vector<double> value{2, 10}, weight{3, 1};
  EXPECT_DOUBLE_EQ(weighted_mean(MPI_COMM_SELF, value, weight), 4);
  EXPECT_EQ(weighted_mean(MPI_COMM_SELF, {}, {}), 0);
}

}  // namespace
}  // namespace sanctuary
