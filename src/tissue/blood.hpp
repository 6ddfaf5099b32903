#pragma once
#include "base/deck.hpp"
#include "solvers/network/phase_separation.hpp"
#include "solvers/network/rheology.hpp"

namespace sanctuary {

/// Section `blood` of the deck as structs of SI doubles (the solvers themselves never see a deck).
[[nodiscard]] Rheology rheology_settings(const Deck& deck);
[[nodiscard]] SplitLaw split_settings(const Deck& deck);

}  // namespace sanctuary
