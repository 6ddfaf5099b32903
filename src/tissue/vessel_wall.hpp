#pragma once
#include <vector>

#include "base/deck.hpp"
#include "base/parameter.hpp"
#include "solvers/bernoulli.hpp"

namespace sanctuary {

/// Starling filtration per unit surface [m/s], outward positive: L_p [(P_v - P_i) - sigma_T (pi_v - pi_i)].
[[nodiscard]] inline double starling_flux(double conductivity, double vascular_pressure, double tissue_pressure,
                                          double reflection, double vascular_oncotic, double tissue_oncotic) {
  return conductivity * ((vascular_pressure - tissue_pressure) - reflection * (vascular_oncotic - tissue_oncotic));
}

/// Solute flux per surface as J = vessel x C_v - tissue x C_t, both coefficients [m/s] never negative.
struct WallFlux {
  double vessel = 0, tissue = 0;
};
/// Patlak (Kedem-Katchalsky) flux in upwind form for filtration J_v [m/s] of either sign, permeability P [m/s] >= 0 and
/// reflection sigma_f of the solute: J = J_v (1 - sigma_f)(C_v e^Pe - C_t)/(e^Pe - 1). P = 0 gives pure convection.
[[nodiscard]] WallFlux patlak_flux(double filtration, double permeability, double reflection);

/// Diffusive hindrance H (partition included) and convective hindrance W of a solute in a pore; sigma_f = 1 - W.
struct PoreHindrance {
  double diffusive = 1, convective = 1;
};
/// Renkin 1954; 0 for solutes as wide as the pore.
[[nodiscard]] PoreHindrance renkin_hindrance(double radius_ratio);
/// Dechadilok & Deen 2006, accurate to a ratio of 0.95; 0 for solutes as wide as the pore.
[[nodiscard]] PoreHindrance dechadilok_deen_hindrance(double radius_ratio);

/// Laws of the three parallel paths through a vessel wall. Levels are declared; the pore theory sets ratios.
struct WallSettings {
  double conductivity_immature = 2.1e-11;  ///< L_p [m/(Pa s)] at maturity 0 (tumour)
  double conductivity_mature = 2.7e-12;    ///< L_p [m/(Pa s)] at maturity 1 (host); between them resistances in series
  double protein_permeability = 5.73e-9;   ///< P [m/s] of IgG at maturity 0: the level of the pore paths
  double protein_radius = 5e-9;            ///< [m] Stokes radius to which that level belongs
  double small_pore_radius = 4.5e-9;       ///< [m]
  double large_pore_radius_immature = 1.8e-7;  ///< [m] median at maturity 0
  double large_pore_radius_mature = 22.85e-9;  ///< [m] median at maturity 1
  double large_pore_spread = 0.25;             ///< standard deviation of the logarithm of the radius
  double pore_area_ratio = 15;                 ///< area of small over large pores at maturity 0
  double large_pore_area_exponent = 1;         ///< area of large pores ~ (median radius)^exponent as they shrink
  bool renkin = false;                         ///< Renkin in place of Dechadilok-Deen
};

/// What a vessel wall lets through.
struct WallTransport {
  double conductivity = 0;  ///< L_p [m/(Pa s)]
  double permeability = 0;  ///< P [m/s] of the solute
  double reflection = 0;    ///< sigma_f [1] of the solute (drag), not sigma_T of albumin (pressure)
};
/// L_p, P and sigma_f of a solute of `stokes_radius` [m] at a wall of `maturity` in [0,1]; `lipophilic_permeability`
/// [m/s] is the transcellular path, 0 for proteins and particles (M09).
[[nodiscard]] WallTransport wall_transport(const WallSettings& wall, double stokes_radius,
                                           double lipophilic_permeability, double maturity);
/// The same for many walls of one solute: tabulates once over maturity (linear interpolation of logarithms, relative
/// error under 1e-3) and then costs little per segment.
class WallTable {
 public:
  WallTable(const WallSettings& wall, double stokes_radius, double lipophilic_permeability, int intervals = 256);
  [[nodiscard]] WallTransport at(double maturity) const;

