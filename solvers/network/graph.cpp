#include "solvers/network/graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "base/error.hpp"

namespace sanctuary {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t at(long index) { return static_cast<std::size_t>(index); }

double distance(const std::array<double, 3>& a, const std::array<double, 3>& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

bool finite(const std::array<double, 3>& p) {
  return std::isfinite(p[0]) && std::isfinite(p[1]) && std::isfinite(p[2]);
}

class UnionFind {
 public:
  explicit UnionFind(long size) : parent_(at(size)) { std::iota(parent_.begin(), parent_.end(), 0L); }
  long find(long x) {
    while (parent_[at(x)] != x) x = parent_[at(x)] = parent_[at(parent_[at(x)])];
    return x;
  }
  /// The lower index becomes the root.
  bool join(long a, long b) {
    a = find(a), b = find(b);
    if (a == b) return false;
    if (b < a) std::swap(a, b);
    parent_[at(b)] = a;
    return true;
  }

 private:
  std::vector<long> parent_;
};

struct CellHash {
  std::size_t operator()(const std::array<double, 3>& key) const {
    std::size_t hash = 1469598103934665603ULL;
    for (double part : key) hash = (hash ^ std::hash<double>{}(part)) * 1099511628211ULL;
    return hash;
  }
};

/// Pairs (lower, higher) of nodes within `tolerance` of each other; with many nodes at one place only a chain that
/// joins them all is listed where they are exactly equal.
std::vector<std::array<long, 2>> coincident_pairs(const VesselGraph& graph, double tolerance) {
  std::vector<std::array<long, 2>> pairs;
  const double width = tolerance > 0 ? tolerance : 1.0;
  std::unordered_map<std::array<double, 3>, std::vector<long>, CellHash> cells;
  std::unordered_map<std::array<double, 3>, long, CellHash> first_at;
  for (long n = 0; n < graph.nodes(); ++n) {
    auto p = graph.position[at(n)];
    if (!finite(p)) continue;
    for (double& x : p) x += 0.0;  // -0 and 0 are one place
    if (const auto [same, fresh] = first_at.try_emplace(p, n); !fresh) {
      pairs.push_back({same->second, n});
      continue;
    }
    if (tolerance <= 0) continue;
    std::array<double, 3> key{};
    for (std::size_t d = 0; d < 3; ++d) key[d] = std::floor(p[d] / width) + 0.0;
    for (int dx = -1; dx <= 1; ++dx)
      for (int dy = -1; dy <= 1; ++dy)
        for (int dz = -1; dz <= 1; ++dz) {
          const auto cell = cells.find({key[0] + dx + 0.0, key[1] + dy + 0.0, key[2] + dz + 0.0});
          if (cell == cells.end()) continue;
          for (long other : cell->second)
            if (distance(graph.position[at(other)], p) <= tolerance) pairs.push_back({other, n});
        }
    cells[key].push_back(n);
  }
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  return pairs;
}

struct PairHash {
  std::size_t operator()(const std::array<long, 2>& pair) const {
    return std::hash<long>{}(pair[0]) * 1099511628211ULL ^ std::hash<long>{}(pair[1]);
  }
};

bool same_within_rounding(double a, double b) {
  return a == b || std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b));
}

/// Calls `visit(segment, is_duplicate)` for each segment that joins the same two nodes as an earlier one.
template <class Visit>
void for_each_repeated(const VesselGraph& graph, Visit visit) {
  std::unordered_map<std::array<long, 2>, std::vector<long>, PairHash> earlier;
  for (long s = 0; s < graph.segments(); ++s) {
    auto pair = graph.segment[at(s)];
    if (pair[0] == pair[1]) continue;
    if (pair[1] < pair[0]) std::swap(pair[0], pair[1]);
    auto& list = earlier[pair];
    bool duplicate = false;
    for (long other : list)
      duplicate = duplicate || (same_within_rounding(graph.radius[at(s)], graph.radius[at(other)]) &&
                                same_within_rounding(graph.length[at(s)], graph.length[at(other)]));
    if (!list.empty()) visit(s, duplicate);
    list.push_back(s);
  }
}

