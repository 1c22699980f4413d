/* Distances between points: every metric as small functors over one blocked loop, in float32 and in float64.
 *
 * A metric is one entry of METRICS below: how its points are prepared, the functor that adds one feature's term, how
 * many sums that takes, how partial sums merge, and what turns the sums into the distance. The functors are in
 * metrics_real.h, which is compiled once for `float` (names ending in _f32) and once for `double` (_f64); the names,
 * aliases and codes users see are in fastcluster_ext/_metrics.py, in the same order as here.
 *
 * Points are kept in *panels*: METRIC_PANEL points by column, so that one vector load brings a feature of many points.
 * A set of n points takes metric_panels(n) panels, one behind the other, each metric_panel_size values, on a cache
 * line: n_features x METRIC_PANEL, and sums of the points where metric_expands wants them; places behind the last point
 * hold zeros. Contract (T is float or double, S its suffix):
 *
 *   metric_pack_S(m, view, start, count, panels)       rows [start, start + count) of `view` into panels, prepared for
 *                                                      the metric; O(count p); start is free, count may be any
 *   metric_tile_S(m, rows, count, columns, k, tile)    distances of the first `count` points of the panels `rows` to
 *                                                      all points of the k panels `columns`: tile[i * k * METRIC_PANEL
 *                                                      + j]. `rows` may be a panel, or a place within one if all
 *                                                      `count` are in that panel; then the place is a multiple of
 *                                                      METRIC_GROUP, or count is 1: one row against a block
 *   metric_tile_to_S(m, rows, count, columns, k, tile, to)
 *                                                      the same to to[i][j], unless `to` is NULL; then `count` is a
 *                                                      multiple of METRIC_GROUP
 *   metric_row_S(m, panels, i)                         where point i of a set is, as `rows` of metric_tile
 *   metric_tile_size(m, count, k)                      values of T `tile` must hold (more than are returned)
 *
 * metric_tile goes over both sides METRIC_FEATURES features at a time, so that a tile of a few panels a side reads long
 * rows from memory once; metric_tile_rows and metric_tile_columns give a size that suits.
 *
 * Every sum is taken feature by feature in order, in blocks of METRIC_FEATURES whose results are added in order, and of
 * direct differences, but where the expanded form below is proven good enough. So equal points are at distance exactly
 * 0 and a common offset costs nothing, or no more than that allows. Cosine and correlation are half the squared
 * difference of the rows scaled to length 1 (centered first, for correlation), which is 1 - cos without its
 * cancellation; the scaling is done in float64. Nothing is reordered: the values are the same bits for every block
 * shape and number of threads, so whoever takes distances from here takes the same ones. They are the same for every
 * instruction set, too (for Minkowski as far as the C library's pow is), but for sums of squares: x86-64-v3 and -v4
 * square and add with one rounding, the others, which cannot or need not, with two.
 *
 * Errors, with u = 2^-53 or 2^-24: a sum of non-negative terms over p features is off by at most
 * (min(p, METRIC_FEATURES) + p / METRIC_FEATURES + 3) u, relatively, and by about the square root of that as a rule.
 *
 * City-block and Euclidean distances of float64, and the squares of these, are taken from the expanded form of a term
 * wherever that is proven good enough (metric_expands): it has an operation less a feature, two instead of three and one
 * instead of two. |x - y| is 2 max(x, y) - x - y, and (x - y)^2 is x^2 + y^2 - 2 x y, so the sum of either is
 *
 *   d = 2 S - (X + Y),   with S, X and Y the sums of max(x, y), x and y,   or
 *   d = (X + Y) - 2 S,   with S, X and Y the sums of x y, x^2 and y^2.
 *
 * X and Y belong to the points and are made when these are packed. What cancels is bounded for each pair by itself, so a
 * distance still depends on its two points alone. With A, the sum of |x| and of |y|, or of x^2 and of y^2, and k, the
 * roundings that a term meets on its way into a sum, min(p, METRIC_FEATURES) - 1 + (p - 1) / METRIC_FEATURES, and but
 * for terms of u^2:
 *
 *   S of maxima is off by at most k u times the sum of |max(x, y)|, which is at most (A + d) / 2; S of products, rounded
 *   once or twice themselves, by at most (k + 2) u times the sum of |x y|, which is at most A / 2;
 *   X and Y, summed up together with their rounding errors, by u |X| and u |Y|, and as much again for the rounding of a
 *   square; X + Y by u A; and the result by u d;
 *   in all the result is off by at most (k + 5) u A + (k + 1) u d.
 *
 * It is trusted if it is at least t = (k + 7) u A / METRIC_TRUSTED, and is then off by less than METRIC_TRUSTED
 * + (k + 1) u < 5e-13, relatively: the 2 to spare cover terms of u^2, and that A and t are rounded. So that nothing lost
 * to underflow counts beside d, METRIC_LEAST is added to t. All other distances are sums of direct differences: those
 * of equal and near points, of points far from 0 beside their differences, and of points with NaN, infinity or A above
 * METRIC_LARGEST, whose t is NaN. Of float32 all are, for the bound it keeps is just that of the direct sum; and cosines
 * and correlations, which promise more than 5e-13 beside 1.
 */
