#include <gtest/gtest.h>

#include "support/elliptic_check.hpp"

namespace sanctuary {
namespace {

TEST(EllipticAcceptanceLong, AgreesWithADirectSolveOnFiveHundredRandomProblems) {
  for (std::uint64_t seed = 1001; seed <= 1500; ++seed) {
    const RandomProblem problem = random_problem(seed, {.most_cells = 12000});
    const EllipticCheck check = check_elliptic(problem);
    EXPECT_TRUE(check.report.converged) << problem.describe() << ": " << check.report.reason;
    EXPECT_LE(check.residual, 1.01e-12) << problem.describe();
    EXPECT_LE(check.row_residual, 1e-12) << problem.describe();
    EXPECT_LT(check.difference, 1e-8) << problem.describe();
  }
}

}  // namespace
}  // namespace sanctuary
