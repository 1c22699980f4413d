/* Clusters that change one point at a time: what Hartigan's, Hartigan and Wong's and MacQueen's algorithms share.
 *
 * Centers are kept by packs of TRANSFER_LANES, a column of each pack contiguous, so that one row meets a whole pack at
 * once. Squared distances are float64 and add features up in order, without contraction: the same bits in every build.
 *
 * Most points are skipped, by bounds that never change a decision. When a point has been looked at, its `stay` is set
 * to how far every center may move before the decision (it stays; its second choice remains) could become another, and
 * its `pair` to how far its own and its second center may move, together, before it would go from one to the other.
 * Both are stored relative to clocks that run ahead of the centers. `anchors` are the centers when the current epoch
 * began; moved[j] is at least the distance of center j to its anchor; drifted[j] adds up how far it had come when
 * earlier epochs ended. So from one time to a later one center j moves by no more than
 * moved[j] + (drifted'[j] + moved'[j] - drifted[j]), and a bound of `gap` taken at the first time holds while the clock
 * drifted' + moved' is at most gap + drifted - moved. At k is a clock that runs ahead of all centers.
 *
 * Gains and losses depend on cluster sizes too: n / (n - w) and n / (n + w). Bounds are made with sizes that are at
 * most the true ones (`shares` are their reciprocals); where a cluster shrinks below that, all are set anew and all
 * bounds dropped.
 */
#ifndef FASTCLUSTER_EXT_TRANSFER_H
#define FASTCLUSTER_EXT_TRANSFER_H

#include <math.h>
#include "common/matrix.h"
#include "common/simd_double.h"

#define TRANSFER_LANES 8
#define TRANSFER_PACKS 4 /* packs that share one pass over a row */
#define TRANSFER_ABREAST 4 /* centers that share one pass over a block of rows */
#define TRANSFER_AHEAD 256 /* rows that memory is asked for ahead of their turn */
#define TRANSFER_GROUP 32 /* bounds that are looked at together */
/* Distances are known to better than 2 (p + 2) 2^-53 of themselves: far below this for any p that fits in memory. */
#define TRANSFER_MARGIN 1e-9
/* Bounds hold until a cluster is smaller by this factor; a large one's until it has less than this share of the mean
 * cluster's weight, or than so many points, whichever comes first: that costs little, and bounds are dropped less often.
 */
#define TRANSFER_SHRINK 2.0
#define TRANSFER_SMALL 0.0625
#define TRANSFER_MANY 10000
/* A cluster that loses more than this share of its weight at once gets its center from its points again, as what is
 * left of the running mean is then mostly rounding. */
#define TRANSFER_MOST_LOST 0.75

typedef double transfer_vector __attribute__((vector_size(8 * TRANSFER_LANES), aligned(8)));
typedef int32_t transfer_labels __attribute__((vector_size(4 * TRANSFER_LANES), aligned(4)));

typedef struct {
    matrix points;
    const double *weights; /* n, or NULL for ones */
    ptrdiff_t k, p, packs;
    double *centers, *anchors; /* packs x p x TRANSFER_LANES; centers behind the last are infinite */
    double *sizes;             /* packs x TRANSFER_LANES: weights of the clusters; 1 behind the last */
    double *shares;            /* k + 1: at least 1 / size; of all clusters */
    double *drifted, *moved;   /* k + 1 */
    double *clocks;            /* k + 1: their sums */
    double *since;             /* k + 1: what bounds are stored relative to */
    ptrdiff_t *counts;         /* k: points of positive weight */
    int32_t *labels, *seconds; /* n: own cluster, and the one to go to next */
    double *stay, *pair;       /* n: bounds */
} transfers;

/* Scratch for one thread: a row, where it is not read in place, and what it has to do with each center; the same for a
 * block of TRANSFER_LANES rows, side by side. */
typedef struct {
    double *row, *squared, *losses;
    double *columns;       /* p x TRANSFER_LANES */
    double *block_squared; /* packs x TRANSFER_LANES centers x TRANSFER_LANES */
} transfer_scratch;

static inline ptrdiff_t transfer_packs(ptrdiff_t k) { return (k + TRANSFER_LANES - 1) / TRANSFER_LANES; }

