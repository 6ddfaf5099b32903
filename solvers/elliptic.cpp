#include "solvers/elliptic.hpp"

#include <cmath>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

/// Sets an option unless the user has given it.
void default_option(const std::string& name, const char* value) {
  PetscBool given = PETSC_FALSE;
  petsc(PetscOptionsHasName(nullptr, nullptr, name.c_str(), &given));
  if (!given) petsc(PetscOptionsSetValue(nullptr, name.c_str(), value));
}

/// A C callback may not throw: PETSc gets an error code in its place.
template <class Work>
PetscErrorCode guarded(Work&& work) {
  try {
    work();
  } catch (...) {
    return PETSC_ERR_LIB;
  }
  return static_cast<PetscErrorCode>(0);
}

}  // namespace

CellPreconditioner::CellPreconditioner(const Grid& grid, const std::string& prefix) {
  petsc(DMClone(grid.dm(), dm_.out()));
  const std::string own = prefix + "cells_";
#if defined(PETSC_HAVE_HYPRE)
  petsc(DMSetMatType(dm_.get(), MATHYPRESTRUCT));
  default_option("-" + own + "pc_pfmg_relax_type", "symmetric-Red/Black-Gauss-Seidel");
#else
  petsc(DMSetMatType(dm_.get(), MATAIJ));
#endif
  petsc(DMCreateMatrix(dm_.get(), matrix_.out()));
  petsc(KSPCreate(grid.comm(), ksp_.out()));
  petsc(KSPSetOptionsPrefix(ksp_.get(), own.c_str()));
  petsc(KSPSetType(ksp_.get(), KSPPREONLY));
  PC pc = nullptr;
  petsc(KSPGetPC(ksp_.get(), &pc));
#if defined(PETSC_HAVE_HYPRE)
  petsc(PCSetType(pc, PCPFMG));
#else
  petsc(PCSetType(pc, PCGAMG));
#endif
  petsc(KSPSetOperators(ksp_.get(), matrix_.get(), matrix_.get()));
  petsc(KSPSetFromOptions(ksp_.get()));
}

void CellPreconditioner::set(const CellOperator& op) {
  op.assemble(matrix_.get());
  petsc(KSPSetOperators(ksp_.get(), matrix_.get(), matrix_.get()));
  petsc(KSPSetUp(ksp_.get()));
}

void CellPreconditioner::apply(Vec in, Vec out) const { petsc(KSPSolve(ksp_.get(), in, out)); }

EllipticSolver::EllipticSolver(const Grid& grid, std::string prefix) : grid_(&grid), prefix_(std::move(prefix)) {}

void EllipticSolver::set(const CellOperator& op, bool rebuild) {
  op_ = &op;
  if (!krylov_ || krylov_symmetric_ != op.symmetric()) {
    krylov_ = std::make_unique<CoupledSolver>(*grid_, 0, prefix_, op.symmetric());
    krylov_symmetric_ = op.symmetric();
    rebuild = true;
  }
  krylov_->set(op, nullptr, nullptr, nullptr, rebuild);
}

SolveReport EllipticSolver::solve(Vec f, Vec u, const Stop& stop) {
  double scale = stop.scale;
  if (stop.measure == Stop::Measure::relative) {
    double norm = 0, sum = 0;
    petsc(VecNorm(f, NORM_2, &norm));
    for (const double d : op_->full_diagonal()) sum += d * d;
    scale = norm / std::sqrt(sum_over(grid_->comm(), sum));
  }
  return krylov_->solve(f, nullptr, scale, stop.tolerance, u, nullptr);
}

