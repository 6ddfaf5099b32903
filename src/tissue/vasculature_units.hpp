#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/random.hpp"
#include "tissue/vasculature.hpp"

namespace sanctuary {

using Place = std::array<double, 3>;

/// What calibration turns: relative number of junctions in host and tumour, share of tumour capillaries that end blind.
struct VasculatureKnobs {
  double host_points = 1, tumour_points = 1, cut_share = 0;
  std::uint64_t cut_draw = 0;  // which of many draws of the cuts
};

/// A standard normal field of space with a correlation length: normal draws on a lattice, interpolated trilinearly and
/// divided by the standard deviation that the interpolation leaves.
class SmoothField {
 public:
  SmoothField(std::uint64_t seed, const char* purpose, const Place& origin, double length)
      : stream_(seed, purpose), origin_(origin), length_(length) {}
  [[nodiscard]] double operator()(const Place& where) const;

 private:
  RandomStream stream_;
  Place origin_;
  double length_;
};

/// The halving of the box into units: always across the longest side, so that all regions of a level are alike.
class Partition {
 public:
  /// 2^levels units.
  Partition(const Box& box, int levels);
  [[nodiscard]] int levels() const { return static_cast<int>(axis_.size()); }
  [[nodiscard]] long units() const { return 1L << levels(); }
  /// The region of a level: its first `level` halvings are the bits of `prefix`, the first one the highest.
  [[nodiscard]] Box region(int level, long prefix) const;
  /// Unit of a position (positions outside count to the nearest).
  [[nodiscard]] long unit_at(const Place& where) const;
  /// The units that touch a unit, without itself, ascending.
  [[nodiscard]] std::vector<long> neighbours(long unit) const;
  [[nodiscard]] const Box& box() const { return box_; }

 private:
  [[nodiscard]] std::array<long, 3> coordinates(int level, long prefix) const;
  [[nodiscard]] long prefix_of(const std::array<long, 3>& coordinates) const;
  Box box_;
  std::vector<std::size_t> axis_;       // of each halving
  std::array<long, 3> count_{1, 1, 1};  // units along each axis
};

/// Densities, radii and draws as functions of place and seed: what all ranks agree on without speaking.
class VesselPlan {
 public:
  explicit VesselPlan(const VasculatureSettings& settings);

  [[nodiscard]] const VasculatureSettings& settings() const { return set_; }
  [[nodiscard]] const Partition& partition() const { return *partition_; }
  /// 0 in the host, 1 in the tumour, between them over the transition.
  [[nodiscard]] double tumour_weight(const Place& where) const;
  /// Length density over the mean of the tissue: the profile from rim to core and the patches.
  [[nodiscard]] double profile(const Place& where) const;
  /// Junctions of the bed within the region of a unit, and their lattice numbers; ascending.
  void points(long unit, const VasculatureKnobs& knobs, std::vector<Place>& position, std::vector<long>& id) const;
  /// Place of the terminal arteriole (side 0) or venule (1) of a unit, or of a branching point of its region.
  [[nodiscard]] Place tree_node(int level, long prefix, int side) const;
  /// Sum of the demands of a region's units.
  [[nodiscard]] double demand(int level, long prefix) const;
  /// Radius of the branch that feeds or drains a region, before the tumour changes it. [m]
  [[nodiscard]] double tree_radius(int level, long prefix, int side) const;
  /// The logarithm of a capillary radius at a place, but for the scale that calibration finds.
  [[nodiscard]] double log_radius(const Place& middle, std::uint64_t key, double host_scale, double tumour_scale) const;
  [[nodiscard]] int root_level() const { return root_level_; }
  [[nodiscard]] long lattice_cells() const { return count_[0] * count_[1] * count_[2]; }
  [[nodiscard]] long tree_node_id(int level, long prefix, int side) const {
    return lattice_cells() + 2 * ((1L << level) + prefix) + side;
  }
  [[nodiscard]] long root_id(long prefix, int side) const {
    return lattice_cells() + 4 * partition_->units() + 2 * prefix + side;
  }
  [[nodiscard]] long first_free_id() const {
    return lattice_cells() + 4 * partition_->units() + 2L * (1L << root_level_);
  }
  /// Where a root enters: the nearest of the faces of its side, straight out from its first branching point.
  [[nodiscard]] Place root_place(long prefix, int side) const;
  /// Volume of host and tumour within some units [m^3]; of the whole box where `units` is null.
  [[nodiscard]] std::array<double, 2> volumes(const std::vector<long>* units) const;

 private:
  VasculatureSettings set_;
  double tumour_mean_ = 1;  // of the profile over the tumour
  double largest_ = 1;      // number of junctions per volume that the lattice can hold [1/m^3]
  std::array<long, 3> count_{1, 1, 1};
  std::array<double, 3> width_{};
  std::array<double, 2> junctions_{};  // per volume expected to meet the targets: host, tumour [1/m^3]
  std::unique_ptr<Partition> partition_;
  int root_level_ = 0;
  RandomStream jitter_, keep_, demand_, branch_, scatter_, radius_;
  SmoothField patch_, radius_field_;
};

/// Key of a pair of nodes for draws.
[[nodiscard]] std::uint64_t pair_key(long a, long b);

/// The bed of one unit. The last two nodes are its terminal arteriole and venule.
struct VesselUnit {
  struct Edge {
    int a = 0, b = 0;
    bool blind = false;  // ends blind before it reaches b
  };
  std::vector<Place> position;
  std::vector<long> id;
  std::vector<Edge> edge;
  std::vector<char> kept;  // node is part of the network
};

/// A capillary between two units.
struct VesselBridge {
  int node = 0, other_node = 0;
  long other = 0;           // unit
  bool blind = false;       // ends blind at one of them
  bool blind_here = false;  // namely at `node`
};

/// Grows units on demand and keeps the latest.
class UnitGrower {
 public:
  UnitGrower(const VesselPlan& plan, const VasculatureKnobs& knobs)
      : plan_(plan),
        knobs_(knobs),
        cut_(plan.settings().seed, "vasculature.cut"),
        end_(plan.settings().seed, "vasculature.end"),
        loop_(plan.settings().seed, "vasculature.loop") {}
  /// References stay valid until `forget`.
  [[nodiscard]] const VesselUnit& unit(long index);
  /// Capillaries from a unit to its neighbours: pairs that are relative neighbours among all junctions around, whose
  /// ends are both in use.
  [[nodiscard]] const std::vector<VesselBridge>& bridges(long index);
  /// True for each edge of a unit that lies on a way between two of its arteriole, its venule and its open bridges: all
  /// junctions of the neighbour hang together with arteriole and venule, so that a bridge leads to either. Only two
  /// bridges to one neighbour whose ways there share a junction can be taken for a way wrongly.
  [[nodiscard]] std::vector<bool> through_flow(long index);
  /// Frees what was grown once there is much of it.
  void forget();

 private:
  [[nodiscard]] VesselUnit grow(long index) const;
  [[nodiscard]] std::vector<VesselBridge> build_bridges(long index);
  [[nodiscard]] bool ends_blind(const Place& a, const Place& b, std::uint64_t key) const;
  const VesselPlan& plan_;
  VasculatureKnobs knobs_;
  RandomStream cut_, end_, loop_;
  std::unordered_map<long, VesselUnit> units_;
  std::unordered_map<long, std::vector<VesselBridge>> bridges_;
};

}  // namespace sanctuary
