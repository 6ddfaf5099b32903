#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/comm.hpp"
#include "base/random.hpp"
#include "benchmark/lattice_network.hpp"
#include "solvers/network/phase_separation.hpp"
#include "solvers/network/rheology.hpp"
#include "solvers/transport.hpp"
#include "tissue/blood.hpp"
#include "tissue/interstitium.hpp"
#include "tissue/network_generator.hpp"
#include "tissue/oxygen.hpp"

namespace sanctuary {
namespace {

constexpr double um = 1e-6, pi = std::numbers::pi;

/// Values of all cells in the order of the box, on every rank. Collective.
std::vector<double> natural(const Grid& grid, const std::vector<double>& owned) {
  const auto& n = grid.spec().cells;
  std::vector<double> all(static_cast<std::size_t>(grid.global_cells()), 0.0);
  for (std::size_t c = 0; c < owned.size(); ++c) {
    const auto [i, j, k] = grid.place(c);
    all[static_cast<std::size_t>((k * n[1] + j) * n[0] + i)] = owned[c];
  }
  MPI_Allreduce(MPI_IN_PLACE, all.data(), static_cast<int>(all.size()), MPI_DOUBLE, MPI_SUM, grid.comm());
  return all;
}

std::vector<double> natural(const Grid& grid, Vec values) {
  const ReadAccess access(values);
  return natural(grid, {access.data(), access.data() + grid.local_cells()});
}

void expect_same(const std::vector<double>& ours, const std::vector<double>& alone, double tolerance,
                 const char* what) {
  ASSERT_EQ(ours.size(), alone.size()) << what;
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    largest = std::max(largest, std::abs(alone[i]));
    difference = std::max(difference, std::abs(ours[i] - alone[i]));
  }
  EXPECT_LE(difference, tolerance * largest) << what;
  EXPECT_GT(largest, 0) << what;
}

/// Draw that belongs to a cell of the box, whatever rank owns it.
double draw(const Grid& grid, std::size_t cell, const char* purpose, double low, double high) {
  const auto [i, j, k] = grid.place(cell);
  const auto& n = grid.spec().cells;
  return RandomStream(7, purpose).uniform(static_cast<std::uint64_t>((k * n[1] + j) * n[0] + i), low, high);
}

constexpr std::array<std::array<long, 3>, 4> boxes{{{14, 9, 11}, {1, 1, 40}, {40, 1, 1}, {5, 23, 1}}};

/// A piece of tissue with a generated network, its fluid, oxygen and a solute.
struct Piece {
  Grid grid;
  CutNetwork cut;
  EmbeddedNetwork embedded;
  std::vector<double> radius;
  FlowSolver flow;
  FluidState fluid;
  OxygenState oxygen;
  CellOperator op;
  TransportSolver transport;