#ifndef FASTCLUSTER_EXT_METRICS_H
#define FASTCLUSTER_EXT_METRICS_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "matrix.h"
#include "roots.h"

#define METRIC_PANEL 32     /* points; whole vectors of every width and type */
#define METRIC_GROUP 8      /* points; rows of a panel are taken in groups of this size or of a divisor of it */
#define METRIC_FEATURES 64  /* features between two visits to memory; two panels' worth then fit in 32 KB */
#define METRIC_LONG 128     /* features; a row of more is long */
#define METRIC_AHEAD 256    /* bytes; memory that takes distances is asked for so long before (bench_distance.py) */

/* Of metric_expands: the relative error that is taken, about; the least of half a distance that is trusted, far above
 * what underflow loses of a sum; and what |x| or x^2 may add up to, far from any overflow. */
#define METRIC_TRUSTED 0x1p-41
#define METRIC_LEAST 0x1p-900
#define METRIC_LARGEST 0x1p100

/* What is done to a point before any distance is taken. */
typedef enum {
    PREPARE_NOTHING,
    PREPARE_UNIT,     /* scaled to length 1; NaN if that is impossible */
    PREPARE_CENTERED, /* less its mean, then scaled to length 1; NaN if all values are equal */
    PREPARE_BINARY    /* 0 if zero, else 1 (NaN too) */
} metric_preparation;

/*       code         preparation       term       sums  merge    distance    expanded */
#define METRICS(ENTRY)                                                                                                 \
    ENTRY(EUCLIDEAN,   PREPARE_NOTHING,  squared,   1,    add,     root,       PRODUCTS)                               \
    ENTRY(SQEUCLIDEAN, PREPARE_NOTHING,  squared,   1,    add,     sum,        PRODUCTS)                               \
    ENTRY(CITYBLOCK,   PREPARE_NOTHING,  absolute,  1,    add,     sum,        MAXIMA)                                 \
    ENTRY(CHEBYSHEV,   PREPARE_NOTHING,  largest,   1,    larger,  sum,        NOTHING)                                \
    ENTRY(MINKOWSKI,   PREPARE_NOTHING,  power,     1,    add,     power_root, NOTHING)                                \
    ENTRY(COSINE,      PREPARE_UNIT,     squared,   1,    add,     half,       NOTHING)                                \
    ENTRY(CORRELATION, PREPARE_CENTERED, squared,   1,    add,     half,       NOTHING)                                \
    ENTRY(CANBERRA,    PREPARE_NOTHING,  relative,  1,    add,     sum,        NOTHING)                                \
    ENTRY(BRAYCURTIS,  PREPARE_NOTHING,  sums,      2,    add,     ratio,      NOTHING)                                \
    ENTRY(HAMMING,     PREPARE_NOTHING,  unequal,   1,    add,     mean,       NOTHING)                                \
    ENTRY(JACCARD,     PREPARE_BINARY,   unshared,  2,    add,     share,      NOTHING)

