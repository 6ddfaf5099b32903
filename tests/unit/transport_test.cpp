#include "solvers/transport.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

namespace sanctuary {
namespace {

constexpr double um = 1e-6, pi = std::numbers::pi, any_error = 1e12;

/// First-order loss to a partner that never gives back, with its content as a state.
class Sink final : public LocalReaction {
 public:
  Sink(std::size_t cells, double rate) : rate_(rate), content_(cells, 0.0), first_(content_), second_(content_) {}
  std::vector<double>& content() { return content_; }
  double rate_;

 private:
  void begin_impl(double, double dt) override { dt_ = dt; }
  void stage_impl(int number, std::span<const double> c, std::span<double> sink,
                  std::span<double> derivative) override {
    auto& stage = number == 1 ? first_ : second_;
    for (std::size_t i = 0; i < c.size(); ++i) {
      sink[i] = rate_ * c[i];
      derivative[i] = rate_;
      stage[i] = sink[i];
    }
  }
  void end_impl(bool accepted, std::span<const double>, std::span<const double>) override {
    if (!accepted) return;
    for (std::size_t i = 0; i < content_.size(); ++i) {
      content_[i] += dt_ * ((1 - sdirk::gamma) * first_[i] + sdirk::gamma * second_[i]);
    }
  }
  std::vector<double> content_, first_, second_;
  double dt_ = 0;
};

/// Tissue with interstitial flow along x, drainage and two leakless vessels, of which one flows backwards.
struct Bench {
  static constexpr double accessible = 0.3, side = 80 * um;
  Grid grid{MPI_COMM_SELF, {{0, 0, 0}, {10 * um, 10 * um, 10 * um}, {8, 8, 8}}};
  CutNetwork cut;
  std::unique_ptr<EmbeddedNetwork> embedded;
  CellOperator op{grid};
  std::unique_ptr<TransportSolver> solver;

  explicit Bench(double drained = 2e-18) {
    VesselGraph graph;
    graph.add_node({0, 33 * um, 27 * um}, 1);
    graph.add_node({side, 37 * um, 41 * um}, 2);
    graph.add_node({13 * um, 0, 61 * um}, 3);
    graph.add_node({17 * um, side, 58 * um}, 4);
    graph.add_segment(0, 1, 5 * um, 1);
    graph.add_segment(2, 3, 4 * um, 2);
    cut = cut_at_faces(graph, grid.spec());
    embedded = std::make_unique<EmbeddedNetwork>(grid, cut);
    FaceField flow(grid);
    std::fill(flow[0].begin(), flow[0].end(), 0.5 * um * grid.face_area(0));
    op.reset(Walls::all(WallKind::fixed));
    op.add_diffusion_and_convection(std::vector<double>(grid.local_cells(), accessible * 5e-11), flow);
    solver = std::make_unique<TransportSolver>(grid, embedded.get(), "transport_test_");
    solver->set_cells(std::vector<double>(grid.local_cells(), accessible), op,
                      std::vector<double>(grid.local_cells(), drained));
    std::vector<PieceCoefficients> pieces(cut.pieces());
    std::vector<double> in(cut.nodes(), 0.0), out(cut.nodes(), 0.0);
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      const double radius = graph.radius[static_cast<std::size_t>(cut.piece_segment[p])],
                   section = pi * radius * radius;
      pieces[p].to_tissue = pieces[p].from_tissue = 3e-6 * 2 * pi * radius * cut.piece_length[p];
      pieces[p].volume = section * cut.piece_length[p];
      pieces[p].diffusion = 1e-10 * section / (0.5 * cut.piece_length[p]);
      const double q = cut.piece_segment[p] == 0 ? section * 100 * um : -section * 60 * um;
      set_convection(q, q, pieces[p]);
    }
    in[0] = out[1] = pi * 25 * um * um * 100 * um;
    in[3] = out[2] = pi * 16 * um * um * 60 * um;
    std::vector<double> owned_in, owned_out;
    for (const long n : embedded->nodes()) {
      owned_in.push_back(in[static_cast<std::size_t>(n)]);
      owned_out.push_back(out[static_cast<std::size_t>(n)]);
    }
    std::vector<PieceCoefficients> owned;
    for (const long p : embedded->pieces()) owned.push_back(pieces[static_cast<std::size_t>(p)]);
    solver->set_network(std::move(owned), std::move(owned_in), std::move(owned_out));
    solver->inlet = [](double t) { return std::pow(std::sin(0.05 * t), 2); };
    solver->outside = [](double t) { return 0.2 * t / (t + 20); };
    solver->relative_tolerance = any_error;
    solver->open_ledger();
  }
};

std::vector<double> values(Vec vec) {
  PetscInt n = 0;
  petsc(VecGetLocalSize(vec, &n));
  const ReadAccess access(vec);
  return {access.data(), access.data() + n};
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double d = 0, s = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    d += (a[i] - b[i]) * (a[i] - b[i]);
    s += b[i] * b[i];
  }
  return std::sqrt(d / s);
}

