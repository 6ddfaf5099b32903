#include "solvers/multigrid.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <sstream>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "base/comm.hpp"
#include "solvers/bernoulli.hpp"
#include "solvers/exact_sum.hpp"
#include "solvers/layout.hpp"
#include "solvers/multigrid_kernels.hpp"

namespace sanctuary {
namespace {

using kernels::CoefficientView;
using kernels::ColourLayout;

constexpr long most_dense = 4096;  // cells of a level that is solved exactly

std::size_t at(long i) { return static_cast<std::size_t>(i); }

/// Zeroed memory for floats, on large pages where it is large. Starts are staggered, so that the many arrays that a
/// kernel walks through do not fall on the same cache sets.
class FloatArray {
 public:
  FloatArray() = default;
  explicit FloatArray(std::size_t count, int stagger = 0) {
    const std::size_t shift = at(stagger % 31) * 2112 / 64 * 64;
    constexpr std::size_t large = std::size_t{2} << 20;
    const std::size_t wanted = count * sizeof(float) + shift;
    const std::size_t page = wanted > large ? large : 64;
    bytes_ = std::max(page, (wanted + page - 1) / page * page);
    block_.reset(static_cast<float*>(std::aligned_alloc(page, bytes_)));
    if (!block_) throw std::bad_alloc();
    if (page == large) (void)madvise(block_.get(), bytes_, MADV_HUGEPAGE);
    std::memset(block_.get(), 0, bytes_);
    data_ = block_.get() + shift / sizeof(float);
  }
  [[nodiscard]] float* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::unique_ptr<float, Free> block_;
  float* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Values below the smallest normal number count as zero while this lives: they would only cost time.
class FlushToZero {
 public:
#if defined(__SSE__)
  FlushToZero() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040U); }
  ~FlushToZero() { _mm_setcsr(before_); }
#else
  FlushToZero() = default;
#endif
  FlushToZero(const FlushToZero&) = delete;
  FlushToZero& operator=(const FlushToZero&) = delete;

 private:
  unsigned before_ = 0;
};

/// A block by colours with room for a layer of ghosts.
ColourLayout colour_layout(const IndexBox& box) {
  ColourLayout at;
  for (std::size_t axis = 0; axis < 3; ++axis) at.size[axis] = box.size(axis);
  at.parity = static_cast<int>((box.low[0] + box.low[1] + box.low[2]) & 1);
  const long pairs = (at.size[0] + 1) / 2;
  at.row = (pairs + 2 + 7) / 8 * 8;
  at.plane = at.row * (at.size[1] + 2);
  at.origin = at.plane + at.row + 8;
  return at;
}

std::size_t colour_floats(const ColourLayout& at) { return static_cast<std::size_t>(at.plane * (at.size[2] + 2) + 32); }

/// Exchange of one colour of the outermost cells with the neighbours of a block.
class ColourExchange {
 public:
  ColourExchange() = default;
  ColourExchange(MPI_Comm comm, const Layout& layout, const ColourLayout& at, int tag)
      : comm_(comm), at_(at), tag_(tag) {
    std::size_t offset = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      for (int side = 0; side < 2; ++side) {
        const int rank = layout.neighbour(rank_of(comm), axis, side);
        if (rank < 0) continue;
        const std::size_t most = at_face(axis) / 2 + at_rows(axis) + 1;
        sides_.push_back({rank, axis, side, offset, offset + most});
        offset += 2 * most;
      }
    }
    buffer_.resize(offset);
    requests_.resize(2 * sides_.size());
  }
  [[nodiscard]] bool any() const { return !sides_.empty(); }
  [[nodiscard]] bool has(std::size_t axis, int side) const {
    return std::any_of(sides_.begin(), sides_.end(), [&](const Side& s) { return s.axis == axis && s.side == side; });
  }

  void start(const float* values, int colour, MultigridStatistics& cost) {
    int request = 0;
    for (const Side& s : sides_) {
      MPI_Irecv(buffer_.data() + s.receive, count(s, colour, true), MPI_FLOAT, s.rank,
                tag_ + 2 * static_cast<int>(s.axis) + 1 - s.side, comm_, &requests_[at(request++)]);
    }
    for (const Side& s : sides_) {
      float* out = buffer_.data() + s.send;
      for_cells(s, colour, false, [&](long m, long n) { out = std::copy_n(values + m, n, out); });
      const int sent = static_cast<int>(out - (buffer_.data() + s.send));
      MPI_Isend(buffer_.data() + s.send, sent, MPI_FLOAT, s.rank, tag_ + 2 * static_cast<int>(s.axis) + s.side, comm_,
                &requests_[at(request++)]);
      ++cost.messages;
      cost.bytes_sent += at(sent) * sizeof(float);
    }
  }
  void finish(float* values, int colour) {
    MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
    for (const Side& s : sides_) {
      const float* in = buffer_.data() + s.receive;
      for_cells(s, colour, true, [&](long m, long n) {
        std::copy_n(in, n, values + m);
        in += n;
      });
    }
  }
  [[nodiscard]] std::size_t memory() const { return buffer_.capacity() * sizeof(float); }

 private:
  struct Side {
    int rank;
    std::size_t axis;
    int side;
    std::size_t send, receive;
  };
  [[nodiscard]] std::size_t at_face(std::size_t axis) const {
    return at(at_.size[(axis + 1) % 3] * at_.size[(axis + 2) % 3]);
  }
  [[nodiscard]] std::size_t at_rows(std::size_t axis) const { return at(axis == 1 ? at_.size[2] : at_.size[1]); }

  /// Runs of cells of one colour in the outermost layer (or the ghosts beyond it): position and number.
  template <class Visit>
  void for_cells(const Side& s, int colour, bool ghost, Visit&& visit) const {
    const long layer = s.side == 0 ? (ghost ? -1 : 0) : at_.size[s.axis] - (ghost ? 0 : 1);
    std::array<long, 3> low{0, 0, 0}, high = at_.size;
    low[s.axis] = layer;
    high[s.axis] = layer + 1;
    for (long k = low[2]; k < high[2]; ++k) {
      for (long j = low[1]; j < high[1]; ++j) {
        const bool starts = at_.first(j, k) == colour;
        const long from = starts ? (low[0] + 1) >> 1 : low[0] >> 1;
        const long to = starts ? (high[0] + 1) >> 1 : high[0] >> 1;
        if (to > from) visit(at_.at(j, k) + from, to - from);
      }
    }
  }
  [[nodiscard]] int count(const Side& s, int colour, bool ghost) const {
    long sum = 0;
    for_cells(s, colour, ghost, [&](long, long n) { sum += n; });
    return static_cast<int>(sum);
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  ColourLayout at_;
  int tag_ = 0;
  std::vector<Side> sides_;
  std::vector<float> buffer_;
  std::vector<MPI_Request> requests_;
};

/// Coefficients of a block in double precision, as in CellOperator; `upper` empty where symmetric.
struct Coefficients {
  std::array<long, 3> size{};
  std::array<std::vector<double>, 3> lower, upper;
  std::vector<double> diagonal;
};

CoefficientView view_of(const Coefficients& c) {
  CoefficientView view;
  view.size = c.size;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    view.lower[axis] = c.lower[axis].data();
    view.upper[axis] = c.upper[axis].empty() ? c.lower[axis].data() : c.upper[axis].data();
  }
  view.diagonal = c.diagonal.data();
  return view;
}