  explicit Piece(MPI_Comm comm)
      : grid(comm, {{0, 0, 0}, {25 * um, 25 * um, 25 * um}, {14, 12, 10}}),
        cut(cut_at_faces(grid, share_of_root(comm, graph()))),
        embedded(grid, cut),
        radius(cut.piece_radii()),
        flow(cut, radius, laws()),
        op(grid),
        transport(grid, &embedded, "solvers_mpi_test_") {
    const std::size_t cells = grid.local_cells();
    FluidTissue tissue;
    tissue.walls = Walls::all(WallKind::fixed, 100);
    tissue.walls.kind[0] = WallKind::closed;
    tissue.lymph_conductance.resize(cells);
    tissue.lymph_pressure = 0;
    FluidWall wall;
    for (std::size_t c = 0; c < cells; ++c) {
      tissue.conductivity.push_back(draw(grid, c, "conductivity", 1e-15, 1e-13));
      tissue.lymph_conductance[c] = grid.centre(c)[2] > 150 * um ? 1e-7 : 0;
    }
    for (std::size_t p = 0; p < cut.own_pieces; ++p) {
      wall.conductance.push_back(2e-11 * 2 * pi * radius[p] * cut.piece_length[p]);
      wall.oncotic.push_back(600);
    }
    FluidSolver(grid, &embedded, &flow).solve(tissue, wall, fluid);

    std::vector<double> use;
    for (std::size_t c = 0; c < cells; ++c) use.push_back(draw(grid, c, "use", 1e-4, 5e-4));
    OxygenSolver(grid, &embedded, &flow).solve({}, Walls::all(WallKind::fixed, 40 * mmhg), use, fluid.blood, oxygen);

    std::vector<double> coefficient(cells, 0.3 * 1e-10);
    op.reset(tissue.walls);
    op.add_diffusion_and_convection(coefficient, fluid.discharge);
    transport.set_cells(std::vector<double>(cells, 0.3), op, fluid.lymph);
    std::vector<PieceCoefficients> pieces(embedded.pieces());
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      const double surface = 2 * pi * radius[p] * cut.piece_length[p];
      pieces[p].to_tissue = 2e-6 * surface + std::max(fluid.blood.leak[p], 0.0);
      pieces[p].from_tissue = 2e-6 * surface + std::max(-fluid.blood.leak[p], 0.0);
      pieces[p].volume = 0.5 * surface * radius[p];
      set_convection(fluid.blood.end_flow(p, 0), fluid.blood.end_flow(p, 1), pieces[p]);
    }
    std::vector<double> in, out;
    for (std::size_t n = 0; n < embedded.nodes(); ++n) {
      const double q = fluid.blood.inflow[n];
      in.push_back(std::max(q, 0.0));
      out.push_back(std::max(-q, 0.0));
    }
    transport.set_network(std::move(pieces), std::move(in), std::move(out));
    transport.inlet = [](double t) { return 1 - std::exp(-t / 30); };
    transport.relative_tolerance = 1e-2;
    transport.open_ledger();
    double time = 0, dt = 0.5;
    while (time < 60) {
      const double now = std::min(dt, 60 - time);
      const StepReport report = transport.advance(time, now, nullptr);
      EXPECT_TRUE(report.converged) << report.reason;
      if (!report.converged) break;
      if (report.error <= 1) time = now == 60 - time ? 60 : time + now;
      dt = next_step(now, report.error);
    }
  }

 private:
  static VesselGraph graph() {
    GeneratorSettings settings;
    settings.box = {{0, 0, 0}, {350 * um, 300 * um, 250 * um}};
    settings.segments = 150;
    settings.inlets = settings.outlets = 3;
    settings.seed = 5;
    return generate_network(settings);
  }
  static BloodLaws laws() { return blood_laws(Rheology{}, SplitLaw{}, BloodLaws{}.inlet_haematocrit); }
};

TEST(SolversMpi, TheOperatorIsTheSameOnAnyNumberOfRanks) {
  for (const auto& cells : boxes) {
    const auto run = [&](MPI_Comm comm) {
      const Grid grid(comm, {{0, 0, 0}, {um, 2 * um, 3 * um}, cells});
      CellOperator op(grid);
      Walls walls = Walls::all(WallKind::fixed, 2);
      walls.kind[1] = WallKind::outflow;
      walls.kind[2] = WallKind::closed;
      op.reset(walls);
      FaceField flow(grid);
      std::fill(flow[2].begin(), flow[2].end(), 1e-15);
      std::vector<double> k;
      const VecHandle u = grid.vector(), out = grid.vector();
      {
        const WriteAccess v(u.get());
        for (std::size_t c = 0; c < grid.local_cells(); ++c) {
          k.push_back(draw(grid, c, "k", 1e-10, 1e-9));
          v[c] = draw(grid, c, "u", -1, 1);
        }
      }
      op.add_diffusion_and_convection(k, flow);
      op.apply(u.get(), out.get());
      op.add_wall_source(out.get());
      std::vector<double> result = natural(grid, out.get());
      for (const double q : op.wall_outflow(u.get())) result.push_back(q);
      return result;
    };
    expect_same(run(MPI_COMM_WORLD), run(MPI_COMM_SELF), 1e-14, "operator");
  }
}

