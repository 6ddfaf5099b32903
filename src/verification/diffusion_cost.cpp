#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <ctime>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "solvers/simd.hpp"
#include "solvers/transport.hpp"
#include "verification/problems.hpp"

namespace sanctuary::verification {
namespace {

constexpr double pi = std::numbers::pi;
constexpr long lanes = 8;
constexpr std::size_t lane_bytes = lanes * sizeof(double);
using Lanes = double __attribute__((vector_size(lane_bytes), aligned(lane_bytes), may_alias));

struct alignas(lane_bytes) Block {
  Lanes values;
};

/// Thomas' elimination on one line: forward v_i = scale_i v_i + link_i v_(i-1), then back v_i += back_i v_(i+1). Beyond
/// the line all are zero.
struct LineFactors {
  std::vector<double> scale, link, back;
};

/// Transposes 8 x 8 values.
[[gnu::always_inline]] inline void transpose(Lanes* r) {
  for (int i = 0; i < lanes; i += 2) {
    const Lanes a = r[i], b = r[i + 1];
    r[i] = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
    r[i + 1] = __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (const int i : {0, 1, 4, 5}) {
    const Lanes a = r[i], b = r[i + 2];
    r[i] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
    r[i + 2] = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
  }
  for (int i = 0; i < lanes / 2; ++i) {
    const Lanes a = r[i], b = r[i + 4];
    r[i] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
    r[i + 4] = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

/// Sweeps along x: the 8 lines of `blocks` groups of 8 cells that begin at `values` and lie next to each other.
/// `turned`: as many values of scratch.
SANCTUARY_CLONES void sweep_lines(long blocks, const LineFactors& factors, double* turned, double* values) {
  const double *scale = factors.scale.data(), *link = factors.link.data(), *back = factors.back.data();
  auto* line = reinterpret_cast<Lanes*>(values);
  auto* across = reinterpret_cast<Lanes*>(turned);
  Lanes last{}, r[lanes];
  for (long b = 0; b < blocks; ++b) {
    for (long i = 0; i < lanes; ++i) r[i] = line[i * blocks + b];
    transpose(r);
    for (long i = 0; i < lanes; ++i) {
      const long cell = lanes * b + i;
      last = scale[cell] * r[i] + link[cell] * last;
      across[cell] = last;
    }
  }
  last = Lanes{};
  for (long b = blocks - 1; b >= 0; --b) {
    for (long i = lanes - 1; i >= 0; --i) {
      const long cell = lanes * b + i;
      last = across[cell] + back[cell] * last;
      r[i] = last;
    }
    transpose(r);
    for (long i = 0; i < lanes; ++i) line[i * blocks + b] = r[i];
  }
}

/// Sweeps along y or z: `rows` rows of `width` values, `stride` apart, where each value belongs to another line.
SANCTUARY_CLONES void sweep_rows(long rows, long stride, long width, const LineFactors& factors, double* values) {
  const double *scale = factors.scale.data(), *link = factors.link.data(), *back = factors.back.data();
  for (long i = 0; i < width; ++i) values[i] *= scale[0];
  for (long row = 1; row < rows; ++row) {
    double* __restrict__ own = values + row * stride;
    const double* __restrict__ before = own - stride;
    const double a = scale[row], b = link[row];
    for (long i = 0; i < width; ++i) own[i] = a * own[i] + b * before[i];
  }
  for (long row = rows - 2; row >= 0; --row) {
    double* __restrict__ own = values + row * stride;
    const double* __restrict__ after = own + stride;
    const double c = back[row];
    for (long i = 0; i < width; ++i) own[i] += c * after[i];
  }
}

/// What both methods solve: u_t = div(D grad u) - lambda u in a closed cube, from mean + amplitude x a mode of so many
/// half waves along each axis, which the discrete operator only damps. SI units.
struct Decay {
  long cells = 32;  ///< along each axis
  std::array<int, 3> half_waves{1, 1, 1};
  double side = 1e-3, diffusivity = 1e5 * 1e-12 / 60, loss = 0.1 / 60;
  double mean = 1, amplitude = 0.5;
  [[nodiscard]] double spacing() const { return side / static_cast<double>(cells); }
  /// Angle of the mode from one cell to the next.
  [[nodiscard]] double angle(std::size_t axis) const { return pi * half_waves[axis] / static_cast<double>(cells); }
  /// Rate at which diffusion along an axis damps the mode, discretised in space only.
  [[nodiscard]] double axis_rate(std::size_t axis) const {
    return 2 * diffusivity * (1 - std::cos(angle(axis))) / (spacing() * spacing());
  }
  /// Rate at which the mode decays; its life is the inverse.
  [[nodiscard]] double rate() const { return axis_rate(0) + axis_rate(1) + axis_rate(2) + loss; }
  /// Exact in time, where the mode has the value `form`.
  [[nodiscard]] double value(double form, double time) const {
    return mean * std::exp(-loss * time) + amplitude * form * std::exp(-rate() * time);
  }
  /// Error (rms over that of the solution) of a method that multiplies mean and mode by these factors over `time`; the
  /// mode's mean square over the cells is 1/8.
  [[nodiscard]] double error(double mean_factor, double mode_factor, double time) const {
    const double of_mean = std::exp(-loss * time), of_mode = std::exp(-rate() * time), share = amplitude / std::sqrt(8);
    return std::hypot(mean * (mean_factor - of_mean), share * (mode_factor - of_mode)) /
           std::hypot(mean * of_mean, share * of_mode);
  }
};

/// Locally one-dimensional splitting of first order: implicit Euler along x, then y, then z, each with a third of the
/// loss (Ghaffarizadeh et al. 2016, Bioinformatics 32:1256). Lines are padded to whole vectors.
class Splitting {
 public:
  Splitting(const Decay& problem, double step)
      : cells_(problem.cells), blocks_((cells_ + lanes - 1) / lanes), pitch_(lanes * blocks_) {
    const auto padded = static_cast<std::size_t>(pitch_);
    for (auto* v : {&factors_.scale, &factors_.link, &factors_.back}) v->assign(padded, 0.0);
    const double coupling = problem.diffusivity * step / (problem.spacing() * problem.spacing());
    double back = 0;
    for (long i = 0; i < cells_; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const int sides = (i > 0 ? 1 : 0) + (i + 1 < cells_ ? 1 : 0);
      const double pivot = 1 + step * problem.loss / 3 + sides * coupling - coupling * back;
      factors_.scale[at] = 1 / pivot;
      factors_.link[at] = i > 0 ? coupling / pivot : 0.0;
      back = factors_.back[at] = i + 1 < cells_ ? coupling / pivot : 0.0;
    }
    const auto plane = static_cast<std::size_t>(pitch_ * pitch_);
    values_.resize((plane * static_cast<std::size_t>(cells_)) / lanes);
    turned_.resize(padded);
  }
  void advance() {
    double *values = data(), *turned = reinterpret_cast<double*>(turned_.data());
    for (long k = 0; k < cells_; ++k) {
      double* plane = values + k * pitch_ * pitch_;
      for (long j = 0; j < cells_; j += lanes) sweep_lines(blocks_, factors_, turned, plane + j * pitch_);
      sweep_rows(cells_, pitch_, pitch_, factors_, plane);
    }
    for (long j = 0; j < cells_; ++j) sweep_rows(cells_, pitch_ * pitch_, pitch_, factors_, values + j * pitch_);
  }
  [[nodiscard]] double& at(const std::array<long, 3>& place) {
    return data()[(place[2] * pitch_ + place[1]) * pitch_ + place[0]];
  }

 private:
  [[nodiscard]] double* data() { return reinterpret_cast<double*>(values_.data()); }
  long cells_, blocks_, pitch_;
  LineFactors factors_;
  std::vector<Block> values_, turned_;
};

/// Calls with the place and the form of the mode of each cell, x fastest.
template <class Visit>
void for_each_cell(const Decay& problem, Visit&& visit) {
  const auto at = [&](std::size_t axis, long i) {
    return std::cos(problem.angle(axis) * (static_cast<double>(i) + 0.5));
  };
  for (long k = 0; k < problem.cells; ++k) {
    for (long j = 0; j < problem.cells; ++j) {
      const double row = at(1, j) * at(2, k);
      for (long i = 0; i < problem.cells; ++i) visit(std::array{i, j, k}, at(0, i) * row);
    }
  }
}

/// Root mean square of values minus the exact ones over that of the exact ones.
template <class At>
double measured_error(const Decay& problem, double time, At&& at) {
  double difference = 0, size = 0;
  for_each_cell(problem, [&](const auto& place, double form) {
    const double exact = problem.value(form, time), off = at(place) - exact;
    difference += off * off;
    size += exact * exact;
  });
  return std::sqrt(difference / size);
}

/// CPU time of this process [s].
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// What a method needed from the start to `time`. CPU time is that of the steps [s].
struct Run {
  int steps = 0;
  double error = std::numeric_limits<double>::infinity(), cpu = 0;
};

Run run_splitting(const Decay& problem, double time, int steps) {
  Splitting splitting(problem, time / steps);
  for_each_cell(problem, [&](const auto& place, double form) { splitting.at(place) = problem.value(form, 0); });
  const double start = cpu_seconds();
  for (int s = 0; s < steps; ++s) splitting.advance();
  const double cpu = cpu_seconds() - start;
  return {steps, measured_error(problem, time, [&](const auto& place) { return splitting.at(place); }), cpu};
}

/// Equal steps; the linear solves leave `linear_error` of the solution per step. The first step also sets the hierarchy
/// up.
Run run_transport(const Grid& grid, const Decay& problem, double time, int steps, double linear_error) {
  const std::size_t cells = grid.local_cells();
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::closed));
  op.add_diffusion(std::vector<double>(cells, problem.diffusivity));
  TransportSolver solver(grid, nullptr, "verification_");
  solver.set_cells(std::vector<double>(cells, 1.0), op, std::vector<double>(cells, problem.loss * grid.cell_volume()));
  solver.relative_tolerance = 10;  // accepts every step
  solver.linear_fraction = linear_error / solver.relative_tolerance;
  const auto local = [&](const auto& place) { return grid.local(place[0], place[1], place[2]); };
  {
    const WriteAccess values(solver.cells());
    for_each_cell(problem, [&](const auto& place, double form) { values[local(place)] = problem.value(form, 0); });
  }
  const double start = cpu_seconds(), dt = time / steps;
  for (int s = 0; s < steps; ++s) {
    const StepReport report = solver.advance(s * dt, dt, nullptr);
    if (!report.converged || !(report.error <= 1)) {
      throw NumericsError(fmt::format("step {} of {} of transport failed: {}", s + 1, steps, report.reason));
    }
  }
  const double cpu = cpu_seconds() - start;
  const ReadAccess values(solver.cells());
  return {steps, measured_error(problem, time, [&](const auto& place) { return values[local(place)]; }), cpu};
}

/// Errors from the factors by which the methods damp mean and mode in each step.
double splitting_error(const Decay& problem, double time, int steps) {
  const double dt = time / steps, own = 1 + dt * problem.loss / 3;
  double of_mode = 1;
  for (std::size_t axis = 0; axis < 3; ++axis) of_mode *= own + dt * problem.axis_rate(axis);
  return problem.error(std::pow(own, -3 * steps), std::pow(of_mode, -steps), time);
}

double transport_error(const Decay& problem, double time, int steps) {
  const auto factor = [&](double rate) {  // of SDIRK2
    const double z = -rate * time / steps, g = sdirk::gamma;
    return std::pow((1 + (1 - 2 * g) * z) / ((1 - g * z) * (1 - g * z)), steps);
  };
  return problem.error(factor(problem.loss), factor(problem.rate()), time);
}

/// Both methods at the same error: splitting with given steps, transport with the fewest equal steps that do as well.
struct Pair {
  Run splitting, transport;
  [[nodiscard]] double ratio() const { return splitting.cpu / transport.cpu; }
};

/// CPU times are the best of three, taken in turn and summed over the ranks, each of which does all the work.
Pair compare(MPI_Comm comm, const Grid& grid, const Decay& problem, double time, int splitting_steps) {
  const double linear_share = 0.3;  // of the error
  int steps = 1;
  while (transport_error(problem, time, steps) > splitting_error(problem, time, splitting_steps)) ++steps;
  Pair best;
  for (int repeat = 0; repeat < 3; ++repeat) {
    Run splitting = run_splitting(problem, time, splitting_steps);
    Run transport = run_transport(grid, problem, time, steps, linear_share * splitting.error);
    for (Run* run : {&splitting, &transport}) run->cpu = sum_over(comm, run->cpu);
    if (repeat > 0) {
      splitting.cpu = std::min(splitting.cpu, best.splitting.cpu);
      transport.cpu = std::min(transport.cpu, best.transport.cpu);
    }
    best = {splitting, transport};
  }
  return best;
}

}  // namespace

VerificationResult diffusion_cost(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question = "CPU time of a transport step and of splitting (0.01 min) at equal error, one life of a mode?";
  constexpr double recommended = 0.6;  // [s]
  constexpr double wanted = 50;        // P4 of the performance targets; a clock decides no verification, see the table
  const auto grid_of = [](const Decay& p) {
    return Grid(MPI_COMM_SELF, box({p.side, p.side, p.side}, {p.cells, p.cells, p.cells}));
  };
  const auto steps_of = [&](const Decay& p) { return static_cast<int>(std::lround(1 / (p.rate() * recommended))); };
  {
    const Decay problem{.cells = 20, .half_waves = {1, 2, 3}};
    const Grid grid = grid_of(problem);
    const double time = 1 / problem.rate();
    std::vector<double> first, second, interval;
    double off = 0;
    for (const int finer : {1, 2, 4, 8}) {
      const Run splitting = run_splitting(problem, time, finer * 32);
      const Run transport = run_transport(grid, problem, time, finer * 4, 1e-9);
      first.push_back(splitting.error);
      second.push_back(transport.error);
      interval.push_back(1.0 / finer);
      off = std::max({off, std::abs(splitting.error / splitting_error(problem, time, finer * 32) - 1),
                      std::abs(transport.error / transport_error(problem, time, finer * 4) - 1)});
    }
    result.at_least("order of splitting", least_order(first, interval), 0.98);
    result.at_least("order of the transport step", least_order(second, interval), 1.95);
    result.at_most("errors off those in theory, as share", off, 1e-5);
  }
  std::string table =
      "cells; steps, errors, ns per cell and step of splitting and of transport; ratio of CPU times; ns at which it "
      "would be 50";
  const auto add_row = [&](const Decay& p, const Pair& pair) {
    const auto per_cell = [&](const Run& run) {
      return 1e9 * run.cpu / (size_of(comm) * run.steps * std::pow(static_cast<double>(p.cells), 3));
    };
    const double enough = per_cell(pair.splitting) * pair.splitting.steps / (wanted * pair.transport.steps);
    table += fmt::format("\n    {}^3  {:>5} {:>3}  {:.2e} {:.2e}  {:>5.2f} {:>5.1f}  {:>6.3f}  {:>5.2f}", p.cells,
                         pair.splitting.steps, pair.transport.steps, pair.splitting.error, pair.transport.error,
                         per_cell(pair.splitting), per_cell(pair.transport), pair.ratio(), enough);
  };
  for (const long cells : {32L, 50L, 64L}) {
    const Decay problem{.cells = cells};
    const Grid grid = grid_of(problem);
    const int steps = steps_of(problem);
    const double time = steps * recommended;
    const Pair pair = compare(comm, grid, problem, time, steps);
    const std::string on = fmt::format(" on {}^3 cells", cells);
    result.at_most("error of splitting" + on, pair.splitting.error, 4e-4);
    result.at_most("error of transport / that" + on, pair.transport.error / pair.splitting.error, 1);
    result.at_least("steps of splitting / of transport" + on,
                    static_cast<double>(pair.splitting.steps) / pair.transport.steps, 10);
    add_row(problem, pair);
    if (cells > 32) continue;
    for (const int finer : {16, 256}) add_row(problem, compare(comm, grid, problem, time, finer * steps));
  }
  result.reason = table;
  return result;
}

}  // namespace sanctuary::verification
