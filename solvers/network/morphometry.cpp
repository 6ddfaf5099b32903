#include "solvers/network/morphometry.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <unordered_map>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "solvers/network/connectivity.hpp"
#include "solvers/network/share.hpp"
#include "solvers/statistics.hpp"

namespace sanctuary {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

using Point = std::array<double, 3>;

std::size_t at(long index) { return static_cast<std::size_t>(index); }

double distance(const Point& a, const Point& b) { return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]); }

// A number in units of 2^-100, so that sums do not depend on the order of their terms.
__extension__ using Fixed = __int128;
Fixed fixed(double value) { return static_cast<Fixed>(std::ldexp(value, 100)); }
double real(Fixed value) { return std::ldexp(static_cast<double>(value), -100); }

/// A vessel or part of one; an end is open where the vessel goes on on another rank.
struct Chain {
  std::array<long, 2> node{};
  std::array<Point, 2> place{};
  std::array<BoundaryKind, 2> boundary{};
  std::array<char, 2> unfinished{};
  char flows = 1;
  long segments = 0;
  Fixed length = 0, radius_length = 0;

  void add(const Chain& other) {
    flows = flows && other.flows;
    segments += other.segments;
    length += other.length;
    radius_length += other.radius_length;
  }
  void take_end(int end, const Chain& other, int other_end) {
    const auto e = at(end), o = at(other_end);
    node[e] = other.node[o];
    place[e] = other.place[o];
    boundary[e] = other.boundary[o];
    unfinished[e] = other.unfinished[o];
  }
};

/// Joins links that meet at nodes marked as passing. `meeting(link, end)` lists the ends (2 x link + end) at that place
/// if the vessel goes on there, and nothing where it ends. Each link ends up in one chain.
template <class Meeting>
std::vector<Chain> joined(const std::vector<Chain>& links, const Meeting& meeting) {
  std::vector<Chain> chains;
  std::vector<char> used(links.size(), 0);
  for (std::size_t first = 0; first < links.size(); ++first) {
    if (used[first]) continue;
    used[first] = 1;
    Chain chain = links[first];
    for (int side = 0; side < 2; ++side) {
      std::size_t link = first;
      int end = side;
      for (;;) {
        long next = -1;
        for (const long other : meeting(link, end))
          if (other >= 0 && other != static_cast<long>(2 * link) + end) next = other;
        if (next < 0 || used[at(next / 2)]) break;
        link = at(next / 2);
        end = 1 - static_cast<int>(next % 2);
        used[link] = 1;
        chain.add(links[link]);
        chain.take_end(side, links[link], end);
      }
    }
    chains.push_back(chain);
  }
  return chains;
}

void check_sizes(MPI_Comm comm, const VesselGraph& share) {
  together(comm, [&] {
    for (long s = 0; s < share.segments(); ++s) {
      for (const double size : {share.radius[at(s)], share.length[at(s)]})
        if (!(size >= 0 && size <= 1000))
          throw InputError("morphometry: segment " + std::to_string(share.segment_id[at(s)]) +
                           " has a radius or length of " + std::to_string(size) +
                           " m; expected 0 to 1000 m: check the unit, or repair the network");
    }
  });
}

