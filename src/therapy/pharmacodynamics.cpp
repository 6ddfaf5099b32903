#include "therapy/pharmacodynamics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.hpp"

namespace sanctuary {

double hill_function(double x, double half, double exponent) {
  if (x <= 0) return 0.0;
  return 1.0 / (1.0 + std::pow(half / x, exponent));
}

double ec50_from_ic50(double ic50, double emax, double assay_duration, double hill, const std::string& where) {
  const double excess = emax * assay_duration / std::numbers::ln2 - 1.0;
  if (!(excess > 0))
    throw InputError(
        fmt::format("{}emax x assay_duration is {:.4g}, not above ln 2 = 0.693: a death rate of {:.4g} 1/h at most "
                    "cannot halve the "
                    "cells in an assay of {:.4g} h, so no EC50 belongs to this IC50; raise emax above {:.4g} 1/h or "
                    "give the assay's "
                    "true length",
                    where.empty() ? where : where + ": ", emax * assay_duration, emax * 3600, assay_duration / 3600,
                    std::numbers::ln2 / assay_duration * 3600));
  return ic50 * std::pow(excess, 1.0 / hill);
}

double kill_rate_cycling(const KillLaw& law, double concentration) {
  return law.emax * hill_function(concentration, law.ec50, law.hill);
}

double kill_rate_quiescent(const KillLaw& law, double concentration) {
  return law.quiescent_factor * kill_rate_cycling(law, concentration);
}

double cycling_fraction(const CyclingLaw& law, double pressure) {
  return law.largest * hill_function(pressure, law.half_pressure, law.hill);
}

double log10_survival(std::span<const double> weight, std::span<const double> hazard) {
  assert(weight.size() == hazard.size());
  // Relative to the least hazard, so that a log kill of hundreds does not underflow.
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < weight.size(); ++i)
    if (weight[i] > 0) least = std::min(least, hazard[i]);
  double sum = 0;
  for (std::size_t i = 0; i < weight.size(); ++i)
    if (weight[i] > 0) sum += weight[i] * std::exp(least - hazard[i]);
  return (std::log(sum) - least) / std::numbers::ln10;
}

double log10_survival(double cycling_share, double hazard_cycling, double hazard_quiescent) {
  const double weight[] = {cycling_share, 1.0 - cycling_share};
  const double hazard[] = {hazard_cycling, hazard_quiescent};
  return log10_survival(weight, hazard);
}

double uptake_rate(const CellUptake& uptake, double concentration, double inside) {
  return uptake.maximum *
         (concentration / (concentration + uptake.half_outside) - inside / (inside + uptake.half_inside));
}

double uptake_slope_outside(const CellUptake& uptake, double concentration) {
  const double sum = concentration + uptake.half_outside;
  return uptake.maximum * uptake.half_outside / (sum * sum);
}

double uptake_slope_inside(const CellUptake& uptake, double inside) {
  const double sum = inside + uptake.half_inside;
  return -uptake.maximum * uptake.half_inside / (sum * sum);
}

double equivalent_concentration(const CellUptake& uptake, double inside) {
  return uptake.half_outside * inside / uptake.half_inside;
}

double equilibrium_amount(const CellUptake& uptake, double concentration) {
  return uptake.half_inside * concentration / uptake.half_outside;
}

double equilibrium_bound(const MatrixBinding& binding, double concentration) {
  if (binding.sites <= 0 || binding.on_rate <= 0 || concentration <= 0) return 0.0;
  const double on = binding.on_rate * concentration;
  return binding.sites * on / (on + binding.off_rate);
}

TargetStep target_step(const CellTarget& target, double h, double c, double free, double bound, double inside,
                       double density, double death) {
  // (alpha + a) R - h k_off B = r, -a R + beta B = B*, with a = h k_on c.
  const double a = h * target.on_rate * std::max(c, 0.0);
  const double alpha = 1 + h * (target.turnover + death), leaves = h * (target.internalisation + death),
               beta = 1 + h * target.off_rate + leaves;
  const double known = free + h * target.turnover * target.number * density;
  const double both = 1 + leaves;  // beta without k_off
  const double det = alpha * beta + a * both;
  TargetStep next;
  next.free = (beta * known + h * target.off_rate * bound) / det;
  next.bound = ((alpha + a) * bound + a * known) / det;
  const double by_a = (bound + known - next.bound * both) / det;
  const double below = h * target.on_rate * std::min(c, 0.0);
  next.free -= next.free * both / det * below;
  next.bound += by_a * below;
  const double lost = 1 + h * (target.degradation + death);
  next.inside = (inside + h * target.internalisation * next.bound) / lost;
  // The fluid loses what binds less what falls apart and what dead cells give back.
  next.sink = (next.bound - bound) / h + target.internalisation * next.bound - death * next.inside;
  next.slope = by_a * h * target.on_rate * (1 / h + target.internalisation * (1 - death * h / lost));
  return next;
}

CyclingLaw cycling_settings(const Deck& deck) {
  return {.largest = deck.number(cycling::largest),
          .half_pressure = deck.number(cycling::half_pressure),
          .hill = deck.number(cycling::hill)};
}

const Catalogue& cycling_parameters() {
  static const Catalogue list{&cycling::largest, &cycling::half_pressure, &cycling::hill};
  return list;
}

}  // namespace sanctuary
