#pragma once

namespace sanctuary {

/// False where the C library's allocator cannot be watched (sanitizers, other libraries than glibc).
[[nodiscard]] bool allocations_are_counted();
/// Blocks taken from the heap since the program started, by C++, C and Fortran code of all threads alike.
[[nodiscard]] long allocations();
/// Bytes on the heap that have not been given back, as the allocator rounds them.
[[nodiscard]] long live_bytes();

}  // namespace sanctuary
