#include "solvers/network/embedding.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "base/random.hpp"
#include "solvers/network/convection.hpp"

namespace sanctuary {
namespace {

const GridSpec spec{{1e-4, -2e-4, 0}, {1e-5, 2e-5, 1.5e-5}, {10, 6, 8}};

const Grid& grid() {
  static const Grid only(MPI_COMM_SELF, spec);
  return only;
}

std::array<double, 3> inside(double x, double y, double z) {  // shares of the box
  return {spec.origin[0] + x * 1e-4, spec.origin[1] + y * 1.2e-4, spec.origin[2] + z * 1.2e-4};
}

VesselGraph random_graph(int segments, std::uint64_t seed) {
  const RandomStream draws(seed, "embedding_test");
  VesselGraph graph;
  for (int i = 0; i <= segments; ++i) {
    const auto n = static_cast<std::uint64_t>(3 * i);
    graph.add_node(inside(draws.uniform(n), draws.uniform(n + 1), draws.uniform(n + 2)), i);
    if (i > 0) graph.add_segment(static_cast<long>(draws.below(10000 + n, static_cast<std::uint64_t>(i))), i, 3e-6, i);
  }
  return graph;
}

std::array<double, 3> middle(const CutNetwork& cut, std::size_t p) {
  const auto& a = cut.node_position[static_cast<std::size_t>(cut.piece_nodes[p][0])];
  const auto& b = cut.node_position[static_cast<std::size_t>(cut.piece_nodes[p][1])];
  return {0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]), 0.5 * (a[2] + b[2])};
}

TEST(Embedding, PiecesKeepTheLengthAndLieInTheirCells) {
  VesselGraph graph = random_graph(200, 1);
  for (std::size_t s = 0; s < graph.length.size(); ++s)
    graph.length[s] *= 1 + 0.01 * static_cast<double>(s);  // tortuous
  const CutNetwork cut = cut_at_faces(grid(), graph);
  std::vector<double> length(graph.segment.size(), 0.0);
  std::vector<long> at(graph.segment.size());
  for (std::size_t s = 0; s < at.size(); ++s) at[s] = graph.segment[s][0];
  for (std::size_t p = 0; p < cut.pieces(); ++p) {
    const auto s = static_cast<std::size_t>(cut.piece_segment[p]);
    length[s] += cut.piece_length[p];
    EXPECT_EQ(cut.piece_nodes[p][0], at[s]) << "pieces of a segment follow each other";
    at[s] = cut.piece_nodes[p][1];
    for (const long n : cut.piece_nodes[p]) {
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const double x =
            (cut.node_position[static_cast<std::size_t>(n)][axis] - spec.origin[axis]) / spec.spacing[axis];
        EXPECT_GE(x, static_cast<double>(cut.piece_cell[p][axis]) - 1e-6);
        EXPECT_LE(x, static_cast<double>(cut.piece_cell[p][axis]) + 1 + 1e-6);
      }
    }
  }
  for (std::size_t s = 0; s < at.size(); ++s) {
    EXPECT_NEAR(length[s], graph.length[s], 1e-14 * graph.length[s]);
    EXPECT_EQ(at[s], graph.segment[s][1]);
  }
  EXPECT_EQ(cut.own_graph_nodes, graph.position.size());
}

TEST(Embedding, CutsAStraightVesselOncePerFace) {
  VesselGraph graph;
  graph.add_node(inside(0, 0.55, 0.45), 1);
  graph.add_node(inside(1, 0.55, 0.45), 2);
  graph.add_segment(0, 1, 3e-6, 1);
  const CutNetwork cut = cut_at_faces(grid(), graph);
  ASSERT_EQ(cut.pieces(), 10U);
  for (std::size_t p = 0; p < 10; ++p) {
    EXPECT_EQ(cut.piece_cell[p], (std::array<long, 3>{static_cast<long>(p), 3, 3}));
    EXPECT_NEAR(cut.piece_length[p], 1e-5, 1e-16);
  }
}

