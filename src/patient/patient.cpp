#include "patient/patient.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numbers>
#include <sstream>

#include "base/comm.hpp"
#include "outcomes/exposure.hpp"
#include "solvers/network/parts.hpp"
#include "tissue/blood.hpp"

namespace sanctuary {
namespace {

std::size_t at(long i) { return static_cast<std::size_t>(i); }

constexpr double micromolar = 1e-3;  // mol/m^3
constexpr double hour = 3600;
constexpr double micron = 1e-6;
constexpr double nl_per_min = 6e13;       // per m^3/s
constexpr double far = 1e30;              // depth where there is no edge
constexpr double least_plasma = 0.02;     // of blood: what carries solutes where filtration has all but dried it
constexpr double small_solute = 4.5e-10;  // [m] stands for every solute where the wall does not sieve

double positive(double x) { return std::max(x, 0.0); }

}  // namespace

/// Adds the time of a scope to a phase.
class Patient::Stopwatch {
 public:
  Stopwatch(const Patient& patient, const char* phase) : sum_(&patient.timing_[phase]) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() { *sum_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  double* sum_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

Patient::Patient(MPI_Comm comm, PatientSettings settings)
    : comm_(comm), settings_(std::move(settings)), grid_(comm, settings_.grid) {
  const Stopwatch watch(*this, "network set-up");
  load_network();
  if (settings_.network_source != "none") {
    ExchangeSettings exchange;
    for (int wall = 0; wall < 6; ++wall) exchange.mirror[static_cast<std::size_t>(wall)] = host_wall(wall) ? -1 : 1;
    embedded_ = settings_.on.subgrid_exchange ? std::make_unique<EmbeddedNetwork>(grid_, cut_, exchange)
                                              : std::make_unique<EmbeddedNetwork>(grid_, cut_);
    flow_ = std::make_unique<FlowSolver>(cut_, cut_.piece_radii(),
                                         blood_laws(settings_.rheology, settings_.split, settings_.inlet_haematocrit));
  }
  set_up_tissue();
}

Patient::~Patient() = default;

void Patient::load_network() {
  const std::string& source = settings_.network_source;
  if (source == "none") return;
  const std::string name = source == "file" ? settings_.network_file.string() : "generated network";
  const bool mended = source == "file" && (settings_.network_repair || settings_.boundary_estimate);
  VesselGraph share;
  if (source == "generate") {
    share = grow_vasculature(comm_, settings_.vasculature,
                             [this](const std::array<double, 3>& point) { return grid_.owner(grid_.cell_of(point)); });
  } else if (source == "lattice") {
    on_root(comm_, [&] { share = generate_network(settings_.generator); });
  } else if (mended) {  // rank 0 sees the whole of it
    on_root(comm_, [&] { share = mended_network(); });
  } else {
    share = read_network_share(comm_, settings_.network_file, settings_.network_options, &notes_);
  }
  Box box;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    box.origin[axis] = settings_.grid.origin[axis];
    box.size[axis] = static_cast<double>(settings_.grid.cells[axis]) * settings_.grid.spacing[axis];
  }
  if (count_over(comm_, share.segments()) == 0) throw InputError(name + ": the network has no segments");
  const Box extent = bounding_box(comm_, share);
  together(comm_, [&] { check_geometry(name, share, box, extent); });
  cut_ = cut_at_faces(grid_, share);
  // Each connected part needs one node that fixes the level of pressure.
  const std::vector<std::size_t> levels = set_missing_levels(cut_, settings_.network_reference_pressure);
  std::string text;
  for (const std::size_t n : levels) {
    text += "a part of the network has boundary flows alone: its largest outlet, node " +
            std::to_string(cut_.node_key[n][1]) + ", takes network.reference_pressure in place of its flow\n";
  }
  std::istringstream lines(gather(comm_, text));
  for (std::string line; std::getline(lines, line);) notes_.push_back(line);
  const std::vector<long> without = parts_without_pressure(cut_);
  on_root(comm_, [&] {
    if (without.empty()) return;
    throw InputError(name + ": " + std::to_string(without.size()) +
                     (without.size() == 1 ? " connected part" : " connected parts") +
                     " of the network without a boundary pressure (one at node " + std::to_string(without.front()) +
                     "): nothing fixes the pressure in it; give it a boundary condition, or set network.repair = on, "
                     "which drops parts without any");
  });
  std::array<double, 3> range{-std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(), 0};
  for (std::size_t n = 0; n < cut_.own_nodes; ++n) {
    if (cut_.boundary[n] == BoundaryKind::flow) range[2] = std::max(range[2], std::abs(cut_.boundary_value[n]));
    if (cut_.boundary[n] != BoundaryKind::pressure) continue;
    range[0] = std::max(range[0], cut_.boundary_value[n]);
    range[1] = std::max(range[1], -cut_.boundary_value[n]);
  }
  MPI_Allreduce(MPI_IN_PLACE, range.data(), 3, MPI_DOUBLE, MPI_MAX, comm_);
  if (!(range[0] > -range[1]) && range[2] == 0) {
    throw InputError(name + ": no blood can flow: " +
                     (range[0] == -range[1] ? "all boundary nodes have the same pressure"
                                            : "no node has a boundary pressure or flow") +
                     "; give inlets a higher pressure than outlets");
  }
}

VesselGraph Patient::mended_network() {
  VesselGraph graph = read_network(settings_.network_file, settings_.network_options, &notes_);
  if (settings_.network_repair) {
    auto [mended, changes] = repair(graph);
    if (changes.changed()) notes_.push_back("network repaired: " + changes.text());
    graph = std::move(mended);
  }
  if (settings_.boundary_estimate) {
    const BoundaryEstimate found = estimate_boundaries(
        graph, open_ends(graph, bounding_box(graph), settings_.boundary_estimate_margin), *settings_.boundary_estimate);
    notes_.push_back("boundary pressures estimated: " + found.text());
    graph = found.graph;
  }
  return graph;
}

void Patient::check_geometry(const std::string& name, const VesselGraph& share, const Box& box, const Box& extent) {
  Diagnosis found = diagnose(share, box);
  if (!found.outside_nodes.empty()) {
    std::string text = name + ": nodes lie outside the grid (one is node " +
                       std::to_string(share.node_id[at(found.outside_nodes.front())]) + "). The network reaches";
    for (std::size_t axis = 0; axis < 3; ++axis) {
      text += std::string(axis ? "," : "") + " " + "xyz"[axis] + " " + std::to_string(extent.origin[axis] / micron) +
              " to " + std::to_string((extent.origin[axis] + extent.size[axis]) / micron) + " um";
    }
    throw InputError(text + "; set grid.origin, grid.cells and grid.spacing so that the box holds it");
  }
  // What concerns whole parts is not seen from a share.
  found.pieces_without_pressure.clear();
  if (!found.usable()) {
    throw InputError(name + ": the network cannot be used as it is:\n" + report(found, share) +
                     "\nSet network.repair = on, or repair the file with `sanctuary network import --repair`");
  }
}

bool Patient::host_wall(int wall) const {
  if (settings_.kind == PieceKind::nodule) return true;
  return settings_.kind == PieceKind::margin && wall == settings_.host_wall;
}

double Patient::depth_of(const std::array<double, 3>& point) const {
  if (settings_.kind == PieceKind::interior) return far;
  if (settings_.kind == PieceKind::nodule) {
    double sum = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) sum += std::pow(point[axis] - settings_.tumour_centre[axis], 2);
    return settings_.tumour_radius - std::sqrt(sum);
  }
  const auto axis = static_cast<std::size_t>(settings_.host_wall / 2);
  const double from_low = point[axis] - settings_.grid.origin[axis];
  const double length = static_cast<double>(settings_.grid.cells[axis]) * settings_.grid.spacing[axis];
  return (settings_.host_wall % 2 == 1 ? length - from_low : from_low) - settings_.host_depth;
}

bool Patient::tumour_at(const std::array<long, 3>& cell) const {
  std::array<double, 3> centre{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    centre[axis] = settings_.grid.origin[axis] + (static_cast<double>(cell[axis]) + 0.5) * settings_.grid.spacing[axis];
  }
  return depth_of(centre) > 0;
}

void Patient::set_up_tissue() {
  const std::size_t cells = grid_.local_cells();
  tumour_.resize(cells);
  depth_.resize(cells);
  density_start_.assign(cells, 0.0);
  long tumour_cells = 0;
  for (std::size_t c = 0; c < cells; ++c) {
    depth_[c] = depth_of(grid_.centre(c));
    tumour_[c] = depth_[c] > 0;
    if (tumour_[c]) {
      density_start_[c] = settings_.tumour_density;
      ++tumour_cells;
    }
  }
  const double tumour_volume = sum_over(comm_, static_cast<double>(tumour_cells)) * grid_.cell_volume();
  const double host_volume = static_cast<double>(grid_.global_cells()) * grid_.cell_volume() - tumour_volume;

  const MatrixLaw& law = settings_.matrix.law;
  const auto conductivity = [&](const InterstitiumSettings& tissue) {
    return settings_.on.matrix_conductivity ? hydraulic_conductivity(law, tissue.matrix, tissue.hydraulic_conductivity)
                                            : tissue.hydraulic_conductivity;
  };
  const double inside = conductivity(settings_.matrix.tumour), outside = conductivity(settings_.matrix.host);
  fluid_tissue_.conductivity.resize(cells);
  fluid_tissue_.lymph_conductance.resize(cells);
  for (std::size_t c = 0; c < cells; ++c) {
    fluid_tissue_.conductivity[c] = tumour_[c] ? inside : outside;
    fluid_tissue_.lymph_conductance[c] = !settings_.on.lymphatics ? 0.0
                                         : tumour_[c]             ? settings_.wall.tumour.lymph_conductance
                                                                  : settings_.wall.host.lymph_conductance;
  }
  fluid_tissue_.lymph_pressure = settings_.wall.host.lymph_pressure;
  for (int wall = 0; wall < 6; ++wall) {
    const auto w = static_cast<std::size_t>(wall);
    fluid_tissue_.walls.kind[w] = host_wall(wall) ? WallKind::fixed : WallKind::closed;
    fluid_tissue_.walls.value[w] = settings_.host_pressure;
  }

  if (!embedded_) return;
  fluid_wall_.conductance.resize(cut_.own_pieces);
  fluid_wall_.oncotic.resize(cut_.own_pieces);
  fluid_wall_.protein_oncotic.resize(cut_.own_pieces);
  fluid_wall_.filtration_velocity = settings_.wall.filtration_velocity;
  double tumour_sum = 0, host_sum = 0;
  for (std::size_t p = 0; p < cut_.own_pieces; ++p) {
    const bool in_tumour = tumour_at(cut_.piece_cell[p]);
    const std::size_t segment = at(cut_.piece_segment[p]);
    const double surface = 2 * std::numbers::pi * cut_.graph.radius[segment] * cut_.piece_length[p];
    const double conductance =
        wall_conductivity(settings_.wall.wall, in_tumour ? cut_.graph.maturity[segment] : 1.0) * surface;
    (in_tumour ? tumour_sum : host_sum) += conductance;
    fluid_wall_.conductance[p] = conductance;
    const FiltrationSettings& wall = in_tumour ? settings_.wall.tumour : settings_.wall.host;
    fluid_wall_.oncotic[p] = wall.oncotic_term();
    fluid_wall_.protein_oncotic[p] = wall.reflection * wall.vascular_oncotic;
  }
  tumour_sum = sum_over(comm_, tumour_sum);
  host_sum = sum_over(comm_, host_sum);
  if (settings_.anchor) {
    if (tumour_sum > 0) anchor_tumour_ = settings_.wall.tumour.product() * tumour_volume / tumour_sum;
    if (host_sum > 0) anchor_host_ = settings_.wall.host.product() * host_volume / host_sum;
  }
  for (std::size_t p = 0; p < cut_.own_pieces; ++p) {
    fluid_wall_.conductance[p] *= tumour_at(cut_.piece_cell[p]) ? anchor_tumour_ : anchor_host_;
    if (!settings_.on.filtration) fluid_wall_.conductance[p] = 0;
  }
}

void Patient::establish_baseline() {
  {
    const Stopwatch watch(*this, "flow and pressure");
    FluidSolver solver(grid_, embedded_.get(), flow_.get());
    fluid_ = FluidState{};
    settle_flow(solver);
    if (embedded_) {
      double largest = 0, red_cells = 0;
      for (std::size_t p = 0; p < cut_.own_pieces; ++p) {
        if (flow_->radius()[p] > 0)
          largest =
              std::max(largest, std::abs(fluid_.blood.flow[p]) / (std::numbers::pi * std::pow(flow_->radius()[p], 2)));
        red_cells = std::max(red_cells, fluid_.blood.red_cells[p]);
      }
      largest = max_over(comm_, largest);
      red_cells = max_over(comm_, red_cells);
      if (largest < 1e-9) {
        throw InputError(
            "no blood flows anywhere in the network (largest velocity " + std::to_string(largest * 1e6) +
            " um/s): its boundary nodes all have the same pressure; give inlets a higher pressure than outlets");
      }
      if (red_cells <= 0 && settings_.inlet_haematocrit > 0) {
        throw InputError("filtration takes all the blood of the network (the anchor multiplies L_p by " +
                         std::to_string(anchor_tumour_) +
                         "): the network is too sparse for it; use a denser network or set vessel_wall.anchor = off");
      }
      if (fluid_.blood.oscillating) {
        notes_.push_back("blood flow has no steady state that was found (largest change of a haematocrit " +
                         std::to_string(fluid_.blood.change) + "); the state nearest to one is used");
      }
    }
  }
  solve_oxygen();
  const std::size_t cells = grid_.local_cells();
  cycling_share_.assign(cells, 0.0);
  constexpr double oxic = 60 * mmhg;
  const ReadAccess po2(oxygen_.cells.get());
  for (std::size_t c = 0; c < cells; ++c) {
    cycling_share_[c] = cycling_fraction(settings_.cycling, settings_.on.quiescence ? po2[c] : oxic);
  }
  if (!settings_.drugs.empty()) set_up_drug();
  dt_ = settings_.first_step;
  record_series(0);
}

void Patient::solve_oxygen() {
  const Stopwatch watch(*this, "oxygen");
  if (!settings_.on.oxygen) {
    if (!oxygen_.cells) oxygen_.cells = grid_.vector();
    petsc(VecSet(oxygen_.cells.get(), 60 * mmhg));
    oxygen_.node_pressure.assign(cut_.nodes(), 60 * mmhg);
    oxygen_.piece_pressure.assign(cut_.own_pieces, 60 * mmhg);
    return;
  }
  if (!oxygen_solver_) oxygen_solver_ = std::make_unique<OxygenSolver>(grid_, embedded_.get(), flow_.get());
  double killed = 0;
  if (response_) {
    for (std::size_t c = 0; c < tumour_.size(); ++c)
      killed = std::max(killed, -std::log(std::max(response_->survival(c), 1e-300)));
  }
  survival_at_oxygen_ = max_over(comm_, killed);
  if (intermittent_) {
    solve_oxygen_snapshots(oxygen_walls(), oxygen_use());
    return;
  }
  oxygen_solver_->solve(settings_.oxygen, oxygen_walls(), oxygen_use(), fluid_.blood, oxygen_);
}

void Patient::set_up_drug() {
  const Drug& drug = settings_.drugs.front();
  const std::size_t cells = grid_.local_cells();
  const double accessible = drug.accessible_fraction.value_or(settings_.matrix.porosity);
  const MatrixLaw& law = settings_.matrix.law;
  const auto diffusivity = [&](const MatrixComposition& matrix) {
    if (!settings_.on.hindered_diffusion)
      return free_diffusivity(drug.stokes_radius, law.viscosity, law.temperature) * law.tortuosity;
    return drug.diffusivity ? matrix_diffusivity(law, matrix, drug.stokes_radius, *drug.diffusivity)
                            : matrix_diffusivity(law, matrix, drug.stokes_radius);
  };
  diffusivity_ = diffusivity(settings_.matrix.tumour.matrix);
  const double in_host = diffusivity(settings_.matrix.host.matrix);
  std::vector<double> coefficient(cells), drainage(cells, 0.0);
  ExposedCells exposed;
  exposed.accessible.assign(cells, accessible);
  exposed.density.resize(cells);
  exposed.killed.resize(cells);
  exposed.cycling_share = cycling_share_;
  for (std::size_t c = 0; c < cells; ++c) {
    coefficient[c] = accessible * (tumour_[c] ? diffusivity_ : in_host);
    exposed.density[c] = tumour_[c] ? density_start_[c] : settings_.host_density;
    exposed.killed[c] = tumour_[c];
    // Lymph takes fluid with all it holds, whether or not the interstitium carries the solute along.
    drainage[c] = fluid_.lymph[c];
  }
  FaceField carried(grid_);
  if (settings_.on.convection) {
    carried = fluid_.discharge;
    for (int axis = 0; axis < 3; ++axis) {
      for (double& q : carried[axis]) q *= drug.retardation;
    }
  }
  Walls walls;
  for (int wall = 0; wall < 6; ++wall) {
    walls.kind[static_cast<std::size_t>(wall)] = host_wall(wall) ? WallKind::fixed : WallKind::closed;
  }
  drug_op_ = std::make_unique<CellOperator>(grid_);
  drug_op_->reset(walls);
  drug_op_->add_diffusion_and_convection(coefficient, carried);
  transport_ = std::make_unique<TransportSolver>(grid_, embedded_.get(), "drug_");
  transport_->set_cells(exposed.accessible, *drug_op_, std::move(drainage));
  transport_->relative_tolerance = settings_.relative_tolerance;

  const double sieved =
      settings_.on.wall_size_selectivity ? drug.stokes_radius : std::min(drug.stokes_radius, small_solute);
  const auto wall_of = [&](double maturity) {
    WallTransport wall = wall_transport(settings_.wall.wall, sieved, drug.lipophilic_permeability, maturity);
    if (drug.wall_permeability) wall.permeability = *drug.wall_permeability;
    if (!settings_.on.wall_size_selectivity) wall.reflection = 0;
    return wall;
  };
  if (embedded_) {
    const double k = drug.red_cell_partition;
    const double dilution = settings_.on.intravascular_depletion ? 1.0 : 1e4;  // blood this much faster is not depleted
    const double in_blood = free_diffusivity(drug.stokes_radius, law.viscosity, law.temperature);
    const BloodFlow& blood = fluid_.blood;
    std::vector<PieceCoefficients> pieces(embedded_->pieces());
    double surface_sum = 0, permeability_sum = 0, reflection_sum = 0;
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      const double radius = flow_->lumen_radius(p), length = cut_.piece_length[p];
      const double surface =  // a vessel that narrows flattens: its wall stays
          2 * std::numbers::pi * (flow_->radius()[p] > 0 ? cut_.piece_radius(p) : radius) * length;
      const bool in_tumour = tumour_[embedded_->piece_cell()[p]] != 0;
      const WallTransport wall = wall_of(in_tumour ? cut_.graph.maturity[at(cut_.piece_segment[p])] : 1.0);
      const double permeability = wall.permeability * (in_tumour ? anchor_tumour_ : anchor_host_);
      const WallFlux flux = patlak_flux(blood.leak[p] / surface, permeability, wall.reflection);
      PieceCoefficients& piece = pieces[p];
      piece.to_tissue = flux.vessel * surface * drug.unbound_fraction;
      piece.from_tissue = flux.tissue * surface;
      set_tissue(coefficient[embedded_->piece_cell()[p]], embedded_->exchange()->resistance(p),
                 settings_.on.convection ? drug.retardation * blood.leak[p] : 0.0, piece);
      // A wall that resists far more than the tissue: vessels do not feel each other, as for pressure. What filtration
      // carries through such a wall does not spread by diffusion, so that values of vessels near by would not add up.
      constexpr double wall_limited = 0.02;  // P R/D
      if (permeability * radius < wall_limited * coefficient[embedded_->piece_cell()[p]]) piece.coupling = 0;
      const double cells_flow = (1 - k) * blood.red_cells[p];
      const auto carrier = [&](double q) {
        return dilution * std::copysign(std::max(std::abs(q) - cells_flow, least_plasma * std::abs(q)), q);
      };
      set_convection(carrier(blood.end_flow(p, 0)), carrier(blood.end_flow(p, 1)), piece);
      piece.volume =
          std::numbers::pi * radius * radius * length * std::max(1 - (1 - k) * blood.haematocrit[p], least_plasma);
      piece.diffusion = in_blood * std::numbers::pi * radius * radius / (0.5 * length);
      if (in_tumour) {
        surface_sum += surface;
        permeability_sum += surface * permeability;
        reflection_sum += surface * wall.reflection;
      }
    }
    std::array<double, 3> sums{surface_sum, permeability_sum, reflection_sum};
    MPI_Allreduce(MPI_IN_PLACE, sums.data(), 3, MPI_DOUBLE, MPI_SUM, comm_);
    if (sums[0] > 0) {
      wall_permeability_ = sums[1] / sums[0];
      wall_reflection_ = sums[2] / sums[0];
    }
    const std::vector<double> red = blood.red_cells_arriving(cut_);
    std::vector<double> inflow(embedded_->nodes(), 0.0), outflow(inflow);
    for (std::size_t n = 0; n < inflow.size(); ++n) {
      const double q = blood.inflow[n];
      if (q > 0) {
        inflow[n] = dilution * (q - (1 - k) * blood.red_inflow[n]);
      } else if (q < 0) {
        outflow[n] = dilution * std::max(-q - (1 - k) * positive(red[n]), least_plasma * -q);
      }
    }
    transport_->set_network(std::move(pieces), std::move(inflow), std::move(outflow));
    // A bolus at the end of a step belongs to the next one.
    transport_->inlet = [this](double t) { return plasma_->concentration(std::min(t, step_end_)); };
  }
  // Beyond the piece the interstitium of the host is well mixed and fed by its vessels.
  PlasmaModel model = drug.plasma;
  model.host_rate = wall_of(1.0).permeability * settings_.wall.host.surface_density / accessible;
  plasma_ = std::make_unique<PlasmaKinetics>(model, drug.doses);
  transport_->outside = [this, unbound = drug.unbound_fraction](double t) { return unbound * plasma_->host(t); };
  double peak = 0;
  for (const double t : plasma_->events()) peak = std::max(peak, plasma_->concentration(t));
  transport_->scale = std::max(drug.unbound_fraction * peak, 1e-12);
  // Targets hold nearly all there is of a drug that binds well: the little that is free need not be known as closely.
  if (drug.target.number > 0) transport_->least_share = 1e-2;
  transport_->open_ledger();
  response_ = std::make_unique<DrugResponse>(comm_, drug, std::move(exposed), grid_.cell_volume(),
                                             settings_.relative_tolerance, transport_->scale);
}