TEST(SolversMpi, ALinearSolveIsTheSameOnAnyNumberOfRanks) {
  for (const auto& cells : boxes) {
    const auto run = [&](MPI_Comm comm) {
      const Grid grid(comm, {{0, 0, 0}, {um, 2 * um, 3 * um}, cells});
      CellOperator op(grid);
      op.reset(Walls::all(WallKind::fixed, 0));
      std::vector<double> k;
      const VecHandle f = grid.vector(), u = grid.vector();
      {
        const WriteAccess v(f.get());
        for (std::size_t c = 0; c < grid.local_cells(); ++c) {
          k.push_back(draw(grid, c, "k", 1e-11, 1e-9));
          v[c] = draw(grid, c, "f", 0, 1e-15);
        }
      }
      op.add_diffusion(k);
      CoupledSolver solver(grid, 0, "solvers_mpi_test_", true);
      solver.set(op);
      EXPECT_TRUE(solver.solve(f.get(), nullptr, 1, 1e-14, u.get(), nullptr).converged);
      return natural(grid, u.get());
    };
    expect_same(run(MPI_COMM_WORLD), run(MPI_COMM_SELF), 1e-10, "solution");
  }
}

TEST(SolversMpi, ALatticeOfTenThousandVesselsHasTheSameSteadyFlowOnAnyNumberOfRanks) {
  const auto run = [](MPI_Comm comm) {
    const CutNetwork network = uncut(comm, lattice_share(comm, 10000, 1));
    BloodFlow blood;
    FlowSolver(network, network.piece_radii(), blood_laws(Rheology{}, SplitLaw{}, 0.45)).solve(blood, 2e-9, 60);
    EXPECT_TRUE(blood.converged) << blood.change;
    EXPECT_EQ(blood.moving_segments, 0);
    std::vector<double> flow = network.by_segment(blood.red_cells);
    broadcast(comm, flow);
    return flow;
  };
  expect_same(run(MPI_COMM_WORLD), run(MPI_COMM_SELF), 1e-9, "red-cell flux");
}

TEST(SolversMpi, FlowPressureOxygenAndSoluteAreTheSameOnAnyNumberOfRanks) {
  const Piece ours(MPI_COMM_WORLD), alone(MPI_COMM_SELF);
  const auto cells = [](const Piece& p, Vec v) { return natural(p.grid, v); };
  const auto pieces = [](const Piece& p, const std::vector<double>& values) {
    std::vector<double> all = p.cut.piece_order().gather(values);
    broadcast(p.grid.comm(), all);
    return all;
  };
  const auto nodes = [](const Piece& p, const std::vector<double>& values) {
    std::vector<double> all = p.cut.node_order().gather(values);
    broadcast(p.grid.comm(), all);
    return all;
  };
  expect_same(pieces(ours, ours.fluid.blood.flow), pieces(alone, alone.fluid.blood.flow), 1e-10, "blood flow");
  expect_same(pieces(ours, ours.fluid.blood.leak), pieces(alone, alone.fluid.blood.leak), 1e-9, "leak");
  expect_same(pieces(ours, ours.fluid.blood.haematocrit), pieces(alone, alone.fluid.blood.haematocrit), 1e-9,
              "haematocrit");
  expect_same(nodes(ours, ours.fluid.blood.pressure), nodes(alone, alone.fluid.blood.pressure), 1e-10,
              "pressure of the blood");
  expect_same(pieces(ours, ours.fluid.blood.protein), pieces(alone, alone.fluid.blood.protein), 1e-9, "protein");
  expect_same(cells(ours, ours.fluid.pressure.get()), cells(alone, alone.fluid.pressure.get()), 1e-10,
              "interstitial pressure");
  expect_same(natural(ours.grid, ours.fluid.lymph), natural(alone.grid, alone.fluid.lymph), 1e-9, "lymph");
  expect_same({ours.fluid.filtration, ours.fluid.drained, ours.fluid.walls},
              {alone.fluid.filtration, alone.fluid.drained, alone.fluid.walls}, 1e-9, "fluid that moved");
  EXPECT_LE(ours.fluid.imbalance, 1e-10);
  expect_same(cells(ours, ours.oxygen.cells.get()), cells(alone, alone.oxygen.cells.get()), 1e-10, "pO2 of the tissue");
  expect_same(nodes(ours, ours.oxygen.node_pressure), nodes(alone, alone.oxygen.node_pressure), 1e-10,
              "pO2 of the blood");
  EXPECT_LE(ours.oxygen.imbalance, 1e-9);
  expect_same(cells(ours, ours.transport.cells()), cells(alone, alone.transport.cells()), 1e-9, "solute in the tissue");
  expect_same(pieces(ours, ours.embedded.piece_values(ours.transport.network())),
              pieces(alone, alone.embedded.piece_values(alone.transport.network())), 1e-9, "solute in the blood");
  const TransportLedger &a = ours.transport.ledger(), &b = alone.transport.ledger();
  expect_same({a.blood_in, a.blood_out, a.exchanged_in, a.walls_out, a.drained},
              {b.blood_in, b.blood_out, b.exchanged_in, b.walls_out, b.drained}, 1e-9, "solute that moved");
}

