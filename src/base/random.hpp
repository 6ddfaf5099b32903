#pragma once
#include <Random123/philox.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace sanctuary {

/// 64-bit FNV-1a hash of a text: the same on every machine.
[[nodiscard]] constexpr std::uint64_t stable_hash(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3ULL;
  }
  return hash;
}

/// Random draws without state: draw number `counter` of a purpose is the same whatever rank asks for it and in what
/// order. Philox 4x64 (Salmon et al. 2011, SC11) of Random123, keyed by seed and purpose (`"network.radius"`).
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view purpose) : key_{{seed, stable_hash(purpose)}} {}

  /// Uniform in the open interval (0, 1).
  [[nodiscard]] double uniform(std::uint64_t counter) const { return open_unit(block(counter)[0]); }
  /// Uniform in (lowest, highest).
  [[nodiscard]] double uniform(std::uint64_t counter, double lowest, double highest) const {
    return lowest + (highest - lowest) * uniform(counter);
  }
  /// Uniform integer in [0, count), count > 0; bias below count / 2^64.
  [[nodiscard]] std::uint64_t below(std::uint64_t counter, std::uint64_t count) const {
    return static_cast<std::uint64_t>((static_cast<Wide>(block(counter)[0]) * count) >> 64);
  }
  /// Standard normal (Box-Muller).
  [[nodiscard]] double normal(std::uint64_t counter) const {
    const auto words = block(counter);
    return std::sqrt(-2.0 * std::log(open_unit(words[0]))) * std::cos(2.0 * std::numbers::pi * open_unit(words[1]));
  }
  /// Log-normal with this median; `sigma` is the standard deviation of the logarithm.
  [[nodiscard]] double lognormal(std::uint64_t counter, double median, double sigma) const {
    return median * std::exp(sigma * normal(counter));
  }

 private:
  __extension__ using Wide = unsigned __int128;
  using Philox = r123::Philox4x64;
  [[nodiscard]] std::array<std::uint64_t, 4> block(std::uint64_t counter) const {
    const Philox::ctr_type words = Philox()(Philox::ctr_type{{counter, 0, 0, 0}}, key_);
    return {words[0], words[1], words[2], words[3]};
  }
  // The 52 high bits and a half: 2^-53 at least, 1 - 2^-53 at most, both exact.
  static double open_unit(std::uint64_t bits) { return (static_cast<double>(bits >> 12) + 0.5) * 0x1p-52; }

  Philox::key_type key_;
};

}  // namespace sanctuary
