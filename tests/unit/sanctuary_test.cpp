#include "outcomes/sanctuary.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
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
  [[nodiscard]] SanctuaryInput input() const {
    SanctuaryInput in;
    in.clones = {
        {.share = {}, .hazard_cycling = cycling, .hazard_quiescent = quiescent, .reference_hazard = reference}};
    in.cycling_share = share;
    in.viable_density = density;
    in.viable_fraction = fraction;
    in.reference_cycling_share = reference_share;
    in.viable_mask = 0.05;
    in.cell_volume = 2e-15;
    return in;
  }
  [[nodiscard]] Sanctuary find() const { return find_sanctuary(MPI_COMM_SELF, input()); }
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

TEST(LogKill, OfManyKindsIsThatOfTheirSum) {
  const std::array weight{0.1, 0.2, 0.3, 0.4}, hazard{1.0, 0.5, 2.0, 0.1};
  double left = 0;
  for (std::size_t i = 0; i < weight.size(); ++i) left += weight[i] * std::exp(-hazard[i]);
  EXPECT_NEAR(log_kill(weight, hazard), -std::log10(left), 1e-15);
  // 10^-5000 (0.1 + 0.9/10); the kind of no cells would survive.
  EXPECT_NEAR(log_kill(std::array{0.1, 0.9, 0.0}, std::array{5000 * ln10, 5001 * ln10, 0.0}), 5000 - std::log10(0.19),
              1e-9);
  EXPECT_EQ(log_kill(std::array{0.0, 0.0}, std::array{1.0, 2.0}), 0);
}

TEST(Sanctuary, AResistantCloneProtects) {
  // Both clones in cycle. The second takes a twentieth of the hazard: 4 decades against 0.2.
  const std::vector<double> cycling(3, 1), density{1e12, 2e12, 4e12}, fraction(3, 0.5), sensitive(3, 4 * ln10),
      quiescent(3, 0.4 * ln10), resistant(3, 0.2 * ln10), none(3, 0);
  const std::array<std::vector<double>, 2> share{{{0.5, 0.999, 1}, {0.5, 0.001, 0}}};
  SanctuaryInput in;
  in.clones = {
      {.share = share[0],
       .hazard_cycling = sensitive,
       .hazard_quiescent = quiescent,
       .reference_hazard = {4 * ln10, 0.4 * ln10}},
      {.share = share[1], .hazard_cycling = resistant, .hazard_quiescent = none, .reference_hazard = {0.2 * ln10, 0}}};
  in.cycling_share = cycling;
  in.viable_density = density;
  in.viable_fraction = fraction;
  in.reference_cycling_share = 1;
  in.cell_volume = 1e-15;
  const Sanctuary s = find_sanctuary(MPI_COMM_SELF, in);
  EXPECT_DOUBLE_EQ(s.reference_log_kill, 4);              // of the sensitive clone alone
  EXPECT_EQ(s.label, (std::vector<int>{1 + 4, 0, 0}));    // protection: enough drug for the sensitive cells
  EXPECT_NEAR(s.log_kill[0], 0.5009611700811079, 1e-14);  // -log10(0.5 10^-4 + 0.5 10^-0.2)
  EXPECT_NEAR(s.log_kill[1], 3.1361673843979525, 1e-13);  // -log10(0.999 10^-4 + 0.001 10^-0.2)
  EXPECT_NEAR(s.log_kill[2], 4, 1e-14);
  EXPECT_NEAR(s.protection.share, 1.0 / 7, 1e-15);
  EXPECT_EQ(s.delivery.share + s.both.share + s.joint.share, 0);
  const double r = std::pow(10, -0.2);
  EXPECT_NEAR(s.resistant_in_s1, 0.5 * r / (0.5e-4 + 0.5 * r), 1e-14);
  EXPECT_NEAR(s.resistant_in_mask, (0.5 * r + 2 * 0.001 * r) / (0.5e-4 + 0.5 * r + 2 * (0.999e-4 + 0.001 * r) + 4e-4),
              1e-14);
}

TEST(Sanctuary, AStateThatBluntsTheDrugIsProtectionNotDelivery) {
  // Hypoxic cells die by 0.5 decades; the reference cell would by 4 on what comes here; more drug would not help.
  Case c;
  c.add(1, 0.5, 0.05);
  SanctuaryInput in = c.input();
  EXPECT_EQ(find_sanctuary(MPI_COMM_SELF, in).label, std::vector<int>{1 + 2});
  const std::vector<double> exposed{4 * ln10}, exposed_quiescent{0.4 * ln10}, here{0.5 * ln10},
      here_quiescent{0.05 * ln10};
  in.exposed_cycling = exposed;
  in.exposed_quiescent = exposed_quiescent;
  EXPECT_EQ(find_sanctuary(MPI_COMM_SELF, in).label, std::vector<int>{1});
  in.clones[0].reference_here_cycling = here;
  in.clones[0].reference_here_quiescent = here_quiescent;
  EXPECT_EQ(find_sanctuary(MPI_COMM_SELF, in).label, std::vector<int>{1 + 4});
}

