#include <gtest/gtest.h>
#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "tissue/vasculature.hpp"

namespace sanctuary {
namespace {

VasculatureSettings sample(std::uint64_t seed = 3) {
  VasculatureSettings set = vasculature_preset("hcc");
  set.box.size = {1.2e-3, 0.8e-3, 0.8e-3};
  set.seed = seed;
  set.region.shape = TumourRegion::Shape::slab;
  set.region.host_face = 0;
  set.region.host_depth = 4e-4;
  return set;
}

/// One word of all that a share holds, segment by segment and node by node, combined without regard to order; nodes on
/// several ranks are counted where their lowest segment lies, which the caller names by `owns`.
std::uint64_t word(std::initializer_list<double> values, long id) {
  std::uint64_t hash = 0xcbf29ce484222325ULL ^ static_cast<std::uint64_t>(id);
  for (const double value : values) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    hash = (hash ^ bits) * 0x100000001b3ULL;
    hash ^= hash >> 29;
  }
  return hash;
}

std::uint64_t fingerprint(const VesselGraph& g) {
  std::uint64_t sum = 0;
  for (long s = 0; s < g.segments(); ++s) {
    const auto i = static_cast<std::size_t>(s);
    const auto a = static_cast<std::size_t>(g.segment[i][0]), b = static_cast<std::size_t>(g.segment[i][1]);
    sum += word(
        {g.radius[i], g.length[i], g.maturity[i], static_cast<double>(g.type[i]), static_cast<double>(g.node_id[a]),
         static_cast<double>(g.node_id[b]), g.position[a][0], g.position[a][1], g.position[a][2], g.position[b][0],
         g.position[b][1], g.position[b][2], g.boundary_value[a], g.boundary_value[b]},
        g.segment_id[i]);
  }
  return sum;
}

std::uint64_t fingerprint_over(MPI_Comm comm, const VesselGraph& share) {
  std::uint64_t sum = fingerprint(share);
  MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_UINT64_T, MPI_SUM, comm);
  return sum;
}

TEST(VasculatureOnRanks, IsTheSameNetworkBitForBit) {
  for (const bool keep : {true, false}) {
    VasculatureSettings set = sample();
    set.keep_unperfused = keep;
    VasculatureReport alone_report, report;
    const VesselGraph alone = grow_vasculature(MPI_COMM_SELF, set, {}, &alone_report);
    const VesselGraph share = grow_vasculature(MPI_COMM_WORLD, set, {}, &report);
    EXPECT_EQ(fingerprint_over(MPI_COMM_WORLD, share), fingerprint(alone));
    EXPECT_EQ(report.text(), alone_report.text());
    EXPECT_EQ(sum_over(MPI_COMM_WORLD, static_cast<double>(share.segments())), static_cast<double>(alone.segments()));
    EXPECT_EQ(report.segments, alone.segments());
    const VesselGraph other = grow_vasculature(MPI_COMM_WORLD, sample(4));
    EXPECT_NE(fingerprint_over(MPI_COMM_WORLD, other), fingerprint(alone));
  }
}

TEST(VasculatureOnRanks, GoesToWhomItBelongs) {
  const VasculatureSettings set = sample();
  const int ranks = size_of(MPI_COMM_WORLD), rank = rank_of(MPI_COMM_WORLD);
  const auto slab = [&](const std::array<double, 3>& p) {
    return std::min(ranks - 1, static_cast<int>(p[1] / set.box.size[1] * ranks));
  };
  const VesselGraph alone = grow_vasculature(MPI_COMM_SELF, set);
  const VesselGraph share = grow_vasculature(MPI_COMM_WORLD, set, slab);
  EXPECT_EQ(fingerprint_over(MPI_COMM_WORLD, share), fingerprint(alone));
  EXPECT_NO_THROW(check_consistent(share, "share"));
  EXPECT_TRUE(std::is_sorted(share.segment_id.begin(), share.segment_id.end()));
  EXPECT_TRUE(std::is_sorted(share.node_id.begin(), share.node_id.end()));
  for (const auto& pair : share.segment) {
    const auto &a = share.position[static_cast<std::size_t>(pair[0])],
               &b = share.position[static_cast<std::size_t>(pair[1])];
    EXPECT_EQ(slab({0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]), 0.5 * (a[2] + b[2])}), rank);
  }
  // A node of several ranks is the same on each.
  std::map<long, std::size_t> known;
  for (std::size_t n = 0; n < alone.node_id.size(); ++n) known[alone.node_id[n]] = n;
  for (std::size_t n = 0; n < share.node_id.size(); ++n) {
    const std::size_t m = known.at(share.node_id[n]);
    EXPECT_EQ(share.position[n], alone.position[m]);
    EXPECT_EQ(share.boundary[n], alone.boundary[m]);
    EXPECT_EQ(share.boundary_value[n], alone.boundary_value[m]);
  }
  EXPECT_THROW((void)grow_vasculature(MPI_COMM_WORLD, set, [&](const auto&) { return ranks; }), InputError);
}

TEST(VasculatureOnRanks, IsSharedOutEvenly) {
  VasculatureSettings set = vasculature_preset("xenograft");
  set.box.size = {3e-3, 2e-3, 2e-3};
  VasculatureReport report;
  const VesselGraph share = grow_vasculature(MPI_COMM_WORLD, set, {}, &report);
  const double most = max_over(MPI_COMM_WORLD, static_cast<double>(share.segments()));
  EXPECT_LT(most, 1.35 * static_cast<double>(report.segments) / size_of(MPI_COMM_WORLD));
  // Nodes that several ranks know are those of the seams.
  const double nodes = sum_over(MPI_COMM_WORLD, static_cast<double>(share.nodes()));
  EXPECT_LT(nodes, 1.25 * static_cast<double>(report.segments));
}

}  // namespace
}  // namespace sanctuary
