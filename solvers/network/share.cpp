#include "solvers/network/share.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "base/comm.hpp"
#include "base/error.hpp"

namespace sanctuary {
namespace {

std::size_t at(long i) { return static_cast<std::size_t>(i); }

constexpr std::size_t node_numbers = 6, node_integers = 2;  // position, value, haematocrit, pO2; id, boundary
constexpr std::size_t segment_numbers = 5, segment_integers = 4;

/// Parts of networks on their way to one rank.
struct Parcel {
  std::vector<double> numbers;
  std::vector<long> integers;
};

void pack_node(const VesselGraph& graph, std::size_t n, Parcel& parcel) {
  const auto& p = graph.position[n];
  parcel.numbers.insert(parcel.numbers.end(), {p[0], p[1], p[2], graph.boundary_value[n], graph.boundary_haematocrit[n],
                                               graph.boundary_po2[n]});
  parcel.integers.insert(parcel.integers.end(), {graph.node_id[n], static_cast<long>(graph.boundary[n])});
}

void pack_segment(const VesselGraph& graph, std::size_t s, Parcel& parcel) {
  const double nan = std::nan("");
  parcel.numbers.insert(parcel.numbers.end(), {graph.radius[s], graph.length[s], graph.maturity[s],
                                               graph.has_file_flow() ? graph.file_flow[s] : nan,
                                               graph.has_file_haematocrit() ? graph.file_haematocrit[s] : nan});
  parcel.integers.insert(parcel.integers.end(),
                         {graph.node_id[at(graph.segment[s][0])], graph.node_id[at(graph.segment[s][1])],
                          graph.segment_id[s], graph.type[s]});
}

/// Takes parcels apart; a node that comes twice is kept once.
class Unpacker {
 public:
  Unpacker(bool flow, bool haematocrit) : flow_(flow), haematocrit_(haematocrit) {}

  void nodes(const Parcel& parcel, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const double* x = parcel.numbers.data() + node_numbers * i;
      const long* k = parcel.integers.data() + node_integers * i;
      const auto [place, fresh] = index_.try_emplace(k[0], graph.nodes());
      if (!fresh) continue;
      const long n = graph.add_node({x[0], x[1], x[2]}, k[0]);
      graph.set_boundary(n, static_cast<BoundaryKind>(k[1]), x[3], x[4], x[5]);
    }
  }
  void segments(const Parcel& parcel, std::size_t nodes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const double* x = parcel.numbers.data() + node_numbers * nodes + segment_numbers * i;
      const long* k = parcel.integers.data() + node_integers * nodes + segment_integers * i;
      graph.segment.push_back({index_.at(k[0]), index_.at(k[1])});
      graph.segment_id.push_back(k[2]);
      graph.type.push_back(static_cast<int>(k[3]));
      graph.radius.push_back(x[0]);
      graph.length.push_back(x[1]);
      graph.maturity.push_back(x[2]);
      if (flow_) graph.file_flow.push_back(x[3]);
      if (haematocrit_) graph.file_haematocrit.push_back(x[4]);
    }
  }
  VesselGraph graph;

 private:
  std::unordered_map<long, long> index_;
  bool flow_, haematocrit_;
};

/// Sends nodes and segments, listed per rank, and unpacks what arrives by rising rank.
VesselGraph delivered_graph(MPI_Comm comm, const VesselGraph& share, const std::vector<std::vector<std::size_t>>& nodes,
                            const std::vector<std::vector<std::size_t>>& segments) {
  const std::size_t ranks = nodes.size();
  std::vector<std::vector<double>> numbers(ranks);
  std::vector<std::vector<long>> integers(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    Parcel parcel;
    for (const std::size_t n : nodes[r]) pack_node(share, n, parcel);
    for (const std::size_t s : segments[r]) pack_segment(share, s, parcel);
    numbers[r] = std::move(parcel.numbers);
    integers[r] = std::move(parcel.integers);
    if (!nodes[r].empty() || !segments[r].empty())
      integers[r].insert(integers[r].end(),
                         {static_cast<long>(nodes[r].size()), static_cast<long>(segments[r].size())});
  }
  numbers = exchange_lists(comm, numbers);
  integers = exchange_lists(comm, integers);
  Unpacker unpacker(max_over(comm, share.has_file_flow() ? 1 : 0) > 0,
                    max_over(comm, share.has_file_haematocrit() ? 1 : 0) > 0);
  for (std::size_t r = 0; r < ranks; ++r) {
    if (integers[r].empty()) continue;
    const Parcel parcel{std::move(numbers[r]), std::move(integers[r])};
    const auto node_count = at(parcel.integers[parcel.integers.size() - 2]), segment_count = at(parcel.integers.back());
    unpacker.nodes(parcel, node_count);
    unpacker.segments(parcel, node_count, segment_count);
  }
  return std::move(unpacker.graph);
}

