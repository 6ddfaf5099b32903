#include "solvers/operator.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/comm.hpp"
#include "solvers/bernoulli.hpp"
#include "solvers/ghosted.hpp"
#include "solvers/multigrid_kernels.hpp"

namespace sanctuary {
namespace {

constexpr std::array<std::array<long, 3>, 3> unit{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};

}  // namespace

CellOperator::CellOperator(const Grid& grid)
    : grid_(&grid), from_lower_(grid), diagonal_(grid.local_cells(), 0.0), scratch_(grid) {
  petsc(DMCreateLocalVector(grid.dm(), ghosted_.out()));
  touch();
}

void CellOperator::touch() {
  static std::atomic<long> last{0};
  revision_ = ++last;
}

void CellOperator::reset(const Walls& walls) {
  touch();
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
  touch();
  for (int axis = 0; axis < 3; ++axis) {
    const auto& t = transmissibility[axis];
    for (std::size_t face = 0; face < t.size(); ++face) {
      from_lower_[axis][face] += t[face];
      if (!symmetric_) from_upper_[axis][face] += t[face];
    }
  }
}

CellOperator CellOperator::with_diagonal(std::vector<double> diagonal) const {
  CellOperator result(*grid_);
  result.walls_ = walls_;
  result.symmetric_ = symmetric_;
  result.from_lower_ = from_lower_;
  result.from_upper_ = from_upper_;
  result.diagonal_ = std::move(diagonal);
  return result;
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
  touch();
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
            if (walls_.kind[wall] == WallKind::closed || walls_.kind[wall] == WallKind::flux) continue;
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
  kernels::OperatorArrays arrays;
  arrays.size = grid_->size();
  for (int axis = 0; axis < 3; ++axis) {
    arrays.from_lower[axis] = from_lower(axis).data();
    arrays.from_upper[axis] = symmetric_ ? nullptr : from_upper(axis).data();
  }
  arrays.diagonal = diagonal_.data();
  const ReadAccess values(in);
  const WriteAccess result(out);
  scratch_.start(values.data());
  const kernels::Padded u{scratch_.line(0, 0), scratch_.row(), scratch_.plane(), 0};
  // The inside while the neighbours' values are on their way, then the shell.
  IndexBox all;
  all.high = grid_->size();
  const auto on = [&](const IndexBox& box) { kernels::apply(arrays, u, result.data(), box, nullptr, nullptr); };
  IndexBox inside = all;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (scratch_.shared(2 * axis)) ++inside.low[axis];
    if (scratch_.shared(2 * axis + 1)) --inside.high[axis];
  }
  if (!inside.empty()) on(inside);
  scratch_.finish();
  for (std::size_t axis = 0; axis < 3; ++axis) {
    for (std::size_t side = 0; side < 2; ++side) {
      if (!scratch_.shared(2 * axis + side)) continue;
      IndexBox shell = all;
      if (side == 0) {
        shell.high[axis] = 1;
      } else {
        shell.low[axis] = shell.high[axis] - 1;
      }
      on(shell);
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
            // A given flux stands for a value of that size behind a coefficient of one area.
            const double given =
                walls_.kind[static_cast<std::size_t>(wall)] == WallKind::flux ? grid_->face_area(axis) : 0.0;
            const double outside = given + (side == 0 ? from_lower_[axis][face] : from_upper(axis)[face]);
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
          if (along != 0 && along != grid_->spec().cells[a]) continue;
          const std::size_t wall = 2 * a + (along == 0 ? 0 : 1);
          if (walls_.kind[wall] != WallKind::flux) continue;
          out[axis][face] += (along == 0 ? 1 : -1) * grid_->face_area(axis) * walls_.value[wall];
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
