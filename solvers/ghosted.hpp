#pragma once
#include "solvers/grid.hpp"

namespace sanctuary {

/// Read access to the owned cells and to their neighbours on other ranks, by place in the owned box. Collective.
class Ghosted {
 public:
  /// Fills `local` (of DMCreateLocalVector on the grid's DM) from `global`.
  Ghosted(const Grid& grid, Vec global, Vec local) : local_(local) {
    petsc(DMGlobalToLocal(grid.dm(), global, INSERT_VALUES, local_));
    PetscInt corner[3], extent[3];
    petsc(DMDAGetGhostCorners(grid.dm(), &corner[0], &corner[1], &corner[2], &extent[0], &extent[1], &extent[2]));
    petsc(VecGetArrayRead(local_, &data_));
    stride_ = {1, extent[0], static_cast<long>(extent[0]) * extent[1]};
    first_ = data_ + (grid.start()[2] - corner[2]) * stride_[2] + (grid.start()[1] - corner[1]) * stride_[1] +
             (grid.start()[0] - corner[0]);
  }
  Ghosted(const Ghosted&) = delete;
  Ghosted& operator=(const Ghosted&) = delete;
  ~Ghosted() { (void)VecRestoreArrayRead(local_, &data_); }
  /// Pointer to the value of owned cell (0, j, k).
  [[nodiscard]] const double* line(long j, long k) const { return first_ + k * stride_[2] + j * stride_[1]; }
  [[nodiscard]] double at(long i, long j, long k) const { return line(j, k)[i]; }
  /// Distance in memory to the next cell along an axis.
  [[nodiscard]] long stride(int axis) const { return stride_[static_cast<std::size_t>(axis)]; }

 private:
  Vec local_;
  const double* data_ = nullptr;
  const double* first_ = nullptr;
  std::array<long, 3> stride_{};
};

}  // namespace sanctuary
