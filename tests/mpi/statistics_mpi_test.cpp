#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/comm.hpp"
#include "base/random.hpp"
#include "solvers/statistics.hpp"

namespace sanctuary {
namespace {

const MPI_Comm everyone = MPI_COMM_WORLD, alone = MPI_COMM_SELF;

/// All values on every rank, and the share of this rank: dealt out like cards, but for the first rank, which gets none
/// of the second half.
struct Dealt {
  std::vector<double> all, all_weights, mine, weights;

  Dealt(std::size_t count, int exponents) {
    const RandomStream draws(21, "statistics_mpi_test");
    const auto ranks = static_cast<std::size_t>(size_of(everyone)), rank = static_cast<std::size_t>(rank_of(everyone));
    for (std::size_t i = 0; i < count; ++i) {
      const auto exponent = static_cast<int>(draws.below(3 * i, static_cast<std::uint64_t>(exponents)));
      all.push_back(std::ldexp(draws.uniform(3 * i + 1, -1, 1), exponent - exponents / 2));
      all_weights.push_back(draws.uniform(3 * i + 2));
      const std::size_t owner = i < count / 2 || ranks == 1 ? i % ranks : 1 + i % (ranks - 1);
      if (owner != rank) continue;
      mine.push_back(all.back());
      weights.push_back(all_weights.back());
    }
  }
};

void expect_same_bits(double ours, double reference) {
  EXPECT_EQ(std::bit_cast<std::uint64_t>(ours), std::bit_cast<std::uint64_t>(reference));
}

TEST(StatisticsOverRanks, HaveTheSameDigitsAsAlone) {
  for (const int exponents : {1, 50, 2000}) {
    const Dealt dealt(20000, exponents);
    expect_same_bits(exact_sum_over(everyone, dealt.mine), exact_sum_over(alone, dealt.all));
    expect_same_bits(norm1(everyone, dealt.mine), norm1(alone, dealt.all));
    expect_same_bits(norm2(everyone, dealt.mine), norm2(alone, dealt.all));
    expect_same_bits(norm_max(everyone, dealt.mine), norm_max(alone, dealt.all));
    expect_same_bits(weighted_sum(everyone, dealt.weights, dealt.mine),
                     weighted_sum(alone, dealt.all_weights, dealt.all));
    const std::vector<double> fractions{0, 0.001, 0.1, 0.5, 0.9, 0.999, 1}, edges{-1e3, -1, -0.5, 0, 1e-3, 0.2, 1, 1e9};
    EXPECT_EQ(quantiles(everyone, dealt.mine, dealt.weights, fractions),
              quantiles(alone, dealt.all, dealt.all_weights, fractions));
    EXPECT_EQ(quantiles(everyone, dealt.mine, {}, fractions), quantiles(alone, dealt.all, {}, fractions));
    const Histogram ours = histogram(everyone, dealt.mine, dealt.weights, edges);
    const Histogram reference = histogram(alone, dealt.all, dealt.all_weights, edges);
    EXPECT_EQ(ours.inside, reference.inside);
    EXPECT_EQ(ours.below, reference.below);
    EXPECT_EQ(ours.above, reference.above);
  }
}

TEST(StatisticsOverRanks, ManySumsInOneReduction) {
  std::vector<ExactSum> sums(5);
  const double rank = rank_of(everyone), ranks = size_of(everyone);
  for (std::size_t s = 0; s < sums.size(); ++s) {
    sums[s].add(static_cast<double>(s) * 1e300);
    sums[s].add(rank + 1);
    sums[s].add(static_cast<double>(s) * -1e300);
  }
  if (rank + 1 == ranks) sums[3].add(std::numeric_limits<double>::infinity());
  ExactSum::reduce(everyone, sums);
  for (std::size_t s = 0; s < sums.size(); ++s) {
    EXPECT_EQ(sums[s].value(), s == 3 ? std::numeric_limits<double>::infinity() : ranks * (ranks + 1) / 2);
  }
}

TEST(StatisticsOverRanks, IntegralOfAFieldIsTheSameOnAnyCut) {
  const GridSpec spec{{0, 0, 0}, {1e-5, 2e-5, 3e-5}, {17, 12, 9}};
  const auto fill = [](const Grid& grid) {
    std::vector<double> values;
    for (std::size_t c = 0; c < grid.local_cells(); ++c) {
      const auto [i, j, k] = grid.place(c);
      values.push_back(std::sin(0.1 * static_cast<double>(i + 31 * j + 977 * k)));
    }
    return values;
  };
  const Grid ours(everyone, spec), reference(alone, spec);
  expect_same_bits(integral(ours, fill(ours)), integral(reference, fill(reference)));
}

TEST(StatisticsOverRanks, TroubleOnOneRankIsRefusedByAll) {
  std::vector<double> values(10, 1.0);
  if (rank_of(everyone) + 1 == size_of(everyone)) values[3] = std::nan("");
  const std::vector<double> half{0.5}, edges{0, 1};
  EXPECT_THROW((void)quantiles(everyone, values, {}, half), InputError);
  EXPECT_THROW((void)histogram(everyone, values, {}, edges), InputError);
  EXPECT_TRUE(std::isnan(norm2(everyone, values)));
  EXPECT_TRUE(std::isnan(norm_max(everyone, values)));
}

}  // namespace
}  // namespace sanctuary
