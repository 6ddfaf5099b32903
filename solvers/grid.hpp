#pragma once
#include <petscdmda.h>

#include <array>
#include <vector>

#include "solvers/layout.hpp"
#include "solvers/petsc.hpp"

namespace sanctuary {

/// A box of equal cells. Axes are x, y, z; lengths in m.
struct GridSpec {
  std::array<double, 3> origin{};
  std::array<double, 3> spacing{};
  std::array<long, 3> cells{};
};

/// Cells of a box, cut into one box per rank. Owned cells are numbered with x fastest; so are PETSc's vectors from
/// `vector()`, rank after rank. Owns its DMDA (one value per cell, star stencil of width 1).
class Grid {
 public:
  /// Cells along x that sums of the solvers take together; x is cut at its multiples, so that a sum has the same digits
  /// on any number of ranks.
  static constexpr long sum_unit = 64;

  /// Collective on `comm`. Throws InputError when the box cannot be cut into one block per rank.
  Grid(MPI_Comm comm, const GridSpec& spec);

  [[nodiscard]] MPI_Comm comm() const { return comm_; }
  [[nodiscard]] const GridSpec& spec() const { return spec_; }
  [[nodiscard]] DM dm() const { return dm_.get(); }
  /// First owned cell and number of owned cells along each axis.
  [[nodiscard]] const std::array<long, 3>& start() const { return start_; }
  [[nodiscard]] const std::array<long, 3>& size() const { return size_; }
  [[nodiscard]] std::size_t local_cells() const { return static_cast<std::size_t>(size_[0] * size_[1] * size_[2]); }
  [[nodiscard]] long global_cells() const { return spec_.cells[0] * spec_.cells[1] * spec_.cells[2]; }
  /// First cell of each block of ranks along each axis, and the number of cells.
  [[nodiscard]] const std::array<std::vector<long>, 3>& cuts() const { return cuts_; }
  /// Volume of a cell [m^3].
  [[nodiscard]] double cell_volume() const { return spec_.spacing[0] * spec_.spacing[1] * spec_.spacing[2]; }
  /// Area of a face normal to `axis` [m^2].
  [[nodiscard]] double face_area(int axis) const {
    return cell_volume() / spec_.spacing[static_cast<std::size_t>(axis)];
  }

  /// Number of an owned cell from its place in the box.
  [[nodiscard]] std::size_t local(long i, long j, long k) const {
    return static_cast<std::size_t>(((k - start_[2]) * size_[1] + (j - start_[1])) * size_[0] + (i - start_[0]));
  }
  /// Place in the box of an owned cell.
  [[nodiscard]] std::array<long, 3> place(std::size_t local_cell) const {
    const auto l = static_cast<long>(local_cell);
    return {start_[0] + l % size_[0], start_[1] + l / size_[0] % size_[1], start_[2] + l / (size_[0] * size_[1])};
  }
  /// Centre of an owned cell [m].
  [[nodiscard]] std::array<double, 3> centre(std::size_t local_cell) const;
  /// True if the cell is owned by this rank.
  [[nodiscard]] bool owns(const std::array<long, 3>& cell) const;
  /// Rank that owns a cell of the box.
  [[nodiscard]] int owner(const std::array<long, 3>& cell) const;
  /// Row of an owned cell in PETSc's global numbering.
  [[nodiscard]] PetscInt row(std::size_t local_cell) const { return first_row_ + static_cast<PetscInt>(local_cell); }
  /// The cell that holds a point; points on or just outside a wall belong to the cell at the wall.
  [[nodiscard]] std::array<long, 3> cell_of(const std::array<double, 3>& point) const;

  /// The block of this rank, and how the box is cut.
  [[nodiscard]] IndexBox block() const;
  [[nodiscard]] Layout layout() const;

  /// A new vector of one value per cell, zero. Collective.
  [[nodiscard]] VecHandle vector() const;

 private:
  MPI_Comm comm_;
  GridSpec spec_;
  DmHandle dm_;
  std::array<long, 3> start_{}, size_{};
  std::array<std::vector<long>, 3> cuts_;  // first cell of each block along each axis, and the end
  PetscInt first_row_ = 0;
};

/// Values of the owned cells with one layer of ghosts around them; beyond the walls stands zero.
class GhostedCells {
 public:
  explicit GhostedCells(const Grid& grid);
  /// Copies the owned values in; `finish` waits for those of the neighbours. Collective, without allocation.
  void start(const double* owned);
  void finish() { exchange_.finish(all_); }
  /// Value of local cell (0, j, k); rows and planes are `row()` and `plane()` apart.
  [[nodiscard]] double* line(long j, long k) { return values_.data() + origin_ + row_ * j + plane_ * k; }
  [[nodiscard]] long row() const { return row_; }
  [[nodiscard]] long plane() const { return plane_; }
  /// True if another rank's cells lie beyond this side (-x, +x, -y, ...).
  [[nodiscard]] bool shared(std::size_t side) const { return shared_[side]; }
  [[nodiscard]] const std::array<long, 3>& size() const { return size_; }
  [[nodiscard]] std::size_t memory() const { return values_.capacity() * sizeof(double) + exchange_.memory(); }

 private:
  std::array<long, 3> size_;
  std::array<bool, 6> shared_{};
  std::vector<double> values_;
  long row_, plane_, origin_;
  BoxCopy<double> exchange_;
  BoxArray<double> all_;
};

/// One value on each face that touches an owned cell, by axis; a face stands at the lower side of its cell.
class FaceField {
 public:
  FaceField() = default;
  explicit FaceField(const Grid& grid);
  /// Number of the lower face of local cell (i, j, k) normal to `axis`; the upper face is the lower one of i + 1.
  [[nodiscard]] std::size_t index(int axis, long i, long j, long k) const {
    const auto& n = extent_[static_cast<std::size_t>(axis)];
    return static_cast<std::size_t>((k * n[1] + j) * n[0] + i);
  }
  std::vector<double>& operator[](int axis) { return value_[static_cast<std::size_t>(axis)]; }
  const std::vector<double>& operator[](int axis) const { return value_[static_cast<std::size_t>(axis)]; }
  /// Faces along x, y, z of the faces normal to `axis`.
  [[nodiscard]] const std::array<long, 3>& extent(int axis) const { return extent_[static_cast<std::size_t>(axis)]; }

 private:
  std::array<std::vector<double>, 3> value_;
  std::array<std::array<long, 3>, 3> extent_{};
};

}  // namespace sanctuary