std::vector<Chain> chains_of(MPI_Comm comm, const VesselGraph& share, const NodeRoles& roles) {
  check_sizes(comm, share);
  const auto passes = [&](long n) { return roles.degree[at(n)] == 2 && share.boundary[at(n)] == BoundaryKind::none; };
  std::vector<Chain> links(share.segment.size());
  std::vector<std::array<long, 2>> ends_at(share.position.size(), {-1, -1});  // at nodes where a vessel goes on
  for (std::size_t s = 0; s < links.size(); ++s) {
    Chain& link = links[s];
    for (std::size_t e = 0; e < 2; ++e) {
      const long n = share.segment[s][e];
      link.node[e] = share.node_id[at(n)];
      link.place[e] = share.position[at(n)];
      link.boundary[e] = share.boundary[at(n)];
      if (!passes(n)) continue;
      auto& list = ends_at[at(n)];
      list[list[0] < 0 ? 0 : 1] = static_cast<long>(2 * s + e);
    }
    link.flows = share.radius[s] > 0;
    link.segments = 1;
    link.length = fixed(share.length[s]);
    link.radius_length = fixed(share.radius[s] * share.length[s]);
  }
  for (std::size_t s = 0; s < links.size(); ++s)
    for (std::size_t e = 0; e < 2; ++e) {
      const long n = share.segment[s][e];
      links[s].unfinished[e] = passes(n) && ends_at[at(n)][1] < 0;
    }
  std::vector<Chain> chains = joined(links, [&](std::size_t link, int end) {
    const long n = share.segment[link][at(end)];
    return ends_at[at(n)];
  });
  const int ranks = size_of(comm);
  if (ranks == 1) return chains;

  // What crosses ranks is joined on rank 0: as much as the ranks share of nodes.
  const auto crosses = [](const Chain& chain) { return chain.unfinished[0] || chain.unfinished[1]; };
  std::vector<std::vector<Chain>> outgoing(at(ranks));
  std::copy_if(chains.begin(), chains.end(), std::back_inserter(outgoing[0]), crosses);
  chains.erase(std::remove_if(chains.begin(), chains.end(), crosses), chains.end());
  const std::vector<Chain> parts = deliver(comm, outgoing);
  std::unordered_map<long, std::array<long, 2>> meet;
  for (std::size_t p = 0; p < parts.size(); ++p)
    for (std::size_t e = 0; e < 2; ++e)
      if (parts[p].unfinished[e]) {
        auto& list = meet.try_emplace(parts[p].node[e], std::array<long, 2>{-1, -1}).first->second;
        list[list[0] < 0 ? 0 : 1] = static_cast<long>(2 * p + e);
      }
  constexpr std::array<long, 2> none{-1, -1};
  const std::vector<Chain> whole = joined(parts, [&](std::size_t part, int end) {
    return parts[part].unfinished[at(end)] ? meet.at(parts[part].node[at(end)]) : none;
  });
  chains.insert(chains.end(), whole.begin(), whole.end());
  return chains;
}

Vessel vessel(const Chain& chain) {
  Vessel result;
  result.node = chain.node;
  result.place = chain.place;
  result.boundary = chain.boundary;
  result.segments = chain.segments;
  result.open = chain.flows;
  result.length = real(chain.length);
  result.radius = chain.length > 0 ? real(chain.radius_length) / real(chain.length) : 0;
  return result;
}

/// Calls visit(cell) for each cell of a lattice that the line from a to b passes, in order.
template <class Visit>
void for_each_cell(const Point& a, const Point& b, const Point& corner, double edge, std::vector<double>& cuts,
                   const Visit& visit) {
  cuts.assign({0.0, 1.0});
  for (std::size_t d = 0; d < 3; ++d) {
    const double from = (a[d] - corner[d]) / edge, to = (b[d] - corner[d]) / edge;
    const double low = std::min(from, to), high = std::max(from, to);
    for (double plane = std::floor(low) + 1; plane < high; ++plane) cuts.push_back((plane - from) / (to - from));
  }
  std::sort(cuts.begin(), cuts.end());
  for (std::size_t i = 1; i < cuts.size(); ++i) {
    if (cuts.size() > 2 && !(cuts[i] - cuts[i - 1] > 1e-12)) continue;
    const double middle = 0.5 * (cuts[i - 1] + cuts[i]);
    std::array<long, 3> cell{};
    for (std::size_t d = 0; d < 3; ++d)
      cell[d] = static_cast<long>(std::floor((a[d] + middle * (b[d] - a[d]) - corner[d]) / edge));
    visit(cell);
  }
}

