"""Whether points have clusters: `TrialSearch` asks a sample of them what balls would leave (trial.h)."""

cdef extern from "kmeans/trial.h" nogil:
    ctypedef struct ball_trial:
        pass
    ptrdiff_t trial_collect(const int32_t* labels, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t step, const int32_t* slots,
                            uint32_t* rows, ptrdiff_t found) noexcept
    ptrdiff_t trial_sort(const int32_t* labels, const int32_t* slots, ptrdiff_t n_slots, const uint32_t* rows,
                         ptrdiff_t found, ptrdiff_t* begins, uint32_t* order) noexcept
    size_t ball_trial_bytes(ptrdiff_t k, ptrdiff_t p, ptrdiff_t most_rows) noexcept
    void ball_trial_place(ball_trial* trial, const matrix* points, ptrdiff_t k, ptrdiff_t most_rows, char* memory) noexcept
    double ball_trial_pairs(ball_trial* trial, const double* centers, uint32_t* order, ptrdiff_t count,
                            ptrdiff_t least_rows) noexcept


cdef enum:
    TRIAL_LABELS_SHARE = 16  # one label of so many tells
    TRIAL_MOST_ROWS_CUT = 4096  # about, unless these are of the fewest labels that may be asked
    TRIAL_LABEL_ROWS = 1024  # of one label, about, where it has more: their balls are hardly larger than those of all
    TRIAL_PIECE = 32768      # rows of one label, at most, that are cut at a time
    TRIAL_LOOK = 1 << 24     # rows, about, between two looks at signals

    TRIAL_SHARE = 50         # one row of so many is in the sample, which then takes less time than an iteration,
    TRIAL_ROWS = 64          # but not fewer a center, about,
    TRIAL_MOST_ROWS = 256    # nor more
    TRIAL_LABELS = 3         # of which balls are made: one may be that of a single row
    TRIAL_FEW_CENTERS = 8    # up to which the first ones tell little, as some clusters have none and some have two


# Share of the pairs that the first centers leave where there is no hope.
cdef double TRIAL_ALL_PAIRS = 0.9
# The same of later ones: more are not to be expected to become few. Points of few columns leave fewer even where they
# have no clusters.
cdef double TRIAL_HOPELESS = 0.7, TRIAL_HOPELESS_A_COLUMN = 0.06


cdef ptrdiff_t step_without_period(ptrdiff_t step) noexcept nogil:
    """A step of at most this, to take a sample of rows by, that no small number divides: rows of clusters may come in turn."""
    while step > 1 and (step % 2 == 0 or step % 3 == 0 or step % 5 == 0 or step % 7 == 0):
        step -= 1
    return max(<ptrdiff_t>1, step)


cdef bint hopeless(double left, ptrdiff_t k, ptrdiff_t p) noexcept:
    """Are so many centers a row not to be expected to become few?"""
    return left > min(TRIAL_HOPELESS, TRIAL_HOPELESS_A_COLUMN * p) * k


