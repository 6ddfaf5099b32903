#include "solvers/network/share.hpp"

#include <cstdint>
#include <unordered_map>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

std::size_t at(long index) { return static_cast<std::size_t>(index); }

}  // namespace

long count_over(MPI_Comm comm, long value) {
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_LONG, MPI_SUM, comm);
  return value;
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
