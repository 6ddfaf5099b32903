#include "solvers/network/rheology.hpp"

#include <algorithm>
#include <cmath>

#include "solvers/network/phase_separation.hpp"

namespace sanctuary {
namespace {

constexpr double reference_haematocrit = 0.45;
constexpr double reference_cell_volume = 92e-18;  // [m^3], human

// (1 - H)^C - 1 over its value at the reference haematocrit.
double haematocrit_factor(double diameter_um, double haematocrit) {
  const double cut = 1.0 / (1.0 + 1e-11 * std::pow(diameter_um, 12));
  const double c = (0.8 + std::exp(-0.075 * diameter_um)) * (cut - 1.0) + cut;
  const auto rise = [c](double h) { return std::expm1(c * std::log1p(-h)); };
  return rise(haematocrit) / rise(reference_haematocrit);
}

double in_vitro(double d, double haematocrit) {
  const double eta45 = 220.0 * std::exp(-1.3 * d) + 3.2 - 2.44 * std::exp(-0.06 * std::pow(d, 0.645));
  return 1.0 + (eta45 - 1.0) * haematocrit_factor(d, haematocrit);
}

double in_vivo(double d, double haematocrit) {
  const double eta45 = 6.0 * std::exp(-0.085 * d) + 3.2 - 2.44 * std::exp(-0.06 * std::pow(d, 0.645));
  const double ratio = d / (d - 1.1);
  const double wall = ratio * ratio;
  return (1.0 + (eta45 - 1.0) * haematocrit_factor(d, haematocrit) * wall) * wall;
}

double surface_layer(double d, double haematocrit) {
  constexpr double onset = 2.4, crest = 10.5;
  double average = 0, peak = 0;  // layer widths [um]
  if (d > onset) {
    average = 2.6 * (d - onset) / (d + 100.0 - 2.0 * onset);
    peak = d < crest ? 1.1 * (d - onset) / (crest - onset) : 1.1 * std::exp(-0.03 * (d - crest));
  }
  const double effective = average + peak * (1.0 + 1.18 * haematocrit);
  const double physical = d - 2.0 * (average + 0.6 * peak);
  const double ratio = d / (d - 2.0 * effective);
  return in_vitro(physical, haematocrit) * ratio * ratio * ratio * ratio;
}

}  // namespace

double relative_viscosity(ViscosityLaw law, double diameter, double haematocrit) {
  const double d = diameter * 1e6;
  switch (law) {
    case ViscosityLaw::in_vitro_1992:
      return in_vitro(d, haematocrit);
    case ViscosityLaw::surface_layer_2005:
      return surface_layer(d, haematocrit);
    case ViscosityLaw::in_vivo_1994:
      break;
  }
  return in_vivo(d, haematocrit);
}

double law_diameter(const Rheology& rheology, double diameter) {
  return std::max(diameter * std::cbrt(reference_cell_volume / rheology.mean_cell_volume), rheology.smallest_diameter);
}

double apparent_viscosity(const Rheology& rheology, double diameter, double haematocrit) {
  return rheology.plasma_viscosity * relative_viscosity(rheology.law, law_diameter(rheology, diameter), haematocrit);
}

double segment_conductance(const Rheology& rheology, double diameter, double length, double haematocrit) {
  return poiseuille_conductance(diameter, length, apparent_viscosity(rheology, diameter, haematocrit));
}

double tube_to_discharge_haematocrit(double diameter, double haematocrit) {
  const double d = diameter * 1e6;
  return haematocrit + (1.0 - haematocrit) * (1.0 + 1.7 * std::exp(-0.415 * d) - 0.6 * std::exp(-0.011 * d));
}

const Catalogue& blood_parameters() {
  static const Catalogue list{&blood::plasma_viscosity,  &blood::mean_cell_volume,   &blood::viscosity_law,
                              &blood::smallest_diameter, &blood::inlet_haematocrit,  &blood::split_form,
                              &blood::many_daughters,    &blood::highest_haematocrit};
  return list;
}

}  // namespace sanctuary
