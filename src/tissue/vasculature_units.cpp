#include "tissue/vasculature_units.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <queue>

namespace sanctuary {
namespace {

std::size_t at(long index) { return static_cast<std::size_t>(index); }

// Squared factor by which the lens of a bridge is wider than that of a relative neighbour: bridges are fewer, and need
// not connect anything.
constexpr double bridge_lens = 1.3;
constexpr double bridge_reach = 0.75;  // longest bridge over the smallest side of a unit

double squared(const Place& a, const Place& b) {
  double sum = 0;
  for (std::size_t d = 0; d < 3; ++d) sum += (a[d] - b[d]) * (a[d] - b[d]);
  return sum;
}

Place between(const Place& a, const Place& b, double share) {
  Place result{};
  for (std::size_t d = 0; d < 3; ++d) result[d] = a[d] + share * (b[d] - a[d]);
  return result;
}

/// Pairs of points with no third point nearer to both than they are to each other.
std::vector<VesselUnit::Edge> relative_neighbours(const std::vector<Place>& position) {
  const std::size_t count = position.size();
  std::vector<double> distance(count * count);
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = 0; j < count; ++j) distance[i * count + j] = squared(position[i], position[j]);
  std::vector<VesselUnit::Edge> edges;
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = i + 1; j < count; ++j) {
      const double limit = distance[i * count + j];
      const double *from_i = &distance[i * count], *from_j = &distance[j * count];
      bool empty = true;
      for (std::size_t r = 0; r < count && empty; ++r)
        empty = r == i || r == j || from_i[r] >= limit || from_j[r] >= limit;
      if (empty) edges.push_back({static_cast<int>(i), static_cast<int>(j)});
    }
  return edges;
}

/// Takes out the longest edges between crowded junctions while a short way around them is left: vessels branch in two.
void thin_out(std::vector<VesselUnit::Edge>& edges, const std::vector<Place>& position) {
  constexpr int longest_way = 8;
  std::vector<std::vector<int>> joined(position.size());
  for (const auto& e : edges) joined[at(e.a)].push_back(e.b), joined[at(e.b)].push_back(e.a);
  std::vector<std::size_t> order(edges.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto length = [&](std::size_t e) { return squared(position[at(edges[e].a)], position[at(edges[e].b)]); };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return length(a) > length(b); });
  std::vector<char> drop(edges.size(), 0);
  std::vector<int> steps(position.size());
  std::vector<int> front;
  for (const std::size_t e : order) {
    const int a = edges[e].a, b = edges[e].b;
    const std::size_t here = joined[at(a)].size(), there = joined[at(b)].size();
    if (std::min(here, there) < 3 || here + there < 8) continue;
    std::fill(steps.begin(), steps.end(), -1);
    front.assign(1, a);
    steps[at(a)] = 0;
    for (std::size_t i = 0; i < front.size() && steps[at(b)] < 0; ++i) {
      const int n = front[i];
      if (steps[at(n)] >= longest_way) break;
      for (const int m : joined[at(n)])
        if (steps[at(m)] < 0 && !(n == a && m == b)) steps[at(m)] = steps[at(n)] + 1, front.push_back(m);
    }
    if (steps[at(b)] < 0) continue;
    drop[e] = 1;
    std::erase(joined[at(a)], b);
    std::erase(joined[at(b)], a);
  }
  std::size_t left = 0;
  for (std::size_t e = 0; e < edges.size(); ++e)
    if (!drop[e]) edges[left++] = edges[e];
  edges.resize(left);
}

/// The graph of the edges that do not end blind, with arteriole and venule as boundary nodes.
VesselGraph open_graph(const VesselUnit& unit) {
  VesselGraph graph;
  for (std::size_t n = 0; n < unit.position.size(); ++n) (void)graph.add_node(unit.position[n], static_cast<long>(n));
  for (long terminal : {graph.nodes() - 2, graph.nodes() - 1}) graph.set_boundary(terminal, BoundaryKind::pressure, 0);
  for (std::size_t e = 0; e < unit.edge.size(); ++e)
    if (!unit.edge[e].blind) (void)graph.add_segment(unit.edge[e].a, unit.edge[e].b, 1e-6, static_cast<long>(e));
  return graph;
}

}  // namespace

bool UnitGrower::ends_blind(const Place& a, const Place& b, std::uint64_t key) const {
  if (!(knobs_.cut_share > 0)) return false;
  return cut_.uniform(key + knobs_.cut_draw * 0x9e3779b97f4a7c15ULL) <
         knobs_.cut_share * plan_.tumour_weight(between(a, b, 0.5));
}

