"""Agglomerative clustering of a condensed matrix, in place: the six methods that need more than a spanning tree.

A pass streams the triangle, finds on the way which clusters are near each other, and by that alone very many pairs
merge; the next pass carries these merges out, all at once, and writes the smaller triangle of the clusters that remain.
O(n^2) a pass, of which there are about ten.

Reducible methods (complete, average, weighted, ward): a pass finds the nearest neighbors of every cluster. All pairs
that are each other's nearest merge, and so do the clusters they become, as far as the lists can tell (mutual.h): about
two fifths of the clusters. Where few would (ties, hubs), pairs merge one by one by the nearest-neighbor chain, until the
triangle is worth condensing again; so the whole takes O(n^2) time, whatever the data.

Other methods (centroid, median): a pass finds all pairs within a reach, and the closest pair merges, then the next one,
as long as what is known of the members of clusters tells that no other pair is closer (closest.h): a third to a half of
the clusters. Where that is not worth while (many dimensions, ties, small triangles), they merge one by one by the
generic algorithm: every cluster keeps its nearest neighbor to the right, or a lower bound for it. O(n^2) time for most
data, O(n^3) at worst.

The first pass reads the caller's matrix, the second writes the smaller triangle alone; only where clusters merge one by
one is a copy of it all needed.

Memory: that triangle, or the caller's own; blocks of a few rows; O(n threads); for near pairs a part of the matrix. Ties
go to the least distance, then the lowest position, where a merged cluster takes the later position of its two, or,
where the generic algorithm merges, the earlier; between two passes of a reducible method, among the linked clusters
only. Nothing depends on the number of threads.

Sources: J. Juan, "Programme de classification hierarchique par l'algorithme de la recherche en chaine des voisins
reciproques", 1982, and F. Murtagh, "A survey of recent advances in hierarchical clustering algorithms", Computer Journal
26(4), 1983 (chains, and merging all reciprocal neighbors); D. Muellner, "Modern hierarchical, agglomerative clustering
algorithms", arXiv 1109.2378 (generic algorithm).
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cython.parallel cimport prange
from libc.math cimport INFINITY, isfinite
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int8_t, int32_t, uint8_t
from libc.string cimport memcpy, memset

from common.scratch cimport padded, scratch_allocate, scratch_free


cdef extern from "common/clock.h" nogil:
    double seconds() noexcept


cdef extern from "common/guard.h" nogil:
    enum:
        GUARD_BYTES
    void guard_gap(void* start, size_t size) noexcept
    void guard_end(void* start, size_t size) noexcept


cdef extern from "hierarchy/team.h" nogil:
    ctypedef void (*team_work)(void* context, ptrdiff_t chunk, int thread) noexcept nogil
    ctypedef void (*team_main)(void* context) noexcept nogil

    ctypedef struct team:
        pass

    void team_for(team* t, int n_threads, ptrdiff_t chunks, team_work work, void* context) noexcept
    void team_run(team* t, int n_threads, team_main run, void* context) noexcept


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
        double scale
        const double* weights
        void* sizes
        int32_t* nearest
        void* distances

    enum:
        LISTED
        PANEL_MOST_ROWS

    ctypedef struct extent:
        double least
        double greatest
        bint finite

    ctypedef struct condense_plan:
        ptrdiff_t n_new
        ptrdiff_t n_pairs
        int32_t* source
        uint8_t* kept
        void* sizes
        int32_t* final
        int32_t* first
        int32_t* second
        void* offs
        void* first_sizes
        void* parts
        int8_t* first_buffer
        int8_t* second_buffer
        int8_t* out_buffer
        int32_t* given
        int32_t* given_ends

    ctypedef struct nearby:
        void* least
        void* least_rows
        void* bounds
        void* values
        int32_t* ids
        uint8_t* counts
        uint8_t* last

    ctypedef struct near_pairs:
        double reach
        ptrdiff_t capacity
        ptrdiff_t found
        void* values
        int32_t* columns
        int32_t* begin
        int32_t* counts

    ctypedef struct nearest_found:
        double distance
        ptrdiff_t position

    bint LW_REDUCIBLE(lw_method method) noexcept
    bint LW_SQUARED(lw_method method) noexcept
    ptrdiff_t triangle_offset(ptrdiff_t n, ptrdiff_t i) noexcept
    double triangle_get(const triangle* t, ptrdiff_t i, ptrdiff_t j) noexcept
    double triangle_real(const triangle* t, const void* array, ptrdiff_t i) noexcept
    void triangle_set_real(const triangle* t, void* array, ptrdiff_t i, double value) noexcept
    void prefer_nearest(nearest_found* best, double distance, ptrdiff_t position) noexcept
    void settle_row(const triangle* t, ptrdiff_t row, const void* values, void* to, const nearby* lists,
                    extent* seen) noexcept
    void collect_row(const triangle* t, ptrdiff_t row, const void* values, void* to, near_pairs* near, void* scratch,
                     extent* seen) noexcept
    void clear_lists(const triangle* t, const nearby* lists) noexcept
    void share_bounds(const triangle* t, const nearby* lists, ptrdiff_t parts, ptrdiff_t start, ptrdiff_t stop) noexcept
    void join_lists(const triangle* t, const nearby* lists, ptrdiff_t parts) noexcept
    void condense_rows(const triangle* t, const condense_plan* plan, lw_method method, ptrdiff_t row, ptrdiff_t count,
                       void* scratch, void* out, ptrdiff_t apart) noexcept
    ptrdiff_t panel_rows(const triangle* t) noexcept
    size_t condense_scratch_bytes(ptrdiff_t n) noexcept
    nearest_found scan_run(const triangle* t, ptrdiff_t x, ptrdiff_t start, ptrdiff_t stop) noexcept
    nearest_found merge_run(const triangle* t, lw_method method, ptrdiff_t a, ptrdiff_t b, ptrdiff_t start,
                            ptrdiff_t stop) noexcept
    nearest_found absorb_run(const triangle* t, lw_method method, ptrdiff_t a, ptrdiff_t b, ptrdiff_t start,
                             ptrdiff_t stop) noexcept
    ptrdiff_t closest_row(const triangle* t) noexcept
    void extremes(int is_double, const void* values, ptrdiff_t start, ptrdiff_t stop, double* least,
                  double* greatest) noexcept


cdef extern from "hierarchy/merging.h" nogil:
    ctypedef struct merging:
        int32_t* node
        int32_t* place
        double* sizes
        int32_t* members
        int8_t* buffers
        ptrdiff_t merges
        int32_t* first
        int32_t* second
        int32_t* first_node
        int32_t* second_node
        double* heights

    void merging_begin(merging* g, const triangle* t) noexcept
    void plan_merges(const merging* g, const triangle* t, lw_method method, condense_plan* plan) noexcept


cdef extern from "hierarchy/mutual.h" nogil:
    ctypedef struct link_end:
        pass

    ctypedef struct mutual:
        ptrdiff_t capacity
        link_end* ends
        uint8_t* exact
        int32_t* begin
        int32_t* count
        int32_t* closest
        int32_t* mark
        int32_t* queue
        uint8_t* queued
        double* radius

    void mutual_begin(mutual* m, merging* g, const triangle* t, const nearby* lists) noexcept
    bint mutual_go_on(mutual* m, merging* g, const triangle* t, lw_method method, ptrdiff_t many) noexcept


cdef extern from "hierarchy/closest.h" nogil:
    ctypedef struct known_pair:
        pass

    ctypedef struct closest_link:
        pass

    ctypedef struct member:
        pass

    ctypedef struct acquaintance:
        pass

    ctypedef struct closest_first:
        known_pair* known
        closest_link* links
        ptrdiff_t capacity
        int32_t* known_begin
        int32_t* begin
        int32_t* count
        double* spread
        member* members
        double* key
        int32_t* heap
        int32_t* heap_at
        acquaintance* known_of
        int32_t* met
        int32_t* spreading

    void closest_begin(closest_first* c, merging* g, const triangle* t, const near_pairs* near) noexcept
    bint closest_go_on(closest_first* c, merging* g, const triangle* t, lw_method method, ptrdiff_t many) noexcept
    bint choose_reach(closest_first* c, const merging* g, const triangle* t, lw_method method, double pairs,
                      near_pairs* near) noexcept


# Tuning, by benchmarks/bench_hierarchy.py.
cdef enum:
    BLOCK_ROWS = 64  # rows between two barriers
    BLOCK_PANELS = 2  # of them for each thread, at least, that are condensed
    BLOCK_VALUES = 32768  # and so many more, where rows are short, that a barrier does not show
    IN_CACHE = 1024  # clusters that the generic algorithm takes over at once
    SERIAL = 512  # triangles of fewer positions are worked on by one thread
    RUN = 1024  # positions a thread updates at a time
    FEW = 32  # a pass merges at least one FEW-th of the clusters, or the chain takes over
    FEW_CLOSEST = 8  # the same where the closest pair merges, or the generic algorithm takes over
    ENDS = 40  # room for ends of links, for each cluster: what lists make takes 18 at most
    LINKS = 20  # the same where the closest pair merges: 8 to begin with, and what merged clusters have
    NEAR_PAIRS = 20  # for each cluster, that a pass is to find
    NEAR_SHARE = 8  # what is known of near pairs takes one such part of the matrix, at most
    NEAR_SHARE_IN_PLACE = 64  # the same where there is to be no copy
    LOOKED_AT = 4096  # clusters between two looks for signals
    EXTREMES_CHUNK = 65536
    GONE_EIGHTHS = 3  # of a triangle's clusters, until the generic algorithm has it condensed

# How a computation ends.
cdef enum:
    DONE
    UNDEFINED  # a distance has become NaN
    INTERRUPTED  # by a signal


cdef struct agglomeration:
    # The triangle, its clusters, and the merges so far.
    team threads
    triangle source  # the caller's matrix
    triangle t
    triangle new  # while the triangle is condensed: what it becomes
    condense_plan plan
    merging merging
    mutual mutual
    closest_first closest
    near_pairs near
    lw_method method
    int n_threads
    size_t item  # bytes of a distance
    char* end  # of the memory for triangles that are written
    bint in_place  # the caller's matrix lies there
    bint filled  # the triangle does
    bint looks  # at what the caller's values are between
    bint one_by_one  # the closest clusters merge: nearest neighbors to the right are all that is needed
    bint many  # pairs were merged after the last pass
    int failures  # passes in turn that have found few pairs to merge, with methods that are not reducible
    int waiting  # for so many passes no more are looked for
    size_t memory_size  # of all that is laid out
    # One block of rows: [start, stop).
    ptrdiff_t start
    ptrdiff_t stop
    bint staged  # the block may not be written yet: rows of it are still read
    char* stage
    # One update of a row: clusters a and b, from position `start`.
    ptrdiff_t a
    ptrdiff_t b
    nearest_found* found
    # For each thread.
    char* scratch
    size_t scratch_size
    nearby* lists
    extent* seen
    int32_t* chain
    # The merges: observations in `first` and `second` (by way of `leaf`), heights.
    int32_t* leaf
    int32_t* first
    int32_t* second
    double* heights
    ptrdiff_t merged
    double checked
    int status
    PyObject* exception  # of a signal's handler; owned


cdef struct arena:
    # Memory that is handed out piece by piece; without any, only counted.
    char* start
    size_t used


cdef void* _take(arena* memory, size_t size) noexcept nogil:
    cdef char* piece = memory.start + memory.used if memory.start != NULL else NULL
    memory.used += padded(size) + GUARD_BYTES
    if piece != NULL and GUARD_BYTES > 0:
        guard_gap(piece + padded(size), GUARD_BYTES)
    return piece


cdef int32_t* _take_ints(arena* memory, ptrdiff_t n) noexcept nogil:
    return <int32_t*>_take(memory, n * sizeof(int32_t))


cdef double* _take_doubles(arena* memory, ptrdiff_t n) noexcept nogil:
    return <double*>_take(memory, n * sizeof(double))


cdef void _lay_out(agglomeration* w, arena* memory, ptrdiff_t n) noexcept nogil:
    """Where everything is."""
    cdef ptrdiff_t reals = n * w.item, thread
    cdef nearby* lists
    # Of any later, smaller triangle as well, of which a block may have more rows: see _block_rows.
    w.stage = <char*>_take(memory, max(BLOCK_ROWS * n, BLOCK_VALUES + PANEL_MOST_ROWS * n) * w.item)
    w.scratch_size = padded(condense_scratch_bytes(n)) + GUARD_BYTES
    w.scratch = <char*>_take(memory, condense_scratch_bytes(n))
    for thread in range(1, w.n_threads):
        _take(memory, condense_scratch_bytes(n))
    w.found = <nearest_found*>_take(memory, (n // RUN + 1) * sizeof(nearest_found))
    w.seen = <extent*>_take(memory, w.n_threads * sizeof(extent))
    w.t.sizes, w.t.distances = _take(memory, reals), _take(memory, reals)
    w.t.nearest, w.leaf = _take_ints(memory, n), _take_ints(memory, n)
    w.plan.source, w.plan.kept, w.plan.sizes = _take_ints(memory, n), <uint8_t*>_take(memory, n), _take(memory, reals)
    w.plan.final, w.plan.first, w.plan.second = _take_ints(memory, n), _take_ints(memory, n), _take_ints(memory, n)
    w.plan.offs = _take(memory, reals)
    w.plan.given, w.plan.given_ends = _take_ints(memory, n), _take_ints(memory, n)
    w.plan.first_sizes, w.plan.parts = _take(memory, reals), _take(memory, reals)
    w.plan.first_buffer, w.plan.second_buffer = <int8_t*>_take(memory, n), <int8_t*>_take(memory, n)
    w.plan.out_buffer = <int8_t*>_take(memory, n)
    _lay_out_merging(&w.merging, memory, n)
    if LW_REDUCIBLE(w.method):
        w.chain = _take_ints(memory, n)
        w.lists = <nearby*>_take(memory, w.n_threads * sizeof(nearby))
        for thread in range(w.n_threads):
            lists = w.lists + thread if memory.start != NULL else NULL
            _lay_out_lists(w, memory, lists, n)
        _lay_out_mutual(&w.mutual, memory, n)
    elif n > IN_CACHE:
        _lay_out_closest(w, memory, n)


cdef void _lay_out_merging(merging* g, arena* memory, ptrdiff_t n) noexcept nogil:
    g.node, g.place, g.members = _take_ints(memory, n), _take_ints(memory, 2 * n), _take_ints(memory, 2 * n)
    g.sizes, g.buffers = <double*>_take(memory, 2 * n * sizeof(double)), <int8_t*>_take(memory, 2 * n)
    g.first, g.second = _take_ints(memory, n), _take_ints(memory, n)
    g.first_node, g.second_node = _take_ints(memory, n), _take_ints(memory, n)
    g.heights = _take_doubles(memory, n)


cdef void _lay_out_mutual(mutual* m, arena* memory, ptrdiff_t n) noexcept nogil:
    m.capacity = ENDS * n
    m.ends, m.exact = <link_end*>_take(memory, m.capacity * sizeof(link_end)), <uint8_t*>_take(memory, m.capacity)
    m.begin, m.count, m.closest = _take_ints(memory, n), _take_ints(memory, n), _take_ints(memory, n)
    m.mark, m.queue = _take_ints(memory, n), _take_ints(memory, n)
    m.queued, m.radius = <uint8_t*>_take(memory, n), _take_doubles(memory, n)


cdef void _lay_out_closest(agglomeration* w, arena* memory, ptrdiff_t n) noexcept nogil:
    cdef closest_first* c = &w.closest
    cdef ptrdiff_t bytes = w.item + sizeof(int32_t) + 2 * sizeof(known_pair)  # that a pair takes
    cdef ptrdiff_t share = n * (n - 1) // 2 * w.item // (NEAR_SHARE_IN_PLACE if w.in_place else NEAR_SHARE) // bytes
    w.near.capacity = min(4 * NEAR_PAIRS * n // 3, max(8 * n, share))
    w.near.values, w.near.columns = _take(memory, w.near.capacity * w.item), _take_ints(memory, w.near.capacity)
    w.near.begin, w.near.counts = _take_ints(memory, n), _take_ints(memory, n)
    c.capacity = LINKS * n
    c.known = <known_pair*>_take(memory, 2 * w.near.capacity * sizeof(known_pair))
    c.links = <closest_link*>_take(memory, c.capacity * sizeof(closest_link))
    c.known_begin, c.begin, c.count = _take_ints(memory, n + 1), _take_ints(memory, n), _take_ints(memory, n)
    c.spread, c.key = _take_doubles(memory, n), _take_doubles(memory, n)
    c.members = <member*>_take(memory, n * sizeof(member))
    c.known_of = <acquaintance*>_take(memory, n * sizeof(acquaintance))
    c.heap, c.heap_at = _take_ints(memory, n), _take_ints(memory, n)
    c.met, c.spreading = _take_ints(memory, n + 1), _take_ints(memory, n)


cdef void _lay_out_lists(agglomeration* w, arena* memory, nearby* lists, ptrdiff_t n) noexcept nogil:
    cdef nearby found
    cdef ptrdiff_t reals = n * w.item
    found.least, found.least_rows, found.bounds = _take(memory, reals), _take(memory, reals), _take(memory, reals)
    found.values, found.ids = _take(memory, LISTED * reals), _take_ints(memory, LISTED * n)
    found.counts, found.last = <uint8_t*>_take(memory, n), <uint8_t*>_take(memory, n)
    if lists != NULL:
        lists[0] = found


cdef void* _prepare(agglomeration* w, ptrdiff_t n, const double[::1] weights) except NULL:
    """Lay the working memory out, in one block that is returned."""
    cdef ptrdiff_t i
    cdef arena memory
    memory.start, memory.used = NULL, 0
    _lay_out(w, &memory, n)
    memory.start = <char*>scratch_allocate(memory.used)
    w.memory_size, memory.used = memory.used, 0
    _lay_out(w, &memory, n)
    for i in range(n):
        w.leaf[i] = <int32_t>i
        triangle_set_real(&w.t, w.t.sizes, i, 1.0 if weights is None else weights[i])
    return memory.start


cdef int _look_up(agglomeration* w) noexcept nogil:
    """Honour Ctrl-C, now and then."""
    cdef double now = seconds()
    if now - w.checked < 0.02:
        return DONE
    w.checked = now
    with gil:
        try:
            PyErr_CheckSignals()
        except BaseException as error:
            Py_INCREF(error)
            w.exception = <PyObject*>error
            return INTERRUPTED
    return DONE


cdef int _threads(agglomeration* w, ptrdiff_t n) noexcept nogil:
    return 1 if n < SERIAL else w.n_threads


cdef ptrdiff_t _block_rows(agglomeration* w, ptrdiff_t n) noexcept nogil:
    cdef ptrdiff_t rows = max(<ptrdiff_t>BLOCK_ROWS, BLOCK_VALUES // n)
    return (rows + PANEL_MOST_ROWS - 1) // PANEL_MOST_ROWS * PANEL_MOST_ROWS


# A pass finds the nearest neighbors of all, on both sides, for reducible methods, and near pairs for the others.
cdef void _begin_lists(agglomeration* w, triangle* t) noexcept nogil:
    cdef int thread
    w.near.found = 0
    if LW_REDUCIBLE(w.method):
        for thread in range(w.n_threads):
            clear_lists(t, w.lists + thread)


cdef void _end_block(agglomeration* w, triangle* t) noexcept nogil:
    if LW_REDUCIBLE(w.method):
        share_bounds(t, w.lists, w.n_threads, w.start, w.stop)


cdef void _end_lists(agglomeration* w, triangle* t) noexcept nogil:
    if LW_REDUCIBLE(w.method):
        join_lists(t, w.lists, w.n_threads)


cdef char* _place(agglomeration* w, const triangle* t, ptrdiff_t row) noexcept nogil:
    return <char*>t.values + (triangle_offset(t.n, row) + row + 1) * w.item


cdef void _settle_row(agglomeration* w, triangle* t, ptrdiff_t row, const char* values, char* to,
                      int thread) noexcept nogil:
    cdef extent* seen = w.seen + thread if w.looks else NULL
    if w.one_by_one:
        settle_row(t, row, values, to, NULL, seen)
    elif LW_REDUCIBLE(w.method):
        settle_row(t, row, values, to, w.lists + thread, seen)
    else:
        collect_row(t, row, values, to, &w.near, w.scratch + thread * w.scratch_size, seen)


cdef void _survey_chunk(void* context, ptrdiff_t chunk, int thread) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    cdef ptrdiff_t row = w.stop - 1 - chunk
    _settle_row(w, &w.t, row, _place(w, &w.t, row), NULL, thread)


cdef void _load_chunk(void* context, ptrdiff_t chunk, int thread) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    cdef ptrdiff_t row = w.stop - 1 - chunk
    _settle_row(w, &w.t, row, _place(w, &w.source, row), _place(w, &w.t, row), thread)


cdef int _all_rows(agglomeration* w, team_work work) noexcept nogil:
    """All rows of the triangle, last to first, and the nearest neighbor of each position."""
    cdef ptrdiff_t rows = _block_rows(w, w.t.n)
    _begin_lists(w, &w.t)
    w.stop = w.t.n
    while w.stop > 0:
        w.start = max(<ptrdiff_t>0, w.stop - rows)
        team_for(&w.threads, _threads(w, w.t.n), w.stop - w.start, work, w)
        _end_block(w, &w.t)
        w.stop = w.start
        if _look_up(w):
            return INTERRUPTED
    _end_lists(w, &w.t)
    return DONE


cdef int _load(agglomeration* w) noexcept nogil:
    """The caller's matrix as a whole into the memory for triangles."""
    w.t.values = w.end - w.t.n * (w.t.n - 1) // 2 * w.item
    return _all_rows(w, _load_chunk)


