#include <gtest/gtest.h>
#include <mpi.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "io/network_formats.hpp"
#include "solvers/network/share.hpp"
#include "tissue/network_generator.hpp"

namespace sanctuary {
namespace {

bool same(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  return true;
}

void expect_same(const VesselGraph& a, const VesselGraph& b) {
  EXPECT_EQ(a.position, b.position);
  EXPECT_EQ(a.node_id, b.node_id);
  EXPECT_EQ(a.boundary, b.boundary);
  EXPECT_EQ(a.segment, b.segment);
  EXPECT_EQ(a.segment_id, b.segment_id);
  EXPECT_EQ(a.type, b.type);
  EXPECT_TRUE(same(a.boundary_value, b.boundary_value));
  EXPECT_TRUE(same(a.boundary_haematocrit, b.boundary_haematocrit));
  EXPECT_TRUE(same(a.boundary_po2, b.boundary_po2));
  EXPECT_TRUE(same(a.radius, b.radius));
  EXPECT_TRUE(same(a.length, b.length));
  EXPECT_TRUE(same(a.maturity, b.maturity));
  EXPECT_TRUE(same(a.file_flow, b.file_flow));
  EXPECT_TRUE(same(a.file_haematocrit, b.file_haematocrit));
}

/// A generated network with every optional value in use, or without the listed flows.
VesselGraph sample(bool listed) {
  GeneratorSettings settings;
  settings.box.size = {5e-4, 5e-4, 5e-4};
  settings.segments = 150;
  settings.seed = 11;
  VesselGraph graph = generate_network(settings);
  graph.set_boundary(3, BoundaryKind::flow, -1e-15, 0.4, 5000);
  for (std::size_t s = 0; s < graph.length.size(); ++s) graph.length[s] *= 1.1, graph.maturity[s] = 0.25;
  if (!listed) return graph;
  graph.file_flow.assign(graph.radius.size(), 2e-15);
  graph.file_haematocrit.assign(graph.radius.size(), 0.45);
  graph.file_flow[5] = std::numeric_limits<double>::quiet_NaN();
  return graph;
}

TEST(NetworkOnRanks, IsTheSameOnAllAfterReading) {
  for (const bool listed : {false, true}) {
    const VesselGraph expected = sample(listed);  // the generator is the same on every rank
    std::string folder;
    on_root(MPI_COMM_WORLD, [&] {
      folder = (std::filesystem::temp_directory_path() / "sanctuary_network_mpi_XXXXXX").string();
      if (mkdtemp(folder.data()) == nullptr) throw IoError("no temporary folder");
      write_network(folder + "/net.h5", expected);
    });
    folder = broadcast(MPI_COMM_WORLD, folder);
    expect_same(read_network(MPI_COMM_WORLD, folder + "/net.h5"), expected);
    EXPECT_THROW((void)read_network(MPI_COMM_WORLD, folder + "/gone.h5"), InputError);
    on_root(MPI_COMM_WORLD, [&] { std::filesystem::remove_all(folder); });
  }
}

TEST(NetworkOnRanks, EachRankReadsItsPartOfOurFiles) {
  for (const bool listed : {false, true}) {
    VesselGraph expected = sample(listed);
    expected.add_node({1e-4, 2e-4, 3e-4}, 100000);  // without a segment
    std::string folder;
    on_root(MPI_COMM_WORLD, [&] {
      folder = (std::filesystem::temp_directory_path() / "sanctuary_network_mpi_XXXXXX").string();
      if (mkdtemp(folder.data()) == nullptr) throw IoError("no temporary folder");
      write_network(folder + "/net.h5", expected);
      std::filesystem::copy(folder + "/net.h5", folder + "/damaged.h5");
      std::fstream file(folder + "/damaged.h5", std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(-2000, std::ios::end);
      file.put('x').put('y').put('z');
    });
    folder = broadcast(MPI_COMM_WORLD, folder);
    const VesselGraph share = read_network_share(MPI_COMM_WORLD, folder + "/net.h5");
    const double ranks = size_of(MPI_COMM_WORLD), mine = static_cast<double>(share.segments());
    EXPECT_NEAR(mine, static_cast<double>(expected.segments()) / ranks, 1);
    EXPECT_EQ(count_over(MPI_COMM_WORLD, share.segments()), expected.segments());
    const VesselGraph whole = gathered(MPI_COMM_WORLD, share);
    if (rank_of(MPI_COMM_WORLD) == 0) expect_same(whole, expected);
    EXPECT_THROW((void)read_network_share(MPI_COMM_WORLD, folder + "/gone.h5"), InputError);
    EXPECT_THROW((void)read_network_share(MPI_COMM_WORLD, folder + "/damaged.h5"), InputError);
    on_root(MPI_COMM_WORLD, [&] { std::filesystem::remove_all(folder); });
  }
}

TEST(NetworkOnRanks, BroadcastReplacesWhatARankHeld) {
  VesselGraph graph = rank_of(MPI_COMM_WORLD) == 0 ? sample(true) : sample(false);
  broadcast(MPI_COMM_WORLD, graph);
  expect_same(graph, sample(true));
}

}  // namespace
}  // namespace sanctuary
