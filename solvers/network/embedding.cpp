#include "solvers/network/embedding.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

constexpr double least_part = 1e-7;  // of a segment: a cut nearer to another one is the same cut

void copy_nodes(const VesselGraph& graph, CutNetwork& cut) {
  cut.node_position = graph.position;
  cut.boundary = graph.boundary;
  cut.boundary_value = graph.boundary_value;
  cut.boundary_haematocrit = graph.boundary_haematocrit;
  cut.boundary_po2 = graph.boundary_po2;
  cut.graph_nodes = graph.position.size();
}

void check_inside(const VesselGraph& graph, const GridSpec& spec) {
  constexpr double slack = 1e-6;
  for (std::size_t n = 0; n < graph.position.size(); ++n) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double x = (graph.position[n][axis] - spec.origin[axis]) / spec.spacing[axis];
      if (x < -slack || x > static_cast<double>(spec.cells[axis]) + slack) {
        throw InputError(
            "network node " + std::to_string(graph.node_id[n]) + " lies outside the grid: its " +
            std::string(1, "xyz"[axis]) + " is " + std::to_string(graph.position[n][axis] * 1e6) +
            " um, the box goes from " + std::to_string(spec.origin[axis] * 1e6) + " to " +
            std::to_string((spec.origin[axis] + static_cast<double>(spec.cells[axis]) * spec.spacing[axis]) * 1e6) +
            " um; set grid.origin, grid.cells and grid.spacing so that the box holds the network, or cut the network");
      }
    }
  }
}

}  // namespace

CutNetwork uncut(const VesselGraph& graph) {
  CutNetwork cut;
  copy_nodes(graph, cut);
  cut.piece_nodes = graph.segment;
  cut.piece_length = graph.length;
  for (std::size_t s = 0; s < graph.segment.size(); ++s) cut.piece_segment.push_back(static_cast<long>(s));
  cut.piece_cell.assign(graph.segment.size(), {0, 0, 0});
  return cut;
}

CutNetwork cut_at_faces(const VesselGraph& graph, const GridSpec& spec) {
  check_inside(graph, spec);
  CutNetwork cut;
  copy_nodes(graph, cut);
  const auto cell_of = [&](const std::array<double, 3>& point) {
    std::array<long, 3> cell{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double x = (point[axis] - spec.origin[axis]) / spec.spacing[axis];
      cell[axis] = std::clamp(static_cast<long>(std::floor(x)), 0L, spec.cells[axis] - 1);
    }
    return cell;
  };
  std::vector<double> parts;
  for (std::size_t s = 0; s < graph.segment.size(); ++s) {
    const auto& from = graph.position[static_cast<std::size_t>(graph.segment[s][0])];
    const auto& to = graph.position[static_cast<std::size_t>(graph.segment[s][1])];
    parts.assign({0.0, 1.0});
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double a = (from[axis] - spec.origin[axis]) / spec.spacing[axis];
      const double b = (to[axis] - spec.origin[axis]) / spec.spacing[axis];
      if (a == b) continue;
      const auto first = static_cast<long>(std::ceil(std::min(a, b)));
      const auto last = static_cast<long>(std::floor(std::max(a, b)));
      for (long face = first; face <= last; ++face) {
        const double t = (static_cast<double>(face) - a) / (b - a);
        if (t > least_part && t < 1 - least_part) parts.push_back(t);
      }
    }
    std::sort(parts.begin(), parts.end());
    parts.erase(std::unique(parts.begin(), parts.end(), [](double p, double q) { return q - p < least_part; }),
                parts.end());
    if (parts.back() != 1.0) parts.back() = 1.0;
    long before = graph.segment[s][0];
    const auto at = [&](double t) {
      std::array<double, 3> x{};
      for (std::size_t axis = 0; axis < 3; ++axis) x[axis] = from[axis] + t * (to[axis] - from[axis]);
      return x;
    };
    for (std::size_t p = 0; p + 1 < parts.size(); ++p) {
      long after = graph.segment[s][1];
      if (p + 2 < parts.size()) {
        after = static_cast<long>(cut.node_position.size());
        cut.node_position.push_back(at(parts[p + 1]));
        cut.boundary.push_back(BoundaryKind::none);
        cut.boundary_value.push_back(0);
        cut.boundary_haematocrit.push_back(std::nan(""));
        cut.boundary_po2.push_back(std::nan(""));
      }
      cut.piece_nodes.push_back({before, after});
      cut.piece_segment.push_back(static_cast<long>(s));
      cut.piece_length.push_back((parts[p + 1] - parts[p]) * graph.length[s]);
      cut.piece_cell.push_back(cell_of(at(0.5 * (parts[p] + parts[p + 1]))));
      before = after;
    }
  }
  return cut;
}

