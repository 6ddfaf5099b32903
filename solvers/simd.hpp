#pragma once

/// Put before a function that holds a hot loop: it is compiled for several instruction sets and the best one is taken
/// when the program starts, so that a generic build uses the whole machine.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define SANCTUARY_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SANCTUARY_CLONES
#endif
