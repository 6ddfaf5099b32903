#include "solvers/network/flow_sweep.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

constexpr int tag = 80;

std::size_t at(long i) { return static_cast<std::size_t>(i); }

/// The owned rows of a matrix: those on the diagonal block and the others, with the global columns of the latter.
class OwnRows {
 public:
  explicit OwnRows(Mat matrix) {
    const char* type = nullptr;
    petsc(MatGetType(matrix, &type));
    if (std::string(type) == MATMPIAIJ) {
      petsc(MatMPIAIJGetSeqAIJ(matrix, &block_[0], &block_[1], &map_));
    } else if (std::string(type) == MATSEQAIJ) {
      block_[0] = matrix;
    } else {
      throw NumericsError(std::string("flow sweep: a matrix of type ") + type + " has no rows in compressed form");
    }
    for (std::size_t b = 0; b < 2; ++b) {
      if (!block_[b]) continue;
      PetscBool done = PETSC_FALSE;
      petsc(MatGetRowIJ(block_[b], 0, PETSC_FALSE, PETSC_FALSE, &rows_, &offset_[b], &column_[b], &done));
      petsc(MatSeqAIJGetArrayRead(block_[b], &value_[b]));
    }
    if (block_[1]) petsc(MatGetSize(block_[1], nullptr, &others_));
  }
  OwnRows(const OwnRows&) = delete;
  OwnRows& operator=(const OwnRows&) = delete;
  ~OwnRows() {
    for (std::size_t b = 0; b < 2; ++b) {
      if (!block_[b]) continue;
      PetscBool done = PETSC_FALSE;
      (void)MatSeqAIJRestoreArrayRead(block_[b], &value_[b]);
      (void)MatRestoreRowIJ(block_[b], 0, PETSC_FALSE, PETSC_FALSE, &rows_, &offset_[b], &column_[b], &done);
    }
  }
  /// Calls `visit(column, value)`: owned columns by local number, others by `first_copy` plus their place in
  /// `others()`.
  template <class Visit>
  void each(std::size_t row, std::size_t first_copy, Visit&& visit) const {
    for (std::size_t b = 0; b < 2; ++b) {
      if (!block_[b]) continue;
      for (PetscInt e = offset_[b][row]; e < offset_[b][row + 1]; ++e)
        visit(at(column_[b][e]) + (b == 1 ? first_copy : 0), value_[b][e]);
    }
  }
  [[nodiscard]] std::size_t rows() const { return at(rows_); }
  [[nodiscard]] const PetscInt* others() const { return map_; }
  [[nodiscard]] std::size_t count_of_others() const { return at(others_); }

 private:
  std::array<Mat, 2> block_{};
  std::array<const PetscInt*, 2> offset_{}, column_{};
  std::array<const PetscScalar*, 2> value_{};
  const PetscInt* map_ = nullptr;
  PetscInt rows_ = 0, others_ = 0;
};

}  // namespace

void FlowSweep::find_copies(const PetscInt* columns, std::size_t count, Mat network) {
  const PetscInt* ranges = nullptr;
  petsc(MatGetOwnershipRanges(network, &ranges));
  const auto ranks = at(size_of(comm_));
  std::vector<std::vector<long>> wanted(ranks);
  copied_.clear();
  lent_.clear();
  std::size_t owner = 0;
  for (std::size_t c = 0; c < count; ++c) {
    while (columns[c] >= ranges[owner + 1]) ++owner;
    if (wanted[owner].empty()) copied_.push_back({static_cast<int>(owner), {}});
    wanted[owner].push_back(columns[c] - ranges[owner]);
    copied_.back().places.push_back(static_cast<int>(rows_ + c));
  }
  const auto lists = exchange_lists(comm_, wanted);
  for (std::size_t r = 0; r < lists.size(); ++r) {
    if (!lists[r].empty()) lent_.push_back({static_cast<int>(r), {lists[r].begin(), lists[r].end()}});
  }
  copies_ = count;
}

