/* Lloyd's assignment for many columns, over balls of rows: centers that cannot be nearest to any row of a ball are
 * dropped for all rows in it.
 *
 * A ball is up to BALL_ROWS rows that shared a label once, their middle m and the largest distance r of a row from m.
 * With z* the center nearest to m, a center z with |m - z| > |m - z*| + 2 r is farther than z* from every row in the
 * ball: the triangle inequality, twice. |m - z| is computed again only where a lower bound, which gives way by as much
 * as z has moved, does not decide. On clustered data few centers a ball are left. Where one is left, the ball's sums are
 * known; others are compared with its rows as in argmin.h, relative to m. The rows are kept by column, ball by ball, as
 * they are, so that vectors of rows need no shuffling and all is read in order.
 *
 * The sums of a ball's rows by center are kept as well, with their labels: from one iteration to the next a row in a
 * hundred moves, which nearly every ball has, so it is rows that are taken from one sum to another. After so many, sums
 * are made anew. Source of the idea of balls: A. W. Moore, "The anchors hierarchy: using the triangle inequality to
 * survive high dimensional data", UAI 2000.
 */
#ifndef FASTCLUSTER_EXT_BALLS_H
#define FASTCLUSTER_EXT_BALLS_H

#include "common/argmin.h"
#include "sums.h"

#define BALL_ROWS 128
#define BALL_BLOCK 64            /* rows: whole groups of argmin_group */
#define BALL_PADDING 64          /* items that may be read behind the last, and what a tile is aligned to, in bytes */
#define BALL_AHEAD (1 << 15)     /* bytes, at most: the next ball is asked for while this one is taken up */
#define BALL_ROW_AHEAD 1024      /* bytes of a row or of sums, at most; the rest is read in order */
#define BALL_ROWS_AHEAD 8        /* rows that lie anywhere are asked for so many ahead */
#define BALL_SLACK 0x1p-20       /* relative; far more than all of the roundings it stands for */
#define BALL_TINY 0x1p-110       /* the same where numbers are too small for their roundings to be relative */
#define BALL_MOST_LABELS 8       /* found in a ball for its rows to be added up label by label */
#define BALL_MOST_MOVES 32       /* of rows, after which sums are made anew: their roundings stay those of some rows */

/* Rows of a ball's columns: whole cache lines, so that no vector of rows lies across two. */
static inline ptrdiff_t ball_lanes(ptrdiff_t rows) { return (rows + SUMS_LANES - 1) / SUMS_LANES * SUMS_LANES; }

/* Whose sums are kept of a ball's rows, and how many rows have moved since these were added up. */
typedef struct {
    int32_t found, moved; /* centers; 0: none is kept */
    int32_t centers[BALL_MOST_LABELS], rows[BALL_MOST_LABELS];
} ball_parts;

typedef struct {
    ptrdiff_t k, p;
    matrix points;           /* the caller's rows */
    const uint32_t *order;   /* the caller's row of each row in a ball */
    const double *weights;   /* of the rows in this order, SUMS_LANES more behind the last; or NULL */
    const ptrdiff_t *starts; /* balls + 1: where in `order` a ball begins */
    const ptrdiff_t *lanes;  /* balls + 1: the lanes of all balls before it */
    char *columns;           /* p columns of each ball's lanes; BALL_PADDING more items behind the last */
    matrix_dtype dtype;      /* of these: float32 or float64 */
    double *middles;         /* balls x p, float32-representable */
    double *radii;           /* balls, rounded up */
    double *sums;            /* balls x sums_stride(p), of all rows of a ball */
    float *bounds;           /* balls x k: at most |m - z| for the centers of the last visit */
    int32_t *nearest;        /* balls: a center near the middle */
    ball_parts *parts;       /* balls */
    double *part_sums;       /* balls x BALL_MOST_LABELS x sums_stride(p) */
    int32_t *labels;         /* of the rows in this order, where parts are kept */
} ball_set;

/* One thread's memory. */
typedef struct {
    centers_table table;   /* of the candidates of a ball */
    double *row;           /* p */
    double *means;         /* 4 p */
    double *distances;     /* k */
    float *columns;        /* p x BALL_ROWS, relative to a middle; block by block of BALL_BLOCK rows */
    char *tile;            /* p x BALL_ROWS float64: a ball that is not kept */
    int32_t *candidates;   /* k + VF_LANES */
    int32_t *rows;         /* k: of a ball by label */
    int32_t *labels;       /* BALL_ROWS + BALL_PADDING */
} ball_worker;

static inline size_t ball_worker_bytes(ptrdiff_t k, ptrdiff_t p) {
    return (size_t)(p * BALL_ROWS) * sizeof(float) +
           (size_t)(p * BALL_ROWS + BALL_PADDING + 5 * p + k) * sizeof(double) + centers_table_bytes(k, p) +
           (size_t)(k + VF_LANES + k + BALL_ROWS + BALL_PADDING) * sizeof(int32_t) + sizeof(double);
}

