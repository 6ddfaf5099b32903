#pragma once

namespace sanctuary::exact {

/// Krogh-Erlang cylinder, zero-order use: pressure at `radius` around a vessel of radius `inner` with no flux at
/// `outer`. `krogh` is D alpha. May be negative where the use cannot be met (see anoxic_radius).
[[nodiscard]] double krogh_erlang(double radius, double inner, double outer, double wall_pressure, double use,
                                  double krogh);
/// Oxygen that such a vessel gives per length [m^2/s]: pi (outer^2 - inner^2) M0.
[[nodiscard]] double krogh_supply(double inner, double outer, double use);
/// Radius at which zero-order use has taken pressure and gradient to zero around a vessel (free boundary).
[[nodiscard]] double anoxic_radius(double inner, double wall_pressure, double use, double krogh);
/// Distance to anoxia in a plane sheet, sqrt(2 K P/M0).
[[nodiscard]] double anoxic_depth(double pressure, double use, double krogh);
/// Radius of the widest cord fed from outside that has no anoxic core, sqrt(4 K P/M0).
[[nodiscard]] double cord_radius(double pressure, double use, double krogh);
/// Krogh annulus with first-order loss, wall permeability and no flux at `outer`: concentration over that of the blood.
[[nodiscard]] double krogh_first_order(double radius, double inner, double outer, double diffusivity, double loss,
                                       double permeability);
/// Spheroid with zero-order use (Grimes 2014): widest radius without anoxia, sqrt(6 K p0/M0).
[[nodiscard]] double spheroid_limit(double pressure, double use, double krogh);
/// Radius of its anoxic core, 0 under the limit: R^2 - 3 r^2 + 2 r^3/R = limit^2.
[[nodiscard]] double spheroid_anoxic_radius(double outer, double pressure, double use, double krogh);
/// Pressure in a spheroid of radius `outer`; 0 in the anoxic core.
[[nodiscard]] double spheroid_pressure(double radius, double outer, double pressure, double use, double krogh);

/// Tissue of one kind in Baxter & Jain's sphere.
struct SphereTissue {
  double conductivity = 0;        ///< K [m^2/(Pa s)]
  double filtration = 0;          ///< L_p S/V [1/(Pa s)]
  double effective_pressure = 0;  ///< p_e [Pa]
  double lymph = 0;               ///< L_PL S_L/V [1/(Pa s)]
  double lymph_pressure = 0;      ///< [Pa]
  /// Decay length [m] of pressure.
  [[nodiscard]] double length() const;
  /// Pressure [Pa] far from any border.
  [[nodiscard]] double plateau() const;
};
/// Pressure in an isolated sphere with `outside` at its surface.
[[nodiscard]] double isolated_sphere_pressure(double radius, double outer, const SphereTissue& tumour,
                                              double outside = 0);
/// Outward Darcy velocity in it.
[[nodiscard]] double isolated_sphere_velocity(double radius, double outer, const SphereTissue& tumour,
                                              double outside = 0);
/// Pressure and outward Darcy velocity of a sphere embedded in unbounded host tissue: p and K dp/dr continuous.
[[nodiscard]] double embedded_sphere_pressure(double radius, double outer, const SphereTissue& tumour,
                                              const SphereTissue& host);
[[nodiscard]] double embedded_sphere_velocity(double radius, double outer, const SphereTissue& tumour,
                                              const SphereTissue& host);

/// Blood pressure along one leaky vessel: p'' = (16 mu L_p/R^3)(p - p_out), p(0) and p(L) given.
[[nodiscard]] double leaky_vessel_pressure(double x, double length, double radius, double viscosity,
                                           double wall_conductivity, double inlet, double outlet, double outside);
/// Steady 1-D advection-diffusion on [0,1]: (e^{Pe x} - 1)/(e^{Pe} - 1), safe for any Pe.
[[nodiscard]] double advection_diffusion(double x, double peclet);
/// Concentration after a unit amount per length was put on a line at t = 0.
[[nodiscard]] double line_source_instantaneous(double radius, double time, double diffusivity);
/// Concentration around a line that gives a unit amount per length and time since t = 0.
[[nodiscard]] double line_source_continuous(double radius, double time, double diffusivity);

/// J(x, y) = 1 - e^{-y} int_0^x e^{-t} I_0(2 sqrt(y t)) dt, summed as Poisson probabilities (no cancellation).
[[nodiscard]] double anzelius_schumann(double x, double y);
/// Equivalent-cylinder washout (Anzelius-Schumann): plasma flows along zeta through tissue that exchanges with it, both
/// full at the start, clean plasma enters. dc/dzeta = s - c, ds/dtau = c - s. Plasma and tissue levels, and the share
/// left in the tissue over [0, zeta].
[[nodiscard]] double washout_plasma(double zeta, double tau);
[[nodiscard]] double washout_tissue(double zeta, double tau);
[[nodiscard]] double washout_remaining(double zeta, double tau);

}  // namespace sanctuary::exact
