#include "solvers/network/graph.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "base/error.hpp"

namespace sanctuary {
namespace {

constexpr double um = 1e-6;

/// Nodes on a line, 10 um apart; segments of radius 4 um; pressure nodes as listed.
VesselGraph made(long nodes, const std::vector<std::array<long, 2>>& segments, const std::vector<long>& boundary) {
  VesselGraph graph;
  for (long n = 0; n < nodes; ++n) graph.add_node({10 * um * static_cast<double>(n), 0, 0}, 100 + n);
  for (const auto& pair : segments) graph.add_segment(pair[0], pair[1], 4 * um, graph.segments());
  for (long n : boundary) graph.set_boundary(n, BoundaryKind::pressure, 1000);
  return graph;
}

std::vector<long> carrying(const VesselGraph& graph) {
  std::vector<long> result;
  const auto carries = can_carry_flow(graph);
  for (std::size_t s = 0; s < carries.size(); ++s)
    if (carries[s]) result.push_back(static_cast<long>(s));
  return result;
}

/// By the definition: walks all simple paths between boundary nodes.
std::vector<bool> by_enumeration(const VesselGraph& graph) {
  const Adjacency near = adjacency(graph);
  std::vector<bool> result(graph.segment.size(), false), visited(graph.position.size(), false);
  std::vector<long> path;
  const std::function<void(long, long)> walk = [&](long start, long node) {
    if (node != start && graph.boundary[static_cast<std::size_t>(node)] != BoundaryKind::none)
      for (long s : path) result[static_cast<std::size_t>(s)] = true;
    visited[static_cast<std::size_t>(node)] = true;
    for (long i = near.offset[static_cast<std::size_t>(node)]; i < near.offset[static_cast<std::size_t>(node) + 1];
         ++i) {
      const long s = near.segment[static_cast<std::size_t>(i)];
      const auto& pair = graph.segment[static_cast<std::size_t>(s)];
      const long other = pair[0] == node ? pair[1] : pair[0];
      if (visited[static_cast<std::size_t>(other)] || !(graph.radius[static_cast<std::size_t>(s)] > 0)) continue;
      path.push_back(s);
      walk(start, other);
      path.pop_back();
    }
    visited[static_cast<std::size_t>(node)] = false;
  };
  for (long n = 0; n < graph.nodes(); ++n)
    if (graph.boundary[static_cast<std::size_t>(n)] != BoundaryKind::none) walk(n, n);
  return result;
}

TEST(CanCarryFlow, LeavesOutTreeStubs) {
  // 0 - 1 - 2 - 3 with the stub 1 - 4 - 5, 4 - 6.
  EXPECT_EQ(carrying(made(7, {{0, 1}, {1, 2}, {2, 3}, {1, 4}, {4, 5}, {4, 6}}, {0, 3})), (std::vector<long>{0, 1, 2}));
}

TEST(CanCarryFlow, LeavesOutALoopThatHangsOnABridge) {
  // 0 - 1 - 2, and 1 - 3 leads to the loop 3 - 4 - 5.
  EXPECT_EQ(carrying(made(6, {{0, 1}, {1, 2}, {1, 3}, {3, 4}, {4, 5}, {5, 3}}, {0, 2})), (std::vector<long>{0, 1}));
  // The same with the loop hanging on the node itself.
  EXPECT_EQ(carrying(made(5, {{0, 1}, {1, 2}, {1, 3}, {3, 4}, {4, 1}}, {0, 2})), (std::vector<long>{0, 1}));
  // A loop in the way carries flow.
  EXPECT_EQ(carrying(made(6, {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 1}, {3, 5}}, {0, 5})),
            (std::vector<long>{0, 1, 2, 3, 4, 5}));
}

TEST(CanCarryFlow, KnowsMultipleEdgesAndSelfLoops) {
  EXPECT_EQ(carrying(made(3, {{0, 1}, {1, 2}, {2, 1}}, {0, 2})), (std::vector<long>{0, 1, 2}));
  EXPECT_EQ(carrying(made(4, {{0, 1}, {1, 2}, {1, 3}, {3, 1}, {3, 3}, {1, 1}}, {0, 2})), (std::vector<long>{0, 1}));
}

TEST(CanCarryFlow, NeedsTwoBoundaryNodesInAPiece) {
  EXPECT_EQ(carrying(made(2, {{0, 1}}, {0, 1})), (std::vector<long>{0}));
  EXPECT_TRUE(carrying(made(2, {{0, 1}}, {0})).empty());
  EXPECT_TRUE(carrying(made(2, {{0, 1}}, {})).empty());
  EXPECT_TRUE(carrying(made(3, {{0, 1}, {1, 2}, {2, 0}}, {0})).empty());
  EXPECT_EQ(carrying(made(5, {{0, 1}, {2, 3}, {3, 4}}, {0, 2, 4})), (std::vector<long>{1, 2}));
}

TEST(CanCarryFlow, TakesASegmentWithoutRadiusAsClosed) {
  VesselGraph graph = made(4, {{0, 1}, {1, 2}, {1, 3}}, {0, 2, 3});
  graph.radius[1] = 0;
  EXPECT_EQ(carrying(graph), (std::vector<long>{0, 2}));
}

TEST(CanCarryFlow, AgreesWithAllSimplePathsOfRandomGraphs) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 3000; ++trial) {
    const long nodes = 2 + static_cast<long>(random() % 7);
    const auto segments = random() % 11;
    std::vector<std::array<long, 2>> pairs;
    for (unsigned long s = 0; s < segments; ++s)
      pairs.push_back({static_cast<long>(random() % static_cast<unsigned long>(nodes)),
                       static_cast<long>(random() % static_cast<unsigned long>(nodes))});
    std::vector<long> boundary;
    for (long n = 0; n < nodes; ++n)
      if (random() % 3 == 0) boundary.push_back(n);
    VesselGraph graph = made(nodes, pairs, boundary);
    for (double& radius : graph.radius)
      if (random() % 10 == 0) radius = 0;
    ASSERT_EQ(can_carry_flow(graph), by_enumeration(graph)) << "trial " << trial;
  }
}

