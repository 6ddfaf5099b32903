#pragma once
#include <mpi.h>

#include <cstdint>

#include "solvers/network/graph.hpp"

namespace sanctuary {

/// A disordered lattice of vessels of mean degree 3: nodes of a cube, each pushed by up to 0.3 of the spacing (60 um)
/// along each axis, each edge of the cube kept with the same probability, radii log-normal (median 4 um, 0.3). Of the
/// nodes of two opposite faces a quarter are ends of arterioles (60 mmHg) and of venules (15 mmHg). About as many
/// `segments` as asked for. Each rank makes its own planes of the cube; the network is the same on any number of ranks.
/// Not collective.
[[nodiscard]] VesselGraph lattice_share(MPI_Comm comm, long segments, std::uint64_t seed);

}  // namespace sanctuary
