#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/build_info.hpp"
#include "solvers/grid.hpp"
#include "solvers/operator.hpp"

// A constant does not diffuse: with closed walls the operator maps it to zero.
int main(int argc, char** argv) {
  if (PetscInitialize(&argc, &argv, nullptr, nullptr) != 0) return 1;
  double largest = 0;
  {
    const sanctuary::Grid grid(PETSC_COMM_WORLD, {.origin = {}, .spacing = {1e-5, 1e-5, 1e-5}, .cells = {4, 4, 4}});
    sanctuary::CellOperator diffusion(grid);
    diffusion.reset(sanctuary::Walls::all(sanctuary::WallKind::closed));
    diffusion.add_diffusion(std::vector<double>(grid.local_cells(), 1e-9));
    const auto in = grid.vector(), out = grid.vector();
    sanctuary::petsc(VecSet(in.get(), 1.0));
    diffusion.apply(in.get(), out.get());
    sanctuary::petsc(VecNorm(out.get(), NORM_INFINITY, &largest));
  }
  std::printf("%s\n", sanctuary::build_info::description().c_str());
  (void)PetscFinalize();
  return largest < 1e-25 ? 0 : 1;
}
