#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numbers>

#include "base/random.hpp"
#include "solvers/transport.hpp"

namespace sanctuary {
namespace {

constexpr double any_error = 1e12, pi = std::numbers::pi;

std::vector<double> values(Vec vec) {
  PetscInt n = 0;
  petsc(VecGetLocalSize(vec, &n));
  const ReadAccess access(vec);
  return {access.data(), access.data() + n};
}

double imbalance(const TransportSolver& solver) {
  const TransportLedger& l = solver.ledger();
  const double in = l.cells_start + l.walls_in;
  return std::abs(in - l.walls_out - l.drained - solver.amount_in_cells()) / in;
}

/// Diffusion of what is released in one cell of a closed box of unit cells.
struct Release {
  Grid grid{MPI_COMM_SELF, {{0, 0, 0}, {1, 1, 1}, {9, 8, 7}}};
  CellOperator op{grid};
  TransportSolver solver{grid, nullptr, "transport_positivity_test_"};
  Release() {
    op.reset(Walls::all(WallKind::closed));
    op.add_diffusion(std::vector<double>(grid.local_cells(), 0.5));
    solver.relative_tolerance = any_error;
    solver.set_cells(std::vector<double>(grid.local_cells(), 0.5), op, std::vector<double>(grid.local_cells(), 0.0));
    const WriteAccess c(solver.cells());
    c[grid.local(3, 4, 2)] = 1;
  }
};

TEST(TransportPositivity, APointReleaseStaysPositiveAtAnyStep) {
  for (const double dt : {10.0, 100.0}) {  // D dt / h^2
    for (const bool local : {false, true}) {
      Release release;
      release.solver.bounds.local = local;
      release.solver.open_ledger();
      double largest = 1;
      for (int s = 0; s < 3; ++s) {
        const StepReport report = release.solver.advance(s * dt, dt, nullptr);
        ASSERT_TRUE(report.converged) << report.reason;
        const auto c = values(release.solver.cells());
        EXPECT_GE(*std::min_element(c.begin(), c.end()), -1e-14);
        const double most = *std::max_element(c.begin(), c.end());
        if (local) {
          EXPECT_LE(most, largest + 1e-14);
        }
        largest = most;
        if (s == 0) {
          EXPECT_GT(report.limited, 0);
          EXPECT_EQ(report.positive, local ? 1 : 0);
        }
        EXPECT_LT(imbalance(release.solver), 1e-13);
      }
    }
  }
}

TEST(TransportPositivity, WithoutBlendingAPointReleaseUndershoots) {
  Release release;
  release.solver.keep_bounds = false;
  const StepReport report = release.solver.advance(0, 10, nullptr);
  const auto c = values(release.solver.cells());
  EXPECT_LT(*std::min_element(c.begin(), c.end()), -1e-3);
  EXPECT_GT(report.undershoot, 1e-3);
  EXPECT_EQ(report.blended, 0);
}

/// A front that flows into a channel, mean flow 1, at cell Péclet number 100.
struct Front {
  static constexpr long cells = 64;
  Grid grid{MPI_COMM_SELF, {{0, 0, 0}, {1.0 / cells, 1, 1}, {cells, 3, 2}}};
  CellOperator op{grid};
  TransportSolver solver{grid, nullptr, "transport_positivity_test_"};
  explicit Front(ConvectionScheme scheme) {
    Walls walls = Walls::all(WallKind::closed);
    walls.kind[0] = WallKind::fixed;
    walls.kind[1] = WallKind::outflow;
    op.reset(walls);
    FaceField flow(grid);
    std::fill(flow[0].begin(), flow[0].end(), 0.4);
    op.add_diffusion_and_convection(std::vector<double>(grid.local_cells(), 0.4 / cells / 100), flow);
    solver.relative_tolerance = any_error;
    solver.convection = scheme;
    solver.bounds.highest = 1;
    solver.outside = [](double) { return 1.0; };
    solver.set_cells(std::vector<double>(grid.local_cells(), 0.4), op, std::vector<double>(grid.local_cells(), 0.0));
    solver.open_ledger();
  }
  /// Cells along the channel between 5 % and 95 %.
  [[nodiscard]] long width() const {
    const auto c = values(solver.cells());
    return std::count_if(c.begin(), c.begin() + cells, [](double x) { return x > 0.05 && x < 0.95; });
  }
};

TEST(TransportPositivity, AFrontStaysWithinItsBoundsAtPecletNumber100) {
  for (const bool local : {false, true}) {
    for (const double courant : {0.4, 1.0, 5.0}) {
      std::array<long, 2> width{};
      for (const auto scheme : {ConvectionScheme::exponential, ConvectionScheme::limited}) {
        Front front(scheme);
        front.solver.bounds.local = local;
        if (local) front.solver.bounds.highest = std::numeric_limits<double>::infinity();
        const int steps = static_cast<int>(0.6 * Front::cells / courant);
        double blended = 0;
        for (int s = 0; s < steps; ++s) {
          const double dt = courant / Front::cells;
          const StepReport report = front.solver.advance(s * dt, dt, nullptr);
          ASSERT_TRUE(report.converged) << report.reason;
          const auto c = values(front.solver.cells());
          EXPECT_GE(*std::min_element(c.begin(), c.end()), -1e-11);
          EXPECT_LE(*std::max_element(c.begin(), c.end()), 1 + 1e-11);
          blended += report.blended;
        }
        if (courant > 2 || local) {
          EXPECT_GT(blended, 0);
        } else if (courant < 0.5) {
          EXPECT_EQ(blended, 0);  // the limited slopes are enough
        }
        EXPECT_LT(imbalance(front.solver), 1e-13);
        // The front has come as far as the flow: the amount is that of the flow through the wall.
        EXPECT_NEAR(front.solver.amount_in_cells(), 0.4 * 6 * steps * courant / Front::cells, 0.05);
        width[static_cast<std::size_t>(scheme)] = front.width();
      }
      if (courant < 2) {
        EXPECT_LT(width[1], 0.6 * static_cast<double>(width[0])) << courant << " " << width[0] << " " << width[1];
      }
    }
  }
}

TEST(TransportPositivity, ASmoothDecayIsLeftAlone) {
  std::vector<std::vector<double>> end;
  for (const bool keep : {false, true}) {
    Release release;
    {
      const WriteAccess c(release.solver.cells());
      for (std::size_t i = 0; i < release.grid.local_cells(); ++i) {
        const auto x = release.grid.centre(i);
        c[i] = 1.5 + std::cos(pi * x[0] / 9) * std::cos(pi * x[1] / 8);
      }
    }
    release.solver.keep_bounds = keep;
    for (int s = 0; s < 10; ++s) {
      const StepReport report = release.solver.advance(s, 1, nullptr);
      EXPECT_EQ(report.blended, 0);
      EXPECT_EQ(report.positive, 0);
      EXPECT_EQ(report.undershoot, 0);
    }
    end.push_back(values(release.solver.cells()));
  }
  EXPECT_EQ(end[0], end[1]);
}

/// A drained line of cells.
struct Line {
  Grid grid;
  CellOperator op{grid};
  TransportSolver solver{grid, nullptr, "transport_positivity_test_"};
  Line(long cells, double flow, double drained) : grid(MPI_COMM_SELF, {{0, 0, 0}, {1, 1, 1}, {cells, 1, 1}}) {
    Walls walls = Walls::all(WallKind::closed);
    walls.kind[0] = WallKind::fixed;
    walls.kind[1] = WallKind::outflow;
    op.reset(walls);
    FaceField discharge(grid);
    std::fill(discharge[0].begin(), discharge[0].end(), flow);
    op.add_diffusion_and_convection(std::vector<double>(grid.local_cells(), 1e-9), discharge);
    solver.set_cells(std::vector<double>(grid.local_cells(), 1.0), op,
                     std::vector<double>(grid.local_cells(), drained));
    petsc(VecSet(solver.cells(), 1.0));
    solver.open_ledger();
  }
};

TEST(TransportPositivity, AWashoutOfLongLinesEndsPositiveOrRefusedInBoundedRounds) {
  int kept = 0;
  for (const long cells : {12L, 40L, 200L}) {
    for (const double courant : {1e2, 1e4, 1e6}) {
      Line line(cells, 1, 0);
      line.solver.relative_tolerance = any_error;
      const StepReport report = line.solver.advance(0, courant, nullptr);
      EXPECT_TRUE(report.converged || !report.reason.empty());
      kept += report.converged;
      const auto c = values(line.solver.cells());
      EXPECT_GE(*std::min_element(c.begin(), c.end()), -1e-11) << cells << " " << courant;
      EXPECT_LT(imbalance(line.solver), 1e-12);
    }
  }
  EXPECT_GE(kept, 6);
}

TEST(TransportPositivity, CellsThatGiveAllTheyHoldAreNotTakenForExact) {
  for (const double rate : {2.3, 2.5, 3.0, 4.0}) {  // times the step; exp(-4) = 0.018 would be left
    Line line(4, 0, rate);
    line.solver.relative_tolerance = 1e-3;
    const StepReport report = line.solver.advance(0, 1, nullptr);
    EXPECT_GT(report.error, 1) << rate;
  }
}

TEST(TransportPositivity, SwellingCellsKeepTheAmount) {  // closed: concentration falls as the fraction grows
  Release release;
  petsc(VecSet(release.solver.cells(), 2.0));
  release.solver.open_ledger();
  for (int s = 0; s < 5; ++s) {
    const double now = 0.5 + 0.08 * (s + 1);
    release.solver.set_accessible_at_end(std::vector<double>(release.grid.local_cells(), now));
    ASSERT_TRUE(release.solver.advance(s, 1, nullptr).converged);
    for (const double c : values(release.solver.cells())) EXPECT_NEAR(c, 2.0 * 0.5 / now, 2e-11);
  }
  EXPECT_LT(imbalance(release.solver), 1e-13);
  // Once given, the fraction at the end holds for one step.
  ASSERT_TRUE(release.solver.advance(5, 1, nullptr).converged);
  EXPECT_NEAR(release.solver.accessible().front(), 0.9, 1e-15);
}

TEST(TransportPositivity, AmountsCloseWhereTheFlowDivergesAndTheFractionChanges) {
  for (const auto scheme : {ConvectionScheme::exponential, ConvectionScheme::limited}) {
    const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {1, 2, 0.5}, {7, 6, 5}});
    CellOperator op(grid);
    Walls walls;
    walls.kind = {WallKind::fixed,  WallKind::outflow, WallKind::exchange,
                  WallKind::closed, WallKind::outflow, WallKind::fixed};
    walls.coefficient[2] = 0.3;
    op.reset(walls);
    const RandomStream draws(11, "transport_positivity_test");
    std::uint64_t next = 0;
    FaceField flow(grid);
    for (int axis = 0; axis < 3; ++axis) {
      for (double& q : flow[axis]) q = draws.uniform(next++, -1, 1);
    }
    std::vector<double> k;
    for (std::size_t c = 0; c < grid.local_cells(); ++c) k.push_back(std::pow(10.0, draws.uniform(next++, -3, 1)));
    op.add_diffusion_and_convection(k, flow);
    TransportSolver solver(grid, nullptr, "transport_positivity_test_");
    solver.convection = scheme;
    solver.relative_tolerance = any_error;
    solver.outside = [](double t) { return 1 + 0.5 * std::sin(t); };
    std::vector<double> fraction;
    for (std::size_t c = 0; c < grid.local_cells(); ++c) fraction.push_back(draws.uniform(next++, 0.2, 0.9));
    solver.set_cells(fraction, op, std::vector<double>(grid.local_cells(), 0.05));
    {
      const WriteAccess c(solver.cells());
      for (std::size_t i = 0; i < grid.local_cells(); ++i) c[i] = draws.uniform(next++, 0, 1) > 0.8 ? 3 : 0;
    }
    solver.open_ledger();
    long limited = 0;
    for (int s = 0; s < 12; ++s) {
      for (double& f : fraction) f = draws.uniform(next++, 0.2, 0.9);
      solver.set_accessible_at_end(fraction);
      const double dt = 0.3 * (1 + s);
      const StepReport report = solver.advance(s, dt, nullptr);
      ASSERT_TRUE(report.converged) << report.reason;
      limited += report.limited + report.positive;
      const auto c = values(solver.cells());
      EXPECT_GE(*std::min_element(c.begin(), c.end()), -1e-11);
      EXPECT_LT(imbalance(solver), 1e-12);
    }
    EXPECT_GT(limited, 0);
  }
}