cdef double left_by_balls(const matrix* points, const int32_t* labels, ptrdiff_t n_labels, const double* centers,
                          ptrdiff_t k, ptrdiff_t least_labels, ptrdiff_t least_rows) except -1:
    """The mean number of the k centers that are left a row, if rows of some of the labels are cut into balls; INFINITY if
    none have these labels. Balls count as if they had so many rows at least.

    One thread does it: the rows are few, and to wake others up, again and again, takes longer. As it is done in every run
    of few points, it is done without a Python object.
    """
    cdef ptrdiff_t rows_a_label = points.n_rows // n_labels, step = step_without_period(rows_a_label // TRIAL_LABEL_ROWS)
    cdef ptrdiff_t n = points.n_rows // step, n_slots, slot, first, at, size, rows = 0, most
    cdef double pairs = 0
    cdef ball_trial trial
    cdef char* memory = NULL
    n_slots = min(n_labels // TRIAL_LABELS_SHARE, TRIAL_MOST_ROWS_CUT // max(1, min(rows_a_label, <ptrdiff_t>TRIAL_LABEL_ROWS)))
    n_slots = min(n_labels, max(n_slots, least_labels))
    cdef size_t begins_size = padded((n_slots + 1) * sizeof(ptrdiff_t)), slots_size = padded(n_labels * sizeof(int32_t))
    # Of the rows' memory hardly any is ever touched.
    cdef char* tables = <char*>scratch_allocate(begins_size + slots_size + (n + 1) * sizeof(uint32_t))
    cdef ptrdiff_t* begins = <ptrdiff_t*>tables
    cdef int32_t* slots = <int32_t*>(tables + begins_size)
    cdef uint32_t* found = <uint32_t*>(tables + begins_size + slots_size)
    cdef uint32_t* order
    try:
        for at in range(n_labels):
            slots[at] = -1
        for slot in range(n_slots):
            slots[slot * n_labels // n_slots] = <int32_t>slot
        for first in range(0, n, TRIAL_LOOK):
            rows = trial_collect(labels, first, min(first + TRIAL_LOOK, n), step, slots, found, rows)
            PyErr_CheckSignals()
        if rows == 0:
            return INFINITY
        size = padded(rows * sizeof(uint32_t))
        memory = <char*>scratch_allocate(size + ball_trial_bytes(k, points.n_columns, min(rows, <ptrdiff_t>TRIAL_PIECE)))
        order = <uint32_t*>memory
        most = min(trial_sort(labels, slots, n_slots, found, rows, begins, order), <ptrdiff_t>TRIAL_PIECE)
        ball_trial_place(&trial, points, k, most, memory + size)
        for slot in range(n_slots):
            at = begins[slot]
            while at < begins[slot + 1]:
                size = min(begins[slot + 1] - at, most)
                with nogil:
                    pairs += ball_trial_pairs(&trial, centers, order + at, size, least_rows)
                at += size
                PyErr_CheckSignals()
    finally:
        scratch_free(tables)
        scratch_free(memory)
    return pairs / rows


cdef matrix sample_of(const matrix* points, ptrdiff_t rows) noexcept:
    """So many of the rows, or some more, evenly spaced."""
    cdef matrix sample = points[0]
    cdef ptrdiff_t step = step_without_period(points.n_rows // rows)
    sample.n_rows, sample.row_stride = 1 + (points.n_rows - 1) // step, step * points.row_stride
    return sample


cdef int label_sample(PlainSearch search, const matrix* sample, const double[:, ::1] centers, int32_t* labels) except -1:
    """The nearest center of each row of a sample of the search's points."""
    cdef ptrdiff_t n = sample.n_rows, at
    centers_table_fill(&search.table, &centers[0, 0])
    for at in range(0, n, search.rows):
        lloyd_chunk(&search.table, sample, NULL, at, min(at + search.rows, n), search.scratch, <double*>search.partials,
                    labels)
    return 0


@cython.final
cdef class TrialSearch(PlainSearch):
    """The same until `otherwise` returns another search, which stays, as there prove to be clusters.

    For searches that only lose where there are none, and do not tell before they are ready. In the first iteration, and
    then in the second, fourth and so on until there is no hope, balls are made of a sample of the rows, of some labels,
    and `otherwise` is called with the share of the pairs of rows and centers that these leave.
    """

    cdef readonly object otherwise
    cdef:
        matrix sample
        PlainSearch other
        ptrdiff_t iteration, next_trial

    def __cinit__(self, points, const double[::1] weights, ptrdiff_t k, int n_threads, otherwise):
        if otherwise is None:
            raise ValueError("otherwise must be given: what calls for another search")
        cdef ptrdiff_t rows = max(<ptrdiff_t>TRIAL_ROWS, self.points.n_rows // (TRIAL_SHARE * k))
        self.sample = sample_of(&self.points, min(rows, <ptrdiff_t>TRIAL_MOST_ROWS) * k)
        self.otherwise = otherwise
        self.iteration, self.next_trial = 0, 1

    cdef int _ask(self, const double[:, ::1] centers) except -1:
        """Look for clusters among the sample, and for the other search if there are any."""
        cdef ptrdiff_t n = self.sample.n_rows
        cdef double left
        cdef int32_t* labels = <int32_t*>scratch_allocate(n * sizeof(int32_t))
        try:
            label_sample(self, &self.sample, centers, labels)
            left = left_by_balls(&self.sample, labels, self.k, &centers[0, 0], self.k, TRIAL_LABELS, 1)
        finally:
            scratch_free(labels)
        if left == INFINITY:
            return 0  # nobody has these labels: that tells nothing
        self.other = self.otherwise(left / self.k)
        if self.other is not None:
            self.next_trial = 0
        elif self.iteration > 1 and hopeless(left, self.k, self.p):
            self.next_trial = 0
        elif self.k > TRIAL_FEW_CENTERS and left > TRIAL_ALL_PAIRS * self.k:
            self.next_trial = 0
        return 0

    cdef int sums(self, const double[:, ::1] centers, double[::1] totals) except -1:
        self.iteration += 1
        if self.other is None and self.iteration == self.next_trial:
            self.next_trial *= 2
            self._ask(centers)
        if self.other is not None:
            return self.other.sums(centers, totals)
        return self._label_and_sum(centers, totals, NULL)

    cdef int assign(self, const double[:, ::1] centers, double[:, ::1] costs, int32_t[::1] labels) except -1:
        if self.other is not None:
            return self.other.assign(centers, costs, labels)
        return PlainSearch.assign(self, centers, costs, labels)
