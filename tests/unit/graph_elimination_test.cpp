#include "solvers/network/graph_elimination.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/random.hpp"

namespace sanctuary {
namespace {

TEST(GraphElimination, ReplacesAStarByAMesh) {
  // Three arms of weight 1, 2, 3 at node 0: the mesh has 1*2/6, 1*3/6, 2*3/6.
  GraphElimination star(4, {{0, 1}, {0, 2}, {0, 3}}, {0, 1, 1, 1}, 3);
  star.eliminate(std::vector<double>{1, 2, 3}, std::vector<double>(4, 0.0));
  ASSERT_EQ(star.left(), (std::vector<int>{1, 2, 3}));
  ASSERT_EQ(star.edges_left().size(), 3U);
  for (const int e : star.edges_left()) {
    const auto [a, b] = star.edge(e);
    EXPECT_NEAR(star.weight(e), a * b / 6.0, 1e-15);
  }
}

TEST(GraphElimination, KeepsLockedNodesAndThoseOfHighDegree) {
  GraphElimination chain(5, {{0, 1}, {1, 2}, {2, 3}, {3, 4}}, {1, 0, 0, 0, 1}, 2);
  chain.eliminate(std::vector<double>{2, 2, 2, 2}, std::vector<double>(5, 0.0));
  EXPECT_EQ(chain.left(), (std::vector<int>{0, 4}));
  ASSERT_EQ(chain.edges_left().size(), 1U);
  EXPECT_NEAR(chain.weight(chain.edges_left()[0]), 0.5, 1e-15);
  GraphElimination star(4, {{0, 1}, {0, 2}, {0, 3}}, {0, 1, 1, 1}, 2);
  EXPECT_EQ(star.left().size(), 4U);
}

TEST(GraphElimination, WeightsOverThirtyDecadesStayExact) {
  // A node between a very wide and a very narrow vessel: 1e15 and 1e-15 in series are 1e-15.
  GraphSolver line(3, {{0, 1}, {1, 2}});
  line.set(std::vector<double>{1e15, 1e-15}, std::vector<double>{0, 0, 1.0});
  std::vector<double> x{1e-15, 0, 0};  // a flow enters at 0 and leaves through what holds node 2
  line.solve(x);
  EXPECT_NEAR(x[2], 1e-15, 1e-30);
  EXPECT_NEAR(x[0], 1, 1e-14);
}

TEST(GraphElimination, SolvesRandomGraphs) {
  const RandomStream draws(3, "graph_elimination_test");
  std::uint64_t next = 0;
  for (int trial = 0; trial < 200; ++trial) {
    const int n = 2 + static_cast<int>(draws.below(next++, 80));
    std::set<std::array<int, 2>> pairs;
    for (auto i = draws.below(next++, 3 * static_cast<std::uint64_t>(n)); i-- > 0;) {
      const int a = static_cast<int>(draws.below(next++, static_cast<std::uint64_t>(n)));
      const int b = static_cast<int>(draws.below(next++, static_cast<std::uint64_t>(n)));
      if (a != b) pairs.insert({std::min(a, b), std::max(a, b)});
    }
    const std::vector<std::array<int, 2>> edges(pairs.begin(), pairs.end());
    std::vector<double> weight, excess, b;
    for (std::size_t e = 0; e < edges.size(); ++e) weight.push_back(std::pow(10.0, draws.uniform(next++, -8, 8)));
    for (int i = 0; i < n; ++i) {
      excess.push_back(std::pow(10.0, draws.uniform(next++, -8, 8)));
      b.push_back(draws.uniform(next++, 0, 1));
    }
    GraphSolver solver(static_cast<std::size_t>(n), edges);
    solver.set(weight, excess);
    std::vector<double> x = b, residual = b, size = b;
    solver.solve(x);
    for (int i = 0; i < n; ++i) {
      const auto k = static_cast<std::size_t>(i);
      residual[k] -= excess[k] * x[k];
      size[k] += excess[k] * x[k];
    }
    for (std::size_t e = 0; e < edges.size(); ++e) {
      const auto i = static_cast<std::size_t>(edges[e][0]), j = static_cast<std::size_t>(edges[e][1]);
      residual[i] -= weight[e] * (x[i] - x[j]);
      residual[j] -= weight[e] * (x[j] - x[i]);
      size[i] += weight[e] * (x[i] + x[j]);
      size[j] += weight[e] * (x[i] + x[j]);
    }
    for (std::size_t i = 0; i < b.size(); ++i) EXPECT_LE(std::abs(residual[i]), 1e-13 * size[i]) << trial;
  }
}

}  // namespace
}  // namespace sanctuary
