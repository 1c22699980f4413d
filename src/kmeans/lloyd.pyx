"""Lloyd's algorithm: assign every row to its nearest center, move every center to the mean of its rows, repeat.

Cost: O(n k p) a step, O(threads (k p + p)) working memory; no n x k matrix exists at any time, and labels are only
written when they are asked for. Source: S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on
Information Theory 28(2), 1982.

The assignment is made in one of four ways, with equal labels: `PlainSearch` compares every row with every center; `BoxSearch`,
for few columns, orders the rows by a k-d tree and drops centers for whole boxes of rows (boxes.pxi); `BallSearch`, for
many, does so for balls of rows that shared a label once (balls.pxi); `GroupSearch` keeps bounds of every row's distances
to groups of centers (groups.pxi). `TrialSearch` starts as the first and goes on as another if there are clusters (trial.pxi).

Invariant: every step assigns exactly as a float64 brute-force search would (argmin.h) and adds partial sums up in an
order that is fixed by the rows alone, so centers do not depend on threads or on the instruction set.
"""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY, sqrt
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t, uint8_t, uint32_t, uintptr_t
from libc.string cimport memset

from common.argmin cimport centers_table, centers_table_bytes, centers_table_fill, centers_table_place
from common.chunks cimport SLICE_BYTES, chunk_count, chunk_rows_of, slice_chunks
from common.matrix cimport MATRIX_FLOAT32, MATRIX_FLOAT64, acquire_matrix, matrix, matrix_dtype, matrix_row_f64, weights_pointer
from common.scratch cimport CACHE_LINE, padded, scratch_allocate, scratch_free

import numpy as np


cdef extern from "kmeans/sums.h" nogil:
    enum:
        COST_STRIDE
    ptrdiff_t sums_stride(ptrdiff_t p) noexcept
    void sums_fold(const double* copies, double* to, ptrdiff_t k, ptrdiff_t p) noexcept
    double* sums_begin(double* scratch, double* sums, ptrdiff_t k, ptrdiff_t p) noexcept


cdef extern from "kmeans/lloyd.h" nogil:
    size_t lloyd_scratch_bytes(ptrdiff_t k, ptrdiff_t p) noexcept
    double* lloyd_sums(void* scratch, ptrdiff_t k, ptrdiff_t p) noexcept
    void lloyd_chunk(const centers_table* table, const matrix* points, const double* weights, ptrdiff_t start,
                     ptrdiff_t stop, void* scratch, double* sums, int32_t* kept) noexcept
    void evaluate_chunk(const centers_table* table, const matrix* points, const double* weights, const double* centers,
                        ptrdiff_t start, ptrdiff_t stop, void* scratch, double* costs, int32_t* labels) noexcept
    void labeled_sums_chunk(const matrix* points, const double* weights, const int32_t* labels, ptrdiff_t k,
                            ptrdiff_t start, ptrdiff_t stop, void* scratch, double* sums) noexcept
    void labeled_costs_chunk(const matrix* points, const double* weights, const int32_t* labels, const double* centers,
                             ptrdiff_t k, ptrdiff_t start, ptrdiff_t stop, double* costs) noexcept
    void own_distances_chunk(const matrix* points, const double* centers, const int32_t* labels, ptrdiff_t start,
                             ptrdiff_t stop, double* closest) noexcept
    void closer_chunk(const matrix* points, const double* center, ptrdiff_t start, ptrdiff_t stop,
                      double* closest) noexcept
    ptrdiff_t farthest_row(const matrix* points, const double* closest, const double* weights) noexcept
    void take_equal_rows(const matrix* points, const double* weights, ptrdiff_t moved, int32_t to, int32_t* labels,
                         double* taken, double* left) noexcept


cdef double WORK_A_THREAD = 2**18  # multiply-adds an iteration; some 50 us


