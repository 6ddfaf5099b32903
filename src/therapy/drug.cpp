#include "therapy/drug.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/catalogue.hpp"
#include "base/error.hpp"
#include "base/random.hpp"

namespace sanctuary {
namespace {

// Amount of one dose [mol].
double dose_amount(const Deck& deck, const std::string& name, const Covariates& patient, double molar_mass,
                   bool is_payload) {
  const bool area = deck.given(drug::dose_per_area, name), weight = deck.given(drug::dose_per_weight, name),
             flat = deck.given(drug::dose_flat, name), target = deck.given(drug::dose_area_target, name);
  const int given = int{area} + int{weight} + int{flat} + int{target};
  if (given == 0 && is_payload && !deck.given(drug::start_times, name) && deck.integer(drug::cycles, name) == 0)
    return 0;
  if (given != 1)
    throw InputError(
        fmt::format("{}: [drug.{}] gives {} of dose_per_area, dose_per_weight, dose_flat and dose_target_auc; expected "
                    "exactly one, "
                    "for example dose_per_area = 60 mg/m^2",
                    deck.where(drug::dose_per_area, name), name, given));
  constexpr double calvert = 25e-6 / 60;  // [m^3/s]
  const double mass = area     ? deck.number(drug::dose_per_area, name) * patient.body_surface_area
                      : weight ? deck.number(drug::dose_per_weight, name) * patient.body_weight
                      : flat   ? deck.number(drug::dose_flat, name)
                               : deck.number(drug::dose_area_target, name) * (patient.glomerular_filtration + calvert);
  return mass / molar_mass;
}

/// When doses are given [s].
std::vector<double> dose_times(const Deck& deck, const std::string& name) {
  const long cycles = deck.integer(drug::cycles, name);
  if (cycles == 0) return deck.numbers(drug::start_times, name);
  if (deck.given(drug::start_times, name))
    throw InputError(
        fmt::format("{}: drug {} has both start_times and cycles; expected one of them (cycles = 0 where an included "
                    "deck gives cycles)",
                    deck.where(drug::start_times, name), name));
  constexpr double day = 86400;
  const double length = deck.number(drug::cycle_length, name);
  std::vector<double> times;
  for (long cycle = 0; cycle < cycles; ++cycle) {
    for (const double d : deck.numbers(drug::cycle_days, name)) {
      if ((d - 1) * day >= length)
        throw InputError(fmt::format("{}: day {} of drug {} falls beyond its cycle of {} days; expected days within it",
                                     deck.where(drug::cycle_days, name), d, name, length / day));
      times.push_back(deck.number(drug::first_cycle, name) + static_cast<double>(cycle) * length + (d - 1) * day);
    }
  }
  return times;
}

PlasmaModel plasma_model(const Deck& deck, const std::string& name, const Covariates& patient, std::uint64_t seed) {
  const auto number = [&](const Parameter& parameter) { return deck.number(parameter, name); };
  // Log-normal with the typical value as its median.
  const auto varied = [&](const Parameter& cv) {
    const double c = number(cv);
    if (!patient.varies || c <= 0) return 1.0;
    return RandomStream(seed, full_key(cv, name)).lognormal(0, 1.0, std::sqrt(std::log1p(c * c)));
  };
  constexpr double reference_albumin = 40;  // [kg/m^3]
  const double weight = patient.body_weight / number(drug::reference_weight);
  const double flows = std::pow(weight, number(drug::clearance_weight_exponent)),
               volumes = std::pow(weight, number(drug::volume_weight_exponent)),
               clears = flows * varied(drug::cv_clearance) *
                        std::pow(patient.albumin / reference_albumin, number(drug::clearance_albumin_exponent));
  PlasmaModel model{
      .clearance = clears * number(drug::clearance),
      .volume = volumes * number(drug::volume1) * varied(drug::cv_volume1),
      .flow = {flows * number(drug::flow2) * varied(drug::cv_flow2), flows * number(drug::flow3)},
      .peripheral = {volumes * number(drug::volume2) * varied(drug::cv_volume2), volumes * number(drug::volume3)},
      .absorption_rate = number(drug::absorption_rate) * varied(drug::cv_absorption),
      .saturable_rate = clears * number(drug::saturable_rate),
      .saturable_half = number(drug::saturable_half),
      .saturable_flow = flows * number(drug::saturable_flow),
      .saturable_flow_half = number(drug::saturable_flow_half),
      .target = {.baseline = number(drug::target_baseline),
                 .turnover = number(drug::target_turnover),
                 .internalisation = number(drug::target_internalisation),
                 .half = number(drug::target_half)},
      .metabolite = {.fraction = number(drug::metabolite_fraction),
                     .clearance = number(drug::metabolite_clearance),
                     .volume = number(drug::metabolite_volume)}};
  const Parameter* const given_flows[] = {&drug::flow2, &drug::flow3};
  for (std::size_t i = 0; i < 2; ++i) {
    if (model.flow[i] > 0 && model.peripheral[i] <= 0)
      throw InputError(fmt::format(
          "{}: compartment {} of drug {} has an exchange flow but no volume; give volume{} or set flow{} = 0 L/h",
          deck.where(*given_flows[i], name), i + 2, name, i + 2, i + 2));
  }
  if (model.saturable_flow > 0 && (model.flow[0] <= 0 || model.peripheral[0] <= 0))
    throw InputError(fmt::format("{}: a saturable transfer of drug {} needs a way back; give flow2 and volume2",
                                 deck.where(drug::saturable_flow, name), name));
  if (model.target.half > 0 && model.target.baseline <= 0)
    throw InputError(fmt::format("{}: drug {} has a target in plasma of no amount; give plasma_target_baseline",
                                 deck.where(drug::target_half, name), name));
  return model;
}

std::vector<Dose> doses_of(const Deck& deck, const std::string& name, const Covariates& patient, double molar_mass,
                           const PlasmaModel& plasma, bool is_payload) {
  const bool oral = plasma.absorption_rate > 0;
  if (oral && deck.given(drug::infusion_duration, name))
    throw InputError(fmt::format("{}: drug {} is taken by mouth (absorption_rate); expected no infusion_duration",
                                 deck.where(drug::infusion_duration, name), name));
  const double dose = dose_amount(deck, name, patient, molar_mass, is_payload);
  if (dose == 0 && is_payload) return {};
  if (!deck.given(drug::volume1, name))
    throw InputError(fmt::format("{}: drug {} is dosed but has no volume1, the volume of its central compartment",
                                 deck.where(drug::volume1, name), name));
  if (plasma.clearance <= 0 && plasma.saturable_rate <= 0)
    throw InputError(fmt::format("{}: nothing eliminates drug {}; give clearance, or saturable_rate and saturable_half",
                                 deck.where(drug::clearance, name), name));
  const double amount = dose * (oral ? deck.number(drug::bioavailability, name) : 1.0),
               lag = oral ? deck.number(drug::absorption_lag, name) : 0.0,
               duration = oral ? 0.0 : deck.number(drug::infusion_duration, name);
  std::vector<Dose> doses;
  for (const double time : dose_times(deck, name)) doses.push_back({time + lag, duration, amount, oral});
  if (!doses.empty()) doses.front().amount *= deck.number(drug::loading_factor, name);
  return doses;
}

std::optional<double> if_given(const Deck& deck, const Parameter& parameter, const std::string& name) {
  if (!deck.given(parameter, name)) return std::nullopt;
  return deck.number(parameter, name);
}

DrugClass class_of(const std::string& text) {
  static const std::map<std::string, DrugClass> all{{"small_molecule", DrugClass::small_molecule},
                                                    {"kinase_inhibitor", DrugClass::kinase_inhibitor},
                                                    {"antibody", DrugClass::antibody},
                                                    {"adc", DrugClass::adc},
                                                    {"liposome", DrugClass::liposome},
                                                    {"nanoparticle", DrugClass::nanoparticle},
                                                    {"cationic_carrier", DrugClass::cationic_carrier},
                                                    {"enzyme", DrugClass::enzyme}};
  return all.at(text);
}

/// Where a drug acts. Throws InputError for a site that it does not have.
EffectSite effect_site(const Deck& deck, const Drug& d, bool is_payload) {
  const std::string given = deck.text(drug::effect_site, d.name);
  const bool enters = d.enters_cells() || is_payload, held = d.interior.sites > 0, target = d.target.number > 0;
  const auto refuse = [&](const char* what) {
    throw InputError(fmt::format("{}: the effect site of drug {} is {}, but {}", deck.where(drug::effect_site, d.name),
                                 d.name, given, what));
  };
  if (given == "cell" && !enters) refuse("nothing takes it into cells; give uptake_maximum or passive_influx");
  if (given == "cell_bound" && !held) refuse("no sites in cells bind it; give cell_sites, cell_on_rate, cell_off_rate");
  if (given == "cell_bound" && d.interior.off_rate <= 0)
    refuse("no concentration is in equilibrium with sites that never let go; give cell_off_rate");
  if (given == "target" && !target) refuse("it has no target; give target_number");
  if (given == "target" && d.target.off_rate <= 0)
    refuse("no concentration is in equilibrium with a target that never lets go; give target_affinity");
  if (given != "by_class")
    return given == "cell"         ? EffectSite::cell
           : given == "cell_bound" ? EffectSite::cell_bound
           : given == "target"     ? EffectSite::target
                                   : EffectSite::fluid;
  switch (d.kind) {
    case DrugClass::antibody:
    case DrugClass::enzyme:
      return target && d.target.off_rate > 0 ? EffectSite::target : EffectSite::fluid;
    case DrugClass::adc:
    case DrugClass::liposome:
    case DrugClass::nanoparticle:
    case DrugClass::cationic_carrier:
      return EffectSite::fluid;
    default:
      return enters ? EffectSite::cell : EffectSite::fluid;
  }
}

Drug read_drug(const Deck& deck, const std::string& name, const Covariates& patient, std::uint64_t seed,
               bool is_payload) {
  const auto number = [&](const Parameter& parameter) { return deck.number(parameter, name); };
  Drug d;
  d.name = name;
  d.kind = class_of(deck.text(drug::drug_class, name));
  const std::string charge = deck.text(drug::charge, name);
  d.charge = charge == "cationic" ? Charge::cationic : charge == "anionic" ? Charge::anionic : Charge::neutral;
  d.wall_charge_factor = number(drug::wall_charge_factor);
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
  d.retardation = if_given(deck, drug::retardation, name);
  d.unbound_fraction = number(drug::unbound_fraction);
  d.red_cell_partition = number(drug::red_cell_partition);

  d.plasma = plasma_model(deck, name, patient, seed);
  d.doses = doses_of(deck, name, patient, d.molar_mass, d.plasma, is_payload);
  if (const std::string payload = deck.text(drug::payload, name); payload != "none") d.payload = payload;
  d.payload_ratio = number(drug::payload_ratio);
  d.release_rate = number(drug::release_rate);
  if (d.release_rate > 0 && d.payload.empty())
    throw InputError(
        fmt::format("{}: drug {} releases nothing that is known; give payload, the name of the drug it sets free",
                    deck.where(drug::release_rate, name), name));

  d.uptake = {.maximum = number(drug::uptake_maximum) / d.molar_mass,
              .half_outside = number(drug::uptake_half_outside) / d.molar_mass,
              .half_inside = number(drug::uptake_half_inside) / d.molar_mass};
  d.interior = {.influx = number(drug::passive_influx),
                .efflux = number(drug::passive_efflux),
                .pump_maximum = number(drug::efflux_maximum),
                .pump_half = number(drug::efflux_half),
                .sites = number(drug::cell_sites),
                .on_rate = number(drug::cell_on_rate),
                .off_rate = number(drug::cell_off_rate),
                .degradation = number(drug::cell_degradation)};
  d.binding = {.on_rate = number(drug::binding_on_rate),
               .off_rate = number(drug::binding_off_rate),
               .sites = number(drug::binding_sites)};
  constexpr double avogadro = 6.02214076e23;
  d.target = {.number = number(drug::target_number) / avogadro,
              .on_rate = number(drug::target_on_rate),
              .off_rate = number(drug::target_on_rate) * number(drug::target_affinity),
              .turnover = number(drug::target_loss),
              .internalisation = number(drug::target_uptake),
              .recycling = number(drug::target_recycling),
              .degradation = number(drug::target_degradation)};
  if (deck.flag(drug::diffusivity_includes_binding, name) &&
      (d.uptake.maximum > 0 || d.target.number > 0 || (d.binding.sites > 0 && d.binding.on_rate > 0)))
    throw InputError(
        fmt::format("{}: the diffusivity of drug {} includes binding, which uptake or binding would count twice; give "
                    "the diffusivity of the free drug, or set uptake_maximum = 0 fg/min, binding_sites = 0 uM and "
                    "target_number = 0",
                    deck.where(drug::diffusivity_includes_binding, name), name));

  d.kill.emax = number(drug::emax);
  d.kill.hill = number(drug::hill);
  d.kill.quiescent_factor = number(drug::quiescent_factor);
  d.kill.resistance_fold = number(drug::resistance_fold);
  const double delay = number(drug::damage_delay);
  d.kill.lethal_rate = delay > 0 ? 1 / delay : 0.0;
  d.kill.repair_rate = number(drug::damage_repair);
  if (d.kill.repair_rate > 0 && delay <= 0)
    throw InputError(
        fmt::format("{}: damage of drug {} kills at once, so that none is left to repair; give damage_delay",
                    deck.where(drug::damage_repair, name), name));
  if (d.kill.emax > 0 && !deck.given(drug::ic50, name))
    throw InputError(
        fmt::format("{}: drug {} kills (emax) but has no ic50; give it, with the assay_duration of its source",
                    deck.where(drug::emax, name), name));
  d.kill.ec50 = d.kill.emax > 0 ? ec50_from_ic50(number(drug::ic50), d.kill.emax, number(drug::assay_duration),
                                                 d.kill.hill, deck.where(drug::emax, name))
                                : number(drug::ic50);  // no kill: the value is never felt
  d.effect = effect_site(deck, d, is_payload);
  if (const std::string group = deck.text(drug::combination, name); group != "bliss") d.combination = group;
  d.threshold = deck.given(drug::threshold, name) ? number(drug::threshold) : number(drug::ic50);
  return d;
}

}  // namespace

double effect_concentration(const Drug& drug, bool inside, double cell_volume, double accumulation, double c,
                            const CellContent& content) {
  if (drug.effect == EffectSite::cell && inside) return std::max(content.free, 0.0) / accumulation;
  if (drug.effect == EffectSite::cell_bound && inside && drug.interior.sites > 0) {
    const double sites = drug.interior.sites * cell_volume, held = std::clamp(content.held, 0.0, sites * (1 - 1e-12));
    return drug.interior.off_rate / drug.interior.on_rate * held / (sites - held) * cell_volume / accumulation;
  }
  if (drug.effect == EffectSite::target && drug.target.number > 0) {
    const double complexes = std::max(content.complexes, 0.0);
    if (complexes <= 0) return 0.0;
    return drug.target.off_rate / drug.target.on_rate * complexes / std::max(content.free_targets, 1e-12 * complexes);
  }
  return std::max(c, 0.0);
}

Covariates covariates(const Deck& deck) {
  return {.body_weight = deck.number(patient::body_weight),
          .body_surface_area = deck.number(patient::body_surface_area),
          .glomerular_filtration = deck.number(patient::glomerular_filtration),
          .albumin = deck.number(patient::albumin),
          .varies = deck.flag(patient::variability)};
}

std::vector<Drug> drugs(const Deck& deck, std::uint64_t seed) {
  const Covariates patient = covariates(deck);
  const std::vector<std::string> names = deck.names("drug");
  std::map<std::string, std::string> carrier;  // of each payload
  for (const auto& name : names) {
    const std::string payload = deck.text(drug::payload, name);
    if (payload == "none") continue;
    if (std::find(names.begin(), names.end(), payload) == names.end())
      throw InputError(
          fmt::format("{}: the deck has no drug {}; expected the name of one of its sections [drug.NAME], or none",
                      deck.where(drug::payload, name), payload));
    carrier.emplace(payload, name);
  }
  std::vector<Drug> list;
  for (const auto& name : names) list.push_back(read_drug(deck, name, patient, seed, carrier.contains(name)));
  // Those that set others free come first.
  std::vector<Drug> ordered;
  while (!list.empty()) {
    const auto next = std::find_if(list.begin(), list.end(), [&](const Drug& d) {
      return std::none_of(list.begin(), list.end(), [&](const Drug& other) { return other.payload == d.name; });
    });
    if (next == list.end())
      throw InputError(fmt::format("{}: the payloads of drugs lead back to themselves; expected chains that end",
                                   deck.where(drug::payload, list.front().name)));
    ordered.push_back(std::move(*next));
    list.erase(next);
  }
  return ordered;
}

Presets::Default drug::by_class(const Parameter& parameter, std::string_view kind) {
  if (kind != "cationic_carrier") return {};
  if (&parameter == &charge) return {"cationic", "by its class"};
  if (&parameter == &wall_charge_factor)
    return {"2", "Stylianopoulos 2013, PMC3886728: at least twice the flux above a threshold of surface charge"};
  return {};
}

const Catalogue& drug_parameters() {
  static const Catalogue list{&patient::body_weight,
                              &patient::body_surface_area,
                              &patient::glomerular_filtration,
                              &patient::albumin,
                              &patient::variability,
                              &drug::drug_class,
                              &drug::charge,
                              &drug::wall_charge_factor,
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
                              &drug::absorption_rate,
                              &drug::absorption_lag,
                              &drug::bioavailability,
                              &drug::saturable_rate,
                              &drug::saturable_half,
                              &drug::target_half,
                              &drug::target_baseline,
                              &drug::target_turnover,
                              &drug::target_internalisation,
                              &drug::saturable_flow,
                              &drug::saturable_flow_half,
                              &drug::metabolite_fraction,
                              &drug::metabolite_clearance,
                              &drug::metabolite_volume,
                              &drug::reference_weight,
                              &drug::clearance_weight_exponent,
                              &drug::volume_weight_exponent,
                              &drug::clearance_albumin_exponent,
                              &drug::cv_clearance,
                              &drug::cv_volume1,
                              &drug::cv_flow2,
                              &drug::cv_volume2,
                              &drug::cv_absorption,
                              &drug::dose_per_area,
                              &drug::dose_per_weight,
                              &drug::dose_flat,
                              &drug::dose_area_target,
                              &drug::loading_factor,
                              &drug::cycles,
                              &drug::cycle_length,
                              &drug::cycle_days,
                              &drug::first_cycle,
                              &drug::start_times,
                              &drug::infusion_duration,
                              &drug::payload,
                              &drug::payload_ratio,
                              &drug::release_rate,
                              &drug::uptake_maximum,
                              &drug::uptake_half_outside,
                              &drug::uptake_half_inside,
                              &drug::passive_influx,
                              &drug::passive_efflux,
                              &drug::efflux_maximum,
                              &drug::efflux_half,
                              &drug::cell_sites,
                              &drug::cell_on_rate,
                              &drug::cell_off_rate,
                              &drug::cell_degradation,
                              &drug::binding_on_rate,
                              &drug::binding_off_rate,
                              &drug::binding_sites,
                              &drug::target_number,
                              &drug::target_on_rate,
                              &drug::target_affinity,
                              &drug::target_loss,
                              &drug::target_uptake,
                              &drug::target_recycling,
                              &drug::target_degradation,
                              &drug::emax,
                              &drug::ic50,
                              &drug::assay_duration,
                              &drug::hill,
                              &drug::quiescent_factor,
                              &drug::effect_site,
                              &drug::resistance_fold,
                              &drug::damage_delay,
                              &drug::damage_repair,
                              &drug::combination,
                              &drug::threshold};
  return list;
}

}  // namespace sanctuary
