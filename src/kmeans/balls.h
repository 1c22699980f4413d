/* Lloyd's assignment for many columns, over balls of rows: centers that cannot be nearest to any row of a ball are
 * dropped for all rows in it.
 *
 * A ball is up to BALL_ROWS rows that shared a label once, their middle m and the largest distance r of a row from m. With
 * z* the center nearest to m, a center z with |m - z| > |m - z*| + 2 r is farther than z* from every row in the ball: the
 * triangle inequality, twice. |m - z| is computed again only where a lower bound, which gives way by as much as z has
 * moved, does not decide; on clustered data a few centers a ball are left, and these are compared with its rows as in
 * argmin.h. The rows are kept relative to m and by column, in float32; what that cannot decide, and all sums, are taken
 * from the caller's rows.
 */
#ifndef FASTCLUSTER_EXT_BALLS_H
#define FASTCLUSTER_EXT_BALLS_H

#include "common/argmin.h"
#include "sums.h"

#define BALL_ROWS 128
#define BALL_SLACK 0x1p-20 /* relative; far more than all of the roundings it stands for */

/* Lanes of a ball of so many rows: whole groups of argmin_packs_wide. */
static inline ptrdiff_t ball_lanes(ptrdiff_t rows) { return (rows + ARGMIN_GROUP - 1) / ARGMIN_GROUP * ARGMIN_GROUP; }

typedef struct {
    ptrdiff_t k, p;
    matrix points;           /* the caller's rows */
    const double *weights;   /* of the caller's rows, or NULL */
    const uint32_t *order;   /* the caller's row of each row in a ball */
    const ptrdiff_t *starts; /* balls + 1: where in `order` a ball begins */
    double *middles;         /* balls x p, float32-representable */
    double *radii;           /* balls, rounded up */
    double *sums;            /* balls x sums_stride(p), of all rows of a ball */
    float *bounds;           /* balls x k: at most |m - z| for the centers of the last visit */
    int32_t *nearest;        /* balls: a center near the middle */
    const ptrdiff_t *tiles;  /* balls + 1: where in `columns` a ball begins */
    float *columns;          /* p x ball_lanes each, relative to the middle; 0 behind the last row */
} ball_set;

/* One thread's memory. */
typedef struct {
    centers_table table;   /* of the candidates of a ball */
    double *centers;       /* those candidates, k x p */
    double *row;           /* p */
    double *distances;     /* k */
    int32_t *candidates;   /* k + VF_LANES */
    int32_t *labels;       /* BALL_ROWS + ARGMIN_GROUP */
} ball_worker;

static inline size_t ball_worker_bytes(ptrdiff_t k, ptrdiff_t p) {
    return centers_table_bytes(k, p) + (size_t)(k * p + p + k) * sizeof(double) +
           (size_t)(k + VF_LANES + BALL_ROWS + ARGMIN_GROUP) * sizeof(int32_t) + FC_ALIGN;
}

static inline void ball_worker_place(ball_worker *worker, ptrdiff_t k, ptrdiff_t p, char *memory) {
    worker->centers = (double *)memory;
    worker->row = worker->centers + k * p;
    worker->distances = worker->row + p;
    char *table = (char *)(worker->distances + k);
    centers_table_place(&worker->table, k, p, table);
    worker->candidates = (int32_t *)(table + (centers_table_bytes(k, p) + FC_ALIGN - 1) / FC_ALIGN * FC_ALIGN);
    worker->labels = worker->candidates + k + VF_LANES;
}

/* |a - b|, in lanes that are the same in every build. */
FC_INLINE double ball_distance(const double *a, const double *b, ptrdiff_t p) {
    enum { lanes = 8 };
    double lane[lanes] = {0}, squared = 0;
    ptrdiff_t i = 0;
    for (; i + lanes <= p; i += lanes) {
        for (int l = 0; l < lanes; l++) lane[l] += (a[i + l] - b[i + l]) * (a[i + l] - b[i + l]);
    }
    for (; i < p; i++) squared += (a[i] - b[i]) * (a[i] - b[i]);
    for (int l = 0; l < lanes; l++) squared += lane[l];
    return sqrt(squared);
}