double Patient::next_stop() const {
  double stop = settings_.duration;
  for (const double t : settings_.output_times) {
    if (t > time_) stop = std::min(stop, t);
  }
  if (plasma_) {
    for (const double t : plasma_->events()) {
      if (t > time_) stop = std::min(stop, t);
    }
  }
  return stop;
}

bool Patient::at_output() const {
  return std::find(settings_.output_times.begin(), settings_.output_times.end(), time_) != settings_.output_times.end();
}

void Patient::advance() {
  const double stop = next_stop();
  if (!transport_) {
    time_ = stop;
    record_series(0);
    return;
  }
  const Stopwatch watch(*this, "drug transport and response");
  const double left = stop - time_;
  step_end_ = std::nextafter(stop, 0.0);
  double dt = std::min({dt_, left, settings_.largest_step});
  // Two equal steps in place of a step and a splinter.
  if (dt < left && left < 1.8 * dt) dt = 0.5 * left;
  StepReport report;
  bool done = false;
  for (int attempt = 0; attempt < settings_.retries && !done; ++attempt) {
    report = transport_->advance(time_, dt, response_.get());
    newton_ += report.newton;
    linear_ += report.linear;
    done = report.converged && report.error <= 1;
    if (!done) {
      ++rejected_;
      dt = report.converged ? std::min(next_step(dt, report.error), 0.8 * dt) : 0.25 * dt;
    }
  }
  if (!done) {
    throw NumericsError(
        "the drug's transport failed at " + std::to_string(time_) + " s after " + std::to_string(settings_.retries) +
        " attempts, the last with a step of " + std::to_string(dt) + " s (" +
        (report.converged ? "error " + std::to_string(report.error) + " times the tolerance" : report.reason) +
        "); a smaller transport.first_step or a larger transport.relative_tolerance may help");
  }
  ++steps_;
  undershoot_ = std::max(undershoot_, report.undershoot);
  const bool arrived = dt == left;
  time_ = arrived ? stop : time_ + dt;
  const double proposed = next_step(dt, report.error);
  dt_ = dt < dt_ ? std::max(dt_, proposed) : proposed;
  if (report.error > 0.5) dt_ = std::min(dt_, proposed);
  dt_ = std::min(dt_, settings_.largest_step);
  if (arrived) {
    for (const double t : plasma_->events()) {
      if (t != time_) continue;
      transport_->forget_slope();
      response_->forget_slope();
      dt_ = settings_.first_step;
    }
  }
  record_series(dt);
  if (settings_.on.oxygen) {
    double killed = 0;
    for (std::size_t c = 0; c < tumour_.size(); ++c)
      killed = std::max(killed, -std::log(std::max(response_->survival(c), 1e-300)));
    killed = max_over(comm_, killed);
    if (killed > survival_at_oxygen_ + 0.1 || (at_output() && killed > survival_at_oxygen_)) solve_oxygen();
  }
}

