#include "io/ledger.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"

namespace sanctuary {
namespace {

class LedgerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "ledger_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static LedgerTask row(long task, const std::string& status, int attempts = 1) {
    LedgerTask made;
    made.task = task;
    made.patient = task / 2;
    made.variant = "arm";
    made.status = status;
    made.attempts = attempts;
    return made;
  }
  std::filesystem::path folder_;
};

TEST_F(LedgerTest, KeepsWhatWasCommittedAndNothingElse) {
  {
    Ledger ledger(folder_);
    ledger.set_meta("deck", "text");
    LedgerTask task = row(7, "failed", 2);
    task.reason = "diverged; \"why\"";
    task.wall = 1.5;
    ledger.put(task);
    ledger.put_patient(3, {{"tumour.radius", 300.0}, {"preset", std::string("xenograft")}});
    ledger.put_endpoints(7, 3, "arm", {{"log_kill", 1.25}});
    ledger.put_endpoints(8, 4, "arm", {{"other", 2.0}});  // a column that the first had not
    ledger.put_visits(7, 3, "arm", {{{"day", 0.0}}, {{"day", 1.0}, {"volume [m3]", 2.0}}});
    EXPECT_TRUE(ledger.dirty());
    ledger.commit();
    EXPECT_FALSE(ledger.dirty());
    ledger.put(row(8, "done"));  // never committed
  }
  const Ledger ledger(folder_);
  EXPECT_EQ(ledger.meta("deck"), "text");
  EXPECT_FALSE(ledger.meta("nothing"));
  const auto tasks = ledger.tasks();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].reason, "diverged; \"why\"");
  EXPECT_EQ(tasks[0].attempts, 2);
  EXPECT_EQ(tasks[0].parent, -1);
  EXPECT_EQ(tasks[0].wall, 1.5);
  long rows = 0;
  ledger.scan("SELECT task, log_kill, other FROM endpoints ORDER BY task", [&](const Ledger::Row& r) {
    ++rows;
    EXPECT_EQ(std::isnan(r.number(1)), rows == 2);
    EXPECT_EQ(std::isnan(r.number(2)), rows == 1);
  });
  EXPECT_EQ(rows, 2);
  ledger.scan("SELECT \"tumour.radius\", preset FROM patients", [&](const Ledger::Row& r) {
    EXPECT_EQ(r.number(0), 300.0);
    EXPECT_EQ(r.text(1), "xenograft");
  });
}

TEST_F(LedgerTest, KnowsWhatWasInFlight) {
  {
    Ledger ledger(folder_);
    ledger.begin_run();
    for (long t = 1; t <= 4; ++t) ledger.note_in_flight(t);
    ledger.put_started(2, 1, "arm", -1, 3.0);
    ledger.put(row(1, "done"));
    ledger.commit();
    ledger.put(row(4, "done"));  // finished, but the crash came before the commit
  }
  {
    Ledger ledger(folder_);
    EXPECT_EQ(ledger.in_flight(), (std::vector<long>{2, 3, 4}));
    for (const long t : ledger.in_flight()) ledger.put(row(t, "pending"));
    ledger.begin_run();
    EXPECT_TRUE(ledger.in_flight().empty());
  }
  EXPECT_TRUE(Ledger(folder_).in_flight().empty());
}

TEST_F(LedgerTest, BlamesWhatCameBackInterruptedOrWasExcusedForNoCrash) {
  {
    Ledger ledger(folder_);
    ledger.begin_run();
    for (long t = 1; t <= 2; ++t) ledger.note_in_flight(t);
    ledger.put(row(1, "interrupted"));
    ledger.commit();
  }
  {
    Ledger ledger(folder_);
    EXPECT_EQ(ledger.in_flight(), std::vector<long>{2});
    EXPECT_FALSE(ledger.in_flight_is_excused());
    ledger.begin_run();
    ledger.note_in_flight(2);
    ledger.excuse_in_flight();
    ledger.excuse_in_flight();  // twice is as good as once
    ledger.note_in_flight(3);
  }
  {
    Ledger ledger(folder_);
    EXPECT_EQ(ledger.in_flight(), (std::vector<long>{2, 3}));
    EXPECT_TRUE(ledger.in_flight_is_excused());
    ledger.begin_run();
    EXPECT_FALSE(ledger.in_flight_is_excused());
  }
}