void FlowSweep::set_impl(Mat network) {
  MatHandle transpose;
  petsc(MatTranspose(network, MAT_INITIAL_MATRIX, transpose.out()));
  const OwnRows rows(network), columns(transpose.get());
  rows_ = rows.rows();
  PetscInt first = 0;
  petsc(MatGetOwnershipRange(network, &first, nullptr));
  first_row_ = first;
  find_copies(rows.others(), rows.count_of_others(), network);
  // Columns of the transpose by the numbers of the copies; -1: the matrix has no such entry.
  std::vector<long> place(columns.count_of_others(), -1);
  for (std::size_t c = 0, k = 0; c < place.size(); ++c) {
    while (k < copies_ && rows.others()[k] < columns.others()[c]) ++k;
    if (k < copies_ && rows.others()[k] == columns.others()[c]) place[c] = static_cast<long>(rows_ + k);
  }
  Rows given;  // all but the diagonal, with what each column's row has here
  given.offset.assign(1, 0);
  diagonal_.assign(rows_, 0.0);
  std::vector<double> back(rows_ + copies_, 0.0);
  for (std::size_t i = 0; i < rows_; ++i) {
    const auto each_back = [&](const auto& use) {
      columns.each(i, rows_, [&](std::size_t j, double value) {
        const long where = j < rows_ ? static_cast<long>(j) : place[j - rows_];
        if (where >= 0) use(at(where), value);
      });
    };
    each_back([&](std::size_t j, double value) { back[j] = value; });
    rows.each(i, rows_, [&](std::size_t j, double value) {
      if (j == i) {
        diagonal_[i] = value;
      } else if (value != 0 || back[j] != 0) {
        given.add(static_cast<int>(j), value, back[j]);
      }
    });
    each_back([&](std::size_t j, double) { back[j] = 0; });
    given.close();
  }
  eliminate_chains(given);

  Rows upstream;
  upstream.offset.assign(1, 0);
  for (std::size_t i = 0; i < rows_; ++i) {
    for (int e = entries_.offset[i]; e < entries_.offset[i + 1]; ++e) {
      if (std::abs(entries_.value[at(e)]) > std::abs(entries_.back[at(e)]))
        upstream.add(entries_.column[at(e)], entries_.value[at(e)], entries_.back[at(e)]);
    }
    upstream.close();
  }
  std::vector<int> pattern = upstream.offset;
  for (const auto* list : {&upstream.column, &entries_.offset, &entries_.column})
    pattern.insert(pattern.end(), list->begin(), list->end());
  pattern.insert(pattern.end(), kept_.begin(), kept_.end());
  work_.assign(rows_ + copies_, 0.0);
  if (max_over(comm_, pattern == pattern_ ? 0 : 1) > 0) {
    pattern_ = std::move(pattern);
    find_rounds(upstream);
    find_messages();
  }
  for (Rows* r : {&before_, &after_}) *r = Rows{{0}, {}, {}, {}};
  for (std::size_t i = 0; i < rows_; ++i) {
    for (int e = entries_.offset[i]; e < entries_.offset[i + 1]; ++e) {
      const auto j = at(entries_.column[at(e)]);
      const double order = j < rows_ ? position_[j] - position_[i] : round_[j] - round_[i];
      if (order == 0) continue;  // of another rank in the same round
      (order < 0 ? before_ : after_).add(entries_.column[at(e)], entries_.value[at(e)], entries_.back[at(e)]);
    }
    before_.close();
    after_.close();
  }
  // d_i = a_ii - sum over j before i of a_ij a_ji / d_j.
  inverse_.assign(rows_, 1.0);
  constexpr double smallest = 1e-3;  // of the diagonal: what the factors may leave of it
  for (const Round& round : rounds_) {
    for (const int row : round.rows) {
      const auto i = at(row);
      double d = diagonal_[i];
      for (int e = before_.offset[i]; e < before_.offset[i + 1]; ++e)
        d -= before_.value[at(e)] * before_.back[at(e)] * work_[at(before_.column[at(e)])];
      d = std::max(d, smallest * diagonal_[i]);
      if (d > 0) inverse_[i] = 1 / d;
      work_[i] = inverse_[i];
    }
    exchange(round.down, work_);
  }
}

