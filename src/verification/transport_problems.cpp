#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <sstream>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "io/network_formats.hpp"
#include "solvers/network/flow.hpp"
#include "solvers/network/rheology.hpp"
#include "solvers/transport.hpp"
#include "verification/exact.hpp"
#include "verification/problems.hpp"

namespace sanctuary::verification {
namespace {

constexpr double um = 1e-6, pi = std::numbers::pi;
constexpr double any_error = 1e12;  // a tolerance that accepts every step

/// The same discharge through every face normal to an axis [m^3/s].
FaceField uniform_discharge(const Grid& grid, std::size_t axis, double discharge) {
  FaceField field(grid);
  const int a = static_cast<int>(axis);
  std::fill(field[a].begin(), field[a].end(), discharge);
  return field;
}

GridSpec rod(std::size_t axis, double length, long cells) {
  std::array<long, 3> count{3, 3, 3};
  std::array<double, 3> size{};
  count[axis] = cells;
  for (std::size_t a = 0; a < 3; ++a) size[a] = a == axis ? length : 0.1 * length;
  return box(size, count);
}

void steady(const CellOperator& op, Vec rhs, double scale, Vec out) {
  CoupledSolver solver(op.grid(), 0, "verification_", false);
  solver.set(op, nullptr, nullptr, nullptr);
  const SolveReport report = solver.solve(rhs, nullptr, scale, 1e-14, out, nullptr);
  if (!report.converged) throw NumericsError("the linear solve failed (" + report.reason + ")");
}

StepReport step(TransportSolver& solver, double time, double dt, LocalReaction* reaction = nullptr) {
  StepReport report = solver.advance(time, dt, reaction);
  if (!report.converged) throw NumericsError("a step of transport failed: " + report.reason);
  return report;
}

/// A source that varies in space and time, as the reaction of immobile partners.
class Source final : public LocalReaction {
 public:
  Source(const Grid& grid, std::function<double(const std::array<double, 3>&, double)> rate) : grid_(&grid), rate_(std::move(rate)) {}

 private:
  void begin_impl(double time, double dt) override {
    time_ = time;
    dt_ = dt;
  }
  void stage_impl(int number, std::span<const double>, std::span<double> sink, std::span<double> derivative) override {
    const double at = time_ + (number == 1 ? sdirk::gamma : 1) * dt_;
    for (std::size_t c = 0; c < sink.size(); ++c) {
      sink[c] = -rate_(grid_->centre(c), at);
      derivative[c] = 0;
    }
  }
  void end_impl(bool, std::span<const double>, std::span<const double>) override {}