TEST(SolversMpi, RanksShareTheNetworkWithoutGapOrOverlap) {
  const Grid grid(MPI_COMM_WORLD, {{0, 0, 0}, {25 * um, 25 * um, 25 * um}, {14, 12, 10}});
  GeneratorSettings settings;
  settings.box = {{0, 0, 0}, {350 * um, 300 * um, 250 * um}};
  settings.segments = 150;
  const VesselGraph graph = generate_network(settings);
  const CutNetwork cut = cut_at_faces(grid, share_of_root(MPI_COMM_WORLD, graph));
  const EmbeddedNetwork embedded(grid, cut);
  const Grid whole(MPI_COMM_SELF, grid.spec());
  const CutNetwork alone = cut_at_faces(whole, graph);
  EXPECT_EQ(count_over(MPI_COMM_WORLD, static_cast<long>(embedded.pieces())), static_cast<long>(alone.pieces()));
  EXPECT_EQ(count_over(MPI_COMM_WORLD, static_cast<long>(embedded.nodes())), static_cast<long>(alone.nodes()));
  double length = 0, expected = 0;
  for (std::size_t p = 0; p < embedded.pieces(); ++p) {
    EXPECT_EQ(grid.place(embedded.piece_cell()[p]), cut.piece_cell[p]);
    length += cut.piece_length[p];
  }
  for (const double l : alone.piece_length) expected += l;
  EXPECT_NEAR(sum_over(MPI_COMM_WORLD, length), expected, 1e-13 * expected);

  // Copies follow their owners: node numbers, positions, and a value per piece.
  std::vector<double> place(cut.nodes()), name(cut.pieces());
  for (std::size_t n = 0; n < cut.own_nodes; ++n) place[n] = cut.node_position[n][0] + 3 * cut.node_position[n][1];
  cut.node_halo.update(std::span<double>(place));
  for (std::size_t n = 0; n < cut.nodes(); ++n)
    EXPECT_EQ(place[n], cut.node_position[n][0] + 3 * cut.node_position[n][1]);
  const auto key = [&](std::size_t p) {
    return static_cast<double>(1000 * cut.graph.segment_id[static_cast<std::size_t>(cut.piece_segment[p])] +
                               cut.piece_part[p]);
  };
  for (std::size_t p = 0; p < cut.own_pieces; ++p) name[p] = key(p);
  cut.piece_halo.update(std::span<double>(name));
  for (std::size_t p = 0; p < cut.pieces(); ++p) EXPECT_EQ(name[p], key(p));

  const VesselGraph back = gathered_network(cut);
  if (rank_of(MPI_COMM_WORLD) == 0) {
    EXPECT_EQ(back.node_id, graph.node_id);
    EXPECT_EQ(back.position, graph.position);
    EXPECT_EQ(back.segment_id, graph.segment_id);
    EXPECT_EQ(back.radius, graph.radius);
    EXPECT_EQ(back.boundary_value, graph.boundary_value);
  }
}

}  // namespace
}  // namespace sanctuary
