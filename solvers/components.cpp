#include "solvers/components.hpp"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <tuple>

#include "base/comm.hpp"
#include "solvers/layout.hpp"

namespace sanctuary {
namespace {

/// A type of MPI that copies a T as bytes.
template <class T>
class BytesOf {
 public:
  BytesOf() {
    MPI_Type_contiguous(static_cast<int>(sizeof(T)), MPI_BYTE, &type_);
    MPI_Type_commit(&type_);
  }
  BytesOf(const BytesOf&) = delete;
  BytesOf& operator=(const BytesOf&) = delete;
  ~BytesOf() { MPI_Type_free(&type_); }
  [[nodiscard]] MPI_Datatype get() const { return type_; }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

/// Sends items to ranks, and answers back. All functions are collective.
class Router {
 public:
  /// `destination`: rank of each item.
  Router(MPI_Comm comm, const std::vector<int>& destination) : comm_(comm), order_(destination.size()) {
    const auto ranks = static_cast<std::size_t>(size_of(comm));
    out_count_.assign(ranks, 0);
    for (const int d : destination) ++out_count_[static_cast<std::size_t>(d)];
    in_count_.resize(ranks);
    MPI_Alltoall(out_count_.data(), 1, MPI_INT, in_count_.data(), 1, MPI_INT, comm);
    out_first_.assign(ranks, 0);
    in_first_.assign(ranks, 0);
    std::exclusive_scan(out_count_.begin(), out_count_.end(), out_first_.begin(), 0);
    std::exclusive_scan(in_count_.begin(), in_count_.end(), in_first_.begin(), 0);
    auto next = out_first_;
    for (std::size_t i = 0; i < destination.size(); ++i) {
      order_[i] = static_cast<std::size_t>(next[static_cast<std::size_t>(destination[i])]++);
    }
  }
  /// Number of items that arrive here.
  [[nodiscard]] std::size_t arriving() const { return static_cast<std::size_t>(in_first_.back() + in_count_.back()); }
  /// What arrives here, rank after rank, in the order of the sender.
  template <class T>
  [[nodiscard]] std::vector<T> send(const std::vector<T>& items) const {
    std::vector<T> out(items.size()), in(arriving());
    for (std::size_t i = 0; i < items.size(); ++i) out[order_[i]] = items[i];
    const BytesOf<T> type;
    MPI_Alltoallv(out.data(), out_count_.data(), out_first_.data(), type.get(), in.data(), in_count_.data(),
                  in_first_.data(), type.get(), comm_);
    return in;
  }
  /// One reply for each item that arrived here; returns the replies to the items that were sent.
  template <class T>
  [[nodiscard]] std::vector<T> answer(const std::vector<T>& replies) const {
    std::vector<T> back(order_.size()), result(order_.size());
    const BytesOf<T> type;
    MPI_Alltoallv(replies.data(), in_count_.data(), in_first_.data(), type.get(), back.data(), out_count_.data(),
                  out_first_.data(), type.get(), comm_);
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = back[order_[i]];
    return result;
  }

