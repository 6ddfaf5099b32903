#include "tissue/vasculature.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <stdexcept>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "solvers/network/flow.hpp"
#include "tissue/vasculature_sums.hpp"
#include "tissue/vasculature_units.hpp"

namespace sanctuary {
namespace {

std::size_t at(long index) { return static_cast<std::size_t>(index); }

double distance(const Place& a, const Place& b) { return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]); }

/// Scales that calibration finds for what does not change the topology.
struct Scales {
  std::array<double, 2> radius{1, 1}, curl{1, 1};  // host, tumour
};

/// Turns units, bridges and trees into vessels.
class Assembly {
 public:
  Assembly(const VesselPlan& plan, const VasculatureKnobs& knobs, const Scales& scales)
      : plan_(plan),
        set_(plan.settings()),
        scales_(scales),
        grower_(plan, knobs),
        curl_(set_.seed, "vasculature.curl"),
        stub_(set_.seed, "vasculature.stub"),
        sprout_(set_.seed, "vasculature.sprout"),
        shunt_(set_.seed, "vasculature.shunt") {}

  /// Hands each vessel of a unit to `use(vessel, shared)`: its bed, its bridges (those to higher units alone, or all of
  /// them, marked as shared), its shunt, and the branches of the trees whose first unit it is.
  template <class Use>
  void vessels(long index, bool all_bridges, Use use) {
    grower_.forget();
    const std::vector<VesselBridge>& bridges = grower_.bridges(index);
    const VesselUnit& unit = grower_.unit(index);
    const auto& edges = unit.edge;
    const std::vector<bool> carries = grower_.through_flow(index);
    for (std::size_t e = 0; e < edges.size(); ++e) {
      const auto& edge = edges[e];
      use(capillary(unit.id[at(edge.a)], unit.id[at(edge.b)], unit.position[at(edge.a)], unit.position[at(edge.b)],
                    edge.blind, carries[e]),
          false);
    }
    for (const VesselBridge& bridge : bridges) {
      if (!all_bridges && bridge.other < index) continue;
      const VesselUnit& other = grower_.unit(bridge.other);
      long a = unit.id[at(bridge.node)], b = other.id[at(bridge.other_node)];
      Place from = unit.position[at(bridge.node)], to = other.position[at(bridge.other_node)];
      if (bridge.blind && bridge.blind_here) std::swap(a, b), std::swap(from, to);
      use(capillary(a, b, from, to, bridge.blind, !bridge.blind), true);
    }
    sprouts(unit, use);
    trees(index, use);
  }

 private:
  GrownVessel capillary(long a, long b, const Place& from, const Place& to, bool blind, bool through) {
    GrownVessel v;
    const std::uint64_t key = pair_key(a, b);
    v.node = {a, b};
    v.position = {from, to};
    if (blind) {
      const double share = stub_.uniform(key, 0.75, 0.95);
      for (std::size_t d = 0; d < 3; ++d) v.position[1][d] = from[d] + share * (to[d] - from[d]);
      v.node[1] = -1;
    }
    v.type = vessel_type::capillary;
    v.flags = GrownVessel::bed | (blind ? GrownVessel::blind : 0) | (through ? GrownVessel::perfused : 0);
    finish(v, key);
    return v;
  }

  void finish(GrownVessel& v, std::uint64_t key) {
    const Place middle = v.middle();
    const double t = plan_.tumour_weight(middle);
    const double wound =
        (1 - t) * (set_.host.tortuosity - 1) * scales_.curl[0] + t * (set_.tumour.tortuosity - 1) * scales_.curl[1];
    v.length = distance(v.position[0], v.position[1]) * (1 + wound * std::min(4.0, -std::log(curl_.uniform(key))));
    v.maturity = (1 - t) * set_.host_maturity + t * set_.tumour_maturity;
    if (v.radius <= 0) v.radius = std::exp(plan_.log_radius(middle, key, scales_.radius[0], scales_.radius[1]));
  }