static inline size_t transfer_scratch_bytes(ptrdiff_t k, ptrdiff_t p) {
    const ptrdiff_t padded = transfer_packs(k) * TRANSFER_LANES;
    return (size_t)(p * (1 + TRANSFER_LANES) + padded * (2 + TRANSFER_LANES)) * sizeof(double);
}

static inline void transfer_scratch_place(transfer_scratch *scratch, ptrdiff_t k, ptrdiff_t p, void *memory) {
    const ptrdiff_t padded = transfer_packs(k) * TRANSFER_LANES;
    scratch->block_squared = (double *)memory;
    scratch->columns = scratch->block_squared + padded * TRANSFER_LANES;
    scratch->squared = scratch->columns + p * TRANSFER_LANES;
    scratch->losses = scratch->squared + padded;
    scratch->row = scratch->losses + padded;
}

/* Bytes of what is kept for each cluster. */
static inline size_t transfer_bytes(ptrdiff_t k, ptrdiff_t p) {
    const size_t padded = (size_t)(transfer_packs(k) * TRANSFER_LANES);
    return padded * (2 * (size_t)p + 1) * sizeof(double) + (padded + 1) * 5 * sizeof(double) +
           (size_t)k * sizeof(ptrdiff_t);
}

static inline void transfer_place(transfers *t, void *memory) {
    const ptrdiff_t padded = transfer_packs(t->k) * TRANSFER_LANES;
    t->packs = transfer_packs(t->k);
    t->centers = (double *)memory;
    t->anchors = t->centers + padded * t->p;
    t->sizes = t->anchors + padded * t->p;
    t->shares = t->sizes + padded;
    t->drifted = t->shares + padded + 1;
    t->moved = t->drifted + padded + 1;
    t->clocks = t->moved + padded + 1;
    t->since = t->clocks + padded + 1;
    t->counts = (ptrdiff_t *)(t->since + padded + 1);
}

/* Row `at` in float64: as it lies in memory, if it does. */
FC_INLINE const double *transfer_row(const transfers *t, ptrdiff_t at, const transfer_scratch *scratch) {
    if (t->points.dtype == MATRIX_FLOAT64 && t->points.column_stride == sizeof(double)) {
        return (const double *)(t->points.data + at * t->points.row_stride);
    }
    matrix_row_f64(&t->points, at, scratch->row);
    return scratch->row;
}

/* The first coordinate of center j; the others follow every TRANSFER_LANES. */
FC_INLINE double *transfer_center(const transfers *t, double *centers, ptrdiff_t j) {
    return centers + j / TRANSFER_LANES * t->p * TRANSFER_LANES + j % TRANSFER_LANES;
}

FC_INLINE double transfer_weight(const transfers *t, ptrdiff_t at) { return t->weights ? t->weights[at] : 1.0; }

/* centers: k x p, row-major. */
static inline void transfer_set_centers(transfers *t, const double *centers) {
    for (ptrdiff_t j = 0; j < t->packs * TRANSFER_LANES; j++) {
        double *center = transfer_center(t, t->centers, j);
        for (ptrdiff_t i = 0; i < t->p; i++) center[i * TRANSFER_LANES] = j < t->k ? centers[j * t->p + i] : INFINITY;
    }
}

static inline void transfer_get_centers(const transfers *t, double *centers) {
    for (ptrdiff_t j = 0; j < t->k; j++) {
        const double *center = transfer_center(t, t->centers, j);
        for (ptrdiff_t i = 0; i < t->p; i++) centers[j * t->p + i] = center[i * TRANSFER_LANES];
    }
}

/* Squared distances of a row to all centers; infinite behind the last. */
static inline void transfer_distances(const transfers *t, const double *restrict row, transfer_scratch *scratch) {
    const ptrdiff_t p = t->p;
    ptrdiff_t pack = 0;
    for (; pack + TRANSFER_PACKS <= t->packs; pack += TRANSFER_PACKS) {
        const double *center = t->centers + pack * p * TRANSFER_LANES;
        transfer_vector squared[TRANSFER_PACKS] = {{0}};
        for (ptrdiff_t i = 0; i < p; i++, center += TRANSFER_LANES) {
            for (int q = 0; q < TRANSFER_PACKS; q++) {
                const transfer_vector d = row[i] - *(const transfer_vector *)(center + q * p * TRANSFER_LANES);
                squared[q] += d * d;
            }
        }
        for (int q = 0; q < TRANSFER_PACKS; q++) {
            *(transfer_vector *)(scratch->squared + (pack + q) * TRANSFER_LANES) = squared[q];
        }
    }
    for (; pack < t->packs; pack++) {
        const double *center = t->centers + pack * p * TRANSFER_LANES;
        transfer_vector squared = {0};
        for (ptrdiff_t i = 0; i < p; i++, center += TRANSFER_LANES) {
            const transfer_vector d = row[i] - *(const transfer_vector *)center;
            squared += d * d;
        }
        *(transfer_vector *)(scratch->squared + pack * TRANSFER_LANES) = squared;
    }
}

