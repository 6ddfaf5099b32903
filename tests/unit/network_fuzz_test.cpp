#include "support/network_fuzz.hpp"

#include <gtest/gtest.h>

namespace sanctuary {
namespace {

TEST(NetworkFuzz, RandomNetworksBalanceOrAreRefused) { expect_flow_of_random_networks(0, 600); }

}  // namespace
}  // namespace sanctuary
