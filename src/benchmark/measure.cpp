#include "benchmark/measure.hpp"

#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

double status_bytes(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    double kilobytes = 0;
    if (word == name && file >> kilobytes) return 1024 * kilobytes;
  }
  return nothing;
}

/// Solution of a small dense system by elimination with pivoting; empty if it is singular.
std::vector<double> solve_dense(std::vector<std::vector<double>> matrix, std::vector<double> rhs) {
  const std::size_t n = rhs.size();
  for (std::size_t column = 0; column < n; ++column) {
    std::size_t pivot = column;
    for (std::size_t row = column + 1; row < n; ++row) {
      if (std::abs(matrix[row][column]) > std::abs(matrix[pivot][column])) pivot = row;
    }
    if (!(std::abs(matrix[pivot][column]) > 1e-13)) return {};
    std::swap(matrix[pivot], matrix[column]);
    std::swap(rhs[pivot], rhs[column]);
    for (std::size_t row = column + 1; row < n; ++row) {
      const double factor = matrix[row][column] / matrix[column][column];
      for (std::size_t k = column; k < n; ++k) matrix[row][k] -= factor * matrix[column][k];
      rhs[row] -= factor * rhs[column];
    }
  }
  for (std::size_t row = n; row-- > 0;) {
    for (std::size_t k = row + 1; k < n; ++k) rhs[row] -= matrix[row][k] * rhs[k];
    rhs[row] /= matrix[row][row];
  }
  return rhs;
}

/// Least squares in the chosen columns, each scaled to unit length so that units do not decide what is singular.
std::vector<double> least_squares(const std::vector<std::vector<double>>& rows, std::span<const double> values,
                                  const std::vector<std::size_t>& columns) {
  const std::size_t n = columns.size();
  std::vector<double> length(n, 0.0);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t a = 0; a < n; ++a) length[a] += std::pow(rows[r][columns[a]] / values[r], 2);
  }
  for (double& l : length) {
    if (!(l > 0)) return {};
    l = std::sqrt(l);
  }
  std::vector<std::vector<double>> normal(n, std::vector<double>(n, 0.0));
  std::vector<double> rhs(n, 0.0);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t a = 0; a < n; ++a) {
      const double row_a = rows[r][columns[a]] / values[r] / length[a];
      rhs[a] += row_a;
      for (std::size_t b = 0; b < n; ++b) normal[a][b] += row_a * rows[r][columns[b]] / values[r] / length[b];
    }
  }
  std::vector<double> x = solve_dense(std::move(normal), std::move(rhs));
  for (std::size_t a = 0; a < x.size(); ++a) x[a] /= length[a];
  return x;
}

}  // namespace

double seconds_of(MPI_Comm comm, const std::function<void()>& work) {
  MPI_Barrier(comm);
  const double begin = MPI_Wtime();
  work();
  const double own = MPI_Wtime() - begin;
  return max_over(comm, own);
}

double median(std::vector<double> values) {
  if (values.empty()) return nothing;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double smallest(std::span<const double> values) {
  return values.empty() ? nothing : *std::min_element(values.begin(), values.end());
}

double heap_bytes(MPI_Comm comm) {
  double own = nothing;
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#if __GLIBC_PREREQ(2, 33)
  const auto info = mallinfo2();
  own = static_cast<double>(info.uordblks) + static_cast<double>(info.hblkhd);
#endif
#endif
  return sum_over(comm, own);
}

bool restart_peak_resident() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
  std::ofstream file("/proc/self/clear_refs");
  return file.is_open() && (file << "5" << std::flush).good();
}

double peak_resident_bytes() { return status_bytes("VmHWM:"); }
double resident_bytes() { return status_bytes("VmRSS:"); }

double processor_seconds() {
  timespec used{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0) return nothing;
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

std::vector<double> fit_positive(const std::vector<std::vector<double>>& rows, std::span<const double> values) {
  const std::size_t columns = rows.front().size();
  std::vector<double> best(columns, 0.0);
  double least = std::numeric_limits<double>::infinity();
  for (unsigned subset = 1; subset < 1U << columns; ++subset) {
    std::vector<std::size_t> chosen;
    for (std::size_t c = 0; c < columns; ++c) {
      if ((subset >> c & 1U) != 0) chosen.push_back(c);
    }
    if (chosen.size() > rows.size()) continue;
    const std::vector<double> part = least_squares(rows, values, chosen);
    if (part.empty() || *std::min_element(part.begin(), part.end()) < 0) continue;
    std::vector<double> x(columns, 0.0);
    for (std::size_t a = 0; a < chosen.size(); ++a) x[chosen[a]] = part[a];
    const double misfit = relative_misfit(rows, values, x).first;
    if (misfit < least) {
      least = misfit;
      best = x;
    }
  }
  return best;
}

std::pair<double, double> relative_misfit(const std::vector<std::vector<double>>& rows, std::span<const double> values,
                                          std::span<const double> x) {
  double sum = 0, worst = 0;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    double model = 0;
    for (std::size_t c = 0; c < x.size(); ++c) model += rows[r][c] * x[c];
    const double misfit = std::abs(model / values[r] - 1);
    sum += misfit * misfit;
    worst = std::max(worst, misfit);
  }
  return {std::sqrt(sum / static_cast<double>(rows.size())), worst};
}

void on_first_ranks(MPI_Comm comm, int ranks, const std::function<void(MPI_Comm)>& work) {
  const bool mine = rank_of(comm) < ranks;
  MPI_Comm part = MPI_COMM_NULL;
  MPI_Comm_split(comm, mine ? 0 : MPI_UNDEFINED, rank_of(comm), &part);
  const auto all_have_come = [&] {
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Ibarrier(comm, &request);
    for (int arrived = 0; arrived == 0;) {
      MPI_Test(&request, &arrived, MPI_STATUS_IGNORE);
      if (arrived == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  together(comm, [&] {
    try {
      if (mine) work(part);
    } catch (...) {
      all_have_come();
      throw;
    }
    all_have_come();
  });
  if (mine) MPI_Comm_free(&part);
}

}  // namespace sanctuary
