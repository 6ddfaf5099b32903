#include "patient/parameters.hpp"

#include "solvers/network/boundary_estimate.hpp"
#include "solvers/network/rheology.hpp"
#include "therapy/drug.hpp"
#include "tissue/matrix.hpp"
#include "tissue/network_generator.hpp"
#include "tissue/oxygen_formulas.hpp"
#include "tissue/vasculature.hpp"
#include "tissue/vessel_dynamics.hpp"
#include "tissue/vessel_wall.hpp"

namespace sanctuary {

const Catalogue& program_catalogue() {
  static const Catalogue all = [] {
    Catalogue list{&patient::kind, &patient::duration, &patient::cycle, &patient::seed};
    const auto add = [&](const Catalogue& part) { list.insert(list.end(), part.begin(), part.end()); };
    add({&grid::cells, &grid::spacing, &grid::origin});
    add({&network::source, &network::file, &network::format, &network::length_unit, &network::radius_unit,
         &network::pressure_unit, &network::flow_unit, &network::flow_factor, &network::radius_name, &network::maturity,
         &network::repair, &network::reference_pressure});
    add(vasculature_parameters());
    add(generator_parameters());
    add(boundary_estimate_parameters());
    add(blood_parameters());
    add({&tumour::radius, &tumour::centre, &tumour::cell_density, &tumour::cell_volume, &tumour::resistant_share,
         &tumour::doubling_time});
    add({&host::face, &host::depth, &host::cell_density, &host::pressure});
    add(matrix_parameters());
    add({&anchor::filtration});
    add(vessel_wall_parameters());
    add(intermittency_parameters());
    add(compression_parameters());
    add(solid_stress_parameters());
    add(oxygen_parameters());
    add(cycling_parameters());
    add(drug_parameters());
    add({&transport::relative_tolerance, &transport::first_step, &transport::largest_step, &transport::retries});
    add({&mechanisms::phase_separation, &mechanisms::filtration, &mechanisms::lymphatics, &mechanisms::convection,
         &mechanisms::matrix_conductivity, &mechanisms::hindered_diffusion, &mechanisms::wall_size_selectivity,
         &mechanisms::intravascular_depletion, &mechanisms::oxygen, &mechanisms::cellular_uptake,
         &mechanisms::matrix_binding, &mechanisms::target_binding, &mechanisms::drug_efflux, &mechanisms::drug_sink,
         &mechanisms::clone_resistance, &mechanisms::quiescence, &mechanisms::subgrid_exchange});
    add({&output::times, &output::fields, &output::double_precision, &output::checkpoint_interval});
    add({&outcomes::rim_width, &outcomes::perfusion_velocity, &outcomes::viable_mask, &outcomes::smallest_region,
         &outcomes::histogram_bins});
    return list;
  }();
  return all;
}

}  // namespace sanctuary
