#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include "solvers/coupled.hpp"
#include "solvers/network/embedding.hpp"

namespace sanctuary {

/// What one piece of vessel does to a solute, as a linear row. The unknowns are the mixed value at each node and the
/// value c at the outlet of each piece; the mean value in the lumen is weight * (value at the upstream node) +
/// (1 - weight) * c, with the weight that is exact for constant tissue values (exponential profile), so that the
/// exchange is of second order in the length of a piece and every coefficient stays positive.
struct PieceCoefficients {
  std::array<double, 2> enter{};  ///< carried from the node at each end into the piece, per value at the node [m^3/s]
  std::array<double, 2> leave{};  ///< carried from the piece into the node at each end, per value of the piece [m^3/s]
  double diffusion = 0;           ///< conductance between the piece and each of its nodes [m^3/s]
  double volume = 0;              ///< storage of the solute per value of the piece [m^3]
  double to_tissue = 0;           ///< a_v: exchange = a_v * mean value in the lumen - a_t * value at the wall [m^3/s]
  double from_tissue = 0;         ///< a_t
  double diffusivity = 1;         ///< of the tissue around it, in the unit of the cells' [m^2/s]
  double resistance = 0;          ///< between wall and cells, over the diffusivity (ExchangeGeometry::resistance) [1/m]
  double coupling = 1;            ///< with pieces of other vessels (WallConductance)
  double weight = 0;
  /// a_v behind the resistance of the tissue.
  [[nodiscard]] double to_cells() const {
    return to_tissue / (1 + std::max(from_tissue * resistance / diffusivity, -0.9));
  }
  int upstream = -1;  ///< end that feeds the piece: 0, 1; -1: both or none, then the mean is c
};

/// Puts the tissue between the wall and the cells of a piece, where fluid carries `flow` of the solute's volume outward
/// from the wall [m^3/s per value]: with the wall's exchange already set, radial convection and diffusion across the
/// resistance r at the diffusivity D act in series with it, as J (e^Pe c_wall - c_cells) / (e^Pe - 1) with Pe = J r / D
/// (the form of Patlak, Goldstein & Hoffman 1963, J Theor Biol 5:426).
void set_tissue(double diffusivity, double resistance, double flow, PieceCoefficients& piece);

/// Weight of the upstream value in the mean over a piece with exponential profile: 1/kappa - 1/(e^kappa - 1).
[[nodiscard]] double upstream_weight(double kappa);

/// Fills enter, leave, upstream and weight from the carrier flows at the two ends (positive from the first to the
/// second end), after to_tissue and from_tissue are set.
void set_convection(double flow_first, double flow_second, PieceCoefficients& piece);

/// The matrices of a solute on the network: N (network by network), B (cells by network), C (network by cells), X
/// (between cells), with the exchange of the embedded network.
class NetworkMatrices {
 public:
  /// Collective.
  NetworkMatrices(const EmbeddedNetwork& network, ExchangeForm form);
  /// Assembles from the coefficients of the owned pieces; `storage_rate` multiplies the volumes (1 / (gamma dt), 0 when
  /// steady); `node_outflow`: per owned node, carried out of the box per value at the node [m^3/s]. Collective.
  void assemble(std::span<const PieceCoefficients> pieces, std::span<const double> node_outflow, double storage_rate);
  [[nodiscard]] Mat network() const { return n_.get(); }
  [[nodiscard]] Mat to_cells() const { return exchange_.to_cells(); }
  [[nodiscard]] Mat from_cells() const { return exchange_.from_cells(); }
  [[nodiscard]] NetworkBlocks blocks() const {
    return {network(), to_cells(), from_cells(), between_ ? exchange_.cells() : nullptr, alone_.get()};
  }
  /// From the next `assemble` on, the blocks hold N without what pieces of different vessels give each other.
  /// Collective.
  void want_alone();
  /// Exchange with each owned cell, summed over all cells: belongs on the diagonal of the cells.
  [[nodiscard]] const std::vector<double>& cell_diagonal() const { return exchange_.cell_diagonal(); }
  /// Exchange of each own piece at a mean in its lumen, positive into the tissue; adds it to the cells. Collective.
  [[nodiscard]] std::vector<double> exchange_of_pieces(Vec cells, std::span<const double> lumen, Vec gained) const;
  /// Mean of the cells around each own piece. Collective.
  [[nodiscard]] std::vector<double> read(Vec cells) const;
  /// What each cell takes from the vessels per time, net, at given values. Collective.
  void exchange(Vec cells, Vec network, Vec out) const;

 private:
  const EmbeddedNetwork* embedded_;
  MatHandle n_, alone_;
  bool between_;
  ExchangeRows rows_;
  VesselExchange exchange_;
  std::vector<WallConductance> walls_;
  std::vector<LumenLink> links_;
};

}  // namespace sanctuary
