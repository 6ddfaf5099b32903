#include "solvers/network/segment_homes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

std::size_t at(long i) { return static_cast<std::size_t>(i); }

constexpr double no_value = std::numeric_limits<double>::quiet_NaN();

}  // namespace

SegmentHomes::SegmentHomes(const CutNetwork& network, const ShareOwner& owner) : network_(&network) {
  const VesselGraph& seen = network.graph;
  const auto ranks = at(size_of(network.comm));
  const auto home = [&](const VesselGraph& graph, long s) {
    const auto& a = graph.position[at(graph.segment[at(s)][0])];
    const auto& b = graph.position[at(graph.segment[at(s)][1])];
    return owner({0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]), 0.5 * (a[2] + b[2])});
  };
  own_pieces_.resize(seen.segment.size());
  pieces_.resize(seen.segment.size());
  std::vector<bool> drop(seen.segment.size(), true);  // a segment is sent home by the rank of its first piece
  for (std::size_t p = 0; p < network.pieces(); ++p) {
    const std::size_t s = at(network.piece_segment[p]);
    pieces_[s].push_back(p);
    if (p >= network.own_pieces) continue;
    own_pieces_[s].push_back(p);
    if (network.piece_part[p] == 0) drop[s] = false;
  }
  VesselGraph first = without_segments(seen, drop);
  if (ranks > 1) first = without_isolated_nodes(first);
  share_ =
      spread(network.comm, first, owner,
             [&](const VesselGraph& graph, long s, const std::function<void(int)>& visit) { visit(home(graph, s)); });

  std::vector<std::vector<std::size_t>> brought(ranks);
  for (std::size_t s = 0; s < pieces_.size(); ++s) {
    if (!pieces_[s].empty()) brought[at(home(seen, static_cast<long>(s)))].push_back(s);
  }
  segments_ = meet(brought, seen.segment_id, share_.segment_id);

  std::vector<std::vector<std::size_t>> at_nodes(ranks);
  std::vector<std::vector<long>> ids(ranks);
  for (std::size_t n = 0; n < share_.node_id.size(); ++n) {
    const auto to = at(meeting_rank(share_.node_id[n], static_cast<int>(ranks)));
    at_nodes[to].push_back(n);
    ids[to].push_back(share_.node_id[n]);
  }
  std::vector<long> here = deliver(network.comm, ids);
  std::sort(here.begin(), here.end());
  here.erase(std::unique(here.begin(), here.end()), here.end());
  places_ = here.size();
  nodes_ = meet(at_nodes, share_.node_id, here);
}

SegmentHomes::Meeting SegmentHomes::meet(const std::vector<std::vector<std::size_t>>& brought, std::span<const long> id,
                                         std::span<const long> id_here) const {
  std::vector<std::vector<std::array<long, 2>>> names(brought.size());
  for (std::size_t r = 0; r < brought.size(); ++r) {
    for (const std::size_t i : brought[r]) names[r].push_back({rank_of(network_->comm), id[i]});
  }
  std::unordered_map<long, std::size_t> place;
  for (std::size_t i = 0; i < id_here.size(); ++i) place.emplace(id_here[i], i);
  Meeting meeting{.brought = brought, .place = {}, .from = {}};
  for (const auto& [from, name] : deliver(network_->comm, names)) {
    meeting.place.push_back(place.at(name));
    meeting.from.push_back(at(from));
  }
  return meeting;
}

std::vector<double> SegmentHomes::mean(std::span<const double> of_own_pieces) const {
  std::vector<std::vector<std::array<double, 2>>> parts(segments_.brought.size());  // length, length times value
  for (std::size_t r = 0; r < parts.size(); ++r) {
    for (const std::size_t s : segments_.brought[r]) {
      auto& [length, sum] = parts[r].emplace_back();
      length = sum = 0;
      for (const std::size_t p : own_pieces_[s]) {
        length += network_->piece_length[p];
        sum += network_->piece_length[p] * of_own_pieces[p];
      }
    }
  }
  const auto arrived = deliver(network_->comm, parts);
  std::vector<double> length(share_.segment.size(), 0.0), result(length);
  for (std::size_t i = 0; i < arrived.size(); ++i) {
    length[segments_.place[i]] += arrived[i][0];
    result[segments_.place[i]] += arrived[i][1];
  }
  for (std::size_t s = 0; s < result.size(); ++s) result[s] = length[s] > 0 ? result[s] / length[s] : 0.0;
  return result;
}

std::vector<std::array<double, 2>> SegmentHomes::ends(std::span<const double> of_nodes) const {
  struct Ends {
    std::array<double, 2> value;
    std::array<char, 2> known;
  };
  std::vector<std::vector<Ends>> parts(segments_.brought.size());
  for (std::size_t r = 0; r < parts.size(); ++r) {
    for (const std::size_t s : segments_.brought[r]) {
      Ends& ends = parts[r].emplace_back(Ends{{no_value, no_value}, {0, 0}});
      for (const std::size_t p : own_pieces_[s]) {
        for (const std::size_t end : {0U, 1U}) {
          if (network_->piece_span[p][end] != static_cast<double>(end)) continue;
          ends.value[end] = of_nodes[at(network_->piece_nodes[p][end])];
          ends.known[end] = 1;
        }
      }
    }
  }
  const auto arrived = deliver(network_->comm, parts);
  std::vector<std::array<double, 2>> result(share_.segment.size(), {no_value, no_value});
  for (std::size_t i = 0; i < arrived.size(); ++i) {
    for (const std::size_t end : {0U, 1U}) {
      if (arrived[i].known[end]) result[segments_.place[i]][end] = arrived[i].value[end];
    }
  }
  return result;
}

std::vector<double> SegmentHomes::to_pieces(std::span<const double> of_segments) const {
  std::vector<std::vector<double>> answers(segments_.brought.size());
  for (std::size_t i = 0; i < segments_.place.size(); ++i) {
    answers[segments_.from[i]].push_back(of_segments[segments_.place[i]]);
  }
  const std::vector<double> arrived = deliver(network_->comm, answers);
  std::vector<double> result(network_->pieces());
  std::size_t next = 0;
  for (const auto& list : segments_.brought) {
    for (const std::size_t s : list) {
      for (const std::size_t p : pieces_[s]) result[p] = arrived[next];
      ++next;
    }
  }
  return result;
}

RootOrder SegmentHomes::order() const {
  std::vector<std::array<long, 2>> keys;
  for (const long id : share_.segment_id) keys.push_back({0, id});
  return {network_->comm, keys};
}

void SegmentHomes::largest(std::span<double> of_share_nodes) const {
  std::vector<std::vector<double>> values(nodes_.brought.size());
  for (std::size_t r = 0; r < values.size(); ++r) {
    for (const std::size_t n : nodes_.brought[r]) values[r].push_back(of_share_nodes[n]);
  }
  const std::vector<double> arrived = deliver(network_->comm, values);
  std::vector<double> most(places_, -std::numeric_limits<double>::infinity());
  for (std::size_t i = 0; i < arrived.size(); ++i) {
    most[nodes_.place[i]] = std::max(most[nodes_.place[i]], arrived[i]);
  }
  for (auto& list : values) list.clear();
  for (std::size_t i = 0; i < arrived.size(); ++i) values[nodes_.from[i]].push_back(most[nodes_.place[i]]);
  const std::vector<double> answers = deliver(network_->comm, values);
  std::size_t next = 0;
  for (const auto& list : nodes_.brought) {
    for (const std::size_t n : list) of_share_nodes[n] = answers[next++];
  }
}

}  // namespace sanctuary
