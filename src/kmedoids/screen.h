/* Candidates of a matrix that cannot improve, found in float32: bounds on what a swap changes, from one pass over a row.
 *
 * The terms of S and E of service.h are computed for all points, a vector at a time and without branches. S is one sum;
 * the terms of E go to the sum of their point's nearest medoid, but only those of points within reach (d < d2) are not
 * zero, so these few are packed first and then added one by one. A packed term is one word: the medoid's number takes
 * the place of the float's last bits. Two rows are read side by side, each once and at about the speed of memory, so
 * that what is known of the points is read from the second-level cache only once for both.
 *
 * What the bounds let pass is evaluated in float64 by service_evaluate, so the screen changes no result. They allow for
 * every rounding, with u = 2^-24: of d, d1, d2 (4 u of d1 + d2, a point), of each term and product (4 u), of the bits
 * that numbers below 2^b take (2^(b + 1) u), and of adding up S in float32 (one u an addition, SCREEN_BLOCK / VF_LANES
 * of them before the sum goes on in float64).
 */
#ifndef FASTCLUSTER_EXT_SCREEN_H
#define FASTCLUSTER_EXT_SCREEN_H

#include "service.h"

/* Points whose terms are packed before they are added to the sums: these, and the packed ones, stay in L1. */
#define SCREEN_BLOCK 256
/* Candidates whose rows are read side by side. */
#define SCREEN_ROWS 2
/* Values of a row fetched ahead: processors do not look beyond a page. */
#define SCREEN_AHEAD 512
/* Sums of E side by side, so that one addition need not wait for the last, mostly to the same medoid. */
#define SCREEN_LANES 8
/* Packed terms of a block: whole vectors are written. */
#define SCREEN_TERMS (SCREEN_BLOCK + 16)
/* Most bits that a medoid's number may take of a term; more would leave bounds that rule nothing out. */
#define SCREEN_BITS 16

