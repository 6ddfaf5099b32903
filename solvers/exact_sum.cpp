#include "solvers/exact_sum.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "solvers/simd.hpp"

namespace sanctuary {
namespace {

constexpr std::size_t lanes = 8;
constexpr std::size_t terms = 3;
constexpr std::size_t block = 64 * lanes;
using Lanes = double __attribute__((vector_size(lanes * sizeof(double))));
using Flags = std::int64_t __attribute__((vector_size(lanes * sizeof(double))));

/// In each lane a sum kept as unevaluated terms of falling size.
struct Expansion {
  Lanes term[terms] = {};
};

/// Adds a block to the expansion by error-free additions (Knuth's two-sum). False if something did not fit: digits fell
/// below the last term, or the sum is not finite; the expansion is then unchanged.
SANCTUARY_CLONES bool add_block(const double* values, Expansion& expansion) {
  Lanes a = expansion.term[0], b = expansion.term[1], c = expansion.term[2];
  Flags lost = {};
  for (std::size_t i = 0; i < block; i += lanes) {
    Lanes x, sum, part;
    std::memcpy(&x, values + i, sizeof x);
    sum = a + x, part = sum - a, x = (a - (sum - part)) + (x - part), a = sum;
    sum = b + x, part = sum - b, x = (b - (sum - part)) + (x - part), b = sum;
    sum = c + x, part = sum - c, x = (c - (sum - part)) + (x - part), c = sum;
    lost |= x != 0;  // also where x is not a number
  }
  std::int64_t any = 0;
  for (std::size_t l = 0; l < lanes; ++l) any |= lost[l];
  if (any != 0) return false;
  expansion.term[0] = a, expansion.term[1] = b, expansion.term[2] = c;
  return true;
}

}  // namespace

void ExactSum::add(std::span<const double> values) {
  Expansion expansion;
  const auto flush = [&] {
    for (const Lanes& term : expansion.term) {
      for (std::size_t l = 0; l < lanes; ++l) add(term[l]);
    }
    expansion = {};
  };
  std::size_t next = 0;
  for (; next + block <= values.size(); next += block) {
    if (add_block(values.data() + next, expansion)) continue;
    flush();
    for (std::size_t i = next; i < next + block; ++i) add(values[i]);
  }
  if (next > 0) flush();
  for (; next < values.size(); ++next) add(values[next]);
}

void ExactSum::add(const ExactSum& other) {
  if (pending_ + other.pending_ > most_pending) {
    normalise();
    if (pending_ + other.pending_ > most_pending) {
      ExactSum copy = other;
      copy.normalise();
      return add(copy);
    }
  }
  for (std::size_t l = 0; l < limbs; ++l) limb_[l] += other.limb_[l];
  for (std::size_t s = 0; s < special_.size(); ++s) special_[s] += other.special_[s];
  pending_ += other.pending_;
}

void ExactSum::add_special(double value) { ++special_[std::isnan(value) ? 0 : value > 0 ? 1 : 2]; }

/// Brings every limb but the last into [0, 2^32); the last holds the sign.
void ExactSum::normalise() {
  for (std::size_t l = 0; l + 1 < limbs; ++l) {
    limb_[l + 1] += limb_[l] >> 32;
    limb_[l] &= 0xffffffff;
  }
  pending_ = 1;
}

double ExactSum::value() const {
  if (special_[0] > 0 || (special_[1] > 0 && special_[2] > 0)) return std::numeric_limits<double>::quiet_NaN();
  if (special_[1] > 0) return std::numeric_limits<double>::infinity();
  if (special_[2] > 0) return -std::numeric_limits<double>::infinity();
  ExactSum sum = *this;
  sum.normalise();
  const bool negative = sum.limb_.back() < 0;
  if (negative) {
    for (auto& limb : sum.limb_) limb = -limb;
    sum.normalise();
  }
  std::size_t top = limbs;
  while (top > 0 && sum.limb_[top - 1] == 0) --top;
  if (top == 0) return 0;
  --top;
  const auto limb = [&](std::size_t below) {
    return below <= top ? static_cast<std::uint64_t>(sum.limb_[top - below]) : std::uint64_t{0};
  };
  // The 64 leading bits, and whether anything stands below them.
  const int zeros = std::countl_zero(static_cast<std::uint32_t>(limb(0)));
  const std::uint64_t leading = (limb(0) << 32 | limb(1)) << zeros | limb(2) >> (32 - zeros);
  bool below = (limb(2) & ((std::uint64_t{1} << (32 - zeros)) - 1)) != 0;
  for (std::size_t l = 3; l <= top && !below; ++l) below = limb(l) != 0;

  // Numbers below 2^-1021 have fewer than 53 bits: nothing is rounded, and ldexp shifts only zeros out.
  std::uint64_t mantissa = leading >> 11;
  const std::uint64_t rest = leading & 0x7ff, half = 0x400;
  if (rest > half || (rest == half && (below || (mantissa & 1) != 0))) ++mantissa;
  const int exponent = 32 * static_cast<int>(top) + 31 - zeros - 52 - 1074;
  const double size = std::ldexp(static_cast<double>(mantissa), exponent);
  return negative ? -size : size;
}

void ExactSum::reduce(MPI_Comm comm, std::span<ExactSum> sums) {
  constexpr std::size_t each = limbs + 3;
  thread_local std::vector<std::int64_t> all;  // kept: sums are taken in every iteration
  all.clear();
  all.reserve(sums.size() * each);
  for (ExactSum& sum : sums) {
    sum.normalise();
    all.insert(all.end(), sum.limb_.begin(), sum.limb_.end());
    all.insert(all.end(), sum.special_.begin(), sum.special_.end());
  }
  MPI_Allreduce(MPI_IN_PLACE, all.data(), static_cast<int>(all.size()), MPI_INT64_T, MPI_SUM, comm);
  const std::int64_t* next = all.data();
  for (ExactSum& sum : sums) {
    for (auto& limb : sum.limb_) limb = *next++;
    for (auto& count : sum.special_) count = *next++;
    sum.normalise();
  }
}

double exact_sum_over(MPI_Comm comm, std::span<const double> values) {
  ExactSum sum;
  sum.add(values);
  ExactSum::reduce(comm, {&sum, 1});
  return sum.value();
}

}  // namespace sanctuary
