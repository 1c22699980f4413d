"""Medoids and what they serve: assignment, and what additions and swaps would change. All k-medoids methods use this.

`Medoids` holds the two nearest medoids of every point (service.h) and evaluates candidates, in parallel, against them;
which swaps are made, in which order, is for the caller to decide (fastcluster_ext/_kmedoids). A candidate is bounded in
float32 first (screen.h, sieve.h), and its bound, less what swaps can have changed since, is kept: only candidates that
it does not rule out are evaluated in float64. Cost: O(n) a candidate, most of it at memory speed (a matrix) or left out
(points); O(n) to O(n k) a swap. Memory: O(n) beside the caller's data; from points, a copy of them in float64 and one in
float32, never n^2.

Invariant: after every method the two nearest medoids, ties to the lowest slot, and the loss are those a search over all
medoids would give, and no result depends on the number of threads or, given the distances (common/metrics.h), on the
instruction set.
"""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY, fabs
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t, int64_t

from common.matrix cimport acquire_matrix, matrix, weights_pointer
from common.metrics cimport (METRIC_PANEL, make_metric, metric, metric_pack_f64, metric_panel_size, metric_panels,
                             metric_row_f64)
from common.scratch cimport padded, scratch_allocate, scratch_free


cdef extern from "kmedoids/source.h" nogil:
    ctypedef enum source_dtype:
        SOURCE_UINT8
        SOURCE_UINT16
        SOURCE_FLOAT32
        SOURCE_FLOAT64
        SOURCE_INT8
        SOURCE_INT16
        SOURCE_INT32
        SOURCE_INT64
        SOURCE_UINT32
        SOURCE_UINT64

    ctypedef struct source:
        ptrdiff_t n_rows
        ptrdiff_t n_points
        const char* data
        ptrdiff_t row_stride
        ptrdiff_t column_stride
        source_dtype dtype
        metric m
        const double* row_panels
        const double* point_panels

    double source_work(const source* s) noexcept
    void source_row(const source* s, ptrdiff_t c, double* buffer, double* out) noexcept


cdef extern from "kmedoids/service.h" nogil:
    enum:
        SERVICE_CHUNK

    ctypedef struct service:
        ptrdiff_t n
        ptrdiff_t k
        const double* weights
        double* first
        double* second
        int32_t* nearest
        int32_t* next
        double* removal

    size_t service_scratch_bytes(ptrdiff_t k) noexcept
    void service_assign(const source* s, service* v, const int64_t* medoids, ptrdiff_t start, ptrdiff_t stop,
                        char* scratch, double* sums) noexcept
    double service_loss(const source* s, const double* weights, const int64_t* medoids, ptrdiff_t k, ptrdiff_t start,
                        ptrdiff_t stop, double* buffer) noexcept
    double service_labels(const source* s, const double* weights, const int64_t* medoids, ptrdiff_t k, ptrdiff_t start,
                          ptrdiff_t stop, double* buffer, int32_t* labels, double* distances) noexcept
    void service_swap(const source* s, service* v, const int64_t* medoids, ptrdiff_t slot, ptrdiff_t start,
                      ptrdiff_t stop, char* scratch, double* sums) noexcept
    double service_evaluate(const source* s, const service* v, ptrdiff_t c, char* scratch, ptrdiff_t* slot) noexcept
    double service_drift(const source* s, const service* v, ptrdiff_t c, ptrdiff_t slot, char* scratch) noexcept
    double service_sum(const source* s, const double* weights, ptrdiff_t c, double* buffer) noexcept


cdef extern from "kmedoids/screen.h" nogil:
    ctypedef struct screen:
        float* first
        float* second
        float* weights
        int32_t* nearest
        double slack
        int bits

    enum:
        SCREEN_ROWS

    ptrdiff_t screen_padded(ptrdiff_t n) noexcept
    double screen_fill(screen* f, const service* v, ptrdiff_t start, ptrdiff_t stop) noexcept
    bint screen_suits(double farthest, double heaviest, ptrdiff_t k) noexcept
    int screen_bits(ptrdiff_t k) noexcept
    size_t screen_scratch_bytes(ptrdiff_t k) noexcept
    void screen_bounds(const screen* f, const source* s, const service* v, const int64_t* candidates, ptrdiff_t rows,
                       char* scratch, double* lower, double* upper) noexcept


