#include "tissue/interstitium.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>

#include "base/comm.hpp"
#include "solvers/anderson.hpp"

namespace sanctuary {
namespace {

std::size_t at(long i) { return static_cast<std::size_t>(i); }

/// The walls of the own pieces with their filtration linearised: leak = conductance (pressure difference - oncotic). It
/// grows in from a small part over the first rounds: all at once it could leave no blood to concentrate.
class FilteringWalls {
 public:
  FilteringWalls(const FluidWall& given, std::span<const double> radius, MPI_Comm comm)
      : given_(&given), radius_(radius), comm_(comm), now_(given), mixing_(comm, 8, 0.5) {
    if (given.protein_oncotic.empty()) return;
    part_ = 0.05;
    for (double& w : now_.conductance) w *= part_;
    level_.assign(now_.conductance.size(), 0.0);
    change_.assign(level_.size(), 0.0);
  }
  [[nodiscard]] const FluidWall& now() const { return now_; }

  /// Takes the next step from the leaks [m^3/s] and the blood they leave; returns the largest change of a leak over
  /// their sum. Collective.
  double advance(const std::vector<double>& leak, const BloodFlow& blood) {
    if (given_->protein_oncotic.empty()) return 0;
    constexpr int tangents = 10;          // rounds at full filtration after which the slopes stay
    constexpr double damping = 0.7;       // of changes until then: blood that thins upstream answers a round later
    constexpr double least_slope = 1e-6;  // of the wall's conductance: tells the pressure difference at any round
    const bool whole = part_ >= 1;
    part_ = std::min(1.0, 1.6 * part_);
    double total = 0, moved = 0;
    for (std::size_t p = 0; p < level_.size(); ++p) {
      total += std::abs(leak[p]);
      if (given_->conductance[p] <= 0) continue;
      const double difference = leak[p] / now_.conductance[p] + now_.oncotic[p];
      const double all = part_ * given_->conductance[p], open = all * perfused(p, blood);
      Filtration next;
      if (open > 0)
        next = concentrating_filtration(open, difference, given_->oncotic[p], given_->protein_oncotic[p],
                                        blood.plasma[p], blood.protein[p]);
      change_[p] = next.flow - leak[p];
      moved = std::max(moved, std::abs(change_[p]));
      if (rounds_ < tangents) now_.conductance[p] = std::max(next.slope, least_slope * all);
      level_[p] = leak[p] - now_.conductance[p] * difference;
    }
    if (rounds_ < tangents) {
      for (std::size_t p = 0; p < level_.size(); ++p) level_[p] += damping * change_[p];
    } else {
      mixing_.advance(level_, change_);
    }
    for (std::size_t p = 0; p < level_.size(); ++p) {
      if (given_->conductance[p] > 0) now_.oncotic[p] = -level_[p] / now_.conductance[p];
    }
    rounds_ += whole ? 1 : 0;
    total = sum_over(comm_, total);
    moved = max_over(comm_, moved);
    return !whole ? 1.0 : total > 0 ? moved / total : 0.0;
  }

 private:
  /// Blood that stands would leave its proteins and red cells behind until they held back the rest: it filters nothing.
  [[nodiscard]] double perfused(std::size_t p, const BloodFlow& blood) const {
    const double lumen = std::numbers::pi * radius_[p] * radius_[p];
    if (blood.plasma[p] <= 0 || lumen <= 0) return 0;
    if (given_->filtration_velocity <= 0) return 1;
    const double x = std::clamp(2 * std::abs(blood.flow[p]) / (lumen * given_->filtration_velocity) - 1, 0.0, 1.0);
    return x * x * (3 - 2 * x);
  }

