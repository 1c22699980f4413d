/* Which two medoids serve each point best, and what a swap, an addition or a removal of medoids would change.
 *
 * For point o let d1 <= d2 be its dissimilarities to its nearest and second nearest medoid and n(o) the nearest. With
 * candidate c, at distance d, in place of medoid i, the loss changes by R_i + S + E_i, where (weights w)
 *     R_i = sum over n(o) = i of w (d2 - d1)         what the removal of i alone costs, kept between swaps
 *     S   = sum over all o of    w (min(d, d1) - d1)   what c serves better than the present medoids
 *     E_i = sum over n(o) = i of w (min(max(d, d1), d2) - d2)   what c makes up for the removal
 * (FastPAM: Schubert and Rousseeuw, Information Systems 101, 2021; the clamped form of E is the same sum without the
 * case distinction). Only points with d < d2 add anything. All sums are float64, in SERVICE_LANES lanes which the points
 * of a block that are within reach take in turns: independent of threads and of the instruction set.
 */
#ifndef FASTCLUSTER_EXT_SERVICE_H
#define FASTCLUSTER_EXT_SERVICE_H

#include <math.h>
#include "source.h"

/* Sums side by side, so that one addition need not wait for the last. */
#define SERVICE_LANES 4
#define SERVICE_CHUNK 2048
/* Fewer values of a tile than these are read one by one. */
#define SERVICE_FEW 16

typedef struct {
    ptrdiff_t n, k;
    const double *weights; /* n, or NULL for ones */
    double *first, *second;  /* d1, d2; infinity where there is no such medoid */
    int32_t *nearest, *next; /* their medoids */
    double *removal;         /* R, k */
} service;

/* (d, slot) before (e, other)? Ties go to the lowest slot. */
FC_INLINE int service_before(double d, int32_t slot, double e, int32_t other) {
    return d < e || (d == e && slot < other);
}

FC_INLINE void service_offer(service *v, ptrdiff_t o, double d, int32_t slot) {
    if (service_before(d, slot, v->first[o], v->nearest[o])) {
        v->second[o] = v->first[o];
        v->next[o] = v->nearest[o];
        v->first[o] = d;
        v->nearest[o] = slot;
    } else if (service_before(d, slot, v->second[o], v->next[o])) {
        v->second[o] = d;
        v->next[o] = slot;
    }
}

FC_INLINE void service_clear(service *v, ptrdiff_t o) {
    v->first[o] = v->second[o] = INFINITY;
    v->nearest[o] = v->next[o] = INT32_MAX;
}

/* Doubles that SERVICE_LANES sums for each medoid take; what follows is on a cache line again, as tiles of metrics.h must
 * be. */
static inline ptrdiff_t service_own(ptrdiff_t k) { return (k * SERVICE_LANES + 7) / 8 * 8; }

/* `start` and then the sums for medoid i, added up. */
FC_INLINE double service_total(const double *own, ptrdiff_t i, double start) {
    for (int l = 0; l < SERVICE_LANES; l++) start += own[i * SERVICE_LANES + l];
    return start;
}

/* Loss (at [0]) and removal losses (at [1 + i]) of points [start, stop). own: service_own(k) doubles. */
static inline void service_sums(const service *v, ptrdiff_t start, ptrdiff_t stop, double *own, double *sums) {
    double loss[SERVICE_LANES] = {0};
    for (ptrdiff_t i = 0; i < v->k * SERVICE_LANES; i++) own[i] = 0;
    for (ptrdiff_t o = start; o < stop; o++) {
        const double w = v->weights ? v->weights[o] : 1.0;
        if (v->nearest[o] == INT32_MAX) {
            /* Its distances are undefined, and so is the loss; that is for the caller to report. */
            v->nearest[o] = 0;
            v->first[o] = NAN;
        }
        loss[o % SERVICE_LANES] += w * v->first[o];
        own[v->nearest[o] * SERVICE_LANES + o % SERVICE_LANES] += w * (v->second[o] - v->first[o]);
    }
    sums[0] = 0;
    for (int l = 0; l < SERVICE_LANES; l++) sums[0] += loss[l];
    for (ptrdiff_t i = 0; i < v->k; i++) sums[1 + i] = v->k > 1 ? service_total(own, i, 0) : 0;
}

