#include "io/ledger.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "base/error.hpp"
#include "base/log.hpp"

namespace sanctuary {
namespace {

constexpr std::string_view schema_version = "1";

std::string identifier(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

class Statement {
 public:
  Statement(sqlite3* database, const std::filesystem::path& path, std::string_view text)
      : database_(database), path_(&path) {
    check(sqlite3_prepare_v3(database, text.data(), static_cast<int>(text.size()), SQLITE_PREPARE_PERSISTENT,
                             &statement_, nullptr),
          "prepare a statement for");
  }
  Statement(Statement&& other) noexcept
      : database_(other.database_), path_(other.path_), statement_(std::exchange(other.statement_, nullptr)) {}
  Statement& operator=(Statement&&) = delete;
  ~Statement() { sqlite3_finalize(statement_); }

  Statement& bind(int place, long value) {
    check(sqlite3_bind_int64(statement_, place, value), "bind a value for");
    return *this;
  }
  Statement& bind(int place, int value) { return bind(place, static_cast<long>(value)); }
  Statement& bind(int place, double value) {
    check(sqlite3_bind_double(statement_, place, value), "bind a value for");
    return *this;
  }
  Statement& bind(int place, std::string_view value) {
    check(sqlite3_bind_text(statement_, place, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT),
          "bind a value for");
    return *this;
  }
  Statement& bind(int place, const std::string& value) { return bind(place, std::string_view(value)); }
  Statement& bind(int place, const Cell& value) {
    if (const auto* number = std::get_if<double>(&value)) return bind(place, *number);
    if (const auto* text = std::get_if<std::string>(&value)) return bind(place, std::string_view(*text));
    check(sqlite3_bind_null(statement_, place), "bind a value for");
    return *this;
  }
  /// True if there is a row.
  bool step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) {
      (void)sqlite3_reset(statement_);
      check(code, "write to");
    }
    return false;
  }
  void run() {
    while (step()) {
    }
    reset();
  }
  void reset() { check(sqlite3_reset(statement_), "write to"); }

  [[nodiscard]] int columns() const { return sqlite3_column_count(statement_); }
  [[nodiscard]] std::string name(int place) const { return sqlite3_column_name(statement_, place); }
  [[nodiscard]] long integer(int place) const { return sqlite3_column_int64(statement_, place); }
  [[nodiscard]] double number(int place) const { return sqlite3_column_double(statement_, place); }
  [[nodiscard]] std::string text(int place) const {
    const auto* found = reinterpret_cast<const char*>(sqlite3_column_text(statement_, place));
    return found ? std::string(found, static_cast<std::size_t>(sqlite3_column_bytes(statement_, place))) : "";
  }
  [[nodiscard]] Cell cell(int place) const {
    switch (sqlite3_column_type(statement_, place)) {
      case SQLITE_NULL:
        return {};
      case SQLITE_TEXT:
        return text(place);
      default:
        return number(place);
    }
  }

 private:
  void check(int code, const char* action) const;

  sqlite3* database_;
  const std::filesystem::path* path_;
  sqlite3_stmt* statement_ = nullptr;
};

[[noreturn]] void fail(sqlite3* database, const std::filesystem::path& path, const char* action, int code) {
  const int system = database ? sqlite3_system_errno(database) : 0;
  const std::string what = database ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_FULL:
      throw IoError(io_message(action, path, ENOSPC));
    case SQLITE_BUSY:
      throw IoError(
          fmt::format("cannot {} {}: another program holds it locked; close it and run again", action, path.string()));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      throw IoError(
          fmt::format("cannot {} {}: it is damaged or no ledger ({}); restore it from a copy, or choose "
                      "another folder with -o",
                      action, path.string(), what));
    default:
      if (system == ENOSPC || system == EDQUOT) throw IoError(io_message(action, path, system));
      throw IoError(fmt::format("cannot {} {}: {}{}", action, path.string(), what,
                                system ? fmt::format(" ({})", std::strerror(system)) : ""));
  }
}

