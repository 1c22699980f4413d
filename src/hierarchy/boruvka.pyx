"""Single linkage of points in O(n) memory: Boruvka's minimum spanning tree over a tree of boxes.

In every round each component of the forest finds its shortest edge to another one, and all these edges are added; the
number of components falls by half at least. How a point's nearest foreign point is found, and remembered, and which of
equally short edges counts, is in boruvka.h.

Cost: O(n log n) or so in few dimensions; O(n^2) in many. Memory, beside the points: about 85 + 30 p bytes a point.

Sources: O. Boruvka, "O jistem problemu minimalnim", 1926; W. B. March, P. Ram, A. G. Gray, "Fast Euclidean minimum
spanning tree: algorithm, analysis, and applications", KDD 2010 (components of nodes, bounds by component).
"""

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t, uint64_t

from common.scratch cimport padded, scratch_allocate, scratch_free
from hierarchy.cluster_tree cimport (
    TREE_LEAF, TREE_POINTS, cluster_tree, tree_box_size, tree_depth, tree_fill, tree_fit_nodes, tree_row_size, tree_split,
)
from hierarchy.forest cimport root_of


cdef extern from "hierarchy/boruvka.h" nogil:
    ctypedef struct boruvka:
        cluster_tree tree
        int32_t* component
        int32_t* nearest
        int32_t* second
        double* distances
        double* beyond
        int32_t* uniform
        uint64_t* shortest

    uint64_t boruvka_bits(double value) noexcept
    double boruvka_shortest(const boruvka* b, int32_t component) noexcept
    bint boruvka_edge_before(const boruvka* b, ptrdiff_t one, ptrdiff_t two) noexcept
    void boruvka_leaf_component(boruvka* b, ptrdiff_t leaf) noexcept
    void boruvka_node_components(boruvka* b) noexcept
    void boruvka_leaves(boruvka* b, ptrdiff_t first, ptrdiff_t last) noexcept
    void boruvka_recall(boruvka* b, ptrdiff_t first, ptrdiff_t last) noexcept


cdef enum:
    SERIAL = 2048  # fewer points than this are not worth waking another thread
    LEAVES = 16  # searched in a row by one thread
    FEW_COLUMNS = 8  # up to which the next number holds
    SLICE_WORK = 1 << 24  # of more: coordinates that may be looked at between two looks at pending signals
    SLICE = 2048  # leaves a thread between two looks at pending signals: about 20 ms in few dimensions


