#include "solvers/kinetics.hpp"

#include <petscdm.h>
#include <petscts.h>

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "benchmark/benchmark.hpp"
#include "benchmark/measure.hpp"
#include "solvers/petsc.hpp"
#include "solvers/transport.hpp"

namespace sanctuary {
namespace {

using TsHandle = Handle<TS, TSDestroy>;

/// A system, the step in which it is advanced, and the start of a cell.
struct System {
  std::string name;
  ReactionNetwork network;
  double dt = 1;
  std::vector<double> start;  ///< each cell's is between half of it and one and a half
};

/// Drug and receptor bind, the complex is taken in, the receptor comes back; rates over four decades.
System binding() {
  System system{"binding", {}, 1.0, {1.0, 0.5, 0.0, 0.0}};
  system.network.species = {{"drug", 1.0}, {"receptor", 0.5}, {"complex", 0.5}, {"internalised", 0.5}};
  Reaction bind;
  bind.reactants = {{0, 1}, {1, 1}};
  bind.products = {{2, 1}};
  bind.rate = 100;
  bind.reverse_rate = 5;
  Reaction internalise;
  internalise.reactants = {{2, 1}};
  internalise.products = {{3, 1}};
  internalise.rate = 0.3;
  Reaction recycle;
  recycle.reactants = {{3, 1}};
  recycle.products = {{1, 1}};
  recycle.rate = 0.01;
  system.network.reactions = {bind, internalise, recycle};
  return system;
}

/// Robertson (1966): rates over nine decades.
System robertson() {
  System system{"robertson", {}, 10.0, {1.0, 0.0, 0.0}};
  system.network.species = {{"a", 1.0}, {"b", 1e-4}, {"c", 1.0}};
  Reaction slow, fast, middle;
  slow.reactants = {{0, 1}};
  slow.products = {{1, 1}};
  slow.rate = 0.04;
  fast.reactants = {{1, 2}};
  fast.products = {{1, 1}, {2, 1}};
  fast.rate = 3e7;
  middle.reactants = {{1, 1}, {2, 1}};
  middle.products = {{0, 1}, {2, 1}};
  middle.rate = 1e4;
  system.network.reactions = {slow, fast, middle};
  return system;
}

/// Mass action without cell rates, one cell after the other: what one writes first.
class PlainKinetics {
 public:
  explicit PlainKinetics(const ReactionNetwork& network) : n_(network.species.size()), jacobian_(n_ * n_) {
    for (const Reaction& reaction : network.reactions) {
      steps_.push_back({reaction.reactants, reaction.products, reaction.rate});
      if (reaction.reverse_rate > 0) steps_.push_back({reaction.products, reaction.reactants, reaction.reverse_rate});
    }
    for (auto* v : {&start_, &slope_, &residual_}) v->resize(n_);
    matrix_.resize(n_ * n_);
  }
  [[nodiscard]] std::size_t species() const { return n_; }

  /// Rates of change and their derivatives, row by row.
  void rates(const double* u, double* rate, double* jacobian) const {
    std::fill(rate, rate + n_, 0.0);
    std::fill(jacobian, jacobian + n_ * n_, 0.0);
    for (const Step& step : steps_) {
      const auto change = [&](double amount, auto&& add) {
        for (const Participant& p : step.from) add(p.species, -p.count * amount);
        for (const Participant& p : step.to) add(p.species, p.count * amount);
      };
      double events = step.rate;
      for (const Participant& p : step.from) events *= p.count == 1 ? u[p.species] : u[p.species] * u[p.species];
      change(events, [&](std::size_t s, double amount) { rate[s] += amount; });
      for (const Participant& by : step.from) {
        double slope = step.rate * (by.count == 1 ? 1.0 : 2 * u[by.species]);
        for (const Participant& p : step.from) {
          if (p.species != by.species) slope *= p.count == 1 ? u[p.species] : u[p.species] * u[p.species];
        }
        change(slope, [&](std::size_t s, double amount) { jacobian[s * n_ + by.species] += amount; });
      }
    }
  }

  /// One step of SDIRK2 by Newton's method with elimination. False if it does not converge.
  bool step(double dt, double* u) {
    std::copy(u, u + n_, start_.begin());
    if (!stage(dt, u)) return false;
    for (std::size_t s = 0; s < n_; ++s) start_[s] += sdirk::carry * (u[s] - start_[s]);
    return stage(dt, u);
  }