CoefficientView view_of(const CellOperator& op) {
  CoefficientView view;
  view.size = op.grid().size();
  for (std::size_t axis = 0; axis < 3; ++axis) {
    view.lower[axis] = op.from_lower(static_cast<int>(axis)).data();
    view.upper[axis] = op.from_upper(static_cast<int>(axis)).data();
  }
  view.diagonal = op.diagonal().data();
  return view;
}

std::size_t face_count(const std::array<long, 3>& n, std::size_t axis) {
  std::array<long, 3> m = n;
  ++m[axis];
  return at(m[0] * m[1] * m[2]);
}

constexpr std::array<std::array<long, 3>, 3> step{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};

/// Diffusive part of an exponentially fitted face: logarithmic mean of its two coefficients.
double transmissibility(double lower, double upper) {
  const double sum = lower + upper, difference = lower - upper;
  if (!(lower > 0) || !(upper > 0)) return 0;
  if (std::abs(difference) < 0.2 * sum) {
    const double s = difference / sum;
    return 0.5 * sum * (1 - s * s * (1.0 / 3 + s * s * 4.0 / 45));
  }
  return difference / std::log(lower / upper);
}

Layout coarsened(Layout layout, const bool (&coarse)[3]) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (!coarse[axis]) continue;
    for (long& cut : layout.cuts[axis]) cut = (cut + 1) / 2;
  }
  return layout;
}

/// Moves coefficients to another layout.
Coefficients moved(MPI_Comm comm, const CoefficientView& from, bool symmetric, const Layout& old_layout,
                   const Layout& new_layout, const std::array<long, 3>& cells, int tag) {
  // Faces are kept with the cell above them; those at the upper walls with a cell beyond the wall.
  Layout old_wide = old_layout, new_wide = new_layout;
  IndexBox domain;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    ++old_wide.cuts[axis].back();
    ++new_wide.cuts[axis].back();
    domain.high[axis] = cells[axis] + 1;
  }
  const int me = rank_of(comm);
  const IndexBox old_box = old_layout.block_of_rank(me), new_box = new_layout.block_of_rank(me);
  const IndexBox source_box = old_wide.block_of_rank(me);
  const IndexBox target_box = new_box.empty() ? IndexBox{} : intersection(grown(new_box, 0, 1), domain);
  BoxCopy<double> copy(comm, old_wide, new_wide, 0, 1, domain, tag);
  std::vector<double> source(at(source_box.cells())), target(at(target_box.cells()));
  const BoxArray<double> in{source.data(), source_box}, out{target.data(), target_box};

  Coefficients result;
  for (std::size_t axis = 0; axis < 3; ++axis) result.size[axis] = new_box.empty() ? 0 : new_box.size(axis);
  const auto move = [&](auto&& take, auto&& give, const IndexBox& old_range, const IndexBox& new_range) {
    std::fill(source.begin(), source.end(), 0.0);
    const auto for_box = [](const IndexBox& box, auto&& visit) {
      if (box.empty()) return;
      for (long k = box.low[2]; k < box.high[2]; ++k) {
        for (long j = box.low[1]; j < box.high[1]; ++j) {
          for (long i = box.low[0]; i < box.high[0]; ++i) visit(i, j, k);
        }
      }
    };
    for_box(old_range, [&](long i, long j, long k) {
      if (in.box.low[0] <= i && i < in.box.high[0] && j < in.box.high[1] && k < in.box.high[2]) {
        *in.at(i, j, k) = take(i - old_box.low[0], j - old_box.low[1], k - old_box.low[2]);
      }
    });
    copy.run(in, out);
    for_box(new_range, [&](long i, long j, long k) {
      give(i - new_box.low[0], j - new_box.low[1], k - new_box.low[2], *out.at(i, j, k));
    });
  };
  CoefficientView to;
  to.size = result.size;
  result.diagonal.assign(at(new_box.cells()), 0.0);
  move([&](long i, long j, long k) { return from.diagonal[from.cell(i, j, k)]; },
       [&](long i, long j, long k, double v) { result.diagonal[to.cell(i, j, k)] = v; }, old_box, new_box);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::size_t faces = new_box.empty() ? 0 : face_count(result.size, axis);
    IndexBox old_faces = old_box, new_faces = new_box;
    if (!old_box.empty()) ++old_faces.high[axis];
    if (!new_box.empty()) ++new_faces.high[axis];
    for (int way = 0; way < (symmetric ? 1 : 2); ++way) {
      auto& into = way == 0 ? result.lower[axis] : result.upper[axis];
      const double* have = way == 0 ? from.lower[axis] : from.upper[axis];
      into.assign(faces, 0.0);
      move([&](long i, long j, long k) { return have[from.face(axis, i, j, k)]; },
           [&](long i, long j, long k, double v) { into[to.face(axis, i, j, k)] = v; }, old_faces, new_faces);
    }
  }
  return result;
}

/// Widths of the cells of a level along one axis, and of those of the next one.
std::vector<double> paired(const std::vector<double>& width) {
  std::vector<double> out((width.size() + 1) / 2);
  for (std::size_t i = 0; i < width.size(); ++i) out[i / 2] += width[i];
  return out;
}

/// A face between (or at the wall of) cells with these widths: distance of what it joins.
double distance(const std::vector<double>& width, long face) {
  double d = 0;
  if (face > 0) d += width[at(face - 1)] / 2;
  if (face < static_cast<long>(width.size())) d += width[at(face)] / 2;
  return d;
}

