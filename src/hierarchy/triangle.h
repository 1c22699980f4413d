/* The condensed matrix as clusters merge: what one thread does with one row, or one run of rows, of it.
 *
 * A triangle of n positions holds the distance of i < j at triangle_offset(n, i) + j: row by row, the diagonal and
 * below left out (SciPy's condensed form). Each position holds one cluster, or none when its size is 0. Between two
 * passes, and on a chain, a merged cluster takes the later position of its two halves; by the generic algorithm the
 * earlier one.
 *
 * The memory traffic decides the speed: a row's right part is contiguous, its left part is one element in each earlier
 * row. Everything here reads rows to the right wherever it can, and condensing (below) makes the triangle small again
 * in one streaming pass.
 */
#ifndef FASTCLUSTER_EXT_TRIANGLE_H
#define FASTCLUSTER_EXT_TRIANGLE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "common/simd_double.h"
#include "lance_williams.h"

/* In the body of a loop over scattered reads: they are faster one by one than as the gather compilers make of them. */
#define KEEP_SCALAR __asm__ volatile("")

/* Offset o of row i such that element (i, j), i < j, is at o + j. */
FC_INLINE ptrdiff_t triangle_offset(ptrdiff_t n, ptrdiff_t i) { return i * (2 * n - i - 3) / 2 - 1; }

/* The clusters of a triangle. `values`, `sizes` and `distances` are float or double as `is_double` says. */
typedef struct {
    ptrdiff_t n;
    int is_double;
    void *values;      /* n (n - 1) / 2 */
    double scale;      /* 0; or values are the caller's distances, and scale * value is what is to be squared */
    const double *weights; /* with a scale: NULL, or sizes that ward's distances are multiplied with */
    void *sizes;       /* n: sizes of clusters; 0 where there is none */
    int32_t *nearest;  /* n: position of the nearest cluster; or NEAREST_UNKNOWN; or NEAREST_NONE, there is none */
    void *distances;   /* n: the distance to it, or, where it is unknown, a lower bound */
} triangle;

/* How to condense a triangle: which old position goes to each new one, and which pairs merge on the way. A cluster
 * keeps the last position of those it unites, as do the clusters it is made of; so every pair gives up one position. */
typedef struct {
    ptrdiff_t n_new, n_pairs;
    int32_t *source;   /* n_new: old positions, ascending */
    uint8_t *kept;     /* a bit for each old position: whether it is a source */
    void *sizes;       /* n_new: sizes after merging */
    /* By pair, n_pairs: in the order of the positions they end at, those of one cluster so that halves come first. */
    int32_t *final;    /* old position the cluster ends at */
    int32_t *first;    /* old positions of the pair: the earlier one, given up */
    int32_t *second;   /* and the later one */
    void *offs;        /* what the formula takes off for the distance at which they merge */
    void *first_sizes, *parts; /* of the first; and what the formula takes of the second */
    int8_t *first_buffer, *second_buffer; /* where a row's own halves are while they merge; -1: in the triangle */
    int8_t *out_buffer;
    int32_t *given, *given_ends; /* positions that are given up, ascending, and the ends of their clusters */
} condense_plan;

/* A row's own clusters merge in buffers, of which a tree of them needs no more if it is not too even and large. */
enum { CONDENSE_BUFFERS = 5 };

/* Bytes of a line of a panel, which is so many new rows wide, at most; old columns at a time
 * (benchmarks/bench_hierarchy.py). */
enum { PANEL_LINE = 64, PANEL_MOST_ROWS = PANEL_LINE / sizeof(float), PANEL_RUN = 512 };

/* What values are between, and whether all are finite, as one thread has seen. */
typedef struct {
    double least, greatest;
    int finite;
    char padding[44]; /* a cache line each */
} extent;

/* The nearest neighbors that one thread has found, of each position. float or double as in the triangle. */
typedef struct {
    void *least;         /* n: the distance to the nearest one to the left */
    void *least_rows;    /* n, as wide: its position, or -1 */
    void *bounds;        /* n: what is not nearer than this will not be listed */
    void *values;        /* n x LISTED: distances */
    int32_t *ids;        /* n x LISTED: positions */
    uint8_t *counts;     /* n: how many are listed */
    uint8_t *last;       /* n: which of a full list is the last */
} nearby;

