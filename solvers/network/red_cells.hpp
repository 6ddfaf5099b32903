#pragma once
#include <memory>
#include <span>
#include <vector>

#include "solvers/network/blood_flow.hpp"

namespace sanctuary {

/// Local pieces at each own node: those of node n are piece[offset[n]] to piece[offset[n + 1] - 1].
struct PiecesAtNodes {
  std::vector<int> offset, piece;
  PiecesAtNodes() = default;
  explicit PiecesAtNodes(const CutNetwork& network);
};

/// Red cells carried from high to low pressure, and how they answer to changes of the flow. The order in which the
/// nodes had their turn is kept from the last sweep. Borrows all it is given. All functions are collective.
class RedCells {
 public:
  /// `radius` of each local piece [m].
  RedCells(const CutNetwork& network, const PiecesAtNodes& at_node, std::span<const double> radius,
           const BloodLaws& laws);
  RedCells(const RedCells&) = delete;
  RedCells& operator=(const RedCells&) = delete;
  ~RedCells();

  /// Red cells, plasma, protein and haematocrits from flows and leaks.
  void sweep(BloodFlow& state);

  /// Derivatives at the state of the last sweep, for given conductances. Sought are the changes dh of the haematocrits
  /// `used` that gave the conductances, with (1 + drag) dh = state.haematocrit - used + (change of state.haematocrit)
  /// for each local piece.
  void linearise(const BloodFlow& state, std::span<const double> used, std::span<const double> conductance,
                 std::span<const float> drag);
  /// Changes when the pressures of the local nodes change by `pressure`: `surplus` (own nodes) is the change of what
  /// leaves each node less what arrives [m^3/s]. With `change` (of each local piece): the changes of `used`; else the
  /// part of all that is linear in `pressure`. The state and what was used must still stand.
  void respond(std::span<const double> pressure, std::span<double> surplus, std::span<double> change = {}) const;

 private:
  class Relay;
  struct Feed;
  void find_passable(const BloodFlow& state, double least);
  void gather(std::size_t node, const BloodFlow& state, Feed& feed) const;
  void separate(double haematocrit, Feed& feed, std::span<double> out) const;
  void enter(std::size_t node, Feed& feed, BloodFlow& state) const;
  void differentiate(std::size_t node, Feed& feed, std::span<const double> conductance, std::span<const float> drag);

  const CutNetwork* network_;
  const PiecesAtNodes* at_node_;
  std::span<const double> radius_;
  const BloodLaws* laws_;
  std::unique_ptr<Relay> relay_;
  std::vector<char> passes_;       // red cells enter this piece
  std::vector<int> order_;         // own nodes that red cells leave, in the order of their turns
  std::vector<std::size_t> ends_;  // of the rounds between messages, in `order_`
  // Of the linearisation:
  struct Outflow {
    int piece, from, to;
    float conductance;
    float slope;  // change of |flow| with the haematocrit used, pressures fixed [m^3/s]
    float keep;   // 1 + drag
    float diameter;
  };
  struct Arriving {  // changes at a node
    float blood = 0, red_cells = 0, width = 0;
  };
  [[nodiscard]] Outflow outflow(std::size_t piece, std::span<const double> conductance,
                                std::span<const float> drag) const;
  const BloodFlow* state_ = nullptr;
  std::span<const double> used_;
  std::vector<Outflow> still_;              // pieces that no red cells enter
  std::vector<Outflow> out_;                // the others, node by node in order
  std::vector<int> outs_;                   // how many, of each node
  std::vector<float> offset_;               // change of the haematocrit used where no flow changes
  std::vector<float> coefficient_;          // of the nodes in order, see differentiate
  mutable std::vector<Arriving> arriving_;  // of the own nodes
};

}  // namespace sanctuary
