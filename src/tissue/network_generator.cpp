#include "tissue/network_generator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <queue>

#include "base/error.hpp"
#include "base/random.hpp"

namespace sanctuary {
namespace {

std::size_t at(long index) { return static_cast<std::size_t>(index); }

double distance(const std::array<double, 3>& a, const std::array<double, 3>& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

class Generator {
 public:
  Generator(const GeneratorSettings& settings, long aim)
      : set_(settings),
        aim_(aim),
        place_(settings.seed, "network.place"),
        weight_(settings.seed, "network.weight"),
        radius_(settings.seed, "network.radius"),
        thinning_(settings.seed, "network.thinning"),
        blind_(settings.seed, "network.blind") {
    check();
  }

  VesselGraph make() {
    lay_nodes();
    choose_edges();
    add_trunks(true);
    add_trunks(false);
    thin_core();
    VesselGraph graph = without_isolated_nodes(without_segments(graph_, closed_));
    add_blind_ends(graph);
    for (std::size_t n = 0; n < graph.node_id.size(); ++n) graph.node_id[n] = static_cast<long>(n);
    for (std::size_t s = 0; s < graph.segment_id.size(); ++s) graph.segment_id[s] = static_cast<long>(s);
    std::fill(graph.maturity.begin(), graph.maturity.end(), set_.maturity);
    return graph;
  }

 private:
  void check() const {
    const auto need = [](bool good, const std::string& what) {
      if (!good) throw InputError("network.lattice: " + what);
    };
    for (double length : set_.box.size)
      need(length > 0 && std::isfinite(length), "the box needs a positive size on each axis");
    need(set_.segments >= 30, fmt::format("segments = {}; expected at least 30", set_.segments));
    need(set_.smallest_radius > 0 && set_.smallest_radius < set_.largest_radius,
         fmt::format("smallest_radius {} um must be positive and below largest_radius {} um",
                     set_.smallest_radius * 1e6, set_.largest_radius * 1e6));
    need(set_.mean_radius >= set_.smallest_radius && set_.mean_radius <= set_.largest_radius,
         "mean_radius must lie between smallest_radius and largest_radius");
    need(set_.inlet_pressure > set_.outlet_pressure,
         "inlet_pressure must be above outlet_pressure: nothing would flow");
    need(set_.inlets >= 1 && set_.outlets >= 1, "at least one inlet and one outlet are needed");
    need(set_.irregularity >= 0 && set_.irregularity <= 0.45, "irregularity must lie between 0 and 0.45");
    need(set_.core_density >= 0 && set_.core_density <= 1, "core_density must lie between 0 and 1");
    need(set_.maturity >= 0 && set_.maturity <= 1, "maturity must lie between 0 and 1");
    need(set_.blind_end_fraction >= 0 && set_.blind_end_fraction <= 0.5,
         "blind_end_fraction must lie between 0 and 0.5");
  }

  [[nodiscard]] bool in_core(const std::array<double, 3>& p) const {
    std::array<double, 3> middle{};
    for (std::size_t d = 0; d < 3; ++d) middle[d] = set_.box.origin[d] + 0.5 * set_.box.size[d];
    return set_.core_density < 1 && distance(p, middle) < set_.core_radius;
  }

  /// Share of the box that lies in the core, by midpoint sampling.
  [[nodiscard]] double core_share() const {
    constexpr int samples = 24;
    long inside = 0;
    for (int i = 0; i < samples; ++i)
      for (int j = 0; j < samples; ++j)
        for (int k = 0; k < samples; ++k)
          inside += in_core({set_.box.origin[0] + (i + 0.5) / samples * set_.box.size[0],
                             set_.box.origin[1] + (j + 0.5) / samples * set_.box.size[1],
                             set_.box.origin[2] + (k + 0.5) / samples * set_.box.size[2]});
    return static_cast<double>(inside) / (samples * samples * samples);
  }

  [[nodiscard]] double draw_radius(long index) const {
    // The mean of a log-normal is exp(mu + spread^2 / 2).
    const double mu = std::log(set_.mean_radius) - 0.5 * set_.radius_spread * set_.radius_spread;
    for (std::uint64_t attempt = 0; attempt < 1000; ++attempt) {
      const double radius =
          radius_.lognormal(1000 * static_cast<std::uint64_t>(index) + attempt, std::exp(mu), set_.radius_spread);
      if (radius >= set_.smallest_radius && radius <= set_.largest_radius) return radius;
    }
    return set_.mean_radius;
  }

  [[nodiscard]] long lattice(long i, long j, long k) const { return i + count_[0] * (j + count_[1] * k); }

  void lay_nodes() {
    const double blind = set_.blind_end_fraction * static_cast<double>(set_.segments);
    const double kept = 1 - core_share() * (1 - set_.core_density);
    const double wanted = static_cast<double>(aim_ - set_.inlets - set_.outlets) - blind;
    if (!(wanted >= 12))
      throw InputError("network.lattice: too few segments for the inlets, outlets and blind ends asked for");
    mesh_edges_ = static_cast<long>(std::lround(wanted / kept));
    const double mesh_nodes = static_cast<double>(mesh_edges_) / 1.5;  // nodes of degree 3
    // The shortest side first, so that a thin box gets a whole number of layers and the others make up for it.
    std::array<std::size_t, 3> axes{0, 1, 2};
    std::stable_sort(axes.begin(), axes.end(), [&](auto a, auto b) { return set_.box.size[a] < set_.box.size[b]; });
    double volume = set_.box.volume(), nodes = mesh_nodes;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::size_t d = axes[i];
      const double spacing = std::pow(volume / nodes, 1.0 / static_cast<double>(3 - i));
      count_[d] = std::max(d == 0 ? 2L : 1L, std::lround(set_.box.size[d] / spacing));
      width_[d] = set_.box.size[d] / static_cast<double>(count_[d]);
      volume /= set_.box.size[d], nodes /= static_cast<double>(count_[d]);
    }
    if (set_.inlets > count_[1] * count_[2] || set_.outlets > count_[1] * count_[2])
      throw InputError(fmt::format("network.lattice: {} inlets and {} outlets; the face has room for {}", set_.inlets,
                                   set_.outlets, count_[1] * count_[2]));
    for (long k = 0; k < count_[2]; ++k)
      for (long j = 0; j < count_[1]; ++j)
        for (long i = 0; i < count_[0]; ++i) {
          const auto first = 3 * static_cast<std::uint64_t>(lattice(i, j, k));
          const std::array<long, 3> cell{i, j, k};
          std::array<double, 3> p{};
          for (std::size_t d = 0; d < 3; ++d)
            p[d] =
                set_.box.origin[d] +
                (static_cast<double>(cell[d]) + 0.5 + set_.irregularity * place_.uniform(first + d, -1, 1)) * width_[d];
          graph_.add_node(p, graph_.nodes());
        }
  }

  /// A random spanning tree of the lattice of low degree, then more edges until most nodes have three.
  void choose_edges() {
    struct Edge {
      long from, to;
      double weight;
    };
    std::vector<Edge> edges;
    for (long k = 0; k < count_[2]; ++k)
      for (long j = 0; j < count_[1]; ++j)
        for (long i = 0; i < count_[0]; ++i) {
          const auto first = 3 * static_cast<std::uint64_t>(lattice(i, j, k));
          if (i + 1 < count_[0]) edges.push_back({lattice(i, j, k), lattice(i + 1, j, k), weight_.uniform(first)});
          if (j + 1 < count_[1]) edges.push_back({lattice(i, j, k), lattice(i, j + 1, k), weight_.uniform(first + 1)});
          if (k + 1 < count_[2]) edges.push_back({lattice(i, j, k), lattice(i, j, k + 1), weight_.uniform(first + 2)});
        }
    std::stable_sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.weight < b.weight; });
    std::vector<long> root(graph_.position.size()), degree(graph_.position.size(), 0);
    std::iota(root.begin(), root.end(), 0L);
    const auto find = [&](long x) {
      while (root[at(x)] != x) x = root[at(x)] = root[at(root[at(x)])];
      return x;
    };
    std::vector<bool> used(edges.size(), false);
    const auto use = [&](std::size_t e) {
      used[e] = true;
      ++degree[at(edges[e].from)], ++degree[at(edges[e].to)];
      graph_
          .type[at(graph_.add_segment(edges[e].from, edges[e].to, draw_radius(graph_.segments()), graph_.segments()))] =
          vessel_type::capillary;
    };
    for (const long cap : {3L, 4L, 6L})
      for (std::size_t e = 0; e < edges.size(); ++e) {
        if (used[e] || degree[at(edges[e].from)] >= cap || degree[at(edges[e].to)] >= cap) continue;
        const long a = find(edges[e].from), b = find(edges[e].to);
        if (a == b) continue;
        root[at(a)] = b;
        use(e);
      }
    const auto fill = [&](long cap, bool ends_only) {
      for (std::size_t e = 0; e < edges.size() && graph_.segments() < mesh_edges_; ++e) {
        const long a = degree[at(edges[e].from)], b = degree[at(edges[e].to)];
        if (!used[e] && a < cap && b < cap && (!ends_only || a < 2 || b < 2)) use(e);
      }
    };
    for (long cap = 2; cap <= 6; ++cap) fill(cap, true);
    for (long cap = 3; cap <= 6; ++cap) fill(cap, false);
    trunk_.assign(graph_.position.size(), false);
    closed_.assign(graph_.segment.size(), false);
  }

