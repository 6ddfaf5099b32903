#include "solvers/kinetics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace sanctuary {
namespace {

// Concentrations of all species in some cells.
struct State {
  std::vector<std::vector<double>> values;  // [species][cell]
  State(std::size_t species, std::size_t cells, double value = 0)
      : values(species, std::vector<double>(cells, value)) {}
  explicit State(std::initializer_list<double> one_cell) {
    for (const double value : one_cell) values.push_back({value});
  }
  [[nodiscard]] std::vector<double*> pointers(std::size_t first_cell = 0) {
    std::vector<double*> out;
    for (auto& row : values) out.push_back(row.data() + first_cell);
    return out;
  }
  [[nodiscard]] double operator()(std::size_t species, std::size_t cell = 0) const { return values[species][cell]; }
};

KineticsReport step(KineticsSolver& solver, double dt, State& state) { return solver.advance(dt, state.pointers()); }

ReactionNetwork network_of(std::size_t species, std::vector<Reaction> reactions) {
  ReactionNetwork network;
  for (std::size_t i = 0; i < species; ++i) network.species.push_back({std::string(1, static_cast<char>('A' + i))});
  network.reactions = std::move(reactions);
  return network;
}

constexpr KineticsControl one_step{.max_substeps = 1};

// Largest change of an invariant over the sum of absolute values, at the start or at the end.
double defect(const KineticsSolver& solver, const State& before, const State& after, std::size_t cell) {
  double worst = 0;
  for (const auto& invariant : solver.invariants()) {
    double change = 0, size_before = 0, size_after = 0;
    for (std::size_t i = 0; i < invariant.size(); ++i) {
      const auto weight = static_cast<double>(invariant[i]);
      change += weight * (after(i, cell) - before(i, cell));
      size_before += std::abs(weight) * before(i, cell);
      size_after += std::abs(weight) * after(i, cell);
    }
    if (change != 0) worst = std::max(worst, std::abs(change) / std::max(size_before, size_after));
  }
  return worst;
}

struct Draw {
  std::mt19937_64 engine;
  explicit Draw(unsigned seed) : engine(seed) {}
  int whole(int low, int high) { return low + static_cast<int>(engine() % static_cast<unsigned>(high - low + 1)); }
  double uniform() { return static_cast<double>(engine() >> 11) * 0x1p-53; }
  double decades(double low, double high) { return std::pow(10, low + (high - low) * uniform()); }
};

// 2 to 8 species of mass 1, 2 or 3 and 1 to 12 reactions, none of which makes mass: what a source gives is the bound.
ReactionNetwork random_network(Draw& draw, double low, double high, double dt) {
  const int species = draw.whole(2, 8), reactions = draw.whole(1, 12);
  auto network = network_of(static_cast<std::size_t>(species), {});
  std::vector<int> mass;
  for (int i = 0; i < species; ++i) mass.push_back(draw.whole(1, 3));
  double given = 1;
  while (static_cast<int>(network.reactions.size()) < reactions) {
    Reaction reaction;
    reaction.rate = draw.decades(low, high);
    int taken = 0, made = 0;
    for (int k = draw.whole(0, 2); k > 0; --k) {
      reaction.reactants.push_back({static_cast<std::size_t>(draw.whole(0, species - 1))});
      taken += mass[reaction.reactants.back().species];
    }
    for (int k = draw.whole(0, 2); k > 0; --k) {
      reaction.products.push_back({static_cast<std::size_t>(draw.whole(0, species - 1))});
      made += mass[reaction.products.back().species];
    }
    if (reaction.reactants.empty()) {
      if (reaction.products.size() != 1 || draw.uniform() < 0.5) continue;
      given += reaction.rate * dt;
    } else if (made > taken) {
      continue;
    }
    if (made == taken && draw.uniform() < 0.5) reaction.reverse_rate = draw.decades(low, high);
    if (!reaction.reactants.empty() && draw.uniform() < 0.25) {
      const std::size_t of =
          draw.uniform() < 0.7 ? reaction.reactants[0].species : static_cast<std::size_t>(draw.whole(0, species - 1));
      reaction.saturation =
          Saturation{of, draw.decades(-2, 0), draw.uniform() < 0.5 ? draw.whole(1, 4) : 1 + 3 * draw.uniform()};
    }
    network.reactions.push_back(reaction);
  }
  for (auto& one : network.species) one.scale = given;
  return network;
}

State random_state(Draw& draw, std::size_t species, std::size_t cells) {
  State state(species, cells);
  for (auto& row : state.values)
    for (auto& value : row) value = draw.uniform() < 0.25 ? 0 : draw.decades(-3, 0);
  return state;
}

void expect_sound(const KineticsSolver& solver, const State& before, const State& after, int system) {
  for (std::size_t c = 0; c < after.values[0].size(); ++c) {
    for (const auto& row : after.values) ASSERT_TRUE(row[c] >= 0 && std::isfinite(row[c])) << system << ": " << row[c];
    ASSERT_LE(defect(solver, before, after, c), 1e-12) << system;
  }
}

TEST(KineticsRandom, TenThousandSystemsInOneStepStayPositiveAndKeepEveryInvariant) {
  Draw draw(1);
  long blended = 0, invariants = 0, unfinished = 0;
  for (int system = 0; system < 10000; ++system) {
    const double dt = draw.decades(-6, 3);
    const auto network = random_network(draw, -3, 9, dt);
    KineticsSolver solver(network, 1, one_step);
    State state = random_state(draw, network.species.size(), 1);
    const State before = state;
    for (int k = 0; k < 2; ++k) {
      const auto report = step(solver, dt, state);
      ASSERT_EQ(report.refused, 0) << system;
      unfinished += report.unfinished;
      blended += report.blended_cells;
    }
    expect_sound(solver, before, state, system);
    invariants += static_cast<long>(solver.invariants().size());
  }
  EXPECT_GT(blended, 3000);
  EXPECT_GT(invariants, 10000);
  EXPECT_LE(unfinished, 10);  // of 20,000: said by the report, the cell as sound as the others
}

TEST(KineticsRandom, SystemsUnderErrorControlStayPositiveAndKeepEveryInvariant) {
  Draw draw(2);
  long substeps = 0, uncontrolled = 0, unfinished = 0;
  for (int system = 0; system < 1500; ++system) {
    const double dt = draw.decades(-6, 3);
    const auto network = random_network(draw, -3, 9, dt);
    KineticsSolver solver(network, 1, {.relative_tolerance = 1e-3});
    State state = random_state(draw, network.species.size(), 1);
    const State before = state;
    const auto report = step(solver, dt, state);
    ASSERT_EQ(report.refused, 0) << system;
    unfinished += report.unfinished;
    uncontrolled += report.uncontrolled;
    substeps += report.substeps;
    ASSERT_TRUE(!report.converged() || report.error <= 1) << system;
    expect_sound(solver, before, state, system);
  }
  EXPECT_GT(substeps, 20 * 1500);
  EXPECT_LE(unfinished, 1);
  EXPECT_LE(uncontrolled, 15);  // sustained oscillations that need more than a thousand sub-steps
}

// Right-hand side of the balance equations, written out once more.
std::vector<double> slope(const ReactionNetwork& network, const std::vector<double>& u) {
  std::vector<double> out(u.size(), 0);
  for (const auto& reaction : network.reactions) {
    double forward = reaction.rate, backward = reaction.reverse_rate;
    for (const auto& [species, count] : reaction.reactants)
      if (!reaction.saturation || reaction.saturation->species != species) forward *= std::pow(u[species], count);
    for (const auto& [species, count] : reaction.products) backward *= std::pow(u[species], count);
    if (reaction.saturation) {
      const double x = std::pow(u[reaction.saturation->species], reaction.saturation->power);
      forward *= x / (std::pow(reaction.saturation->half, reaction.saturation->power) + x);
    }
    for (const auto& [species, count] : reaction.reactants) out[species] -= count * (forward - backward);
    for (const auto& [species, count] : reaction.products) out[species] += count * (forward - backward);
  }
  return out;
}

// Classical Runge-Kutta of order 4 in many small steps.
std::vector<double> tiny_steps(const ReactionNetwork& network, std::vector<double> u, double dt, int steps) {
  const double h = dt / steps;
  const auto at = [&u](const std::vector<double>& k, double factor) {
    std::vector<double> out(u);
    for (std::size_t i = 0; i < u.size(); ++i) out[i] = std::max(0.0, u[i] + factor * k[i]);
    return out;
  };
  for (int n = 0; n < steps; ++n) {
    const auto a = slope(network, u), b = slope(network, at(a, h / 2)), c = slope(network, at(b, h / 2)),
               d = slope(network, at(c, h));
    for (std::size_t i = 0; i < u.size(); ++i) u[i] = std::max(0.0, u[i] + h / 6 * (a[i] + 2 * b[i] + 2 * c[i] + d[i]));
  }
  return u;
}

TEST(KineticsRandom, AgreesWithTinyStepsOfAnExplicitMethod) {
  Draw draw(3);
  for (int system = 0; system < 60; ++system) {
    const auto network = random_network(draw, -2, 2, 0.2);
    KineticsSolver solver(network, 1, {.relative_tolerance = 1e-8, .floor = 1e-3, .max_substeps = 100000});
    State state = random_state(draw, network.species.size(), 1);
    std::vector<double> reference;
    for (const auto& row : state.values) reference.push_back(row[0]);
    ASSERT_TRUE(step(solver, 0.2, state).converged());
    reference = tiny_steps(network, reference, 0.2, 3000);
    const double size = *std::max_element(reference.begin(), reference.end());
    for (std::size_t i = 0; i < reference.size(); ++i)
      EXPECT_NEAR(state(i), reference[i], 2e-5 * reference[i] + 1e-6 * size) << system << " species " << i;
  }
}

// A + B <-> C -> D with a saturable loss of D to A; smooth on the scale of 1.
ReactionNetwork smooth_network() {
  return network_of(4, {{.reactants = {{0}, {1}}, .products = {{2}}, .rate = 1.3, .reverse_rate = 0.4},
                        {.reactants = {{2}}, .products = {{3}}, .rate = 0.7},
                        {.reactants = {{3}}, .products = {{0}}, .rate = 0.5, .saturation = Saturation{3, 0.3, 2}},
                        {.products = {{1}}, .rate = 0.1}});
}

TEST(Kinetics, IsSecondOrderInTimeWhereNothingIsBlended) {
  const auto network = smooth_network();
  const auto exact = tiny_steps(network, {1, 0.8, 0.1, 0.2}, 2, 4000);
  std::vector<double> errors;
  for (const int steps : {20, 40, 80, 160}) {
    KineticsSolver solver(network, 1, one_step);
    State state{1, 0.8, 0.1, 0.2};
    for (int n = 0; n < steps; ++n) {
      const auto report = step(solver, 2.0 / steps, state);
      ASSERT_TRUE(report.converged());
      ASSERT_EQ(report.blended_cells, 0);
      ASSERT_EQ(report.substeps, 1);
    }
    double error = 0;
    for (std::size_t i = 0; i < 4; ++i) error += std::pow(state(i) - exact[i], 2);
    errors.push_back(std::sqrt(error));
  }
  for (std::size_t i = 1; i < errors.size(); ++i) EXPECT_NEAR(std::log2(errors[i - 1] / errors[i]), 2, 0.1);
}

TEST(Kinetics, EstimatesTheErrorToThirdOrderAndKeepsTheTolerance) {
  const auto network = smooth_network();
  std::vector<double> estimates;
  for (const double dt : {0.01, 0.005, 0.0025}) {
    KineticsSolver solver(network, 1, one_step);
    State state{1, 0.8, 0.1, 0.2};
    std::vector<double> error(1);
    EXPECT_TRUE(solver.advance(dt, state.pointers(), {}, error).converged());
    estimates.push_back(error[0]);
  }
  for (std::size_t i = 1; i < estimates.size(); ++i) EXPECT_NEAR(std::log2(estimates[i - 1] / estimates[i]), 3, 0.1);

  const auto exact = tiny_steps(network, {1, 0.8, 0.1, 0.2}, 5, 4000);
  double before = 1;
  for (const double tolerance : {1e-3, 1e-4, 1e-5, 1e-6}) {
    KineticsSolver solver(network, 1, {.relative_tolerance = tolerance});
    State state{1, 0.8, 0.1, 0.2};
    const auto report = step(solver, 5, state);
    EXPECT_TRUE(report.converged());
    EXPECT_LE(report.error, 1);
    double error = 0;
    for (std::size_t i = 0; i < 4; ++i) error = std::max(error, std::abs(state(i) / exact[i] - 1));
    EXPECT_LT(error, std::cbrt(tolerance * tolerance));  // steps grow with the cube root of the tolerance
    EXPECT_LT(error, before);
    before = error;
  }
}

TEST(Kinetics, OneStepOfADecayIsTheStabilityFunctionOfTheMethod) {
  const auto network = network_of(2, {{.reactants = {{0}}, .products = {{1}}, .rate = 1, .cell_rate = 0}});
  constexpr std::size_t cells = 37;
  KineticsSolver solver(network, cells, one_step);
  State state(2, cells);
  std::vector<double> rate(cells);
  for (std::size_t c = 0; c < cells; ++c) {
    rate[c] = 0.06 * static_cast<double>(c);  // below the step at which the second order turns negative
    state.values[0][c] = 1 + static_cast<double>(c);
  }
  const double* rates[] = {rate.data()};
  const auto report = solver.advance(1, state.pointers(), rates);
  EXPECT_TRUE(report.converged());
  EXPECT_EQ(report.blended_cells, 0);
  const double gamma = 1 - 1 / std::sqrt(2);
  for (std::size_t c = 0; c < cells; ++c) {
    const double z = rate[c], start = 1 + static_cast<double>(c);
    const double left = start * (1 - (1 - 2 * gamma) * z) / ((1 + gamma * z) * (1 + gamma * z));
    EXPECT_NEAR(state(0, c), left, 1e-14 * start);
    EXPECT_NEAR(state(1, c), start - left, 1e-14 * start);
  }
}

TEST(Kinetics, BlendsAsMuchOfTheFirstOrderStepAsPositivityNeeds) {
  const auto network = network_of(2, {{.reactants = {{0}}, .products = {{1}}, .rate = 10}});
  KineticsSolver solver(network, 2, one_step);
  State state(2, 2);
  state.values[0] = {2, 0};
  const auto report = step(solver, 1, state);
  EXPECT_EQ(report.blended_cells, 1);
  const double gamma = 1 - 1 / std::sqrt(2);
  const double second = (1 - (1 - 2 * gamma) * 10) / ((1 + gamma * 10) * (1 + gamma * 10)), first = 1.0 / 11;
  EXPECT_LT(second, 0);
  EXPECT_NEAR(report.blended_share, 0.5 * -second / (first - second), 1e-12);  // one of the two cells
  EXPECT_GE(state(0), 0);
  EXPECT_LT(state(0), 1e-15);
  EXPECT_NEAR(state(1), 2, 1e-15);
  EXPECT_EQ(state(0, 1), 0);
}

TEST(Kinetics, DrugAndReceptorTotalsStayWhateverTheStep) {
  enum : std::size_t { drug, receptor, complex, inside };
  ReactionNetwork network;
  network.species = {{"drug"}, {"receptor"}, {"complex"}, {"inside"}};
  network.reactions = {{.reactants = {{drug}, {receptor}}, .products = {{complex}}, .rate = 1e6, .reverse_rate = 1e-3},
                       {.reactants = {{complex}}, .products = {{inside}}, .rate = 1e-4}};
  EXPECT_EQ(network.number_of("inside"), inside);
  EXPECT_THROW((void)network.number_of("ligand"), InputError);
  for (const int substeps : {1, 1000})
    for (const double dt : {1e-9, 1e-6, 1e-3, 1.0, 1e3, 1e6}) {
      KineticsSolver solver(network, 3, {.max_substeps = substeps});
      ASSERT_EQ(solver.invariants().size(), 2U);
      State state(4, 3);
      state.values[drug] = {1e-3, 1, 1e6};  // from a drug in trace to a drug in excess
      state.values[receptor] = {1, 1, 1e-3};
      const auto total = [&state](std::size_t free, std::size_t cell) {
        return state(free, cell) + state(complex, cell) + state(inside, cell);
      };
      for (int n = 0; n < 100; ++n) {
        ASSERT_TRUE(step(solver, dt, state).converged()) << dt;
        for (std::size_t c = 0; c < 3; ++c) {
          const std::array drugs{1e-3, 1.0, 1e6}, receptors{1.0, 1.0, 1e-3};
          EXPECT_NEAR(total(drug, c) / drugs[c], 1, 1e-12);
          EXPECT_NEAR(total(receptor, c) / receptors[c], 1, 1e-12);
          for (std::size_t i = 0; i < 4; ++i) ASSERT_GE(state(i, c), 0);
        }
      }
      EXPECT_NEAR(state(inside, 0), dt == 1e6 ? 1e-3 : state(inside, 0), 1e-12);
    }
}

TEST(Kinetics, FollowsRobertsonsProblemToItsPublishedValues) {
  ReactionNetwork network = network_of(3, {{.reactants = {{0}}, .products = {{1}}, .rate = 0.04},
                                           {.reactants = {{1, 2}}, .products = {{1}, {2}}, .rate = 3e7},
                                           {.reactants = {{1}, {2}}, .products = {{0}, {2}}, .rate = 1e4}});
  network.species[0].scale = 1e-3;
  network.species[1].scale = 1e-9;
  KineticsSolver solver(network, 1, {.relative_tolerance = 1e-9, .max_substeps = 100000});
  ASSERT_EQ(solver.invariants(), (std::vector<std::vector<std::int64_t>>{{1, 1, 1}}));
  State state{1, 0, 0};
  EXPECT_TRUE(step(solver, 40, state).converged());
  // Hairer and Wanner, Solving Ordinary Differential Equations II, 1996.
  EXPECT_NEAR(state(0) / 0.7158270687194, 1, 1e-6);
  EXPECT_NEAR(state(1) / 9.185534764558e-6, 1, 1e-6);
  EXPECT_NEAR(state(2) / 0.2841637457458, 1, 1e-6);
  state = State{1, 0, 0};
  const auto report = step(solver, 1e11, state);
  EXPECT_TRUE(report.converged());
  // Mazzia and Magherini, Test Set for Initial Value Problem Solvers, 2008.
  EXPECT_NEAR(state(0) / 0.2083340149701255e-7, 1, 1e-4);
  EXPECT_NEAR(state(1) / 0.8333360770334713e-13, 1, 1e-4);
  EXPECT_NEAR(state(2) / 0.9999999791665050, 1, 1e-12);
  EXPECT_LT(report.substeps, 20000);
}

TEST(Kinetics, ReachesTheFastEquilibriumInOneStep) {
  // A + B <-> C with K = 5 and C <-> 2 D with K = 0.2, both as good as infinitely fast.
  const auto network = network_of(4, {{.reactants = {{0}, {1}}, .products = {{2}}, .rate = 5e12, .reverse_rate = 1e12},
                                      {.reactants = {{2}}, .products = {{3, 2}}, .rate = 2e11, .reverse_rate = 1e12}});
  for (const int substeps : {1, 1000}) {
    KineticsSolver solver(network, 1, {.max_substeps = substeps});
    State state{1, 0.5, 0, 0};
    const State before = state;
    EXPECT_TRUE(step(solver, 1, state).converged());
    EXPECT_NEAR(state(2) / (state(0) * state(1)), 5, 1e-9);
    EXPECT_NEAR(state(3) * state(3) / state(2), 0.2, 1e-9);
    EXPECT_LT(defect(solver, before, state, 0), 1e-15);
  }
}

TEST(Kinetics, FastCyclesDoNotDisturbSlowReactions) {
  // A -> B -> C -> A turns over 1e12 times while each of them leaves to D at the rate 1/3.
  const double slow = 1.0 / 3, fast = 1e12;
  const auto network = network_of(4, {{.reactants = {{0}}, .products = {{3}}, .rate = slow},
                                      {.reactants = {{1}}, .products = {{3}}, .rate = slow},
                                      {.reactants = {{2}}, .products = {{3}}, .rate = slow},
                                      {.reactants = {{0}}, .products = {{1}}, .rate = fast},
                                      {.reactants = {{1}}, .products = {{2}}, .rate = fast},
                                      {.reactants = {{2}}, .products = {{0}}, .rate = fast}});
  KineticsSolver solver(network, 1, {.relative_tolerance = 1e-9, .max_substeps = 100000});
  State state{1.0 / 3, 1.0 / 3, 1.0 / 3, 0};
  EXPECT_TRUE(step(solver, 3, state).converged());
  EXPECT_NEAR(state(3), 1 - std::exp(-1.0), 1e-6);
}

TEST(Kinetics, SaturableDecayFollowsItsImplicitSolution) {
  const double half = 0.2, fastest = 1.5;
  const auto network = network_of(1, {{.reactants = {{0}}, .rate = fastest, .saturation = Saturation{0, half}}});
  KineticsSolver solver(network, 1, {.relative_tolerance = 1e-7, .max_substeps = 100000});
  for (const double time : {0.3, 0.6, 0.9}) {
    State state{1};
    EXPECT_TRUE(step(solver, time, state).converged());
    EXPECT_NEAR(half * std::log(1 / state(0)) + 1 - state(0), fastest * time, 1e-5);
  }
}

TEST(Kinetics, RegulatedProductionComesToRest) {
  // B is made at the rate 2 A^1.7/(0.5^1.7 + A^1.7) and lost at the rate B.
  const auto network = network_of(
      2, {{.products = {{1}}, .rate = 2, .saturation = Saturation{0, 0.5, 1.7}}, {.reactants = {{1}}, .rate = 1}});
  KineticsSolver solver(network, 1, one_step);
  for (const double a : {0.0, 0.1, 0.5, 3.0, 1e30}) {
    State state{a, 0};
    for (int n = 0; n < 20; ++n) EXPECT_TRUE(step(solver, 100, state).converged());
    const double q = std::pow(a / 0.5, -1.7);
    EXPECT_NEAR(state(1), a > 0 ? 2 / (1 + q) : 0, 1e-12);
    EXPECT_EQ(state(0), a);
  }
}

TEST(Kinetics, ResultOfACellDoesNotDependOnItsCompany) {
  Draw draw(4);
  for (int system = 0; system < 6; ++system) {
    auto network = random_network(draw, -1, 5, 0.1);
    network.reactions[0].cell_rate = 0;
    constexpr std::size_t cells = 83;
    State together = random_state(draw, network.species.size(), cells);
    const State start = together;
    std::vector<double> rate(cells), error(cells);
    for (auto& value : rate) value = draw.decades(-2, 2);
    const double* rates[] = {rate.data()};
    for (const int substeps : {1, 200}) {
      const KineticsControl control{.max_substeps = substeps};
      together = start;
      KineticsSolver all(network, cells, control);
      const auto report = all.advance(0.1, together.pointers(), rates, error);
      EXPECT_EQ(report.refused, 0);
      for (const std::size_t size : {1, 3, 16, 17}) {
        State apart = start;
        std::vector<double> error_apart(cells);
        for (std::size_t first = 0; first < cells; first += size) {
          const std::size_t count = std::min(size, cells - first);
          KineticsSolver some(network, count, control);
          const double* some_rates[] = {rate.data() + first};
          (void)some.advance(0.1, apart.pointers(first), some_rates, std::span(error_apart).subspan(first, count));
        }
        for (std::size_t i = 0; i < apart.values.size(); ++i)
          ASSERT_EQ(std::memcmp(apart.values[i].data(), together.values[i].data(), cells * sizeof(double)), 0)
              << system << " " << size << " species " << i;
        ASSERT_EQ(std::memcmp(error_apart.data(), error.data(), cells * sizeof(double)), 0);
      }
    }
  }
}

TEST(Kinetics, StartsFromNothing) {
  const auto network = smooth_network();
  for (const int substeps : {1, 1000}) {
    KineticsSolver solver(network, 1, {.max_substeps = substeps});
    State state{0, 0, 0, 0};
    EXPECT_TRUE(step(solver, 3, state).converged());
    EXPECT_EQ(state(0), 0);
    EXPECT_NEAR(state(1), 0.3, 1e-15);  // the source alone
    EXPECT_EQ(state(2), 0);
    EXPECT_TRUE(step(solver, 0, state).converged());
    EXPECT_NEAR(state(1), 0.3, 1e-15);
  }
}

TEST(Kinetics, LongRunsOfBlendedStepsDoNotDrift) {
  // Far from equilibrium in every step: a pulse is put back from B to A by the test.
  const auto network = network_of(3, {{.reactants = {{0}}, .products = {{1}}, .rate = 30},
                                      {.reactants = {{1}, {1}}, .products = {{2}}, .rate = 1e3}});
  KineticsSolver solver(network, 1, one_step);
  State state{1, 0.1, 0};
  long blended = 0;
  for (int n = 0; n < 20000; ++n) {
    const State before = state;
    blended += step(solver, 1, state).blended_cells;
    ASSERT_LT(defect(solver, before, state, 0), 1e-15);
    std::swap(state.values[0], state.values[1]);
    state.values[0][0] += 2 * state(2);
    state.values[2][0] = 0;
  }
  EXPECT_GT(blended, 10000);
  EXPECT_NEAR(state(0) + state(1) + 2 * state(2), 1.1, 1.1e-12);
}

TEST(Kinetics, FindsTheInvariants) {
  // 2 A <-> B, B + C -> D, 3 D -> E: A + 2 B + ... weighs 1, 2, x, 2 + x, 6 + 3 x, for x = 0 and any other.
  const auto network =
      network_of(5, {{.reactants = {{0, 2}}, .products = {{1}}, .rate = 1, .reverse_rate = 1},
                     {.reactants = {{1}, {2}}, .products = {{3}}, .rate = 1},
                     {.reactants = {{3, 3}}, .products = {{4}}, .rate = 1, .saturation = Saturation{3, 1}}});
  const KineticsSolver solver(network, 1);
  EXPECT_EQ(solver.independent_reactions(), 3U);
  ASSERT_EQ(solver.invariants().size(), 2U);
  for (const auto& invariant : solver.invariants()) {
    EXPECT_EQ(invariant[1], 2 * invariant[0]);
    EXPECT_EQ(invariant[3], invariant[1] + invariant[2]);
    EXPECT_EQ(invariant[4], 3 * invariant[3]);
    EXPECT_GE(*std::min_element(invariant.begin(), invariant.end()), 0);
  }
  EXPECT_NE(solver.invariants()[0], solver.invariants()[1]);

  const auto open = network_of(2, {{.products = {{0}}, .rate = 1}, {.reactants = {{0}}, .products = {{1}}, .rate = 1}});
  EXPECT_TRUE(KineticsSolver(open, 1).invariants().empty());
  const KineticsSolver still(network_of(2, {}), 1);
  EXPECT_EQ(still.invariants(), (std::vector<std::vector<std::int64_t>>{{1, 0}, {0, 1}}));
  EXPECT_EQ(still.independent_reactions(), 0U);
}

TEST(Kinetics, RefusesWhatIsNotAConcentrationAndLeavesTheCell) {
  const auto network = network_of(2, {{.reactants = {{0}}, .products = {{1}}, .rate = 1, .cell_rate = 0}});
  KineticsSolver solver(network, 4);
  State state(2, 4, 1.0);
  state.values[0] = {1, -1e-9, std::numeric_limits<double>::quiet_NaN(), 1};
  const std::vector<double> rate{1, 1, 1, -1};
  const double* rates[] = {rate.data()};
  std::vector<double> error(4);
  const auto report = solver.advance(1, state.pointers(), rates, error);
  EXPECT_EQ(report.refused, 3);
  EXPECT_FALSE(report.converged());
  EXPECT_NEAR(state(0, 0), std::exp(-1.0), 1e-3);
  EXPECT_EQ(state(0, 1), -1e-9);
  EXPECT_TRUE(std::isnan(state(0, 2)));
  EXPECT_EQ(state(0, 3), 1);
  EXPECT_TRUE(std::isinf(error[3]));
  EXPECT_LE(error[0], 1);
}

TEST(Kinetics, ReportsACellThatCannotBeFinished) {
  // A -> 2 A: the solution leaves every bound long before the end of the step.
  const auto network = network_of(1, {{.reactants = {{0}}, .products = {{0, 2}}, .rate = 1e6}});
  for (const int substeps : {1, 50}) {
    KineticsSolver solver(network, 1, {.max_substeps = substeps});
    State state{1};
    const auto report = step(solver, 1, state);
    EXPECT_EQ(report.unfinished, 1);
    EXPECT_FALSE(report.converged());
    EXPECT_TRUE(state(0) >= 1 && std::isfinite(state(0)));
  }
}

TEST(Kinetics, RefusesNetworksThatMakeNoSense) {
  const auto refused = [](Reaction reaction) {
    EXPECT_THROW(KineticsSolver(network_of(3, {std::move(reaction)}), 1), InputError);
  };
  refused({.reactants = {{0}}, .rate = -1});
  refused({.reactants = {{0}}, .rate = std::numeric_limits<double>::quiet_NaN()});
  refused({.reactants = {{3}}, .rate = 1});
  refused({.reactants = {{0, 0}}, .rate = 1});
  refused({.reactants = {{0}, {1}, {2}}, .rate = 1});
  refused({.reactants = {{0}}, .products = {{1, 3}}, .rate = 1, .reverse_rate = 1});
  refused({.reactants = {{0}}, .rate = 1, .saturation = Saturation{0, 0}});
  refused({.reactants = {{0}}, .rate = 1, .saturation = Saturation{0, 1, 0.5}});
  refused({.reactants = {{0}}, .rate = 1, .saturation = Saturation{5, 1}});
  KineticsSolver solver(network_of(2, {{.reactants = {{0}}, .rate = 1, .cell_rate = 1}}), 1);
  State state(2, 1, 1.0);
  EXPECT_THROW((void)step(solver, 1, state), InputError);
  EXPECT_THROW((void)solver.advance(-1, state.pointers()), InputError);
  EXPECT_THROW(KineticsSolver(smooth_network(), 1, {.relative_tolerance = 0}), InputError);
}

}  // namespace
}  // namespace sanctuary
