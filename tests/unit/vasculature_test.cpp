#include "tissue/vasculature.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "base/catalogue.hpp"
#include "base/error.hpp"
#include "solvers/network/morphometry.hpp"
#include "tissue/vasculature_sums.hpp"
#include "tissue/vasculature_units.hpp"

namespace sanctuary {
namespace {

constexpr double um = 1e-6, mm = 1e-3;

VasculatureSettings cube(const std::string& preset, double size, std::uint64_t seed = 1) {
  VasculatureSettings set = vasculature_preset(preset);
  set.box = {{2e-4, -1e-4, 0}, {size, size, size}};
  set.seed = seed;
  return set;
}

VasculatureSettings nodule(const std::string& preset, std::uint64_t seed = 1) {
  VasculatureSettings set = cube(preset, 1.2 * mm, seed);
  set.region.shape = TumourRegion::Shape::sphere;
  for (std::size_t d = 0; d < 3; ++d) set.region.centre[d] = set.box.origin[d] + 0.5 * set.box.size[d];
  set.region.radius = 0.5 * mm;
  return set;
}

VesselGraph grown(const VasculatureSettings& set, VasculatureReport* report = nullptr) {
  return grow_vasculature(MPI_COMM_SELF, set, {}, report);
}

std::size_t at(long i) { return static_cast<std::size_t>(i); }

TEST(VasculaturePartition, HalvesTheLongestSideAndFindsUnitsAgain) {
  const Partition partition({{1, 0, 0}, {4, 1, 1}},
                            4);  // 4 -> 2 -> 1, then y, z: units of 1 x 0.5 x 0.5 (x halved twice)
  EXPECT_EQ(partition.units(), 16);
  double volume = 0;
  for (long unit = 0; unit < partition.units(); ++unit) {
    const Box region = partition.region(4, unit);
    volume += region.volume();
    EXPECT_DOUBLE_EQ(region.volume(), 0.25);
    EXPECT_EQ(partition.unit_at({region.origin[0] + 0.5 * region.size[0], region.origin[1] + 0.5 * region.size[1],
                                 region.origin[2] + 0.5 * region.size[2]}),
              unit);
    const Box parent = partition.region(3, unit >> 1);
    for (std::size_t d = 0; d < 3; ++d) {
      EXPECT_GE(region.origin[d], parent.origin[d]);
      EXPECT_LE(region.origin[d] + region.size[d], parent.origin[d] + parent.size[d] + 1e-12);
    }
    for (const long other : partition.neighbours(unit)) {
      const auto back = partition.neighbours(other);
      EXPECT_TRUE(std::find(back.begin(), back.end(), unit) != back.end());
    }
  }
  EXPECT_DOUBLE_EQ(volume, 4);
}

TEST(VasculatureRegion, KnowsDepthAndVolume) {
  const Box box{{0, 0, 0}, {2, 2, 4}};
  TumourRegion region;
  EXPECT_EQ(region.volume(box), 0);
  region.shape = TumourRegion::Shape::whole;
  EXPECT_EQ(region.volume(box), 16);
  region.shape = TumourRegion::Shape::slab;
  region.host_face = 5;
  region.host_depth = 1;
  EXPECT_DOUBLE_EQ(region.depth({1, 1, 0.5}, box), 2.5);  // 3.5 below the z+ face, of which 1 is host
  EXPECT_DOUBLE_EQ(region.volume(box), 12);
  region.shape = TumourRegion::Shape::sphere;
  region.centre = {1, 1, 1};
  region.radius = 0.5;
  EXPECT_DOUBLE_EQ(region.depth({1, 1, 1.2}, box), 0.3);
  EXPECT_DOUBLE_EQ(region.volume(box), std::numbers::pi / 6);
  region.centre = {0, 1, 1};  // half of it lies outside
  EXPECT_NEAR(region.volume(box), std::numbers::pi / 12, 2e-3);
}

TEST(VasculatureField, IsStandardNormalAndSmooth) {
  const SmoothField field(3, "test", {0, 0, 0}, 1.0);
  double sum = 0, squares = 0, step = 0;
  constexpr int count = 20000;
  for (int i = 0; i < count; ++i) {
    const double x = 0.37 * i;
    const double here = field({x, 0.61 * i, 0.3}), there = field({x + 1e-4, 0.61 * i, 0.3});
    sum += here, squares += here * here, step = std::max(step, std::abs(here - there));
  }
  EXPECT_NEAR(sum / count, 0, 0.05);
  EXPECT_NEAR(squares / count, 1, 0.05);
  EXPECT_LT(step, 2e-3);
}

TEST(VasculatureSums, AddsWhatIsWorkedByHand) {
  VasculatureSettings set = cube("healthy", 1 * mm);
  VesselSums sums(set);
  GrownVessel vessel;
  vessel.position = {Place{3e-4, 0, 1e-4}, Place{3e-4, 3e-5, 1.4e-4}};  // 50 um apart
  vessel.radius = 4 * um;
  vessel.length = 60 * um;
  vessel.flags = GrownVessel::bed | GrownVessel::perfused;
  sums.add(vessel);
  vessel.radius = 9 * um;
  vessel.flags = GrownVessel::bed;
  sums.add(vessel);
  sums.reduce(MPI_COMM_SELF);
  EXPECT_NEAR(sums.length(0), 120e-6, 1e-11);
  EXPECT_NEAR(sums.straight(0), 100e-6, 1e-11);
  EXPECT_NEAR(sums.perfused(0), 60e-6, 1e-11);
  EXPECT_NEAR(sums.surface(0), 2 * std::numbers::pi * 13e-6 * 60e-6, 1e-17);
  EXPECT_NEAR(sums.volume(0), std::numbers::pi * (16e-12 + 81e-12) * 60e-6, 1e-23);
  EXPECT_NEAR(sums.radius_spread(0), 0.5 * std::log(9.0 / 4.0), 1e-6);  // of two values: half their distance
  EXPECT_EQ(sums.segments(1), 0);
}

TEST(VasculatureSums, FindsTheDistancesBetweenParallelVessels) {
  // 10 x 10 straight vessels, 100 um apart: from a square of side h to its middle it is h (sqrt 2 + ln(1 + sqrt 2))
  // / 6.
  const VesselPlan plan(cube("healthy", 1 * mm));
  const Box& box = plan.settings().box;
  std::vector<GrownVessel> vessels;
  for (int i = 0; i < 10; ++i)
    for (int j = 0; j < 10; ++j) {
      GrownVessel vessel;
      vessel.id = static_cast<long>(vessels.size());
      vessel.node = {2 * vessel.id, 2 * vessel.id + 1};
      for (std::size_t end = 0; end < 2; ++end)
        vessel.position[end] = {box.origin[0] + (i + 0.5) * 1e-4, box.origin[1] + (j + 0.5) * 1e-4,
                                box.origin[2] + (end == 0 ? 1e-5 : 99e-5)};
      vessel.flags = GrownVessel::bed;
      vessels.push_back(vessel);
    }
  const VasculatureDistances far = vessel_distances(MPI_COMM_SELF, plan, 1e8, vessels, 100);
  EXPECT_NEAR(far.tissue_mean, 1e-4 * (std::numbers::sqrt2 + std::log(1 + std::numbers::sqrt2)) / 6, 1.5e-6);
  EXPECT_NEAR(far.between_mean, 1e-4, 1e-12);
  EXPECT_NEAR(far.between_median, 1e-4, 1e-12);
  // Boxes of 50, 100 and 200 um: 100 x 20, 100 x 10 and 25 x 5 are occupied; the slope over them is ln 16 / ln 4.
  EXPECT_NEAR(far.fractal_dimension, 2, 1e-9);
}

TEST(VasculatureTrees, HaveTheRadiiWorkedByHand) {
  VasculatureSettings set = cube("healthy", 1 * mm);
  set.murray_scatter = set.demand_spread = 0;
  const VesselPlan plan(set);
  ASSERT_EQ(plan.partition().levels(), 5);
  ASSERT_EQ(plan.root_level(), 2);
  EXPECT_DOUBLE_EQ(plan.demand(2, 3), 8);  // units
  EXPECT_NEAR(plan.tree_radius(5, 7, 0), 5 * um, 1e-18);
  EXPECT_NEAR(plan.tree_radius(2, 1, 0), 10 * um, 1e-15);  // 5 um times the cube root of 8
  EXPECT_NEAR(plan.tree_radius(2, 1, 1), 14 * um, 1e-15);
  for (const int side : {0, 1}) {
    const Place node = plan.tree_node(2, 1, side), root = plan.root_place(1, side);
    EXPECT_EQ(root[0], set.box.origin[0] + (side == 0 ? 0 : set.box.size[0]));
    EXPECT_EQ(root[1], node[1]);
    EXPECT_EQ(root[2], node[2]);
  }
}

TEST(Vasculature, ObeysMurrayExactlyWithoutScatter) {
  for (const double exponent : {2.0, 2.7, 3.0}) {
    VasculatureSettings set = cube("healthy", 1 * mm, 4);
    set.murray_exponent = exponent;
    set.murray_scatter = 0;
    const VesselGraph graph = grown(set);
    const Adjacency near = adjacency(graph);
    for (const int type : {vessel_type::arteriole, vessel_type::venule}) {
      int forks = 0;
      for (long n = 0; n < graph.nodes(); ++n) {
        std::vector<double> radii;
        for (long i = near.offset[at(n)]; i < near.offset[at(n) + 1]; ++i)
          if (graph.type[at(near.segment[at(i)])] == type) radii.push_back(graph.radius[at(near.segment[at(i)])]);
        if (radii.size() != 3) continue;
        std::sort(radii.begin(), radii.end());
        const double daughters = std::pow(radii[0], exponent) + std::pow(radii[1], exponent);
        EXPECT_NEAR(std::pow(daughters, 1 / exponent) / radii[2], 1, 1e-12);
        ++forks;
      }
      EXPECT_EQ(forks, 28);  // 32 units under 4 roots of 8 units, each with 7 forks
    }
  }
  VasculatureSettings set = cube("healthy", 1 * mm, 4);
  set.murray_scatter = 0;
  const double lawful = statistics(grown(set), set.box).radius.largest;
  set.murray_scatter = 0.2;
  EXPECT_NE(statistics(grown(set), set.box).radius.largest, lawful);
}

TEST(Vasculature, OfHealthyTissueCarriesBloodEverywhere) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    VasculatureReport report;
    const VasculatureSettings set = cube("healthy", 0.9 * mm, seed);
    const VesselGraph graph = grown(set, &report);
    EXPECT_NO_THROW(check_consistent(graph, "grown"));
    const Diagnosis found = diagnose(graph, set.box, {.coincident = 0, .zero_length = 1e-9, .box = 0});
    EXPECT_TRUE(found.usable()) << sanctuary::report(found, graph);
    EXPECT_EQ(found.pieces.size(), 1U);
    EXPECT_TRUE(found.no_through_flow.empty());
    EXPECT_TRUE(found.dangling_ends.empty());
    EXPECT_TRUE(report.met()) << report.text();
    const auto figures = statistics(graph, set.box);
    EXPECT_EQ(figures.pressure_nodes, 8);
    EXPECT_GT(static_cast<double>(figures.degrees[3]), 0.45 * static_cast<double>(figures.nodes));
    EXPECT_GT(perfused_length_fraction(graph), 0.99);
    for (const double m : graph.maturity) EXPECT_EQ(m, 1);
  }
}

