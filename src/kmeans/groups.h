/* Lloyd's assignment with bounds, for any number of columns: what cannot have changed since the last iteration is not
 * computed again.
 *
 * Centers that lie close together form groups of up to GROUP_MOST. Kept are, for each row, an upper bound of the distance
 * to its own center and, for each group, a lower bound of the distance to every other center in it. When centers move,
 * the bounds give way by how far they moved (the triangle inequality); where every lower bound is still above the upper
 * one, the label stands. Otherwise the distance to the own center is computed, which often settles it; and otherwise those
 * groups whose bound is not above it are searched (Y. Ding et al., "Yinyang k-means", ICML 2015).
 *
 * Rows are visited in the order of their labels, so that a block of rows, searched together as in argmin.h, mostly wants
 * the same groups. Bounds are float32, rounded outward, and allow for the rounding of the scores; a search that is not
 * certain is decided by exact_argmin. Labels are therefore those of a float64 brute-force search, always.
 */
#ifndef FASTCLUSTER_EXT_GROUPS_H
#define FASTCLUSTER_EXT_GROUPS_H

#include "lloyd.h"

#define GROUP_MOST 16
#define GROUP_TILE ARGMIN_GROUP /* rows searched together */

/* Relative slack that covers the rounding of a few float32 operations. */
#define GROUP_SLACK 0x1p-21f

typedef struct {
    ptrdiff_t k, p, n_groups;
    const centers_table *exact; /* all centers, in their order */
    const int32_t *members;     /* n_groups x GROUP_MOST: center of each place, -1 where there is none */
    const int32_t *group_of;    /* k */
    centers_table table;        /* float32 scores by place; places without a center score +inf */
    float *rows;                /* k x p: the shifted centers, row by row */
    float *own_half_norm;       /* k */
} group_table;

static inline size_t group_table_bytes(ptrdiff_t k, ptrdiff_t p, ptrdiff_t n_groups) {
    const size_t places = (size_t)(n_groups * GROUP_MOST);
    return (places * (size_t)(p + 1) + (size_t)(k * p) + (size_t)k) * sizeof(float) + 4 * FC_ALIGN;
}

static inline void group_table_place(group_table *table, const centers_table *exact, ptrdiff_t n_groups,
                                     const int32_t *members, const int32_t *group_of, void *memory) {
    table->k = exact->k;
    table->p = exact->p;
    table->n_groups = n_groups;
    table->exact = exact;
    table->members = members;
    table->group_of = group_of;
    table->table = *exact;
    table->table.k = table->table.k_padded = n_groups * GROUP_MOST;
    table->table.numbers = (int32_t *)members;
    table->table.filter = (float *)memory;
    table->table.half_norm = table->table.filter + n_groups * GROUP_MOST * exact->p;
    table->rows = table->table.half_norm + n_groups * GROUP_MOST;
    table->own_half_norm = table->rows + exact->k * exact->p;
}

/* Fill it from `exact`, which has been filled. O(k p). */
static inline void group_table_fill(group_table *table) {
    const centers_table *exact = table->exact;
    const ptrdiff_t p = table->p;
    table->table.max_norm = exact->max_norm;
    for (ptrdiff_t place = 0; place < table->n_groups * GROUP_MOST; place++) {
        const int32_t j = table->members[place];
        float *pack = table->table.filter + (place / ARGMIN_PACK) * p * ARGMIN_PACK + place % ARGMIN_PACK;
        table->table.half_norm[place] = j < 0 ? INFINITY : exact->half_norm[j];
        for (ptrdiff_t i = 0; i < p; i++) {
            const float value =
                j < 0 ? 0.0f : exact->filter[(j / ARGMIN_PACK) * p * ARGMIN_PACK + i * ARGMIN_PACK + j % ARGMIN_PACK];
            pack[i * ARGMIN_PACK] = value;
            if (j >= 0) table->rows[j * p + i] = -value;
        }
        if (j >= 0) table->own_half_norm[j] = exact->half_norm[j];
    }
}

