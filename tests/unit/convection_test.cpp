#include "solvers/network/convection.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "tissue/vessel_wall.hpp"

namespace sanctuary {
namespace {

TEST(UpstreamWeight, IsThatOfTheExponentialProfile) {
  // Mean of the profile from 1 (upstream) to e^-kappa: (1 - e^-kappa)/kappa = weight + (1 - weight) e^-kappa.
  for (const double kappa : {-30.0, -2.0, -0.01, 0.01, 0.5, 3.0, 30.0}) {
    const double w = upstream_weight(kappa), end = std::exp(-kappa);
    EXPECT_NEAR((w + (1 - w) * end) / std::max(1.0, end), -std::expm1(-kappa) / kappa / std::max(1.0, end), 1e-13);
  }
  EXPECT_DOUBLE_EQ(upstream_weight(0), 0.5);
  EXPECT_NEAR(upstream_weight(0.9999e-3), upstream_weight(1.0001e-3), 1e-7);
  EXPECT_NEAR(upstream_weight(1000), 1e-3, 1e-15);
  EXPECT_NEAR(upstream_weight(-1000), 1 - 1e-3, 1e-15);
  EXPECT_NEAR(upstream_weight(2) + upstream_weight(-2), 1, 1e-15);
}

TEST(SetConvection, CarriesFromTheEndTheFlowComesFrom) {
  PieceCoefficients p;
  p.to_tissue = p.from_tissue = 1;
  set_convection(5, 4, p);  // forward, losing 1
  EXPECT_EQ(p.enter, (std::array{5.0, 0.0}));
  EXPECT_EQ(p.leave, (std::array{0.0, 4.0}));
  EXPECT_EQ(p.upstream, 0);
  EXPECT_NEAR(p.weight, upstream_weight((1 - 1) / 4.5), 1e-15);
  set_convection(-4, -5, p);  // backward: the mirror image
  EXPECT_EQ(p.enter, (std::array{0.0, 5.0}));
  EXPECT_EQ(p.leave, (std::array{4.0, 0.0}));
  EXPECT_EQ(p.upstream, 1);
  EXPECT_NEAR(p.weight, 0.5, 1e-15);
  set_convection(3, -2, p);  // from both ends, all filtered
  EXPECT_EQ(p.enter, (std::array{3.0, 2.0}));
  EXPECT_EQ(p.leave, (std::array{0.0, 0.0}));
  EXPECT_EQ(p.upstream, -1);
  EXPECT_EQ(p.weight, 0);
  set_convection(-3, 2, p);  // to both ends
  EXPECT_EQ(p.enter, (std::array{0.0, 0.0}));
  EXPECT_EQ(p.leave, (std::array{3.0, 2.0}));
  EXPECT_EQ(p.upstream, -1);
}

TEST(SetConvection, RoundingAtADeadEndDoesNotSayFromWhereAPieceIsFed) {
  std::vector<double> weight;
  for (const double rest : {0.0, 1e-15, -1e-15}) {
    PieceCoefficients p;
    p.to_tissue = 2;
    set_convection(5, rest, p);
    EXPECT_EQ(p.upstream, 0);
    weight.push_back(p.weight);
    set_convection(rest, -5, p);
    EXPECT_EQ(p.upstream, 1);
    weight.push_back(p.weight);
  }
  EXPECT_GT(weight[0], 0.1);
  for (const double w : weight) EXPECT_NEAR(w, weight[0], 1e-12);
}

TEST(SetConvection, TakesNoMoreFromUpstreamThanEnters) {
  for (const double out : {0.01, 1.0, 2.0, 9.0}) {  // strong filtration to strong reabsorption
    for (const double to : {1e-3, 1.0, 50.0, 1e6}) {
      PieceCoefficients p;
      p.to_tissue = to;
      set_convection(2, out, p);
      EXPECT_GE(p.weight, 0);
      EXPECT_LE(p.weight, 1);
      EXPECT_LE(p.weight * to, 2 * (1 + 1e-15)) << to << " " << out;
    }
  }
}

TEST(Convection, TissueBehindTheWallIsInSeriesWithIt) {
  // Wall: q = 2 c_v - 2 c_w; tissue of conductance D/r = 3: 1 / (1/2 + 1/3) = 1.2 without flow.
  PieceCoefficients piece{.to_tissue = 2, .from_tissue = 2};
  set_tissue(6, 2, 0, piece);
  EXPECT_NEAR(piece.to_cells(), 1.2, 1e-14);
  EXPECT_EQ(piece.from_tissue, 2);
  // A flow of 1.5 that the wall lets through whole (a_v - a_t = J), Pe = 0.5: a constant is carried as J times it.
  PieceCoefficients carried{.to_tissue = 2 + 1.5, .from_tissue = 2};
  set_tissue(6, 2, 1.5, carried);
  const double behind = 1 + carried.from_tissue * carried.resistance / carried.diffusivity;
  EXPECT_NEAR((carried.to_tissue - carried.from_tissue) / behind, 1.5, 1e-13);
  // By hand: b_w = J e^Pe / (e^Pe - 1) = 3.812241, q at c_v = 1, c = 0: 3.5 / (1 + 2 / b_w) = 2.295645.
  EXPECT_NEAR(carried.to_cells(), 2.295645, 1e-6);
}

/// Eight vessels in a row of cells, branching, with coefficients of any size and direction of flow.
class Matrices : public ::testing::Test {
 protected:
  void SetUp() override {
    VesselGraph graph;
    const double um = 1e-6;
    for (int i = 0; i < 5; ++i) graph.add_node({(5 + 22.0 * i) * um, 12 * um, (4 + 9.0 * (i % 2)) * um}, i);
    for (int i = 0; i < 4; ++i) graph.add_node({(9 + 21.0 * i) * um, 31 * um, 14 * um}, 5 + i);
    int id = 0;
    for (int i = 0; i < 4; ++i) graph.add_segment(i, i + 1, 4 * um, id++);
    for (int i = 0; i < 4; ++i) graph.add_segment(i, 5 + i, 3 * um, id++);
    spec_ = {{0, 0, 0}, {20 * um, 20 * um, 20 * um}, {5, 2, 1}};
    grid_ = std::make_unique<Grid>(MPI_COMM_SELF, spec_);
    cut_ = cut_at_faces(*grid_, graph);
    embedded_ = std::make_unique<EmbeddedNetwork>(*grid_, cut_);
    ASSERT_GT(cut_.pieces(), 10u);
    matrices_ = std::make_unique<NetworkMatrices>(*embedded_, ExchangeForm::by_cell);
    pieces_.resize(cut_.pieces());
    outflow_.assign(cut_.nodes(), 0.0);
    std::uniform_real_distribution<double> any(-1, 1), size(-3, 3);
    for (auto& p : pieces_) {
      const WallFlux flux = patlak_flux(any(random_), std::pow(10, size(random_)), 0.5 * (1 + any(random_)));
      p.to_tissue = 0.25 * flux.vessel;
      p.from_tissue = flux.tissue;
      p.volume = std::pow(10, size(random_));
      p.diffusion = 0.1 * (1 + any(random_));
      const double flow = 3 * any(random_), leak = any(random_);
      set_convection(flow + 0.5 * leak, flow - 0.5 * leak, p);
    }
    for (auto& q : outflow_) q = 1 + any(random_);
  }
  /// Entries by row and column; checks that all off the diagonal are not positive.
  static std::map<std::pair<PetscInt, PetscInt>, double> entries(Mat any) {
    std::map<std::pair<PetscInt, PetscInt>, double> all;
    MatHandle whole;  // some are known by their products alone
    petsc(MatComputeOperator(any, MATAIJ, whole.out()));
    Mat m = whole.get();
    PetscInt first = 0, last = 0;
    petsc(MatGetOwnershipRange(m, &first, &last));
    for (PetscInt row = first; row < last; ++row) {
      PetscInt n = 0;
      const PetscInt* columns = nullptr;
      const PetscScalar* values = nullptr;
      petsc(MatGetRow(m, row, &n, &columns, &values));
      for (PetscInt i = 0; i < n; ++i) all[{row, columns[i]}] += values[i];
      petsc(MatRestoreRow(m, row, &n, &columns, &values));
    }
    return all;
  }
  static double largest(const std::map<std::pair<PetscInt, PetscInt>, double>& all) {
    double most = 0;
    for (const auto& [place, value] : all) most = std::max(most, std::abs(value));
    return most;
  }

