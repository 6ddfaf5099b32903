#include "solvers/multigrid.hpp"

#include <gtest/gtest.h>
#include <petscksp.h>

#include <cmath>
#include <memory>

#include "solvers/elliptic.hpp"
#include "solvers/layout.hpp"
#include "tests/support/elliptic_problem.hpp"

namespace sanctuary {
namespace {

using test::box_of;
using test::noisy_source;
using test::rough_field;

int iterations(const GridSpec& spec, const Walls& walls, double contrast, double reaction = 0) {
  const Grid grid(MPI_COMM_SELF, spec);
  CellOperator op(grid);
  op.reset(walls);
  op.add_diffusion(rough_field(grid, contrast));
  std::fill(op.diagonal().begin(), op.diagonal().end(), reaction * grid.cell_volume());
  EllipticSolver solver(grid, "multigrid_test_");
  solver.set(op);
  const VecHandle f = noisy_source(grid), u = grid.vector();
  const SolveReport report = solver.solve(f.get(), u.get(), {.tolerance = 1e-8});
  EXPECT_TRUE(report.converged) << report.reason;
  EXPECT_FALSE(report.changed);
  return report.iterations;
}

TEST(Multigrid, IterationsStayFlatAsTheGridIsRefined) {
  const Walls fixed = Walls::all(WallKind::fixed);
  const int coarse = iterations(box_of({16, 16, 16}), fixed, 1), fine = iterations(box_of({48, 48, 48}), fixed, 1);
  EXPECT_LE(coarse, 8);
  EXPECT_LE(fine, 9);
  EXPECT_LE(iterations(box_of({48, 48, 48}), fixed, 1000), 1.5 * iterations(box_of({24, 24, 24}), fixed, 1000));
}

TEST(Multigrid, AnyBoxAnyWallsAnyAspect) {
  Walls mixed = Walls::all(WallKind::fixed);
  mixed.kind[1] = mixed.kind[2] = WallKind::closed;
  mixed.kind[3] = mixed.kind[4] = WallKind::exchange;
  mixed.coefficient.fill(2.0);
  for (const Walls& walls : {Walls::all(WallKind::fixed), mixed}) {
    EXPECT_LE(iterations(box_of({31, 17, 23}), walls, 10), 13);
    EXPECT_LE(iterations(box_of({40, 3, 25}), walls, 10), 13);
    EXPECT_LE(iterations(box_of({1, 1, 70}), walls, 10), 13);
    EXPECT_LE(iterations(box_of({32, 32, 32}, {1, 10, 1}), walls, 10), 13);
    EXPECT_LE(iterations(box_of({32, 32, 32}, {1, 0.1, 3}), walls, 10), 16);
  }
}

TEST(Multigrid, ReactionMakesItFasterAndTheHierarchyShorter) {
  const Walls closed = Walls::all(WallKind::closed);
  EXPECT_LE(iterations(box_of({32, 32, 32}), closed, 10, 1e3), 9);
  EXPECT_LE(iterations(box_of({32, 32, 32}), closed, 10, 1e6), 4);
  const Grid grid(MPI_COMM_SELF, box_of({32, 32, 32}));
  CellOperator op(grid);
  op.reset(closed);
  op.add_diffusion(std::vector<double>(grid.local_cells(), 1.0));
  std::fill(op.diagonal().begin(), op.diagonal().end(), 1e6 * grid.cell_volume());
  Multigrid multigrid(grid);
  multigrid.set(op);
  EXPECT_EQ(multigrid.statistics().levels.size(), 1U);
  EXPECT_FALSE(multigrid.statistics().singular);
}

TEST(Multigrid, CoarsensStronglyCoupledAxesFirst) {
  const Grid grid(MPI_COMM_SELF, box_of({32, 32, 32}, {1, 0.1, 1}));
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::closed));
  op.add_diffusion(std::vector<double>(grid.local_cells(), 1.0));
  Multigrid multigrid(grid);
  multigrid.set(op);
  const auto levels = multigrid.statistics().levels;
  ASSERT_GE(levels.size(), 3U);
  EXPECT_EQ(levels[1].cells, (std::array<long, 3>{32, 16, 32}));
  EXPECT_EQ(levels[2].cells, (std::array<long, 3>{32, 8, 32}));
  EXPECT_TRUE(multigrid.statistics().singular);
}