cdef char* _stage_place(agglomeration* w, ptrdiff_t row) noexcept nogil:
    return w.stage + (row - w.start) * w.new.n * w.item


cdef void _condense_chunk(void* context, ptrdiff_t chunk, int thread) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    cdef ptrdiff_t rows = panel_rows(&w.t), stop = w.stop - chunk * rows, row = max(w.start, stop - rows)
    cdef char* scratch = w.scratch + thread * w.scratch_size
    if w.staged:
        condense_rows(&w.t, &w.plan, w.method, row, stop - row, scratch, _stage_place(w, row), w.new.n)
        return
    condense_rows(&w.t, &w.plan, w.method, row, stop - row, scratch, w.new.values, 0)
    while stop > row:
        stop -= 1
        _settle_row(w, &w.new, stop, _place(w, &w.new, stop), NULL, thread)


cdef void _settle_chunk(void* context, ptrdiff_t chunk, int thread) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    cdef ptrdiff_t row = w.stop - 1 - chunk
    _settle_row(w, &w.new, row, _stage_place(w, row), _place(w, &w.new, row), thread)


cdef bint _is_read(agglomeration* w) noexcept nogil:
    """Whether the block's place is read while it is made."""
    cdef ptrdiff_t last = w.plan.source[w.stop - 1]
    cdef char* read_end = <char*>w.t.values + (triangle_offset(w.t.n, last) + w.t.n) * w.item
    return (w.filled or w.in_place) and _place(w, &w.new, w.start) < read_end


