#include "tissue/vessel_dynamics.hpp"

#include <algorithm>
#include <cmath>

#include "base/comm.hpp"
#include "base/error.hpp"

namespace sanctuary {
namespace {

std::size_t at(long i) { return static_cast<std::size_t>(i); }

constexpr double no_pressure = std::numeric_limits<double>::quiet_NaN();
constexpr double standing = 1e-9;  // of the largest flow: feeds no region

}  // namespace

double solid_stress_at(const SolidStress& stress, double depth) {
  return stress.host + (stress.tumour - stress.host) * std::clamp(depth / stress.rim_width, 0.0, 1.0);
}

CompressedVessels::CompressedVessels(const CutNetwork& network, const SegmentHomes& homes, FlowSolver& flow,
                                     const CompressionSettings& settings, std::span<const double> maturity)
    : network_(&network), homes_(&homes), flow_(&flow), settings_(settings), collapsed_(network.own_pieces, 0) {
  const std::vector<double> mean = homes.mean(maturity);
  const VesselGraph& share = homes.share();
  for (std::size_t s = 0; s < mean.size(); ++s) support_.push_back(wall_support(settings, mean[s], share.type[s]));
  radii_ = {std::vector<double>(mean.size(), 1.0), std::vector<char>(mean.size(), 0)};
  segments_ = count_over(network.comm, share.segments());
}

SettleReport CompressedVessels::settle(std::span<const double> fluid, std::span<const double> solid,
                                       const BloodFlow& blood) {
  const std::vector<double> fluid_mean = homes_->mean(fluid), solid_mean = homes_->mean(solid);
  std::vector<VesselLoad> load(support_.size());
  for (std::size_t s = 0; s < load.size(); ++s) load[s] = {support_[s], fluid_mean[s], solid_mean[s]};

  BloodFlow tight = blood;
  tight.leak.assign(network_->pieces(), 0.0);
  const std::vector<double> open = network_->piece_radii();
  const auto solve = [&](std::span<const double> factor, std::span<EndPressures> pressure) {
    std::vector<double> radius = homes_->to_pieces(factor);
    for (std::size_t p = 0; p < radius.size(); ++p) radius[p] *= open[p];
    flow_->set_radius(std::move(radius));
    flow_->flows_at(flow_->conductance(tight.viscous_haematocrit), tight);
    std::vector<double> known = tight.pressure;
    for (std::size_t n = 0; n < known.size(); ++n) {
      if (flow_->cut_off()[n]) known[n] = no_pressure;
    }
    const auto ends = homes_->ends(known);
    std::copy(ends.begin(), ends.end(), pressure.begin());
  };
  const CompressedRadii before = radii_;
  const SettleReport report =
      settle_radii(network_->comm, settings_, load, solve, radii_, {.most_turns = 3, .turns = &turns_});

  double change = 0, flowing = 0;
  for (std::size_t s = 0; s < load.size(); ++s) {
    if (radii_.collapsed[s] != before.collapsed[s]) {
      change = std::numeric_limits<double>::infinity();
    } else if (!radii_.collapsed[s]) {
      change = std::max(change, 4 * std::abs(std::log(radii_.factor[s] / before.factor[s])));
    }
  }
  for (std::size_t p = 0; p < network_->own_pieces; ++p) flowing = std::max(flowing, std::abs(tight.flow[p]));
  change_ = max_over(network_->comm, change);
  any_flow_ = max_over(network_->comm, flowing) > 0;
  mark_collapsed();
  return report;
}

void CompressedVessels::restore(CompressedRadii radii) {
  radii_ = std::move(radii);
  mark_collapsed();
}

void CompressedVessels::mark_collapsed() {
  const std::vector<double> closed =
      homes_->to_pieces(std::vector<double>(radii_.collapsed.begin(), radii_.collapsed.end()));
  for (std::size_t p = 0; p < collapsed_.size(); ++p) collapsed_[p] = closed[p] != 0;
}

IntermittentNetwork::IntermittentNetwork(const CutNetwork& network, const SegmentHomes& homes, FlowSolver& flow,
                                         const IntermittencySettings& settings, int snapshots)
    : network_(&network), homes_(&homes), flow_(&flow), settings_(settings), snapshots_(snapshots) {}

void IntermittentNetwork::find_regions(const BloodFlow& steady) {
  VesselGraph share = homes_->share();
  std::vector<double> pressure(share.position.size(), 0.0), magnitude(network_->own_pieces);
  double highest = -std::numeric_limits<double>::infinity(), lowest = -highest;
  std::vector<double> known = steady.pressure;
  for (std::size_t n = 0; n < known.size(); ++n) {
    if (flow_->cut_off()[n]) {
      known[n] = 0;  // blood stands: no pressure falls
    } else {
      highest = std::max(highest, known[n]);
      lowest = std::min(lowest, known[n]);
    }
  }
  const double drop = max_over(network_->comm, highest) - min_over(network_->comm, lowest);
  const auto ends = homes_->ends(known);
  for (std::size_t s = 0; s < ends.size(); ++s) {
    for (const std::size_t end : {0U, 1U}) pressure[at(share.segment[s][end])] = ends[s][end];
  }
  const auto flow_of_segments = [&](const BloodFlow& blood) {
    for (std::size_t p = 0; p < magnitude.size(); ++p) magnitude[p] = std::abs(blood.flow[p]);
    return homes_->mean(magnitude);
  };
  // Where blood stands the rounding of the pressures must not say which end is fed.
  const std::vector<double> steady_flow = flow_of_segments(steady);
  double largest = 0;
  for (const double q : steady_flow) largest = std::max(largest, q);
  largest = max_over(network_->comm, largest);
  for (std::size_t s = 0; s < steady_flow.size(); ++s) {
    if (steady_flow[s] <= standing * largest) share.type[s] = vessel_type::venule;
  }
  std::vector<double> feed = widest_feed(share, pressure);
  homes_->largest(feed);
  regions_ = feeding_regions(settings_, share, pressure, feed, drop);
  all_regions_ = count_over(network_->comm, static_cast<long>(regions_.size()));
  if (all_regions_ == 0) return;

  constexpr int passes = 2, trials = 8;
  BloodFlow blood = steady;
  for (int pass = 0; pass < passes; ++pass) {
    struct Met {
      double factor, flow;
    };
    std::vector<Met> high(regions_.size(), {0, 0}), low(regions_.size(), {2, 0});
    for (int k = 0; k < trials; ++k) {
      const auto factor = snapshot_factors(settings_, regions_, share.segment.size(), 0, k, trials);
      set(factor);
      flow_->flows_at(flow_->conductance(blood.viscous_haematocrit), blood);
      const std::vector<double> flow = flow_of_segments(blood);
      for (std::size_t r = 0; r < regions_.size(); ++r) {
        const std::size_t s = at(regions_[r].segment);
        if (factor[s] > high[r].factor) high[r] = {factor[s], flow[s]};
        if (factor[s] < low[r].factor) low[r] = {factor[s], flow[s]};
      }
    }
    for (std::size_t r = 0; r < regions_.size(); ++r) {
      if (!(high[r].factor > low[r].factor) || !(high[r].flow > 0)) continue;
      regions_[r].resistance_share = share_from_flows(high[r].factor, high[r].flow, low[r].factor, low[r].flow);
    }
  }
  set_steady();
}

void IntermittentNetwork::restore(std::span<const double> resistance_share) {
  regions_.clear();
  for (std::size_t s = 0; s < resistance_share.size(); ++s) {
    if (!(resistance_share[s] > 0)) continue;
    regions_.push_back({.rhythm = region_rhythm(settings_, homes_->share().segment_id[s]),
                        .segment = static_cast<long>(s),
                        .resistance_share = resistance_share[s]});
  }
  all_regions_ = count_over(network_->comm, static_cast<long>(regions_.size()));
}

void IntermittentNetwork::set_snapshot(int snapshot) {
  set(snapshot_factors(settings_, regions_, homes_->share().segment.size(), 0, snapshot, snapshots_));
}

void IntermittentNetwork::set_time(double time) {
  set(conductance_factors(settings_, regions_, homes_->share().segment.size(), time));
}

void IntermittentNetwork::set_mean() {
  constexpr int samples = 64;
  std::vector<double> factor(homes_->share().segment.size(), 1.0);
  for (const FeedingRegion& region : regions_) {
    double mean = 0;
    for (int k = 0; k < samples; ++k) {
      mean += flux_ratio(settings_, region.rhythm, snapshot_time(region.rhythm, 0, k, samples)) / samples;
    }
    factor[at(region.segment)] = conductance_factor(mean, region.resistance_share);
  }
  set(factor);
}

const Catalogue& solid_stress_parameters() {
  static const Catalogue list{&solid_stress::tumour, &solid_stress::host, &solid_stress::rim_width};
  return list;
}

SolidStress solid_stress_settings(const Deck& deck) {
  return {.tumour = deck.number(solid_stress::tumour),
          .host = deck.number(solid_stress::host),
          .rim_width = deck.number(solid_stress::rim_width)};
}

}  // namespace sanctuary