TEST(Embedding, VesselsOnFacesEdgesAndWallsBelongToOneCell) {
  VesselGraph graph;
  graph.add_node(inside(0, 0.5, 0.5), 1);  // along a line where four cells meet
  graph.add_node(inside(1, 0.5, 0.5), 2);
  graph.add_node(inside(0, 1, 1), 3);  // along an edge of the box
  graph.add_node(inside(1, 1, 1), 4);
  graph.add_node(inside(0.5, 0, 0), 5);  // starts on a face, runs along it to a corner
  graph.add_node(inside(0.5, 1, 1), 6);
  graph.add_segment(0, 1, 3e-6, 1);
  graph.add_segment(2, 3, 3e-6, 2);
  graph.add_segment(4, 5, 3e-6, 3);
  const CutNetwork cut = cut_at_faces(grid(), graph);
  std::array<double, 3> length{};
  for (std::size_t p = 0; p < cut.pieces(); ++p) {
    EXPECT_GT(cut.piece_length[p], 0);
    length[static_cast<std::size_t>(cut.piece_segment[p])] += cut.piece_length[p];
    for (std::size_t axis = 0; axis < 3; ++axis) {
      EXPECT_GE(cut.piece_cell[p][axis], 0);
      EXPECT_LT(cut.piece_cell[p][axis], spec.cells[axis]);
      const double x = (middle(cut, p)[axis] - spec.origin[axis]) / spec.spacing[axis];
      EXPECT_NEAR(x, static_cast<double>(cut.piece_cell[p][axis]) + 0.5, 0.5 + 1e-6);
    }
  }
  EXPECT_NEAR(length[0], 1e-4, 1e-18);
  EXPECT_NEAR(length[1], 1e-4, 1e-18);
  EXPECT_NEAR(length[2], std::sqrt(2.0) * 1.2e-4, 1e-18);
}

TEST(Embedding, AVesselThroughCornersOfCellsHasNoSplinters) {
  VesselGraph graph;
  graph.add_node(inside(0, 0, 0), 1);
  graph.add_node({spec.origin[0] + 6e-5, spec.origin[1] + 12e-5, spec.origin[2] + 9e-5},
                 2);  // one cell each way per step
  graph.add_segment(0, 1, 3e-6, 1);
  const CutNetwork cut = cut_at_faces(grid(), graph);
  ASSERT_EQ(cut.pieces(), 6U);
  for (std::size_t p = 0; p < 6; ++p) EXPECT_EQ(cut.piece_cell[p][0], static_cast<long>(p));
}

TEST(Embedding, RefusesNodesOutsideTheBox) {
  VesselGraph graph;
  graph.add_node(inside(0.5, 0.5, 0.5), 7);
  graph.add_node(inside(1.01, 0.5, 0.5), 8);
  graph.add_segment(0, 1, 3e-6, 1);
  try {
    (void)cut_at_faces(grid(), graph);
    FAIL() << "must throw";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("node 8"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(" x "), std::string::npos) << error.what();
  }
}

TEST(Embedding, CutNodesCarryNoBoundaryCondition) {
  VesselGraph graph = random_graph(30, 4);
  graph.set_boundary(0, BoundaryKind::pressure, 100, 0.3, 5000);
  const CutNetwork cut = cut_at_faces(grid(), graph);
  EXPECT_EQ(cut.boundary[0], BoundaryKind::pressure);
  EXPECT_EQ(cut.boundary_haematocrit[0], 0.3);
  for (std::size_t n = cut.own_graph_nodes; n < cut.nodes(); ++n) EXPECT_EQ(cut.boundary[n], BoundaryKind::none);
}

TEST(Embedding, ScattersAndGathers) {
  const CutNetwork cut = cut_at_faces(grid(), random_graph(20, 5));
  const EmbeddedNetwork embedded(grid(), cut);
  std::vector<double> nodes(cut.nodes()), pieces(cut.pieces());
  for (std::size_t n = 0; n < nodes.size(); ++n) nodes[n] = static_cast<double>(n);
  for (std::size_t p = 0; p < pieces.size(); ++p) pieces[p] = -1 - static_cast<double>(p);
  VecHandle values;
  petsc(VecCreateMPI(MPI_COMM_SELF, embedded.local_unknowns(true), PETSC_DETERMINE, values.out()));
  embedded.set_values(nodes, pieces, values.get());
  EXPECT_EQ(embedded.node_values(values.get()), nodes);
  EXPECT_EQ(embedded.piece_values(values.get()), pieces);
}

