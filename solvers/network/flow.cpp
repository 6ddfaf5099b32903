#include "solvers/network/flow.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "solvers/network/linearised_flow.hpp"
#include "solvers/network/parts.hpp"

namespace sanctuary {
namespace {

constexpr double slow = 1e-3;      // of the largest flow: below it, rounding of the pressures moves the haematocrit
constexpr double rounding = 1e-7;  // a change that stalls below it is the pressures' rounding, not a cycle
constexpr double moves = 1e-4;     // changes of a haematocrit above it count as moving

constexpr double exact = 1e-13;          // imbalance of the pressures at the end
constexpr double pressure_share = 1e-4;  // imbalance over the change of the haematocrit before
constexpr double coarsest = 1e-6;        // largest imbalance on the way

constexpr double far = 2e-2, relaxation = 0.5;  // change by flux from which on steps follow the residual alone
constexpr int most_relaxations = 6;

std::size_t at(long i) { return static_cast<std::size_t>(i); }

double largest_of(const std::vector<double>& values, MPI_Comm comm) {
  double largest = 0;
  for (const double q : values) largest = std::max(largest, std::abs(q));
  return max_over(comm, largest);
}

/// How a change of the haematocrit counts in a piece.
double weight_of(double flow, double largest) {
  return largest > 0 ? std::min(1.0, std::abs(flow) / (slow * largest)) : 0.0;
}

}  // namespace

std::vector<double> BloodFlow::red_cells_arriving(const CutNetwork& network) const {
  std::vector<double> net(network.own_nodes, 0.0);
  for (std::size_t p = 0; p < network.pieces(); ++p) {
    const auto [first, second] = network.piece_nodes[p];
    const double forward = flow[p] >= 0 ? red_cells[p] : -red_cells[p];
    if (at(first) < net.size()) net[at(first)] -= forward;
    if (at(second) < net.size()) net[at(second)] += forward;
  }
  return net;
}

FlowSolver::FlowSolver(const CutNetwork& network, std::vector<double> radius, BloodLaws laws)
    : network_(&network),
      radius_(std::move(radius)),
      laws_(std::move(laws)),
      at_node_(network),
      laplacian_(std::make_unique<NetworkLaplacian>(network, "flow_")) {
  const std::size_t own = network.own_nodes;
  double any = 0;
  for (std::size_t n = 0; n < own; ++n) any = std::max(any, network.boundary[n] == BoundaryKind::pressure ? 1.0 : 0.0);
  if (max_over(network.comm, any) == 0) {
    throw InputError(
        "the network has no node with a given pressure, so the level of pressure is open: give at least one boundary "
        "node a pressure, or set network.reference_pressure");
  }
  together(network.comm, [&] {
    for (std::size_t p = 0; p < network.own_pieces; ++p) {
      const auto& ends = network.piece_nodes[p];
      if (ends[0] == ends[1] || (network.piece_length[p] > 0 && std::isfinite(radius_[p]) && radius_[p] >= 0)) continue;
      throw InputError("segment " + std::to_string(network.graph.segment_id[at(network.piece_segment[p])]) +
                       " of the network has a length of " + std::to_string(network.piece_length[p] * 1e6) +
                       " um and a radius of " + std::to_string(radius_[p] * 1e6) +
                       " um, no pressure drop is defined along it; repair the network (network.repair = on)");
    }
  });
  find_parts(true);
}

void FlowSolver::set_radius(std::vector<double> radius) {
  bool same = true;
  for (std::size_t p = 0; p < radius.size(); ++p) same = same && (radius[p] > 0) == (radius_[p] > 0);
  radius_ = std::move(radius);
  if (min_over(network_->comm, same ? 1 : 0) == 0) find_parts(false);
}

void FlowSolver::find_parts(bool strict) {
  const CutNetwork& net = *network_;
  std::vector<char> open(net.pieces());
  for (std::size_t p = 0; p < open.size(); ++p) open[p] = radius_[p] > 0;
  const NetworkParts parts(net, open);
  std::vector<long> no_pressure(net.nodes()), no_flow(net.nodes());
  fixed_.assign(net.nodes(), 0);
  for (std::size_t n = 0; n < net.nodes(); ++n) {
    fixed_[n] = net.boundary[n] == BoundaryKind::pressure;
    no_pressure[n] = fixed_[n] ? 0 : 1;
    no_flow[n] = net.boundary[n] == BoundaryKind::flow && net.boundary_value[n] != 0 ? 0 : 1;
  }
  parts.lowest(no_pressure);
  parts.lowest(no_flow);
  cut_off_.assign(net.nodes(), 0);
  long cut_off = 0;
  for (std::size_t n = 0; n < net.nodes(); ++n) {
    if (no_pressure[n] == 0) continue;
    const bool first = net.node_number[n] == parts.label()[n];
    cut_off_[n] = 1;
    fixed_[n] = first;  // an unperfused part: its level is arbitrary and its flow zero
    if (first && n < net.own_nodes && no_flow[n] == 0) ++cut_off;
  }
  cut_off_parts_ = count_over(net.comm, cut_off);
  if (strict && cut_off_parts_ > 0) {
    throw InputError(
        std::to_string(cut_off_parts_) + (cut_off_parts_ == 1 ? " connected part" : " connected parts") +
        " of the network with boundary flows but no boundary pressure: give one boundary node of each a pressure");
  }
}

std::vector<double> FlowSolver::conductance(const std::vector<double>& haematocrit) const {
  std::vector<double> result(radius_.size(), 0.0);
  for (std::size_t p = 0; p < result.size(); ++p) {
    if (radius_[p] <= 0 || network_->piece_nodes[p][0] == network_->piece_nodes[p][1]) continue;
    const double viscosity = laws_.apparent_viscosity(2 * radius_[p], haematocrit[p]);
    result[p] = std::numbers::pi * std::pow(radius_[p], 4) / (8 * viscosity * network_->piece_length[p]);
    if (!factor_.empty()) result[p] *= factor_[p];
  }
  return result;
}

void FlowSolver::flows_at(const std::vector<double>& conductance, BloodFlow& state, double tolerance) const {
  const std::size_t nodes = network_->nodes(), own = network_->own_nodes;
  std::vector<double> given(own, 0.0);
  for (std::size_t n = 0; n < own; ++n) {
    given[n] = given_flow(n);
    for (int e = at_node_.offset[n]; e < at_node_.offset[n + 1]; ++e)
      given[n] -= 0.5 * state.leak[at(at_node_.piece[at(e)])];
  }
  if (state.pressure.size() != nodes) state.pressure.assign(nodes, 0.0);
  for (std::size_t n = 0; n < nodes; ++n) {
    if (fixed_[n]) state.pressure[n] = network_->boundary_value[n];
    if (fixed_[n] && network_->boundary[n] != BoundaryKind::pressure) state.pressure[n] = 0;
  }
  laplacian_->set(conductance, std::vector<double>(own, 0.0), fixed_);
  state.remainder.resize(nodes);
  const SolveReport report = laplacian_->solve(given, state.pressure, state.remainder, tolerance);
  if (!report.converged) {
    throw NumericsError("blood flow: the pressures of the network were not found (residual " +
                        std::to_string(report.residual) + " of the largest flow; " + report.reason + ")");
  }
  state.flow.resize(conductance.size());
  state.inflow.assign(network_->nodes(), 0.0);
  for (std::size_t p = 0; p < conductance.size(); ++p) {
    const auto [i, j] = network_->piece_nodes[p];
    state.flow[p] = conductance[p] * ((state.pressure[at(i)] - state.pressure[at(j)]) +
                                      (state.remainder[at(i)] - state.remainder[at(j)]));
    if (std::abs(state.flow[p]) < laplacian_->noise()) state.flow[p] = 0;
    state.inflow[at(i)] += state.flow[p] + 0.5 * state.leak[p];
    state.inflow[at(j)] -= state.flow[p] - 0.5 * state.leak[p];
  }
  for (std::size_t n = 0; n < network_->own_nodes; ++n) {
    if (network_->boundary[n] == BoundaryKind::flow) state.inflow[n] = given_flow(n);
    if (network_->boundary[n] == BoundaryKind::none) state.inflow[n] = 0;
  }
  network_->node_halo.update(std::span<double>(state.inflow));
}

void FlowSolver::sweep(BloodFlow& state) const { RedCells(*network_, at_node_, radius_, laws_).sweep(state); }

void FlowSolver::balance(BloodFlow& state) const {
  const CutNetwork& net = *network_;
  std::vector<double> left = state.inflow;
  std::array<double, 2> in{};  // blood, red cells
  std::array<double, 2> worst{};
  for (std::size_t p = 0; p < state.flow.size(); ++p) {
    const auto [i, j] = net.piece_nodes[p];
    left[at(i)] -= state.end_flow(p, 0);
    left[at(j)] += state.end_flow(p, 1);
  }
  const std::vector<double> red = state.red_cells_arriving(net);
  for (std::size_t n = 0; n < net.own_nodes; ++n) {
    in[0] += std::max(state.inflow[n], 0.0);
    in[1] += state.red_inflow[n];
    if (!(fixed_[n] && net.boundary[n] == BoundaryKind::none)) worst[0] = std::max(worst[0], std::abs(left[n]));
    // What arrives at a node must leave it: through a piece or, where blood leaves, through the boundary.
    if (state.inflow[n] >= 0) worst[1] = std::max(worst[1], std::abs(red[n] + state.red_inflow[n]));
  }
  MPI_Allreduce(MPI_IN_PLACE, in.data(), 2, MPI_DOUBLE, MPI_SUM, net.comm);
  MPI_Allreduce(MPI_IN_PLACE, worst.data(), 2, MPI_DOUBLE, MPI_MAX, net.comm);
  state.blood_imbalance = in[0] > 0 ? worst[0] / in[0] : worst[0];
  state.red_cell_imbalance = in[1] > 0 ? worst[1] / in[1] : worst[1];
}

double FlowSolver::weighted_change(const BloodFlow& state, const std::vector<double>& haematocrit) const {
  const double largest = largest_of(state.flow, network_->comm);
  double change = 0;
  for (std::size_t p = 0; p < haematocrit.size(); ++p)
    change = std::max(change, weight_of(state.flow[p], largest) * std::abs(state.haematocrit[p] - haematocrit[p]));
  return max_over(network_->comm, change);
}

void FlowSolver::judge(const std::vector<double>& used, BloodFlow& state) const {
  const CutNetwork& net = *network_;
  const double largest = largest_of(state.flow, net.comm);
  double change = 0;
  std::array<double, 5>
      sums{};  // change by flow and length, red cells by length, of those that move, their number, all
  auto& [moved, red_cells, moving_red_cells, moving, all] = sums;
  for (std::size_t p = 0; p < net.own_pieces; ++p) {
    const double difference = std::abs(state.haematocrit[p] - used[p]),
                 carried = state.red_cells[p] * net.piece_length[p];
    const double counts = difference * weight_of(state.flow[p], largest);
    change = std::max(change, counts);
    moved += difference * std::abs(state.flow[p]) * net.piece_length[p];
    red_cells += carried;
    all += 1;
    if (counts <= moves) continue;
    moving += 1;
    moving_red_cells += carried;
  }
  MPI_Allreduce(MPI_IN_PLACE, sums.data(), static_cast<int>(sums.size()), MPI_DOUBLE, MPI_SUM, net.comm);
  state.change = max_over(net.comm, change);
  state.flux_change = red_cells > 0 ? moved / red_cells : 0.0;
  state.moving_red_cells = red_cells > 0 ? moving_red_cells / red_cells : 0.0;
  state.moving_segments = all > 0 ? moving / all : 0.0;
}

/// Newton steps in pseudo-time: each piece has its own drag, the inverse of its time step. A haematocrit that swings to
/// and fro (at kinks of the phase separation, where a flow turns) goes back to small steps in the direction of its own
/// residual, which leads on past a steady state that has ceased to be; all others take full steps.
class FlowSolver::NewtonSteps {
 public:
  NewtonSteps(const FlowSolver& flow, RedCells& red_cells)
      : comm_(flow.network().comm),
        system_(flow.network(), red_cells, *flow.laplacian_, flow.fixed_),
        drag_(flow.network().pieces(), first_drag),
        last_(drag_.size(), 0.0F),
        change_(drag_.size()) {}

