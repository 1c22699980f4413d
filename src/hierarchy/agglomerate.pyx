"""Agglomerative clustering of a condensed matrix, in place: the six methods that need more than a spanning tree.

Reducible methods (complete, average, weighted, ward): rounds of reciprocal nearest neighbors. All pairs that are each
other's nearest merge at once, in one streaming pass that writes the smaller triangle of those that remain and finds
the nearest neighbor of each on the way: O(n^2) a round, and mostly a constant share of the clusters merges in each. A
round that would merge few of them (ties, hubs) gives way to the nearest-neighbor chain, until the triangle is worth
condensing again; so the whole takes O(n^2) time, whatever the data.

Other methods (centroid, median): the generic algorithm. The pair at the least distance merges; every cluster keeps its
nearest neighbor to the right, or a lower bound for it. Here too the triangle is condensed as clusters vanish. O(n^2)
time for most data, O(n^3) at worst.

The first round of a reducible method reads the caller's matrix and writes the smaller triangle alone; only the chain
and the generic algorithm need a copy of it all.

Memory: that triangle, or the caller's own; blocks of a few rows; O(n threads). Ties go to the least distance, then the
lowest position, where a merged cluster takes the later position of its two, with centroid and median the earlier;
nothing depends on the number of threads.

Sources: J. Juan, "Programme de classification hierarchique par l'algorithme de la recherche en chaine des voisins
reciproques", 1982, and F. Murtagh, "A survey of recent advances in hierarchical clustering algorithms", Computer Journal
26(4), 1983 (chains, and merging all reciprocal neighbors); D. Muellner, "Modern hierarchical, agglomerative clustering
algorithms", arXiv 1109.2378 (generic algorithm).
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t
from libc.string cimport memcpy

from common.scratch cimport padded, scratch_allocate, scratch_free


cdef extern from "hierarchy/clock.h" nogil:
    double seconds() noexcept


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
    ptrdiff_t pairs_behind(const condense_plan* plan, ptrdiff_t b) noexcept
    void load_row(const triangle* t, const triangle* source, ptrdiff_t row, void* scratch) noexcept
    void row_nearest(const triangle* t, ptrdiff_t row, void* scratch, void* column_least, void* column_rows) noexcept
    void clear_columns(const triangle* t, void* column_least, void* column_rows) noexcept
    void columns_nearest(const triangle* t, ptrdiff_t parts, const void* column_least,
                         const void* column_rows) noexcept
    void gather_earlier(const triangle* t, const condense_plan* plan, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t begin,
                        ptrdiff_t end, void* to) noexcept
    void condense_row(const triangle* t, const condense_plan* plan, lw_method method, ptrdiff_t row, const void* above,
                      void* scratch, void* out) noexcept
    size_t condense_scratch_bytes(ptrdiff_t n) noexcept
    nearest_found scan_run(const triangle* t, ptrdiff_t x, ptrdiff_t start, ptrdiff_t stop) noexcept
    nearest_found merge_run(const triangle* t, lw_method method, ptrdiff_t a, ptrdiff_t b, ptrdiff_t start,
                            ptrdiff_t stop) noexcept
    nearest_found absorb_run(const triangle* t, lw_method method, ptrdiff_t a, ptrdiff_t b, ptrdiff_t start,
                             ptrdiff_t stop) noexcept
    ptrdiff_t closest_row(const triangle* t) noexcept
    void extremes(int is_double, const void* values, ptrdiff_t start, ptrdiff_t stop, double* least,
                  double* greatest) noexcept


# Tuning, by benchmarks/bench_hierarchy.py.
cdef enum:
    BLOCK_ROWS = 32  # rows condensed between two barriers; a few cache lines of an earlier row
    BLOCK_VALUES = 32768  # and so many more, where rows are short, that a barrier does not show
    SERIAL = 512  # triangles of fewer positions are worked on by one thread
    GATHERED = 64  # pairs a thread gathers at a time
    RUN = 1024  # positions a thread updates at a time
    FEW = 32  # a round merges at least one FEW-th of the clusters, or the chain takes over
    EXTREMES_CHUNK = 65536
    GONE_EIGHTHS = 3  # of a triangle's clusters, until the generic algorithm condenses it

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
    lw_method method
    int n_threads
    size_t item  # bytes of a distance
    char* end  # of the memory for triangles that are written
    bint in_place  # the caller's matrix lies there
    bint filled  # the triangle does
    # One block of rows: [start, stop), and what earlier rows hold for pairs from `behind` on.
    ptrdiff_t start
    ptrdiff_t stop
    ptrdiff_t behind
    bint staged  # the block may not be written yet: rows of it are still read
    char* stage
    char* above
    # One update of a row: clusters a and b, from position `start`.
    ptrdiff_t a
    ptrdiff_t b
    nearest_found* found
    # For each thread.
    char* scratch
    size_t scratch_size
    char* column_least
    char* column_rows
    size_t column_size
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


cdef void* _prepare(agglomeration* w, ptrdiff_t n, const double[::1] weights) except NULL:
    """Lay the working memory out, in one block that is returned."""
    cdef ptrdiff_t i
    cdef size_t reals = padded(n * w.item), ints = padded(n * sizeof(int32_t))
    cdef size_t stage = padded(max(BLOCK_ROWS * n, BLOCK_VALUES + n) * w.item)
    # A value for every row of a block and pair; of n clusters n / 2 pairs at most, but as many as clusters are left.
    cdef size_t above = padded(max(BLOCK_ROWS * (n // 2 + 1), BLOCK_VALUES + n) * w.item)
    cdef size_t columns = padded(n * w.item * w.n_threads)
    cdef size_t found = padded((n // RUN + 1) * sizeof(nearest_found))
    w.scratch_size = padded(condense_scratch_bytes(n))
    cdef char* block = <char*>scratch_allocate(stage + above + 2 * columns + w.scratch_size * w.n_threads + found
                                               + 4 * reals + 8 * ints)
    cdef char* memory = block
    w.stage, w.above = block, block + stage
    block += stage + above
    w.column_least = block
    w.column_rows = block + columns
    block += 2 * columns
    w.scratch = block
    block += w.scratch_size * w.n_threads
    w.found = <nearest_found*>block
    block += found
    w.t.sizes, w.t.distances, w.plan.heights, w.plan.sizes = block, block + reals, block + 2 * reals, block + 3 * reals
    cdef int32_t* ids = <int32_t*>(block + 4 * reals)
    cdef ptrdiff_t step = ints // sizeof(int32_t)
    w.t.nearest, w.chain, w.leaf = ids, ids + step, ids + 2 * step
    w.plan.source, w.plan.partner = ids + 3 * step, ids + 4 * step
    w.plan.first, w.plan.second, w.plan.position = ids + 5 * step, ids + 6 * step, ids + 7 * step
    for i in range(n):
        w.leaf[i] = <int32_t>i
        triangle_set_real(&w.t, w.t.sizes, i, 1.0 if weights is None else weights[i])
    return memory


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
    return max(<ptrdiff_t>BLOCK_ROWS, BLOCK_VALUES // n)

# Both sides of every pair count for reducible methods; the others keep nearest neighbors to the right only.
cdef char* _columns_of(agglomeration* w, char* columns, int thread) noexcept nogil:
    return columns + thread * w.column_size if LW_REDUCIBLE(w.method) else NULL


cdef void _begin_columns(agglomeration* w, triangle* t) noexcept nogil:
    cdef int thread
    w.column_size = t.n * w.item
    if LW_REDUCIBLE(w.method):
        for thread in range(w.n_threads):
            clear_columns(t, w.column_least + thread * w.column_size,
                          w.column_rows + thread * w.column_size)


cdef void _end_columns(agglomeration* w, triangle* t) noexcept nogil:
    if LW_REDUCIBLE(w.method):
        columns_nearest(t, w.n_threads, w.column_least, w.column_rows)


cdef void _settle_row(agglomeration* w, triangle* t, ptrdiff_t row, int thread) noexcept nogil:
    row_nearest(t, row, w.scratch + thread * w.scratch_size, _columns_of(w, w.column_least, thread),
                _columns_of(w, w.column_rows, thread))


cdef void _survey_chunk(void* context, ptrdiff_t chunk, int thread) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    _settle_row(w, &w.t, w.stop - 1 - chunk, thread)


cdef void _load_chunk(void* context, ptrdiff_t chunk, int thread) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    load_row(&w.t, &w.source, w.stop - 1 - chunk, w.scratch + thread * w.scratch_size)
    _settle_row(w, &w.t, w.stop - 1 - chunk, thread)


cdef int _all_rows(agglomeration* w, team_work work) noexcept nogil:
    """All rows of the triangle, last to first, and the nearest neighbor of each position."""
    cdef ptrdiff_t rows = _block_rows(w, w.t.n)
    _begin_columns(w, &w.t)
    w.stop = w.t.n
    while w.stop > 0:
        w.start = max(<ptrdiff_t>0, w.stop - rows)
        team_for(&w.threads, _threads(w, w.t.n), w.stop - w.start, work, w)
        w.stop = w.start
        if _look_up(w):
            return INTERRUPTED
    _end_columns(w, &w.t)
    return DONE


cdef int _load(agglomeration* w) noexcept nogil:
    """The caller's matrix as a whole into the memory for triangles."""
    w.t.values = w.end - w.t.n * (w.t.n - 1) // 2 * w.item
    w.t.scale, w.filled = 0, True
    return _all_rows(w, _load_chunk)


