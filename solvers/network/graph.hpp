#pragma once
#include <array>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace sanctuary {

/// Condition at a node where vessels leave the modelled piece.
enum class BoundaryKind { none, pressure, flow };

/// An axis-aligned box. [m]
struct Box {
  std::array<double, 3> origin{0, 0, 0};
  std::array<double, 3> size{0, 0, 0};
  /// Volume. [m^3]
  [[nodiscard]] double volume() const { return size[0] * size[1] * size[2]; }
};

/// Vessel types as stored in `VesselGraph::type`.
namespace vessel_type {
inline constexpr int unknown = 0, arteriole = 1, capillary = 2, venule = 3;
}

/// Vessels as nodes and straight or tortuous segments between them: plain data in SI units (m, Pa, m^3/s), the same on
/// every rank that holds it. Vectors of one kind have the length of `position` (per node) or of `segment` (per
/// segment); `file_flow` and `file_haematocrit` may be empty.
struct VesselGraph {
  std::vector<std::array<double, 3>> position;  // [m]
  std::vector<long> node_id;                    // persistent: the name in the file
  std::vector<BoundaryKind> boundary;
  std::vector<double> boundary_value;        // [Pa] or [m^3/s], positive into the network; 0 where there is no boundary
  std::vector<double> boundary_haematocrit;  // discharge haematocrit of inflow; NaN: not given
  std::vector<double> boundary_po2;          // [Pa]; NaN: not given
  std::vector<std::array<long, 2>> segment;  // node indices; a listed flow is positive from the first to the second
  std::vector<long> segment_id;              // persistent: the name in the file
  std::vector<double> radius, length;        // [m]; the length is the straight distance unless the file gives another
  std::vector<double> maturity;              // in [0, 1]: 0 immature as in tumours, 1 mature
  std::vector<int> type;                     // see vessel_type
  std::vector<double> file_flow;             // [m^3/s] as listed in the file: a reference; NaN: none
  std::vector<double> file_haematocrit;      // discharge haematocrit as listed in the file; NaN: none

  [[nodiscard]] long nodes() const { return static_cast<long>(position.size()); }
  [[nodiscard]] long segments() const { return static_cast<long>(segment.size()); }
  [[nodiscard]] bool has_file_flow() const { return !file_flow.empty(); }
  [[nodiscard]] bool has_file_haematocrit() const { return !file_haematocrit.empty(); }

  /// Appends a node without boundary condition and returns its index.
  long add_node(const std::array<double, 3>& where, long id);
  /// Appends a segment of straight length between two existing nodes and returns its index.
  long add_segment(long from, long to, double segment_radius, long id);
  /// Makes a node a boundary node.
  void set_boundary(long node, BoundaryKind kind, double value,
                    double haematocrit = std::numeric_limits<double>::quiet_NaN(),
                    double po2 = std::numeric_limits<double>::quiet_NaN());
};

/// Distance between the end nodes of a segment. [m]
[[nodiscard]] double straight_length(const VesselGraph& graph, long segment);

/// Throws InputError, naming `what` (the file), unless all vectors have matching lengths, segments refer to existing
/// nodes, ids are unique and not negative, and positions, radii, lengths and boundary values are finite.
void check_consistent(const VesselGraph& graph, const std::string& what);

/// Segments at each node in compressed rows: those of node n are `segment[offset[n]] .. segment[offset[n + 1] - 1]`, in
/// ascending order; a self loop is listed twice.
struct Adjacency {
  std::vector<long> offset, segment;
  [[nodiscard]] long degree(long node) const {
    return offset[static_cast<std::size_t>(node) + 1] - offset[static_cast<std::size_t>(node)];
  }
};
[[nodiscard]] Adjacency adjacency(const VesselGraph& graph);

/// Connected piece of each node, numbered by descending number of nodes (ties: the lowest node first).
[[nodiscard]] std::vector<long> connected_pieces(const VesselGraph& graph);

/// Nodes with exactly one segment end, ascending.
[[nodiscard]] std::vector<long> end_nodes(const VesselGraph& graph);

/// True for each segment that can carry through-flow in steady state (rigid, impermeable walls): it lies on a simple
/// path between two boundary nodes. A virtual node joined to all boundary nodes is added; the biconnected components
/// (Hopcroft and Tarjan 1973, Commun ACM 16:372) that hold a virtual edge hold exactly these segments. Segments without
/// a positive radius are taken as closed.
[[nodiscard]] std::vector<bool> can_carry_flow(const VesselGraph& graph);

