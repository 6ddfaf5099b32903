#include "base/random.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace sanctuary {
namespace {

TEST(Random, DrawsDependOnSeedPurposeAndCounterAlone) {
  const RandomStream stream(7, "network.radius"), again(7, "network.radius"), other(7, "network.position");
  EXPECT_EQ(stream.uniform(5), again.uniform(5));
  EXPECT_NE(stream.uniform(5), other.uniform(5));
  EXPECT_NE(stream.uniform(5), stream.uniform(6));
  EXPECT_NE(stream.uniform(5), RandomStream(8, "network.radius").uniform(5));
}

TEST(Random, HashIsFnv1a) {
  EXPECT_EQ(stable_hash(""), 0xcbf29ce484222325ULL);  // published test vectors of FNV-1a
  EXPECT_EQ(stable_hash("a"), 0xaf63dc4c8601ec8cULL);
  EXPECT_EQ(stable_hash("foobar"), 0x85944171f73967e8ULL);
}

TEST(Random, MomentsAreThoseOfTheDistributions) {
  constexpr int count = 200000;
  const RandomStream stream(1, "moments");
  double mean = 0, square = 0, normal = 0, normal_square = 0, normal_fourth = 0, below_median = 0;
  std::array<int, 7> faces{};
  for (std::uint64_t i = 0; i < count; ++i) {
    const double u = stream.uniform(i), n = stream.normal(i + count);
    ASSERT_GT(u, 0);
    ASSERT_LT(u, 1);
    mean += u / count;
    square += u * u / count;
    normal += n / count;
    normal_square += n * n / count;
    normal_fourth += n * n * n * n / count;
    below_median += stream.lognormal(i, 5e-6, 0.3) < 5e-6 ? 1.0 / count : 0;
    ++faces.at(stream.below(i, 7));
  }
  const double tolerance = 4 / std::sqrt(count);  // four standard errors of a unit variance
  EXPECT_NEAR(mean, 0.5, 0.29 * tolerance);
  EXPECT_NEAR(square, 1.0 / 3, 0.3 * tolerance);
  EXPECT_NEAR(normal, 0, tolerance);
  EXPECT_NEAR(normal_square, 1, 1.5 * tolerance);
  EXPECT_NEAR(normal_fourth, 3, 10 * tolerance);
  EXPECT_NEAR(below_median, 0.5, 0.5 * tolerance);
  for (const int hits : faces) EXPECT_NEAR(hits, count / 7.0, 4 * std::sqrt(count / 7.0));
}

TEST(Random, LogNormalSpreadIsThatOfTheLogarithm) {
  const RandomStream stream(3, "spread");
  constexpr int count = 50000;
  double sum = 0, square = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const double logarithm = std::log(stream.lognormal(i, 2, 0.4) / 2);
    sum += logarithm / count;
    square += logarithm * logarithm / count;
  }
  EXPECT_NEAR(sum, 0, 0.4 * 4 / std::sqrt(count));
  EXPECT_NEAR(std::sqrt(square), 0.4, 0.4 * 4 / std::sqrt(2.0 * count));
}

TEST(Random, UniformRangeIsOpen) {
  const RandomStream stream(3, "range");
  for (std::uint64_t i = 0; i < 1000; ++i) {
    EXPECT_GT(stream.uniform(i, -2, 3), -2);
    EXPECT_LT(stream.uniform(i, -2, 3), 3);
  }
}

}  // namespace
}  // namespace sanctuary
