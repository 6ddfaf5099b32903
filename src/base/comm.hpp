#pragma once
#include <mpi.h>

#include <functional>
#include <string>
#include <vector>

namespace sanctuary {

/// Rank of the caller in `comm`.
[[nodiscard]] int rank_of(MPI_Comm comm);
/// Number of ranks of `comm`.
[[nodiscard]] int size_of(MPI_Comm comm);

/// Runs `work` on every rank; when it throws on any, throws the same error (that of the lowest failing rank) on all.
/// Collective on `comm`; `work` must not be collective itself past a point where one rank can throw.
void together(MPI_Comm comm, const std::function<void()>& work);

/// Runs `work` on rank 0 alone and throws its failure on all ranks. Collective on `comm`.
void on_root(MPI_Comm comm, const std::function<void()>& work);

/// True once every rank has come here, false if some have not within `patience` [s]: a rank that failed alone would
/// otherwise wait for the others for ever. Collective on `comm`, which nothing else may use.
[[nodiscard]] bool all_arrive(MPI_Comm comm, double patience);

/// Copies text from rank 0 to all ranks. Collective on `comm`.
[[nodiscard]] std::string broadcast(MPI_Comm comm, std::string text);
/// Texts of all ranks, one after the other, on rank 0; nothing elsewhere. Collective on `comm`.
[[nodiscard]] std::string gather(MPI_Comm comm, const std::string& text);
/// Copies doubles or integers from rank 0 to all ranks. Collective on `comm`.
void broadcast(MPI_Comm comm, std::vector<double>& values);
void broadcast(MPI_Comm comm, std::vector<long>& values);

/// Sum, largest and smallest over the ranks of `comm`. Collective.
[[nodiscard]] double sum_over(MPI_Comm comm, double value);
[[nodiscard]] double max_over(MPI_Comm comm, double value);
[[nodiscard]] double min_over(MPI_Comm comm, double value);
/// Sum of whole numbers over the ranks of `comm`, and over the ranks before the caller. Collective.
[[nodiscard]] long count_over(MPI_Comm comm, long value);
[[nodiscard]] long count_before(MPI_Comm comm, long value);

/// Sends `to[r]` to each rank r and returns what each rank sent here, by sender. Doubles or whole numbers. Collective.
[[nodiscard]] std::vector<std::vector<double>> exchange_lists(MPI_Comm comm,
                                                              const std::vector<std::vector<double>>& to);
[[nodiscard]] std::vector<std::vector<long>> exchange_lists(MPI_Comm comm, const std::vector<std::vector<long>>& to);

}  // namespace sanctuary
