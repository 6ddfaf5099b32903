#include "cohort/cohort.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <map>
#include <numbers>
#include <unordered_set>

#include "base/build_info.hpp"
#include "base/catalogue.hpp"
#include "base/comm.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "cohort/cost_model.hpp"
#include "cohort/parameters.hpp"
#include "cohort/scheduler.hpp"
#include "cohort/tables.hpp"
#include "cohort/task.hpp"
#include "cohort/task_pool.hpp"
#include "io/ledger.hpp"
#include "io/run_file.hpp"
#include "patient/parameters.hpp"

namespace sanctuary {
namespace {

constexpr long most_variants = 4096;     // a task's number in the ledger is patient * most_variants + variant
constexpr long scores_up_to = 20000;     // patients for whom the cost model looks at what was drawn
constexpr std::size_t kinds_up_to = 64;  // variants that the cost model tells apart; of more, baselines from arms
constexpr double fit_share = 0.02;       // of the coordinator's time
constexpr std::string_view crashed = "crashed";

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

// What a deck says, by key.
std::map<std::string, std::string> said(const Deck& deck) {
  std::map<std::string, std::string> all;
  for (const Deck::Entry& entry : deck.entries()) all[entry.key] = entry.value;
  for (const auto* parameter : {&vary::key, &plausible::key, &target::key}) {
    const std::string section(parameter->key.substr(0, parameter->key.size() - 1));
    for (const Deck::Open& open : deck.open(*parameter)) all[section + open.key] = open.text;
  }
  // Patients are drawn by the place of a key in [vary], baselines are named by the place of their arm.
  std::string& order = all["order of [vary]"];
  for (const Deck::Open& open : deck.open(vary::key)) order += (order.empty() ? "" : ", ") + open.key;
  for (const std::string& name : deck.names("arm")) {
    for (const Deck::Open& open : deck.open(arm::key, name)) all["arm." + name + "." + open.key] = open.text;
  }
  return all;
}

// Keys that change no task's result: they may differ from those the folder was begun with.
bool is_free_to_change(const std::string& key) {
  return key == cohort::time_budget.key || key == cohort::memory_budget.key || key == cohort::attempts.key ||
         key == cohort::sensitivity.key || key == cohort::weight_moments.key || key.starts_with("target.");
}

/// Refuses a folder of another deck. With `extend`, more patients and new arms are no other deck.
void check_same_cohort(const std::filesystem::path& directory, const std::string& old_text, const Deck& deck,
                       bool extend) {
  const Deck old = Deck::from_text(old_text, directory, {}, cohort_catalogue());
  const auto before = said(old), now = said(deck);
  const std::vector<std::string> arms_before = old.names("arm");
  std::vector<std::string> changes;
  bool extends = false;
  const auto differs = [&](const std::string& key) {
    const auto a = before.find(key), b = now.find(key);
    const std::string was = a == before.end() ? "(absent)" : a->second, is = b == now.end() ? "(absent)" : b->second;
    if (was == is || is_free_to_change(key)) return;
    if (key == cohort::patients.key && std::stol(is) > std::stol(was)) {
      extends = true;
      if (extend) return;
    }
    if (key.starts_with("arm.") && a == before.end()) {
      const std::string name = key.substr(4, key.find('.', 4) - 4);
      if (std::find(arms_before.begin(), arms_before.end(), name) == arms_before.end() && !arms_before.empty()) {
        extends = true;
        if (extend) return;
      }
    }
    changes.push_back(fmt::format("  {}: was {}, is {}", key, was, is));
  };
  for (const auto& [key, value] : before) differs(key);
  for (const auto& [key, value] : now) {
    if (!before.contains(key)) differs(key);
  }
  std::vector<std::string> arms_now = deck.names("arm");
  std::erase_if(arms_now, [&](const std::string& name) {
    return std::find(arms_before.begin(), arms_before.end(), name) == arms_before.end();
  });
  const bool reordered = arms_now.size() == arms_before.size() && arms_now != arms_before;
  const std::vector<std::string> all_now = deck.names("arm");
  if (reordered || (extends && !std::equal(arms_now.begin(), arms_now.end(), all_now.begin())))
    changes.push_back(
        fmt::format("  order of the arms: was {}, is {}; new ones come last", joined(arms_before), joined(all_now)));
  if (changes.empty()) return;
  std::string text = fmt::format("{} holds a cohort of another deck; what changed:\n", directory.string());
  for (const std::string& change : changes) text += change + "\n";
  throw InputError(text +
                   (extends ? "more patients or arms are added with --extend; otherwise choose"
                            : "Go on with the deck it was begun with, or choose") +
                   " another folder with -o");
}

std::vector<std::uint64_t> blocks_from(const std::string& text) {
  std::vector<std::uint64_t> blocks;
  for (const std::string& part : split(text, ',')) blocks.push_back(std::stoull(part));
  return blocks;
}

std::string blocks_text(const std::vector<std::uint64_t>& blocks) {
  std::string text;
  for (const std::uint64_t block : blocks) text += (text.empty() ? "" : ",") + std::to_string(block);
  return text;
}

TaskStatus status_named(const std::string& name) {
  if (name == "done") return TaskStatus::done;
  if (name == "failed") return TaskStatus::failed;
  if (name == "rejected") return TaskStatus::rejected;
  return TaskStatus::pending;  // pending, running, interrupted
}

std::string shard_text(const CohortOptions& options) {
  return options.is_shard ? fmt::format("{}/{}", options.shard, options.shards) : std::string("whole");
}

/// The coordinator's side of a cohort; on rank 0 alone.
class Book {
 public:
  Book(const CohortPlan& plan, Ledger& ledger, const CohortOptions& options, int workers)
      : plan_(plan),
        ledger_(ledger),
        options_(options),
        widths_(plan.widths(workers)),
        scheduler_(workers, widths_),
        scores_(plan.patients() <= scores_up_to && plan.laws().size() <= 64),
        model_(feature_count(), prior()) {
    begin_ = std::chrono::steady_clock::now();
    number_variants();
    look_at_patients();
    add_tasks();
    take_over();
    scheduler_.start();
    learn_from_before();
    refit();
  }

