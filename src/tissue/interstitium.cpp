#include "tissue/interstitium.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

std::size_t at(long i) { return static_cast<std::size_t>(i); }

}  // namespace

double relative_oncotic_pressure(double protein) {
  constexpr double a = 2.1, b = 0.16 * 6, c = 0.009 * 36;
  return (a + (b + c * protein) * protein) * protein / (a + b + c);
}

Filtration concentrating_filtration(double conductance, double pressure_difference, double oncotic,
                                    double protein_oncotic, double plasma, double protein) {
  // g (dp - ...) - J falls with J: a root is bracketed by the filtration at inlet strength and by what the plasma
  // holds.
  const auto excess = [&](double flow) {
    const double strength = protein / (plasma - flow);
    return conductance * (pressure_difference - oncotic - protein_oncotic * (relative_oncotic_pressure(strength) - 1)) -
           flow;
  };
  double low = std::min(0.0, excess(0.0)), high = std::min(plasma * (1 - 1e-6), std::max(excess(0.0), 0.0));
  if (low < 0) low = std::min(low, -1e-300);
  for (int i = 0; i < 200 && high - low > 1e-16 * (std::abs(high) + std::abs(low)); ++i) {
    const double middle = 0.5 * (low + high);
    (excess(middle) > 0 ? low : high) = middle;
  }
  Filtration result;
  result.flow = 0.5 * (low + high);
  const double strength = protein / (plasma - result.flow);
  const double step = 1e-6 * strength;
  const double rise =
      (relative_oncotic_pressure(strength + step) - relative_oncotic_pressure(strength - step)) / (2 * step);
  result.slope = conductance / (1 + conductance * protein_oncotic * rise * strength / (plasma - result.flow));
  return result;
}

FluidSolver::FluidSolver(const Grid& grid, const EmbeddedNetwork* network, const FlowSolver* flow)
    : grid_(&grid),
      network_(network),
      flow_(flow),
      op_(grid),
      inverse_(network ? std::make_unique<PressureInverse>(network->network(), "pressure_inverse_") : nullptr),
      solver_(grid, network ? network->local_unknowns(false) : 0, "pressure_", true, inverse_.get()) {
  rhs_cells_ = grid.vector();
  if (!network_) return;
  const PetscInt nodes = network_->local_unknowns(false);
  exchange_ = std::make_unique<VesselExchange>(
      grid, exchange_rows(grid.comm(), network_->exchange(), ExchangeForm::own_vessel).geometry, nodes);
  // Room for all entries: the matrix would move all it holds for each that has none.
  std::vector<PetscInt> of_node(network_->nodes(), 1);
  for (const auto& ends : network_->network().piece_nodes) {
    for (const long n : ends) {
      if (at(n) < of_node.size()) ++of_node[at(n)];
    }
  }
  const std::vector<PetscInt> others = of_node;
  for (PetscInt& n : of_node) n = std::min(n, nodes);
  petsc(MatCreateAIJ(grid.comm(), nodes, nodes, PETSC_DETERMINE, PETSC_DETERMINE, 0, of_node.data(), 0, others.data(),
                     n_.out()));
  petsc(MatSetOption(n_.get(), MAT_NEW_NONZERO_ALLOCATION_ERR, PETSC_FALSE));
  rhs_network_ = solver_.network_vector();
}