TEST(Multigrid, ServesAnyKrylovMethodAsAShell) {
  const Grid grid(MPI_COMM_SELF, box_of({20, 13, 11}));
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::fixed));
  op.add_diffusion(rough_field(grid, 100));
  Multigrid multigrid(grid);
  multigrid.set(op);
  MatHandle matrix;
  DmHandle dm;
  petsc(DMClone(grid.dm(), dm.out()));
  petsc(DMSetMatType(dm.get(), MATAIJ));
  petsc(DMCreateMatrix(dm.get(), matrix.out()));
  op.assemble(matrix.get());
  const VecHandle f = noisy_source(grid), u = grid.vector(), r = grid.vector();
  for (const char* type : {KSPFCG, KSPFGMRES, KSPGCR}) {
    KspHandle ksp;
    petsc(KSPCreate(MPI_COMM_SELF, ksp.out()));
    petsc(KSPSetType(ksp.get(), type));
    petsc(KSPSetOperators(ksp.get(), matrix.get(), matrix.get()));
    PC pc = nullptr;
    petsc(KSPGetPC(ksp.get(), &pc));
    multigrid.attach(pc);
    petsc(KSPSetTolerances(ksp.get(), 1e-9, 1e-50, 1e5, 40));
    petsc(KSPSolve(ksp.get(), f.get(), u.get()));
    KSPConvergedReason reason = KSP_CONVERGED_ITERATING;
    petsc(KSPGetConvergedReason(ksp.get(), &reason));
    EXPECT_GT(reason, 0) << type;
    petsc(MatMult(matrix.get(), u.get(), r.get()));
    petsc(VecAXPY(r.get(), -1.0, f.get()));
    double left = 0, start = 0;
    petsc(VecNorm(r.get(), NORM_2, &left));
    petsc(VecNorm(f.get(), NORM_2, &start));
    EXPECT_LE(left, 1e-7 * start) << type;
  }
  EXPECT_NE(multigrid.view().find("20 x 13 x 11"), std::string::npos) << multigrid.view();
}

TEST(Multigrid, IsLinearAndDoesNotCareForUnits) {
  const Grid grid(MPI_COMM_SELF, box_of({12, 10, 9}));
  const VecHandle f = noisy_source(grid), small = grid.vector(), u = grid.vector(), v = grid.vector();
  petsc(VecCopy(f.get(), small.get()));
  petsc(VecScale(small.get(), std::exp2(-120)));
  std::vector<double> first;
  for (const double unit : {1.0, 0x1p-60}) {
    CellOperator op(grid);
    op.reset(Walls::all(WallKind::fixed));
    std::vector<double> k = rough_field(grid, 100);
    for (double& value : k) value *= unit;
    op.add_diffusion(k);
    Multigrid multigrid(grid);
    multigrid.set(op);
    multigrid.apply(f.get(), u.get());
    multigrid.apply(small.get(), v.get());
    const ReadAccess a(u.get()), b(v.get());
    for (std::size_t c = 0; c < grid.local_cells(); ++c) {
      EXPECT_EQ(a[c] * 0x1p-120, b[c]);
      if (unit == 1.0) first.push_back(a[c]);
      EXPECT_EQ(a[c] * unit, first[c]);
    }
  }
}

TEST(Multigrid, TakesAtMostEightyBytesPerCell) {
  const Grid grid(MPI_COMM_SELF, box_of({64, 64, 64}));
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::fixed));
  op.add_diffusion(std::vector<double>(grid.local_cells(), 1.0));
  Multigrid multigrid(grid);
  multigrid.set(op);
  EXPECT_LE(static_cast<double>(multigrid.statistics().memory) / static_cast<double>(grid.local_cells()), 50);
  EllipticSolver solver(grid, "multigrid_test_");
  solver.set(op);
  EXPECT_LE(static_cast<double>(solver.memory()) / static_cast<double>(grid.local_cells()), 80);
}

