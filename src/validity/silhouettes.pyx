"""For every point, its distances summed up by cluster: all that the silhouette needs, without storing n^2 of them.

Source: P. J. Rousseeuw, "Silhouettes", Journal of Computational and Applied Mathematics 20, 1987. O(n^2 p) time, each
distance computed once for both its points; O(n k) memory for the sums. Invariant: the sums do not depend on the number
of threads or, given the distances (common/metrics.h), on the instruction set (silhouette.h).
"""

from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t

from common.matrix cimport acquire_matrix, matrix
from common.metrics cimport METRIC_PANEL, make_metric, metric, metric_pack_f64, metric_panel_size, metric_work
from common.scratch cimport padded, scratch_allocate, scratch_free


cdef extern from "validity/silhouette.h" nogil:
    enum:
        SILHOUETTE_BLOCK

    ctypedef struct silhouette:
        metric m
        ptrdiff_t n_panels
        ptrdiff_t k
        const double* panels
        const double* weights
        const int32_t* owner
        double* sums
        double* far
        double* near

    size_t silhouette_scratch_bytes(const silhouette* s) noexcept
    ptrdiff_t silhouette_blocks(ptrdiff_t n_panels) noexcept
    ptrdiff_t silhouette_rounds(ptrdiff_t blocks) noexcept
    ptrdiff_t silhouette_pairs(ptrdiff_t blocks, ptrdiff_t round) noexcept
    void silhouette_play(const silhouette* s, ptrdiff_t round, ptrdiff_t pair, double* scratch) noexcept
    void silhouette_finish(const silhouette* s, ptrdiff_t panel, const double* totals, double* own,
                           double* other, int32_t* neighbor) noexcept


cdef enum:
    # Multiply-adds between two looks at pending signals, for each thread; about 30 ms.
    SLICE_WORK = 1 << 26


def cluster_sums(points, const ptrdiff_t[::1] starts, const ptrdiff_t[::1] counts, const int32_t[::1] owner,
                 const double[:, ::1] weights, const double[::1] totals, double[:, :, ::1] sums,
                 double[:, ::1] own, double[:, ::1] other, int32_t[:, ::1] neighbor, double[:, ::1] far,
                 double[:, ::1] near, *, int code, double exponent, int n_threads):
    """Sums of distances to the own cluster, least mean distances to another and which that is, of every point.

    points: n x p, sorted by cluster                                                              IN
    starts, counts, owner: first row, number of rows (1 to 32) and cluster of each panel          IN
    weights: panels x 32; 0 where a panel has no row                                              IN
    totals: sum of the weights of each of k clusters                                              IN
    sums: panels x k x 32, zeros                                                                  INOUT
    own, other, neighbor: panels x 32                                                               OUT
    far, near: panels x 32, zeros and infinity: the farthest point of the own cluster and the nearest of another; or
        None                                                                                      INOUT
    """
    cdef Py_buffer buffer
    cdef matrix view
    cdef silhouette s
    cdef ptrdiff_t panel, round, pair, first, last, pairs, blocks, a_slice, size
    cdef double* panels = NULL
    cdef char* scratch = NULL
    cdef size_t scratch_size
    acquire_matrix(points, &buffer, &view)
    try:
        s.m = make_metric(code, exponent, view.n_columns)
        s.n_panels, s.k = starts.shape[0], totals.shape[0]
        size = metric_panel_size(&s.m)
        panels = <double*>scratch_allocate(s.n_panels * size * sizeof(double))
        scratch_size = padded(silhouette_scratch_bytes(&s))
        scratch = <char*>scratch_allocate(scratch_size * n_threads)
        with nogil:
            for panel in prange(s.n_panels, num_threads=n_threads, schedule="static"):
                metric_pack_f64(&s.m, &view, starts[panel], counts[panel], panels + panel * size)
        s.panels, s.weights, s.owner, s.sums = panels, &weights[0, 0], &owner[0], &sums[0, 0, 0]
        s.far = s.near = NULL
        if far is not None:
            s.far, s.near = &far[0, 0], &near[0, 0]
        blocks = silhouette_blocks(s.n_panels)
        a_slice = n_threads * (1 + <ptrdiff_t>(SLICE_WORK / (SILHOUETTE_BLOCK * SILHOUETTE_BLOCK * METRIC_PANEL
                                                             * METRIC_PANEL * metric_work(&s.m))))
        for round in range(silhouette_rounds(blocks)):
            pairs = silhouette_pairs(blocks, round)
            for first in range(0, pairs, a_slice):
                last = min(first + a_slice, pairs)
                with nogil:
                    for pair in prange(first, last, num_threads=n_threads, schedule="dynamic"):
                        silhouette_play(&s, round, pair, <double*>(scratch + threadid() * scratch_size))
                PyErr_CheckSignals()
        with nogil:
            for panel in prange(s.n_panels, num_threads=n_threads, schedule="static"):
                silhouette_finish(&s, panel, &totals[0], &own[panel, 0], &other[panel, 0],
                                  &neighbor[panel, 0])
    finally:
        scratch_free(panels)
        scratch_free(scratch)
        PyBuffer_Release(&buffer)