cdef extern from "kmedoids/sieve.h" nogil:
    ctypedef struct sieve:
        metric m
        ptrdiff_t n_panels
        ptrdiff_t capacity
        ptrdiff_t padded
        float* columns
        float* first
        float* second
        float* weights
        float* low
        float* high
        float* reach
        int32_t* owner
        double* weight
        double* shift
        double error

    bint sieve_suits(const metric* m) noexcept
    ptrdiff_t sieve_panels(ptrdiff_t n, ptrdiff_t k) noexcept
    double sieve_error(const metric* m, double largest) noexcept
    double sieve_size(const source* s, ptrdiff_t point, const double* shift) noexcept
    void sieve_fill(sieve* f, const source* s, const service* v, ptrdiff_t at, const int32_t* points,
                    ptrdiff_t count) noexcept
    size_t sieve_scratch_bytes(const sieve* f, ptrdiff_t k) noexcept
    void sieve_bounds(const sieve* f, const source* s, const service* v, ptrdiff_t c, char* scratch, double* lower,
                      double* upper) noexcept


cdef extern from "kmedoids/check.h" nogil:
    enum:
        CHECK_BLOCK

    ctypedef enum check_result:
        CHECK_PASSED
        CHECK_VALUE
        CHECK_ASYMMETRIC

    check_result check_blocks(const source* s, ptrdiff_t block, double relative, ptrdiff_t* where) noexcept


cdef enum:
    # Distances between two looks at pending signals, for each thread; about 20 ms.
    SLICE_WORK = 1 << 25
    # Distances below which a parallel loop does not pay: about 100 us of one core. Eager swaps come in hundreds of small
    # batches; a quarter of what it was (1 << 20) takes 20 ms of 340 off 134 swaps among 20 000 points.
    TEAM_WORK = 1 << 18
    # Candidates that the best of all swaps is first looked for among.
    LIKELY = 256
    # How many of the distances a sieve leaves, about: one in so many.
    SIEVE_LEAVES = 8


cdef inline double rounding() noexcept nogil:
    return 1e-12


cdef object _empty(shape, dtype):
    import numpy
    return numpy.empty(shape, dtype)


cdef int _acquire_dissimilarities(object array, Py_buffer* buffer, source* s) except -1:
    """A square matrix as a source, read along its contiguous direction (it is symmetric)."""
    PyObject_GetBuffer(array, buffer, PyBUF_STRIDES | PyBUF_FORMAT)
    cdef str code = (<bytes>buffer.format).decode()
    if buffer.ndim != 2 or buffer.shape[0] != buffer.shape[1] or len(code) != 1 or code not in "bhilqBHILQ?fd":
        raise TypeError(f"not a square matrix of numbers: {buffer.ndim}-D, {code!r}")
    signed = {1: SOURCE_INT8, 2: SOURCE_INT16, 4: SOURCE_INT32, 8: SOURCE_INT64}
    unsigned = {1: SOURCE_UINT8, 2: SOURCE_UINT16, 4: SOURCE_UINT32, 8: SOURCE_UINT64}
    real = {4: SOURCE_FLOAT32, 8: SOURCE_FLOAT64}
    s.dtype = (real if code in "fd" else signed if code in "bhilq" else unsigned)[buffer.itemsize]
    s.data = <const char*>buffer.buf
    s.n_rows = s.n_points = buffer.shape[0]
    s.row_stride, s.column_stride = buffer.strides[0], buffer.strides[1]
    if abs(s.row_stride) < abs(s.column_stride):
        s.row_stride, s.column_stride = s.column_stride, s.row_stride
    return 0


def check_dissimilarities(array, *, double relative, int n_threads):
    """Return None, or what is wrong with a square matrix: ("value" or "asymmetric", row, column).

    relative: |a - b| allowed beside max(a, b), for matrices whose halves were rounded apart
    """
    cdef Py_buffer buffer
    cdef source s
    cdef ptrdiff_t first, last, block, blocks, a_slice
    cdef ptrdiff_t[2] where
    cdef check_result result
    cdef unsigned char[::1] wrong
    _acquire_dissimilarities(array, &buffer, &s)
    try:
        blocks = (s.n_rows + CHECK_BLOCK - 1) // CHECK_BLOCK
        wrong = _empty(blocks, "uint8")
        a_slice = 1 + <ptrdiff_t>SLICE_WORK * n_threads // (CHECK_BLOCK * s.n_rows)
        for first in range(0, blocks, a_slice):
            last = min(first + a_slice, blocks)
            with nogil:
                for block in prange(first, last, num_threads=n_threads, schedule="dynamic"):
                    wrong[block] = _block_is_wrong(&s, block, relative)
            for block in range(first, last):
                if wrong[block]:
                    result = check_blocks(&s, block, relative, where)
                    return "value" if result == CHECK_VALUE else "asymmetric", where[0], where[1]
            PyErr_CheckSignals()
        return None
    finally:
        PyBuffer_Release(&buffer)