/// Sums the coefficients of a block onto the next level: transmissibilities over the new distances, discharges,
/// diagonals.
Coefficients coarse_coefficients(const CoefficientView& fine, bool symmetric, const IndexBox& box,
                                 const IndexBox& coarse_box, const bool (&coarse)[3],
                                 const std::array<std::vector<double>, 3>& width,
                                 const std::array<std::vector<double>, 3>& coarse_width, const Walls& walls) {
  Coefficients out;
  for (std::size_t axis = 0; axis < 3; ++axis) out.size[axis] = coarse_box.empty() ? 0 : coarse_box.size(axis);
  CoefficientView to;
  to.size = out.size;
  if (coarse_box.empty()) return out;
  const auto child = [&](std::size_t axis, long c) { return coarse[axis] ? 2 * c : c; };
  const auto children_end = [&](std::size_t axis, long c) { return std::min(child(axis, c + 1), fine.size[axis]); };
  out.diagonal.resize(at(coarse_box.cells()));
  kernels::pair_sum(fine.diagonal, fine.size, coarse, -1, out.size, out.diagonal.data());
  for (std::size_t a = 0; a < 3; ++a) {
    const std::size_t faces = face_count(out.size, a);
    out.lower[a].assign(faces, 0.0);
    if (!symmetric) out.upper[a].assign(faces, 0.0);
    std::array<long, 3> extent = out.size, fine_extent = fine.size;
    ++extent[a];
    ++fine_extent[a];
    const std::size_t lower_side = 2 * a, upper_side = 2 * a + 1;
    const bool films = walls.kind[lower_side] == WallKind::exchange || walls.kind[upper_side] == WallKind::exchange;
    if (symmetric) {
      kernels::pair_sum(fine.lower[a], fine_extent, coarse, static_cast<int>(a), extent, out.lower[a].data());
      if (coarse[a]) {
        for (long k = 0; k < extent[2]; ++k) {
          for (long j = 0; j < extent[1]; ++j) {
            double* row = out.lower[a].data() + to.face(a, 0, j, k);
            const std::array<long, 3> place{0, j, k};
            for (long i = 0; i < extent[0]; ++i) {
              const long c = a == 0 ? i : place[a];
              row[i] *= distance(width[a], box.low[a] + std::min(2 * c, fine.size[a])) /
                        distance(coarse_width[a], coarse_box.low[a] + c);
            }
          }
        }
      }
    }
    if (symmetric && !films) continue;
    for (long k = 0; k < extent[2]; ++k) {
      for (long j = 0; j < extent[1]; ++j) {
        for (long i = 0; i < extent[0]; ++i) {
          const std::array<long, 3> c{i, j, k};
          const long wall_face = box.low[a] + (coarse[a] ? std::min(2 * c[a], fine.size[a]) : c[a]);
          if (symmetric && wall_face != 0 && wall_face != static_cast<long>(width[a].size())) continue;
          std::array<long, 3> low{}, high{};
          for (std::size_t b = 0; b < 3; ++b) {
            low[b] = child(b, c[b]);
            high[b] = children_end(b, c[b]);
          }
          low[a] = std::min(child(a, c[a]), fine.size[a]);
          high[a] = low[a] + 1;
          const long face = box.low[a] + low[a], coarse_face = coarse_box.low[a] + c[a];
          const bool lower_wall = face == 0, upper_wall = face == static_cast<long>(width[a].size());
          double ratio = coarse[a] ? distance(width[a], face) / distance(coarse_width[a], coarse_face) : 1.0;
          double film = 0;
          if (lower_wall || upper_wall) {
            const std::size_t wall = 2 * a + (upper_wall ? 1 : 0);
            if (walls.kind[wall] == WallKind::exchange) film = walls.coefficient[wall];
          }
          double t = 0, q = 0, film_sum = 0, plain = 0;
          bool no_film = false;
          for (long z = low[2]; z < high[2]; ++z) {
            for (long y = low[1]; y < high[1]; ++y) {
              for (long x = low[0]; x < high[0]; ++x) {
                const std::size_t f = fine.face(a, x, y, z);
                const double forward = fine.lower[a][f];
                double here = forward;
                if (!symmetric) {
                  here = transmissibility(forward, fine.upper[a][f]);
                  q += forward - fine.upper[a][f];
                }
                if (film > 0) {
                  const std::size_t b = (a + 1) % 3, d = (a + 2) % 3;
                  const std::array<long, 3> place{box.low[0] + x, box.low[1] + y, box.low[2] + z};
                  const double r = film * width[b][at(place[b])] * width[d][at(place[d])];
                  film_sum += r;
                  plain += here;
                  // A given transmissibility may exceed what the film lets through: then there is none.
                  if (here >= r * (1 - 1e-12)) no_film = true;
                  here = here < r ? here * r / (r - here) : 0.0;
                }
                t += here;
              }
            }
          }
          if (no_film) {
            t = plain;
            film = 0;
          }
          t *= ratio;
          if (film > 0) t = t + film_sum > 0 ? t * film_sum / (t + film_sum) : 0.0;
          const std::size_t f = to.face(a, i, j, k);
          if (symmetric) {
            out.lower[a][f] = t;
          } else if (t > 0) {
            out.lower[a][f] = t * bernoulli(-q / t);
            out.upper[a][f] = t * bernoulli(q / t);
          } else {
            out.lower[a][f] = std::max(q, 0.0);
            out.upper[a][f] = std::max(-q, 0.0);
          }
        }
      }
    }
  }
  return out;
}

/// Where one axis alone is coarsened, the faces along it stand in series: the resistance between two coarse centres is
/// that of the shared face and half of that of the face inside each of the two cells. (Where several axes are, rows
/// beside each other make up for one another, and the shared faces alone serve as well.) Collective.
void take_series(MPI_Comm comm, const CoefficientView& fine, std::size_t axis, const Layout& layout,
                 const std::array<long, 3>& cells, const IndexBox& coarse_box, Coefficients& coarse) {
  // Each face stands with the cell above it, those at the upper wall with a cell beyond it.
  Layout wide = layout;
  IndexBox domain;
  domain.high = cells;
  ++wide.cuts[axis].back();
  ++domain.high[axis];
  BoxCopy<double> copy(comm, wide, wide, 1, 2, domain, 6904, false);
  const int me = rank_of(comm);
  const IndexBox box = layout.block_of_rank(me);
  const IndexBox around = box.empty() ? IndexBox{} : grown(wide.block_of_rank(me), 1, 2);
  std::vector<double> values(at(around.cells()), 0.0);
  const BoxArray<double> faces{values.data(), around};
  std::array<long, 3> extent = fine.size;
  ++extent[axis];
  if (!box.empty()) {
    for (long k = 0; k < extent[2]; ++k) {
      for (long j = 0; j < extent[1]; ++j) {
        std::copy_n(fine.lower[axis] + fine.face(axis, 0, j, k), extent[0],
                    faces.at(box.low[0], box.low[1] + j, box.low[2] + k));
      }
    }
  }
  copy.run(faces, faces);
  if (box.empty()) return;
  const long last = cells[axis];
  const auto stride = static_cast<long>(
      faces.index(around.low[0] + step[axis][0], around.low[1] + step[axis][1], around.low[2] + step[axis][2]));
  std::array<long, 3> coarse_extent = coarse.size;
  ++coarse_extent[axis];
  double* out = coarse.lower[axis].data();
  for (long k = 0; k < coarse_extent[2]; ++k) {
    for (long j = 0; j < coarse_extent[1]; ++j) {
      for (long i = 0; i < coarse_extent[0]; ++i, ++out) {
        std::array<long, 3> place{coarse_box.low[0] + i, coarse_box.low[1] + j, coarse_box.low[2] + k};
        const long face = std::min(2 * place[axis], last);
        place[axis] = face;
        const double* t = faces.at(place[0], place[1], place[2]);
        double resistance = 1 / t[0];
        if (face >= 2 && face % 2 == 0) resistance += 0.5 / t[-stride];
        if (face + 1 < last) resistance += 0.5 / t[stride];
        if (t[0] > 0 && std::isfinite(resistance)) *out = 1 / resistance;
      }
    }
  }
}

/// What decides how to go on from a level.
struct Look {
  std::array<double, 3> coupling{};  ///< mean transmissibility of the inner faces along each axis
  std::array<double, 6> wall{};      ///< mean of the wall's faces
  bool dominated = false;            ///< neighbours weigh little in every cell
  double largest = 0;                ///< largest diagonal
  double empty = 0;                  ///< cells with nothing on the diagonal
  double excess = 0;                 ///< sum of what leaves or is used, over the sum of the diagonals
};

std::array<bool, 6> walls_of(const IndexBox& box, const std::array<long, 3>& cells) {
  std::array<bool, 6> wall{};
  for (std::size_t a = 0; a < 3; ++a) {
    wall[2 * a] = box.low[a] == 0;
    wall[2 * a + 1] = box.high[a] == cells[a];
  }
  return wall;
}