/// Takes out, exactly, own rows with two neighbours here, chain by chain from one end; `entries_` holds what is left.
void FlowSweep::eliminate_chains(const Rows& given) {
  kept_.assign(rows_, 1);
  std::vector<char> in_chain(rows_, 0);
  for (std::size_t i = 0; i < rows_; ++i) {
    const int e = given.offset[i];
    in_chain[i] = given.offset[i + 1] - e == 2 && at(given.column[at(e)]) < rows_ &&
                  at(given.column[at(e + 1)]) < rows_ && diagonal_[i] > 0;
  }
  struct Link {
    int row, column;
    double value, back;
  };
  std::vector<Link> links;
  steps_.clear();
  for (std::size_t head = 0; head < rows_; ++head) {
    if (in_chain[head]) continue;
    for (int e = given.offset[head]; e < given.offset[head + 1]; ++e) {
      auto row = at(given.column[at(e)]);
      if (row >= rows_ || !in_chain[row] || !kept_[row]) continue;
      double to_head = given.value[at(e)], from_head = given.back[at(e)];  // a(head, row), a(row, head)
      std::size_t behind = head;
      while (true) {
        const int first = given.offset[row];
        const int ahead = at(given.column[at(first)]) == behind ? first + 1 : first;
        const auto next = at(given.column[at(ahead)]);
        const double inverse = diagonal_[row] > 0 ? 1 / diagonal_[row] : 0.0, to_next = given.back[at(ahead)],
                     from_next = given.value[at(ahead)];
        steps_.push_back({static_cast<int>(row), static_cast<int>(head), static_cast<int>(next), inverse, to_head,
                          from_head, to_next, from_next});
        kept_[row] = 0;
        diagonal_[head] -= to_head * inverse * from_head;
        diagonal_[next] -= to_next * inverse * from_next;
        const double head_next = -to_head * inverse * from_next, next_head = -to_next * inverse * from_head;
        if (next == head) {
          diagonal_[head] += head_next + next_head;
          break;
        }
        if (!in_chain[next]) {
          links.push_back({static_cast<int>(head), static_cast<int>(next), head_next, next_head});
          links.push_back({static_cast<int>(next), static_cast<int>(head), next_head, head_next});
          break;
        }
        behind = row;
        row = next;
        to_head = head_next;
        from_head = next_head;
      }
    }
  }
  std::stable_sort(links.begin(), links.end(), [](const Link& a, const Link& b) { return a.row < b.row; });
  entries_ = Rows{{0}, {}, {}, {}};
  auto link = links.begin();
  for (std::size_t i = 0; i < rows_; ++i) {
    for (int e = given.offset[i]; kept_[i] && e < given.offset[i + 1]; ++e) {
      const auto j = at(given.column[at(e)]);
      if (j >= rows_ || kept_[j]) entries_.add(given.column[at(e)], given.value[at(e)], given.back[at(e)]);
    }
    for (; link != links.end() && at(link->row) == i; ++link) entries_.add(link->column, link->value, link->back);
    entries_.close();
  }
}