/* What is known of the rows. */
typedef struct {
    int32_t *labels; /* n */
    float *upper;    /* n */
    float *lower;    /* n x n_groups */
} group_bounds;

/* How far the centers moved since the bounds were right, rounded up. */
typedef struct {
    float *of_center; /* k */
    float *of_group;  /* n_groups: the most of its members */
} group_moves;

/* One thread's memory. */
typedef struct {
    double *exact_row;      /* p */
    float *row;             /* p */
    float *columns;         /* p x GROUP_TILE */
    float *best, *second;   /* n_groups x GROUP_TILE */
    uint32_t *wanted;       /* a bit for each group */
    ptrdiff_t rows[GROUP_TILE];
    float norm[GROUP_TILE], error[GROUP_TILE];
    ptrdiff_t count;
    double wanted_pairs;    /* of rows and groups, see group_bounds_chunk */
} group_worker;

/* Words of a bit for each group. */
static inline size_t group_words(ptrdiff_t n_groups) { return (size_t)(n_groups + 31) / 32; }

/* What follows is done for every group g whose bit is set in words[0 ...], in order. */
#define GROUP_EACH(g, words, n_groups)                                                                                 \
    for (ptrdiff_t from = 0, g; from < (n_groups); from += 32)                                                         \
        for (uint32_t left = (words)[from / 32]; left != 0 && (g = from + __builtin_ctz(left), 1); left &= left - 1)

static inline size_t group_worker_bytes(ptrdiff_t p, ptrdiff_t n_groups) {
    return (size_t)p * (sizeof(double) + (GROUP_TILE + 1) * sizeof(float)) +
           (size_t)n_groups * 2 * GROUP_TILE * sizeof(float) + group_words(n_groups) * sizeof(uint32_t) + 4 * FC_ALIGN;
}

static inline void group_worker_place(group_worker *worker, ptrdiff_t p, ptrdiff_t n_groups, char *memory) {
    worker->columns = (float *)memory;
    worker->best = worker->columns + p * GROUP_TILE;
    worker->second = worker->best + n_groups * GROUP_TILE;
    worker->exact_row = (double *)(worker->second + n_groups * GROUP_TILE);
    worker->row = (float *)(worker->exact_row + p);
    worker->wanted = (uint32_t *)(worker->row + p);
    worker->count = 0;
    worker->wanted_pairs = 0;
    memset(worker->wanted, 0, group_words(n_groups) * sizeof(uint32_t));
}

/* Added up in lanes and stretches, so short that no chain, with what joins the lanes and the rest of a row, is longer than
 * those of argmin_chain. */
static inline float group_dot(const float *a, const float *b, ptrdiff_t p) {
    enum { STRETCH = VF_LANES * ARGMIN_STRETCH / 2 };
    float sum = 0;
    for (ptrdiff_t from = 0; from < p; from += STRETCH) {
        const ptrdiff_t to = p - from < STRETCH ? p : from + STRETCH;
        ptrdiff_t i = from;
        float part = 0;
        if (i + VF_LANES <= to) {
            vf lanes = vf_set1(0);
            for (; i + VF_LANES <= to; i += VF_LANES) lanes = vf_fma(vf_load(a + i), vf_load(b + i), lanes);
            part = vf_total(lanes);
        }
        for (; i < to; i++) part += a[i] * b[i];
        sum += part;
    }
    return sum;
}

/* A row, shifted, as float32. */
FC_INLINE void group_row_typed(const matrix *points, ptrdiff_t at, const double *shift, float *restrict row,
                               matrix_dtype dtype) {
    const char *from = points->data + at * points->row_stride;
    const ptrdiff_t p = points->n_columns, item = (ptrdiff_t)1 << dtype;
    if (points->column_stride == item) {
        for (ptrdiff_t i = 0; i < p; i++) row[i] = matrix_shifted(from + i * item, shift[i], dtype);
    } else {
        for (ptrdiff_t i = 0; i < p; i++) row[i] = matrix_shifted(from + i * points->column_stride, shift[i], dtype);
    }
}

