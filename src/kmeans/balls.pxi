"""Many columns: `BallSearch` keeps rows that shared a label together and drops centers for all of them (balls.h)."""

cdef extern from "kmeans/balls.h" nogil:
    enum:
        BALL_PADDING
        BALL_MOST_LABELS
    ctypedef struct ball_parts:
        pass
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
        ball_parts* parts
        double* part_sums
        int32_t* labels
    ctypedef struct ball_worker:
        double* means
        char* tile
    ctypedef struct ball_totals:
        double* sums
        char* met
    ctypedef struct ball_member:
        float squared
        uint32_t row
    void ball_cut(const matrix* points, ball_member* members, ball_member* spare, ptrdiff_t count, double* means,
                  uint8_t* last) noexcept
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
    BALL_COUNT      # candidates, to find out whether balls pay
    BALL_FILL
    BALL_SUM
    BALL_LABEL


cdef enum:
    BALL_TASKS = 64         # at most: units of work and of partial sums
    BALL_ROWS_A_CENTER = 8  # at least in a task: partial sums are then small beside the rows
    BALL_TRIAL = 16         # one row of so many, or a center's, tells whether balls pay
    BALL_MOST_TRIAL = 8192  # rows, about
    BALL_PIECE = 32768      # rows of one label, at most, that are cut at a time
    BALL_LOOK = 1 << 22     # rows between two looks at signals


# Balls are made, or made anew, where they leave at most this share of the pairs of rows and centers that are compared.
cdef double BALL_MOST_PAIRS = 0.33
cdef double BALL_HOPELESS = 0.9  # of these: more are not to be expected to become few
cdef double BALL_FEW_PAIRS = 8.0  # centers a row, which cannot be bettered by much
cdef double BALL_CUT_WORK = 8  # distances a row, about, to cut rows into balls
cdef double BALL_GROWTH = 8  # at most, of the pairs left from one pass to the next, as signals are looked at