/* A row and its squared distance from the center whose label it has. */
typedef struct {
    double squared;
    uint32_t row;
} ball_member;

static inline int ball_precedes(const void *a, const void *b) {
    const ball_member *x = (const ball_member *)a, *y = (const ball_member *)b;
    if (x->squared != y->squared) return x->squared < y->squared ? -1 : 1;
    return x->row < y->row ? -1 : 1;
}

/* The rows of one label, nearest first: those of another cluster, which has no center yet, come last. */
static inline void ball_sort(ball_member *members, ptrdiff_t count) {
    qsort(members, (size_t)count, sizeof(ball_member), ball_precedes);
}

/* How many of `count` sorted rows make one ball: as many as fit, or fewer where the distances leap. */
static inline ptrdiff_t ball_size(const ball_member *members, ptrdiff_t count) {
    enum { least = BALL_ROWS / 8 };
    const ptrdiff_t most = count < BALL_ROWS ? count : BALL_ROWS;
    for (ptrdiff_t i = least; i < most; i++) {
        if (members[i].squared > 2 * members[i - 1].squared) return i;
    }
    return most;
}

/* Middle, radius and sums of a ball. */
static inline void ball_measure(ball_set *balls, ptrdiff_t ball, double *row) {
    const ptrdiff_t p = balls->p, stride = sums_stride(p), start = balls->starts[ball], stop = balls->starts[ball + 1];
    double *middle = balls->middles + ball * p, *sums = balls->sums + ball * stride, radius = 0;
    memset(middle, 0, (size_t)p * sizeof(double));
    memset(sums, 0, (size_t)stride * sizeof(double));
    for (ptrdiff_t at = start; at < stop; at++) {
        const double weight = balls->weights ? balls->weights[balls->order[at]] : 1.0;
        matrix_row_f64(&balls->points, balls->order[at], row);
        for (ptrdiff_t i = 0; i < p; i++) {
            middle[i] += row[i] / (double)(stop - start);
            sums[i] += weight * row[i];
        }
        sums[p] += weight;
    }
    /* Where float32 cannot hold a middle, columns relative to it are not finite and decide nothing. */
    for (ptrdiff_t i = 0; i < p; i++) middle[i] = fabs(middle[i]) < FLT_MAX ? (double)(float)middle[i] : 0.0;
    for (ptrdiff_t at = start; at < stop; at++) {
        matrix_row_f64(&balls->points, balls->order[at], row);
        const double distance = ball_distance(row, middle, p);
        /* Anything not finite is kept: the radius of such a ball reaches every center. */
        if (!(distance <= radius)) radius = distance;
    }
    balls->radii[ball] = radius * (1 + BALL_SLACK);
}

/* The columns of a ball's rows. */
static inline void ball_fill(ball_set *balls, ptrdiff_t ball, double *row) {
    const ptrdiff_t p = balls->p, start = balls->starts[ball], count = balls->starts[ball + 1] - start;
    const ptrdiff_t lanes = ball_lanes(count);
    const double *middle = balls->middles + ball * p;
    float *columns = balls->columns + balls->tiles[ball];
    for (ptrdiff_t r = 0; r < count; r++) {
        matrix_row_f64(&balls->points, balls->order[start + r], row);
        for (ptrdiff_t i = 0; i < p; i++) columns[i * lanes + r] = (float)(row[i] - middle[i]);
    }
    for (ptrdiff_t i = 0; i < p; i++) {
        for (ptrdiff_t r = count; r < lanes; r++) columns[i * lanes + r] = 0;
    }
}

/* The centers that may be nearest to a row of a ball, ascending; returns how many. moves: how far each center has moved
 * since the last visit, rounded up; NULL if the bounds are void. */