cdef void _condense_block(agglomeration* w) noexcept nogil:
    cdef ptrdiff_t rows = panel_rows(&w.t)
    cdef int threads = _threads(w, w.new.n)
    w.start = max(<ptrdiff_t>0, w.stop - max(_block_rows(w, w.t.n), BLOCK_PANELS * w.n_threads * rows))
    w.staged = _is_read(w)
    if w.staged:
        w.start = max(<ptrdiff_t>0, w.stop - _block_rows(w, w.t.n))
        w.staged = _is_read(w)
    team_for(&w.threads, threads, (w.stop - w.start + rows - 1) // rows, _condense_chunk, w)
    if w.staged:
        team_for(&w.threads, threads, w.stop - w.start, _settle_chunk, w)


cdef int _condense(agglomeration* w) noexcept nogil:
    """Carry the plan out: from the last row to the first, each to its old place or behind it; the rows before it, which
    later steps still read, stay as they are."""
    cdef ptrdiff_t n = w.plan.n_new, row
    cdef void* sizes
    w.new = w.t
    w.new.n, w.new.scale = n, 0
    if n >= 2:
        w.new.values = w.end - n * (n - 1) // 2 * w.item
        _begin_lists(w, &w.new)
        w.stop = n
        while w.stop > 0:
            _condense_block(w)
            _end_block(w, &w.new)
            w.stop = w.start
            if _look_up(w):
                return INTERRUPTED
        _end_lists(w, &w.new)
    for row in range(n):
        w.leaf[row] = w.leaf[w.plan.source[row]]
    sizes = w.plan.sizes
    w.plan.sizes = w.new.sizes
    w.new.sizes = sizes
    w.t = w.new
    w.filled = True
    return DONE


cdef void _record(agglomeration* w, ptrdiff_t a, ptrdiff_t b, double height) noexcept nogil:
    w.first[w.merged] = w.leaf[a]
    w.second[w.merged] = w.leaf[b]
    w.heights[w.merged] = height
    w.merged += 1


cdef int _find_merges(agglomeration* w) noexcept nogil:
    """Find what the lists, or the near pairs, of the last pass let merge."""
    w.merging.merges = 0
    if w.one_by_one:
        return DONE
    if LW_REDUCIBLE(w.method):
        mutual_begin(&w.mutual, &w.merging, &w.t, w.lists)
        while mutual_go_on(&w.mutual, &w.merging, &w.t, w.method, LOOKED_AT):
            if _look_up(w):
                return INTERRUPTED
        return DONE
    closest_begin(&w.closest, &w.merging, &w.t, &w.near)
    while closest_go_on(&w.closest, &w.merging, &w.t, w.method, LOOKED_AT):
        if _look_up(w):
            return INTERRUPTED
    return DONE


cdef bint _many(agglomeration* w) noexcept nogil:
    return w.merging.merges * (FEW if LW_REDUCIBLE(w.method) else FEW_CLOSEST) >= w.t.n


cdef bint _choose_reach(agglomeration* w, ptrdiff_t n) noexcept nogil:
    """How near the pairs are that the next pass, of n clusters, is to find. Returns whether they are worth finding."""
    return choose_reach(&w.closest, &w.merging, &w.t, w.method, min(<double>NEAR_PAIRS * n, 0.75 * w.near.capacity),
                        &w.near)


cdef void _choose_pass(agglomeration* w, ptrdiff_t n) noexcept nogil:
    """What the next pass, of n clusters, is to find."""
    if LW_REDUCIBLE(w.method):
        return
    w.one_by_one = n <= IN_CACHE or w.waiting > 0 or not (_choose_reach(w, n) or w.many)
    if w.waiting > 0:
        w.waiting -= 1


cdef void _plan_merges(agglomeration* w) noexcept nogil:
    """Plan to carry out what has been found, and record it."""
    cdef ptrdiff_t i
    for i in range(w.merging.merges):
        _record(w, w.merging.first[i], w.merging.second[i], w.merging.heights[i])
    plan_merges(&w.merging, &w.t, w.method, &w.plan)
    _choose_pass(w, w.plan.n_new)


cdef void _plan_survivors(agglomeration* w) noexcept nogil:
    """Plan to leave out the positions without a cluster."""
    cdef ptrdiff_t i, new = 0
    cdef double size
    memset(w.plan.kept, 0, w.t.n // 8 + 1)
    for i in range(w.t.n):
        size = triangle_real(&w.t, w.t.sizes, i)
        if size > 0:
            w.plan.source[new] = <int32_t>i
            w.plan.kept[i // 8] |= 1 << i % 8
            triangle_set_real(&w.t, w.plan.sizes, new, size)
            new += 1
    w.plan.n_new, w.plan.n_pairs = new, 0
    merging_begin(&w.merging, &w.t)
    _choose_pass(w, new)


cdef void _scan_chunk(void* context, ptrdiff_t run, int thread) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    cdef ptrdiff_t start = w.start + run * RUN
    w.found[run] = scan_run(&w.t, w.b, start, min(start + RUN, w.t.n))


cdef void _merge_chunk(void* context, ptrdiff_t run, int thread) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    cdef ptrdiff_t start = w.start + run * RUN
    w.found[run] = merge_run(&w.t, w.method, w.a, w.b, start, min(start + RUN, w.t.n))


cdef nearest_found _over_runs(agglomeration* w, team_work work, ptrdiff_t a, ptrdiff_t b,
                              ptrdiff_t start) noexcept nogil:
    """All positions from `start` in runs; the nearest neighbor that they find for cluster b."""
    cdef ptrdiff_t runs = (w.t.n - start + RUN - 1) // RUN, run
    cdef nearest_found best
    w.a, w.b, w.start = a, b, start
    team_for(&w.threads, _threads(w, w.t.n - start), runs, work, w)
    best.distance, best.position = INFINITY, -1
    for run in range(runs):
        prefer_nearest(&best, w.found[run].distance, w.found[run].position)
    return best


cdef void _set_nearest(agglomeration* w, ptrdiff_t x, nearest_found found) noexcept nogil:
    w.t.nearest[x] = <int32_t>found.position if found.position >= 0 else NEAREST_NONE
    triangle_set_real(&w.t, w.t.distances, x, found.distance)


cdef void _absorb_chunk(void* context, ptrdiff_t run, int thread) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    cdef ptrdiff_t start = w.start + run * RUN
    w.found[run] = absorb_run(&w.t, w.method, w.a, w.b, start, min(start + RUN, w.t.n))


cdef void _merge(agglomeration* w, ptrdiff_t a, ptrdiff_t b) noexcept nogil:
    """Clusters a < b become one, at b with reducible methods and at a with the others."""
    cdef ptrdiff_t stays = b if LW_REDUCIBLE(w.method) else a, goes = a + b - stays
    _record(w, a, b, triangle_get(&w.t, a, b))
    _set_nearest(w, stays, _over_runs(w, _merge_chunk if LW_REDUCIBLE(w.method) else _absorb_chunk, a, b, 0))
    triangle_set_real(&w.t, w.t.sizes, stays, triangle_real(&w.t, w.t.sizes, a)
                      + triangle_real(&w.t, w.t.sizes, b))
    triangle_set_real(&w.t, w.t.sizes, goes, 0)
    triangle_set_real(&w.t, w.t.distances, goes, INFINITY)
    w.t.nearest[goes] = NEAREST_NONE


cdef int _chain_until(agglomeration* w, ptrdiff_t alive, ptrdiff_t target) noexcept nogil:
    """Merge by the nearest-neighbor chain until `target` clusters are left."""
    cdef ptrdiff_t length = 0, lowest = 0, x, y, previous
    while alive > target:
        if _look_up(w):
            return INTERRUPTED
        if length == 0:
            while not triangle_real(&w.t, w.t.sizes, lowest) > 0:
                lowest += 1
            w.chain[0] = <int32_t>lowest
            length = 1
        x = w.chain[length - 1]
        if w.t.nearest[x] == NEAREST_UNKNOWN:
            _set_nearest(w, x, _over_runs(w, _scan_chunk, -1, x, 0))
        y = w.t.nearest[x]
        if y < 0:
            return UNDEFINED
        if length > 1:
            previous = w.chain[length - 2]
            # Of equally near ones the previous, or the chain might run in circles.
            if not triangle_get(&w.t, x, previous) > triangle_real(&w.t, w.t.distances, x):
                y = previous
            if y == previous:
                _merge(w, min(x, y), max(x, y))
                alive -= 1
                length -= 2
                continue
        w.chain[length] = <int32_t>y
        length += 1
    return DONE


cdef int _closest_until(agglomeration* w, ptrdiff_t alive, ptrdiff_t target) noexcept nogil:
    """Merge the closest pair first until `target` clusters are left."""
    cdef ptrdiff_t x
    while alive > target:
        if _look_up(w):
            return INTERRUPTED
        x = closest_row(&w.t)
        if x < 0:
            return UNDEFINED
        if w.t.nearest[x] == NEAREST_UNKNOWN:
            _set_nearest(w, x, _over_runs(w, _scan_chunk, -1, x, x + 1))
            continue
        _merge(w, x, w.t.nearest[x])
        alive -= 1
    return DONE


cdef int _find_nearest(agglomeration* w) noexcept nogil:
    """The whole triangle into the memory for it, and what merging one by one needs of it."""
    cdef int status = DONE
    if not LW_REDUCIBLE(w.method) and not w.one_by_one:
        w.failures += 1
        w.waiting = (1 << w.failures) - 1
        w.one_by_one = True
        status = _all_rows(w, _survey_chunk) if w.filled else _load(w)
    elif not w.filled:
        status = _load(w)
    w.t.scale, w.filled = 0, True
    return status


cdef int _merge_one_by_one(agglomeration* w) noexcept nogil:
    """Merge so many that the triangle is worth condensing, and plan to."""
    cdef int status = _find_nearest(w)
    if status == DONE and LW_REDUCIBLE(w.method):
        status = _chain_until(w, w.t.n, w.t.n - max(<ptrdiff_t>1, w.t.n // 4))
    elif status == DONE:
        status = _closest_until(w, w.t.n, w.t.n - max(<ptrdiff_t>1, w.t.n * GONE_EIGHTHS // 8))
    if status == DONE:
        _plan_survivors(w)
    return status


cdef int _agglomerate(agglomeration* w) noexcept nogil:
    """Pass by pass; what the first one lets merge has been found."""
    cdef int status
    while w.t.n > 1:
        w.many = _many(w)
        if w.many:
            w.failures = 0
            _plan_merges(w)
        else:
            status = _merge_one_by_one(w)
            if status != DONE:
                return status
        if _condense(w) or _look_up(w):
            return INTERRUPTED
        if w.t.n > 1 and _find_merges(w):
            return INTERRUPTED
    return DONE


cdef void _first_pass(void* context) noexcept nogil:
    """The only one over the caller's matrix that looks at what its values are between."""
    cdef agglomeration* w = <agglomeration*>context
    cdef int thread
    for thread in range(w.n_threads):
        w.seen[thread].least, w.seen[thread].greatest, w.seen[thread].finite = INFINITY, -INFINITY, True
    w.looks = True
    w.filled = w.one_by_one and not w.in_place
    w.status = _load(w) if w.filled else _all_rows(w, _survey_chunk)
    w.looks = False


cdef void _first_merges(void* context) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    w.status = _find_merges(w)


cdef void _run(void* context) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    w.status = _agglomerate(w)


cdef int _finish(agglomeration* w) except -1:
    """Raise what a signal's handler has raised."""
    if w.status == INTERRUPTED:
        error = <object>w.exception
        Py_DECREF(error)
        raise error
    return 0


cdef int _look_first(agglomeration* w, scale_of) except -1:
    """The first pass; again, if the scale it took for granted is not the one for these values."""
    cdef double least, greatest
    cdef int thread
    cdef bint finite
    while True:
        with nogil:
            team_run(&w.threads, w.n_threads, _first_pass, w)
        _finish(w)
        least, greatest, finite = INFINITY, -INFINITY, True
        for thread in range(w.n_threads):
            least, greatest = min(least, w.seen[thread].least), max(greatest, w.seen[thread].greatest)
            finite = finite and w.seen[thread].finite
        scale = scale_of(least, greatest, finite)
        if scale == w.source.scale:
            return 0
        w.t.scale = w.source.scale = scale
        if not LW_REDUCIBLE(w.method) and not w.one_by_one:
            _choose_reach(w, w.t.n)


def agglomerate(source, room, ptrdiff_t n, *, bint is_double, int method, const double[::1] weights, scale_of,
                int32_t[:, ::1] pairs, double[::1] heights, int n_threads):
    """Merge n clusters down to one.

    source: the condensed matrix, as bytes                                              IN, INOUT without `room`
    room: called with a number of distances; returns memory for them, as bytes, where the shrinking triangle goes: of
        reducible methods the second pass's result, as a rule less than half of the matrix. None: the matrix itself is
        that memory
    weights: sizes of the initial clusters, or None for ones
    scale_of: called, before anything is merged, with the least and the greatest distance and whether all are finite;
        returns 0, or what distances are multiplied by before they are squared (ward, centroid, median). What it raises
        is raised
    pairs: 2 x (n - 1), an observation of each of the two clusters of every merge       OUT
    heights: n - 1, in the order of merging; of squared distances where the scale is not 0 OUT
    Returns whether all distances remained numbers.
    """
    cdef const char[::1] values = source
    cdef char[::1] matrix
    cdef agglomeration w
    cdef void* memory
    cdef ptrdiff_t needed = n
    w.t.n, w.t.is_double, w.t.values = n, is_double, <void*>&values[0]
    w.t.weights = &weights[0] if weights is not None and method == LW_WARD else NULL
    w.item = 8 if is_double else 4
    w.method, w.n_threads, w.merged, w.checked = <lw_method>method, n_threads, 0, seconds()
    w.first, w.second, w.heights = &pairs[0, 0], &pairs[1, 0], &heights[0]
    w.status, w.end, w.in_place, w.filled = DONE, NULL, room is None, False
    w.looks, w.one_by_one, w.many, w.failures, w.waiting = False, False, False, 0, 0
    w.t.scale = 1 if LW_SQUARED(w.method) else 0
    memory = _prepare(&w, n, weights)
    w.source = w.t
    try:
        merging_begin(&w.merging, &w.t)
        _choose_pass(&w, n)
        if room is None:
            w.end = <char*>&values[0] + values.shape[0]
        elif w.one_by_one:
            matrix = room(n * (n - 1) // 2)
            w.end = &matrix[0] + matrix.shape[0]
        _look_first(&w, scale_of)
        with nogil:
            team_run(&w.threads, n_threads, _first_merges, &w)
        _finish(&w)
        if _many(&w):
            needed = n - w.merging.merges
        if w.filled:
            w.t.scale = 0
        elif room is not None and needed > 1:
            matrix = room(needed * (needed - 1) // 2)
            w.end = &matrix[0] + matrix.shape[0]
        with nogil:
            team_run(&w.threads, n_threads, _run, &w)
        _finish(&w)
    finally:
        guard_end(memory, w.memory_size)
        scratch_free(memory)
    return w.status == DONE


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
