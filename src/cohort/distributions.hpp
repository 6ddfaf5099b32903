#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/parameter.hpp"
#include "cohort/normal.hpp"

namespace sanctuary {

/// How a parameter varies over a cohort: a law, cut off at bounds of its own (`in [10, 90] mmHg`) and at the declared
/// range of the parameter. Values are in the declared unit. Of a whole-number parameter, the law is rounded to the
/// nearest and its ends reach half beyond, so that the outermost numbers have their full share. Of a `choice`, the
/// value is the index of the item.
class Variation {
 public:
  /// Reads `lognormal(median = 40 mmHg, gsd = 1.5)`, `normal(mean = , sd = )`, `uniform(low, high)`,
  /// `loguniform(low, high)`, `beta(a = , b = , low = , high = )` or `choice(first: weight, second: weight)`; a unit
  /// after the last number serves the others. InputError with problem, expectation and the nearest name, without key.
  [[nodiscard]] static Variation parse(const Parameter& parameter, std::string_view text);

  /// The value below which a share `u`, in (0, 1), of the cohort lies; accurate to rounding in both tails.
  [[nodiscard]] double quantile(double u) const;
  /// Share of the cohort at or below `value`.
  [[nodiscard]] double cdf(double value) const { return tails(value).lower; }
  /// Share at or below `value`, and above it.
  [[nodiscard]] Tails tails(double value) const;
  /// Probability per declared unit; of a discrete law, the probability of the value.
  [[nodiscard]] double density(double value) const;
  /// Probability of the law between its bounds, before these cut it off.
  [[nodiscard]] double probability_kept() const { return kept_; }

  /// The value as it would stand in a deck, which reads back as the same number.
  [[nodiscard]] std::string text_of(double value) const;
  /// True for choices and whole numbers.
  [[nodiscard]] bool is_discrete() const { return law_ == Law::choice || whole_; }
  /// True for a choice between items.
  [[nodiscard]] bool is_choice() const { return law_ == Law::choice; }
  /// The items of a choice, as they would stand in a deck, and their probabilities.
  [[nodiscard]] const std::vector<std::string>& items() const { return items_; }
  [[nodiscard]] const std::vector<double>& shares() const { return shares_; }
  /// The law in the declared unit; reads back as the same law.
  [[nodiscard]] std::string describe() const;

 private:
  enum class Law { lognormal, normal, uniform, loguniform, beta, choice };
  class Reader;

  Variation() = default;
  [[nodiscard]] Tails law_tails(double value) const;
  [[nodiscard]] double law_quantile(Tails at) const;
  [[nodiscard]] double law_density(double value) const;

  Law law_ = Law::uniform;
  bool whole_ = false;
  std::string unit_;
  double centre_ = 0, spread_ = 1;  // median and geometric standard deviation, or mean and standard deviation
  double low_ = 0, high_ = 1;       // ends of uniform, loguniform and beta
  double a_ = 1, b_ = 1;            // exponents of beta
  bool bounded_ = false;            // by bounds of its own
  Range own_{}, bounds_{};          // these, and all bounds together; half beyond for whole numbers
  Tails at_lowest_{}, at_highest_{};
  double kept_ = 1;
  std::vector<std::string> items_;
  std::vector<double> weights_, shares_, cumulative_;
};

}  // namespace sanctuary