TEST(Vasculature, LetsRootsAloneCrossItsFaces) {
  VasculatureSettings set = cube("healthy", 0.9 * mm);
  set.arterial_faces = {4};
  set.venous_faces = {0, 3};
  const VesselGraph graph = grown(set);
  long boundaries = 0;
  for (long n = 0; n < graph.nodes(); ++n) {
    const auto& p = graph.position[at(n)];
    const bool low_z = p[2] == set.box.origin[2], low_x = p[0] == set.box.origin[0];
    const bool high_y = p[1] == set.box.origin[1] + set.box.size[1];
    if (graph.boundary[at(n)] == BoundaryKind::none) {
      EXPECT_FALSE(low_z || low_x || high_y);
      continue;
    }
    ++boundaries;
    const bool arterial = graph.boundary_value[at(n)] == set.inlet_pressure;
    EXPECT_TRUE(arterial ? low_z : low_x || high_y);
  }
  EXPECT_EQ(boundaries, 8);
}

/// Length over straight distance of the segments, each of them a vessel between two junctions.
double tortuosity_of_segments(const VesselGraph& graph) {
  double length = 0, straight = 0;
  for (long s = 0; s < graph.segments(); ++s) {
    length += graph.length[static_cast<std::size_t>(s)];
    straight += straight_length(graph, s);
  }
  return length / straight;
}

