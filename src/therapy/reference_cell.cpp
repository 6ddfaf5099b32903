#include "therapy/reference_cell.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "solvers/sdirk.hpp"

namespace sanctuary {

ReferenceCell::ReferenceCell(std::vector<Drug> drugs, std::function<double(std::size_t, double)> unbound,
                             std::vector<double> events, double cell_volume, std::size_t clones)
    : drugs_(std::move(drugs)),
      carriers_(drugs_.size()),
      law_(drugs_),
      unbound_(std::move(unbound)),
      events_(std::move(events)),
      cell_volume_(cell_volume),
      clones_(clones) {
  std::sort(events_.begin(), events_.end());
  floor_.assign(place(drugs_.size()), 1e-3);
  cell_.state.assign(floor_.size(), 0.0);
  for (std::size_t d = 0; d < drugs_.size(); ++d) {
    for (std::size_t other = 0; other < d; ++other) {
      if (drugs_[other].payload == drugs_[d].name) carriers_[d].push_back(other);
    }
    double peak = 0;
    for (const double t : events_) peak = std::max(peak, unbound_(d, t));
    for (const std::size_t other : carriers_[d]) {
      for (const double t : events_) peak = std::max(peak, drugs_[other].payload_ratio * unbound_(other, t));
    }
    const std::size_t at = place(d);
    floor_[at] = 1e-3 * std::max(peak, 1e-12) * accumulation(drugs_[d].uptake, drugs_[d].interior, cell_volume_);
    floor_[at + 1] = floor_[at] + 1e-3 * drugs_[d].interior.sites * cell_volume_;
    for (const std::size_t i : {2U, 3U, 4U}) floor_[at + i] = 1e-3 * std::max(drugs_[d].target.number, 1e-30);
    cell_.state[at + 2] = drugs_[d].target.number;
  }
}

double ReferenceCell::exposure(std::size_t drug, const Cell& cell, double c) const {
  const Drug& d = drugs_[drug];
  const double* s = cell.state.data() + place(drug);
  return effect_concentration(d, inside(drug), cell_volume_, accumulation(d.uptake, d.interior, cell_volume_), c,
                              {.free = s[0], .held = s[1], .free_targets = s[2], .complexes = s[3]});
}

ReferenceCell::Cell ReferenceCell::step(const Cell& start, double t, double dt) const {
  const double h = sdirk::gamma * dt;
  std::array<Cell, 2> stage{start, start};
  const std::size_t drugs = drugs_.size();
  std::vector<double> exposure_of(drugs), rate(drugs);
  for (std::size_t k = 0; k < 2; ++k) {
    Cell known = start;
    if (k == 1) {
      for (std::size_t i = 0; i < known.state.size(); ++i)
        known.state[i] += sdirk::carry * (stage[0].state[i] - start.state[i]);
    }
    Cell& now = stage[k];
    for (std::size_t d = 0; d < drugs; ++d) {
      const Drug& drug = drugs_[d];
      const double c = unbound_(d, k == 0 ? t + h : t + dt);
      const double* from = known.state.data() + place(d);
      double* to = now.state.data() + place(d);
      double source = 0;
      for (const std::size_t other : carriers_[d]) {
        const double* s = now.state.data() + place(other);
        source += drugs_[other].payload_ratio *
                  (drugs_[other].interior.degradation * s[0] + drugs_[other].target.degradation * s[4]);
      }
      if (inside(d)) {
        const InteriorStep next =
            interior_step(drug.uptake, drug.interior, cell_volume_, h, c, from[0], from[1], source, 0.0, to[0]);
        to[0] = next.free;
        to[1] = next.held;
      }
      if (drug.target.number > 0) {
        const TargetStep next = target_step(drug.target, h, c, from[2], from[3], from[4], 1.0, 0.0);
        to[2] = next.free;
        to[3] = next.bound;
        to[4] = next.inside;
      }
      exposure_of[d] = exposure(d, now, c);
    }
    for (std::size_t j = 0; j < clones_; ++j) {
      law_.rates(j, exposure_of, rate);
      for (std::size_t d = 0; d < drugs; ++d) {
        const KillLaw& law = drugs_[d].kill;
        const std::size_t damage = place(d) + 5 + 2 * j, hazard = damage + 1;
        double lethal = rate[d];
        if (law.lethal_rate > 0) {
          now.state[damage] = damage_step(law, h, known.state[damage], rate[d]);
          lethal = law.lethal_rate * now.state[damage];
        }
        now.state[hazard] = known.state[hazard] + h * lethal;
      }
    }
  }
  return stage[1];
}

void ReferenceCell::go(double until) {
  constexpr double tolerance = 1e-9;
  while (time_ < until) {
    const auto event = std::upper_bound(events_.begin(), events_.end(), time_);
    const double stop = event == events_.end() ? until : std::min(*event, until);
    // A jump at `stop` belongs to what follows.
    while (time_ < stop) {
      const double left = stop - time_, dt = std::min(dt_, left);
      const bool arrives = dt >= left;
      const double end = arrives ? std::nextafter(stop, 0.0) - time_ : dt;
      const Cell whole = step(cell_, time_, end), half = step(cell_, time_, 0.5 * end);
      Cell twice = step(half, time_ + 0.5 * end, 0.5 * end);
      double error = 0;
      for (std::size_t i = 0; i < floor_.size(); ++i)
        error = std::max(error, std::abs(twice.state[i] - whole.state[i]) / (std::abs(twice.state[i]) + floor_[i]) / 3);
      if (error <= tolerance || dt < 1e-6) {
        // Richardson's extrapolation of a second-order method.
        for (std::size_t i = 0; i < floor_.size(); ++i) twice.state[i] += (twice.state[i] - whole.state[i]) / 3;
        cell_ = std::move(twice);
        time_ = arrives ? stop : time_ + dt;
      }
      const double proposed = dt * std::clamp(0.9 * std::cbrt(tolerance / std::max(error, 1e-30)), 0.2, 2.0);
      dt_ = arrives && error <= tolerance ? std::max(dt_, proposed) : proposed;
    }
    if (event != events_.end() && time_ == *event) dt_ = 1;
  }
}

std::vector<double> ReferenceCell::at(double time) {
  if (const auto found = kept_.find(time); found != kept_.end()) return found->second;
  if (time < time_) {  // from the start again
    std::fill(cell_.state.begin(), cell_.state.end(), 0.0);
    for (std::size_t d = 0; d < drugs_.size(); ++d) cell_.state[place(d) + 2] = drugs_[d].target.number;
    time_ = 0;
    dt_ = 1;
  }
  go(time);
  std::vector<double>& hazards = kept_[time];
  for (std::size_t d = 0; d < drugs_.size(); ++d) {
    for (std::size_t j = 0; j < clones_; ++j) hazards.push_back(cell_.state[place(d) + 6 + 2 * j]);
  }
  return hazards;
}

std::vector<std::vector<double>> ReferenceCell::hazards(double t0, double t1) {
  const std::vector<double> from = at(t0), to = at(t1);
  std::vector<std::vector<double>> result(drugs_.size(), std::vector<double>(clones_));
  for (std::size_t d = 0; d < drugs_.size(); ++d) {
    for (std::size_t j = 0; j < clones_; ++j) result[d][j] = to[d * clones_ + j] - from[d * clones_ + j];
  }
  return result;
}

}  // namespace sanctuary
