"""Weighted mean of the rows, and the weighted sum of their squared distances to it, in one pass.

Per chunk the mean is taken first and the deviations from it while the chunk is in cache; chunks are combined in order
by the update of Chan, Golub and LeVeque ("Updating formulae and a pairwise algorithm for computing sample variances",
1979), so a large common offset costs no digits. O(n p) time; float64 accumulators.
"""

from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange
from libc.stddef cimport ptrdiff_t

from common.chunks cimport chunk_count, chunk_rows, slice_chunks
from common.matrix cimport acquire_matrix, matrix, weights_pointer
from common.scratch cimport padded, scratch_allocate, scratch_free


cdef extern from "common/moments.h" nogil:
    void moments_chunk(const matrix* view, const double* weights, ptrdiff_t start, ptrdiff_t stop,
                       double* moments) noexcept
    void moments_merge(double* total, const double* part, ptrdiff_t p) noexcept


def moments(points, const double[::1] weights, double[::1] mean, *, int n_threads):
    """Fill `mean` (p) and return (total weight, weighted sum of squared distances to the mean)."""
    cdef Py_buffer buffer
    cdef matrix view
    cdef char* memory = NULL
    cdef ptrdiff_t chunk, rows, chunks, first, last, a_slice, i
    cdef size_t size
    cdef const double* w = weights_pointer(weights)
    acquire_matrix(points, &buffer, &view)
    try:
        rows = chunk_rows(view.n_columns)
        chunks = chunk_count(view.n_rows, rows)
        n_threads = <int>min(n_threads, chunks)
        size = padded((2 * view.n_columns + 2) * sizeof(double))
        a_slice = slice_chunks(view.n_columns, rows, size, n_threads)
        memory = <char*>scratch_allocate(size * (a_slice + 1))
        for i in range(view.n_columns + 2):
            (<double*>memory)[i] = 0
        for first in range(0, chunks, a_slice):
            last = min(first + a_slice, chunks)
            with nogil:
                for chunk in prange(first, last, num_threads=n_threads, schedule="static"):
                    moments_chunk(&view, w, chunk * rows, min((chunk + 1) * rows, view.n_rows),
                                  <double*>(memory + size * (chunk - first + 1)))
                for chunk in range(first, last):
                    moments_merge(<double*>memory, <double*>(memory + size * (chunk - first + 1)), view.n_columns)
            PyErr_CheckSignals()
        for i in range(view.n_columns):
            mean[i] = (<double*>memory)[2 + i]
        return (<double*>memory)[0], (<double*>memory)[1]
    finally:
        scratch_free(memory)
        PyBuffer_Release(&buffer)