std::vector<double> Patient::survivals() const {
  std::vector<double> result(tumour_.size(), 1.0);
  if (response_) {
    for (std::size_t c = 0; c < result.size(); ++c) result[c] = response_->survival(c);
  }
  return result;
}

std::vector<double> Patient::viable_density() const {
  std::vector<double> result = survivals();
  for (std::size_t c = 0; c < result.size(); ++c) result[c] *= density_start_[c];
  return result;
}

void Patient::record_series(double dt) {
  std::vector<double> in_tumour(tumour_.begin(), tumour_.end());
  const std::vector<double> now = viable_density();
  double start = 0, alive = 0;
  for (std::size_t c = 0; c < now.size(); ++c) {
    start += density_start_[c];
    alive += now[c];
  }
  start = sum_over(comm_, start);
  alive = sum_over(comm_, alive);
  const auto push = [&](const std::string& name, const std::string& unit, double value) {
    Column& column = series_[name];
    column.unit = unit;
    column.values.push_back(value);
  };
  series_time_.push_back(time_);
  push("viable_share", "1", start > 0 ? alive / start : 0.0);
  push("step", "s", dt);
  if (!transport_) return;
  const std::string& name = settings_.drugs.front().name;
  const ReadAccess free(transport_->cells());
  const std::vector<double> values(free.data(), free.data() + now.size());
  push(name + "_plasma", "umol/L", plasma_->concentration(time_) / micromolar);
  push(name + "_plasma_unbound", "umol/L", settings_.drugs.front().unbound(plasma_->concentration(time_)) / micromolar);
  push(name + "_free_mean", "umol/L", weighted_mean(comm_, values, in_tumour) / micromolar);
  push(name + "_cells_mean", "umol/L", weighted_mean(comm_, response_->in_cells(), in_tumour) / micromolar);
  push(name + "_bound_mean", "umol/L", weighted_mean(comm_, response_->bound(), in_tumour) / micromolar);
  if (response_->has_target()) {
    push(name + "_complexes_mean", "umol/L", weighted_mean(comm_, response_->complexes(), in_tumour) / micromolar);
    push(name + "_internalised_mean", "umol/L",
         weighted_mean(comm_, response_->internalised(), in_tumour) / micromolar);
  }
}

