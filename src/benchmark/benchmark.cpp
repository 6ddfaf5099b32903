#include "benchmark/benchmark.hpp"

#include <petscsys.h>

#include <fstream>
#include <thread>

#include "base/build_info.hpp"
#include "base/comm.hpp"

namespace sanctuary {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string petsc_version() {
  return std::to_string(PETSC_VERSION_MAJOR) + "." + std::to_string(PETSC_VERSION_MINOR) + "." +
         std::to_string(PETSC_VERSION_SUBMINOR);
}

}  // namespace

const std::vector<Benchmark>& benchmarks() {
  static const std::vector<Benchmark> all{elliptic_benchmark(), transport_benchmark(), reaction_benchmark(),
                                          coupled_benchmark(),  kinetics_benchmark(),  halo_benchmark(),
                                          stream_benchmark(),   scaling_benchmark(),   network_benchmark(),
                                          drugs_benchmark(),    cohort_benchmark()};
  return all;
}

Record machine_record(MPI_Comm comm, const std::string& benchmark, const std::string& command) {
#if defined(PETSC_HAVE_HYPRE)
  constexpr bool hypre = true;
#else
  constexpr bool hypre = false;
#endif
  return {{"bench", benchmark},
          {"command", command},
          {"ranks", size_of(comm)},
          {"hardware_threads", std::thread::hardware_concurrency()},
          {"processor", processor_name()},
          {"program", build_info::description()},
          {"petsc", petsc_version()},
          {"petsc_integer_bits", 8 * sizeof(PetscInt)},
          {"hypre", hypre}};
}

}  // namespace sanctuary