/* The two best of all medoids for points [start, stop), start a multiple of SOURCE_TILE; and their sums. */
static inline void service_assign(const source *s, service *v, const int64_t *medoids, ptrdiff_t start, ptrdiff_t stop,
                                  char *scratch, double *sums) {
    double *own = (double *)scratch, *buffer = own + service_own(v->k);
    for (ptrdiff_t at = start; at < stop; at += SOURCE_TILE) {
        const ptrdiff_t count = stop - at < SOURCE_TILE ? stop - at : SOURCE_TILE;
        /* Indices as wide as distances, and no selection of selections: the compiler makes vectors without branches of
         * it. Distances that are undefined (NaN) change nothing. */
        double first[SOURCE_TILE], second[SOURCE_TILE];
        int64_t nearest[SOURCE_TILE], next[SOURCE_TILE];
        for (ptrdiff_t o = 0; o < count; o++) {
            first[o] = second[o] = INFINITY;
            nearest[o] = next[o] = INT32_MAX;
        }
        for (int64_t i = 0; i < v->k; i++) {
            const double *d = source_tile(s, medoids[i], at, count, buffer);
            for (ptrdiff_t o = 0; o < count; o++) {
                const double x = d[o], best = first[o], other = second[o], high = best > x ? best : x;
                const int64_t slot = nearest[o], behind = x < other ? i : next[o];
                first[o] = x < best ? x : best;
                second[o] = high < other ? high : other;
                nearest[o] = x < best ? i : slot;
                next[o] = x < best ? slot : behind;
            }
        }
        for (ptrdiff_t o = 0; o < count; o++) {
            v->first[at + o] = first[o];
            v->second[at + o] = second[o];
            v->nearest[at + o] = (int32_t)nearest[o];
            v->next[at + o] = (int32_t)next[o];
        }
    }
    service_sums(v, start, stop, own, sums);
}

/* The loss at [0] of service_assign for k medoids, by the same sums; and, if they are wanted (a constant here), the
 * nearest medoid of each point and its dissimilarity. buffer: SOURCE_BUFFER doubles on a cache line. */
FC_INLINE double service_label(const source *s, const double *weights, const int64_t *medoids, ptrdiff_t k,
                               ptrdiff_t start, ptrdiff_t stop, double *buffer, int wanted, int32_t *labels,
                               double *distances) {
    double loss[SERVICE_LANES] = {0}, sum = 0;
    for (ptrdiff_t at = start; at < stop; at += SOURCE_TILE) {
        const ptrdiff_t count = stop - at < SOURCE_TILE ? stop - at : SOURCE_TILE;
        double first[SOURCE_TILE];
        int64_t nearest[SOURCE_TILE];
        for (ptrdiff_t o = 0; o < count; o++) {
            first[o] = INFINITY;
            nearest[o] = 0;
        }
        for (int64_t i = 0; i < k; i++) {
            const double *d = source_tile(s, medoids[i], at, count, buffer);
            for (ptrdiff_t o = 0; o < count; o++) {
                const double x = d[o], best = first[o];
                first[o] = x < best ? x : best;
                if (wanted) nearest[o] = x < best ? i : nearest[o];
            }
        }
        for (ptrdiff_t o = 0; o < count; o++) {
            const double w = weights ? weights[at + o] : 1.0, d = first[o] < INFINITY ? first[o] : NAN;
            loss[o % SERVICE_LANES] += w * d;
            if (wanted) {
                labels[at + o] = (int32_t)nearest[o];
                distances[at + o] = d;
            }
        }
    }
    for (int l = 0; l < SERVICE_LANES; l++) sum += loss[l];
    return sum;
}