  std::mt19937 random_{7};
  GridSpec spec_;
  std::unique_ptr<Grid> grid_;
  CutNetwork cut_;
  std::unique_ptr<EmbeddedNetwork> embedded_;
  std::unique_ptr<NetworkMatrices> matrices_;
  std::vector<PieceCoefficients> pieces_;
  std::vector<double> outflow_;
};

TEST_F(Matrices, HaveNoPositiveEntryOffTheDiagonal) {
  matrices_->assemble(pieces_, outflow_, 0.7);
  for (const auto& [place, value] : entries(matrices_->network())) {
    if (place.first == place.second) {
      EXPECT_GT(value, 0);
    } else {
      EXPECT_LE(value, 0);
    }
  }
  for (const auto& [place, value] : entries(matrices_->to_cells())) EXPECT_LE(value, 0);
  for (const auto& [place, value] : entries(matrices_->from_cells())) EXPECT_LE(value, 0);
  for (const double d : matrices_->cell_diagonal()) EXPECT_GE(d, 0);
}

TEST_F(Matrices, ConserveTheSoluteColumnByColumn) {
  // What one unknown loses another gains: a column sums to what is stored and what leaves the box.
  const double rate = 0.7;
  matrices_->assemble(pieces_, outflow_, rate);
  const auto n = entries(matrices_->network()), b = entries(matrices_->to_cells()),
             c = entries(matrices_->from_cells());
  std::vector<double> column(static_cast<std::size_t>(embedded_->local_unknowns(true)), 0.0);
  for (const auto* m : {&n, &b}) {
    for (const auto& [place, value] : *m) column[static_cast<std::size_t>(place.second)] += value;
  }
  const double tiny = 1e-12 * largest(n);
  for (std::size_t i = 0; i < outflow_.size(); ++i) {
    EXPECT_NEAR(column[static_cast<std::size_t>(embedded_->node_row(static_cast<long>(i), true))], outflow_[i], tiny);
  }
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    EXPECT_NEAR(column[static_cast<std::size_t>(embedded_->piece_row(i))], pieces_[i].volume * rate, tiny);
  }
  std::vector<double> cell = matrices_->cell_diagonal();
  for (const auto& [place, value] : c) cell[static_cast<std::size_t>(place.second)] += value;
  for (const double sum : cell) EXPECT_NEAR(sum, 0, tiny);
}

TEST_F(Matrices, RowsOfTightBalancedVesselsDoNotSumToLessThanNothing) {
  // One unbranched vessel, the same flow in each piece, exchange alike both ways: a constant is carried unchanged.
  for (auto& p : pieces_) {
    p.to_tissue = p.from_tissue = 0.3;
    set_convection(0, 0, p);
  }
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    if (cut_.piece_segment[i] < 4) set_convection(2, 2, pieces_[i]);
  }
  std::fill(outflow_.begin(), outflow_.end(), 0.0);
  for (std::size_t i = 0; i < outflow_.size(); ++i) {
    if (i == 4) outflow_[i] = 2;
  }
  matrices_->assemble(pieces_, outflow_, 0);
  std::map<PetscInt, double> row;
  for (const auto& [place, value] : entries(matrices_->network())) row[place.first] += value;
  for (const auto& [place, value] : entries(matrices_->from_cells())) row[place.first] += value;
  const PetscInt inlet = embedded_->node_row(0, true);
  for (const auto& [at, sum] : row) EXPECT_NEAR(sum, at == inlet ? 2 : 0, 1e-13) << at;
}

