#include "solvers/transport.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numbers>

#include "solvers/bernoulli.hpp"

namespace sanctuary {
namespace {

constexpr double um = 1e-6, pi = std::numbers::pi, any_error = 1e12;

/// First-order loss to a partner that never gives back, with its content as a state.
class Sink final : public LocalReaction {
 public:
  Sink(std::size_t cells, double rate, bool falls_back = false)
      : rate_(rate), content_(cells, 0.0), first_(content_), second_(content_), below_(falls_back ? cells : 0, 0) {}
  std::vector<double>& content() { return content_; }
  double rate_;

 private:
  void begin_impl(double, double dt) override { dt_ = dt; }
  void stage_impl(int number, std::span<const double> c, std::span<double> sink,
                  std::span<double> derivative) override {
    for (std::size_t i = 0; i < c.size(); ++i) {
      const bool rest = number == 2 && !below_.empty() && below_[i];
      derivative[i] = rate_ * (rest ? sdirk::carry : 1.0);
      sink[i] = derivative[i] * c[i];
      (number == 1 ? first_ : second_)[i] = rate_ * c[i];
    }
  }
  std::span<char> fall_back_impl() override {
    std::fill(below_.begin(), below_.end(), 0);
    return below_;
  }
  void end_impl(bool accepted, std::span<const double>, std::span<const double>) override {
    if (!accepted) return;
    for (std::size_t i = 0; i < content_.size(); ++i) {
      const double second = !below_.empty() && below_[i] ? 1 - sdirk::gamma : sdirk::gamma;
      content_[i] += dt_ * ((1 - second) * first_[i] + second * second_[i]);
    }
  }
  std::vector<double> content_, first_, second_;
  std::vector<char> below_;
  double dt_ = 0;
};

/// A given source, as a reaction.
class Given final : public LocalReaction {
 public:
  Given(const Grid& grid, std::function<double(const std::array<double, 3>&, double)> rate)
      : grid_(&grid), rate_(std::move(rate)) {}

