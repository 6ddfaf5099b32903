#include "tissue/matrix.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace sanctuary {
namespace {

constexpr double boltzmann = 1.380649e-23;  // [J/K]

// Hindrance of the matrix alone, without tortuosity and floor.
double matrix_factor(const MatrixLaw& law, const MatrixComposition& composition, double stokes_radius) {
  return brinkman_factor(stokes_radius, matrix_permeability(law, composition)) *
         phillips_factor(stokes_radius, law.collagen_radius, composition.collagen);
}

}  // namespace

double free_diffusivity(double stokes_radius, double viscosity, double temperature) {
  return boltzmann * temperature / (6.0 * std::numbers::pi * viscosity * stokes_radius);
}

double fibre_permeability(double radius, double volume_fraction) {
  if (volume_fraction <= 0) return std::numeric_limits<double>::infinity();
  // The series in ln phi turns negative near 0.39; far under that it has lost its meaning already.
  const double bracket = std::max(-std::log(volume_fraction) - 0.931, 0.01);
  return 3.0 * radius * radius / (20.0 * volume_fraction) * bracket;
}

double brinkman_factor(double stokes_radius, double permeability) {
  const double x = stokes_radius / std::sqrt(permeability);
  return 1.0 / (1.0 + x + x * x / 9.0);
}

double phillips_factor(double stokes_radius, double fibre_radius, double volume_fraction) {
  if (volume_fraction <= 0) return 1.0;
  const double ratio = 1.0 + stokes_radius / fibre_radius;
  const double f = ratio * ratio * volume_fraction;
  const double steric = std::exp(-0.84 * std::pow(f, 1.09));
  const double exponent = 0.174 * std::log(59.6 * fibre_radius / stokes_radius);
  return steric * std::exp(-std::numbers::pi * std::pow(volume_fraction, exponent));
}

double ogston_partition(double stokes_radius, double fibre_radius, double volume_fraction) {
  const double ratio = 1.0 + stokes_radius / fibre_radius;
  return std::exp(-volume_fraction * ratio * ratio);
}

double gag_fraction(const MatrixLaw& law, const MatrixComposition& composition) {
  const double b = law.collagen_borne_gag;
  return law.reference_gag * ((1.0 - b) * composition.hyaluronan / law.reference.hyaluronan +
                              b * composition.collagen / law.reference.collagen);
}

double matrix_permeability(const MatrixLaw& law, const MatrixComposition& composition) {
  const double resistance = 1.0 / fibre_permeability(law.collagen_radius, composition.collagen) +
                            1.0 / fibre_permeability(law.gag_radius, gag_fraction(law, composition));
  return 1.0 / (resistance * (1.0 + law.crosslink_resistance * composition.crosslinking));
}

double hydraulic_conductivity(const MatrixLaw& law, const MatrixComposition& composition, double declared) {
  return declared * matrix_permeability(law, composition) / matrix_permeability(law, law.reference);
}

double matrix_diffusivity(const MatrixLaw& law, const MatrixComposition& composition, double stokes_radius) {
  return std::max(free_diffusivity(stokes_radius, law.viscosity, law.temperature) * law.tortuosity *
                      matrix_factor(law, composition, stokes_radius),
                  law.smallest_diffusivity);
}

double matrix_diffusivity(const MatrixLaw& law, const MatrixComposition& composition, double stokes_radius,
                          double declared) {
  return std::max(
      declared * matrix_factor(law, composition, stokes_radius) / matrix_factor(law, law.reference, stokes_radius),
      law.smallest_diffusivity);
}

double fluid_partition(const MatrixLaw& law, const MatrixComposition& composition, double stokes_radius) {
  return ogston_partition(stokes_radius, law.collagen_radius, composition.collagen) /
         ogston_partition(0.0, law.collagen_radius, composition.collagen);
}

double accessible_volume_fraction(const MatrixLaw& law, const MatrixComposition& composition, double porosity,
                                  double stokes_radius) {
  return porosity * fluid_partition(law, composition, stokes_radius);
}

double convective_retardation(const MatrixLaw& law, const MatrixComposition& composition, double stokes_radius) {
  const double open = fluid_partition(law, composition, stokes_radius);
  return open * (2.0 - open);  // 1 - (1 - open)^2, above 0 for the largest particles too
}

double binding_site_factor(const MatrixLaw& law, const MatrixComposition& composition, bool cationic) {
  return cationic ? gag_fraction(law, composition) / gag_fraction(law, law.reference) : 1.0;
}

MatrixSettings matrix_settings(const Deck& deck) {
  MatrixSettings settings;
  MatrixLaw& law = settings.law;
  law.collagen_radius = deck.number(matrix::collagen_radius);
  law.gag_radius = deck.number(matrix::gag_radius);
  law.reference_gag = deck.number(matrix::reference_gag);
  law.collagen_borne_gag = deck.number(matrix::collagen_borne_gag);
  law.crosslink_resistance = deck.number(matrix::crosslink_resistance);
  law.reference = {.collagen = deck.number(matrix::reference_collagen), .hyaluronan = 1.0, .crosslinking = 0.0};
  law.tortuosity = deck.number(interstitium::tortuosity);
  law.smallest_diffusivity = deck.number(interstitium::smallest_diffusivity);
  law.viscosity = deck.number(interstitium::viscosity);
  law.temperature = deck.number(interstitium::temperature);
  settings.porosity = deck.number(interstitium::porosity);
  settings.tumour = {deck.number(interstitium::hydraulic_conductivity_tumour),
                     {deck.number(matrix::collagen_tumour), deck.number(matrix::hyaluronan_tumour),
                      deck.number(matrix::crosslinking_tumour)}};
  settings.host = {deck.number(interstitium::hydraulic_conductivity_host),
                   {deck.number(matrix::collagen_host), deck.number(matrix::hyaluronan_host),
                    deck.number(matrix::crosslinking_host)}};
  return settings;
}

const Catalogue& matrix_parameters() {
  static const Catalogue list{&matrix::collagen_tumour,
                              &matrix::collagen_host,
                              &matrix::hyaluronan_tumour,
                              &matrix::hyaluronan_host,
                              &matrix::crosslinking_tumour,
                              &matrix::crosslinking_host,
                              &matrix::reference_collagen,
                              &matrix::reference_gag,
                              &matrix::collagen_borne_gag,
                              &matrix::collagen_radius,
                              &matrix::gag_radius,
                              &matrix::crosslink_resistance,
                              &interstitium::hydraulic_conductivity_tumour,
                              &interstitium::hydraulic_conductivity_host,
                              &interstitium::porosity,
                              &interstitium::tortuosity,
                              &interstitium::smallest_diffusivity,
                              &interstitium::viscosity,
                              &interstitium::temperature};
  return list;
}

}  // namespace sanctuary
