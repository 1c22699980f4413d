/* Candidates of a matrix that cannot improve, found in float32: bounds on what a swap changes, from one pass over a row.
 *
 * The terms of S and E of service.h are computed for all points, a vector at a time and without branches. S is one sum;
 * the terms of E go to the sum of their point's nearest medoid, but only those of points within reach (d < d2) are not
 * zero, so these few are packed first and then added one by one. A row is read once, at about the speed of memory.
 *
 * What the bounds let pass is evaluated in float64 by service_evaluate, so the screen changes no result. They allow for
 * every rounding, with u = 2^-24: of d, d1, d2 (4 u of d1 + d2, a point), of each term and product (4 u), and of adding
 * up S in float32 (one u an addition, SCREEN_BLOCK / VF_LANES of them before the sum goes on in float64).
 */
#ifndef FASTCLUSTER_EXT_SCREEN_H
#define FASTCLUSTER_EXT_SCREEN_H

#include "service.h"

/* Points whose terms are packed before they are added to the sums: these, and the packed ones, stay in L1. */
#define SCREEN_BLOCK 1024
/* Values of a row fetched ahead: processors do not look beyond a page. */
#define SCREEN_AHEAD 1024
/* Sums of E side by side, so that one addition need not wait for the last, mostly to the same medoid. */
#define SCREEN_LANES 8

typedef struct {
    float *first, *second, *weights; /* n, padded to whole vectors by zeros; weights may be NULL */
    int32_t *nearest;
    double slack; /* bound on what the roundings of distances add up to */
} screen;

/* Values of one of its arrays. */
static inline ptrdiff_t screen_padded(ptrdiff_t n) { return (n + SCREEN_BLOCK - 1) / SCREEN_BLOCK * SCREEN_BLOCK; }

/* Points [start, stop) of the state, and what is behind the last one if stop is. Returns the largest d2. */
static inline double screen_fill(screen *f, const service *v, ptrdiff_t start, ptrdiff_t stop) {
    const ptrdiff_t end = stop == v->n ? screen_padded(stop) : stop;
    double most = 0;
    for (ptrdiff_t o = start; o < stop; o++) {
        f->first[o] = (float)v->first[o];
        f->second[o] = (float)v->second[o];
        f->nearest[o] = v->nearest[o];
        if (v->weights) f->weights[o] = (float)v->weights[o];
        most = v->second[o] > most ? v->second[o] : most;
    }
    for (ptrdiff_t o = stop; o < end; o++) {
        f->first[o] = f->second[o] = 0;
        f->nearest[o] = 0;
        if (v->weights) f->weights[o] = 0;
    }
    return most;
}

/* Neither products nor squares of rounding errors may leave the range of float32. */
static inline int screen_suits(double farthest, double heaviest) {
    return farthest > 1e-20 && farthest < 1e30 && heaviest > 1e-6 && farthest * heaviest < 1e30;
}

/* Scratch of one thread: sums of E; the row's values, the packed terms and their medoids. */
static inline size_t screen_scratch_bytes(ptrdiff_t k) {
    return (size_t)(k * SCREEN_LANES + SOURCE_TILE) * sizeof(double) + (size_t)(3 * SCREEN_BLOCK + 64) * sizeof(float);
}

/* Values [start, start + count) of row c as float32, whole vectors of them; where there are no more, infinity. */
static inline const float *screen_row(const source *s, ptrdiff_t c, ptrdiff_t start, ptrdiff_t count, double *wide,
                                      float *buffer) {
    if (source_is_single(s)) {
        const float *row = source_single_row(s, c) + start;
        if (count == SCREEN_BLOCK) return row;
        memcpy(buffer, row, (size_t)count * sizeof(float));
    } else {
        for (ptrdiff_t at = 0; at < count; at += SOURCE_TILE) {
            const ptrdiff_t some = count - at < SOURCE_TILE ? count - at : SOURCE_TILE;
            const double *d = source_matrix_tile(s, c, start + at, some, wide);
            for (ptrdiff_t i = 0; i < some; i++) buffer[at + i] = (float)d[i];
        }
    }
    for (ptrdiff_t i = count; i < (count + 15) / 16 * 16; i++) buffer[i] = INFINITY;
    return buffer;
}

/* Adds S of a block of points to *shared and packs the terms of E; returns how many. */
FC_INLINE ptrdiff_t screen_terms(const screen *f, const float *row, ptrdiff_t start, ptrdiff_t count, double *shared,
                                 float *terms, int32_t *medoids, int weighted) {
    vf sum = vf_set1(0);
    ptrdiff_t found = 0;
    for (ptrdiff_t r = 0; r < count; r += VF_LANES) {
        __builtin_prefetch(row + r + SCREEN_AHEAD);
        const vf d = vf_load(row + r), first = vf_load(f->first + start + r), second = vf_load(f->second + start + r);
        vf s = vf_sub(vf_min(d, first), first), e = vf_sub(vf_max(d, first), second);
        if (weighted) {
            const vf w = vf_load(f->weights + start + r);
            s = vf_mul(w, s);
            e = vf_mul(w, e);
        }
        sum = vf_add(sum, s);
        found += vf_store_where(terms + found, medoids + found, e, f->nearest + start + r, vf_less(d, second));
    }
    float lanes[VF_LANES];
    vf_store(lanes, sum);
    for (int l = 0; l < VF_LANES; l++) *shared += lanes[l];
    return found;
}

/* Bounds on the change of the loss if candidate c takes the best place: at least *lower, at most *upper. k > 1. */
static inline void screen_bounds(const screen *f, const source *s, const service *v, ptrdiff_t c, char *scratch,
                                 double *lower, double *upper) {
    double *own = (double *)scratch, *wide = own + v->k * SCREEN_LANES, shared = 0;
    float *buffer = (float *)(wide + SOURCE_TILE), *terms = buffer + SCREEN_BLOCK;
    int32_t *medoids = (int32_t *)(terms + SCREEN_BLOCK + 32);
    for (ptrdiff_t i = 0; i < v->k * SCREEN_LANES; i++) own[i] = 0;
    for (ptrdiff_t start = 0; start < v->n; start += SCREEN_BLOCK) {
        const ptrdiff_t count = v->n - start < SCREEN_BLOCK ? v->n - start : SCREEN_BLOCK;
        const float *row = screen_row(s, c, start, count, wide, buffer);
        const ptrdiff_t found = f->weights ? screen_terms(f, row, start, count, &shared, terms, medoids, 1)
                                           : screen_terms(f, row, start, count, &shared, terms, medoids, 0);
        ptrdiff_t t = 0;
        for (; t + SCREEN_LANES <= found; t += SCREEN_LANES) {
            for (int l = 0; l < SCREEN_LANES; l++) own[medoids[t + l] * SCREEN_LANES + l] += terms[t + l];
        }
        for (; t < found; t++) own[medoids[t] * SCREEN_LANES] += terms[t];
    }
    const double rounding = (SCREEN_BLOCK / VF_LANES + 12) * 0x1p-24;
    *lower = *upper = INFINITY;
    for (ptrdiff_t i = 0; i < v->k; i++) {
        double gain = -shared;
        for (int l = 0; l < SCREEN_LANES; l++) gain -= own[i * SCREEN_LANES + l];
        const double off = f->slack + rounding * gain + 1e-12 * v->removal[i];
        if (v->removal[i] - gain - off < *lower) *lower = v->removal[i] - gain - off;
        if (v->removal[i] - gain + off < *upper) *upper = v->removal[i] - gain + off;
    }
}

#endif