TEST(Vasculature, MeetsTheTargetsOfEachPreset) {
  for (const std::string& preset : vasculature_presets()) {
    VasculatureReport report;
    const VasculatureSettings set = cube(preset, 1 * mm);
    const VesselGraph graph = grown(set, &report);
    EXPECT_TRUE(report.met()) << report.text();
    // What the report says is what the graph holds.
    const std::string tissue = preset == "healthy" ? "host" : "tumour";
    const auto found = statistics(graph, set.box);
    EXPECT_NEAR(report.figure(tissue, "length density").reached, found.length_density * 1e-6, 1e-6);
    EXPECT_NEAR(report.figure(tissue, "segment density").reached, found.segment_density * 1e-9, 1e-6);
    EXPECT_NEAR(report.figure(tissue, "surface per volume").reached, found.surface_per_volume * 1e-2, 1e-6);
    EXPECT_NEAR(report.figure(tissue, "tortuosity").reached, tortuosity_of_segments(graph), 1e-9);
    EXPECT_NEAR(report.figure(tissue, "median radius").reached / (found.radius.median * 1e6), 1, 5e-3);
    EXPECT_NEAR(report.figure(tissue, "perfused fraction").reached, found.through_flow_share, 5e-3);
    EXPECT_EQ(connected_pieces(graph), std::vector<long>(at(graph.nodes()), 0)) << preset;
  }
}