TEST(EllipticSolver, ChangesToAlgebraicMultigridWhereTheContrastIsTooLarge) {
  const Grid grid(MPI_COMM_SELF, box_of({24, 24, 24}));
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::fixed));
  std::vector<double> k(grid.local_cells());
  for (std::size_t c = 0; c < k.size(); ++c) {  // blocks that hardly conduct, with sources inside
    const auto p = grid.place(c);
    k[c] = test::noise(grid, {p[0] / 4, p[1] / 4, p[2] / 4}, "block") < 0.3 ? 1e-6 : 1.0;
  }
  op.add_diffusion(k);
  EllipticSolver solver(grid, "multigrid_test_");
  solver.set(op);
  const VecHandle f = noisy_source(grid), u = grid.vector(), r = grid.vector();
  const SolveReport report = solver.solve(f.get(), u.get(), {.tolerance = 1e-8});
  EXPECT_TRUE(report.converged) << report.reason;
  EXPECT_TRUE(report.changed);
  op.apply(u.get(), r.get());
  petsc(VecAXPY(r.get(), -1.0, f.get()));
  double left = 0, start = 0;
  petsc(VecNorm(r.get(), NORM_2, &left));
  petsc(VecNorm(f.get(), NORM_2, &start));
  EXPECT_LE(left, 1.0001e-8 * start);
}

TEST(EllipticSolver, TheOptionChoosesThePreconditioner) {
  const Grid grid(MPI_COMM_SELF, box_of({12, 12, 12}));
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::fixed));
  op.add_diffusion(rough_field(grid, 10));
  const VecHandle f = noisy_source(grid);
  double reference = 0;
  for (const char* kind : {"multigrid", "pfmg", "boomeramg", "gamg"}) {
    petsc(PetscOptionsSetValue(nullptr, "-chosen_preconditioner", kind));
    EllipticSolver solver(grid, "chosen_");
    solver.set(op);
    EXPECT_EQ(solver.multigrid() != nullptr, std::string(kind) == "multigrid");
    const VecHandle u = grid.vector();
    EXPECT_TRUE(solver.solve(f.get(), u.get(), {.tolerance = 1e-10}).converged) << kind;
    double norm = 0;
    petsc(VecNorm(u.get(), NORM_2, &norm));
    if (reference == 0) reference = norm;
    EXPECT_NEAR(norm, reference, 1e-8 * reference) << kind;
  }
  petsc(PetscOptionsSetValue(nullptr, "-chosen_preconditioner", "magic"));
  EXPECT_THROW(EllipticSolver(grid, "chosen_"), InputError);
  petsc(PetscOptionsClearValue(nullptr, "-chosen_preconditioner"));
}

TEST(EllipticSolver, LooksAtThePresentOperatorNotAtTheOneOfTheHierarchy) {
  const Grid grid(MPI_COMM_SELF, box_of({12, 9, 10}));
  const VecHandle f = noisy_source(grid), u = grid.vector();
  EllipticSolver solver(grid, "multigrid_test_");
  auto op = std::make_unique<CellOperator>(grid);
  op->reset(Walls::all(WallKind::closed));
  op->add_diffusion(rough_field(grid, 10));
  solver.set(*op);
  EXPECT_FALSE(solver.solve(f.get(), u.get(), {}).converged);  // nothing takes up the source
  std::fill(op->diagonal().begin(), op->diagonal().end(), 30 * grid.cell_volume());
  solver.set(*op, false);
  EXPECT_TRUE(solver.solve(f.get(), u.get(), {}).converged);
  std::fill(op->diagonal().begin(), op->diagonal().end(), 0.0);
  solver.set(*op, false);
  EXPECT_FALSE(solver.solve(f.get(), u.get(), {}).converged);
  // Another operator in its place, and one that is not symmetric.
  op = std::make_unique<CellOperator>(grid);
  op->reset(Walls::all(WallKind::fixed));
  FaceField flow(grid);
  std::fill(flow[0].begin(), flow[0].end(), 0.1 * grid.face_area(0) / grid.spec().spacing[0]);
  op->add_diffusion_and_convection(rough_field(grid, 10), flow);
  solver.set(*op, false);
  const SolveReport report = solver.solve(f.get(), u.get(), {});
  EXPECT_TRUE(report.converged) << report.reason;
  EXPECT_FALSE(report.changed);
}

