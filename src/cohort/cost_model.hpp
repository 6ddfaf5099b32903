#pragma once
#include <cstddef>
#include <vector>

namespace sanctuary {

/// Predicts how long a task takes from features of it, and learns from finished ones: ridge regression of the logarithm
/// of the time, so that errors are factors. It sets the order of tasks, never their results.
class CostModel {
 public:
  /// `features` numbers per task; before anything is learned exp(prior of the features) is predicted.
  CostModel(std::size_t features, std::vector<double> prior);
  /// A task with these features took `seconds`.
  void learn(const std::vector<double>& features, double seconds);
  /// Solves for the weights with all that was learned; returns false where nothing is new.
  bool refit();
  /// [s]
  [[nodiscard]] double predict(const std::vector<double>& features) const;
  [[nodiscard]] long learned() const { return learned_; }

 private:
  std::size_t size_;
  std::vector<double> prior_, weights_, normal_, right_;  // normal matrix row by row
  long learned_ = 0, fitted_ = 0;
};

}  // namespace sanctuary
