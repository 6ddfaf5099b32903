#pragma once
#include <numbers>

#include "base/parameter.hpp"

namespace sanctuary {

/// Laws of the relative apparent viscosity of blood.
enum class ViscosityLaw {
  in_vivo_1994,       ///< Pries et al. 1994, Circ Res 75:904
  in_vitro_1992,      ///< Pries et al. 1992: glass tubes
  surface_layer_2005  ///< Pries & Secomb 2005: endothelial surface layer, in-vitro law taken at the physical diameter
                      ///< D_ph
};

/// Relative apparent viscosity [1] of blood of discharge haematocrit `haematocrit` in [0,1) in a vessel of `diameter`
/// [m] already scaled to human red cells. The in-vivo law has a pole at 1.1 um, the surface-layer law near 2 um: see
/// Rheology.
[[nodiscard]] double relative_viscosity(ViscosityLaw law, double diameter, double haematocrit);

/// What fixes the resistance of a vessel to blood.
struct Rheology {
  ViscosityLaw law = ViscosityLaw::in_vivo_1994;
  double plasma_viscosity = 1.0466e-3;  ///< [Pa s]
  double mean_cell_volume = 92e-18;     ///< [m^3]; diameters are scaled by (92 fl / volume)^(1/3) inside the law
  double smallest_diameter = 3e-6;      ///< [m] scaled diameter under which the viscosity law is not asked; 0: no floor
};

/// Diameter [m] with which the viscosity law is entered: scaled to human red cells, not under the floor.
[[nodiscard]] double law_diameter(const Rheology& rheology, double diameter);
/// Apparent viscosity [Pa s] in a vessel of `diameter` [m].
[[nodiscard]] double apparent_viscosity(const Rheology& rheology, double diameter, double haematocrit);
/// Conductance pi D^4/(128 mu L) [m^3/(Pa s)] of a vessel; only the viscosity sees the floor and the scaling of
/// diameter.
[[nodiscard]] double segment_conductance(const Rheology& rheology, double diameter, double length, double haematocrit);
/// Conductance [m^3/(Pa s)] at a given viscosity [Pa s].
[[nodiscard]] inline double poiseuille_conductance(double diameter, double length, double viscosity) {
  return std::numbers::pi * diameter * diameter * diameter * diameter / (128.0 * viscosity * length);
}
/// Shear stress [Pa] on the wall, D |dP|/(4 L): independent of the viscosity.
[[nodiscard]] inline double wall_shear_stress(double diameter, double length, double pressure_drop) {
  return diameter * (pressure_drop < 0 ? -pressure_drop : pressure_drop) / (4.0 * length);
}
/// Tube over discharge haematocrit (Fahraeus effect) of Pries 1990 as in tumorcode's calcflow; `diameter` [m] scaled.
[[nodiscard]] double tube_to_discharge_haematocrit(double diameter, double haematocrit);

namespace blood {
inline constexpr Parameter plasma_viscosity{.key = "blood.plasma_viscosity",
                                            .unit = "cP",
                                            .value = 1.0466,
                                            .range = {0.5, 5.0},
                                            .meaning = "Viscosity of plasma at 37 degrees C",
                                            .source = "Secomb NetFlowV2, RheolParams.dat"};
inline constexpr Parameter mean_cell_volume{
    .key = "blood.mean_cell_volume",
    .unit = "fl",
    .value = 92,
    .range = {10, 200},
    .meaning = "Volume of a red cell; the viscosity law sees diameters scaled by (92 fl/volume)^(1/3). Rat: 55 fl",
    .source = "92 fl human: assumed reference of the law; 55 fl rat: Secomb NetFlowV2, RheolParams.dat"};
inline constexpr Parameter viscosity_law{.key = "blood.viscosity_law",
                                         .kind = Kind::choice,
                                         .text = "in_vivo_1994",
                                         .choices = "in_vivo_1994|in_vitro_1992|surface_layer_2005",
                                         .meaning = "Law of the relative apparent viscosity of blood",
                                         .source = "Pries 1994, Circ Res 75:904; Pries & Secomb 2005"};
inline constexpr Parameter smallest_diameter{
    .key = "blood.smallest_diameter",
    .unit = "um",
    .value = 3,
    .range = {2.5, 10},
    .meaning = "Scaled diameter under which the viscosity is held, away from the poles of the laws",
    .source = "assumed: the laws have poles at 1.1 um (1994) and near 2 um (2005) and no data under 3 um"};
inline constexpr Parameter inlet_haematocrit{
    .key = "blood.inlet_haematocrit",
    .value = 0.45,
    .range = {0, 0.8},
    .meaning = "Discharge haematocrit of blood that enters where the network file gives none",
    .source = "MicrovesselChaste Owen11Parameters.cpp (0.45); Secomb NetFlowV2 uses 0.40"};
}  // namespace blood

/// Parameters of rheology and of phase separation, section `blood`.
const Catalogue& blood_parameters();

}  // namespace sanctuary
