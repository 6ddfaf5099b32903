#pragma once
#include <cmath>

namespace sanctuary {

/// Bernoulli function x/(e^x - 1): 1 at 0, without overflow or loss of digits.
[[nodiscard]] inline double bernoulli(double x) {
  if (std::abs(x) < 1e-4) return 1 - x / 2 + x * x / 12;
  return x > 700 ? 0.0 : x / std::expm1(x);
}

}  // namespace sanctuary
