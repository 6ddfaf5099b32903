#include "therapy/cell_kill.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/comm.hpp"
#include "solvers/sdirk.hpp"

namespace sanctuary {

RegimenLaw::RegimenLaw(std::span<const Drug> drugs) {
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t d = 0; d < drugs.size(); ++d) {
    law_.push_back(drugs[d].kill);
    resistant_.push_back(drugs[d].kill);
    resistant_.back().ec50 *= drugs[d].kill.resistance_fold;
    if (drugs[d].kill.emax <= 0) continue;
    if (drugs[d].combination.empty()) {
      alone_.push_back(d);
    } else {
      groups[drugs[d].combination].push_back(d);
    }
  }
  for (auto& [name, group] : groups) groups_.push_back(std::move(group));
}

void RegimenLaw::rates(std::size_t clone, std::span<const double> exposure, std::span<double> rate) const {
  std::fill(rate.begin(), rate.end(), 0.0);
  for (const std::size_t d : alone_) rate[d] = kill_rate_cycling(of_clone(clone)[d], exposure[d]);
  for (const auto& group : groups_) group_rates(group, clone, exposure, rate);
}

void RegimenLaw::group_rates(const std::vector<std::size_t>& group, std::size_t clone, std::span<const double> exposure,
                             std::span<double> rate) const {
  // Unknown: z = log of the odds E/(H - E), H the largest emax, which has all digits at both ends of the curve. The sum
  // of the terms falls with z from at least 1 at `low`, the largest effect of one of them, to at most 1 at `high`,
  // where none has more than its part.
  const std::vector<KillLaw>& law = of_clone(clone);
  double largest = 0, count = 0;
  for (const std::size_t d : group) {
    if (exposure[d] <= 0) continue;
    largest = std::max(largest, law[d].emax);
    ++count;
  }
  const auto dose = [&](std::size_t d) { return exposure[d] / law[d].ec50; };
  double low = -std::numeric_limits<double>::infinity(), high = low;
  constexpr double least_odds = 1e-290;  // no effect: what is below loses digits
  std::size_t strongest = group.front();
  for (const std::size_t d : group) {
    if (exposure[d] <= 0) continue;
    const double odds = std::pow(dose(d), law[d].hill),
                 alone = odds > least_odds ? std::log(law[d].emax / (largest / odds + (largest - law[d].emax))) : low;
    if (alone > low) {
      low = alone;
      strongest = d;
    }
    high = std::max(high, std::log(law[d].emax / largest) + law[d].hill * std::log(count * dose(d)));
  }
  if (!std::isfinite(low)) return;
  high = std::max(high, low);
  // Dose over the one that alone has the effect, and what that falls by with z, relatively.
  const auto term = [&](std::size_t d, double odds, double& falls) {
    const double left = law[d].emax - (largest - law[d].emax) * odds;
    falls = left > 0 ? law[d].emax / (left * law[d].hill) : 0.0;
    return exposure[d] > 0 && left > 0 ? dose(d) * std::pow(left / (largest * odds), 1 / law[d].hill) : 0.0;
  };
  // Newton's method for log(sum) = 0, halving where that is slow: a term falls ever steeper where its drug gives out.
  double z = low, last = high - low;
  for (int i = 0; i < 200; ++i) {
    double sum = 0, slope = 0;
    for (const std::size_t d : group) {
      double falls = 0;
      const double t = term(d, std::exp(z), falls);
      sum += t;
      slope += t * falls;
    }
    (sum > 1 ? low : high) = z;
    double change = sum * std::log(sum) / slope;
    if (!(z + change >= low && z + change <= high && 2 * std::abs(std::log(sum)) * sum <= std::abs(last) * slope))
      change = 0.5 * (low + high) - z;
    last = change;
    z += change;
    if (std::abs(change) <= 1e-15 * (1 + std::abs(z))) break;
  }
  double sum = 0, unused = 0;
  for (const std::size_t d : group) sum += rate[d] = term(d, std::exp(z), unused);
  const double effect = largest / (1 + std::exp(-z));
  if (sum > 0) {
    for (const std::size_t d : group) rate[d] *= effect / sum;
  } else {  // one gives all it can, and no other anything to speak of
    rate[strongest] = effect;
  }
}