/* The same; returns its squared length. */
static inline float group_row(const matrix *points, ptrdiff_t at, const double *shift, float *row) {
    MATRIX_DISPATCH(points, group_row_typed, at, shift, row)
    return group_dot(row, row, points->n_columns);
}

/* Twice what a score can be off by, for a row of squared length `norm`; see argmin.h. */
static inline float group_error(const group_table *table, float norm) {
    return (float)(argmin_level(&table->table) + 0.5 * argmin_rounding(table->p) * (double)norm);
}

/* Bounds of a distance from a score: d^2 = |x|^2 + 2 score. With r = argmin_chain(p), twice a score is off by at most
 * 2 (r + 4) u (M^2 + |x|^2 / 2), |x|^2 by (r + 3) u |x|^2, and their sum here by u |x|^2 and what GROUP_SLACK covers: less
 * than 2 error in all. */
static inline float group_upper(float norm, float score, float error) {
    const float squared = (norm + 2.0f * (score + error)) * (1.0f + GROUP_SLACK);
    return squared >= 0 ? sqrtf(squared) * (1.0f + GROUP_SLACK) : squared < 0 ? 0.0f : INFINITY;
}
static inline float group_lower(float norm, float score, float error) {
    const float squared = (norm + 2.0f * (score - error)) * (1.0f - GROUP_SLACK);
    return squared > 0 ? sqrtf(squared) * (1.0f - GROUP_SLACK) : 0.0f;
}

/* Want all groups, or none. */
static inline void group_want(group_worker *worker, ptrdiff_t n_groups, int all) {
    for (ptrdiff_t g = 0; g < n_groups; g += 32) {
        worker->wanted[g / 32] = !all ? 0 : n_groups - g < 32 ? ((uint32_t)1 << (n_groups - g)) - 1 : UINT32_MAX;
    }
}

/* Scores of the tile's rows in the wanted groups: the least two of each group to worker->best and ->second; of all of
 * them, with the label of the least, to `least`, `next` and `labels`. */
static inline void group_score(const group_table *table, group_worker *worker, float *least, float *next,
                               int32_t *labels) {
    vf best[ARGMIN_VECTORS], second[ARGMIN_VECTORS];
    vi chosen[ARGMIN_VECTORS];
    for (int r = 0; r < ARGMIN_VECTORS; r++) {
        best[r] = second[r] = vf_set1(INFINITY);
        chosen[r] = vi_set1(0);
    }
    GROUP_EACH(g, worker->wanted, table->n_groups) {
        vf group_best[ARGMIN_VECTORS], group_second[ARGMIN_VECTORS];
        vi group_chosen[ARGMIN_VECTORS];
        for (int r = 0; r < ARGMIN_VECTORS; r++) {
            group_best[r] = group_second[r] = vf_set1(INFINITY);
            group_chosen[r] = vi_set1(0);
        }
        argmin_packs_wide(&table->table, worker->columns, GROUP_TILE, g * GROUP_MOST, (g + 1) * GROUP_MOST, group_best,
                          group_second, group_chosen, NULL);
        for (int r = 0; r < ARGMIN_VECTORS; r++) {
            vf_store(worker->best + g * GROUP_TILE + r * VF_LANES, group_best[r]);
            vf_store(worker->second + g * GROUP_TILE + r * VF_LANES, group_second[r]);
            chosen[r] = vi_select(vf_less(group_best[r], best[r]), group_chosen[r], chosen[r]);
            second[r] = vf_min(vf_min(second[r], group_second[r]), vf_max(best[r], group_best[r]));
            best[r] = vf_min(best[r], group_best[r]);
        }
    }
    for (int r = 0; r < ARGMIN_VECTORS; r++) {
        vf_store(least + r * VF_LANES, best[r]);
        vf_store(next + r * VF_LANES, second[r]);
        vi_store(labels + r * VF_LANES, chosen[r]);
    }
}