static inline ptrdiff_t ball_candidates(ball_set *balls, ball_worker *worker, const double *centers, const float *moves,
                                        ptrdiff_t ball) {
    const ptrdiff_t k = balls->k, p = balls->p;
    const double *middle = balls->middles + ball * p, reach = 2 * balls->radii[ball];
    float *bounds = balls->bounds + ball * k;
    int32_t *candidates = worker->candidates;
    double least = INFINITY;
    ptrdiff_t open = 0, kept = 0;
    if (moves) {
        least = ball_distance(middle, centers + (ptrdiff_t)balls->nearest[ball] * p, p);
        const float most = (float)((least + reach) * (1 + BALL_SLACK));
        const vf shrink = vf_set1(1.0f - (float)BALL_SLACK), limit = vf_set1(most);
        ptrdiff_t j = 0;
        for (; j + VF_LANES <= k; j += VF_LANES) {
            const vf bound = vf_sub(vf_mul(vf_load(bounds + j), shrink), vf_load(moves + j));
            vf_store(bounds + j, bound);
            /* A bound that is not a number is not certain. */
            const uint32_t far = vm_bits(vf_less(limit, bound));
            for (uint32_t near = ~far & (uint32_t)((1u << VF_LANES) - 1u); near; near &= near - 1) {
                candidates[open++] = (int32_t)(j + __builtin_ctz(near));
            }
        }
        for (; j < k; j++) {
            bounds[j] = bounds[j] * (1.0f - (float)BALL_SLACK) - moves[j];
            if (!(bounds[j] > most)) candidates[open++] = (int32_t)j;
        }
    } else {
        for (ptrdiff_t j = 0; j < k; j++) candidates[open++] = (int32_t)j;
    }
    for (ptrdiff_t a = 0; a < open; a++) {
        const ptrdiff_t j = candidates[a];
        const double distance = ball_distance(middle, centers + j * p, p);
        worker->distances[a] = distance;
        bounds[j] = (float)(distance * (1 - BALL_SLACK));
        if (distance < least) {
            least = distance;
            balls->nearest[ball] = (int32_t)j;
        }
    }
    const double most = (least + reach) * (1 + BALL_SLACK);
    for (ptrdiff_t a = 0; a < open; a++) {
        if (!(worker->distances[a] > most)) candidates[kept++] = candidates[a];
    }
    return kept;
}

/* Labels of a ball's rows, as places in the list of candidates. */
static inline void ball_labels(const ball_set *balls, ball_worker *worker, const double *centers, ptrdiff_t ball,
                               ptrdiff_t n_candidates) {
    const ptrdiff_t p = balls->p, start = balls->starts[ball], count = balls->starts[ball + 1] - start;
    const ptrdiff_t lanes = ball_lanes(count);
    const float *columns = balls->columns + balls->tiles[ball];
    centers_table *table = &worker->table;
    int32_t *labels = worker->labels;
    for (ptrdiff_t a = 0; a < n_candidates; a++) {
        memcpy(worker->centers + a * p, centers + (ptrdiff_t)worker->candidates[a] * p, (size_t)p * sizeof(double));
    }
    centers_table_place(table, n_candidates, p, table->exact);
    centers_table_fill_shifted(table, worker->centers, balls->middles + ball * p);
    const vf error = vf_set1(argmin_error(table, balls->radii[ball] * balls->radii[ball]));
    for (ptrdiff_t begin = 0; begin < count; begin += ARGMIN_GROUP) {
        vf best[ARGMIN_VECTORS], second[ARGMIN_VECTORS];
        vi chosen[ARGMIN_VECTORS];
        for (int r = 0; r < ARGMIN_VECTORS; r++) {
            best[r] = second[r] = vf_set1(INFINITY);
            chosen[r] = vi_set1(0);
        }
        argmin_packs_wide(table, columns + begin, lanes, 0, table->k_padded, best, second, chosen);
        for (int r = 0; r < ARGMIN_VECTORS; r++) {
            const ptrdiff_t at = begin + r * VF_LANES;
            vi_store(labels + at, chosen[r]);
            const uint32_t certain = vm_bits(vf_less(error, vf_sub(second[r], best[r])));
            for (uint32_t open = ~certain & (uint32_t)((1u << VF_LANES) - 1u); open; open &= open - 1) {
                const ptrdiff_t lane = at + __builtin_ctz(open);
                if (lane >= count) break;
                double squared;
                matrix_row_f64(&balls->points, balls->order[start + lane], worker->row);
                labels[lane] = exact_argmin(table, worker->row, &squared);
            }
        }
    }
}

