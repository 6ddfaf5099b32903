#include "solvers/coupled.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/comm.hpp"
#include "solvers/network/flow_sweep.hpp"

namespace sanctuary {

namespace {

constexpr int most_directions = 20;  // kept by the conjugate residuals: two vectors of both each, made when needed

}  // namespace

/// Cells and network as one system D^-1/2 [A + X, B; C, N] D^-1/2 y = D^-1/2 r with the diagonal D, whose vectors hold
/// the cells of a rank and then its unknowns of the network.
struct CoupledSolver::Together {
  CoupledSolver* owner = nullptr;
  std::size_t cells = 0, network = 0;
  MatHandle shell;
  KspHandle ksp;
  VecHandle root, rhs, solution, cells_residual, cells_part, network_residual, network_part, network_diagonal;
  std::unique_ptr<CellPreconditioner> cells_inverse;
  bool built = false, built_symmetric = false;
  int directions = most_directions;
  std::vector<VecHandle> direction, image;  // of the conjugate residuals

  /// Takes a vector of both apart and divides by the root of the diagonal, or times it.
  void split(Vec both, bool times, Vec of_cells, Vec of_network) const {
    const ReadAccess v(both), d(root.get());
    const WriteAccess c(of_cells), n(of_network);
    for (std::size_t i = 0; i < cells; ++i) c[i] = times ? v[i] * d[i] : v[i] / d[i];
    for (std::size_t i = 0; i < network; ++i) n[i] = times ? v[cells + i] * d[cells + i] : v[cells + i] / d[cells + i];
  }
  void join(Vec of_cells, Vec of_network, bool times, Vec both) const {
    const ReadAccess c(of_cells), n(of_network), d(root.get());
    const WriteAccess v(both);
    for (std::size_t i = 0; i < cells; ++i) v[i] = times ? c[i] * d[i] : c[i] / d[i];
    for (std::size_t i = 0; i < network; ++i) v[cells + i] = times ? n[i] * d[cells + i] : n[i] / d[cells + i];
  }
  void multiply(Vec in, Vec out) const {
    split(in, false, cells_part.get(), network_part.get());
    owner->apply(cells_part.get(), network_part.get(), cells_residual.get(), network_residual.get());
    join(cells_residual.get(), network_residual.get(), false, out);
  }
  /// Network, cells, network.
  void precondition(Vec in, Vec out) const {
    const CoupledSolver& s = *owner;
    split(in, true, cells_residual.get(), network_residual.get());
    s.inverse_->apply(network_residual.get(), network_part.get());
    petsc(MatMult(s.blocks_.to_cells, network_part.get(), s.work_cells_.get()));
    petsc(VecAXPY(cells_residual.get(), -1.0, s.work_cells_.get()));
    cells_inverse->apply(cells_residual.get(), cells_part.get());
    petsc(MatMult(s.blocks_.from_cells, cells_part.get(), s.work_network_.get()));
    petsc(MatMultAdd(s.blocks_.network, network_part.get(), s.work_network_.get(), s.work_network_.get()));
    petsc(VecAXPY(network_residual.get(), -1.0, s.work_network_.get()));
    s.inverse_->apply(network_residual.get(), s.network_solution_.get());
    petsc(VecAXPY(network_part.get(), 1.0, s.network_solution_.get()));
    join(cells_part.get(), network_part.get(), true, out);
  }
  /// Generalised conjugate residuals from zero in `solution`, truncated to the last directions (Eisenstat, Elman &
  /// Schultz 1983, SIAM J Numer Anal 20:345): leaves the residual in `rhs`. Returns the iterations; `reason` is set
  /// where the residual is not brought down by `reduction`.
  int conjugate_residuals(double reduction, int most, std::string& reason) {
    std::vector<Vec> images, others;
    std::vector<double> along(static_cast<std::size_t>(directions));
    double first = 0, left = 0;
    petsc(VecNorm(rhs.get(), NORM_2, &first));
    for (int iteration = 1; iteration <= most; ++iteration) {
      const auto slot = static_cast<std::size_t>((iteration - 1) % directions);
      if (slot == direction.size()) {
        for (auto* list : {&direction, &image}) petsc(VecDuplicate(rhs.get(), list->emplace_back().out()));
      }
      const Vec p = direction[slot].get(), q = image[slot].get();
      images.clear();
      others.clear();
      for (std::size_t k = 0; k < std::min(direction.size(), static_cast<std::size_t>(iteration)); ++k) {
        if (k == slot) continue;
        images.push_back(image[k].get());
        others.push_back(direction[k].get());
      }
      precondition(rhs.get(), p);
      multiply(p, q);
      // What the directions kept have of it, their images being orthonormal.
      const auto kept = static_cast<PetscInt>(images.size());
      petsc(VecMDot(q, kept, images.data(), along.data()));
      for (double& part : along) part = -part;
      petsc(VecMAXPY(q, kept, along.data(), images.data()));
      petsc(VecMAXPY(p, kept, along.data(), others.data()));
      double size = 0, step = 0;
      petsc(VecNorm(q, NORM_2, &size));
      if (!(size > 0) || !std::isfinite(size)) {
        reason = "a direction of the conjugate residuals is zero or not finite";
        return iteration;
      }
      petsc(VecScale(q, 1 / size));
      petsc(VecScale(p, 1 / size));
      petsc(VecDot(rhs.get(), q, &step));
      petsc(VecAXPY(solution.get(), step, p));
      petsc(VecAXPY(rhs.get(), -step, q));
      petsc(VecNorm(rhs.get(), NORM_2, &left));
      if (left <= reduction * first) {
        reason.clear();
        return iteration;
      }
    }
    reason = "the conjugate residuals reached their limit";
    return most;
  }
};

CoupledSolver::CoupledSolver(const Grid& grid, PetscInt network_unknowns, const std::string& prefix, bool symmetric,
                             NetworkInverse* inverse)
    : grid_(&grid), symmetric_(symmetric), network_unknowns_(network_unknowns), inverse_(inverse) {
  const double unknowns = sum_over(grid.comm(), static_cast<double>(network_unknowns));
  has_network_ = unknowns > 0;
  char text[32] = "auto";
  petsc(PetscOptionsGetString(nullptr, prefix.c_str(), "-network_solver", text, sizeof text, nullptr));
  const std::string chosen = text;
  if (chosen != "auto" && chosen != "direct" && chosen != "iterative")
    throw InputError("-" + prefix + "network_solver " + chosen + ": expected auto, direct or iterative");
  const double limit = symmetric ? symmetric_direct_limit : direct_limit;
  iterative_ = has_network_ && (chosen == "iterative" || (chosen == "auto" && unknowns > limit));
  work_cells_ = grid.vector();
  if (!iterative_) {
    cells_ = std::make_unique<EllipticSolver>(grid, prefix);
    cells_->set_coupling(has_network_ ? this : nullptr, symmetric);
    rhs_ = grid.vector();
    borrowed_cells_ = grid.vector();
  }
  if (!has_network_) return;
  work_network_ = network_vector();
  network_solution_ = network_vector();
  if (iterative_) {
    create_iterative(prefix);
  } else {
    create_direct(prefix);
  }
}

CoupledSolver::~CoupledSolver() = default;

void CoupledSolver::create_direct(const std::string& prefix) {
  const MPI_Comm comm = grid_->comm();
  petsc(KSPCreate(comm, network_ksp_.out()));
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
  if (size_of(comm) > 1) {
    petsc(PCSetType(pc, PCTELESCOPE));
    petsc(PCTelescopeSetReductionFactor(pc, size_of(comm)));
    default_option("-" + prefix + "network_telescope_ksp_type", "preonly");
    default_option("-" + prefix + "network_telescope_pc_type", "lu");
  }
  petsc(KSPSetFromOptions(network_ksp_.get()));
}

void CoupledSolver::create_iterative(const std::string& prefix) {
  const MPI_Comm comm = grid_->comm();
  if (!inverse_) {
    own_inverse_ = std::make_unique<FlowSweep>(comm);
    inverse_ = own_inverse_.get();
  }
  together_ = std::make_unique<Together>();
  Together& t = *together_;
  t.owner = this;
  t.cells_inverse = std::make_unique<CellPreconditioner>(*grid_, prefix);
  t.cells = grid_->local_cells();
  t.network = static_cast<std::size_t>(network_unknowns_);
  const auto unknowns = static_cast<PetscInt>(t.cells + t.network);
  petsc(MatCreateShell(comm, unknowns, unknowns, PETSC_DETERMINE, PETSC_DETERMINE, &t, t.shell.out()));
  const auto multiply = [](Mat matrix, Vec in, Vec out) -> PetscErrorCode {
    void* context = nullptr;
    (void)MatShellGetContext(matrix, &context);
    return guarded([&] { static_cast<const Together*>(context)->multiply(in, out); });
  };
  using Multiply = PetscErrorCode (*)(Mat, Vec, Vec);
  petsc(MatShellSetOperation(t.shell.get(), MATOP_MULT,
                             reinterpret_cast<void (*)(void)>(static_cast<Multiply>(multiply))));
  for (VecHandle* v : {&t.root, &t.rhs, &t.solution}) {
    petsc(VecCreateMPI(comm, unknowns, PETSC_DETERMINE, v->out()));
    petsc(VecSet(v->get(), 1.0));
  }
  for (VecHandle* v : {&t.cells_residual, &t.cells_part}) *v = grid_->vector();
  for (VecHandle* v : {&t.network_residual, &t.network_part, &t.network_diagonal}) *v = network_vector();
  if (!symmetric_) {
    PetscInt given = t.directions;
    petsc(PetscOptionsGetInt(nullptr, prefix.c_str(), "-coupled_directions", &given, nullptr));
    if (given < 1 || given > 1000)
      throw InputError("-" + prefix + "coupled_directions " + std::to_string(given) + ": expected 1 to 1000");
    t.directions = static_cast<int>(given);
    return;
  }
  petsc(KSPCreate(comm, t.ksp.out()));
  petsc(KSPSetOptionsPrefix(t.ksp.get(), (prefix + "coupled_").c_str()));
  petsc(KSPSetOperators(t.ksp.get(), t.shell.get(), t.shell.get()));
  petsc(KSPSetType(t.ksp.get(), KSPFCG));
  petsc(KSPSetNormType(t.ksp.get(), KSP_NORM_UNPRECONDITIONED));
  petsc(KSPFCGSetMmax(t.ksp.get(), 2));
  petsc(KSPFCGSetNprealloc(t.ksp.get(), 2));
  PC pc = nullptr;
  petsc(KSPGetPC(t.ksp.get(), &pc));
  petsc(PCSetType(pc, PCSHELL));
  petsc(PCShellSetContext(pc, &t));
  petsc(PCShellSetApply(pc, [](PC shell, Vec in, Vec out) -> PetscErrorCode {
    void* context = nullptr;
    (void)PCShellGetContext(shell, &context);
    return guarded([&] { static_cast<const Together*>(context)->precondition(in, out); });
  }));
  petsc(KSPSetFromOptions(t.ksp.get()));
}

VecHandle CoupledSolver::network_vector() const {
  VecHandle vec;
  petsc(VecCreateMPI(grid_->comm(), network_unknowns_, PETSC_DETERMINE, vec.out()));
  petsc(VecSet(vec.get(), 0.0));
  return vec;
}

void CoupledSolver::set(const CellOperator& op, const NetworkBlocks& blocks, bool rebuild) {
  op_ = &op;
  blocks_ = blocks;
  if (iterative_) {
    set_together(rebuild);
    return;
  }
  cells_->set(op, rebuild);
  diagonal_rms_ = cells_->diagonal_rms();
  if (has_network_) {
    // PCTELESCOPE copies values into the pattern it has seen first.
    PetscObjectId id = 0;
    PetscObjectState pattern = 0;
    petsc(PetscObjectGetId(reinterpret_cast<PetscObject>(blocks_.network), &id));
    petsc(MatGetNonzeroState(blocks_.network, &pattern));
    if (id != factored_id_ || pattern != factored_pattern_) petsc(KSPReset(network_ksp_.get()));
    factored_id_ = id;
    factored_pattern_ = pattern;
    petsc(KSPSetOperators(network_ksp_.get(), blocks_.network, blocks_.network));
    petsc(KSPSetUp(network_ksp_.get()));
  }
}

void CoupledSolver::solve_network(Vec rhs, Vec out) const { petsc(KSPSolve(network_ksp_.get(), rhs, out)); }

void CoupledSolver::subtract_impl(const double* in, double* out) const {
  petsc(VecPlaceArray(borrowed_cells_.get(), in));
  petsc(MatMult(blocks_.from_cells, borrowed_cells_.get(), work_network_.get()));
  if (blocks_.between_cells) {
    petsc(MatMult(blocks_.between_cells, borrowed_cells_.get(), work_cells_.get()));
    const ReadAccess between(work_cells_.get());
    for (std::size_t c = 0; c < grid_->local_cells(); ++c) out[c] += between[c];
  }
  petsc(VecResetArray(borrowed_cells_.get()));
  solve_network(work_network_.get(), network_solution_.get());
  petsc(MatMult(blocks_.to_cells, network_solution_.get(), work_cells_.get()));
  const ReadAccess from_network(work_cells_.get());
  for (std::size_t c = 0; c < grid_->local_cells(); ++c) out[c] -= from_network[c];
}

SolveReport CoupledSolver::solve(Vec cells_rhs, Vec network_rhs, double scale, double tolerance, Vec cells,
                                 Vec network) {
  if (iterative_) return solve_together(cells_rhs, network_rhs, scale, tolerance, cells, network);
  petsc(VecCopy(cells_rhs, rhs_.get()));
  if (has_network_) {
    solve_network(network_rhs, network_solution_.get());
    petsc(MatMult(blocks_.to_cells, network_solution_.get(), work_cells_.get()));
    petsc(VecAXPY(rhs_.get(), -1.0, work_cells_.get()));
  }
  const SolveReport report =
      cells_->solve(rhs_.get(), cells, {.tolerance = tolerance, .measure = Stop::Measure::scaled, .scale = scale});
  if (has_network_) {
    petsc(MatMult(blocks_.from_cells, cells, work_network_.get()));
    petsc(VecAYPX(work_network_.get(), -1.0, network_rhs));
    solve_network(work_network_.get(), network);
  }
  return report;
}

void CoupledSolver::set_together(bool rebuild) {
  Together& t = *together_;
  inverse_->set(blocks_.alone ? blocks_.alone : blocks_.network);
  petsc(MatGetDiagonal(blocks_.network, t.network_diagonal.get()));
  {
    std::vector<double> of_cells(t.cells);
    op_->full_diagonal(of_cells.data());
    const WriteAccess root(t.root.get()), of_network(t.network_diagonal.get());
    const auto root_of = [](double d) { return d != 0 ? std::sqrt(std::abs(d)) : 1.0; };
    double sum = 0;
    for (std::size_t i = 0; i < t.cells; ++i) {
      root[i] = root_of(of_cells[i]);
      sum += of_cells[i] * of_cells[i];
    }
    for (std::size_t i = 0; i < t.network; ++i) {
      if (of_network[i] == 0) of_network[i] = 1;
      root[t.cells + i] = root_of(of_network[i]);
    }
    diagonal_rms_ = std::sqrt(sum_over(grid_->comm(), sum) / static_cast<double>(grid_->global_cells()));
  }
  if (!rebuild && t.built && t.built_symmetric == op_->symmetric()) return;
  const double wave = symmetric_ ? 0.0 : balanced_wave();
  if (wave > 0) {
    std::vector<double> diagonal = given_back(wave);
    constexpr double least = 1e-3;  // of the diagonal: keeps what takes nothing up from being singular
    for (std::size_t c = 0; c < t.cells; ++c) {
      const double whole = op_->diagonal()[c];
      diagonal[c] = std::max(whole - diagonal[c], least * whole);
    }
    t.cells_inverse->set(op_->with_diagonal(std::move(diagonal)));
  } else {
    t.cells_inverse->set(*op_);
  }
  t.built = true;
  t.built_symmetric = op_->symmetric();
}

/// Phase per cell of the wave at which diffusion between cells rivals exchange with the network.
double CoupledSolver::balanced_wave() const {
  petsc(VecSet(network_solution_.get(), 1.0));
  petsc(MatMult(blocks_.to_cells, network_solution_.get(), work_cells_.get()));
  double exchange = 0, between = 0;
  petsc(VecSum(work_cells_.get(), &exchange));
  for (int axis = 0; axis < 3; ++axis) {
    for (std::size_t f = 0; f < op_->from_lower(axis).size(); ++f)
      between += std::min(op_->from_lower(axis)[f], op_->from_upper(axis)[f]) / 3;
  }
  between = sum_over(grid_->comm(), between);
  constexpr double longest = 0.05, shortest = 1.5;
  if (exchange >= 0) return 0;
  return between > 0 ? std::clamp(std::sqrt(-exchange / between), longest, shortest) : shortest;
}

/// B N^-1 C of waves along each axis as an entry on the diagonal: what the network gives back to each cell of what it
/// takes up from waves of this phase per cell. Between zero and what the cell's diagonal holds of the exchange.
std::vector<double> CoupledSolver::given_back(double wave) const {
  std::vector<double> result(together_->cells, 0.0);
  const VecHandle offered = grid_->vector();
  for (std::size_t axis = 0; axis < 3; ++axis) {
    for (const double shift : {0.0, 0.5 * std::numbers::pi}) {
      {
        const WriteAccess v(offered.get());
        for (std::size_t c = 0; c < result.size(); ++c)
          v[c] = std::cos(wave * static_cast<double>(grid_->place(c)[axis]) - shift);
      }
      petsc(MatMult(blocks_.from_cells, offered.get(), work_network_.get()));
      inverse_->apply(work_network_.get(), network_solution_.get());
      petsc(MatMult(blocks_.to_cells, network_solution_.get(), work_cells_.get()));
      const ReadAccess v(offered.get()), back(work_cells_.get());
      for (std::size_t c = 0; c < result.size(); ++c) result[c] += v[c] * back[c] / 3;
    }
  }
  for (double& value : result) value = std::max(value, 0.0);
  return result;
}

SolveReport CoupledSolver::solve_together(Vec cells_rhs, Vec network_rhs, double scale, double tolerance, Vec cells,
                                          Vec network) {
  Together& t = *together_;
  SolveReport report;
  PetscInt all = 0;
  petsc(VecGetSize(network, &all));
  const double cells_unit = diagonal_rms_ * scale * std::sqrt(static_cast<double>(grid_->global_cells()));
  constexpr int most_rounds = 20, most = 1000;
  constexpr double smallest_reduction = 1e-10;  // within one round: what is left below is the recurrence's rounding
  double last = std::numeric_limits<double>::infinity();
  for (int round = 0;; ++round) {
    apply(cells, network, t.cells_residual.get(), t.network_residual.get());
    petsc(VecAYPX(t.cells_residual.get(), -1.0, cells_rhs));
    petsc(VecAYPX(t.network_residual.get(), -1.0, network_rhs));
    double of_cells = 0, of_network = 0, size = 0;
    petsc(VecNorm(network, NORM_2, &size));
    const double network_unit = std::max(scale * std::sqrt(static_cast<double>(all)), size);
    petsc(VecNorm(t.cells_residual.get(), NORM_2, &of_cells));
    petsc(VecPointwiseDivide(t.network_part.get(), t.network_residual.get(), t.network_diagonal.get()));
    petsc(VecNorm(t.network_part.get(), NORM_2, &of_network));
    report.residual = std::max(of_cells / cells_unit, of_network / network_unit);
    if (!std::isfinite(report.residual)) {
      report.reason = "the residual is not finite";
      return report;
    }
    report.converged = report.residual <= tolerance;
    if (report.converged) {
      report.reason.clear();
      return report;
    }
    if (round == most_rounds || report.iterations >= most || !(report.residual < 0.5 * last)) {
      if (report.iterations >= most) {
        report.reason = "not converged in " + std::to_string(report.iterations) + " iterations";
      } else if (report.reason.empty()) {
        report.reason = "the residual stays where rounding has left it";
      }
      return report;
    }
    last = report.residual;
    t.join(t.cells_residual.get(), t.network_residual.get(), false, t.rhs.get());
    petsc(VecSet(t.solution.get(), 0.0));
    const double reduction = std::max(0.3 * tolerance / report.residual, smallest_reduction);
    if (symmetric_) {
      petsc(KSPSetTolerances(t.ksp.get(), reduction, PETSC_DEFAULT, 1e10, most - report.iterations));
      petsc(KSPSolve(t.ksp.get(), t.rhs.get(), t.solution.get()));
      PetscInt iterations = 0;
      petsc(KSPGetIterationNumber(t.ksp.get(), &iterations));
      KSPConvergedReason reason = KSP_CONVERGED_ITERATING;
      petsc(KSPGetConvergedReason(t.ksp.get(), &reason));
      report.iterations += static_cast<int>(iterations);
      report.reason = reason < 0 ? KSPConvergedReasons[reason] : "";
    } else {
      report.iterations += t.conjugate_residuals(reduction, most - report.iterations, report.reason);
    }
    t.split(t.solution.get(), false, t.cells_part.get(), t.network_part.get());
    petsc(VecAXPY(cells, 1.0, t.cells_part.get()));
    petsc(VecAXPY(network, 1.0, t.network_part.get()));
  }
}

double CoupledSolver::bytes_per_iteration() const {
  if (!together_) return 0;
  const Together& t = *together_;
  // Vectors read and written: by the method, by scaling and splitting, by the residuals.
  const double of_method = 8 * (19.0 + (symmetric_ ? 6.0 : 3.0 * (t.directions - 1)));
  constexpr double of_parts = 8 * 24, of_operator = 8 * 9;
  // An entry of the network: twice in products, and in two sweeps with value and column.
  constexpr double of_entry = 2 * 12 + 2 * 2 * 12;
  MatInfo info;
  petsc(MatGetInfo(blocks_.network, MAT_LOCAL, &info));
  const double entries = info.nz_used;
  const auto cells = static_cast<double>(t.cells), network = static_cast<double>(t.network);
  const double cycle =
      t.cells_inverse->multigrid() ? static_cast<double>(t.cells_inverse->multigrid()->statistics().bytes_moved) : 0.0;
  return (cells + network) * (of_method + of_parts) + cells * of_operator + entries * of_entry + cycle;
}

void CoupledSolver::apply(Vec cells, Vec network, Vec cells_out, Vec network_out) const {
  op_->apply(cells, cells_out);
  if (!has_network_) return;
  petsc(MatMultAdd(blocks_.to_cells, network, cells_out, cells_out));
  if (blocks_.between_cells) petsc(MatMultAdd(blocks_.between_cells, cells, cells_out, cells_out));
  petsc(MatMult(blocks_.from_cells, cells, network_out));
  petsc(MatMultAdd(blocks_.network, network, network_out, network_out));
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
    petsc(MatGetDiagonal(blocks_.network, diagonal.get()));
    petsc(VecPointwiseDivide(s.get(), s.get(), diagonal.get()));
    petsc(VecNorm(s.get(), NORM_2, &result[1]));
    PetscInt unknowns = 0;
    petsc(VecGetSize(s.get(), &unknowns));
    result[1] /= scale * std::sqrt(static_cast<double>(unknowns));
  }
  return result;
}

}  // namespace sanctuary