TEST(CanCarryFlow, HandlesALongChainWithoutRecursion) {
  VesselGraph graph;
  constexpr long nodes = 400000;
  for (long n = 0; n < nodes; ++n) graph.add_node({static_cast<double>(n), 0, 0}, n);
  for (long n = 0; n + 1 < nodes; ++n) graph.add_segment(n, n + 1, 1, n);
  graph.set_boundary(0, BoundaryKind::pressure, 1);
  graph.set_boundary(nodes - 1, BoundaryKind::flow, -1);
  const auto carries = can_carry_flow(graph);
  EXPECT_TRUE(std::all_of(carries.begin(), carries.end(), [](bool b) { return b; }));
}

TEST(Graph, FindsPiecesEndsAndNeighbours) {
  const VesselGraph graph = made(7, {{0, 1}, {2, 3}, {3, 4}, {4, 2}, {4, 5}}, {});
  EXPECT_EQ(connected_pieces(graph), (std::vector<long>{1, 1, 0, 0, 0, 0, 2}));
  EXPECT_EQ(end_nodes(graph), (std::vector<long>{0, 1, 5}));
  const Adjacency near = adjacency(graph);
  EXPECT_EQ(near.degree(4), 3);
  EXPECT_EQ(near.degree(6), 0);
  EXPECT_EQ(std::vector<long>(near.segment.begin() + near.offset[4], near.segment.begin() + near.offset[5]),
            (std::vector<long>{2, 3, 4}));
}