  [[nodiscard]] Scheduler& scheduler() { return scheduler_; }
  [[nodiscard]] const CohortProgress& counts() const { return counts_; }

  [[nodiscard]] PoolBook callbacks() {
    PoolBook book;
    book.order = [this](long task) { return order(task); };
    book.finished = [this](long task, std::string_view report, double) { return finished(task, report); };
    book.commit = [this] { ledger_.commit(); };
    book.settled = [this](long task, TaskStatus status) { settled(task, status); };
    book.stop_requested = options_.stop_requested;
    book.excuse = [this] { ledger_.excuse_in_flight(); };
    book.progress = [this](const PoolState& state) { show(state); };
    return book;
  }

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] std::vector<double> prior() const {
    // 1e-5 s per cell for a state before treatment, tenfold for an arm: only its shape matters.
    std::vector<double> weights(feature_count(), 0.0);
    weights[0] = std::log(1e-5);
    weights[1] = 1;
    for (std::size_t v = 0; v < plan_.variants().size(); ++v)
      weights[2 + kind_of(v)] = plan_.variants()[v].is_baseline ? 0 : std::log(10.0);
    return weights;
  }

  [[nodiscard]] long variants() const { return static_cast<long>(plan_.variants().size()); }
  [[nodiscard]] long patient_of(long task) const { return options_.shard + task / variants() * options_.shards; }
  [[nodiscard]] std::size_t variant_of(long task) const { return static_cast<std::size_t>(task % variants()); }
  [[nodiscard]] long number_of(long task) const { return patient_of(task) * most_variants + ids_[variant_of(task)]; }
  [[nodiscard]] const std::string& name_of(long task) const { return plan_.variants()[variant_of(task)].name; }
  [[nodiscard]] long parent_number(long task) const {
    const long parent = scheduler_.parent(task);
    return parent < 0 ? -1 : number_of(parent);
  }

