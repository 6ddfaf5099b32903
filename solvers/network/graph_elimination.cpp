#include "solvers/network/graph_elimination.hpp"

#include <algorithm>

namespace sanctuary {
namespace {

std::size_t at(long i) { return static_cast<std::size_t>(i); }

struct Near {
  int node, edge;
};

}  // namespace

GraphElimination::GraphElimination(std::size_t nodes, std::vector<std::array<int, 2>> edges, std::vector<char> locked,
                                   int largest_degree)
    : given_(edges.size()), edges_(std::move(edges)), excess_(nodes) {
  // Lists of neighbours in one array: a node's list grows only while it is short, in blocks of its own.
  std::vector<std::vector<Near>> wide(nodes);  // lists longer than the room below
  constexpr int room = 4;
  std::vector<std::array<Near, room>> narrow(nodes);
  std::vector<int> degree(nodes, 0);
  const auto list = [&](int n) { return wide[at(n)].empty() ? narrow[at(n)].data() : wide[at(n)].data(); };
  const auto append = [&](int n, Near entry) {
    auto& more = wide[at(n)];
    if (more.empty() && degree[at(n)] == room) more.assign(narrow[at(n)].begin(), narrow[at(n)].end());
    if (!more.empty()) {
      more.resize(at(degree[at(n)]));
      more.push_back(entry);
    } else {
      narrow[at(n)][at(degree[at(n)])] = entry;
    }
    ++degree[at(n)];
  };
  const auto find = [&](int a, int b) {
    const Near* entries = list(a);
    for (int i = 0; i < degree[at(a)]; ++i) {
      if (entries[i].node == b) return i;
    }
    return -1;
  };
  for (std::size_t e = 0; e < edges_.size(); ++e) {
    append(edges_[e][0], {edges_[e][1], static_cast<int>(e)});
    append(edges_[e][1], {edges_[e][0], static_cast<int>(e)});
  }
  std::vector<std::vector<int>> bucket(at(largest_degree) + 1);
  std::vector<char> gone(nodes, 0);
  const auto offer = [&](int n) {
    if (!locked[at(n)] && !gone[at(n)] && degree[at(n)] <= largest_degree) bucket[at(degree[at(n)])].push_back(n);
  };
  for (std::size_t n = nodes; n-- > 0;) offer(static_cast<int>(n));
  std::vector<Near> around;
  for (std::size_t d = 0; d < bucket.size();) {
    if (bucket[d].empty()) {
      ++d;
      continue;
    }
    const int v = bucket[d].back();
    bucket[d].pop_back();
    if (gone[at(v)] || degree[at(v)] != static_cast<int>(d)) continue;
    gone[at(v)] = 1;
    around.assign(list(v), list(v) + degree[at(v)]);
    steps_.push_back({v, neighbour_.size(), target_.size(), 0});
    for (const Near& n : around) {
      neighbour_.push_back(n.node);
      edge_of_.push_back(n.edge);
      Near* entries = list(n.node);
      const int place = find(n.node, v);
      entries[place] = entries[--degree[at(n.node)]];
    }
    // The edges of the node are free again; new ones take their places first.
    std::size_t reused = 0;
    for (std::size_t i = 0; i < around.size(); ++i) {
      for (std::size_t j = i + 1; j < around.size(); ++j) {
        const int a = around[i].node, b = around[j].node;
        const bool by_a = degree[at(a)] <= degree[at(b)];
        const int known = by_a ? find(a, b) : find(b, a);
        if (known >= 0) {
          target_.push_back((by_a ? list(a) : list(b))[known].edge);
          continue;
        }
        int edge = 0;
        if (reused < around.size()) {
          edge = around[reused++].edge;
          edges_[at(edge)] = {a, b};
        } else {
          edge = static_cast<int>(edges_.size());
          edges_.push_back({a, b});
        }
        target_.push_back(edge);
        append(a, {b, edge});
        append(b, {a, edge});
      }
    }
    for (const Near& n : around) offer(n.node);
    d = 0;
  }
  for (std::size_t n = 0; n < nodes; ++n) {
    if (!gone[n]) left_.push_back(static_cast<int>(n));
  }
  std::vector<char> listed(edges_.size(), 0);
  for (const int n : left_) {
    const Near* entries = list(n);
    for (int i = 0; i < degree[at(n)]; ++i) {
      if (!listed[at(entries[i].edge)]) edges_left_.push_back(entries[i].edge);
      listed[at(entries[i].edge)] = 1;
    }
  }
  std::sort(edges_left_.begin(), edges_left_.end());
  share_.resize(neighbour_.size());
}

void GraphElimination::eliminate(std::span<const double> weights, std::span<const double> excess) {
  weight_.assign(edges_.size(), 0.0);
  std::copy(weights.begin(), weights.end(), weight_.begin());
  excess_.assign(excess.begin(), excess.end());
  std::vector<double> own;
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    Step& step = steps_[s];
    const std::size_t end = s + 1 < steps_.size() ? steps_[s + 1].neighbours : neighbour_.size();
    const double held = excess_[at(step.node)];
    double all = held;
    own.clear();
    for (std::size_t k = step.neighbours; k < end; ++k) {
      own.push_back(weight_[at(edge_of_[k])]);
      weight_[at(edge_of_[k])] = 0;
      all += own.back();
    }
    step.inverse = all > 0 ? 1 / all : 0.0;  // nothing holds the node
    for (std::size_t k = step.neighbours; k < end; ++k) {
      share_[k] = own[k - step.neighbours] * step.inverse;
      excess_[at(neighbour_[k])] += share_[k] * held;
    }
    std::size_t target = step.targets;
    for (std::size_t i = 0; i < own.size(); ++i) {
      for (std::size_t j = i + 1; j < own.size(); ++j)
        weight_[at(target_[target++])] += share_[step.neighbours + i] * own[j];
    }
  }
}

