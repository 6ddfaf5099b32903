#pragma once
#include <array>
#include <span>
#include <string>
#include <vector>

#include "solvers/elliptic.hpp"
#include "solvers/exact_sum.hpp"

namespace sanctuary {

/// A law of use that looks at nothing but the value in its cell: r(0) = 0, r >= 0 and r' >= 0 for u >= 0. Works on all
/// owned cells at once.
class PointwiseReaction {
 public:
  virtual ~PointwiseReaction() = default;
  /// Fills rate [amount per volume and time] and slope dr/du of every owned cell; the values are at least 0. Local.
  void evaluate(std::span<const double> values, std::span<double> rate, std::span<double> slope) const {
    evaluate_impl(values, rate, slope);
  }
  /// True where r' never grows with u: Newton's method then needs no damping.
  [[nodiscard]] bool concave() const { return concave_impl(); }

 private:
  virtual void evaluate_impl(std::span<const double> values, std::span<double> rate, std::span<double> slope) const = 0;
  [[nodiscard]] virtual bool concave_impl() const { return false; }
};

/// Michaelis-Menten use, r = sum over terms of maximum u / (half + u); below zero it goes on linearly, so that it is
/// concave everywhere.
class MichaelisMenten final : public PointwiseReaction {
 public:
  struct Term {
    double half = 1;              ///< value at half of the maximum; above 0
    std::vector<double> maximum;  ///< of each owned cell [amount per volume and time]; at least 0
  };
  /// Throws InputError on every rank when a half value or a maximum is out of its range. Collective.
  MichaelisMenten(const Grid& grid, std::vector<Term> terms);
  [[nodiscard]] std::size_t terms() const { return terms_.size(); }
  /// A term, to be changed within the ranges of the constructor.
  [[nodiscard]] Term& term(std::size_t number) { return terms_[number]; }

 private:
  void evaluate_impl(std::span<const double> values, std::span<double> rate, std::span<double> slope) const override;
  [[nodiscard]] bool concave_impl() const override { return true; }
  std::vector<Term> terms_;
};

/// What a nonlinear solve did.
struct ReactionReport {
  bool converged = false;
  int newton = 0;       ///< linear systems, those of the softened law included
  int softened = 0;     ///< of these, with the softened law
  int linear = 0;       ///< iterations of the linear solver, one V-cycle each
  int setups = 0;       ///< preconditioners built
  int evaluations = 0;  ///< of the residual
  double residual = 0;  ///< 2-norm of the residual of the values returned, in the measure that was asked for
  double reacted = 0;   ///< amount used per time in the whole box
  std::string reason;
  /// In V-cycles: a linear iteration is one, an evaluation a third (by the bytes that it moves). Set-ups are not in it.
  [[nodiscard]] double work() const { return linear + evaluations / 3.0; }
};

/// A u + V r(u) = f with V the volume of a cell: steady, or one implicit stage whose s / (a dt) stands in A's diagonal.
///
/// Newton's method, each linear system solved no further than it is worth (Eisenstat and Walker 1996, SIAM J Sci Comput
/// 17:16, second choice). Values below zero are set to zero, so that no value returned is ever negative. Where the
/// reaction is concave, f >= 0 and A is an M-matrix (every CellOperator with a diagonal of at least 0 in a flow without
/// sinks), every iterate but the first lies, up to the linear tolerance, between zero and the solution and the iterates
/// only grow: the largest of two values below the solution is below it too, so that cutting off at zero keeps the
/// order. Other reactions are damped by halving until the residual falls; there only positivity is sure.
///
/// A law that is nearly a step (half value far below the values) has a free boundary that plain Newton moves by a cell
/// or two per iteration. When the first step leaves a large residual, the law is put in series with a first-order one,
/// 1/r_s = 1/r + s / (r(U) u), and s falls from U, the largest value, until the law itself can take over. Owns its
/// scratch; borrows grid, operator and reaction. Sums are exact: the same digits on any number of ranks, as of
/// EllipticSolver. All functions are collective.
class ReactionDiffusionSolver {
 public:
  /// Options prefix of the linear solver: `prefix`.
  ReactionDiffusionSolver(const Grid& grid, const std::string& prefix);
  ReactionDiffusionSolver(const ReactionDiffusionSolver&) = delete;
  ReactionDiffusionSolver& operator=(const ReactionDiffusionSolver&) = delete;

  /// Takes operator and reaction, both borrowed until the next call; call again when the operator has changed. The
  /// diagonal of `op` is changed during a solve and given back after it. The preconditioner is built anew only when
  /// it no longer fits.
  void set(CellOperator& op, const PointwiseReaction& reaction);
  /// Solves from the start value in `u`, of which negative parts are not looked at; wall sources belong in `f`. `stop`
  /// is for the nonlinear residual (the scaled measure takes the diagonal of A without reaction), its max_iterations
  /// for each linear system. Not converged: the report says why and `u` is the last iterate. Without heap allocation
  /// after the first solve as far as the linear solver is.
  [[nodiscard]] ReactionReport solve(Vec f, Vec u, const Stop& stop);

  int max_newton = 60;

 private:
  struct Norms {
    double residual = 0, reaction = 0;
  };
  std::array<double, 3> sums_over_cells(const double* a, const double* b);
  Norms evaluate(Vec f, Vec u, double softness, ReactionReport& report);
  Norms move(Vec f, Vec u, double part, double softness, ReactionReport& report);
  void prepare_softening(double largest, ReactionReport& report);
  [[nodiscard]] bool needs_setup() const;
  SolveReport solve_linear(double tolerance, int max_iterations, ReactionReport& report);

  const Grid* grid_;
  EllipticSolver linear_;
  CellOperator* op_ = nullptr;
  const PointwiseReaction* reaction_ = nullptr;
  std::vector<double> faces_;                 // part of A's diagonal that the faces bring
  std::vector<double> built_, tangent_;       // whole diagonal as preconditioned; diagonal without faces
  std::vector<double> rate_, slope_, limit_;  // limit_: r(U) of the softened law
  std::vector<double> partial_;
  std::array<ExactSum, 3> sums_;
  double diagonal_rms_ = 0;
  bool has_setup_ = false, setup_symmetric_ = true, poor_setup_ = false;
  double digits_per_iteration_ = 1;  // of the linear solver with a new preconditioner
  VecHandle residual_, delta_, start_;
};

}  // namespace sanctuary
