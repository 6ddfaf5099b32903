#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/comm.hpp"
#include "outcomes/exposure.hpp"
#include "patient/patient.hpp"
#include "solvers/anderson.hpp"
#include "solvers/network/haemodynamics.hpp"

namespace sanctuary {
namespace {

std::size_t at(long i) { return static_cast<std::size_t>(i); }

}  // namespace

void Patient::find_homes() {
  const bool changing = settings_.on.vessel_compression || settings_.on.intermittent_flow;
  if (!embedded_ || !changing || homes_) return;
  homes_ = std::make_unique<SegmentHomes>(
      cut_, [this](const std::array<double, 3>& point) { return grid_.owner(grid_.cell_of(point)); });
}

void Patient::make_compressed() {
  std::vector<double> maturity(cut_.own_pieces);
  for (std::size_t p = 0; p < maturity.size(); ++p)
    maturity[p] = tumour_at(cut_.piece_cell[p]) ? cut_.graph.maturity[at(cut_.piece_segment[p])] : 1.0;
  compressed_ = std::make_unique<CompressedVessels>(cut_, *homes_, *flow_, settings_.compression, maturity);
  open_wall_ = fluid_wall_.conductance;
}

void Patient::settle_flow(FluidSolver& solver) {
  find_homes();
  if (flow_) flow_->set_conductance_factor({});
  solver.solve(fluid_tissue_, fluid_wall_, fluid_);
  if (!embedded_) return;
  if (settings_.on.vessel_compression) settle_compression(solver);
  if (settings_.on.intermittent_flow) settle_intermittency(solver);
}

void Patient::settle_compression(FluidSolver& solver) {
  const std::size_t pieces = cut_.own_pieces;
  if (!compressed_) {
    make_compressed();
    perfused_open_ = perfused_fraction();
  }
  std::vector<double> solid(pieces), fluid(pieces);
  for (std::size_t p = 0; p < pieces; ++p) {
    const auto& a = cut_.node_position[at(cut_.piece_nodes[p][0])];
    const auto& b = cut_.node_position[at(cut_.piece_nodes[p][1])];
    solid[p] = solid_stress_at(settings_.solid_stress,
                               depth_of({0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]), 0.5 * (a[2] + b[2])}));
  }
  // Radii at the pressure of the tissue, then that pressure at the radii: collapsed vessels no longer feed it.
  compressed_->new_load();
  constexpr int most = 60;
  constexpr double settled_at = 2e-8;  // of the logarithm of a conductance
  bool settled = false;
  SettleReport report;
  AndersonMixing mixing(comm_, 5, 1.0);
  std::vector<double> change(pieces);
  for (int round = 0; round < most && !settled; ++round) {
    {
      const ReadAccess pressure(fluid_.pressure.get());
      for (std::size_t p = 0; p < pieces; ++p) change[p] = pressure[embedded_->piece_cell()[p]] - fluid[p];
    }
    if (round > 0) {
      mixing.advance(fluid, change);
    } else {
      fluid = change;
    }
    report = compressed_->settle(fluid, solid, fluid_.blood);
    if (!compressed_->any_flow()) {
      throw InputError("solid stress leaves no blood flow anywhere: " + std::to_string(report.collapsed) + " of " +
                       std::to_string(compressed_->segments()) +
                       " vessels are collapsed; lower solid_stress.tumour or solid_stress.host, raise "
                       "vessels.compression.support, or set mechanisms.vessel_compression = off");
    }
    settled = compressed_->change() <= settled_at;
    if (settled) break;
    for (std::size_t p = 0; p < pieces; ++p) {
      const bool shut = flow_->radius()[p] <= 0 || flow_->cut_off()[at(cut_.piece_nodes[p][0])];
      fluid_wall_.conductance[p] = shut ? 0.0 : open_wall_[p];
    }
    solver.solve(fluid_tissue_, fluid_wall_, fluid_);
  }
  if (!settled) {
    notes_.push_back("compressed vessels and the pressure of the tissue did not settle in " + std::to_string(most) +
                     " rounds (largest change of the logarithm of a conductance " +
                     std::to_string(compressed_->change()) + "); the last state is used");
  }
  if (report.flow_limiting > 0) {
    notes_.push_back("vessels that would collapse and reopen without end stay open and limit the flow: " +
                     std::to_string(report.flow_limiting));
  }
}

