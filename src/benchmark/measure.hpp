#pragma once
#include <mpi.h>

#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace sanctuary {

/// Seconds that `work` takes on the slowest rank, started together. Collective.
[[nodiscard]] double seconds_of(MPI_Comm comm, const std::function<void()>& work);

/// The middle value; the mean of the two middle ones of an even number. Not a number if there is none.
[[nodiscard]] double median(std::vector<double> values);
/// The smallest value; not a number if there is none.
[[nodiscard]] double smallest(std::span<const double> values);

/// Bytes that the program holds from malloc and operator new now, blocks mapped by them included, summed over the
/// ranks; not a number where the C library does not tell. Collective.
[[nodiscard]] double heap_bytes(MPI_Comm comm);

/// Gives free memory back and starts the peak of this rank's resident memory anew; false where the system does not.
bool restart_peak_resident();
/// Largest resident memory of this rank since then, or so far; not a number where the system does not tell [bytes].
[[nodiscard]] double peak_resident_bytes();

/// Resident memory of this rank now [bytes], and the processor time it has used [s].
[[nodiscard]] double resident_bytes();
[[nodiscard]] double processor_seconds();

/// Factors x, none negative, with the smallest sum of squares of (rows x - values) / values: every value counts by its
/// relative misfit. At least one row; every row has the same number of columns. All subsets of columns are tried, so
/// that there may be only few (at most 10).
[[nodiscard]] std::vector<double> fit_positive(const std::vector<std::vector<double>>& rows,
                                               std::span<const double> values);
/// Root mean square and largest relative misfit of a fit.
[[nodiscard]] std::pair<double, double> relative_misfit(const std::vector<std::vector<double>>& rows,
                                                        std::span<const double> values, std::span<const double> x);

/// Runs `work` on a communicator of the first `ranks` ranks while the others sleep. Collective on `comm`.
void on_first_ranks(MPI_Comm comm, int ranks, const std::function<void(MPI_Comm)>& work);

}  // namespace sanctuary