  template <class Use>
  void sprouts(const VesselUnit& unit, Use use) {
    if (!(set_.sprout_share > 0)) return;
    const Box region = plan_.partition().region(plan_.partition().levels(), 0);
    const double reach = 0.5 * std::cbrt(region.volume() / set_.points_per_unit);
    for (std::size_t n = 0; n + 2 < unit.position.size(); ++n) {
      const auto counter = 4 * static_cast<std::uint64_t>(unit.id[n]);
      if (unit.kept[n] == 0 || sprout_.uniform(counter) >= set_.sprout_share * plan_.tumour_weight(unit.position[n]))
        continue;
      const double z = 2 * sprout_.uniform(counter + 1) - 1,
                   angle = 2 * std::numbers::pi * sprout_.uniform(counter + 2);
      const double flat = std::sqrt(1 - z * z), length = reach * (0.5 + sprout_.uniform(counter + 3));
      GrownVessel v;
      v.node = {unit.id[n], -1};
      v.position = {unit.position[n], unit.position[n]};
      const Place direction{flat * std::cos(angle), flat * std::sin(angle), z};
      for (std::size_t d = 0; d < 3; ++d) {
        const double low = set_.box.origin[d], high = low + set_.box.size[d];
        double& x = v.position[1][d];
        x += length * direction[d];
        // A sprout that would leave the box is mirrored at its face.
        if (x < low) x = 2 * low - x;
        if (x > high) x = 2 * high - x;
      }
      v.type = vessel_type::capillary;
      v.flags = GrownVessel::bed | GrownVessel::blind;
      finish(v, pair_key(unit.id[n], unit.id[n]));
      use(v, false);
    }
  }

  template <class Use>
  void trees(long index, Use use) {
    const int levels = plan_.partition().levels();
    const Place arteriole = plan_.tree_node(levels, index, 0), venule = plan_.tree_node(levels, index, 1);
    const double in_tumour = plan_.tumour_weight(
        {0.5 * (arteriole[0] + venule[0]), 0.5 * (arteriole[1] + venule[1]), 0.5 * (arteriole[2] + venule[2])});
    if (shunt_.uniform(static_cast<std::uint64_t>(index)) < set_.shunt_share * in_tumour) {
      GrownVessel v;
      v.node = {plan_.tree_node_id(levels, index, 0), plan_.tree_node_id(levels, index, 1)};
      v.position = {arteriole, venule};
      v.radius = set_.shunt_radius;
      v.type = vessel_type::arteriole;
      v.flags = GrownVessel::shunt | GrownVessel::perfused;
      finish(v, pair_key(v.node[0], v.node[1]) + 1);
      use(v, false);
    }
    long prefix = index;
    for (int level = levels; level >= plan_.root_level(); --level) {
      if (prefix << (levels - level) != index) break;
      for (const int side : {0, 1}) {
        const bool root = level == plan_.root_level();
        GrownVessel v;
        const long parent = root ? plan_.root_id(prefix, side) : plan_.tree_node_id(level - 1, prefix >> 1, side);
        const Place above = root ? plan_.root_place(prefix, side) : plan_.tree_node(level - 1, prefix >> 1, side);
        v.node = {parent, plan_.tree_node_id(level, prefix, side)};
        v.position = {above, plan_.tree_node(level, prefix, side)};
        v.type = side == 0 ? vessel_type::arteriole : vessel_type::venule;
        v.flags = GrownVessel::perfused | (root ? GrownVessel::root : 0);
        v.root_pressure = side == 0 ? set_.inlet_pressure : set_.outlet_pressure;
        const std::uint64_t key = pair_key(v.node[0], v.node[1]);
        const Place middle = v.middle();
        const double lost = set_.hierarchy_loss * plan_.tumour_weight(middle);
        v.radius = plan_.tree_radius(level, prefix, side);
        if (lost > 0)
          v.radius = std::exp((1 - lost) * std::log(v.radius) +
                              lost * plan_.log_radius(middle, key, scales_.radius[0], scales_.radius[1]));
        if (side == 1) std::swap(v.node[0], v.node[1]), std::swap(v.position[0], v.position[1]), v.root_end = 1;
        finish(v, key);
        use(v, false);
      }
      prefix >>= 1;
    }
  }

  const VesselPlan& plan_;
  const VasculatureSettings& set_;
  Scales scales_;
  UnitGrower grower_;
  RandomStream curl_, stub_, sprout_, shunt_;
};