static inline void ball_worker_place(ball_worker *worker, ptrdiff_t k, ptrdiff_t p, char *memory) {
    worker->columns = (float *)memory;
    worker->tile = (char *)(worker->columns + p * BALL_ROWS);
    worker->row = (double *)worker->tile + p * BALL_ROWS + BALL_PADDING;
    worker->means = worker->row + p;
    worker->distances = worker->means + 4 * p;
    double *table = worker->distances + k;
    centers_table_place(&worker->table, k, p, table);
    worker->candidates = (int32_t *)((char *)table + centers_table_bytes(k, p));
    worker->rows = worker->candidates + k + VF_LANES;
    worker->labels = worker->rows + k;
}

/* A row, and a squared distance of it. */
typedef struct {
    float squared;
    uint32_t row;
} ball_member;

enum {
    BALL_SAMPLE = 64,        /* rows that tell whether others fall apart */
    BALL_LEAST_SPLIT = 32,   /* rows */
    BALL_DEEPEST = 24,       /* splits of one label */
    BALL_SORTED = 20,        /* bits of a distance that are sorted by, in two digits, */
    BALL_FEW_SORTED = 256,   /* or in four, if there are fewer rows */
};
#define BALL_SPLIT_GAIN 0.7  /* of the sum of squared distances is left, at most, for a split to be made */

FC_INLINE const char *ball_row(const matrix *points, ball_member member) {
    return points->data + (ptrdiff_t)member.row * points->row_stride;
}

/* Asks for a row that lies anywhere; it may begin in the middle of a cache line. */
FC_INLINE void ball_ask(const matrix *points, ptrdiff_t row) {
    const char *at = points->data + row * points->row_stride;
    const ptrdiff_t bytes = (points->n_columns - 1) * points->column_stride;
    const ptrdiff_t most = bytes < BALL_ROW_AHEAD ? bytes : BALL_ROW_AHEAD;
    for (ptrdiff_t ahead = 0; ahead < most; ahead += 64) __builtin_prefetch(at + ahead);
    __builtin_prefetch(at + most);
}

/* Every step-th member's squared distance to a point; the greatest is that of the member that is returned. */
FC_INLINE ptrdiff_t ball_distances(const matrix *points, const double *center, ball_member *members, ptrdiff_t count,
                                   ptrdiff_t step, matrix_dtype dtype) {
    ptrdiff_t farthest = 0;
    for (ptrdiff_t i = 0; i < count; i += step) {
        if (i + BALL_ROWS_AHEAD * step < count) ball_ask(points, members[i + BALL_ROWS_AHEAD * step].row);
        members[i].squared = (float)matrix_distance(ball_row(points, members[i]), center, points->n_columns,
                                                    points->column_stride, dtype);
        if (members[i].squared > members[farthest].squared) farthest = i;
    }
    return farthest;
}

/* How far a row lies in a direction. */
FC_INLINE double ball_along(const char *row, const double *direction, ptrdiff_t p, ptrdiff_t column_stride,
                            matrix_dtype dtype) {
    enum { lanes = 8 };
    double lane[lanes] = {0}, along = 0;
    ptrdiff_t i = 0;
    for (; i + lanes <= p; i += lanes) {
        for (int l = 0; l < lanes; l++) {
            lane[l] += matrix_value(row + (i + l) * column_stride, dtype) * direction[i + l];
        }
    }
    for (; i < p; i++) along += matrix_value(row + i * column_stride, dtype) * direction[i];
    for (int half = lanes / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) lane[l] += lane[l + half];
    }
    return along + lane[0];
}

/* Splits members by which of two means is nearer: those of the one first; returns how many these are. The means give way
 * to the direction between them. */
FC_INLINE ptrdiff_t ball_split(const matrix *points, ball_member *members, ball_member *spare, ptrdiff_t count,
                               double *one, const double *other, ptrdiff_t column_stride, matrix_dtype dtype) {
    const ptrdiff_t p = points->n_columns;
    double middle = 0;
    for (ptrdiff_t c = 0; c < p; c++) {
        const double direction = other[c] - one[c];
        middle += direction * (one[c] + 0.5 * direction);
        one[c] = direction;
    }
    ptrdiff_t nearer = 0, rest = 0;
    for (ptrdiff_t i = 0; i < count; i++) {
        const ball_member member = members[i];
        if (i + BALL_ROWS_AHEAD < count) ball_ask(points, members[i + BALL_ROWS_AHEAD].row);
        /* Both are written, one of them to stay: nobody can tell where the next one goes. */
        const int is_nearer = ball_along(ball_row(points, member), one, p, column_stride, dtype) < middle;
        members[nearer] = spare[rest] = member;
        nearer += is_nearer;
        rest += !is_nearer;
    }
    memcpy(members + nearer, spare, (size_t)rest * sizeof(ball_member));
    return nearer;
}