 private:
  void begin_impl(double time, double dt) override {
    time_ = time;
    dt_ = dt;
  }
  void stage_impl(int number, std::span<const double>, std::span<double> sink, std::span<double> derivative) override {
    const double at = time_ + (number == 1 ? sdirk::gamma : 1) * dt_;
    for (std::size_t c = 0; c < sink.size(); ++c) sink[c] = -rate_(grid_->centre(c), at);
    std::fill(derivative.begin(), derivative.end(), 0.0);
  }
  void end_impl(bool, std::span<const double>, std::span<const double>) override {}
  const Grid* grid_;
  std::function<double(const std::array<double, 3>&, double)> rate_;
  double time_ = 0, dt_ = 0;
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
    cut = cut_at_faces(grid, graph);
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
    solver->set_network(std::move(pieces), std::move(in), std::move(out));
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

/// One axis of a box with a manufactured course of a solute, u = outside(t) + level(t) shape(x), in lengths of 1.
struct Course {
  std::size_t axis = 0;
  WallKind low = WallKind::fixed, high = WallKind::fixed;
  double peclet = 0;                                 ///< of the whole box
  bool turning = false;                              ///< velocity sin(pi x), which has a divergence, in place of 1
  std::function<double(double)> shape, slope, bend;  ///< and its first two derivatives
};

constexpr double course_time = 0.7;

double diffusivity_at(double x) { return 1 + 0.4 * std::sin(2 * x); }

/// Exchange coefficient for which the film (exponentially fitted as the faces are) meets the gradient of the shape.
double film_for(double outflow, double wanted) {
  double low = 1e-9, high = 1e9;
  for (int i = 0; i < 200; ++i) {
    const double middle = std::sqrt(low * high);
    (middle * bernoulli(outflow / middle) < wanted ? low : high) = middle;
  }
  return low;
}

/// Mean error (1-norm: at an extremum the limiter is of first order) of the course on n cells and n steps.
double course_error(const Course& course, ConvectionScheme scheme, long n, long steps,
                    std::vector<double>* end = nullptr) {
  const double base = 1 / std::max(1.0, std::abs(course.peclet));  // diffusivity such that the velocity is at most 1
  const double speed = course.peclet * base;
  const double fraction = 0.4;
  std::array<long, 3> cells{2, 2, 2};
  std::array<double, 3> spacing{0.3, 0.7, 0.5};
  cells[course.axis] = n;
  spacing[course.axis] = 1.0 / static_cast<double>(n);
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, spacing, cells});
  const int axis = static_cast<int>(course.axis);
  const auto velocity = [&](double x) { return speed * (course.turning ? std::sin(pi * x) : 1.0); };
  const auto velocity_slope = [&](double x) { return course.turning ? speed * pi * std::cos(pi * x) : 0.0; };
  const auto conductivity = [&](double x) { return base * diffusivity_at(x); };
  Walls walls = Walls::all(WallKind::closed);
  walls.kind[2 * course.axis] = course.low;
  walls.kind[2 * course.axis + 1] = course.high;
  if (course.low == WallKind::exchange)
    walls.coefficient[2 * course.axis] = film_for(-velocity(0), conductivity(0) * course.slope(0) / course.shape(0));
  if (course.high == WallKind::exchange)
    walls.coefficient[2 * course.axis + 1] =
        film_for(velocity(1), -conductivity(1) * course.slope(1) / course.shape(1));
  CellOperator op(grid);
  op.reset(walls);
  std::vector<double> k;
  for (std::size_t c = 0; c < grid.local_cells(); ++c) k.push_back(conductivity(grid.centre(c)[course.axis]));
  FaceField flow(grid);
  const auto& extent = flow.extent(axis);
  for (long z = 0; z < extent[2]; ++z) {
    for (long y = 0; y < extent[1]; ++y) {
      for (long x = 0; x < extent[0]; ++x) {
        const std::array<long, 3> at{x, y, z};
        flow[axis][flow.index(axis, x, y, z)] =
            velocity(static_cast<double>(at[course.axis]) / static_cast<double>(n)) * grid.face_area(axis);
      }
    }
  }
  op.add_diffusion_and_convection(k, flow);
  TransportSolver solver(grid, nullptr, "transport_test_");
  solver.relative_tolerance = any_error;
  solver.convection = scheme;
  solver.set_cells(std::vector<double>(grid.local_cells(), fraction), op, std::vector<double>(grid.local_cells(), 0.0));
  solver.outside = [](double t) { return 1 + 0.3 * std::cos(2 * t); };
  const auto level = [](double t) { return 1 + 0.5 * std::sin(3 * t); };
  const auto exact = [&](double x, double t) { return solver.outside(t) + level(t) * course.shape(x); };
  Given source(grid, [&](const std::array<double, 3>& at, double t) {
    const double x = at[course.axis], u = exact(x, t);
    const double ux = level(t) * course.slope(x), uxx = level(t) * course.bend(x);
    const double ut = -0.6 * std::sin(2 * t) + 1.5 * std::cos(3 * t) * course.shape(x);
    const double diffusion = conductivity(x) * uxx + base * 0.8 * std::cos(2 * x) * ux;
    double rate = fraction * ut + velocity(x) * ux + velocity_slope(x) * u - diffusion;
    // What diffuses through a wall that does not know of it enters the cell.
    const double h = spacing[course.axis];
    if (course.low == WallKind::closed && x < h) rate -= conductivity(0) * level(t) * course.slope(0) / h;
    if ((course.high == WallKind::closed || course.high == WallKind::outflow) && x > 1 - h)
      rate += conductivity(1) * level(t) * course.slope(1) / h;
    return rate;
  });
  {
    const WriteAccess c(solver.cells());
    for (std::size_t i = 0; i < grid.local_cells(); ++i) c[i] = exact(grid.centre(i)[course.axis], 0);
  }
  solver.open_ledger();
  const double dt = course_time / static_cast<double>(steps);
  for (long s = 0; s < steps; ++s) {
    const StepReport report = solver.advance(static_cast<double>(s) * dt, dt, &source);
    EXPECT_TRUE(report.converged) << report.reason;
    EXPECT_EQ(report.blended, 0);
  }
  const TransportLedger& l = solver.ledger();
  const double in = l.cells_start + l.walls_in + l.reacted_out;
  EXPECT_NEAR(in - l.walls_out - l.reacted_in, solver.amount_in_cells(), 1e-12 * in);
  double sum = 0;
  const auto c = values(solver.cells());
  if (end) *end = c;
  for (std::size_t i = 0; i < c.size(); ++i) sum += std::abs(c[i] - exact(grid.centre(i)[course.axis], course_time));
  return sum / static_cast<double>(c.size());
}

Course arch(std::size_t axis, WallKind low, WallKind high, double peclet, double from, double along) {
  return {axis,
          low,
          high,
          peclet,
          false,
          [=](double x) { return std::sin(pi * (from + along * x)); },
          [=](double x) { return pi * along * std::cos(pi * (from + along * x)); },
          [=](double x) { return -pi * pi * along * along * std::sin(pi * (from + along * x)); }};
}

/// Order along each axis of limited convection, from 32 to 64 cells and steps at the same cell Péclet number.
template <class Make>
void expect_second_order(Make&& make, double cell_peclet, double least) {
  for (const std::size_t axis : std::array<std::size_t, 3>{0, 1, 2}) {
    const double coarse = course_error(make(axis, cell_peclet * 32), ConvectionScheme::limited, 32, 32);
    const double fine = course_error(make(axis, cell_peclet * 64), ConvectionScheme::limited, 64, 64);
    EXPECT_GE(std::log2(coarse / fine), least) << "axis " << axis << ", cell Peclet number " << cell_peclet;
    EXPECT_LT(fine, 5e-3);
  }
}

TEST(LimitedConvection, IsOfSecondOrderThroughAnOutflowWall) {
  for (const double cell : {0.1, 2.0, 20.0}) {
    expect_second_order(
        [](std::size_t axis, double p) { return arch(axis, WallKind::fixed, WallKind::outflow, p, 0, 0.35); }, cell,
        1.8);
  }
}

TEST(LimitedConvection, IsOfSecondOrderThroughFixedWalls) {
  for (const double cell : {-20.0, -2.0, 0.1, 2.0, 20.0}) {
    expect_second_order(
        [](std::size_t axis, double p) { return arch(axis, WallKind::fixed, WallKind::fixed, p, 0, 1); }, cell, 1.8);
  }
}

TEST(LimitedConvection, IsOfSecondOrderThroughAnExchangeWall) {
  for (const double cell : {0.1, 2.0, 20.0}) {
    expect_second_order(
        [](std::size_t axis, double p) { return arch(axis, WallKind::fixed, WallKind::exchange, p, 0, 0.7); }, cell,
        1.8);
    expect_second_order(
        [](std::size_t axis, double p) { return arch(axis, WallKind::exchange, WallKind::fixed, -p, 0.3, 0.7); }, cell,
        1.8);
  }
  expect_second_order(
      [](std::size_t axis, double) { return arch(axis, WallKind::exchange, WallKind::exchange, 0, 0.15, 0.7); }, 0,
      1.8);
}

TEST(LimitedConvection, IsOfSecondOrderBetweenWallsOfGivenFluxWhereTheFlowDiverges) {
  for (const double cell : {0.1, 2.0, 20.0}) {
    expect_second_order(
        [](std::size_t axis, double p) {
          Course course = arch(axis, WallKind::closed, WallKind::closed, p, 0.1, 0.35);
          course.turning = true;
          return course;
        },
        cell, cell > 10 ? 1.7 : 1.8);
  }
}

TEST(LimitedConvection, TheExponentialSchemeIsOfFirstOrderAtHighPecletNumbers) {
  const Course course = arch(0, WallKind::fixed, WallKind::outflow, 20 * 64, 0, 0.35);
  const double coarse = course_error(course, ConvectionScheme::exponential, 32, 32);
  const double fine = course_error(course, ConvectionScheme::exponential, 64, 64);
  EXPECT_LT(std::log2(coarse / fine), 1.1);
  EXPECT_LT(20 * course_error(course, ConvectionScheme::limited, 64, 64), fine);
}

TEST(LimitedConvection, IsOfSecondOrderInTime) {  // against a step much smaller, on the same cells
  const Course course = arch(0, WallKind::fixed, WallKind::outflow, 64, 0, 0.35);
  std::vector<std::vector<double>> end;
  for (const long steps : {20L, 40L, 80L, 160L}) {
    course_error(course, ConvectionScheme::limited, 16, steps, &end.emplace_back());
  }
  const double order = std::log2(distance(end[1], end[2]) / distance(end[2], end[3]));
  EXPECT_GT(order, 1.8);
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
  bench.solver->linear_tolerance = 1e-14;  // what the linear solves leave is not what is asked here
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

/// Largest imbalance of cells, network and partner over what moved.
double gap(const Bench& bench, Sink& sink) {
  const TransportLedger& l = bench.solver->ledger();
  const double into_cells = l.cells_start + l.exchanged_in + l.walls_in + l.reacted_out;
  const double into_network = l.network_start + l.blood_in + l.exchanged_out;
  double held = 0;
  for (const double x : sink.content()) held += x;
  return std::max(
      {std::abs(into_cells - l.exchanged_out - l.walls_out - l.drained - l.reacted_in -
                bench.solver->amount_in_cells()) /
           into_cells,
       std::abs(into_network - l.blood_out - l.exchanged_in - bench.solver->amount_in_network()) / into_network,
       std::abs(held * bench.grid.cell_volume() - l.reacted_in + l.reacted_out) / into_cells});
}

TEST(Transport, APointReleaseBetweenVesselsAndAStrongSinkStaysPositiveAndKeepsEveryAmount) {
  for (const bool keep : {false, true}) {
    Bench bench;
    bench.solver->keep_bounds = keep;
    Sink sink(bench.grid.local_cells(), 0.05, true);
    {
      const WriteAccess c(bench.solver->cells());
      c[bench.grid.local(4, 3, 4)] = 1;
    }
    bench.solver->outside = bench.solver->inlet = [](double) { return 0.0; };
    bench.solver->open_ledger();
    double lowest = 0;
    long limited = 0;
    for (int s = 0; s < 4; ++s) {  // D dt / h^2 = 50, decay by the sink 3.3 dt / life
      const StepReport report = bench.solver->advance(s * 100, 100, &sink);
      ASSERT_TRUE(report.converged) << report.reason;
      for (const double c : values(bench.solver->cells())) lowest = std::min(lowest, c);
      limited += report.limited;
    }
    if (keep) {
      EXPECT_GE(lowest, -1e-13);
      EXPECT_GT(limited, 0);
    } else {
      EXPECT_LT(lowest, -1e-3);
      EXPECT_EQ(limited, 0);
    }
    EXPECT_LT(gap(bench, sink), 1e-12);
  }
}

TEST(Transport, ASinkFarStrongerThanTheStorageConverges) {
  Bench bench;
  petsc(VecSet(bench.solver->cells(), 1.0));
  Sink sink(bench.grid.local_cells(), 1e4, true);
  const StepReport report = bench.solver->advance(0, 10, &sink);
  EXPECT_TRUE(report.converged) << report.reason;
  EXPECT_LE(report.newton, 10);
}

TEST(Transport, ASinkThatCannotFallBackMakesAStepRefusedThatUndershoots) {
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {1, 1, 1}, {8, 8, 8}});
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::closed));
  op.add_diffusion(std::vector<double>(grid.local_cells(), 1e-9));
  TransportSolver solver(grid, nullptr, "transport_test_");
  solver.set_cells(std::vector<double>(grid.local_cells(), 1.0), op, std::vector<double>(grid.local_cells(), 0.0));
  petsc(VecSet(solver.cells(), 1.0));
  solver.relative_tolerance = any_error;
  Sink sink(grid.local_cells(), 1);
  const StepReport report = solver.advance(0, 10, &sink);
  EXPECT_FALSE(report.converged);
  EXPECT_NE(report.reason.find("more within the step"), std::string::npos) << report.reason;
  EXPECT_EQ(values(solver.cells())[5], 1.0);
}