void check(const VasculatureSettings& set) {
  const auto need = [](bool good, const std::string& what) {
    if (!good) throw InputError("network.generate: " + what);
  };
  for (std::size_t d = 0; d < 3; ++d)
    need(set.box.size[d] > 0 && std::isfinite(set.box.size[d]) && std::isfinite(set.box.origin[d]),
         "the box needs a positive size on each axis");
  for (const VesselTargets* t : {&set.host, &set.tumour}) {
    need(t->length_density > 0 || t->segment_density > 0,
         "one of length_density and segment_density must be above 0, or there are no vessels to grow");
    need(t->radius >= set.smallest_radius,
         fmt::format("a median radius of {:.3g} um is below the smallest radius, {:.3g} um", t->radius * 1e6,
                     set.smallest_radius * 1e6));
    need(t->tortuosity >= 1,
         fmt::format("tortuosity {:.3g}: a vessel is at least as long as straight (1)", t->tortuosity));
    need(t->perfused_fraction > 0.2 && t->perfused_fraction <= 1,
         fmt::format("perfused_fraction {:.3g}; expected above 0.2 and at most 1", t->perfused_fraction));
    need(t->radius_spread >= 0, "radius_spread must not be negative");
    need(t->radii_meet != RadiusTarget::surface || t->surface_per_volume > 0,
         "surface_per_volume must be positive to be met");
    need(t->radii_meet != RadiusTarget::volume || (t->volume_fraction > 0 && t->volume_fraction < 0.7),
         "volume_fraction must lie between 0 and 0.7 to be met");
  }
  need(set.host.perfused_fraction == 1, "the host's vessels are all perfused: its perfused_fraction is 1");
  need(set.murray_exponent >= 1, fmt::format("murray_exponent {:.3g}; expected at least 1", set.murray_exponent));
  need(!set.arterial_faces.empty() && !set.venous_faces.empty(), "arterial_faces and venous_faces need one face each");
  for (const auto* faces : {&set.arterial_faces, &set.venous_faces})
    for (const int face : *faces) need(face >= 0 && face < 6, "faces are numbered 0 to 5");
  need(set.feeds >= 1, "feeds must be at least 1");
  need(set.points_per_unit >= 8, fmt::format("junctions_per_unit {:.3g}; expected at least 8", set.points_per_unit));
  need(set.terminal_arteriole > 0 && set.terminal_venule > 0 && set.shunt_radius > 0, "radii must be positive");
  need(set.inlet_pressure > set.outlet_pressure, "inlet_pressure must be above outlet_pressure: nothing would flow");
  need(set.core_density > 0 && set.core_density <= 1,
       fmt::format("core_density {:.3g}; expected above 0 and at most 1", set.core_density));
  need(set.rim_width > 0 && set.patch_length > 0 && set.correlation_length > 0, "lengths must be positive");
  need(set.radius_correlation >= 0 && set.radius_correlation <= 1, "radius_correlation must lie between 0 and 1");
  need(set.tolerance > 0, "tolerance must be positive");
  if (set.region.shape == TumourRegion::Shape::sphere)
    need(set.region.radius > 0, "the tumour needs a positive radius");
  // Lattice numbers and the ids built on them must fit 62 bits with room; fields of 20 bits hold the lattice of a
  // patch.
  for (std::size_t d = 0; d < 3; ++d)
    need(set.box.size[d] / std::min(set.patch_length, set.correlation_length) < 1e6,
         "the box is over a million correlation lengths across");
}

/// All units, or a spread of blocks of 64 neighbours where there are too many to grow over and over.
std::vector<long> sample_units(const VesselPlan& plan) {
  constexpr long most = 1024, block = 64;
  const long units = plan.partition().units();
  std::vector<long> result;
  if (units <= most) {
    for (long u = 0; u < units; ++u) result.push_back(u);
    return result;
  }
  const RandomStream draw(plan.settings().seed, "vasculature.blocks");
  const long parts = most / block, blocks = units / block;
  for (long part = 0; part < parts; ++part) {
    const long low = part * blocks / parts, high = (part + 1) * blocks / parts;
    const long chosen =
        low + static_cast<long>(draw.below(static_cast<std::uint64_t>(part), static_cast<std::uint64_t>(high - low)));
    for (long u = 0; u < block; ++u) result.push_back(chosen * block + u);
  }
  return result;
}

struct Run {
  long first = 0, last = 0;
};
Run run_of(int rank, int ranks, long count) { return {count * rank / ranks, count * (rank + 1) / ranks}; }