std::vector<BalanceEntry> Patient::balance() const {
  std::vector<BalanceEntry> all;
  const auto add = [&](BalanceEntry e, double inflow) {
    const double gap = std::abs(e.start + e.in - e.out - e.in_place);
    e.error = inflow > 0 ? gap / inflow : (gap > 0 ? 1.0 : 0.0);
    all.push_back(std::move(e));
  };
  if (embedded_) {
    const BloodFlow& b = fluid_.blood;
    std::array<double, 4> sums{};  // blood in, out; red cells in, out
    // What leaves through an outlet is what its pieces bring.
    const std::vector<double> arriving = b.red_cells_arriving(cut_);
    for (std::size_t n = 0; n < arriving.size(); ++n) {
      sums[b.inflow[n] > 0 ? 0 : 1] += std::abs(b.inflow[n]);
      sums[2] += b.red_inflow[n];
      if (b.inflow[n] < 0) sums[3] += arriving[n];
    }
    MPI_Allreduce(MPI_IN_PLACE, sums.data(), 4, MPI_DOUBLE, MPI_SUM, comm_);
    add({"blood", "network", 0, sums[0], sums[1] + fluid_.filtration, 0, 0, 1e-9}, sums[0]);
    all.push_back({"red cells", "network", 0, sums[2], sums[3], 0, b.red_cell_imbalance, 1e-9});
  }
  all.push_back(
      {"fluid", "interstitium", 0, fluid_.filtration, fluid_.drained + fluid_.walls, 0, fluid_.imbalance, 1e-9});
  if (settings_.on.oxygen) {
    BalanceEntry e{"oxygen",
                   "network and tissue",
                   0,
                   oxygen_.blood_in + oxygen_.walls_in,
                   oxygen_.blood_out + oxygen_.walls_out + oxygen_.used,
                   0,
                   oxygen_.imbalance,
                   1e-6};
    all.push_back(e);
  }
  if (transport_) {
    const std::string& name = settings_.drugs.front().name;
    const TransportLedger& l = transport_->ledger();
    const DrugResponse::Ledger& r = response_->ledger();
    if (embedded_) {
      add({name, "network", l.network_start, l.blood_in + l.exchanged_out, l.blood_out + l.exchanged_in,
           transport_->amount_in_network()},
          l.blood_in);
    }
    // Gains and losses in the fluid are those that the other compartments book, so that a leak between two shows.
    const double into_cells = r.taken_up - r.given_back - r.released_by_death + (r.on_targets - r.off_targets),
                 onto_sites = r.bound_in - r.bound_out;
    add({name, "interstitium", l.cells_start, l.exchanged_in + l.walls_in,
         l.exchanged_out + l.walls_out + l.drained + into_cells + onto_sites, transport_->amount_in_cells()},
        l.exchanged_in + l.walls_in);
    add({name, "cells", 0, r.taken_up, r.given_back + r.released_by_death, response_->amount_in_cells()}, r.taken_up);
    add({name, "sites", 0, r.bound_in, r.bound_out, response_->amount_bound()}, r.bound_in);
    if (response_->has_target())
      add({name, "targets", 0, r.on_targets, r.off_targets + r.degraded, response_->amount_on_targets()}, r.on_targets);
  }
  return all;
}