 private:
  struct Step {
    std::vector<Participant> from, to;
    double rate;
  };
  /// u = start + gamma dt rate(u), from the value in u.
  bool stage(double dt, double* u) {
    const double weight = sdirk::gamma * dt;
    for (int newton = 0; newton < 50; ++newton) {
      rates(u, slope_.data(), jacobian_.data());
      for (std::size_t r = 0; r < n_; ++r) {
        residual_[r] = start_[r] + weight * slope_[r] - u[r];
        for (std::size_t c = 0; c < n_; ++c)
          matrix_[r * n_ + c] = (r == c ? 1.0 : 0.0) - weight * jacobian_[r * n_ + c];
      }
      eliminate();
      double size = 0, moved = 0;
      for (std::size_t s = 0; s < n_; ++s) {
        u[s] += residual_[s];
        size = std::max(size, std::abs(u[s]));
        moved = std::max(moved, std::abs(residual_[s]));
      }
      if (!std::isfinite(moved)) return false;
      if (moved <= 1e-12 * size) return true;
    }
    return false;
  }
  void eliminate() {
    for (std::size_t k = 0; k < n_; ++k) {
      std::size_t pivot = k;
      for (std::size_t r = k + 1; r < n_; ++r) {
        if (std::abs(matrix_[r * n_ + k]) > std::abs(matrix_[pivot * n_ + k])) pivot = r;
      }
      for (std::size_t c = 0; c < n_; ++c) std::swap(matrix_[k * n_ + c], matrix_[pivot * n_ + c]);
      std::swap(residual_[k], residual_[pivot]);
      for (std::size_t r = k + 1; r < n_; ++r) {
        const double factor = matrix_[r * n_ + k] / matrix_[k * n_ + k];
        for (std::size_t c = k; c < n_; ++c) matrix_[r * n_ + c] -= factor * matrix_[k * n_ + c];
        residual_[r] -= factor * residual_[k];
      }
    }
    for (std::size_t r = n_; r-- > 0;) {
      for (std::size_t c = r + 1; c < n_; ++c) residual_[r] -= matrix_[r * n_ + c] * residual_[c];
      residual_[r] /= matrix_[r * n_ + r];
    }
  }

  std::size_t n_;
  std::vector<Step> steps_;
  std::vector<double> jacobian_, matrix_, start_, slope_, residual_;
};

/// PETSc's Rosenbrock-W method with its own step control, one cell after the other, direct solver. Options prefix:
/// `bench_rosw_`.
class RosenbrockAlternative {
 public:
  RosenbrockAlternative(PlainKinetics& kinetics, double relative_tolerance, const ReactionNetwork& network,
                        double floor)
      : kinetics_(&kinetics), rate_(kinetics.species()), jacobian_(kinetics.species() * kinetics.species()) {
    const auto n = static_cast<PetscInt>(kinetics.species());
    petsc(VecCreateSeq(PETSC_COMM_SELF, n, state_.out()));
    petsc(VecDuplicate(state_.get(), absolute_.out()));
    {
      const WriteAccess a(absolute_.get());
      for (std::size_t s = 0; s < rate_.size(); ++s) a[s] = relative_tolerance * floor * network.species[s].scale;
    }
    petsc(MatCreateSeqDense(PETSC_COMM_SELF, n, n, nullptr, matrix_.out()));
    petsc(TSCreate(PETSC_COMM_SELF, ts_.out()));
    petsc(TSSetOptionsPrefix(ts_.get(), "bench_rosw_"));
    petsc(TSSetType(ts_.get(), TSROSW));
    // Implicit form: a right-hand side of its own would be left out of the stage matrix.
    petsc(TSSetIFunction(ts_.get(), nullptr, function, this));
    petsc(TSSetIJacobian(ts_.get(), matrix_.get(), matrix_.get(), derivative, this));
    petsc(TSSetTolerances(ts_.get(), 0, absolute_.get(), relative_tolerance, nullptr));
    petsc(TSSetExactFinalTime(ts_.get(), TS_EXACTFINALTIME_MATCHSTEP));
    petsc(TSSetMaxSteps(ts_.get(), 100000));
    SNES snes = nullptr;
    KSP ksp = nullptr;
    PC pc = nullptr;
    petsc(TSGetSNES(ts_.get(), &snes));
    petsc(SNESGetKSP(snes, &ksp));
    petsc(KSPSetType(ksp, KSPPREONLY));
    petsc(KSPGetPC(ksp, &pc));
    petsc(PCSetType(pc, PCLU));
    petsc(TSSetFromOptions(ts_.get()));
  }
  RosenbrockAlternative(const RosenbrockAlternative&) = delete;
  RosenbrockAlternative& operator=(const RosenbrockAlternative&) = delete;