void Statement::check(int code, const char* action) const {
  if (code != SQLITE_OK) fail(database_, *path_, action, code);
}

struct CloseDatabase {
  void operator()(sqlite3* database) const { (void)sqlite3_close_v2(database); }
};

/// Waits for another program that holds the file locked: a reader that forgot to close its query keeps every commit
/// from ending. The transaction stays as it is meanwhile.
struct LockPatience {
  using Clock = std::chrono::steady_clock;

  const std::filesystem::path* path;
  double silent = 10, most = 600;  // until it is told, and until that is an error [s]
  Clock::time_point begin = {};
  bool told = false;

  /// What SQLite calls when a lock is taken, for the `count`th time in a row; 0: it gives up.
  static int wait(void* self, int count) noexcept {
    auto& p = *static_cast<LockPatience*>(self);
    if (count == 0) p.begin = Clock::now(), p.told = false;
    const double waited = std::chrono::duration<double>(Clock::now() - p.begin).count();
    if (waited >= p.most) return 0;
    if (waited >= p.silent && !p.told) {
      p.told = true;
      log::warning("{}: another program holds it locked; nothing goes on until it is closed there", p.path->string());
    }
    const timespec span{0, std::min(1L + count, 50L) * 1'000'000L};
    (void)nanosleep(&span, nullptr);
    return 1;
  }
};

/// Keeps other processes from writing the same folder; the lock goes with the process, however it ends.
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& directory) {
    const std::filesystem::path path = directory / "ledger.lock";
    file_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (!file_.is_open()) throw IoError(io_message("open", path, errno));
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    if (::fcntl(file_.get(), F_SETLK, &lock) != 0) {
      if (errno != EACCES && errno != EAGAIN)
        throw IoError(io_message("lock", path, errno) + " (the file system of a cohort must offer file locks)");
      std::string holder(256, '\0');
      const auto count = ::pread(file_.get(), holder.data(), holder.size(), 0);
      holder.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
      throw LedgerInUse(
          fmt::format("{}: another cohort is at work in this folder ({}); wait for it, stop it, or choose "
                      "another folder with -o",
                      directory.string(), holder));
    }
    std::string host(256, '\0');
    (void)::gethostname(host.data(), host.size() - 1);
    const std::string holder = fmt::format("process {} on {}", ::getpid(), host.c_str());
    // Only for the message of the other: a full disk is found by the first commit.
    if (::ftruncate(file_.get(), 0) == 0) (void)!::pwrite(file_.get(), holder.data(), holder.size(), 0);
  }

 private:
  FileDescriptor file_;
};

}  // namespace

struct Ledger::State {
  std::filesystem::path directory, path;
  std::unique_ptr<FolderLock> lock;
  LockPatience patience{&path};
  std::unique_ptr<sqlite3, CloseDatabase> database;
  bool open_transaction = false;
  std::map<std::string, std::set<std::string>> columns;  // of the wide tables
  std::map<std::string, Statement, std::less<>> statements;
  FileDescriptor in_flight;

  [[nodiscard]] Statement prepare(std::string_view text) const { return {database.get(), path, text}; }
  /// A statement that is kept.
  Statement& kept(const std::string& text) {
    const auto found = statements.find(text);
    return found != statements.end() ? found->second : statements.emplace(text, prepare(text)).first->second;
  }
  void run(std::string_view text) const { prepare(text).run(); }

