#include "therapy/drug_response.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

constexpr double first_share = 1 - sdirk::gamma, second_share = sdirk::gamma;  // weights of the stages

double sum_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum;
}

}  // namespace

void DrugResponse::State::resize(std::size_t n) {
  for (auto* v : {&value, &first, &second, &slope}) v->assign(n, 0.0);
}

DrugResponse::DrugResponse(MPI_Comm comm, const Drug& drug, const CellKill& kill, std::vector<double> accessible,
                           std::vector<double> site_factor, double cell_volume, double relative_tolerance, double scale)
    : comm_(comm),
      drug_(drug),
      kill_(&kill),
      accessible_(std::move(accessible)),
      site_factor_(std::move(site_factor)),
      cell_volume_(cell_volume),
      relative_tolerance_(relative_tolerance),
      binds_(drug.binding.sites > 0 && drug.binding.on_rate > 0),
      enters_(drug.enters_cells()),
      accumulation_(accumulation(drug.uptake, drug.interior, kill.population().cell_volume)) {
  const std::size_t n = accessible_.size();
  if (site_factor_.empty()) site_factor_.assign(n, 1.0);
  holds_ = enters_ && drug.interior.sites > 0;
  for (State* s : all_states()) s->resize(n);
  for (auto* v : {&last_free_, &fell_back_}) v->assign(n, 0.0);
  below_.assign(n, 0);
  const CellPopulation& cells = kill.population();
  if (has_target()) {
    for (std::size_t i = 0; i < n; ++i)
      free_targets_.value[i] = cells.killed[i] ? drug_.target.number * cells.density[i] : 0.0;
  }
  const double mean = sum_over(comm, sum_of(cells.density)) / std::max(1.0, sum_over(comm, static_cast<double>(n)));
  least_amount_ = 1e-4 * mean * accumulation_ * scale;
  start_cycle();
}

void DrugResponse::add_carrier(DrugResponse& carrier) {
  carriers_.push_back(&carrier);
  const std::size_t n = accessible_.size();
  for (auto* v :
       {&carrier.released_[0], &carrier.released_[1], &carrier.released_in_cells_[0], &carrier.released_in_cells_[1]})
    v->assign(n, 0.0);
  const bool entered = enters_;
  enters_ = enters_ || carrier.enters_ || carrier.has_target();
  holds_ = enters_ && drug_.interior.sites > 0;
  if (enters_ && !entered) {
    inside_.resize(n);
    start_cycle();
  }
  if (holds_ && held_.value.empty()) held_.resize(n);
}

std::vector<DrugResponse::State*> DrugResponse::all_states() {
  std::vector<State*> all;
  if (binds_) all.push_back(&bound_);
  if (enters_) all.push_back(&inside_);
  if (holds_) all.push_back(&held_);
  if (has_target()) all.insert(all.end(), {&free_targets_, &complexes_, &internalised_});
  return all;
}

std::vector<DrugResponse::Named> DrugResponse::states() {
  std::vector<Named> all{{"last_free", &last_free_}, {"fell_back", &fell_back_}};
  const auto add = [&](const std::string& name, State& s) {
    all.push_back({name, &s.value});
    all.push_back({name + "_slope", &s.slope});
  };
  const auto add_record = [&](const std::string& name, Record& r) {
    all.push_back({name + "_area", &r.area});
    all.push_back({name + "_peak", &r.peak});
    all.push_back({name + "_above", &r.above});
  };
  add_record("free", free_record_);
  if (binds_) {
    add("bound", bound_);
    add_record("bound", bound_record_);
  }
  if (enters_) {
    add("in_cells", inside_);
    add_record("in_cells", cells_record_);
  }
  if (holds_) add("held", held_);
  if (has_target()) {
    add("free_targets", free_targets_);
    add("complexes", complexes_);
    add("internalised", internalised_);
    add_record("complexes", complexes_record_);
    add_record("internalised", internalised_record_);
  }
  return all;
}

double DrugResponse::in_cells(std::size_t cell) const {
  return (enters_ ? inside_.value[cell] : 0.0) + (holds_ ? held_.value[cell] : 0.0);
}

double DrugResponse::immobile(std::size_t cell) const {
  return in_cells(cell) + (binds_ ? accessible_[cell] * bound_.value[cell] : 0.0) +
         (has_target() ? complexes_.value[cell] + internalised_.value[cell] : 0.0);
}