/* What is soon read of eight rows from `at` on, which may be behind the last. Wider rows are left to the processor. */
FC_INLINE void transfer_prefetch(const transfers *t, ptrdiff_t at) {
    const ptrdiff_t bytes = TRANSFER_LANES * t->points.row_stride;
    const char *rows = t->points.data + at * t->points.row_stride;
    __builtin_prefetch(t->labels + at);
    __builtin_prefetch(t->seconds + at);
    for (ptrdiff_t line = 0; line < (bytes <= 512 ? bytes : 0); line += 64) __builtin_prefetch(rows + line);
}

/* Rows [start, start + count) to `columns`, whose other lanes are left as they are. */
static inline void transfer_columns(const transfers *t, ptrdiff_t start, ptrdiff_t count, double *columns) {
    const matrix *x = &t->points;
    if (count == TRANSFER_LANES && t->p == 3 && x->dtype == MATRIX_FLOAT64 && x->column_stride == sizeof(double) &&
        x->row_stride == 3 * sizeof(double)) {
        const double *r = (const double *)(x->data + start * x->row_stride);
        for (ptrdiff_t i = 0; i < 3; i++, r++, columns += TRANSFER_LANES) {
            /* In registers: parts of a vector cannot be stored and soon be read as a whole. */
            *(transfer_vector *)columns = (transfer_vector){r[0], r[3], r[6], r[9], r[12], r[15], r[18], r[21]};
        }
        return;
    }
    matrix_columns_f64(x, start, count, columns, TRANSFER_LANES);
}

/* Eight rows from anywhere to `columns`. */
FC_INLINE void transfer_gather(const transfers *t, const ptrdiff_t *ats, double *columns, transfer_scratch *scratch) {
    if (t->points.dtype == MATRIX_FLOAT64 && t->points.column_stride == sizeof(double)) {
        const double *rows[TRANSFER_LANES];
        for (int l = 0; l < TRANSFER_LANES; l++) rows[l] = transfer_row(t, ats[l], scratch);
        for (ptrdiff_t i = 0; i < t->p; i++) {
            /* In registers, as in transfer_columns. */
            *(transfer_vector *)(columns + i * TRANSFER_LANES) = (transfer_vector){
                rows[0][i], rows[1][i], rows[2][i], rows[3][i], rows[4][i], rows[5][i], rows[6][i], rows[7][i]};
        }
        return;
    }
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l++) {
        const double *row = transfer_row(t, ats[l], scratch);
        for (ptrdiff_t i = 0; i < t->p; i++) columns[i * TRANSFER_LANES + l] = row[i];
    }
}

/* The labels, or seconds, of eight rows from anywhere. */
FC_INLINE void transfer_gather_labels(const int32_t *labels, const ptrdiff_t *ats, int32_t *gathered) {
    *(transfer_labels *)gathered =
        (transfer_labels){labels[ats[0]], labels[ats[1]], labels[ats[2]], labels[ats[3]],
                          labels[ats[4]], labels[ats[5]], labels[ats[6]], labels[ats[7]]};
}

/* Squared distances of the rows in `columns` to TRANSFER_ABREAST centers from j on: center by center, row by row. */
FC_INLINE void transfer_block_p(const double *columns, const double *center, ptrdiff_t p, double *squared) {
    transfer_vector sums[TRANSFER_ABREAST] = {{0}};
    for (ptrdiff_t i = 0; i < p; i++) {
        const transfer_vector x = *(const transfer_vector *)(columns + i * TRANSFER_LANES);
        for (int q = 0; q < TRANSFER_ABREAST; q++) {
            const transfer_vector d = x - center[i * TRANSFER_LANES + q];
            sums[q] += d * d;
        }
    }
    for (int q = 0; q < TRANSFER_ABREAST; q++) *(transfer_vector *)(squared + q * TRANSFER_LANES) = sums[q];
}