std::vector<char> touched_nodes(const VesselGraph& graph) {
  std::vector<char> touched(graph.position.size(), 0);
  for (const auto& ends : graph.segment)
    for (const long n : ends) touched[at(n)] = 1;
  return touched;
}

}  // namespace

VesselGraph spread(MPI_Comm comm, const VesselGraph& share, const ShareOwner& owner, const SeenBy& seen_by) {
  const auto ranks = static_cast<std::size_t>(size_of(comm));
  if (ranks == 1) return share;
  std::vector<std::vector<std::size_t>> nodes(ranks), segments(ranks);
  std::vector<std::unordered_set<std::size_t>> sent(ranks);
  const auto send_node = [&](std::size_t n, std::size_t r) {
    if (sent[r].insert(n).second) nodes[r].push_back(n);
  };
  std::vector<std::size_t> ranks_of_segment;
  for (long s = 0; s < share.segments(); ++s) {
    ranks_of_segment.clear();
    seen_by(share, s, [&](int r) {
      const auto rank = static_cast<std::size_t>(r);
      if (std::find(ranks_of_segment.begin(), ranks_of_segment.end(), rank) == ranks_of_segment.end())
        ranks_of_segment.push_back(rank);
    });
    for (const std::size_t r : ranks_of_segment) {
      segments[r].push_back(at(s));
      for (const long n : share.segment[at(s)]) send_node(at(n), r);
    }
  }
  const std::vector<char> touched = touched_nodes(share);
  for (std::size_t n = 0; n < touched.size(); ++n) {
    if (!touched[n]) send_node(n, static_cast<std::size_t>(owner(share.position[n])));
  }
  return delivered_graph(comm, share, nodes, segments);
}

VesselGraph share_of_root(MPI_Comm comm, const VesselGraph& graph) {
  return rank_of(comm) == 0 ? graph : VesselGraph{};
}

VesselGraph gathered(MPI_Comm comm, const VesselGraph& share) {
  const auto ranks = static_cast<std::size_t>(size_of(comm));
  VesselGraph whole = share;
  if (ranks > 1) {
    std::vector<std::vector<std::size_t>> nodes(ranks), segments(ranks);
    for (std::size_t n = 0; n < share.position.size(); ++n) nodes[0].push_back(n);
    for (std::size_t s = 0; s < share.segment.size(); ++s) segments[0].push_back(s);
    whole = delivered_graph(comm, share, nodes, segments);
  }
  if (rank_of(comm) != 0) return {};
  std::vector<long> node_order(whole.position.size()), segment_order(whole.segment.size()), new_node(node_order.size());
  for (std::size_t n = 0; n < node_order.size(); ++n) node_order[n] = static_cast<long>(n);
  for (std::size_t s = 0; s < segment_order.size(); ++s) segment_order[s] = static_cast<long>(s);
  std::sort(node_order.begin(), node_order.end(),
            [&](long a, long b) { return whole.node_id[at(a)] < whole.node_id[at(b)]; });
  std::sort(segment_order.begin(), segment_order.end(),
            [&](long a, long b) { return whole.segment_id[at(a)] < whole.segment_id[at(b)]; });
  VesselGraph sorted;
  for (const long n : node_order) {
    new_node[at(n)] = sorted.add_node(whole.position[at(n)], whole.node_id[at(n)]);
    sorted.set_boundary(new_node[at(n)], whole.boundary[at(n)], whole.boundary_value[at(n)],
                        whole.boundary_haematocrit[at(n)], whole.boundary_po2[at(n)]);
  }
  for (const long s : segment_order) {
    sorted.segment.push_back({new_node[at(whole.segment[at(s)][0])], new_node[at(whole.segment[at(s)][1])]});
    sorted.segment_id.push_back(whole.segment_id[at(s)]);
    sorted.radius.push_back(whole.radius[at(s)]);
    sorted.length.push_back(whole.length[at(s)]);
    sorted.maturity.push_back(whole.maturity[at(s)]);
    sorted.type.push_back(whole.type[at(s)]);
    if (whole.has_file_flow()) sorted.file_flow.push_back(whole.file_flow[at(s)]);
    if (whole.has_file_haematocrit()) sorted.file_haematocrit.push_back(whole.file_haematocrit[at(s)]);
  }
  return sorted;
}

