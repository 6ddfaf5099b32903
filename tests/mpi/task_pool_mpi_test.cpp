#include <gtest/gtest.h>
#include <mpi.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "cohort/task_pool.hpp"

namespace sanctuary {
namespace {

std::string text_of(long number) { return std::to_string(number); }
long number_in(std::string_view text) { return std::stol(std::string(text)); }

void sleep_for(double seconds) {
  const timespec span{0, static_cast<long>(1e9 * seconds)};
  (void)nanosleep(&span, nullptr);
}

/// A pool whose tasks say their number; rank 0 keeps what became of them.
struct Pool {
  explicit Pool(const std::vector<int>& widths) : scheduler(pool_workers(size_of(MPI_COMM_WORLD)), widths) {
    book.order = [this](long task) {
      orders.push_back(task);
      return text_of(task);
    };
    book.finished = [this](long task, std::string_view report, double seconds) {
      EXPECT_GE(seconds, 0);
      EXPECT_EQ(number_in(report), task);
      finished.push_back(task);
      return TaskStatus::done;
    };
    book.commit = [this] { ++commits; };
    book.settled = [this](long task, TaskStatus status) {
      EXPECT_GT(commits, 0);
      if (status == TaskStatus::done) settled.insert(task);
    };
    book.excuse = [this] { ++excused; };
  }
  bool run(const std::vector<int>& widths, const PoolWork& work, PoolState* state = nullptr) {
    if (rank_of(MPI_COMM_WORLD) == 0) scheduler.start();
    return run_pool(MPI_COMM_WORLD, widths, &scheduler, &book, work, state);
  }
  Scheduler scheduler;
  PoolBook book;
  std::vector<long> orders, finished;
  std::set<long> settled;
  int commits = 0, excused = 0;
};

bool is_root() { return rank_of(MPI_COMM_WORLD) == 0; }

std::string say_number(MPI_Comm, std::string_view order, const std::function<bool()>&) { return std::string(order); }

TEST(TaskPool, DoesEveryTaskOnceParentsFirst) {
  Pool pool({1});
  constexpr long families = 50;
  for (long f = 0; f < families; ++f) {
    const long root = pool.scheduler.add({.expected = 1.0 + static_cast<double>(f % 7)});
    pool.scheduler.add({.parent = root});
    pool.scheduler.add({.parent = root, .expected = 2});
  }
  PoolState state;
  EXPECT_TRUE(pool.run({1}, say_number, &state));
  if (!is_root()) return;
  std::vector<long> all(3 * families);
  std::iota(all.begin(), all.end(), 0L);
  std::vector<long> sorted = pool.orders;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, all);
  EXPECT_EQ(pool.settled.size(), all.size());
  EXPECT_EQ(state.finished, 3 * families);
  EXPECT_EQ(state.workers, pool_workers(size_of(MPI_COMM_WORLD)));
  EXPECT_GT(state.elapsed, 0);
  EXPECT_GE(state.busy, 0);
  EXPECT_LE(state.efficiency(), 1 + 1e-9);
  const auto place = [&](const std::vector<long>& list, long task) {
    return std::find(list.begin(), list.end(), task) - list.begin();
  };
  for (long root = 0; root < 3 * families; root += 3) {
    EXPECT_LT(place(pool.orders, root), place(pool.orders, root + 1));
    EXPECT_LT(place(pool.orders, root), place(pool.orders, root + 2));
  }
}

TEST(TaskPool, GivesEachTaskAGroupOfItsWidth) {
  const int workers = pool_workers(size_of(MPI_COMM_WORLD));
  const std::vector<int> widths = workers >= 2 ? std::vector<int>{1, 2} : std::vector<int>{1};
  Pool pool(widths);
  for (int t = 0; t < 40; ++t) pool.scheduler.add({.width = t % 3 == 0 ? widths.back() : 1});
  std::vector<int> sizes(40, 0);
  const PoolWork work = [&](MPI_Comm group, std::string_view order, const std::function<bool()>&) {
    const auto task = static_cast<std::size_t>(number_in(order));
    int sum = 0;  // a collective on the group: only whole groups come past
    const int one = 1;
    MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, group);
    EXPECT_EQ(sum, size_of(group));
    EXPECT_EQ(sum, task % 3 == 0 ? widths.back() : 1);
    return std::string(order);
  };
  EXPECT_TRUE(pool.run(widths, work));
  if (is_root()) {
    EXPECT_EQ(pool.settled.size(), 40u);
  }
}

