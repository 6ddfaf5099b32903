#include "tissue/vessel_wall.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sanctuary {
namespace {

PoreHindrance hindrance(const WallSettings& wall, double radius_ratio) {
  return wall.renkin ? renkin_hindrance(radius_ratio) : dechadilok_deen_hindrance(radius_ratio);
}

// The pore paths for one solute at one maturity; area in units of that of the large pores at maturity 0.
struct PorePaths {
  double diffusive_area = 0;   // sum of area x H
  double large_diffusive = 0;  // mean H of the large pores
  double hydraulic = 0;        // sum of area x r^2
  double convective = 0;       // sum of area x r^2 x W
};

PorePaths pore_paths(const WallSettings& wall, double stokes_radius, double maturity) {
  const double m = std::clamp(maturity, 0.0, 1.0);
  const double median =
      wall.large_pore_radius_immature * std::pow(wall.large_pore_radius_mature / wall.large_pore_radius_immature, m);
  // Log-normal by number: the area is weighted by r^2, the hydraulic conductance by r^4. The trapezium rule on a
  // Gaussian converges faster than any power of the spacing.
  constexpr int points = 241;
  constexpr double reach = 6.0;
  const int count = wall.large_pore_spread > 0 ? points : 1;
  double number_area = 0, diffusive = 0, hydraulic = 0, convective = 0;
  for (int i = 0; i < count; ++i) {
    // r^4 shifts the Gaussian by 4 spreads: centre the nodes between r^2 and r^4.
    const double z = count == 1 ? 0.0 : reach * (2.0 * i / (count - 1) - 1.0) + 3.0 * wall.large_pore_spread;
    const double radius = median * std::exp(wall.large_pore_spread * z);
    const double area = std::exp(-0.5 * z * z) * radius * radius;
    const PoreHindrance h = hindrance(wall, stokes_radius / radius);
    number_area += area;
    diffusive += area * h.diffusive;
    hydraulic += area * radius * radius;
    convective += area * radius * radius * h.convective;
  }
  const double large_area =
      std::pow(median / wall.large_pore_radius_immature, wall.large_pore_area_exponent) / number_area;
  const PoreHindrance small = hindrance(wall, stokes_radius / wall.small_pore_radius);
  const double small_hydraulic = wall.pore_area_ratio * wall.small_pore_radius * wall.small_pore_radius;
  return {.diffusive_area = large_area * diffusive + wall.pore_area_ratio * small.diffusive,
          .large_diffusive = diffusive / number_area,
          .hydraulic = large_area * hydraulic + small_hydraulic,
          .convective = large_area * convective + small_hydraulic * small.convective};
}

// Permeability x Stokes radius per diffusive area [m^2/s] that gives the declared permeability of the protein: the free
// diffusivity goes as 1/radius, so viscosity and temperature drop out.
double pore_level(const WallSettings& wall) {
  return wall.protein_permeability * wall.protein_radius / pore_paths(wall, wall.protein_radius, 0.0).diffusive_area;
}

WallTransport transport(const WallSettings& wall, double level, double stokes_radius, double lipophilic,
                        double maturity) {
  const PorePaths paths = pore_paths(wall, stokes_radius, maturity);
  return {.conductivity = wall_conductivity(wall, maturity),
          .permeability = lipophilic + level / stokes_radius * paths.diffusive_area,
          .reflection = std::clamp(1.0 - paths.convective / paths.hydraulic, 0.0, 1.0)};
}

}  // namespace

WallFlux patlak_flux(double filtration, double permeability, double reflection) {
  const double drag = filtration * (1.0 - reflection);
  // Beyond a Peclet number of 700 diffusion against the stream is under the smallest double.
  if (permeability <= 0.0 || std::abs(drag) > 700.0 * permeability)
    return {.vessel = std::max(drag, 0.0), .tissue = std::max(-drag, 0.0)};
  const double peclet = drag / permeability;
  return {.vessel = permeability * bernoulli(-peclet), .tissue = permeability * bernoulli(peclet)};
}

PoreHindrance renkin_hindrance(double l) {
  if (l >= 1.0) return {0.0, 0.0};
  const double open = (1.0 - l) * (1.0 - l);
  const double l3 = l * l * l;
  return {.diffusive = open * (1.0 - 2.104 * l + 2.09 * l3 - 0.95 * l3 * l * l),
          .convective = open * (2.0 - open) * (1.0 - 2.0 * l * l / 3.0 - 0.163 * l3)};
}

PoreHindrance dechadilok_deen_hindrance(double l) {
  if (l >= 1.0) return {0.0, 0.0};
  if (l <= 0.0) return {1.0, 1.0};
  const double series =
      1.0 + 9.0 / 8.0 * l * std::log(l) +
      l * (-1.56034 + l * (0.528155 + l * (1.91521 + l * (-2.81903 + l * (0.270788 + l * (1.10115 - 0.435933 * l))))));
  const double open = (1.0 - l) * (1.0 - l);
  const double l2 = l * l;
  return {.diffusive = std::max(series, 0.0),
          .convective = open * (1.0 + 3.867 * l - 1.907 * l2 - 0.834 * l2 * l) / (1.0 + 1.867 * l - 0.741 * l2)};
}

double wall_conductivity(const WallSettings& wall, double maturity) {
  const double m = std::clamp(maturity, 0.0, 1.0);
  return 1.0 / ((1.0 - m) / wall.conductivity_immature + m / wall.conductivity_mature);
}

