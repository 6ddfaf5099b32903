#include "benchmark/cycle_model.hpp"

#include <algorithm>
#include <cmath>

namespace sanctuary {
namespace {

/// Ranks along each axis: the split of a power of two, or of any number as nearly cubic blocks as its factors allow.
std::array<double, 3> split_ranks(const std::array<double, 3>& cells, double ranks) {
  std::array<double, 3> parts{1, 1, 1};
  auto left = static_cast<long>(std::llround(ranks));
  std::vector<long> factors;
  for (long f = 2; f * f <= left; ++f) {
    while (left % f == 0) {
      factors.push_back(f);
      left /= f;
    }
  }
  if (left > 1) factors.push_back(left);
  std::sort(factors.rbegin(), factors.rend());
  for (const long f : factors) {
    std::size_t longest = 2;  // x is cut last: it is contiguous in memory
    for (const std::size_t axis : {1UL, 0UL}) {
      if (cells[axis] / parts[axis] > cells[longest] / parts[longest]) longest = axis;
    }
    parts[longest] *= static_cast<double>(f);
  }
  return parts;
}

}  // namespace

std::vector<CycleLevel> cycle_levels(const std::array<double, 3>& cells, double ranks,
                                     const CycleConstants& constants) {
  std::vector<CycleLevel> levels;
  std::array<double, 3> box = cells;
  double active = ranks;
  for (;;) {
    const double all = box[0] * box[1] * box[2];
    while (!levels.empty() && active > 1 && all / active < constants.gather_below) active = std::ceil(active / 2);
    if (all <= constants.coarsest) active = 1;
    const std::array<double, 3> parts = split_ranks(box, active);
    std::array<double, 3> block{};
    for (std::size_t axis = 0; axis < 3; ++axis) block[axis] = std::ceil(box[axis] / parts[axis]);
    CycleLevel level;
    level.ranks = active;
    level.cells = block[0] * block[1] * block[2];
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double sides = std::min(2.0, parts[axis] - 1);
      level.neighbours += sides;
      level.faces += sides * level.cells / block[axis];
    }
    levels.push_back(level);
    if (all <= constants.coarsest) break;
    bool halved = false;
    for (double& side : box) {
      if (side > 2) {
        side = std::ceil(side / 2);
        halved = true;
      }
    }
    if (!halved) break;
  }
  return levels;
}

CycleTraffic cycle_traffic(const std::vector<CycleLevel>& levels, const CycleConstants& constants) {
  CycleTraffic traffic;
  traffic.reductions = levels.front().ranks > 1 ? constants.reductions_per_iteration : 0;
  for (std::size_t l = 0; l < levels.size(); ++l) {
    traffic.messages += constants.exchanges_per_level * levels[l].neighbours;
    traffic.bytes += constants.exchanges_per_level * levels[l].faces * constants.bytes_per_face;
    // Down to fewer ranks and back up: each of them waits for those whose cells it takes, and sends to them.
    if (l > 0 && levels[l].ranks < levels[l - 1].ranks) {
      const double others = std::ceil(levels[l - 1].ranks / levels[l].ranks) - 1;
      traffic.messages += 2 * others;
      traffic.bytes += 2 * levels[l].cells * others / (others + 1) * 4;
    }
  }
  return traffic;
}

}  // namespace sanctuary