Look look_at(MPI_Comm comm, const CoefficientView& c, bool symmetric, const IndexBox& box,
             const std::array<long, 3>& cells, double share) {
  std::array<double, 12> sum{};  // inner faces, walls, what leaves, diagonals
  std::array<double, 2> most{};
  std::array<ExactSum, 9> exact;  // the first of them: the same digits on any number of ranks
  if (!box.empty()) {
    const auto wall = walls_of(box, cells);
    for (std::size_t a = 0; a < 3; ++a) {
      const std::size_t faces = face_count(c.size, a);
      ExactSum& all = exact[a];
      all.add(std::span<const double>(c.lower[a], faces));
      if (!symmetric) all.add(std::span<const double>(c.upper[a], faces));
      // Taken out again: walls, and the lower faces that the neighbour counts too.
      std::array<long, 3> low{}, high = c.size;
      for (std::size_t side = 0; side < 2; ++side) {
        low[a] = side == 0 ? 0 : c.size[a];
        high[a] = low[a] + 1;
        const bool at_wall = wall[2 * a + side];
        if (side == 1 && !at_wall) continue;
        for (long k = low[2]; k < high[2]; ++k) {
          for (long j = low[1]; j < high[1]; ++j) {
            for (long i = low[0]; i < high[0]; ++i) {
              const std::size_t f = c.face(a, i, j, k);
              all.add(-c.lower[a][f]);
              if (!symmetric) all.add(-c.upper[a][f]);
              if (!at_wall) continue;
              exact[3 + 2 * a + side].add(symmetric ? c.lower[a][f] : transmissibility(c.lower[a][f], c.upper[a][f]));
              sum[9] += side == 0 ? c.upper[a][f] : c.lower[a][f];
            }
          }
        }
      }
    }
    const kernels::Survey found = kernels::survey(c, wall, share);
    sum[9] += found.own;
    sum[10] = found.full;
    sum[11] = found.empty;
    most = {found.largest, found.dominated ? 0.0 : 1.0};
  }
  ExactSum::reduce(comm, exact);
  for (std::size_t i = 0; i < exact.size(); ++i) sum[i] = exact[i].value();
  if (!symmetric) {
    for (std::size_t a = 0; a < 3; ++a) sum[a] *= 0.5;
  }
  MPI_Allreduce(MPI_IN_PLACE, sum.data() + 9, 3, MPI_DOUBLE, MPI_SUM, comm);
  MPI_Allreduce(MPI_IN_PLACE, most.data(), 2, MPI_DOUBLE, MPI_MAX, comm);
  Look look;
  const double all = static_cast<double>(cells[0]) * static_cast<double>(cells[1]) * static_cast<double>(cells[2]);
  for (std::size_t a = 0; a < 3; ++a) {
    const auto n = static_cast<double>(cells[a]);
    const double faces = all / n;
    look.coupling[a] = cells[a] > 1 ? std::max(0.0, sum[a]) / (faces * (n - 1)) : 0;
    for (std::size_t side = 0; side < 2; ++side) look.wall[2 * a + side] = sum[3 + 2 * a + side] / faces;
  }
  look.largest = most[0];
  look.empty = sum[11];
  look.dominated = most[1] == 0;
  look.excess = sum[10] > 0 ? sum[9] / sum[10] : 0;
  return look;
}

/// Blocks for a level: as few that each holds enough cells, cut at even places along the axes to be coarsened.
Layout next_layout(const Layout& now, const std::array<long, 3>& cells, const bool (&coarse)[3], bool alone,
                   long cells_per_rank) {
  std::array<long, 3> parts = now.blocks();
  const double total = static_cast<double>(cells[0]) * static_cast<double>(cells[1]) * static_cast<double>(cells[2]);
  const auto count = [&] { return static_cast<double>(parts[0] * parts[1] * parts[2]); };
  while (!alone && count() > 1 && total < static_cast<double>(cells_per_rank) * count()) {
    std::size_t axis = 0;
    double thinnest = std::numeric_limits<double>::infinity();
    for (std::size_t a = 0; a < 3; ++a) {
      const double extent = static_cast<double>(cells[a]) / static_cast<double>(parts[a]);
      if (parts[a] > 1 && extent < thinnest) {
        thinnest = extent;
        axis = a;
      }
    }
    parts[axis] = (parts[axis] + 1) / 2;
  }
  if (alone) parts = {1, 1, 1};
  Layout next;
  const auto old_parts = now.blocks();
  for (std::size_t a = 0; a < 3; ++a) {
    const bool even = std::all_of(now.cuts[a].begin(), now.cuts[a].end() - 1, [](long cut) { return cut % 2 == 0; });
    if (parts[a] == old_parts[a] && (even || !coarse[a])) {
      next.cuts[a] = now.cuts[a];
      continue;
    }
    const auto cut_at = [&](long align) {
      std::vector<long> cuts{0};
      for (long p = 1; p < parts[a]; ++p) {
        const double ideal = static_cast<double>(cells[a] * p) / static_cast<double>(parts[a]);
        cuts.push_back(std::lround(ideal / static_cast<double>(align)) * align);
      }
      cuts.push_back(cells[a]);
      return std::adjacent_find(cuts.begin(), cuts.end(), std::greater_equal<>()) == cuts.end() ? cuts
                                                                                                : std::vector<long>{};
    };
    const long least = coarse[a] ? 2 : 1;
    while (next.cuts[a].empty()) {
      const double fair = 1.1 * std::ceil(static_cast<double>(cells[a]) / static_cast<double>(parts[a]));
      for (long align = 16; align >= least && next.cuts[a].empty(); align /= 2) {
        auto cuts = cut_at(align);
        double widest = 0;
        for (std::size_t p = 1; p < cuts.size(); ++p)
          widest = std::max(widest, static_cast<double>(cuts[p] - cuts[p - 1]));
        if (!cuts.empty() && (widest <= fair || align == least)) next.cuts[a] = cuts;
      }
      if (next.cuts[a].empty()) --parts[a];
    }
  }
  for (long k = 0; k < parts[2]; ++k) {
    for (long j = 0; j < parts[1]; ++j) {
      for (long i = 0; i < parts[0]; ++i) {
        const long x = i * old_parts[0] / parts[0], y = j * old_parts[1] / parts[1], z = k * old_parts[2] / parts[2];
        next.owner.push_back(now.owner[at((z * old_parts[1] + y) * old_parts[0] + x)]);
      }
    }
  }
  return next;
}

/// Share of the farther coarse cell in the value at fine cell `i`.
double far_share(const std::vector<double>& width, const std::vector<double>& coarse_width, long i) {
  const long c = i / 2;
  const auto n = static_cast<long>(width.size());
  const bool upper = (i & 1) == 1;
  if (!upper && i + 1 >= n) return 0;  // alone in its coarse cell
  const double off = 0.5 * (coarse_width[at(c)] - width[at(i)]);
  const double apart = distance(coarse_width, upper ? c + 1 : c);
  const bool wall = upper ? c + 1 == static_cast<long>(coarse_width.size()) : c == 0;
  return off / (wall ? 2 * apart : apart);
}

}  // namespace

struct Multigrid::Impl {
  struct Level {
    std::array<long, 3> cells{};
    std::array<std::vector<double>, 3> width;
    bool coarse[3] = {};  ///< axes coarsened towards the next level
    enum class Kind { cycled, smoothed, exact } kind = Kind::cycled;
    Layout layout;
    IndexBox box;    // own block; empty: this rank has no part in the level
    IndexBox local;  // the same from zero on
    kernels::LevelArrays arrays;
    std::vector<FloatArray> memory;
    ColourExchange exchange;
    // towards the next level
    Layout child_layout;
    IndexBox child_box;
    FloatArray child_memory, own_memory;
    BoxArray<float> child, own;  // values of the next level: over the children of this block, in the next level's block
    std::unique_ptr<BoxCopy<float>> down, up;
    std::array<double, 6> reflect{};  // value beyond a wall over the value inside, for corrections
    FloatArray far_memory[3];
    kernels::Interpolation weights;
    std::vector<float> scratch;
    std::vector<float> inverse;  // of the exact level
  };