TEST(Convection, WeightOfTheUpstreamValueIsThatOfAnExponential) {
  EXPECT_NEAR(upstream_weight(0), 0.5, 1e-15);
  for (const double kappa : {1e-4, 9.9e-4, 1.01e-3, 0.1, 2.0, 50.0, 900.0}) {
    // c(s) = e^{-kappa s}: mean = w + (1 - w) e^{-kappa}
    const double mean = -std::expm1(-kappa) / kappa, w = upstream_weight(kappa);
    EXPECT_NEAR(w + (1 - w) * std::exp(-kappa), mean, 1e-12) << kappa;
  }
}

TEST(NetworkMatrices, ArePositiveAndConserve) {
  const CutNetwork cut = cut_at_faces(grid(), random_graph(60, 6));
  const EmbeddedNetwork embedded(grid(), cut);
  const RandomStream draws(9, "matrices");
  std::vector<PieceCoefficients> pieces(cut.pieces());
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    PieceCoefficients& piece = pieces[p];
    const double flow = draws.uniform(4 * p, -1e-13, 1e-13), leak = draws.uniform(4 * p + 1, -3e-14, 3e-14);
    piece.to_tissue = draws.uniform(4 * p + 2, 0, 3e-13);
    piece.from_tissue = draws.uniform(4 * p + 3, 0, 3e-13);
    piece.volume = 1e-16;
    piece.diffusion = p % 3 == 0 ? 1e-15 : 0;
    set_convection(flow + 0.5 * leak, flow - 0.5 * leak, piece);
    const double in = piece.enter[0] + piece.enter[1];
    EXPECT_GE(piece.weight, 0);
    if (piece.upstream >= 0) {
      EXPECT_GE(piece.enter[static_cast<std::size_t>(piece.upstream)] - piece.weight * piece.to_tissue, -1e-27);
    } else {
      EXPECT_TRUE(in == 0 || (piece.enter[0] > 0 && piece.enter[1] > 0));
    }
  }
  NetworkMatrices matrices(embedded, ExchangeForm::by_cell);
  const std::vector<double> outflow(embedded.nodes(), 1e-14);
  matrices.assemble(pieces, outflow, 2.0);
  const auto rows = static_cast<PetscInt>(embedded.local_unknowns(true));
  std::vector<double> column_sum(static_cast<std::size_t>(rows), 0.0);
  for (PetscInt row = 0; row < rows; ++row) {
    PetscInt count = 0;
    const PetscInt* column = nullptr;
    const double* value = nullptr;
    petsc(MatGetRow(matrices.network(), row, &count, &column, &value));
    for (PetscInt k = 0; k < count; ++k) {
      EXPECT_TRUE(column[k] == row || value[k] <= 1e-27);
      column_sum[static_cast<std::size_t>(column[k])] += value[k];
    }
    petsc(MatRestoreRow(matrices.network(), row, &count, &column, &value));
  }
  MatHandle to_cells;
  petsc(MatComputeOperator(matrices.to_cells(), MATAIJ, to_cells.out()));
  // A column of N and B together: what a value at an unknown loses, others gain, but for storage, boundary and wall.
  for (PetscInt row = 0; row < static_cast<PetscInt>(grid().local_cells()); ++row) {
    PetscInt count = 0;
    const PetscInt* column = nullptr;
    const double* value = nullptr;
    petsc(MatGetRow(to_cells.get(), row, &count, &column, &value));
    for (PetscInt k = 0; k < count; ++k) {
      EXPECT_LE(value[k], 0);
      column_sum[static_cast<std::size_t>(column[k])] += value[k];
    }
    petsc(MatRestoreRow(to_cells.get(), row, &count, &column, &value));
  }
  for (std::size_t i = 0; i < embedded.nodes(); ++i) {
    const auto row = static_cast<std::size_t>(embedded.node_row(static_cast<long>(i), true));
    EXPECT_NEAR(column_sum[row], outflow[i], 1e-26);
  }
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    const auto row = static_cast<std::size_t>(embedded.piece_row(p));
    EXPECT_NEAR(column_sum[row], 2.0 * pieces[p].volume, 1e-26);
  }
}

}  // namespace
}  // namespace sanctuary
