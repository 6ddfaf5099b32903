#include "solvers/network/flow.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numbers>
#include <numeric>

#include "base/error.hpp"

namespace sanctuary {
namespace {

constexpr double negligible = 1e-13;  // of the largest flow: such a flow carries no red cells
constexpr double slow = 1e-3;         // of the largest flow: below it, rounding of the pressures moves the haematocrit
constexpr double rounding = 1e-7;     // a change that stalls below it is the pressures' rounding, not a cycle
constexpr double half = 0.5;          // a piece that filters off more of its blood than this lets no red cells through

constexpr std::size_t depth = 8;  // iterations that Anderson's acceleration remembers

std::size_t at(long i) { return static_cast<std::size_t>(i); }

/// Factors that best combine `columns` into `target`: normal equations with a touch of regularisation.
std::vector<double> least_squares(const std::deque<std::vector<double>>& columns, const std::vector<double>& target) {
  const std::size_t m = columns.size();
  std::vector<double> a(m * m), b(m);
  for (std::size_t i = 0; i < m; ++i) {
    b[i] = std::inner_product(columns[i].begin(), columns[i].end(), target.begin(), 0.0);
    for (std::size_t j = 0; j <= i; ++j) {
      a[i * m + j] = a[j * m + i] = std::inner_product(columns[i].begin(), columns[i].end(), columns[j].begin(), 0.0);
    }
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

}  // namespace

std::vector<double> BloodFlow::red_cells_arriving(const CutNetwork& network) const {
  std::vector<double> net(network.nodes(), 0.0);
  for (std::size_t p = 0; p < network.pieces(); ++p) {
    const auto [first, second] = network.piece_nodes[p];
    const double forward = flow[p] >= 0 ? red_cells[p] : -red_cells[p];
    net[at(first)] -= forward;
    net[at(second)] += forward;
  }
  return net;
}

FlowSolver::FlowSolver(const CutNetwork& network, std::vector<double> radius, BloodLaws laws)
    : network_(&network), radius_(std::move(radius)), laws_(std::move(laws)) {
  const std::size_t nodes = network.nodes(), pieces = network.pieces();
  offset_.assign(nodes + 1, 0);
  for (const auto& ends : network.piece_nodes) {
    ++offset_[at(ends[0]) + 1];
    ++offset_[at(ends[1]) + 1];
  }
  std::partial_sum(offset_.begin(), offset_.end(), offset_.begin());
  piece_.resize(2 * pieces);
  std::vector<long> next(offset_.begin(), offset_.end() - 1);
  for (std::size_t p = 0; p < pieces; ++p) {
    for (const long n : network.piece_nodes[p]) piece_[at(next[at(n)]++)] = static_cast<long>(p);
  }

  fixed_.assign(nodes, 0);
  bool any = false;
  for (std::size_t n = 0; n < nodes; ++n) {
    fixed_[n] = network.boundary[n] == BoundaryKind::pressure;
    any = any || fixed_[n];
  }
  if (!any) {
    throw InputError(
        "the network has no node with a given pressure, so the level of pressure is open: give at least one boundary "
        "node a pressure, or set network.reference_pressure");
  }
  std::vector<char> seen(nodes, 0);
  std::vector<long> part;
  for (std::size_t first = 0; first < nodes; ++first) {
    if (seen[first]) continue;
    part.assign(1, static_cast<long>(first));
    seen[first] = 1;
    bool has_pressure = false, has_flow = false;
    for (std::size_t head = 0; head < part.size(); ++head) {
      const std::size_t n = at(part[head]);
      has_pressure = has_pressure || network.boundary[n] == BoundaryKind::pressure;
      has_flow = has_flow || (network.boundary[n] == BoundaryKind::flow && network.boundary_value[n] != 0);
      for (long e = offset_[n]; e < offset_[n + 1]; ++e) {
        const auto& ends = network.piece_nodes[at(piece_[at(e)])];
        const long other = ends[0] == static_cast<long>(n) ? ends[1] : ends[0];
        if (!seen[at(other)]) {
          seen[at(other)] = 1;
          part.push_back(other);
        }
      }
    }
    if (has_flow && !has_pressure) {
      throw InputError(
          "a connected part of the network (" + std::to_string(part.size()) +
          " nodes) has boundary flows but no boundary pressure: give one of its boundary nodes a pressure");
    }
    if (!has_pressure) fixed_[first] = 1;  // an unperfused part: its level is arbitrary and its flow zero
  }

  petsc(MatCreateSeqAIJ(PETSC_COMM_SELF, static_cast<PetscInt>(nodes), static_cast<PetscInt>(nodes), 12, nullptr,
                        matrix_.out()));
  petsc(MatSetOption(matrix_.get(), MAT_NEW_NONZERO_ALLOCATION_ERR, PETSC_FALSE));
  petsc(MatSetOption(matrix_.get(), MAT_SPD, PETSC_TRUE));
  petsc(KSPCreate(PETSC_COMM_SELF, ksp_.out()));
  petsc(KSPSetOptionsPrefix(ksp_.get(), "flow_"));
  petsc(KSPSetType(ksp_.get(), KSPPREONLY));
  PC pc = nullptr;
  petsc(KSPGetPC(ksp_.get(), &pc));
  petsc(PCSetType(pc, PCCHOLESKY));
  petsc(KSPSetFromOptions(ksp_.get()));
}

std::vector<double> FlowSolver::conductance(const std::vector<double>& haematocrit) const {
  std::vector<double> result(radius_.size());
  for (std::size_t p = 0; p < result.size(); ++p) {
    const double viscosity = laws_.viscosity(2 * radius_[p], haematocrit[p]);
    result[p] = std::numbers::pi * std::pow(radius_[p], 4) / (8 * viscosity * network_->piece_length[p]);
  }
  return result;
}

void FlowSolver::solve_pressure(const std::vector<double>& conductance, BloodFlow& state) const {
  const std::size_t nodes = network_->nodes();
  const double unit = *std::max_element(conductance.begin(), conductance.end());
  std::vector<double> rhs(nodes, 0.0);
  Mat a = matrix_.get();
  petsc(MatZeroEntries(a));
  const auto add = [&](long row, long column, double value) {
    petsc(MatSetValue(a, static_cast<PetscInt>(row), static_cast<PetscInt>(column), value, ADD_VALUES));
  };
  for (std::size_t p = 0; p < conductance.size(); ++p) {
    const auto [i, j] = network_->piece_nodes[p];
    const double g = conductance[p] / unit;
    const double half = 0.5 * state.leak[p] / unit;
    const std::array<std::array<long, 2>, 2> both{{{i, j}, {j, i}}};
    for (const auto& [self, other] : both) {
      if (fixed_[at(self)]) {
        add(self, self, 0.0);
        continue;
      }
      add(self, self, g);
      rhs[at(self)] -= half;
      if (fixed_[at(other)]) {
        rhs[at(self)] += g * network_->boundary_value[at(other)];
      } else {
        add(self, other, -g);
      }
    }
  }
  for (std::size_t n = 0; n < nodes; ++n) {
    if (fixed_[n]) {
      add(static_cast<long>(n), static_cast<long>(n), 1.0);
      rhs[n] = network_->boundary_value[n];
    } else {
      if (offset_[n] == offset_[n + 1]) add(static_cast<long>(n), static_cast<long>(n), 1.0);
      if (network_->boundary[n] == BoundaryKind::flow) rhs[n] += network_->boundary_value[n] / unit;
    }
  }
  petsc(MatAssemblyBegin(a, MAT_FINAL_ASSEMBLY));
  petsc(MatAssemblyEnd(a, MAT_FINAL_ASSEMBLY));
  petsc(KSPSetOperators(ksp_.get(), a, a));
  VecHandle b, x, correction;
  petsc(MatCreateVecs(a, x.out(), b.out()));
  petsc(VecDuplicate(x.get(), correction.out()));
  {
    WriteAccess values(b.get());
    std::copy(rhs.begin(), rhs.end(), values.data());
  }
  petsc(VecSet(x.get(), 0.0));
  VecHandle residual;
  petsc(VecDuplicate(b.get(), residual.out()));
  petsc(VecCopy(b.get(), residual.get()));
  for (int refinement = 0; refinement < 3; ++refinement) {
    petsc(KSPSolve(ksp_.get(), residual.get(), correction.get()));
    petsc(VecAXPY(x.get(), 1.0, correction.get()));
    petsc(MatMult(a, x.get(), residual.get()));
    petsc(VecAYPX(residual.get(), -1.0, b.get()));
  }
  ReadAccess values(x.get());
  state.pressure.assign(values.data(), values.data() + nodes);
}

void FlowSolver::flows_from_pressure(const std::vector<double>& conductance, BloodFlow& state) const {
  state.flow.resize(conductance.size());
  state.inflow.assign(network_->nodes(), 0.0);
  for (std::size_t p = 0; p < conductance.size(); ++p) {
    const auto [i, j] = network_->piece_nodes[p];
    state.flow[p] = conductance[p] * (state.pressure[at(i)] - state.pressure[at(j)]);
    state.inflow[at(i)] += state.flow[p] + 0.5 * state.leak[p];
    state.inflow[at(j)] -= state.flow[p] - 0.5 * state.leak[p];
  }
  for (std::size_t n = 0; n < network_->nodes(); ++n) {
    if (network_->boundary[n] == BoundaryKind::flow) state.inflow[n] = network_->boundary_value[n];
    if (network_->boundary[n] == BoundaryKind::none) state.inflow[n] = 0;
  }
}

void FlowSolver::sweep(BloodFlow& state) const {
  const std::size_t nodes = network_->nodes(), pieces = network_->pieces();
  double largest = 0;
  for (const double q : state.flow) largest = std::max(largest, std::abs(q));
  const double least = negligible * largest;
  std::vector<long> order(nodes);
  std::iota(order.begin(), order.end(), 0L);
  std::sort(order.begin(), order.end(), [&](long a, long b) {
    if (state.pressure[at(a)] != state.pressure[at(b)]) return state.pressure[at(a)] > state.pressure[at(b)];
    return a < b;
  });
  const auto upstream = [&](std::size_t p) { return network_->piece_nodes[p][state.flow[p] >= 0 ? 0 : 1]; };
  const auto downstream = [&](std::size_t p) { return network_->piece_nodes[p][state.flow[p] >= 0 ? 1 : 0]; };
  const auto entering = [&](std::size_t p) { return std::abs(state.flow[p]) + 0.5 * state.leak[p]; };
  const auto leaving = [&](std::size_t p) { return std::abs(state.flow[p]) - 0.5 * state.leak[p]; };

  // Red cells enter only what leads on to an outlet: what ends in the tissue takes plasma alone.
  std::vector<char> open(nodes, 0), passable(pieces, 0);
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const std::size_t n = at(*it);
    open[n] = state.inflow[n] < -least;
    for (long e = offset_[n]; e < offset_[n + 1] && !open[n]; ++e) {
      const std::size_t p = at(piece_[at(e)]);
      if (upstream(p) == *it && passable[p]) open[n] = 1;
    }
    if (!open[n]) continue;
    for (long e = offset_[n]; e < offset_[n + 1]; ++e) {
      const std::size_t p = at(piece_[at(e)]);
      if (downstream(p) == *it && std::abs(state.flow[p]) > least && leaving(p) > half * entering(p)) passable[p] = 1;
    }
  }

  state.red_cells.assign(pieces, 0.0);
  state.haematocrit.assign(pieces, 0.0);
  state.protein.assign(pieces, 0.0);
  state.plasma.assign(pieces, 0.0);
  state.red_inflow.assign(nodes, 0.0);
  std::vector<std::size_t> out;
  std::vector<double> out_flow, out_diameter, out_haematocrit;
  for (const long n : order) {
    double red_cells = 0, plasma = 0, protein = 0, feeding = 0, width = 0, from_outside = 0;
    if (state.inflow[at(n)] > 0) {
      const double stated = network_->boundary_haematocrit[at(n)];
      red_cells = from_outside = state.inflow[at(n)] * (std::isnan(stated) ? laws_.inlet_haematocrit : stated);
      plasma = protein = state.inflow[at(n)] - red_cells;
    }
    out.clear();
    for (long e = offset_[at(n)]; e < offset_[at(n) + 1]; ++e) {
      const std::size_t p = at(piece_[at(e)]);
      if (downstream(p) == n) {
        const double arrives = leaving(p);
        if (arrives <= 0) continue;
        red_cells += state.red_cells[p];
        plasma += arrives - state.red_cells[p];
        protein += passable[p] ? state.protein[p] : arrives;
        feeding += arrives;
        width += arrives * 2 * radius_[p];
      } else if (passable[p]) {
        out.push_back(p);
      }
    }
    if (out.empty()) continue;
    state.red_inflow[at(n)] = from_outside;
    double blood = state.inflow[at(n)] < 0 ? -state.inflow[at(n)] : 0.0;
    out_flow.clear();
    out_diameter.clear();
    for (const std::size_t p : out) {
      out_flow.push_back(entering(p));
      out_diameter.push_back(2 * radius_[p]);
      blood += entering(p);
    }
    out_haematocrit.assign(out.size(), red_cells / blood);
    if (out.size() > 1 && state.inflow[at(n)] >= 0 && red_cells > 0) {
      // Several vessels that feed one node count by their flow, so that nothing jumps where one of them comes to rest.
      width = feeding > 0 ? width / feeding : *std::max_element(out_diameter.begin(), out_diameter.end());
      laws_.split(red_cells / blood, width, out_flow, out_diameter, out_haematocrit);
    }
    // Ten times the protein holds back any filtration there is, a tenth is none; behind the bounds rounding runs away.
    const double concentration = plasma > 0 ? std::clamp(protein / plasma, 0.1, 10.0) : 1.0;
    for (std::size_t k = 0; k < out.size(); ++k) {
      state.red_cells[out[k]] = out_haematocrit[k] * out_flow[k];
      state.haematocrit[out[k]] = state.red_cells[out[k]] / std::abs(state.flow[out[k]]);
      state.plasma[out[k]] = std::max(out_flow[k] - state.red_cells[out[k]], 0.0);
      state.protein[out[k]] = concentration * state.plasma[out[k]];
    }
  }
}

void FlowSolver::balance(BloodFlow& state) const {
  std::vector<double> net = state.inflow;
  double in = 0, red_in = 0, red_net = 0;
  for (const double q : state.inflow) in += std::max(q, 0.0);
  std::vector<double> red(network_->nodes(), 0.0);
  for (std::size_t p = 0; p < state.flow.size(); ++p) {
    const auto [i, j] = network_->piece_nodes[p];
    net[at(i)] -= state.end_flow(p, 0);
    net[at(j)] += state.end_flow(p, 1);
    const double signed_red = state.flow[p] >= 0 ? state.red_cells[p] : -state.red_cells[p];
    red[at(i)] -= signed_red;
    red[at(j)] += signed_red;
  }
  state.blood_imbalance = 0;
  for (std::size_t n = 0; n < net.size(); ++n) {
    if (!(fixed_[n] && network_->boundary[n] == BoundaryKind::none))
      state.blood_imbalance = std::max(state.blood_imbalance, std::abs(net[n]));
    red_in += state.red_inflow[n];
  }
  // What arrives at a node must leave it: through a piece or, where blood leaves, through the boundary.
  for (std::size_t n = 0; n < net.size(); ++n) {
    double gain = red[n];
    gain += state.red_inflow[n];
    if (state.inflow[n] >= 0) red_net = std::max(red_net, std::abs(gain));
  }
  state.blood_imbalance = in > 0 ? state.blood_imbalance / in : state.blood_imbalance;
  state.red_cell_imbalance = red_in > 0 ? red_net / red_in : red_net;
}

double FlowSolver::weighted_change(const BloodFlow& state, const std::vector<double>& haematocrit) const {
  double largest = 0, change = 0;
  for (const double q : state.flow) largest = std::max(largest, std::abs(q));
  for (std::size_t p = 0; p < haematocrit.size(); ++p) {
    const double weight = largest > 0 ? std::min(1.0, std::abs(state.flow[p]) / (slow * largest)) : 0.0;
    change = std::max(change, weight * std::abs(state.haematocrit[p] - haematocrit[p]));
  }
  return change;
}

void FlowSolver::solve(BloodFlow& state, double tolerance, int max_iterations) const {
  const std::size_t pieces = network_->pieces();
  if (state.leak.size() != pieces) state.leak.assign(pieces, 0.0);
  if (state.viscous_haematocrit.size() != pieces) state.viscous_haematocrit.assign(pieces, laws_.inlet_haematocrit);
  std::vector<double> used = state.viscous_haematocrit, best = used;
  double least = 1e300;
  int since_best = 0;
  double step = 0.5;                                  // mixing of the plain iteration; falls where it runs in circles
  std::deque<std::vector<double>> values, residuals;  // differences of the last iterations
  std::vector<double> last_used, last_residual;
  state.converged = state.oscillating = false;
  for (state.iterations = 1; state.iterations <= max_iterations; ++state.iterations) {
    const std::vector<double> g = conductance(used);
    solve_pressure(g, state);
    flows_from_pressure(g, state);
    sweep(state);
    state.change = weighted_change(state, used);
    if (state.change <= tolerance) {
      state.converged = true;
      best = used;
      break;
    }
    std::vector<double> residual(pieces);
    for (std::size_t p = 0; p < pieces; ++p) residual[p] = state.haematocrit[p] - used[p];
    bool restart = false;
    if (state.change < least) {
      if (state.change < 0.9 * least) since_best = 0;
      least = state.change;
      best = used;
    } else if (state.change > 20 * least || ++since_best > 25) {
      // Back to the best state with shorter, plain steps.
      step = std::max(0.05, 0.5 * step);
      since_best = 0;
      restart = true;
    }
    if (restart) {
      values.clear();
      residuals.clear();
      last_used.clear();
      used = best;
      for (std::size_t p = 0; p < pieces; ++p) used[p] = std::clamp(used[p] + 0.3 * step * residual[p], 0.0, 0.95);
      least *= 1.5;
      continue;
    }
    if (!last_used.empty()) {
      std::vector<double> dx(pieces), df(pieces);
      for (std::size_t p = 0; p < pieces; ++p) {
        dx[p] = used[p] - last_used[p];
        df[p] = residual[p] - last_residual[p];
      }
      values.push_back(std::move(dx));
      residuals.push_back(std::move(df));
      if (values.size() > depth) {
        values.pop_front();
        residuals.pop_front();
      }
    }
    last_used = used;
    last_residual = residual;
    const std::vector<double> mix = least_squares(residuals, residual);
    for (std::size_t p = 0; p < pieces; ++p) {
      double next = used[p] + step * residual[p];
      for (std::size_t k = 0; k < mix.size(); ++k) next -= mix[k] * (values[k][p] + step * residuals[k][p]);
      used[p] = std::clamp(next, 0.0, 0.95);
    }
  }
  if (!state.converged) {
    const std::vector<double> g = conductance(best);
    solve_pressure(g, state);
    flows_from_pressure(g, state);
    sweep(state);
    state.change = weighted_change(state, best);
    state.converged = state.change <= rounding;
  }
  state.oscillating = !state.converged;
  state.viscous_haematocrit = std::move(best);
  balance(state);
}

}  // namespace sanctuary
