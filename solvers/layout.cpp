#include "solvers/layout.hpp"

#include <type_traits>

#include "base/comm.hpp"

namespace sanctuary {

IndexBox Layout::block(std::size_t number) const {
  const auto count = blocks();
  const auto n = static_cast<long>(number);
  const std::array<long, 3> place{n % count[0], n / count[0] % count[1], n / (count[0] * count[1])};
  IndexBox box;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    box.low[axis] = cuts[axis][static_cast<std::size_t>(place[axis])];
    box.high[axis] = cuts[axis][static_cast<std::size_t>(place[axis]) + 1];
  }
  return box;
}

IndexBox Layout::block_of_rank(int rank) const {
  const auto found = std::find(owner.begin(), owner.end(), rank);
  return found == owner.end() ? IndexBox{} : block(static_cast<std::size_t>(found - owner.begin()));
}

int Layout::neighbour(int rank, std::size_t axis, int side) const {
  const auto found = std::find(owner.begin(), owner.end(), rank);
  if (found == owner.end()) return -1;
  const auto count = blocks();
  const long number = found - owner.begin();
  std::array<long, 3> place{number % count[0], number / count[0] % count[1], number / (count[0] * count[1])};
  place[axis] += side == 0 ? -1 : 1;
  if (place[axis] < 0 || place[axis] >= count[axis]) return -1;
  return owner[static_cast<std::size_t>((place[2] * count[1] + place[1]) * count[0] + place[0])];
}

namespace {

template <class Visit>
void for_rows(const IndexBox& box, Visit&& visit) {
  for (long k = box.low[2]; k < box.high[2]; ++k) {
    for (long j = box.low[1]; j < box.high[1]; ++j) visit(j, k);
  }
}

}  // namespace

template <class T>
BoxCopy<T>::BoxCopy(MPI_Comm comm, const Layout& from, const Layout& to, long below, long above, const IndexBox& domain,
                    int tag, bool corners)
    : comm_(comm), tag_(tag) {
  const int me = rank_of(comm);
  const IndexBox source = from.block_of_rank(me);
  const IndexBox target_block = to.block_of_rank(me);
  const IndexBox target = target_block.empty() ? IndexBox{} : intersection(grown(target_block, below, above), domain);
  std::size_t offset = 0;
  const auto plan = [&](std::vector<Part>& parts, int rank, const IndexBox& box, const IndexBox& block) {
    int beyond = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      beyond += box.low[axis] < block.low[axis] || box.high[axis] > block.high[axis] ? 1 : 0;
    }
    if (box.empty() || (!corners && beyond > 1)) return;
    if (rank == me) {
      own_ = box;
      return;
    }
    parts.push_back({rank, box, offset});
    offset += static_cast<std::size_t>(box.cells());
  };
  if (!source.empty()) {
    for (std::size_t b = 0; b < to.owner.size(); ++b) {
      plan(sends_, to.owner[b], intersection(source, intersection(grown(to.block(b), below, above), domain)),
           to.block(b));
    }
  }
  if (!target.empty()) {
    for (std::size_t b = 0; b < from.owner.size(); ++b) {
      plan(receives_, from.owner[b], intersection(target, from.block(b)), target_block);
    }
  }
  buffer_.resize(offset);
  requests_.resize(sends_.size() + receives_.size());
}

template <class T>
void BoxCopy<T>::start(const BoxArray<T>& source, const BoxArray<T>& target) {
  constexpr bool single = std::is_same_v<T, float>;
  const MPI_Datatype type = single ? MPI_FLOAT : MPI_DOUBLE;
  std::size_t request = 0;
  for (const Part& part : receives_) {
    MPI_Irecv(buffer_.data() + part.offset, static_cast<int>(part.box.cells()), type, part.rank, tag_, comm_,
              &requests_[request++]);
  }
  for (const Part& part : sends_) {
    T* to = buffer_.data() + part.offset;
    for_rows(part.box,
             [&](long j, long k) { to = std::copy_n(source.at(part.box.low[0], j, k), part.box.size(0), to); });
    MPI_Isend(buffer_.data() + part.offset, static_cast<int>(part.box.cells()), type, part.rank, tag_, comm_,
              &requests_[request++]);
  }
  if (!own_.empty() && source.data != target.data) {
    for_rows(own_, [&](long j, long k) {
      std::copy_n(source.at(own_.low[0], j, k), own_.size(0), target.at(own_.low[0], j, k));
    });
  }
}

template <class T>
void BoxCopy<T>::finish(const BoxArray<T>& target) {
  MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
  for (const Part& part : receives_) {
    const T* from = buffer_.data() + part.offset;
    for_rows(part.box, [&](long j, long k) {
      std::copy_n(from, part.box.size(0), target.at(part.box.low[0], j, k));
      from += part.box.size(0);
    });
  }
}

template <class T>
std::size_t BoxCopy<T>::bytes_sent() const {
  std::size_t cells = 0;
  for (const Part& part : sends_) cells += static_cast<std::size_t>(part.box.cells());
  return cells * sizeof(T);
}

template class BoxCopy<float>;
template class BoxCopy<double>;

}  // namespace sanctuary
