#include "tissue/vessel_compression.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <set>

#include "base/catalogue.hpp"
#include "base/random.hpp"
#include "solvers/network/flow.hpp"
#include "solvers/network/phase_separation.hpp"
#include "solvers/network/rheology.hpp"
#include "tissue/network_generator.hpp"

namespace sanctuary {
namespace {

constexpr double mmhg = 133.322387415;
constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

BloodLaws laws(SplitForm form = SplitForm::pries_2005) {
  BloodLaws result;
  result.viscosity = [](double diameter, double haematocrit) {
    return apparent_viscosity(Rheology{}, diameter, haematocrit);
  };
  result.split = [form](double haematocrit, double diameter, std::span<const double> flow,
                        std::span<const double> diameters, std::span<double> out) {
    split_red_cells(SplitLaw{.form = form}, haematocrit, diameter, flow, diameters, out);
  };
  return result;
}

TEST(VesselCompression, LumenOfHandWorkedNumbers) {
  EXPECT_EQ(lumen_area_ratio(0, 100), 1);
  EXPECT_EQ(lumen_area_ratio(5000, 100), 1);
  EXPECT_NEAR(lumen_area_ratio(-100, 100), std::pow(2.0, -1.0 / 3), 1e-15);
  EXPECT_NEAR(lumen_area_ratio(-700, 100), std::pow(50.0, -1.0 / 3), 1e-15);
  EXPECT_NEAR(lumen_area_ratio(-1e6, 100) / std::pow(1e4, -2.0 / 3), 1, 1e-8);  // Shapiro's similarity law
  EXPECT_NEAR(lumen_conductance_ratio(-100, 100), std::pow(2.0, -2.0 / 3), 1e-15);
}

TEST(VesselCompression, LumenIsSmoothAndFallsWithTheLoad) {
  double last = 1;
  for (double p = 300; p > -2000; p -= 1) {
    const double h = 1e-3, here = lumen_area_ratio(p, 100);
    EXPECT_LE(here, last);
    last = here;
    const double left = (here - lumen_area_ratio(p - h, 100)) / h, right = (lumen_area_ratio(p + h, 100) - here) / h;
    ASSERT_NEAR(left, right, 1e-6) << p;  // 1/Pa; the slope itself reaches 4e-3
  }
}

TEST(VesselCompression, MeanConductanceIsTheIntegralOverPressure) {
  const double whole = std::sqrt(std::numbers::pi) * std::tgamma(1.0 / 6) / (2 * std::tgamma(2.0 / 3));
  const double tail = 3 * std::pow(1e12, -1.0 / 3);  // of the integral of (1 + y^2)^(-2/3) beyond 1e12
  EXPECT_NEAR(mean_conductance_ratio(0, -1e12, 1) * 1e12 + tail, whole, 1e-10);
  EXPECT_EQ(mean_conductance_ratio(10, 3, 1), 1);
  EXPECT_EQ(mean_conductance_ratio(3, -2, 1), mean_conductance_ratio(-2, 3, 1));
  for (const auto& [a, b] : {std::array{1.0, -1.0}, {0.0, -30.0}, {-2.0, -2.5}, {-7.0, 40.0}, {-1.0, -1.0015}}) {
    double sum = 0;
    constexpr int n = 200000;
    for (int i = 0; i < n; ++i) sum += lumen_conductance_ratio(a + (b - a) * (i + 0.5) / n, 1) / n;
    EXPECT_NEAR(mean_conductance_ratio(a, b, 1), sum, 1e-8);
  }
  for (const double p : {-0.3, -5.0}) {  // the two formulas join
    EXPECT_NEAR(mean_conductance_ratio(p, p + 0.99999e-3, 1), mean_conductance_ratio(p, p + 1.00001e-3, 1), 1e-8);
    EXPECT_NEAR(mean_conductance_ratio(p, p, 1), lumen_conductance_ratio(p, 1), 1e-15);
  }
}

TEST(VesselCompression, CollapseHasAThresholdAndReopensLower) {
  const CompressionSettings settings;
  const VesselLoad load{.support = 1000, .fluid = 500, .solid = 2000};
  EXPECT_FALSE(collapses(settings, load, {1501, 0}, false));  // transmural -999 at the upstream end
  EXPECT_TRUE(collapses(settings, load, {1499, 0}, false));
  EXPECT_TRUE(collapses(settings, load, {1642, 0}, true));  // opens at -857 only
  EXPECT_FALSE(collapses(settings, load, {1644, 0}, true));
  EXPECT_FALSE(collapses(settings, load, {unknown, 1501}, false));
  EXPECT_TRUE(collapses(settings, load, {unknown, unknown}, false));  // the solid stress alone against the support
  EXPECT_FALSE(collapses(settings, {.support = 1000, .fluid = 9e9, .solid = 800}, {unknown, unknown}, false));
  EXPECT_EQ(radius_factor(settings, {.support = 1000, .fluid = 500, .solid = 0}, {700, 600}), 1);
  EXPECT_NEAR(radius_factor(settings, {.support = 5247, .fluid = 0, .solid = 1000}, {0, 0}), std::pow(2.0, -1.0 / 6),
              1e-12);
}

TEST(VesselCompression, ImmatureVesselsGiveWayFirstAndArteriolesLast) {
  const CompressionSettings settings;
  EXPECT_DOUBLE_EQ(wall_support(settings, 0, vessel_type::capillary), 667);
  EXPECT_DOUBLE_EQ(wall_support(settings, 1, vessel_type::venule), 2666);
  EXPECT_NEAR(wall_support(settings, 0.5, vessel_type::unknown), std::sqrt(667.0 * 2666), 1e-9);
  EXPECT_DOUBLE_EQ(wall_support(settings, 0, vessel_type::arteriole), 8000);
  const auto collapse_stress = [&](double maturity, int type) {
    double stress = 0;
    while (!collapses(settings, {wall_support(settings, maturity, type), 1000, stress}, {2000, 1900}, false))
      stress += 10;
    return stress;
  };
  EXPECT_LT(collapse_stress(0, vessel_type::capillary), collapse_stress(1, vessel_type::capillary));
  EXPECT_LT(collapse_stress(1, vessel_type::venule), collapse_stress(0, vessel_type::arteriole));
}

/// A chain of equal pieces between two pressures: the vessel of Starling's resistor.
struct Chain {
  double in, out;                  // [Pa]
  std::vector<double> resistance;  // open, of each piece
  double flow = 0;
  void solve(std::span<const double> factor, std::span<EndPressures> pressure) {
    const std::size_t n = resistance.size();
    double total = 0;
    bool open = true;
    for (std::size_t s = 0; s < n; ++s) {
      open = open && factor[s] > 0;
      if (open) total += resistance[s] / std::pow(factor[s], 4);
    }
    flow = open ? (in - out) / total : 0;
    double p = in;
    for (std::size_t s = 0; s < n; ++s) {
      pressure[s][0] = p;
      p = factor[s] > 0 ? p - flow * resistance[s] / std::pow(factor[s], 4) : unknown;
      pressure[s][1] = p;
    }
    pressure[n - 1][1] = out;
    for (std::size_t s = n - 1; s > 0 && factor[s] > 0; --s) {
      if (std::isnan(pressure[s][0])) pressure[s][0] = pressure[s - 1][1] = pressure[s][1];
    }
  }
};

struct Settled {
  SettleReport report;
  CompressedRadii radii;
  double flow = 0;
};
Settled settled(Chain chain, const CompressionSettings& settings, const std::vector<VesselLoad>& load,
                CompressedRadii start = {}) {
  Settled result{.report = {}, .radii = std::move(start), .flow = 0};
  result.report = settle_radii(
      MPI_COMM_SELF, settings, load,
      [&](std::span<const double> factor, std::span<EndPressures> pressure) { chain.solve(factor, pressure); },
      result.radii, {.tolerance = 1e-12});
  result.flow = chain.flow;
  return result;
}

TEST(VesselCompression, AStarlingResistorHasItsExactFlow) {
  const CompressionSettings settings;
  constexpr double in = 4000, stress = 2500, support = 667;
  for (const std::size_t pieces : {1U, 5U, 40U}) {
    const std::vector<VesselLoad> load(pieces, {.support = support, .fluid = 0, .solid = stress});
    double last = 1e300;
    for (const double out : {3500.0, 2600.0, 2400.0, 1500.0, 500.0, 0.0}) {
      const Settled vessel =
          settled({in, out, std::vector<double>(pieces, 1.0 / static_cast<double>(pieces))}, settings, load);
      ASSERT_TRUE(vessel.report.converged) << pieces << " " << out << " " << vessel.report.change;
      EXPECT_EQ(vessel.report.collapsed, 0);
      const double exact = (in - out) * mean_conductance_ratio(in - stress, out - stress, support / settings.touching);
      EXPECT_NEAR(vessel.flow, exact, 1e-7 * exact) << pieces << " " << out;
      EXPECT_LT(out > 2500 ? 0 : vessel.flow, last);
      last = 1e300;
    }
  }
}

TEST(VesselCompression, AFlaccidWallLimitsFlowToInletLessExternalPressure) {
  CompressionSettings settings;
  constexpr double in = 4000, stress = 2500;
  for (const double support : {10.0, 1.0, 0.1}) {
    const std::vector<VesselLoad> load(20, {.support = support, .fluid = 0, .solid = stress});
    const double stiffness = support / settings.touching;
    for (const double out : {2000.0, 1000.0, 0.0}) {
      const Settled vessel = settled({in, out, std::vector<double>(20, 1.0 / 20)}, settings, load);
      EXPECT_TRUE(vessel.report.converged) << support << " " << out << " " << vessel.report.change;
      EXPECT_GT(vessel.flow, in - stress);
      EXPECT_LT(vessel.flow, in - stress + 3.6431 * stiffness);  // the whole integral of the lumen law under zero
    }
    const Settled wide = settled({in, 3000, std::vector<double>(20, 1.0 / 20)}, settings, load);
    EXPECT_NEAR(wide.flow, 1000, 1e-6);  // downstream pressure above the stress: an open tube
  }
}

TEST(VesselCompression, ResistorsAroundTheStressedPieceShareThePressure) {
  const CompressionSettings settings;
  std::vector<VesselLoad> load(9, {.support = 667, .fluid = 200, .solid = 0});
  for (std::size_t s = 3; s < 6; ++s) load[s].solid = 2500;
  const Chain chain{.in = 5000, .out = 1500, .resistance = std::vector<double>(9, 1.0 / 9)};
  const Settled vessel = settled(chain, settings, load);
  ASSERT_TRUE(vessel.report.converged);
  // Flow q by bisection: q/3 is lost before and behind, and between them q/3 = integral of the conductance.
  double low = 0, high = 3500;
  for (int i = 0; i < 100; ++i) {
    const double q = 0.5 * (low + high), a = 5000 - q / 3 - 2700, b = 1500 + q / 3 - 2700;
    (b < a && (a - b) * mean_conductance_ratio(a, b, 667 / settings.touching) > q / 3 ? low : high) = q;
  }
  EXPECT_NEAR(vessel.flow, low, 1e-6 * low);
  EXPECT_EQ(vessel.radii.factor[0], 1);
  EXPECT_LT(vessel.radii.factor[5], vessel.radii.factor[3]);  // the throat lies downstream
}

TEST(VesselCompression, StressClosesAVesselAndDigestionOpensIt) {
  const CompressionSettings settings;
  for (const std::size_t pieces : {1U, 8U}) {
    const Chain chain{.in = 2000, .out = 1000, .resistance = std::vector<double>(pieces, 1.0 / double(pieces))};
    CompressedRadii radii;
    std::vector<double> up, down;
    const auto at_stress = [&](double stress) {
      const std::vector<VesselLoad> load(pieces, {.support = 667, .fluid = 500, .solid = stress});
      Settled vessel = settled(chain, settings, load, radii);
      EXPECT_TRUE(vessel.report.converged) << stress;
      radii = vessel.radii;
      return vessel.flow;
    };
    for (double stress = 0; stress <= 3000; stress += 50) up.push_back(at_stress(stress));
    for (double stress = 3000; stress >= 0; stress -= 50) down.push_back(at_stress(stress));
    std::reverse(down.begin(), down.end());
    EXPECT_NEAR(up.front(), 1000, 1e-9);
    EXPECT_EQ(up.back(), 0);
    EXPECT_NEAR(down.front(), 1000, 1e-9);
    for (std::size_t i = 0; i + 1 < up.size(); ++i) {
      EXPECT_LE(up[i + 1], up[i] * (1 + 1e-9));
      EXPECT_LE(down[i + 1], down[i] * (1 + 1e-9));
      EXPECT_LE(down[i], up[i] * (1 + 1e-9));
    }
    // The inlet has 1500 over the fluid: one piece closes when the stress passes 1500 + 667 and opens under 1500 +
    // 0.857 x 667 = 2071.6. In a chain the pressure that flow takes away closes it within that band.
    EXPECT_EQ(std::find(up.begin(), up.end(), 0.0) - up.begin(), pieces == 1 ? 44 : 42);  // 2200, 2100
    EXPECT_EQ(std::find(down.begin(), down.end(), 0.0) - down.begin(), 42);
  }
}

TEST(VesselCompression, AVesselThatWouldFlutterLimitsTheFlow) {
  // Static pressure would hold the stressed middle open, the pressure left by flow would not: behind a high resistance.
  CompressionSettings settings;
  std::vector<VesselLoad> load{{667, 0, 0}, {667, 0, 3000}, {667, 0, 0}};
  const Chain chain{.in = 4000, .out = 500, .resistance = {1.0, 0.05, 0.05}};
  const Settled vessel = settled(chain, settings, load);
  ASSERT_TRUE(vessel.report.converged);
  EXPECT_FALSE(vessel.report.cycling);
  EXPECT_EQ(vessel.report.collapsed, 0);
  EXPECT_GT(vessel.flow, 0);
  double low = 0, high = 3500;
  for (int i = 0; i < 100; ++i) {
    const double q = 0.5 * (low + high), a = 4000 - q - 3000, b = 500 + 0.05 * q - 3000;
    (b < a && (a - b) / 0.05 * mean_conductance_ratio(a, b, 667 / settings.touching) > q ? low : high) = q;
  }
  EXPECT_NEAR(vessel.flow, low, 1e-6 * low);
}

TEST(VesselCompression, AMapWithoutFixedPointIsReportedAsACycle) {
  // Pressure falls as the vessel opens, and jumps: no radius agrees with it.
  CompressedRadii radii;
  const std::vector<VesselLoad> load(1, {.support = 1000, .fluid = 0, .solid = 1000});
  const auto jump = [](std::span<const double> factor, std::span<EndPressures> pressure) {
    const double p = factor[0] > 0.9 ? 200 : 1200;
    pressure[0] = {p, p};
  };
  const SettleReport report = settle_radii(MPI_COMM_SELF, {}, load, jump, radii);
  EXPECT_FALSE(report.converged);
  EXPECT_TRUE(report.cycling);
  EXPECT_LT(report.iterations, 500);
  EXPECT_GT(report.change, 1e-3);
}

/// An irregular lattice with multi-edges, blind ends and separate rings.
VesselGraph random_graph(std::uint64_t seed) {
  const RandomStream draws(seed, "vessel_compression_test");
  std::uint64_t next = 0;
  const auto draw = [&] { return draws.uniform(next++); };
  VesselGraph graph;
  const long nodes = 4 + static_cast<long>(40 * draw());
  for (long n = 0; n < nodes; ++n) graph.add_node({1e-3 * draw(), 1e-3 * draw(), 1e-3 * draw()}, n);
  const auto any = [&] { return static_cast<long>(draw() * static_cast<double>(nodes)); };
  const long segments = static_cast<long>(static_cast<double>(nodes) * (0.7 + draw()));
  for (long s = 0; s < segments; ++s) {
    const long a = any(), b = any();
    if (a != b) graph.add_segment(a, b, draws.lognormal(next++, 5e-6, 0.5), graph.segments());
  }
  const long boundaries = 2 + static_cast<long>(4 * draw());
  for (long k = 0; k < boundaries; ++k) {
    const bool flow = k > 0 && draw() < 0.3;
    graph.set_boundary(any(), flow ? BoundaryKind::flow : BoundaryKind::pressure,
                       flow ? 1e-14 * draw() : 1000 + 4000 * draw(), 0.3 + 0.2 * draw());
  }
  return graph;
}

/// Flow of what is left open; checks that it is sound.
BloodFlow sound_flow(const VesselGraph& graph, const OpenPart& part, std::vector<long>& kept) {
  const VesselGraph open = open_graph(graph, part, kept);
  BloodFlow blood;
  if (!part.any_flow) return blood;
  const CutNetwork network = uncut(MPI_COMM_SELF, open);
  FlowSolver(network, open.radius, laws()).solve(blood, 2e-9, 60);
  for (const auto* list : {&blood.pressure, &blood.flow, &blood.haematocrit, &blood.red_cells}) {
    for (const double x : *list) EXPECT_TRUE(std::isfinite(x));
  }
  for (std::size_t k = 0; k < kept.size(); ++k) {
    EXPECT_GE(blood.haematocrit[k], 0);
    EXPECT_LE(blood.haematocrit[k], 1);
  }
  // Flow is conductance times a difference of pressures, each rounded: that alone leaves 2^-53 g p per segment.
  double in = 0, widest = 0;
  for (const double q : blood.inflow) in += std::max(q, 0.0);
  for (const double g : FlowSolver(network, open.radius, laws()).conductance(blood.viscous_haematocrit)) {
    widest = std::max(widest, g);
  }
  const double highest = *std::max_element(blood.pressure.begin(), blood.pressure.end());
  const double rounding = std::ldexp(widest * highest / in, -53);
  EXPECT_LE(blood.blood_imbalance, std::max(1e-10, 4 * rounding));
  EXPECT_LE(blood.red_cell_imbalance, 1e-10);
  return blood;
}

TEST(VesselCompression, RandomCollapseLeavesASoundFlow) {
  long flowing = 0, still = 0;
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE(seed);
    const VesselGraph graph = random_graph(seed);
    if (graph.segment.empty()) continue;
    const RandomStream draws(seed, "closed");
    const double share = draws.uniform(1000000);
    std::vector<bool> closed(graph.segment.size());
    for (std::size_t s = 0; s < closed.size(); ++s) closed[s] = draws.uniform(s) < share;
    const OpenPart part = open_part(graph, closed);
    std::vector<long> kept;
    const BloodFlow blood = sound_flow(graph, part, kept);
    (part.any_flow ? flowing : still) += 1;
    double largest = 0, widest = 0;
    for (const long k : kept) {
      const auto s = static_cast<std::size_t>(k);
      widest = std::max(widest, poiseuille_conductance(2 * graph.radius[s], graph.length[s], 1e-3));
    }
    for (const double q : blood.flow) largest = std::max(largest, std::abs(q));
    for (std::size_t k = 0; k < kept.size() && part.any_flow; ++k) {
      const auto s = static_cast<std::size_t>(kept[k]);
      EXPECT_EQ(part.state[s] == SegmentState::flowing || part.state[s] == SegmentState::standing, true);
      if (part.state[s] == SegmentState::standing) {
        EXPECT_LE(std::abs(blood.flow[k]), std::max(1e-10 * largest, std::ldexp(4 * 5000 * widest, -53)));
      }
    }
  }
  EXPECT_GT(flowing, 200);
  EXPECT_GT(still, 50);
}

/// 0 - 1 - 2 - 3 with a second arm 1 - 4 - 2, and a ring 5 6 7 on its own.
VesselGraph two_arms() {
  VesselGraph graph;
  for (long n = 0; n < 8; ++n) graph.add_node({1e-4 * static_cast<double>(n), n == 4 ? 1e-4 : 0, 0}, n);
  const std::vector<std::array<long, 2>> ends{{0, 1}, {1, 2}, {2, 3}, {1, 4}, {4, 2}, {5, 6}, {6, 7}, {7, 5}};
  for (const auto& [a, b] : ends) graph.add_segment(a, b, 5e-6, graph.segments());
  graph.set_boundary(0, BoundaryKind::pressure, 4000);
  graph.set_boundary(3, BoundaryKind::pressure, 2000);
  return graph;
}

TEST(VesselCompression, TheOpenPartByHand) {
  using enum SegmentState;
  const VesselGraph graph = two_arms();
  const auto states = [&](std::set<std::size_t> shut) {
    std::vector<bool> closed(graph.segment.size());
    for (const std::size_t s : shut) closed[s] = true;
    return open_part(graph, closed).state;
  };
  using States = std::vector<SegmentState>;
  EXPECT_EQ(states({}), (States{flowing, flowing, flowing, flowing, flowing, cut_off, cut_off, cut_off}));
  EXPECT_EQ(states({1}), (States{flowing, closed, flowing, flowing, flowing, cut_off, cut_off, cut_off}));
  EXPECT_EQ(states({4}), (States{flowing, flowing, flowing, standing, closed, cut_off, cut_off, cut_off}));
  EXPECT_EQ(states({0}), (States{closed, standing, standing, standing, standing, cut_off, cut_off, cut_off}));
  EXPECT_EQ(states({0, 2}), (States{closed, cut_off, closed, cut_off, cut_off, cut_off, cut_off, cut_off}));
}

TEST(VesselCompression, AllClosedOrAllInletsClosedIsNoFlowButNoFailure) {
  VesselGraph graph = two_arms();
  std::vector<long> kept;
  const OpenPart none = open_part(graph, std::vector<bool>(8, true));
  EXPECT_FALSE(none.any_flow);
  EXPECT_TRUE(open_graph(graph, none, kept).segment.empty());
  EXPECT_TRUE(none.pressurised[0]);
  EXPECT_FALSE(none.pressurised[1]);
  std::vector<bool> closed(8, false);
  closed[0] = true;
  EXPECT_FALSE(open_part(graph, closed).any_flow);

  graph.set_boundary(0, BoundaryKind::flow, 1e-14);  // pumped in, and the outlet collapses
  closed.assign(8, false);
  closed[2] = true;
  const OpenPart stopped = open_part(graph, closed);
  EXPECT_EQ(stopped.stopped_inlets, std::vector<long>{0});
  EXPECT_FALSE(stopped.any_flow);
  EXPECT_EQ(open_graph(graph, stopped, kept).boundary[0], BoundaryKind::none);
}

/// Flow and radii of a network under a load; the pressures of the present solver.
struct Compressed {
  VesselGraph graph;
  CompressedRadii radii;
  SettleReport report;
  OpenPart part;
  BloodFlow blood;
  std::vector<long> kept;
  void settle(const CompressionSettings& settings, const std::vector<VesselLoad>& load) {
    const auto solve = [&](std::span<const double> factor, std::span<EndPressures> pressure) {
      std::vector<bool> closed(factor.size());
      for (std::size_t s = 0; s < closed.size(); ++s) closed[s] = !(factor[s] > 0);
      part = open_part(graph, closed);
      const VesselGraph open = open_graph(graph, part, kept);
      blood = {};
      std::vector<double> at_node(graph.position.size(), unknown);
      if (part.any_flow) {
        std::vector<double> radius;
        for (const long s : kept) {
          radius.push_back(open.radius[radius.size()] * factor[static_cast<std::size_t>(s)]);
        }
        const CutNetwork network = uncut(MPI_COMM_SELF, open);
        FlowSolver(network, radius, laws(SplitForm::proportional)).solve(blood, 1e-11);
        for (std::size_t n = 0; n < at_node.size(); ++n) {
          if (part.pressurised[n]) at_node[n] = blood.pressure[n];
        }
      } else {
        for (std::size_t n = 0; n < at_node.size(); ++n) {
          if (graph.boundary[n] == BoundaryKind::pressure) at_node[n] = graph.boundary_value[n];
        }
      }
      for (std::size_t s = 0; s < pressure.size(); ++s) {
        for (const std::size_t end : {0U, 1U}) {
          pressure[s][end] = at_node[static_cast<std::size_t>(graph.segment[s][end])];
        }
      }
    };
    report = settle_radii(MPI_COMM_SELF, settings, load, solve, radii);
  }
  [[nodiscard]] double inflow() const {
    double sum = 0;
    for (const double q : blood.inflow) sum += std::max(q, 0.0);
    return sum;
  }
};

TEST(VesselCompression, StressCollapsesTheCoreAndLesserStressReopensIt) {
  GeneratorSettings made;
  made.box.size = {8e-4, 8e-4, 8e-4};
  made.segments = 800;
  made.inlets = made.outlets = 16;  // so that some arterioles reach the core
  Compressed network{.graph = generate_network(made), .radii = {}, .report = {}, .part = {}, .blood = {}, .kept = {}};
  const VesselGraph& graph = network.graph;
  const CompressionSettings settings;
  const auto depth = [&](std::size_t s) {  // 1 in the middle, 0 at 300 um from it
    double square = 0;
    for (std::size_t d = 0; d < 3; ++d) {
      const double x = 0.5 * (graph.position[static_cast<std::size_t>(graph.segment[s][0])][d] +
                              graph.position[static_cast<std::size_t>(graph.segment[s][1])][d]);
      square += std::pow(x - 4e-4, 2);
    }
    return std::max(0.0, 1 - std::sqrt(square) / 3e-4);
  };
  const auto at_stress = [&](double stress) {
    std::vector<VesselLoad> load;
    for (std::size_t s = 0; s < graph.segment.size(); ++s) {
      load.push_back({.support = wall_support(settings, graph.maturity[s], graph.type[s]),
                      .fluid = 2500 * std::min(1.0, 2 * depth(s)),
                      .solid = stress * depth(s)});
    }
    network.settle(settings, load);
    EXPECT_TRUE(network.report.converged) << stress << " " << network.report.change << " " << network.report.cycling;
    EXPECT_LE(network.blood.red_cell_imbalance, 1e-10);
    EXPECT_LE(network.blood.blood_imbalance, 1e-10);
    return network.report.collapsed;
  };
  EXPECT_EQ(at_stress(0), 0);
  const double open = network.inflow();
  const long some = at_stress(40 * mmhg);
  const double squeezed = network.inflow();
  const long more = at_stress(80 * mmhg);
  double outside = 0, arterioles = 0, deep_arterioles = 0;
  for (std::size_t s = 0; s < graph.segment.size(); ++s) {
    if (depth(s) == 0) outside += network.radii.collapsed[s];
    deep_arterioles += graph.type[s] == vessel_type::arteriole && depth(s) > 0.3;
    arterioles += graph.type[s] == vessel_type::arteriole && network.radii.collapsed[s];
  }
  EXPECT_GT(some, 5);
  EXPECT_GT(more, some);
  EXPECT_EQ(outside, 0);
  EXPECT_LT(network.inflow(), squeezed);
  EXPECT_LT(squeezed, open);
  const long digested = at_stress(40 * mmhg);
  EXPECT_LT(digested, more);
  EXPECT_GE(digested, some);  // hysteresis
  EXPECT_EQ(at_stress(0), 0);
  EXPECT_NEAR(network.inflow(), open, 1e-8 * open);
  EXPECT_GT(deep_arterioles, 0);  // there are some where capillaries collapse
  EXPECT_EQ(arterioles, 0);
  at_stress(2000 * mmhg);
  for (std::size_t s = 0; s < graph.segment.size(); ++s) {
    arterioles += graph.type[s] == vessel_type::arteriole && network.radii.collapsed[s];
  }
  EXPECT_GT(arterioles, 0);
}

TEST(VesselCompression, ParametersHaveRangeMeaningAndSource) {
  EXPECT_EQ(catalogue_faults(compression_parameters()), std::vector<std::string>{});
  const CompressionSettings settings = compression_settings(Deck::from_text("", ".", {}, compression_parameters()));
  const CompressionSettings plain;
  EXPECT_NEAR(settings.support_immature, plain.support_immature, 1);
  EXPECT_NEAR(settings.support_mature, plain.support_mature, 1);
  EXPECT_NEAR(settings.support_arteriole, plain.support_arteriole, 1);
  EXPECT_EQ(settings.touching, plain.touching);
  EXPECT_EQ(settings.reopening, plain.reopening);
  EXPECT_EQ(settings.residual_radius, plain.residual_radius);
}

}  // namespace
}  // namespace sanctuary
