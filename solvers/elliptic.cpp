#include "solvers/elliptic.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "base/comm.hpp"
#include "solvers/exact_sum.hpp"
#include "solvers/layout.hpp"
#include "solvers/multigrid_kernels.hpp"

namespace sanctuary {
namespace {

/// The kind that the option asks for; none: `fallback`.
PreconditionerKind chosen_kind(const std::string& prefix, bool* automatic = nullptr) {
  char text[32] = "auto";
  petsc(PetscOptionsGetString(nullptr, prefix.c_str(), "-preconditioner", text, sizeof text, nullptr));
  const std::string name = text;
  if (automatic) *automatic = name == "auto";
  if (name == "auto" || name == "multigrid") return PreconditionerKind::multigrid;
  if (name == "pfmg") return PreconditionerKind::pfmg;
  if (name == "boomeramg") return PreconditionerKind::boomeramg;
  if (name == "gamg") return PreconditionerKind::gamg;
  throw InputError("-" + prefix + "preconditioner " + name + ": expected auto, multigrid, pfmg, boomeramg or gamg");
}

}  // namespace

CellPreconditioner::CellPreconditioner(const Grid& grid, const std::string& prefix)
    : CellPreconditioner(grid, prefix, chosen_kind(prefix)) {}

CellPreconditioner::CellPreconditioner(const Grid& grid, const std::string& prefix, PreconditionerKind kind)
    : kind_(kind) {
  if (kind_ == PreconditionerKind::multigrid) {
    multigrid_ = std::make_unique<Multigrid>(grid);
    return;
  }
#if !defined(PETSC_HAVE_HYPRE)
  kind_ = PreconditionerKind::gamg;
#endif
  petsc(DMClone(grid.dm(), dm_.out()));
  const std::string own = prefix + "cells_";
  petsc(DMSetMatType(dm_.get(), kind_ == PreconditionerKind::pfmg ? MATHYPRESTRUCT : MATAIJ));
  petsc(DMCreateMatrix(dm_.get(), matrix_.out()));
  petsc(KSPCreate(grid.comm(), ksp_.out()));
  petsc(KSPSetOptionsPrefix(ksp_.get(), own.c_str()));
  petsc(KSPSetType(ksp_.get(), KSPPREONLY));
  PC pc = nullptr;
  petsc(KSPGetPC(ksp_.get(), &pc));
  switch (kind_) {
    case PreconditionerKind::pfmg:
      default_option("-" + own + "pc_pfmg_relax_type", "symmetric-Red/Black-Gauss-Seidel");
      petsc(PCSetType(pc, PCPFMG));
      break;
    case PreconditionerKind::boomeramg:
      default_option("-" + own + "pc_hypre_boomeramg_strong_threshold", "0.5");
      default_option("-" + own + "pc_hypre_boomeramg_coarsen_type", "HMIS");
      default_option("-" + own + "pc_hypre_boomeramg_interp_type", "ext+i");
      default_option("-" + own + "pc_hypre_boomeramg_P_max", "4");
      petsc(PCSetType(pc, PCHYPRE));
      petsc(PCHYPRESetType(pc, "boomeramg"));
      break;
    default:
      petsc(PCSetType(pc, PCGAMG));
  }
  petsc(KSPSetOperators(ksp_.get(), matrix_.get(), matrix_.get()));
  petsc(KSPSetFromOptions(ksp_.get()));
}

void CellPreconditioner::set(const CellOperator& op) {
  if (multigrid_) {
    multigrid_->set(op);
    return;
  }
  op.assemble(matrix_.get());
  petsc(KSPSetOperators(ksp_.get(), matrix_.get(), matrix_.get()));
  petsc(KSPSetUp(ksp_.get()));
}

void CellPreconditioner::apply(Vec in, Vec out) const {
  if (multigrid_) {
    multigrid_->apply(in, out);
  } else {
    petsc(KSPSolve(ksp_.get(), in, out));
  }
}

/// Vectors of the Krylov methods. `p` has a layer of ghosts, the rest the owned cells only.
struct EllipticSolver::Work {
  static constexpr std::size_t kept = 20;  // directions of the conjugate residuals
  explicit Work(const Grid& grid) : size(grid.size()), count(grid.local_cells()), ghosted(grid) {
    for (std::size_t a = 0; a < 3; ++a) {
      local.high[a] = size[a];
      with_ghosts.low[a] = ghosted.shared(2 * a) ? -1 : 0;
      with_ghosts.high[a] = size[a] + (ghosted.shared(2 * a + 1) ? 1 : 0);
    }
    p = {ghosted.line(0, 0), ghosted.row(), ghosted.plane(), 0};
    r.assign(count, 0.0);
    w.assign(count, 0.0);
    const auto partials = static_cast<std::size_t>(kernels::units(size[0]) * size[1] * size[2]);
    for (auto& part : partial) part.assign(partials, 0.0);
  }
  void bind(const CellOperator& op) {
    arrays.size = size;
    for (int a = 0; a < 3; ++a) {
      arrays.from_lower[a] = op.from_lower(a).data();
      arrays.from_upper[a] = op.symmetric() ? nullptr : op.from_upper(a).data();
    }
    arrays.diagonal = op.diagonal().data();
  }
  /// Copies the direction without its ghosts.
  void take_direction(double* to) const {
    for (long k = 0; k < size[2]; ++k) {
      for (long j = 0; j < size[1]; ++j) to = std::copy_n(p.at(j, k), size[0], to);
    }
  }
  [[nodiscard]] static IndexBox plane(IndexBox of, long k) {
    of.low[2] = k;
    of.high[2] = k + 1;
    return of;
  }