TEST(Sanctuary, WhatIsNotGivenIsNotReported) {
  const Sanctuary s = one_of_each().find();
  EXPECT_FALSE(s.net_growth || s.persistent || s.duration || s.to_vessel || s.to_edge);
  EXPECT_TRUE(s.grows.empty());
  EXPECT_TRUE(s.table.empty());  // without a box
}

/// Of growth less kill -0.0026, 0.0974, 0 (exactly), 0.0069 and -0.0031, and outside the mask.
struct Growing {
  Case c;
  std::vector<double> growth{2.3, 2.4, 2, 0.7, 0.69, 9};

  Growing() {
    c.add(1, 1, 0);
    c.add(1, 1, 0);
    c.add(1, 2 / ln10, 0);
    c.add(0.5, 50, 0);
    c.add(0.5, 50, 0);
    c.add(1, 0, 0, 0.01);
    c.cycling[2] = 2;
  }
  [[nodiscard]] SanctuaryInput input() const {
    SanctuaryInput in = c.input();
    in.growth = growth;
    return in;
  }
};

TEST(Sanctuary, NetGrowthIsGrowthLessKillOfAtLeastZero) {
  const Growing g;
  const Sanctuary s = find_sanctuary(MPI_COMM_SELF, g.input());
  EXPECT_EQ(s.grows, (std::vector<char>{0, 1, 1, 1, 0, 0}));
  EXPECT_NEAR(s.net_growth.value().share, (2 + 4 + 8) / 63.0, 1e-15);
  EXPECT_NEAR(s.net_growth->volume, 3 * 2e-15, 1e-28);
}

TEST(Sanctuary, NetGrowthIsReportedWithoutADirectEffect) {
  Growing g;
  g.c.reference = {0.09 * ln10, 0};
  const Sanctuary s = find_sanctuary(MPI_COMM_SELF, g.input());
  EXPECT_FALSE(s.direct_effect);
  EXPECT_NEAR(s.net_growth.value().share, 14.0 / 63, 1e-15);
  EXPECT_EQ(s.s1.share, 0);
}

TEST(Sanctuary, NetGrowthDropsSmallRegions) {
  const Growing g;
  SanctuaryInput in = g.input();
  in.box = {{0, 0, 0}, {6, 1, 1}, {6, 1, 1}};
  const std::vector<double> growth{9, 9, -1, 9, -1, 9};  // two in a row, one alone, one outside the mask
  in.growth = growth;
  in.least_region = 2 * in.cell_volume;
  in.clones[0].reference_hazard = {0.09 * ln10, 0};  // regions of S0 do not hang on a direct effect
  const Sanctuary s = find_sanctuary(MPI_COMM_SELF, in);
  EXPECT_EQ(s.grows, (std::vector<char>{1, 1, 0, 0, 0, 0}));
  EXPECT_EQ(s.net_growth_regions, 1);
  EXPECT_NEAR(s.net_growth.value().share, 3.0 / 63, 1e-15);
  EXPECT_NEAR(s.net_growth_dropped.share, 8.0 / 63, 1e-15);
  EXPECT_NEAR(s.net_growth_dropped.volume, 2e-15, 1e-28);
}

TEST(Sanctuary, PersistsWhereItWasInEveryCycle) {
  const Case c = one_of_each();
  SanctuaryInput in = c.input();
  const std::vector<double> before{1, 0, 0.25, 1, 1, 1, 1, 1};  // S1 now: the first four
  in.in_s1_before = before;
  const Sanctuary s = find_sanctuary(MPI_COMM_SELF, in);
  EXPECT_NEAR(s.persistent.value().share, (1 + 0.25 * 4 + 8) / 255, 1e-15);
  EXPECT_NEAR(s.persistent->volume, 2.25 * 2e-15, 1e-28);
  const std::vector<double> first(8, 1);  // no earlier cycle
  in.in_s1_before = first;
  EXPECT_DOUBLE_EQ(find_sanctuary(MPI_COMM_SELF, in).persistent.value().share, s.s1.share);
}

TEST(Sanctuary, LastsAsLongAsItsCellsWereInIt) {
  const Case c = one_of_each();
  SanctuaryInput in = c.input();
  const std::vector<double> time{0, 100, 300, 200, 999, 999, 999, 999};
  in.time_in_s1 = time;
  in.cycle_length = 50;
  const Sanctuary s = find_sanctuary(MPI_COMM_SELF, in);
  EXPECT_NEAR(s.duration.value().mean, (1 * 50 + 2 * 150 + 4 * 350 + 8 * 250) / 15.0, 1e-12);
  EXPECT_EQ(s.duration->longest, 350);
}