CellKill::CellKill(MPI_Comm comm, std::span<const Drug> drugs, CellPopulation cells, double relative_tolerance)
    : comm_(comm),
      law_(drugs),
      cells_(std::move(cells)),
      relative_tolerance_(relative_tolerance),
      clones_(cells_.resistant_share > 0 ? 2 : 1),
      share_(clones_) {
  const std::size_t n = this->cells();
  if (clones_ == 2) {
    share_[0].assign(n, 1 - cells_.resistant_share);
    share_[1].assign(n, cells_.resistant_share);
  }
  of_drug_.resize(drugs.size());
  exposure_.resize(drugs.size());
  for (std::size_t d = 0; d < drugs.size(); ++d) {
    name_.push_back(drugs[d].name);
    of_drug_[d].clone.resize(clones_);
    if (!kills(d)) continue;
    for (auto& stage : exposure_[d]) stage.assign(n, 0.0);
    for (Clone& clone : of_drug_[d].clone) {
      for (auto* v : {&clone.hazard, &clone.rate, &clone.next_hazard, &clone.next_rate}) v->assign(n, 0.0);
      if (law_.law(d).lethal_rate > 0) {
        for (auto* v : {&clone.damage, &clone.next_damage}) v->assign(n, 0.0);
      }
    }
  }
  for (auto* v : {&density_[0], &density_[1], &death_[0], &death_[1], &death_now_, &bend_, &next_death_, &next_bend_})
    v->assign(n, 0.0);
}

double CellKill::hazard_cycling(std::size_t clone, std::size_t cell) const {
  double sum = 0;
  for (std::size_t d = 0; d < of_drug_.size(); ++d) {
    if (kills(d)) sum += of_drug_[d].clone[clone].hazard[cell];
  }
  return sum;
}

double CellKill::hazard_quiescent(std::size_t clone, std::size_t cell) const {
  double sum = 0;
  for (std::size_t d = 0; d < of_drug_.size(); ++d) {
    if (kills(d)) sum += law_.law(d).quiescent_factor * of_drug_[d].clone[clone].hazard[cell];
  }
  return sum;
}

double CellKill::survival(std::size_t clone, std::size_t cell) const {
  if (!cells_.killed[cell]) return 1;
  const double w = cells_.cycling_share[cell];
  return w * std::exp(-hazard_cycling(clone, cell)) + (1 - w) * std::exp(-hazard_quiescent(clone, cell));
}

double CellKill::survival(std::size_t cell) const {
  if (clones_ == 1) return survival(0, cell);
  double sum = 0;
  for (std::size_t j = 0; j < clones_; ++j) sum += share_[j][cell] * survival(j, cell);
  return sum;
}

void CellKill::begin(double dt) {
  dt_ = dt;
  const std::array<double, 2> at{sdirk::gamma * dt, dt};
  for (std::size_t i = 0; i < cells(); ++i) {
    const double now = cells_.killed[i] ? cells_.density[i] * survival(i) : cells_.density[i];
    const double rate = has_slope_ ? death_now_[i] : 0.0, bend = has_slope_ ? bend_[i] : 0.0;
    for (std::size_t s = 0; s < 2; ++s) {
      death_[s][i] = std::max(rate + bend * at[s], 0.0);
      const double fallen = std::max((rate + 0.5 * bend * at[s]) * at[s], 0.0);
      // A share of the cells, however small, is left to hold what is in them.
      density_[s][i] = std::max(now * std::exp(-fallen), 1e-200 * cells_.density[i]);
    }
  }
}