TEST(EllipticSolver, OtherPreconditionersKnowSingularSystemsAndChangesOfSymmetry) {
  const Grid grid(MPI_COMM_SELF, box_of({10, 9, 8}));
  const VecHandle u = grid.vector();
  VecHandle f = noisy_source(grid);
  for (const char* kind : {"boomeramg", "pfmg"}) {
    petsc(PetscOptionsSetValue(nullptr, "-kinds_preconditioner", kind));
    EllipticSolver solver(grid, "kinds_");
    petsc(PetscOptionsClearValue(nullptr, "-kinds_preconditioner"));
    CellOperator op(grid);
    FaceField flow(grid);
    std::fill(flow[0].begin(), flow[0].end(), 0.1 * grid.face_area(0) / grid.spec().spacing[0]);
    op.reset(Walls::all(WallKind::fixed));
    op.add_diffusion_and_convection(rough_field(grid, 10), flow);
    solver.set(op);
    EXPECT_TRUE(solver.solve(f.get(), u.get(), {}).converged) << kind;
    op.reset(Walls::all(WallKind::fixed));
    op.add_diffusion(rough_field(grid, 10));
    solver.set(op);
    EXPECT_TRUE(solver.solve(f.get(), u.get(), {}).converged) << kind;
    op.reset(Walls::all(WallKind::closed));
    op.add_diffusion(rough_field(grid, 10));
    solver.set(op);
    const SolveReport report = solver.solve(f.get(), u.get(), {});
    EXPECT_FALSE(report.converged) << kind;
    EXPECT_NE(report.reason.find("not balanced"), std::string::npos) << report.reason;
  }
}

TEST(EllipticSolver, PartsWithoutLinkDoNotSpoilTheRest) {
  const Grid grid(MPI_COMM_SELF, box_of({16, 12, 12}));
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::closed));
  std::vector<double> k = rough_field(grid, 10);
  for (std::size_t c = 0; c < k.size(); ++c) {
    if (grid.place(c)[0] == 8) k[c] = 0;  // a layer that does not conduct
  }
  op.add_diffusion(k);
  for (std::size_t c = 0; c < k.size(); ++c) {
    if (grid.place(c)[0] == 8) op.diagonal()[c] = 1e-3;
  }
  EllipticSolver solver(grid, "multigrid_test_");
  solver.set(op);
  const VecHandle f = grid.vector(), u = grid.vector();
  {
    const WriteAccess values(f.get());
    for (const auto& [from, to] : {std::pair{std::array<long, 3>{1, 2, 3}, std::array<long, 3>{6, 10, 8}},
                                   std::pair{std::array<long, 3>{10, 1, 1}, std::array<long, 3>{15, 11, 7}}}) {
      values[grid.local(from[0], from[1], from[2])] = 1;
      values[grid.local(to[0], to[1], to[2])] = -1;
    }
  }
  const SolveReport report = solver.solve(f.get(), u.get(), {.tolerance = 1e-9});
  EXPECT_TRUE(report.converged) << report.reason;
  EXPECT_FALSE(report.changed);
}

TEST(EllipticSolver, RecoversFromAStartThatIsNotANumber) {
  const Grid grid(MPI_COMM_SELF, box_of({9, 9, 9}));
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::fixed));
  op.add_diffusion(rough_field(grid, 10));
  EllipticSolver solver(grid, "multigrid_test_");
  solver.set(op);
  const VecHandle f = noisy_source(grid), u = grid.vector();
  petsc(VecSet(u.get(), std::nan("")));
  const SolveReport bad = solver.solve(f.get(), u.get(), {});
  EXPECT_FALSE(bad.converged);
  EXPECT_NE(bad.reason.find("finite"), std::string::npos) << bad.reason;
  petsc(VecSet(u.get(), 0.0));
  EXPECT_TRUE(solver.solve(f.get(), u.get(), {}).converged);
}

TEST(Multigrid, RefusesWhatItCannotDo) {
  const Grid grid(MPI_COMM_SELF, box_of({8, 8, 8}));
  EXPECT_THROW(Multigrid(grid, {.dense_cells = 5000}), InputError);
  Multigrid multigrid(grid);
  const VecHandle u = grid.vector(), v = grid.vector();
  EXPECT_THROW(multigrid.apply(u.get(), v.get()), NumericsError);
}

}  // namespace
}  // namespace sanctuary