  const Grid* grid_;
  std::function<double(const std::array<double, 3>&, double)> rate_;
  double time_ = 0, dt_ = 0;
};

/// Pieces of a network that exchange with their cells, and the flow through the boundary; flows as in `flow`.
void set_pieces(TransportSolver& solver, const EmbeddedNetwork& embedded, const BloodFlow& flow, const std::vector<double>& radius,
                double permeability, double diffusivity, bool with_volume) {
  const CutNetwork& cut = embedded.network();
  std::vector<PieceCoefficients> pieces(embedded.pieces().size());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto p = static_cast<std::size_t>(embedded.pieces()[i]);
    PieceCoefficients& piece = pieces[i];
    const double section = pi * radius[p] * radius[p];
    piece.to_tissue = piece.from_tissue = permeability * 2 * pi * radius[p] * cut.piece_length[p];
    set_convection(flow.flow[p], flow.flow[p], piece);
    piece.volume = with_volume ? section * cut.piece_length[p] : 0;
    piece.diffusion = diffusivity * section / (0.5 * cut.piece_length[p]);
  }
  std::vector<double> inflow, outflow;
  for (const long n : embedded.nodes()) {
    const double q = flow.inflow[static_cast<std::size_t>(n)];
    inflow.push_back(std::max(q, 0.0));
    outflow.push_back(std::max(-q, 0.0));
  }
  solver.set_network(std::move(pieces), std::move(inflow), std::move(outflow));
}

/// Flow of the same size along every segment of a graph of straight through vessels.
BloodFlow prescribed(const CutNetwork& cut, double flow) {
  BloodFlow blood;
  blood.flow.assign(cut.pieces(), flow);
  blood.leak.assign(cut.pieces(), 0.0);
  blood.inflow.assign(cut.nodes(), 0.0);
  for (const auto& [from, to] : cut.piece_nodes) {
    blood.inflow[static_cast<std::size_t>(from)] += flow;
    blood.inflow[static_cast<std::size_t>(to)] -= flow;
  }
  return blood;
}

/// Largest imbalance of tissue and of network over what moved.
double ledger_gap(const TransportSolver& solver) {
  const TransportLedger& l = solver.ledger();
  const double cells = l.cells_start + l.exchanged_in + l.walls_in + l.reacted_out - l.exchanged_out - l.walls_out - l.drained -
                       l.reacted_in - solver.amount_in_cells();
  const double moved = l.cells_start + l.exchanged_in + l.walls_in + l.reacted_out;
  double gap = std::abs(cells) / moved;
  if (solver.has_network()) {
    const double network = l.network_start + l.blood_in + l.exchanged_out - l.blood_out - l.exchanged_in - solver.amount_in_network();
    gap = std::max(gap, std::abs(network) / (l.network_start + l.blood_in + l.exchanged_out));
  }
  return gap;
}

double norm_of_difference(Vec a, Vec b) {
  VecHandle d;
  petsc(VecDuplicate(a, d.out()));
  petsc(VecWAXPY(d.get(), -1.0, a, b));
  double norm = 0, size = 0;
  petsc(VecNorm(d.get(), NORM_2, &norm));
  petsc(VecNorm(b, NORM_2, &size));
  return norm / size;
}

VecHandle copy_of(Vec a) {
  VecHandle copy;
  petsc(VecDuplicate(a, copy.out()));
  petsc(VecCopy(a, copy.get()));
  return copy;
}

}  // namespace

VerificationResult advection_diffusion(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question = "steady advection and diffusion: exact in one dimension without, second order with sources?";
  const double length = 1e-3, diffusivity = 1e-10;
  double nodal = 0;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    for (const double peclet : {-200.0, -3.0, 0.0, 3.0, 200.0}) {
      const Grid grid(comm, rod(axis, length, 10));
      CellOperator op(grid);
      Walls walls = Walls::all(WallKind::closed);
      walls.kind[2 * axis] = walls.kind[2 * axis + 1] = WallKind::fixed;
      walls.value[2 * axis + 1] = 1;
      op.reset(walls);
      const double q = peclet * diffusivity / length * grid.face_area(static_cast<int>(axis));
      op.add_diffusion_and_convection(std::vector<double>(grid.local_cells(), diffusivity), uniform_discharge(grid, axis, q));
      const VecHandle rhs = grid.vector(), u = grid.vector();
      op.add_wall_source(rhs.get());
      steady(op, rhs.get(), 1, u.get());
      nodal = std::max(nodal, largest_error(
                                  grid, u.get(), [&](const auto& x) { return exact::advection_diffusion(x[axis] / length, peclet); }, 1));
    }
  }
  result.at_most("at cell centres, Peclet number -200 to 200, 10 cells", nodal, 1e-10);

  for (std::size_t axis = 0; axis < 3; ++axis) {
    std::vector<double> error, spacing;
    constexpr double peclet = 20;
    for (const long n : {32L, 64L, 128L}) {
      const Grid grid(comm, rod(axis, length, n));
      CellOperator op(grid);
      Walls walls = Walls::all(WallKind::closed);
      walls.kind[2 * axis] = walls.kind[2 * axis + 1] = WallKind::fixed;
      op.reset(walls);
      const double speed = peclet * diffusivity / length;
      op.add_diffusion_and_convection(std::vector<double>(grid.local_cells(), diffusivity),
                                      uniform_discharge(grid, axis, speed * grid.face_area(static_cast<int>(axis))));
      const VecHandle rhs = grid.vector(), u = grid.vector();
      op.add_wall_source(rhs.get());
      {
        const WriteAccess r(rhs.get());
        for (std::size_t c = 0; c < grid.local_cells(); ++c) {
          const double s = pi * grid.centre(c)[axis] / length;
          r[c] += grid.cell_volume() * pi / length * (speed * std::cos(s) + diffusivity * pi / length * std::sin(s));
        }
      }
      steady(op, rhs.get(), 1, u.get());
      error.push_back(rms_error(
          grid, u.get(), [&](const auto& x) { return std::sin(pi * x[axis] / length); }, 1));
      spacing.push_back(length / static_cast<double>(n));
    }
    const std::string along = std::string(" along ") + "xyz"[axis];
    result.at_most("with a source, on 128 cells" + along, error.back(), 1e-3);
    result.at_least("order with a source" + along, least_order(error, spacing), 1.95);
  }
  return result;
}