 private:
  WallSettings wall_;
  double lipophilic_;
  std::vector<double> log_permeability_, reflection_;
};
/// The same wall for a charged solute: P and 1 - sigma_f times `factor` >= 0, sigma_f kept in [0,1], so the Patlak flux
/// goes by that factor too as long as sigma_f is inside; L_p is the fluid's own. Cationic particles are drawn into the
/// negatively charged pores: twice the flux or more over a charge density that depends on size (under 3e-3 C/m^2),
/// whereas repulsion of anionic ones matters little (factor 1). Stylianopoulos 2013, Ann Biomed Eng 41:68.
[[nodiscard]] WallTransport charged(WallTransport wall, double factor);
/// L_p [m/(Pa s)] of pores of one radius [m] by Poiseuille: area fraction x radius^2/(8 viscosity x thickness). The
/// declared L_p does not follow from it; it says how far declared L_p and P are from one pore theory.
[[nodiscard]] inline double pore_conductivity(double area_fraction, double radius, double viscosity, double thickness) {
  return area_fraction * radius * radius / (8.0 * viscosity * thickness);
}
/// Largest particle diameter [m] that still has a share `detectable` of the diffusive hindrance of a point solute.
[[nodiscard]] double pore_cutoff_diameter(const WallSettings& wall, double maturity, double detectable = 1e-3);
/// L_p [m/(Pa s)] alone.
[[nodiscard]] double wall_conductivity(const WallSettings& wall, double maturity);

/// Filtration and lymph of one kind of tissue.
struct FiltrationSettings {
  double conductivity = 0;       ///< L_p [m/(Pa s)]
  double surface_density = 0;    ///< S/V [1/m]
  double reflection = 0;         ///< sigma_T of albumin
  double vascular_oncotic = 0;   ///< [Pa]
  double tissue_oncotic = 0;     ///< [Pa]
  double lymph_conductance = 0;  ///< L_PL S_L/V [1/(Pa s)]
  double lymph_pressure = 0;     ///< P_L [Pa]
  /// sigma_T (pi_v - pi_i) [Pa].
  [[nodiscard]] double oncotic_term() const { return reflection * (vascular_oncotic - tissue_oncotic); }
  /// p_e = P_v - sigma_T (pi_v - pi_i) [Pa].
  [[nodiscard]] double effective_pressure(double vascular_pressure) const { return vascular_pressure - oncotic_term(); }
  /// L_p S/V [1/(Pa s)].
  [[nodiscard]] double product() const { return conductivity * surface_density; }
};
/// Lymph sink [1/s]: L_PL S_L/V (P_i - P_L), 0 under P_L.
[[nodiscard]] inline double lymph_drainage(const FiltrationSettings& tissue, double pressure) {
  return pressure > tissue.lymph_pressure ? tissue.lymph_conductance * (pressure - tissue.lymph_pressure) : 0.0;
}

/// Everything of section `vessel_wall`.
struct VesselWallSettings {
  WallSettings wall{};
  FiltrationSettings tumour{}, host{};
  double vascular_pressure = 0;    ///< [Pa] of the blood where no network gives it (homogenised host, exact cases)
  double filtration_velocity = 0;  ///< [m/s]
};
[[nodiscard]] VesselWallSettings vessel_wall_settings(const Deck& deck);

namespace vessel_wall {
inline constexpr Parameter conductivity_tumour{.key = "vessel_wall.conductivity.tumour",
                                               .unit = "cm/(mmHg s)",
                                               .value = 2.8e-7,
                                               .range = {1e-10, 1e-4},
                                               .meaning = "L_p of tumour vessels (maturity 0) per measured surface",
                                               .source = "Baxter & Jain 1989, Microvasc Res 37:77"};
inline constexpr Parameter conductivity_host{.key = "vessel_wall.conductivity.host",
                                             .unit = "cm/(mmHg s)",
                                             .value = 0.36e-7,
                                             .range = {1e-10, 1e-4},
                                             .meaning = "L_p of host vessels (maturity 1) per measured surface",
                                             .source = "Baxter & Jain 1989, Microvasc Res 37:77"};
inline constexpr Parameter surface_density_tumour{.key = "vessel_wall.surface_density.tumour",
                                                  .unit = "1/cm",
                                                  .value = 200,
                                                  .range = {1, 2000},
                                                  .meaning = "S/V of tumour vessels to which the declared L_p belongs",
                                                  .source =
                                                      "assumed: the value used with L_p 2.8e-7 by Baxter & Jain 1989 "
                                                      "and in the Martin/Stuber tumour model"};
inline constexpr Parameter surface_density_host{
    .key = "vessel_wall.surface_density.host",
    .unit = "1/cm",
    .value = 70,
    .range = {1, 2000},
    .meaning = "S/V of host vessels",
    .source = "assumed: value attributed to Baxter & Jain 1989, not verified"};
inline constexpr Parameter reflection_tumour{.key = "vessel_wall.reflection.tumour",
                                             .value = 0.82,
                                             .range = {0, 1},
                                             .meaning = "Osmotic reflection sigma_T of plasma proteins, tumour vessels",
                                             .source = "Baxter & Jain 1989, Microvasc Res 37:77"};
inline constexpr Parameter reflection_host{.key = "vessel_wall.reflection.host",
                                           .value = 0.91,
                                           .range = {0, 1},
                                           .meaning = "Osmotic reflection sigma_T of plasma proteins, host vessels",
                                           .source = "Baxter & Jain 1989, Microvasc Res 37:77"};
inline constexpr Parameter plasma_oncotic{.key = "vessel_wall.plasma_oncotic_pressure",
                                          .unit = "mmHg",
                                          .value = 20,
                                          .range = {0, 60},
                                          .meaning = "Oncotic pressure of plasma",
                                          .source = "Baxter & Jain 1989, Microvasc Res 37:77"};
inline constexpr Parameter oncotic_tumour{.key = "vessel_wall.tissue_oncotic_pressure.tumour",
                                          .unit = "mmHg",
                                          .value = 15,
                                          .range = {0, 60},
                                          .meaning = "Oncotic pressure of tumour interstitium",
                                          .source = "assumed: value attributed to Baxter & Jain 1989, not verified"};
inline constexpr Parameter oncotic_host{.key = "vessel_wall.tissue_oncotic_pressure.host",
                                        .unit = "mmHg",
                                        .value = 10,
                                        .range = {0, 60},
                                        .meaning = "Oncotic pressure of host interstitium",
                                        .source = "Baxter & Jain 1989, Microvasc Res 37:77"};
inline constexpr Parameter vascular_pressure{.key = "vessel_wall.vascular_pressure",
                                             .unit = "mmHg",
                                             .value = 15.6,
                                             .range = {0, 150},
                                             .meaning = "Blood pressure of exchange vessels where no network gives it",
                                             .source = "Baxter & Jain 1989, Microvasc Res 37:77"};
inline constexpr Parameter filtration_velocity{
    .key = "vessel_wall.filtration_velocity",
    .unit = "um/s",
    .value = 10,
    .range = {0, 1000},
    .meaning =
        "Mean velocity of blood from which a vessel filters in full, down to nothing at half of it; slower ones "
        "and dead ends exchange by diffusion alone",
    .source =
        "assumed: that of perfused vessels (outcomes.perfusion_velocity); blood that stands would leave its "
        "proteins behind until they hold back the rest"};
inline constexpr Parameter lymph_tumour{.key = "vessel_wall.lymph_conductance.tumour",
                                        .unit = "1/(mmHg s)",
                                        .value = 0,
                                        .range = {0, 1},
                                        .meaning = "L_PL S_L/V of tumour: no working lymphatics in the core",
                                        .source = "Baxter & Jain 1989, Microvasc Res 37:77"};
inline constexpr Parameter lymph_host{.key = "vessel_wall.lymph_conductance.host",
                                      .unit = "1/(mmHg s)",
                                      .value = 1.33e-5,
                                      .range = {0, 1},
                                      .meaning = "L_PL S_L/V of host tissue",
                                      .source = "assumed: value attributed to Baxter & Jain 1990, not verified"};
inline constexpr Parameter lymph_pressure{.key = "vessel_wall.lymph_pressure",
                                          .unit = "mmHg",
                                          .value = 0,
                                          .range = {-10, 10},
                                          .meaning = "Pressure in the lymphatics",
                                          .source = "tumorcode parameter sets (0 or -0.5 kPa)"};
inline constexpr Parameter protein_permeability{
    .key = "vessel_wall.protein_permeability",
    .unit = "cm/s",
    .value = 5.73e-7,
    .range = {1e-10, 1e-4},
    .meaning = "Permeability of immature vessels to IgG: level of the pore paths",
    .source =
        "assumed: value attributed to Baxter & Jain 1989, not verified; "
        "3e-7 in Thurber & Wittrup 2012"};
inline constexpr Parameter protein_radius{
    .key = "vessel_wall.protein_radius",
    .unit = "nm",
    .value = 5,
    .range = {1, 20},
    .meaning = "Stokes radius of the protein to which protein_permeability belongs",
    .source = "assumed: IgG"};
inline constexpr Parameter small_pore_radius{.key = "vessel_wall.small_pore_radius",
                                             .unit = "nm",
                                             .value = 4.5,
                                             .range = {1, 20},
                                             .meaning = "Radius of the small pores",
                                             .source = "Schmidt & Wittrup 2009"};
inline constexpr Parameter large_pore_radius_immature{
    .key = "vessel_wall.large_pore_radius.immature",
    .unit = "nm",
    .value = 180,
    .range = {10, 2000},
    .meaning = "Median radius of the large pores of immature vessels",
    .source = "assumed: with large_pore_spread it gives the cut-off of 400 to 600 nm of Yuan 1995"};
inline constexpr Parameter large_pore_radius_mature{.key = "vessel_wall.large_pore_radius.mature",
                                                    .unit = "nm",
                                                    .value = 22.85,
                                                    .range = {5, 2000},
                                                    .meaning = "Median radius of the large pores of mature vessels",
                                                    .source = "Li & Shah two-pore model (large pore 22.85 nm)"};
inline constexpr Parameter large_pore_spread{
    .key = "vessel_wall.large_pore_spread",
    .value = 0.25,
    .range = {0, 1},
    .meaning = "Standard deviation of the logarithm of the large pores' radius",
    .source = "assumed: gives the cut-off of 400 to 600 nm of Yuan 1995"};
inline constexpr Parameter pore_area_ratio{.key = "vessel_wall.pore_area_ratio",
                                           .value = 15,
                                           .range = {0, 1000},
                                           .meaning = "Open area of small over large pores in immature vessels",
                                           .source =
                                               "assumed: Schmidt & Wittrup 2009 have 27 with larger large pores; set "
                                               "so that P(25 kDa)/P(160 kDa) lies between 1.5 and 4"};
inline constexpr Parameter large_pore_area_exponent{
    .key = "vessel_wall.large_pore_area_exponent",
    .value = 1,
    .range = {0, 4},
    .meaning = "Open area of the large pores falls with their median radius to this power as vessels mature",
    .source = "assumed: between constant area (0) and constant number (2)"};
inline constexpr Parameter hindrance{.key = "vessel_wall.hindrance",
                                     .kind = Kind::choice,
                                     .text = "dechadilok_deen",
                                     .choices = "dechadilok_deen|renkin",
                                     .meaning = "Law of hindrance in pores",
                                     .source = "Dechadilok & Deen 2006; Renkin 1954"};
}  // namespace vessel_wall

/// Parameters of section `vessel_wall`.
const Catalogue& vessel_wall_parameters();

}  // namespace sanctuary
