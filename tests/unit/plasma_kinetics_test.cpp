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

TEST(PlasmaKinetics, TwoCompartmentStepOfPhysiPkpd) {
  // Model sources H2: k12 .1, k21 .05, rate .02, step 1; their second row holds twice the amount, their volume ratio.
  const PlasmaModel model{.clearance = 0.02, .volume = 1, .flow = {0.1, 0}, .peripheral = {2, 0}};
  const PlasmaKinetics kinetics(model, {{0, 0, 1}});
  EXPECT_NEAR(kinetics.amount_in(0, 1), 0.8891913, 0.5e-7);
  EXPECT_NEAR(kinetics.amount_in(1, 1) * 2, 0.1838931, 0.5e-7);
  // Second column, from x(t + 1) = M x(t) on the same course, to the digits that it and the first one give (of .9535540
  // the last is rounded up from .95355393).
  for (const double t : {7.0, 30.0}) {
    const double plasma = kinetics.amount_in(0, t), second = 2 * kinetics.amount_in(1, t);
    const double open = 0.75e-7 * (1 + plasma / second);
    EXPECT_NEAR((kinetics.amount_in(0, t + 1) - 0.8891913 * plasma) / second, 0.0229866, open) << t;
    EXPECT_NEAR((2 * kinetics.amount_in(1, t + 1) - 0.1838931 * plasma) / second, 0.9535540, open) << t;
  }
}

TEST(PlasmaKinetics, HalfLivesOfNivolumab) {  // H1
  struct Row {
    double clearance, volume1, flow, volume2, fast, slow, within;  // [L/d], [L], [d]
  };
  // The published model of antibodies in quantitative systems pharmacology exchanges q (c/gamma_c - p/gamma_p): here
  // with the flow q/gamma_c and the volume V_p gamma_p/gamma_c. Its V_p of breast cancer is known to a tenth of a
  // litre.
  const double q = 8.8e-6 * 86400, central = 0.61, peripheral = 0.0452;
  for (const Row& row : {Row{0.0082 * 24, 3.86, 0.0307 * 24, 3.73, 1.670, 28.572, 0.5e-3},
                         Row{0.37, 5, q / central, 60 * peripheral / central, 1.222, 18.946, 0.5e-3},
                         Row{0.37, 6, q / central, 61.3 * peripheral / central, 1.358, 20.922, 0.5e-2}}) {
    const PlasmaKinetics kinetics({.clearance = row.clearance * litre / day,
                                   .volume = row.volume1 * litre,
                                   .flow = {row.flow * litre / day, 0},
                                   .peripheral = {row.volume2 * litre, 0}},
                                  {});
    ASSERT_EQ(kinetics.rates().size(), 2u);
    EXPECT_NEAR(std::numbers::ln2 / kinetics.rates()[0] / day, row.fast, row.within);
    EXPECT_NEAR(std::numbers::ln2 / kinetics.rates()[1] / day, row.slow, row.within);
  }
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
  const PlasmaKinetics steady(model, doses);
  EXPECT_NEAR(steady.concentration(199 * 14 * day), 2.6013, 0.5e-4);
  // The trough over that of the first dose is the same ratio, 1/(1 - e^(-rate interval)).
  for (const double interval : {1.0, 14.0, 40.0}) {
    doses.clear();
    for (int i = 0; i < 500; ++i) doses.push_back({i * interval * day, 0, 1});
    const PlasmaKinetics kinetics(model, doses);
    const double ratio = -1 / std::expm1(-std::numbers::ln2 / 20 * interval), end = interval * day * (1 - 1e-12);
    EXPECT_NEAR(kinetics.concentration(499 * interval * day + end) / kinetics.concentration(end), ratio, 1e-6 * ratio);
  }
}

TEST(PlasmaKinetics, OralDoseIsBatemans) {
  // F D ka/(V (ka - k)) (e^-kt - e^-kat), and its limit F D k t e^-kt/V at ka = k.
  const double k = 1e-4, volume = 4e-2;
  for (const double ka : {3e-4, 1e-4 * (1 + 1e-13), 1e-4, 2e-5}) {
    const PlasmaKinetics kinetics({.clearance = k * volume, .volume = volume, .absorption_rate = ka},
                                  {{.start = 600, .amount = 2e-3, .gut = true}});
    EXPECT_EQ(kinetics.concentration(600), 0);
    for (const double t : {60.0, 7000.0, 1e5}) {
      const double bateman = std::abs(ka - k) < 1e-12 * k
                                 ? 2e-3 / volume * k * t * std::exp(-k * t)
                                 : 2e-3 / volume * ka * std::exp(-k * t) * -std::expm1(-(ka - k) * t) / (ka - k);
      EXPECT_NEAR(kinetics.concentration(600 + t), bateman, 1e-12 * bateman) << ka << " " << t;
    }
    EXPECT_NEAR(kinetics.area(0, 1e9), 2e-3 / (k * volume), 1e-12 * 2e-3 / (k * volume));
    EXPECT_NEAR(kinetics.amount_in_gut(600 + 1e4), 2e-3 * std::exp(-ka * 1e4), 1e-15);
    EXPECT_NEAR(kinetics.amount_in(0, 9e3) + kinetics.amount_in_gut(9e3) + kinetics.eliminated(9e3), 2e-3, 1e-16);
  }
}

