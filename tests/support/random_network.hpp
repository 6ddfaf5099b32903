#pragma once
#include <cstdint>

#include "solvers/network/flow.hpp"

namespace sanctuary {

/// A graph of one of eight kinds (trees, lattices with loops, parallel vessels, stars, loops without flow, isolated
/// nodes and parts, chains, all at once) with radii over four decades, boundary pressures and flows at random.
[[nodiscard]] VesselGraph random_network(std::uint64_t seed);

/// The laws of blood of the program at their defaults.
[[nodiscard]] BloodLaws standard_blood_laws();

}  // namespace sanctuary