  const Grid* grid = nullptr;
  MultigridSettings settings;
  std::vector<std::unique_ptr<Level>> levels;
  double operator_scale = 1;
  bool symmetric = true, singular = false;
  double empty_rows = 0;
  MultigridStatistics cost;
  // where the finest level is not cut as the grid is
  struct Outer {
    ColourLayout at;
    IndexBox box;
    float* u[2] = {};
    float* f[2] = {};
    std::vector<FloatArray> memory;
    FloatArray values_memory, level_memory;
    BoxArray<float> values, level_values;  // in the grid's blocks with ghosts, in the level's blocks
    std::unique_ptr<BoxCopy<float>> in, out;
  };
  std::unique_ptr<Outer> outer;

  void build(const CellOperator& op);
  void factor(Level& level, const CoefficientView& c);
  void link(Level& level, const Level& next, int number);
  void down_leg(Level& level);
  void up_leg(Level& level, bool ghosts);
  void cycle_from(std::size_t number);
  void run();
  static IndexBox all(const Level& level) { return level.local; }
  template <class Work>
  static void for_shell(const Level& level, long thickness, Work&& work);
};

template <class Work>
void Multigrid::Impl::for_shell(const Level& level, long thickness, Work&& work) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    for (int side = 0; side < 2; ++side) {
      if (!level.exchange.has(axis, side)) continue;
      IndexBox box = level.local;
      if (side == 0) {
        box.high[axis] = std::min(thickness, box.high[axis]);
      } else {
        box.low[axis] = std::max(0L, box.high[axis] - thickness);
      }
      work(box);
    }
  }
}

void Multigrid::Impl::factor(Level& level, const CoefficientView& c) {
  const long count = level.box.cells();
  if (count == 0) return;
  const auto n = at(count);
  std::vector<double> a(n * n, 0.0), b(n * n, 0.0);
  const auto& s = c.size;
  double trace = 0;
  for (long k = 0; k < s[2]; ++k) {
    for (long j = 0; j < s[1]; ++j) {
      for (long i = 0; i < s[0]; ++i) {
        const std::array<long, 3> place{i, j, k};
        const std::size_t row = c.cell(i, j, k);
        double full = c.diagonal[row];
        for (std::size_t axis = 0; axis < 3; ++axis) {
          const auto& e = step[axis];
          const std::size_t low = c.face(axis, i, j, k), high = c.face(axis, i + e[0], j + e[1], k + e[2]);
          full += c.upper[axis][low] + c.lower[axis][high];
          if (place[axis] > 0) a[row * n + c.cell(i - e[0], j - e[1], k - e[2])] -= c.lower[axis][low];
          if (place[axis] + 1 < s[axis]) a[row * n + c.cell(i + e[0], j + e[1], k + e[2])] -= c.upper[axis][high];
        }
        a[row * n + row] += full;
        trace += full;
      }
    }
  }
  for (double& v : a) v /= operator_scale;
  trace /= operator_scale;
  if (singular) {  // the null space is moved out of the way: consistent right-hand sides do not see it
    const double add = trace / static_cast<double>(n * n);
    for (double& v : a) v += add;
  }
  std::vector<double> row_size(n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    b[i * n + i] = 1;
    for (std::size_t j = 0; j < n; ++j) row_size[i] = std::max(row_size[i], std::abs(a[i * n + j]));
  }
  for (std::size_t p = 0; p < n; ++p) {
    std::size_t best = p;
    for (std::size_t r = p + 1; r < n; ++r) {
      if (std::abs(a[r * n + p]) > std::abs(a[best * n + p])) best = r;
    }
    const double pivot = a[best * n + p];
    // Nothing but rounding left: a part without link to the rest, or to walls, has no correction of its own level.
    if (std::abs(pivot) <= static_cast<double>(n) * 2.3e-16 * row_size[best]) {
      for (std::size_t q = 0; q < n; ++q) b[p * n + q] = 0;
      continue;
    }
    if (best != p) {
      std::swap_ranges(&a[best * n], &a[best * n] + n, &a[p * n]);
      std::swap_ranges(&b[best * n], &b[best * n] + n, &b[p * n]);
      std::swap(row_size[best], row_size[p]);
    }
    for (std::size_t q = p; q < n; ++q) a[p * n + q] /= pivot;
    for (std::size_t q = 0; q < n; ++q) b[p * n + q] /= pivot;
    for (std::size_t r = 0; r < n; ++r) {
      const double m = a[r * n + p];
      if (r == p || m == 0) continue;
      for (std::size_t q = p; q < n; ++q) a[r * n + q] -= m * a[p * n + q];
      for (std::size_t q = 0; q < n; ++q) b[r * n + q] -= m * b[p * n + q];
    }
  }
  level.inverse.resize(n * n);
  // By columns, so that the product runs along memory.
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) level.inverse[j * n + i] = static_cast<float>(b[i * n + j]);
  }
}

void Multigrid::Impl::link(Level& level, const Level& next, int number) {
  level.child_layout = coarsened(level.layout, level.coarse);
  const int me = rank_of(grid->comm());
  level.child_box = level.child_layout.block_of_rank(me);
  level.child = {};
  level.own = {};
  level.down.reset();
  level.up.reset();
  IndexBox domain;
  domain.high = next.cells;
  if (!level.box.empty()) {
    const IndexBox around = grown(level.child_box, 1, 1);
    level.child_memory = FloatArray(at(around.cells()));
    level.child = {level.child_memory.data(), around};
  }
  const bool same = level.child_layout == next.layout;
  if (same) {
    level.own = level.child;
  } else {
    if (!next.box.empty()) {
      level.own_memory = FloatArray(at(next.box.cells()));
      level.own = {level.own_memory.data(), next.box};
    }
    level.down = std::make_unique<BoxCopy<float>>(grid->comm(), level.child_layout, next.layout, 0, 0, domain,
                                                  7000 + 40 * number);
  }
  level.up =
      std::make_unique<BoxCopy<float>>(grid->comm(), next.layout, level.child_layout, 1, 1, domain, 7001 + 40 * number);
  if (level.box.empty()) return;
  for (std::size_t a = 0; a < 3; ++a) {
    level.weights.coarse[a] = level.coarse[a];
    const long n = level.box.size(a);
    level.far_memory[a] = FloatArray(at(2 * n + 8));
    float* far = level.far_memory[a].data();
    const auto share = [&](long i) {
      const long cell = level.box.low[a] + i;
      if (!level.coarse[a] || cell < 0 || cell >= level.cells[a]) return 0.0F;
      return static_cast<float>(far_share(level.width[a], next.width[a], cell));
    };
    if (a == 0) {
      float* odd = far + n / 2 + 3;
      for (long m = 0; 2 * m <= n; ++m) far[m] = share(2 * m);
      for (long m = -1; 2 * m + 1 <= n; ++m) odd[m + 1] = share(2 * m + 1);
      level.weights.far_even = far;
      level.weights.far_odd = odd;
    } else {
      for (long i = -1; i <= n; ++i) far[i + 1] = share(i);
      level.weights.far[a] = far;
    }
  }
  level.scratch.assign(at(level.child.box.size(0) + 16), 0.0F);
}

