"""Many columns: `BallSearch` keeps rows that once shared a label together and drops centers for all of them (balls.h)."""

cdef extern from "kmeans/balls.h" nogil:
    enum:
        BALL_ROWS
    ctypedef struct ball_set:
        ptrdiff_t k
        ptrdiff_t p
        matrix points
        const double* weights
        const uint32_t* order
        const ptrdiff_t* starts
        double* middles
        double* radii
        double* sums
        float* bounds
        int32_t* nearest
        const ptrdiff_t* tiles
        float* columns
    ctypedef struct ball_worker:
        double* row
    ctypedef struct ball_member:
        double squared
        uint32_t row
    void ball_sort(ball_member* members, ptrdiff_t count) noexcept
    ptrdiff_t ball_size(const ball_member* members, ptrdiff_t count) noexcept
    ptrdiff_t ball_lanes(ptrdiff_t rows) noexcept
    size_t ball_worker_bytes(ptrdiff_t k, ptrdiff_t p) noexcept
    void ball_worker_place(ball_worker* worker, ptrdiff_t k, ptrdiff_t p, char* memory) noexcept
    void ball_measure(ball_set* balls, ptrdiff_t ball, double* row) noexcept
    void ball_fill(ball_set* balls, ptrdiff_t ball, double* row) noexcept
    ptrdiff_t ball_candidates(ball_set* balls, ball_worker* worker, const double* centers, const float* moves,
                              ptrdiff_t ball) noexcept
    double ball_visit(ball_set* balls, ball_worker* worker, const double* centers, const float* moves, ptrdiff_t ball,
                      double* sums, int32_t* labels) noexcept
    double BALL_SLACK


# What a pass over the balls does with each.
cdef enum:
    BALL_MEASURE
    BALL_COUNT      # candidates, to find out whether balls pay
    BALL_FILL
    BALL_VISIT


cdef enum:
    BALL_TASKS = 64         # at most: units of work and of partial sums
    BALL_ROWS_A_CENTER = 8  # at least in a task: a partial sum of all centers is then small beside the rows


# Share of all pairs of rows and centers left to compare, above which balls do not pay.
cdef double BALL_MOST_PAIRS = 0.5