void FluidSolver::assemble(const FluidTissue& tissue, const FluidWall& wall, const std::vector<double>& conductance,
                           const std::vector<char>& draining) {
  const double volume = grid_->cell_volume();
  op_.reset(tissue.walls);
  op_.add_diffusion(tissue.conductivity);
  petsc(VecSet(rhs_cells_.get(), 0.0));
  op_.add_wall_source(rhs_cells_.get());
  const WriteAccess rhs(rhs_cells_.get());
  auto& diagonal = op_.diagonal();
  for (std::size_t c = 0; c < diagonal.size(); ++c) {
    if (draining[c]) {
      diagonal[c] += tissue.lymph_conductance[c] * volume;
      rhs[c] += tissue.lymph_conductance[c] * volume * tissue.lymph_pressure;
    }
    if (!tissue.filtration.empty()) {
      diagonal[c] += tissue.filtration[c] * volume;
      rhs[c] += tissue.filtration[c] * volume * tissue.effective_pressure[c];
    }
  }
  if (!network_) return;

  const CutNetwork& cut = network_->network();
  petsc(MatZeroEntries(n_.get()));
  petsc(VecSet(rhs_network_.get(), 0.0));
  const auto add = [&](PetscInt row, PetscInt column, double value) {
    petsc(MatSetValue(n_.get(), row, column, value, ADD_VALUES));
  };
  const auto& fixed = flow_->fixed();
  const double unit =
      max_over(grid_->comm(), conductance.empty() ? 0.0 : *std::max_element(conductance.begin(), conductance.end()));
  for (std::size_t n = 0; n < network_->nodes(); ++n) {
    const PetscInt row = network_->node_row(static_cast<long>(n), false);
    add(row, row, fixed[n] ? unit : 0.0);
    petsc(VecSetValue(rhs_network_.get(), row, fixed[n] ? unit * cut.boundary_value[n] : flow_->given_flow(n),
                      ADD_VALUES));
  }
  walls_.clear();
  links_.clear();
  std::vector<double> known(network_->pieces());  // of the mean in the lumen
  for (std::size_t i = 0; i < network_->pieces(); ++i) {
    walls_.push_back({wall.conductance[i], wall.conductance[i], tissue.conductivity[network_->piece_cell()[i]]});
    LumenLink link;
    known[i] = -wall.oncotic[i];
    for (int end = 0; end < 2; ++end) {
      const long self = cut.piece_nodes[i][at(end)], other = cut.piece_nodes[i][at(1 - end)];
      if (fixed[at(self)]) {
        known[i] += 0.5 * cut.boundary_value[at(self)];
        continue;
      }
      const PetscInt row = network_->node_row(self, false);
      link.mean[at(end)] = link.loss[at(end)] = row;
      link.mean_weight[at(end)] = link.loss_weight[at(end)] = 0.5;
      add(row, row, conductance[i]);
      if (fixed[at(other)]) {
        petsc(VecSetValue(rhs_network_.get(), row, conductance[i] * cut.boundary_value[at(other)], ADD_VALUES));
      } else {
        add(row, network_->node_row(other, false), -conductance[i]);
      }
    }
    links_.push_back(link);
  }
  exchange_->set(walls_, links_);
  exchange_->add_to_network(n_.get());
  for (std::size_t c = 0; c < diagonal.size(); ++c) diagonal[c] += exchange_->cell_diagonal()[c];
  // What does not hang on the unknowns moves to the right-hand sides.
  const VecHandle nothing = grid_->vector(), gained = grid_->vector();
  constant_leak_ = exchange_->flow(nothing.get(), known);
  exchange_->add_to_cells(constant_leak_, gained.get());
  {
    const ReadAccess g(gained.get());
    for (std::size_t c = 0; c < diagonal.size(); ++c) rhs[c] += g[c];
  }
  for (std::size_t i = 0; i < network_->pieces(); ++i) {
    for (const PetscInt row : links_[i].loss) {
      if (row >= 0) petsc(VecSetValue(rhs_network_.get(), row, -0.5 * constant_leak_[i], ADD_VALUES));
    }
  }
  petsc(MatAssemblyBegin(n_.get(), MAT_FINAL_ASSEMBLY));
  petsc(MatAssemblyEnd(n_.get(), MAT_FINAL_ASSEMBLY));
  petsc(VecAssemblyBegin(rhs_network_.get()));
  petsc(VecAssemblyEnd(rhs_network_.get()));
}

