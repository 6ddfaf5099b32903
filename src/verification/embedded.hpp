#pragma once
#include <array>
#include <functional>
#include <span>
#include <vector>

#include "solvers/elliptic.hpp"
#include "solvers/network/embedding.hpp"
#include "solvers/network/exchange.hpp"

namespace sanctuary::verification {

/// A straight vessel in endless tissue of diffusivity 1 with a given value in its lumen.
struct FreeVessel {
  std::array<double, 3> from{}, to{};  // [m]
  double radius = 0;                   // [m]
  double wall = 0;                     // exchange per length over the difference across the wall [m^2/s]
  double lumen = 0;
};

/// What such vessels give off, value 0 far away: line sources of even strength on short parts of every vessel, so that
/// the mean over the wall of each part is what its lumen and wall ask for (a boundary element method, independent of
/// any grid). With tissue that uses the solute at `rate` x value the potential of a point is exp(-r sqrt(rate))/(4 pi
/// r). With tissue that uses it at the constant rate `use` everywhere, the tissue around
/// the first vessel gives it what it uses: use / 4 times the distance from its axis squared comes on top.
class FreeSpaceVessels {
 public:
  FreeSpaceVessels(std::vector<FreeVessel> vessels, double rate, double part_length, double use = 0);
  /// Given off by each vessel in all [m^3/s].
  [[nodiscard]] const std::vector<double>& exchange() const { return exchange_; }
  /// Value in the tissue.
  [[nodiscard]] double value(const std::array<double, 3>& x) const;
  [[nodiscard]] const std::vector<FreeVessel>& vessels() const { return vessels_; }
  [[nodiscard]] double rate() const { return rate_; }
  [[nodiscard]] double use() const { return use_; }

 private:
  struct Part {
    std::array<double, 3> from, to;
    double strength;
    std::size_t vessel;
  };
  [[nodiscard]] double potential(const std::array<double, 3>& x, const Part& part, double radius) const;
  std::vector<FreeVessel> vessels_;
  [[nodiscard]] double used_up(const std::array<double, 3>& x) const;
  double rate_, use_;
  std::vector<Part> parts_;
  std::vector<double> exchange_;
};

/// Pieces of a network that was cut at the faces of cells, numbered from 0: for one rank.
[[nodiscard]] std::vector<VesselPiece> pieces_of(const VesselGraph& graph, const CutNetwork& cut);

/// Tissue of diffusivity 1 on a grid with vessels of given lumen values: A u + E'F E u = sources + E'T lumen, with a
/// use of `rate` x value + `use`.
class FixedLumen : private CellCoupling {
 public:
  FixedLumen(const Grid& grid, const Walls& walls, double rate, const ExchangeRows& exchange, double use = 0);
  FixedLumen(const FixedLumen&) = delete;
  FixedLumen& operator=(const FixedLumen&) = delete;
  /// Solves for given coefficients and lumen values of the pieces; `field`: value beyond the fixed walls at a
  /// point; null: that of `walls`. Gives the exchange of each own piece. NumericsError where it does not converge.
  /// Collective.
  [[nodiscard]] std::vector<double> solve(std::span<const WallConductance> wall, std::span<const double> lumen,
                                          const std::function<double(const std::array<double, 3>&)>& field);
  [[nodiscard]] Vec cells() const { return cells_.get(); }
  /// What the pieces read of the cells. Collective.
  [[nodiscard]] std::vector<double> read() const { return exchange_.read(cells_.get()); }
  [[nodiscard]] const std::vector<double>& curvature() const { return exchange_.geometry().curvature; }
  [[nodiscard]] int iterations() const { return iterations_; }

 private:
  void subtract_impl(const double* in, double* out) const override;
  const Grid* grid_;
  Walls walls_;
  double rate_, use_;
  CellOperator op_;
  VesselExchange exchange_;
  EllipticSolver solver_;
  VecHandle cells_, rhs_, borrowed_, product_;
  int iterations_ = 0;
};

/// Errors of the exchange of each of the vessels on a grid, relative to the largest exchange among them.
[[nodiscard]] std::vector<double> exchange_errors(const Grid& grid, const FreeSpaceVessels& exact, bool corrected,
                                                  ExchangeForm form = ExchangeForm::all_vessels);

/// `count` straight vessels of radius 1 and random direction in a cube of cells of size `spacing` (in radii), the first
/// through a random place in the middle cell, the others within 0.6 of a cell (or 6 radii) of it, no two walls closer
/// than `gap` radii. Lumen values 1, -0.5 and 0.25; wall conductance P R / D = `biot`. Cases 0 to 3: the first vessel
/// along z, along z through a corner of four cells, along the diagonal of cells, along an edge of cells; with two
/// vessels every third pair is parallel, 4 radii apart.
struct RandomVessels {
  GridSpec grid;
  std::vector<FreeVessel> vessels;
};
[[nodiscard]] RandomVessels random_vessels(int which, int count, double spacing, double biot, double gap);

/// Largest exchange_errors() over `cases` sets of random vessels, corrected and (over the first 10) not; `decay`:
/// inverse length over which the tissue uses the solute, per radius: at a rate in proportion to its value or, if
/// `constant`, at that of the value 1 everywhere.
struct ExchangeTable {
  double corrected = 0, uncorrected = 0;
};
[[nodiscard]] ExchangeTable exchange_table(int cases, int count, double spacing, double biot, double decay,
                                           double gap = 2.5, bool constant = false,
                                           ExchangeForm form = ExchangeForm::all_vessels);

/// Errors of the benchmark of D'Angelo (Koch et al. 2020, J Comput Phys 410:109370): tissue (-1,1)^2 x (0,1) around a
/// vessel of radius 0.1 on the z axis, exact values p_v = 1 + z, p_t = -(1 + z) ln(max(r, R)) / (2 pi), exchange 1 + z
/// per length. `cells` along x and y, half as many along z.
struct BenchmarkErrors {
  double tissue = 0;            ///< rms over the cells
  double vessel = 0;            ///< rms over the nodes
  double exchange = 0;          ///< rms over the pieces of the exchange per length
  double amounts = 0;           ///< 2-norm over the pieces of the amounts exchanged, as the published rates take it
  double largest_relative = 0;  ///< of the exchange of a piece
};
[[nodiscard]] BenchmarkErrors embedded_benchmark(long cells, bool corrected);

/// A network in a closed box whose tissue (diffusivity 1) uses a solute at `rate` x value: every vessel has ten times
/// the wall conductance R / D, and a lumen value that falls from 1 to 0.5 along x.
struct NetworkField {
  double total = 0;  ///< exchanged [m^3/s]
  int iterations = 0;
  std::vector<double> value;  ///< means over the cells of `coarse`
};
/// Solves on cells `refine` times smaller than those of `coarse`, on this rank alone.
[[nodiscard]] NetworkField network_field(const VesselGraph& graph, const GridSpec& coarse, long refine, double rate,
                                         bool corrected);

/// Distance of each cell centre of a grid from the nearest vessel's axis, no more than `most` [m].
[[nodiscard]] std::vector<double> distance_from_vessels(const VesselGraph& graph, const GridSpec& spec, double most);

}  // namespace sanctuary::verification
