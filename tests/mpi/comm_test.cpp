#include "base/comm.hpp"

#include <gtest/gtest.h>

#include <new>

#include "base/error.hpp"

namespace sanctuary {
namespace {

TEST(Comm, AFailureOfOneRankIsThrownOnAll) {
  const int last = size_of(MPI_COMM_WORLD) - 1;
  const auto fail_on_last = [&] {
    if (rank_of(MPI_COMM_WORLD) == last) throw IoError("no room on rank " + std::to_string(last));
  };
  try {
    together(MPI_COMM_WORLD, fail_on_last);
    FAIL() << "nothing was thrown";
  } catch (const IoError& error) {
    EXPECT_EQ(std::string(error.what()), "no room on rank " + std::to_string(last));
  }
}

TEST(Comm, TheLowestFailingRankIsHeard) {
  try {
    together(MPI_COMM_WORLD, [] { throw InputError("rank " + std::to_string(rank_of(MPI_COMM_WORLD))); });
    FAIL() << "nothing was thrown";
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "rank 0");
  }
}

TEST(Comm, WorkOnTheRootAloneFailsEverywhere) {
  EXPECT_THROW(on_root(MPI_COMM_WORLD, [] { throw Stopped("enough"); }), Stopped);
  EXPECT_THROW(on_root(MPI_COMM_WORLD, [] { throw std::bad_alloc(); }), NumericsError);
  EXPECT_NO_THROW(together(MPI_COMM_WORLD, [] {}));
}

TEST(Comm, RootsDataReachAll) {
  const bool root = rank_of(MPI_COMM_WORLD) == 0;
  EXPECT_EQ(broadcast(MPI_COMM_WORLD, root ? "text" : "other"), "text");
  std::vector<double> doubles = root ? std::vector<double>{1.5, 2} : std::vector<double>{};
  broadcast(MPI_COMM_WORLD, doubles);
  EXPECT_EQ(doubles, (std::vector<double>{1.5, 2}));
  std::vector<long> integers = root ? std::vector<long>{7} : std::vector<long>{1, 2, 3};
  broadcast(MPI_COMM_WORLD, integers);
  EXPECT_EQ(integers, std::vector<long>{7});
}

TEST(Comm, ReductionsAreOverAllRanks) {
  const int size = size_of(MPI_COMM_WORLD);
  const double mine = rank_of(MPI_COMM_WORLD) + 1;
  EXPECT_EQ(sum_over(MPI_COMM_WORLD, mine), size * (size + 1) / 2.0);
  EXPECT_EQ(max_over(MPI_COMM_WORLD, mine), size);
  EXPECT_EQ(min_over(MPI_COMM_WORLD, mine), 1);
}

}  // namespace
}  // namespace sanctuary