VesselSums measured(MPI_Comm comm, const VesselPlan& plan, const VasculatureKnobs& knobs, const Scales& scales,
                    const std::vector<long>& units) {
  const VasculatureSettings& set = plan.settings();
  VesselSums sums(set);
  const bool partial = static_cast<long>(units.size()) < plan.partition().units();
  const Run run = run_of(rank_of(comm), size_of(comm), static_cast<long>(units.size()));
  Assembly assembly(plan, knobs, scales);
  for (long i = run.first; i < run.last; ++i)
    assembly.vessels(units[at(i)], partial, [&](const GrownVessel& v, bool shared) {
      if (set.keep_unperfused || (v.flags & GrownVessel::perfused) != 0) sums.add(v, shared && partial);
    });
  sums.reduce(comm);
  return sums;
}

/// Turns knobs and scales until the sums meet the targets; returns the number of turns.
int calibrate(MPI_Comm comm, const VesselPlan& plan, VasculatureKnobs& knobs, Scales& scales) {
  const VasculatureSettings& set = plan.settings();
  const std::vector<long> units = sample_units(plan);
  const bool partial = static_cast<long>(units.size()) < plan.partition().units();
  const std::array<double, 2> volume = plan.volumes(partial ? &units : nullptr);
  if (volume[1] > 0) knobs.cut_share = 0.6 * (1 - set.tumour.perfused_fraction);
  // In a small network a single junction moves the figures by more than a step of the knobs: the best turn counts.
  const int most = plan.partition().units() <= 16 ? 40 : 16;
  VasculatureKnobs best_knobs = knobs;
  Scales best_scales = scales;
  double best = std::numeric_limits<double>::infinity();
  for (int turn = 0; turn < most; ++turn) {
    const double share = turn < 4 ? 1 : turn < 8 ? 0.7 : 0.4;  // of the step that proportion suggests
    if (turn > 8) ++knobs.cut_draw;                            // the same share of cuts elsewhere
    const VasculatureKnobs used_knobs = knobs;
    const Scales used_scales = scales;
    const VesselSums sums = measured(comm, plan, knobs, scales, units);
    double worst = 0;
    for (int tissue = 0; tissue < 2; ++tissue) {
      const auto i = static_cast<std::size_t>(tissue);
      if (!(volume[i] > 0) || !(sums.segments(tissue) > 0)) continue;
      const VesselTargets& want = tissue == 0 ? set.host : set.tumour;
      const bool by_count = want.segment_density > 0;
      const double ratio = by_count ? want.segment_density * volume[i] / sums.segments(tissue)
                                    : want.length_density * volume[i] / sums.length(tissue);
      double& points = tissue == 0 ? knobs.host_points : knobs.tumour_points;
      points *= std::clamp(std::pow(ratio, share * (by_count ? 1.0 : 1.5)), 0.3, 3.0);
      const double wider =
          want.radii_meet == RadiusTarget::surface  ? want.surface_per_volume * volume[i] / sums.surface(tissue)
          : want.radii_meet == RadiusTarget::volume ? std::sqrt(want.volume_fraction * volume[i] / sums.volume(tissue))
                                                    : want.radius / sums.median_radius(tissue);
      scales.radius[i] *= std::clamp(std::pow(wider, share), 0.5, 2.0);
      const double wound = sums.length(tissue) / sums.straight(tissue);
      if (want.tortuosity > 1 && wound > 1) scales.curl[i] *= std::pow((want.tortuosity - 1) / (wound - 1), share);
      worst =
          std::max({worst, std::abs(ratio - 1), std::abs(wider * wider - 1), std::abs(want.tortuosity / wound - 1)});
      if (tissue == 1 && want.perfused_fraction < 1 && knobs.cut_share > 0) {
        const double perfused = sums.perfused(1) / sums.length(1);
        if (set.keep_unperfused) {
          const double more = std::clamp((1 - want.perfused_fraction) / std::max(1 - perfused, 1e-3), 0.4, 2.5);
          knobs.cut_share = std::min(0.9, knobs.cut_share * std::pow(more, share));
          worst = std::max(worst, std::abs(perfused / want.perfused_fraction - 1));
        }
      }
    }
    if (worst < best) best = worst, best_knobs = used_knobs, best_scales = used_scales;
    if (worst < 0.1 * set.tolerance) {
      knobs = used_knobs, scales = used_scales;
      return turn + 1;
    }
  }
  knobs = best_knobs, scales = best_scales;
  return most;
}