TEST(TaskPool, TakesReportsOfAMegabyte) {
  Pool pool({1});
  for (int t = 0; t < 12; ++t) pool.scheduler.add({});
  const auto size_of_report = [](long task) { return task % 3 == 0 ? 0 : task % 3 == 1 ? 1 : 1 << 20; };
  pool.book.finished = [&](long task, std::string_view report, double) {
    EXPECT_EQ(report.size(), static_cast<std::size_t>(size_of_report(task)));
    EXPECT_EQ(static_cast<std::size_t>(std::count(report.begin(), report.end(), 'a' + task)), report.size());
    return TaskStatus::done;
  };
  const PoolWork work = [&](MPI_Comm, std::string_view order, const std::function<bool()>&) {
    const long task = number_in(order);
    return std::string(static_cast<std::size_t>(size_of_report(task)), static_cast<char>('a' + task));
  };
  EXPECT_TRUE(pool.run({1}, work));
  if (is_root()) {
    EXPECT_EQ(pool.settled.size(), 12u);
  }
}

TEST(TaskPool, ChildrenOfAFailedTaskAreDropped) {
  Pool pool({1});
  for (int f = 0; f < 6; ++f) {
    const long root = pool.scheduler.add({});
    pool.scheduler.add({.parent = root});
  }
  pool.book.finished = [](long task, std::string_view, double) {
    return task % 4 == 0 ? TaskStatus::failed : TaskStatus::done;
  };
  pool.book.settled = [&](long task, TaskStatus status) {
    pool.settled.insert(task);
    if (status != TaskStatus::failed) return;
    for (long c = pool.scheduler.first_child(task); c >= 0; c = pool.scheduler.next_sibling(c))
      pool.scheduler.dropped(c, status);
  };
  EXPECT_TRUE(pool.run({1}, say_number));
  if (is_root()) {
    EXPECT_EQ(pool.settled, (std::set<long>{0, 2, 3, 4, 6, 7, 8, 10, 11}));
  }
}

