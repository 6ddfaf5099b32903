#include "tissue/oxygen_formulas.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace sanctuary {
namespace {

struct ResistanceEntry {
  double diameter_um, resistance;  // mmHg um s/um^3
};
// Secomb GreensV4, IntravascRes.dat, oxygen.
constexpr std::array<ResistanceEntry, 16> resistance_table{{{4, 2.45},
                                                            {5, 2.00},
                                                            {6, 1.74},
                                                            {8, 1.44},
                                                            {10, 1.27},
                                                            {12, 1.16},
                                                            {14, 1.08},
                                                            {16, 1.02},
                                                            {18, 0.974},
                                                            {20, 0.935},
                                                            {22, 0.895},
                                                            {24, 0.853},
                                                            {28, 0.815},
                                                            {32, 0.779},
                                                            {40, 0.750},
                                                            {50, 0.730}}};

}  // namespace

double saturation(const BloodOxygen& blood, double pressure) {
  if (pressure <= 0) return 0.0;
  return 1.0 / (1.0 + std::pow(blood.half_saturation / pressure, blood.hill));
}

double saturation_slope(const BloodOxygen& blood, double pressure) {
  if (pressure <= 0) return 0.0;
  const double s = saturation(blood, pressure);
  return blood.hill * s * (1.0 - s) / pressure;
}

double oxygen_content(const BloodOxygen& blood, double pressure, double haematocrit) {
  return blood.capacity * haematocrit * saturation(blood, pressure) + blood.solubility * pressure;
}

double oxygen_content_slope(const BloodOxygen& blood, double pressure, double haematocrit) {
  return blood.capacity * haematocrit * saturation_slope(blood, pressure) + blood.solubility;
}

double oxygen_pressure(const BloodOxygen& blood, double content, double haematocrit) {
  if (content <= 0 || haematocrit <= 0) return content / blood.solubility;
  // Content lies between the dissolved part alone and everything bound: both ends bracket the root.
  const double bound_most = blood.capacity * haematocrit;
  double lower = std::max(content - bound_most, 0.0) / blood.solubility;
  double upper = content / blood.solubility;
  // A start from the bound part alone keeps Newton off the flat tail of Hill's curve.
  const double share = std::clamp(content / bound_most, 1e-300, 0.999);
  double pressure = std::clamp(blood.half_saturation * std::pow(share / (1.0 - share), 1.0 / blood.hill), lower, upper);
  for (int i = 0; i < 200; ++i) {
    const double miss = oxygen_content(blood, pressure, haematocrit) - content;
    (miss > 0 ? upper : lower) = pressure;
    double next = pressure - miss / oxygen_content_slope(blood, pressure, haematocrit);
    if (!(next > lower && next < upper)) next = 0.5 * (lower + upper);
    if (std::abs(next - pressure) <= 4e-16 * pressure) return next;
    pressure = next;
  }
  return pressure;
}

double intravascular_resistance(double diameter) {
  constexpr double si = mmhg * 1e12;  // mmHg um s/um^3 -> Pa s/m^2
  const double d = diameter * 1e6;
  if (d <= resistance_table.front().diameter_um) return si * resistance_table.front().resistance;
  if (d >= resistance_table.back().diameter_um) return si * resistance_table.back().resistance;
  const auto right = std::find_if(resistance_table.begin(), resistance_table.end(),
                                  [d](const ResistanceEntry& entry) { return entry.diameter_um >= d; });
  const auto left = right - 1;
  const double weight = (d - left->diameter_um) / (right->diameter_um - left->diameter_um);
  return si * ((1.0 - weight) * left->resistance + weight * right->resistance);
}

double oxygen_use(double maximum, double half_pressure, double pressure) {
  return pressure > 0 ? maximum * pressure / (pressure + half_pressure) : 0.0;
}

double oxygen_use_slope(double maximum, double half_pressure, double pressure) {
  const double sum = std::max(pressure, 0.0) + half_pressure;
  return maximum * half_pressure / (sum * sum);
}

OxygenSettings oxygen_settings(const Deck& deck) {
  OxygenSettings settings;
  settings.blood = {.half_saturation = deck.number(oxygen::half_saturation),
                    .hill = deck.number(oxygen::hill),
                    .capacity = deck.number(oxygen::capacity),
                    .solubility = deck.number(oxygen::plasma_solubility)};
  settings.use_tumour = deck.number(oxygen::use_tumour);
  settings.use_host = deck.number(oxygen::use_host);
  settings.half_pressure = deck.number(oxygen::half_pressure);
  settings.krogh_coefficient = deck.number(oxygen::krogh_coefficient);
  settings.tissue_solubility = deck.number(oxygen::tissue_solubility);
  settings.inlet_pressure = deck.number(oxygen::inlet_pressure);
  settings.host_pressure = deck.number(oxygen::host_pressure);
  settings.hypoxia_threshold = deck.number(oxygen::hypoxia_threshold);
  return settings;
}

const Catalogue& oxygen_parameters() {
  static const Catalogue list{
      &oxygen::half_saturation,   &oxygen::hill,           &oxygen::capacity,      &oxygen::plasma_solubility,
      &oxygen::tissue_solubility, &oxygen::use_tumour,     &oxygen::use_host,      &oxygen::half_pressure,
      &oxygen::krogh_coefficient, &oxygen::inlet_pressure, &oxygen::host_pressure, &oxygen::hypoxia_threshold};
  return list;
}

}  // namespace sanctuary
