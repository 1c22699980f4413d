"""Distances of all pairs of rows, and the nearest of some centers to each row; the metrics are those of metrics.h.

Points go into panels once (float32 or float64, prepared for the metric), then tiles of distances are computed and
written where they belong. A tile is one thread's, so no result depends on threads. Cost: O(n m p) time; working memory
is a copy of the points for `condensed`, slices of bounded size of both sides for `rectangular`, and a copy of the
centers for `nearest`; plus O(p) a thread.
"""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t

from common.argmin cimport (ARGMIN_TILE, centers_table, centers_table_bytes, centers_table_fill,
                            centers_table_place)
from common.chunks cimport chunk_count, chunk_rows, slice_chunks
from common.matrix cimport acquire_matrix, matrix
from common.metrics cimport (METRIC_PANEL, make_metric, metric, metric_pack_f64, metric_panel_size, metric_panels,
                             metric_tile_columns, metric_tile_rows, metric_tile_size, metric_work)
from common.scratch cimport padded, scratch_allocate, scratch_free


cdef extern from "distance/pairwise.h" nogil:
    enum:
        NEAREST_TILE

    double PAIRWISE_SLICE

    ctypedef struct pairwise:
        metric m
        bint single
        bint single_out
        bint condensed
        ptrdiff_t n_columns
        char* out

    ctypedef struct pairwise_part:
        pass

    size_t pairwise_panels_bytes(const pairwise* pairs, ptrdiff_t n) noexcept
    size_t pairwise_tile_bytes(const pairwise* pairs) noexcept
    ptrdiff_t pairwise_slice(const pairwise* pairs, ptrdiff_t n_columns, int n_threads) noexcept
    void pairwise_share(pairwise_part* parts, int n_parts, ptrdiff_t first, ptrdiff_t last) noexcept
    ptrdiff_t pairwise_take(pairwise_part* parts, int n_parts, int own) noexcept
    void pairwise_pack(const pairwise* pairs, const matrix* view, ptrdiff_t start, ptrdiff_t count,
                       void* panels) noexcept
    ptrdiff_t pairwise_units(const pairwise* pairs, ptrdiff_t n, ptrdiff_t m) noexcept
    void pairwise_work(const pairwise* pairs, pairwise_part* parts, int n_parts, int own, const char* panels,
                       ptrdiff_t start, ptrdiff_t n, const char* others_panels, ptrdiff_t begin, ptrdiff_t m,
                       void* tile) noexcept
    void nearest_unit(const metric* m, const matrix* points, ptrdiff_t start, ptrdiff_t count, const double* centers,
                      ptrdiff_t center, ptrdiff_t n_centers, double* panels, double* tile, double* distances,
                      int32_t* labels) noexcept
    size_t nearest_euclidean_bytes(ptrdiff_t k, ptrdiff_t p) noexcept
    void nearest_euclidean_unit(const centers_table* table, const double* centers, const matrix* points,
                                ptrdiff_t start, ptrdiff_t stop, bint root, void* scratch, double* distances,
                                int32_t* labels) noexcept


cdef enum:
    # Panels of either side that `rectangular` keeps at once: hundreds of rows, so that packing is little of the work.
    SLICE_BYTES = 1 << 27


cdef int _acquire_out(object out, Py_buffer* buffer, pairwise* pairs) except -1:
    """Where results go: a writable, contiguous array of float32 or float64."""
    PyObject_GetBuffer(out, buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE)
    cdef bytes code = buffer.format
    if code not in (b"f", b"d"):
        PyBuffer_Release(buffer)
        raise TypeError(f"kernels write float32 or float64, not {code!r}")
    pairs.single_out = code == b"f"
    pairs.out = <char*>buffer.buf
    return 0


cdef int _pack(const pairwise* pairs, const matrix* view, ptrdiff_t start, ptrdiff_t count, char* panels,
               int n_threads) except -1:
    """Rows [start, start + count) into panels, in parallel."""
    cdef ptrdiff_t panel, first, last, n_panels = metric_panels(count)
    cdef ptrdiff_t a_slice = 1 + <ptrdiff_t>(PAIRWISE_SLICE / 64 / (metric_panel_size(&pairs.m) + 64)) * n_threads
    cdef size_t size = pairwise_panels_bytes(pairs, 1)
    for first in range(0, n_panels, a_slice):
        last = min(first + a_slice, n_panels)
        with nogil:
            for panel in prange(first, last, num_threads=n_threads, schedule="static"):
                pairwise_pack(pairs, view, start + panel * METRIC_PANEL,
                              min(<ptrdiff_t>METRIC_PANEL, count - panel * METRIC_PANEL), panels + panel * size)
        PyErr_CheckSignals()
    return 0