 private:
  MPI_Comm comm_;
  std::vector<std::size_t> order_;
  std::vector<int> out_count_, in_count_, out_first_, in_first_;
};

template <class T>
std::vector<T> gather_all(MPI_Comm comm, const T& mine) {
  std::vector<T> all(static_cast<std::size_t>(size_of(comm)));
  const BytesOf<T> type;
  MPI_Allgather(&mine, 1, type.get(), all.data(), 1, type.get(), comm);
  return all;
}

template <class T>
std::vector<T> gather_all(MPI_Comm comm, const std::vector<T>& mine) {
  const std::vector<int> count = gather_all(comm, static_cast<int>(mine.size()));
  std::vector<int> first(count.size());
  std::exclusive_scan(count.begin(), count.end(), first.begin(), 0);
  std::vector<T> all(static_cast<std::size_t>(first.back() + count.back()));
  const BytesOf<T> type;
  MPI_Allgatherv(mine.data(), static_cast<int>(mine.size()), type.get(), all.data(), count.data(), first.data(),
                 type.get(), comm);
  return all;
}

void sort_out(std::vector<long>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

/// Offsets from a cell to those of its neighbours that come after it, x fastest.
std::vector<std::array<long, 3>> offsets_after(Neighbours neighbours) {
  std::vector<std::array<long, 3>> offsets;
  for (long c = -1; c <= 1; ++c) {
    for (long b = -1; b <= 1; ++b) {
      for (long a = -1; a <= 1; ++a) {
        if (std::tie(c, b, a) <= std::make_tuple(0L, 0L, 0L)) continue;
        if (std::abs(a) + std::abs(b) + std::abs(c) <= static_cast<long>(neighbours)) offsets.push_back({a, b, c});
      }
    }
  }
  return offsets;
}

/// Components of the cells of one rank: fills `part` and returns them in the order of their first cells.
std::vector<Component> label_block(const CellBox& box, std::span<const char> marked, Neighbours neighbours,
                                   std::vector<std::int32_t>& part) {
  const auto [nx, ny, nz] = box.size;
  const auto root_of = [&](std::int32_t c) {
    while (part[static_cast<std::size_t>(c)] != c) {
      auto& up = part[static_cast<std::size_t>(c)];
      up = part[static_cast<std::size_t>(up)];
      c = up;
    }
    return c;
  };
  struct Before {
    std::array<long, 3> offset;
    long step;
  };
  std::vector<Before> before;
  for (const auto& [a, b, c] : offsets_after(neighbours)) before.push_back({{-a, -b, -c}, -((c * ny + b) * nx + a)});
  part.assign(marked.size(), Components::none);
  std::size_t cell = 0;
  for (long k = 0; k < nz; ++k) {
    for (long j = 0; j < ny; ++j) {
      for (long i = 0; i < nx; ++i, ++cell) {
        if (marked[cell] == 0) continue;
        auto root = static_cast<std::int32_t>(cell);
        part[cell] = root;
        for (const auto& [offset, step] : before) {
          const long a = i + offset[0], b = j + offset[1], c = k + offset[2];
          if (a < 0 || a >= nx || b < 0 || b >= ny || c < 0) continue;
          const std::size_t other = cell - static_cast<std::size_t>(-step);
          if (marked[other] == 0) continue;
          const std::int32_t theirs = root_of(static_cast<std::int32_t>(other));
          const std::int32_t low = std::min(root, theirs);
          part[static_cast<std::size_t>(root)] = part[static_cast<std::size_t>(theirs)] = low;
          root = low;
        }
      }
    }
  }
  // A root comes before all cells that point to it, and each cell points to one before it.
  std::vector<Component> found;
  cell = 0;
  for (long k = 0; k < nz; ++k) {
    for (long j = 0; j < ny; ++j) {
      for (long i = 0; i < nx; ++i, ++cell) {
        if (part[cell] == Components::none) continue;
        const std::array<long, 3> place{box.start[0] + i, box.start[1] + j, box.start[2] + k};
        if (part[cell] == static_cast<std::int32_t>(cell)) {
          part[cell] = static_cast<std::int32_t>(found.size());
          found.push_back({.first = (place[2] * box.cells[1] + place[1]) * box.cells[0] + place[0],
                           .lower = place,
                           .upper = place});
        } else {
          part[cell] = part[static_cast<std::size_t>(part[cell])];
        }
        Component& component = found[static_cast<std::size_t>(part[cell])];
        ++component.cells;
        for (std::size_t axis = 0; axis < 3; ++axis) {
          component.lower[axis] = std::min(component.lower[axis], place[axis]);
          component.upper[axis] = std::max(component.upper[axis], place[axis]);
        }
      }
    }
  }
  return found;
}

void join(Component& whole, const Component& other) {
  whole.cells += other.cells;
  whole.first = std::min(whole.first, other.first);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    whole.lower[axis] = std::min(whole.lower[axis], other.lower[axis]);
    whole.upper[axis] = std::max(whole.upper[axis], other.upper[axis]);
  }
}

/// Numbers of all components on all ranks: rank r has first[r] to first[r + 1] - 1.
struct Numbering {
  MPI_Comm comm;
  std::vector<long> first;