typedef struct {
    float *first, *second, *weights; /* n, padded to whole vectors by zeros; weights may be NULL */
    int32_t *nearest;
    double slack; /* bound on what the roundings of distances add up to */
    int bits;     /* of the numbers of all medoids */
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
static inline int screen_suits(double farthest, double heaviest, ptrdiff_t k) {
    return farthest > 1e-20 && farthest < 1e30 && heaviest > 1e-6 && farthest * heaviest < 1e30 &&
           k <= (ptrdiff_t)1 << SCREEN_BITS;
}

/* Bits that the numbers of k medoids take. */
static inline int screen_bits(ptrdiff_t k) {
    int bits = 0;
    while ((ptrdiff_t)1 << bits < k) bits++;
    return bits;
}

/* Scratch of one thread: sums of E for each row; a block of float64 values; and of a row's, the packed terms. */
static inline size_t screen_scratch_bytes(ptrdiff_t k) {
    return (size_t)(SCREEN_ROWS * k * SCREEN_LANES + SCREEN_BLOCK) * sizeof(double) +
           (size_t)(SCREEN_BLOCK + SCREEN_ROWS * SCREEN_TERMS) * sizeof(float);
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

/* Adds S of a block of points to the lanes of `shared` and packs the terms of E; returns how many. */
FC_INLINE ptrdiff_t screen_terms(const screen *f, const float *restrict row, ptrdiff_t start, ptrdiff_t count,
                                 double *restrict shared, float *restrict terms, int weighted) {
    const float *restrict firsts = f->first + start, *restrict seconds = f->second + start;
    const int32_t *restrict nearest = f->nearest + start;
    const vi keep = vi_set1(-((int32_t)1 << f->bits));
    vf sum = vf_set1(0);
    ptrdiff_t found = 0;
    for (ptrdiff_t r = 0; r < count; r += VF_LANES) {
        __builtin_prefetch(row + r + SCREEN_AHEAD);
        const vf d = vf_load(row + r), first = vf_load(firsts + r), second = vf_load(seconds + r);
        vf s = vf_sub(vf_min(d, first), first), e = vf_sub(vf_max(d, first), second);
        if (weighted) {
            const vf w = vf_load(f->weights + start + r);
            s = vf_mul(w, s);
            e = vf_mul(w, e);
        }
        sum = vf_add(sum, s);
        found += vf_store_where(terms + found, vf_tag(e, keep, vi_load(nearest + r)), vf_less(d, second));
    }
    float lanes[VF_LANES];
    vf_store(lanes, sum);
    for (int l = 0; l < VF_LANES; l++) shared[l] += lanes[l];
    return found;
}

/* Adds the packed terms of E to the sums of their medoids. wide: `found` doubles. */
FC_INLINE void screen_sort(const float *restrict terms, ptrdiff_t found, int bits, double *restrict wide,
                           double *restrict own) {
    const uint32_t mask = ((uint32_t)1 << bits) - 1;
    uint32_t word;
    ptrdiff_t t = 0;
    /* All at once: to convert one number in a register waits for what the register held before, the last sum. */
    for (ptrdiff_t i = 0; i < found; i++) wide[i] = terms[i];
    for (; t + SCREEN_LANES <= found; t += SCREEN_LANES) {
        for (int l = 0; l < SCREEN_LANES; l++) {
            memcpy(&word, terms + t + l, sizeof(word));
            own[(size_t)(word & mask) * SCREEN_LANES + l] += wide[t + l];
        }
    }
    for (; t < found; t++) {
        memcpy(&word, terms + t, sizeof(word));
        own[(size_t)(word & mask) * SCREEN_LANES] += wide[t];
    }
}

/* Bounds on the changes of the loss if candidate candidates[r] takes the best place: at least lower[r], at most upper[r].
 * rows: number of candidates, at most SCREEN_ROWS. k > 1, or no removal losses. */
static inline void screen_bounds(const screen *f, const source *s, const service *v, const int64_t *candidates,
                                 ptrdiff_t rows, char *scratch, double *lower, double *upper) {
    const ptrdiff_t sums = v->k * SCREEN_LANES;
    double *own = (double *)scratch, *wide = own + SCREEN_ROWS * sums, shared[SCREEN_ROWS][VF_LANES] = {{0}};
    float *buffer = (float *)(wide + SCREEN_BLOCK), *terms = buffer + SCREEN_BLOCK;
    ptrdiff_t found[SCREEN_ROWS];
    for (ptrdiff_t i = 0; i < rows * sums; i++) own[i] = 0;
    for (ptrdiff_t start = 0; start < v->n; start += SCREEN_BLOCK) {
        const ptrdiff_t count = v->n - start < SCREEN_BLOCK ? v->n - start : SCREEN_BLOCK;
        for (ptrdiff_t r = 0; r < rows; r++) {
            const float *row = screen_row(s, candidates[r], start, count, wide, buffer);
            found[r] = f->weights ? screen_terms(f, row, start, count, shared[r], terms + r * SCREEN_TERMS, 1)
                                  : screen_terms(f, row, start, count, shared[r], terms + r * SCREEN_TERMS, 0);
        }
        /* Only now, as what has just been written in other portions than it is read in is not at hand yet. */
        for (ptrdiff_t r = 0; r < rows; r++) {
            screen_sort(terms + r * SCREEN_TERMS, found[r], f->bits, wide, own + r * sums);
        }
    }
    const double rounding = (SCREEN_BLOCK / VF_LANES + 12 + 4 * ((ptrdiff_t)1 << f->bits)) * 0x1p-24;
    for (ptrdiff_t r = 0; r < rows; r++) {
        double all = 0;
        for (int l = 0; l < VF_LANES; l++) all += shared[r][l];
        lower[r] = upper[r] = INFINITY;
        for (ptrdiff_t i = 0; i < v->k; i++) {
            double gain = -all;
            for (int l = 0; l < SCREEN_LANES; l++) gain -= own[r * sums + i * SCREEN_LANES + l];
            const double off = f->slack + rounding * gain + 1e-12 * v->removal[i];
            if (v->removal[i] - gain - off < lower[r]) lower[r] = v->removal[i] - gain - off;
            if (v->removal[i] - gain + off < upper[r]) upper[r] = v->removal[i] - gain + off;
        }
    }
}

#endif
