#include "cohort/weighting.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "base/error.hpp"
#include "base/text.hpp"

namespace sanctuary {
namespace {

constexpr double largest_score = 8;

// Hermite polynomial of an order, scaled to unit variance for a standard normal z: they span the powers of z and are
// orthogonal where the target is met.
double hermite(int order, double z) {
  double before = 1, value = z;
  for (int k = 1; k < order; ++k) before = std::exchange(value, (z * value - std::sqrt(k) * before) / std::sqrt(k + 1));
  return order == 0 ? 1 : value;
}

// A mean that the weights must bring to zero.
struct Condition {
  std::size_t target;
  std::string what;             // for messages
  std::vector<double> feature;  // per patient, less its value under the target
};

// Mean of a feature of the normal score under a target of whole numbers.
double mean_under(const Variation& law, int order) {
  const double first = law.quantile(1e-12), last = law.quantile(1 - 1e-12);
  constexpr double most = 1e5;
  if (last - first > most) return 0;  // as good as continuous
  double mean = 0;
  for (double value = first; value <= last; ++value)
    mean += law.density(value) * hermite(order, normal_score(law, value));
  return mean;
}

std::vector<Condition> conditions_of(std::span<const WeightTarget> targets, int moments) {
  std::vector<Condition> conditions;
  for (std::size_t t = 0; t < targets.size(); ++t) {
    const auto& [name, law, values] = targets[t];
    if (law->is_choice()) {
      for (std::size_t item = 0; item < law->items().size(); ++item) {
        Condition condition{t, fmt::format("share {} of '{}'", shortest(law->shares()[item]), law->items()[item]), {}};
        for (const double value : values) {
          condition.feature.push_back((value == static_cast<double>(item) ? 1 : 0) - law->shares()[item]);
        }
        conditions.push_back(std::move(condition));
      }
      continue;
    }
    for (int order = 1; order <= moments; ++order) {
      const double mean = law->is_discrete() ? mean_under(*law, order) : 0;
      Condition condition{t, fmt::format("moment {}", order), {}};
      for (const double value : values) condition.feature.push_back(hermite(order, normal_score(*law, value)) - mean);
      conditions.push_back(std::move(condition));
    }
  }
  return conditions;
}

// Minimises log sum exp(lambda . feature), which is convex, by Newton's method with halving of the step.
class Dual {
 public:
  Dual(const std::vector<Condition>& conditions, std::size_t patients)
      : conditions_(conditions), patients_(patients), lambda_(conditions.size(), 0), weights_(patients, 1) {
    value_ = evaluate(lambda_, weights_);
  }

  // True if the weighted means are zero.
  bool solve() {
    constexpr int most_steps = 200;
    constexpr double tolerance = 1e-9;
    for (int step = 0; step < most_steps; ++step) {
      measure();
      if (worst_size() < tolerance) return true;
      if (!advance()) return worst_size() < std::sqrt(tolerance);
    }
    return false;
  }

  // The condition furthest from its target.
  [[nodiscard]] std::size_t worst() const {
    return static_cast<std::size_t>(
        std::max_element(mean_.begin(), mean_.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }) -
        mean_.begin());
  }
  // The condition with the greatest multiplier: it pulls hardest.
  [[nodiscard]] std::size_t strongest() const {
    return static_cast<std::size_t>(
        std::max_element(lambda_.begin(), lambda_.end(), [](double a, double b) { return std::abs(a) < std::abs(b); }) -
        lambda_.begin());
  }
  [[nodiscard]] const std::vector<double>& weights() const { return weights_; }  // sum to 1

 private:
  [[nodiscard]] double worst_size() const { return mean_.empty() ? 0 : std::abs(mean_[worst()]); }

  double evaluate(const std::vector<double>& lambda, std::vector<double>& weights) const {
    std::fill(weights.begin(), weights.end(), 0.0);
    for (std::size_t c = 0; c < lambda.size(); ++c) {
      const double* feature = conditions_[c].feature.data();
      for (std::size_t p = 0; p < patients_; ++p) weights[p] += lambda[c] * feature[p];
    }
    const double top = *std::max_element(weights.begin(), weights.end());
    double sum = 0;
    for (double& weight : weights) sum += weight = std::exp(weight - top);
    for (double& weight : weights) weight /= sum;
    return top + std::log(sum);
  }