  Numbering(MPI_Comm on, std::size_t mine) : comm(on), first(1, 0) {
    for (const long count : gather_all(comm, static_cast<long>(mine))) first.push_back(first.back() + count);
  }
  [[nodiscard]] long mine() const { return first[static_cast<std::size_t>(rank_of(comm))]; }
  [[nodiscard]] std::vector<int> owners(const std::vector<long>& numbers) const {
    std::vector<int> result;
    result.reserve(numbers.size());
    for (const long n : numbers) {
      result.push_back(static_cast<int>(std::upper_bound(first.begin(), first.end(), n) - first.begin()) - 1);
    }
    return result;
  }
};

using Pair = std::array<long, 2>;

IndexBox box_of(const CellBox& cells) {
  IndexBox box{cells.start, cells.start};
  for (std::size_t axis = 0; axis < 3; ++axis) box.high[axis] += cells.size[axis];
  return box;
}

/// Cells of box `a` that lie at most one cell from box `b`.
IndexBox near(const IndexBox& a, const IndexBox& b) {
  return a.empty() || b.empty() ? IndexBox{} : intersection(a, grown(b, 1, 1));
}

template <class Visit>
void for_each_place(const IndexBox& box, const Visit& visit) {
  for (long k = box.low[2]; k < box.high[2]; ++k) {
    for (long j = box.low[1]; j < box.high[1]; ++j) {
      for (long i = box.low[0]; i < box.high[0]; ++i) visit(std::array{i, j, k});
    }
  }
}

/// Pairs of components of this rank and of a higher one that touch.
std::vector<Pair> touching(const Numbering& numbering, const CellBox& box, Neighbours neighbours,
                           const std::vector<std::int32_t>& part) {
  const MPI_Comm comm = numbering.comm;
  const auto me = static_cast<std::size_t>(rank_of(comm));
  const std::vector<IndexBox> boxes = gather_all(comm, box_of(box));
  const auto part_at = [&](const std::array<long, 3>& p) {
    const long i = p[0] - box.start[0], j = p[1] - box.start[1], k = p[2] - box.start[2];
    if (i < 0 || j < 0 || k < 0 || i >= box.size[0] || j >= box.size[1] || k >= box.size[2]) return Components::none;
    return part[static_cast<std::size_t>((k * box.size[1] + j) * box.size[0] + i)];
  };
  struct Message {
    std::size_t rank;
    IndexBox where;
    std::vector<std::int32_t> parts;
  };
  std::vector<Message> messages;
  for (std::size_t rank = 0; rank < boxes.size(); ++rank) {
    if (rank == me) continue;
    const IndexBox where = rank < me ? near(boxes[me], boxes[rank]) : near(boxes[rank], boxes[me]);
    if (!where.empty())
      messages.push_back({rank, where, std::vector<std::int32_t>(static_cast<std::size_t>(where.cells()))});
  }
  std::vector<MPI_Request> requests(messages.size());
  for (std::size_t m = 0; m < messages.size(); ++m) {
    auto& [rank, where, parts] = messages[m];
    const auto other = static_cast<int>(rank), count = static_cast<int>(parts.size());
    if (rank > me) {
      MPI_Irecv(parts.data(), count, MPI_INT32_T, other, 0, comm, &requests[m]);
    } else {
      std::size_t next = 0;
      for_each_place(where, [&](const std::array<long, 3>& p) { parts[next++] = part_at(p); });
      MPI_Isend(parts.data(), count, MPI_INT32_T, other, 0, comm, &requests[m]);
    }
  }
  MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);

