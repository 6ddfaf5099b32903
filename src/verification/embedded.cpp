#include "verification/embedded.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "base/comm.hpp"
#include "base/random.hpp"

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

FreeSpaceVessels::FreeSpaceVessels(std::vector<FreeVessel> vessels, double rate, double part_length, double use)
    : vessels_(std::move(vessels)), rate_(rate), use_(use), exchange_(vessels_.size(), 0.0) {
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
    for (std::size_t g = 0; g < 4; ++g) {
      rhs[i] -= gauss_weight[g] * used_up(between(parts_[i].from, parts_[i].to, gauss_place[g]));
    }
    if (parts_[i].vessel == 0) rhs[i] -= use_ * vessel.radius * vessel.radius / 4;  // at its wall
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

double FreeSpaceVessels::used_up(const Point& x) const {
  if (use_ == 0) return 0;
  const FreeVessel& first = vessels_.front();
  double part = 0;
  for (std::size_t a = 0; a < 3; ++a) part += (x[a] - first.from[a]) * (first.to[a] - first.from[a]);
  part /= std::pow(distance(first.from, first.to), 2);
  return use_ * std::pow(distance(x, between(first.from, first.to, part)), 2) / 4;
}

double FreeSpaceVessels::value(const Point& x) const {
  double sum = used_up(x);
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

FixedLumen::FixedLumen(const Grid& grid, const Walls& walls, double rate, const ExchangeRows& exchange, double use)
    : grid_(&grid),
      walls_(walls),
      rate_(rate),
      use_(use),
      op_(grid),
      exchange_(grid, exchange, 0),
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
                                      const std::function<double(const Point&)>& field) {
  exchange_.set(wall, std::vector<LumenLink>(wall.size()));
  op_.reset(walls_);
  op_.add_diffusion(std::vector<double>(grid_->local_cells(), 1.0));
  for (std::size_t c = 0; c < grid_->local_cells(); ++c) {
    op_.diagonal()[c] = rate_ * grid_->cell_volume() + exchange_.cell_diagonal()[c];
  }
  petsc(VecSet(cells_.get(), 0.0));
  petsc(VecSet(rhs_.get(), -use_ * grid_->cell_volume()));
  exchange_.add_to_cells(exchange_.flow(cells_.get(), lumen), rhs_.get());
  if (field) {
    const WriteAccess rhs(rhs_.get());
    for (std::size_t c = 0; c < grid_->local_cells(); ++c) {
      const auto place = grid_->place(c);
      for (std::size_t w = 0; w < 6; ++w) {
        const std::size_t a = w / 2;
        if (walls_.kind[w] != WallKind::fixed || place[a] != (w % 2 == 0 ? 0 : grid_->spec().cells[a] - 1)) continue;
        const double h = grid_->spec().spacing[a];
        // As between the cell and its neighbour outside: exact for a field of constant curvature.
        const Point x = grid_->centre(c);
        Point beyond = x;
        beyond[a] += w % 2 == 0 ? -h : h;
        rhs[c] += grid_->face_area(static_cast<int>(a)) / h * (field(x) + field(beyond));
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

std::vector<double> exchange_errors(const Grid& grid, const FreeSpaceVessels& exact, bool corrected,
                                    ExchangeForm form) {
  VesselGraph graph;
  for (const FreeVessel& vessel : exact.vessels()) {
    const long n = graph.nodes();
    graph.add_node(vessel.from, n);
    graph.add_node(vessel.to, n + 1);
    graph.add_segment(n, n + 1, vessel.radius, graph.segments());
  }
  const CutNetwork cut = cut_at_faces(grid, share_of_root(grid.comm(), graph));
  const std::vector<VesselPiece> pieces = pieces_of(graph, cut);
  ExchangeSettings settings;
  settings.corrected = corrected;
  FixedLumen tissue(grid, Walls::all(WallKind::fixed), exact.rate(),
                    exchange_rows(grid.comm(),
                                  std::make_shared<const ExchangeGeometry>(
                                      exchange_geometry(grid.spec(), pieces, pieces.size(), settings)),
                                  form),
                    exact.use());
  std::vector<WallConductance> wall;
  std::vector<double> lumen;
  for (const VesselPiece& piece : pieces) {
    const FreeVessel& vessel = exact.vessels()[static_cast<std::size_t>(piece.segment)];
    wall.push_back({vessel.wall * piece.length, vessel.wall * piece.length, 1});
    lumen.push_back(vessel.lumen);
    if (corrected) lumen.back() += tissue.curvature()[lumen.size() - 1] * exact.use();
  }
  const auto outside = [&](const Point& x) { return exact.value(x); };
  std::vector<double> flow = tissue.solve(wall, lumen, outside);
  if (corrected && exact.rate() > 0) {  // use bends the profile by what the tissue around each piece holds
    for (int pass = 0; pass < 2; ++pass) {
      const std::vector<double> value = tissue.read();
      std::vector<double> raised = lumen;
      for (std::size_t p = 0; p < raised.size(); ++p) raised[p] += tissue.curvature()[p] * exact.rate() * value[p];
      flow = tissue.solve(wall, raised, outside);
    }
  }
  std::vector<double> error(exact.exchange().size());
  for (std::size_t v = 0; v < error.size(); ++v) error[v] = -exact.exchange()[v];
  for (std::size_t p = 0; p < pieces.size(); ++p) error[static_cast<std::size_t>(pieces[p].segment)] += flow[p];
  double largest = 0;
  for (const double q : exact.exchange()) largest = std::max(largest, std::abs(q));
  for (double& e : error) e /= largest;
  return error;
}

namespace {

double least_distance(const FreeVessel& a, const FreeVessel& b) {
  constexpr int steps = 60;
  double least = distance(a.from, b.from);
  for (int i = 0; i <= steps; ++i) {
    const Point x = between(a.from, a.to, static_cast<double>(i) / steps),
                d = {b.to[0] - b.from[0], b.to[1] - b.from[1], b.to[2] - b.from[2]};
    double along = 0, length = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      along += (x[k] - b.from[k]) * d[k];
      length += d[k] * d[k];
    }
    least = std::min(least, distance(x, between(b.from, b.to, std::clamp(along / length, 0.0, 1.0))));
  }
  return least;
}

}  // namespace

RandomVessels random_vessels(int which, int count, double spacing, double biot, double gap) {
  const RandomStream draws(7, "verification.embedded");
  std::uint64_t next = 100000 * static_cast<std::uint64_t>(which);
  const auto draw = [&](double low, double high) { return draws.uniform(next++, low, high); };
  const double length = std::max(8 * spacing, 10.0);
  const long margin = count > 1 ? 4 + static_cast<long>(std::ceil(4 / spacing)) : 4;
  const long cells = static_cast<long>(std::ceil(length / spacing)) + 2 * margin;
  RandomVessels set{{{0, 0, 0}, {spacing, spacing, spacing}, {cells, cells, cells}}, {}};
  const double centre = 0.5 * static_cast<double>(cells) * spacing;
  const auto direction = [&]() -> Point {
    const double z = draw(-1, 1), angle = draw(0, 2 * pi), s = std::sqrt(1 - z * z);
    return {s * std::cos(angle), s * std::sin(angle), z};
  };
  constexpr std::array lumen{1.0, -0.5, 0.25};
  const auto vessel = [&](const Point& middle, const Point& d) {
    FreeVessel v;
    for (std::size_t a = 0; a < 3; ++a) {
      v.from[a] = middle[a] - 0.5 * length * d[a];
      v.to[a] = middle[a] + 0.5 * length * d[a];
    }
    v.radius = 1;
    v.wall = 2 * pi * biot;
    v.lumen = lumen[set.vessels.size()];
    return v;
  };
  Point middle{}, first = direction();
  for (double& x : middle) x = centre + spacing * draw(-0.5, 0.5);
  // The middle of the box is a corner of cells or the middle of one, by the number of cells.
  const double corner = cells % 2 == 0 ? 0 : 0.5 * spacing;
  const double diagonal = 1 / std::sqrt(3.0);
  if (which < 2) first = {0, 0, 1};
  if (which == 1 || which == 2) middle.fill(centre + corner);
  if (which == 2) first = {diagonal, diagonal, diagonal};
  if (which == 3) {
    middle.fill(centre + corner);
    first = {0, 1, 0};
  }
  set.vessels.push_back(vessel(middle, first));
  while (set.vessels.size() < static_cast<std::size_t>(count)) {
    Point place = middle, d = direction();
    const bool parallel = which % 3 == 0 && set.vessels.size() == 1;
    if (parallel) {
      // Parallel: away from the first at right angles.
      Point away = {d[1] * first[2] - d[2] * first[1], d[2] * first[0] - d[0] * first[2],
                    d[0] * first[1] - d[1] * first[0]};
      const double norm = std::hypot(away[0], away[1], away[2]);
      for (std::size_t a = 0; a < 3; ++a) place[a] += 4 * away[a] / norm;
      d = first;
    } else {
      for (double& x : place) x += std::max(spacing, 6.0) * draw(-0.6, 0.6);
    }
    const FreeVessel one = vessel(place, d);
    bool apart = true;
    for (const FreeVessel& other : set.vessels) apart = apart && (parallel || least_distance(one, other) > 2 + gap);
    if (apart) set.vessels.push_back(one);
  }
  return set;
}

ExchangeTable exchange_table(int cases, int count, double spacing, double biot, double decay, double gap, bool constant,
                             ExchangeForm form) {
  ExchangeTable table;
  for (int which = 0; which < cases; ++which) {
    const RandomVessels set = random_vessels(which, count, spacing, biot, gap);
    const Grid grid(PETSC_COMM_SELF, set.grid);
    const double use = constant ? decay * decay : 0;
    const FreeSpaceVessels exact(set.vessels, constant ? 0 : decay * decay,
                                 std::min(std::max(1.0, 0.05 * spacing), 0.25 * spacing), use);
    for (const bool corrected : {true, false}) {
      if (!corrected && which >= 10) continue;
      double& worst = corrected ? table.corrected : table.uncorrected;
      for (const double e : exchange_errors(grid, exact, corrected, form)) worst = std::max(worst, std::abs(e));
    }
  }
  return table;
}

namespace {

/// One vessel with unknown values at its nodes in tissue: [A + X, B; C, N].
class OneVessel : private CellCoupling {
 public:
  OneVessel(const Grid& grid, const VesselExchange& exchange, Mat network) : grid_(&grid), exchange_(&exchange) {
    petsc(MatCreateVecs(network, a_.out(), b_.out()));
    cells_ = grid.vector();
    borrowed_ = grid.vector();
    petsc(KSPCreate(grid.comm(), ksp_.out()));
    petsc(KSPSetOptionsPrefix(ksp_.get(), "embedded_network_"));
    petsc(KSPSetOperators(ksp_.get(), network, network));
    petsc(KSPSetType(ksp_.get(), KSPPREONLY));
    PC pc = nullptr;
    petsc(KSPGetPC(ksp_.get(), &pc));
    petsc(PCSetType(pc, PCLU));
    petsc(KSPSetFromOptions(ksp_.get()));
  }
  void solve(const CellOperator& op, Vec rhs, Vec network_rhs, Vec tissue, Vec vessel) {
    EllipticSolver solver(*grid_, "embedded_");
    solver.set_coupling(this, true);
    solver.set(op);
    petsc(KSPSolve(ksp_.get(), network_rhs, a_.get()));
    petsc(MatMult(exchange_->to_cells(), a_.get(), cells_.get()));
    VecHandle all = grid_->vector();
    petsc(VecWAXPY(all.get(), -1.0, cells_.get(), rhs));
    const SolveReport report = solver.solve(all.get(), tissue, {.tolerance = 1e-11});
    if (!report.converged) throw NumericsError("embedded vessel: " + report.reason);
    petsc(MatMult(exchange_->from_cells(), tissue, b_.get()));
    petsc(VecAYPX(b_.get(), -1.0, network_rhs));
    petsc(KSPSolve(ksp_.get(), b_.get(), vessel));
  }

 private:
  void subtract_impl(const double* in, double* out) const override {
    petsc(VecPlaceArray(borrowed_.get(), in));
    petsc(MatMult(exchange_->cells(), borrowed_.get(), cells_.get()));
    {
      const ReadAccess x(cells_.get());
      for (std::size_t c = 0; c < grid_->local_cells(); ++c) out[c] += x[c];
    }
    petsc(MatMult(exchange_->from_cells(), borrowed_.get(), a_.get()));
    petsc(VecResetArray(borrowed_.get()));
    petsc(KSPSolve(ksp_.get(), a_.get(), b_.get()));
    petsc(MatMult(exchange_->to_cells(), b_.get(), cells_.get()));
    const ReadAccess x(cells_.get());
    for (std::size_t c = 0; c < grid_->local_cells(); ++c) out[c] -= x[c];
  }
  const Grid* grid_;
  const VesselExchange* exchange_;
  KspHandle ksp_;
  VecHandle a_, b_, cells_, borrowed_;
};

}  // namespace

BenchmarkErrors embedded_benchmark(long cells, bool corrected) {
  constexpr double radius = 0.1;
  const double beta = 2 * pi / (2 * pi + std::log(radius));
  const double h = 2.0 / static_cast<double>(cells);
  const long pieces = cells / 2;
  const Grid grid(PETSC_COMM_SELF, {{-1, -1, 0}, {h, h, h}, {cells, cells, pieces}});
  const auto exact = [&](const Point& x) {
    return -(1 + x[2]) * std::log(std::max(std::hypot(x[0], x[1]), radius)) / (2 * pi);
  };
  std::vector<VesselPiece> vessel;
  for (long p = 0; p < pieces; ++p) {
    const double z = static_cast<double>(p) * h;
    vessel.push_back({.from = {0, 0, z},
                      .to = {0, 0, z + h},
                      .radius = radius,
                      .length = h,
                      .segment = 0,
                      .segment_nodes = {0, 1},
                      .number = static_cast<PetscInt>(p)});
  }
  ExchangeSettings settings;
  settings.corrected = corrected;
  settings.mirror[4] = settings.mirror[5] = 1;
  const auto nodes = static_cast<PetscInt>(pieces + 1);
  VesselExchange exchange(grid, exchange_geometry(grid.spec(), vessel, vessel.size(), settings), nodes);
  std::vector<LumenLink> links;
  for (PetscInt p = 0; p < nodes - 1; ++p) {
    links.push_back({.mean = {p, p + 1}, .mean_weight = {0.5, 0.5}, .loss = {p, p + 1}, .loss_weight = {0.5, 0.5}});
    // The values at the ends are given: they take no loss.
    if (p == 0) links.back().loss[0] = -1;
    if (p == nodes - 2) links.back().loss[1] = -1;
  }
  exchange.set(std::vector<WallConductance>(vessel.size(), {beta * h, beta * h, 1}), links);

  MatHandle network;
  petsc(MatCreateSeqAIJ(PETSC_COMM_SELF, nodes, nodes, 6, nullptr, network.out()));
  petsc(MatSetOption(network.get(), MAT_NEW_NONZERO_ALLOCATION_ERR, PETSC_FALSE));
  VecHandle network_rhs, value;
  const auto add = [&](PetscInt row, PetscInt column, double entry) {
    petsc(MatSetValue(network.get(), row, column, entry, ADD_VALUES));
  };
  for (PetscInt p = 0; p < nodes - 1; ++p) {
    const double z = (static_cast<double>(p) + 0.5) * h, conductance = (1 + z + 0.5 * z * z) / h;
    for (const auto& [row, other] : {std::pair{p, p + 1}, std::pair{p + 1, p}}) {
      if (row == 0 || row == nodes - 1) continue;
      add(row, row, conductance);
      add(row, other, -conductance);
    }
  }
  add(0, 0, 1);
  add(nodes - 1, nodes - 1, 1);
  exchange.add_to_network(network.get());
  petsc(MatAssemblyBegin(network.get(), MAT_FINAL_ASSEMBLY));
  petsc(MatAssemblyEnd(network.get(), MAT_FINAL_ASSEMBLY));
  petsc(MatCreateVecs(network.get(), value.out(), network_rhs.out()));
  {
    const WriteAccess rhs(network_rhs.get());
    std::fill(rhs.data(), rhs.data() + nodes, 0.0);
    rhs[0] = 1;
    rhs[static_cast<std::size_t>(nodes) - 1] = 2;
  }

  CellOperator op(grid);
  Walls walls = Walls::all(WallKind::fixed);
  walls.kind[4] = walls.kind[5] = WallKind::closed;
  op.reset(walls);
  op.add_diffusion(std::vector<double>(grid.local_cells(), 1.0));
  op.diagonal() = exchange.cell_diagonal();
  VecHandle rhs = grid.vector(), tissue = grid.vector();
  {
    const WriteAccess f(rhs.get());
    for (std::size_t c = 0; c < grid.local_cells(); ++c) {
      const auto place = grid.place(c);
      const Point x = grid.centre(c);
      for (std::size_t a = 0; a < 2; ++a) {
        for (const long side : {0L, cells - 1}) {
          if (place[a] != side) continue;
          Point wall = x;
          wall[a] = side == 0 ? -1 : 1;
          f[c] += 2 * h * exact(wall);
        }
      }
      const double slope = exact(x) / (1 + x[2]);
      if (place[2] == 0) f[c] -= h * h * slope;
      if (place[2] == pieces - 1) f[c] += h * h * slope;
    }
  }
  OneVessel system(grid, exchange, network.get());
  system.solve(op, rhs.get(), network_rhs.get(), tissue.get(), value.get());

  BenchmarkErrors errors;
  {
    const ReadAccess u(tissue.get()), v(value.get());
    for (std::size_t c = 0; c < grid.local_cells(); ++c) errors.tissue += std::pow(u[c] - exact(grid.centre(c)), 2);
    for (std::size_t n = 0; n < static_cast<std::size_t>(nodes); ++n) {
      errors.vessel += std::pow(v[n] - 1 - static_cast<double>(n) * h, 2);
    }
  }
  const std::vector<double> flow = exchange.flow(tissue.get(), value.get());
  for (std::size_t p = 0; p < flow.size(); ++p) {
    const double wanted = 1 + (static_cast<double>(p) + 0.5) * h, wrong = flow[p] / h - wanted;
    errors.exchange += wrong * wrong;
    errors.largest_relative = std::max(errors.largest_relative, std::abs(wrong) / wanted);
  }
  errors.tissue = std::sqrt(errors.tissue / static_cast<double>(grid.local_cells()));
  errors.vessel = std::sqrt(errors.vessel / static_cast<double>(nodes));
  errors.amounts = h * std::sqrt(errors.exchange);
  errors.exchange = std::sqrt(errors.exchange / static_cast<double>(pieces));
  return errors;
}

NetworkField network_field(const VesselGraph& graph, const GridSpec& coarse, long refine, double rate, bool corrected) {
  GridSpec spec = coarse;
  for (std::size_t a = 0; a < 3; ++a) {
    spec.cells[a] *= refine;
    spec.spacing[a] /= static_cast<double>(refine);
  }
  const Grid grid(PETSC_COMM_SELF, spec);
  const CutNetwork cut = cut_at_faces(grid, graph);
  const std::vector<VesselPiece> pieces = pieces_of(graph, cut);
  ExchangeSettings settings;
  settings.corrected = corrected;
  settings.mirror.fill(1);
  const auto geometry =
      std::make_shared<const ExchangeGeometry>(exchange_geometry(spec, pieces, pieces.size(), settings));
  FixedLumen tissue(grid, Walls::all(WallKind::closed), rate,
                    exchange_rows(grid.comm(), geometry, ExchangeForm::all_vessels));
  std::vector<WallConductance> wall;
  std::vector<double> lumen;
  for (const VesselPiece& piece : pieces) {
    const double conductance = 2 * pi * 10 * piece.length;
    wall.push_back({conductance, conductance, 1});
    const double x =
        (0.5 * (piece.from[0] + piece.to[0]) - spec.origin[0]) / (spec.spacing[0] * static_cast<double>(spec.cells[0]));
    lumen.push_back(1 - 0.5 * x);
  }
  NetworkField field;
  for (const double q : tissue.solve(wall, lumen, {})) field.total += q;
  field.iterations = tissue.iterations();
  field.value.assign(static_cast<std::size_t>(coarse.cells[0] * coarse.cells[1] * coarse.cells[2]), 0.0);
  const ReadAccess u(tissue.cells());
  const double share = 1.0 / static_cast<double>(refine * refine * refine);
  for (std::size_t c = 0; c < grid.local_cells(); ++c) {
    const auto place = grid.place(c);
    const long at = ((place[2] / refine) * coarse.cells[1] + place[1] / refine) * coarse.cells[0] + place[0] / refine;
    field.value[static_cast<std::size_t>(at)] += share * u[c];
  }
  return field;
}

std::vector<double> distance_from_vessels(const VesselGraph& graph, const GridSpec& spec, double most) {
  const auto& n = spec.cells;
  std::vector<double> nearest(static_cast<std::size_t>(n[0] * n[1] * n[2]), most);
  for (const auto& segment : graph.segment) {
    const Point& from = graph.position[static_cast<std::size_t>(segment[0])];
    const Point& to = graph.position[static_cast<std::size_t>(segment[1])];
    std::array<long, 3> low{}, high{};
    for (std::size_t a = 0; a < 3; ++a) {
      const auto cell = [&](double x) { return static_cast<long>(std::floor((x - spec.origin[a]) / spec.spacing[a])); };
      low[a] = std::max(cell(std::min(from[a], to[a]) - most), 0L);
      high[a] = std::min(cell(std::max(from[a], to[a]) + most), n[a] - 1);
    }
    for (long k = low[2]; k <= high[2]; ++k) {
      for (long j = low[1]; j <= high[1]; ++j) {
        for (long i = low[0]; i <= high[0]; ++i) {
          const std::array<long, 3> place{i, j, k};
          double along = 0, length = 0;
          Point x{};
          for (std::size_t a = 0; a < 3; ++a) {
            x[a] = spec.origin[a] + (static_cast<double>(place[a]) + 0.5) * spec.spacing[a];
            along += (x[a] - from[a]) * (to[a] - from[a]);
            length += (to[a] - from[a]) * (to[a] - from[a]);
          }
          double& least = nearest[static_cast<std::size_t>((k * n[1] + j) * n[0] + i)];
          least = std::min(least, distance(x, between(from, to, std::clamp(along / length, 0.0, 1.0))));
        }
      }
    }
  }
  return nearest;
}

}  // namespace sanctuary::verification