std::vector<VasculatureFigure> figures(const VesselPlan& plan, const VesselSums& sums,
                                       const VasculatureDistances& far) {
  const VasculatureSettings& set = plan.settings();
  const std::array<double, 2> volume = plan.volumes(nullptr);
  std::vector<VasculatureFigure> list;
  for (int tissue = 0; tissue < 2; ++tissue) {
    const double v = volume[static_cast<std::size_t>(tissue)];
    if (!(v > 0)) continue;
    const VesselTargets& want = tissue == 0 ? set.host : set.tumour;
    const std::string name = tissue == 0 ? "host" : "tumour";
    const bool by_count = want.segment_density > 0;
    // A thin shell of a tissue is no sample of it.
    const bool enough = v > 0.02 * set.box.volume();
    const auto add = [&](const char* what, const char* unit, double factor, double target, double reached,
                         double tolerance, bool binding) {
      list.push_back({name, what, unit, target * factor, reached * factor, tolerance, binding && enough});
    };
    const double length = sums.length(tissue), safe = std::max(length, 1e-30);
    add("length density", "mm/mm3", 1e-6, by_count ? 0 : want.length_density, length / v, set.tolerance, !by_count);
    add("segment density", "1/mm3", 1e-9, want.segment_density, sums.segments(tissue) / v, set.tolerance, by_count);
    const RadiusTarget meet = want.radii_meet;
    const auto loose = [&](RadiusTarget what) { return meet == what ? set.tolerance : 0.5; };
    add("median radius", "um", 1e6, meet == RadiusTarget::median ? want.radius : 0, sums.median_radius(tissue),
        set.tolerance, meet == RadiusTarget::median);
    add("spread of ln radius", "1", 1, want.radius_spread, sums.radius_spread(tissue), 4 * set.tolerance, false);
    add("tortuosity", "1", 1, want.tortuosity, length / std::max(sums.straight(tissue), 1e-30), set.tolerance, true);
    // Next to a tumour some of the host's vessels end in it: what becomes of them is not the host's to choose.
    const bool own = tissue == 1 || !(volume[1] > 0);
    add("perfused fraction", "1", 1, set.keep_unperfused ? want.perfused_fraction : 1, sums.perfused(tissue) / safe,
        set.tolerance, own);
    add("surface per volume", "1/cm", 1e-2, want.surface_per_volume, sums.surface(tissue) / v,
        loose(RadiusTarget::surface), meet == RadiusTarget::surface);
    add("volume fraction", "%", 100, want.volume_fraction, sums.volume(tissue) / v, loose(RadiusTarget::volume),
        meet == RadiusTarget::volume);
    add("mean segment length", "um", 1e6, 0, length / std::max(sums.segments(tissue), 1.0), 0, false);
  }
  const bool tumour = volume[1] > 0;
  const std::string name = tumour ? "tumour" : "host";
  list.push_back({name, "inter-vessel distance, median", "um", 0, far.between_median * 1e6, 0, false});
  list.push_back({name, "inter-vessel distance, mean", "um", 0, far.between_mean * 1e6, 0, false});
  list.push_back({name, "tissue to vessel, median", "um", 0, far.tissue_median * 1e6, 0, false});
  list.push_back({name, "tissue to vessel, mean", "um", 0, far.tissue_mean * 1e6, 0, false});
  list.push_back({"all", "fractal dimension", "1", 0, far.fractal_dimension, 0, false});
  return list;
}

/// Hands each vessel to the rank that owns its middle.
std::vector<GrownVessel> routed(MPI_Comm comm, std::vector<GrownVessel> vessels, const ShareOwner& owner) {
  const auto ranks = at(size_of(comm));
  std::vector<int> to;
  to.reserve(vessels.size());
  together(comm, [&] {
    for (const GrownVessel& v : vessels) {
      const int rank = owner(v.middle());
      if (rank < 0 || at(rank) >= ranks)
        throw InputError(fmt::format("grow_vasculature: the owner of a position is rank {} of {}; expected 0 to {}",
                                     rank, ranks, ranks - 1));
      to.push_back(rank);
    }
  });
  std::vector<int> sent(ranks, 0), got(ranks), from(ranks + 1, 0), into(ranks + 1, 0);
  for (const int rank : to) ++sent[at(rank)];
  MPI_Alltoall(sent.data(), 1, MPI_INT, got.data(), 1, MPI_INT, comm);
  for (std::size_t r = 0; r < ranks; ++r) from[r + 1] = from[r] + sent[r], into[r + 1] = into[r] + got[r];
  std::vector<GrownVessel> ordered(vessels.size());
  std::vector<int> next(from.begin(), from.end() - 1);
  for (std::size_t i = 0; i < vessels.size(); ++i) ordered[at(next[at(to[i])]++)] = vessels[i];
  vessels = {};
  std::vector<GrownVessel> received(at(into[ranks]));
  MPI_Datatype type = MPI_DATATYPE_NULL;
  MPI_Type_contiguous(static_cast<int>(sizeof(GrownVessel)), MPI_BYTE, &type);
  MPI_Type_commit(&type);
  MPI_Alltoallv(ordered.data(), sent.data(), from.data(), type, received.data(), got.data(), into.data(), type, comm);
  MPI_Type_free(&type);
  return received;
}

