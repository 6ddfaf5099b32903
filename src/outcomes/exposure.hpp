#pragma once
#include <mpi.h>

#include <span>
#include <vector>

namespace sanctuary {

/// A value per cell weighted by a share of the tumour (viable cells or volume): how much of the tumour got how much.
struct DoseVolume {
  double mean = 0;
  double a95 = 0, a50 = 0, a05 = 0;  ///< 95, 50, 5 % of the weight have at least this much
  double lowest = 0, highest = 0;    ///< over cells with weight
  std::vector<double> dose;          ///< lower edges of equal bins from 0 to the highest value
  std::vector<double> fraction;      ///< share of the weight with at least that dose
};

/// Drug-volume histogram over all ranks; weights must not be negative. All zero weights: everything 0. Collective.
[[nodiscard]] DoseVolume dose_volume(MPI_Comm comm, std::span<const double> value, std::span<const double> weight,
                                     int bins);

/// Largest value that at least the share `share` of the weight reaches. Collective.
[[nodiscard]] double reached_by(MPI_Comm comm, std::span<const double> value, std::span<const double> weight,
                                double share);

/// Mean of a value by weight over all ranks; 0 without weight. Collective.
[[nodiscard]] double weighted_mean(MPI_Comm comm, std::span<const double> value, std::span<const double> weight);

}  // namespace sanctuary