  // Numbers stay with the names, so that an extension by arms leaves the tasks that are there alone.
  void number_variants() {
    std::vector<std::string> names = split(ledger_.meta("variants").value_or(""), ',');
    for (const Variant& variant : plan_.variants()) {
      auto found = std::find(names.begin(), names.end(), variant.name);
      if (found == names.end()) found = names.insert(names.end(), variant.name);
      ids_.push_back(found - names.begin());
    }
    if (static_cast<long>(names.size()) > most_variants) throw InputError("a cohort has at most 4096 arms");
    variant_with_.assign(most_variants, -1);
    for (std::size_t v = 0; v < ids_.size(); ++v)
      variant_with_[static_cast<std::size_t>(ids_[v])] = static_cast<long>(v);
    ledger_.set_meta("variants", joined(names));
  }

  [[nodiscard]] std::size_t patients_here() const {
    return static_cast<std::size_t>(
        std::max(0L, (plan_.patients() - options_.shard + options_.shards - 1) / options_.shards));
  }

  /// What earlier runs took.
  void learn_from_before() {
    constexpr int enough = 10000;
    const std::string query = fmt::format(
        "SELECT task, wall_s FROM tasks WHERE status = 'done' AND wall_s > 0 ORDER BY task LIMIT {}", enough);
    ledger_.scan(query, [&](const Ledger::Row& row) {
      const long task = task_of(static_cast<long>(row.number(0)));
      if (task >= 0) model_.learn(features(task), row.number(1));
    });
  }

  // What the cost model asks of each patient again and again.
  void look_at_patients() {
    for (std::size_t i = 0; i < patients_here(); ++i) {
      const long patient = options_.shard + static_cast<long>(i) * options_.shards;
      if (plan_.cells_vary()) log_cells_.push_back(static_cast<float>(std::log(plan_.cells_of(patient, 0))));
      if (!scores_) continue;
      for (const double u : plan_.design().uniforms(static_cast<std::uint64_t>(patient)))
        score_.push_back(static_cast<float>(2 * std::numbers::sqrt3 * (u - 0.5)));
    }
  }

  void add_tasks() {
    attempts_.assign(patients_here() * plan_.variants().size(), 0);
    for (long p = options_.shard; p < plan_.patients(); p += options_.shards) {
      const long first = scheduler_.tasks();
      for (std::size_t v = 0; v < plan_.variants().size(); ++v) {
        TaskNode node;
        const int parent = plan_.variants()[v].parent;
        if (parent >= 0) node.parent = first + parent;
        node.width = plan_.width_of(p, v, widths_.back());
        scheduler_.add(node);
      }
    }
  }

  [[nodiscard]] long task_of(long number) const {
    const long patient = number / most_variants;
    const long variant = variant_with_[static_cast<std::size_t>(number % most_variants)];
    if (variant < 0 || patient >= plan_.patients() || patient % options_.shards != options_.shard) return -1;
    return (patient - options_.shard) / options_.shards * variants() + variant;
  }

