"""Centers in groups: `GroupSearch` keeps bounds of distances and searches what may have changed (groups.h)."""

cdef extern from "kmeans/groups.h" nogil:
    enum:
        GROUP_MOST
    ctypedef struct group_table:
        pass
    ctypedef struct group_bounds:
        int32_t* labels
        float* upper
        float* lower
    ctypedef struct group_moves:
        float* of_center
        float* of_group
    ctypedef struct group_worker:
        double wanted_pairs
    size_t group_table_bytes(ptrdiff_t k, ptrdiff_t p, ptrdiff_t n_groups) noexcept
    void group_table_place(group_table* table, const centers_table* exact, ptrdiff_t n_groups, const int32_t* members,
                           const int32_t* group_of, void* memory) noexcept
    void group_table_fill(group_table* table) noexcept
    size_t group_worker_bytes(ptrdiff_t p, ptrdiff_t n_groups) noexcept
    void group_worker_place(group_worker* worker, ptrdiff_t p, ptrdiff_t n_groups, char* memory) noexcept
    void group_split(const double* centers, ptrdiff_t p, int32_t* order, ptrdiff_t begin, ptrdiff_t end,
                     ptrdiff_t n_groups, ptrdiff_t first, int32_t* members) noexcept
    void group_begin_chunk(const group_table* table, const matrix* points, group_bounds* bounds, ptrdiff_t start,
                           ptrdiff_t stop, group_worker* worker) noexcept
    void group_gaps_chunk(const group_table* table, const matrix* centers, float* gaps, ptrdiff_t start, ptrdiff_t stop,
                          group_worker* worker) noexcept
    ptrdiff_t group_bounds_chunk(const group_table* table, const matrix* points, const group_moves* moves,
                                 const float* gaps, const float* none, group_bounds* bounds, ptrdiff_t start,
                                 ptrdiff_t stop, group_worker* worker, uint32_t* open) noexcept
    void group_open_chunk(const group_table* table, const matrix* points, group_bounds* bounds, const uint32_t* open,
                          ptrdiff_t start, ptrdiff_t stop, group_worker* worker) noexcept
    double GROUP_SLACK


cdef extern from "common/clock.h" nogil:
    double seconds() noexcept


cdef enum:
    GROUP_ROWS = 1024       # rows one thread takes at a time
    GROUP_GAPS = 64         # centers one thread takes at a time
    GROUP_SAMPLE = 64       # of GROUP_ROWS, that bounds are tried on
    GROUP_SOME = 8          # groups
    GROUP_MOST_PAUSE = 15   # iterations between trials, which become more by and by


# How far bounds are kept.
cdef enum:
    BOUNDS_NONE
    BOUNDS_TRIED    # for a sample of rows
    BOUNDS_KEPT     # for all


# What an update is made of.
cdef enum:
    STAGE_BEGIN     # labels and bounds from nothing
    STAGE_GAPS      # from each center to the groups of the others
    STAGE_BOUNDS    # give way; rows whose label may have changed are open
    STAGE_OPEN      # search for these


# Shares of all pairs of rows and groups that are wanted: above the first, starting anew with all rows in their order is
# quicker than going to the open ones; above the second, keeping bounds does not pay, for some iterations at least.
cdef double GROUP_BEGIN = 0.5
cdef double GROUP_PAUSE = 0.9
# Bounds are kept if a trial leaves at most such a share of the rows open: an open row takes about twice the time of one
# in PlainSearch, and of few centers other rows hardly take less. The first trial may leave more, where there are some
# groups, as that becomes less at once if there are clusters, and is nearly all if there are none. Or if it leaves so few
# of the pairs: open rows take less time then.
cdef double GROUP_HOPE = 0.5
cdef double GROUP_HOPE_OF_ONE = 0.2
cdef double GROUP_HOPE_AT_FIRST = 0.7
cdef double GROUP_FEW_PAIRS = 0.1

