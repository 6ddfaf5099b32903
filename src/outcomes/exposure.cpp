#include "outcomes/exposure.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/comm.hpp"

namespace sanctuary {

double weighted_mean(MPI_Comm comm, std::span<const double> value, std::span<const double> weight) {
  double sum = 0, all = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    sum += value[i] * weight[i];
    all += weight[i];
  }
  sum = sum_over(comm, sum);
  all = sum_over(comm, all);
  return all > 0 ? sum / all : 0.0;
}

double reached_by(MPI_Comm comm, std::span<const double> value, std::span<const double> weight, double share) {
  double low = std::numeric_limits<double>::infinity(), high = -low, all = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (weight[i] <= 0) continue;
    low = std::min(low, value[i]);
    high = std::max(high, value[i]);
    all += weight[i];
  }
  low = min_over(comm, low);
  high = max_over(comm, high);
  all = sum_over(comm, all);
  if (all <= 0) return 0;
  // Bisection on the value: `low` is reached by the share, `high` (once above the largest) is not.
  high = std::nextafter(high, std::numeric_limits<double>::infinity());
  for (int i = 0; i < 200 && high - low > 1e-14 * std::max(std::abs(low), std::abs(high)); ++i) {
    const double middle = 0.5 * (low + high);
    double reached = 0;
    for (std::size_t c = 0; c < value.size(); ++c) {
      if (value[c] >= middle) reached += weight[c];
    }
    // A share that is met exactly (half of an even number of equal cells) must not hang on the order of a sum.
    if (sum_over(comm, reached) >= share * all * (1 - 1e-10)) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

DoseVolume dose_volume(MPI_Comm comm, std::span<const double> value, std::span<const double> weight, int bins) {
  DoseVolume result;
  double low = std::numeric_limits<double>::infinity(), high = -low, all = 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (weight[i] <= 0) continue;
    low = std::min(low, value[i]);
    high = std::max(high, value[i]);
    all += weight[i];
  }
  result.lowest = min_over(comm, low);
  result.highest = max_over(comm, high);
  all = sum_over(comm, all);
  result.dose.assign(static_cast<std::size_t>(bins), 0.0);
  result.fraction.assign(static_cast<std::size_t>(bins), 0.0);
  if (all <= 0) {
    result.lowest = result.highest = 0;
    return result;
  }
  result.mean = weighted_mean(comm, value, weight);
  result.a95 = reached_by(comm, value, weight, 0.95);
  result.a50 = reached_by(comm, value, weight, 0.5);
  result.a05 = reached_by(comm, value, weight, 0.05);
  for (int b = 0; b < bins; ++b) result.dose[static_cast<std::size_t>(b)] = result.highest * b / bins;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (weight[i] <= 0) continue;
    const double place = result.highest > 0 ? value[i] / result.highest * bins : 0.0;
    result.fraction[static_cast<std::size_t>(std::clamp(static_cast<int>(std::floor(place)), 0, bins - 1))] +=
        weight[i];
  }
  MPI_Allreduce(MPI_IN_PLACE, result.fraction.data(), bins, MPI_DOUBLE, MPI_SUM, comm);
  for (int b = bins - 2; b >= 0; --b)
    result.fraction[static_cast<std::size_t>(b)] += result.fraction[static_cast<std::size_t>(b) + 1];
  for (double& f : result.fraction) f /= all;
  return result;
}

}  // namespace sanctuary
