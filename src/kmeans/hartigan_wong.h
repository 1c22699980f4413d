/* The two stages of AS 136: optimal transfer, where a point may go to any cluster, and quick transfer, where it may go
 * to its second choice only.
 *
 * The names of J. A. Hartigan and M. A. Wong, "Algorithm AS 136: a k-means clustering algorithm", Applied Statistics
 * 28(1), 1979, and what they are here: IC1 labels, IC2 seconds, NC sizes, AN1 transfer_gain, AN2 transfer_loss, NCP
 * updated, LIVE live_until, ITRAN was_quick, INDX quiet, ICOUNT idle, ISTEP step. D is not kept: distances of points
 * that are looked at are computed again, to the same value. Comparisons are written as there (one with a division,
 * one with a product), so that data of unit weight take the same way even where rounding decides.
 */
#ifndef FASTCLUSTER_EXT_HARTIGAN_WONG_H
#define FASTCLUSTER_EXT_HARTIGAN_WONG_H

#include "transfer.h"

/* Losses closer than this are compared again, one by one, as AS 136 does. */
#define WONG_CLOSE (1 + 1e-12)

/* Points of a list are fetched this far ahead. */
#define WONG_AHEAD 16

typedef struct {
    ptrdiff_t *updated;    /* k: step of the stage at which a cluster changed last; in the quick stage, plus n */
    ptrdiff_t *live_until; /* k: clusters that changed within n steps are live */
    int32_t *was_quick;    /* k: whether it changed in the last quick stage */
    ptrdiff_t quiet;       /* steps since the last transfer */
    ptrdiff_t idle;        /* the same within a quick stage */
    ptrdiff_t *active;     /* capacity: the only points that a quick stage need look at while the clock is within limit */
    ptrdiff_t n_active, capacity;
    ptrdiff_t cursor;      /* where in the list a pass has come to */
    double limit;          /* of the clock that runs ahead of all centers */
    double least_gain;     /* 1 + the share of the loss that a quick transfer must win; more than 1 in endless stages */
} wong_state;

/* The most points worth a list. */
static inline ptrdiff_t wong_capacity(ptrdiff_t n) { return n / 2 + 1; }

static inline size_t wong_bytes(ptrdiff_t n, ptrdiff_t k) {
    return (size_t)k * (2 * sizeof(ptrdiff_t) + sizeof(int32_t)) + (size_t)wong_capacity(n) * sizeof(ptrdiff_t);
}

static inline void wong_place(wong_state *wong, ptrdiff_t n, ptrdiff_t k, void *memory) {
    wong->capacity = wong_capacity(n);
    wong->active = (ptrdiff_t *)memory;
    wong->updated = wong->active + wong->capacity;
    wong->live_until = wong->updated + k;
    wong->was_quick = (int32_t *)(wong->live_until + k);
}

static inline void wong_begin(const transfers *t, wong_state *wong) {
    for (ptrdiff_t j = 0; j < t->k; j++) {
        wong->updated[j] = wong->live_until[j] = 0;
        wong->was_quick[j] = 1;
    }
    wong->quiet = 0;
}

static inline void wong_begin_optimal(const transfers *t, wong_state *wong) {
    for (ptrdiff_t j = 0; j < t->k; j++) {
        wong->updated[j] = 0;
        if (wong->was_quick[j]) wong->live_until[j] = t->points.n_rows + 1;
    }
}

static inline void wong_begin_quick(const transfers *t, wong_state *wong) {
    for (ptrdiff_t j = 0; j < t->k; j++) {
        wong->was_quick[j] = 0;
        wong->live_until[j] -= t->points.n_rows;
    }
    wong->idle = 0;
    wong->least_gain = 1;
    wong->limit = -INFINITY;
}

/* The bound on leaving for the second cluster, from the squared distances to that and to the own. */
FC_INLINE void wong_bound_pair(transfers *t, ptrdiff_t at, double w, double left, double joined) {
    const ptrdiff_t own = t->labels[at], second = t->seconds[at];
    const double gain = transfer_most_gain(w * t->shares[own]), loss = transfer_least_loss(w * t->shares[second]);
    t->pair[at] =
        transfer_gap(gain, sqrt(left), loss, sqrt(joined)) + (transfer_since(t, own) + transfer_since(t, second));
}

