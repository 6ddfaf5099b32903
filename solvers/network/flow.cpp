#include "solvers/network/flow.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numbers>
#include <numeric>

#include "base/comm.hpp"
#include "base/error.hpp"
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

/// Factors that best combine `columns` into `target` over all ranks: normal equations with a touch of regularisation.
/// The first `own` entries count, by their weights. Collective.
std::vector<double> least_squares(MPI_Comm comm, std::size_t own, const std::deque<std::vector<double>>& columns,
                                  const std::vector<double>& target, const std::vector<double>& weight) {
  const std::size_t m = columns.size();
  if (m == 0) return {};
  const auto product = [&](const std::vector<double>& x, const std::vector<double>& y) {
    double sum = 0;
    for (std::size_t i = 0; i < own; ++i) sum += weight[i] * x[i] * y[i];
    return sum;
  };
  std::vector<double> a(m * m), b(m), sums;
  for (std::size_t i = 0; i < m; ++i) {
    sums.push_back(product(columns[i], target));
    for (std::size_t j = 0; j <= i; ++j) sums.push_back(product(columns[i], columns[j]));
  }
  MPI_Allreduce(MPI_IN_PLACE, sums.data(), static_cast<int>(sums.size()), MPI_DOUBLE, MPI_SUM, comm);
  auto next = sums.begin();
  for (std::size_t i = 0; i < m; ++i) {
    b[i] = *next++;
    for (std::size_t j = 0; j <= i; ++j) a[i * m + j] = a[j * m + i] = *next++;
  }
  for (std::size_t i = 0; i < m; ++i) a[i * m + i] = a[i * m + i] * (1 + 1e-10) + 1e-300;
  for (std::size_t i = 0; i < m; ++i) {  // Gaussian elimination: the matrix is positive definite
    for (std::size_t r = i + 1; r < m; ++r) {
      const double factor = a[r * m + i] / a[i * m + i];
      for (std::size_t c = i; c < m; ++c) a[r * m + c] -= factor * a[i * m + c];
      b[r] -= factor * b[i];
    }
  }
  for (std::size_t i = m; i-- > 0;) {
    for (std::size_t c = i + 1; c < m; ++c) b[i] -= a[i * m + c] * b[c];
    b[i] /= a[i * m + i];
  }
  return b;
}

double largest_of(const std::vector<double>& values, MPI_Comm comm) {
  double largest = 0;
  for (const double q : values) largest = std::max(largest, std::abs(q));
  return max_over(comm, largest);
}

