/* Sums of the distances of all points to every cluster; and the farthest of their own, the nearest of others.
 *
 * Points are in panels (metrics.h) none of which holds points of two clusters; unused places have weight 0. Each pair of
 * panels is computed once and counted for both: along its rows for the points of the one, down its columns for those of
 * the other. Panels come in blocks, and a *round* is a set of pairs of blocks in which no block occurs twice: these pairs
 * may be done at once, by any thread, and each sum still grows in the order of the rounds, the same for every number of
 * threads and instruction set. The rounds are those of a tournament: block n_rounds stays, the others move in a circle.
 */
#ifndef FASTCLUSTER_EXT_SILHOUETTE_H
#define FASTCLUSTER_EXT_SILHOUETTE_H

#include <math.h>
#include "common/metrics.h"
#include "common/simd_double.h"

#define SILHOUETTE_LANES 8
/* Panels in a block: so few that rounds are shared out evenly, so many that they are long (256 points, 60 us). */
#define SILHOUETTE_BLOCK 8

typedef struct {
    metric m;
    ptrdiff_t n_panels, k;
    const double *panels;  /* n_panels x p x METRIC_PANEL */
    const double *weights; /* n_panels x METRIC_PANEL, 0 in unused places */
    const int32_t *owner;  /* cluster of each panel, ascending */
    double *sums;          /* n_panels x k x METRIC_PANEL, zeros at first */
    double *far, *near;    /* n_panels x METRIC_PANEL, 0 and infinity at first; or NULL */
} silhouette;

static inline size_t silhouette_scratch_bytes(const silhouette *s) {
    return (size_t)(metric_tile_size(&s->m, METRIC_PANEL, 1) + METRIC_PANEL * (SILHOUETTE_LANES + 1)) * sizeof(double);
}

/* Rounds, and pairs in each; round 0 pairs each block with itself. */
static inline ptrdiff_t silhouette_blocks(ptrdiff_t n_panels) {
    return (n_panels + SILHOUETTE_BLOCK - 1) / SILHOUETTE_BLOCK;
}
static inline ptrdiff_t silhouette_rounds(ptrdiff_t blocks) { return blocks + blocks % 2; }
static inline ptrdiff_t silhouette_pairs(ptrdiff_t blocks, ptrdiff_t round) {
    return round == 0 ? blocks : (blocks + 1) / 2;
}

/* The far and near of rows and columns of a pair; `tile` holds its distances. */
static inline void silhouette_extremes(const silhouette *s, ptrdiff_t row, ptrdiff_t column, const double *tile) {
    const double *u = s->weights + row * METRIC_PANEL, *w = s->weights + column * METRIC_PANEL;
    const int same = s->owner[row] == s->owner[column];
    double *rows = (same ? s->far : s->near) + row * METRIC_PANEL;
    double *columns = (same ? s->far : s->near) + column * METRIC_PANEL;
    for (ptrdiff_t i = 0; i < METRIC_PANEL; i++) {
        for (ptrdiff_t j = 0; j < METRIC_PANEL; j++) {
            const double d = tile[i * METRIC_PANEL + j];
            if (!(u[i] > 0 && w[j] > 0)) continue;
            if (same ? d > rows[i] : d < rows[i]) rows[i] = d;
            if (same ? d > columns[j] : d < columns[j]) columns[j] = d;
        }
    }
}

/* One pair of panels: its rows onto `lanes` (METRIC_PANEL x SILHOUETTE_LANES), its columns onto their sums unless it is a
 * panel with itself. tile: of metric_tile_size, aligned; the distances are left there. */
