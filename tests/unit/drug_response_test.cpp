#include "therapy/drug_response.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/random.hpp"
#include "therapy/reference_cell.hpp"

namespace sanctuary {
namespace {

constexpr double hour = 3600, litre = 1e-3, cell_volume = 8e-15;

/// Near doxorubicin: uptake of 2.8 fg/min, half at 219 ug/L outside and 13.7 fg inside, EC50 0.14 uM.
Drug doxorubicin() {
  Drug d;
  d.name = "doxorubicin";
  d.molar_mass = 0.54352;
  d.unbound_fraction = 0.25;
  d.plasma = {
      62.4 * litre / hour, 17.7 * litre, {50.7 * litre / hour, 28.4 * litre / hour}, {1830 * litre, 71 * litre}};
  d.doses = {{0, 0.25 * hour, 2e-4}, {0.75 * hour, 0.5 * hour, 1e-4}};
  d.uptake = {8.6e-20, 4.0e-4, 2.5e-17};
  d.kill = {.emax = 1.5 / hour, .ec50 = 1.4e-4, .hill = 1.3, .quiescent_factor = 0.3};
  d.effect = EffectSite::cell;
  d.threshold = 2e-4;
  return d;
}

CellPopulation one_cell(double share = 0.4) {
  return {.density = {1e15}, .killed = {1}, .cycling_share = {share}, .cell_volume = 6e-16};
}

/// Steps a response alone through given concentrations, alike in every cell.
class Driver {
 public:
  Driver(const Drug& drug, const CellPopulation& cells, std::vector<double> accessible = {})
      : count(cells.density.size()),
        kill(MPI_COMM_SELF, {&drug, 1}, cells, 1e-3),
        response(MPI_COMM_SELF, drug, kill, accessible.empty() ? std::vector<double>(count, 0.4) : accessible, {},
                 cell_volume, 1e-3, 4e-4) {}
  void step(double t, double dt, const std::function<double(double)>& c, bool accepted = true) {
    const std::vector<double> first(count, c(t + sdirk::gamma * dt)), second(count, c(t + dt));
    sink.resize(count);
    derivative.resize(count);
    kill.begin(dt);
    response.begin(t, dt);
    response.stage(1, first, sink, derivative);
    response.stage(2, second, sink, derivative);
    error = response.squared_error();
    if (kill.kills(0)) {
      response.effect(1, first, kill.exposure(0, 1));
      response.effect(2, second, kill.exposure(0, 2));
    }
    kill_error = kill.attempt();
    response.end(accepted, first, second);
    if (accepted) kill.accept();
  }
  void run(double until, int steps, const std::function<double(double)>& c) {
    const double dt = until / steps;
    for (int i = 0; i < steps; ++i) step(i * dt, dt, c);
  }
  [[nodiscard]] double hazard(std::size_t clone = 0) const { return kill.hazard(0, clone)[0]; }
  std::size_t count;
  CellKill kill;
  DrugResponse response;
  std::vector<double> sink, derivative;
  double error = 0, kill_error = 0;
};

double smooth(double t) { return 6e-4 * (1 - std::exp(-t / 900)) * std::exp(-t / 5400); }

/// Amount in a cell and hazard of the cycling phase by the classical Runge-Kutta method: dI/dt = uptake, dK/dt = kill.
struct Fine {
  double inside = 0, hazard = 0;
};
Fine integrate(const Drug& d, Fine from, double t0, double t1, int steps, const std::function<double(double)>& c) {
  const double h = (t1 - t0) / steps;
  const auto slope = [&](double conc, const Fine& y) {
    return Fine{uptake_rate(d.uptake, conc, y.inside),
                kill_rate_cycling(d.kill, d.uptake.maximum > 0 ? equivalent_concentration(d.uptake, y.inside) : conc)};
  };
  const auto along = [](const Fine& y, const Fine& k, double f) {
    return Fine{y.inside + f * k.inside, y.hazard + f * k.hazard};
  };
  for (int i = 0; i < steps; ++i) {
    const double t = t0 + i * h;
    const Fine k1 = slope(c(t), from), k2 = slope(c(t + 0.5 * h), along(from, k1, 0.5 * h)),
               k3 = slope(c(t + 0.5 * h), along(from, k2, 0.5 * h)), k4 = slope(c(t + h), along(from, k3, h));
    from.inside += h / 6 * (k1.inside + 2 * k2.inside + 2 * k3.inside + k4.inside);
    from.hazard += h / 6 * (k1.hazard + 2 * k2.hazard + 2 * k3.hazard + k4.hazard);
  }
  return from;
}

TEST(DrugResponse, HazardAndContentAreOfSecondOrder) {
  const Drug drug = doxorubicin();
  const Fine exact = integrate(drug, {}, 0, hour, 20000, smooth);
  const double alive = 0.4 * std::exp(-exact.hazard) + 0.6 * std::exp(-0.3 * exact.hazard);
  ASSERT_GT(exact.hazard, 0.3);
  std::vector<double> hazard, content;
  for (const int n : {40, 80, 160}) {
    Driver d(drug, one_cell());
    d.run(hour, n, smooth);
    hazard.push_back(std::abs(d.hazard() - exact.hazard));
    content.push_back(std::abs(d.response.in_cells(0) - 1e15 * alive * exact.inside));
    EXPECT_NEAR(d.kill.hazard_quiescent(0, 0), 0.3 * d.hazard(), 1e-12);
    EXPECT_NEAR(d.kill.survival(0), alive, 1e-3);
  }
  EXPECT_LT(hazard[2], 1e-4 * exact.hazard);
  EXPECT_LT(content[2], 1e-4 * 1e15 * alive * exact.inside);
  for (int i = 0; i < 2; ++i) {
    EXPECT_NEAR(std::log2(hazard[i] / hazard[i + 1]), 2, 0.2) << hazard[i];
    EXPECT_NEAR(std::log2(content[i] / content[i + 1]), 2, 0.2) << content[i];
  }
}

TEST(DrugResponse, ErrorEstimateFallsWithTheCubeOfTheStep) {
  std::vector<double> error;
  for (const double dt : {40.0, 20.0, 10.0}) {
    Driver d(doxorubicin(), one_cell());
    d.run(1200, static_cast<int>(1200 / dt), smooth);
    d.step(1200, dt, smooth, false);
    error.push_back(std::sqrt(d.error));
  }
  for (int i = 0; i < 2; ++i) EXPECT_NEAR(std::log2(error[i] / error[i + 1]), 3, 0.4) << error[i];
}

TEST(DrugResponse, ContentComesToItsEquilibrium) {
  Drug drug = doxorubicin();
  drug.kill.emax = 0;
  Driver d(drug, one_cell());
  d.run(60 * hour, 600, [](double) { return 3e-4; });
  const double expected = 1e15 * equilibrium_amount(drug.uptake, 3e-4);
  EXPECT_NEAR(d.response.in_cells(0), expected, 1e-9 * expected);
  EXPECT_NEAR(d.sink[0], 0, 1e-9 * 1e15 * drug.uptake.maximum);
}

TEST(DrugResponse, AmountsClose) {
  Drug drug = doxorubicin();
  drug.binding = {.on_rate = 3, .off_rate = 2e-4, .sites = 1e-3};
  const CellPopulation cells{
      .density = {1e15, 3e14}, .killed = {1, 0}, .cycling_share = {0.4, 0.2}, .cell_volume = 6e-16};
  Driver d(drug, cells, {0.4, 0.5});
  d.run(6 * hour, 100, smooth);
  const DrugResponse::Ledger& l = d.response.ledger();
  EXPECT_GT(l.given_back, 0.01 * l.taken_up);
  EXPECT_GT(l.released_by_death, 0.01 * l.taken_up);
  EXPECT_NEAR(l.taken_up - l.given_back - l.released_by_death, d.response.amount_in_cells(), 1e-12 * l.taken_up);
  EXPECT_GT(l.bound_out, 0.01 * l.bound_in);
  EXPECT_NEAR(l.bound_in - l.bound_out, d.response.amount_bound(), 1e-12 * l.bound_in);
  EXPECT_NEAR(d.response.amount_bound(), cell_volume * (0.4 * d.response.bound()[0] + 0.5 * d.response.bound()[1]),
              1e-12 * l.bound_in);
}

TEST(DrugResponse, SinkIsWhatTheLedgerBooks) {
  Drug drug = doxorubicin();
  drug.binding = {.on_rate = 3, .off_rate = 2e-4, .sites = 1e-3};
  Driver d(drug, one_cell());
  double booked = 0;
  const double dt = 30;
  for (int i = 0; i < 40; ++i) {
    const std::vector<double> first{smooth((i + sdirk::gamma) * dt)}, second{smooth((i + 1) * dt)};
    std::vector<double> sink(1), derivative(1);
    d.kill.begin(dt);
    d.response.begin(i * dt, dt);
    d.response.stage(1, first, sink, derivative);
    booked += (1 - sdirk::gamma) * dt * cell_volume * sink[0];
    d.response.stage(2, second, sink, derivative);
    booked += sdirk::gamma * dt * cell_volume * sink[0];
    if (d.kill.kills(0)) {
      d.response.effect(1, first, d.kill.exposure(0, 1));
      d.response.effect(2, second, d.kill.exposure(0, 2));
    }
    (void)d.kill.attempt();
    d.response.end(true, first, second);
    d.kill.accept();
  }
  const double held = d.response.amount_in_cells() + d.response.amount_bound();
  EXPECT_NEAR(booked, held, 1e-12 * held);
}

TEST(DrugResponse, DerivativeIsThatOfTheSink) {
  Drug drug = doxorubicin();
  drug.kill.emax = 0;
  drug.binding = {.on_rate = 3, .off_rate = 2e-4, .sites = 1e-3};
  Driver d(drug, one_cell());
  d.run(600, 20, smooth);
  std::vector<double> sink(1), derivative(1), up(1), down(1), unused(1);
  for (const double c : {-1e-5, 1e-5, 4e-4}) {
    d.kill.begin(30);
    d.response.begin(600, 30);
    d.response.stage(1, std::vector<double>{c + 1e-9}, up, unused);
    d.response.stage(1, std::vector<double>{c - 1e-9}, down, unused);
    d.response.stage(1, std::vector<double>{c}, sink, derivative);
    EXPECT_NEAR(derivative[0], (up[0] - down[0]) / 2e-9, 1e-5 * derivative[0]) << c;
  }
}

TEST(DrugResponse, FastMatrixBindingGoesOnLinearlyBelowZero) {  // as Newton's iterates may
  Drug drug = doxorubicin();
  drug.kill.emax = drug.uptake.maximum = 0;
  drug.binding = {.on_rate = 1e4, .off_rate = 2e-4, .sites = 1e-3};
  Driver d(drug, one_cell());
  std::vector<double> zero(1), slope(1), below(1), unused(1);
  d.kill.begin(300);
  d.response.begin(0, 300);
  d.response.stage(1, std::vector<double>{0.0}, zero, slope);
  for (const double c : {1e-8, 1e-6, 1e-4}) {
    d.response.stage(1, std::vector<double>{-c}, below, unused);
    EXPECT_NEAR(below[0], zero[0] - slope[0] * c, 1e-12 * slope[0] * c) << c;
    EXPECT_EQ(unused[0], slope[0]);
  }
}

TEST(DrugResponse, DeathReleasesWhatTheDeadHeldAndLeavesSurvivorsTheirs) {
  Drug lethal = doxorubicin(), harmless = lethal;
  harmless.kill.emax = 0;
  Driver a(lethal, one_cell()), b(harmless, one_cell());
  a.run(8 * hour, 2000, smooth);
  b.run(8 * hour, 2000, smooth);
  const double survival = a.kill.survival(0);
  ASSERT_LT(survival, 0.5);
  EXPECT_NEAR(a.response.in_cells(0), survival * b.response.in_cells(0), 1e-4 * a.response.in_cells(0));
  EXPECT_GT(a.response.ledger().released_by_death, 0.01 * a.response.ledger().taken_up);
  EXPECT_EQ(b.response.ledger().released_by_death, 0);
}

TEST(DrugResponse, BindingFollowsItsClosedForm) {
  Drug drug = doxorubicin();
  drug.binding = {.on_rate = 3, .off_rate = 2e-4, .sites = 1e-3};
  const double c = 2e-4, rate = 3 * c + 2e-4, t = 1500;
  const double exact = equilibrium_bound(drug.binding, c) * -std::expm1(-rate * t);
  std::vector<double> error;
  for (const int n : {20, 40, 80}) {
    Driver d(drug, one_cell());
    d.run(t, n, [&](double) { return c; });
    error.push_back(std::abs(d.response.bound()[0] - exact));
  }
  EXPECT_LT(error[2], 1e-4 * exact);
  for (int i = 0; i < 2; ++i) EXPECT_NEAR(std::log2(error[i] / error[i + 1]), 2, 0.15);

  Driver full(drug, one_cell());
  full.run(hour, 50, [](double) { return 10.0; });
  EXPECT_LT(full.response.bound()[0], 1e-3);
  EXPECT_NEAR(full.response.bound()[0], 1e-3, 1e-7);
}

/// An antibody on 5e5 targets per cell: k_on 1e5/(M s), K_D 1 nM, taken in at 0.1/h.
Drug antibody() {
  Drug d;
  d.name = "antibody";
  d.molar_mass = 150;
  d.target = {.number = 8.3e-19,
              .on_rate = 100,
              .off_rate = 1e-4,
              .turnover = 0.05 / hour,
              .internalisation = 0.1 / hour,
              .degradation = 0.03 / hour};
  return d;
}

TEST(TargetStep, IsPositiveKeepsItsSumsAndKnowsItsSlope) {
  const RandomStream random(1, "target steps");
  const auto draw = [&](std::uint64_t k, double low, double high) {
    return low * std::pow(high / low, random.uniform(k));
  };
  for (std::uint64_t trial = 0; trial < 10000; ++trial) {
    const std::uint64_t k = 20 * trial;
    const bool recycles = random.uniform(k + 13) < 0.5;
    const CellTarget t{.number = draw(k, 1e-21, 1e-17),
                       .on_rate = draw(k + 1, 1, 1e5),
                       .off_rate = draw(k + 2, 1e-7, 1),
                       .turnover = draw(k + 3, 1e-7, 1e-2),
                       .internalisation = draw(k + 4, 1e-7, 1e-2),
                       .recycling = recycles ? draw(k + 14, 1e-7, 1e-1) : 0.0,
                       .degradation = draw(k + 5, 1e-7, 1e-2)};
    const double h = draw(k + 6, 1e-2, 1e6), c = draw(k + 7, 1e-9, 1e-3), density = draw(k + 8, 1e12, 1e15),
                 death = random.uniform(k + 9) < 0.5 ? 0.0 : draw(k + 10, 1e-8, 1e-3);
    const double all = t.number * density, share = random.uniform(k + 11), inside = all * random.uniform(k + 12);
    const TargetStep next = target_step(t, h, c, all * share, all * (1 - share), inside, density, death);
    EXPECT_GE(next.free, 0);
    EXPECT_GE(next.bound, 0);
    EXPECT_GE(next.inside, 0);
    EXPECT_GE(next.slope, 0);
    // Drug: what the fluid lost is in complexes and cells, or degraded.
    const double gained = next.bound + next.inside - all * (1 - share) - inside + h * t.degradation * next.inside;
    const double turned = h * (t.internalisation * next.bound + (t.recycling + t.degradation + death) * next.inside);
    EXPECT_NEAR(h * next.sink, gained, 1e-12 * (all + inside + std::abs(gained) + turned));
    // Targets: free and in complex, but for what is made, lost and taken in.
    const double targets = next.free + next.bound - all -
                           h * (t.turnover * (all - next.free) - death * (next.free + next.bound) -
                                t.internalisation * next.bound + t.recycling * next.inside);
    EXPECT_NEAR(targets, 0, 1e-12 * (all * (1 + h * t.turnover) + turned));
    const double step = 1e-4 * c;
    const double up = target_step(t, h, c + step, all * share, all * (1 - share), inside, density, death).sink,
                 down = target_step(t, h, c - step, all * share, all * (1 - share), inside, density, death).sink;
    EXPECT_NEAR(next.slope, (up - down) / (2 * step),
                1e-5 * next.slope + (1e-9 * std::abs(next.sink) + 1e-14 * all / h) / step);
    const TargetStep below = target_step(t, h, -c, all * share, all * (1 - share), inside, density, death),
                     zero = target_step(t, h, 0, all * share, all * (1 - share), inside, density, death);
    EXPECT_NEAR(below.sink, zero.sink - zero.slope * c,
                1e-9 * (std::abs(zero.sink) + zero.slope * c) + 1e-14 * all / h);
  }
}

TEST(DrugResponse, TargetsComeToTheirSteadyState) {
  // k_on c R = (k_off + k_e) B, k_deg (R0 - R) = k_e B, k_e B = k_d I.
  const Drug drug = antibody();
  const CellTarget& t = drug.target;
  Driver d(drug, one_cell());
  const double c = 3e-6;
  d.run(1000 * hour, 400, [&](double) { return c; });
  const double all = t.number * 1e15, ratio = t.on_rate * c / (t.off_rate + t.internalisation);
  const double free = all / (1 + ratio * t.internalisation / t.turnover);
  EXPECT_NEAR(d.response.free_targets()[0], free, 1e-9 * all);
  EXPECT_NEAR(d.response.complexes()[0], ratio * free, 1e-9 * all);
  EXPECT_NEAR(d.response.internalised()[0], ratio * free * t.internalisation / t.degradation, 1e-9 * all);
  EXPECT_NEAR(d.sink[0], t.internalisation * ratio * free, 1e-9 * t.internalisation * all);
}

TEST(DrugResponse, TargetsAreOfSecondOrderAndTheirAmountsClose) {
  Drug drug = antibody();
  drug.kill = {.emax = 0.05 / hour, .ec50 = 1e-5, .hill = 1, .quiescent_factor = 0.3};
  const auto course = [](double t) { return 2e-5 * (1 - std::exp(-t / 7200)) * std::exp(-t / 36000); };
  const auto complexes = [&](int steps) {
    Driver d(drug, one_cell());
    d.run(20 * hour, steps, course);
    const DrugResponse::Ledger& l = d.response.ledger();
    EXPECT_GT(l.off_targets, 0.01 * l.on_targets);
    EXPECT_GT(l.degraded, 0.01 * l.on_targets);
    EXPECT_NEAR(l.on_targets - l.off_targets - l.degraded, d.response.amount_on_targets(), 1e-12 * l.on_targets);
    return d.response.complexes()[0];
  };
  const double exact = complexes(12800), coarse = complexes(200) - exact, fine = complexes(400) - exact;
  EXPECT_NEAR(std::log2(coarse / fine), 2, 0.15);
}

TEST(DrugResponse, FastBindingFollowsTheEquilibrium) {
  Drug drug = antibody();
  drug.target = {.number = 8.3e-19, .on_rate = 1e5, .off_rate = 0.1};  // 1e8/(M s), K_D 1 nM
  Driver d(drug, one_cell());
  const auto course = [](double t) { return 5e-6 * (1 + std::sin(t / 20000)); };
  d.run(30 * hour, 120, course);  // steps of 900 s against a binding within a second
  const double c = course(30 * hour), all = 8.3e-19 * 1e15;
  EXPECT_NEAR(d.response.complexes()[0], all * c / (c + 1e-6), 2e-3 * all);
  EXPECT_NEAR(d.response.complexes()[0] + d.response.free_targets()[0], all, 1e-12 * all);
}

TEST(DrugResponse, HostTakesUpButIsNotKilled) {
  CellPopulation cells = one_cell();
  cells.killed[0] = 0;
  Driver d(doxorubicin(), cells);
  d.run(2 * hour, 60, smooth);
  EXPECT_EQ(d.hazard(), 0);
  EXPECT_EQ(d.kill.hazard_quiescent(0, 0), 0);
  EXPECT_EQ(d.kill.survival(0), 1);
  EXPECT_GT(d.response.in_cells(0), 0);
  EXPECT_EQ(d.response.ledger().released_by_death, 0);
}

TEST(DrugResponse, WithoutCellsOnlyTheRecordsMove) {
  CellPopulation cells = one_cell();
  cells.density[0] = 0;
  Driver d(doxorubicin(), cells);
  d.run(2 * hour, 60, smooth);
  EXPECT_EQ(d.response.in_cells(0), 0);
  EXPECT_EQ(d.response.ledger().taken_up, 0);
  EXPECT_GT(d.response.free_record().area[0], 0);
}

TEST(DrugResponse, WithoutUptakeTheFluidIsTheEffectSite) {
  Drug drug = doxorubicin();
  drug.uptake.maximum = 0;
  drug.effect = EffectSite::fluid;
  Driver d(drug, one_cell());
  d.run(2 * hour, 8, [](double) { return 1.4e-4; });
  EXPECT_NEAR(d.hazard(), 2 * 0.5 * 1.5, 1e-12);  // half the largest rate for two hours
  EXPECT_EQ(d.response.in_cells(0), 0);
  EXPECT_NEAR(d.kill.survival(0), 0.4 * std::exp(-1.5) + 0.6 * std::exp(-0.45), 1e-12);
}

TEST(DrugResponse, AreaAndPeakOfTheFreeConcentration) {
  Driver line(doxorubicin(), one_cell());
  line.run(1000, 3, [](double t) { return 1e-7 * t; });  // exact for a line
  EXPECT_NEAR(line.response.free_record().area[0], 0.5e-7 * 1e6, 1e-15);
  EXPECT_NEAR(line.response.free_record().peak[0], 1e-4, 1e-18);
  Driver curve(doxorubicin(), one_cell());
  curve.run(hour, 200, smooth);
  const auto rise = [](double tau) { return tau * -std::expm1(-hour / tau); };
  const double exact = 6e-4 * (rise(5400) - rise(1 / (1 / 900.0 + 1 / 5400.0)));
  EXPECT_NEAR(curve.response.free_record().area[0], exact, 1e-5 * exact);
}

TEST(DrugResponse, TimeAboveTheThresholdIsInterpolated) {
  Driver d(doxorubicin(), one_cell());  // threshold 2e-4
  const auto to = [&](double c, double dt) { d.step(0, dt, [=](double) { return c; }); };
  to(1e-4, 10);
  EXPECT_EQ(d.response.free_record().above[0], 0);
  to(5e-4, 10);  // crosses after a quarter of the step
  EXPECT_NEAR(d.response.free_record().above[0], 7.5, 1e-12);
  to(3e-4, 4);
  EXPECT_NEAR(d.response.free_record().above[0], 11.5, 1e-12);
  to(0, 9);  // and again after a third
  EXPECT_NEAR(d.response.free_record().above[0], 14.5, 1e-12);
  to(0, 100);
  EXPECT_NEAR(d.response.free_record().above[0], 14.5, 1e-12);
}

TEST(DrugResponse, ARefusedStepLeavesNoTrace) {
  Driver d(doxorubicin(), one_cell()), twin(doxorubicin(), one_cell());
  d.step(0, 30, smooth);
  twin.step(0, 30, smooth);
  d.step(30, 300, smooth, false);
  const auto a = d.response.states(), b = twin.response.states();
  for (std::size_t s = 0; s < a.size(); ++s) EXPECT_EQ(*a[s].values, *b[s].values) << a[s].name;
  EXPECT_EQ(d.response.ledger().taken_up, twin.response.ledger().taken_up);
  d.step(30, 30, smooth);
  twin.step(30, 30, smooth);
  EXPECT_EQ(d.hazard(), twin.hazard());
  EXPECT_EQ(d.response.in_cells(0), twin.response.in_cells(0));
}

std::array<double, 2> reference_hazard(const Drug& drug, const PlasmaKinetics& plasma, double time) {
  ReferenceCell cell(
      {drug}, [&](std::size_t, double t) { return drug.unbound(plasma.concentration(t)); }, plasma.events(), 6e-16, 1);
  const double hazard = cell.hazards(0, time)[0][0];
  return {hazard, drug.kill.quiescent_factor * hazard};
}

TEST(ReferenceHazard, AgreesWithAFineIntegration) {
  for (const bool takes_up : {true, false}) {
    Drug drug = doxorubicin();
    if (!takes_up) {
      drug.uptake.maximum = 0;
      drug.effect = EffectSite::fluid;
    }
    const PlasmaKinetics plasma(drug.plasma, drug.doses);
    const auto unbound = [&](double t) { return drug.unbound(plasma.concentration(t)); };
    Fine exact;
    double from = 0;
    for (const double to : {0.25 * hour, 0.75 * hour, 1.25 * hour, 8 * hour}) {
      exact = integrate(drug, exact, from, to, 8000, unbound);
      from = to;
    }
    const auto found = reference_hazard(drug, plasma, 8 * hour);
    EXPECT_NEAR(found[0], exact.hazard, 1e-7 * exact.hazard) << takes_up;
    EXPECT_NEAR(found[1], 0.3 * exact.hazard, 1e-7 * exact.hazard);
  }
}

TEST(ReferenceHazard, OfABolusWithinTheRun) {
  Drug drug = doxorubicin();
  drug.doses = {{0.5 * hour, 0, 2e-4}};
  const PlasmaKinetics plasma(drug.plasma, drug.doses);
  const Fine exact =
      integrate(drug, {}, 0.5 * hour, 2 * hour, 8000, [&](double t) { return drug.unbound(plasma.concentration(t)); });
  EXPECT_NEAR(reference_hazard(drug, plasma, 2 * hour)[0], exact.hazard, 1e-6 * exact.hazard);
  EXPECT_EQ(reference_hazard(drug, plasma, 0.4 * hour)[0], 0);
}

TEST(ReferenceHazard, IsThatOfAResponseInUnboundPlasma) {
  const Drug drug = doxorubicin();
  const PlasmaKinetics plasma(drug.plasma, drug.doses);
  Driver d(drug, one_cell());
  d.run(3 * hour, 3 * 1800, [&](double t) { return drug.unbound(plasma.concentration(t)); });
  const auto reference = reference_hazard(drug, plasma, 3 * hour);
  EXPECT_NEAR(d.hazard(), reference[0], 2e-6 * reference[0]);
  EXPECT_NEAR(d.kill.hazard_quiescent(0, 0), reference[1], 2e-6 * reference[1]);
}

}  // namespace
}  // namespace sanctuary
