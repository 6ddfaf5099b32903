#include "cohort/scheduler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace sanctuary {
namespace {

std::vector<long> all_next(Scheduler& s) {
  std::vector<long> tasks;
  Scheduler::Assignment a;
  while (s.next(a)) tasks.push_back(a.task);
  return tasks;
}

void finish(Scheduler& s, long task, TaskStatus status = TaskStatus::done) {
  s.released(task);
  s.settled(task, status);
}

TEST(Scheduler, LongestExpectedFirstAndTiesByNumber) {
  Scheduler s(2, {1});
  for (const double expected : {1.0, 5.0, 5.0, 3.0}) s.add({.expected = expected});
  s.start();
  EXPECT_EQ(all_next(s), (std::vector<long>{1, 2}));
  finish(s, 2);
  EXPECT_EQ(all_next(s), std::vector<long>{3});
  EXPECT_EQ(s.pending(), 1);
  EXPECT_EQ(s.running(), 2);
  s.expect(0, 100);
  s.reorder();
  s.add({.expected = 50});  // added while it runs
  finish(s, 1);
  EXPECT_EQ(all_next(s), std::vector<long>{0});
}

TEST(Scheduler, ChildrenWaitForADurableParentAndComeBeforeNewRoots) {
  Scheduler s(1, {1});
  const long root = s.add({.expected = 1});
  const long child = s.add({.parent = root, .expected = 1});
  const long other = s.add({.expected = 1.5});
  s.start();
  EXPECT_EQ(all_next(s), std::vector<long>{root});  // 1 and the child's 1 beat 1.5
  s.released(root);
  EXPECT_EQ(all_next(s), std::vector<long>{other});  // the parent is not settled yet
  s.settled(root, TaskStatus::done);
  finish(s, other);
  EXPECT_EQ(all_next(s), std::vector<long>{child});
}

TEST(Scheduler, ChildrenOfAFailedParentAreDropped) {
  Scheduler s(1, {1});
  const long root = s.add({});
  const long child = s.add({.parent = root});
  s.start();
  EXPECT_EQ(all_next(s), std::vector<long>{root});
  finish(s, root, TaskStatus::failed);
  EXPECT_TRUE(all_next(s).empty());
  s.dropped(child, TaskStatus::failed);
  EXPECT_EQ(s.pending(), 0);
  EXPECT_EQ(s.running(), 0);
}

TEST(Scheduler, WideTasksTakeAlignedBlocksAndAreNotStarved) {
  Scheduler s(8, {1, 4});
  const long wide = s.add({.width = 4, .expected = 10});
  for (int i = 0; i < 12; ++i) s.add({.expected = 1});
  s.start();
  Scheduler::Assignment a;
  ASSERT_TRUE(s.next(a));
  EXPECT_EQ(a.task, wide);
  EXPECT_EQ(a.first_worker % 4, 0);
  EXPECT_EQ(all_next(s).size(), 4u);  // the other block
  const long second = s.add({.width = 4, .expected = 10});
  for (long t = 1; t <= 4; ++t) finish(s, t);
  EXPECT_EQ(all_next(s), std::vector<long>{second});  // the freed block is kept for it
  finish(s, wide);
  EXPECT_EQ(all_next(s).size(), 4u);  // none wide is left: narrow ones may have its block
}

TEST(Scheduler, SuspectsComeLastAndRepeatedOnesAlone) {
  Scheduler s(16, {1});
  for (int i = 0; i < 3; ++i) s.add({});
  for (int i = 0; i < 5; ++i) s.add({.crashes = 1});
  for (int i = 0; i < 2; ++i) s.add({.crashes = 2});
  s.start();
  EXPECT_EQ(all_next(s), (std::vector<long>{0, 1, 2}));
  finish(s, 0);
  EXPECT_TRUE(all_next(s).empty());  // clean ones still run
  finish(s, 1);
  finish(s, 2);
  EXPECT_EQ(all_next(s), (std::vector<long>{3, 4}));  // an eighth of 16 groups
  finish(s, 3);
  EXPECT_EQ(all_next(s), std::vector<long>{5});
  for (const long t : {4L, 5L}) finish(s, t);
  EXPECT_EQ(all_next(s), (std::vector<long>{6, 7}));
  finish(s, 6);
  EXPECT_TRUE(all_next(s).empty());
  finish(s, 7);
  EXPECT_EQ(all_next(s), std::vector<long>{8});
  finish(s, 8);
  EXPECT_EQ(all_next(s), std::vector<long>{9});
  finish(s, 9);
  EXPECT_EQ(s.pending() + s.running(), 0);
}

// Whatever the widths, the graph and the crashes: everything is done once, blocks never overlap, children follow
// parents.
TEST(Scheduler, FinishesRandomGraphs) {
  unsigned state = 1;
  const auto random = [&](unsigned count) {
    state = state * 1664525U + 1013904223U;
    return (state >> 8) % count;
  };
  for (int trial = 0; trial < 200; ++trial) {
    const int workers = 1 + static_cast<int>(random(20));
    std::vector<int> widths{1};
    while (widths.back() * 2 <= workers && random(2)) widths.push_back(widths.back() * 2);
    Scheduler s(workers, widths);
    const long count = 1 + random(60);
    for (long t = 0; t < count; ++t) {
      const long parent = t > 0 && random(2) ? static_cast<long>(random(static_cast<unsigned>(t))) : -1;
      s.add({.parent = parent,
             .width = widths[random(static_cast<unsigned>(widths.size()))],
             .expected = 1.0 + random(100),
             .crashes = random(5) == 0 ? static_cast<int>(random(3)) : 0});
    }
    s.start();
    std::vector<Scheduler::Assignment> running;
    std::vector<int> owner(static_cast<std::size_t>(workers), -1);
    std::vector<int> times(static_cast<std::size_t>(count), 0);
    long guard = 0;
    while (s.pending() + s.running() > 0) {
      ASSERT_LT(++guard, 10000) << "stuck in trial " << trial;
      Scheduler::Assignment a;
      while (s.next(a)) {
        ++times[static_cast<std::size_t>(a.task)];
        EXPECT_EQ(a.first_worker % a.width, 0);
        for (int w = a.first_worker; w < a.first_worker + a.width; ++w) {
          ASSERT_LT(w, workers);
          EXPECT_EQ(owner[static_cast<std::size_t>(w)], -1);
          owner[static_cast<std::size_t>(w)] = static_cast<int>(a.task);
        }
        if (s.parent(a.task) >= 0) {
          EXPECT_EQ(s.status(s.parent(a.task)), TaskStatus::done);
        }
        running.push_back(a);
      }
      ASSERT_FALSE(running.empty()) << "nothing runs and nothing can, trial " << trial;
      const std::size_t which = random(static_cast<unsigned>(running.size()));
      for (int w = running[which].first_worker; w < running[which].first_worker + running[which].width; ++w)
        owner[static_cast<std::size_t>(w)] = -1;
      finish(s, running[which].task);
      running.erase(running.begin() + static_cast<long>(which));
    }
    EXPECT_EQ(std::count(times.begin(), times.end(), 1), count);
  }
}

TEST(Scheduler, RefusesWhatCannotBe) {
  EXPECT_THROW(Scheduler(4, {2, 3}), std::logic_error);
  EXPECT_THROW(Scheduler(4, {8}), std::logic_error);
  Scheduler s(4, {2});
  EXPECT_THROW(s.add({.width = 1}), std::logic_error);
  EXPECT_THROW(s.add({.parent = 0, .width = 2}), std::logic_error);
}

}  // namespace
}  // namespace sanctuary
