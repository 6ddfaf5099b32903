#include "support/random_problem.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/random.hpp"

namespace sanctuary {
namespace {

using Place = std::array<long, 3>;

std::uint64_t number_of(const Place& p) {
  return (static_cast<std::uint64_t>(p[2]) * 64 + static_cast<std::uint64_t>(p[1])) * 64 +
         static_cast<std::uint64_t>(p[0]);
}

Place shifted(Place p, int axis, long by) {
  p[static_cast<std::size_t>(axis)] += by;
  return p;
}

/// Flow through a face by its place among the nodes along `axis` and the cells along the others, before scaling:
/// eddies from a vector potential on the edges that vanishes on the walls, and a stream along each open axis.
double raw_flow(const RandomProblem& problem, int axis, const Place& face) {
  const auto& cells = problem.spec.cells;
  const auto potential = [&](int along, const Place& edge) {
    for (int other = 0; other < 3; ++other) {
      const auto o = static_cast<std::size_t>(other);
      if (other != along && (edge[o] == 0 || edge[o] == cells[o])) return 0.0;
    }
    return RandomStream(problem.seed, "eddies").uniform(3 * number_of(edge) + static_cast<std::uint64_t>(along), -1, 1);
  };
  const int next = (axis + 1) % 3, last = (axis + 2) % 3;
  double q = potential(last, shifted(face, next, 1)) - potential(last, face) -
             (potential(next, shifted(face, last, 1)) - potential(next, face));
  const auto a = static_cast<std::size_t>(axis);
  if (problem.walls.kind[2 * a] != WallKind::closed && problem.walls.kind[2 * a + 1] != WallKind::closed) {
    double stream = RandomStream(problem.seed, "stream").uniform(a, -3, 3);
    const long along = stream > 0 ? face[a] : cells[a] - face[a];
    if (problem.growing) stream *= 1 + static_cast<double>(along) / static_cast<double>(cells[a]);
    q += stream;
  }
  return q;
}

/// What a face conducts, by the same place; 0 where only flow crosses it.
double conductance(const RandomProblem& problem, int axis, const Place& face) {
  const auto a = static_cast<std::size_t>(axis);
  const auto& h = problem.spec.spacing;
  const double area_over_distance = h[0] * h[1] * h[2] / (h[a] * h[a]);
  const bool low = face[a] == 0, high = face[a] == problem.spec.cells[a];
  if (!low && !high) {
    const double up = problem.coefficient(face), down = problem.coefficient(shifted(face, axis, -1));
    return area_over_distance * 2 * up * down / (up + down);
  }
  const std::size_t wall = 2 * a + (high ? 1 : 0);
  const WallKind kind = problem.walls.kind[wall];
  if (kind == WallKind::closed || kind == WallKind::outflow) return 0;
  const double half = 2 * area_over_distance * problem.coefficient(low ? face : shifted(face, axis, -1));
  const double film = area_over_distance * h[a] * problem.walls.coefficient[wall];
  return kind == WallKind::exchange ? half * film / (half + film) : half;
}

template <class Visit>
void for_each_face(const Place& cells, int axis, Visit&& visit) {
  const Place end = shifted(cells, axis, 1);
  for (long k = 0; k < end[2]; ++k) {
    for (long j = 0; j < end[1]; ++j) {
      for (long i = 0; i < end[0]; ++i) visit(Place{i, j, k});
    }
  }
}

}  // namespace

double RandomProblem::coefficient(const Place& cell) const {
  const RandomStream draws(seed, "coefficient");
  double share = 0;  // of the logarithm of the contrast
  if (texture == Texture::independent) {
    share = draws.uniform(number_of(cell)) - 0.5;
  } else if (texture == Texture::inclusions) {  // blocks of 3 cells
    share = draws.uniform(number_of({cell[0] / 3, cell[1] / 3, cell[2] / 3})) < 0.3 ? 0.5 : -0.5;
  } else if (texture == Texture::smooth) {
    double wave = 0;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      wave += std::sin(draws.uniform(axis, 0, 6.3) + draws.uniform(10 + axis, 1, 6) *
                                                         (static_cast<double>(cell[axis]) + 0.5) /
                                                         static_cast<double>(spec.cells[axis]));
    }
    share = wave / 6;
  }
  return 1e-10 * std::pow(contrast, share);
}

double RandomProblem::rate(const Place& cell) const {
  const RandomStream draws(seed, "reaction");
  const double shortest = *std::min_element(spec.spacing.begin(), spec.spacing.end());
  if (patchy && draws.uniform(2 * number_of(cell)) < 0.5) return 0;
  return reaction * 1e-10 / (shortest * shortest) * (patchy ? draws.uniform(2 * number_of(cell) + 1) : 1.0);
}

