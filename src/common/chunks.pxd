"""Chunks and slices of rows (chunks.h)."""

from libc.stddef cimport ptrdiff_t, size_t


cdef extern from "common/chunks.h" nogil:
    enum:
        SLICE_BYTES
    ptrdiff_t chunk_rows(double work_per_row) noexcept
    ptrdiff_t chunk_rows_of(ptrdiff_t n_rows, double work_per_row) noexcept
    ptrdiff_t chunk_count(ptrdiff_t n_rows, ptrdiff_t rows) noexcept
    ptrdiff_t slice_chunks(double work_per_row, ptrdiff_t rows, size_t partial_bytes, int n_threads) noexcept
