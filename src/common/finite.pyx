"""Are all values usable: finite, and small enough that a sum of squared differences stays finite?

One threaded pass over the data, at memory speed. O(n p) time, O(n / 2048) memory.
"""

from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange
from libc.stddef cimport ptrdiff_t

from common.chunks cimport chunk_count, chunk_rows
from common.matrix cimport acquire_matrix, matrix


cdef extern from "common/finite.h" nogil:
    bint finite_chunk(const matrix* view, ptrdiff_t start, ptrdiff_t stop, double limit) noexcept


def first_unusable(values, double limit, *, int n_threads):
    """Return (start, stop) of the first chunk of rows with a value that is NaN or beyond +-limit, or None."""
    cdef Py_buffer buffer
    cdef matrix view
    cdef ptrdiff_t chunk, rows, chunks, first, last, unusable = 0
    acquire_matrix(values, &buffer, &view)
    try:
        rows = chunk_rows(view.n_columns)
        chunks = chunk_count(view.n_rows, rows)
        n_threads = <int>min(n_threads, chunks)
        for first in range(0, chunks, 4096):
            last = min(first + 4096, chunks)
            with nogil:
                # A count, because a plain assignment would be kept from the thread of the last chunk only. Which chunk is
                # the first is looked for in the rare case that there is one.
                for chunk in prange(first, last, num_threads=n_threads, schedule="static"):
                    if not finite_chunk(&view, chunk * rows, min((chunk + 1) * rows, view.n_rows), limit):
                        unusable += 1
            if unusable:
                for chunk in range(first, last):
                    if not finite_chunk(&view, chunk * rows, min((chunk + 1) * rows, view.n_rows), limit):
                        return chunk * rows, min((chunk + 1) * rows, view.n_rows)
            PyErr_CheckSignals()
        return None
    finally:
        PyBuffer_Release(&buffer)