static inline double service_loss(const source *s, const double *weights, const int64_t *medoids, ptrdiff_t k,
                                  ptrdiff_t start, ptrdiff_t stop, double *buffer) {
    return service_label(s, weights, medoids, k, start, stop, buffer, 0, NULL, NULL);
}

static inline double service_labels(const source *s, const double *weights, const int64_t *medoids, ptrdiff_t k,
                                    ptrdiff_t start, ptrdiff_t stop, double *buffer, int32_t *labels,
                                    double *distances) {
    return service_label(s, weights, medoids, k, start, stop, buffer, 1, labels, distances);
}

/* The same as service_assign after medoids[slot] has changed: only points that may have lost one of their two best look at all medoids. */
static inline void service_swap(const source *s, service *v, const int64_t *medoids, ptrdiff_t slot, ptrdiff_t start,
                                ptrdiff_t stop, char *scratch, double *sums) {
    double *own = (double *)scratch, *buffer = own + service_own(v->k);
    for (ptrdiff_t at = start; at < stop; at += SOURCE_TILE) {
        const ptrdiff_t count = stop - at < SOURCE_TILE ? stop - at : SOURCE_TILE;
        const double *d = source_tile(s, medoids[slot], at, count, buffer);
        ptrdiff_t touched[SOURCE_TILE], lost[SOURCE_TILE], n_touched = 0, n_lost = 0;
        /* Most points neither had the place nor get it; which ones is a branch that no processor foresees. */
        for (ptrdiff_t r = 0; r < count; r++) {
            const ptrdiff_t o = at + r;
            touched[n_touched] = r;
            n_touched += (v->nearest[o] == slot) | (v->next[o] == slot) | (d[r] <= v->second[o]);
        }
        for (ptrdiff_t t = 0; t < n_touched; t++) {
            const ptrdiff_t r = touched[t], o = at + r;
            if (v->nearest[o] != slot && v->next[o] != slot) {
                service_offer(v, o, d[r], (int32_t)slot);
            } else if (v->next[o] == slot && service_before(d[r], (int32_t)slot, v->first[o], v->nearest[o])) {
                v->second[o] = v->first[o];
                v->next[o] = v->nearest[o];
                v->first[o] = d[r];
                v->nearest[o] = (int32_t)slot;
            } else if (v->nearest[o] == slot && service_before(d[r], (int32_t)slot, v->second[o], v->next[o])) {
                v->first[o] = d[r];
            } else if (v->next[o] == slot && d[r] <= v->second[o]) {
                v->second[o] = d[r];
            } else {
                lost[n_lost++] = o;
            }
        }
        for (ptrdiff_t l = 0; l < n_lost; l++) service_clear(v, lost[l]);
        for (ptrdiff_t i = 0; i < v->k && n_lost; i++) {
            if (s->data && n_lost < SERVICE_FEW) {
                for (ptrdiff_t l = 0; l < n_lost; l++) {
                    const double x = *source_matrix_tile(s, medoids[i], lost[l], 1, buffer);
                    service_offer(v, lost[l], x, (int32_t)i);
                }
                continue;
            }
            d = source_tile(s, medoids[i], at, count, buffer);
            for (ptrdiff_t l = 0; l < n_lost; l++) service_offer(v, lost[l], d[lost[l] - at], (int32_t)i);
        }
    }
    service_sums(v, start, stop, own, sums);
}

/* What one candidate's evaluation needs, per thread: k x SERVICE_LANES sums and a tile of distances. */
static inline size_t service_scratch_bytes(ptrdiff_t k) {
    return (size_t)(service_own(k) + SOURCE_BUFFER) * sizeof(double);
}

