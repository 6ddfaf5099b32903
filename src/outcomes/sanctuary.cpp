#include "outcomes/sanctuary.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/comm.hpp"

namespace sanctuary {

double log_kill(double cycling_share, double hazard_cycling, double hazard_quiescent) {
  // A phase without cells must not enter: its hazard may lie so far below the other that it would overflow.
  if (cycling_share >= 1) return hazard_cycling / std::numbers::ln10;
  if (cycling_share <= 0) return hazard_quiescent / std::numbers::ln10;
  const double least = std::min(hazard_cycling, hazard_quiescent);
  const double rest =
      cycling_share * std::exp(least - hazard_cycling) + (1 - cycling_share) * std::exp(least - hazard_quiescent);
  return (least - std::log(rest)) / std::numbers::ln10;
}

Sanctuary find_sanctuary(MPI_Comm comm, const SanctuaryInput& input) {
  Sanctuary result;
  const double reference_share = input.reference_cycling_share;
  result.reference_log_kill = log_kill(reference_share, input.reference_hazard[0], input.reference_hazard[1]);
  result.threshold = std::min(1.0, 0.5 * result.reference_log_kill);
  result.threshold_relative = result.reference_log_kill < 1;
  result.direct_effect = result.reference_log_kill >= 0.1;

  const std::size_t cells = input.viable_density.size();
  result.log_kill.assign(cells, 0.0);
  result.label.assign(cells, -1);
  const double theta = result.threshold;
  double all_viable = 0;
  for (std::size_t c = 0; c < cells; ++c) {
    all_viable += input.viable_density[c];
    if (input.viable_fraction[c] < input.viable_mask) continue;
    const double exposed = log_kill(reference_share, input.hazard_cycling[c], input.hazard_quiescent[c]);
    const double protected_ = log_kill(input.cycling_share[c], input.reference_hazard[0], input.reference_hazard[1]);
    result.log_kill[c] = log_kill(input.cycling_share[c], input.hazard_cycling[c], input.hazard_quiescent[c]);
    result.label[c] = (result.log_kill[c] < theta ? 1 : 0) + (exposed < theta ? 2 : 0) + (protected_ < theta ? 4 : 0);
  }

  // Regions too small to count leave the label; what was S1 in them is kept apart.
  const std::vector<int> found = result.label;
  if (input.box.cells[0] > 0 && result.direct_effect) {
    const auto least = static_cast<long>(std::ceil(input.least_region / input.cell_volume * (1 - 1e-12)));
    std::vector<char> marked(cells);
    for (const int bit : {1, 2, 4}) {
      for (std::size_t c = 0; c < cells; ++c) marked[c] = found[c] > 0 && (found[c] & bit) != 0;
      const Regions regions = find_regions(comm, input.box, marked, least);
      for (std::size_t c = 0; c < cells; ++c) {
        if (marked[c] && !regions.kept[c]) result.label[c] -= bit;
      }
      if (bit != 1) continue;
      result.regions = regions.count;
      result.largest_region = static_cast<double>(regions.largest) * input.cell_volume;
    }
  }

  // Sums of volume and viable cells: s1 s2 s4 delivery protection both joint rescued mask half once twice dropped. The
  // split of S1 asks for delivery and protection at each cell, however small the regions of these two.
  constexpr std::size_t parts = 13;
  std::array<double, 2 * parts> sums{};
  for (std::size_t c = 0; c < cells; ++c) {
    if (found[c] < 0) continue;
    const bool s1 = result.label[c] & 1, was_s1 = found[c] & 1, s2 = found[c] & 2, s4 = found[c] & 4;
    const std::array<bool, parts> in{s1,
                                     (result.label[c] & 2) != 0,
                                     (result.label[c] & 4) != 0,
                                     s1 && s2 && !s4,
                                     s1 && s4 && !s2,
                                     s1 && s2 && s4,
                                     s1 && !s2 && !s4,
                                     !was_s1 && (s2 || s4),
                                     true,
                                     result.log_kill[c] < 0.5 * theta,
                                     was_s1,
                                     result.log_kill[c] < 2 * theta,
                                     was_s1 && !s1};
    for (std::size_t p = 0; p < parts; ++p) {
      if (!in[p]) continue;
      sums[2 * p] += input.cell_volume;
      sums[2 * p + 1] += input.viable_density[c];
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, sums.data(), static_cast<int>(sums.size()), MPI_DOUBLE, MPI_SUM, comm);
  all_viable = sum_over(comm, all_viable);
  const auto part = [&](std::size_t p) {
    return Part{sums[2 * p], all_viable > 0 ? sums[2 * p + 1] / all_viable : 0.0};
  };
  result.mask = part(8);
  if (!result.direct_effect) return result;
  result.s1 = part(0);
  result.s2 = part(1);
  result.s4 = part(2);
  result.delivery = part(3);
  result.protection = part(4);
  result.both = part(5);
  result.joint = part(6);
  result.rescued = part(7);
  result.robustness = {part(9), part(10), part(11)};
  result.dropped = part(12);
  return result;
}

}  // namespace sanctuary
