#include "verification/embedded.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "base/comm.hpp"

namespace sanctuary::verification {
namespace {

using Point = std::array<double, 3>;
constexpr double pi = std::numbers::pi;

Point between(const Point& a, const Point& b, double t) {
  return {a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2])};
}
double distance(const Point& a, const Point& b) { return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]); }

// Gauss-Legendre, 4 points on (0, 1)
constexpr std::array<double, 4> gauss_place{0.06943184420297371, 0.33000947820757187, 0.66999052179242813,
                                            0.93056815579702629};
constexpr std::array<double, 4> gauss_weight{0.17392742256872693, 0.32607257743127307, 0.32607257743127307,
                                             0.17392742256872693};

void solve_dense(std::vector<double>& matrix, std::vector<double>& rhs) {
  const std::size_t n = rhs.size();
  for (std::size_t k = 0; k < n; ++k) {
    for (std::size_t i = k + 1; i < n; ++i) {
      const double factor = matrix[i * n + k] / matrix[k * n + k];
      if (factor == 0) continue;
      for (std::size_t j = k; j < n; ++j) matrix[i * n + j] -= factor * matrix[k * n + j];
      rhs[i] -= factor * rhs[k];
    }
  }
  for (std::size_t k = n; k-- > 0;) {
    for (std::size_t j = k + 1; j < n; ++j) rhs[k] -= matrix[k * n + j] * rhs[j];
    rhs[k] /= matrix[k * n + k];
  }
}

}  // namespace

FreeSpaceVessels::FreeSpaceVessels(std::vector<FreeVessel> vessels, double rate, double part_length)
    : vessels_(std::move(vessels)), rate_(rate), exchange_(vessels_.size(), 0.0) {
  for (std::size_t v = 0; v < vessels_.size(); ++v) {
    const auto parts = static_cast<int>(std::ceil(distance(vessels_[v].from, vessels_[v].to) / part_length));
    for (int p = 0; p < parts; ++p) {
      parts_.push_back({between(vessels_[v].from, vessels_[v].to, static_cast<double>(p) / parts),
                        between(vessels_[v].from, vessels_[v].to, static_cast<double>(p + 1) / parts), 0, v});
    }
  }
  const std::size_t n = parts_.size();
  std::vector<double> matrix(n * n), rhs(n);
  for (std::size_t i = 0; i < n; ++i) {
    const FreeVessel& vessel = vessels_[parts_[i].vessel];
    for (std::size_t j = 0; j < n; ++j) {
      const double radius = std::max(vessel.radius, vessels_[parts_[j].vessel].radius);
      const auto mean = parts_[i].vessel == parts_[j].vessel ? mean_wall_potential : mean_line_potential;
      double value = mean(parts_[i].from, parts_[i].to, parts_[j].from, parts_[j].to, radius);
      if (rate_ > 0) {  // what use takes off it is smooth
        for (std::size_t g = 0; g < 4; ++g) {
          const Point x = between(parts_[i].from, parts_[i].to, gauss_place[g]);
          value += gauss_weight[g] *
                   (potential(x, parts_[j], radius) - line_potential(x, parts_[j].from, parts_[j].to, radius));
        }
      }
      matrix[i * n + j] = value;
    }
    matrix[i * n + i] += 1 / (vessel.wall * distance(parts_[i].from, parts_[i].to));
    rhs[i] = vessel.lumen;
  }
  solve_dense(matrix, rhs);
  for (std::size_t i = 0; i < n; ++i) {
    parts_[i].strength = rhs[i];
    exchange_[parts_[i].vessel] += rhs[i];
  }
}

double FreeSpaceVessels::potential(const Point& x, const Part& part, double radius) const {
  double value = line_potential(x, part.from, part.to, radius);
  if (rate_ > 0) {
    const double kappa = std::sqrt(rate_);
    for (std::size_t g = 0; g < 4; ++g) {
      const double r = std::max(distance(x, between(part.from, part.to, gauss_place[g])), radius);
      value += gauss_weight[g] * std::expm1(-kappa * r) / (4 * pi * r);
    }
  }
  return value;
}

double FreeSpaceVessels::value(const Point& x) const {
  double sum = 0;
  for (const Part& part : parts_) sum += part.strength * potential(x, part, vessels_[part.vessel].radius);
  return sum;
}

std::vector<VesselPiece> pieces_of(const VesselGraph& graph, const CutNetwork& cut) {
  std::vector<VesselPiece> pieces;
  for (std::size_t p = 0; p < cut.pieces(); ++p) {
    const auto s = static_cast<std::size_t>(cut.piece_segment[p]);
    const auto node = [&](std::size_t end) { return static_cast<std::size_t>(cut.piece_nodes[p][end]); };
    const auto name = [&](std::size_t end) { return graph.node_id[static_cast<std::size_t>(graph.segment[s][end])]; };
    pieces.push_back({.from = cut.node_position[node(0)],
                      .to = cut.node_position[node(1)],
                      .radius = graph.radius[s],
                      .length = cut.piece_length[p],
                      .segment = graph.segment_id[s],
                      .segment_nodes = {name(0), name(1)},
                      .number = static_cast<PetscInt>(p)});
  }
  return pieces;
}

