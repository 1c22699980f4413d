"""k-means by moving one point at a time: Hartigan's algorithm, Hartigan and Wong's, MacQueen's.

Points are taken in order, and centers follow at once, so an iteration is serial by its nature. It is made fast by
skipping: a bound tells of most points, without looking at them, that nothing has changed for them (transfer.h). Bounds
are found by all threads, a block of rows at a time, before the block is gone through in order; they decide nothing.
Where Hartigan and Wong's algorithm moves many points, none is skipped, and what moves a point is kept short
(wong_busy.h).

Cost: O(n) for what is skipped, O(k p) for a point that is looked at; 24 bytes a point and O(k p) of memory, and for
Hartigan and Wong's algorithm 6 to 10 + 4 p bytes a point, at most 65 MB.
Invariant: labels and centers depend on the rows, their order, their weights and the initial centers alone. Everything
is float64.
"""

from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t

from common.matrix cimport acquire_matrix, matrix, weights_pointer
from common.scratch cimport padded, scratch_allocate, scratch_free

import numpy as np


cdef extern from "kmeans/transfer.h" nogil:
    ctypedef struct transfers:
        matrix points
        const double* weights
        ptrdiff_t k
        ptrdiff_t p
        double* sizes
        int32_t* labels
        int32_t* seconds
        double* stay
        double* pair
        double* clocks
    ctypedef struct transfer_scratch:
        pass
    size_t transfer_scratch_bytes(ptrdiff_t k, ptrdiff_t p) noexcept
    void transfer_scratch_place(transfer_scratch* scratch, ptrdiff_t k, ptrdiff_t p, void* memory) noexcept
    size_t transfer_bytes(ptrdiff_t k, ptrdiff_t p) noexcept
    void transfer_place(transfers* t, void* memory) noexcept
    void transfer_set_centers(transfers* t, const double* centers) noexcept
    void transfer_get_centers(const transfers* t, double* centers) noexcept
    void transfer_assign(transfers* t, ptrdiff_t start, ptrdiff_t stop, transfer_scratch* scratch) noexcept
    void transfer_count(transfers* t) noexcept
    void transfer_means(transfers* t, transfer_scratch* scratch) noexcept
    void transfer_note_movement(transfers* t, ptrdiff_t j) noexcept
    ptrdiff_t transfer_open(const transfers* t, ptrdiff_t start, ptrdiff_t stop) noexcept
    void transfer_new_epoch(transfers* t) noexcept
    void transfer_restart(transfers* t) noexcept


cdef extern from "kmeans/hartigan.h" nogil:
    void hartigan_look(transfers* t, ptrdiff_t start, ptrdiff_t stop, int macqueen, transfer_scratch* scratch) noexcept
    ptrdiff_t hartigan_rows(transfers* t, ptrdiff_t start, ptrdiff_t stop, int macqueen,
                            transfer_scratch* scratch) noexcept


cdef extern from "kmeans/hartigan_wong.h" nogil:
    enum:
        WONG_CHUNK
        WONG_LIST
        WONG_ROWS
    ctypedef struct wong_state:
        ptrdiff_t quiet
        ptrdiff_t idle
        ptrdiff_t first
        ptrdiff_t last
        ptrdiff_t at
        double least_gain
    size_t wong_bytes(ptrdiff_t n, ptrdiff_t k, ptrdiff_t p, bint weighted, ptrdiff_t block) noexcept
    void wong_place(wong_state* wong, ptrdiff_t n, ptrdiff_t k, ptrdiff_t p, bint weighted, void* memory) noexcept
    ptrdiff_t wong_chunks(ptrdiff_t n) noexcept
    void wong_begin(const transfers* t, wong_state* wong) noexcept
    void wong_begin_optimal(const transfers* t, wong_state* wong) noexcept
    void wong_begin_quick(const transfers* t, wong_state* wong) noexcept
    void wong_begin_look(const transfers* t, wong_state* wong, ptrdiff_t start, ptrdiff_t stop) noexcept
    void wong_look(transfers* t, const wong_state* wong, ptrdiff_t start, ptrdiff_t stop,
                   transfer_scratch* scratch) noexcept
    ptrdiff_t wong_optimal(transfers* t, wong_state* wong, ptrdiff_t start, ptrdiff_t stop,
                           transfer_scratch* scratch) noexcept
    int wong_begin_pass(transfers* t, wong_state* wong) noexcept
    void wong_count(transfers* t, const wong_state* wong, ptrdiff_t chunk, transfer_scratch* scratch) noexcept
    bint wong_lay_out(const transfers* t, wong_state* wong) noexcept
    void wong_fill(const transfers* t, const wong_state* wong, ptrdiff_t chunk, transfer_scratch* scratch) noexcept
    void wong_quick(transfers* t, wong_state* wong, ptrdiff_t before, transfer_scratch* scratch) noexcept
    ptrdiff_t wong_quick_rows(transfers* t, wong_state* wong, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t before,
                              bint many, transfer_scratch* scratch) noexcept
    void wong_go_on(transfers* t, wong_state* wong) noexcept
    void wong_end_pass(transfers* t, wong_state* wong) noexcept


