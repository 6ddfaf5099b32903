#include "outcomes/sanctuary.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace sanctuary {
namespace {

constexpr double ln10 = std::numbers::ln10;

/// Cells given by share in cycle and hazards in decades, of densities 1, 2, 4, ... so that every sum of cells is
/// another.
struct Case {
  std::vector<double> cycling, quiescent, share, density, fraction;
  std::array<double, 2> reference{4 * ln10, 0.4 * ln10};
  double reference_share = 1;

  void add(double w, double decades_cycling, double decades_quiescent, double viable_fraction = 0.5) {
    cycling.push_back(decades_cycling * ln10);
    quiescent.push_back(decades_quiescent * ln10);
    share.push_back(w);
    density.push_back(std::ldexp(1e12, static_cast<int>(density.size())));
    fraction.push_back(viable_fraction);
  }
  [[nodiscard]] Sanctuary find() const {
    return find_sanctuary(MPI_COMM_SELF, {.hazard_cycling = cycling,
                                          .hazard_quiescent = quiescent,
                                          .cycling_share = share,
                                          .viable_density = density,
                                          .viable_fraction = fraction,
                                          .reference_hazard = reference,
                                          .reference_cycling_share = reference_share,
                                          .viable_mask = 0.05,
                                          .cell_volume = 2e-15});
  }
};

/// One cell of each kind, in the order of the names below, at L_ref = 4 and so a threshold of 1.
Case one_of_each() {
  Case c;
  c.add(1, 0.45, 0.045);       // delivery: too little drug here
  c.add(0, 4, 0.4);            // protection: full drug on quiescent cells
  c.add(0, 0.5, 0.05);         // both
  c.add(0.95, 1.1, 0.11);      // joint: a little of each
  c.add(0, 0.5, 2);            // rescued: under the threshold by drug and by state, and yet dead
  c.add(1, 4, 0.4);            // no sanctuary
  c.add(1, 0.1, 0.01, 0.049);  // outside the mask
  c.add(0.9, 1.9, 1.9);        // killed, but not by twice the threshold
  return c;
}

double share(std::initializer_list<int> cells) {
  double sum = 0;
  for (const int c : cells) sum += std::ldexp(1.0, c);
  return sum / 255;
}

TEST(LogKill, IsMinusTheLogarithmOfTheSurvivingShare) {
  for (const double w : {0.0, 0.1, 0.5, 1.0}) {
    for (const double k : {0.0, 0.3, 5.0}) {
      const double q = 0.3 * k;
      EXPECT_NEAR(log_kill(w, k, q), -std::log10(w * std::exp(-k) + (1 - w) * std::exp(-q)), 1e-15);
    }
  }
}

TEST(LogKill, OfLargeHazardsNeitherOverflowsNorUnderflows) {
  // 10^-5000 (0.25 + 0.75/10), by logarithms to base 10.
  EXPECT_NEAR(log_kill(0.25, 5000 * ln10, 5001 * ln10), 5000 - std::log10(0.325), 1e-9);
  EXPECT_NEAR(log_kill(0.25, 9000 * ln10, 300 * ln10), 300 - std::log10(0.75), 1e-10);
  EXPECT_NEAR(log_kill(1, 5000 * ln10, 0), 5000, 1e-9);
  EXPECT_NEAR(log_kill(0, 0, 5000 * ln10), 5000, 1e-9);
}

TEST(Sanctuary, LabelsEveryCellByWhatSavesIt) {
  const Sanctuary s = one_of_each().find();
  EXPECT_DOUBLE_EQ(s.reference_log_kill, 4);
  EXPECT_DOUBLE_EQ(s.threshold, 1);
  EXPECT_FALSE(s.threshold_relative);
  EXPECT_TRUE(s.direct_effect);
  EXPECT_EQ(s.label, (std::vector<int>{1 + 2, 1 + 4, 1 + 2 + 4, 1, 2 + 4, 0, -1, 0}));
  EXPECT_NEAR(s.log_kill[0], 0.45, 1e-14);
  EXPECT_NEAR(s.log_kill[3], -std::log10(0.95 * std::pow(10, -1.1) + 0.05 * std::pow(10, -0.11)), 1e-14);
  EXPECT_EQ(s.log_kill[6], 0);
}

TEST(Sanctuary, SharesAreOfTheViableCellsAtTheStartWhollyCounted) {
  const Sanctuary s = one_of_each().find();
  EXPECT_NEAR(s.delivery.share, share({0}), 1e-15);
  EXPECT_NEAR(s.protection.share, share({1}), 1e-15);
  EXPECT_NEAR(s.both.share, share({2}), 1e-15);
  EXPECT_NEAR(s.joint.share, share({3}), 1e-15);
  EXPECT_NEAR(s.rescued.share, share({4}), 1e-15);
  EXPECT_NEAR(s.s1.share, share({0, 1, 2, 3}), 1e-15);
  EXPECT_NEAR(s.s2.share, share({0, 2, 4}), 1e-15);
  EXPECT_NEAR(s.s4.share, share({1, 2, 4}), 1e-15);
  EXPECT_NEAR(s.mask.share, share({0, 1, 2, 3, 4, 5, 7}), 1e-15);
  EXPECT_NEAR(s.mask.volume, 7 * 2e-15, 1e-28);
  EXPECT_NEAR(s.s1.volume, 4 * 2e-15, 1e-28);
}

TEST(Sanctuary, FourPartsSplitS1Exactly) {
  const Sanctuary s = one_of_each().find();
  EXPECT_DOUBLE_EQ(s.delivery.share + s.protection.share + s.both.share + s.joint.share, s.s1.share);
  EXPECT_DOUBLE_EQ(s.delivery.volume + s.protection.volume + s.both.volume + s.joint.volume, s.s1.volume);
}

TEST(Sanctuary, RobustnessMovesTheThresholdOfS1) {
  const Sanctuary s = one_of_each().find();
  EXPECT_NEAR(s.robustness[0].share, share({0, 1, 2}), 1e-15);  // under 0.5
  EXPECT_NEAR(s.robustness[1].share, s.s1.share, 1e-15);
  EXPECT_NEAR(s.robustness[2].share, share({0, 1, 2, 3, 7}), 1e-15);  // under 2; the rescued cell stands at 2
}

TEST(Sanctuary, ThresholdIsHalfTheReferenceUpToOne) {
  const auto at = [](double decades) {
    Case c;
    c.reference = {decades * ln10, 0.3 * decades * ln10};
    c.add(1, 0.2, 0.06);
    return c.find();
  };
  EXPECT_NEAR(at(3).threshold, 1, 1e-15);
  EXPECT_NEAR(at(1.6).threshold, 0.8, 1e-15);
  EXPECT_NEAR(at(0.5).threshold, 0.25, 1e-15);
  EXPECT_FALSE(at(1.0001).threshold_relative);
  EXPECT_TRUE(at(0.9999).threshold_relative);
  EXPECT_EQ(at(0.5).label, std::vector<int>{3});   // 0.2 is under 0.25
  EXPECT_EQ(at(0.39).label, std::vector<int>{0});  // and above 0.195
}

TEST(Sanctuary, WithoutADirectEffectNoPartIsReported) {
  Case c = one_of_each();
  c.reference = {0.0999 * ln10, 0.03 * ln10};
  const Sanctuary without = c.find();
  EXPECT_FALSE(without.direct_effect);
  for (const Part& p : {without.s1, without.s2, without.s4, without.delivery, without.protection, without.both,
                        without.joint, without.rescued, without.robustness[0], without.robustness[2]}) {
    EXPECT_EQ(p.share, 0);
    EXPECT_EQ(p.volume, 0);
  }
  EXPECT_GT(without.mask.share, 0);
  c.reference = {0.1001 * ln10, 0.03 * ln10};
  EXPECT_TRUE(c.find().direct_effect);
}

TEST(Sanctuary, OfNoTumourIsEmpty) {
  const Sanctuary s = Case{}.find();
  EXPECT_EQ(s.s1.share, 0);
  EXPECT_EQ(s.mask.volume, 0);
}

}  // namespace
}  // namespace sanctuary
