#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "therapy/drug_response.hpp"

namespace sanctuary {
namespace {

constexpr double hour = 3600, uM = 1e-3, size = 2e-15;

/// Model sources H6: in 0.3, out 0.1 1/h, a pump of 1 uM/h, half at 0.5 uM, in 1 uM outside.
CellInterior pumped() {
  return {.influx = 0.3 / hour, .efflux = 0.1 / hour, .pump_maximum = 1 * uM / hour, .pump_half = 0.5 * uM};
}
constexpr double with_pump = 0.19493, without_pump = 3.0;  // [uM]

TEST(InteriorStep, PumpStandsStillWhereItShould) {  // model sources H6, by one implicit step of 1e9 h
  CellInterior in = pumped();
  const auto steady = [&] { return interior_step({}, in, size, 1e9 * hour, 1 * uM, 0, 0, 0, 0, 0).free / size / uM; };
  const double low = steady();
  EXPECT_NEAR(low, with_pump, 5e-6);
  in.pump_maximum = 0;
  EXPECT_NEAR(steady(), without_pump, 1e-6);
  EXPECT_NEAR(steady() / low, 15.4, 0.05);
}

TEST(InteriorStep, PumpStandsStillInAResponse) {
  for (const bool pump : {true, false}) {
    Drug drug;
    drug.name = "substrate";
    drug.interior = pumped();
    if (!pump) drug.interior.pump_maximum = 0;
    const double density = 3e14;
    CellKill kill(MPI_COMM_SELF, {&drug, 1},
                  {.density = {density}, .killed = {1}, .cycling_share = {0.5}, .cell_volume = size}, 1e-3);
    DrugResponse response(MPI_COMM_SELF, drug, kill, {0.3}, {}, 1e-15, 1e-3, 1 * uM);
    const std::vector<double> c{1 * uM};
    std::vector<double> sink(1), derivative(1);
    for (int s = 0; s < 1000; ++s) {
      const double dt = hour;
      kill.begin(dt);
      response.begin(s * dt, dt);
      response.stage(1, c, sink, derivative);
      response.stage(2, c, sink, derivative);
      (void)kill.attempt();
      response.end(true, c, c);
      kill.accept();
    }
    EXPECT_NEAR(response.in_cells(0) / (density * size) / uM, pump ? with_pump : without_pump, 5e-6);
    EXPECT_NEAR(sink[0], 0, 1e-9 * density * inflow({}, drug.interior, size, 1 * uM));
  }
}

struct InteriorDraw {
  CellUptake uptake;
  CellInterior interior;
  double cell_volume, h, c, free, held, source, death, guess;
  [[nodiscard]] InteriorStep step(double at) const {
    return interior_step(uptake, interior, cell_volume, h, at, free, held, source, death, guess);
  }
  [[nodiscard]] double in(double at) const { return inflow(uptake, interior, cell_volume, at); }
};

/// Every way on or off by chance; six decades in each rate, concentration and amount.
InteriorDraw draw(std::uint64_t trial) {
  static const RandomStream random(3, "interior steps");
  std::uint64_t k = 40 * trial;
  const auto log_uniform = [&](double low) { return low * std::pow(1e6, random.uniform(k++)); };
  const auto maybe = [&](double value) { return random.uniform(k++) < 0.25 ? 0.0 : value; };
  InteriorDraw d{};
  d.uptake.maximum = maybe(log_uniform(1e-23));
  d.uptake.half_outside = log_uniform(1e-7);
  d.uptake.half_inside = log_uniform(1e-21);
  d.interior.influx = maybe(log_uniform(1e-7));
  d.interior.efflux = maybe(log_uniform(1e-7));
  d.interior.pump_maximum = maybe(log_uniform(1e-10));
  d.interior.pump_half = log_uniform(1e-7);
  d.interior.sites = maybe(log_uniform(1e-6));
  d.interior.on_rate = log_uniform(1e-2);
  d.interior.off_rate = log_uniform(1e-7);
  d.interior.degradation = maybe(log_uniform(1e-8));
  d.cell_volume = log_uniform(1e-18);
  d.h = log_uniform(1e-1);
  d.c = log_uniform(1e-7);
  d.free = maybe(log_uniform(1e-22));
  // At the start of a step a dying cell may hold more than it has sites: what the dead had is shared among the living.
  d.held = d.interior.sites > 0 ? maybe(log_uniform(1e-4) * d.interior.sites * d.cell_volume) : 0.0;
  d.source = maybe(log_uniform(1e-25));
  d.death = maybe(log_uniform(1e-8));
  d.guess = maybe(log_uniform(1e-22));
  return d;
}

TEST(InteriorStep, IsPositiveKeepsTheAmountAndKnowsItsSlopes) {
  for (std::uint64_t trial = 0; trial < 10000; ++trial) {
    const InteriorDraw d = draw(trial);
    const InteriorStep next = d.step(d.c);
    ASSERT_GE(next.free, 0) << trial;
    ASSERT_GE(next.held, 0) << trial;
    ASSERT_GE(next.by_c, 0) << trial;
    const double in = d.h * (d.in(d.c) + d.source), out = d.h * outflow(d.uptake, d.interior, d.cell_volume, next.free),
                 dead = d.h * d.death * (next.free + next.held), lost = d.h * d.interior.degradation * next.free;
    const double gain = next.free + next.held - d.free - d.held;
    ASSERT_NEAR(gain, in - out - dead - lost,
                1e-12 * (next.free + next.held + d.free + d.held + in + out + dead + lost))
        << trial;
    // What rounding of all that comes together does to the free amount, and that to the held one.
    const double rounding = 1e-14 * (d.free + d.held + in) * next.by_c /
                            (d.h * inflow_slope(d.uptake, d.interior, d.cell_volume, d.c) + 1e-300);
    const double by = 1e-4 * d.c;
    const auto expect_slope = [&](double slope, double InteriorStep::*of, const char* what) {
      const auto difference = [&](double half) {
        return (d.step(d.c + half).*of - d.step(d.c - half).*of) / (2 * half);
      };
      const double of_it = next.by_c > 0 ? std::abs(slope) / next.by_c * rounding : 0.0;
      EXPECT_NEAR(slope, (4 * difference(by) - difference(2 * by)) / 3,
                  1e-6 * std::abs(slope) + 2 * (of_it + 1e-15 * std::abs(next.*of)) / by)
          << what << " " << trial;
    };
    expect_slope(next.by_c, &InteriorStep::free, "free");
    expect_slope(next.held_by_c, &InteriorStep::held, "held");
  }
}

TEST(InteriorStep, GoesOnLinearlyBelowZero) {
  for (std::uint64_t trial = 0; trial < 10000; ++trial) {
    InteriorDraw d = draw(trial);
    const double slope = inflow_slope(d.uptake, d.interior, d.cell_volume, 0);
    EXPECT_NEAR(d.in(-d.c), -slope * d.c, 1e-14 * slope * d.c);
    // From an empty cell all goes on linearly, as far as one likes.
    d.free = d.held = d.source = 0;
    const InteriorStep zero = d.step(0);
    EXPECT_EQ(zero.free, 0);
    EXPECT_EQ(zero.held, 0);
    for (const double c : {1e-6 * d.c, d.c, 1e6 * d.c}) {
      const InteriorStep below = d.step(-c);
      EXPECT_NEAR(below.free, -zero.by_c * c, 1e-11 * zero.by_c * c) << trial;
      EXPECT_NEAR(below.held, -zero.held_by_c * c, 1e-11 * zero.held_by_c * c) << trial;
      EXPECT_NEAR(below.by_c, zero.by_c, 1e-11 * zero.by_c) << trial;
    }
  }
}

}  // namespace
}  // namespace sanctuary