void Multigrid::Impl::build(const CellOperator& op) {
  const MPI_Comm comm = grid->comm();
  const int me = rank_of(comm);
  const bool was_symmetric = symmetric;
  symmetric = op.symmetric();
  CoefficientView view = view_of(op);
  Coefficients storage;
  Layout layout = grid->layout();
  std::array<long, 3> cells = grid->spec().cells;
  std::array<std::vector<double>, 3> width;
  for (std::size_t a = 0; a < 3; ++a) width[a].assign(at(cells[a]), grid->spec().spacing[a]);
  bool reuse = was_symmetric == symmetric;
  for (std::size_t number = 0;; ++number) {
    const Look look = look_at(comm, view, symmetric, layout.block_of_rank(me), cells, settings.dominated_share);
    if (number == 0) {
      operator_scale = look.largest > 0 ? std::exp2(std::floor(std::log2(look.largest))) : 1.0;
      singular = look.excess < 1e-13;
      empty_rows = look.empty;
    }
    const double strongest = *std::max_element(look.coupling.begin(), look.coupling.end());
    bool coarse[3] = {};
    for (std::size_t a = 0; a < 3; ++a) {
      coarse[a] = cells[a] > 1 && strongest > 0 && look.coupling[a] >= settings.coarsening_share * strongest;
    }
    const bool any = coarse[0] || coarse[1] || coarse[2];
    auto kind = Level::Kind::cycled;
    if (cells[0] * cells[1] * cells[2] <= settings.dense_cells) {
      kind = Level::Kind::exact;
    } else if (!any || look.dominated) {
      kind = Level::Kind::smoothed;
    }
    if (kind != Level::Kind::cycled) std::fill(coarse, coarse + 3, false);
    const Layout next =
        next_layout(layout, cells, coarse, kind == Level::Kind::exact, number == 0 ? 0 : settings.cells_per_rank);
    if (!(next == layout)) {
      storage = moved(comm, view, symmetric, layout, next, cells, 6900);
      view = view_of(storage);
    }
    Level* level = number < levels.size() ? levels[number].get() : nullptr;
    reuse = reuse && level && level->cells == cells && level->kind == kind && level->layout == next &&
            std::equal(coarse, coarse + 3, level->coarse);
    if (!reuse) {
      levels.resize(number);
      levels.push_back(std::make_unique<Level>());
      level = levels.back().get();
      level->cells = cells;
      level->width = width;
      std::copy(coarse, coarse + 3, level->coarse);
      level->kind = kind;
      level->layout = next;
      level->box = next.block_of_rank(me);
      if (!level->box.empty()) {
        for (std::size_t a = 0; a < 3; ++a) level->local.high[a] = level->box.size(a);
        auto& arrays = level->arrays;
        arrays.at = colour_layout(level->box);
        if (kind != Level::Kind::exact) {
          const std::size_t floats = colour_floats(arrays.at);
          const auto take = [&] {
            level->memory.emplace_back(floats, static_cast<int>(level->memory.size()) * 7);
            return level->memory.back().data();
          };
          for (int colour = 0; colour < 2; ++colour) {
            arrays.u[colour] = take();
            arrays.f[colour] = take();
            arrays.inverse_diagonal[colour] = take();
            if (colour == 1 && symmetric) continue;
            for (float*& coefficient : arrays.coefficient[colour]) coefficient = take();
          }
          level->exchange = ColourExchange(comm, next, arrays.at, 7010 + 40 * static_cast<int>(number));
        }
      }
      if (number > 0) link(*levels[number - 1], *level, static_cast<int>(number));
    }
    if (number > 0) {
      // The value beyond a wall follows from how well the wall conducts compared with the inside.
      auto& reflect = levels[number - 1]->reflect;
      for (std::size_t a = 0; a < 3; ++a) {
        for (std::size_t side = 0; side < 2; ++side) {
          const double inside = 2 * look.coupling[a];
          const double wall = look.wall[2 * a + side];
          reflect[2 * a + side] = wall <= 0 ? 1.0 : (inside > 0 ? 1 - 2 * std::min(1.0, wall / inside) : -1.0);
        }
      }
    }
    if (!level->box.empty()) {
      if (kind == Level::Kind::exact) {
        factor(*level, view);
      } else {
        kernels::fill(view, walls_of(level->box, cells), operator_scale, level->arrays);
      }
    }
    if (kind != Level::Kind::cycled) {
      levels.resize(number + 1);
      break;
    }
    std::array<long, 3> coarse_cells = cells;
    std::array<std::vector<double>, 3> coarse_width = width;
    for (std::size_t a = 0; a < 3; ++a) {
      if (!coarse[a]) continue;
      coarse_cells[a] = (cells[a] + 1) / 2;
      coarse_width[a] = paired(width[a]);
    }
    layout = coarsened(next, coarse);
    Coefficients lower_level = coarse_coefficients(view, symmetric, level->box, layout.block_of_rank(me), coarse, width,
                                                   coarse_width, op.walls());
    if (symmetric && coarse[0] + coarse[1] + coarse[2] == 1) {
      const std::size_t axis = coarse[0] ? 0 : coarse[1] ? 1 : 2;
      take_series(comm, view, axis, next, cells, layout.block_of_rank(me), lower_level);
    }
    storage = std::move(lower_level);
    view = view_of(storage);
    cells = coarse_cells;
    width = coarse_width;
  }

  const Layout mine = grid->layout();
  Level& finest = *levels.front();
  if (finest.layout == mine && finest.kind != Level::Kind::exact) {
    outer.reset();
    return;
  }
  if (outer && reuse) return;
  outer = std::make_unique<Outer>();
  outer->box = mine.block_of_rank(me);
  outer->at = colour_layout(outer->box);
  const std::size_t floats = colour_floats(outer->at);
  for (int colour = 0; colour < 2; ++colour) {
    outer->memory.emplace_back(floats);
    outer->u[colour] = outer->memory.back().data();
    outer->memory.emplace_back(floats);
    outer->f[colour] = outer->memory.back().data();
  }
  IndexBox domain;
  domain.high = finest.cells;
  const IndexBox around = grown(outer->box, 1, 1);
  outer->values_memory = FloatArray(at(around.cells()));
  outer->values = {outer->values_memory.data(), around};
  outer->level_memory = FloatArray(at(finest.box.cells()));
  outer->level_values = {outer->level_memory.data(), finest.box};
  outer->in = std::make_unique<BoxCopy<float>>(comm, mine, finest.layout, 0, 0, domain, 6901);
  outer->out = std::make_unique<BoxCopy<float>>(comm, finest.layout, mine, 1, 1, domain, 6902);
}