  /// What earlier runs settled, and what died with them.
  void take_over() {
    const std::vector<long> in_flight = ledger_.in_flight();  // as the last run left it
    for (const LedgerStatus& row : ledger_.statuses()) {
      const long task = task_of(row.task);
      if (task < 0) continue;
      TaskStatus status = status_named(row.status);
      attempts_[static_cast<std::size_t>(task)] = row.attempts;
      if (status == TaskStatus::failed && options_.retry_failed) {
        status = TaskStatus::pending;
        attempts_[static_cast<std::size_t>(task)] = 0;
        ledger_.put_status(row.task, "pending", 0, "");
      } else if (row.status == "interrupted") {
        ledger_.put_status(row.task, "pending", row.attempts, "");
      }
      scheduler_.restore(task, status);
      count(status, 1);
      if (status != TaskStatus::pending) ++counts_.done_before;
      if (plan_.variants()[variant_of(task)].is_baseline &&
          (status == TaskStatus::failed || status == TaskStatus::rejected))
        refused_.insert(patient_of(task));
    }
    const bool excused = ledger_.in_flight_is_excused();
    const long most = plan_.deck().integer(cohort::attempts);
    long victims = 0;
    for (const long number : in_flight) {
      const long task = task_of(number);
      if (task < 0) continue;
      int& attempts = attempts_[static_cast<std::size_t>(task)];
      if (!excused) ++attempts, ++victims;
      LedgerTask row = row_of(task, "pending");
      if (attempts >= most) {
        row.status = "failed";
        row.reason = fmt::format("{}: the program died {} times with this task in flight", crashed, attempts);
        save_deck(task, plan_.deck_of(patient_of(task), variant_of(task)).resolved());
        scheduler_.restore(task, TaskStatus::failed);
        count(TaskStatus::failed, 1);
        ++counts_.done_before;
      }
      ledger_.put(row);
      put_patient(task, row.status, row.reason);
    }
    if (victims > 0)
      log::warning("{}: the last run died with {} {} in flight; they come last, alone if it happens again",
                   options_.directory.string(), victims, victims == 1 ? "task" : "tasks");
    for (long task = 0; task < scheduler_.tasks(); ++task) {
      const long parent = scheduler_.parent(task);
      const TaskStatus above = parent < 0 ? TaskStatus::done : scheduler_.status(parent);
      if (scheduler_.status(task) != TaskStatus::pending) continue;
      if (above == TaskStatus::failed || above == TaskStatus::rejected) {
        drop(task, above, ledger_.reason(number_of(parent)));
        scheduler_.restore(task, above);
        ++counts_.done_before;
      }
    }
    ledger_.begin_run();
    for (long task = 0; task < scheduler_.tasks(); ++task)
      scheduler_.set_crashes(task, attempts_[static_cast<std::size_t>(task)]);
    counts_.tasks = scheduler_.tasks();
  }

  [[nodiscard]] LedgerTask row_of(long task, const std::string& status) const {
    LedgerTask row;
    row.task = number_of(task);
    row.patient = patient_of(task);
    row.variant = name_of(task);
    row.status = status;
    row.parent = parent_number(task);
    row.attempts = attempts_[static_cast<std::size_t>(task)];
    row.expected = scheduler_.expected(task);
    return row;
  }

  std::string order(long task) {
    ledger_.note_in_flight(number_of(task));
    ledger_.put_started(number_of(task), patient_of(task), name_of(task), parent_number(task),
                        scheduler_.expected(task));
    return packed(TaskOrder{patient_of(task), variant_of(task)});
  }

  TaskStatus finished(long task, std::string_view bytes) {
    const TaskReport report = report_from(bytes);
    if (report.status == "io") throw IoError(report.reason);
    if (report.status == "deck") throw InputError(plan_.deck().file() + ": " + report.reason);
    LedgerTask row = row_of(task, report.status);
    if (report.status != "interrupted") row.attempts = ++attempts_[static_cast<std::size_t>(task)];
    row.ranks = report.ranks;
    row.host = report.host;
    row.started =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count() - report.wall;
    row.wall = report.wall;
    row.cpu = report.cpu;
    row.memory = report.memory;
    row.reason = report.reason;
    ledger_.put(row);
    if (report.status == "interrupted") return TaskStatus::interrupted;
    put_patient(task, report.status, report.reason);
    if (!report.endpoints.empty()) ledger_.put_endpoints(row.task, row.patient, row.variant, report.endpoints);
    if (!report.visits.empty()) ledger_.put_visits(row.task, row.patient, row.variant, report.visits);
    const TaskStatus status = status_named(report.status);
    if (status == TaskStatus::done) {
      model_.learn(features(task), report.wall);
      if (options_.retry_failed) remove_file(failed_deck(task));
    } else {
      if (status == TaskStatus::failed) save_deck(task, report.deck);
      for (long c = scheduler_.first_child(task); c >= 0; c = scheduler_.next_sibling(c))
        drop(c, status, report.reason);
    }
    return status;
  }

  /// A row for a task that never runs, because of what became of its state before treatment.
  void drop(long task, TaskStatus status, const std::string& why) {
    LedgerTask row = row_of(task, status == TaskStatus::failed ? "failed" : "rejected");
    row.reason = status == TaskStatus::failed ? "its state before treatment failed: " + why : why;
    ledger_.put(row);
    count(status, 1);
  }

