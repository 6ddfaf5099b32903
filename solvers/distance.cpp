#include "solvers/distance.hpp"

#include <cassert>
#include <cmath>
#include <limits>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Works on one line of squared distances at a time; owns its scratch.
class Envelope {
 public:
  Envelope(std::size_t length, double spacing) : spacing_(spacing), height_(length), apex_(length), begin_(length) {}

  /// line[q] becomes the least of line[p] + ((q - p) spacing)^2 over all p.
  void lower(double* line) {
    const auto length = static_cast<long>(height_.size());
    // Apices of the parabolas of the envelope from left to right, and where each takes over.
    long last = -1;
    for (long p = 0; p < length; ++p) {
      const double height = line[p];
      height_[static_cast<std::size_t>(p)] = height;
      if (height == infinity) continue;
      double begin = -infinity;
      for (; last >= 0; --last) {
        const auto top = static_cast<std::size_t>(last);
        const long other = apex_[top];
        const double apart = static_cast<double>(p - other) * spacing_;
        begin = 0.5 * (static_cast<double>(p + other) +
                       (height - height_[static_cast<std::size_t>(other)]) / (apart * spacing_));
        if (begin > begin_[top]) break;
        begin = -infinity;
      }
      ++last;
      apex_[static_cast<std::size_t>(last)] = p;
      begin_[static_cast<std::size_t>(last)] = begin;
    }
    if (last < 0) return;
    long now = 0;
    for (long q = 0; q < length; ++q) {
      while (now < last && begin_[static_cast<std::size_t>(now + 1)] < static_cast<double>(q)) ++now;
      const long apex = apex_[static_cast<std::size_t>(now)];
      const double apart = static_cast<double>(q - apex) * spacing_;
      line[q] = height_[static_cast<std::size_t>(apex)] + apart * apart;
    }
  }

 private:
  double spacing_;
  std::vector<double> height_;
  std::vector<long> apex_;
  std::vector<double> begin_;
};

/// Communicator of the ranks whose blocks lie in one row; freed when it goes out of scope.
class Row {
 public:
  Row(MPI_Comm comm, int row, int place) { MPI_Comm_split(comm, row, place, &comm_); }
  Row(const Row&) = delete;
  Row& operator=(const Row&) = delete;
  ~Row() { MPI_Comm_free(&comm_); }
  [[nodiscard]] MPI_Comm get() const { return comm_; }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
};

/// Takes the lower envelope along every line of one axis. Collective.
void along(const Grid& grid, std::size_t axis, std::vector<double>& squared) {
  const auto& size = grid.size();
  const std::size_t a = axis == 0 ? 1 : 0, b = axis == 2 ? 1 : 2;  // the other axes
  const std::array<std::size_t, 3> stride{1, static_cast<std::size_t>(size[0]),
                                          static_cast<std::size_t>(size[0] * size[1])};
  const auto& cuts = grid.cuts()[axis];
  const std::size_t blocks = cuts.size() - 1;
  const auto length = static_cast<std::size_t>(cuts.back()), mine = static_cast<std::size_t>(size[axis]);
  const auto lines = static_cast<std::size_t>(size[a] * size[b]);
  const auto first_cell = [&](std::size_t line) {
    const auto across = static_cast<std::size_t>(size[a]);
    return line % across * stride[a] + line / across * stride[b];
  };
  Envelope envelope(length, grid.spec().spacing[axis]);
  std::vector<double> whole(length);
  if (blocks == 1) {
    for (std::size_t line = 0; line < lines; ++line) {
      double* cell = squared.data() + first_cell(line);
      for (std::size_t i = 0; i < length; ++i) whole[i] = cell[i * stride[axis]];
      envelope.lower(whole.data());
      for (std::size_t i = 0; i < length; ++i) cell[i * stride[axis]] = whole[i];
    }
    return;
  }

  std::array<int, 3> block{}, parts{};
  for (std::size_t d = 0; d < 3; ++d) {
    parts[d] = static_cast<int>(grid.cuts()[d].size()) - 1;
    while (grid.cuts()[d][static_cast<std::size_t>(block[d])] != grid.start()[d]) ++block[d];
  }
  const Row row(grid.comm(), block[b] * parts[a] + block[a], block[axis]);
  // Each rank of the row gets whole lines, about as many as any other.
  const auto share = [&](std::size_t rank) { return lines * rank / blocks; };
  const auto me = static_cast<std::size_t>(block[axis]);
  const std::size_t my_lines = share(me + 1) - share(me);
  std::vector<int> out_count(blocks), out_first(blocks), in_count(blocks), in_first(blocks);
  for (std::size_t rank = 0; rank < blocks; ++rank) {
    out_count[rank] = static_cast<int>((share(rank + 1) - share(rank)) * mine);
    out_first[rank] = static_cast<int>(share(rank) * mine);
    in_count[rank] = static_cast<int>(my_lines * static_cast<std::size_t>(cuts[rank + 1] - cuts[rank]));
    in_first[rank] = static_cast<int>(my_lines * static_cast<std::size_t>(cuts[rank]));
  }
  std::vector<double> out(lines * mine), in(my_lines * length);
  for (std::size_t line = 0; line < lines; ++line) {
    const double* cell = squared.data() + first_cell(line);
    for (std::size_t i = 0; i < mine; ++i) out[line * mine + i] = cell[i * stride[axis]];
  }
  MPI_Alltoallv(out.data(), out_count.data(), out_first.data(), MPI_DOUBLE, in.data(), in_count.data(), in_first.data(),
                MPI_DOUBLE, row.get());
  const auto for_each_piece = [&](std::size_t line, const auto& visit) {
    for (std::size_t rank = 0; rank < blocks; ++rank) {
      const auto piece = static_cast<std::size_t>(cuts[rank + 1] - cuts[rank]);
      const std::size_t from = static_cast<std::size_t>(in_first[rank]) + line * piece;
      for (std::size_t i = 0; i < piece; ++i) visit(in[from + i], whole[static_cast<std::size_t>(cuts[rank]) + i]);
    }
  };
  for (std::size_t line = 0; line < my_lines; ++line) {
    for_each_piece(line, [](double piece, double& value) { value = piece; });
    envelope.lower(whole.data());
    for_each_piece(line, [](double& piece, double value) { piece = value; });
  }
  MPI_Alltoallv(in.data(), in_count.data(), in_first.data(), MPI_DOUBLE, out.data(), out_count.data(), out_first.data(),
                MPI_DOUBLE, row.get());
  for (std::size_t line = 0; line < lines; ++line) {
    double* cell = squared.data() + first_cell(line);
    for (std::size_t i = 0; i < mine; ++i) cell[i * stride[axis]] = out[line * mine + i];
  }
}

}  // namespace

std::vector<double> distance_to(const Grid& grid, std::span<const char> marked) {
  assert(marked.size() == grid.local_cells());
  std::vector<double> squared(grid.local_cells());
  for (std::size_t c = 0; c < squared.size(); ++c) squared[c] = marked[c] != 0 ? 0 : infinity;
  for (std::size_t axis = 0; axis < 3; ++axis) along(grid, axis, squared);
  for (double& d : squared) d = std::sqrt(d);
  return squared;
}

}  // namespace sanctuary
