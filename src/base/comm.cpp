#include "base/comm.hpp"

#include <chrono>
#include <exception>
#include <thread>

#include "base/error.hpp"

namespace sanctuary {
namespace {

struct Failure {
  int code = 0;
  std::string text;
};

Failure caught(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return {static_cast<int>(error.code()), error.what()};
  } catch (const std::exception& error) {
    return {static_cast<int>(ExitCode::numerics), error.what()};
  }
  return {};
}

[[noreturn]] void rethrow(MPI_Comm comm, const Failure& mine, int source) {
  int code = mine.code;
  auto length = static_cast<int>(mine.text.size());
  MPI_Bcast(&code, 1, MPI_INT, source, comm);
  MPI_Bcast(&length, 1, MPI_INT, source, comm);
  std::string text = mine.text;
  text.resize(static_cast<std::size_t>(length));
  MPI_Bcast(text.data(), length, MPI_CHAR, source, comm);
  switch (static_cast<ExitCode>(code)) {
    case ExitCode::bad_input:
      throw InputError(text);
    case ExitCode::io:
      throw IoError(text);
    case ExitCode::stopped:
      throw Stopped(text);
    default:
      throw NumericsError(text);
  }
}

double reduced(MPI_Comm comm, double value, MPI_Op operation) {
  double result = 0;
  MPI_Allreduce(&value, &result, 1, MPI_DOUBLE, operation, comm);
  return result;
}

template <class T>
std::vector<std::vector<T>> exchanged(MPI_Comm comm, MPI_Datatype type, const std::vector<std::vector<T>>& to) {
  const std::size_t ranks = to.size();
  if (ranks == 1) return to;
  std::vector<long> sent(ranks), received(ranks);
  for (std::size_t r = 0; r < ranks; ++r) sent[r] = static_cast<long>(to[r].size());
  MPI_Alltoall(sent.data(), 1, MPI_LONG, received.data(), 1, MPI_LONG, comm);
  std::vector<std::vector<T>> from(ranks);
  std::vector<MPI_Request> requests;
  constexpr int tag = 77;
  // Point to point, so that no count exceeds an int only because the sum over ranks does.
  for (std::size_t r = 0; r < ranks; ++r) {
    from[r].resize(static_cast<std::size_t>(received[r]));
    if (received[r] == 0) continue;
    MPI_Irecv(from[r].data(), static_cast<int>(received[r]), type, static_cast<int>(r), tag, comm,
              &requests.emplace_back());
  }
  for (std::size_t r = 0; r < ranks; ++r) {
    if (sent[r] == 0) continue;
    MPI_Isend(to[r].data(), static_cast<int>(sent[r]), type, static_cast<int>(r), tag, comm, &requests.emplace_back());
  }
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  return from;
}

}  // namespace

bool all_arrive(MPI_Comm comm, double patience) {
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Ibarrier(comm, &request);
  const auto begin = std::chrono::steady_clock::now();
  int arrived = 0;
  for (;;) {
    MPI_Test(&request, &arrived, MPI_STATUS_IGNORE);
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
    if (arrived != 0 || waited.count() > patience) return arrived != 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

int rank_of(MPI_Comm comm) {
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  return rank;
}

int size_of(MPI_Comm comm) {
  int size = 1;
  MPI_Comm_size(comm, &size);
  return size;
}

void together(MPI_Comm comm, const std::function<void()>& work) {
  const Failure mine = caught(work);
  const int none = size_of(comm);
  int first = mine.code != 0 ? rank_of(comm) : none;
  MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, comm);
  if (first < none) rethrow(comm, mine, first);
}

void on_root(MPI_Comm comm, const std::function<void()>& work) {
  together(comm, [&] {
    if (rank_of(comm) == 0) work();
  });
}

std::string broadcast(MPI_Comm comm, std::string text) {
  auto length = static_cast<long>(text.size());
  MPI_Bcast(&length, 1, MPI_LONG, 0, comm);
  text.resize(static_cast<std::size_t>(length));
  MPI_Bcast(text.data(), static_cast<int>(length), MPI_CHAR, 0, comm);
  return text;
}

void broadcast(MPI_Comm comm, std::vector<double>& values) {
  auto length = static_cast<long>(values.size());
  MPI_Bcast(&length, 1, MPI_LONG, 0, comm);
  values.resize(static_cast<std::size_t>(length));
  MPI_Bcast(values.data(), static_cast<int>(length), MPI_DOUBLE, 0, comm);
}

void broadcast(MPI_Comm comm, std::vector<long>& values) {
  auto length = static_cast<long>(values.size());
  MPI_Bcast(&length, 1, MPI_LONG, 0, comm);
  values.resize(static_cast<std::size_t>(length));
  MPI_Bcast(values.data(), static_cast<int>(length), MPI_LONG, 0, comm);
}

double sum_over(MPI_Comm comm, double value) { return reduced(comm, value, MPI_SUM); }
double max_over(MPI_Comm comm, double value) { return reduced(comm, value, MPI_MAX); }
double min_over(MPI_Comm comm, double value) { return reduced(comm, value, MPI_MIN); }

long count_over(MPI_Comm comm, long value) {
  long result = 0;
  MPI_Allreduce(&value, &result, 1, MPI_LONG, MPI_SUM, comm);
  return result;
}

long count_before(MPI_Comm comm, long value) {
  long result = 0;
  MPI_Exscan(&value, &result, 1, MPI_LONG, MPI_SUM, comm);
  return rank_of(comm) == 0 ? 0 : result;
}

std::vector<std::vector<double>> exchange_lists(MPI_Comm comm, const std::vector<std::vector<double>>& to) {
  return exchanged(comm, MPI_DOUBLE, to);
}

std::vector<std::vector<long>> exchange_lists(MPI_Comm comm, const std::vector<std::vector<long>>& to) {
  return exchanged(comm, MPI_LONG, to);
}

std::string gather(MPI_Comm comm, const std::string& text) {
  const int ranks = size_of(comm);
  const int mine = static_cast<int>(text.size());
  std::vector<int> length(static_cast<std::size_t>(ranks)), offset(length.size(), 0);
  MPI_Gather(&mine, 1, MPI_INT, length.data(), 1, MPI_INT, 0, comm);
  for (std::size_t r = 1; r < length.size(); ++r) offset[r] = offset[r - 1] + length[r - 1];
  std::string all(rank_of(comm) == 0 ? static_cast<std::size_t>(offset.back() + length.back()) : 0, ' ');
  MPI_Gatherv(text.data(), mine, MPI_CHAR, all.data(), length.data(), offset.data(), MPI_CHAR, 0, comm);
  return all;
}

}  // namespace sanctuary