  std::array<long, 3> size;
  std::size_t count;
  IndexBox local, with_ghosts;
  GhostedCells ghosted;
  std::vector<double> r, w, natural;  // the last with a coupling only
  kernels::Padded p;                  // in `ghosted`
  kernels::OperatorArrays arrays;
  std::array<std::vector<double>, 2> partial;  // sums over units of rows
  std::array<ExactSum, kept> sums;
  // of the method at work
  bool fresh = true;  // no direction yet since the residual was taken anew
  double alpha = 0, rz = 0, ww = 0;
  std::vector<std::vector<double>> directions, images;  // of conjugate residuals
  std::array<double, kept> squares{};
  std::size_t have = 0, next = 0;
};

EllipticSolver::EllipticSolver(const Grid& grid, std::string prefix)
    : grid_(&grid), prefix_(std::move(prefix)), preconditioner_(grid, prefix_), work_(std::make_unique<Work>(grid)) {
  (void)chosen_kind(prefix_, &automatic_);
  PetscBool given = PETSC_FALSE;
  petsc(PetscOptionsHasName(nullptr, prefix_.c_str(), "-ksp_monitor", &given));
  monitor_ = given == PETSC_TRUE;
  PetscInt most = 0;
  petsc(PetscOptionsGetInt(nullptr, prefix_.c_str(), "-ksp_max_it", &most, &given));
  if (given) most_iterations_ = static_cast<int>(most);
}

void EllipticSolver::report_iteration(int iteration, double norm) const {
  if (monitor_) petsc(PetscPrintf(grid_->comm(), "%3d KSP Residual norm %14.12e\n", iteration, norm));
}

EllipticSolver::~EllipticSolver() = default;

const Multigrid* EllipticSolver::multigrid() const { return preconditioner_.multigrid(); }

std::span<const double> EllipticSolver::residual() const { return work_->r; }

std::size_t EllipticSolver::memory() const {
  std::size_t doubles =
      work_->r.capacity() + work_->w.capacity() + work_->partial[0].capacity() + work_->partial[1].capacity();
  for (const auto& v : work_->directions) doubles += v.capacity();
  for (const auto& v : work_->images) doubles += v.capacity();
  return doubles * sizeof(double) + work_->ghosted.memory() + (multigrid() ? multigrid()->statistics().memory : 0);
}

std::string EllipticSolver::view() const {
  std::ostringstream out;
  out << (op_ && !op_->symmetric() ? "truncated conjugate residuals" : "flexible conjugate gradients") << " on ";
  switch (preconditioner_.kind()) {
    case PreconditionerKind::multigrid:
      out << preconditioner_.multigrid()->view();
      break;
    case PreconditionerKind::pfmg:
      out << "hypre PFMG\n";
      break;
    case PreconditionerKind::boomeramg:
      out << "hypre BoomerAMG\n";
      break;
    case PreconditionerKind::gamg:
      out << "GAMG\n";
      break;
  }
  if (algebraic_) out << "changed to algebraic multigrid\n";
  return out.str();
}

void EllipticSolver::set(const CellOperator& op, bool rebuild) {
  const bool first = !built_ || built_symmetric_ != op.symmetric();
  op_ = &op;
  work_->bind(op);
  if (stay_algebraic_ > 0 && rebuild) --stay_algebraic_;
  fresh_ = false;
  if (stay_algebraic_ > 0) {
    if (rebuild) algebraic_->set(op);
    built_ = false;  // our own multigrid has fallen behind
  } else if (rebuild || first) {
    preconditioner_.set(op);
    built_ = true;
    fresh_ = true;
    built_symmetric_ = op.symmetric();
  }
  looked_ = false;
  diagonal_rms_ = -1;
  PetscBool show = PETSC_FALSE;
  petsc(PetscOptionsGetBool(nullptr, prefix_.c_str(), "-view", &show, nullptr));
  if (show && rebuild) petsc(PetscPrintf(grid_->comm(), "%s%s", prefix_.c_str(), view().c_str()));
}

void EllipticSolver::set_coupling(const CellCoupling* coupling, bool symmetric) {
  coupling_ = coupling;
  symmetric_coupling_ = symmetric || coupling == nullptr;
  if (coupling) work_->natural.resize(work_->count);
}

/// Whether the operator is singular and how many rows are empty.
void EllipticSolver::look() {
  if (looked_) return;
  looked_ = true;
  singular_ = false;
  empty_rows_ = 0;
  if (coupling_) return;
  if (multigrid() && fresh_) {
    singular_ = multigrid()->singular();
    empty_rows_ = multigrid()->empty_rows();
    return;
  }
  const auto& own = op_->diagonal();
  const bool reacts = std::any_of(own.begin(), own.end(), [](double d) { return d != 0; });
  if (multigrid() && built_ && max_over(grid_->comm(), reacts ? 1.0 : 0.0) > 0) {  // faces are as they were
    empty_rows_ = multigrid()->empty_rows();
    return;
  }
  const OperatorLook found = look_at(*op_);
  singular_ = found.singular;
  empty_rows_ = found.empty_rows;
}

/// Root mean square of the diagonal, taken when it is first asked for.
double EllipticSolver::diagonal_rms() {
  if (diagonal_rms_ >= 0) return diagonal_rms_;
  op_->full_diagonal(work_->w.data());
  kernels::dot(work_->size, work_->w.data(), work_->w.data(), work_->partial[0].data());
  diagonal_rms_ = std::sqrt(norm2_of(1) / static_cast<double>(grid_->global_cells()));
  return diagonal_rms_;
}

/// Sums over all ranks of the first `count` of the partial sums.
double EllipticSolver::norm2_of(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    work_->sums[i].clear();
    work_->sums[i].add(work_->partial[i]);
  }
  ExactSum::reduce(grid_->comm(), {work_->sums.data(), count});
  return work_->sums[0].value();
}