  /// Advances one cell; returns the steps taken.
  int advance(double dt, double* u) {
    {
      const WriteAccess state(state_.get());
      std::copy(u, u + rate_.size(), state.data());
    }
    petsc(TSSetTime(ts_.get(), 0));
    petsc(TSSetStepNumber(ts_.get(), 0));
    petsc(TSSetTimeStep(ts_.get(), 1e-4 * dt));
    petsc(TSSetMaxTime(ts_.get(), dt));
    petsc(TSSolve(ts_.get(), state_.get()));
    TSConvergedReason reason = TS_CONVERGED_ITERATING;
    petsc(TSGetConvergedReason(ts_.get(), &reason));
    if (reason != TS_CONVERGED_TIME) throw NumericsError("bench kinetics: TSROSW did not reach the end of the step");
    PetscInt steps = 0;
    petsc(TSGetStepNumber(ts_.get(), &steps));
    const ReadAccess state(state_.get());
    std::copy(state.data(), state.data() + rate_.size(), u);
    return static_cast<int>(steps);
  }

 private:
  static PetscErrorCode function(TS, PetscReal, Vec u, Vec slope, Vec out, void* context) {
    auto* self = static_cast<RosenbrockAlternative*>(context);
    const double *in = nullptr, *moving = nullptr;
    double* residual = nullptr;
    (void)VecGetArrayRead(u, &in);
    (void)VecGetArrayRead(slope, &moving);
    (void)VecGetArray(out, &residual);
    self->kinetics_->rates(in, self->rate_.data(), self->jacobian_.data());
    for (std::size_t s = 0; s < self->rate_.size(); ++s) residual[s] = moving[s] - self->rate_[s];
    (void)VecRestoreArray(out, &residual);
    (void)VecRestoreArrayRead(slope, &moving);
    (void)VecRestoreArrayRead(u, &in);
    return static_cast<PetscErrorCode>(0);
  }
  static PetscErrorCode derivative(TS, PetscReal, Vec u, Vec, PetscReal shift, Mat, Mat matrix, void* context) {
    auto* self = static_cast<RosenbrockAlternative*>(context);
    const double* in = nullptr;
    double* entries = nullptr;
    (void)VecGetArrayRead(u, &in);
    self->kinetics_->rates(in, self->rate_.data(), self->jacobian_.data());
    (void)VecRestoreArrayRead(u, &in);
    const std::size_t n = self->rate_.size();
    (void)MatDenseGetArray(matrix, &entries);
    for (std::size_t r = 0; r < n; ++r) {
      for (std::size_t c = 0; c < n; ++c) entries[c * n + r] = (r == c ? shift : 0.0) - self->jacobian_[r * n + c];
    }
    (void)MatDenseRestoreArray(matrix, &entries);
    (void)MatAssemblyBegin(matrix, MAT_FINAL_ASSEMBLY);
    (void)MatAssemblyEnd(matrix, MAT_FINAL_ASSEMBLY);
    return static_cast<PetscErrorCode>(0);
  }