void DrugResponse::start_cycle() {
  const std::size_t n = accessible_.size();
  const auto clear = [&](Record& r) {
    for (auto* v : {&r.area, &r.peak, &r.above}) v->assign(n, 0.0);
  };
  clear(free_record_);
  if (binds_) clear(bound_record_);
  if (enters_) clear(cells_record_);
  if (has_target()) {
    clear(complexes_record_);
    clear(internalised_record_);
  }
}

void DrugResponse::begin_impl(double, double dt) { dt_ = dt; }

double DrugResponse::source(std::size_t i, int stage, bool cells) const {
  if (stage == 1) return given(i, 0, cells);
  if (!below_[i]) return given(i, 1, cells);
  return ((first_share - second_share) * given(i, 0, cells) + second_share * given(i, 1, cells)) / first_share;
}

double DrugResponse::given(std::size_t i, std::size_t stage, bool cells) const {
  double sum = 0;
  for (const DrugResponse* carrier : carriers_)
    sum += carrier->drug_.payload_ratio * (cells ? carrier->released_in_cells_ : carrier->released_)[stage][i];
  return sum;
}

bool DrugResponse::starts_outside(std::size_t i) const {
  constexpr double full = 1 + 1e-12;
  if (binds_ && (bound_.star(i) < 0 || bound_.star(i) > full * drug_.binding.sites * site_factor_[i])) return true;
  if (enters_ && inside_.star(i) < 0) return true;
  if (holds_) {
    const double sites = drug_.interior.sites * kill_->population().cell_volume * kill_->density(2)[i];
    if (held_.star(i) < 0 || held_.star(i) > full * std::max(sites, held_.first[i])) return true;
  }
  return has_target() && (free_targets_.star(i) < 0 || complexes_.star(i) < 0 || internalised_.star(i) < 0);
}

std::span<char> DrugResponse::fall_back_impl() {
  for (std::size_t i = 0; i < below_.size(); ++i) {
    below_[i] = starts_outside(i) ? 1 : 0;
    for (const DrugResponse* carrier : carriers_) below_[i] |= carrier->below_[i];
  }
  return below_;
}

void DrugResponse::stage_impl(int number, std::span<const double> concentration, std::span<double> sink,
                              std::span<double> derivative) {
  const bool second = number == 2, targets = has_target();
  const auto at = [&](State& s) -> std::vector<double>& { return second ? s.second : s.first; };
  auto &bound = at(bound_), &inside = at(inside_), &held = at(held_), &free_targets = at(free_targets_),
       &complexes = at(complexes_), &internalised = at(internalised_);
  const std::vector<double>&density = kill_->density(number), &death = kill_->death(number);
  const std::vector<char>& killed = kill_->population().killed;
  const double size = kill_->population().cell_volume;
  const MatrixBinding& binding = drug_.binding;
  const double h_stage = sdirk::gamma * dt_, h_rest = (1 - sdirk::gamma) * dt_;
  for (std::size_t i = 0; i < concentration.size(); ++i) {
    const double c = concentration[i];
    const bool on = second && below_[i];
    const double h = on ? h_rest : h_stage;
    const auto start = [&](const State& s) { return !second ? s.value[i] : on ? s.first[i] : s.star(i); };
    const double freed = carriers_.empty() ? 0.0 : source(i, number, false);
    double out = drug_.release_rate * accessible_[i] * c - freed, slope = drug_.release_rate * accessible_[i];
    double into = 0, into_slope = 0;  // cells and targets
    if (binds_) {
      // Goes on linearly below c = 0. What is taken follows from what has changed, however fast it comes and goes.
      const double sites = binding.sites * site_factor_[i], before = start(bound_), on_rate = h * binding.on_rate;
      const double above = on_rate * std::max(c, 0.0);
      const double down = 1 + above + h * (binding.off_rate + drug_.release_rate);
      const double filled = (before + above * sites) / down, by_c = on_rate * (sites - filled) / down;
      bound[i] = filled + by_c * std::min(c, 0.0);
      out += accessible_[i] * ((bound[i] - before) / h + drug_.release_rate * bound[i]);
      slope += accessible_[i] * (1 / h + drug_.release_rate) * by_c;
    }
    const double alive = density[i], dying = death[i];
    if (enters_ && alive > 0) {
      const double free = start(inside_) / alive, kept = holds_ ? start(held_) / alive : 0.0,
                   inner = carriers_.empty() ? 0.0 : source(i, number, true) / alive;
      const InteriorStep next =
          interior_step(drug_.uptake, drug_.interior, size, h, c, free, kept, inner, dying, inside[i] / alive);
      inside[i] = alive * next.free;
      if (holds_) held[i] = alive * next.held;
      into += alive * (inflow(drug_.uptake, drug_.interior, size, c) -
                       outflow(drug_.uptake, drug_.interior, size, next.free) - dying * (next.free + next.held));
      into_slope += alive * (inflow_slope(drug_.uptake, drug_.interior, size, c) -
                             (outflow_slope(drug_.uptake, drug_.interior, size, next.free) + dying) * next.by_c -
                             dying * next.held_by_c);
    }
    if (targets && killed[i]) {
      const TargetStep next =
          target_step(drug_.target, h, c, start(free_targets_), start(complexes_), start(internalised_), alive, dying);
      free_targets[i] = next.free;
      complexes[i] = next.bound;
      internalised[i] = next.inside;
      into += next.sink;
      into_slope += next.slope;
    }
    if (drug_.sinks) {
      out += into;
      slope += into_slope;
    }
    const double weight = on ? first_share / second_share : 1.0;
    sink[i] = weight * out;
    derivative[i] = weight * slope;
  }
}