cdef class PlainSearch:
    """Rows, and the memory to assign them to centers again and again: every row is compared with every center.

    points: n x p, uint8, uint16, float32 or float64                                    IN
    weights: n, or None for ones; not all zero                                          IN
    k: number of centers
    otherwise, patience, most_pairs, most_left: for searches that call for another one, or give up
    """

    cdef:
        Py_buffer buffer
        bint acquired
        matrix points
        object weights_owner
        const double* weights
        centers_table table
        void* memory
        char* scratch
        char* partials
        size_t scratch_size, partial_size
        ptrdiff_t k, p, rows, chunks, chunks_a_slice
        int n_threads

    def __cinit__(self, points, const double[::1] weights, ptrdiff_t k, int n_threads, object otherwise=None,
                  ptrdiff_t patience=1, double most_pairs=1, double most_left=INFINITY):
        self.memory = NULL
        acquire_matrix(points, &self.buffer, &self.points)
        self.acquired = True
        self.weights_owner = weights
        self.weights = weights_pointer(weights)
        self.k, self.p, self.n_threads = k, self.points.n_columns, n_threads
        cdef double work = <double>k * self.p
        self.rows = chunk_rows_of(self.points.n_rows, work)
        self.chunks = chunk_count(self.points.n_rows, self.rows)
        # A thread more takes some microseconds to wake up, and far longer on a busy machine.
        cdef double worth = self.points.n_rows * (work + 4) / WORK_A_THREAD
        self.n_threads = n_threads = <int>max(1, min(n_threads, self.chunks, worth))
        self.partial_size = padded(k * max(sums_stride(self.p), <ptrdiff_t>COST_STRIDE) * sizeof(double))
        self.chunks_a_slice = min(self.chunks, slice_chunks(work, self.rows, self.partial_size, n_threads))
        self.scratch_size = padded(lloyd_scratch_bytes(self.k, self.p))
        cdef size_t table_size = padded(centers_table_bytes(k, self.p))
        self.memory = scratch_allocate(table_size + self.scratch_size * n_threads
                                       + self.partial_size * self.chunks_a_slice)
        centers_table_place(&self.table, k, self.p, self.memory)
        self.scratch = <char*>self.memory + table_size
        self.partials = self.scratch + self.scratch_size * n_threads

    def __dealloc__(self):
        scratch_free(self.memory)
        if self.acquired:
            PyBuffer_Release(&self.buffer)

    cdef int sums(self, const double[:, ::1] centers, double[::1] totals) except -1:
        """One assignment; totals (k x stride) becomes the weighted sums and weights by cluster."""
        return self._label_and_sum(centers, totals, NULL)

    cdef int _label_and_sum(self, const double[:, ::1] centers, double[::1] totals, int32_t* labels) except -1:
        """The same; labels: n, or NULL."""
        cdef ptrdiff_t first, chunk, last, size = self.k * sums_stride(self.p)
        centers_table_fill(&self.table, &centers[0, 0])
        totals[:] = 0
        for first in range(0, self.chunks, self.chunks_a_slice):
            last = min(first + self.chunks_a_slice, self.chunks)
            with nogil:
                for chunk in prange(first, last, num_threads=self.n_threads, schedule="dynamic"):
                    lloyd_chunk(&self.table, &self.points, self.weights, chunk * self.rows,
                                min((chunk + 1) * self.rows, self.points.n_rows),
                                self.scratch + threadid() * self.scratch_size,
                                <double*>(self.partials + (chunk - first) * self.partial_size), labels)
                for chunk in range(first, last):
                    add_to(<double*>(self.partials + (chunk - first) * self.partial_size), size, &totals[0])
            PyErr_CheckSignals()
        return 0

    cdef int assign(self, const double[:, ::1] centers, double[:, ::1] costs, int32_t[::1] labels) except -1:
        """One assignment with its labels; costs (k x COST_STRIDE) becomes inertia, weight and rows by cluster."""
        cdef ptrdiff_t first, chunk, last, size = self.k * COST_STRIDE
        centers_table_fill(&self.table, &centers[0, 0])
        costs[:, :] = 0
        for first in range(0, self.chunks, self.chunks_a_slice):
            last = min(first + self.chunks_a_slice, self.chunks)
            with nogil:
                for chunk in prange(first, last, num_threads=self.n_threads, schedule="dynamic"):
                    evaluate_chunk(&self.table, &self.points, self.weights, &centers[0, 0], chunk * self.rows,
                                   min((chunk + 1) * self.rows, self.points.n_rows),
                                   self.scratch + threadid() * self.scratch_size,
                                   <double*>(self.partials + (chunk - first) * self.partial_size), &labels[0])
                for chunk in range(first, last):
                    add_to(<double*>(self.partials + (chunk - first) * self.partial_size), size, &costs[0, 0])
            PyErr_CheckSignals()
        return 0

    cdef int _add(self, const int32_t[::1] labels, double[::1] totals) except -1:
        """Sums with these labels, added up as `sums` does."""
        cdef ptrdiff_t first, chunk, last, size = self.k * sums_stride(self.p)
        totals[:] = 0
        for first in range(0, self.chunks, self.chunks_a_slice):
            last = min(first + self.chunks_a_slice, self.chunks)
            with nogil:
                for chunk in prange(first, last, num_threads=self.n_threads, schedule="dynamic"):
                    labeled_sums_chunk(&self.points, self.weights, &labels[0], self.k, chunk * self.rows,
                                       min((chunk + 1) * self.rows, self.points.n_rows),
                                       self.scratch + threadid() * self.scratch_size,
                                       <double*>(self.partials + (chunk - first) * self.partial_size))
                for chunk in range(first, last):
                    add_to(<double*>(self.partials + (chunk - first) * self.partial_size), size, &totals[0])
            PyErr_CheckSignals()
        return 0

    cdef int _cost(self, const double[:, ::1] centers, const int32_t[::1] labels, double[:, ::1] costs) except -1:
        """What the clusters cost with these labels, added up as `assign` does."""
        cdef ptrdiff_t first, chunk, last, size = self.k * COST_STRIDE
        costs[:, :] = 0
        for first in range(0, self.chunks, self.chunks_a_slice):
            last = min(first + self.chunks_a_slice, self.chunks)
            with nogil:
                for chunk in prange(first, last, num_threads=self.n_threads, schedule="dynamic"):
                    labeled_costs_chunk(&self.points, self.weights, &labels[0], &centers[0, 0], self.k,
                                        chunk * self.rows, min((chunk + 1) * self.rows, self.points.n_rows),
                                        <double*>(self.partials + (chunk - first) * self.partial_size))
                for chunk in range(first, last):
                    add_to(<double*>(self.partials + (chunk - first) * self.partial_size), size, &costs[0, 0])
            PyErr_CheckSignals()
        return 0

    cdef int _refill(self, const double[:, ::1] centers, const double[::1] cluster_weights,
                     double[:, ::1] moved, double[::1] totals=None) except -1:
        """Put every center that got no weight, in `moved`, onto the row that costs most under `centers`.

        After each such move the cost of the rows is taken with the new center, so that two empty clusters never share
        a place. Where the `totals` of the clusters are given, the cluster that the row comes from loses it, and all
        rows equal to it, unless it has no others; without them, no other center changes. O(n p) a move.
        """
        cdef ptrdiff_t n = self.points.n_rows, stride = sums_stride(self.p), j, i, chunk, farthest, donor
        cdef double taken, left
        cdef int32_t[::1] labels = np.empty(n, dtype=np.int32)
        cdef double[::1] closest = np.empty(n)
        self.assign(centers, np.empty((self.k, COST_STRIDE)), labels)
        with nogil:
            for chunk in prange(self.chunks, num_threads=self.n_threads, schedule="dynamic"):
                own_distances_chunk(&self.points, &centers[0, 0], &labels[0], chunk * self.rows,
                                    min((chunk + 1) * self.rows, n), &closest[0])
        for j in range(self.k):
            if cluster_weights[j] > 0:
                continue
            farthest = farthest_row(&self.points, &closest[0], self.weights)
            matrix_row_f64(&self.points, farthest, &moved[j, 0])
            if totals is not None:
                donor = labels[farthest]
                take_equal_rows(&self.points, self.weights, farthest, <int32_t>j, &labels[0], &taken, &left)
                if left > 0:
                    for i in range(self.p):
                        totals[donor * stride + i] -= taken * moved[j, i]
                        moved[donor, i] = totals[donor * stride + i] / left
            with nogil:
                for chunk in prange(self.chunks, num_threads=self.n_threads, schedule="dynamic"):
                    closer_chunk(&self.points, &moved[j, 0], chunk * self.rows, min((chunk + 1) * self.rows, n),
                                 &closest[0])
            PyErr_CheckSignals()
        return 0

    def lloyd(self, double[:, ::1] centers, *, ptrdiff_t max_iter, double tolerance, observer=None):
        """Iterate until the centers stand still, move by no more than `tolerance` in all, or max_iter steps are done.

        centers: k x p, the initial centers; on return the last ones                    INOUT
        tolerance: bound on the sum of squared center movements of one step
        observer: called as observer(iteration, centers, shift) with copies after each assignment, or None; iteration
            counts from 1, centers are those assigned to, shift is the sum of squared movements that follows;
            a true return value ends the iteration there
        Returns (n_iter, converged).
        """
        cdef ptrdiff_t k = self.k, p = self.p, stride = sums_stride(p), iteration = 0, i, j
        cdef double[::1] totals = np.empty(k * stride)
        cdef double[:, ::1] moved = np.empty((k, p))
        cdef double[::1] cluster_weights = np.empty(k)
        cdef double shift, difference
        cdef bint empties, converged = False, stop = False
        while iteration < max_iter and not converged and not stop:
            iteration += 1
            self.sums(centers, totals)
            empties = False
            for j in range(k):
                cluster_weights[j] = totals[j * stride + p]
                if cluster_weights[j] > 0:
                    for i in range(p):
                        moved[j, i] = totals[j * stride + i] / cluster_weights[j]
                else:
                    empties = True
            if empties:
                self._refill(centers, cluster_weights, moved, totals)
            shift = 0
            for j in range(k):
                for i in range(p):
                    difference = moved[j, i] - centers[j, i]
                    shift += difference * difference
            if observer is not None:
                stop = bool(observer(iteration, centers.copy().base, shift))
            centers[:, :] = moved
            converged = shift <= tolerance
        return iteration, converged

    def evaluate(self, const double[:, ::1] centers, int32_t[::1] labels):
        """Labels of all rows, and what each cluster costs.

        centers: k x p                                                                  IN
        labels: n                                                                       OUT
        Returns costs, k x 4 float64: weighted squared distances, weight, number of rows, nothing.
        """
        cdef double[:, ::1] costs = np.empty((self.k, COST_STRIDE))
        self.assign(centers, costs, labels)
        return costs.base

    def refill(self, double[:, ::1] centers, const double[::1] cluster_weights):
        """Move the centers without weight, each in turn, onto the row that is then farthest from all centers.

        centers: k x p                                                                  INOUT
        cluster_weights: k, as `evaluate` found them                                    IN
        """
        cdef double[:, ::1] moved = centers.copy()
        self._refill(centers, cluster_weights, moved)
        centers[:, :] = moved


cdef void add_to(const double* partial, ptrdiff_t size, double* totals) noexcept nogil:
    """Partial results onto the totals (float64)."""
    cdef ptrdiff_t i
    for i in range(size):
        totals[i] += partial[i]


include "parts.pxi"
include "boxes.pxi"
include "groups.pxi"
include "trial.pxi"
include "balls.pxi"