/// Replaces each node by `representative[node]`, drops the nodes that are no longer named, adds their boundary flows.
VesselGraph renumbered(const VesselGraph& graph, UnionFind& groups, std::vector<std::string>& notes) {
  VesselGraph result = graph;
  std::vector<long> index(graph.position.size(), -1);
  result.position.clear(), result.node_id.clear(), result.boundary.clear(), result.boundary_value.clear();
  result.boundary_haematocrit.clear(), result.boundary_po2.clear();
  for (long n = 0; n < graph.nodes(); ++n) {
    const long root = groups.find(n);
    if (root == n) {
      index[at(n)] = result.add_node(graph.position[at(n)], graph.node_id[at(n)]);
      result.set_boundary(index[at(n)], graph.boundary[at(n)], graph.boundary_value[at(n)],
                          graph.boundary_haematocrit[at(n)], graph.boundary_po2[at(n)]);
      continue;
    }
    const std::size_t to = at(index[at(n)] = index[at(root)]);
    const BoundaryKind kind = graph.boundary[at(n)];
    if (kind == BoundaryKind::none) continue;
    const auto take = [&] {
      result.set_boundary(static_cast<long>(to), kind, graph.boundary_value[at(n)], graph.boundary_haematocrit[at(n)],
                          graph.boundary_po2[at(n)]);
    };
    if (result.boundary[to] == BoundaryKind::none) {
      take();
    } else if (kind == BoundaryKind::flow && result.boundary[to] == BoundaryKind::flow) {
      result.boundary_value[to] += graph.boundary_value[at(n)];
    } else if (kind != result.boundary[to] || graph.boundary_value[at(n)] != result.boundary_value[to]) {
      notes.push_back(fmt::format("nodes {} and {} are merged but have different boundary conditions: {} kept",
                                  graph.node_id[at(root)], graph.node_id[at(n)],
                                  kind == result.boundary[to] ? "the first" : "the pressure"));
      if (kind == BoundaryKind::pressure && result.boundary[to] == BoundaryKind::flow) take();
    }
  }
  for (auto& pair : result.segment) pair = {index[at(pair[0])], index[at(pair[1])]};
  return result;
}

}  // namespace

long VesselGraph::add_node(const std::array<double, 3>& where, long id) {
  position.push_back(where);
  node_id.push_back(id);
  boundary.push_back(BoundaryKind::none);
  boundary_value.push_back(0);
  boundary_haematocrit.push_back(nan);
  boundary_po2.push_back(nan);
  return nodes() - 1;
}

long VesselGraph::add_segment(long from, long to, double segment_radius, long id) {
  segment.push_back({from, to});
  segment_id.push_back(id);
  radius.push_back(segment_radius);
  length.push_back(distance(position[at(from)], position[at(to)]));
  maturity.push_back(0);
  type.push_back(vessel_type::unknown);
  if (has_file_flow()) file_flow.push_back(nan);
  if (has_file_haematocrit()) file_haematocrit.push_back(nan);
  return segments() - 1;
}

void VesselGraph::set_boundary(long node, BoundaryKind kind, double value, double haematocrit, double po2) {
  boundary[at(node)] = kind;
  boundary_value[at(node)] = value;
  boundary_haematocrit[at(node)] = haematocrit;
  boundary_po2[at(node)] = po2;
}

double straight_length(const VesselGraph& graph, long segment) {
  const auto& pair = graph.segment[at(segment)];
  return distance(graph.position[at(pair[0])], graph.position[at(pair[1])]);
}

