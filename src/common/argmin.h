/* The nearest center of each row of a tile: filtered in float32, decided in float64.
 *
 * With x and c taken relative to a common shift, |x - c|^2 = |x|^2 + 2 (|c|^2 / 2 - x.c), so the center with the least
 * score |c|^2 / 2 - x.c is the nearest. The scores are computed in float32, p fused multiply-adds each, and the least
 * *two* are kept. Where these two differ by more than both can be wrong, the order is certain; all other rows are
 * decided again by exact_argmin, in float64, from differences of the unshifted values. The labels are therefore those
 * of a float64 brute-force search with ties to the lowest index, in every build and for every shift.
 *
 * Rounding (u = 2^-24, M the largest |c|, h = |c|^2 / 2): the shifted inputs are off by u each, a chain of r roundings
 * by (r + 1) u of the sum of its absolute terms, so a score is off by at most
 * (r + 4) u (M^2 / 2 + |x| M) <= (r + 4) u (M^2 + |x|^2 / 2); `certain` demands twice that, plus the float64 error of
 * the decision itself. Stretches of columns are added up by themselves, which keeps r small (`argmin_chain`): in one
 * chain of 768 columns half of the rows of clustered data would not be certain. Anything not finite compares false there
 * and is decided in float64; so is everything when M is so large that a score could overflow float32 (|x|^2 is finite
 * there, so |x| < 2^64).
 */
#ifndef FASTCLUSTER_EXT_ARGMIN_H
#define FASTCLUSTER_EXT_ARGMIN_H

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include "matrix.h"

/* Rows a tile, and in it rows a group: what one block of registers holds of wide rows. */
#define ARGMIN_VECTORS (VF_REGISTERS == 32 ? 4 : 2)
#define ARGMIN_GROUP (ARGMIN_VECTORS * VF_LANES)
#define ARGMIN_TILE 256
/* Columns up to which a row's coordinates stay in registers while it goes past all centers. Of 32 registers: at p = 8 that
 * takes a sixth less time than blocks of rows and centers, at p = 16 as long; of 16: at p = 8 a twentieth more. */
#define ARGMIN_NARROW (VF_REGISTERS == 32 ? 8 : 6)
#define ARGMIN_MOST_COLUMNS 8 /* that a function is made for, by ARGMIN_WITH_COLUMNS */
_Static_assert(ARGMIN_NARROW <= ARGMIN_MOST_COLUMNS, "functions are made for narrow rows");
/* Vectors of such rows that go past the centers together. At k = 16, p = 3 four of 16 lanes spill and take 20 % longer
 * than one; one of 8 lanes waits for itself and takes 20 % longer than two. */
#define ARGMIN_ABREAST(p) (VF_LANES == 16 || (p) > 4 ? 1 : 2)
/* Centers come in packs that share one pass over a row's coordinates. */
#define ARGMIN_PACK 4
/* Columns whose products are added up by themselves: those of a block of rows fill half of a first-level cache. */
#define ARGMIN_STRETCH 64
/* Centers that one stretch of a block of rows meets before the next: their scores fill a quarter of that cache. */
#define ARGMIN_BLOCK 32
/* Scores up to M^2 / 2 + 2^64 M are far from FLT_MAX. */
#define ARGMIN_MOST_NORM 0x1p60

typedef struct {
    ptrdiff_t k, k_padded, p;
    double *exact;          /* p x exact_stride: the centers as they are, by column */
    ptrdiff_t exact_stride;
    double *shift;          /* p: the mean center, float32-representable */
    float *filter;          /* k_padded / 4 packs of p x 4: minus the shifted centers; 0 behind the last */
    float *half_norm;       /* k_padded: |c|^2 / 2 of the shifted centers; +inf behind the last */
    int32_t *numbers;       /* k_padded: their labels */
    double max_norm;        /* M */
} centers_table;

static inline ptrdiff_t centers_padded(ptrdiff_t k) { return (k + ARGMIN_PACK - 1) / ARGMIN_PACK * ARGMIN_PACK; }