  void settled(long task, TaskStatus status) {
    left_ -= rank_seconds(task);
    if (status == TaskStatus::interrupted) return;
    count(status, 1);
    if (status != TaskStatus::done) {
      for (long c = scheduler_.first_child(task); c >= 0; c = scheduler_.next_sibling(c)) {
        left_ -= rank_seconds(c);
        scheduler_.dropped(c, status);
      }
    }
    if (patient_is_settled(task)) remove_work(task);
    if (model_.learned() >= next_fit_ && Clock::now() >= fit_not_before_) refit();
  }

  [[nodiscard]] double rank_seconds(long task) const { return scheduler_.expected(task) * scheduler_.width(task); }

  [[nodiscard]] bool is_settled(long task) const {
    const TaskStatus s = scheduler_.status(task);
    return s == TaskStatus::done || s == TaskStatus::failed || s == TaskStatus::rejected;
  }
  [[nodiscard]] bool patient_is_settled(long task) const {
    const long first = task - task % variants();
    for (long t = first; t < first + variants(); ++t) {
      if (!is_settled(t)) return false;
    }
    return true;
  }

  /// Baselines and what failed tasks left go with the last task of their patient. Folders above stay until the end: a
  /// group may be about to make its own in them.
  void remove_work(long task) const {
    std::error_code ignored;
    std::filesystem::remove_all(work_folder(options_.directory, patient_of(task), name_of(task)).parent_path(),
                                ignored);
  }

  void put_patient(long task, const std::string& status, const std::string& reason) {
    const bool judged = plan_.variants()[variant_of(task)].is_baseline;
    if (!judged && scheduler_.parent(task) >= 0) return;  // its baseline wrote the row
    Cells cells;
    const std::vector<Draw> draws = plan_.draws(patient_of(task));
    for (std::size_t i = 0; i < draws.size(); ++i)
      cells[draws[i].key] = plan_.laws()[i].is_choice() ? Cell(draws[i].text) : Cell(draws[i].value);
    if (judged) {
      // One of several states before treatment that is not accepted speaks for the patient.
      if (status != "done") refused_.insert(patient_of(task));
      if (status == "done" && refused_.contains(patient_of(task))) return;
      cells["status"] = status == "done" ? "accepted" : status;
      if (!reason.empty()) cells["reason"] = reason;
    } else {
      cells["status"] = "accepted";
    }
    ledger_.put_patient(patient_of(task), cells);
  }

  void save_deck(long task, const std::string& deck) const {
    if (deck.empty()) return;
    make_directory(failed_deck(task).parent_path());
    write_text_atomically(failed_deck(task), deck);
  }
  [[nodiscard]] std::filesystem::path failed_deck(long task) const {
    return options_.directory / "failed" / fmt::format("{}_{}.ini", patient_of(task), name_of(task));
  }

  [[nodiscard]] std::size_t kinds() const {
    return plan_.variants().size() <= kinds_up_to ? plan_.variants().size() : 2;
  }
  [[nodiscard]] std::size_t kind_of(std::size_t variant) const {
    if (plan_.variants().size() <= kinds_up_to) return variant;
    return plan_.variants()[variant].is_baseline ? 0 : 1;
  }
  [[nodiscard]] std::size_t feature_count() const { return 2 + kinds() + (scores_ ? plan_.laws().size() : 0); }

  /// Valid until the next call.
  [[nodiscard]] const std::vector<double>& features(long task) {
    std::vector<double>& x = features_;
    x.assign(feature_count(), 0.0);
    const auto place = static_cast<std::size_t>(task / variants());
    x[0] = 1;
    x[1] = plan_.cells_vary() ? log_cells_[place] : std::log(plan_.cells_of(0, variant_of(task)));
    x[2 + kind_of(variant_of(task))] = 1;
    if (scores_) {
      const std::size_t count = plan_.laws().size();
      std::copy_n(score_.begin() + static_cast<long>(place * count), count, x.begin() + static_cast<long>(2 + kinds()));
    }
    return x;
  }

