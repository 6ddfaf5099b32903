#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <string>
#include <vector>

#include "therapy/regimen.hpp"

namespace sanctuary {
namespace {

constexpr double um = 1e-6, hour = 3600, length = 120 * um, until = 6 * hour, any_error = 1e12;

/// On targets of tumour cells, into cells and on the matrix; falls apart in fluid, and in cells, into the payload.
Drug conjugate() {
  Drug d;
  d.name = "conjugate";
  d.kind = DrugClass::adc;
  d.plasma = {1e-9, 3e-3, {0}, {0}};
  d.doses = {{0, 0, 3e-7}};
  d.payload = "payload";
  d.payload_ratio = 3.5;
  d.release_rate = 0.05 / hour;
  d.binding = {.on_rate = 2, .off_rate = 3e-4, .sites = 2e-4};
  d.target = {.number = 8e-19,
              .on_rate = 5,
              .off_rate = 2e-4,
              .turnover = 0.1 / hour,
              .internalisation = 0.5 / hour,
              .recycling = 0.2 / hour,
              .degradation = 0.4 / hour};
  d.interior = {.influx = 0.3 / hour, .efflux = 0.2 / hour, .degradation = 0.2 / hour};
  return d;
}

/// Moves on its own, into cells, out of them by a pump too, onto sites there; kills.
Drug payload() {
  Drug d;
  d.name = "payload";
  d.plasma = {1e-9, 3e-3, {0}, {0}};
  d.binding = {.on_rate = 1, .off_rate = 2e-4, .sites = 1e-4};
  d.interior = {.influx = 2 / hour,
                .efflux = 1 / hour,
                .pump_maximum = 5e-5 / hour,
                .pump_half = 5e-5,
                .sites = 2e-4,
                .on_rate = 1,
                .off_rate = 2e-4,
                .degradation = 0.1 / hour};
  d.kill = {.emax = 0.05 / hour, .ec50 = 5e-5, .hill = 1, .quiescent_factor = 0.5};
  d.effect = EffectSite::cell;
  return d;
}

using Amounts = std::map<std::string, std::vector<double>>;  // in the cells of the grid, by name

/// A regimen of both in a rod of smoothly varying tissue, fed through a wall at x = 0.
struct Rod {
  Grid grid;
  Regimen regimen;

  explicit Rod(long cells)
      : grid(MPI_COMM_SELF, spec(cells)),
        regimen(MPI_COMM_SELF, grid, nullptr, {conjugate(), payload()}, population(), any_error) {
    constexpr std::array<double, 2> diffusivity{5 * um * um, 60 * um * um}, accessible{0.25, 0.4},
        wall{5e-3 * um, 5e-2 * um};
    for (std::size_t d = 0; d < 2; ++d) {
      DrugCourse& course = regimen.courses()[d];
      std::vector<double> share(grid.local_cells()), moves(share.size()), sites(share.size());
      for (std::size_t c = 0; c < share.size(); ++c) {
        share[c] = accessible[d] * (1 + 0.2 * wave(c));
        moves[c] = share[c] * diffusivity[d] * (1 - 0.3 * wave(c));
        sites[c] = 1 + 0.5 * wave(c);
      }
      Walls walls = Walls::all(WallKind::closed);
      walls.kind[0] = WallKind::exchange;
      walls.coefficient[0] = wall[d];
      course.op->reset(walls);
      course.op->add_diffusion(moves);
      course.transport->set_cells(share, *course.op, std::vector<double>(share.size(), 0.0));
      regimen.set_plasma(d, 0);
      regimen.set_response(d, share, sites);
      course.starts = 0;
    }
    // Smooth from the start.
    regimen.courses()[0].transport->outside = [](double t) { return 1e-4 * std::pow(std::sin(0.4 * t / hour), 2); };
    regimen.courses()[1].transport->outside = [](double) { return 0.0; };
    regimen.open();
  }
  static GridSpec spec(long cells) {
    const double h = length / static_cast<double>(cells);
    GridSpec s;
    s.cells = {cells, 1, 1};
    s.spacing = {h, h, h};
    return s;
  }
  /// cos(pi x/length)
  [[nodiscard]] double wave(std::size_t c) const { return std::cos(std::numbers::pi * grid.centre(c)[0] / length); }
  [[nodiscard]] CellPopulation population() const {
    CellPopulation p{.density = {},
                     .killed = std::vector<char>(grid.local_cells(), 1),
                     .cycling_share = std::vector<double>(grid.local_cells(), 0.4),
                     .cell_volume = 6e-16};
    for (std::size_t c = 0; c < grid.local_cells(); ++c) p.density.push_back(5e14 * (1 - 0.4 * wave(c)));
    return p;
  }