/* The same to all centers, to scratch->block_squared; with the bits of `transfer_distances`. */
static inline void transfer_block_distances(const transfers *t, transfer_scratch *scratch) {
    for (ptrdiff_t j = 0; j < t->k; j += TRANSFER_ABREAST) {
        const double *center = transfer_center(t, t->centers, j);
        double *squared = scratch->block_squared + j * TRANSFER_LANES;
        if (t->p == 3) transfer_block_p(scratch->columns, center, 3, squared);
        else transfer_block_p(scratch->columns, center, t->p, squared);
    }
}

/* The same to center j alone, after it has moved. */
static inline void transfer_block_again(const transfers *t, ptrdiff_t j, transfer_scratch *scratch) {
    const double *center = transfer_center(t, t->centers, j);
    transfer_vector sum = {0};
    for (ptrdiff_t i = 0; i < t->p; i++) {
        const transfer_vector d =
            *(const transfer_vector *)(scratch->columns + i * TRANSFER_LANES) - center[i * TRANSFER_LANES];
        sum += d * d;
    }
    *(transfer_vector *)(scratch->block_squared + j * TRANSFER_LANES) = sum;
}

/* Of each row of a block, its squared distance to one center. */
FC_INLINE void transfer_block_pick(const transfer_scratch *scratch, const int32_t *centers, double *squared) {
    const double *from = scratch->block_squared;
    /* In registers, as in transfer_columns. */
    *(transfer_vector *)squared = (transfer_vector){
        from[centers[0] * TRANSFER_LANES], from[centers[1] * TRANSFER_LANES + 1],
        from[centers[2] * TRANSFER_LANES + 2], from[centers[3] * TRANSFER_LANES + 3],
        from[centers[4] * TRANSFER_LANES + 4], from[centers[5] * TRANSFER_LANES + 5],
        from[centers[6] * TRANSFER_LANES + 6], from[centers[7] * TRANSFER_LANES + 7]};
}

/* The least three of the squared distances of each row of a block. */
static inline void transfer_block_least(const transfers *t, const transfer_scratch *scratch, double *first,
                                        double *second, double *third) {
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l += VD_LANES) {
        vd a = vd_set1(INFINITY), b = a, c = a;
        for (ptrdiff_t j = 0; j < t->k; j++) {
            const vd d = vd_load(scratch->block_squared + j * TRANSFER_LANES + l);
            const vd beside_a = vd_max(a, d), beside_b = vd_max(b, beside_a);
            a = vd_min(a, d);
            b = vd_min(b, beside_a);
            c = vd_min(c, beside_b);
        }
        vd_store(first + l, a);
        vd_store(second + l, b);
        vd_store(third + l, c);
    }
}

FC_INLINE double transfer_distance_p(const double *row, const double *center, ptrdiff_t p) {
    double squared = 0;
    for (ptrdiff_t i = 0; i < p; i++) {
        const double difference = row[i] - center[i * TRANSFER_LANES];
        squared += difference * difference;
    }
    return squared;
}

FC_INLINE double transfer_distance(const transfers *t, const double *row, ptrdiff_t j) {
    const double *center = transfer_center(t, t->centers, j);
    return t->p == 3 ? transfer_distance_p(row, center, 3) : transfer_distance_p(row, center, t->p);
}

/* What a squared distance is multiplied by when a point of weight w leaves, or joins, a cluster of size n; over w. */
FC_INLINE double transfer_gain(double n, double w) { return n > w ? n / (n - w) : INFINITY; }
FC_INLINE double transfer_loss(double n, double w) { return n / (n + w); }

/* losses[j] = what joining cluster j costs a point of weight w, over w. */
static inline void transfer_losses(const transfers *t, double w, transfer_scratch *scratch) {
    for (ptrdiff_t pack = 0; pack < t->packs; pack++) {
        const transfer_vector n = *(const transfer_vector *)(t->sizes + pack * TRANSFER_LANES);
        *(transfer_vector *)(scratch->losses + pack * TRANSFER_LANES) =
            *(const transfer_vector *)(scratch->squared + pack * TRANSFER_LANES) * (n / (n + w));
    }
}

/* May point `at`, of weight w, leave cluster j? Not if it is the cluster's only one. */
FC_INLINE int transfer_free(const transfers *t, ptrdiff_t j, double w) { return t->counts[j] > 1 && t->sizes[j] > w; }

