/* Sums of the distances of one panel of points to every cluster; and the farthest of their own, the nearest of others.
 *
 * Points are in panels (metrics.h) none of which holds points of two clusters; unused places have weight 0. The sum of a
 * point over a cluster is float64 in SILHOUETTE_LANES lanes, panel after panel: the same for every number of threads
 * and instruction set.
 */
#ifndef FASTCLUSTER_EXT_SILHOUETTE_H
#define FASTCLUSTER_EXT_SILHOUETTE_H

#include <math.h>
#include "common/metrics.h"

#define SILHOUETTE_LANES 8
/* Column panels computed at a time: METRIC_PANEL x this many distances stay in the first-level cache. */
#define SILHOUETTE_PANELS 2

typedef struct {
    metric m;
    ptrdiff_t n_panels, k;
    const double *panels;  /* n_panels x p x METRIC_PANEL */
    const double *weights; /* n_panels x METRIC_PANEL, 0 in unused places */
    const int32_t *owner;  /* cluster of each panel, ascending */
} silhouette;

static inline size_t silhouette_scratch_bytes(const silhouette *s) {
    return (size_t)(metric_tile_size(&s->m, METRIC_PANEL, SILHOUETTE_PANELS) + METRIC_PANEL * SILHOUETTE_LANES) *
           sizeof(double);
}

FC_INLINE void silhouette_flush(double *lanes, double *sums, ptrdiff_t k, int32_t cluster) {
    for (ptrdiff_t i = 0; i < METRIC_PANEL; i++) {
        double sum = 0;
        for (int l = 0; l < SILHOUETTE_LANES; l++) {
            sum += lanes[i * SILHOUETTE_LANES + l];
            lanes[i * SILHOUETTE_LANES + l] = 0;
        }
        sums[i * k + cluster] = sum;
    }
}

/* sums: METRIC_PANEL x k, of the points of panel `row`. far, near: METRIC_PANEL each, or NULL. scratch: aligned. */
static inline void silhouette_panel(const silhouette *s, ptrdiff_t row, double *sums, double *far, double *near,
                                    double *scratch) {
    const double *rows = s->panels + row * metric_panel_size(&s->m);
    double *lanes = scratch, *tile = scratch + METRIC_PANEL * SILHOUETTE_LANES;
    for (ptrdiff_t i = 0; i < METRIC_PANEL * SILHOUETTE_LANES; i++) lanes[i] = 0;
    for (ptrdiff_t i = 0; i < METRIC_PANEL * s->k; i++) sums[i] = 0;
    for (ptrdiff_t i = 0; far && i < METRIC_PANEL; i++) {
        far[i] = 0;
        near[i] = INFINITY;
    }
    for (ptrdiff_t at = 0; at < s->n_panels; at += SILHOUETTE_PANELS) {
        const ptrdiff_t some = s->n_panels - at < SILHOUETTE_PANELS ? s->n_panels - at : SILHOUETTE_PANELS;
        const ptrdiff_t ld = some * METRIC_PANEL;
        metric_tile_f64(&s->m, rows, METRIC_PANEL, s->panels + at * metric_panel_size(&s->m), some, tile);
        for (ptrdiff_t c = 0; c < some; c++) {
            const double *restrict w = s->weights + (at + c) * METRIC_PANEL;
            for (ptrdiff_t i = 0; i < METRIC_PANEL; i++) {
                const double *restrict d = tile + i * ld + c * METRIC_PANEL;
                double *restrict sum = lanes + i * SILHOUETTE_LANES;
                for (int j = 0; j < METRIC_PANEL; j += SILHOUETTE_LANES) {
                    for (int l = 0; l < SILHOUETTE_LANES; l++) sum[l] += w[j + l] * d[j + l];
                }
                for (int j = 0; far && j < METRIC_PANEL; j++) {
                    if (!(w[j] > 0)) continue;
                    if (s->owner[at + c] == s->owner[row]) far[i] = d[j] > far[i] ? d[j] : far[i];
                    else near[i] = d[j] < near[i] ? d[j] : near[i];
                }
            }
            if (at + c + 1 == s->n_panels || s->owner[at + c + 1] != s->owner[at + c]) {
                silhouette_flush(lanes, sums, s->k, s->owner[at + c]);
            }
        }
    }
}

#endif
