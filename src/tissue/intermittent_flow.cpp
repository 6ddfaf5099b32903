#include "tissue/intermittent_flow.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "base/random.hpp"

namespace sanctuary {
namespace {

constexpr int event_bits = 24;  // of a counter: number of the cycle or knot; the rest names the region
constexpr long largest_region = 1L << 39;

std::size_t at(long i) { return static_cast<std::size_t>(i); }

std::uint64_t counter(long region, long event) {
  constexpr long middle = 1L << (event_bits - 1);
  return (static_cast<std::uint64_t>(region) << event_bits) + static_cast<std::uint64_t>(event + middle);
}

double log_uniform(double draw, double lowest, double highest) { return lowest * std::pow(highest / lowest, draw); }

/// Uniform values at the knots, joined by a quintic with two continuous derivatives.
double smooth_noise(const IntermittencySettings& settings, long region, double time) {
  const RandomStream stream(settings.seed, "vessels.intermittency.noise");
  const double place = time / settings.noise_time;
  const auto knot = static_cast<long>(std::floor(place));
  const double x = place - static_cast<double>(knot);
  const double first = stream.uniform(counter(region, knot)), second = stream.uniform(counter(region, knot + 1));
  return first + (second - first) * x * x * x * (10 + x * (6 * x - 15));
}

double log_rhythm(const RegionRhythm& rhythm, double cycle_share) {
  return -0.5 * std::log(rhythm.swing) * (1 - std::cos(2 * std::numbers::pi * cycle_share));
}

}  // namespace

RegionRhythm region_rhythm(const IntermittencySettings& settings, long region) {
  if (region < 0 || region > largest_region) {
    throw InputError(
        fmt::format("segment id {} cannot name a feeding region: expected 0 to {}; renumber the segments of the "
                    "network",
                    region, largest_region));
  }
  const auto draw = [&](const char* purpose) {
    return RandomStream(settings.seed, purpose).uniform(static_cast<std::uint64_t>(region));
  };
  return {
      .region = region,
      .period = log_uniform(draw("vessels.intermittency.period"), settings.shortest_period, settings.longest_period),
      .swing = log_uniform(draw("vessels.intermittency.swing"), settings.smallest_swing, settings.largest_swing),
      .phase = draw("vessels.intermittency.phase")};
}

bool stasis_in_cycle(const IntermittencySettings& settings, const RegionRhythm& rhythm, long cycle) {
  return RandomStream(settings.seed, "vessels.intermittency.stasis").uniform(counter(rhythm.region, cycle)) <
         settings.stasis_chance;
}

double rhythm_ratio(const RegionRhythm& rhythm, double cycle_share) {
  return std::exp(log_rhythm(rhythm, cycle_share));
}

double flux_ratio(const IntermittencySettings& settings, const RegionRhythm& rhythm, double time) {
  const double cycles = time / rhythm.period + rhythm.phase;
  const double cycle = std::floor(cycles);
  double logarithm = log_rhythm(rhythm, cycles - cycle) - settings.noise * smooth_noise(settings, rhythm.region, time);
  const double from_nadir = 2 * (cycles - cycle - 0.5) * rhythm.period / settings.stasis_duration;
  if (std::abs(from_nadir) < 1 && stasis_in_cycle(settings, rhythm, static_cast<long>(cycle))) {
    const double depth = std::pow(1 - from_nadir * from_nadir, 3);
    logarithm += depth * (std::min(std::log(settings.stasis_flux), logarithm) - logarithm);
  }
  return std::exp(logarithm);
}

double mean_rhythm_ratio(double swing) { return std::cyl_bessel_i(0.0, 0.5 * std::log(swing)) / std::sqrt(swing); }

double snapshot_time(const RegionRhythm& rhythm, double start, int snapshot, int snapshots) {
  return start + (snapshot + 0.5) / snapshots * rhythm.period;
}

double flow_ratio(double factor, double share) { return 1 / (1 + share * (1 / factor - 1)); }

double conductance_factor(double ratio, double share) {
  return std::max(smallest_conductance_factor, 1 / (1 + (1 / ratio - 1) / share));
}

double resistance_share(double factor, double ratio) { return (1 / ratio - 1) / (1 / factor - 1); }

double share_from_flows(double high_factor, double high_flow, double low_factor, double low_flow) {
  constexpr double smallest = 1e-3;
  const double ratio = low_flow / high_flow;
  const double below = ratio * (1 / low_factor - 1) - (1 / high_factor - 1);
  if (!(ratio < 1)) return smallest;  // the flow does not answer
  return below > 0 ? std::clamp((1 - ratio) / below, smallest, 1.0) : 1.0;
}

std::vector<double> widest_feed(const VesselGraph& share, std::span<const double> pressure) {
  std::vector<double> feed(share.position.size(), 0.0);
  for (std::size_t s = 0; s < share.segment.size(); ++s) {
    const auto [a, b] = share.segment[s];
    if (share.type[s] == vessel_type::venule || pressure[at(a)] == pressure[at(b)]) continue;
    const std::size_t lower = at(pressure[at(a)] > pressure[at(b)] ? b : a);
    feed[lower] = std::max(feed[lower], share.radius[s]);
  }
  return feed;
}

std::vector<FeedingRegion> feeding_regions(const IntermittencySettings& settings, const VesselGraph& share,
                                           std::span<const double> pressure, std::span<const double> feed,
                                           double whole_drop) {
  std::vector<FeedingRegion> regions;
  for (std::size_t s = 0; s < share.segment.size(); ++s) {
    const auto [a, b] = share.segment[s];
    const double drop = std::abs(pressure[at(a)] - pressure[at(b)]);
    if (share.type[s] == vessel_type::venule || share.radius[s] >= settings.feeder_radius || !(drop > 0)) continue;
    const std::size_t upper = at(pressure[at(a)] > pressure[at(b)] ? a : b);
    const bool inlet = share.boundary[upper] != BoundaryKind::none && feed[upper] == 0;
    if (!inlet && feed[upper] < settings.feeder_radius) continue;
    regions.push_back({.rhythm = region_rhythm(settings, share.segment_id[s]),
                       .segment = static_cast<long>(s),
                       .resistance_share = std::min(1.0, drop / whole_drop)});
  }
  return regions;
}

std::vector<double> conductance_factors(const IntermittencySettings& settings, std::span<const FeedingRegion> regions,
                                        std::size_t segments, double time) {
  std::vector<double> factors(segments, 1.0);
  for (const FeedingRegion& region : regions) {
    factors[at(region.segment)] =
        conductance_factor(flux_ratio(settings, region.rhythm, time), region.resistance_share);
  }
  return factors;
}

std::vector<double> snapshot_factors(const IntermittencySettings& settings, std::span<const FeedingRegion> regions,
                                     std::size_t segments, double start, int snapshot, int snapshots) {
  std::vector<double> factors(segments, 1.0);
  for (const FeedingRegion& region : regions) {
    const double time = snapshot_time(region.rhythm, start, snapshot, snapshots);
    factors[at(region.segment)] =
        conductance_factor(flux_ratio(settings, region.rhythm, time), region.resistance_share);
  }
  return factors;
}

const Catalogue& intermittency_parameters() {
  static const Catalogue list{
      &intermittency::enabled,        &intermittency::shortest_period, &intermittency::longest_period,
      &intermittency::smallest_swing, &intermittency::largest_swing,   &intermittency::noise,
      &intermittency::noise_time,     &intermittency::stasis_chance,   &intermittency::stasis_duration,
      &intermittency::stasis_flux,    &intermittency::feeder_radius,   &intermittency::snapshots};
  return list;
}

IntermittencySettings intermittency_settings(const Deck& deck, std::uint64_t seed) {
  const auto ordered = [&](const Parameter& lowest, const Parameter& highest) {
    if (deck.number(lowest) > deck.number(highest)) {
      throw InputError(
          fmt::format("{}: must not lie under {}; raise the one or lower the other", deck.where(highest), lowest.key));
    }
  };
  ordered(intermittency::shortest_period, intermittency::longest_period);
  ordered(intermittency::smallest_swing, intermittency::largest_swing);
  return {.seed = seed,
          .shortest_period = deck.number(intermittency::shortest_period),
          .longest_period = deck.number(intermittency::longest_period),
          .smallest_swing = deck.number(intermittency::smallest_swing),
          .largest_swing = deck.number(intermittency::largest_swing),
          .noise = deck.number(intermittency::noise),
          .noise_time = deck.number(intermittency::noise_time),
          .stasis_chance = deck.number(intermittency::stasis_chance),
          .stasis_duration = deck.number(intermittency::stasis_duration),
          .stasis_flux = deck.number(intermittency::stasis_flux),
          .feeder_radius = deck.number(intermittency::feeder_radius)};
}

}  // namespace sanctuary
