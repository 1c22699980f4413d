/* Rows of a leaf by column, in tiles, so that vectors of rows need no shuffling; and what is done with a tile. */
#ifndef FASTCLUSTER_EXT_BOX_TILES_H
#define FASTCLUSTER_EXT_BOX_TILES_H

#include "common/argmin.h"
#include "common/kdtree.h"
#include "sums.h"

_Static_assert(KDTREE_MOST_COLUMNS <= ARGMIN_MOST_COLUMNS, "functions are made for so many columns");

#define BOX_TILE 1024              /* rows a tile: nearly always the whole leaf */
#define BOX_PADDING SUMS_LANES     /* items behind the last one that may be read; what they hold does not matter */

/* Tile of `count` rows from row `at` on, float32 or float64. */
FC_INLINE matrix box_tile(const char *tiles, matrix_dtype dtype, ptrdiff_t p, ptrdiff_t at, ptrdiff_t count) {
    const ptrdiff_t item = (ptrdiff_t)1 << dtype;
    const matrix tile = {tiles + at * p * item, count, p, item, count * item, dtype};
    return tile;
}

/* Fills a tile with the rows from row `at` on, which may lie in the same memory. */
static inline void box_tile_fill(const matrix *tile, const matrix *rows, ptrdiff_t at) {
    double memory[KDTREE_MOST_COLUMNS * BOX_TILE];
    const double shift[KDTREE_MOST_COLUMNS] = {0};
    const ptrdiff_t count = tile->n_rows;
    if (tile->dtype == MATRIX_FLOAT64) matrix_columns_f64(rows, at, count, memory, count);
    else matrix_columns_f32(rows, at, count, shift, (float *)memory, count);
    memcpy((char *)tile->data, memory, (size_t)(tile->n_columns * tile->column_stride));
}

/* The least and the greatest value of a column, and its weighted sum; in lanes that are the same in every build. */
FC_INLINE void box_column_typed(const char *column, const double *weights, ptrdiff_t count, double *low, double *high,
                                double *sum, matrix_dtype dtype) {
    enum { lanes = SUMS_LANES };
    const ptrdiff_t item = (ptrdiff_t)1 << dtype;
    double least[lanes], greatest[lanes], total[lanes] = {0};
    for (int l = 0; l < lanes; l++) {
        least[l] = INFINITY;
        greatest[l] = -INFINITY;
    }
    ptrdiff_t r = 0;
    for (; r + lanes <= count; r += lanes) {
        for (int l = 0; l < lanes; l++) {
            const double value = matrix_value(column + (r + l) * item, dtype);
            least[l] = value < least[l] ? value : least[l];
            greatest[l] = value > greatest[l] ? value : greatest[l];
            total[l] += weights ? weights[r + l] * value : value;
        }
    }
    for (int l = 0; r < count; r++, l++) {
        const double value = matrix_value(column + r * item, dtype);
        least[l] = value < least[l] ? value : least[l];
        greatest[l] = value > greatest[l] ? value : greatest[l];
        total[l] += weights ? weights[r] * value : value;
    }
    for (int l = 0; l < lanes; l++) {
        *low = least[l] < *low ? least[l] : *low;
        *high = greatest[l] > *high ? greatest[l] : *high;
        *sum += total[l];
    }
}

/* A tile joins a box (p least, p greatest values) and sums (p weighted sums, the weight). */
static inline void box_tile_summary(const matrix *tile, const double *weights, double *box, double *sums) {
    const ptrdiff_t p = tile->n_columns, count = tile->n_rows;
    for (ptrdiff_t i = 0; i < p; i++) {
        const char *column = tile->data + i * tile->column_stride;
        if (tile->dtype == MATRIX_FLOAT32) {
            box_column_typed(column, weights, count, box + i, box + p + i, sums + i, MATRIX_FLOAT32);
        } else {
            box_column_typed(column, weights, count, box + i, box + p + i, sums + i, MATRIX_FLOAT64);
        }
    }
    if (!weights) sums[p] += (double)count;
    else for (ptrdiff_t r = 0; r < count; r++) sums[p] += weights[r];
}

/* One thread's memory for labels of tiles. */
typedef struct {
    centers_table table;   /* of the candidates of a leaf */
    const int32_t *places; /* 0, 1, ..., as many as centers */
    double *row;           /* p */
    void *scratch;         /* of argmin_tile */
    int credit;            /* while there is any, scores are tagged (box_tagged_p) */
} box_search;

/* So many candidates at most are told apart by tags: a tag is one instruction with AVX-512, and saves two. At k = 256, p = 6
 * about one row of a thousand is in doubt for them. */
#define BOX_MOST_TAGGED (VF_LANES == 16 ? 256 : 0)

/* So many tags are told apart: a power of two. */
static inline int box_tags(ptrdiff_t k) {
    int tags = 16;
    while (tags < k) tags *= 2;
    return tags;
}

/* How much farther apart two scores have to be where both are tagged: a tag is off by less than so many units in the last
 * place of a score, which is no more than M^2 + |x|^2 / 2. */
static inline float box_tag_error(const centers_table *table, double reach) {
    const double m = table->max_norm;
    return (float)(2.03 * box_tags(table->k) * 0x1p-23 * (m * m + 0.5 * reach));
}

enum { BOX_CREDIT = 8, BOX_DOUBT = 4 };