DrugResponse::Rates DrugResponse::rates(std::size_t i, int stage, double c) const {
  const auto of = [&](const State& s) { return stage == 1 ? s.first[i] : s.second[i]; };
  const double alive = kill_->density(stage)[i], dying = kill_->death(stage)[i];
  const double size = kill_->population().cell_volume;
  Rates r{};
  if (enters_ && alive > 0) {
    const double free = of(inside_) / alive, kept = holds_ ? of(held_) / alive : 0.0;
    r[taken_up] = alive * inflow(drug_.uptake, drug_.interior, size, c);
    r[given_back] = alive * outflow(drug_.uptake, drug_.interior, size, free);
    r[by_death] = alive * dying * (free + kept);
    r[degraded_inside] = alive * drug_.interior.degradation * free;
  }
  // From the change of what is held, which keeps the sums however stiff the binding.
  const double h = stage == 2 && below_[i] ? (1 - sdirk::gamma) * dt_ : sdirk::gamma * dt_;
  const auto before = [&](const State& s) { return stage == 1 ? s.value[i] : below_[i] ? s.first[i] : s.star(i); };
  if (binds_) {
    const double bound = of(bound_);
    r[released_on_sites] = accessible_[i] * drug_.release_rate * bound;
    r[onto_sites] = accessible_[i] * (bound - before(bound_)) / h + r[released_on_sites];
  }
  if (has_target()) {
    const CellTarget& t = drug_.target;
    const double complexes = of(complexes_), internalised = of(internalised_);
    r[off_targets] = t.off_rate * complexes + dying * (complexes + internalised);
    r[degraded_on_targets] = t.degradation * internalised;
    r[onto_targets] = (complexes - before(complexes_) + internalised - before(internalised_)) / h + r[off_targets] +
                      r[degraded_on_targets];
  }
  r[released_in_fluid] = accessible_[i] * drug_.release_rate * c;
  return r;
}

void DrugResponse::effect(int stage, std::span<const double> concentration, std::span<double> exposure) const {
  const std::vector<double>& density = kill_->density(stage);
  const std::vector<char>& killed = kill_->population().killed;
  const double size = kill_->population().cell_volume;
  for (std::size_t i = 0; i < exposure.size(); ++i) {
    if (!killed[i] || density[i] <= 0) {
      exposure[i] = 0;
      continue;
    }
    const auto of_cell = [&](bool there, const State& s) {
      return there ? (stage == 1 ? s.first[i] : s.second[i]) / density[i] : 0.0;
    };
    exposure[i] = effect_concentration(drug_, enters_, size, accumulation_, concentration[i],
                                       {.free = of_cell(enters_, inside_),
                                        .held = of_cell(holds_, held_),
                                        .free_targets = of_cell(has_target(), free_targets_),
                                        .complexes = of_cell(has_target(), complexes_)});
  }
}

