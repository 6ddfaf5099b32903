#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "therapy/regimen.hpp"

namespace sanctuary {
namespace {

std::vector<double> values(Vec vec) {
  PetscInt n = 0;
  petsc(VecGetLocalSize(vec, &n));
  const ReadAccess access(vec);
  return {access.data(), access.data() + n};
}

/// Draws that count up.
class Draws {
 public:
  explicit Draws(std::uint64_t trial) : next_(1000 * trial) {}
  double log_uniform(double low, double high) { return low * std::pow(high / low, random_.uniform(next_++)); }
  double maybe(double value, double share = 0.7) { return random_.uniform(next_++) < share ? value : 0.0; }
  double uniform(double low, double high) { return random_.uniform(next_++, low, high); }
  bool chance(double share) { return random_.uniform(next_++) < share; }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_.below(next_++, n)); }

 private:
  static const RandomStream random_;
  std::uint64_t next_;
};
const RandomStream Draws::random_(5, "drug positivity");

constexpr double typical = 1e-4;  // [mol/m^3]
constexpr double closed = 1e-9;   // gap of a ledger over its inflow

Drug drug_of(Draws& draw, const std::string& name, bool carrier) {
  Drug d;
  d.name = name;
  d.molar_mass = 1;
  d.plasma = {.clearance = 1e-6, .volume = 3e-3};
  if (carrier || draw.chance(0.5)) d.doses = {{0, 0, 3e-3 * typical * draw.log_uniform(1e-3, 1e3)}};
  d.uptake = {.maximum = draw.maybe(draw.log_uniform(1e-22, 1e-16)),
              .half_outside = draw.log_uniform(1e-6, 1),
              .half_inside = draw.log_uniform(1e-20, 1e-14)};
  CellInterior& in = d.interior;
  in.influx = draw.maybe(draw.log_uniform(1e-6, 1));
  in.efflux = draw.maybe(draw.log_uniform(1e-6, 1));
  in.pump_maximum = draw.maybe(draw.log_uniform(1e-9, 1e-3));
  in.pump_half = draw.log_uniform(1e-6, 1);
  in.sites = draw.maybe(draw.log_uniform(1e-5, 10));
  in.on_rate = draw.log_uniform(1e-2, 1e4);
  in.off_rate = draw.log_uniform(1e-6, 1);
  in.degradation = draw.maybe(draw.log_uniform(1e-7, 1e-1));
  d.binding.sites = draw.maybe(draw.log_uniform(1e-5, 10), 0.5);
  d.binding.on_rate = draw.log_uniform(1, 1e6);
  d.binding.off_rate = draw.log_uniform(1e-6, 1);
  if (draw.chance(0.7)) {
    d.target.number = draw.log_uniform(1e-21, 1e-15);
    d.target.on_rate = draw.log_uniform(1, 1e5);  // 1e3 to 1e8/(M s)
    d.target.off_rate = d.target.on_rate * draw.log_uniform(1e-9, 1e-3);
    d.target.turnover = draw.maybe(draw.log_uniform(1e-7, 1e-1));
    d.target.internalisation = draw.maybe(draw.log_uniform(1e-7, 1e-1));
    d.target.recycling = draw.maybe(draw.log_uniform(1e-7, 1e-1), 0.5);
    d.target.degradation = draw.maybe(draw.log_uniform(1e-7, 1e-1));
  }
  if (carrier) {
    d.payload = "payload";
    d.payload_ratio = draw.log_uniform(0.5, 50);
    d.release_rate = draw.maybe(draw.log_uniform(1e-7, 1e-1), 0.5);
  }
  const std::array sites{EffectSite::fluid, EffectSite::cell, EffectSite::cell_bound, EffectSite::target};
  d.effect = sites[draw.below(4)];
  if (draw.chance(0.7)) {
    d.kill = {.emax = draw.log_uniform(1e-7, 1e-1),
              .ec50 = draw.log_uniform(1e-7, 1e-1),
              .hill = draw.log_uniform(0.5, 5),
              .quiescent_factor = draw.uniform(0, 1),
              .resistance_fold = draw.log_uniform(1, 1e3)};
    if (draw.chance(0.3)) {
      d.kill.lethal_rate = draw.log_uniform(1e-7, 1e-1);
      d.kill.repair_rate = draw.maybe(draw.log_uniform(1e-7, 1e-1));
    }
    if (draw.chance(0.3)) d.combination = "together";
  }
  return d;
}