ShareOwner balanced_owner(MPI_Comm comm, const VesselGraph& share) {
  struct Region {
    int first, ranks;
    std::array<double, 3> low, high;
    int axis = -1;
    double cut = 0;
    int left = -1, right = -1;
  };
  const double far = std::numeric_limits<double>::max();
  std::vector<std::array<double, 3>> middle(share.segment.size());
  std::array<double, 3> low{far, far, far}, high{-far, -far, -far};
  for (std::size_t s = 0; s < middle.size(); ++s) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      middle[s][axis] =
          0.5 * (share.position[at(share.segment[s][0])][axis] + share.position[at(share.segment[s][1])][axis]);
      low[axis] = std::min(low[axis], middle[s][axis]);
      high[axis] = std::max(high[axis], middle[s][axis]);
    }
  }
  MPI_Allreduce(MPI_IN_PLACE, low.data(), 3, MPI_DOUBLE, MPI_MIN, comm);
  MPI_Allreduce(MPI_IN_PLACE, high.data(), 3, MPI_DOUBLE, MPI_MAX, comm);
  std::vector<Region> tree{{0, size_of(comm), low, high}};
  std::vector<std::vector<std::size_t>> inside(1);
  for (std::size_t s = 0; s < middle.size(); ++s) inside[0].push_back(s);
  for (std::size_t i = 0; i < tree.size(); ++i) {
    if (tree[i].ranks == 1) continue;
    Region here = tree[i];
    here.axis = 0;
    for (int axis = 1; axis < 3; ++axis) {
      const auto a = static_cast<std::size_t>(axis), b = static_cast<std::size_t>(here.axis);
      if (here.high[a] - here.low[a] > here.high[b] - here.low[b]) here.axis = axis;
    }
    const auto axis = static_cast<std::size_t>(here.axis);
    const int left_ranks = here.ranks / 2;
    const long all = count_over(comm, static_cast<long>(inside[i].size()));
    const double wanted = static_cast<double>(all) * left_ranks / here.ranks;
    double from = here.low[axis], to = here.high[axis];
    for (int step = 0; step < 40; ++step) {
      here.cut = 0.5 * (from + to);
      long below = 0;
      for (const std::size_t s : inside[i]) below += middle[s][axis] < here.cut;
      (static_cast<double>(count_over(comm, below)) < wanted ? from : to) = here.cut;
    }
    Region left{here.first, left_ranks, here.low, here.high},
        right{here.first + left_ranks, here.ranks - left_ranks, here.low, here.high};
    left.high[axis] = right.low[axis] = here.cut;
    std::vector<std::size_t> below, above;
    for (const std::size_t s : inside[i]) (middle[s][axis] < here.cut ? below : above).push_back(s);
    here.left = static_cast<int>(tree.size());
    here.right = here.left + 1;
    tree[i] = here;
    tree.push_back(left);
    tree.push_back(right);
    inside.push_back(std::move(below));
    inside.push_back(std::move(above));
    inside[i].clear();
  }
  return [tree = std::move(tree)](const std::array<double, 3>& point) {
    std::size_t i = 0;
    while (tree[i].axis >= 0)
      i = static_cast<std::size_t>(point[static_cast<std::size_t>(tree[i].axis)] < tree[i].cut ? tree[i].left
                                                                                               : tree[i].right);
    return tree[i].first;
  };
}

RootOrder::RootOrder(MPI_Comm comm, std::span<const std::array<long, 2>> keys)
    : comm_(comm), size_(count_over(comm, static_cast<long>(keys.size()))), owned_(keys.size()) {
  std::vector<std::vector<long>> out(static_cast<std::size_t>(size_of(comm)));
  for (const auto& key : keys) out[0].insert(out[0].end(), {key[0], key[1]});
  const auto in = exchange_lists(comm, out);
  if (rank_of(comm) != 0) return;
  struct Entry {
    std::array<long, 2> key;
    std::size_t rank, number;
  };
  std::vector<Entry> all;
  for (std::size_t r = 0; r < in.size(); ++r) {
    count_.push_back(static_cast<long>(in[r].size() / 2));
    place_.emplace_back(in[r].size() / 2);
    for (std::size_t i = 0; i < in[r].size() / 2; ++i) all.push_back({{in[r][2 * i], in[r][2 * i + 1]}, r, i});
  }
  std::sort(all.begin(), all.end(), [](const Entry& a, const Entry& b) { return a.key < b.key; });
  for (std::size_t i = 0; i < all.size(); ++i) place_[all[i].rank][all[i].number] = static_cast<long>(i);
}

std::vector<double> RootOrder::gather(std::span<const double> owned) const {
  std::vector<std::vector<double>> out(static_cast<std::size_t>(size_of(comm_)));
  out[0].assign(owned.begin(), owned.begin() + static_cast<long>(owned_));
  const auto in = exchange_lists(comm_, out);
  if (rank_of(comm_) != 0) return {};
  std::vector<double> all(at(size_));
  for (std::size_t r = 0; r < in.size(); ++r)
    for (std::size_t i = 0; i < in[r].size(); ++i) all[at(place_[r][i])] = in[r][i];
  return all;
}