/// Segments of one rank in buckets of about one segment each.
class Buckets {
 public:
  explicit Buckets(const VesselGraph& share) : share_(&share) {
    box_ = sanctuary::bounding_box(share);
    const double largest = *std::max_element(box_.size.begin(), box_.size.end());
    const auto most = 4 * static_cast<double>(share.segments()) + 64;
    edge_ = largest > 0 ? largest / std::cbrt(most) / 4 : 1.0;
    for (;; edge_ *= 1.25) {
      double buckets = 1;
      for (std::size_t d = 0; d < 3; ++d) buckets *= std::floor(box_.size[d] / edge_) + 1;
      if (buckets <= most) break;
    }
    for (std::size_t d = 0; d < 3; ++d) cells_[d] = static_cast<long>(box_.size[d] / edge_) + 1;
    for (const double r : share.radius) widest_ = std::max(widest_, r);
    offset_.assign(at(cells_[0] * cells_[1] * cells_[2]) + 1, 0);
    std::vector<double> cuts;
    const auto visit_all = [&](const auto& visit) {
      for (std::size_t s = 0; s < share.segment.size(); ++s)
        for_each_cell(end(s, 0), end(s, 1), box_.origin, edge_, cuts,
                      [&](const std::array<long, 3>& cell) { visit(s, number(clamped(cell))); });
    };
    visit_all([&](std::size_t, std::size_t bucket) { ++offset_[bucket + 1]; });
    for (std::size_t b = 1; b < offset_.size(); ++b) offset_[b] += offset_[b - 1];
    segment_.resize(at(offset_.back()));
    std::vector<long> next(offset_.begin(), offset_.end() - 1);
    visit_all([&](std::size_t s, std::size_t bucket) { segment_[at(next[bucket]++)] = static_cast<long>(s); });
  }

  [[nodiscard]] const Box& box() const { return box_; }
  [[nodiscard]] double widest() const { return widest_; }

  /// Lowers `wall` and `axis` to the distances to this rank's nearest wall and centre line.
  void nearest(const Point& point, double& wall, double& axis) const {
    std::array<long, 3> home{};
    long first = 0, last = 0;  // rings that meet the lattice
    double margin = edge_;     // from the point to the next face of its own bucket
    for (std::size_t d = 0; d < 3; ++d) {
      const double place = (point[d] - box_.origin[d]) / edge_;
      home[d] = static_cast<long>(std::floor(place));
      margin = std::min({margin, (place - std::floor(place)) * edge_, (std::floor(place) + 1 - place) * edge_});
      first = std::max({first, -home[d], home[d] - cells_[d] + 1});
      last = std::max({last, std::abs(home[d]), std::abs(home[d] - cells_[d] + 1)});
    }
    for (long ring = first; ring <= last; ++ring) {
      // A little less than it is, so that rounding never hides a bucket and all partitions find the same digits.
      const double near = ring == 0 ? 0 : margin + (static_cast<double>(ring - 1) - 1e-9) * edge_;
      if (near > axis && near - widest_ > wall) break;
      std::array<long, 3> low{}, high{};
      for (std::size_t d = 0; d < 3; ++d) {
        low[d] = std::max(0L, home[d] - ring);
        high[d] = std::min(cells_[d] - 1, home[d] + ring);
      }
      for (long k = low[2]; k <= high[2]; ++k)
        for (long j = low[1]; j <= high[1]; ++j) {
          const bool shell = std::abs(k - home[2]) == ring || std::abs(j - home[1]) == ring;
          for (long i = low[0]; i <= high[0]; ++i) {
            if (!shell && std::abs(i - home[0]) != ring) {
              i = std::max(i, std::min(high[0], home[0] + ring - 1));  // nothing of the shell in between
              continue;
            }
            look_into(number({i, j, k}), point, wall, axis);
          }
        }
    }
  }