VesselUnit UnitGrower::grow(long index) const {
  VesselUnit unit;
  const Partition& partition = plan_.partition();
  plan_.points(index, knobs_, unit.position, unit.id);
  for (const int side : {0, 1}) {
    unit.position.push_back(plan_.tree_node(partition.levels(), index, side));
    unit.id.push_back(plan_.tree_node_id(partition.levels(), index, side));
  }
  const std::size_t count = unit.position.size();
  unit.edge = relative_neighbours(unit.position);
  thin_out(unit.edge, unit.position);

  // An end of the graph is joined to the nearest node it is not joined to yet; so are some nodes of the tumour.
  std::vector<std::vector<int>> joined(count);
  const auto join = [&](int a, int b) {
    joined[static_cast<std::size_t>(a)].push_back(b);
    joined[static_cast<std::size_t>(b)].push_back(a);
  };
  for (const auto& e : unit.edge) join(e.a, e.b);
  for (std::size_t n = 0; n + 2 < count; ++n) {
    const double loops = plan_.settings().loop_share * plan_.tumour_weight(unit.position[n]);
    if (joined[n].size() >= 2 && !(loop_.uniform(static_cast<std::uint64_t>(unit.id[n])) < loops)) continue;
    int nearest = -1;
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t m = 0; m + 2 < count; ++m) {
      if (m == n || std::find(joined[n].begin(), joined[n].end(), static_cast<int>(m)) != joined[n].end()) continue;
      const double d = squared(unit.position[n], unit.position[m]);
      if (d < best) best = d, nearest = static_cast<int>(m);
    }
    if (nearest < 0) continue;
    unit.edge.push_back({static_cast<int>(n), nearest});
    join(static_cast<int>(n), nearest);
  }

  const std::vector<bool> useful = can_carry_flow(open_graph(unit));
  std::vector<VesselUnit::Edge> left;
  unit.kept.assign(count, 0);
  for (std::size_t e = 0; e < unit.edge.size(); ++e) {
    if (!useful[e]) continue;
    left.push_back(unit.edge[e]);
    unit.kept[at(unit.edge[e].a)] = unit.kept[at(unit.edge[e].b)] = 1;
  }
  unit.edge = std::move(left);
  if (!(knobs_.cut_share > 0)) return unit;

  // The shortest way from arteriole to venule stays open.
  std::vector<std::vector<int>> near(count);
  for (std::size_t e = 0; e < unit.edge.size(); ++e) {
    near[at(unit.edge[e].a)].push_back(static_cast<int>(e));
    near[at(unit.edge[e].b)].push_back(static_cast<int>(e));
  }
  std::vector<int> by(count, -1);
  std::vector<char> seen(count, 0), safe(unit.edge.size(), 0);
  std::queue<std::size_t> front;
  front.push(count - 2);
  seen[count - 2] = 1;
  while (!front.empty() && !seen[count - 1]) {
    const std::size_t n = front.front();
    front.pop();
    for (const int e : near[n]) {
      const auto& edge = unit.edge[at(e)];
      const auto other = static_cast<std::size_t>(edge.a) == n ? at(edge.b) : at(edge.a);
      if (seen[other]) continue;
      seen[other] = 1;
      by[other] = e;
      front.push(other);
    }
  }
  for (std::size_t n = count - 1; by[n] >= 0;) {
    const auto& edge = unit.edge[at(by[n])];
    safe[at(by[n])] = 1;
    n = static_cast<std::size_t>(edge.a) == n ? at(edge.b) : at(edge.a);
  }
  for (std::size_t e = 0; e < unit.edge.size(); ++e) {
    auto& edge = unit.edge[e];
    const std::uint64_t key = pair_key(unit.id[at(edge.a)], unit.id[at(edge.b)]);
    if (safe[e] || !ends_blind(unit.position[at(edge.a)], unit.position[at(edge.b)], key)) continue;
    edge.blind = true;
    if (end_.uniform(key) < 0.5) std::swap(edge.a, edge.b);
  }
  // What the cuts took off the unit's vessels hangs on by one of them: dead ends, but no loose pieces.
  std::vector<int> root(count);
  std::iota(root.begin(), root.end(), 0);
  const auto find = [&](int n) {
    while (root[at(n)] != n) n = root[at(n)] = root[at(root[at(n)])];
    return n;
  };
  for (const bool blind : {false, true})
    for (auto& edge : unit.edge) {
      if (edge.blind != blind) continue;
      const int a = find(edge.a), b = find(edge.b);
      if (a != b) edge.blind = false;
      root[at(a)] = b;
    }
  return unit;
}

