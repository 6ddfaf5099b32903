#include <petscsnes.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "benchmark/benchmark.hpp"
#include "benchmark/elliptic_problem.hpp"
#include "benchmark/measure.hpp"
#include "solvers/reaction_diffusion.hpp"

namespace sanctuary {
namespace {

using SnesHandle = Handle<SNES, SNESDestroy>;

/// Oxygen in reduced units: 1 in the vessels, which are single cells at random places that exchange with the tissue.
struct OxygenCase {
  EllipticCase what;
  double uptake = 0.03;  ///< largest use times h^2 / k
  double half = 0.03;    ///< value at half of the largest use
};

constexpr double vessel_share = 0.02;
constexpr double vessel_exchange = 10;  // times k / h^2

void fill_oxygen(const OxygenCase& oxygen, CellOperator& op, std::vector<double>* source) {
  fill_operator(oxygen.what, op);
  const Grid& grid = op.grid();
  const double h = *std::min_element(grid.spec().spacing.begin(), grid.spec().spacing.end());
  const RandomStream stream(1, "bench.vessels");
  const auto& n = grid.spec().cells;
  for (std::size_t c = 0; c < grid.local_cells(); ++c) {
    const auto place = grid.place(c);
    const auto number = static_cast<std::uint64_t>((place[2] * n[1] + place[1]) * n[0] + place[0]);
    if (stream.uniform(number) >= vessel_share) continue;
    const double exchange = vessel_exchange / (h * h) * grid.cell_volume();
    op.diagonal()[c] += exchange;
    if (source != nullptr) (*source)[c] = exchange;
  }
}

/// PETSc's nonlinear solver on the same equations: Newton with line search, forcing terms of Eisenstat and Walker,
/// conjugate gradients with PFMG (GAMG without hypre) on the assembled Jacobian. Options prefix: `bench_snes_`.
class SnesAlternative {
 public:
  SnesAlternative(CellOperator& op, const PointwiseReaction& reaction, Vec rhs)
      : op_(&op), reaction_(&reaction), rhs_(rhs), residual_(op.grid().vector()), own_diagonal_(op.diagonal()) {
    const Grid& grid = op.grid();
    rate_.resize(grid.local_cells());
    slope_.resize(grid.local_cells());
    petsc(DMClone(grid.dm(), dm_.out()));
#if defined(PETSC_HAVE_HYPRE)
    petsc(DMSetMatType(dm_.get(), MATHYPRESTRUCT));
#else
    petsc(DMSetMatType(dm_.get(), MATAIJ));
#endif
    petsc(DMCreateMatrix(dm_.get(), jacobian_.out()));
    petsc(SNESCreate(grid.comm(), snes_.out()));
    petsc(SNESSetOptionsPrefix(snes_.get(), "bench_snes_"));
    petsc(SNESSetFunction(snes_.get(), residual_.get(), function, this));
    petsc(SNESSetJacobian(snes_.get(), jacobian_.get(), jacobian_.get(), fill_jacobian, this));
    petsc(SNESKSPSetUseEW(snes_.get(), PETSC_TRUE));
    KSP ksp = nullptr;
    PC pc = nullptr;
    petsc(SNESGetKSP(snes_.get(), &ksp));
    petsc(KSPSetType(ksp, KSPCG));
    petsc(KSPSetNormType(ksp, KSP_NORM_UNPRECONDITIONED));
    petsc(KSPGetPC(ksp, &pc));
#if defined(PETSC_HAVE_HYPRE)
    petsc(PCSetType(pc, PCPFMG));
    const char* relax = "-bench_snes_pc_pfmg_relax_type";
    PetscBool given = PETSC_FALSE;
    petsc(PetscOptionsHasName(nullptr, nullptr, relax, &given));
    if (!given) petsc(PetscOptionsSetValue(nullptr, relax, "symmetric-Red/Black-Gauss-Seidel"));
#else
    petsc(PCSetType(pc, PCGAMG));
#endif
    petsc(SNESSetFromOptions(snes_.get()));
  }
  SnesAlternative(const SnesAlternative&) = delete;
  SnesAlternative& operator=(const SnesAlternative&) = delete;

  /// Newton steps and linear iterations; empty if it did not converge. Collective.
  [[nodiscard]] std::optional<std::array<int, 2>> solve(Vec u, double tolerance) {
    double norm = 0;
    petsc(VecNorm(rhs_, NORM_2, &norm));
    petsc(SNESSetTolerances(snes_.get(), tolerance * norm, 0, 0, 50, 10000));
    petsc(SNESSolve(snes_.get(), nullptr, u));
    SNESConvergedReason reason = SNES_CONVERGED_ITERATING;
    petsc(SNESGetConvergedReason(snes_.get(), &reason));
    if (reason <= 0) return std::nullopt;
    PetscInt newton = 0, linear = 0;
    petsc(SNESGetIterationNumber(snes_.get(), &newton));
    petsc(SNESGetLinearSolveIterations(snes_.get(), &linear));
    return std::array<int, 2>{static_cast<int>(newton), static_cast<int>(linear)};
  }