#define METRIC_CODE(CODE, preparation, term, sums, merge, distance, expanded) METRIC_##CODE,
typedef enum { METRICS(METRIC_CODE) METRIC_COUNT } metric_code;
#undef METRIC_CODE

/* What stands for the terms in the expanded form, see above. */
typedef enum { EXPANDED_NOTHING, EXPANDED_MAXIMA, EXPANDED_PRODUCTS } metric_expansion;

typedef struct {
    metric_code code;
    double exponent; /* of Minkowski, positive and finite; unused by the others */
    ptrdiff_t n_features;
} metric;

/* The table's preparation of a metric, the number of its sums, and its expanded form. */
static inline metric_preparation metric_prepares(const metric *m) {
#define METRIC_PREPARATION(CODE, preparation, term, sums, merge, distance, expanded) preparation,
    static const metric_preparation prepares[] = {METRICS(METRIC_PREPARATION)};
#undef METRIC_PREPARATION
    return prepares[m->code];
}

static inline int metric_sum_count(const metric *m) {
#define METRIC_SUMS(CODE, preparation, term, sums, merge, distance, expanded) sums,
    static const int sums[] = {METRICS(METRIC_SUMS)};
#undef METRIC_SUMS
    return sums[m->code];
}

static inline metric_expansion metric_expanded(const metric *m) {
#define METRIC_EXPANDED(CODE, preparation, term, sums, merge, distance, expanded) EXPANDED_##expanded,
    static const metric_expansion expanded[] = {METRICS(METRIC_EXPANDED)};
#undef METRIC_EXPANDED
    return expanded[m->code];
}

/* Panels that n points take. */
static inline ptrdiff_t metric_panels(ptrdiff_t n) { return (n + METRIC_PANEL - 1) / METRIC_PANEL; }

/* Whether float64 distances are taken from the expanded form where they can be trusted, see above. Of fewer features
 * that gains little; of more, t is so large that few pairs may be trusted. Panels then have two more rows behind the
 * features, X and t of each point (in float32 unused). */
static inline int metric_expands(const metric *m) {
    return metric_expanded(m) != EXPANDED_NOTHING && m->n_features >= 32 && m->n_features <= 16384;
}

/* Which sums are taken first, the expanded or the direct ones, the others only of rows where the first do not do; or both
 * at once. Distances are the same, but not the time: in half of what a direct sum of squares takes, expanded ones take
 * 1, direct ones 2, both 3, and a row that is taken again by itself 2 or 3. */
typedef enum { EXPANDED_NEVER, EXPANDED_FIRST, EXPANDED_LAST, EXPANDED_BOTH } metric_order;

/* t of a point whose |x|, or x^2, add up to 1, but for METRIC_LEAST. */
static inline double metric_trust(const metric *m) {
    const ptrdiff_t p = m->n_features, within = p < METRIC_FEATURES ? p : METRIC_FEATURES;
    const ptrdiff_t k = within - 1 + (p - 1) / METRIC_FEATURES;
    return (double)(k + 7) * (0x1p-53 / METRIC_TRUSTED);
}

/* Values in one panel: where the next one begins. */
static inline ptrdiff_t metric_panel_size(const metric *m) {
    return (m->n_features + (metric_expands(m) ? 2 : 0)) * METRIC_PANEL;
}

/* Values of the distances, and of the first sums, of a tile of `count` rows and k column panels: all row groups that are
 * begun. */
static inline ptrdiff_t metric_tile_plane(ptrdiff_t count, ptrdiff_t k) {
    return (count + METRIC_GROUP - 1) / METRIC_GROUP * METRIC_GROUP * k * METRIC_PANEL;
}

/* Values that a tile needs, its second sums included. */
static inline ptrdiff_t metric_tile_size(const metric *m, ptrdiff_t count, ptrdiff_t k) {
    return (metric_expands(m) ? 2 : metric_sum_count(m)) * metric_tile_plane(count, k);
}

/* Points a side of a tile that suits n_features: of short rows a flat one, whose sums stay in L1 and go out in long
 * runs; of long rows a square one, which reuses both sides; of long rows whose every term is dear a small one, soon done.
 * Eight rows are a quarter of a panel. */
