#pragma once
#include <limits>
#include <memory>
#include <span>
#include <string>

#include "solvers/multigrid.hpp"
#include "solvers/operator.hpp"

namespace sanctuary {

/// What stands in for the inverse of a CellOperator inside a Krylov method.
enum class PreconditionerKind { multigrid, pfmg, boomeramg, gamg };

/// One cheap approximate inverse of a CellOperator, for use inside a flexible Krylov method: our own multigrid, or by
/// the option `-<prefix>preconditioner` pfmg, boomeramg (of hypre) or gamg, to compare. Their options prefix:
/// `<prefix>cells_`.
class CellPreconditioner {
 public:
  CellPreconditioner(const Grid& grid, const std::string& prefix);
  CellPreconditioner(const Grid& grid, const std::string& prefix, PreconditionerKind kind);
  /// Takes new coefficients. Collective.
  void set(const CellOperator& op);
  /// out = approximate inverse of the operator times in. Collective.
  void apply(Vec in, Vec out) const;
  [[nodiscard]] PreconditionerKind kind() const { return kind_; }
  /// Our own multigrid; null with another kind.
  [[nodiscard]] Multigrid* multigrid() const { return multigrid_.get(); }

 private:
  PreconditionerKind kind_;
  std::unique_ptr<Multigrid> multigrid_;
  DmHandle dm_;
  MatHandle matrix_;
  KspHandle ksp_;
};

/// What a linear solve did.
struct SolveReport {
  bool converged = false;
  int iterations = 0;
  double residual = 0;   ///< 2-norm of the true residual in the measure that was asked for
  bool changed = false;  ///< the multigrid was too slow and algebraic multigrid took over
  std::string reason;    ///< why it did not converge
};

/// When a solve is done.
struct Stop {
  enum class Measure {
    relative,  ///< 2-norm of the true residual over that of the right-hand side
    scaled,    ///< 2-norm of the true residual over rms(diagonal) x scale x sqrt(cells)
    absolute,  ///< 2-norm of the true residual
    rows,      ///< 2-norm of the true residual, each row over its own diagonal entry, over scale x sqrt(cells): where
               ///< diagonal entries differ by 1e6 `scaled` says little about rows of small ones
  };
  double tolerance = 1e-8;
  Measure measure = Measure::relative;
  double scale = 1;  ///< typical value of the unknown, for `scaled` and `rows`
  int max_iterations = 500;
};

/// A further part of a system on the cells, beside its CellOperator.
class CellCoupling {
 public:
  virtual ~CellCoupling() = default;
  /// out -= K in on the owned cells. Collective.
  void subtract(const double* in, double* out) const { subtract_impl(in, out); }

 private:
  virtual void subtract_impl(const double* in, double* out) const = 0;
};

/// A u = f for one CellOperator: flexible conjugate gradients where it is symmetric (Notay 2000, SIAM J Sci Comput
/// 22:1444), truncated generalised conjugate residuals else (Eisenstat, Elman & Schultz 1983, SIAM J Numer Anal
/// 20:345), on the multigrid. Where that converges too slowly (contrasts beyond what its coarse grids can hold) it goes
/// on with algebraic multigrid and says so. All sums are exact, so that iterations and solution have the same digits on
/// any number of ranks (as long as x is cut at multiples of Grid::sum_unit). Options: `-<prefix>preconditioner
/// auto|multigrid|pfmg|boomeramg|gamg`, `-<prefix>view`, and as for PETSc's own `-<prefix>ksp_monitor`,
/// `-<prefix>ksp_max_it`.
class EllipticSolver {
 public:
  EllipticSolver(const Grid& grid, std::string prefix);
  EllipticSolver(const EllipticSolver&) = delete;
  EllipticSolver& operator=(const EllipticSolver&) = delete;
  ~EllipticSolver();
  /// Takes new coefficients; `op` is borrowed until the next call. `rebuild` = false keeps the preconditioner (the
  /// solution is the same, the iterations may be more). Collective.
  void set(const CellOperator& op, bool rebuild = true);
  /// From now on solves (A - K) u = f, preconditioned for A alone; null: none. Borrowed.
  void set_coupling(const CellCoupling* coupling, bool symmetric);
  /// Solves from the start value in `u`. Singular systems (closed walls, no reaction) have to balance; the solution of
  /// a symmetric one has mean zero. Not converged: the report says why and `u` is the last iterate. Collective;
  /// allocates nothing after the first call, unless it has to change the method.
  [[nodiscard]] SolveReport solve(Vec f, Vec u, const Stop& stop);
  [[nodiscard]] const CellOperator& op() const { return *op_; }
  /// out = approximate inverse of the operator times in, without the coupling: one cycle. Collective.
  void precondition(Vec in, Vec out) const;
  /// Takes algebraic multigrid from now on, as a slow solve would. Collective.
  void use_algebraic();
  /// True where algebraic multigrid is at work in place of our own.
  [[nodiscard]] bool algebraic() const { return stay_algebraic_ > 0; }
  /// Root mean square of the operator's diagonal. Collective.
  [[nodiscard]] double diagonal_rms();
  /// f - A u of the last solve on the owned cells.
  [[nodiscard]] std::span<const double> residual() const;
  /// Our own multigrid; null where an option chose another preconditioner.
  [[nodiscard]] const Multigrid* multigrid() const;
  /// Bytes held by this rank, without those of other libraries.
  [[nodiscard]] std::size_t memory() const;
  /// What it is made of, as text.
  [[nodiscard]] std::string view() const;

 private:
  struct Work;
  SolveReport iterate(const double* f, double* u, double target, int most);
  const char* conjugate_gradient(double z_scale);
  const char* conjugate_residual(double z_scale);
  SolveReport library(Vec f, Vec u, double target, int most);
  SolveReport attempt(Vec f, Vec u, double target, int most);
  double row_residual(Vec f, Vec u);
  void look();
  void report_iteration(int iteration, double norm) const;
  [[nodiscard]] bool symmetric() const { return op_->symmetric() && symmetric_coupling_; }
  std::array<double, 2> start_residual(const double* f, const double* u, bool from_zero);
  double norm2_of(std::size_t count);

  const Grid* grid_;
  std::string prefix_;
  const CellOperator* op_ = nullptr;
  const CellCoupling* coupling_ = nullptr;
  bool symmetric_coupling_ = true;
  CellPreconditioner preconditioner_;
  bool built_ = false, built_symmetric_ = true;  // our multigrid, for an operator of this structure
  bool fresh_ = false;                           // ... and for the present one
  bool looked_ = false, singular_ = false;
  double empty_rows_ = 0;
  bool monitor_ = false;
  int most_iterations_ = std::numeric_limits<int>::max();
  bool automatic_ = true;     // may change to algebraic multigrid
  int stay_algebraic_ = 0;    // set-ups for which the change holds
  double diagonal_rms_ = -1;  // negative: not known yet
  std::unique_ptr<CellPreconditioner> algebraic_;
  KspHandle library_;
  MatHandle shell_;
  std::unique_ptr<Work> work_;
};

}  // namespace sanctuary
