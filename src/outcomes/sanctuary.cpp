#include "outcomes/sanctuary.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/comm.hpp"
#include "solvers/exact_sum.hpp"
#include "solvers/statistics.hpp"

namespace sanctuary {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_given = std::numeric_limits<double>::quiet_NaN();

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0.0; }

/// What is left of a mix of kinds of cells.
struct Survival {
  double exponent = 0;   ///< minus the natural logarithm of the surviving share
  double resistant = 0;  ///< share of the survivors that are not of the first two kinds
};

Survival survival(std::span<const double> weight, std::span<const double> hazard) {
  // A kind without cells must not enter: its hazard may lie so far below the others that it would overflow.
  double least = infinity;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    if (weight[i] > 0) least = std::min(least, hazard[i]);
  }
  if (least == infinity) return {};
  double all = 0, resistant = 0;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    if (weight[i] <= 0) continue;
    const double left = weight[i] * std::exp(least - hazard[i]);
    all += left;
    if (i >= 2) resistant += left;
  }
  return {least - std::log(all), resistant / all};
}

/// The mix of the cells in each cell of the grid, two kinds per clone.
class Mix {
 public:
  explicit Mix(const SanctuaryInput& input)
      : input_(input), weight_(2 * input.clones.size()), hazard_(2 * input.clones.size()) {}
  /// Cells here on the local exposure.
  Survival here(std::size_t cell) {
    return of(cell, [&](const Clone& clone) {
      return std::array{clone.hazard_cycling[cell], clone.hazard_quiescent[cell]};
    });
  }
  /// Cells here on the reference exposure.
  Survival on_reference(std::size_t cell) {
    return of(cell, [&](const Clone& clone) {
      if (clone.reference_here_cycling.empty()) return clone.reference_hazard;
      return std::array{clone.reference_here_cycling[cell], clone.reference_here_quiescent[cell]};
    });
  }

 private:
  template <class Hazards>
  Survival of(std::size_t cell, const Hazards& hazards) {
    const double cycling = std::clamp(input_.cycling_share[cell], 0.0, 1.0);
    for (std::size_t j = 0; j < input_.clones.size(); ++j) {
      const Clone& clone = input_.clones[j];
      const double share = clone.share.empty() ? 1.0 : clone.share[cell];
      const std::array<double, 2> hazard = hazards(clone);
      weight_[2 * j] = share * cycling;
      weight_[2 * j + 1] = share * (1 - cycling);
      hazard_[2 * j] = hazard[0];
      hazard_[2 * j + 1] = hazard[1];
    }
    return survival(weight_, hazard_);
  }

  const SanctuaryInput& input_;
  std::vector<double> weight_, hazard_;
};

/// Which optional input there is; a rank without cells learns it from the others.
struct Given {
  bool growth, before, time, vessel, edge;

  Given(MPI_Comm comm, const SanctuaryInput& input) {
    std::array<int, 5> any{!input.growth.empty(), !input.in_s1_before.empty(), !input.time_in_s1.empty(),
                           !input.distance_to_vessel.empty(), !input.distance_to_edge.empty()};
    MPI_Allreduce(MPI_IN_PLACE, any.data(), static_cast<int>(any.size()), MPI_INT, MPI_MAX, comm);
    growth = any[0], before = any[1], time = any[2], vessel = any[3], edge = any[4];
  }
};

/// Distances of cells that weigh `weight`; nothing if none does. Collective.
std::optional<Distances> distances_of(MPI_Comm comm, std::span<const double> distance, std::span<const double> weight) {
  std::array<ExactSum, 3> sums;  // weight, weight at a finite distance, weight x distance
  std::vector<double> finite(weight.size(), 0.0);
  double largest = 0;
  for (std::size_t c = 0; c < weight.size(); ++c) {
    if (weight[c] <= 0) continue;
    sums[0].add(weight[c]);
    if (!std::isfinite(distance[c])) continue;
    finite[c] = weight[c];
    sums[1].add(weight[c]);
    sums[2].add(weight[c] * distance[c]);
    largest = std::max(largest, distance[c]);
  }
  ExactSum::reduce(comm, sums);
  const double all = sums[0].value(), near = sums[1].value();
  if (all <= 0) return std::nullopt;
  if (near <= 0) return Distances{infinity, infinity, infinity, 1};
  const std::array half{0.5};
  const double median = quantiles(comm, distance, finite, half).front();
  return Distances{sums[2].value() / near, median, max_over(comm, largest), (all - near) / all};
}

