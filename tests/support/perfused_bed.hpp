#pragma once
#include <algorithm>
#include <memory>
#include <numbers>
#include <vector>

#include "solvers/network/convection.hpp"
#include "tissue/interstitium.hpp"
#include "tissue/network_generator.hpp"

namespace sanctuary {

/// Tissue with a generated network of as many tiles of 320 um along each axis, fed and drained in proportion; cells of
/// 40 um unless told otherwise.
struct PerfusedBed {
  static constexpr double um = 1e-6, pi = std::numbers::pi, mmhg = 133.322;

  explicit PerfusedBed(long tiles, long cells_per_tile = 8) {
    const double side = 320 * um * static_cast<double>(tiles);
    GeneratorSettings settings;
    settings.box.size = {side, side, side};
    settings.segments = 60 * tiles * tiles * tiles;
    settings.inlets = settings.outlets = 2 * tiles * tiles;
    settings.blind_end_fraction = 0.05;
    GridSpec spec;
    spec.cells.fill(cells_per_tile * tiles);
    spec.spacing.fill(side / static_cast<double>(cells_per_tile * tiles));
    grid = std::make_unique<Grid>(MPI_COMM_WORLD, spec);
    cut = cut_at_faces(*grid, share_of_root(MPI_COMM_WORLD, generate_network(settings)));
    embedded = std::make_unique<EmbeddedNetwork>(*grid, cut);
    radius = cut.piece_radii();
    BloodLaws laws;
    laws.viscosity = [](double, double) { return 4e-3; };
    laws.split = [](double haematocrit, double, std::span<const double>, std::span<const double>,
                    std::span<double> out) { std::fill(out.begin(), out.end(), haematocrit); };
    flow = std::make_unique<FlowSolver>(cut, radius, laws);
  }
  /// Pressures and flows; returns the iterations of the linear solves, of which the first is the work.
  int solve_fluid(FluidState& fluid) {
    FluidTissue tissue;
    tissue.conductivity.assign(grid->local_cells(), 3.1e-14);
    tissue.lymph_conductance.assign(grid->local_cells(), 0.0);
    tissue.walls = Walls::all(WallKind::fixed);
    FluidWall wall;
    for (std::size_t p = 0; p < cut.own_pieces; ++p)
      wall.conductance.push_back(2.1e-11 * 2 * pi * radius[p] * cut.piece_length[p]);
    wall.oncotic.assign(cut.own_pieces, 12 * mmhg);
    FluidSolver solver(*grid, embedded.get(), flow.get());
    solver.solve(tissue, wall, fluid);
    return fluid.linear_iterations;
  }
  /// Matrices of a steady solute that diffuses along the vessels, too.
  std::unique_ptr<NetworkMatrices> matrices(const BloodFlow& blood, double diffusivity) const {
    auto result = std::make_unique<NetworkMatrices>(*embedded, ExchangeForm::by_cell);
    std::vector<PieceCoefficients> pieces(cut.own_pieces);
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      pieces[p].to_tissue = pieces[p].from_tissue = 1e-6 * 2 * pi * radius[p] * cut.piece_length[p];
      pieces[p].to_tissue += std::max(blood.leak[p], 0.0);
      pieces[p].from_tissue += std::max(-blood.leak[p], 0.0);
      pieces[p].diffusion = diffusivity * pi * radius[p] * radius[p] / (0.5 * cut.piece_length[p]);
      set_convection(blood.end_flow(p, 0), blood.end_flow(p, 1), pieces[p]);
    }
    std::vector<double> outflow(cut.own_nodes);
    for (std::size_t n = 0; n < outflow.size(); ++n) outflow[n] = std::max(-blood.inflow[n], 0.0);
    result->assemble(pieces, outflow, 0);
    return result;
  }
  /// Solves a steady solute that blood carries twenty-fold, that crosses walls freely and is used up slowly:
  /// exchange is far above all else, as that of oxygen. The network's solver by -bound_solute_network_solver.
  [[nodiscard]] SolveReport solve_bound_solute(const BloodFlow& blood) const {
    constexpr double carrier = 20, diffusivity = 2e-9, uptake = 0.1;
    NetworkMatrices joined(*embedded, ExchangeForm::by_cell);
    std::vector<PieceCoefficients> pieces(cut.own_pieces);
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      pieces[p].to_tissue = pieces[p].from_tissue = 2 * pi * diffusivity * cut.piece_length[p] / 1.5;
      pieces[p].diffusion = diffusivity * pi * radius[p] * radius[p] / (0.5 * cut.piece_length[p]);
      set_convection(carrier * blood.end_flow(p, 0), carrier * blood.end_flow(p, 1), pieces[p]);
    }
    std::vector<double> outflow(cut.own_nodes), entering(cut.own_nodes);
    for (std::size_t n = 0; n < outflow.size(); ++n) {
      outflow[n] = carrier * std::max(-blood.inflow[n], 0.0);
      entering[n] = carrier * std::max(blood.inflow[n], 0.0);
    }
    joined.assemble(pieces, outflow, 0);
    CellOperator op(*grid);
    op.reset(Walls::all(WallKind::closed));
    op.add_diffusion(std::vector<double>(grid->local_cells(), diffusivity));
    for (std::size_t c = 0; c < grid->local_cells(); ++c)
      op.diagonal()[c] = grid->cell_volume() * uptake + joined.cell_diagonal()[c];
    CoupledSolver solver(*grid, embedded->local_unknowns(true), "bound_solute_", false);
    solver.set(op, joined.blocks());
    const VecHandle cells = grid->vector(), rhs = grid->vector(), values = solver.network_vector(),
                    network_rhs = solver.network_vector();
    embedded->set_values(entering, std::vector<double>(cut.own_pieces, 0.0), network_rhs.get());
    return solver.solve(rhs.get(), network_rhs.get(), 1.0, 1e-11, cells.get(), values.get());
  }

  std::unique_ptr<Grid> grid;
  CutNetwork cut;
  std::unique_ptr<EmbeddedNetwork> embedded;
  std::vector<double> radius;
  std::unique_ptr<FlowSolver> flow;
};

}  // namespace sanctuary
