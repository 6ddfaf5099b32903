#pragma once
#include <mpi.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "benchmark/options.hpp"

namespace sanctuary {

/// One line of a benchmark's output; fields keep their order. What could not be measured is null.
using Record = nlohmann::ordered_json;

/// What a benchmark works with. `emit` is called on all ranks with the same record or, where only rank 0 knows it, is
/// looked at on rank 0 alone.
struct BenchmarkContext {
  MPI_Comm comm;
  BenchmarkOptions options;
  std::function<void(const Record&)> emit;
};

/// An option of one benchmark.
struct BenchmarkOption {
  std::string name, argument, meaning;
};

/// Something measured side by side with its alternatives in one process, printed as one JSON object a line.
struct Benchmark {
  std::string name, summary;
  std::vector<BenchmarkOption> options;
  /// Collective. InputError where an option is not understood.
  void (*run)(BenchmarkContext&) = nullptr;
};

/// All benchmarks.
[[nodiscard]] const std::vector<Benchmark>& benchmarks();

/// First line of every benchmark: name, program, PETSc, processor, ranks, the command. Collective.
[[nodiscard]] Record machine_record(MPI_Comm comm, const std::string& benchmark, const std::string& command);

/// The benchmarks, each in its own file.
[[nodiscard]] Benchmark elliptic_benchmark();
[[nodiscard]] Benchmark transport_benchmark();
[[nodiscard]] Benchmark reaction_benchmark();
[[nodiscard]] Benchmark kinetics_benchmark();
[[nodiscard]] Benchmark stream_benchmark();
[[nodiscard]] Benchmark halo_benchmark();
[[nodiscard]] Benchmark coupled_benchmark();
[[nodiscard]] Benchmark scaling_benchmark();
[[nodiscard]] Benchmark network_benchmark();
[[nodiscard]] Benchmark drugs_benchmark();
[[nodiscard]] Benchmark cohort_benchmark();

}  // namespace sanctuary