Walls walls_of(Draws& draw) {
  const std::array kinds{WallKind::fixed, WallKind::exchange, WallKind::outflow, WallKind::closed};
  Walls walls = Walls::all(WallKind::closed);
  walls.kind[0] = kinds[draw.below(2)];
  walls.kind[1] = kinds[draw.below(4)];
  for (const std::size_t w : {0U, 1U}) walls.coefficient[w] = draw.log_uniform(1e-11, 1e-5);
  return walls;
}

/// All that a step may change.
struct Snapshot {
  std::vector<std::vector<double>> all;
  explicit Snapshot(Regimen& regimen) {
    for (DrugCourse& c : regimen.courses()) {
      all.push_back(values(c.transport->cells()));
      all.push_back(values(c.transport->slope()));
      for (const auto& s : c.response->states()) all.push_back(*s.values);
      const TransportLedger& l = c.transport->ledger();
      all.push_back({l.walls_in, l.walls_out, l.drained, l.reacted_in, l.reacted_out});
      const DrugResponse::Ledger& r = c.response->ledger();
      all.push_back({r.taken_up, r.given_back, r.released_by_death, r.degraded_in_cells, r.bound_in, r.bound_out,
                     r.on_targets, r.off_targets, r.degraded, r.released, r.released_from_sites, r.set_free,
                     r.set_free_in_cells});
    }
    for (const auto& s : regimen.kill().states()) all.push_back(*s.values);
  }
};

/// Largest gap of the ledgers over the cumulated inflow of each. What rounding may leave counts for nothing: of the
/// solves, and of what diffusion and flow carry to and fro between cells, `turnovers` times what they hold.
double gap(const DrugCourse& c, double turnovers) {
  const TransportLedger& t = c.transport->ledger();
  const DrugResponse::Ledger& l = c.response->ledger();
  const Grid& grid = c.transport->setup().grid();
  const double rounding = 1e-12 * c.transport->scale * grid.cell_volume() * static_cast<double>(grid.local_cells()) +
                          1e-15 * turnovers * c.transport->amount_in_cells();
  double worst = 0;
  const auto close = [&](double in, double rest) {
    worst = std::max(worst, std::abs(rest) / (in + rounding / closed));
  };
  const double in = t.cells_start + t.walls_in + t.reacted_out;
  close(in, in - t.walls_out - t.drained - t.reacted_in - c.transport->amount_in_cells());
  const double taken = l.taken_up + l.bound_in + l.on_targets + l.released,
               given = l.given_back + l.released_by_death + l.bound_out + l.off_targets + l.set_free;
  close(taken + given + in, taken - given - (t.reacted_in - t.reacted_out));
  close(l.taken_up + l.set_free_in_cells, l.taken_up + l.set_free_in_cells - l.given_back - l.released_by_death -
                                              l.degraded_in_cells - c.response->amount_in_cells());
  close(l.bound_in, l.bound_in - l.bound_out - l.released_from_sites - c.response->amount_bound());
  close(l.on_targets + l.off_targets, l.on_targets - l.off_targets - l.degraded - c.response->amount_on_targets());
  return worst;
}

/// Most negative amount over the largest there is of the drug.
double undershoot(DrugCourse& c) {
  double largest = c.transport->scale, lowest = 0;
  const auto look = [&](const std::vector<double>& v, const std::string& name) {
    for (const double x : v) {
      if (!std::isfinite(x)) ADD_FAILURE() << name << " is not finite";
      largest = std::max(largest, std::abs(x));
      lowest = std::min(lowest, x);
    }
  };
  look(values(c.transport->cells()), "fluid");
  for (const auto& s : c.response->states()) {
    // Records are integrals and largest values of what is looked at here.
    if (!s.name.ends_with("slope") && !s.name.ends_with("_area")) look(*s.values, s.name);
  }
  return -lowest / largest;
}

struct Tally {
  long tried = 0, kept = 0, failed = 0, fell_back = 0;
};