TEST(Diagnose, FindsEachDefect) {
  //  0-1-2 sound; 3 at the place of 2; 4 isolated; 5-6 a piece of its own; 7 outside.
  VesselGraph graph = made(8, {{0, 1}, {1, 2}, {1, 2}, {1, 2}, {5, 6}, {1, 1}, {1, 7}, {0, 3}}, {0, 2});
  graph.position[3] = graph.position[2];
  graph.length[7] = straight_length(graph, 7);
  graph.position[7] = {10 * um, 500 * um, 0};
  graph.length[6] = 1e-12;
  graph.radius[3] = 5 * um;
  graph.radius[4] = 0;
  graph.radius[7] = -1 * um;
  const Box box{{0, -1 * um, -1 * um}, {100 * um, 2 * um, 2 * um}};
  const Diagnosis found = diagnose(graph, box);
  ASSERT_EQ(found.pieces.size(), 3U);
  EXPECT_EQ(found.pieces[0].nodes, 5);
  EXPECT_EQ(found.pieces[0].segments, 7);
  EXPECT_EQ(found.pieces[0].pressure_nodes, 2);
  EXPECT_EQ(found.pieces_without_pressure, (std::vector<long>{1, 2}));
  EXPECT_EQ(found.isolated_nodes, (std::vector<long>{4}));
  EXPECT_EQ(found.dangling_ends, (std::vector<long>{3, 5, 6, 7}));
  EXPECT_EQ(found.outside_nodes, (std::vector<long>{7}));
  EXPECT_EQ(found.coincident_nodes, (std::vector<std::array<long, 2>>{{2, 3}}));
  EXPECT_EQ(found.duplicate_segments, (std::vector<long>{2}));
  EXPECT_EQ(found.parallel_segments, (std::vector<long>{3}));
  EXPECT_EQ(found.zero_radius, (std::vector<long>{4}));
  EXPECT_EQ(found.negative_radius, (std::vector<long>{7}));
  EXPECT_EQ(found.self_loops, (std::vector<long>{5}));
  EXPECT_EQ(found.zero_length, (std::vector<long>{6}));
  EXPECT_EQ(found.no_through_flow, (std::vector<long>{4, 5, 6, 7}));
  EXPECT_FALSE(found.usable());
  const std::string text = report(found, graph);
  for (const char* word : {"disconnected pieces", "duplicate", "zero radius", "outside the box: 107", "102=103"})
    EXPECT_NE(text.find(word), std::string::npos) << word << "\n" << text;
}

TEST(Diagnose, FindsValuesThatAreNotFinite) {
  VesselGraph graph = made(3, {{0, 1}, {1, 2}}, {0, 2});
  EXPECT_TRUE(diagnose(graph, bounding_box(graph)).usable());
  graph.radius[0] = std::nan("");
  graph.position[1][1] = std::nan("");
  const Diagnosis found = diagnose(graph, Box{{0, 0, 0}, {1, 1, 1}});
  EXPECT_EQ(found.not_finite_segments, (std::vector<long>{0}));
  EXPECT_EQ(found.not_finite_nodes, (std::vector<long>{1}));
  EXPECT_FALSE(found.usable());
  EXPECT_THROW(check_consistent(graph, "net.dat"), InputError);
}

TEST(Diagnose, FindsCoincidenceAcrossTheCellsOfItsSearch) {
  // Pairs 0.9 tolerances apart on either side of any cell boundary, and one 1.1 apart.
  VesselGraph graph;
  std::mt19937 random(3);
  const double tolerance = 1 * um;
  for (long pair = 0; pair < 500; ++pair) {
    const auto unit = [&] { return std::uniform_real_distribution<double>(-1, 1)(random); };
    const double x = 20 * um * static_cast<double>(pair) + unit() * um, y = unit() * um, z = unit() * um;
    std::array<double, 3> direction{unit(), unit(), unit()};
    const double norm = std::hypot(direction[0], direction[1], direction[2]);
    const double apart = (pair % 2 == 0 ? 0.9 : 1.1) * tolerance / norm;
    graph.add_node({x, y, z}, 2 * pair);
    graph.add_node({x + apart * direction[0], y + apart * direction[1], z + apart * direction[2]}, 2 * pair + 1);
  }
  const auto found = diagnose(graph, bounding_box(graph), {.coincident = tolerance}).coincident_nodes;
  ASSERT_EQ(found.size(), 250U);
  for (const auto& pair : found) EXPECT_EQ(pair[0] % 4, 0);
}

TEST(Repair, MakesAUsableGraphAndCountsTheChanges) {
  VesselGraph graph = made(9, {{0, 1}, {1, 2}, {1, 2}, {5, 6}, {1, 1}, {3, 4}, {4, 7}}, {0, 7});
  graph.position[3] = graph.position[2];
  graph.position[4] = {65 * um, 0, 0};
  graph.position[7] = {90 * um, 0, 0};
  for (long s = 0; s < graph.segments(); ++s) graph.length[static_cast<std::size_t>(s)] = straight_length(graph, s);
  graph.radius[5] = 0;
  graph.radius[6] = 6 * um;
  const auto [mended, done] = repair(graph);
  EXPECT_EQ(done.merged_nodes, 1);
  EXPECT_EQ(done.contracted_segments, 1);
  EXPECT_EQ(done.dropped_duplicates, 1);
  EXPECT_EQ(done.filled_radii, 1);
  EXPECT_EQ(done.dropped_pieces, 1);
  EXPECT_EQ(done.dropped_piece_segments, 1);
  EXPECT_EQ(done.dropped_nodes, 3);
  EXPECT_TRUE(done.changed());
  EXPECT_NE(done.text().find("duplicate segments dropped"), std::string::npos);
  EXPECT_EQ(mended.node_id, (std::vector<long>{100, 101, 102, 104, 107}));
  EXPECT_EQ(mended.segment_id, (std::vector<long>{0, 1, 5, 6}));
  EXPECT_NEAR(mended.radius[2], 5 * um, 1e-12);  // mean of the neighbours 4 and 6 um
  EXPECT_TRUE(diagnose(mended, bounding_box(mended)).usable());
  EXPECT_EQ(carrying(mended), (std::vector<long>{0, 1, 2, 3}));
  EXPECT_FALSE(repair(mended).second.changed());
}