static inline void silhouette_pair(const silhouette *s, ptrdiff_t row, ptrdiff_t column, double *lanes, double *tile) {
    enum { VECTORS = METRIC_PANEL / VD_LANES, HELD = SILHOUETTE_LANES / VD_LANES };
    const ptrdiff_t size = metric_panel_size(&s->m);
    const double *u = s->weights + row * METRIC_PANEL, *w = s->weights + column * METRIC_PANEL;
    vd sums[VECTORS];
    metric_tile_f64(&s->m, s->panels + row * size, METRIC_PANEL, s->panels + column * size, 1, tile);
    for (int v = 0; v < VECTORS; v++) sums[v] = vd_set1(0);
    for (ptrdiff_t i = 0; i < METRIC_PANEL; i++) {
        const double *distances = tile + i * METRIC_PANEL;
        const vd weight = vd_set1(u[i]);
        vd held[HELD];
        for (int h = 0; h < HELD; h++) held[h] = vd_load(lanes + i * SILHOUETTE_LANES + h * VD_LANES);
        for (int v = 0; v < VECTORS; v++) {
            const vd d = vd_load(distances + v * VD_LANES);
            held[v % HELD] = vd_add(held[v % HELD], vd_mul(vd_load(w + v * VD_LANES), d));
            sums[v] = vd_add(sums[v], vd_mul(weight, d));
        }
        for (int h = 0; h < HELD; h++) vd_store(lanes + i * SILHOUETTE_LANES + h * VD_LANES, held[h]);
    }
    double *at = s->sums + (column * s->k + s->owner[row]) * METRIC_PANEL;
    for (int v = 0; v < VECTORS && row != column; v++) {
        vd_store(at + v * VD_LANES, vd_add(vd_load(at + v * VD_LANES), sums[v]));
    }
    if (s->far) silhouette_extremes(s, row, column, tile);
}

/* Pair `pair` of round `round`. scratch: aligned. */
static inline void silhouette_play(const silhouette *s, ptrdiff_t round, ptrdiff_t pair, double *scratch) {
    const ptrdiff_t blocks = silhouette_blocks(s->n_panels), circle = silhouette_rounds(blocks) - 1;
    ptrdiff_t a = pair, b = pair;
    if (round > 0) {
        a = pair == 0 ? circle : (round - 1 + pair) % circle;
        b = (round - 1 - pair + circle) % circle;
    }
    if (a >= blocks || b >= blocks) return;
    double *lanes = scratch, *tile = scratch + METRIC_PANEL * SILHOUETTE_LANES;
    const ptrdiff_t last_row = (a + 1) * SILHOUETTE_BLOCK, last_column = (b + 1) * SILHOUETTE_BLOCK;
    const ptrdiff_t stop = last_column < s->n_panels ? last_column : s->n_panels;
    for (ptrdiff_t row = a * SILHOUETTE_BLOCK; row < last_row && row < s->n_panels; row++) {
        for (ptrdiff_t i = 0; i < METRIC_PANEL * SILHOUETTE_LANES; i++) lanes[i] = 0;
        for (ptrdiff_t column = a == b ? row : b * SILHOUETTE_BLOCK; column < stop; column++) {
            silhouette_pair(s, row, column, lanes, tile);
            if (column + 1 < stop && s->owner[column + 1] == s->owner[column]) continue;
            double *at = s->sums + (row * s->k + s->owner[column]) * METRIC_PANEL;
            for (ptrdiff_t i = 0; i < METRIC_PANEL; i++) {
                for (int l = 0; l < SILHOUETTE_LANES; l++) {
                    at[i] += lanes[i * SILHOUETTE_LANES + l];
                    lanes[i * SILHOUETTE_LANES + l] = 0;
                }
            }
        }
    }
}

/* What the silhouette needs of a panel's sums: that to the own cluster, and the least mean of another and whose it is.
 * totals: k sums of weights. own, other, neighbor: METRIC_PANEL each. */
static inline void silhouette_finish(const silhouette *s, ptrdiff_t panel, const double *totals, double *own,
                                     double *other, int32_t *neighbor) {
    for (ptrdiff_t i = 0; i < METRIC_PANEL; i++) {
        other[i] = INFINITY;
        neighbor[i] = s->owner[panel];
    }
    for (ptrdiff_t c = 0; c < s->k; c++) {
        const double *sums = s->sums + (panel * s->k + c) * METRIC_PANEL;
        if (c == s->owner[panel]) {
            memcpy(own, sums, METRIC_PANEL * sizeof(double));
            continue;
        }
        for (ptrdiff_t i = 0; i < METRIC_PANEL && totals[c] > 0; i++) {
            const double mean = sums[i] / totals[c];
            neighbor[i] = mean < other[i] ? (int32_t)c : neighbor[i];
            other[i] = mean < other[i] ? mean : other[i];
        }
    }
}

#endif
