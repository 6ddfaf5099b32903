#include "tissue/network_generator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/catalogue.hpp"
#include "base/error.hpp"
#include "solvers/network/morphometry.hpp"

namespace sanctuary {
namespace {

constexpr double um = 1e-6;

GeneratorSettings quickstart(std::uint64_t seed = 1) {
  GeneratorSettings settings;
  settings.box = {{1e-4, -2e-4, 0}, {1.28e-3, 1.28e-3, 1.28e-3}};
  settings.seed = seed;
  return settings;
}

long inside_core(const VesselGraph& graph, const GeneratorSettings& settings) {
  long count = 0;
  for (const auto& pair : graph.segment) {
    double square = 0;
    for (std::size_t d = 0; d < 3; ++d) {
      const double middle = 0.5 * (graph.position[static_cast<std::size_t>(pair[0])][d] +
                                   graph.position[static_cast<std::size_t>(pair[1])][d]);
      const double centre = settings.box.origin[d] + 0.5 * settings.box.size[d];
      square += (middle - centre) * (middle - centre);
    }
    count += std::sqrt(square) < settings.core_radius;
  }
  return count;
}

TEST(NetworkGenerator, MakesASoundNetworkOfTheSizeAskedFor) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const GeneratorSettings settings = quickstart(seed);
    const VesselGraph graph = generate_network(settings);
    EXPECT_NO_THROW(check_consistent(graph, "generated"));
    EXPECT_NEAR(static_cast<double>(graph.segments()), 2000, 40) << seed;
    const Diagnosis found = diagnose(graph, settings.box, {.coincident = 0, .zero_length = 1 * um, .box = 0});
    EXPECT_TRUE(found.usable()) << report(found, graph);
    EXPECT_EQ(found.pieces.size(), 1U);
    EXPECT_TRUE(found.dangling_ends.empty());
    EXPECT_TRUE(found.no_through_flow.empty());
    const auto figures = statistics(graph, settings.box);
    EXPECT_EQ(figures.pressure_nodes, 12);
    EXPECT_EQ(figures.end_nodes, 12);
    EXPECT_GT(static_cast<double>(figures.degrees[3]) / static_cast<double>(figures.nodes), 0.6);
    EXPECT_LE(figures.degrees.size(), 7U);
  }
}

TEST(NetworkGenerator, PutsBoundaryNodesOnOppositeFaces) {
  const GeneratorSettings settings = quickstart();
  const VesselGraph graph = generate_network(settings);
  long inlets = 0, outlets = 0;
  for (std::size_t n = 0; n < graph.position.size(); ++n) {
    if (graph.boundary[n] == BoundaryKind::none) continue;
    const bool low = graph.position[n][0] == settings.box.origin[0];
    const bool high = graph.position[n][0] == settings.box.origin[0] + settings.box.size[0];
    EXPECT_TRUE(low || high);
    EXPECT_EQ(graph.boundary_value[n], low ? settings.inlet_pressure : settings.outlet_pressure);
    inlets += low, outlets += high;
  }
  EXPECT_EQ(inlets, 6);
  EXPECT_EQ(outlets, 6);
}

TEST(NetworkGenerator, DrawsRadiiFromTheStatedDistribution) {
  GeneratorSettings settings = quickstart();
  settings.segments = 50000;
  const VesselGraph graph = generate_network(settings);
  double sum = 0, squares = 0, count = 0;
  for (std::size_t s = 0; s < graph.segment.size(); ++s) {
    if (graph.type[s] != vessel_type::capillary) {
      EXPECT_LE(graph.radius[s], settings.venule_radius);
      continue;
    }
    EXPECT_GE(graph.radius[s], 3 * um);
    EXPECT_LE(graph.radius[s], 8 * um);
    sum += std::log(graph.radius[s]), squares += std::pow(std::log(graph.radius[s]), 2), ++count;
  }
  // Truncation at 2.5 and 2.4 deviations takes about 5 percent off the deviation and leaves the median.
  const double mean = sum / count, deviation = std::sqrt(squares / count - mean * mean);
  EXPECT_NEAR(std::exp(mean), 5 * um * std::exp(-0.02), 0.02 * um);
  EXPECT_NEAR(deviation, 0.19, 0.006);
}

TEST(NetworkGenerator, FeedsAndDrainsThroughTaperingTrunks) {
  const VesselGraph graph = generate_network(quickstart());
  long arterioles = 0, venules = 0;
  double widest = 0;
  for (std::size_t s = 0; s < graph.segment.size(); ++s) {
    arterioles += graph.type[s] == vessel_type::arteriole, venules += graph.type[s] == vessel_type::venule;
    widest = std::max(widest, graph.radius[s]);
  }
  EXPECT_GT(arterioles, 18);
  EXPECT_GT(venules, 18);
  EXPECT_DOUBLE_EQ(widest, 15 * um);
}