void Patient::settle_intermittency(FluidSolver& solver) {
  intermittent_ =
      std::make_unique<IntermittentNetwork>(cut_, *homes_, *flow_, settings_.intermittency, settings_.oxygen_snapshots);
  intermittent_->find_regions(fluid_.blood);
  if (intermittent_->regions() == 0) {
    notes_.push_back(
        "intermittent flow: no vessel narrower than vessels.intermittency.feeder_radius leaves a wider one or enters "
        "from outside; the flow is steady");
    intermittent_.reset();
    return;
  }
  const double full = blood_inflow();
  intermittent_->set_mean();
  solver.solve(fluid_tissue_, fluid_wall_, fluid_);
  mean_over_full_ = blood_inflow() / full;
}

Walls Patient::oxygen_walls() const {
  Walls walls;
  for (int wall = 0; wall < 6; ++wall) {
    const auto w = static_cast<std::size_t>(wall);
    walls.kind[w] = host_wall(wall) ? WallKind::fixed : WallKind::closed;
    walls.value[w] = settings_.oxygen.host_pressure;
  }
  return walls;
}

std::vector<double> Patient::oxygen_use() const {
  std::vector<double> use(tumour_.size());
  for (std::size_t c = 0; c < use.size(); ++c)
    use[c] = tumour_[c] ? settings_.oxygen.use_tumour * survival(c) : settings_.oxygen.use_host;
  return use;
}

OxygenState Patient::copy_of_oxygen() const {
  OxygenState copy;
  if (!oxygen_.cells) return copy;
  copy.cells = grid_.vector();
  petsc(VecCopy(oxygen_.cells.get(), copy.cells.get()));
  copy.node_pressure = oxygen_.node_pressure;
  copy.piece_pressure = oxygen_.piece_pressure;
  return copy;
}

BloodFlow Patient::blood_of_the_moment() const {
  // Pressure and leak of the tissue follow slowly: they stay those of the mean flow. The haematocrit follows in a few
  // damped steps, always as many: some moments have no steady state, and a search for one would hang on rounding.
  constexpr int steps = 6;
  BloodFlow blood = fluid_.blood;
  for (int step = 0; step < steps; ++step) {
    flow_->flows_at(flow_->conductance(blood.viscous_haematocrit), blood);
    flow_->sweep(blood);
    blood.change = flow_->weighted_change(blood, blood.viscous_haematocrit);
    if (step + 1 == steps) break;
    for (std::size_t p = 0; p < blood.haematocrit.size(); ++p)
      blood.viscous_haematocrit[p] += 0.5 * (blood.haematocrit[p] - blood.viscous_haematocrit[p]);
  }
  flow_->balance(blood);
  return blood;
}

Patient::Instant Patient::instant(double time) {
  Instant now{.blood = fluid_.blood, .oxygen = copy_of_oxygen()};
  if (intermittent_) {
    intermittent_->set_time(time);
    now.blood = blood_of_the_moment();
    intermittent_->set_mean();
  }
  if (settings_.on.oxygen) oxygen_solver().solve(settings_.oxygen, oxygen_walls(), oxygen_use(), now.blood, now.oxygen);
  return now;
}

