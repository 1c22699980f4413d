/* Candidates that cannot improve, found in float32: a lower bound on what a swap changes, most points not looked at.
 *
 * The points are kept a second time, as float32 panels of METRIC_PANEL points. All points of a panel have the same
 * nearest medoid and lie close together; a panel knows its bounding box and its largest second distance. A candidate
 * farther from the box than that distance changes nothing for the panel's points: for most panels, that is all the work.
 * The remaining panels add up S and E of service.h, without branches, since E needs one sum for a whole panel.
 *
 * The bound allows for every rounding: distances are off by at most `error` (coordinates and metric), sums of terms of
 * one sign by SIEVE_SUM u of their size. What the bound lets pass is evaluated in float64 by service_evaluate, so the
 * sieve changes no result. For Euclidean, squared Euclidean, city-block and Chebyshev distances, whose distance to a
 * box is that of the gaps along the axes.
 */
#ifndef FASTCLUSTER_EXT_SIEVE_H
#define FASTCLUSTER_EXT_SIEVE_H

#include "service.h"

#define SIEVE_VECTORS (METRIC_PANEL / VF_LANES)
/* Panels whose terms are added in float32 before the sums go on in float64; and the rounding of that, in u. */
#define SIEVE_RUN 16
#define SIEVE_SUM (SIEVE_RUN * SIEVE_VECTORS + VF_LANES + 8)

typedef struct {
    metric m;
    ptrdiff_t n_panels, capacity, padded; /* panels in use, in all; and a whole number of vectors above that */
    float *columns;                       /* n_panels x p x METRIC_PANEL */
    float *first, *second, *weights;      /* n_panels x METRIC_PANEL; weight 0 and distances 0 in unused places */
    float *low, *high, *reach;            /* boxes, p x padded each; largest second distance, padded */
    int32_t *owner;                       /* nearest medoid of each panel's points */
    double *weight;                       /* sum of each panel's weights */
    double *shift;                        /* p: taken from the coordinates before they are rounded */
    double error;                         /* bound on the error of one distance */
} sieve;

static inline int sieve_suits(const metric *m) {
    return m->code == METRIC_EUCLIDEAN || m->code == METRIC_SQEUCLIDEAN || m->code == METRIC_CITYBLOCK ||
           m->code == METRIC_CHEBYSHEV;
}

/* Most panels that n points of k clusters take. */
static inline ptrdiff_t sieve_panels(ptrdiff_t n, ptrdiff_t k) { return n / METRIC_PANEL + k; }

/* The error bound for points whose coordinates, less the shift, add up to at most `largest` in size. */
static inline double sieve_error(const metric *m, double largest) {
    const double u = 0x1p-24, span = 2 * largest, steps = (double)m->n_features + 8;
    return m->code == METRIC_SQEUCLIDEAN ? 4 * steps * u * span * span : 2 * steps * u * span;
}

/* Sum of |x - shift| of one point. */
static inline double sieve_size(const source *s, ptrdiff_t point, const double *shift) {
    const double *x = s->point_panels + point / METRIC_PANEL * metric_panel_size(&s->m) + point % METRIC_PANEL;
    double sum = 0;
    for (ptrdiff_t i = 0; i < s->m.n_features; i++) sum += fabs(x[i * METRIC_PANEL] - shift[i]);
    return sum;
}

/* Fill panel `at` with `count` points of one cluster. */
static inline void sieve_fill(sieve *f, const source *s, const service *v, ptrdiff_t at, const int32_t *points,
                              ptrdiff_t count) {
    const ptrdiff_t p = f->m.n_features, start = at * METRIC_PANEL;
    float *columns = f->columns + start * p, reach = 0;
    double total = 0;
    for (ptrdiff_t r = 0; r < METRIC_PANEL; r++) {
        const ptrdiff_t o = points[r < count ? r : 0];
        const double w = v->weights ? v->weights[o] : 1.0;
        f->first[start + r] = r < count ? (float)v->first[o] : 0;
        f->second[start + r] = r < count ? (float)v->second[o] : 0;
        f->weights[start + r] = r < count ? (float)w : 0;
        if (r < count) total += w;
        if (f->second[start + r] > reach) reach = f->second[start + r];
        const double *x = s->point_panels + o / METRIC_PANEL * metric_panel_size(&s->m) + o % METRIC_PANEL;
        for (ptrdiff_t i = 0; i < p; i++) columns[i * METRIC_PANEL + r] = (float)(x[i * METRIC_PANEL] - f->shift[i]);
    }
    for (ptrdiff_t i = 0; i < p; i++) {
        float low = INFINITY, high = -INFINITY;
        for (ptrdiff_t r = 0; r < METRIC_PANEL; r++) {
            const float x = columns[i * METRIC_PANEL + r];
            low = x < low ? x : low;
            high = x > high ? x : high;
        }
        f->low[i * f->padded + at] = low;
        f->high[i * f->padded + at] = high;
    }
    f->reach[at] = reach;
    f->owner[at] = v->nearest[points[0]];
    f->weight[at] = total;
}

/* Scratch of one thread: a candidate's coordinates as one column of a panel, k sums of S and E and weight, and the
 * panels within reach. */
static inline size_t sieve_scratch_bytes(const sieve *f, ptrdiff_t k) {
    return (size_t)k * sizeof(double) + (size_t)(f->m.n_features + 16) * sizeof(float) +
           (size_t)(f->padded + 64) * sizeof(int32_t);
}

FC_INLINE vf sieve_term(vf gap, vf sum, metric_code code) {
    if (code == METRIC_CHEBYSHEV) return vf_max(sum, gap);
    return code == METRIC_CITYBLOCK ? vf_add(sum, gap) : vf_fma(gap, gap, sum);
}

