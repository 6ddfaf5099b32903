#pragma once
#include "base/deck.hpp"
#include "base/parameter.hpp"

namespace sanctuary {

/// What the interstitial matrix holds at one place.
struct MatrixComposition {
  double collagen = 0.06;   ///< volume fraction of collagen fibrils
  double hyaluronan = 1.0;  ///< hyaluronan relative to the reference composition (0.1: 90 % digested)
  double crosslinking = 0;  ///< 0: none, 1: fully crosslinked
};

/// The two-fibre law: collagen fibrils and glycosaminoglycan (GAG) chains in parallel resistance.
struct MatrixLaw {
  double collagen_radius = 20e-9;       ///< [m]
  double gag_radius = 0.5e-9;           ///< [m]
  double reference_gag = 0.0052;        ///< volume fraction of GAG at the reference composition
  double collagen_borne_gag = 0.4;      ///< share b of the GAG that goes with collagen, the rest goes with hyaluronan
  double crosslink_resistance = 1.0;    ///< k is divided by 1 + this x crosslinking
  MatrixComposition reference{};        ///< composition to which the declared levels of K and D belong
  double tortuosity = 0.6;              ///< factor on every diffusivity
  double smallest_diffusivity = 1e-14;  ///< [m^2/s]
  double viscosity = 0.69e-3;           ///< [Pa s] of interstitial fluid
  double temperature = 310.15;          ///< [K]
};

/// Stokes-Einstein diffusivity [m^2/s] of a sphere of `stokes_radius` [m].
[[nodiscard]] double free_diffusivity(double stokes_radius, double viscosity = 0.69e-3, double temperature = 310.15);
/// Permeability [m^2] of a random mat of fibres (Jackson & James 1986): 3 r^2/(20 phi)(-ln phi - 0.931); infinite at
/// phi <= 0.
[[nodiscard]] double fibre_permeability(double radius, double volume_fraction);
/// Hydrodynamic hindrance D/D0 in an effective medium of permeability k [m^2] (Brinkman): 1/(1 + x + x^2/9), x = r/sqrt
/// k.
[[nodiscard]] double brinkman_factor(double stokes_radius, double permeability);
/// Hindrance D/D0 by fibres (Phillips 2000, Johnson 1996), steric x hydrodynamic.
[[nodiscard]] double phillips_factor(double stokes_radius, double fibre_radius, double volume_fraction);
/// Equilibrium share of the volume, fibres included, that is open to a sphere (Ogston 1958).
[[nodiscard]] double ogston_partition(double stokes_radius, double fibre_radius, double volume_fraction);

/// Volume fraction of GAG: hyaluronan-borne plus collagen-borne.
[[nodiscard]] double gag_fraction(const MatrixLaw& law, const MatrixComposition& composition);
/// Specific permeability k [m^2] of the matrix by the two-fibre law, crosslinking included.
[[nodiscard]] double matrix_permeability(const MatrixLaw& law, const MatrixComposition& composition);
/// Hydraulic conductivity K [m^2/(Pa s)] = declared level x law(composition)/law(reference) (M07).
[[nodiscard]] double hydraulic_conductivity(const MatrixLaw& law, const MatrixComposition& composition,
                                            double declared);
/// Diffusivity [m^2/s] in the matrix by size: D0 x Brinkman x Phillips on collagen only x tortuosity, floored (M08).
[[nodiscard]] double matrix_diffusivity(const MatrixLaw& law, const MatrixComposition& composition,
                                        double stokes_radius);
/// Diffusivity [m^2/s] of a solute whose value at the reference composition is `declared` (measured): scaled by the
/// law.
[[nodiscard]] double matrix_diffusivity(const MatrixLaw& law, const MatrixComposition& composition,
                                        double stokes_radius, double declared);

/// Share of interstitial fluid that is open to a solute: Ogston's exclusion by collagen, over what fibrils take from a
/// point (Curry & Michel 1980, Microvasc Res 20:96), exp(-phi (2 x + x^2)), x = r_s/r_f. GAG chains do not exclude:
/// rigid chains at the reference content would leave nothing to a 50 nm particle (1e-23), but they give way.
[[nodiscard]] double fluid_partition(const MatrixLaw& law, const MatrixComposition& composition, double stokes_radius);
/// Share of tissue volume open to a solute: `porosity` x fluid_partition. Too large for proteins, for want of GAG: IgG
/// gets 0.39 at porosity 0.4 where models of antibody conjugates have 0.24, i.e. 0.97 of the fluid in place of 0.6;
/// with GAG as rigid chains it would get 0.21.
[[nodiscard]] double accessible_volume_fraction(const MatrixLaw& law, const MatrixComposition& composition,
                                                double porosity, double stokes_radius);
/// Convective hindrance W in (0,1]: solute flux over (Darcy velocity x concentration in the fluid open to the solute),
/// fibre-matrix theory, W = 1 - (1 - fluid_partition)^2 (Curry & Michel 1980). Steric only. The speed of a solute in
/// what is open to it is W/(porosity x fluid_partition) Darcy velocities, above that of the fluid: divide W only once.
/// Next to 1 for proteins (IgG 0.999), where Flessner 2001 fitted 0.3 to peritoneal wall.
[[nodiscard]] double convective_retardation(const MatrixLaw& law, const MatrixComposition& composition,
                                            double stokes_radius);
/// Non-specific binding sites over those at the reference composition: with GAG for cationic solutes, which bind to its
/// charges, 1 for others. Charge acts by sites and not by a Donnan potential, which is 2.2 mV at 10 mg/mL of
/// hyaluronan.
[[nodiscard]] double binding_site_factor(const MatrixLaw& law, const MatrixComposition& composition, bool cationic);

/// The interstitium of one kind of tissue.
struct InterstitiumSettings {
  double hydraulic_conductivity = 0;  ///< [m^2/(Pa s)] at the reference composition
  MatrixComposition matrix{};         ///< initial composition
};
/// Everything of sections `matrix` and `interstitium`.
struct MatrixSettings {
  MatrixLaw law{};
  InterstitiumSettings tumour{}, host{};
  double porosity = 0.4;  ///< share of tissue volume that is interstitial fluid
};
[[nodiscard]] MatrixSettings matrix_settings(const Deck& deck);

namespace matrix {
inline constexpr Parameter collagen_tumour{
    .key = "matrix.collagen.tumour",
    .value = 0.06,
    .range = {1e-4, 0.3},
    .meaning = "Volume fraction of collagen fibrils in the tumour",
    .source = "derived: with gag_reference it gives k = 31 nm^2 (Baxter & Jain 1989)"};
inline constexpr Parameter collagen_host{.key = "matrix.collagen.host",
                                         .value = 0.06,
                                         .range = {1e-4, 0.3},
                                         .meaning = "Volume fraction of collagen fibrils in host tissue",
                                         .source = "assumed: as in the tumour; the level of K is declared apart"};
inline constexpr Parameter hyaluronan_tumour{
    .key = "matrix.hyaluronan.tumour",
    .value = 1,
    .range = {0, 20},
    .meaning = "Hyaluronan of the tumour relative to the reference composition",
    .source = "choice: 1 is the reference itself"};
inline constexpr Parameter hyaluronan_host{.key = "matrix.hyaluronan.host",
                                           .value = 1,
                                           .range = {0, 20},
                                           .meaning = "Hyaluronan of host tissue relative to the reference composition",
                                           .source = "choice: 1 is the reference itself"};
inline constexpr Parameter crosslinking_tumour{.key = "matrix.crosslinking.tumour",
                                               .value = 0,
                                               .range = {0, 1},
                                               .meaning = "Crosslinked share of collagen in the tumour",
                                               .source = "assumed: the declared levels of K and D hold without"};
inline constexpr Parameter crosslinking_host{.key = "matrix.crosslinking.host",
                                             .value = 0,
                                             .range = {0, 1},
                                             .meaning = "Crosslinked share of collagen in host tissue",
                                             .source = "assumed: none"};
inline constexpr Parameter reference_collagen{
    .key = "matrix.reference_collagen",
    .value = 0.06,
    .range = {1e-4, 0.3},
    .meaning = "Collagen volume fraction at which the declared levels of K and of measured diffusivities hold",
    .source = "derived: with gag_reference it gives k = 31 nm^2 (Baxter & Jain 1989)"};
inline constexpr Parameter reference_gag{
    .key = "matrix.reference_gag",
    .value = 0.0052,
    .range = {1e-5, 0.05},
    .meaning = "Volume fraction of GAG chains at the reference composition",
    .source = "derived: with collagen 0.06 it gives k = 31 nm^2 (Baxter & Jain 1989)"};
inline constexpr Parameter collagen_borne_gag{
    .key = "matrix.collagen_borne_gag",
    .value = 0.4,
    .range = {0, 0.7},
    .meaning = "Share b of GAG that goes with collagen; hyaluronidase acts on the rest only",
    .source = "assumed: between free hyaluronan only (0) and K falling with collagen (Salavati 2024)"};
inline constexpr Parameter collagen_radius{.key = "matrix.collagen_radius",
                                           .unit = "nm",
                                           .value = 20,
                                           .range = {1, 200},
                                           .meaning = "Radius of a collagen fibril",
                                           .source = "assumed: common value for fibrils"};
inline constexpr Parameter gag_radius{.key = "matrix.gag_radius",
                                      .unit = "nm",
                                      .value = 0.5,
                                      .range = {0.1, 5},
                                      .meaning = "Radius of a GAG chain",
                                      .source = "assumed: common value for glycosaminoglycans"};
inline constexpr Parameter crosslink_resistance{
    .key = "matrix.crosslink_resistance",
    .value = 1,
    .range = {0, 20},
    .meaning = "The permeability k behind K and D is divided by 1 + this x crosslinking",
    .source = "assumed: no measured value; fully crosslinked matrix has half the permeability"};
}  // namespace matrix

namespace interstitium {
inline constexpr Parameter hydraulic_conductivity_tumour{
    .key = "interstitium.hydraulic_conductivity.tumour",
    .unit = "cm^2/(mmHg s)",
    .value = 4.13e-8,
    .range = {1e-11, 1e-5},
    .meaning = "Darcy conductivity K of tumour interstitium at the reference composition",
    .source = "Baxter & Jain 1989, Microvasc Res 37:77"};
inline constexpr Parameter hydraulic_conductivity_host{
    .key = "interstitium.hydraulic_conductivity.host",
    .unit = "cm^2/(mmHg s)",
    .value = 8.53e-9,
    .range = {1e-11, 1e-5},
    .meaning = "Darcy conductivity K of host interstitium at the reference composition",
    .source = "Baxter & Jain 1989, Microvasc Res 37:77"};
inline constexpr Parameter porosity{.key = "interstitium.porosity",
                                    .value = 0.4,
                                    .range = {0.02, 0.95},
                                    .meaning = "Share of tissue volume that is interstitial fluid",
                                    .source = "Eikenberry 2009, Theor Biol Med Model 6:16 (0.4)"};
inline constexpr Parameter tortuosity{.key = "interstitium.tortuosity",
                                      .value = 0.6,
                                      .range = {0.05, 1},
                                      .meaning = "Factor on every diffusivity for the way around cells",
                                      .source = "assumed: gives the 365 and 15 um^2/s for 0.45 and 5 nm of the model"};
inline constexpr Parameter smallest_diffusivity{.key = "interstitium.smallest_diffusivity",
                                                .unit = "um^2/s",
                                                .value = 0.01,
                                                .range = {0, 1},
                                                .meaning = "Floor of every diffusivity",
                                                .source = "assumed: hindrance laws are not valid for larger losses"};
inline constexpr Parameter viscosity{.key = "interstitium.viscosity",
                                     .unit = "cP",
                                     .value = 0.69,
                                     .range = {0.3, 5},
                                     .meaning = "Viscosity of interstitial fluid in Stokes-Einstein and pore laws",
                                     .source = "assumed: water at 37 degrees C"};
inline constexpr Parameter temperature{.key = "interstitium.temperature",
                                       .unit = "K",
                                       .value = 310.15,
                                       .range = {290, 320},
                                       .meaning = "Temperature of tissue",
                                       .source = "assumed: 37 degrees C"};
}  // namespace interstitium

/// Parameters of sections `matrix` and `interstitium`.
const Catalogue& matrix_parameters();

}  // namespace sanctuary