TEST(Transport, AmountsCloseWhateverTheLinearToleranceAndAnyFraction) {
  int iterations = 0;
  std::vector<double> tight;
  for (const bool loose : {false, true}) {
    Bench bench;
    Sink sink(bench.grid.local_cells(), 0.01);
    bench.solver->relative_tolerance = 1e-2;
    if (loose) bench.solver->linear_fraction = 1e-2;
    bench.solver->open_ledger();
    int linear = 0, steps = 0;
    double time = 0, dt = 0.2;
    while (time < 60) {
      // The accessible fraction swells and shrinks.
      const double now = std::min(dt, 60 - time);
      std::vector<double> next(bench.grid.local_cells());
      for (std::size_t c = 0; c < next.size(); ++c)
        next[c] = 0.3 + 0.1 * std::sin(0.1 * (time + now) + static_cast<double>(c));
      if (time == 0) bench.solver->set_cells(next, bench.op, std::vector<double>(next.size(), 2e-18));
      if (time == 0) bench.solver->open_ledger();
      bench.solver->set_accessible_at_end(next);
      const StepReport report = bench.solver->advance(time, now, &sink);
      ASSERT_TRUE(report.converged) << report.reason;
      if (report.error <= 1) time = now == 60 - time ? 60 : time + now;
      dt = next_step(now, report.error);
      linear += report.linear;
      ++steps;
    }
    EXPECT_LT(gap(bench, sink), 1e-12);
    EXPECT_GT(steps, 10);
    if (!loose) {
      iterations = linear;
      tight = values(bench.solver->cells());
    } else {
      EXPECT_LT(linear, 0.6 * iterations);
      EXPECT_LT(distance(values(bench.solver->cells()), tight), 1e-3);
      EXPECT_GT(distance(values(bench.solver->cells()), tight), 0);
    }
  }
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