TEST(Sanctuary, DistancesAreOfItsViableCells) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Case c = one_of_each();
  SanctuaryInput in = c.input();
  const std::vector<double> vessel{10, 20, infinity, 40, 7, 900, 7, infinity}, nowhere(8, infinity);
  in.distance_to_vessel = vessel;
  in.distance_to_edge = nowhere;
  const Sanctuary s = find_sanctuary(MPI_COMM_SELF, in);
  const Distances d = s.to_vessel.value();
  EXPECT_NEAR(d.mean, (1 * 10 + 2 * 20 + 8 * 40) / 11.0, 1e-13);
  EXPECT_EQ(d.median, 40);  // 8 of 11
  EXPECT_EQ(d.largest, 40);
  EXPECT_NEAR(d.without, 4.0 / 15, 1e-15);
  const Distances e = s.to_edge.value();
  EXPECT_EQ(e.mean, infinity);
  EXPECT_EQ(e.median, infinity);
  EXPECT_EQ(e.largest, infinity);
  EXPECT_EQ(e.without, 1);

  Case even;
  for (int i = 0; i < 4; ++i) even.add(1, 0, 0);
  even.density.assign(4, 1e12);
  even.add(1, 4, 4);
  const std::vector<double> four{4, 1, 3, 2, 0};
  in = even.input();
  in.distance_to_vessel = four;
  EXPECT_EQ(find_sanctuary(MPI_COMM_SELF, in).to_vessel.value().median, 2);  // the lower of the middle two

  Case none;
  none.add(1, 4, 4);
  in = none.input();
  in.distance_to_vessel = four;
  EXPECT_FALSE(find_sanctuary(MPI_COMM_SELF, in).to_vessel);
}

/// A row of cells of 10 um: two in S1 (protection, joint), one killed, three in S1 (delivery, both, both).
struct Row {
  static constexpr double infinity = std::numeric_limits<double>::infinity();
  Case c;
  std::vector<double> vessel{30e-6, 10e-6, 5e-6, infinity, 60e-6, 50e-6}, edge{1e-6, 2e-6, 3e-6, 4e-6, 5e-6, 6e-6},
      time{7, 3, 90, 1, 2, 0};

  Row() {
    c.add(0, 4, 0.4);
    c.add(0.95, 1.1, 0.11);
    c.add(1, 4, 0.4);
    c.add(1, 0.45, 0.045);
    c.add(0, 0.5, 0.05);
    c.add(0, 0.5, 0.05);
  }
  [[nodiscard]] SanctuaryInput input() const {
    SanctuaryInput in = c.input();
    in.box = {{0, 0, 0}, {6, 1, 1}, {6, 1, 1}};
    in.origin = {1e-3, 2e-3, 3e-3};
    in.spacing = {10e-6, 10e-6, 20e-6};
    in.distance_to_vessel = vessel;
    in.distance_to_edge = edge;
    in.time_in_s1 = time;
    in.cycle_length = 10;
    return in;
  }
};

TEST(SanctuaryTable, DescribesEachRegion) {
  const Row row;
  const Sanctuary s = find_sanctuary(MPI_COMM_SELF, row.input());
  EXPECT_EQ(s.label, (std::vector<int>{1 + 4, 1, 0, 1 + 2, 1 + 2 + 4, 1 + 2 + 4}));
  ASSERT_EQ(s.table.size(), 2u);
  EXPECT_EQ(s.regions, 2);
  const SanctuaryRegion &a = s.table[0], &b = s.table[1];
  EXPECT_EQ(a.first_cell, 3);
  EXPECT_NEAR(a.volume, 6e-15, 1e-28);
  EXPECT_NEAR(a.viable, (8 + 16 + 32) * 1e12 * 2e-15, 1e-14);
  EXPECT_NEAR(a.share, 56.0 / 63, 1e-15);
  EXPECT_NEAR(a.centroid[0], 1.045e-3, 1e-15);
  EXPECT_NEAR(a.centroid[1], 2.005e-3, 1e-15);
  EXPECT_NEAR(a.centroid[2], 3.01e-3, 1e-15);
  EXPECT_NEAR(a.log_kill, (8 * 0.45 + 16 * 0.05 + 32 * 0.05) / 56, 1e-14);
  EXPECT_NEAR(a.surviving, (8 * std::pow(10, -0.45) + 48 * std::pow(10, -0.05)) * 2e-3, 1e-14);
  EXPECT_EQ(a.nearest_vessel, 50e-6);
  EXPECT_NEAR(a.distance_to_vessel, (16 * 60e-6 + 32 * 50e-6) / 48, 1e-18);  // of those with a finite one
  EXPECT_NEAR(a.distance_to_edge, (8 * 4e-6 + 16 * 5e-6 + 32 * 6e-6) / 56, 1e-18);
  EXPECT_NEAR(a.delivery, 1.0 / 3, 1e-15);
  EXPECT_EQ(a.protection, 0);
  EXPECT_NEAR(a.both, 2.0 / 3, 1e-15);
  EXPECT_EQ(a.joint, 0);
  EXPECT_EQ(a.resistant, 0);
  EXPECT_EQ(a.longest, 12);
  EXPECT_EQ(b.first_cell, 0);
  EXPECT_NEAR(b.volume, 4e-15, 1e-28);
  EXPECT_NEAR(b.share, 3.0 / 63, 1e-15);
  EXPECT_NEAR(b.centroid[0], 1.01e-3, 1e-15);
  EXPECT_EQ(b.nearest_vessel, 10e-6);
  EXPECT_NEAR(b.distance_to_vessel, (1 * 30e-6 + 2 * 10e-6) / 3, 1e-18);
  EXPECT_EQ(b.protection, 0.5);
  EXPECT_EQ(b.joint, 0.5);
  EXPECT_EQ(b.longest, 17);
  EXPECT_DOUBLE_EQ(a.share + b.share, s.s1.share);
  EXPECT_DOUBLE_EQ(a.volume, s.largest_region);
}

