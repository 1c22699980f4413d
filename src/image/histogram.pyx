"""The distinct colors of an image, how often each occurs, and the way back from colors to labels and to pixels.

Two algorithms behind one interface: bits and ranks where a color has at most 24 bits (ranks.h), a hash table for any
other (table.h). Cost: O(pixels) time in two passes (ranks) or one (table); the working memory is a few MiB and 4 bytes
a color and thread (ranks), or 32 to 64 bytes a color and thread (table).

Invariant: colors come in ascending order, channel by channel, and counts are integers; so the result does not depend on
the number of threads.
"""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport prange, threadid
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

import numpy as np

cdef enum:
    PIXEL_CHUNK = 1 << 16          # pixels a thread takes at a time
    PIXEL_SLICE = 1 << 24          # pixels between two looks at pending signals; about 30 ms of one core
    OWN_COUNTERS_BYTES = 1 << 25   # counters of all threads; beyond, they share one set
    RANKS_THREADS = 16             # bitmaps alive at once, 2 MiB each
    TABLE_BITS = 12                # initial size of a hash table


cdef extern from "image/pixels.h" nogil:
    ctypedef struct pixels:
        const char* data
        ptrdiff_t height
        ptrdiff_t width
        ptrdiff_t channels
        ptrdiff_t row_stride
        ptrdiff_t column_stride
        ptrdiff_t channel_stride
        int item_size


cdef extern from "image/ranks.h" nogil:
    ctypedef struct rank_entry:
        pass
    void ranks_mark(const pixels* image, ptrdiff_t start, ptrdiff_t stop, uint32_t* bitmap) noexcept
    ptrdiff_t ranks_build(const uint32_t* bitmaps, ptrdiff_t n_bitmaps, ptrdiff_t words, rank_entry* ranks) noexcept
    void ranks_count(const pixels* image, ptrdiff_t start, ptrdiff_t stop, const rank_entry* ranks,
                     uint32_t* counts) noexcept
    void ranks_count_shared(const pixels* image, ptrdiff_t start, ptrdiff_t stop, const rank_entry* ranks,
                            uint32_t* counts) noexcept
    void ranks_keys(const rank_entry* ranks, ptrdiff_t words, uint64_t* keys) noexcept
    bint ranks_expand_uint8(const pixels* image, ptrdiff_t start, ptrdiff_t stop, const rank_entry* ranks,
                            const uint8_t* values, uint8_t* out) noexcept
    bint ranks_expand_uint16(const pixels* image, ptrdiff_t start, ptrdiff_t stop, const rank_entry* ranks,
                             const uint16_t* values, uint16_t* out) noexcept
    bint ranks_expand_uint32(const pixels* image, ptrdiff_t start, ptrdiff_t stop, const rank_entry* ranks,
                             const uint32_t* values, uint32_t* out) noexcept


cdef extern from "image/table.h" nogil:
    ctypedef struct table_slot:
        pass

    ctypedef struct color_table:
        table_slot* slots
        ptrdiff_t used
    bint table_create(color_table* table, int bits) noexcept
    void table_destroy(color_table* table) noexcept
    bint table_count(const pixels* image, ptrdiff_t start, ptrdiff_t stop, uint64_t transparent_mask,
                     color_table* table) noexcept
    bint table_merge(color_table* into, const color_table* source) noexcept
    void table_keys(const color_table* table, uint64_t* keys) noexcept
    void table_rank(color_table* table, const uint64_t* keys, ptrdiff_t n, int64_t* counts) noexcept
    bint table_expand_uint8(const pixels* image, ptrdiff_t start, ptrdiff_t stop, uint64_t transparent_mask,
                            const color_table* table, const uint8_t* values, uint8_t* out) noexcept
    bint table_expand_uint16(const pixels* image, ptrdiff_t start, ptrdiff_t stop, uint64_t transparent_mask,
                             const color_table* table, const uint16_t* values, uint16_t* out) noexcept
    bint table_expand_uint32(const pixels* image, ptrdiff_t start, ptrdiff_t stop, uint64_t transparent_mask,
                             const color_table* table, const uint32_t* values, uint32_t* out) noexcept


cdef extern from "image/paint.h" nogil:
    bint paint_chunk(const void* indices, int index_size, ptrdiff_t start, ptrdiff_t stop,
                     const unsigned char* palette, ptrdiff_t entries, ptrdiff_t size, unsigned char* out) noexcept


ctypedef fused label:
    uint8_t
    uint16_t
    uint32_t


