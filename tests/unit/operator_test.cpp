#include "solvers/operator.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.hpp"
#include "solvers/bernoulli.hpp"
#include "solvers/coupled.hpp"

namespace sanctuary {
namespace {

constexpr std::array<WallKind, 3> kinds{WallKind::closed, WallKind::fixed, WallKind::outflow};

void fill(Vec vec, std::size_t size, const RandomStream& draws, double low, double high) {
  const WriteAccess access(vec);
  for (std::size_t i = 0; i < size; ++i) access[i] = draws.uniform(i, low, high);
}

/// An operator with random coefficients, flow and walls on a random box.
struct Case {
  Grid grid;
  CellOperator op;
  FaceField discharge;
  std::vector<double> coefficient;

  Case(std::array<long, 3> cells, std::uint64_t seed, double flow)
      : grid(MPI_COMM_SELF, {{0, 0, 0}, {1e-5, 2e-5, 1.5e-5}, cells}), op(grid), discharge(grid) {
    const RandomStream draws(seed, "operator_test");
    Walls walls;
    for (std::size_t w = 0; w < 6; ++w) {
      walls.kind[w] = kinds[draws.below(w, 3)];
      walls.value[w] = draws.uniform(10 + w, 0, 2);
    }
    op.reset(walls);
    std::uint64_t next = 100;
    for (std::size_t c = 0; c < grid.local_cells(); ++c) coefficient.push_back(draws.uniform(next++, 1e-11, 1e-9));
    for (int axis = 0; axis < 3; ++axis) {
      for (double& q : discharge[axis]) q = draws.uniform(next++, -flow, flow);
    }
    op.add_diffusion_and_convection(coefficient, discharge);
    for (double& d : op.diagonal()) d = draws.uniform(next++, 0, 1e-15);
  }
};

const std::vector<std::array<long, 3>> boxes{{1, 1, 1}, {1, 1, 7}, {1, 5, 1}, {6, 1, 1},
                                             {3, 5, 7}, {2, 1, 4}, {8, 6, 4}};

TEST(Bernoulli, IsItsFormulaAndKeepsDigitsNearZero) {
  EXPECT_EQ(bernoulli(0), 1.0);
  EXPECT_NEAR(bernoulli(2), 2 / (std::exp(2.0) - 1), 1e-15);
  for (const double x : {1e-9, 1e-5, 9.99e-5, 1.001e-4, 1e-2, 30.0, 800.0}) {
    EXPECT_NEAR(bernoulli(-x) - bernoulli(x), x, 2e-16 * (1 + x)) << x;  // B(-x) = B(x) + x
  }
  EXPECT_EQ(bernoulli(1e4), 0.0);
}

TEST(CellOperator, AppliesAsTheAssembledMatrix) {
  std::uint64_t seed = 0;
  for (const auto& cells : boxes) {
    for (int repeat = 0; repeat < 4; ++repeat) {
      Case random(cells, ++seed, 1e-13);
      MatHandle matrix;
      petsc(DMSetMatType(random.grid.dm(), MATAIJ));
      petsc(DMCreateMatrix(random.grid.dm(), matrix.out()));
      random.op.assemble(matrix.get());
      const VecHandle u = random.grid.vector(), by_operator = random.grid.vector(), by_matrix = random.grid.vector();
      fill(u.get(), random.grid.local_cells(), RandomStream(seed, "values"), -1, 1);
      random.op.apply(u.get(), by_operator.get());
      petsc(MatMult(matrix.get(), u.get(), by_matrix.get()));
      double size = 0, difference = 0;
      petsc(VecNorm(by_matrix.get(), NORM_INFINITY, &size));
      petsc(VecAXPY(by_operator.get(), -1.0, by_matrix.get()));
      petsc(VecNorm(by_operator.get(), NORM_INFINITY, &difference));
      EXPECT_LE(difference, 1e-14 * size) << cells[0] << "x" << cells[1] << "x" << cells[2];

      const std::vector<double> own = random.op.full_diagonal();
      const VecHandle diagonal = random.grid.vector();
      petsc(MatGetDiagonal(matrix.get(), diagonal.get()));
      const ReadAccess d(diagonal.get());
      for (std::size_t c = 0; c < own.size(); ++c) EXPECT_NEAR(d[c], own[c], 1e-14 * own[c]);
    }
  }
}

TEST(CellOperator, HasPositiveDiagonalAndNoPositiveNeighbour) {
  for (const double flow : {0.0, 1e-14, 1e-10}) {  // cell Peclet numbers from 0 to 1e5
    Case random({5, 4, 3}, 3, flow);
    MatHandle matrix;
    petsc(DMSetMatType(random.grid.dm(), MATAIJ));
    petsc(DMCreateMatrix(random.grid.dm(), matrix.out()));
    random.op.assemble(matrix.get());
    for (PetscInt row = 0; row < 60; ++row) {
      PetscInt count = 0;
      const PetscInt* column = nullptr;
      const double* value = nullptr;
      petsc(MatGetRow(matrix.get(), row, &count, &column, &value));
      for (PetscInt k = 0; k < count; ++k) {
        if (column[k] == row) {
          EXPECT_GT(value[k], 0);
        } else {
          EXPECT_LE(value[k], 0);
        }
      }
      petsc(MatRestoreRow(matrix.get(), row, &count, &column, &value));
    }
  }
}

TEST(CellOperator, WhatLeavesACellEntersItsNeighbourOrCrossesAWall) {
  std::uint64_t seed = 40;
  for (const auto& cells : boxes) {
    Case random(cells, ++seed, 1e-13);
    std::fill(random.op.diagonal().begin(), random.op.diagonal().end(), 0.0);
    const VecHandle u = random.grid.vector(), out = random.grid.vector(), source = random.grid.vector();
    fill(u.get(), random.grid.local_cells(), RandomStream(seed, "values"), 0, 1);
    random.op.apply(u.get(), out.get());
    random.op.add_wall_source(source.get());
    petsc(VecAXPY(out.get(), -1.0, source.get()));
    double sum = 0, scale = 0;
    petsc(VecSum(out.get(), &sum));
    petsc(VecNorm(out.get(), NORM_1, &scale));
    double through_walls = 0;
    for (const double q : random.op.wall_outflow(u.get())) through_walls += q;
    const auto exchange = random.op.wall_exchange(u.get());
    scale += exchange[0] + exchange[1] + 1e-300;
    EXPECT_NEAR(sum, through_walls, 1e-13 * scale);
    EXPECT_NEAR(exchange[0] - exchange[1], through_walls, 1e-13 * scale);

    FaceField flux(random.grid);
    random.op.flux(u.get(), flux);
    const ReadAccess o(out.get());
    for (std::size_t c = 0; c < random.grid.local_cells(); ++c) {
      const auto [i, j, k] = random.grid.place(c);
      const double net = flux[0][flux.index(0, i + 1, j, k)] - flux[0][flux.index(0, i, j, k)] +
                         flux[1][flux.index(1, i, j + 1, k)] - flux[1][flux.index(1, i, j, k)] +
                         flux[2][flux.index(2, i, j, k + 1)] - flux[2][flux.index(2, i, j, k)];
      EXPECT_NEAR(net, o[c], 1e-13 * scale);
    }
  }
}

TEST(CellOperator, WallsDoAsTheyAreCalled) {
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {1e-5, 1e-5, 1e-5}, {4, 1, 1}});
  const std::vector<double> k(4, 1e-10);
  FaceField flow(grid);
  std::fill(flow[0].begin(), flow[0].end(), 2e-16);
  const VecHandle u = grid.vector();
  petsc(VecSet(u.get(), 3.0));
  const auto outflow = [&](WallKind kind, double value) {
    CellOperator op(grid);
    Walls walls = Walls::all(WallKind::closed);
    walls.kind[0] = walls.kind[1] = kind;
    walls.value[0] = walls.value[1] = value;
    op.reset(walls);
    op.add_diffusion_and_convection(k, flow);
    return op.wall_outflow(u.get());
  };
  EXPECT_EQ(outflow(WallKind::closed, 5)[0], 0);
  EXPECT_EQ(outflow(WallKind::closed, 5)[1], 0);
  EXPECT_NEAR(outflow(WallKind::outflow, 5)[0], -2e-16 * 5, 1e-28);  // what enters brings the value outside
  EXPECT_NEAR(outflow(WallKind::outflow, 5)[1], 2e-16 * 3, 1e-28);   // what leaves takes the value inside
  // Without a difference the flux is that of the flow; half a cell of diffusion resists a difference.
  EXPECT_NEAR(outflow(WallKind::fixed, 3)[1], 2e-16 * 3, 1e-27);
  const double t = 2 * 1e-10 * 1e-5;  // 2 k A / h
  EXPECT_NEAR(outflow(WallKind::fixed, 0)[1], 3 * t * bernoulli(-2e-16 / t), 1e-27);
}

