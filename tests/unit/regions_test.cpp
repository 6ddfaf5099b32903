#include "outcomes/regions.hpp"

#include <gtest/gtest.h>

namespace sanctuary {
namespace {

CellBox whole(long nx, long ny, long nz) { return {{0, 0, 0}, {nx, ny, nz}, {nx, ny, nz}}; }

TEST(Regions, CornersTouchAndGapsDoNot) {
  std::vector<char> marked(4 * 4 * 4, 0);
  const auto mark = [&](long i, long j, long k) { marked[static_cast<std::size_t>((k * 4 + j) * 4 + i)] = 1; };
  mark(0, 0, 0);
  mark(1, 1, 1);  // touches the first at a corner
  mark(3, 3, 3);
  mark(3, 3, 1);  // a cell lies between
  const Regions found = find_regions(MPI_COMM_SELF, whole(4, 4, 4), marked, 1);
  EXPECT_EQ(found.count, 3);
  EXPECT_EQ(found.largest, 2);
  EXPECT_EQ(found.dropped, 0);
}

TEST(Regions, DropsWhatIsTooSmallAndCountsIt) {
  std::vector<char> marked(5 * 3 * 3, 0);
  marked[0] = marked[1] = marked[2] = 1;  // three in a row
  marked[44] = 1;                         // one alone
  const Regions found = find_regions(MPI_COMM_SELF, whole(5, 3, 3), marked, 2);
  EXPECT_EQ(found.count, 1);
  EXPECT_EQ(found.largest, 3);
  EXPECT_EQ(found.dropped, 1);
  EXPECT_EQ(found.dropped_cells, 1);
  EXPECT_TRUE(found.kept[0] && found.kept[2]);
  EXPECT_FALSE(found.kept[44]);
}

TEST(Regions, NothingMarkedIsNothingFound) {
  const Regions found = find_regions(MPI_COMM_SELF, whole(2, 2, 2), std::vector<char>(8, 0), 1);
  EXPECT_EQ(found.count, 0);
  EXPECT_EQ(found.largest, 0);
}

}  // namespace
}  // namespace sanctuary
