#pragma once
#include <cstdint>
#include <string>

#include "solvers/operator.hpp"

namespace sanctuary {

/// How coefficients vary over a box.
enum class Texture { uniform, smooth, inclusions, independent };

/// What random problems may be like.
struct RandomLimits {
  long most_cells = 4000;  ///< in the box; along an axis 1 to 40
  double contrast = 1e6;   ///< of the diffusion coefficient
  double reaction = 1e6;   ///< first-order rate times h^2 over the median coefficient
  double peclet = 100;     ///< of a cell
};

/// A linear problem drawn at random. All of it follows from the seed and the place in the box, not from how the box is
/// cut into ranks. It always has a solution: a wall, a reaction or a flow that leaves holds it.
struct RandomProblem {
  std::uint64_t seed = 0;
  GridSpec spec;  ///< about one in five axes has one or two cells; anisotropy to 1:10
  Walls walls;    ///< any mix of the four kinds
  Texture texture = Texture::uniform;
  double contrast = 1;
  double peclet = 0;     ///< largest of any cell face; 0 in two thirds of the problems
  double reaction = 0;   ///< largest rate times h^2 over the median coefficient; 0 in a third of them
  bool patchy = false;   ///< the reaction is missing in half of the cells
  bool growing = false;  ///< the flow gains fluid on its way

  /// Sets the operator and the right-hand side with its wall sources. Collective.
  void build(CellOperator& op, Vec right) const;
  /// Diffusion coefficient, first-order rate and source of a cell of the box.
  [[nodiscard]] double coefficient(const std::array<long, 3>& cell) const;
  [[nodiscard]] double rate(const std::array<long, 3>& cell) const;
  [[nodiscard]] double source(const std::array<long, 3>& cell) const;
  /// One line for the message of a failing test.
  [[nodiscard]] std::string describe() const;
};

/// The problem of a seed.
[[nodiscard]] RandomProblem random_problem(std::uint64_t seed, const RandomLimits& limits = {});

}  // namespace sanctuary