EmbeddedNetwork::EmbeddedNetwork(const Grid& grid, const CutNetwork& network) : grid_(&grid), network_(&network) {
  const int ranks = size_of(grid.comm()), rank = rank_of(grid.comm());
  std::vector<int> node_owner(network.nodes()), piece_owner(network.pieces());
  std::vector<PetscInt> nodes_of(static_cast<std::size_t>(ranks), 0), pieces_of(static_cast<std::size_t>(ranks), 0);
  for (std::size_t n = 0; n < network.nodes(); ++n) {
    node_owner[n] = grid.owner(grid.cell_of(network.node_position[n]));
    ++nodes_of[static_cast<std::size_t>(node_owner[n])];
  }
  for (std::size_t p = 0; p < network.pieces(); ++p) {
    piece_owner[p] = grid.owner(network.piece_cell[p]);
    ++pieces_of[static_cast<std::size_t>(piece_owner[p])];
  }
  std::vector<PetscInt> next_node(nodes_of.size()), next_mixed(nodes_of.size()), next_piece(nodes_of.size());
  PetscInt nodes_before = 0, mixed_before = 0;
  for (std::size_t r = 0; r < nodes_of.size(); ++r) {
    next_node[r] = nodes_before;
    next_mixed[r] = mixed_before;
    next_piece[r] = mixed_before + nodes_of[r];
    nodes_before += nodes_of[r];
    mixed_before += nodes_of[r] + pieces_of[r];
  }
  for (std::size_t n = 0; n < network.nodes(); ++n) {
    const auto r = static_cast<std::size_t>(node_owner[n]);
    node_row_.push_back(next_node[r]++);
    node_row_with_pieces_.push_back(next_mixed[r]++);
    if (node_owner[n] == rank) nodes_.push_back(static_cast<long>(n));
  }
  for (std::size_t p = 0; p < network.pieces(); ++p) {
    const auto r = static_cast<std::size_t>(piece_owner[p]);
    piece_row_.push_back(next_piece[r]++);
    if (piece_owner[p] == rank) {
      pieces_.push_back(static_cast<long>(p));
      const auto& cell = network.piece_cell[p];
      piece_cell_.push_back(grid.local(cell[0], cell[1], cell[2]));
    }
  }
}

PetscInt EmbeddedNetwork::node_row(long node, bool with_pieces) const {
  return (with_pieces ? node_row_with_pieces_ : node_row_)[static_cast<std::size_t>(node)];
}

namespace {

std::vector<double> everywhere(MPI_Comm comm, Vec values) {
  PetscInt all = 0;
  petsc(VecGetSize(values, &all));
  std::vector<double> result(static_cast<std::size_t>(all));
  PetscInt first = 0, end = 0;
  petsc(VecGetOwnershipRange(values, &first, &end));
  const int ranks = size_of(comm);
  std::vector<int> count(static_cast<std::size_t>(ranks)), offset(static_cast<std::size_t>(ranks));
  const int mine = static_cast<int>(end - first), start = static_cast<int>(first);
  MPI_Allgather(&mine, 1, MPI_INT, count.data(), 1, MPI_INT, comm);
  MPI_Allgather(&start, 1, MPI_INT, offset.data(), 1, MPI_INT, comm);
  ReadAccess access(values);
  MPI_Allgatherv(access.data(), mine, MPI_DOUBLE, result.data(), count.data(), offset.data(), MPI_DOUBLE, comm);
  return result;
}

}  // namespace

std::vector<double> EmbeddedNetwork::gather_nodes(Vec values, bool with_pieces) const {
  const std::vector<double> all = everywhere(grid_->comm(), values);
  const auto& row = with_pieces ? node_row_with_pieces_ : node_row_;
  std::vector<double> result(row.size());
  for (std::size_t n = 0; n < row.size(); ++n) result[n] = all[static_cast<std::size_t>(row[n])];
  return result;
}

std::vector<double> EmbeddedNetwork::gather_pieces(Vec values) const {
  const std::vector<double> all = everywhere(grid_->comm(), values);
  std::vector<double> result(piece_row_.size());
  for (std::size_t p = 0; p < piece_row_.size(); ++p) result[p] = all[static_cast<std::size_t>(piece_row_[p])];
  return result;
}

void EmbeddedNetwork::scatter(const std::vector<double>& nodes, const std::vector<double>& pieces, Vec values) const {
  WriteAccess access(values);
  std::size_t next = 0;
  for (const long n : nodes_) access[next++] = nodes[static_cast<std::size_t>(n)];
  for (const long p : pieces_) access[next++] = pieces[static_cast<std::size_t>(p)];
}

}  // namespace sanctuary
