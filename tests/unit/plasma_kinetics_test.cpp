#include "therapy/plasma_kinetics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <sstream>
#include <string>

#include "base/error.hpp"

namespace sanctuary {
namespace {

constexpr double litre = 1e-3, hour = 3600, day = 24 * hour;
const PlasmaModel doxorubicin{.clearance = 62.4 * litre / hour,
                              .volume = 17.7 * litre,
                              .flow = {50.7 * litre / hour, 28.4 * litre / hour},
                              .peripheral = {1830 * litre, 71 * litre}};

// Independent check: classical Runge-Kutta on the amounts.
std::array<double, 3> integrate(const PlasmaModel& m, const Dose& dose, double until, int steps) {
  std::array<double, 3> a{dose.duration > 0 ? 0.0 : dose.amount, 0, 0};
  const auto slope = [&](const std::array<double, 3>& x, bool infusing) {
    std::array<double, 3> r{};
    r[0] = -m.clearance * x[0] / m.volume + (infusing ? dose.amount / dose.duration : 0.0);
    for (int i = 0; i < 2; ++i) {
      if (m.peripheral[i] <= 0) continue;
      const double exchange = m.flow[i] * (x[0] / m.volume - x[i + 1] / m.peripheral[i]);
      r[0] -= exchange;
      r[i + 1] += exchange;
    }
    return r;
  };
  const auto run = [&](double length, bool infusing, int n) {
    const double h = length / n;
    const auto add = [](std::array<double, 3> x, const std::array<double, 3>& k, double f) {
      for (int i = 0; i < 3; ++i) x[i] += f * k[i];
      return x;
    };
    for (int s = 0; s < n; ++s) {
      const auto k1 = slope(a, infusing), k2 = slope(add(a, k1, h / 2), infusing),
                 k3 = slope(add(a, k2, h / 2), infusing), k4 = slope(add(a, k3, h), infusing);
      for (int i = 0; i < 3; ++i) a[i] += h / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]);
    }
  };
  const double during = std::min(dose.duration, until);
  if (during > 0) run(during, true, steps);
  if (until > during) run(until - during, false, steps);
  return a;
}

TEST(PlasmaKinetics, OneCompartmentBolusAndInfusion) {
  const PlasmaModel model{.clearance = 2e-6, .volume = 4e-3};  // rate 5e-4 1/s
  const PlasmaKinetics bolus(model, {{100, 0, 8e-3}});
  EXPECT_EQ(bolus.concentration(99.9), 0.0);
  EXPECT_DOUBLE_EQ(bolus.concentration(100), 2.0);
  EXPECT_NEAR(bolus.concentration(2100), 2 * std::exp(-1.0), 1e-14);
  const PlasmaKinetics infusion(model, {{0, 1000, 8e-3}});
  EXPECT_NEAR(infusion.concentration(500), 8e-3 / 1000 / 2e-6 * (1 - std::exp(-0.25)), 1e-13);
  EXPECT_NEAR(infusion.concentration(3000), 8e-3 / 1000 / 2e-6 * (1 - std::exp(-0.5)) * std::exp(-1.0), 1e-13);
}

TEST(PlasmaKinetics, ThreeCompartmentsAgreeWithTheirEquations) {
  for (const Dose& dose : {Dose{0, 0, 1.9e-4}, Dose{0, 900, 1.9e-4}}) {
    const PlasmaKinetics kinetics(doxorubicin, {dose});
    for (const double time : {300.0, 900.0, 4000.0, 36000.0}) {
      const auto amounts = integrate(doxorubicin, dose, time, 20000);
      for (int i = 0; i < 3; ++i)
        EXPECT_NEAR(kinetics.amount_in(i, time), amounts[i], 1e-9 * dose.amount) << time << ' ' << i;
      EXPECT_DOUBLE_EQ(kinetics.concentration(time), kinetics.amount_in(0, time) / doxorubicin.volume);
    }
  }
}

TEST(PlasmaKinetics, TwoCompartmentStepOfPhysiPkpd) {  // model sources H2: k12 .1, k21 .05, rate .02, step 1
  const PlasmaModel model{.clearance = 0.02, .volume = 1, .flow = {0.1, 0}, .peripheral = {2, 0}};
  const PlasmaKinetics kinetics(model, {{0, 0, 1}});
  EXPECT_NEAR(kinetics.amount_in(0, 1), 0.8891913, 1e-7);
  EXPECT_NEAR(kinetics.amount_in(1, 1), 0.1838931 * 0.5, 1e-7);  // their second row is per their volume ratio of 2
}