TEST(CellOperator, TakesTheHarmonicMeanBetweenUnequalCells) {
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {1e-5, 1e-5, 1e-5}, {2, 1, 1}});
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::closed));
  op.add_diffusion({1e-10, 3e-10});
  const VecHandle u = grid.vector(), out = grid.vector();
  {
    const WriteAccess v(u.get());
    v[0] = 1;
  }
  op.apply(u.get(), out.get());
  const ReadAccess o(out.get());
  EXPECT_NEAR(o[0], 1.5e-10 * 1e-5, 1e-29);
  EXPECT_NEAR(o[1], -1.5e-10 * 1e-5, 1e-29);
}

/// Steady -(k u')' + u = f along one axis of a box, u = 1 + shape, k = 1 + 0.4 sin(2 x), between walls of given kinds;
/// root of the mean square error on n cells.
double steady_error(std::size_t axis, WallKind kind, long n) {
  std::array<long, 3> cells{3, 2, 2};
  std::array<double, 3> spacing{0.3, 2.0, 0.05};
  cells[axis] = n;
  spacing[axis] = 1.0 / static_cast<double>(n);
  const double h = spacing[axis];
  const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, spacing, cells});
  const auto u = [](double x) { return 1 + std::sin(0.6 + 2 * x); };
  const auto slope = [](double x) { return 2 * std::cos(0.6 + 2 * x); };
  const auto k = [](double x) { return 1 + 0.4 * std::sin(2 * x); };
  Walls walls = Walls::all(WallKind::closed);
  walls.kind[2 * axis] = walls.kind[2 * axis + 1] = kind;
  walls.value[2 * axis] = u(0);
  walls.value[2 * axis + 1] = u(1);
  if (kind == WallKind::exchange) {
    walls.coefficient[2 * axis] = 3;
    walls.coefficient[2 * axis + 1] = 0.2;
    walls.value[2 * axis] -= k(0) * slope(0) / 3;
    walls.value[2 * axis + 1] += k(1) * slope(1) / 0.2;
  }
  CellOperator op(grid);
  op.reset(walls);
  const VecHandle f = grid.vector(), found = grid.vector();
  std::vector<double> coefficient;
  for (std::size_t c = 0; c < grid.local_cells(); ++c) coefficient.push_back(k(grid.centre(c)[axis]));
  op.add_diffusion(coefficient);
  std::fill(op.diagonal().begin(), op.diagonal().end(), grid.cell_volume());
  op.add_wall_source(f.get());
  {
    const WriteAccess rhs(f.get());
    for (std::size_t c = 0; c < grid.local_cells(); ++c) {
      const double x = grid.centre(c)[axis];
      double source = u(x) + 4 * k(x) * (u(x) - 1) - 0.8 * std::cos(2 * x) * slope(x);
      // Through closed and outflow walls the flux is given, as a source of the cell.
      const bool given = kind == WallKind::closed || kind == WallKind::outflow;
      if (given && x < h) source -= k(0) * slope(0) / h;
      if (given && x > 1 - h) source += k(1) * slope(1) / h;
      rhs[c] += grid.cell_volume() * source;
    }
  }
  CoupledSolver solver(grid, 0, "operator_test_", true);
  solver.set(op);
  EXPECT_TRUE(solver.solve(f.get(), nullptr, 1, 1e-13, found.get(), nullptr).converged);
  double sum = 0;
  const ReadAccess v(found.get());
  for (std::size_t c = 0; c < grid.local_cells(); ++c) sum += std::pow(v[c] - u(grid.centre(c)[axis]), 2);
  return std::sqrt(sum / static_cast<double>(grid.local_cells()));
}

