#include "solvers/convection_scheme.hpp"

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"
#include "solvers/bernoulli.hpp"
#include "solvers/ghosted.hpp"
#include "solvers/simd.hpp"

namespace sanctuary {
namespace {

/// True diffusion of a face from its fitted coefficients, which are t B(-P) with the flow and t B(P) against it.
double true_diffusion(double one_way, double other_way) {
  if (!(one_way > 0) || !(other_way > 0)) return 0;
  const double half = 0.5 * std::log(one_way / other_way), square = half * half;
  const double fitted = square < 1e-4 ? 1 + square / 3 : half / std::tanh(half);
  return 0.5 * (one_way + other_way) / fitted;
}

/// Excess of an inner face; kept apart from the difference above, which loses digits at small Péclet numbers.
double excess_diffusion(double from_lower, double from_upper) {
  const double mean = 0.5 * (from_lower + from_upper);
  if (!(from_lower > 0) || !(from_upper > 0)) return mean;
  const double half = 0.5 * std::log(from_lower / from_upper), square = half * half;
  const double more = square < 1e-4 ? square / 3 - square * square / 45 : half / std::tanh(half) - 1;
  return mean * more / (1 + more);
}

/// Slope of a cell from the differences to its two neighbours: their mean, at most twice the smaller one, 0 where they
/// disagree in sign.
inline double limited_slope(double below, double above) {
  const double most = 2 * std::min(std::abs(below), std::abs(above));
  const double mean = 0.5 * (below + above);
  return below * above > 0 ? std::clamp(mean, -most, most) : 0.0;
}

SANCTUARY_CLONES void line_slopes(long n, const double* u, long stride, double* slope) {
  for (long i = 0; i < n; ++i) slope[i] = limited_slope(u[i] - u[i - stride], u[i + stride] - u[i]);
}

SANCTUARY_CLONES void line_fluxes(long n, const double* from_lower, const double* from_upper, const double* excess,
                                  const double* slope, long stride, double* flux) {
  for (long i = 0; i < n; ++i) flux[i] = excess[i] * (from_lower[i] >= from_upper[i] ? slope[i - stride] : slope[i]);
}

SANCTUARY_CLONES void line_inflow(long n, double factor, const double* lower, const double* upper, double* out) {
  for (long i = 0; i < n; ++i) out[i] += factor * (lower[i] - upper[i]);
}

/// Visits the cells at one wall of the owned box: visit(local cell, face, number along the wall).
template <class Visit>
void for_each_at_wall(const Grid& grid, const FaceField& faces, int axis, int side, Visit&& visit) {
  const auto a = static_cast<std::size_t>(axis);
  const auto& n = grid.size();
  if (side == 0 ? grid.start()[a] > 0 : grid.start()[a] + n[a] < grid.spec().cells[a]) return;
  std::array<long, 3> low{0, 0, 0}, high = n;
  low[a] = side == 0 ? 0 : n[a] - 1;
  high[a] = low[a] + 1;
  std::size_t number = 0;
  for (long k = low[2]; k < high[2]; ++k) {
    for (long j = low[1]; j < high[1]; ++j) {
      for (long i = low[0]; i < high[0]; ++i) {
        const long up = side;
        const std::size_t face =
            faces.index(axis, i + (axis == 0 ? up : 0), j + (axis == 1 ? up : 0), k + (axis == 2 ? up : 0));
        visit(std::array<long, 3>{i, j, k}, face, number++);
      }
    }
  }
}

}  // namespace

void add_inflow(const Grid& grid, const FaceField& flux, double factor, Vec out) {
  const WriteAccess y(out);
  const auto& n = grid.size();
  for (int axis = 0; axis < 3; ++axis) {
    const double* f = flux[axis].data();
    for (long k = 0; k < n[2]; ++k) {
      for (long j = 0; j < n[1]; ++j) {
        const std::size_t lower = flux.index(axis, 0, j, k);
        const std::size_t upper = flux.index(axis, axis == 0 ? 1 : 0, j + (axis == 1 ? 1 : 0), k + (axis == 2 ? 1 : 0));
        line_inflow(n[0], factor, f + lower, f + upper, y.data() + (k * n[1] + j) * n[0]);
      }
    }
  }
}

ConvectionCorrection::ConvectionCorrection(const Grid& grid) : grid_(&grid), excess_(grid), slope_(grid.vector()) {
  petsc(DMCreateLocalVector(grid.dm(), ghosted_.out()));
  petsc(DMCreateLocalVector(grid.dm(), ghosted_slope_.out()));
}

void ConvectionCorrection::set(const CellOperator& op) {
  axes_ = 0;
  for (int axis = 0; axis < 3; ++axis) {
    const auto &lower = op.from_lower(axis), &upper = op.from_upper(axis);
    auto& excess = excess_[axis];
    for (std::size_t f = 0; f < excess.size(); ++f) excess[f] = excess_diffusion(lower[f], upper[f]);
    if (op.symmetric()) std::fill(excess.begin(), excess.end(), 0.0);
    for (int side = 0; side < 2; ++side) {
      const auto wall = static_cast<std::size_t>(2 * axis + side);
      const WallKind kind = op.walls().kind[wall];
      auto& approach = approach_[wall];
      approach.clear();
      for_each_at_wall(*grid_, excess_, axis, side, [&](const auto&, std::size_t f, std::size_t) {
        const double out = side == 0 ? upper[f] : lower[f], in = side == 0 ? lower[f] : upper[f];
        const double flow = out - in;
        double share = 1, more = 0;
        if (kind == WallKind::outflow) {
          more = std::max(flow, 0.0);
        } else if (kind != WallKind::closed && kind != WallKind::flux) {
          const double whole = true_diffusion(out, in);
          const double film = grid_->face_area(axis) * op.walls().coefficient[wall];
          if (kind == WallKind::fixed) {
            more = flow == 0 ? 0.0 : out - whole;
          } else if (whole > 0 && film > whole) {
            // Half a cell and a film in series; the value on the wall lies between, by the fitted flux of the film.
            const double half = 1 / (1 / whole - 1 / film), through = film * bernoulli(flow / film);
            share = through / (half + through);
            more = flow != 0 && share > 1e-9 ? (out - flow * (1 - share)) / share - half : 0.0;
          }
        }
        approach.push_back(share);
        excess[f] = more;
      });
    }
    double largest = 0;
    for (const double e : excess) largest = std::max(largest, std::abs(e));
    moves_[static_cast<std::size_t>(axis)] = max_over(grid_->comm(), largest) > 0;
    if (moves_[static_cast<std::size_t>(axis)]) ++axes_;
  }
}

void ConvectionCorrection::slopes(const CellOperator& op, int axis, Vec u) const {
  const auto a = static_cast<std::size_t>(axis);
  const auto& n = grid_->size();
  const Ghosted value(*grid_, u, ghosted_.get());
  const WriteAccess slope(slope_.get());
  const bool low_wall = grid_->start()[a] == 0, high_wall = grid_->start()[a] + n[a] == grid_->spec().cells[a];
  for (long k = 0; k < n[2]; ++k) {
    if (axis == 2 && ((k == 0 && low_wall) || (k == n[2] - 1 && high_wall))) continue;
    for (long j = 0; j < n[1]; ++j) {
      if (axis == 1 && ((j == 0 && low_wall) || (j == n[1] - 1 && high_wall))) continue;
      const long first = axis == 0 && low_wall ? 1 : 0, last = axis == 0 && high_wall ? n[0] - 1 : n[0];
      line_slopes(last - first, value.line(j, k) + first, value.stride(axis),
                  slope.data() + (k * n[1] + j) * n[0] + first);
    }
  }
  // At a wall the value on it stands for the neighbour; where there is none the other side's difference does.
  const long cells = grid_->spec().cells[a];
  for (int side = 0; side < 2; ++side) {
    for_each_at_wall(*grid_, excess_, axis, side, [&](const std::array<long, 3>& at, std::size_t, std::size_t number) {
      const double* own = value.line(at[1], at[2]) + at[0];
      const auto difference = [&](int towards) {  // along the axis; NaN where nothing is known
        const long place = grid_->start()[a] + at[a];
        const bool is_wall = towards == 0 ? place == 0 : place == cells - 1;
        if (!is_wall) return towards == 0 ? own[0] - own[-value.stride(axis)] : own[value.stride(axis)] - own[0];
        const auto wall = static_cast<std::size_t>(2 * axis + towards);
        const WallKind kind = op.walls().kind[wall];
        if (kind != WallKind::fixed && kind != WallKind::exchange) return std::nan("");
        const double outward = 2 * approach_[wall][number] * (op.walls().value[wall] - own[0]);
        return towards == 0 ? -outward : outward;
      };
      const double below = difference(0), above = difference(1);
      double result = 0;
      if (std::isnan(below) || std::isnan(above)) {
        const double known = std::isnan(below) ? above : below;
        // A value on the wall of at most twice and at least half of that in the cell: never below zero.
        result = std::isnan(known) ? 0.0 : std::clamp(known, -std::abs(own[0]), std::abs(own[0]));
      } else {
        result = limited_slope(below, above);
      }
      slope[static_cast<std::size_t>((at[2] * n[1] + at[1]) * n[0] + at[0])] = result;
    });
  }
}

void ConvectionCorrection::flux(const CellOperator& op, Vec u, FaceField& out) const {
  for (int axis = 0; axis < 3; ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    if (!moves_[a]) {
      std::fill(out[axis].begin(), out[axis].end(), 0.0);
      continue;
    }
    slopes(op, axis, u);
    const Ghosted slope(*grid_, slope_.get(), ghosted_slope_.get());
    const auto& extent = out.extent(axis);
    const double *lower = op.from_lower(axis).data(), *upper = op.from_upper(axis).data();
    const bool low_wall = grid_->start()[a] == 0,
               high_wall = grid_->start()[a] + grid_->size()[a] == grid_->spec().cells[a];
    for (long k = 0; k < extent[2]; ++k) {
      if (axis == 2 && ((k == 0 && low_wall) || (k == extent[2] - 1 && high_wall))) continue;
      for (long j = 0; j < extent[1]; ++j) {
        if (axis == 1 && ((j == 0 && low_wall) || (j == extent[1] - 1 && high_wall))) continue;
        const long first = axis == 0 && low_wall ? 1 : 0, last = axis == 0 && high_wall ? extent[0] - 1 : extent[0];
        const std::size_t f = out.index(axis, first, j, k);
        line_fluxes(last - first, lower + f, upper + f, excess_[axis].data() + f, slope.line(j, k) + first,
                    slope.stride(axis), out[axis].data() + f);
      }
    }
    const ReadAccess value(u);
    for (int side = 0; side < 2; ++side) {
      const auto wall = static_cast<std::size_t>(2 * axis + side);
      const WallKind kind = op.walls().kind[wall];
      const double outward = side == 0 ? -1 : 1;
      for_each_at_wall(*grid_, out, axis, side, [&](const std::array<long, 3>& at, std::size_t f, std::size_t number) {
        const bool leaves = side == 0 ? upper[f] > lower[f] : lower[f] > upper[f];
        double step = 0;  // from the cell to the wall, outward
        if (leaves) {
          step = 0.5 * outward * slope.line(at[1], at[2])[at[0]];
        } else if (kind == WallKind::fixed || kind == WallKind::exchange) {
          const auto cell = static_cast<std::size_t>((at[2] * grid_->size()[1] + at[1]) * grid_->size()[0] + at[0]);
          step = approach_[wall][number] * (op.walls().value[wall] - value[cell]);
        }
        out[axis][f] = outward * excess_[axis][f] * step;
      });
    }
  }
}

}  // namespace sanctuary
