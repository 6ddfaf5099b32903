#include "support/random_network.hpp"

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "solvers/network/phase_separation.hpp"
#include "solvers/network/rheology.hpp"

namespace sanctuary {
namespace {

class Draws {
 public:
  explicit Draws(std::uint64_t seed) : stream_(seed, "random_network") {}
  double uniform(double low, double high) { return stream_.uniform(next_++, low, high); }
  long below(long n) { return static_cast<long>(stream_.below(next_++, static_cast<std::uint64_t>(n))); }

 private:
  RandomStream stream_;
  std::uint64_t next_ = 0;
};

}  // namespace

VesselGraph random_network(std::uint64_t seed) {
  Draws draw(seed);
  VesselGraph graph;
  const long kind = static_cast<long>(seed % 8);
  const double decades = kind == 6 ? 0.3 : 4.0;
  const auto radius = [&] { return 0.5e-6 * std::pow(10.0, draw.uniform(0, decades)); };
  const auto node = [&] {
    return graph.add_node({draw.uniform(0, 1e-3), draw.uniform(0, 1e-3), draw.uniform(0, 1e-3)}, graph.nodes());
  };
  const auto vessel = [&](long a, long b) { graph.add_segment(a, b, radius(), graph.segments()); };
  const long size = 2 + draw.below(40);
  const auto tree = [&](long count) {
    const long root = node();
    for (long i = 1; i < count; ++i) {
      const long n = node();
      vessel(root + draw.below(n - root), n);
    }
    return root;
  };
  const auto star = [&](long count) {
    const long centre = node();
    for (long i = 0; i < count; ++i) vessel(centre, node());
  };
  switch (kind) {
    case 0:
      tree(size);
      break;
    case 1:
    case 6: {  // a mesh: a tree with many more edges
      tree(size);
      for (long i = 0; i < size; ++i) vessel(draw.below(size), draw.below(size));
      break;
    }
    case 2:  // parallel vessels
      tree(size);
      for (long i = 0; i < size; ++i) {
        const auto pair = graph.segment[static_cast<std::size_t>(draw.below(std::max(graph.segments(), 1L)))];
        vessel(pair[0], pair[1]);
      }
      break;
    case 3:
      star(2 + draw.below(20));
      break;
    case 4: {  // a chain with loops that hang on one node, so that nothing flows in them
      tree(size);
      const long at = draw.below(size), first = node(), second = node();
      vessel(at, first);
      vessel(first, second);
      vessel(second, at);
      vessel(at, at);
      break;
    }
    case 5:  // parts without any condition and isolated nodes
      tree(size);
      tree(3);
      node();
      break;
    default:
      tree(size);
      star(5);
      for (long i = 0; i < size; ++i) vessel(draw.below(graph.nodes()), draw.below(graph.nodes()));
      node();
  }
  const long conditions = 1 + draw.below(6);
  for (long i = 0; i < conditions; ++i) {
    const long n = draw.below(graph.nodes());
    const double stated = draw.uniform(0, 1) < 0.3 ? draw.uniform(0, 0.6) : std::nan("");
    if (i == 0 || draw.uniform(0, 1) < 0.6) {
      graph.set_boundary(n, BoundaryKind::pressure, draw.uniform(500, 6000), stated);
    } else {
      graph.set_boundary(n, BoundaryKind::flow, draw.uniform(-1, 1) * std::pow(10.0, draw.uniform(-16, -11)), stated);
    }
  }
  return graph;
}

BloodLaws standard_blood_laws() {
  BloodLaws laws;
  laws.viscosity = [](double diameter, double haematocrit) {
    return apparent_viscosity({}, diameter, std::min(haematocrit, 0.95));
  };
  laws.split = [](double inflow, double diameter, std::span<const double> flow, std::span<const double> widths,
                  std::span<double> out) { split_red_cells({}, inflow, diameter, flow, widths, out); };
  return laws;
}

}  // namespace sanctuary