void Patient::check_balance() const {
  for (const BalanceEntry& e : balance()) {
    if (e.error <= e.allowed) continue;
    char text[64];
    std::snprintf(text, sizeof text, "%.3g (allowed %.0e)", e.error, e.allowed);
    throw NumericsError("the balance of " + e.species + " in " + e.compartment + " does not close at " +
                        std::to_string(time_) + " s: error " + text + " of the cumulative inflow");
  }
}

GridLayout Patient::layout() const { return {settings_.grid.origin, settings_.grid.spacing, settings_.grid.cells}; }
LocalBox Patient::box() const { return {grid_.start(), grid_.size()}; }

NetworkLayout Patient::network_layout() const {
  if (!embedded_) return {};
  const VesselGraph whole = gathered_network(cut_);
  return {whole.position, whole.node_id, whole.segment, whole.segment_id, whole.radius, whole.length};
}

void Patient::with_constants(const std::function<void(std::span<const FieldOutput>)>& use) const {
  const std::vector<double> label(tumour_.begin(), tumour_.end());
  const FieldOutput field{"tissue", "1", "0 host, 1 tumour", label, false};
  use({&field, 1});
}

void Patient::with_output(
    const std::function<void(std::span<const FieldOutput>, std::span<const NetworkOutput>)>& use) const {
  const std::size_t cells = grid_.local_cells();
  std::map<std::string, std::vector<double>> kept;
  std::vector<FieldOutput> fields;
  const auto wanted = [&](const std::string& name) {
    return std::any_of(settings_.output_fields.begin(), settings_.output_fields.end(),
                       [&](const std::string& f) { return f == "all" || f == name; });
  };
  const auto add = [&](const std::string& name, const std::string& unit, const std::string& meaning, auto&& value_of) {
    if (!wanted(name)) return;
    std::vector<double>& values = kept[name];
    values.resize(cells);
    for (std::size_t c = 0; c < cells; ++c) values[c] = value_of(c);
    fields.push_back({name, unit, meaning, values, settings_.double_precision});
  };
  const ReadAccess pressure(fluid_.pressure.get()), po2(oxygen_.cells.get());
  add("interstitial_pressure", "mmHg", "interstitial fluid pressure",
      [&](std::size_t c) { return pressure[c] / mmhg; });
  add("interstitial_speed", "um/s", "speed of the interstitial fluid (Darcy)", [&](std::size_t c) {
    const auto p = grid_.place(c);
    double sum = 0;
    for (int axis = 0; axis < 3; ++axis) {
      const auto a = static_cast<std::size_t>(axis);
      std::array<long, 3> low{p[0] - grid_.start()[0], p[1] - grid_.start()[1], p[2] - grid_.start()[2]}, high = low;
      ++high[a];
      const double q = 0.5 * (fluid_.discharge[axis][fluid_.discharge.index(axis, low[0], low[1], low[2])] +
                              fluid_.discharge[axis][fluid_.discharge.index(axis, high[0], high[1], high[2])]);
      sum += std::pow(q / grid_.face_area(axis), 2);
    }
    return std::sqrt(sum) / micron;
  });
  add("oxygen_pressure", "mmHg", "partial pressure of oxygen", [&](std::size_t c) { return po2[c] / mmhg; });
  if (!time_below_5().empty()) {
    add("time_below_5", "1", "share of the time with oxygen under 5 mmHg",
        [&](std::size_t c) { return time_below_5()[c]; });
  }
  const std::vector<double> viable = viable_density();
  add("viable_density", "1/mm^3", "viable tumour cells", [&](std::size_t c) { return viable[c] * 1e-9; });
  add("cycling_share", "1", "share of viable tumour cells in cycle at the start",
      [&](std::size_t c) { return tumour_[c] ? cycling_share_[c] : 0.0; });
  if (transport_) {
    const std::string& name = settings_.drugs.front().name;
    const ReadAccess free(transport_->cells());
    const DrugResponse& r = *response_;
    add(name + "_free", "umol/L", "free drug in interstitial fluid",
        [&](std::size_t c) { return free[c] / micromolar; });
    add(name + "_bound", "umol/L", "drug bound to sites of the interstitium, per fluid",
        [&](std::size_t c) { return r.bound()[c] / micromolar; });
    add(name + "_cells", "umol/L", "drug in cells, per tissue",
        [&](std::size_t c) { return r.in_cells()[c] / micromolar; });
    add(name + "_auc", "umol h/L", "area under the free concentration",
        [&](std::size_t c) { return r.area_free()[c] / (micromolar * hour); });
    add(name + "_auc_bound", "umol h/L", "area under the bound concentration",
        [&](std::size_t c) { return r.area_bound()[c] / (micromolar * hour); });
    add(name + "_auc_cells", "umol h/L", "area under the concentration in cells",
        [&](std::size_t c) { return r.area_in_cells()[c] / (micromolar * hour); });
    if (response_->has_target()) {
      add(name + "_complexes", "umol/L", "drug on targets of cells, per tissue",
          [&](std::size_t c) { return r.complexes()[c] / micromolar; });
      add(name + "_internalised", "umol/L", "drug taken in with its target, per tissue",
          [&](std::size_t c) { return r.internalised()[c] / micromolar; });
      add(name + "_occupancy", "1", "share of the targets on cells that drug holds", [&](std::size_t c) {
        const double all = r.free_targets()[c] + r.complexes()[c];
        return all > 0 ? r.complexes()[c] / all : 0.0;
      });
      add(name + "_auc_complexes", "umol h/L", "area under the drug on targets",
          [&](std::size_t c) { return r.area_complexes()[c] / (micromolar * hour); });
      add(name + "_auc_internalised", "umol h/L", "area under the drug taken in",
          [&](std::size_t c) { return r.area_internalised()[c] / (micromolar * hour); });
    }
    add(name + "_cmax", "umol/L", "largest free concentration",
        [&](std::size_t c) { return r.peak_free()[c] / micromolar; });
    add(name + "_time_above", "h", "time of the free concentration above its threshold",
        [&](std::size_t c) { return r.time_above()[c] / hour; });
    add(name + "_log_kill", "1", "log10 kill of the cells of the cycle's start", [&](std::size_t c) {
      return tumour_[c] ? log_kill(cycling_share_[c], r.hazard_cycling()[c], r.hazard_quiescent()[c]) : 0.0;
    });
    const Sanctuary found = sanctuary();
    add(name + "_sanctuary", "1", "1 S1, 2 S2 (delivery), 4 S4 (protection), summed; -1 outside the viable tumour",
        [&](std::size_t c) { return found.label[c]; });
  }

  std::vector<NetworkOutput> network;
  std::vector<double> node_pressure, flow, haematocrit, piece_po2, drug, radius, collapsed;
  if (embedded_) {
    const BloodFlow& blood = fluid_.blood;
    node_pressure = cut_.graph_node_order().gather(blood.pressure);
    for (double& p : node_pressure) p /= mmhg;
    flow = cut_.by_segment(blood.flow);
    for (double& q : flow) q *= nl_per_min;
    haematocrit = cut_.by_segment(blood.haematocrit);
    piece_po2 = cut_.by_segment(oxygen_.piece_pressure);
    for (double& p : piece_po2) p /= mmhg;
    network = {{"pressure", "mmHg", true, node_pressure},
               {"flow", "nl/min", false, flow},
               {"hematocrit", "1", false, haematocrit},
               {"pO2", "mmHg", false, piece_po2}};
    if (compressed_) {
      radius = cut_.by_segment(flow_->radius());
      for (double& r : radius) r /= micron;
      collapsed =
          cut_.by_segment(std::vector<double>(compressed_->collapsed().begin(), compressed_->collapsed().end()));
      network.push_back({"radius_in_use", "um", false, radius});
      network.push_back({"collapsed", "1", false, collapsed});
    }
    if (transport_) {
      drug = cut_.by_segment(embedded_->piece_values(transport_->network()));
      for (double& c : drug) c /= micromolar;
      network.push_back({settings_.drugs.front().name, "umol/L", false, drug});
    }
  }
  use(fields, network);
}