TEST(CellOperator, IsOfSecondOrderAlongEachAxisForEachKindOfWall) {
  for (const std::size_t axis : std::array<std::size_t, 3>{0, 1, 2}) {
    for (const WallKind kind : {WallKind::closed, WallKind::fixed, WallKind::outflow, WallKind::exchange}) {
      const double coarse = steady_error(axis, kind, 16), middle = steady_error(axis, kind, 32),
                   fine = steady_error(axis, kind, 64);
      EXPECT_NEAR(std::log2(coarse / middle), 2, 0.1) << axis << " " << static_cast<int>(kind);
      EXPECT_NEAR(std::log2(middle / fine), 2, 0.05) << axis << " " << static_cast<int>(kind);
      EXPECT_LT(fine, 1e-3);
    }
  }
}

TEST(CellOperator, IsExactForLayersThatMeetAtFaces) {
  for (const std::size_t axis : std::array<std::size_t, 3>{0, 1, 2}) {
    for (const WallKind kind : {WallKind::fixed, WallKind::exchange}) {
      std::array<long, 3> cells{2, 2, 2};
      cells[axis] = 12;
      const Grid grid(MPI_COMM_SELF, {{0, 0, 0}, {0.5, 0.25, 2}, cells});
      const double h = grid.spec().spacing[axis], film = 7;
      const auto layer = [](long i) { return i < 5 ? 1e-3 : i < 8 ? 40.0 : 0.7; };
      Walls walls = Walls::all(WallKind::closed);
      walls.kind[2 * axis] = walls.kind[2 * axis + 1] = kind;
      walls.value[2 * axis] = 3;
      walls.value[2 * axis + 1] = -1;
      walls.coefficient[2 * axis] = walls.coefficient[2 * axis + 1] = film;
      CellOperator op(grid);
      op.reset(walls);
      std::vector<double> coefficient;
      for (std::size_t c = 0; c < grid.local_cells(); ++c) coefficient.push_back(layer(grid.place(c)[axis]));
      op.add_diffusion(coefficient);
      // Resistances in series give the exact values.
      double resistance = kind == WallKind::exchange ? 2 / film : 0;
      for (long i = 0; i < 12; ++i) resistance += h / layer(i);
      const double flux = 4 / resistance;
      std::vector<double> exact;
      double so_far = kind == WallKind::exchange ? 1 / film : 0;
      for (long i = 0; i < 12; ++i) {
        exact.push_back(3 - flux * (so_far + 0.5 * h / layer(i)));
        so_far += h / layer(i);
      }
      const VecHandle u = grid.vector(), residual = grid.vector(), source = grid.vector();
      {
        const WriteAccess v(u.get());
        for (std::size_t c = 0; c < grid.local_cells(); ++c)
          v[c] = exact[static_cast<std::size_t>(grid.place(c)[axis])];
      }
      op.apply(u.get(), residual.get());
      op.add_wall_source(source.get());
      petsc(VecAXPY(residual.get(), -1.0, source.get()));
      double worst = 0;
      const std::vector<double> diagonal = op.full_diagonal();
      const ReadAccess r(residual.get());
      for (std::size_t c = 0; c < diagonal.size(); ++c) worst = std::max(worst, std::abs(r[c]) / diagonal[c]);
      EXPECT_LT(worst, 1e-14);
      const double area = 4 * grid.face_area(static_cast<int>(axis));
      EXPECT_NEAR(op.wall_outflow(u.get())[2 * axis + 1], flux * area, 1e-14 * 2 * layer(11) / h * area);
    }
  }
}

