#include "benchmark/contender.hpp"

#include <algorithm>

#include "base/comm.hpp"
#include "base/error.hpp"

namespace sanctuary {
namespace {

#if defined(PETSC_HAVE_HYPRE)
constexpr bool have_hypre = true;
#else
constexpr bool have_hypre = false;
#endif

const std::string algebraic = "went on with algebraic multigrid";

class OurContender : public Contender {
 private:
  void set_up_impl(const EllipticProblem& problem) override {
    solver_ = std::make_unique<EllipticSolver>(problem.grid(), "bench_ours_");
    solver_->set(problem.op());
  }
  SolveReport solve_impl(Vec rhs, double tolerance, int max_iterations, Vec u) override {
    Stop stop;
    stop.tolerance = tolerance;
    stop.max_iterations = max_iterations;
    SolveReport report = solver_->solve(rhs, u, stop);
    if (report.changed) report.reason.insert(0, report.reason.empty() ? algebraic : algebraic + ": ");
    return report;
  }
  std::optional<CycleCount> cycle_impl(MPI_Comm comm) const override {
    if (solver_->multigrid() == nullptr) return std::nullopt;
    const MultigridStatistics counted = solver_->multigrid()->statistics();
    return CycleCount{static_cast<int>(counted.levels.size()), max_over(comm, static_cast<double>(counted.messages)),
                      max_over(comm, static_cast<double>(counted.bytes_sent)),
                      sum_over(comm, static_cast<double>(counted.bytes_moved))};
  }

  std::unique_ptr<EllipticSolver> solver_;
};

/// A Krylov method on an assembled matrix.
class KrylovContender : public Contender {
 public:
  using PetscOption = std::pair<std::string, std::string>;

  KrylovContender(std::string prefix, std::string matrix_type, bool symmetric, const std::vector<PetscOption>& options)
      : prefix_(std::move(prefix)), matrix_type_(std::move(matrix_type)), symmetric_(symmetric) {
    for (const auto& [name, value] : options) {
      const std::string full = "-" + prefix_ + name;
      PetscBool given = PETSC_FALSE;
      petsc(PetscOptionsHasName(nullptr, nullptr, full.c_str(), &given));
      if (given) continue;
      petsc(PetscOptionsSetValue(nullptr, full.c_str(), value.c_str()));
      own_options_.push_back(full);
    }
  }
  KrylovContender(const KrylovContender&) = delete;
  KrylovContender& operator=(const KrylovContender&) = delete;
  // The next of this name may need others, and those of the user must stay apart from ours.
  ~KrylovContender() override {
    for (const std::string& name : own_options_) (void)PetscOptionsClearValue(nullptr, name.c_str());
  }

 private:
  void set_up_impl(const EllipticProblem& problem) override {
    const double begin = MPI_Wtime();
    petsc(DMClone(problem.grid().dm(), dm_.out()));
    petsc(DMSetMatType(dm_.get(), matrix_type_.c_str()));
    petsc(DMCreateMatrix(dm_.get(), matrix_.out()));
    problem.op().assemble(matrix_.get());
    assembly_seconds_ = MPI_Wtime() - begin;
    if (matrix_type_ == MATAIJ)
      petsc(MatSetOption(matrix_.get(), MAT_SYMMETRIC, symmetric_ ? PETSC_TRUE : PETSC_FALSE));
    if (problem.singular()) {
      MatNullSpace constants = nullptr;
      petsc(MatNullSpaceCreate(problem.grid().comm(), PETSC_TRUE, 0, nullptr, &constants));
      petsc(MatSetNullSpace(matrix_.get(), constants));
      petsc(MatNullSpaceDestroy(&constants));
    }
    petsc(KSPCreate(problem.grid().comm(), ksp_.out()));
    petsc(KSPSetOptionsPrefix(ksp_.get(), prefix_.c_str()));
    petsc(KSPSetType(ksp_.get(), symmetric_ ? KSPCG : KSPGMRES));
    if (symmetric_) {
      petsc(KSPSetNormType(ksp_.get(), KSP_NORM_UNPRECONDITIONED));
    } else {
      petsc(KSPSetPCSide(ksp_.get(), PC_RIGHT));
    }
    petsc(KSPSetOperators(ksp_.get(), matrix_.get(), matrix_.get()));
    petsc(KSPSetFromOptions(ksp_.get()));
    petsc(KSPSetUp(ksp_.get()));
    petsc(KSPSetUpOnBlocks(ksp_.get()));
  }

