"""The rows in boxes: `BoxSearch` orders them by a k-d tree and drops centers for whole boxes of rows (filtering.h)."""

cdef extern from "common/kdtree.h" nogil:
    enum:
        KDTREE_FAN
        KDTREE_LEVELS
        KDTREE_MOST_COLUMNS
    ctypedef struct kdtree_fan:
        pass
    ctypedef struct kdtree_worker:
        float* columns
        float* sample
        double* row
    void kdtree_fan_plan(kdtree_fan* fan, int levels, const matrix* points, ptrdiff_t start, ptrdiff_t count,
                         const double* shift, float* sample, double* row) noexcept
    void kdtree_descend(const kdtree_fan* fan, const matrix* points, ptrdiff_t start, ptrdiff_t stop,
                        const double* shift, float* columns, uint8_t* leaves, ptrdiff_t* counts) noexcept
    void kdtree_scatter(const uint8_t* leaves, const matrix* points, ptrdiff_t start, ptrdiff_t stop,
                        const uint32_t* numbers, ptrdiff_t* places, char* sorted, uint32_t* order) noexcept
    size_t kdtree_worker_bytes(ptrdiff_t p, ptrdiff_t row_bytes, ptrdiff_t most_rows) noexcept
    void kdtree_worker_place(kdtree_worker* worker, ptrdiff_t p, ptrdiff_t row_bytes, ptrdiff_t most_rows,
                             char* memory) noexcept
    void kdtree_split(kdtree_worker* worker, const matrix* points, ptrdiff_t start, ptrdiff_t stop, int levels,
                      const double* shift, uint32_t* order, ptrdiff_t* leaf_rows) noexcept


cdef extern from "kmeans/filtering.h" nogil:
    enum:
        BOX_PADDING
    ctypedef struct box_tree:
        ptrdiff_t p
        ptrdiff_t depth
        const char* tiles
        matrix_dtype dtype
        const double* weights
        const uint32_t* order
        const ptrdiff_t* leaf_rows
        double* boxes
        double* sums
    ctypedef struct box_worker:
        double pairs
    ctypedef struct box_candidates:
        ptrdiff_t count
        int32_t* numbers
        double* columns
    ctypedef struct box_visit:
        const double* centers
        ptrdiff_t k
        double* sums
        double* costs
        int32_t* labels
    size_t box_worker_bytes(ptrdiff_t k, ptrdiff_t p, ptrdiff_t depth) noexcept
    void box_worker_place(box_worker* worker, ptrdiff_t k, ptrdiff_t p, ptrdiff_t depth, const int32_t* places,
                          char* memory) noexcept
    ptrdiff_t box_places(ptrdiff_t k) noexcept
    void box_candidates_fill(box_candidates* all, const double* centers, ptrdiff_t k, ptrdiff_t p) noexcept
    void box_leaves(box_tree* tree, const matrix* rows, ptrdiff_t first, ptrdiff_t last) noexcept
    void box_rows(const box_tree* tree, ptrdiff_t leaf, char* out) noexcept
    void box_inner(box_tree* tree) noexcept
    void box_node(const box_tree* tree, box_worker* worker, const box_visit* visit, ptrdiff_t node, ptrdiff_t level,
                  const box_candidates* among) noexcept


cdef enum:
    BOX_ROWS = 512          # rows a leaf, about; of 128 to 2048, 512 is within 10 % of the best at k = 16 and 256
    BOX_ROWS_OF_MANY = 256  # of as many centers as follow: smaller boxes pay for more of them (10 % at k = 1024)
    BOX_MANY_CENTERS = 512
    BOX_ROWS_OF_FEW = 1024  # of so many centers at most: what larger boxes drop less is less than they are sooner made
    BOX_VERY_FEW_CENTERS = 4
    BOX_SEGMENTS = 16       # ranges of rows that are distributed over the buckets independently
    BOX_CROWD = 4           # buckets of more times the mean number of rows, mostly equal ones, are not split further
    BOX_FEW_CENTERS = 32    # up to which labels, which go to scattered places here, are found quicker in the rows' order
    BOX_TASKS = 64          # at most: subtrees that are the units of work and of partial sums
    BOX_LEAST_TASKS = 4
    BOX_LEAST_ROWS = 1024   # in one: some microseconds, long beside the time to hand it to a thread
    BOX_ROWS_A_CENTER = 8   # at least in one: partial sums are then small beside the rows


