#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

#include "base/comm.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "benchmark/benchmark.hpp"
#include "benchmark/measure.hpp"
#include "benchmark/stream.hpp"
#include "solvers/network/convection.hpp"
#include "solvers/network/flow_sweep.hpp"
#include "solvers/sdirk.hpp"
#include "tissue/interstitium.hpp"

namespace sanctuary {
namespace {

constexpr double um = 1e-6, pi = std::numbers::pi, mmhg = 133.322;

std::size_t at(long i) { return static_cast<std::size_t>(i); }

/// Vessels on an irregular lattice, three to a node, 11 nodes to a tile along each axis.
struct Lattice {
  static constexpr long tile_nodes = 11;
  double mesh = 0;  // distance of the nodes [m]
  double drop = 0;  // of pressure from where blood enters a tile to where it leaves [Pa]
  long tiles = 1;
  bool faces = false;  // fed and drained at two faces of the box, else at places of their own in each tile

  [[nodiscard]] long side() const { return tiles * tile_nodes; }
  /// Boundary condition of a node, if any.
  [[nodiscard]] bool boundary(const std::array<long, 3>& n, double& pressure) const {
    constexpr double low = 15 * mmhg;
    if (faces) {  // the same gradient whatever the size
      pressure = n[0] == 0 ? low + drop * static_cast<double>(tiles) : low;
      return n[0] == 0 || n[0] == side() - 1;
    }
    const auto in_tile = [&](long x, long y, long z) {
      return n[0] % tile_nodes == x && n[1] % tile_nodes == y && n[2] % tile_nodes == z;
    };
    if (in_tile(2, 3, 2)) pressure = low + drop;
    if (in_tile(8, 7, 8)) pressure = low;
    return in_tile(2, 3, 2) || in_tile(8, 7, 8);
  }
  /// The segments that start in a slab of the lattice, for this rank. Not collective.
  [[nodiscard]] VesselGraph share(int rank, int ranks) const {
    const long n = side(), first = n * rank / ranks, last = n * (rank + 1) / ranks;
    const RandomStream places(1, "bench.coupled.places"), radii(1, "bench.coupled.radii");
    VesselGraph graph;
    std::vector<long> number(at(n * n * (last - first + 1)), -1);
    const auto node = [&](const std::array<long, 3>& where) {
      long& known = number[at(((where[2] - first) * n + where[1]) * n + where[0])];
      if (known >= 0) return known;
      const long id = (where[2] * n + where[1]) * n + where[0];
      std::array<double, 3> x{};
      for (std::size_t a = 0; a < 3; ++a)
        x[a] = mesh * (static_cast<double>(where[a]) + 0.5 +
                       places.uniform(static_cast<std::uint64_t>(3 * id) + a, -0.35, 0.35));
      known = graph.add_node(x, id);
      double pressure = 0;
      if (boundary(where, pressure)) graph.set_boundary(known, BoundaryKind::pressure, pressure);
      return known;
    };
    for (long k = first; k < last; ++k) {
      for (long j = 0; j < n; ++j) {
        for (long i = 0; i < n; ++i) {
          const long from = node({i, j, k}), id = (k * n + j) * n + i;
          const long kind = (i + j + k) % 4;
          for (std::size_t axis = 0; axis < 3; ++axis) {
            std::array<long, 3> to{i, j, k};
            if (++to[axis] == n || (axis == 1 && kind != 0) || (axis == 2 && kind != 2)) continue;
            const long segment = 3 * id + static_cast<long>(axis);
            const double radius = radii.lognormal(static_cast<std::uint64_t>(segment), 5 * um, 0.2);
            graph.add_segment(from, node(to), std::clamp(radius, 3 * um, 8 * um), segment);
          }
        }
      }
    }
    return graph;
  }
};

/// Blood without red cells that matter: the flow is that of the lattice at one viscosity at each diameter.
BloodLaws plain_laws() {
  BloodLaws laws;
  laws.inlet_haematocrit = 0;
  laws.viscosity = [](double, double) { return 4e-3; };
  laws.split = [](double haematocrit, double, std::span<const double>, std::span<const double>, std::span<double> out) {
    std::fill(out.begin(), out.end(), haematocrit);
  };
  return laws;
}

/// What a solute does at the walls, in the blood and in the tissue.
struct Solute {
  std::string name;
  double carrier;       // of the blood, per plasma
  double diffusivity;   // in the tissue [m^2/s]
  double permeability;  // of the wall [m/s]; 0: no wall, what resists is the tissue within the cell
  double uptake;        // [1/s]
  double rate;          // storage [1/s]; 0: steady
};

struct Size {
  Lattice lattice;
  std::array<long, 3> cells{};
  double density = 0, drop = 0;  // as asked for [1/mm^3, mmHg]
  double segments = 0, network_nodes = 0, network_pieces = 0;
  double network_bytes = 0;
  double triad = 0;  // of all ranks [bytes/s]
};

Record report_of(const Size& size, const std::string& problem, const std::string& mode, int ranks) {
  return {{"bench", "coupled"},
          {"problem", problem},
          {"network_solver", mode},
          {"feed", size.lattice.faces ? "faces" : "tiles"},
          {"ranks", ranks},
          {"cells", size.cells},
          {"density_per_mm3", size.density},
          {"drop_mmHg", size.drop},
          {"radius_over_spacing", 5 * um /
                                      (size.lattice.mesh * Lattice::tile_nodes *
                                       static_cast<double>(size.lattice.tiles) / static_cast<double>(size.cells[0]))},
          {"segments", size.segments},
          {"nodes", size.network_nodes},
          {"pieces", size.network_pieces}};
}

/// What the program holds now and held at most so far, all ranks together, per cell and per segment.
void put_memory(MPI_Comm comm, const Size& size, Record& record) {
  const double held = heap_bytes(comm), peak = sum_over(comm, peak_resident_bytes());
  const double cells =
      static_cast<double>(size.cells[0]) * static_cast<double>(size.cells[1]) * static_cast<double>(size.cells[2]);
  const auto number_or_null = [](double value) { return std::isfinite(value) ? Record(value) : Record(nullptr); };
  record["held_bytes_per_cell"] = number_or_null(held / cells);
  record["peak_bytes_per_cell"] = number_or_null(peak / cells);
  record["peak_bytes_per_segment"] = number_or_null(peak / size.segments);
  record["network_bytes_per_segment"] = number_or_null(size.network_bytes / size.segments);
  record["peak_bytes"] = number_or_null(peak);
}

void measure_solute(BenchmarkContext& context, const Size& size, const Solute& solute, const std::string& mode,
                    const EmbeddedNetwork& network, const std::vector<double>& radius, const FluidState& fluid,
                    double tolerance) {
  const MPI_Comm comm = context.comm;
  const Grid& grid = network.grid();
  const CutNetwork& cut = network.network();
  NetworkMatrices matrices(network, ExchangeForm::all_vessels);
  CoupledSolver solver(grid, network.local_unknowns(true), "bench_coupled_", false);
  if (solver.iterative()) matrices.want_alone();
  {
    std::vector<PieceCoefficients> pieces(cut.own_pieces);
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      PieceCoefficients& piece = pieces[p];
      const double length = cut.piece_length[p], leak = solute.carrier == 1 ? fluid.blood.leak[p] : 0.0;
      const double passive = solute.permeability > 0 ? solute.permeability * 2 * pi * radius[p] * length
                                                     : 2 * pi * solute.diffusivity * length / 1.5;
      piece.to_tissue = passive + std::max(leak, 0.0);
      piece.from_tissue = passive + std::max(-leak, 0.0);
      piece.volume = pi * radius[p] * radius[p] * length;
      piece.diffusion = solute.diffusivity * pi * radius[p] * radius[p] / (0.5 * length);
      set_convection(solute.carrier * (fluid.blood.flow[p] + 0.5 * leak),
                     solute.carrier * (fluid.blood.flow[p] - 0.5 * leak), piece);
    }
    std::vector<double> outflow(cut.own_nodes, 0.0);
    for (std::size_t n = 0; n < outflow.size(); ++n)
      outflow[n] = solute.carrier * std::max(-fluid.blood.inflow[n], 0.0);
    matrices.assemble(pieces, outflow, solute.rate);
  }
  CellOperator op(grid);
  op.reset(Walls::all(solute.carrier == 1 ? WallKind::outflow : WallKind::closed));
  {
    const std::vector<double> diffusivity(grid.local_cells(), solute.diffusivity);
    if (solute.carrier == 1) {
      op.add_diffusion_and_convection(diffusivity, fluid.discharge);
    } else {
      op.add_diffusion(diffusivity);
    }
  }
  for (std::size_t c = 0; c < grid.local_cells(); ++c) {
    op.diagonal()[c] = grid.cell_volume() * (solute.uptake + 0.3 * solute.rate) + matrices.cell_diagonal()[c];
    if (solute.carrier == 1) op.diagonal()[c] += fluid.lymph[c];
  }
  const double set_up = seconds_of(comm, [&] { solver.set(op, matrices.blocks()); });
  const VecHandle cells = grid.vector(), rhs = grid.vector(), values = solver.network_vector(),
                  network_rhs = solver.network_vector();
  std::vector<double> node(cut.own_nodes);
  for (std::size_t n = 0; n < node.size(); ++n) node[n] = solute.carrier * std::max(fluid.blood.inflow[n], 0.0);
  network.set_values(node, std::vector<double>(cut.own_pieces, 0.0), network_rhs.get());
  SolveReport report;
  const double seconds = seconds_of(
      comm, [&] { report = solver.solve(rhs.get(), network_rhs.get(), 1.0, tolerance, cells.get(), values.get()); });
  const auto residual = solver.scaled_residual(rhs.get(), network_rhs.get(), 1.0, cells.get(), values.get());
  double sum = 0;
  petsc(VecSum(cells.get(), &sum));
  Record record = report_of(size, solute.name, mode, size_of(comm));
  record.update({{"converged", report.converged},
                 {"iterations", report.iterations},
                 {"residual", {{"cells", residual[0]}, {"network", residual[1]}}},
                 {"mean_of_cells", sum / static_cast<double>(grid.global_cells())},
                 {"set_up_s", set_up},
                 {"solve_s", seconds}});
  if (!report.reason.empty()) record["reason"] = report.reason;
  put_memory(comm, size, record);
  if (solver.iterative()) {
    const double bytes = sum_over(comm, solver.bytes_per_iteration());
    record["s_per_iteration"] = seconds / std::max(1, report.iterations);
    record["bytes_per_iteration"] = bytes;
    record["percent_of_triad"] = 100 * bytes * report.iterations / seconds / size.triad;
    FlowSweep sweep(comm);
    sweep.set(matrices.blocks().alone);
    record["rounds"] = sweep.rounds();
    record["circles"] = sweep.circles();
  }
  context.emit(record);
}

void measure_coupled(BenchmarkContext& context, const Size& given, const std::vector<std::string>& modes,
                     const std::vector<std::string>& problems, double tolerance) {
  const MPI_Comm comm = context.comm;
  Size size = given;
  (void)restart_peak_resident();
  GridSpec spec;
  spec.cells = size.cells;
  for (std::size_t a = 0; a < 3; ++a)
    spec.spacing[a] = size.lattice.mesh * static_cast<double>(size.lattice.side()) / static_cast<double>(size.cells[a]);
  const Grid grid(comm, spec);
  const double before = heap_bytes(comm);
  const CutNetwork cut = [&] {
    const VesselGraph share = size.lattice.share(rank_of(comm), size_of(comm));
    size.segments = sum_over(comm, static_cast<double>(share.segments()));
    return cut_at_faces(grid, share);
  }();
  size.network_nodes = static_cast<double>(cut.all_nodes);
  size.network_pieces = static_cast<double>(cut.all_pieces);
  const EmbeddedNetwork network(grid, cut, ExchangeSettings{});
  const std::vector<double> radius = cut.piece_radii();
  const FlowSolver flow(cut, radius, plain_laws());
  size.network_bytes = heap_bytes(comm) - before;

  FluidTissue tissue;
  tissue.conductivity.assign(grid.local_cells(), 3.1e-14);
  tissue.lymph_conductance.assign(grid.local_cells(), 1e-6);
  tissue.walls = Walls::all(WallKind::fixed);
  FluidWall wall;
  for (std::size_t p = 0; p < cut.own_pieces; ++p)
    wall.conductance.push_back(2.1e-11 * 2 * pi * radius[p] * cut.piece_length[p]);
  wall.oncotic.assign(cut.own_pieces, 12 * mmhg);

  for (const std::string& mode : modes) {
    for (const char* prefix : {"pressure_", "bench_coupled_"})
      petsc(PetscOptionsSetValue(nullptr, (std::string("-") + prefix + "network_solver").c_str(), mode.c_str()));
    FluidState fluid;
    {
      FluidSolver solver(grid, &network, &flow);
      const double seconds = seconds_of(comm, [&] { solver.solve(tissue, wall, fluid); });
      Record record = report_of(size, "pressure", mode, size_of(comm));
      double sum = 0;
      petsc(VecSum(fluid.pressure.get(), &sum));
      record.update({{"solves", fluid.outer_iterations},
                     {"iterations", static_cast<double>(fluid.linear_iterations) / std::max(1, fluid.outer_iterations)},
                     {"residual", {{"cells", fluid.residual[0]}, {"network", fluid.residual[1]}}},
                     {"mean_of_cells", sum / static_cast<double>(grid.global_cells())},
                     {"filtrated_share", fluid.filtration / fluid.plasma_inflow},
                     {"imbalance", fluid.imbalance},
                     {"solve_s", seconds}});
      put_memory(comm, size, record);
      if (std::find(problems.begin(), problems.end(), "pressure") != problems.end()) context.emit(record);
    }
    const std::vector<Solute> solutes{{"oxygen", 20.0, 2e-9, 0.0, 0.1, 0.0},
                                      {"drug", 1.0, 1e-10, 1e-6, 1e-4, 1 / (sdirk::gamma * 60)},
                                      {"steady_drug", 1.0, 1e-10, 1e-6, 1e-3, 0.0}};
    for (const Solute& solute : solutes) {
      if (std::find(problems.begin(), problems.end(), solute.name) != problems.end())
        measure_solute(context, size, solute, mode, network, radius, fluid, tolerance);
    }
  }
}

void run_coupled(BenchmarkContext& context) {
  const BenchmarkOptions& given = context.options;
  const auto tiles = given.counts("tiles", {1, 2, 4}, 1, 64);
  const auto cells = given.counts("cells-per-tile", {32}, 4, 1024);
  const auto densities = given.numbers("density", {1200}, 1, 1e5);
  const auto drops = given.numbers("drop", {15}, 1e-6, 1e3);
  const auto feeds = given.words("feed", {"tiles"}, {"tiles", "faces"});
  const auto modes = given.words("network-solver", {"iterative"}, {"direct", "iterative"});
  const std::vector<std::string> all{"pressure", "oxygen", "drug", "steady_drug"};
  const auto problems = given.words("problem", {"pressure", "oxygen", "drug"}, all);
  const double tolerance = given.number("tolerance", 1e-11, 1e-14, 0.1);
  petsc(PetscOptionsSetValue(nullptr, "-bench_coupled_coupled_directions",
                             std::to_string(given.count("directions", 20, 1, 1000)).c_str()));
  const long megabytes = given.count("megabytes", 128, 1, 100000);
  const double triad = measure_stream(context.comm, static_cast<std::size_t>(megabytes) << 20U, 3).triad_total;
  for (const std::string& feed : feeds) {
    for (const double density : densities) {
      for (const double drop : drops) {
        for (const long per_tile : cells) {
          for (const long n : tiles) {
            Size size;
            constexpr double segments_per_node = 1.5;
            size.lattice.mesh = std::cbrt(segments_per_node / (density * 1e9));
            size.lattice.drop = drop * mmhg;
            size.lattice.tiles = n;
            size.lattice.faces = feed == "faces";
            size.density = density;
            size.drop = drop;
            size.triad = triad;
            size.cells.fill(n * per_tile);
            measure_coupled(context, size, modes, problems, tolerance);
          }
        }
      }
    }
  }
}

}  // namespace

Benchmark coupled_benchmark() {
  return {"coupled",
          "cells and vessels solved together as tissue and network grow: iterations for pressure and solutes",
          {{"tiles", "LIST", "tiles of 2000 segments along each axis (default 1,2,4)"},
           {"cells-per-tile", "LIST", "cells along each axis of a tile (default 32)"},
           {"density", "LIST", "segments per mm^3 (default 1200)"},
           {"drop", "LIST", "of pressure between inlet and outlet of a tile [mmHg] (default 15)"},
           {"feed", "LIST", "blood enters in each tile or at a face of the box: tiles, faces or all (default tiles)"},
           {"network-solver", "LIST", "direct, iterative or all (default iterative)"},
           {"problem", "LIST", "pressure, oxygen, drug, steady_drug or all (default the first three)"},
           {"directions", "N", "kept by the conjugate residuals of the solutes (default 20)"},
           {"megabytes", "N", "of each array of the triad that traffic is compared with (default 128)"},
           {"tolerance", "X", "scaled true residual of the solutes (default 1e-11)"}},
          run_coupled};
}

}  // namespace sanctuary
