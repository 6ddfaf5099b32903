#include "support/direct_solution.hpp"

#include <cmath>
#include <vector>

namespace sanctuary {

VecHandle direct_solution(const CellOperator& op, Vec f) {
  const Grid& grid = op.grid();
  const auto cells = static_cast<PetscInt>(grid.local_cells());
  MatHandle matrix;
  petsc(DMSetMatType(grid.dm(), MATAIJ));
  petsc(DMCreateMatrix(grid.dm(), matrix.out()));
  op.assemble(matrix.get());
  KspHandle ksp;
  petsc(KSPCreate(grid.comm(), ksp.out()));
  petsc(KSPSetOptionsPrefix(ksp.get(), "direct_solution_"));
  petsc(KSPSetType(ksp.get(), KSPPREONLY));
  petsc(KSPSetOperators(ksp.get(), matrix.get(), matrix.get()));
  PC pc = nullptr;
  petsc(KSPGetPC(ksp.get(), &pc));
  petsc(PCSetType(pc, PCLU));
  petsc(PCFactorSetZeroPivot(pc, 1e-300));  // the entries are small in SI
  petsc(KSPSetUp(ksp.get()));

  VecHandle u = grid.vector(), residual = grid.vector(), correction = grid.vector();
  double last = INFINITY;
  for (int round = 0; round < 6; ++round) {
    {
      const ReadAccess x(u.get()), b(f);
      const WriteAccess r(residual.get());
      for (PetscInt row = 0; row < cells; ++row) {
        PetscInt count = 0;
        const PetscInt* column = nullptr;
        const double* value = nullptr;
        petsc(MatGetRow(matrix.get(), row, &count, &column, &value));
        long double sum = b[static_cast<std::size_t>(row)];
        for (PetscInt e = 0; e < count; ++e) {
          sum -= static_cast<long double>(value[e]) * x[static_cast<std::size_t>(column[e])];
        }
        r[static_cast<std::size_t>(row)] = static_cast<double>(sum);
        petsc(MatRestoreRow(matrix.get(), row, &count, &column, &value));
      }
    }
    petsc(KSPSolve(ksp.get(), residual.get(), correction.get()));
    double size = 0;
    petsc(VecNorm(correction.get(), NORM_INFINITY, &size));
    if (!(size < 0.5 * last)) break;
    petsc(VecAXPY(u.get(), 1.0, correction.get()));
    last = size;
  }
  return u;
}

}  // namespace sanctuary