/* Panels whose box may be nearer than their reach. `code` is a constant here. */
FC_INLINE ptrdiff_t sieve_within(const sieve *f, const float *x, int32_t *within, metric_code code) {
    const ptrdiff_t p = f->m.n_features;
    const vf zero = vf_set1(0), margin = vf_set1((float)(2.01 * f->error));
    ptrdiff_t found = 0;
    for (ptrdiff_t at = 0; at < f->n_panels; at += VF_LANES) {
        vf sum = zero;
        for (ptrdiff_t i = 0; i < p; i++) {
            const vf c = vf_set1(x[i]);
            const vf below = vf_sub(vf_load(f->low + i * f->padded + at), c);
            const vf above = vf_sub(c, vf_load(f->high + i * f->padded + at));
            sum = sieve_term(vf_max(zero, vf_max(below, above)), sum, code);
        }
        if (code == METRIC_EUCLIDEAN) sum = vf_sqrt(sum);
        found += vi_store_where(within + found, (int32_t)at, vf_less(sum, vf_add(vf_load(f->reach + at), margin)));
    }
    return found;
}

/* S and E of the points of the panels within reach; returns the sum of their weights. */
FC_INLINE double sieve_sums(const sieve *f, const float *x, const int32_t *within, ptrdiff_t found, double *own,
                            double *shared, int p, metric_code code) {
    double weight = 0;
    for (ptrdiff_t t = 0; t < found;) {
        const int32_t owner = f->owner[within[t]];
        vf s = vf_set1(0), e = s;
        for (ptrdiff_t run = 0; run < SIEVE_RUN && t < found && f->owner[within[t]] == owner; run++, t++) {
            const ptrdiff_t at = (ptrdiff_t)within[t] * METRIC_PANEL;
            const float *columns = f->columns + at * p;
            weight += f->weight[within[t]];
            for (int q = 0; q < SIEVE_VECTORS; q++) {
                vf d = vf_set1(0);
                for (int i = 0; i < p; i++) {
                    const vf gap = vf_sub(vf_load(columns + i * METRIC_PANEL + q * VF_LANES), vf_set1(x[i]));
                    d = sieve_term(code == METRIC_CITYBLOCK || code == METRIC_CHEBYSHEV ? vf_abs(gap) : gap, d, code);
                }
                if (code == METRIC_EUCLIDEAN) d = vf_sqrt(d);
                const vf d1 = vf_load(f->first + at + q * VF_LANES), d2 = vf_load(f->second + at + q * VF_LANES);
                const vf w = vf_load(f->weights + at + q * VF_LANES);
                s = vf_fma(w, vf_sub(vf_min(d, d1), d1), s);
                e = vf_fma(w, vf_sub(vf_min(vf_max(d, d1), d2), d2), e);
            }
        }
        float lanes[2][VF_LANES];
        vf_store(lanes[0], s);
        vf_store(lanes[1], e);
        for (int l = 0; l < VF_LANES; l++) {
            *shared += lanes[0][l];
            own[owner] += lanes[1][l];
        }
    }
    return weight;
}

FC_INLINE double sieve_run(const sieve *f, const float *x, int32_t *within, double *own, double *shared,
                           metric_code code) {
    const ptrdiff_t found = sieve_within(f, x, within, code);
    switch (f->m.n_features) {
    case 1: return sieve_sums(f, x, within, found, own, shared, 1, code);
    case 2: return sieve_sums(f, x, within, found, own, shared, 2, code);
    case 3: return sieve_sums(f, x, within, found, own, shared, 3, code);
    case 4: return sieve_sums(f, x, within, found, own, shared, 4, code);
    default: return sieve_sums(f, x, within, found, own, shared, (int)f->m.n_features, code);
    }
}

/* Bounds on the change of the loss if candidate c takes the best place: at least *lower, at most *upper. */
static inline void sieve_bounds(const sieve *f, const source *s, const service *v, ptrdiff_t c, char *scratch,
                                double *lower, double *upper) {
    double *own = (double *)scratch, shared = 0, weight = 0;
    float *x = (float *)(own + v->k);
    int32_t *within = (int32_t *)(x + f->m.n_features + 16);
    const double *at = s->row_panels + c / METRIC_PANEL * metric_panel_size(&s->m) + c % METRIC_PANEL;
    for (ptrdiff_t i = 0; i < f->m.n_features; i++) x[i] = (float)(at[i * METRIC_PANEL] - f->shift[i]);
    for (ptrdiff_t i = 0; i < v->k; i++) own[i] = 0;
    switch (f->m.code) {
    case METRIC_EUCLIDEAN: weight = sieve_run(f, x, within, own, &shared, METRIC_EUCLIDEAN); break;
    case METRIC_SQEUCLIDEAN: weight = sieve_run(f, x, within, own, &shared, METRIC_SQEUCLIDEAN); break;
    case METRIC_CITYBLOCK: weight = sieve_run(f, x, within, own, &shared, METRIC_CITYBLOCK); break;
    default: weight = sieve_run(f, x, within, own, &shared, METRIC_CHEBYSHEV);
    }
    /* Twice `error` for d against d1 or d2 (rounded as well), in S and in E. */
    const double slack = 4 * f->error * weight, rounding = SIEVE_SUM * 0x1p-24;
    *lower = *upper = INFINITY;
    for (ptrdiff_t i = 0; i < v->k; i++) {
        const double change = v->removal[i] + shared + own[i];
        const double off = slack + rounding * (-shared - own[i]) + 1e-12 * v->removal[i];
        if (change - off < *lower) *lower = change - off;
        if (change + off < *upper) *upper = change + off;
    }
}

#endif