/* Finds two means that every step-th member lies closer to than to one. means: 4 p doubles; the first p become the mean
 * of them all, the next those of two parts. Returns whether these leave little enough of the squared distances. */
FC_INLINE int ball_falls_apart(const matrix *points, ball_member *members, ptrdiff_t count, ptrdiff_t step,
                               double *means, matrix_dtype dtype) {
    const ptrdiff_t p = points->n_columns, cs = points->column_stride, some = (count + step - 1) / step;
    double *mean = means, *one = means + p, *other = one + p, together = 0, apart = 0;
    memset(mean, 0, (size_t)p * sizeof(double));
    for (ptrdiff_t i = 0; i < count; i += step) {
        const char *row = ball_row(points, members[i]);
        if (i + BALL_ROWS_AHEAD * step < count) ball_ask(points, members[i + BALL_ROWS_AHEAD * step].row);
        for (ptrdiff_t c = 0; c < p; c++) mean[c] += matrix_value(row + c * cs, dtype);
    }
    for (ptrdiff_t c = 0; c < p; c++) mean[c] /= (double)some;
    if (count < BALL_LEAST_SPLIT) return 0;
    ptrdiff_t farthest = ball_distances(points, mean, members, count, step, dtype);
    for (ptrdiff_t i = 0; i < count; i += step) together += members[i].squared;
    for (ptrdiff_t c = 0; c < p; c++) one[c] = matrix_value(ball_row(points, members[farthest]) + c * cs, dtype);
    farthest = ball_distances(points, one, members, count, step, dtype);
    for (ptrdiff_t c = 0; c < p; c++) other[c] = matrix_value(ball_row(points, members[farthest]) + c * cs, dtype);
    /* The rows nearer to the one than to the other; the others are what is left of all. */
    ptrdiff_t nearer = 0;
    double *sum = other + p;
    memset(sum, 0, (size_t)p * sizeof(double));
    for (ptrdiff_t i = 0; i < count; i += step) {
        const char *row = ball_row(points, members[i]);
        if (members[i].squared > matrix_distance(row, other, p, cs, dtype)) continue;
        for (ptrdiff_t c = 0; c < p; c++) sum[c] += matrix_value(row + c * cs, dtype);
        nearer++;
    }
    if (nearer == 0 || nearer == some) return 0;
    for (ptrdiff_t c = 0; c < p; c++) {
        one[c] = sum[c] / (double)nearer;
        other[c] = (mean[c] * (double)some - sum[c]) / (double)(some - nearer);
    }
    for (ptrdiff_t i = 0; i < count; i += step) {
        const char *row = ball_row(points, members[i]);
        const double a = matrix_distance(row, one, p, cs, dtype), b = matrix_distance(row, other, p, cs, dtype);
        apart += a < b ? a : b;
    }
    return apart <= BALL_SPLIT_GAIN * together;
}

