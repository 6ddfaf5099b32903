#pragma once
#include <cstdint>

namespace sanctuary {

/// Solves the flow of the random networks first .. first + count - 1, with closed vessels in some: each is refused with
/// a reason or balances to 1e-9 with finite values, haematocrits in [0, 1] and no negative red cells.
void expect_flow_of_random_networks(std::uint64_t first, std::uint64_t count);

}  // namespace sanctuary
