#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "solvers/grid.hpp"

namespace sanctuary {

/// Green's function of the seven-point operator on an endless lattice of cells of size h: the value in a cell at an
/// offset of (i, j, k) from one that gives off 1 m^3/s at a diffusivity of 1 m^2/s [1/m]. Up to `reach` cells along
/// each axis from its Bessel integral, int prod_a exp(-2 c_a t) I_n(2 c_a t) dt with c_a = h_b h_c / h_a (Montroll
/// 1956, Proc 3rd Berkeley Symp 3:209); 1/(4 pi r) beyond.
class LatticeGreen {
 public:
  explicit LatticeGreen(const std::array<double, 3>& spacing);
  [[nodiscard]] double operator()(long i, long j, long k) const {
    i = std::abs(i);
    j = std::abs(j);
    k = std::abs(k);
    if (i > reach || j > reach || k > reach) return beyond(i, j, k);
    return table_[static_cast<std::size_t>((k * (reach + 1) + j) * (reach + 1) + i)];
  }
  static constexpr long reach = 14;

 private:
  [[nodiscard]] double beyond(long i, long j, long k) const;
  std::array<double, 3> spacing_;
  std::vector<double> table_;
};

/// Potential at `x` of a straight line from `from` to `to` that gives off 1 m^3/s evenly at a diffusivity of 1 m^2/s,
/// with the distance from the line taken as at least `radius` [1/m].
[[nodiscard]] double line_potential(const std::array<double, 3>& x, const std::array<double, 3>& from,
                                    const std::array<double, 3>& to, double radius);

/// The same, averaged over the straight line from `on_from` to `on_to` [1/m]: exact for parallel lines, by quadrature
/// else. With the larger radius of two vessels it is the mean over the wall of one of what the other gives off (exact
/// for long parallel vessels that do not touch).
[[nodiscard]] double mean_line_potential(const std::array<double, 3>& on_from, const std::array<double, 3>& on_to,
                                         const std::array<double, 3>& from, const std::array<double, 3>& to,
                                         double radius);

/// The same for two parts of one vessel whose wall gives off evenly: mean over the wall of one of what the wall of the
/// other gives off [1/m]. Exact for parallel parts that are long; their true distances stand in for the axes'
/// elsewhere.
[[nodiscard]] double mean_wall_potential(const std::array<double, 3>& on_from, const std::array<double, 3>& on_to,
                                         const std::array<double, 3>& from, const std::array<double, 3>& to,
                                         double radius);

/// A straight piece of vessel as the tissue around it sees it.
struct VesselPiece {
  std::array<double, 3> from{}, to{};   ///< [m]
  double radius = 0;                    ///< [m]
  double length = 0;                    ///< along the vessel; more than the distance of its ends where tortuous [m]
  long segment = 0;                     ///< name of the segment it is cut from
  std::array<long, 2> segment_nodes{};  ///< names of the nodes at the ends of that segment
  PetscInt number = 0;                  ///< its place among all pieces, rank after rank
};

/// How vessels and cells are brought together.
struct ExchangeSettings {
  bool corrected = true;        ///< false: shares of the wall in the cells, nothing for the unresolved gradient
  std::array<int, 6> mirror{};  ///< at the walls -x, +x, ...: 1 closed (even images), -1 fixed value (odd), 0 none
  long reach = 2;               ///< cells around a piece within which pieces are looked at one by one
  /// The same for vessels of less than 0.3 cells in radius where no other vessel is near: leaves out less than a
  /// percent and takes half the time. Else parallel vessels of opposite values are off by 3 percent.
  long reach_alone = 1;
  double least_coupling = 0.02;  ///< couplings below this share of the two vessels' own resistances are left out
  static constexpr long partner_reach = 2;  ///< cells within which a piece of another vessel is coupled one by one
  /// Cells around a rank's own pieces within which `exchange_geometry` needs the pieces of others.
  [[nodiscard]] long halo() const { return std::max({reach, reach_alone, partner_reach}) + 2 * partner_reach; }
};

/// Which cells each piece reads and feeds, and what stands between them and its wall. A piece whose exchange is q
/// [m^3/s per value] feeds q times its weights into its cells, and the mean over its wall is
///   sum over cells of weight x value + (own q / length + sum over vessels close by of mutual q / length) /
///   diffusivity:
/// the difference of the true potential of the vessels near by and of what the cells can show of it (the well of
/// Peaceman 1978, SPE J 18:183, for any orientation and offset, with the Green's function of the cells in place of his
/// logarithm). Along a vessel and what joins it the exchange per length is taken as even near a piece, so that one
/// number per piece stands for its vessel and one for each other vessel close by.
struct ExchangeGeometry {
  /// Another vessel close to a piece.
  struct Neighbour {
    double mutual = 0;                ///< times exchange per length of that vessel, over D: value at the wall
    std::size_t first = 0, last = 0;  ///< its pieces in `member`
  };
  struct Member {
    std::size_t piece = 0;
    double part = 0;  ///< of the coupling; sums to 1 over a neighbour
  };
  std::vector<std::size_t> cell_offset;           ///< cells of own piece i: cell_offset[i] .. cell_offset[i + 1] - 1
  std::vector<std::array<std::int32_t, 3>> cell;  ///< place in the box
  std::vector<double> weight;                     ///< positive; sum to 1 over a piece
  /// Of each own piece: times use of the solute per volume, over D, is by how much its cells read too high where use
  /// bends the profile across the vessel (linear interpolation): taken off the value in the tissue, or added to that in
  /// the lumen [m^2].
  std::vector<double> curvature;
  std::vector<PetscInt> number;               ///< of the own pieces, then of all others near them
  std::vector<double> length;                 ///< of each of them [m]
  std::vector<double> own;                    ///< of each of them: times exchange per length, over D: value at the wall
  std::vector<std::size_t> neighbour_offset;  ///< the same rows
  std::vector<Neighbour> neighbour;
  std::vector<Member> member;
  void add_cell(const std::array<long, 3>& place, double part) {
    cell.push_back({static_cast<std::int32_t>(place[0]), static_cast<std::int32_t>(place[1]),
                    static_cast<std::int32_t>(place[2])});
    weight.push_back(part);
  }
  /// Number of own pieces.
  [[nodiscard]] std::size_t owned() const { return cell_offset.size() - 1; }
  /// Resistance between the cells of a piece and its wall [1/m], to be divided by the diffusivity.
  [[nodiscard]] double resistance(std::size_t piece) const { return own[piece] / length[piece]; }
};

/// Brings the pieces of a rank and the grid together. `pieces`: the `own` ones first, then those of other ranks within
/// `settings.halo()` cells of them. Takes time in proportion to the pieces. Throws InputError for pieces outside the
/// grid or of no length. Local.
[[nodiscard]] ExchangeGeometry exchange_geometry(const GridSpec& spec, std::span<const VesselPiece> pieces,
                                                 std::size_t own, const ExchangeSettings& settings);

/// How pieces and cells exchange.
enum class ExchangeForm {
  all_vessels,  ///< as ExchangeGeometry says
  own_vessel,   ///< as if each vessel were alone: where the wall resists far more than the tissue between two vessels
  by_cell       ///< each cell of a piece apart, by its own value alone: M-matrices, X is zero
};

/// A geometry as rows of an exchange: one per piece, or per cell of a piece (by_cell). Shares what it is made from
/// where it can.
struct ExchangeRows {
  std::shared_ptr<const ExchangeGeometry> geometry;
  bool coupled = true;               ///< false: other vessels close by are passed over
  std::vector<std::size_t> part_of;  ///< by_cell: the piece of each own row
  std::vector<double> part;          ///< by_cell: the row's part of it
  [[nodiscard]] std::size_t count() const { return geometry->owned(); }
  [[nodiscard]] std::size_t piece(std::size_t row) const { return part_of.empty() ? row : part_of[row]; }
  [[nodiscard]] double share(std::size_t row) const { return part.empty() ? 1.0 : part[row]; }
};
/// Collective over `comm`.
[[nodiscard]] ExchangeRows exchange_rows(MPI_Comm comm, std::shared_ptr<const ExchangeGeometry> geometry,
                                         ExchangeForm form);

/// What the lumen of a piece is made of: its mean is the sum of weight x unknown over `mean`, and what it loses is
/// taken from the rows `loss`, shared by weight. A row below zero stands for none.
struct LumenLink {
  std::array<PetscInt, 2> mean{-1, -1};
  std::array<double, 2> mean_weight{};
  std::array<PetscInt, 2> loss{-1, -1};
  std::array<double, 2> loss_weight{};
};

/// Exchange of one piece in terms of its wall: to_tissue x lumen mean - from_tissue x wall value [m^3/s], and the
/// diffusivity (or conductivity) of the tissue around it in the same unit as that of the cells [m^2/s]. Two pieces see
/// each other by the product of their `coupling`, 0 to 1.
struct WallConductance {
  double to_tissue = 0, from_tissue = 0, diffusivity = 1, coupling = 1;
};

/// The linear exchange between cells and network, for pressure, oxygen and drugs alike: a system
/// [A + diagonal + X, B; C, N + D] [cells; network], whose blocks are never stored but applied through the pieces:
/// with E (pieces by cells), L (lumen means) and G (losses), and q = T L network - F E cells,
/// X = E' F E - diagonal, B = -E' T L, C = -G' F E, D = G' T L. Symmetric where to_tissue = from_tissue and G = L.
class VesselExchange {
 public:
  /// `network_unknowns`: owned by this rank. Collective; each rank's own pieces carry consecutive numbers.
  VesselExchange(const Grid& grid, const ExchangeRows& rows, PetscInt network_unknowns);
  /// With all vessels close by.
  VesselExchange(const Grid& grid, ExchangeGeometry geometry, PetscInt network_unknowns)
      : VesselExchange(grid, ExchangeRows{std::make_shared<const ExchangeGeometry>(std::move(geometry)), true, {}, {}},
                       network_unknowns) {}
  VesselExchange(const VesselExchange&) = delete;
  VesselExchange& operator=(const VesselExchange&) = delete;
  ~VesselExchange();

