#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/comm.hpp"
#include "outcomes/exposure.hpp"
#include "patient/patient.hpp"
#include "patient/stopwatch.hpp"
#include "solvers/distance.hpp"
#include "tissue/blood.hpp"

namespace sanctuary {
namespace {

constexpr double least_plasma = 0.02;     // of blood: what carries solutes where filtration has all but dried it
constexpr double small_solute = 4.5e-10;  // [m] stands for every solute where the wall does not sieve

std::size_t at(long i) { return static_cast<std::size_t>(i); }

}  // namespace

void Patient::set_up_drugs() {
  CellPopulation cells;
  cells.density.resize(tumour_.size());
  for (std::size_t c = 0; c < tumour_.size(); ++c)
    cells.density[c] = tumour_[c] ? density_start_[c] : settings_.host_density;
  cells.killed = tumour_;
  cells.cycling_share = cycling_share_;
  cells.cell_volume = settings_.tumour_cell_volume;
  cells.resistant_share = settings_.resistant_share;
  regimen_ = std::make_unique<Regimen>(comm_, grid_, embedded_.get(), settings_.drugs, std::move(cells),
                                       settings_.relative_tolerance);
  figures_.resize(settings_.drugs.size());
  for (std::size_t d = 0; d < figures_.size(); ++d) set_up_drug(d);
  regimen_->open();
  judged_.clear();
  std::size_t killing = 0;
  for (std::size_t d = 0; d < figures_.size(); ++d) {
    if (!regimen_->kill().kills(d)) continue;
    ++killing;
    judged_.push_back({.name = settings_.drugs[d].name, .drugs = {d}});
  }
  if (killing > 1) {
    Judged all{.name = "regimen"};
    for (const Judged& one : judged_) all.drugs.push_back(one.drugs.front());
    judged_.push_back(std::move(all));
  }
  for (Judged& j : judged_) {
    j.in_s1.assign(tumour_.size(), 1.0);
    j.time_in_s1.assign(tumour_.size(), 0.0);
  }
}

WallTransport Patient::wall_of(const Drug& drug, double maturity) const {
  const double sieved =
      settings_.on.wall_size_selectivity ? drug.stokes_radius : std::min(drug.stokes_radius, small_solute);
  WallTransport wall = wall_transport(settings_.wall.wall, sieved, drug.lipophilic_permeability, maturity);
  if (drug.wall_permeability) wall.permeability = *drug.wall_permeability;
  if (!settings_.on.wall_size_selectivity) wall.reflection = 0;
  return charged(wall, drug.wall_charge_factor);
}

void Patient::set_up_drug(std::size_t d) {
  DrugCourse& course = regimen_->courses()[d];
  const Drug& drug = course.drug;
  DrugFigures& figures = figures_[d];
  const std::size_t cells = grid_.local_cells();
  const MatrixLaw& law = settings_.matrix.law;
  const MatrixComposition &in_tumour = settings_.matrix.tumour.matrix, &in_host = settings_.matrix.host.matrix;
  const auto diffusivity = [&](const MatrixComposition& matrix) {
    if (!settings_.on.hindered_diffusion)
      return free_diffusivity(drug.stokes_radius, law.viscosity, law.temperature) * law.tortuosity;
    return drug.diffusivity ? matrix_diffusivity(law, matrix, drug.stokes_radius, *drug.diffusivity)
                            : matrix_diffusivity(law, matrix, drug.stokes_radius);
  };
  const auto accessible = [&](const MatrixComposition& matrix) {
    if (drug.accessible_fraction) return *drug.accessible_fraction;
    if (!settings_.on.hindered_diffusion) return settings_.matrix.porosity;
    return accessible_volume_fraction(law, matrix, settings_.matrix.porosity, drug.stokes_radius);
  };
  const auto retardation = [&](const MatrixComposition& matrix) {
    if (drug.retardation) return *drug.retardation;
    return settings_.on.hindered_diffusion ? convective_retardation(law, matrix, drug.stokes_radius) : 1.0;
  };
  const bool cationic = drug.charge == Charge::cationic;
  // Tumour first, then host.
  const std::array<double, 2> spreads{diffusivity(in_tumour), diffusivity(in_host)},
      open{accessible(in_tumour), accessible(in_host)}, carried_share{retardation(in_tumour), retardation(in_host)},
      sites{binding_site_factor(law, in_tumour, cationic), binding_site_factor(law, in_host, cationic)};
  figures.diffusivity = spreads[0];
  figures.accessible = open[0];
  figures.retardation = carried_share[0];
  std::vector<double> coefficient(cells), share(cells), site_factor(cells), drainage(cells), slowed(cells);
  for (std::size_t c = 0; c < cells; ++c) {
    const std::size_t where = tumour_[c] ? 0 : 1;
    share[c] = open[where];
    coefficient[c] = open[where] * spreads[where];
    site_factor[c] = sites[where];
    slowed[c] = carried_share[where];
    // Lymph takes fluid with all it holds, whether or not the interstitium carries the solute along.
    drainage[c] = fluid_.lymph[c];
  }
  const FaceField carried = settings_.on.convection ? carried_flow(carried_share) : FaceField(grid_);
  Walls walls;
  for (int wall = 0; wall < 6; ++wall) {
    walls.kind[static_cast<std::size_t>(wall)] = host_wall(wall) ? WallKind::fixed : WallKind::closed;
  }
  course.op->reset(walls);
  course.op->add_diffusion_and_convection(coefficient, carried);
  course.transport->set_cells(share, *course.op, std::move(drainage));
  if (embedded_) set_up_exchange(d, coefficient, slowed);
  regimen_->set_plasma(d, wall_of(drug, 1.0).permeability * settings_.wall.host.surface_density / open[1]);
  regimen_->set_response(d, std::move(share), std::move(site_factor));
}

FaceField Patient::carried_flow(const std::array<double, 2>& share) const {
  FaceField carried = fluid_.discharge;
  for (int axis = 0; axis < 3; ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    const auto& n = carried.extent(axis);
    for (long k = 0; k < n[2]; ++k) {
      for (long j = 0; j < n[1]; ++j) {
        for (long i = 0; i < n[0]; ++i) {
          double& q = carried[axis][carried.index(axis, i, j, k)];
          std::array<long, 3> from{i + grid_.start()[0], j + grid_.start()[1], k + grid_.start()[2]};
          if (q >= 0) --from[a];  // the cell that the fluid comes from
          from[a] = std::clamp(from[a], 0L, settings_.grid.cells[a] - 1);
          q *= share[tumour_at(from) ? 0 : 1];
        }
      }
    }
  }
  return carried;
}

void Patient::set_up_exchange(std::size_t d, const std::vector<double>& coefficient,
                              const std::vector<double>& slowed) {
  DrugCourse& course = regimen_->courses()[d];
  const Drug& drug = course.drug;
  const MatrixLaw& law = settings_.matrix.law;
  const double k = drug.red_cell_partition;
  const double dilution = settings_.on.intravascular_depletion ? 1.0 : 1e4;  // blood this much faster is not depleted
  const double in_blood = free_diffusivity(drug.stokes_radius, law.viscosity, law.temperature);
  const BloodFlow& blood = fluid_.blood;
  std::vector<PieceCoefficients> pieces(embedded_->pieces());
  std::array<double, 3> sums{};  // in the tumour: surface, and permeability and reflection times it
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    const double radius = flow_->lumen_radius(p), length = cut_.piece_length[p];
    const double surface =  // a vessel that narrows flattens: its wall stays
        2 * std::numbers::pi * (flow_->radius()[p] > 0 ? cut_.piece_radius(p) : radius) * length;
    const std::size_t cell = embedded_->piece_cell()[p];
    const bool in_tumour = tumour_[cell] != 0;
    const WallTransport wall = wall_of(drug, in_tumour ? cut_.graph.maturity[at(cut_.piece_segment[p])] : 1.0);
    const double permeability = wall.permeability * (in_tumour ? anchor_tumour_ : anchor_host_);
    // What the tissue could not carry on would pile up behind the wall.
    const WallFlux flux =
        patlak_flux(settings_.on.convection ? blood.leak[p] / surface : 0.0, permeability, wall.reflection);
    PieceCoefficients& piece = pieces[p];
    piece.to_tissue = flux.vessel * surface * drug.unbound_fraction;
    piece.from_tissue = flux.tissue * surface;
    const double resistance = embedded_->exchange()->resistance(p),
                 carried = settings_.on.convection ? slowed[cell] * blood.leak[p] : 0.0;
    set_tissue(coefficient[cell], resistance, carried, piece);
    // A wall that resists far more than the tissue: vessels do not feel each other, as for pressure. What filtration
    // carries through such a wall does not spread by diffusion, so that values of vessels near by would not add up.
    // No more does what it carries off from them through the tissue.
    constexpr double wall_limited = 0.02;  // P R/D
    constexpr double carried_off = 1;      // of the tissue's Peclet number
    if (permeability * radius < wall_limited * coefficient[cell] ||
        std::abs(carried) * std::abs(resistance) > carried_off * coefficient[cell])
      piece.coupling = 0;
    const double cells_flow = (1 - k) * blood.red_cells[p];
    const auto carrier = [&](double q) {
      return dilution * std::copysign(std::max(std::abs(q) - cells_flow, least_plasma * std::abs(q)), q);
    };
    set_convection(carrier(blood.end_flow(p, 0)), carrier(blood.end_flow(p, 1)), piece);
    piece.volume =
        std::numbers::pi * radius * radius * length * std::max(1 - (1 - k) * blood.haematocrit[p], least_plasma);
    piece.diffusion = in_blood * std::numbers::pi * radius * radius / (0.5 * length);
    if (in_tumour) {
      sums[0] += surface;
      sums[1] += surface * permeability;
      sums[2] += surface * wall.reflection;
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, sums.data(), 3, MPI_DOUBLE, MPI_SUM, comm_);
  if (sums[0] > 0) {
    figures_[d].wall_permeability = sums[1] / sums[0];
    figures_[d].wall_reflection = sums[2] / sums[0];
  }
  const std::vector<double> red = blood.red_cells_arriving(cut_);
  std::vector<double> inflow(embedded_->nodes(), 0.0), outflow(inflow);
  for (std::size_t n = 0; n < inflow.size(); ++n) {
    const double q = blood.inflow[n];
    if (q > 0) {
      inflow[n] = dilution * (q - (1 - k) * blood.red_inflow[n]);
    } else if (q < 0) {
      outflow[n] = dilution * std::max(-q - (1 - k) * std::max(red[n], 0.0), least_plasma * -q);
    }
  }
  course.transport->set_network(std::move(pieces), std::move(inflow), std::move(outflow));
}

void Patient::measure_distances() {
  std::vector<char> host(tumour_.size());
  for (std::size_t c = 0; c < host.size(); ++c) host[c] = !tumour_[c];
  distance_to_edge_ = distance_to(grid_, host);
  if (!embedded_) return;
  std::vector<char> perfused(tumour_.size(), 0);
  for (std::size_t p = 0; p < embedded_->pieces(); ++p) {
    if (is_perfused(p)) perfused[embedded_->piece_cell()[p]] = 1;
  }
  distance_to_vessel_ = distance_to(grid_, perfused);
}

double Patient::cycle_end() const { return cycle_start_ + settings_.cycle; }

double Patient::next_stop() const {
  double stop = std::min(settings_.duration, cycle_end() > time_ ? cycle_end() : settings_.duration);
  for (const double t : settings_.output_times) {
    if (t > time_) stop = std::min(stop, t);
  }
  if (regimen_) {
    for (const double t : regimen_->events()) {
      if (t > time_) stop = std::min(stop, t);
    }
  }
  return stop;
}

bool Patient::at_output() const {
  return std::find(settings_.output_times.begin(), settings_.output_times.end(), time_) != settings_.output_times.end();
}

void Patient::advance() {
  if (time_ >= cycle_end()) start_cycle();
  const double stop = next_stop();
  if (!regimen_) {
    time_ = stop;
    record_series(0);
    return;
  }
  const Stopwatch watch(timing_["drug transport and response"]);
  const double left = stop - time_;
  regimen_->set_horizon(std::nextafter(stop, 0.0));
  double dt = std::min({dt_, left, settings_.largest_step});
  // Two equal steps in place of a step and a splinter.
  if (dt < left && left < 1.8 * dt) dt = 0.5 * left;
  StepReport report;
  bool done = false;
  for (int attempt = 0; attempt < settings_.retries && !done; ++attempt) {
    report = regimen_->attempt(time_, dt);
    newton_ += report.newton;
    linear_ += report.linear;
    done = report.converged && report.error <= 1;
    if (!done) {
      regimen_->refuse();
      ++rejected_;
      // A cell that was left off its balance returns to it fast: its error hardly falls until steps resolve that.
      const double most = attempt < 4 ? 0.8 : 0.3;
      dt = report.converged ? std::min(next_step(dt, report.error), most * dt) : 0.25 * dt;
    }
  }
  if (!done) {
    throw NumericsError(
        "the drugs' transport failed at " + std::to_string(time_) + " s after " + std::to_string(settings_.retries) +
        " attempts, the last with a step of " + std::to_string(dt) + " s (" +
        (report.converged ? "error " + std::to_string(report.error) + " times the tolerance" : report.reason) +
        "); a smaller transport.first_step or a larger transport.relative_tolerance may help");
  }
  regimen_->accept();
  ++steps_;
  undershoot_ = std::max(undershoot_, report.undershoot);
  const bool arrived = dt == left;
  time_ = arrived ? stop : time_ + dt;
  const double proposed = next_step(dt, report.error);
  dt_ = dt < dt_ ? std::max(dt_, proposed) : proposed;
  if (report.error > 0.5) dt_ = std::min(dt_, proposed);
  dt_ = std::min(dt_, settings_.largest_step);
  if (arrived && std::binary_search(regimen_->events().begin(), regimen_->events().end(), time_)) {
    regimen_->forget_slopes();
    dt_ = settings_.first_step;
  }
  record_series(dt);
  if (settings_.on.oxygen) {
    const double killed = greatest_kill();
    if (killed > kill_at_oxygen_ + 0.1 || (at_output() && killed > kill_at_oxygen_)) solve_oxygen();
  }
}

double Patient::greatest_kill() const {
  double killed = 0;
  for (std::size_t c = 0; regimen_ && c < tumour_.size(); ++c) {
    if (tumour_[c]) killed = std::max(killed, -std::log(std::max(survival(c), 1e-300)));
  }
  return max_over(comm_, killed);
}

double Patient::survival(std::size_t cell) const {
  // Over all cycles: what is left of the start.
  if (!regimen_ || !tumour_[cell] || settings_.tumour_density <= 0) return 1;
  return regimen_->kill().population().density[cell] / settings_.tumour_density * regimen_->kill().survival(cell);
}

std::vector<double> Patient::viable_density() const {
  std::vector<double> result = density_start_;
  for (std::size_t c = 0; c < result.size(); ++c) result[c] *= survival(c);
  return result;
}

std::vector<double> Patient::cycle_density() const {
  std::vector<double> result = density_start_;
  if (!regimen_) return result;
  const std::vector<double>& density = regimen_->kill().population().density;
  for (std::size_t c = 0; c < result.size(); ++c) result[c] = tumour_[c] ? density[c] : 0.0;
  return result;
}

void Patient::set_cycling_shares() {
  cycling_share_.assign(tumour_.size(), 0.0);
  constexpr double oxic = 60 * mmhg;
  const ReadAccess po2(oxygen_.cells.get());
  for (std::size_t c = 0; c < tumour_.size(); ++c)
    cycling_share_[c] = cycling_fraction(settings_.cycling, settings_.on.quiescence ? po2[c] : oxic);
}

void Patient::start_cycle() {
  if (regimen_) {
    for (Judged& j : judged_) {
      const Sanctuary found = sanctuary(j);
      nlohmann::json row = sanctuary_json(found);
      row.update({{"cycle", cycle_}, {"start_h", cycle_start_ / 3600}, {"end_h", time_ / 3600}});
      for (std::size_t c = 0; c < tumour_.size(); ++c) {
        const bool in = found.label[c] > 0 && (found.label[c] & 1) != 0;
        j.in_s1[c] *= in ? 1.0 : 0.0;
        j.time_in_s1[c] = in ? j.time_in_s1[c] + (time_ - cycle_start_) : 0.0;
      }
      finished_cycles_["sanctuary"][j.name].push_back(std::move(row));
    }
    for (std::size_t d = 0; d < settings_.drugs.size(); ++d) {
      nlohmann::json row = exposure_json(d);
      row.update({{"cycle", cycle_}, {"start_h", cycle_start_ / 3600}, {"end_h", time_ / 3600}});
      finished_cycles_["exposure"][settings_.drugs[d].name].push_back(std::move(row));
    }
    set_cycling_shares();
    regimen_->start_cycle(cycling_share_);
    regimen_->forget_slopes();
    dt_ = settings_.first_step;
  }
  cycle_start_ = cycle_end();
  ++cycle_;
}

Sanctuary Patient::sanctuary(const Judged& judged) const {
  const CellKill& kill = regimen_->kill();
  const std::size_t cells = tumour_.size(), clones = kill.clones();
  const std::vector<double> density = cycle_density();
  std::vector<double> fraction = density;
  for (double& f : fraction) f *= settings_.tumour_cell_volume;
  const auto reference = regimen_->reference_hazards(cycle_start_, time_);
  std::vector<std::array<std::vector<double>, 2>> hazard(clones);
  SanctuaryInput input;
  for (std::size_t j = 0; j < clones; ++j) {
    Clone clone;
    for (auto& phase : hazard[j]) phase.assign(cells, 0.0);
    for (const std::size_t d : judged.drugs) {
      const double quiescent = settings_.drugs[d].kill.quiescent_factor;
      const std::vector<double>& of = kill.hazard(d, j);
      for (std::size_t c = 0; c < cells; ++c) {
        hazard[j][0][c] += of[c];
        hazard[j][1][c] += quiescent * of[c];
      }
      clone.reference_hazard[0] += reference[d][j];
      clone.reference_hazard[1] += quiescent * reference[d][j];
    }
    clone.share = kill.clone_share(j);
    clone.hazard_cycling = hazard[j][0];
    clone.hazard_quiescent = hazard[j][1];
    input.clones.push_back(clone);
  }
  input.cycling_share = cycling_share_;
  input.viable_density = density;
  input.viable_fraction = fraction;
  input.reference_cycling_share = cycling_fraction(settings_.cycling, 60 * mmhg);
  // Growth without drug goes with the share in cycle; over the tumour it is that of the declared doubling time.
  const double mean_share = weighted_mean(comm_, cycling_share_, density);
  std::vector<double> growth(cells, 0.0);
  for (std::size_t c = 0; c < cells && mean_share > 0; ++c)
    growth[c] = std::numbers::ln2 * (time_ - cycle_start_) / settings_.doubling_time * cycling_share_[c] / mean_share;
  input.growth = growth;
  input.in_s1_before = judged.in_s1;
  input.time_in_s1 = judged.time_in_s1;
  input.cycle_length = time_ - cycle_start_;
  input.distance_to_vessel = distance_to_vessel_;
  input.distance_to_edge = distance_to_edge_;
  input.box = {grid_.start(), grid_.size(), settings_.grid.cells};
  input.origin = settings_.grid.origin;
  input.spacing = settings_.grid.spacing;
  input.least_region = std::pow(settings_.smallest_region, 3);
  input.viable_mask = settings_.viable_mask;
  input.cell_volume = grid_.cell_volume();
  return find_sanctuary(comm_, input);
}

}  // namespace sanctuary