/* The least of packs x TRANSFER_LANES values, of which two do not count. Those are not overwritten beforehand: a vector
 * cannot be read back before what was just stored in a part of it has reached the cache. */
FC_INLINE double transfer_least(const double *values, ptrdiff_t packs, ptrdiff_t but, ptrdiff_t nor) {
    double least[TRANSFER_LANES];
    for (int l = 0; l < TRANSFER_LANES; l++) least[l] = INFINITY;
    for (ptrdiff_t j = 0; j < packs * TRANSFER_LANES; j += TRANSFER_LANES) {
        for (int l = 0; l < TRANSFER_LANES; l++) {
            const double value = (j + l == but) | (j + l == nor) ? INFINITY : values[j + l];
            least[l] = value < least[l] ? value : least[l];
        }
    }
    for (int width = TRANSFER_LANES / 2; width > 0; width /= 2) {
        for (int l = 0; l < width; l++) least[l] = least[l + width] < least[l] ? least[l + width] : least[l];
    }
    return least[0];
}

/* --- bounds ------------------------------------------------------------------------------------------------------ */

/* The clock of center j, or of all centers, after drifted[j] or moved[j] has changed. */
FC_INLINE void transfer_set_clock(transfers *t, ptrdiff_t j) {
    t->clocks[j] = t->drifted[j] + t->moved[j];
    t->since[j] = t->drifted[j] * (1 - 1e-12) - t->moved[j];
}

/* Bounds, at most and at least, of the square roots of gain and loss of a point of weight w in a cluster of which it is
 * at most the share r: by series where r is small, as divisions and roots take most of the time of a bound.
 * 1 / (1 - r) <= 1 + r + 2 r^2 <= (1 + r / 2 + r^2)^2 where r <= 1 / 2; 1 / (1 + r) >= (1 - r / 2)^2 where r <= 3. No
 * root even elsewhere: where a vector is computed, it would be computed for all. */
FC_INLINE double transfer_most_gain(double r) { return r <= 0.5 ? 1 + r * (0.5 + r) : INFINITY; }
FC_INLINE double transfer_least_loss(double r) { return r <= 2 ? 1 - 0.5 * r : 0; }

/* How far may two centers move, together, while a * own <= b * other, of the distances to them? a >= 1 >= b; so much
 * that a (own + e1) <= b (other - e2) is certain, with 1 / a >= 2 - a. Never, if a is infinite. */
FC_INLINE double transfer_gap(double a, double own, double b, double other) {
    if (!(a < 1.5)) return -INFINITY;
    return (b * other * (1 - TRANSFER_MARGIN) - a * own * (1 + TRANSFER_MARGIN)) * (2 - a);
}

static inline void transfer_forget(transfers *t) {
    for (ptrdiff_t at = 0; at < t->points.n_rows; at++) {
        t->stay[at] = t->pair[at] = transfer_weight(t, at) > 0 ? -INFINITY : INFINITY;
    }
}

static inline void transfer_set_shares(transfers *t) {
    const double n = (double)t->points.n_rows, k = (double)t->k;
    double total = 0;
    for (ptrdiff_t j = 0; j < t->k; j++) total += t->sizes[j];
    const double small = k / TRANSFER_SMALL < n / TRANSFER_MANY ? k / TRANSFER_SMALL : n / TRANSFER_MANY;
    t->shares[t->k] = 0;
    for (ptrdiff_t j = 0; j < t->k; j++) {
        const double share = TRANSFER_SHRINK / t->sizes[j];
        t->shares[j] = share > small / total ? share : small / total;
        if (t->shares[j] > t->shares[t->k]) t->shares[t->k] = t->shares[j];
    }
    transfer_forget(t);
}

FC_INLINE double transfer_moved(const transfers *t, ptrdiff_t j) {
    const double *center = transfer_center(t, t->centers, j), *anchor = transfer_center(t, t->anchors, j);
    double squared = 0;
    for (ptrdiff_t i = 0; i < t->p; i++) {
        const double difference = center[i * TRANSFER_LANES] - anchor[i * TRANSFER_LANES];
        squared += difference * difference;
    }
    return sqrt(squared) * (1 + TRANSFER_MARGIN);
}