  /// Boundary nodes on one face, each with a trunk along the mesh that tapers from the face inwards.
  void add_trunks(bool inflow) {
    const long layer = inflow ? 0 : count_[0] - 1;
    const long number = inflow ? set_.inlets : set_.outlets;
    const RandomStream places(set_.seed, inflow ? "network.inlet" : "network.outlet");
    constexpr std::uint64_t candidates = 12;
    const long room = count_[1] * count_[2];
    std::vector<long> chosen;
    for (long t = 0; t < number; ++t) {
      // Of some random places the one farthest from the trunks already there.
      long best = -1;
      double best_distance = -1;
      for (std::uint64_t attempt = 0; attempt < candidates; ++attempt) {
        auto place = static_cast<long>(
            places.below(candidates * static_cast<std::uint64_t>(t) + attempt, static_cast<std::uint64_t>(room)));
        while (std::find(chosen.begin(), chosen.end(), lattice(layer, place % count_[1], place / count_[1])) !=
               chosen.end())
          place = (place + 1) % room;
        const long node = lattice(layer, place % count_[1], place / count_[1]);
        double nearest = std::numeric_limits<double>::infinity();
        for (long other : chosen)
          nearest = std::min(nearest, distance(graph_.position[at(node)], graph_.position[at(other)]));
        if (nearest > best_distance) best = node, best_distance = nearest;
      }
      chosen.push_back(best);
      auto p = graph_.position[at(best)];
      p[0] = set_.box.origin[0] + (inflow ? 0 : set_.box.size[0]);
      const long face = graph_.add_node(p, graph_.nodes());
      graph_.set_boundary(face, BoundaryKind::pressure, inflow ? set_.inlet_pressure : set_.outlet_pressure);
      const double wide = inflow ? set_.arteriole_radius : set_.venule_radius;
      const long s = inflow ? graph_.add_segment(face, best, wide, graph_.segments())
                            : graph_.add_segment(best, face, wide, graph_.segments());
      graph_.type[at(s)] = inflow ? vessel_type::arteriole : vessel_type::venule;
      trunk_.resize(graph_.position.size(), true);
      trunk_[at(best)] = true;
    }
    closed_.resize(graph_.segment.size(), false);
    for (std::size_t t = 0; t < chosen.size(); ++t) taper(chosen[t], inflow);
  }

