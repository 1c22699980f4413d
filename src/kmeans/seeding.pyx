"""Greedy k-means++: seeds drawn with probability proportional to weight x squared distance to the nearest seed so far.

At each step several candidates are drawn and the one that lowers the potential most is taken, as scikit-learn does.
Cost: O(n p) a candidate, of which a j-th or so at step j where rows are given in boxes (seeding.h); 8 n bytes. Source: D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful
seeding", SODA 2007 (the greedy variant is in its section on experiments).

Invariant: potentials are summed by chunk, chunks in order, in float64; the same uniform numbers give the same seeds for
any number of threads and any instruction set, and whether or not the boxes of the chunks are given.
"""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.math cimport INFINITY
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int32_t, int64_t

from common.chunks cimport chunk_rows
from common.matrix cimport acquire_matrix, matrix, matrix_row_f64, weights_pointer
from common.scratch cimport padded, scratch_allocate, scratch_free

import numpy as np


cdef extern from "kmeans/seeding.h" nogil:
    ctypedef struct seeding_chunk:
        double potential
        double largest
    size_t seeding_scratch_bytes(ptrdiff_t p) noexcept
    void seeding_potentials(const matrix* points, const double* weights, const double* candidates,
                            ptrdiff_t n_candidates, ptrdiff_t start, ptrdiff_t stop, const double* box,
                            const seeding_chunk* chunk, const double* closest, double* scratch, int32_t* near,
                            double* potentials) noexcept
    void seeding_take(const matrix* points, const double* weights, const double* center, ptrdiff_t start,
                      ptrdiff_t stop, const double* box, seeding_chunk* chunk, double* closest, double* scratch) noexcept
    ptrdiff_t seeding_locate(const double* values, const double* weights, ptrdiff_t start, ptrdiff_t stop,
                             double target) noexcept


cdef enum:
    AT_ONCE = 8  # chunks that a thread takes


def plain_chunks(ptrdiff_t n, ptrdiff_t p):
    """Return the chunks of rows in no special order: where each begins, and n."""
    rows = chunk_rows(p)
    return np.append(np.arange(0, n, rows), n)