void check_consistent(const VesselGraph& graph, const std::string& what) {
  const std::size_t nodes = graph.position.size(), segments = graph.segment.size();
  if (graph.node_id.size() != nodes || graph.boundary.size() != nodes || graph.boundary_value.size() != nodes ||
      graph.boundary_haematocrit.size() != nodes || graph.boundary_po2.size() != nodes)
    throw InputError(fmt::format("{}: data of nodes have different lengths; expected {} values each", what, nodes));
  if (graph.segment_id.size() != segments || graph.radius.size() != segments || graph.length.size() != segments ||
      graph.maturity.size() != segments || graph.type.size() != segments ||
      (!graph.file_flow.empty() && graph.file_flow.size() != segments) ||
      (!graph.file_haematocrit.empty() && graph.file_haematocrit.size() != segments))
    throw InputError(
        fmt::format("{}: data of segments have different lengths; expected {} values each", what, segments));
  if (nodes == 0 || segments == 0)
    throw InputError(fmt::format("{}: the network is empty ({} nodes, {} segments)", what, nodes, segments));
  std::unordered_set<long> ids;
  for (std::size_t n = 0; n < nodes; ++n) {
    if (graph.node_id[n] < 0)
      throw InputError(fmt::format("{}: node id {} is negative; expected 0 or more", what, graph.node_id[n]));
    if (!ids.insert(graph.node_id[n]).second)
      throw InputError(fmt::format("{}: node id {} is used twice; ids must be unique", what, graph.node_id[n]));
    if (!finite(graph.position[n]))
      throw InputError(fmt::format("{}: position of node {} is not finite", what, graph.node_id[n]));
    if (graph.boundary[n] != BoundaryKind::none && !std::isfinite(graph.boundary_value[n]))
      throw InputError(fmt::format("{}: boundary value of node {} is not finite", what, graph.node_id[n]));
  }
  ids.clear();
  for (std::size_t s = 0; s < segments; ++s) {
    const long id = graph.segment_id[s];
    if (id < 0) throw InputError(fmt::format("{}: segment id {} is negative; expected 0 or more", what, id));
    if (!ids.insert(id).second)
      throw InputError(fmt::format("{}: segment id {} is used twice; ids must be unique", what, id));
    for (long node : graph.segment[s])
      if (node < 0 || at(node) >= nodes)
        throw InputError(
            fmt::format("{}: segment {} refers to node number {}, but there are {} nodes", what, id, node, nodes));
    if (!std::isfinite(graph.radius[s]) || !std::isfinite(graph.length[s]))
      throw InputError(fmt::format("{}: radius or length of segment {} is not finite", what, id));
    if (!(graph.maturity[s] >= 0 && graph.maturity[s] <= 1))
      throw InputError(fmt::format("{}: maturity of segment {} is {}; expected 0 to 1", what, id, graph.maturity[s]));
    if (graph.type[s] < 0 || graph.type[s] > 3)
      throw InputError(fmt::format("{}: type of segment {} is {}; expected 0 to 3", what, id, graph.type[s]));
  }
}

Adjacency adjacency(const VesselGraph& graph) {
  Adjacency result;
  result.offset.assign(graph.position.size() + 1, 0);
  for (const auto& pair : graph.segment)
    for (long node : pair) ++result.offset[at(node) + 1];
  std::partial_sum(result.offset.begin(), result.offset.end(), result.offset.begin());
  result.segment.resize(2 * graph.segment.size());
  std::vector<long> next(result.offset.begin(), result.offset.end() - 1);
  for (long s = 0; s < graph.segments(); ++s)
    for (long node : graph.segment[at(s)]) result.segment[at(next[at(node)]++)] = s;
  return result;
}

std::vector<long> connected_pieces(const VesselGraph& graph) {
  UnionFind groups(graph.nodes());
  for (const auto& pair : graph.segment) groups.join(pair[0], pair[1]);
  std::vector<long> count(graph.position.size(), 0), roots;
  for (long n = 0; n < graph.nodes(); ++n)
    if (++count[at(groups.find(n))] == 1) roots.push_back(groups.find(n));
  std::stable_sort(roots.begin(), roots.end(), [&](long a, long b) { return count[at(a)] > count[at(b)]; });
  std::vector<long> number(graph.position.size(), 0), piece(graph.position.size());
  for (std::size_t i = 0; i < roots.size(); ++i) number[at(roots[i])] = static_cast<long>(i);
  for (long n = 0; n < graph.nodes(); ++n) piece[at(n)] = number[at(groups.find(n))];
  return piece;
}

std::vector<long> end_nodes(const VesselGraph& graph) {
  const Adjacency near = adjacency(graph);
  std::vector<long> ends;
  for (long n = 0; n < graph.nodes(); ++n)
    if (near.degree(n) == 1) ends.push_back(n);
  return ends;
}

