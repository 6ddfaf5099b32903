#include "patient/settings.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "patient/parameters.hpp"
#include "tissue/blood.hpp"
#include "tissue/boundary_settings.hpp"

namespace sanctuary {
namespace {

/// Three values from a list of one or three.
std::array<double, 3> triple(const Deck& deck, const Parameter& key) {
  const std::vector<double> list = deck.numbers(key);
  if (list.size() == 1) return {list[0], list[0], list[0]};
  if (list.size() == 3) return {list[0], list[1], list[2]};
  throw InputError(deck.where(key) + ": expected one value or three (x, y, z), got " + std::to_string(list.size()));
}

int wall_number(const std::string& face) {
  const std::string axes = "xyz";
  return 2 * static_cast<int>(axes.find(face[1])) + (face[0] == '+' ? 1 : 0);
}

}  // namespace

TumourRegion tumour_region(const Deck& deck, const Box& box) {
  TumourRegion region;
  const std::string kind = deck.text(patient::kind);
  region.shape = kind == "nodule"   ? TumourRegion::Shape::sphere
                 : kind == "margin" ? TumourRegion::Shape::slab
                                    : TumourRegion::Shape::whole;
  for (std::size_t axis = 0; axis < 3; ++axis) region.centre[axis] = box.origin[axis] + 0.5 * box.size[axis];
  if (deck.given(tumour::centre)) region.centre = triple(deck, tumour::centre);
  region.radius = deck.number(tumour::radius);
  region.host_face = wall_number(deck.text(host::face));
  region.host_depth = deck.number(host::depth);
  return region;
}

PatientSettings patient_settings(const Deck& deck) {
  PatientSettings s;
  const std::string kind = deck.text(patient::kind);
  s.kind = kind == "nodule" ? PieceKind::nodule : kind == "margin" ? PieceKind::margin : PieceKind::interior;
  s.duration = deck.number(patient::duration);
  s.cycle = deck.number(patient::cycle);
  s.seed = deck.integer(patient::seed);

  s.grid.origin = triple(deck, grid::origin);
  s.grid.spacing = triple(deck, grid::spacing);
  const auto cells = triple(deck, grid::cells);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    s.grid.cells[axis] = static_cast<long>(cells[axis]);
    if (static_cast<double>(s.grid.cells[axis]) != cells[axis]) {
      throw InputError(deck.where(grid::cells) + ": expected whole numbers of cells, such as 64 or 64, 32, 16");
    }
  }
  if (cells[0] * cells[1] * cells[2] > 2e9) {
    throw InputError(deck.where(grid::cells) + ": " + std::to_string(cells[0] * cells[1] * cells[2]) +
                     " cells do not fit the 32-bit indices of this PETSc; use fewer cells");
  }

