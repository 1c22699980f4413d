"""Many small k-means problems in one call, a thread for each at a time: what a call for each would find (many.h).

Cost: O(n k p) an iteration, O(n + k p) working memory a thread.
Invariant: the results are the bits of `Seeding` and `PlainSearch`, for any number of threads.
"""

from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free

from common.chunks cimport chunk_rows, chunk_rows_of
from common.matrix cimport acquire_matrix, matrix, weights_pointer
from common.scratch cimport padded, scratch_allocate, scratch_free


cdef extern from "kmeans/many.h" nogil:
    enum:
        COST_STRIDE
    ctypedef struct many_problem:
        matrix points
        const double* weights
        const double* uniforms
        double* centers
        int32_t* labels
        double* costs
        double total_inertia
        ptrdiff_t n_iter
        bint converged
    ctypedef struct many_settings:
        ptrdiff_t k
        ptrdiff_t trials
        ptrdiff_t max_iter
        double tol
    ctypedef struct many_scratch:
        pass
    size_t many_scratch_place(many_scratch* scratch, ptrdiff_t n, ptrdiff_t p, ptrdiff_t k, ptrdiff_t trials,
                              char* memory) noexcept
    void many_solve(many_problem* problem, const many_settings* settings, many_scratch* scratch) noexcept


cdef enum:
    AT_ONCE = 16  # problems that a thread solves between two looks for an interrupt


def most_rows(ptrdiff_t k, ptrdiff_t p):
    """Return how many rows a problem may have: as many as are one chunk, for seeding and for an iteration."""
    return min(chunk_rows(p), chunk_rows_of(0, <double>k * p))


def solve(list problems, ptrdiff_t k, ptrdiff_t trials, ptrdiff_t max_iter, double tol, const double[:, ::1] uniforms,
          double[::1] centers, int32_t[::1] labels, double[:, :, ::1] costs, double[::1] total_inertias,
          ptrdiff_t[::1] n_iters, int32_t[::1] converged, *, int n_threads):
    """Solve m problems.

    problems: (points, weights or None) of each; at most `most_rows` rows               IN
    uniforms: m x (k trials) numbers in [0, 1) to draw seeds with; or None where
        `centers` are given                                                             IN
    centers: k x p of each problem, one after the other                                 INOUT
    labels: n of each, likewise                                                         OUT
    costs: m x k x 4, as `PlainSearch.evaluate` has them                                OUT
    total_inertias, converged: m                                                        OUT
    n_iters: m; 0 of problems that need more than this kernel knows                     OUT
    """
    cdef ptrdiff_t m = len(problems), i, first, last, most_n = 0, most_p = 0, place = 0, row = 0, done = 0
    cdef many_settings settings
    cdef Py_buffer* buffers = <Py_buffer*>calloc(m + 1, sizeof(Py_buffer))
    cdef many_problem* each = <many_problem*>calloc(m + 1, sizeof(many_problem))
    cdef size_t size
    cdef char* memory = NULL
    cdef const double[::1] own
    settings.k, settings.trials, settings.max_iter, settings.tol = k, trials, max_iter, tol
    try:
        if buffers == NULL or each == NULL:
            raise MemoryError(f"cannot allocate {m * (sizeof(Py_buffer) + sizeof(many_problem))} bytes for the problems")
        for i in range(m):
            points, weights = problems[i]
            own = weights
            acquire_matrix(points, &buffers[i], &each[i].points)
            done += 1
            each[i].weights = weights_pointer(own)
            if uniforms is not None:
                each[i].uniforms = &uniforms[i, 0]
            each[i].centers, each[i].labels, each[i].costs = &centers[place], &labels[row], &costs[i, 0, 0]
            place += k * each[i].points.n_columns
            row += each[i].points.n_rows
            most_n, most_p = max(most_n, each[i].points.n_rows), max(most_p, each[i].points.n_columns)
        size = padded(many_scratch_place(NULL, most_n, most_p, k, trials, NULL))
        n_threads = <int>max(<ptrdiff_t>1, min(<ptrdiff_t>n_threads, m))
        memory = <char*>scratch_allocate(size * n_threads)
        for first in range(0, m, AT_ONCE * n_threads):
            last = min(first + AT_ONCE * n_threads, m)
            with nogil:
                for i in prange(first, last, num_threads=n_threads, schedule="dynamic"):
                    _solve(&each[i], &settings, memory + size * threadid(), most_n, most_p)
            PyErr_CheckSignals()
        for i in range(m):
            total_inertias[i], n_iters[i], converged[i] = each[i].total_inertia, each[i].n_iter, each[i].converged
    finally:
        for i in range(done):
            PyBuffer_Release(&buffers[i])
        scratch_free(memory)
        free(buffers)
        free(each)


cdef void _solve(many_problem* problem, const many_settings* settings, char* memory, ptrdiff_t most_n,
                 ptrdiff_t most_p) noexcept nogil:
    cdef many_scratch scratch
    many_scratch_place(&scratch, most_n, most_p, settings.k, settings.trials, memory)
    many_solve(problem, settings, &scratch)