/* Lower bounds of the distances to group g, for all rows of the tile; in `own` the least is left out. */
static inline void group_lower_tile(const group_worker *worker, ptrdiff_t g, const int32_t *own, float *lower) {
    const float *best = worker->best + g * GROUP_TILE, *second = worker->second + g * GROUP_TILE;
    for (int r = 0; r < GROUP_TILE; r++) {
        lower[r] = group_lower(worker->norm[r], own[r] == (int32_t)g ? second[r] : best[r], worker->error[r]);
    }
}

/* Search the wanted groups for the rows of the tile, and note labels and bounds. */
static inline void group_search(const group_table *table, const matrix *points, group_bounds *bounds,
                                group_worker *worker) {
    const ptrdiff_t t = table->n_groups, count = worker->count;
    float least[GROUP_TILE], next[GROUP_TILE], lower[GROUP_TILE];
    int32_t own[GROUP_TILE];
    if (count == 0) return;
    group_score(table, worker, least, next, own);
    for (ptrdiff_t r = 0; r < count; r++) {
        const ptrdiff_t at = worker->rows[r];
        if (worker->error[r] < next[r] - least[r]) {
            bounds->labels[at] = own[r];
            bounds->upper[at] = group_upper(worker->norm[r], least[r], worker->error[r]);
            own[r] = table->group_of[own[r]];
        } else {
            double squared;
            matrix_row_f64(points, at, worker->exact_row);
            bounds->labels[at] = exact_argmin(table->exact, worker->exact_row, &squared);
            bounds->upper[at] = (float)sqrt(squared) * (1.0f + GROUP_SLACK) + FLT_MIN;
            own[r] = -1; /* the own center is not told from the rest: its group will be searched again */
        }
    }
    GROUP_EACH(g, worker->wanted, t) {
        group_lower_tile(worker, g, own, lower);
        for (ptrdiff_t r = 0; r < count; r++) bounds->lower[worker->rows[r] * t + g] = lower[r];
    }
    group_want(worker, t, 0);
    worker->count = 0;
}

/* Put a row into the tile. */
static inline void group_enter(const group_table *table, const matrix *points, group_worker *worker, ptrdiff_t at) {
    const ptrdiff_t p = table->p, slot = worker->count++;
    const float norm = group_row(points, at, table->exact->shift, worker->row);
    for (ptrdiff_t i = 0; i < p; i++) worker->columns[i * GROUP_TILE + slot] = worker->row[i];
    worker->rows[slot] = at;
    worker->norm[slot] = norm;
    worker->error[slot] = group_error(table, norm);
}

/* Labels and bounds of rows [start, stop) from nothing. */
static inline void group_begin_chunk(const group_table *table, const matrix *points, group_bounds *bounds,
                                     ptrdiff_t start, ptrdiff_t stop, group_worker *worker) {
    for (ptrdiff_t at = start; at < stop; at += GROUP_TILE) {
        const ptrdiff_t count = stop - at < GROUP_TILE ? stop - at : GROUP_TILE;
        matrix_columns_f32(points, at, count, table->exact->shift, worker->columns, GROUP_TILE);
        for (int r = 0; r < GROUP_TILE; r += VF_LANES) {
            vf_store(worker->norm + r, argmin_norms(worker->columns + r, GROUP_TILE, table->p));
        }
        for (ptrdiff_t r = 0; r < count; r++) {
            worker->rows[r] = at + r;
            worker->error[r] = group_error(table, worker->norm[r]);
        }
        worker->count = count;
        group_want(worker, table->n_groups, 1);
        group_search(table, points, bounds, worker);
    }
}

/* gaps[a, g]: lower bounds of the distance of center a to the nearest other center of group g; a in [start, stop).
 * centers: k x p float64. */