  s.network_source = deck.text(network::source);
  if (s.network_source == "file") {
    if (!deck.given(network::file)) {
      throw InputError(deck.where(network::source) + ": network.source = file needs network.file = PATH");
    }
    s.network_file = deck.path(network::file);
    s.network_options.format = network_format(deck.text(network::format));
    s.network_options.length_unit = deck.text(network::length_unit);
    s.network_options.radius_unit = deck.text(network::radius_unit);
    s.network_options.pressure_unit = deck.text(network::pressure_unit);
    s.network_options.flow_unit = deck.text(network::flow_unit);
    s.network_options.flow_factor = deck.number(network::flow_factor);
    s.network_options.radius_name = deck.text(network::radius_name);
    s.network_options.maturity = deck.number(network::maturity);
  } else if (deck.given(network::file)) {
    throw InputError(deck.where(network::file) + ": network.file is only read with network.source = file");
  }
  s.network_repair = deck.flag(network::repair);
  if (deck.flag(network::estimate_boundaries)) {
    if (s.network_source != "file") {
      throw InputError(deck.where(network::estimate_boundaries) +
                       ": boundary pressures are estimated for network.source = file alone; leave it out");
    }
    s.boundary_estimate = boundary_estimate_settings(deck);
    s.boundary_estimate_margin = deck.number(network::estimate_margin);
  }
  s.network_reference_pressure = deck.number(network::reference_pressure);
  Box box;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    box.origin[axis] = s.grid.origin[axis];
    box.size[axis] = static_cast<double>(s.grid.cells[axis]) * s.grid.spacing[axis];
  }
  s.generator = generator_settings(deck, box);

  s.rheology = rheology_settings(deck);
  s.split = split_settings(deck);
  s.inlet_haematocrit = deck.number(blood::inlet_haematocrit);

  s.tumour_radius = deck.number(tumour::radius);
  for (std::size_t axis = 0; axis < 3; ++axis) s.tumour_centre[axis] = box.origin[axis] + 0.5 * box.size[axis];
  if (deck.given(tumour::centre)) s.tumour_centre = triple(deck, tumour::centre);
  s.tumour_density = deck.number(tumour::cell_density);
  s.tumour_cell_volume = deck.number(tumour::cell_volume);
  s.resistant_share = deck.number(tumour::resistant_share);
  s.doubling_time = deck.number(tumour::doubling_time);
  s.host_wall = wall_number(deck.text(host::face));
  s.host_depth = deck.number(host::depth);
  s.host_density = deck.number(host::cell_density);
  s.host_pressure = deck.number(host::pressure);
  if (s.kind == PieceKind::nodule) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      if (s.tumour_centre[axis] - s.tumour_radius < box.origin[axis] ||
          s.tumour_centre[axis] + s.tumour_radius > box.origin[axis] + box.size[axis]) {
        throw InputError(deck.where(tumour::radius) + ": the nodule reaches out of the box along " +
                         std::string(1, "xyz"[axis]) +
                         "; a nodule is surrounded by host tissue: make tumour.radius smaller, the grid larger, or use "
                         "patient.kind = interior");
      }
    }
  }
  if (s.network_source == "generate" && !deck.given(vasculature_preset_parameter())) {
    throw InputError(deck.where(network::source) +
                     ": network.source = generate needs network.generate.preset: xenograft or a type of tumour, or "
                     "healthy, which grows normal capillaries in the tumour, too");
  }
  s.vasculature = vasculature_settings(deck, box);
  if (s.vasculature.preset != "healthy") {
    s.vasculature.region = tumour_region(deck, box);
  }
  if (s.kind == PieceKind::margin) {
    const auto axis = static_cast<std::size_t>(s.host_wall / 2);
    if (s.host_depth >= box.size[axis]) {
      throw InputError(deck.where(host::depth) + ": the host fills the whole box; make the grid longer along " +
                       std::string(1, "xyz"[axis]) + " (host.depth plus at least 1 mm of tumour)");
    }
  }
  if (s.tumour_density * s.tumour_cell_volume > 1) {
    throw InputError(deck.where(tumour::cell_density) + ": tumour.cell_density times tumour.cell_volume is " +
                     std::to_string(s.tumour_density * s.tumour_cell_volume) +
                     ", more than the tissue holds; lower one of them");
  }

  s.matrix = matrix_settings(deck);
  s.anchor = deck.flag(anchor::filtration);
  s.wall = vessel_wall_settings(deck);
  s.intermittency = intermittency_settings(deck, static_cast<std::uint64_t>(s.seed));
  s.oxygen_snapshots = static_cast<int>(deck.integer(intermittency::snapshots));
  s.compression = compression_settings(deck);
  s.solid_stress = solid_stress_settings(deck);
  s.oxygen = oxygen_settings(deck);
  s.cycling = cycling_settings(deck);

  s.on.phase_separation = deck.flag(mechanisms::phase_separation);
  s.on.intermittent_flow = deck.flag(intermittency::enabled);
  s.on.vessel_compression = deck.flag(compression::enabled);
  s.on.filtration = deck.flag(mechanisms::filtration);
  s.on.lymphatics = deck.flag(mechanisms::lymphatics);
  s.on.convection = deck.flag(mechanisms::convection);
  s.on.matrix_conductivity = deck.flag(mechanisms::matrix_conductivity);
  s.on.hindered_diffusion = deck.flag(mechanisms::hindered_diffusion);
  s.on.wall_size_selectivity = deck.flag(mechanisms::wall_size_selectivity);
  s.on.intravascular_depletion = deck.flag(mechanisms::intravascular_depletion);
  s.on.oxygen = deck.flag(mechanisms::oxygen);
  s.on.cellular_uptake = deck.flag(mechanisms::cellular_uptake);
  s.on.matrix_binding = deck.flag(mechanisms::matrix_binding);
  s.on.target_binding = deck.flag(mechanisms::target_binding);
  s.on.drug_efflux = deck.flag(mechanisms::drug_efflux);
  s.on.drug_sink = deck.flag(mechanisms::drug_sink);
  s.on.clone_resistance = deck.flag(mechanisms::clone_resistance);
  s.on.quiescence = deck.flag(mechanisms::quiescence);
  s.on.subgrid_exchange = deck.flag(mechanisms::subgrid_exchange);
  if (!s.on.phase_separation) s.split.form = SplitForm::proportional;

  s.drugs = drugs(deck, static_cast<std::uint64_t>(s.seed));
  for (Drug& drug : s.drugs) {
    if (!s.on.cellular_uptake) drug.uptake.maximum = drug.interior.influx = 0;
    if (!s.on.target_binding) drug.target.number = 0;
    if (!s.on.drug_efflux) drug.interior.pump_maximum = 0;
    if (!s.on.clone_resistance) drug.kill.resistance_fold = 1;
    drug.sinks = s.on.drug_sink;
    if (!s.on.matrix_binding) drug.binding.sites = 0;
    // Cycles may go on beyond the run; times given one by one may not.
    const bool in_cycles = deck.integer(drug::cycles, drug.name) > 0;
    const auto late = [&](const Dose& dose) { return dose.start >= s.duration; };
    const auto first_late = std::find_if(drug.doses.begin(), drug.doses.end(), late);
    if (first_late != drug.doses.end() && (!in_cycles || std::all_of(drug.doses.begin(), drug.doses.end(), late))) {
      throw InputError(deck.where(in_cycles ? drug::first_cycle : drug::start_times, drug.name) + ": the dose at " +
                       std::to_string(first_late->start / 3600) +
                       " h starts at or after the end of the run (patient.duration = " +
                       std::to_string(s.duration / 3600) + " h); give it earlier or lengthen the run");
    }
    std::erase_if(drug.doses, late);
  }

  s.relative_tolerance = deck.number(transport::relative_tolerance);
  s.first_step = deck.number(transport::first_step);
  s.largest_step = deck.number(transport::largest_step);
  s.retries = static_cast<int>(deck.integer(transport::retries));
  for (const double t : deck.numbers(output::times)) {
    if (t < s.duration) s.output_times.push_back(t);
    if (t > s.duration && deck.given(output::times)) {
      throw InputError(deck.where(output::times) + ": the output at " + std::to_string(t / 3600) +
                       " h lies after the end of the run; leave it out or set patient.duration");
    }
  }
  // Fields that sum up a cycle are whole at its end (summed up as the patient does).
  for (double end = s.cycle; !s.drugs.empty() && end < s.duration; end += s.cycle) s.output_times.push_back(end);
  s.output_times.push_back(s.duration);
  std::sort(s.output_times.begin(), s.output_times.end());
  s.output_times.erase(std::unique(s.output_times.begin(), s.output_times.end()), s.output_times.end());
  s.output_fields = deck.texts(output::fields);
  s.double_precision = deck.flag(output::double_precision);
  s.checkpoint_interval = deck.number(output::checkpoint_interval);
  s.rim_width = deck.number(outcomes::rim_width);
  s.perfusion_velocity = deck.number(outcomes::perfusion_velocity);
  s.viable_mask = deck.number(outcomes::viable_mask);
  s.smallest_region = deck.number(outcomes::smallest_region);
  s.histogram_bins = static_cast<int>(deck.integer(outcomes::histogram_bins));
  return s;
}

}  // namespace sanctuary
