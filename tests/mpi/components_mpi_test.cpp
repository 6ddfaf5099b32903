#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/comm.hpp"
#include "base/random.hpp"
#include "outcomes/regions.hpp"
#include "solvers/components.hpp"

namespace sanctuary {
namespace {

const MPI_Comm everyone = MPI_COMM_WORLD;
using Place = std::array<long, 3>;
using Mask = std::vector<char>;  // of the whole box

std::size_t at(const Place& n, const Place& p) { return static_cast<std::size_t>((p[2] * n[1] + p[1]) * n[0] + p[0]); }
long volume(const Place& n) { return n[0] * n[1] * n[2]; }
bool inside(const Place& n, const Place& p) {
  return p[0] >= 0 && p[1] >= 0 && p[2] >= 0 && p[0] < n[0] && p[1] < n[1] && p[2] < n[2];
}

/// Components of the whole box by flooding, sorted by size and first cell; and the number of each cell.
struct Flooded {
  std::vector<Component> components;
  std::vector<long> number;

  Flooded(const Place& n, const Mask& mask, Neighbours neighbours) : number(mask.size(), -1) {
    std::vector<std::vector<Place>> found;
    Mask open = mask;
    for (long k = 0; k < n[2]; ++k) {
      for (long j = 0; j < n[1]; ++j) {
        for (long i = 0; i < n[0]; ++i) {
          if (open[at(n, {i, j, k})] == 0) continue;
          std::vector<Place> region{{i, j, k}};
          open[at(n, {i, j, k})] = 0;
          for (std::size_t head = 0; head < region.size(); ++head) {
            for (long code = 0; code < 27; ++code) {
              const Place d{code % 3 - 1, code / 3 % 3 - 1, code / 9 - 1};
              if (d[0] * d[0] + d[1] * d[1] + d[2] * d[2] > static_cast<long>(neighbours)) continue;
              const Place p = region[head];
              const Place q{p[0] + d[0], p[1] + d[1], p[2] + d[2]};
              if (!inside(n, q) || open[at(n, q)] == 0) continue;
              open[at(n, q)] = 0;
              region.push_back(q);
            }
          }
          found.push_back(std::move(region));
        }
      }
    }
    // They were found in the order of their first cells.
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
    for (const auto& region : found) {
      Component c{.number = static_cast<long>(components.size()),
                  .cells = static_cast<long>(region.size()),
                  .first = volume(n),
                  .lower = n,
                  .upper = {},
                  .touches_wall = {}};
      for (const Place& p : region) {
        number[at(n, p)] = c.number;
        c.first = std::min(c.first, static_cast<long>(at(n, p)));
        for (std::size_t axis = 0; axis < 3; ++axis) {
          c.lower[axis] = std::min(c.lower[axis], p[axis]);
          c.upper[axis] = std::max(c.upper[axis], p[axis]);
          if (p[axis] == 0) c.touches_wall[2 * axis] = true;
          if (p[axis] == n[axis] - 1) c.touches_wall[2 * axis + 1] = true;
        }
      }
      components.push_back(c);
    }
  }
};

bool same(const Component& a, const Component& b) {
  return a.number == b.number && a.cells == b.cells && a.first == b.first && a.lower == b.lower && a.upper == b.upper &&
         a.touches_wall == b.touches_wall;
}

template <class Visit>
void for_each_cell(const CellBox& box, const Visit& visit) {
  std::size_t c = 0;
  for (long k = 0; k < box.size[2]; ++k) {
    for (long j = 0; j < box.size[1]; ++j) {
      for (long i = 0; i < box.size[0]; ++i) visit(c++, Place{box.start[0] + i, box.start[1] + j, box.start[2] + k});
    }
  }
}

/// Every cell's number and every component's description agree with the flood. Collective.
void expect_flood(const CellBox& box, const Mask& mask, Neighbours neighbours, const char* what) {
  Mask owned(static_cast<std::size_t>(volume(box.size)));
  for_each_cell(box, [&](std::size_t c, const Place& p) { owned[c] = mask[at(box.cells, p)]; });
  const Components ours = find_components(everyone, box, owned, neighbours);
  const Flooded flooded(box.cells, mask, neighbours);
  ASSERT_EQ(ours.count, static_cast<long>(flooded.components.size())) << what;
  long wrong = 0, described_wrong = 0;
  for_each_cell(box, [&](std::size_t c, const Place& p) {
    const long expected = flooded.number[at(box.cells, p)];
    wrong += ours.number(c) != expected;
    if (expected >= 0 && ours.part[c] >= 0) {
      described_wrong += !same(ours.here[static_cast<std::size_t>(ours.part[c])],
                               flooded.components[static_cast<std::size_t>(expected)]);
    }
  });
  EXPECT_EQ(wrong, 0) << what;
  EXPECT_EQ(described_wrong, 0) << what;
  for (std::size_t s = 0; s < ours.share.size(); ++s) {
    ASSERT_TRUE(same(ours.share[s], flooded.components[static_cast<std::size_t>(ours.share[s].number)])) << what;
    ASSERT_EQ(ours.share[s].number, ours.share[0].number + static_cast<long>(s)) << what;
  }
  const auto first = ours.largest(everyone, 5);
  ASSERT_EQ(first.size(), std::min<std::size_t>(5, flooded.components.size())) << what;
  for (std::size_t f = 0; f < first.size(); ++f) EXPECT_TRUE(same(first[f], flooded.components[f])) << what;
}

void expect_flood(const Place& n, const Mask& mask, const char* what) {
  const Grid grid(everyone, {{0, 0, 0}, {1, 1, 1}, n});
  for (const Neighbours neighbours : {Neighbours::faces, Neighbours::edges, Neighbours::corners}) {
    expect_flood({grid.start(), grid.size(), n}, mask, neighbours, what);
  }
}

Mask random_mask(const Place& n, double share, std::uint64_t seed) {
  const RandomStream draws(seed, "components_mpi_test");
  Mask mask(static_cast<std::size_t>(volume(n)));
  for (std::size_t c = 0; c < mask.size(); ++c) mask[c] = draws.uniform(c) < share;
  return mask;
}

/// One path that runs to and fro along `fast`, then `middle`, then `slow`, with a gap of one cell between its parts.
Mask snake(const Place& n, std::size_t fast, std::size_t middle, std::size_t slow) {
  Mask mask(static_cast<std::size_t>(volume(n)), 0);
  Place p{0, 0, 0};
  long to_middle = 1, to_fast = 1;
  const auto put = [&] { mask[at(n, p)] = 1; };
  const auto step = [&](std::size_t axis, long by) {
    for (int i = 0; i < 2; ++i) p[axis] += by, put();
  };
  const auto room = [&](std::size_t axis, long by) { return p[axis] + 2 * by >= 0 && p[axis] + 2 * by < n[axis]; };
  for (put();;) {
    while (room(fast, to_fast)) step(fast, to_fast);
    to_fast = -to_fast;
    if (room(middle, to_middle)) {
      step(middle, to_middle);
    } else if (room(slow, 1)) {
      to_middle = -to_middle;
      step(slow, 1);
    } else {
      return mask;
    }
  }
}

/// A spiral with gaps of one cell in each second layer normal to `axis`.
Mask spirals(const Place& n, std::size_t axis) {
  const std::size_t a = (axis + 1) % 3, b = (axis + 2) % 3;
  Mask mask(static_cast<std::size_t>(volume(n)), 0);
  const auto marked = [&](const Place& p) { return inside(n, p) && mask[at(n, p)] != 0; };
  for (long layer = 0; layer < n[axis]; layer += 2) {
    Place p{};
    p[axis] = layer;
    long da = 1, db = 0;
    mask[at(n, p)] = 1;
    for (int turns = 0; turns < 2;) {
      Place next = p, after = p;
      next[a] += da, next[b] += db, after[a] += 2 * da, after[b] += 2 * db;
      if (!inside(n, next) || marked(next) || marked(after)) {
        const long turned = -db;
        db = da, da = turned;
        ++turns;
        continue;
      }
      p = next;
      mask[at(n, p)] = 1;
      turns = 0;
    }
  }
  return mask;
}

constexpr std::array<Place, 5> boxes{{{7, 5, 11}, {1, 1, 40}, {40, 1, 1}, {5, 23, 1}, {20, 13, 17}}};

TEST(ComponentsOverRanks, OfRandomCellsAreThoseOfAFlood) {
  for (const Place& n : boxes) {
    for (const double share : {0.0, 0.05, 0.14, 0.31, 0.5, 0.9, 1.0}) {
      for (std::uint64_t seed = 1; seed <= 4; ++seed) expect_flood(n, random_mask(n, share, seed), "random");
    }
  }
}

TEST(ComponentsOverRanks, OfALargeOddBoxAreThoseOfAFlood) {
  const Place n{100, 60, 37};
  for (const double share : {0.1, 0.3116}) expect_flood(n, random_mask(n, share, 9), "large");
}

TEST(ComponentsOverRanks, SnakesAreOneAndSpiralsAreMany) {
  for (const Place& n : {Place{15, 13, 17}, Place{129, 5, 33}}) {
    const Grid grid(everyone, {{0, 0, 0}, {1, 1, 1}, n});
    std::array<std::size_t, 3> axes{0, 1, 2};
    do {
      const Mask mask = snake(n, axes[0], axes[1], axes[2]);
      expect_flood(n, mask, "snake");
      Mask owned(grid.local_cells());
      for (std::size_t c = 0; c < owned.size(); ++c) owned[c] = mask[at(n, grid.place(c))];
      const Components found = find_components(grid, owned, Neighbours::faces);
      EXPECT_EQ(found.count, 1);
      EXPECT_EQ(found.largest(everyone, 1)[0].cells, std::accumulate(mask.begin(), mask.end(), 0L));
    } while (std::next_permutation(axes.begin(), axes.end()));
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const Mask mask = spirals(n, axis);
      EXPECT_EQ(static_cast<long>(Flooded(n, mask, Neighbours::corners).components.size()), (n[axis] + 1) / 2);
      expect_flood(n, mask, "spiral");
    }
  }
}

TEST(ComponentsOverRanks,
     BoxesNeedNotBeAGridAndRanksMayBeEmpty) {  // layers along y, none on the first of several ranks
  const Place n{9, 20, 6};
  const long ranks = size_of(everyone), rank = rank_of(everyone), shares = std::max(1L, ranks - 1);
  const long share = ranks == 1 ? 0 : rank - 1;
  const long from = share < 0 ? 0 : n[1] * share / shares, to = share < 0 ? 0 : n[1] * (share + 1) / shares;
  const CellBox box{{0, from, 0}, {n[0], to - from, n[2]}, n};
  for (const double part : {0.1, 0.3}) {
    for (const Neighbours neighbours : {Neighbours::faces, Neighbours::corners}) {
      expect_flood(box, random_mask(n, part, 3), neighbours, "layers");
    }
  }
}

TEST(ComponentsOverRanks, RegionsKeepTheLargeOnes) {
  const Place n{23, 17, 12};
  const Mask mask = random_mask(n, 0.08, 5);
  const Grid grid(everyone, {{0, 0, 0}, {1, 1, 1}, n});
  Mask owned(grid.local_cells());
  for (std::size_t c = 0; c < owned.size(); ++c) owned[c] = mask[at(n, grid.place(c))];
  const Flooded flooded(n, mask, Neighbours::corners);
  for (const long least : {1L, 3L, 10L, 10000L}) {
    const Regions regions = find_regions(everyone, {grid.start(), grid.size(), n}, owned, least);
    Regions expected;
    for (const Component& c : flooded.components) {
      if (c.cells >= least) {
        ++expected.count;
        expected.largest = std::max(expected.largest, c.cells);
      } else {
        ++expected.dropped;
        expected.dropped_cells += c.cells;
      }
    }
    EXPECT_EQ(regions.count, expected.count);
    EXPECT_EQ(regions.largest, expected.largest);
    EXPECT_EQ(regions.dropped, expected.dropped);
    EXPECT_EQ(regions.dropped_cells, expected.dropped_cells);
    long wrong = 0;
    for (std::size_t c = 0; c < owned.size(); ++c) {
      const long number = flooded.number[at(n, grid.place(c))];
      const bool keep = number >= 0 && flooded.components[static_cast<std::size_t>(number)].cells >= least;
      wrong += (regions.kept[c] != 0) != keep;
    }
    EXPECT_EQ(wrong, 0);
  }
}

}  // namespace
}  // namespace sanctuary