/* All pairs of clusters that are nearer than `reach`, as all threads have found them, row by row in no order. */
typedef struct {
    double reach;
    double linked;         /* how near they are for closest.h to link them at once */
    ptrdiff_t capacity;
    ptrdiff_t found;       /* more than the capacity: then some have been left out */
    void *values;          /* capacity: distances, float or double as in the triangle */
    int32_t *columns;      /* capacity */
    int32_t *begin, *counts; /* n: by row */
} near_pairs;

/* What one thread found in one run of positions: the least distance, the first position that has it (-1: none). */
typedef struct {
    double distance;
    ptrdiff_t position;
} nearest_found;

FC_INLINE void prefer_nearest(nearest_found *best, double distance, ptrdiff_t position) {
    if (position >= 0 && (best->position < 0 || distance < best->distance)) {
        best->distance = distance;
        best->position = position;
    }
}

/* The first pair that ends to the right of old position b: pairs [that, n_pairs) do, those before not. */
static inline ptrdiff_t pairs_behind(const condense_plan *plan, ptrdiff_t b) {
    ptrdiff_t low = 0, high = plan->n_pairs;
    while (low < high) {
        const ptrdiff_t middle = (low + high) / 2;
        if (plan->final[middle] > b) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* Ask for a cache line of a column long before it is read: in the second-level cache, which can wait for twice as many
 * lines as the first. A walk down a column takes half the time. */
#define PREFETCH(place) __builtin_prefetch(place, 0, 2)

/* How many rows ahead (benchmarks/bench_hierarchy.py). */
enum { COLUMN_AHEAD = 40, GATHER_AHEAD = 16, LINES_AHEAD = 8 };
enum { NEAREST_LANES = 16, NEAREST_RUN = 512 };
enum { NEAREST_UNKNOWN = -1, NEAREST_NONE = -2 };

/* Neighbors on a list (benchmarks/bench_hierarchy.py): more save passes, but a pass has more to look up then. */
enum { LISTED = 4 };
/* Parts of a row that have their least distances told: enough to bound those of a list. */
#define VEC_PARTS (2 * VEC_LANES > LISTED ? 2 * VEC_LANES : LISTED)
enum { SETTLED_RUNS = 256 }; /* runs of a row whose least distances are remembered */

#define real float
#define vec vf
#define VEC(name) vf_##name
#define VEC_LANES VF_LANES
#define index int32_t
#define LW_TYPED(name) name##_f32
#define TYPED(name) name##_f32
#include "neighbors_typed.h"
#include "triangle_typed.h"
#include "near_typed.h"
#include "condense_typed.h"
#undef real
#undef vec
#undef VEC
#undef VEC_LANES
#undef index
#undef LW_TYPED
#undef TYPED

#define real double
#define vec vd
#define VEC(name) vd_##name
#define VEC_LANES VD_LANES
#define index int64_t
#define LW_TYPED(name) name##_f64
#define TYPED(name) name##_f64
#include "neighbors_typed.h"
#include "triangle_typed.h"
#include "near_typed.h"
#include "condense_typed.h"
#undef real
#undef vec
#undef VEC
#undef VEC_LANES
#undef index
#undef LW_TYPED
#undef TYPED

#define TRIANGLE_DISPATCH(is_double, name, ...) ((is_double) ? name##_f64(__VA_ARGS__) : name##_f32(__VA_ARGS__))

/* The distance of any two different positions. */
static inline double triangle_get(const triangle *t, ptrdiff_t i, ptrdiff_t j) {
    const ptrdiff_t at = i < j ? triangle_offset(t->n, i) + j : triangle_offset(t->n, j) + i;
    return t->is_double ? ((const double *)t->values)[at] : (double)((const float *)t->values)[at];
}

static inline double triangle_real(const triangle *t, const void *array, ptrdiff_t i) {
    return t->is_double ? ((const double *)array)[i] : (double)((const float *)array)[i];
}

static inline void triangle_set_real(const triangle *t, void *array, ptrdiff_t i, double value) {
    if (t->is_double) {
        ((double *)array)[i] = value;
    } else {
        ((float *)array)[i] = (float)value;
    }
}

static inline void triangle_prefetch(const triangle *t, ptrdiff_t i, ptrdiff_t j) {
    __builtin_prefetch((const char *)t->values + (triangle_offset(t->n, i) + j) * (t->is_double ? 8 : 4));
}

/* As the formula wants it. */
static inline double triangle_taken(const triangle *t, ptrdiff_t i, ptrdiff_t j) {
    const ptrdiff_t at = triangle_offset(t->n, i) + j;
    return t->is_double ? taken_f64(t, ((const double *)t->values)[at], i, j)
                        : (double)taken_f32(t, ((const float *)t->values)[at], i, j);
}

static inline void settle_row(const triangle *t, ptrdiff_t row, const void *from, void *to, const nearby *lists,
                              extent *seen) {
    TRIANGLE_DISPATCH(t->is_double, settle_row, t, row, from, to, lists, seen);
}

static inline void collect_row(const triangle *t, ptrdiff_t row, const void *from, void *to, near_pairs *near,
                               void *scratch, extent *seen) {
    TRIANGLE_DISPATCH(t->is_double, collect_row, t, row, from, to, near, scratch, seen);
}

static inline void clear_lists(const triangle *t, const nearby *lists) {
    TRIANGLE_DISPATCH(t->is_double, clear_lists, lists, t->n);
}

static inline void share_bounds(const triangle *t, const nearby *lists, ptrdiff_t parts, ptrdiff_t start,
                                ptrdiff_t stop) {
    TRIANGLE_DISPATCH(t->is_double, share_bounds, lists, parts, start, stop);
}

static inline void join_lists(const triangle *t, const nearby *lists, ptrdiff_t parts) {
    TRIANGLE_DISPATCH(t->is_double, join_lists, t, lists, parts);
}

static inline void condense_rows(const triangle *t, const condense_plan *plan, lw_method method, ptrdiff_t row,
                                 ptrdiff_t count, void *scratch, void *out, ptrdiff_t apart) {
    TRIANGLE_DISPATCH(t->is_double, condense_rows, t, plan, method, row, count, scratch, out, apart);
}

/* How many new rows condense_rows makes at a time. */
static inline ptrdiff_t panel_rows(const triangle *t) { return PANEL_LINE / (t->is_double ? 8 : 4); }

static inline nearest_found scan_run(const triangle *t, ptrdiff_t x, ptrdiff_t start, ptrdiff_t stop) {
    return TRIANGLE_DISPATCH(t->is_double, scan_run, t, x, start, stop);
}

static inline nearest_found merge_run(const triangle *t, lw_method method, ptrdiff_t a, ptrdiff_t b, ptrdiff_t start,
                                      ptrdiff_t stop) {
    return TRIANGLE_DISPATCH(t->is_double, merge_run, t, method, a, b, start, stop);
}

static inline nearest_found absorb_run(const triangle *t, lw_method method, ptrdiff_t a, ptrdiff_t b, ptrdiff_t start,
                                       ptrdiff_t stop) {
    return TRIANGLE_DISPATCH(t->is_double, absorb_run, t, method, a, b, start, stop);
}

static inline ptrdiff_t closest_row(const triangle *t) { return TRIANGLE_DISPATCH(t->is_double, closest_row, t); }

static inline void extremes(int is_double, const void *values, ptrdiff_t start, ptrdiff_t stop, double *least,
                            double *greatest) {
    TRIANGLE_DISPATCH(is_double, extremes, values, start, stop, least, greatest);
}

/* Bytes of a thread's scratch, for all that takes one: of a panel, for every column a cache line and its number. */
static inline size_t condense_scratch_bytes(ptrdiff_t n) {
    return (size_t)n * (PANEL_LINE + sizeof(int32_t));
}

#endif
