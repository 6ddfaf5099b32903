#include "solvers/network/connectivity.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

std::size_t at(long index) { return static_cast<std::size_t>(index); }

constexpr long hub_id = -1;  // of the virtual node joined to all boundary nodes

class Groups {
 public:
  long add() {
    parent_.push_back(static_cast<long>(parent_.size()));
    return parent_.back();
  }
  long find(long x) {
    while (parent_[at(x)] != x) x = parent_[at(x)] = parent_[at(parent_[at(x)])];
    return x;
  }
  void join(long a, long b) { parent_[at(find(a))] = find(b); }

 private:
  std::vector<long> parent_;
};

/// Vertices of each block, each once, in compressed rows.
struct BlockVertices {
  std::vector<long> offset{0}, vertex;
};
BlockVertices vertices_of(const std::vector<std::array<long, 2>>& edges, const std::vector<long>& block) {
  std::vector<std::array<long, 2>> pairs;  // block, vertex
  for (std::size_t e = 0; e < edges.size(); ++e)
    for (const long v : edges[e]) pairs.push_back({block[e], v});
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  BlockVertices result;
  for (const auto& [b, v] : pairs) {
    while (static_cast<long>(result.offset.size()) <= b + 1) result.offset.push_back(result.offset.back());
    ++result.offset.back();
    result.vertex.push_back(v);
  }
  return result;
}

}  // namespace

std::vector<long> blocks_of(long vertices, const std::vector<std::array<long, 2>>& edges) {
  std::vector<long> offset(at(vertices) + 1, 0);
  for (const auto& ends : edges)
    for (const long v : ends) ++offset[at(v) + 1];
  std::partial_sum(offset.begin(), offset.end(), offset.begin());
  std::vector<long> incident(2 * edges.size()), next(offset.begin(), offset.end() - 1);
  for (std::size_t e = 0; e < edges.size(); ++e)
    for (const long v : edges[e]) incident[at(next[at(v)]++)] = static_cast<long>(e);

  std::vector<long> block(edges.size(), -1), order(at(vertices), -1), low(at(vertices), -1),
      arrived_by(at(vertices), -1);
  std::vector<long> stacked, path;
  next.assign(offset.begin(), offset.end() - 1);
  long clock = 0, blocks = 0;
  for (long root = 0; root < vertices; ++root) {
    if (order[at(root)] >= 0) continue;
    order[at(root)] = low[at(root)] = clock++;
    path.assign(1, root);
    while (!path.empty()) {
      const long v = path.back();
      if (next[at(v)] < offset[at(v) + 1]) {
        const long e = incident[at(next[at(v)]++)];
        if (e == arrived_by[at(v)]) continue;
        const long other = edges[at(e)][0] == v ? edges[at(e)][1] : edges[at(e)][0];
        if (order[at(other)] < 0) {
          stacked.push_back(e);
          arrived_by[at(other)] = e;
          order[at(other)] = low[at(other)] = clock++;
          path.push_back(other);
        } else if (order[at(other)] < order[at(v)]) {
          stacked.push_back(e);
          low[at(v)] = std::min(low[at(v)], order[at(other)]);
        }
        continue;
      }
      path.pop_back();
      if (path.empty()) break;
      const long parent = path.back();
      low[at(parent)] = std::min(low[at(parent)], low[at(v)]);
      if (low[at(v)] < order[at(parent)]) continue;
      for (long e = -1; e != arrived_by[at(v)];) {
        e = stacked.back();
        stacked.pop_back();
        block[at(e)] = blocks;
      }
      ++blocks;
    }
  }
  return block;
}