/* Sorts by distance, as far as BALL_SORTED bits tell, and then by row. `spare`: as many members. */
static inline void ball_sort(ball_member *members, ball_member *spare, ptrdiff_t count) {
    /* Counting digits takes time by itself. */
    const int digit = count < BALL_FEW_SORTED ? BALL_SORTED / 4 : BALL_SORTED / 2, digits = 1 << digit;
    ball_member *from = members, *to = spare;
    for (int shift = 31 - BALL_SORTED; shift < 31; shift += digit) {
        uint32_t places[(1 << BALL_SORTED / 2) + 1];
        memset(places, 0, (size_t)(digits + 1) * sizeof(uint32_t));
        for (ptrdiff_t i = 0; i < count; i++) {
            uint32_t bits;
            memcpy(&bits, &from[i].squared, sizeof(bits));
            places[(bits >> shift & (uint32_t)(digits - 1)) + 1]++;
        }
        for (int d = 0; d < digits; d++) places[d + 1] += places[d];
        for (ptrdiff_t i = 0; i < count; i++) {
            uint32_t bits;
            memcpy(&bits, &from[i].squared, sizeof(bits));
            to[places[bits >> shift & (uint32_t)(digits - 1)]++] = from[i];
        }
        ball_member *const swap = from;
        from = to;
        to = swap;
    }
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

FC_INLINE void ball_cut_typed(const matrix *points, uint32_t *order, ptrdiff_t count, ball_member *members,
                              double *means, int32_t *sizes, ptrdiff_t *n_balls, matrix_dtype dtype) {
    const ptrdiff_t p = points->n_columns, cs = points->column_stride;
    ptrdiff_t ends[BALL_DEEPEST + 1] = {count}, start = 0, found = 0;
    ball_member *const spare = members + count;
    for (ptrdiff_t i = 0; i < count; i++) members[i].row = order[i];
    for (int open = 0; open >= 0;) {
        /* The rows from `start` to the nearest of the ends that are open: split, or cut into balls. */
        const ptrdiff_t rows = ends[open] - start, step = rows / BALL_SAMPLE + 1;
        ball_member *const some = members + start;
        if (open < BALL_DEEPEST && ball_falls_apart(points, some, rows, step, means, dtype)) {
            const ptrdiff_t item = (ptrdiff_t)1 << dtype, nearer =
                cs == item ? ball_split(points, some, spare, rows, means + p, means + 2 * p, item, dtype)
                           : ball_split(points, some, spare, rows, means + p, means + 2 * p, cs, dtype);
            if (nearer > 0 && nearer < rows) {
                ends[++open] = start + nearer;
                continue;
            }
        }
        ball_distances(points, means, some, rows, 1, dtype);
        ball_sort(some, spare, rows);
        for (ptrdiff_t at = start; at < ends[open]; at += sizes[found++]) {
            sizes[found] = (int32_t)ball_size(members + at, ends[open] - at);
        }
        start = ends[open--];
    }
    for (ptrdiff_t i = 0; i < count; i++) order[i] = members[i].row;
    *n_balls = found;
}

/* Cuts the rows of one label into balls, which are brought into order: rows that fall apart into clusters, which share a
 * center, are split first; those of one cluster are taken nearest first. members: 2 count; means: 4 p doubles; sizes:
 * count, those of the balls are written. Returns how many balls there are. */
static inline ptrdiff_t ball_cut(const matrix *points, uint32_t *order, ptrdiff_t count, ball_member *members,
                                 double *means, int32_t *sizes) {
    ptrdiff_t n_balls = 0;
    if (count > 0) MATRIX_DISPATCH(points, ball_cut_typed, order, count, members, means, sizes, &n_balls)
    return n_balls;
}

/* Counts rows [start, stop) by label; adds to `counts`. */
static inline void ball_count(const int32_t *labels, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t *counts) {
    for (ptrdiff_t i = start; i < stop; i++) counts[labels[i]]++;
}

/* Writes rows [start, stop) to the places of their labels, which move on. */
static inline void ball_place(const int32_t *labels, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t *places, uint32_t *order) {
    for (ptrdiff_t i = start; i < stop; i++) order[places[labels[i]]++] = (uint32_t)i;
}

/* The columns of a ball in `data`. */
FC_INLINE matrix ball_tile(const ball_set *balls, ptrdiff_t ball, const char *data) {
    const ptrdiff_t item = (ptrdiff_t)1 << balls->dtype, count = balls->starts[ball + 1] - balls->starts[ball];
    const matrix tile = {data, count, balls->p, item, ball_lanes(count) * item, balls->dtype};
    return tile;
}

/* Where the columns of a ball are kept. */
FC_INLINE char *ball_columns(const ball_set *balls, ptrdiff_t ball) {
    return balls->columns + ((balls->lanes[ball] * balls->p) << balls->dtype);
}

/* The first columns, as many as make whole blocks, of ball_fill's rows; returns how many. Blocks of VF_LANES x VF_LANES
 * are transposed in registers. */
FC_INLINE ptrdiff_t ball_fill_blocks(const char *const *rows, ptrdiff_t p, ptrdiff_t n_rows, ptrdiff_t lanes, float *out) {
    enum { L = VF_LANES };
    const ptrdiff_t whole = L > 1 ? p / L * L : 0;
    for (ptrdiff_t i = 0; i < whole; i += L) {
        for (ptrdiff_t r = 0; r < n_rows; r += L) {
            vf block[L];
            for (int l = 0; l < L; l++) block[l] = vf_load((const float *)rows[r + l] + i);
            vf_transpose(block);
            for (int l = 0; l < L; l++) vf_store(out + (i + l) * lanes + r, block[l]);
        }
    }
    return whole;
}

FC_INLINE void ball_fill_typed(const matrix *points, const uint32_t *order, ptrdiff_t count, ptrdiff_t lanes,
                               char *data, matrix_dtype dtype) {
    enum { abreast = 16 };
    const ptrdiff_t p = points->n_columns, cs = points->column_stride;
    for (ptrdiff_t begin = 0; begin < count; begin += abreast) {
        const ptrdiff_t some = count - begin < abreast ? count - begin : abreast;
        const char *rows[abreast];
        ptrdiff_t i = 0;
        for (ptrdiff_t r = 0; r < abreast; r++) {
            /* Lanes behind the last row hold it again: values that do no harm. */
            rows[r] = points->data + (ptrdiff_t)order[begin + (r < some ? r : some - 1)] * points->row_stride;
            if (begin + abreast + r < count) ball_ask(points, order[begin + abreast + r]);
        }
        if (dtype == MATRIX_FLOAT32 && cs == sizeof(float)) {
            i = ball_fill_blocks(rows, p, abreast, lanes, (float *)data + begin);
        }
        for (; i < p; i++) {
            if (dtype == MATRIX_FLOAT64) {
                double *out = (double *)data + i * lanes + begin;
                for (int r = 0; r < abreast; r++) out[r] = matrix_value(rows[r] + i * cs, dtype);
            } else {
                float *out = (float *)data + i * lanes + begin;
                for (int r = 0; r < abreast; r++) out[r] = (float)matrix_value(rows[r] + i * cs, dtype);
            }
        }
    }
}

FC_INLINE void ball_measure_typed(const matrix *tile, const double *weights, double *middle, double *sums,
                                  double *squared, matrix_dtype dtype) {
    enum { lanes = SUMS_LANES };
    const ptrdiff_t p = tile->n_columns, count = tile->n_rows, all = ball_lanes(count);
    const ptrdiff_t item = (ptrdiff_t)1 << dtype;
    for (ptrdiff_t r = 0; r < all; r++) squared[r] = 0;
    for (ptrdiff_t i = 0; i < p; i++) {
        const char *column = tile->data + i * tile->column_stride;
        double plain[lanes] = {0}, weighted[lanes] = {0};
        ptrdiff_t r = 0;
        for (; r + lanes <= count; r += lanes) {
            for (int l = 0; l < lanes; l++) plain[l] += matrix_value(column + (r + l) * item, dtype);
        }
        for (int l = 0; r < count; r++, l++) plain[l] += matrix_value(column + r * item, dtype);
        for (int half = lanes / 2; half > 0; half /= 2) {
            for (int l = 0; l < half; l++) plain[l] += plain[l + half];
        }
        sums[i] = plain[0];
        if (weights) {
            for (r = 0; r < count; r++) weighted[r % lanes] += weights[r] * matrix_value(column + r * item, dtype);
            for (int half = lanes / 2; half > 0; half /= 2) {
                for (int l = 0; l < half; l++) weighted[l] += weighted[l + half];
            }
            sums[i] = weighted[0];
        }
        const double mean = plain[0] / (double)count;
        /* Where float32 cannot hold a middle, columns relative to it are not finite and decide nothing. */
        middle[i] = fabs(mean) < FLT_MAX ? (double)(float)mean : 0.0;
        for (r = 0; r < all; r += lanes) {
            for (int l = 0; l < lanes; l++) {
                const double difference = matrix_value(column + (r + l) * item, dtype) - middle[i];
                squared[r + l] += difference * difference;
            }
        }
    }
}

/* Gathers the columns of a ball in `data`; its middle, radius and sums. */
static inline void ball_fill(ball_set *balls, ptrdiff_t ball, char *data) {
    const ptrdiff_t p = balls->p, start = balls->starts[ball];
    const matrix tile = ball_tile(balls, ball, data);
    const double *weights = balls->weights ? balls->weights + start : NULL;
    double *middle = balls->middles + ball * p, *sums = balls->sums + ball * sums_stride(p);
    double squared[BALL_ROWS], lane[SUMS_LANES] = {0}, largest = 0;
    MATRIX_DISPATCH(&balls->points, ball_fill_typed, balls->order + start, tile.n_rows, ball_lanes(tile.n_rows), data)
    if (tile.dtype == MATRIX_FLOAT32) ball_measure_typed(&tile, weights, middle, sums, squared, MATRIX_FLOAT32);
    else ball_measure_typed(&tile, weights, middle, sums, squared, MATRIX_FLOAT64);
    sums[p] = weights ? 0 : (double)tile.n_rows;
    for (ptrdiff_t r = 0; weights && r < tile.n_rows; r++) sums[p] += weights[r];
    /* Anything not finite is kept: the radius of such a ball reaches every center. Behind the last row it is there again. */
    for (ptrdiff_t r = 0; r < ball_lanes(tile.n_rows); r += SUMS_LANES) {
        for (int l = 0; l < SUMS_LANES; l++) lane[l] = squared[r + l] <= lane[l] ? lane[l] : squared[r + l];
    }
    for (int l = 0; l < SUMS_LANES; l++) largest = lane[l] <= largest ? largest : lane[l];
    balls->radii[ball] = sqrt(largest) * (1 + BALL_SLACK);
}

FC_INLINE double ball_distance(const double *middle, const double *center, ptrdiff_t p) {
    return sqrt(matrix_distance((const char *)middle, center, p, sizeof(double), MATRIX_FLOAT64));
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
        const float most = (float)((least + reach) * (1 + BALL_SLACK) + BALL_TINY);
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
        bounds[j] = distance < FLT_MAX ? (float)(distance * (1 - BALL_SLACK)) : FLT_MAX;
        if (distance < least) {
            least = distance;
            balls->nearest[ball] = (int32_t)j;
        }
    }
    const double most = (least + reach) * (1 + BALL_SLACK) + BALL_TINY;
    for (ptrdiff_t a = 0; a < open; a++) {
        if (!(worker->distances[a] > most)) candidates[kept++] = candidates[a];
    }
    return kept;
}

