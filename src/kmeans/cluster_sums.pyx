"""Weighted sums of the rows by label: what moves the centers when the labels are known already.

O(n p) time. Accumulators: float64; a chunk's partial sums are added in chunk order, so that the bits do not depend on
threads.
"""

from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t
from libc.string cimport memset

from common.chunks cimport chunk_count, chunk_rows, slice_chunks
from common.matrix cimport acquire_matrix, matrix, weights_pointer
from common.scratch cimport padded, scratch_allocate, scratch_free


cdef extern from "kmeans/sums.h" nogil:
    ptrdiff_t sums_stride(ptrdiff_t p) noexcept
    ptrdiff_t sums_copies(ptrdiff_t k, ptrdiff_t p) noexcept
    void sums_add(const matrix* points, ptrdiff_t start, ptrdiff_t count, const double* weights, const int32_t* labels,
                  double* sums, ptrdiff_t k) noexcept
    void sums_fold(const double* copies, double* to, ptrdiff_t k, ptrdiff_t p) noexcept


cdef extern from "common/chunks.h" nogil:
    enum:
        CHUNK_TILE


def cluster_sums(points, const double[::1] weights, const int32_t[::1] labels, double[:, ::1] sums,
                 double[::1] cluster_weights, *, int n_threads):
    """Sums and weights of the rows with each label.

    points: n x p, uint8, uint16, float32 or float64                                    IN
    weights: n, or None for ones                                                        IN
    labels: n, from 0 to k - 1                                                          IN
    sums: k x p                                                                         OUT
    cluster_weights: k                                                                  OUT
    """
    cdef Py_buffer buffer
    cdef matrix view
    cdef char* memory = NULL
    cdef ptrdiff_t k = sums.shape[0], p = sums.shape[1], stride = sums_stride(p), chunk, chunks, first, last, a_slice
    cdef ptrdiff_t rows, i, j
    cdef size_t size
    cdef double* total
    cdef double* partial
    cdef const double* w = weights_pointer(weights)
    acquire_matrix(points, &buffer, &view)
    try:
        # Rows enough that clearing and adding up k x p partial sums is the lesser work.
        rows = max(chunk_rows(p), (4 * k + CHUNK_TILE - 1) // CHUNK_TILE * CHUNK_TILE)
        chunks = chunk_count(view.n_rows, rows)
        n_threads = <int>min(n_threads, chunks)
        size = padded(sums_copies(k, p) * k * stride * sizeof(double))
        a_slice = min(chunks, slice_chunks(p, rows, size, n_threads))
        memory = <char*>scratch_allocate(size * (a_slice + 1))
        total = <double*>memory
        memset(memory, 0, size)
        for first in range(0, chunks, a_slice):
            last = min(first + a_slice, chunks)
            with nogil:
                for chunk in prange(first, last, num_threads=n_threads, schedule="static"):
                    sum_chunk(&view, w, &labels[0], chunk * rows, min((chunk + 1) * rows, view.n_rows),
                              <double*>(memory + size * (chunk - first + 1)), size, k)
                for chunk in range(first, last):
                    partial = <double*>(memory + size * (chunk - first + 1))
                    for i in range(k * stride):
                        total[i] += partial[i]
            PyErr_CheckSignals()
        for j in range(k):
            cluster_weights[j] = total[j * stride + p]
            for i in range(p):
                sums[j, i] = total[j * stride + i]
    finally:
        scratch_free(memory)
        PyBuffer_Release(&buffer)


cdef void sum_chunk(const matrix* points, const double* weights, const int32_t* labels, ptrdiff_t start,
                    ptrdiff_t stop, double* sums, size_t size, ptrdiff_t k) noexcept nogil:
    """Rows [start, stop) to `sums`, `size` bytes."""
    memset(sums, 0, size)
    if weights != NULL:
        weights = weights + start
    sums_add(points, start, stop - start, weights, labels + start, sums, k)
    sums_fold(sums, sums, k, points.n_columns)