VerificationResult transient_transport(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question = "second order in time and space of diffusion, advection and reaction that change with time?";
  const double side = 200 * um, diffusivity = 1e-10, accessible = 0.3;
  {
    // A mode of the discrete operator decays at a known rate: only the error in time is left.
    const Grid grid(comm, box({side, side, side}, {12, 10, 8}));
    double decay = 0;
    for (std::size_t a = 0; a < 3; ++a) {
      const double h = grid.spec().spacing[a];
      decay += 4 * diffusivity / (h * h) * std::pow(std::sin(pi / (2 * static_cast<double>(grid.spec().cells[a]))), 2);
    }
    const auto mode = [&](const std::array<double, 3>& x) {
      return std::cos(pi * x[0] / side) * std::cos(pi * x[1] / side) * std::cos(pi * x[2] / side);
    };
    const double time = 1 / decay;
    std::vector<double> error, interval;
    double gap = 0;
    for (const int steps : {8, 16, 32, 64}) {
      CellOperator op(grid);
      op.reset(Walls::all(WallKind::closed));
      op.add_diffusion(std::vector<double>(grid.local_cells(), accessible * diffusivity));
      TransportSolver solver(grid, nullptr, "verification_");
      solver.relative_tolerance = any_error;
      solver.set_cells(std::vector<double>(grid.local_cells(), accessible), op, std::vector<double>(grid.local_cells(), 0.0));
      {
        const WriteAccess c(solver.cells());
        for (std::size_t i = 0; i < grid.local_cells(); ++i) c[i] = 2 + mode(grid.centre(i));
      }
      solver.open_ledger();
      const double dt = time / steps;
      for (int s = 0; s < steps; ++s) step(solver, s * dt, dt);
      error.push_back(rms_error(
          grid, solver.cells(), [&](const auto& x) { return 2 + std::exp(-1.0) * mode(x); }, 1));
      interval.push_back(dt);
      gap = std::max(gap, ledger_gap(solver));
    }
    result.at_most("decay of a mode, 64 steps per life", error.back(), 1e-4);
    result.at_least("order in time", least_order(error, interval), 1.9);
    result.at_most("balance of amount / amount", gap, 1e-11);
  }
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double length = side, omega = 2 * pi / 100, speed = 5 * diffusivity / length, k = pi / length, time = 80;
    const auto level = [=](double t) { return 1.5 + std::sin(omega * t); };
    const auto outside = [=](double t) { return 1 + 0.5 * std::cos(omega * t); };
    std::vector<double> error, spacing;
    for (const long n : {16L, 32L, 64L}) {
      const Grid grid(comm, rod(axis, length, n));
      CellOperator op(grid);
      Walls walls = Walls::all(WallKind::closed);
      walls.kind[2 * axis] = walls.kind[2 * axis + 1] = WallKind::fixed;
      op.reset(walls);
      op.add_diffusion_and_convection(std::vector<double>(grid.local_cells(), accessible * diffusivity),
                                      uniform_discharge(grid, axis, accessible * speed * grid.face_area(static_cast<int>(axis))));
      TransportSolver solver(grid, nullptr, "verification_");
      solver.relative_tolerance = any_error;
      solver.outside = outside;
      solver.set_cells(std::vector<double>(grid.local_cells(), accessible), op, std::vector<double>(grid.local_cells(), 0.0));
      const auto exact_value = [&](const std::array<double, 3>& x, double t) {
        return outside(t) + level(t) * std::sin(k * x[axis]);
      };
      Source source(grid, [&](const std::array<double, 3>& x, double t) {
        const double s = std::sin(k * x[axis]), c = std::cos(k * x[axis]);
        return accessible * (-0.5 * omega * std::sin(omega * t) + omega * std::cos(omega * t) * s +
                             level(t) * (speed * k * c + diffusivity * k * k * s));
      });
      {
        const WriteAccess c(solver.cells());
        for (std::size_t i = 0; i < grid.local_cells(); ++i) c[i] = exact_value(grid.centre(i), 0);
      }
      const int steps = static_cast<int>(n);
      const double dt = time / steps;
      for (int s = 0; s < steps; ++s) step(solver, s * dt, dt, &source);
      error.push_back(rms_error(
          grid, solver.cells(), [&](const auto& x) { return exact_value(x, time); }, 1));
      spacing.push_back(length / static_cast<double>(n));
    }
    const std::string along = std::string(" along ") + "xyz"[axis];
    result.at_most("manufactured course on 64 cells and steps" + along, error.back(), 2e-3);
    result.at_least("order in space and time" + along, least_order(error, spacing), 1.9);
  }
  return result;
}

