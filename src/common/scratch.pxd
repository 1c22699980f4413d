"""Memory for kernels: taken, and checked, before a parallel region begins; every block starts on a cache line."""

from libc.stddef cimport size_t
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc

cdef enum:
    CACHE_LINE = 64


cdef inline size_t padded(size_t size) noexcept nogil:
    """`size` rounded up to whole cache lines, so that two threads' blocks never share one."""
    return (size + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE


cdef inline void* scratch_allocate(size_t size) except NULL:
    """`size` bytes on a cache line, or a MemoryError that names them. Free with scratch_free."""
    cdef char* block = <char*>malloc(size + 2 * CACHE_LINE)
    if block == NULL:
        raise MemoryError(f"cannot allocate {size} bytes of working memory")
    cdef char* start = <char*>((<uintptr_t>block + 2 * CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE)
    (<void**>start - 1)[0] = block
    return start


cdef inline void scratch_free(void* start) noexcept nogil:
    if start != NULL:
        free((<void**>start - 1)[0])