/* Bytes one table needs. */
static inline size_t centers_table_bytes(ptrdiff_t k, ptrdiff_t p) {
    size_t padded = (size_t)centers_padded(k);
    return padded * p * sizeof(double) + p * sizeof(double) + padded * p * sizeof(float) +
           padded * (sizeof(float) + sizeof(int32_t));
}

/* Lay a table out in `memory` of centers_table_bytes(k, p). */
static inline void centers_table_place(centers_table *table, ptrdiff_t k, ptrdiff_t p, void *memory) {
    table->k = k;
    table->p = p;
    table->k_padded = centers_padded(k);
    table->exact = (double *)memory;
    table->exact_stride = table->k_padded;
    table->shift = table->exact + table->k_padded * p;
    table->filter = (float *)(table->shift + p);
    table->half_norm = table->filter + table->k_padded * p;
    table->numbers = (int32_t *)(table->half_norm + table->k_padded);
}

/* Fill a table from k x p row-major centers, labels 0 to k - 1. O(k p). */
static inline void centers_table_fill(centers_table *table, const double *centers) {
    const ptrdiff_t k = table->k, p = table->p, padded = table->k_padded;
    for (ptrdiff_t i = 0; i < p; i++) {
        double sum = 0;
        for (ptrdiff_t j = 0; j < k; j++) {
            sum += centers[j * p + i];
            table->exact[i * table->exact_stride + j] = centers[j * p + i];
        }
        /* Any shift will do; none where there is no such mean, or it cannot be added up. */
        const double mean = sum / (double)k;
        table->shift[i] = fabs(mean) < FLT_MAX ? (double)(float)mean : 0.0;
    }
    double largest = 0;
    for (ptrdiff_t j = 0; j < padded; j++) {
        float *pack = table->filter + (j / ARGMIN_PACK) * p * ARGMIN_PACK + j % ARGMIN_PACK;
        double norm = 0;
        for (ptrdiff_t i = 0; i < p; i++) {
            const double value = j < k ? centers[j * p + i] - table->shift[i] : 0.0;
            pack[i * ARGMIN_PACK] = (float)-value;
            norm += value * value;
        }
        table->half_norm[j] = j < k ? (float)(0.5 * norm) : INFINITY;
        table->numbers[j] = (int32_t)j;
        if (norm > largest) largest = norm;
    }
    table->max_norm = sqrt(largest);
}

/* The least two of the scores so far, and whose the least is. */
#define ARGMIN_UPDATE(r, score, index)                                                                                 \
    do {                                                                                                               \
        const vf s_ = (score);                                                                                         \
        chosen[r] = vi_select(vf_less(s_, best[r]), (index), chosen[r]);                                               \
        second[r] = vf_min(second[r], vf_max(best[r], s_));                                                            \
        best[r] = vf_min(best[r], s_);                                                                                 \
    } while (0)

/* Calls `function` with a number of columns, at most ARGMIN_MOST_COLUMNS, as its last argument: a constant there. */
#define ARGMIN_WITH_COLUMNS(p, function, ...)                                                                          \
    switch (p) {                                                                                                       \
    case 1: function(__VA_ARGS__, 1); break;                                                                           \
    case 2: function(__VA_ARGS__, 2); break;                                                                           \
    case 3: function(__VA_ARGS__, 3); break;                                                                           \
    case 4: function(__VA_ARGS__, 4); break;                                                                           \
    case 5: function(__VA_ARGS__, 5); break;                                                                           \
    case 6: function(__VA_ARGS__, 6); break;                                                                           \
    case 7: function(__VA_ARGS__, 7); break;                                                                           \
    default: function(__VA_ARGS__, ARGMIN_MOST_COLUMNS);                                                               \
    }

/* `abreast` vectors of narrow rows go past all centers. p and `abreast` are constants. */
FC_INLINE void argmin_past_all(const centers_table *table, vf x[][ARGMIN_MOST_COLUMNS], int abreast, vf *best, vf *second,
                               vi *chosen, int p) {
    for (ptrdiff_t j = 0; j < table->k; j++) {
        const float *pack = table->filter + (j / ARGMIN_PACK) * p * ARGMIN_PACK + j % ARGMIN_PACK;
        const vf half_norm = vf_set1(table->half_norm[j]);
        const vi index = vi_set1(table->numbers[j]);
        for (int a = 0; a < abreast; a++) {
            vf score = half_norm;
            for (int i = 0; i < p; i++) score = vf_fma(x[a][i], vf_set1(pack[i * ARGMIN_PACK]), score);
            ARGMIN_UPDATE(a, score, index);
        }
    }
}

