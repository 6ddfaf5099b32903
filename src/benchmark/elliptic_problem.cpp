#include "benchmark/elliptic_problem.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/comm.hpp"
#include "base/random.hpp"
#include "benchmark/measure.hpp"

namespace sanctuary {
namespace {

constexpr double pi = std::numbers::pi;

std::uint64_t number_in_box(const Grid& grid, const std::array<long, 3>& place) {
  const auto& n = grid.spec().cells;
  return static_cast<std::uint64_t>((place[2] * n[1] + place[1]) * n[0] + place[0]);
}

GridSpec spec_of(const EllipticCase& what) {
  GridSpec spec;
  spec.cells = what.cells;
  double longest = 0;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    longest = std::max(longest, what.spacing[axis] * static_cast<double>(what.cells[axis]));
  }
  for (std::size_t axis = 0; axis < 3; ++axis) spec.spacing[axis] = what.spacing[axis] / longest;
  return spec;
}

/// Normal values on a lattice of 32 meshes along the longest side (in cells), linear between its nodes.
class CorrelatedField {
 public:
  explicit CorrelatedField(const std::array<long, 3>& cells)
      : longest_(static_cast<double>(*std::max_element(cells.begin(), cells.end()))) {
    const RandomStream stream(1, "bench.lognormal.lattice");
    nodes_.resize(side * side * side);
    for (std::size_t n = 0; n < nodes_.size(); ++n) nodes_[n] = stream.normal(n);
  }
  [[nodiscard]] double at(const std::array<long, 3>& place) const {
    std::array<std::size_t, 3> mesh{};
    std::array<double, 3> part{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double x = (static_cast<double>(place[axis]) + 0.5) / longest_ * static_cast<double>(side - 1);
      mesh[axis] = static_cast<std::size_t>(x);
      part[axis] = x - std::floor(x);
    }
    double sum = 0;
    for (std::size_t corner = 0; corner < 8; ++corner) {
      double weight = 1;
      std::array<std::size_t, 3> node = mesh;
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const bool upper = (corner >> axis & 1U) != 0;
        weight *= upper ? part[axis] : 1 - part[axis];
        node[axis] += upper ? 1 : 0;
      }
      sum += weight * nodes_[(node[2] * side + node[1]) * side + node[0]];
    }
    return sum;
  }

 private:
  static constexpr std::size_t side = 33;
  double longest_;
  std::vector<double> nodes_;
};

/// True inside the ball that each block of 8 x 8 x 8 cells holds, radius 2 to 4 cells, centre anywhere in the block.
bool in_ball(const std::array<long, 3>& place) {
  constexpr long block = 8;
  static const RandomStream stream(1, "bench.inclusions");
  const auto at = [&](long index) { return index / block; };
  double distance = 0, radius = 0;
  const std::uint64_t ball =
      4 * static_cast<std::uint64_t>((at(place[2]) * 100000 + at(place[1])) * 100000 + at(place[0]));
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double centre =
        static_cast<double>(block * at(place[axis])) + static_cast<double>(block) * stream.uniform(ball + axis);
    distance += std::pow(static_cast<double>(place[axis]) + 0.5 - centre, 2);
  }
  radius = stream.uniform(ball + 3, 2.0, 4.0);
  return distance < radius * radius;
}

Walls walls_of(const std::string& mix) {
  if (mix == "dirichlet") return Walls::all(WallKind::fixed);
  if (mix == "neumann") return Walls::all(WallKind::closed);
  // Biot number about 1 for a box of side 1 and a coefficient about 1.
  Walls walls = Walls::all(WallKind::exchange);
  walls.coefficient.fill(1.0);
  if (mix == "mixed") {
    walls.kind = {WallKind::fixed,  WallKind::exchange, WallKind::closed,
                  WallKind::closed, WallKind::exchange, WallKind::outflow};
  }
  return walls;
}

}  // namespace

const std::vector<std::string>& coefficient_fields() {
  static const std::vector<std::string> names{"smooth", "lognormal", "independent", "inclusions"};
  return names;
}

const std::vector<std::string>& wall_mixes() {
  static const std::vector<std::string> names{"dirichlet", "neumann", "robin", "mixed"};
  return names;
}

std::vector<double> coefficient_field(const Grid& grid, const std::string& name, double contrast) {
  std::vector<double> k(grid.local_cells());
  const auto& n = grid.spec().cells;
  const double log_contrast = std::log(contrast);
  const RandomStream noise(1, "bench.noise");
  const CorrelatedField correlated(n);
  for (std::size_t c = 0; c < k.size(); ++c) {
    const auto place = grid.place(c);
    if (name == "smooth") {
      double product = 1;
      for (std::size_t axis = 0; axis < 3; ++axis) {
        product *= std::sin(2 * pi * (static_cast<double>(place[axis]) + 0.5) / static_cast<double>(n[axis]));
      }
      k[c] = 1 + 0.9 * product;
    } else if (name == "lognormal") {
      const double g = correlated.at(place) + 0.7 * noise.normal(number_in_box(grid, place));
      k[c] = std::exp(std::clamp(g, -2.5, 2.5) / 5 * log_contrast);
    } else if (name == "independent") {
      k[c] = std::exp((noise.uniform(number_in_box(grid, place)) - 0.5) * log_contrast);
    } else {
      k[c] = std::exp((in_ball(place) ? 0.5 : -0.5) * log_contrast);
    }
  }
  return k;
}

