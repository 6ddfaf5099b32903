#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <vector>

#include "therapy/drug_response.hpp"

namespace sanctuary {
namespace {

constexpr double hour = 3600, cell_volume = 8e-15;

/// A conjugate on 5e5 targets per cell, that also enters by itself, binds to the matrix and falls apart in the fluid.
Drug carrier() {
  Drug d;
  d.name = "carrier";
  d.payload = "payload";
  d.payload_ratio = 3.5;
  d.release_rate = 0.02 / hour;
  d.target = {.number = 8.3e-19,
              .on_rate = 100,
              .off_rate = 1e-4,
              .turnover = 0.05 / hour,
              .internalisation = 0.2 / hour,
              .recycling = 0.1 / hour,
              .degradation = 0.3 / hour};
  d.interior = {.influx = 0.05 / hour, .efflux = 0.1 / hour, .degradation = 0.2 / hour};
  d.binding = {.on_rate = 3, .off_rate = 2e-4, .sites = 1e-3};
  return d;
}

Drug payload() {
  Drug d;
  d.name = "payload";
  d.interior = {.influx = 1 / hour,
                .efflux = 0.5 / hour,
                .pump_maximum = 2e-4 / hour,
                .pump_half = 1e-4,
                .sites = 1e-3,
                .on_rate = 1,
                .off_rate = 1e-4,
                .degradation = 0.05 / hour};
  d.kill = {.emax = 0.05 / hour, .ec50 = 1e-4, .hill = 1, .quiescent_factor = 0.5};
  d.effect = EffectSite::cell;
  return d;
}

using Course = std::function<double(double)>;

/// A carrier and its payload at given concentrations in the fluid of two cells of the grid.
struct Chain {
  std::array<Drug, 2> drugs;
  CellKill kill;
  DrugResponse carrier, payload;
  double sunk = 0;  ///< by the payload out of its fluid [mol]

