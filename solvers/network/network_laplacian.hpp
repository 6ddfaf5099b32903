#pragma once
#include <span>
#include <string>
#include <vector>

#include "solvers/elliptic.hpp"
#include "solvers/network/embedding.hpp"

namespace sanctuary {

/// sum_p w_p (x_i - x_j) + s_i x_i = b_i on the nodes of a network, the sum over the pieces at node i with weight w_p
/// >= 0, s_i >= 0; values at fixed nodes are given. Nodes that at most two neighbours are left of (cuts, chains, blind
/// ends) are eliminated exactly and without subtraction (as Grassmann, Taksar & Heyman 1985, Oper Res 33:1107), so that
/// no contrast of weights costs digits; what is left is factorised on one rank where it is small and else solved by
/// conjugate gradients on hypre's BoomerAMG. Residuals are formed from differences and the solution is refined with
/// them until rounding. Options prefix: `<prefix>`.
class NetworkLaplacian {
 public:
  /// Borrows the network.
  NetworkLaplacian(const CutNetwork& network, std::string prefix);

  /// Takes weights of all local pieces (0: closed), s of the own nodes and which local nodes are fixed. Collective.
  void set(std::span<const double> weight, std::span<const double> excess, std::span<const char> fixed);
  /// Solves for the local nodes `x` (copies included) from the values there; `b`: of the own nodes. Done when the
  /// 2-norm of the residual is below `tolerance` times the largest flow w |x_i - x_j| or b, or cannot fall further.
  /// Collective.
  [[nodiscard]] SolveReport solve(std::span<const double> b, std::span<double> x, double tolerance = 1e-13);
  /// z = approximate inverse times r on the own nodes, 0 at fixed ones: symmetric, positive, one cycle. Collective.
  void precondition(std::span<const double> r, std::span<double> z);
  /// r = b - A x on the own nodes, 0 at fixed ones; `x` of the local nodes. Not collective.
  void residual(std::span<const double> b, std::span<const double> x, std::span<double> r) const;

  /// Unknowns over all ranks: all, and after the elimination.
  [[nodiscard]] long unknowns() const { return unknowns_; }
  [[nodiscard]] long reduced_unknowns() const { return reduced_; }
  /// Bytes held by this rank, without those of the preconditioner.
  [[nodiscard]] std::size_t memory() const;

  long direct_limit = 8000;  ///< reduced unknowns up to which they are factorised

 private:
  struct Step {  // a node and the neighbours it is eliminated into; -1: none
    int node, first, second, edge_first, edge_second, edge_new;
    double share_first = 0, share_second = 0, inverse = 0;
  };
  void eliminate_symbolically();
  void eliminate();
  void assemble();
  void create_solver();
  void forward(std::span<double> r) const;
  void backward(std::span<double> x) const;
  void solve_reduced(std::span<double> r, bool cycle, SolveReport& report);
  [[nodiscard]] double largest_flow(std::span<const double> x) const;

  const CutNetwork* network_;
  std::string prefix_;
  std::vector<double> weight_, excess_;
  std::vector<char> fixed_, open_;
  std::vector<int> offset_, piece_at_;  // pieces at own nodes
  std::vector<Step> step_;
  std::vector<int> edge_of_piece_;  // -1: none between own free nodes
  std::vector<double> edge_weight_;
  std::vector<std::array<int, 2>> kept_edge_nodes_;
  std::vector<double> sum_;                  // reduced excess of own nodes
  std::vector<int> kept_;                    // own nodes that are left
  std::vector<long> kept_number_;            // of local nodes; -1: none
  std::vector<int> row_offset_, row_entry_;  // edges (>= 0) and pieces (-1 - p) of the rows left
  long unknowns_ = 0, reduced_ = 0;
  double unit_ = 1;
  bool direct_ = true;
  int fresh_iterations_ = -1, last_iterations_ = 0;
  bool rebuild_ = true;
  MatHandle matrix_;
  KspHandle ksp_;
  VecHandle reduced_rhs_, reduced_x_;
  std::vector<double> work_;
};

}  // namespace sanctuary