  void begin() {
    if (open_transaction) return;
    kept("BEGIN IMMEDIATE").run();
    open_transaction = true;
  }
  /// What failed half-way is undone, so that the ledger is as it was after the last commit.
  template <class Work>
  void guarded(const Work& work) {
    begin();
    try {
      work();
    } catch (...) {
      roll_back();
      throw;
    }
  }
  void roll_back() noexcept {
    for (auto& [text, statement] : statements) {
      try {
        statement.reset();
      } catch (const IoError&) {  // tells again what failed before
      }
    }
    if (open_transaction) (void)sqlite3_exec(database.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    open_transaction = false;
    columns.clear();
  }
  [[nodiscard]] const std::set<std::string>& columns_of(const std::string& table) {
    std::set<std::string>& names = columns[table];
    if (names.empty()) {
      Statement info = prepare("SELECT name FROM pragma_table_info(" + identifier(table) + ")");
      while (info.step()) names.insert(info.text(0));
    }
    return names;
  }
  void need_columns(const std::string& table, const Cells& cells) {
    for (const auto& [name, cell] : cells) {
      if (columns_of(table).contains(name)) continue;
      run(fmt::format("ALTER TABLE {} ADD COLUMN {}", identifier(table), identifier(name)));
      columns[table].insert(name);
    }
  }
  void put_wide(const std::string& table, const std::vector<std::pair<std::string, Cell>>& key, const Cells& cells) {
    need_columns(table, cells);
    std::string names, marks;
    for (const auto& [name, cell] : key) names += identifier(name) + ",", marks += "?,";
    for (const auto& [name, cell] : cells) names += identifier(name) + ",", marks += "?,";
    names.pop_back();
    marks.pop_back();
    Statement& statement =
        kept(fmt::format("INSERT OR REPLACE INTO {} ({}) VALUES ({})", identifier(table), names, marks));
    int place = 0;
    for (const auto& [name, cell] : key) statement.bind(++place, cell);
    for (const auto& [name, cell] : cells) statement.bind(++place, cell);
    statement.run();
  }
  [[nodiscard]] std::filesystem::path in_flight_path() const { return directory / "ledger.in_flight"; }
  // The first is the number of the run that wrote the list, negative once what is in flight is excused.
  [[nodiscard]] std::vector<std::int64_t> in_flight_records() const {
    std::error_code ignored;
    if (!std::filesystem::exists(in_flight_path(), ignored)) return {};
    const std::string bytes = read_text(in_flight_path());
    std::vector<std::int64_t> records(bytes.size() / sizeof(std::int64_t));
    if (!records.empty()) std::memcpy(records.data(), bytes.data(), records.size() * sizeof(std::int64_t));
    return records;
  }
};

Ledger::Ledger(std::filesystem::path directory) : state_(std::make_unique<State>()) {
  State& s = *state_;
  make_directory(directory);
  s.directory = std::move(directory);
  s.path = s.directory / "ledger.sqlite";
  s.lock = std::make_unique<FolderLock>(s.directory);
  sqlite3* database = nullptr;
  const int code = sqlite3_open_v2(s.path.c_str(), &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  s.database.reset(database);
  if (code != SQLITE_OK) fail(database, s.path, "open", code);
  (void)sqlite3_busy_handler(database, LockPatience::wait, &s.patience);
  s.run("PRAGMA journal_mode = PERSIST");
  s.run("PRAGMA synchronous = FULL");
  s.guarded([&] {
    s.run("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID");
    s.run(
        "CREATE TABLE IF NOT EXISTS tasks (task INTEGER PRIMARY KEY, patient INTEGER, variant TEXT, status TEXT, "
        "attempts INTEGER DEFAULT 0, parent INTEGER, ranks INTEGER, host TEXT, started REAL, wall_s REAL, cpu_s REAL, "
        "expected_s REAL, memory_bytes REAL, reason TEXT)");
    s.run("CREATE TABLE IF NOT EXISTS patients (patient INTEGER PRIMARY KEY)");
    s.run("CREATE TABLE IF NOT EXISTS endpoints (task INTEGER PRIMARY KEY, patient INTEGER, variant TEXT)");
    s.run(
        "CREATE TABLE IF NOT EXISTS visits (task INTEGER, visit INTEGER, patient INTEGER, variant TEXT, "
        "PRIMARY KEY (task, visit)) WITHOUT ROWID");
  });
  if (const auto found = meta("schema_version"); !found) {
    set_meta("schema_version", schema_version);
  } else if (*found != schema_version) {
    throw InputError(fmt::format("{}: made with schema {}; expected {}; use the program that made it", s.path.string(),
                                 *found, schema_version));
  }
  commit();
}

Ledger::Ledger(Ledger&&) noexcept = default;
Ledger& Ledger::operator=(Ledger&&) noexcept = default;
Ledger::~Ledger() {
  if (state_) state_->statements.clear();
}

bool Ledger::exists(const std::filesystem::path& directory) {
  std::error_code ignored;
  return std::filesystem::exists(directory / "ledger.sqlite", ignored);
}

const std::filesystem::path& Ledger::path() const { return state_->path; }
void Ledger::limit_pages(long pages) { state_->run(fmt::format("PRAGMA max_page_count = {}", pages)); }
void Ledger::limit_waiting(double silent, double most) {
  state_->patience.silent = silent;
  state_->patience.most = most;
}
bool Ledger::dirty() const { return state_->open_transaction; }

std::optional<std::string> Ledger::meta(std::string_view key) const {
  Statement statement = state_->prepare("SELECT value FROM meta WHERE key = ?");
  statement.bind(1, key);
  if (!statement.step()) return std::nullopt;
  return statement.text(0);
}

void Ledger::set_meta(std::string_view key, std::string_view value) {
  state_->guarded([&] {
    state_->kept("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)").bind(1, key).bind(2, value).run();
  });
}

void Ledger::put(const LedgerTask& t) {
  state_->guarded([&] {
    state_
        ->kept(
            "INSERT OR REPLACE INTO tasks (task, patient, variant, status, attempts, parent, ranks, host, started, "
            "wall_s, cpu_s, expected_s, memory_bytes, reason) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
        .bind(1, t.task)
        .bind(2, t.patient)
        .bind(3, t.variant)
        .bind(4, t.status)
        .bind(5, t.attempts)
        .bind(6, t.parent >= 0 ? Cell(static_cast<double>(t.parent)) : Cell())
        .bind(7, t.ranks)
        .bind(8, t.host)
        .bind(9, t.started)
        .bind(10, t.wall)
        .bind(11, t.cpu)
        .bind(12, t.expected)
        .bind(13, t.memory)
        .bind(14, t.reason.empty() ? Cell() : Cell(t.reason))
        .run();
  });
}

void Ledger::put_started(long task, long patient, const std::string& variant, long parent, double expected) {
  state_->guarded([&] {
    state_
        ->kept(
            "INSERT INTO tasks (task, patient, variant, status, parent, started, expected_s) "
            "VALUES (?,?,?,'running',?,(julianday('now') - 2440587.5) * 86400.0,?) "
            "ON CONFLICT (task) DO UPDATE SET status = 'running', started = excluded.started, "
            "expected_s = excluded.expected_s")
        .bind(1, task)
        .bind(2, patient)
        .bind(3, variant)
        .bind(4, parent >= 0 ? Cell(static_cast<double>(parent)) : Cell())
        .bind(5, expected)
        .run();
  });
}

void Ledger::put_status(long task, const std::string& status, int attempts, const std::string& reason) {
  state_->guarded([&] {
    state_->kept("UPDATE tasks SET status = ?, attempts = ?, reason = ? WHERE task = ?")
        .bind(1, status)
        .bind(2, attempts)
        .bind(3, reason.empty() ? Cell() : Cell(reason))
        .bind(4, task)
        .run();
  });
}

void Ledger::put_patient(long patient, const Cells& cells) {
  state_->guarded([&] { state_->put_wide("patients", {{"patient", static_cast<double>(patient)}}, cells); });
}

void Ledger::put_endpoints(long task, long patient, const std::string& variant, const Cells& cells) {
  state_->guarded([&] {
    state_->put_wide(
        "endpoints",
        {{"task", static_cast<double>(task)}, {"patient", static_cast<double>(patient)}, {"variant", variant}}, cells);
  });
}

void Ledger::put_visits(long task, long patient, const std::string& variant, const std::vector<Cells>& visits) {
  state_->guarded([&] {
    state_->kept("DELETE FROM visits WHERE task = ?").bind(1, task).run();
    for (std::size_t i = 0; i < visits.size(); ++i) {
      state_->put_wide("visits",
                       {{"task", static_cast<double>(task)},
                        {"visit", static_cast<double>(i)},
                        {"patient", static_cast<double>(patient)},
                        {"variant", variant}},
                       visits[i]);
    }
  });
}

void Ledger::put_weights(const std::vector<double>& weights) {
  state_->guarded([&] {
    state_->need_columns("patients", {{"weight", 0.0}});
    for (std::size_t p = 0; p < weights.size(); ++p) {
      state_->kept("UPDATE patients SET weight = ? WHERE patient = ?")
          .bind(1, weights[p])
          .bind(2, static_cast<long>(p))
          .run();
    }
  });
}

void Ledger::put_row(const std::string& table, const Cells& cells) {
  state_->guarded([&] { state_->put_wide(table, {}, cells); });
}

void Ledger::clear(const std::string& table) {
  state_->guarded([&] {
    state_->statements.clear();  // they would hold the table
    state_->run("DROP TABLE IF EXISTS " + identifier(table));
    state_->run("CREATE TABLE " + identifier(table) + " (row INTEGER PRIMARY KEY)");
    state_->columns.erase(table);
  });
}

void Ledger::commit() {
  State& s = *state_;
  if (!s.open_transaction) return;
  try {
    s.kept("COMMIT").run();
  } catch (...) {
    s.roll_back();
    throw;
  }
  s.open_transaction = false;
}

void Ledger::note_in_flight(long task) {
  State& s = *state_;
  const std::int64_t record = task;
  if (::write(s.in_flight.get(), &record, sizeof record) != sizeof record)
    throw IoError(io_message("write", s.in_flight_path(), errno));
}

std::vector<long> Ledger::in_flight() const {
  std::vector<long> noted;
  const std::string run = meta("run").value_or("0");
  const std::vector<std::int64_t> records = state_->in_flight_records();
  // A run that was taken account of already counts no more.
  if (!records.empty() && std::to_string(std::abs(records.front())) == run)
    noted.assign(records.begin() + 1, records.end());
  std::sort(noted.begin(), noted.end());
  noted.erase(std::unique(noted.begin(), noted.end()), noted.end());
  // One pass over both, by number: the list holds every task that the run began, a query for each would take long.
  std::vector<long> found;
  auto next = noted.begin();
  Statement rows = state_->prepare(
      "SELECT task, status = 'running', status IN ('done','failed','rejected','interrupted') FROM tasks ORDER BY task");
  while (rows.step()) {
    const long task = rows.integer(0);
    while (next != noted.end() && *next < task) found.push_back(*next++);
    const bool is_noted = next != noted.end() && *next == task;
    if (is_noted) ++next;
    if (rows.integer(1) != 0 || (is_noted && rows.integer(2) == 0)) found.push_back(task);
  }
  found.insert(found.end(), next, noted.end());
  return found;
}

void Ledger::excuse_in_flight() noexcept {
  const int file = state_->in_flight.get();
  std::int64_t run = 0;
  if (::pread(file, &run, sizeof run, 0) != sizeof run || run < 0) return;
  run = -run;
  // Where that fails, a task is blamed for a crash that it had no part in: it runs again all the same.
  (void)!::pwrite(file, &run, sizeof run, 0);
}

bool Ledger::in_flight_is_excused() const {
  const std::vector<std::int64_t> records = state_->in_flight_records();
  return !records.empty() && std::to_string(-records.front()) == meta("run").value_or("0");
}

void Ledger::begin_run() {
  State& s = *state_;
  const std::int64_t run = std::stol(meta("run").value_or("0")) + 1;
  set_meta("run", std::to_string(run));
  commit();
  s.in_flight = create_file(s.in_flight_path());
  if (::write(s.in_flight.get(), &run, sizeof run) != sizeof run)
    throw IoError(io_message("write", s.in_flight_path(), errno));
}

std::vector<LedgerStatus> Ledger::statuses() const {
  std::vector<LedgerStatus> rows;
  Statement statement = state_->prepare("SELECT task, status, attempts FROM tasks ORDER BY task");
  while (statement.step())
    rows.push_back({statement.integer(0), statement.text(1), static_cast<int>(statement.integer(2))});
  return rows;
}

std::vector<LedgerTask> Ledger::tasks() const {
  std::vector<LedgerTask> rows;
  Statement s = state_->prepare(
      "SELECT task, patient, variant, status, attempts, parent, ranks, host, started, wall_s, cpu_s, expected_s, "
      "memory_bytes, reason FROM tasks ORDER BY task");
  while (s.step()) {
    LedgerTask row;
    row.task = s.integer(0);
    row.patient = s.integer(1);
    row.variant = s.text(2);
    row.status = s.text(3);
    row.attempts = static_cast<int>(s.integer(4));
    if (!std::holds_alternative<std::monostate>(s.cell(5))) row.parent = s.integer(5);
    row.ranks = static_cast<int>(s.integer(6));
    row.host = s.text(7);
    row.started = s.number(8);
    row.wall = s.number(9);
    row.cpu = s.number(10);
    row.expected = s.number(11);
    row.memory = s.number(12);
    row.reason = s.text(13);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string Ledger::reason(long task) const {
  Statement statement = state_->prepare("SELECT reason FROM tasks WHERE task = ?");
  statement.bind(1, task);
  return statement.step() ? statement.text(0) : "";
}

std::map<std::string, long> Ledger::counts() const {
  std::map<std::string, long> found;
  Statement statement = state_->prepare("SELECT status, count(*) FROM tasks GROUP BY status");
  while (statement.step()) found[statement.text(0)] = statement.integer(1);
  return found;
}

double Ledger::Row::number(int column) const {
  const Cell found = cell(column);
  const auto* value = std::get_if<double>(&found);
  return value ? *value : std::numeric_limits<double>::quiet_NaN();
}
std::string Ledger::Row::text(int column) const { return static_cast<const Statement*>(statement_)->text(column); }
Cell Ledger::Row::cell(int column) const { return static_cast<const Statement*>(statement_)->cell(column); }

std::vector<std::string> Ledger::columns(const std::string& table) const {
  std::vector<std::string> names;
  Statement info = state_->prepare("SELECT name FROM pragma_table_info(" + identifier(table) + ")");
  while (info.step()) names.push_back(info.text(0));
  return names;
}

void Ledger::scan(const std::string& query, const std::function<void(const Row&)>& use) const {
  Statement statement = state_->prepare(query);
  const Row row(&statement);
  while (statement.step()) use(row);
}

void Ledger::absorb(const std::filesystem::path& directory) {
  const Ledger other(directory);
  State& s = *state_;
  std::set<long> kept_tasks, kept_patients;
  other.scan("SELECT task, patient, status FROM tasks WHERE status <> 'done'", [&](const Row& row) {
    const long task = std::lround(row.number(0));
    Statement& mine = s.kept("SELECT status FROM tasks WHERE task = ?").bind(1, task);
    const std::string status = mine.step() ? mine.text(0) : "";
    mine.reset();
    if (status != "done" && (status != "rejected" || row.text(2) == "rejected")) return;
    kept_tasks.insert(task);
    kept_patients.insert(std::lround(row.number(1)));
  });
  for (const char* name : {"tasks", "patients", "endpoints", "visits"}) {
    const std::vector<std::string> names = other.columns(name);
    const std::set<long>& kept = std::string_view(name) == "patients" ? kept_patients : kept_tasks;
    other.scan("SELECT * FROM " + identifier(name), [&](const Row& row) {
      if (kept.contains(std::lround(row.number(0)))) return;  // the first column is the task or the patient
      Cells cells;
      for (std::size_t c = 0; c < names.size(); ++c) {
        const Cell cell = row.cell(static_cast<int>(c));
        if (!std::holds_alternative<std::monostate>(cell)) cells[names[c]] = cell;
      }
      s.guarded([&] { s.put_wide(name, {}, cells); });
    });
  }
  commit();
}

}  // namespace sanctuary
