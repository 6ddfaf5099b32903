#include "tissue/interstitium.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "solvers/network/phase_separation.hpp"
#include "solvers/network/rheology.hpp"
#include "tissue/network_generator.hpp"

namespace sanctuary {
namespace {

constexpr double mmhg = 133.322387415, um = 1e-6;

TEST(OncoticPressure, IsRelativeToTheInletAndSteepens) {
  EXPECT_DOUBLE_EQ(relative_oncotic_pressure(1), 1);
  EXPECT_EQ(relative_oncotic_pressure(0), 0);
  // Landis and Pappenheimer at 12 and 6 g/dl: 2.1 c + 0.16 c^2 + 0.009 c^3.
  EXPECT_NEAR(relative_oncotic_pressure(2), (25.2 + 23.04 + 15.552) / (12.6 + 5.76 + 1.944), 1e-14);
}

/// A leaky wall, plasma entering at 1 with its protein at inlet strength.
constexpr double wall = 1e-3, oncotic = 4 * mmhg, protein_oncotic = 16 * mmhg;

double residual(double difference, double plasma, double protein, double flow) {
  return wall * (difference - oncotic - protein_oncotic * (relative_oncotic_pressure(protein / (plasma - flow)) - 1)) -
         flow;
}

TEST(ConcentratingFiltration, SolvesItsEquation) {
  for (const double difference : {-20 * mmhg, 3 * mmhg, 4.1 * mmhg, 10 * mmhg, 100 * mmhg}) {
    for (const double protein : {0.5, 1.0, 1.3}) {
      const Filtration f = concentrating_filtration(wall, difference, oncotic, protein_oncotic, 1.0, protein);
      EXPECT_LT(f.flow, 1.0);
      EXPECT_NEAR(residual(difference, 1.0, protein, f.flow), 0, 1e-11 * (1 + std::abs(f.flow)) / f.slope * wall)
          << difference / mmhg << " mmHg, protein " << protein;
    }
  }
}

TEST(ConcentratingFiltration, SlopeIsThatOfTheFlow) {
  for (const double difference : {-20 * mmhg, 4.5 * mmhg, 30 * mmhg}) {
    const double h = 0.01;
    const double up = concentrating_filtration(wall, difference + h, oncotic, protein_oncotic, 1.0, 1.0).flow;
    const double down = concentrating_filtration(wall, difference - h, oncotic, protein_oncotic, 1.0, 1.0).flow;
    const double slope = concentrating_filtration(wall, difference, oncotic, protein_oncotic, 1.0, 1.0).slope;
    EXPECT_NEAR(slope, (up - down) / (2 * h), 1e-5 * slope) << difference / mmhg;
    EXPECT_GT(slope, 0);
    EXPECT_LE(slope, wall);
  }
}

TEST(ConcentratingFiltration, NeverSpendsThePlasma) {
  double last = 0;
  for (const double difference : {1e3, 1e4, 1e5, 1e6, 1e8}) {
    const Filtration f = concentrating_filtration(wall, difference, oncotic, protein_oncotic, 1.0, 1.0);
    EXPECT_LT(f.flow, 1.0);
    EXPECT_GT(f.flow, last);
    last = f.flow;
  }
  EXPECT_GT(last, 0.9);
}

TEST(ConcentratingFiltration, TakesFluidInWhereTheTissuePresses) {
  const Filtration f = concentrating_filtration(wall, -10 * mmhg, oncotic, protein_oncotic, 1.0, 1.0);
  EXPECT_LT(f.flow, 0);
  // Diluted proteins hold less: less than the constant oncotic pressure would draw.
  EXPECT_GT(f.flow, wall * (-10 * mmhg - oncotic));
  EXPECT_DOUBLE_EQ(concentrating_filtration(wall, -10 * mmhg, oncotic, 0, 1.0, 1.0).flow, wall * (-14 * mmhg));
  EXPECT_NEAR(concentrating_filtration(wall, oncotic, oncotic, protein_oncotic, 1.0, 1.0).flow, 0, 1e-15);
}

/// A generated network in a box of 10^3 cells, with walls as leaky as a tumour's.
class Piece : public ::testing::Test {
 protected:
  void SetUp() override {
    spec_ = {{0, 0, 0}, {30 * um, 30 * um, 30 * um}, {10, 10, 10}};
    GeneratorSettings settings;
    settings.box.size = {300 * um, 300 * um, 300 * um};
    settings.segments = 100;
    settings.inlets = settings.outlets = 3;
    settings.seed = 5;
    graph_ = generate_network(settings);
    {  // a blind end of two vessels
      const auto& root = graph_.position[static_cast<std::size_t>(graph_.segment[0][1])];
      const long first = static_cast<long>(graph_.position.size());
      graph_.add_node({0.6 * root[0] + 60 * um, 0.6 * root[1] + 60 * um, 0.6 * root[2] + 60 * um}, 9001);
      graph_.add_node({150 * um, 150 * um, 150 * um}, 9002);
      graph_.add_segment(graph_.segment[0][1], first, 5 * um, 9001);
      graph_.add_segment(first, first + 1, 5 * um, 9002);
    }
    grid_ = std::make_unique<Grid>(MPI_COMM_SELF, spec_);
    cut_ = cut_at_faces(*grid_, graph_);
    embedded_ = std::make_unique<EmbeddedNetwork>(*grid_, cut_);
    std::vector<double> radius(cut_.pieces());
    double surface = 0;
    for (std::size_t p = 0; p < radius.size(); ++p) {
      radius[p] = graph_.radius[static_cast<std::size_t>(cut_.piece_segment[p])];
      surface += 2 * std::numbers::pi * radius[p] * cut_.piece_length[p];
    }
    BloodLaws laws;
    laws.viscosity = [](double diameter, double haematocrit) {
      return apparent_viscosity({}, diameter, std::min(haematocrit, 0.95));
    };
    laws.split = [](double inflow, double diameter, std::span<const double> flow, std::span<const double> widths,
                    std::span<double> out) { split_red_cells({}, inflow, diameter, flow, widths, out); };
    flow_ = std::make_unique<FlowSolver>(cut_, radius, laws);
    const double product = 5.6e-5 / mmhg;
    for (std::size_t p = 0; p < radius.size(); ++p) {
      wall_.conductance.push_back(product * 2.7e-11 * 2 * std::numbers::pi * radius[p] * cut_.piece_length[p] /
                                  surface);
      wall_.oncotic.push_back(0.82 * 5 * mmhg);
    }
    tissue_.conductivity.assign(1000, 4.13e-12 / mmhg);
    tissue_.lymph_conductance.assign(1000, 0.0);
    tissue_.walls = Walls::all(WallKind::closed);
  }
  FluidState solve() {
    FluidSolver solver(*grid_, embedded_.get(), flow_.get());
    FluidState state;
    solver.solve(tissue_, wall_, state);
    return state;
  }
  [[nodiscard]] double mean_pressure(const FluidState& state) const {
    double sum = 0;
    petsc(VecSum(state.pressure.get(), &sum));
    return sum / 1000;
  }

