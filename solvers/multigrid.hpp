#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "solvers/operator.hpp"

namespace sanctuary {

namespace kernels {
struct ColourLayout;
}

/// How a Multigrid coarsens.
struct MultigridSettings {
  /// An axis is coarsened while its mean transmissibility is at least this share of the largest.
  double coarsening_share = 0.3;
  /// A level of at most this many cells is solved exactly; at most 4096.
  long dense_cells = 96;
  /// A level on which neighbours weigh at most this share of the diagonal everywhere is the last: smoothing solves it.
  double dominated_share = 0.25;
  /// Ranks are dropped from a level until each of the others holds at least this many cells.
  long cells_per_rank = 1024;
};

/// What makes a system special.
struct OperatorLook {
  bool singular = false;  ///< no wall and no reaction takes anything up: constants are in the left null space
  double empty_rows = 0;  ///< cells without neighbour, wall or reaction
};
/// Looks at all coefficients. Collective.
[[nodiscard]] OperatorLook look_at(const CellOperator& op);

/// What one application of a Multigrid costs.
struct MultigridStatistics {
  struct Level {
    std::array<long, 3> cells{};
    int ranks = 0;
  };
  std::vector<Level> levels;
  std::size_t memory = 0;       ///< bytes held by this rank
  long messages = 0;            ///< sent by this rank in the last application
  std::size_t bytes_sent = 0;   ///< by this rank in the last application
  std::size_t bytes_moved = 0;  ///< memory traffic of one application on this rank, if nothing stayed in cache
  bool singular = false;        ///< constants are in the left null space
};

/// Approximate inverse of a CellOperator: one V-cycle in single precision, one red-black Gauss-Seidel sweep before and
/// after. Any box; axes are coarsened as long as they are strongly coupled (semi-coarsening); coarse operators are
/// discretised anew from summed transmissibilities and discharges (exponentially fitted where there is convection);
/// prolongation is trilinear between cell centres, restriction sums; coarse levels move to fewer ranks and the last is
/// solved exactly. Each cell's value is computed in the same order of operations on any number of ranks, so that the
/// result has the same digits. The preconditioner of a symmetric operator is only nearly symmetric: use a flexible
/// method.
class Multigrid {
 public:
  explicit Multigrid(const Grid& grid, const MultigridSettings& settings = {});
  Multigrid(const Multigrid&) = delete;
  Multigrid& operator=(const Multigrid&) = delete;
  ~Multigrid();

  /// Takes the coefficients of `op`, which is not kept. Memory is taken anew only when the hierarchy changes.
  /// Collective.
  void set(const CellOperator& op);
  /// out = approximate inverse of the operator times in. Collective, without allocation.
  void apply(Vec in, Vec out);
  /// Makes `pc` a PCSHELL that applies this object, which must outlive it.
  void attach(PC pc);

  [[nodiscard]] MultigridStatistics statistics() const;
  /// True where constants are in the left null space: no wall and no reaction takes anything up.
  [[nodiscard]] bool singular() const;
  /// Number of cells without neighbour, wall or reaction.
  [[nodiscard]] double empty_rows() const;
  /// Levels, ranks, memory and messages as text.
  [[nodiscard]] std::string view() const;

  /// For Krylov methods that work on colours: `f()` and `u()` are the arrays of the owned cells by colour in the order
  /// of `colours()`; the cycle's scaling is u = scale() x (inverse of A) f. `cycle` solves and fills the ghosts of `u`.
  [[nodiscard]] const kernels::ColourLayout& colours() const;
  [[nodiscard]] float* const (&f() const)[2];
  [[nodiscard]] float* const (&u() const)[2];
  [[nodiscard]] double scale() const;
  void cycle();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sanctuary
