"""Greedy k-means++: seeds drawn with probability proportional to weight x squared distance to the nearest seed so far.

At each step several candidates are drawn and the one that lowers the potential most is taken, as scikit-learn does.
Cost: O(n p) a candidate, 8 n bytes. Source: D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful
seeding", SODA 2007 (the greedy variant is in its section on experiments).

Invariant: potentials are summed by chunk, chunks in order, in float64; the same uniform numbers give the same seeds for
any number of threads and any instruction set.
"""

from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int64_t

from common.chunks cimport chunk_count, chunk_rows
from common.matrix cimport acquire_matrix, matrix, matrix_row_f64, weights_pointer
from common.scratch cimport padded, scratch_allocate, scratch_free

import numpy as np


cdef extern from "kmeans/seeding.h" nogil:
    size_t seeding_scratch_bytes(ptrdiff_t p) noexcept
    void seeding_potentials(const matrix* points, const double* weights, const double* candidates,
                            ptrdiff_t n_candidates, ptrdiff_t start, ptrdiff_t stop, const double* closest,
                            double* scratch, double* potentials) noexcept
    double seeding_take(const matrix* points, const double* weights, const double* center, ptrdiff_t start,
                        ptrdiff_t stop, double* closest, double* scratch) noexcept
    ptrdiff_t seeding_locate(const double* values, const double* weights, ptrdiff_t start, ptrdiff_t stop,
                             double target) noexcept


cdef ptrdiff_t _draw(const double[::1] potentials, ptrdiff_t rows, ptrdiff_t n, const double* values,
                     const double* weights, double uniform) noexcept nogil:
    """The row that `uniform` in [0, 1) falls on when rows take room proportional to weight x value."""
    cdef ptrdiff_t chunks = potentials.shape[0], chunk, found = -1
    cdef double total = 0, before = 0, target
    for chunk in range(chunks):
        total += potentials[chunk]
    target = uniform * total
    chunk = 0
    while chunk < chunks - 1 and before + potentials[chunk] <= target:
        before += potentials[chunk]
        chunk += 1
    target -= before
    # A chunk without room is only reached by rounding: go back to the last row that has some.
    while chunk >= 0 and found < 0:
        found = seeding_locate(values, weights, chunk * rows, min((chunk + 1) * rows, n), target)
        target = INFINITY
        chunk -= 1
    return found


def kmeans_plusplus(points, const double[::1] weights, const double[:, ::1] uniforms, double[::1] closest,
                    double[:, ::1] centers, int64_t[::1] indices, *, int n_threads):
    """Draw k seeds.

    points: n x p, uint8, uint16, float32 or float64                                    IN
    weights: n, or None for ones                                                        IN
    uniforms: k x candidates a step, in [0, 1); of the first row only the first is used  IN
    closest: n; squared distances to the nearest seed                                   OUT
    centers: k x p; the seeds                                                           OUT
    indices: k; their rows, or -1 from the first seed on that found no room             OUT
    """
    cdef Py_buffer buffer
    cdef matrix view
    cdef char* scratch = NULL
    cdef size_t scratch_size
    cdef ptrdiff_t n, p, k = uniforms.shape[0], trials = uniforms.shape[1], rows, chunks, chunk, first, last, step, c
    cdef ptrdiff_t best, a_slice, row
    cdef double total, least
    cdef const double* w = weights_pointer(weights)
    cdef double[::1] chunk_potentials
    cdef double[:, ::1] candidates = np.empty((trials, centers.shape[1]))
    cdef double[:, ::1] potentials
    cdef int64_t[::1] drawn = np.empty(trials, dtype=np.int64)
    acquire_matrix(points, &buffer, &view)
    try:
        n, p = view.n_rows, view.n_columns
        rows = chunk_rows(p)
        chunks = chunk_count(n, rows)
        n_threads = <int>min(n_threads, chunks)
        closest[:] = 1
        chunk_potentials = np.empty(chunks)
        potentials = np.empty((chunks, trials))
        scratch_size = padded(seeding_scratch_bytes(p))
        scratch = <char*>scratch_allocate(scratch_size * n_threads)
        a_slice = max(<ptrdiff_t>n_threads, <ptrdiff_t>(1e8 / (<double>rows * (p + 4) * trials)))
        for chunk in range(chunks):
            chunk_potentials[chunk] = 0
            for row in range(chunk * rows, min((chunk + 1) * rows, n)):
                chunk_potentials[chunk] += 1.0 if w == NULL else w[row]
        for step in range(k):
            with nogil:
                for c in range(trials):
                    drawn[c] = _draw(chunk_potentials, rows, n, &closest[0], w, uniforms[step, c])
                    if drawn[c] >= 0:
                        matrix_row_f64(&view, drawn[c], &candidates[c, 0])
            if drawn[0] < 0:
                indices[step:] = -1
                return
            best = 0
            if step == 0:
                closest[:] = np.inf
            else:
                for first in range(0, chunks, a_slice):
                    last = min(first + a_slice, chunks)
                    with nogil:
                        for chunk in prange(first, last, num_threads=n_threads, schedule="dynamic"):
                            seeding_potentials(&view, w, &candidates[0, 0], trials, chunk * rows,
                                               min((chunk + 1) * rows, n), &closest[0],
                                               <double*>(scratch + threadid() * scratch_size), &potentials[chunk, 0])
                    PyErr_CheckSignals()
                least = np.inf
                for c in range(trials):
                    total = 0
                    for chunk in range(chunks):
                        total += potentials[chunk, c]
                    if total < least:
                        least, best = total, c
            indices[step] = drawn[best]
            centers[step, :] = candidates[best]
            with nogil:
                for chunk in prange(chunks, num_threads=n_threads, schedule="dynamic"):
                    chunk_potentials[chunk] = seeding_take(&view, w, &candidates[best, 0], chunk * rows,
                                                           min((chunk + 1) * rows, n), &closest[0],
                                                           <double*>(scratch + threadid() * scratch_size))
            PyErr_CheckSignals()
    finally:
        scratch_free(scratch)
        PyBuffer_Release(&buffer)
