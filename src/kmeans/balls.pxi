"""Many columns: `BallSearch` keeps rows that once shared a label together and drops centers for all of them (balls.h)."""

cdef extern from "kmeans/balls.h" nogil:
    enum:
        BALL_PADDING
    ctypedef struct ball_set:
        ptrdiff_t k
        ptrdiff_t p
        matrix points
        const uint32_t* order
        const double* weights
        const ptrdiff_t* starts
        const ptrdiff_t* lanes
        char* columns
        matrix_dtype dtype
        double* middles
        double* radii
        double* sums
        float* bounds
        int32_t* nearest
    ctypedef struct ball_worker:
        char* tile
    ctypedef struct ball_totals:
        double* sums
        char* met
    ctypedef struct ball_member:
        float squared
        uint32_t row
    void ball_sort(ball_member* members, ball_member* spare, ptrdiff_t count) noexcept
    ptrdiff_t ball_size(const ball_member* members, ptrdiff_t count) noexcept
    ptrdiff_t ball_lanes(ptrdiff_t rows) noexcept
    size_t ball_worker_bytes(ptrdiff_t k, ptrdiff_t p) noexcept
    void ball_worker_place(ball_worker* worker, ptrdiff_t k, ptrdiff_t p, char* memory) noexcept
    char* ball_columns(const ball_set* balls, ptrdiff_t ball) noexcept
    void ball_fill(ball_set* balls, ptrdiff_t ball, char* data) noexcept
    ptrdiff_t ball_candidates(ball_set* balls, ball_worker* worker, const double* centers, const float* moves,
                              ptrdiff_t ball) noexcept
    double ball_visit(ball_set* balls, ball_worker* worker, const double* centers, const float* moves, ptrdiff_t ball,
                      ball_totals* totals, int32_t* labels) noexcept
    double ball_distance(const double* a, const double* b, ptrdiff_t p) noexcept
    double BALL_SLACK


# What a pass over the balls does with each.
cdef enum:
    BALL_COUNT      # candidates of some balls, to find out whether balls pay
    BALL_FILL
    BALL_SUM
    BALL_LABEL


cdef enum:
    BALL_TASKS = 64         # at most: units of work and of partial sums
    BALL_ROWS_A_CENTER = 8  # at least in a task: partial sums are then small beside the rows
    BALL_SAMPLES = 256      # balls


cdef double BALL_GROWTH = 8  # at most, of the pairs left from one pass to the next, as signals are looked at

# Share of all pairs of rows and centers left to compare, above which balls do not pay.
cdef double BALL_MOST_PAIRS = 0.5