WallTransport wall_transport(const WallSettings& wall, double stokes_radius, double lipophilic_permeability,
                             double maturity) {
  return transport(wall, pore_level(wall), stokes_radius, lipophilic_permeability, maturity);
}

WallTransport charged(WallTransport wall, double factor) {
  wall.permeability *= factor;
  wall.reflection = std::clamp(1.0 - factor * (1.0 - wall.reflection), 0.0, 1.0);
  return wall;
}

double pore_cutoff_diameter(const WallSettings& wall, double maturity, double detectable) {
  double lower = 1e-10, upper = 1e-5;
  while (upper - lower > 1e-6 * upper) {
    const double middle = std::sqrt(lower * upper);
    (pore_paths(wall, middle, maturity).large_diffusive > detectable ? lower : upper) = middle;
  }
  return 2.0 * lower;
}

WallTable::WallTable(const WallSettings& wall, double stokes_radius, double lipophilic_permeability, int intervals)
    : wall_(wall), lipophilic_(lipophilic_permeability) {
  const double level = pore_level(wall);
  for (int i = 0; i <= intervals; ++i) {
    const auto point = transport(wall, level, stokes_radius, 0.0, static_cast<double>(i) / intervals);
    log_permeability_.push_back(std::log(std::max(point.permeability, std::numeric_limits<double>::min())));
    reflection_.push_back(point.reflection);
  }
}

WallTransport WallTable::at(double maturity) const {
  const auto intervals = log_permeability_.size() - 1;
  const double position = std::clamp(maturity, 0.0, 1.0) * static_cast<double>(intervals);
  const auto left = std::min(static_cast<std::size_t>(position), intervals - 1);
  const double weight = position - static_cast<double>(left);
  const auto between = [&](const std::vector<double>& values) {
    return (1.0 - weight) * values[left] + weight * values[left + 1];
  };
  return {.conductivity = wall_conductivity(wall_, maturity),
          .permeability = lipophilic_ + std::exp(between(log_permeability_)),
          .reflection = between(reflection_)};
}

VesselWallSettings vessel_wall_settings(const Deck& deck) {
  VesselWallSettings settings;
  WallSettings& wall = settings.wall;
  wall.conductivity_immature = deck.number(vessel_wall::conductivity_tumour);
  wall.conductivity_mature = deck.number(vessel_wall::conductivity_host);
  wall.protein_permeability = deck.number(vessel_wall::protein_permeability);
  wall.protein_radius = deck.number(vessel_wall::protein_radius);
  wall.small_pore_radius = deck.number(vessel_wall::small_pore_radius);
  wall.large_pore_radius_immature = deck.number(vessel_wall::large_pore_radius_immature);
  wall.large_pore_radius_mature = deck.number(vessel_wall::large_pore_radius_mature);
  wall.large_pore_spread = deck.number(vessel_wall::large_pore_spread);
  wall.pore_area_ratio = deck.number(vessel_wall::pore_area_ratio);
  wall.large_pore_area_exponent = deck.number(vessel_wall::large_pore_area_exponent);
  wall.renkin = deck.text(vessel_wall::hindrance) == "renkin";
  const double plasma_oncotic = deck.number(vessel_wall::plasma_oncotic);
  const double lymph_pressure = deck.number(vessel_wall::lymph_pressure);
  settings.tumour = {.conductivity = wall.conductivity_immature,
                     .surface_density = deck.number(vessel_wall::surface_density_tumour),
                     .reflection = deck.number(vessel_wall::reflection_tumour),
                     .vascular_oncotic = plasma_oncotic,
                     .tissue_oncotic = deck.number(vessel_wall::oncotic_tumour),
                     .lymph_conductance = deck.number(vessel_wall::lymph_tumour),
                     .lymph_pressure = lymph_pressure};
  settings.host = {.conductivity = wall.conductivity_mature,
                   .surface_density = deck.number(vessel_wall::surface_density_host),
                   .reflection = deck.number(vessel_wall::reflection_host),
                   .vascular_oncotic = plasma_oncotic,
                   .tissue_oncotic = deck.number(vessel_wall::oncotic_host),
                   .lymph_conductance = deck.number(vessel_wall::lymph_host),
                   .lymph_pressure = lymph_pressure};
  settings.vascular_pressure = deck.number(vessel_wall::vascular_pressure);
  settings.filtration_velocity = deck.number(vessel_wall::filtration_velocity);
  return settings;
}

const Catalogue& vessel_wall_parameters() {
  static const Catalogue list{&vessel_wall::conductivity_tumour,
                              &vessel_wall::conductivity_host,
                              &vessel_wall::surface_density_tumour,
                              &vessel_wall::surface_density_host,
                              &vessel_wall::reflection_tumour,
                              &vessel_wall::reflection_host,
                              &vessel_wall::plasma_oncotic,
                              &vessel_wall::oncotic_tumour,
                              &vessel_wall::oncotic_host,
                              &vessel_wall::vascular_pressure,
                              &vessel_wall::filtration_velocity,
                              &vessel_wall::lymph_tumour,
                              &vessel_wall::lymph_host,
                              &vessel_wall::lymph_pressure,
                              &vessel_wall::protein_permeability,
                              &vessel_wall::protein_radius,
                              &vessel_wall::small_pore_radius,
                              &vessel_wall::large_pore_radius_immature,
                              &vessel_wall::large_pore_radius_mature,
                              &vessel_wall::large_pore_spread,
                              &vessel_wall::pore_area_ratio,
                              &vessel_wall::large_pore_area_exponent,
                              &vessel_wall::hindrance};
  return list;
}

}  // namespace sanctuary