TEST(TaskPool, AStopGivesBackWhatRuns) {
  Pool pool({1});
  for (int t = 0; t < 200; ++t) pool.scheduler.add({});
  long interrupted = 0;
  pool.book.stop_requested = [&] { return pool.finished.size() >= 5; };
  pool.book.finished = [&](long task, std::string_view report, double) {
    pool.finished.push_back(task);
    if (report != "interrupted") return TaskStatus::done;
    ++interrupted;
    return TaskStatus::interrupted;
  };
  // The first five end by themselves, the others only when they are told to stop.
  const PoolWork work = [&](MPI_Comm, std::string_view order, const std::function<bool()>& stop) {
    if (number_in(order) < 5) return std::string("done");
    for (int i = 0; i < 20000 && !stop(); ++i) sleep_for(1e-3);
    return std::string(stop() ? "interrupted" : "done");
  };
  EXPECT_FALSE(pool.run({1}, work));
  if (!is_root()) return;
  EXPECT_EQ(pool.excused, 1);  // all came back
  EXPECT_EQ(pool.settled, (std::set<long>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.finished.size(), pool.orders.size());
  EXPECT_EQ(static_cast<long>(pool.orders.size()), 5 + interrupted);
  EXPECT_LE(interrupted, pool_workers(size_of(MPI_COMM_WORLD)));
}

// A launcher that lost a rank asks the others to stop and gives them some time: what does not come back is to blame.
TEST(TaskPool, AStopExcusesNothingBeforeAllCameBack) {
  if (size_of(MPI_COMM_WORLD) == 1) GTEST_SKIP() << "a rank that works coordinates nothing meanwhile";
  Pool pool({1});
  for (int t = 0; t < 4; ++t) pool.scheduler.add({});
  pool.book.stop_requested = [&] { return !pool.orders.empty(); };
  pool.book.finished = [&](long task, std::string_view, double) {
    EXPECT_EQ(pool.excused, 0);
    pool.finished.push_back(task);
    return TaskStatus::interrupted;
  };
  pool.book.excuse = [&] {
    EXPECT_EQ(pool.finished.size(), pool.orders.size());
    ++pool.excused;
  };
  pool.book.commit = [&] {  // which may take long, or be the last that is done
    ++pool.commits;
    if (pool.finished.size() == pool.orders.size()) {
      EXPECT_EQ(pool.excused, 1);
    }
  };
  const PoolWork work = [](MPI_Comm, std::string_view order, const std::function<bool()>&) {
    for (int i = 0; i < 60; ++i) sleep_for(0.1);
    return std::string(order);
  };
  EXPECT_FALSE(pool.run({1}, work));
  if (is_root()) {
    EXPECT_EQ(pool.excused, 1);
  }
}

// Whichever call of the book fails: what runs is told to stop, and every rank throws the same.
TEST(TaskPool, AFailureOfTheBookEndsOnAllRanks) {
  for (const char* where : {"order", "finished", "commit", "settled", "progress"}) {
    Pool pool({1});
    for (int t = 0; t < 50; ++t) pool.scheduler.add({});
    long calls = 0;
    const auto fail = [&](const char* place) {
      if (std::strcmp(place, where) == 0 && ++calls == (std::strcmp(place, "order") == 0 ? 3 : 1))
        throw IoError(std::string("no space left: ") + place);
    };
    const PoolBook plain = pool.book;
    pool.book.order = [&](long task) {
      fail("order");
      return plain.order(task);
    };
    pool.book.finished = [&](long task, std::string_view, double) {
      fail("finished");
      pool.finished.push_back(task);
      return TaskStatus::done;
    };
    pool.book.commit = [&] {
      fail("commit");
      plain.commit();
    };
    pool.book.settled = [&](long, TaskStatus) { fail("settled"); };
    pool.book.progress = [&](const PoolState&) { fail("progress"); };
    const PoolWork work = [](MPI_Comm, std::string_view order, const std::function<bool()>& stop) {
      for (int i = 0; i < (number_in(order) < 2 ? 10 : 500) && !stop(); ++i) sleep_for(1e-3);
      return std::string(order);
    };
    std::string told;
    try {
      (void)pool.run({1}, work);
    } catch (const IoError& error) {
      told = error.what();
    }
    EXPECT_EQ(told, std::string("no space left: ") + where);
    EXPECT_LT(pool.orders.size(), 50u);
  }
}

// A reader of the ledger sees what runs, and no transaction stays open for as long as the tasks take.
TEST(TaskPool, CommitsWhatItHandedOutThoughNothingComesBack) {
  Pool pool({1});
  pool.scheduler.add({});
  pool.scheduler.add({});
  int early = 0;
  pool.book.commit = [&] {
    ++pool.commits;
    if (pool.finished.empty()) ++early;
  };
  const PoolWork work = [](MPI_Comm, std::string_view order, const std::function<bool()>&) {
    sleep_for(0.5);
    return std::string(order);
  };
  EXPECT_TRUE(pool.run({1}, work));
  if (is_root()) {
    EXPECT_EQ(early, 1);
    EXPECT_EQ(pool.settled.size(), 2u);
  }
}

// On one rank commits come between tasks, and no idle group asks for one after each.
TEST(TaskPool, CommitsFollowTheClockWhereNobodyWaits) {
  Pool pool({1});
  for (int t = 0; t < 2000; ++t) pool.scheduler.add({});
  PoolState state;
  EXPECT_TRUE(pool.run({1}, say_number, &state));
  if (is_root()) {
    EXPECT_LE(pool.commits, 2 + state.elapsed / 0.05);
  }
}

}  // namespace
}  // namespace sanctuary
