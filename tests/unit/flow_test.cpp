#include "solvers/network/flow.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "base/random.hpp"
#include "benchmark/lattice_network.hpp"
#include "solvers/network/linearised_flow.hpp"
#include "support/allocation_count.hpp"
#include "tissue/blood.hpp"

namespace sanctuary {
namespace {

constexpr double mmhg = 133.322387415;

BloodLaws laws(const SplitLaw& split = {}) { return blood_laws(Rheology{}, split, 0.45); }

/// A network and its steady flow, kept together.
struct Solved {
  CutNetwork network;
  BloodFlow blood;
  Solved(const VesselGraph& graph, const BloodLaws& with, std::vector<double> leak = {})
      : network(uncut(MPI_COMM_SELF, graph)) {
    blood.leak = std::move(leak);
    FlowSolver(network, graph.radius, with).solve(blood, 1e-11);
  }
};

/// A lattice with random radii and lengths; flows in at one side and out at the other.
VesselGraph random_network(long n, std::uint64_t seed) {
  const RandomStream draws(seed, "flow_test");
  VesselGraph graph;
  std::uint64_t next = 0;
  for (long j = 0; j < n; ++j) {
    for (long i = 0; i < n; ++i) {
      graph.add_node({50e-6 * (static_cast<double>(i) + 0.6 * draws.uniform(next)), 50e-6 * static_cast<double>(j), 0},
                     j * n + i);
      ++next;
    }
  }
  const auto add = [&](long a, long b) {
    graph.add_segment(a, b, draws.lognormal(next, 4e-6, 0.3), graph.segments());
    ++next;
  };
  for (long j = 0; j < n; ++j) {
    for (long i = 0; i + 1 < n; ++i) add(j * n + i, j * n + i + 1);
  }
  for (long j = 0; j + 1 < n; ++j) {
    for (long i = 0; i < n; ++i) {
      if ((i + j) % 2 == 0) add(j * n + i, (j + 1) * n + i);
    }
  }
  for (long j = 0; j < n; ++j) {
    graph.set_boundary(j * n, BoundaryKind::pressure, 40 * mmhg,
                       0.3 + 0.2 * draws.uniform(next + static_cast<std::uint64_t>(j)));
    graph.set_boundary(j * n + n - 1, BoundaryKind::pressure, 15 * mmhg);
  }
  return graph;
}

TEST(Flow, OneVesselByHand) {  // model sources A1: D 10 um, L 100 um, 1 mmHg, H 0.45, plasma 1.0466 mPa s
  VesselGraph graph;
  graph.add_node({0, 0, 0}, 1);
  graph.add_node({1e-4, 0, 0}, 2);
  graph.add_segment(0, 1, 5e-6, 1);
  graph.set_boundary(0, BoundaryKind::pressure, mmhg);
  graph.set_boundary(1, BoundaryKind::pressure, 0);
  const Solved solved(graph, laws());
  EXPECT_NEAR(solved.blood.flow[0], 5.324e-14, 1e-17);
  EXPECT_NEAR(solved.blood.flow[0] * 6e13, 3.194, 1e-3);  // nl/min
  EXPECT_EQ(solved.blood.haematocrit[0], 0.45);
  EXPECT_NEAR(solved.blood.red_cells[0], 0.45 * solved.blood.flow[0], 1e-28);
  EXPECT_NEAR(solved.blood.inflow[0], solved.blood.flow[0], 1e-28);
  EXPECT_NEAR(solved.blood.inflow[1], -solved.blood.flow[0], 1e-28);
  EXPECT_TRUE(solved.blood.converged);
}

TEST(Flow, AThousandSegmentsBalanceWhicheverWayTheyPoint) {  // A5
  const VesselGraph graph = random_network(26, 1);
  ASSERT_GT(graph.segments(), 950);
  const Solved solved(graph, laws());
  EXPECT_TRUE(solved.blood.converged);
  EXPECT_LE(solved.blood.blood_imbalance, 1e-10);
  EXPECT_LE(solved.blood.red_cell_imbalance, 1e-10);
  double blood = 0, red = 0, in = 0;
  for (std::size_t n = 0; n < solved.blood.inflow.size(); ++n) {
    const double q = solved.blood.inflow[n];
    blood += q;
    in += std::max(q, 0.0);
    if (q > 0) red += q * (std::isnan(graph.boundary_haematocrit[n]) ? 0.45 : graph.boundary_haematocrit[n]);
  }
  EXPECT_NEAR(blood / in, 0, 1e-10);
  for (std::size_t p = 0; p < graph.segment.size(); ++p) {  // what red cells arrive at outlets
    for (const std::size_t end : {0U, 1U}) {
      const auto n = static_cast<std::size_t>(graph.segment[p][end]);
      if (solved.blood.inflow[n] >= 0 || graph.boundary[n] == BoundaryKind::none) continue;
      const bool arrives = end == 1 ? solved.blood.flow[p] > 0 : solved.blood.flow[p] < 0;
      red += (arrives ? -1 : 1) * solved.blood.red_cells[p];
    }
  }
  EXPECT_NEAR(red / in, 0, 1e-10);

  VesselGraph turned = graph;
  for (std::size_t s = 0; s < turned.segment.size(); s += 2) std::swap(turned.segment[s][0], turned.segment[s][1]);
  const Solved again(turned, laws());
  double largest = 0;
  for (const double q : solved.blood.flow) largest = std::max(largest, std::abs(q));
  for (std::size_t s = 0; s < turned.segment.size(); ++s) {
    EXPECT_NEAR(again.blood.flow[s] * (s % 2 == 0 ? -1 : 1), solved.blood.flow[s], 1e-9 * largest);
  }
}

VesselGraph diamond(double change) {
  VesselGraph graph;
  for (const auto& x :
       {std::array<double, 3>{0, 0, 0}, {1e-4, 0, 0}, {2e-4, 1e-4, 0}, {2e-4, -1e-4, 0}, {3e-4, 0, 0}, {4e-4, 0, 0}}) {
    graph.add_node(x, graph.nodes());
  }
  graph.add_segment(0, 1, 6e-6, 0);
  graph.add_segment(1, 2, 4e-6 * (1 + change), 1);
  graph.add_segment(1, 3, 4e-6, 2);
  graph.add_segment(2, 4, 4e-6, 3);
  graph.add_segment(3, 4, 4e-6, 4);
  graph.add_segment(2, 3, 3e-6, 5);  // a bridge that carries nothing where all is equal
  graph.add_segment(4, 5, 6e-6, 6);
  graph.set_boundary(0, BoundaryKind::pressure, 30 * mmhg);
  graph.set_boundary(5, BoundaryKind::pressure, 20 * mmhg);
  return graph;
}

TEST(Flow, ADiamondOfEqualArmsHasOneSolutionThatDoesNotJump) {  // A6
  const Solved equal(diamond(0), laws()), near(diamond(1e-6), laws());
  const BloodFlow &a = equal.blood, &b = near.blood;
  EXPECT_TRUE(a.converged);
  EXPECT_NEAR(a.flow[1], a.flow[2], 1e-12 * a.flow[0]);
  EXPECT_NEAR(a.haematocrit[1], a.haematocrit[2], 1e-12);
  EXPECT_NEAR(a.flow[5], 0, 1e-12 * a.flow[0]);
  for (const std::size_t p : {0U, 1U, 2U, 3U, 4U, 6U}) {
    EXPECT_NEAR(b.flow[p], a.flow[p], 1e-4 * a.flow[0]) << p;
    EXPECT_NEAR(b.haematocrit[p], a.haematocrit[p], 1e-4) << p;
  }
}

TEST(Flow, PartsWithoutBoundaryStandStill) {
  VesselGraph graph = diamond(0);
  const long a = graph.add_node({0, 5e-4, 0}, 100), b = graph.add_node({1e-4, 5e-4, 0}, 101),
             c = graph.add_node({2e-4, 5e-4, 0}, 102);
  graph.add_segment(a, b, 4e-6, 100);
  graph.add_segment(b, c, 4e-6, 101);
  const Solved solved(graph, laws());
  EXPECT_TRUE(solved.blood.converged);
  for (const std::size_t p : {7U, 8U}) {
    EXPECT_EQ(solved.blood.flow[p], 0);
    EXPECT_EQ(solved.blood.haematocrit[p], 0);
  }
  EXPECT_GT(solved.blood.flow[0], 0);
}

TEST(Flow, ALeakingBlindEndTakesPlasmaAlone) {
  VesselGraph graph;
  graph.add_node({0, 0, 0}, 0);
  graph.add_node({1e-4, 0, 0}, 1);
  graph.add_node({2e-4, 0, 0}, 2);
  graph.add_node({1e-4, 1e-4, 0}, 3);
  graph.add_segment(0, 1, 5e-6, 0);
  graph.add_segment(1, 2, 5e-6, 1);
  graph.add_segment(1, 3, 4e-6, 2);  // blind
  graph.set_boundary(0, BoundaryKind::pressure, 30 * mmhg);
  graph.set_boundary(2, BoundaryKind::pressure, 29 * mmhg);
  for (const double share : {0.0, 0.05}) {
    const double through = 3e-14;
    const Solved solved(graph, laws(), {0, 0, share * through});
    const BloodFlow& b = solved.blood;
    for (const auto* list : {&b.pressure, &b.flow, &b.haematocrit, &b.red_cells}) {
      for (const double x : *list) EXPECT_TRUE(std::isfinite(x));
    }
    EXPECT_EQ(b.haematocrit[2], 0);
    EXPECT_NEAR(b.end_flow(2, 0), share * through, 1e-24);
    EXPECT_NEAR(b.end_flow(2, 1), 0, 1e-24);
    EXPECT_LE(b.blood_imbalance, 1e-10);
    EXPECT_NEAR(b.red_cells[0], b.red_cells[1], 1e-12 * b.red_cells[0]);  // no red cell is lost
    EXPECT_NEAR(b.haematocrit[1] * b.flow[1], 0.45 * b.flow[0], 1e-12 * b.flow[0]);
    if (share > 0) {
      EXPECT_GT(b.haematocrit[1], 0.45);
    }
  }
}

TEST(Flow, LeaksAreLostFromTheBlood) {
  const VesselGraph graph = random_network(8, 3);
  const Solved dry(graph, laws());
  double in = 0;
  for (const double q : dry.blood.inflow) in += std::max(q, 0.0);
  std::vector<double> leak(graph.segment.size(), 0.02 * in / static_cast<double>(graph.segments()));
  const Solved leaky(graph, laws(), leak);
  double net = 0;
  for (const double q : leaky.blood.inflow) net += q;
  EXPECT_NEAR(net, 0.02 * in, 1e-10 * in);
  EXPECT_LE(leaky.blood.blood_imbalance, 1e-10);
  EXPECT_LE(leaky.blood.red_cell_imbalance, 1e-10);
  const auto mean = [&](const BloodFlow& b) {
    double red = 0, all = 0;
    for (std::size_t p = 0; p < b.flow.size(); ++p) {
      red += b.red_cells[p];
      all += std::abs(b.flow[p]);
    }
    return red / all;
  };
  EXPECT_GT(mean(leaky.blood), mean(dry.blood));
}

TEST(Flow, PhaseSeparationSpreadsTheHaematocrit) {
  const VesselGraph graph = random_network(12, 5);
  const auto spread = [&](SplitForm form) {
    const Solved solved(graph, laws({.form = form}));
    double sum = 0, square = 0, count = 0;
    for (const double h : solved.blood.haematocrit) {
      sum += h;
      square += h * h;
      count += 1;
    }
    return std::sqrt(square / count - std::pow(sum / count, 2));
  };
  EXPECT_GT(spread(SplitForm::pries_2005), 1.5 * spread(SplitForm::proportional));
}

TEST(Flow, RefusesFlowBoundariesWithoutAPressure) {
  VesselGraph graph;
  graph.add_node({0, 0, 0}, 1);
  graph.add_node({1e-4, 0, 0}, 2);
  graph.add_segment(0, 1, 5e-6, 1);
  graph.set_boundary(0, BoundaryKind::flow, 1e-14);
  const CutNetwork network = uncut(MPI_COMM_SELF, graph);
  EXPECT_THROW(FlowSolver(network, graph.radius, laws()), InputError);

  VesselGraph two = graph;  // another part has the only pressure
  two.add_node({0, 1e-4, 0}, 3);
  two.add_node({1e-4, 1e-4, 0}, 4);
  two.add_segment(2, 3, 5e-6, 2);
  two.set_boundary(2, BoundaryKind::pressure, 100);
  const CutNetwork parts = uncut(MPI_COMM_SELF, two);
  EXPECT_THROW(FlowSolver(parts, two.radius, laws()), InputError);
}

TEST(Flow, LatticesOfAThousandAndTenThousandSegmentsSettle) {
  for (const long segments : {1000L, 10000L}) {
    for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
      const CutNetwork network = uncut(MPI_COMM_SELF, lattice_share(MPI_COMM_SELF, segments, seed));
      const FlowSolver solver(network, network.piece_radii(), laws());
      BloodFlow blood;
      solver.solve(blood, 2e-9, 60);
      EXPECT_TRUE(blood.converged) << segments << " segments, seed " << seed << ": " << blood.change;
      EXPECT_LE(blood.change, 2e-9);
      EXPECT_LE(blood.flux_change, 2e-9);
      EXPECT_EQ(blood.moving_segments, 0);
      EXPECT_EQ(blood.moving_red_cells, 0);
      // One more round without damping leaves it where it is.
      const std::vector<double> before = blood.haematocrit;
      solver.flows_at(solver.conductance(before), blood);
      solver.sweep(blood);
      EXPECT_LE(solver.weighted_change(blood, before), 1e-7);
    }
  }
}

TEST(Flow, TheSteadyStateIsTheOneThatTheSlowTransientReaches) {
  const VesselGraph graph = random_network(12, 5);
  const Solved solved(graph, laws());
  ASSERT_TRUE(solved.blood.converged);
  const FlowSolver solver(solved.network, graph.radius, laws());
  BloodFlow slow;
  slow.leak.assign(graph.segment.size(), 0.0);
  std::vector<double> haematocrit(graph.segment.size(), 0.45);
  for (int step = 0; step < 2000; ++step) {
    solver.flows_at(solver.conductance(haematocrit), slow);
    solver.sweep(slow);
    for (std::size_t p = 0; p < haematocrit.size(); ++p)
      haematocrit[p] += 0.25 * (slow.haematocrit[p] - haematocrit[p]);
  }
  ASSERT_LE(solver.weighted_change(slow, haematocrit), 1e-8);
  EXPECT_LE(solver.weighted_change(solved.blood, slow.haematocrit), 1e-6);
}

TEST(Flow, NewtonStepsHaveTheDerivativeOfAFullRound) {
  const VesselGraph graph = random_network(9, 4);
  const CutNetwork network = uncut(MPI_COMM_SELF, graph);
  const BloodLaws with = laws();
  const FlowSolver solver(network, graph.radius, with);
  const PiecesAtNodes at_node(network);
  for (const double leak_share : {0.0, 2e-3}) {
    RedCells red_cells(network, at_node, graph.radius, with);
    BloodFlow blood;
    blood.leak.assign(network.pieces(), 0.0);
    std::vector<double> used(network.pieces(), 0.45);
    solver.flows_at(solver.conductance(used), blood);
    for (std::size_t p = 0; p < used.size(); ++p) blood.leak[p] = leak_share * std::abs(blood.flow[p]);
    const auto round = [&](const std::vector<double>& haematocrit) {
      solver.flows_at(solver.conductance(haematocrit), blood);
      red_cells.sweep(blood);
      return blood.haematocrit;
    };
    for (int i = 0; i < 8; ++i) {
      const std::vector<double> next = round(used);
      for (std::size_t p = 0; p < used.size(); ++p) used[p] += 0.5 * (next[p] - used[p]);
    }
    const std::vector<double> here = round(used);
    NetworkLaplacian laplacian(network, "flow_test_");
    const std::vector<double> conductance = solver.conductance(used);
    laplacian.set(conductance, std::vector<double>(network.own_nodes, 0.0), solver.fixed());
    LinearisedFlow linearised(network, red_cells, laplacian, solver.fixed());
    std::vector<double> change(used.size());
    const std::vector<float> drag(used.size(), 0.25F);
    ASSERT_TRUE(linearised.solve(blood, used, conductance, drag, 1e-6, change).converged);
    // (1 + drag) change = residual + derivative x change
    constexpr double part = 1e-3;
    std::vector<double> moved = used;
    double largest = 0;
    for (std::size_t p = 0; p < used.size(); ++p) {
      moved[p] += part * change[p];
      largest = std::max(largest, std::abs(change[p]));
    }
    ASSERT_GT(largest, 1e-4);
    const std::vector<double> there = round(moved);
    for (std::size_t p = 0; p < used.size(); ++p)
      EXPECT_NEAR((there[p] - here[p]) / part, 1.25 * change[p] - (here[p] - used[p]), 5e-3 * largest) << p;
  }
}

TEST(Flow, WhatStillMovesIsTold) {
  const VesselGraph graph = random_network(12, 5);
  const CutNetwork network = uncut(MPI_COMM_SELF, graph);
  BloodFlow blood;
  FlowSolver(network, graph.radius, laws()).solve(blood, 1e-11, 3);
  EXPECT_FALSE(blood.converged);
  EXPECT_TRUE(blood.oscillating);
  EXPECT_EQ(blood.iterations, 3);
  double largest = 0, change = 0, moved = 0, red = 0, moving = 0, moving_red = 0;
  for (const double q : blood.flow) largest = std::max(largest, std::abs(q));
  for (std::size_t p = 0; p < blood.flow.size(); ++p) {
    const double difference = std::abs(blood.haematocrit[p] - blood.viscous_haematocrit[p]);
    const double counts = difference * std::min(1.0, std::abs(blood.flow[p]) / (1e-3 * largest));
    change = std::max(change, counts);
    moved += difference * std::abs(blood.flow[p]) * graph.length[p];
    red += blood.red_cells[p] * graph.length[p];
    moving += counts > 1e-4 ? 1 : 0;
    moving_red += counts > 1e-4 ? blood.red_cells[p] * graph.length[p] : 0;
  }
  EXPECT_GT(moving, 0);
  EXPECT_NEAR(blood.change, change, 1e-12);
  EXPECT_NEAR(blood.flux_change, moved / red, 1e-12);
  EXPECT_NEAR(blood.moving_segments, moving / static_cast<double>(graph.segments()), 1e-12);
  EXPECT_NEAR(blood.moving_red_cells, moving_red / red, 1e-12);
  EXPECT_LE(blood.blood_imbalance, 1e-10);
  EXPECT_LE(blood.red_cell_imbalance, 1e-10);
}

TEST(Flow, LawsMayBeGivenAsFunctions) {
  const VesselGraph graph = random_network(12, 5);
  BloodLaws given = laws();
  given.viscosity = [](double diameter, double haematocrit) {
    return apparent_viscosity(Rheology{}, diameter, haematocrit);
  };
  given.split = [](double haematocrit, double diameter, std::span<const double> flow, std::span<const double> diameters,
                   std::span<double> out) { split_red_cells({}, haematocrit, diameter, flow, diameters, out); };
  given.separation.form = SplitForm::proportional;
  given.rheology.plasma_viscosity *= 2;
  const Solved one(graph, laws()), other(graph, given);
  EXPECT_EQ(one.blood.flow, other.blood.flow);
  EXPECT_EQ(one.blood.haematocrit, other.blood.haematocrit);
}

TEST(Flow, ASweepTakesNoMemoryForEachPiece) {
  if (!allocations_are_counted()) GTEST_SKIP() << "the allocator cannot be watched";
  const auto taken = [](long segments) {
    const CutNetwork network = uncut(MPI_COMM_SELF, lattice_share(MPI_COMM_SELF, segments, 1));
    const FlowSolver solver(network, network.piece_radii(), laws());
    BloodFlow blood;
    blood.leak.assign(network.pieces(), 0.0);
    solver.flows_at(solver.conductance(std::vector<double>(network.pieces(), 0.45)), blood);
    solver.sweep(blood);
    const long before = allocations();
    solver.sweep(blood);
    return allocations() - before;
  };
  EXPECT_LE(taken(20000), taken(1000) + 20);
}

}  // namespace
}  // namespace sanctuary
