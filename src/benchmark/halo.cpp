#include "benchmark/halo.hpp"

#include <algorithm>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "benchmark/benchmark.hpp"
#include "benchmark/measure.hpp"
#include "solvers/grid.hpp"

namespace sanctuary {
namespace {

/// Messages that the busiest rank sends in a ghost exchange of star stencil, and their bytes.
std::array<double, 2> messages_of(const Grid& grid) {
  double messages = 0, faces = 0;
  const auto& n = grid.size();
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double area = static_cast<double>(grid.local_cells()) / static_cast<double>(n[axis]);
    const int sides =
        (grid.start()[axis] > 0 ? 1 : 0) + (grid.start()[axis] + n[axis] < grid.spec().cells[axis] ? 1 : 0);
    messages += sides;
    faces += sides * area;
  }
  return {max_over(grid.comm(), messages), max_over(grid.comm(), 8 * faces)};
}

void measure_exchange(BenchmarkContext& context, const std::array<long, 3>& cells, int repeat) {
  MPI_Comm comm = context.comm;
  GridSpec spec;
  spec.cells = cells;
  spec.spacing = {1, 1, 1};
  const Grid grid(comm, spec);
  VecHandle global = grid.vector(), local;
  petsc(DMCreateLocalVector(grid.dm(), local.out()));
  std::vector<double> seconds;
  for (int r = 0; r <= repeat; ++r) {  // the first warms up
    const double one =
        seconds_of(comm, [&] { petsc(DMGlobalToLocal(grid.dm(), global.get(), INSERT_VALUES, local.get())); });
    if (r > 0) seconds.push_back(one);
  }
  const auto [messages, bytes] = messages_of(grid);
  const double mine = static_cast<double>(grid.local_cells());
  context.emit({{"bench", "halo"},
                {"what", "exchange"},
                {"ranks", size_of(comm)},
                {"cells", cells},
                {"largest_block_cells", max_over(comm, mine)},
                {"seconds", {{"min", smallest(seconds)}, {"median", median(seconds)}}},
                {"messages_sent_by_busiest_rank", messages},
                {"bytes_sent_by_busiest_rank", bytes},
                {"bytes_copied_by_largest_block", 16 * max_over(comm, mine)},
                {"repetitions", repeat}});
}

void run_halo(BenchmarkContext& context) {
  const auto boxes = context.options.boxes("cells", {{16, 16, 16}, {32, 32, 32}, {64, 64, 64}, {128, 128, 128}});
  const auto repeat = static_cast<int>(context.options.count("repeat", 50, 1, 100000));
  for (const auto& box : boxes) measure_exchange(context, box, repeat);
  const int ranks = size_of(context.comm);
  if (ranks == 1) {
    context.emit({{"bench", "halo"}, {"what", "ping_pong"}, {"ranks", 1}, {"skipped", "one rank sends no messages"}});
    return;
  }
  std::vector<int> partners{1};
  if (ranks > 2) partners.push_back(ranks - 1);
  for (const int partner : partners) {
    const std::vector<PingPong> samples = measure_ping_pong(context.comm, partner, repeat);
    const MessageCost cost = fit_messages(samples);
    Record table = Record::array();
    for (const PingPong& s : samples) table.push_back({{"bytes", s.bytes}, {"seconds", s.seconds}});
    context.emit({{"bench", "halo"},
                  {"what", "ping_pong"},
                  {"ranks", ranks},
                  {"between", {0, partner}},
                  {"latency_s", cost.latency},
                  {"bandwidth_MB_per_s", cost.per_byte > 0 ? Record(1e-6 / cost.per_byte) : Record()},
                  {"fit_rms_misfit", cost.rms_misfit},
                  {"fit_worst_misfit", cost.worst_misfit},
                  {"samples", table}});
  }
  context.emit({{"bench", "halo"},
                {"what", "reduction"},
                {"ranks", ranks},
                {"seconds", measure_reduction(context.comm, repeat)}});
}

}  // namespace

std::vector<PingPong> measure_ping_pong(MPI_Comm comm, int partner, int repeat) {
  constexpr int largest = 4 << 20;
  const int rank = rank_of(comm);
  std::vector<PingPong> samples;
  std::vector<char> buffer(largest);
  for (int bytes = 8; bytes <= largest; bytes *= 8) {
    std::vector<double> seconds;
    MPI_Barrier(comm);
    for (int r = 0; r <= repeat; ++r) {
      // Many small ones make a time that the clock can tell.
      const int rounds = bytes < 32768 ? 20 : 1;
      const double begin = MPI_Wtime();
      for (int round = 0; round < rounds; ++round) {
        if (rank == 0) {
          MPI_Send(buffer.data(), bytes, MPI_CHAR, partner, 0, comm);
          MPI_Recv(buffer.data(), bytes, MPI_CHAR, partner, 0, comm, MPI_STATUS_IGNORE);
        } else if (rank == partner) {
          MPI_Recv(buffer.data(), bytes, MPI_CHAR, 0, 0, comm, MPI_STATUS_IGNORE);
          MPI_Send(buffer.data(), bytes, MPI_CHAR, 0, 0, comm);
        }
      }
      if (r > 0) seconds.push_back((MPI_Wtime() - begin) / (2 * rounds));
    }
    double middle = median(seconds);
    MPI_Bcast(&middle, 1, MPI_DOUBLE, 0, comm);
    samples.push_back({static_cast<double>(bytes), middle});
  }
  return samples;
}

MessageCost fit_messages(const std::vector<PingPong>& samples) {
  std::vector<std::vector<double>> rows;
  std::vector<double> values;
  for (const PingPong& s : samples) {
    rows.push_back({1.0, s.bytes});
    values.push_back(s.seconds);
  }
  const std::vector<double> x = fit_positive(rows, values);
  const auto [rms, worst] = relative_misfit(rows, values, x);
  return {x[0], x[1], rms, worst};
}

double measure_reduction(MPI_Comm comm, int repeat) {
  std::vector<double> seconds;
  double value = 1;
  constexpr int rounds = 20;
  for (int r = 0; r <= repeat; ++r) {
    const double one = seconds_of(comm, [&] {
      for (int round = 0; round < rounds; ++round) MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, MPI_MAX, comm);
    });
    if (r > 0) seconds.push_back(one / rounds);
  }
  return median(seconds);
}

Benchmark halo_benchmark() {
  return {"halo",
          "ghost exchange of a grid, ping-pong between ranks, sums over all ranks",
          {{"cells", "LIST", "boxes: 64 or 100x60x37, cut over all ranks"}, {"repeat", "N", "repetitions"}},
          run_halo};
}

}  // namespace sanctuary
