"""The nearest-center search of argmin.h."""

from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t

from common.matrix cimport matrix


cdef extern from "common/argmin.h" nogil:
    enum:
        ARGMIN_TILE

    ctypedef struct centers_table:
        ptrdiff_t k
        ptrdiff_t p

    size_t centers_table_bytes(ptrdiff_t k, ptrdiff_t p) noexcept
    void centers_table_place(centers_table* table, ptrdiff_t k, ptrdiff_t p, void* memory) noexcept
    void centers_table_fill(centers_table* table, const double* centers) noexcept
    void argmin_tile(const centers_table* table, const matrix* points, ptrdiff_t start, ptrdiff_t count,
                     void* scratch, int32_t* labels) noexcept
