#include "solvers/anderson.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace sanctuary {
namespace {

double largest(const std::vector<double>& values) {
  double most = 0;
  for (const double v : values) most = std::max(most, std::abs(v));
  return most;
}

/// Calls until the residual is below 1e-12; 200 if it never is.
template <class Map>
int calls(AndersonMixing mixing, std::vector<double> x, Map map) {
  for (int call = 0; call < 200; ++call) {
    std::vector<double> residual = map(x);
    for (std::size_t i = 0; i < x.size(); ++i) residual[i] -= x[i];
    if (largest(residual) < 1e-12) return call;
    mixing.advance(x, residual);
  }
  return 200;
}

TEST(AndersonMixing, ASecantByHand) {
  // x -> 2 - 3 x from 0: residuals 2 and -6 at 0 and 2, so 0 is at 0.5.
  AndersonMixing mixing(MPI_COMM_SELF, 4, 1.0);
  std::vector<double> x{0};
  mixing.advance(x, std::vector<double>{2});
  EXPECT_DOUBLE_EQ(x[0], 2);
  mixing.advance(x, std::vector<double>{2 - 4 * 2});
  EXPECT_DOUBLE_EQ(x[0], 0.5);
}

TEST(AndersonMixing, EndsALinearMapThatRunsAwayInAsManyStepsAsUnknowns) {
  const auto map = [](const std::vector<double>& x) {
    return std::vector<double>{1 - 3 * x[0] + x[1], 2 + 2 * x[1] - x[2], -x[0] - 5 * x[2], 0.5 * x[3] + x[0]};
  };
  EXPECT_LE(calls(AndersonMixing(MPI_COMM_SELF, 6, 0.5), {0, 0, 0, 0}, map), 7);
  EXPECT_EQ(calls(AndersonMixing(MPI_COMM_SELF, 0, 0.5), {0, 0, 0, 0}, map), 200);
}

TEST(AndersonMixing, EndsASwingBetweenTwoStates) {
  // Slopes beyond -1 at the fixed point: plain steps swing for ever.
  const auto map = [](const std::vector<double>& x) {
    std::vector<double> y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = 1 - 2 * std::tanh(x[(i + 1) % x.size()]);
    return y;
  };
  EXPECT_LT(calls(AndersonMixing(MPI_COMM_SELF, 8, 0.5), {0, 0.3, -0.2}, map), 25);
  EXPECT_EQ(calls(AndersonMixing(MPI_COMM_SELF, 0, 1.0), {0, 0.3, -0.2}, map), 200);
}

TEST(AndersonMixing, StepsThatSayNothingNewAreLeftOut) {
  const auto map = [](const std::vector<double>& x) { return std::vector<double>{1 - 3 * x[0], 1 - 3 * x[0]}; };
  EXPECT_LE(calls(AndersonMixing(MPI_COMM_SELF, 8, 0.5), {0, 0}, map), 6);
}

}  // namespace
}  // namespace sanctuary
