#include "therapy/drug_response.hpp"

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

/// Uptake part of the carrier at a concentration that an iterate may take below zero, where it goes on linearly.
double inward(const CellUptake& u, double c) {
  return c > 0 ? u.maximum * c / (c + u.half_outside) : u.maximum * c / u.half_outside;
}
double inward_slope(const CellUptake& u, double c) {
  const double d = std::max(c, 0.0) + u.half_outside;
  return u.maximum * u.half_outside / (d * d);
}
double outward(const CellUptake& u, double i) {
  return i > 0 ? u.maximum * i / (i + u.half_inside) : u.maximum * i / u.half_inside;
}
double outward_slope(const CellUptake& u, double i) {
  const double d = std::max(i, 0.0) + u.half_inside;
  return u.maximum * u.half_inside / (d * d);
}

/// Content x with (1 + loss) x + h outward(x) = known: increasing in x and concave in the carrier's part, so Newton's
/// method from the linear solution converges from one side.
double content(const CellUptake& u, double known, double loss, double h) {
  double x = known / (1 + loss + h * u.maximum / u.half_inside);
  for (int i = 0; i < 60; ++i) {
    const double step = ((1 + loss) * x + h * outward(u, x) - known) / (1 + loss + h * outward_slope(u, x));
    x -= step;
    if (std::abs(step) <= 1e-15 * std::abs(x) + 1e-300) break;
  }
  return x;
}

}  // namespace

void DrugResponse::State::resize(std::size_t n) {
  for (auto* v : {&value, &star, &first, &second, &slope}) v->assign(n, 0.0);
}

void DrugResponse::State::carry_over() {
  for (std::size_t i = 0; i < value.size(); ++i) star[i] = value[i] + sdirk::carry * (first[i] - value[i]);
}

void DrugResponse::State::accept(double rate) {
  for (std::size_t i = 0; i < value.size(); ++i) slope[i] = (second[i] - star[i]) * rate;
  value = second;
}

DrugResponse::DrugResponse(MPI_Comm comm, const Drug& drug, ExposedCells cells, double cell_volume,
                           double relative_tolerance, double scale)
    : comm_(comm),
      drug_(drug),
      cells_(std::move(cells)),
      cell_volume_(cell_volume),
      relative_tolerance_(relative_tolerance) {
  const std::size_t n = cells_.density.size();
  for (State* s : all_states()) s->resize(n);
  for (auto* v : {&area_free_, &area_bound_, &area_in_cells_, &peak_free_, &time_above_, &last_free_})
    v->assign(n, 0.0);
  if (has_target()) {
    for (auto* v : {&area_complexes_, &area_internalised_}) v->assign(n, 0.0);
    for (std::size_t i = 0; i < n; ++i)
      free_targets_.value[i] = cells_.killed[i] ? drug_.target.number * cells_.density[i] : 0.0;
  }
  double sum = 0;
  for (const double d : cells_.density) sum += d;
  const double mean = sum_over(comm, sum) / std::max(1.0, sum_over(comm, static_cast<double>(n)));
  least_amount_ = 1e-4 * mean * (drug_.uptake.maximum > 0 ? equilibrium_amount(drug_.uptake, scale) : 0.0);
}

std::vector<DrugResponse::State*> DrugResponse::all_states() {
  std::vector<State*> all{&bound_, &in_cells_, &cycling_, &quiescent_};
  if (has_target()) all.insert(all.end(), {&free_targets_, &complexes_, &internalised_});
  return all;
}

std::vector<DrugResponse::Named> DrugResponse::states() {
  std::vector<Named> all{{"bound", &bound_.value},
                         {"bound_slope", &bound_.slope},
                         {"in_cells", &in_cells_.value},
                         {"in_cells_slope", &in_cells_.slope},
                         {"hazard_cycling", &cycling_.value},
                         {"hazard_cycling_slope", &cycling_.slope},
                         {"hazard_quiescent", &quiescent_.value},
                         {"hazard_quiescent_slope", &quiescent_.slope},
                         {"area_free", &area_free_},
                         {"area_bound", &area_bound_},
                         {"area_in_cells", &area_in_cells_},
                         {"peak_free", &peak_free_},
                         {"time_above", &time_above_},
                         {"last_free", &last_free_},
                         {"cycling_share", &cells_.cycling_share}};
  if (has_target()) {
    all.insert(all.end(), {{"free_targets", &free_targets_.value},
                           {"free_targets_slope", &free_targets_.slope},
                           {"complexes", &complexes_.value},
                           {"complexes_slope", &complexes_.slope},
                           {"internalised", &internalised_.value},
                           {"internalised_slope", &internalised_.slope},
                           {"area_complexes", &area_complexes_},
                           {"area_internalised", &area_internalised_}});
  }
  return all;
}

