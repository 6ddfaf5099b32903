#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/comm.hpp"
#include "patient/parameters.hpp"
#include "patient/patient.hpp"
#include "support/small_patient.hpp"
#include "tissue/intermittent_flow.hpp"
#include "tissue/network_generator.hpp"
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

/// Mean, ends and largest at nodes of each segment at home here, by id.
std::map<long, std::array<double, 5>> met(MPI_Comm comm, const VesselGraph& graph, const GridSpec& spec) {
  const Grid grid(comm, spec);
  const CutNetwork cut = cut_at_faces(grid, share_of_root(comm, graph));
  const SegmentHomes homes(cut, [&](const std::array<double, 3>& point) { return grid.owner(grid.cell_of(point)); });
  std::vector<double> of_pieces(cut.own_pieces), of_nodes(cut.nodes());
  for (std::size_t p = 0; p < of_pieces.size(); ++p) of_pieces[p] = cut.piece_span[p][0] + cut.piece_span[p][1];
  for (std::size_t n = 0; n < of_nodes.size(); ++n) of_nodes[n] = cut.node_position[n][0] - cut.node_position[n][2];
  const std::vector<double> mean = homes.mean(of_pieces);
  const auto ends = homes.ends(of_nodes);
  const VesselGraph& share = homes.share();
  EXPECT_EQ(count_over(comm, share.segments()), graph.segments());
  std::vector<double> widest(share.position.size(), 0.0), id(mean.size());
  for (std::size_t s = 0; s < mean.size(); ++s) {
    id[s] = static_cast<double>(share.segment_id[s]);
    for (const long n : share.segment[s])
      widest[static_cast<std::size_t>(n)] = std::max(widest[static_cast<std::size_t>(n)], share.radius[s]);
  }
  homes.largest(widest);
  const std::vector<double> back = homes.to_pieces(id);
  for (std::size_t p = 0; p < back.size(); ++p) {
    EXPECT_EQ(static_cast<long>(back[p]), cut.graph.segment_id[static_cast<std::size_t>(cut.piece_segment[p])]);
  }
  std::map<long, std::array<double, 5>> result;
  for (std::size_t s = 0; s < mean.size(); ++s) {
    const auto [a, b] = share.segment[s];
    result[share.segment_id[s]] = {mean[s], ends[s][0], ends[s][1], widest[static_cast<std::size_t>(a)],
                                   widest[static_cast<std::size_t>(b)]};
  }
  return result;
}

TEST(VesselDynamics, SegmentsMeetAtHomeOnAnyNumberOfRanks) {
  GeneratorSettings made;
  made.box.size = {4e-4, 4e-4, 4e-4};
  made.segments = 150;
  const VesselGraph graph = generate_network(made);
  const GridSpec spec{.origin = {0, 0, 0}, .spacing = {4e-5, 4e-5, 4e-5}, .cells = {10, 10, 10}};
  const auto whole = met(MPI_COMM_SELF, graph, spec);
  ASSERT_EQ(static_cast<long>(whole.size()), graph.segments());
  for (const auto& [id, values] : met(MPI_COMM_WORLD, graph, spec)) {
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], whole.at(id)[i], 1e-14) << id << " " << i;
    EXPECT_NEAR(values[0], 1, 1e-12);  // the mean of the middles of the pieces is the middle
  }
}

nlohmann::json findings(MPI_Comm comm) {
  const std::vector<Override> changes{{"patient.duration", "0.2 h"},
                                      {"grid.cells", "12, 11, 10"},
                                      {"grid.spacing", "50 um"},
                                      {"tumour.radius", "240 um"},
                                      {"network.lattice.segments", "200"},
                                      {"network.lattice.inlets", "5"},
                                      {"network.lattice.outlets", "5"},
                                      {"network.lattice.core_radius", "170 um"},
                                      {"mechanisms.intermittent_flow", "on"},
                                      {"mechanisms.vessel_compression", "on"},
                                      {"solid_stress.tumour", "45 mmHg"},
                                      {"drug.doxorubicin.emax", "1 1/h"}};
  Patient patient(comm, patient_settings(Deck::from_text(std::string(small_nodule) + small_dose, ".", changes,
                                                         program_catalogue())));
  patient.establish_baseline();
  while (!patient.finished()) patient.advance();
  patient.check_balance();
  nlohmann::json found = patient.findings().outcome;
  const Patient::Instant now = patient.instant(4000);
  double sum = 0;
  const ReadAccess po2(now.oxygen.cells.get());
  for (std::size_t c = 0; c < patient.time_below_5().size(); ++c) sum += po2[c];
  found["oxygen_at_an_instant"] = sum_over(comm, sum);
  return found;
}

TEST(VesselDynamics, PatientsCollapseAndPulsateAlikeOnAnyNumberOfRanks) {
  const nlohmann::json together = findings(MPI_COMM_WORLD), alone = findings(MPI_COMM_SELF);
  ASSERT_EQ(together.size(), alone.size());
  for (const auto& [name, value] : alone.items()) {
    if (!value.is_number() || name == "undershoot" || name.starts_with("steps") || name.starts_with("worst")) continue;
    const double expected = value.get<double>();
    EXPECT_NEAR(together.at(name).get<double>(), expected, 1e-8 * std::abs(expected) + 1e-14) << name;
  }
  EXPECT_GT(alone.at("collapsed_fraction").get<double>(), 0.05);
  EXPECT_GT(alone.at("acute_hypoxic_fraction").get<double>(), 0);
  EXPECT_GT(alone.at("feeding_regions").get<double>(), 5);
}

}  // namespace
}  // namespace sanctuary
