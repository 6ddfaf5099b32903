#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "benchmark/benchmark.hpp"
#include "benchmark/contender.hpp"
#include "benchmark/cycle_model.hpp"
#include "benchmark/measure.hpp"
#include "benchmark/stream.hpp"

namespace sanctuary {
namespace {

/// How a case is measured.
struct Protocol {
  double tolerance = 1e-8;
  int max_iterations = 2000;
  int repeat = 3;
  double seconds = 60;
  std::size_t triad_bytes = 0;
};

/// What one contender did in one case.
struct Entry {
  const ContenderKind* kind = nullptr;
  bool converged = false, changed = false;
  std::string reason;
  int iterations = 0;
  double residual = 0, asked = 0, bytes = 0, difference = 0, spent = 0;
  std::vector<double> set_up, assembly, solve, both;  // the same repetition at the same place
  std::optional<CycleCount> cycle;
};

/// PETSc's own messages off: a contender that fails is a line of the output.
class QuietPetsc {
 public:
  QuietPetsc() { petsc(PetscPushErrorHandler(PetscReturnErrorHandler, nullptr)); }
  QuietPetsc(const QuietPetsc&) = delete;
  QuietPetsc& operator=(const QuietPetsc&) = delete;
  ~QuietPetsc() { (void)PetscPopErrorHandler(); }
};

double relative_difference(Vec u, Vec reference, bool singular) {
  VecHandle d;
  petsc(VecDuplicate(u, d.out()));
  petsc(VecWAXPY(d.get(), -1.0, reference, u));
  if (singular) {
    double sum = 0;
    PetscInt count = 0;
    petsc(VecSum(d.get(), &sum));
    petsc(VecGetSize(d.get(), &count));
    petsc(VecShift(d.get(), -sum / static_cast<double>(count)));
  }
  double difference = 0, norm = 0;
  petsc(VecNorm(d.get(), NORM_2, &difference));
  petsc(VecNorm(reference, NORM_2, &norm));
  return difference / norm;
}

/// One repetition: new object, set-up, solve, solve again. The tolerance that is asked for is tightened until the true
/// residual is what was wanted; then all starts anew with it.
void repeat_once(const EllipticProblem& problem, const Protocol& protocol, Vec u, Entry& entry) {
  MPI_Comm comm = problem.grid().comm();
  if (entry.asked == 0) entry.asked = protocol.tolerance;
  constexpr int attempts = 5;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const double before = heap_bytes(comm);
    auto contender = entry.kind->make(problem.op().symmetric(), size_of(comm));
    const double set_up = seconds_of(comm, [&] { contender->set_up(problem); });
    SolveReport report;
    const auto solve = [&] { report = contender->solve(problem.rhs(), entry.asked, protocol.max_iterations, u); };
    const double first = seconds_of(comm, solve);
    entry.bytes = heap_bytes(comm) - before;
    entry.cycle = contender->cycle(comm);
    entry.residual = problem.true_residual(u);
    entry.iterations = report.iterations;
    entry.reason = report.reason;
    entry.changed = report.changed;
    const bool met = entry.residual <= protocol.tolerance;
    entry.converged = met;
    if (!met && report.converged && attempt + 1 < attempts) {
      entry.asked *= std::clamp(0.9 * protocol.tolerance / entry.residual, 0.05, 0.7);
      entry.set_up.clear();
      entry.assembly.clear();
      entry.solve.clear();
      entry.both.clear();
      entry.spent += set_up + first;
      continue;
    }
    // The second time no memory is touched for the first time; a solver that is slow enough does not feel that.
    const bool again = met && max_over(comm, entry.spent + set_up + first) <= protocol.seconds;
    const double second = again ? seconds_of(comm, solve) : first;
    entry.set_up.push_back(set_up);
    entry.assembly.push_back(max_over(comm, contender->assembly_seconds()));
    entry.solve.push_back(second);
    entry.both.push_back(set_up + first);
    entry.spent += set_up + first + (again ? second : 0.0);
    return;
  }
}

Record spread(const std::vector<double>& values) { return {{"min", smallest(values)}, {"median", median(values)}}; }

/// Median, smallest and largest of the ratios of repetitions that stood side by side.
Record paired_ratio(const std::vector<double>& other, const std::vector<double>& own) {
  std::vector<double> ratios;
  for (std::size_t r = 0; r < std::min(other.size(), own.size()); ++r) ratios.push_back(other[r] / own[r]);
  return {
      {"median", median(ratios)}, {"min", smallest(ratios)}, {"max", *std::max_element(ratios.begin(), ratios.end())}};
}

Record case_record(const EllipticCase& what, int ranks) {
  return {{"cells", what.cells},
          {"coefficient", what.coefficient},
          {"contrast", what.coefficient == "smooth" ? 19.0 : what.contrast},
          {"walls", what.walls},
          {"spacing", what.spacing},
          {"reaction", what.reaction},
          {"peclet", what.peclet},
          {"ranks", ranks}};
}

void measure_case(BenchmarkContext& context, const EllipticCase& what, const Protocol& protocol,
                  const std::vector<std::string>& names) {
  MPI_Comm comm = context.comm;
  const EllipticProblem problem(comm, what);
  const auto cells = static_cast<double>(problem.grid().global_cells());
  const Record described = case_record(what, size_of(comm));
  const StreamRates stream = measure_stream(comm, protocol.triad_bytes, 5);
  VecHandle u = problem.grid().vector(), reference = problem.grid().vector();

  std::vector<Entry> entries;
  for (const std::string& name : names) {
    entries.push_back({});
    entries.back().kind = &contender_kind(name);
  }
  const Entry* first_converged = nullptr;
  for (int r = 0; r < protocol.repeat; ++r) {
    for (Entry& entry : entries) {
      if (!entry.kind->available) {
        entry.reason = "PETSc was built without hypre";
        continue;
      }
      const bool failed = r > 0 && !entry.converged;
      if (failed || (r > 0 && max_over(comm, entry.spent) > protocol.seconds)) continue;
      const QuietPetsc quiet;
      try {
        repeat_once(problem, protocol, u.get(), entry);
      } catch (const NumericsError& error) {
        entry.converged = false;
        entry.reason = error.what();
      }
      if (!entry.converged || r > 0) continue;
      if (first_converged == nullptr) {
        first_converged = &entry;
        petsc(VecCopy(u.get(), reference.get()));
      }
      entry.difference = relative_difference(u.get(), reference.get(), problem.singular());
    }
  }

  const CycleConstants constants;
  const Entry* ours = nullptr;
  for (const Entry& entry : entries) {
    const bool own = entry.kind->name == "ours";
    if (own && entry.converged) ours = &entry;
    Record line{{"bench", "elliptic"}, {"solver", entry.kind->name}, {"method", entry.kind->method}};
    line.update(described);
    line["tolerance"] = protocol.tolerance;
    line["converged"] = entry.converged;
    line["reason"] = entry.reason;
    if (entry.kind->available && !entry.set_up.empty()) {
      const double solve = median(entry.solve), both = median(entry.both);
      line["iterations"] = entry.iterations;
      line["true_residual"] = entry.residual;
      line["tolerance_asked_of_solver"] = entry.asked;
      line["repetitions"] = entry.solve.size();
      line["set_up_s"] = spread(entry.set_up);
      line["of_which_assembly_s"] = median(entry.assembly);
      line["solve_s"] = spread(entry.solve);
      line["set_up_and_first_solve_s"] = spread(entry.both);
      line["million_cells_per_s"] = cells / solve / 1e6;
      line["million_cells_per_s_with_set_up"] = cells / both / 1e6;
      line["bytes_per_cell"] = (entry.bytes + (own ? problem.operator_bytes() : 0.0)) / cells;
      if (entry.cycle) {
        line["levels"] = entry.cycle->levels;
        line["messages_per_cycle_of_busiest_rank"] = entry.cycle->messages;
        line["message_bytes_per_cycle_of_busiest_rank"] = entry.cycle->message_bytes;
      }
      if (own && problem.op().symmetric() && !entry.changed) {
        const double cycle = entry.cycle ? entry.cycle->bytes_moved / cells : constants.cycle_bytes_per_cell;
        const double moved = constants.krylov_bytes_per_cell + cycle;
        line["model_bytes_per_cell_and_iteration"] = moved;
        line["percent_of_triad"] = 100 * moved * cells * entry.iterations / solve / stream.triad_total;
      }
      if (first_converged != nullptr && entry.converged) {
        line["difference"] = {{"from", first_converged->kind->name}, {"relative", entry.difference}};
      }
    }
    context.emit(line);
  }
  Record ratios = Record::object();
  for (const Entry& entry : entries) {
    if (ours == nullptr || &entry == ours || !entry.converged) continue;
    ratios[entry.kind->name] = {{"solve", paired_ratio(entry.solve, ours->solve)},
                                {"set_up_and_first_solve", paired_ratio(entry.both, ours->both)}};
  }
  context.emit(
      {{"bench", "elliptic"},
       {"summary", described},
       {"ratio", ratios},
       {"ratio_means", "time of the alternative over ours, repetitions that stood side by side"},
       {"triad_MB_per_s", stream.triad_total / 1e6},
       {"bytes_counted",
        "held from malloc by all ranks after set-up and one solve (mallinfo2): matrix, preconditioner and work "
        "vectors; for ours also the operator's coefficients; without solution and right-hand side"}});
}

void run_elliptic(BenchmarkContext& context) {
  const BenchmarkOptions& given = context.options;
  Protocol protocol;
  protocol.tolerance = given.number("tolerance", 1e-8, 1e-14, 0.1);
  protocol.max_iterations = static_cast<int>(given.count("max-iterations", 2000, 1, 1000000));
  protocol.repeat = static_cast<int>(given.count("repeat", 3, 1, 10000));
  protocol.seconds = given.number("seconds", 60, 0, 1e6);
  protocol.triad_bytes = static_cast<std::size_t>(given.count("megabytes", 128, 1, 100000)) << 20U;
  const auto names = given.words("solvers", contender_names(), contender_names());
  const auto boxes = given.boxes("cells", {{64, 64, 64}});
  const auto coefficients = given.words("coefficient", {"smooth", "lognormal"}, coefficient_fields());
  const auto contrasts = given.numbers("contrast", {1e3}, 1, 1e12);
  const auto walls = given.words("walls", {"dirichlet"}, wall_mixes());
  const auto reactions = given.numbers("reaction", {0.0}, 0, 1e12);
  const auto peclets = given.numbers("peclet", {0.0}, 0, 1e6);
  EllipticCase what;
  what.spacing = given.triple("spacing", {1, 1, 1});
  for (const auto& box : boxes) {
    for (const std::string& coefficient : coefficients) {
      // The smooth field knows no contrast: once is enough.
      const std::size_t tries = coefficient == "smooth" ? 1 : contrasts.size();
      for (std::size_t c = 0; c < tries; ++c) {
        for (const std::string& mix : walls) {
          for (const double reaction : reactions) {
            for (const double peclet : peclets) {
              what.cells = box;
              what.coefficient = coefficient;
              what.contrast = contrasts[c];
              what.walls = mix;
              what.reaction = reaction;
              what.peclet = peclet;
              measure_case(context, what, protocol, names);
            }
          }
        }
      }
    }
  }
}

}  // namespace

Benchmark elliptic_benchmark() {
  return {"elliptic",
          "our elliptic solver and those of PETSc and hypre in turn, to the same true residual",
          {{"cells", "LIST", "boxes: 64 or 100x60x37"},
           {"coefficient", "LIST", "smooth, lognormal, independent, inclusions or all"},
           {"contrast", "LIST", "largest over smallest coefficient (default 1e3)"},
           {"walls", "LIST", "dirichlet, neumann, robin, mixed or all"},
           {"spacing", "AxBxC", "sides of a cell relative to each other"},
           {"reaction", "LIST", "added reaction term lambda h^2/k"},
           {"peclet", "LIST", "cell Peclet number of a rolling flow; not 0: not symmetric"},
           {"solvers", "LIST", "ours, pfmg, boomeramg, gamg, icc or all"},
           {"tolerance", "X", "true relative residual that all must reach (default 1e-8)"},
           {"max-iterations", "N", "iterations after which a solver has failed"},
           {"repeat", "N", "repetitions in turn"},
           {"seconds", "S", "a solver that has used more begins no further repetition nor second solve"},
           {"megabytes", "N", "size of each array of the triad (default 128)"}},
          run_elliptic};
}

}  // namespace sanctuary