/// Carries values of pieces that several ranks hold from the rank that knows them to the others, round by round.
class Relay {
 public:
  /// `width` values per piece.
  Relay(const CutNetwork& network, std::size_t width) : network_(&network), width_(width) {
    for (std::size_t i = 0; i < network.shared.size(); ++i) {
      for (std::size_t k = 0; k < network.shared[i].pieces.size(); ++k)
        places_.push_back({network.shared[i].pieces[k], i, k});
      out_.emplace_back(width * network.shared[i].pieces.size(), std::nan(""));
      in_.emplace_back(out_.back().size());
    }
    std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) { return a.piece < b.piece; });
  }
  /// Values of a piece for the ranks that hold it, too.
  void put(std::size_t piece, std::initializer_list<double> values) {
    auto place = std::lower_bound(places_.begin(), places_.end(), static_cast<long>(piece),
                                  [](const Place& a, long p) { return a.piece < p; });
    for (; place != places_.end() && at(place->piece) == piece; ++place) {
      std::copy(values.begin(), values.end(), out_[place->list].begin() + static_cast<long>(width_ * place->number));
      news_ = 1;
    }
  }
  /// One round: false when no rank had news. `take(piece, values)` is called for what arrived. Collective.
  template <class Take>
  bool round(Take take) {
    if (size_of(network_->comm) == 1) return false;
    int news = news_;
    MPI_Allreduce(MPI_IN_PLACE, &news, 1, MPI_INT, MPI_MAX, network_->comm);
    if (news == 0) return false;
    news_ = 0;
    constexpr int tag = 79;
    std::vector<MPI_Request> requests;
    for (std::size_t i = 0; i < out_.size(); ++i) {
      MPI_Irecv(in_[i].data(), static_cast<int>(in_[i].size()), MPI_DOUBLE, network_->shared[i].rank, tag,
                network_->comm, &requests.emplace_back());
      MPI_Isend(out_[i].data(), static_cast<int>(out_[i].size()), MPI_DOUBLE, network_->shared[i].rank, tag,
                network_->comm, &requests.emplace_back());
    }
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
    for (std::size_t i = 0; i < in_.size(); ++i) {
      std::fill(out_[i].begin(), out_[i].end(), std::nan(""));
      for (std::size_t k = 0; k < network_->shared[i].pieces.size(); ++k) {
        const double* values = in_[i].data() + width_ * k;
        if (!std::isnan(values[0])) take(at(network_->shared[i].pieces[k]), values);
      }
    }
    return true;
  }

 private:
  struct Place {
    long piece;
    std::size_t list, number;
  };
  const CutNetwork* network_;
  std::size_t width_;
  std::vector<Place> places_;
  std::vector<std::vector<double>> out_, in_;
  int news_ = 0;
};

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
      laplacian_(std::make_unique<NetworkLaplacian>(network, "flow_")) {
  const std::size_t own = network.own_nodes;
  offset_.assign(own + 1, 0);
  for (const auto& ends : network.piece_nodes) {
    for (const long n : ends) {
      if (at(n) < own) ++offset_[at(n) + 1];
    }
  }
  std::partial_sum(offset_.begin(), offset_.end(), offset_.begin());
  piece_.resize(at(offset_.back()));
  std::vector<long> next(offset_.begin(), offset_.end() - 1);
  for (std::size_t p = 0; p < network.pieces(); ++p) {
    for (const long n : network.piece_nodes[p]) {
      if (at(n) < own) piece_[at(next[at(n)]++)] = static_cast<long>(p);
    }
  }
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
    const double viscosity = laws_.viscosity(2 * radius_[p], haematocrit[p]);
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
    for (long e = offset_[n]; e < offset_[n + 1]; ++e) given[n] -= 0.5 * state.leak[at(piece_[at(e)])];
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

namespace {

std::size_t upstream(const CutNetwork& network, const BloodFlow& state, std::size_t p) {
  return at(network.piece_nodes[p][state.flow[p] >= 0 ? 0 : 1]);
}
std::size_t downstream(const CutNetwork& network, const BloodFlow& state, std::size_t p) {
  return at(network.piece_nodes[p][state.flow[p] >= 0 ? 1 : 0]);
}
double entering(const BloodFlow& state, std::size_t p) { return std::abs(state.flow[p]) + 0.5 * state.leak[p]; }
double leaving(const BloodFlow& state, std::size_t p) { return std::abs(state.flow[p]) - 0.5 * state.leak[p]; }

}  // namespace

std::vector<char> FlowSolver::passable(const BloodFlow& state, double least) const {
  // From the outlets upstream, node by node.
  const CutNetwork& net = *network_;
  std::vector<char> open(net.own_nodes, 0), passes(net.pieces(), 0);
  std::vector<std::size_t> queue;
  const auto reach = [&](std::size_t n) {
    if (n >= net.own_nodes || open[n]) return;
    open[n] = 1;
    queue.push_back(n);
  };
  for (std::size_t n = 0; n < net.own_nodes; ++n) {
    if (state.inflow[n] < -least) reach(n);
  }
  Relay relay(net, 1);
  do {
    while (!queue.empty()) {
      const std::size_t n = queue.back();
      queue.pop_back();
      for (long e = offset_[n]; e < offset_[n + 1]; ++e) {
        const std::size_t p = at(piece_[at(e)]);
        if (downstream(net, state, p) != n || std::abs(state.flow[p]) <= least) continue;
        // Not through pieces that lose most of their blood, nor through those that fluid enters from both ends.
        if (entering(state, p) <= 0 || leaving(state, p) <= half * entering(state, p)) continue;
        passes[p] = 1;
        reach(upstream(net, state, p));
        relay.put(p, {1.0});
      }
    }
  } while (relay.round([&](std::size_t p, const double*) {
    passes[p] = 1;
    reach(upstream(net, state, p));
  }));
  return passes;
}

/// Lists of what leaves a node, kept for the next one.
struct FlowSolver::Daughters {
  std::vector<std::size_t> piece;
  std::vector<double> flow, diameter, haematocrit;
};

void FlowSolver::enter_node(std::size_t n, const std::vector<char>& passes, Daughters& daughters,
                            BloodFlow& state) const {
  const CutNetwork& net = *network_;
  double red_cells = 0, plasma = 0, protein = 0, feeding = 0, width = 0, from_outside = 0;
  if (state.inflow[n] > 0) {
    const double stated = net.boundary_haematocrit[n];
    red_cells = from_outside = state.inflow[n] * (std::isnan(stated) ? laws_.inlet_haematocrit : stated);
    plasma = protein = state.inflow[n] - red_cells;
  }
  auto& [out, out_flow, out_diameter, out_haematocrit] = daughters;
  out.clear();
  for (long e = offset_[n]; e < offset_[n + 1]; ++e) {
    const std::size_t p = at(piece_[at(e)]);
    if (downstream(net, state, p) == n) {
      const double arrives = leaving(state, p);
      if (arrives <= 0) continue;
      red_cells += state.red_cells[p];
      plasma += arrives - state.red_cells[p];
      protein += passes[p] ? state.protein[p] : arrives;
      feeding += arrives;
      width += arrives * 2 * radius_[p];
    } else if (passes[p]) {
      out.push_back(p);
    }
  }
  if (out.empty()) return;
  state.red_inflow[n] = from_outside;
  double blood = state.inflow[n] < 0 ? -state.inflow[n] : 0.0;
  out_flow.clear();
  out_diameter.clear();
  for (const std::size_t p : out) {
    out_flow.push_back(entering(state, p));
    out_diameter.push_back(2 * radius_[p]);
    blood += entering(state, p);
  }
  out_haematocrit.assign(out.size(), red_cells / blood);
  if (out.size() > 1 && state.inflow[n] >= 0 && red_cells > 0) {
    // Several vessels that feed one node count by their flow, so that nothing jumps where one of them comes to rest.
    width = feeding > 0 ? width / feeding : *std::max_element(out_diameter.begin(), out_diameter.end());
    laws_.split(red_cells / blood, width, out_flow, out_diameter, out_haematocrit);
  }
  // Ten times the protein holds back any filtration there is, a tenth is none; behind the bounds rounding runs away.
  const double concentration = plasma > 0 ? std::clamp(protein / plasma, 0.1, 10.0) : 1.0;
  for (std::size_t k = 0; k < out.size(); ++k) {
    state.red_cells[out[k]] = out_haematocrit[k] * out_flow[k];
    state.plasma[out[k]] = std::max(out_flow[k] - state.red_cells[out[k]], 0.0);
    state.protein[out[k]] = concentration * state.plasma[out[k]];
  }
}

void FlowSolver::sweep(BloodFlow& state) const {
  const CutNetwork& net = *network_;
  const double least = negligible * largest_of(state.flow, net.comm);
  // Red cells enter only what leads on to an outlet: what ends in the tissue takes plasma alone.
  const std::vector<char> passes = passable(state, least);
  state.red_cells.assign(net.pieces(), 0.0);
  state.haematocrit.assign(net.pieces(), 0.0);
  state.protein.assign(net.pieces(), 0.0);
  state.plasma.assign(net.pieces(), 0.0);
  state.red_inflow.assign(net.nodes(), 0.0);
  // A node's turn comes when all that brings it red cells is known.
  std::vector<int> waits(net.own_nodes, 0);
  for (std::size_t p = 0; p < net.pieces(); ++p) {
    const std::size_t n = downstream(net, state, p);
    if (passes[p] && n < net.own_nodes) ++waits[n];
  }
  std::vector<std::size_t> queue;
  for (std::size_t n = net.own_nodes; n-- > 0;) {
    if (waits[n] == 0) queue.push_back(n);
  }
  const auto arrive = [&](std::size_t p) {
    const std::size_t n = downstream(net, state, p);
    if (n < net.own_nodes && --waits[n] == 0) queue.push_back(n);
  };
  Relay relay(net, 3);
  Daughters daughters;
  do {
    while (!queue.empty()) {
      const std::size_t n = queue.back();
      queue.pop_back();
      enter_node(n, passes, daughters, state);
      for (long e = offset_[n]; e < offset_[n + 1]; ++e) {
        const std::size_t p = at(piece_[at(e)]);
        if (!passes[p] || upstream(net, state, p) != n) continue;
        relay.put(p, {state.red_cells[p], state.plasma[p], state.protein[p]});
        arrive(p);
      }
    }
  } while (relay.round([&](std::size_t p, const double* values) {
    state.red_cells[p] = values[0];
    state.plasma[p] = values[1];
    state.protein[p] = values[2];
    arrive(p);
  }));
  for (std::size_t p = 0; p < net.pieces(); ++p) {
    if (passes[p]) state.haematocrit[p] = state.red_cells[p] / std::abs(state.flow[p]);
  }
  net.node_halo.update(std::span<double>(state.red_inflow));
}

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

std::vector<double> FlowSolver::slow_weights(const BloodFlow& state) const {
  const double largest = largest_of(state.flow, network_->comm);
  std::vector<double> weight(network_->own_pieces, 0.0);
  for (std::size_t p = 0; p < weight.size() && largest > 0; ++p) {
    const double share = std::min(1.0, std::abs(state.flow[p]) / (slow * largest));
    weight[p] = share * share;
  }
  return weight;
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
  std::vector<double> used = state.viscous_haematocrit, best = used;
  std::vector<double> mixing(pieces, 0.5), limit(pieces, 1.0), residual(pieces), last_used, last_residual, weight;
  std::deque<std::vector<double>> values, residuals;  // differences of the last iterations
  double least = 1e300, imbalance = coarsest;
  bool accelerated = false;
  const auto iterate = [&](double pressure_tolerance) {
    flows_at(conductance(used), state, pressure_tolerance);
    sweep(state);
    state.change = weighted_change(state, used);
  };
  const auto forget = [&] {
    values.clear();
    residuals.clear();
    last_used.clear();
  };
  state.converged = state.oscillating = false;
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
    if (state.change <= tolerance) {
      state.converged = true;
      break;
    }
    imbalance = std::clamp(pressure_share * state.change, exact, std::min(imbalance * 10, coarsest));
    for (std::size_t p = 0; p < pieces; ++p) residual[p] = state.haematocrit[p] - used[p];
    if (accelerated ? state.change > 10 * near_end : state.change < near_end) {
      accelerated = !accelerated;
      forget();
    }
    constexpr double slowest = 0.01, fastest = 3.0, growth = 1.1;
    constexpr double swings = 0.7, damping = 0.7, recovery = 1.02;
    if (!last_used.empty()) {
      for (std::size_t p = 0; p < pieces; ++p) {
        const double dx = used[p] - last_used[p], f = residual[p], before = last_residual[p], df = f - before;
        // A residual that swings without falling lowers what the factor may grow to again.
        const bool swinging = f * before < 0 && std::abs(f) > swings * std::abs(before);
        limit[p] = swinging ? std::max(slowest, limit[p] * damping) : std::min(fastest, limit[p] * recovery);
        const double secant = dx * df < 0 ? -dx / df : mixing[p] * growth;
        mixing[p] = std::clamp(0.5 * (mixing[p] + secant), slowest, limit[p]);
      }
      if (accelerated) {
        for (std::size_t p = 0; p < pieces; ++p) {
          last_used[p] = used[p] - last_used[p];
          last_residual[p] = residual[p] - last_residual[p];
        }
        values.push_back(std::move(last_used));
        residuals.push_back(std::move(last_residual));
        if (values.size() > depth) {
          values.pop_front();
          residuals.pop_front();
        }
      }
    }
    std::vector<double> mix;
    if (!residuals.empty()) {
      weight = slow_weights(state);
      mix = least_squares(network_->comm, network_->own_pieces, residuals, residual, weight);
    }
    last_used = used;
    last_residual = residual;
    for (std::size_t p = 0; p < pieces; ++p) {
      double next = used[p] + mixing[p] * residual[p];
      for (std::size_t k = 0; k < mix.size(); ++k) next -= mix[k] * (values[k][p] + mixing[p] * residuals[k][p]);
      used[p] = std::clamp(next, 0.0, 0.95);
    }
  }
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