  void measure() {
    const std::size_t size = lambda_.size();
    mean_.assign(size, 0);
    covariance_.assign(size * size, 0);
    std::vector<double> weighted(patients_);
    for (std::size_t c = 0; c < size; ++c) {
      const std::vector<double>& feature = conditions_[c].feature;
      for (std::size_t p = 0; p < patients_; ++p) weighted[p] = weights_[p] * feature[p];
      mean_[c] = std::accumulate(weighted.begin(), weighted.end(), 0.0);
      for (std::size_t d = 0; d <= c; ++d) {
        covariance_[c * size + d] = covariance_[d * size + c] =
            std::inner_product(weighted.begin(), weighted.end(), conditions_[d].feature.begin(), 0.0);
      }
    }
    for (std::size_t c = 0; c < size; ++c) {
      for (std::size_t d = 0; d < size; ++d) covariance_[c * size + d] -= mean_[c] * mean_[d];
    }
  }

  // Solves covariance x = mean by elimination on the greatest pivots; directions without variance stay where they are.
  [[nodiscard]] std::vector<double> newton_step() const {
    const std::size_t size = lambda_.size();
    std::vector<double> matrix = covariance_, right = mean_, solution(size, 0);
    std::vector<std::size_t> left(size), order;
    std::iota(left.begin(), left.end(), std::size_t{0});
    double greatest = 0;
    for (std::size_t c = 0; c < size; ++c) greatest = std::max(greatest, matrix[c * size + c]);
    while (!left.empty()) {
      const auto pivot = std::max_element(left.begin(), left.end(), [&](std::size_t a, std::size_t b) {
        return matrix[a * size + a] < matrix[b * size + b];
      });
      const std::size_t k = *pivot;
      if (!(matrix[k * size + k] > 1e-13 * greatest)) break;
      left.erase(pivot);
      order.push_back(k);
      for (const std::size_t i : left) {
        const double factor = matrix[i * size + k] / matrix[k * size + k];
        for (const std::size_t j : left) matrix[i * size + j] -= factor * matrix[k * size + j];
        right[i] -= factor * right[k];
      }
    }
    for (std::size_t at = order.size(); at-- > 0;) {
      const std::size_t k = order[at];
      double rest = right[k];
      for (std::size_t later = at + 1; later < order.size(); ++later) {
        rest -= matrix[k * size + order[later]] * solution[order[later]];
      }
      solution[k] = rest / matrix[k * size + k];
    }
    return solution;
  }

  // False if no step along Newton's direction lowers the dual.
  bool advance() {
    const std::vector<double> step = newton_step();
    const double slope = std::inner_product(step.begin(), step.end(), mean_.begin(), 0.0);
    std::vector<double> lambda(lambda_.size()), weights(patients_);
    for (double damping = 1; damping > 1e-10; damping /= 2) {
      for (std::size_t c = 0; c < lambda.size(); ++c) lambda[c] = lambda_[c] - damping * step[c];
      const double value = evaluate(lambda, weights);
      if (!(value <= value_ - 1e-4 * damping * slope + 1e-14 * std::abs(value_))) continue;
      const bool moved = lambda != lambda_;
      lambda_ = lambda;
      weights_ = weights;
      value_ = value;
      return moved;
    }
    return false;
  }

  const std::vector<Condition>& conditions_;
  std::size_t patients_;
  std::vector<double> lambda_, weights_, mean_, covariance_;
  double value_ = 0;
};

[[noreturn]] void refuse(const WeightTarget& target, const std::string& problem) {
  throw InputError(fmt::format(
      "target {} of {}: {}; expected a target within what the sample spans; move the target or widen the sampled "
      "distributions",
      target.law->describe(), target.name, problem));
}

struct Step {
  double value, a, b;
};

double ks_of(std::vector<Step> steps) {
  std::sort(steps.begin(), steps.end(), [](const Step& one, const Step& other) { return one.value < other.value; });
  double a_sum = 0, b_sum = 0;
  for (const Step& step : steps) {
    a_sum += step.a;
    b_sum += step.b;
  }
  double a = 0, b = 0, distance = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    a += steps[i].a;
    b += steps[i].b;
    if (i + 1 == steps.size() || steps[i + 1].value != steps[i].value) {
      distance = std::max(distance, std::abs(a / a_sum - b / b_sum));
    }
  }
  return distance;
}

}  // namespace