  /// Widens the shortest way from `start` to the depth that trunks reach, around the core and other trunks.
  void taper(long start, bool inflow) {
    const Adjacency near = adjacency(graph_);
    const double inside = set_.trunk_reach * set_.box.size[0];
    const auto depth = [&](long node) {
      const double x = graph_.position[at(node)][0] - set_.box.origin[0];
      return inflow ? x : set_.box.size[0] - x;
    };
    std::vector<long> by(graph_.position.size(), -2);
    std::queue<long> front;
    front.push(start);
    by[at(start)] = -1;
    long end = start;
    while (!front.empty()) {
      const long node = front.front();
      front.pop();
      if (depth(node) > depth(end)) end = node;
      if (depth(end) >= inside) break;
      for (long i = near.offset[at(node)]; i < near.offset[at(node) + 1]; ++i) {
        const long s = near.segment[at(i)];
        const auto& pair = graph_.segment[at(s)];
        const long other = pair[0] == node ? pair[1] : pair[0];
        if (by[at(other)] != -2 || trunk_[at(other)] || in_core(graph_.position[at(other)])) continue;
        by[at(other)] = s;
        front.push(other);
      }
    }
    std::vector<long> path;
    for (long node = end; by[at(node)] >= 0;) {
      path.push_back(by[at(node)]);
      trunk_[at(node)] = true;
      const auto& pair = graph_.segment[at(by[at(node)])];
      node = pair[0] == node ? pair[1] : pair[0];
    }
    std::reverse(path.begin(), path.end());
    const double wide = inflow ? set_.arteriole_radius : set_.venule_radius;
    for (std::size_t i = 0; i < path.size(); ++i) {
      const double share = static_cast<double>(i + 1) / static_cast<double>(path.size() + 1);
      double& radius = graph_.radius[at(path[i])];
      radius = std::max(radius, wide + share * (set_.mean_radius - wide));
      graph_.type[at(path[i])] = inflow ? vessel_type::arteriole : vessel_type::venule;
    }
  }