double DrugResponse::survival(std::size_t cell) const {
  if (!cells_.killed[cell]) return 1;
  const double w = cells_.cycling_share[cell];
  return w * std::exp(-cycling_.value[cell]) + (1 - w) * std::exp(-quiescent_.value[cell]);
}

void DrugResponse::begin_impl(double, double dt) { dt_ = dt; }

void DrugResponse::stage_impl(int number, std::span<const double> concentration, std::span<double> sink,
                              std::span<double> derivative) {
  const double h = sdirk::gamma * dt_;
  for (State* s : all_states()) {
    if (number == 1) {
      s->star = s->value;
    } else {
      s->carry_over();
    }
  }
  auto& bound = number == 1 ? bound_.first : bound_.second;
  auto& in_cells = number == 1 ? in_cells_.first : in_cells_.second;
  auto& cycling = number == 1 ? cycling_.first : cycling_.second;
  auto& quiescent = number == 1 ? quiescent_.first : quiescent_.second;
  auto& free_targets = number == 1 ? free_targets_.first : free_targets_.second;
  auto& complexes = number == 1 ? complexes_.first : complexes_.second;
  auto& internalised = number == 1 ? internalised_.first : internalised_.second;
  const bool targets = has_target();
  auto& rates = rates_[static_cast<std::size_t>(number - 1)];
  rates.fill(0.0);
  const MatrixBinding& binding = drug_.binding;
  const CellUptake& uptake = drug_.uptake;
  const bool takes_up = uptake.maximum > 0, binds = binding.sites > 0;

  for (std::size_t i = 0; i < concentration.size(); ++i) {
    const double c = concentration[i];
    double out = 0, slope = 0;
    if (binds) {
      const double down = 1 + h * (binding.on_rate * c + binding.off_rate);
      bound[i] = (bound_.star[i] + h * binding.on_rate * c * binding.sites) / down;
      const double rate = binding_rate(binding, c, bound[i]) * cells_.accessible[i];
      const double by_c = (binding.on_rate * binding.sites - binding.on_rate * bound[i]) / down;
      rates[3] += rate;
      out += rate;
      slope += cells_.accessible[i] * by_c;
    } else {
      bound[i] = 0;
    }
    const double start = cells_.density[i];
    const double w = cells_.cycling_share[i];
    cycling[i] = cycling_.star[i];
    quiescent[i] = quiescent_.star[i];
    if (start <= 0) {
      in_cells[i] = in_cells_.star[i];
      if (targets) free_targets[i] = complexes[i] = internalised[i] = 0;
      sink[i] = out;
      derivative[i] = slope;
      continue;
    }
    const bool killed = cells_.killed[i] != 0;
    double density = start, death = 0, inside = 0;
    const double enters = inward(uptake, c);
    for (int round = 0; round < 12; ++round) {
      if (killed && (round > 0 || !takes_up)) {
        const double exposure = takes_up ? equivalent_concentration(uptake, std::max(inside, 0.0)) : std::max(c, 0.0);
        const double by_cycling = kill_rate_cycling(drug_.kill, exposure);
        const double by_quiescent = drug_.kill.quiescent_factor * by_cycling;
        cycling[i] = cycling_.star[i] + h * by_cycling;
        quiescent[i] = quiescent_.star[i] + h * by_quiescent;
        const double in_cycle = w * std::exp(-cycling[i]), at_rest = (1 - w) * std::exp(-quiescent[i]);
        const double alive = in_cycle + at_rest;
        density = start * alive;
        death = alive > 0 ? (in_cycle * by_cycling + at_rest * by_quiescent) / alive : 0.0;
      }
      if (!takes_up || density <= 0) break;
      const double before = inside;
      inside = content(uptake, in_cells_.star[i] / density + h * enters, h * death, h);
      if (!killed || (round > 0 && std::abs(inside - before) <= 1e-14 * std::abs(inside) + 1e-300)) break;
    }
    in_cells[i] = takes_up ? density * inside : 0.0;
    if (takes_up) {
      const double leaves = outward(uptake, inside), released = death * inside;
      rates[0] += density * enters;
      rates[1] += density * leaves;
      rates[2] += density * released;
      out += density * (enters - leaves - released);
      slope += density * inward_slope(uptake, c) / (1 + h * (death + outward_slope(uptake, inside)));
    }
    if (targets) {
      const CellTarget& target = drug_.target;
      const TargetStep next = target_step(target, h, c, free_targets_.star[i], complexes_.star[i],
                                          internalised_.star[i], killed ? density : 0.0, death);
      free_targets[i] = next.free;
      complexes[i] = next.bound;
      internalised[i] = next.inside;
      const double off = target.off_rate * next.bound + death * (next.bound + next.inside);
      rates[4] += next.sink + off;
      rates[5] += off;
      rates[6] += target.degradation * next.inside;
      out += next.sink;
      slope += next.slope;
    }
    sink[i] = out;
    derivative[i] = slope;
  }
}