 private:
  void evaluate(Vec u) {
    const ReadAccess values(u);
    std::vector<double>& positive = positive_;
    positive.resize(rate_.size());
    for (std::size_t c = 0; c < rate_.size(); ++c) positive[c] = std::max(values[c], 0.0);
    reaction_->evaluate(positive, rate_, slope_);
    for (std::size_t c = 0; c < rate_.size(); ++c) {
      if (values[c] < 0) rate_[c] += slope_[c] * values[c];
    }
  }
  static PetscErrorCode function(SNES, Vec u, Vec out, void* context) {
    auto* self = static_cast<SnesAlternative*>(context);
    return guarded([&] {
      self->evaluate(u);
      self->op_->apply(u, out);
      petsc(VecAXPY(out, -1.0, self->rhs_));
      const WriteAccess r(out);
      const double volume = self->op_->grid().cell_volume();
      for (std::size_t c = 0; c < self->rate_.size(); ++c) r[c] += volume * self->rate_[c];
    });
  }
  static PetscErrorCode fill_jacobian(SNES, Vec u, Mat, Mat matrix, void* context) {
    auto* self = static_cast<SnesAlternative*>(context);
    return guarded([&] {
      self->evaluate(u);
      const double volume = self->op_->grid().cell_volume();
      auto& diagonal = self->op_->diagonal();
      for (std::size_t c = 0; c < diagonal.size(); ++c) diagonal[c] += volume * self->slope_[c];
      self->op_->assemble(matrix);
      diagonal = self->own_diagonal_;
    });
  }