void Patient::solve_oxygen_snapshots(const Walls& walls, const std::vector<double>& use) {
  const int snapshots = intermittent_->snapshots();
  const double part = 1.0 / snapshots;
  const std::array<double, 4> limits{settings_.oxygen.hypoxia_threshold, 10 * mmhg, 5 * mmhg, 2.5 * mmhg};
  for (auto& share : below_) share.assign(grid_.local_cells(), 0.0);
  OxygenState now = copy_of_oxygen(), mean;
  mean.cells = grid_.vector();
  petsc(VecSet(mean.cells.get(), 0.0));
  mean.node_pressure.assign(cut_.nodes(), 0.0);
  mean.piece_pressure.assign(cut_.own_pieces, 0.0);
  for (int k = 0; k < snapshots; ++k) {
    intermittent_->set_snapshot(k);
    oxygen_solver().solve(settings_.oxygen, walls, use, blood_of_the_moment(), now);
    petsc(VecAXPY(mean.cells.get(), part, now.cells.get()));
    for (std::size_t n = 0; n < mean.node_pressure.size(); ++n) mean.node_pressure[n] += part * now.node_pressure[n];
    for (std::size_t p = 0; p < mean.piece_pressure.size(); ++p) mean.piece_pressure[p] += part * now.piece_pressure[p];
    mean.blood_in += part * now.blood_in;
    mean.blood_out += part * now.blood_out;
    mean.walls_in += part * now.walls_in;
    mean.walls_out += part * now.walls_out;
    mean.supplied += part * now.supplied;
    mean.used += part * now.used;
    mean.imbalance = std::max(mean.imbalance, now.imbalance);
    mean.newton += now.newton;
    mean.linear += now.linear;
    mean.residual = std::max(mean.residual, now.residual);
    const ReadAccess po2(now.cells.get());
    for (std::size_t i = 0; i < limits.size(); ++i) {
      for (std::size_t c = 0; c < below_[i].size(); ++c) below_[i][c] += po2[c] < limits[i] ? part : 0.0;
    }
  }
  intermittent_->set_mean();
  oxygen_ = std::move(mean);
}

double Patient::blood_inflow() const {
  double inflow = 0;
  for (std::size_t n = 0; n < cut_.own_nodes; ++n) inflow += std::max(fluid_.blood.inflow[n], 0.0);
  return sum_over(comm_, inflow);
}

bool Patient::is_perfused(std::size_t piece) const {
  const double lumen = std::numbers::pi * std::pow(flow_->radius()[piece], 2);
  return lumen > 0 && std::abs(fluid_.blood.flow[piece]) >= settings_.perfusion_velocity * lumen;
}

double Patient::perfused_fraction() const {
  std::array<double, 2> sums{};  // length, perfused
  for (std::size_t p = 0; p < cut_.own_pieces; ++p) {
    if (!tumour_at(cut_.piece_cell[p])) continue;
    sums[0] += cut_.piece_length[p];
    if (is_perfused(p)) sums[1] += cut_.piece_length[p];
  }
  MPI_Allreduce(MPI_IN_PLACE, sums.data(), 2, MPI_DOUBLE, MPI_SUM, comm_);
  return sums[0] > 0 ? sums[1] / sums[0] : 0.0;
}

Patient::TumourFluid Patient::tumour_fluid() const {
  const BloodFlow& b = fluid_.blood;
  // What a node gives to the tumour's vessels comes from the boundary or from vessels of the host.
  std::vector<double> plasma(cut_.own_nodes, 0.0), blood(plasma);
  for (std::size_t p = 0; p < cut_.pieces(); ++p) {
    if (!tumour_at(cut_.piece_cell[p])) continue;
    for (int end = 0; end < 2; ++end) {
      const std::size_t node = at(cut_.piece_nodes[p][at(end)]);
      if (node >= cut_.own_nodes) continue;
      const double into = end == 0 ? b.end_flow(p, 0) : -b.end_flow(p, 1);
      const double red = (b.flow[p] >= 0) == (end == 0) ? b.red_cells[p] : -b.red_cells[p];
      blood[node] += into;
      plasma[node] += into - red;
    }
  }
  std::array<double, 5> sums{};
  for (std::size_t p = 0; p < cut_.own_pieces; ++p) {
    if (tumour_at(cut_.piece_cell[p])) sums[0] += b.leak[p];
  }
  for (std::size_t n = 0; n < cut_.own_nodes; ++n) {
    sums[1] += std::max(plasma[n], 0.0);
    sums[2] += std::max(-plasma[n], 0.0);
    sums[3] += std::max(blood[n], 0.0);
  }
  for (const char here : tumour_) sums[4] += here;
  MPI_Allreduce(MPI_IN_PLACE, sums.data(), 5, MPI_DOUBLE, MPI_SUM, comm_);
  return {.filtration = sums[0],
          .plasma_in = sums[1],
          .plasma_out = sums[2],
          .blood_in = sums[3],
          .mass = sums[4] * grid_.cell_volume() * HaemodynamicSettings{}.tissue_density};
}

