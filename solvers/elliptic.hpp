#pragma once
#include <memory>
#include <string>

#include "solvers/operator.hpp"

namespace sanctuary {

/// One cheap approximate inverse of a CellOperator, for use inside a Krylov method. This version runs one symmetric
/// V-cycle of hypre's PFMG (without hypre: one of GAMG). Options prefix: `<prefix>cells_`.
class CellPreconditioner {
 public:
  CellPreconditioner(const Grid& grid, const std::string& prefix);
  /// Takes new coefficients. Collective.
  void set(const CellOperator& op);
  /// out = approximate inverse of the operator times in. Collective.
  void apply(Vec in, Vec out) const;

 private:
  DmHandle dm_;
  MatHandle matrix_;
  KspHandle ksp_;
};

/// What a linear solve did.
struct SolveReport {
  bool converged = false;
  int iterations = 0;
  double residual = 0;  ///< 2-norm of the true residual in the measure that was asked for
  std::string reason;
};

/// When a solve is done.
struct Stop {
  enum class Measure {
    relative,  ///< 2-norm of the true residual over that of the right-hand side
    scaled,    ///< 2-norm of the true residual over rms(diagonal) x scale x sqrt(cells)
  };
  double tolerance = 1e-8;
  Measure measure = Measure::relative;
  double scale = 1;  ///< typical value of the unknown, for `scaled`
  int max_iterations = 500;
};

/// Cells coupled with unknowns of a network: [A B; C N] [cells; network] = [f; g], where A is a CellOperator, N a
/// sparse matrix that is factorised (it is small beside A), B and C the exchange between them. Solved for the cells by
/// a Krylov method on the Schur complement A - B N^-1 C, preconditioned by a V-cycle on A (the exchange's diagonal
/// belongs into A); the network follows exactly. CG where the whole is symmetric, right-preconditioned GMRES else.
/// Options prefixes: `<prefix>` (the Krylov method), `<prefix>network_`, `<prefix>cells_`.
class CoupledSolver {
 public:
  /// `network_unknowns`: owned by this rank; zero on all ranks: no network. Collective.
  CoupledSolver(const Grid& grid, PetscInt network_unknowns, const std::string& prefix, bool symmetric);
  CoupledSolver(const CoupledSolver&) = delete;
  CoupledSolver& operator=(const CoupledSolver&) = delete;

  /// Takes new coefficients; `op` is borrowed until the next call. Null matrices where there is no network.
  /// `rebuild` = false keeps the preconditioner of the cells (the solution is the same, the iterations may be more).
  void set(const CellOperator& op, Mat network, Mat to_cells, Mat from_cells, bool rebuild = true);
  /// Solves to a true residual of `tolerance` x rms(diagonal of A) x scale x sqrt(cells), where `scale` is a typical
  /// value of the unknown; starts from `cells`. Not converged: the report says so. Collective.
  [[nodiscard]] SolveReport solve(Vec cells_rhs, Vec network_rhs, double scale, double tolerance, Vec cells,
                                  Vec network);
  /// out = A cells + B network, and C cells + N network. Collective.
  void apply(Vec cells, Vec network, Vec cells_out, Vec network_out) const;
  /// 2-norms of the residual of cells and network, each over rms(diagonal) x scale x sqrt(unknowns). Collective.
  [[nodiscard]] std::array<double, 2> scaled_residual(Vec cells_rhs, Vec network_rhs, double scale, Vec cells,
                                                      Vec network) const;
  /// A new vector of network unknowns, zero. Collective.
  [[nodiscard]] VecHandle network_vector() const;
  [[nodiscard]] bool has_network() const { return has_network_; }

 private:
  static PetscErrorCode schur_apply(Mat matrix, Vec in, Vec out);
  static PetscErrorCode precondition(PC pc, Vec in, Vec out);
  void solve_network(Vec rhs, Vec out) const;

  const Grid* grid_;
  bool has_network_ = false;
  PetscInt network_unknowns_ = 0;
  const CellOperator* op_ = nullptr;
  Mat network_ = nullptr, to_cells_ = nullptr, from_cells_ = nullptr;  // borrowed
  double diagonal_rms_ = 1;
  CellPreconditioner preconditioner_;
  MatHandle schur_;
  KspHandle krylov_, network_ksp_;
  VecHandle rhs_, work_cells_, work_network_, network_solution_;
};

/// A u = f for one CellOperator, symmetric or not.
class EllipticSolver {
 public:
  EllipticSolver(const Grid& grid, std::string prefix);
  /// Takes new coefficients; `op` is borrowed until the next call. `rebuild` = false keeps the preconditioner (the
  /// solution is the same, the iterations may be more). Collective.
  void set(const CellOperator& op, bool rebuild = true);
  /// Solves from the start value in `u`. Not converged: the report says why and `u` is the best iterate. Collective.
  [[nodiscard]] SolveReport solve(Vec f, Vec u, const Stop& stop);
  [[nodiscard]] const CellOperator& op() const { return *op_; }

 private:
  const Grid* grid_;
  std::string prefix_;
  const CellOperator* op_ = nullptr;
  std::unique_ptr<CoupledSolver> krylov_;
  bool krylov_symmetric_ = true;
};

}  // namespace sanctuary
