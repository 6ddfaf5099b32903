#pragma once
#include <array>
#include <memory>
#include <string>

#include "solvers/elliptic.hpp"
#include "solvers/network_inverse.hpp"

namespace sanctuary {

/// The blocks of a CoupledSolver beside A, borrowed; null where there is no network.
struct NetworkBlocks {
  Mat network = nullptr;        ///< N
  Mat to_cells = nullptr;       ///< B
  Mat from_cells = nullptr;     ///< C
  Mat between_cells = nullptr;  ///< X; null: zero
  Mat alone = nullptr;          ///< N as if each vessel were alone, which large networks are preconditioned by; null: N
};

/// Cells coupled with unknowns of a network: [A + X, B; C, N] [cells; network] = [f; g], where A is a CellOperator, N a
/// sparse matrix, B and C the exchange between them, X what the exchange adds between cells beyond the diagonal that
/// stands in A.
/// A small network is factorised: EllipticSolver solves for the cells on the Schur complement A + X - B N^-1 C,
/// preconditioned for A, and the network follows exactly. A large one is solved together with the cells: flexible
/// conjugate gradients or, where the system is not symmetric, generalised conjugate residuals truncated to a
/// few directions, on both, each row scaled by the root of its diagonal on both sides, preconditioned by block
/// Gauss-Seidel (network, cells, network) and refined until the true residual of either block is met. The cells are
/// preconditioned for A less what the network gives back there: a cell that offers more gets some of it back from
/// vessels that flow slowly, and nothing from those that flow fast. It is taken from the Schur complement on waves of
/// the length at which diffusion and exchange balance, so that exchange far above uptake costs few iterations.
/// Options prefixes: `<prefix>` (the cells), `<prefix>network_` (the factors), `<prefix>coupled_` (the conjugate
/// gradients on both); options `-<prefix>network_solver auto|direct|iterative`, `-<prefix>coupled_directions N` (20).
class CoupledSolver : private CellCoupling {
 public:
  /// Unknowns of the network over all ranks up to which it is factorised: those of a symmetric system, and of others,
  /// which vessels near by couple to each other: their factors fill in.
  static constexpr double symmetric_direct_limit = 2e5, direct_limit = 1e3;

  /// `network_unknowns`: owned by this rank; zero on all ranks: no network. `inverse`: of N, for large networks;
  /// borrowed; null: a FlowSweep. Collective.
  CoupledSolver(const Grid& grid, PetscInt network_unknowns, const std::string& prefix, bool symmetric,
                NetworkInverse* inverse = nullptr);
  ~CoupledSolver() override;
  CoupledSolver(const CoupledSolver&) = delete;
  CoupledSolver& operator=(const CoupledSolver&) = delete;

  /// Takes new coefficients; all is borrowed until the next call. `rebuild` = false keeps the preconditioner of the
  /// cells (the solution is the same, the iterations may be more). Collective.
  void set(const CellOperator& op, const NetworkBlocks& blocks = {}, bool rebuild = true);
  /// Solves to a true residual of `tolerance` x rms(diagonal of A) x scale x sqrt(cells), where `scale` is a typical
  /// value of the unknown; starts from `cells`. Where both are solved together it starts from `network`, too, whose
  /// residual then meets `tolerance` as scaled_residual measures it, or by the root mean square of its values where
  /// that is more than `scale`. Not converged: the report says so. Collective.
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
  /// What one iteration moves from and to memory on this rank if nothing stays in cache, of all that it sweeps over
  /// [bytes]; zero unless both are solved together.
  [[nodiscard]] double bytes_per_iteration() const;
  /// True where cells and network are solved together.
  [[nodiscard]] bool iterative() const { return iterative_; }

 private:
  void subtract_impl(const double* in, double* out) const override;
  void solve_network(Vec rhs, Vec out) const;
  void create_direct(const std::string& prefix);
  void create_iterative(const std::string& prefix);
  void set_together(bool rebuild);
  [[nodiscard]] double balanced_wave() const;
  [[nodiscard]] std::vector<double> given_back(double wave) const;
  [[nodiscard]] SolveReport solve_together(Vec cells_rhs, Vec network_rhs, double scale, double tolerance, Vec cells,
                                           Vec network);

  struct Together;
  const Grid* grid_;
  bool symmetric_ = false, has_network_ = false, iterative_ = false;
  PetscInt network_unknowns_ = 0;
  const CellOperator* op_ = nullptr;
  NetworkBlocks blocks_;
  double diagonal_rms_ = 0;                // of the cells
  std::unique_ptr<EllipticSolver> cells_;  // unless both are solved together
  KspHandle network_ksp_;
  PetscObjectId factored_id_ = 0;  // of the matrix that was factorised last, and of its pattern
  PetscObjectState factored_pattern_ = -1;
  VecHandle rhs_, work_cells_, borrowed_cells_, work_network_, network_solution_;
  std::unique_ptr<NetworkInverse> own_inverse_;
  NetworkInverse* inverse_ = nullptr;
  std::unique_ptr<Together> together_;
};

}  // namespace sanctuary
