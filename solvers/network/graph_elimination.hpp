#pragma once
#include <array>
#include <span>
#include <vector>

namespace sanctuary {

/// Elimination of nodes of a weighted graph: sum_e w_e (x_i - x_j) + s_i x_i = b_i with w, s >= 0. A node is replaced
/// by edges between its neighbours (star to mesh), without any subtraction, so that each weight of what is left is
/// exact to rounding whatever the contrast (Grassmann, Taksar & Heyman 1985, Oper Res 33:1107). Nodes of lowest degree
/// go first, up to a largest degree. On one rank; the pattern is worked out once, values may change.
class GraphElimination {
 public:
  GraphElimination() = default;
  /// `edges` without loops and repetition; `locked` nodes stay.
  GraphElimination(std::size_t nodes, std::vector<std::array<int, 2>> edges, std::vector<char> locked,
                   int largest_degree);

  /// Nodes that are left, rising, and the edges among them: numbers into `edges()` and `weights()`.
  [[nodiscard]] const std::vector<int>& left() const { return left_; }
  [[nodiscard]] const std::vector<int>& edges_left() const { return edges_left_; }
  [[nodiscard]] const std::array<int, 2>& edge(int number) const { return edges_[static_cast<std::size_t>(number)]; }
  /// Weights of the given edges and s of the nodes in; weights of all edges and s after the elimination follow.
  void eliminate(std::span<const double> weights, std::span<const double> excess);
  [[nodiscard]] double weight(int number) const { return weight_[static_cast<std::size_t>(number)]; }
  [[nodiscard]] double excess(int node) const { return excess_[static_cast<std::size_t>(node)]; }
  /// Right-hand sides of the nodes left from those of all; then values of the others from theirs.
  void forward(std::span<double> b) const;
  void backward(std::span<double> x) const;
  [[nodiscard]] std::size_t memory() const;

 private:
  struct Step {
    int node;
    std::size_t neighbours, targets;  // where its lists begin
    double inverse;
  };
  std::size_t given_ = 0;
  std::vector<std::array<int, 2>> edges_;
  std::vector<Step> steps_;
  std::vector<int> neighbour_, edge_of_;  // of each step: neighbours, edges to them
  std::vector<int> target_;               // of each pair of neighbours: the edge between them
  std::vector<double> share_;
  std::vector<int> left_, edges_left_;
  std::vector<double> weight_, excess_;
};

/// The same system solved on all its nodes: sparse elimination up to a degree, dense for the rest.
class GraphSolver {
 public:
  GraphSolver() = default;
  GraphSolver(std::size_t nodes, std::vector<std::array<int, 2>> edges);
  /// Nodes that the dense part holds.
  [[nodiscard]] std::size_t dense_nodes() const { return sparse_.left().size(); }
  void set(std::span<const double> weights, std::span<const double> excess);
  /// b becomes the solution; a part that nothing holds keeps 0.
  void solve(std::span<double> b) const;
  [[nodiscard]] std::size_t memory() const;

 private:
  GraphElimination sparse_;
  std::vector<int> place_;               // of a node among those left
  std::vector<double> share_, inverse_;  // dense rows: shares that go to later nodes
};

}  // namespace sanctuary