/// Rounds of the rows when each waits for those upstream of it, and their places in the order.
void FlowSweep::find_rounds(const Rows& upstream) {
  const auto ranks = at(size_of(comm_));
  const std::size_t all = rows_ + copies_;
  // Who waits for a row or copy, and for how many a row waits.
  std::vector<int> offset(all + 1, 0), waiting(upstream.column.size()), waits(rows_, 0);
  for (const int c : upstream.column) ++offset[at(c) + 1];
  for (std::size_t c = 0; c < all; ++c) offset[c + 1] += offset[c];
  {
    std::vector<int> next(offset.begin(), offset.end() - 1);
    for (std::size_t i = 0; i < rows_; ++i) {
      waits[i] = upstream.offset[i + 1] - upstream.offset[i];
      for (int e = upstream.offset[i]; e < upstream.offset[i + 1]; ++e)
        waiting[at(next[at(upstream.column[at(e)])]++)] = static_cast<int>(i);
    }
  }
  struct Place {
    int row;
    std::size_t rank;
    long number;
  };
  std::vector<Place> places;
  for (const Message& lent : lent_) {
    for (std::size_t k = 0; k < lent.places.size(); ++k)
      places.push_back({lent.places[k], at(lent.rank), static_cast<long>(k)});
  }
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.row < b.row; });

  rounds_.clear();
  circles_ = 0;
  round_.assign(all, 0.0);
  position_.assign(rows_, -1);
  std::vector<int> ready;
  for (std::size_t i = rows_; i-- > 0;) {
    if (kept_[i] && waits[i] == 0) ready.push_back(static_cast<int>(i));
  }
  const long kept = std::count(kept_.begin(), kept_.end(), 1);
  int finished = 0;
  std::size_t lowest = 0;
  while (true) {
    Round round;
    std::vector<std::vector<long>> news(ranks);
    const auto release = [&](std::size_t c) {
      for (int e = offset[c]; e < offset[c + 1]; ++e) {
        const auto row = at(waiting[at(e)]);
        if (--waits[row] == 0 && position_[row] < 0) ready.push_back(static_cast<int>(row));
      }
    };
    while (!ready.empty()) {
      const int row = ready.back();
      ready.pop_back();
      if (position_[at(row)] >= 0) continue;
      position_[at(row)] = finished++;
      round_[at(row)] = static_cast<double>(rounds_.size());
      round.rows.push_back(row);
      auto place = std::lower_bound(places.begin(), places.end(), row, [](const Place& p, int r) { return p.row < r; });
      for (; place != places.end() && place->row == row; ++place) news[place->rank].push_back(place->number);
      // Where nothing flows the rows follow each other along the vessel.
      for (int e = entries_.offset[at(row)]; e < entries_.offset[at(row) + 1]; ++e) {
        const auto next = at(entries_.column[at(e)]);
        if (next < rows_ && waits[next] == 0 && position_[next] < 0) ready.push_back(static_cast<int>(next));
      }
      release(at(row));
    }
    long sent = 0;
    for (const auto& list : news) sent += static_cast<long>(list.size());
    sent = count_over(comm_, sent);
    const long left = count_over(comm_, kept - finished);
    rounds_.push_back(std::move(round));
    if (left == 0) break;
    if (sent > 0) {
      const auto arrived = exchange_lists(comm_, news);
      for (const Message& copied : copied_) {
        for (const long k : arrived[at(copied.rank)]) release(at(copied.places[at(k)]));
      }
    }
    if (count_over(comm_, static_cast<long>(ready.size())) == 0) {
      while (lowest < rows_ && (!kept_[lowest] || position_[lowest] >= 0)) ++lowest;
      const double mine = lowest < rows_ ? static_cast<double>(first_row_) + static_cast<double>(lowest)
                                         : std::numeric_limits<double>::max();
      if (min_over(comm_, mine) == mine) ready.push_back(static_cast<int>(lowest));
      ++circles_;
    }
  }
}

