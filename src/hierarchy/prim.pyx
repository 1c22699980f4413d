"""Single linkage of a condensed matrix with equal distances: Prim's minimum spanning tree, from observation 0.

Where heights are equal, SLINK (slink.pyx) knows which observations share a cluster but not which two of its parts are
that far apart; the edges of a spanning tree do. Of equal distances the one to the lowest observation is taken.
O(n^2) time, half of the matrix down columns; O(n) memory.

Source: R. C. Prim, "Shortest connection networks and some generalizations", Bell System Technical Journal 36, 1957.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport INFINITY
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t, uint8_t

from common.scratch cimport padded, scratch_allocate, scratch_free


cdef extern from "hierarchy/clock.h" nogil:
    double seconds() noexcept


cdef extern from "hierarchy/prim.h" nogil:
    ptrdiff_t prim_step_f32(const float* values, ptrdiff_t x, ptrdiff_t n, float* nearest, int32_t* source,
                            uint8_t* reached, float* waiting) noexcept
    ptrdiff_t prim_step_f64(const double* values, ptrdiff_t x, ptrdiff_t n, double* nearest, int32_t* source,
                            uint8_t* reached, double* waiting) noexcept


ctypedef fused real:
    float
    double


def prim(const real[::1] distances, ptrdiff_t n, int32_t[:, ::1] pairs, double[::1] heights):
    """Fill pairs (2 x (n - 1)) and heights (n - 1) with the tree's edges, in the order of growth. IN: distances."""
    cdef size_t reals = padded(n * sizeof(real)), ids = padded(n * sizeof(int32_t))
    cdef char* memory = <char*>scratch_allocate(2 * reals + ids + n)
    cdef real* nearest = <real*>memory
    cdef real* waiting = <real*>(memory + reals)
    cdef int32_t* source = <int32_t*>(memory + 2 * reals)
    cdef uint8_t* reached = <uint8_t*>(memory + 2 * reals + ids)
    cdef ptrdiff_t x = 0, i
    cdef double checked = seconds()
    try:
        for i in range(n):
            nearest[i], source[i], reached[i] = INFINITY, 0, 0
        for i in range(n - 1):
            with nogil:
                if real is float:
                    x = prim_step_f32(&distances[0], x, n, nearest, source, reached, waiting)
                else:
                    x = prim_step_f64(&distances[0], x, n, nearest, source, reached, waiting)
            pairs[0, i], pairs[1, i], heights[i] = source[x], <int32_t>x, nearest[x]
            if seconds() - checked > 0.02:
                PyErr_CheckSignals()
                checked = seconds()
    finally:
        scratch_free(memory)
