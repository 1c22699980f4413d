/* A read-only view of an image, h x w x c of uint8 or uint16 with any strides, as a run of h * w pixels.
 *
 * A pixel's key holds its channels from the most significant byte (or 16 bits) on, so that keys sort as colors do,
 * channel by channel.
 */
#ifndef FASTCLUSTER_EXT_PIXELS_H
#define FASTCLUSTER_EXT_PIXELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "common/simd.h"

typedef struct {
    const char *data;
    ptrdiff_t height, width, channels;
    ptrdiff_t row_stride, column_stride, channel_stride; /* bytes */
    int item_size;                                       /* 1: uint8, 2: uint16 */
} pixels;

/* RGB whose channels follow each other: one load, except for the last pixel, behind which nothing may be read. */
FC_INLINE uint64_t pixels_key_rgb(const char *at) {
    const uint8_t *c = (const uint8_t *)at;
    return (uint64_t)c[0] << 16 | (uint64_t)c[1] << 8 | c[2];
}

FC_INLINE uint64_t pixels_key_any(const char *at, ptrdiff_t channels, ptrdiff_t stride, int item_size) {
    uint64_t key = 0;
    for (ptrdiff_t c = 0; c < channels; c++) {
        key = item_size == 1 ? key << 8 | *(const uint8_t *)(at + c * stride)
                             : key << 16 | *(const uint16_t *)(at + c * stride);
    }
    return key;
}

/* The channels of n keys, each of item_size bytes: the inverse of pixels_key_any. */
static inline void pixels_colors(const uint64_t *keys, ptrdiff_t n, ptrdiff_t channels, int item_size, void *out) {
    for (ptrdiff_t i = 0; i < n; i++) {
        for (ptrdiff_t c = 0; c < channels; c++) {
            const uint64_t value = keys[i] >> (8 * item_size * (channels - 1 - c));
            if (item_size == 1) {
                ((uint8_t *)out)[i * channels + c] = (uint8_t)value;
            } else {
                ((uint16_t *)out)[i * channels + c] = (uint16_t)value;
            }
        }
    }
}

/* Whether this is the usual image: RGB whose channels and pixels follow each other. */
FC_INLINE int pixels_dense_rgb(const pixels *image) {
    return image->channels == 3 && image->channel_stride == 1 && image->item_size == 1 && image->column_stride == 3;
}

/* The run of pixels from number `at` to the end of its row or `stop`; the row's memory. */
FC_INLINE ptrdiff_t pixels_run(const pixels *image, ptrdiff_t at, ptrdiff_t stop, const char **memory) {
    const ptrdiff_t row = at / image->width, column = at % image->width, left = image->width - column;
    *memory = image->data + row * image->row_stride + column * image->column_stride;
    return stop - at < left ? stop - at : left;
}

/* Runs `statement` for every pixel number `n` in [start, stop) with its `key`; dense RGB, the usual image, and the
 * other layouts each have a loop of their own. */
#define PIXELS_FOR_EACH(image, start, stop, statement)                                                                 \
    for (ptrdiff_t at_ = (start); at_ < (stop);) {                                                                     \
        const char *memory_;                                                                                           \
        const ptrdiff_t run_ = pixels_run(image, at_, stop, &memory_), step_ = (image)->column_stride;                 \
        if (pixels_dense_rgb(image)) {                                                                                 \
            for (ptrdiff_t i_ = 0; i_ < run_; i_++) {                                                                  \
                const ptrdiff_t n = at_ + i_;                                                                          \
                const uint64_t key = pixels_key_rgb(memory_ + 3 * i_);                                                 \
                (void)n;                                                                                               \
                statement                                                                                              \
            }                                                                                                          \
        } else {                                                                                                       \
            for (ptrdiff_t i_ = 0; i_ < run_; i_++) {                                                                  \
                const ptrdiff_t n = at_ + i_;                                                                          \
                const uint64_t key =                                                                                   \
                    pixels_key_any(memory_ + i_ * step_, (image)->channels, (image)->channel_stride, (image)->item_size); \
                (void)n;                                                                                               \
                statement                                                                                              \
            }                                                                                                          \
        }                                                                                                              \
        at_ += run_;                                                                                                   \
    }

#endif