VerificationResult transport_with_vessels(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question = "second order in time with vessels that carry the solute in, both ways through the wall?";
  const double side = 120 * um;
  const Grid grid(comm, box({side, side, side}, {8, 8, 8}));
  VesselGraph graph;
  long id = 0;
  for (const auto& [y, z] : {std::pair{31.0, 44.0}, {77.0, 29.0}, {52.0, 91.0}}) {
    const long from = graph.add_node({0, y * um, z * um}, ++id), to = graph.add_node({side, (y + 9) * um, (z - 7) * um}, ++id);
    graph.add_segment(from, to, 5 * um, id);
  }
  const CutNetwork cut = cut_at_faces(graph, grid.spec());
  const EmbeddedNetwork embedded(grid, cut);
  const BloodFlow flow = prescribed(cut, pi * 25e-12 * 100e-6);
  const std::vector<double> radius(cut.pieces(), 5 * um);
  CellOperator op(grid);
  op.reset(Walls::all(WallKind::outflow));
  op.add_diffusion_and_convection(std::vector<double>(grid.local_cells(), 0.3 * 1e-10), uniform_discharge(grid, 0, 0.2 * um * grid.face_area(0)));
  std::vector<VecHandle> found;
  double gap = 0;
  for (const int steps : {10, 20, 40, 80}) {
    TransportSolver solver(grid, &embedded, "verification_");
    solver.relative_tolerance = any_error;
    solver.set_cells(std::vector<double>(grid.local_cells(), 0.3), op, std::vector<double>(grid.local_cells(), 1e-3 * grid.cell_volume()));
    set_pieces(solver, embedded, flow, radius, 5 * um, 1e-10, true);
    solver.inlet = [](double t) { return 1 - std::exp(-t / 20) * (1 + t / 20); };
    solver.open_ledger();
    const double dt = 60.0 / steps;
    for (int s = 0; s < steps; ++s) step(solver, s * dt, dt);
    found.push_back(copy_of(solver.cells()));
    gap = std::max(gap, ledger_gap(solver));
  }
  std::vector<double> change, interval;
  for (std::size_t i = 0; i + 1 < found.size(); ++i) {
    change.push_back(norm_of_difference(found[i].get(), found[i + 1].get()));
    interval.push_back(std::pow(0.5, static_cast<double>(i)));
  }
  result.at_most("change from 40 to 80 steps", change.back(), 1e-3);
  result.at_least("order in time from three halvings", least_order(change, interval), 1.85);
  result.at_most("balance of tissue and blood / inflow", gap, 1e-10);
  return result;
}