@cython.final
cdef class BallSearch(PlainSearch):
    """The same over balls of rows, where these drop half of the centers or more; `otherwise` is used where not.

    The balls are made from the first labels that are asked for. They take a copy of the rows, in float32 unless the rows
    are float64, and 2 p + k / 2 numbers of 8 bytes for each 128 rows.
    """

    cdef:
        PlainSearch otherwise
        ball_set balls
        ptrdiff_t n_balls, tasks
        bint made, useful, void
        double left  # centers a row
        double[:, ::1] visited
        float[::1] moves
        const float* known_moves
        double[::1] pairs, ball_partials
        uint8_t[::1] met
        char* ball_workers
        size_t ball_worker_size
        object kept

    def __cinit__(self, points, const double[::1] weights, ptrdiff_t k, int n_threads, PlainSearch otherwise not None):
        self.ball_workers = NULL
        self.otherwise = otherwise
        self.made = self.useful = False

    def __dealloc__(self):
        scratch_free(self.ball_workers)

    cdef int _make(self, const double[:, ::1] centers, int32_t[::1] labels) except -1:
        """Balls of the rows by their nearest centers, whose labels are written; their columns only if balls pay."""
        cdef ptrdiff_t n = self.points.n_rows, k = self.k, p = self.p, stride = sums_stride(p), j, at, ball, count
        cdef int32_t[::1] nearest
        cdef double[::1] squared = np.empty(n), middles, radii, sums, weights = None
        cdef ptrdiff_t[::1] places = np.zeros(k + 1, dtype=np.intp), ends, starts, lanes
        cdef uint8_t[::1] memory = np.empty(2 * n * sizeof(ball_member), dtype=np.uint8), columns
        cdef ball_member* members = <ball_member*>&memory[0]
        cdef uint32_t[::1] order = np.empty(n, dtype=np.uint32)
        cdef float[::1] bounds
        self.made = True
        PlainSearch.assign(self, centers, np.empty((k, COST_STRIDE)), labels)
        self._own_distances(centers, labels, squared)
        for at in range(n):
            places[labels[at] + 1] += 1
        for j in range(k):
            places[j + 1] += places[j]
        ends = places.copy()
        for at in range(n):
            members[ends[labels[at]]] = ball_member(<float>squared[at], <uint32_t>at)
            ends[labels[at]] += 1
        with nogil:
            for j in prange(k, num_threads=self.n_threads, schedule="dynamic"):
                ball_sort(members + places[j], members + n + places[j], places[j + 1] - places[j])
        PyErr_CheckSignals()
        self.n_balls = 0
        for j in range(k):
            at = places[j]
            while at < places[j + 1]:
                at += ball_size(members + at, places[j + 1] - at)
                self.n_balls += 1
        starts, lanes = np.empty(self.n_balls + 1, dtype=np.intp), np.empty(self.n_balls + 1, dtype=np.intp)
        ball = starts[0] = lanes[0] = 0
        for j in range(k):
            at = places[j]
            while at < places[j + 1]:
                count = ball_size(members + at, places[j + 1] - at)
                at += count
                ball += 1
                starts[ball], lanes[ball] = at, lanes[ball - 1] + ball_lanes(count)
        for at in range(n):
            order[at] = members[at].row
        if self.weights != NULL:
            weights = np.zeros(n + BALL_PADDING)
            for at in range(n):
                weights[at] = self.weights[order[at]]
            self.balls.weights = &weights[0]
        middles, radii, sums = np.empty(self.n_balls * p), np.empty(self.n_balls), np.empty(self.n_balls * stride)
        bounds, nearest = np.empty(self.n_balls * k, dtype=np.float32), np.zeros(self.n_balls, dtype=np.int32)
        self.balls.k, self.balls.p, self.balls.points = k, p, self.points
        self.balls.dtype = MATRIX_FLOAT64 if self.points.dtype == MATRIX_FLOAT64 else MATRIX_FLOAT32
        self.balls.order, self.balls.starts, self.balls.lanes = &order[0], &starts[0], &lanes[0]
        self.balls.middles, self.balls.radii, self.balls.sums = &middles[0], &radii[0], &sums[0]
        self.balls.bounds, self.balls.nearest = &bounds[0], &nearest[0]
        self.tasks = max(4, min(<ptrdiff_t>BALL_TASKS, n // (BALL_ROWS_A_CENTER * k)))
        self.pairs = np.zeros(2 * self.tasks)
        self.left = k
        self.ball_worker_size = padded(ball_worker_bytes(k, p))
        self.ball_workers = <char*>scratch_allocate(self.ball_worker_size * self.n_threads)
        self._pass(BALL_COUNT, centers, NULL)
        self.left = np.sum(self.pairs[:self.tasks]) / np.sum(self.pairs[self.tasks:])
        self.useful = self.left <= BALL_MOST_PAIRS * k
        if self.useful:
            columns = np.empty((lanes[self.n_balls] * p + BALL_PADDING) << <int>self.balls.dtype, dtype=np.uint8)
            self.balls.columns = <char*>&columns[0]
            self.kept = (order, weights, starts, lanes, columns, middles, radii, sums, bounds, nearest)
            self.ball_partials, self.met = np.empty(self.tasks * k * stride), np.empty(self.tasks * k, dtype=np.uint8)
            self.moves, self.visited = np.empty(k, dtype=np.float32), np.empty((k, p))
            self._pass(BALL_FILL, centers, NULL)
            self.void = True
        return 0

    cdef int _pass(self, int stage, const double[:, ::1] centers, int32_t* labels) except -1:
        # Not many more pairs are left than the last time.
        cdef double work = min(<double>self.k, BALL_GROWTH * self.left) * self.p
        cdef ptrdiff_t first, last, task
        cdef ptrdiff_t a_slice = slice_chunks(work + self.p, max(1, self.points.n_rows // self.tasks), 0, self.n_threads)
        for first in range(0, self.tasks, a_slice):
            last = min(first + a_slice, self.tasks)
            with nogil:
                for task in prange(first, last, num_threads=self.n_threads, schedule="dynamic"):
                    self._task(stage, task, threadid(), &centers[0, 0], labels)
            PyErr_CheckSignals()
        return 0

    cdef void _task(self, int stage, ptrdiff_t task, int thread, const double* centers, int32_t* labels) noexcept nogil:
        """A range of balls; sums go to the task's partial ones."""
        cdef ptrdiff_t ball, k = self.k, step = max(1, self.n_balls // BALL_SAMPLES), rows
        cdef ball_worker worker
        cdef ball_totals totals
        ball_worker_place(&worker, k, self.p, self.ball_workers + thread * self.ball_worker_size)
        self.pairs[task] = self.pairs[self.tasks + task] = 0
        if stage == BALL_SUM:
            totals.sums, totals.met = &self.ball_partials[task * k * sums_stride(self.p)], <char*>&self.met[task * k]
            memset(totals.met, 0, k)
        for ball in range(task * self.n_balls // self.tasks, (task + 1) * self.n_balls // self.tasks):
            if stage == BALL_FILL:
                ball_fill(&self.balls, ball, ball_columns(&self.balls, ball))
            elif stage == BALL_COUNT:
                if ball % step == 0:
                    rows = self.balls.starts[ball + 1] - self.balls.starts[ball]
                    ball_fill(&self.balls, ball, worker.tile)
                    self.pairs[task] += <double>rows * ball_candidates(&self.balls, &worker, centers, NULL, ball)
                    self.pairs[self.tasks + task] += rows
            else:
                self.pairs[task] += ball_visit(&self.balls, &worker, centers, self.known_moves, ball, &totals, labels)

    cdef int _visit(self, int stage, const double[:, ::1] centers, int32_t* labels) except -1:
        """All balls under these centers; their bounds are right for them afterwards."""
        cdef ptrdiff_t j
        self.known_moves = NULL
        if not self.void:
            self.known_moves = &self.moves[0]
            for j in range(self.k):
                self.moves[j] = <float>(ball_distance(&self.visited[j, 0], &centers[j, 0], self.p) * (1 + BALL_SLACK))
        self.void = True  # until all of this is done: an interrupt leaves some bounds behind
        self._pass(stage, centers, labels)
        self.left = np.sum(self.pairs[:self.tasks]) / self.points.n_rows
        self.visited[:, :] = centers
        self.void = False
        return 0

    cdef int sums(self, const double[:, ::1] centers, double[::1] totals) except -1:
        cdef ptrdiff_t task, j, stride = sums_stride(self.p)
        cdef int32_t[::1] labels
        if not self.made:
            labels = np.empty(self.points.n_rows, dtype=np.int32)
            self._make(centers, labels)
            if not self.useful:
                return self._add(labels, totals)
        if not self.useful:
            return self.otherwise.sums(centers, totals)
        self._visit(BALL_SUM, centers, NULL)
        totals[:] = 0
        for task in range(self.tasks):
            for j in range(self.k):
                if self.met[task * self.k + j]:
                    add_to(&self.ball_partials[(task * self.k + j) * stride], stride, &totals[j * stride])
        return 0

    cdef int assign(self, const double[:, ::1] centers, double[:, ::1] costs, int32_t[::1] labels) except -1:
        if not self.useful:
            return self.otherwise.assign(centers, costs, labels)
        self._visit(BALL_LABEL, centers, &labels[0])
        return self._cost(centers, labels, costs)