double DrugResponse::squared_error_impl() const {
  const bool targets = has_target();
  std::array<double, 5> scale{};
  for (std::size_t i = 0; i < in_cells_.second.size(); ++i) {
    scale[0] += in_cells_.second[i] * in_cells_.second[i];
    scale[1] += cycling_.second[i] * cycling_.second[i];
    scale[2] += cells_.killed[i] ? 1.0 : 0.0;
    scale[3] += 1;
    if (targets) scale[4] += std::pow(free_targets_.second[i] + complexes_.second[i], 2);
  }
  MPI_Allreduce(MPI_IN_PLACE, scale.data(), 5, MPI_DOUBLE, MPI_SUM, comm_);
  const double amount = std::sqrt(scale[0] / scale[3]);
  const double hazard = std::sqrt(scale[1] / std::max(scale[2], 1.0));
  const double rate = 1 / (sdirk::gamma * dt_);
  const auto error = [&](const State& s, std::size_t i) {
    const double k1 = (s.first[i] - s.value[i]) * rate, k2 = (s.second[i] - s.star[i]) * rate;
    return has_slope_ ? dt_ * (sdirk::e0 * s.slope[i] + sdirk::e1 * k1 + sdirk::e2 * k2)
                      : dt_ * sdirk::gamma * (k2 - k1);
  };
  double sum = 0;
  const double allowed_amount = relative_tolerance_ * (amount + least_amount_);
  const double allowed_hazard = relative_tolerance_ * (hazard + 1e-2);
  const double allowed_target = relative_tolerance_ * std::sqrt(scale[4] / scale[3]);
  for (std::size_t i = 0; i < in_cells_.second.size(); ++i) {
    if (allowed_amount > 0) sum += std::pow(error(in_cells_, i) / allowed_amount, 2);
    sum += std::pow(error(cycling_, i) / allowed_hazard, 2);
    if (!targets || allowed_target <= 0) continue;
    sum += std::pow(error(complexes_, i) / allowed_target, 2) + std::pow(error(internalised_, i) / allowed_target, 2);
  }
  return sum;
}

void DrugResponse::end_impl(bool accepted, std::span<const double> first, std::span<const double> second) {
  if (!accepted) return;
  const double w1 = (1 - sdirk::gamma) * dt_, w2 = sdirk::gamma * dt_;
  for (std::size_t i = 0; i < second.size(); ++i) {
    area_free_[i] += w1 * first[i] + w2 * second[i];
    area_bound_[i] += w1 * bound_.first[i] + w2 * bound_.second[i];
    area_in_cells_[i] += w1 * in_cells_.first[i] + w2 * in_cells_.second[i];
    if (has_target()) {
      area_complexes_[i] += w1 * complexes_.first[i] + w2 * complexes_.second[i];
      area_internalised_[i] += w1 * internalised_.first[i] + w2 * internalised_.second[i];
    }
    peak_free_[i] = std::max(peak_free_[i], second[i]);
    const double a = last_free_[i] - drug_.threshold, b = second[i] - drug_.threshold;
    // Linear between the ends of the step, so that the time is continuous in both.
    if (a > 0 && b > 0) {
      time_above_[i] += dt_;
    } else if (a > 0 || b > 0) {
      time_above_[i] += dt_ * std::max(a, b) / (std::max(a, b) - std::min(a, b));
    }
    last_free_[i] = second[i];
  }
  auto sums = rates_;
  MPI_Allreduce(MPI_IN_PLACE, sums[0].data(), static_cast<int>(2 * booked), MPI_DOUBLE, MPI_SUM, comm_);
  for (std::size_t stage = 0; stage < 2; ++stage) {
    const double weight = (stage == 0 ? w1 : w2) * cell_volume_;
    ledger_.taken_up += weight * sums[stage][0];
    ledger_.given_back += weight * sums[stage][1];
    ledger_.released_by_death += weight * sums[stage][2];
    ledger_.on_targets += weight * sums[stage][4];
    ledger_.off_targets += weight * sums[stage][5];
    ledger_.degraded += weight * sums[stage][6];
    const double net = weight * sums[stage][3];
    (net > 0 ? ledger_.bound_in : ledger_.bound_out) += std::abs(net);
  }
  const double rate = 1 / (sdirk::gamma * dt_);
  for (State* s : all_states()) s->accept(rate);
  has_slope_ = true;
}