TEST(NetworkGenerator, ThinsTheCore) {
  GeneratorSettings settings = quickstart();
  settings.core_radius = 0.45e-3;
  const auto full = static_cast<double>(inside_core(generate_network(settings), settings));
  for (const double density : {0.0, 0.3, 0.7}) {
    settings.core_density = density;
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      settings.seed = seed;
      const VesselGraph graph = generate_network(settings);
      const auto kept = static_cast<double>(inside_core(graph, settings));
      const auto outside = static_cast<double>(graph.segments()) - kept;
      // Density in the core relative to that around it.
      EXPECT_NEAR(kept / outside, density * full / (2000 - full), 0.04) << density << " seed " << seed;
      EXPECT_NEAR(static_cast<double>(graph.segments()), 2000, 40);
      EXPECT_TRUE(diagnose(graph, settings.box).no_through_flow.empty());
      EXPECT_EQ(connected_pieces(graph), std::vector<long>(graph.position.size(), 0));
    }
  }
}

TEST(NetworkGenerator, AddsTheBlindEndsAskedFor) {
  GeneratorSettings settings = quickstart();
  settings.blind_end_fraction = 0.05;
  const VesselGraph graph = generate_network(settings);
  const Diagnosis found = diagnose(graph, settings.box);
  EXPECT_EQ(found.dangling_ends.size(), 100U);
  EXPECT_EQ(found.no_through_flow.size(), 100U);
  EXPECT_EQ(found.pieces.size(), 1U);
  EXPECT_TRUE(found.outside_nodes.empty());
  EXPECT_NEAR(static_cast<double>(graph.segments()), 2000, 40);
}

TEST(NetworkGenerator, RepeatsItselfForASeedAndOnlyForIt) {
  const VesselGraph first = generate_network(quickstart(5)), again = generate_network(quickstart(5)),
                    other = generate_network(quickstart(6));
  EXPECT_EQ(first.position, again.position);
  EXPECT_EQ(first.segment, again.segment);
  EXPECT_EQ(first.radius, again.radius);
  EXPECT_NE(first.position, other.position);
  EXPECT_NE(first.segment, other.segment);
}

TEST(NetworkGenerator, FillsFlatAndSmallBoxes) {
  GeneratorSettings settings = quickstart();
  settings.box.size = {2e-3, 5e-4, 1e-4};
  settings.segments = 300;
  const VesselGraph graph = generate_network(settings);
  EXPECT_TRUE(diagnose(graph, settings.box, {.coincident = 0, .zero_length = 0, .box = 0}).usable());
  EXPECT_NEAR(static_cast<double>(graph.segments()), 300, 9);
}

TEST(NetworkGenerator, RefusesContradictions) {
  const auto refused = [](auto change) {
    GeneratorSettings settings = quickstart();
    change(settings);
    EXPECT_THROW((void)generate_network(settings), InputError);
  };
  refused([](GeneratorSettings& s) { s.box.size[1] = 0; });
  refused([](GeneratorSettings& s) { s.outlet_pressure = s.inlet_pressure; });
  refused([](GeneratorSettings& s) { s.smallest_radius = s.largest_radius; });
  refused([](GeneratorSettings& s) { s.mean_radius = 20 * um; });
  refused([](GeneratorSettings& s) { s.inlets = 5000; });
  refused([](GeneratorSettings& s) { s.segments = 5; });
  refused([](GeneratorSettings& s) { s.core_density = 1.1; });
}

TEST(NetworkGenerator, TakesItsSettingsFromTheDeck) {
  EXPECT_TRUE(catalogue_faults(generator_parameters()).empty());
  const Box box{{0, 0, 0}, {1e-3, 1e-3, 1e-3}};
  const Deck deck = Deck::from_text("[network.lattice]\nseed = 9\nmean_radius = 4 um\ninlet_pressure = 40 mmHg\n", ".",
                                    {}, generator_parameters());
  const GeneratorSettings settings = generator_settings(deck, box);
  EXPECT_EQ(settings.seed, 9U);
  EXPECT_NEAR(settings.mean_radius, 4 * um, 1e-18);
  EXPECT_NEAR(settings.inlet_pressure, 5332.9, 0.1);
  EXPECT_NEAR(settings.core_radius, 0.35e-3, 1e-12);
  EXPECT_EQ(settings.segments, 2000);
  const Deck wrong = Deck::from_text("[network.lattice]\noutlet_pressure = 40 mmHg\n", ".", {}, generator_parameters());
  EXPECT_THROW((void)generator_settings(wrong, box), InputError);
}

}  // namespace
}  // namespace sanctuary
