/* Pixels from a palette. */
#ifndef FASTCLUSTER_EXT_PAINT_H
#define FASTCLUSTER_EXT_PAINT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "common/simd.h"

/* Both sizes are constants wherever this is called: an entry is copied by a move or two. */
FC_INLINE int paint_sized(const void *indices, int index_size, ptrdiff_t start, ptrdiff_t stop,
                          const unsigned char *palette, ptrdiff_t entries, ptrdiff_t size, unsigned char *out) {
    for (ptrdiff_t n = start; n < stop; n++) {
        const ptrdiff_t index = index_size == 1   ? ((const uint8_t *)indices)[n]
                                : index_size == 2 ? ((const uint16_t *)indices)[n]
                                                  : (ptrdiff_t)((const uint32_t *)indices)[n];
        if (index >= entries) return 0;
        memcpy(out + n * size, palette + index * size, (size_t)size);
    }
    return 1;
}

FC_INLINE int paint_indexed(const void *indices, int index_size, ptrdiff_t start, ptrdiff_t stop,
                            const unsigned char *palette, ptrdiff_t entries, ptrdiff_t size, unsigned char *out) {
    if (size == 3) return paint_sized(indices, index_size, start, stop, palette, entries, 3, out);
    if (size == 4) return paint_sized(indices, index_size, start, stop, palette, entries, 4, out);
    return paint_sized(indices, index_size, start, stop, palette, entries, size, out);
}

/* out[n] = palette[indices[n]] for n in [start, stop); returns 0 at an index that is no entry. */
static inline int paint_chunk(const void *indices, int index_size, ptrdiff_t start, ptrdiff_t stop,
                              const unsigned char *palette, ptrdiff_t entries, ptrdiff_t size, unsigned char *out) {
    if (index_size == 1) return paint_indexed(indices, 1, start, stop, palette, entries, size, out);
    if (index_size == 2) return paint_indexed(indices, 2, start, stop, palette, entries, size, out);
    return paint_indexed(indices, 4, start, stop, palette, entries, size, out);
}

#endif
