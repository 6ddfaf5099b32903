#pragma once
#include <array>
#include <memory>
#include <span>
#include <vector>

#include "solvers/grid.hpp"
#include "solvers/network/exchange.hpp"
#include "solvers/network/halo.hpp"
#include "solvers/network/share.hpp"

namespace sanctuary {

/// The part of a vessel network that one rank works on, its segments cut into pieces (exactly at cell faces, so that
/// each piece lies in one cell). A piece belongs to the rank of its cell, a node to the rank of the cell it lies in.
/// Own nodes and pieces come first, then copies: pieces of other ranks at own nodes, and the nodes of all these pieces.
/// Own nodes are those of the graph, then cuts. On one rank this is the whole network in the order of the graph.
struct CutNetwork {
  MPI_Comm comm = MPI_COMM_NULL;
  VesselGraph graph;                                 ///< the segments that this rank sees
  std::vector<std::array<double, 3>> node_position;  ///< [m]
  std::vector<std::array<long, 2>> piece_nodes;      ///< local numbers
  std::vector<long> piece_segment;                   ///< index of the segment in `graph`
  std::vector<long> piece_part;                      ///< number of the piece along its segment
  std::vector<double> piece_length;                  ///< along the vessel (tortuous length is shared out) [m]
  std::vector<std::array<double, 2>> piece_span;     ///< ends of the piece as shares of its segment
  std::vector<std::array<long, 3>> piece_cell;
  std::vector<long> node_number;       ///< in the whole network: rank after rank
  std::vector<BoundaryKind> boundary;  ///< of each node
  std::vector<double> boundary_value, boundary_haematocrit, boundary_po2;
  std::size_t own_nodes = 0, own_graph_nodes = 0, own_pieces = 0;
  std::vector<std::array<long, 2>> node_key;  ///< of own nodes: {-1, id}, or {segment id, number of the cut}
  long first_node = 0, first_piece = 0, all_nodes = 0, all_pieces = 0;
  std::vector<std::array<long, 2>> first_of_rank;  ///< first node and piece of each rank
  Halo node_halo, piece_halo;
  /// Pieces that another rank holds, too, in an order both sides know.
  struct Shared {
    int rank;
    std::vector<long> pieces;
  };
  std::vector<Shared> shared;

  /// Local nodes and pieces, copies included.
  [[nodiscard]] std::size_t nodes() const { return node_position.size(); }
  [[nodiscard]] std::size_t pieces() const { return piece_nodes.size(); }
  [[nodiscard]] double piece_radius(std::size_t piece) const {
    return graph.radius[static_cast<std::size_t>(piece_segment[piece])];
  }
  /// Radii of the segments as radii of the local pieces [m].
  [[nodiscard]] std::vector<double> piece_radii() const;
  /// Mean over the length of each segment of values of the own pieces, on rank 0, by rising segment id. Collective.
  [[nodiscard]] std::vector<double> by_segment(std::span<const double> of_pieces) const;
  /// Orders of own nodes of the graph, of all own nodes and of own pieces, for files. Collective.
  [[nodiscard]] RootOrder graph_node_order() const;
  [[nodiscard]] RootOrder node_order() const;
  [[nodiscard]] RootOrder piece_order() const;
};

/// Cuts the network of which this rank holds a share at the faces of the cells. Collective. Throws InputError when a
/// node lies outside the box by more than 1e-6 cell.
[[nodiscard]] CutNetwork cut_at_faces(const Grid& grid, const VesselGraph& share);

/// The network as it is, every segment one piece and no cells: for flow without tissue. Without an owner it is cut into
/// regions of as many segments each. Collective.
[[nodiscard]] CutNetwork uncut(MPI_Comm comm, const VesselGraph& share, ShareOwner owner = {});

/// The whole network on rank 0, nodes and segments by rising id, from what the ranks see of it. Collective.
[[nodiscard]] VesselGraph gathered_network(const CutNetwork& network);

/// A CutNetwork on a grid: local cells, rows of PETSc's matrices, and which cells each piece exchanges with. Unknowns
/// are numbered rank after rank: on each rank its nodes in order, and (where pieces hold unknowns) its pieces. Borrows
/// both.
class EmbeddedNetwork {
 public:
  /// Each piece exchanges with the cell it lies in, as if the cell's value stood at its wall.
  EmbeddedNetwork(const Grid& grid, const CutNetwork& network);
  /// Exchange corrected for the gradient at the wall that cells do not resolve (exchange.hpp). Collective.
  EmbeddedNetwork(const Grid& grid, const CutNetwork& network, const ExchangeSettings& settings);

  [[nodiscard]] const Grid& grid() const { return *grid_; }
  [[nodiscard]] const CutNetwork& network() const { return *network_; }
  /// Number of nodes and pieces owned by this rank: the first of the network's.
  [[nodiscard]] std::size_t nodes() const { return network_->own_nodes; }
  [[nodiscard]] std::size_t pieces() const { return network_->own_pieces; }
  [[nodiscard]] const std::shared_ptr<const ExchangeGeometry>& exchange() const { return exchange_; }
  /// True where cells stand for the wall: exchange adds nothing between cells.
  [[nodiscard]] bool plain() const { return plain_; }
  /// Cell of each owned piece (local number).
  [[nodiscard]] const std::vector<std::size_t>& piece_cell() const { return piece_cell_; }
  /// Rows: nodes alone (pressure), or nodes and pieces (solutes). Nodes may be copies, pieces are owned.
  [[nodiscard]] PetscInt node_row(long node, bool with_pieces) const {
    return with_pieces ? row_with_pieces_[static_cast<std::size_t>(node)]
                       : static_cast<PetscInt>(network_->node_number[static_cast<std::size_t>(node)]);
  }
  [[nodiscard]] PetscInt piece_row(std::size_t piece) const { return first_piece_row_ + static_cast<PetscInt>(piece); }
  [[nodiscard]] PetscInt local_unknowns(bool with_pieces) const {
    return static_cast<PetscInt>(nodes() + (with_pieces ? pieces() : 0));
  }
  /// Values of all local nodes (copies included) from a vector of owned unknowns. Collective.
  [[nodiscard]] std::vector<double> node_values(Vec values) const;
  /// Values of the own pieces.
  [[nodiscard]] std::vector<double> piece_values(Vec values) const;
  /// Sets the owned entries of a vector of nodes and pieces.
  void set_values(std::span<const double> nodes, std::span<const double> pieces, Vec values) const;

 private:
  const Grid* grid_;
  const CutNetwork* network_;
  std::vector<std::size_t> piece_cell_;
  std::vector<PetscInt> row_with_pieces_;
  PetscInt first_piece_row_ = 0;
  std::shared_ptr<const ExchangeGeometry> exchange_;
  bool plain_ = true;
};

/// Entries in each own row of a matrix of nodes (and pieces) in which what a piece joins is coupled.
[[nodiscard]] std::vector<PetscInt> joined_entries(const EmbeddedNetwork& network, bool with_pieces);
/// A square matrix with room for that many entries in each own row: it would move all it holds for each that has none.
/// Collective.
[[nodiscard]] MatHandle matrix_with_room(MPI_Comm comm, const std::vector<PetscInt>& entries);

}  // namespace sanctuary