void Patient::add_filtration_findings(nlohmann::json& o) const {
  constexpr double ml_h_g = 3.6e6, ml_min_100g = 6e6;  // per m^3/(s kg)
  const double box = static_cast<double>(grid_.global_cells()) * grid_.cell_volume();
  o["filtration_net_ml_h_g"] = fluid_.filtration / (box * HaemodynamicSettings{}.tissue_density) * ml_h_g;
  o["filtration_over_plasma_flow"] = fluid_.plasma_inflow > 0 ? fluid_.filtration / fluid_.plasma_inflow : 0.0;
  const TumourFluid tumour = tumour_fluid();
  if (tumour.mass > 0) {
    o["tumour_filtration_ml_h_g"] = tumour.filtration / tumour.mass * ml_h_g;
    o["tumour_plasma_flow_ml_h_g"] = tumour.plasma_in / tumour.mass * ml_h_g;
    o["tumour_perfusion_ml_min_100g"] = tumour.blood_in / tumour.mass * ml_min_100g;
    o["tumour_filtration_over_plasma_flow"] = tumour.plasma_in > 0 ? tumour.filtration / tumour.plasma_in : 0.0;
  }
  o["filtration_anchor_tumour"] = anchor_tumour_;
  o["filtration_anchor_host"] = anchor_host_;
}

void Patient::add_vessel_findings(nlohmann::json& o) const {
  if (compressed_) {
    std::array<double, 2> sums{};  // length in the tumour, collapsed
    for (std::size_t p = 0; p < cut_.own_pieces; ++p) {
      if (!tumour_at(cut_.piece_cell[p])) continue;
      sums[0] += cut_.piece_length[p];
      if (compressed_->collapsed()[p]) sums[1] += cut_.piece_length[p];
    }
    MPI_Allreduce(MPI_IN_PLACE, sums.data(), 2, MPI_DOUBLE, MPI_SUM, comm_);
    o["collapsed_fraction"] = sums[0] > 0 ? sums[1] / sums[0] : 0.0;
    o["perfused_fraction_open"] = perfused_open_;
  }
  if (!intermittent_) return;
  o["blood_inflow_over_that_without_intermittency"] = mean_over_full_;
  o["feeding_regions"] = intermittent_->regions();
  if (!settings_.on.oxygen) return;
  const std::vector<double> viable = viable_density();
  const std::array names{"hypoxic_fraction_in_time", "hypoxic_fraction_10_in_time", "hypoxic_fraction_5_in_time",
                         "hypoxic_fraction_2_5_in_time"};
  for (std::size_t i = 0; i < names.size(); ++i) o[names[i]] = weighted_mean(comm_, below_[i], viable);
  std::vector<double> acute(viable.size()), chronic(viable.size());
  for (std::size_t c = 0; c < viable.size(); ++c) {
    const double share = time_below_5()[c], least = 0.5 / intermittent_->snapshots();
    acute[c] = share > least && share < 1 - least;
    chronic[c] = share >= 1 - least;
  }
  o["acute_hypoxic_fraction"] = weighted_mean(comm_, acute, viable);
  o["chronic_hypoxic_fraction"] = weighted_mean(comm_, chronic, viable);
}

}  // namespace sanctuary