Sanctuary Patient::sanctuary() const {
  SanctuaryInput input;
  std::vector<double> fraction = density_start_;
  for (double& f : fraction) f *= settings_.tumour_cell_volume;
  input.clones = {{.share = {},
                   .hazard_cycling = response_->hazard_cycling(),
                   .hazard_quiescent = response_->hazard_quiescent(),
                   .reference_hazard = reference_hazard(settings_.drugs.front(), *plasma_, time_)}};
  input.cycling_share = cycling_share_;
  input.viable_density = density_start_;
  input.viable_fraction = fraction;
  input.reference_cycling_share = cycling_fraction(settings_.cycling, 60 * mmhg);
  input.viable_mask = settings_.viable_mask;
  input.cell_volume = grid_.cell_volume();
  input.box = {grid_.start(), grid_.size(), settings_.grid.cells};
  input.least_region = std::pow(settings_.smallest_region, 3);
  return find_sanctuary(comm_, input);
}

Patient::Findings Patient::findings() const {
  Findings out;
  auto& o = out.outcome;
  const std::size_t cells = grid_.local_cells();
  const std::vector<double> viable = viable_density();
  std::vector<double> in_tumour(tumour_.begin(), tumour_.end()), rim(cells, 0.0);
  for (std::size_t c = 0; c < cells; ++c) rim[c] = tumour_[c] && depth_[c] <= settings_.rim_width;
  std::vector<double> pressure(cells), po2(cells);
  {
    const ReadAccess p(fluid_.pressure.get()), o2(oxygen_.cells.get());
    for (std::size_t c = 0; c < cells; ++c) {
      pressure[c] = p[c] / mmhg;
      po2[c] = o2[c] / mmhg;
    }
  }
  const auto below = [&](double limit) {
    std::vector<double> hit(cells);
    for (std::size_t c = 0; c < cells; ++c) hit[c] = po2[c] < limit;
    return weighted_mean(comm_, hit, viable);
  };
  double volume = 0, start = 0, alive = 0;
  for (std::size_t c = 0; c < cells; ++c) {
    volume += in_tumour[c];
    start += density_start_[c];
    alive += viable[c];
  }
  volume = sum_over(comm_, volume) * grid_.cell_volume();
  start = sum_over(comm_, start);
  alive = sum_over(comm_, alive);
  o["time_h"] = time_ / hour;
  o["tumour_volume_mm3"] = volume * 1e9;
  o["viable_cells_start"] = start * grid_.cell_volume();
  o["viable_cells"] = alive * grid_.cell_volume();
  o["interstitial_pressure_mean_mmHg"] = weighted_mean(comm_, pressure, in_tumour);
  o["interstitial_pressure_max_mmHg"] = dose_volume(comm_, pressure, in_tumour, 2).highest;
  if (settings_.kind != PieceKind::interior) o["interstitial_pressure_rim_mmHg"] = weighted_mean(comm_, pressure, rim);
  if (settings_.on.oxygen) {
    o["oxygen_pressure_mean_mmHg"] = weighted_mean(comm_, po2, viable);
    o["oxygen_pressure_median_mmHg"] = reached_by(comm_, po2, viable, 0.5);
    o["hypoxic_fraction"] = below(settings_.oxygen.hypoxia_threshold / mmhg);
    o["hypoxic_fraction_10"] = below(10);
    o["hypoxic_fraction_5"] = below(5);
    o["hypoxic_fraction_2_5"] = below(2.5);
  }
  if (embedded_) {
    const BloodFlow& b = fluid_.blood;
    std::array<double, 3> sums{};
    auto& [length, perfused, inflow] = sums;
    for (std::size_t p = 0; p < cut_.own_pieces; ++p) {
      if (!tumour_at(cut_.piece_cell[p])) continue;
      length += cut_.piece_length[p];
      const double lumen = std::numbers::pi * std::pow(flow_->radius()[p], 2);
      if (lumen > 0 && std::abs(b.flow[p]) >= settings_.perfusion_velocity * lumen) perfused += cut_.piece_length[p];
    }
    for (std::size_t n = 0; n < cut_.own_nodes; ++n) inflow += positive(b.inflow[n]);
    MPI_Allreduce(MPI_IN_PLACE, sums.data(), 3, MPI_DOUBLE, MPI_SUM, comm_);
    o["vessel_length_density_mm_mm3"] = volume > 0 ? length / volume * 1e-6 : 0.0;
    o["perfused_fraction"] = length > 0 ? perfused / length : 0.0;
    o["blood_inflow_nl_per_min"] = inflow * nl_per_min;
    o["blood_flow_converged"] = b.converged;
    add_filtration_findings(o);
    add_vessel_findings(o);
  }
  double worst = 0;
  for (const BalanceEntry& e : balance()) {
    worst = std::max(worst, e.error / e.allowed);
    out.summary["balance"][e.species][e.compartment] = {{"start", e.start}, {"in", e.in},
                                                        {"out", e.out},     {"in_place", e.in_place},
                                                        {"error", e.error}, {"allowed", e.allowed}};
  }
  o["worst_balance_error_over_allowed"] = worst;
  if (transport_) {
    const Drug& drug = settings_.drugs.front();
    const std::string& name = drug.name;
    const Sanctuary s = sanctuary();
    o["log_kill"] = alive > 0 && start > 0 ? -std::log10(alive / start) : 0.0;
    const auto exposure = [&](const std::vector<double>& value, double unit, const std::string& key) {
      const DoseVolume v = dose_volume(comm_, value, density_start_, settings_.histogram_bins);
      o[name + "_" + key + "_mean"] = v.mean / unit;
      o[name + "_" + key + "_a95"] = v.a95 / unit;
      o[name + "_" + key + "_a50"] = v.a50 / unit;
    };
    exposure(response_->area_free(), micromolar * hour, "auc_umol_h_L");
    exposure(response_->area_in_cells(), micromolar * hour, "auc_cells_umol_h_L");
    if (response_->has_target()) {
      exposure(response_->area_complexes(), micromolar * hour, "auc_complexes_umol_h_L");
      exposure(response_->area_internalised(), micromolar * hour, "auc_internalised_umol_h_L");
    }
    exposure(response_->peak_free(), micromolar, "cmax_umol_L");
    exposure(response_->time_above(), hour, "time_above_h");
    o[name + "_plasma_auc_umol_h_L"] = plasma_->area(0, time_) / (micromolar * hour);
    if (plasma_->model().metabolite.fraction > 0)
      o[name + "_metabolite_plasma_auc_umol_h_L"] = plasma_->metabolite_area(0, time_) / (micromolar * hour);
    o[name + "_wall_permeability_cm_s"] = wall_permeability_ * 100;
    o[name + "_wall_reflection"] = wall_reflection_;
    o[name + "_diffusivity_um2_s"] = diffusivity_ * 1e12;
    const auto part = [](const Part& p) { return nlohmann::json{{"volume_mm3", p.volume * 1e9}, {"share", p.share}}; };
    auto& j = out.summary["sanctuary"][name];
    j = {{"L_ref", s.reference_log_kill},    {"theta", s.threshold}, {"theta_relative", s.threshold_relative},
         {"direct_effect", s.direct_effect}, {"mask", part(s.mask)}, {"to_date", time_ < settings_.cycle}};
    if (s.direct_effect) {
      j.update({{"s1", part(s.s1)},
                {"s2", part(s.s2)},
                {"s4", part(s.s4)},
                {"delivery", part(s.delivery)},
                {"protection", part(s.protection)},
                {"both", part(s.both)},
                {"joint", part(s.joint)},
                {"rescued", part(s.rescued)},
                {"dropped", part(s.dropped)},
                {"regions", s.regions},
                {"largest_region_mm3", s.largest_region * 1e9},
                {"delivery_share", s.delivery.share},
                {"protection_share", s.protection.share},
                {"both_share", s.both.share},
                {"joint_share", s.joint.share},
                {"robustness",
                 {{"half_theta", part(s.robustness[0])},
                  {"theta", part(s.robustness[1])},
                  {"twice_theta", part(s.robustness[2])}}}});
      for (const auto& [key, p] : {std::pair{"s1", s.s1}, {"s2", s.s2}, {"s4", s.s4}}) {
        o[name + "_" + key + "_share"] = p.share;
        o[name + "_" + key + "_volume_mm3"] = p.volume * 1e9;
      }
    } else {
      out.remarks.push_back(name + ": log kill of the reference cell is " + std::to_string(s.reference_log_kill) +
                            ", under 0.1: no direct effect so far, no sanctuary is reported");
    }
    o[name + "_reference_log_kill"] = s.reference_log_kill;
    o["steps"] = steps_;
    o["steps_rejected"] = rejected_;
    o["undershoot"] = undershoot_;
    out.summary["work"] = {{"steps", steps_}, {"rejected", rejected_}, {"newton", newton_}, {"linear", linear_}};
  }
  out.summary["work"]["flow_iterations"] = fluid_.blood.iterations;
  out.summary["work"]["pressure_iterations"] = fluid_.linear_iterations;
  out.summary["work"]["oxygen_newton"] = oxygen_.newton;
  for (const std::string& note : notes_) out.remarks.push_back(note);
  return out;
}