TEST(SanctuaryTable, HoldsTheLargestAndCountsAll) {
  const Row row;
  SanctuaryInput in = row.input();
  in.table_rows = 1;
  const Sanctuary s = find_sanctuary(MPI_COMM_SELF, in);
  EXPECT_EQ(s.regions, 2);
  ASSERT_EQ(s.table.size(), 1u);
  EXPECT_EQ(s.table[0].first_cell, 3);
  in.table_rows = 1000;
  in.least_region = 3 * in.cell_volume;
  EXPECT_EQ(find_sanctuary(MPI_COMM_SELF, in).table.size(), 1u);
  EXPECT_NEAR(find_sanctuary(MPI_COMM_SELF, in).dropped.share, 3.0 / 63, 1e-15);
}

TEST(SanctuaryTable, OfEqualVolumeTheFirstComesFirstAndWhatIsNotGivenIsNoNumber) {
  Case c;
  for (const double decades : {4.0, 0.1, 4.0, 0.2, 4.0, 0.3}) c.add(1, decades, decades);
  SanctuaryInput in = c.input();
  in.box = {{0, 0, 0}, {6, 1, 1}, {6, 1, 1}};
  const Sanctuary s = find_sanctuary(MPI_COMM_SELF, in);
  ASSERT_EQ(s.table.size(), 3u);
  for (std::size_t r = 0; r < 3; ++r) {
    EXPECT_EQ(s.table[r].first_cell, static_cast<long>(2 * r + 1));
    EXPECT_NEAR(s.table[r].log_kill, 0.1 * static_cast<double>(r + 1), 1e-14);
  }
  EXPECT_TRUE(std::isnan(s.table[0].nearest_vessel) && std::isnan(s.table[0].distance_to_vessel));
  EXPECT_TRUE(std::isnan(s.table[0].distance_to_edge) && std::isnan(s.table[0].longest));
}

TEST(SanctuaryTable, TellsWhichRegionsAreOfAResistantClone) {
  // Two regions of one cell: half resistant, and sensitive cells that the drug does not reach.
  const std::vector<double> cycling(3, 1), density(3, 1e12), fraction(3, 0.5), sensitive{4 * ln10, 4 * ln10, 0},
      resistant(3, 0.0);
  const std::array<std::vector<double>, 2> share{{{0.5, 1, 1}, {0.5, 0, 0}}};
  SanctuaryInput in;
  in.clones = {{.share = share[0],
                .hazard_cycling = sensitive,
                .hazard_quiescent = sensitive,
                .reference_hazard = {4 * ln10, 4 * ln10}},
               {.share = share[1], .hazard_cycling = resistant, .hazard_quiescent = resistant}};
  in.cycling_share = cycling;
  in.viable_density = density;
  in.viable_fraction = fraction;
  in.reference_cycling_share = 1;
  in.cell_volume = 1e-15;
  in.box = {{0, 0, 0}, {3, 1, 1}, {3, 1, 1}};
  const Sanctuary s = find_sanctuary(MPI_COMM_SELF, in);
  ASSERT_EQ(s.table.size(), 2u);
  EXPECT_NEAR(s.table[0].resistant, 0.5 / 0.50005, 1e-14);
  EXPECT_EQ(s.table[0].protection, 1);
  EXPECT_EQ(s.table[1].resistant, 0);
  EXPECT_EQ(s.table[1].delivery, 1);
  EXPECT_NEAR(s.resistant_in_s1, 0.5 / 1.50005, 1e-14);
}

}  // namespace
}  // namespace sanctuary
