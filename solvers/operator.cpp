#include "solvers/operator.hpp"

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"
#include "solvers/bernoulli.hpp"

namespace sanctuary {
namespace {

/// Read access to a ghosted vector by place in the box; zero copies.
class Ghosted {
 public:
  Ghosted(const Grid& grid, Vec global, Vec local) : dm_(grid.dm()), local_(local) {
    petsc(DMGlobalToLocal(dm_, global, INSERT_VALUES, local_));
    PetscInt corner[3], extent[3];
    petsc(DMDAGetGhostCorners(dm_, &corner[0], &corner[1], &corner[2], &extent[0], &extent[1], &extent[2]));
    petsc(VecGetArrayRead(local_, &data_));
    nx_ = extent[0];
    nxy_ = static_cast<long>(extent[0]) * extent[1];
    base_ = data_ + (grid.start()[2] - corner[2]) * nxy_ + (grid.start()[1] - corner[1]) * nx_ +
            (grid.start()[0] - corner[0]);
  }
  Ghosted(const Ghosted&) = delete;
  Ghosted& operator=(const Ghosted&) = delete;
  ~Ghosted() { (void)VecRestoreArrayRead(local_, &data_); }
  /// Pointer to the value of local cell (0, j, k).
  [[nodiscard]] const double* line(long j, long k) const { return base_ + k * nxy_ + j * nx_; }
  [[nodiscard]] double at(long i, long j, long k) const { return line(j, k)[i]; }

