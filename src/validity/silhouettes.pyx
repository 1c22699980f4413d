"""For every point, its distances summed up by cluster: all that the silhouette needs, without storing n^2 of them.

Source: P. J. Rousseeuw, "Silhouettes", Journal of Computational and Applied Mathematics 20, 1987. O(n^2 p) time, O(n k)
memory for the sums of a slice of points at a time. Invariant: the sums do not depend on the number of threads or on the
instruction set (silhouette.h).
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
    ctypedef struct silhouette:
        metric m
        ptrdiff_t n_panels
        ptrdiff_t k
        const double* panels
        const double* weights
        const int32_t* owner

    size_t silhouette_scratch_bytes(const silhouette* s) noexcept
    void silhouette_panel(const silhouette* s, ptrdiff_t row, double* sums, double* far, double* near,
                          double* scratch) noexcept


cdef enum:
    # Multiply-adds between two looks at pending signals, for each thread; about 30 ms.
    SLICE_WORK = 1 << 26


def cluster_sums(points, const ptrdiff_t[::1] starts, const ptrdiff_t[::1] counts, const int32_t[::1] owner,
                 const double[:, ::1] weights, observer, *, int code, double exponent, ptrdiff_t k, bint extremes,
                 int n_threads):
    """Sums of distances by cluster, of one slice of panels after the other.

    points: n x p, sorted by cluster                                                              IN
    starts, counts, owner: first row, number of rows (1 to 32) and cluster of each panel          IN
    weights: panels x 32; 0 where a panel has no row                                              IN
    observer: called as observer(first panel, sums (panels of the slice x 32 x k), far, near), where far and near
        (panels x 32) are the farthest point of the own cluster and the nearest of another, if `extremes`, else None
    """
    cdef Py_buffer buffer
    cdef matrix view
    cdef silhouette s
    cdef ptrdiff_t panel, first, last, a_slice, size
    cdef double* panels = NULL
    cdef char* scratch = NULL
    cdef size_t scratch_size
    cdef double[:, :, ::1] sums
    cdef double[:, ::1] far, near
    cdef double* far_at
    cdef double* near_at
    import numpy
    acquire_matrix(points, &buffer, &view)
    try:
        s.m = make_metric(code, exponent, view.n_columns)
        s.n_panels, s.k = starts.shape[0], k
        size = metric_panel_size(&s.m)
        panels = <double*>scratch_allocate(s.n_panels * size * sizeof(double))
        scratch_size = padded(silhouette_scratch_bytes(&s))
        scratch = <char*>scratch_allocate(scratch_size * n_threads)
        with nogil:
            for panel in prange(s.n_panels, num_threads=n_threads, schedule="static"):
                metric_pack_f64(&s.m, &view, starts[panel], counts[panel], panels + panel * size)
        s.panels, s.weights, s.owner = panels, &weights[0, 0], &owner[0]
        a_slice = n_threads * (1 + <ptrdiff_t>(SLICE_WORK / (s.n_panels * METRIC_PANEL * METRIC_PANEL
                                                             * metric_work(&s.m))))
        sums = numpy.empty((a_slice, METRIC_PANEL, k))
        far, near = numpy.empty((a_slice, METRIC_PANEL)), numpy.empty((a_slice, METRIC_PANEL))
        far_at = &far[0, 0]
        near_at = &near[0, 0]
        for first in range(0, s.n_panels, a_slice):
            last = min(first + a_slice, s.n_panels)
            with nogil:
                for panel in prange(first, last, num_threads=n_threads, schedule="dynamic"):
                    silhouette_panel(&s, panel, &sums[panel - first, 0, 0],
                                     far_at + (panel - first) * METRIC_PANEL if extremes else NULL,
                                     near_at + (panel - first) * METRIC_PANEL if extremes else NULL,
                                     <double*>(scratch + threadid() * scratch_size))
            PyErr_CheckSignals()
            if extremes:
                observer(first, sums.base[:last - first], far.base[:last - first], near.base[:last - first])
            else:
                observer(first, sums.base[:last - first], None, None)
    finally:
        scratch_free(panels)
        scratch_free(scratch)
        PyBuffer_Release(&buffer)
