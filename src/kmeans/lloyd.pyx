"""Lloyd's algorithm: assign every row to its nearest center, move every center to the mean of its rows, repeat.

Cost: O(n k p) a step, O(threads (k p + p)) working memory; no n x k matrix exists at any time, and labels are only
written when they are asked for. Source: S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on
Information Theory 28(2), 1982.

The assignment is made in one of two ways, with equal labels: `PlainSearch` compares every row with every center, `BoxSearch`
first orders the rows by a k-d tree and drops centers for whole boxes of rows (filtering.h).

Invariant: every step assigns exactly as a float64 brute-force search would (argmin.h) and adds partial sums up in an
order that is fixed by the rows alone, so centers do not depend on threads or on the instruction set.
"""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t, uint8_t, uint32_t, uintptr_t
from libc.string cimport memset

from common.argmin cimport centers_table, centers_table_bytes, centers_table_fill, centers_table_place
from common.chunks cimport SLICE_BYTES, chunk_count, chunk_rows, slice_chunks
from common.matrix cimport acquire_matrix, matrix, matrix_row_f64, weights_pointer
from common.scratch cimport padded, scratch_allocate, scratch_free

import numpy as np


cdef extern from "kmeans/sums.h" nogil:
    enum:
        COST_STRIDE
    ptrdiff_t sums_stride(ptrdiff_t p) noexcept
    ptrdiff_t sums_copies(ptrdiff_t k) noexcept
    void sums_fold(double* sums, ptrdiff_t k, ptrdiff_t p) noexcept


cdef extern from "kmeans/lloyd.h" nogil:
    size_t lloyd_scratch_bytes(ptrdiff_t p) noexcept
    void lloyd_chunk(const centers_table* table, const matrix* points, const double* weights, ptrdiff_t start,
                     ptrdiff_t stop, void* scratch, double* sums) noexcept
    void evaluate_chunk(const centers_table* table, const matrix* points, const double* weights, const double* centers,
                        ptrdiff_t start, ptrdiff_t stop, void* scratch, double* costs, int32_t* labels) noexcept
    void own_distances_chunk(const matrix* points, const double* centers, const int32_t* labels, ptrdiff_t start,
                             ptrdiff_t stop, double* row, double* closest) noexcept
    void closer_chunk(const matrix* points, const double* center, ptrdiff_t start, ptrdiff_t stop, double* row,
                      double* closest) noexcept
    ptrdiff_t farthest_row(const matrix* points, const double* closest, const double* weights) noexcept


cdef extern from "common/kdtree.h" nogil:
    enum:
        KDTREE_FAN
        KDTREE_LEVELS
        KDTREE_MOST_COLUMNS
        KDTREE_TILE
    ctypedef struct kdtree_fan:
        pass
    ctypedef struct kdtree_worker:
        float* columns
        float* sample
        double* row
    void kdtree_fan_plan(kdtree_fan* fan, int levels, const matrix* points, ptrdiff_t start, ptrdiff_t count,
                         const double* shift, float* sample, double* row) noexcept
    void kdtree_descend(const kdtree_fan* fan, const matrix* points, ptrdiff_t start, ptrdiff_t stop,
                        const double* shift, float* columns, uint8_t* leaves, ptrdiff_t* counts) noexcept
    void kdtree_scatter(const uint8_t* leaves, const matrix* points, ptrdiff_t start, ptrdiff_t stop,
                        const uint32_t* numbers, ptrdiff_t* places, char* sorted, uint32_t* order) noexcept
    size_t kdtree_worker_bytes(ptrdiff_t p, ptrdiff_t row_bytes, ptrdiff_t most_rows) noexcept
    void kdtree_worker_place(kdtree_worker* worker, ptrdiff_t p, ptrdiff_t row_bytes, ptrdiff_t most_rows,
                             char* memory) noexcept
    void kdtree_split(kdtree_worker* worker, const matrix* points, ptrdiff_t start, ptrdiff_t stop, int levels,
                      const double* shift, uint32_t* order, ptrdiff_t* leaf_rows) noexcept


