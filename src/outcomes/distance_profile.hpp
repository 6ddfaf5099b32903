#pragma once
#include <mpi.h>

#include <span>
#include <vector>

namespace sanctuary {

/// A value by distance to a set of cells, in bins of equal width from 0.
struct DistanceProfile {
  double width = 0;              ///< of a bin [m]
  std::vector<double> distance;  ///< mean by weight of the distances in each bin [m]; its middle without weight
  std::vector<double> mean;      ///< of the value by weight; 0 without weight
  std::vector<double> weight;    ///< sum
  double beyond = 0;             ///< weight at and past the end of the last bin, or at an infinite distance
};

/// Bins a value of the owned cells by their distance (at least 0; `distance_to()` of solvers/distance.hpp gives it) to
/// a set; cells without weight do not count. The same digits on any number of ranks. Collective. Throws InputError
/// unless there is a bin and it has a width.
[[nodiscard]] DistanceProfile distance_profile(MPI_Comm comm, std::span<const double> distance,
                                               std::span<const double> value, std::span<const double> weight,
                                               double width, int bins);

/// Distance from the set [m] at which the mean has fallen to half of that in the first bin with weight, linear between
/// the bins with weight; infinite if it does not fall so far, or starts at 0 or less.
[[nodiscard]] double half_distance(const DistanceProfile& profile);

}  // namespace sanctuary
