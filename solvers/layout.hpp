#pragma once
#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

namespace sanctuary {

/// A box of cells, `high` excluded.
struct IndexBox {
  std::array<long, 3> low{}, high{};
  [[nodiscard]] bool empty() const { return high[0] <= low[0] || high[1] <= low[1] || high[2] <= low[2]; }
  [[nodiscard]] long size(std::size_t axis) const { return high[axis] - low[axis]; }
  [[nodiscard]] long cells() const { return empty() ? 0 : size(0) * size(1) * size(2); }
  bool operator==(const IndexBox&) const = default;
};

[[nodiscard]] inline IndexBox intersection(const IndexBox& a, const IndexBox& b) {
  IndexBox out;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    out.low[axis] = std::max(a.low[axis], b.low[axis]);
    out.high[axis] = std::min(a.high[axis], b.high[axis]);
  }
  return out;
}

[[nodiscard]] inline IndexBox grown(IndexBox box, long below, long above) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    box.low[axis] -= below;
    box.high[axis] += above;
  }
  return box;
}

/// How the cells of a box are spread over ranks: cut along each axis, one block per active rank.
struct Layout {
  std::array<std::vector<long>, 3> cuts;  ///< first cell of each block, and the end
  std::vector<int> owner;                 ///< rank of each block, x fastest
  [[nodiscard]] std::array<long, 3> blocks() const {
    return {static_cast<long>(cuts[0].size()) - 1, static_cast<long>(cuts[1].size()) - 1,
            static_cast<long>(cuts[2].size()) - 1};
  }
  [[nodiscard]] IndexBox block(std::size_t number) const;
  /// The block of a rank; empty where it has none.
  [[nodiscard]] IndexBox block_of_rank(int rank) const;
  /// Rank of the block next to that of `rank` along `axis`; -1 at a wall and for ranks without a block.
  [[nodiscard]] int neighbour(int rank, std::size_t axis, int side) const;
  bool operator==(const Layout&) const = default;
};

/// Values in memory of the cells of a box, x fastest.
template <class T>
struct BoxArray {
  T* data = nullptr;
  IndexBox box;
  [[nodiscard]] std::size_t index(long i, long j, long k) const {
    return static_cast<std::size_t>(((k - box.low[2]) * box.size(1) + (j - box.low[1])) * box.size(0) +
                                    (i - box.low[0]));
  }
  [[nodiscard]] T* at(long i, long j, long k) const { return data + index(i, j, k); }
};

/// Copies cells from one layout to another whose blocks are grown by neighbouring cells. Plans once, then moves any
/// number of times without allocation; one message per pair of ranks.
template <class T>
class BoxCopy {
 public:
  /// Target blocks are grown by `below` and `above` cells and clipped to `domain`; `corners` = false leaves out what
  /// lies beyond more than one side of a block. Local.
  BoxCopy(MPI_Comm comm, const Layout& from, const Layout& to, long below, long above, const IndexBox& domain, int tag,
          bool corners = true);
  /// Moves the values. `source` covers the own block of `from`, `target` the own grown block of `to`; where both are
  /// the same memory the own cells stay untouched. Collective over the ranks of both layouts.
  void run(const BoxArray<T>& source, const BoxArray<T>& target) {
    start(source, target);
    finish(target);
  }
  /// The same in two halves: between them the target's cells that come from other ranks are not there yet.
  void start(const BoxArray<T>& source, const BoxArray<T>& target);
  void finish(const BoxArray<T>& target);
  [[nodiscard]] int messages() const { return static_cast<int>(sends_.size()); }
  [[nodiscard]] std::size_t bytes_sent() const;
  [[nodiscard]] std::size_t memory() const { return buffer_.capacity() * sizeof(T); }

 private:
  struct Part {
    int rank;
    IndexBox box;
    std::size_t offset;
  };
  MPI_Comm comm_;
  int tag_;
  IndexBox own_;  // what moves within this rank
  std::vector<Part> sends_, receives_;
  std::vector<T> buffer_;
  std::vector<MPI_Request> requests_;
};

}  // namespace sanctuary