std::vector<bool> can_carry_flow(const VesselGraph& graph) {
  // Edges 0 .. segments-1 are vessels, those after them join a boundary node to the virtual node `hub`.
  const long vessels = graph.segments(), hub = graph.nodes();
  std::vector<std::array<long, 2>> edge;
  edge.reserve(graph.segment.size());
  for (long s = 0; s < vessels; ++s) {
    const auto& pair = graph.segment[at(s)];
    const bool open = graph.radius[at(s)] > 0 && pair[0] != pair[1];
    edge.push_back(open ? pair : std::array<long, 2>{-1, -1});
  }
  for (long n = 0; n < hub; ++n)
    if (graph.boundary[at(n)] != BoundaryKind::none) edge.push_back({hub, n});

  std::vector<long> offset(at(hub) + 2, 0);
  for (const auto& pair : edge)
    if (pair[0] >= 0) ++offset[at(pair[0]) + 1], ++offset[at(pair[1]) + 1];
  std::partial_sum(offset.begin(), offset.end(), offset.begin());
  std::vector<long> incident(at(offset.back())), next(offset.begin(), offset.end() - 1);
  for (long e = 0; e < static_cast<long>(edge.size()); ++e)
    if (edge[at(e)][0] >= 0)
      for (long node : edge[at(e)]) incident[at(next[at(node)]++)] = e;

  // Depth-first search from the hub. Every vessel block that hangs on a single node never comes back to the hub, so the
  // blocks that matter are those popped when the search returns to the hub itself, its root.
  std::vector<bool> carries(graph.segment.size(), false);
  std::vector<long> order(at(hub) + 1, -1), low(at(hub) + 1, -1), arrived_by(at(hub) + 1, -1);
  std::vector<long> edges_on_stack, path;
  next.assign(offset.begin(), offset.end() - 1);
  long clock = 0;
  order[at(hub)] = low[at(hub)] = clock++;
  path.push_back(hub);
  while (!path.empty()) {
    const long node = path.back();
    if (next[at(node)] < offset[at(node) + 1]) {
      const long e = incident[at(next[at(node)]++)];
      if (e == arrived_by[at(node)]) continue;
      const long other = edge[at(e)][0] == node ? edge[at(e)][1] : edge[at(e)][0];
      if (order[at(other)] < 0) {
        edges_on_stack.push_back(e);
        arrived_by[at(other)] = e;
        order[at(other)] = low[at(other)] = clock++;
        path.push_back(other);
      } else if (order[at(other)] < order[at(node)]) {
        edges_on_stack.push_back(e);
        low[at(node)] = std::min(low[at(node)], order[at(other)]);
      }
      continue;
    }
    path.pop_back();
    if (path.empty()) break;
    const long parent = path.back();
    low[at(parent)] = std::min(low[at(parent)], low[at(node)]);
    if (low[at(node)] >= order[at(parent)]) {
      for (bool last = false; !last;) {
        const long e = edges_on_stack.back();
        edges_on_stack.pop_back();
        last = e == arrived_by[at(node)];
        if (parent == hub && e < vessels) carries[at(e)] = true;
      }
    }
  }
  return carries;
}

bool Diagnosis::usable() const {
  return pieces_without_pressure.empty() && isolated_nodes.empty() && outside_nodes.empty() &&
         not_finite_nodes.empty() && zero_radius.empty() && negative_radius.empty() && zero_length.empty() &&
         self_loops.empty() && not_finite_segments.empty() && duplicate_segments.empty() && short_segments.empty();
}