/// r = f - A u; squared norms of r and f.
std::array<double, 2> EllipticSolver::start_residual(const double* f, const double* u, bool from_zero) {
  Work& t = *work_;
  if (from_zero) {
    std::fill(t.r.begin(), t.r.end(), 0.0);
  } else {
    t.ghosted.start(u);
    t.ghosted.finish();
    kernels::apply(t.arrays, t.p, t.r.data(), t.local, nullptr, nullptr);
    if (coupling_) coupling_->subtract(u, t.r.data());
  }
  kernels::residual(t.size, f, t.r.data(), t.partial[0].data(), t.partial[1].data());
  const double rr = norm2_of(2);
  return {rr, t.sums[1].value()};
}

namespace {

constexpr const char* slow = "the multigrid is slow";
constexpr const char* stagnates = "the residual stays where rounding has left it";
constexpr const char* broken = "the method broke down";
constexpr const char* indefinite = "the system or its preconditioner is not positive definite";

/// A power of two that brings numbers of this size near 1.
double normalising(double size) { return size > 0 ? std::exp2(-std::floor(std::log2(size))) : 1.0; }

/// True where a residual by recurrence is as good as the residual itself: few steps, far from rounding.
bool no_drift(int iterations, double start, double target) { return iterations <= 10 && target > 1e-6 * start; }

/// True when a method has shown that it would need far too many iterations.
bool hopeless(int iteration, double start, double now, double target) {
  if (iteration < 20 || !(now > target)) return false;
  const double rate = std::log(now / start) / iteration;
  return rate >= 0 || std::log(target / start) / rate > 200;
}

}  // namespace

