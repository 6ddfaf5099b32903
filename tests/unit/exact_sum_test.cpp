#include "solvers/exact_sum.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "base/random.hpp"

namespace sanctuary {
namespace {

constexpr double largest = std::numeric_limits<double>::max();
constexpr double least = std::numeric_limits<double>::denorm_min();
constexpr double infinity = std::numeric_limits<double>::infinity();

double one_by_one(const std::vector<double>& values) {
  ExactSum sum;
  for (const double v : values) sum.add(v);
  return sum.value();
}

double at_once(const std::vector<double>& values) {
  ExactSum sum;
  sum.add(values);
  return sum.value();
}

/// Bits, so that +0 and -0 differ and NaN equals itself.
std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }

/// Doubles of any sign and of exponents between `low` and `high`.
std::vector<double> draw(std::size_t count, std::uint64_t seed, int low, int high) {
  const RandomStream draws(seed, "exact_sum_test");
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const int exponent = low + static_cast<int>(draws.below(2 * i, static_cast<std::uint64_t>(high - low + 1)));
    values[i] = std::ldexp(draws.uniform(2 * i + 1, -1, 1), exponent);
  }
  return values;
}

TEST(ExactSum, OneValueComesBackBitByBit) {
  for (const double v : {1.0, -1.0, 0.1, largest, -largest, least, -least, 2 * least, std::nextafter(1.0, 0.0),
                         std::numeric_limits<double>::min(), std::nextafter(std::numeric_limits<double>::min(), 0.0)}) {
    EXPECT_EQ(bits(one_by_one({v})), bits(v)) << v;
  }
  for (const double v : draw(20000, 1, -1080, 1023)) ASSERT_EQ(bits(one_by_one({v, 0.0})), bits(v + 0.0)) << v;
  EXPECT_EQ(bits(one_by_one({})), bits(0.0));
}

TEST(ExactSum, TwoValuesAgreeWithTheHardware) {  // an addition rounds once, as the sum does
  for (const int width : {2, 60, 1000}) {
    const auto a = draw(20000, 2, -width, width), b = draw(20000, 3, -width, width);
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(one_by_one({a[i], b[i]}), a[i] + b[i]);
  }
  const auto a = draw(20000, 4, -1080, -1000), b = draw(20000, 5, -1080, -1000);
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(one_by_one({a[i], b[i]}), a[i] + b[i]);
}

TEST(ExactSum, WhatCancelsLeavesTheRest) {
  EXPECT_EQ(one_by_one({1e300, 1, -1e300}), 1);
  EXPECT_EQ(one_by_one({largest, least, -largest}), least);
  EXPECT_EQ(one_by_one({1, 1e100, 1, -1e100}), 2);
  std::vector<double> wide(1024, 0.0);
  const std::array big{1e300, 1e200, 1e100, 1.0};
  for (std::size_t i = 0; i < big.size(); ++i) wide[8 * i] = big[i], wide[8 * i + 256] = -big[i];
  wide[40] = 1e-100;
  EXPECT_EQ(at_once(wide), 1e-100);
  EXPECT_EQ(bits(one_by_one({1e300, -1e300})), bits(0.0));
  EXPECT_EQ(bits(one_by_one({-0.0})), bits(0.0));
}

TEST(ExactSum, RoundsOnceTiesToEven) {
  const double half = std::ldexp(1, -53);  // half a unit in the last place of 1
  EXPECT_EQ(one_by_one({1, half}), 1);
  EXPECT_EQ(one_by_one({1, half, least}), std::nextafter(1.0, 2.0));
  EXPECT_EQ(one_by_one({1, half, -least}), 1);
  EXPECT_EQ(one_by_one({std::nextafter(1.0, 2.0), half}), 1 + 4 * half);
  EXPECT_EQ(one_by_one({-1, -half, -least}), -std::nextafter(1.0, 2.0));
}

TEST(ExactSum, OverflowsOnlyWhereTheSumDoes) {
  EXPECT_EQ(one_by_one({largest, largest, -largest}), largest);
  EXPECT_EQ(one_by_one(std::vector<double>(1000, largest)), infinity);
  EXPECT_EQ(one_by_one(std::vector<double>(1000, -largest)), -infinity);
  EXPECT_EQ(at_once(std::vector<double>(100000, largest)), infinity);
  std::vector<double> mixed(100000, largest);
  for (std::size_t i = 0; i < mixed.size() / 2; ++i) mixed[i] = -largest;
  mixed.push_back(3);
  EXPECT_EQ(at_once(mixed), 3);
  const double half_unit = std::ldexp(1, 970);  // largest + half_unit is the tie that rounds to infinity
  EXPECT_EQ(one_by_one({largest, half_unit}), infinity);
  EXPECT_EQ(one_by_one({largest, half_unit, -least}), largest);
}

