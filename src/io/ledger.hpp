#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.hpp"
#include "io/atomic_file.hpp"

namespace sanctuary {

/// What a column of a wide table holds; monostate: nothing (NULL).
using Cell = std::variant<std::monostate, double, std::string>;
/// Another process writes the ledger.
struct LedgerInUse : InputError {
  using InputError::InputError;
};

/// Columns of a row by name.
using Cells = std::map<std::string, Cell>;

/// A row of the table of tasks.
struct LedgerTask {
  long task = 0, patient = 0;
  std::string variant, status;  ///< pending, running, done, failed, rejected, interrupted
  long parent = -1;
  int attempts = 0;  ///< starts that came to an end: a result or a crash
  int ranks = 0;
  double started = 0;                      ///< [s] since the epoch
  double wall = 0, cpu = 0, expected = 0;  ///< [s]
  double memory = 0;                       ///< largest resident size, all ranks [bytes]
  std::string host = {}, reason = {};
};

/// Status and attempts of a task, all that a resumed run needs of it.
struct LedgerStatus {
  long task = 0;
  std::string status;
  int attempts = 0;
};

/// The truth about a cohort: DIR/ledger.sqlite, written by one process. Rows that were put are durable once `commit`
/// returns (SQLite with a rollback journal, which network file systems can hold, and full synchronisation). What is in
/// flight is noted outside of it, without waiting for the disk, so that a crash within the commit interval is seen as
/// well. Every failure is an IoError that says what to do; the rows since the last commit are then not there. Serial.
class Ledger {
 public:
  /// Opens or makes the ledger of a folder and keeps every other process from writing it. LedgerInUse if another does.
  explicit Ledger(std::filesystem::path directory);
  Ledger(Ledger&&) noexcept;
  Ledger& operator=(Ledger&&) noexcept;
  ~Ledger();

  /// True where a folder holds a ledger.
  [[nodiscard]] static bool exists(const std::filesystem::path& directory);

  [[nodiscard]] std::optional<std::string> meta(std::string_view key) const;
  void set_meta(std::string_view key, std::string_view value);

  void put(const LedgerTask& task);
  /// A task that starts; what else its row holds stays.
  void put_started(long task, long patient, const std::string& variant, long parent, double expected);
  void put_status(long task, const std::string& status, int attempts, const std::string& reason);
  /// A row of `patients`, `endpoints` or `visits`; columns appear as needed. Replaces the row of the same key.
  void put_patient(long patient, const Cells& cells);
  void put_endpoints(long task, long patient, const std::string& variant, const Cells& cells);
  void put_visits(long task, long patient, const std::string& variant, const std::vector<Cells>& visits);
  /// Weight of each patient that has a row.
  void put_weights(const std::vector<double>& weights);
  /// A row of `sensitivity` or another table of results that is made anew: `clear` empties it.
  void put_row(const std::string& table, const Cells& cells);
  void clear(const std::string& table);

  /// Makes everything put so far durable; does nothing if there is nothing. As everything here it waits for another
  /// program that reads the ledger and holds it locked, ten minutes at most, and says so after ten seconds.
  void commit();
  [[nodiscard]] bool dirty() const;

  /// Notes that a task is in flight. Not durable over a loss of power until the next commit.
  void note_in_flight(long task);
  /// Tasks that were in flight when the last writer ended, whether it had committed that or not. One that came back
  /// interrupted was not.
  [[nodiscard]] std::vector<long> in_flight() const;
  /// Notes that what is in flight has no part in the end of this run. Needs no room on the disk.
  void excuse_in_flight() noexcept;
  /// True if the last writer did so.
  [[nodiscard]] bool in_flight_is_excused() const;
  /// Begins a new list of what is in flight. Commits.
  void begin_run();

  /// All tasks that are in the ledger, by number.
  [[nodiscard]] std::vector<LedgerStatus> statuses() const;
  [[nodiscard]] std::vector<LedgerTask> tasks() const;
  /// Why a task is not done; empty if it is, or is not there.
  [[nodiscard]] std::string reason(long task) const;
  /// Numbers of rows of each status.
  [[nodiscard]] std::map<std::string, long> counts() const;
  /// A row of a query while it is looked at.
  class Row {
   public:
    /// Not a number where there is none.
    [[nodiscard]] double number(int column) const;
    [[nodiscard]] std::string text(int column) const;
    [[nodiscard]] Cell cell(int column) const;

   private:
    friend class Ledger;
    explicit Row(const void* statement) : statement_(statement) {}
    const void* statement_;
  };
  /// Names of the columns of a table, in its order.
  [[nodiscard]] std::vector<std::string> columns(const std::string& table) const;
  /// Calls `use` for each row of a SELECT.
  void scan(const std::string& query, const std::function<void(const Row&)>& use) const;
  /// Takes over the rows of another ledger (a shard), replacing those of the same key. What a retry settled here stays:
  /// a task that is done, or rejected where the other failed, and its patient. Commits.
  void absorb(const std::filesystem::path& directory);

  [[nodiscard]] const std::filesystem::path& path() const;
  /// Lets the file grow to so many pages of 4 kB and no further: what a full disk does, for tests.
  void limit_pages(long pages);
  /// Seconds to wait for another program's lock before a warning, and before an error: for tests.
  void limit_waiting(double silent, double most);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sanctuary