double RandomProblem::source(const Place& cell) const {
  const double shortest = *std::min_element(spec.spacing.begin(), spec.spacing.end());
  return 1e-10 / (shortest * shortest) * RandomStream(seed, "source").uniform(number_of(cell));
}

void RandomProblem::build(CellOperator& op, Vec right) const {
  const Grid& grid = op.grid();
  op.reset(walls);
  std::vector<double> k(grid.local_cells());
  for (std::size_t c = 0; c < k.size(); ++c) k[c] = coefficient(grid.place(c));
  if (peclet > 0) {
    double largest = 0;
    for (int axis = 0; axis < 3; ++axis) {
      for_each_face(spec.cells, axis, [&](const Place& face) {
        const double t = conductance(*this, axis, face);
        if (t > 0) largest = std::max(largest, std::abs(raw_flow(*this, axis, face)) / t);
      });
    }
    const double scale = largest > 0 ? peclet / largest : 0.0;
    FaceField flow(grid);
    for (int axis = 0; axis < 3; ++axis) {
      for_each_face(grid.size(), axis, [&](const Place& face) {
        const Place place{grid.start()[0] + face[0], grid.start()[1] + face[1], grid.start()[2] + face[2]};
        flow[axis][flow.index(axis, face[0], face[1], face[2])] = scale * raw_flow(*this, axis, place);
      });
    }
    op.add_diffusion_and_convection(k, flow);
  } else {
    op.add_diffusion(k);
  }
  {
    const WriteAccess f(right);
    for (std::size_t c = 0; c < k.size(); ++c) {
      const Place cell = grid.place(c);
      op.diagonal()[c] += grid.cell_volume() * rate(cell);
      f[c] = grid.cell_volume() * source(cell);
    }
  }
  op.add_wall_source(right);
}

std::string RandomProblem::describe() const {
  static constexpr std::array kinds{"closed", "fixed", "outflow", "exchange"};
  static constexpr std::array textures{"uniform", "smooth", "inclusions", "independent"};
  std::ostringstream text;
  text << "seed " << seed << ": " << spec.cells[0] << "x" << spec.cells[1] << "x" << spec.cells[2] << " spacing "
       << spec.spacing[0] << " " << spec.spacing[1] << " " << spec.spacing[2] << ", "
       << textures[static_cast<std::size_t>(texture)] << " contrast " << contrast << ", reaction " << reaction
       << (patchy ? " patchy" : "") << ", Peclet " << peclet << (growing ? " growing" : "") << ", walls";
  for (const WallKind kind : walls.kind) text << " " << kinds[static_cast<std::size_t>(kind)];
  return text.str();
}

RandomProblem random_problem(std::uint64_t seed, const RandomLimits& limits) {
  const RandomStream draws(seed, "random_problem");
  RandomProblem problem;
  problem.seed = seed;
  const auto power = [&](std::uint64_t draw, double largest) {  // log-uniform from 1
    return std::pow(largest, draws.uniform(draw));
  };
  for (std::uint64_t attempt = 0;; ++attempt) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const std::uint64_t draw = 1000 + 10 * attempt + 3 * axis;
      const double kind = draws.uniform(draw);
      problem.spec.cells[axis] = kind < 0.1   ? 1
                                 : kind < 0.2 ? 2
                                              : std::lround(3 * std::pow(40.0 / 3, draws.uniform(draw + 1)));
    }
    const auto& n = problem.spec.cells;
    if (n[0] * n[1] * n[2] <= limits.most_cells) break;
  }
  for (std::size_t axis = 0; axis < 3; ++axis) problem.spec.spacing[axis] = 1e-5 * power(10 + axis, 10);
  problem.texture = static_cast<Texture>(draws.below(20, 4));
  problem.contrast = problem.texture == Texture::uniform ? 1 : power(21, limits.contrast);
  bool held = false;
  for (std::size_t wall = 0; wall < 6; ++wall) {
    problem.walls.kind[wall] = static_cast<WallKind>(draws.below(30 + wall, 4));
    problem.walls.value[wall] = draws.uniform(40 + wall, 0, 2);
    const double h = problem.spec.spacing[wall / 2];
    problem.walls.coefficient[wall] = 1e-10 / h * 1e-3 * power(50 + wall, 1e6);
    held = held || problem.walls.kind[wall] == WallKind::fixed || problem.walls.kind[wall] == WallKind::exchange;
  }
  if (draws.uniform(60) < 2.0 / 3) {
    problem.reaction = limits.reaction * 1e-8 * power(61, 1e8);
    problem.patchy = draws.uniform(62) < 0.5;
    held = held || !problem.patchy;
  }
  if (draws.uniform(63) < 1.0 / 3) {
    problem.peclet = limits.peclet * 1e-3 * power(64, 1e3);
    problem.growing = draws.uniform(65) < 0.3;
  }
  if (!held) problem.walls.kind[draws.below(66, 6)] = WallKind::fixed;
  return problem;
}

}  // namespace sanctuary
