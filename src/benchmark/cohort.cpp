#include "cohort/cohort.hpp"

#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "benchmark/benchmark.hpp"
#include "benchmark/cohort_model.hpp"
#include "benchmark/measure.hpp"
#include "cohort/cost_model.hpp"
#include "cohort/parameters.hpp"
#include "cohort/scheduler.hpp"
#include "cohort/task_pool.hpp"
#include "io/atomic_file.hpp"
#include "io/ledger.hpp"

namespace sanctuary {
namespace {

constexpr double not_measured = std::numeric_limits<double>::quiet_NaN();

/// A folder that goes when this does. On rank 0 alone.
class Scratch {
 public:
  explicit Scratch(const std::filesystem::path& parent) {
    std::string name = (parent / "sanctuary_bench_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw IoError(io_message("make a folder in", parent, errno));
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::filesystem::path scratch_parent(const BenchmarkContext& context) {
  if (context.options.has("directory")) return context.options.text("directory", "");
  return std::filesystem::temp_directory_path();
}

/// Runs `work` on rank 0 while the others sleep, and emits what it makes. Collective.
void emit_from_root(BenchmarkContext& context, const std::function<Record()>& work) {
  Record record;
  on_first_ranks(context.comm, 1, [&](MPI_Comm) { record = work(); });
  context.emit(record);
}

Record number_or_null(double value) { return std::isfinite(value) ? Record(value) : Record(); }

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return not_measured;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

Record spread(const std::vector<double>& values) {
  return {{"min", number_or_null(smallest(values))},
          {"median", number_or_null(median(values))},
          {"max", number_or_null(values.empty() ? not_measured : *std::max_element(values.begin(), values.end()))}};
}

/// What a task of a patient reports, in small.
TaskReport hollow_report(const TaskOrder& order) {
  TaskReport report;
  report.status = "done";
  report.wall = report.cpu = 1e-3;
  report.memory = 1e8;
  report.host = "bench";
  const auto value = static_cast<double>(order.patient) + 0.1 * static_cast<double>(order.variant);
  for (const char* name : {"log_kill", "sanctuary_share", "perfused_fraction", "hypoxic_fraction", "volume_mm3"})
    report.endpoints[name] = value + 0.123456789;
  return report;
}

// ---- throughput --------------------------------------------------------------------------------------------------

/// The coordinator's side of tasks that do nothing; with a ledger, what a cohort writes of each.
class HollowBook {
 public:
  HollowBook(Scheduler& scheduler, Ledger* ledger) : scheduler_(scheduler), ledger_(ledger) {}

  [[nodiscard]] PoolBook callbacks() {
    PoolBook book;
    book.order = [this](long task) {
      if (!ledger_) return std::string(1, 'x');
      ledger_->note_in_flight(task);
      ledger_->put_started(task, task, "arm", -1, 1);
      return packed(TaskOrder{task, 0});
    };
    book.finished = [this](long task, std::string_view bytes, double) {
      if (!ledger_) return TaskStatus::done;
      const TaskReport report = report_from(bytes);
      LedgerTask row;
      row.task = row.patient = task;
      row.variant = "arm";
      row.status = report.status;
      row.attempts = row.ranks = 1;
      row.host = report.host;
      row.wall = report.wall;
      row.cpu = report.cpu;
      row.memory = report.memory;
      ledger_->put(row);
      ledger_->put_endpoints(task, task, row.variant, report.endpoints);
      return TaskStatus::done;
    };
    book.commit = [this] {
      if (!ledger_) return;
      const double begin = MPI_Wtime();
      ledger_->commit();
      commits_.push_back(MPI_Wtime() - begin);
    };
    return book;
  }
  [[nodiscard]] const std::vector<double>& commits() const { return commits_; }

 private:
  Scheduler& scheduler_;
  Ledger* ledger_;
  std::vector<double> commits_;
};

/// One run of hollow tasks.
struct Throughput {
  double seconds = 0, processor = 0;  // of the coordinator
  std::vector<double> commits;
};

Throughput run_hollow(MPI_Comm comm, long tasks, bool with_ledger, const std::filesystem::path& parent) {
  const std::vector<int> widths{1};
  std::optional<Scratch> scratch;
  std::optional<Ledger> ledger;
  std::optional<Scheduler> scheduler;
  std::optional<HollowBook> book;
  PoolBook callbacks;
  on_root(comm, [&] {
    scheduler.emplace(pool_workers(size_of(comm)), widths);
    for (long t = 0; t < tasks; ++t) scheduler->add({});
    scheduler->start();
    if (with_ledger) {
      scratch.emplace(parent);
      ledger.emplace(scratch->path());
      ledger->begin_run();
    }
    book.emplace(*scheduler, ledger ? &*ledger : nullptr);
    callbacks = book->callbacks();
  });
  const PoolWork work = [&](MPI_Comm, std::string_view order, const std::function<bool()>&) {
    return with_ledger ? packed(hollow_report(unpacked(order))) : std::string(1, 'x');
  };
  PoolState state;
  const double processor = processor_seconds();
  run_pool(comm, widths, scheduler ? &*scheduler : nullptr, book ? &callbacks : nullptr, work, &state);
  Throughput found;
  found.processor = processor_seconds() - processor;
  found.seconds = state.elapsed;
  if (book) found.commits = book->commits();
  return found;
}

/// A small tumour in three arms from one state before treatment, three parameters varied.
Deck hollow_deck(long patients) {
  const std::string text = R"([patient]
kind = nodule
duration = 24 h
[grid]
cells = 8
spacing = 50 um
[tumour]
radius = 150 um
[network]
source = generate
[network.generate]
preset = xenograft
[cohort]
design = sobol
patients = )" + std::to_string(patients) +
                           R"(
[vary]
interstitium.hydraulic_conductivity.tumour = lognormal(median = 4.13e-8 cm^2/(mmHg s), gsd = 2)
tumour.cell_density = normal(mean = 1e9 cells/cm^3, sd = 2e8 cells/cm^3) in [5e8, 1.5e9] cells/cm^3
blood.inlet_haematocrit = uniform(0.35, 0.45)
[arm.one]
patient.duration = 24 h
[arm.two]
patient.duration = 25 h
[arm.three]
patient.duration = 26 h
)";
  return Deck::from_text(text, ".", {}, cohort_catalogue());
}

CohortOptions hollow_cohort(const std::filesystem::path& directory) {
  CohortOptions options;
  options.directory = directory;
  options.command = "sanctuary bench cohort";
  options.task = [](MPI_Comm, const TaskOrder& order) { return hollow_report(order); };
  return options;
}

Throughput run_hollow_cohort(MPI_Comm comm, long tasks, const std::filesystem::path& parent) {
  std::optional<Scratch> scratch;
  on_root(comm, [&] { scratch.emplace(parent); });
  const std::string directory = broadcast(comm, scratch ? scratch->path().string() : "");
  const double processor = processor_seconds();
  const CohortResult result = run_cohort(comm, hollow_deck((tasks + 3) / 4), hollow_cohort(directory));
  Throughput found;
  found.processor = processor_seconds() - processor;  // start-up and tables included
  found.seconds = result.elapsed;
  return found;
}

/// Costs of the coordinator as found, for the simulation [s].
struct Costs {
  double service = 0, commit = 0;
};

void measure_throughput(BenchmarkContext& context, Costs& costs) {
  const long tasks = context.options.count("tasks", 20000, 1, 10000000);
  const auto repeat = static_cast<int>(context.options.count("repeat", 3, 1, 1000));
  const std::filesystem::path parent = scratch_parent(context);
  const int most = std::min(4, size_of(context.comm));
  for (int ranks = 1; ranks <= most; ++ranks) {
    const int groups = pool_workers(ranks);
    for (const std::string book : {"none", "ledger", "cohort"}) {
      std::vector<double> rates, processor, commits, commits_per_run;
      on_first_ranks(context.comm, ranks, [&](MPI_Comm comm) {
        for (int r = 0; r < repeat; ++r) {
          const Throughput found = book == "cohort" ? run_hollow_cohort(comm, tasks, parent)
                                                    : run_hollow(comm, tasks, book == "ledger", parent);
          const double count = static_cast<double>(book == "cohort" ? (tasks + 3) / 4 * 4 : tasks);
          rates.push_back(count / found.seconds);
          processor.push_back(found.processor / count);
          commits_per_run.push_back(static_cast<double>(found.commits.size()));
          commits.insert(commits.end(), found.commits.begin(), found.commits.end());
        }
      });
      const double rate = median(rates);
      if (book == "ledger" && !commits.empty()) {
        costs.commit = median(commits);
        costs.service = median(processor);
      }
      context.emit({{"bench", "cohort"},
                    {"part", "throughput"},
                    {"book", book},
                    {"ranks", ranks},
                    {"groups", groups},
                    {"tasks", tasks},
                    {"repetitions", repeat},
                    {"tasks_per_s", spread(rates)},
                    {"group_ms_per_task", number_or_null(1e3 * groups / rate)},
                    {"coordinator_cpu_us_per_task", number_or_null(1e6 * median(processor))},
                    {"commits", number_or_null(book == "ledger" ? median(commits_per_run) : not_measured)},
                    {"commit_ms",
                     {{"median", number_or_null(1e3 * median(commits))},
                      {"p95", number_or_null(1e3 * quantile(commits, 0.95))}}}});
    }
  }
}

/// Share of a processor that the coordinator takes while groups compute.
void measure_sleep(BenchmarkContext& context) {
  if (size_of(context.comm) == 1) {
    context.emit({{"bench", "cohort"}, {"part", "sleep"}, {"ranks", 1}, {"skipped", "one rank works and coordinates"}});
    return;
  }
  const double seconds = context.options.number("task-seconds", 0.5, 0.001, 1000);
  const std::vector<int> widths{1};
  constexpr int each = 4;
  PoolState state;
  double processor = 0;
  {
    std::optional<Scheduler> scheduler;
    std::optional<HollowBook> book;
    PoolBook callbacks;
    on_root(context.comm, [&] {
      scheduler.emplace(pool_workers(size_of(context.comm)), widths);
      for (int t = 0; t < each * scheduler->groups(); ++t) scheduler->add({});
      scheduler->start();
      book.emplace(*scheduler, nullptr);
      callbacks = book->callbacks();
    });
    const PoolWork work = [&](MPI_Comm, std::string_view, const std::function<bool()>&) {
      for (const double begin = MPI_Wtime(); MPI_Wtime() - begin < seconds;) {
      }
      return std::string(1, 'x');
    };
    processor = processor_seconds();
    run_pool(context.comm, widths, scheduler ? &*scheduler : nullptr, book ? &callbacks : nullptr, work, &state);
    processor = processor_seconds() - processor;
  }
  context.emit({{"bench", "cohort"},
                {"part", "sleep"},
                {"ranks", size_of(context.comm)},
                {"task_s", seconds},
                {"elapsed_s", state.elapsed},
                {"coordinator_cpu_s_per_s", number_or_null(processor / state.elapsed)}});
}

// ---- efficiency --------------------------------------------------------------------------------------------------

/// What the coordinator knows of the times: nothing, a guess, what it learns on the way, all.
const std::vector<std::string> all_knowledge{"none", "guess", "learned", "exact"};

LoadPlan load_of(const std::string& knowledge, long tasks, int children, double mean, double sigma, double error,
                 std::uint64_t seed) {
  LoadPlan plan;
  plan.tasks = tasks;
  plan.children = children;
  plan.mean = mean;
  plan.sigma = sigma;
  plan.error = knowledge == "exact" ? 0 : error;
  plan.known = knowledge != "none";
  plan.seed = seed;
  return plan;
}

/// The coordinator's side of tasks that sleep for as long as the load says.
class SleepBook {
 public:
  SleepBook(const TaskLoad& load, bool learns, int groups, Ledger& ledger)
      : load_(load), learns_(learns), scheduler_(groups, {1}), ledger_(ledger), model_(2, {0, 0}) {
    for (std::size_t t = 0; t < load.seconds.size(); ++t)
      scheduler_.add({.parent = load.parent[t], .width = 1, .expected = learns ? 1 : load.expected[t]});
    scheduler_.start();
  }
  [[nodiscard]] Scheduler& scheduler() { return scheduler_; }
  [[nodiscard]] PoolBook callbacks() {
    PoolBook book;
    book.order = [this](long task) {
      ledger_.note_in_flight(task);
      ledger_.put_started(task, task, "arm", -1, scheduler_.expected(task));
      const double seconds = load_.seconds[static_cast<std::size_t>(task)];
      std::string order(sizeof seconds, '\0');
      std::memcpy(order.data(), &seconds, sizeof seconds);
      return order;
    };
    book.finished = [this](long task, std::string_view, double) {
      LedgerTask row;
      row.task = row.patient = task;
      row.variant = "arm";
      row.status = "done";
      row.wall = load_.seconds[static_cast<std::size_t>(task)];
      ledger_.put(row);
      if (learns_) model_.learn(features(task), row.wall);
      return TaskStatus::done;
    };
    book.commit = [this] { ledger_.commit(); };
    book.settled = [this](long, TaskStatus) {
      if (!learns_ || model_.learned() < next_fit_) return;
      next_fit_ = 2 * model_.learned();
      model_.refit();
      for (long t = 0; t < scheduler_.tasks(); ++t) {
        if (scheduler_.status(t) == TaskStatus::pending) scheduler_.expect(t, model_.predict(features(t)));
      }
      scheduler_.reorder();
    };
    return book;
  }