Diagnosis diagnose(const VesselGraph& graph, const Box& box, const GraphTolerances& tolerances) {
  Diagnosis result;
  const std::vector<long> piece = connected_pieces(graph);
  const Adjacency near = adjacency(graph);
  for (long n = 0; n < graph.nodes(); ++n) {
    const auto i = at(n);
    if (at(piece[i]) >= result.pieces.size()) result.pieces.resize(at(piece[i]) + 1);
    auto& mine = result.pieces[at(piece[i])];
    ++mine.nodes;
    if (graph.boundary[i] != BoundaryKind::none) ++mine.boundary_nodes;
    if (graph.boundary[i] == BoundaryKind::pressure) ++mine.pressure_nodes;
    if (near.degree(n) == 0) result.isolated_nodes.push_back(n);
    if (near.degree(n) == 1 && graph.boundary[i] == BoundaryKind::none) result.dangling_ends.push_back(n);
    if (!finite(graph.position[i]) ||
        (graph.boundary[i] != BoundaryKind::none && !std::isfinite(graph.boundary_value[i]))) {
      result.not_finite_nodes.push_back(n);
      continue;
    }
    for (std::size_t d = 0; d < 3; ++d)
      if (graph.position[i][d] < box.origin[d] - tolerances.box ||
          graph.position[i][d] > box.origin[d] + box.size[d] + tolerances.box) {
        result.outside_nodes.push_back(n);
        break;
      }
  }
  for (long s = 0; s < graph.segments(); ++s) {
    const auto i = at(s);
    auto& mine = result.pieces[at(piece[at(graph.segment[i][0])])];
    ++mine.segments;
    if (!std::isfinite(graph.radius[i]) || !std::isfinite(graph.length[i])) {
      result.not_finite_segments.push_back(s);
      continue;
    }
    mine.length += graph.length[i];
    if (graph.radius[i] == 0) result.zero_radius.push_back(s);
    if (graph.radius[i] < 0) result.negative_radius.push_back(s);
    if (graph.segment[i][0] == graph.segment[i][1])
      result.self_loops.push_back(s);
    else if (graph.length[i] <= tolerances.zero_length)
      result.zero_length.push_back(s);
    else if (graph.length[i] < straight_length(graph, s) * (1 - 1e-6) - tolerances.zero_length)
      result.short_segments.push_back(s);
  }
  for (std::size_t p = 0; p < result.pieces.size(); ++p) {
    if (result.pieces[p].boundary_nodes == 0) result.pieces_without_boundary.push_back(static_cast<long>(p));
    if (result.pieces[p].pressure_nodes == 0) result.pieces_without_pressure.push_back(static_cast<long>(p));
  }
  result.coincident_nodes = coincident_pairs(graph, tolerances.coincident);
  for_each_repeated(graph, [&](long s, bool duplicate) {
    (duplicate ? result.duplicate_segments : result.parallel_segments).push_back(s);
  });
  const std::vector<bool> carries = can_carry_flow(graph);
  for (long s = 0; s < graph.segments(); ++s)
    if (!carries[at(s)]) result.no_through_flow.push_back(s);
  return result;
}

std::string report(const Diagnosis& diagnosis, const VesselGraph& graph) {
  constexpr std::size_t shown = 8;
  std::string text;
  const auto line = [&](std::size_t count, const std::string& what, const auto& list, const auto& name) {
    if (count == 0) return;
    text += fmt::format("  {:>7} {}: ", count, what);
    for (std::size_t i = 0; i < std::min(shown, list.size()); ++i) text += (i ? ", " : "") + name(list[i]);
    text += list.size() > shown ? ", ...\n" : "\n";
  };
  const auto node = [&](long n) { return fmt::format("{}", graph.node_id[at(n)]); };
  const auto segment = [&](long s) { return fmt::format("{}", graph.segment_id[at(s)]); };
  const auto pair = [&](const std::array<long, 2>& p) { return fmt::format("{}={}", node(p[0]), node(p[1])); };
  const auto size = [&](long p) {
    const auto& piece = diagnosis.pieces[at(p)];
    return fmt::format("piece {} ({} segments)", p + 1, piece.segments);
  };
  if (diagnosis.pieces.size() > 1) {
    std::vector<long> all(diagnosis.pieces.size());
    std::iota(all.begin(), all.end(), 0L);
    line(all.size(), "disconnected pieces", all,
         [&](long p) { return fmt::format("{}", diagnosis.pieces[at(p)].segments); });
    text.insert(text.size() - 1, " segments");
  }
  line(diagnosis.pieces_without_boundary.size(), "pieces without any boundary node", diagnosis.pieces_without_boundary,
       size);
  line(diagnosis.pieces_without_pressure.size(), "pieces without a pressure boundary",
       diagnosis.pieces_without_pressure, size);
  line(diagnosis.dangling_ends.size(), "dangling ends (no boundary condition), nodes", diagnosis.dangling_ends, node);
  line(diagnosis.isolated_nodes.size(), "isolated nodes", diagnosis.isolated_nodes, node);
  line(diagnosis.outside_nodes.size(), "nodes outside the box", diagnosis.outside_nodes, node);
  line(diagnosis.not_finite_nodes.size(), "nodes with values that are not finite", diagnosis.not_finite_nodes, node);
  line(diagnosis.coincident_nodes.size(), "coincident nodes", diagnosis.coincident_nodes, pair);
  line(diagnosis.zero_radius.size(), "segments of zero radius", diagnosis.zero_radius, segment);
  line(diagnosis.negative_radius.size(), "segments of negative radius", diagnosis.negative_radius, segment);
  line(diagnosis.zero_length.size(), "segments of zero length", diagnosis.zero_length, segment);
  line(diagnosis.short_segments.size(), "segments shorter than the distance of their nodes", diagnosis.short_segments,
       segment);
  line(diagnosis.self_loops.size(), "self loops, segments", diagnosis.self_loops, segment);
  line(diagnosis.not_finite_segments.size(), "segments with values that are not finite", diagnosis.not_finite_segments,
       segment);
  line(diagnosis.duplicate_segments.size(), "duplicate segments", diagnosis.duplicate_segments, segment);
  line(diagnosis.parallel_segments.size(), "parallel segments (allowed)", diagnosis.parallel_segments, segment);
  line(diagnosis.no_through_flow.size(), "segments that cannot carry through-flow", diagnosis.no_through_flow, segment);
  return text.empty() ? "  nothing to report\n" : text;
}