  /// Closes what cannot carry flow and random capillaries of the core until its share is left.
  void thin_core() {
    const std::vector<double> radius = graph_.radius;
    const auto prune = [&] {
      for (std::size_t s = 0; s < closed_.size(); ++s) graph_.radius[s] = closed_[s] ? 0 : radius[s];
      const std::vector<bool> carries = can_carry_flow(graph_);
      for (std::size_t s = 0; s < closed_.size(); ++s) closed_[s] = !carries[s];
    };
    prune();
    std::vector<std::pair<double, long>> core;
    for (long s = 0; s < graph_.segments(); ++s) {
      const auto& a = graph_.position[at(graph_.segment[at(s)][0])];
      const auto& b = graph_.position[at(graph_.segment[at(s)][1])];
      if (!closed_[at(s)] && graph_.type[at(s)] == vessel_type::capillary &&
          in_core({0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]), 0.5 * (a[2] + b[2])}))
        core.emplace_back(thinning_.uniform(static_cast<std::uint64_t>(s)), s);
    }
    std::sort(core.begin(), core.end());
    const auto goal = static_cast<long>(std::lround(set_.core_density * static_cast<double>(core.size())));
    for (;;) {
      std::erase_if(core, [&](const auto& entry) { return closed_[at(entry.second)]; });
      const long surplus = static_cast<long>(core.size()) - goal;
      if (surplus <= 0) break;
      // Pruning takes more than is closed here, so the goal is approached in shrinking steps.
      const long step = std::max(1L, surplus / 8);
      for (long i = 0; i < step; ++i) closed_[at(core[at(i)].second)] = true;
      prune();
    }
    graph_.radius = radius;
  }

  void add_blind_ends(VesselGraph& graph) const {
    const long wanted = std::lround(set_.blind_end_fraction * static_cast<double>(set_.segments)),
               hosts = graph.nodes();
    const double reach = 0.6 * std::min({width_[0], width_[1], width_[2]});
    const Adjacency near = adjacency(graph);
    std::vector<long> added(at(hosts), 0);
    for (long b = 0, attempt = 0; b < wanted && attempt < 50 * wanted + 1000; ++attempt) {
      std::array<double, 4> u{};
      for (std::size_t i = 0; i < 4; ++i) u[i] = blind_.uniform(4 * static_cast<std::uint64_t>(attempt) + i);
      const auto host = static_cast<long>(u[0] * static_cast<double>(hosts));
      if (graph.boundary[at(host)] != BoundaryKind::none || near.degree(host) + added[at(host)] > 3) continue;
      const double z = 2 * u[1] - 1, angle = 2 * std::numbers::pi * u[2], flat = std::sqrt(1 - z * z);
      const double reached = reach * (0.5 + 0.5 * u[3]);
      auto p = graph.position[at(host)];
      const std::array<double, 3> direction{flat * std::cos(angle), flat * std::sin(angle), z};
      bool inside = true;
      for (std::size_t d = 0; d < 3; ++d) {
        p[d] += reached * direction[d];
        inside = inside && p[d] > set_.box.origin[d] && p[d] < set_.box.origin[d] + set_.box.size[d];
      }
      if (!inside) continue;
      const long end = graph.add_node(p, graph.nodes());
      graph.type[at(graph.add_segment(host, end, draw_radius(graph_.segments() + b), graph.segments()))] =
          vessel_type::capillary;
      ++added[at(host)];
      ++b;
    }
  }

  GeneratorSettings set_;
  long aim_;  // number of segments before losses to pruning
  RandomStream place_, weight_, radius_, thinning_, blind_;
  VesselGraph graph_;
  std::array<long, 3> count_{};
  std::array<double, 3> width_{};
  long mesh_edges_ = 0;
  std::vector<bool> trunk_;   // nodes that belong to an arteriole or venule
  std::vector<bool> closed_;  // segments left out
};

}  // namespace