namespace {

BoxArray<const float> constant(const BoxArray<float>& values) { return {values.data, values.box}; }

/// The same memory in local numbers of the block that starts at `low`.
BoxArray<float> shifted(BoxArray<float> values, const std::array<long, 3>& low) {
  for (std::size_t a = 0; a < 3; ++a) {
    values.box.low[a] -= low[a];
    values.box.high[a] -= low[a];
  }
  return values;
}

/// Fills the layer beyond the walls.
void reflect_at_walls(const BoxArray<float>& values, const IndexBox& block, const std::array<long, 3>& cells,
                      const std::array<double, 6>& reflect) {
  for (std::size_t a = 0; a < 3; ++a) {
    for (int side = 0; side < 2; ++side) {
      const bool wall = side == 0 ? block.low[a] == 0 : block.high[a] == cells[a];
      if (!wall) continue;
      IndexBox layer = values.box;
      layer.low[a] = side == 0 ? -1 : cells[a];
      layer.high[a] = layer.low[a] + 1;
      const auto share = static_cast<float>(reflect[2 * a + at(side)]);
      const std::array<long, 3>& e = step[a];
      const long inward = side == 0 ? 1 : -1;
      for (long k = layer.low[2]; k < layer.high[2]; ++k) {
        for (long j = layer.low[1]; j < layer.high[1]; ++j) {
          const float* from = values.at(layer.low[0] + inward * e[0], j + inward * e[1], k + inward * e[2]);
          float* to = values.at(layer.low[0], j, k);
          for (long i = 0; i < layer.size(0); ++i) to[i] = share * from[i];
        }
      }
    }
  }
}

}  // namespace

void Multigrid::Impl::down_leg(Level& level) {
  const auto& arrays = level.arrays;
  const bool together_with_others = level.exchange.any();
  if (together_with_others) {
    for_shell(level, 2, [&](const IndexBox& box) { kernels::smooth(arrays, 0, true, box); });
    level.exchange.start(arrays.u[0], 0, cost);
    kernels::smooth(arrays, 0, true, level.local);
    level.exchange.finish(arrays.u[0], 0);
    for_shell(level, 1, [&](const IndexBox& box) { kernels::smooth(arrays, 1, false, box); });
    level.exchange.start(arrays.u[1], 1, cost);
  }
  const long n = level.local.high[2];
  const long per = level.coarse[2] ? 2 : 1;
  const BoxArray<float> out = shifted(level.child, level.child_box.low);
  IndexBox coarse_box;
  for (std::size_t a = 0; a < 3; ++a) coarse_box.high[a] = level.child_box.size(a);
  const auto plane = [&](long k) {
    IndexBox box = level.local;
    box.low[2] = k;
    box.high[2] = k + 1;
    return box;
  };
  long restricted = 0;
  for (long s = 0; s < n + 2; ++s) {
    if (s < n && !together_with_others) kernels::smooth(arrays, 0, true, plane(s));
    if (s >= 1 && s - 1 < n) kernels::smooth(arrays, 1, false, plane(s - 1));
    // Residuals of plane k need the black cells of plane k + 1.
    const long ready = s - 1 >= n ? n : s - 1;
    while (restricted < coarse_box.high[2] && std::min(per * (restricted + 1), n) <= ready) {
      IndexBox box = coarse_box;
      box.low[2] = restricted;
      box.high[2] = ++restricted;
      kernels::restrict_residual(arrays, level.coarse, box, out);
    }
  }
  if (!together_with_others) return;
  level.exchange.finish(arrays.u[1], 1);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    for (int side = 0; side < 2; ++side) {
      if (!level.exchange.has(axis, side)) continue;
      IndexBox box = coarse_box;
      if (side == 0) {
        box.high[axis] = 1;
      } else {
        box.low[axis] = box.high[axis] - 1;
      }
      kernels::restrict_residual(arrays, level.coarse, box, out);
    }
  }
}

void Multigrid::Impl::up_leg(Level& level, bool ghosts) {
  const auto& arrays = level.arrays;
  const BoxArray<float> values = shifted(level.child, level.child_box.low);
  const long n = level.local.high[2];
  const bool together_with_others = level.exchange.any();
  const auto plane = [&](long k) {
    IndexBox box = level.local;
    box.low[2] = k;
    box.high[2] = k + 1;
    return box;
  };
  if (together_with_others) {
    IndexBox box = level.local;
    for (std::size_t a = 0; a < 3; ++a) {
      if (level.exchange.has(a, 0)) box.low[a] = -1;
      if (level.exchange.has(a, 1)) ++box.high[a];
    }
    kernels::prolong_to_black(arrays, level.weights, values, box, level.scratch.data());
    for_shell(level, 2, [&](const IndexBox& shell) { kernels::smooth(arrays, 0, false, shell); });
    level.exchange.start(arrays.u[0], 0, cost);
  } else {
    kernels::prolong_to_black(arrays, level.weights, values, plane(0), level.scratch.data());
  }
  for (long s = 0; s <= n; ++s) {
    if (!together_with_others && s + 1 < n) {
      kernels::prolong_to_black(arrays, level.weights, values, plane(s + 1), level.scratch.data());
    }
    if (s < n) kernels::smooth(arrays, 0, false, plane(s));
    if (s >= 1) kernels::smooth(arrays, 1, false, plane(s - 1));
  }
  if (!together_with_others) return;
  level.exchange.finish(arrays.u[0], 0);
  for_shell(level, 1, [&](const IndexBox& shell) { kernels::smooth(arrays, 1, false, shell); });
  if (!ghosts) return;
  level.exchange.start(arrays.u[1], 1, cost);
  level.exchange.finish(arrays.u[1], 1);
}

void Multigrid::Impl::cycle_from(std::size_t number) {
  Level& level = *levels[number];
  const bool active = !level.box.empty();
  if (level.kind == Level::Kind::smoothed) {
    if (!active) return;
    const auto& arrays = level.arrays;
    for (int sweep = 0; sweep < 2; ++sweep) {
      for (int colour = 0; colour < 2; ++colour) {
        kernels::smooth(arrays, colour, sweep == 0 && colour == 0, level.local);
        if (!level.exchange.any()) continue;
        level.exchange.start(arrays.u[colour], colour, cost);
        level.exchange.finish(arrays.u[colour], colour);
      }
    }
    return;
  }
  Level& next = *levels[number + 1];
  if (active) down_leg(level);
  if (level.down) {
    level.down->run(level.child, level.own);
    cost.messages += level.down->messages();
    cost.bytes_sent += level.down->bytes_sent();
  }
  if (!next.box.empty()) {
    const BoxArray<float> own = shifted(level.own, next.box.low);
    if (next.kind == Level::Kind::exact) {
      const auto count = at(next.box.cells());
      std::array<float, most_dense> in{}, out{};
      std::size_t c = 0;
      for (long k = 0; k < next.local.high[2]; ++k) {
        for (long j = 0; j < next.local.high[1]; ++j) {
          for (long i = 0; i < next.local.high[0]; ++i) in[c++] = *own.at(i, j, k);
        }
      }
      for (std::size_t j = 0; j < count; ++j) {
        const float* column = next.inverse.data() + j * count;
        const float v = in[j];
        for (std::size_t i = 0; i < count; ++i) out[i] += column[i] * v;
      }
      c = 0;
      for (long k = 0; k < next.local.high[2]; ++k) {
        for (long j = 0; j < next.local.high[1]; ++j) {
          for (long i = 0; i < next.local.high[0]; ++i) *own.at(i, j, k) = out[c++];
        }
      }
    } else {
      kernels::split(next.arrays.at, constant(own), next.local, next.arrays.f);
    }
  }
  if (next.kind != Level::Kind::exact) {
    cycle_from(number + 1);
    if (!next.box.empty()) {
      kernels::join(next.arrays.at, next.arrays.u, next.local, shifted(level.own, next.box.low));
    }
  }
  level.up->run(level.own, level.child);
  cost.messages += level.up->messages();
  cost.bytes_sent += level.up->bytes_sent();
  if (!active) return;
  reflect_at_walls(level.child, level.child_box, next.cells, level.reflect);
  up_leg(level, number == 0 && !outer);
}