void Patient::with_groups(const std::function<void(std::span<const GroupOutput>)>& use) const {
  std::vector<GroupOutput> groups;
  for (const BalanceEntry& e : balance()) {
    std::string compartment = e.compartment, species = e.species;
    for (std::string* s : {&compartment, &species}) std::replace(s->begin(), s->end(), ' ', '_');
    groups.push_back({.path = "/balance/" + species + "/" + compartment,
                      .attributes = {{"start", e.start},
                                     {"in", e.in},
                                     {"out", e.out},
                                     {"in_place", e.in_place},
                                     {"error", e.error},
                                     {"allowed", e.allowed}}});
  }
  std::vector<double> labels, kill;
  if (transport_) {
    const std::string& name = settings_.drugs.front().name;
    const Sanctuary s = sanctuary();
    labels.assign(s.label.begin(), s.label.end());
    kill = s.log_kill;
    const DoseVolume v = dose_volume(comm_, response_->area_free(), density_start_, settings_.histogram_bins);
    GroupOutput group{.path = "/sanctuary/" + name};
    group.fields = {{"label", "1", "1 S1, 2 S2, 4 S4, summed; -1 outside the viable tumour", labels},
                    {"log_kill", "1", "log10 kill", kill}};
    std::vector<double> dose = v.dose;
    for (double& d : dose) d /= micromolar * hour;
    group.columns["histogram_dose"] = {"umol h/L", dose};
    group.columns["histogram_fraction"] = {"1", v.fraction};
    group.attributes = {{"L_ref", s.reference_log_kill},
                        {"theta", s.threshold},
                        {"direct_effect", s.direct_effect},
                        {"s1_share", s.s1.share},
                        {"s2_share", s.s2.share},
                        {"s4_share", s.s4.share},
                        {"s1_volume_mm3", s.s1.volume * 1e9},
                        {"s2_volume_mm3", s.s2.volume * 1e9},
                        {"s4_volume_mm3", s.s4.volume * 1e9},
                        {"delivery_share", s.delivery.share},
                        {"protection_share", s.protection.share},
                        {"both_share", s.both.share},
                        {"joint_share", s.joint.share}};
    groups.push_back(std::move(group));
  }
  use(groups);
}