  SolveReport solve_impl(Vec rhs, double tolerance, int max_iterations, Vec u) override {
    petsc(KSPSetTolerances(ksp_.get(), tolerance, 1e-200, 1e10, max_iterations));
    petsc(KSPSolve(ksp_.get(), rhs, u));
    KSPConvergedReason reason = KSP_CONVERGED_ITERATING;
    PetscInt iterations = 0;
    petsc(KSPGetConvergedReason(ksp_.get(), &reason));
    petsc(KSPGetIterationNumber(ksp_.get(), &iterations));
    SolveReport report;
    report.converged = reason > 0;
    report.iterations = static_cast<int>(iterations);
    report.reason = KSPConvergedReasons[reason];
    return report;
  }

  std::string prefix_, matrix_type_;
  bool symmetric_;
  std::vector<std::string> own_options_;
  DmHandle dm_;
  MatHandle matrix_;
  KspHandle ksp_;
};

using Options = std::vector<KrylovContender::PetscOption>;

std::unique_ptr<Contender> krylov(const std::string& name, const std::string& matrix_type, bool symmetric,
                                  const Options& options) {
  return std::make_unique<KrylovContender>("bench_" + name + "_", matrix_type, symmetric, options);
}

std::vector<ContenderKind> all_kinds() {
  std::vector<ContenderKind> kinds;
  kinds.push_back(
      {"ours", "EllipticSolver of this library", true, [](bool, int) { return std::make_unique<OurContender>(); }});
  kinds.push_back({"pfmg", "Krylov + hypre PFMG, symmetric red-black Gauss-Seidel, structured matrix", have_hypre,
                   [](bool symmetric, int) {
                     return krylov("pfmg", "hyprestruct", symmetric,
                                   {{"pc_type", "pfmg"},
                                    {"pc_pfmg_relax_type",
                                     symmetric ? "symmetric-Red/Black-Gauss-Seidel" : "Red/Black-Gauss-Seidel"}});
                   }});
  kinds.push_back({"boomeramg",
                   "Krylov + hypre BoomerAMG: HMIS, ext+i, 4 elements a row, threshold 0.5, one aggressive level",
                   have_hypre, [](bool symmetric, int) {
                     return krylov("boomeramg", MATAIJ, symmetric,
                                   {{"pc_type", "hypre"},
                                    {"pc_hypre_type", "boomeramg"},
                                    {"pc_hypre_boomeramg_strong_threshold", "0.5"},
                                    {"pc_hypre_boomeramg_coarsen_type", "HMIS"},
                                    {"pc_hypre_boomeramg_interp_type", "ext+i"},
                                    {"pc_hypre_boomeramg_P_max", "4"},
                                    {"pc_hypre_boomeramg_agg_nl", "1"}});
                   }});
  kinds.push_back({"gamg", "Krylov + PETSc GAMG, its defaults", true, [](bool symmetric, int) {
                     return krylov("gamg", MATAIJ, symmetric, {{"pc_type", "gamg"}});
                   }});
  kinds.push_back({"icc", "Krylov + incomplete Cholesky (LU if not symmetric), one block per rank", true,
                   [](bool symmetric, int ranks) {
                     const std::string factor = symmetric ? "icc" : "ilu";
                     return ranks == 1
                                ? krylov("icc", MATAIJ, symmetric, {{"pc_type", factor}})
                                : krylov("icc", MATAIJ, symmetric, {{"pc_type", "bjacobi"}, {"sub_pc_type", factor}});
                   }});
  return kinds;
}

}  // namespace

const std::vector<ContenderKind>& contender_kinds() {
  static const std::vector<ContenderKind> kinds = all_kinds();
  return kinds;
}

std::vector<std::string> contender_names() {
  std::vector<std::string> names;
  for (const ContenderKind& kind : contender_kinds()) names.push_back(kind.name);
  return names;
}

const ContenderKind& contender_kind(const std::string& name) {
  for (const ContenderKind& kind : contender_kinds()) {
    if (kind.name == name) return kind;
  }
  throw InputError("bench: no solver is called '" + name + "'");
}

}  // namespace sanctuary