cdef class SpanningTree:
    """The minimum spanning tree of n points, and all memory for it.

    points: n x p, not too large to square                                                      IN
    progress: called now and then with how many edges there are, or None
    """

    cdef:
        boruvka b
        void* memory
        ptrdiff_t n, leaves, slots, components
        int n_threads
        int32_t* parent
        int32_t* winner
        object progress
        readonly ptrdiff_t rounds

    def __cinit__(self, const double[:, ::1] points, int n_threads, progress):
        cdef ptrdiff_t n = points.shape[0], p = points.shape[1], i
        self.memory = NULL
        self.n, self.n_threads, self.progress = n, n_threads if n >= SERIAL else 1, progress
        self.b.tree.rule, self.b.tree.p, self.b.tree.depth = TREE_POINTS, p, tree_depth(n)
        self.b.tree.lows = NULL
        self.leaves = (<ptrdiff_t>1) << self.b.tree.depth
        self.slots = self.leaves * TREE_LEAF
        cdef size_t boxes = padded(2 * self.leaves * tree_box_size(p) * sizeof(double))
        cdef size_t blocks = padded(self.slots * (p + 1) * sizeof(double))
        cdef size_t slot_ints = padded(self.slots * sizeof(int32_t)), ints = padded(n * sizeof(int32_t))
        cdef size_t slot_reals = padded(self.slots * sizeof(double)), reals = padded(n * sizeof(double))
        cdef size_t nodes = padded(2 * self.leaves * sizeof(int32_t))
        cdef char* at = <char*>scratch_allocate(boxes + blocks + 4 * slot_ints + 2 * slot_reals + nodes + reals
                                               + 3 * ints)
        self.memory = at
        self.b.tree.boxes, at = <double*>at, at + boxes
        self.b.tree.blocks, at = <double*>at, at + blocks
        self.b.tree.ids, at = <int32_t*>at, at + slot_ints
        self.b.component, at = <int32_t*>at, at + slot_ints
        self.b.nearest, at = <int32_t*>at, at + slot_ints
        self.b.second, at = <int32_t*>at, at + slot_ints
        self.b.distances, at = <double*>at, at + slot_reals
        self.b.beyond, at = <double*>at, at + slot_reals
        self.b.uniform, at = <int32_t*>at, at + nodes
        self.b.shortest, at = <uint64_t*>at, at + reals
        self.parent, self.winner = <int32_t*>at, <int32_t*>(at + ints)
        self.b.tree.place = <int32_t*>(at + 2 * ints)
        self._build(points)
        self.components = 0
        for i in range(self.slots):
            self.b.component[i] = -1
            self.b.nearest[i] = -1
            self.b.distances[i] = 0
            if self.b.tree.ids[i] >= 0:
                self.b.component[i] = <int32_t>self.components
                self.components += 1

    def __dealloc__(self):
        scratch_free(self.memory)

    cdef int _build(self, const double[:, ::1] points) except -1:
        cdef ptrdiff_t level, node, i, c, n = self.n, p = self.b.tree.p
        cdef double* rows = <double*>scratch_allocate(n * tree_row_size(p, False) * sizeof(double))
        cdef double* row
        try:
            with nogil:
                for i in prange(n, num_threads=self.n_threads, schedule="static"):
                    row = rows + i * tree_row_size(p, False)
                    for c in range(p):
                        row[c] = points[i, c]
                    row[p] = i
                    row[p + 1] = i
            for level in range(self.b.tree.depth):
                with nogil:
                    for node in prange((<ptrdiff_t>1) << level, num_threads=self.n_threads, schedule="dynamic"):
                        tree_split(rows, p, n, level, node, False)
                PyErr_CheckSignals()
            with nogil:
                for node in prange(self.leaves, num_threads=self.n_threads, schedule="static"):
                    tree_fill(&self.b.tree, node, rows, n, False)
                tree_fit_nodes(&self.b.tree)
        finally:
            scratch_free(rows)
        return 0

    cdef int _find_shortest(self) except -1:
        """The shortest edge of every component: its length, and the slot at one end of it, in `winner`."""
        cdef ptrdiff_t i, first, last, chunk, chunks, slice = SLICE * self.n_threads, leaves = LEAVES
        cdef int32_t component
        cdef uint64_t infinite = boruvka_bits(INFINITY)
        if self.b.tree.p > FEW_COLUMNS:
            # Of many columns, a point is compared with all others, about.
            slice = max(<ptrdiff_t>self.n_threads, min(
                slice, <ptrdiff_t>(SLICE_WORK * self.n_threads / (<double>self.n * self.b.tree.p * TREE_LEAF))))
            leaves = max(<ptrdiff_t>1, min(leaves, slice // (4 * self.n_threads)))
        with nogil:
            for i in range(self.components):
                self.b.shortest[i] = infinite
                self.winner[i] = -1
            for i in prange(self.leaves, num_threads=self.n_threads, schedule="static"):
                boruvka_leaf_component(&self.b, i)
                boruvka_recall(&self.b, i * TREE_LEAF, (i + 1) * TREE_LEAF)
            boruvka_node_components(&self.b)
        for first in range(0, self.leaves, slice):
            last = min(first + slice, self.leaves)
            chunks = (last - first + leaves - 1) // leaves
            with nogil:
                for chunk in prange(chunks, num_threads=self.n_threads, schedule="dynamic"):
                    boruvka_leaves(&self.b, first + chunk * leaves, min(first + (chunk + 1) * leaves, last))
            PyErr_CheckSignals()
            if self.progress is not None:
                self.progress(self.n - self.components)
        with nogil:
            for i in range(self.slots):
                component = self.b.component[i]
                if self.b.nearest[i] < 0 or self.b.distances[i] != boruvka_shortest(&self.b, component):
                    continue
                if self.winner[component] < 0 or boruvka_edge_before(&self.b, i, self.winner[component]):
                    self.winner[component] = <int32_t>i
        return 0

    def edges(self, int32_t[:, ::1] pairs, double[::1] squares):
        """Fill pairs (2 x (n - 1)) and squares (n - 1) with the tree's edges and their squared lengths."""
        cdef ptrdiff_t merged = 0, i, fresh
        cdef int32_t slot, a, b
        while self.components > 1:
            self._find_shortest()
            with nogil:
                for i in range(self.components):
                    self.parent[i] = <int32_t>i
                for i in range(self.components):
                    slot = self.winner[i]
                    a = root_of(self.parent, <int32_t>i)
                    b = root_of(self.parent, self.b.component[self.b.nearest[slot]])
                    if a == b:
                        continue
                    self.parent[max(a, b)] = min(a, b)
                    pairs[0, merged] = self.b.tree.ids[slot]
                    pairs[1, merged] = self.b.tree.ids[self.b.nearest[slot]]
                    squares[merged] = self.b.distances[slot]
                    merged += 1
                # Roots come before the components that joined them: `winner` becomes the new numbers.
                fresh = 0
                for i in range(self.components):
                    if self.parent[i] == i:
                        self.winner[i] = <int32_t>fresh
                        fresh += 1
                    else:
                        self.winner[i] = self.winner[root_of(self.parent, <int32_t>i)]
                for i in prange(self.slots, num_threads=self.n_threads, schedule="static"):
                    if self.b.component[i] >= 0:
                        self.b.component[i] = self.winner[self.b.component[i]]
            self.components = fresh
            self.rounds += 1