/* The columns of a ball less its middle, in float32: BALL_BLOCK rows after the other, p columns of each. */
static inline void ball_shift(const matrix *tile, const double *middle, float *out) {
    const ptrdiff_t p = tile->n_columns, item = (ptrdiff_t)1 << tile->dtype, all = ball_lanes(tile->n_rows);
    const ptrdiff_t whole = p * tile->column_stride, ahead = whole < BALL_AHEAD ? whole : BALL_AHEAD;
    for (ptrdiff_t i = 0; i < p; i++) {
        const char *column = tile->data + i * tile->column_stride;
        const vf shift = vf_set1((float)middle[i]);
        for (ptrdiff_t line = 0; line < all * item; line += 64) __builtin_prefetch(column + line + ahead, 0, 2);
        for (ptrdiff_t r = 0; r < all; r += VF_LANES) {
            float *to = out + (r / BALL_BLOCK * p + i) * BALL_BLOCK + r % BALL_BLOCK;
            if (tile->dtype == MATRIX_FLOAT32) {
                vf_store(to, vf_sub(vf_load((const float *)column + r), shift));
            } else {
                for (int l = 0; l < VF_LANES; l++) to[l] = (float)(((const double *)column)[r + l] - middle[i]);
            }
        }
    }
}

/* The table of a ball's candidates, relative to its middle; what is exact is taken from the centers themselves. */
static inline void ball_table_fill(centers_table *table, const double *centers, const int32_t *candidates, ptrdiff_t n,
                                   const double *middle) {
    const ptrdiff_t p = table->p;
    double largest = 0;
    table->k = n;
    table->k_padded = centers_padded(n);
    table->half_norm = table->filter + table->k_padded * p;
    table->numbers = (int32_t *)candidates;
    for (ptrdiff_t a = 0; a < table->k_padded; a++) {
        float *pack = table->filter + (a / ARGMIN_PACK) * p * ARGMIN_PACK + a % ARGMIN_PACK;
        if (a < n) {
            const double *center = centers + (ptrdiff_t)candidates[a] * p;
            const double norm = matrix_distance((const char *)center, middle, p, sizeof(double), MATRIX_FLOAT64);
            for (ptrdiff_t i = 0; i < p; i++) pack[i * ARGMIN_PACK] = (float)(middle[i] - center[i]);
            table->half_norm[a] = (float)(0.5 * norm);
            if (norm > largest) largest = norm;
        } else {
            for (ptrdiff_t i = 0; i < p; i++) pack[i * ARGMIN_PACK] = 0;
            table->half_norm[a] = INFINITY;
        }
    }
    table->max_norm = sqrt(largest);
}