double normal_score(const Variation& law, double value) {
  Tails at = law.tails(value);
  if (law.is_discrete()) {
    const double half = 0.5 * law.density(value);
    at = at.lower - half < 0.5 ? Tails{at.lower - half, 1 - at.lower + half}
                               : Tails{1 - at.upper - half, at.upper + half};
  }
  if (!(at.lower > 0)) return -largest_score;
  if (!(at.upper > 0)) return largest_score;
  return std::clamp(normal_quantile(at), -largest_score, largest_score);
}

double effective_size(std::span<const double> weights) {
  double sum = 0, square = 0;
  for (const double weight : weights) {
    sum += weight;
    square += weight * weight;
  }
  return square > 0 ? sum * sum / square : 0;
}

double ks_distance(std::span<const double> values, std::span<const double> weights, const Variation& law) {
  std::map<double, double> mass;
  double sum = 0;
  for (std::size_t p = 0; p < values.size(); ++p) {
    mass[values[p]] += weights[p];
    sum += weights[p];
  }
  double below = 0, distance = 0;
  for (const auto& [value, weight] : mass) {
    const double at = law.cdf(value), before = law.is_discrete() ? law.cdf(value - 1) : at;
    distance = std::max(distance, std::abs(below / sum - before));
    below += weight;
    distance = std::max(distance, std::abs(below / sum - at));
  }
  return distance;
}

double ks_distance(std::span<const double> a, std::span<const double> a_weights, std::span<const double> b,
                   std::span<const double> b_weights) {
  std::vector<Step> steps;
  for (std::size_t p = 0; p < a.size(); ++p) steps.push_back({a[p], a_weights[p], 0});
  for (std::size_t p = 0; p < b.size(); ++p) steps.push_back({b[p], 0, b_weights[p]});
  return ks_of(std::move(steps));
}

Weighting balanced_weights(std::span<const WeightTarget> targets, const WeightOptions& options) {
  if (targets.empty()) throw InputError("no targets to weight to; expected one at least");
  const std::size_t patients = targets.front().values.size();
  for (const WeightTarget& target : targets) {
    if (target.values.size() != patients || patients == 0) {
      throw InputError(fmt::format("target {}: {} values; expected one for each of {} patients", target.name,
                                   target.values.size(), std::max<std::size_t>(patients, 1)));
    }
    for (const double value : target.values) {
      if (!std::isfinite(value)) {
        throw InputError(fmt::format("target {}: a value is not finite; expected one for each patient", target.name));
      }
    }
  }
  std::vector<Condition> conditions = conditions_of(targets, options.moments);
  for (const Condition& condition : conditions) {
    const auto [least, most] = std::minmax_element(condition.feature.begin(), condition.feature.end());
    if (*least > 0 || *most < 0) {
      refuse(targets[condition.target], fmt::format("{} lies beyond the sample, all of which is {}", condition.what,
                                                    *least > 0 ? "above" : "below"));
    }
  }
  Dual dual(conditions, patients);
  if (!dual.solve()) {
    const Condition& condition = conditions[dual.worst()];
    refuse(targets[condition.target], fmt::format("no weights give {} beside the other targets", condition.what));
  }
  Weighting result;
  const auto count = static_cast<double>(patients);
  for (const double weight : dual.weights()) result.weights.push_back(count * weight);
  result.effective = effective_size(result.weights);
  if (result.effective < options.least_effective_share * count) {
    const Condition& condition = conditions[dual.strongest()];
    refuse(targets[condition.target],
           fmt::format("{} leaves {:.3g} effective patients of {}", condition.what, result.effective, patients));
  }
  const std::vector<double> even(patients, 1);
  for (const WeightTarget& target : targets) {
    result.targets.push_back({target.name, ks_distance(target.values, even, *target.law),
                              ks_distance(target.values, result.weights, *target.law)});
  }
  return result;
}

}  // namespace sanctuary
