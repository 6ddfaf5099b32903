#pragma once
#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <numbers>

namespace sanctuary {

/// A probability with its complement, each accurate where it is small.
struct Tails {
  double lower = 0, upper = 1;
};

/// Standard normal distribution function and its complement.
[[nodiscard]] inline Tails normal_tails(double z) {
  return {0.5 * std::erfc(-z / std::numbers::sqrt2), 0.5 * std::erfc(z / std::numbers::sqrt2)};
}
/// Standard normal density.
[[nodiscard]] inline double normal_density(double z) {
  return std::exp(-0.5 * z * z) / std::sqrt(2 * std::numbers::pi);
}
/// Standard normal quantile, from the smaller of the two tails, which must be positive.
[[nodiscard]] inline double normal_quantile(Tails at) {
  return at.lower < at.upper ? -std::numbers::sqrt2 * boost::math::erfc_inv(2 * at.lower)
                             : std::numbers::sqrt2 * boost::math::erfc_inv(2 * at.upper);
}

}  // namespace sanctuary