VesselGraph generate_network(const GeneratorSettings& settings) {
  // Pruning around the core takes a few segments more than its share; aim higher by what was missed.
  VesselGraph best;
  long aim = settings.segments, smallest_miss = std::numeric_limits<long>::max();
  for (int attempt = 0; attempt < 4 && smallest_miss > settings.segments / 100; ++attempt) {
    VesselGraph graph = Generator(settings, aim).make();
    const long missed = settings.segments - graph.segments();
    if (std::abs(missed) < smallest_miss) smallest_miss = std::abs(missed), best = std::move(graph);
    aim += missed;
  }
  return best;
}

GeneratorSettings generator_settings(const Deck& deck, const Box& box) {
  using namespace generator;
  GeneratorSettings settings;
  settings.box = box;
  settings.seed = static_cast<std::uint64_t>(deck.integer(seed));
  settings.segments = deck.integer(segments);
  settings.mean_radius = deck.number(mean_radius);
  settings.radius_spread = deck.number(radius_spread);
  settings.smallest_radius = deck.number(smallest_radius);
  settings.largest_radius = deck.number(largest_radius);
  settings.irregularity = deck.number(irregularity);
  settings.inlets = deck.integer(inlets);
  settings.outlets = deck.integer(outlets);
  settings.arteriole_radius = deck.number(arteriole_radius);
  settings.venule_radius = deck.number(venule_radius);
  settings.trunk_reach = deck.number(trunk_reach);
  settings.inlet_pressure = deck.number(inlet_pressure);
  settings.outlet_pressure = deck.number(outlet_pressure);
  settings.core_density = deck.number(core_density);
  settings.core_radius = deck.number(core_radius);
  settings.blind_end_fraction = deck.number(blind_end_fraction);
  settings.maturity = deck.number(maturity);
  const auto need = [&](bool good, const Parameter& parameter, const char* what) {
    if (!good) throw InputError(deck.where(parameter) + ": " + what);
  };
  need(settings.smallest_radius < settings.largest_radius, smallest_radius, "must be below largest_radius");
  need(settings.mean_radius >= settings.smallest_radius && settings.mean_radius <= settings.largest_radius, mean_radius,
       "must lie between smallest_radius and largest_radius");
  need(settings.inlet_pressure > settings.outlet_pressure, inlet_pressure,
       "must be above outlet_pressure: nothing would flow");
  return settings;
}

}  // namespace sanctuary