  void run(int steps) {
    const double dt = until / steps;
    for (int i = 0; i < steps; ++i) {
      regimen.set_horizon((i + 1) * dt);
      const StepReport report = regimen.attempt(i * dt, dt);
      ASSERT_TRUE(report.converged) << report.reason;
      ASSERT_LE(report.error, 1);
      ASSERT_EQ(report.positive, 0);  // blended steps are of first order
      regimen.accept();
    }
    for (const DrugCourse& course : regimen.courses())
      EXPECT_EQ(course.response->positive_steps(), 0) << course.drug.name;
  }
  /// At the end.
  [[nodiscard]] Amounts amounts() {
    Amounts all;
    for (DrugCourse& course : regimen.courses()) {
      const ReadAccess free(course.transport->cells());
      all[course.drug.name + ".free"].assign(free.data(), free.data() + grid.local_cells());
      for (const auto& s : course.response->states()) {
        for (const char* name : {"bound", "in_cells", "held", "free_targets", "complexes", "internalised", "free_area"})
          if (s.name == name) all[course.drug.name + "." + s.name] = *s.values;
      }
    }
    all["hazard"] = regimen.kill().hazard(1, 0);
    return all;
  }
  void expect_closed() {
    const DrugCourse &one = regimen.courses()[0], &two = regimen.courses()[1];
    const DrugResponse::Ledger &c = one.response->ledger(), &p = two.response->ledger();
    const auto there = [](const DrugCourse& of) {
      return of.transport->amount_in_cells() + of.response->amount_in_cells() + of.response->amount_on_targets() +
             of.response->amount_bound();
    };
    const auto entered = [](const DrugCourse& of) {
      return of.transport->ledger().walls_in - of.transport->ledger().walls_out;
    };
    const double gone = c.degraded + c.degraded_in_cells + c.released + c.released_from_sites;
    EXPECT_NEAR(entered(one) - gone, there(one), 1e-12 * entered(one));
    EXPECT_NEAR(entered(two) + 3.5 * gone - p.degraded_in_cells, there(two), 1e-12 * 3.5 * gone);
    EXPECT_GT(gone, 0.05 * entered(one));
  }
};

/// Root mean square of the difference, at the centres of the coarser cells, which are centres of the finer ones.
double apart(const std::vector<double>& coarse, const std::vector<double>& fine) {
  const std::size_t ratio = fine.size() / coarse.size();
  double sum = 0;
  for (std::size_t i = 0; i < coarse.size(); ++i) sum += std::pow(coarse[i] - fine[ratio * i + ratio / 2], 2);
  return std::sqrt(sum / static_cast<double>(coarse.size()));
}

/// Self-convergence of every amount over three runs, each `ratio` times finer than the one before (Richardson).
void expect_second_order(double ratio, std::array<Amounts, 3> runs) {
  ASSERT_EQ(runs[0].size(), 13U);
  for (const auto& [name, finest] : runs[2]) {
    const double size = *std::max_element(finest.begin(), finest.end());
    const double first = apart(runs[0][name], runs[1][name]) / size, second = apart(runs[1][name], finest) / size;
    ASSERT_GT(size, 0) << name;
    EXPECT_GT(second, 1e-8) << name;  // far above the errors of the solves
    EXPECT_GT(std::log(first / second) / std::log(ratio), 1.9) << name << " " << first << " " << second;
  }
}

TEST(DrugOrder, EveryAmountIsOfSecondOrderInTime) {
  std::array<Amounts, 3> runs;
  for (std::size_t i = 0; i < 3; ++i) {
    Rod rod(24);
    rod.run(60 << i);
    rod.expect_closed();
    runs[i] = rod.amounts();
  }
  expect_second_order(2, runs);
}

TEST(DrugOrder, EveryAmountIsOfSecondOrderInSpace) {
  std::array<Amounts, 3> runs;
  long cells = 12;
  for (std::size_t i = 0; i < 3; ++i, cells *= 3) {
    Rod rod(cells);
    rod.run(60);
    rod.expect_closed();
    runs[i] = rod.amounts();
  }
  expect_second_order(3, runs);
}

}  // namespace
}  // namespace sanctuary