std::vector<bool> can_carry_flow(MPI_Comm comm, const VesselGraph& share, const NodeRoles& roles) {
  const long hub = share.nodes();
  std::vector<std::array<long, 2>> edges;
  std::vector<std::size_t> segment;  // of the first edges; the others join a boundary node to the hub
  for (std::size_t s = 0; s < share.segment.size(); ++s) {
    if (!(share.radius[s] > 0) || share.segment[s][0] == share.segment[s][1]) continue;
    edges.push_back(share.segment[s]);
    segment.push_back(s);
  }
  for (long n = 0; n < hub; ++n)
    if (share.boundary[at(n)] != BoundaryKind::none) edges.push_back({hub, n});
  const std::vector<long> block = blocks_of(hub + 1, edges);
  const BlockVertices in = vertices_of(edges, block);
  const auto blocks = static_cast<long>(in.offset.size()) - 1;

  std::vector<char> carries(at(blocks), 0), gone(at(blocks), 0);
  std::vector<long> count(at(hub) + 1, 0);  // blocks still there at each vertex
  for (const long v : in.vertex) ++count[at(v)];
  std::vector<std::vector<long>> blocks_at_cut(at(hub) + 1);
  const auto terminal = [&](long v) { return v == hub || roles.shared[at(v)]; };
  const auto attached = [&](long v) { return terminal(v) || count[at(v)] > 1; };
  std::vector<long> attachments(at(blocks), 0), leaves;
  for (long b = 0; b < blocks; ++b) {
    for (long i = in.offset[at(b)]; i < in.offset[at(b) + 1]; ++i) {
      const long v = in.vertex[at(i)];
      carries[at(b)] = carries[at(b)] || v == hub;
      attachments[at(b)] += attached(v);
      if (count[at(v)] > 1) blocks_at_cut[at(v)].push_back(b);
    }
    if (attachments[at(b)] <= 1) leaves.push_back(b);
  }
  // A block that hangs on one vertex lies on no way between others.
  while (!leaves.empty()) {
    const long b = leaves.back();
    leaves.pop_back();
    if (gone[at(b)]) continue;
    gone[at(b)] = 1;
    for (long i = in.offset[at(b)]; i < in.offset[at(b) + 1]; ++i) {
      const long v = in.vertex[at(i)];
      if (--count[at(v)] != 1 || terminal(v)) continue;
      for (const long other : blocks_at_cut[at(v)])
        if (!gone[at(other)] && --attachments[at(other)] <= 1) leaves.push_back(other);
    }
  }

  struct Link {
    long from, to;  // ids of nodes, or the hub
    long block;
    int rank;
  };
  const int ranks = size_of(comm);
  if (ranks > 1) {
    std::vector<std::vector<Link>> outgoing(at(ranks));
    std::vector<long> ring;
    for (long b = 0; b < blocks; ++b) {
      if (gone[at(b)]) continue;
      ring.clear();
      for (long i = in.offset[at(b)]; i < in.offset[at(b) + 1]; ++i)
        if (const long v = in.vertex[at(i)]; attached(v)) ring.push_back(v == hub ? hub_id : share.node_id[at(v)]);
      for (std::size_t i = 0; i + 1 < ring.size(); ++i) outgoing[0].push_back({ring[i], ring[i + 1], b, rank_of(comm)});
      if (ring.size() > 2) outgoing[0].push_back({ring.back(), ring.front(), b, rank_of(comm)});
    }
    const std::vector<Link> links = deliver(comm, outgoing);
    std::unordered_map<long, long> index{{hub_id, 0}};
    std::vector<std::array<long, 2>> pairs;
    for (const Link& link : links)
      pairs.push_back({index.try_emplace(link.from, static_cast<long>(index.size())).first->second,
                       index.try_emplace(link.to, static_cast<long>(index.size())).first->second});
    const std::vector<long> whole = blocks_of(static_cast<long>(index.size()), pairs);
    std::vector<char> at_hub(pairs.size() + 1, 0);
    for (std::size_t p = 0; p < pairs.size(); ++p)
      if (pairs[p][0] == 0 || pairs[p][1] == 0) at_hub[at(whole[p])] = 1;
    std::vector<std::vector<long>> answers(at(ranks));
    for (std::size_t p = 0; p < pairs.size(); ++p)
      if (at_hub[at(whole[p])]) answers[at(links[p].rank)].push_back(links[p].block);
    for (const long b : deliver(comm, answers)) carries[at(b)] = 1;
  }
  std::vector<bool> result(share.segment.size(), false);
  for (std::size_t e = 0; e < segment.size(); ++e) result[segment[e]] = carries[at(block[e])] != 0;
  return result;
}

Pieces pieces_of(MPI_Comm comm, const VesselGraph& share, const NodeRoles& roles) {
  __extension__ using Fixed = __int128;
  Groups local;
  for (long n = 0; n < share.nodes(); ++n) (void)local.add();
  for (const auto& ends : share.segment) local.join(ends[0], ends[1]);
  std::vector<Fixed> length(share.position.size(), 0);
  for (long s = 0; s < share.segments(); ++s)
    length[at(local.find(share.segment[at(s)][0]))] += static_cast<Fixed>(std::ldexp(share.length[at(s)], 100));

  struct Meeting {
    long node;
    long group;  // of this rank
    Fixed length;
    int rank;
  };
  const int ranks = size_of(comm);
  std::vector<std::vector<Meeting>> outgoing(at(ranks));
  std::vector<char> meets(share.position.size(), 0);
  for (long n = 0; n < share.nodes(); ++n)
    if (roles.shared[at(n)]) {
      const long group = local.find(n);
      outgoing[0].push_back({share.node_id[at(n)], group, meets[at(group)] ? 0 : length[at(group)], rank_of(comm)});
      meets[at(group)] = 1;
    }
  Fixed longest = 0;
  Pieces result;
  for (long n = 0; n < share.nodes(); ++n) {
    if (local.find(n) != n || meets[at(n)]) continue;
    ++result.count;
    longest = std::max(longest, length[at(n)]);
  }
  Groups whole;
  std::vector<Fixed> total;
  std::unordered_map<long, long> of_node;
  std::vector<std::unordered_map<long, long>> of_group(at(ranks));
  const std::vector<Meeting> meetings = deliver(comm, outgoing);
  const auto known = [&](std::unordered_map<long, long>& names, long name) {
    const auto found = names.find(name);
    return found != names.end() ? found->second : names[name] = whole.add();
  };
  for (const Meeting& m : meetings) whole.join(known(of_node, m.node), known(of_group[at(m.rank)], m.group));
  for (const Meeting& m : meetings) {
    const auto group = at(whole.find(of_node[m.node]));
    if (group >= total.size()) total.resize(group + 1, -1);
    total[group] = std::max(total[group], Fixed{0}) + m.length;
  }
  for (const Fixed sum : total) {
    if (sum < 0) continue;
    ++result.count;
    longest = std::max(longest, sum);
  }
  result.count = count_over(comm, result.count);
  result.longest_length = max_over(comm, std::ldexp(static_cast<double>(longest), -100));
  return result;
}

}  // namespace sanctuary