TEST(Transport, IsOfSecondOrderInSpace) {  // u = 1 + e^{-t} cos(pi x), closed walls, tiny steps
  std::vector<double> error;
  for (const long n : {8L, 16L, 32L}) {
    const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {1.0 / static_cast<double>(n), 1, 1}, {n, 1, 1}});
    CellOperator op(grid);
    op.reset(Walls::all(WallKind::closed));
    op.add_diffusion(std::vector<double>(grid.local_cells(), 0.5 / (pi * pi)));
    TransportSolver solver(grid, nullptr, "transport_test_");
    solver.relative_tolerance = any_error;
    solver.set_cells(std::vector<double>(grid.local_cells(), 0.5), op, std::vector<double>(grid.local_cells(), 0.0));
    {
      const WriteAccess c(solver.cells());
      for (std::size_t i = 0; i < grid.local_cells(); ++i) c[i] = 1 + std::cos(pi * grid.centre(i)[0]);
    }
    for (int s = 0; s < 200; ++s) ASSERT_TRUE(solver.advance(s * 0.005, 0.005, nullptr).converged);
    double sum = 0;
    const auto c = values(solver.cells());
    for (std::size_t i = 0; i < c.size(); ++i)
      sum += std::pow(c[i] - 1 - std::exp(-1.0) * std::cos(pi * grid.centre(i)[0]), 2);
    error.push_back(std::sqrt(sum / static_cast<double>(n)));
  }
  for (std::size_t i = 1; i < error.size(); ++i) EXPECT_NEAR(std::log2(error[i - 1] / error[i]), 2, 0.1);
}

TEST(Transport, IsOfSecondOrderInTimeWithVesselsWallsAndReaction) {
  std::vector<std::vector<double>> cells, network;
  for (const int steps : {8, 16, 32, 64}) {
    Bench bench;
    Sink sink(bench.grid.local_cells(), 0.01);
    const double dt = 40.0 / steps;
    for (int s = 0; s < steps; ++s) ASSERT_TRUE(bench.solver->advance(s * dt, dt, &sink).converged);
    cells.push_back(values(bench.solver->cells()));
    network.push_back(values(bench.solver->network()));
  }
  EXPECT_NEAR(std::log2(distance(cells[1], cells[2]) / distance(cells[2], cells[3])), 2, 0.15);
  EXPECT_NEAR(std::log2(distance(network[1], network[2]) / distance(network[2], network[3])), 2, 0.2);
}

TEST(Transport, ClosesTheBalanceOfEveryCompartment) {
  Bench bench;
  Sink sink(bench.grid.local_cells(), 0.02);
  for (int s = 0; s < 20; ++s) ASSERT_TRUE(bench.solver->advance(s * 3, 3, &sink).converged);
  const TransportLedger& l = bench.solver->ledger();
  const double into_tissue = l.exchanged_in + l.walls_in;
  EXPECT_NEAR(into_tissue - l.exchanged_out - l.walls_out - l.drained - l.reacted_in + l.reacted_out,
              bench.solver->amount_in_cells(), 1e-10 * into_tissue);
  EXPECT_NEAR(l.blood_in - l.blood_out - l.exchanged_in + l.exchanged_out, bench.solver->amount_in_network(),
              1e-10 * l.blood_in);
  double held = 0;
  for (const double x : sink.content()) held += x;
  EXPECT_NEAR(held * bench.grid.cell_volume(), l.reacted_in - l.reacted_out, 1e-10 * l.reacted_in);
  for (const double part : {l.blood_in, l.blood_out, l.exchanged_in, l.walls_in, l.drained, l.reacted_in})
    EXPECT_GT(part, 0);
}

TEST(Transport, KeepsAConstantConstant) {  // all that comes and goes carries the same
  Bench bench;
  bench.solver->inlet = bench.solver->outside = [](double) { return 0.7; };
  petsc(VecSet(bench.solver->cells(), 0.7));
  petsc(VecSet(bench.solver->network(), 0.7));
  // Drainage takes fluid that the flow through the faces does not bring here.
  bench.solver->set_cells(std::vector<double>(bench.grid.local_cells(), 0.3), bench.op,
                          std::vector<double>(bench.grid.local_cells(), 0.0));
  for (int s = 0; s < 5; ++s) ASSERT_TRUE(bench.solver->advance(s * 10, 10, nullptr).converged);
  for (const double c : values(bench.solver->cells())) EXPECT_NEAR(c, 0.7, 1e-10);
  for (const double c : values(bench.solver->network())) EXPECT_NEAR(c, 0.7, 1e-10);
}