/* p <= ARGMIN_NARROW, a constant. */
FC_INLINE void argmin_group_narrow(const centers_table *table, const float *columns, ptrdiff_t ld, vf *best, vf *second,
                                   vi *chosen, int p) {
    for (int first = 0; first < ARGMIN_VECTORS; first += ARGMIN_ABREAST(p)) {
        vf x[ARGMIN_ABREAST(1)][ARGMIN_MOST_COLUMNS]; /* as many as there are abreast of the fewest columns */
        for (int a = 0; a < ARGMIN_ABREAST(p); a++) {
            for (int i = 0; i < p; i++) x[a][i] = vf_load(columns + i * ld + (first + a) * VF_LANES);
        }
        argmin_past_all(table, x, ARGMIN_ABREAST(p), best + first, second + first, chosen + first, p);
    }
}

/* Scores of one pack of centers, over columns [from, to): a block of rows x one pack in registers. */
FC_INLINE void argmin_pack(const float *pack, const float *columns, ptrdiff_t ld, ptrdiff_t from, ptrdiff_t to,
                           vf score[ARGMIN_PACK][ARGMIN_VECTORS]) {
    for (ptrdiff_t i = from; i < to; i++) {
        vf x[ARGMIN_VECTORS];
        for (int r = 0; r < ARGMIN_VECTORS; r++) x[r] = vf_load(columns + i * ld + r * VF_LANES);
        for (int q = 0; q < ARGMIN_PACK; q++) {
            const vf c = vf_set1(pack[i * ARGMIN_PACK + q]);
            for (int r = 0; r < ARGMIN_VECTORS; r++) score[q][r] = vf_fma(x[r], c, score[q][r]);
        }
    }
}

/* Any p, centers [first, last), whole packs. least: of each row the least score in each block of centers, one block after
 * another, or NULL. */
FC_INLINE void argmin_packs_wide(const centers_table *table, const float *columns, ptrdiff_t ld, ptrdiff_t first,
                                 ptrdiff_t last, vf *best, vf *second, vi *chosen, float *least) {
    const ptrdiff_t p = table->p;
    vf sums[ARGMIN_BLOCK][ARGMIN_VECTORS], least_of_block[ARGMIN_VECTORS];
    for (ptrdiff_t begin = first; begin < last; begin += ARGMIN_BLOCK) {
        const ptrdiff_t end = begin + ARGMIN_BLOCK < last ? begin + ARGMIN_BLOCK : last;
        for (int r = 0; r < ARGMIN_VECTORS; r++) least_of_block[r] = vf_set1(INFINITY);
        for (ptrdiff_t from = 0; from < p; from += ARGMIN_STRETCH) {
            const ptrdiff_t to = from + ARGMIN_STRETCH < p ? from + ARGMIN_STRETCH : p;
            for (ptrdiff_t j = begin; j < end; j += ARGMIN_PACK) {
                vf score[ARGMIN_PACK][ARGMIN_VECTORS], (*sum)[ARGMIN_VECTORS] = sums + (j - begin);
                for (int q = 0; q < ARGMIN_PACK; q++) {
                    for (int r = 0; r < ARGMIN_VECTORS; r++) score[q][r] = vf_set1(from ? 0 : table->half_norm[j + q]);
                }
                argmin_pack(table->filter + j * p, columns, ld, from, to, score);
                for (int q = 0; q < ARGMIN_PACK; q++) {
                    for (int r = 0; r < ARGMIN_VECTORS; r++) {
                        if (from) score[q][r] = vf_add(score[q][r], sum[q][r]);
                        if (to < p) {
                            sum[q][r] = score[q][r];
                        } else {
                            ARGMIN_UPDATE(r, score[q][r], vi_set1(table->numbers[j + q]));
                            if (least) least_of_block[r] = vf_min(least_of_block[r], score[q][r]);
                        }
                    }
                }
            }
        }
        for (int r = 0; least && r < ARGMIN_VECTORS; r++) {
            vf_store(least + (begin - first) / ARGMIN_BLOCK * ARGMIN_GROUP + r * VF_LANES, least_of_block[r]);
        }
    }
}