 private:
  [[nodiscard]] const Point& end(std::size_t segment, std::size_t which) const {
    return share_->position[at(share_->segment[segment][which])];
  }
  [[nodiscard]] std::array<long, 3> clamped(std::array<long, 3> cell) const {
    for (std::size_t d = 0; d < 3; ++d) cell[d] = std::clamp(cell[d], 0L, cells_[d] - 1);
    return cell;
  }
  [[nodiscard]] std::size_t number(const std::array<long, 3>& cell) const {
    return at(cell[0] + cells_[0] * (cell[1] + cells_[1] * cell[2]));
  }
  void look_into(std::size_t bucket, const Point& point, double& wall, double& axis) const {
    for (long i = offset_[bucket]; i < offset_[bucket + 1]; ++i) {
      const std::size_t s = at(segment_[at(i)]);
      const Point &a = end(s, 0), &b = end(s, 1);
      double along = 0, square = 0;
      for (std::size_t d = 0; d < 3; ++d) {
        along += (point[d] - a[d]) * (b[d] - a[d]);
        square += (b[d] - a[d]) * (b[d] - a[d]);
      }
      const double t = square > 0 ? std::clamp(along / square, 0.0, 1.0) : 0;
      const double apart = std::hypot(point[0] - a[0] - t * (b[0] - a[0]), point[1] - a[1] - t * (b[1] - a[1]),
                                      point[2] - a[2] - t * (b[2] - a[2]));
      axis = std::min(axis, apart);
      wall = std::min(wall, apart - share_->radius[s]);
    }
  }

  const VesselGraph* share_;
  Box box_;
  std::array<long, 3> cells_{};
  double edge_ = 1, widest_ = 0;
  std::vector<long> offset_, segment_;
};

void least_over(MPI_Comm comm, std::vector<double>& values) {
  MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_DOUBLE, MPI_MIN, comm);
}

}  // namespace

Distribution distribution(MPI_Comm comm, std::span<const double> values, std::span<const double> weights) {
  std::vector<double> used(values.begin(), values.end()), weight(weights.begin(), weights.end());
  if (!weights.empty()) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
      if (weights[i] != 0) used[kept] = values[i], weight[kept++] = weights[i];
    used.resize(kept);
    weight.resize(kept);
  } else {
    weight.assign(used.size(), 1.0);
  }
  Distribution result;
  result.count = count_over(comm, static_cast<long>(used.size()));
  if (result.count == 0) return result;
  constexpr std::array fractions{0.05, 0.25, 0.5, 0.75, 0.95};
  const std::vector<double> q = quantiles(comm, used, weight, fractions);  // also refuses NaN and negative weights
  result.quantile_05 = q[0], result.quantile_25 = q[1], result.median = q[2], result.quantile_75 = q[3];
  result.quantile_95 = q[4];
  double low = infinity, high = -infinity;
  for (const double v : used) low = std::min(low, v), high = std::max(high, v);
  result.smallest = min_over(comm, low);
  result.largest = max_over(comm, high);
  const double total = exact_sum_over(comm, weight);
  result.mean = weighted_sum(comm, weight, used) / total;
  for (double& v : used) v = (v - result.mean) * (v - result.mean);
  const bool weighted = count_over(comm, static_cast<long>(weights.size())) > 0;  // a rank may hold nothing
  const double divisor = weighted ? total : std::max(total - 1, 1.0);
  result.deviation = std::sqrt(weighted_sum(comm, weight, used) / divisor);
  return result;
}

Binned binned(MPI_Comm comm, std::span<const double> values, std::span<const double> weights,
              std::vector<double> edges) {
  const Histogram found = histogram(comm, values, weights, edges);
  Binned result{std::move(edges), found.inside, found.below, found.above};
  double total = result.below + result.above;
  for (const double w : result.share) total += w;
  if (total == 0) return result;
  for (double& w : result.share) w /= total;
  result.below /= total;
  result.above /= total;
  return result;
}

std::vector<double> even_edges(double low, double high, int bins) {
  std::vector<double> edges;
  for (int i = 0; i <= bins; ++i) edges.push_back(low + (high - low) * i / bins);
  return edges;
}

std::vector<double> decade_edges(int low, int high, int per_decade) {
  std::vector<double> edges;
  for (int i = 0; i <= (high - low) * per_decade; ++i)
    edges.push_back(std::pow(10.0, low + static_cast<double>(i) / per_decade));
  return edges;
}

double Vessel::chord() const { return distance(place[0], place[1]); }

std::vector<Vessel> vessels_of(MPI_Comm comm, const VesselGraph& share) {
  std::vector<Vessel> result;
  for (const Chain& chain : chains_of(comm, share, node_roles(comm, share))) result.push_back(vessel(chain));
  return result;
}