VerificationResult krogh_first_order(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question = "a drug around a vessel (R 10 um, wall 1 um/s) in a cylinder (100 um) that loses it at 0.01 1/s?";
  constexpr double inner = 10 * um, outer = 100 * um, width = 220 * um, thick = 10 * um;
  constexpr double diffusivity = 40e-12, loss = 0.01, permeability = 1 * um;
  constexpr int around = 128;
  std::vector<double> error, wall_error, spacing;
  for (const long n : {22L, 44L, 88L}) {
    const Grid grid(comm, box({width, width, thick}, {n, n, 1}));
    const double h = grid.spec().spacing[0], middle = 0.5 * width;
    const auto radius = [&](const std::array<double, 3>& x) { return std::hypot(x[0] - middle, x[1] - middle); };
    // The wall as thin vessels around the circumference, which together have its surface.
    VesselGraph graph;
    for (int i = 0; i < around; ++i) {
      const double angle = 2 * pi * (i + 0.5) / around;
      const double x = middle + inner * std::cos(angle), y = middle + inner * std::sin(angle);
      const long from = graph.add_node({x, y, 0}, 2 * i), to = graph.add_node({x, y, thick}, 2 * i + 1);
      graph.add_segment(from, to, inner / around, i);
    }
    const CutNetwork cut = cut_at_faces(graph, grid.spec());
    const EmbeddedNetwork embedded(grid, cut);
    TransportSolver solver(grid, &embedded, "verification_");
    solver.relative_tolerance = any_error;
    std::vector<double> coefficient(grid.local_cells()), drained(grid.local_cells());
    for (std::size_t c = 0; c < coefficient.size(); ++c) {
      const double r = radius(grid.centre(c));
      coefficient[c] = r < outer ? diffusivity : 0.0;
      drained[c] = r > inner && r < outer ? loss * grid.cell_volume() : 0.0;
    }
    CellOperator op(grid);
    op.reset(Walls::all(WallKind::closed));
    op.add_diffusion(coefficient);
    solver.set_cells(std::vector<double>(grid.local_cells(), 1.0), op, std::move(drained));
    set_pieces(solver, embedded, prescribed(cut, 1e-12), std::vector<double>(cut.pieces(), inner / around), permeability, 0, true);
    solver.inlet = [](double) { return 1.0; };
    for (int s = 0; s < 12; ++s) step(solver, 1e5 * s, 1e5);
    const auto expected = [&](const auto& x) {
      return exact::krogh_first_order(radius(x), inner, outer, diffusivity, loss, permeability);
    };
    error.push_back(rms_error(grid, solver.cells(), expected, 1, [&](const auto& x) { return radius(x) > inner + h && radius(x) < outer; }));
    spacing.push_back(h);
  }
  result.at_most("concentration / blood's on 88^2 cells (rms)", error.back(), 5e-3);
  result.at_least("order", least_order(error, spacing), 0.9);
  return result;
}

