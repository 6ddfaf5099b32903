#include "cohort/sensitivity.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.hpp"

namespace sanctuary {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// Of one row group, or the mean over some: the terms that the indices are made from.
struct Terms {
  double mean = 0, square = 0;                // of rows A and B
  std::vector<double> product, change, half;  // f(B) (f(AB) - f(A)); f(AB) - f(A); (f(A) - f(AB))^2 / 2
  explicit Terms(std::size_t parameters) : product(parameters), change(parameters), half(parameters) {}

  void add(const Terms& other, double weight) {
    mean += weight * other.mean;
    square += weight * other.square;
    for (std::size_t i = 0; i < product.size(); ++i) {
      product[i] += weight * other.product[i];
      change[i] += weight * other.change[i];
      half[i] += weight * other.half[i];
    }
  }
  [[nodiscard]] double variance() const { return square - mean * mean; }
  [[nodiscard]] double first(std::size_t i) const { return (product[i] - mean * change[i]) / variance(); }
  [[nodiscard]] double total(std::size_t i) const { return half[i] / variance(); }
};

Terms terms_of(std::span<const double> rows, std::size_t parameters, double origin) {
  Terms terms(parameters);
  const double a = rows[0] - origin, b = rows[1] - origin;
  terms.mean = 0.5 * (a + b);
  terms.square = 0.5 * (a * a + b * b);
  for (std::size_t i = 0; i < parameters; ++i) {
    const double change = (rows[2 + i] - origin) - a;
    terms.product[i] = b * change;
    terms.change[i] = change;
    terms.half[i] = 0.5 * change * change;
  }
  return terms;
}

Estimate estimate(double value, std::vector<double> resampled) {
  std::erase_if(resampled, [](double x) { return !std::isfinite(x); });
  if (resampled.size() < 2) return {value, nan, nan, nan};
  std::sort(resampled.begin(), resampled.end());
  const auto count = static_cast<double>(resampled.size());
  const double mean = std::accumulate(resampled.begin(), resampled.end(), 0.0) / count;
  double square = 0;
  for (const double x : resampled) square += (x - mean) * (x - mean);
  const auto percentile = [&](double share) {
    const double place = share * (count - 1);
    const auto below = static_cast<std::size_t>(place);
    return std::lerp(resampled[below], resampled[std::min(below + 1, resampled.size() - 1)],
                     place - static_cast<double>(below));
  };
  return {value, std::sqrt(square / (count - 1)), percentile(0.025), percentile(0.975)};
}

// Pearson correlations of columns of equal length, row by row; NaN where a column is constant.
std::vector<double> correlation_matrix(const std::vector<std::vector<double>>& columns) {
  const std::size_t size = columns.size();
  std::vector<std::vector<double>> unit = columns;
  for (std::vector<double>& column : unit) {
    const double mean = std::accumulate(column.begin(), column.end(), 0.0) / static_cast<double>(column.size());
    for (double& value : column) value -= mean;
    const double norm = std::sqrt(std::inner_product(column.begin(), column.end(), column.begin(), 0.0));
    for (double& value : column) value = norm > 0 ? value / norm : nan;
  }
  std::vector<double> matrix(size * size, 1);
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      matrix[i * size + j] = matrix[j * size + i] =
          std::inner_product(unit[i].begin(), unit[i].end(), unit[j].begin(), 0.0);
    }
  }
  return matrix;
}

// What is left of a matrix of correlations after regression on some of its columns.
struct Residual {
  std::vector<double> matrix;
  std::size_t rank = 0;  // columns that counted: not determined by those before them
};

constexpr double determined = 1e-9;  // share of a variance below which the others explain it all

Residual regressed(std::vector<double> matrix, std::size_t size, std::vector<std::size_t> on) {
  Residual result;
  while (!on.empty()) {
    const auto pivot = std::max_element(on.begin(), on.end(), [&](std::size_t i, std::size_t j) {
      return matrix[i * size + i] < matrix[j * size + j];
    });
    const std::size_t k = *pivot;
    const double diagonal = matrix[k * size + k];
    if (!(diagonal > determined)) break;
    const std::vector<double> row(matrix.begin() + static_cast<std::ptrdiff_t>(k * size),
                                  matrix.begin() + static_cast<std::ptrdiff_t>((k + 1) * size));
    for (std::size_t i = 0; i < size; ++i) {
      for (std::size_t j = 0; j < size; ++j) matrix[i * size + j] -= row[i] * row[j] / diagonal;
    }
    on.erase(pivot);
    ++result.rank;
  }
  result.matrix = std::move(matrix);
  return result;
}

}  // namespace

