#include "solvers/transport.hpp"

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "benchmark/benchmark.hpp"
#include "benchmark/contender.hpp"
#include "benchmark/measure.hpp"

namespace sanctuary {
namespace {

/// Saturable uptake without partners: sink = capacity c / (half + c).
class Uptake : public LocalReaction {
 public:
  Uptake(double capacity, double half) : capacity_(capacity), half_(half) {}

 private:
  void begin_impl(double, double) override {}
  void stage_impl(int, std::span<const double> c, std::span<double> sink, std::span<double> derivative) override {
    for (std::size_t i = 0; i < c.size(); ++i) {
      const double below = 1 / (half_ + std::max(c[i], 0.0));
      sink[i] = capacity_ * c[i] * below;
      derivative[i] = capacity_ * half_ * below * below;
    }
  }
  void end_impl(bool, std::span<const double>, std::span<const double>) override {}

  double capacity_, half_;
};

struct Setting {
  std::array<long, 3> cells{};
  std::string coefficient;
  double contrast = 1, diffusion_number = 10, peclet = 1, uptake = 0.1, tolerance = 1e-3, linear_fraction = 0.1;
};

/// Blob in the middle of the box, over a floor.
void fill_start(const Grid& grid, Vec u) {
  const WriteAccess values(u);
  const auto& h = grid.spec().spacing;
  for (std::size_t c = 0; c < grid.local_cells(); ++c) {
    const auto x = grid.centre(c);
    double distance = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double side = h[axis] * static_cast<double>(grid.spec().cells[axis]);
      distance += std::pow((x[axis] - side / 2) / side, 2);
    }
    values[c] = 0.1 + std::exp(-20 * distance);
  }
}

void measure_transport(BenchmarkContext& context, const Setting& setting, const std::vector<std::string>& names,
                       int repeat) {
  MPI_Comm comm = context.comm;
  EllipticCase what;
  what.cells = setting.cells;
  what.coefficient = setting.coefficient;
  what.contrast = setting.contrast;
  what.walls = "mixed";
  const EllipticProblem elliptic(comm, what);
  const Grid& grid = elliptic.grid();
  const auto& h = grid.spec().spacing;
  const double shortest = *std::min_element(h.begin(), h.end());
  double dt = setting.diffusion_number * shortest * shortest;
  const double scale_of_rates = dt;

  EllipticCase moving = what;
  moving.peclet = setting.peclet;
  CellOperator op(grid);
  fill_operator(moving, op);
  const double heap_before = heap_bytes(comm);
  TransportSolver transport(grid, nullptr, "bench_transport_");
  transport.relative_tolerance = setting.tolerance;
  transport.linear_fraction = setting.linear_fraction;
  // A fifth of the fluid is carried off in the time of the rates: what an exchange with vessels costs a cell.
  const double exchange = 0.2 / scale_of_rates;
  transport.set_cells(std::vector<double>(grid.local_cells(), 0.5), op,
                      std::vector<double>(grid.local_cells(), exchange * grid.cell_volume()));
  fill_start(grid, transport.cells());
  Uptake uptake(setting.uptake / scale_of_rates, 0.5);
  LocalReaction* reaction = setting.uptake > 0 ? &uptake : nullptr;

  const auto solver = contender_kind("ours").make(true, size_of(comm));
  solver->set_up(elliptic);
  VecHandle u = grid.vector();

  std::vector<double> steps, solves;
  StepReport step;
  SolveReport report;
  double time = 0, bytes = 0;
  int newton = 0, linear = 0, refused = 0;
  // The step control finds the length of the steps; a little less is taken, so that none is refused.
  for (int r = 0; r < 25; ++r) {
    step = transport.advance(time, dt, reaction);
    if (!step.converged) throw NumericsError("bench transport: the step did not converge: " + step.reason);
    if (step.error <= 1) time += dt;
    dt = next_step(dt, step.error);
  }
  dt *= 0.8;
  for (int r = -1; r < repeat; ++r) {  // the first step builds the preconditioner
    const double seconds = seconds_of(comm, [&] { step = transport.advance(time, dt, reaction); });
    if (!step.converged) throw NumericsError("bench transport: the step did not converge: " + step.reason);
    if (step.error <= 1) time += dt;
    refused += r >= 0 && step.error > 1 ? 1 : 0;
    if (r < 0) bytes = heap_bytes(comm) - heap_before;
    const double solve = seconds_of(comm, [&] { report = solver->solve(elliptic.rhs(), 1e-8, 2000, u.get()); });
    if (r < 0) continue;
    steps.push_back(seconds);
    solves.push_back(solve);
    newton += step.newton;
    linear += step.linear;
  }
  std::vector<double> ratios;
  for (std::size_t r = 0; r < steps.size(); ++r) ratios.push_back(steps[r] / solves[r]);
  const auto cells = static_cast<double>(grid.global_cells());
  context.emit({{"bench", "transport"},
                {"solver", "ours"},
                {"cells", setting.cells},
                {"ranks", size_of(comm)},
                {"coefficient", setting.coefficient},
                {"diffusion_number", dt / (shortest * shortest)},
                {"tolerance", setting.tolerance},
                {"linear_fraction", setting.linear_fraction},
                {"refused", refused},
                {"peclet", setting.peclet},
                {"uptake", setting.uptake},
                {"repetitions", repeat},
                {"step_s", {{"min", smallest(steps)}, {"median", median(steps)}}},
                {"newton_per_step", static_cast<double>(newton) / repeat},
                {"linear_iterations_per_step", static_cast<double>(linear) / repeat},
                {"million_cells_per_s", cells / median(steps) / 1e6},
                {"bytes_per_cell", bytes / cells},
                {"elliptic_solve_s", {{"min", smallest(solves)}, {"median", median(solves)}}},
                {"elliptic_converged", report.converged},
                {"elliptic_iterations", report.iterations}});

  // Two such systems make a step without reaction.
  const EllipticProblem stage(comm, moving, [&](CellOperator& stage_op) {
    fill_operator(moving, stage_op);
    for (double& d : stage_op.diagonal()) d = grid.cell_volume() * (0.5 / (sdirk::gamma * dt) + exchange);
  });
  Record alternatives = Record::object();
  const double own_step = median(steps);
  for (const std::string& name : names) {
    const ContenderKind& kind = contender_kind(name);
    if (!kind.available) continue;
    const auto other = kind.make(stage.op().symmetric(), size_of(comm));
    other->set_up(stage);
    std::vector<double> seconds;
    SolveReport done;
    for (int r = 0; r < repeat; ++r) {
      seconds.push_back(seconds_of(comm, [&] { done = other->solve(stage.rhs(), 1e-8, 2000, u.get()); }));
    }
    const double residual = stage.true_residual(u.get());
    context.emit({{"bench", "transport"},
                  {"solver", name},
                  {"method", kind.method},
                  {"what", "two stage systems to 1e-8, set-up and reaction left out"},
                  {"cells", setting.cells},
                  {"ranks", size_of(comm)},
                  {"converged", done.converged},
                  {"iterations_per_stage", done.iterations},
                  {"true_residual", residual},
                  {"two_stages_s", {{"min", 2 * smallest(seconds)}, {"median", 2 * median(seconds)}}}});
    if (done.converged) alternatives[name] = 2 * median(seconds) / own_step;
  }
  context.emit({{"bench", "transport"},
                {"summary", {{"cells", setting.cells}, {"ranks", size_of(comm)}, {"coefficient", setting.coefficient}}},
                {"step_over_elliptic_solve",
                 {{"median", median(ratios)},
                  {"min", smallest(ratios)},
                  {"max", *std::max_element(ratios.begin(), ratios.end())}}},
                {"ratio", alternatives},
                {"ratio_means", "two stage systems by the alternative over a whole step of ours"}});
}

void run_transport(BenchmarkContext& context) {
  const BenchmarkOptions& given = context.options;
  Setting setting;
  setting.contrast = given.number("contrast", 1e2, 1, 1e12);
  setting.diffusion_number = given.number("diffusion-number", 10, 1e-6, 1e6);
  setting.peclet = given.number("peclet", 0.5, 0, 1e6);
  setting.uptake = given.number("uptake", 0.1, 0, 1e6);
  setting.tolerance = given.number("tolerance", 1e-3, 1e-9, 0.1);
  setting.linear_fraction = given.number("linear-fraction", 0.1, 0, 1);
  const auto repeat = static_cast<int>(given.count("repeat", 5, 1, 10000));
  const auto names = given.words("solvers", {"pfmg", "icc"}, contender_names());
  const auto coefficients = given.words("coefficient", {"smooth", "lognormal"}, coefficient_fields());
  for (const auto& box : given.boxes("cells", {{64, 64, 64}})) {
    for (const std::string& coefficient : coefficients) {
      setting.cells = box;
      setting.coefficient = coefficient;
      measure_transport(context, setting, names, repeat);
    }
  }
}

}  // namespace

Benchmark transport_benchmark() {
  return {"transport",
          "a step of diffusion, convection, exchange and uptake against an elliptic solve, and its stages by others",
          {{"cells", "LIST", "boxes: 64 or 100x60x37"},
           {"coefficient", "LIST", "smooth, lognormal, independent, inclusions or all"},
           {"contrast", "X", "largest over smallest coefficient (default 100)"},
           {"diffusion-number", "X", "k t / h^2 with k = 1 for the time of the rates (default 10)"},
           {"peclet", "X", "cell Peclet number of a rolling flow (default 0.5)"},
           {"uptake", "X", "saturable uptake: capacity times that time (default 0.1); 0: none"},
           {"tolerance", "X", "relative error of a step, by which its length is chosen (default 1e-3)"},
           {"linear-fraction", "X", "share of it left to the linear solves (default 0.1); 0: solved to rounding"},
           {"solvers", "LIST", "alternatives for the stage systems (default pfmg,icc) or all"},
           {"repeat", "N", "steps and solves in turn"}},
          run_transport};
}

}  // namespace sanctuary
