#include "solvers/grid.hpp"

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"

namespace sanctuary {

Grid::Grid(MPI_Comm comm, const GridSpec& spec) : comm_(comm), spec_(spec) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (spec.cells[axis] < 1 || !(spec.spacing[axis] > 0))
      throw InputError("a grid needs at least one cell of positive size along each axis");
  }
  if (static_cast<double>(spec.cells[0]) * static_cast<double>(spec.cells[1]) * static_cast<double>(spec.cells[2]) <
      size_of(comm)) {
    throw InputError("the grid has fewer cells than there are ranks: use fewer ranks");
  }
  const PetscErrorCode code = DMDACreate3d(
      comm, DM_BOUNDARY_NONE, DM_BOUNDARY_NONE, DM_BOUNDARY_NONE, DMDA_STENCIL_STAR,
      static_cast<PetscInt>(spec.cells[0]), static_cast<PetscInt>(spec.cells[1]), static_cast<PetscInt>(spec.cells[2]),
      PETSC_DECIDE, PETSC_DECIDE, PETSC_DECIDE, 1, 1, nullptr, nullptr, nullptr, dm_.out());
  petsc(code);
  petsc(DMSetUp(dm_.get()));
  PetscInt start[3], size[3];
  petsc(DMDAGetCorners(dm_.get(), &start[0], &start[1], &start[2], &size[0], &size[1], &size[2]));
  const PetscInt* blocks[3];
  PetscInt parts[3];
  petsc(DMDAGetOwnershipRanges(dm_.get(), &blocks[0], &blocks[1], &blocks[2]));
  petsc(DMDAGetInfo(dm_.get(), nullptr, nullptr, nullptr, nullptr, &parts[0], &parts[1], &parts[2], nullptr, nullptr,
                    nullptr, nullptr, nullptr, nullptr));
  for (std::size_t axis = 0; axis < 3; ++axis) {
    start_[axis] = start[axis];
    size_[axis] = size[axis];
    cuts_[axis].assign(1, 0);
    for (PetscInt part = 0; part < parts[axis]; ++part) cuts_[axis].push_back(cuts_[axis].back() + blocks[axis][part]);
  }
  long before = 0;
  const auto mine = static_cast<long>(local_cells());
  MPI_Exscan(&mine, &before, 1, MPI_LONG, MPI_SUM, comm);
  first_row_ = rank_of(comm) == 0 ? 0 : static_cast<PetscInt>(before);
}

std::array<double, 3> Grid::centre(std::size_t local_cell) const {
  const auto p = place(local_cell);
  std::array<double, 3> x{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    x[axis] = spec_.origin[axis] + (static_cast<double>(p[axis]) + 0.5) * spec_.spacing[axis];
  }
  return x;
}

bool Grid::owns(const std::array<long, 3>& cell) const {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (cell[axis] < start_[axis] || cell[axis] >= start_[axis] + size_[axis]) return false;
  }
  return true;
}

int Grid::owner(const std::array<long, 3>& cell) const {
  std::array<long, 3> block{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto& cuts = cuts_[axis];
    block[axis] = std::upper_bound(cuts.begin(), cuts.end(), cell[axis]) - cuts.begin() - 1;
  }
  const auto nx = static_cast<long>(cuts_[0].size()) - 1;
  const auto ny = static_cast<long>(cuts_[1].size()) - 1;
  return static_cast<int>((block[2] * ny + block[1]) * nx + block[0]);
}

std::array<long, 3> Grid::cell_of(const std::array<double, 3>& point) const {
  std::array<long, 3> cell{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double x = (point[axis] - spec_.origin[axis]) / spec_.spacing[axis];
    cell[axis] = std::clamp(static_cast<long>(std::floor(x)), 0L, spec_.cells[axis] - 1);
  }
  return cell;
}

VecHandle Grid::vector() const {
  VecHandle vec;
  petsc(DMCreateGlobalVector(dm_.get(), vec.out()));
  petsc(VecSet(vec.get(), 0.0));
  return vec;
}

FaceField::FaceField(const Grid& grid) {
  for (int axis = 0; axis < 3; ++axis) {
    auto& extent = extent_[static_cast<std::size_t>(axis)];
    extent = grid.size();
    ++extent[static_cast<std::size_t>(axis)];
    value_[static_cast<std::size_t>(axis)].assign(static_cast<std::size_t>(extent[0] * extent[1] * extent[2]), 0.0);
  }
}

}  // namespace sanctuary
