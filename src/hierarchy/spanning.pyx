"""Single linkage of a condensed matrix: its minimum spanning tree.

Rounds of Boruvka's algorithm: one pass over the matrix finds the least edge of every component to another one, and all
these are added. What is left of n observations are n / 2 components at most, as a rule less than a third. When they are
few enough, another pass makes a table of the least distance of any two, and Prim's algorithm joins them. Of equal
distances that of the lowest observation comes first, then that of the lowest other one; so there is one tree only.

The matrix is read twice or three times, in the order in which it is stored, and never written. O(n^2) time for most
data: where all components are linked by equal distances only, and there are many, those between any two may be looked
through again. Memory: the table, and O(n threads).

Sources: O. Boruvka, "O jistem problemu minimalnim", 1926; R. C. Prim, "Shortest connection networks and some
generalizations", Bell System Technical Journal 36, 1957.
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t, int64_t

from common.scratch cimport padded, scratch_allocate, scratch_free
from hierarchy.forest cimport root_of


cdef extern from "common/clock.h" nogil:
    double seconds() noexcept


cdef extern from "hierarchy/spanning.h" nogil:
    enum:
        SPANNING_MEMBERS
        SPANNING_TILE

    ctypedef struct triangle:
        ptrdiff_t n
        int is_double
        void* values
        int32_t* nearest
        void* distances

    ctypedef struct spanning:
        triangle t
        int parts
        int32_t* component
        void* labels
        void* least
        void* rows
        ptrdiff_t components
        int32_t* members
        int32_t* begin
        int32_t* piece
        void* table

    ctypedef struct spanning_edge:
        int32_t i
        int32_t j
        int32_t source "from"

    double triangle_real(const triangle* t, const void* array, ptrdiff_t i) noexcept
    void triangle_set_real(const triangle* t, void* array, ptrdiff_t i, double value) noexcept
    bint spanning_edge_before(spanning_edge a, spanning_edge b) noexcept
    void spanning_set_label(const spanning* s, ptrdiff_t i, int32_t component) noexcept
    bint spanning_rows(const spanning* s, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t part) noexcept
    void spanning_clear_columns(const spanning* s, ptrdiff_t part) noexcept
    void spanning_join_columns(const spanning* s) noexcept
    void spanning_contract(const spanning* s, ptrdiff_t component, ptrdiff_t piece, void* scratch) noexcept
    void spanning_fold(const spanning* s, ptrdiff_t component) noexcept
    void spanning_mirror(const spanning* s, ptrdiff_t tile) noexcept
    ptrdiff_t spanning_step(const spanning* s, ptrdiff_t x, void* nearest, void* source,
                            spanning_edge* edges) noexcept


# Tuning, by benchmarks/bench_hierarchy.py.
cdef enum:
    SERIAL = 512  # fewer observations than this are not worth waking another thread
    SLICE_VALUES = 1 << 24  # that a thread reads between two looks at signals: about 10 ms


cdef class _Tree:
    """The tree so far, and all memory but the table's."""

    cdef:
        spanning s
        ptrdiff_t merged
        int n_threads
        void* memory
        int32_t* parent
        spanning_edge* shortest
        char* scratch
        size_t scratch_size
        int32_t[:, ::1] pairs
        double[::1] heights

    def __cinit__(self, const char[::1] values, ptrdiff_t n, bint is_double, int32_t[:, ::1] pairs,
                  double[::1] heights, int n_threads):
        cdef size_t item = 8 if is_double else 4, reals = padded(n * item), ids = padded((n + 1) * sizeof(int32_t))
        cdef size_t edges = padded(n * sizeof(spanning_edge))
        cdef ptrdiff_t i
        self.memory = NULL
        self.n_threads = self.s.parts = n_threads if n >= SERIAL else 1
        self.scratch_size = reals
        self.s.t.n, self.s.t.is_double, self.s.t.values = n, is_double, <void*>&values[0]
        self.pairs, self.heights, self.merged = pairs, heights, 0
        cdef size_t columns = padded(n * item * self.s.parts)
        cdef char* at = <char*>scratch_allocate(2 * reals + 2 * columns + self.n_threads * reals + 6 * ids + edges)
        self.memory = at
        self.s.t.distances, self.s.labels, at = at, at + reals, at + 2 * reals
        self.s.least, self.s.rows, at = at, at + columns, at + 2 * columns
        self.scratch, at = at, at + self.n_threads * reals
        self.s.t.nearest, self.s.component, at = <int32_t*>at, <int32_t*>(at + ids), at + 2 * ids
        self.s.members, self.s.begin, at = <int32_t*>at, <int32_t*>(at + ids), at + 2 * ids
        self.s.piece, self.parent, at = <int32_t*>at, <int32_t*>(at + ids), at + 2 * ids
        self.shortest = <spanning_edge*>at
        self.s.components = n
        for i in range(n):
            spanning_set_label(&self.s, i, <int32_t>i)

    def __dealloc__(self):
        scratch_free(self.memory)

    cdef void _add(self, int32_t i, int32_t j, double distance) noexcept nogil:
        self.pairs[0, self.merged], self.pairs[1, self.merged] = i, j
        self.heights[self.merged] = distance
        self.merged += 1

    cdef bint _pass(self) except -1:
        """Every observation's least edge to another component; whether a distance is not finite."""
        cdef ptrdiff_t n = self.s.t.n, start, stop = n, part
        cdef int odd = 0
        for part in prange(self.s.parts, num_threads=self.n_threads, schedule="static", nogil=True):
            spanning_clear_columns(&self.s, part)
        while stop > 0:
            start = max(<ptrdiff_t>0, stop - max(<ptrdiff_t>1, SLICE_VALUES // n) * self.s.parts)
            for part in prange(self.s.parts, num_threads=self.n_threads, schedule="static", nogil=True):
                odd += spanning_rows(&self.s, start, stop, part)
            PyErr_CheckSignals()
            stop = start
        with nogil:
            spanning_join_columns(&self.s)
        return odd != 0

    cdef ptrdiff_t _join(self) noexcept nogil:
        """Add every component's least edge to another one; how many there are that lead on."""
        cdef ptrdiff_t n = self.s.t.n, i, c, before = self.merged
        cdef int32_t a, b
        cdef double distance, least
        cdef spanning_edge edge
        for c in range(self.s.components):
            self.parent[c] = <int32_t>c
            self.shortest[c].source = -1
        for i in range(n):
            distance = triangle_real(&self.s.t, self.s.t.distances, i)
            if not distance < INFINITY:
                continue
            c = self.s.component[i]
            a, b = <int32_t>i, self.s.t.nearest[i]
            edge.i, edge.j, edge.source = min(a, b), max(a, b), a
            if self.shortest[c].source >= 0:
                least = triangle_real(&self.s.t, self.s.t.distances, self.shortest[c].source)
                if distance > least or (distance == least and not spanning_edge_before(edge, self.shortest[c])):
                    continue
            self.shortest[c] = edge
        for c in range(self.s.components):
            edge = self.shortest[c]
            if edge.source < 0:
                continue
            a = root_of(self.parent, self.s.component[edge.i])
            b = root_of(self.parent, self.s.component[edge.j])
            if a != b:
                self.parent[max(a, b)] = min(a, b)
                self._add(edge.i, edge.j, triangle_real(&self.s.t, self.s.t.distances, edge.source))
        self._renumber()
        return self.merged - before

    cdef void _renumber(self) noexcept nogil:
        """Components that joined get one number; they stay in the order of their lowest observations."""
        cdef int32_t* numbers = self.s.begin
        cdef ptrdiff_t c, i, fresh = 0
        for c in range(self.s.components):
            # Roots come before the components that joined them.
            if self.parent[c] == c:
                numbers[c] = <int32_t>fresh
                fresh += 1
            else:
                numbers[c] = numbers[root_of(self.parent, <int32_t>c)]
        for i in range(self.s.t.n):
            spanning_set_label(&self.s, i, numbers[self.s.component[i]])
        self.s.components = fresh

    cdef ptrdiff_t _list_members(self) noexcept nogil:
        """The members of each component, and its rows of the table; how many rows there are in all."""
        cdef ptrdiff_t n = self.s.t.n, i, c, size
        for c in range(self.s.components + 1):
            self.s.begin[c] = 0
        for i in range(n):
            self.s.begin[self.s.component[i] + 1] += 1
        self.s.piece[0] = 0
        for c in range(self.s.components):
            size = self.s.begin[c + 1]
            self.s.begin[c + 1] += self.s.begin[c]
            self.s.piece[c + 1] = <int32_t>(self.s.piece[c] + (size + SPANNING_MEMBERS - 1) // SPANNING_MEMBERS)
            self.parent[c] = self.s.begin[c]
        for i in range(n):
            c = self.s.component[i]
            self.s.members[self.parent[c]] = <int32_t>i
            self.parent[c] += 1
        return self.s.piece[self.s.components]

    cdef int _tabulate(self) except -1:
        """The table of all components' distances: a pass over the matrix."""
        cdef ptrdiff_t c, first, last, tiles = (self.s.components + SPANNING_TILE - 1) // SPANNING_TILE
        cdef ptrdiff_t pieces = self.s.piece[self.s.components], k
        cdef ptrdiff_t a_slice = max(<ptrdiff_t>1, SLICE_VALUES // self.s.t.n // 4) * self.n_threads
        cdef int32_t* component_of = <int32_t*>scratch_allocate(pieces * sizeof(int32_t))
        try:
            for c in range(self.s.components):
                for k in range(self.s.piece[c], self.s.piece[c + 1]):
                    component_of[k] = <int32_t>c
            for first in range(0, pieces, a_slice):
                last = min(first + a_slice, pieces)
                for k in prange(first, last, num_threads=self.n_threads, schedule="dynamic", nogil=True):
                    spanning_contract(&self.s, component_of[k], k, self.scratch + threadid() * self.scratch_size)
                PyErr_CheckSignals()
            for c in prange(self.s.components, num_threads=self.n_threads, schedule="dynamic", nogil=True):
                spanning_fold(&self.s, c)
            PyErr_CheckSignals()
            a_slice = max(<ptrdiff_t>1, SLICE_VALUES // (self.s.components * SPANNING_TILE) // 4) * self.n_threads
            for first in range(0, tiles, a_slice):
                last = min(first + a_slice, tiles)
                for k in prange(first, last, num_threads=self.n_threads, schedule="dynamic", nogil=True):
                    spanning_mirror(&self.s, k)
                PyErr_CheckSignals()
        finally:
            scratch_free(component_of)
        return 0

    cdef int _grow(self) except -1:
        """Join the components of the table by Prim's algorithm, from each one that is not at a finite distance."""
        cdef ptrdiff_t x = 0, c, start = 0, left = self.s.components
        cdef void* nearest = self.s.t.distances
        cdef void* source = self.s.least  # of the integers' type, which is as wide
        cdef double checked = seconds()
        for c in range(left):
            triangle_set_real(&self.s.t, nearest, c, INFINITY)
            self._set_source(c, -1)
            self.parent[c] = <int32_t>c
            self.shortest[c].source = -3
        while left > 0:
            self._set_source(x, -2)
            triangle_set_real(&self.s.t, nearest, x, INFINITY)
            left -= 1
            with nogil:
                c = spanning_step(&self.s, x, nearest, source, self.shortest)
            if c >= 0:
                self._add(self.shortest[c].i, self.shortest[c].j, triangle_real(&self.s.t, nearest, c))
                self.parent[c] = <int32_t>start
            elif left > 0:
                c = start + 1
                while self._source(c) == -2:
                    c += 1
                start = c
            x = c
            if seconds() - checked > 0.02:
                PyErr_CheckSignals()
                checked = seconds()
        self._renumber()
        return 0

    cdef void _set_source(self, ptrdiff_t c, int32_t value) noexcept nogil:
        if self.s.t.is_double:
            (<int64_t*>self.s.least)[c] = value
        else:
            (<int32_t*>self.s.least)[c] = value

    cdef int32_t _source(self, ptrdiff_t c) noexcept nogil:
        return <int32_t>(<int64_t*>self.s.least)[c] if self.s.t.is_double else (<int32_t*>self.s.least)[c]

    cdef void _join_infinitely_far(self) noexcept nogil:
        """What is left is joined by the lowest observations' infinite distances."""
        cdef ptrdiff_t i, joined = 0
        for i in range(self.s.t.n):
            if self.s.component[i] > joined:
                joined = self.s.component[i]
                self._add(0, <int32_t>i, INFINITY)


def spanning_tree(source, room, ptrdiff_t n, *, ptrdiff_t few, bint is_double, bint infinite,
                  int32_t[:, ::1] pairs, double[::1] heights, int n_threads):
    """Fill pairs (2 x (n - 1)) and heights (n - 1) with the edges, in no particular order.

    source: the condensed matrix, as bytes; without NaN if `infinite`                   IN
    room: called with a number of distances; returns memory for them, as bytes: a table of components
    few: how many components are at most put into a table; of n / 5, it has less than a tenth of the matrix's values
    infinite: whether a distance may be infinite
    pairs: the lower and the higher observation of each                                 OUT
    Returns whether all distances are as they may be; if not, pairs and heights are not filled.
    """
    cdef _Tree tree = _Tree(source, n, is_double, pairs, heights, n_threads)
    cdef char[::1] table
    while tree.s.components > 1:
        if tree._pass() and not infinite:
            return False
        if tree._join() == 0:
            break
        if 1 < tree.s.components <= few:
            table = room(tree._list_members() * tree.s.components)
            tree.s.table = &table[0]
            tree._tabulate()
            tree._grow()
            break
    tree._join_infinitely_far()
    return True
