#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "benchmark/benchmark.hpp"
#include "benchmark/lattice_network.hpp"
#include "benchmark/measure.hpp"
#include "solvers/network/flow.hpp"
#include "tissue/blood.hpp"

namespace sanctuary {
namespace {

#if defined(PETSC_HAVE_HYPRE)
constexpr bool have_hypre = true;
#else
constexpr bool have_hypre = false;
#endif
#if defined(PETSC_HAVE_MUMPS)
constexpr bool have_mumps = true;
#else
constexpr bool have_mumps = false;
#endif

/// Largest resident memory of this rank since the last call of `begin`, where the system tells.
class PeakMemory {
 public:
  void begin() { reset_ = restart_peak_resident(); }
  /// Bytes; not a number where the peak cannot be reset.
  [[nodiscard]] double bytes() const { return reset_ ? peak_resident_bytes() : std::nan(""); }

 private:
  bool reset_ = false;
};

/// Bytes that a rank holds from malloc.
double own_bytes() { return heap_bytes(MPI_COMM_SELF); }

struct Memory {
  double held = 0, peak = 0;  ///< of this rank, more than before [bytes]
};

/// Seconds of `work` and the memory it leaves and needs. Collective.
template <class Work>
std::pair<double, Memory> measured(MPI_Comm comm, Work work) {
  PeakMemory peak;
  const double before = own_bytes();
  peak.begin();
  const double resident = peak.bytes();
  const double seconds = seconds_of(comm, work);
  return {seconds, {own_bytes() - before, peak.bytes() - resident}};
}

Record number_or_null(double value) { return std::isfinite(value) ? Record(value) : Record(nullptr); }

void put_memory(MPI_Comm comm, const Memory& memory, double segments, Record& line) {
  line["bytes_per_segment"] = number_or_null(sum_over(comm, memory.held) / segments);
  line["bytes_held_by_rank"] = {{"lowest", number_or_null(min_over(comm, memory.held))},
                                {"highest", number_or_null(max_over(comm, memory.held))}};
  line["peak_bytes_per_segment"] = number_or_null(sum_over(comm, memory.peak) / segments);
  line["peak_bytes_of_rank"] = number_or_null(max_over(comm, memory.peak));
}

/// The pressures of a network at given conductances.
struct PressureProblem {
  const CutNetwork& network;
  std::vector<double> conductance, given;
  std::vector<char> fixed;