VerificationResult equivalent_cylinder(MPI_Comm comm, const Path&) {
  VerificationResult result;
  result.question = "tissue around one vessel, full of a tracer, washed out by clean plasma?";
  const double length = 500 * um, side = 20 * um, radius = 4 * um, permeability = 0.5 * um, flow = pi * 16e-12 * 30e-6, accessible = 0.25;
  const double exchange = permeability * 2 * pi * radius * length;
  const double reach = exchange / flow;                                        // zeta at the outlet
  const double rate = exchange / (accessible * side * side * length);          // tau per time
  std::vector<double> remaining_error, profile_error, spacing;
  double gap = 0;
  for (const long n : {8L, 16L, 32L, 64L}) {
    const Grid grid(comm, box({side, side, length}, {1, 1, n}));
    VesselGraph graph;
    graph.add_node({0.5 * side, 0.5 * side, 0}, 1);
    graph.add_node({0.5 * side, 0.5 * side, length}, 2);
    graph.add_segment(0, 1, radius, 1);
    const CutNetwork cut = cut_at_faces(graph, grid.spec());
    const EmbeddedNetwork embedded(grid, cut);
    CellOperator op(grid);
    op.reset(Walls::all(WallKind::closed));
    TransportSolver solver(grid, &embedded, "verification_");
    solver.relative_tolerance = any_error;
    solver.set_cells(std::vector<double>(grid.local_cells(), accessible), op, std::vector<double>(grid.local_cells(), 0.0));
    set_pieces(solver, embedded, prescribed(cut, flow), std::vector<double>(cut.pieces(), radius), permeability, 0, false);
    petsc(VecSet(solver.cells(), 1.0));
    solver.open_ledger();
    const int steps = static_cast<int>(8 * n);
    const double until = 3 / rate, dt = until / steps;
    for (int s = 0; s < steps; ++s) step(solver, s * dt, dt);
    const double left = solver.amount_in_cells() / (accessible * side * side * length);
    remaining_error.push_back(std::abs(left - exact::washout_remaining(reach, 3)));
    profile_error.push_back(rms_error(
        grid, solver.cells(), [&](const auto& x) { return exact::washout_tissue(reach * x[2] / length, 3); }, 1));
    spacing.push_back(length / static_cast<double>(n));
    gap = std::max(gap, ledger_gap(solver));
  }
  result.at_most("share left in the tissue, 64 pieces", remaining_error.back(), 1e-4);
  result.at_least("order of the share left", least_order(remaining_error, spacing), 1.9);
  result.at_most("profile along the vessel, 64 pieces (rms)", profile_error.back(), 1e-4);
  result.at_least("order of the profile", least_order(profile_error, spacing), 1.9);
  result.at_most("balance of tissue and blood", gap, 1e-11);
  return result;
}

