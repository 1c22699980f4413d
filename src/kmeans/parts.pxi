"""What boxes and balls have in common: parts of the rows, which a thread keeps from one pass to the next (shares.h)."""

cdef extern from "common/shares.h" nogil:
    ctypedef struct work_share:
        pass
    void shares_fill(work_share* shares, int count, ptrdiff_t first, ptrdiff_t last) noexcept
    ptrdiff_t shares_next(work_share* shares, int count, int own) noexcept


cdef class PartsSearch(PlainSearch):
    """A search over parts of the rows, in tasks, each of which counts the pairs of a row and a center that it compares."""

    cdef:
        work_share* shares
        ptrdiff_t tasks
        double[::1] pairs

    def __cinit__(self, *args, **options):
        self.shares = <work_share*>scratch_allocate(self.n_threads * sizeof(work_share))

    def __dealloc__(self):
        scratch_free(self.shares)

    cdef double _compared(self) noexcept:
        """How many centers a row the last pass compared."""
        cdef double pairs = 0
        cdef ptrdiff_t task
        for task in range(self.tasks):
            pairs += self.pairs[task]
        return pairs / self.points.n_rows
