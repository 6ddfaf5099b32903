#pragma once
#include <span>
#include <string>
#include <vector>

#include "cohort/distributions.hpp"

namespace sanctuary {

/// A marginal that the weighted cohort shall have.
struct WeightTarget {
  std::string name;                ///< for messages
  const Variation* law;            ///< borrowed
  std::span<const double> values;  ///< one per patient; of a choice, the index of the item
};

/// How patients are weighted.
struct WeightOptions {
  int moments = 2;                      ///< of the normal score of each target that is no choice
  double least_effective_share = 0.01;  ///< of the sample that must be left; below it the weights are refused
};

/// How far a target is from the sample.
struct TargetFit {
  std::string name;
  double before = 0, after = 0;  ///< Kolmogorov-Smirnov distance without and with weights
};

/// Weights of a sample, and what is left of it.
struct Weighting {
  std::vector<double> weights;  ///< sum to the number of patients
  double effective = 0;         ///< effective sample size (sum w)^2 / sum w^2
  std::vector<TargetFit> targets;
};

/// Weights of greatest entropy that give a sample the marginals of its targets (entropy balancing, Hainmueller 2012,
/// Polit Anal 20:25): proportional to exp(sum over targets and orders of lambda z^k), z the normal score of the value
/// under its target, so that the weighted moments of z are those of the target; of a choice, the share of each item.
/// InputError, with the name of the target, where the sample does not reach a target or hardly anyone would count.
[[nodiscard]] Weighting balanced_weights(std::span<const WeightTarget> targets, const WeightOptions& options = {});

/// Normal score Phi^-1(F(value)), within 8 standard deviations; of whole numbers, F in the middle of the step.
[[nodiscard]] double normal_score(const Variation& law, double value);
/// Effective sample size (Kish 1965) of weights.
[[nodiscard]] double effective_size(std::span<const double> weights);
/// Kolmogorov-Smirnov distance of a weighted sample from a law.
[[nodiscard]] double ks_distance(std::span<const double> values, std::span<const double> weights, const Variation& law);
/// Kolmogorov-Smirnov distance between two weighted samples; 0 for identical ones.
[[nodiscard]] double ks_distance(std::span<const double> a, std::span<const double> a_weights,
                                 std::span<const double> b, std::span<const double> b_weights);

}  // namespace sanctuary
