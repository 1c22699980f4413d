"""Whether points have clusters: `TrialSearch` asks a sample of them (balls.pxi)."""

cdef enum:
    TRIAL_SHARE = 50       # one row of so many is in the sample, which then takes less time than an iteration,
    TRIAL_ROWS = 64        # but not fewer a center, about,
    TRIAL_MOST_ROWS = 256  # nor more
    TRIAL_LABELS = 3       # of which balls are made: one may be that of a single row
    TRIAL_FEW_CENTERS = 8  # up to which the first ones tell little, as some clusters have none and some have two


# Share of the pairs that the first centers leave where there is no hope.
cdef double TRIAL_ALL_PAIRS = 0.9


@cython.final
cdef class TrialSearch(PlainSearch):
    """The same until there prove to be clusters, whereupon `otherwise` is called for another search, which stays.

    For searches that only lose where there are none, and do not tell before they are ready. In the first iteration, and
    then in the second, fourth and so on until there is no hope, balls are made of a sample of the rows, of some labels:
    there are clusters if these leave at most a share of `most_pairs` of the pairs of rows and centers.
    """

    cdef readonly object otherwise
    cdef:
        object sample_points
        BallSearch sample
        PlainSearch other
        ptrdiff_t iteration, next_trial
        double most_pairs

    def __cinit__(self, points, const double[::1] weights, ptrdiff_t k, int n_threads, otherwise, *,
                  double most_pairs=BALL_MOST_PAIRS):
        if otherwise is None:
            raise ValueError("otherwise must be given: what calls for another search")
        cdef ptrdiff_t n = self.points.n_rows, rows = max(<ptrdiff_t>TRIAL_ROWS, n // (TRIAL_SHARE * k))
        rows = min(rows, <ptrdiff_t>TRIAL_MOST_ROWS)
        self.sample_points = points[:: step_without_period(n // (rows * k))]
        self.otherwise, self.most_pairs = otherwise, most_pairs
        self.iteration, self.next_trial = 0, 1

    cdef int _ask(self, const double[:, ::1] centers) except -1:
        """Look for clusters among the sample, and for the other search if there are any."""
        cdef double left
        cdef int32_t[::1] labels = np.empty(len(self.sample_points), dtype=np.int32)
        if self.sample is None:
            self.sample = BallSearch(self.sample_points, None, self.k, 1)
        self.sample._label_and_sum(centers, np.empty(self.k * sums_stride(self.p)), &labels[0])
        left = self.sample._try(centers, labels, TRIAL_LABELS)
        if left <= self.most_pairs * self.k:
            self.other = self.otherwise()
            self.sample = self.sample_points = None
        elif self.sample.n_balls == 0:
            return 0  # nobody has these labels: that tells nothing
        elif self.iteration > 1 and self.sample._hopeless(left):
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
