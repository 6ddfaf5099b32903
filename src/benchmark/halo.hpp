#pragma once
#include <mpi.h>

#include <array>
#include <vector>

namespace sanctuary {

/// Time of a message of `bytes` between two ranks, one way.
struct PingPong {
  double bytes = 0, seconds = 0;
};
/// Seconds of messages of 8 bytes to 4 MB between rank 0 and `partner`, median of `repeat`; the same on all ranks.
/// Collective.
[[nodiscard]] std::vector<PingPong> measure_ping_pong(MPI_Comm comm, int partner, int repeat);

/// Latency [s] and inverse bandwidth [s/byte] of a message, least squares over relative misfits.
struct MessageCost {
  double latency = 0, per_byte = 0, rms_misfit = 0, worst_misfit = 0;
};
[[nodiscard]] MessageCost fit_messages(const std::vector<PingPong>& samples);

/// Seconds of a sum of one double over all ranks, median. Collective.
[[nodiscard]] double measure_reduction(MPI_Comm comm, int repeat);

}  // namespace sanctuary