TEST(PlasmaKinetics, MetaboliteIsFormedAndCleared) {
  PlasmaModel model = doxorubicin;
  model.metabolite = {.fraction = 0.3, .clearance = 20 * litre / hour, .volume = 50 * litre};
  const PlasmaKinetics kinetics(model, {{0, 900, 1e-4}});
  const double formed = kinetics.metabolite_formed(1e9);
  EXPECT_NEAR(formed, 0.3e-4, 1e-12 * 0.3e-4);
  EXPECT_NEAR(kinetics.metabolite_area(0, 1e9), 0.3e-4 / model.metabolite.clearance,
              1e-11 * formed / model.metabolite.clearance);
  const double t = 3 * hour, h = 10;
  const double slope = (kinetics.metabolite(t + h) - kinetics.metabolite(t - h)) / (2 * h);
  EXPECT_NEAR(slope * model.metabolite.volume,
              0.3 * model.clearance * kinetics.concentration(t) - model.metabolite.clearance * kinetics.metabolite(t),
              1e-5 * model.clearance * kinetics.concentration(t));
}

TEST(PlasmaKinetics, SaturableEliminationIsMichaelisMenten) {
  // One compartment, bolus: Km ln(c0/c) + c0 - c = Vmax t/V.
  const double volume = 1e-2, half = 5e-4, most = 2e-9;
  const PlasmaKinetics kinetics({.clearance = 0, .volume = volume, .saturable_rate = most, .saturable_half = half},
                                {{0, 0, 3e-5}});
  const double c0 = 3e-3;
  for (const double t : {100.0, 5000.0, 14000.0, 30000.0}) {
    const double c = kinetics.concentration(t);
    EXPECT_NEAR(half * std::log(c0 / c) + c0 - c, most * t / volume, 1e-8 * most * t / volume) << t;
  }
  EXPECT_NEAR(kinetics.amount_in(0, 2e4) + kinetics.eliminated(2e4), 3e-5, 1e-14);
  EXPECT_THROW((void)kinetics.total_area(), InputError);
  // Far below Km it is linear.
  const PlasmaKinetics low({.clearance = 0, .volume = volume, .saturable_rate = most, .saturable_half = half},
                           {{0, 0, 1e-12}});
  EXPECT_NEAR(low.concentration(3000) / (1e-10 * std::exp(-most / half / volume * 3000)), 1, 1e-6);
}

TEST(PlasmaKinetics, TargetMediatedClearanceIsFasterAtLowDosesAndKeepsItsSums) {
  PlasmaModel model{.clearance = 0.2 * litre / day,
                    .volume = 3 * litre,
                    .flow = {0.8 * litre / day, 0},
                    .peripheral = {4 * litre, 0}};
  model.target = {.baseline = 5e-6, .turnover = 1 / day, .internalisation = 0.5 / day, .half = 1e-6};
  double last = 0;
  for (const double dose : {1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4}) {
    const PlasmaKinetics kinetics(model, {{0, hour, dose}, {21 * day, hour, dose}});
    const double area = kinetics.area(0, 400 * day) / (2 * dose);
    EXPECT_GT(area, last);  // more than in proportion to the dose
    last = area;
    for (const double t : {0.5 * day, 21.01 * day, 50 * day}) {
      const double all = kinetics.amount_in(0, t) + kinetics.amount_in(1, t) + kinetics.eliminated(t);
      EXPECT_NEAR(all, kinetics.given(t), 1e-8 * dose) << dose << " " << t;
    }
  }
  EXPECT_LT(last * model.clearance, 1);
  EXPECT_GT(last * model.clearance, 0.95);
  // Nothing given: the target stays where it was. Drug in excess: its level goes to baseline turnover/internalisation.
  EXPECT_DOUBLE_EQ(PlasmaKinetics(model, {}).target(day), 5e-6);
  const PlasmaKinetics much(model, {{0, 300 * day, 1e-3}});
  EXPECT_NEAR(much.target(200 * day), 5e-6 * 2, 1e-3 * 5e-6);
}