TEST(PlasmaKinetics, HalfLivesOfNivolumab) {  // H1, Liu: 1.670 and 28.572 d
  const PlasmaModel model{.clearance = 0.0082 * litre / hour,
                          .volume = 3.86 * litre,
                          .flow = {0.0307 * litre / hour, 0},
                          .peripheral = {3.73 * litre, 0}};
  const PlasmaKinetics kinetics(model, {});
  ASSERT_EQ(kinetics.rates().size(), 2u);
  EXPECT_NEAR(std::numbers::ln2 / kinetics.rates()[0] / day, 1.670, 1e-3);
  EXPECT_NEAR(std::numbers::ln2 / kinetics.rates()[1] / day, 28.572, 1e-3);
}

TEST(PlasmaKinetics, AreaIsDoseOverClearance) {  // H3
  for (const auto& model : {doxorubicin, PlasmaModel{.clearance = 2e-6, .volume = 4e-3},
                            PlasmaModel{.clearance = 1e-8, .volume = 4e-3, .flow = {1e-7, 0}, .peripheral = {5e-3, 0}}})
    for (const double duration : {0.0, 1e-6, 900.0, 1e6}) {
      const PlasmaKinetics kinetics(model, {{0, duration, 1e-4}, {5000, duration, 3e-4}});
      const double all = kinetics.total_area();
      EXPECT_DOUBLE_EQ(all, 4e-4 / model.clearance);
      EXPECT_NEAR(kinetics.area(0, 1e10), all, 1e-12 * all) << duration;
      EXPECT_NEAR(kinetics.area(-10, 777) + kinetics.area(777, 1e10), all, 1e-12 * all);
      EXPECT_DOUBLE_EQ(kinetics.area(4000, 100), -kinetics.area(100, 4000));
    }
}

TEST(PlasmaKinetics, MassIsConservedAtEveryTime) {
  const PlasmaKinetics kinetics(doxorubicin, {{0, 900, 1.9e-4}, {7200, 0, 1e-4}});
  for (const double time : {10.0, 500.0, 900.0, 7199.0, 7200.0, 1e5, 1e7}) {
    const double inside = kinetics.amount_in(0, time) + kinetics.amount_in(1, time) + kinetics.amount_in(2, time);
    EXPECT_NEAR(inside + kinetics.eliminated(time), kinetics.given(time), 1e-16) << time;
  }
}

TEST(PlasmaKinetics, AreaIsTheIntegralOfTheConcentration) {
  const PlasmaKinetics kinetics(doxorubicin, {{0, 900, 1.9e-4}});
  const auto simpson = [&](double a, double b) {
    double sum = 0;
    const int n = 4000;
    for (int i = 0; i <= n; ++i)
      sum += (i == 0 || i == n ? 1 : (i % 2 ? 4 : 2)) * kinetics.concentration(a + (b - a) * i / n);
    return sum * (b - a) / n / 3;
  };
  for (const auto& [a, b] : {std::pair{0.0, 900.0}, {100.0, 101.0}, {900.0, 5000.0}, {1e6, 1e6 + 1}}) {
    const double area = kinetics.area(a, b);
    EXPECT_NEAR(area, simpson(a, b), 1e-9 * area) << a;
  }
}

TEST(PlasmaKinetics, AreaOfASlowDrugKeepsItsDigits) {  // rate t = 1e-7: R t^2/(2 V) (1 - rate t/3)
  const PlasmaKinetics kinetics({.clearance = 1e-12, .volume = 1e-3}, {{0, 100, 1}});
  EXPECT_NEAR(kinetics.area(0, 100) / (1.0 / 100 * 1e4 / 2 / 1e-3 * (1 - 1e-7 / 3)), 1.0, 1e-13);
}

TEST(PlasmaKinetics, ShortInfusionIsABolus) {
  const PlasmaKinetics bolus(doxorubicin, {{0, 0, 1e-4}});
  for (const double duration : {1e-3, 1e-9, 1e-15}) {
    const PlasmaKinetics infusion(doxorubicin, {{0, duration, 1e-4}});
    EXPECT_NEAR(infusion.concentration(60) / bolus.concentration(60), 1.0, duration * 0.01 + 1e-14);
  }
}