cdef bint _block_is_wrong(const source* s, ptrdiff_t block, double relative) noexcept nogil:
    cdef ptrdiff_t[2] where
    return check_blocks(s, block, relative, where) != CHECK_PASSED


@cython.final
cdef class Medoids:
    """The two nearest medoids of every point, and what candidates would change.

    matrix: n x n dissimilarities of any integer or float type, checked; or None          IN
    rows, points: n_rows x p candidates and n_points x p points, the same object where they are the same; or None   IN
    weights: n_points, or None for ones                                                   IN
    order: a permutation of the points under which neighbors are close, or None: no sieve
    excluded: candidates that are never swapped in, ascending, or None
    """

    cdef:
        Py_buffer buffer
        bint acquired
        source s
        service v
        sieve f
        screen g
        readonly object first, second, nearest, medoids
        object owned, weights_owner, bounds_owner, excluded
        int64_t[::1] slots
        int32_t[::1] permutation
        double[::1] sums
        double* row_panels
        double* point_panels
        char* scratch
        char* mirror
        size_t scratch_size
        # What makes bounds, if anything does; is it up to date; and could it be screened, the largest d2 permitting?
        bint sifted, screened, fresh, can_screen
        double heaviest
        # Bounds on the changes that candidates make, when they were found, plus the drift there had been by then.
        double[::1] bounds
        double drift
        bint bounded, written
        int n_threads
        readonly double loss

    def __cinit__(self, *, ptrdiff_t k, const double[::1] weights, int n_threads, matrix=None, rows=None, points=None,
                  int code=-1, double exponent=2.0, order=None, excluded=None):
        cdef ptrdiff_t n, chunks
        self.row_panels = self.point_panels = NULL
        self.scratch = NULL
        self.mirror = NULL
        self.n_threads = n_threads
        self.s.data = NULL
        if matrix is not None:
            _acquire_dissimilarities(matrix, &self.buffer, &self.s)
            self.acquired = True
        else:
            self.s.m = make_metric(code, exponent, points.shape[1])
            self.s.n_rows, self.s.n_points = rows.shape[0], points.shape[0]
            self.point_panels = self.pack(points)
            self.s.point_panels = self.point_panels
            if rows is points:
                self.s.row_panels = self.point_panels
            else:
                self.row_panels = self.pack(rows)
                self.s.row_panels = self.row_panels
        n = self.s.n_points
        self.weights_owner = weights
        self.v.weights = weights_pointer(weights)
        self.v.n, self.v.k = n, 0
        self.first, self.second = _empty(n, "float64"), _empty(n, "float64")
        self.nearest = _empty(n, "int32")
        cdef double[::1] first = self.first, second = self.second, removal = _empty(k, "float64")
        cdef int32_t[::1] nearest = self.nearest, following = _empty(n, "int32")
        self.v.first, self.v.second = &first[0], &second[0]
        self.v.nearest, self.v.next = &nearest[0], &following[0]
        self.v.removal = &removal[0]
        chunks = (n + SERVICE_CHUNK - 1) // SERVICE_CHUNK
        self.sums = _empty(chunks * (k + 1), "float64")
        self.owned = (removal, following)
        self.slots = _empty(k, "int64")
        self.medoids = self.slots.base
        self.bounds = _empty(self.s.n_rows, "float64")
        self.excluded = excluded
        self.forget()
        import numpy
        self.heaviest = numpy.asarray(weights).max() if self.v.weights != NULL else 1.0
        self.scratch_size = padded(service_scratch_bytes(k))
        if matrix is not None:
            self.place_screen()
            self.scratch_size = max(self.scratch_size, padded(screen_scratch_bytes(k)))
        elif order is not None and sieve_suits(&self.s.m):
            self.permutation = order
            self.place_sieve(k)
            self.scratch_size = max(self.scratch_size, padded(sieve_scratch_bytes(&self.f, k)))
        self.scratch = <char*>scratch_allocate(self.scratch_size * n_threads)

    @property
    def k(self):
        """Number of medoids there are."""
        return self.v.k

    def __dealloc__(self):
        scratch_free(self.row_panels)
        scratch_free(self.point_panels)
        scratch_free(self.scratch)
        scratch_free(self.mirror)
        if self.acquired:
            PyBuffer_Release(&self.buffer)

    cdef double* pack(self, points) except NULL:
        """Points as float64 panels."""
        cdef Py_buffer buffer
        cdef matrix view
        cdef ptrdiff_t panel, panels, size = metric_panel_size(&self.s.m)
        cdef double* memory
        cdef int threads
        acquire_matrix(points, &buffer, &view)
        try:
            # Tiles of several panels are read whole, also the last.
            panels = metric_panels(view.n_rows)
            threads = self.team(<double>view.n_rows)
            memory = <double*>scratch_allocate(panels * size * sizeof(double))
            with nogil:
                for panel in prange(panels, num_threads=threads, schedule="static"):
                    metric_pack_f64(&self.s.m, &view, panel * METRIC_PANEL,
                                    min(METRIC_PANEL, view.n_rows - panel * METRIC_PANEL), memory + panel * size)
            return memory
        finally:
            PyBuffer_Release(&buffer)

    cdef int place_screen(self) except -1:
        """Memory of the screen."""
        cdef ptrdiff_t size = screen_padded(self.v.n)
        self.mirror = <char*>scratch_allocate(size * (4 if self.v.weights != NULL else 3) * sizeof(float))
        self.g.first = <float*>self.mirror
        self.g.second = self.g.first + size
        self.g.nearest = <int32_t*>(self.g.second + size)
        self.g.weights = <float*>(self.g.nearest + size) if self.v.weights != NULL else NULL
        self.can_screen = True
        return 0

    cdef int fill_screen(self, const service* v) except -1:
        """The float32 copy of the state, for rows of a matrix."""
        cdef ptrdiff_t chunk, chunks = (v.n + SERVICE_CHUNK - 1) // SERVICE_CHUNK
        cdef int threads = self.team(<double>v.n)
        cdef double[::1] farthest = _empty(chunks, "float64")
        cdef double slack = 0, most = 0
        for chunk in prange(chunks, num_threads=threads, schedule="static", nogil=True):
            farthest[chunk] = screen_fill(&self.g, v, chunk * SERVICE_CHUNK, min((chunk + 1) * SERVICE_CHUNK, v.n))
        for chunk in range(chunks):
            most = max(most, farthest[chunk])
        # The sum of d1 + d2 is twice the loss and the removal losses.
        for i in range(v.k):
            slack += v.removal[i]
        self.g.slack = 4 * 2.0**-24 * (2 * self.loss + slack)
        self.g.bits = screen_bits(v.k)
        self.screened = screen_suits(most, self.heaviest, v.k)
        self.fresh = True
        return 0

    cdef int place_sieve(self, ptrdiff_t k) except -1:
        """Memory of the sieve, its shift and its error bound; none if the data do not suit float32."""
        cdef ptrdiff_t i, o, p = self.s.m.n_features, panels = sieve_panels(self.s.n_points, k)
        cdef double largest = 0, size
        cdef char* at
        cdef sieve* f = &self.f
        f.m, f.capacity, f.padded, f.n_panels = self.s.m, panels, (panels + 31) // 16 * 16, 0
        cdef size_t values = padded(panels * METRIC_PANEL * sizeof(float)), boxes = padded(f.padded * sizeof(float))
        self.mirror = <char*>scratch_allocate(values * (p + 3) + boxes * (2 * p + 2) + padded(panels * sizeof(double))
                                       + padded(p * sizeof(double)))
        at = self.mirror
        f.columns = <float*>at
        f.first = <float*>(at + values * p)
        f.second = <float*>(at + values * (p + 1))
        f.weights = <float*>(at + values * (p + 2))
        at += values * (p + 3)
        f.low = <float*>at
        f.high = <float*>(at + boxes * p)
        f.reach = <float*>(at + boxes * 2 * p)
        f.owner = <int32_t*>(at + boxes * (2 * p + 1))
        at += boxes * (2 * p + 2)
        f.weight = <double*>at
        f.shift = <double*>(at + padded(panels * sizeof(double)))
        for i in range(p * f.padded):
            f.low[i] = f.high[i] = 0
        for i in range(f.padded):
            f.reach[i] = 0
        for i in range(p):
            f.shift[i] = 0
        for o in range(self.s.n_points):
            for i in range(p):
                f.shift[i] += metric_row_f64(&self.s.m, self.s.point_panels, o)[i * METRIC_PANEL] / self.s.n_points
        for o in range(self.s.n_points):
            size = sieve_size(&self.s, o, f.shift)
            largest = max(largest, size)
        cdef source rows = self.s
        rows.point_panels = self.s.row_panels
        for o in range(self.s.n_rows):
            size = sieve_size(&rows, o, f.shift)
            largest = max(largest, size)
        f.error = sieve_error(&f.m, largest)
        # Nothing may overflow or underflow float32: squares of coordinates, or weights.
        self.sifted = 1e-12 < largest < 1e15 and 1e-6 < self.heaviest < 1e12
        return 0

    cdef int fill_sieve(self, const service* v) except -1:
        """The float32 copy of the points, by nearest medoid and, within a cluster, in the given order."""
        cdef ptrdiff_t i, o, t, panel, count, total = 0, k = v.k, n = v.n
        cdef int32_t[::1] sorted_points = _empty(n, "int32")
        cdef ptrdiff_t[::1] starts = _empty(k + 1, "intp"), at = _empty(k, "intp")
        cdef int32_t[::1] permutation = self.permutation
        cdef int threads = self.team(<double>n * 32)
        cdef ptrdiff_t[::1] begins = _empty(self.f.capacity + 1, "intp"), counts = _empty(self.f.capacity + 1, "intp")
        with nogil:
            for i in range(k + 1):
                starts[i] = 0
            for o in range(n):
                starts[v.nearest[o] + 1] += 1
            for i in range(k):
                starts[i + 1] += starts[i]
                at[i] = starts[i]
            for t in range(n):
                o = permutation[t]
                i = v.nearest[o]
                sorted_points[at[i]] = <int32_t>o
                at[i] += 1
            for i in range(k):
                t = starts[i]
                while t < starts[i + 1]:
                    count = starts[i + 1] - t
                    if count > METRIC_PANEL:
                        count = METRIC_PANEL
                    begins[total] = t
                    counts[total] = count
                    total += 1
                    t += count
            for panel in prange(total, num_threads=threads, schedule="static"):
                sieve_fill(&self.f, &self.s, v, panel, &sorted_points[begins[panel]], counts[panel])
            # What a vector of boxes holds behind the last one is out of every candidate's reach.
            for i in range(total, self.f.padded):
                self.f.reach[i] = -INFINITY
        self.f.n_panels = total
        self.fresh = True
        return 0

    cdef double total(self, ptrdiff_t chunks) noexcept:
        """Loss and removal losses from the sums of all chunks, in order."""
        cdef ptrdiff_t chunk, i, stride = self.v.k + 1
        cdef double loss = 0
        for i in range(self.v.k):
            self.v.removal[i] = 0
        for chunk in range(chunks):
            loss += self.sums[chunk * stride]
            for i in range(self.v.k):
                self.v.removal[i] += self.sums[chunk * stride + 1 + i]
        self.fresh = False
        self.loss = loss
        return loss

    def assign(self, const int64_t[::1] medoids):
        """Take these medoids (at most k). Returns the loss. O(n k)."""
        cdef ptrdiff_t chunk, chunks = (self.v.n + SERVICE_CHUNK - 1) // SERVICE_CHUNK, first, last, a_slice
        cdef int threads = self.team(<double>self.v.n * medoids.shape[0])
        self.forget()
        self.v.k = medoids.shape[0]
        self.slots[:self.v.k] = medoids
        a_slice = 1 + <ptrdiff_t>(SLICE_WORK * self.n_threads / (SERVICE_CHUNK * self.v.k * source_work(&self.s)))
        for first in range(0, chunks, a_slice):
            last = min(first + a_slice, chunks)
            with nogil:
                for chunk in prange(first, last, num_threads=threads, schedule="dynamic"):
                    service_assign(&self.s, &self.v, &self.slots[0], chunk * SERVICE_CHUNK,
                                   min((chunk + 1) * SERVICE_CHUNK, self.v.n),
                                   self.scratch + threadid() * self.scratch_size,
                                   &self.sums[chunk * (self.v.k + 1)])
            PyErr_CheckSignals()
        return self.total(chunks)

    def loss_of(self, const int64_t[::1] medoids, int32_t[::1] labels=None, double[::1] distances=None):
        """The loss that these medoids would give, to the last bit; and which of them is nearest to each point, how far.

        All stays as it is. O(n k), but a third of `assign`, or half of it with labels.
        """
        cdef ptrdiff_t chunk, chunks = (self.v.n + SERVICE_CHUNK - 1) // SERVICE_CHUNK, first, last, a_slice
        cdef ptrdiff_t k = medoids.shape[0], stop
        cdef int threads = self.team(<double>self.v.n * k)
        cdef double[::1] sums = _empty(chunks, "float64")
        cdef bint labelled = labels is not None
        cdef double* buffer
        cdef double loss = 0
        a_slice = 1 + <ptrdiff_t>(SLICE_WORK * self.n_threads / (SERVICE_CHUNK * k * source_work(&self.s)))
        for first in range(0, chunks, a_slice):
            last = min(first + a_slice, chunks)
            with nogil:
                for chunk in prange(first, last, num_threads=threads, schedule="dynamic"):
                    buffer = <double*>(self.scratch + threadid() * self.scratch_size)
                    stop = min((chunk + 1) * SERVICE_CHUNK, self.v.n)
                    if labelled:
                        sums[chunk] = service_labels(&self.s, self.v.weights, &medoids[0], k, chunk * SERVICE_CHUNK,
                                                     stop, buffer, &labels[0], &distances[0])
                    else:
                        sums[chunk] = service_loss(&self.s, self.v.weights, &medoids[0], k, chunk * SERVICE_CHUNK,
                                                   stop, buffer)
            PyErr_CheckSignals()
        for chunk in range(chunks):
            loss += sums[chunk]
        return loss

    def swap(self, ptrdiff_t slot, int64_t candidate):
        """Put `candidate` in the place of medoid `slot`. Returns the loss. O(n), and O(k) for each point that loses."""
        cdef double before = self.loss
        if self.bounded and self.v.k > 1:
            self.drift += service_drift(&self.s, &self.v, candidate, slot, self.scratch) + rounding() * self.summed()
        self.replace(slot, candidate)
        if self.bounded and self.v.k == 1:
            self.drift += self.loss - before + rounding() * before
        return self.loss

    cdef int replace(self, ptrdiff_t slot, int64_t candidate) except -1:
        cdef ptrdiff_t chunk, chunks = (self.v.n + SERVICE_CHUNK - 1) // SERVICE_CHUNK
        # A swap looks at a point for about as long as it takes to read this many distances.
        cdef int threads = self.team(<double>self.v.n * 32)
        self.slots[slot] = candidate
        with nogil:
            for chunk in prange(chunks, num_threads=threads, schedule="dynamic"):
                service_swap(&self.s, &self.v, &self.slots[0], slot, chunk * SERVICE_CHUNK,
                             min((chunk + 1) * SERVICE_CHUNK, self.v.n),
                             self.scratch + threadid() * self.scratch_size, &self.sums[chunk * (self.v.k + 1)])
        self.total(chunks)
        PyErr_CheckSignals()
        return 0

    def add(self, int64_t candidate):
        """One medoid more. Returns the loss. O(n)."""
        if self.v.k == 0:
            return self.assign(_one(candidate))
        # No point has the new place yet, so it is offered to all of them.
        self.forget()
        self.v.k += 1
        self.replace(self.v.k - 1, candidate)
        return self.loss

    cdef void forget(self) noexcept:
        """No bounds are known any more; this is written down when they are first asked for."""
        self.bounded = self.written = False
        self.drift = 0

    cdef int write_bounds(self) except -1:
        cdef ptrdiff_t c
        if not self.written:
            for c in range(self.s.n_rows):
                self.bounds[c] = -INFINITY
            if self.excluded is not None:
                self.bounds.base[self.excluded] = INFINITY
            self.written = True
        return 0

    def totals(self, const int64_t[::1] candidates, const double[::1] weights, double[::1] sums):
        """sums[t] becomes the weighted sum of dissimilarities of candidates[t] to all points. O(n) each."""
        cdef ptrdiff_t t, first, last, m = candidates.shape[0], a_slice = self.slice_candidates()
        cdef int threads = self.team(<double>self.v.n * m)
        cdef const double* w = weights_pointer(weights)
        for first in range(0, m, a_slice):
            last = min(first + a_slice, m)
            with nogil:
                for t in prange(first, last, num_threads=threads, schedule="dynamic"):
                    sums[t] = service_sum(&self.s, w, candidates[t],
                                          <double*>(self.scratch + threadid() * self.scratch_size))
            PyErr_CheckSignals()

    def table(self, const int64_t[::1] candidates, double[:, ::1] distances):
        """Row t of distances (m x n) becomes the dissimilarities of candidates[t] to all points. O(m n)."""
        cdef ptrdiff_t t
        cdef int threads = self.team(<double>self.v.n * candidates.shape[0])
        with nogil:
            for t in prange(candidates.shape[0], num_threads=threads, schedule="dynamic"):
                source_row(&self.s, candidates[t], <double*>(self.scratch + threadid() * self.scratch_size),
                           &distances[t, 0])
        PyErr_CheckSignals()

    cdef int team(self, double distances) noexcept:
        """Threads for a loop over so many distances: few are done sooner than threads are woken."""
        return self.n_threads if distances * source_work(&self.s) > TEAM_WORK else 1

    cdef ptrdiff_t batch_candidates(self) noexcept:
        """Candidates of a loop that is shared by threads but not long."""
        return self.n_threads + <ptrdiff_t>(2.0 * TEAM_WORK * (SIEVE_LEAVES if self.sifted else 1)
                                            / (self.v.n * source_work(&self.s)))

    cdef ptrdiff_t slice_candidates(self) noexcept:
        return self.n_threads + <ptrdiff_t>(SLICE_WORK * self.n_threads / (self.v.n * source_work(&self.s)))

    def first_improving(self, const int64_t[::1] candidates, double threshold):
        """The first candidate that, in the best place, changes the loss by less than `threshold`.

        Returns its position among `candidates` and the place, or None if there is none. Medoids are evaluated as any
        other candidate. O(n) each, less where there is a sieve; what is found of each candidate bounds what it can do
        after swaps (service_drift), so that most are not looked at again.
        """
        cdef ptrdiff_t t, first = 0, last, m = candidates.shape[0], count, place = 0, batch = self.batch_candidates()
        cdef int64_t[::1] open = _empty(batch, "int64")
        cdef double change
        self.write_bounds()
        while first < m:
            # What follows an improvement is bounded for nothing, so there is not much of it.
            count, last = 0, first
            while last < m and count < batch:
                if self.bounds[candidates[last]] - self.drift <= threshold:
                    open[count] = candidates[last]
                    count += 1
                last += 1
            self.bound(open[:count], None)
            for t in range(first, last):
                if self.bounds[candidates[t]] - self.drift <= threshold:
                    change = self.decide(&self.v, candidates[t], self.scratch, &place)
                    self.keep(candidates[t], change)
                    PyErr_CheckSignals()
                    if change < threshold:
                        return t, place
            first = last
        return None

    def best(self, double threshold):
        """The candidate, of all, that changes the loss by least, and the place; None if not by less than `threshold`.

        The lowest of equals. O(n) each, less as in first_improving.
        """
        import numpy
        cdef ptrdiff_t t, place = 0
        cdef double[::1] upper = _empty(self.s.n_rows, "float64"), changes
        cdef double least = threshold
        cdef int64_t[::1] open, places
        self.write_bounds()
        # The most promising first: the best of them rules out many of the others.
        known = self.bounds.base
        likely = numpy.argpartition(known, min(LIKELY, len(known)) - 1)[:LIKELY]
        likely = likely[known[likely] < INFINITY]
        for chosen in (numpy.sort(likely), None):
            open = numpy.flatnonzero(known - self.drift <= least) if chosen is None else chosen
            self.bound(open, upper)
            for t in range(open.shape[0]):
                least = min(least, upper[t])
        open = numpy.flatnonzero(known - self.drift <= least)
        if open.shape[0] == 0:
            return None
        changes, places = _empty(open.shape[0], "float64"), _empty(open.shape[0], "int64")
        self.decide_all(&self.v, open, changes, places)
        for t in range(open.shape[0]):
            self.keep(open[t], changes[t])
        t = int(changes.base.argmin())
        return (open[t], places[t]) if changes[t] < threshold else None

    cdef void keep(self, ptrdiff_t c, double lower) noexcept:
        """Remember that a candidate changes the loss by at least this, less what the sums may have been rounded."""
        self.bounds[c] = lower + self.drift - rounding() * (self.summed() + fabs(self.drift))

    cdef double summed(self) noexcept:
        """What the sums that a change is made of come to, which roundings are relative to: far more than the loss where
        a medoid is far from all others."""
        cdef ptrdiff_t i
        cdef double largest = 0
        for i in range(self.v.k):
            if largest < self.v.removal[i] < INFINITY:
                largest = self.v.removal[i]
        return self.loss + largest

    cdef int bound(self, const int64_t[::1] candidates, double[::1] upper) except -1:
        """Find the bounds of candidates; and upper bounds, if they are asked for."""
        cdef ptrdiff_t t, m = candidates.shape[0]
        cdef double[::1] low = _empty(m, "float64"), high = _empty(m, "float64") if upper is None else upper
        self.bounds_of(&self.v, candidates, low, high)
        for t in range(m):
            self.keep(candidates[t], low[t])
        self.bounded = True
        return 0

    def evaluate_addition(self, const int64_t[::1] candidates, bint best_only, double[::1] changes):
        """What the loss changes by if each candidate is added to the medoids there are: changes[t].

        With best_only, exact only for the least, and infinite or exact for others. O(n) each, less with a sieve.
        """
        cdef service one = self.v
        cdef int32_t[::1] zeros
        cdef double[::1] no_removal = _empty(1, "float64"), low, high
        cdef int64_t[::1] open, places
        import numpy
        if self.v.k == 0:
            self.totals(candidates, self.weights_owner, changes)
            return
        # Against one medoid that is both first and second nearest, S alone is left of the sum.
        zeros = numpy.zeros(self.v.n, "int32")
        no_removal[0] = 0
        one.second, one.nearest, one.k, one.removal = one.first, &zeros[0], 1, &no_removal[0]
        changes[:] = INFINITY
        chosen = numpy.arange(candidates.shape[0])
        if best_only and (self.sifted or self.can_screen):
            low, high = _empty(candidates.shape[0], "float64"), _empty(candidates.shape[0], "float64")
            self.fresh = False
            try:
                self.bounds_of(&one, candidates, low, high)
            finally:
                self.fresh = False
            chosen = numpy.flatnonzero(low.base <= high.base.min())
        open = numpy.asarray(candidates)[chosen]
        found, places = _empty(len(chosen), "float64"), _empty(len(chosen), "int64")
        self.decide_all(&one, open, found, places)
        changes.base[chosen] = found

    cdef int bounds_of(self, const service* v, const int64_t[::1] candidates, double[::1] lower,
                       double[::1] upper) except -1:
        """Bounds on the change of the loss by each candidate; the change itself where nothing is quicker."""
        cdef ptrdiff_t t, first, last, m = candidates.shape[0], a_slice = self.slice_candidates()
        cdef int threads
        cdef bint alone = v == &self.v and v.k == 1
        if not self.fresh and not alone and m > 0:
            if self.sifted:
                self.fill_sieve(v)
            elif self.can_screen:
                self.fill_screen(v)
        threads = self.team(<double>self.v.n * m / (SIEVE_LEAVES if self.sifted else 1))
        for first in range(0, m, a_slice):
            last = min(first + a_slice, m)
            with nogil:
                for t in prange(first, last, SCREEN_ROWS, num_threads=threads, schedule="dynamic"):
                    self.bound_some(v, &candidates[t], min(last - t, SCREEN_ROWS), alone,
                                    self.scratch + threadid() * self.scratch_size, &lower[t], &upper[t])
            PyErr_CheckSignals()
        return 0

    cdef void bound_some(self, const service* v, const int64_t* candidates, ptrdiff_t count, bint alone, char* scratch,
                         double* lower, double* upper) noexcept nogil:
        """Bounds of at most SCREEN_ROWS candidates."""
        cdef ptrdiff_t t, place
        if self.screened and not alone:
            screen_bounds(&self.g, &self.s, v, candidates, count, scratch, lower, upper)
            return
        for t in range(count):
            if self.sifted and not alone:
                sieve_bounds(&self.f, &self.s, v, candidates[t], scratch, &lower[t], &upper[t])
            else:
                lower[t] = upper[t] = self.decide(v, candidates[t], scratch, &place)

    cdef int decide_all(self, const service* v, const int64_t[::1] candidates, double[::1] changes,
                        int64_t[::1] places) except -1:
        """Changes and places of candidates, in float64."""
        cdef ptrdiff_t t, first, last, m = candidates.shape[0], a_slice = self.slice_candidates()
        cdef int threads = self.team(<double>self.v.n * m)
        for first in range(0, m, a_slice):
            last = min(first + a_slice, m)
            with nogil:
                for t in prange(first, last, num_threads=threads, schedule="dynamic"):
                    self.decide_into(v, candidates[t], self.scratch + threadid() * self.scratch_size, &changes[t],
                                     &places[t])
            PyErr_CheckSignals()
        return 0

    cdef void decide_into(self, const service* v, ptrdiff_t c, char* scratch, double* change,
                          int64_t* slot) noexcept nogil:
        cdef ptrdiff_t place = 0
        change[0] = self.decide(v, c, scratch, &place)
        slot[0] = place

    cdef double decide(self, const service* v, ptrdiff_t c, char* scratch, ptrdiff_t* place) noexcept nogil:
        """The change of the loss by one candidate, in float64."""
        if v == &self.v and v.k == 1:
            place[0] = 0
            return service_sum(&self.s, v.weights, c, <double*>scratch) - self.loss
        return service_evaluate(&self.s, v, c, scratch, place)


cdef int64_t[::1] _one(int64_t value):
    cdef int64_t[::1] values = _empty(1, "int64")
    values[0] = value
    return values
