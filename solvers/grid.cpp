#include "solvers/grid.hpp"

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

/// Block sizes that cut `cells` into `parts` at multiples of `align`; empty where that is not possible.
std::vector<PetscInt> blocks_of(long cells, long parts, long align) {
  std::vector<PetscInt> blocks;
  long last = 0;
  for (long part = 1; part <= parts; ++part) {
    const double ideal = static_cast<double>(cells * part) / static_cast<double>(parts);
    const long cut = part == parts ? cells : std::lround(ideal / static_cast<double>(align)) * align;
    if (cut <= last) return {};
    blocks.push_back(static_cast<PetscInt>(cut - last));
    last = cut;
  }
  return blocks;
}

/// How a box is cut into one block per rank.
struct Partition {
  std::array<std::vector<PetscInt>, 3> blocks;
  double cost = 0;
};

/// The cheapest cut: largest block plus what it must exchange. Cuts stand at multiples of powers of two where that
/// costs little, so that coarser grids are cut alike; x, along which memory is contiguous, is cut only at multiples of
/// `Grid::sum_unit` unless there is no other way.
Partition best_partition(const std::array<long, 3>& cells, int ranks) {
  Partition best;
  best.cost = -1;
  const auto largest = [](const std::vector<PetscInt>& blocks) {
    return static_cast<double>(*std::max_element(blocks.begin(), blocks.end()));
  };
  const auto cut = [&](std::size_t axis, long parts) {
    if (parts == 1) return std::vector<PetscInt>{static_cast<PetscInt>(cells[axis])};
    if (axis == 0) {
      auto blocks = blocks_of(cells[0], parts, Grid::sum_unit);
      return blocks.empty() ? blocks_of(cells[0], parts, 1) : blocks;
    }
    const double even = std::ceil(static_cast<double>(cells[axis]) / static_cast<double>(parts));
    for (long align = 16; align > 1; align /= 2) {
      auto blocks = blocks_of(cells[axis], parts, align);
      if (!blocks.empty() && largest(blocks) <= 1.1 * even) return blocks;
    }
    return blocks_of(cells[axis], parts, 1);
  };
  for (long px = 1; px <= ranks; ++px) {
    if (ranks % px != 0 || px > cells[0]) continue;
    for (long py = 1; py <= ranks / px; ++py) {
      const long pz = ranks / px / py;
      if (ranks / px % py != 0 || py > cells[1] || pz > cells[2]) continue;
      Partition now;
      now.blocks = {cut(0, px), cut(1, py), cut(2, pz)};
      if (now.blocks[0].empty() || now.blocks[1].empty() || now.blocks[2].empty()) continue;
      const double x = largest(now.blocks[0]), y = largest(now.blocks[1]), z = largest(now.blocks[2]);
      now.cost = x * y * z + 2.0 * ((px > 1 ? 3 * y * z : 0) + (py > 1 ? x * z : 0) + (pz > 1 ? x * y : 0));
      if (px > 1 && cells[0] < Grid::sum_unit * px) now.cost *= 1e6;
      if (best.cost < 0 || now.cost < best.cost) best = std::move(now);
    }
  }
  return best;
}

}  // namespace

Grid::Grid(MPI_Comm comm, const GridSpec& spec) : comm_(comm), spec_(spec) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (spec.cells[axis] < 1 || !(spec.spacing[axis] > 0))
      throw InputError("a grid needs at least one cell of positive size along each axis");
  }
  const Partition cut = best_partition(spec.cells, size_of(comm));
  if (cut.cost < 0) {
    throw InputError("a box of " + std::to_string(spec.cells[0]) + " x " + std::to_string(spec.cells[1]) + " x " +
                     std::to_string(spec.cells[2]) + " cells cannot be cut into one block for each of " +
                     std::to_string(size_of(comm)) + " ranks: use fewer ranks");
  }
  const auto parts_along = [&](std::size_t axis) { return static_cast<PetscInt>(cut.blocks[axis].size()); };
  const PetscErrorCode code =
      DMDACreate3d(comm, DM_BOUNDARY_NONE, DM_BOUNDARY_NONE, DM_BOUNDARY_NONE, DMDA_STENCIL_STAR,
                   static_cast<PetscInt>(spec.cells[0]), static_cast<PetscInt>(spec.cells[1]),
                   static_cast<PetscInt>(spec.cells[2]), parts_along(0), parts_along(1), parts_along(2), 1, 1,
                   cut.blocks[0].data(), cut.blocks[1].data(), cut.blocks[2].data(), dm_.out());
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

IndexBox Grid::block() const {
  IndexBox box;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    box.low[axis] = start_[axis];
    box.high[axis] = start_[axis] + size_[axis];
  }
  return box;
}

Layout Grid::layout() const {
  Layout layout;
  layout.cuts = cuts_;
  for (int rank = 0; rank < size_of(comm_); ++rank) layout.owner.push_back(rank);
  return layout;
}

GhostedCells::GhostedCells(const Grid& grid)
    : size_(grid.size()),
      values_(static_cast<std::size_t>(grown(grid.block(), 1, 1).cells()), 0.0),
      row_(size_[0] + 2),
      plane_(row_ * (size_[1] + 2)),
      origin_(plane_ + row_ + 1),
      exchange_(grid.comm(), grid.layout(), grid.layout(), 1, 1, IndexBox{{0, 0, 0}, grid.spec().cells}, 6890, false),
      all_{values_.data(), grown(grid.block(), 1, 1)} {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    shared_[2 * axis] = grid.start()[axis] > 0;
    shared_[2 * axis + 1] = grid.start()[axis] + size_[axis] < grid.spec().cells[axis];
  }
}

void GhostedCells::start(const double* owned) {
  for (long k = 0; k < size_[2]; ++k) {
    for (long j = 0; j < size_[1]; ++j) std::copy_n(owned + (k * size_[1] + j) * size_[0], size_[0], line(j, k));
  }
  exchange_.start(all_, all_);
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