VerificationResult capillary_bed(MPI_Comm comm, const Path& reference) {
  VerificationResult result;
  result.question = "does a tracer leave the tissue of a capillary bed as in the published run of DuMux?";
  const Path folder = reference / "dumux_embedded";
  const VesselGraph graph = read_network(comm, folder / "network.dgf");
  std::vector<std::array<double, 2>> curve;  // time [s], amount [mol]
  {
    std::istringstream text(read_text(comm, folder / "example_embedded_network_1d3d-reference.dat"));
    std::array<double, 2> row{};
    while (text >> row[0] >> row[1]) curve.push_back(row);
    if (curve.size() != 101) {
      throw InputError((folder / "example_embedded_network_1d3d-reference.dat").string() + ": expected 101 rows, every 3 s to 300 s");
    }
  }
  constexpr double porosity = 0.24, tortuosity = 0.35, diffusivity = 3.25e-10, wall = diffusivity * 1e3;
  const Grid grid(comm, box({200 * um, 200 * um, 200 * um}, {20, 20, 20}));
  const CutNetwork cut = cut_at_faces(graph, grid.spec());
  const EmbeddedNetwork embedded(grid, cut);
  std::vector<double> radius;
  for (const long s : cut.piece_segment) radius.push_back(graph.radius[static_cast<std::size_t>(s)]);
  BloodLaws laws;
  Rheology rheology;
  rheology.plasma_viscosity = 1e-3;
  rheology.mean_cell_volume = 55e-18;
  rheology.smallest_diameter = 0;
  laws.viscosity = [&](double diameter, double) { return apparent_viscosity(rheology, diameter, 0.45); };
  laws.split = [](double haematocrit, double, std::span<const double>, std::span<const double>, std::span<double> out) {
    std::fill(out.begin(), out.end(), haematocrit);
  };
  BloodFlow flow;
  FlowSolver(cut, radius, laws).solve(flow);

  CellOperator op(grid);
  op.reset(Walls::all(WallKind::closed));
  op.add_diffusion(std::vector<double>(grid.local_cells(), porosity * tortuosity * diffusivity));
  const double start = curve.front()[1];
  const double level = start / (porosity * grid.cell_volume() * static_cast<double>(grid.global_cells()));
  const std::vector<double> none(grid.local_cells(), 0.0), open(grid.local_cells(), porosity);

  TransportSolver solver(grid, &embedded, "verification_");
  solver.relative_tolerance = 1e-4;
  solver.scale = level;
  solver.set_cells(open, op, none);
  set_pieces(solver, embedded, flow, radius, wall, diffusivity, true);
  petsc(VecSet(solver.cells(), level));
  solver.open_ledger();
  double of_start = 0, of_current = 0, time = 0, dt = 1e-3;
  for (std::size_t row = 1; row < curve.size(); ++row) {
    while (time < curve[row][0]) {
      const double left = curve[row][0] - time;
      const double now = std::min(dt, left);
      const StepReport report = solver.advance(time, now, nullptr);
      if (!report.converged) throw NumericsError("a step of transport failed: " + report.reason);
      if (report.error <= 1) time = now == left ? curve[row][0] : time + now;
      const double next = next_step(now, report.error);
      dt = report.error <= 1 && now < dt ? std::max(dt, next) : next;
    }
    const double difference = std::abs(solver.amount_in_cells() - curve[row][1]);
    of_start = std::max(of_start, difference / start);
    of_current = std::max(of_current, difference / curve[row][1]);
  }
  result.at_most("amount left, difference / start, 3 s to 300 s", of_start, 0.02);
  result.at_most("amount left, difference / reference, 3 s to 300 s", of_current, 0.05);
  result.at_most("balance of tissue and blood", ledger_gap(solver), 1e-9);

  // The time stepping of the reference, with the matrices of the program.
  NetworkMatrices matrices(embedded);
  std::vector<PieceCoefficients> pieces(embedded.pieces().size());
  std::vector<double> outflow;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto p = static_cast<std::size_t>(embedded.pieces()[i]);
    const double section = pi * radius[p] * radius[p];
    pieces[i].to_tissue = pieces[i].from_tissue = wall * 2 * pi * radius[p] * cut.piece_length[p];
    set_convection(flow.flow[p], flow.flow[p], pieces[i]);
    pieces[i].volume = section * cut.piece_length[p];
    pieces[i].diffusion = diffusivity * section / (0.5 * cut.piece_length[p]);
  }
  for (const long n : embedded.nodes()) outflow.push_back(std::max(-flow.inflow[static_cast<std::size_t>(n)], 0.0));
  constexpr double interval = 3;
  matrices.assemble(pieces, outflow, 1 / interval);
  for (std::size_t c = 0; c < open.size(); ++c) {
    op.diagonal()[c] = grid.cell_volume() * porosity / interval + matrices.cell_diagonal()[c];
  }
  CoupledSolver linear(grid, embedded.local_unknowns(true), "verification_", false);
  linear.set(op, matrices.network(), matrices.to_cells(), matrices.from_cells());
  const VecHandle cells = grid.vector(), rhs = grid.vector(), network = linear.network_vector(), network_rhs = linear.network_vector();
  petsc(VecSet(cells.get(), level));
  double euler_start = 0, euler_current = 0;
  for (std::size_t row = 1; row < curve.size(); ++row) {
    petsc(VecCopy(cells.get(), rhs.get()));
    petsc(VecScale(rhs.get(), grid.cell_volume() * porosity / interval));
    {
      const ReadAccess n(network.get());
      const WriteAccess r(network_rhs.get());
      const std::size_t nodes = embedded.nodes().size();
      for (std::size_t i = 0; i < nodes; ++i) r[i] = 0;
      for (std::size_t i = 0; i < pieces.size(); ++i) r[nodes + i] = pieces[i].volume / interval * n[nodes + i];
    }
    const SolveReport report = linear.solve(rhs.get(), network_rhs.get(), level, 1e-13, cells.get(), network.get());
    if (!report.converged) throw NumericsError("the linear solve failed (" + report.reason + ")");
    double amount = 0;
    {
      const ReadAccess c(cells.get());
      for (std::size_t i = 0; i < open.size(); ++i) amount += porosity * grid.cell_volume() * c[i];
    }
    const double difference = std::abs(sum_over(comm, amount) - curve[row][1]);
    euler_start = std::max(euler_start, difference / start);
    euler_current = std::max(euler_current, difference / curve[row][1]);
  }
  result.at_most("same with its implicit Euler steps of 3 s, / start", euler_start, 0.02);
  result.at_most("same with its implicit Euler steps of 3 s, / reference", euler_current, 0.05);
  return result;
}

}  // namespace sanctuary::verification