FixedLumen::FixedLumen(const Grid& grid, const Walls& walls, double rate, ExchangeGeometry geometry)
    : grid_(&grid),
      walls_(walls),
      rate_(rate),
      op_(grid),
      exchange_(grid, std::move(geometry), 0),
      solver_(grid, "embedded_"),
      cells_(grid.vector()),
      rhs_(grid.vector()),
      borrowed_(grid.vector()),
      product_(grid.vector()) {
  solver_.set_coupling(this, true);
}

void FixedLumen::subtract_impl(const double* in, double* out) const {
  petsc(VecPlaceArray(borrowed_.get(), in));
  petsc(MatMult(exchange_.cells(), borrowed_.get(), product_.get()));
  petsc(VecResetArray(borrowed_.get()));
  const ReadAccess x(product_.get());
  for (std::size_t c = 0; c < grid_->local_cells(); ++c) out[c] += x[c];
}

std::vector<double> FixedLumen::solve(std::span<const WallConductance> wall, std::span<const double> lumen,
                                      const std::function<double(const Point&)>& wall_value) {
  exchange_.set(wall, std::vector<LumenLink>(wall.size()));
  op_.reset(walls_);
  op_.add_diffusion(std::vector<double>(grid_->local_cells(), 1.0));
  for (std::size_t c = 0; c < grid_->local_cells(); ++c) {
    op_.diagonal()[c] = rate_ * grid_->cell_volume() + exchange_.cell_diagonal()[c];
  }
  petsc(VecSet(cells_.get(), 0.0));
  petsc(VecSet(rhs_.get(), 0.0));
  exchange_.add_to_cells(exchange_.flow(cells_.get(), lumen), rhs_.get());
  if (wall_value) {
    const WriteAccess rhs(rhs_.get());
    for (std::size_t c = 0; c < grid_->local_cells(); ++c) {
      const auto place = grid_->place(c);
      for (std::size_t w = 0; w < 6; ++w) {
        const std::size_t a = w / 2;
        if (walls_.kind[w] != WallKind::fixed || place[a] != (w % 2 == 0 ? 0 : grid_->spec().cells[a] - 1)) continue;
        const double h = grid_->spec().spacing[a];
        Point x = grid_->centre(c);
        x[a] += w % 2 == 0 ? -0.5 * h : 0.5 * h;
        rhs[c] += 2 / h * grid_->face_area(static_cast<int>(a)) * wall_value(x);
      }
    }
  } else {
    op_.add_wall_source(rhs_.get());
  }
  solver_.set(op_);
  const SolveReport report = solver_.solve(rhs_.get(), cells_.get(), {.tolerance = 1e-11});
  iterations_ = report.iterations;
  if (!report.converged) throw NumericsError("vessels of given lumen: " + report.reason);
  return exchange_.flow(cells_.get(), lumen);
}

std::vector<double> exchange_errors(const Grid& grid, const FreeSpaceVessels& exact, bool corrected) {
  VesselGraph graph;
  for (const FreeVessel& vessel : exact.vessels()) {
    const long n = graph.nodes();
    graph.add_node(vessel.from, n);
    graph.add_node(vessel.to, n + 1);
    graph.add_segment(n, n + 1, vessel.radius, graph.segments());
  }
  const CutNetwork cut = cut_at_faces(graph, grid.spec());
  const std::vector<VesselPiece> pieces = pieces_of(graph, cut);
  ExchangeSettings settings;
  settings.corrected = corrected;
  FixedLumen tissue(grid, Walls::all(WallKind::fixed), exact.rate(),
                    exchange_geometry(grid.spec(), pieces, pieces.size(), settings));
  std::vector<WallConductance> wall;
  std::vector<double> lumen;
  for (const VesselPiece& piece : pieces) {
    const FreeVessel& vessel = exact.vessels()[static_cast<std::size_t>(piece.segment)];
    wall.push_back({vessel.wall * piece.length, vessel.wall * piece.length, 1});
    lumen.push_back(vessel.lumen);
  }
  const std::vector<double> flow = tissue.solve(wall, lumen, [&](const Point& x) { return exact.value(x); });
  std::vector<double> error(exact.exchange().size());
  for (std::size_t v = 0; v < error.size(); ++v) error[v] = -exact.exchange()[v];
  for (std::size_t p = 0; p < pieces.size(); ++p) error[static_cast<std::size_t>(pieces[p].segment)] += flow[p];
  double largest = 0;
  for (const double q : exact.exchange()) largest = std::max(largest, std::abs(q));
  for (double& e : error) e /= largest;
  return error;
}

}  // namespace sanctuary::verification