/* A group of rows: the least two of all scores of each, and whose the least is. least: as above, of wide rows. */
FC_INLINE void argmin_group(const centers_table *table, const float *columns, ptrdiff_t ld, vf *best, vf *second,
                            vi *chosen, float *least) {
    for (int r = 0; r < ARGMIN_VECTORS; r++) {
        best[r] = second[r] = vf_set1(INFINITY);
        chosen[r] = vi_set1(0);
    }
    if (table->p > ARGMIN_NARROW) {
        argmin_packs_wide(table, columns, ld, 0, table->k_padded, best, second, chosen, least);
    } else {
        ARGMIN_WITH_COLUMNS(table->p, argmin_group_narrow, table, columns, ld, best, second, chosen)
    }
}

/* Squared lengths of VF_LANES rows. */
FC_INLINE vf argmin_norms(const float *columns, ptrdiff_t ld, ptrdiff_t p) {
    vf norms = vf_set1(0);
    for (ptrdiff_t from = 0; from < p; from += ARGMIN_STRETCH) {
        const ptrdiff_t to = from + ARGMIN_STRETCH < p ? from + ARGMIN_STRETCH : p;
        vf sum = vf_set1(0);
        for (ptrdiff_t i = from; i < to; i++) {
            const vf x = vf_load(columns + i * ld);
            sum = vf_fma(x, x, sum);
        }
        norms = vf_add(norms, sum);
    }
    return norms;
}

/* The label of the center nearest to one row, in float64; ties go to the first. `row` is the row as it is. Blocks whose
 * least score, every ARGMIN_GROUP-th of `scores`, is above `most` are left out. */
static inline int32_t exact_argmin_of(const centers_table *table, const double *row, const float *scores, float most,
                                      double *squared_distance) {
    enum { BLOCK = ARGMIN_BLOCK };
    const ptrdiff_t k = table->k;
    double least = INFINITY;
    ptrdiff_t nearest = 0;
    for (ptrdiff_t begin = 0; begin < k; begin += BLOCK) {
        const ptrdiff_t count = k - begin < BLOCK ? k - begin : BLOCK;
        if (scores && scores[begin / BLOCK * ARGMIN_GROUP] > most) continue;
        double squared[BLOCK] = {0};
        for (ptrdiff_t i = 0; i < table->p; i++) {
            const double *column = table->exact + i * table->exact_stride + begin;
            for (ptrdiff_t j = 0; j < count; j++) {
                const double difference = row[i] - column[j];
                squared[j] += difference * difference;
            }
        }
        for (ptrdiff_t j = 0; j < count; j++) {
            if (squared[j] < least) {
                least = squared[j];
                nearest = begin + j;
            }
        }
    }
    *squared_distance = least;
    return table->numbers[nearest];
}

static inline int32_t exact_argmin(const centers_table *table, const double *row, double *squared_distance) {
    return exact_argmin_of(table, row, NULL, 0, squared_distance);
}

/* Roundings in the longest chain of additions of a score. */
static inline ptrdiff_t argmin_chain(ptrdiff_t p) {
    return p <= ARGMIN_STRETCH ? p : ARGMIN_STRETCH + (p + ARGMIN_STRETCH - 1) / ARGMIN_STRETCH;
}

/* Twice by how much two scores, or the squared length of a row, can be off, relative to M^2 + |x|^2 / 2. */
static inline double argmin_rounding(ptrdiff_t p) { return 2.02 * (double)(argmin_chain(p) + 4) * 0x1p-24; }

/* By how much two scores of a row at the shift have to differ for their order to be certain. Products that underflow
 * lose less than FLT_MIN each. */
static inline double argmin_level(const centers_table *table) {
    const double m = table->max_norm;
    if (!(m < ARGMIN_MOST_NORM)) return INFINITY;
    return argmin_rounding(table->p) * m * m + (double)(table->p + 1) * FLT_MIN;
}

