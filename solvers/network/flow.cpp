#include "solvers/network/flow.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <numbers>
#include <numeric>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "solvers/network/linearised_flow.hpp"
#include "solvers/network/parts.hpp"

namespace sanctuary {
namespace {

constexpr double negligible = 1e-13;  // of the largest flow: such a flow carries no red cells
constexpr double slow = 1e-3;         // of the largest flow: below it, rounding of the pressures moves the haematocrit
constexpr double rounding = 1e-7;     // a change that stalls below it is the pressures' rounding, not a cycle
constexpr double half = 0.5;          // a piece that filters off more of its blood than this lets no red cells through

constexpr std::size_t depth = 6;         // iterations that Anderson's acceleration remembers
constexpr double near_end = 3e-4;        // change of the haematocrit under which it acts
constexpr double exact = 1e-13;          // imbalance of the pressures at the end
constexpr double pressure_share = 1e-4;  // imbalance over the change of the haematocrit before
constexpr double coarsest = 1e-6;        // largest imbalance on the way

std::size_t at(long i) { return static_cast<std::size_t>(i); }

double largest_of(const std::vector<double>& values, MPI_Comm comm) {
  double largest = 0;
  for (const double q : values) largest = std::max(largest, std::abs(q));
  return max_over(comm, largest);
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
  for (std::size_t p = 0; p < haematocrit.size(); ++p) {
    const double weight = largest > 0 ? std::min(1.0, std::abs(state.flow[p]) / (slow * largest)) : 0.0;
    change = std::max(change, weight * std::abs(state.haematocrit[p] - haematocrit[p]));
  }
  return max_over(network_->comm, change);
}

void FlowSolver::solve(BloodFlow& state, double tolerance, int max_iterations) const {
  const std::size_t pieces = network_->pieces();
  if (state.leak.size() != pieces) state.leak.assign(pieces, 0.0);
  if (state.viscous_haematocrit.size() != pieces) state.viscous_haematocrit.assign(pieces, laws_.inlet_haematocrit);
  std::vector<double> used = state.viscous_haematocrit, best = used, conductances, change(pieces);
  RedCells red_cells(*network_, at_node_, radius_, laws_);
  std::unique_ptr<LinearisedFlow> newton;
  double least = 1e300, imbalance = coarsest;
  const auto iterate = [&](double pressure_tolerance) {
    conductances = conductance(used);
    flows_at(conductances, state, pressure_tolerance);
    red_cells.sweep(state);
    state.change = weighted_change(state, used);
  };
  state.converged = state.oscillating = false;
  static const int relax = getenv("RELAX") ? atoi(getenv("RELAX")) : 5;
  static const double drag0 = getenv("DRAG") ? atof(getenv("DRAG")) : 0.5;
  static const double ltol = getenv("LTOL") ? atof(getenv("LTOL")) : 1e-2;
  static const bool talk = getenv("TALK");
  long krylov = 0;
  static const double half_step = getenv("HALF") ? atof(getenv("HALF")) : 0; static const float lowest = getenv("LOW") ? atof(getenv("LOW")) : 1;
  static const int tries = getenv("TRIES") ? atoi(getenv("TRIES")) : 3;
  static const float up = getenv("UP") ? atof(getenv("UP")) : 3, down = getenv("DOWN") ? atof(getenv("DOWN")) : 0.5, top = getenv("TOP") ? atof(getenv("TOP")) : 4, bottom = getenv("BOTTOM") ? atof(getenv("BOTTOM")) : 1e-4;
  static const double clip = getenv("CLIP") ? atof(getenv("CLIP")) : 0.2;
  std::vector<float> drag(pieces, static_cast<float>(drag0)), last(pieces);
  for (state.iterations = 1; state.iterations <= max_iterations; ++state.iterations) {
    iterate(imbalance);
    if (state.change <= tolerance && imbalance > exact) {
      imbalance = exact;
      iterate(imbalance);
    }
    if (state.change < least) {
      least = state.change;
      best = used;
    }
    double num = 0, den = 0, moving = 0;
    for (std::size_t p = 0; p < pieces; ++p) {
      num += std::abs(state.flow[p] * (state.haematocrit[p] - used[p]));
      den += state.red_cells[p];
      if (std::abs(state.haematocrit[p] - used[p]) > 1e-4) moving += state.red_cells[p];
    }
    static const double t0 = MPI_Wtime();
    if (talk) printf("[%.1f] ", MPI_Wtime() - t0), fflush(stdout);
    if (talk) printf("%d change %.2e fluxw %.2e moving flux %.4f", state.iterations, state.change, num / den, moving / den);
    if (talk && state.iterations > max_iterations - 12) {
      std::size_t w = 0; double ww = 0, lq = 0; for (double q : state.flow) lq = std::max(lq, std::abs(q));
      for (std::size_t p = 0; p < pieces; ++p) { const double a = std::min(1.0, std::abs(state.flow[p]) / (1e-3 * lq)) * std::abs(state.haematocrit[p] - used[p]); if (a > ww) { ww = a; w = p; } }
      printf("\n worst %zu q %.3e of max %.2e h %.5f used %.5f", w, state.flow[w], lq, state.haematocrit[w], used[w]);
      for (int e = 0; e < 2; ++e) { const std::size_t n = at(network_->piece_nodes[w][e]); printf("\n   node %zu b%d:", n, (int)network_->boundary[n]); for (int k = at_node_.offset[n]; k < at_node_.offset[n+1]; ++k) { const std::size_t p = at(at_node_.piece[k]); printf(" [%zu out %.4e h %.4f used %.4f d %.2f]", p, (network_->piece_nodes[p][0] == (long)n ? 1 : -1) * state.flow[p], state.haematocrit[p], used[p], 2e6*radius_[p]); } }
      printf("\n");
    }
    if (state.change <= tolerance) {
      state.converged = true;
      break;
    }
    imbalance = std::clamp(pressure_share * state.change, exact, std::min(imbalance * 10, coarsest));
    if (state.iterations <= relax) {
      if (talk) printf("\n");
      for (std::size_t p = 0; p < pieces; ++p) used[p] += 0.5 * (state.haematocrit[p] - used[p]);
      continue;
    }
    if (!newton) newton = std::make_unique<LinearisedFlow>(*network_, red_cells, *laplacian_, fixed_);
    double mean_drag = 0;
    for (std::size_t p = 0; p < pieces; ++p) mean_drag += static_cast<double>(drag[p]) / static_cast<double>(pieces);
    if (talk) printf(" drag %.3f", mean_drag);
    for (int attempt = 0;; ++attempt) {
      const SolveReport report = newton->solve(state, used, conductances, drag, ltol, change);
      krylov += report.iterations;
      double big = 0;
      long over = 0;
      for (std::size_t p = 0; p < pieces; ++p) {
        big = std::max(big, std::abs(change[p]));
        if (std::abs(change[p]) <= clip) continue;
        ++over;
        if (attempt < tries) drag[p] = std::clamp(drag[p] * 4, 0.25F, top);
      }
      if (talk) printf("%s%d its, largest step %.2e, over %ld", attempt ? ", " : " | ", report.iterations, big, over);
      if (!report.converged && attempt < tries)
        for (float& d : drag) d = std::max(d, 0.25F);
      else if (over == 0 || attempt == tries) break;
    }
    if (talk) printf("\n");
    if (getenv("WATCH")) for (const char* w = getenv("WATCH"); w && *w; w = strchr(w, ',') ? strchr(w, ',') + 1 : nullptr) { const auto p = at(atol(w)); printf("   watch %zu q %.4e h %.5f used %.5f drag %.4f change %.5f\n", p, state.flow[p], state.haematocrit[p], used[p], drag[p], change[p]); }
    for (std::size_t p = 0; p < pieces; ++p) {
      double step = std::clamp(change[p], -clip, clip);
      const double before = last[p];
      if (step * before < 0 && std::abs(step) > 0.3 * std::abs(before)) {
        drag[p] = std::clamp(drag[p] * up, lowest, top);
        if (half_step > 0) step *= half_step; else step = std::clamp((state.haematocrit[p] - used[p]) / (1 + static_cast<double>(drag[p])), -clip, clip);
      } else drag[p] = std::max(drag[p] * down, bottom);
      used[p] = std::clamp(used[p] + step, 0.0, 0.95);
      last[p] = static_cast<float>(step);
    }
  }
  if (!state.converged) {
    used = best;
    iterate(exact);
    state.converged = state.change <= rounding;
  }
  if (talk) printf("total krylov %ld\n", krylov);
  state.oscillating = !state.converged;
  state.viscous_haematocrit = std::move(best);
  balance(state);
}

}  // namespace sanctuary