const VesselUnit& UnitGrower::unit(long index) {
  auto found = units_.find(index);
  if (found == units_.end()) found = units_.emplace(index, grow(index)).first;
  return found->second;
}

const std::vector<VesselBridge>& UnitGrower::bridges(long index) {
  auto found = bridges_.find(index);
  if (found == bridges_.end()) found = bridges_.emplace(index, build_bridges(index)).first;
  return found->second;
}

std::vector<bool> UnitGrower::through_flow(long index) {
  const VesselUnit& of = unit(index);
  std::vector<bool> result(of.edge.size(), true);
  if (!(knobs_.cut_share > 0)) return result;
  VesselGraph open = open_graph(of);
  for (const VesselBridge& bridge : bridges(index))
    if (!bridge.blind) open.set_boundary(bridge.node, BoundaryKind::pressure, 0);
  const std::vector<bool> through = can_carry_flow(open);
  std::size_t s = 0;
  for (std::size_t e = 0; e < of.edge.size(); ++e) result[e] = !of.edge[e].blind && through[s++];
  return result;
}

void UnitGrower::forget() {
  constexpr std::size_t most_kept = 1500;
  if (units_.size() <= most_kept) return;
  units_.clear();
  bridges_.clear();
}

std::vector<VesselBridge> UnitGrower::build_bridges(long index) {
  const Partition& partition = plan_.partition();
  const std::vector<long> around = partition.neighbours(index);
  const Box region = partition.region(partition.levels(), index);
  const double reach = bridge_reach * std::min({region.size[0], region.size[1], region.size[2]});
  struct Junction {
    Place position;
    long id;
    int node;
    long unit;
    bool kept;
  };
  std::vector<Junction> junctions;
  const auto near_region = [&](const Place& p) {
    for (std::size_t d = 0; d < 3; ++d)
      if (p[d] < region.origin[d] - reach || p[d] > region.origin[d] + region.size[d] + reach) return false;
    return true;
  };
  const auto take = [&](long from) {
    const VesselUnit& of = unit(from);
    for (std::size_t n = 0; n + 2 < of.position.size(); ++n)
      if (near_region(of.position[n]))
        junctions.push_back({of.position[n], of.id[n], static_cast<int>(n), from, of.kept[n] != 0});
  };
  take(index);
  const std::size_t owned = junctions.size();
  for (const long other : around) take(other);

  std::vector<VesselBridge> result;
  std::vector<double> from_p(junctions.size());
  std::vector<std::size_t> first;
  for (std::size_t i = 0; i < owned; ++i) {
    const Junction& p = junctions[i];
    if (!p.kept) continue;
    double to_face = reach;
    for (std::size_t d = 0; d < 3; ++d)
      to_face =
          std::min({to_face, p.position[d] - region.origin[d], region.origin[d] + region.size[d] - p.position[d]});
    if (to_face >= reach) continue;
    first.clear();
    for (std::size_t r = 0; r < junctions.size(); ++r) {
      from_p[r] = squared(p.position, junctions[r].position);
      if (r != i && from_p[r] < reach * reach) first.push_back(r);
    }
    // The nearest junctions refuse most pairs: they are asked first.
    const std::size_t few = std::min<std::size_t>(first.size(), 12);
    std::partial_sort(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(few), first.end(),
                      [&](std::size_t a, std::size_t b) { return from_p[a] < from_p[b]; });
    for (std::size_t j = owned; j < junctions.size(); ++j) {
      const Junction& q = junctions[j];
      const double limit = from_p[j];
      if (!q.kept || bridge_lens * limit >= reach * reach || limit < to_face * to_face) continue;
      bool empty = true;
      for (std::size_t r = 0; r < first.size() && empty; ++r)
        empty = first[r] == j || from_p[first[r]] >= bridge_lens * limit ||
                squared(q.position, junctions[first[r]].position) >= bridge_lens * limit;
      if (!empty) continue;
      VesselBridge bridge{p.node, q.node, q.unit};
      const std::uint64_t key = pair_key(p.id, q.id);
      bridge.blind = ends_blind(p.position, q.position, key);
      if (bridge.blind) bridge.blind_here = (end_.uniform(key) < 0.5) == (p.id < q.id);
      result.push_back(bridge);
    }
  }
  return result;
}

}  // namespace sanctuary
