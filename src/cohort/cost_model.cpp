#include "cohort/cost_model.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace sanctuary {
namespace {

constexpr double stiffness = 0.5;  // a prior weight counts like half a task
constexpr double shortest = 1e-6;  // [s]

}  // namespace

CostModel::CostModel(std::size_t features, std::vector<double> prior)
    : size_(features),
      prior_(std::move(prior)),
      weights_(prior_),
      normal_(features * features, 0),
      right_(features, 0) {
  if (prior_.size() != size_) throw std::logic_error("CostModel: a prior for each feature");
}

void CostModel::learn(const std::vector<double>& x, double seconds) {
  double residual = std::log(std::max(seconds, shortest));
  for (std::size_t i = 0; i < size_; ++i) residual -= prior_[i] * x[i];
  for (std::size_t i = 0; i < size_; ++i) {
    right_[i] += x[i] * residual;
    for (std::size_t j = 0; j <= i; ++j) normal_[i * size_ + j] += x[i] * x[j];
  }
  ++learned_;
}

bool CostModel::refit() {
  if (learned_ == fitted_) return false;
  fitted_ = learned_;
  std::vector<double> factor(normal_), step(right_);
  for (std::size_t i = 0; i < size_; ++i) factor[i * size_ + i] += stiffness;
  for (std::size_t i = 0; i < size_; ++i) {  // Cholesky, then the two triangular solves
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = factor[i * size_ + j];
      for (std::size_t k = 0; k < j; ++k) sum -= factor[i * size_ + k] * factor[j * size_ + k];
      factor[i * size_ + j] = i == j ? std::sqrt(sum) : sum / factor[j * size_ + j];
    }
  }
  for (std::size_t i = 0; i < size_; ++i) {
    for (std::size_t k = 0; k < i; ++k) step[i] -= factor[i * size_ + k] * step[k];
    step[i] /= factor[i * size_ + i];
  }
  for (std::size_t i = size_; i-- > 0;) {
    for (std::size_t k = i + 1; k < size_; ++k) step[i] -= factor[k * size_ + i] * step[k];
    step[i] /= factor[i * size_ + i];
  }
  for (std::size_t i = 0; i < size_; ++i) weights_[i] = prior_[i] + step[i];
  return true;
}

double CostModel::predict(const std::vector<double>& x) const {
  double sum = 0;
  for (std::size_t i = 0; i < size_; ++i) sum += weights_[i] * x[i];
  return std::exp(std::clamp(sum, -50.0, 50.0));
}

}  // namespace sanctuary
