#pragma once

namespace sanctuary {

/// A nodule of 300 um in a box of 12^3 cells with some hundred vessels, treated for half an hour. Tests change single
/// keys by overrides.
inline constexpr const char* small_nodule = R"(
[patient]
kind = nodule
duration = 0.5 h
[grid]
cells = 12
spacing = 30 um
[tumour]
radius = 150 um
[network]
source = lattice
[network.lattice]
seed = 3
segments = 120
inlets = 3
outlets = 3
core_density = 0.5
core_radius = 100 um
[output]
times = 0 h
)";

/// Doxorubicin as in decks/drugs, given as one short infusion.
inline constexpr const char* small_dose = R"(
[drug.doxorubicin]
molar_mass = 543.52 g/mol
stokes_radius = 0.45 nm
lipophilic_permeability = 1.94e-4 cm/s
unbound_fraction = 0.25
diffusivity = 117 um^2/s
clearance = 62.4 L/h
volume1 = 17.7 L
flow2 = 50.7 L/h
volume2 = 1830 L
flow3 = 28.4 L/h
volume3 = 71 L
uptake_maximum = 2.8 fg/min
uptake_half_outside = 219 ug/L
uptake_half_inside = 13.7 fg
emax = 0.1 1/h
ic50 = 0.005 uM
assay_duration = 24 h
quiescent_factor = 0.3
threshold = 0.055 uM
dose_per_area = 60 mg/m^2
infusion_duration = 5 min
start_times = 0 h
)";

}  // namespace sanctuary
