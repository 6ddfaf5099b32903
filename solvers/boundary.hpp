#pragma once
#include <array>

namespace sanctuary {

/// What happens at a wall of the box.
enum class WallKind {
  closed,    ///< no flux at all
  fixed,     ///< value given on the wall (Dirichlet)
  outflow,   ///< no diffusive flux; what flows out carries the value inside, what flows in carries the wall value
  exchange,  ///< Robin: flux per area = coefficient (value on the wall - value outside)
  flux,      ///< Neumann: given flux into the box per area [value m/s]; nothing else crosses
};

/// Wall conditions in the order -x, +x, -y, +y, -z, +z.
struct Walls {
  std::array<WallKind, 6> kind{};
  std::array<double, 6> value{};
  /// Exchange coefficient of Robin walls [m/s times capacity]; at least 0. A wall of coefficient 0 is closed.
  std::array<double, 6> coefficient{};
  /// All six walls alike.
  static Walls all(WallKind kind, double value = 0) {
    Walls walls;
    walls.kind.fill(kind);
    walls.value.fill(value);
    return walls;
  }
};

}  // namespace sanctuary