# What bounds may lose, in iterations of PlainSearch; how much of it counts in one where only such a share of the pairs is
# wanted, so that something else may have held it up; and what of their savings counts against it.
cdef double GROUP_LOSS = 0.41
cdef double GROUP_LOSS_AT_ONCE = 0.4
cdef double GROUP_FEW = 0.2
cdef double GROUP_SAVED = 2


@cython.final
cdef class GroupSearch(PlainSearch):
    """The same with bounds: rows whose nearest center cannot have changed are not compared with any.

    Sums are added up in the rows' order, as PlainSearch does, so that the centers are the same to the last bit. Bounds
    are tried on a sample of rows for two iterations, for which PlainSearch is used; while they settle little, as on data
    without clusters, or take longer, it goes on for some more, until they are tried again. Takes 12 + k / 4 bytes a row,
    about.
    """

    cdef:
        group_table groups
        group_bounds bounds
        group_moves moves
        ptrdiff_t n_groups
        double[:, ::1] previous
        int32_t[::1] labels, members, group_of, rank
        uint32_t[::1] order, open
        ptrdiff_t[:, ::1] places
        ptrdiff_t[::1] n_open, begins, n_sorted  # of the rows of each thread, where they begin in `order`, how many are open
        float[::1] upper, lower, center_moves, group_moves, gaps, none
        matrix center_view
        int kept
        double[::1] wanted_pairs
        void* group_memory
        char* group_workers
        size_t group_worker_size
        int pause, next_pause
        double plain_seconds  # of the quickest iteration of PlainSearch so far
        double lost_seconds   # by keeping bounds, beside it
        double wanted_share   # of the pairs, when bounds were last kept

    def __cinit__(self, points, const double[::1] weights, ptrdiff_t k, int n_threads):
        self.group_memory = NULL

    def __dealloc__(self):
        scratch_free(self.group_memory)

    def __init__(self, points, const double[::1] weights, ptrdiff_t k, int n_threads):
        cdef ptrdiff_t n = self.points.n_rows, chunks = chunk_count(n, GROUP_ROWS), t = 1, chunk, thread, begin = 0
        while t * GROUP_MOST < k:
            t *= 2
        self.n_groups = t
        self.labels, self.order = np.empty(n, dtype=np.int32), np.empty(n + 1, dtype=np.uint32)
        self.upper, self.lower = np.empty(n, dtype=np.float32), np.empty(n * t, dtype=np.float32)
        self.members, self.group_of = np.empty(t * GROUP_MOST, dtype=np.int32), np.empty(k, dtype=np.int32)
        self.rank, self.places = np.empty(k, dtype=np.int32), np.empty((self.n_threads, k + 1), dtype=np.intp)
        self.center_moves, self.group_moves = np.empty(k, dtype=np.float32), np.empty(t, dtype=np.float32)
        self.previous = np.empty((k, self.p))
        self.wanted_pairs = np.zeros(max(1, n_threads))
        self.bounds.labels, self.bounds.upper, self.bounds.lower = &self.labels[0], &self.upper[0], &self.lower[0]
        self.moves.of_center, self.moves.of_group = &self.center_moves[0], &self.group_moves[0]
        self.open, self.n_open = np.empty(n, dtype=np.uint32), np.zeros(chunks + 1, dtype=np.intp)  # none in the last
        self.begins, self.n_sorted = np.empty(self.n_threads, dtype=np.intp), np.empty(self.n_threads, dtype=np.intp)
        for thread in range(self.n_threads):
            self.begins[thread] = begin  # n, of those that get no chunk
            for chunk in range(thread, chunks, self.n_threads):
                begin += min(n - chunk * GROUP_ROWS, <ptrdiff_t>GROUP_ROWS)
        self.gaps, self.none = np.empty(k * t, dtype=np.float32), np.zeros(t, dtype=np.float32)
        self.center_view.n_rows, self.center_view.n_columns, self.center_view.dtype = k, self.p, MATRIX_FLOAT64
        self.center_view.row_stride, self.center_view.column_stride = self.p * sizeof(double), sizeof(double)
        self.kept = BOUNDS_NONE
        self.pause, self.next_pause = 0, 0
        self.plain_seconds, self.lost_seconds = INFINITY, 0
        cdef size_t table_size = padded(group_table_bytes(k, self.p, t))
        self.group_worker_size = padded(group_worker_bytes(self.p, t))
        self.group_memory = scratch_allocate(table_size + self.group_worker_size * self.n_threads)
        self.group_workers = <char*>self.group_memory + table_size
        group_table_place(&self.groups, &self.table, t, &self.members[0], &self.group_of[0], self.group_memory)

    cdef int _group(self, const double[:, ::1] centers) except -1:
        """Put the centers into groups."""
        cdef int32_t[::1] order = np.arange(self.k, dtype=np.int32)
        cdef ptrdiff_t place, rank = 0
        group_split(&centers[0, 0], self.p, &order[0], 0, self.k, self.n_groups, 0, &self.members[0])
        for place in range(self.n_groups * GROUP_MOST):
            if self.members[place] >= 0:
                self.group_of[self.members[place]] = <int32_t>(place // GROUP_MOST)
                self.rank[self.members[place]] = <int32_t>rank
                rank += 1
        return 0

    cdef void _measure_moves(self, const double[:, ::1] centers) noexcept:
        """How far each center has moved since the last update, and the most in each group; rounded up."""
        cdef ptrdiff_t j, i
        cdef double squared
        self.group_moves[:] = 0
        for j in range(self.k):
            squared = 0
            for i in range(self.p):
                squared += (centers[j, i] - self.previous[j, i]) ** 2
            self.center_moves[j] = <float>(sqrt(squared) * (1 + GROUP_SLACK))
            if not self.group_moves[self.group_of[j]] >= self.center_moves[j]:
                self.group_moves[self.group_of[j]] = self.center_moves[j]

    cdef int _sort(self) except -1:
        """Put the open rows of each thread into its part of self.order by label, groups side by side."""
        cdef int thread
        with nogil:
            for thread in prange(self.n_threads, num_threads=self.n_threads, schedule="static", chunksize=1):
                self.n_sorted[thread] = self._sort_own(thread)
        return 0

    cdef ptrdiff_t _sort_own(self, int thread) noexcept nogil:
        """Those of one thread; returns how many there are."""
        cdef ptrdiff_t turn, turns = chunk_count(self.points.n_rows, GROUP_ROWS * self.n_threads)
        cdef ptrdiff_t chunks = chunk_count(self.points.n_rows, GROUP_ROWS), chunk, place, j, count
        cdef ptrdiff_t* places = &self.places[thread, 0]
        cdef uint32_t* order = &self.order[self.begins[thread]]
        memset(places, 0, (self.k + 1) * sizeof(ptrdiff_t))
        for turn in range(turns):
            chunk = min(turn * self.n_threads + thread, chunks)
            for place in range(chunk * GROUP_ROWS, chunk * GROUP_ROWS + self.n_open[chunk]):
                places[self.rank[self.labels[self.open[place]]] + 1] += 1
        for j in range(self.k):
            places[j + 1] += places[j]
        count = places[self.k]
        for turn in range(turns):
            chunk = min(turn * self.n_threads + thread, chunks)
            for place in range(chunk * GROUP_ROWS, chunk * GROUP_ROWS + self.n_open[chunk]):
                j = self.rank[self.labels[self.open[place]]]
                order[places[j]] = self.open[place]
                places[j] += 1
        return count

    cdef double _wanted(self, double rows) noexcept:
        """The share of all pairs of so many rows and the groups that bounds have not settled."""
        cdef double pairs = 0
        cdef int thread
        for thread in range(self.n_threads):
            pairs += self.wanted_pairs[thread]
        return pairs / (rows * self.n_groups)

    cdef ptrdiff_t _count_open(self) noexcept:
        cdef ptrdiff_t chunk, count = 0
        for chunk in range(self.n_open.shape[0]):
            count += self.n_open[chunk]
        return count

    cdef int _give_way(self, const double[:, ::1] centers, ptrdiff_t rows) except -1:
        """Bounds of so many rows of each GROUP_ROWS give way to the centers' moves."""
        self._measure_moves(centers)
        self.center_view.data = <const char*>&centers[0, 0]
        self._run(STAGE_GAPS, self.k, GROUP_GAPS)
        self._run(STAGE_BOUNDS, self.points.n_rows, rows)
        return 0

    cdef int _fail(self) except -1:
        self.pause, self.next_pause = self.next_pause, min(2 * self.next_pause + 1, GROUP_MOST_PAUSE)
        return 0

    cdef void _judge(self, double taken) noexcept:
        """Give bounds up when they have lost some time: what they save depends on the machine as well."""
        cdef double lost = taken - self.plain_seconds
        if self.wanted_share < GROUP_FEW:
            lost = min(lost, GROUP_LOSS_AT_ONCE * self.plain_seconds)
        self.lost_seconds = max(self.lost_seconds + lost, -GROUP_SAVED * self.plain_seconds)
        if self.lost_seconds > GROUP_LOSS * self.plain_seconds and self.kept == BOUNDS_KEPT:
            self.kept = BOUNDS_NONE
            self.pause = self.next_pause = GROUP_MOST_PAUSE

    cdef int _start(self, const double[:, ::1] centers, ptrdiff_t rows, int kept) except -1:
        """Bounds from nothing, for so many rows of each GROUP_ROWS."""
        self._group(centers)
        group_table_fill(&self.groups)
        self._run(STAGE_BEGIN, self.points.n_rows, rows)
        self.kept, self.lost_seconds = kept, 0
        return 0

    cdef int _try(self, const double[:, ::1] centers) except -1:
        """Whether bounds pay, on a sample; if they do, they are right for all rows afterwards."""
        cdef int kept = self.kept
        cdef ptrdiff_t n = self.points.n_rows
        cdef double rows = n // GROUP_ROWS * GROUP_SAMPLE + min(n % GROUP_ROWS, GROUP_SAMPLE), hope = GROUP_HOPE
        self.kept = BOUNDS_NONE
        if kept == BOUNDS_NONE:
            return self._start(centers, GROUP_SAMPLE, BOUNDS_TRIED)
        group_table_fill(&self.groups)
        self._give_way(centers, GROUP_SAMPLE)
        if self.n_groups == 1:
            hope = GROUP_HOPE_OF_ONE
        elif self.next_pause == 0 and self.n_groups >= GROUP_SOME:
            hope = GROUP_HOPE_AT_FIRST
        if self._count_open() > hope * rows and self._wanted(rows) > GROUP_FEW_PAIRS:
            return self._fail()
        return self._start(centers, GROUP_ROWS, BOUNDS_KEPT)

    cdef int _keep(self, const double[:, ::1] centers) except -1:
        """Labels of all rows under these centers from those under the last, by bounds, and the bounds too."""
        cdef ptrdiff_t n = self.points.n_rows, thread, most = 0
        cdef double wanted
        self.kept = BOUNDS_NONE  # until all of this is done: an interrupt leaves some bounds behind
        group_table_fill(&self.groups)
        self._give_way(centers, GROUP_ROWS)
        self._sort()
        wanted = self.wanted_share = self._wanted(n)
        if wanted > GROUP_BEGIN:
            self._run(STAGE_BEGIN, n, GROUP_ROWS)
        else:
            for thread in range(self.n_threads):
                most = max(most, self.n_sorted[thread])
            self._run(STAGE_OPEN, self.n_threads * chunk_count(most, GROUP_ROWS) * GROUP_ROWS, GROUP_ROWS)
        if wanted > GROUP_PAUSE:
            return self._fail()
        self.kept = BOUNDS_KEPT
        return 0

    cdef bint _update(self, const double[:, ::1] centers) except -1:
        """Return whether the labels of all rows under these centers are in self.labels."""
        cdef bint found = self.kept == BOUNDS_KEPT
        if self.pause > 0:
            self.pause -= 1
            return False
        centers_table_fill(&self.table, &centers[0, 0])
        self.wanted_pairs[:] = 0
        if found:
            self._keep(centers)
        else:
            self._try(centers)
        self.previous[:, :] = centers
        return found or self.kept == BOUNDS_KEPT

    cdef int _run(self, int stage, ptrdiff_t count, ptrdiff_t most) except -1:
        """One stage of an update, chunk by chunk of `count` rows, and at most so many of each chunk.

        They are handed out in turn: what is kept of a row is always read and written by the same thread, as it would
        have to be brought from one core to another again and again.
        """
        cdef ptrdiff_t rows = GROUP_GAPS if stage == STAGE_GAPS else GROUP_ROWS
        cdef ptrdiff_t chunks = chunk_count(count, rows), first, last, chunk, a_slice
        a_slice = slice_chunks(<double>self.k * self.p, rows, 0, self.n_threads) // self.n_threads * self.n_threads
        for first in range(0, chunks, a_slice):
            last = min(first + a_slice, chunks)
            with nogil:
                for chunk in prange(first, last, num_threads=self.n_threads, schedule="static", chunksize=1):
                    self._chunk(stage, chunk, chunk * rows, min(chunk * rows + most, count), threadid())
            PyErr_CheckSignals()
        return 0

    cdef void _chunk(self, int stage, ptrdiff_t chunk, ptrdiff_t start, ptrdiff_t stop, int thread) noexcept nogil:
        cdef group_worker worker
        cdef ptrdiff_t owner, own
        group_worker_place(&worker, self.p, self.n_groups, self.group_workers + thread * self.group_worker_size)
        if stage == STAGE_BEGIN:
            group_begin_chunk(&self.groups, &self.points, &self.bounds, start, stop, &worker)
        elif stage == STAGE_GAPS:
            group_gaps_chunk(&self.groups, &self.center_view, &self.gaps[0], start, stop, &worker)
        elif stage == STAGE_BOUNDS:
            self.n_open[chunk] = group_bounds_chunk(&self.groups, &self.points, &self.moves, &self.gaps[0],
                                                    &self.none[0], &self.bounds, start, stop, &worker,
                                                    &self.open[start])
        else:
            owner, own = chunk % self.n_threads, chunk // self.n_threads * GROUP_ROWS
            group_open_chunk(&self.groups, &self.points, &self.bounds, &self.order[self.begins[owner]], own,
                             min(own + GROUP_ROWS, self.n_sorted[owner]), &worker)
        self.wanted_pairs[thread] += worker.wanted_pairs

    cdef int sums(self, const double[:, ::1] centers, double[::1] totals) except -1:
        cdef bint kept = self.kept == BOUNDS_KEPT
        cdef double began = seconds()
        if not self._update(centers):
            began = seconds()
            PlainSearch.sums(self, centers, totals)
            self.plain_seconds = min(self.plain_seconds, seconds() - began)
            return 0
        self._add(self.labels, totals)
        if kept:
            self._judge(seconds() - began)
        return 0

    cdef int assign(self, const double[:, ::1] centers, double[:, ::1] costs, int32_t[::1] labels) except -1:
        if self.kept != BOUNDS_KEPT or not self._update(centers):
            return PlainSearch.assign(self, centers, costs, labels)
        labels[:] = self.labels
        return self._cost(centers, labels, costs)
