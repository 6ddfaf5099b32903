#include "solvers/flux_limiter.hpp"

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"
#include "solvers/ghosted.hpp"

namespace sanctuary {
namespace {

/// Visits each face that touches an owned cell: visit(axis, face, i, j, k) with (i, j, k) the owned place of its upper
/// cell, which may lie one past the end.
template <class Visit>
void for_each_face(const FaceField& faces, Visit&& visit) {
  for (int axis = 0; axis < 3; ++axis) {
    const auto& n = faces.extent(axis);
    for (long k = 0; k < n[2]; ++k) {
      for (long j = 0; j < n[1]; ++j) {
        for (long i = 0; i < n[0]; ++i) visit(axis, faces.index(axis, i, j, k), std::array<long, 3>{i, j, k});
      }
    }
  }
}

}  // namespace

double absolute_sum(const Grid& grid, const FaceField& faces) {
  double sum = 0;
  for_each_face(faces, [&](int axis, std::size_t face, const std::array<long, 3>& at) {
    const auto a = static_cast<std::size_t>(axis);
    const bool past = at[a] == grid.size()[a];  // counted by the rank above, but for the wall
    if (!past || grid.start()[a] + at[a] == grid.spec().cells[a]) sum += std::abs(faces[axis][face]);
  });
  return sum_over(grid.comm(), sum);
}

FluxLimiter::FluxLimiter(const Grid& grid) : grid_(&grid), more_(grid.vector()), less_(grid.vector()) {
  for (VecHandle* v : {&local_more_, &local_less_}) petsc(DMCreateLocalVector(grid.dm(), v->out()));
}

double FluxLimiter::limit(const CellOperator& op, const Bounds& bounds, std::span<const double> capacity, Vec before,
                          Vec low, std::span<const double> own, FaceField& faces, std::span<double> own_share) {
  const auto& n = grid_->size();
  const double volume = grid_->cell_volume();
  const auto cell_at = [&](long i, long j, long k) { return static_cast<std::size_t>((k * n[1] + j) * n[0] + i); };
  if (bounds.local) {  // largest and smallest value of each cell over both times
    const ReadAccess b(before), l(low);
    const WriteAccess most(more_.get()), least(less_.get());
    for (std::size_t c = 0; c < capacity.size(); ++c) {
      most[c] = std::max(b[c], l[c]);
      least[c] = std::min(b[c], l[c]);
    }
  }
  {
    const Ghosted most(*grid_, bounds.local ? more_.get() : low, local_more_.get());
    const Ghosted least(*grid_, bounds.local ? less_.get() : low, local_less_.get());
    const ReadAccess value(low);
    const WriteAccess may_gain(more_.get()), may_lose(less_.get());
    for (long k = 0; k < n[2]; ++k) {
      for (long j = 0; j < n[1]; ++j) {
        for (long i = 0; i < n[0]; ++i) {
          const std::size_t c = cell_at(i, j, k);
          const std::array<long, 3> at{i, j, k};
          double gain = std::max(own[c], 0.0), loss = std::max(-own[c], 0.0);
          double highest = bounds.highest, lowest = bounds.lowest;
          double high = most.line(j, k)[i], down = least.line(j, k)[i];
          for (int axis = 0; axis < 3; ++axis) {
            const auto a = static_cast<std::size_t>(axis);
            for (int side = 0; side < 2; ++side) {
              const std::size_t face =
                  faces.index(axis, i + (axis == 0 ? side : 0), j + (axis == 1 ? side : 0), k + (axis == 2 ? side : 0));
              const double in = side == 0 ? faces[axis][face] : -faces[axis][face];
              gain += std::max(in, 0.0);
              loss += std::max(-in, 0.0);
              if (!bounds.local) continue;
              const long place = grid_->start()[a] + at[a];
              if (place == (side == 0 ? 0 : grid_->spec().cells[a] - 1)) {
                const auto wall = static_cast<std::size_t>(2 * axis + side);
                if (op.walls().kind[wall] == WallKind::closed || op.walls().kind[wall] == WallKind::flux) continue;
                high = std::max(high, op.walls().value[wall]);
                down = std::min(down, op.walls().value[wall]);
              } else {
                const long next = side == 0 ? -most.stride(axis) : most.stride(axis);
                high = std::max(high, most.line(j, k)[i + next]);
                down = std::min(down, least.line(j, k)[i + next]);
              }
            }
          }
          if (bounds.local) {
            highest = std::min(highest, high);
            lowest = std::max(lowest, down);
          }
          const double room = volume * capacity[c] * (highest - value[c]);
          const double stock = volume * capacity[c] * (value[c] - lowest);
          may_gain[c] = gain > 0 ? std::clamp(room / gain, 0.0, 1.0) : 1.0;
          may_lose[c] = loss > 0 ? std::clamp(stock / loss, 0.0, 1.0) : 1.0;
        }
      }
    }
  }
  const Ghosted may_gain(*grid_, more_.get(), local_more_.get()), may_lose(*grid_, less_.get(), local_less_.get());
  double withheld = 0;
  for (long k = 0; k < n[2]; ++k) {
    for (long j = 0; j < n[1]; ++j) {
      for (long i = 0; i < n[0]; ++i) {
        const std::size_t c = cell_at(i, j, k);
        own_share[c] = own[c] > 0 ? may_gain.line(j, k)[i] : may_lose.line(j, k)[i];
        withheld += (1 - own_share[c]) * std::abs(own[c]);
      }
    }
  }
  for_each_face(faces, [&](int axis, std::size_t face, const std::array<long, 3>& at) {
    const auto a = static_cast<std::size_t>(axis);
    double& amount = faces[axis][face];
    const long place = grid_->start()[a] + at[a], cells = grid_->spec().cells[a];
    const Ghosted& giver = may_lose;
    const Ghosted& taker = may_gain;
    const long stride = giver.stride(axis);
    double share = 1;
    if (place > 0) {
      const long lower = at[0] - stride;
      share = std::min(share, (amount > 0 ? giver : taker).line(at[1], at[2])[lower]);
    }
    if (place < cells) share = std::min(share, (amount > 0 ? taker : giver).line(at[1], at[2])[at[0]]);
    amount *= 1 - share;
  });
  return sum_over(grid_->comm(), withheld) + absolute_sum(*grid_, faces);
}

}  // namespace sanctuary