void FluidSolver::solve(const FluidTissue& tissue, const FluidWall& given, FluidState& state) {
  FluidWall wall = given;  // in the rounds below: the filtration of each piece, linearised
  const MPI_Comm comm = grid_->comm();
  const std::size_t cells = grid_->local_cells();
  const double volume = grid_->cell_volume();
  if (!state.pressure) state.pressure = grid_->vector();
  double scale = 1;
  for (const double p : tissue.walls.value) scale = std::max(scale, std::abs(p));
  for (const double p : tissue.effective_pressure) scale = std::max(scale, std::abs(p));
  if (network_) {
    const CutNetwork& cut = network_->network();
    for (std::size_t n = 0; n < cut.nodes(); ++n) {
      if (cut.boundary[n] == BoundaryKind::pressure) scale = std::max(scale, std::abs(cut.boundary_value[n]));
    }
    for (const double p : wall.oncotic) scale = std::max(scale, std::abs(p));
    flow_->solve(state.blood);
  }
  scale = max_over(comm, scale);

  VecHandle nodes;
  if (network_) nodes = solver_.network_vector();
  std::vector<char> draining(cells, 0);
  state.outer_iterations = state.linear_iterations = 0;
  bool settled = false;
  bool frozen = network_ && !state.blood.converged;  // no steady haematocrit: the resistances stay as they are
  constexpr int most = 200;
  constexpr double settled_at = 1e-10, haematocrit_settled_at = 4e-9;
  double mixing = 0.7;  // of the new filtration: blood that thins upstream answers a round later
  double least_drift = std::numeric_limits<double>::infinity();
  int without_progress = 0;
  // Filtration grows in from a small part over the first rounds: all at once it could leave no blood to concentrate.
  const bool grows = network_ && !given.protein_oncotic.empty();
  double part = grows ? 0.05 : 1.0;
  for (double& w : wall.conductance) w *= part;
  constexpr char most_turns = 4;
  constexpr int patience = 40;
  constexpr double least_slope = 1e-6;  // of the wall's: keeps the pressure defined where nothing flows
  double last_total = std::numeric_limits<double>::infinity();
  std::vector<char> carried(wall.conductance.size(), 0), turns(carried);
  while (!settled && state.outer_iterations < most) {
    ++state.outer_iterations;
    const std::vector<double> conductance =
        network_ ? flow_->conductance(state.blood.viscous_haematocrit) : std::vector<double>{};
    assemble(tissue, wall, conductance, draining);
    if (solver_.iterative()) inverse_->set_conductance(conductance, wall.conductance, flow_->fixed());
    NetworkBlocks blocks;
    if (network_) {
      blocks = {n_.get(), exchange_->to_cells(), exchange_->from_cells(),
                network_->plain() ? nullptr : exchange_->cells(), nullptr};
    }
    solver_.set(op_, blocks);
    const SolveReport report =
        solver_.solve(rhs_cells_.get(), rhs_network_.get(), scale, tolerance, state.pressure.get(), nodes.get());
    state.linear_iterations += report.iterations;
    if (!report.converged)
      throw NumericsError("interstitial pressure: the linear solve failed (" + report.reason + ")");
    state.residual =
        solver_.scaled_residual(rhs_cells_.get(), rhs_network_.get(), scale, state.pressure.get(), nodes.get());

    double changed = 0;
    {
      const ReadAccess p(state.pressure.get());
      for (std::size_t c = 0; c < cells; ++c) {
        const char now = tissue.lymph_conductance[c] > 0 && p[c] > tissue.lymph_pressure;
        // A cell within rounding of the threshold drains nothing either way and must not keep the loop alive.
        if (now != draining[c] && std::abs(p[c] - tissue.lymph_pressure) > 1e-12 * scale) changed = 1;
        draining[c] = now;
      }
    }
    changed = max_over(comm, changed);
    double drift = 0, filtration_drift = 0, reachable = haematocrit_settled_at;
    if (network_) {
      BloodFlow& blood = state.blood;
      std::vector<double> leak(network_->network().pieces(), 0.0);
      const std::vector<double> pressure = network_->node_values(nodes.get());
      const std::size_t own = network_->pieces();
      const std::vector<double> linear = exchange_->flow(state.pressure.get(), nodes.get());
      for (std::size_t i = 0; i < own; ++i) leak[i] = linear[i] + constant_leak_[i];
      network_->network().piece_halo.update(std::span<double>(leak));
      blood.leak = leak;
      blood.pressure = pressure;
      flow_->flows_at(conductance, blood);
      flow_->sweep(blood);
      flow_->balance(blood);
      if (!given.protein_oncotic.empty()) {
        double total = 0, moved = 0;
        const bool whole = part >= 1;
        part = std::min(1.0, 1.6 * part);
        for (std::size_t p = 0; p < own; ++p) {
          total += std::abs(leak[p]);
          if (given.conductance[p] <= 0) continue;
          const char carries = blood.plasma[p] > 1e-9 * std::abs(blood.flow[p]);
          // Not while filtration grows in: a state that settles anyway must not hang on the way to it.
          if (state.outer_iterations >= patience && carries != carried[p] && turns[p] < most_turns) ++turns[p];
          carried[p] = carries;
          // Blood that now passes, now does not, all but stands: what it filtered would leave its proteins behind until
          // they held the rest.
          if (!carries || turns[p] >= most_turns) {
            wall.conductance[p] = part * given.conductance[p];
            wall.oncotic[p] = given.oncotic[p];
            continue;
          }
          const double difference = leak[p] / wall.conductance[p] + wall.oncotic[p];  // lumen less wall
          const Filtration now = concentrating_filtration(part * given.conductance[p], difference, given.oncotic[p],
                                                          given.protein_oncotic[p], blood.plasma[p], blood.protein[p]);
          moved = std::max(moved, std::abs(now.flow - leak[p]));
          // What still moves after many rounds is blood that all but stands, pushed to and fro by what leaks.
          if (state.outer_iterations >= patience && state.outer_iterations % 10 == 0 &&
              std::abs(now.flow - leak[p]) > settled_at * last_total)
            turns[p] = most_turns;
          const double target = leak[p] + mixing * (now.flow - leak[p]);
          wall.conductance[p] = std::max(now.slope, least_slope * part * given.conductance[p]);
          wall.oncotic[p] = difference - target / wall.conductance[p];
        }
        total = last_total = sum_over(comm, total);
        moved = max_over(comm, moved);
        filtration_drift = !whole ? 1.0 : total > 0 ? moved / total : 0.0;
        if (whole && filtration_drift < 0.9 * least_drift) {
          least_drift = filtration_drift;
          without_progress = 0;
        } else if (whole && ++without_progress >= 4) {
          mixing = std::max(0.1, 0.7 * mixing);
          without_progress = 0;
        }
      }
      if (!frozen && filtration_drift > 1e-4) {
        drift = 1;  // filtration first: it must not pack the red cells while they settle
      } else if (!frozen) {
        // The haematocrit settles at these leaks on the network alone, which is cheap; the next round takes both along.
        BloodFlow refined = blood;
        flow_->solve(refined);
        blood.iterations += refined.iterations;
        if (refined.converged) {
          drift = flow_->weighted_change(refined, blood.viscous_haematocrit);
          blood.change = drift;
          reachable = std::max(haematocrit_settled_at, 3 * refined.change);
          if (drift > reachable) blood.viscous_haematocrit = refined.viscous_haematocrit;
        } else {
          frozen = blood.oscillating = true;
          blood.converged = false;
          blood.change = refined.change;
        }
      }
    }
    settled = changed == 0 && filtration_drift <= settled_at && drift <= reachable;
    if (state.outer_iterations == 1 &&
        (network_ || *std::max_element(tissue.lymph_conductance.begin(), tissue.lymph_conductance.end()) > 0)) {
      settled = false;
    }
    settled = min_over(comm, settled ? 1 : 0) > 0;
  }
  if (!settled) {
    throw NumericsError(
        "blood flow and interstitial pressure did not settle in " + std::to_string(most) +
        " rounds (largest change of a haematocrit " + std::to_string(state.blood.change) +
        "); filtration that rivals the blood flow does this: a denser network or vessel_wall.anchor = off helps");
  }

  state.discharge = FaceField(*grid_);
  op_.flux(state.pressure.get(), state.discharge);
  state.lymph.assign(cells, 0.0);
  state.filtrated.assign(cells, 0.0);
  std::array<double, 2> sum{};
  {
    const ReadAccess p(state.pressure.get());
    for (std::size_t c = 0; c < cells; ++c) {
      if (draining[c]) state.lymph[c] = tissue.lymph_conductance[c] * volume * (p[c] - tissue.lymph_pressure);
      if (!tissue.filtration.empty())
        state.filtrated[c] = tissue.filtration[c] * volume * (tissue.effective_pressure[c] - p[c]);
      sum[0] += state.lymph[c];
      sum[1] += state.filtrated[c];
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, sum.data(), 2, MPI_DOUBLE, MPI_SUM, comm);
  const auto walls = op_.wall_outflow(state.pressure.get());
  state.walls = 0;
  for (const double q : walls) state.walls += q;
  state.drained = sum[0];
  state.filtration = sum[1];
  state.filtration_out = 0;
  double reference = std::abs(sum[0]) + std::abs(sum[1]) + std::abs(state.walls);
  state.plasma_inflow = 0;
  if (network_) {
    std::array<double, 4> sums{};  // net and outward filtration, inflow of blood and of plasma
    for (std::size_t p = 0; p < network_->pieces(); ++p) {
      sums[0] += state.blood.leak[p];
      sums[1] += std::max(state.blood.leak[p], 0.0);
    }
    for (std::size_t n = 0; n < network_->nodes(); ++n) {
      const double q = state.blood.inflow[n];
      if (q <= 0) continue;
      sums[2] += q;
      sums[3] += q - state.blood.red_inflow[n];
    }
    MPI_Allreduce(MPI_IN_PLACE, sums.data(), 4, MPI_DOUBLE, MPI_SUM, comm);
    state.filtration += sums[0];
    state.filtration_out = sums[1];
    reference = sums[2];
    state.plasma_inflow = sums[3];
  }
  state.imbalance = reference > 0 ? std::abs(state.filtration - state.drained - state.walls) / reference : 0.0;
}

}  // namespace sanctuary