TEST(Repair, ContractsAZeroLengthSegmentWithoutCuttingTheVessel) {
  VesselGraph graph = made(4, {{0, 1}, {1, 2}, {2, 3}}, {0, 3});
  graph.position[2] = graph.position[1];
  graph.length[1] = 0;
  RepairOptions options;
  options.merge_coincident = false;
  const auto [mended, done] = repair(graph, options);
  EXPECT_EQ(done.contracted_segments, 1);
  EXPECT_EQ(mended.segments(), 2);
  EXPECT_EQ(carrying(mended), (std::vector<long>{0, 1}));
}

TEST(Repair, KeepsBoundaryConditionsOfMergedNodes) {
  VesselGraph graph = made(4, {{0, 1}, {2, 3}}, {0});
  graph.position[2] = graph.position[1];
  graph.set_boundary(1, BoundaryKind::flow, 1e-15);
  graph.set_boundary(2, BoundaryKind::flow, 2e-15);
  VesselGraph mended = repair(graph).first;
  EXPECT_DOUBLE_EQ(mended.boundary_value[1], 3e-15);
  graph.set_boundary(2, BoundaryKind::pressure, 500);
  const auto [other, done] = repair(graph);
  EXPECT_EQ(other.boundary[1], BoundaryKind::pressure);
  EXPECT_DOUBLE_EQ(other.boundary_value[1], 500);
  EXPECT_EQ(done.notes.size(), 1U);
}

TEST(Repair, ChangesNothingThatWasNotAsked) {
  VesselGraph graph = made(4, {{0, 1}, {0, 1}, {2, 3}}, {0, 1});
  graph.radius[2] = 0;
  RepairOptions none;
  none.merge_coincident = none.zero_length = none.duplicates = none.drop_pieces_without_boundary = false;
  none.drop_isolated_nodes = none.stretch_short = false;
  none.zero_radius = RepairOptions::ZeroRadius::keep;
  const auto [same, done] = repair(graph, none);
  EXPECT_FALSE(done.changed());
  EXPECT_EQ(same.segment, graph.segment);
}

TEST(Repair, KeepsPiecesWhenNoNodeHasABoundaryCondition) {
  const auto [same, done] = repair(made(4, {{0, 1}, {2, 3}}, {}));
  EXPECT_EQ(same.segments(), 2);
  EXPECT_EQ(done.notes.size(), 1U);
}

TEST(Graph, RejectsInconsistentData) {
  const VesselGraph sound = made(3, {{0, 1}, {1, 2}}, {0, 2});
  EXPECT_NO_THROW(check_consistent(sound, "net"));
  const std::vector<std::function<void(VesselGraph&)>> faults{
      [](VesselGraph& g) { g.segment[1] = {1, 3}; }, [](VesselGraph& g) { g.segment[1] = {-1, 2}; },
      [](VesselGraph& g) { g.radius.pop_back(); },   [](VesselGraph& g) { g.node_id[2] = g.node_id[1]; },
      [](VesselGraph& g) { g.node_id[2] = -4; },     [](VesselGraph& g) { g.segment_id[1] = g.segment_id[0]; },
      [](VesselGraph& g) { g.maturity[0] = 1.5; },   [](VesselGraph& g) { g.type[0] = 7; },
      [](VesselGraph& g) { g.file_flow = {1.0}; },   [](VesselGraph& g) { g.boundary_value[0] = INFINITY; },
      [](VesselGraph& g) { g = VesselGraph{}; },
  };
  for (std::size_t f = 0; f < faults.size(); ++f) {
    VesselGraph graph = sound;
    faults[f](graph);
    EXPECT_THROW(check_consistent(graph, "net"), InputError) << "fault " << f;
  }
}

}  // namespace
}  // namespace sanctuary
