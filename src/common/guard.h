/* Gaps between pieces of one block of memory that nothing may read or write: an address sanitizer, which only knows of the
 * block, is told. There are none in other builds.
 */
#ifndef FASTCLUSTER_EXT_GUARD_H
#define FASTCLUSTER_EXT_GUARD_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
enum { GUARD_BYTES = 4096 };
static inline void guard_gap(void *start, size_t size) { ASAN_POISON_MEMORY_REGION(start, size); }
/* Before the block is freed. */
static inline void guard_end(void *start, size_t size) { ASAN_UNPOISON_MEMORY_REGION(start, size); }
#else
enum { GUARD_BYTES = 0 };
static inline void guard_gap(void *start, size_t size) { (void)start, (void)size; }
static inline void guard_end(void *start, size_t size) { (void)start, (void)size; }
#endif

#endif
