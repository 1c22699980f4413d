"""Agglomerative clustering of points in O(n) memory: no distance matrix, but searches in a tree of boxes.

Reducible methods (all but centroid and median): rounds of reciprocal nearest neighbors. All pairs that are each other's
nearest merge at once. Since a merged cluster is never nearer to a third one than the nearer of its halves was, whoever
was not nearest to one of the two keeps its nearest: only the others, and the merged ones, are searched again, in
parallel. Rounding may break this between equals and leave a circle of clusters, each nearest to the next; then all are
searched again, after which the closest pair is reciprocal.

Centroid and median: the closest pair merges first. Every cluster has looked for its nearest among all that there were
at its time, so of every two clusters one at least knows that the other is no nearer than its nearest, and the least of
these distances is the least of all. A cluster whose nearest has merged keeps the distance as a lower bound, and is
searched again when that becomes the least.

Cost: for points spread like the colors of photographs three to five searches a cluster, each O(log n) or so in few
dimensions; O(n^2) in many. Average and weighted linkage of plain distances add up every pair of points, most of them
once. Memory, beside the points: about 70 + 45 p bytes a cluster.

Sources: as in agglomerate.pyx, and P. Franti, T. Kaukoranta, D.-F. Shen, K.-S. Chang, "Fast and memory efficient
implementation of the exact PNN", IEEE Transactions on Image Processing 9(5), 2000 (postponed searches, lower bounds).
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.math cimport ldexp
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t, uint32_t

from common.scratch cimport padded, scratch_allocate, scratch_free
from hierarchy.cluster_tree cimport (
    TREE_LEAF, TREE_MEASURED, cluster_tree, tree_box_size, tree_collect, tree_depth, tree_fill, tree_fit_nodes,
    tree_has_lows, tree_list, tree_row_size, tree_rule, tree_split,
)


cdef extern from "common/clock.h" nogil:
    double seconds() noexcept


cdef extern from "hierarchy/equal_rows.h" nogil:
    ptrdiff_t equal_rows_slots(ptrdiff_t n) noexcept
    void equal_rows(const double* points, ptrdiff_t n, ptrdiff_t p, int32_t* slots, int32_t* first) noexcept


cdef extern from "hierarchy/members.h" nogil:
    ctypedef enum members_measure:
        MEMBERS_FARTHEST
        MEMBERS_MEAN

    ctypedef struct members:
        members_measure measure
        ptrdiff_t p
        ptrdiff_t stride
        double* columns
        double* boxes
        int32_t* begin
        int32_t* end
        int32_t* next
        int32_t* first
        int32_t* last
        double* factor
        double* total
        double* known
        int (*interrupted)(void* owner) noexcept nogil
        void* owner

    void members_fit(members* m, ptrdiff_t n) noexcept
    ptrdiff_t members_few(ptrdiff_t n) noexcept
    void members_rank(const members* m, int32_t* ids, ptrdiff_t count) noexcept
    void members_measure_rank(const members* m, const int32_t* ids, ptrdiff_t i, double* known) noexcept
    void members_know(members* m, const int32_t* ids, ptrdiff_t count, double* known) noexcept
    ptrdiff_t members_columns(members_measure measure, ptrdiff_t p) noexcept
    void members_gather(members* m, const int32_t* ids, ptrdiff_t clusters, double* to) noexcept


cdef extern from "hierarchy/vectors.h" nogil:
    enum:
        NOBODY

    ctypedef enum vector_method:
        VECTOR_WARD
        VECTOR_COMPLETE

    ctypedef struct merging:
        vector_method method
        cluster_tree tree
        members members
        double* weights
        int32_t* nearest
        double* distances
        int32_t* first_admirer
        int32_t* next_admirer
        uint32_t* versions
        uint32_t* seen

    ctypedef struct merging_pair:
        double distance
        int32_t id
        int32_t nearest

    double merging_measure(const void* context, int32_t a, int32_t b, double enough) noexcept
    tree_rule merging_rule(vector_method method) noexcept
    bint merging_halves(vector_method method) noexcept
    void merging_search(merging* m, const int32_t* queries, ptrdiff_t count) noexcept
    void merging_admire(merging* m, const int32_t* queries, ptrdiff_t count) noexcept
    int32_t merging_unite(merging* m, int32_t a, int32_t b) noexcept
    ptrdiff_t merging_disappoint(merging* m, int32_t a, int32_t b, int32_t merged, int32_t* queries,
                                 ptrdiff_t count) noexcept
    void merging_sink(merging_pair* heap, ptrdiff_t size, ptrdiff_t at) noexcept
    void merging_search_top(merging* m, int32_t id, merging_pair* heap, ptrdiff_t size) noexcept
    bint merging_outdated(const merging* m, merging_pair entry) noexcept


cdef enum:
    QUERIES = 64  # in a row by one thread
    SLICE = 16384  # queries a thread between two looks at pending signals: 10 to 50 ms in few dimensions
    FEW_COLUMNS = 8  # up to which that holds
    SLICE_WORK = 1 << 24  # of more: coordinates that may be looked at between them
    SERIAL = 1024  # fewer queries than this are not worth waking another thread
    FEW = 4096  # clusters of more points that, measured on these, two are worth waking another thread
    # Where clusters are measured, centers are off by some 1e-16 of the largest coordinate R: for clusters farther apart
    # than 1e-6 R less than the 2**-30 that tree_limit grants, for nearer ones less than 2**-SLACK_BITS R^2.
    SLACK_BITS = 70


cdef class Merging:
    """Clusters that merge, and all memory for it.

    points: n x p, all distinct and not too large to square                            IN
    weights: n, positive
    progress: called now and then with how many merges have been made, or None
    """

    cdef:
        merging m
        void* memory
        void* members_memory
        ptrdiff_t n, alive, built, merged
        int n_threads
        double* rows
        int32_t* queries
        int32_t* others
        int32_t[:, ::1] pairs
        double[::1] heights
        int32_t[::1] rounds_of
        readonly ptrdiff_t searches, rounds
        double checked
        bint stopped
        object progress, interruption

    def __cinit__(self, const double[:, ::1] points, const double[::1] weights, int method, int n_threads,
                  progress):
        cdef ptrdiff_t n = points.shape[0], p = points.shape[1], i, c, leaves
        self.memory = self.members_memory = NULL
        self.n, self.n_threads, self.progress = n, n_threads, progress
        self.m.tree.p, self.m.tree.depth = p, tree_depth(n)
        self.m.method = <vector_method>method
        self.m.tree.rule = merging_rule(self.m.method)
        leaves = (<ptrdiff_t>1) << self.m.tree.depth
        cdef size_t boxes = padded(2 * leaves * tree_box_size(p) * sizeof(double))
        cdef size_t blocks = padded(leaves * (p + 1) * TREE_LEAF * sizeof(double))
        cdef size_t lows = padded(leaves * p * TREE_LEAF * sizeof(double)) if tree_has_lows(self.m.tree.rule) else 0
        cdef size_t ids = padded(leaves * TREE_LEAF * sizeof(int32_t))
        cdef size_t reals = padded(n * sizeof(double)), ints = padded(n * sizeof(int32_t))
        # There are n rows to begin with, and half as many, with lows, at most when the tree is built again.
        cdef size_t rows = tree_row_size(p, False) * reals
        cdef char* at = <char*>scratch_allocate(boxes + blocks + lows + ids + rows + 2 * reals + 8 * ints)
        self.memory = at
        self.m.tree.boxes, at = <double*>at, at + boxes
        self.m.tree.blocks, at = <double*>at, at + blocks
        self.m.tree.lows, at = <double*>at if lows else NULL, at + lows
        self.m.tree.ids, at = <int32_t*>at, at + ids
        self.rows, at = <double*>at, at + rows
        self.m.weights, self.m.distances, at = <double*>at, <double*>(at + reals), at + 2 * reals
        cdef int32_t* integers = <int32_t*>at
        cdef ptrdiff_t step = ints // sizeof(int32_t)
        self.queries, self.others = integers, integers + step
        self.m.tree.place, self.m.nearest = integers + 2 * step, integers + 3 * step
        self.m.first_admirer, self.m.next_admirer = integers + 4 * step, integers + 5 * step
        self.m.versions, self.m.seen = <uint32_t*>(integers + 6 * step), <uint32_t*>(integers + 7 * step)
        cdef double* row = self.rows
        for i in range(n):
            for c in range(p):
                row[c] = points[i, c]
            row[p] = 1 / weights[i] if method == VECTOR_WARD else 0
            row[p + 1] = i
            row += tree_row_size(p, False)
            self.m.weights[i] = weights[i]
            self.m.nearest[i] = self.m.first_admirer[i] = NOBODY
            self.m.versions[i] = 0
        if self.m.tree.rule == TREE_MEASURED:
            self._take_members(points)

    def __dealloc__(self):
        scratch_free(self.memory)
        scratch_free(self.members_memory)

    cdef int _take_members(self, const double[:, ::1] points) except -1:
        """Memory for all points of the clusters, each of which is one to begin with."""
        cdef ptrdiff_t n = self.n, p = self.m.tree.p, i, c
        cdef size_t reals = padded(n * sizeof(double)), ints = padded(n * sizeof(int32_t))
        cdef size_t boxes = padded((n // TREE_LEAF + 1) * 2 * p * sizeof(double))
        cdef members* m = &self.m.members
        cdef double largest = 0
        m.measure = MEMBERS_FARTHEST if self.m.method == VECTOR_COMPLETE else MEMBERS_MEAN
        # Points and rows change places: there must be room for half as many rows, to which the first build comes down.
        cdef size_t columns = max(members_columns(m.measure, p), (tree_row_size(p, False) + 1) // 2) * reals
        cdef size_t sums = 2 * reals if m.measure == MEMBERS_MEAN else 0
        cdef char* at = <char*>scratch_allocate(columns + boxes + sums + 5 * ints)
        self.members_memory = at
        m.p, m.stride, m.known = p, reals // sizeof(double), NULL
        m.columns, m.boxes, at = <double*>at, <double*>(at + columns), at + columns + boxes
        m.factor, m.total, at = <double*>at, <double*>(at + reals), at + sums
        m.begin, m.end, m.next = <int32_t*>at, <int32_t*>(at + ints), <int32_t*>(at + 2 * ints)
        m.first, m.last = <int32_t*>(at + 3 * ints), <int32_t*>(at + 4 * ints)
        for i in range(n):
            for c in range(p):
                m.columns[c * m.stride + i] = points[i, c]
                largest = max(largest, abs(points[i, c]))
            if m.measure == MEMBERS_MEAN:
                m.factor[i], m.total[i] = 1, 1 if merging_halves(self.m.method) else self.m.weights[i]
                m.columns[p * m.stride + i] = m.total[i]
            m.begin[i], m.end[i], m.next[i] = <int32_t>i, <int32_t>(i + 1), -1
            m.first[i] = m.last[i] = <int32_t>i
        members_fit(m, n)
        m.interrupted, m.owner = _interrupted, <void*>self
        self.m.tree.measure, self.m.tree.context = merging_measure, m
        self.m.tree.slack = ldexp(largest * largest * p, -SLACK_BITS)
        return 0

    cdef int _build(self, ptrdiff_t n, bint with_lows) except -1:
        """The tree of the n clusters in `rows`."""
        cdef ptrdiff_t level, node, depth = tree_depth(n)
        cdef double* columns
        cdef int threads = 1 if n < SERIAL * TREE_LEAF else self.n_threads
        self.m.tree.depth = depth
        for level in range(depth):
            with nogil:
                for node in prange((<ptrdiff_t>1) << level, num_threads=threads, schedule="dynamic"):
                    tree_split(self.rows, self.m.tree.p, n, level, node, with_lows)
            PyErr_CheckSignals()
        with nogil:
            for node in prange((<ptrdiff_t>1) << depth, num_threads=threads, schedule="static"):
                tree_fill(&self.m.tree, node, self.rows, n, with_lows)
            tree_fit_nodes(&self.m.tree)
            if self.m.tree.rule == TREE_MEASURED and self.m.members.known == NULL:
                tree_list(&self.m.tree, self.others)
                columns = self.m.members.columns
                members_gather(&self.m.members, self.others, n, self.rows)
                self.rows = columns
        self.alive = self.built = n
        return 0

    cdef bint _sparse(self) noexcept nogil:
        """Whether half of the places in the tree are empty."""
        return 2 * self.alive <= self.built

    cdef int _rebuild(self) except -1:
        self._build(tree_collect(&self.m.tree, self.rows), self.m.tree.lows != NULL)
        return 0

    cdef bint _knowable(self) noexcept nogil:
        """Whether all dissimilarities of the clusters left are to be computed at once."""
        cdef members* m = &self.m.members
        if self.m.tree.rule != TREE_MEASURED or m.measure != MEMBERS_MEAN or m.known != NULL:
            return False
        return self.alive <= members_few(self.n)

    cdef int _measure_all(self) except -1:
        """Compute them, into the place of the rows, which take that of the points."""
        cdef ptrdiff_t i, count
        cdef int threads = self.n_threads if FEW < self.n else 1
        self._rebuild()
        count = tree_list(&self.m.tree, self.others)
        with nogil:
            members_rank(&self.m.members, self.others, count)
            for i in prange(1, count, num_threads=threads, schedule="dynamic"):
                members_measure_rank(&self.m.members, self.others, i, self.rows)
        self._raise()
        members_know(&self.m.members, self.others, count, self.rows)
        self.rows = self.m.members.columns
        return 0

    cdef int _search(self, ptrdiff_t count) except -1:
        """The nearest of `queries`."""
        cdef ptrdiff_t first, last, chunk, chunks, serial = SERIAL, queries = QUERIES
        cdef ptrdiff_t slice = SLICE * self.n_threads
        if self.m.tree.rule == TREE_MEASURED and self.m.members.known == NULL:
            # The fewer clusters are left, the longer each takes.
            serial = 2 if self.alive < FEW < self.n else SERIAL
            queries = max(<ptrdiff_t>1, min(<ptrdiff_t>QUERIES, count // (QUERIES * self.n_threads)))
            slice = SLICE // 16 * self.n_threads
        # Of many columns, a query looks at all clusters, about.
        cdef double all_of_one = <double>self.alive * self.m.tree.p
        if self.m.tree.p > FEW_COLUMNS:
            slice = max(<ptrdiff_t>self.n_threads, min(slice, <ptrdiff_t>(SLICE_WORK * self.n_threads / all_of_one)))
            queries = max(<ptrdiff_t>1, min(queries, slice // (4 * self.n_threads)))
        self.searches += count
        if count < serial and count * all_of_one < SLICE_WORK:
            with nogil:
                merging_search(&self.m, self.queries, count)
            self._raise()
            return 0
        for first in range(0, count, slice):
            last = min(first + slice, count)
            chunks = (last - first + queries - 1) // queries
            with nogil:
                for chunk in prange(chunks, num_threads=self.n_threads, schedule="dynamic"):
                    merging_search(&self.m, self.queries + first + chunk * queries,
                                   min(queries, last - first - chunk * queries))
            self._raise()
            self._look_up()
        return 0

    cdef int _look_up(self) except -1:
        """Honour Ctrl-C, and say how far it has come."""
        self.checked = seconds()
        PyErr_CheckSignals()
        if self.progress is not None:
            self.progress(self.merged)
        return 0

    cdef int _raise(self) except -1:
        """What a signal's handler has raised while pairs were added up."""
        if self.interruption is not None:
            error, self.interruption = self.interruption, None
            raise error
        return 0

    cdef void _record(self, int32_t a, int32_t b, double height) noexcept nogil:
        self.pairs[0, self.merged], self.pairs[1, self.merged], self.heights[self.merged] = a, b, height
        self.rounds_of[self.merged] = <int32_t>self.rounds
        self.merged += 1
        self.alive -= 1

    cdef ptrdiff_t _merge_reciprocal(self, ptrdiff_t count) noexcept nogil:
        """Merge the pairs that the queries have made reciprocal; the next queries, or 0 if there was no such pair."""
        cdef ptrdiff_t i, following = 0
        cdef int32_t a, b, merged
        cdef int32_t* queries
        cdef double height
        merging_admire(&self.m, self.queries, count)
        for i in range(count):
            a = self.queries[i]
            b = self.m.nearest[a]
            if b == NOBODY or self.m.tree.place[a] < 0 or self.m.nearest[b] != a:
                continue
            self._record(a, b, self.m.distances[a])
            merged = merging_unite(&self.m, a, b)
            following = merging_disappoint(&self.m, a, b, merged, self.others, following)
        queries = self.queries
        self.queries = self.others
        self.others = queries
        return following

    cdef ptrdiff_t _search_all_again(self) noexcept nogil:
        """Make queries of all clusters; how many there are."""
        cdef ptrdiff_t count = tree_list(&self.m.tree, self.queries), i
        for i in range(count):
            self.m.first_admirer[self.queries[i]] = NOBODY
        return count

    def reciprocal(self, int32_t[:, ::1] pairs, double[::1] heights, int32_t[::1] rounds):
        """Merge down to one cluster.

        pairs: 2 x (n - 1), the ids of both clusters of each merge                                  OUT
        heights: n - 1, their dissimilarities                                                       OUT
        rounds: n - 1, ascending, the same for pairs that merged at once                            OUT
        """
        cdef ptrdiff_t count
        self.pairs, self.heights, self.rounds_of = pairs, heights, rounds
        self._build(self.n, False)
        count = self._search_all_again()
        while self.alive > 1:
            self._search(count)
            with nogil:
                count = self._merge_reciprocal(count)
            if self._knowable():
                self._measure_all()
            elif self._sparse():
                self._rebuild()
            if count == 0:
                count = self._search_all_again()
            self.rounds += 1
            if seconds() - self.checked > 0.02:
                self._look_up()

    def closest_first(self, int32_t[:, ::1] pairs, double[::1] heights, int32_t[::1] rounds):
        """Merge down to one cluster, the closest pair first; as `reciprocal`, but all in round 0."""
        cdef ptrdiff_t i, size = self.n
        cdef merging_pair* heap = <merging_pair*>scratch_allocate(self.n * sizeof(merging_pair))
        self.pairs, self.heights, self.rounds_of = pairs, heights, rounds
        try:
            self._build(self.n, False)
            self._search(self._search_all_again())
            for i in range(self.n):
                heap[i].distance, heap[i].id, heap[i].nearest = self.m.distances[i], <int32_t>i, self.m.nearest[i]
                self.m.seen[i] = self.m.versions[self.m.nearest[i]]
            for i in range(self.n // 2, -1, -1):
                merging_sink(heap, size, i)
            while self.alive > 1:
                with nogil:
                    size = self._merge_closest(heap, size, seconds() + 0.02)
                if self._sparse():
                    self._rebuild()
                self._look_up()
        finally:
            scratch_free(heap)

    cdef ptrdiff_t _merge_closest(self, merging_pair* heap, ptrdiff_t size, double deadline) noexcept nogil:
        """Merge until the deadline, until the tree has to be built anew, or to the end; how many entries are left."""
        cdef merging_pair top
        cdef int32_t nearest, merged
        while self.alive > 1 and not self._sparse() and seconds() < deadline:
            top = heap[0]
            if merging_outdated(&self.m, top):
                size -= 1
                heap[0] = heap[size]
                merging_sink(heap, size, 0)
                continue
            nearest = self.m.nearest[top.id]
            if self.m.seen[top.id] == self.m.versions[nearest]:
                self._record(top.id, nearest, top.distance)
                merged = merging_unite(&self.m, top.id, nearest)
                self.m.versions[top.id] += 1
                self.m.versions[nearest] += 1
                self.m.nearest[merged] = NOBODY
                if self.alive == 1:
                    break
                top.id = merged
            self.searches += 1
            merging_search_top(&self.m, top.id, heap, size)
        return size


cdef int _interrupted(void* owner) noexcept nogil:
    """Honour Ctrl-C, now and then, on the thread that may."""
    if threadid() != 0:
        return (<Merging>owner).stopped
    if seconds() - (<Merging>owner).checked < 0.02:
        return (<Merging>owner).stopped
    with gil:
        try:
            (<Merging>owner)._look_up()
        except BaseException as error:
            (<Merging>owner).interruption = error
            (<Merging>owner).stopped = True
    return (<Merging>owner).stopped


def first_equal(const double[:, ::1] points, int32_t[::1] first):
    """first (n): the lowest of the rows that are equal to each one. points: n x p, IN."""
    cdef ptrdiff_t n = points.shape[0]
    cdef int32_t* slots = <int32_t*>scratch_allocate(equal_rows_slots(n) * sizeof(int32_t))
    with nogil:
        equal_rows(&points[0, 0], n, points.shape[1], slots, &first[0])
    scratch_free(slots)