void run(std::uint64_t trial, Tally& tally) {
  Draws draw(trial);
  SCOPED_TRACE("trial " + std::to_string(trial));
  const bool line = draw.chance(0.7);
  const double h = draw.log_uniform(1e-6, 1e-4);
  const std::array<long, 3> n = line ? std::array<long, 3>{12, 1, 1} : std::array<long, 3>{4, 3, 2};
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {h, h, h}, n});
  const std::size_t cells = grid.local_cells();
  CellPopulation population{.density = std::vector<double>(cells),
                            .killed = std::vector<char>(cells),
                            .cycling_share = std::vector<double>(cells),
                            .cell_volume = draw.log_uniform(1e-16, 1e-14),
                            .resistant_share = draw.maybe(0.1, 0.3)};
  for (std::size_t i = 0; i < cells; ++i) {
    population.density[i] = draw.maybe(draw.log_uniform(1e12, 1e15), 0.9);
    population.killed[i] = draw.chance(0.8);
    population.cycling_share[i] = draw.uniform(0, 1);
  }
  const double tolerance = draw.chance(0.5) ? 1e9 : 1e-2;
  Regimen regimen(MPI_COMM_SELF, grid, nullptr, {drug_of(draw, "carrier", true), drug_of(draw, "payload", false)},
                  std::move(population), tolerance);
  double spread = 0;  // diffusion and flow out of a cell of the grid per time
  for (std::size_t d = 0; d < 2; ++d) {
    DrugCourse& course = regimen.courses()[d];
    regimen.set_plasma(d, draw.log_uniform(1e-6, 1));
    std::vector<double> accessible(cells), coefficient(cells), factor(cells), drained(cells);
    for (std::size_t i = 0; i < cells; ++i) {
      accessible[i] = draw.uniform(0.05, 0.9);
      coefficient[i] = accessible[i] * draw.log_uniform(1e-15, 1e-9);
      factor[i] = draw.uniform(0, 2);
      drained[i] = grid.cell_volume() * draw.maybe(draw.log_uniform(1e-8, 1e-2), 0.3);
    }
    spread = std::max(spread, 6e-9 / (h * h));
    course.op->reset(walls_of(draw));
    if (draw.chance(0.7)) {
      FaceField flow(grid);
      const double speed = draw.log_uniform(1e-11, 1e-5);
      const double discharge = speed * h * h * (draw.chance(0.8) ? 1 : -1);
      std::fill(flow[0].begin(), flow[0].end(), discharge);
      spread = std::max(spread, speed / (0.05 * h));
      course.op->add_diffusion_and_convection(coefficient, flow);
    } else {
      course.op->add_diffusion(coefficient);
    }
    course.transport->set_cells(accessible, *course.op, drained);
    regimen.set_response(d, accessible, factor);
    if (draw.chance(0.3)) {
      const WriteAccess c(course.transport->cells());
      for (std::size_t i = 0; i < cells; ++i) c[i] = draw.maybe(typical * draw.log_uniform(1e-3, 1e3), 0.4);
    }
  }
  regimen.open();
  double turnovers = 0;
  double time = 0, dt = draw.log_uniform(1e-1, 1e5);
  const int steps = 1 + static_cast<int>(draw.below(3));
  regimen.set_horizon(1e7);
  for (int s = 0; s < steps; ++s) {
    const Snapshot before(regimen);
    const StepReport report = regimen.attempt(time, dt);
    ++tally.tried;
    if (!report.converged || !(report.error <= 1)) {
      regimen.refuse();
      ASSERT_EQ(Snapshot(regimen).all, before.all);
      ASSERT_TRUE(report.converged || !report.reason.empty());
      tally.failed += !report.converged;
      dt *= 0.1;
      continue;
    }
    regimen.accept();
    ++tally.kept;
    turnovers += spread * dt;
    time += dt;
    for (DrugCourse& c : regimen.courses()) {
      ASSERT_LE(undershoot(c), 1e-12) << c.drug.name;
      ASSERT_LE(gap(c, turnovers), closed) << c.drug.name;
    }
    const DrugResponse &carrier = *regimen.courses()[0].response, &payload = *regimen.courses()[1].response;
    const double given = carrier.payload_released();
    ASSERT_NEAR(payload.ledger().set_free + payload.ledger().set_free_in_cells, given, 1e-12 * given);
    for (const auto& state : regimen.kill().states()) {
      for (const double x : *state.values) ASSERT_TRUE(std::isfinite(x)) << state.name;
    }
    dt *= draw.log_uniform(0.1, 10);
  }
  for (const DrugCourse& c : regimen.courses()) tally.fell_back += c.response->positive_steps();
}

TEST(DrugPositivity, NoAmountIsNegativeAndAllLedgersCloseAtAnyParametersAndStep) {
  Tally tally;
  for (std::uint64_t trial = 0; trial < 10000 && !testing::Test::HasFailure(); ++trial) run(trial, tally);
  // Half of the draws ask for no accuracy in time: their steps are kept but where no solution was found.
  EXPECT_GT(tally.kept, tally.tried / 2);
  EXPECT_LT(tally.failed, tally.tried / 50);
  EXPECT_GT(tally.fell_back, tally.kept);
  RecordProperty("steps_tried", static_cast<int>(tally.tried));
  RecordProperty("steps_kept", static_cast<int>(tally.kept));
  RecordProperty("steps_without_solution", static_cast<int>(tally.failed));
}

}  // namespace
}  // namespace sanctuary