cdef extern from "kmeans/wong_busy.h" nogil:
    bint busy_suits(const transfers* t, const wong_state* wong, ptrdiff_t stop) noexcept
    ptrdiff_t busy_optimal(transfers* t, wong_state* wong, ptrdiff_t start, ptrdiff_t stop,
                           transfer_scratch* scratch) noexcept


cdef enum:
    HARTIGAN
    MACQUEEN
    HARTIGAN_WONG
    BLOCK_MOST = 131072      # rows; bounds are new at the start of a block,
    BLOCK_BUSY = 16384       # which is shorter where centers move much
    BLOCK_LEAST = 64         # blocks are multiples of this, which is one of TRANSFER_LANES
    FEW_MOVES = 256          # of so many rows one moves, or fewer: bounds hold for long
    MANY_MOVES = 16          # one or more: bounds found ahead would not hold
    MANY_QUICK = 100         # one or more, in a quick stage: bounds are not worth being kept up
    BLOCK_WORK = 60_000_000  # distances times features; about 30 ms, the time to an interrupt
    CHUNK = 512              # rows one thread takes
    TEAM_WORK = 50_000       # distances times features that are worth a team of threads; about 50 us
    LIST_CHUNKS = 4096       # chunks of WONG_CHUNK rows that are listed between two looks for an interrupt
    PASSES_BEFORE_CARE = 50  # through the data in one quick stage, where AS 136 gives up in R


