#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/comm.hpp"
#include "tissue/oxygen.hpp"
#include "verification/exact.hpp"
#include "verification/problems.hpp"

namespace sanctuary::verification {
namespace {

constexpr double um = 1e-6, pi = std::numbers::pi;

/// Oxygen of tumour tissue (Secomb) with a half pressure so small that use is of zero order.
OxygenSettings zero_order() {
  OxygenSettings settings;
  settings.krogh_coefficient = 4.2e-14 / mmhg;
  settings.half_pressure = 1e-3 * mmhg;
  return settings;
}

BloodLaws plain_laws() {
  BloodLaws laws;
  laws.viscosity = [](double, double) { return 3e-3; };
  laws.split = [](double haematocrit, double, std::span<const double>, std::span<const double>, std::span<double> out) {
    std::fill(out.begin(), out.end(), haematocrit);
  };
  laws.inlet_haematocrit = 0.45;
  return laws;
}

/// Short straight vessels along z, each with so much flow that the blood in it keeps its oxygen.
struct Supply {
  VesselGraph graph;
  double radius;
  void add(double x, double y, double low, double high) {
    const long from = graph.add_node({x, y, low}, graph.nodes());
    const long to = graph.add_node({x, y, high}, graph.nodes());
    graph.add_segment(from, to, radius, graph.segments());
    graph.set_boundary(from, BoundaryKind::pressure, 1e6);
    graph.set_boundary(to, BoundaryKind::pressure, 0);
  }
};

void solve_with(const Grid& grid, const Supply& supply, const OxygenSettings& settings, const std::vector<double>& use,
                bool corrected, OxygenState& state) {
  const CutNetwork cut = cut_at_faces(grid, share_of_root(grid.comm(), supply.graph));
  ExchangeSettings walls;
  walls.mirror.fill(1);
  const EmbeddedNetwork embedded = corrected ? EmbeddedNetwork(grid, cut, walls) : EmbeddedNetwork(grid, cut);
  const FlowSolver flow(cut, std::vector<double>(cut.pieces(), supply.radius), plain_laws());
  BloodFlow blood;
  flow.solve(blood);
  OxygenSolver solver(grid, &embedded, &flow);
  // Towards zero order in steps: Newton's method finds an anoxic core from a nearby one.
  OxygenSettings now = settings;
  for (const double half : {1 * mmhg, 0.1 * mmhg, 0.01 * mmhg, settings.half_pressure}) {
    now.half_pressure = std::max(half, settings.half_pressure);
    solver.solve(now, Walls::all(WallKind::closed), use, blood, state);
  }
}

/// Share of a cell's area between two radii around an axis at (x, y).
double share_between(const std::array<double, 3>& centre, double h, double x, double y, double inner, double outer) {
  constexpr int parts = 16;
  int inside = 0;
  for (int j = 0; j < parts; ++j) {
    for (int i = 0; i < parts; ++i) {
      const double r =
          std::hypot(centre[0] - x + h * ((i + 0.5) / parts - 0.5), centre[1] - y + h * ((j + 0.5) / parts - 0.5));
      inside += r > inner && r < outer;
    }
  }
  return static_cast<double>(inside) / (parts * parts);
}

}  // namespace

VerificationResult krogh_zero_order(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question = "the pressure of oxygen around a vessel that feeds a cylinder of tissue?";
  const OxygenSettings base = zero_order();
  const double krogh = base.krogh_coefficient;
  {
    // The vessel as 64 thin ones around its circumference, resolved by the grid.
    constexpr double thick = 10 * um, inner = 5 * um, outer = 50 * um, use = 5e-4, wall_pressure = 50 * mmhg,
                     width = 110 * um;
    constexpr int around = 64;
    std::vector<double> error, spacing;
    for (const long n : {22L, 44L, 88L}) {
      const Grid grid(comm, box({width, width, thick}, {n, n, 1}));
      const double h = grid.spec().spacing[0], middle = 0.5 * width;
      Supply supply{.graph = {}, .radius = 2 * um};
      for (int i = 0; i < around; ++i) {
        const double angle = 2 * pi * (i + 0.5) / around;
        supply.add(middle + inner * std::cos(angle), middle + inner * std::sin(angle), 0, thick);
      }
      OxygenSettings settings = base;
      settings.inlet_pressure =
          wall_pressure + intravascular_resistance(2 * supply.radius) * exact::krogh_supply(inner, outer, use) / around;
      std::vector<double> rate(grid.local_cells());
      for (std::size_t c = 0; c < rate.size(); ++c) {
        rate[c] = use * share_between(grid.centre(c), h, middle, middle, inner, outer);
      }
      OxygenState state;
      solve_with(grid, supply, settings, rate, false, state);
      const auto radius = [&](const std::array<double, 3>& x) { return std::hypot(x[0] - middle, x[1] - middle); };
      error.push_back(rms_error(
          grid, state.cells.get(),
          [&](const auto& x) { return exact::krogh_erlang(radius(x), inner, outer, wall_pressure, use, krogh); },
          wall_pressure, [&](const auto& x) { return radius(x) > inner + h && radius(x) < outer; }));
      spacing.push_back(h);
    }
    result.at_most("pressure / wall pressure, wall resolved, 88^2 cells (rms)", error.back(), 0.01);
    result.at_least("order, wall resolved", least_order(error, spacing), 0.9);
  }
  {
    // One vessel inside a cell: the series resistance of the cell stands for the unresolved gradient.
    constexpr double inner = 2.5 * um, outer = 80 * um, use = 2e-4, wall_pressure = 60 * mmhg, width = 176 * um;
    double worst = 0, worst_use = 0;
    for (const long n : {7L, 9L, 11L, 13L}) {
      const double h = width / static_cast<double>(n), middle = 0.5 * width;
      const Grid grid(comm, box({width, width, h}, {n, n, 1}));
      Supply supply{.graph = {}, .radius = inner};
      supply.add(middle, middle, 0, h);
      OxygenSettings settings = base;
      settings.inlet_pressure =
          wall_pressure + intravascular_resistance(2 * inner) * exact::krogh_supply(0, outer, use);
      std::vector<double> rate(grid.local_cells());
      for (std::size_t c = 0; c < rate.size(); ++c) {
        rate[c] = use * share_between(grid.centre(c), h, middle, middle, 0, outer);
      }
      OxygenState state;
      solve_with(grid, supply, settings, rate, true, state);
      const auto radius = [&](const std::array<double, 3>& x) { return std::hypot(x[0] - middle, x[1] - middle); };
      worst = std::max(worst, rms_error(
                                  grid, state.cells.get(),
                                  [&](const auto& x) {
                                    return exact::krogh_erlang(radius(x), inner, outer, wall_pressure, use, krogh);
                                  },
                                  wall_pressure, [&](const auto& x) { return radius(x) > h && radius(x) < outer; }));
      worst_use = std::max(worst_use, state.imbalance);
    }
    result.at_most("pressure / wall pressure, vessel inside a cell of 14 to 25 um", worst, 0.01);
    result.at_most("balance of oxygen / inflow", worst_use, 1e-9);
  }
  return result;
}

VerificationResult anoxic_slab(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question =
      "oxygen that is used up on the way into a sheet, with Michaelis-Menten use and its zero-order limit?";
  constexpr double depth = 300 * um, surface = 40 * mmhg, use = 5e-4;
  OxygenSettings settings = zero_order();
  const double krogh = settings.krogh_coefficient;
  const auto solve = [&](std::size_t axis, double half_pressure, const Grid& grid, OxygenState& state) {
    settings.half_pressure = half_pressure;
    Walls walls = Walls::all(WallKind::closed);
    walls.kind[2 * axis] = WallKind::fixed;
    walls.value[2 * axis] = surface;
    OxygenSolver(grid, nullptr, nullptr)
        .solve(settings, walls, std::vector<double>(grid.local_cells(), use), {}, state);
  };
  const auto spec = [&](std::size_t axis, long n) {
    std::array<long, 3> cells{4, 4, 4};
    std::array<double, 3> size{20 * um, 20 * um, 20 * um};
    cells[axis] = n;
    size[axis] = depth;
    return box(size, cells);
  };
  for (std::size_t axis = 0; axis < 3; ++axis) {
    constexpr double half = 1 * mmhg;
    std::vector<double> error, spacing;
    for (const long n : {64L, 128L, 256L}) {
      const Grid grid(comm, spec(axis, n));
      OxygenState state;
      solve(axis, half, grid, state);
      // First integral of K p'' = M0 p/(p + P_cr) with p and p' vanishing far inside, then Runge-Kutta in x.
      const auto slope = [&](double p) {
        const double x = p / half;
        const double rest = x < 1e-3 ? p * x * (0.5 - x * (1.0 / 3 - x / 4)) : p - half * std::log1p(x);
        return -std::sqrt(2 * use / krogh * rest);
      };
      const double h = depth / static_cast<double>(n);
      std::vector<double> exact_pressure(static_cast<std::size_t>(n));
      double p = surface;
      for (long i = 0; i < n; ++i) {
        const int parts = 50;
        const double d = (i == 0 ? 0.5 * h : h) / parts;
        for (int s = 0; s < parts; ++s) {
          const double k1 = slope(p), k2 = slope(p + 0.5 * d * k1), k3 = slope(p + 0.5 * d * k2),
                       k4 = slope(p + d * k3);
          p += d / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
        }
        exact_pressure[static_cast<std::size_t>(i)] = p;
      }
      error.push_back(largest_error(
          grid, state.cells.get(), [&](const auto& x) { return exact_pressure[static_cast<std::size_t>(x[axis] / h)]; },
          surface));
      spacing.push_back(h);
    }
    const std::string along = std::string(" along ") + "xyz"[axis];
    result.at_most("pressure / surface pressure on 256 cells" + along, error.back(), 1e-4);
    result.at_least("order" + along, least_order(error, spacing), 1.9);
  }
  const Grid grid(comm, spec(2, 256));
  OxygenState state;
  solve(2, 1e-3 * mmhg, grid, state);
  const double reach = exact::anoxic_depth(surface, use, krogh);
  result.at_most("zero order: pressure / surface pressure on 256 cells",
                 largest_error(
                     grid, state.cells.get(),
                     [&](const auto& x) { return surface * std::pow(std::max(0.0, 1 - x[2] / reach), 2); }, surface),
                 1e-3);
  return result;
}

VerificationResult spheroid(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question = "oxygen in a spheroid (R 400 um, Grimes 2014) whose core is anoxic?";
  constexpr double radius = 400 * um, side = 480 * um, surface = 100 * mmhg;
  OxygenSettings settings = zero_order();
  const double krogh = settings.krogh_coefficient;
  const double limit = 233.02 * um;
  const double use = 6 * krogh * surface / (limit * limit);
  const double core = exact::spheroid_anoxic_radius(radius, surface, use, krogh);
  const auto distance = [](const std::array<double, 3>& x) { return std::hypot(x[0], x[1], x[2]); };
  std::vector<double> error, core_error, spacing;
  for (const long n : {16L, 32L, 64L}) {
    const Grid grid(comm, box({side, side, side}, {n, n, n}));
    const double h = grid.spec().spacing[0];
    // Vessels hold a layer of cells at the surface pressure; the eighth's low sides are mirrors. The centres of that
    // layer scatter over one cell, so it starts half a cell inside.
    const double held = radius - 0.5 * h;
    Supply supply{.graph = {}, .radius = 0.2 * h};
    std::array<long, 3> cell{};
    for (cell[2] = 0; cell[2] < n; ++cell[2]) {
      for (cell[1] = 0; cell[1] < n; ++cell[1]) {
        for (cell[0] = 0; cell[0] < n; ++cell[0]) {
          std::array<double, 3> x{};
          for (std::size_t a = 0; a < 3; ++a) x[a] = (static_cast<double>(cell[a]) + 0.5) * h;
          if (distance(x) > held && distance(x) < held + 1.2 * h)
            supply.add(x[0], x[1], x[2] - 0.45 * h, x[2] + 0.45 * h);
        }
      }
    }
    settings.inlet_pressure = surface;
    std::vector<double> rate(grid.local_cells());
    for (std::size_t c = 0; c < rate.size(); ++c) rate[c] = distance(grid.centre(c)) < held ? use : 0.0;
    OxygenState state;
    solve_with(grid, supply, settings, rate, false, state);
    const auto inside = [&](const auto& x) { return distance(x) < held; };
    error.push_back(rms_error(
        grid, state.cells.get(),
        [&](const auto& x) { return exact::spheroid_pressure(distance(x), radius, surface, use, krogh); }, surface,
        inside));
    double anoxic = 0;
    const ReadAccess p(state.cells.get());
    for (std::size_t c = 0; c < grid.local_cells(); ++c) anoxic += p[c] < 1e-3 * surface && inside(grid.centre(c));
    anoxic = 8 * sum_over(comm, anoxic) * grid.cell_volume();
    core_error.push_back(std::abs(std::cbrt(anoxic * 3 / (4 * pi)) - core) / radius);
    spacing.push_back(h);
  }
  result.at_most("pressure / surface pressure on 64^3 cells (rms)", error.back(), 0.01);
  result.at_least("order", least_order(error, spacing), 0.9);
  result.at_most("radius of the anoxic core / R on 64^3 cells", core_error.back(), 0.03);
  return result;
}

}  // namespace sanctuary::verification
