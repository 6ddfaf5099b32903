#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/deck.hpp"
#include "base/parameter.hpp"
#include "therapy/pharmacodynamics.hpp"
#include "therapy/plasma_kinetics.hpp"

namespace sanctuary {

enum class DrugClass {
  small_molecule,
  kinase_inhibitor,
  antibody,
  adc,
  liposome,
  nanoparticle,
  cationic_carrier,
  enzyme
};
enum class Charge { neutral, anionic, cationic };

/// A drug as its deck section gives it, in SI and mol.
struct Drug {
  std::string name;
  DrugClass kind = DrugClass::small_molecule;
  double molar_mass = 0;     ///< [kg/mol]
  double stokes_radius = 0;  ///< [m]
  Charge charge = Charge::neutral;
  double wall_charge_factor = 1;              ///< on permeability and on what convection carries through the wall
  double lipophilic_permeability = 0;         ///< transcellular path of the vessel wall [m/s]
  std::optional<double> wall_permeability;    ///< [m/s] measured, in place of the theory's
  std::optional<double> diffusivity;          ///< [m^2/s] measured at the reference matrix, in place of the theory's
  std::optional<double> accessible_fraction;  ///< share of tissue volume open to the drug, in place of the theory's
  std::optional<double> retardation;          ///< f_c: velocity of the solute over that of the fluid, likewise
  double unbound_fraction = 1;                ///< of the drug in plasma; only this part crosses the wall
  double red_cell_partition = 0;              ///< concentration in red cells over that in plasma
  PlasmaModel plasma{};
  std::vector<Dose> doses;   ///< [mol]
  std::string payload;       ///< drug set free from this one; empty: none
  double payload_ratio = 1;  ///< moles of payload per mole
  double release_rate = 0;   ///< in interstitial fluid and on its sites, into payload there [1/s]
  CellUptake uptake{};
  CellInterior interior{};
  MatrixBinding binding{};
  CellTarget target{};
  EffectSite effect = EffectSite::fluid;
  KillLaw kill{};
  std::string combination;  ///< group of drugs that add as doses of one another; empty: independent
  bool sinks = true;        ///< cells and targets take from the fluid what they hold
  double threshold = 0;     ///< [mol/m^3] free concentration for the time above threshold
  /// Unbound plasma concentration [mol/m^3], the one the wall sees.
  [[nodiscard]] double unbound(double total) const { return unbound_fraction * total; }
  /// True if cells take it up from the fluid, by a carrier or passively.
  [[nodiscard]] bool enters_cells() const { return uptake.maximum > 0 || interior.influx > 0; }
};

/// What a living cell holds of a drug: free and on sites [mol], free targets and complexes (in any one unit).
struct CellContent {
  double free = 0, held = 0, free_targets = 0, complexes = 0;
};
/// Free concentration [mol/m^3] in equilibrium with what is at the drug's effect site, at the concentration `c` in
/// fluid. `inside`: the drug gets into cells, from the fluid or from what sets it free there; `accumulation` as
/// accumulation() gives it. Negative amounts count as none.
[[nodiscard]] double effect_concentration(const Drug& drug, bool inside, double cell_volume, double accumulation,
                                          double c, const CellContent& content);

/// The patient's covariates, section `patient`.
struct Covariates {
  double body_weight = 70;                ///< [kg]
  double body_surface_area = 1.73;        ///< [m^2]
  double glomerular_filtration = 1.5e-6;  ///< [m^3/s]
  double albumin = 40;                    ///< [kg/m^3]
  bool varies = false;                    ///< draw what varies between patients
};
[[nodiscard]] Covariates covariates(const Deck& deck);

/// The drugs of sections `[drug.NAME]` in the order of the deck; kinetics at the patient's covariates and, where they
/// vary, drawn from `seed`. A drug comes after those that set it free. Throws InputError: not exactly one dose key
/// (none where another drug sets it free), times given twice, IC50 of an assay too short for Emax, a diffusivity that
/// includes binding together with explicit uptake or binding, incomplete compartments, payloads that are missing or go
/// in a ring.
[[nodiscard]] std::vector<Drug> drugs(const Deck& deck, std::uint64_t seed = 1);

namespace patient {
inline constexpr Parameter body_weight{.key = "patient.body_weight",
                                       .unit = "kg",
                                       .value = 70,
                                       .range = {0.01, 300},
                                       .meaning = "Body weight, for doses per weight",
                                       .source = "assumed: reference adult"};
inline constexpr Parameter body_surface_area{.key = "patient.body_surface_area",
                                             .unit = "m^2",
                                             .value = 1.73,
                                             .range = {1e-3, 4},
                                             .meaning = "Body surface area, for doses per area",
                                             .source = "assumed: reference adult"};
inline constexpr Parameter glomerular_filtration{
    .key = "patient.glomerular_filtration",
    .unit = "mL/min",
    .value = 90,
    .range = {5, 250},
    .meaning = "Glomerular filtration rate, for doses by a target area (Calvert)",
    .source = "assumed: lower end of normal"};
inline constexpr Parameter albumin{.key = "patient.albumin",
                                   .unit = "g/L",
                                   .value = 40,
                                   .range = {10, 70},
                                   .meaning = "Albumin of serum, for clearances that hang on it",
                                   .source = "assumed: reference adult"};
inline constexpr Parameter variability{
    .key = "patient.variability",
    .kind = Kind::flag,
    .value = 0,
    .range = {0, 1},
    .meaning = "Draw from patient.seed what varies between patients (drug.*.cv_*); off: the typical patient",
    .source = "choice"};
}  // namespace patient

namespace drug {

/// What a class of drugs takes in place of a key's own default.
Presets::Default by_class(const Parameter& parameter, std::string_view kind);
inline constexpr Parameter drug_class{
    .key = "drug.*.class",
    .kind = Kind::choice,
    .text = "small_molecule",
    .choices = "small_molecule|kinase_inhibitor|antibody|adc|liposome|nanoparticle|cationic_carrier|enzyme",
    .meaning = "Class: where the effect site is by default, and defaults of charge",
    .source = "choice"};
inline constexpr Presets class_presets{&drug_class, &by_class};
inline constexpr Parameter charge{
    .key = "drug.*.charge",
    .kind = Kind::choice,
    .text = "neutral",
    .choices = "neutral|anionic|cationic",
    .meaning = "Charge class; matrix sites of a cationic drug go with the local content of glycosaminoglycan",
    .source = "assumed: neutral",
    .presets = &class_presets};
inline constexpr Parameter wall_charge_factor{
    .key = "drug.*.wall_charge_factor",
    .unit = "1",
    .value = 1,
    .range = {0, 100},
    .meaning = "Factor of charge on permeability and on what convection carries through the wall",
    .source = "assumed: repulsion is minor (Stylianopoulos 2013)",
    .presets = &class_presets};
inline constexpr Parameter molar_mass{.key = "drug.*.molar_mass",
                                      .unit = "g/mol",

                                      .range = {10, 1e9},
                                      .meaning = "Molar mass",
                                      .source = "choice: must be given",
                                      .required = true};
inline constexpr Parameter stokes_radius{.key = "drug.*.stokes_radius",
                                         .unit = "nm",

                                         .range = {0.05, 500},
                                         .meaning = "Stokes radius: sets hindrance in wall and matrix",
                                         .source = "choice: must be given",
                                         .required = true};
inline constexpr Parameter lipophilic_permeability{
    .key = "drug.*.lipophilic_permeability",
    .unit = "cm/s",
    .value = 0,
    .range = {0, 1},
    .meaning = "Permeability of the path through the cells of the vessel wall; 0 for proteins and particles",
    .source = "assumed: none, as of proteins and particles"};
inline constexpr Parameter wall_permeability{
    .key = "drug.*.wall_permeability",
    .unit = "cm/s",
    .value = 0,
    .range = {0, 1},
    .meaning = "Measured permeability of the vessel wall; not given: from size, lipophilicity and maturity",
    .source = "choice: not given"};
inline constexpr Parameter diffusivity{
    .key = "drug.*.diffusivity",
    .unit = "um^2/s",
    .value = 0,
    .range = {0, 2000},
    .meaning =
        "Measured diffusivity of free drug in tissue, without binding; not given: from size and matrix. Doxorubicin: "
        "117 (Eikenberry 2009), up to 180 (Sinek 2009)",
    .source = "choice: not given"};
inline constexpr Parameter diffusivity_includes_binding{
    .key = "drug.*.diffusivity_includes_binding",
    .kind = Kind::flag,
    .value = 0,
    .meaning =
        "The measured diffusivity has binding in it (doxorubicin 16 um2/s): refused with explicit uptake or binding",
    .source = "choice"};
inline constexpr Parameter accessible_fraction{.key = "drug.*.accessible_fraction",
                                               .value = 0.4,
                                               .range = {0.01, 1},
                                               .meaning =
                                                   "Share of tissue volume open to the drug; not given: "
                                                   "interstitium.porosity times what matrix leaves open at its size",
                                               .source = "choice: not given"};
inline constexpr Parameter retardation{
    .key = "drug.*.retardation",
    .value = 1,
    .range = {0, 1},
    .meaning = "Velocity of the drug over that of the interstitial fluid; not given: by size and matrix",
    .source = "choice: not given"};
inline constexpr Parameter unbound_fraction{
    .key = "drug.*.unbound_fraction",

    .range = {0, 1},
    .meaning = "Share of plasma drug not bound to protein; only it crosses the wall",
    .source = "choice: must be given",
    .required = true};
inline constexpr Parameter red_cell_partition{.key = "drug.*.red_cell_partition",
                                              .value = 0,
                                              .range = {0, 100},
                                              .meaning = "Concentration in red cells over that in plasma",
                                              .source = "assumed: carried by plasma only"};
inline constexpr Parameter clearance{.key = "drug.*.clearance",
                                     .unit = "L/h",
                                     .value = 0,
                                     .range = {0, 1e5},
                                     .meaning = "Clearance from the central compartment",
                                     .source = "choice: must be given where nothing else eliminates"};
inline constexpr Parameter volume1{.key = "drug.*.volume1",
                                   .unit = "L",
                                   .value = 1,
                                   .range = {1e-6, 1e5},
                                   .meaning = "Volume of the central compartment",
                                   .source = "choice: must be given with doses"};
inline constexpr Parameter flow2{.key = "drug.*.flow2",
                                 .unit = "L/h",
                                 .value = 0,
                                 .range = {0, 1e5},
                                 .meaning = "Exchange with the second compartment; 0: one compartment less",
                                 .source = "choice: not given"};
inline constexpr Parameter volume2{.key = "drug.*.volume2",
                                   .unit = "L",
                                   .value = 0,
                                   .range = {0, 1e6},
                                   .meaning = "Volume of the second compartment",
                                   .source = "choice: not given"};
inline constexpr Parameter flow3{.key = "drug.*.flow3",
                                 .unit = "L/h",
                                 .value = 0,
                                 .range = {0, 1e5},
                                 .meaning = "Exchange with the third compartment; 0: one compartment less",
                                 .source = "choice: not given"};
inline constexpr Parameter volume3{.key = "drug.*.volume3",
                                   .unit = "L",
                                   .value = 0,
                                   .range = {0, 1e6},
                                   .meaning = "Volume of the third compartment",
                                   .source = "choice: not given"};
inline constexpr Parameter absorption_rate{.key = "drug.*.absorption_rate",
                                           .unit = "1/h",
                                           .value = 0,
                                           .range = {0, 1000},
                                           .meaning = "Rate of absorption of oral doses; 0: given into the vein",
                                           .source = "choice: into the vein"};
inline constexpr Parameter absorption_lag{.key = "drug.*.absorption_lag",
                                          .unit = "h",
                                          .value = 0,
                                          .range = {0, 100},
                                          .meaning = "Time from an oral dose to the start of its absorption",
                                          .source = "assumed: none"};
inline constexpr Parameter bioavailability{
    .key = "drug.*.bioavailability",
    .value = 1,
    .range = {0, 1},
    .meaning = "Share of an oral dose that reaches the plasma; 1 where clearance and volumes are apparent ones",
    .source = "assumed: apparent clearances and volumes (CL/F, V/F)"};
inline constexpr Parameter saturable_rate{.key = "drug.*.saturable_rate",
                                          .unit = "umol/h",
                                          .value = 0,
                                          .range = {0, 1e9},
                                          .meaning = "Largest rate of an elimination that saturates; 0: none",
                                          .source = "assumed: linear"};
inline constexpr Parameter saturable_half{.key = "drug.*.saturable_half",
                                          .unit = "uM",
                                          .value = 1,
                                          .range = {1e-9, 1e6},
                                          .meaning = "Plasma concentration at which that elimination is half as fast",
                                          .source = "assumed: of no account without saturable_rate"};
inline constexpr Parameter target_half{
    .key = "drug.*.plasma_target_half",
    .unit = "nM",
    .value = 0,
    .range = {0, 1e9},
    .meaning = "K_ss of the drug and a target in plasma (not for tissue); 0: no such target",
    .source = "assumed: none"};
inline constexpr Parameter target_baseline{.key = "drug.*.plasma_target_baseline",
                                           .unit = "nM",
                                           .value = 0,
                                           .range = {0, 1e9},
                                           .meaning = "Target in plasma without the drug",
                                           .source = "assumed: none"};
inline constexpr Parameter target_turnover{.key = "drug.*.plasma_target_turnover",
                                           .unit = "1/d",
                                           .value = 1,
                                           .range = {0, 1e6},
                                           .meaning = "Rate at which free target is lost and made anew",
                                           .source = "assumed: of no account without a target"};
inline constexpr Parameter target_internalisation{.key = "drug.*.plasma_target_internalisation",
                                                  .unit = "1/d",
                                                  .value = 1,
                                                  .range = {0, 1e6},
                                                  .meaning = "Rate at which drug and target are lost together",
                                                  .source = "assumed: of no account without a target"};
inline constexpr Parameter saturable_flow{.key = "drug.*.saturable_flow",
                                          .unit = "umol/h",
                                          .value = 0,
                                          .range = {0, 1000000000.0},
                                          .meaning =
                                              "Largest rate of a transfer into the second compartment that saturates; "
                                              "it comes back at flow2 over volume2; 0: linear",
                                          .source = "assumed: linear"};
inline constexpr Parameter saturable_flow_half{.key = "drug.*.saturable_flow_half",
                                               .unit = "uM",
                                               .value = 1,
                                               .range = {1e-09, 1000000.0},
                                               .meaning = "Plasma concentration at which that transfer is half as fast",
                                               .source = "assumed: of no account without saturable_flow"};
inline constexpr Parameter metabolite_fraction{
    .key = "drug.*.metabolite_fraction",
    .value = 0,
    .range = {0, 100},
    .meaning = "Moles of metabolite or payload set free in plasma per mole of drug eliminated; 0: not followed",
    .source = "choice: not followed"};
inline constexpr Parameter metabolite_clearance{.key = "drug.*.metabolite_clearance",
                                                .unit = "L/h",
                                                .value = 0,
                                                .range = {0, 1e5},
                                                .meaning = "Clearance of the metabolite",
                                                .source = "assumed: of no account without one"};
inline constexpr Parameter metabolite_volume{.key = "drug.*.metabolite_volume",
                                             .unit = "L",
                                             .value = 1,
                                             .range = {1e-6, 1e6},
                                             .meaning = "Volume of the metabolite",
                                             .source = "assumed: of no account without one"};
inline constexpr Parameter reference_weight{.key = "drug.*.reference_weight",
                                            .unit = "kg",
                                            .value = 70,
                                            .range = {0.01, 300},
                                            .meaning = "Body weight to which clearances and volumes belong",
                                            .source = "assumed: reference adult"};
inline constexpr Parameter clearance_weight_exponent{
    .key = "drug.*.clearance_weight_exponent",
    .value = 0,
    .range = {-3, 3},
    .meaning = "Clearance and flows grow as weight over reference_weight to this power",
    .source = "assumed: not scaled"};
inline constexpr Parameter volume_weight_exponent{
    .key = "drug.*.volume_weight_exponent",
    .value = 0,
    .range = {-3, 3},
    .meaning = "Volumes grow as weight over reference_weight to this power",
    .source = "assumed: not scaled"};
inline constexpr Parameter clearance_albumin_exponent{.key = "drug.*.clearance_albumin_exponent",
                                                      .value = 0,
                                                      .range = {-5, 5},
                                                      .meaning = "Clearance grows as albumin over 40 g/L to this power",
                                                      .source = "assumed: does not hang on it"};
inline constexpr Parameter cv_clearance{.key = "drug.*.cv_clearance",
                                        .value = 0,
                                        .range = {0, 3},
                                        .meaning = "Coefficient of variation between patients, log-normal: clearance",
                                        .source = "assumed: not given"};
inline constexpr Parameter cv_volume1{.key = "drug.*.cv_volume1",
                                      .value = 0,
                                      .range = {0, 3},
                                      .meaning = "The same of volume1",
                                      .source = "assumed: not given"};
inline constexpr Parameter cv_flow2{.key = "drug.*.cv_flow2",
                                    .value = 0,
                                    .range = {0, 3},
                                    .meaning = "The same of flow2",
                                    .source = "assumed: not given"};
inline constexpr Parameter cv_volume2{.key = "drug.*.cv_volume2",
                                      .value = 0,
                                      .range = {0, 3},
                                      .meaning = "The same of volume2",
                                      .source = "assumed: not given"};
inline constexpr Parameter cv_absorption{.key = "drug.*.cv_absorption_rate",
                                         .value = 0,
                                         .range = {0, 3},
                                         .meaning = "The same of absorption_rate",
                                         .source = "assumed: not given"};
inline constexpr Parameter dose_per_area{.key = "drug.*.dose_per_area",
                                         .unit = "mg/m^2",
                                         .value = 0,
                                         .range = {0, 1e5},
                                         .meaning = "Dose per body surface; give exactly one of the four dose keys",
                                         .source = "choice: not given"};
inline constexpr Parameter dose_per_weight{.key = "drug.*.dose_per_weight",
                                           .unit = "mg/kg",
                                           .value = 0,
                                           .range = {0, 1e5},
                                           .meaning = "Dose per body weight; give exactly one of the four dose keys",
                                           .source = "choice: not given"};
inline constexpr Parameter dose_flat{.key = "drug.*.dose_flat",
                                     .unit = "mg",
                                     .value = 0,
                                     .range = {0, 1e7},
                                     .meaning = "Dose for every patient; give exactly one of the four dose keys",
                                     .source = "choice: not given"};
inline constexpr Parameter dose_area_target{
    .key = "drug.*.dose_target_auc",
    .unit = "mg min/mL",
    .value = 0,
    .range = {0, 1e3},
    .meaning =
        "Dose by target area: this x (glomerular filtration + 25 mL/min); give exactly one of the four dose keys",
    .source = "Calvert 1989, J Clin Oncol 7:1748"};
inline constexpr Parameter loading_factor{.key = "drug.*.loading_factor",
                                          .value = 1,
                                          .range = {0, 100},
                                          .meaning = "First dose over the others",
                                          .source = "choice: no loading dose"};
inline constexpr Parameter cycles{.key = "drug.*.cycles",
                                  .kind = Kind::integer,
                                  .value = 0,
                                  .range = {0, 1000},
                                  .meaning = "Cycles in which doses are given on cycle_days; 0: at start_times",
                                  .source = "choice"};
inline constexpr Parameter cycle_length{.key = "drug.*.cycle_length",
                                        .unit = "d",
                                        .value = 21,
                                        .range = {0.01, 1000},
                                        .meaning = "From the start of a cycle to that of the next",
                                        .source = "assumed: common three-week cycle"};
inline constexpr Parameter cycle_days{.key = "drug.*.cycle_days",
                                      .kind = Kind::numbers,
                                      .unit = "1",
                                      .range = {1, 1000},
                                      .text = "1",
                                      .meaning = "Days of a cycle on which a dose is given, the first being 1",
                                      .source = "choice"};
inline constexpr Parameter first_cycle{.key = "drug.*.first_cycle",
                                       .unit = "h",
                                       .value = 0,
                                       .range = {0, 1e6},
                                       .meaning = "Start of the first cycle",
                                       .source = "choice"};
inline constexpr Parameter start_times{.key = "drug.*.start_times",
                                       .kind = Kind::numbers,
                                       .unit = "h",
                                       .range = {0, 1e6},
                                       .text = "0 h",
                                       .meaning = "Starts of the infusions, one dose each",
                                       .source = "choice"};
inline constexpr Parameter infusion_duration{.key = "drug.*.infusion_duration",
                                             .unit = "h",
                                             .value = 0,
                                             .range = {0, 1e4},
                                             .meaning = "Length of each infusion; 0 h: bolus",
                                             .source = "choice: bolus"};
inline constexpr Parameter payload{
    .key = "drug.*.payload",
    .kind = Kind::text,
    .text = "none",
    .meaning = "Drug of this deck that is set free where this one is degraded or releases it; none: none",
    .source = "choice"};
inline constexpr Parameter payload_ratio{.key = "drug.*.payload_ratio",
                                         .unit = "1",
                                         .value = 1,
                                         .range = {0, 1000000.0},
                                         .meaning =
                                             "Moles of payload in a mole of this drug (drug-to-antibody ratio; 1 where "
                                             "a carrier is counted by what it carries)",
                                         .source = "choice: counted by what it carries"};
inline constexpr Parameter release_rate{
    .key = "drug.*.release_rate",
    .unit = "1/h",
    .value = 0,
    .range = {0, 10000.0},
    .meaning = "Rate at which drug in interstitial fluid and on its sites turns into payload there",
    .source = "assumed: none"};
inline constexpr Parameter uptake_maximum{.key = "drug.*.uptake_maximum",
                                          .unit = "fg/min",
                                          .value = 0,
                                          .range = {0, 1e6},
                                          .meaning = "Largest uptake of one cell (carrier); 0: no cellular uptake",
                                          .source = "assumed: none"};
inline constexpr Parameter uptake_half_outside{
    .key = "drug.*.uptake_half_outside",
    .unit = "ug/L",
    .value = 1,
    .range = {1e-6, 1e9},
    .meaning = "Free concentration in interstitial fluid at which uptake is half of its largest",
    .source = "assumed: of no account without uptake"};
inline constexpr Parameter uptake_half_inside{.key = "drug.*.uptake_half_inside",
                                              .unit = "fg",
                                              .value = 1,
                                              .range = {1e-9, 1e9},
                                              .meaning = "Amount in a cell at which its efflux is half of its largest",
                                              .source = "assumed: of no account without uptake"};
inline constexpr Parameter passive_influx{
    .key = "drug.*.passive_influx",
    .unit = "1/h",
    .value = 0,
    .range = {0, 1000000.0},
    .meaning = "Passive entry: rise of the free concentration in a cell over that outside",
    .source = "assumed: none"};
inline constexpr Parameter passive_efflux{.key = "drug.*.passive_efflux",
                                          .unit = "1/h",
                                          .value = 0,
                                          .range = {0, 1000000.0},
                                          .meaning = "Passive exit of free drug in a cell",
                                          .source = "assumed: none; of no account without passive_influx"};
inline constexpr Parameter efflux_maximum{
    .key = "drug.*.efflux_maximum",
    .unit = "uM/h",
    .value = 0,
    .range = {0, 1000000000.0},
    .meaning = "Largest rate of a pump (P-gp) that puts free drug out of cells; 0: none",
    .source = "assumed: no pump"};
inline constexpr Parameter efflux_half{.key = "drug.*.efflux_half",
                                       .unit = "uM",
                                       .value = 1,
                                       .range = {1e-09, 1000000000.0},
                                       .meaning = "Free concentration in a cell at which the pump is half as fast",
                                       .source = "assumed: of no account without a pump"};
inline constexpr Parameter cell_sites{.key = "drug.*.cell_sites",
                                      .unit = "uM",
                                      .value = 0,
                                      .range = {0, 1000000.0},
                                      .meaning = "Sites in a cell that bind drug (tubulin, DNA); 0: none",
                                      .source = "assumed: none"};
inline constexpr Parameter cell_on_rate{.key = "drug.*.cell_on_rate",
                                        .unit = "1/(uM h)",
                                        .value = 0,
                                        .range = {0, 1000000000000.0},
                                        .meaning = "Rate of binding to them",
                                        .source = "assumed: of no account without sites"};
inline constexpr Parameter cell_off_rate{.key = "drug.*.cell_off_rate",
                                         .unit = "1/h",
                                         .value = 0,
                                         .range = {0, 1000000000.0},
                                         .meaning = "Rate of release from them",
                                         .source = "assumed: of no account without sites"};
inline constexpr Parameter cell_degradation{
    .key = "drug.*.cell_degradation",
    .unit = "1/h",
    .value = 0,
    .range = {0, 1000000.0},
    .meaning = "Rate at which free drug in a cell is degraded; a carrier sets its payload free there",
    .source = "assumed: none"};
inline constexpr Parameter binding_on_rate{.key = "drug.*.binding_on_rate",
                                           .unit = "1/(uM s)",
                                           .value = 0,
                                           .range = {0, 1e6},
                                           .meaning = "Rate of binding to fixed sites of the interstitium",
                                           .source = "assumed: none for doxorubicin apart from uptake"};
inline constexpr Parameter binding_off_rate{.key = "drug.*.binding_off_rate",
                                            .unit = "1/s",
                                            .value = 0,
                                            .range = {0, 1e6},
                                            .meaning = "Rate of release from fixed sites of the interstitium",
                                            .source = "assumed: none for doxorubicin apart from uptake"};
inline constexpr Parameter binding_sites{.key = "drug.*.binding_sites",
                                         .unit = "uM",
                                         .value = 0,
                                         .range = {0, 1e6},
                                         .meaning = "Fixed sites per volume of interstitial fluid; 0: no binding",
                                         .source = "assumed: none for doxorubicin apart from uptake"};
inline constexpr Parameter target_number{.key = "drug.*.target_number",
                                         .unit = "1",
                                         .value = 0,
                                         .range = {0, 1e9},
                                         .meaning = "Targets on the surface of a tumour cell; 0: none",
                                         .source = "assumed: none"};
inline constexpr Parameter target_on_rate{
    .key = "drug.*.target_on_rate",
    .unit = "1/(M s)",
    .value = 1e5,
    .range = {1, 1e9},
    .meaning = "Rate of binding to the target, by free drug in interstitial fluid",
    .source = "assumed: typical of antibodies; of no account without a target"};
inline constexpr Parameter target_affinity{
    .key = "drug.*.target_affinity",
    .unit = "nM",
    .value = 1,
    .range = {1e-6, 1e9},
    .meaning = "K_D of the target; the rate of release is K_D times that of binding",
    .source = "assumed: of no account without a target"};
inline constexpr Parameter target_loss{.key = "drug.*.target_turnover",
                                       .unit = "1/h",
                                       .value = 0,
                                       .range = {0, 1e4},
                                       .meaning = "Rate at which free targets are taken in and new ones come up",
                                       .source = "assumed: none"};
inline constexpr Parameter target_uptake{.key = "drug.*.target_internalisation",
                                         .unit = "1/h",
                                         .value = 0,
                                         .range = {0, 1e4},
                                         .meaning = "Rate at which complexes are taken in",
                                         .source = "assumed: none"};
inline constexpr Parameter target_recycling{
    .key = "drug.*.target_recycling",
    .unit = "1/h",
    .value = 0,
    .range = {0, 10000.0},
    .meaning = "Rate at which drug taken in with its target comes back to the surface with it",
    .source = "assumed: none"};
inline constexpr Parameter target_degradation{.key = "drug.*.target_degradation",
                                              .unit = "1/h",
                                              .value = 0,
                                              .range = {0, 1e4},
                                              .meaning = "Rate at which drug taken in with its target is degraded",
                                              .source = "assumed: none"};
inline constexpr Parameter emax{.key = "drug.*.emax",
                                .unit = "1/h",
                                .value = 0,
                                .range = {0, 10},
                                .meaning = "Largest death rate of a cycling cell; 0: no direct kill",
                                .source = "assumed: none"};
inline constexpr Parameter ic50{.key = "drug.*.ic50",
                                .unit = "uM",
                                .value = 1,
                                .range = {1e-9, 1e6},
                                .meaning = "Free concentration that halves the cells of an assay of assay_duration",
                                .source = "choice: must be given with emax"};
inline constexpr Parameter assay_duration{.key = "drug.*.assay_duration",
                                          .unit = "h",
                                          .value = 72,
                                          .range = {0.1, 1000},
                                          .meaning = "Length of the assay behind ic50; emax x this must exceed ln 2",
                                          .source = "assumed: common length; give that of the source of ic50"};
inline constexpr Parameter hill{.key = "drug.*.hill",
                                .value = 1,
                                .range = {0.2, 10},
                                .meaning = "Hill exponent of the death rate",
                                .source = "assumed: no cooperativity"};
inline constexpr Parameter quiescent_factor{.key = "drug.*.quiescent_factor",
                                            .value = 1,
                                            .range = {0, 1},
                                            .meaning = "Death rate of a quiescent cell over that of a cycling one",
                                            .source = "assumed: kills whether or not in cycle"};
inline constexpr Parameter effect_site{
    .key = "drug.*.effect_site",
    .kind = Kind::choice,
    .text = "by_class",
    .choices = "by_class|fluid|cell|cell_bound|target",
    .meaning =
        "What kills: free drug in fluid, free or bound drug in cells, or drug on targets, each as the free "
        "concentration in equilibrium with it. By class: antibodies and enzymes target, carriers fluid, others cell; "
        "fluid where there is no uptake or no target",
    .source = "choice"};
inline constexpr Parameter resistance_fold{
    .key = "drug.*.resistance_fold",
    .unit = "1",
    .value = 1,
    .range = {1, 1000000.0},
    .meaning = "EC50 of the resistant clone over that of the sensitive one (tumour.resistant_share)",
    .source = "assumed: no resistance"};
inline constexpr Parameter damage_delay{.key = "drug.*.damage_delay",
                                        .unit = "h",
                                        .value = 0,
                                        .range = {0, 10000.0},
                                        .meaning = "Mean time from damage to death; 0 h: at once",
                                        .source = "assumed: at once"};
inline constexpr Parameter damage_repair{.key = "drug.*.damage_repair",
                                         .unit = "1/h",
                                         .value = 0,
                                         .range = {0, 10000.0},
                                         .meaning = "Rate of repair of damage that has not killed yet",
                                         .source = "assumed: none; of no account without delay"};
inline constexpr Parameter combination{.key = "drug.*.combination",
                                       .kind = Kind::text,
                                       .text = "bliss",
                                       .meaning =
                                           "How this drug adds to others: bliss (hazards add), or the name of a group "
                                           "within which drugs add as doses of one another (Loewe)",
                                       .source = "choice: independent action"};
inline constexpr Parameter threshold{.key = "drug.*.threshold",
                                     .unit = "uM",
                                     .value = 0,
                                     .range = {0, 1e6},
                                     .meaning = "Free concentration for the time above threshold; not given: ic50",
                                     .source = "choice: not given"};
}  // namespace drug

/// Parameters of sections `patient` (covariates) and `drug.*`.
const Catalogue& drug_parameters();

}  // namespace sanctuary
