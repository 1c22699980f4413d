"""The centers of k-medians: of every cluster and every feature, the weighted median.

Expected O(n p) time; 8 bytes a row and, for each thread, 16 bytes a row of the largest cluster. A median does not depend
on the order of the rows, nor on threads. Source: weighted selection by partition, as in R. Sedgewick's quickselect.
"""

from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t

from common.matrix cimport acquire_matrix, matrix, weights_pointer
from common.scratch cimport padded, scratch_allocate, scratch_free

import numpy as np


cdef extern from "kmeans/medians.h" nogil:
    ctypedef struct weighted_value:
        double value
        double weight
    double column_median(const matrix* points, const double* weights, ptrdiff_t column, const ptrdiff_t* rows,
                         ptrdiff_t count, weighted_value* scratch) noexcept


def label_medians(points, const double[::1] weights, const int32_t[::1] labels, double[:, ::1] centers, *,
                  int n_threads):
    """Move every center onto the weighted medians of its rows; one without rows of positive weight stays.

    points: n x p, uint8, uint16, float32 or float64                                    IN
    weights: n, or None for ones                                                        IN
    labels: n, from 0 to k - 1                                                          IN
    centers: k x p                                                                      INOUT
    """
    cdef Py_buffer buffer
    cdef matrix view
    cdef char* scratch = NULL
    cdef const double* w = weights_pointer(weights)
    cdef ptrdiff_t k = centers.shape[0], p = centers.shape[1], n, row, j, task, first, last, largest = 0
    cdef size_t scratch_size
    cdef ptrdiff_t[::1] starts = np.zeros(k + 2, dtype=np.intp), order
    acquire_matrix(points, &buffer, &view)
    try:
        n = view.n_rows
        order = np.empty(n, dtype=np.intp)
        with nogil:
            # A counting sort: after it, cluster j has rows order[starts[j]:starts[j + 1]].
            for row in range(n):
                if w == NULL or w[row] > 0:
                    starts[labels[row] + 2] += 1
            for j in range(k):
                largest = max(largest, starts[j + 2])
                starts[j + 2] += starts[j + 1]
            for row in range(n):
                if w == NULL or w[row] > 0:
                    order[starts[labels[row] + 1]] = row
                    starts[labels[row] + 1] += 1
        n_threads = <int>min(n_threads, k * p)
        scratch_size = padded(largest * sizeof(weighted_value))
        scratch = <char*>scratch_allocate(scratch_size * n_threads)
        for first in range(0, k * p, n_threads):
            last = min(first + n_threads, k * p)
            with nogil:
                for task in prange(first, last, num_threads=n_threads, schedule="dynamic"):
                    if starts[task // p + 1] > starts[task // p]:
                        centers[task // p, task % p] = column_median(
                            &view, w, task % p, &order[starts[task // p]], starts[task // p + 1] - starts[task // p],
                            <weighted_value*>(scratch + threadid() * scratch_size))
            PyErr_CheckSignals()
    finally:
        scratch_free(scratch)
        PyBuffer_Release(&buffer)
