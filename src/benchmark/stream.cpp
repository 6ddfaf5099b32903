#include "benchmark/stream.hpp"

#include <algorithm>
#include <cstring>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "benchmark/benchmark.hpp"
#include "benchmark/measure.hpp"
#include "solvers/simd.hpp"

namespace sanctuary {
namespace {

SANCTUARY_CLONES void triad(double* __restrict a, const double* __restrict b, const double* __restrict c, double s,
                            std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) a[i] = b[i] + s * c[i];
}

SANCTUARY_CLONES double total_of(const double* a, std::size_t n) {
  constexpr std::size_t lanes = 32;
  double sum[lanes] = {};
  for (std::size_t i = 0; i + lanes <= n; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) sum[lane] += a[i + lane];
  }
  double all = 0;
  for (const double part : sum) all += part;
  return all;
}

void run_stream(BenchmarkContext& context) {
  const long megabytes = context.options.count("megabytes", 128, 1, 100000);
  const auto repeat = static_cast<int>(context.options.count("repeat", 10, 1, 10000));
  const StreamRates rates = measure_stream(context.comm, static_cast<std::size_t>(megabytes) << 20U, repeat);
  const auto [lowest, highest] = std::minmax_element(rates.triad.begin(), rates.triad.end());
  context.emit(
      {{"bench", "stream"},
       {"ranks", size_of(context.comm)},
       {"megabytes_per_array_and_rank", megabytes},
       {"repetitions", repeat},
       {"triad_MB_per_s", rates.triad_total / 1e6},
       {"triad_MB_per_s_worst_repetition", rates.triad_lowest_total / 1e6},
       {"triad_MB_per_s_of_ranks", {{"lowest", *lowest / 1e6}, {"highest", *highest / 1e6}}},
       {"copy_MB_per_s", rates.copy_total / 1e6},
       {"read_MB_per_s", rates.read_total / 1e6},
       {"counting", "24 bytes an element of triad, 16 of copy (memcpy), 8 of read; medians; all ranks at once"}});
}

}  // namespace

StreamRates measure_stream(MPI_Comm comm, std::size_t bytes, int repeat) {
  const std::size_t n = std::max<std::size_t>(bytes / sizeof(double), 32);
  std::vector<double> a(n, 1.0), b(n, 2.0), c(n, 0.5);
  const auto elements = static_cast<double>(n);
  const double all_elements = sum_over(comm, elements);
  std::vector<double> own, totals, copies, reads;
  double check = 0;
  for (int r = 0; r <= repeat; ++r) {  // the first round warms up
    MPI_Barrier(comm);
    double begin = MPI_Wtime();
    triad(a.data(), b.data(), c.data(), 3.0, n);
    const double mine = MPI_Wtime() - begin;
    const double slowest = max_over(comm, mine);
    check += a[n / 2] - 3.5;
    const double copy = seconds_of(comm, [&] { std::memcpy(a.data(), b.data(), n * sizeof(double)); });
    check += a[n / 2] - 2.0;
    double sum = 0;
    const double read = seconds_of(comm, [&] { sum = total_of(c.data(), n); });
    check += sum - 0.5 * static_cast<double>(n / 32 * 32);
    if (r == 0) continue;
    own.push_back(24 * elements / mine);
    totals.push_back(24 * all_elements / slowest);
    copies.push_back(16 * all_elements / copy);
    reads.push_back(8 * all_elements / read);
  }
  if (sum_over(comm, check) != 0) throw NumericsError("bench stream: the loops gave a wrong result");
  StreamRates rates;
  rates.triad_total = median(totals);
  rates.triad_lowest_total = smallest(totals);
  rates.triad_totals = totals;
  rates.copy_total = median(copies);
  rates.read_total = median(reads);
  rates.triad.resize(static_cast<std::size_t>(size_of(comm)));
  const double mine = median(own);
  MPI_Allgather(&mine, 1, MPI_DOUBLE, rates.triad.data(), 1, MPI_DOUBLE, comm);
  return rates;
}

Benchmark stream_benchmark() {
  return {"stream",
          "memory traffic of triad, copy and read on all ranks at once",
          {{"megabytes", "N", "size of each of the three arrays of a rank (default 128): far more than the caches"},
           {"repeat", "N", "repetitions"}},
          run_stream};
}

}  // namespace sanctuary