/* The label of the candidate nearest to a row, in float64, added up as exact_argmin does; ties go to the first. */
static inline int32_t ball_exact(const double *centers, const int32_t *candidates, ptrdiff_t n, const double *row,
                                 ptrdiff_t p) {
    double least = INFINITY;
    ptrdiff_t nearest = 0;
    for (ptrdiff_t a = 0; a < n; a++) {
        const double *center = centers + (ptrdiff_t)candidates[a] * p;
        double squared = 0;
        for (ptrdiff_t i = 0; i < p; i++) squared += (row[i] - center[i]) * (row[i] - center[i]);
        if (squared < least) {
            least = squared;
            nearest = a;
        }
    }
    return candidates[nearest];
}

/* Labels of a ball's rows; behind the last row -1. */
static inline void ball_labels(const ball_set *balls, ball_worker *worker, const double *centers, ptrdiff_t ball,
                               ptrdiff_t n_candidates) {
    const ptrdiff_t p = balls->p;
    const double *middle = balls->middles + ball * p;
    const matrix tile = ball_tile(balls, ball, ball_columns(balls, ball));
    const centers_table *table = &worker->table;
    int32_t *labels = worker->labels;
    ball_table_fill(&worker->table, centers, worker->candidates, n_candidates, middle);
    const vf error = vf_set1(argmin_error(table, balls->radii[ball] * balls->radii[ball]));
    ball_shift(&tile, middle, worker->columns);
    for (ptrdiff_t begin = 0; begin < tile.n_rows; begin += ARGMIN_GROUP) {
        vf best[ARGMIN_VECTORS], second[ARGMIN_VECTORS];
        vi chosen[ARGMIN_VECTORS];
        const float *block = worker->columns + begin / BALL_BLOCK * p * BALL_BLOCK;
        argmin_group(table, block + begin % BALL_BLOCK, BALL_BLOCK, best, second, chosen, NULL);
        for (int r = 0; r < ARGMIN_VECTORS; r++) {
            const ptrdiff_t at = begin + r * VF_LANES;
            vi_store(labels + at, chosen[r]);
            const uint32_t certain = vm_bits(vf_less(error, vf_sub(second[r], best[r])));
            for (uint32_t open = ~certain & (uint32_t)((1u << VF_LANES) - 1u); open; open &= open - 1) {
                const ptrdiff_t lane = at + __builtin_ctz(open);
                if (lane >= tile.n_rows) break;
                matrix_row_f64(&tile, lane, worker->row);
                labels[lane] = ball_exact(centers, worker->candidates, n_candidates, worker->row, p);
            }
        }
    }
    for (ptrdiff_t r = tile.n_rows; r < ball_lanes(tile.n_rows); r++) labels[r] = -1;
}

