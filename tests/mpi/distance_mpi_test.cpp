#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/random.hpp"
#include "solvers/distance.hpp"

namespace sanctuary {
namespace {

const MPI_Comm everyone = MPI_COMM_WORLD, alone = MPI_COMM_SELF;
using Place = std::array<long, 3>;

struct Case {
  Place cells;
  std::array<double, 3> spacing;
};
constexpr std::array<Case, 7> cases{{{{7, 5, 11}, {1e-5, 1e-5, 1e-5}},
                                     {{1, 1, 40}, {1e-5, 2e-5, 3e-5}},
                                     {{40, 1, 1}, {1e-5, 2e-5, 3e-5}},
                                     {{5, 23, 1}, {1.3e-5, 0.7e-5, 1e-6}},
                                     {{16, 9, 13}, {1e-6, 1e-4, 3.3e-5}},
                                     {{12, 14, 8}, {0.1, 0.3, 0.7}},
                                     {{130, 5, 3}, {2e-5, 1e-5, 1e-5}}}};

bool marked_at(const Place& n, const Place& p, double share, std::uint64_t seed) {
  const auto cell = static_cast<std::uint64_t>((p[2] * n[1] + p[1]) * n[0] + p[0]);
  return cell == seed * 7 % static_cast<std::uint64_t>(n[0] * n[1] * n[2]) ||
         RandomStream(seed, "distance_mpi_test").uniform(cell) < share;
}

std::vector<char> mask_of(const Grid& grid, double share, std::uint64_t seed) {
  std::vector<char> mask;
  for (std::size_t c = 0; c < grid.local_cells(); ++c) {
    mask.push_back(marked_at(grid.spec().cells, grid.place(c), share, seed));
  }
  return mask;
}

/// Least distance of a cell's centre to those of all marked cells.
double by_force(const GridSpec& spec, const Place& p, const std::vector<Place>& sites) {
  double least = std::numeric_limits<double>::infinity();
  for (const Place& s : sites) {
    double squared = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double d = static_cast<double>(p[axis] - s[axis]) * spec.spacing[axis];
      squared += d * d;
    }
    least = std::min(least, squared);
  }
  return std::sqrt(least);
}

TEST(DistanceOverRanks, IsThatOfTheNearestMarkedCell) {
  for (const Case& test : cases) {
    const GridSpec spec{{0, 0, 0}, test.spacing, test.cells};
    const Grid ours(everyone, spec), reference(alone, spec);
    for (const double share : {0.0, 0.01, 0.3}) {
      for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        const auto everywhere = distance_to(reference, mask_of(reference, share, seed));
        const auto found = distance_to(ours, mask_of(ours, share, seed));
        std::vector<Place> sites;
        for (std::size_t c = 0; c < reference.local_cells(); ++c) {
          const Place p = reference.place(c);
          if (marked_at(test.cells, p, share, seed)) sites.push_back(p);
        }
        double worst = 0;
        long differing = 0;
        for (std::size_t c = 0; c < found.size(); ++c) {
          const Place p = ours.place(c);
          const double expected = by_force(spec, p, sites);
          worst = std::max(worst, std::abs(found[c] - expected) / (expected + 1e-300));
          differing += std::bit_cast<std::uint64_t>(found[c]) !=
                       std::bit_cast<std::uint64_t>(everywhere[reference.local(p[0], p[1], p[2])]);
        }
        EXPECT_LE(worst, 2e-15) << test.cells[0] << " " << share << " " << seed;
        EXPECT_EQ(differing, 0) << test.cells[0] << " " << share << " " << seed;
      }
    }
  }
}

TEST(DistanceOverRanks, HasTheSameDigitsHoweverTheBoxIsCut) {  // 8 ranks cut this one along all axes
  const GridSpec spec{{0, 0, 0}, {2e-5, 3e-5, 1e-5}, {130, 18, 18}};
  const Grid ours(everyone, spec), reference(alone, spec);
  const auto everywhere = distance_to(reference, mask_of(reference, 0.001, 4));
  const auto found = distance_to(ours, mask_of(ours, 0.001, 4));
  long differing = 0;
  for (std::size_t c = 0; c < found.size(); ++c) {
    const Place p = ours.place(c);
    differing += found[c] != everywhere[reference.local(p[0], p[1], p[2])];
  }
  EXPECT_EQ(differing, 0);
}

TEST(DistanceOverRanks, ToNothingIsInfinite) {
  const Grid grid(everyone, {{0, 0, 0}, {1, 1, 1}, {9, 8, 7}});
  for (const double d : distance_to(grid, std::vector<char>(grid.local_cells(), 0))) {
    ASSERT_EQ(d, std::numeric_limits<double>::infinity());
  }
}

TEST(DistanceOverRanks, ToAPlaneIsExactOverALongBox) {  // marked: the wall x = 0
  const double h = 0x1p-17;
  const Grid grid(everyone, {{0, 0, 0}, {h, h, h}, {700, 6, 5}});
  std::vector<char> mask(grid.local_cells());
  for (std::size_t c = 0; c < mask.size(); ++c) mask[c] = grid.place(c)[0] == 0;
  const auto distance = distance_to(grid, mask);
  for (std::size_t c = 0; c < mask.size(); ++c) ASSERT_EQ(distance[c], static_cast<double>(grid.place(c)[0]) * h);
}

}  // namespace
}  // namespace sanctuary