static inline ptrdiff_t metric_tile_rows(const metric *m) {
    if (m->code == METRIC_MINKOWSKI || m->n_features <= 16) return 8;
    return m->n_features <= METRIC_LONG ? 32 : 64;
}
static inline ptrdiff_t metric_tile_columns(const metric *m) {
    return m->n_features <= METRIC_LONG ? 256 : m->code == METRIC_MINKOWSKI ? METRIC_PANEL : 64;
}

/* What a pair of points costs, in multiply-adds, about; for cutting work up. */
static inline double metric_work(const metric *m) {
    const double term = m->code == METRIC_MINKOWSKI ? 400 : m->code == METRIC_CANBERRA ? 8 : 2;
    return term * (double)m->n_features + 16;
}

/* Where point i of a set is. */
static inline const float *metric_row_f32(const metric *m, const float *panels, ptrdiff_t i) {
    return panels + i / METRIC_PANEL * metric_panel_size(m) + i % METRIC_PANEL;
}
static inline const double *metric_row_f64(const metric *m, const double *panels, ptrdiff_t i) {
    return panels + i / METRIC_PANEL * metric_panel_size(m) + i % METRIC_PANEL;
}

/* x -> (x - mean) * scale / length, per point; the numbers of metric_pack for up to METRIC_PANEL points. */
typedef struct {
    double mean, scale, length;
} metric_unit;

/* Find what scales a row to length 1; all three become NaN where nothing does. O(p). */
static inline metric_unit metric_unit_of(const matrix *view, ptrdiff_t row, int centered) {
    const ptrdiff_t p = view->n_columns;
    const char *at = view->data + row * view->row_stride;
    const metric_unit none = {NAN, NAN, NAN};
    metric_unit unit = {0.0, 1.0, 0.0};
#define VALUE(i) matrix_value(at + (i) * view->column_stride, view->dtype)
    if (centered) {
        /* The second round takes out what the first, of a large common offset, has rounded. */
        double sum = 0, rest = 0;
        int constant = 1;
        for (ptrdiff_t i = 0; i < p; i++) {
            sum += VALUE(i);
            constant &= VALUE(i) == VALUE(0);
        }
        if (constant) return none;
        unit.mean = sum / (double)p;
        for (ptrdiff_t i = 0; i < p; i++) rest += VALUE(i) - unit.mean;
        unit.mean += rest / (double)p;
    }
    double largest = 0, squares = 0;
    for (ptrdiff_t i = 0; i < p; i++) {
        const double size = fabs(VALUE(i) - unit.mean);
        if (size > largest) largest = size;
    }
    if (!(largest > 0 && largest <= DBL_MAX)) return none;
    /* A power of two takes the squares out of reach of overflow and underflow, and changes no digit. */
    int exponent;
    frexp(largest, &exponent);
    unit.scale = ldexp(1.0, exponent > -1000 ? -exponent : 1000);
    for (ptrdiff_t i = 0; i < p; i++) {
        const double value = (VALUE(i) - unit.mean) * unit.scale;
        squares += value * value;
    }
#undef VALUE
    unit.length = sqrt(squares);
    return unit;
}

/* Keeps compilers from turning p, p + 1, ... into a pointer each, more than there are registers for. */
#if defined(__GNUC__)
#define METRIC_ONE_ADDRESS(p) __asm__("" : "+r"(p));
#else
#define METRIC_ONE_ADDRESS(p)
#endif

