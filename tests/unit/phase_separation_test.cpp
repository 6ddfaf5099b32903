#include "solvers/network/phase_separation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace sanctuary {
namespace {

double cells_out(const std::vector<double>& flow, const std::vector<double>& haematocrit) {
  return std::inner_product(flow.begin(), flow.end(), haematocrit.begin(), 0.0);
}

std::vector<double> split(const SplitLaw& law, double inflow, double parent, const std::vector<double>& flow,
                          const std::vector<double>& diameter) {
  std::vector<double> haematocrit(flow.size());
  split_red_cells(law, inflow, parent, flow, diameter, haematocrit);
  return haematocrit;
}

struct Case {
  double flow_share, parent, a, b, share_2005, share_1989;  // diameters [um]
};
constexpr std::array<Case, 6> cases{{{0.30, 10, 8, 8, 0.20871, 0.21599},
                                     {0.30, 10, 6, 8, 0.24452, 0.25181},
                                     {0.30, 8, 6, 6, 0.18601, 0.19560},
                                     {0.10, 8, 6, 6, 0.00860, 0.01488},
                                     {0.05, 8, 6, 6, 0.0, 0.0},
                                     {0.50, 10, 8, 6, 0.44901, 0.45011}}};

TEST(PhaseSeparation, HandWorkedShares) {  // model sources A3, inflow haematocrit 0.45
  for (const auto& c : cases) {
    EXPECT_NEAR(red_cell_share(SplitForm::pries_2005, c.flow_share, 0.45, c.parent * 1e-6, c.a * 1e-6, c.b * 1e-6),
                c.share_2005, 1e-5);
    EXPECT_NEAR(red_cell_share(SplitForm::pries_1989, c.flow_share, 0.45, c.parent * 1e-6, c.a * 1e-6, c.b * 1e-6),
                c.share_1989, 1e-5);
  }
}

TEST(PhaseSeparation, HandWorkedHaematocrits) {
  const auto equal = split({}, 0.45, 10e-6, {0.3, 0.7}, {8e-6, 8e-6});
  EXPECT_NEAR(equal[0], 0.3131, 1e-4);
  EXPECT_NEAR(equal[1], 0.5087, 1e-4);
  const auto unequal = split({}, 0.45, 10e-6, {0.3, 0.7}, {6e-6, 8e-6});
  EXPECT_NEAR(unequal[0], 0.3668, 1e-4);
  EXPECT_NEAR(unequal[1], 0.4857, 1e-4);
  const auto skimmed = split({}, 0.45, 8e-6, {0.05, 0.95}, {6e-6, 6e-6});
  EXPECT_EQ(skimmed[0], 0.0);
  EXPECT_NEAR(skimmed[1], 0.4737, 1e-4);
}

TEST(PhaseSeparation, SharesOfBothDaughtersSumToOne) {
  for (const auto form : {SplitForm::pries_2005, SplitForm::pries_1989, SplitForm::proportional})
    for (const double share : {0.01, 0.2, 0.5, 0.73, 0.97})
      for (const double parent : {0.7e-6, 4e-6, 20e-6})
        EXPECT_NEAR(red_cell_share(form, share, 0.4, parent, 5e-6, 9e-6) +
                        red_cell_share(form, 1 - share, 0.4, parent, 9e-6, 5e-6),
                    1.0, 1e-14);
}

TEST(PhaseSeparation, ConservesCellsAndBoundsHaematocritForAnyNumberOfDaughters) {
  std::mt19937 engine(7);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (const auto form : {SplitForm::pries_2005, SplitForm::pries_1989, SplitForm::proportional})
    for (const auto many : {ManyDaughters::sequential, ManyDaughters::each_against_rest})
      for (int trial = 0; trial < 2000; ++trial) {
        const SplitLaw law{.form = form, .many = many};
        const std::size_t daughters = 1 + trial % 6;
        std::vector<double> flow(daughters), diameter(daughters);
        for (std::size_t i = 0; i < daughters; ++i) {
          flow[i] = 1e-14 * std::pow(10.0, 4 * uniform(engine) - 4);
          diameter[i] = (3 + 20 * uniform(engine)) * 1e-6;
        }
        const double inflow = 0.99 * uniform(engine);
        const auto haematocrit = split(law, inflow, (3 + 20 * uniform(engine)) * 1e-6, flow, diameter);
        const double in = inflow * std::accumulate(flow.begin(), flow.end(), 0.0);
        EXPECT_NEAR(cells_out(flow, haematocrit), in, 1e-14 * in);
        for (const double h : haematocrit) {
          EXPECT_GE(h, 0.0);
          EXPECT_LE(h, std::max(0.9, inflow) * (1 + 1e-14));
        }
      }
}

TEST(PhaseSeparation, OrderOfDaughtersChangesNothing) {
  const std::vector<double> flow{3e-15, 1e-15, 1e-15, 7e-15, 1e-15}, diameter{8e-6, 6e-6, 5e-6, 12e-6, 6e-6};
  for (const auto many : {ManyDaughters::sequential, ManyDaughters::each_against_rest}) {
    const SplitLaw law{.many = many};
    const auto first = split(law, 0.4, 14e-6, flow, diameter);
    EXPECT_EQ(first[1], first[4]);  // equal daughters share equally
    std::vector<std::size_t> order{0, 1, 2, 3, 4};
    do {
      std::vector<double> f, d;
      for (const auto i : order) {
        f.push_back(flow[i]);
        d.push_back(diameter[i]);
      }
      const auto again = split(law, 0.4, 14e-6, f, d);
      for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(again[i], first[order[i]]);
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST(PhaseSeparation, BothRulesAgreeWithTheLawForTwoDaughters) {
  for (const auto& c : cases) {
    const std::vector<double> flow{c.flow_share, 1 - c.flow_share}, diameter{c.a * 1e-6, c.b * 1e-6};
    const auto one = split({.many = ManyDaughters::sequential}, 0.45, c.parent * 1e-6, flow, diameter);
    const auto two = split({.many = ManyDaughters::each_against_rest}, 0.45, c.parent * 1e-6, flow, diameter);
    EXPECT_NEAR(one[0], 0.45 * c.share_2005 / c.flow_share, 1e-4);
    EXPECT_NEAR(one[0], two[0], 1e-14);
  }
}

TEST(PhaseSeparation, SequentialRuleIsTheStatedChain) {
  // Smallest flow first against the rest, for which the widest daughter stands; then that one is the parent.
  const double first = red_cell_share(SplitForm::pries_2005, 0.15, 0.45, 12e-6, 6e-6, 10e-6);
  const double left = 1 - first;
  const double second =
      left * red_cell_share(SplitForm::pries_2005, 0.25 / 0.85, 0.45 * left / 0.85, 10e-6, 8e-6, 10e-6);
  const auto haematocrit =
      split({.many = ManyDaughters::sequential}, 0.45, 12e-6, {0.6, 0.15, 0.25}, {10e-6, 6e-6, 8e-6});
  EXPECT_NEAR(haematocrit[1], 0.45 * first / 0.15, 1e-14);
  EXPECT_NEAR(haematocrit[2], 0.45 * second / 0.25, 1e-14);
  EXPECT_NEAR(haematocrit[0], 0.45 * (left - second) / 0.6, 1e-14);
}

TEST(PhaseSeparation, ContinuousRuleHasNoJumpWhereFlowsCross) {
  const SplitLaw law{.many = ManyDaughters::each_against_rest};
  const auto left = split(law, 0.45, 12e-6, {1.0, 1.0 + 1e-9, 2.0}, {6e-6, 9e-6, 10e-6});
  const auto right = split(law, 0.45, 12e-6, {1.0, 1.0 - 1e-9, 2.0}, {6e-6, 9e-6, 10e-6});
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(left[i], right[i], 1e-7);
}

TEST(PhaseSeparation, ContinuousRuleHasNoJumpWhereTheWidestDaughterComesToRest) {
  const SplitLaw law{.many = ManyDaughters::each_against_rest};
  const auto two = split(law, 0.45, 12e-6, {0.4, 0.6}, {6e-6, 9e-6});
  const auto three = split(law, 0.45, 12e-6, {0.4, 0.6, 1e-10}, {6e-6, 9e-6, 14e-6});
  EXPECT_NEAR(two[0], three[0], 1e-8);
  EXPECT_NEAR(two[1], three[1], 1e-8);
}

TEST(PhaseSeparation, ContinuousRuleTakesTheMeanDiameterOfTheRest) {
  const double f = 0.2, a = 0.3, b = 0.5;
  const auto share = [&](double own, double d, double other, double e, double third, double g) {
    return red_cell_share(SplitForm::pries_2005, own, 0.45, 12e-6, d, (other * e + third * g) / (other + third));
  };
  const double first = share(f, 6e-6, a, 8e-6, b, 10e-6), second = share(a, 8e-6, f, 6e-6, b, 10e-6),
               third = share(b, 10e-6, f, 6e-6, a, 8e-6);
  const auto haematocrit =
      split({.many = ManyDaughters::each_against_rest}, 0.45, 12e-6, {f, a, b}, {6e-6, 8e-6, 10e-6});
  EXPECT_NEAR(haematocrit[0], 0.45 * first / (first + second + third) / f, 1e-14);
}

TEST(PhaseSeparation, ExcessOverTheCapGoesToTheOthers) {
  const SplitLaw law{.highest_haematocrit = 0.6};
  const auto free = split({.highest_haematocrit = 0.99}, 0.55, 6e-6, {0.35, 0.65}, {5e-6, 5e-6});
  ASSERT_GT(free[1], 0.6);
  const auto capped = split(law, 0.55, 6e-6, {0.35, 0.65}, {5e-6, 5e-6});
  EXPECT_DOUBLE_EQ(capped[1], 0.6);
  EXPECT_NEAR(0.35 * capped[0] + 0.65 * capped[1], 0.55, 1e-15);
  EXPECT_GT(capped[0], free[0]);
}

TEST(PhaseSeparation, DaughtersWithoutFlowTakeNothing) {
  const auto haematocrit = split({}, 0.45, 10e-6, {0.0, 0.3, 0.7}, {9e-6, 6e-6, 8e-6});
  EXPECT_EQ(haematocrit[0], 0.45);
  EXPECT_NEAR(haematocrit[1], 0.3668, 1e-4);
}

}  // namespace
}  // namespace sanctuary