TEST(Vasculature, MeetsSurfaceOrVolumeInPlaceOfTheMedianRadius) {
  VasculatureSettings set = cube("tnbc", 0.8 * mm);
  VasculatureReport report;
  set.tumour.radii_meet = RadiusTarget::surface;
  set.tumour.surface_per_volume = 12000;  // 120/cm
  EXPECT_NEAR(statistics(grown(set, &report), set.box).surface_per_volume, 12000, 600);
  EXPECT_TRUE(report.met()) << report.text();
  set.tumour.radii_meet = RadiusTarget::volume;
  set.tumour.volume_fraction = 0.055;
  EXPECT_NEAR(statistics(grown(set, &report), set.box).volume_fraction, 0.055, 0.00275);
  EXPECT_FALSE(report.figure("tumour", "median radius").binding);
}

TEST(Vasculature, OfAXenograftHasItsSegmentsPerVolume) {
  VasculatureReport report;
  (void)grown(cube("xenograft", 1.2 * mm, 7), &report);
  const double density = report.figure("tumour", "segment density").reached;
  EXPECT_GT(density, 1200);
  EXPECT_LT(density, 1600);
}

TEST(Vasculature, OfANoduleMeetsTargetsOfHostAndTumour) {
  for (const std::uint64_t seed : {1, 2}) {
    VasculatureReport report;
    (void)grown(nodule("hcc", seed), &report);
    EXPECT_TRUE(report.met()) << report.text();
    EXPECT_NEAR(report.figure("host", "length density").reached, 370, 370 * 0.05);
    EXPECT_NEAR(report.figure("tumour", "length density").reached, 377, 377 * 0.05);
  }
}