TEST(Transport, StaysPositiveAndBoundedAtAnyPecletNumber) {
  Bench bench;
  FaceField flow(bench.grid);
  std::fill(flow[0].begin(), flow[0].end(), 500 * um * bench.grid.face_area(0));  // cell Peclet number 330
  bench.op.reset(Walls::all(WallKind::fixed));
  bench.op.add_diffusion_and_convection(std::vector<double>(bench.grid.local_cells(), 0.3 * 5e-11), flow);
  bench.solver->set_cells(std::vector<double>(bench.grid.local_cells(), 0.3), bench.op,
                          std::vector<double>(bench.grid.local_cells(), 0.0));
  bench.solver->outside = [](double) { return 1.0; };
  bench.solver->inlet = [](double) { return 0.0; };
  bench.solver->relative_tolerance = 1e-3;
  double time = 0, dt = 1e-3;
  int accepted = 0;
  for (int s = 0; s < 200 && time < 1; ++s) {
    const StepReport report = bench.solver->advance(time, dt, nullptr);
    ASSERT_TRUE(report.converged) << report.reason;
    if (report.error <= 1) {
      time += dt;
      ++accepted;
      for (const double c : values(bench.solver->cells())) {
        EXPECT_GT(c, -1e-3);
        EXPECT_LT(c, 1 + 1e-3);
      }
    }
    dt = next_step(dt, report.error);
  }
  EXPECT_GE(time, 1);
  EXPECT_GT(accepted, 5);
}

TEST(Transport, ControlsItsErrorInTime) {
  const auto run = [](double tolerance) {
    Bench bench;
    bench.solver->relative_tolerance = tolerance;
    bench.solver->scale = 1;
    double time = 0, dt = 0.1;
    while (time < 40) {
      const double now = std::min(dt, 40 - time);
      const StepReport report = bench.solver->advance(time, now, nullptr);
      EXPECT_TRUE(report.converged);
      if (report.error <= 1) time = now == 40 - time ? 40 : time + now;
      dt = next_step(now, report.error);
    }
    return values(bench.solver->cells());
  };
  const auto exact = run(3e-6), loose = run(1e-2), tight = run(1e-3);
  // The tolerance is that of a step; over the run the errors add up to a few of it.
  EXPECT_LT(distance(loose, exact), 3e-2);
  EXPECT_LT(distance(tight, exact), 3e-3);
  EXPECT_LT(distance(tight, exact), 0.5 * distance(loose, exact));
}

TEST(Transport, ARefusedStepLeavesNoTrace) {
  Bench bench;
  Sink sink(bench.grid.local_cells(), 0.02);
  for (int s = 0; s < 3; ++s) ASSERT_TRUE(bench.solver->advance(s * 2, 2, &sink).converged);
  const auto cells = values(bench.solver->cells()), network = values(bench.solver->network()),
             slope = values(bench.solver->slope());
  const std::vector<double> content = sink.content();
  const TransportLedger ledger = bench.solver->ledger();
  bench.solver->relative_tolerance = 1e-12;
  const StepReport report = bench.solver->advance(6, 30, &sink);
  EXPECT_TRUE(report.converged);
  EXPECT_GT(report.error, 1);
  EXPECT_EQ(values(bench.solver->cells()), cells);
  EXPECT_EQ(values(bench.solver->network()), network);
  EXPECT_EQ(values(bench.solver->slope()), slope);
  EXPECT_EQ(sink.content(), content);
  EXPECT_EQ(bench.solver->ledger().blood_in, ledger.blood_in);
  EXPECT_EQ(bench.solver->ledger().reacted_in, ledger.reacted_in);
}

TEST(Transport, ARestartGoesOnAsIfNothingHadBeen) {
  Bench straight;
  Sink sink(straight.grid.local_cells(), 0.02);
  for (int s = 0; s < 5; ++s) ASSERT_TRUE(straight.solver->advance(s * 2, 2, &sink).converged);
  Bench resumed;
  Sink other(straight.grid.local_cells(), 0.02);
  petsc(VecCopy(straight.solver->cells(), resumed.solver->cells()));
  petsc(VecCopy(straight.solver->network(), resumed.solver->network()));
  petsc(VecCopy(straight.solver->slope(), resumed.solver->slope()));
  resumed.solver->set_has_slope(straight.solver->has_slope());
  resumed.solver->ledger() = straight.solver->ledger();
  other.content() = sink.content();
  for (int s = 5; s < 9; ++s) {
    const StepReport a = straight.solver->advance(s * 2, 2, &sink), b = resumed.solver->advance(s * 2, 2, &other);
    EXPECT_NEAR(a.error, b.error, 1e-9 * a.error);
  }
  EXPECT_LE(distance(values(resumed.solver->cells()), values(straight.solver->cells())), 1e-11);
  EXPECT_LE(distance(values(resumed.solver->network()), values(straight.solver->network())), 1e-11);
  EXPECT_NEAR(resumed.solver->ledger().exchanged_in, straight.solver->ledger().exchanged_in,
              1e-11 * straight.solver->ledger().exchanged_in);
  EXPECT_LE(distance(other.content(), sink.content()), 1e-11);
}

TEST(NextStep, GrowsAndFallsWithinBounds) {
  EXPECT_EQ(next_step(1, 0), 2);
  EXPECT_EQ(next_step(1, 1e-9), 2);
  EXPECT_NEAR(next_step(1, 1), 0.9, 1e-15);
  EXPECT_NEAR(next_step(2, 8), 0.9, 1e-15);
  EXPECT_EQ(next_step(1, 1e9), 0.2);
}

}  // namespace
}  // namespace sanctuary