cdef void _gather_chunk(void* context, ptrdiff_t chunk, int thread) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    cdef ptrdiff_t begin = w.behind + chunk * GATHERED
    gather_earlier(&w.t, &w.plan, w.start, w.stop, begin, min(begin + GATHERED, w.plan.n_pairs), w.above)


cdef char* _new_place(agglomeration* w, ptrdiff_t row) noexcept nogil:
    return <char*>w.new.values + (triangle_offset(w.new.n, row) + row + 1) * w.item


cdef char* _stage_place(agglomeration* w, ptrdiff_t row) noexcept nogil:
    return w.stage + (row - w.start) * w.new.n * w.item


cdef void _condense_chunk(void* context, ptrdiff_t chunk, int thread) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    cdef ptrdiff_t row = w.stop - 1 - chunk
    condense_row(&w.t, &w.plan, w.method, row, w.above + (row - w.start) * w.plan.n_pairs * w.item,
                 w.scratch + thread * w.scratch_size, _stage_place(w, row) if w.staged else _new_place(w, row))
    if not w.staged:
        _settle_row(w, &w.new, row, thread)


cdef void _settle_chunk(void* context, ptrdiff_t chunk, int thread) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    cdef ptrdiff_t row = w.stop - 1 - chunk
    memcpy(_new_place(w, row), _stage_place(w, row), (w.new.n - 1 - row) * w.item)
    _settle_row(w, &w.new, row, thread)