/* Sums by center, taken up when a center is first met. */
typedef struct {
    double *sums; /* k x sums_stride(p) */
    char *met;    /* k */
} ball_totals;

FC_INLINE double *ball_total(ball_totals *totals, ptrdiff_t center, ptrdiff_t stride) {
    double *total = totals->sums + center * stride;
    if (!totals->met[center]) memset(total, 0, (size_t)stride * sizeof(double));
    totals->met[center] = 1;
    return total;
}

/* The place of a center among a ball's parts, made where there is none and room for it; -1 if there is no room. */
static inline ptrdiff_t ball_part(ball_parts *parts, double *sums, int32_t center, ptrdiff_t stride) {
    for (int32_t j = 0; j < parts->found; j++) {
        if (parts->centers[j] == center) return j;
    }
    if (parts->found == BALL_MOST_LABELS) return -1;
    memset(sums + parts->found * stride, 0, (size_t)stride * sizeof(double));
    parts->centers[parts->found] = center;
    parts->rows[parts->found] = 0;
    return parts->found++;
}

/* Moves the few rows whose labels are not those kept from part to part; returns 0 where the parts have to be made anew.
 * Rows with weights are not moved: what is left of a weight by rounding would not be nothing. */
static inline int ball_move(const ball_set *balls, ball_worker *worker, ptrdiff_t ball) {
    enum { abreast = 16 };
    const ptrdiff_t p = balls->p, stride = sums_stride(p), start = balls->starts[ball];
    const matrix tile = ball_tile(balls, ball, ball_columns(balls, ball));
    const int32_t *labels = worker->labels;
    ball_parts *parts = balls->parts + ball;
    double *sums = balls->part_sums + ball * BALL_MOST_LABELS * stride;
    int32_t *kept = balls->labels + start, rows[BALL_MOST_MOVES];
    const ptrdiff_t most = balls->weights ? 0 : BALL_MOST_MOVES - parts->moved;
    ptrdiff_t moved = 0;
    if (parts->found == 0) return 0;
    for (ptrdiff_t begin = 0; begin < tile.n_rows; begin += abreast) {
        const ptrdiff_t some = tile.n_rows - begin < abreast ? tile.n_rows - begin : abreast;
        int32_t differ = 0;
        if (some == abreast) {
            for (ptrdiff_t r = begin; r < begin + abreast; r++) differ |= labels[r] ^ kept[r];
        } else {
            for (ptrdiff_t r = begin; r < begin + some; r++) differ |= labels[r] ^ kept[r];
        }
        for (ptrdiff_t r = begin; differ && r < begin + some; r++) {
            if (labels[r] == kept[r]) continue;
            if (moved == most) return 0;
            rows[moved++] = (int32_t)r;
        }
    }
    for (ptrdiff_t m = 0; m < moved; m++) {
        const ptrdiff_t r = rows[m];
        const ptrdiff_t from = ball_part(parts, sums, kept[r], stride);
        const ptrdiff_t to = ball_part(parts, sums, labels[r], stride);
        if (to < 0) return 0;
        double *restrict less = sums + from * stride, *restrict more = sums + to * stride;
        matrix_row_f64(&tile, r, worker->row);
        for (ptrdiff_t i = 0; i < p; i++) {
            less[i] -= worker->row[i];
            more[i] += worker->row[i];
        }
        less[p] -= 1;
        more[p] += 1;
        parts->rows[from]--;
        parts->rows[to]++;
        kept[r] = labels[r];
    }
    for (int32_t j = 0; moved > 0 && j < parts->found;) {
        if (parts->rows[j] > 0) {
            j++;
            continue;
        }
        const int32_t last = --parts->found;
        memmove(sums + j * stride, sums + last * stride, (size_t)stride * sizeof(double));
        parts->centers[j] = parts->centers[last];
        parts->rows[j] = parts->rows[last];
    }
    parts->moved += (int32_t)moved;
    return 1;
}