/// Next direction of flexible conjugate gradients in `p`, its image in `w` and the way to go along it in `alpha`, from
/// the preconditioned residual. Returns what went wrong, or null.
const char* EllipticSolver::conjugate_gradient(double z_scale) {
  Work& t = *work_;
  const Multigrid& multigrid = *preconditioner_.multigrid();
  const auto& map = multigrid.colours();
  kernels::products(map, multigrid.u(), z_scale, t.r.data(), t.w.data(), t.local, t.partial[0].data(),
                    t.partial[1].data());
  const double rz_old = t.rz;
  t.rz = norm2_of(2);
  const double beta = t.fresh ? 0.0 : -t.alpha * t.sums[1].value() / rz_old;
  // p and its image plane by plane, one behind the other.
  const long n = t.size[2];
  for (long k = t.with_ghosts.low[2]; k < t.with_ghosts.high[2]; ++k) {
    kernels::direction(map, multigrid.u(), z_scale, beta, t.p, Work::plane(t.with_ghosts, k));
    if (k >= 1 && k - 1 < n) {
      kernels::apply(t.arrays, t.p, t.w.data(), Work::plane(t.local, k - 1), t.partial[0].data(), nullptr);
    }
  }
  if (t.with_ghosts.high[2] == n) {
    kernels::apply(t.arrays, t.p, t.w.data(), Work::plane(t.local, n - 1), t.partial[0].data(), nullptr);
  }
  if (coupling_) {
    t.take_direction(t.natural.data());
    coupling_->subtract(t.natural.data(), t.w.data());
    kernels::dot(t.size, t.natural.data(), t.w.data(), t.partial[0].data());
  }
  const double pw = norm2_of(1);
  if (!std::isfinite(pw) || !std::isfinite(t.rz)) return broken;
  if (!(pw > 0) || !(t.rz > 0)) return indefinite;
  t.alpha = t.rz / pw;
  return std::isfinite(t.alpha) ? nullptr : broken;
}

/// The same of truncated conjugate residuals.
const char* EllipticSolver::conjugate_residual(double z_scale) {
  Work& t = *work_;
  const Multigrid& multigrid = *preconditioner_.multigrid();
  if (t.fresh) {
    t.have = t.next = 0;
    t.directions.resize(Work::kept);
    t.images.resize(Work::kept);
  } else {  // the last direction is kept once another is needed
    t.squares[t.next] = t.ww;
    t.images[t.next] = t.w;
    t.directions[t.next].resize(t.count);
    t.take_direction(t.directions[t.next].data());
    t.next = (t.next + 1) % Work::kept;
    t.have = std::min(t.have + 1, Work::kept);
  }
  kernels::direction(multigrid.colours(), multigrid.u(), z_scale, 0.0, t.p, t.with_ghosts);
  const bool fused = t.have == 0 && !coupling_;
  kernels::apply(t.arrays, t.p, t.w.data(), t.local, nullptr, fused ? t.partial[0].data() : nullptr);
  if (coupling_) {
    t.take_direction(t.natural.data());
    coupling_->subtract(t.natural.data(), t.w.data());
  }
  if (t.have > 0) {
    for (std::size_t i = 0; i < t.have; ++i) {
      kernels::dot(t.size, t.w.data(), t.images[i].data(), t.partial[0].data());
      t.sums[i].clear();
      t.sums[i].add(t.partial[0]);
    }
    ExactSum::reduce(grid_->comm(), {t.sums.data(), t.have});
    for (std::size_t i = 0; i < t.have; ++i) {
      const double share = -t.sums[i].value() / t.squares[i];
      kernels::add(t.count, share, t.images[i].data(), t.w.data());
      for (long row = 0; row < t.size[1] * t.size[2]; ++row) {
        kernels::add(static_cast<std::size_t>(t.size[0]), share, t.directions[i].data() + row * t.size[0],
                     t.p.at(row % t.size[1], row / t.size[1]));
      }
    }
  }
  if (!fused) kernels::dot(t.size, t.w.data(), t.w.data(), t.partial[0].data());
  kernels::dot(t.size, t.w.data(), t.r.data(), t.partial[1].data());
  t.ww = norm2_of(2);
  t.alpha = t.sums[1].value() / t.ww;
  return t.ww > 0 && std::isfinite(t.alpha) ? nullptr : broken;
}