TEST(Vasculature, FitsOneHundredSegmentsIntoHalfAMillimetre) {
  for (const char* preset : {"healthy", "xenograft"}) {
    for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
      VasculatureSettings set = cube(preset, 0.5 * mm, seed);
      set.host.segment_density = set.tumour.segment_density = 800e9;
      const VesselGraph graph = grown(set);
      EXPECT_NEAR(static_cast<double>(graph.segments()), 100, 5);
    }
  }
}

TEST(Vasculature, DiffersFromSeedToSeed) {
  const VesselGraph a = grown(cube("crc", 0.6 * mm, 1)), b = grown(cube("crc", 0.6 * mm, 1)),
                    c = grown(cube("crc", 0.6 * mm, 2));
  EXPECT_EQ(a.position, b.position);
  EXPECT_EQ(a.radius, b.radius);
  EXPECT_NE(a.radius, c.radius);
}

TEST(Vasculature, LosesTheVesselsOfItsCore) {
  const auto share = [](double core) {
    VasculatureSettings set = nodule("hcc");
    set.rim_width = 0.1 * mm;
    set.core_density = core;
    set.patchiness = 0;
    const VesselGraph graph = grown(set);
    double inner = 0, outer = 0;
    for (long s = 0; s < graph.segments(); ++s) {
      const auto &a = graph.position[at(graph.segment[at(s)][0])], &b = graph.position[at(graph.segment[at(s)][1])];
      const double depth = set.region.depth({0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]), 0.5 * (a[2] + b[2])}, set.box);
      if (depth > 0.2 * mm) inner += graph.length[at(s)];
      if (depth > 0 && depth < 0.1 * mm) outer += graph.length[at(s)];
    }
    // Over the volumes of a sphere of 0.3 mm and a shell from 0.4 to 0.5 mm.
    return inner / (0.027) / (outer / (0.125 - 0.064));
  };
  const double full = share(1), poor = share(0.2);
  EXPECT_NEAR(full, 1, 0.15);
  EXPECT_NEAR(poor, 0.45,
              0.2);  // profile at 0.25 mm over that at 0.05 mm: (0.2 + 0.8 e^-2.5) / (0.2 + 0.8 e^-0.5) = 0.39
  EXPECT_LT(poor, 0.7 * full);
}

TEST(Vasculature, MovesWithWhatTumoursDoToIt) {
  const VasculatureSettings plain = [] {
    VasculatureSettings set = cube("crc", 0.8 * mm);
    set.miss_is_error = false;
    set.sprout_share = set.loop_share = set.shunt_share = set.hierarchy_loss = 0;
    set.tumour.perfused_fraction = 1;
    return set;
  }();
  VasculatureReport before, after;
  const VesselGraph base = grown(plain, &before);
  EXPECT_EQ(before.blind_ends, 0);
  EXPECT_EQ(before.shunts, 0);
  EXPECT_DOUBLE_EQ(before.figure("tumour", "perfused fraction").reached, 1);

  VasculatureSettings set = plain;
  set.sprout_share = 0.3;
  (void)grown(set, &after);
  EXPECT_GT(after.blind_ends, 100);
  EXPECT_LT(after.figure("tumour", "perfused fraction").reached, 1);

  set = plain;
  set.shunt_share = 1;
  set.shunt_radius = 12 * um;
  const VesselGraph shunted = grown(set, &after);
  EXPECT_EQ(after.shunts, after.units);
  EXPECT_EQ(std::count(shunted.radius.begin(), shunted.radius.end(), set.shunt_radius), after.units);
  EXPECT_EQ(std::count(base.radius.begin(), base.radius.end(), set.shunt_radius), 0);

  set = plain;
  set.loop_share = 0.5;
  set.tumour.length_density = plain.tumour.length_density;
  const VesselGraph looped = grown(set, &after);
  const auto cycles = [](const VesselGraph& g) {
    return static_cast<double>(g.segments() - g.nodes() + 1) / static_cast<double>(g.nodes());
  };
  EXPECT_GT(cycles(looped), 1.05 * cycles(base));

  set = plain;
  set.hierarchy_loss = 1;
  EXPECT_LT(statistics(grown(set), set.box).radius.quantile_95, statistics(base, set.box).radius.largest);
  EXPECT_LT(statistics(grown(set), set.box).radius.largest, statistics(base, set.box).radius.largest * 1.5);

  set = plain;
  set.tumour.radius_spread = 0.7;
  EXPECT_GT(statistics(grown(set), set.box).radius.deviation, 1.3 * statistics(base, set.box).radius.deviation);

  set = plain;
  set.tumour.tortuosity = 1.6;
  EXPECT_NEAR(tortuosity_of_segments(grown(set)), 1.6, 0.02);

  set = plain;
  set.patchiness = 1;
  (void)grown(set, &after);
  EXPECT_GT(after.figure("tumour", "tissue to vessel, mean").reached,
            1.05 * before.figure("tumour", "tissue to vessel, mean").reached);
}

