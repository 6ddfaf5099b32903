#pragma once
#include "solvers/operator.hpp"

namespace sanctuary {

/// Solves A u = f by factorising the assembled matrix, refined with residuals in extended precision until it stops
/// getting better. On one rank only.
[[nodiscard]] VecHandle direct_solution(const CellOperator& op, Vec f);

}  // namespace sanctuary