  explicit Chain(const Drug& from = sanctuary::carrier(), const Drug& to = sanctuary::payload())
      : drugs{from, to},
        kill(MPI_COMM_SELF, drugs,
             {.density = {1e15, 2e14}, .killed = {1, 0}, .cycling_share = {0.4, 0.2}, .cell_volume = 6e-16}, 1e-3),
        carrier(MPI_COMM_SELF, drugs[0], kill, {0.4, 0.5}, {}, cell_volume, 1e-3, 1e-5),
        payload(MPI_COMM_SELF, drugs[1], kill, {0.4, 0.5}, {}, cell_volume, 1e-3, 1e-5) {
    payload.add_carrier(carrier);
  }
  void step(double t, double dt, const Course& c, const Course& p) {
    std::vector<double> sink(2), derivative(2);
    const auto at = [&](const Course& of, double time) { return std::vector<double>(2, of(time)); };
    const double middle = t + sdirk::gamma * dt, end = t + dt;
    kill.begin(dt);
    carrier.begin(t, dt);
    carrier.stage(1, at(c, middle), sink, derivative);
    (void)carrier.fall_back();
    carrier.stage(2, at(c, end), sink, derivative);
    carrier.set_free(at(c, middle), at(c, end));
    payload.begin(t, dt);
    payload.stage(1, at(p, middle), sink, derivative);
    const std::span<const char> rests = payload.fall_back();
    for (std::size_t i = 0; i < 2; ++i)
      sunk += (rests[i] ? sdirk::gamma : 1 - sdirk::gamma) * dt * cell_volume * sink[i];
    payload.stage(2, at(p, end), sink, derivative);
    sunk += sdirk::gamma * dt * cell_volume * (sink[0] + sink[1]);
    if (kill.kills(1)) {
      payload.effect(1, at(p, middle), kill.exposure(1, 1));
      payload.effect(2, at(p, end), kill.exposure(1, 2));
    }
    (void)kill.attempt();
    payload.end(true, at(p, middle), at(p, end));
    carrier.end(true, at(c, middle), at(c, end));
    kill.accept();
  }
  void run(double until, int steps, const Course& c, const Course& p) {
    for (int i = 0; i < steps; ++i) step(i * until / steps, until / steps, c, p);
  }
  /// Payload in cells, what has come to fluid and to cells, and what is left of the carrier.
  [[nodiscard]] std::array<double, 4> found() const {
    return {payload.amount_in_cells(), payload.ledger().set_free, payload.ledger().set_free_in_cells,
            carrier.amount_in_cells() + carrier.amount_on_targets() + carrier.amount_bound()};
  }
  void expect_closed() const {
    const DrugResponse::Ledger &c = carrier.ledger(), &p = payload.ledger();
    const double ratio = drugs[0].payload_ratio, gone = c.degraded + c.degraded_in_cells,
                 apart = c.released + c.released_from_sites;
    EXPECT_NEAR(p.set_free_in_cells, ratio * gone, 1e-12 * ratio * gone);
    EXPECT_NEAR(p.set_free, ratio * apart, 1e-12 * ratio * apart);
    EXPECT_NEAR(carrier.payload_released(), p.set_free + p.set_free_in_cells, 1e-12 * ratio * (gone + apart));
    EXPECT_NEAR(c.taken_up - c.given_back - c.released_by_death - c.degraded_in_cells, carrier.amount_in_cells(),
                1e-12 * c.taken_up);
    EXPECT_NEAR(c.on_targets - c.off_targets - c.degraded, carrier.amount_on_targets(), 1e-12 * c.on_targets);
    EXPECT_NEAR(c.bound_in - c.bound_out - c.released_from_sites, carrier.amount_bound(), 1e-12 * c.bound_in);
    const double entered = p.taken_up + p.set_free_in_cells;
    EXPECT_NEAR(entered - p.given_back - p.released_by_death - p.degraded_in_cells, payload.amount_in_cells(),
                1e-12 * entered);
    // What the fluid lost: into cells, less what came back and what was set free in it.
    EXPECT_NEAR(sunk, p.taken_up - p.given_back - p.released_by_death - p.set_free,
                1e-12 * (p.taken_up + p.given_back + p.set_free));
  }
};

double rising(double t) { return 2e-5 * (1 - 0.8 * std::exp(-t / 7200)) * std::exp(-t / 90000); }
double outside(double t) { return 3e-6 * (1 + 0.5 * std::sin(t / 9000)); }

TEST(CarrierPayload, WhatTheCarrierLosesIsSetFreeAndAllIsOfSecondOrder) {
  const auto run = [](int steps) {
    Chain chain;
    chain.run(20 * hour, steps, rising, outside);
    chain.expect_closed();
    EXPECT_EQ(chain.carrier.positive_steps() + chain.payload.positive_steps(), 0) << steps;
    EXPECT_GT(chain.payload.ledger().released_by_death, 0);
    EXPECT_LT(chain.kill.survival(0), 0.9);
    return chain.found();
  };
  const auto exact = run(12800), coarse = run(200), fine = run(400);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    EXPECT_NEAR(std::log2((coarse[i] - exact[i]) / (fine[i] - exact[i])), 2, 0.15) << i;
    EXPECT_LT(std::abs(fine[i] / exact[i] - 1), 1e-3) << i;
  }
}

TEST(CarrierPayload, ReleaseAtAConstantConcentrationHasAClosedForm) {
  Drug from = carrier(), to = payload();
  from.target = {};
  from.interior = {};
  from.binding = {};
  to.kill = {};
  Chain chain(from, to);
  chain.run(
      10 * hour, 7, [](double) { return 2e-5; }, [](double) { return 0.0; });
  const double expected = 3.5 * 0.02 / hour * 10 * hour * 2e-5 * 0.9 * cell_volume;
  EXPECT_NEAR(chain.payload.ledger().set_free, expected, 1e-13 * expected);
  EXPECT_EQ(chain.payload.ledger().set_free_in_cells, 0);
  EXPECT_NEAR(chain.sunk, -expected, 1e-13 * expected);
  chain.expect_closed();
}

TEST(CarrierPayload, DegradedInCellsItAppearsThere) {  // a payload that nothing takes out: exactly what was degraded
  Drug from = carrier(), to = payload();
  from.release_rate = 0;
  to.interior = {};
  to.kill = {};
  Chain chain(from, to);
  chain.run(30 * hour, 60, rising, [](double) { return 0.0; });
  const DrugResponse::Ledger& l = chain.carrier.ledger();
  const double expected = 3.5 * (l.degraded + l.degraded_in_cells);
  EXPECT_GT(l.degraded, 0.1 * l.on_targets);
  EXPECT_GT(l.degraded_in_cells, 0);
  EXPECT_NEAR(chain.payload.amount_in_cells(), expected, 1e-12 * expected);
  EXPECT_EQ(chain.payload.ledger().set_free, 0);
}

TEST(CarrierPayload, AmountsCloseWhereCellsGoOnFromTheFirstStage) {
  // The drugs leave in steps far longer than their rates.
  const Course there = [](double t) { return t < 5 * hour ? 2e-5 : 1e-9; };
  const Course none = [](double) { return 1e-9; };
  std::array<double, 4> before{};
  for (const double longest : {1.0, 30.0, 1000.0}) {
    Chain chain;
    chain.run(4 * hour, 40, there, outside);
    double t = 5 * hour;
    for (int i = 0; i < 12; ++i, t += longest * hour) {
      chain.step(t, longest * hour, none, none);
      for (DrugResponse* r : {&chain.carrier, &chain.payload}) {
        for (const auto& s : r->states()) {
          if (s.name.ends_with("slope")) continue;
          for (const double x : *s.values) EXPECT_GE(x, 0) << s.name << " " << longest << " " << i;
        }
      }
    }
    chain.expect_closed();
    if (longest > 1) {
      EXPECT_GT(chain.carrier.positive_steps(), 0) << longest;
      EXPECT_GT(chain.payload.positive_steps(), 0) << longest;
    }
    before = chain.found();
  }
  EXPECT_GT(before[2], 0);
}

TEST(CarrierPayload, WithCellsThatGoOnFromTheFirstStageErrorsStillFall) {
  // A fall within the run that the coarsest steps do not resolve: they go on from the first stage, the finest do not.
  Drug from = carrier(), to = payload();
  from.target.off_rate = 3e-3;
  from.interior.efflux = 10 / hour;
  to.interior.efflux = 20 / hour;
  const Course fall = [](double t) { return 2e-5 / (1 + std::exp((t - 4 * hour) / 200)) + 1e-9; };
  const Course low = [](double t) { return 3e-6 / (1 + std::exp((t - 4 * hour) / 200)) + 1e-9; };
  std::vector<long> fell;
  const auto run = [&](int steps) {
    Chain chain(from, to);
    chain.run(8 * hour, steps, fall, low);
    chain.expect_closed();
    fell.push_back(chain.carrier.positive_steps() + chain.payload.positive_steps());
    return chain.found();
  };
  const auto exact = run(25600), coarse = run(12), middle = run(24), fine = run(1600);
  EXPECT_GT(fell[1], 0);
  EXPECT_GT(fell[2], 0);
  EXPECT_EQ(fell[3], 0);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    EXPECT_LT(std::abs(middle[i] - exact[i]), 0.75 * std::abs(coarse[i] - exact[i]) + 1e-3 * exact[i]) << i;
    EXPECT_LT(std::abs(fine[i] - exact[i]), 1e-3 * std::abs(exact[i])) << i;
  }
}

}  // namespace
}  // namespace sanctuary