  [[nodiscard]] std::vector<double> start() const {
    std::vector<double> x(network.nodes(), 0.0);
    for (std::size_t n = 0; n < x.size(); ++n)
      if (fixed[n] && network.boundary[n] == BoundaryKind::pressure) x[n] = network.boundary_value[n];
    return x;
  }
  /// Imbalances of flow at the own nodes; returns their 2-norm over the largest flow. Collective.
  double imbalance(const std::vector<double>& x, std::vector<double>& r) const {
    r.assign(network.own_nodes, 0.0);
    double largest = 0, sum = 0;
    for (std::size_t p = 0; p < network.pieces(); ++p) {
      const auto i = static_cast<std::size_t>(network.piece_nodes[p][0]),
                 j = static_cast<std::size_t>(network.piece_nodes[p][1]);
      const double flow = conductance[p] * (x[i] - x[j]);
      largest = std::max(largest, std::abs(flow));
      if (i < r.size() && !fixed[i]) r[i] -= flow;
      if (j < r.size() && !fixed[j]) r[j] += flow;
    }
    for (const double value : r) sum += value * value;
    return std::sqrt(sum_over(network.comm, sum)) / max_over(network.comm, largest);
  }
};

/// The full system assembled, each free node one row, solved by PETSc; what it leaves is corrected until the imbalance
/// is what was asked for.
class AssembledSolver {
 public:
  AssembledSolver(const PressureProblem& problem, const std::string& kind)
      : problem_(problem), prefix_("bench_" + kind + "_") {
    const CutNetwork& net = problem.network;
    std::vector<long> number(net.nodes(), -1);
    for (std::size_t n = 0; n < net.own_nodes; ++n) {
      if (!problem.fixed[n]) free_.push_back(n);
    }
    long next = count_before(net.comm, static_cast<long>(free_.size()));
    for (const std::size_t n : free_) number[n] = next++;
    net.node_halo.update(std::span<long>(number));
    std::vector<PetscInt> diagonal(net.own_nodes, 1), off(net.own_nodes, 0), own_rows, other_rows;
    for (const double w : problem.conductance) unit_ = std::max(unit_, w);
    unit_ = max_over(net.comm, unit_);
    const auto each_row = [&](const auto& use) {
      for (std::size_t p = 0; p < net.pieces(); ++p) {
        const auto i = static_cast<std::size_t>(net.piece_nodes[p][0]),
                   j = static_cast<std::size_t>(net.piece_nodes[p][1]);
        if (problem.conductance[p] <= 0 || i == j) continue;
        if (i < net.own_nodes && !problem.fixed[i]) use(i, j, problem.conductance[p] / unit_);
        if (j < net.own_nodes && !problem.fixed[j]) use(j, i, problem.conductance[p] / unit_);
      }
    };
    each_row([&](std::size_t i, std::size_t j, double) {
      if (number[j] >= 0) ++(j < net.own_nodes ? diagonal : off)[i];
    });
    for (const std::size_t n : free_) {
      own_rows.push_back(diagonal[n]);
      other_rows.push_back(off[n]);
    }
    const auto rows = static_cast<PetscInt>(free_.size());
    petsc(MatCreateAIJ(net.comm, rows, rows, PETSC_DETERMINE, PETSC_DETERMINE, 0, own_rows.data(), 0, other_rows.data(),
                       matrix_.out()));
    each_row([&](std::size_t i, std::size_t j, double w) {
      petsc(MatSetValue(matrix_.get(), static_cast<PetscInt>(number[i]), static_cast<PetscInt>(number[i]), w,
                        ADD_VALUES));
      if (number[j] >= 0)
        petsc(MatSetValue(matrix_.get(), static_cast<PetscInt>(number[i]), static_cast<PetscInt>(number[j]), -w,
                          ADD_VALUES));
    });
    petsc(MatAssemblyBegin(matrix_.get(), MAT_FINAL_ASSEMBLY));
    petsc(MatAssemblyEnd(matrix_.get(), MAT_FINAL_ASSEMBLY));
    petsc(MatSetOption(matrix_.get(), MAT_SPD, PETSC_TRUE));
    petsc(MatCreateVecs(matrix_.get(), x_.out(), b_.out()));
    petsc(KSPCreate(net.comm, ksp_.out()));
    petsc(KSPSetOptionsPrefix(ksp_.get(), prefix_.c_str()));
    petsc(KSPSetOperators(ksp_.get(), matrix_.get(), matrix_.get()));
    PC pc = nullptr;
    petsc(KSPGetPC(ksp_.get(), &pc));
    if (kind == "mumps") {
      petsc(KSPSetType(ksp_.get(), KSPPREONLY));
      petsc(PCSetType(pc, PCCHOLESKY));
      petsc(PCFactorSetMatSolverType(pc, MATSOLVERMUMPS));
    } else {
      petsc(KSPSetType(ksp_.get(), KSPCG));
      petsc(KSPSetNormType(ksp_.get(), KSP_NORM_UNPRECONDITIONED));
      petsc(PCSetType(pc, PCHYPRE));
      petsc(PCHYPRESetType(pc, "boomeramg"));
      for (const auto& [name, value] : {std::pair{"coarsen_type", "HMIS"}, {"interp_type", "ext+i"}, {"P_max", "4"}})
        default_option("-" + prefix_ + "pc_hypre_boomeramg_" + name, value);
    }
    petsc(KSPSetFromOptions(ksp_.get()));
    petsc(KSPSetUp(ksp_.get()));
  }
  /// Imbalance that is left; pressures of all local nodes. Collective.
  double solve(double tolerance, std::vector<double>& x) {
    const CutNetwork& net = problem_.network;
    std::vector<double> r;
    double left = problem_.imbalance(x, r), before = left;
    for (int round = 0; round < 10 && left > tolerance; ++round) {
      {
        const WriteAccess b(b_.get());
        for (std::size_t i = 0; i < free_.size(); ++i) b[i] = r[free_[i]] / unit_;
      }
      petsc(KSPSetTolerances(ksp_.get(), std::clamp(0.3 * tolerance / left, 1e-12, 0.1), 1e-300, PETSC_DEFAULT, 2000));
      petsc(KSPSolve(ksp_.get(), b_.get(), x_.get()));
      PetscInt count = 0;
      petsc(KSPGetIterationNumber(ksp_.get(), &count));
      iterations += static_cast<int>(count);
      const ReadAccess dx(x_.get());
      for (std::size_t i = 0; i < free_.size(); ++i) x[free_[i]] += dx[i];
      net.node_halo.update(std::span<double>(x));
      before = left;
      left = problem_.imbalance(x, r);
      if (!(left < 0.5 * before)) break;
    }
    return left;
  }
  int iterations = 0;