/// Paclitaxel, base model of Crombag 2019 as tabulated by Janssen 2023: drug_params/pk.csv.
const PlasmaModel paclitaxel{.clearance = 0,
                             .volume = 12 * litre,
                             .flow = {1.21 * 12 * litre / hour, 16.8 * litre / hour},
                             .peripheral = {12 * litre, 268 * litre},
                             .saturable_rate = 33.8e-6 / hour,
                             .saturable_half = 0.44e-3,
                             .saturable_flow = 177e-6 / hour,
                             .saturable_flow_half = 1.61e-3};

/// Amounts in plasma and in compartments 2 and 3, and eliminated, after an infusion of `length`: the classical
/// Runge-Kutta method on the published equations.
std::array<double, 4> paclitaxel_after(double dose, double length, double until, int steps) {
  std::array<double, 4> a{};
  const auto slope = [&](const std::array<double, 4>& x, double input) {
    const double c = x[0] / 12e-3;
    const double out = 33.8e-6 * c / (0.44e-3 + c), into = 177e-6 * c / (1.61e-3 + c);
    const double back = 1.21 * x[1], third = 16.8e-3 * (c - x[2] / 268e-3);
    return std::array<double, 4>{(input - out - into + back - third), into - back, third, out};
  };
  const auto run = [&](double hours, double input) {
    const double h = hours / steps;
    for (int s = 0; s < steps; ++s) {
      const auto at = [&](const std::array<double, 4>& k, double f) {
        std::array<double, 4> x = a;
        for (int i = 0; i < 4; ++i) x[i] += f * k[i];
        return x;
      };
      const auto k1 = slope(a, input), k2 = slope(at(k1, h / 2), input), k3 = slope(at(k2, h / 2), input),
                 k4 = slope(at(k3, h), input);
      for (int i = 0; i < 4; ++i) a[i] += h / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]);
    }
  };
  run(std::min(length, until), dose / length);
  if (until > length) run(until - length, 0);
  return a;
}

TEST(PlasmaKinetics, SaturableDistributionAgreesWithItsEquations) {
  const double dose = 350e-6;  // [mol], about 175 mg/m^2, over 3 h
  const PlasmaKinetics kinetics(paclitaxel, {{0, 3 * hour, dose}});
  for (const double hours : {0.5, 3.0, 4.0, 12.0, 72.0}) {
    const auto exact = paclitaxel_after(dose, 3, hours, 60000);
    for (int i = 0; i < 3; ++i) {
      EXPECT_NEAR(kinetics.amount_in(i, hours * hour), exact[i], 1e-8 * dose) << hours << ' ' << i;
    }
    EXPECT_NEAR(kinetics.eliminated(hours * hour), exact[3], 1e-8 * dose) << hours;
    EXPECT_NEAR(exact[0] + exact[1] + exact[2] + exact[3], std::min(hours / 3, 1.0) * dose, 1e-12 * dose);
    const double inside =
        kinetics.amount_in(0, hours * hour) + kinetics.amount_in(1, hours * hour) + kinetics.amount_in(2, hours * hour);
    EXPECT_NEAR(inside + kinetics.eliminated(hours * hour), kinetics.given(hours * hour), 1e-9 * dose) << hours;
  }
  // It is felt: a linear way in at the slope of low concentrations takes far more out of the plasma.
  PlasmaModel linear = paclitaxel;
  linear.saturable_flow = 0;
  linear.flow[0] = 177.0 / 1.61 * litre / hour;
  linear.peripheral[0] = linear.flow[0] * hour / 1.21;
  EXPECT_GT(kinetics.concentration(3 * hour),
            1.2 * PlasmaKinetics(linear, {{0, 3 * hour, dose}}).concentration(3 * hour));
}

TEST(PlasmaKinetics, SaturableDistributionIsLinearFarBelowItsHalf) {
  PlasmaModel saturable = doxorubicin, linear = doxorubicin;
  saturable.saturable_flow = 3e-9;
  saturable.saturable_flow_half = 2e-4;
  linear.flow[0] = 3e-9 / 2e-4;  // and k21 as it was
  linear.peripheral[0] = linear.flow[0] * doxorubicin.peripheral[0] / doxorubicin.flow[0];
  EXPECT_FALSE(saturable.linear());
  const Dose dose{0, 900, 1e-12};
  const PlasmaKinetics one(saturable, {dose}), other(linear, {dose});
  for (const double time : {300.0, 900.0, 5000.0, 1e5, 1e6}) {
    for (int i = 0; i < 3; ++i)
      EXPECT_NEAR(one.amount_in(i, time), other.amount_in(i, time), 1e-6 * other.amount_in(i, time))
          << time << ' ' << i;
  }
  EXPECT_THROW((void)one.total_area(), InputError);
  ASSERT_EQ(one.rates().size(), 3U);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(one.rates()[i], other.rates()[i], 1e-12 * other.rates()[0]);
}