static inline void group_gaps_chunk(const group_table *table, const matrix *centers, float *gaps, ptrdiff_t start,
                                    ptrdiff_t stop, group_worker *worker) {
    const ptrdiff_t t = table->n_groups;
    float least[GROUP_TILE], next[GROUP_TILE], lower[GROUP_TILE];
    int32_t own[GROUP_TILE];
    for (ptrdiff_t at = start; at < stop; at++) {
        group_enter(table, centers, worker, at);
        if (worker->count < GROUP_TILE && at + 1 < stop) continue;
        group_want(worker, t, 1);
        group_score(table, worker, least, next, own);
        /* In its own group the least is the center itself, or one at the same place: the bound is then 0 either way. */
        for (ptrdiff_t r = 0; r < worker->count; r++) own[r] = table->group_of[worker->rows[r]];
        for (ptrdiff_t g = 0; g < t; g++) {
            group_lower_tile(worker, g, own, lower);
            for (ptrdiff_t r = 0; r < worker->count; r++) gaps[worker->rows[r] * t + g] = lower[r];
        }
        group_want(worker, t, 0);
        worker->count = 0;
    }
}

/* The lower bounds of a row give way by `moves`, but not below what `gaps` of its center leave at distance `upper` from
 * it (the triangle inequality); returns the least. */
static inline float group_lower_all(float *lower, const float *moves, const float *gaps, float upper, ptrdiff_t n_groups) {
    const float shrink = 1.0f - GROUP_SLACK, reach = upper * (1.0f + GROUP_SLACK);
    float least = INFINITY;
    ptrdiff_t g = 0;
    if (n_groups >= VF_LANES) {
        vf lanes = vf_set1(INFINITY);
        for (; g + VF_LANES <= n_groups; g += VF_LANES) {
            const vf moved = vf_sub(vf_mul(vf_load(lower + g), vf_set1(shrink)), vf_load(moves + g));
            const vf apart = vf_sub(vf_mul(vf_load(gaps + g), vf_set1(shrink)), vf_set1(reach));
            const vf bound = vf_max(apart, moved);
            vf_store(lower + g, bound);
            lanes = vf_min(bound, lanes);
        }
        least = vf_least(lanes);
    }
    for (; g < n_groups; g++) {
        const float moved = lower[g] * shrink - moves[g], apart = gaps[g] * shrink - reach;
        lower[g] = apart > moved ? apart : moved;
        least = lower[g] < least ? lower[g] : least;
    }
    return least;
}

/* A bit for each of the first 32 of n groups whose lower bound is not above `upper`. */
static inline uint32_t group_reach(const float *lower, float upper, ptrdiff_t n) {
    const vf limit = vf_set1(upper);
    const ptrdiff_t count = n < 32 ? n : 32;
    uint32_t above = 0;
    ptrdiff_t g = 0;
    for (; g + VF_LANES <= count; g += VF_LANES) above |= vm_bits(vf_less(limit, vf_load(lower + g))) << g;
    for (; g < count; g++) above |= (uint32_t)(lower[g] > upper) << g;
    return ~above & (count < 32 ? ((uint32_t)1 << count) - 1 : UINT32_MAX);
}

/* The bounds of rows [start, stop) give way; those whose label may have changed go to `open`, and the number of groups
 * they want onto worker->wanted_pairs. Returns how many rows. none: n_groups zeros. */
static inline ptrdiff_t group_bounds_chunk(const group_table *table, const matrix *points, const group_moves *moves,
                                           const float *gaps, const float *none, group_bounds *bounds, ptrdiff_t start,
                                           ptrdiff_t stop, group_worker *worker, uint32_t *open) {
    const ptrdiff_t t = table->n_groups, p = table->p;
    ptrdiff_t count = 0;
    for (ptrdiff_t at = start; at < stop; at++) {
        float *lower = bounds->lower + at * t;
        const int32_t label = bounds->labels[at];
        float upper = (bounds->upper[at] + moves->of_center[label]) * (1.0f + GROUP_SLACK);
        float least = group_lower_all(lower, moves->of_group, gaps + label * t, upper, t);
        if (!(least > upper)) {
            const float norm = group_row(points, at, table->exact->shift, worker->row), error = group_error(table, norm);
            const float dot = group_dot(worker->row, table->rows + label * p, p);
            upper = group_upper(norm, table->own_half_norm[label] - dot, error);
            least = group_lower_all(lower, none, gaps + label * t, upper, t);
            if (!(least > upper)) {
                int wanted = 0;
                for (ptrdiff_t g = 0; g < t; g += 32) wanted += __builtin_popcount(group_reach(lower + g, upper, t - g));
                worker->wanted_pairs += wanted;
                open[count++] = (uint32_t)at;
            }
        }
        bounds->upper[at] = upper;
    }
    return count;
}

