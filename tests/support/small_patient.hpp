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

inline constexpr const char* small_dose = R"(
[drug.doxorubicin]
ic50 = 0.005 uM
dose_per_area = 60 mg/m^2
infusion_duration = 5 min
start_times = 0 h
diffusivity = 117 um^2/s
)";

}  // namespace sanctuary
