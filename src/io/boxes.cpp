#include "io/boxes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <limits>

#include "base/comm.hpp"
#include "base/error.hpp"

namespace sanctuary {
namespace {

constexpr int box_tag = 7301;

template <class Number>
MPI_Datatype type_of();
template <>
MPI_Datatype type_of<float>() {
  return MPI_FLOAT;
}
template <>
MPI_Datatype type_of<double>() {
  return MPI_DOUBLE;
}

bool overlap(const LocalBox& a, const LocalBox& b) {
  for (std::size_t axis = 0; axis < 3; ++axis)
    if (a.start[axis] >= b.start[axis] + b.size[axis] || b.start[axis] >= a.start[axis] + a.size[axis]) return false;
  return true;
}

void check_tiling(const GridLayout& grid, const std::vector<LocalBox>& boxes) {
  std::size_t total = 0;
  for (std::size_t rank = 0; rank < boxes.size(); ++rank) {
    const auto& box = boxes[rank];
    for (std::size_t axis = 0; axis < 3; ++axis)
      if (box.size[axis] < 0 || box.start[axis] < 0 || box.start[axis] + box.size[axis] > grid.cells[axis])
        throw IoError(fmt::format("the cells of rank {} reach out of the grid along axis {}", rank, axis));
    if (box.cells() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
      throw IoError(
          fmt::format("rank {} holds {} cells, more than one message can carry: use more ranks", rank, box.cells()));
    total += box.cells();
    for (std::size_t other = 0; other < rank; ++other)
      if (box.cells() > 0 && boxes[other].cells() > 0 && overlap(box, boxes[other]))
        throw IoError(fmt::format("the cells of ranks {} and {} overlap", other, rank));
  }
  const auto whole = static_cast<std::size_t>(grid.cells[0] * grid.cells[1] * grid.cells[2]);
  if (total != whole) throw IoError(fmt::format("the ranks hold {} cells, the grid has {}", total, whole));
}

template <class Number>
void collect(MPI_Comm comm, const std::vector<LocalBox>& boxes, std::span<const Number> mine,
             const std::function<void(const LocalBox&, const Number*)>& sink) {
  std::vector<Number> buffer;
  together(comm, [&] {
    std::size_t largest = 0;
    for (std::size_t rank = 1; rank < boxes.size(); ++rank) largest = std::max(largest, boxes[rank].cells());
    buffer.resize(largest);
  });
  together(comm, [&] {
    if (rank_of(comm) != 0) {
      if (!mine.empty()) MPI_Send(mine.data(), static_cast<int>(mine.size()), type_of<Number>(), 0, box_tag, comm);
      return;
    }
    std::exception_ptr failure;
    const auto guarded = [&](const LocalBox& box, const Number* values) {
      if (failure) return;
      try {
        sink(box, values);
      } catch (const std::exception&) {
        failure = std::current_exception();
      }
    };
    if (!mine.empty()) guarded(boxes.front(), mine.data());
    for (std::size_t rank = 1; rank < boxes.size(); ++rank) {
      if (boxes[rank].cells() == 0) continue;
      MPI_Recv(buffer.data(), static_cast<int>(boxes[rank].cells()), type_of<Number>(), static_cast<int>(rank), box_tag,
               comm, MPI_STATUS_IGNORE);
      guarded(boxes[rank], buffer.data());
    }
    if (failure) std::rethrow_exception(failure);
  });
}

}  // namespace

std::vector<LocalBox> gather_boxes(MPI_Comm comm, const GridLayout& grid, const LocalBox& box) {
  std::vector<LocalBox> boxes(rank_of(comm) == 0 ? static_cast<std::size_t>(size_of(comm)) : 0);
  static_assert(sizeof(LocalBox) == 6 * sizeof(long));
  MPI_Gather(&box, 6, MPI_LONG, boxes.data(), 6, MPI_LONG, 0, comm);
  on_root(comm, [&] { check_tiling(grid, boxes); });
  return boxes;
}

void collect_boxes(MPI_Comm comm, const std::vector<LocalBox>& boxes, std::span<const float> mine,
                   const std::function<void(const LocalBox&, const float*)>& sink) {
  collect(comm, boxes, mine, sink);
}

void collect_boxes(MPI_Comm comm, const std::vector<LocalBox>& boxes, std::span<const double> mine,
                   const std::function<void(const LocalBox&, const double*)>& sink) {
  collect(comm, boxes, mine, sink);
}

void distribute_boxes(MPI_Comm comm, const std::vector<LocalBox>& boxes, std::span<double> mine,
                      const std::function<void(const LocalBox&, double*)>& source) {
  std::vector<double> buffer;
  together(comm, [&] {
    std::size_t largest = 0;
    for (std::size_t rank = 1; rank < boxes.size(); ++rank) largest = std::max(largest, boxes[rank].cells());
    buffer.resize(largest);
  });
  together(comm, [&] {
    if (rank_of(comm) != 0) {
      if (!mine.empty())
        MPI_Recv(mine.data(), static_cast<int>(mine.size()), MPI_DOUBLE, 0, box_tag, comm, MPI_STATUS_IGNORE);
      return;
    }
    std::exception_ptr failure;
    const auto guarded = [&](const LocalBox& box, double* values) {
      if (failure) return;
      try {
        source(box, values);
      } catch (const std::exception&) {
        failure = std::current_exception();
      }
    };
    if (!mine.empty()) guarded(boxes.front(), mine.data());
    for (std::size_t rank = 1; rank < boxes.size(); ++rank) {
      if (boxes[rank].cells() == 0) continue;
      guarded(boxes[rank], buffer.data());
      MPI_Send(buffer.data(), static_cast<int>(boxes[rank].cells()), MPI_DOUBLE, static_cast<int>(rank), box_tag, comm);
    }
    if (failure) std::rethrow_exception(failure);
  });
}

}  // namespace sanctuary
