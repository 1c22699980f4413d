"""Single linkage of a condensed matrix: SLINK, from the last observation to the first.

The matrix is read once, in the order in which it is stored, and never written; O(n^2) time, O(n) memory. Prim's
algorithm, which others use, reads half of it down columns, one cache line a distance.

Source: R. Sibson, "SLINK: an optimally efficient algorithm for the single-link cluster method", Computer Journal 16(1),
1973.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t

from common.scratch cimport padded, scratch_allocate, scratch_free


cdef extern from "hierarchy/clock.h" nogil:
    double seconds() noexcept


cdef extern from "hierarchy/slink.h" nogil:
    enum:
        SLINK_PLACE_BITS
    void slink_reach_f32(const float* distances, ptrdiff_t row, ptrdiff_t n, double* reach) noexcept
    void slink_reach_f64(const double* distances, ptrdiff_t row, ptrdiff_t n, double* reach) noexcept
    void slink_row(ptrdiff_t row, ptrdiff_t n, double* level, int32_t* link, double* reach) noexcept


PLACE_BITS = SLINK_PLACE_BITS


ctypedef fused real:
    float
    double


def slink(const real[::1] distances, ptrdiff_t n, int32_t[:, ::1] pairs, double[::1] heights):
    """Fill pairs (2 x (n - 1)) and heights (n - 1) with the merges, in no particular order.

    distances: n (n - 1) / 2                                                                        IN
    pairs: of each merge an observation of both clusters                                            OUT
    heights: of single precision, with the place of the distance in the last PLACE_BITS bits        OUT
    """
    cdef size_t reals = padded(n * sizeof(double))
    cdef char* memory = <char*>scratch_allocate(2 * reals + n * sizeof(int32_t))
    cdef double* level = <double*>memory
    cdef double* reach = <double*>(memory + reals)
    cdef int32_t* link = <int32_t*>(memory + 2 * reals)
    cdef ptrdiff_t row = n - 1, j
    cdef double checked
    try:
        while row >= 0:
            checked = seconds()
            with nogil:
                while row >= 0 and seconds() - checked < 0.02:
                    if real is float:
                        slink_reach_f32(&distances[0] + row * (2 * n - row - 1) // 2, row, n, reach)
                    else:
                        slink_reach_f64(&distances[0] + row * (2 * n - row - 1) // 2, row, n, reach)
                    slink_row(row, n, level, link, reach)
                    row -= 1
            PyErr_CheckSignals()
        for j in range(1, n):
            pairs[0, j - 1] = link[j]
            pairs[1, j - 1] = <int32_t>j
            heights[j - 1] = level[j]
    finally:
        scratch_free(memory)