/// Distances within which `diagnose` and `repair` take two things as one. [m]
struct GraphTolerances {
  double coincident = 1e-9;   // nodes at most this far apart coincide
  double zero_length = 1e-9;  // segments at most this long have no length
  double box = 1e-9;          // nodes at most this far out are still in the box
};

/// What is wrong or unusual in a graph. All lists hold indices in ascending order.
struct Diagnosis {
  struct Piece {
    long nodes = 0, segments = 0, boundary_nodes = 0, pressure_nodes = 0;
    double length = 0;  // [m]
  };
  std::vector<Piece> pieces;                          // descending number of nodes
  std::vector<long> pieces_without_boundary;          // indices into `pieces`
  std::vector<long> pieces_without_pressure;          // no pressure boundary node: the pressure level is undefined
  std::vector<long> dangling_ends;                    // nodes with one segment and no boundary condition
  std::vector<long> isolated_nodes;                   // nodes without a segment
  std::vector<long> outside_nodes;                    // nodes outside the box
  std::vector<long> not_finite_nodes;                 // position or boundary value is not finite
  std::vector<std::array<long, 2>> coincident_nodes;  // pairs of nodes at one place
  std::vector<long> zero_radius, negative_radius, zero_length, self_loops, not_finite_segments;
  std::vector<long> duplicate_segments;  // same two nodes, same radius and length as an earlier segment
  std::vector<long> parallel_segments;   // same two nodes as an earlier segment, but another radius or length
  std::vector<long> no_through_flow;     // segments that cannot carry flow, see can_carry_flow
  std::vector<long> short_segments;      // length below the straight distance of their nodes

  /// True if a simulation can use the graph as it is: no defect in geometry and a pressure boundary in every piece.
  /// Dead ends, parallel segments and coincident nodes are allowed.
  [[nodiscard]] bool usable() const;
};
[[nodiscard]] Diagnosis diagnose(const VesselGraph& graph, const Box& box, const GraphTolerances& tolerances = {});
/// The diagnosis as lines of text, with the ids of the first few culprits of each kind.
[[nodiscard]] std::string report(const Diagnosis& diagnosis, const VesselGraph& graph);

/// Which repairs to make, and how.
struct RepairOptions {
  enum class ZeroRadius { keep, neighbours, drop };
  bool merge_coincident = true;  // nodes within tolerances.coincident become one
  bool zero_length = true;       // contracts them: their two nodes become one
  bool duplicates = true;        // drops duplicate segments (see Diagnosis)
  ZeroRadius zero_radius =
      ZeroRadius::neighbours;                // mean radius of the adjoining segments, dropped where there are none
  bool drop_pieces_without_boundary = true;  // skipped, with a note, when no piece has a boundary node
  bool drop_isolated_nodes = true;
  bool stretch_short = true;  // length set to the straight distance where it is less
  GraphTolerances tolerances;
};
/// One line per kind of change with its count; empty if nothing was changed.
struct RepairReport {
  long merged_nodes = 0, contracted_segments = 0, dropped_duplicates = 0, filled_radii = 0, dropped_zero_radius = 0,
       dropped_pieces = 0, dropped_piece_segments = 0, dropped_nodes = 0, stretched_segments = 0;
  std::vector<std::string> notes;
  [[nodiscard]] bool changed() const;
  [[nodiscard]] std::string text() const;
};
/// A repaired copy of `graph`; ids of what stays are kept. Of merged nodes the lowest index stays; boundary flows of
/// merged nodes add up, and of conflicting conditions a pressure wins, with a note.
[[nodiscard]] std::pair<VesselGraph, RepairReport> repair(const VesselGraph& graph, const RepairOptions& options = {});

/// The graph without the segments marked in `drop`; nodes are kept.
[[nodiscard]] VesselGraph without_segments(const VesselGraph& graph, const std::vector<bool>& drop);
/// The graph without nodes that have neither a segment nor a boundary condition (or without any isolated node).
[[nodiscard]] VesselGraph without_isolated_nodes(const VesselGraph& graph, bool keep_boundary_nodes = false);

/// The smallest box that holds all nodes.
[[nodiscard]] Box bounding_box(const VesselGraph& graph);

}  // namespace sanctuary
