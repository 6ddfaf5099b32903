#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"
#include "base/random.hpp"
#include "solvers/network/connectivity.hpp"
#include "solvers/network/haemodynamics.hpp"
#include "solvers/network/share.hpp"
#include "tissue/network_generator.hpp"

namespace sanctuary {
namespace {

const MPI_Comm everyone = MPI_COMM_WORLD, alone = MPI_COMM_SELF;

void expect_same(const Distribution& a, const Distribution& b) {
  EXPECT_EQ(a.count, b.count);
  EXPECT_EQ(a.mean, b.mean);
  EXPECT_EQ(a.deviation, b.deviation);
  EXPECT_EQ(a.smallest, b.smallest);
  EXPECT_EQ(a.largest, b.largest);
  EXPECT_EQ(a.quantile_05, b.quantile_05);
  EXPECT_EQ(a.median, b.median);
  EXPECT_EQ(a.quantile_95, b.quantile_95);
}

void expect_same(const Binned& a, const Binned& b) {
  EXPECT_EQ(a.share, b.share);
  EXPECT_EQ(a.below, b.below);
  EXPECT_EQ(a.above, b.above);
}

/// A generated network with blind ends, every segment cut in four that zigzag, and a ring on its own.
VesselGraph sample() {
  GeneratorSettings settings;
  settings.box.size = {5e-4, 5e-4, 5e-4};
  settings.segments = 300;
  settings.blind_end_fraction = 0.1;
  const VesselGraph coarse = generate_network(settings);
  VesselGraph graph;
  for (std::size_t n = 0; n < coarse.position.size(); ++n) {
    graph.add_node(coarse.position[n], 5 * coarse.node_id[n] + 2);
    graph.set_boundary(static_cast<long>(n), coarse.boundary[n], coarse.boundary_value[n]);
  }
  const RandomStream draws(6, "zigzag");
  long id = 100000;
  for (std::size_t s = 0; s < coarse.segment.size(); ++s) {
    const auto [from, to] = coarse.segment[s];
    long last = from;
    for (int part = 1; part <= 4; ++part) {
      long next = to;
      if (part < 4) {
        std::array<double, 3> place{};
        for (std::size_t d = 0; d < 3; ++d)
          place[d] = coarse.position[static_cast<std::size_t>(from)][d] * (1 - part / 4.0) +
                     coarse.position[static_cast<std::size_t>(to)][d] * (part / 4.0) +
                     draws.uniform(static_cast<std::uint64_t>(id) * 3 + d, -3e-6, 3e-6);
        next = graph.add_node(place, ++id);
      }
      // Every other one runs backwards.
      graph.add_segment(part % 2 == 0 ? next : last, part % 2 == 0 ? last : next, coarse.radius[s],
                        3 * graph.segments() + 1);
      graph.type.back() = coarse.type[s];
      last = next;
    }
  }
  const long a = graph.add_node({1e-4, 1e-4, 1e-4}, 7000001), b = graph.add_node({1.2e-4, 1e-4, 1e-4}, 7000002),
             c = graph.add_node({1.1e-4, 1.2e-4, 1e-4}, 7000003);
  graph.add_segment(a, b, 3e-6, 8000001), graph.add_segment(b, c, 3e-6, 8000002),
      graph.add_segment(c, a, 3e-6, 8000003);
  graph.add_node({2e-4, 2e-4, 2e-4}, 7000009);  // isolated
  return graph;
}

/// Shares of different kinds: in blocks, dealt out at random, by place, all on the last rank.
GraphShare dealt(const VesselGraph& graph, int kind) {
  const int rank = rank_of(everyone), ranks = size_of(everyone);
  if (kind == 0) return block_share(graph, rank, ranks);
  const RandomStream draws(3, "dealt");
  std::vector<bool> mine(graph.segment.size());
  for (std::size_t s = 0; s < mine.size(); ++s) {
    const double x = graph.position[static_cast<std::size_t>(graph.segment[s][0])][0] / 5e-4;
    const int by_place = std::min(ranks - 1, std::max(0, static_cast<int>(x * ranks)));
    const auto at_random = static_cast<int>(draws.below(s, static_cast<std::uint64_t>(ranks)));
    mine[s] = (kind == 1 ? at_random : kind == 2 ? by_place : ranks - 1) == rank;
  }
  return share_of(graph, mine, rank == 0);
}

TEST(MorphometryOnRanks, HasTheSameDigitsAsAlone) {
  const VesselGraph graph = sample();
  const Box box{{0, 0, 0}, {5e-4, 5e-4, 5e-4}};
  const MorphometrySettings settings{.points = 3000};
  const NetworkStatistics a = statistics(alone, graph, box, settings);
  EXPECT_EQ(a.segments, a.nodes - a.pieces + a.loops);
  EXPECT_GT(a.blind_ends, 10);
  EXPECT_LT(a.vessels, a.segments / 3);
  EXPECT_GE(a.pieces, 3);
  for (int kind = 0; kind < 4; ++kind) {
    const NetworkStatistics b = statistics(everyone, dealt(graph, kind).graph, box, settings);
    EXPECT_EQ(a.segments, b.segments);
    EXPECT_EQ(a.nodes, b.nodes);
    EXPECT_EQ(a.vessels, b.vessels);
    EXPECT_EQ(a.pieces, b.pieces);
    EXPECT_EQ(a.loops, b.loops);
    EXPECT_EQ(a.end_nodes, b.end_nodes);
    EXPECT_EQ(a.blind_ends, b.blind_ends);
    EXPECT_EQ(a.branch_points, b.branch_points);
    EXPECT_EQ(a.boundary_nodes, b.boundary_nodes);
    EXPECT_EQ(a.degrees, b.degrees);
    EXPECT_EQ(a.total_length, b.total_length);
    EXPECT_EQ(a.surface_per_volume, b.surface_per_volume);
    EXPECT_EQ(a.volume_fraction, b.volume_fraction);
    EXPECT_EQ(a.through_flow_share, b.through_flow_share);
    EXPECT_EQ(a.largest_piece_share, b.largest_piece_share);
    EXPECT_EQ(a.tortuosity, b.tortuosity);
    EXPECT_EQ(a.points_inside, b.points_inside);
    EXPECT_EQ(a.boxes.count, b.boxes.count);
    EXPECT_EQ(a.boxes.dimension, b.boxes.dimension);
    for (std::size_t type = 0; type < 4; ++type) EXPECT_EQ(a.types[type].length_share, b.types[type].length_share);
    expect_same(a.radius, b.radius);
    expect_same(a.radius_by_length, b.radius_by_length);
    expect_same(a.length, b.length);
    expect_same(a.vessel_length, b.vessel_length);
    expect_same(a.vessel_radius, b.vessel_radius);
    expect_same(a.vessel_tortuosity, b.vessel_tortuosity);
    expect_same(a.distance_to_wall, b.distance_to_wall);
    expect_same(a.distance_to_axis, b.distance_to_axis);
    expect_same(a.radius_bins, b.radius_bins);
    expect_same(a.vessel_length_bins, b.vessel_length_bins);
    expect_same(a.distance_bins, b.distance_bins);
  }
}

/// Few nodes and segments joined at random: trees, loops, parallel segments, self loops, closed radii, isolated nodes.
VesselGraph random_graph(std::uint64_t seed) {
  const RandomStream draws(seed, "random_graph");
  VesselGraph graph;
  const auto nodes = static_cast<long>(3 + draws.below(0, 40)), segments = static_cast<long>(1 + draws.below(1, 60));
  for (long n = 0; n < nodes; ++n) {
    graph.add_node({1e-6 * static_cast<double>(n), 0, 0}, 100 - 2 * n + 2 * nodes);
    if (draws.uniform(static_cast<std::uint64_t>(1000 + n)) < 0.15) graph.set_boundary(n, BoundaryKind::pressure, 1);
  }
  for (long s = 0; s < segments; ++s) {
    const auto c = static_cast<std::uint64_t>(2000 + 4 * s);
    // Mostly between near neighbours, so that chains, trees and cut nodes are common.
    const auto from = static_cast<long>(draws.below(c, static_cast<std::uint64_t>(nodes)));
    const auto reach = static_cast<long>(draws.below(c + 1, draws.uniform(c + 2) < 0.8 ? 3 : 12));
    graph.add_segment(from, (from + reach) % nodes, draws.uniform(c + 3) < 0.05 ? 0 : 1e-6, s);
    graph.length.back() = 1e-6 * static_cast<double>(1 + s % 7);
  }
  return graph;
}

TEST(ConnectivityOnRanks, AgreesWithTheSearchOfTheWholeGraph) {
  const int rank = rank_of(everyone), ranks = size_of(everyone);
  long carrying = 0, not_carrying = 0;
  for (std::uint64_t seed = 0; seed < 1500; ++seed) {
    const VesselGraph graph = random_graph(seed);
    const RandomStream draws(seed, "dealt");
    std::vector<bool> mine(graph.segment.size());
    for (std::size_t s = 0; s < mine.size(); ++s)
      mine[s] = static_cast<int>(draws.below(s, static_cast<std::uint64_t>(ranks))) == rank;
    const GraphShare part = seed % 2 == 0 ? share_of(graph, mine, rank == 0) : block_share(graph, rank, ranks);
    const NodeRoles roles = node_roles(everyone, part.graph);
    const std::vector<bool> expected = can_carry_flow(graph), found = can_carry_flow(everyone, part.graph, roles);
    for (std::size_t s = 0; s < found.size(); ++s) {
      EXPECT_EQ(found[s], expected[static_cast<std::size_t>(part.segment[s])]) << "graph " << seed << " segment " << s;
      found[s] ? ++carrying : ++not_carrying;
    }
    const std::vector<long> piece = connected_pieces(graph);
    std::vector<double> length(graph.position.size(), 0);
    for (std::size_t s = 0; s < graph.segment.size(); ++s)
      length[static_cast<std::size_t>(piece[static_cast<std::size_t>(graph.segment[s][0])])] += graph.length[s];
    const Pieces pieces = pieces_of(everyone, part.graph, roles);
    EXPECT_EQ(pieces.count, *std::max_element(piece.begin(), piece.end()) + 1) << seed;
    EXPECT_NEAR(pieces.longest_length, *std::max_element(length.begin(), length.end()), 1e-18) << seed;
  }
  EXPECT_GT(carrying, 1000);
  EXPECT_GT(not_carrying, 1000);
}

TEST(HaemodynamicsOnRanks, SteadyFlowIsThatOfOneRank) {
  const VesselGraph graph = sample();
  const Box box{{0, 0, 0}, {5e-4, 5e-4, 5e-4}};
  BloodLaws laws;
  laws.viscosity = [](double, double) { return 3e-3; };
  laws.split = [](double feed, double, std::span<const double>, std::span<const double>, std::span<double> out) {
    std::fill(out.begin(), out.end(), feed);
  };
  const FlowOfShare whole = steady_flow(alone, graph, laws), part = steady_flow(everyone, dealt(graph, 1).graph, laws);
  EXPECT_EQ(count_over(everyone, part.share.segments()), graph.segments());
  const Haemodynamics a = haemodynamics(alone, whole.share, box, whole.flow),
                      b = haemodynamics(everyone, part.share, box, part.flow);
  EXPECT_NEAR(a.inflow, b.inflow, 1e-10 * a.inflow);
  EXPECT_NEAR(a.flow_variation, b.flow_variation, 1e-9);
  EXPECT_NEAR(a.transit_mean, b.transit_mean, 1e-8 * a.transit_mean);
  EXPECT_NEAR(a.perfused_fraction, b.perfused_fraction, 1e-12);
}

TEST(HaemodynamicsOnRanks, HaveTheSameDigitsAsAlone) {
  const VesselGraph graph = sample();
  const Box box{{0, 0, 0}, {5e-4, 5e-4, 5e-4}};
  BloodLaws laws;
  laws.viscosity = [](double, double) { return 3e-3; };
  laws.split = [](double feed, double, std::span<const double>, std::span<const double>, std::span<double> out) {
    std::fill(out.begin(), out.end(), feed);
  };
  const SegmentFlow whole = steady_flow(alone, graph, laws).flow;
  const Haemodynamics a = haemodynamics(alone, graph, box, whole);
  EXPECT_NEAR(a.inflow, a.outflow, 1e-9 * a.inflow);
  EXPECT_GT(a.transit_share, 0.9);
  EXPECT_LE(a.transit_share, 1 + 1e-9);
  EXPECT_GT(a.transit_variation, 0.1);
  // Walks and moments tell the same: three standard errors.
  EXPECT_NEAR(a.transit.mean, a.transit_mean, 3 * a.transit_deviation / std::sqrt(20000.0));
  EXPECT_NEAR(static_cast<double>(a.transit.count) / 20000, a.transit_share, 0.01);
  for (int kind = 0; kind < 4; ++kind) {
    const GraphShare mine = dealt(graph, kind);
    SegmentFlow part;
    for (const long s : mine.segment) {
      part.flow.push_back(whole.flow[static_cast<std::size_t>(s)]);
      part.haematocrit.push_back(whole.haematocrit[static_cast<std::size_t>(s)]);
    }
    for (const long n : mine.node) part.pressure.push_back(whole.pressure[static_cast<std::size_t>(n)]);
    const Haemodynamics b = haemodynamics(everyone, mine.graph, box, part);
    EXPECT_EQ(a.perfused_fraction, b.perfused_fraction);
    EXPECT_EQ(a.perfused_segment_fraction, b.perfused_segment_fraction);
    EXPECT_EQ(a.inflow, b.inflow);
    EXPECT_EQ(a.outflow, b.outflow);
    EXPECT_EQ(a.plasma_inflow, b.plasma_inflow);
    EXPECT_EQ(a.flow_variation, b.flow_variation);
    EXPECT_EQ(a.velocity_variation, b.velocity_variation);
    EXPECT_EQ(a.blood_volume, b.blood_volume);
    EXPECT_EQ(a.transit_share, b.transit_share);
    EXPECT_EQ(a.transit_mean, b.transit_mean);
    EXPECT_EQ(a.transit_deviation, b.transit_deviation);
    expect_same(a.velocity, b.velocity);
    expect_same(a.wall_shear, b.wall_shear);
    expect_same(a.haematocrit, b.haematocrit);
    expect_same(a.transit, b.transit);
    expect_same(a.transit_bins, b.transit_bins);
  }
}

}  // namespace
}  // namespace sanctuary