TEST(ExactSum, CountsWhatIsNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(one_by_one({1, infinity, -largest}), infinity);
  EXPECT_EQ(one_by_one({1, -infinity, largest}), -infinity);
  EXPECT_TRUE(std::isnan(one_by_one({infinity, 1, -infinity})));
  EXPECT_TRUE(std::isnan(one_by_one({nan, 1})));
  std::vector<double> many(5000, 1.0);
  many[777] = infinity;
  EXPECT_EQ(at_once(many), infinity);
  many[4000] = nan;
  EXPECT_TRUE(std::isnan(at_once(many)));
}

TEST(ExactSum, AnyOrderAndAnyGroupingGiveTheSameBits) {
  const RandomStream draws(6, "exact_sum_test.order");
  for (const int width : {3, 40, 400}) {
    auto values = draw(5000, 7, -width, width);
    const auto expected = bits(one_by_one(values));
    EXPECT_EQ(bits(at_once(values)), expected);
    for (std::uint64_t round = 0; round < 20; ++round) {
      for (std::size_t i = values.size(); i > 1; --i) {
        std::swap(values[i - 1], values[draws.below(round * 10000 + i, i)]);
      }
      EXPECT_EQ(bits(at_once(values)), expected);
      ExactSum whole, part;
      const std::size_t cut = draws.below(1000000 + round, values.size());
      part.add(std::span(values).first(cut));
      whole.add(std::span(values).subspan(cut));
      whole.add(part);
      EXPECT_EQ(bits(whole.value()), expected);
    }
  }
  // Not a matter of course: plain summation gives other digits.
  auto values = draw(5000, 7, -40, 40);
  double forward = 0, backward = 0;
  for (std::size_t i = 0; i < values.size(); ++i) forward += values[i], backward += values[values.size() - 1 - i];
  EXPECT_NE(forward, backward);
}

TEST(ExactSum, AgreesWithWholeNumberArithmetic) {  // terms n 2^e with e in 0..60: sums fit 128 bits
  const RandomStream draws(8, "exact_sum_test.whole");
  for (std::uint64_t round = 0; round < 200; ++round) {
    std::vector<double> values;
    __int128 expected = 0;
    for (std::uint64_t i = 0; i < 700; ++i) {
      const std::uint64_t key = round * 3000 + 3 * i;
      const auto whole = static_cast<std::int64_t>(draws.below(key, std::uint64_t{1} << 53));
      const auto shift = draws.below(key + 1, 61);
      const std::int64_t sign = draws.below(key + 2, 2) == 0 ? 1 : -1;
      values.push_back(static_cast<double>(sign) * std::ldexp(static_cast<double>(whole), static_cast<int>(shift)));
      expected += static_cast<__int128>(sign * whole) * (static_cast<__int128>(1) << shift);
    }
    ASSERT_EQ(one_by_one(values), static_cast<double>(expected));  // this conversion rounds once
    ASSERT_EQ(at_once(values), static_cast<double>(expected));
  }
}

TEST(ExactSum, ManyTermsDoNotOverflowTheLimbs) {  // doubling 33 times passes the 2^31 terms a limb can take
  ExactSum sum;
  for (int i = 0; i < 3; ++i) sum.add(largest), sum.add(least), sum.add(-1.0);
  ExactSum tiny;
  tiny.add(std::ldexp(std::nextafter(2.0, 1.0), -40));
  for (int doubling = 0; doubling < 60; ++doubling) {
    const ExactSum same = sum, same_tiny = tiny;
    sum.add(same);
    tiny.add(same_tiny);
  }
  EXPECT_EQ(sum.value(), infinity);
  EXPECT_EQ(tiny.value(), std::ldexp(std::nextafter(2.0, 1.0), 20));
  ExactSum back;
  for (int i = 0; i < 3; ++i) back.add(-largest), back.add(-least);
  for (int doubling = 0; doubling < 60; ++doubling) {
    const ExactSum same = back;
    back.add(same);
  }
  sum.add(back);
  EXPECT_EQ(sum.value(), -3 * std::ldexp(1, 60));
  sum.clear();
  EXPECT_EQ(sum.value(), 0);
}

TEST(ExactSum, SingleTermsNormaliseInTime) {  // 2^31 - 2 terms that fill their limbs, put together by doubling
  const double full = 0x1p53 - 1;
  ExactSum doubled, sum;
  doubled.add(full);
  for (int doubling = 1; doubling <= 30; ++doubling) {
    const ExactSum same = doubled;
    doubled.add(same);
    sum.add(doubled);
  }
  for (int i = 0; i < 10; ++i) sum.add(full);
  EXPECT_EQ(sum.value(), static_cast<double>(static_cast<__int128>(0x1fffffffffffff) * ((1LL << 31) + 8)));
}

}  // namespace
}  // namespace sanctuary