void GraphElimination::forward(std::span<double> b) const {
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    const std::size_t end = s + 1 < steps_.size() ? steps_[s + 1].neighbours : neighbour_.size();
    const double own = b[at(steps_[s].node)];
    for (std::size_t k = steps_[s].neighbours; k < end; ++k) b[at(neighbour_[k])] += share_[k] * own;
  }
}

void GraphElimination::backward(std::span<double> x) const {
  for (std::size_t s = steps_.size(); s-- > 0;) {
    const std::size_t end = s + 1 < steps_.size() ? steps_[s + 1].neighbours : neighbour_.size();
    double value = x[at(steps_[s].node)] * steps_[s].inverse;
    for (std::size_t k = steps_[s].neighbours; k < end; ++k) value += share_[k] * x[at(neighbour_[k])];
    x[at(steps_[s].node)] = value;
  }
}

std::size_t GraphElimination::memory() const {
  const auto bytes = [](const auto& list) { return list.capacity() * sizeof(list[0]); };
  return bytes(edges_) + bytes(steps_) + bytes(neighbour_) + bytes(edge_of_) + bytes(target_) + bytes(share_) +
         bytes(left_) + bytes(edges_left_) + bytes(weight_) + bytes(excess_);
}

GraphSolver::GraphSolver(std::size_t nodes, std::vector<std::array<int, 2>> edges)
    : sparse_(nodes, std::move(edges), std::vector<char>(nodes, 0), 12), place_(nodes, -1) {
  for (std::size_t i = 0; i < sparse_.left().size(); ++i) place_[at(sparse_.left()[i])] = static_cast<int>(i);
}

void GraphSolver::set(std::span<const double> weights, std::span<const double> excess) {
  sparse_.eliminate(weights, excess);
  const std::size_t n = sparse_.left().size();
  std::vector<double> held(n);
  share_.assign(n * n, 0.0);
  inverse_.assign(n, 0.0);
  for (std::size_t i = 0; i < n; ++i) held[i] = sparse_.excess(sparse_.left()[i]);
  for (const int e : sparse_.edges_left()) {
    const std::size_t a = at(place_[at(sparse_.edge(e)[0])]), b = at(place_[at(sparse_.edge(e)[1])]);
    share_[a * n + b] = share_[b * n + a] = sparse_.weight(e);
  }
  for (std::size_t v = 0; v < n; ++v) {
    double* row = share_.data() + v * n;
    double all = held[v];
    for (std::size_t j = v + 1; j < n; ++j) all += row[j];
    inverse_[v] = all > 0 ? 1 / all : 0.0;
    for (std::size_t i = v + 1; i < n; ++i) {
      const double part = row[i] * inverse_[v];
      if (part == 0) continue;
      held[i] += part * held[v];
      double* other = share_.data() + i * n;
      for (std::size_t j = v + 1; j < n; ++j) other[j] += part * row[j];
    }
    for (std::size_t j = v + 1; j < n; ++j) {
      row[j] *= inverse_[v];
      share_[j * n + j] = 0;  // a loop carries nothing
    }
  }
}

void GraphSolver::solve(std::span<double> b) const {
  sparse_.forward(b);
  const std::size_t n = sparse_.left().size();
  std::vector<double> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = b[at(sparse_.left()[i])];
  for (std::size_t v = 0; v < n; ++v) {
    for (std::size_t j = v + 1; j < n; ++j) x[j] += share_[v * n + j] * x[v];
  }
  for (std::size_t v = n; v-- > 0;) {
    x[v] *= inverse_[v];
    for (std::size_t j = v + 1; j < n; ++j) x[v] += share_[v * n + j] * x[j];
  }
  for (std::size_t i = 0; i < n; ++i) b[at(sparse_.left()[i])] = x[i];
  sparse_.backward(b);
}

std::size_t GraphSolver::memory() const {
  return sparse_.memory() + (share_.capacity() + inverse_.capacity()) * sizeof(double) +
         place_.capacity() * sizeof(int);
}

}  // namespace sanctuary