@cython.final
cdef class Histogram:
    """Distinct colors of `image` (h x w x c, uint8 or uint16, at most 64 bits a pixel).

    skip_transparent: leave pixels out whose last channel is 0 (images of two or four channels)
    keys: u uint64, ascending; counts: u int64; n_transparent: pixels left out
    """

    cdef:
        Py_buffer buffer
        bint acquired
        pixels image
        ptrdiff_t n_pixels, words
        uint64_t transparent_mask
        rank_entry* ranks
        color_table table
        bint by_rank
        readonly object keys, counts
        readonly ptrdiff_t n_transparent

    def __cinit__(self, image, bint skip_transparent, int n_threads):
        PyObject_GetBuffer(image, &self.buffer, PyBUF_STRIDES | PyBUF_FORMAT)
        self.acquired = True
        code = <bytes>self.buffer.format
        if self.buffer.ndim != 3 or code not in (b"B", b"H"):
            raise TypeError(f"kernels take h x w x c uint8 or uint16 images, not {self.buffer.ndim}-D {code!r}")
        self.image.data = <const char*>self.buffer.buf
        self.image.height, self.image.width = self.buffer.shape[0], self.buffer.shape[1]
        self.image.channels = self.buffer.shape[2]
        self.image.row_stride, self.image.column_stride = self.buffer.strides[0], self.buffer.strides[1]
        self.image.channel_stride = self.buffer.strides[2]
        self.image.item_size = 1 if code == b"B" else 2
        self.n_pixels = self.image.height * self.image.width
        n_threads = <int>min(n_threads, (self.n_pixels + PIXEL_CHUNK - 1) // PIXEL_CHUNK)
        cdef int key_bits = self.image.channels * self.image.item_size * 8
        if key_bits > 64:
            raise ValueError(f"a pixel of {key_bits} bits does not fit a 64-bit key")
        if self.image.row_stride == self.image.width * self.image.column_stride:
            self.image.height, self.image.width = 1, self.n_pixels
        self.transparent_mask = ((1 << 8 * self.image.item_size) - 1) if skip_transparent else 0
        self.by_rank = key_bits <= 24 and not skip_transparent
        if self.by_rank:
            self.words = max(1, (1 << key_bits) // 32)
            self._count_by_rank(n_threads)
        else:
            self._count_by_table(n_threads)
        self.n_transparent = self.n_pixels - <ptrdiff_t>int(self.counts.sum())

    def __dealloc__(self):
        free(self.ranks)
        table_destroy(&self.table)
        if self.acquired:
            PyBuffer_Release(&self.buffer)

    cdef int _count_by_rank(self, int n_threads) except -1:
        cdef int threads = min(n_threads, RANKS_THREADS), owners
        cdef ptrdiff_t chunk, first, slice_end, colors, last = (self.n_pixels + PIXEL_CHUNK - 1) // PIXEL_CHUNK
        cdef ptrdiff_t a_slice = PIXEL_SLICE // PIXEL_CHUNK
        cdef uint32_t[:, ::1] bitmaps = np.zeros((threads, self.words), dtype=np.uint32)
        cdef uint64_t[::1] keys
        cdef uint32_t[:, ::1] counts
        self.ranks = <rank_entry*>calloc(self.words, sizeof(rank_entry))
        if self.ranks == NULL:
            raise MemoryError(f"cannot allocate {self.words * sizeof(rank_entry)} bytes for color ranks")
        for first in range(0, last, a_slice):
            slice_end = min(first + a_slice, last)
            with nogil:
                for chunk in prange(first, slice_end, num_threads=threads, schedule="dynamic"):
                    ranks_mark(&self.image, chunk * PIXEL_CHUNK, min((chunk + 1) * PIXEL_CHUNK, self.n_pixels),
                               &bitmaps[threadid(), 0])
            PyErr_CheckSignals()
        colors = ranks_build(&bitmaps[0, 0], threads, self.words, self.ranks)
        keys = np.empty(colors, dtype=np.uint64)
        ranks_keys(self.ranks, self.words, &keys[0])
        total = np.zeros(colors, dtype=np.int64)
        owners = threads if threads * colors * 4 <= OWN_COUNTERS_BYTES else 1
        counts = np.zeros((owners, colors), dtype=np.uint32)
        for first in range(0, last, a_slice):
            slice_end = min(first + a_slice, last)
            with nogil:
                if owners > 1 or threads == 1:
                    for chunk in prange(first, slice_end, num_threads=threads, schedule="dynamic"):
                        ranks_count(&self.image, chunk * PIXEL_CHUNK, min((chunk + 1) * PIXEL_CHUNK, self.n_pixels),
                                    self.ranks, &counts[threadid(), 0])
                else:
                    for chunk in prange(first, slice_end, num_threads=threads, schedule="dynamic"):
                        ranks_count_shared(&self.image, chunk * PIXEL_CHUNK,
                                           min((chunk + 1) * PIXEL_CHUNK, self.n_pixels), self.ranks, &counts[0, 0])
            # 32-bit counters cannot overflow within a slice.
            for part in counts.base:
                total += part
            counts[:, :] = 0
            PyErr_CheckSignals()
        self.keys, self.counts = keys.base, total
        return 0

    cdef int _count_by_table(self, int n_threads) except -1:
        cdef ptrdiff_t chunk, first, slice_end, last = (self.n_pixels + PIXEL_CHUNK - 1) // PIXEL_CHUNK
        cdef ptrdiff_t a_slice = PIXEL_SLICE // PIXEL_CHUNK
        cdef color_table* tables = <color_table*>calloc(n_threads, sizeof(color_table))
        cdef bint enough = tables != NULL
        cdef int t, short_of = 0
        cdef uint64_t[::1] keys
        cdef int64_t[::1] counts
        try:
            for t in range(n_threads):
                enough = enough and table_create(&tables[t], TABLE_BITS)
            if enough:
                for first in range(0, last, a_slice):
                    slice_end = min(first + a_slice, last)
                    with nogil:
                        for chunk in prange(first, slice_end, num_threads=n_threads,
                                            schedule="dynamic"):
                            if not table_count(&self.image, chunk * PIXEL_CHUNK,
                                               min((chunk + 1) * PIXEL_CHUNK, self.n_pixels), self.transparent_mask,
                                               &tables[threadid()]):
                                short_of += 1
                    PyErr_CheckSignals()
                self.table = tables[0]
                tables[0].slots = NULL
                with nogil:
                    for t in range(1, n_threads):
                        enough = enough and table_merge(&self.table, &tables[t])
            if not enough or short_of:
                raise MemoryError("cannot allocate 32 bytes a distinct color for the table of colors")
            keys = np.empty(self.table.used, dtype=np.uint64)
            counts = np.empty(self.table.used, dtype=np.int64)
            if self.table.used:
                table_keys(&self.table, &keys[0])
                keys.base.sort()
                table_rank(&self.table, &keys[0], self.table.used, &counts[0])
            self.keys, self.counts = keys.base, counts.base
            return 0
        finally:
            if tables != NULL:
                for t in range(n_threads):
                    table_destroy(&tables[t])
            free(tables)

    def expand(self, const label[::1] values, label[::1] out, int n_threads):
        """out[n] = values[rank of pixel n's color]; transparent pixels left out get values[u].

        values: u + 1, labels of the colors and of what was left out                    IN
        out: pixels                                                                     OUT
        Returns False if the image holds a color that it did not hold when it was counted.
        """
        cdef ptrdiff_t chunk, first, slice_end, start, stop, last = (self.n_pixels + PIXEL_CHUNK - 1) // PIXEL_CHUNK
        cdef ptrdiff_t a_slice = PIXEL_SLICE // PIXEL_CHUNK
        cdef int unknown = 0
        n_threads = <int>min(n_threads, last)
        for first in range(0, last, a_slice):
            slice_end = min(first + a_slice, last)
            with nogil:
                for chunk in prange(first, slice_end, num_threads=n_threads, schedule="dynamic"):
                    start, stop = chunk * PIXEL_CHUNK, min((chunk + 1) * PIXEL_CHUNK, self.n_pixels)
                    if label is uint8_t:
                        unknown += not (ranks_expand_uint8(&self.image, start, stop, self.ranks, &values[0], &out[0])
                                        if self.by_rank else
                                        table_expand_uint8(&self.image, start, stop, self.transparent_mask,
                                                           &self.table, &values[0], &out[0]))
                    elif label is uint16_t:
                        unknown += not (ranks_expand_uint16(&self.image, start, stop, self.ranks, &values[0], &out[0])
                                        if self.by_rank else
                                        table_expand_uint16(&self.image, start, stop, self.transparent_mask,
                                                            &self.table, &values[0], &out[0]))
                    else:
                        unknown += not (ranks_expand_uint32(&self.image, start, stop, self.ranks, &values[0], &out[0])
                                        if self.by_rank else
                                        table_expand_uint32(&self.image, start, stop, self.transparent_mask,
                                                            &self.table, &values[0], &out[0]))
            PyErr_CheckSignals()
        return unknown == 0


def paint(const label[::1] indices, const unsigned char[:, ::1] palette, unsigned char[:, ::1] out, int n_threads):
    """out[n] = palette[indices[n]], a few bytes each.

    indices: n, all below the palette's length                                          IN
    palette: entries x bytes of one entry; out: n x the same                            OUT
    Returns False, with the rest unpainted, if an index is too large.
    """
    cdef ptrdiff_t n = indices.shape[0], size = palette.shape[1], entries = palette.shape[0], chunk, first, slice_end
    cdef ptrdiff_t last = (n + PIXEL_CHUNK - 1) // PIXEL_CHUNK, a_slice = PIXEL_SLICE // PIXEL_CHUNK
    cdef int wrong = 0
    for first in range(0, last, a_slice):
        slice_end = min(first + a_slice, last)
        with nogil:
            for chunk in prange(first, slice_end, num_threads=n_threads, schedule="dynamic"):
                wrong += not paint_chunk(&indices[0], sizeof(label), chunk * PIXEL_CHUNK,
                                         min((chunk + 1) * PIXEL_CHUNK, n), &palette[0, 0], entries, size, &out[0, 0])
        PyErr_CheckSignals()
    return wrong == 0
