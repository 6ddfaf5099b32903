#include "cohort/design.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <boost/random/sobol.hpp>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <span>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "cohort/normal.hpp"

namespace sanctuary {
namespace {

constexpr unsigned bits = 32;  // of a Sobol coordinate and of its index
constexpr std::size_t most_dimensions = boost::random::default_sobol_table::max_dimension;
constexpr double least_pivot = 1e-12;

// Direction numbers of the Sobol sequence. The engine walks in Gray code: its point of index 2^k (it leaves out the
// point 0) is the sum without carry of direction numbers k and k - 1.
std::vector<std::uint32_t> direction_numbers(std::size_t dimensions) {
  std::vector<std::uint32_t> directions(bits * dimensions);
  boost::random::sobol_engine<std::uint32_t, bits> engine(dimensions);
  for (unsigned k = 0; k < bits; ++k) {
    engine.seed((1U << k) - 1);
    for (std::size_t i = 0; i < dimensions; ++i) {
      directions[bits * i + k] = engine() ^ (k == 0 ? 0 : directions[bits * i + k - 1]);
    }
  }
  return directions;
}

// Lower Cholesky factor of a symmetric matrix, both row by row; empty if it is not positive definite.
std::vector<double> cholesky(std::span<const double> matrix, std::size_t size) {
  std::vector<double> factor(size * size, 0);
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      const double* row = &factor[i * size];
      const double* other = &factor[j * size];
      const double rest = matrix[i * size + j] - std::inner_product(row, row + j, other, 0.0);
      if (i == j && !(rest > least_pivot)) return {};
      factor[i * size + j] = i == j ? std::sqrt(rest) : rest / other[j];
    }
  }
  return factor;
}

// Of a correlation matrix, by bisection: what can be taken off the diagonal before the factorisation fails.
double smallest_eigenvalue(const std::vector<double>& matrix, std::size_t size) {
  double low = -static_cast<double>(size), high = 1;
  for (int step = 0; step < 60; ++step) {
    const double middle = 0.5 * (low + high);
    std::vector<double> shifted = matrix;
    for (std::size_t i = 0; i < size; ++i) shifted[i * size + i] -= middle;
    (cholesky(shifted, size).empty() ? high : low) = middle;
  }
  return low;
}

}  // namespace

Design::Design(DesignPlan plan) : plan_(std::move(plan)) {
  std::set<std::string_view> seen;
  for (const std::string& key : plan_.keys) {
    if (!seen.insert(key).second) {
      throw InputError(fmt::format("{}: varies twice; expected each parameter once", key));
    }
  }
  check_blocks();
  if (plan_.kind == DesignKind::saltelli && !plan_.correlations.empty()) {
    throw InputError(
        "correlations in a Saltelli design; expected independent parameters, for which its indices are defined; remove "
        "the correlations or choose another design");
  }
  if (!plan_.correlations.empty()) factorise();
  if (plan_.kind == DesignKind::sobol || plan_.kind == DesignKind::saltelli) {
    const std::size_t dimensions = plan_.keys.size() * (plan_.kind == DesignKind::saltelli ? 2 : 1);
    if (dimensions > most_dimensions) {
      throw InputError(fmt::format("{} dimensions of a Sobol sequence; expected {} at most; let fewer parameters vary",
                                   dimensions, most_dimensions));
    }
    if (dimensions > 0) directions_ = direction_numbers(dimensions);
  }
}

void Design::check_blocks() const {
  if (plan_.kind != DesignKind::latin_hypercube) {
    if (!plan_.blocks.empty()) throw InputError("blocks of patients; expected them for a Latin hypercube alone");
    return;
  }
  if (plan_.blocks.empty()) throw InputError("a Latin hypercube without blocks; expected the number of patients");
  for (const std::uint64_t size : plan_.blocks) {
    if (size == 0 || size > (1ULL << 40)) {
      throw InputError(fmt::format("a block of {} patients of a Latin hypercube; expected 1 to 2^40", size));
    }
  }
}

void Design::factorise() {
  const std::size_t size = plan_.keys.size();
  std::vector<double> matrix(size * size, 0);
  for (std::size_t i = 0; i < size; ++i) matrix[i * size + i] = 1;
  std::set<std::pair<std::size_t, std::size_t>> seen;
  std::string names;
  for (const auto& [first, second, rho] : plan_.correlations) {
    if (first >= size || second >= size) {
      throw InputError(
          fmt::format("a correlation of parameters {} and {}; expected places below {}, the number of "
                      "parameters that vary",
                      first, second, size));
    }
    const std::string pair = fmt::format("{} and {}", plan_.keys[first], plan_.keys[second]);
    if (first == second) throw InputError(fmt::format("correlation of {}; expected two parameters", pair));
    if (!(std::abs(rho) < 1)) {
      throw InputError(
          fmt::format("correlation {} of {}; expected a number between -1 and 1, without these", shortest(rho), pair));
    }
    if (!seen.insert(std::minmax(first, second)).second) {
      throw InputError(fmt::format("correlation of {} is given twice; expected each pair once", pair));
    }
    matrix[first * size + second] = matrix[second * size + first] = rho;
    names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", pair, shortest(rho));
  }
  factor_ = cholesky(matrix, size);
  if (factor_.empty()) {
    throw InputError(
        fmt::format("the correlations of {} cannot hold together: the smallest eigenvalue of their matrix is {:.3g}; "
                    "expected a positive one; make them weaker",
                    names, smallest_eigenvalue(matrix, size)));
  }
}

