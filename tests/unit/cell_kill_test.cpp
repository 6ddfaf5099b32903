#include "therapy/cell_kill.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "solvers/sdirk.hpp"

namespace sanctuary {
namespace {

constexpr double hour = 3600;

Drug killer(const std::string& name, const KillLaw& law, const std::string& combination = {}) {
  Drug d;
  d.name = name;
  d.kill = law;
  d.combination = combination;
  return d;
}

std::vector<double> rates_of(const std::vector<Drug>& drugs, const std::vector<double>& exposure,
                             std::size_t clone = 0) {
  std::vector<double> rate(drugs.size());
  RegimenLaw(drugs).rates(clone, exposure, rate);
  return rate;
}

double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

/// Draws of laws and exposures; `alike` keeps the first law for all.
struct Draw {
  std::vector<Drug> drugs;
  std::vector<double> exposure;
};
Draw draw(std::uint64_t trial, std::size_t count, const std::string& combination) {
  static const RandomStream random(4, "regimen laws");
  std::uint64_t k = 40 * trial;
  const auto log_uniform = [&](double low, double high) { return low * std::pow(high / low, random.uniform(k++)); };
  Draw d;
  for (std::size_t i = 0; i < count; ++i) {
    KillLaw law;
    law.emax = log_uniform(1e-7, 1e-3);
    law.ec50 = log_uniform(1e-7, 1e-1);
    law.hill = log_uniform(0.3, 8);
    law.resistance_fold = log_uniform(1, 1e3);
    d.drugs.push_back(killer("d" + std::to_string(i), law, combination));
    d.exposure.push_back(law.ec50 * log_uniform(1e-3, 1e3));
  }
  return d;
}

TEST(RegimenLaw, IndependentDrugsAddTheirRates) {
  for (std::uint64_t trial = 0; trial < 1000; ++trial) {
    const Draw d = draw(trial, 3, "");
    const auto rate = rates_of(d.drugs, d.exposure);
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_DOUBLE_EQ(rate[i], kill_rate_cycling(d.drugs[i].kill, d.exposure[i])) << trial;
  }
}

TEST(RegimenLaw, HalvesOfADoseAreTheDose) {  // the sham test of Loewe's additivity
  for (std::uint64_t trial = 0; trial < 2000; ++trial) {
    const Draw d = draw(trial, 1, "g");
    Drug again = d.drugs[0];
    again.name = "again";
    const double whole = kill_rate_cycling(d.drugs[0].kill, d.exposure[0]);
    for (const double part : {0.5, 0.1, 1e-4}) {
      const auto rate = rates_of({d.drugs[0], again}, {part * d.exposure[0], (1 - part) * d.exposure[0]});
      EXPECT_NEAR(sum(rate), whole, 1e-12 * whole) << trial;
      EXPECT_NEAR(rate[0], part * whole, 1e-11 * part * whole) << trial;
    }
    EXPECT_NEAR(sum(rates_of({d.drugs[0], again}, {d.exposure[0], 0})), whole, 1e-12 * whole);
  }
}

TEST(RegimenLaw, DrugsOfAGroupWithOneHillExponentHaveAClosedForm) {
  for (std::uint64_t trial = 0; trial < 2000; ++trial) {
    Draw d = draw(trial, 3, "g");
    double x = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      d.drugs[i].kill.emax = d.drugs[0].kill.emax;
      d.drugs[i].kill.hill = d.drugs[0].kill.hill;
      x += d.exposure[i] / d.drugs[i].kill.ec50;
    }
    const auto rate = rates_of(d.drugs, d.exposure);
    const double joint = d.drugs[0].kill.emax * hill_function(x, 1, d.drugs[0].kill.hill);
    EXPECT_NEAR(sum(rate), joint, 1e-12 * joint) << trial;
    for (std::size_t i = 0; i < 3; ++i) {
      const double own = joint * d.exposure[i] / d.drugs[i].kill.ec50 / x;
      EXPECT_NEAR(rate[i], own, 1e-10 * own) << trial;
    }
  }
}

TEST(RegimenLaw, DosesOfAGroupAddUpToOne) {
  int joint = 0, checked = 0;
  for (std::uint64_t trial = 0; trial < 10000; ++trial) {
    const Draw d = draw(trial, 3, "g");
    const auto rate = rates_of(d.drugs, d.exposure);
    const double effect = sum(rate);
    double best = 0, largest = 0, parts = 0;
    bool flat = false;  // so near the end of a curve that the effect no longer tells the dose
    for (std::size_t i = 0; i < 3; ++i) {
      const KillLaw& law = d.drugs[i].kill;
      ASSERT_GE(rate[i], 0) << trial;
      best = std::max(best, kill_rate_cycling(law, d.exposure[i]));
      largest = std::max(largest, law.emax);
      flat = flat || std::abs(effect / law.emax - 1) < 1e-3;
    }
    EXPECT_GE(effect, best * (1 - 1e-14)) << trial;
    EXPECT_LE(effect, largest * (1 + 1e-14)) << trial;
    joint += effect > 1.01 * best;
    for (std::size_t i = 0; i < 3; ++i) {  // more of one drug kills more
      auto more = d.exposure;
      more[i] *= 1.5;
      EXPECT_GE(sum(rates_of(d.drugs, more)), effect * (1 - 1e-13)) << trial;
    }
    if (flat) continue;
    ++checked;
    for (std::size_t i = 0; i < 3; ++i) {
      const KillLaw& law = d.drugs[i].kill;
      const double alone = effect < law.emax ? law.ec50 * std::pow(effect / (law.emax - effect), 1 / law.hill) : 0;
      const double part = alone > 0 ? d.exposure[i] / alone : 0.0;
      parts += part;
      EXPECT_NEAR(rate[i], effect * part, 1e-10 * effect) << trial;
    }
    EXPECT_NEAR(parts, 1, 1e-10) << trial;
  }
  EXPECT_GT(joint, 1000);
  EXPECT_GT(checked, 5000);
}

TEST(RegimenLaw, AResistantCloneFeelsLessByTheFold) {
  for (std::uint64_t trial = 0; trial < 1000; ++trial) {
    for (const char* combination : {"", "g"}) {
      const Draw d = draw(trial, 2, combination);
      auto more = d.exposure;
      for (std::size_t i = 0; i < 2; ++i) more[i] *= d.drugs[i].kill.resistance_fold;
      const auto sensitive = rates_of(d.drugs, d.exposure, 0), resistant = rates_of(d.drugs, more, 1);
      for (std::size_t i = 0; i < 2; ++i) EXPECT_NEAR(resistant[i], sensitive[i], 1e-11 * sum(sensitive)) << trial;
    }
  }
}

/// Death of the cells of one cell of the grid by given exposures.
struct Killing {
  CellKill kill;
  std::size_t drugs;
  Killing(const std::vector<Drug>& list, double cycling_share = 1, double resistant_share = 0)
      : kill(MPI_COMM_SELF, list,
             {.density = {1e14}, .killed = {1}, .cycling_share = {cycling_share}, .resistant_share = resistant_share},
             1e-3),
        drugs(list.size()) {}
  void run(double from, double until, int steps, const std::function<double(std::size_t, double)>& exposure) {
    const double dt = (until - from) / steps;
    for (int s = 0; s < steps; ++s) {
      const double t = from + s * dt;
      kill.begin(dt);
      for (std::size_t d = 0; d < drugs; ++d) {
        if (!kill.kills(d)) continue;
        kill.exposure(d, 1)[0] = exposure(d, t + sdirk::gamma * dt);
        kill.exposure(d, 2)[0] = exposure(d, t + dt);
      }
      (void)kill.attempt();
      kill.accept();
    }
  }
  [[nodiscard]] double hazard(std::size_t drug = 0) const { return kill.hazard(drug, 0)[0]; }
  [[nodiscard]] double damage() {
    for (const auto& s : kill.states()) {
      if (s.name == "damage_a_0") return (*s.values)[0];
    }
    return std::nan("");
  }
};

KillLaw delayed(double repair) {
  return {.emax = 0.2 / hour,
          .ec50 = 1e-4,
          .hill = 1.5,
          .quiescent_factor = 0.3,
          .lethal_rate = 0.1 / hour,
          .repair_rate = repair};
}

TEST(Damage, FollowsItsClosedFormAtAConstantExposure) {
  for (const double repair : {0.0, 0.05 / hour}) {
    const KillLaw law = delayed(repair);
    const double u = 2e-4, effect = kill_rate_cycling(law, u), t = 20 * hour, k = law.lethal_rate + law.repair_rate;
    const double damage = effect / k * -std::expm1(-k * t), hazard = law.lethal_rate / k * (effect * t - damage);
    std::vector<double> of_damage, of_hazard;
    for (const int steps : {40, 80, 160}) {
      Killing cells({killer("a", law)});
      cells.run(0, t, steps, [&](std::size_t, double) { return u; });
      of_damage.push_back(std::abs(cells.damage() - damage) / damage);
      of_hazard.push_back(std::abs(cells.hazard() - hazard) / hazard);
    }
    EXPECT_LT(of_damage[2], 1e-4);
    EXPECT_LT(of_hazard[2], 1e-4);
    for (int i = 0; i < 2; ++i) {
      EXPECT_NEAR(std::log2(of_damage[i] / of_damage[i + 1]), 2, 0.1);
      EXPECT_NEAR(std::log2(of_hazard[i] / of_hazard[i + 1]), 2, 0.1);
    }
  }
}

TEST(Damage, IsOfSecondOrderAtAnExposureThatChanges) {
  const auto course = [](std::size_t, double t) { return 1e-4 * (2 + std::sin(t / 8000)); };
  const auto run = [&](int steps) {
    Killing cells({killer("a", delayed(0.05 / hour))});
    cells.run(0, 12 * hour, steps, course);
    return std::array{cells.damage(), cells.hazard()};
  };
  const auto fine = run(25600), one = run(400), two = run(800);
  for (const std::size_t i : {0U, 1U}) {
    EXPECT_NEAR(std::log2((one[i] - fine[i]) / (two[i] - fine[i])), 2, 0.1) << one[i] / fine[i] - 1;
    EXPECT_LT(std::abs(one[i] / fine[i] - 1), 1e-4);
  }
}

TEST(Damage, KillsInTheEndWhatIsNotRepaired) {
  for (const double repair : {0.0, 0.05 / hour, 0.4 / hour}) {
    const KillLaw law = delayed(repair);
    KillLaw at_once = law;
    at_once.lethal_rate = at_once.repair_rate = 0;
    Killing cells({killer("a", law)}), direct({killer("a", at_once)});
    for (Killing* c : {&cells, &direct}) {
      c->run(0, 8 * hour, 100, [](std::size_t, double) { return 3e-4; });
      c->run(8 * hour, 600 * hour, 400, [](std::size_t, double) { return 0.0; });
    }
    const double all = 8 * hour * kill_rate_cycling(law, 3e-4);
    const double share = law.lethal_rate / (law.lethal_rate + law.repair_rate);
    EXPECT_NEAR(direct.hazard(), all, 1e-12 * all);
    EXPECT_NEAR(cells.hazard(), share * all, 1e-10 * all) << repair;
    EXPECT_NEAR(cells.kill.hazard_quiescent(0, 0), 0.3 * cells.hazard(), 1e-14);
  }
}

TEST(Damage, KillsAsMuchInStepsFarBeyondItsTime) {  // where the second stage would start below zero
  for (const double repair : {0.0, 0.05 / hour}) {
    const KillLaw law = delayed(repair);
    const double k = law.lethal_rate + law.repair_rate, all = 8 * hour * kill_rate_cycling(law, 3e-4);
    for (const double times : {1.0, 3.0, 30.0, 1e4}) {
      Killing cells({killer("a", law)});
      cells.run(0, 8 * hour, 100, [](std::size_t, double) { return 3e-4; });
      const int steps = times < 2 ? 100 : 40;
      cells.run(8 * hour, 8 * hour + steps * times / k, steps, [&](std::size_t, double) {
        EXPECT_GE(cells.damage(), 0);
        return 0.0;
      });
      EXPECT_NEAR(cells.hazard(), law.lethal_rate / k * all, 1e-10 * all) << times;
    }
  }
}

TEST(CellKill, SurvivalOfIndependentDrugsIsTheProduct) {
  const KillLaw a = delayed(0.05 / hour), b{.emax = 0.1 / hour, .ec50 = 3e-5, .hill = 1, .quiescent_factor = 0.8};
  const auto course = [](std::size_t drug, double t) {
    return drug == 0 ? 2e-4 * std::exp(-t / 20000) : 5e-5 * std::exp(-t / 9000);
  };
  const auto second = [&](std::size_t, double t) { return course(1, t); };
  for (const double share : {1.0, 0.0, 0.4}) {
    Killing both({killer("a", a), killer("b", b)}, share), first({killer("a", a)}, share),
        other({killer("b", b)}, share);
    both.run(0, 24 * hour, 300, course);
    first.run(0, 24 * hour, 300, course);
    other.run(0, 24 * hour, 300, second);
    EXPECT_DOUBLE_EQ(both.hazard(0), first.hazard());
    EXPECT_DOUBLE_EQ(both.hazard(1), other.hazard());
    const double one = first.kill.survival(0), two = other.kill.survival(0), found = both.kill.survival(0);
    ASSERT_LT(std::max(one, two), 0.9);
    if (share == 1.0 || share == 0.0) {
      EXPECT_NEAR(found, one * two, 1e-14);
    } else {  // by phase, not by mixture
      const double k1 = first.hazard(), k2 = other.hazard();
      EXPECT_NEAR(found, share * std::exp(-k1 - k2) + (1 - share) * std::exp(-0.3 * k1 - 0.8 * k2), 1e-14);
      EXPECT_GT(found, one * two + 1e-3);
    }
  }
}

TEST(CellKill, DrugsOfAGroupActAsOne) {
  KillLaw law{.emax = 0.1 / hour, .ec50 = 3e-5, .hill = 2, .quiescent_factor = 0.5};
  const auto course = [](double t) { return 2e-5 * std::exp(-t / 20000); };
  Killing split({killer("a", law, "g"), killer("b", law, "g")}, 0.4), whole({killer("a", law, "g")}, 0.4),
      apart({killer("a", law), killer("b", law)}, 0.4);
  for (Killing* c : {&split, &apart}) c->run(0, 12 * hour, 100, [&](std::size_t, double t) { return 0.5 * course(t); });
  whole.run(0, 12 * hour, 100, [&](std::size_t, double t) { return course(t); });
  EXPECT_NEAR(split.kill.survival(0), whole.kill.survival(0), 1e-13);
  EXPECT_GT(std::abs(apart.kill.survival(0) - whole.kill.survival(0)), 1e-3);
}

TEST(CellKill, ClonesDieEachByItsOwnLaw) {
  KillLaw law{.emax = 0.1 / hour, .ec50 = 3e-5, .hill = 1, .quiescent_factor = 0.5, .resistance_fold = 100};
  const auto course = [](std::size_t, double t) { return 8e-5 * std::exp(-t / 20000); };
  KillLaw hard = law;
  hard.ec50 *= 100;
  Killing mixed({killer("a", law)}, 0.4, 0.2), sensitive({killer("a", law)}, 0.4), resistant({killer("a", hard)}, 0.4);
  for (Killing* c : {&mixed, &sensitive, &resistant}) c->run(0, 12 * hour, 100, course);
  EXPECT_NEAR(mixed.kill.survival(0, 0), sensitive.kill.survival(0), 1e-14);
  EXPECT_NEAR(mixed.kill.survival(1, 0), resistant.kill.survival(0), 1e-14);
  EXPECT_NEAR(mixed.kill.survival(0), 0.8 * sensitive.kill.survival(0) + 0.2 * resistant.kill.survival(0), 1e-14);
  const double all = mixed.kill.survival(0), left = 0.2 * resistant.kill.survival(0) / all;
  mixed.kill.start_cycle({0.4});
  EXPECT_NEAR(mixed.kill.clone_share(1)[0], left, 1e-14);
  EXPECT_NEAR(mixed.kill.clone_share(0)[0] + mixed.kill.clone_share(1)[0], 1, 1e-14);
  EXPECT_NEAR(mixed.kill.population().density[0], 1e14 * all, 1e-12 * 1e14);
  EXPECT_EQ(mixed.kill.survival(0), 1);
}

}  // namespace
}  // namespace sanctuary