void Multigrid::Impl::run() {
  const FlushToZero flush;
  cost.messages = 0;
  cost.bytes_sent = 0;
  Level& finest = *levels.front();
  if (!outer) {
    cycle_from(0);
    return;
  }
  IndexBox own;
  for (std::size_t a = 0; a < 3; ++a) own.high[a] = outer->box.size(a);
  kernels::join(outer->at, outer->f, own, shifted(outer->values, outer->box.low));
  outer->in->run(outer->values, outer->level_values);
  if (finest.kind == Level::Kind::exact) {
    const auto count = at(finest.box.cells());
    std::array<float, most_dense> out{};
    for (std::size_t j = 0; j < count; ++j) {
      const float* column = finest.inverse.data() + j * count;
      for (std::size_t i = 0; i < count; ++i) out[i] += column[i] * outer->level_values.data[j];
    }
    std::copy_n(out.begin(), count, outer->level_values.data);
  } else {
    if (!finest.box.empty()) {
      const BoxArray<float> values = shifted(outer->level_values, finest.box.low);
      kernels::split(finest.arrays.at, constant(values), finest.local, finest.arrays.f);
    }
    cycle_from(0);
    if (!finest.box.empty()) {
      kernels::join(finest.arrays.at, finest.arrays.u, finest.local, shifted(outer->level_values, finest.box.low));
    }
  }
  outer->out->run(outer->level_values, outer->values);
  cost.messages += outer->in->messages() + outer->out->messages();
  cost.bytes_sent += outer->in->bytes_sent() + outer->out->bytes_sent();
  IndexBox with_ghosts = own;
  for (std::size_t a = 0; a < 3; ++a) {
    if (outer->box.low[a] > 0) with_ghosts.low[a] = -1;
    if (outer->box.high[a] < finest.cells[a]) ++with_ghosts.high[a];
  }
  kernels::split(outer->at, constant(shifted(outer->values, outer->box.low)), with_ghosts, outer->u);
}

Multigrid::Multigrid(const Grid& grid, const MultigridSettings& settings) : impl_(std::make_unique<Impl>()) {
  if (settings.dense_cells > most_dense) throw InputError("multigrid: dense_cells may be at most 4096");
  impl_->grid = &grid;
  impl_->settings = settings;
}

Multigrid::~Multigrid() = default;

void Multigrid::set(const CellOperator& op) { impl_->build(op); }

const ColourLayout& Multigrid::colours() const {
  return impl_->outer ? impl_->outer->at : impl_->levels.front()->arrays.at;
}
float* const (&Multigrid::f() const)[2] { return impl_->outer ? impl_->outer->f : impl_->levels.front()->arrays.f; }
float* const (&Multigrid::u() const)[2] { return impl_->outer ? impl_->outer->u : impl_->levels.front()->arrays.u; }
double Multigrid::scale() const { return 1 / impl_->operator_scale; }
void Multigrid::cycle() { impl_->run(); }
bool Multigrid::singular() const { return impl_->singular; }
double Multigrid::empty_rows() const { return impl_->empty_rows; }

OperatorLook look_at(const CellOperator& op) {
  const Look look =
      look_at(op.grid().comm(), view_of(op), op.symmetric(), op.grid().block(), op.grid().spec().cells, 0);
  return {look.excess < 1e-13, look.empty};
}

void Multigrid::apply(Vec in, Vec out) {
  if (impl_->levels.empty()) throw NumericsError("multigrid: apply() before set()");
  const ColourLayout& map = colours();
  const auto& n = map.size;
  const ReadAccess r(in);
  double most = 0;
  const std::size_t count = at(n[0] * n[1] * n[2]);
  for (std::size_t c = 0; c < count; ++c) {
    const double size = std::abs(r[c]);
    most = size <= std::numeric_limits<double>::max() ? std::max(most, size) : std::numeric_limits<double>::infinity();
    if (most > std::numeric_limits<double>::max()) break;
  }
  most = max_over(impl_->grid->comm(), most);
  const WriteAccess z(out);
  if (!(most > 0) || !std::isfinite(most)) {
    std::fill(z.data(), z.data() + count, most == 0 ? 0.0 : most);
    return;
  }
  const double scaling = std::exp2(-std::ceil(std::log2(most)));
  kernels::load(map, r.data(), scaling, f());
  cycle();
  kernels::store(map, u(), scale() / scaling, z.data());
}

void Multigrid::attach(PC pc) {
  petsc(PCSetType(pc, PCSHELL));
  petsc(PCShellSetContext(pc, this));
  petsc(PCShellSetName(pc, "multigrid of red-black Gauss-Seidel on cells"));
  petsc(PCShellSetApply(pc, [](PC shell, Vec in, Vec out) -> PetscErrorCode {
    void* context = nullptr;
    (void)PCShellGetContext(shell, &context);
    return guarded([&] { static_cast<Multigrid*>(context)->apply(in, out); });
  }));
  petsc(PCShellSetView(pc, [](PC shell, PetscViewer viewer) -> PetscErrorCode {
    void* context = nullptr;
    (void)PCShellGetContext(shell, &context);
    const std::string text = static_cast<Multigrid*>(context)->view();
    return PetscViewerASCIIPrintf(viewer, "%s", text.c_str());
  }));
}

MultigridStatistics Multigrid::statistics() const {
  MultigridStatistics out = impl_->cost;
  out.levels.clear();
  out.singular = impl_->singular;
  out.memory = 0;
  out.bytes_moved = 0;
  for (const auto& level : impl_->levels) {
    out.levels.push_back({level->cells, static_cast<int>(level->layout.owner.size())});
    for (const auto& m : level->memory) out.memory += m.bytes();
    out.memory += level->child_memory.bytes() + level->own_memory.bytes() + level->exchange.memory();
    for (const auto& m : level->far_memory) out.memory += m.bytes();
    if (level->down) out.memory += level->down->memory();
    if (level->up) out.memory += level->up->memory();
    out.memory += level->inverse.capacity() * sizeof(float);
    // Down: f, diagonal, u of both colours, coefficients; up: the same and the correction.
    const double coefficients = impl_->symmetric ? 12 : 24;
    if (level->kind != Impl::Level::Kind::exact) {
      out.bytes_moved +=
          static_cast<std::size_t>(static_cast<double>(level->box.cells()) * (2 * (coefficients + 12) + 3));
    }
  }
  if (impl_->outer) {
    for (const auto& m : impl_->outer->memory) out.memory += m.bytes();
    out.memory += impl_->outer->values_memory.bytes() + impl_->outer->level_memory.bytes() +
                  impl_->outer->in->memory() + impl_->outer->out->memory();
  }
  return out;
}

std::string Multigrid::view() const {
  const MultigridStatistics s = statistics();
  std::ostringstream out;
  out << "multigrid: " << s.levels.size() << " levels, " << (impl_->symmetric ? "symmetric" : "not symmetric")
      << (s.singular ? ", singular" : "") << ", " << s.memory << " bytes on this rank\n";
  for (const auto& level : s.levels) {
    out << "  " << level.cells[0] << " x " << level.cells[1] << " x " << level.cells[2] << " cells on " << level.ranks
        << (level.ranks == 1 ? " rank\n" : " ranks\n");
  }
  out << "  one cycle: " << s.messages << " messages, " << s.bytes_sent << " bytes from this rank\n";
  return out.str();
}

}  // namespace sanctuary