void DrugResponse::set_free(std::span<const double> first, std::span<const double> second) {
  if (released_[0].empty()) return;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const Rates a = rates(i, 1, first[i]), b = rates(i, 2, second[i]);
    const auto give = [&](double one, double two, std::array<std::vector<double>, 2>& to) {
      const double mean = sdirk::gamma * one + (1 - sdirk::gamma) * two;  // of a cell that goes on from the first stage
      to[0][i] = below_[i] ? mean : one;
      to[1][i] = below_[i] ? mean : two;
    };
    give(a[released_in_fluid] + a[released_on_sites], b[released_in_fluid] + b[released_on_sites], released_);
    give(a[degraded_inside] + a[degraded_on_targets], b[degraded_inside] + b[degraded_on_targets], released_in_cells_);
  }
}

void DrugResponse::set_free_nothing() {
  for (auto* v : {&released_[0], &released_[1], &released_in_cells_[0], &released_in_cells_[1]})
    std::fill(v->begin(), v->end(), 0.0);
  std::fill(below_.begin(), below_.end(), 0);
}

double DrugResponse::squared_error_impl() const {
  const bool targets = has_target();
  const std::size_t n = accessible_.size();
  std::array<double, 3> scale{};
  for (std::size_t i = 0; i < n; ++i) {
    if (enters_) scale[0] += inside_.second[i] * inside_.second[i];
    scale[1] += 1;
    if (targets) scale[2] += std::pow(free_targets_.second[i] + complexes_.second[i], 2);
  }
  MPI_Allreduce(MPI_IN_PLACE, scale.data(), 3, MPI_DOUBLE, MPI_SUM, comm_);
  const double rate = 1 / (sdirk::gamma * dt_);
  const auto error = [&](const State& s, std::size_t i) {
    const double k1 = (s.first[i] - s.value[i]) * rate, k2 = (s.second[i] - s.star(i)) * rate;
    return has_slope_ ? dt_ * (sdirk::e0 * s.slope[i] + sdirk::e1 * k1 + sdirk::e2 * k2)
                      : dt_ * sdirk::gamma * (k2 - k1);
  };
  double sum = 0;
  const double allowed_amount = relative_tolerance_ * (std::sqrt(scale[0] / scale[1]) + least_amount_);
  const double allowed_target = relative_tolerance_ * std::sqrt(scale[2] / scale[1]);
  for (std::size_t i = 0; i < n; ++i) {
    if (below_[i] || fell_back_[i] > 0) continue;  // positive and closed, of first order: no estimate applies
    if (enters_ && allowed_amount > 0) sum += std::pow(error(inside_, i) / allowed_amount, 2);
    if (targets && allowed_target > 0)
      sum += std::pow(error(complexes_, i) / allowed_target, 2) + std::pow(error(internalised_, i) / allowed_target, 2);
  }
  return sum;
}