/* Adds a ball's rows up by their labels: to its parts, or, if there are too many labels, to `totals`. */
static inline void ball_add_rows(const ball_set *balls, ball_worker *worker, ptrdiff_t ball, ptrdiff_t n_candidates,
                                 ball_totals *totals) {
    const ptrdiff_t p = balls->p, stride = sums_stride(p), start = balls->starts[ball];
    const matrix tile = ball_tile(balls, ball, ball_columns(balls, ball));
    const double *weights = balls->weights ? balls->weights + start : NULL, *sums = balls->sums + ball * stride;
    const int32_t *labels = worker->labels, *candidates = worker->candidates;
    ball_parts *parts = balls->parts + ball;
    int32_t *rows = worker->rows;
    ptrdiff_t found = 0;
    for (ptrdiff_t a = 0; a < n_candidates; a++) rows[candidates[a]] = 0;
    if (n_candidates <= BALL_MOST_LABELS) {
        for (ptrdiff_t a = 0; a < n_candidates; a++) {
            const int32_t label = candidates[a];
            int32_t count = 0;
            for (ptrdiff_t r = 0; r < tile.n_rows; r++) count += labels[r] == label;
            rows[label] = count;
            found += count > 0;
        }
    } else {
        for (ptrdiff_t r = 0; r < tile.n_rows; r++) found += rows[labels[r]]++ == 0;
    }
    if (found > BALL_MOST_LABELS) {
        parts->found = 0;
        for (ptrdiff_t r = 0; r < tile.n_rows; r++) {
            double *total = ball_total(totals, labels[r], stride);
            const double weight = weights ? weights[r] : 1.0;
            matrix_row_f64(&tile, r, worker->row);
            for (ptrdiff_t i = 0; i < p; i++) total[i] += weight * worker->row[i];
            total[p] += weight;
        }
        return;
    }
    /* Without weights the rows of the last label are those left, and how many these are is exact. */
    const ptrdiff_t added = weights && found > 1 ? found : found - 1;
    int32_t wanted[BALL_MOST_LABELS];
    double *sums_of[BALL_MOST_LABELS];
    for (ptrdiff_t a = 0, j = 0; a < n_candidates; a++) {
        const int32_t label = candidates[a];
        if (rows[label] == 0) continue;
        wanted[j] = label;
        sums_of[j] = balls->part_sums + (ball * BALL_MOST_LABELS + j) * stride;
        parts->centers[j] = label;
        parts->rows[j] = rows[label];
        j++;
    }
    memset(sums_of[0], 0, (size_t)(added * stride) * sizeof(double));
    sums_of_labels(&tile, weights, labels, wanted, sums_of, added);
    for (ptrdiff_t i = 0; added < found && i <= p; i++) {
        double others = 0;
        for (ptrdiff_t j = 0; j < added; j++) others += sums_of[j][i];
        sums_of[added][i] = sums[i] - others;
    }
    memcpy(balls->labels + start, labels, (size_t)tile.n_rows * sizeof(int32_t));
    parts->found = (int32_t)found;
    parts->moved = 0;
}

/* Adds a ball's rows up by their labels to `totals`. Most labels are those of the last time, and so are their sums. */
static inline void ball_add(const ball_set *balls, ball_worker *worker, ptrdiff_t ball, ptrdiff_t n_candidates,
                            ball_totals *totals) {
    const ptrdiff_t p = balls->p, stride = sums_stride(p);
    const ball_parts *parts = balls->parts + ball;
    const int same = n_candidates == 1 && parts->found == 1 && parts->centers[0] == worker->candidates[0];
    if (!same && !ball_move(balls, worker, ball)) ball_add_rows(balls, worker, ball, n_candidates, totals);
    for (ptrdiff_t j = 0; j < parts->found; j++) {
        const double *sums = balls->part_sums + (ball * BALL_MOST_LABELS + j) * stride;
        double *total = ball_total(totals, parts->centers[j], stride);
        for (ptrdiff_t i = 0; i <= p; i++) total[i] += sums[i];
    }
}

/* Asks for what is kept of a ball's parts, which is wanted when its rows have their labels. */
static inline void ball_ask_parts(const ball_set *balls, ptrdiff_t ball) {
    const char *labels = (const char *)(balls->labels + balls->starts[ball]);
    const char *end = (const char *)(balls->labels + balls->starts[ball + 1]);
    const ptrdiff_t slot = sums_stride(balls->p) * (ptrdiff_t)sizeof(double);
    const char *sums = (const char *)balls->part_sums + ball * BALL_MOST_LABELS * slot;
    __builtin_prefetch(balls->parts + ball);
    for (; labels < end; labels += 64) __builtin_prefetch(labels);
    for (ptrdiff_t at = 0; at < BALL_MOST_LABELS * slot && at < BALL_ROW_AHEAD; at += 64) __builtin_prefetch(sums + at);
}

/* One ball: its rows join `totals`; or their labels are written, by the caller's rows. Returns how many pairs of a row
 * and a center were left to compare. */
static inline double ball_visit(ball_set *balls, ball_worker *worker, const double *centers, const float *moves,
                                ptrdiff_t ball, ball_totals *totals, int32_t *labels) {
    const ptrdiff_t start = balls->starts[ball], count = balls->starts[ball + 1] - start;
    const ptrdiff_t n = ball_candidates(balls, worker, centers, moves, ball);
    if (!labels) ball_ask_parts(balls, ball);
    if (n == 1) for (ptrdiff_t r = 0; r < count; r++) worker->labels[r] = worker->candidates[0];
    else ball_labels(balls, worker, centers, ball, n);
    if (labels) {
        for (ptrdiff_t r = 0; r < count; r++) labels[balls->order[start + r]] = worker->labels[r];
    } else {
        ball_add(balls, worker, ball, n, totals);
    }
    return (double)(count * n);
}

#endif
