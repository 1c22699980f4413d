"""The distinct colors of an image, how often each occurs, and the way back from colors to labels and to pixels.

Two algorithms behind one interface: a counter for every possible color where one has at most 24 bits and there are many
pixels (cubes.h), a hash table otherwise (table.h). Cost: O(pixels) time in one pass; the working memory is 18 MiB for
each of a few threads (cubes), or 32 to 64 bytes a color and thread (table).

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
from libc.string cimport memset

import numpy as np

cdef enum:
    PIXEL_CHUNK = 1 << 16          # pixels a thread takes at a time
    PIXEL_SLICE = 1 << 24          # pixels between two looks at pending signals; about 30 ms of one core
    COLOR_CHUNK = 1 << 14          # colors a thread takes at a time
    LEAST_CUBE_PIXELS = 1 << 17    # RGB images of fewer go through the table: measured
    CUBE_THREADS = 4               # that count at once, each in a table of its own
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
    void pixels_colors(const uint64_t* keys, ptrdiff_t n, ptrdiff_t channels, int item_size, void* out) noexcept


cdef extern from "image/cubes.h" nogil:
    ctypedef struct cube_places:
        ptrdiff_t size
        ptrdiff_t slabs
    void cubes_arrange(cube_places* places, int key_bits) noexcept

    ctypedef struct cube_tally:
        pass
    bint cubes_tally_create(cube_tally* tally, const cube_places* places, ptrdiff_t n_pixels) noexcept
    void cubes_tally_destroy(cube_tally* tally) noexcept
    void cubes_count(const pixels* image, ptrdiff_t start, ptrdiff_t stop, const cube_places* places,
                     cube_tally* tally) noexcept
    ptrdiff_t cubes_join(const cube_places* places, cube_tally* tallies, int n_tallies, ptrdiff_t slab) noexcept
    void cubes_collect(const cube_places* places, const cube_tally* tallies, int n_tallies, ptrdiff_t slab,
                       ptrdiff_t rank, uint32_t* ranks, uint64_t* keys, int64_t* counts) noexcept
    void cubes_carry(const cube_places* places, const cube_tally* joined, const cube_tally* tally,
                     const uint32_t* ranks, int64_t* counts) noexcept
    void cubes_encode_8(const cube_places* places, const uint64_t* keys, ptrdiff_t start, ptrdiff_t stop,
                        const void* labels, int label_size, void* codes) noexcept
    void cubes_encode_16(const cube_places* places, const uint64_t* keys, ptrdiff_t start, ptrdiff_t stop,
                         const void* labels, int label_size, void* codes) noexcept
    void cubes_encode_32(const cube_places* places, const uint64_t* keys, ptrdiff_t start, ptrdiff_t stop,
                         const void* labels, int label_size, void* codes) noexcept
    bint cubes_expand_8(const pixels* image, ptrdiff_t start, ptrdiff_t stop, const cube_places* places,
                        const void* codes, int label_size, void* out) noexcept
    bint cubes_expand_16(const pixels* image, ptrdiff_t start, ptrdiff_t stop, const cube_places* places,
                         const void* codes, int label_size, void* out) noexcept
    bint cubes_expand_32(const pixels* image, ptrdiff_t start, ptrdiff_t stop, const cube_places* places,
                         const void* codes, int label_size, void* out) noexcept


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
    colors: u x c of the image's type, ascending; counts: u int64; n_transparent: pixels left out
    """

    cdef:
        Py_buffer buffer
        bint acquired
        pixels image
        ptrdiff_t n_pixels
        uint64_t transparent_mask
        cube_places places
        color_table table
        bint by_cube
        const uint64_t[::1] keys
        readonly object colors, counts
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
        self.by_cube = key_bits < 24 or key_bits == 24 and self.n_pixels >= LEAST_CUBE_PIXELS
        self.by_cube = self.by_cube and not skip_transparent
        if self.by_cube:
            cubes_arrange(&self.places, key_bits)
            self._count_by_cube(n_threads)
        else:
            self._count_by_table(n_threads)
        self._set_colors()
        self.n_transparent = self.n_pixels - <ptrdiff_t>int(self.counts.sum())

    def __dealloc__(self):
        table_destroy(&self.table)
        if self.acquired:
            PyBuffer_Release(&self.buffer)

    cdef int _set_colors(self) except -1:
        cdef char[:, ::1] out
        dtype = np.uint8 if self.image.item_size == 1 else np.uint16
        self.colors = np.empty((self.keys.shape[0], self.image.channels), dtype)
        if self.keys.shape[0]:
            out = self.colors.view(np.int8)
            pixels_colors(&self.keys[0], self.keys.shape[0], self.image.channels, self.image.item_size, &out[0, 0])
        return 0

    cdef int _count_by_cube(self, int n_threads) except -1:
        cdef int threads = min(n_threads, CUBE_THREADS), t, short_of = 0
        cdef ptrdiff_t chunk, first, slice_end, slab, last = (self.n_pixels + PIXEL_CHUNK - 1) // PIXEL_CHUNK
        cdef ptrdiff_t a_slice = PIXEL_SLICE // PIXEL_CHUNK, slabs = self.places.slabs
        cdef cube_tally tallies[CUBE_THREADS]
        cdef ptrdiff_t[::1] used = np.zeros(slabs, dtype=np.intp), before
        cdef uint32_t[::1] ranks = np.empty(self.places.size // 32, dtype=np.uint32)
        cdef uint64_t[::1] keys
        cdef int64_t[::1] counts
        memset(tallies, 0, sizeof(tallies))
        try:
            with nogil:
                for t in prange(threads, num_threads=threads):
                    short_of += not cubes_tally_create(&tallies[t], &self.places, self.n_pixels)
            if short_of:
                raise MemoryError(f"cannot allocate {threads * self.places.size * 9 // 8} bytes to count colors")
            for first in range(0, last, a_slice):
                slice_end = min(first + a_slice, last)
                with nogil:
                    for chunk in prange(first, slice_end, num_threads=threads, schedule="dynamic"):
                        cubes_count(&self.image, chunk * PIXEL_CHUNK, min((chunk + 1) * PIXEL_CHUNK, self.n_pixels),
                                    &self.places, &tallies[threadid()])
                PyErr_CheckSignals()
            with nogil:
                for slab in prange(slabs, num_threads=threads, schedule="dynamic"):
                    used[slab] = cubes_join(&self.places, tallies, threads, slab)
            before = np.cumsum(used) - used
            keys = np.empty(before[slabs - 1] + used[slabs - 1], dtype=np.uint64)
            counts = np.empty(keys.shape[0], dtype=np.int64)
            with nogil:
                for slab in prange(slabs, num_threads=threads, schedule="dynamic"):
                    if used[slab]:
                        cubes_collect(&self.places, tallies, threads, slab, before[slab], &ranks[0], &keys[0],
                                      &counts[0])
                for t in range(threads):
                    cubes_carry(&self.places, &tallies[0], &tallies[t], &ranks[0], &counts[0])
            self.keys, self.counts = keys, counts.base
            return 0
        finally:
            for t in range(threads):
                cubes_tally_destroy(&tallies[t])

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
            self.keys, self.counts = keys, counts.base
            return 0
        finally:
            if tables != NULL:
                for t in range(n_threads):
                    table_destroy(&tables[t])
            free(tables)

    def expand(self, const label[::1] values, label[::1] out, int n_threads):
        """out[n] = values[rank of pixel n's color]; transparent pixels left out get values[u].

        values: u + 1, labels of the colors and of what was left out; not 2**31             IN
        out: pixels                                                                     OUT
        Returns False if the image holds a color that it did not hold when it was counted.
        """
        n_threads = <int>min(n_threads, (self.n_pixels + PIXEL_CHUNK - 1) // PIXEL_CHUNK)
        if self.by_cube:
            most = np.asarray(values)[:self.keys.shape[0]].max()
            return self._expand_by_cube(&values[0], most, sizeof(label), &out[0], n_threads)
        return self._expand_by_table(&values[0], sizeof(label), &out[0], n_threads)

    cdef bint _expand_by_cube(self, const void* labels, uint32_t most, int size, void* out, int n_threads) except -1:
        cdef ptrdiff_t chunk, first, slice_end, start, stop, last = (self.n_pixels + PIXEL_CHUNK - 1) // PIXEL_CHUNK
        cdef ptrdiff_t a_slice = PIXEL_SLICE // PIXEL_CHUNK, colors = self.keys.shape[0]
        cdef ptrdiff_t color_chunks = (colors + COLOR_CHUNK - 1) // COLOR_CHUNK
        cdef int code_size = 1 if most < 255 else 2 if most < 65535 else 4, unknown = 0
        cdef void* codes = calloc(self.places.size, code_size)
        if codes == NULL:
            raise MemoryError(f"cannot allocate {self.places.size * code_size} bytes to look up colors")
        try:
            with nogil:
                for chunk in prange(color_chunks, num_threads=n_threads, schedule="dynamic"):
                    start, stop = chunk * COLOR_CHUNK, min((chunk + 1) * COLOR_CHUNK, colors)
                    if code_size == 1:
                        cubes_encode_8(&self.places, &self.keys[0], start, stop, labels, size, codes)
                    elif code_size == 2:
                        cubes_encode_16(&self.places, &self.keys[0], start, stop, labels, size, codes)
                    else:
                        cubes_encode_32(&self.places, &self.keys[0], start, stop, labels, size, codes)
            for first in range(0, last, a_slice):
                slice_end = min(first + a_slice, last)
                with nogil:
                    for chunk in prange(first, slice_end, num_threads=n_threads, schedule="dynamic"):
                        start, stop = chunk * PIXEL_CHUNK, min((chunk + 1) * PIXEL_CHUNK, self.n_pixels)
                        if code_size == 1:
                            unknown += not cubes_expand_8(&self.image, start, stop, &self.places, codes, size, out)
                        elif code_size == 2:
                            unknown += not cubes_expand_16(&self.image, start, stop, &self.places, codes, size, out)
                        else:
                            unknown += not cubes_expand_32(&self.image, start, stop, &self.places, codes, size, out)
                PyErr_CheckSignals()
            return unknown == 0
        finally:
            free(codes)

    cdef bint _expand_by_table(self, const void* labels, int size, void* out, int n_threads) except -1:
        cdef ptrdiff_t chunk, first, slice_end, start, stop, last = (self.n_pixels + PIXEL_CHUNK - 1) // PIXEL_CHUNK
        cdef ptrdiff_t a_slice = PIXEL_SLICE // PIXEL_CHUNK
        cdef int unknown = 0
        for first in range(0, last, a_slice):
            slice_end = min(first + a_slice, last)
            with nogil:
                for chunk in prange(first, slice_end, num_threads=n_threads, schedule="dynamic"):
                    start, stop = chunk * PIXEL_CHUNK, min((chunk + 1) * PIXEL_CHUNK, self.n_pixels)
                    if size == 1:
                        unknown += not table_expand_uint8(&self.image, start, stop, self.transparent_mask, &self.table,
                                                          <const uint8_t*>labels, <uint8_t*>out)
                    elif size == 2:
                        unknown += not table_expand_uint16(&self.image, start, stop, self.transparent_mask, &self.table,
                                                           <const uint16_t*>labels, <uint16_t*>out)
                    else:
                        unknown += not table_expand_uint32(&self.image, start, stop, self.transparent_mask, &self.table,
                                                           <const uint32_t*>labels, <uint32_t*>out)
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