cdef class Transfers:
    """Points, and the state of their clusters.

    points: n x p, uint8, uint16, float32 or float64                                    IN
    weights: n, or None for ones; not all zero                                          IN
    k: number of clusters, at least 2
    labels, seconds: n                                                                  OUT
    stay, pair: n, working memory
    """

    cdef:
        Py_buffer buffer
        bint acquired
        transfers t
        wong_state wong
        transfer_scratch mine
        object keep
        void* memory
        char* scratch
        size_t scratch_size
        ptrdiff_t n, block, busy_block
        int n_threads
        bint many_moves  # in the block of rows before

    def __cinit__(self, points, const double[::1] weights, ptrdiff_t k, int32_t[::1] labels, int32_t[::1] seconds,
                  double[::1] stay, double[::1] pair, int n_threads):
        self.memory = NULL
        acquire_matrix(points, &self.buffer, &self.t.points)
        self.acquired = True
        self.keep = (weights, labels, seconds, stay, pair)
        self.n, self.t.k, self.t.p = self.t.points.n_rows, k, self.t.points.n_columns
        self.t.weights = weights_pointer(weights)
        self.t.labels, self.t.seconds, self.t.stay, self.t.pair = &labels[0], &seconds[0], &stay[0], &pair[0]
        self.n_threads = n_threads
        self.block = <ptrdiff_t>(BLOCK_WORK / (<double>k * self.t.p + 1))
        self.block = max(<ptrdiff_t>BLOCK_LEAST, min(<ptrdiff_t>BLOCK_MOST, self.block) // BLOCK_LEAST * BLOCK_LEAST)
        self.busy_block = min(self.block, <ptrdiff_t>BLOCK_BUSY)
        self.scratch_size = padded(transfer_scratch_bytes(k, self.t.p))
        cdef bint weighted = weights is not None
        cdef size_t centers = padded(transfer_bytes(k, self.t.p))
        cdef size_t wong = padded(wong_bytes(self.n, k, self.t.p, weighted, self.block))
        self.memory = scratch_allocate(centers + wong + self.scratch_size * n_threads)
        transfer_place(&self.t, self.memory)
        wong_place(&self.wong, self.n, k, self.t.p, weighted, <char*>self.memory + centers)
        self.scratch = <char*>self.memory + centers + wong
        transfer_scratch_place(&self.mine, k, self.t.p, self.scratch)

    def __dealloc__(self):
        scratch_free(self.memory)
        if self.acquired:
            PyBuffer_Release(&self.buffer)

    cdef void _assign(self, ptrdiff_t start, ptrdiff_t stop, int thread) noexcept nogil:
        cdef transfer_scratch scratch
        transfer_scratch_place(&scratch, self.t.k, self.t.p, self.scratch + thread * self.scratch_size)
        transfer_assign(&self.t, start, stop, &scratch)

    cdef void _look(self, int algorithm, ptrdiff_t start, ptrdiff_t stop, int thread) noexcept nogil:
        cdef transfer_scratch scratch
        transfer_scratch_place(&scratch, self.t.k, self.t.p, self.scratch + thread * self.scratch_size)
        if algorithm == HARTIGAN_WONG:
            wong_look(&self.t, &self.wong, start, stop, &scratch)
        else:
            hartigan_look(&self.t, start, stop, algorithm == MACQUEEN, &scratch)

    def assign(self, const double[:, ::1] centers):
        """Begin: every row to the nearest of k x p centers. Returns the weights of the k clusters."""
        cdef ptrdiff_t block, start, stop
        transfer_set_centers(&self.t, &centers[0, 0])
        for block in range(0, self.n, self.block):
            stop = min(block + self.block, self.n)
            with nogil:
                for start in prange(block, stop, CHUNK, num_threads=self.n_threads, schedule="dynamic"):
                    self._assign(start, min(start + CHUNK, stop), threadid())
            PyErr_CheckSignals()
        transfer_count(&self.t)
        return np.array(<double[:self.t.k]>self.t.sizes)

    def run(self, str algorithm, double[:, ::1] centers, *, ptrdiff_t max_iter, observer=None):
        """Move points, after `assign` has left no cluster empty, until none wants to or max_iter iterations are done.

        algorithm: "hartigan", "macqueen" or "hartigan-wong"
        centers: k x p, those of `assign`; on return the means of the clusters          INOUT
        observer: called as observer(iteration, centers, shift) with copies after each iteration, or None; iteration
            counts from 1, centers are those at its beginning, shift is the sum of squared movements during it;
            a true return value ends the iteration there
        Returns (n_iter, converged).
        """
        cdef int code = {"hartigan": HARTIGAN, "macqueen": MACQUEEN, "hartigan-wong": HARTIGAN_WONG}[algorithm]
        cdef ptrdiff_t iteration = 0, i, j
        cdef double[:, ::1] before = centers.copy()
        cdef double shift
        cdef bint done = False, stop = False
        with nogil:
            transfer_means(&self.t, &self.mine)
            transfer_restart(&self.t)
            wong_begin(&self.t, &self.wong)
        self.many_moves = True
        while iteration < max_iter and not done and not stop:
            iteration += 1
            before[:, :] = centers
            done = self._hartigan_wong() if code == HARTIGAN_WONG else self._hartigan(code)
            transfer_get_centers(&self.t, &centers[0, 0])
            if observer is not None:
                shift = 0
                for j in range(self.t.k):
                    for i in range(self.t.p):
                        shift += (centers[j, i] - before[j, i]) * (centers[j, i] - before[j, i])
                stop = bool(observer(iteration, before.copy().base, shift))
        self._exact_means()
        transfer_get_centers(&self.t, &centers[0, 0])
        return iteration, done

    cdef void _exact_means(self) noexcept nogil:
        """Running means become means: how they have moved by this is noted."""
        cdef ptrdiff_t j
        transfer_means(&self.t, &self.mine)
        for j in range(self.t.k):
            transfer_note_movement(&self.t, j)

    cdef void _prepare(self, int code, ptrdiff_t first, ptrdiff_t last) noexcept nogil:
        """New bounds for rows [first, last), where there are threads to share the work."""
        cdef ptrdiff_t start
        # A team takes longer to gather than a few points to look at.
        if self.n_threads > 1 and transfer_open(&self.t, first, last) * <double>self.t.k * self.t.p > TEAM_WORK:
            if code == HARTIGAN_WONG:
                wong_begin_look(&self.t, &self.wong, first, last)
            for start in prange(first, last, CHUNK, num_threads=self.n_threads, schedule="dynamic"):
                self._look(code, start, min(start + CHUNK, last), threadid())

    cdef bint _hartigan(self, int code) except -1:
        """One pass over the rows. Returns whether none moved, of Hartigan's also from exact means."""
        cdef ptrdiff_t block, stop, moves = 0, attempt
        for attempt in range(2):
            for block in range(0, self.n, self.busy_block):
                stop = min(block + self.busy_block, self.n)
                with nogil:
                    transfer_new_epoch(&self.t)
                    self._prepare(code, block, stop)
                    moves += hartigan_rows(&self.t, block, stop, code == MACQUEEN, &self.mine)
                PyErr_CheckSignals()
            if moves > 0 or code == MACQUEEN:
                break
            self._exact_means()
        return moves == 0

    cdef bint _hartigan_wong(self) except -1:
        """One optimal-transfer stage, and the quick-transfer stage after it. Returns whether the algorithm is done."""
        cdef ptrdiff_t start = 0, stop, moves, rows = self.busy_block, step = 0, care = PASSES_BEFORE_CARE
        cdef bint busy  # can the block be gone through as one where many rows move?
        wong_begin_optimal(&self.t, &self.wong)
        while start < self.n:
            stop = min(start + rows, self.n)
            with nogil:
                transfer_new_epoch(&self.t)
                busy = busy_suits(&self.t, &self.wong, stop)
                if busy and self.many_moves:
                    moves = busy_optimal(&self.t, &self.wong, start, stop, &self.mine)
                else:
                    if not self.many_moves:
                        self._prepare(HARTIGAN_WONG, start, stop)
                    moves = wong_optimal(&self.t, &self.wong, start, stop, &self.mine)
            PyErr_CheckSignals()
            if self.wong.quiet >= self.n:
                return True
            self.many_moves = moves > (stop - start) // (FEW_MOVES if busy else MANY_MOVES)
            rows = min(2 * rows, self.block) if moves < (stop - start) // FEW_MOVES else self.busy_block
            start = stop
        wong_begin_quick(&self.t, &self.wong)
        while True:
            self._quick_pass(step)
            if self.wong.idle >= self.n:
                # Of two clusters, the second choice is the only one.
                return self.t.k == 2
            step += self.n
            # Rounding can make a point go to and fro for ever: demand more, and ever more, than it can feign.
            care -= 1
            if care == 0:
                self.wong.least_gain = 1 + 10 * max(1e-13, self.wong.least_gain - 1)
                care = PASSES_BEFORE_CARE

    cdef int _quick_pass(self, ptrdiff_t before) except -1:
        """One pass of quick transfers over the rows, begun after `before` steps."""
        cdef ptrdiff_t start, stop, moves
        cdef bint many = True
        cdef int how
        with nogil:
            how = wong_begin_pass(&self.t, &self.wong)
        while True:
            if how == WONG_LIST and not self._list():
                how = WONG_ROWS
            if how == WONG_ROWS:
                for start in range(self.wong.at, self.n, self.busy_block):
                    stop = min(start + self.busy_block, self.n)
                    with nogil:
                        moves = wong_quick_rows(&self.t, &self.wong, start, stop, before, many, &self.mine)
                    many = moves > (stop - start) // MANY_QUICK
                    PyErr_CheckSignals()
                break
            with nogil:
                wong_quick(&self.t, &self.wong, before, &self.mine)
            PyErr_CheckSignals()
            if self.wong.at >= self.n:
                break
            wong_go_on(&self.t, &self.wong)
            how = WONG_LIST
        wong_end_pass(&self.t, &self.wong)
        return 0

    cdef int _list(self) except -1:
        """List the rows that may make quick transfers, unless they are too many. Returns whether they are listed."""
        cdef ptrdiff_t first = self.wong.first // WONG_CHUNK, last = wong_chunks(self.n), part, stop, chunk
        cdef int n_threads = <int>min(<ptrdiff_t>self.n_threads, last - first)
        for part in range(first, last, LIST_CHUNKS):
            stop = min(part + LIST_CHUNKS, last)
            with nogil:
                for chunk in prange(part, stop, num_threads=n_threads, schedule="dynamic"):
                    self._count(chunk, threadid())
            PyErr_CheckSignals()
        if not wong_lay_out(&self.t, &self.wong):
            return 0
        with nogil:
            last = (self.wong.last + WONG_CHUNK - 1) // WONG_CHUNK
            for chunk in prange(first, last, num_threads=n_threads, schedule="dynamic"):
                self._fill(chunk, threadid())
        return 1

    cdef void _count(self, ptrdiff_t chunk, int thread) noexcept nogil:
        cdef transfer_scratch scratch
        transfer_scratch_place(&scratch, self.t.k, self.t.p, self.scratch + thread * self.scratch_size)
        wong_count(&self.t, &self.wong, chunk, &scratch)

    cdef void _fill(self, ptrdiff_t chunk, int thread) noexcept nogil:
        cdef transfer_scratch scratch
        transfer_scratch_place(&scratch, self.t.k, self.t.p, self.scratch + thread * self.scratch_size)
        wong_fill(&self.t, &self.wong, chunk, &scratch)