#define BALL_AHEAD 8 /* rows: they lie in no order, so that they are asked for before they are needed */

FC_INLINE void ball_add_typed(const matrix *points, const uint32_t *order, ptrdiff_t count, const double *weights,
                              const int32_t *labels, const int32_t *candidates, double *sums, matrix_dtype dtype) {
    const ptrdiff_t p = points->n_columns, stride = sums_stride(p), item = (ptrdiff_t)1 << dtype;
    const ptrdiff_t cs = points->column_stride;
    const int vectors = cs == item && (dtype == MATRIX_FLOAT32 || dtype == MATRIX_FLOAT64);
    for (ptrdiff_t r = 0; r < count; r++) {
        const char *row = points->data + (ptrdiff_t)order[r] * points->row_stride;
        const double weight = weights ? weights[order[r]] : 1.0;
        double *sum = sums + (ptrdiff_t)candidates[labels[r]] * stride;
        ptrdiff_t i = 0;
        if (vectors) {
            const char *next = points->data + (ptrdiff_t)order[r + BALL_AHEAD < count ? r + BALL_AHEAD : r] *
                               points->row_stride;
            for (ptrdiff_t at = 0; at < p * item; at += 64) __builtin_prefetch(next + at);
            const vd factor = vd_set1(weight);
            for (; i + VD_LANES <= p; i += VD_LANES) {
                const vd x = dtype == MATRIX_FLOAT32 ? vd_load_f32((const float *)row + i) : vd_load((const double *)row + i);
                vd_store(sum + i, vd_add(vd_load(sum + i), vd_mul(factor, x)));
            }
        }
        for (; i < p; i++) sum[i] += weight * matrix_value(row + i * cs, dtype);
        sum[p] += weight;
    }
}

/* One ball: its rows join `sums`, k x sums_stride(p); or their labels are written, by the caller's rows. Returns how many
 * pairs of a row and a center were left to compare. */
static inline double ball_visit(ball_set *balls, ball_worker *worker, const double *centers, const float *moves,
                                ptrdiff_t ball, double *sums, int32_t *labels) {
    const ptrdiff_t p = balls->p, stride = sums_stride(p), start = balls->starts[ball];
    const ptrdiff_t count = balls->starts[ball + 1] - start;
    const ptrdiff_t n = ball_candidates(balls, worker, centers, moves, ball);
    if (n == 1 && sums) {
        double *sum = sums + (ptrdiff_t)worker->candidates[0] * stride;
        for (ptrdiff_t i = 0; i <= p; i++) sum[i] += balls->sums[ball * stride + i];
        return (double)count;
    }
    if (n == 1) memset(worker->labels, 0, (size_t)count * sizeof(int32_t));
    else ball_labels(balls, worker, centers, ball, n);
    if (sums) {
        MATRIX_DISPATCH(&balls->points, ball_add_typed, balls->order + start, count, balls->weights, worker->labels,
                        worker->candidates, sums)
    } else {
        for (ptrdiff_t r = 0; r < count; r++) labels[balls->order[start + r]] = worker->candidates[worker->labels[r]];
    }
    return (double)(count * n);
}

#endif
