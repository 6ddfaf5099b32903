#pragma once
#include <span>
#include <string>

#include "base/deck.hpp"
#include "base/parameter.hpp"

namespace sanctuary {

/// Hill function x^n/(half^n + x^n); 0 at x <= 0.
[[nodiscard]] double hill_function(double x, double half, double exponent);

/// Death rate of a cell by the concentration at its effect site.
struct KillLaw {
  double emax = 0;              ///< largest death rate [1/s] of a cycling cell
  double ec50 = 1;              ///< concentration [mol/m^3] of half the largest rate
  double hill = 1;              ///< exponent n
  double quiescent_factor = 0;  ///< death rate of a quiescent cell over that of a cycling one
  double resistance_fold = 1;   ///< EC50 of the resistant clone over that of the sensitive one
  double lethal_rate = 0;       ///< at which damage kills [1/s]; 0: at once
  double repair_rate = 0;       ///< at which damage that has not killed yet is repaired [1/s]
};

/// What kills, as the free concentration that is in equilibrium with it.
enum class EffectSite { fluid, cell, cell_bound, target };

/// EC50 in the unit of `ic50` from an IC50 of an assay of length T: EC50 = IC50 (Emax T/ln 2 - 1)^(1/n). Throws
/// InputError if Emax T <= ln 2 (such a drug could not have halved the assay's cells); `where` opens the message.
[[nodiscard]] double ec50_from_ic50(double ic50, double emax, double assay_duration, double hill,
                                    const std::string& where = {});
/// Damage after an implicit step of length h at the rate `made` at which it is made [1/s].
[[nodiscard]] inline double damage_step(const KillLaw& law, double h, double damage, double made) {
  return (damage + h * made) / (1 + h * (law.lethal_rate + law.repair_rate));
}
/// Death rate [1/s] of a cycling cell.
[[nodiscard]] double kill_rate_cycling(const KillLaw& law, double concentration);
/// Death rate [1/s] of a quiescent cell.
[[nodiscard]] double kill_rate_quiescent(const KillLaw& law, double concentration);

/// Share of viable cells in cycle as a Hill function of pO2.
struct CyclingLaw {
  double largest = 0.3;                        ///< share at high pO2
  double half_pressure = 8.9 * 133.322387415;  ///< [Pa]
  double hill = 2;
};
/// Cycling share [1] at `pressure` [Pa].
[[nodiscard]] double cycling_fraction(const CyclingLaw& law, double pressure);

/// log10 of the surviving share: log10 sum_q w_q exp(-K_q), from shares w (sum 1, at cycle start) and cumulated hazards
/// K.
[[nodiscard]] double log10_survival(std::span<const double> weight, std::span<const double> hazard);
/// log10 survival of a mix of cycling and quiescent cells.
[[nodiscard]] double log10_survival(double cycling_share, double hazard_cycling, double hazard_quiescent);

/// Saturable carrier of a drug through the cell membrane (Eikenberry 2009; El-Kareh & Secomb): net uptake of one cell
/// V [C/(C + K_E) - I/(I + K_I)], C free concentration in interstitial *fluid*, I amount per cell.
struct CellUptake {
  double maximum = 0;       ///< V [mol/s] per cell; 0: no uptake
  double half_outside = 1;  ///< K_E [mol/m^3]
  double half_inside = 1;   ///< K_I [mol] per cell
};
/// Net uptake [mol/s] per cell.
[[nodiscard]] double uptake_rate(const CellUptake& uptake, double concentration, double inside);
/// Its derivatives to the concentration [m^3/s] and to the amount inside [1/s].
[[nodiscard]] double uptake_slope_outside(const CellUptake& uptake, double concentration);
[[nodiscard]] double uptake_slope_inside(const CellUptake& uptake, double inside);
/// Interstitial concentration [mol/m^3] in equilibrium with `inside` [mol]: C_eq = K_E I/K_I, the effect-site
/// concentration.
[[nodiscard]] double equivalent_concentration(const CellUptake& uptake, double inside);
/// Amount per cell [mol] in equilibrium with a concentration: I = K_I C/K_E.
[[nodiscard]] double equilibrium_amount(const CellUptake& uptake, double concentration);

/// Inside of a cell, in free concentrations there: passive exchange, a pump, sites, loss.
struct CellInterior {
  double influx = 0;        ///< passive entry: rise of the concentration inside over that outside [1/s]
  double efflux = 0;        ///< passive exit [1/s]
  double pump_maximum = 0;  ///< of a pump that puts drug out [mol/(m^3 s)]; 0: none
  double pump_half = 1;     ///< concentration inside at which it is half as fast [mol/m^3]
  double sites = 0;         ///< that bind drug [mol/m^3]; 0: none
  double on_rate = 0;       ///< of them [m^3/(mol s)]
  double off_rate = 0;      ///< of them [1/s]
  double degradation = 0;   ///< of free drug inside [1/s]
};
/// Drug in a cell after an implicit step of length h at a concentration c outside, from free and held amounts [mol],
/// with `source` [mol/s] set free inside, where cells die at the rate `death`. All stay positive at any h where c and
/// the start are; below c = 0 they go on linearly.
struct InteriorStep {
  double free = 0, held = 0;       ///< [mol] per cell
  double by_c = 0, held_by_c = 0;  ///< their derivatives by c [m^3]
};
[[nodiscard]] InteriorStep interior_step(const CellUptake& uptake, const CellInterior& interior, double cell_volume,
                                         double h, double c, double free, double held, double source, double death,
                                         double guess);
/// What enters a cell at a concentration outside, and what leaves it alive at a free amount inside, by all ways
/// [mol/s], and their derivatives.
[[nodiscard]] double inflow(const CellUptake& uptake, const CellInterior& interior, double cell_volume, double c);
[[nodiscard]] double inflow_slope(const CellUptake& uptake, const CellInterior& interior, double cell_volume, double c);
[[nodiscard]] double outflow(const CellUptake& uptake, const CellInterior& interior, double cell_volume, double free);
[[nodiscard]] double outflow_slope(const CellUptake& uptake, const CellInterior& interior, double cell_volume,
                                   double free);
/// Free amount in a cell over the concentration outside in equilibrium without pump and degradation at low
/// concentrations [m^3] (with the carrier or passive exchange alone: at any); the cell's volume where nothing enters.
[[nodiscard]] double accumulation(const CellUptake& uptake, const CellInterior& interior, double cell_volume);

/// Reversible binding to fixed sites of the interstitium, per volume of interstitial fluid.
struct MatrixBinding {
  double on_rate = 0;   ///< k_on [m^3/(mol s)]
  double off_rate = 0;  ///< k_off [1/s]
  double sites = 0;     ///< B_max [mol/m^3]; 0: no binding
};
/// Net binding rate [mol/(m^3 s)]: k_on C (B_max - B) - k_off B.
[[nodiscard]] inline double binding_rate(const MatrixBinding& binding, double concentration, double bound) {
  return binding.on_rate * concentration * (binding.sites - bound) - binding.off_rate * bound;
}
/// Bound concentration in equilibrium with `concentration`; both [mol/m^3].
[[nodiscard]] double equilibrium_bound(const MatrixBinding& binding, double concentration);

/// A target on the surface of cells: free ones are made and lost, complexes with the drug fall apart or are taken in,
/// where the drug is degraded (Thurber & Weissleder 2011, PLoS ONE 6:e24696; Graff & Wittrup 2003, Cancer Res 63:1288).
struct CellTarget {
  double number = 0;           ///< targets of a cell without drug [mol]; 0: none
  double on_rate = 0;          ///< k_on [m^3/(mol s)], with the free concentration in interstitial fluid
  double off_rate = 0;         ///< k_off [1/s]
  double turnover = 0;         ///< loss of free targets, made up for by new ones [1/s]
  double internalisation = 0;  ///< of complexes, k_e [1/s]
  double recycling = 0;        ///< of drug inside back to the surface, with its target [1/s]
  double degradation = 0;      ///< of drug inside [1/s]
};
/// Free targets, complexes and drug inside after an implicit step of length h at a free concentration c, from `free`,
/// `bound` and `inside` [mol/m^3 of tissue], for `density` living cells per volume that die at the rate `death`. What
/// dead cells held goes back to the fluid. `sink` is what the fluid loses [mol/(m^3 s)], `slope` its derivative by c;
/// below c = 0 both go on linearly. All states stay positive at any h.
struct TargetStep {
  double free = 0, bound = 0, inside = 0, sink = 0, slope = 0;
};
[[nodiscard]] TargetStep target_step(const CellTarget& target, double h, double c, double free, double bound,
                                     double inside, double density, double death);

/// Section `cycling` in SI.
[[nodiscard]] CyclingLaw cycling_settings(const Deck& deck);

namespace cycling {
inline constexpr Parameter largest{.key = "cycling.largest_share",
                                   .value = 0.3,
                                   .range = {0, 1},
                                   .meaning = "Share of viable tumour cells in cycle at high pO2",
                                   .source = "assumed: growth fraction of a well-oxygenated carcinoma"};
inline constexpr Parameter half_pressure{
    .key = "cycling.half_pressure",
    .unit = "mmHg",
    .value = 8.9,
    .range = {0.1, 60},
    .meaning = "pO2 at which half of that share is in cycle",
    .source = "MicrovesselChaste Owen11Parameters.cpp (cancer cells enter quiescence)"};
inline constexpr Parameter hill{.key = "cycling.hill",
                                .value = 2,
                                .range = {0.5, 10},
                                .meaning = "Steepness of the cycling share in pO2",
                                .source = "assumed: smooth form of a threshold"};
}  // namespace cycling

/// Parameters of section `cycling`; those of a drug's kill, uptake and binding stand in drug.hpp.
const Catalogue& cycling_parameters();

}  // namespace sanctuary
