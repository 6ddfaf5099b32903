#pragma once
#include <limits>
#include <span>
#include <vector>

#include "solvers/network/flow.hpp"
#include "solvers/network/segment_homes.hpp"
#include "tissue/intermittent_flow.hpp"
#include "tissue/vessel_compression.hpp"

namespace sanctuary {

/// Solid stress of the tissue, compression positive. [Pa]
struct SolidStress {
  double tumour = 0, host = 0;
  double rim_width = 1e-4;  ///< [m] under the tumour's edge over which it goes from the one to the other
};
/// Stress [Pa] at a depth [m] under the tumour's edge (negative: in the host): linear through the rim.
[[nodiscard]] double solid_stress_at(const SolidStress& stress, double depth);

/// Vessels of a distributed network that give way to solid stress (M14): keeps the radii of whole segments and puts
/// them into the flow solver. Borrows network, homes and flow. Collective.
class CompressedVessels {
 public:
  /// `maturity` of the walls of the own pieces.
  CompressedVessels(const CutNetwork& network, const SegmentHomes& homes, FlowSolver& flow,
                    const CompressionSettings& settings, std::span<const double> maturity);

  /// Begins with other stresses: forgets how often vessels have collapsed and reopened under the last ones.
  void new_load() { turns_.clear(); }
  /// Settles the radii at the interstitial pressures and stresses of the own pieces [Pa], from the present ones, at the
  /// resistances of the haematocrits in `blood`. Pressures are those of flow without leaks.
  SettleReport settle(std::span<const double> fluid, std::span<const double> solid, const BloodFlow& blood);
  /// Largest change of the logarithm of a conductance in the last settling; infinite where a segment closed or opened.
  [[nodiscard]] double change() const { return change_; }
  /// True if blood flowed somewhere when the radii had settled.
  [[nodiscard]] bool any_flow() const { return any_flow_; }
  /// Segments over all ranks.
  [[nodiscard]] long segments() const { return segments_; }
  /// Radii of the segments at home, and the same for a state that was saved: the flow solver's radii are the caller's.
  [[nodiscard]] const CompressedRadii& radii() const { return radii_; }
  void restore(CompressedRadii radii);
  /// Of each own piece: 1 where its segment is collapsed.
  [[nodiscard]] const std::vector<char>& collapsed() const { return collapsed_; }

 private:
  void mark_collapsed();

  const CutNetwork* network_;
  const SegmentHomes* homes_;
  FlowSolver* flow_;
  CompressionSettings settings_;
  std::vector<double> support_;  // of the segments at home [Pa]
  CompressedRadii radii_;
  std::vector<int> turns_;  // collapses of the segments at home under the present load
  std::vector<char> collapsed_;
  long segments_ = 0;
  double change_ = 0;
  bool any_flow_ = true;
};

/// Flow of a distributed network that comes and goes in its feeding regions (M03): finds them once and sets the factors
/// of the flow solver's conductances. Borrows network, homes and flow. Collective.
class IntermittentNetwork {
 public:
  IntermittentNetwork(const CutNetwork& network, const SegmentHomes& homes, FlowSolver& flow,
                      const IntermittencySettings& settings, int snapshots);

  /// Finds the feeding regions of a steady flow at full conductance and calibrates their shares of the resistance by
  /// two passes over eight snapshots of a cycle, at the haematocrits and leaks of that flow.
  void find_regions(const BloodFlow& steady);
  /// Conductances of one of the snapshots of a cycle from time 0 on, see `snapshot_time`.
  void set_snapshot(int snapshot);
  /// Conductances at a clock time [s].
  void set_time(double time);
  /// Conductances at which each region has the mean of its flux over its first cycle.
  void set_mean();
  /// Full conductances.
  void set_steady() { flow_->set_conductance_factor({}); }
  [[nodiscard]] int snapshots() const { return snapshots_; }
  /// Feeding regions over all ranks.
  [[nodiscard]] long regions() const { return all_regions_; }
  /// Those of the segments at home here.
  [[nodiscard]] const std::vector<FeedingRegion>& local_regions() const { return regions_; }
  /// Takes regions that were found before, by the shares of the resistance of the segments at home (0: not a feeder).
  void restore(std::span<const double> resistance_share);

 private:
  void set(std::span<const double> of_segments) { flow_->set_conductance_factor(homes_->to_pieces(of_segments)); }

  const CutNetwork* network_;
  const SegmentHomes* homes_;
  FlowSolver* flow_;
  IntermittencySettings settings_;
  int snapshots_;
  std::vector<FeedingRegion> regions_;
  long all_regions_ = 0;
};

namespace solid_stress {
inline constexpr Parameter tumour{
    .key = "solid_stress.tumour",
    .unit = "mmHg",
    .value = 20,
    .range = {0, 1000},
    .meaning = "Solid stress on the vessels of the tumour inside its rim (M14)",
    .source = "assumed: low in the 10 to 100 mmHg of growth-induced stress (Stylianopoulos 2013, Cancer Res 73:3833)"};
inline constexpr Parameter host{.key = "solid_stress.host",
                                .unit = "mmHg",
                                .value = 0,
                                .range = {0, 1000},
                                .meaning = "Solid stress on the vessels of the host tissue",
                                .source = "assumed: tissue that does not grow bears none"};
inline constexpr Parameter rim_width{
    .key = "solid_stress.rim_width",
    .unit = "um",
    .value = 100,
    .range = {1, 1e4},
    .meaning = "Depth under the tumour's edge over which stress rises from that of the host to that of the tumour",
    .source = "assumed: as outcomes.rim_width"};
}  // namespace solid_stress

/// Parameters of section `solid_stress`.
[[nodiscard]] const Catalogue& solid_stress_parameters();
[[nodiscard]] SolidStress solid_stress_settings(const Deck& deck);

}  // namespace sanctuary