@cython.final
cdef class BallSearch(GroupSearch):
    """The same over balls of rows, where these drop half of the centers or more; otherwise GroupSearch itself.

    The balls are made from the first labels that are asked for. They take a copy of the rows in float32, 4 bytes a row,
    and for each 128 rows p + 1 numbers and one for each center.
    """

    cdef:
        ball_set balls
        ptrdiff_t n_balls, tasks
        bint made, useful, void
        float[::1] moves
        const float* known_moves
        double[:, ::1] visited
        double[::1] pairs, ball_partials
        char* ball_workers
        void* ball_memory
        size_t ball_worker_size
        object ball_keep

    def __cinit__(self, points, const double[::1] weights, ptrdiff_t k, int n_threads):
        self.ball_memory = NULL

    def __dealloc__(self):
        scratch_free(self.ball_memory)

    cdef int _make(self, const double[:, ::1] centers) except -1:
        """Balls of the rows by their nearest centers, if they pay; these labels are in self.labels."""
        cdef ptrdiff_t n = self.points.n_rows, k = self.k, p = self.p, stride = sums_stride(p), j, at, ball, count
        cdef int32_t[::1] labels = self.labels, nearest
        cdef uint32_t[::1] order = np.empty(n, dtype=np.uint32)
        cdef ptrdiff_t[::1] places = np.zeros(k + 1, dtype=np.intp), starts, tiles
        cdef double[::1] middles, radii, sums
        cdef float[::1] bounds, columns
        self.made = True
        PlainSearch.assign(self, centers, np.empty((k, COST_STRIDE)), labels)
        cdef double[::1] squared = np.empty(n)
        cdef ptrdiff_t chunk
        with nogil:
            for chunk in prange(self.chunks, num_threads=self.n_threads, schedule="dynamic"):
                own_distances_chunk(&self.points, &centers[0, 0], &labels[0], chunk * self.rows,
                                    min((chunk + 1) * self.rows, n),
                                    <double*>(self.scratch + threadid() * self.scratch_size), &squared[0])
        for at in range(n):
            places[labels[at] + 1] += 1
        for j in range(k):
            places[j + 1] += places[j]
        # By label, and from the center outwards.
        cdef uint8_t[::1] memory = np.empty(n * sizeof(ball_member), dtype=np.uint8)
        cdef ball_member* members = <ball_member*>&memory[0]
        cdef ptrdiff_t[::1] ends = places.copy()
        for at in range(n):
            members[ends[labels[at]]] = ball_member(squared[at], <uint32_t>at)
            ends[labels[at]] += 1
        with nogil:
            for j in prange(k, num_threads=self.n_threads, schedule="dynamic"):
                ball_sort(members + places[j], places[j + 1] - places[j])
        self.n_balls = 0
        for j in range(k):
            at = places[j]
            while at < places[j + 1]:
                at += ball_size(members + at, places[j + 1] - at)
                self.n_balls += 1
        starts, tiles = np.empty(self.n_balls + 1, dtype=np.intp), np.empty(self.n_balls + 1, dtype=np.intp)
        ball = starts[0] = tiles[0] = 0
        for j in range(k):
            at = places[j]
            while at < places[j + 1]:
                count = ball_size(members + at, places[j + 1] - at)
                at += count
                ball += 1
                starts[ball], tiles[ball] = at, tiles[ball - 1] + ball_lanes(count) * p
        for at in range(n):
            order[at] = members[at].row
        middles, radii, sums = np.empty(self.n_balls * p), np.empty(self.n_balls), np.empty(self.n_balls * stride)
        bounds, nearest = np.empty(self.n_balls * k, dtype=np.float32), np.zeros(self.n_balls, dtype=np.int32)
        self.balls.k, self.balls.p, self.balls.points, self.balls.weights = k, p, self.points, self.weights
        self.balls.order, self.balls.starts, self.balls.tiles = &order[0], &starts[0], &tiles[0]
        self.balls.middles, self.balls.radii, self.balls.sums = &middles[0], &radii[0], &sums[0]
        self.balls.bounds, self.balls.nearest = &bounds[0], &nearest[0]
        self.tasks = max(1, min(<ptrdiff_t>BALL_TASKS, n // (BALL_ROWS_A_CENTER * k)))
        self.tasks = max(self.tasks, min(self.n_balls, 4))
        self.ball_worker_size = padded(ball_worker_bytes(k, p))
        self.ball_memory = scratch_allocate(self.ball_worker_size * self.n_threads)
        self.ball_workers = <char*>self.ball_memory
        self.moves, self.pairs = np.empty(k, dtype=np.float32), np.zeros(self.tasks)
        self.visited = np.empty((k, p))
        self._pass(BALL_MEASURE, centers, NULL)
        self._pass(BALL_COUNT, centers, NULL)
        self.useful = np.sum(self.pairs) <= BALL_MOST_PAIRS * n * k
        if self.useful:
            columns = np.empty(tiles[self.n_balls], dtype=np.float32)
            self.balls.columns = &columns[0]
            self.ball_partials = np.empty(self.tasks * k * stride)
            self.ball_keep = (order, starts, tiles, middles, radii, sums, bounds, nearest, columns)
            self._pass(BALL_FILL, centers, NULL)
            self.void = True
        return 0

    cdef int _pass(self, int stage, const double[:, ::1] centers, int32_t* labels) except -1:
        cdef ptrdiff_t first, last, task, a_slice = 2 * self.n_threads
        for first in range(0, self.tasks, a_slice):
            last = min(first + a_slice, self.tasks)
            with nogil:
                for task in prange(first, last, num_threads=self.n_threads, schedule="dynamic"):
                    self._task(stage, task, threadid(), &centers[0, 0], labels)
            PyErr_CheckSignals()
        return 0

    cdef void _task(self, int stage, ptrdiff_t task, int thread, const double* centers, int32_t* labels) noexcept nogil:
        """A range of balls; sums, unless labels are wanted, go to the task's partial ones."""
        cdef ptrdiff_t ball, size = self.k * sums_stride(self.p)
        cdef ball_worker worker
        cdef double* sums = NULL
        ball_worker_place(&worker, self.k, self.p, self.ball_workers + thread * self.ball_worker_size)
        if stage == BALL_VISIT and labels == NULL:
            sums = &self.ball_partials[task * size]
            memset(sums, 0, size * sizeof(double))
        self.pairs[task] = 0
        for ball in range(task * self.n_balls // self.tasks, (task + 1) * self.n_balls // self.tasks):
            if stage == BALL_MEASURE:
                ball_measure(&self.balls, ball, worker.row)
            elif stage == BALL_COUNT:
                self.pairs[task] += <double>ball_candidates(&self.balls, &worker, centers, NULL, ball) * (
                    self.balls.starts[ball + 1] - self.balls.starts[ball])
            elif stage == BALL_FILL:
                ball_fill(&self.balls, ball, worker.row)
            else:
                self.pairs[task] += ball_visit(&self.balls, &worker, centers, self.known_moves, ball, sums, labels)

    cdef int _visit(self, const double[:, ::1] centers, int32_t* labels) except -1:
        """All balls under these centers; their bounds are right for them afterwards."""
        cdef ptrdiff_t j, i
        cdef double squared
        self.known_moves = NULL
        if not self.void:
            self.known_moves = &self.moves[0]
            for j in range(self.k):
                squared = 0
                for i in range(self.p):
                    squared += (centers[j, i] - self.visited[j, i]) ** 2
                self.moves[j] = <float>(sqrt(squared) * (1 + BALL_SLACK))
        self.void = True  # until all of this is done: an interrupt leaves some bounds behind
        self._pass(BALL_VISIT, centers, labels)
        self.visited[:, :] = centers
        self.void = False
        return 0

    cdef int sums(self, const double[:, ::1] centers, double[::1] totals) except -1:
        cdef ptrdiff_t task, size = self.k * sums_stride(self.p)
        if not self.made:
            self._make(centers)
            if not self.useful:
                return self._add_labeled(totals)
        if not self.useful:
            return GroupSearch.sums(self, centers, totals)
        self._visit(centers, NULL)
        totals[:] = 0
        for task in range(self.tasks):
            add_to(&self.ball_partials[task * size], size, &totals[0])
        return 0

    cdef int assign(self, const double[:, ::1] centers, double[:, ::1] costs, int32_t[::1] labels) except -1:
        if not self.useful:
            return GroupSearch.assign(self, centers, costs, labels)
        self._visit(centers, &labels[0])
        return self._cost_labeled(centers, labels, costs)