  void refit() {
    const auto start = Clock::now();
    next_fit_ = std::max(8L, 2 * model_.learned());
    model_.refit();
    left_ = 0;
    for (long task = 0; task < scheduler_.tasks(); ++task) {
      const TaskStatus status = scheduler_.status(task);
      if (status != TaskStatus::pending && status != TaskStatus::running) continue;
      if (status == TaskStatus::pending) scheduler_.expect(task, model_.predict(features(task)));
      left_ += rank_seconds(task);
    }
    scheduler_.reorder();
    fit_not_before_ = Clock::now() + std::chrono::duration_cast<Clock::duration>((Clock::now() - start) / fit_share);
  }

  void count(TaskStatus status, long by) {
    if (status == TaskStatus::done) counts_.done += by;
    if (status == TaskStatus::failed) counts_.failed += by;
    if (status == TaskStatus::rejected) counts_.rejected += by;
  }

  void show(const PoolState& state) {
    counts_.running = scheduler_.running();
    counts_.elapsed = std::chrono::duration<double>(Clock::now() - begin_).count();
    counts_.efficiency = state.efficiency();
    const int workers = scheduler_.groups() * widths_.front();
    counts_.left = model_.learned() > 0 ? std::max(0.0, left_) / std::max(1, workers) : -1;
    if (options_.progress) options_.progress(counts_);
  }

  const CohortPlan& plan_;
  Ledger& ledger_;
  const CohortOptions& options_;
  std::vector<int> widths_;
  Scheduler scheduler_;
  bool scores_;
  CostModel model_;
  std::vector<long> ids_;             // number of each variant in the ledger
  std::vector<long> variant_with_;    // variant of each number; -1: none
  std::vector<int> attempts_;         // of each task
  std::unordered_set<long> refused_;  // patients with a state before treatment that failed or was rejected
  std::vector<float> log_cells_;      // of each patient, where they vary
  std::vector<float> score_;          // of what was drawn for each patient, where the cost model looks at it
  std::vector<double> features_;
  CohortProgress counts_;
  Clock::time_point begin_;
  double left_ = 0;  // [rank s] expected for what is not settled
  long next_fit_ = 8;
  Clock::time_point fit_not_before_;
};

/// Opens the ledger of a folder for a deck: a new one, or one that fits. Returns the blocks of a Latin hypercube.
std::vector<std::uint64_t> open_ledger(const Deck& deck, const CohortOptions& options, std::optional<Ledger>& ledger) {
  const bool old = Ledger::exists(options.directory);
  if (!old && run_state(options.directory) != RunState::none)
    throw InputError(options.directory.string() + " holds the run of a single patient: choose another folder with -o");
  ledger.emplace(options.directory);
  const long patients = deck.integer(cohort::patients);
  std::vector<std::uint64_t> blocks{static_cast<std::uint64_t>(patients)};
  if (const auto before = ledger->meta("deck"); old && before) {
    const std::string shard = ledger->meta("shard").value_or("whole");
    if (shard != shard_text(options))
      throw InputError(fmt::format("{} holds shard {} of a cohort: go on with it by `sanctuary resume {}`",
                                   options.directory.string(), shard, options.directory.string()));
    check_same_cohort(options.directory, *before, deck, options.extend);
    blocks = blocks_from(ledger->meta("blocks").value_or(std::to_string(patients)));
    std::uint64_t sum = 0;
    for (const std::uint64_t block : blocks) sum += block;
    if (static_cast<std::uint64_t>(patients) > sum) blocks.push_back(static_cast<std::uint64_t>(patients) - sum);
  } else {
    ledger->set_meta("program_version", options.program_version);
    ledger->set_meta("git_hash", options.git_hash);
    ledger->set_meta("command", options.command);
    ledger->set_meta("shard", shard_text(options));
  }
  ledger->set_meta("deck", deck.resolved());
  ledger->set_meta("finished", "no");
  ledger->set_meta("blocks", blocks_text(blocks));
  write_text_atomically(options.directory / "deck.ini", deck.resolved());
  ledger->commit();
  return blocks;
}

std::vector<std::uint64_t> shared(MPI_Comm comm, const std::vector<std::uint64_t>& values) {
  std::vector<long> list(values.begin(), values.end());
  broadcast(comm, list);
  return {list.begin(), list.end()};
}

// What the tables rest on, in a line; warnings go to the log.
std::string told(const TableSummary& summary, const CohortPlan& plan, const std::filesystem::path& directory) {
  for (const std::string& remark : summary.remarks) log::warning("{}: {}", directory.string(), remark);
  std::string text = fmt::format("{} of {} patients count", summary.accepted, plan.patients());
  for (std::size_t i = 0; i < summary.outside.size(); ++i) {
    if (summary.outside[i] > 0)
      text += fmt::format(", {} outside [plausible] {}", summary.outside[i], plan.plausible()[i].endpoint);
  }
  if (!plan.targets().empty()) text += fmt::format("; effective sample size {:.1f}", summary.effective);
  return text;
}

}  // namespace

