#include "tissue/blood.hpp"

#include <algorithm>

namespace sanctuary {

Rheology rheology_settings(const Deck& deck) {
  Rheology rheology;
  const std::string law = deck.text(blood::viscosity_law);
  rheology.law = law == "in_vitro_1992"        ? ViscosityLaw::in_vitro_1992
                 : law == "surface_layer_2005" ? ViscosityLaw::surface_layer_2005
                                               : ViscosityLaw::in_vivo_1994;
  rheology.plasma_viscosity = deck.number(blood::plasma_viscosity);
  rheology.mean_cell_volume = deck.number(blood::mean_cell_volume);
  rheology.smallest_diameter = deck.number(blood::smallest_diameter);
  return rheology;
}

SplitLaw split_settings(const Deck& deck) {
  SplitLaw law;
  const std::string form = deck.text(blood::split_form);
  law.form = form == "pries_1989"     ? SplitForm::pries_1989
             : form == "proportional" ? SplitForm::proportional
                                      : SplitForm::pries_2005;
  law.many = deck.text(blood::many_daughters) == "each_against_rest" ? ManyDaughters::each_against_rest
                                                                     : ManyDaughters::sequential;
  law.highest_haematocrit = deck.number(blood::highest_haematocrit);
  return law;
}

BloodLaws blood_laws(const Rheology& rheology, const SplitLaw& split, double inlet_haematocrit) {
  BloodLaws laws;
  laws.rheology = rheology;
  laws.separation = split;
  laws.inlet_haematocrit = inlet_haematocrit;
  return laws;
}

BloodLaws blood_laws(const Deck& deck) {
  return blood_laws(rheology_settings(deck), split_settings(deck), deck.number(blood::inlet_haematocrit));
}

}  // namespace sanctuary
