#include "tissue/vessel_compression.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/comm.hpp"
#include "base/error.hpp"

namespace sanctuary {
namespace {

std::size_t at(long i) { return static_cast<std::size_t>(i); }

/// Integral of (1 + y^2)^(-2/3) from 0 to y >= 0: with y = sinh u that of cosh(u)^(-1/3), by Gauss's rule of 8 points
/// on stretches of at most 1/2 in u, where it is exact to rounding.
double collapsed_integral(double y) {
  constexpr std::array<double, 4> node{0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363};
  constexpr std::array<double, 4> weight{0.3626837833783620, 0.3137066458778873, 0.2223810344533745,
                                         0.1012285362903763};
  const double end = std::asinh(y);
  const int stretches = std::max(1, static_cast<int>(std::ceil(2 * end)));
  const double half = 0.5 * end / stretches;
  double sum = 0;
  for (int k = 0; k < stretches; ++k) {
    const double middle = (2 * k + 1) * half;
    for (std::size_t i = 0; i < node.size(); ++i) {
      sum += weight[i] *
             (1 / std::cbrt(std::cosh(middle - node[i] * half)) + 1 / std::cbrt(std::cosh(middle + node[i] * half)));
    }
  }
  return sum * half;
}

/// Blood pressures less fluid pressure and solid stress at the ends; an unknown end takes the other's, none: no excess.
EndPressures transmural(const VesselLoad& load, EndPressures pressure) {
  if (std::isnan(pressure[0])) pressure[0] = pressure[1];
  if (std::isnan(pressure[1])) pressure[1] = pressure[0];
  for (double& p : pressure) p = (std::isnan(p) ? 0 : p - load.fluid) - load.solid;
  return pressure;
}

}  // namespace

double wall_support(const CompressionSettings& settings, double maturity, int type) {
  if (type == vessel_type::arteriole) return settings.support_arteriole;
  return settings.support_immature * std::pow(settings.support_mature / settings.support_immature, maturity);
}

double lumen_area_ratio(double transmural, double stiffness) {
  const double y = std::min(transmural / stiffness, 0.0);
  return 1 / std::cbrt(1 + y * y);
}

double lumen_conductance_ratio(double transmural, double stiffness) {
  const double area = lumen_area_ratio(transmural, stiffness);
  return area * area;
}

double mean_conductance_ratio(double first_transmural, double second_transmural, double stiffness) {
  const double high = std::max(first_transmural, second_transmural) / stiffness;
  const double low = std::min(first_transmural, second_transmural) / stiffness;
  if (low >= 0) return 1;
  if (high - low < 1e-3) {  // Gauss's rule of two points, exact to rounding here, where differences would not be
    const double middle = 0.5 * (high + low), away = 0.5 * (high - low) / std::sqrt(3.0);
    return 0.5 * (lumen_conductance_ratio(middle - away, 1) + lumen_conductance_ratio(middle + away, 1));
  }
  const double below = collapsed_integral(-low) - (high < 0 ? collapsed_integral(-high) : 0.0);
  return (below + std::max(high, 0.0)) / (high - low);
}

bool collapses(const CompressionSettings& settings, const VesselLoad& load, const EndPressures& pressure,
               bool was_collapsed) {
  const EndPressures p = transmural(load, pressure);
  return std::max(p[0], p[1]) < -load.support * (was_collapsed ? settings.reopening : 1.0);
}

double radius_factor(const CompressionSettings& settings, const VesselLoad& load, const EndPressures& pressure) {
  const EndPressures p = transmural(load, pressure);
  return std::pow(mean_conductance_ratio(p[0], p[1], load.support / settings.touching), 0.25);
}

std::vector<bool> pressurised_nodes(MPI_Comm comm, const VesselGraph& share, const std::vector<bool>& closed,
                                    const SharedNodes& largest_over_ranks) {
  const Adjacency near = adjacency(share);
  std::vector<double> reached(share.position.size(), 0.0);
  std::vector<long> queue;
  for (long n = 0; n < share.nodes(); ++n) {
    if (share.boundary[at(n)] != BoundaryKind::pressure) continue;
    reached[at(n)] = 1;
    queue.push_back(n);
  }
  for (;;) {
    for (std::size_t head = 0; head < queue.size(); ++head) {
      const long n = queue[head];
      for (long e = near.offset[at(n)]; e < near.offset[at(n) + 1]; ++e) {
        const std::size_t s = at(near.segment[at(e)]);
        if (closed[s] || !(share.radius[s] > 0)) continue;
        const long other = share.segment[s][0] == n ? share.segment[s][1] : share.segment[s][0];
        if (reached[at(other)] != 0) continue;
        reached[at(other)] = 1;
        queue.push_back(other);
      }
    }
    queue.clear();
    if (!largest_over_ranks) break;
    const std::vector<double> before = reached;
    largest_over_ranks(reached);
    for (long n = 0; n < share.nodes(); ++n) {
      if (reached[at(n)] != before[at(n)]) queue.push_back(n);
    }
    if (max_over(comm, queue.empty() ? 0.0 : 1.0) == 0) break;
  }
  std::vector<bool> result(reached.size());
  for (std::size_t n = 0; n < result.size(); ++n) result[n] = reached[n] != 0;
  return result;
}

OpenPart open_part(const VesselGraph& graph, const std::vector<bool>& closed) {
  VesselGraph narrowed = graph;
  for (std::size_t s = 0; s < graph.segment.size(); ++s) {
    if (closed[s] || graph.segment[s][0] == graph.segment[s][1]) narrowed.radius[s] = 0;
  }
  OpenPart part;
  part.pressurised = pressurised_nodes(MPI_COMM_SELF, narrowed, closed, nullptr);
  for (long n = 0; n < graph.nodes(); ++n) {
    if (graph.boundary[at(n)] == BoundaryKind::flow && !part.pressurised[at(n)]) part.stopped_inlets.push_back(n);
  }
  const std::vector<bool> carries = can_carry_flow(narrowed);
  part.state.resize(graph.segment.size());
  for (std::size_t s = 0; s < part.state.size(); ++s) {
    part.state[s] = !(narrowed.radius[s] > 0)                    ? SegmentState::closed
                    : !part.pressurised[at(graph.segment[s][0])] ? SegmentState::cut_off
                    : carries[s]                                 ? SegmentState::flowing
                                                                 : SegmentState::standing;
    part.any_flow = part.any_flow || part.state[s] == SegmentState::flowing;
  }
  return part;
}

VesselGraph open_graph(const VesselGraph& graph, const OpenPart& part, std::vector<long>& kept) {
  std::vector<bool> drop(part.state.size());
  kept.clear();
  for (std::size_t s = 0; s < drop.size(); ++s) {
    drop[s] = !part.any_flow || part.state[s] == SegmentState::closed || part.state[s] == SegmentState::cut_off;
    if (!drop[s]) kept.push_back(static_cast<long>(s));
  }
  VesselGraph open = without_segments(graph, drop);
  for (const long n : part.stopped_inlets) {
    open.boundary[at(n)] = BoundaryKind::none;
    open.boundary_value[at(n)] = 0;
  }
  return open;
}

SettleReport settle_radii(MPI_Comm comm, const CompressionSettings& settings, std::span<const VesselLoad> load,
                          const PressureSolve& solve, CompressedRadii& state, const SettleOptions& options) {
  constexpr double smallest_step = 1.0 / 64;
  constexpr int patience = 60;  // iterations without progress that count as a cycle
  const std::size_t segments = load.size();
  if (state.factor.empty()) state = {std::vector<double>(segments, 1.0), std::vector<char>(segments, 0)};
  std::vector<EndPressures> pressure(segments);
  std::vector<double> logarithm(segments), step(segments, 1.0), last(segments, 0.0);  // of the conductance factor
  std::vector<int> counted;
  std::vector<int>& turns = options.turns ? *options.turns : counted;
  turns.resize(segments, 0);
  const auto apply = [&](std::size_t s) {
    state.factor[s] = state.collapsed[s] ? settings.residual_radius : std::exp(0.25 * logarithm[s]);
  };
  for (std::size_t s = 0; s < segments; ++s) {
    logarithm[s] = state.collapsed[s] ? 0.0 : 4 * std::log(state.factor[s]);
    apply(s);
  }
  SettleReport report;
  CompressedRadii best = state;
  double least = std::numeric_limits<double>::infinity();
  int since_best = 0;
  for (report.iterations = 1; report.iterations <= options.max_iterations; ++report.iterations) {
    solve(state.factor, pressure);
    double change = 0, turned = 0;
    std::vector<double> residual(segments, 0.0);
    std::vector<char> collapsed = state.collapsed;
    for (std::size_t s = 0; s < segments; ++s) {
      collapsed[s] = turns[s] < options.most_turns && collapses(settings, load[s], pressure[s], state.collapsed[s]);
      turned = std::max(turned, collapsed[s] != state.collapsed[s] ? 1.0 : 0.0);
      if (collapsed[s]) continue;
      residual[s] = 4 * std::log(radius_factor(settings, load[s], pressure[s])) - logarithm[s];
      if (!state.collapsed[s]) change = std::max(change, std::abs(residual[s]));
    }
    turned = max_over(comm, turned);
    report.change = max_over(comm, change);
    if (turned == 0) {
      report.converged = report.change <= options.tolerance;
      if (report.change < least) {
        since_best = report.change < 0.9 * least ? 0 : since_best + 1;
        least = report.change;
        best = state;
      } else {
        ++since_best;
      }
      report.cycling = !report.converged && since_best > patience;
      if (report.converged || report.cycling) break;
    } else {
      least = std::numeric_limits<double>::infinity();
      since_best = 0;
    }
    for (std::size_t s = 0; s < segments; ++s) {
      if (collapsed[s]) {
        if (!state.collapsed[s]) logarithm[s] = last[s] = 0;
        state.collapsed[s] = 1;
      } else if (state.collapsed[s]) {  // opens with the lumen that its pressures give, and may collapse so many times
        ++turns[s];
        state.collapsed[s] = 0;
        logarithm[s] += residual[s];
        last[s] = 0;
        step[s] = 0.5;
      } else {
        step[s] = residual[s] * last[s] < 0 ? std::max(smallest_step, 0.5 * step[s]) : std::min(1.0, 1.2 * step[s]);
        logarithm[s] += step[s] * residual[s];
        last[s] = residual[s];
      }
      apply(s);
    }
  }
  report.iterations = std::min(report.iterations, options.max_iterations);
  if (!report.converged && std::isfinite(least)) {
    state = best;
    report.change = least;
    solve(state.factor, pressure);  // leaves the caller's flow at the radii that are returned
  }
  double collapsed = 0, limiting = 0;
  for (std::size_t s = 0; s < segments; ++s) {
    collapsed += state.collapsed[s];
    limiting += turns[s] >= options.most_turns && collapses(settings, load[s], pressure[s], false);
  }
  report.collapsed = std::lround(sum_over(comm, collapsed));
  report.flow_limiting = std::lround(sum_over(comm, limiting));
  return report;
}

const Catalogue& compression_parameters() {
  static const Catalogue list{&compression::enabled,        &compression::support_immature,
                              &compression::support_mature, &compression::support_arteriole,
                              &compression::touching,       &compression::reopening,
                              &compression::residual_radius};
  return list;
}

CompressionSettings compression_settings(const Deck& deck) {
  return {.support_immature = deck.number(compression::support_immature),
          .support_mature = deck.number(compression::support_mature),
          .support_arteriole = deck.number(compression::support_arteriole),
          .touching = deck.number(compression::touching),
          .reopening = deck.number(compression::reopening),
          .residual_radius = deck.number(compression::residual_radius)};
}

}  // namespace sanctuary
