#pragma once
#include "base/deck.hpp"
#include "solvers/network/boundary_estimate.hpp"

namespace sanctuary {

/// Settings of the estimate of boundary pressures from sections `network` and `blood` (viscosity) of the deck.
[[nodiscard]] BoundaryEstimateSettings boundary_estimate_settings(const Deck& deck);

}  // namespace sanctuary
