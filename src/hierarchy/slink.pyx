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
    void slink_row_f32(const float* distances, ptrdiff_t row, ptrdiff_t n, float* level, int32_t* link,
                       float* reach) noexcept
    void slink_row_f64(const double* distances, ptrdiff_t row, ptrdiff_t n, double* level, int32_t* link,
                       double* reach) noexcept


ctypedef fused real:
    float
    double


def slink(const real[::1] distances, ptrdiff_t n, int32_t[:, ::1] pairs, double[::1] heights):
    """Fill pairs (2 x (n - 1)) and heights (n - 1) with the merges, in no particular order. IN: distances."""
    cdef char* memory = <char*>scratch_allocate(2 * padded(n * sizeof(real)))
    cdef real* level = <real*>memory
    cdef real* reach = <real*>(memory + padded(n * sizeof(real)))
    cdef int32_t* link = NULL
    cdef ptrdiff_t row = n - 1, j
    cdef double checked
    try:
        link = <int32_t*>scratch_allocate(n * sizeof(int32_t))
        while row >= 0:
            checked = seconds()
            with nogil:
                while row >= 0 and seconds() - checked < 0.02:
                    if real is float:
                        slink_row_f32(&distances[0] + row * (2 * n - row - 1) // 2, row, n, level, link, reach)
                    else:
                        slink_row_f64(&distances[0] + row * (2 * n - row - 1) // 2, row, n, level, link, reach)
                    row -= 1
            PyErr_CheckSignals()
        for j in range(1, n):
            pairs[0, j - 1] = link[j]
            pairs[1, j - 1] = <int32_t>j
            heights[j - 1] = level[j]
    finally:
        scratch_free(memory)
        scratch_free(link)