  void advance(const BloodFlow& state, std::span<const double> conductance, std::vector<double>& used) {
    for (int attempt = 0; attempt <= most_attempts; ++attempt) {
      const SolveReport report = system_.solve(state, used, conductance, drag_, linear_tolerance, change_);
      double largest = 0;
      for (const double step : change_) largest = std::max(largest, std::abs(step));
      largest = max_over(comm_, largest);
      if ((report.converged && largest <= absurd) || attempt == most_attempts) break;
      // Close to a singular system: somewhere a steady state is about to cease.
      for (std::size_t p = 0; p < drag_.size(); ++p) {
        if (!report.converged) drag_[p] = std::max(drag_[p], stalled_drag);
        if (std::abs(change_[p]) > longest) drag_[p] = std::clamp(4 * drag_[p], stalled_drag, most_drag);
      }
    }
    for (std::size_t p = 0; p < drag_.size(); ++p) {
      double step = std::clamp(change_[p], -longest, longest);
      const auto before = static_cast<double>(last_[p]);
      if (step * before < 0 && std::abs(step) > swings * std::abs(before)) {
        const double least = std::clamp(std::abs(step) / coarse, 0.02, 1.0);
        drag_[p] = std::clamp(3 * drag_[p], static_cast<float>(least), most_drag);
        if (std::abs(step) > fine)
          step = std::clamp((state.haematocrit[p] - used[p]) / (1 + static_cast<double>(drag_[p])), -longest, longest);
      } else {
        drag_[p] = std::max(0.5F * drag_[p], least_drag);
      }
      used[p] = std::clamp(used[p] + step, 0.0, 0.95);
      last_[p] = static_cast<float>(step);
    }
  }

