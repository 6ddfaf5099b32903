#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/comm.hpp"
#include "tissue/intermittent_flow.hpp"
#include "tissue/vessel_compression.hpp"

namespace sanctuary {
namespace {

constexpr long pieces = 24;

/// The segments first, first + stride, .. of a chain of `pieces` segments; node n has id n.
VesselGraph share_of_chain(long first, long stride) {
  VesselGraph share;
  std::map<long, long> local;
  const auto node = [&](long id) {
    const auto [place, fresh] = local.try_emplace(id, share.nodes());
    if (fresh) {
      share.add_node({1e-5 * static_cast<double>(id), 0, 0}, id);
      if (id == 0 || id == pieces) share.set_boundary(place->second, BoundaryKind::pressure, id == 0 ? 4000 : 1000);
    }
    return place->second;
  };
  for (long s = first; s < pieces; s += stride) {
    const long a = node(s), b = node(s + 1);
    share.add_segment(a, b, 5e-6, s);
  }
  return share;
}

/// Pressures of the chain from factors that are spread over the ranks: every rank adds up the same list.
void solve_chain(MPI_Comm comm, const VesselGraph& share, std::span<const double> factor,
                 std::span<EndPressures> pressure) {
  std::vector<double> resistance(pieces, 0.0), node(pieces + 1);
  for (std::size_t s = 0; s < factor.size(); ++s) {
    resistance[static_cast<std::size_t>(share.segment_id[s])] = 1 / std::pow(factor[s], 4);
  }
  MPI_Allreduce(MPI_IN_PLACE, resistance.data(), static_cast<int>(pieces), MPI_DOUBLE, MPI_SUM, comm);
  double total = 0;
  for (const double r : resistance) total += r;
  node[0] = 4000;
  for (std::size_t s = 0; s < resistance.size(); ++s) node[s + 1] = node[s] - 3000 * resistance[s] / total;
  for (std::size_t s = 0; s < factor.size(); ++s) {
    const auto id = static_cast<std::size_t>(share.segment_id[s]);
    pressure[s] = {node[id], node[id + 1]};
  }
}

std::map<long, double> settled(MPI_Comm comm, long first, long stride, int& iterations) {
  const VesselGraph share = share_of_chain(first, stride);
  std::vector<VesselLoad> load;
  for (const long id : share.segment_id) load.push_back({667, 300, id >= 8 && id < 16 ? 2200.0 : 0.0});
  CompressedRadii radii;
  const SettleReport report = settle_radii(
      comm, {}, load, [&](auto factor, auto pressure) { solve_chain(comm, share, factor, pressure); }, radii);
  EXPECT_TRUE(report.converged);
  EXPECT_EQ(report.collapsed, 0);
  iterations = report.iterations;
  std::map<long, double> result;
  for (std::size_t s = 0; s < load.size(); ++s) result[share.segment_id[s]] = radii.factor[s];
  return result;
}

TEST(VesselDynamics, RadiiSettleAlikeOnAnyNumberOfRanks) {
  int alone = 0, shared = 0;
  const auto whole = settled(MPI_COMM_SELF, 0, 1, alone);
  const auto mine = settled(MPI_COMM_WORLD, rank_of(MPI_COMM_WORLD), size_of(MPI_COMM_WORLD), shared);
  EXPECT_EQ(alone, shared);
  for (const auto& [id, factor] : mine) EXPECT_EQ(factor, whole.at(id)) << id;
  EXPECT_LT(whole.at(15), 0.9);
  EXPECT_EQ(whole.at(0), 1);
}

TEST(VesselDynamics, PressureReachesWhatOpenSegmentsJoinAcrossRanks) {
  MPI_Comm comm = MPI_COMM_WORLD;
  const VesselGraph share = share_of_chain(rank_of(comm), size_of(comm));
  std::vector<bool> closed;
  for (const long id : share.segment_id) closed.push_back(id == 5 || id == 20);
  const auto reduce = [&](std::vector<double>& values) {
    std::vector<double> all(pieces + 1, 0.0);
    for (std::size_t n = 0; n < values.size(); ++n) all[static_cast<std::size_t>(share.node_id[n])] = values[n];
    MPI_Allreduce(MPI_IN_PLACE, all.data(), static_cast<int>(pieces + 1), MPI_DOUBLE, MPI_MAX, comm);
    for (std::size_t n = 0; n < values.size(); ++n) values[n] = all[static_cast<std::size_t>(share.node_id[n])];
  };
  const auto reached = pressurised_nodes(comm, share, closed, reduce);
  for (std::size_t n = 0; n < reached.size(); ++n) {
    EXPECT_EQ(reached[n], share.node_id[n] <= 5 || share.node_id[n] > 20) << share.node_id[n];
  }
}

TEST(VesselDynamics, RhythmsBelongToSegmentsNotToRanks) {
  MPI_Comm comm = MPI_COMM_WORLD;
  const auto factors = [](long first, long stride) {
    const VesselGraph share = share_of_chain(first, stride);
    std::vector<double> pressure(share.position.size()), feed(share.position.size(), 20e-6);
    for (std::size_t n = 0; n < pressure.size(); ++n) pressure[n] = 4000 - 100 * static_cast<double>(share.node_id[n]);
    const IntermittencySettings settings;
    const auto regions = feeding_regions(settings, share, pressure, feed, 3000);
    const auto local = conductance_factors(settings, regions, share.segment.size(), 5000);
    std::map<long, double> result;
    for (std::size_t s = 0; s < local.size(); ++s) result[share.segment_id[s]] = local[s];
    return result;
  };
  const auto whole = factors(0, 1);
  for (const auto& [id, factor] : factors(rank_of(comm), size_of(comm))) EXPECT_EQ(factor, whole.at(id));
  EXPECT_LT(whole.at(3), 1);
}

}  // namespace
}  // namespace sanctuary