/// Our own Krylov methods to a 2-norm of the true residual of `target`.
SolveReport EllipticSolver::iterate(const double* f, double* u, double target, int most) {
  Work& t = *work_;
  Multigrid& multigrid = *preconditioner_.multigrid();
  const auto& map = multigrid.colours();
  const auto cells = static_cast<double>(grid_->global_cells());
  const bool gradients = symmetric();
  SolveReport report;
  const bool from_zero =
      max_over(grid_->comm(), std::any_of(u, u + t.count, [](double v) { return v != 0; }) ? 1.0 : 0.0) == 0;
  double rr = start_residual(f, u, from_zero)[0];
  const double first = std::sqrt(rr);
  double last_true = std::numeric_limits<double>::infinity();
  while (true) {
    double norm = std::sqrt(rr);
    report.residual = norm;
    if (!std::isfinite(norm)) {
      report.reason = "the residual is not finite";
      return report;
    }
    if (norm <= target) {
      report.converged = true;
      return report;
    }
    if (report.iterations >= most) {
      report.reason = "not converged in " + std::to_string(most) + " iterations";
      return report;
    }
    if (!(norm < 0.9 * last_true)) {
      report.reason = stagnates;
      return report;
    }
    last_true = norm;
    double scaling = normalising(norm / std::sqrt(cells));
    kernels::load(map, t.r.data(), scaling, multigrid.f());
    t.fresh = true;
    while (norm > target && report.iterations < most) {
      multigrid.cycle();
      const double z_scale = multigrid.scale() / scaling;
      const char* trouble = gradients ? conjugate_gradient(z_scale) : conjugate_residual(z_scale);
      if (trouble) {
        report.reason = trouble;
        break;
      }
      t.fresh = false;
      scaling = normalising(norm / std::sqrt(cells));
      kernels::update(map, t.alpha, t.p, t.w.data(), u, t.r.data(), scaling, multigrid.f(), t.local,
                      t.partial[0].data());
      rr = norm2_of(1);
      norm = std::sqrt(rr);
      ++report.iterations;
      report_iteration(report.iterations, norm);
      if (automatic_ && hopeless(report.iterations, first, norm, target)) {
        report.reason = slow;
        break;
      }
    }
    if (report.reason.empty() && no_drift(report.iterations, first, target) && norm <= target) continue;
    // The recurrence drifts from the truth by rounding: what counts is the residual itself.
    const double recurrence = norm;
    rr = start_residual(f, u, false)[0];
    report.residual = std::sqrt(rr);
    if (!report.reason.empty()) {
      report.converged = report.residual <= target;
      return report;
    }
    if (recurrence > target) last_true = std::numeric_limits<double>::infinity();
  }
}