std::vector<double> Design::uniforms(std::uint64_t patient) const {
  const std::size_t count = plan_.keys.size();
  std::vector<double> u(count);
  for (std::size_t i = 0; i < count; ++i) {
    switch (plan_.kind) {
      case DesignKind::monte_carlo:
        u[i] = RandomStream(plan_.seed, "vary." + plan_.keys[i]).uniform(patient);
        break;
      case DesignKind::latin_hypercube:
        u[i] = stratified(i, patient);
        break;
      case DesignKind::sobol:
        u[i] = scrambled(i, patient);
        break;
      case DesignKind::saltelli: {
        const std::uint64_t role = role_of(patient);
        u[i] = scrambled(role == 1 || role == 2 + i ? count + i : i, group_of(patient));
        break;
      }
    }
  }
  if (!factor_.empty()) correlate(u);
  return u;
}

void Design::correlate(std::vector<double>& u) const {
  const std::size_t size = u.size();
  std::vector<double> z(size);
  for (std::size_t i = 0; i < size; ++i) z[i] = normal_quantile({u[i], 1 - u[i]});
  for (std::size_t i = 0; i < size; ++i) {
    const double* row = &factor_[i * size];
    if (std::all_of(row, row + i, [](double entry) { return entry == 0; })) continue;  // stays as it was drawn
    const Tails at = normal_tails(std::inner_product(row, row + i + 1, z.begin(), 0.0));
    u[i] = std::clamp(at.lower < at.upper ? at.lower : 1 - at.upper, 0x1p-53, 1 - 0x1p-53);
  }
}

double Design::stratified(std::size_t parameter, std::uint64_t patient) const {
  const std::string purpose = "vary." + plan_.keys[parameter];
  std::uint64_t index = patient;
  std::size_t block = 0;
  while (block < plan_.blocks.size() && index >= plan_.blocks[block]) index -= plan_.blocks[block++];
  if (block == plan_.blocks.size()) {
    throw InputError(fmt::format("patient {} of a Latin hypercube; expected one below {}, the number of its patients",
                                 patient, patient - index));
  }
  const auto size = static_cast<double>(plan_.blocks[block]);
  const auto stratum = static_cast<double>(
      permuted(index, plan_.blocks[block], plan_.seed, fmt::format("{}.stratum.{}", purpose, block)));
  double u = (stratum + RandomStream(plan_.seed, purpose).uniform(patient)) / size;
  while (u * size >= stratum + 1) u = std::nextafter(u, 0);  // rounding must not cross into another stratum
  while (u * size < stratum) u = std::nextafter(u, 1);
  return u;
}

// Nested uniform scrambling (Owen 1995): whether a bit is flipped is drawn for the bits before it. Two of the 2^32
// points never share all 32 bits, so what lies below these is a plain random number.
double Design::scrambled(std::size_t dimension, std::uint64_t index) const {
  if (index >> bits != 0) {
    throw InputError(fmt::format("point {} of a Sobol sequence; expected one below 2^{}", index, bits));
  }
  std::uint32_t point = 0;
  for (unsigned k = 0; k < bits; ++k) {
    if (((index >> k) & 1) != 0) point ^= directions_[bits * dimension + k];
  }
  const RandomStream flips(plan_.seed, fmt::format("sobol.{}", dimension));
  std::uint64_t node = 1;  // of the binary tree of leading bits
  std::uint64_t digits = 0;
  for (unsigned k = 0; k < bits; ++k) {
    const std::uint64_t bit = (point >> (bits - 1 - k)) & 1;
    digits = 2 * digits + (bit ^ flips.below(node, 2));
    node = 2 * node + bit;
  }
  constexpr unsigned low_bits = 20;  // 52 bits and a half are exact, and neither 0 nor 1
  digits = (digits << low_bits) + flips.below(node, 1U << low_bits);
  return (static_cast<double>(digits) + 0.5) * 0x1p-52;
}

std::uint64_t seed_for(std::uint64_t seed, std::uint64_t patient, std::string_view purpose) {
  return RandomStream(seed, purpose).below(patient, 1ULL << 53);
}

std::uint64_t permuted(std::uint64_t index, std::uint64_t size, std::uint64_t seed, std::string_view purpose) {
  if (size < 2) return 0;
  // Two halves of equal width that hold the numbers below `size` at least, and less than four times as many.
  const auto width = static_cast<unsigned>(std::bit_width(size - 1) + 1) / 2;
  const std::uint64_t mask = (1ULL << width) - 1;
  const RandomStream stream(seed, purpose);
  constexpr std::uint64_t rounds = 12;
  do {
    std::uint64_t left = index >> width, right = index & mask;
    for (std::uint64_t round = 0; round < rounds; ++round) {
      left ^= stream.below((round << 32) | right, mask + 1);
      std::swap(left, right);
    }
    index = (left << width) | right;
  } while (index >= size);
  return index;
}

}  // namespace sanctuary
