#include "solvers/network/exchange.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "base/random.hpp"
#include "solvers/network/convection.hpp"
#include "verification/embedded.hpp"

namespace sanctuary {
namespace {

using Point = std::array<double, 3>;
constexpr double pi = std::numbers::pi;
const GridSpec cube{{0, 0, 0}, {1, 1, 1}, {12, 12, 12}};

VesselPiece piece(const Point& from, const Point& to, double radius, long segment, PetscInt number) {
  return {.from = from,
          .to = to,
          .radius = radius,
          .length = std::hypot(to[0] - from[0], to[1] - from[1], to[2] - from[2]),
          .segment = segment,
          .segment_nodes = {2 * segment, 2 * segment + 1},
          .number = number};
}

/// A vessel along z through (x, y), one piece per cell.
void add_vessel(double x, double y, double radius, long segment, std::vector<VesselPiece>& out, long from = 0,
                long to = 12) {
  for (long k = from; k < to; ++k) {
    const auto z = static_cast<double>(k);
    out.push_back(piece({x, y, z}, {x, y, z + 1}, radius, segment, static_cast<PetscInt>(out.size())));
  }
}

TEST(LatticeGreen, HasTheKnownValuesOfTheCube) {
  const LatticeGreen green({1, 1, 1});
  // Watson's integral 1.5163860591519780 / 6 (Glasser & Zucker 1977); 6 g(0) - 6 g(1) = 1 by the equation itself.
  EXPECT_NEAR(green(0, 0, 0), 0.252731009858663, 1e-13);
  EXPECT_NEAR(green(1, 0, 0), 0.252731009858663 - 1.0 / 6, 1e-13);
  EXPECT_EQ(green(-2, 1, 3), green(2, -1, -3));
  // 1/(4 pi r) (1 + (5 sum x^4 / r^4 - 3) / (8 r^2) ...): 2/(8 r^2) more along an axis
  EXPECT_NEAR(green(14, 0, 0) * 4 * pi * 14, 1 + 2 / (8.0 * 14 * 14), 3e-5);
  EXPECT_NEAR(green(15, 0, 0) * 4 * pi * 15, 1, 1e-12);
}

TEST(LatticeGreen, FulfilsItsEquationOnCellsOfAnyShape) {
  const Point h{2, 0.5, 1};
  const LatticeGreen green(h);
  for (const auto& [i, j, k] : {std::array<long, 3>{0, 0, 0}, {1, 0, 0}, {0, 3, 1}, {5, 2, 7}}) {
    const double out = (h[1] * h[2] / h[0]) * (2 * green(i, j, k) - green(i - 1, j, k) - green(i + 1, j, k)) +
                       (h[0] * h[2] / h[1]) * (2 * green(i, j, k) - green(i, j - 1, k) - green(i, j + 1, k)) +
                       (h[0] * h[1] / h[2]) * (2 * green(i, j, k) - green(i, j, k - 1) - green(i, j, k + 1));
    EXPECT_NEAR(out, i == 0 && j == 0 && k == 0 ? 1 : 0, 1e-13);
  }
}

TEST(LatticeGreen, OfAColumnIsTheLatticeLogarithmOfThePlane) {
  // Summed along z: differences of the square lattice's Green's function, g(1,0) = -1/4, g(1,1) = -1/pi.
  const LatticeGreen green({1, 1, 1});
  double one = 0, corner = 0;
  for (long k = -14; k <= 14; ++k) {
    one += green(1, 0, k) - green(0, 0, k);
    corner += green(1, 1, k) - green(0, 0, k);
  }
  // What is left out beyond 14.5 cells: 1/(4 pi) r^2/(2 z^3) integrated on both sides.
  EXPECT_NEAR(one, -0.25 + 1 / (8 * pi * 14.5 * 14.5), 2e-5);
  EXPECT_NEAR(corner, -1 / pi + 2 / (8 * pi * 14.5 * 14.5), 4e-5);
}

TEST(LinePotential, IsTheIntegralOverTheLine) {
  const Point from{0, 0, 0}, to{3, 4, 0}, x{1, -1, 2};
  constexpr int steps = 20000;
  double sum = 0;
  for (int n = 0; n < steps; ++n) {
    const double t = (n + 0.5) / steps;
    sum += 1 / (4 * pi * std::hypot(x[0] - 3 * t, x[1] - 4 * t, x[2])) / steps;
  }
  EXPECT_NEAR(line_potential(x, from, to, 0), sum, 1e-10);
  // Hand-worked: middle of a line of length 2 at distance 1: 2 asinh(1) / (8 pi).
  EXPECT_NEAR(line_potential({0, 0, 0}, {-1, 0, 0}, {1, 0, 0}, 1), 2 * std::asinh(1.0) / (8 * pi), 1e-15);
}

TEST(LinePotential, ItsMeanOverAnotherLineIsSymmetricAndRight) {
  const Point a{0, 0, 0}, b{2, 0, 0}, c{0.5, 1, 0.3}, d{3, 2, -1}, e{0.4, 0.7, 0.2}, f{3.4, 0.7, 0.2};
  for (const auto& [from, to] : {std::pair{c, d}, std::pair{e, f}, std::pair{f, e}}) {
    constexpr int steps = 2000;
    double sum = 0;
    for (int n = 0; n < steps; ++n) sum += line_potential({2 * (n + 0.5) / steps, 0, 0}, from, to, 0.1) / steps;
    EXPECT_NEAR(mean_line_potential(a, b, from, to, 0.1), sum, 1e-7);
    EXPECT_NEAR(mean_line_potential(from, to, a, b, 0.1), sum, 1e-5);
  }
}

TEST(LinePotential, OfAWallOnItselfIsTheLogarithmOfItsRadius) {
  // A long tube seen from a short part: (ln(L/R) ...) as from its axis, 2-D mean value property.
  const Point a{0, 0, -0.5}, b{0, 0, 0.5}, c{0, 0, -200}, d{0, 0, 200};
  const double axis = 400 * mean_line_potential(a, b, c, d, 0.2);
  EXPECT_NEAR(axis, std::log(2 * 200 / 0.2) / (2 * pi), 1e-5);
  EXPECT_NEAR(400 * mean_wall_potential(a, b, c, d, 0.2), axis, 1e-5);
}

TEST(ExchangeGeometry, SharesAreWhatLinearInterpolationGives) {
  const std::vector<VesselPiece> one{piece({5.75, 6.5, 6}, {5.75, 6.5, 7}, 0.01, 0, 0)};
  const ExchangeGeometry g = exchange_geometry(cube, one, 1, {});
  ASSERT_EQ(g.cell.size(), 2U);  // in the middle of a cell along y and z, a quarter beyond it along x
  EXPECT_EQ(g.cell[0], (std::array<std::int32_t, 3>{5, 6, 6}));
  EXPECT_NEAR(g.weight[0], 0.75, 1e-12);
  EXPECT_NEAR(g.weight[1], 0.25, 1e-12);
  // Of (distance from the axis)^2 / 4 the cells show (3/4 (1/4)^2 + 1/4 (3/4)^2) / 4 where it is 0.
  EXPECT_NEAR(g.curvature[0], 0.75 * 0.25 / 4, 1e-12);
}

TEST(ExchangeGeometry, ResistanceOfAlignedThinVesselIsPeacemans) {
  // A long vessel through cell centres: ln(r_e / R) / (2 pi) per length, r_e = exp(-gamma) / 2^1.5 h = 0.1985 h. What
  // the near field leaves out beyond the reach is the square lattice's difference from the logarithm, small.
  std::vector<VesselPiece> vessel;
  add_vessel(6.5, 6.5, 0.01, 0, vessel);
  ExchangeSettings settings;
  settings.reach = settings.reach_alone = 6;
  const ExchangeGeometry g = exchange_geometry(cube, vessel, vessel.size(), settings);
  EXPECT_NEAR(g.own[6], std::log(0.19850 / 0.01) / (2 * pi), 2e-3);
  const ExchangeGeometry near = exchange_geometry(cube, vessel, vessel.size(), {});
  EXPECT_NEAR(near.own[6], g.own[6], 0.01 * g.own[6]);
}

TEST(ExchangeGeometry, ThinnerVesselsAndWiderCellsMeanMoreResistance) {
  double before = 1e9;
  for (const double radius : {0.005, 0.02, 0.1, 0.14, 0.16, 0.3, 0.6, 1.5}) {
    std::vector<VesselPiece> vessel;
    add_vessel(6.4, 6.2, radius, 0, vessel);
    const ExchangeGeometry g = exchange_geometry(cube, vessel, vessel.size(), {});
    EXPECT_GE(g.own[6], 0) << radius;
    EXPECT_LE(g.own[6], before + 0.01) << radius;
    before = g.own[6];
    double sum = 0;
    for (std::size_t s = g.cell_offset[6]; s < g.cell_offset[7]; ++s) sum += g.weight[s];
    EXPECT_NEAR(sum, 1, 1e-12);
  }
  EXPECT_LT(before, 0.02);
}

TEST(ExchangeGeometry, AnEvenImageContinuesAVesselThroughAClosedWall) {
  std::vector<VesselPiece> vessel;
  add_vessel(6.3, 6.1, 0.05, 0, vessel);
  ExchangeSettings settings;
  settings.mirror[4] = settings.mirror[5] = 1;
  const ExchangeGeometry g = exchange_geometry(cube, vessel, vessel.size(), settings);
  for (std::size_t i = 0; i < vessel.size(); ++i) EXPECT_NEAR(g.own[i], g.own[6], 1e-10 * g.own[6]) << i;
  const ExchangeGeometry without = exchange_geometry(cube, vessel, vessel.size(), {});
  EXPECT_GT(std::abs(without.own[0] / g.own[0] - 1), 1e-3);
}

TEST(ExchangeGeometry, CouplesOtherVesselsCloseByAndJoinsConnectedOnes) {
  std::vector<VesselPiece> two;
  add_vessel(6.3, 6.1, 0.05, 0, two);
  add_vessel(6.5, 6.1, 0.05, 1, two);
  const ExchangeGeometry apart = exchange_geometry(cube, two, two.size(), {});
  ASSERT_EQ(apart.neighbour_offset[7] - apart.neighbour_offset[6], 1U);
  const auto& neighbour = apart.neighbour[apart.neighbour_offset[6]];
  // Between the logarithms of the distance and of the radius lies what one adds to the other.
  EXPECT_NEAR(apart.own[6] - neighbour.mutual, std::log(0.2 / 0.05) / (2 * pi), 0.02);
  ExchangeSettings settings;
  settings.reach_alone = settings.reach;
  for (VesselPiece& p : two) p.segment_nodes = {7, p.segment == 0 ? 8 : 9};
  const ExchangeGeometry joined = exchange_geometry(cube, two, two.size(), settings);
  EXPECT_TRUE(joined.neighbour.empty());
  EXPECT_NEAR(joined.own[6], apart.own[6] + neighbour.mutual, 0.01 * joined.own[6]);
}

TEST(ExchangeGeometry, RefusesPiecesOfNoLengthAndOutside) {
  EXPECT_THROW((void)exchange_geometry(cube, std::vector{piece({1, 1, 1}, {1, 1, 1}, 0.1, 3, 0)}, 1, {}), InputError);
  EXPECT_THROW((void)exchange_geometry(cube, std::vector{piece({1, 1, 13}, {1, 1, 14}, 0.1, 3, 0)}, 1, {}), InputError);
}

/// Two vessels close to each other and a bend in a cube on one rank, with two unknowns for each piece.
struct Small {
  Grid grid{PETSC_COMM_SELF, cube};
  std::vector<VesselPiece> pieces;
  std::vector<LumenLink> links;
  PetscInt unknowns = 0;
  Small() {
    add_vessel(6.3, 6.1, 0.05, 0, pieces);
    add_vessel(6.5, 6.2, 0.08, 1, pieces, 3, 9);
    pieces.push_back(piece({1.2, 1.3, 1.1}, {1.9, 1.4, 1.6}, 0.6, 2, static_cast<PetscInt>(pieces.size())));
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const auto a = static_cast<PetscInt>(i), b = static_cast<PetscInt>(pieces.size());
      links.push_back({.mean = {a, b}, .mean_weight = {0.7, 0.3}, .loss = {a, b}, .loss_weight = {0.7, 0.3}});
    }
    unknowns = static_cast<PetscInt>(pieces.size()) + 1;
  }
  [[nodiscard]] VecHandle network(double value) const {
    VecHandle v;
    petsc(VecCreateMPI(PETSC_COMM_SELF, unknowns, PETSC_DETERMINE, v.out()));
    petsc(VecSet(v.get(), value));
    return v;
  }
};

void randomise(Vec v, const char* name) {
  const RandomStream draws(3, name);
  PetscInt n = 0;
  petsc(VecGetLocalSize(v, &n));
  const WriteAccess access(v);
  for (PetscInt i = 0; i < n; ++i) access[static_cast<std::size_t>(i)] = draws.uniform(static_cast<std::uint64_t>(i));
}

double dot(Vec a, Vec b) {
  double value = 0;
  petsc(VecDot(a, b, &value));
  return value;
}

TEST(VesselExchange, IsSymmetricAndLosesNothing) {
  const Small small;
  VesselExchange exchange(small.grid, exchange_geometry(cube, small.pieces, small.pieces.size(), {}), small.unknowns);
  exchange.set(std::vector<WallConductance>(small.pieces.size(), {3, 3, 2}), small.links);
  VecHandle u = small.grid.vector(), w = small.grid.vector(), xu = small.grid.vector(), xw = small.grid.vector();
  randomise(u.get(), "u");
  randomise(w.get(), "w");
  petsc(MatMult(exchange.cells(), u.get(), xu.get()));
  petsc(MatMult(exchange.cells(), w.get(), xw.get()));
  EXPECT_NEAR(dot(w.get(), xu.get()), dot(u.get(), xw.get()), 1e-10);
  VecHandle v = small.network(0), bv = small.grid.vector(), cu = small.network(0);
  randomise(v.get(), "v");
  petsc(MatMult(exchange.to_cells(), v.get(), bv.get()));
  petsc(MatMult(exchange.from_cells(), u.get(), cu.get()));
  EXPECT_NEAR(dot(u.get(), bv.get()), dot(v.get(), cu.get()), 1e-10);

  // What the pieces give off is what the cells get and what the network loses.
  const std::vector<double> flow = exchange.flow(u.get(), v.get());
  double given = 0, got = 0;
  for (const double q : flow) given += q;
  const std::vector<double>& diagonal = exchange.cell_diagonal();
  {
    const ReadAccess x(xu.get()), b(bv.get()), value(u.get());
    for (std::size_t c = 0; c < diagonal.size(); ++c) got -= x[c] + b[c] + diagonal[c] * value[c];
  }
  EXPECT_NEAR(got, given, 1e-12 * std::abs(given));
  MatHandle d;
  petsc(MatCreateSeqDense(PETSC_COMM_SELF, small.unknowns, small.unknowns, nullptr, d.out()));
  exchange.add_to_network(d.get());
  petsc(MatAssemblyBegin(d.get(), MAT_FINAL_ASSEMBLY));
  petsc(MatAssemblyEnd(d.get(), MAT_FINAL_ASSEMBLY));
  petsc(MatMultAdd(d.get(), v.get(), cu.get(), cu.get()));
  double lost = 0;
  petsc(VecSum(cu.get(), &lost));
  EXPECT_NEAR(lost, given, 1e-12 * std::abs(given));
}

TEST(VesselExchange, NothingMovesAtEqualValues) {
  const Small small;
  VesselExchange exchange(small.grid, exchange_geometry(cube, small.pieces, small.pieces.size(), {}), small.unknowns);
  exchange.set(std::vector<WallConductance>(small.pieces.size(), {3, 3, 2}), small.links);
  VecHandle u = small.grid.vector();
  petsc(VecSet(u.get(), 5));
  for (const double q : exchange.flow(u.get(), small.network(5).get())) EXPECT_NEAR(q, 0, 1e-12);
  for (const double q : exchange.flow(u.get(), small.network(6).get())) EXPECT_GT(q, 0);
}

TEST(VesselExchange, PiecesThatAreNotCoupledExchangeAsIfAlone) {
  const Small small;
  const auto g =
      std::make_shared<const ExchangeGeometry>(exchange_geometry(cube, small.pieces, small.pieces.size(), {}));
  ASSERT_FALSE(g->neighbour.empty());
  VesselExchange all(small.grid, exchange_rows(PETSC_COMM_SELF, g, ExchangeForm::all_vessels), small.unknowns);
  VesselExchange alone(small.grid, exchange_rows(PETSC_COMM_SELF, g, ExchangeForm::own_vessel), small.unknowns);
  VecHandle u = small.grid.vector(), v = small.network(0);
  randomise(u.get(), "u");
  randomise(v.get(), "v");
  const std::vector<WallConductance> walls(small.pieces.size(), {3, 3, 2});
  alone.set(walls, small.links);
  const std::vector<double> expected = alone.flow(u.get(), v.get());
  const auto largest_difference = [&](double coupling) {
    std::vector<WallConductance> given = walls;
    for (WallConductance& w : given) w.coupling = coupling;
    all.set(given, small.links);
    const std::vector<double> flow = all.flow(u.get(), v.get());
    double most = 0;
    for (std::size_t i = 0; i < flow.size(); ++i) most = std::max(most, std::abs(flow[i] - expected[i]));
    for (const double q : all.flow(small.grid.vector().get(), small.network(0).get())) EXPECT_NEAR(q, 0, 1e-12);
    return most;
  };
  EXPECT_EQ(largest_difference(0), 0);
  EXPECT_GT(largest_difference(0.5), 1e-4);
  EXPECT_GT(largest_difference(1), largest_difference(0.5));
}

TEST(VesselExchange, OnePieceAloneIsWallAndCellInSeries) {
  const Grid grid(PETSC_COMM_SELF, cube);
  const std::vector<VesselPiece> one{piece({5.2, 6.1, 6.3}, {5.7, 6.4, 6.9}, 0.02, 0, 0)};
  const ExchangeGeometry g = exchange_geometry(cube, one, 1, {});
  VesselExchange exchange(grid, g, 0);
  VecHandle u = grid.vector();
  petsc(VecSet(u.get(), 2));
  exchange.set(std::vector{WallConductance{5, 3, 4}}, std::vector<LumenLink>(1));
  // q = 5 v - 3 (u + r q / D) => q = (5 v - 3 u) / (1 + 3 r / D)
  const double expected = (5 * 7.0 - 3 * 2.0) / (1 + 3 * g.resistance(0) / 4);
  EXPECT_NEAR(exchange.flow(u.get(), std::vector{7.0})[0], expected, 1e-12 * expected);
  // A wall that only lets fluid out: nothing depends on the tissue.
  exchange.set(std::vector{WallConductance{5, 0, 4}}, std::vector<LumenLink>(1));
  EXPECT_NEAR(exchange.flow(u.get(), std::vector{7.0})[0], 35, 1e-9);
  exchange.set(std::vector{WallConductance{0, 0, 4}}, std::vector<LumenLink>(1));
  EXPECT_EQ(exchange.flow(u.get(), std::vector{7.0})[0], 0);
}

TEST(VesselExchange, WhatFluidCarriesThroughTheWallItCarriesOn) {
  const Grid grid(PETSC_COMM_SELF, cube);
  const std::vector<VesselPiece> one{piece({5.2, 6.1, 6.3}, {5.7, 6.4, 6.9}, 0.02, 0, 0)};
  const ExchangeGeometry g = exchange_geometry(cube, one, 1, {});
  VesselExchange exchange(grid, g, 0);
  VecHandle u = grid.vector();
  petsc(VecSet(u.get(), 2));
  // Nothing comes back through the wall: however slow diffusion, all that passes it reaches the cells.
  for (const double peclet : {0.1, 1.0, 10.0, 25.0, 100.0}) {
    PieceCoefficients coefficients{.to_tissue = 5, .from_tissue = 0};
    set_tissue(5 * g.resistance(0) / peclet, g.resistance(0), 5, coefficients);
    exchange.set(
        std::vector{WallConductance{coefficients.to_tissue, coefficients.from_tissue, coefficients.diffusivity}},
        std::vector<LumenLink>(1));
    EXPECT_NEAR(exchange.flow(u.get(), std::vector{7.0})[0], 35, 1e-9) << peclet;
  }
}

TEST(VesselExchange, RefusesPiecesThatAreNotNumberedInOrder) {
  const Grid grid(PETSC_COMM_SELF, cube);
  const std::vector<VesselPiece> one{piece({5.2, 6.1, 6.3}, {5.7, 6.4, 6.9}, 0.02, 0, 4)};
  EXPECT_THROW(VesselExchange(grid, exchange_geometry(cube, one, 1, {}), 0), InputError);
}

TEST(EmbeddedVessels, TheUncorrectedSchemeHasThePublishedRates) {
  const auto coarse = verification::embedded_benchmark(20, false), fine = verification::embedded_benchmark(80, false);
  EXPECT_GE(0.5 * std::log2(coarse.tissue / fine.tissue), 1.47);
  EXPECT_GE(0.5 * std::log2(coarse.vessel / fine.vessel), 1.78);
  EXPECT_GE(0.5 * std::log2(coarse.amounts / fine.amounts), 2.27);
}

TEST(EmbeddedVessels, TheCorrectionKeepsTheExchangeAtEverySpacing) {
  for (const double spacing : {1.0, 5.0, 20.0}) {
    for (const int count : {1, 2, 3}) {
      const auto table = verification::exchange_table(4, count, spacing, 10, 0);
      EXPECT_LT(table.corrected, 0.02) << count << " vessels, spacing " << spacing;
      EXPECT_GT(table.uncorrected, 0.1) << "the error that is corrected";
    }
  }
}

TEST(EmbeddedVessels, TheReferenceHasTheCapacityOfASlenderRod) {
  // An even source gives the lower bound 2 pi L / (ln(2 L / R) - 1) (Maxwell 1877); the true one is a few percent more.
  const double length = 1000, bound = 2 * pi * length / (std::log(2 * length) - 1);
  const verification::FreeSpaceVessels rod({{{0, 0, 0}, {length, 0, 0}, 1, 1e9, 1}}, 0, 4);
  EXPECT_GT(rod.exchange()[0], bound);
  EXPECT_LT(rod.exchange()[0], 1.03 * bound);
  EXPECT_NEAR(rod.value({500, 0, 20000}), rod.exchange()[0] / (4 * pi * 20000),
              1e-3 * rod.exchange()[0] / (4 * pi * 20000));
}

}  // namespace
}  // namespace sanctuary
