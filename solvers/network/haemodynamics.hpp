#pragma once
#include <mpi.h>

#include <cstdint>
#include <span>
#include <vector>

#include "solvers/network/flow.hpp"
#include "solvers/network/morphometry.hpp"

namespace sanctuary {

// Numbers of blood flow in a network that is spread over ranks, as in morphometry.hpp: collective, the same digits on
// any number of ranks.

/// Steady blood flow on the segments and nodes of a share.
struct SegmentFlow {
  std::vector<double> flow;         ///< of each segment, positive from its first to its second node [m^3/s]
  std::vector<double> haematocrit;  ///< discharge haematocrit of each segment
  std::vector<double> pressure;     ///< of each node [Pa]
  bool steady = true;               ///< the haematocrit settled; else the state nearest to steady
};

/// A share of a network, dealt out anew, and the flow of its segments.
struct FlowOfShare {
  VesselGraph share;
  SegmentFlow flow;
};
/// Steady flow of a network by FlowSolver, without leaks. Parts whose boundary nodes all have given flows, none a
/// pressure, take pressure 0 at their largest outlet in place of its flow. Throws InputError on a segment without
/// a positive radius or length and where no node has a boundary condition. Collective.
[[nodiscard]] FlowOfShare steady_flow(MPI_Comm comm, const VesselGraph& share, const BloodLaws& laws);

/// How to judge a flow.
struct HaemodynamicSettings {
  double perfusion_velocity = 10e-6;  ///< mean velocity from which a segment counts as perfused [m/s]
  double tissue_density = 1050;       ///< [kg/m^3]
  std::uint64_t seed = 1;             ///< of the walks
  long walks = 20000;                 ///< of blood through the network, for the distribution of transit times
};

/// Blood flow in figures. "By length": each segment counts with its length, so that cutting a vessel in pieces changes
/// nothing.
struct Haemodynamics {
  double perfused_fraction = 0;          ///< of length
  double perfused_segment_fraction = 0;  ///< of segments
  double inflow = 0, outflow = 0;        ///< of blood through boundary nodes [m^3/s]
  double plasma_inflow = 0;              ///< [m^3/s]
  double perfusion = 0;                  ///< inflow per volume of tissue [1/s]; 0 where the box has no volume
  double perfusion_per_mass = 0;         ///< [m^3/(s kg)]; 1.667e-7 is 1 ml/min/100 g
  double plasma_flow_per_mass = 0;       ///< [m^3/(s kg)]
  double flow_variation = 0;             ///< coefficient of variation of |flow|, by length
  double velocity_variation = 0;         ///< of |velocity|, by length
  Distribution flow, velocity;           ///< by length, magnitudes [m^3/s], [m/s]
  Distribution wall_shear;               ///< by length: |pressure drop| x radius / (2 length) [Pa]
  Distribution haematocrit;              ///< of perfused segments, by length
  double blood_volume = 0;               ///< of perfused segments [m^3]
  double volume_over_inflow = 0;         ///< of these: the mean transit time by the central volume principle [s]
  // Transit from boundary to boundary through perfused segments, weighted with flow: by exact moments.
  double transit_share = 0;                        ///< of the outflow whose paths run through perfused segments alone
  double transit_mean = 0;                         ///< [s]
  double transit_deviation = 0;                    ///< [s]
  double transit_variation = 0;                    ///< deviation over mean
  Distribution transit;                            ///< of the walks [s]
  Binned transit_bins, velocity_bins, shear_bins;  ///< walks; by length [s], [m/s], [Pa]
};
/// Figures of a flow on the network of which this rank holds `share`. Moments: mean and mean square of the time since
/// entering are mixed by flow at each node and shifted by volume / flow along each segment, from inlets to outlets;
/// where perfused segments form a cycle of flow, what passes it is not in `transit_share`. Walks enter with the
/// boundary inflow, choose at each node in proportion to the flows out, and drop out where a segment is not perfused.
/// Throws InputError on arrays of wrong length and on flows that are not finite. Collective.
[[nodiscard]] Haemodynamics haemodynamics(MPI_Comm comm, const VesselGraph& share, const Box& box,
                                          const SegmentFlow& flow, const HaemodynamicSettings& settings = {});

}  // namespace sanctuary
