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

namespace {

/// Rise to `maximum` with slope maximum/half at 0, where it goes on linearly below.
double saturating(double maximum, double half, double x) {
  return x > 0 ? maximum * x / (x + half) : maximum * x / half;
}
double saturating_slope(double maximum, double half, double x) {
  const double sum = std::max(x, 0.0) + half;
  return maximum * half / (sum * sum);
}

}  // namespace

double inflow(const CellUptake& uptake, const CellInterior& interior, double cell_volume, double c) {
  return saturating(uptake.maximum, uptake.half_outside, c) + interior.influx * cell_volume * c;
}

double inflow_slope(const CellUptake& uptake, const CellInterior& interior, double cell_volume, double c) {
  return saturating_slope(uptake.maximum, uptake.half_outside, c) + interior.influx * cell_volume;
}

double outflow(const CellUptake& uptake, const CellInterior& interior, double cell_volume, double free) {
  double rate = saturating(uptake.maximum, uptake.half_inside, free) + interior.efflux * free;
  if (interior.pump_maximum > 0)
    rate += saturating(interior.pump_maximum * cell_volume, interior.pump_half * cell_volume, free);
  return rate;
}

double outflow_slope(const CellUptake& uptake, const CellInterior& interior, double cell_volume, double free) {
  double slope = saturating_slope(uptake.maximum, uptake.half_inside, free) + interior.efflux;
  if (interior.pump_maximum > 0)
    slope += saturating_slope(interior.pump_maximum * cell_volume, interior.pump_half * cell_volume, free);
  return slope;
}

double accumulation(const CellUptake& uptake, const CellInterior& interior, double cell_volume) {
  const double in = uptake.maximum / uptake.half_outside + interior.influx * cell_volume,
               out = uptake.maximum / uptake.half_inside + interior.efflux;
  return in > 0 && out > 0 ? in / out : cell_volume;
}

InteriorStep interior_step(const CellUptake& uptake, const CellInterior& interior, double cell_volume, double h,
                           double c, double free, double held, double source, double death, double guess) {
  // F(x) = (1 + h (loss + death)) x + h outflow(x) + (1 + h death) y(x) - y* - known is at most 0 at x = 0 where c >=
  // 0. It is concave and rises, so that Newton's method comes to the root from below, after its first step at the
  // latest; but where a cell starts with more on its sites than it has (from those that died) F may fall at first.
  const double sites = interior.sites * cell_volume, on = h * interior.on_rate / cell_volume,
               down = 1 + h * (interior.off_rate + death), leaves = 1 + h * death;
  const double loss = 1 + h * (interior.degradation + death);
  const double known = free + h * (inflow(uptake, interior, cell_volume, c) + source) + held;
  const double below = sites > 0 ? std::max(on * (sites - held / down) / down, 0.0) : 0.0;  // slope of y below 0
  const auto bound = [&](double x) {
    if (sites <= 0) return held / down;
    return x > 0 ? (held + on * x * sites) / (down + on * x) : held / down + below * x;
  };
  const auto bound_slope = [&](double x) {
    if (sites <= 0) return 0.0;
    if (x <= 0) return below;
    const double sum = down + on * x;
    return on * (sites * down - held) / (sum * sum);
  };
  const auto slope = [&](double x) {
    return loss + h * outflow_slope(uptake, interior, cell_volume, x) + leaves * bound_slope(x);
  };
  double x = 0;
  if (const double at_zero = leaves * bound(0.0) - known; at_zero >= 0) {
    x = -at_zero / slope(0.0);  // below its bend the function is a straight line
  } else {
    double low = 0, high = known / loss;
    x = std::clamp(guess, 0.0, high);
    for (int i = 0; i < 100; ++i) {
      const double f = loss * x + h * outflow(uptake, interior, cell_volume, x) + leaves * bound(x) - known;
      (f < 0 ? low : high) = x;
      const double before = x, rise = slope(x);
      x -= f / rise;
      if (!(rise > 0 && x >= low && x <= high)) x = low > 0 ? std::sqrt(low * high) : 1e-3 * high;
      if (std::abs(x - before) <= 1e-14 * x + 1e-300) break;
    }
  }
  InteriorStep next;
  next.free = x;
  next.held = bound(x);
  next.by_c = h * inflow_slope(uptake, interior, cell_volume, c) / slope(x);
  next.held_by_c = bound_slope(x) * next.by_c;
  return next;
}

TargetStep target_step(const CellTarget& target, double h, double c, double free, double bound, double inside,
                       double density, double death) {
  // (alpha + a) R - h k_off B = r, -a R + beta B - h k_r I = B*, lost I - h k_e B = I*, with a = h k_on c.
  const double a = h * target.on_rate * std::max(c, 0.0);
  const double lost = 1 + h * (target.recycling + target.degradation + death);
  const double back = h * target.recycling / lost;  // share of what is inside that a step brings back
  const double leaves = h * (target.internalisation * (1 - back) + death);
  const double alpha = 1 + h * (target.turnover + death), beta = 1 + h * target.off_rate + leaves;
  const double known = free + h * target.turnover * target.number * density, held = bound + back * inside;
  const double both = 1 + leaves;  // beta without k_off
  const double det = alpha * beta + a * both;
  TargetStep next;
  next.free = (beta * known + h * target.off_rate * held) / det;
  next.bound = ((alpha + a) * held + a * known) / det;
  const double by_a = (held + known - next.bound * both) / det;
  const double below = h * target.on_rate * std::min(c, 0.0);
  next.free -= next.free * both / det * below;
  next.bound += by_a * below;
  next.inside = (inside + h * target.internalisation * next.bound) / lost;
  // The fluid loses what binds less what falls apart and what dead cells give back.
  const double taken = target.internalisation * next.bound - target.recycling * next.inside;
  next.sink = (next.bound - bound) / h + taken - death * next.inside;
  next.slope =
      by_a * h * target.on_rate * (1 / h + target.internalisation * (1 - (target.recycling + death) * h / lost));
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