/* Both bounds of point `at`, whose squared distances are in scratch: the own cluster stays best, the second second. */
FC_INLINE void wong_bounds(transfers *t, ptrdiff_t at, double w, transfer_scratch *scratch) {
    const ptrdiff_t own = t->labels[at], second = t->seconds[at];
    const double gain = transfer_most_gain(w * t->shares[own]), loss = transfer_least_loss(w * t->shares[t->k]);
    const double left = scratch->squared[own], joined = scratch->squared[second];
    wong_bound_pair(t, at, w, left, joined);
    const double others = transfer_least(scratch->squared, t->packs, own, second);
    double gap = transfer_gap(gain, sqrt(left), loss, sqrt(others < joined ? others : joined));
    if (others < INFINITY) {
        const double order = transfer_gap(1.0, sqrt(joined), loss, sqrt(others));
        if (!(gap < order)) gap = order;
    }
    t->stay[at] = 0.5 * gap + transfer_since(t, t->k);
}

/* The cluster that costs least to join, as AS 136 finds it: of all, or of the live ones if the own is not live. */
static inline ptrdiff_t wong_cheapest(const transfers *t, const wong_state *wong, ptrdiff_t at, double w,
                                      transfer_scratch *scratch, double *cost) {
    const ptrdiff_t own = t->labels[at], was = t->seconds[at], step = at + 1;
    double *losses = scratch->losses;
    transfer_losses(t, w, scratch);
    if (step >= wong->live_until[own]) {
        for (ptrdiff_t j = 0; j < t->k; j++) {
            if (j != was && step >= wong->live_until[j]) losses[j] = INFINITY;
        }
    }
    ptrdiff_t cheapest = 0, close = 0;
    *cost = transfer_least(losses, t->packs, own, own);
    while (losses[cheapest] > *cost || cheapest == own) cheapest++;
    const double bar = *cost * WONG_CLOSE;
    for (ptrdiff_t j = 0; j < t->k; j++) close += losses[j] <= bar;
    if (close - (losses[own] <= bar) <= 1) return cheapest;
    cheapest = was;
    *cost = losses[was];
    for (ptrdiff_t j = 0; j < t->k; j++) {
        const double loss = transfer_loss(t->sizes[j], w);
        if (j == own || j == was || !(losses[j] < INFINITY) || scratch->squared[j] >= *cost / loss) continue;
        *cost = losses[j];
        cheapest = j;
    }
    return cheapest;
}

/* Bounds of those of rows [start, stop) that have none; decides nothing. */
static inline void wong_look(transfers *t, ptrdiff_t start, ptrdiff_t stop, transfer_scratch *scratch) {
    const double clock = t->clocks[t->k];
    for (ptrdiff_t at = transfer_next(t->stay, start, stop, clock); at < stop;
         at = transfer_next(t->stay, at + 1, stop, clock)) {
        if (!transfer_free(t, t->labels[at], transfer_weight(t, at))) continue;
        transfer_distances(t, transfer_row(t, at, scratch), scratch);
        wong_bounds(t, at, transfer_weight(t, at), scratch);
    }
}

/* Optimal transfers of rows [start, stop). */
static inline void wong_optimal(transfers *t, wong_state *wong, ptrdiff_t start, ptrdiff_t stop,
                                transfer_scratch *scratch) {
    const ptrdiff_t n = t->points.n_rows;
    ptrdiff_t last = start - 1 - wong->quiet;
    for (ptrdiff_t at = transfer_next(t->stay, start, stop, t->clocks[t->k]); at < stop;
         at = transfer_next(t->stay, at + 1, stop, t->clocks[t->k])) {
        const ptrdiff_t own = t->labels[at];
        const double w = transfer_weight(t, at);
        double cost;
        if (!transfer_free(t, own, w)) continue;
        const double *row = transfer_row(t, at, scratch);
        transfer_distances(t, row, scratch);
        const ptrdiff_t to = wong_cheapest(t, wong, at, w, scratch, &cost);
        t->seconds[at] = (int32_t)to;
        if (cost < scratch->squared[own] * transfer_gain(t->sizes[own], w)) {
            transfer_move(t, at, row, to, scratch);
            t->seconds[at] = (int32_t)own;
            wong->updated[own] = wong->updated[to] = at + 1;
            wong->live_until[own] = wong->live_until[to] = n + at + 1;
            last = at;
        } else {
            wong_bounds(t, at, w, scratch);
        }
    }
    wong->quiet = stop - 1 - last;
}