/* Search for the rows open[start, stop), which are in the order of their labels. */
static inline void group_open_chunk(const group_table *table, const matrix *points, group_bounds *bounds,
                                    const uint32_t *open, ptrdiff_t start, ptrdiff_t stop, group_worker *worker) {
    enum { AHEAD = 8 };
    const ptrdiff_t t = table->n_groups;
    for (ptrdiff_t place = start; place < stop; place++) {
        const ptrdiff_t at = (ptrdiff_t)open[place];
        if (place + AHEAD < stop) {
            const ptrdiff_t next = (ptrdiff_t)open[place + AHEAD];
            const char *row = points->data + next * points->row_stride;
            for (ptrdiff_t b = 0; b < points->n_columns << points->dtype; b += 64) __builtin_prefetch(row + b);
            for (ptrdiff_t g = 0; g < t; g += 16) __builtin_prefetch(bounds->lower + next * t + g, 1);
            __builtin_prefetch(bounds->upper + next, 1);
        }
        const float *lower = bounds->lower + at * t, upper = bounds->upper[at];
        const int32_t own = table->group_of[bounds->labels[at]];
        for (ptrdiff_t g = 0; g < t; g += 32) worker->wanted[g / 32] |= group_reach(lower + g, upper, t - g);
        worker->wanted[own / 32] |= (uint32_t)1 << own % 32;
        group_enter(table, points, worker, at);
        if (worker->count == GROUP_TILE || place + 1 == stop) group_search(table, points, bounds, worker);
    }
}

/* The `middle`-th least of order[low ... high] by values[order * stride] into its place, lesser ones before it (Hoare). */
static inline void group_select(const double *values, ptrdiff_t stride, int32_t *order, ptrdiff_t low, ptrdiff_t high,
                                ptrdiff_t middle) {
    while (low < high) {
        const double pivot = values[order[low + (high - low) / 2] * stride];
        ptrdiff_t i = low, j = high;
        while (i <= j) {
            while (values[order[i] * stride] < pivot) i++;
            while (values[order[j] * stride] > pivot) j--;
            if (i <= j) {
                const int32_t moving = order[i];
                order[i++] = order[j];
                order[j--] = moving;
            }
        }
        if (middle <= j) high = j;
        else if (middle >= i) low = i;
        else break;
    }
}

/* Numbers centers so that each of n_groups groups, a power of two, holds up to GROUP_MOST that lie close together: halves
 * of halves, along the column of the widest range. order: k, any order on entry. Recursion: log2(n_groups) deep. */
static void group_split(const double *centers, ptrdiff_t p, int32_t *order, ptrdiff_t begin, ptrdiff_t end,
                        ptrdiff_t n_groups, ptrdiff_t first, int32_t *members) {
    if (n_groups == 1) {
        for (ptrdiff_t a = 0; a < GROUP_MOST; a++) members[first * GROUP_MOST + a] = begin + a < end ? order[begin + a] : -1;
        return;
    }
    ptrdiff_t side = 0;
    double widest = -1;
    for (ptrdiff_t i = 0; i < p; i++) {
        double least = INFINITY, most = -INFINITY;
        for (ptrdiff_t a = begin; a < end; a++) {
            const double value = centers[order[a] * p + i];
            least = value < least ? value : least;
            most = value > most ? value : most;
        }
        if (most - least > widest) {
            widest = most - least;
            side = i;
        }
    }
    const ptrdiff_t middle = begin + (end - begin) / 2;
    group_select(centers + side, p, order, begin, end - 1, middle);
    group_split(centers, p, order, begin, middle, n_groups / 2, first, members);
    group_split(centers, p, order, middle, end, n_groups / 2, first + n_groups / 2, members);
}

#endif
