#include "outcomes/distance_profile.hpp"

#include <cassert>
#include <limits>

#include "base/error.hpp"
#include "solvers/exact_sum.hpp"

namespace sanctuary {

DistanceProfile distance_profile(MPI_Comm comm, std::span<const double> distance, std::span<const double> value,
                                 std::span<const double> weight, double width, int bins) {
  if (!(width > 0) || bins < 1) throw InputError("distance profile: at least one bin of a width above 0 is needed");
  assert(distance.size() == value.size() && value.size() == weight.size());
  enum { of_weight, of_distance, of_value, each };
  const auto count = static_cast<std::size_t>(bins);
  std::vector<ExactSum> sums(each * count + 1);
  for (std::size_t c = 0; c < value.size(); ++c) {
    if (weight[c] <= 0) continue;
    assert(distance[c] >= 0);
    const double place = distance[c] / width;
    if (place >= bins) {
      sums.back().add(weight[c]);
      continue;
    }
    ExactSum* sum = &sums[each * static_cast<std::size_t>(place)];
    sum[of_weight].add(weight[c]);
    sum[of_distance].add(weight[c] * distance[c]);
    sum[of_value].add(weight[c] * value[c]);
  }
  ExactSum::reduce(comm, sums);
  DistanceProfile result{.width = width, .distance = {}, .mean = {}, .weight = {}, .beyond = sums.back().value()};
  for (std::size_t b = 0; b < count; ++b) {
    const ExactSum* sum = &sums[each * b];
    const double all = sum[of_weight].value();
    result.weight.push_back(all);
    result.distance.push_back(all > 0 ? sum[of_distance].value() / all : (static_cast<double>(b) + 0.5) * width);
    result.mean.push_back(all > 0 ? sum[of_value].value() / all : 0.0);
  }
  return result;
}

double half_distance(const DistanceProfile& profile) {
  constexpr double never = std::numeric_limits<double>::infinity();
  double half = 0, before_distance = 0, before_mean = 0;
  bool begun = false;
  for (std::size_t b = 0; b < profile.mean.size(); ++b) {
    if (profile.weight[b] <= 0) continue;
    const double distance = profile.distance[b], mean = profile.mean[b];
    if (!begun) {
      if (mean <= 0) return never;
      begun = true;
      half = 0.5 * mean;
    } else if (mean <= half) {
      return before_distance + (distance - before_distance) * (before_mean - half) / (before_mean - mean);
    }
    before_distance = distance;
    before_mean = mean;
  }
  return never;
}

}  // namespace sanctuary