BoxCounts count_boxes(MPI_Comm comm, const VesselGraph& share, const Box& box, double smallest) {
  BoxCounts result;
  const double largest = *std::max_element(box.size.begin(), box.size.end());
  if (!(largest > 0) || count_over(comm, share.segments()) == 0) return result;
  const double edge = smallest;
  int sizes = 3;
  while (std::ldexp(edge, sizes) <= largest / 4 * (1 + 1e-9) && sizes < 20) ++sizes;

  // Signed indices of 21 bits each in one key; what lies on the far faces belongs to the last boxes.
  constexpr long centre = 1L << 20;
  const auto key = [](long x, long y, long z) {
    return static_cast<std::uint64_t>(x) << 42 | static_cast<std::uint64_t>(y) << 21 | static_cast<std::uint64_t>(z);
  };
  const auto unique = [](std::vector<std::uint64_t>& keys) {
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  };
  std::vector<std::uint64_t> keys;
  std::vector<double> cuts;
  for (std::size_t s = 0; s < share.segment.size(); ++s) {
    const Point &a = share.position[at(share.segment[s][0])], &b = share.position[at(share.segment[s][1])];
    for_each_cell(a, b, box.origin, edge, cuts, [&](std::array<long, 3> cell) {
      for (std::size_t d = 0; d < 3; ++d) {
        const double far = box.origin[d] + box.size[d] * (1 - 1e-12);
        const long beyond = std::lround(std::ceil(box.size[d] / edge * (1 - 1e-12)));
        if (cell[d] == beyond && beyond > 0 && std::max(a[d], b[d]) <= far + 2e-12 * largest) --cell[d];
        cell[d] = std::clamp(cell[d] + centre, 0L, 2 * centre - 1);
      }
      keys.push_back(key(cell[0], cell[1], cell[2]));
    });
    if (s % 65536 == 65535) unique(keys);
  }
  unique(keys);

  const int ranks = size_of(comm);
  for (int size = 0; size < sizes; ++size) {
    std::vector<std::vector<std::uint64_t>> outgoing(at(ranks));
    for (const auto k : keys) outgoing[at(meeting_rank(static_cast<long>(k), ranks))].push_back(k);
    keys = deliver(comm, outgoing);
    unique(keys);
    result.edge.push_back(std::ldexp(edge, size));
    result.count.push_back(count_over(comm, static_cast<long>(keys.size())));
    for (auto& k : keys) {
      constexpr std::uint64_t mask = (1UL << 21) - 1;
      // The shift keeps the corner of the box a lattice point: `centre` is a power of two.
      const auto halved = [&](std::uint64_t part) { return static_cast<long>(part & mask) / 2 + centre / 2; };
      k = key(halved(k >> 42), halved(k >> 21), halved(k));
    }
    unique(keys);
  }
  double x = 0, y = 0, xx = 0, xy = 0;
  result.fitted = std::min<std::size_t>(result.edge.size(), 4);
  const auto n = static_cast<double>(result.fitted);
  for (std::size_t i = 0; i < result.fitted; ++i) {
    const double u = -std::log(result.edge[i]), v = std::log(static_cast<double>(result.count[i]));
    x += u, y += v, xx += u * u, xy += u * v;
  }
  result.dimension = (n * xy - x * y) / (n * xx - x * x);
  return result;
}