FC_INLINE void transfer_note_movement(transfers *t, ptrdiff_t j) {
    const double moved = transfer_moved(t, j);
    for (int both = 0; both < 2; both++, j = t->k) {
        if (moved <= t->moved[j]) continue;
        t->moved[j] = moved;
        transfer_set_clock(t, j);
    }
}

/* Begin another epoch: what `moved` overstated is won back. */
static inline void transfer_new_epoch(transfers *t) {
    double furthest = 0;
    if (t->moved[t->k] == 0) return;
    for (ptrdiff_t j = 0; j < t->k; j++) {
        const double moved = transfer_moved(t, j);
        if (!(moved <= furthest)) furthest = moved;
        t->drifted[j] += moved;
        t->moved[j] = 0;
        transfer_set_clock(t, j);
    }
    t->drifted[t->k] += furthest;
    t->moved[t->k] = 0;
    transfer_set_clock(t, t->k);
    memcpy(t->anchors, t->centers, (size_t)(t->packs * t->p * TRANSFER_LANES) * sizeof(double));
}

/* The next point from `at` on whose bound has run out, or `stop`. */
static inline ptrdiff_t transfer_next(const double *bounds, ptrdiff_t at, ptrdiff_t stop, double clock) {
    while (at < stop && bounds[at] > clock) {
        at++;
        while (at % TRANSFER_GROUP == 0 && at + TRANSFER_GROUP <= stop) {
            ptrdiff_t hold = 0;
            for (ptrdiff_t l = 0; l < TRANSFER_GROUP; l++) hold += bounds[at + l] > clock;
            if (hold < TRANSFER_GROUP) break;
            at += TRANSFER_GROUP;
        }
    }
    return at;
}

/* How many of rows [start, stop) have no bound. */
static inline ptrdiff_t transfer_open(const transfers *t, ptrdiff_t start, ptrdiff_t stop) {
    const double *stay = t->stay, clock = t->clocks[t->k];
    ptrdiff_t open = stop - start;
    for (ptrdiff_t at = start; at < stop; at++) open -= stay[at] > clock;
    return open;
}

/* --- changes ----------------------------------------------------------------------------------------------------- */

/* The size and the center of cluster j from its points, in order. */
static inline void transfer_add_up(transfers *t, ptrdiff_t j, transfer_scratch *scratch) {
    double *center = transfer_center(t, t->centers, j), size = 0;
    for (ptrdiff_t i = 0; i < t->p; i++) center[i * TRANSFER_LANES] = 0;
    for (ptrdiff_t at = 0; at < t->points.n_rows; at++) {
        const double w = transfer_weight(t, at);
        if (t->labels[at] != j || !(w > 0)) continue;
        const double *row = transfer_row(t, at, scratch);
        size += w;
        for (ptrdiff_t i = 0; i < t->p; i++) center[i * TRANSFER_LANES] += w * row[i];
    }
    for (ptrdiff_t i = 0; i < t->p; i++) center[i * TRANSFER_LANES] /= size;
    t->sizes[j] = size;
}

/* Point `at`, of weight w, whose coordinates are `row`, leaves its cluster for another; centers follow. Until
 * `transfer_catch_up`, bounds tell nothing. */
FC_INLINE void transfer_shift(transfers *t, ptrdiff_t at, const double *row, double w, ptrdiff_t from, ptrdiff_t to,
                              transfer_scratch *scratch) {
    const double n1 = t->sizes[from], n2 = t->sizes[to];
    double *left = transfer_center(t, t->centers, from), *joined = transfer_center(t, t->centers, to);
    for (ptrdiff_t i = 0; i < t->p; i++) {
        left[i * TRANSFER_LANES] = (left[i * TRANSFER_LANES] * n1 - w * row[i]) / (n1 - w);
        joined[i * TRANSFER_LANES] = (joined[i * TRANSFER_LANES] * n2 + w * row[i]) / (n2 + w);
    }
    t->sizes[from] = n1 - w;
    t->sizes[to] = n2 + w;
    t->counts[from]--;
    t->counts[to]++;
    t->labels[at] = (int32_t)to;
    t->stay[at] = t->pair[at] = -INFINITY;
    if (w > TRANSFER_MOST_LOST * n1) transfer_add_up(t, from, scratch);
}