/* The same for rows whose squared distance from the shift is at most `reach`. */
static inline float argmin_error(const centers_table *table, double reach) {
    return (float)(1.01 * (argmin_level(table) + 0.5 * argmin_rounding(table->p) * reach));
}

/* Floats of a tile's columns: of wide rows those of one group at a time. Of more columns never fewer: memory for some
 * rows also serves narrower ones. */
static inline ptrdiff_t argmin_columns(ptrdiff_t p) {
    if (p <= ARGMIN_NARROW) return p * ARGMIN_TILE;
    return p * ARGMIN_GROUP > ARGMIN_NARROW * ARGMIN_TILE ? p * ARGMIN_GROUP : ARGMIN_NARROW * ARGMIN_TILE;
}

/* Blocks whose least scores are kept; narrow rows are rarely in doubt. */
static inline ptrdiff_t argmin_blocks(ptrdiff_t k, ptrdiff_t p) {
    return p <= ARGMIN_NARROW ? 0 : (k + ARGMIN_BLOCK - 1) / ARGMIN_BLOCK;
}

/* Bytes of argmin_tile's scratch, a multiple of FC_ALIGN. */
static inline size_t argmin_scratch_bytes(ptrdiff_t k, ptrdiff_t p) {
    const ptrdiff_t floats = argmin_columns(p) + argmin_blocks(k, p) * ARGMIN_GROUP;
    const size_t bytes = (size_t)floats * sizeof(float) + (size_t)p * sizeof(double);
    return (bytes + FC_ALIGN - 1) / FC_ALIGN * FC_ALIGN;
}

/* Labels of rows [start, start + count), count <= ARGMIN_TILE.
 * scratch: argmin_scratch_bytes, aligned to FC_ALIGN; labels: ARGMIN_TILE int32, written. */
static inline void argmin_tile(const centers_table *table, const matrix *points, ptrdiff_t start, ptrdiff_t count,
                               void *scratch, int32_t *labels) {
    const ptrdiff_t p = table->p, ld = p <= ARGMIN_NARROW ? ARGMIN_TILE : ARGMIN_GROUP;
    float *columns = (float *)scratch, *least = columns + argmin_columns(p);
    double *row = (double *)(least + argmin_blocks(table->k, p) * ARGMIN_GROUP);
    const vf slope = vf_set1((float)(0.5 * argmin_rounding(p))), level = vf_set1((float)argmin_level(table));
    if (p <= ARGMIN_NARROW) matrix_columns_f32(points, start, count, table->shift, columns, ld);
    for (ptrdiff_t begin = 0; begin < count; begin += ARGMIN_GROUP) {
        const float *group = p <= ARGMIN_NARROW ? columns + begin : columns;
        vf best[ARGMIN_VECTORS], second[ARGMIN_VECTORS];
        vi chosen[ARGMIN_VECTORS];
        if (p > ARGMIN_NARROW) {
            const ptrdiff_t rows = count - begin < ARGMIN_GROUP ? count - begin : ARGMIN_GROUP;
            matrix_columns_f32(points, start + begin, rows, table->shift, columns, ld);
        }
        argmin_group(table, group, ld, best, second, chosen, least);
        for (int r = 0; r < ARGMIN_VECTORS; r++) {
            const ptrdiff_t at = begin + r * VF_LANES;
            const vf error = vf_fma(argmin_norms(group + r * VF_LANES, ld, p), slope, level);
            vi_store(labels + at, chosen[r]);
            const uint32_t certain = vm_bits(vf_less(error, vf_sub(second[r], best[r])));
            uint32_t open = ~certain & (uint32_t)((1u << VF_LANES) - 1u);
            if (!open) continue;
            float most[VF_LANES];
            vf_store(most, vf_fma(error, vf_set1(1.5f), best[r]));
            for (; open; open &= open - 1) {
                const int lane = __builtin_ctz(open);
                if (at + lane >= count) break;
                const float *scores = p <= ARGMIN_NARROW ? NULL : least + r * VF_LANES + lane;
                double squared;
                matrix_row_f64(points, start + at + lane, row);
                labels[at + lane] = exact_argmin_of(table, row, scores, most[lane], &squared);
            }
        }
    }
}

#endif