/* The terms of S and E of candidate c: returns S, leaves E in SERVICE_LANES parts for each medoid at `scratch`. */
static inline double service_terms(const source *s, const service *v, ptrdiff_t c, char *scratch) {
    double *own = (double *)scratch, *buffer = own + service_own(v->k);
    double shared[SERVICE_LANES] = {0}, total = 0;
    for (ptrdiff_t i = 0; i < v->k * SERVICE_LANES; i++) own[i] = 0;
    for (ptrdiff_t base = 0; base < v->n; base += SOURCE_TILE) {
        const ptrdiff_t count = v->n - base < SOURCE_TILE ? v->n - base : SOURCE_TILE;
        const double *row = source_tile(s, c, base, count, buffer);
        ptrdiff_t at[SOURCE_TILE], found = 0;
        for (ptrdiff_t r = 0; r < count; r++) {
            at[found] = r;
            found += row[r] < v->second[base + r];
        }
        /* min(d, d1) - d1 is d - max(d, d1): a maximum and a minimum leave no branch, which every second point took. */
        for (ptrdiff_t t = 0; t < found; t++) {
            const ptrdiff_t o = base + at[t];
            const double d = row[at[t]], first = v->first[o], second = v->second[o], w = v->weights ? v->weights[o] : 1;
            const double high = d > first ? d : first, capped = high < second ? high : second;
            shared[t % SERVICE_LANES] += w * (d - high);
            own[v->nearest[o] * SERVICE_LANES + t % SERVICE_LANES] += w * (capped - second);
        }
    }
    for (int l = 0; l < SERVICE_LANES; l++) total += shared[l];
    return total;
}

/* The change of the loss if candidate c takes the best place; *slot becomes that place. k = 1 is service_sum's. */
static inline double service_evaluate(const source *s, const service *v, ptrdiff_t c, char *scratch, ptrdiff_t *slot) {
    const double shared = service_terms(s, v, c, scratch);
    double least = INFINITY;
    for (ptrdiff_t i = 0; i < v->k; i++) {
        const double change = service_total((const double *)scratch, i, v->removal[i] + shared);
        if (change < least) {
            least = change;
            *slot = i;
        }
    }
    return least;
}

/* By how much at most the change of any candidate, in its best place, sinks when c takes the place of medoid `slot`.
 *
 * With M the medoids, L their loss and c in for s, which lowers it by g: the loss of M - i + x becomes that of
 * M - s + c - i + x. To add c to M - i + x lowers it by no more than to add c to M - i, which is G_i = -(S + E_i) of c,
 * and to take s away does not lower it; for i = s it stays as it is. So changes, which are relative to L, sink by at most
 * G_i - g, or by -g for i = s. No triangle inequality is needed.
 */
static inline double service_drift(const source *s, const service *v, ptrdiff_t c, ptrdiff_t slot, char *scratch) {
    const double shared = service_terms(s, v, c, scratch);
    double most = 0;
    for (ptrdiff_t i = 0; i < v->k; i++) {
        const double gain = -service_total((const double *)scratch, i, shared);
        if (i != slot && gain > most) most = gain;
    }
    return most + v->removal[slot] + service_total((const double *)scratch, slot, shared);
}

/* The weighted sum of candidate c's dissimilarities to all points. */
static inline double service_sum(const source *s, const double *weights, ptrdiff_t c, double *buffer) {
    double lanes[8] = {0}, sum = 0;
    for (ptrdiff_t at = 0; at < s->n_points; at += SOURCE_TILE) {
        const ptrdiff_t count = s->n_points - at < SOURCE_TILE ? s->n_points - at : SOURCE_TILE;
        const double *d = source_tile(s, c, at, count, buffer);
        ptrdiff_t r = 0;
        for (; r + 8 <= count; r += 8) {
            for (int l = 0; l < 8; l++) lanes[l] += weights ? weights[at + r + l] * d[r + l] : d[r + l];
        }
        for (; r < count; r++) lanes[r % 8] += weights ? weights[at + r] * d[r] : d[r];
    }
    for (int l = 0; l < 8; l++) sum += lanes[l];
    return sum;
}

#endif