@cython.final
cdef class BoxSearch(PartsSearch):
    """The same over rows ordered by a k-d tree, with centers dropped for whole boxes of rows.

    If more than a share of `most_pairs` of the pairs of rows and centers are left in the first of all iterations, all are
    compared from then on. Takes 4 bytes a row and a copy of the rows and their weights, in float64 or else float32; a
    thread, k p numbers of 8 bytes for every level of the tree.
    """

    cdef:
        box_tree tree
        size_t worker_size
        ptrdiff_t tasks_a_slice
        char* workers
        char* box_partials
        box_candidates all
        int32_t[::1] all_numbers
        double[::1] all_columns
        double most_pairs
        bint given_up
        object keep, sorted

    def __init__(self, points, const double[::1] weights, ptrdiff_t k, int n_threads, otherwise=None,
                 ptrdiff_t patience=1, double most_pairs=1):
        cdef ptrdiff_t n = self.points.n_rows, p = self.p, depth = 0, most
        self.most_pairs, self.given_up = most_pairs, False
        if p > KDTREE_MOST_COLUMNS:
            raise ValueError(f"points must have at most {KDTREE_MOST_COLUMNS} columns to be ordered, got {p}")
        cdef ptrdiff_t rows = BOX_ROWS
        if k <= BOX_VERY_FEW_CENTERS:
            rows = BOX_ROWS_OF_FEW
        elif k >= BOX_MANY_CENTERS:
            rows = BOX_ROWS_OF_MANY
        while (n >> depth) > rows and depth < 2 * KDTREE_LEVELS:
            depth += 1
        self.tree.p, self.tree.depth = p, depth
        self._sort()
        most = max(<ptrdiff_t>BOX_LEAST_TASKS, min(<ptrdiff_t>BOX_TASKS, n // max(BOX_LEAST_ROWS, BOX_ROWS_A_CENTER * k)))
        self.tasks = 1
        while 2 * self.tasks <= min(most, 1 << depth):
            self.tasks *= 2
        self.pairs = np.empty(self.tasks)
        self.worker_size = padded(box_worker_bytes(k, p, depth))
        self.tasks_a_slice = min(self.tasks, max(<ptrdiff_t>(2 * n_threads),
                                                 <ptrdiff_t>(SLICE_BYTES // (self.partial_size + 1))))
        memory = np.empty(self.worker_size * n_threads + self.partial_size * self.tasks_a_slice + 64, dtype=np.uint8)
        cdef unsigned char[::1] view = memory
        self.workers = <char*>((<uintptr_t>&view[0] + 63) // 64 * 64)
        self.box_partials = self.workers + self.worker_size * n_threads
        self.all_numbers, self.all_columns = np.empty(box_places(k), dtype=np.int32), np.empty(box_places(k) * p)
        self.all.numbers, self.all.columns = &self.all_numbers[0], &self.all_columns[0]
        self.keep = memory

    def layout(self):
        """The rows in their order, for others: (n x p of float64 or float32, weights or None, the caller's row of each or
        None, where each leaf begins and n, the leaves' boxes as 2 p least and greatest coordinates)."""
        _, numbers, leaf_rows, boxes, _, weights = self.sorted
        cdef ptrdiff_t n = self.points.n_rows, leaf, leaves = 1 << self.tree.depth
        rows = np.empty((n, self.p), dtype=np.float64 if self.tree.dtype == MATRIX_FLOAT64 else np.float32)
        cdef uint8_t[::1] out = rows.reshape(-1).view(np.uint8)
        with nogil:
            for leaf in prange(leaves, num_threads=self.n_threads, schedule="dynamic"):
                box_rows(&self.tree, leaf, <char*>&out[0])
        return rows, None if weights is None else weights[:n], numbers, leaf_rows, boxes.reshape(-1, 2 * self.p)[leaves:]

    cdef int _sort(self) except -1:
        """Order the rows by leaf, and fill in boxes and sums: all rows over buckets first, then bucket by bucket."""
        cdef ptrdiff_t n = self.points.n_rows, p = self.p, leaves = 1 << self.tree.depth, segment, bucket, place, count
        cdef int levels = <int>(self.tree.depth + 1) // 2, rest = <int>self.tree.depth - levels
        cdef ptrdiff_t buckets = 1 << levels, a_segment = (n + BOX_SEGMENTS - 1) // BOX_SEGMENTS
        cdef ptrdiff_t row_bytes = p << <int>self.points.dtype
        cdef double[::1] shift = np.empty(p), boxes = np.empty(4 * leaves * p)
        cdef double[::1] sums = np.empty(2 * leaves * sums_stride(p))
        cdef double[::1] weights = None if self.weights == NULL else np.zeros(n + BOX_PADDING)
        cdef uint8_t[::1] bucket_of = np.empty(n, dtype=np.uint8), rows
        # Only weights and labels need to know which row is where.
        cdef bint numbered = self.weights != NULL or self.k > BOX_FEW_CENTERS
        cdef uint32_t[::1] numbers = np.empty(n if numbered else 1, dtype=np.uint32)
        cdef uint32_t* order = &numbers[0] if numbered else NULL
        cdef ptrdiff_t[:, ::1] places = np.empty((BOX_SEGMENTS, KDTREE_FAN), dtype=np.intp)
        cdef ptrdiff_t[::1] leaf_rows = np.empty(leaves + 1, dtype=np.intp)
        cdef kdtree_fan fan
        cdef kdtree_worker worker
        cdef int thread
        cdef ptrdiff_t most = min(n, BOX_CROWD * (n // buckets + 1))
        cdef size_t memory_size = padded(kdtree_worker_bytes(p, row_bytes, most))
        cdef char* memory = <char*>scratch_allocate(memory_size * self.n_threads)
        rows = np.empty(n * row_bytes + (BOX_PADDING << <int>self.points.dtype), dtype=np.uint8)
        cdef matrix sorted_rows = self.points
        sorted_rows.data = <const char*>&rows[0]
        sorted_rows.row_stride, sorted_rows.column_stride = row_bytes, 1 << <int>self.points.dtype
        self.tree.dtype = MATRIX_FLOAT64 if self.points.dtype == MATRIX_FLOAT64 else MATRIX_FLOAT32
        # Tiles take the place of the rows that they are made from where both are of one type.
        cdef uint8_t[::1] tiles = rows
        if self.points.dtype != self.tree.dtype:
            tiles = np.empty((n * p + BOX_PADDING) << <int>self.tree.dtype, dtype=np.uint8)
        self.tree.tiles = <const char*>&tiles[0]
        self.tree.weights = NULL if self.weights == NULL else &weights[0]
        self.tree.order, self.tree.leaf_rows = order, &leaf_rows[0]
        self.tree.boxes, self.tree.sums = &boxes[0], &sums[0]
        self.sorted = (tiles.base, numbers.base if numbered else None, leaf_rows.base, boxes.base, sums.base,
                       None if weights is None else weights.base)
        try:
            memset(&fan, 0, sizeof(fan))
            kdtree_worker_place(&worker, p, row_bytes, most, memory)
            matrix_row_f64(&self.points, 0, &shift[0])
            for place in range(p):
                shift[place] = <float>shift[place]
            kdtree_fan_plan(&fan, levels, &self.points, 0, n, &shift[0], worker.sample, worker.row)
            with nogil:
                for segment in prange(BOX_SEGMENTS, num_threads=self.n_threads, schedule="dynamic"):
                    kdtree_descend(&fan, &self.points, min(segment * a_segment, n), min((segment + 1) * a_segment, n),
                                   &shift[0], <float*>(memory + threadid() * memory_size),
                                   &bucket_of[0] + min(segment * a_segment, n), &places[segment, 0])
                place = 0
                for bucket in range(buckets):
                    leaf_rows[bucket << rest] = place
                    for segment in range(BOX_SEGMENTS):
                        count = places[segment, bucket]
                        places[segment, bucket] = place
                        place += count
                leaf_rows[leaves] = n
                for segment in prange(BOX_SEGMENTS, num_threads=self.n_threads, schedule="dynamic"):
                    kdtree_scatter(&bucket_of[0] + min(segment * a_segment, n), &self.points, min(segment * a_segment, n),
                                   min((segment + 1) * a_segment, n), NULL, &places[segment, 0], <char*>&rows[0],
                                   order)
            PyErr_CheckSignals()
            shares_fill(self.shares, self.n_threads, 0, buckets)
            with nogil:
                for thread in prange(self.n_threads, num_threads=self.n_threads, schedule="static", chunksize=1):
                    self._split_own(thread, memory + thread * memory_size, most, rest, &sorted_rows, &shift[0], order,
                                    &leaf_rows[0])
                box_inner(&self.tree)
            PyErr_CheckSignals()
        finally:
            scratch_free(memory)
        return 0

    cdef void _split_own(self, int thread, char* memory, ptrdiff_t most, int rest, const matrix* rows,
                         const double* shift, uint32_t* order, ptrdiff_t* leaf_rows) noexcept nogil:
        """The buckets of one thread, whose rows it will visit; and others that are left."""
        cdef ptrdiff_t bucket = shares_next(self.shares, self.n_threads, thread)
        while bucket >= 0:
            self._split(memory, most, bucket, rest, rows, shift, order, leaf_rows)
            bucket = shares_next(self.shares, self.n_threads, thread)

    cdef void _split(self, char* memory, ptrdiff_t most, ptrdiff_t bucket, int rest, const matrix* rows,
                     const double* shift, uint32_t* order, ptrdiff_t* leaf_rows) noexcept nogil:
        """The leaves of one bucket of rows, with their tiles, boxes, sums and weights."""
        cdef kdtree_worker worker
        cdef ptrdiff_t first = bucket << rest, last = (bucket + 1) << rest, place
        if rest > 0:
            kdtree_worker_place(&worker, self.p, rows.row_stride, most, memory)
            kdtree_split(&worker, rows, leaf_rows[first], leaf_rows[last], rest, shift, order,
                         leaf_rows + first)
        if self.weights != NULL:
            for place in range(leaf_rows[first], leaf_rows[last]):
                (<double*>self.tree.weights)[place] = self.weights[order[place]]
        box_leaves(&self.tree, rows, first, last)

    cdef void _visit(self, ptrdiff_t task, int thread, ptrdiff_t slot, const double* centers,
                     int32_t* labels) noexcept nogil:
        """One subtree: sums, or labels and costs where labels are given, to the partial result `slot`."""
        cdef box_worker worker
        cdef box_visit visit
        cdef double* partial = <double*>(self.box_partials + slot * self.partial_size)
        cdef char* scratch = self.scratch + thread * self.scratch_size
        box_worker_place(&worker, self.k, self.p, self.tree.depth, self.all.numbers,
                         self.workers + thread * self.worker_size)
        visit.centers, visit.k, visit.labels = centers, self.k, labels
        visit.sums, visit.costs = NULL, partial
        if labels == NULL:
            visit.sums = sums_begin(lloyd_sums(scratch, self.k, self.p), partial, self.k, self.p)
        else:
            memset(partial, 0, self.partial_size)
        box_node(&self.tree, &worker, &visit, self.tasks + task, 0, &self.all)
        self.pairs[task] = worker.pairs
        if labels == NULL:
            sums_fold(visit.sums, partial, self.k, self.p)

    cdef void _visit_own(self, int thread, ptrdiff_t first, const double* centers, int32_t* labels) noexcept nogil:
        """The subtrees of one thread, the first of all being `first`; and others that are left."""
        cdef ptrdiff_t task = shares_next(self.shares, self.n_threads, thread)
        while task >= 0:
            self._visit(task, thread, task - first, centers, labels)
            task = shares_next(self.shares, self.n_threads, thread)

    cdef int _visit_all(self, const double[:, ::1] centers, int32_t* labels, double* totals, ptrdiff_t size) except -1:
        cdef ptrdiff_t first, task, last
        cdef int thread
        box_candidates_fill(&self.all, &centers[0, 0], self.k, self.p)
        for first in range(0, self.tasks, self.tasks_a_slice):
            last = min(first + self.tasks_a_slice, self.tasks)
            shares_fill(self.shares, self.n_threads, first, last)
            with nogil:
                for thread in prange(self.n_threads, num_threads=self.n_threads, schedule="static", chunksize=1):
                    self._visit_own(thread, first, &centers[0, 0], labels)
                for task in range(first, last):
                    add_to(<double*>(self.box_partials + (task - first) * self.partial_size), size, totals)
            PyErr_CheckSignals()
        return 0

    cdef int sums(self, const double[:, ::1] centers, double[::1] totals) except -1:
        if self.given_up:
            return PlainSearch.sums(self, centers, totals)
        totals[:] = 0
        self._visit_all(centers, NULL, &totals[0], self.k * sums_stride(self.p))
        if self.most_pairs < 1:
            self.given_up = self._compared() > self.most_pairs * self.k
            self.most_pairs = 1  # it is decided
        return 0

    cdef int assign(self, const double[:, ::1] centers, double[:, ::1] costs, int32_t[::1] labels) except -1:
        if self.given_up or self.k <= BOX_FEW_CENTERS:
            return PlainSearch.assign(self, centers, costs, labels)
        costs[:, :] = 0
        return self._visit_all(centers, &labels[0], &costs[0, 0], self.k * COST_STRIDE)
