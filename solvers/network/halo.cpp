#include "solvers/network/halo.hpp"

#include <algorithm>
#include <type_traits>

namespace sanctuary {

Halo::Halo(MPI_Comm comm, std::vector<std::vector<long>> copies, std::vector<std::vector<long>> lent) : comm_(comm) {
  for (std::size_t r = 0; r < copies.size(); ++r) {
    if (copies[r].empty() && lent[r].empty()) continue;
    parts_.push_back({static_cast<int>(r), std::move(copies[r]), std::move(lent[r])});
  }
}

template <class T>
void Halo::move(std::span<T> values, bool to_copies, void (*combine)(T&, T)) const {
  if (parts_.empty()) return;
  const MPI_Datatype type = std::is_same_v<T, double> ? MPI_DOUBLE : MPI_LONG;
  constexpr int tag = 78;
  std::vector<std::vector<T>> out(parts_.size()), in(parts_.size());
  std::vector<MPI_Request> requests;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const auto& source = to_copies ? parts_[i].lent : parts_[i].copies;
    const auto& target = to_copies ? parts_[i].copies : parts_[i].lent;
    in[i].resize(target.size());
    for (const long n : source) out[i].push_back(values[static_cast<std::size_t>(n)]);
    if (!target.empty())
      MPI_Irecv(in[i].data(), static_cast<int>(in[i].size()), type, parts_[i].rank, tag, comm_,
                &requests.emplace_back());
    if (!source.empty())
      MPI_Isend(out[i].data(), static_cast<int>(out[i].size()), type, parts_[i].rank, tag, comm_,
                &requests.emplace_back());
  }
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const auto& target = to_copies ? parts_[i].copies : parts_[i].lent;
    for (std::size_t k = 0; k < target.size(); ++k) combine(values[static_cast<std::size_t>(target[k])], in[i][k]);
  }
}

void Halo::update(std::span<double> values) const {
  move<double>(values, true, [](double& mine, double other) { mine = other; });
}

void Halo::update(std::span<long> values) const {
  move<long>(values, true, [](long& mine, long other) { mine = other; });
}

void Halo::add(std::span<double> values) const {
  move<double>(values, false, [](double& mine, double other) { mine += other; });
}

void Halo::lower(std::span<long> values) const {
  move<long>(values, false, [](long& mine, long other) { mine = std::min(mine, other); });
  update(values);
}

std::size_t Halo::copies() const {
  std::size_t sum = 0;
  for (const Part& part : parts_) sum += part.copies.size();
  return sum;
}

}  // namespace sanctuary