VesselDistances vessel_distances(MPI_Comm comm, const VesselGraph& share, const Box& box, long points,
                                 std::uint64_t seed) {
  VesselDistances result;
  if (points <= 0 || count_over(comm, share.segments()) == 0) return result;
  const RandomStream draws(seed, "morphometry.points");
  std::vector<Point> place(at(points));
  for (std::size_t i = 0; i < place.size(); ++i)
    for (std::size_t d = 0; d < 3; ++d)
      place[i][d] = box.origin[d] + box.size[d] * draws.uniform(3 * static_cast<std::uint64_t>(i) + d);

  // First the points within this rank's own part; then, knowing how near others are, those it may come nearer to.
  std::vector<double> wall(place.size(), infinity), axis(place.size(), infinity);
  const bool holds = share.segments() > 0;
  const Buckets buckets(share);
  std::vector<double> apart(place.size(), infinity);
  if (holds)
    for (std::size_t i = 0; i < place.size(); ++i) {
      Point out{};
      for (std::size_t d = 0; d < 3; ++d)
        out[d] = std::max({0.0, buckets.box().origin[d] - place[i][d],
                           place[i][d] - buckets.box().origin[d] - buckets.box().size[d]});
      apart[i] = std::hypot(out[0], out[1], out[2]);
      if (apart[i] == 0) buckets.nearest(place[i], wall[i], axis[i]);
    }
  least_over(comm, wall);
  least_over(comm, axis);
  if (holds)
    for (std::size_t i = 0; i < place.size(); ++i)
      if (const double near = apart[i] * (1 - 1e-9);
          apart[i] > 0 && (near < axis[i] || near - buckets.widest() < wall[i]))
        buckets.nearest(place[i], wall[i], axis[i]);
  least_over(comm, wall);
  least_over(comm, axis);

  const auto rank = at(rank_of(comm)), ranks = at(size_of(comm));
  long inside = 0;
  for (std::size_t i = 0; i < place.size(); ++i) {
    inside += wall[i] < 0;
    if (wall[i] < 0 || i % ranks != rank) continue;
    result.wall.push_back(wall[i]);
    result.axis.push_back(axis[i]);
  }
  result.inside = static_cast<double>(inside) / static_cast<double>(points);
  return result;
}

Box bounding_box(MPI_Comm comm, const VesselGraph& share) {
  Point low{infinity, infinity, infinity}, high{-infinity, -infinity, -infinity};
  for (const auto& p : share.position)
    for (std::size_t d = 0; d < 3; ++d) low[d] = std::min(low[d], p[d]), high[d] = std::max(high[d], p[d]);
  Box box;
  for (std::size_t d = 0; d < 3; ++d) {
    low[d] = min_over(comm, low[d]), high[d] = max_over(comm, high[d]);
    if (low[d] <= high[d]) box.origin[d] = low[d], box.size[d] = high[d] - low[d];
  }
  return box;
}