  /// Takes the coefficients of the own pieces. Collective.
  void set(std::span<const WallConductance> walls, std::span<const LumenLink> links);
  /// Adds D to a matrix of the network, which is not assembled by this call; `alone`: without what pieces give each
  /// other. Local (entries may belong to others).
  void add_to_network(Mat network, bool alone = false) const;
  /// B, C and X, for MatMult and MatMultAdd. Valid as long as this object.
  [[nodiscard]] Mat to_cells() const;
  [[nodiscard]] Mat from_cells() const;
  [[nodiscard]] Mat cells() const;
  /// Row sums of E' F E: belongs on the diagonal of the cells, where it serves the preconditioner.
  [[nodiscard]] const std::vector<double>& cell_diagonal() const;
  /// Exchange of each own piece, positive into the tissue [m^3/s per value]. Collective.
  [[nodiscard]] std::vector<double> flow(Vec cells, Vec network) const;
  /// Exchange for given means in the lumen of the own pieces, in place of a network's unknowns. Collective.
  [[nodiscard]] std::vector<double> flow(Vec cells, std::span<const double> lumen) const;
  /// Exchange of the own pieces given to the cells: out += E' flow. Collective.
  void add_to_cells(std::span<const double> flow, Vec out) const;
  /// Mean of the cells of each own piece by their weights. Collective.
  [[nodiscard]] std::vector<double> read(Vec cells) const;
  [[nodiscard]] const ExchangeGeometry& geometry() const;
  /// Number of other pieces that the exchange of an own piece depends on.
  [[nodiscard]] std::size_t partners(std::size_t piece) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace sanctuary