bool RepairReport::changed() const {
  return merged_nodes + contracted_segments + dropped_duplicates + filled_radii + dropped_zero_radius + dropped_pieces +
             dropped_nodes + stretched_segments >
         0;
}

std::string RepairReport::text() const {
  std::string result;
  const auto line = [&](long count, const char* what) {
    if (count > 0) result += fmt::format("  {:>7} {}\n", count, what);
  };
  line(merged_nodes, "nodes merged into another at the same place");
  line(contracted_segments, "segments of zero length or self loops removed");
  line(dropped_duplicates, "duplicate segments dropped");
  line(filled_radii, "radii set to the mean of the adjoining segments");
  line(dropped_zero_radius, "segments without a positive radius dropped");
  line(dropped_pieces, "pieces without a boundary node dropped");
  line(dropped_piece_segments, "segments dropped with those pieces");
  line(dropped_nodes, "isolated nodes dropped");
  line(stretched_segments, "lengths set to the distance of the nodes");
  for (const auto& note : notes) result += "  note: " + note + "\n";
  return result;
}

VesselGraph without_segments(const VesselGraph& graph, const std::vector<bool>& drop) {
  VesselGraph result = graph;
  const auto filter = [&](auto& values) {
    if (values.empty()) return;
    std::size_t kept = 0;
    for (std::size_t s = 0; s < drop.size(); ++s)
      if (!drop[s]) values[kept++] = values[s];
    values.resize(kept);
  };
  filter(result.segment), filter(result.segment_id), filter(result.radius), filter(result.length);
  filter(result.maturity), filter(result.type), filter(result.file_flow), filter(result.file_haematocrit);
  return result;
}

VesselGraph without_isolated_nodes(const VesselGraph& graph, bool keep_boundary_nodes) {
  const Adjacency near = adjacency(graph);
  VesselGraph result = graph;
  std::vector<long> index(graph.position.size(), -1);
  result.position.clear(), result.node_id.clear(), result.boundary.clear(), result.boundary_value.clear();
  result.boundary_haematocrit.clear(), result.boundary_po2.clear();
  for (long n = 0; n < graph.nodes(); ++n) {
    const auto i = at(n);
    if (near.degree(n) == 0 && !(keep_boundary_nodes && graph.boundary[i] != BoundaryKind::none)) continue;
    index[i] = result.add_node(graph.position[i], graph.node_id[i]);
    result.set_boundary(index[i], graph.boundary[i], graph.boundary_value[i], graph.boundary_haematocrit[i],
                        graph.boundary_po2[i]);
  }
  for (auto& pair : result.segment) pair = {index[at(pair[0])], index[at(pair[1])]};
  return result;
}