TEST(Vasculature, EndsBlindToLowerPerfusionAndDropsOnRequest) {
  VasculatureSettings set = cube("crc", 0.8 * mm);
  set.sprout_share = 0;
  long blind = -1;
  for (const double perfused : {0.95, 0.8, 0.6}) {
    set.tumour.perfused_fraction = perfused;
    VasculatureReport report;
    const VesselGraph graph = grown(set, &report);
    EXPECT_GT(report.blind_ends, blind);
    blind = report.blind_ends;
    EXPECT_NEAR(perfused_length_fraction(graph), perfused, 0.05);
  }
  set.keep_unperfused = false;
  VasculatureReport report;
  const VesselGraph graph = grown(set, &report);
  EXPECT_GT(report.dropped_segments, 0);
  EXPECT_EQ(report.unperfused_segments, 0);
  EXPECT_TRUE(report.met()) << report.text();
  EXPECT_GT(statistics(graph, set.box).through_flow_share, 0.99);
  EXPECT_TRUE(diagnose(graph, set.box).usable());
}

TEST(Vasculature, IsUsableAndKnowsItsDeadEndsWhateverTheSettings) {
  const RandomStream random(11, "vasculature test");
  std::uint64_t draws = 0;
  const auto draw = [&](double low, double high) { return random.uniform(draws++, low, high); };
  for (std::size_t i = 0; i < 27; ++i) {
    VasculatureSettings set = vasculature_preset(vasculature_presets()[i % 9]);
    set.miss_is_error = false;
    set.seed = i;
    for (double& size : set.box.size) size = draw(0.3, 0.9) * mm;
    for (double& x : set.box.origin) x = draw(-1, 1) * mm;
    set.feeds = 1L << static_cast<int>(draw(0, 5));
    set.points_per_unit = draw(20, 150);
    if (set.preset != "healthy") {
      constexpr std::array shapes{TumourRegion::Shape::whole, TumourRegion::Shape::sphere, TumourRegion::Shape::slab};
      set.region.shape = shapes[i / 9];
      set.region.centre = set.box.origin;
      set.region.radius = draw(0.2, 0.8) * mm;
      set.region.host_face = static_cast<int>(draw(0, 6));
      set.region.host_depth = draw(0.2, 0.6) * set.box.size[at(set.region.host_face / 2)];
      set.keep_unperfused = draw(0, 1) < 0.6;
      set.core_density = draw(0.1, 1);
      set.loop_share = draw(0, 0.3);
      set.sprout_share = draw(0, 0.2);
      set.shunt_share = draw(0, 0.5);
    }
    VasculatureReport report;
    const VesselGraph graph = grown(set, &report);
    EXPECT_NO_THROW(check_consistent(graph, "grown"));
    const Diagnosis found = diagnose(graph, set.box);
    EXPECT_TRUE(found.usable()) << sanctuary::report(found, graph);
    EXPECT_TRUE(found.pieces_without_boundary.empty());
    EXPECT_TRUE(found.pieces_without_pressure.empty());
    EXPECT_EQ(static_cast<long>(found.no_through_flow.size()), report.unperfused_segments) << i;
  }
}