 private:
  static constexpr float first_drag = 0.5, least_drag = 1e-4F, most_drag = 4, stalled_drag = 0.25;
  static constexpr double linear_tolerance = 1e-2;
  static constexpr double longest = 0.2, absurd = 1;   // steps of a haematocrit
  static constexpr double swings = 0.3;                // of the last step, the other way
  static constexpr double coarse = 1e-3, fine = 1e-4;  // swings that call for full drag, for none
  static constexpr int most_attempts = 2;
  MPI_Comm comm_;
  LinearisedFlow system_;
  std::vector<float> drag_, last_;
  std::vector<double> change_;
};

void FlowSolver::solve(BloodFlow& state, double tolerance, int max_iterations) const {
  const std::size_t pieces = network_->pieces();
  if (state.leak.size() != pieces) state.leak.assign(pieces, 0.0);
  if (state.viscous_haematocrit.size() != pieces) state.viscous_haematocrit.assign(pieces, laws_.inlet_haematocrit);
  std::vector<double> used = state.viscous_haematocrit, best = used, conductances;
  RedCells red_cells(*network_, at_node_, radius_, laws_);
  std::unique_ptr<NewtonSteps> newton;
  double least = 1e300, imbalance = coarsest;
  const auto iterate = [&](double pressure_tolerance) {
    conductances = conductance(used);
    flows_at(conductances, state, pressure_tolerance);
    red_cells.sweep(state);
    judge(used, state);
  };
  state.converged = state.oscillating = false;
  for (state.iterations = 1; state.iterations <= max_iterations; ++state.iterations) {
    iterate(imbalance);
    if (state.change <= tolerance && imbalance > exact) {
      imbalance = exact;
      iterate(imbalance);
    }
    if (state.flux_change < least) {
      least = state.flux_change;
      best = used;
    }
    if (state.change <= tolerance) {
      best = used;
      state.converged = true;
      break;
    }
    if (state.iterations == max_iterations) break;
    imbalance = std::clamp(pressure_share * std::min(state.change, 10 * state.flux_change), exact,
                           std::min(imbalance * 10, coarsest));
    if (!newton && state.flux_change > far && state.iterations <= most_relaxations) {
      for (std::size_t p = 0; p < pieces; ++p) used[p] += relaxation * (state.haematocrit[p] - used[p]);
      continue;
    }
    if (!newton) newton = std::make_unique<NewtonSteps>(*this, red_cells);
    newton->advance(state, conductances, used);
  }
  state.iterations = std::min(state.iterations, max_iterations);
  if (!state.converged) {
    used = best;
    iterate(exact);
    state.converged = state.change <= rounding;
  }
  state.oscillating = !state.converged;
  state.viscous_haematocrit = std::move(best);
  balance(state);
}

}  // namespace sanctuary