cdef void _condense_block(agglomeration* w) noexcept nogil:
    cdef ptrdiff_t last = w.plan.source[w.stop - 1]
    cdef int threads = _threads(w, w.new.n)
    cdef char* read_end = <char*>w.t.values + (triangle_offset(w.t.n, last) + w.t.n) * w.item
    w.behind = pairs_behind(&w.plan, w.plan.source[w.start])
    w.staged = (w.filled or w.in_place) and _new_place(w, w.start) < read_end
    team_for(&w.threads, threads, (w.plan.n_pairs - w.behind + GATHERED - 1) // GATHERED, _gather_chunk, w)
    team_for(&w.threads, threads, w.stop - w.start, _condense_chunk, w)
    if w.staged:
        team_for(&w.threads, threads, w.stop - w.start, _settle_chunk, w)


cdef int _condense(agglomeration* w) noexcept nogil:
    """Carry the plan out: from the last row to the first, each to its old place or behind it; the rows before it, which
    later steps still read, stay as they are."""
    cdef ptrdiff_t n = w.plan.n_new, rows, row
    cdef void* sizes
    w.new = w.t
    w.new.n, w.new.scale = n, 0
    if n >= 2:
        w.new.values = w.end - n * (n - 1) // 2 * w.item
        rows = _block_rows(w, n)
        _begin_columns(w, &w.new)
        w.stop = n
        while w.stop > 0:
            w.start = max(<ptrdiff_t>0, w.stop - rows)
            _condense_block(w)
            w.stop = w.start
            if _look_up(w):
                return INTERRUPTED
        _end_columns(w, &w.new)
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


cdef ptrdiff_t _plan_reciprocal(agglomeration* w) noexcept nogil:
    """Plan to merge all pairs that are each other's nearest; how many there are."""
    cdef ptrdiff_t i, j, new = 0, pairs = 0
    cdef int32_t* nearest = w.t.nearest
    cdef double size
    for i in range(w.t.n):
        j = nearest[i]
        if j >= 0 and nearest[j] == i:
            if j > i:
                continue
            w.plan.first[pairs] = <int32_t>j
            w.plan.second[pairs] = <int32_t>i
            w.plan.position[pairs] = <int32_t>new
            triangle_set_real(&w.t, w.plan.heights, pairs, triangle_real(&w.t, w.t.distances, i))
            pairs += 1
            size = triangle_real(&w.t, w.t.sizes, i) + triangle_real(&w.t, w.t.sizes, j)
        else:
            j = -1
            size = triangle_real(&w.t, w.t.sizes, i)
        w.plan.source[new] = <int32_t>i
        w.plan.partner[new] = <int32_t>j
        triangle_set_real(&w.t, w.plan.sizes, new, size)
        new += 1
    w.plan.n_new, w.plan.n_pairs = new, pairs
    return pairs


cdef void _plan_survivors(agglomeration* w) noexcept nogil:
    """Plan to leave out the positions without a cluster."""
    cdef ptrdiff_t i, new = 0
    cdef double size
    for i in range(w.t.n):
        size = triangle_real(&w.t, w.t.sizes, i)
        if size > 0:
            w.plan.source[new] = <int32_t>i
            w.plan.partner[new] = -1
            triangle_set_real(&w.t, w.plan.sizes, new, size)
            new += 1
    w.plan.n_new, w.plan.n_pairs = new, 0


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


cdef bint _many(agglomeration* w, ptrdiff_t pairs) noexcept nogil:
    return pairs * FEW >= w.t.n


cdef int _reducible(agglomeration* w) noexcept nogil:
    """Rounds, or the chain."""
    cdef ptrdiff_t pairs, i
    cdef int status
    while w.t.n > 1:
        if _look_up(w):
            return INTERRUPTED
        pairs = _plan_reciprocal(w)
        if _many(w, pairs):
            for i in range(pairs):
                _record(w, w.plan.first[i], w.plan.second[i], triangle_real(&w.t, w.plan.heights, i))
        else:
            status = DONE if w.filled else _load(w)
            if status == DONE:
                status = _chain_until(w, w.t.n, w.t.n - max(<ptrdiff_t>1, w.t.n // 4))
            if status != DONE:
                return status
            _plan_survivors(w)
        if _condense(w):
            return INTERRUPTED
    return DONE


cdef int _generic(agglomeration* w) noexcept nogil:
    """The closest pair first."""
    cdef ptrdiff_t alive = w.t.n, x
    while alive > 1:
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
        if alive <= w.t.n - w.t.n * GONE_EIGHTHS // 8:
            _plan_survivors(w)
            if _condense(w):
                return INTERRUPTED
    return DONE


cdef void _survey(void* context) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    w.status = _all_rows(w, _survey_chunk)


cdef void _run(void* context) noexcept nogil:
    cdef agglomeration* w = <agglomeration*>context
    if LW_REDUCIBLE(w.method):
        w.status = _reducible(w)
    else:
        w.status = _load(w)
        if w.status == DONE:
            w.status = _generic(w)


cdef int _finish(agglomeration* w) except -1:
    """Raise what a signal's handler has raised."""
    if w.status == INTERRUPTED:
        error = <object>w.exception
        Py_DECREF(error)
        raise error
    return 0


def agglomerate(source, room, ptrdiff_t n, *, bint is_double, int method, const double[::1] weights, double scale,
                int32_t[:, ::1] pairs, double[::1] heights, int n_threads):
    """Merge n clusters down to one.

    source: the condensed matrix, as bytes                                              IN, INOUT without `room`
    room: called with a number of distances; returns memory for them, as bytes, where the shrinking triangle goes: of
        reducible methods the first round's result, as a rule half of the matrix. None: the matrix itself is that memory
    weights: sizes of the initial clusters, or None for ones
    scale: 0, or what distances are multiplied by before they are squared (ward, centroid, median)
    pairs: 2 x (n - 1), an observation of each of the two clusters of every merge       OUT
    heights: n - 1, in the order of merging; of squared distances where `scale` is not 0 OUT
    Returns whether all distances remained numbers.
    """
    cdef const char[::1] values = source
    cdef char[::1] matrix
    cdef agglomeration w
    cdef void* memory
    cdef ptrdiff_t needed = n
    w.t.n, w.t.is_double, w.t.values, w.t.scale = n, is_double, <void*>&values[0], scale
    w.t.weights = &weights[0] if weights is not None and method == LW_WARD else NULL
    w.item = 8 if is_double else 4
    w.method, w.n_threads, w.merged, w.checked = <lw_method>method, n_threads, 0, seconds()
    w.first, w.second, w.heights = &pairs[0, 0], &pairs[1, 0], &heights[0]
    w.status, w.end, w.in_place, w.filled = DONE, NULL, room is None, False
    memory = _prepare(&w, n, weights)
    w.source = w.t
    try:
        if LW_REDUCIBLE(w.method):
            with nogil:
                team_run(&w.threads, n_threads, _survey, &w)
            _finish(&w)
            if _many(&w, _plan_reciprocal(&w)):
                needed = w.plan.n_new
        if room is None:
            w.end = <char*>&values[0] + values.shape[0]
        elif needed > 1:
            matrix = room(needed * (needed - 1) // 2)
            w.end = &matrix[0] + matrix.shape[0]
        with nogil:
            team_run(&w.threads, n_threads, _run, &w)
        _finish(&w)
    finally:
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