CoupledSolver::CoupledSolver(const Grid& grid, PetscInt network_unknowns, const std::string& prefix, bool symmetric)
    : grid_(&grid), network_unknowns_(network_unknowns), preconditioner_(grid, prefix) {
  has_network_ = sum_over(grid.comm(), static_cast<double>(network_unknowns)) > 0;
  rhs_ = grid.vector();
  work_cells_ = grid.vector();
  if (has_network_) {
    work_network_ = network_vector();
    network_solution_ = network_vector();
    petsc(KSPCreate(grid.comm(), network_ksp_.out()));
    petsc(KSPSetOptionsPrefix(network_ksp_.get(), (prefix + "network_").c_str()));
    petsc(KSPSetType(network_ksp_.get(), KSPPREONLY));
    PC pc = nullptr;
    petsc(KSPGetPC(network_ksp_.get(), &pc));
    petsc(PCSetType(pc, PCLU));
    // PETSc takes pivots below an absolute bound for zero; ours are small in SI.
    for (const char* where : {"network_", "network_redundant_"}) {
      default_option("-" + prefix + where + "pc_factor_zeropivot", "1e-200");
    }
    // A small network is factorised on every rank alike: one exchange per solve in place of many, and the same digits.
    constexpr double small = 2e5;
    const bool alone = size_of(grid.comm()) == 1;
    if (!alone && sum_over(grid.comm(), static_cast<double>(network_unknowns)) <= small) {
      petsc(PCSetType(pc, PCREDUNDANT));
    } else if (!alone) {
#if defined(PETSC_HAVE_MUMPS)
      petsc(PCFactorSetMatSolverType(pc, MATSOLVERMUMPS));
#elif defined(PETSC_HAVE_SUPERLU_DIST)
      petsc(PCFactorSetMatSolverType(pc, MATSOLVERSUPERLU_DIST));
#else
      petsc(PCSetType(pc, PCREDUNDANT));
#endif
    }
    petsc(KSPSetFromOptions(network_ksp_.get()));
  }
  const auto cells = static_cast<PetscInt>(grid.local_cells());
  petsc(MatCreateShell(grid.comm(), cells, cells, PETSC_DETERMINE, PETSC_DETERMINE, this, schur_.out()));
  petsc(MatShellSetOperation(schur_.get(), MATOP_MULT, reinterpret_cast<void (*)(void)>(&CoupledSolver::schur_apply)));
  petsc(KSPCreate(grid.comm(), krylov_.out()));
  petsc(KSPSetOptionsPrefix(krylov_.get(), prefix.c_str()));
  petsc(KSPSetOperators(krylov_.get(), schur_.get(), schur_.get()));
  PC shell = nullptr;
  petsc(KSPGetPC(krylov_.get(), &shell));
  petsc(PCSetType(shell, PCSHELL));
  petsc(PCShellSetContext(shell, this));
  petsc(PCShellSetApply(shell, &CoupledSolver::precondition));
  petsc(PCShellSetName(shell, "V-cycle on the cells"));
  if (symmetric) {
    petsc(KSPSetType(krylov_.get(), KSPCG));
    petsc(KSPSetNormType(krylov_.get(), KSP_NORM_UNPRECONDITIONED));
  } else {
    petsc(KSPSetType(krylov_.get(), KSPGMRES));
    petsc(KSPGMRESSetRestart(krylov_.get(), 20));
    petsc(KSPSetPCSide(krylov_.get(), PC_RIGHT));
  }
  petsc(KSPSetInitialGuessNonzero(krylov_.get(), PETSC_TRUE));
  petsc(KSPSetFromOptions(krylov_.get()));
}

VecHandle CoupledSolver::network_vector() const {
  VecHandle vec;
  petsc(VecCreateMPI(grid_->comm(), network_unknowns_, PETSC_DETERMINE, vec.out()));
  petsc(VecSet(vec.get(), 0.0));
  return vec;
}

void CoupledSolver::set(const CellOperator& op, Mat network, Mat to_cells, Mat from_cells, bool rebuild) {
  op_ = &op;
  network_ = network;
  to_cells_ = to_cells;
  from_cells_ = from_cells;
  if (rebuild) preconditioner_.set(op);
  double sum = 0;
  for (const double d : op.full_diagonal()) sum += d * d;
  diagonal_rms_ = std::sqrt(sum_over(grid_->comm(), sum) / static_cast<double>(grid_->global_cells()));
  if (has_network_) {
    petsc(KSPSetOperators(network_ksp_.get(), network, network));
    petsc(KSPSetUp(network_ksp_.get()));
  }
}

void CoupledSolver::solve_network(Vec rhs, Vec out) const { petsc(KSPSolve(network_ksp_.get(), rhs, out)); }

