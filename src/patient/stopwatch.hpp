#pragma once
#include <chrono>

namespace sanctuary {

/// Adds the time of its scope [s] to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double& sum) : sum_(&sum) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() { *sum_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  double* sum_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace sanctuary