TEST(TransportPositivity, SolutesShareTheirSetUp) {
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {1, 1, 1}, {8, 8, 8}});
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::fixed));
  op.add_diffusion(std::vector<double>(grid.local_cells(), 0.5));
  const auto shared = std::make_shared<TransportSetup>(grid, nullptr, "transport_positivity_test_");
  TransportSolver first(shared), second(shared), alone(grid, nullptr, "transport_positivity_test_");
  for (TransportSolver* s : {&first, &second, &alone}) {
    s->relative_tolerance = any_error;
    s->outside = [s, &first](double t) { return s == &first ? 1.0 : t; };
    s->set_cells(std::vector<double>(grid.local_cells(), 0.5), op,
                 std::vector<double>(grid.local_cells(), s == &first ? 0.0 : 0.1));
  }
  for (int i = 0; i < 4; ++i) {
    for (TransportSolver* s : {&first, &second, &alone}) ASSERT_TRUE(s->advance(0.5 * i, 0.5, nullptr).converged);
  }
  EXPECT_EQ(shared->hierarchies(), 1);
  EXPECT_EQ(alone.setup().hierarchies(), 1);
  const auto a = values(second.cells()), b = values(alone.cells());
  for (std::size_t c = 0; c < a.size(); ++c) EXPECT_NEAR(a[c], b[c], 1e-11);
  EXPECT_NE(values(first.cells()), a);
}

}  // namespace
}  // namespace sanctuary
