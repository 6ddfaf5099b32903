#pragma once
#include <mpi.h>

#include <array>
#include <span>
#include <vector>

#include "outcomes/regions.hpp"

namespace sanctuary {

/// Hazards and shares from which the sanctuaries of one drug and cycle are found (docs/model.md). Per owned cell of the
/// grid, phases cycling and quiescent.
struct SanctuaryInput {
  std::span<const double> hazard_cycling, hazard_quiescent;  ///< cumulated on the local exposure
  std::span<const double> cycling_share;                     ///< w of the cells here at cycle start
  std::span<const double> viable_density;                    ///< at cycle start [1/m^3]
  std::span<const double> viable_fraction;                   ///< volume fraction of viable tumour at cycle start
  std::array<double, 2> reference_hazard{};                  ///< of the reference exposure (unbound plasma)
  double reference_cycling_share = 0;                        ///< of the reference cell
  CellBox box = {};         ///< where the cells lie; all zero: regions are not looked for
  double least_region = 0;  ///< regions under this volume are dropped [m^3]
  double viable_mask = 0.05;
  double cell_volume = 0;  ///< of a cell of the grid [m^3]
};

/// Part of the tumour: volume [m^3] and share of the viable cells at cycle start.
struct Part {
  double volume = 0, share = 0;
};

/// Sanctuaries S1 (local log kill under the threshold), S2 (the same with the reference cell: delivery) and S4 (the
/// same with the reference exposure: protection), and the split of S1.
struct Sanctuary {
  double reference_log_kill = 0;  ///< L_ref
  double threshold = 0;           ///< Theta = min(1, L_ref / 2)
  bool threshold_relative = false;
  bool direct_effect = true;  ///< false if L_ref < 0.1: then no part is reported
  Part s1, s2, s4;
  Part delivery, protection, both, joint;  ///< these four split S1
  Part rescued;                            ///< S2 or S4 without S1
  Part mask;                               ///< all that counts
  std::array<Part, 3> robustness;          ///< S1 at half, once and twice the threshold
  Part dropped;                            ///< S1 in regions too small to count
  long regions = 0;                        ///< connected regions of S1 that count
  double largest_region = 0;               ///< volume of the largest [m^3]
  std::vector<double> log_kill;            ///< L_loc of each owned cell (0 outside the mask)
  std::vector<int> label;                  ///< 1 (S1) + 2 (S2) + 4 (S4); -1 outside the mask
};

/// Finds the sanctuaries. Collective.
[[nodiscard]] Sanctuary find_sanctuary(MPI_Comm comm, const SanctuaryInput& input);

/// log10 kill of a mix: -log10(w exp(-K_c) + (1 - w) exp(-K_q)), without overflow for large hazards.
[[nodiscard]] double log_kill(double cycling_share, double hazard_cycling, double hazard_quiescent);

}  // namespace sanctuary
