#include <gtest/gtest.h>

#include "support/network_fuzz.hpp"

namespace sanctuary {
namespace {

TEST(NetworkFuzzLong, TenThousandRandomNetworksBalanceOrAreRefused) { expect_flow_of_random_networks(1000, 10000); }

}  // namespace
}  // namespace sanctuary
