#include "solvers/anderson.hpp"

#include <cmath>

#include "base/comm.hpp"

namespace sanctuary {
namespace {

double dot(std::span<const double> a, std::span<const double> b, MPI_Comm comm) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum_over(comm, sum);
}

void add(std::span<double> to, double factor, std::span<const double> what) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor * what[i];
}

}  // namespace

void AndersonMixing::advance(std::span<double> x, std::span<const double> residual) {
  constexpr double new_part = 1e-6;  // of a change, beyond those of later steps: less is rounding
  if (last_.x.size() == x.size()) {
    Step step{{x.begin(), x.end()}, {residual.begin(), residual.end()}};
    add(step.x, -1, last_.x);
    add(step.residual, -1, last_.residual);
    steps_.push_front(std::move(step));
    if (static_cast<int>(steps_.size()) > depth_) steps_.pop_back();
  }
  last_ = {{x.begin(), x.end()}, {residual.begin(), residual.end()}};
  add(x, share_, residual);
  std::vector<Step> base;  // residuals orthonormal
  for (const Step& step : steps_) {
    Step next = step;
    const double whole = std::sqrt(dot(next.residual, next.residual, comm_));
    for (const Step& b : base) {
      const double along = dot(next.residual, b.residual, comm_);
      add(next.residual, -along, b.residual);
      add(next.x, -along, b.x);
    }
    const double norm = std::sqrt(dot(next.residual, next.residual, comm_));
    if (!(norm > new_part * whole)) continue;
    for (double& v : next.residual) v /= norm;
    for (double& v : next.x) v /= norm;
    const double along = dot(next.residual, last_.residual, comm_);
    add(x, -along, next.x);
    add(x, -along * share_, next.residual);
    base.push_back(std::move(next));
  }
}

}  // namespace sanctuary
