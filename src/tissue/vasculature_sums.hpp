#pragma once
#include <mpi.h>

#include <array>
#include <vector>

#include "tissue/vasculature_units.hpp"

namespace sanctuary {

/// One grown segment with its ends: what ranks hand to each other.
struct GrownVessel {
  enum Flags : int { perfused = 1, blind = 2, bed = 4, shunt = 8, root = 16 };
  long id = 0;
  std::array<long, 2> node{};       // -1: a blind end, named after the segment
  std::array<Place, 2> position{};  // [m]
  double radius = 0, length = 0, maturity = 0;
  double root_pressure = 0;  // [Pa] at end `root_end`
  int root_end = 0, type = 0, flags = 0;
  [[nodiscard]] Place middle() const {
    return {0.5 * (position[0][0] + position[1][0]), 0.5 * (position[0][1] + position[1][1]),
            0.5 * (position[0][2] + position[1][2])};
  }
};

/// Sums over vessels of host (0) and tumour (1) in whole numbers, so that they do not depend on order or ranks.
class VesselSums {
 public:
  explicit VesselSums(const VasculatureSettings& settings) : settings_(&settings) {
    histogram_[0].fill(0), histogram_[1].fill(0);
  }
  /// Adds a vessel; `half`: one of two units that share it counts it.
  void add(const GrownVessel& vessel, bool half = false);
  void reduce(MPI_Comm comm);
  [[nodiscard]] double length(int tissue) const { return sum(tissue, 1, length_unit); }
  [[nodiscard]] double straight(int tissue) const { return sum(tissue, 2, length_unit); }
  [[nodiscard]] double surface(int tissue) const { return sum(tissue, 3, surface_unit); }
  [[nodiscard]] double volume(int tissue) const { return sum(tissue, 4, volume_unit); }
  [[nodiscard]] double perfused(int tissue) const { return sum(tissue, 5, length_unit); }
  [[nodiscard]] double segments(int tissue) const { return sum(tissue, 0, 1); }
  /// Standard deviation of the logarithm of the bed's radii.
  [[nodiscard]] double radius_spread(int tissue) const;
  [[nodiscard]] double median_radius(int tissue) const;
  [[nodiscard]] long count(int what) const { return static_cast<long>(count_[static_cast<std::size_t>(what)] / 2); }
  enum Count { all, arteriole, venule, blind, shunt, root, unperfused, counts };

 private:
  static constexpr double length_unit = 1e-12, surface_unit = 1e-18, volume_unit = 1e-24, log_unit = 1e-8;
  static constexpr double first_radius = 1e-7, bin_width = 0.004;
  [[nodiscard]] double sum(int tissue, std::size_t what, double unit) const {
    return 0.5 * static_cast<double>(sum_[static_cast<std::size_t>(tissue)][what]) * unit;
  }
  const VasculatureSettings* settings_;
  std::array<std::array<long, 9>, 2> sum_{};  // doubled: a half counts 1
  std::array<std::array<long, 2500>, 2> histogram_;
  std::array<long, counts> count_{};
};

/// Distances in the tumour, or in the host where there is no tumour. [m]
struct VasculatureDistances {
  double tissue_mean = 0, tissue_median = 0;    // from points of the tissue to the nearest centre line
  double between_mean = 0, between_median = 0;  // from the middle of a vessel to the nearest one it is not joined to
  double fractal_dimension = 0;                 // box counting over centre lines; 0: too few scales
};
/// Measured at up to 2,000 points and vessels. `vessels` are this rank's; the result is the same on all. Collective.
[[nodiscard]] VasculatureDistances vessel_distances(MPI_Comm comm, const VesselPlan& plan, double length_density,
                                                    const std::vector<GrownVessel>& vessels, long total);

}  // namespace sanctuary