void DrugResponse::end_impl(bool accepted, std::span<const double> first, std::span<const double> second) {
  if (!accepted) return;
  const std::size_t n = accessible_.size();
  const double w1 = first_share * dt_, w2 = second_share * dt_;
  Rates sums{};
  long below = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double one = below_[i] ? w2 : w1, two = below_[i] ? w1 : w2;
    const Rates a = rates(i, 1, first[i]), b = rates(i, 2, second[i]);
    for (std::size_t k = 0; k < booked; ++k) sums[k] += one * a[k] + two * b[k];
    if (!carriers_.empty()) {
      sums[set_free_outside] += w1 * given(i, 0, false) + w2 * given(i, 1, false);
      sums[set_free_inside] += w1 * given(i, 0, true) + w2 * given(i, 1, true);
    }
    below += below_[i];
    fell_back_[i] = below_[i];
  }
  MPI_Allreduce(MPI_IN_PLACE, sums.data(), static_cast<int>(booked), MPI_DOUBLE, MPI_SUM, comm_);
  for (double& s : sums) s *= cell_volume_;
  ledger_.taken_up += sums[taken_up];
  ledger_.given_back += sums[given_back];
  ledger_.released_by_death += sums[by_death];
  ledger_.degraded_in_cells += sums[degraded_inside];
  (sums[onto_sites] > 0 ? ledger_.bound_in : ledger_.bound_out) += std::abs(sums[onto_sites]);
  ledger_.on_targets += sums[onto_targets];
  ledger_.off_targets += sums[off_targets];
  ledger_.degraded += sums[degraded_on_targets];
  ledger_.released += sums[released_in_fluid];
  ledger_.released_from_sites += sums[released_on_sites];
  ledger_.set_free += sums[set_free_outside];
  ledger_.set_free_in_cells += sums[set_free_inside];
  positive_steps_ += below;

  // Linear between the ends of the step, so that the time above is continuous in both.
  const auto add_above = [&](double& above, double before, double after) {
    if (before > 0 && after > 0) {
      above += dt_;
    } else if (before > 0 || after > 0) {
      above += dt_ * std::max(before, after) / (std::max(before, after) - std::min(before, after));
    }
  };
  const double threshold = drug_.threshold;
  for (std::size_t i = 0; i < n; ++i) {
    free_record_.area[i] += w1 * first[i] + w2 * second[i];
    free_record_.peak[i] = std::max(free_record_.peak[i], second[i]);
    add_above(free_record_.above[i], last_free_[i] - threshold, second[i] - threshold);
    last_free_[i] = second[i];
  }
  // Sum of one or two states; `limit` of a cell of the grid is in equilibrium with the threshold.
  const auto record = [&](Record& r, const State& x, const State* y, const auto& limit) {
    for (std::size_t i = 0; i < n; ++i) {
      const double before = x.value[i] + (y ? y->value[i] : 0.0), one = x.first[i] + (y ? y->first[i] : 0.0),
                   two = x.second[i] + (y ? y->second[i] : 0.0), at = limit(i);
      r.area[i] += (below_[i] ? w2 : w1) * one + (below_[i] ? w1 : w2) * two;
      r.peak[i] = std::max(r.peak[i], two);
      add_above(r.above[i], before - at, two - at);
    }
  };
  const CellPopulation& cells = kill_->population();
  if (binds_) {
    const double limit = equilibrium_bound(drug_.binding, threshold);
    record(bound_record_, bound_, nullptr, [&](std::size_t i) { return site_factor_[i] * limit; });
  }
  if (enters_) {
    const CellInterior& in = drug_.interior;
    const double free = accumulation_ * threshold, inside = in.on_rate * free / cells.cell_volume;
    const double held = holds_ ? in.sites * cells.cell_volume * inside / (inside + in.off_rate) : 0.0;
    record(cells_record_, inside_, holds_ ? &held_ : nullptr,
           [&](std::size_t i) { return cells.density[i] * (free + held); });
  }
  if (has_target()) {
    const CellTarget& t = drug_.target;
    const double on = t.on_rate * threshold, share = on > 0 ? on / (on + t.off_rate) : 0.0;
    const double lost = t.degradation + t.recycling;
    const double inside = lost > 0 ? t.internalisation / lost : std::numeric_limits<double>::infinity();
    const auto limit = [&](std::size_t i) { return t.number * cells.density[i] * share; };
    record(complexes_record_, complexes_, nullptr, limit);
    record(internalised_record_, internalised_, nullptr, [&](std::size_t i) { return limit(i) * inside; });
  }
  const double rate = 1 / (sdirk::gamma * dt_), rest = 1 / ((1 - sdirk::gamma) * dt_);
  for (State* s : all_states()) {
    for (std::size_t i = 0; i < n; ++i)
      s->slope[i] = below_[i] ? (s->second[i] - s->first[i]) * rest : (s->second[i] - s->star(i)) * rate;
    s->value = s->second;
  }
  has_slope_ = true;
}

double DrugResponse::amount_in_cells() const {
  double sum = 0;
  for (std::size_t i = 0; i < accessible_.size(); ++i) sum += in_cells(i);
  return sum_over(comm_, sum * cell_volume_);
}

double DrugResponse::amount_on_targets() const {
  return sum_over(comm_, (sum_of(complexes_.value) + sum_of(internalised_.value)) * cell_volume_);
}

double DrugResponse::amount_bound() const {
  double sum = 0;
  for (std::size_t i = 0; i < bound_.value.size(); ++i) sum += accessible_[i] * bound_.value[i];
  return sum_over(comm_, sum * cell_volume_);
}

double DrugResponse::payload_released() const {
  return drug_.payload_ratio *
         (ledger_.released + ledger_.released_from_sites + ledger_.degraded + ledger_.degraded_in_cells);
}

}  // namespace sanctuary
