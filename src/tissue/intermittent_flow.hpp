#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/deck.hpp"
#include "base/parameter.hpp"
#include "solvers/network/graph.hpp"

namespace sanctuary {

/// How the red-cell flux of feeding regions comes and goes (M03), in SI units.
struct IntermittencySettings {
  std::uint64_t seed = 1;
  double shortest_period = 1200, longest_period = 3600;  ///< [s], log-uniform between
  double smallest_swing = 1.5, largest_swing = 10;       ///< apex over nadir of a cycle's flux, log-uniform per region
  double noise = 0.1;                                    ///< largest loss of log flux by the noise
  double noise_time = 300;                               ///< [s] between the knots of the noise
  double stasis_chance = 0.04;                           ///< of a cycle, to stand still at its nadir
  double stasis_duration = 10;                           ///< [s] from the onset to the end of such a standstill
  double stasis_flux = 1e-3;                             ///< flux over the apex that counts as standing still
  double feeder_radius = 10e-6;                          ///< [m] under it an arterial vessel can be a feeder
};

/// Rhythm of one feeding region.
struct RegionRhythm {
  long region = 0;    ///< persistent id of the feeding segment
  double period = 0;  ///< [s]
  double swing = 1;   ///< apex over nadir of the flux without noise and stasis
  double phase = 0;   ///< share of a cycle that has passed at time 0
};
/// The rhythm of a region, drawn from (seed, region) alone. InputError for a negative region or one over 2^39.
[[nodiscard]] RegionRhythm region_rhythm(const IntermittencySettings& settings, long region);

/// Flux of a region over that of its apex, in (0, 1], at `time` [s] >= 0: known without history, with a continuous
/// derivative. ln flux = -ln(swing) (1 - cos 2 pi s)/2 - noise x n(t), and a short dip to `stasis_flux` at the nadir of
/// some cycles. At every apex s = 0.
[[nodiscard]] double flux_ratio(const IntermittencySettings& settings, const RegionRhythm& rhythm, double time);
/// The same without noise and stasis where the region has gone through the share `cycle_share` of a cycle (apex at 0).
[[nodiscard]] double rhythm_ratio(const RegionRhythm& rhythm, double cycle_share);
/// Mean of `rhythm_ratio` over a cycle: I_0(ln(swing)/2)/sqrt(swing), I_0 the modified Bessel function.
[[nodiscard]] double mean_rhythm_ratio(double swing);
/// True if the cycle of a region with this number (0: the one at time 0) holds a standstill.
[[nodiscard]] bool stasis_in_cycle(const IntermittencySettings& settings, const RegionRhythm& rhythm, long cycle);

/// Times [s] at which phase `snapshot` of `snapshots` is taken in each region, from `start` on: region r at start +
/// (snapshot + 1/2)/snapshots x its own period, so that every region runs once through its cycle whatever its period
/// and means over the snapshots are means over a cycle, spectrally accurate. The snapshots of one call are in step only
/// within a region, as in nature. For an instant (a fraction of radiotherapy) use the clock time in all regions.
[[nodiscard]] double snapshot_time(const RegionRhythm& rhythm, double start, int snapshot, int snapshots);

/// A feeder is never closed for good, so that the pressures stay defined.
inline constexpr double smallest_conductance_factor = 1e-6;
/// Flow over its value at full conductance when a segment that holds the share `share` of the resistance of its path
/// has its conductance multiplied by `factor`: 1/(1 + share (1/factor - 1)). Exact for one segment in any network of
/// given conductances (Thevenin), with share = R/(R + R of the rest seen from its ends).
[[nodiscard]] double flow_ratio(double factor, double share);
/// The conductance factor in [smallest_conductance_factor, 1] that gives a flow ratio in (0, 1]: the inverse.
[[nodiscard]] double conductance_factor(double ratio, double share);
/// The share from a flow ratio that was found at a conductance factor below 1.
[[nodiscard]] double resistance_share(double factor, double ratio);
/// The share from the flows of a region at two conductance factors, higher and lower: the inverse of the quotient of
/// two `flow_ratio`s, held within [1e-3, 1]. Where all regions run through their cycles at once, the snapshots with a
/// region's highest and lowest factor give a share that accounts for its neighbours on the average.
[[nodiscard]] double share_from_flows(double high_factor, double high_flow, double low_factor, double low_flow);

/// A feeding segment of this share of the network.
struct FeedingRegion {
  RegionRhythm rhythm;
  long segment = 0;             ///< local index
  double resistance_share = 1;  ///< see `flow_ratio`
};
/// Radius [m] of the widest vessel, venules apart, that brings blood to each node of a share; 0 where none does. At
/// nodes that lie on several ranks the largest value over the ranks counts: the caller takes it. `pressure` [Pa] of
/// each node.
[[nodiscard]] std::vector<double> widest_feed(const VesselGraph& share, std::span<const double> pressure);
/// The feeding segments of a share by a rule that looks at one node at a time: narrower than `feeder_radius`, no
/// venule, fed either by a vessel at least that wide or from outside (a boundary node that no vessel feeds), so that a
/// path that narrows monotonously has one. The resistance share is the pressure drop over `whole_drop` [Pa], the drop
/// from inlets to outlets: a first value, too small in a meshed network, to be calibrated by `share_from_flows`.
/// Ascending in the local index. `feed`: `widest_feed` after the reduction over ranks.
[[nodiscard]] std::vector<FeedingRegion> feeding_regions(const IntermittencySettings& settings,
                                                         const VesselGraph& share, std::span<const double> pressure,
                                                         std::span<const double> feed, double whole_drop);
/// Factor on the conductance of each of `segments` local segments at `time` [s]; 1 where nothing feeds a region.
[[nodiscard]] std::vector<double> conductance_factors(const IntermittencySettings& settings,
                                                      std::span<const FeedingRegion> regions, std::size_t segments,
                                                      double time);
/// The same for one of the snapshots of a cycle from `start` [s] on, see `snapshot_time`.
[[nodiscard]] std::vector<double> snapshot_factors(const IntermittencySettings& settings,
                                                   std::span<const FeedingRegion> regions, std::size_t segments,
                                                   double start, int snapshot, int snapshots);

namespace intermittency {
inline constexpr Parameter enabled{.key = "mechanisms.intermittent_flow",
                                   .kind = Kind::flag,
                                   .value = 0,
                                   .range = {0, 1},
                                   .meaning = "M03: red-cell flux of feeding regions comes and goes; off: steady flow",
                                   .source = "choice"};
inline constexpr Parameter shortest_period{.key = "vessels.intermittency.shortest_period",
                                           .unit = "min",
                                           .value = 20,
                                           .range = {0.1, 1440},
                                           .meaning = "Shortest period of a region's flux, which is log-uniform",
                                           .source = "Dewhirst 1996, Br J Cancer 74 Suppl 27:S247 (20 to 60 min)"};
inline constexpr Parameter longest_period{.key = "vessels.intermittency.longest_period",
                                          .unit = "min",
                                          .value = 60,
                                          .range = {0.1, 1440},
                                          .meaning = "Longest period of a region's flux",
                                          .source = "Dewhirst 1996, Br J Cancer 74 Suppl 27:S247 (20 to 60 min)"};
inline constexpr Parameter smallest_swing{.key = "vessels.intermittency.smallest_swing",
                                          .value = 1.5,
                                          .range = {1, 1000},
                                          .meaning = "Least apex over nadir of red-cell flux, which is log-uniform",
                                          .source = "Kimura 1996, Cancer Res 56:5522 (1.5 to 10)"};
inline constexpr Parameter largest_swing{.key = "vessels.intermittency.largest_swing",
                                         .value = 10,
                                         .range = {1, 1000},
                                         .meaning = "Largest apex over nadir of red-cell flux",
                                         .source = "Kimura 1996, Cancer Res 56:5522 (1.5 to 10)"};
inline constexpr Parameter noise{.key = "vessels.intermittency.noise",
                                 .value = 0.1,
                                 .range = {0, 2},
                                 .meaning = "Largest loss of the logarithm of flux by irregularity, besides the cycle",
                                 .source =
                                     "assumed: recordings are irregular (Lanzen 2006, Cancer Res 66:2219), their "
                                     "spectrum was not available"};
inline constexpr Parameter noise_time{.key = "vessels.intermittency.noise_time",
                                      .unit = "min",
                                      .value = 5,
                                      .range = {0.1, 1440},
                                      .meaning = "Time over which the irregularity changes",
                                      .source = "assumed: a quarter of the shortest period"};
inline constexpr Parameter stasis_chance{.key = "vessels.intermittency.stasis_chance",
                                         .value = 0.04,
                                         .range = {0, 1},
                                         .meaning = "Share of cycles in which flow stands still at the nadir",
                                         .source = "Dewhirst 1996, Br J Cancer 74 Suppl 27:S247 (4 % incidence)"};
inline constexpr Parameter stasis_duration{.key = "vessels.intermittency.stasis_duration",
                                           .unit = "s",
                                           .value = 10,
                                           .range = {0.1, 600},
                                           .meaning = "Time from onset to end of a standstill",
                                           .source = "assumed: Dewhirst 1996 saw stasis for a few seconds at a time"};
inline constexpr Parameter stasis_flux{.key = "vessels.intermittency.stasis_flux",
                                       .value = 1e-3,
                                       .range = {1e-6, 0.1},
                                       .meaning = "Flux over the apex that counts as standing still",
                                       .source = "assumed: small, and the flow problem stays regular"};
inline constexpr Parameter feeder_radius{
    .key = "vessels.intermittency.feeder_radius",
    .unit = "um",
    .value = 10,
    .range = {1, 500},
    .meaning = "A vessel narrower than this that leaves a wider one, or enters from outside, feeds a region of its own",
    .source = "assumed: under terminal arterioles of 10 to 15 um in radius, so that groups of vessels share a rhythm"};
inline constexpr Parameter snapshots{.key = "vessels.intermittency.snapshots",
                                     .kind = Kind::integer,
                                     .value = 8,
                                     .range = {1, 1000},
                                     .meaning = "Phases of the cycle at which oxygen is solved in a macro step",
                                     .source = "choice: means over a cycle of the flux converge spectrally"};
}  // namespace intermittency

/// Parameters of section `vessels.intermittency` and the switch of the mechanism.
[[nodiscard]] const Catalogue& intermittency_parameters();
/// Settings of the deck; `seed` is that of the patient. InputError where an upper bound lies under its lower one.
[[nodiscard]] IntermittencySettings intermittency_settings(const Deck& deck, std::uint64_t seed);

}  // namespace sanctuary