cdef int _units(const pairwise* pairs, const char* panels, ptrdiff_t start, ptrdiff_t n, const char* others_panels,
                ptrdiff_t begin, ptrdiff_t m, char* tiles, int n_threads) except -1:
    """All distances of rows [start, start + n) to columns [begin, begin + m), unit by unit; of a condensed result the
    upper triangle."""
    cdef ptrdiff_t units = pairwise_units(pairs, n, m), a_slice = pairwise_slice(pairs, m, n_threads), first
    cdef size_t tile_bytes = padded(pairwise_tile_bytes(pairs))
    cdef pairwise_part* parts = <pairwise_part*>scratch_allocate(n_threads * sizeof(pairwise_part))
    cdef int thread
    try:
        for first in range(0, units, a_slice):
            pairwise_share(parts, n_threads, first, min(first + a_slice, units))
            with nogil:
                for thread in prange(n_threads, num_threads=n_threads, schedule="static", chunksize=1):
                    pairwise_work(pairs, parts, n_threads, thread, panels, start, n, others_panels, begin, m,
                                  tiles + thread * tile_bytes)
            PyErr_CheckSignals()
    finally:
        scratch_free(parts)
    return 0


def condensed(points, out, int code, double exponent, bint single, *, int n_threads):
    """Distances of all pairs i < j of the rows.

    points: n x p, uint8, uint16, float32 or float64                                    IN
    out: n (n - 1) / 2, float32 or float64, contiguous                                  OUT
    code, exponent: the metric, see fastcluster_ext/_metrics.py
    single: compute in float32
    """
    cdef Py_buffer points_buffer, out_buffer
    cdef matrix view
    cdef pairwise pairs
    cdef char* panels = NULL
    cdef char* tiles = NULL
    cdef size_t tile_bytes
    cdef ptrdiff_t n
    acquire_matrix(points, &points_buffer, &view)
    try:
        n = view.n_rows
        pairs.m = make_metric(code, exponent, view.n_columns)
        pairs.single, pairs.condensed, pairs.n_columns = single, True, n
        _acquire_out(out, &out_buffer, &pairs)
        try:
            tile_bytes = padded(pairwise_tile_bytes(&pairs))
            panels = <char*>scratch_allocate(pairwise_panels_bytes(&pairs, n))
            tiles = <char*>scratch_allocate(tile_bytes * n_threads)
            _pack(&pairs, &view, 0, n, panels, n_threads)
            _units(&pairs, panels, 0, n, panels, 0, n, tiles, n_threads)
        finally:
            PyBuffer_Release(&out_buffer)
    finally:
        scratch_free(panels)
        scratch_free(tiles)
        PyBuffer_Release(&points_buffer)


