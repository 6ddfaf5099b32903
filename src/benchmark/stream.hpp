#pragma once
#include <mpi.h>

#include <vector>

namespace sanctuary {

/// Memory traffic of simple loops over arrays that no cache holds [bytes/s], in the counting of STREAM (McCalpin 1995):
/// what a store reads before it writes is not counted.
struct StreamRates {
  double triad_total = 0;            ///< a = b + s c on all ranks at once, 24 bytes an element: sum over the ranks
  std::vector<double> triad;         ///< the same, of each rank
  double copy_total = 0;             ///< memcpy on all ranks at once, which stores past the caches: 16 bytes an element
  double read_total = 0;             ///< sum of an array on all ranks at once: 8 bytes an element
  double triad_lowest_total = 0;     ///< of the slowest repetition
  std::vector<double> triad_totals;  ///< of each repetition
};

/// Median over `repeat` repetitions in turn of each loop, on three arrays of `bytes` bytes per rank. Collective.
[[nodiscard]] StreamRates measure_stream(MPI_Comm comm, std::size_t bytes, int repeat);

}  // namespace sanctuary