PetscErrorCode CoupledSolver::schur_apply(Mat matrix, Vec in, Vec out) {
  void* context = nullptr;
  (void)MatShellGetContext(matrix, &context);
  const auto* self = static_cast<const CoupledSolver*>(context);
  return guarded([&] {
    self->op_->apply(in, out);
    if (!self->has_network_) return;
    petsc(MatMult(self->from_cells_, in, self->work_network_.get()));
    self->solve_network(self->work_network_.get(), self->network_solution_.get());
    petsc(MatMult(self->to_cells_, self->network_solution_.get(), self->work_cells_.get()));
    petsc(VecAXPY(out, -1.0, self->work_cells_.get()));
  });
}

PetscErrorCode CoupledSolver::precondition(PC pc, Vec in, Vec out) {
  void* context = nullptr;
  (void)PCShellGetContext(pc, &context);
  return guarded([&] { static_cast<const CoupledSolver*>(context)->preconditioner_.apply(in, out); });
}

SolveReport CoupledSolver::solve(Vec cells_rhs, Vec network_rhs, double scale, double tolerance, Vec cells,
                                 Vec network) {
  petsc(VecCopy(cells_rhs, rhs_.get()));
  if (has_network_) {
    solve_network(network_rhs, network_solution_.get());
    petsc(MatMult(to_cells_, network_solution_.get(), work_cells_.get()));
    petsc(VecAXPY(rhs_.get(), -1.0, work_cells_.get()));
  }
  const double unit = diagonal_rms_ * scale * std::sqrt(static_cast<double>(grid_->global_cells()));
  SolveReport report;
  petsc(KSPSetTolerances(krylov_.get(), 1e-50, tolerance * unit, 1e10, 500));
  petsc(KSPSolve(krylov_.get(), rhs_.get(), cells));
  KSPConvergedReason reason = KSP_CONVERGED_ITERATING;
  petsc(KSPGetConvergedReason(krylov_.get(), &reason));
  PetscInt iterations = 0;
  petsc(KSPGetIterationNumber(krylov_.get(), &iterations));
  double norm = 0;
  petsc(KSPGetResidualNorm(krylov_.get(), &norm));
  report.converged = reason > 0;
  report.iterations = static_cast<int>(iterations);
  report.residual = unit > 0 ? norm / unit : norm;
  report.reason = KSPConvergedReasons[reason];
  if (has_network_) {
    petsc(MatMult(from_cells_, cells, work_network_.get()));
    petsc(VecAYPX(work_network_.get(), -1.0, network_rhs));
    solve_network(work_network_.get(), network);
  }
  return report;
}

void CoupledSolver::apply(Vec cells, Vec network, Vec cells_out, Vec network_out) const {
  op_->apply(cells, cells_out);
  if (!has_network_) return;
  petsc(MatMultAdd(to_cells_, network, cells_out, cells_out));
  petsc(MatMult(from_cells_, cells, network_out));
  petsc(MatMultAdd(network_, network, network_out, network_out));
}

std::array<double, 2> CoupledSolver::scaled_residual(Vec cells_rhs, Vec network_rhs, double scale, Vec cells,
                                                     Vec network) const {
  VecHandle r = grid_->vector();
  VecHandle s;
  if (has_network_) s = network_vector();
  apply(cells, network, r.get(), s.get());
  petsc(VecAYPX(r.get(), -1.0, cells_rhs));
  std::array<double, 2> result{};
  petsc(VecNorm(r.get(), NORM_2, &result[0]));
  result[0] /= diagonal_rms_ * scale * std::sqrt(static_cast<double>(grid_->global_cells()));
  if (has_network_) {
    petsc(VecAYPX(s.get(), -1.0, network_rhs));
    VecHandle diagonal = network_vector();
    petsc(MatGetDiagonal(network_, diagonal.get()));
    petsc(VecPointwiseDivide(s.get(), s.get(), diagonal.get()));
    petsc(VecNorm(s.get(), NORM_2, &result[1]));
    PetscInt unknowns = 0;
    petsc(VecGetSize(s.get(), &unknowns));
    result[1] /= scale * std::sqrt(static_cast<double>(unknowns));
  }
  return result;
}

}  // namespace sanctuary