/// What the table of the regions needs beside the input, of the owned cells.
struct Tabled {
  Given given;
  const std::vector<std::int32_t>& number;  ///< of the region
  const std::vector<int>& found;            ///< bits of S1, S2, S4 at the cell
  const std::vector<double>& log_kill;
  const std::vector<double>& surviving;  ///< cells per volume
  const std::vector<double>& resistant;  ///< of them
  double all_viable;                     ///< sum over the grid of viable cells per volume
};

std::vector<SanctuaryRegion> tabulate(MPI_Comm comm, const SanctuaryInput& input, const Tabled& of, long regions) {
  enum Sum { viable, kill, surviving, resistant, to_vessel, with_vessel, to_edge, with_edge, sums_of_row };
  enum Whole { cells, sum_i, sum_j, sum_k, delivery, protection, both, joint, wholes_of_row };
  const auto rows = static_cast<std::size_t>(std::clamp(regions, 0L, std::max(0L, input.table_rows)));
  std::vector<ExactSum> sums(rows * sums_of_row);
  std::vector<long> wholes(rows * wholes_of_row, 0), first(rows, std::numeric_limits<long>::max());
  std::vector<double> nearest(rows, infinity), longest(rows, 0.0);
  const auto& [start, size, box] = input.box;
  for (std::size_t c = 0; c < of.number.size(); ++c) {
    if (of.number[c] < 0 || static_cast<std::size_t>(of.number[c]) >= rows) continue;
    const auto row = static_cast<std::size_t>(of.number[c]);
    const auto cell = static_cast<long>(c);
    const std::array<long, 3> place{start[0] + cell % size[0], start[1] + cell / size[0] % size[1],
                                    start[2] + cell / (size[0] * size[1])};
    first[row] = std::min(first[row], (place[2] * box[1] + place[1]) * box[0] + place[0]);
    long* whole = &wholes[row * wholes_of_row];
    ++whole[cells];
    for (std::size_t axis = 0; axis < 3; ++axis) whole[sum_i + axis] += place[axis];
    const bool s2 = of.found[c] & 2, s4 = of.found[c] & 4;
    ++whole[s2 ? (s4 ? both : delivery) : (s4 ? protection : joint)];
    ExactSum* sum = &sums[row * sums_of_row];
    const double weight = input.viable_density[c];
    sum[viable].add(weight);
    sum[kill].add(weight * of.log_kill[c]);
    sum[surviving].add(of.surviving[c]);
    sum[resistant].add(of.resistant[c]);
    const auto add_distance = [&](std::span<const double> distance, Sum value, Sum with) {
      if (!std::isfinite(distance[c])) return;
      sum[value].add(weight * distance[c]);
      sum[with].add(weight);
    };
    if (of.given.vessel) {
      add_distance(input.distance_to_vessel, to_vessel, with_vessel);
      nearest[row] = std::min(nearest[row], input.distance_to_vessel[c]);
    }
    if (of.given.edge) add_distance(input.distance_to_edge, to_edge, with_edge);
    if (of.given.time) longest[row] = std::max(longest[row], input.time_in_s1[c] + input.cycle_length);
  }
  const auto count = static_cast<int>(rows);
  ExactSum::reduce(comm, sums);
  MPI_Allreduce(MPI_IN_PLACE, wholes.data(), count * wholes_of_row, MPI_LONG, MPI_SUM, comm);
  MPI_Allreduce(MPI_IN_PLACE, first.data(), count, MPI_LONG, MPI_MIN, comm);
  MPI_Allreduce(MPI_IN_PLACE, nearest.data(), count, MPI_DOUBLE, MPI_MIN, comm);
  MPI_Allreduce(MPI_IN_PLACE, longest.data(), count, MPI_DOUBLE, MPI_MAX, comm);

  std::vector<SanctuaryRegion> table(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    SanctuaryRegion& region = table[row];
    const long* whole = &wholes[row * wholes_of_row];
    const auto value = [&](Sum which) { return sums[row * sums_of_row + which].value(); };
    const auto number = static_cast<double>(whole[cells]);
    const auto share = [&](Whole which) { return static_cast<double>(whole[which]) / number; };
    const auto distance = [&](Sum sum, Sum with) { return value(with) > 0 ? value(sum) / value(with) : infinity; };
    region.first_cell = first[row];
    region.volume = number * input.cell_volume;
    region.viable = value(viable) * input.cell_volume;
    region.share = ratio(value(viable), of.all_viable);
    region.surviving = value(surviving) * input.cell_volume;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double place = static_cast<double>(whole[sum_i + axis]) / number + 0.5;
      region.centroid[axis] = input.origin[axis] + place * input.spacing[axis];
    }
    region.log_kill = ratio(value(kill), value(viable));
    region.nearest_vessel = of.given.vessel ? nearest[row] : not_given;
    region.distance_to_vessel = of.given.vessel ? distance(to_vessel, with_vessel) : not_given;
    region.distance_to_edge = of.given.edge ? distance(to_edge, with_edge) : not_given;
    region.delivery = share(delivery);
    region.protection = share(protection);
    region.both = share(both);
    region.joint = share(joint);
    region.resistant = ratio(value(resistant), value(surviving));
    region.longest = of.given.time ? longest[row] : not_given;
  }
  return table;
}

}  // namespace