std::vector<double> RootOrder::scatter(std::span<const double> all) const {
  std::vector<std::vector<double>> out(static_cast<std::size_t>(size_of(comm_)));
  for (std::size_t r = 0; r < place_.size(); ++r)
    for (const long i : place_[r]) out[r].push_back(all[at(i)]);
  return exchange_lists(comm_, out)[0];
}

GraphShare share_of(const VesselGraph& whole, const std::vector<bool>& mine, bool with_isolated) {
  GraphShare result;
  std::vector<char> touched(whole.position.size(), with_isolated ? 1 : 0);
  if (with_isolated)
    for (const auto& ends : whole.segment)
      for (const long n : ends) touched[at(n)] = 0;
  for (std::size_t s = 0; s < mine.size(); ++s) {
    if (!mine[s]) continue;
    for (const long n : whole.segment[s]) touched[at(n)] = 1;
  }
  std::vector<long> index(whole.position.size(), -1);
  VesselGraph& graph = result.graph;
  for (std::size_t n = 0; n < touched.size(); ++n) {
    if (!touched[n]) continue;
    index[n] = graph.add_node(whole.position[n], whole.node_id[n]);
    graph.set_boundary(index[n], whole.boundary[n], whole.boundary_value[n], whole.boundary_haematocrit[n],
                       whole.boundary_po2[n]);
    result.node.push_back(static_cast<long>(n));
  }
  for (std::size_t s = 0; s < mine.size(); ++s) {
    if (!mine[s]) continue;
    const auto [first, second] = whole.segment[s];
    graph.add_segment(index[at(first)], index[at(second)], whole.radius[s], whole.segment_id[s]);
    graph.length.back() = whole.length[s];
    graph.maturity.back() = whole.maturity[s];
    graph.type.back() = whole.type[s];
    result.segment.push_back(static_cast<long>(s));
  }
  for (const long s : result.segment) {
    if (whole.has_file_flow()) graph.file_flow.push_back(whole.file_flow[at(s)]);
    if (whole.has_file_haematocrit()) graph.file_haematocrit.push_back(whole.file_haematocrit[at(s)]);
  }
  return result;
}

GraphShare block_share(const VesselGraph& whole, int rank, int ranks) {
  const long count = whole.segments(), first = count * rank / ranks, last = count * (rank + 1) / ranks;
  std::vector<bool> mine(whole.segment.size());
  for (long s = first; s < last; ++s) mine[at(s)] = true;
  return share_of(whole, mine, rank + 1 == ranks);
}

int meeting_rank(long node_id, int ranks) {
  auto hash = static_cast<std::uint64_t>(node_id) + 0x9e3779b97f4a7c15ULL;  // the finaliser of SplitMix64
  hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9ULL;
  hash = (hash ^ hash >> 27) * 0x94d049bb133111ebULL;
  return static_cast<int>((hash ^ hash >> 31) % static_cast<std::uint64_t>(ranks));
}

NodeRoles node_roles(MPI_Comm comm, const VesselGraph& share) {
  struct Question {
    long node, degree;
    int from;
  };
  struct Answer {
    long degree;
    char shared, counts;
  };
  const int ranks = size_of(comm);
  NodeRoles roles;
  roles.degree.assign(share.position.size(), 0);
  roles.shared.assign(share.position.size(), 0);
  roles.counts.assign(share.position.size(), 1);
  for (const auto& ends : share.segment)
    for (const long n : ends) ++roles.degree[at(n)];
  if (ranks == 1) return roles;

  std::vector<std::vector<Question>> questions(at(ranks));
  std::vector<std::vector<std::size_t>> asked(at(ranks));
  for (std::size_t n = 0; n < share.position.size(); ++n) {
    const auto to = at(meeting_rank(share.node_id[n], ranks));
    questions[to].push_back({share.node_id[n], roles.degree[n], rank_of(comm)});
    asked[to].push_back(n);
  }
  struct Met {
    long degree = 0, holders = 0;
    int lowest = 0;
  };
  const std::vector<Question> arrived = deliver(comm, questions);  // in the order of the ranks
  std::unordered_map<long, Met> met;
  for (const Question& q : arrived) {
    Met& node = met[q.node];
    if (node.holders == 0) node.lowest = q.from;
    node.degree += q.degree;
    ++node.holders;
  }
  std::vector<std::vector<Answer>> answers(at(ranks));
  for (const Question& q : arrived) {
    const Met& node = met[q.node];
    answers[at(q.from)].push_back({node.degree, node.holders > 1, node.lowest == q.from});
  }
  const std::vector<Answer> back = deliver(comm, answers);
  std::size_t next = 0;
  for (const auto& nodes : asked) {
    for (const std::size_t n : nodes) {
      const Answer& answer = back[next++];
      roles.degree[n] = answer.degree;
      roles.shared[n] = answer.shared;
      roles.counts[n] = answer.counts;
    }
  }
  return roles;
}

}  // namespace sanctuary
