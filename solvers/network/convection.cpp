#include "solvers/network/convection.hpp"

#include <algorithm>
#include <cmath>

namespace sanctuary {

double upstream_weight(double kappa) {
  if (std::abs(kappa) < 1e-3) return 0.5 - kappa / 12 + kappa * kappa * kappa / 720;
  if (kappa > 700) return 1 / kappa;
  return 1 / kappa - 1 / std::expm1(kappa);
}

void set_convection(double flow_first, double flow_second, PieceCoefficients& piece) {
  piece.enter = {std::max(flow_first, 0.0), std::max(-flow_second, 0.0)};
  piece.leave = {std::max(-flow_first, 0.0), std::max(flow_second, 0.0)};
  piece.upstream = -1;
  piece.weight = 0;
  // What rounding leaves at a dead end is no flow: it must not say from where the piece is fed.
  const double rounding = 1e-9 * std::max(std::abs(flow_first), std::abs(flow_second));
  const bool forward = flow_first > rounding && flow_second > -rounding;
  const bool backward = flow_first < rounding && flow_second < -rounding;
  if (!forward && !backward) return;
  piece.upstream = forward ? 0 : 1;
  const double in = forward ? flow_first : -flow_second;
  const double out = std::max(forward ? flow_second : -flow_first, 0.0);
  if (piece.to_tissue <= 0) return;
  const double kappa = (piece.to_tissue - (in - out)) / (0.5 * (in + out));
  // The bound keeps what enters from upstream positive (an M-matrix) where filtration rivals the flow.
  piece.weight = std::clamp(upstream_weight(kappa), 0.0, std::min(1.0, in / piece.to_tissue));
}

NetworkMatrices::NetworkMatrices(const EmbeddedNetwork& network)
    : embedded_(&network), cell_diagonal_(network.grid().local_cells(), 0.0) {
  const MPI_Comm comm = network.grid().comm();
  const PetscInt unknowns = network.local_unknowns(true);
  const auto cells = static_cast<PetscInt>(network.grid().local_cells());
  const auto create = [&](PetscInt rows, PetscInt columns, PetscInt diagonal, PetscInt off, MatHandle& out) {
    petsc(MatCreateAIJ(comm, rows, columns, PETSC_DETERMINE, PETSC_DETERMINE, diagonal, nullptr, off, nullptr,
                       out.out()));
    petsc(MatSetOption(out.get(), MAT_NEW_NONZERO_ALLOCATION_ERR, PETSC_FALSE));
  };
  create(unknowns, unknowns, 6, 4, n_);
  create(cells, unknowns, 2, 1, b_);
  create(unknowns, cells, 1, 1, c_);
}

void NetworkMatrices::assemble(std::span<const PieceCoefficients> pieces, std::span<const double> node_outflow,
                               double storage_rate) {
  const auto& net = *embedded_;
  for (Mat m : {n_.get(), b_.get(), c_.get()}) petsc(MatZeroEntries(m));
  std::fill(cell_diagonal_.begin(), cell_diagonal_.end(), 0.0);
  const auto add = [](Mat m, PetscInt row, PetscInt column, double value) {
    petsc(MatSetValue(m, row, column, value, ADD_VALUES));
  };
  for (std::size_t i = 0; i < net.nodes(); ++i) {
    const PetscInt row = net.node_row(static_cast<long>(i), true);
    add(n_.get(), row, row, node_outflow[i]);
  }
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const PieceCoefficients& piece = pieces[i];
    const PetscInt row = net.piece_row(i);
    const PetscInt cell = net.grid().row(net.piece_cell()[i]);
    double own = piece.volume * storage_rate + piece.to_tissue * (1 - piece.weight);
    for (int end = 0; end < 2; ++end) {
      const auto e = static_cast<std::size_t>(end);
      const PetscInt node = net.node_row(net.network().piece_nodes[i][e], true);
      own += piece.leave[e] + piece.diffusion;
      double from_node = piece.enter[e] + piece.diffusion;
      add(n_.get(), node, node, piece.enter[e] + piece.diffusion);
      add(n_.get(), node, row, -piece.leave[e] - piece.diffusion);
      if (piece.upstream == end) {
        from_node -= piece.to_tissue * piece.weight;
        add(b_.get(), cell, node, -piece.to_tissue * piece.weight);
      }
      add(n_.get(), row, node, -from_node);
    }
    add(n_.get(), row, row, own);
    add(b_.get(), cell, row, -piece.to_tissue * (1 - piece.weight));
    add(c_.get(), row, cell, -piece.from_tissue);
    cell_diagonal_[net.piece_cell()[i]] += piece.from_tissue;
  }
  for (Mat m : {n_.get(), b_.get(), c_.get()}) {
    petsc(MatAssemblyBegin(m, MAT_FINAL_ASSEMBLY));
    petsc(MatAssemblyEnd(m, MAT_FINAL_ASSEMBLY));
  }
}

void NetworkMatrices::exchange(Vec cells, Vec network, Vec out) const {
  petsc(MatMult(b_.get(), network, out));
  const ReadAccess c(cells);
  const WriteAccess e(out);
  for (std::size_t i = 0; i < cell_diagonal_.size(); ++i) e[i] = -e[i] - cell_diagonal_[i] * c[i];
}

}  // namespace sanctuary