double CellKill::attempt() {
  if (law_.harmless()) return 0;
  const std::size_t n = cells(), drugs = of_drug_.size();
  std::vector<double> u(drugs), rate(drugs);
  const double h = sdirk::gamma * dt_, rest = (1 - sdirk::gamma) * dt_;
  // Squared errors and squares of the hazards, cells that are killed, squared gaps of the predicted survival.
  std::array<double, 4> all{};
  for (std::size_t i = 0; i < n; ++i) {
    if (!cells_.killed[i]) continue;
    all[2] += 1;
    const double w = cells_.cycling_share[i];
    std::array<double, 2> dying{};  // deaths per cell of the start and time, at the stages
    std::array<double, 2> alive{};  // share of the cells of the start
    for (std::size_t j = 0; j < clones_; ++j) {
      const double share = clones_ == 1 ? 1.0 : share_[j][i];
      double error = 0, hazard = 0;
      // Sums over the drugs at the stages: hazards and their rates in both phases.
      std::array<double, 2> in_cycle{}, at_rest{}, cycle_rate{}, rest_rate{};
      for (int stage = 0; stage < 2; ++stage) {
        for (std::size_t d = 0; d < drugs; ++d)
          u[d] = kills(d) ? exposure_[d][static_cast<std::size_t>(stage)][i] : 0.0;
        law_.rates(j, u, rate);
        for (std::size_t d = 0; d < drugs; ++d) {
          if (!kills(d)) continue;
          Clone& c = of_drug_[d].clone[j];
          const KillLaw& law = law_.law(d);
          double lethal = rate[d];
          bool goes_on = false;  // from the first stage, which is positive, where the second would start below zero
          if (law.lethal_rate > 0) {
            // Stage values of the damage; the first is kept in next_damage until the second is known.
            const double start =
                stage == 0 ? c.damage[i] : c.damage[i] + sdirk::carry * (c.next_damage[i] - c.damage[i]);
            goes_on = stage == 1 && start < 0;
            c.next_damage[i] =
                goes_on ? damage_step(law, rest, c.next_damage[i], rate[d]) : damage_step(law, h, start, rate[d]);
            lethal = law.lethal_rate * c.next_damage[i];
          }
          if (stage == 0) {
            c.next_hazard[i] = c.hazard[i] + h * lethal;
            c.next_rate[i] = lethal;
            error += sdirk::e1 * lethal + (has_slope_ ? sdirk::e0 * c.rate[i] : 0.0);
          } else {
            const double first = c.next_rate[i];
            if (has_slope_) {
              error += sdirk::e2 * lethal;
            } else {
              error = error - sdirk::e1 * first + sdirk::gamma * (lethal - first);
            }
            c.next_hazard[i] = c.hazard[i] + (goes_on ? h * first + rest * lethal : rest * first + h * lethal);
            c.next_rate[i] = lethal;
            hazard += c.next_hazard[i];
          }
          in_cycle[static_cast<std::size_t>(stage)] += c.next_hazard[i];
          at_rest[static_cast<std::size_t>(stage)] += law.quiescent_factor * c.next_hazard[i];
          cycle_rate[static_cast<std::size_t>(stage)] += lethal;
          rest_rate[static_cast<std::size_t>(stage)] += law.quiescent_factor * lethal;
        }
      }
      for (std::size_t s = 0; s < 2; ++s) {
        const double cycling_part = w * std::exp(-in_cycle[s]), resting_part = (1 - w) * std::exp(-at_rest[s]);
        alive[s] += share * (cycling_part + resting_part);
        dying[s] += share * (cycling_part * cycle_rate[s] + resting_part * rest_rate[s]);
      }
      all[0] += std::pow(dt_ * error, 2) / static_cast<double>(clones_);
      all[1] += hazard * hazard / static_cast<double>(clones_);
    }
    const double first = alive[0] > 0 ? dying[0] / alive[0] : 0.0, second = alive[1] > 0 ? dying[1] / alive[1] : 0.0;
    next_death_[i] = second;
    next_bend_[i] = (second - first) / ((1 - sdirk::gamma) * dt_);
    const double predicted = density_[1][i] / cells_.density[i];
    if (has_slope_) all[3] += std::pow(predicted - alive[1], 2);
  }
  MPI_Allreduce(MPI_IN_PLACE, all.data(), 4, MPI_DOUBLE, MPI_SUM, comm_);
  const double count = std::max(all[2], 1.0);
  const double allowed = relative_tolerance_ * (std::sqrt(all[1] / count) + 1e-2);
  return std::sqrt((all[0] + all[3]) / count) / allowed;
}

void CellKill::accept() {
  for (OfDrug& drug : of_drug_) {
    for (Clone& c : drug.clone) {
      c.hazard.swap(c.next_hazard);
      c.rate.swap(c.next_rate);
      c.damage.swap(c.next_damage);
    }
  }
  death_now_.swap(next_death_);
  bend_.swap(next_bend_);
  has_slope_ = true;
}

void CellKill::start_cycle(std::vector<double> cycling_share) {
  for (std::size_t i = 0; i < cells(); ++i) {
    if (!cells_.killed[i]) continue;
    const double all = survival(i);
    if (clones_ > 1 && all > 0) {
      for (std::size_t j = 0; j < clones_; ++j) share_[j][i] *= survival(j, i) / all;
    }
    cells_.density[i] *= all;
  }
  cells_.cycling_share = std::move(cycling_share);
  for (OfDrug& drug : of_drug_) {
    for (Clone& c : drug.clone) std::fill(c.hazard.begin(), c.hazard.end(), 0.0);
  }
}

std::vector<CellKill::Named> CellKill::states() {
  std::vector<Named> all{{"cell_density", &cells_.density},
                         {"cycling_share", &cells_.cycling_share},
                         {"death_rate", &death_now_},
                         {"death_bend", &bend_}};
  for (std::size_t j = 0; j < clones_ && clones_ > 1; ++j)
    all.push_back({"clone_share_" + std::to_string(j), &share_[j]});
  for (std::size_t d = 0; d < of_drug_.size(); ++d) {
    if (!kills(d)) continue;
    for (std::size_t j = 0; j < clones_; ++j) {
      Clone& c = of_drug_[d].clone[j];
      const std::string end = "_" + name_[d] + "_" + std::to_string(j);
      all.push_back({"hazard" + end, &c.hazard});
      all.push_back({"hazard_rate" + end, &c.rate});
      if (!c.damage.empty()) all.push_back({"damage" + end, &c.damage});
    }
  }
  return all;
}

}  // namespace sanctuary