NetworkStatistics statistics(MPI_Comm comm, const VesselGraph& share, const Box& box,
                             const MorphometrySettings& settings) {
  NetworkStatistics result;
  result.box = box;
  const NodeRoles roles = node_roles(comm, share);
  const std::vector<Chain> chains = chains_of(comm, share, roles);

  enum : std::size_t { segments, nodes, pressures, flows, blind, branching, vessels, first_type };
  std::array<long, first_type + 4> counts{};
  counts[segments] = share.segments();
  counts[vessels] = static_cast<long>(chains.size());
  std::vector<long> degrees;
  for (std::size_t n = 0; n < share.position.size(); ++n) {
    if (!roles.counts[n]) continue;
    const auto degree = at(roles.degree[n]);
    if (degree >= degrees.size()) degrees.resize(degree + 1, 0);
    ++degrees[degree];
    ++counts[nodes];
    counts[pressures] += share.boundary[n] == BoundaryKind::pressure;
    counts[flows] += share.boundary[n] == BoundaryKind::flow;
    counts[blind] += degree == 1 && share.boundary[n] == BoundaryKind::none;
    counts[branching] += degree >= 3;
  }
  std::vector<double> surface, volume, length(share.length), carried[4];
  for (std::size_t s = 0; s < share.segment.size(); ++s) {
    const double r = share.radius[s], l = share.length[s];
    surface.push_back(2 * std::numbers::pi * r * l);
    volume.push_back(std::numbers::pi * r * r * l);
    const auto type = at(std::clamp(share.type[s], 0, 3));
    ++counts[first_type + type];
    carried[type].push_back(l);
  }
  MPI_Allreduce(MPI_IN_PLACE, counts.data(), static_cast<int>(counts.size()), MPI_LONG, MPI_SUM, comm);
  long highest = static_cast<long>(degrees.size());
  MPI_Allreduce(MPI_IN_PLACE, &highest, 1, MPI_LONG, MPI_MAX, comm);
  degrees.resize(at(highest), 0);
  MPI_Allreduce(MPI_IN_PLACE, degrees.data(), static_cast<int>(highest), MPI_LONG, MPI_SUM, comm);

  const Pieces pieces = pieces_of(comm, share, roles);
  const std::vector<bool> carries = can_carry_flow(comm, share, roles);
  std::vector<double> carrying;
  for (std::size_t s = 0; s < share.segment.size(); ++s)
    if (carries[s]) carrying.push_back(share.length[s]);
  result.segments = counts[segments];
  result.nodes = counts[nodes];
  result.vessels = counts[vessels];
  result.pieces = pieces.count;
  result.end_nodes = degrees.size() > 1 ? degrees[1] : 0;
  result.blind_ends = counts[blind];
  result.branch_points = counts[branching];
  result.pressure_nodes = counts[pressures];
  result.flow_nodes = counts[flows];
  result.boundary_nodes = result.pressure_nodes + result.flow_nodes;
  result.loops = result.segments - result.nodes + result.pieces;
  result.degrees = std::move(degrees);
  result.total_length = exact_sum_over(comm, length);
  const double through = exact_sum_over(comm, carrying);
  if (result.total_length > 0) {
    result.through_flow_share = through / result.total_length;
    result.largest_piece_share = std::min(1.0, pieces.longest_length / result.total_length);
  }
  for (std::size_t type = 0; type < 4; ++type) {
    result.types[type].segments = counts[first_type + type];
    const double sum = exact_sum_over(comm, carried[type]);
    if (result.total_length > 0) result.types[type].length_share = sum / result.total_length;
  }
  const double all_surface = exact_sum_over(comm, surface), all_volume = exact_sum_over(comm, volume);
  if (const double tissue = box.volume(); tissue > 0) {
    result.length_density = result.total_length / tissue;
    result.surface_per_volume = all_surface / tissue;
    result.volume_fraction = all_volume / tissue;
    result.segment_density = static_cast<double>(result.segments) / tissue;
    result.vessel_density = static_cast<double>(result.vessels) / tissue;
    result.branch_point_density = static_cast<double>(result.branch_points) / tissue;
  }

  std::vector<double> radii, lengths, tortuosities, chords, with_chord;
  for (const Chain& chain : chains) {
    const Vessel one = vessel(chain);
    radii.push_back(one.radius);
    lengths.push_back(one.length);
    if (const double chord = one.chord(); one.node[0] != one.node[1] && chord > 0) {
      tortuosities.push_back(one.length / chord);
      with_chord.push_back(one.length);
      chords.push_back(chord);
    }
  }
  const double straight = exact_sum_over(comm, chords), along = exact_sum_over(comm, with_chord);
  if (straight > 0) result.tortuosity = along / straight;
  result.radius = distribution(comm, share.radius);
  result.length = distribution(comm, share.length);
  result.radius_by_length = distribution(comm, share.radius, share.length);
  result.vessel_radius = distribution(comm, radii);
  result.vessel_length = distribution(comm, lengths);
  result.vessel_tortuosity = distribution(comm, tortuosities);

  const VesselDistances found = vessel_distances(comm, share, box, settings.points, settings.seed);
  result.distance_to_wall = distribution(comm, found.wall);
  result.distance_to_axis = distribution(comm, found.axis);
  result.points_inside = found.inside;
  result.boxes = count_boxes(comm, share, box, settings.smallest_box);
  result.radius_bins = binned(comm, share.radius, share.length, even_edges(0, 50e-6, 100));
  result.vessel_length_bins = binned(comm, lengths, {}, decade_edges(-6, -2, 10));
  result.tortuosity_bins = binned(comm, tortuosities, {}, even_edges(1, 3, 40));
  result.distance_bins = binned(comm, found.wall, {}, even_edges(0, 500e-6, 100));
  return result;
}

NetworkStatistics statistics(const VesselGraph& graph, const Box& box, const MorphometrySettings& settings) {
  return statistics(MPI_COMM_SELF, graph, box, settings);
}

}  // namespace sanctuary