 private:
  DM dm_;
  Vec local_;
  const double* data_ = nullptr;
  const double* base_ = nullptr;
  long nx_ = 0, nxy_ = 0;
};

constexpr std::array<std::array<long, 3>, 3> unit{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};

}  // namespace

CellOperator::CellOperator(const Grid& grid) : grid_(&grid), from_lower_(grid), diagonal_(grid.local_cells(), 0.0) {
  petsc(DMCreateLocalVector(grid.dm(), ghosted_.out()));
}

void CellOperator::reset(const Walls& walls) {
  walls_ = walls;
  for (int axis = 0; axis < 3; ++axis) {
    std::fill(from_lower_[axis].begin(), from_lower_[axis].end(), 0.0);
  }
  std::fill(diagonal_.begin(), diagonal_.end(), 0.0);
  from_upper_ = FaceField();
  symmetric_ = true;
}

void CellOperator::split_directions() {
  if (!symmetric_) return;
  from_upper_ = from_lower_;
  symmetric_ = false;
}

void CellOperator::add_transmissibility(const FaceField& transmissibility) {
  for (int axis = 0; axis < 3; ++axis) {
    const auto& t = transmissibility[axis];
    for (std::size_t face = 0; face < t.size(); ++face) {
      from_lower_[axis][face] += t[face];
      if (!symmetric_) from_upper_[axis][face] += t[face];
    }
  }
}

void CellOperator::add_diffusion(const std::vector<double>& coefficient) { add_faces(coefficient, nullptr); }

void CellOperator::add_diffusion_and_convection(const std::vector<double>& coefficient, const FaceField& discharge) {
  double moves = 0;
  for (int axis = 0; axis < 3; ++axis) {
    for (const double q : discharge[axis]) moves = std::max(moves, std::abs(q));
  }
  const bool still = max_over(grid_->comm(), moves) == 0;
  if (!still) split_directions();
  add_faces(coefficient, still ? nullptr : &discharge);
}

void CellOperator::add_faces(const std::vector<double>& coefficient, const FaceField* discharge) {
  VecHandle values = grid_->vector();
  {
    WriteAccess v(values.get());
    std::copy(coefficient.begin(), coefficient.end(), v.data());
  }
  const Ghosted k_of(*grid_, values.get(), ghosted_.get());
  for (int axis = 0; axis < 3; ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    const double scale = grid_->face_area(axis) / grid_->spec().spacing[a];
    const auto& extent = from_lower_.extent(axis);
    for (long k = 0; k < extent[2]; ++k) {
      for (long j = 0; j < extent[1]; ++j) {
        for (long i = 0; i < extent[0]; ++i) {
          const std::array<long, 3> cell{i, j, k};
          const long along = grid_->start()[a] + cell[a];
          const bool lower_wall = along == 0;
          const bool upper_wall = along == grid_->spec().cells[a];
          const std::size_t face = from_lower_.index(axis, i, j, k);
          const double q = discharge ? (*discharge)[axis][face] : 0.0;
          double t = 0;
          if (lower_wall || upper_wall) {
            const auto wall = static_cast<std::size_t>(2 * axis + (upper_wall ? 1 : 0));
            if (walls_.kind[wall] == WallKind::closed) continue;
            if (walls_.kind[wall] != WallKind::outflow) {
              const double inside =
                  lower_wall ? k_of.at(i, j, k) : k_of.at(i - unit[a][0], j - unit[a][1], k - unit[a][2]);
              t = 2 * scale * inside;
            }
            if (walls_.kind[wall] == WallKind::exchange) {
              const double film = grid_->face_area(axis) * walls_.coefficient[wall];
              t = t + film > 0 ? t * film / (t + film) : 0.0;
            }
          } else {
            const double upper = k_of.at(i, j, k);
            const double lower = k_of.at(i - unit[a][0], j - unit[a][1], k - unit[a][2]);
            t = upper + lower > 0 ? scale * 2 * upper * lower / (upper + lower) : 0.0;
          }
          double forward = 0, backward = 0;
          if (t > 0) {
            const double peclet = q / t;
            forward = t * bernoulli(-peclet);
            backward = t * bernoulli(peclet);
          } else {
            forward = std::max(q, 0.0);
            backward = std::max(-q, 0.0);
          }
          from_lower_[axis][face] += forward;
          if (!symmetric_) from_upper_[axis][face] += backward;
        }
      }
    }
  }
}

void CellOperator::apply(Vec in, Vec out) const {
  const Ghosted u(*grid_, in, ghosted_.get());
  WriteAccess y(out);
  const auto& n = grid_->size();
  const double* diagonal = diagonal_.data();
  const auto& start = grid_->start();
  const auto& cells = grid_->spec().cells;
  for (long k = 0; k < n[2]; ++k) {
    const bool low_z = start[2] + k > 0, high_z = start[2] + k + 1 < cells[2];
    for (long j = 0; j < n[1]; ++j) {
      const bool low_y = start[1] + j > 0, high_y = start[1] + j + 1 < cells[1];
      const double* c = u.line(j, k);
      // At a wall the missing neighbour is the cell itself; its coefficient enters with zero value below.
      const double* south = low_y ? u.line(j - 1, k) : c;
      const double* north = high_y ? u.line(j + 1, k) : c;
      const double* below = low_z ? u.line(j, k - 1) : c;
      const double* above = high_z ? u.line(j, k + 1) : c;
      const double sy = low_y ? 1 : 0, ny = high_y ? 1 : 0, bz = low_z ? 1 : 0, az = high_z ? 1 : 0;
      const std::size_t row = static_cast<std::size_t>((k * n[1] + j) * n[0]);
      const double* xl = from_lower_[0].data() + from_lower_.index(0, 0, j, k);
      const double* xu = from_upper(0).data() + from_lower_.index(0, 0, j, k);
      const double* yl0 = from_lower_[1].data() + from_lower_.index(1, 0, j, k);
      const double* yu0 = from_upper(1).data() + from_lower_.index(1, 0, j, k);
      const double* yl1 = from_lower_[1].data() + from_lower_.index(1, 0, j + 1, k);
      const double* yu1 = from_upper(1).data() + from_lower_.index(1, 0, j + 1, k);
      const double* zl0 = from_lower_[2].data() + from_lower_.index(2, 0, j, k);
      const double* zu0 = from_upper(2).data() + from_lower_.index(2, 0, j, k);
      const double* zl1 = from_lower_[2].data() + from_lower_.index(2, 0, j, k + 1);
      const double* zu1 = from_upper(2).data() + from_lower_.index(2, 0, j, k + 1);
      double* r = y.data() + row;
      const double* d = diagonal + row;
      for (long i = 0; i < n[0]; ++i) {
        const double own = d[i] + xl[i + 1] + xu[i] + yl1[i] + yu0[i] + zl1[i] + zu0[i];
        r[i] = own * c[i] - sy * yl0[i] * south[i] - ny * yu1[i] * north[i] - bz * zl0[i] * below[i] -
               az * zu1[i] * above[i];
      }
      // x neighbours apart, so that the ends of a line at a wall need no mask.
      const long first = start[0] > 0 ? 0 : 1;
      const long last = start[0] + n[0] < cells[0] ? n[0] : n[0] - 1;
      for (long i = first; i < n[0]; ++i) r[i] -= xl[i] * c[i - 1];
      for (long i = 0; i < last; ++i) r[i] -= xu[i + 1] * c[i + 1];
    }
  }
}

template <class Visit>
void CellOperator::for_each_wall_face(Visit&& visit) const {
  const auto& n = grid_->size();
  for (int axis = 0; axis < 3; ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    for (int side = 0; side < 2; ++side) {
      const bool here = side == 0 ? grid_->start()[a] == 0 : grid_->start()[a] + n[a] == grid_->spec().cells[a];
      if (!here) continue;
      const int wall = 2 * axis + side;
      std::array<long, 3> low{0, 0, 0}, high = n;
      low[a] = side == 0 ? 0 : n[a] - 1;
      high[a] = low[a] + 1;
      for (long k = low[2]; k < high[2]; ++k) {
        for (long j = low[1]; j < high[1]; ++j) {
          for (long i = low[0]; i < high[0]; ++i) {
            const std::size_t cell = static_cast<std::size_t>((k * n[1] + j) * n[0] + i);
            const std::size_t face =
                from_lower_.index(axis, i + side * unit[a][0], j + side * unit[a][1], k + side * unit[a][2]);
            const double inside = side == 0 ? from_upper(axis)[face] : from_lower_[axis][face];
            const double outside = side == 0 ? from_lower_[axis][face] : from_upper(axis)[face];
            visit(wall, cell, inside, outside);
          }
        }
      }
    }
  }
}

void CellOperator::add_wall_source(Vec out) const {
  WriteAccess y(out);
  for_each_wall_face([&](int wall, std::size_t cell, double, double outside) {
    y[cell] += outside * walls_.value[static_cast<std::size_t>(wall)];
  });
}

std::vector<double> CellOperator::full_diagonal() const {
  std::vector<double> result(diagonal_.size());
  full_diagonal(result.data());
  return result;
}

void CellOperator::full_diagonal(double* out) const {
  const auto& n = grid_->size();
  for (long k = 0; k < n[2]; ++k) {
    for (long j = 0; j < n[1]; ++j) {
      for (long i = 0; i < n[0]; ++i) {
        double sum = 0;
        for (int axis = 0; axis < 3; ++axis) {
          const auto a = static_cast<std::size_t>(axis);
          sum += from_upper(axis)[from_lower_.index(axis, i, j, k)];
          sum += from_lower_[axis][from_lower_.index(axis, i + unit[a][0], j + unit[a][1], k + unit[a][2])];
        }
        const auto cell = static_cast<std::size_t>((k * n[1] + j) * n[0] + i);
        out[cell] = diagonal_[cell] + sum;
      }
    }
  }
}

std::array<double, 6> CellOperator::wall_outflow(Vec u) const {
  std::array<double, 6> out{};
  {
    ReadAccess values(u);
    for_each_wall_face([&](int wall, std::size_t cell, double inside, double outside) {
      const auto w = static_cast<std::size_t>(wall);
      out[w] += inside * values[cell] - outside * walls_.value[w];
    });
  }
  MPI_Allreduce(MPI_IN_PLACE, out.data(), 6, MPI_DOUBLE, MPI_SUM, grid_->comm());
  return out;
}

std::array<double, 2> CellOperator::wall_exchange(Vec u) const {
  std::array<double, 2> parts{};
  {
    ReadAccess values(u);
    for_each_wall_face([&](int wall, std::size_t cell, double inside, double outside) {
      const double flow = inside * values[cell] - outside * walls_.value[static_cast<std::size_t>(wall)];
      parts[flow > 0 ? 0 : 1] += std::abs(flow);
    });
  }
  MPI_Allreduce(MPI_IN_PLACE, parts.data(), 2, MPI_DOUBLE, MPI_SUM, grid_->comm());
  return parts;
}

void CellOperator::flux(Vec u, FaceField& out) const {
  const Ghosted value(*grid_, u, ghosted_.get());
  for (int axis = 0; axis < 3; ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    const auto& extent = from_lower_.extent(axis);
    for (long k = 0; k < extent[2]; ++k) {
      for (long j = 0; j < extent[1]; ++j) {
        for (long i = 0; i < extent[0]; ++i) {
          const std::array<long, 3> cell{i, j, k};
          const long along = grid_->start()[a] + cell[a];
          const std::size_t face = from_lower_.index(axis, i, j, k);
          const double lower =
              along == 0 ? walls_.value[2 * a] : value.at(i - unit[a][0], j - unit[a][1], k - unit[a][2]);
          const double upper = along == grid_->spec().cells[a] ? walls_.value[2 * a + 1] : value.at(i, j, k);
          out[axis][face] = from_lower_[axis][face] * lower - from_upper(axis)[face] * upper;
        }
      }
    }
  }
}

void CellOperator::assemble(Mat matrix) const {
  const auto& n = grid_->size();
  const auto& start = grid_->start();
  const std::vector<double> own = full_diagonal();
  for (long k = 0; k < n[2]; ++k) {
    for (long j = 0; j < n[1]; ++j) {
      for (long i = 0; i < n[0]; ++i) {
        MatStencil row{}, column[7];
        double value[7];
        row.i = static_cast<PetscInt>(start[0] + i);
        row.j = static_cast<PetscInt>(start[1] + j);
        row.k = static_cast<PetscInt>(start[2] + k);
        PetscInt count = 0;
        column[count] = row;
        value[count++] = own[static_cast<std::size_t>((k * n[1] + j) * n[0] + i)];
        const std::array<long, 3> cell{start[0] + i, start[1] + j, start[2] + k};
        for (int axis = 0; axis < 3; ++axis) {
          const auto a = static_cast<std::size_t>(axis);
          if (cell[a] > 0) {
            column[count] = row;
            column[count].i -= static_cast<PetscInt>(unit[a][0]);
            column[count].j -= static_cast<PetscInt>(unit[a][1]);
            column[count].k -= static_cast<PetscInt>(unit[a][2]);
            value[count++] = -from_lower_[axis][from_lower_.index(axis, i, j, k)];
          }
          if (cell[a] + 1 < grid_->spec().cells[a]) {
            column[count] = row;
            column[count].i += static_cast<PetscInt>(unit[a][0]);
            column[count].j += static_cast<PetscInt>(unit[a][1]);
            column[count].k += static_cast<PetscInt>(unit[a][2]);
            value[count++] = -from_upper(axis)[from_lower_.index(axis, i + unit[a][0], j + unit[a][1], k + unit[a][2])];
          }
        }
        petsc(MatSetValuesStencil(matrix, 1, &row, count, column, value, INSERT_VALUES));
      }
    }
  }
  petsc(MatAssemblyBegin(matrix, MAT_FINAL_ASSEMBLY));
  petsc(MatAssemblyEnd(matrix, MAT_FINAL_ASSEMBLY));
}

}  // namespace sanctuary
