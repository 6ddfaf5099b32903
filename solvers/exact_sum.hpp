#pragma once
#include <mpi.h>

#include <array>
#include <bit>
#include <cstdint>
#include <span>

namespace sanctuary {

/// Exact sum of doubles: what it holds does not depend on the order of the terms nor on how they were spread over
/// ranks. A fixed-point number of the whole range of doubles in limbs of 32 bits, with room for carries (Kulisch 2002,
/// Advanced Arithmetic for the Digital Computer; Neal 2015, arXiv:1505.05571). 0.6 kB; holds up to 2^62 terms.
class ExactSum {
 public:
  /// Adds one value. Infinities and NaN are counted apart.
  void add(double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    const std::uint64_t exponent = bits >> 52 & 0x7ff;
    if (exponent == 0x7ff) [[unlikely]]
      return add_special(value);
    if (pending_ == most_pending) [[unlikely]]
      normalise();
    ++pending_;
    const std::uint64_t normal = exponent != 0;
    const std::uint64_t mantissa = (bits & 0xfffffffffffff) | normal << 52;
    const std::uint64_t shift = exponent - normal;  // in units of the least subnormal, 2^-1074
    const std::uint64_t low = mantissa << (shift & 31);
    const std::uint64_t high = mantissa >> 1 >> (63 - (shift & 31));
    const std::int64_t sign = -static_cast<std::int64_t>(bits >> 63);  // 0 or -1
    std::int64_t* limb = &limb_[shift >> 5];
    limb[0] += (static_cast<std::int64_t>(low & 0xffffffff) ^ sign) - sign;
    limb[1] += (static_cast<std::int64_t>(low >> 32) ^ sign) - sign;
    limb[2] += (static_cast<std::int64_t>(high) ^ sign) - sign;
  }
  /// Adds many values; several times faster than one by one.
  void add(std::span<const double> values);
  /// Adds another sum.
  void add(const ExactSum& other);
  /// The sum rounded once, to nearest, ties to even; infinite where the rounded sum does not fit. A zero sum is +0.
  /// With infinities among the terms: that infinity; NaN if both, or if a term was NaN.
  [[nodiscard]] double value() const;
  /// Back to zero.
  void clear() { *this = ExactSum{}; }
  /// Replaces each sum by its sum over the ranks of `comm`; every rank gives the same number of sums. One Allreduce of
  /// 0.6 kB per sum. Collective.
  static void reduce(MPI_Comm comm, std::span<ExactSum> sums);

 private:
  static constexpr std::size_t limbs = 68;  // 66 for the doubles, 2 for the carries
  static constexpr std::int64_t most_pending = (std::int64_t{1} << 31) - 2;

  void add_special(double value);
  void normalise();

  std::array<std::int64_t, limbs> limb_{};  // each at most pending_ x (2^32 - 1) in magnitude, but for the last
  std::array<std::int64_t, 3> special_{};   // numbers of NaN, +infinity, -infinity
  std::int64_t pending_ = 0;
};

/// Exact sum of all values of all ranks, rounded once. Collective.
[[nodiscard]] double exact_sum_over(MPI_Comm comm, std::span<const double> values);

}  // namespace sanctuary
