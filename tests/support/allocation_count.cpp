#include "support/allocation_count.hpp"

#include <cerrno>
#include <cstdlib>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANCTUARY_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANCTUARY_SANITIZED
#endif

#if defined(__GLIBC__) && !defined(SANCTUARY_SANITIZED)
#include <malloc.h>

#include <atomic>

namespace {
std::atomic<long> taken{0}, held{0};

void* counted(void* block) {
  if (block) {
    taken.fetch_add(1, std::memory_order_relaxed);
    held.fetch_add(static_cast<long>(malloc_usable_size(block)), std::memory_order_relaxed);
  }
  return block;
}

void forget(void* block) {
  if (block) held.fetch_sub(static_cast<long>(malloc_usable_size(block)), std::memory_order_relaxed);
}
}  // namespace

// The program's definitions stand before those of the C library for every library it loads.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t size) { return counted(__libc_malloc(size)); }
void* calloc(std::size_t count, std::size_t size) { return counted(__libc_calloc(count, size)); }
void* memalign(std::size_t alignment, std::size_t size) { return counted(__libc_memalign(alignment, size)); }
void* aligned_alloc(std::size_t alignment, std::size_t size) { return counted(__libc_memalign(alignment, size)); }
int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
  void* block = counted(__libc_memalign(alignment, size));
  if (!block) return ENOMEM;
  *out = block;
  return 0;
}
void* realloc(void* block, std::size_t size) {
  forget(block);
  void* moved = __libc_realloc(block, size);
  if (!moved && size > 0 && block) held.fetch_add(static_cast<long>(malloc_usable_size(block)));
  return counted(moved);
}
void free(void* block) {
  forget(block);
  __libc_free(block);
}
}

namespace sanctuary {
bool allocations_are_counted() { return true; }
long allocations() { return taken.load(); }
long live_bytes() { return held.load(); }
}  // namespace sanctuary

#else

namespace sanctuary {
bool allocations_are_counted() { return false; }
long allocations() { return 0; }
long live_bytes() { return 0; }
}  // namespace sanctuary

#endif