def rectangular(points, others, out, int code, double exponent, bint single, *, int n_threads):
    """Distances of all rows of `points` to all rows of `others`.

    points: n x p; others: m x p; uint8, uint16, float32 or float64, each               IN
    out: n x m, float32 or float64, C-contiguous                                        OUT
    code, exponent, single: as for condensed
    """
    cdef Py_buffer points_buffer, others_buffer, out_buffer
    cdef matrix view, others_view
    cdef pairwise pairs
    cdef char* panels = NULL
    cdef char* others_panels = NULL
    cdef char* tiles = NULL
    cdef size_t panel_bytes, tile_bytes
    cdef ptrdiff_t n, m, most, start, begin, n_some, m_some, packed = -1
    acquire_matrix(points, &points_buffer, &view)
    try:
        acquire_matrix(others, &others_buffer, &others_view)
        try:
            n, m = view.n_rows, others_view.n_rows
            pairs.m = make_metric(code, exponent, view.n_columns)
            pairs.single, pairs.condensed, pairs.n_columns = single, False, m
            _acquire_out(out, &out_buffer, &pairs)
            try:
                panel_bytes = pairwise_panels_bytes(&pairs, 1)
                tile_bytes = padded(pairwise_tile_bytes(&pairs))
                most = max(<ptrdiff_t>(SLICE_BYTES // (panel_bytes + 1)), <ptrdiff_t>4) * METRIC_PANEL
                panels = <char*>scratch_allocate(pairwise_panels_bytes(&pairs, min(n, most)))
                others_panels = <char*>scratch_allocate(pairwise_panels_bytes(&pairs, min(m, most)))
                tiles = <char*>scratch_allocate(tile_bytes * n_threads)
                for start in range(0, n, most):
                    n_some = min(most, n - start)
                    _pack(&pairs, &view, start, n_some, panels, n_threads)
                    for begin in range(0, m, most):
                        m_some = min(most, m - begin)
                        if packed != begin:
                            _pack(&pairs, &others_view, begin, m_some, others_panels, n_threads)
                            packed = begin
                        _units(&pairs, panels, start, n_some, others_panels, begin, m_some, tiles, n_threads)
            finally:
                PyBuffer_Release(&out_buffer)
        finally:
            PyBuffer_Release(&others_buffer)
    finally:
        scratch_free(panels)
        scratch_free(others_panels)
        scratch_free(tiles)
        PyBuffer_Release(&points_buffer)


def nearest(points, centers, int32_t[::1] labels, double[::1] distances, int code, double exponent, *, int n_threads):
    """The nearest center of each row, in float64; equal distances go to the lowest index.

    points: n x p; centers: k x p; uint8, uint16, float32 or float64, each              IN
    labels: n; -1 where every distance is infinite or NaN                               OUT
    distances: n                                                                        OUT
    """
    cdef Py_buffer points_buffer, centers_buffer
    cdef matrix view, centers_view
    cdef pairwise pairs
    cdef char* panels = NULL
    cdef char* scratch = NULL
    cdef char* own
    cdef size_t panel_bytes, points_bytes, scratch_bytes
    cdef ptrdiff_t n, k, most, begin, count, chunks, a_slice, chunk, first, last
    acquire_matrix(points, &points_buffer, &view)
    try:
        acquire_matrix(centers, &centers_buffer, &centers_view)
        try:
            n, k = view.n_rows, centers_view.n_rows
            pairs.m = make_metric(code, exponent, view.n_columns)
            pairs.single = False
            panel_bytes = pairwise_panels_bytes(&pairs, 1)
            points_bytes = padded(pairwise_panels_bytes(&pairs, NEAREST_TILE))
            scratch_bytes = points_bytes + padded(
                metric_tile_size(&pairs.m, metric_tile_rows(&pairs.m), metric_panels(NEAREST_TILE)) * sizeof(double))
            scratch = <char*>scratch_allocate(scratch_bytes * n_threads)
            panels = <char*>scratch_allocate(pairwise_panels_bytes(&pairs, k))
            _pack(&pairs, &centers_view, 0, k, panels, n_threads)
            labels[:] = -1
            distances[:] = float("inf")
            # Centers of one sweep over the points: so many that a unit stays short of a slice.
            most = max(<ptrdiff_t>(PAIRWISE_SLICE / (metric_work(&pairs.m) * NEAREST_TILE)) // METRIC_PANEL,
                       <ptrdiff_t>1) * METRIC_PANEL
            chunks = chunk_count(n, NEAREST_TILE)
            for begin in range(0, k, most):
                count = min(most, k - begin)
                a_slice = max(<ptrdiff_t>(PAIRWISE_SLICE / (metric_work(&pairs.m) * NEAREST_TILE * (count + 8))),
                              <ptrdiff_t>1) * n_threads
                for first in range(0, chunks, a_slice):
                    last = min(first + a_slice, chunks)
                    with nogil:
                        for chunk in prange(first, last, num_threads=n_threads, schedule="dynamic"):
                            own = scratch + threadid() * scratch_bytes
                            nearest_unit(&pairs.m, &view, chunk * NEAREST_TILE,
                                         min(<ptrdiff_t>NEAREST_TILE, n - chunk * NEAREST_TILE),
                                         <double*>(panels + begin // METRIC_PANEL * panel_bytes), begin, count,
                                         <double*>own, <double*>(own + points_bytes), &distances[0], &labels[0])
                    PyErr_CheckSignals()
        finally:
            PyBuffer_Release(&centers_buffer)
    finally:
        scratch_free(panels)
        scratch_free(scratch)
        PyBuffer_Release(&points_buffer)


def nearest_euclidean(points, const double[:, ::1] centers, int32_t[::1] labels, double[::1] distances, bint root, *,
                      int n_threads):
    """The same for the Euclidean distance (`root`) or its square, by the filter of argmin.h; all values are finite."""
    cdef Py_buffer buffer
    cdef matrix view
    cdef centers_table table
    cdef char* memory = NULL
    cdef size_t table_bytes, scratch_bytes
    cdef ptrdiff_t k = centers.shape[0], p = centers.shape[1], rows, chunks, a_slice, chunk, first, last
    acquire_matrix(points, &buffer, &view)
    try:
        table_bytes, scratch_bytes = padded(centers_table_bytes(k, p)), padded(nearest_euclidean_bytes(k, p))
        memory = <char*>scratch_allocate(table_bytes + scratch_bytes * n_threads)
        centers_table_place(&table, k, p, memory)
        centers_table_fill(&table, &centers[0, 0])
        rows = chunk_rows(<double>k * p)
        chunks, a_slice = chunk_count(view.n_rows, rows), slice_chunks(<double>k * p, rows, 0, n_threads)
        for first in range(0, chunks, a_slice):
            last = min(first + a_slice, chunks)
            with nogil:
                for chunk in prange(first, last, num_threads=n_threads, schedule="dynamic"):
                    nearest_euclidean_unit(&table, &centers[0, 0], &view, chunk * rows,
                                           min((chunk + 1) * rows, view.n_rows), root,
                                           memory + table_bytes + threadid() * scratch_bytes, &distances[0],
                                           &labels[0])
            PyErr_CheckSignals()
    finally:
        scratch_free(memory)
        PyBuffer_Release(&buffer)
