#pragma once
#include <mpi.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "solvers/network/graph.hpp"

namespace sanctuary {

// Shape of a network that is spread over the ranks of a communicator. Each rank gives its share: every segment is on
// one rank, with the nodes it touches. All functions with a communicator are collective; all ranks get the same result,
// with the same digits on any number of ranks and however the segments were dealt out.

/// Distribution of one quantity. Quantiles are values that occur (solvers/statistics.hpp). All 0 if `count` is.
struct Distribution {
  long count = 0;  ///< of values with a weight
  double mean = 0;
  double deviation = 0;  ///< of the sample (n - 1) where each value counts 1, else of the weighted values
  double smallest = 0, largest = 0;
  double quantile_05 = 0, quantile_25 = 0, median = 0, quantile_75 = 0, quantile_95 = 0;
};
/// Distribution of the values of all ranks, each with its weight (none: 1 each; weight 0 does not count). Throws
/// InputError on NaN and on negative weights. Collective.
[[nodiscard]] Distribution distribution(MPI_Comm comm, std::span<const double> values,
                                        std::span<const double> weights = {});

/// Shares of the weight in bins between `edges` and outside them; all 0 if there is no weight.
struct Binned {
  std::vector<double> edges, share;
  double below = 0, above = 0;
};
/// Collective.
[[nodiscard]] Binned binned(MPI_Comm comm, std::span<const double> values, std::span<const double> weights,
                            std::vector<double> edges);
/// `bins` equal bins from `low` to `high`.
[[nodiscard]] std::vector<double> even_edges(double low, double high, int bins);
/// Bins equal in the logarithm, `per_decade` from 10^low to 10^high.
[[nodiscard]] std::vector<double> decade_edges(int low, int high, int per_decade);

/// A chain of segments between two branch points, ends or boundary nodes: what the literature counts as one vessel,
/// while imaged networks split it into many segments.
struct Vessel {
  std::array<long, 2> node{};                    ///< ids of its ends; the same where it is closed
  std::array<std::array<double, 3>, 2> place{};  ///< of its ends [m]
  std::array<BoundaryKind, 2> boundary{};
  long segments = 0;
  bool open = true;   ///< every segment has a positive radius
  double length = 0;  ///< sum over its segments, rounded once [m]
  double radius = 0;  ///< mean, weighted with length [m]
  /// Distance between its ends. [m]
  [[nodiscard]] double chord() const;
};
/// The vessels of the network, each on one rank: on this rank where all its segments are, else on rank 0. Lengths are
/// added exactly (in units of 2^-100 m). Throws InputError when a length or radius is negative, not finite or over 1
/// km. Collective.
[[nodiscard]] std::vector<Vessel> vessels_of(MPI_Comm comm, const VesselGraph& share);

/// Boxes of a cubic lattice that hold part of a centre line, by size of box.
struct BoxCounts {
  std::vector<double> edge;  ///< of the boxes, doubled from entry to entry [m]
  std::vector<long> count;
  std::size_t fitted = 0;  ///< entries, from the smallest, that give the dimension: up to eight times the smallest
  double dimension = 0;    ///< slope of log(count) over log(1/edge) by least squares; 0 of an empty network
};
/// Counts boxes that the straight centre lines touch, with edges from `smallest` [m] up to a quarter of the largest
/// side of `box`, three sizes at least, lattice at the corner of `box`. The dimension is that of a fixed range of
/// lengths, so that networks of different extent can be compared: under the distance between vessels it tends to 1,
/// over it to 3. Collective.
[[nodiscard]] BoxCounts count_boxes(MPI_Comm comm, const VesselGraph& share, const Box& box, double smallest);

/// Distances from points of tissue to the nearest vessel.
struct VesselDistances {
  std::vector<double> wall;  ///< of each point outside all vessels, those of all ranks: to the nearest wall [m]
  std::vector<double> axis;  ///< of the same points: to the nearest centre line [m]
  double inside = 0;         ///< share of all points that lie in a vessel
};
/// Draws `points` points uniformly in `box`, point i by (seed, i) alone, and finds the vessels next to each; segments
/// are straight tubes, vessels beyond the box are unknown, so that points near its faces may seem farther than they
/// are. Empty without segments. Segments are sorted into buckets: work in proportion to points + segments. Collective.
[[nodiscard]] VesselDistances vessel_distances(MPI_Comm comm, const VesselGraph& share, const Box& box, long points,
                                               std::uint64_t seed);

/// How to measure.
struct MorphometrySettings {
  std::uint64_t seed = 1;       ///< of the points of tissue
  long points = 20000;          ///< of tissue, for the distance to vessels: quantiles to about 0.5 %
  double smallest_box = 10e-6;  ///< of the box counts [m]: about the width of a capillary
};

/// Segments and length of one type of vessel (vessel_type).
struct TypeShare {
  long segments = 0;
  double length_share = 0;
};

/// Morphometry of a network in a box of tissue, SI units. Densities are 0 where the box has no volume (planar
/// networks).
struct NetworkStatistics {
  Box box;
  long segments = 0, nodes = 0, vessels = 0, pieces = 0;
  long end_nodes = 0;      ///< with one segment end
  long blind_ends = 0;     ///< ends that are no boundary node
  long branch_points = 0;  ///< nodes with three segment ends or more
  long boundary_nodes = 0, pressure_nodes = 0, flow_nodes = 0;
  long loops = 0;                   ///< independent ones: segments - nodes + pieces
  std::vector<long> degrees;        ///< degrees[d]: nodes with d segment ends
  double total_length = 0;          ///< [m]
  double length_density = 0;        ///< [m/m^3]
  double surface_per_volume = 0;    ///< [1/m]
  double volume_fraction = 0;       ///< sum of pi r^2 l over the volume of the box
  double segment_density = 0;       ///< stored segments [1/m^3]
  double vessel_density = 0;        ///< vessels [1/m^3]
  double branch_point_density = 0;  ///< [1/m^3]
  double through_flow_share = 0;    ///< share of length that can carry flow (can_carry_flow)
  double largest_piece_share = 0;   ///< share of length in the longest connected piece
  double tortuosity = 1;            ///< length over chord of the vessels, both summed; closed vessels left out
  Distribution radius, length;      ///< over segments, each counts 1 [m]
  Distribution radius_by_length;    ///< over segments weighted with length [m]
  Distribution vessel_radius, vessel_length;        ///< over vessels, each counts 1 [m]
  Distribution vessel_tortuosity;                   ///< over vessels with a chord
  Distribution distance_to_wall, distance_to_axis;  ///< over points of tissue [m]
  double points_inside = 0;                         ///< share of points in vessels: their volume, overlaps counted once
  Binned radius_bins, vessel_length_bins, tortuosity_bins, distance_bins;  ///< radius by length, vessels each 1 [m]
  BoxCounts boxes;
  std::array<TypeShare, 4> types;  ///< unknown, arteriole, capillary, venule
};
/// Measures the network of which this rank holds `share`. No rank ever holds more than its share, but for rank 0, which
/// joins what crosses ranks. Collective; InputError as in vessels_of.
[[nodiscard]] NetworkStatistics statistics(MPI_Comm comm, const VesselGraph& share, const Box& box,
                                           const MorphometrySettings& settings = {});
/// The same of a whole graph on the rank that calls. Not collective.
[[nodiscard]] NetworkStatistics statistics(const VesselGraph& graph, const Box& box,
                                           const MorphometrySettings& settings = {});

/// The smallest box that holds the nodes of all ranks. Collective.
[[nodiscard]] Box bounding_box(MPI_Comm comm, const VesselGraph& share);

}  // namespace sanctuary