double DrugResponse::amount_in_cells() const {
  double sum = 0;
  for (const double a : in_cells_.value) sum += a;
  return sum_over(comm_, sum * cell_volume_);
}

double DrugResponse::amount_on_targets() const {
  double sum = 0;
  if (has_target()) {
    for (std::size_t i = 0; i < complexes_.value.size(); ++i) sum += complexes_.value[i] + internalised_.value[i];
  }
  return sum_over(comm_, sum * cell_volume_);
}

double DrugResponse::amount_bound() const {
  double sum = 0;
  for (std::size_t i = 0; i < bound_.value.size(); ++i) sum += cells_.accessible[i] * bound_.value[i];
  return sum_over(comm_, sum * cell_volume_);
}

std::array<double, 2> reference_hazard(const Drug& drug, const PlasmaKinetics& plasma, double time) {
  std::vector<double> stops{0.0};
  for (const double t : plasma.events()) {
    if (t > stops.back() && t < time) stops.push_back(t);
  }
  stops.push_back(time);
  struct Cell {
    double inside = 0, hazard = 0;
  };
  const auto kill = [&](double c, double inside) {
    const double exposure = drug.uptake.maximum > 0 ? equivalent_concentration(drug.uptake, std::max(inside, 0.0)) : c;
    return kill_rate_cycling(drug.kill, exposure);
  };
  // The transport's own method, with a step found by halving.
  const auto step = [&](const Cell& start, double t, double dt) {
    const double h = sdirk::gamma * dt;
    Cell star = start, end = start;
    for (int stage = 0; stage < 2; ++stage) {
      const double c = drug.unbound(plasma.concentration(t + (stage == 0 ? h : dt)));
      Cell now;
      if (drug.uptake.maximum > 0) now.inside = content(drug.uptake, star.inside + h * inward(drug.uptake, c), 0.0, h);
      now.hazard = star.hazard + h * kill(c, now.inside);
      if (stage == 0) {
        star.inside = start.inside + sdirk::carry * (now.inside - start.inside);
        star.hazard = start.hazard + sdirk::carry * (now.hazard - start.hazard);
      }
      end = now;
    }
    return end;
  };
  Cell cell;
  constexpr double tolerance = 1e-9;
  for (std::size_t s = 0; s + 1 < stops.size(); ++s) {
    double t = stops[s], dt = std::min(1.0, stops[s + 1] - t);
    while (t < stops[s + 1]) {
      dt = std::min(dt, stops[s + 1] - t);
      const Cell whole = step(cell, t, dt);
      const Cell half = step(cell, t, 0.5 * dt);
      const Cell twice = step(half, t + 0.5 * dt, 0.5 * dt);
      const double error =
          std::max(std::abs(twice.inside - whole.inside) / (std::abs(twice.inside) + 1e-3 * drug.uptake.half_inside),
                   std::abs(twice.hazard - whole.hazard) / (std::abs(twice.hazard) + 1e-3)) /
          3;
      if (error <= tolerance || dt < 1e-6) {
        // Richardson's extrapolation of a second-order method.
        cell.inside = twice.inside + (twice.inside - whole.inside) / 3;
        cell.hazard = twice.hazard + (twice.hazard - whole.hazard) / 3;
        t = dt < stops[s + 1] - t ? t + dt : stops[s + 1];
      }
      dt *= std::clamp(0.9 * std::cbrt(tolerance / std::max(error, 1e-30)), 0.2, 2.0);
    }
  }
  return {cell.hazard, drug.kill.quiescent_factor * cell.hazard};
}

}  // namespace sanctuary