SolveReport EllipticSolver::library(Vec f, Vec u, double target, int most) {
  if (!library_) {
    const auto cells = static_cast<PetscInt>(grid_->local_cells());
    petsc(MatCreateShell(grid_->comm(), cells, cells, PETSC_DETERMINE, PETSC_DETERMINE, this, shell_.out()));
    const auto multiply = [](Mat matrix, Vec in, Vec out) -> PetscErrorCode {
      void* context = nullptr;
      (void)MatShellGetContext(matrix, &context);
      return guarded([&] {
        const auto* self = static_cast<EllipticSolver*>(context);
        self->op_->apply(in, out);
        if (!self->coupling_) return;
        const ReadAccess values(in);
        const WriteAccess result(out);
        self->coupling_->subtract(values.data(), result.data());
      });
    };
    using Multiply = PetscErrorCode (*)(Mat, Vec, Vec);
    petsc(MatShellSetOperation(shell_.get(), MATOP_MULT,
                               reinterpret_cast<void (*)(void)>(static_cast<Multiply>(multiply))));
    petsc(KSPCreate(grid_->comm(), library_.out()));
    petsc(KSPSetOptionsPrefix(library_.get(), prefix_.c_str()));
    petsc(KSPSetOperators(library_.get(), shell_.get(), shell_.get()));
    PC pc = nullptr;
    petsc(KSPGetPC(library_.get(), &pc));
    petsc(PCSetType(pc, PCSHELL));
    petsc(PCShellSetContext(pc, this));
    petsc(PCShellSetApply(pc, [](PC shell, Vec in, Vec out) -> PetscErrorCode {
      void* context = nullptr;
      (void)PCShellGetContext(shell, &context);
      const auto* self = static_cast<const EllipticSolver*>(context);
      return guarded([&] { (self->stay_algebraic_ > 0 ? *self->algebraic_ : self->preconditioner_).apply(in, out); });
    }));
    petsc(KSPSetInitialGuessNonzero(library_.get(), PETSC_TRUE));
  }
  if (symmetric()) {
    petsc(KSPSetType(library_.get(), KSPFCG));
    petsc(KSPSetPCSide(library_.get(), PC_LEFT));
    petsc(KSPSetNormType(library_.get(), KSP_NORM_UNPRECONDITIONED));
  } else {
    petsc(KSPSetType(library_.get(), KSPFGMRES));
    petsc(KSPSetPCSide(library_.get(), PC_RIGHT));
  }
  petsc(KSPSetFromOptions(library_.get()));
  if (singular_ && symmetric()) {
    NullSpaceHandle constants;
    petsc(MatNullSpaceCreate(grid_->comm(), PETSC_TRUE, 0, nullptr, constants.out()));
    petsc(MatSetNullSpace(shell_.get(), constants.get()));
  } else {
    petsc(MatSetNullSpace(shell_.get(), nullptr));
  }
  SolveReport report;
  const auto true_residual = [&] {
    const ReadAccess b(f), x(u);
    return std::sqrt(start_residual(b.data(), x.data(), false)[0]);
  };
  // What PETSc calls converged is checked against the residual itself.
  double last = std::numeric_limits<double>::infinity();
  report.residual = true_residual();
  while (report.residual > target && report.iterations < most && report.residual < 0.5 * last) {
    last = report.residual;
    petsc(KSPSetTolerances(library_.get(), 1e-50, 0.9 * target, 1e10, most - report.iterations));
    petsc(KSPSolve(library_.get(), f, u));
    PetscInt iterations = 0;
    petsc(KSPGetIterationNumber(library_.get(), &iterations));
    KSPConvergedReason reason = KSP_CONVERGED_ITERATING;
    petsc(KSPGetConvergedReason(library_.get(), &reason));
    report.iterations += static_cast<int>(iterations);
    report.residual = true_residual();
    report.reason = KSPConvergedReasons[reason];
  }
  report.converged = report.residual <= target;
  if (report.converged) {
    report.reason.clear();
  } else if (!std::isfinite(report.residual)) {
    report.reason = "the residual is not finite";
  } else if (report.iterations >= most) {
    report.reason = "not converged in " + std::to_string(most) + " iterations";
  } else if (report.reason.empty() || report.reason.rfind("CONVERGED", 0) == 0) {
    report.reason = stagnates;
  }
  return report;
}

void EllipticSolver::precondition(Vec in, Vec out) const {
  (stay_algebraic_ > 0 ? *algebraic_ : preconditioner_).apply(in, out);
}

void EllipticSolver::use_algebraic() {
  if (!algebraic_) algebraic_ = std::make_unique<CellPreconditioner>(*grid_, prefix_, PreconditionerKind::boomeramg);
  algebraic_->set(*op_);
  stay_algebraic_ = 10;
}

/// One solve to a 2-norm of the true residual of `target`, by algebraic multigrid where our own does not serve.
SolveReport EllipticSolver::attempt(Vec f, Vec u, double target, int most) {
  if (stay_algebraic_ > 0 || !multigrid()) return library(f, u, target, most);
  SolveReport report;
  const auto own = [&](int budget) {
    const ReadAccess b(f);
    const WriteAccess x(u);
    return iterate(b.data(), x.data(), target, budget);
  };
  const auto in_vain = [&] {
    return !report.converged && (report.reason == slow || report.reason == indefinite || report.reason == broken);
  };
  report = own(most);
  if (in_vain() && !fresh_) {  // the hierarchy is that of an earlier operator
    preconditioner_.set(*op_);
    built_ = fresh_ = true;
    built_symmetric_ = op_->symmetric();
    const int before = report.iterations;
    report = own(std::max(0, most - before));
    report.iterations += before;
  }
  if (!in_vain() || !automatic_) return report;
  use_algebraic();
  const int before = report.iterations;
  report = library(f, u, target, std::max(1, most - before));
  report.iterations += before;
  report.changed = true;
  return report;
}