  GridSpec spec_;
  VesselGraph graph_;
  std::unique_ptr<Grid> grid_;
  CutNetwork cut_;
  std::unique_ptr<EmbeddedNetwork> embedded_;
  std::unique_ptr<FlowSolver> flow_;
  FluidTissue tissue_;
  FluidWall wall_;
};

TEST_F(Piece, InteriorWithoutLymphRestsAtTheMeanEffectivePressure) {
  const FluidState state = solve();
  double weight = 0, effective = 0, tissue = 0;
  const ReadAccess pressure(state.pressure.get());
  for (std::size_t p = 0; p < embedded_->pieces(); ++p) {
    const auto [a, b] = cut_.piece_nodes[p];
    const double blood =
        0.5 * (state.blood.pressure[static_cast<std::size_t>(a)] + state.blood.pressure[static_cast<std::size_t>(b)]);
    weight += wall_.conductance[p];
    effective += wall_.conductance[p] * (blood - wall_.oncotic[p]);
    tissue += wall_.conductance[p] * pressure[embedded_->piece_cell()[p]];
  }
  EXPECT_NEAR(tissue / weight, effective / weight, 1e-9 * effective / weight);
  EXPECT_NEAR(mean_pressure(state), effective / weight, 0.02 * effective / weight);
  EXPECT_GT(state.filtration_out, 0);
  EXPECT_NEAR(state.filtration, 0, 1e-9 * state.filtration_out);
  EXPECT_EQ(state.drained, 0);
  EXPECT_EQ(state.walls, 0);
}

TEST_F(Piece, ConcentratedProteinsLowerThePressure) {
  const FluidState constant = solve();
  wall_.protein_oncotic.assign(cut_.pieces(), 0.82 * 20 * mmhg);
  const FluidState concentrated = solve();
  EXPECT_NE(mean_pressure(concentrated), mean_pressure(constant));
  EXPECT_LT(concentrated.filtration_out, constant.filtration_out);
  EXPECT_NEAR(concentrated.filtration, 0, 1e-9 * constant.plasma_inflow);
  EXPECT_LT(concentrated.blood.blood_imbalance, 1e-9);
}

TEST_F(Piece, BloodThatStandsFiltersNothing) {
  tissue_.walls = Walls::all(WallKind::fixed, 0);
  wall_.protein_oncotic.assign(cut_.pieces(), 0.82 * 20 * mmhg);
  for (double& w : wall_.conductance) w *= 30;  // as the anchor makes it in a sparse nodule
  const auto check = [&](const FluidState& state, double velocity) {
    EXPECT_TRUE(state.blood.converged);
    int blind = 0, slow = 0;
    for (std::size_t p = 0; p < embedded_->pieces(); ++p) {
      const double radius = flow_->radius()[p];
      const double v = std::abs(state.blood.flow[p]) / (std::numbers::pi * radius * radius);
      EXPECT_LE(state.blood.haematocrit[p], 1) << p;
      blind += graph_.segment_id[static_cast<std::size_t>(cut_.piece_segment[p])] > 9000;
      if (graph_.segment_id[static_cast<std::size_t>(cut_.piece_segment[p])] > 9000 || v < 0.5 * velocity) {
        ++slow;
        EXPECT_NEAR(state.blood.leak[p], 0, 1e-9 * state.filtration_out) << p;
      }
    }
    EXPECT_GT(blind, 5);
    return slow - blind;
  };
  const FluidState all = solve();
  EXPECT_EQ(check(all, 0), 0);
  wall_.filtration_velocity = 200 * um;
  const FluidState some = solve();
  EXPECT_GT(check(some, 200 * um), 10);
}

TEST_F(Piece, BloodAndFluidBalance) {
  tissue_.lymph_conductance.assign(1000, 1.33e-5 / mmhg);
  tissue_.walls = Walls::all(WallKind::fixed, 0);
  wall_.protein_oncotic.assign(cut_.pieces(), 0.82 * 20 * mmhg);
  const FluidState state = solve();
  EXPECT_TRUE(state.blood.converged);
  EXPECT_LT(state.blood.blood_imbalance, 1e-10);
  EXPECT_LT(state.blood.red_cell_imbalance, 1e-10);
  EXPECT_LT(state.imbalance, 1e-10);
  EXPECT_GT(state.filtration, 0);
  EXPECT_GT(state.drained, 0);
  EXPECT_GT(state.walls, 0);
  EXPECT_NEAR(state.filtration, state.drained + state.walls, 1e-9 * state.filtration);
  double inflow = 0;
  for (const double q : state.blood.inflow) inflow += q;
  EXPECT_NEAR(inflow, state.filtration, 1e-6 * state.filtration);  // what the blood lost went into the tissue
}

TEST_F(Piece, LymphDrainsOnlyAboveItsPressure) {
  tissue_.lymph_conductance.assign(1000, 1.33e-5 / mmhg);
  tissue_.lymph_pressure = 2 * mmhg;
  tissue_.walls.kind[0] = WallKind::fixed;  // the rest closed, so that pressure rises from this wall on
  const FluidState state = solve();
  const ReadAccess pressure(state.pressure.get());
  int draining = 0;
  for (std::size_t c = 0; c < 1000; ++c) {
    const double expected = std::max(pressure[c] - 2 * mmhg, 0.0) * 1.33e-5 / mmhg * grid_->cell_volume();
    EXPECT_NEAR(state.lymph[c], expected, 1e-9 * grid_->cell_volume());
    draining += state.lymph[c] > 0;
  }
  EXPECT_GT(draining, 0) << *std::max_element(pressure.data(), pressure.data() + 1000) / mmhg;
  EXPECT_LT(draining, 1000);
}

TEST_F(Piece, TightVesselsLeakNothing) {
  std::fill(wall_.conductance.begin(), wall_.conductance.end(), 0.0);
  tissue_.walls = Walls::all(WallKind::fixed, 2 * mmhg);
  const FluidState state = solve();
  EXPECT_EQ(state.filtration, 0);
  EXPECT_NEAR(mean_pressure(state), 2 * mmhg, 1e-9 * mmhg);
}

}  // namespace
}  // namespace sanctuary