  std::vector<Pair> pairs;
  const auto after = offsets_after(neighbours);
  for (const auto& [rank, where, parts] : messages) {
    if (rank < me) continue;
    std::size_t next = 0;
    for_each_place(where, [&](const std::array<long, 3>& p) {
      const std::int32_t theirs = parts[next++];
      if (theirs == Components::none) return;
      for (const auto& [a, b, c] : after) {
        for (const long sign : {1L, -1L}) {
          const std::int32_t ours = part_at({p[0] + sign * a, p[1] + sign * b, p[2] + sign * c});
          if (ours == Components::none) continue;
          const Pair pair{numbering.mine() + ours, numbering.first[rank] + theirs};
          if (pairs.empty() || pairs.back() != pair) pairs.push_back(pair);
        }
      }
    });
  }
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  return pairs;
}

/// Smallest number among all components connected to each component of this rank, by way of any rank.
std::vector<long> unite(const Numbering& numbering, std::size_t count, const std::vector<Pair>& pairs) {
  const MPI_Comm comm = numbering.comm;
  const long mine = numbering.mine();
  std::vector<long> parent(count);
  std::iota(parent.begin(), parent.end(), mine);

  // Components of this rank that touch another rank's or are pointed to from one; the others stay as they are.
  std::vector<long> ends;
  for (const auto& [a, b] : pairs) ends.insert(ends.end(), {a, b});
  sort_out(ends);
  const auto end_of = [&](long number) {
    return static_cast<std::size_t>(std::lower_bound(ends.begin(), ends.end(), number) - ends.begin());
  };
  const Router to_ends(comm, numbering.owners(ends));
  const std::vector<long> asked = to_ends.send(ends);
  std::vector<long> active = asked;
  sort_out(active);
  const auto look_up = [&](std::vector<long> numbers) {
    for (long& n : numbers) n = parent[static_cast<std::size_t>(n - mine)];
    return numbers;
  };
  struct Lower {
    long number, value;
  };
  for (bool changing = true; changing;) {
    // Parent and grandparent of each end. Parents that are asked for are active: only ends point and are pointed to.
    const std::vector<long> up = to_ends.answer(look_up(asked));
    std::vector<long> wanted = up;
    for (const long n : active) wanted.push_back(parent[static_cast<std::size_t>(n - mine)]);
    sort_out(wanted);
    const Router to_parents(comm, numbering.owners(wanted));
    const std::vector<long> top_of_wanted = to_parents.answer(look_up(to_parents.send(wanted)));
    const auto top_of = [&](long number) {
      return top_of_wanted[static_cast<std::size_t>(std::lower_bound(wanted.begin(), wanted.end(), number) -
                                                    wanted.begin())];
    };
    // Each end of a pair and its parent take the grandparent of the other end where it is lower.
    std::vector<Lower> requests;
    for (const auto& [a, b] : pairs) {
      const long up_a = up[end_of(a)], up_b = up[end_of(b)], top_a = top_of(up_a), top_b = top_of(up_b);
      if (top_b < top_a) requests.push_back({up_a, top_b});
      if (top_a < top_b) requests.push_back({up_b, top_a});
      if (top_b < up_a) requests.push_back({a, top_b});
      if (top_a < up_b) requests.push_back({b, top_a});
    }
    std::vector<long> numbers;
    for (const Lower& lower : requests) numbers.push_back(lower.number);
    const Router to_numbers(comm, numbering.owners(numbers));
    int changed = 0;
    const auto take = [&](long number, long value) {
      long& now = parent[static_cast<std::size_t>(number - mine)];
      if (value < now) now = value, changed = 1;
    };
    for (const long n : active) take(n, top_of(parent[static_cast<std::size_t>(n - mine)]));
    for (const Lower& lower : to_numbers.send(requests)) take(lower.number, lower.value);
    MPI_Allreduce(MPI_IN_PLACE, &changed, 1, MPI_INT, MPI_MAX, comm);
    changing = changed != 0;
  }
  return parent;
}

struct Key {
  long minus_cells, first;
  auto operator<=>(const Key&) const = default;
};
Key key_of(const Component& component) { return {-component.cells, component.first}; }

/// Gives the components (each on one rank) their numbers; returns a share of them in the order of the numbers. By
/// sorting on samples.
std::vector<Component> number_by_size(MPI_Comm comm, std::vector<Component>& components) {
  constexpr std::size_t samples = 32;
  std::vector<Key> keys;
  for (const Component& component : components) keys.push_back(key_of(component));
  std::sort(keys.begin(), keys.end());
  std::vector<Key> sample;
  for (std::size_t s = 0; s < samples && s < keys.size(); ++s) {
    sample.push_back(keys[keys.size() <= samples ? s : s * keys.size() / samples]);
  }
  sample = gather_all(comm, sample);
  std::sort(sample.begin(), sample.end());
  const auto ranks = static_cast<std::size_t>(size_of(comm));
  std::vector<Key> cut;  // first key of rank 1, 2, ...
  for (std::size_t rank = 1; rank < ranks && !sample.empty(); ++rank)
    cut.push_back(sample[rank * sample.size() / ranks]);
  std::vector<int> destination;
  for (const Component& component : components) {
    destination.push_back(static_cast<int>(std::upper_bound(cut.begin(), cut.end(), key_of(component)) - cut.begin()));
  }
  const Router router(comm, destination);
  std::vector<Component> share = router.send(components);
  std::vector<std::size_t> order(share.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return key_of(share[a]) < key_of(share[b]); });
  long next = Numbering(comm, share.size()).mine();
  std::vector<Component> sorted;
  for (const std::size_t i : order) {
    share[i].number = next++;
    sorted.push_back(share[i]);
  }
  components = router.answer(share);
  return sorted;
}

}  // namespace