  PlainKinetics* kinetics_;
  std::vector<double> rate_, jacobian_;
  VecHandle state_, absolute_;
  MatHandle matrix_;
  TsHandle ts_;
};

/// Values of many cells, one array per species.
using State = std::vector<std::vector<double>>;

State start_of(const System& system, std::size_t cells, int rank) {
  const RandomStream stream(1, "bench.kinetics." + system.name);
  State state(system.start.size(), std::vector<double>(cells));
  for (std::size_t s = 0; s < state.size(); ++s) {
    for (std::size_t c = 0; c < cells; ++c) {
      const std::uint64_t number = (static_cast<std::uint64_t>(rank) * cells + c) * state.size() + s;
      state[s][c] = system.start[s] * (0.5 + stream.uniform(number));
    }
  }
  return state;
}

KineticsReport advance(KineticsSolver& solver, double dt, State& state) {
  std::vector<double*> arrays;
  for (auto& species : state) arrays.push_back(species.data());
  return solver.advance(dt, arrays);
}

std::vector<double> cell_of(const State& state, std::size_t cell) {
  std::vector<double> u;
  for (const auto& species : state) u.push_back(species[cell]);
  return u;
}

/// Largest difference of the first cells, relative to the largest concentration of the cell.
double difference(const State& a, const State& b, std::size_t cells) {
  double worst = 0;
  for (std::size_t c = 0; c < cells; ++c) {
    double size = 0, apart = 0;
    for (std::size_t s = 0; s < a.size(); ++s) {
      size = std::max(size, std::abs(b[s][c]));
      apart = std::max(apart, std::abs(a[s][c] - b[s][c]));
    }
    worst = std::max(worst, apart / size);
  }
  return worst;
}

void measure_system(BenchmarkContext& context, const System& system, std::size_t cells, std::size_t sample,
                    double tolerance, int repeat) {
  MPI_Comm comm = context.comm;
  const State start = start_of(system, cells, rank_of(comm));
  const double all_cells = sum_over(comm, static_cast<double>(cells));
  KineticsControl one_step, controlled;
  one_step.max_substeps = 1;
  controlled.relative_tolerance = tolerance;
  KineticsSolver fixed(system.network, cells, one_step), adaptive(system.network, cells, controlled);
  PlainKinetics plain(system.network);
  RosenbrockAlternative rosenbrock(plain, tolerance, system.network, controlled.floor);
  RosenbrockAlternative exact(plain, 1e-10, system.network, controlled.floor);

  // The single step would be as good as random on a fast start: the state is brought past it first.
  State relaxed = start;
  (void)advance(adaptive, system.dt, relaxed);
  State by_fixed, by_plain, by_adaptive, by_rosenbrock = start, by_exact = start;
  std::vector<double> fixed_s, plain_s, adaptive_s, rosenbrock_s;
  KineticsReport fixed_report, adaptive_report, equal_report;
  long failed = 0, steps = 0;
  const double short_dt = system.dt / 10;
  for (int r = 0; r < repeat; ++r) {
    by_fixed = by_plain = relaxed;
    by_adaptive = start;
    fixed_s.push_back(seconds_of(comm, [&] { fixed_report = advance(fixed, short_dt, by_fixed); }));
    failed = 0;
    plain_s.push_back(seconds_of(comm, [&] {
      std::vector<double> u(start.size());
      for (std::size_t c = 0; c < cells; ++c) {
        for (std::size_t s = 0; s < u.size(); ++s) u[s] = by_plain[s][c];
        failed += plain.step(short_dt, u.data()) ? 0 : 1;
        for (std::size_t s = 0; s < u.size(); ++s) by_plain[s][c] = u[s];
      }
    }));
    adaptive_s.push_back(seconds_of(comm, [&] { adaptive_report = advance(adaptive, system.dt, by_adaptive); }));
    steps = 0;
    rosenbrock_s.push_back(seconds_of(comm, [&] {
      for (std::size_t c = 0; c < sample; ++c) {
        std::vector<double> u = cell_of(start, c);
        steps += rosenbrock.advance(system.dt, u.data());
        for (std::size_t s = 0; s < u.size(); ++s) by_rosenbrock[s][c] = u[s];
      }
    }));
  }
  const State by_control = by_adaptive;
  const std::size_t checked = std::min<std::size_t>(sample, 20);
  for (std::size_t c = 0; c < checked; ++c) {
    std::vector<double> u = cell_of(start, c);
    (void)exact.advance(system.dt, u.data());
    for (std::size_t s = 0; s < u.size(); ++s) by_exact[s][c] = u[s];
  }
  const double other_error = max_over(comm, difference(by_rosenbrock, by_exact, checked));
  // The tolerances of different methods do not mean the same: ours is tightened until it is as good.
  KineticsControl equal = controlled;
  std::vector<double> equal_s;
  double equal_error = 0, equal_substeps = 0;
  for (int attempt = 0; attempt < 12; ++attempt) {
    equal_error = max_over(comm, difference(by_adaptive, by_exact, checked));
    if (equal_error <= other_error) break;
    equal.relative_tolerance /= 3;
    equal.max_substeps *= 2;
    KineticsSolver tight(system.network, cells, equal);
    equal_s.clear();
    for (int r = 0; r < repeat; ++r) {
      by_adaptive = start;
      equal_s.push_back(seconds_of(comm, [&] { equal_report = advance(tight, system.dt, by_adaptive); }));
    }
    equal_substeps = sum_over(comm, static_cast<double>(equal_report.substeps)) / all_cells;
  }
  const double sampled = sum_over(comm, static_cast<double>(sample));
  const Record described{
      {"system", system.name}, {"species", system.start.size()}, {"cells", all_cells}, {"ranks", size_of(comm)}};
  const auto line = [&](const std::string& solver, const std::string& what) {
    Record record{{"bench", "kinetics"}, {"solver", solver}, {"what", what}};
    record.update(described);
    return record;
  };
  const auto rate = [](double count, const std::vector<double>& seconds) { return count / median(seconds) / 1e6; };
  Record record = line("ours", "one SDIRK2 step as it is");
  record["converged"] = fixed_report.converged();
  record["seconds"] = {{"min", smallest(fixed_s)}, {"median", median(fixed_s)}};
  record["million_cells_per_s"] = rate(all_cells, fixed_s);
  record["blended_cells"] = sum_over(comm, static_cast<double>(fixed_report.blended_cells));
  record["newton_per_cell"] = sum_over(comm, static_cast<double>(fixed_report.iterations)) / all_cells;
  context.emit(record);
  record = line("plain loop", "one SDIRK2 step as it is");
  record["converged"] = sum_over(comm, static_cast<double>(failed)) == 0;
  record["seconds"] = {{"min", smallest(plain_s)}, {"median", median(plain_s)}};
  record["million_cells_per_s"] = rate(all_cells, plain_s);
  record["difference"] = {{"from", "ours"}, {"relative", max_over(comm, difference(by_plain, by_fixed, cells))}};
  context.emit(record);
  record = line("ours", "error control");
  record["converged"] = adaptive_report.converged();
  record["tolerance"] = tolerance;
  record["seconds"] = {{"min", smallest(adaptive_s)}, {"median", median(adaptive_s)}};
  record["million_cells_per_s"] = rate(all_cells, adaptive_s);
  record["substeps_per_cell"] = sum_over(comm, static_cast<double>(adaptive_report.substeps)) / all_cells;
  record["error"] = max_over(comm, difference(by_control, by_exact, checked));
  context.emit(record);
  if (!equal_s.empty()) {
    record = line("ours", "error control, as accurate as petsc rosw");
    record["converged"] = equal_report.converged() && equal_error <= other_error;
    record["tolerance"] = equal.relative_tolerance;
    record["seconds"] = {{"min", smallest(equal_s)}, {"median", median(equal_s)}};
    record["million_cells_per_s"] = rate(all_cells, equal_s);
    record["substeps_per_cell"] = equal_substeps;
    record["error"] = equal_error;
    context.emit(record);
  }
  record = line("petsc rosw", "error control, a sample of the cells one by one");
  record["sampled_cells"] = sampled;
  record["tolerance"] = tolerance;
  record["seconds"] = {{"min", smallest(rosenbrock_s)}, {"median", median(rosenbrock_s)}};
  record["million_cells_per_s"] = rate(sampled, rosenbrock_s);
  record["steps_per_cell"] = sum_over(comm, static_cast<double>(steps)) / sampled;
  record["error"] = other_error;
  context.emit(record);
  context.emit({{"bench", "kinetics"},
                {"summary", described},
                {"ratio",
                 {{"plain loop", median(plain_s) / median(fixed_s)},
                  {"petsc rosw", rate(all_cells, adaptive_s) / rate(sampled, rosenbrock_s)},
                  {"petsc rosw at equal error",
                   rate(all_cells, equal_s.empty() ? adaptive_s : equal_s) / rate(sampled, rosenbrock_s)}}},
                {"ratio_means",
                 "time per cell of the alternative over ours; error of both against TSROSW at 1e-10, "
                 "largest over 20 cells, relative to the largest concentration in the cell"}});
}

void run_kinetics(BenchmarkContext& context) {
  const BenchmarkOptions& given = context.options;
  const auto cells = static_cast<std::size_t>(given.count("count", 200000, 1, 100000000));
  const auto sample = static_cast<std::size_t>(given.count("sample", 200, 1, 100000000));
  const double tolerance = given.number("tolerance", 1e-4, 1e-9, 0.1);
  const auto repeat = static_cast<int>(given.count("repeat", 3, 1, 10000));
  for (const std::string& name : given.words("system", {"binding", "robertson"}, {"binding", "robertson"})) {
    measure_system(context, name == "binding" ? binding() : robertson(), cells, std::min(sample, cells), tolerance,
                   repeat);
  }
}

}  // namespace

Benchmark kinetics_benchmark() {
  return {"kinetics",
          "stiff reactions in many cells, against a plain loop of the same method and PETSc's TSROSW",
          {{"system", "LIST", "binding, robertson or all"},
           {"count", "N", "cells of each rank (default 200000)"},
           {"sample", "N", "of these, cells that TSROSW does (default 200)"},
           {"tolerance", "X", "relative tolerance of the step control (default 1e-4)"},
           {"repeat", "N", "repetitions in turn"}},
          run_kinetics};
}

}  // namespace sanctuary