TEST(CoupledSolver, MeetsItsToleranceOnEveryBox) {
  std::uint64_t seed = 70;
  for (const auto& cells : boxes) {
    for (const double flow : {0.0, 1e-13}) {
      Case random(cells, ++seed, flow);
      for (double& d : random.op.diagonal()) d += 1e-17;  // no box may be without any hold
      CoupledSolver solver(random.grid, 0, "operator_test_", flow == 0);
      solver.set(random.op);
      const VecHandle expected = random.grid.vector(), rhs = random.grid.vector(), found = random.grid.vector();
      fill(expected.get(), random.grid.local_cells(), RandomStream(seed, "solution"), 0, 1);
      random.op.apply(expected.get(), rhs.get());
      const SolveReport report = solver.solve(rhs.get(), nullptr, 1, 1e-13, found.get(), nullptr);
      EXPECT_TRUE(report.converged) << report.reason;
      EXPECT_LE(solver.scaled_residual(rhs.get(), nullptr, 1, found.get(), nullptr)[0], 1.01e-13);
    }
  }
}

TEST(CellOperator, AWallOfGivenFluxDrivesALinearProfile) {  // u = 2 - 3 x: flux 3 k in at x = 0, u = 2 - 3 L at x = L
  for (std::size_t axis = 0; axis < 3; ++axis) {
    GridSpec spec{.origin = {}, .spacing = {0.1, 0.2, 0.05}, .cells = {1, 1, 1}};
    spec.cells[axis] = 11;
    const Grid grid(MPI_COMM_SELF, spec);
    const double length = 11 * spec.spacing[axis], k = 0.7;
    Walls walls = Walls::all(WallKind::closed);
    walls.kind[2 * axis] = WallKind::flux;
    walls.value[2 * axis] = 3 * k;
    walls.kind[2 * axis + 1] = WallKind::fixed;
    walls.value[2 * axis + 1] = 2 - 3 * length;
    CellOperator op(grid);
    op.reset(walls);
    op.add_diffusion(std::vector<double>(grid.local_cells(), k));
    const VecHandle f = grid.vector(), u = grid.vector();
    op.add_wall_source(f.get());
    EllipticSolver solver(grid, "operator_test_");
    solver.set(op);
    EXPECT_TRUE(solver.solve(f.get(), u.get(), {.tolerance = 1e-14}).converged);
    const ReadAccess values(u.get());
    for (std::size_t c = 0; c < grid.local_cells(); ++c) EXPECT_NEAR(values[c], 2 - 3 * grid.centre(c)[axis], 1e-12);
    const double through = 3 * k * grid.face_area(static_cast<int>(axis));
    const auto out = op.wall_outflow(u.get());
    EXPECT_NEAR(out[2 * axis], -through, 1e-12 * through);
    EXPECT_NEAR(out[2 * axis + 1], through, 1e-11 * through);
    FaceField flux(grid);
    op.flux(u.get(), flux);
    for (const double q : flux[static_cast<int>(axis)]) EXPECT_NEAR(q, through, 1e-11 * through);
  }
}

}  // namespace
}  // namespace sanctuary
