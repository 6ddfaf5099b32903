#pragma once
#include <array>
#include <vector>

#include "solvers/grid.hpp"
#include "solvers/network/graph.hpp"

namespace sanctuary {

/// A vessel graph whose segments are cut exactly at cell faces, so that each piece lies in one cell. Nodes 0 .. n-1 are
/// those of the graph, the cuts follow. A plain description, the same on every rank.
struct CutNetwork {
  std::vector<std::array<double, 3>> node_position;  ///< [m]
  std::vector<std::array<long, 2>> piece_nodes;
  std::vector<long> piece_segment;   ///< index of the segment in the graph
  std::vector<double> piece_length;  ///< along the vessel (tortuous length is shared out) [m]
  std::vector<std::array<long, 3>> piece_cell;
  std::vector<BoundaryKind> boundary;  ///< of each node
  std::vector<double> boundary_value, boundary_haematocrit, boundary_po2;
  std::size_t graph_nodes = 0;
  [[nodiscard]] std::size_t nodes() const { return node_position.size(); }
  [[nodiscard]] std::size_t pieces() const { return piece_nodes.size(); }
};

/// Cuts `graph` at the faces of the cells. Throws InputError when a node lies outside the box by more than 1e-6 cell.
[[nodiscard]] CutNetwork cut_at_faces(const VesselGraph& graph, const GridSpec& spec);

/// The graph as it is, every segment one piece and no cells: for flow without tissue.
[[nodiscard]] CutNetwork uncut(const VesselGraph& graph);

/// Who owns what of a CutNetwork: a piece belongs to the rank of its cell, a node to the rank of the cell it lies in.
/// Unknowns are numbered rank after rank: on each rank its nodes in order, and (where pieces hold unknowns) its pieces.
class EmbeddedNetwork {
 public:
  EmbeddedNetwork(const Grid& grid, const CutNetwork& network);

  [[nodiscard]] const Grid& grid() const { return *grid_; }
  [[nodiscard]] const CutNetwork& network() const { return *network_; }
  /// Pieces and nodes owned by this rank, ascending.
  [[nodiscard]] const std::vector<long>& pieces() const { return pieces_; }
  [[nodiscard]] const std::vector<long>& nodes() const { return nodes_; }
  /// Cell of each owned piece (local number).
  [[nodiscard]] const std::vector<std::size_t>& piece_cell() const { return piece_cell_; }
  /// Rows: nodes alone (pressure), or nodes and pieces (solutes).
  [[nodiscard]] PetscInt node_row(long node, bool with_pieces) const;
  [[nodiscard]] PetscInt piece_row(long piece) const { return piece_row_[static_cast<std::size_t>(piece)]; }
  [[nodiscard]] PetscInt local_unknowns(bool with_pieces) const {
    return static_cast<PetscInt>(nodes_.size() + (with_pieces ? pieces_.size() : 0));
  }
  /// Values of all nodes (of all pieces) on every rank from a vector of owned unknowns. Collective.
  [[nodiscard]] std::vector<double> gather_nodes(Vec values, bool with_pieces) const;
  [[nodiscard]] std::vector<double> gather_pieces(Vec values) const;
  /// Sets the owned entries of a vector of nodes and pieces from values of all nodes and pieces.
  void scatter(const std::vector<double>& nodes, const std::vector<double>& pieces, Vec values) const;

 private:
  const Grid* grid_;
  const CutNetwork* network_;
  std::vector<long> pieces_, nodes_;
  std::vector<std::size_t> piece_cell_;
  std::vector<PetscInt> node_row_, node_row_with_pieces_, piece_row_;
};

}  // namespace sanctuary
