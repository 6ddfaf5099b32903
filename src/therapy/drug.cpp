#include "therapy/drug.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace sanctuary {
namespace {

// Amount of one dose [mol].
double dose_amount(const Deck& deck, const std::string& name, const Covariates& patient, double molar_mass) {
  const bool area = deck.given(drug::dose_per_area, name), weight = deck.given(drug::dose_per_weight, name),
             flat = deck.given(drug::dose_flat, name);
  if (int{area} + int{weight} + int{flat} != 1)
    throw InputError(fmt::format(
        "{}: [drug.{}] gives {} of dose_per_area, dose_per_weight and dose_flat; expected exactly one, for example "
        "dose_per_area = 60 mg/m^2",
        deck.where(drug::dose_per_area, name), name, int{area} + int{weight} + int{flat}));
  const double mass = area     ? deck.number(drug::dose_per_area, name) * patient.body_surface_area
                      : weight ? deck.number(drug::dose_per_weight, name) * patient.body_weight
                               : deck.number(drug::dose_flat, name);
  return mass / molar_mass;
}

std::optional<double> if_given(const Deck& deck, const Parameter& parameter, const std::string& name) {
  if (!deck.given(parameter, name)) return std::nullopt;
  return deck.number(parameter, name);
}

Drug read_drug(const Deck& deck, const std::string& name, const Covariates& patient) {
  const auto number = [&](const Parameter& parameter) { return deck.number(parameter, name); };
  Drug d;
  d.name = name;
  d.molar_mass = number(drug::molar_mass);
  d.stokes_radius = number(drug::stokes_radius);
  d.lipophilic_permeability = number(drug::lipophilic_permeability);
  d.wall_permeability = if_given(deck, drug::wall_permeability, name);
  d.diffusivity = if_given(deck, drug::diffusivity, name);
  if (d.diffusivity == 0.0)
    throw InputError(
        fmt::format("{}: a diffusivity of zero stops drug {} in its tracks; leave the key out to have it set by size",
                    deck.where(drug::diffusivity, name), name));
  d.accessible_fraction = if_given(deck, drug::accessible_fraction, name);
  d.retardation = number(drug::retardation);
  d.unbound_fraction = number(drug::unbound_fraction);
  d.red_cell_partition = number(drug::red_cell_partition);

  d.plasma = {.clearance = number(drug::clearance),
              .volume = number(drug::volume1),
              .flow = {number(drug::flow2), number(drug::flow3)},
              .peripheral = {number(drug::volume2), number(drug::volume3)}};
  const Parameter* const flows[] = {&drug::flow2, &drug::flow3};
  for (int i = 0; i < 2; ++i)
    if (d.plasma.flow[i] > 0 && d.plasma.peripheral[i] <= 0)
      throw InputError(fmt::format(
          "{}: compartment {} of drug {} has an exchange flow but no volume; give volume{} or set flow{} = 0 L/h",
          deck.where(*flows[i], name), i + 2, name, i + 2, i + 2));
  const double amount = dose_amount(deck, name, patient, d.molar_mass);
  const double duration = number(drug::infusion_duration);
  for (const double start : deck.numbers(drug::start_times, name)) d.doses.push_back({start, duration, amount});

  d.uptake = {.maximum = number(drug::uptake_maximum) / d.molar_mass,
              .half_outside = number(drug::uptake_half_outside) / d.molar_mass,
              .half_inside = number(drug::uptake_half_inside) / d.molar_mass};
  d.binding = {.on_rate = number(drug::binding_on_rate),
               .off_rate = number(drug::binding_off_rate),
               .sites = number(drug::binding_sites)};
  if (deck.flag(drug::diffusivity_includes_binding, name) &&
      (d.uptake.maximum > 0 || (d.binding.sites > 0 && d.binding.on_rate > 0)))
    throw InputError(
        fmt::format("{}: the diffusivity of drug {} includes binding, which uptake or binding would count twice; give "
                    "the diffusivity "
                    "of the free drug, or set uptake_maximum = 0 fg/min and binding_sites = 0 uM",
                    deck.where(drug::diffusivity_includes_binding, name), name));

  d.kill.emax = number(drug::emax);
  d.kill.hill = number(drug::hill);
  d.kill.quiescent_factor = number(drug::quiescent_factor);
  d.kill.ec50 = d.kill.emax > 0 ? ec50_from_ic50(number(drug::ic50), d.kill.emax, number(drug::assay_duration),
                                                 d.kill.hill, deck.where(drug::emax, name))
                                : number(drug::ic50);  // no kill: the value is never felt
  d.threshold = number(drug::threshold);
  return d;
}

}  // namespace

Covariates covariates(const Deck& deck) {
  return {.body_weight = deck.number(patient::body_weight),
          .body_surface_area = deck.number(patient::body_surface_area)};
}

std::vector<Drug> drugs(const Deck& deck) {
  const Covariates patient = covariates(deck);
  std::vector<Drug> list;
  for (const auto& name : deck.names("drug")) list.push_back(read_drug(deck, name, patient));
  return list;
}

const Catalogue& drug_parameters() {
  static const Catalogue list{&patient::body_weight,
                              &patient::body_surface_area,
                              &drug::molar_mass,
                              &drug::stokes_radius,
                              &drug::lipophilic_permeability,
                              &drug::wall_permeability,
                              &drug::diffusivity,
                              &drug::diffusivity_includes_binding,
                              &drug::accessible_fraction,
                              &drug::retardation,
                              &drug::unbound_fraction,
                              &drug::red_cell_partition,
                              &drug::clearance,
                              &drug::volume1,
                              &drug::flow2,
                              &drug::volume2,
                              &drug::flow3,
                              &drug::volume3,
                              &drug::dose_per_area,
                              &drug::dose_per_weight,
                              &drug::dose_flat,
                              &drug::start_times,
                              &drug::infusion_duration,
                              &drug::uptake_maximum,
                              &drug::uptake_half_outside,
                              &drug::uptake_half_inside,
                              &drug::binding_on_rate,
                              &drug::binding_off_rate,
                              &drug::binding_sites,
                              &drug::emax,
                              &drug::ic50,
                              &drug::assay_duration,
                              &drug::hill,
                              &drug::quiescent_factor,
                              &drug::threshold};
  return list;
}

}  // namespace sanctuary
