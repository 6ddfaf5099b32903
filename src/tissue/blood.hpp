#pragma once
#include "base/deck.hpp"
#include "solvers/network/flow.hpp"
#include "solvers/network/phase_separation.hpp"
#include "solvers/network/rheology.hpp"

namespace sanctuary {

/// Section `blood` of the deck as structs of SI doubles (the solvers themselves never see a deck).
[[nodiscard]] Rheology rheology_settings(const Deck& deck);
[[nodiscard]] SplitLaw split_settings(const Deck& deck);
/// The same as laws for FlowSolver.
[[nodiscard]] BloodLaws blood_laws(const Rheology& rheology, const SplitLaw& split, double inlet_haematocrit);
[[nodiscard]] BloodLaws blood_laws(const Deck& deck);

}  // namespace sanctuary