cdef extern from "kmeans/filtering.h" nogil:
    ctypedef struct box_tree:
        ptrdiff_t p
        ptrdiff_t depth
        matrix points
        const double* weights
        const uint32_t* order
        const ptrdiff_t* leaf_rows
        double* boxes
        double* sums
    ctypedef struct box_worker:
        int32_t* candidates
    ctypedef struct box_visit:
        const double* centers
        ptrdiff_t k
        double* sums
        double* costs
        int32_t* labels
    size_t box_worker_bytes(ptrdiff_t k, ptrdiff_t p, ptrdiff_t depth) noexcept
    void box_worker_place(box_worker* worker, ptrdiff_t k, ptrdiff_t p, char* memory) noexcept
    void box_leaves(box_tree* tree, ptrdiff_t first, ptrdiff_t last) noexcept
    void box_inner(box_tree* tree) noexcept
    void box_node(const box_tree* tree, box_worker* worker, const box_visit* visit, ptrdiff_t node, ptrdiff_t level,
                  const int32_t* candidates, ptrdiff_t n_candidates) noexcept


cdef enum:
    BOX_ROWS = 512          # rows a leaf, about; of 128 to 2048, 512 is within 10 % of the best at k = 16 and 256
    BOX_SEGMENTS = 16       # ranges of rows that are distributed over the buckets independently
    BOX_CROWD = 4           # buckets of more times the mean number of rows, mostly equal ones, are not split further
    BOX_FEW_CENTERS = 32    # up to which labels, which go to scattered places here, are found quicker in the rows' order
    BOX_TASK_DEPTH = 8      # subtrees of this depth are the units of work and of partial sums


