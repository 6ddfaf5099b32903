#include "tissue/boundary_settings.hpp"

#include "tissue/blood.hpp"

namespace sanctuary {

BoundaryEstimateSettings boundary_estimate_settings(const Deck& deck) {
  BoundaryEstimateSettings settings;
  settings.target_pressure = deck.number(network::target_pressure);
  settings.shear_from_pressure = deck.text(network::target_shear_law) == "pressure";
  settings.target_shear = deck.number(network::target_shear);
  settings.shear_weight = deck.number(network::shear_weight);
  settings.starts = static_cast<int>(deck.number(network::estimate_starts));
  settings.seed = static_cast<std::uint64_t>(deck.number(network::estimate_seed));
  settings.haematocrit = deck.number(network::estimate_haematocrit);
  settings.viscosity = [rheology = rheology_settings(deck)](double diameter, double haematocrit) {
    return apparent_viscosity(rheology, diameter, haematocrit);
  };
  return settings;
}

}  // namespace sanctuary