 private:
  [[nodiscard]] std::vector<double> features(long task) const {
    return {1, std::log(load_.expected[static_cast<std::size_t>(task)])};
  }
  const TaskLoad& load_;
  bool learns_;
  Scheduler scheduler_;
  Ledger& ledger_;
  CostModel model_;
  long next_fit_ = 8;
};

std::string slept(std::string_view order) {
  double seconds = 0;
  std::memcpy(&seconds, order.data(), sizeof seconds);
  timespec left{static_cast<time_t>(seconds), static_cast<long>(1e9 * (seconds - std::floor(seconds)))};
  while (nanosleep(&left, &left) != 0) {
  }
  return "x";
}

void measure_efficiency(BenchmarkContext& context) {
  const int most = pool_workers(size_of(context.comm));
  std::vector<long> fallback;
  for (const int g : {2, 3, most}) {
    if (g <= most && (fallback.empty() || g > fallback.back())) fallback.push_back(g);
  }
  if (fallback.empty()) fallback.push_back(1);
  const long each = context.options.count("tasks-per-group", 50, 1, 10000);
  const double mean = context.options.number("task-seconds", 0.1, 1e-4, 1000);
  const double sigma = context.options.number("sigma", 1, 0, 3), error = context.options.number("error", 0.5, 0, 3);
  const auto seed = static_cast<std::uint64_t>(context.options.count("seed", 1, 0, 1L << 53));
  const auto knowledge = context.options.words("knowledge", {"none", "learned", "exact"}, all_knowledge);
  const auto children = context.options.counts("children", {0, 2}, 0, 100);
  for (const long groups : context.options.counts("groups", fallback, 1, 1000000)) {
    if (groups > most) continue;
    for (const long c : children) {
      for (const std::string& what : knowledge) {
        const TaskLoad load =
            lognormal_load(load_of(what, each * groups, static_cast<int>(c), mean, sigma, error, seed));
        PoolState state;
        const int ranks = static_cast<int>(groups) + (size_of(context.comm) > 1 ? 1 : 0);
        on_first_ranks(context.comm, ranks, [&](MPI_Comm comm) {
          std::optional<Scratch> scratch;
          std::optional<Ledger> ledger;
          std::optional<SleepBook> book;
          PoolBook callbacks;
          on_root(comm, [&] {
            scratch.emplace(scratch_parent(context));
            ledger.emplace(scratch->path());
            ledger->begin_run();
            book.emplace(load, what == "learned", static_cast<int>(groups), *ledger);
            callbacks = book->callbacks();
          });
          const PoolWork work = [](MPI_Comm, std::string_view order, const std::function<bool()>&) {
            return slept(order);
          };
          run_pool(comm, {1}, book ? &book->scheduler() : nullptr, book ? &callbacks : nullptr, work, &state);
        });
        const double time = static_cast<double>(groups) * state.elapsed;
        const double bound = std::max(load.longest, load.total / static_cast<double>(groups));
        context.emit({{"bench", "cohort"},
                      {"part", "efficiency"},
                      {"groups", groups},
                      {"tasks", load.tasks()},
                      {"children", c},
                      {"knowledge", what},
                      {"mean_task_s", mean},
                      {"sigma", sigma},
                      {"error", what == "exact" || what == "none" ? Record() : Record(error)},
                      {"seed", seed},
                      {"makespan_s", state.elapsed},
                      {"efficiency", number_or_null(load.total / time)},
                      {"share_of_bound", number_or_null(bound / state.elapsed)},
                      {"ideal_efficiency", simulate_pool(static_cast<int>(groups), load, {}).efficiency()}});
      }
    }
  }
}

// ---- simulation --------------------------------------------------------------------------------------------------

void simulate_schedules(BenchmarkContext& context) {
  const auto groups = context.options.counts("groups", {10, 100, 1000, 10000}, 1, 1000000);
  const long each = context.options.count("tasks-per-group", 50, 1, 10000);
  const long seeds = context.options.count("seeds", 5, 1, 1000);
  const auto seed = static_cast<std::uint64_t>(context.options.count("seed", 1, 0, 1L << 53));
  const double sigma = context.options.number("sigma", 1, 0, 3), error = context.options.number("error", 0.5, 0, 3);
  const auto knowledge = context.options.words("knowledge", {"none", "guess", "exact"}, all_knowledge);
  for (const long g : groups) {
    for (const long c : context.options.counts("children", {0, 2}, 0, 100)) {
      for (const std::string& what : knowledge) {
        if (what == "learned") continue;
        emit_from_root(context, [&] {
          std::vector<double> share, efficiency;
          for (long s = 0; s < seeds; ++s) {
            const PoolRun run = simulate_pool(static_cast<int>(g),
                                              lognormal_load(load_of(what, each * g, static_cast<int>(c), 1, sigma,
                                                                     error, seed + static_cast<std::uint64_t>(s))),
                                              {});
            share.push_back(run.share_of_bound());
            efficiency.push_back(run.efficiency());
          }
          const auto mean = [](const std::vector<double>& x) {
            double sum = 0;
            for (const double v : x) sum += v;
            return sum / static_cast<double>(x.size());
          };
          return Record{{"bench", "cohort"},
                        {"part", "simulation"},
                        {"groups", g},
                        {"tasks_per_group", each},
                        {"children", c},
                        {"knowledge", what},
                        {"sigma", sigma},
                        {"error", what == "guess" ? Record(error) : Record()},
                        {"seeds", seeds},
                        {"share_of_bound", {{"mean", mean(share)}, {"worst", smallest(share)}}},
                        {"efficiency", {{"mean", mean(efficiency)}, {"worst", smallest(efficiency)}}}};
        });
      }
    }
  }
}

/// The coordinator as a single server: where it takes no more.
void simulate_saturation(BenchmarkContext& context, const Costs& measured) {
  const auto groups = context.options.counts("groups", {100, 1000, 10000, 100000}, 1, 1000000);
  const long each = context.options.count("tasks-per-group", 50, 1, 10000);
  const auto lengths = context.options.numbers("lengths", {0.1, 1, 10, 100, 1000}, 1e-4, 1e7);
  const auto seed = static_cast<std::uint64_t>(context.options.count("seed", 1, 0, 1L << 53));
  const double sigma = context.options.number("sigma", 1, 0, 3), error = context.options.number("error", 0.5, 0, 3);
  const double service =
      1e-6 * context.options.number("service", measured.service > 0 ? 1e6 * measured.service : 100, 0, 1e6);
  const auto commits = context.options.numbers("commit", {measured.commit > 0 ? 1e3 * measured.commit : 5, 50}, 0, 1e6);
  for (const double commit : commits) {
    const CoordinatorCosts costs{service, 1e-3 * commit, 0.05, 0.5e-3};
    double most = 0;
    for (const long g : groups) {
      for (const double length : lengths) {
        emit_from_root(context, [&] {
          const TaskLoad load = lognormal_load(load_of("guess", each * g, 0, length, sigma, error, seed));
          const PoolRun run = simulate_pool(static_cast<int>(g), load, costs);
          const double rate = static_cast<double>(load.tasks()) / run.makespan;
          most = std::max(most, rate);
          return Record{{"bench", "cohort"},
                        {"part", "saturation"},
                        {"groups", g},
                        {"mean_task_s", length},
                        {"tasks_per_group", each},
                        {"service_us", 1e6 * service},
                        {"commit_ms", commit},
                        {"commit_interval_ms", 1e3 * costs.interval},
                        {"latency_ms", 1e3 * costs.latency},
                        {"offered_tasks_per_s", static_cast<double>(g) / length},
                        {"tasks_per_s", rate},
                        {"coordinator_busy", run.coordinator / run.makespan},
                        {"efficiency", run.efficiency()},
                        {"share_of_bound", run.share_of_bound()}};
        });
      }
    }
    emit_from_root(context, [&] {
      return Record{{"bench", "cohort"},
                    {"part", "saturation"},
                    {"what", "capacity"},
                    {"service_us", 1e6 * service},
                    {"costs", measured.service > 0 ? "measured in this run" : "as given or assumed"},
                    {"commit_ms", commit},
                    {"most_tasks_per_s", most}};
    });
  }
}

// ---- scale -------------------------------------------------------------------------------------------------------

Record measured_scheduler(long patients, int variants, long groups, const std::vector<int>& widths,
                          std::uint64_t seed) {
  const RandomStream random(seed, "bench.cohort.scale");
  (void)restart_peak_resident();  // gives back what was free
  const double before = resident_bytes();
  double begin = MPI_Wtime();
  const auto lap = [&begin] {
    const double last = std::exchange(begin, MPI_Wtime());
    return begin - last;
  };
  Scheduler scheduler(static_cast<int>(groups), widths);
  for (long p = 0; p < patients; ++p) {
    const long root = scheduler.tasks();
    for (int v = 0; v < variants; ++v) {
      const double expected = random.lognormal(static_cast<std::uint64_t>(root + v), 1, 1);
      scheduler.add({.parent = v == 0 ? -1 : root, .width = widths.front(), .expected = expected});
    }
  }
  const double add = lap();
  scheduler.start();
  const double start = lap();
  const double after = resident_bytes();
  for (long t = 0; t < scheduler.tasks(); ++t)
    scheduler.expect(t, random.lognormal(static_cast<std::uint64_t>(t), 1, 1.1));
  scheduler.reorder();
  const double reorder = lap();
  std::vector<long> running;
  Scheduler::Assignment order;
  while (scheduler.next(order)) running.push_back(order.task);
  const double fill = lap();
  const auto filled = static_cast<double>(running.size());
  long done = 0;
  for (std::uint64_t step = 0; !running.empty(); ++step) {  // groups finish in any order
    const std::size_t which = random.below(step, running.size());
    const long task = running[which];
    running[which] = running.back();
    running.pop_back();
    scheduler.released(task);
    scheduler.settled(task, TaskStatus::done);
    ++done;
    while (scheduler.next(order)) running.push_back(order.task);
  }
  const double through = lap();
  return {{"bench", "cohort"},
          {"part", "scale"},
          {"what", "scheduler"},
          {"tasks", scheduler.tasks()},
          {"groups", groups},
          {"widths", widths.size()},
          {"add_s", add},
          {"start_s", start},
          {"reorder_s", reorder},
          {"fill_us_per_order", 1e6 * fill / filled},
          {"us_per_task", 1e6 * through / static_cast<double>(done)},
          {"bytes_per_task", (after - before) / static_cast<double>(scheduler.tasks())}};
}

Record measured_ledger(const std::filesystem::path& directory, long tasks) {
  constexpr long commit_every = 1000;
  Ledger ledger(directory);
  ledger.begin_run();
  double begin = MPI_Wtime();
  const auto lap = [&begin] {
    const double last = std::exchange(begin, MPI_Wtime());
    return begin - last;
  };
  for (long t = 0; t < tasks; ++t) {
    ledger.note_in_flight(t);
    ledger.put_started(t, t / 4, "arm", -1, 1);
    if (t % 2 == 0) {
      LedgerTask row;
      row.task = t;
      row.patient = t / 4;
      row.variant = "arm";
      row.status = "done";
      row.attempts = row.ranks = 1;
      row.host = "bench";
      ledger.put(row);
      ledger.put_endpoints(t, t / 4, row.variant, hollow_report({t / 4, 0}).endpoints);
    }
    if (t % commit_every == commit_every - 1) ledger.commit();
  }
  ledger.commit();
  const double write = lap();
  const double before = resident_bytes();
  const std::vector<LedgerStatus> statuses = ledger.statuses();
  const double read = lap();
  const double after = resident_bytes();
  const std::size_t flying = ledger.in_flight().size();
  const double look = lap();
  return {{"bench", "cohort"},
          {"part", "scale"},
          {"what", "ledger"},
          {"tasks", tasks},
          {"with_endpoints", tasks / 2},
          {"in_flight", flying},
          {"write_s", write},
          {"statuses_s", read},
          {"statuses_bytes", after - before},
          {"in_flight_s", look},
          {"file_bytes", static_cast<double>(std::filesystem::file_size(ledger.path()))}};
}

/// A cohort is begun and stopped, most of its tasks are written as done, and it is begun again.
void measure_cohort(BenchmarkContext& context, MPI_Comm alone, long patients, const std::filesystem::path& directory,
                    std::vector<Record>& records) {
  (void)context;
  CohortOptions options = hollow_cohort(directory);
  const Deck deck = hollow_deck(patients);
  const auto run = [&](const char* what, bool stop) {
    options.stop_requested = [stop] { return stop; };
    (void)restart_peak_resident();
    const double before = resident_bytes();
    const CohortResult result = run_cohort(alone, deck, options);
    records.push_back({{"bench", "cohort"},
                       {"part", "scale"},
                       {"what", what},
                       {"tasks", 4 * patients},
                       {"done", result.done},
                       {"start_up_s", result.start_up},
                       {"tables_s", stop ? Record() : Record(result.tables)},
                       {"peak_bytes", peak_resident_bytes() - before}});
  };
  run("new cohort", true);
  const auto write = [&](long first, long last) {
    Ledger ledger(directory);
    for (long p = first; p < last; ++p) {
      for (long v = 0; v < 4; ++v) {
        LedgerTask row;
        row.task = 4096 * p + v;
        row.patient = p;
        row.variant = v == 0 ? "baseline" : v == 1 ? "one" : v == 2 ? "two" : "three";
        row.status = "done";
        row.attempts = row.ranks = 1;
        row.host = "bench";
        ledger.put(row);
        ledger.put_endpoints(row.task, p, row.variant, hollow_report({p, static_cast<std::size_t>(v)}).endpoints);
      }
      ledger.put_patient(p, {{"status", "accepted"}});
      if (p % 1000 == 999) ledger.commit();
    }
    ledger.commit();
  };
  write(0, patients / 2);
  run("half done", true);
  write(patients / 2, patients - 1);
  run("all but one patient done", false);
  records.back()["ledger_bytes"] = static_cast<double>(std::filesystem::file_size(directory / "ledger.sqlite"));
}

void measure_scale(BenchmarkContext& context) {
  const long patients = context.options.count("patients", 250000, 2, 10000000);
  const long groups = context.options.counts("groups", {100000}, 1, 1000000).back();
  const auto seed = static_cast<std::uint64_t>(context.options.count("seed", 1, 0, 1L << 53));
  emit_from_root(context, [&] { return measured_scheduler(patients, 4, groups, {1}, seed); });
  std::vector<int> widths{1};
  while (2 * widths.back() <= groups) widths.push_back(2 * widths.back());
  emit_from_root(context, [&] { return measured_scheduler(patients, 4, groups, widths, seed); });
  emit_from_root(context, [&] {
    const Scratch scratch(scratch_parent(context));
    return measured_ledger(scratch.path(), 4 * patients);
  });
  std::vector<Record> records(3);
  on_first_ranks(context.comm, 1, [&](MPI_Comm alone) {
    const Scratch scratch(scratch_parent(context));
    records.clear();
    measure_cohort(context, alone, patients, scratch.path(), records);
  });
  for (const Record& record : records) context.emit(record);
}

void run_cohort_benchmark(BenchmarkContext& context) {
  const std::vector<std::string> parts{"throughput", "sleep", "efficiency", "simulation", "saturation", "scale"};
  Costs costs;
  for (const std::string& part : context.options.words("part", parts, parts)) {
    if (part == "throughput") measure_throughput(context, costs);
    if (part == "sleep") measure_sleep(context);
    if (part == "efficiency") measure_efficiency(context);
    if (part == "simulation") simulate_schedules(context);
    if (part == "saturation") simulate_saturation(context, costs);
    if (part == "scale") measure_scale(context);
  }
}

}  // namespace

Benchmark cohort_benchmark() {
  return {"cohort",
          "the task layer of cohorts: hollow and sleeping tasks, its scheduler in virtual time, a million tasks",
          {{"part", "LIST", "throughput,sleep,efficiency,simulation,saturation,scale or all (all)"},
           {"tasks", "N", "hollow tasks of a run of throughput (20000)"},
           {"groups", "LIST", "groups of sleeping, simulated or scheduled tasks"},
           {"tasks-per-group", "N", "tasks for each group (50)"},
           {"task-seconds", "S", "mean length of a sleeping task (0.1), length of one that computes (0.5)"},
           {"lengths", "LIST", "mean lengths of simulated tasks under a busy coordinator (0.1 to 1000) [s]"},
           {"sigma", "S", "of the logarithm of the lengths (1)"},
           {"error", "S", "of the logarithm of what is expected over what it takes (0.5)"},
           {"knowledge", "LIST", "what is known of the lengths: none,guess,learned,exact"},
           {"children", "LIST", "children of each root (0,2)"},
           {"service", "US", "processor time of the coordinator per task (measured by throughput, else 100)"},
           {"commit", "LIST", "time of a commit [ms] (measured by throughput, else 5, and 50)"},
           {"patients", "N", "of the cohort of the part scale, 4 tasks each (250000)"},
           {"directory", "DIR", "where the ledgers are made and removed (the system's temporary folder)"},
           {"seed", "N", "of lengths and expectations (1)"},
           {"seeds", "N", "simulated loads, from --seed on (5)"},
           {"repeat", "N", "runs of throughput (3)"}},
          run_cohort_benchmark};
}

}  // namespace sanctuary