double log_kill(std::span<const double> weight, std::span<const double> hazard) {
  return survival(weight, hazard).exponent / std::numbers::ln10;
}

double log_kill(double cycling_share, double hazard_cycling, double hazard_quiescent) {
  const double cycling = std::clamp(cycling_share, 0.0, 1.0);
  return log_kill(std::array{cycling, 1 - cycling}, std::array{hazard_cycling, hazard_quiescent});
}

Sanctuary find_sanctuary(MPI_Comm comm, const SanctuaryInput& input) {
  assert(!input.clones.empty());
  const Given given(comm, input);
  const Clone& sensitive = input.clones.front();
  Sanctuary result;
  const double reference_share = input.reference_cycling_share;
  result.reference_log_kill = log_kill(reference_share, sensitive.reference_hazard[0], sensitive.reference_hazard[1]);
  result.threshold = std::min(1.0, 0.5 * result.reference_log_kill);
  result.threshold_relative = result.reference_log_kill < 1;
  result.direct_effect = result.reference_log_kill >= 0.1;
  const double theta = result.threshold;

  const std::size_t cells = input.viable_density.size();
  const auto exposed_cycling = input.exposed_cycling.empty() ? sensitive.hazard_cycling : input.exposed_cycling;
  const auto exposed_quiescent = input.exposed_quiescent.empty() ? sensitive.hazard_quiescent : input.exposed_quiescent;
  result.log_kill.assign(cells, 0.0);
  result.label.assign(cells, -1);
  std::vector<double> surviving(cells, 0.0), resistant(cells, 0.0);
  std::vector<char> grows(given.growth ? cells : 0, 0);
  Mix mix(input);
  for (std::size_t c = 0; c < cells; ++c) {
    if (input.viable_fraction[c] < input.viable_mask) continue;
    const Survival here = mix.here(c);
    result.log_kill[c] = here.exponent / std::numbers::ln10;
    surviving[c] = input.viable_density[c] * std::exp(-here.exponent);
    resistant[c] = surviving[c] * here.resistant;
    const double exposed = log_kill(reference_share, exposed_cycling[c], exposed_quiescent[c]);
    const double protected_ = mix.on_reference(c).exponent / std::numbers::ln10;
    result.label[c] = (result.log_kill[c] < theta ? 1 : 0) + (exposed < theta ? 2 : 0) + (protected_ < theta ? 4 : 0);
    if (given.growth) grows[c] = input.growth[c] - here.exponent >= 0;
  }

  // Regions too small to count leave the label; what was S1 in them is kept apart.
  const std::vector<int> found = result.label;
  result.grows = grows;
  std::vector<std::int32_t> region(cells, -1);
  if (input.box.cells[0] > 0) {
    const auto least = static_cast<long>(std::ceil(input.least_region / input.cell_volume * (1 - 1e-12)));
    std::vector<char> marked(cells);
    for (const int bit : {1, 2, 4}) {
      if (!result.direct_effect) break;
      for (std::size_t c = 0; c < cells; ++c) marked[c] = found[c] > 0 && (found[c] & bit) != 0;
      Regions regions = find_regions(comm, input.box, marked, least);
      for (std::size_t c = 0; c < cells; ++c) {
        if (marked[c] && !regions.kept[c]) result.label[c] -= bit;
      }
      if (bit != 1) continue;
      result.regions = regions.count;
      result.largest_region = static_cast<double>(regions.largest) * input.cell_volume;
      region = std::move(regions.number);
    }
    if (given.growth) {
      Regions regions = find_regions(comm, input.box, grows, least);
      result.net_growth_regions = regions.count;
      result.grows = std::move(regions.kept);
    }
  }

  // Cells of the grid and viable cells of each part. The split of S1 asks for delivery and protection at each cell,
  // however small the regions of these two. The first three parts do not need a direct effect.
  Part net_growth;
  const std::array parts{&result.mask,
                         &net_growth,
                         &result.net_growth_dropped,
                         &result.s1,
                         &result.s2,
                         &result.s4,
                         &result.delivery,
                         &result.protection,
                         &result.both,
                         &result.joint,
                         &result.rescued,
                         &result.robustness[0],
                         &result.robustness[1],
                         &result.robustness[2],
                         &result.dropped};
  std::array<long, parts.size()> count{};
  std::array<ExactSum, parts.size()> viable_in;
  enum Sum {
    viable_cells,
    viable_s1,
    before_volume,
    before_viable,
    left_s1,
    resistant_s1,
    left,
    resistant_left,
    lasted,
    sums_taken
  };
  std::array<ExactSum, sums_taken> sums;
  double longest = 0;
  std::vector<double> weight(cells, 0.0);  // viable cells of S1
  for (std::size_t c = 0; c < cells; ++c) {
    const double viable = input.viable_density[c];
    sums[viable_cells].add(viable);
    if (found[c] < 0) continue;
    const bool s1 = result.label[c] & 1, was_s1 = found[c] & 1, s2 = found[c] & 2, s4 = found[c] & 4;
    const bool s0 = given.growth && result.grows[c], was_s0 = given.growth && grows[c];
    const std::array<bool, parts.size()> in{true,
                                            s0,
                                            was_s0 && !s0,
                                            s1,
                                            (result.label[c] & 2) != 0,
                                            (result.label[c] & 4) != 0,
                                            s1 && s2 && !s4,
                                            s1 && s4 && !s2,
                                            s1 && s2 && s4,
                                            s1 && !s2 && !s4,
                                            !was_s1 && (s2 || s4),
                                            result.log_kill[c] < 0.5 * theta,
                                            was_s1,
                                            result.log_kill[c] < 2 * theta,
                                            was_s1 && !s1};
    for (std::size_t p = 0; p < parts.size(); ++p) {
      if (!in[p]) continue;
      ++count[p];
      viable_in[p].add(viable);
    }
    sums[left].add(surviving[c]);
    sums[resistant_left].add(resistant[c]);
    if (!s1) continue;
    weight[c] = viable;
    sums[viable_s1].add(viable);
    sums[left_s1].add(surviving[c]);
    sums[resistant_s1].add(resistant[c]);
    if (given.before) {
      sums[before_volume].add(input.in_s1_before[c]);
      sums[before_viable].add(input.in_s1_before[c] * viable);
    }
    if (given.time) {
      const double time = input.time_in_s1[c] + input.cycle_length;
      sums[lasted].add(time * viable);
      longest = std::max(longest, time);
    }
  }
  ExactSum::reduce(comm, viable_in);
  ExactSum::reduce(comm, sums);
  MPI_Allreduce(MPI_IN_PLACE, count.data(), static_cast<int>(count.size()), MPI_LONG, MPI_SUM, comm);
  longest = max_over(comm, longest);
  const auto sum = [&](Sum which) { return sums[which].value(); };
  const double all = sum(viable_cells);
  for (std::size_t p = 0; p < (result.direct_effect ? parts.size() : 3); ++p) {
    *parts[p] = {static_cast<double>(count[p]) * input.cell_volume, ratio(viable_in[p].value(), all)};
  }
  if (given.growth) result.net_growth = net_growth;
  result.resistant_in_mask = ratio(sum(resistant_left), sum(left));
  if (!result.direct_effect) return result;
  result.resistant_in_s1 = ratio(sum(resistant_s1), sum(left_s1));
  if (given.before) result.persistent = Part{sum(before_volume) * input.cell_volume, ratio(sum(before_viable), all)};
  if (given.time) result.duration = Duration{ratio(sum(lasted), sum(viable_s1)), longest};
  if (given.vessel) result.to_vessel = distances_of(comm, input.distance_to_vessel, weight);
  if (given.edge) result.to_edge = distances_of(comm, input.distance_to_edge, weight);
  result.table =
      tabulate(comm, input, {given, region, found, result.log_kill, surviving, resistant, all}, result.regions);
  return result;
}

}  // namespace sanctuary