TEST_F(LedgerTest, TakesAnotherLedgerIn) {
  const auto shard = folder_ / "shard";
  {
    Ledger other(shard);
    other.put(row(5, "done"));
    other.put_endpoints(5, 2, "arm", {{"log_kill", 0.5}});
    other.put_visits(5, 2, "arm", {{{"day", 3.0}}});
    other.commit();
  }
  Ledger ledger(folder_);
  ledger.absorb(shard);
  ledger.absorb(shard);  // again changes nothing
  EXPECT_EQ(ledger.counts().at("done"), 1);
  long visits = 0;
  ledger.scan("SELECT day FROM visits", [&](const Ledger::Row& r) { visits += r.number(0) == 3.0; });
  EXPECT_EQ(visits, 1);
}

// Failed tasks of a merged cohort may have been tried again there.
TEST_F(LedgerTest, TakesNothingInThatIsSettledBetterHere) {
  const auto shard = folder_ / "shard";
  const auto put_patient = [](Ledger& ledger, long patient, const std::string& status) {
    ledger.put_patient(patient, {{"status", status}});
  };
  {
    Ledger other(shard);
    for (const long t : {2L, 4L, 6L}) other.put(row(t, "failed"));
    other.put(row(8, "done"));
    for (const long p : {1L, 2L, 3L}) put_patient(other, p, "failed");
    put_patient(other, 4, "accepted");
    other.put_endpoints(2, 1, "arm", {{"log_kill", -1.0}});
    other.put_endpoints(8, 4, "arm", {{"log_kill", 0.75}});
    other.put_visits(2, 1, "arm", {{{"day", -1.0}}});
    other.commit();
  }
  Ledger ledger(folder_);
  ledger.put(row(2, "done", 3));
  put_patient(ledger, 1, "accepted");
  ledger.put_endpoints(2, 1, "arm", {{"log_kill", 0.5}});
  ledger.put_visits(2, 1, "arm", {{{"day", 3.0}}});
  ledger.put(row(4, "rejected"));
  put_patient(ledger, 2, "rejected");
  ledger.put(row(6, "pending"));
  ledger.put(row(8, "failed"));
  put_patient(ledger, 4, "failed");
  ledger.commit();
  ledger.absorb(shard);

  std::string found;
  ledger.scan("SELECT task, status, attempts FROM tasks ORDER BY task", [&](const Ledger::Row& r) {
    found += std::to_string(static_cast<long>(r.number(0))) + " " + r.text(1) + " " + r.text(2) + ", ";
  });
  EXPECT_EQ(found, "2 done 3, 4 rejected 1, 6 failed 1, 8 done 1, ");
  found.clear();
  ledger.scan("SELECT status FROM patients ORDER BY patient", [&](const Ledger::Row& r) { found += r.text(0) + " "; });
  EXPECT_EQ(found, "accepted rejected failed accepted ");
  std::vector<double> kills, days;
  ledger.scan("SELECT log_kill FROM endpoints ORDER BY task",
              [&](const Ledger::Row& r) { kills.push_back(r.number(0)); });
  ledger.scan("SELECT day FROM visits", [&](const Ledger::Row& r) { days.push_back(r.number(0)); });
  EXPECT_EQ(kills, (std::vector<double>{0.5, 0.75}));
  EXPECT_EQ(days, std::vector<double>{3.0});
}

