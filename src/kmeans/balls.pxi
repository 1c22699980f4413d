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
        pass
    void ball_count(const int32_t* labels, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t* counts) noexcept
    void ball_place(const int32_t* labels, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t* places, uint32_t* order) noexcept
    ptrdiff_t ball_cut(const matrix* points, uint32_t* order, ptrdiff_t count, ball_member* members, double* means,
                       int32_t* sizes) noexcept
    ptrdiff_t ball_lanes(ptrdiff_t rows) noexcept
    size_t ball_worker_bytes(ptrdiff_t k, ptrdiff_t p) noexcept
    void ball_worker_place(ball_worker* worker, ptrdiff_t k, ptrdiff_t p, char* memory) noexcept
    char* ball_columns(const ball_set* balls, ptrdiff_t ball) noexcept
    void ball_fill(ball_set* balls, ptrdiff_t ball, char* data) noexcept
    double ball_visit(ball_set* balls, ball_worker* worker, const double* centers, const float* moves, ptrdiff_t ball,
                      ball_totals* totals, int32_t* labels) noexcept
    double ball_distance(const double* a, const double* b, ptrdiff_t p) noexcept
    double BALL_SLACK


# What a pass over the balls does with each.
cdef enum:
    BALL_FILL
    BALL_SUM
    BALL_LABEL


cdef enum:
    BALL_TASKS = 64         # at most: units of work and of partial sums
    BALL_NARROW = 8         # columns, of which
    BALL_LEAST_ROWS = 64    # a ball counts as so many rows: smaller ones take as long, beside quick distances
    BALL_ROWS_A_CENTER = 8  # at least in a task: partial sums are then small beside the rows,
    BALL_ROWS_A_TASK = 1024 # and the time to hand it to a thread, which may have to get them from another
    BALL_PIECE = 32768      # rows of one label, at most, that are cut at a time
    BALL_BLOCKS = 16        # of rows, that are sorted by label at a time
    BALL_COARSE = 16        # one of so many centers, to label rows before the first iteration,
    BALL_MANY_CENTERS = 256 # of so many at least,
    BALL_MUCH_WORK = 16384  # and so many times the columns
    BALL_LOOK = 1 << 24     # rows in them, about, between two looks at signals


# Balls are made anew where they leave at most this share of the pairs of rows and centers that are compared.
cdef double BALL_MOST_PAIRS = 0.33
cdef double BALL_FEW_PAIRS = 8.0  # centers a row, which cannot be bettered by much
cdef double BALL_CUT_WORK = 8  # distances a row, about, to cut rows into balls
cdef double BALL_GROWTH = 8  # at most, of the pairs left from one pass to the next, as signals are looked at