/// Nodes and segments of the vessels, both by id.
VesselGraph share_of(std::vector<GrownVessel> vessels, long first_blind) {
  std::sort(vessels.begin(), vessels.end(), [](const GrownVessel& a, const GrownVessel& b) { return a.id < b.id; });
  struct Node {
    long id;
    const Place* position;
    const GrownVessel* root;
  };
  std::vector<Node> nodes;
  nodes.reserve(2 * vessels.size());
  for (GrownVessel& v : vessels)
    for (std::size_t end = 0; end < 2; ++end) {
      if (v.node[end] < 0) v.node[end] = first_blind + v.id;
      const bool root = (v.flags & GrownVessel::root) != 0 && static_cast<std::size_t>(v.root_end) == end;
      nodes.push_back({v.node[end], &v.position[end], root ? &v : nullptr});
    }
  std::sort(nodes.begin(), nodes.end(), [](const Node& a, const Node& b) { return a.id < b.id; });
  VesselGraph graph;
  for (const Node& node : nodes) {
    if (graph.nodes() == 0 || graph.node_id.back() != node.id) (void)graph.add_node(*node.position, node.id);
    if (node.root != nullptr) graph.set_boundary(graph.nodes() - 1, BoundaryKind::pressure, node.root->root_pressure);
  }
  nodes = {};
  const auto index = [&](long id) {
    return std::lower_bound(graph.node_id.begin(), graph.node_id.end(), id) - graph.node_id.begin();
  };
  for (const GrownVessel& v : vessels) {
    const long s = graph.add_segment(index(v.node[0]), index(v.node[1]), v.radius, v.id);
    graph.length[at(s)] = v.length;
    graph.maturity[at(s)] = v.maturity;
    graph.type[at(s)] = v.type;
  }
  return graph;
}

}  // namespace

bool VasculatureFigure::met() const {
  return !has_target() || std::abs(reached - target) <= tolerance * std::abs(target);
}

bool VasculatureReport::met() const {
  return std::all_of(figures.begin(), figures.end(), [](const auto& f) { return !f.binding || f.met(); });
}

const VasculatureFigure& VasculatureReport::figure(const std::string& tissue, const std::string& name) const {
  for (const auto& f : figures)
    if (f.tissue == tissue && f.name == name) return f;
  throw std::out_of_range("no figure '" + name + "' of " + tissue);
}

std::string VasculatureReport::text() const {
  std::string result = fmt::format(
      "grown network, preset {} ({})\n  {} segments: {} arteriolar, {} venular; {} units, {} roots, {} blind ends, {} "
      "shunts, {} segments unperfused, {} dropped; {} calibrations\n",
      preset, source, segments, arteriole_segments, venule_segments, units, roots, blind_ends, shunts,
      unperfused_segments, dropped_segments, calibrations);
  result += fmt::format("  {:<8}{:<32}{:>11}{:>11}{:>9}  {:<8}{}\n", "tissue", "figure", "target", "reached", "within",
                        "unit", "verdict");
  for (const auto& f : figures) {
    const bool judged = f.has_target();
    result += fmt::format("  {:<8}{:<32}{:>11}{:>11.4g}{:>9}  {:<8}{}\n", f.tissue, f.name,
                          judged ? fmt::format("{:.4g}", f.target) : "-", f.reached,
                          judged ? fmt::format("{:.0f} %", 100 * f.tolerance) : "-", f.unit,
                          !judged     ? "reported"
                          : f.met()   ? "met"
                          : f.binding ? "MISSED"
                                      : "outside");
  }
  return result;
}

