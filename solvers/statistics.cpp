#include "solvers/statistics.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;

/// The exact sum over all ranks of term(i), i below `count`.
template <class Term>
double sum_of_terms(MPI_Comm comm, std::size_t count, const Term& term) {
  std::array<double, 2048> buffer;
  ExactSum sum;
  for (std::size_t first = 0; first < count; first += buffer.size()) {
    const std::size_t size = std::min(buffer.size(), count - first);
    for (std::size_t i = 0; i < size; ++i) buffer[i] = term(first + i);
    sum.add(std::span<const double>(buffer.data(), size));
  }
  ExactSum::reduce(comm, {&sum, 1});
  return sum.value();
}

/// The owned entries of a vector, its communicator, and both together as arguments.
class Entries {
 public:
  explicit Entries(Vec vec) : access_(vec) {
    PetscInt size = 0;
    petsc(VecGetLocalSize(vec, &size));
    petsc(PetscObjectGetComm(reinterpret_cast<PetscObject>(vec), &comm_));
    values_ = {access_.data(), static_cast<std::size_t>(size)};
  }
  [[nodiscard]] MPI_Comm comm() const { return comm_; }
  [[nodiscard]] std::span<const double> values() const { return values_; }

 private:
  ReadAccess access_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  std::span<const double> values_;
};

/// A whole number that orders as doubles do; NaN apart.
std::uint64_t key_of(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value + 0.0);  // -0 becomes +0
  return (bits & sign_bit) != 0 ? ~bits : bits | sign_bit;
}
double value_of(std::uint64_t key) { return std::bit_cast<double>((key & sign_bit) != 0 ? key & ~sign_bit : ~key); }

void refuse_nan(std::span<const double> values, const char* where) {
  if (std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); }))
    throw InputError(std::string(where) + ": a value is not a number");
}

}  // namespace

double norm1(MPI_Comm comm, std::span<const double> values) {
  return sum_of_terms(comm, values.size(), [&](std::size_t i) { return std::abs(values[i]); });
}

double norm2(MPI_Comm comm, std::span<const double> values) {
  const double sum = sum_of_terms(comm, values.size(), [&](std::size_t i) { return values[i] * values[i]; });
  if (std::isnan(sum) || (sum > 0x1p-900 && sum < 0x1p1000)) return std::sqrt(sum);
  const double largest = norm_max(comm, values);
  if (largest == 0 || !std::isfinite(largest)) return largest;
  const int exponent = std::ilogb(largest);
  const double scaled = sum_of_terms(comm, values.size(), [&](std::size_t i) {
    const double v = std::scalbn(values[i], -exponent);
    return v * v;
  });
  return std::scalbn(std::sqrt(scaled), exponent);
}

double norm_max(MPI_Comm comm, std::span<const double> values) {
  // Magnitudes order as their bits do, NaN above infinity.
  std::uint64_t largest = 0;
  for (const double v : values) largest = std::max(largest, std::bit_cast<std::uint64_t>(v) & ~sign_bit);
  MPI_Allreduce(MPI_IN_PLACE, &largest, 1, MPI_UINT64_T, MPI_MAX, comm);
  const auto result = std::bit_cast<double>(largest);
  return std::isnan(result) ? std::numeric_limits<double>::quiet_NaN() : result;
}

double weighted_sum(MPI_Comm comm, std::span<const double> weights, std::span<const double> values) {
  assert(weights.size() == values.size());
  return sum_of_terms(comm, values.size(), [&](std::size_t i) { return weights[i] * values[i]; });
}

double integral(const Grid& grid, std::span<const double> values) {
  return exact_sum_over(grid.comm(), values) * grid.cell_volume();
}

double norm1(Vec values) {
  const Entries entries(values);
  return norm1(entries.comm(), entries.values());
}

double norm2(Vec values) {
  const Entries entries(values);
  return norm2(entries.comm(), entries.values());
}

double norm_max(Vec values) {
  const Entries entries(values);
  return norm_max(entries.comm(), entries.values());
}

double weighted_sum(Vec weights, Vec values) {
  const Entries weight(weights), entries(values);
  return weighted_sum(entries.comm(), weight.values(), entries.values());
}

double integral(const Grid& grid, Vec values) { return integral(grid, Entries(values).values()); }