TEST_F(Matrices, ExchangeTakesFromTheBloodWhatTheCellsGain) {
  std::fill(outflow_.begin(), outflow_.end(), 0.0);
  matrices_->assemble(pieces_, outflow_, 0);
  std::uniform_real_distribution<double> any(0, 1);
  const VecHandle cells = grid_->vector(), out = grid_->vector();
  VecHandle network, gain;
  petsc(MatCreateVecs(matrices_->network(), network.out(), gain.out()));
  {
    const WriteAccess c(cells.get()), u(network.get());
    for (std::size_t i = 0; i < grid_->local_cells(); ++i) c[i] = any(random_);
    for (PetscInt i = 0; i < embedded_->local_unknowns(true); ++i) u[static_cast<std::size_t>(i)] = any(random_);
  }
  matrices_->exchange(cells.get(), network.get(), out.get());
  petsc(MatMult(matrices_->network(), network.get(), gain.get()));
  petsc(MatMultAdd(matrices_->from_cells(), cells.get(), gain.get(), gain.get()));
  double to_cells = 0, from_network = 0, size = 0;
  petsc(VecSum(out.get(), &to_cells));
  petsc(VecSum(gain.get(), &from_network));
  petsc(VecNorm(gain.get(), NORM_1, &size));
  EXPECT_GT(std::abs(to_cells), 1e-3 * size);
  EXPECT_NEAR(to_cells, from_network, 1e-13 * size);
}

}  // namespace
}  // namespace sanctuary