  CellOperator* op_;
  const PointwiseReaction* reaction_;
  Vec rhs_;
  VecHandle residual_;
  std::vector<double> own_diagonal_, rate_, slope_, positive_;
  DmHandle dm_;
  MatHandle jacobian_;
  SnesHandle snes_;
};

struct Count {
  std::vector<double> seconds;
  int newton = 0, linear = 0;
  bool converged = true;
};

Record count_record(const Count& count, const std::vector<double>& linear_seconds) {
  std::vector<double> ratios;
  for (std::size_t r = 0; r < count.seconds.size(); ++r) ratios.push_back(count.seconds[r] / linear_seconds[r]);
  return {{"converged", count.converged},
          {"newton", count.newton},
          {"linear_iterations", count.linear},
          {"seconds", {{"min", smallest(count.seconds)}, {"median", median(count.seconds)}}},
          {"linear_solves_of_time",
           {{"median", median(ratios)},
            {"min", smallest(ratios)},
            {"max", *std::max_element(ratios.begin(), ratios.end())}}}};
}

void measure_reaction(BenchmarkContext& context, const OxygenCase& oxygen, double change, int repeat) {
  MPI_Comm comm = context.comm;
  const EllipticProblem problem(comm, oxygen.what, [&](CellOperator& op) { fill_oxygen(oxygen, op, nullptr); });
  const Grid& grid = problem.grid();
  CellOperator op(grid);
  std::vector<double> source(grid.local_cells(), 0.0);
  fill_oxygen(oxygen, op, &source);
  VecHandle f = grid.vector(), u = grid.vector(), v = grid.vector(), linear_u = grid.vector();
  {
    const WriteAccess rhs(f.get());
    std::copy(source.begin(), source.end(), rhs.data());
  }
  const double h = *std::min_element(grid.spec().spacing.begin(), grid.spec().spacing.end());
  const double largest = oxygen.uptake / (h * h);
  MichaelisMenten reaction(grid, {{oxygen.half, std::vector<double>(grid.local_cells(), largest)}});
  const auto set_uptake = [&](double factor) {
    std::fill(reaction.term(0).maximum.begin(), reaction.term(0).maximum.end(), factor * largest);
  };
  const double heap_before = heap_bytes(comm);
  ReactionDiffusionSolver solver(grid, "bench_reaction_");
  solver.set(op, reaction);
  Stop stop;
  stop.tolerance = 1e-8;

  EllipticSolver linear(grid, "bench_ours_");
  linear.set(problem.op());
  SnesAlternative snes(op, reaction, f.get());

  Count cold, warm, snes_cold, snes_warm;
  std::vector<double> linear_seconds;
  SolveReport linear_report;
  ReactionReport report;
  double difference = 0, bytes = 0, warm_cycles = 0, cold_cycles = 0;
  const auto count = [&](Count& into, double seconds, bool keep) {
    into.converged = into.converged && report.converged;
    into.newton = report.newton;
    into.linear = report.linear;
    if (keep) into.seconds.push_back(seconds);
  };
  const auto run_snes = [&](Count& into, bool keep) {
    std::optional<std::array<int, 2>> done;
    const double seconds = seconds_of(comm, [&] { done = snes.solve(v.get(), stop.tolerance); });
    into.converged = into.converged && done.has_value();
    if (done) std::tie(into.newton, into.linear) = std::pair((*done)[0], (*done)[1]);
    if (keep) into.seconds.push_back(seconds);
  };
  for (int r = -1; r < repeat; ++r) {  // the first round builds and warms up
    const bool keep = r >= 0;
    petsc(VecSet(linear_u.get(), 0.0));
    const double one = seconds_of(comm, [&] { linear_report = linear.solve(f.get(), linear_u.get(), stop); });
    if (keep) linear_seconds.push_back(one);
    set_uptake(1);
    petsc(VecSet(u.get(), 0.0));
    count(cold, seconds_of(comm, [&] { report = solver.solve(f.get(), u.get(), stop); }), keep);
    cold_cycles = report.work();
    if (r < 0) bytes = heap_bytes(comm) - heap_before;
    petsc(VecSet(v.get(), 0.0));
    run_snes(snes_cold, keep);
    set_uptake(1 + change);
    count(warm, seconds_of(comm, [&] { report = solver.solve(f.get(), u.get(), stop); }), keep);
    warm_cycles = report.work();
    run_snes(snes_warm, keep);
  }
  double norm = 0;
  petsc(VecAXPY(v.get(), -1.0, u.get()));
  petsc(VecNorm(v.get(), NORM_2, &difference));
  petsc(VecNorm(u.get(), NORM_2, &norm));
  double mean = 0, lowest = 0;
  petsc(VecSum(u.get(), &mean));
  petsc(VecMin(u.get(), nullptr, &lowest));
  const auto cells = static_cast<double>(grid.global_cells());

  const Record described{
      {"cells", oxygen.what.cells}, {"ranks", size_of(comm)}, {"coefficient", oxygen.what.coefficient},
      {"uptake", oxygen.uptake},    {"half", oxygen.half},    {"change", change}};
  const double linear_cycles = linear_report.iterations + 1.0 / 3;
  Record ours{{"bench", "reaction"}, {"solver", "ours"}};
  ours.update(described);
  ours["cold"] = count_record(cold, linear_seconds);
  ours["cold"]["linear_solves_of_work"] = cold_cycles / linear_cycles;
  ours["warm"] = count_record(warm, linear_seconds);
  ours["warm"]["linear_solves_of_work"] = warm_cycles / linear_cycles;
  ours["bytes_per_cell"] = bytes / cells;
  ours["mean_value"] = mean / cells;
  ours["lowest_value"] = lowest;
  context.emit(ours);
  Record other{{"bench", "reaction"}, {"solver", "snes"}, {"method", "PETSc SNES + CG + PFMG, assembled Jacobian"}};
  other.update(described);
  other["cold"] = count_record(snes_cold, linear_seconds);
  other["warm"] = count_record(snes_warm, linear_seconds);
  other["difference"] = {{"from", "ours"}, {"relative", difference / norm}};
  context.emit(other);
  Record ratio = Record::object();
  if (snes_cold.converged && cold.converged) ratio["cold"] = median(snes_cold.seconds) / median(cold.seconds);
  if (snes_warm.converged && warm.converged) ratio["warm"] = median(snes_warm.seconds) / median(warm.seconds);
  context.emit({{"bench", "reaction"},
                {"summary", described},
                {"ratio", {{"snes", ratio}}},
                {"linear_solve_s", {{"min", smallest(linear_seconds)}, {"median", median(linear_seconds)}}},
                {"linear_iterations", linear_report.iterations},
                {"linear_converged", linear_report.converged},
                {"work_counted",
                 "V-cycles and a third for each residual, over those of a linear solve to 1e-8 without "
                 "use, set-ups left out; time has them in"}});
}

void run_reaction(BenchmarkContext& context) {
  const BenchmarkOptions& given = context.options;
  OxygenCase oxygen;
  oxygen.what.contrast = given.number("contrast", 1e2, 1, 1e12);
  oxygen.what.walls = "neumann";
  oxygen.uptake = given.number("uptake", 0.03, 1e-9, 1e6);
  oxygen.half = given.number("half", 0.03, 1e-9, 1e3);
  const double change = given.number("change", 0.01, -0.9, 10);
  const auto repeat = static_cast<int>(given.count("repeat", 5, 1, 10000));
  const auto coefficients = given.words("coefficient", {"smooth", "lognormal"}, coefficient_fields());
  for (const auto& box : given.boxes("cells", {{64, 64, 64}})) {
    for (const std::string& coefficient : coefficients) {
      oxygen.what.cells = box;
      oxygen.what.coefficient = coefficient;
      measure_reaction(context, oxygen, change, repeat);
    }
  }
}

}  // namespace

Benchmark reaction_benchmark() {
  return {"reaction",
          "oxygen with Michaelis-Menten use, cold and warm, in linear solves of work, and by PETSc's SNES",
          {{"cells", "LIST", "boxes: 64 or 100x60x37"},
           {"coefficient", "LIST", "smooth, lognormal, independent, inclusions or all"},
           {"contrast", "X", "largest over smallest coefficient (default 100)"},
           {"uptake", "X", "largest use times h^2/k (default 0.03)"},
           {"half", "X", "value at half of the largest use, 1 in the vessels (default 0.03)"},
           {"change", "X", "relative change of the use before a warm start (default 0.01)"},
           {"repeat", "N", "repetitions in turn"}},
          run_reaction};
}

}  // namespace sanctuary