@cython.final
cdef class Seeding:
    """Rows in chunks, and their distances to the seeds so far.

    points: n x p, uint8, uint16, float32 or float64                                    IN
    weights: n, or None for ones                                                        IN
    closest: n; squared distances to the nearest seed                                   OUT
    chunks: where each chunk begins, from 0, and n                                      IN
    boxes: chunks x 2 p, least and greatest coordinates of their rows; or None          IN
    """

    cdef:
        Py_buffer buffer
        bint acquired
        matrix points
        const double* weights
        const double* boxes
        ptrdiff_t* starts
        double* closest
        seeding_chunk* chunks
        char* scratch
        char* memory
        size_t scratch_size
        ptrdiff_t n_chunks, p, a_slice
        int n_threads
        object keep

    def __cinit__(self, points, const double[::1] weights, double[::1] closest, const ptrdiff_t[::1] chunks,
                  const double[:, ::1] boxes, ptrdiff_t trials, int n_threads):
        cdef ptrdiff_t chunk, row
        cdef size_t chunks_size = padded((chunks.shape[0] - 1) * sizeof(seeding_chunk))
        self.memory = NULL
        acquire_matrix(points, &self.buffer, &self.points)
        self.acquired = True
        self.keep = (weights, closest, chunks, boxes)
        self.weights, self.boxes = weights_pointer(weights), NULL
        if boxes is not None:
            self.boxes = &boxes[0, 0]
        self.starts, self.closest = <ptrdiff_t*>&chunks[0], &closest[0]
        self.n_chunks, self.p = chunks.shape[0] - 1, self.points.n_columns
        self.n_threads = <int>min(n_threads, self.n_chunks)
        self.scratch_size = padded(seeding_scratch_bytes(self.p)) + padded(trials * sizeof(int32_t))
        self.memory = <char*>scratch_allocate(chunks_size + self.scratch_size * self.n_threads)
        self.chunks, self.scratch = <seeding_chunk*>self.memory, self.memory + chunks_size
        self.a_slice = max(<ptrdiff_t>(AT_ONCE * self.n_threads), <ptrdiff_t>(
            1e8 / ((<double>self.points.n_rows / self.n_chunks + 1) * (self.p + 4) * trials)))
        closest[:] = 1
        for chunk in range(self.n_chunks):
            self.chunks[chunk].potential, self.chunks[chunk].largest = 0, INFINITY
            for row in range(self.starts[chunk], self.starts[chunk + 1]):
                self.chunks[chunk].potential += 1.0 if self.weights == NULL else self.weights[row]

    def __dealloc__(self):
        scratch_free(self.memory)
        if self.acquired:
            PyBuffer_Release(&self.buffer)

    cdef void draw(self, const double[:] uniforms, int64_t[::1] drawn) noexcept nogil:
        """The rows that numbers in [0, 1) fall on when rows take room proportional to weight x squared distance."""
        cdef ptrdiff_t chunk, c
        cdef double total = 0, before, target
        for chunk in range(self.n_chunks):
            total += self.chunks[chunk].potential
        for c in range(drawn.shape[0]):
            target, before, chunk, drawn[c] = uniforms[c] * total, 0, 0, -1
            while chunk < self.n_chunks - 1 and before + self.chunks[chunk].potential <= target:
                before += self.chunks[chunk].potential
                chunk += 1
            target -= before
            # A chunk without room is only reached by rounding: go back to the last row that has some.
            while chunk >= 0 and drawn[c] < 0:
                drawn[c] = seeding_locate(self.closest, self.weights, self.starts[chunk], self.starts[chunk + 1], target)
                target = INFINITY
                chunk -= 1

    cdef const double* _box(self, ptrdiff_t chunk) noexcept nogil:
        if self.boxes == NULL:
            return NULL
        return self.boxes + 2 * self.p * chunk

    cdef void _potentials(self, ptrdiff_t chunk, const double* candidates, ptrdiff_t trials, double* potentials,
                          int thread) noexcept nogil:
        cdef double* scratch = <double*>(self.scratch + thread * self.scratch_size)
        cdef int32_t* near = <int32_t*>(<char*>scratch + padded(seeding_scratch_bytes(self.p)))
        seeding_potentials(&self.points, self.weights, candidates, trials, self.starts[chunk], self.starts[chunk + 1],
                           self._box(chunk), &self.chunks[chunk], self.closest, scratch, near, potentials)

    cdef ptrdiff_t best(self, const double[:, ::1] candidates, double[:, ::1] potentials, double[::1] totals) except -1:
        """The candidate that leaves the least potential."""
        cdef ptrdiff_t first, last, chunk, c, best = 0, trials = candidates.shape[0]
        for first in range(0, self.n_chunks, self.a_slice):
            last = min(first + self.a_slice, self.n_chunks)
            with nogil:
                for chunk in prange(first, last, num_threads=self.n_threads, schedule="dynamic", chunksize=AT_ONCE):
                    self._potentials(chunk, &candidates[0, 0], trials, &potentials[chunk, 0], threadid())
            PyErr_CheckSignals()
        totals[:] = 0
        for chunk in range(self.n_chunks):
            for c in range(trials):
                totals[c] += potentials[chunk, c]
        for c in range(trials):
            if totals[c] < totals[best]:
                best = c
        return best

    cdef int take(self, const double[::1] center) except -1:
        """One more seed."""
        cdef ptrdiff_t chunk
        with nogil:
            for chunk in prange(self.n_chunks, num_threads=self.n_threads, schedule="dynamic", chunksize=AT_ONCE):
                seeding_take(&self.points, self.weights, &center[0], self.starts[chunk], self.starts[chunk + 1],
                             self._box(chunk), &self.chunks[chunk], self.closest,
                             <double*>(self.scratch + threadid() * self.scratch_size))
        PyErr_CheckSignals()
        return 0


def kmeans_plusplus(points, const double[::1] weights, const double[:, ::1] uniforms, double[::1] closest,
                    const ptrdiff_t[::1] chunks, const double[:, ::1] boxes, double[:, ::1] centers,
                    int64_t[::1] indices, *, int n_threads):
    """Draw k seeds.

    points, weights, closest, chunks, boxes: as for `Seeding`
    uniforms: k x candidates a step, in [0, 1); of the first row only the first is used  IN
    centers: k x p; the seeds                                                           OUT
    indices: k; their rows, or -1 from the first seed on that found no room             OUT
    """
    cdef ptrdiff_t k = uniforms.shape[0], trials = uniforms.shape[1], step, c, best
    cdef Seeding seeding = Seeding(points, weights, closest, chunks, boxes, trials, n_threads)
    cdef double[:, ::1] candidates = np.empty((trials, centers.shape[1]))
    cdef double[:, ::1] potentials = np.empty((chunks.shape[0] - 1, trials))
    cdef double[::1] totals = np.empty(trials)
    cdef int64_t[::1] drawn = np.empty(trials, dtype=np.int64)
    for step in range(k):
        seeding.draw(uniforms[step], drawn)
        if drawn[0] < 0:
            indices[step:] = -1
            return
        for c in range(trials):
            matrix_row_f64(&seeding.points, drawn[c], &candidates[c, 0])
        best = 0 if step == 0 else seeding.best(candidates, potentials, totals)
        if step == 0:
            closest[:] = np.inf
        indices[step] = drawn[best]
        centers[step, :] = candidates[best]
        seeding.take(candidates[best])