@cython.final
cdef class BallSearch(PartsSearch):
    """The same over balls of rows, while these drop most of the centers.

    Balls are made of rows of one label, in the first iteration and, as labels get better, in the second, fourth and so
    on, if some of them tell that this pays, or at least that it may later: where they leave at most a share of
    `most_pairs` of the pairs of rows and centers; of many centers and columns also before the first iteration, of rows
    that are nearest to the same of some centers, which spares it and does not leave balls small. They take a copy of
    the rows, in float32 unless the rows are float64, 8 bytes a row, and for each ball, of 128 rows in general, k / 2 and
    up to 10 p numbers of 8 bytes. Where they do not pay in so many iterations (`patience`), `otherwise` is called for
    another search, which stays, if the last trial left at most `most_left` centers a row; before, and if not, all
    distances are computed.
    """

    cdef readonly object otherwise
    cdef:
        PlainSearch other
        ball_set balls
        ptrdiff_t n_balls, iteration, next_trial, patience
        bint useful, void
        double most_pairs
        double left  # centers a row that are compared
        double tried, most_left  # those that the last trial left; for another search, at most
        double[:, ::1] visited
        float[::1] moves
        const float* known_moves
        double[::1] ball_partials
        uint8_t[::1] met
        char* ball_workers
        size_t ball_worker_size
        object kept

    def __cinit__(self, points, const double[::1] weights, ptrdiff_t k, int n_threads, otherwise=None,
                  ptrdiff_t patience=1, double most_pairs=BALL_MOST_PAIRS, double most_left=INFINITY):
        cdef ptrdiff_t n = self.points.n_rows
        self.ball_workers = NULL
        self.otherwise, self.patience, self.most_pairs, self.most_left = otherwise, patience, most_pairs, most_left
        self.iteration, self.next_trial, self.useful, self.left, self.tried = 0, 1, False, k, k
        self.tasks = max(4, min(<ptrdiff_t>BALL_TASKS, n // max(<ptrdiff_t>BALL_ROWS_A_TASK, BALL_ROWS_A_CENTER * k)))
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

    cdef int _cut(self, const int32_t[::1] labels) except -1:
        """Cut the rows of each label into balls, with memory for all that is kept of them."""
        cdef ptrdiff_t n = self.points.n_rows, k = self.k, j, at, block, piece, pieces = 0, first, last, a_slice
        cdef ptrdiff_t blocks = BALL_BLOCKS * (1 + n // BALL_LOOK), rows = 0, most = 1, size, ball
        cdef int n_threads = self.n_threads
        cdef ptrdiff_t[::1] places = np.zeros(blocks * k, dtype=np.intp), begins, found, starts, lanes
        cdef uint32_t[::1] order
        cdef int32_t[::1] sizes
        cdef double[::1] weights = None
        for first in range(0, blocks, BALL_BLOCKS):
            last = min(first + BALL_BLOCKS, blocks)
            with nogil:
                for block in prange(first, last, num_threads=n_threads, schedule="static"):
                    ball_count(&labels[0], block * n // blocks, (block + 1) * n // blocks, &places[block * k])
            PyErr_CheckSignals()
        # Rows of one label in pieces, so that there is work for all threads and no piece takes long.
        begins = np.empty(k + n // BALL_PIECE + 1, dtype=np.intp)
        for j in range(k):
            at = rows
            for block in range(blocks):
                size, places[block * k + j] = places[block * k + j], rows
                rows += size
            while at < rows:
                begins[pieces] = at
                size = min(rows - at, <ptrdiff_t>BALL_PIECE)
                most = max(most, size)
                at += size
                pieces += 1
        begins[pieces] = rows
        order, sizes = np.empty(n, dtype=np.uint32), np.empty(n, dtype=np.int32)
        for first in range(0, blocks, BALL_BLOCKS):
            last = min(first + BALL_BLOCKS, blocks)
            with nogil:
                for block in prange(first, last, num_threads=n_threads, schedule="static"):
                    ball_place(&labels[0], block * n // blocks, (block + 1) * n // blocks, &places[block * k], &order[0])
            PyErr_CheckSignals()
        found = np.empty(pieces, dtype=np.intp)
        cdef size_t members_size = padded(2 * most * sizeof(ball_member))
        cdef uint8_t[::1] members = np.empty(members_size * n_threads, dtype=np.uint8)
        a_slice = slice_chunks(BALL_CUT_WORK * self.p, max(1, n // pieces), 0, n_threads)
        for first in range(0, pieces, a_slice):
            last = min(first + a_slice, pieces)
            with nogil:
                for piece in prange(first, last, num_threads=n_threads, schedule="dynamic"):
                    found[piece] = self._cut_piece(&order[0] + begins[piece], begins[piece + 1] - begins[piece],
                                                   <ball_member*>(&members[0] + threadid() * members_size),
                                                   &sizes[0] + begins[piece], threadid())
            PyErr_CheckSignals()
        self.n_balls = 0
        for piece in range(pieces):
            self.n_balls += found[piece]
        starts, lanes = np.empty(self.n_balls + 1, dtype=np.intp), np.empty(self.n_balls + 1, dtype=np.intp)
        ball = starts[0] = lanes[0] = 0
        for piece in range(pieces):
            for at in range(begins[piece], begins[piece] + found[piece]):
                ball += 1
                starts[ball], lanes[ball] = starts[ball - 1] + sizes[at], lanes[ball - 1] + ball_lanes(sizes[at])
        self.balls.weights = NULL
        if self.weights != NULL:
            weights = np.zeros(n + BALL_PADDING)
            for at in range(n):
                weights[at] = self.weights[order[at]]
            self.balls.weights = &weights[0]
        self.balls.order, self.balls.starts, self.balls.lanes = &order[0], &starts[0], &lanes[0]
        self.kept = order, weights, starts, lanes, self._place()
        return 0

    cdef object _place(self):
        """Memory for what is found about the balls and their rows, which is returned."""
        cdef ptrdiff_t count = self.n_balls, p = self.p, stride = sums_stride(p), item = 1 << <int>self.balls.dtype
        cdef size_t sizes[9]
        sizes[:] = [count * p * sizeof(double), count * sizeof(double), count * stride * sizeof(double),
                    count * self.k * sizeof(float), count * sizeof(int32_t), count * sizeof(ball_parts),
                    count * BALL_MOST_LABELS * stride * sizeof(double), self.points.n_rows * sizeof(int32_t),
                    (self.balls.lanes[count] * p + BALL_PADDING) * item]
        cdef size_t total = CACHE_LINE
        cdef void* starts[9]
        cdef int i
        for i in range(9):
            total += padded(sizes[i])
        # In one block, which gets large pages: many small ones take as long as an iteration or two.
        cdef uint8_t[::1] memory = np.empty(total, dtype=np.uint8)
        cdef char* at = <char*>padded(<uintptr_t>&memory[0])
        for i in range(9):
            starts[i] = at
            at += padded(sizes[i])
        self.balls.middles, self.balls.radii, self.balls.sums = <double*>starts[0], <double*>starts[1], <double*>starts[2]
        self.balls.bounds, self.balls.nearest, self.balls.parts = <float*>starts[3], <int32_t*>starts[4], <ball_parts*>starts[5]
        self.balls.part_sums, self.balls.labels, self.balls.columns = <double*>starts[6], <int32_t*>starts[7], <char*>starts[8]
        memset(self.balls.nearest, 0, sizes[4])
        memset(self.balls.parts, 0, sizes[5])  # none is kept
        return memory

    cdef ptrdiff_t _cut_piece(self, uint32_t* order, ptrdiff_t count, ball_member* members, int32_t* sizes,
                              int thread) noexcept nogil:
        cdef ball_worker worker
        ball_worker_place(&worker, self.k, self.p, self.ball_workers + thread * self.ball_worker_size)
        return ball_cut(&self.points, order, count, members, worker.means, sizes)

    cdef int _make(self, const double[:, ::1] centers, const int32_t[::1] labels) except -1:
        """Balls of the rows of each label, if they pay."""
        cdef ptrdiff_t least_rows = min(<ptrdiff_t>BALL_LEAST_ROWS, self.points.n_rows // self.k) if self.p <= BALL_NARROW else 1
        cdef double left = left_by_balls(&self.points, &labels[0], self.k, &centers[0, 0], self.k, 1, least_rows)
        self.tried = min(left, <double>self.k)
        if hopeless(left, self.k, self.p):
            self.next_trial = 0
        if left > (BALL_MOST_PAIRS if self.useful else self.most_pairs) * self.left:
            return 0
        return self._make_of(centers, labels, left)

    cdef int _make_of(self, const double[:, ::1] centers, const int32_t[::1] labels, double left) except -1:
        """Balls of the rows of each label, in place of those that there are; they leave about `left` centers a row."""
        self.useful = False  # until others have taken their place: an interrupt leaves parts of them behind
        self.left, self.kept = self.k, None
        self._cut(labels)
        self._pass(BALL_FILL, centers, NULL)
        self.useful = self.void = True
        self.left = left
        return 0

    cdef int _make_coarsely(self, const double[:, ::1] centers) except -1:
        """Balls before the first iteration, of rows that are nearest to the same of some of the centers, if a sample of
        the rows tells that this pays."""
        cdef ptrdiff_t n = self.points.n_rows, some = self.k // BALL_COARSE
        cdef matrix sample = sample_of(&self.points, max(n // TRIAL_SHARE, TRIAL_ROWS * some))
        cdef double[:, ::1] coarse = np.ascontiguousarray(np.asarray(centers)[:some * BALL_COARSE:BALL_COARSE])
        cdef double[::1] totals = np.empty(some * sums_stride(self.p))
        cdef int32_t[::1] labels = np.empty(sample.n_rows, dtype=np.int32)
        cdef PlainSearch search = PlainSearch(<object>self.buffer.obj, None, some, self.n_threads)
        label_sample(search, &sample, coarse, &labels[0])
        cdef double left = left_by_balls(&sample, &labels[0], some, &centers[0, 0], self.k, TRIAL_LABELS, 1)
        if left > self.most_pairs * self.k:
            return 0
        labels = np.empty(n, dtype=np.int32)
        search._label_and_sum(coarse, totals, &labels[0])
        self.tried, self.next_trial = left, 2
        return self._make_of(centers, labels, left)

    cdef int _pass(self, int stage, const double[:, ::1] centers, int32_t* labels) except -1:
        # Not many more pairs are left than the last time.
        cdef double work = min(<double>self.k, BALL_GROWTH * self.left) * self.p
        cdef ptrdiff_t first, last
        cdef int thread
        cdef ptrdiff_t a_slice = slice_chunks(work + self.p, max(1, self.points.n_rows // self.tasks), 0, self.n_threads)
        for first in range(0, self.tasks, a_slice):
            last = min(first + a_slice, self.tasks)
            shares_fill(self.shares, self.n_threads, first, last)
            with nogil:
                for thread in prange(self.n_threads, num_threads=self.n_threads, schedule="static", chunksize=1):
                    self._pass_own(stage, thread, &centers[0, 0], labels)
            PyErr_CheckSignals()
        return 0

    cdef void _pass_own(self, int stage, int thread, const double* centers, int32_t* labels) noexcept nogil:
        """The ranges of balls of one thread, and others that are left."""
        cdef ptrdiff_t task = shares_next(self.shares, self.n_threads, thread)
        while task >= 0:
            self._task(stage, task, thread, centers, labels)
            task = shares_next(self.shares, self.n_threads, thread)

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
        self.left = self._compared()
        self.visited[:, :] = centers
        self.void = False
        return 0

    cdef int sums(self, const double[:, ::1] centers, double[::1] totals) except -1:
        cdef ptrdiff_t task, j, stride = sums_stride(self.p)
        cdef int32_t[::1] labels
        self.iteration += 1
        if self._call_other():
            return self.other.sums(centers, totals)
        if self.iteration == 1 and self.k >= BALL_MANY_CENTERS and self.k * self.p >= BALL_MUCH_WORK:
            self._make_coarsely(centers)
        if self.iteration == self.next_trial and self.left > BALL_FEW_PAIRS:
            self.next_trial *= 2
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
        cdef double left = self.left
        if self.useful:
            self._visit(BALL_LABEL, centers, &labels[0])
            self.left = left  # who looks on must not change when balls are made anew
            return self._cost(centers, labels, costs)
        if self._call_other():
            return self.other.assign(centers, costs, labels)
        return PlainSearch.assign(self, centers, costs, labels)

    cdef bint _call_other(self) except -1:
        """Is there another search, or is it time for one?"""
        if (self.other is None and self.otherwise is not None and self.iteration > self.patience and not self.useful
                and self.tried <= self.most_left):
            self.other = self.otherwise()
        return self.other is not None