 private:
  const PressureProblem& problem_;
  std::string prefix_;
  std::vector<std::size_t> free_;
  double unit_ = 0;
  MatHandle matrix_;
  KspHandle ksp_;
  VecHandle x_, b_;
};

/// PETSc's own messages off: a solver that fails is a line of the output.
class QuietPetsc {
 public:
  QuietPetsc() { petsc(PetscPushErrorHandler(PetscReturnErrorHandler, nullptr)); }
  QuietPetsc(const QuietPetsc&) = delete;
  QuietPetsc& operator=(const QuietPetsc&) = delete;
  ~QuietPetsc() { (void)PetscPopErrorHandler(); }
};

struct Case {
  Record head;  ///< first fields of each line
  double segments = 0, tolerance = 0;
};

std::function<void(const Record&)> line_writer(BenchmarkContext& context, const Case& what) {
  return [&context, what](const Record& fields) {
    Record line = what.head;
    line.update(fields);
    context.emit(line);
  };
}

void measure_pressure(BenchmarkContext& context, const PressureProblem& problem, const Case& what,
                      const std::vector<std::string>& solvers) {
  const CutNetwork& network = problem.network;
  MPI_Comm comm = network.comm;
  const auto emit = line_writer(context, what);
  std::vector<double> reference, r;
  double own_time = 0;
  for (const std::string& name : solvers) {
    Record line{{"what", "pressure"}, {"solver", name}};
    std::vector<double> x = problem.start();
    double left = 0;
    if (name == "ours") {
      std::unique_ptr<NetworkLaplacian> laplacian;
      std::vector<double> remainder(network.nodes());
      SolveReport report;
      const std::vector<double> none(network.own_nodes, 0.0);
      std::vector<double> cycle(network.own_nodes);
      double set_up = 0, solve = 0;
      const auto [both, memory] = measured(comm, [&] {
        set_up = seconds_of(comm, [&] {
          laplacian = std::make_unique<NetworkLaplacian>(network, "bench_ours_");
          laplacian->set(problem.conductance, none, problem.fixed);
          laplacian->precondition(problem.given, cycle);  // the preconditioner is made by the first cycle
        });
        solve = seconds_of(comm, [&] { report = laplacian->solve(problem.given, x, remainder, what.tolerance); });
      });
      left = report.residual;
      own_time = both;
      line["unknowns"] = laplacian->unknowns();
      line["reduced_unknowns"] = laplacian->reduced_unknowns();
      line["iterations"] = report.iterations;
      line["set_up_s"] = set_up;
      line["solve_s"] = solve;
      put_memory(comm, memory, what.segments, line);
    } else if ((name == "mumps" && !have_mumps) || (name == "boomeramg" && !have_hypre)) {
      line["converged"] = false;
      line["reason"] = "PETSc was built without it";
      emit(line);
      continue;
    } else {
      const QuietPetsc quiet;
      try {
        std::unique_ptr<AssembledSolver> solver;
        double set_up = 0, solve = 0;
        const auto [both, memory] = measured(comm, [&] {
          set_up = seconds_of(comm, [&] { solver = std::make_unique<AssembledSolver>(problem, name); });
          solve = seconds_of(comm, [&] { left = solver->solve(what.tolerance, x); });
        });
        line["iterations"] = solver->iterations;
        line["set_up_s"] = set_up;
        line["solve_s"] = solve;
        if (own_time > 0) {
          line["time_over_ours"] = both / own_time;
        }
        put_memory(comm, memory, what.segments, line);
      } catch (const NumericsError& error) {
        line["converged"] = false;
        line["reason"] = error.what();
        emit(line);
        continue;
      }
    }
    line["imbalance"] = left;
    line["converged"] = left <= what.tolerance;
    if (reference.empty()) {
      reference = x;
    } else {
      double difference = 0, largest = 0;
      for (std::size_t n = 0; n < network.own_nodes; ++n) {
        difference = std::max(difference, std::abs(x[n] - reference[n]));
        largest = std::max(largest, std::abs(reference[n]));
      }
      line["difference"] = max_over(comm, difference) / max_over(comm, largest);
    }
    emit(line);
  }
}

void measure_size(BenchmarkContext& context, long asked, std::uint64_t seed, const std::vector<std::string>& solvers,
                  double tolerance, const std::vector<std::string>& splits, int max_iterations) {
  MPI_Comm comm = context.comm;
  CutNetwork network;
  Case what;
  what.tolerance = tolerance;
  {
    VesselGraph share;
    const auto made = measured(comm, [&] { share = lattice_share(comm, asked, seed); });
    const auto dealt = measured(comm, [&] { network = uncut(comm, share); });
    what.segments = static_cast<double>(network.all_pieces);
    what.head = {{"bench", "network"},
                 {"segments", network.all_pieces},
                 {"nodes", network.all_nodes},
                 {"seed", seed},
                 {"ranks", size_of(comm)}};
    Record line{{"what", "deal"}, {"make_s", made.first}, {"deal_s", dealt.first}};
    put_memory(comm, dealt.second, what.segments, line);
    line["copies_of_pieces"] = count_over(comm, static_cast<long>(network.pieces() - network.own_pieces));
    line["most_pieces_of_a_rank"] = static_cast<long>(max_over(comm, static_cast<double>(network.pieces())));
    line_writer(context, what)(line);
  }
  {
    const FlowSolver flow(network, network.piece_radii(), blood_laws(Rheology{}, SplitLaw{}, 0.45));
    PressureProblem problem{network, flow.conductance(std::vector<double>(network.pieces(), 0.45)),
                            std::vector<double>(network.own_nodes, 0.0), flow.fixed()};
    measure_pressure(context, problem, what, solvers);
  }
  for (const std::string& split : splits) {
    SplitLaw law;
    law.form = split == "pries_2005"   ? SplitForm::pries_2005
               : split == "pries_1989" ? SplitForm::pries_1989
                                       : SplitForm::proportional;
    std::unique_ptr<FlowSolver> flow;
    BloodFlow state;
    double set_up = 0;
    const auto [seconds, memory] = measured(comm, [&] {
      set_up = seconds_of(comm, [&] {
        flow = std::make_unique<FlowSolver>(network, network.piece_radii(), blood_laws(Rheology{}, law, 0.45));
      });
      flow->solve(state, 2e-9, max_iterations);
    });
    double carrying = 0, inflow = 0;
    for (std::size_t p = 0; p < network.own_pieces; ++p) carrying += state.red_cells[p] > 0 ? 1.0 : 0.0;
    for (std::size_t n = 0; n < network.own_nodes; ++n) inflow += std::max(state.inflow[n], 0.0);
    Record line{{"what", "flow"},
                {"phase_separation", split},
                {"seconds", seconds},
                {"set_up_s", set_up},
                {"seconds_per_million_segments", seconds / what.segments * 1e6},
                {"converged", state.converged},
                {"oscillating", state.oscillating},
                {"iterations", state.iterations},
                {"change", state.change},
                {"flux_change", state.flux_change},
                {"moving_segments", state.moving_segments},
                {"moving_red_cells", state.moving_red_cells},
                {"blood_imbalance", state.blood_imbalance},
                {"red_cell_imbalance", state.red_cell_imbalance},
                {"inflow_m3_per_s", sum_over(comm, inflow)},
                {"share_with_red_cells", sum_over(comm, carrying) / what.segments}};
    put_memory(comm, memory, what.segments, line);
    line_writer(context, what)(line);
  }
}

void run_network(BenchmarkContext& context) {
  const BenchmarkOptions& given = context.options;
  const auto sizes = given.counts("segments", {1000, 10000, 100000, 1000000}, 10, 100000000);
  const auto seeds = given.counts("seed", {1}, 0, 1000000000);
  const auto solvers = given.words("solvers", {"ours", "boomeramg", "mumps"}, {"ours", "boomeramg", "mumps"});
  const auto splits = given.words("phase-separation", {"pries_2005"}, {"pries_2005", "pries_1989", "proportional"});
  const double tolerance = given.number("tolerance", 1e-10, 1e-13, 0.1);
  const auto iterations = static_cast<int>(given.count("max-iterations", 300, 1, 100000));
  for (const long segments : sizes) {
    for (const long seed : seeds)
      measure_size(context, segments, static_cast<std::uint64_t>(seed), solvers, tolerance, splits, iterations);
  }
}

}  // namespace

Benchmark network_benchmark() {
  return {"network",
          "blood flow in a vessel network: dealing out, pressures beside hypre and MUMPS, flow with haematocrit",
          {{"segments", "LIST", "sizes (default 1000,10000,100000,1000000)"},
           {"seed", "LIST", "of the disordered lattices (default 1)"},
           {"solvers", "LIST", "ours, boomeramg, mumps or all"},
           {"phase-separation", "LIST", "pries_2005, pries_1989, proportional or all"},
           {"tolerance", "X",
            "imbalance of flow that all pressure solvers must reach, of the largest flow (default 1e-10)"},
           {"max-iterations", "N", "of the fixed point (default 300)"}},
          run_network};
}

}  // namespace sanctuary