TEST(PlasmaKinetics, NonlinearCoursesDoNotHangOnTheOrderOfQuestions) {
  PlasmaModel model = doxorubicin;
  model.saturable_rate = 1e-8;
  model.saturable_half = 1e-4;
  const std::vector<Dose> doses{{0, 900, 1e-4}, {5 * hour, 900, 1e-4}};
  const PlasmaKinetics one(model, doses), other(model, doses);
  const double late = one.concentration(20 * hour);
  (void)other.concentration(100);
  (void)other.concentration(7 * hour);
  EXPECT_EQ(other.concentration(20 * hour), late);
  EXPECT_EQ(one.concentration(100), other.concentration(100));
  // As the linear model where the saturable part is far from saturation is not: it is smaller.
  EXPECT_LT(late, PlasmaKinetics(doxorubicin, doses).concentration(20 * hour));
}

/// dh/dt = rate (c - h) by the classical Runge-Kutta method between the kinks of the plasma course.
double followed(const PlasmaKinetics& plasma, double rate, double time, double step) {
  std::vector<double> stops{0.0};
  for (const double t : plasma.events()) {
    if (t > 0 && t < time) stops.push_back(t);
  }
  stops.push_back(time);
  double c = 0;
  for (std::size_t s = 0; s + 1 < stops.size(); ++s) {
    const int n = static_cast<int>(std::ceil((stops[s + 1] - stops[s]) / step));
    const double h = (stops[s + 1] - stops[s]) / n;
    for (int i = 0; i < n; ++i) {
      const double t = stops[s] + i * h;
      const double now = plasma.concentration(t), half = plasma.concentration(t + 0.5 * h),
                   next = plasma.concentration(t + h);
      const double k1 = rate * (now - c), k2 = rate * (half - c - 0.5 * h * k1), k3 = rate * (half - c - 0.5 * h * k2),
                   k4 = rate * (next - c - h * k3);
      c += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
    }
  }
  return c;
}

TEST(PlasmaKinetics, TheHostFollowsItsEquationAtAnyRate) {
  for (const double rate : {1e-6, 1e-4, 2e-3, 0.05}) {
    PlasmaModel model = doxorubicin;
    model.host_rate = rate;
    const PlasmaKinetics plasma(model, {{0, 0.25 * hour, 2e-4}, {3 * hour, 0.5 * hour, 1e-4}});
    for (const double time : {100.0, 0.25 * hour, 2 * hour, 3.2 * hour, 30 * hour}) {
      const double exact = followed(plasma, rate, time, rate > 0.01 ? 0.25 : 2.0);
      EXPECT_NEAR(plasma.host(time), exact, 1e-9 * exact) << "rate " << rate << " time " << time;
    }
  }
}

TEST(PlasmaKinetics, TheHostApproachesThePlasmaAsTheRateGrowsAndStaysEmptyBehindATightWall) {
  PlasmaModel model = doxorubicin;
  model.host_rate = 10;
  const PlasmaKinetics plasma(model, {{0, 0.25 * hour, 2e-4}});
  EXPECT_NEAR(plasma.host(2 * hour), plasma.concentration(2 * hour), 1e-3 * plasma.concentration(2 * hour));
  EXPECT_EQ(PlasmaKinetics(doxorubicin, {{0, 0, 2e-4}}).host(hour), 0);
  EXPECT_EQ(plasma.host(0), 0);
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
  EXPECT_THROW(PlasmaKinetics({.clearance = 1, .volume = 1}, {{.amount = 1, .gut = true}}), InputError);
  EXPECT_THROW(PlasmaKinetics({.clearance = 1, .volume = 1, .saturable_rate = 1}, {}), InputError);
  const PlasmaModel bare{.clearance = 1, .volume = 1, .saturable_flow = 1, .saturable_flow_half = 1};
  EXPECT_THROW(PlasmaKinetics(bare, {}), InputError);
  const PlasmaModel endless{
      .clearance = 1, .volume = 1, .flow = {1, 0}, .peripheral = {1, 0}, .saturable_flow = 1, .saturable_flow_half = 0};
  EXPECT_THROW(PlasmaKinetics(endless, {}), InputError);
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