cdef class PlainSearch:
    """Rows, and the memory to assign them to centers again and again: every row is compared with every center.

    points: n x p, uint8, uint16, float32 or float64                                    IN
    weights: n, or None for ones; not all zero                                          IN
    k: number of centers
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

    def __cinit__(self, points, const double[::1] weights, ptrdiff_t k, int n_threads):
        self.memory = NULL
        acquire_matrix(points, &self.buffer, &self.points)
        self.acquired = True
        self.weights_owner = weights
        self.weights = weights_pointer(weights)
        self.k, self.p, self.n_threads = k, self.points.n_columns, n_threads
        cdef double work = <double>k * self.p
        self.rows = chunk_rows(work)
        self.chunks = chunk_count(self.points.n_rows, self.rows)
        self.n_threads = n_threads = <int>min(n_threads, self.chunks)
        cdef size_t sums = sums_copies(k) * k * sums_stride(self.p) * sizeof(double)
        self.partial_size = padded(max(sums, <size_t>(k * COST_STRIDE * sizeof(double))))
        self.chunks_a_slice = min(self.chunks, slice_chunks(work, self.rows, self.partial_size, n_threads))
        self.scratch_size = padded(lloyd_scratch_bytes(self.p))
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
                                <double*>(self.partials + (chunk - first) * self.partial_size))
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

    cdef int _refill(self, const double[:, ::1] centers, const double[::1] cluster_weights,
                     double[:, ::1] moved) except -1:
        """Put every center that got no weight, in `moved`, onto the row that costs most under `centers`.

        After each such move the cost of the rows is taken with the new center, so that two empty clusters never share
        a place. O(n p) a move; none of the other centers changes.
        """
        cdef ptrdiff_t n = self.points.n_rows, j, chunk, farthest
        cdef int32_t[::1] labels = np.empty(n, dtype=np.int32)
        cdef double[::1] closest = np.empty(n)
        self.assign(centers, np.empty((self.k, COST_STRIDE)), labels)
        with nogil:
            for chunk in prange(self.chunks, num_threads=self.n_threads, schedule="dynamic"):
                own_distances_chunk(&self.points, &centers[0, 0], &labels[0], chunk * self.rows,
                                    min((chunk + 1) * self.rows, n),
                                    <double*>(self.scratch + threadid() * self.scratch_size), &closest[0])
        for j in range(self.k):
            if cluster_weights[j] > 0:
                continue
            farthest = farthest_row(&self.points, &closest[0], self.weights)
            matrix_row_f64(&self.points, farthest, &moved[j, 0])
            with nogil:
                for chunk in prange(self.chunks, num_threads=self.n_threads, schedule="dynamic"):
                    closer_chunk(&self.points, &moved[j, 0], chunk * self.rows, min((chunk + 1) * self.rows, n),
                                 <double*>(self.scratch + threadid() * self.scratch_size), &closest[0])
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
                self._refill(centers, cluster_weights, moved)
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


@cython.final
cdef class BoxSearch(PlainSearch):
    """The same over rows ordered by a k-d tree, with centers dropped for whole boxes of rows.

    Takes 4 bytes a row and a copy of the rows and their weights, in their own dtype.
    """

    cdef:
        box_tree tree
        size_t worker_size
        ptrdiff_t tasks, tasks_a_slice
        char* workers
        char* box_partials
        int32_t[::1] everything
        object keep

    def __init__(self, points, const double[::1] weights, ptrdiff_t k, int n_threads):
        cdef ptrdiff_t n = self.points.n_rows, p = self.p, depth = 0
        if p > KDTREE_MOST_COLUMNS:
            raise ValueError(f"points must have at most {KDTREE_MOST_COLUMNS} columns to be ordered, got {p}")
        while (n >> depth) > BOX_ROWS and depth < 2 * KDTREE_LEVELS:
            depth += 1
        self.tree.p, self.tree.depth = p, depth
        self._sort()
        self.tasks = 1 << min(depth, BOX_TASK_DEPTH)
        self.worker_size = padded(box_worker_bytes(k, p, depth))
        self.tasks_a_slice = min(self.tasks, max(<ptrdiff_t>(2 * n_threads),
                                                 <ptrdiff_t>(SLICE_BYTES // (self.partial_size + 1))))
        memory = np.empty(self.worker_size * n_threads + self.partial_size * self.tasks_a_slice + 64, dtype=np.uint8)
        cdef unsigned char[::1] view = memory
        self.workers = <char*>((<uintptr_t>&view[0] + 63) // 64 * 64)
        self.box_partials = self.workers + self.worker_size * n_threads
        self.everything = np.arange(k, dtype=np.int32)
        self.keep = (self.keep, memory)

    cdef int _sort(self) except -1:
        """Order the rows by leaf, and fill in boxes and sums: all rows over buckets first, then bucket by bucket."""
        cdef ptrdiff_t n = self.points.n_rows, p = self.p, leaves = 1 << self.tree.depth, segment, bucket, place, count
        cdef int levels = <int>(self.tree.depth + 1) // 2, rest = <int>self.tree.depth - levels
        cdef ptrdiff_t buckets = 1 << levels, a_segment = (n + BOX_SEGMENTS - 1) // BOX_SEGMENTS
        cdef ptrdiff_t row_bytes = p << <int>self.points.dtype
        cdef double[::1] shift = np.empty(p), boxes = np.empty(4 * leaves * p)
        cdef double[::1] sums = np.empty(2 * leaves * sums_stride(p))
        cdef double[::1] weights = None if self.weights == NULL else np.empty(n)
        cdef uint8_t[::1] bucket_of = np.empty(n, dtype=np.uint8), rows = np.empty(n * row_bytes, dtype=np.uint8)
        cdef uint32_t[::1] order = np.empty(n, dtype=np.uint32)
        cdef ptrdiff_t[:, ::1] places = np.empty((BOX_SEGMENTS, KDTREE_FAN), dtype=np.intp)
        cdef ptrdiff_t[::1] leaf_rows = np.empty(leaves + 1, dtype=np.intp)
        cdef kdtree_fan fan
        cdef kdtree_worker worker
        cdef ptrdiff_t most = min(n, BOX_CROWD * (n // buckets + 1))
        cdef size_t memory_size = padded(kdtree_worker_bytes(p, row_bytes, most))
        cdef char* memory = <char*>scratch_allocate(memory_size * self.n_threads)
        self.tree.points = self.points
        self.tree.points.data = <const char*>&rows[0]
        self.tree.points.row_stride, self.tree.points.column_stride = row_bytes, 1 << <int>self.points.dtype
        self.tree.weights = NULL if self.weights == NULL else &weights[0]
        self.tree.order, self.tree.leaf_rows = &order[0], &leaf_rows[0]
        self.tree.boxes, self.tree.sums = &boxes[0], &sums[0]
        self.keep = (rows.base, order.base, leaf_rows.base, boxes.base, sums.base, weights)
        try:
            memset(&fan, 0, sizeof(fan))
            kdtree_worker_place(&worker, p, row_bytes, most, memory)
            matrix_row_f64(&self.points, 0, &shift[0])
            for place in range(p):
                shift[place] = <float>shift[place]
            kdtree_fan_plan(&fan, levels, &self.points, 0, n, &shift[0], worker.sample, worker.row)
            with nogil:
                for segment in prange(BOX_SEGMENTS, num_threads=self.n_threads, schedule="dynamic"):
                    kdtree_descend(&fan, &self.points, min(segment * a_segment, n), min((segment + 1) * a_segment, n),
                                   &shift[0], <float*>(memory + threadid() * memory_size),
                                   &bucket_of[0] + min(segment * a_segment, n), &places[segment, 0])
                place = 0
                for bucket in range(buckets):
                    leaf_rows[bucket << rest] = place
                    for segment in range(BOX_SEGMENTS):
                        count = places[segment, bucket]
                        places[segment, bucket] = place
                        place += count
                leaf_rows[leaves] = n
                for segment in prange(BOX_SEGMENTS, num_threads=self.n_threads, schedule="dynamic"):
                    kdtree_scatter(&bucket_of[0] + min(segment * a_segment, n), &self.points, min(segment * a_segment, n),
                                   min((segment + 1) * a_segment, n), NULL, &places[segment, 0], <char*>&rows[0],
                                   &order[0])
            PyErr_CheckSignals()
            with nogil:
                for bucket in prange(buckets, num_threads=self.n_threads, schedule="dynamic"):
                    self._split(memory + threadid() * memory_size, most, bucket, rest, &shift[0], &order[0],
                                &leaf_rows[0])
                box_inner(&self.tree)
            PyErr_CheckSignals()
        finally:
            scratch_free(memory)
        return 0

    cdef void _split(self, char* memory, ptrdiff_t most, ptrdiff_t bucket, int rest, const double* shift,
                     uint32_t* order, ptrdiff_t* leaf_rows) noexcept nogil:
        """The leaves of one bucket, with their boxes, sums and weights."""
        cdef kdtree_worker worker
        cdef ptrdiff_t first = bucket << rest, last = (bucket + 1) << rest, place
        if rest > 0:
            kdtree_worker_place(&worker, self.p, self.tree.points.row_stride, most, memory)
            kdtree_split(&worker, &self.tree.points, leaf_rows[first], leaf_rows[last], rest, shift, order,
                         leaf_rows + first)
        if self.weights != NULL:
            for place in range(leaf_rows[first], leaf_rows[last]):
                (<double*>self.tree.weights)[place] = self.weights[order[place]]
        box_leaves(&self.tree, first, last)

    cdef void _visit(self, ptrdiff_t task, int thread, ptrdiff_t slot, const double* centers,
                     int32_t* labels) noexcept nogil:
        """One subtree: sums, or labels and costs where labels are given, to the partial result `slot`."""
        cdef box_worker worker
        cdef box_visit visit
        cdef double* partial = <double*>(self.box_partials + slot * self.partial_size)
        memset(partial, 0, self.partial_size)
        box_worker_place(&worker, self.k, self.p, self.workers + thread * self.worker_size)
        visit.centers, visit.k, visit.labels = centers, self.k, labels
        visit.sums = partial if labels == NULL else NULL
        visit.costs = partial
        box_node(&self.tree, &worker, &visit, self.tasks + task, 0, &self.everything[0], self.k)
        if labels == NULL:
            sums_fold(partial, self.k, self.p)

    cdef int _visit_all(self, const double[:, ::1] centers, int32_t* labels, double* totals, ptrdiff_t size) except -1:
        cdef ptrdiff_t first, task, last
        for first in range(0, self.tasks, self.tasks_a_slice):
            last = min(first + self.tasks_a_slice, self.tasks)
            with nogil:
                for task in prange(first, last, num_threads=self.n_threads, schedule="dynamic"):
                    self._visit(task, threadid(), task - first, &centers[0, 0], labels)
                for task in range(first, last):
                    add_to(<double*>(self.box_partials + (task - first) * self.partial_size), size, totals)
            PyErr_CheckSignals()
        return 0

    cdef int sums(self, const double[:, ::1] centers, double[::1] totals) except -1:
        totals[:] = 0
        return self._visit_all(centers, NULL, &totals[0], self.k * sums_stride(self.p))

    cdef int assign(self, const double[:, ::1] centers, double[:, ::1] costs, int32_t[::1] labels) except -1:
        if self.k <= BOX_FEW_CENTERS:
            return PlainSearch.assign(self, centers, costs, labels)
        costs[:, :] = 0
        return self._visit_all(centers, &labels[0], &costs[0, 0], self.k * COST_STRIDE)


cdef void add_to(const double* partial, ptrdiff_t size, double* totals) noexcept nogil:
    """Partial results onto the totals (float64)."""
    cdef ptrdiff_t i
    for i in range(size):
        totals[i] += partial[i]
