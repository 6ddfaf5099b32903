#include "support/network_fuzz.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "base/random.hpp"
#include "support/random_network.hpp"

namespace sanctuary {
namespace {

void expect_sound(const CutNetwork& network, const BloodFlow& blood, std::uint64_t seed) {
  for (std::size_t p = 0; p < network.pieces(); ++p) {
    ASSERT_TRUE(std::isfinite(blood.flow[p])) << seed;
    ASSERT_TRUE(blood.haematocrit[p] >= 0 && blood.haematocrit[p] <= 1) << seed << " " << blood.haematocrit[p];
    ASSERT_GE(blood.red_cells[p], 0) << seed;
    ASSERT_LE(blood.red_cells[p], std::abs(blood.flow[p]) * (1 + 1e-12)) << seed;
  }
  for (const double p : blood.pressure) ASSERT_TRUE(std::isfinite(p)) << seed;
  EXPECT_LE(blood.blood_imbalance, 1e-9) << seed;
  EXPECT_LE(blood.red_cell_imbalance, 1e-9) << seed;
}

}  // namespace

void expect_flow_of_random_networks(std::uint64_t first, std::uint64_t count) {
  std::uint64_t solved = 0, refused = 0, steady = 0, closed = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const CutNetwork network = uncut(MPI_COMM_SELF, random_network(seed));
    try {
      FlowSolver solver(network, network.piece_radii(), standard_blood_laws());
      BloodFlow blood;
      solver.solve(blood, 2e-9, 150);
      expect_sound(network, blood, seed);
      ++solved;
      steady += blood.converged;
      if (seed % 3 != 0) continue;
      // Vessels collapse, some or (now and then) all of them.
      const RandomStream draws(seed, "collapse");
      std::vector<double> radius = network.piece_radii();
      for (std::size_t p = 0; p < radius.size(); ++p) {
        if (seed % 21 == 0 || draws.uniform(p) < 0.3) radius[p] = 0;
      }
      solver.set_radius(radius);
      BloodFlow after;
      solver.solve(after, 2e-9, 150);
      expect_sound(network, after, seed);
      for (std::size_t p = 0; p < radius.size(); ++p) {
        if (radius[p] == 0) {
          EXPECT_EQ(after.flow[p], 0) << seed;
        }
      }
      ++closed;
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find("pressure"), std::string::npos) << error.what();
      ++refused;
    } catch (const NumericsError& error) {
      ADD_FAILURE() << "network " << seed << ": " << error.what();
    }
    if (testing::Test::HasFatalFailure()) return;
  }
  EXPECT_GT(solved, count / 2);
  EXPECT_GT(steady, solved * 8 / 10);
  testing::Test::RecordProperty("solved", static_cast<int>(solved));
  std::printf("  %lu solved, %lu of them steady, %lu refused; %lu solved again with closed vessels\n",
              static_cast<unsigned long>(solved), static_cast<unsigned long>(steady),
              static_cast<unsigned long>(refused), static_cast<unsigned long>(closed));
}

}  // namespace sanctuary
