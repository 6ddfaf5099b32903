#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "base/random.hpp"
#include "cohort/design.hpp"
#include "cohort/normal.hpp"

namespace sanctuary {
namespace {

using Points = std::vector<std::vector<double>>;

Design design(DesignKind kind, std::vector<std::string> keys, std::vector<std::uint64_t> blocks = {},
              std::vector<Correlation> correlations = {}, std::uint64_t seed = 5) {
  return Design({.kind = kind,
                 .seed = seed,
                 .keys = std::move(keys),
                 .blocks = std::move(blocks),
                 .correlations = std::move(correlations)});
}

Points draw(const Design& from, std::uint64_t first, std::uint64_t count) {
  Points points;
  for (std::uint64_t i = first; i < first + count; ++i) points.push_back(from.uniforms(i));
  return points;
}

std::string refusal(DesignPlan plan) {
  try {
    (void)Design(std::move(plan));
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

double score(double u) { return normal_quantile({u, 1 - u}); }

// L2 star discrepancy, squared (Warnock 1972).
double discrepancy(const Points& points) {
  const auto count = static_cast<double>(points.size());
  const std::size_t size = points.front().size();
  double single = 0, pairs = 0;
  for (const auto& x : points) {
    double product = 1;
    for (const double value : x) product *= 1 - value * value;
    single += product;
    for (const auto& y : points) {
      double both = 1;
      for (std::size_t i = 0; i < size; ++i) both *= 1 - std::max(x[i], y[i]);
      pairs += both;
    }
  }
  const auto dimensions = static_cast<double>(size);
  return std::pow(3, -dimensions) - std::pow(2, 1 - dimensions) / count * single + pairs / (count * count);
}

TEST(CohortDesign, NormalTailsAndQuantileAreInverse) {
  for (const double p : {1e-300, 1e-100, 1e-15, 1e-3, 0.3}) {
    EXPECT_NEAR(normal_tails(normal_quantile({p, 1 - p})).lower / p, 1, 1e-12);
    EXPECT_NEAR(normal_tails(normal_quantile({1 - p, p})).upper / p, 1, 1e-12);
  }
}

TEST(CohortDesign, LatinHypercubeHasOnePatientInEachStratum) {  // K1
  for (const std::uint64_t count : {1U, 2U, 3U, 7U, 16U, 97U, 100U, 1009U}) {
    constexpr std::uint64_t extension = 31;
    const Design latin = design(DesignKind::latin_hypercube, {"a", "b", "c"}, {count, extension});
    const auto expect_one_each = [&](std::uint64_t first, std::uint64_t size) {
      const Points points = draw(latin, first, size);
      for (std::size_t i = 0; i < 3; ++i) {
        std::set<std::uint64_t> strata;
        for (const auto& point : points) {
          EXPECT_GT(point[i], 0);
          EXPECT_LT(point[i], 1);
          strata.insert(static_cast<std::uint64_t>(point[i] * static_cast<double>(size)));
        }
        EXPECT_EQ(strata.size(), size);
        EXPECT_EQ(*strata.rbegin(), size - 1);
      }
    };
    expect_one_each(0, count);
    expect_one_each(count, extension);
    EXPECT_THROW((void)latin.uniforms(count + extension), InputError);
  }
}

TEST(CohortDesign, ExtensionOfALatinHypercubeKeepsItsPatients) {
  const Design small = design(DesignKind::latin_hypercube, {"a", "b"}, {20});
  const Design extended = design(DesignKind::latin_hypercube, {"a", "b"}, {20, 30});
  EXPECT_EQ(draw(small, 0, 20), draw(extended, 0, 20));
}

TEST(CohortDesign, PermutationsAreFairAndDifferByPurpose) {
  for (const std::uint64_t size : {1U, 2U, 5U, 64U, 65U, 1009U}) {
    std::set<std::uint64_t> images;
    for (std::uint64_t i = 0; i < size; ++i) images.insert(permuted(i, size, 3, "fair"));
    EXPECT_EQ(images.size(), size);
    EXPECT_EQ(*images.rbegin(), size - 1);
  }
  std::vector<int> orders(6, 0);  // of three
  constexpr int seeds = 6000;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const std::uint64_t first = permuted(0, 3, seed, "fair"), second = permuted(1, 3, seed, "fair");
    ++orders[2 * first + (second > 3 - first - second ? 1 : 0)];
  }
  for (const int hits : orders) EXPECT_NEAR(hits, seeds / 6.0, 4 * std::sqrt(seeds / 6.0));
  EXPECT_NE(permuted(0, 1009, 3, "fair"), permuted(0, 1009, 3, "other"));
}

TEST(CohortDesign, LatinHypercubeParametersAreUncorrelated) {
  constexpr std::uint64_t count = 2000;
  const Points points = draw(design(DesignKind::latin_hypercube, {"a", "b"}, {count}), 0, count);
  double product = 0;
  for (const auto& point : points) product += 12 * (point[0] - 0.5) * (point[1] - 0.5) / count;
  EXPECT_NEAR(product, 0, 4 / std::sqrt(count));
}

TEST(CohortDesign, APatientIsTheSameAloneAndAmongOthers) {
  const Design alone = design(DesignKind::monte_carlo, {"vessel.density"});
  const Design among = design(DesignKind::monte_carlo, {"cell.size", "vessel.density", "drug.clearance"});
  EXPECT_EQ(alone.uniforms(4711)[0], among.uniforms(4711)[1]);
  EXPECT_EQ(alone.uniforms(4711)[0], RandomStream(5, "vary.vessel.density").uniform(4711));
  const Design latin = design(DesignKind::latin_hypercube, {"a", "b"}, {5000});
  const Design latin_among = design(DesignKind::latin_hypercube, {"b", "c"}, {5000});
  EXPECT_EQ(latin.uniforms(4711)[1], latin_among.uniforms(4711)[0]);
  for (const DesignKind kind :
       {DesignKind::monte_carlo, DesignKind::latin_hypercube, DesignKind::sobol, DesignKind::saltelli}) {
    const std::vector<std::uint64_t> blocks =
        kind == DesignKind::latin_hypercube ? std::vector<std::uint64_t>{5000} : std::vector<std::uint64_t>{};
    const Design one = design(kind, {"a", "b"}, blocks);
    const std::vector<double> first = one.uniforms(4711);
    (void)draw(one, 0, 10);
    EXPECT_EQ(one.uniforms(4711), first);
    EXPECT_EQ(design(kind, {"a", "b"}, blocks).uniforms(4711), first);
    EXPECT_NE(design(kind, {"a", "b"}, blocks, {}, 6).uniforms(4711), first);
    EXPECT_NE(one.uniforms(4712), first);
  }
}

TEST(CohortDesign, SobolHasOnePointPerElementaryInterval) {
  constexpr unsigned power = 10;
  constexpr std::uint64_t count = 1U << power;
  const Design sobol = design(DesignKind::sobol, {"a", "b", "c", "d", "e", "f", "g"});
  for (const std::uint64_t block : {0U, 1U, 5U}) {
    const Points points = draw(sobol, block * count, count);
    const auto cell = [](double u, unsigned bits) { return static_cast<std::uint64_t>(std::ldexp(u, int(bits))); };
    for (std::size_t i = 0; i < 7; ++i) {
      std::set<std::uint64_t> strata;
      for (const auto& point : points) strata.insert(cell(point[i], power));
      EXPECT_EQ(strata.size(), count);
    }
    for (unsigned wide = 0; wide <= power; ++wide) {  // the first two dimensions are a (0, 2)-sequence
      std::set<std::uint64_t> boxes;
      for (const auto& point : points) {
        boxes.insert((cell(point[0], wide) << (power - wide)) | cell(point[1], power - wide));
      }
      EXPECT_EQ(boxes.size(), count) << wide;
    }
  }
}

TEST(CohortDesign, FirstSobolDimensionMirrorsTheBitsOfTheIndex) {  // van der Corput, up to flips of its own tree
  const Design sobol = design(DesignKind::sobol, {"a"});
  const auto leading = [&](std::uint64_t index, int bits) {
    return static_cast<int>(std::ldexp(sobol.uniforms(index)[0], bits));
  };
  for (std::uint64_t index = 0; index < 64; ++index) {
    for (int bits = 1; bits <= 6; ++bits) EXPECT_EQ(leading(index, bits), leading(index % (1U << bits), bits));
  }
}

TEST(CohortDesign, SobolIsFarMoreEvenThanMonteCarlo) {
  constexpr std::uint64_t count = 1024;
  const std::vector<std::string> keys{"a", "b", "c"};
  const double chance = (std::pow(2, -3) - std::pow(3, -3)) / count;  // expected square of random points
  const double random = discrepancy(draw(design(DesignKind::monte_carlo, keys), 0, count));
  const double even = discrepancy(draw(design(DesignKind::sobol, keys), 0, count));
  RecordProperty("random", std::to_string(random / chance));
  RecordProperty("even", std::to_string(even / chance));
  EXPECT_GT(random, chance / 5);
  EXPECT_LT(random, 5 * chance);
  // (log N)^(d - 1) / N against 1 / sqrt(N), squared, is 2.3 here at worst; scrambled points do far better.
  EXPECT_LT(even, chance / 50);
}

TEST(CohortDesign, ErrorOfScrambledSobolFallsFasterThanTheNumberRises) {
  const auto error = [](std::uint64_t count) {  // root mean square over seeds
    double square = 0;
    constexpr std::uint64_t seeds = 40;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      double mean = 0;
      for (const auto& u : draw(design(DesignKind::sobol, {"a", "b", "c"}, {}, {}, seed), 0, count)) {
        mean += 8 * u[0] * u[1] * u[2] / static_cast<double>(count);
      }
      square += (mean - 1) * (mean - 1) / seeds;
    }
    return std::sqrt(square);
  };
  const double coarse = error(64), fine = error(1024);
  RecordProperty("coarse", std::to_string(coarse));
  RecordProperty("fine", std::to_string(fine));
  EXPECT_LT(fine, 0.02 * std::sqrt((std::pow(4.0 / 3, 3) - 1) / 1024));  // Monte Carlo
  EXPECT_GT(coarse / fine, 2 * 16);                                      // Monte Carlo 4, points shifted together 16
}

TEST(CohortDesign, SobolOfManyDimensionsHasUniformMeansAndNoCorrelations) {
  std::vector<std::string> keys;
  for (int i = 0; i < 40; ++i) keys.push_back("k" + std::to_string(i));
  constexpr std::uint64_t count = 2048;
  const Points points = draw(design(DesignKind::sobol, keys), 0, count);
  for (std::size_t i = 1; i < keys.size(); ++i) {
    double product = 0;
    for (const auto& u : points) product += 12 * (u[i] - 0.5) * (u[i - 1] - 0.5) / count;
    EXPECT_NEAR(product, 0, 4 / std::sqrt(count)) << i;
  }
  EXPECT_THROW((void)design(DesignKind::sobol, keys).uniforms(1ULL << 32), InputError);
}

TEST(CohortDesign, SaltelliGroupsShareColumns) {
  const Design saltelli = design(DesignKind::saltelli, {"a", "b", "c"});
  EXPECT_EQ(saltelli.group_size(), 5U);
  EXPECT_EQ(saltelli.group_of(17), 3U);
  EXPECT_EQ(saltelli.role_of(17), 2U);
  const auto a = saltelli.uniforms(15), b = saltelli.uniforms(16);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NE(a[i], b[i]);
    std::vector<double> mixed = a;
    mixed[i] = b[i];
    EXPECT_EQ(saltelli.uniforms(17 + i), mixed);
  }
  EXPECT_EQ(design(DesignKind::sobol, {"a"}).group_of(17), 17U);
  EXPECT_EQ(design(DesignKind::sobol, {"a"}).role_of(17), 0U);
}

TEST(CohortDesign, CopulaHasTheCorrelationOfTheScores) {
  constexpr std::uint64_t count = 20000, few = 2500;
  const std::vector<Correlation> pairs{{0, 1, 0.7}, {1, 2, -0.4}};
  const Points points = draw(design(DesignKind::monte_carlo, {"a", "b", "c", "d"}, {}, pairs), 0, count);
  const auto pearson = [&](std::size_t i, std::size_t j) {
    double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    for (const auto& u : points) {
      const double a = score(u[i]), b = score(u[j]);
      x += a / count, y += b / count, xx += a * a / count, yy += b * b / count, xy += a * b / count;
    }
    return (xy - x * y) / std::sqrt((xx - x * x) * (yy - y * y));
  };
  const auto kendall = [&](std::size_t i, std::size_t j) {
    double sum = 0;
    for (std::size_t p = 0; p < few; ++p) {
      for (std::size_t q = 0; q < p; ++q) {
        sum += (points[p][i] - points[q][i]) * (points[p][j] - points[q][j]) > 0 ? 1 : -1;
      }
    }
    return sum / (0.5 * few * (few - 1));
  };
  for (const auto& [i, j, rho] : std::vector<Correlation>{{0, 1, 0.7}, {1, 2, -0.4}, {0, 2, 0}, {0, 3, 0}, {2, 3, 0}}) {
    EXPECT_NEAR(pearson(i, j), rho, 4 * (1 - rho * rho) / std::sqrt(count)) << i << j;
    EXPECT_NEAR(kendall(i, j), 2 / std::numbers::pi * std::asin(rho), 4 * (2.0 / 3) / std::sqrt(few)) << i << j;
  }
}

TEST(CohortDesign, CopulaKeepsMarginalsUniform) {
  constexpr std::uint64_t count = 20000;
  const std::vector<std::string> keys{"a", "b", "c"};
  const Points free = draw(design(DesignKind::monte_carlo, keys), 0, count);
  const Points tied = draw(design(DesignKind::monte_carlo, keys, {}, {{0, 2, -0.9}}), 0, count);
  std::vector<double> last;
  for (std::size_t p = 0; p < count; ++p) {
    EXPECT_EQ(free[p][0], tied[p][0]);
    EXPECT_EQ(free[p][1], tied[p][1]);
    last.push_back(tied[p][2]);
  }
  std::sort(last.begin(), last.end());
  EXPECT_GT(last.front(), 0);
  EXPECT_LT(last.back(), 1);
  double distance = 0;
  for (std::size_t p = 0; p < count; ++p) distance = std::max(distance, std::abs(last[p] - (double(p) + 0.5) / count));
  EXPECT_LT(distance, 1.95 / std::sqrt(count));  // 0.1 % level of Kolmogorov
}

TEST(CohortDesign, CopulaFollowsIntoTheTails) {
  const Design tied = design(DesignKind::monte_carlo, {"a", "b"}, {}, {{0, 1, 1 - 1e-11}});
  for (std::uint64_t p = 0; p < 1000; ++p) {
    const auto u = tied.uniforms(p);
    EXPECT_NEAR(score(u[1]), score(u[0]), 5 * std::sqrt(2e-11));
  }
}

TEST(CohortDesign, RefusalsNameThePairs) {
  const std::vector<std::string> keys{"p", "q", "r"};
  const auto correlated = [&](std::vector<Correlation> pairs, DesignKind kind = DesignKind::monte_carlo) {
    return refusal({.kind = kind, .seed = 1, .keys = keys, .blocks = {}, .correlations = std::move(pairs)});
  };
  EXPECT_EQ(correlated({{0, 1, 0.9}, {1, 2, 0.9}, {0, 2, -0.9}}),
            "the correlations of p and q (0.9), q and r (0.9), p and r (-0.9) cannot hold together: the smallest "
            "eigenvalue of their matrix is -0.8; expected a positive one; make them weaker");
  EXPECT_EQ(correlated({{0, 1, 0.9}, {1, 0, 0.9}}), "correlation of q and p is given twice; expected each pair once");
  EXPECT_EQ(correlated({{0, 1, 1}}), "correlation 1 of p and q; expected a number between -1 and 1, without these");
  EXPECT_EQ(correlated({{1, 1, 0.5}}), "correlation of q and q; expected two parameters");
  EXPECT_EQ(correlated({{0, 3, 0.5}}),
            "a correlation of parameters 0 and 3; expected places below 3, the number of parameters that vary");
  EXPECT_EQ(correlated({{0, 1, 0.5}}, DesignKind::saltelli).substr(0, 34), "correlations in a Saltelli design;");
  EXPECT_EQ(refusal({.keys = {"p", "p"}}), "p: varies twice; expected each parameter once");
  EXPECT_EQ(refusal({.kind = DesignKind::latin_hypercube, .keys = {"p"}}),
            "a Latin hypercube without blocks; expected the number of patients");
  EXPECT_EQ(refusal({.keys = {"p"}, .blocks = {3}}), "blocks of patients; expected them for a Latin hypercube alone");
}

TEST(CohortDesign, SeedsAreWholeDoublesOfTheirOwn) {
  std::set<std::uint64_t> seen;
  for (std::uint64_t patient = 0; patient < 1000; ++patient) {
    const std::uint64_t seed = seed_for(1, patient, "network.generate.seed");
    EXPECT_LT(seed, 1ULL << 53);
    EXPECT_EQ(static_cast<std::uint64_t>(static_cast<double>(seed)), seed);
    seen.insert(seed);
  }
  EXPECT_EQ(seen.size(), 1000U);
  EXPECT_NE(seed_for(1, 5, "network.generate.seed"), seed_for(1, 5, "other.seed"));
  EXPECT_NE(seed_for(1, 5, "network.generate.seed"), seed_for(2, 5, "network.generate.seed"));
}

}  // namespace
}  // namespace sanctuary
