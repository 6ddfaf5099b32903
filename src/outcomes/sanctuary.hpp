#pragma once
#include <mpi.h>

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "outcomes/regions.hpp"

namespace sanctuary {

/// A clone of the tumour cells: its share of the viable cells and its hazards, those of several drugs summed. Each cell
/// of the grid holds cycling and quiescent ones. Spans are of the owned cells.
struct Clone {
  std::span<const double> share;  ///< of the viable cells at cycle start, all clones together 1; empty: 1 everywhere
  std::span<const double> hazard_cycling, hazard_quiescent;  ///< cumulated on the local exposure
  std::array<double, 2> reference_hazard{};  ///< of the reference exposure (unbound plasma): cycling, quiescent
  /// The same of the reference exposure for cells in the state of those here, where that changes the hazard; empty:
  /// `reference_hazard` everywhere.
  std::span<const double> reference_here_cycling = {}, reference_here_quiescent = {};
};

/// What the sanctuaries of one drug or regimen and one cycle are found from (docs/model.md). Spans are of the owned
/// cells of the grid; those called optional may be empty, and then what needs them is not reported.
struct SanctuaryInput {
  std::vector<Clone> clones;  ///< the first is the sensitive one, that of the reference cell
  /// Hazards of the reference cell on the local exposure, where its state changes them; empty: those of the first
  /// clone.
  std::span<const double> exposed_cycling, exposed_quiescent;
  std::span<const double> cycling_share;    ///< w of the cells here at cycle start, of all clones
  std::span<const double> viable_density;   ///< at cycle start [1/m^3]
  std::span<const double> viable_fraction;  ///< volume fraction of viable tumour at cycle start
  double reference_cycling_share = 0;       ///< of the reference cell

  std::span<const double> growth;              ///< optional: net growth exponent over the cycle without drug [1]
  std::span<const double> in_s1_before;        ///< optional: share of the cells here in S1 in every earlier cycle
  std::span<const double> time_in_s1;          ///< optional: in S1 without a break before this cycle [s]
  double cycle_length = 0;                     ///< added to it [s]
  std::span<const double> distance_to_vessel;  ///< optional: to the nearest perfused vessel [m]; may be infinite
  std::span<const double> distance_to_edge;    ///< optional: to the edge of the tumour [m]; may be infinite

  CellBox box = {};                           ///< where the cells lie; all zero: regions are not looked for
  std::array<double, 3> origin{}, spacing{};  ///< of the box [m], for the centroids of regions
  double least_region = 0;                    ///< regions under this volume are dropped [m^3]
  long table_rows = 1000;                     ///< the table holds at most so many regions, the largest
  double viable_mask = 0.05;
  double cell_volume = 0;  ///< of a cell of the grid [m^3]
};

/// Part of the tumour: volume [m^3] and share of the viable cells at cycle start.
struct Part {
  double volume = 0, share = 0;
};

/// Distances [m] of the viable cells (at cycle start) of S1. Cells at an infinite distance count in `without` alone;
/// if all are, the three distances are infinite.
struct Distances {
  double mean = 0, median = 0;  ///< by viable cells; of an even number the lower of the middle two
  double largest = 0;
  double without = 0;  ///< share of the viable cells of S1 at an infinite distance
};

/// Unbroken time in S1, this cycle included [s].
struct Duration {
  double mean = 0;  ///< by viable cells of S1
  double longest = 0;
};

/// A connected region of S1. Not a number: the input it needs was not given.
struct SanctuaryRegion {
  long first_cell = 0;                  ///< smallest number of its cells in the box, x fastest
  double volume = 0;                    ///< [m^3]
  double viable = 0;                    ///< viable cells at cycle start
  double share = 0;                     ///< of the viable cells of the tumour at cycle start
  double surviving = 0;                 ///< cells that the drug leaves of them
  std::array<double, 3> centroid{};     ///< of its volume [m]
  double log_kill = 0;                  ///< mean of L_loc by viable cells
  double nearest_vessel = 0;            ///< smallest distance of its cells [m]
  double distance_to_vessel = 0;        ///< mean by viable cells with a finite one [m]; infinite if none has
  double distance_to_edge = 0;          ///< the same
  double delivery = 0, protection = 0;  ///< shares of its volume
  double both = 0, joint = 0;
  double resistant = 0;  ///< share of resistant cells (any clone but the first) of the surviving ones
  double longest = 0;    ///< unbroken time in S1 [s]
};

/// Sanctuaries S1 (local log kill under the threshold), S2 (the same with the reference cell: delivery) and S4 (the
/// same with the reference exposure: protection), the split of S1, S3 (S1 in every cycle) and S0 (net growth over the
/// cycle). The same digits on any number of ranks.
struct Sanctuary {
  double reference_log_kill = 0;  ///< L_ref
  double threshold = 0;           ///< Theta = min(1, L_ref / 2)
  bool threshold_relative = false;
  bool direct_effect = true;  ///< false if L_ref < 0.1: then only the mask, S0 and what survives in the mask count
  Part s1, s2, s4;
  Part delivery, protection, both, joint;  ///< these four split S1
  Part rescued;                            ///< S2 or S4 without S1
  Part mask;                               ///< all that counts
  std::array<Part, 3> robustness;          ///< S1 at half, once and twice the threshold
  Part dropped;                            ///< S1 in regions too small to count
  long regions = 0;                        ///< connected regions of S1 that count
  double largest_region = 0;               ///< volume of the largest [m^3]

  std::optional<Part> net_growth;               ///< S0: growth less cumulated kill at least 0
  Part net_growth_dropped;                      ///< S0 in regions too small to count
  long net_growth_regions = 0;                  ///< connected regions of S0 that count
  std::optional<Part> persistent;               ///< S3
  std::optional<Duration> duration;             ///< 0 where S1 is empty
  std::optional<Distances> to_vessel, to_edge;  ///< nothing where S1 is empty
  double resistant_in_s1 = 0;                   ///< share of resistant cells of those that survive in S1; 0 of none
  double resistant_in_mask = 0;                 ///< the same in the mask

  /// The largest regions of S1 on every rank, largest first, of equal size the one with the smaller first cell first;
  /// `regions` counts all.
  std::vector<SanctuaryRegion> table;

  std::vector<double> log_kill;  ///< L_loc of each owned cell (0 outside the mask)
  std::vector<int> label;        ///< 1 (S1) + 2 (S2) + 4 (S4); -1 outside the mask
  std::vector<char> grows;       ///< of each owned cell: in S0; empty if that is not reported
};

/// Finds the sanctuaries. Collective.
[[nodiscard]] Sanctuary find_sanctuary(MPI_Comm comm, const SanctuaryInput& input);

/// log10 kill of a mix: -log10(w exp(-K_c) + (1 - w) exp(-K_q)), without overflow for large hazards.
[[nodiscard]] double log_kill(double cycling_share, double hazard_cycling, double hazard_quiescent);
/// The same of any number of kinds of cells: -log10 sum_i w_i exp(-K_i). Kinds without cells do not count; of no cells
/// 0.
[[nodiscard]] double log_kill(std::span<const double> weight, std::span<const double> hazard);

}  // namespace sanctuary