/* How far two centers may still go before point `at` might leave for its second cluster; not positive if it might. */
FC_INLINE double wong_slack(const transfers *t, ptrdiff_t at) {
    return t->pair[at] - (t->clocks[t->labels[at]] + t->clocks[t->seconds[at]]);
}

/* At the beginning of an epoch: make the list of points that need to be looked at while no center moves further than
 * `reach`. Not more than there is room for; then there is no list. */
static inline void wong_list(const transfers *t, wong_state *wong, double reach) {
    ptrdiff_t count = 0, *active = wong->active;
    wong->limit = -INFINITY;
    for (ptrdiff_t at = 0; at < t->points.n_rows && count < wong->capacity; at++) {
        active[count] = at;
        count += !(wong_slack(t, at) > 2 * reach);
    }
    if (count == wong->capacity) return;
    wong->n_active = count;
    wong->limit = t->clocks[t->k] + reach * (1 - TRANSFER_MARGIN);
}

FC_INLINE void wong_prefetch(const transfers *t, ptrdiff_t at) {
    __builtin_prefetch(t->pair + at);
    __builtin_prefetch(t->labels + at);
    __builtin_prefetch(t->seconds + at);
    __builtin_prefetch(t->points.data + at * t->points.row_stride);
}

/* The next point from `at` on that might leave for its second cluster, or at least `stop`. */
FC_INLINE ptrdiff_t wong_next(const transfers *t, wong_state *wong, ptrdiff_t at, ptrdiff_t stop) {
    if (!(t->clocks[t->k] <= wong->limit)) {
        while (at < stop && wong_slack(t, at) > 0) at++;
        return at;
    }
    while (wong->cursor < wong->n_active) {
        const ptrdiff_t next = wong->active[wong->cursor];
        if (next >= stop) break;
        if (wong->cursor + WONG_AHEAD < wong->n_active) wong_prefetch(t, wong->active[wong->cursor + WONG_AHEAD]);
        wong->cursor++;
        if (next >= at && !(wong_slack(t, next) > 0)) return next;
    }
    return stop;
}

/* Would a point gain by going from a cluster of size n1 to one of size n2, from the squared distances? As AS 136 has
 * it, but without divisions where that is certain. */
FC_INLINE int wong_gains(double left, double n1, double joined, double n2, double w, double least_gain) {
    const double a = left * n1 * (n2 + w), b = joined * least_gain * n2 * (n1 - w);
    if (b > a * WONG_CLOSE) return 0;
    if (b * WONG_CLOSE < a && a < INFINITY) return 1;
    return joined * least_gain < left * transfer_gain(n1, w) / transfer_loss(n2, w);
}

/* Quick transfers of rows [start, stop), in the pass over the data that began after `before` steps. */
static inline void wong_quick(transfers *t, wong_state *wong, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t before,
                              transfer_scratch *scratch) {
    const ptrdiff_t n = t->points.n_rows;
    ptrdiff_t last = start - 1 - wong->idle;
    if (start == 0) wong->cursor = 0;
    for (ptrdiff_t at = wong_next(t, wong, start, stop); at < stop; at = wong_next(t, wong, at + 1, stop)) {
        const ptrdiff_t own = t->labels[at], to = t->seconds[at], step = before + at + 1;
        const double w = transfer_weight(t, at);
        if (step >= wong->updated[own] && step >= wong->updated[to]) continue;
        if (!transfer_free(t, own, w)) continue;
        const double *row = transfer_row(t, at, scratch);
        const double left = transfer_distance(t, row, own), joined = transfer_distance(t, row, to);
        if (!wong_gains(left, t->sizes[own], joined, t->sizes[to], w, wong->least_gain)) {
            wong_bound_pair(t, at, w, left, joined);
            continue;
        }
        if (transfer_move(t, at, row, to, scratch)) wong->limit = -INFINITY;
        t->seconds[at] = (int32_t)own;
        wong->updated[own] = wong->updated[to] = step + n;
        wong->was_quick[own] = wong->was_quick[to] = 1;
        wong->quiet = 0;
        last = at;
    }
    wong->idle = stop - 1 - last;
}

#endif
