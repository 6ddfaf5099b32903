#pragma once
#include <span>
#include <string>
#include <vector>

#include "solvers/elliptic.hpp"
#include "solvers/network/embedding.hpp"
#include "solvers/network/graph_elimination.hpp"

namespace sanctuary {

/// sum_p w_p (x_i - x_j) + s_i x_i = b_i on the nodes of a network, the sum over the pieces at node i with weight w_p
/// >= 0, s_i >= 0; values at fixed nodes are given. Nodes that few neighbours are left of (cuts, chains, blind ends,
/// branchings) are eliminated exactly and without subtraction (as Grassmann, Taksar & Heyman 1985, Oper Res 33:1107),
/// so that no contrast of weights costs digits; what is left is factorised on one rank where it is small and else
/// solved by conjugate gradients on hypre's BoomerAMG. Residuals are formed from differences and the solution is
/// refined with them until rounding. Options prefix: `<prefix>`.
class NetworkLaplacian {
 public:
  /// Borrows the network.
  NetworkLaplacian(const CutNetwork& network, std::string prefix);

  /// Takes weights of all local pieces (0: closed), s of the own nodes and which local nodes are fixed. Collective.
  void set(std::span<const double> weight, std::span<const double> excess, std::span<const char> fixed);
  /// Solves for the local nodes `x` (copies included) from the values there; `b`: of the own nodes. The solution is
  /// x + remainder: where wide and narrow vessels meet, differences of x alone hold less than the flow. Done when the
  /// 2-norm of the residual is below `tolerance` times the largest flow w |x_i - x_j| or b, or cannot fall further.
  /// Collective.
  [[nodiscard]] SolveReport solve(std::span<const double> b, std::span<double> x, std::span<double> remainder,
                                  double tolerance = 1e-13);
  /// z = approximate inverse times r on the own nodes, 0 at fixed ones: symmetric, positive, one cycle. Collective.
  void precondition(std::span<const double> r, std::span<double> z);
  /// r = b - A (x + remainder) on the own nodes, 0 at fixed ones; of the local nodes. Not collective.
  void residual(std::span<const double> b, std::span<const double> x, std::span<const double> remainder,
                std::span<double> r) const;

  /// What flows of the last solution are below is rounding.
  [[nodiscard]] double noise() const { return noise_; }
  /// Unknowns over all ranks: all, and after the elimination.
  [[nodiscard]] long unknowns() const { return unknowns_; }
  [[nodiscard]] long reduced_unknowns() const { return reduced_; }
  /// Bytes held by this rank, without those of the preconditioner.
  [[nodiscard]] std::size_t memory() const;

  /// Reduced unknowns, and those of the dense part of their factors, up to which they are solved directly.
  long direct_limit = 8000, dense_limit = 600;
  /// Neighbours up to which a node is eliminated.
  int largest_degree = 6;

 private:
  void find_pattern();
  void gather_pattern();
  void create_solver();
  void assemble();
  void solve_reduced(std::span<double> r, bool cycle, double enough, SolveReport& report);
  void solve_on_root(std::span<double> r);
  [[nodiscard]] double largest_flow(std::span<const double> x, std::span<const double> remainder) const;
  /// Weight of an edge (>= 0) or piece (-1 - p) among the nodes left.
  [[nodiscard]] double weight_of(int entry) const {
    return entry >= 0 ? local_.weight(entry) : weight_[static_cast<std::size_t>(-1 - entry)];
  }
  [[nodiscard]] long other_end(int entry, long node) const;

  const CutNetwork* network_;
  std::string prefix_;
  std::vector<double> weight_, excess_;
  std::vector<char> fixed_, open_;
  std::vector<int> offset_, piece_at_;  // pieces at own nodes
  std::vector<int> edge_of_piece_;      // -1: none between own free nodes
  std::size_t edges_ = 0;
  GraphElimination local_;               // of own nodes that touch no other rank's
  std::vector<int> kept_;                // own nodes that are left
  std::vector<long> kept_number_;        // of local nodes; -1: none
  std::vector<int> row_offset_, entry_;  // edges and pieces of the rows left
  long unknowns_ = 0, reduced_ = 0;
  double unit_ = 1, noise_ = 0;
  bool direct_ = true;
  std::vector<int> sent_;                    // edges and pieces that this rank names to rank 0
  GraphSolver root_;                         // on rank 0
  std::vector<std::vector<int>> root_edge_;  // on rank 0: of what each rank names; -1: repeated
  std::size_t root_edges_ = 0;
  double fresh_rate_ = -1, last_rate_ = 0;  // of convergence per iteration: with a new preconditioner, and now
  bool rebuild_ = true;
  MatHandle matrix_;
  KspHandle ksp_;
  VecHandle reduced_rhs_, reduced_x_;
  std::vector<double> work_;
};

}  // namespace sanctuary
