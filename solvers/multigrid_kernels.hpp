#pragma once
// Inner loops of the multigrid and of the Krylov methods on it; private to the solvers.
#include <array>
#include <cstddef>

#include "solvers/layout.hpp"

namespace sanctuary::kernels {

/// Where the cells of one colour stand in memory. Cell (i, j, k) of a block (local numbers) has colour (parity + i + j
/// + k) & 1 and stands at origin + floor(i / 2) + row j + plane k in the array of its colour: unit stride, no masks.
/// One layer of ghosts around the block is addressable.
struct ColourLayout {
  std::array<long, 3> size{};
  int parity = 0;
  long row = 0, plane = 0, origin = 0;
  [[nodiscard]] long at(long j, long k) const { return origin + row * j + plane * k; }
  /// Colour of cell (0, j, k).
  [[nodiscard]] int first(long j, long k) const { return static_cast<int>((parity + j + k) & 1); }
};

/// Sides in the order of the coefficients: -x, +x, -y, +y, -z, +z.
inline constexpr int sides = 6;

/// One level in single precision: diagonal u = f + sum over sides of coefficient x neighbour.
struct LevelArrays {
  ColourLayout at;
  float* u[2] = {};
  float* f[2] = {};
  float* inverse_diagonal[2] = {};
  /// Coefficients of the red cells; of the black ones only where the operator is not symmetric (else null: those of the
  /// red neighbours are the same).
  float* coefficient[2][sides] = {};
};

/// Interpolation along an axis: share of the farther of the two coarse cells, by fine cell from -1 on (index + 1).
struct Interpolation {
  bool coarse[3] = {};
  const float* far[3] = {};         ///< by local fine cell + 1; along x split by parity: even cells, then odd ones
  const float* far_even = nullptr;  ///< x = 2m, by m
  const float* far_odd = nullptr;   ///< x = 2m + 1, by m + 1
};

/// Gauss-Seidel on one colour of the cells of `box` (local numbers); `from_zero`: the other colour is zero.
void smooth(const LevelArrays& level, int colour, bool from_zero, const IndexBox& box);
/// Residual after a black sweep that followed a red one from zero (it lives on red cells), summed into the coarse cells
/// of `box` (local coarse numbers). `out` covers a box that holds them.
void restrict_residual(const LevelArrays& level, const bool (&coarse)[3], const IndexBox& box,
                       const BoxArray<float>& out);
/// Adds the interpolated coarse values to the black cells of one fine plane, `box` may reach one layer into the ghosts.
void prolong_to_black(const LevelArrays& level, const Interpolation& weights, const BoxArray<float>& values,
                      const IndexBox& box, float* scratch);
/// Both colours from values x fastest and back; `box` in local numbers.
void split(const ColourLayout& at, const BoxArray<const float>& values, const IndexBox& box, float* const (&out)[2]);
void join(const ColourLayout& at, float* const (&in)[2], const IndexBox& box, const BoxArray<float>& values);

/// Cells along x whose products are added up before they enter an exact sum.
inline constexpr long unit = 64;
[[nodiscard]] inline long units(long cells) { return (cells + unit - 1) / unit; }

/// A double-precision array of the block with one layer of ghosts.
struct Padded {
  double* data = nullptr;
  long row = 0, plane = 0, origin = 0;
  [[nodiscard]] double* at(long j, long k) const { return data + origin + row * j + plane * k; }
};

/// Coefficients of a CellOperator in double precision; `from_upper` null where symmetric.
struct OperatorArrays {
  std::array<long, 3> size{};
  const double* from_lower[3] = {};
  const double* from_upper[3] = {};
  const double* diagonal = nullptr;
};

/// out = A in on the rows of `box`, and the sums of in x out and out x out over each unit of each row (both may be
/// null).
void apply(const OperatorArrays& op, const Padded& in, double* out, const IndexBox& box, double* in_out,
           double* out_out);
/// p = scale u + beta p on `box` (it may reach into the ghosts).
void direction(const ColourLayout& at, float* const (&u)[2], double scale, double beta, const Padded& p,
               const IndexBox& box);
/// Sums of r z and w z over each unit of each row, z = scale u.
void products(const ColourLayout& at, float* const (&u)[2], double scale, const double* r, const double* w,
              const IndexBox& box, double* rz, double* wz);
/// x += alpha p; r -= alpha w; f = r f_scale by colours; sums of r r over each unit.
void update(const ColourLayout& at, double alpha, const Padded& p, const double* w, double* x, double* r,
            double f_scale, float* const (&f)[2], const IndexBox& box, double* rr);
/// r = b - r and sums of r r and b b over each unit of each row of a block of this size.
void residual(const std::array<long, 3>& size, const double* b, double* r, double* rr, double* bb);
/// f = scale r by colours, and r = scale u.
void load(const ColourLayout& at, const double* r, double scale, float* const (&f)[2]);
void store(const ColourLayout& at, float* const (&u)[2], double scale, double* r);
/// Sums of a b over each unit of each row of a block of this size.
void dot(const std::array<long, 3>& size, const double* a, const double* b, double* ab);
/// y += alpha x.
void add(std::size_t count, double alpha, const double* x, double* y);

/// Coefficients of a block in double precision, laid out as in CellOperator; `upper` equals `lower` where symmetric.
struct CoefficientView {
  std::array<long, 3> size{};
  std::array<const double*, 3> lower{}, upper{};
  const double* diagonal = nullptr;
  [[nodiscard]] std::size_t cell(long i, long j, long k) const {
    return static_cast<std::size_t>((k * size[1] + j) * size[0] + i);
  }
  [[nodiscard]] std::size_t face(std::size_t axis, long i, long j, long k) const {
    const long nx = size[0] + (axis == 0 ? 1 : 0), ny = size[1] + (axis == 1 ? 1 : 0);
    return static_cast<std::size_t>((k * ny + j) * nx + i);
  }
};

/// What a block's coefficients look like.
struct Survey {
  double largest = 0;     ///< largest full diagonal
  double own = 0;         ///< sum of the magnitudes of the diagonal without faces
  double full = 0;        ///< sum of the magnitudes of the full diagonal
  double empty = 0;       ///< number of cells with nothing on the diagonal
  bool dominated = true;  ///< neighbours weigh at most `share` of the diagonal in every cell
};
/// `wall`: whether a wall stands at each side of the block; faces of walls do not count as neighbours.
[[nodiscard]] Survey survey(const CoefficientView& c, const std::array<bool, 6>& wall, double share);
/// Fills coefficients and inverse diagonals of a level, divided by `scale`; faces of walls get no coefficient.
void fill(const CoefficientView& c, const std::array<bool, 6>& wall, double scale, const LevelArrays& level);
/// Sums over pairs along the coarsened axes: out(I, J, K) = sum of the values of its children. `size` is that of the
/// values; along `pick` (0 to 2; else none) every second entry is taken in place of a sum (faces between coarse cells).
void pair_sum(const double* values, const std::array<long, 3>& size, const bool (&coarse)[3], int pick,
              const std::array<long, 3>& out_size, double* out);

}  // namespace sanctuary::kernels
