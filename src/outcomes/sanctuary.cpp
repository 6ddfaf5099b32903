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
  // Sums of volume and viable cells: s1 s2 s4 delivery protection both joint rescued mask half once twice.
  constexpr std::size_t parts = 12;
  std::array<double, 2 * parts> sums{};
  double all_viable = 0;
  for (std::size_t c = 0; c < cells; ++c) {
    all_viable += input.viable_density[c];
    if (input.viable_fraction[c] < input.viable_mask) continue;
    const double local = log_kill(input.cycling_share[c], input.hazard_cycling[c], input.hazard_quiescent[c]);
    const double exposed = log_kill(reference_share, input.hazard_cycling[c], input.hazard_quiescent[c]);
    const double protected_ = log_kill(input.cycling_share[c], input.reference_hazard[0], input.reference_hazard[1]);
    const double theta = result.threshold;
    const bool s1 = local < theta, s2 = exposed < theta, s4 = protected_ < theta;
    result.log_kill[c] = local;
    result.label[c] = (s1 ? 1 : 0) + (s2 ? 2 : 0) + (s4 ? 4 : 0);
    const std::array<bool, parts> in{s1,
                                     s2,
                                     s4,
                                     s1 && s2 && !s4,
                                     s1 && s4 && !s2,
                                     s1 && s2 && s4,
                                     s1 && !s2 && !s4,
                                     !s1 && (s2 || s4),
                                     true,
                                     local < 0.5 * theta,
                                     s1,
                                     local < 2 * theta};
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
  return result;
}

}  // namespace sanctuary
