#include "solvers/coupled.hpp"

#include <cmath>

#include "base/comm.hpp"

namespace sanctuary {

CoupledSolver::CoupledSolver(const Grid& grid, PetscInt network_unknowns, const std::string& prefix, bool symmetric)
    : grid_(&grid), network_unknowns_(network_unknowns), cells_(grid, prefix) {
  has_network_ = sum_over(grid.comm(), static_cast<double>(network_unknowns)) > 0;
  cells_.set_coupling(has_network_ ? this : nullptr, symmetric);
  rhs_ = grid.vector();
  work_cells_ = grid.vector();
  borrowed_cells_ = grid.vector();
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
    for (const char* where : {"network_", "network_telescope_"}) {
      default_option("-" + prefix + where + "pc_factor_zeropivot", "1e-200");
    }
    // Factorised on one rank: one exchange per solve in place of many.
    if (size_of(grid.comm()) > 1) {
      petsc(PCSetType(pc, PCTELESCOPE));
      petsc(PCTelescopeSetReductionFactor(pc, size_of(grid.comm())));
      default_option("-" + prefix + "network_telescope_ksp_type", "preonly");
      default_option("-" + prefix + "network_telescope_pc_type", "lu");
    }
    petsc(KSPSetFromOptions(network_ksp_.get()));
  }
}

VecHandle CoupledSolver::network_vector() const {
  VecHandle vec;
  petsc(VecCreateMPI(grid_->comm(), network_unknowns_, PETSC_DETERMINE, vec.out()));
  petsc(VecSet(vec.get(), 0.0));
  return vec;
}

void CoupledSolver::set(const CellOperator& op, Mat network, Mat to_cells, Mat from_cells, Mat cells, bool rebuild) {
  op_ = &op;
  network_ = network;
  to_cells_ = to_cells;
  from_cells_ = from_cells;
  between_cells_ = cells;
  cells_.set(op, rebuild);
  if (has_network_) {
    petsc(KSPSetOperators(network_ksp_.get(), network, network));
    petsc(KSPSetUp(network_ksp_.get()));
  }
}

void CoupledSolver::solve_network(Vec rhs, Vec out) const { petsc(KSPSolve(network_ksp_.get(), rhs, out)); }

void CoupledSolver::subtract_impl(const double* in, double* out) const {
  petsc(VecPlaceArray(borrowed_cells_.get(), in));
  petsc(MatMult(from_cells_, borrowed_cells_.get(), work_network_.get()));
  if (between_cells_) {
    petsc(MatMult(between_cells_, borrowed_cells_.get(), work_cells_.get()));
    const ReadAccess between(work_cells_.get());
    for (std::size_t c = 0; c < grid_->local_cells(); ++c) out[c] += between[c];
  }
  petsc(VecResetArray(borrowed_cells_.get()));
  solve_network(work_network_.get(), network_solution_.get());
  petsc(MatMult(to_cells_, network_solution_.get(), work_cells_.get()));
  const ReadAccess from_network(work_cells_.get());
  for (std::size_t c = 0; c < grid_->local_cells(); ++c) out[c] -= from_network[c];
}

SolveReport CoupledSolver::solve(Vec cells_rhs, Vec network_rhs, double scale, double tolerance, Vec cells,
                                 Vec network) {
  petsc(VecCopy(cells_rhs, rhs_.get()));
  if (has_network_) {
    solve_network(network_rhs, network_solution_.get());
    petsc(MatMult(to_cells_, network_solution_.get(), work_cells_.get()));
    petsc(VecAXPY(rhs_.get(), -1.0, work_cells_.get()));
  }
  const SolveReport report =
      cells_.solve(rhs_.get(), cells, {.tolerance = tolerance, .measure = Stop::Measure::scaled, .scale = scale});
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
  if (between_cells_) petsc(MatMultAdd(between_cells_, cells, cells_out, cells_out));
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
  result[0] /= cells_.diagonal_rms() * scale * std::sqrt(static_cast<double>(grid_->global_cells()));
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
