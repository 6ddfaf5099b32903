#include "tissue/intermittent_flow.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "base/catalogue.hpp"
#include "base/error.hpp"
#include "solvers/network/flow.hpp"
#include "solvers/network/phase_separation.hpp"
#include "solvers/network/rheology.hpp"
#include "tissue/network_generator.hpp"

namespace sanctuary {
namespace {

constexpr double minute = 60;

BloodLaws laws(bool plain = false, SplitForm form = SplitForm::pries_2005) {
  BloodLaws result;
  result.viscosity = [plain](double diameter, double haematocrit) {
    return plain ? 3e-3 : apparent_viscosity(Rheology{}, diameter, haematocrit);
  };
  result.split = [form](double haematocrit, double diameter, std::span<const double> flow,
                        std::span<const double> diameters, std::span<double> out) {
    split_red_cells(SplitLaw{.form = form}, haematocrit, diameter, flow, diameters, out);
  };
  return result;
}

VesselGraph tumour() {
  GeneratorSettings settings;
  settings.box.size = {6e-4, 6e-4, 6e-4};
  settings.segments = 600;
  return generate_network(settings);
}

/// Flow with the conductance of segments multiplied: by an apparent length, which this solver turns into conductance.
BloodFlow flow_at(const VesselGraph& graph, std::span<const double> factors, const BloodLaws& with) {
  CutNetwork network = uncut(MPI_COMM_SELF, graph);
  for (std::size_t p = 0; p < factors.size(); ++p) network.piece_length[p] /= factors[p];
  BloodFlow blood;
  FlowSolver(network, graph.radius, with).solve(blood);
  return blood;
}

std::vector<FeedingRegion> regions_of(const IntermittencySettings& settings, const VesselGraph& graph,
                                      const BloodFlow& blood) {
  return feeding_regions(settings, graph, blood.pressure, widest_feed(graph, blood.pressure),
                         *std::max_element(blood.pressure.begin(), blood.pressure.end()) -
                             *std::min_element(blood.pressure.begin(), blood.pressure.end()));
}

TEST(IntermittentFlow, PeriodsAndSwingsAreLogUniform) {
  constexpr int count = 20000;
  IntermittencySettings settings;
  double period = 0, period_square = 0, swing = 0, phase = 0;
  for (long region = 0; region < count; ++region) {
    settings.seed = static_cast<std::uint64_t>(1 + region % 4);
    const RegionRhythm rhythm = region_rhythm(settings, region);
    ASSERT_GE(rhythm.period, 20 * minute);
    ASSERT_LE(rhythm.period, 60 * minute);
    ASSERT_GE(rhythm.swing, 1.5);
    ASSERT_LE(rhythm.swing, 10);
    const double x = std::log(rhythm.period / (20 * minute)) / std::log(3.0);
    period += x / count;
    period_square += x * x / count;
    swing += std::log(rhythm.swing / 1.5) / std::log(10 / 1.5) / count;
    phase += rhythm.phase / count;
  }
  const double bound = 4 / std::sqrt(12.0 * count);  // four standard errors of a uniform draw
  EXPECT_NEAR(period, 0.5, bound);
  EXPECT_NEAR(period_square, 1.0 / 3, 4 * std::sqrt(4.0 / 45 / count));
  EXPECT_NEAR(swing, 0.5, bound);
  EXPECT_NEAR(phase, 0.5, bound);
}

TEST(IntermittentFlow, ApexOverNadirIsTheDrawnSwing) {
  IntermittencySettings settings;
  settings.stasis_chance = 0;
  for (long region = 0; region < 50; ++region) {
    const RegionRhythm rhythm = region_rhythm(settings, region);
    for (const double noise : {0.0, 0.1}) {
      settings.noise = noise;
      double least = 1, most = 0;
      for (int i = 0; i <= 4000; ++i) {
        const double flux = flux_ratio(settings, rhythm, 1e5 + rhythm.period * i / 4000);
        least = std::min(least, flux);
        most = std::max(most, flux);
        ASSERT_GT(flux, 0);
        ASSERT_LE(flux, 1);
      }
      EXPECT_LE(std::abs(std::log(most / least / rhythm.swing)), noise + 1e-5);
    }
  }
  const RegionRhythm by_hand{.region = 1, .period = 1800, .swing = 4, .phase = 0.25};
  settings.noise = 0;
  EXPECT_NEAR(flux_ratio(settings, by_hand, 0), 0.5, 1e-12);     // a quarter through: half way down in the logarithm
  EXPECT_NEAR(flux_ratio(settings, by_hand, 450), 0.25, 1e-12);  // nadir
  EXPECT_NEAR(flux_ratio(settings, by_hand, 1350), 1, 1e-12);    // apex
}

TEST(IntermittentFlow, FourPercentOfTheCyclesStandStill) {
  const IntermittencySettings settings;
  constexpr long regions = 500, cycles = 200;
  long standing = 0;
  for (long region = 0; region < regions; ++region) {
    const RegionRhythm rhythm = region_rhythm(settings, region);
    for (long cycle = 1; cycle <= cycles; ++cycle) {
      const double nadir = (static_cast<double>(cycle) + 0.5 - rhythm.phase) * rhythm.period;
      const bool stands = flux_ratio(settings, rhythm, nadir) < 1.001 * settings.stasis_flux;
      ASSERT_EQ(stands, stasis_in_cycle(settings, rhythm, cycle));
      standing += stands;
      if (stands) {  // for a few seconds only
        EXPECT_GT(flux_ratio(settings, rhythm, nadir - settings.stasis_duration), 0.05);
        EXPECT_GT(flux_ratio(settings, rhythm, nadir + settings.stasis_duration), 0.05);
      }
    }
  }
  const double n = regions * cycles;
  EXPECT_NEAR(static_cast<double>(standing) / n, 0.04, 4 * std::sqrt(0.04 * 0.96 / n));
}

TEST(IntermittentFlow, IsSmoothInTime) {
  IntermittencySettings settings;
  settings.stasis_chance = 1;  // the hardest case
  for (long region = 0; region < 20; ++region) {
    const RegionRhythm rhythm = region_rhythm(settings, region);
    std::vector<double> marks;
    for (int k = 0; k < 4; ++k) marks.push_back((k + 1 - rhythm.phase) * rhythm.period);  // ends of cycles
    for (int k = 1; k < 30; ++k) marks.push_back(k * settings.noise_time);                // knots
    for (const double side : {-0.5, 0.5}) {                                               // edges of a standstill
      marks.push_back((1.5 - rhythm.phase) * rhythm.period + side * settings.stasis_duration);
    }
    const auto jump = [&](double t, double h) {  // of the slope [1/s]: falls with h unless there is a kink
      const double here = flux_ratio(settings, rhythm, t);
      return std::abs(flux_ratio(settings, rhythm, t - h) - 2 * here + flux_ratio(settings, rhythm, t + h)) / h;
    };
    for (const double t : marks) {
      EXPECT_LE(jump(t, 1e-3), 0.52 * jump(t, 2e-3) + 1e-9) << region << " " << t;
    }
  }
}

TEST(IntermittentFlow, NeedsNeitherHistoryNorOrder) {
  const IntermittencySettings settings;
  std::map<long, double> forward, backward;
  for (long region = 0; region < 100; ++region) {
    forward[region] = flux_ratio(settings, region_rhythm(settings, 1000 + region), 12345);
  }
  for (long region = 99; region >= 0; --region) {
    const RegionRhythm rhythm = region_rhythm(settings, 1000 + region);
    (void)flux_ratio(settings, rhythm, 99999);
    backward[region] = flux_ratio(settings, rhythm, 12345);
  }
  EXPECT_EQ(forward, backward);
  EXPECT_NE(region_rhythm(settings, 1).period, region_rhythm(settings, 2).period);
  EXPECT_THROW((void)region_rhythm(settings, -1), InputError);
  EXPECT_THROW((void)region_rhythm(settings, 1L << 40), InputError);
}

TEST(IntermittentFlow, EightSnapshotsGiveTheMeanOfACycle) {
  EXPECT_NEAR(mean_rhythm_ratio(1), 1, 1e-15);
  EXPECT_NEAR(mean_rhythm_ratio(std::exp(2.0)), 0.46575960759364044, 1e-12);  // I_0(1)/e
  IntermittencySettings settings;
  settings.noise = settings.stasis_chance = 0;
  for (long region = 0; region < 20; ++region) {
    const RegionRhythm rhythm = region_rhythm(settings, region);
    const auto error = [&](int snapshots) {
      double mean = 0;
      for (int k = 0; k < snapshots; ++k) {
        mean += flux_ratio(settings, rhythm, snapshot_time(rhythm, 777, k, snapshots)) / snapshots;
      }
      return std::abs(mean / mean_rhythm_ratio(rhythm.swing) - 1);
    };
    EXPECT_LE(error(8), 1e-5);
    EXPECT_LE(error(16), 1e-12);
  }
}

TEST(IntermittentFlow, ConductanceFactorsByHand) {
  EXPECT_NEAR(flow_ratio(0.5, 0.5), 2.0 / 3, 1e-15);
  EXPECT_NEAR(conductance_factor(2.0 / 3, 0.5), 0.5, 1e-15);
  EXPECT_NEAR(resistance_share(0.5, 2.0 / 3), 0.5, 1e-15);
  EXPECT_NEAR(share_from_flows(1, 9, 0.5, 6), 0.5, 1e-15);
  EXPECT_NEAR(share_from_flows(0.8, flow_ratio(0.8, 0.2), 0.1, flow_ratio(0.1, 0.2)), 0.2, 1e-14);
  EXPECT_EQ(share_from_flows(1, 5, 0.1, 6), 1e-3);
  EXPECT_EQ(share_from_flows(0.5, 5, 0.4, 1), 1);
  EXPECT_EQ(conductance_factor(1, 0.3), 1);
  EXPECT_EQ(conductance_factor(1e-9, 1), smallest_conductance_factor);
  for (const double share : {0.01, 0.3, 1.0}) {
    for (const double ratio : {0.1, 0.5, 0.99}) {
      EXPECT_NEAR(flow_ratio(conductance_factor(ratio, share), share), ratio, 1e-12);
    }
  }
}

TEST(IntermittentFlow, OneTrialCalibratesASegmentOfANetworkExactly) {
  const VesselGraph graph = tumour();
  const BloodLaws plain = laws(true);
  std::vector<double> factors(graph.segment.size(), 1.0);
  const BloodFlow open = flow_at(graph, factors, plain);
  const auto regions = regions_of({}, graph, open);
  ASSERT_GE(regions.size(), 4U);
  for (std::size_t r = 0; r < 4; ++r) {
    const auto s = static_cast<std::size_t>(regions[r].segment);
    factors[s] = 0.3;
    const double share = resistance_share(0.3, flow_at(graph, factors, plain).flow[s] / open.flow[s]);
    EXPECT_GT(share, 0);
    EXPECT_LT(share, 1);
    factors[s] = conductance_factor(0.2, share);
    EXPECT_NEAR(flow_at(graph, factors, plain).flow[s] / open.flow[s], 0.2, 1e-8);
    factors[s] = 1;
  }
}

TEST(IntermittentFlow, FeedersLeaveWideVesselsOrEnterFromOutside) {
  VesselGraph graph;  // 0 =wide= 1 -narrow- 2 -narrow- 3, a venule 3 = 4; a narrow inlet 5 - 2
  for (long n = 0; n < 6; ++n) graph.add_node({1e-4 * static_cast<double>(n), n == 5 ? 1e-4 : 0, 0}, 10 + n);
  graph.add_segment(0, 1, 15e-6, 100);
  graph.add_segment(2, 1, 6e-6, 101);  // against the flow
  graph.add_segment(2, 3, 5e-6, 102);
  graph.add_segment(3, 4, 20e-6, 103);
  graph.add_segment(5, 2, 4e-6, 104);
  graph.add_segment(4, 0, 3e-6, 105);  // a venule that branches off a wide one
  graph.type = {vessel_type::arteriole, vessel_type::arteriole, vessel_type::capillary,
                vessel_type::venule,    vessel_type::unknown,   vessel_type::venule};
  graph.set_boundary(0, BoundaryKind::pressure, 0);
  graph.set_boundary(4, BoundaryKind::pressure, 0);
  graph.set_boundary(5, BoundaryKind::pressure, 0);
  const std::vector<double> pressure{5000, 4000, 3000, 2500, 2000, 3500};
  const auto feed = widest_feed(graph, pressure);
  EXPECT_EQ(feed, (std::vector<double>{0, 15e-6, 6e-6, 5e-6, 0, 0}));
  const auto regions = feeding_regions({}, graph, pressure, feed, 3000);
  ASSERT_EQ(regions.size(), 2U);
  EXPECT_EQ(regions[0].rhythm.region, 101);
  EXPECT_NEAR(regions[0].resistance_share, 1.0 / 3, 1e-15);
  EXPECT_EQ(regions[1].rhythm.region, 104);

  // The same segments on two shares that meet at node 1, which keep their ids.
  VesselGraph first, second;
  first.add_node(graph.position[0], 10);
  first.add_node(graph.position[1], 11);
  first.add_segment(0, 1, 15e-6, 100);
  second.add_node(graph.position[1], 11);
  second.add_node(graph.position[2], 12);
  second.add_segment(0, 1, 6e-6, 101);
  const std::vector<double> here{5000, 4000}, there{4000, 3000};
  auto merged = widest_feed(second, there);
  merged[0] = std::max(merged[0], widest_feed(first, here)[1]);
  const auto on_second = feeding_regions({}, second, there, merged, 3000);
  ASSERT_EQ(on_second.size(), 1U);
  EXPECT_EQ(on_second[0].rhythm.region, 101);
  EXPECT_EQ(on_second[0].rhythm.period, regions[0].rhythm.period);
}

TEST(IntermittentFlow, RedCellsAreConservedAndDeeperSwingsMoveTheFluxMore) {
  const VesselGraph graph = tumour();
  const std::vector<double> open(graph.segment.size(), 1.0);
  const BloodLaws even = laws(false, SplitForm::proportional);
  const BloodFlow baseline = flow_at(graph, open, even);
  ASSERT_TRUE(baseline.converged);
  double variation[3] = {};
  int nth = 0;
  for (const double swing : {1.0, 2.0, 8.0}) {
    IntermittencySettings settings;
    settings.smallest_swing = settings.largest_swing = swing;
    settings.noise = 0;
    const auto regions = regions_of(settings, graph, baseline);
    ASSERT_GE(regions.size(), 4U);
    std::vector<double> sum(open.size()), square(open.size());
    constexpr int snapshots = 8;
    for (int k = 0; k < snapshots; ++k) {
      const auto factors = snapshot_factors(settings, regions, open.size(), 0, k, snapshots);
      const BloodFlow blood = flow_at(graph, factors, even), uneven = flow_at(graph, factors, laws());
      EXPECT_TRUE(blood.converged);
      for (const BloodFlow* state : {&blood, &uneven}) {
        EXPECT_LE(state->blood_imbalance, 1e-10);
        EXPECT_LE(state->red_cell_imbalance, 1e-10);
        EXPECT_GE(*std::min_element(state->haematocrit.begin(), state->haematocrit.end()), 0);
      }
      for (std::size_t s = 0; s < open.size(); ++s) {
        sum[s] += blood.red_cells[s] / snapshots;
        square[s] += blood.red_cells[s] * blood.red_cells[s] / snapshots;
      }
    }
    std::vector<double> each;
    for (std::size_t s = 0; s < open.size(); ++s) {
      if (baseline.red_cells[s] > 0) each.push_back(std::sqrt(std::max(square[s] / sum[s] / sum[s] - 1, 0.0)));
    }
    std::nth_element(each.begin(), each.begin() + static_cast<long>(each.size() / 2), each.end());
    variation[nth++] = each[each.size() / 2];
  }
  RecordProperty("median_flux_cv_swing_2", std::to_string(variation[1]));
  RecordProperty("median_flux_cv_swing_8", std::to_string(variation[2]));
  EXPECT_LT(variation[0], 1e-6);
  EXPECT_GT(variation[1], 0.05);
  EXPECT_GT(variation[2], 2 * variation[1]);
}

TEST(IntermittentFlow, SnapshotsCalibrateAllRegionsAtOnce) {
  const VesselGraph graph = tumour();
  const std::vector<double> open(graph.segment.size(), 1.0);
  const BloodLaws even = laws(false, SplitForm::proportional);
  IntermittencySettings settings;
  settings.noise = settings.stasis_chance = 0;
  auto regions = regions_of(settings, graph, flow_at(graph, open, even));
  constexpr int snapshots = 8;
  std::vector<double> spread;  // by pass: median over regions of |ln(realised swing)/ln(drawn swing) - 1|
  for (int pass = 0; pass < 4; ++pass) {
    std::vector<std::array<double, 2>> highest(regions.size()), lowest(regions.size(), {1, 1e300});
    std::vector<double> drawn(regions.size(), 0.0), error;
    for (int k = 0; k < snapshots; ++k) {
      const auto factors = snapshot_factors(settings, regions, open.size(), 0, k, snapshots);
      const BloodFlow blood = flow_at(graph, factors, even);
      for (std::size_t r = 0; r < regions.size(); ++r) {
        const auto s = static_cast<std::size_t>(regions[r].segment);
        const double flow = blood.red_cells[s];
        if (factors[s] > highest[r][0]) highest[r] = {factors[s], flow};
        if (factors[s] <= lowest[r][0]) lowest[r] = {factors[s], flow};
      }
    }
    for (std::size_t r = 0; r < regions.size(); ++r) {
      const double share = regions[r].resistance_share;
      drawn[r] = flow_ratio(highest[r][0], share) / flow_ratio(lowest[r][0], share);
      error.push_back(std::abs(std::log(highest[r][1] / lowest[r][1]) / std::log(drawn[r]) - 1));
      regions[r].resistance_share = share_from_flows(highest[r][0], highest[r][1], lowest[r][0], lowest[r][1]);
    }
    std::sort(error.begin(), error.end());
    spread.push_back(error[error.size() / 2]);
  }
  EXPECT_GT(spread[0], 0.3);  // the pressure drop alone is no calibration
  EXPECT_LT(spread[2], 0.02);
  EXPECT_LT(spread[3], 0.005);
}

TEST(IntermittentFlow, ParametersHaveRangeMeaningAndSource) {
  EXPECT_EQ(catalogue_faults(intermittency_parameters()), std::vector<std::string>{});
  const auto read = [](const char* text) {
    return intermittency_settings(Deck::from_text(text, ".", {}, intermittency_parameters()), 7);
  };
  const IntermittencySettings settings = read(""), plain;
  EXPECT_EQ(settings.seed, 7U);
  EXPECT_NEAR(settings.shortest_period, plain.shortest_period, 1e-9);
  EXPECT_NEAR(settings.longest_period, plain.longest_period, 1e-9);
  EXPECT_NEAR(settings.noise_time, plain.noise_time, 1e-9);
  EXPECT_NEAR(settings.feeder_radius, plain.feeder_radius, 1e-18);
  EXPECT_EQ(settings.stasis_flux, plain.stasis_flux);
  EXPECT_THROW(read("[vessels.intermittency]\nshortest_period = 2 h\n"), InputError);
}

}  // namespace
}  // namespace sanctuary