SobolIndices sobol_indices(std::span<const double> outputs, std::size_t parameters, std::uint64_t seed,
                           std::uint64_t resamples) {
  const std::size_t rows = parameters + 2;
  SobolIndices result;
  result.dropped = outputs.size() % rows == 0 ? 0 : 1;
  std::vector<std::span<const double>> complete;
  for (std::size_t start = 0; start + rows <= outputs.size(); start += rows) {
    const std::span<const double> group = outputs.subspan(start, rows);
    const bool missing = std::any_of(group.begin(), group.end(), [](double x) { return std::isnan(x); });
    result.dropped += missing ? 1 : 0;
    if (!missing) complete.push_back(group);
  }
  result.groups = complete.size();
  result.first.assign(parameters, {nan, nan, nan, nan});
  result.total = result.first;
  const auto count = static_cast<double>(complete.size());
  double origin = 0;
  for (const auto& group : complete) origin += 0.5 * (group[0] + group[1]) / count;
  std::vector<Terms> groups;
  Terms whole(parameters);
  for (const auto& group : complete) {
    groups.push_back(terms_of(group, parameters, origin));
    whole.add(groups.back(), 1 / count);
  }
  result.mean = complete.empty() ? nan : origin + whole.mean;
  result.variance = complete.empty() ? nan : whole.variance();
  const double rounding = 1e-14 * std::abs(origin);
  if (complete.size() < 2 || !(result.variance > rounding * rounding)) return result;

  std::vector<std::vector<double>> first(parameters), total(parameters);
  const RandomStream stream(seed, "sensitivity.bootstrap");
  for (std::uint64_t resample = 0; resample < resamples; ++resample) {
    Terms sum(parameters);
    for (std::size_t i = 0; i < groups.size(); ++i) {
      sum.add(groups[stream.below(resample * groups.size() + i, groups.size())], 1 / count);
    }
    for (std::size_t i = 0; i < parameters; ++i) {
      first[i].push_back(sum.first(i));
      total[i].push_back(sum.total(i));
    }
  }
  for (std::size_t i = 0; i < parameters; ++i) {
    result.first[i] = estimate(whole.first(i), std::move(first[i]));
    result.total[i] = estimate(whole.total(i), std::move(total[i]));
  }
  return result;
}

std::vector<double> average_ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return values[i] < values[j]; });
  std::vector<double> ranks(values.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin + 1;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (std::size_t i = begin; i < end; ++i) ranks[order[i]] = 0.5 * static_cast<double>(begin + 1 + end);
    begin = end;
  }
  return ranks;
}

RankCorrelations rank_correlations(const std::vector<std::vector<double>>& inputs, std::span<const double> output) {
  std::vector<std::vector<double>> columns(inputs.size() + 1);
  RankCorrelations result;
  for (std::size_t row = 0; row < output.size(); ++row) {
    const bool missing = std::isnan(output[row]) || std::any_of(inputs.begin(), inputs.end(), [&](const auto& column) {
                           return std::isnan(column.at(row));
                         });
    if (missing) continue;
    ++result.rows;
    for (std::size_t i = 0; i < inputs.size(); ++i) columns[i].push_back(inputs[i][row]);
    columns.back().push_back(output[row]);
  }
  result.inputs.assign(inputs.size(), {nan, nan});
  if (result.rows < 3) return result;
  for (std::vector<double>& column : columns) column = average_ranks(column);
  const std::size_t size = columns.size(), y = inputs.size();
  std::vector<double> matrix = correlation_matrix(columns);
  std::vector<bool> varies(size);
  for (std::size_t i = 0; i < size; ++i) varies[i] = !std::isnan(matrix[i * size + i]);
  for (double& entry : matrix) entry = std::isnan(entry) ? 0 : entry;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!varies[i] || !varies[y]) continue;
    std::vector<std::size_t> others;
    for (std::size_t j = 0; j < inputs.size(); ++j) {
      if (j != i && varies[j]) others.push_back(j);
    }
    const auto [rest, rank] = regressed(matrix, size, others);
    const double freedom = static_cast<double>(result.rows) - 2 - static_cast<double>(rank);
    const double own = rest[i * size + i], left = rest[y * size + y];
    if (!(own > determined) || freedom < 1) continue;
    const double rho = left > determined ? std::clamp(rest[i * size + y] / std::sqrt(own * left), -1.0, 1.0) : 0;
    const double t = std::abs(rho) * std::sqrt(freedom / ((1 - rho) * (1 + rho)));
    const boost::math::students_t law(freedom);
    result.inputs[i] = {rho, std::isinf(t) ? 0 : 2 * boost::math::cdf(boost::math::complement(law, t))};
  }
  return result;
}

}  // namespace sanctuary