/* The same, and bounds tell the truth at once. Returns whether a cluster is so small now that all were dropped. */
static inline int transfer_move(transfers *t, ptrdiff_t at, const double *row, double w, ptrdiff_t from, ptrdiff_t to,
                                transfer_scratch *scratch) {
    transfer_shift(t, at, row, w, from, to, scratch);
    transfer_note_movement(t, from);
    transfer_note_movement(t, to);
    if (t->sizes[from] * t->shares[from] >= 1) return 0;
    transfer_set_shares(t);
    return 1;
}

/* After shifts: note how centers have moved, and drop all bounds if a cluster is too small for them. */
static inline void transfer_catch_up(transfers *t) {
    int small = 0;
    for (ptrdiff_t j = 0; j < t->k; j++) {
        transfer_note_movement(t, j);
        small |= !(t->sizes[j] * t->shares[j] >= 1);
    }
    if (small) transfer_set_shares(t);
}

/* The two nearest centers of rows [start, stop), ties to the lowest index. start: a multiple of TRANSFER_LANES. */
static inline void transfer_assign(transfers *t, ptrdiff_t start, ptrdiff_t stop, transfer_scratch *scratch) {
    for (ptrdiff_t at = start; at < stop; at += TRANSFER_LANES) {
        const ptrdiff_t count = stop - at < TRANSFER_LANES ? stop - at : TRANSFER_LANES;
        double first[TRANSFER_LANES], second[TRANSFER_LANES];
        transfer_columns(t, at, count, scratch->columns);
        transfer_block_distances(t, scratch);
        for (ptrdiff_t l = 0; l < TRANSFER_LANES; l += VD_LANES) {
            vd near = vd_set1(INFINITY), far = near, a = vd_set1(0), b = a;
            for (ptrdiff_t j = 0; j < t->k; j++) {
                const vd d = vd_load(scratch->block_squared + j * TRANSFER_LANES + l), label = vd_set1((double)j);
                b = vd_if_less(d, near, a, vd_if_less(d, far, label, b));
                a = vd_if_less(d, near, label, a);
                far = vd_min(far, vd_max(near, d));
                near = vd_min(near, d);
            }
            vd_store(first + l, a);
            vd_store(second + l, b);
        }
        for (ptrdiff_t l = 0; l < count; l++) {
            t->labels[at + l] = (int32_t)first[l];
            /* Distances that overflow are equal. */
            t->seconds[at + l] = (int32_t)(second[l] != first[l] ? second[l] : first[l] == 0);
        }
    }
}

/* Rows and weights of all clusters from the labels. */
static inline void transfer_count(transfers *t) {
    for (ptrdiff_t j = 0; j < t->packs * TRANSFER_LANES; j++) t->sizes[j] = j < t->k ? 0.0 : 1.0;
    for (ptrdiff_t j = 0; j < t->k; j++) t->counts[j] = 0;
    for (ptrdiff_t at = 0; at < t->points.n_rows; at++) {
        const double w = transfer_weight(t, at);
        t->sizes[t->labels[at]] += w;
        t->counts[t->labels[at]] += w > 0;
    }
}

/* Centers become the means of their points, added up in order. */
static inline void transfer_means(transfers *t, transfer_scratch *scratch) {
    for (ptrdiff_t v = 0; v < t->packs * t->p * TRANSFER_LANES; v++) {
        if (t->centers[v] < INFINITY) t->centers[v] = 0;
    }
    for (ptrdiff_t at = 0; at < t->points.n_rows; at++) {
        const double w = transfer_weight(t, at);
        double *center = transfer_center(t, t->centers, t->labels[at]);
        if (!(w > 0)) continue;
        const double *row = transfer_row(t, at, scratch);
        for (ptrdiff_t i = 0; i < t->p; i++) center[i * TRANSFER_LANES] += w * row[i];
    }
    for (ptrdiff_t j = 0; j < t->k; j++) {
        double *center = transfer_center(t, t->centers, j);
        for (ptrdiff_t i = 0; i < t->p; i++) center[i * TRANSFER_LANES] /= t->sizes[j];
    }
}

/* Forget all bounds, and start the clocks. */
static inline void transfer_restart(transfers *t) {
    for (ptrdiff_t j = 0; j <= t->k; j++) {
        t->drifted[j] = t->moved[j] = 0;
        transfer_set_clock(t, j);
    }
    memcpy(t->anchors, t->centers, (size_t)(t->packs * t->p * TRANSFER_LANES) * sizeof(double));
    transfer_set_shares(t);
}

#endif