/// 2-norm of the true residual with each row over its own diagonal entry.
double EllipticSolver::row_residual(Vec f, Vec u) {
  Work& t = *work_;
  {
    const ReadAccess b(f), x(u);
    (void)start_residual(b.data(), x.data(), false);
  }
  op_->full_diagonal(t.w.data());
  for (std::size_t c = 0; c < t.count; ++c) t.w[c] = t.w[c] == 0 ? 0.0 : t.r[c] / t.w[c];
  kernels::dot(t.size, t.w.data(), t.w.data(), t.partial[0].data());
  return std::sqrt(norm2_of(1));
}

SolveReport EllipticSolver::solve(Vec f, Vec u, const Stop& stop) {
  Work& t = *work_;
  const auto cells = static_cast<double>(grid_->global_cells());
  const int most = std::min(stop.max_iterations, most_iterations_);
  SolveReport report;
  look();
  const bool singular = singular_;
  double norm_f = 0, sum_f = 0, orphaned = 0;
  {
    const ReadAccess b(f);
    if (stop.measure == Stop::Measure::relative || singular) {
      kernels::dot(t.size, b.data(), b.data(), t.partial[0].data());
      norm_f = std::sqrt(norm2_of(1));
      if (singular) sum_f = exact_sum_over(grid_->comm(), {b.data(), t.count});
    }
    if (empty_rows_ > 0) {
      op_->full_diagonal(t.w.data());
      for (std::size_t c = 0; c < t.count; ++c) orphaned += t.w[c] == 0 && b[c] != 0 ? 1 : 0;
      orphaned = sum_over(grid_->comm(), orphaned);
    }
  }
  double unit = stop.measure == Stop::Measure::relative   ? norm_f
                : stop.measure == Stop::Measure::absolute ? 1.0
                                                          : diagonal_rms() * stop.scale * std::sqrt(cells);
  double target = stop.tolerance * unit;
  const auto number = [](double value) {
    std::ostringstream out;
    out << value;
    return out.str();
  };
  if (!std::isfinite(norm_f)) {
    report.residual = norm_f;
    report.reason = "the right-hand side is not finite";
    return report;
  }
  if (orphaned > 0) {
    report.residual = std::numeric_limits<double>::infinity();
    report.reason =
        "singular: " + number(orphaned) + " cells have a source but neither a neighbour, a wall nor a reaction";
    return report;
  }
  if (std::abs(sum_f) / std::sqrt(cells) > 0.5 * target && sum_f != 0) {
    report.residual = std::abs(sum_f) / std::sqrt(cells) / (unit > 0 ? unit : 1);
    report.reason = "singular and not balanced: no wall and no reaction takes up the sum of the right-hand side, " +
                    number(sum_f) + " (2-norm " + number(norm_f) + "); let a wall be open or balance the sources";
    return report;
  }
  if (norm_f == 0 && stop.measure == Stop::Measure::relative) {
    petsc(VecSet(u, 0.0));
    std::fill(t.r.begin(), t.r.end(), 0.0);
    report.converged = true;
    return report;
  }
  report = attempt(f, u, target, most);
  if (stop.measure == Stop::Measure::rows) {
    // The methods look at the plain norm: it is lowered until each row has come down by itself.
    const double allowed = stop.tolerance * stop.scale * std::sqrt(cells);
    double by_rows = row_residual(f, u);
    for (int round = 0; round < 8 && report.converged && by_rows > allowed && report.iterations < most; ++round) {
      target *= std::min(0.1, 0.5 * allowed / by_rows);
      const SolveReport more = attempt(f, u, target, most - report.iterations);
      report.iterations += more.iterations;
      report.changed = report.changed || more.changed;
      report.converged = more.converged;
      report.reason = more.reason;
      by_rows = row_residual(f, u);
    }
    report.converged = by_rows <= allowed;
    if (report.converged) report.reason.clear();
    report.residual = by_rows;
    unit = stop.scale * std::sqrt(cells);
  }
  if (report.converged && op_->symmetric() && singular) {
    const WriteAccess x(u);
    const double mean = exact_sum_over(grid_->comm(), {x.data(), t.count}) / cells;
    for (std::size_t c = 0; c < t.count; ++c) x[c] -= mean;
  }
  if (unit > 0) report.residual /= unit;
  return report;
}

}  // namespace sanctuary