@cython.final
cdef class BallSearch(PlainSearch):
    """The same over balls of rows, while these drop most of the centers.

    Balls are made of rows of one label, in the first iteration and, as labels get better, in the fourth, sixteenth and so
    on, if some of them tell that this pays, or at least that it may later. They take a copy of the rows, in float32 unless the rows are float64, and
    2 p + k / 2 numbers of 8 bytes for each 128 rows. Where they do not pay in so many iterations (`patience`),
    `otherwise` is called for another search, which stays; before, all distances are computed.
    """

    cdef:
        object otherwise
        PlainSearch other
        ball_set balls
        ptrdiff_t n_balls, tasks, iteration, next_trial, patience
        bint useful, void
        double left  # centers a row that are compared
        double[:, ::1] visited
        float[::1] moves
        const float* known_moves
        double[::1] pairs, ball_partials
        uint8_t[::1] met
        char* ball_workers
        size_t ball_worker_size
        object kept

    def __cinit__(self, points, const double[::1] weights, ptrdiff_t k, int n_threads, otherwise=None,
                  ptrdiff_t patience=1):
        cdef ptrdiff_t n = self.points.n_rows
        self.ball_workers = NULL
        self.otherwise, self.patience = otherwise, patience
        self.iteration, self.next_trial, self.useful, self.left = 0, 1, False, k
        self.tasks = max(4, min(<ptrdiff_t>BALL_TASKS, n // (BALL_ROWS_A_CENTER * k)))
        self.ball_worker_size = padded(ball_worker_bytes(k, self.p))
        self.ball_workers = <char*>scratch_allocate(self.ball_worker_size * self.n_threads)
        # Partial sums take no memory until they are met.
        self.ball_partials, self.met = np.empty(self.tasks * k * sums_stride(self.p)), np.empty(self.tasks * k, dtype=np.uint8)
        self.pairs = np.empty(self.tasks)
        self.moves, self.visited = np.empty(k, dtype=np.float32), np.empty((k, self.p))
        self.balls.k, self.balls.p, self.balls.points = k, self.p, self.points
        self.balls.dtype = MATRIX_FLOAT64 if self.points.dtype == MATRIX_FLOAT64 else MATRIX_FLOAT32

    def __dealloc__(self):
        scratch_free(self.ball_workers)

    cdef int _cut(self, const int32_t[::1] labels, const uint8_t[::1] wanted) except -1:
        """Cut the rows of the wanted labels into balls."""
        cdef ptrdiff_t n = self.points.n_rows, k = self.k, p = self.p, j, at, ball, count, rows, first, stop, a_slice
        cdef ptrdiff_t[::1] places = np.zeros(k + 1, dtype=np.intp), ends, starts, lanes
        for first in range(0, n, BALL_LOOK):
            for at in range(first, min(first + BALL_LOOK, n)):
                places[labels[at] + 1] += wanted[labels[at]]
            PyErr_CheckSignals()
        for j in range(k):
            places[j + 1] += places[j]
        rows, ends = places[k], places.copy()
        cdef uint8_t[::1] memory = np.empty(max(1, 2 * rows * sizeof(ball_member)), dtype=np.uint8)
        cdef ball_member* members = <ball_member*>&memory[0]
        cdef uint32_t[::1] order = np.empty(max(1, rows), dtype=np.uint32)
        cdef uint8_t[::1] last = np.zeros(max(1, rows), dtype=np.uint8)
        cdef double[::1] weights = None
        for first in range(0, n, BALL_LOOK):
            for at in range(first, min(first + BALL_LOOK, n)):
                if wanted[labels[at]]:
                    members[ends[labels[at]]].row = <uint32_t>at
                    ends[labels[at]] += 1
            PyErr_CheckSignals()
        # Rows of one label in pieces, so that there is work for all threads and no piece takes long.
        cdef ptrdiff_t pieces = 0, piece
        for j in range(k):
            pieces += (places[j + 1] - places[j] + BALL_PIECE - 1) // BALL_PIECE
        cdef ptrdiff_t[::1] begins = np.empty(pieces + 1, dtype=np.intp)
        pieces = 0
        for j in range(k):
            for at in range(places[j], places[j + 1], BALL_PIECE):
                begins[pieces] = at
                pieces += 1
        begins[pieces] = rows
        a_slice = slice_chunks(BALL_CUT_WORK * p, max(1, rows // max(1, pieces)), 0, self.n_threads)
        for first in range(0, pieces, a_slice):
            stop = min(first + a_slice, pieces)
            with nogil:
                for piece in prange(first, stop, num_threads=self.n_threads, schedule="dynamic"):
                    self._cut_piece(members + begins[piece], members + rows + begins[piece],
                                    begins[piece + 1] - begins[piece], &last[0] + begins[piece], threadid())
            PyErr_CheckSignals()
        self.n_balls = 0
        for at in range(rows):
            self.n_balls += last[at]
        starts, lanes = np.empty(self.n_balls + 1, dtype=np.intp), np.empty(self.n_balls + 1, dtype=np.intp)
        ball = starts[0] = lanes[0] = 0
        for at in range(rows):
            order[at] = members[at].row
            if last[at]:
                ball += 1
                starts[ball], lanes[ball] = at + 1, lanes[ball - 1] + ball_lanes(at + 1 - starts[ball - 1])
        self.balls.weights = NULL
        if self.weights != NULL:
            weights = np.zeros(rows + BALL_PADDING)
            for at in range(rows):
                weights[at] = self.weights[order[at]]
            self.balls.weights = &weights[0]
        count = max(1, self.n_balls)
        cdef double[::1] middles = np.empty(count * p), radii = np.empty(count), sums = np.empty(count * sums_stride(p))
        cdef float[::1] bounds = np.empty(count * k, dtype=np.float32)
        cdef int32_t[::1] nearest = np.zeros(count, dtype=np.int32), own = np.empty(max(1, rows), dtype=np.int32)
        # Zeros: no part is kept. Their sums take no memory until they are.
        cdef uint8_t[::1] parts = np.zeros(count * sizeof(ball_parts), dtype=np.uint8)
        cdef double[::1] part_sums = np.empty(count * BALL_MOST_LABELS * sums_stride(p))
        self.balls.order, self.balls.starts, self.balls.lanes = &order[0], &starts[0], &lanes[0]
        self.balls.middles, self.balls.radii, self.balls.sums = &middles[0], &radii[0], &sums[0]
        self.balls.bounds, self.balls.nearest = &bounds[0], &nearest[0]
        self.balls.parts, self.balls.part_sums = <ball_parts*>&parts[0], &part_sums[0]
        self.balls.labels = &own[0]
        self.kept = order, weights, starts, lanes, middles, radii, sums, bounds, nearest, parts, part_sums, own
        return 0

    cdef void _cut_piece(self, ball_member* members, ball_member* spare, ptrdiff_t count, uint8_t* last,
                         int thread) noexcept nogil:
        cdef ball_worker worker
        ball_worker_place(&worker, self.k, self.p, self.ball_workers + thread * self.ball_worker_size)
        ball_cut(&self.points, members, spare, count, worker.means, last)

    cdef int _make(self, const double[:, ::1] centers, const int32_t[::1] labels) except -1:
        """Balls of the rows of each label, if they pay."""
        cdef ptrdiff_t k = self.k, some, j
        cdef uint8_t[::1] wanted = np.zeros(k, dtype=np.uint8), columns
        cdef object kept = self.kept
        cdef ball_set balls = self.balls
        cdef ptrdiff_t n_balls = self.n_balls, rows
        cdef double left
        some = max(1, min(k // BALL_TRIAL, k * BALL_MOST_TRIAL // self.points.n_rows))
        for j in range(some):
            wanted[j * k // some] = True
        self._cut(labels, wanted)
        self._pass(BALL_COUNT, centers, NULL)
        rows = self.balls.starts[self.n_balls]
        left = np.sum(self.pairs) / rows if rows > 0 else k
        if left > BALL_HOPELESS * k:
            self.next_trial = 0
        if left > BALL_MOST_PAIRS * self.left:
            self.kept, self.balls, self.n_balls = kept, balls, n_balls
            return 0
        self.useful, self.left, kept = False, k, None
        wanted[:] = True
        self._cut(labels, wanted)
        columns = np.empty((self.balls.lanes[self.n_balls] * self.p + BALL_PADDING) << <int>self.balls.dtype, dtype=np.uint8)
        self.balls.columns = <char*>&columns[0]
        self.kept = self.kept, columns
        self._pass(BALL_FILL, centers, NULL)
        self.useful = self.void = True
        self.left = left
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
        cdef ptrdiff_t ball, k = self.k
        cdef ball_worker worker
        cdef ball_totals totals
        ball_worker_place(&worker, k, self.p, self.ball_workers + thread * self.ball_worker_size)
        self.pairs[task] = 0
        if stage == BALL_SUM:
            totals.sums, totals.met = &self.ball_partials[task * k * sums_stride(self.p)], <char*>&self.met[task * k]
            memset(totals.met, 0, k)
        for ball in range(task * self.n_balls // self.tasks, (task + 1) * self.n_balls // self.tasks):
            if stage == BALL_FILL:
                ball_fill(&self.balls, ball, ball_columns(&self.balls, ball))
            elif stage == BALL_COUNT:
                ball_fill(&self.balls, ball, worker.tile)
                self.pairs[task] += (<double>ball_candidates(&self.balls, &worker, centers, NULL, ball)
                                     * (self.balls.starts[ball + 1] - self.balls.starts[ball]))
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
        self.left = np.sum(self.pairs) / self.points.n_rows
        self.visited[:, :] = centers
        self.void = False
        return 0

    cdef int sums(self, const double[:, ::1] centers, double[::1] totals) except -1:
        cdef ptrdiff_t task, j, stride = sums_stride(self.p)
        cdef int32_t[::1] labels
        self.iteration += 1
        if self._call_other():
            return self.other.sums(centers, totals)
        if self.iteration == self.next_trial and self.left > BALL_FEW_PAIRS:
            self.next_trial *= 4
            labels = np.empty(self.points.n_rows, dtype=np.int32)
            if self.useful:
                self._visit(BALL_LABEL, centers, &labels[0])
                self._add(labels, totals)
            else:
                self._label_and_sum(centers, totals, &labels[0])
            return self._make(centers, labels)
        if not self.useful:
            return self._label_and_sum(centers, totals, NULL)
        self._visit(BALL_SUM, centers, NULL)
        totals[:] = 0
        for task in range(self.tasks):
            for j in range(self.k):
                if self.met[task * self.k + j]:
                    add_to(&self.ball_partials[(task * self.k + j) * stride], stride, &totals[j * stride])
        return 0

    cdef int assign(self, const double[:, ::1] centers, double[:, ::1] costs, int32_t[::1] labels) except -1:
        if self.useful:
            self._visit(BALL_LABEL, centers, &labels[0])
            return self._cost(centers, labels, costs)
        if self._call_other():
            return self.other.assign(centers, costs, labels)
        return PlainSearch.assign(self, centers, costs, labels)

    cdef bint _call_other(self) except -1:
        """Is there another search, or is it time for one?"""
        if self.other is None and self.otherwise is not None and self.iteration > self.patience and not self.useful:
            self.other = self.otherwise()
        return self.other is not None
