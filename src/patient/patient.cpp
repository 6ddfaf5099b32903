#include "patient/patient.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <sstream>

#include "base/comm.hpp"
#include "patient/stopwatch.hpp"
#include "solvers/network/parts.hpp"
#include "tissue/blood.hpp"

namespace sanctuary {
namespace {

std::size_t at(long i) { return static_cast<std::size_t>(i); }

constexpr double micron = 1e-6;
constexpr double far = 1e30;  // depth where there is no edge

}  // namespace

Patient::Patient(MPI_Comm comm, PatientSettings settings)
    : comm_(comm), settings_(std::move(settings)), grid_(comm, settings_.grid) {
  const Stopwatch watch(timing_["network set-up"]);
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
  notes_of_set_up_ = notes_.size();
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
  solve_baseline();
  begin_treatment();
}

void Patient::begin_treatment() {
  // What is solved in the course of the treatment must not hang on how the baseline came about.
  oxygen_solver_.reset();
  if (flow_) flow_->forget();
  has_baseline_ = true;
  measure_distances();
  set_cycling_shares();
  if (!settings_.drugs.empty()) set_up_drugs();
  dt_ = settings_.first_step;
  record_series(0);
}

void Patient::solve_baseline() {
  if (!has_baseline_) {  // what a baseline was to be read into is no state to start from
    oxygen_ = OxygenState{};
    for (auto& share : below_) share.clear();
  }
  {
    const Stopwatch watch(timing_["flow and pressure"]);
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
                         fmt::format("{:.2g}", fluid_.blood.change) + "); the state nearest to one is used");
      }
    }
  }
  solve_oxygen();
}

OxygenSolver& Patient::oxygen_solver() {
  if (!oxygen_solver_) oxygen_solver_ = std::make_unique<OxygenSolver>(grid_, embedded_.get(), flow_.get());
  return *oxygen_solver_;
}

void Patient::solve_oxygen() {
  const Stopwatch watch(timing_["oxygen"]);
  if (!settings_.on.oxygen) {
    if (!oxygen_.cells) oxygen_.cells = grid_.vector();
    petsc(VecSet(oxygen_.cells.get(), 60 * mmhg));
    oxygen_.node_pressure.assign(cut_.nodes(), 60 * mmhg);
    oxygen_.piece_pressure.assign(cut_.own_pieces, 60 * mmhg);
    return;
  }
  kill_at_oxygen_ = greatest_kill();
  if (intermittent_) {
    solve_oxygen_snapshots(oxygen_walls(), oxygen_use());
    return;
  }
  oxygen_solver().solve(settings_.oxygen, oxygen_walls(), oxygen_use(), fluid_.blood, oxygen_);
}

GridLayout Patient::layout() const { return {settings_.grid.origin, settings_.grid.spacing, settings_.grid.cells}; }
LocalBox Patient::box() const { return {grid_.start(), grid_.size()}; }

NetworkLayout Patient::network_layout() const {
  if (!embedded_) return {};
  const VesselGraph whole = gathered_network(cut_);
  return {whole.position, whole.node_id, whole.segment, whole.segment_id, whole.radius, whole.length};
}

}  // namespace sanctuary