  const FluidWall* given_;
  std::span<const double> radius_;
  MPI_Comm comm_;
  FluidWall now_;
  double part_ = 1;                     // of the filtration
  int rounds_ = 0;                      // at full filtration
  std::vector<double> level_, change_;  // leak where lumen and wall have one pressure; changes sought [m^3/s]
  AndersonMixing mixing_;
};

/// `op`: conduction of the tissue.
void complete(const Grid& grid, const EmbeddedNetwork* network, const FluidTissue& tissue, const CellOperator& op,
              FluidState& state) {
  const MPI_Comm comm = grid.comm();
  const std::size_t cells = grid.local_cells();
  const double volume = grid.cell_volume();
  state.discharge = FaceField(grid);
  op.flux(state.pressure.get(), state.discharge);
  state.lymph.assign(cells, 0.0);
  state.filtrated.assign(cells, 0.0);
  std::array<double, 2> sum{};
  {
    const ReadAccess p(state.pressure.get());
    for (std::size_t c = 0; c < cells; ++c) {
      if (tissue.lymph_conductance[c] > 0 && p[c] > tissue.lymph_pressure)
        state.lymph[c] = tissue.lymph_conductance[c] * volume * (p[c] - tissue.lymph_pressure);
      if (!tissue.filtration.empty())
        state.filtrated[c] = tissue.filtration[c] * volume * (tissue.effective_pressure[c] - p[c]);
      sum[0] += state.lymph[c];
      sum[1] += state.filtrated[c];
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, sum.data(), 2, MPI_DOUBLE, MPI_SUM, comm);
  const auto walls = op.wall_outflow(state.pressure.get());
  state.walls = 0;
  for (const double q : walls) state.walls += q;
  state.drained = sum[0];
  state.filtration = sum[1];
  state.filtration_out = 0;
  double reference = std::abs(sum[0]) + std::abs(sum[1]) + std::abs(state.walls);
  state.plasma_inflow = 0;
  if (network) {
    std::array<double, 4> sums{};  // net and outward filtration, inflow of blood and of plasma
    for (std::size_t p = 0; p < network->pieces(); ++p) {
      sums[0] += state.blood.leak[p];
      sums[1] += std::max(state.blood.leak[p], 0.0);
    }
    for (std::size_t n = 0; n < network->nodes(); ++n) {
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
  exchange_ =
      std::make_unique<VesselExchange>(grid, exchange_rows(grid.comm(), network_->exchange(), ExchangeForm::own_vessel),
                                       network_->local_unknowns(false));
  n_ = matrix_with_room(grid.comm(), joined_entries(*network_, false));
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

double FluidSolver::scale_of(const FluidTissue& tissue, const FluidWall& wall) const {
  double scale = 1;
  const auto take = [&](double pressure) { scale = std::max(scale, std::abs(pressure)); };
  for (const double p : tissue.walls.value) take(p);
  for (const double p : tissue.effective_pressure) take(p);
  if (network_) {
    const CutNetwork& cut = network_->network();
    for (std::size_t n = 0; n < cut.nodes(); ++n) {
      if (cut.boundary[n] == BoundaryKind::pressure) take(cut.boundary_value[n]);
    }
    for (const double p : wall.oncotic) take(p);
  }
  return max_over(grid_->comm(), scale);
}

void FluidSolver::solve_pressure(const FluidTissue& tissue, const FluidWall& wall, double scale,
                                 const std::vector<char>& draining, Vec nodes, FluidState& state) {
  NetworkBlocks blocks;
  std::vector<double> conductance;
  if (network_) {
    conductance = flow_->conductance(state.blood.viscous_haematocrit);
    blocks = {n_.get(), exchange_->to_cells(), exchange_->from_cells(),
              network_->plain() ? nullptr : exchange_->cells(), nullptr};
  }
  assemble(tissue, wall, conductance, draining);
  if (solver_.iterative()) inverse_->set_conductance(conductance, wall.conductance, flow_->fixed());
  solver_.set(op_, blocks);
  const SolveReport report =
      solver_.solve(rhs_cells_.get(), rhs_network_.get(), scale, tolerance, state.pressure.get(), nodes);
  state.linear_iterations += report.iterations;
  if (!report.converged) throw NumericsError("interstitial pressure: the linear solve failed (" + report.reason + ")");
  state.residual = solver_.scaled_residual(rhs_cells_.get(), rhs_network_.get(), scale, state.pressure.get(), nodes);
  if (!network_) return;
  BloodFlow& blood = state.blood;
  blood.pressure = network_->node_values(nodes);
  blood.leak = exchange_->flow(state.pressure.get(), nodes);
  for (std::size_t i = 0; i < network_->pieces(); ++i) blood.leak[i] += constant_leak_[i];
  blood.leak.resize(network_->network().pieces());
  network_->network().piece_halo.update(std::span<double>(blood.leak));
  flow_->flows_at(conductance, blood);
  flow_->sweep(blood);
  flow_->balance(blood);
}

bool FluidSolver::drain(const FluidTissue& tissue, double scale, Vec pressure, std::vector<char>& draining) const {
  double changed = 0;
  const ReadAccess p(pressure);
  for (std::size_t c = 0; c < draining.size(); ++c) {
    const char now = tissue.lymph_conductance[c] > 0 && p[c] > tissue.lymph_pressure;
    // A cell within rounding of the threshold drains nothing either way and must not keep the loop alive.
    if (now != draining[c] && std::abs(p[c] - tissue.lymph_pressure) > 1e-12 * scale) changed = 1;
    draining[c] = now;
  }
  return max_over(grid_->comm(), changed) > 0;
}

bool FluidSolver::settle_haematocrit(BloodFlow& blood) const {
  constexpr double settled_at = 4e-9;
  BloodFlow refined = blood;
  flow_->solve(refined);
  blood.iterations += refined.iterations;
  if (!refined.converged) {
    blood.oscillating = true;
    blood.converged = false;
    blood.change = refined.change;
    return true;
  }
  blood.change = flow_->weighted_change(refined, blood.viscous_haematocrit);
  if (blood.change <= std::max(settled_at, 3 * refined.change)) return true;
  blood.viscous_haematocrit = refined.viscous_haematocrit;
  return false;
}

void FluidSolver::solve(const FluidTissue& tissue, const FluidWall& wall, FluidState& state) {
  constexpr int most = 200, patience = 100;
  constexpr double settled_at = 1e-10, close = 1e-4;
  if (!state.pressure) state.pressure = grid_->vector();
  VecHandle nodes;
  if (network_) {
    nodes = solver_.network_vector();
    state.blood.leak.assign(network_->network().pieces(), 0.0);
    flow_->solve(state.blood);
  }
  const double scale = scale_of(tissue, wall);
  double drains = 0;
  for (const double l : tissue.lymph_conductance) drains = std::max(drains, l);
  const bool lymph = max_over(grid_->comm(), drains) > 0;
  std::vector<char> draining(grid_->local_cells(), 0);
  FilteringWalls walls(wall, network_ ? std::span<const double>(flow_->radius()) : std::span<const double>{},
                       grid_->comm());
  state.outer_iterations = state.linear_iterations = 0;
  bool settled = false;
  while (!settled && state.outer_iterations < most) {
    ++state.outer_iterations;
    solve_pressure(tissue, walls.now(), scale, draining, nodes.get(), state);
    settled = !drain(tissue, scale, state.pressure.get(), draining);
    if (network_) {
      const double drift = walls.advance(state.blood.leak, state.blood);
      settled = settled && drift <= settled_at;
      // Filtration first: it must not pack the red cells while they settle. Then the haematocrit settles at these leaks
      // on the network alone, which is cheap; the next round takes both along. Where it does not, the resistances stay.
      if (state.blood.converged) settled = drift <= close && settle_haematocrit(state.blood) && settled;
      // Each settles at what the other gives, but not both together: then the resistances stay as well.
      if (state.blood.converged && !settled && drift <= close && state.outer_iterations == patience) {
        state.blood.oscillating = true;
        state.blood.converged = false;
      }
    }
    if (state.outer_iterations == 1 && (network_ || lymph)) settled = false;
  }
  if (!settled) {
    throw NumericsError(
        "blood flow and interstitial pressure did not settle in " + std::to_string(most) +
        " rounds (largest change of a haematocrit " + fmt::format("{:.2g}", state.blood.change) +
        "); filtration that rivals the blood flow does this: a denser network or vessel_wall.anchor = off helps");
  }
  complete(*grid_, network_, tissue, op_, state);
}

void complete_fluid(const Grid& grid, const EmbeddedNetwork* network, const FluidTissue& tissue, FluidState& state) {
  CellOperator op(grid);
  op.reset(tissue.walls);
  op.add_diffusion(tissue.conductivity);
  complete(grid, network, tissue, op, state);
}

}  // namespace sanctuary