/// What the ranks tell each other after the rounds: copies that come before, or after, some row that holds them.
void FlowSweep::find_messages() {
  exchange({lent_, copied_}, round_);
  const auto ranks = at(size_of(comm_));
  std::vector<char> down(rows_ + copies_, 0), up(rows_ + copies_, 0);
  for (std::size_t i = 0; i < rows_; ++i) {
    for (int e = entries_.offset[i]; e < entries_.offset[i + 1]; ++e) {
      const auto j = at(entries_.column[at(e)]);
      if (j < rows_) continue;
      if (round_[j] < round_[i]) down[j] = 1;
      if (round_[j] > round_[i]) up[j] = 1;
    }
  }
  for (const bool with_flow : {true, false}) {
    const auto& needed = with_flow ? down : up;
    std::vector<std::vector<long>> wanted(ranks);
    const auto messages = [&](double round) -> Messages& {
      Round& of = rounds_[static_cast<std::size_t>(round)];
      return with_flow ? of.down : of.up;
    };
    const auto put = [](std::vector<Message>& list, int rank, int place) {
      if (list.empty() || list.back().rank != rank) list.push_back({rank, {}});
      list.back().places.push_back(place);
    };
    for (const Message& copied : copied_) {
      for (std::size_t k = 0; k < copied.places.size(); ++k) {
        const int place = copied.places[k];
        if (!needed[at(place)]) continue;
        wanted[at(copied.rank)].push_back(static_cast<long>(k));
        put(messages(round_[at(place)]).receive, copied.rank, place);
      }
    }
    const auto asked = exchange_lists(comm_, wanted);
    for (const Message& lent : lent_) {
      for (const long k : asked[at(lent.rank)]) {
        const int row = lent.places[at(k)];
        put(messages(round_[at(row)]).send, lent.rank, row);
      }
    }
  }
}

void FlowSweep::exchange(const Messages& messages, std::vector<double>& value) const {
  if (messages.send.empty() && messages.receive.empty()) return;
  std::size_t to_get = 0, to_send = 0;
  for (const Message& m : messages.receive) to_get += m.places.size();
  for (const Message& m : messages.send) to_send += m.places.size();
  packed_receive_.resize(to_get);
  packed_send_.resize(to_send);
  requests_.clear();
  to_get = to_send = 0;
  for (const Message& m : messages.receive) {
    MPI_Irecv(packed_receive_.data() + to_get, static_cast<int>(m.places.size()), MPI_DOUBLE, m.rank, tag, comm_,
              &requests_.emplace_back());
    to_get += m.places.size();
  }
  for (const Message& m : messages.send) {
    const std::size_t begin = to_send;
    for (const int row : m.places) packed_send_[to_send++] = value[at(row)];
    MPI_Isend(packed_send_.data() + begin, static_cast<int>(m.places.size()), MPI_DOUBLE, m.rank, tag, comm_,
              &requests_.emplace_back());
  }
  MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
  to_get = 0;
  for (const Message& m : messages.receive) {
    for (const int place : m.places) value[at(place)] = packed_receive_[to_get++];
  }
}

void FlowSweep::apply_impl(Vec in, Vec out) const {
  const ReadAccess rhs(in);
  const WriteAccess result(out);
  std::copy_n(rhs.data(), rows_, work_.begin());
  for (const Step& s : steps_) {
    const double part = work_[at(s.row)] * s.inverse;
    work_[at(s.head)] -= s.to_head * part;
    work_[at(s.next)] -= s.to_next * part;
  }
  for (const Round& round : rounds_) {
    for (const int row : round.rows) {
      const auto i = at(row);
      double sum = work_[i];
      for (int e = before_.offset[i]; e < before_.offset[i + 1]; ++e)
        sum -= before_.value[at(e)] * work_[at(before_.column[at(e)])];
      work_[i] = sum * inverse_[i];
    }
    exchange(round.down, work_);
  }
  for (auto round = rounds_.rbegin(); round != rounds_.rend(); ++round) {
    for (auto row = round->rows.rbegin(); row != round->rows.rend(); ++row) {
      const auto i = at(*row);
      double sum = 0;
      for (int e = after_.offset[i]; e < after_.offset[i + 1]; ++e)
        sum += after_.value[at(e)] * work_[at(after_.column[at(e)])];
      work_[i] -= sum * inverse_[i];
    }
    exchange(round->up, work_);
  }
  for (auto s = steps_.rbegin(); s != steps_.rend(); ++s) {
    double& value = work_[at(s->row)];
    value = (value - s->from_head * work_[at(s->head)] - s->from_next * work_[at(s->next)]) * s->inverse;
  }
  std::copy_n(work_.begin(), rows_, result.data());
}

}  // namespace sanctuary