/* a * b + c, rounded once. */
#if defined(__AVX512F__)
FC_INLINE __m512 fmadd512_f32(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
FC_INLINE __m512d fmadd512_f64(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
/* The larger of a and *b in every lane, *b from memory; for term_maximum. */
FC_INLINE __m512 larger512_f32(__m512 a, const float *b) {
    __m512 larger;
    __asm__("vmaxps %2%{1to16%}, %1, %0" : "=v"(larger) : "v"(a), "m"(*b));
    return larger;
}
FC_INLINE __m512d larger512_f64(__m512d a, const double *b) {
    __m512d larger;
    __asm__("vmaxpd %2%{1to8%}, %1, %0" : "=v"(larger) : "v"(a), "m"(*b));
    return larger;
}
/* a - *b in every lane, *b from memory; for lanes_minus. */
FC_INLINE __m512 subtract512_f32(__m512 a, const float *b) {
    __m512 difference;
    __asm__("vsubps %2%{1to16%}, %1, %0" : "=v"(difference) : "v"(a), "m"(*b));
    return difference;
}
FC_INLINE __m512d subtract512_f64(__m512d a, const double *b) {
    __m512d difference;
    __asm__("vsubpd %2%{1to8%}, %1, %0" : "=v"(difference) : "v"(a), "m"(*b));
    return difference;
}
/* The same as a - *b * 1. */
FC_INLINE __m512 fnmadd512_f32(__m512 a, const float *b) {
    __asm__("vfnmadd231ps %2%{1to16%}, %1, %0" : "+v"(a) : "v"(_mm512_set1_ps(1)), "m"(*b));
    return a;
}
FC_INLINE __m512d fnmadd512_f64(__m512d a, const double *b) {
    __asm__("vfnmadd231pd %2%{1to8%}, %1, %0" : "+v"(a) : "v"(_mm512_set1_pd(1)), "m"(*b));
    return a;
}
#elif defined(__AVX2__) && defined(__FMA__)
FC_INLINE __m256 fmadd256_f32(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
FC_INLINE __m256d fmadd256_f64(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
#endif

/* The roots of a vector, a where a > b and else b, and a bit for every lane where a >= b; elsewhere (metrics_real.h)
 * value by value. */
#if defined(__AVX512F__)
FC_INLINE __m512 vector_larger_f32(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }
FC_INLINE __m512d vector_larger_f64(__m512d a, __m512d b) { return _mm512_max_pd(a, b); }
FC_INLINE unsigned vector_reach_f32(__m512 a, __m512 b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
FC_INLINE unsigned vector_reach_f64(__m512d a, __m512d b) { return _mm512_cmp_pd_mask(a, b, _CMP_GE_OQ); }
FC_INLINE __m512 vector_root_f32(__m512 a) { return _mm512_sqrt_ps(a); }
FC_INLINE __m512d vector_root_f64(__m512d a) { return _mm512_sqrt_pd(a); }
#elif defined(__AVX2__) && defined(__FMA__)
FC_INLINE __m256 vector_larger_f32(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
FC_INLINE __m256d vector_larger_f64(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
FC_INLINE unsigned vector_reach_f32(__m256 a, __m256 b) {
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ));
}
FC_INLINE unsigned vector_reach_f64(__m256d a, __m256d b) {
    return (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_GE_OQ));
}
FC_INLINE __m256 vector_root_f32(__m256 a) { return _mm256_sqrt_ps(a); }
FC_INLINE __m256d vector_root_f64(__m256d a) { return _mm256_sqrt_pd(a); }
#elif defined(__SSE4_1__)
FC_INLINE __m128 vector_larger_f32(__m128 a, __m128 b) { return _mm_max_ps(a, b); }
FC_INLINE __m128d vector_larger_f64(__m128d a, __m128d b) { return _mm_max_pd(a, b); }
FC_INLINE unsigned vector_reach_f32(__m128 a, __m128 b) { return (unsigned)_mm_movemask_ps(_mm_cmpge_ps(a, b)); }
FC_INLINE unsigned vector_reach_f64(__m128d a, __m128d b) { return (unsigned)_mm_movemask_pd(_mm_cmpge_pd(a, b)); }
FC_INLINE __m128 vector_root_f32(__m128 a) { return _mm_sqrt_ps(a); }
FC_INLINE __m128d vector_root_f64(__m128d a) { return _mm_sqrt_pd(a); }
#endif

#define REAL float
#define REAL_NAME(name) name##_f32
#define REAL_BITS int32_t
#define REAL_ABS 0x7fffffff
#include "metrics_real.h"

#define REAL double
#define REAL_NAME(name) name##_f64
#define REAL_BITS int64_t
#define REAL_ABS 0x7fffffffffffffff
#include "metrics_real.h"

#endif