std::pair<VesselGraph, RepairReport> repair(const VesselGraph& original, const RepairOptions& options) {
  RepairReport report;
  VesselGraph graph = original;
  const auto merge = [&](UnionFind& groups, long merged) {
    if (merged > 0) graph = renumbered(graph, groups, report.notes);
    report.merged_nodes += merged;
  };
  if (options.merge_coincident) {
    UnionFind groups(graph.nodes());
    long merged = 0;
    for (const auto& pair : coincident_pairs(graph, options.tolerances.coincident))
      merged += groups.join(pair[0], pair[1]);
    merge(groups, merged);
  }
  if (options.zero_length) {
    UnionFind groups(graph.nodes());
    std::vector<bool> drop(graph.segment.size(), false);
    long merged = 0;
    for (long s = 0; s < graph.segments(); ++s) {
      const auto& pair = graph.segment[at(s)];
      if (pair[0] != pair[1] && !(graph.length[at(s)] <= options.tolerances.zero_length)) continue;
      drop[at(s)] = true;
      ++report.contracted_segments;
      merged += groups.join(pair[0], pair[1]);
    }
    graph = without_segments(graph, drop);
    merge(groups, merged);
    // Contracting can turn a parallel segment of positive length into a self loop, which carries nothing either.
    drop.assign(graph.segment.size(), false);
    for (long s = 0; s < graph.segments(); ++s)
      if (graph.segment[at(s)][0] == graph.segment[at(s)][1]) drop[at(s)] = true, ++report.contracted_segments;
    graph = without_segments(graph, drop);
  }
  if (options.duplicates) {
    std::vector<bool> drop(graph.segment.size(), false);
    for_each_repeated(graph, [&](long s, bool duplicate) {
      if (duplicate) drop[at(s)] = true, ++report.dropped_duplicates;
    });
    graph = without_segments(graph, drop);
  }
  if (options.zero_radius == RepairOptions::ZeroRadius::neighbours) {
    const Adjacency near = adjacency(graph);
    for (bool progress = true; progress;) {
      progress = false;
      const std::vector<double> before = graph.radius;
      for (long s = 0; s < graph.segments(); ++s) {
        if (before[at(s)] > 0) continue;
        double sum = 0;
        long count = 0;
        for (long node : graph.segment[at(s)])
          for (long i = near.offset[at(node)]; i < near.offset[at(node) + 1]; ++i)
            if (const double other = before[at(near.segment[at(i)])]; other > 0) sum += other, ++count;
        if (count == 0) continue;
        graph.radius[at(s)] = sum / static_cast<double>(count);
        ++report.filled_radii;
        progress = true;
      }
    }
  }
  if (options.zero_radius != RepairOptions::ZeroRadius::keep) {
    std::vector<bool> drop(graph.segment.size(), false);
    for (std::size_t s = 0; s < drop.size(); ++s)
      if (!(graph.radius[s] > 0)) drop[s] = true, ++report.dropped_zero_radius;
    graph = without_segments(graph, drop);
  }
  if (options.stretch_short)
    for (long s = 0; s < graph.segments(); ++s)
      if (const double straight = straight_length(graph, s);
          graph.length[at(s)] < straight * (1 - 1e-6) - options.tolerances.zero_length) {
        graph.length[at(s)] = straight;
        ++report.stretched_segments;
      }
  if (options.drop_pieces_without_boundary) {
    const std::vector<long> piece = connected_pieces(graph);
    const long pieces = piece.empty() ? 0 : *std::max_element(piece.begin(), piece.end()) + 1;
    std::vector<long> boundary(at(pieces), 0), held(at(pieces), 0);
    for (long n = 0; n < graph.nodes(); ++n)
      if (graph.boundary[at(n)] != BoundaryKind::none) ++boundary[at(piece[at(n)])];
    if (std::all_of(boundary.begin(), boundary.end(), [](long count) { return count == 0; })) {
      report.notes.push_back("no node has a boundary condition, so pieces are kept; set pressures at end nodes");
    } else {
      std::vector<bool> drop(graph.segment.size(), false);
      for (std::size_t s = 0; s < drop.size(); ++s) {
        const auto mine = at(piece[at(graph.segment[s][0])]);
        if (boundary[mine] > 0) continue;
        drop[s] = true;
        ++held[mine];
        ++report.dropped_piece_segments;
      }
      for (long count : held) report.dropped_pieces += count > 0;
      graph = without_segments(graph, drop);
    }
  }
  if (options.drop_isolated_nodes) {
    const long before = graph.nodes();
    graph = without_isolated_nodes(graph);
    report.dropped_nodes = before - graph.nodes();
  }
  return {std::move(graph), std::move(report)};
}

Box bounding_box(const VesselGraph& graph) {
  Box box;
  if (graph.position.empty()) return box;
  auto low = graph.position.front(), high = low;
  for (const auto& p : graph.position)
    for (std::size_t d = 0; d < 3; ++d) low[d] = std::min(low[d], p[d]), high[d] = std::max(high[d], p[d]);
  box.origin = low;
  for (std::size_t d = 0; d < 3; ++d) box.size[d] = high[d] - low[d];
  return box;
}

}  // namespace sanctuary
