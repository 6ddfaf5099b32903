#include "solvers/network/morphometry.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numbers>

#include "base/error.hpp"
#include "base/random.hpp"
#include "io/network_formats.hpp"
#include "solvers/network/haemodynamics.hpp"
#include "solvers/network/share.hpp"

namespace sanctuary {
namespace {

constexpr double um = 1e-6, pi = std::numbers::pi;

/// Nodes at places in um, joined in pairs; radius 4 um.
VesselGraph made(const std::vector<std::array<double, 3>>& places, const std::vector<std::array<long, 2>>& pairs) {
  VesselGraph graph;
  for (const auto& p : places) graph.add_node({p[0] * um, p[1] * um, p[2] * um}, 10 * graph.nodes() + 3);
  for (const auto& pair : pairs) graph.add_segment(pair[0], pair[1], 4 * um, 7 * graph.segments() + 1);
  return graph;
}

/// Few points, so that tests of other figures are quick.
NetworkStatistics measured(const VesselGraph& graph, const Box& box) { return statistics(graph, box, {.points = 100}); }

TEST(Morphometry, OfTwoSegmentsIsThatWorkedByHand) {
  // Two segments of 12 (chord 10) and 20 um, radii 4 and 2 um, in a box of 100 x 50 x 20 um = 1e-13 m3.
  VesselGraph graph = made({{0, 0, 0}, {10, 0, 0}, {10, 20, 0}}, {{0, 1}, {1, 2}});
  graph.radius[1] = 2 * um;
  graph.length[0] = 12 * um;
  graph.type = {1, 3};
  graph.set_boundary(0, BoundaryKind::pressure, 1), graph.set_boundary(2, BoundaryKind::flow, -1e-15);
  const auto s = measured(graph, {{0, 0, 0}, {100 * um, 50 * um, 20 * um}});
  EXPECT_EQ(s.segments, 2);
  EXPECT_EQ(s.vessels, 1);
  EXPECT_EQ(s.end_nodes, 2);
  EXPECT_EQ(s.blind_ends, 0);
  EXPECT_EQ(s.pieces, 1);
  EXPECT_EQ(s.loops, 0);
  EXPECT_EQ(s.pressure_nodes, 1);
  EXPECT_EQ(s.flow_nodes, 1);
  EXPECT_EQ(s.degrees, (std::vector<long>{0, 2, 1}));
  EXPECT_NEAR(s.total_length, 32e-6, 1e-18);
  EXPECT_NEAR(s.length_density, 3.2e8, 1e-3);  // 320 mm/mm3
  EXPECT_NEAR(s.segment_density, 2e13, 1);     // 20,000 per mm3
  EXPECT_NEAR(s.vessel_density, 1e13, 1);
  EXPECT_NEAR(s.surface_per_volume, 2 * pi * (48 + 40) * 1e-12 / 1e-13, 1e-9);
  EXPECT_NEAR(s.volume_fraction, pi * (192 + 80) * 1e-18 / 1e-13, 1e-15);
  EXPECT_NEAR(s.tortuosity, 32 / std::sqrt(500.0), 1e-12);  // chord of the vessel: from (0, 0) to (10, 20)
  EXPECT_NEAR(s.radius.mean, 3 * um, 1e-18);
  EXPECT_NEAR(s.radius.deviation, std::sqrt(2.0) * um, 1e-18);
  EXPECT_EQ(s.radius.median, 2 * um);
  EXPECT_NEAR(s.radius_by_length.mean, (4 * 12 + 2 * 20) / 32.0 * um, 1e-18);
  EXPECT_NEAR(s.vessel_radius.mean, 2.75 * um, 1e-18);
  EXPECT_NEAR(s.vessel_length.mean, 32 * um, 1e-18);
  EXPECT_NEAR(s.length.largest, 20 * um, 1e-18);
  EXPECT_NEAR(s.through_flow_share, 1, 1e-12);
  EXPECT_EQ(s.types[1].segments, 1);
  EXPECT_NEAR(s.types[1].length_share, 12.0 / 32, 1e-12);
  EXPECT_NEAR(s.types[3].length_share, 20.0 / 32, 1e-12);
  EXPECT_EQ(measured(graph, bounding_box(graph)).length_density, 0);  // planar: no volume
}

TEST(Morphometry, CountsVesselsBetweenBranchPointsNotSegments) {
  // A Y whose stem has three segments and whose arms have one, a blind end, and a ring of three segments on its own.
  VesselGraph graph = made(
      {{0, 0, 0}, {10, 0, 0}, {20, 0, 0}, {30, 0, 0}, {40, 10, 0}, {40, -10, 0}, {0, 50, 0}, {10, 50, 0}, {5, 60, 0}},
      {{0, 1}, {2, 3}, {2, 1}, {3, 4}, {5, 3}, {6, 7}, {7, 8}, {8, 6}});
  graph.set_boundary(0, BoundaryKind::pressure, 2), graph.set_boundary(4, BoundaryKind::pressure, 1);
  const auto s = measured(graph, {{0, 0, 0}, {100 * um, 100 * um, 100 * um}});
  EXPECT_EQ(s.vessels, 4);
  EXPECT_EQ(s.branch_points, 1);
  EXPECT_EQ(s.end_nodes, 3);
  EXPECT_EQ(s.blind_ends, 1);
  EXPECT_EQ(s.pieces, 2);
  EXPECT_EQ(s.loops, 1);
  const double arm = std::sqrt(200.0), ring = 10 + 2 * std::sqrt(125.0), all = 30 + 2 * arm + ring;
  EXPECT_NEAR(s.total_length, all * um, 1e-17);
  EXPECT_NEAR(s.through_flow_share, (30 + arm) / all, 1e-12);
  EXPECT_NEAR(s.largest_piece_share, (30 + 2 * arm) / all, 1e-12);
  EXPECT_NEAR(s.vessel_length.largest, ring * um, 1e-17);
  EXPECT_EQ(s.vessel_tortuosity.count, 3);  // the ring has no chord
  EXPECT_NEAR(s.tortuosity, 1, 1e-12);
  // A boundary node on the way ends a vessel.
  graph.set_boundary(1, BoundaryKind::flow, 1e-15);
  EXPECT_EQ(measured(graph, {}).vessels, 5);
}

TEST(Morphometry, CountsParallelVesselsAndSelfLoopsAsLoops) {
  VesselGraph graph = made({{0, 0, 0}, {10, 0, 0}}, {{0, 1}, {0, 1}, {1, 0}, {1, 1}});
  graph.length[3] = 5 * um;
  const auto s = measured(graph, {});
  EXPECT_EQ(s.loops, 3);
  EXPECT_EQ(s.vessels, 4);
  EXPECT_EQ(s.degrees, (std::vector<long>{0, 0, 0, 1, 0, 1}));
}

TEST(Morphometry, RefusesSizesThatCannotBe) {
  VesselGraph graph = made({{0, 0, 0}, {10, 0, 0}}, {{0, 1}});
  graph.length[0] = -1;
  EXPECT_THROW((void)measured(graph, {}), InputError);
  graph.length[0] = 2000;
  EXPECT_THROW((void)measured(graph, {}), InputError);
}

TEST(VesselDistances, OfOneLineThroughTheBoxAreThoseOfATube) {
  // A line of radius 10 um along x through the middle of a square of 200 um.
  VesselGraph graph = made({{0, 100, 100}, {200, 100, 100}}, {{0, 1}});
  graph.radius[0] = 10 * um;
  const Box box{{0, 0, 0}, {200 * um, 200 * um, 200 * um}};
  const VesselDistances found = vessel_distances(MPI_COMM_SELF, graph, box, 200000, 5);
  EXPECT_NEAR(found.inside, pi * 100 / 40000, 5e-4);  // three standard errors: 6e-4
  const Distribution axis = distribution(MPI_COMM_SELF, found.axis), wall = distribution(MPI_COMM_SELF, found.wall);
  // Half of the square outside the tube: pi (m^2 - 100) = (40000 - 100 pi) / 2, below 100 um.
  EXPECT_NEAR(axis.median, std::sqrt((20000 + 50 * pi) / pi) * um, 0.3 * um);
  EXPECT_NEAR(axis.mean - wall.mean, 10 * um, 1e-12);
  // Mean distance to the centre of a square of half width a: a (sqrt(2) + asinh(1)) / 3; the tube's own taken out.
  const double square = 100 * (std::sqrt(2.0) + std::asinh(1.0)) / 3, tube = pi * 100 / 40000;
  EXPECT_NEAR(axis.mean, (square - tube * 20.0 / 3) / (1 - tube) * um, 0.25 * um);
  EXPECT_LT(wall.largest, (100 * std::sqrt(2.0) - 10) * um);
  EXPECT_GT(wall.largest, (100 * std::sqrt(2.0) - 11) * um);
}

TEST(VesselDistances, AgreeWithTryingEverySegment) {
  const RandomStream draws(4, "morphometry_test");
  VesselGraph graph;
  for (std::uint64_t s = 0; s < 400; ++s) {
    std::array<double, 3> a{}, b{};
    for (std::uint64_t d = 0; d < 3; ++d) {
      a[d] = draws.uniform(7 * s + d, 0, 300 * um);
      b[d] = a[d] + draws.uniform(7 * s + 3 + d, -1, 1) * (s % 20 == 0 ? 300 * um : 30 * um);
    }
    const long first = graph.add_node(a, graph.nodes()), second = graph.add_node(b, graph.nodes());
    graph.add_segment(first, second, draws.uniform(7 * s + 6, 1, 12) * (s % 100 == 7 ? 10 * um : um), graph.segments());
  }
  // The box reaches beyond the vessels, so that points outside their bounding box are met too.
  const Box box{{-200 * um, 0, -50 * um}, {700 * um, 400 * um, 500 * um}};
  const VesselDistances found = vessel_distances(MPI_COMM_SELF, graph, box, 2000, 9);
  const RandomStream places(9, "morphometry.points");
  std::size_t next = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    std::array<double, 3> p{};
    for (std::size_t d = 0; d < 3; ++d) p[d] = box.origin[d] + box.size[d] * places.uniform(3 * i + d);
    double wall = INFINITY, axis = INFINITY;
    for (std::size_t s = 0; s < 400; ++s) {
      const auto &a = graph.position[2 * s], &b = graph.position[2 * s + 1];
      double along = 0, square = 0, apart = 0;
      for (std::size_t d = 0; d < 3; ++d) along += (p[d] - a[d]) * (b[d] - a[d]), square += std::pow(b[d] - a[d], 2);
      const double t = std::min(1.0, std::max(0.0, along / square));
      for (std::size_t d = 0; d < 3; ++d) apart += std::pow(p[d] - a[d] - t * (b[d] - a[d]), 2);
      axis = std::min(axis, std::sqrt(apart));
      wall = std::min(wall, std::sqrt(apart) - graph.radius[s]);
    }
    if (wall < 0) continue;
    ASSERT_LT(next, found.wall.size());
    EXPECT_NEAR(found.wall[next], wall, 1e-15) << i;
    EXPECT_NEAR(found.axis[next++], axis, 1e-15) << i;
  }
  EXPECT_EQ(next, found.wall.size());
}

TEST(FractalDimension, OfALineIsOneOfAPlaneTwoOfABoxThree) {
  const Box box{{0, 0, 0}, {640 * um, 640 * um, 640 * um}};
  const auto dimension = [&](const VesselGraph& graph) {
    return count_boxes(MPI_COMM_SELF, graph, box, 10 * um).dimension;
  };
  EXPECT_NEAR(dimension(made({{0, 3, 3}, {640, 3, 3}}, {{0, 1}})), 1, 1e-9);
  EXPECT_NEAR(dimension(made({{0, 0, 0}, {640, 640, 640}}, {{0, 1}})), 1, 1e-9);
  VesselGraph plane, full;
  for (long j = 0; j < 64; ++j) {  // lines 10 um apart, on the far face z = 640 um
    const double y = (10.0 * static_cast<double>(j) + 5) * um;
    const long first = plane.add_node({0, y, 640 * um}, 2 * j),
               second = plane.add_node({640 * um, y, 640 * um}, 2 * j + 1);
    plane.add_segment(first, second, um, j);
    for (long k = 0; k < 64; ++k) {
      const double z = (10.0 * static_cast<double>(k) + 5) * um;
      const long a = full.add_node({0, y, z}, full.nodes()), b = full.add_node({640 * um, y, z}, full.nodes());
      full.add_segment(a, b, um, full.segments());
    }
  }
  EXPECT_NEAR(dimension(plane), 2, 1e-9);
  EXPECT_NEAR(dimension(full), 3, 1e-9);
  const BoxCounts counts = count_boxes(MPI_COMM_SELF, plane, box, 10 * um);
  ASSERT_EQ(counts.edge.size(), 5U);  // 10, 20, 40, 80, 160 um
  EXPECT_EQ(counts.fitted, 4U);
  EXPECT_NEAR(counts.edge.back(), 160 * um, 1e-15);
  EXPECT_EQ(counts.count, (std::vector<long>{4096, 1024, 256, 64, 16}));
}

TEST(FractalDimension, OfShortRandomLinesFollowsTheNumberOfBoxesHit) {
  // Points far shorter than a box: n of them hit m (1 - (1 - 1/m)^n) of m boxes on average.
  const RandomStream draws(8, "fractal");
  VesselGraph graph;
  const double n = 3000;
  for (long i = 0; i < 3000; ++i) {
    const auto c = static_cast<std::uint64_t>(3 * i);
    const std::array<double, 3> p{draws.uniform(c) * 640 * um, draws.uniform(c + 1) * 640 * um,
                                  draws.uniform(c + 2) * 640 * um};
    const long a = graph.add_node(p, 2 * i), b = graph.add_node({p[0] + 1e-10, p[1], p[2]}, 2 * i + 1);
    graph.add_segment(a, b, um, i);
  }
  const BoxCounts counts = count_boxes(MPI_COMM_SELF, graph, {{0, 0, 0}, {640 * um, 640 * um, 640 * um}}, 10 * um);
  for (std::size_t i = 0; i < counts.edge.size(); ++i) {
    const double m = std::pow(640 * um / counts.edge[i], 3), expected = m * (1 - std::pow(1 - 1 / m, n));
    EXPECT_NEAR(static_cast<double>(counts.count[i]), expected, 3 * std::sqrt(std::min(expected, n * n / m) + 1)) << i;
  }
}

/// Blood that enters at node 0 splits over two paths of one segment each, of given flows and transit times, joins at
/// node 2 and leaves at node 3; its stems take `stem` seconds each.
struct TwoPaths {
  VesselGraph graph = made({{0, 0, 0}, {100, 0, 0}, {200, 0, 0}, {300, 0, 0}}, {{0, 1}, {1, 2}, {2, 1}, {2, 3}});
  SegmentFlow flow;
  TwoPaths(double fast_flow, double fast_time, double slow_flow, double slow_time, double stem) {
    flow.flow = {fast_flow + slow_flow, fast_flow, -slow_flow, fast_flow + slow_flow};
    const std::array times{stem, fast_time, slow_time, stem};
    for (std::size_t s = 0; s < 4; ++s)  // volume = flow x time; length 100 um
      graph.radius[s] = std::sqrt(std::abs(flow.flow[s]) * times[s] / (pi * 100 * um));
    flow.haematocrit.assign(4, 0.4);
    flow.pressure = {4000, 3000, 2000, 1000};
    graph.set_boundary(0, BoundaryKind::pressure, 4000), graph.set_boundary(3, BoundaryKind::pressure, 1000);
  }
};

TEST(Haemodynamics, OfTwoPathsAreThoseWorkedByHand) {
  // A quarter of the blood takes 2 s, the rest 1 s, and 0.5 s before and after: mean 2.25 s, variance 3/16 s2.
  const TwoPaths two(3e-14, 1, 1e-14, 2, 0.5);
  const Box box{{0, 0, 0}, {1e-3, 1e-3, 1e-3}};
  const auto h = haemodynamics(MPI_COMM_SELF, two.graph, box, two.flow);
  EXPECT_NEAR(h.inflow, 4e-14, 1e-26);
  EXPECT_NEAR(h.outflow, 4e-14, 1e-26);
  EXPECT_NEAR(h.plasma_inflow, 2.4e-14, 1e-26);
  EXPECT_NEAR(h.perfusion_per_mass * 6e6, 4e-14 / 1e-9 / 1050 * 6e6, 1e-12);  // 0.2286 ml/min/100 g
  EXPECT_NEAR(h.perfused_fraction, 1, 1e-12);
  EXPECT_NEAR(h.transit_share, 1, 1e-12);
  EXPECT_NEAR(h.transit_mean, 2.25, 1e-12);
  EXPECT_NEAR(h.transit_deviation, std::sqrt(3.0 / 16), 1e-9);
  EXPECT_NEAR(h.transit_variation, std::sqrt(3.0 / 16) / 2.25, 1e-9);
  EXPECT_NEAR(h.volume_over_inflow, 2.25, 1e-12);  // the central volume principle
  EXPECT_EQ(h.transit.count, 20000);
  EXPECT_NEAR(h.transit.mean, 2.25, 0.01);  // three standard errors: 0.009
  EXPECT_NEAR(h.transit.smallest, 2, 1e-9);
  EXPECT_NEAR(h.transit.largest, 3, 1e-9);
  // |flow| is 4, 3, 1, 4 (1e-14) over equal lengths: mean 3, variance 1.5.
  EXPECT_NEAR(h.flow_variation, std::sqrt(1.5) / 3, 1e-9);
  EXPECT_NEAR(h.velocity.mean, 137.5 * um, 1e-12);
  EXPECT_NEAR(h.velocity_variation, std::sqrt((2 * 62.5 * 62.5 + 37.5 * 37.5 + 87.5 * 87.5) / 4) / 137.5, 1e-9);
  // Wall shear: 1000 Pa x r / (2 x 100 um) in each.
  EXPECT_NEAR(h.wall_shear.largest, 1000 * two.graph.radius[1] / (200 * um), 1e-9);
}

TEST(Haemodynamics, LeaveSlowPathsOutAndSaySo) {
  // The slow path runs at 100 um / 20 s = 5 um/s, under the threshold of 10: it is not perfused.
  const TwoPaths two(3e-14, 1, 1e-14, 20, 0.5);
  const auto h = haemodynamics(MPI_COMM_SELF, two.graph, {}, two.flow);
  EXPECT_NEAR(h.perfused_fraction, 0.75, 1e-12);
  EXPECT_NEAR(h.perfused_segment_fraction, 0.75, 1e-12);
  EXPECT_NEAR(h.transit_share, 0.75, 1e-12);
  EXPECT_NEAR(h.transit_mean, 2, 1e-12);
  EXPECT_NEAR(h.transit_deviation, 0, 1e-6);
  EXPECT_NEAR(static_cast<double>(h.transit.count), 15000, 200);
  EXPECT_EQ(h.perfusion, 0);  // no volume
}

TEST(Haemodynamics, ACycleOfFlowIsNotCountedAsTransit) {
  // Node 1 and 2 joined by two segments that carry blood round and round beside the through-flow.
  TwoPaths two(3e-14, 1, 1e-14, 2, 0.5);
  two.flow.flow[1] = 5e-14, two.flow.flow[2] = 1e-14;  // from node 2 back to node 1
  const auto h = haemodynamics(MPI_COMM_SELF, two.graph, {}, two.flow);
  EXPECT_NEAR(h.transit_share, 0, 1e-12);
  EXPECT_GT(h.transit.count, 19000);  // walks do leave the cycle
}

TEST(Haemodynamics, RefuseArraysThatDoNotFit) {
  TwoPaths two(3e-14, 1, 1e-14, 2, 0.5);
  two.flow.haematocrit.pop_back();
  EXPECT_THROW((void)haemodynamics(MPI_COMM_SELF, two.graph, {}, two.flow), InputError);
  two.flow.haematocrit.push_back(std::nan(""));
  EXPECT_THROW((void)haemodynamics(MPI_COMM_SELF, two.graph, {}, two.flow), InputError);
}

BloodLaws water() {
  BloodLaws laws;
  laws.viscosity = [](double, double) { return 1e-3; };
  laws.split = [](double feed, double, std::span<const double>, std::span<const double>, std::span<double> out) {
    std::fill(out.begin(), out.end(), feed);
  };
  return laws;
}

TEST(SteadyFlow, IsThatOfPoiseuilleAndTakesAPressureWhereAllIsFlow) {
  VesselGraph graph = made({{0, 0, 0}, {100, 0, 0}, {200, 0, 0}}, {{0, 1}, {1, 2}});
  EXPECT_THROW((void)steady_flow(MPI_COMM_SELF, graph, water()), InputError);
  graph.set_boundary(0, BoundaryKind::pressure, 1000), graph.set_boundary(2, BoundaryKind::pressure, 0);
  const double q = pi * std::pow(4 * um, 4) / (8 * 1e-3 * 200 * um) * 1000;
  const SegmentFlow flow = steady_flow(MPI_COMM_SELF, graph, water()).flow;
  EXPECT_NEAR(flow.flow[1], q, 1e-9 * q);
  EXPECT_NEAR(flow.pressure[1], 500, 1e-6);
  graph.set_boundary(0, BoundaryKind::flow, q), graph.set_boundary(2, BoundaryKind::flow, -q);
  const SegmentFlow driven = steady_flow(MPI_COMM_SELF, graph, water()).flow;
  EXPECT_NEAR(driven.flow[0], q, 1e-9 * q);
  EXPECT_NEAR(driven.pressure[0] - driven.pressure[2], 1000, 1e-5);
  graph.radius[0] = 0;
  EXPECT_THROW((void)steady_flow(MPI_COMM_SELF, graph, water()), InputError);
}

TEST(Morphometry, OfRealNetworksIsThatOfTheirPublications) {
  const std::filesystem::path reference = SANCTUARY_REFERENCE_DATA;
  if (!std::filesystem::exists(reference / "mesentery_546")) GTEST_SKIP() << "skipped: reference data not found";
  // Pries and Secomb count 546 vessels; the file holds 1130 segments. Its listed flows keep the central volume
  // principle.
  const VesselGraph mesentery = read_network(reference / "mesentery_546/netflowv2_network.dat");
  EXPECT_EQ(measured(mesentery, bounding_box(mesentery)).vessels, 546);
  const SegmentFlow listed{mesentery.file_flow, mesentery.file_haematocrit,
                           std::vector<double>(mesentery.position.size(), 0.0)};
  const auto h = haemodynamics(MPI_COMM_SELF, mesentery, {}, listed);
  EXPECT_NEAR(h.transit_share, 1, 1e-3);
  EXPECT_NEAR(h.transit_mean, h.volume_over_inflow, 2e-3 * h.volume_over_inflow);  // flows are listed to 4 digits
  // The tumour of Secomb 1998: 113 mm/mm3; xenografts have about 1,200 to 1,600 segments per mm3.
  const VesselGraph tumour = read_network(reference / "tumour_r3230ac/network.dat");
  const auto s = measured(tumour, {{0, 0, 0}, {550 * um, 520 * um, 230 * um}});
  EXPECT_NEAR(s.length_density * 1e-6, 113, 1);
  EXPECT_NEAR(s.segment_density * 1e-9, 104 / (0.55 * 0.52 * 0.23), 1e-6);
  // The VTK file holds 77 polylines.
  ReadOptions in_um;
  in_um.length_unit = "um";
  const VesselGraph traced = read_network(reference / "microvesselchaste_tumor/tapmeier_network.vtp", in_um);
  EXPECT_EQ(measured(traced, bounding_box(traced)).vessels, 77);
}

TEST(Share, KeepsAllOfTheSegmentsOfARankAndTheirNodes) {
  VesselGraph graph = made({{0, 0, 0}, {10, 0, 0}, {20, 0, 0}, {99, 9, 9}}, {{0, 1}, {1, 2}});
  graph.file_flow = {1, 2};
  graph.set_boundary(2, BoundaryKind::flow, 5, 0.3, 70);
  const GraphShare first = block_share(graph, 0, 2), second = block_share(graph, 1, 2);
  EXPECT_EQ(first.graph.node_id, (std::vector<long>{3, 13}));
  EXPECT_EQ(second.graph.node_id, (std::vector<long>{13, 23, 33}));  // the isolated node too
  EXPECT_EQ(second.node, (std::vector<long>{1, 2, 3}));
  EXPECT_EQ(second.segment, (std::vector<long>{1}));
  EXPECT_EQ(second.graph.file_flow, (std::vector<double>{2}));
  EXPECT_EQ(second.graph.boundary_po2[1], 70);
  EXPECT_NO_THROW(check_consistent(second.graph, "share"));
}

}  // namespace
}  // namespace sanctuary
