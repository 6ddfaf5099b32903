#pragma once
#include <mpi.h>

#include <span>
#include <vector>

#include "solvers/exact_sum.hpp"
#include "solvers/grid.hpp"

namespace sanctuary {

// Numbers of a field that is spread over the ranks of a communicator. Each rank gives its own values; all ranks get the
// same result, with the same digits on any number of ranks. All functions are collective. Sums are exact sums of terms
// that are rounded one by one, rounded once at the end. Spans of one call have equal lengths on a rank; the lengths may
// differ between ranks and may be 0.

/// Sum of absolute values. NaN if a value is.
[[nodiscard]] double norm1(MPI_Comm comm, std::span<const double> values);
/// Root of the sum of squares; neither overflows nor underflows before the result does. NaN if a value is.
[[nodiscard]] double norm2(MPI_Comm comm, std::span<const double> values);
/// Largest absolute value; 0 of no values. NaN if a value is.
[[nodiscard]] double norm_max(MPI_Comm comm, std::span<const double> values);
/// Sum of weight x value.
[[nodiscard]] double weighted_sum(MPI_Comm comm, std::span<const double> weights, std::span<const double> values);
/// Sum over the owned cells of value x volume of a cell [unit of the value x m^3].
[[nodiscard]] double integral(const Grid& grid, std::span<const double> values);

/// The same of the owned entries of vectors.
[[nodiscard]] double norm1(Vec values);
[[nodiscard]] double norm2(Vec values);
[[nodiscard]] double norm_max(Vec values);
[[nodiscard]] double weighted_sum(Vec weights, Vec values);
[[nodiscard]] double integral(const Grid& grid, Vec values);

/// Weights of the values by size.
struct Histogram {
  std::vector<double> inside;  ///< of edge[b] <= value < edge[b + 1]; the last bin holds its upper edge too
  double below = 0;            ///< of values under the first edge
  double above = 0;            ///< of values over the last edge
};

/// Sorts the values into the bins between `edges` (the same on all ranks, rising). No weights: 1 each. Throws
/// InputError on NaN and on edges that do not rise.
[[nodiscard]] Histogram histogram(MPI_Comm comm, std::span<const double> values, std::span<const double> weights,
                                  std::span<const double> edges);

/// For each fraction q in [0, 1] (the same on all ranks) the smallest of the values for which the weight of all values
/// up to it is at least q x total weight; no interpolation. No weights: 1 each; values of weight 0 do not count. Throws
/// InputError on NaN, on negative or infinite weights, and where the total weight is 0 or not finite. Refines 6 bits of
/// the result at a time: passes over fewer and fewer values, 11 at most; 36 kB per fraction are summed over the ranks
/// each time.
[[nodiscard]] std::vector<double> quantiles(MPI_Comm comm, std::span<const double> values,
                                            std::span<const double> weights, std::span<const double> fractions);

}  // namespace sanctuary
