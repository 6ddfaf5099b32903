#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/comm.hpp"
#include "base/random.hpp"
#include "outcomes/distance_profile.hpp"
#include "outcomes/sanctuary.hpp"
#include "solvers/distance.hpp"

namespace sanctuary {
namespace {

const MPI_Comm everyone = MPI_COMM_WORLD, alone = MPI_COMM_SELF;
using Place = std::array<long, 3>;
constexpr double ln10 = std::numbers::ln10;
constexpr double infinity = std::numeric_limits<double>::infinity();

/// Sensitive and resistant cells of a box, some dead: what each cell is, by its place.
struct Cells {
  std::vector<double> share, resistant_share, hazard, hazard_quiescent, resistant_hazard, cycling, density, fraction,
      growth, before, time, vessel, edge;

  template <class Fill>
  Cells(const Grid& grid, const Fill& fill) {
    const std::size_t cells = grid.local_cells();
    for (auto* field : {&share, &resistant_share, &hazard, &hazard_quiescent, &resistant_hazard, &cycling, &density,
                        &fraction, &growth, &before, &time, &vessel, &edge}) {
      field->assign(cells, 0.0);
    }
    for (std::size_t c = 0; c < cells; ++c) {
      share[c] = 1, hazard[c] = hazard_quiescent[c] = 4 * ln10, cycling[c] = 1, density[c] = 1e14, fraction[c] = 0.5;
      fill(c, grid.place(c));
    }
  }
  [[nodiscard]] SanctuaryInput input(const Grid& grid) const {
    SanctuaryInput in;
    in.clones = {{.share = share,
                  .hazard_cycling = hazard,
                  .hazard_quiescent = hazard_quiescent,
                  .reference_hazard = {4 * ln10, 0.5 * ln10}},
                 {.share = resistant_share,
                  .hazard_cycling = resistant_hazard,
                  .hazard_quiescent = resistant_hazard,
                  .reference_hazard = {0.4 * ln10, 0.3 * ln10}}};
    in.cycling_share = cycling;
    in.viable_density = density;
    in.viable_fraction = fraction;
    in.reference_cycling_share = 1;
    in.growth = growth;
    in.in_s1_before = before;
    in.time_in_s1 = time;
    in.cycle_length = 21;
    in.distance_to_vessel = vessel;
    in.distance_to_edge = edge;
    in.box = {grid.start(), grid.size(), grid.spec().cells};
    in.origin = grid.spec().origin;
    in.spacing = grid.spec().spacing;
    in.cell_volume = grid.cell_volume();
    return in;
  }
};

double square(double x) { return x * x; }

TEST(SanctuaryOverRanks, SphereAroundADeadCore) {
  const Place n{48, 40, 44};
  const double h = 20e-6, radius = 14.2 * h, core = 6.4 * h;
  const std::array<double, 3> middle{23.3 * h, 19.7 * h, 21.1 * h};
  const auto from_middle = [&](const Place& p) {
    double sum = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) sum += square((static_cast<double>(p[axis]) + 0.5) * h - middle[axis]);
    return std::sqrt(sum);
  };
  const Grid grid(everyone, {{0, 0, 0}, {h, h, h}, n});
  Cells cells(grid, [](std::size_t, const Place&) {});
  for (std::size_t c = 0; c < grid.local_cells(); ++c) {
    const double r = from_middle(grid.place(c));
    if (r < radius) cells.hazard[c] = 0;
    if (r < core) cells.fraction[c] = cells.density[c] = 0;
  }
  SanctuaryInput in = cells.input(grid);
  in.least_region = std::pow(50e-6, 3);
  const Sanctuary s = find_sanctuary(everyone, in);
  long counted = 0, viable = 0;
  for (long k = 0; k < n[2]; ++k) {
    for (long j = 0; j < n[1]; ++j) {
      for (long i = 0; i < n[0]; ++i) {
        const double r = from_middle({i, j, k});
        counted += r >= core && r < radius;
        viable += r >= core;
      }
    }
  }
  const double exact = 4 * std::numbers::pi / 3 * (std::pow(radius, 3) - std::pow(core, 3));
  EXPECT_DOUBLE_EQ(s.s1.volume, static_cast<double>(counted) * grid.cell_volume());
  EXPECT_NEAR(s.s1.volume / exact, 1, 0.005);
  EXPECT_NEAR(s.s1.share, static_cast<double>(counted) / static_cast<double>(viable), 1e-14);
  EXPECT_EQ(s.regions, 1);
  ASSERT_EQ(s.table.size(), 1u);
  EXPECT_DOUBLE_EQ(s.table[0].volume, s.s1.volume);
  EXPECT_EQ(s.table[0].delivery, 1);
  for (std::size_t axis = 0; axis < 3; ++axis) EXPECT_NEAR(s.table[0].centroid[axis], middle[axis], 0.05 * h);
  EXPECT_EQ(s.dropped.volume, 0);
  // It lies on more than one rank.
  long mine = 0;
  for (const int label : s.label) mine += label > 0 && label % 2 == 1;
  EXPECT_GE(count_over(everyone, mine > 0), std::min(2, size_of(everyone)));
  EXPECT_EQ(count_over(everyone, mine), counted);
}

TEST(SanctuaryOverRanks, BlobsThatTouchAtACornerAreOneAndBlobsApartAreTwo) {
  const Place n{20, 20, 20};
  const Grid grid(everyone, {{0, 0, 0}, {1e-5, 1e-5, 1e-5}, n});
  for (const long gap : {0L, 1L}) {
    const Cells cells(grid, [&](std::size_t, const Place&) {});
    std::vector<double> hazard = cells.hazard;
    for (std::size_t c = 0; c < hazard.size(); ++c) {
      const Place p = grid.place(c);
      const auto within = [&](long low, long high) {
        return std::all_of(p.begin(), p.end(), [&](long x) { return x >= low && x < high; });
      };
      if (within(7, 10) || within(10 + gap, 14 + gap)) hazard[c] = 0;
    }
    SanctuaryInput in = cells.input(grid);
    in.clones[0].hazard_cycling = hazard;
    const Sanctuary s = find_sanctuary(everyone, in);
    EXPECT_DOUBLE_EQ(s.s1.volume, 91 * grid.cell_volume());
    ASSERT_EQ(s.regions, gap == 0 ? 1 : 2);
    ASSERT_EQ(s.table.size(), static_cast<std::size_t>(s.regions));
    const long first = 7 * (400 + 20 + 1);
    if (gap == 0) {
      EXPECT_DOUBLE_EQ(s.table[0].volume, 91 * grid.cell_volume());
      EXPECT_EQ(s.table[0].first_cell, first);
    } else {
      EXPECT_DOUBLE_EQ(s.table[0].volume, 64 * grid.cell_volume());
      EXPECT_EQ(s.table[0].first_cell, 11 * (400 + 20 + 1));
      EXPECT_NEAR(s.table[0].centroid[2], 13e-5, 1e-15);
      EXPECT_DOUBLE_EQ(s.table[1].volume, 27 * grid.cell_volume());
      EXPECT_EQ(s.table[1].first_cell, first);
      EXPECT_NEAR(s.table[1].centroid[0], 8.5e-5, 1e-15);
    }
  }
}

/// Many regions of all kinds, from random numbers of the place.
Cells random_cells(const Grid& grid) {
  const RandomStream draws(4, "sanctuary_mpi_test");
  const Place n = grid.spec().cells;
  Cells cells(grid, [](std::size_t, const Place&) {});
  for (std::size_t c = 0; c < grid.local_cells(); ++c) {
    const Place p = grid.place(c);
    const auto number = static_cast<std::uint64_t>((p[2] * n[1] + p[1]) * n[0] + p[0]);
    const auto draw = [&](std::uint64_t which) { return draws.uniform(16 * number + which); };
    const bool saved = draw(0) < 0.09;
    cells.cycling[c] = saved && draw(1) < 0.5 ? 0 : 0.9;
    cells.hazard[c] = (saved && draw(2) < 0.5 ? 0.5 * draw(3) : 3 + draw(3)) * ln10;
    cells.hazard_quiescent[c] = 0.5 * cells.hazard[c];
    cells.resistant_hazard[c] = 0.1 * cells.hazard[c];
    cells.resistant_share[c] = saved ? draw(4) : 0.01 * draw(4);
    cells.share[c] = 1 - cells.resistant_share[c];
    cells.density[c] = 1e14 * (0.5 + draw(5));
    cells.fraction[c] = draw(6);
    cells.growth[c] = 5 * draw(7);
    cells.before[c] = draw(8) < 0.5;
    cells.time[c] = 1e6 * draw(9);
    cells.vessel[c] = draw(10) < 0.2 ? infinity : 1e-4 * draw(10);
    cells.edge[c] = 1e-3 * draw(11);
  }
  return cells;
}

void expect_same_bits(double ours, double reference) {
  EXPECT_EQ(std::bit_cast<std::uint64_t>(ours), std::bit_cast<std::uint64_t>(reference));
}

void expect_same(const Part& ours, const Part& reference) {
  expect_same_bits(ours.volume, reference.volume);
  expect_same_bits(ours.share, reference.share);
}

void expect_same(const Distances& ours, const Distances& reference) {
  expect_same_bits(ours.mean, reference.mean);
  expect_same_bits(ours.median, reference.median);
  expect_same_bits(ours.largest, reference.largest);
  expect_same_bits(ours.without, reference.without);
}

TEST(SanctuaryOverRanks, EveryNumberIsThatOfOneRank) {
  const GridSpec spec{{1e-3, 2e-3, 3e-3}, {1e-5, 2e-5, 3e-5}, {29, 26, 31}};
  const Grid grid(everyone, spec), whole(alone, spec);
  const Cells mine = random_cells(grid), all = random_cells(whole);
  SanctuaryInput in = mine.input(grid), in_whole = all.input(whole);
  in.least_region = in_whole.least_region = 2 * grid.cell_volume();
  in.table_rows = in_whole.table_rows = 200;
  const Sanctuary ours = find_sanctuary(everyone, in), reference = find_sanctuary(alone, in_whole);
  EXPECT_EQ(ours.regions, reference.regions);
  EXPECT_GT(ours.regions, 200);
  EXPECT_EQ(ours.net_growth_regions, reference.net_growth_regions);
  EXPECT_EQ(ours.largest_region, reference.largest_region);
  EXPECT_GT(ours.joint.share + ours.both.share, 0);
  for (const auto part : {&Sanctuary::s1, &Sanctuary::s2, &Sanctuary::s4, &Sanctuary::delivery, &Sanctuary::protection,
                          &Sanctuary::both, &Sanctuary::joint, &Sanctuary::rescued, &Sanctuary::mask,
                          &Sanctuary::dropped, &Sanctuary::net_growth_dropped}) {
    expect_same(ours.*part, reference.*part);
  }
  const double parts = ours.delivery.share + ours.protection.share + ours.both.share + ours.joint.share;
  EXPECT_NEAR(parts, ours.s1.share, 1e-15);
  EXPECT_GT(ours.dropped.share, 0);
  EXPECT_GT(ours.net_growth.value().share, 0);
  expect_same(ours.net_growth.value(), reference.net_growth.value());
  expect_same(ours.persistent.value(), reference.persistent.value());
  expect_same(ours.to_vessel.value(), reference.to_vessel.value());
  expect_same(ours.to_edge.value(), reference.to_edge.value());
  expect_same_bits(ours.duration.value().mean, reference.duration.value().mean);
  expect_same_bits(ours.duration->longest, reference.duration->longest);
  expect_same_bits(ours.resistant_in_s1, reference.resistant_in_s1);
  expect_same_bits(ours.resistant_in_mask, reference.resistant_in_mask);
  ASSERT_EQ(ours.table.size(), 200u);
  ASSERT_EQ(reference.table.size(), 200u);
  for (std::size_t row = 0; row < ours.table.size(); ++row) {
    const SanctuaryRegion &a = ours.table[row], &b = reference.table[row];
    EXPECT_EQ(a.first_cell, b.first_cell);
    for (const auto value :
         {&SanctuaryRegion::volume, &SanctuaryRegion::viable, &SanctuaryRegion::share, &SanctuaryRegion::surviving,
          &SanctuaryRegion::log_kill, &SanctuaryRegion::nearest_vessel, &SanctuaryRegion::distance_to_vessel,
          &SanctuaryRegion::distance_to_edge, &SanctuaryRegion::delivery, &SanctuaryRegion::protection,
          &SanctuaryRegion::both, &SanctuaryRegion::joint, &SanctuaryRegion::resistant, &SanctuaryRegion::longest}) {
      expect_same_bits(a.*value, b.*value);
    }
    for (std::size_t axis = 0; axis < 3; ++axis) expect_same_bits(a.centroid[axis], b.centroid[axis]);
  }
  for (std::size_t c = 0; c < grid.local_cells(); ++c) {
    const Place p = grid.place(c);
    const std::size_t there = whole.local(p[0], p[1], p[2]);
    ASSERT_EQ(ours.label[c], reference.label[there]);
    ASSERT_EQ(ours.grows[c], reference.grows[there]);
  }
}

TEST(SanctuaryOverRanks, TableIsThatOfAFlood) {
  const GridSpec spec{{0, 0, 0}, {1e-5, 2e-5, 3e-5}, {29, 26, 31}};
  const Place n = spec.cells;
  const Grid grid(everyone, spec), whole(alone, spec);
  const Cells mine = random_cells(grid), all = random_cells(whole);
  const Sanctuary s = find_sanctuary(everyone, mine.input(grid));
  std::vector<int> label = find_sanctuary(alone, all.input(whole)).label;
  struct Region {
    long first, cells = 0;
    double viable = 0, edge = 0, nearest = infinity, longest = 0;
  };
  std::vector<Region> regions;  // by first cell
  for (std::size_t c = 0; c < label.size(); ++c) {
    if (label[c] < 1 || label[c] % 2 == 0) continue;
    Region region{.first = static_cast<long>(c)};
    std::vector<std::size_t> open{c};
    label[c] = 0;
    while (!open.empty()) {
      const std::size_t cell = open.back();
      open.pop_back();
      ++region.cells;
      region.viable += all.density[cell];
      region.edge += all.density[cell] * all.edge[cell];
      region.nearest = std::min(region.nearest, all.vessel[cell]);
      region.longest = std::max(region.longest, all.time[cell] + 21);
      const Place p = whole.place(cell);
      for (long k = std::max(0L, p[2] - 1); k < std::min(n[2], p[2] + 2); ++k) {
        for (long j = std::max(0L, p[1] - 1); j < std::min(n[1], p[1] + 2); ++j) {
          for (long i = std::max(0L, p[0] - 1); i < std::min(n[0], p[0] + 2); ++i) {
            const std::size_t other = whole.local(i, j, k);
            if (label[other] < 1 || label[other] % 2 == 0) continue;
            label[other] = 0;
            open.push_back(other);
          }
        }
      }
    }
    regions.push_back(region);
  }
  std::stable_sort(regions.begin(), regions.end(), [](const Region& a, const Region& b) { return a.cells > b.cells; });
  EXPECT_EQ(s.regions, static_cast<long>(regions.size()));
  ASSERT_GT(regions.size(), 100u);
  ASSERT_EQ(s.table.size(), std::min<std::size_t>(regions.size(), 1000));
  for (std::size_t row = 0; row < s.table.size(); ++row) {
    const SanctuaryRegion& a = s.table[row];
    const Region& b = regions[row];
    ASSERT_EQ(a.first_cell, b.first);
    EXPECT_NEAR(a.volume / grid.cell_volume(), static_cast<double>(b.cells), 1e-9);
    EXPECT_NEAR(a.viable / (b.viable * grid.cell_volume()), 1, 1e-12);
    EXPECT_NEAR(a.distance_to_edge / (b.edge / b.viable), 1, 1e-12);
    EXPECT_EQ(a.nearest_vessel, b.nearest);
    EXPECT_EQ(a.longest, b.longest);
    EXPECT_NEAR(a.delivery + a.protection + a.both + a.joint, 1, 1e-14);
  }
}

TEST(DistanceProfileOverRanks, OfAnExponentialAroundAVessel) {
  // A straight vessel along z; what decays with the distance to it, in proportion to cells that differ in weight.
  const GridSpec spec{{0, 0, 0}, {2e-6, 2e-6, 10e-6}, {64, 60, 4}};
  const double length = 40e-6;
  struct Bed {
    std::vector<double> distance, value, weight;
    Bed(const Grid& grid, double decay) {
      std::vector<char> vessel(grid.local_cells());
      for (std::size_t c = 0; c < vessel.size(); ++c) {
        const Place p = grid.place(c);
        vessel[c] = p[0] == 30 && p[1] == 29;
      }
      distance = distance_to(grid, vessel);
      for (std::size_t c = 0; c < distance.size(); ++c) {
        value.push_back(3 * std::exp(-distance[c] / decay));
        weight.push_back(1 + 0.1 * static_cast<double>(grid.place(c)[2]));
      }
    }
    [[nodiscard]] DistanceProfile profile(MPI_Comm comm) const {
      return distance_profile(comm, distance, value, weight, 2e-6, 30);
    }
  };
  const DistanceProfile ours = Bed(Grid(everyone, spec), length).profile(everyone),
                        reference = Bed(Grid(alone, spec), length).profile(alone);
  for (std::size_t b = 0; b < 30; ++b) {
    expect_same_bits(ours.mean[b], reference.mean[b]);
    expect_same_bits(ours.distance[b], reference.distance[b]);
    expect_same_bits(ours.weight[b], reference.weight[b]);
  }
  expect_same_bits(ours.beyond, reference.beyond);
  EXPECT_DOUBLE_EQ(ours.weight[0], 4.6);  // the vessel itself
  EXPECT_EQ(ours.distance[0], 0);
  // The spread of distances within a bin, at most its width, raises the mean by less than w^2/8L^2.
  EXPECT_NEAR(half_distance(ours) / (length * std::numbers::ln2), 1, 1e-3);
}

}  // namespace
}  // namespace sanctuary
