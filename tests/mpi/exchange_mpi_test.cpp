#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/comm.hpp"
#include "base/random.hpp"
#include "solvers/network/embedding.hpp"
#include "solvers/network/exchange.hpp"

namespace sanctuary {
namespace {

const GridSpec spec{{0, 0, 0}, {1, 1.2, 0.9}, {64, 18, 20}};

/// Straight vessels of random place and direction, cut at the faces of the cells.
std::vector<VesselPiece> random_pieces() {
  const RandomStream draws(5, "exchange_mpi_test");
  VesselGraph graph;
  for (std::uint64_t v = 0; v < 60; ++v) {
    for (std::uint64_t e = 0; e < 2; ++e) {
      std::array<double, 3> x{};
      for (std::size_t a = 0; a < 3; ++a) {
        x[a] = draws.uniform(6 * v + 3 * e + a) * spec.spacing[a] * static_cast<double>(spec.cells[a]);
      }
      graph.add_node(x, static_cast<long>(2 * v + e));
    }
    const auto n = static_cast<long>(2 * v);
    graph.add_segment(n, n + 1, draws.uniform(1000 + v, 0.02, 0.4), static_cast<long>(v));
  }
  const CutNetwork cut = cut_at_faces(Grid(MPI_COMM_SELF, spec), graph);
  std::vector<VesselPiece> pieces;
  for (std::size_t p = 0; p < cut.pieces(); ++p) {
    const auto s = static_cast<std::size_t>(cut.piece_segment[p]);
    pieces.push_back({.from = cut.node_position[static_cast<std::size_t>(cut.piece_nodes[p][0])],
                      .to = cut.node_position[static_cast<std::size_t>(cut.piece_nodes[p][1])],
                      .radius = graph.radius[s],
                      .length = cut.piece_length[p],
                      .segment = static_cast<long>(s),
                      .segment_nodes = {graph.segment[s][0], graph.segment[s][1]},
                      .number = static_cast<PetscInt>(p)});
  }
  return pieces;
}

std::array<long, 3> cell_of(const Grid& grid, const VesselPiece& p) {
  return grid.cell_of({0.5 * (p.from[0] + p.to[0]), 0.5 * (p.from[1] + p.to[1]), 0.5 * (p.from[2] + p.to[2])});
}

double cell_value(const std::array<long, 3>& c) {
  return std::sin(0.3 * static_cast<double>(c[0])) + 0.1 * static_cast<double>(c[1] * c[2] % 7);
}

/// What an exchange does on a communicator, by piece and by cell of the box.
struct Outcome {
  std::map<std::size_t, double> flow, loss;
  std::map<std::array<long, 3>, double> cells;
};

Outcome run(const Grid& grid, const std::vector<VesselPiece>& all) {
  const int ranks = size_of(grid.comm()), rank = rank_of(grid.comm());
  std::vector<std::size_t> here, beyond;
  std::vector<PetscInt> number(all.size());
  PetscInt next = 0;
  for (int r = 0; r < ranks; ++r) {
    for (std::size_t p = 0; p < all.size(); ++p) {
      if (grid.owner(cell_of(grid, all[p])) != r) continue;
      number[p] = next++;
      if (r == rank) here.push_back(p);
    }
  }
  const ExchangeSettings settings;
  const IndexBox near = grown(grid.block(), settings.halo(), settings.halo());
  for (std::size_t p = 0; p < all.size(); ++p) {
    const auto c = cell_of(grid, all[p]);
    bool inside = !grid.owns(c);
    for (std::size_t a = 0; a < 3; ++a) inside = inside && c[a] >= near.low[a] && c[a] < near.high[a];
    if (inside) beyond.push_back(p);
  }
  std::vector<VesselPiece> pieces;
  for (const auto* list : {&here, &beyond}) {
    for (const std::size_t p : *list) {
      pieces.push_back(all[p]);
      pieces.back().number = number[p];
    }
  }
  ExchangeGeometry geometry = exchange_geometry(spec, pieces, here.size(), settings);
  EXPECT_TRUE(ranks > 1 || !geometry.neighbour.empty());
  const auto unknowns = static_cast<PetscInt>(here.size());
  VesselExchange exchange(grid, std::move(geometry), unknowns);
  std::vector<WallConductance> walls;
  std::vector<LumenLink> links;
  VecHandle u = grid.vector(), x = grid.vector(), b = grid.vector(), v, loss;
  petsc(VecCreateMPI(grid.comm(), unknowns, PETSC_DETERMINE, v.out()));
  petsc(VecDuplicate(v.get(), loss.out()));
  {
    const WriteAccess lumen(v.get()), cells(u.get());
    for (std::size_t i = 0; i < here.size(); ++i) {
      const std::size_t p = here[i];
      const double wall = all[p].length * (2 + std::cos(static_cast<double>(all[p].segment)));
      walls.push_back({wall, 0.9 * wall, 1});
      const PetscInt one = number[p], two = number[(p + 1) % all.size()];
      links.push_back({.mean = {one, two}, .mean_weight = {0.6, 0.4}, .loss = {one, two}, .loss_weight = {0.5, 0.5}});
      lumen[i] = std::cos(0.01 * static_cast<double>(p));
    }
    for (std::size_t c = 0; c < grid.local_cells(); ++c) cells[c] = cell_value(grid.place(c));
  }
  exchange.set(walls, links);
  Outcome outcome;
  const std::vector<double> flow = exchange.flow(u.get(), v.get());
  for (std::size_t i = 0; i < here.size(); ++i) outcome.flow[here[i]] = flow[i];
  petsc(MatMult(exchange.cells(), u.get(), x.get()));
  petsc(MatMult(exchange.to_cells(), v.get(), b.get()));
  {
    const ReadAccess xs(x.get()), bs(b.get()), us(u.get());
    for (std::size_t c = 0; c < grid.local_cells(); ++c) {
      outcome.cells[grid.place(c)] = xs[c] + bs[c] + exchange.cell_diagonal()[c] * us[c];
    }
  }
  MatHandle network;
  petsc(MatCreateAIJ(grid.comm(), unknowns, unknowns, PETSC_DETERMINE, PETSC_DETERMINE, 30, nullptr, 30, nullptr,
                     network.out()));
  petsc(MatSetOption(network.get(), MAT_NEW_NONZERO_ALLOCATION_ERR, PETSC_FALSE));
  exchange.add_to_network(network.get());
  petsc(MatAssemblyBegin(network.get(), MAT_FINAL_ASSEMBLY));
  petsc(MatAssemblyEnd(network.get(), MAT_FINAL_ASSEMBLY));
  petsc(MatMult(exchange.from_cells(), u.get(), loss.get()));
  petsc(MatMultAdd(network.get(), v.get(), loss.get(), loss.get()));
  const ReadAccess lost(loss.get());
  for (std::size_t i = 0; i < here.size(); ++i) outcome.loss[here[i]] = lost[i];
  return outcome;
}

TEST(VesselExchangeOnRanks, IsThatOfOneRank) {
  const std::vector<VesselPiece> pieces = random_pieces();
  const Outcome alone = run(Grid(PETSC_COMM_SELF, spec), pieces);
  const Outcome shared = run(Grid(MPI_COMM_WORLD, spec), pieces);
  for (const auto& [piece, flow] : shared.flow) EXPECT_NEAR(flow, alone.flow.at(piece), 1e-12) << piece;
  for (const auto& [piece, loss] : shared.loss) EXPECT_NEAR(loss, alone.loss.at(piece), 1e-12) << piece;
  for (const auto& [cell, value] : shared.cells) EXPECT_NEAR(value, alone.cells.at(cell), 1e-12);
  const double count = sum_over(MPI_COMM_WORLD, static_cast<double>(shared.flow.size()));
  EXPECT_EQ(count, static_cast<double>(pieces.size()));
}

}  // namespace
}  // namespace sanctuary
