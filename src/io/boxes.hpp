#pragma once
#include <mpi.h>

#include <array>
#include <functional>
#include <span>
#include <vector>

namespace sanctuary {

/// The whole grid: corner of the first cell and spacing in m, number of cells, each as x, y, z.
struct GridLayout {
  std::array<double, 3> origin{}, spacing{};
  std::array<long, 3> cells{};
};

/// The cells of this rank as x, y, z; in memory x runs fastest. The boxes of all ranks tile the grid.
struct LocalBox {
  std::array<long, 3> start{}, size{};
  [[nodiscard]] std::size_t cells() const { return static_cast<std::size_t>(size[0] * size[1] * size[2]); }
};

/// The boxes of all ranks, on rank 0 (empty elsewhere). IoError if they do not tile the grid. Collective.
[[nodiscard]] std::vector<LocalBox> gather_boxes(MPI_Comm comm, const GridLayout& grid, const LocalBox& box);

/// Hands the values of each rank's box to `sink` on rank 0, one box at a time. When `sink` throws, the remaining boxes
/// are received and dropped, and the failure is thrown on all ranks. Collective.
void collect_boxes(MPI_Comm comm, const std::vector<LocalBox>& boxes, std::span<const float> mine,
                   const std::function<void(const LocalBox&, const float*)>& sink);
void collect_boxes(MPI_Comm comm, const std::vector<LocalBox>& boxes, std::span<const double> mine,
                   const std::function<void(const LocalBox&, const double*)>& sink);

/// Fills each rank's box from `source`, which rank 0 calls for one box at a time. A failure of `source` is thrown on
/// all ranks, whose values are then undefined. Collective.
void distribute_boxes(MPI_Comm comm, const std::vector<LocalBox>& boxes, std::span<double> mine,
                      const std::function<void(const LocalBox&, double*)>& source);

}  // namespace sanctuary
