#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "benchmark/benchmark.hpp"
#include "benchmark/contender.hpp"
#include "benchmark/cycle_model.hpp"
#include "benchmark/halo.hpp"
#include "benchmark/measure.hpp"
#include "benchmark/stream.hpp"

namespace sanctuary {
namespace {

/// What the time of an iteration is made of; the model is the sum of amount times cost.
enum Term : std::size_t {
  level_overhead,  ///< levels
  cell_cached,     ///< cells on all levels of a rank
  cell_memory,     ///< of these, those that no cache holds, times the slow-down by ranks that share the memory
  message,         ///< messages sent by a rank
  message_byte,    ///< their bytes
  reduction,       ///< sums over all ranks, times the stages of a binary tree
  copied_byte,     ///< bytes copied inside a rank by PETSc's ghost exchange
  terms
};
constexpr std::array<const char*, terms> term_names{"s_per_level",      "s_per_cell",         "s_per_cell_from_memory",
                                                    "s_per_message",    "s_per_message_byte", "s_per_reduction_stage",
                                                    "s_per_copied_byte"};

/// The node that was measured.
struct Node {
  double cache_bytes = 32e6;
  std::vector<std::pair<int, double>> slow_down;  ///< of memory per rank, by ranks at work
};

struct Sample {
  std::string what;
  std::vector<double> amounts = std::vector<double>(terms, 0.0);
  double seconds = 0;
  std::array<double, 3> cells{};
  int ranks = 1, iterations = 0;
  double counted_messages = -1, counted_bytes = -1;  // of a cycle, where the solver counts them
};

double shared_cache_bytes() {
  std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index3/size");
  double value = 0;
  char unit = 0;
  if (file >> value >> unit && value > 0) return value * (unit == 'M' ? 1048576.0 : 1024.0);
  return 32e6;
}

double slow_down(const Node& node, int ranks) {
  double found = 1;
  for (const auto& [at, factor] : node.slow_down) {
    if (at <= ranks) found = factor;
  }
  return found;
}

double stages(double ranks) { return ranks > 1 ? std::ceil(std::log2(ranks)) : 0; }

/// Amounts of all terms in one iteration on `ranks` ranks, `on_node` of which share a memory.
std::vector<double> amounts_of(const std::vector<CycleLevel>& levels, const CycleConstants& constants, double ranks,
                               const Node& node, int on_node) {
  std::vector<double> amounts(terms, 0.0);
  const double cache = node.cache_bytes / on_node;
  for (const CycleLevel& level : levels) {
    amounts[level_overhead] += 1;
    amounts[cell_cached] += level.cells;
    const double beyond =
        std::max(0.0, 1 - cache / (level.cells * (constants.krylov_bytes_per_cell + constants.cycle_bytes_per_cell)));
    amounts[cell_memory] += level.cells * beyond * slow_down(node, on_node);
  }
  const CycleTraffic traffic = cycle_traffic(levels, constants);
  amounts[message] = traffic.messages;
  amounts[message_byte] = traffic.bytes;
  amounts[reduction] = traffic.reductions * stages(ranks);
  return amounts;
}

/// The box of `side`^3 cells for each of `ranks` ranks, twice as long along z, y, x in turn.
std::array<double, 3> weak_box(double side, double ranks) {
  std::array<double, 3> box{side, side, side};
  std::size_t axis = 2;
  for (auto left = static_cast<long>(ranks); left > 1;) {
    const long factor = left % 2 == 0 ? 2 : left;
    box[axis] *= static_cast<double>(factor);
    left /= factor;
    axis = axis == 0 ? 2 : axis - 1;
  }
  return box;
}

/// Seconds of an iteration of our solver, of the quickest repetition (others were disturbed), and its iterations; known
/// on all ranks of `comm`.
Sample measure_solver(MPI_Comm comm, int ranks, long side, const Node& node, const CycleConstants& constants,
                      int repeat) {
  Sample sample;
  sample.what = "elliptic";
  sample.ranks = ranks;
  sample.cells = weak_box(static_cast<double>(side), ranks);
  std::vector<double> result(4, 0.0);
  on_first_ranks(comm, ranks, [&](MPI_Comm part) {
    EllipticCase what;
    for (std::size_t axis = 0; axis < 3; ++axis) what.cells[axis] = static_cast<long>(sample.cells[axis]);
    const EllipticProblem problem(part, what);
    const auto solver = contender_kind("ours").make(true, ranks);
    solver->set_up(problem);
    VecHandle u = problem.grid().vector();
    std::vector<double> seconds;
    SolveReport report;
    for (int r = 0; r <= repeat; ++r) {
      const double one = seconds_of(part, [&] { report = solver->solve(problem.rhs(), 1e-8, 500, u.get()); });
      if (r > 0) seconds.push_back(one);
    }
    if (!report.converged) throw NumericsError("bench scaling: our solver did not converge: " + report.reason);
    const auto cycle = solver->cycle(part);
    result = {smallest(seconds), static_cast<double>(report.iterations), cycle ? cycle->messages : -1,
              cycle ? cycle->message_bytes : -1};
  });
  broadcast(comm, result);
  sample.iterations = static_cast<int>(result[1]);
  sample.seconds = result[0] / result[1];
  sample.counted_messages = result[2];
  sample.counted_bytes = result[3];
  sample.amounts = amounts_of(cycle_levels(sample.cells, ranks, constants), constants, ranks, node, ranks);
  return sample;
}

Sample measure_exchange(MPI_Comm comm, int ranks, long side, int repeat) {
  Sample sample;
  sample.what = "exchange";
  sample.ranks = ranks;
  sample.cells = weak_box(static_cast<double>(side), ranks);
  std::vector<double> result(4, 0.0);
  on_first_ranks(comm, ranks, [&](MPI_Comm part) {
    GridSpec spec;
    spec.spacing = {1, 1, 1};
    for (std::size_t axis = 0; axis < 3; ++axis) spec.cells[axis] = static_cast<long>(sample.cells[axis]);
    const Grid grid(part, spec);
    VecHandle global = grid.vector(), local;
    petsc(DMCreateLocalVector(grid.dm(), local.out()));
    std::vector<double> seconds;
    for (int r = 0; r <= repeat; ++r) {
      const double one =
          seconds_of(part, [&] { petsc(DMGlobalToLocal(grid.dm(), global.get(), INSERT_VALUES, local.get())); });
      if (r > 0) seconds.push_back(one);
    }
    double messages = 0, faces = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double sides =
          (grid.start()[axis] > 0 ? 1 : 0) + (grid.start()[axis] + grid.size()[axis] < grid.spec().cells[axis] ? 1 : 0);
      messages += sides;
      faces += sides * static_cast<double>(grid.local_cells()) / static_cast<double>(grid.size()[axis]);
    }
    result = {smallest(seconds), max_over(part, messages), max_over(part, 8 * faces),
              16.0 * max_over(part, static_cast<double>(grid.local_cells()))};
  });
  broadcast(comm, result);
  sample.seconds = result[0];
  sample.amounts[message] = result[1];
  sample.amounts[message_byte] = result[2];
  sample.amounts[copied_byte] = result[3];
  return sample;
}

/// The same box on 1 rank, then on all of `ranks` together, then whole on each of them at once.
void measure_speedup(BenchmarkContext& context, const std::array<long, 3>& cells, int ranks, int repeat) {
  MPI_Comm comm = context.comm;
  EllipticCase what;
  what.cells = cells;
  std::array<std::vector<double>, 3> seconds;
  std::array<int, 3> iterations{};
  // 0: one rank alone, 1: all together, 2: each its own.
  const std::array<int, 3> at_work{1, ranks, ranks};
  for (std::size_t way = 0; way < 3; ++way) {
    std::vector<double> result(static_cast<std::size_t>(repeat) + 1, 0.0);
    on_first_ranks(comm, at_work[way], [&](MPI_Comm part) {
      MPI_Comm own = way == 1 ? part : MPI_COMM_SELF;
      const EllipticProblem problem(own, what);
      const auto solver = contender_kind("ours").make(true, size_of(own));
      solver->set_up(problem);
      VecHandle u = problem.grid().vector();
      SolveReport report;
      for (int r = 0; r <= repeat; ++r) {  // the first warms up
        const double one = seconds_of(part, [&] { report = solver->solve(problem.rhs(), 1e-8, 500, u.get()); });
        if (r > 0) result[static_cast<std::size_t>(r) - 1] = one;
      }
      result.back() = report.iterations;
    });
    broadcast(comm, result);
    iterations[way] = static_cast<int>(result.back());
    result.pop_back();
    seconds[way] = result;
  }
  context.emit({{"bench", "scaling"},
                {"speedup", cells},
                {"ranks", ranks},
                {"one_rank_s", median(seconds[0])},
                {"together_s", median(seconds[1])},
                {"independent_copies_s", median(seconds[2])},
                {"iterations", {{"one_rank", iterations[0]}, {"together", iterations[1]}}},
                {"speedup_together", median(seconds[0]) / median(seconds[1])},
                {"speedup_of_independent_copies", ranks * median(seconds[0]) / median(seconds[2])}});
}

std::vector<int> rank_counts(int most) {
  std::vector<int> counts;
  for (int ranks = 1; ranks < most; ranks *= 2) counts.push_back(ranks);
  counts.push_back(most);
  return counts;
}

double model_of(const std::vector<double>& amounts, const std::vector<double>& cost) {
  double sum = 0;
  for (std::size_t t = 0; t < terms; ++t) sum += amounts[t] * cost[t];
  return sum;
}

struct Fabric {
  std::string name, text;
  std::vector<double> cost;
};

struct Projection {
  std::string table;
  double side = 0;
};

void print_table(BenchmarkContext& context, const Projection& projection, const Fabric& fabric, const Node& node,
                 const CycleConstants& constants, int on_node, int iterations, double most_ranks) {
  const bool strong = projection.table == "strong";
  double alone = 0;
  Record half, indices;
  for (double ranks = 1; ranks < 2 * most_ranks; ranks *= 2) {
    const std::array<double, 3> box = strong ? std::array<double, 3>{projection.side, projection.side, projection.side}
                                             : weak_box(projection.side, ranks);
    const double cells = box[0] * box[1] * box[2];
    if (cells / ranks < 8) break;
    const auto levels = cycle_levels(box, ranks, constants);
    const auto amounts = amounts_of(levels, constants, ranks, node, static_cast<int>(std::min<double>(ranks, on_node)));
    const double total = model_of(amounts, fabric.cost);
    if (ranks == 1) alone = total;
    const double efficiency = strong ? alone / (ranks * total) : alone / total;

    const auto share = [&](double seconds) { return seconds / total; };
    const auto cost_of = [&](Term term) { return amounts[term] * fabric.cost[term]; };
    const double fine_messages = constants.exchanges_per_level * levels.front().neighbours;
    const double fine_latency = fine_messages * fabric.cost[message];
    // A rank that stays at work on the coarse levels does more there than one that has handed its cells on.
    double coarse_cells = 0;
    for (std::size_t l = 1; l < levels.size(); ++l) coarse_cells += levels[l].cells;
    const double work = cost_of(cell_cached) + cost_of(cell_memory);
    const double coarse_work = work * coarse_cells / amounts[cell_cached];
    const std::vector<std::pair<std::string, double>> parts{
        {"work on the finest level", share(work - coarse_work)},
        {"work on coarse levels", share(coarse_work)},
        {"start of each level", share(cost_of(level_overhead))},
        {"latency on the finest level", share(fine_latency)},
        {"latency on coarse levels", share(cost_of(message) - fine_latency)},
        {"bytes of messages", share(cost_of(message_byte))},
        {"sums over all ranks", share(cost_of(reduction))}};
    Record shares = Record::object();
    const std::pair<std::string, double>* worst = nullptr;
    for (const auto& part : parts) {
      shares[part.first] = part.second;
      if (&part != &parts.front() && (worst == nullptr || part.second > worst->second)) worst = &part;
    }
    const bool wide = cells > static_cast<double>(std::numeric_limits<std::int32_t>::max());
    context.emit({{"bench", "scaling"},
                  {"table", projection.table},
                  {"fabric", fabric.name},
                  {"side", projection.side},
                  {"ranks", ranks},
                  {"cells", cells},
                  {"cells_per_rank", cells / ranks},
                  {"levels", levels.size()},
                  {"messages_per_rank_and_iteration", amounts[message]},
                  {"seconds_per_iteration", total},
                  {"seconds_per_solve", total * iterations},
                  {"million_cells_per_s", cells / (total * iterations) / 1e6},
                  {"efficiency", efficiency},
                  {"shares", shares},
                  {"needs_64_bit_indices", wide}});
    const Record where{{"ranks", ranks},
                       {"cells_per_rank", cells / ranks},
                       {"efficiency", efficiency},
                       {"largest_share", worst->first},
                       {"share", worst->second}};
    if (half.is_null() && efficiency < 0.5) half = where;
    if (indices.is_null() && wide) indices = {{"ranks", ranks}, {"cells", cells}};
  }
  context.emit({{"bench", "scaling"},
                {"breaks", projection.table},
                {"fabric", fabric.name},
                {"side", projection.side},
                {"efficiency_below_half", half},
                {"32_bit_indices_end", indices}});
}

void run_scaling(BenchmarkContext& context) {
  MPI_Comm comm = context.comm;
  const BenchmarkOptions& given = context.options;
  const int most = size_of(comm);
  const auto repeat = static_cast<int>(given.count("repeat", 5, 1, 10000));
  const auto sides = given.counts("cells", {16, 24, 32, 48, 64}, 4, 1024);
  const auto strong = given.counts("strong", {512, 2048}, 8, 100000);
  const auto weak = given.counts("weak", {64, 128}, 4, 2048);
  const double most_ranks = given.number("ranks", 1e5, 1, 1e7);
  const double latency = given.number("network-latency", 1.5, 0, 1e6) * 1e-6;
  const double bandwidth = given.number("network-bandwidth", 12.5, 1e-3, 1e6) * 1e9;
  const auto bytes = static_cast<std::size_t>(given.count("megabytes", 128, 1, 100000)) << 20U;
  const auto speedup = given.boxes("speedup", {{64, 64, 64}, {100, 60, 37}, {128, 128, 128}});
  const CycleConstants constants;

  for (const int ranks : rank_counts(most)) {
    if (ranks == 1) continue;
    for (const auto& box : speedup) measure_speedup(context, box, ranks, repeat);
  }

  Node node;
  node.cache_bytes = shared_cache_bytes();
  double triad_alone = 0;
  std::vector<Sample> samples;
  for (const int ranks : rank_counts(most)) {
    std::vector<double> triad(1, 0.0);
    on_first_ranks(comm, ranks, [&](MPI_Comm part) { triad = {measure_stream(part, bytes, repeat).triad_total}; });
    broadcast(comm, triad);
    if (ranks == 1) triad_alone = triad[0];
    node.slow_down.emplace_back(ranks, std::max(1.0, ranks * triad_alone / triad[0]));
    context.emit({{"bench", "scaling"},
                  {"measured", "stream"},
                  {"ranks", ranks},
                  {"triad_MB_per_s", triad[0] / 1e6},
                  {"slow_down_per_rank", node.slow_down.back().second}});
    if (ranks > 1) {
      Sample sample;
      sample.what = "reduction";
      sample.ranks = ranks;
      std::vector<double> seconds(1, 0.0);
      on_first_ranks(comm, ranks, [&](MPI_Comm part) { seconds = {measure_reduction(part, 10 * repeat)}; });
      broadcast(comm, seconds);
      sample.seconds = seconds[0];
      sample.amounts[reduction] = stages(ranks);
      samples.push_back(sample);
      for (const long side : sides) samples.push_back(measure_exchange(comm, ranks, side, 10 * repeat));
    }
    for (const long side : sides) samples.push_back(measure_solver(comm, ranks, side, node, constants, repeat));
  }
  if (most > 1) {
    for (const PingPong& one : measure_ping_pong(comm, most - 1, 10 * repeat)) {
      Sample sample;
      sample.what = "ping_pong";
      sample.ranks = 2;
      sample.seconds = one.seconds;
      sample.amounts[message] = 1;
      sample.amounts[message_byte] = one.bytes;
      samples.push_back(sample);
    }
  }

  std::vector<std::vector<double>> rows;
  std::vector<double> values;
  for (const Sample& sample : samples) {
    rows.push_back(sample.amounts);
    values.push_back(sample.seconds);
  }
  std::vector<double> cost = fit_positive(rows, values);
  broadcast(comm, cost);
  int iterations = 0;
  for (const Sample& sample : samples) {
    iterations = std::max(iterations, sample.iterations);
    Record line{{"bench", "scaling"},
                {"fit_point", sample.what},
                {"ranks", sample.ranks},
                {"seconds", sample.seconds},
                {"model_seconds", model_of(sample.amounts, cost)},
                {"model_messages", sample.amounts[message]},
                {"model_message_bytes", sample.amounts[message_byte]}};
    if (sample.cells[0] > 0) line["cells"] = sample.cells;
    if (sample.iterations > 0) line["iterations"] = sample.iterations;
    if (sample.counted_messages >= 0) {
      line["counted_messages_per_cycle"] = sample.counted_messages;
      line["counted_message_bytes_per_cycle"] = sample.counted_bytes;
    }
    context.emit(line);
  }
  Record fitted = Record::object(), misfits = Record::object();
  for (std::size_t t = 0; t < terms; ++t) fitted[term_names[t]] = cost[t];
  for (const std::string group : {"elliptic", "exchange", "reduction", "ping_pong"}) {
    std::vector<std::vector<double>> part;
    std::vector<double> part_values;
    for (std::size_t s = 0; s < samples.size(); ++s) {
      if (samples[s].what != group) continue;
      part.push_back(rows[s]);
      part_values.push_back(values[s]);
    }
    if (part.empty()) continue;
    const auto [rms, worst] = relative_misfit(part, part_values, cost);
    misfits[group] = {{"points", part.size()}, {"rms", rms}, {"worst", worst}};
  }
  if (most == 1) {  // nothing was sent: what stands here is assumed
    cost[message] = cost[reduction] = 1e-6;
    cost[message_byte] = 1 / 5e9;
  }
  context.emit({{"bench", "scaling"},
                {"fit", "least squares of relative misfits, no cost negative; quickest of the repetitions"},
                {"parameters", fitted},
                {"relative_misfit", misfits},
                {"cache_bytes", node.cache_bytes},
                {"ranks_measured", most},
                {"messages_measured", most > 1}});

  Fabric inside{"node", "messages cost what they cost between ranks of the measured node", cost};
  if (most == 1) inside.text = "messages: assumed 1 us and 5 GB/s, since one rank sends none; run on 2 or more ranks";
  Fabric network{"network",
                 fmt::format("messages and stages of a sum cost {:g} us more than inside the node, and a byte {:g} s "
                             "more ({:g} GB/s shared by the {} ranks of a node): assumed, not measured",
                             latency * 1e6, most / bandwidth, bandwidth / 1e9, most),
                 cost};
  network.cost[message] += latency;
  network.cost[reduction] += latency;
  network.cost[message_byte] += most / bandwidth;
  context.emit(
      {{"bench", "scaling"},
       {"assumptions",
        {inside.text, network.text, fmt::format("every node is this machine with the {} ranks measured on it", most),
         fmt::format("{} iterations at any size: what the largest measured problem took to 1e-8 (smooth, Dirichlet)",
                     iterations),
         fmt::format("an iteration: {:g} ghost exchanges per level of {:g} bytes a face, {:g} sums over all ranks",
                     constants.exchanges_per_level, constants.bytes_per_face, constants.reductions_per_iteration),
         fmt::format(
             "levels are halved along every axis down to {:g} cells on one rank; a coarse level with fewer than "
             "{:g} cells per rank is held by half as many ranks, and so on",
             constants.coarsest, constants.gather_below),
         "no overlap of messages with work, no contention between messages, blocks cut evenly",
         "times of one rank for boxes beyond its memory are the model's, to compare with"}}});
  for (const Fabric& fabric : {inside, network}) {
    for (const long side : strong) {
      print_table(context, {"strong", static_cast<double>(side)}, fabric, node, constants, most, iterations,
                  most_ranks);
    }
    for (const long side : weak) {
      print_table(context, {"weak", static_cast<double>(side)}, fabric, node, constants, most, iterations, most_ranks);
    }
  }
}

}  // namespace

Benchmark scaling_benchmark() {
  return {"scaling",
          "a cost model fitted to what is measured here, as strong and weak scaling tables",
          {{"cells", "LIST", "sides of the cubes per rank that are measured (default 16,24,32,48,64)"},
           {"speedup", "LIST", "boxes solved on one rank, on all together, and whole on each at once"},
           {"strong", "LIST", "sides of the cubes of the strong scaling tables"},
           {"weak", "LIST", "sides of a rank's cube in the weak scaling tables"},
           {"ranks", "N", "largest number of ranks of the tables (default 1e5, the next power of two)"},
           {"network-latency", "US", "assumed latency added between nodes [us] (default 1.5)"},
           {"network-bandwidth", "GB/S", "assumed bandwidth of a node [GB/s] (default 12.5)"},
           {"repeat", "N", "repetitions"},
           {"megabytes", "N", "size of each array of the triad (default 128)"}},
          run_scaling};
}

}  // namespace sanctuary