Histogram histogram(MPI_Comm comm, std::span<const double> values, std::span<const double> weights,
                    std::span<const double> edges) {
  assert(weights.empty() || weights.size() == values.size());
  together(comm, [&] {
    for (std::size_t e = 1; e < edges.size(); ++e) {
      if (!(edges[e - 1] < edges[e])) throw InputError("histogram: the edges of the bins do not rise");
    }
    if (edges.size() < 2) throw InputError("histogram: at least two edges are needed");
    refuse_nan(values, "histogram");
  });
  std::vector<ExactSum> sums(edges.size() + 1);  // below, bins, above
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto bin = static_cast<std::size_t>(std::upper_bound(edges.begin(), edges.end(), values[i]) - edges.begin());
    if (values[i] == edges.back()) --bin;
    sums[bin].add(weights.empty() ? 1.0 : weights[i]);
  }
  ExactSum::reduce(comm, sums);
  Histogram result;
  result.below = sums.front().value();
  result.above = sums.back().value();
  for (std::size_t bin = 1; bin < edges.size(); ++bin) result.inside.push_back(sums[bin].value());
  return result;
}

std::vector<double> quantiles(MPI_Comm comm, std::span<const double> values, std::span<const double> weights,
                              std::span<const double> fractions) {
  assert(weights.empty() || weights.size() == values.size());
  struct Candidate {
    std::uint64_t key;
    double weight;
  };
  std::vector<Candidate> candidates;
  together(comm, [&] {
    for (const double q : fractions) {
      if (!(q >= 0 && q <= 1)) throw InputError("quantiles: a fraction is not in [0, 1]");
    }
    refuse_nan(values, "quantiles");
    candidates.reserve(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double weight = weights.empty() ? 1.0 : weights[i];
      if (!(weight >= 0 && std::isfinite(weight))) throw InputError("quantiles: a weight is negative or not finite");
      if (weight > 0) candidates.push_back({key_of(values[i]), weight});
    }
  });
  const double total = sum_of_terms(comm, candidates.size(), [&](std::size_t i) { return candidates[i].weight; });
  if (!(total > 0 && std::isfinite(total))) throw InputError("quantiles: the total weight is 0 or not finite");

  // Leading bits that all values share; where the keys lie then needs fewer passes.
  std::array<std::uint64_t, 2> ends{0, 0};  // largest of ~key and of key
  for (const Candidate& c : candidates) ends = {std::max(ends[0], ~c.key), std::max(ends[1], c.key)};
  MPI_Allreduce(MPI_IN_PLACE, ends.data(), 2, MPI_UINT64_T, MPI_MAX, comm);
  const std::uint64_t smallest = ~ends[0];
  int open = 64 - std::countl_zero(smallest ^ ends[1]);  // bits that are not yet known

  /// Fractions whose results agree in the bits above `open`.
  struct Group {
    std::uint64_t prefix;
    ExactSum before;  // weight of all smaller prefixes
    std::vector<std::size_t> members;
  };
  const auto prefix_of = [&](std::uint64_t key) { return open == 64 ? 0 : key >> open; };
  std::vector<Group> groups(1);
  groups[0].prefix = prefix_of(smallest);
  for (std::size_t f = 0; f < fractions.size(); ++f) groups[0].members.push_back(f);

  while (open > 0 && !fractions.empty()) {
    const int bits = std::min(6, open);
    const std::size_t bins = std::size_t{1} << bits;
    std::vector<ExactSum> sums(groups.size() * bins);
    std::erase_if(candidates, [&](const Candidate& c) {
      const std::uint64_t prefix = prefix_of(c.key);
      const auto group = std::lower_bound(groups.begin(), groups.end(), prefix,
                                          [](const Group& g, std::uint64_t p) { return g.prefix < p; });
      if (group == groups.end() || group->prefix != prefix) return true;
      const std::size_t bin = c.key >> (open - bits) & (bins - 1);
      sums[static_cast<std::size_t>(group - groups.begin()) * bins + bin].add(c.weight);
      return false;
    });
    ExactSum::reduce(comm, sums);
    std::vector<Group> finer;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      std::vector<double> up_to(bins);  // total weight up to the end of each bin
      ExactSum sum = groups[g].before;
      for (std::size_t b = 0; b < bins; ++b) {
        sum.add(sums[g * bins + b]);
        up_to[b] = sum.value();
      }
      ExactSum before = groups[g].before;
      std::vector<std::size_t> waiting = groups[g].members;
      for (std::size_t b = 0; b < bins; ++b) {
        if (sums[g * bins + b].value() == 0) continue;
        Group next{groups[g].prefix << bits | b, before, {}};
        std::erase_if(waiting, [&](std::size_t f) {
          const bool here = up_to[b] >= fractions[f] * total;
          if (here) next.members.push_back(f);
          return here;
        });
        before.add(sums[g * bins + b]);
        if (!next.members.empty()) finer.push_back(std::move(next));
      }
    }
    groups = std::move(finer);
    open -= bits;
  }
  std::vector<double> result(fractions.size());
  for (const Group& group : groups) {
    for (const std::size_t f : group.members) result[f] = value_of(group.prefix);
  }
  return result;
}

}  // namespace sanctuary