void Patient::with_checkpoint(const std::function<void(Checkpoint&)>& use) {
  Checkpoint point;
  const std::size_t cells = grid_.local_cells();
  const WriteAccess po2(oxygen_.cells.get());
  point.fields.push_back({"oxygen", {po2.data(), cells}});
  if (embedded_) {
    point.root_arrays["oxygen_nodes"] = cut_.node_order().gather(oxygen_.node_pressure);
    point.root_arrays["oxygen_pieces"] = cut_.piece_order().gather(oxygen_.piece_pressure);
  }
  point.arrays["oxygen_amounts"] = {oxygen_.blood_in, oxygen_.blood_out, oxygen_.walls_in,  oxygen_.walls_out,
                                    oxygen_.supplied, oxygen_.used,      oxygen_.imbalance, survival_at_oxygen_};
  point.arrays["clock"] = {time_,
                           dt_,
                           static_cast<double>(steps_),
                           static_cast<double>(rejected_),
                           static_cast<double>(newton_),
                           static_cast<double>(linear_),
                           undershoot_};
  point.arrays["series_time"] = series_time_;
  for (const auto& [name, column] : series_) {
    point.arrays["series/" + name] = column.values;
    point.state["series_units"][name] = column.unit;
  }
  for (std::size_t i = 0; intermittent_ && settings_.on.oxygen && i < below_.size(); ++i)
    point.fields.push_back({"oxygen_below_" + std::to_string(i), below_[i]});
  if (!transport_) {
    use(point);
    return;
  }
  const WriteAccess free(transport_->cells()), slope(transport_->slope());
  point.fields.push_back({"free", {free.data(), cells}});
  point.fields.push_back({"free_slope", {slope.data(), cells}});
  for (const DrugResponse::Named& named : response_->states()) point.fields.push_back({named.name, *named.values});
  if (embedded_) {
    const std::vector<double> nodes = embedded_->node_values(transport_->network());
    point.root_arrays["network_nodes"] = cut_.node_order().gather(nodes);
    point.root_arrays["network_pieces"] = cut_.piece_order().gather(embedded_->piece_values(transport_->network()));
  }
  const TransportLedger& l = transport_->ledger();
  point.arrays["ledger"] = {l.cells_start, l.network_start, l.blood_in, l.blood_out,  l.exchanged_in, l.exchanged_out,
                            l.walls_in,    l.walls_out,     l.drained,  l.reacted_in, l.reacted_out};
  const DrugResponse::Ledger& r = response_->ledger();
  point.arrays["response_ledger"] = {r.taken_up,  r.given_back, r.released_by_death, r.bound_in,
                                     r.bound_out, r.on_targets, r.off_targets,       r.degraded};
  point.state["has_slope"] = transport_->has_slope() && response_->has_slope();
  use(point);
}

void Patient::restored(const Checkpoint& point) {
  const auto scattered = [&](const RootOrder& order, const char* name) {
    return order.scatter(rank_of(comm_) == 0 ? point.root_arrays.at(name) : std::vector<double>{});
  };
  if (embedded_) {
    oxygen_.node_pressure = scattered(cut_.node_order(), "oxygen_nodes");
    oxygen_.node_pressure.resize(cut_.nodes());
    cut_.node_halo.update(std::span<double>(oxygen_.node_pressure));
    oxygen_.piece_pressure = scattered(cut_.piece_order(), "oxygen_pieces");
  }
  const auto& amounts = point.arrays.at("oxygen_amounts");
  oxygen_.blood_in = amounts.at(0);
  oxygen_.blood_out = amounts.at(1);
  oxygen_.walls_in = amounts.at(2);
  oxygen_.walls_out = amounts.at(3);
  oxygen_.supplied = amounts.at(4);
  oxygen_.used = amounts.at(5);
  oxygen_.imbalance = amounts.at(6);
  survival_at_oxygen_ = amounts.at(7);
  const auto& clock = point.arrays.at("clock");
  time_ = clock.at(0);
  dt_ = clock.at(1);
  steps_ = static_cast<long>(clock.at(2));
  rejected_ = static_cast<long>(clock.at(3));
  newton_ = static_cast<long>(clock.at(4));
  linear_ = static_cast<long>(clock.at(5));
  undershoot_ = clock.at(6);
  series_time_ = point.arrays.at("series_time");
  series_.clear();
  for (const auto& [name, unit] : point.state.at("series_units").items())
    series_[name] = {unit.get<std::string>(), point.arrays.at("series/" + name)};
  if (!transport_) return;
  cycling_share_ = response_->cells().cycling_share;
  if (embedded_)
    embedded_->set_values(scattered(cut_.node_order(), "network_nodes"),
                          scattered(cut_.piece_order(), "network_pieces"), transport_->network());
  const auto& l = point.arrays.at("ledger");
  transport_->ledger() = {l.at(0), l.at(1), l.at(2), l.at(3), l.at(4), l.at(5),
                          l.at(6), l.at(7), l.at(8), l.at(9), l.at(10)};
  const auto& r = point.arrays.at("response_ledger");
  response_->ledger() = {r.at(0), r.at(1), r.at(2), r.at(3), r.at(4), r.at(5), r.at(6), r.at(7)};
  const bool slope = point.state.at("has_slope").get<bool>();
  transport_->set_has_slope(slope);
  response_->set_has_slope(slope);
}

}  // namespace sanctuary