TEST(Vasculature, HasImmatureVesselsInTheTumourAlone) {
  const VasculatureSettings set = nodule("hcc");
  const VesselGraph graph = grown(set);
  long young = 0, old = 0;
  for (long s = 0; s < graph.segments(); ++s) {
    const auto &a = graph.position[at(graph.segment[at(s)][0])], &b = graph.position[at(graph.segment[at(s)][1])];
    const double depth = set.region.depth({0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]), 0.5 * (a[2] + b[2])}, set.box);
    if (std::abs(depth) < set.transition) continue;
    EXPECT_EQ(graph.maturity[at(s)], depth > 0 ? 0 : 1);
    ++(depth > 0 ? young : old);
  }
  EXPECT_GT(young, 100);
  EXPECT_GT(old, 100);
}

TEST(Vasculature, RefusesWhatCannotBe) {
  const auto refused = [](auto change, const std::string& word) {
    VasculatureSettings set = cube("xenograft", 0.5 * mm);
    change(set);
    try {
      (void)grown(set);
      FAIL() << "not refused: " << word;
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  };
  refused([](auto& s) { s.box.size[1] = 0; }, "box");
  refused([](auto& s) { s.outlet_pressure = s.inlet_pressure; }, "nothing would flow");
  refused([](auto& s) { s.tumour.segment_density = s.tumour.length_density = 0; }, "no vessels");
  refused([](auto& s) { s.tumour.radius = 0.1 * um; }, "smallest radius");
  refused([](auto& s) { s.tumour.tortuosity = 0.9; }, "tortuosity");
  refused([](auto& s) { s.tumour.perfused_fraction = 0.1; }, "perfused_fraction");
  refused([](auto& s) { s.host.perfused_fraction = 0.5; }, "host");
  refused([](auto& s) { s.core_density = 0; }, "core_density");
  refused([](auto& s) { s.arterial_faces.clear(); }, "arterial_faces");
  refused([](auto& s) { s.feeds = 0; }, "feeds");
  refused([](auto& s) { s.tumour.segment_density = 5e9; }, "misses a target");  // one segment in the box
  EXPECT_THROW((void)vasculature_preset("melanoma"), InputError);
}

TEST(VasculatureDeck, ReadsPresetAndWhatBeatsIt) {
  EXPECT_TRUE(catalogue_faults(vasculature_parameters()).empty());
  const Box box{{0, 0, 0}, {1 * mm, 1 * mm, 1 * mm}};
  const auto read = [&](const std::string& keys) {
    return vasculature_settings(Deck::from_text("[network.generate]\n" + keys, ".", {}, vasculature_parameters()), box);
  };
  const VasculatureSettings crc =
      read("preset = crc\nradius = 8 um\narterial_faces = -y, +z\nseed = 5\nunperfused = drop\n");
  EXPECT_DOUBLE_EQ(crc.tumour.length_density, 484e6);
  EXPECT_DOUBLE_EQ(crc.tumour.radius, 8e-6);
  EXPECT_DOUBLE_EQ(crc.host.radius, 3e-6);
  EXPECT_EQ(crc.arterial_faces, (std::vector<int>{2, 5}));
  EXPECT_EQ(crc.seed, 5U);
  EXPECT_FALSE(crc.keep_unperfused);
  EXPECT_EQ(crc.region.shape, TumourRegion::Shape::whole);
  EXPECT_THROW((void)read("preset = xenograft\nlength_density = 100 mm/mm^3\n"), InputError);  // it has segments
  EXPECT_DOUBLE_EQ(
      read("preset = xenograft\nlength_density = 100 mm/mm^3\nsegment_density = 0 1/mm^3\n").tumour.length_density,
      1e8);
  EXPECT_THROW((void)read("arterial_faces = -w\n"), InputError);
  EXPECT_THROW((void)read("inlet_pressure = 5 mmHg\n"), InputError);
  EXPECT_THROW((void)read("perfused_fraction = 0.5\n"), InputError);
  EXPECT_THROW((void)read("preset = pdac\nradius = 1.1 um\nsmallest_radius = 2 um\n"), InputError);
}

TEST(VasculatureDeck, ShowsWhatThePresetSets) {
  const Box box{{0, 0, 0}, {1 * mm, 1 * mm, 1 * mm}};
  for (const std::string& preset : vasculature_presets()) {
    const Deck deck =
        Deck::from_text("[network.generate]\npreset = " + preset + "\n", ".", {}, vasculature_parameters());
    VasculatureSettings set = vasculature_settings(deck, box);
    const VesselTargets& targets = preset == "healthy" ? set.host : set.tumour;
    std::map<std::string, double> shown;
    for (const Parameter* p : vasculature_parameters()) {
      if (p->kind == Kind::number) shown[std::string(p->key.substr(p->key.rfind('.') + 1))] = deck.number(*p);
    }
    EXPECT_NEAR(shown.at("length_density"), targets.length_density, 1e-10 * targets.length_density) << preset;
    EXPECT_NEAR(shown.at("segment_density"), targets.segment_density, 1e-10 * targets.segment_density) << preset;
    EXPECT_NEAR(shown.at("radius"), targets.radius, 1e-10 * targets.radius) << preset;
    EXPECT_NEAR(shown.at("inlet_pressure"), set.inlet_pressure, 1e-10 * set.inlet_pressure) << preset;
    EXPECT_DOUBLE_EQ(shown.at("sprout_share"), set.sprout_share) << preset;
    // The record of a run grows the same network.
    const VasculatureSettings again =
        vasculature_settings(Deck::from_text(deck.resolved(), ".", {}, vasculature_parameters()), box);
    EXPECT_EQ(again.tumour.radius, set.tumour.radius);
    EXPECT_EQ(again.inlet_pressure, set.inlet_pressure);
    EXPECT_EQ(again.arterial_faces, set.arterial_faces);
    EXPECT_EQ(again.feeds, set.feeds);
  }
}

TEST(VasculatureDeck, DeclaresTheDefaultsOfTheHealthyPreset) {
  const Box box{{0, 0, 0}, {1 * mm, 1 * mm, 1 * mm}};
  const auto read = [&](const std::string& keys) {
    return vasculature_settings(Deck::from_text("[network.generate]\n" + keys, ".", {}, vasculature_parameters()), box);
  };
  std::string all;
  for (const Parameter* p : vasculature_parameters())
    if (p->kind == Kind::number || p->kind == Kind::integer || p->kind == Kind::texts)
      all += std::string(p->key.substr(p->key.rfind('.') + 1)) + " = " + default_text(*p) + "\n";
  const VasculatureSettings given = read(all), left = read("seed = 1\n");
  EXPECT_NEAR(given.host.length_density / left.host.length_density, 1, 1e-12);
  EXPECT_NEAR(given.host.radius / left.host.radius, 1, 1e-12);
  EXPECT_NEAR(given.host.radius_spread, left.host.radius_spread, 1e-12);
  EXPECT_NEAR(given.host.tortuosity, left.host.tortuosity, 1e-12);
  EXPECT_EQ(given.feeds, left.feeds);
  EXPECT_EQ(given.arterial_faces, left.arterial_faces);
  EXPECT_EQ(given.venous_faces, left.venous_faces);
  for (const auto member :
       {&VasculatureSettings::murray_exponent, &VasculatureSettings::murray_scatter,
        &VasculatureSettings::demand_spread, &VasculatureSettings::terminal_arteriole,
        &VasculatureSettings::terminal_venule, &VasculatureSettings::points_per_unit,
        &VasculatureSettings::inlet_pressure, &VasculatureSettings::outlet_pressure, &VasculatureSettings::rim_width,
        &VasculatureSettings::core_density, &VasculatureSettings::patch_length, &VasculatureSettings::transition,
        &VasculatureSettings::radius_correlation, &VasculatureSettings::correlation_length,
        &VasculatureSettings::shunt_radius, &VasculatureSettings::smallest_radius, &VasculatureSettings::tolerance,
        &VasculatureSettings::host_maturity})
    EXPECT_NEAR(given.*member / left.*member, 1, 1e-9);
}

}  // namespace
}  // namespace sanctuary