std::filesystem::path shard_folder(const std::filesystem::path& directory, long shard, long shards) {
  return directory / "shards" / fmt::format("{}_of_{}", shard, shards);
}

CohortResult run_cohort(MPI_Comm comm, const Deck& as_given, const CohortOptions& given) {
  const double begin = MPI_Wtime();
  const Deck deck = with_arms(comm, as_given);
  CohortOptions options = given;
  if (options.is_shard) options.directory = shard_folder(given.directory, given.shard, given.shards);
  const int workers = pool_workers(size_of(comm));
  // The deck, and the ranks it asks for, are judged before a folder is made for it.
  std::optional<CohortPlan> plan;
  std::optional<Ledger> ledger;
  std::vector<std::uint64_t> blocks;
  plan.emplace(deck);
  std::vector<int> widths;
  together(comm, [&] { widths = plan->widths(workers); });
  on_root(comm, [&] { blocks = open_ledger(deck, options, ledger); });
  blocks = shared(comm, blocks);
  if (blocks.size() > 1 && deck.text(cohort::design) == "latin_hypercube") plan.emplace(deck, blocks);
  std::optional<Book> book;
  PoolBook callbacks;
  on_root(comm, [&] {
    const int unused = workers % widths.front();
    if (unused > 0)
      log::warning("{} of {} ranks stay idle: groups have {} ranks, and one rank coordinates", unused, size_of(comm),
                   widths.front());
    book.emplace(*plan, *ledger, options, workers);
    callbacks = book->callbacks();
  });
  const TaskSetting setting{&*plan, options.directory, options.command, options.git_hash, options.stop_requested};
  const PoolWork work = [&](MPI_Comm group, std::string_view order, const std::function<bool()>& stop) {
    if (options.task) return packed(options.task(group, unpacked(order)));
    return packed(run_task(group, setting, unpacked(order), stop));
  };
  const double start_up = MPI_Wtime() - begin;
  PoolState state;
  const bool all =
      run_pool(comm, widths, book ? &book->scheduler() : nullptr, book ? &callbacks : nullptr, work, &state);

  CohortResult result;
  std::vector<long> counts(4, 0);
  const double end = MPI_Wtime();
  on_root(comm, [&] {
    ledger->commit();
    const CohortProgress& c = book->counts();
    counts = {c.done, c.failed, c.rejected, c.tasks - c.done - c.failed - c.rejected};
    if (all && !options.is_shard)
      result.tables_text = told(write_tables(*plan, *ledger, options.directory), *plan, options.directory);
    if (all) {
      std::error_code ignored;
      std::filesystem::remove_all(options.directory / "work", ignored);
      ledger->set_meta("finished", "yes");
      ledger->commit();
    }
  });
  broadcast(comm, counts);
  result.tables_text = broadcast(comm, result.tables_text);
  result.tables = MPI_Wtime() - end;
  result.start_up = start_up;
  result.done = counts[0];
  result.failed = counts[1];
  result.rejected = counts[2];
  result.pending = counts[3];
  result.directory = options.directory;
  result.elapsed = state.elapsed;
  result.efficiency = state.efficiency();
  result.code = !all ? ExitCode::stopped : result.failed > 0 ? ExitCode::partial : ExitCode::done;
  return result;
}