VesselGraph grow_vasculature(MPI_Comm comm, const VasculatureSettings& settings, const ShareOwner& owner,
                             VasculatureReport* report) {
  check(settings);
  const VesselPlan plan(settings);
  VasculatureKnobs knobs;
  Scales scales;
  const int turns = calibrate(comm, plan, knobs, scales);

  const int ranks = size_of(comm), rank = rank_of(comm);
  const long units = plan.partition().units();
  const Run run = run_of(rank, ranks, units);
  std::vector<GrownVessel> vessels;
  VesselSums sums(settings);
  long dropped = 0;
  {
    Assembly assembly(plan, knobs, scales);
    for (long u = run.first; u < run.last; ++u)
      assembly.vessels(u, false, [&](const GrownVessel& v, bool) {
        if (!settings.keep_unperfused && (v.flags & GrownVessel::perfused) == 0) {
          ++dropped;
          return;
        }
        sums.add(v);
        vessels.push_back(v);
      });
  }
  sums.reduce(comm);
  MPI_Allreduce(MPI_IN_PLACE, &dropped, 1, MPI_LONG, MPI_SUM, comm);
  const auto mine = static_cast<long>(vessels.size());
  long before = 0;
  MPI_Exscan(&mine, &before, 1, MPI_LONG, MPI_SUM, comm);
  if (rank == 0) before = 0;
  for (GrownVessel& v : vessels) v.id = before++;

  VasculatureReport told;
  told.preset = settings.preset;
  told.source = settings.source;
  told.segments = sums.count(VesselSums::all);
  told.arteriole_segments = sums.count(VesselSums::arteriole);
  told.venule_segments = sums.count(VesselSums::venule);
  told.blind_ends = sums.count(VesselSums::blind);
  told.shunts = sums.count(VesselSums::shunt);
  told.roots = sums.count(VesselSums::root);
  told.unperfused_segments = sums.count(VesselSums::unperfused);
  told.dropped_segments = dropped;
  told.units = units;
  told.calibrations = turns;
  const auto volume = plan.volumes(nullptr);
  const int tissue = volume[1] > 0 ? 1 : 0;
  const VasculatureDistances far = vessel_distances(
      comm, plan, sums.length(tissue) / volume[static_cast<std::size_t>(tissue)], vessels, told.segments);
  told.figures = figures(plan, sums, far);
  if (report != nullptr) *report = told;
  if (settings.miss_is_error && !told.met())
    throw InputError(
        "network.generate: the network misses a target; widen network.generate.tolerance, ask for what fits the box, "
        "or "
        "set network.generate.miss = report\n" +
        told.text());

  const auto by_unit = [&](const Place& where) {
    const long unit = plan.partition().unit_at(where);
    return static_cast<int>(((unit + 1) * ranks - 1) / units);
  };
  return share_of(routed(comm, std::move(vessels), owner ? owner : ShareOwner(by_unit)), plan.first_free_id());
}

double perfused_length_fraction(const VesselGraph& graph, double threshold) {
  const CutNetwork network = uncut(MPI_COMM_SELF, graph);
  BloodLaws laws;
  laws.viscosity = [](double, double) { return 3e-3; };
  laws.split = [](double feed, double, std::span<const double>, std::span<const double>, std::span<double> out) {
    std::fill(out.begin(), out.end(), feed);
  };
  const FlowSolver solver(network, graph.radius, laws);
  BloodFlow state;
  state.leak.assign(network.pieces(), 0.0);
  solver.solve(state);
  std::vector<double> speed(network.pieces()), moving;
  for (std::size_t p = 0; p < speed.size(); ++p)
    speed[p] = std::abs(state.flow[p]) / (std::numbers::pi * graph.radius[p] * graph.radius[p]);
  const double fastest = speed.empty() ? 0 : *std::max_element(speed.begin(), speed.end());
  for (const double v : speed)
    if (v > 1e-9 * fastest) moving.push_back(v);
  if (moving.empty()) return 0;
  std::nth_element(moving.begin(), moving.begin() + static_cast<std::ptrdiff_t>(moving.size() / 2), moving.end());
  const double least = threshold * moving[moving.size() / 2];
  double perfused = 0, total = 0;
  for (std::size_t p = 0; p < speed.size(); ++p) {
    total += graph.length[p];
    if (speed[p] > least) perfused += graph.length[p];
  }
  return perfused / total;
}

}  // namespace sanctuary