FaceField rolling_flow(const Grid& grid, double speed) {
  FaceField flow(grid);
  const auto& h = grid.spec().spacing;
  const auto& n = grid.spec().cells;
  // Potentials on the edges along z and along x; the discharge through a face is their difference around it.
  const auto wave = [&](std::size_t axis, long node) {
    return std::sin(pi * static_cast<double>(node) / static_cast<double>(n[axis]));
  };
  const std::array<double, 3> side{h[0] * static_cast<double>(n[0]), h[1] * static_cast<double>(n[1]),
                                   h[2] * static_cast<double>(n[2])};
  const double strength = speed / (pi * (1 / std::min(side[0], side[1]) + 1 / std::min(side[1], side[2])));
  const auto roll_z = [&](long i, long j) { return strength * wave(0, i) * wave(1, j); };
  const auto roll_x = [&](long j, long k) { return strength * wave(1, j) * wave(2, k); };
  for (int axis = 0; axis < 3; ++axis) {
    const auto& extent = flow.extent(axis);
    for (long k = 0; k < extent[2]; ++k) {
      for (long j = 0; j < extent[1]; ++j) {
        for (long i = 0; i < extent[0]; ++i) {
          const long x = grid.start()[0] + i, y = grid.start()[1] + j, z = grid.start()[2] + k;
          double q = 0;
          if (axis == 0) q = h[2] * (roll_z(x, y + 1) - roll_z(x, y));
          if (axis == 1) q = -h[2] * (roll_z(x + 1, y) - roll_z(x, y)) + h[0] * (roll_x(y, z + 1) - roll_x(y, z));
          if (axis == 2) q = -h[0] * (roll_x(y + 1, z) - roll_x(y, z));
          flow[axis][flow.index(axis, i, j, k)] = q;
        }
      }
    }
  }
  return flow;
}

void fill_operator(const EllipticCase& what, CellOperator& op) {
  const Grid& grid = op.grid();
  const auto& h = grid.spec().spacing;
  op.reset(walls_of(what.walls));
  const std::vector<double> k = coefficient_field(grid, what.coefficient, what.contrast);
  if (what.peclet > 0) {
    op.add_diffusion_and_convection(k, rolling_flow(grid, what.peclet / *std::max_element(h.begin(), h.end())));
  } else {
    op.add_diffusion(k);
  }
  if (what.reaction == 0) return;
  const double rate = what.reaction / std::pow(*std::min_element(h.begin(), h.end()), 2);
  for (double& d : op.diagonal()) d += rate * grid.cell_volume();
}

EllipticProblem::EllipticProblem(MPI_Comm comm, const EllipticCase& what)
    : EllipticProblem(comm, what, [&](CellOperator& op) { fill_operator(what, op); }) {
  singular_ = what.walls == "neumann" && what.reaction == 0;
  if (!singular_) return;
  double sum = 0;
  petsc(VecSum(rhs_.get(), &sum));
  petsc(VecShift(rhs_.get(), -sum / static_cast<double>(grid_.global_cells())));
}

EllipticProblem::EllipticProblem(MPI_Comm comm, const EllipticCase& what,
                                 const std::function<void(CellOperator&)>& fill)
    : what_(what), grid_(comm, spec_of(what)), heap_before_(heap_bytes(comm)), op_(grid_) {
  fill(op_);
  operator_bytes_ = heap_bytes(comm) - heap_before_;
  rhs_ = grid_.vector();
  residual_ = grid_.vector();
  const RandomStream source(1, "bench.source");
  const WriteAccess f(rhs_.get());
  for (std::size_t c = 0; c < grid_.local_cells(); ++c) {
    f[c] = grid_.cell_volume() * (0.75 + 0.5 * source.uniform(number_in_box(grid_, grid_.place(c))));
  }
}

double EllipticProblem::true_residual(Vec u) const {
  double residual = 0, norm = 0;
  op_.apply(u, residual_.get());
  petsc(VecAYPX(residual_.get(), -1.0, rhs_.get()));
  petsc(VecNorm(residual_.get(), NORM_2, &residual));
  petsc(VecNorm(rhs_.get(), NORM_2, &norm));
  return residual / norm;
}

}  // namespace sanctuary