TEST_F(LedgerTest, HasOneWriter) {
  const Ledger ledger(folder_);
  const pid_t child = fork();  // locks belong to processes
  if (child == 0) {
    int code = 0;
    try {
      const Ledger second(folder_);
    } catch (const InputError& error) {
      code = std::string(error.what()).find("another cohort is at work in this folder") != std::string::npos ? 7 : 1;
    } catch (...) {
      code = 2;
    }
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST_F(LedgerTest, SaysWhatIsWrongWithAFile) {
  {
    FILE* file = std::fopen((folder_ / "ledger.sqlite").c_str(), "w");
    std::fputs(
        "this is no database, but long enough to have a header of one hundred bytes, which is what SQLite reads "
        "before it says anything at all about it",
        file);
    std::fclose(file);
  }
  try {
    const Ledger ledger(folder_);
    FAIL() << "took it";
  } catch (const IoError& error) {
    EXPECT_NE(std::string(error.what()).find("it is damaged or no ledger"), std::string::npos) << error.what();
  }
}

/// Another program with a query that it has not read to its end.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& ledger) {
    EXPECT_EQ(sqlite3_open_v2(ledger.c_str(), &database_, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
    EXPECT_EQ(sqlite3_prepare_v2(database_, "SELECT task FROM tasks", -1, &query_, nullptr), SQLITE_OK);
    EXPECT_EQ(sqlite3_step(query_), SQLITE_ROW);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { close(); }
  void close() {
    (void)sqlite3_finalize(query_);
    (void)sqlite3_close(database_);
    query_ = nullptr;
    database_ = nullptr;
  }

 private:
  sqlite3* database_ = nullptr;
  sqlite3_stmt* query_ = nullptr;
};

// Few rows are written by the commit, many already before it, when they outgrow SQLite's cache.
TEST_F(LedgerTest, AReaderDelaysTheWriter) {
  for (const long rows : {1L, 200L}) {
    const auto folder = folder_ / std::to_string(rows);
    {
      Ledger ledger(folder);
      ledger.put(row(0, "done"));
      ledger.commit();
      ledger.limit_waiting(0.1, 60);
      Reader reader(ledger.path());
      testing::internal::CaptureStderr();
      std::jthread leaves([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(800));
        reader.close();
      });
      for (long t = 1; t <= rows; ++t) {
        LedgerTask task = row(t, "done");
        task.reason = std::string(40000, 'x');
        ledger.put(task);
      }
      ledger.commit();
      leaves.join();
      const std::string told = testing::internal::GetCapturedStderr();
      const auto first = told.find("another program holds it locked");
      EXPECT_NE(first, std::string::npos);
      EXPECT_EQ(told.find("another program", first + 1), std::string::npos) << "told more than once: " << told;
      EXPECT_FALSE(ledger.dirty());
    }
    EXPECT_EQ(Ledger(folder).counts().at("done"), rows + 1);
  }
}

TEST_F(LedgerTest, AReaderThatNeverLeavesIsAnError) {
  Ledger ledger(folder_);
  ledger.put(row(1, "done"));
  ledger.commit();
  ledger.limit_waiting(60, 0.2);
  {
    const Reader reader(ledger.path());
    ledger.put(row(2, "done"));
    EXPECT_THROW(ledger.commit(), IoError);
  }
  ledger.put(row(3, "done"));
  ledger.commit();
  EXPECT_EQ(ledger.counts().at("done"), 2);
}

// A page limit makes SQLite say what a full disk makes it say.
TEST_F(LedgerTest, AFullDiskLeavesTheLastCommit) {
  Ledger ledger(folder_);
  ledger.put(row(1, "done"));
  ledger.commit();
  ledger.limit_pages(30);
  EXPECT_THROW(
      {
        for (long t = 2; t < 100000; ++t) {
          ledger.put(row(t, "done"));
          if (t % 100 == 0) ledger.commit();
        }
      },
      IoError);
  ledger.limit_pages(1 << 20);
  const auto before = ledger.counts().at("done");
  ledger.put(row(200000, "done"));
  ledger.commit();
  EXPECT_EQ(ledger.counts().at("done"), before + 1);
}

}  // namespace
}  // namespace sanctuary