CohortResult merge_cohort(MPI_Comm comm, const Deck& as_given, const CohortOptions& given) {
  const Deck deck = with_arms(comm, as_given);
  CohortOptions options = given;
  options.extend = true;  // the shards were extended already
  CohortResult result;
  std::vector<long> counts(4, 0);
  std::vector<std::uint64_t> blocks;
  std::string variants;
  long shards = 0;
  on_root(comm, [&] {
    const auto folder = options.directory / "shards";
    std::vector<std::filesystem::path> found;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
      if (Ledger::exists(entry.path())) found.push_back(entry.path());
    }
    if (found.empty())
      throw InputError(folder.string() + ": no shards here; run `sanctuary cohort DECK -o DIR --shard I/N` first");
    const std::string name = found.front().filename().string();
    shards = std::stol(name.substr(name.find("_of_") + 4));
    std::vector<std::string> missing;
    for (long s = 0; s < shards; ++s) {
      const auto shard = shard_folder(options.directory, s, shards);
      if (!Ledger::exists(shard)) {
        missing.push_back(fmt::format("{} (not begun)", shard.filename().string()));
        continue;
      }
      std::optional<Ledger> opened;
      try {
        opened.emplace(shard);
      } catch (const LedgerInUse&) {
        missing.push_back(fmt::format("{} (at work)", shard.filename().string()));
        continue;
      }
      const Ledger& ledger = *opened;
      if (!ledger.meta("deck")) {
        missing.push_back(fmt::format("{} (not begun)", shard.filename().string()));
        continue;
      }
      check_same_cohort(shard, ledger.meta("deck").value_or(""), deck, false);
      const std::vector<std::uint64_t> mine = blocks_from(ledger.meta("blocks").value_or(""));
      if (!blocks.empty() && mine != blocks && deck.text(cohort::design) == "latin_hypercube")
        throw InputError(
            fmt::format("{}: its Latin hypercube was not extended as those of the shards before; "
                        "run it anew from the first number of patients on",
                        shard.string()));
      blocks = mine;
      const std::string names = ledger.meta("variants").value_or("");
      if (!variants.empty() && names != variants)
        throw InputError(
            fmt::format("{}: its arms were added in another order ({}) than those of the shards before ({}); "
                        "run it anew",
                        shard.string(), names, variants));
      variants = names;
      if (ledger.meta("finished").value_or("") != "yes")
        missing.push_back(fmt::format("{} (not finished)", shard.filename().string()));
    }
    if (static_cast<long>(found.size()) > shards)
      throw InputError(fmt::format("{}: shards of different cuts lie here; expected those of N = {} alone",
                                   folder.string(), shards));
    if (!missing.empty())
      throw Stopped(
          fmt::format("{}: shards are missing: {}; run them, then merge again", folder.string(), joined(missing)));
  });
  blocks = shared(comm, blocks);
  const bool hypercube = deck.text(cohort::design) == "latin_hypercube";
  const CohortPlan plan(deck, hypercube ? blocks : std::vector<std::uint64_t>{});
  on_root(comm, [&] {
    std::optional<Ledger> ledger;
    (void)open_ledger(deck, options, ledger);
    for (long s = 0; s < shards; ++s) ledger->absorb(shard_folder(options.directory, s, shards));
    ledger->set_meta("variants", variants);
    ledger->set_meta("blocks", blocks_text(blocks));
    result.tables_text = told(write_tables(plan, *ledger, options.directory), plan, options.directory);
    ledger->set_meta("finished", "yes");
    ledger->commit();
    auto by = ledger->counts();
    counts = {by["done"], by["failed"], by["rejected"], plan.tasks() - by["done"] - by["failed"] - by["rejected"]};
  });
  broadcast(comm, counts);
  result.done = counts[0];
  result.failed = counts[1];
  result.rejected = counts[2];
  result.pending = counts[3];
  result.directory = options.directory;
  result.code = result.failed > 0 ? ExitCode::partial : ExitCode::done;
  return result;
}

}  // namespace sanctuary