Components find_components(const Grid& grid, std::span<const char> marked, Neighbours neighbours) {
  return find_components(grid.comm(), {grid.start(), grid.size(), grid.spec().cells}, marked, neighbours);
}

Components find_components(MPI_Comm comm, const CellBox& box, std::span<const char> marked, Neighbours neighbours) {
  together(comm, [&] {
    if (marked.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
      throw InputError("components: a rank owns more than 2^31 - 1 cells: use more ranks");
  });
  assert(marked.size() == static_cast<std::size_t>(box.size[0] * box.size[1] * box.size[2]));
  Components result;
  result.here = label_block(box, marked, neighbours, result.part);
  const std::size_t count = result.here.size();
  const Numbering numbering(comm, count);
  const std::vector<Pair> pairs = touching(numbering, box, neighbours, result.part);
  const std::vector<long> root = unite(numbering, count, pairs);

  // The rank of the root joins the parts.
  const Router to_root(comm, numbering.owners(root));
  const std::vector<long> roots = to_root.send(root);
  const std::vector<Component> parts = to_root.send(result.here);
  std::vector<std::int32_t> place(count, Components::none);  // of the roots of this rank in `whole`
  std::vector<Component> whole;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    auto& at = place[static_cast<std::size_t>(roots[i] - numbering.mine())];
    if (at == Components::none) {
      at = static_cast<std::int32_t>(whole.size());
      whole.push_back(parts[i]);
    } else {
      join(whole[static_cast<std::size_t>(at)], parts[i]);
    }
  }
  for (Component& component : whole) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      component.touches_wall[2 * axis] = component.lower[axis] == 0;
      component.touches_wall[2 * axis + 1] = component.upper[axis] == box.cells[axis] - 1;
    }
  }
  result.share = number_by_size(comm, whole);
  std::vector<Component> replies;
  replies.reserve(roots.size());
  for (const long r : roots) {
    const auto at = static_cast<std::size_t>(r - numbering.mine());
    replies.push_back(whole[static_cast<std::size_t>(place[at])]);
  }
  result.here = to_root.answer(replies);
  result.count = static_cast<long>(result.share.size());
  MPI_Allreduce(MPI_IN_PLACE, &result.count, 1, MPI_LONG, MPI_SUM, comm);
  return result;
}

std::vector<Component> Components::largest(MPI_Comm comm, long most) const {
  std::vector<Component> first;
  for (const Component& component : share) {
    if (component.number < most) first.push_back(component);
  }
  return gather_all(comm, first);
}

}  // namespace sanctuary
