#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"
#include "cohort/cohort.hpp"
#include "cohort/parameters.hpp"
#include "cohort/task_pool.hpp"
#include "patient/parameters.hpp"
#include "patient/settings.hpp"

namespace sanctuary {
namespace {

// Measured on the quickstart patient (docs/performance.md): peak memory, a step with one drug, flow, pressure and
// oxygen before treatment, a saved baseline.
constexpr double bytes_per_cell = 2900, seconds_per_cell_step = 7e-6, seconds_per_cell_baseline = 1e-4,
                 baseline_bytes_per_cell = 100;
constexpr double field_bytes_per_cell = 250, checkpoint_bytes_per_cell = 400;  // an output time, what a run keeps
constexpr double steps_after_a_dose = 50;
constexpr double ledger_bytes_per_task = 3000;  // a row of endpoints and a few visits
constexpr int cores_of_a_node = 64;
constexpr long looked_at = 16;  // patients

struct TaskCost {
  double seconds = 0, bytes = 0, baseline_bytes = 0, run_bytes = 0;
};

TaskCost cost_of(const CohortPlan& plan, long patient, std::size_t variant) {
  const Deck deck = plan.deck_of(patient, variant);
  const PatientSettings settings = patient_settings(deck);
  const double cells = grid_cells(deck);
  TaskCost cost;
  cost.bytes = cells * bytes_per_cell;
  if (plan.variants()[variant].is_baseline) {
    cost.seconds = cells * seconds_per_cell_baseline;
    cost.baseline_bytes = cells * baseline_bytes_per_cell;
    return cost;
  }
  cost.run_bytes =
      cells * (field_bytes_per_cell * static_cast<double>(settings.output_times.size()) + checkpoint_bytes_per_cell);
  double steps = settings.duration / settings.largest_step;
  for (const Drug& drug : settings.drugs) steps += steps_after_a_dose * static_cast<double>(drug.doses.size());
  cost.seconds =
      cells * seconds_per_cell_step * steps * std::max<double>(1, static_cast<double>(settings.drugs.size()));
  if (plan.variants()[variant].parent < 0) cost.seconds += cells * seconds_per_cell_baseline;
  return cost;
}

std::string time_text(double hours) {
  if (hours < 1) return fmt::format("{:.0f} min", std::max(1.0, 60 * hours));
  return hours < 48 ? fmt::format("{:.1f} h", hours) : fmt::format("{:.1f} d", hours / 24);
}

std::string size_text(double bytes) {
  return bytes < 1e9 ? fmt::format("{:.3g} MB", bytes / 1e6) : fmt::format("{:.3g} GB", bytes / 1e9);
}

}  // namespace

std::string cohort_estimate(MPI_Comm comm, const Deck& deck, int ranks) {
  const CohortPlan plan(with_arms(comm, deck));
  const int workers = pool_workers(ranks);
  const std::vector<int> widths = plan.widths(std::max(workers, static_cast<int>(deck.integer(cohort::group_width))));
  const long patients = plan.patients(), looked = std::min(patients, looked_at);
  double total = 0, longest_chain = 0, memory = 0, baseline = 0, run = 0;
  int widest = 1;
  for (long i = 0; i < looked; ++i) {
    const long p = i * (patients / looked);
    double before = 0, longest_arm = 0, saved = 0;
    for (std::size_t v = 0; v < plan.variants().size(); ++v) {
      const TaskCost cost = cost_of(plan, p, v);
      const int width = plan.width_of(p, v, widths.back());
      total += cost.seconds * static_cast<double>(patients) / static_cast<double>(looked);
      memory = std::max(memory, cost.bytes / width);
      widest = std::max(widest, width);
      saved += cost.baseline_bytes;
      run = std::max(run, cost.run_bytes);
      double& chain = plan.variants()[v].is_baseline ? before : longest_arm;
      chain = std::max(chain, cost.seconds / width);
    }
    baseline = std::max(baseline, saved);
    longest_chain = std::max(longest_chain, before + longest_arm);
  }
  long arms = 0;
  for (const Variant& v : plan.variants()) arms += v.is_baseline ? 0 : 1;
  const double groups = std::max(1.0, std::floor(static_cast<double>(workers) / widest));
  const double files = plan.deck().text(cohort::keep_runs) == "all" ? static_cast<double>(patients * arms) : 0;
  std::string text = fmt::format(
      "cohort: {} patients x {} {} = {} tasks with the states before treatment\n"
      "what varies: {} {}, design {}\n"
      "memory: about {} per rank (groups of {} {})\n"
      "work: about {:.3g} core-hours, from the deck alone (within a factor of 3)\n",
      patients, arms, arms == 1 ? "arm" : "arms", plan.tasks(), plan.varied().size(),
      plan.varied().size() == 1 ? "parameter" : "parameters", plan.deck().text(cohort::design), size_text(memory),
      widest, widest == 1 ? "rank" : "ranks", total / 3600);
  const auto makespan = [&](double cores) { return std::max(total / cores, longest_chain) / 3600; };
  text += fmt::format("time: {} on {} {} here", time_text(makespan(groups * widest)), workers,
                      workers == 1 ? "worker" : "workers");
  for (const int nodes : {1, 10, 100})
    text += fmt::format(", {} on {} {} of {} cores", time_text(makespan(nodes * cores_of_a_node)), nodes,
                        nodes == 1 ? "node" : "nodes", cores_of_a_node);
  const double open = std::min(static_cast<double>(patients), (Scheduler::last_roots + 1) * groups);
  text += fmt::format("\ndisk: ledger and tables about {}; up to {} of saved baselines at a time ({} files)",
                      size_text(2 * ledger_bytes_per_task * static_cast<double>(plan.tasks())),
                      size_text(open * baseline), open);
  if (files > 0)
    text += fmt::format("; {:.0f} run folders of about {} each (cohort.keep_runs = all)", files, size_text(run));
  text += "\nfiles at the end: " + fmt::format("{:.0f}\n", 5 + files * 20);
  return text;
}

}  // namespace sanctuary