/* A vector of rows goes past all centers, of which there are at most BOX_MOST_TAGGED, with the place of each in the last
 * bits of its score: the least score then tells whose it is. Returns whether all of `lanes` are certain; else the tags, or
 * these, are too coarse, as where some centers are far away: doubts use up credit. p is a constant. */
FC_INLINE int box_tagged_p(box_search *search, const vf *x, int tags, float error, uint32_t lanes, int32_t *labels, int p) {
    const centers_table *table = &search->table;
    const vi keep = vi_set1(-tags);
    vf best = vf_set1(INFINITY), second = best;
    for (ptrdiff_t j = 0; j < table->k; j++) {
        const float *pack = table->filter + (j / ARGMIN_PACK) * p * ARGMIN_PACK + j % ARGMIN_PACK;
        vf score = vf_set1(table->half_norm[j]);
        for (int i = 0; i < p; i++) score = vf_fma(x[i], vf_set1(pack[i * ARGMIN_PACK]), score);
        score = vf_tag(score, keep, vi_set1(search->places[j]));
        second = vf_min(second, vf_max(best, score));
        best = vf_min(best, score);
    }
    vi_store(labels, vi_lookup(table->numbers, tags, vf_tag_of(best, keep)));
    const int certain = !(lanes & ~vm_bits(vf_less(vf_set1(error), vf_sub(second, best))));
    search->credit += certain ? search->credit < BOX_CREDIT : -BOX_DOUBT;
    return certain;
}

/* Labels of a tile of float32; p, and whether there are two centers only, are constants. The same decision as in
 * argmin_tile; the score of one center less that of another errs by no more than the two together. */
FC_INLINE void box_labels_p(box_search *search, const matrix *tile, double reach, int pair, int32_t *labels, int p) {
    const centers_table *table = &search->table;
    const float error = argmin_error(table, reach);
    const vf tolerance = vf_set1(error);
    const ptrdiff_t count = tile->n_rows;
    const float *columns[ARGMIN_MOST_COLUMNS];
    vf shift[ARGMIN_MOST_COLUMNS], slope[ARGMIN_MOST_COLUMNS], x[1][ARGMIN_MOST_COLUMNS];
    for (int i = 0; i < p; i++) {
        columns[i] = (const float *)(tile->data + i * tile->column_stride);
        shift[i] = vf_set1((float)table->shift[i]);
        if (pair) slope[i] = vf_set1(table->filter[i * ARGMIN_PACK + 1] - table->filter[i * ARGMIN_PACK]);
    }
    const vf level = vf_set1(table->half_norm[1] - table->half_norm[0]);
    const int tagged = !pair && table->k <= BOX_MOST_TAGGED, tags = box_tags(table->k);
    const float error_of_tagged = tagged ? error + box_tag_error(table, reach) : error;
    if (search->credit < 1) search->credit = 1; /* each tile is another chance */
    for (ptrdiff_t at = 0; at < count; at += VF_LANES) {
        const uint32_t lanes = (uint32_t)((1u << (count - at < VF_LANES ? count - at : VF_LANES)) - 1u);
        vf margin;
        vi chosen = vi_set1(table->numbers[0]);
        for (int i = 0; i < p; i++) x[0][i] = vf_sub(vf_load(columns[i] + at), shift[i]);
        if (pair) {
            margin = level;
            for (int i = 0; i < p; i++) margin = vf_fma(x[0][i], slope[i], margin);
            chosen = vi_select(vf_less(margin, vf_set1(0)), vi_set1(table->numbers[1]), chosen);
            margin = vf_abs(margin);
        } else {
            if (tagged && search->credit > 0 && box_tagged_p(search, x[0], tags, error_of_tagged, lanes, labels + at, p)) {
                continue;
            }
            vf best = vf_set1(INFINITY), second = best;
            argmin_past_all(table, x, 1, &best, &second, &chosen, p);
            margin = vf_sub(second, best);
        }
        vi_store(labels + at, chosen);
        for (uint32_t open = lanes & ~vm_bits(vf_less(tolerance, margin)); open; open &= open - 1) {
            const ptrdiff_t lane = at + __builtin_ctz(open);
            double squared;
            matrix_row_f64(tile, lane, search->row);
            labels[lane] = exact_argmin(table, search->row, &squared);
        }
    }
}

/* Labels of a tile's rows, none of which is farther than the root of `reach` from the table's shift; BOX_PADDING more
 * are -1. */
static inline void box_labels(box_search *search, const matrix *tile, double reach, int32_t *labels) {
    if (tile->dtype == MATRIX_FLOAT32) {
        if (search->table.k == 2) {
            ARGMIN_WITH_COLUMNS(tile->n_columns, box_labels_p, search, tile, reach, 1, labels)
        } else {
            ARGMIN_WITH_COLUMNS(tile->n_columns, box_labels_p, search, tile, reach, 0, labels)
        }
    } else {
        for (ptrdiff_t at = 0; at < tile->n_rows; at += ARGMIN_TILE) {
            const ptrdiff_t left = tile->n_rows - at;
            argmin_tile(&search->table, tile, at, left < ARGMIN_TILE ? left : ARGMIN_TILE, search->scratch, labels + at);
        }
    }
    for (ptrdiff_t r = 0; r < BOX_PADDING; r++) labels[tile->n_rows + r] = -1;
}

#endif