TEST(PlasmaKinetics, EqualAndVanishingRatesLoseNoDigits) {
  // Twin peripherals act as one of twice the size.
  const PlasmaModel twins{.clearance = 1e-6, .volume = 1e-2, .flow = {2e-6, 2e-6}, .peripheral = {3e-2, 3e-2}};
  const PlasmaModel one{.clearance = 1e-6, .volume = 1e-2, .flow = {4e-6, 0}, .peripheral = {6e-2, 0}};
  PlasmaModel near = twins;
  near.peripheral[1] *= 1 + 1e-13;
  for (const double time : {0.0, 1e3, 1e5}) {
    const double expected = PlasmaKinetics(one, {{0, 600, 1}}).concentration(time);
    EXPECT_NEAR(PlasmaKinetics(twins, {{0, 600, 1}}).concentration(time), expected, 1e-12 * expected);
    EXPECT_NEAR(PlasmaKinetics(near, {{0, 600, 1}}).concentration(time), expected, 1e-11 * expected);
  }
  // Nothing cleared: the amount stays.
  const PlasmaModel closed{.clearance = 0, .volume = 1e-2, .flow = {2e-6, 0}, .peripheral = {3e-2, 0}};
  const PlasmaKinetics kinetics(closed, {{0, 600, 1}});
  EXPECT_NEAR(kinetics.concentration(1e8), 1 / 4e-2, 1e-10);
  EXPECT_TRUE(std::isinf(kinetics.total_area()));
}

TEST(PlasmaKinetics, RepeatedDosesAccumulate) {  // H5, H7: t1/2 20 d every 14 d: 2.6013
  const PlasmaModel model{.clearance = std::numbers::ln2 / (20 * day), .volume = 1};
  std::vector<Dose> doses;
  for (int i = 0; i < 200; ++i) doses.push_back({i * 14 * day, 0, 1});
  EXPECT_NEAR(PlasmaKinetics(model, doses).concentration(199 * 14 * day), 2.6013, 1e-4);
}

TEST(PlasmaKinetics, EventsAreTheKinks) {
  const PlasmaKinetics kinetics(doxorubicin, {{7200, 0, 1}, {0, 900, 1}, {900, 100, 1}});
  EXPECT_EQ(kinetics.events(), (std::vector<double>{0, 900, 1000, 7200}));
}

TEST(PlasmaKinetics, RefusesNonsense) {
  EXPECT_THROW(PlasmaKinetics({.clearance = 1, .volume = 0}, {}), InputError);
  EXPECT_THROW(PlasmaKinetics({.clearance = -1, .volume = 1}, {}), InputError);
  EXPECT_THROW(PlasmaKinetics({.clearance = 1, .volume = 1}, {{0, -1, 1}}), InputError);
  EXPECT_THROW(PlasmaKinetics({.clearance = NAN, .volume = 1}, {}), InputError);
}

TEST(PlasmaKinetics, TypicalTwoCompartmentTable) {
  std::ifstream table(std::filesystem::path(SANCTUARY_REFERENCE_DATA) / "analytic" / "pk_two_compartment_typical.csv");
  if (!table) GTEST_SKIP() << "skipped: reference data not found";
  struct Typical {
    std::string start;
    double clearance, volume1, flow, volume2, dose;  // [L/d], [L], [L/d], [L], [mg]: drug_params/pk.csv
  };
  const Typical drugs[] = {{"pembrolizumab", 0.22, 3.48, 0.795, 4.06, 200},
                           {"T-DXd", 0.421, 2.77, 0.199, 5.16, 5.4 * 57.8},
                           {"\"bevacizumab", 0.0086 * 24, 2.678, 0.0186 * 24, 2.423, 15 * 70},
                           {"\"atezolizumab", 0.23, 3.25, 0.603, 2.88, 1200}};
  int compared = 0;
  for (std::string line; std::getline(table, line);)
    for (const auto& typical : drugs) {
      if (!line.starts_with(typical.start)) continue;
      std::vector<std::string> cells;
      std::istringstream stream(line);
      for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell);
      ASSERT_GE(cells.size(), 5u);
      const auto number = [&](int from_end) {
        return std::stod(cells[cells.size() - static_cast<std::size_t>(from_end)]);
      };
      std::vector<Dose> doses;
      for (int i = 0; i < 6; ++i) doses.push_back({i * 21 * day, hour / 2, typical.dose * 1e-6});
      const PlasmaKinetics kinetics({.clearance = typical.clearance * litre / day,
                                     .volume = typical.volume1 * litre,
                                     .flow = {typical.flow * litre / day, 0},
                                     .peripheral = {typical.volume2 * litre, 0}},
                                    doses);
      EXPECT_NEAR(std::numbers::ln2 / kinetics.rates()[0] / day, number(2), 1e-7 * number(2));
      EXPECT_NEAR(std::numbers::ln2 / kinetics.rates()[1] / day, number(1), 1e-7 * number(1));
      // Times are printed to six digits, some at the steep end of an infusion.
      EXPECT_NEAR(kinetics.concentration(number(4) * day) * 1e3, number(3), 5e-6 * number(3)) << line;
      ++compared;
    }
  EXPECT_EQ(compared, 52);
}

}  // namespace
}  // namespace sanctuary
