#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sanctuary {

/// A species and how many of it one event of a reaction takes or gives.
struct Participant {
  std::size_t species = 0;
  int count = 1;
};

/// Replaces the factor of one species in a rate by x^power / (half^power + x^power): Michaelis-Menten for power 1, Hill
/// above. The species may be a reactant (saturable conversion) or not (regulation).
struct Saturation {
  std::size_t species = 0;
  double half = 1;   ///< concentration of half the maximal rate; above 0
  double power = 1;  ///< at least 1
};

/// One reaction, events per volume and time = rate x cell rate x product of the reactants' concentrations, each to the
/// power of its count (two factors at most); no reactants: a source; no products: a sink; a catalyst stands on both
/// sides. The reverse reaction takes the products in the same way.
struct Reaction {
  std::vector<Participant> reactants = {}, products = {};
  double rate = 0;                                    ///< [concentration^(1 - order) / time]
  double reverse_rate = 0;                            ///< 0: irreversible
  std::optional<std::size_t> cell_rate = {};          ///< number of the array that multiplies `rate` cell by cell
  std::optional<std::size_t> cell_reverse_rate = {};  ///< the same for `reverse_rate`
  std::optional<Saturation> saturation = {};          ///< of the forward rate
};

/// Species and reactions as data. Concentrations are in any one unit.
struct ReactionNetwork {
  struct Species {
    std::string name;
    double scale = 1;  ///< a typical concentration: sets the floor of the error tolerance; above 0
  };
  std::vector<Species> species;
  std::vector<Reaction> reactions;

  /// Number of the species of that name. Throws InputError when there is none.
  [[nodiscard]] std::size_t number_of(std::string_view name) const;
};

/// How closely a step is followed.
struct KineticsControl {
  double relative_tolerance = 1e-4;  ///< of the error of a sub-step
  double floor = 1e-4;               ///< concentrations below floor x scale are held to the error at floor x scale
  int max_substeps = 1000;           ///< tries of a cell under error control in one step; 1: one step as it is
};

/// What a step did.
struct KineticsReport {
  std::size_t cells = 0;
  long substeps = 0;         ///< accepted, of all cells
  long most_substeps = 0;    ///< accepted, of the cell that needed most
  long rejected = 0;         ///< tried again with a smaller sub-step, of all cells
  long iterations = 0;       ///< of Newton's method, of all cells
  long blended_cells = 0;    ///< cells in which the first-order step had a share
  double blended_share = 0;  ///< share of the first-order step, mean over cells and time
  long uncontrolled = 0;     ///< cells whose error control ended at `max_substeps` (never where that is 1)
  long unfinished = 0;       ///< cells left at an earlier time of the step because no stage equation could be solved
  long refused = 0;          ///< cells left as they were: a concentration or cell rate was negative or not finite
  double error = 0;          ///< largest estimated error of a sub-step over the tolerance
  /// True when every cell came to the end of the step within the tolerance (with max_substeps = 1: came to the end).
  [[nodiscard]] bool converged() const { return uncontrolled == 0 && unfinished == 0 && refused == 0; }
};

/// Advances reactions in many cells, each cell on its own, many cells at a time in the lanes of vector instructions.
///
/// A step is SDIRK2 (Alexander 1977, SIAM J Numer Anal 14:1006; second order, L-stable) for the extents of a set of
/// independent reactions, the fastest ones that span all others: concentrations = start + integers x extents, so that
/// every linear invariant is kept whatever the rates and however rough the solution, and fast cycles cancel exactly.
/// Where the result is negative it is blended, in extents, with the positive implicit Euler step, as little as needed.
/// Error estimate as in TransportSolver, damped by the stage matrix (Hosea and Shampine 1996, Appl Numer Math 20:21);
/// each cell takes its own sub-steps. A cell's result does not depend on the other cells. No function is collective.
class KineticsSolver {
 public:
  /// Memory does not grow with the number of cells. Throws InputError for a rate that is negative or not finite, more
  /// than two factors in a rate, a species number out of range, a saturation or a tolerance that makes no sense.
  KineticsSolver(const ReactionNetwork& network, std::size_t cells, const KineticsControl& control = {});
  KineticsSolver(KineticsSolver&&) noexcept;
  KineticsSolver& operator=(KineticsSolver&&) noexcept;
  ~KineticsSolver();

  /// Advances all cells by dt. `state`: one array of `cells` concentrations per species; `cell_rates`: one array per
  /// number used by the network; `error`, when given: per cell the largest estimated error of a sub-step over the
  /// tolerance. Nothing is allocated.
  [[nodiscard]] KineticsReport advance(double dt, std::span<double* const> state,
                                       std::span<const double* const> cell_rates = {}, std::span<double> error = {});

  /// Basis of the linear invariants: sum over species of weight x concentration does not change. Whole numbers without
  /// common divisor, negative ones only where the elimination finds no better. Shape [invariant][species].
  [[nodiscard]] const std::vector<std::vector<std::int64_t>>& invariants() const;
  /// Number of independent reactions: unknowns of a stage equation.
  [[nodiscard]] std::size_t independent_reactions() const;
  [[nodiscard]] std::size_t cells() const { return cells_; }

 private:
  struct Kernel;
  std::unique_ptr<Kernel> kernel_;
  std::size_t cells_ = 0;
};

}  // namespace sanctuary
