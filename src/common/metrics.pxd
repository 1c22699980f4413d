"""Metrics as functors over one blocked loop (metrics.h, which states the contract)."""

from libc.stddef cimport ptrdiff_t

from common.matrix cimport matrix


cdef extern from "common/metrics.h" nogil:
    enum:
        METRIC_PANEL
        METRIC_GROUP
        METRIC_COUNT

    ctypedef enum metric_code:
        pass

    ctypedef struct metric:
        metric_code code
        double exponent
        ptrdiff_t n_features

    ptrdiff_t metric_panels(ptrdiff_t n) noexcept
    ptrdiff_t metric_panel_size(const metric* m) noexcept
    ptrdiff_t metric_tile_size(const metric* m, ptrdiff_t count, ptrdiff_t k) noexcept
    ptrdiff_t metric_tile_rows(const metric* m) noexcept
    ptrdiff_t metric_tile_columns(const metric* m) noexcept
    double metric_work(const metric* m) noexcept
    void metric_pack_f32(const metric* m, const matrix* view, ptrdiff_t start, ptrdiff_t count, float* panels) noexcept
    void metric_pack_f64(const metric* m, const matrix* view, ptrdiff_t start, ptrdiff_t count, double* panels) noexcept
    void metric_tile_f32(const metric* m, const float* rows, ptrdiff_t count, const float* columns, ptrdiff_t k,
                         float* tile) noexcept
    void metric_tile_f64(const metric* m, const double* rows, ptrdiff_t count, const double* columns, ptrdiff_t k,
                         double* tile) noexcept
    const float* metric_row_f32(const metric* m, const float* panels, ptrdiff_t i) noexcept
    const double* metric_row_f64(const metric* m, const double* panels, ptrdiff_t i) noexcept


cdef inline metric make_metric(int code, double exponent, ptrdiff_t n_features) except *:
    """The metric of a code of fastcluster_ext/_metrics.py."""
    cdef metric m
    if not 0 <= code < METRIC_COUNT:
        raise ValueError(f"no metric has the code {code}")
    m.code = <metric_code>code
    m.exponent = exponent
    m.n_features = n_features
    return m
