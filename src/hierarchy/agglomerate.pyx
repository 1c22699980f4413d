"""Agglomerative clustering of a condensed matrix, in place: the six methods that need more than a spanning tree.

Reducible methods (complete, average, weighted, ward): rounds of reciprocal nearest neighbors. All pairs that are each
other's nearest merge at once, in one streaming pass that writes the smaller triangle of those that remain and finds
the nearest neighbor of each on the way: O(n^2) a round, and mostly a constant share of the clusters merges in each. A
round that would merge few of them (ties, hubs) gives way to the nearest-neighbor chain, until the triangle is worth
condensing again; so the whole takes O(n^2) time, whatever the data.

Other methods (centroid, median): the generic algorithm. The pair at the least distance merges; every cluster keeps its
nearest neighbor to the right, or a lower bound for it. Here too the triangle is condensed as clusters vanish. O(n^2)
time for most data, O(n^3) at worst.

Memory: the triangle (the caller's), blocks of a few rows, O(n threads). Ties go to the least distance, then the lowest
position, where a merged cluster takes the later position of its two; nothing depends on the number of threads.

Sources: J. Juan, "Programme de classification hierarchique par l'algorithme de la recherche en chaine des voisins
reciproques", 1982, and F. Murtagh, "A survey of recent advances in hierarchical clustering algorithms", Computer Journal
26(4), 1983 (chains, and merging all reciprocal neighbors); D. Muellner, "Modern hierarchical, agglomerative clustering
algorithms", arXiv 1109.2378 (generic algorithm).
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t
from libc.string cimport memcpy

from common.scratch cimport padded, scratch_allocate, scratch_free


cdef extern from "hierarchy/clock.h" nogil:
    double seconds() noexcept


cdef extern from "hierarchy/triangle.h" nogil:
    ctypedef enum lw_method:
        LW_WARD

    enum:
        NEAREST_UNKNOWN
        NEAREST_NONE

    ctypedef struct triangle:
        ptrdiff_t n
        int is_double
        void* values
        void* sizes
        int32_t* nearest
        void* distances

    ctypedef struct condense_plan:
        ptrdiff_t n_new
        ptrdiff_t n_pairs
        int32_t* source
        int32_t* partner
        int32_t* first
        int32_t* second
        int32_t* position
        void* heights
        void* sizes

    ctypedef struct nearest_found:
        double distance
        ptrdiff_t position

    bint LW_REDUCIBLE(lw_method method) noexcept
    ptrdiff_t triangle_offset(ptrdiff_t n, ptrdiff_t i) noexcept
    double triangle_get(const triangle* t, ptrdiff_t i, ptrdiff_t j) noexcept
    double triangle_real(const triangle* t, const void* array, ptrdiff_t i) noexcept
    void triangle_set_real(const triangle* t, void* array, ptrdiff_t i, double value) noexcept
    void prefer_nearest(nearest_found* best, double distance, ptrdiff_t position) noexcept
    void load_row(const triangle* t, ptrdiff_t row, const void* input, double scale, const double* weights) noexcept
    void row_nearest(const triangle* t, ptrdiff_t row, void* column_least, void* column_rows) noexcept
    void clear_columns(const triangle* t, void* column_least, void* column_rows) noexcept
    void columns_nearest(const triangle* t, ptrdiff_t parts, const void* column_least,
                         const void* column_rows) noexcept
    void condense_row(const triangle* t, const condense_plan* plan, lw_method method, ptrdiff_t row, void* scratch,
                      void* out) noexcept
    size_t condense_scratch_bytes(ptrdiff_t n) noexcept
    nearest_found scan_run(const triangle* t, ptrdiff_t x, ptrdiff_t start, ptrdiff_t stop) noexcept
    nearest_found merge_run(const triangle* t, lw_method method, ptrdiff_t a, ptrdiff_t b, ptrdiff_t start,
                            ptrdiff_t stop) noexcept
    ptrdiff_t closest_row(const triangle* t) noexcept
    void extremes(int is_double, const void* values, ptrdiff_t start, ptrdiff_t stop, double* least,
                  double* greatest) noexcept


# Tuning, by benchmarks/bench_hierarchy.py.
cdef enum:
    BLOCK_ROWS = 16  # rows condensed between two barriers; two cache lines of doubles of an earlier row
    BLOCK_VALUES = 32768  # and so many more, where rows are short, that a barrier does not show
    SERIAL = 512  # triangles of fewer positions are worked on by one thread
    RUN = 1024  # positions a thread updates at a time
    FEW = 32  # a round merges at least one FEW-th of the clusters, or the chain takes over
    EXTREMES_CHUNK = 65536

cdef double INTERRUPT_SECONDS() noexcept nogil:
    return 0.02


@cython.final
cdef class _Agglomeration:
    """The triangle, its clusters, and the merges so far."""

    cdef:
        triangle t
        condense_plan plan
        lw_method method
        int n_threads
        size_t item
        char* end
        void* memory
        char* stage
        char* scratch
        char* column_least
        char* column_rows
        size_t scratch_size, column_size
        nearest_found* found
        int32_t* chain
        int32_t* leaf
        int32_t* first
        int32_t* second
        double* heights
        ptrdiff_t merged
        double checked

    def __cinit__(self, char[::1] matrix, ptrdiff_t n, bint is_double, int method, const double[::1] weights,
                  int32_t[:, ::1] pairs, double[::1] heights, int n_threads):
        cdef size_t at = 0, reals, ints
        cdef ptrdiff_t i
        self.memory = NULL
        self.item = 8 if is_double else 4
        self.method, self.n_threads, self.merged = <lw_method>method, n_threads, 0
        self.t.n, self.t.is_double, self.t.values = n, is_double, &matrix[0]
        self.end = &matrix[0] + matrix.shape[0]
        self.first, self.second, self.heights = &pairs[0, 0], &pairs[1, 0], &heights[0]
        reals, ints = padded(n * self.item), padded(n * sizeof(int32_t))
        self.scratch_size = padded(condense_scratch_bytes(n))
        self.column_size = n * self.item
        cdef size_t stage = padded(max(BLOCK_ROWS * n, BLOCK_VALUES + n) * self.item)
        cdef size_t columns = padded(self.column_size * n_threads)
        cdef size_t found = padded((n // RUN + 1) * sizeof(nearest_found))
        self.memory = scratch_allocate(stage + 2 * columns + self.scratch_size * n_threads + found + 4 * reals
                                       + 8 * ints)
        cdef char* block = <char*>self.memory
        self.stage = block
        block += stage
        self.column_least = block
        self.column_rows = block + columns
        block += 2 * columns
        self.scratch = block
        block += self.scratch_size * n_threads
        self.found = <nearest_found*>block
        block += found
        self.t.sizes, self.t.distances, self.plan.heights, self.plan.sizes = (
            block, block + reals, block + 2 * reals, block + 3 * reals)
        cdef int32_t* ids = <int32_t*>(block + 4 * reals)
        cdef ptrdiff_t step = ints // sizeof(int32_t)
        self.t.nearest, self.chain, self.leaf = ids, ids + step, ids + 2 * step
        self.plan.source, self.plan.partner = ids + 3 * step, ids + 4 * step
        self.plan.first, self.plan.second, self.plan.position = ids + 5 * step, ids + 6 * step, ids + 7 * step
        for i in range(n):
            self.leaf[i] = <int32_t>i
            triangle_set_real(&self.t, self.t.sizes, i, 1.0 if weights is None else weights[i])
        self.checked = seconds()

    def __dealloc__(self):
        scratch_free(self.memory)

    cdef int look_up(self) except -1 nogil:
        """Honour Ctrl-C, now and then."""
        if seconds() - self.checked > INTERRUPT_SECONDS():
            with gil:
                PyErr_CheckSignals()
            self.checked = seconds()
        return 0

    cdef int threads(self, ptrdiff_t n) noexcept nogil:
        return 1 if n < SERIAL else self.n_threads

    cdef ptrdiff_t block_rows(self, ptrdiff_t n) noexcept nogil:
        return max(<ptrdiff_t>BLOCK_ROWS, BLOCK_VALUES // n)

    # Both sides of every pair count for reducible methods; the others keep nearest neighbors to the right only.
    cdef char* columns_of(self, char* columns, int thread) noexcept nogil:
        return columns + thread * self.column_size if LW_REDUCIBLE(self.method) else NULL

    cdef void begin_columns(self, triangle* t) noexcept nogil:
        cdef int thread
        self.column_size = t.n * self.item
        if LW_REDUCIBLE(self.method):
            for thread in range(self.n_threads):
                clear_columns(t, self.column_least + thread * self.column_size,
                              self.column_rows + thread * self.column_size)

    cdef void end_columns(self, triangle* t) noexcept nogil:
        if LW_REDUCIBLE(self.method):
            columns_nearest(t, self.n_threads, self.column_least, self.column_rows)

    cdef int load(self, const char* source, double scale, const double* weights) except -1 nogil:
        """The caller's matrix into the triangle, and the nearest neighbor of each position."""
        cdef ptrdiff_t start, stop = self.t.n, row, i
        cdef ptrdiff_t rows = self.block_rows(self.t.n)
        self.begin_columns(&self.t)
        while stop > 0:
            start = max(<ptrdiff_t>0, stop - rows)
            for i in prange(stop - start, num_threads=self.threads(self.t.n), schedule="dynamic"):
                row = stop - 1 - i
                load_row(&self.t, row, source, scale, weights)
                row_nearest(&self.t, row, self.columns_of(self.column_least, threadid()),
                            self.columns_of(self.column_rows, threadid()))
            stop = start
            self.look_up()
        self.end_columns(&self.t)
        return 0

    cdef int condense(self) except -1 nogil:
        """Carry the plan out: from the last row to the first, each at or behind its old place; rows before it, which
        later ones may still read, stay as they are."""
        cdef triangle new = self.t
        cdef ptrdiff_t n = self.plan.n_new, start, stop = n, row, i, rows
        cdef char* out
        cdef void* sizes
        if n < 2:
            self.t.n = n
            return 0
        new.n = n
        new.values = self.end - n * (n - 1) // 2 * self.item
        rows = self.block_rows(n)
        self.begin_columns(&new)
        while stop > 0:
            start = max(<ptrdiff_t>0, stop - rows)
            for i in prange(stop - start, num_threads=self.threads(n), schedule="dynamic"):
                condense_row(&self.t, &self.plan, self.method, stop - 1 - i,
                             self.scratch + threadid() * self.scratch_size,
                             self.stage + (stop - 1 - i - start) * n * self.item)
            for i in prange(stop - start, num_threads=self.threads(n), schedule="dynamic"):
                row = stop - 1 - i
                out = <char*>new.values + (triangle_offset(n, row) + row + 1) * self.item
                memcpy(out, self.stage + (row - start) * n * self.item, (n - 1 - row) * self.item)
                row_nearest(&new, row, self.columns_of(self.column_least, threadid()),
                            self.columns_of(self.column_rows, threadid()))
            stop = start
            self.look_up()
        self.end_columns(&new)
        for row in range(n):
            self.leaf[row] = self.leaf[self.plan.source[row]]
        sizes = self.plan.sizes
        self.plan.sizes = new.sizes
        new.sizes = sizes
        self.t = new
        return 0

    cdef void record(self, ptrdiff_t a, ptrdiff_t b, double height) noexcept nogil:
        self.first[self.merged] = self.leaf[a]
        self.second[self.merged] = self.leaf[b]
        self.heights[self.merged] = height
        self.merged += 1

    cdef ptrdiff_t plan_reciprocal(self) noexcept nogil:
        """Plan to merge all pairs that are each other's nearest; how many there are."""
        cdef ptrdiff_t i, j, new = 0, pairs = 0
        cdef int32_t* nearest = self.t.nearest
        cdef double size
        for i in range(self.t.n):
            j = nearest[i]
            if j >= 0 and nearest[j] == i:
                if j > i:
                    continue
                self.plan.first[pairs] = <int32_t>j
                self.plan.second[pairs] = <int32_t>i
                self.plan.position[pairs] = <int32_t>new
                triangle_set_real(&self.t, self.plan.heights, pairs, triangle_real(&self.t, self.t.distances, i))
                pairs += 1
                size = triangle_real(&self.t, self.t.sizes, i) + triangle_real(&self.t, self.t.sizes, j)
            else:
                j = -1
                size = triangle_real(&self.t, self.t.sizes, i)
            self.plan.source[new] = <int32_t>i
            self.plan.partner[new] = <int32_t>j
            triangle_set_real(&self.t, self.plan.sizes, new, size)
            new += 1
        self.plan.n_new, self.plan.n_pairs = new, pairs
        return pairs

    cdef void plan_survivors(self) noexcept nogil:
        """Plan to leave out the positions without a cluster."""
        cdef ptrdiff_t i, new = 0
        cdef double size
        for i in range(self.t.n):
            size = triangle_real(&self.t, self.t.sizes, i)
            if size > 0:
                self.plan.source[new] = <int32_t>i
                self.plan.partner[new] = -1
                triangle_set_real(&self.t, self.plan.sizes, new, size)
                new += 1
        self.plan.n_new, self.plan.n_pairs = new, 0

    cdef nearest_found over_runs(self, ptrdiff_t a, ptrdiff_t b, ptrdiff_t start) noexcept nogil:
        """Merge a and b, or with a < 0 look for b's nearest; over all positions from `start`, in runs."""
        cdef ptrdiff_t runs = (self.t.n - start + RUN - 1) // RUN, run
        cdef nearest_found best
        for run in prange(runs, num_threads=self.threads(self.t.n - start), schedule="dynamic"):
            if a < 0:
                self.found[run] = scan_run(&self.t, b, start + run * RUN, min(start + (run + 1) * RUN, self.t.n))
            else:
                self.found[run] = merge_run(&self.t, self.method, a, b, start + run * RUN,
                                            min(start + (run + 1) * RUN, self.t.n))
        best.distance, best.position = INFINITY, -1
        for run in range(runs):
            prefer_nearest(&best, self.found[run].distance, self.found[run].position)
        return best

    cdef void set_nearest(self, ptrdiff_t x, nearest_found found) noexcept nogil:
        self.t.nearest[x] = <int32_t>found.position if found.position >= 0 else NEAREST_NONE
        triangle_set_real(&self.t, self.t.distances, x, found.distance)

    cdef void merge(self, ptrdiff_t a, ptrdiff_t b) noexcept nogil:
        """Clusters a < b become one, at b."""
        self.record(a, b, triangle_get(&self.t, a, b))
        self.set_nearest(b, self.over_runs(a, b, 0))
        triangle_set_real(&self.t, self.t.sizes, b, triangle_real(&self.t, self.t.sizes, a)
                          + triangle_real(&self.t, self.t.sizes, b))
        triangle_set_real(&self.t, self.t.sizes, a, 0)
        triangle_set_real(&self.t, self.t.distances, a, INFINITY)
        self.t.nearest[a] = NEAREST_NONE

    cdef int chain_until(self, ptrdiff_t alive, ptrdiff_t target) except -1 nogil:
        """Merge by the nearest-neighbor chain until `target` clusters are left. Returns 1 if distances are NaN."""
        cdef ptrdiff_t length = 0, lowest = 0, x, y, previous
        while alive > target:
            self.look_up()
            if length == 0:
                while not triangle_real(&self.t, self.t.sizes, lowest) > 0:
                    lowest += 1
                self.chain[0] = <int32_t>lowest
                length = 1
            x = self.chain[length - 1]
            if self.t.nearest[x] == NEAREST_UNKNOWN:
                self.set_nearest(x, self.over_runs(-1, x, 0))
            y = self.t.nearest[x]
            if y < 0:
                return 1
            if length > 1:
                previous = self.chain[length - 2]
                if y != previous and not triangle_get(&self.t, x, previous) > triangle_real(
                        &self.t, self.t.distances, x):
                    y = previous
                if y == previous:
                    self.merge(min(x, y), max(x, y))
                    alive -= 1
                    length -= 2
                    continue
            self.chain[length] = <int32_t>y
            length += 1
        return 0

    cdef int reducible(self) except -1 nogil:
        """Rounds, or the chain. Returns 1 if distances are NaN."""
        cdef ptrdiff_t pairs, i
        while self.t.n > 1:
            self.look_up()
            pairs = self.plan_reciprocal()
            if pairs * FEW < self.t.n:
                if self.chain_until(self.t.n, self.t.n - max(<ptrdiff_t>1, self.t.n // 4)):
                    return 1
                self.plan_survivors()
            else:
                for i in range(pairs):
                    self.record(self.plan.first[i], self.plan.second[i],
                                triangle_real(&self.t, self.plan.heights, i))
            self.condense()
        return 0

    cdef int generic(self) except -1 nogil:
        """The closest pair first. Returns 1 if distances are NaN."""
        cdef ptrdiff_t alive = self.t.n, x
        while alive > 1:
            self.look_up()
            x = closest_row(&self.t)
            if x < 0:
                return 1
            if self.t.nearest[x] == NEAREST_UNKNOWN:
                self.set_nearest(x, self.over_runs(-1, x, x + 1))
                continue
            self.merge(x, self.t.nearest[x])
            alive -= 1
            if alive <= self.t.n - self.t.n // 4:
                self.plan_survivors()
                self.condense()
        return 0


def agglomerate(source, target, ptrdiff_t n, *, bint is_double, int method, const double[::1] weights, double scale,
                int32_t[:, ::1] pairs, double[::1] heights, int n_threads):
    """Merge n clusters down to one.

    source: the condensed matrix, as bytes                                              IN
    target: as large, may be the same memory; holds the shrinking triangle              INOUT
    weights: sizes of the initial clusters, or None for ones
    scale: 0, or what distances are multiplied by before they are squared (ward, centroid, median)
    pairs: 2 x (n - 1), an observation of each of the two clusters of every merge       OUT
    heights: n - 1, in the order of merging; of squared distances where `scale` is not 0 OUT
    Returns whether all distances remained numbers.
    """
    cdef const char[::1] values = source
    cdef _Agglomeration work = _Agglomeration(target, n, is_double, method, weights, pairs, heights, n_threads)
    cdef const double* initial = NULL
    cdef int undefined
    if weights is not None and method == LW_WARD:
        initial = &weights[0]
    with nogil:
        work.load(&values[0], scale, initial)
        undefined = work.reducible() if LW_REDUCIBLE(work.method) else work.generic()
    return not undefined


def condensed_extremes(source, ptrdiff_t count, *, bint is_double, int n_threads):
    """Return the least and the greatest of `count` values; NaN if one of them is."""
    cdef const char[::1] values = source
    cdef ptrdiff_t chunks = (count + EXTREMES_CHUNK - 1) // EXTREMES_CHUNK, chunk, first, last
    cdef double* found = <double*>scratch_allocate(chunks * 2 * sizeof(double))
    cdef double least = INFINITY, greatest = -INFINITY
    try:
        for first in range(0, chunks, 2048):
            last = min(first + 2048, chunks)
            with nogil:
                for chunk in prange(first, last, num_threads=n_threads, schedule="static"):
                    extremes(is_double, &values[0], chunk * EXTREMES_CHUNK,
                             min((chunk + 1) * EXTREMES_CHUNK, count), &found[2 * chunk], &found[2 * chunk + 1])
            PyErr_CheckSignals()
        for chunk in range(chunks):
            if found[2 * chunk] != found[2 * chunk]:
                return found[2 * chunk], found[2 * chunk]
            least, greatest = min(least, found[2 * chunk]), max(greatest, found[2 * chunk + 1])
        return least, greatest
    finally:
        scratch_free(found)
