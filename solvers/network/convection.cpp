#include "solvers/network/convection.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sanctuary {

double upstream_weight(double kappa) {
  if (std::abs(kappa) < 1e-3) return 0.5 - kappa / 12 + kappa * kappa * kappa / 720;
  if (kappa > 700) return 1 / kappa;
  return 1 / kappa - 1 / std::expm1(kappa);
}

void set_tissue(double diffusivity, double resistance, double flow, PieceCoefficients& piece) {
  constexpr double most = 30;
  const double peclet = std::clamp(flow * resistance / diffusivity, -most, most);
  piece.resistance = resistance;
  piece.diffusivity = diffusivity * (std::abs(peclet) < 1e-8 ? 1 - 0.5 * peclet : peclet / std::expm1(peclet));
  piece.from_tissue *= std::exp(-peclet);
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
  const double exchange = piece.to_cells();
  if (exchange <= 0) return;
  const double kappa = (exchange - (in - out)) / (0.5 * (in + out));
  // The bound keeps what enters from upstream positive (an M-matrix) where filtration rivals the flow.
  piece.weight = std::clamp(upstream_weight(kappa), 0.0, std::min(1.0, in / exchange));
}

NetworkMatrices::NetworkMatrices(const EmbeddedNetwork& network, ExchangeForm form)
    : embedded_(&network),
      between_(form != ExchangeForm::by_cell && !network.plain()),
      rows_(exchange_rows(network.grid().comm(), network.exchange(), form)),
      exchange_(network.grid(), rows_, network.local_unknowns(true)) {
  std::vector<PetscInt> of_row = joined_entries(network, true);
  for (std::size_t i = 0; i < rows_.count(); ++i) {  // their outlets and the nodes they are fed from
    of_row[network.nodes() + rows_.piece(i)] += 2 * static_cast<PetscInt>(exchange_.partners(i));
  }
  n_ = matrix_with_room(network.grid().comm(), of_row);
}

void NetworkMatrices::want_alone() {
  alone_ = matrix_with_room(embedded_->grid().comm(), joined_entries(*embedded_, true));
}

void NetworkMatrices::assemble(std::span<const PieceCoefficients> pieces, std::span<const double> node_outflow,
                               double storage_rate) {
  const auto& net = *embedded_;
  const std::array<Mat, 2> matrices{n_.get(), alone_.get()};  // the second may be null
  for (Mat m : matrices) {
    if (m) petsc(MatZeroEntries(m));
  }
  std::vector<LumenLink> links;
  walls_.clear();
  links_.clear();
  const auto add = [&](PetscInt row, PetscInt column, double value) {
    for (Mat m : matrices) {
      if (m) petsc(MatSetValue(m, row, column, value, ADD_VALUES));
    }
  };
  for (std::size_t i = 0; i < net.nodes(); ++i) {
    const PetscInt row = net.node_row(static_cast<long>(i), true);
    add(row, row, node_outflow[i]);
  }
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const PieceCoefficients& piece = pieces[i];
    const PetscInt row = net.piece_row(i);
    double own = piece.volume * storage_rate;
    LumenLink link{.mean = {row, -1}, .mean_weight = {1 - piece.weight, 0}, .loss = {row, -1}, .loss_weight = {1, 0}};
    for (int end = 0; end < 2; ++end) {
      const auto e = static_cast<std::size_t>(end);
      const PetscInt node = net.node_row(net.network().piece_nodes[i][e], true);
      own += piece.leave[e] + piece.diffusion;
      add(node, node, piece.enter[e] + piece.diffusion);
      add(node, row, -piece.leave[e] - piece.diffusion);
      add(row, node, -piece.enter[e] - piece.diffusion);
      if (piece.upstream == end) {
        link.mean[1] = node;
        link.mean_weight[1] = piece.weight;
      }
    }
    add(row, row, own);
    links.push_back(link);
  }
  for (std::size_t i = 0; i < rows_.count(); ++i) {
    const PieceCoefficients& piece = pieces[rows_.piece(i)];
    walls_.push_back(
        {rows_.share(i) * piece.to_tissue, rows_.share(i) * piece.from_tissue, piece.diffusivity, piece.coupling});
    links_.push_back(links[rows_.piece(i)]);
  }
  exchange_.set(walls_, links_);
  for (Mat m : matrices) {
    if (!m) continue;
    exchange_.add_to_network(m, m != n_.get());
    petsc(MatAssemblyBegin(m, MAT_FINAL_ASSEMBLY));
    petsc(MatAssemblyEnd(m, MAT_FINAL_ASSEMBLY));
  }
}

void NetworkMatrices::exchange(Vec cells, Vec network, Vec out) const {
  petsc(VecSet(out, 0.0));
  exchange_.add_to_cells(exchange_.flow(cells, network), out);
}

std::vector<double> NetworkMatrices::exchange_of_pieces(Vec cells, std::span<const double> lumen, Vec gained) const {
  std::vector<double> of_rows(rows_.count());
  for (std::size_t i = 0; i < of_rows.size(); ++i) of_rows[i] = lumen[rows_.piece(i)];
  const std::vector<double> moved = exchange_.flow(cells, of_rows);
  exchange_.add_to_cells(moved, gained);
  std::vector<double> result(embedded_->pieces(), 0.0);
  for (std::size_t i = 0; i < moved.size(); ++i) result[rows_.piece(i)] += moved[i];
  return result;
}

std::vector<double> NetworkMatrices::read(Vec cells) const {
  const std::vector<double> of_rows = exchange_.read(cells);
  std::vector<double> result(embedded_->pieces(), 0.0);
  for (std::size_t i = 0; i < of_rows.size(); ++i) result[rows_.piece(i)] += rows_.share(i) * of_rows[i];
  return result;
}

}  // namespace sanctuary
