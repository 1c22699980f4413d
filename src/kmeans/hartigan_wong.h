/* The two stages of AS 136: optimal transfer, where a point may go to any cluster, and quick transfer, where it may go
 * to its second choice only.
 *
 * The names of J. A. Hartigan and M. A. Wong, "Algorithm AS 136: a k-means clustering algorithm", Applied Statistics
 * 28(1), 1979, and what they are here: IC1 labels, IC2 seconds, NC sizes, AN1 transfer_gain, AN2 transfer_loss, NCP
 * updated, LIVE live_until, ITRAN was_quick, INDX quiet, ICOUNT idle, ISTEP step. D is not kept: distances of points
 * that are looked at are computed again, to the same value. Comparisons are written as there (one with a division,
 * one with a product), so that data of unit weight take the same way even where rounding decides.
 *
 * Optimal transfers: rows whose bounds have run out are looked at TRANSFER_LANES at a time. Where the nearest other
 * center is certainly the cheapest to join, only that cluster is compared with the own; elsewhere all are, one by one.
 * Where few rows move, all threads look ahead first: they set bounds and second choices, and a row whose bound holds
 * until its turn has had it. One whose bound does not gets its former second back, and is looked at again.
 * Quick transfers: all threads list the rows that might go before a center has moved further than expected (by its
 * last pass), with their coordinates; passes then go through the list alone, TRANSFER_LANES rows at a time, and only
 * rows that may gain are decided on, one by one. When a center has passed its limit, the list is made again from the
 * next row on. While many rows move, a list would soon be void: passes go through all rows.
 * Neither changes a decision or the order of moves.
 */
#ifndef FASTCLUSTER_EXT_HARTIGAN_WONG_H
#define FASTCLUSTER_EXT_HARTIGAN_WONG_H

#include "transfer.h"

/* Losses closer than this are compared again, one by one, as AS 136 does. */
#define WONG_CLOSE (1 + 1e-12)

/* The list of rows that may make quick transfers is good for about this many passes; */
#define WONG_REACH 8
/* in which a center that stands still may begin to move, by this share of what the fastest does. */
#define WONG_FLOOR 0.1
/* No list is made of a larger share of the rows than this. */
#define WONG_DENSE 0.5
/* Nor after a pass in which one of so many rows moved, or the first of a stage: too many could be on it. */
#define WONG_MANY 100
/* It is made anew when it has become as much too long, and has been gone through for as many rows as there are. */
#define WONG_SHORTER 4
#define WONG_VISITS 4

/* Bytes that a list takes at most. */
#define WONG_LIST_BYTES 67108864

/* Rows that are listed by one thread. */
#define WONG_CHUNK 4096

/* Rows that a list spans at most. */
#define WONG_SPAN 2147483648
#define WONG_NO_ROW UINT32_MAX

/* TRANSFER_LANES rows of the list, counted from its first, or WONG_NO_ROW, with their labels and seconds.
 * p x TRANSFER_LANES coordinates follow, and the weights if there are any. */
typedef struct {
    uint32_t row[TRANSFER_LANES];
    int32_t own[TRANSFER_LANES], second[TRANSFER_LANES];
    double columns[];
} wong_rows;

typedef struct {
    ptrdiff_t *updated;    /* k: step of the stage at which a cluster changed last; in the quick stage, plus n */
    ptrdiff_t *live_until; /* k: clusters that changed within n steps are live */
    int32_t *was_quick;    /* k: whether it changed in the last quick stage */
    ptrdiff_t quiet;       /* steps since the last transfer */
    ptrdiff_t idle;        /* the same within a quick stage */
    double least_gain;     /* 1 + the share of the loss that a quick transfer must win; more than 1 in endless stages */
    /* The list: of rows [first, last), the only ones that may make a quick transfer while the clock of each cluster is
     * within its limit. */
    char *list;            /* capacity / TRANSFER_LANES x wong_rows, and one for rows that are not listed */
    size_t rows_bytes;     /* of a wong_rows */
    ptrdiff_t n_listed, capacity, first, last;
    ptrdiff_t visited;     /* rows since the list was made */
    ptrdiff_t *counts;     /* chunks + 1: how many rows of a chunk are listed, then how many before it */
    ptrdiff_t at;          /* rows before it have had their turn in this pass */
    ptrdiff_t transfers;   /* of this pass, or the last */
    double *began, *advance; /* k: clocks at the beginning of this pass, and how far they went in it or the last */
    double *reach;         /* k: how far the list is good, from its beginning, */
    double *limit;         /* padded: and until which clocks */
    int32_t *were;         /* seconds of the rows from `looked_from` on, before they were looked at ahead */
    ptrdiff_t looked_from; /* -1: none were */
    double *table;         /* (p + 1) x padded: the centers by column, and the sizes of their clusters */
    double *names;         /* padded: 0, 1, ... */
    double *join, *leave;  /* k: what squared distances are multiplied by, where many points move */
} wong_state;

/* weighted: whether there are weights. */
static inline size_t wong_rows_bytes(ptrdiff_t p, int weighted) {
    return sizeof(wong_rows) + (size_t)(p + weighted) * TRANSFER_LANES * sizeof(double);
}

/* The most rows in a list: a multiple of TRANSFER_LANES, and enough for a chunk. */
static inline ptrdiff_t wong_capacity(ptrdiff_t n, ptrdiff_t p, int weighted) {
    const ptrdiff_t most = (ptrdiff_t)(WONG_LIST_BYTES / wong_rows_bytes(p, weighted)) * TRANSFER_LANES + WONG_CHUNK;
    const ptrdiff_t wanted = (n / 2 + WONG_CHUNK) / TRANSFER_LANES * TRANSFER_LANES;
    return wanted < most ? wanted : most;
}

static inline ptrdiff_t wong_chunks(ptrdiff_t n) { return (n + WONG_CHUNK - 1) / WONG_CHUNK; }

/* block: rows that are looked at ahead at most. */
static inline size_t wong_bytes(ptrdiff_t n, ptrdiff_t k, ptrdiff_t p, int weighted, ptrdiff_t block) {
    const size_t padded = (size_t)(transfer_packs(k) * TRANSFER_LANES);
    return (size_t)(wong_capacity(n, p, weighted) / TRANSFER_LANES + 1) * wong_rows_bytes(p, weighted) +
           padded * ((size_t)p + 3) * sizeof(double) + (size_t)(wong_chunks(n) + 1) * sizeof(ptrdiff_t) +
           (size_t)k * (5 * sizeof(double) + 2 * sizeof(ptrdiff_t) + sizeof(int32_t)) +
           (size_t)block * sizeof(int32_t);
}

static inline void wong_place(wong_state *wong, ptrdiff_t n, ptrdiff_t k, ptrdiff_t p, int weighted, void *memory) {
    const ptrdiff_t padded = transfer_packs(k) * TRANSFER_LANES;
    wong->capacity = wong_capacity(n, p, weighted);
    wong->rows_bytes = wong_rows_bytes(p, weighted);
    wong->table = (double *)memory;
    wong->limit = wong->table + (p + 1) * padded;
    wong->names = wong->limit + padded;
    wong->list = (char *)(wong->names + padded);
    wong->began = (double *)(wong->list + (size_t)(wong->capacity / TRANSFER_LANES + 1) * wong->rows_bytes);
    wong->advance = wong->began + k;
    wong->reach = wong->advance + k;
    wong->join = wong->reach + k;
    wong->leave = wong->join + k;
    wong->counts = (ptrdiff_t *)(wong->leave + k);
    wong->updated = wong->counts + wong_chunks(n) + 1;
    wong->live_until = wong->updated + k;
    wong->was_quick = (int32_t *)(wong->live_until + k);
    wong->were = wong->was_quick + k;
}

static inline void wong_begin(const transfers *t, wong_state *wong) {
    const ptrdiff_t padded = t->packs * TRANSFER_LANES;
    wong->looked_from = -1;
    for (ptrdiff_t v = 0; v < (t->p + 1) * padded; v++) wong->table[v] = 0;
    for (ptrdiff_t j = 0; j < padded; j++) {
        wong->names[j] = (double)j;
        wong->limit[j] = 0;
    }
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
    wong->transfers = t->points.n_rows;
    wong->least_gain = 1;
    wong->last = 0;
}

/* The bound on leaving for the second cluster, from the squared distances to that and to the own. */
FC_INLINE void wong_bound_pair(transfers *t, ptrdiff_t at, double w, double left, double joined) {
    const ptrdiff_t own = t->labels[at], second = t->seconds[at];
    const double gain = transfer_most_gain(w * t->shares[own]), loss = transfer_least_loss(w * t->shares[second]);
    t->pair[at] =
        transfer_gap(gain, sqrt(left), loss, sqrt(joined)) + (t->since[own] + t->since[second]);
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

/* Which of rows [start, start + count) have no bound: a bit for each. */
FC_INLINE uint32_t wong_open(const transfers *t, ptrdiff_t start, ptrdiff_t count) {
    const double clock = t->clocks[t->k];
    uint32_t open = 0;
    for (ptrdiff_t l = 0; l < count; l++) open |= (uint32_t)!(t->stay[start + l] > clock) << l;
    return open;
}

/* What is known about the rows of a block. */
typedef struct {
    double far[TRANSFER_LANES];   /* squared distance of the nearest center but the own */
    double order[TRANSFER_LANES]; /* positive if that cluster is certainly the cheapest to join */
    double stay[TRANSFER_LANES];  /* the bound if it is the row's second */
} wong_block;

/* Those of the rows from `start` on that `lanes` names, from scratch->block_squared; sets the bounds of rows whose
 * second is the cheapest cluster to join. */
static inline void wong_block_bounds(transfers *t, ptrdiff_t start, uint32_t lanes, transfer_scratch *scratch,
                                     wong_block *block) {
    const ptrdiff_t padded = t->packs * TRANSFER_LANES, rows = t->points.n_rows - start;
    double first[TRANSFER_LANES], second[TRANSFER_LANES], third[TRANSFER_LANES], w[TRANSFER_LANES];
    double left[TRANSFER_LANES], joined[TRANSFER_LANES], pair[TRANSFER_LANES], since[TRANSFER_LANES];
    double own_share[TRANSFER_LANES], second_share[TRANSFER_LANES];
    int32_t own[TRANSFER_LANES], to[TRANSFER_LANES];
    const double share = t->shares[t->k], since_all = t->since[t->k];
    transfer_block_least(t, scratch, first, second, third);
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l++) w[l] = 1;
    if (rows >= TRANSFER_LANES) {
        memcpy(own, t->labels + start, sizeof own);
        memcpy(to, t->seconds + start, sizeof to);
        if (t->weights) memcpy(w, t->weights + start, sizeof w);
    } else {
        for (ptrdiff_t l = 0; l < TRANSFER_LANES; l++) {
            const ptrdiff_t at = l < rows ? start + l : start;
            own[l] = t->labels[at];
            to[l] = t->seconds[at];
            w[l] = transfer_weight(t, at);
        }
    }
    transfer_block_pick(scratch, own, left);
    transfer_block_pick(scratch, to, joined);
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l += VD_LANES) {
        vd_store(own_share + l, vd_lookup(t->shares, padded, own + l));
        vd_store(second_share + l, vd_lookup(t->shares, padded, to + l));
        vd_store(since + l, vd_add(vd_lookup(t->since, padded, own + l), vd_lookup(t->since, padded, to + l)));
    }
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l++) {
        const double far = left[l] == first[l] ? second[l] : first[l];
        const double rest = left[l] <= second[l] ? third[l] : second[l];
        const double gain = transfer_most_gain(w[l] * own_share[l]), loss = transfer_least_loss(w[l] * share);
        const double gap = transfer_gap(gain, sqrt(left[l]), loss, sqrt(far));
        const double order = transfer_gap(1.0, sqrt(far), loss, sqrt(rest));
        block->far[l] = far;
        block->order[l] = rest < INFINITY ? order : INFINITY;
        block->stay[l] = 0.5 * (gap < block->order[l] ? gap : block->order[l]) + since_all;
        const double second_loss = transfer_least_loss(w[l] * second_share[l]);
        pair[l] = transfer_gap(gain, sqrt(left[l]), second_loss, sqrt(joined[l])) + since[l];
    }
    uint32_t same = 0;
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l++) same |= (uint32_t)(joined[l] == block->far[l]) << l;
    if ((lanes & same) == (1u << TRANSFER_LANES) - 1) {
        memcpy(t->stay + start, block->stay, sizeof block->stay);
        memcpy(t->pair + start, pair, sizeof pair);
        return;
    }
    for (lanes &= same; lanes; lanes &= lanes - 1) {
        const int l = __builtin_ctz(lanes);
        t->stay[start + l] = block->stay[l];
        t->pair[start + l] = pair[l];
    }
}

/* The center that is `far` from row l of a block, and is not its own. */
FC_INLINE ptrdiff_t wong_nearest_other(const transfer_scratch *scratch, ptrdiff_t own, int l, double far) {
    const double *squared = scratch->block_squared + l;
    ptrdiff_t j = 0;
    while (squared[j * TRANSFER_LANES] != far || j == own) j++;
    return j;
}

/* Rows [start, stop) are to be looked at ahead: keep their seconds. */
static inline void wong_begin_look(const transfers *t, wong_state *wong, ptrdiff_t start, ptrdiff_t stop) {
    memcpy(wong->were, t->seconds + start, (size_t)(stop - start) * sizeof(int32_t));
    wong->looked_from = start;
}

/* The bounds of these rows have not held until their turn: what they were given ahead is void. */
FC_INLINE void wong_take_back(const transfers *t, const wong_state *wong, ptrdiff_t start, uint32_t lanes) {
    if (wong->looked_from < 0) return;
    for (; lanes; lanes &= lanes - 1) {
        const ptrdiff_t at = start + __builtin_ctz(lanes);
        t->seconds[at] = wong->were[at - wong->looked_from];
    }
}

/* A row whose second will be another, if nothing changes before its turn. It will if the bound holds until then: of
 * that, too, that the row is free to go is part, and clusters that are live now will be so then. */
static inline void wong_look_for_second(transfers *t, const wong_state *wong, ptrdiff_t start, int l,
                                        const wong_block *block, transfer_scratch *scratch) {
    const ptrdiff_t at = start + l, own = t->labels[at], step = at + 1;
    if (!(block->order[l] > 0 && block->stay[l] > t->clocks[t->k])) return;
    const ptrdiff_t to = wong_nearest_other(scratch, own, l, block->far[l]);
    if (step >= wong->live_until[own] && step >= wong->live_until[to]) return;
    t->seconds[at] = (int32_t)to;
    t->stay[at] = block->stay[l];
    wong_bound_pair(t, at, transfer_weight(t, at), scratch->block_squared[own * TRANSFER_LANES + l], block->far[l]);
}

/* Bounds, and second choices, of those of rows [start, stop) that have none; they count only if the bounds hold until
 * a row has its turn. start: a multiple of TRANSFER_LANES. */
static inline void wong_look(transfers *t, const wong_state *wong, ptrdiff_t start, ptrdiff_t stop,
                             transfer_scratch *scratch) {
    const double clock = t->clocks[t->k];
    wong_block block;
    for (ptrdiff_t at = transfer_next(t->stay, start, stop, clock); at < stop;
         at = transfer_next(t->stay, at + TRANSFER_LANES, stop, clock)) {
        at -= at % TRANSFER_LANES;
        const ptrdiff_t count = stop - at < TRANSFER_LANES ? stop - at : TRANSFER_LANES;
        transfer_columns(t, at, count, scratch->columns);
        transfer_block_distances(t, scratch);
        wong_block_bounds(t, at, wong_open(t, at, count), scratch, &block);
        for (uint32_t open = wong_open(t, at, count); open; open &= open - 1) {
            wong_look_for_second(t, wong, at, __builtin_ctz(open), &block, scratch);
        }
    }
}

/* An optimal transfer of row start + l, if there is one. Returns whether there was. */
static inline int wong_transfer(transfers *t, wong_state *wong, ptrdiff_t start, int l, const wong_block *block,
                                transfer_scratch *scratch) {
    const ptrdiff_t at = start + l, own = t->labels[at], step = at + 1;
    const double w = transfer_weight(t, at), *squared = scratch->block_squared + l;
    const double left = squared[own * TRANSFER_LANES];
    ptrdiff_t to = t->seconds[at];
    double cost;
    int certain = block->order[l] > 0;
    if (certain && squared[to * TRANSFER_LANES] != block->far[l]) {
        to = wong_nearest_other(scratch, own, l, block->far[l]);
        certain = step < wong->live_until[own] || step < wong->live_until[to];
    }
    if (certain) {
        cost = block->far[l] * transfer_loss(t->sizes[to], w);
    } else {
        for (ptrdiff_t j = 0; j < t->packs * TRANSFER_LANES; j++) {
            scratch->squared[j] = j < t->k ? squared[j * TRANSFER_LANES] : INFINITY;
        }
        to = wong_cheapest(t, wong, at, w, scratch, &cost);
    }
    t->seconds[at] = (int32_t)to;
    if (!(cost < left * transfer_gain(t->sizes[own], w))) {
        t->stay[at] = certain ? block->stay[l] : -INFINITY;
        wong_bound_pair(t, at, w, left, squared[to * TRANSFER_LANES]);
        return 0;
    }
    transfer_move(t, at, transfer_row(t, at, scratch), w, own, to, scratch);
    t->seconds[at] = (int32_t)own;
    wong->updated[own] = wong->updated[to] = step;
    wong->live_until[own] = wong->live_until[to] = t->points.n_rows + step;
    return 1;
}

/* Optimal transfers of rows [start, stop); returns how many. start: a multiple of TRANSFER_LANES. */
static inline ptrdiff_t wong_optimal(transfers *t, wong_state *wong, ptrdiff_t start, ptrdiff_t stop,
                                     transfer_scratch *scratch) {
    ptrdiff_t last = start - 1 - wong->quiet, moves = 0;
    wong_block block;
    for (ptrdiff_t at = transfer_next(t->stay, start, stop, t->clocks[t->k]); at < stop;
         at = transfer_next(t->stay, at + TRANSFER_LANES, stop, t->clocks[t->k])) {
        at -= at % TRANSFER_LANES;
        const ptrdiff_t count = stop - at < TRANSFER_LANES ? stop - at : TRANSFER_LANES;
        transfer_columns(t, at, count, scratch->columns);
        transfer_block_distances(t, scratch);
        uint32_t open = wong_open(t, at, count);
        wong_take_back(t, wong, at, open);
        wong_block_bounds(t, at, open, scratch, &block);
        open = wong_open(t, at, count);
        while (open) {
            const int l = __builtin_ctz(open);
            const ptrdiff_t own = t->labels[at + l];
            open &= open - 1;
            if (!transfer_free(t, own, transfer_weight(t, at + l))) continue;
            if (!wong_transfer(t, wong, at, l, &block, scratch)) continue;
            last = at + l;
            moves++;
            /* What has moved may concern the rows behind. */
            open = wong_open(t, at, count) & (~1u << l);
            if (!open) continue;
            wong_take_back(t, wong, at, open);
            transfer_block_again(t, own, scratch);
            transfer_block_again(t, t->labels[at + l], scratch);
            wong_block_bounds(t, at, open, scratch, &block);
            open &= wong_open(t, at, count);
        }
    }
    wong->quiet = stop - 1 - last;
    wong->looked_from = -1;
    return moves;
}

FC_INLINE wong_rows *wong_rows_at(const wong_state *wong, ptrdiff_t entry) {
    return (wong_rows *)(wong->list + (size_t)(entry / TRANSFER_LANES) * wong->rows_bytes);
}

/* Which of the `count` rows from `at` on may leave for their second clusters before the clocks have passed their
 * limits? A bit for each. limits: padded. */
FC_INLINE uint32_t wong_near(const transfers *t, const double *limits, ptrdiff_t at, ptrdiff_t count) {
    const ptrdiff_t padded = t->packs * TRANSFER_LANES;
    uint32_t near = 0;
    if (count < TRANSFER_LANES) {
        for (ptrdiff_t l = 0; l < count; l++) {
            const double limit = limits[t->labels[at + l]] + limits[t->seconds[at + l]];
            near |= (uint32_t)!(t->pair[at + l] > limit) << l;
        }
        return near;
    }
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l += VD_LANES) {
        const vd pair = vd_load(t->pair + at + l);
        const vd limit = vd_add(vd_lookup(limits, padded, t->labels + at + l),
                                vd_lookup(limits, padded, t->seconds + at + l));
        /* What is not a number may always leave. */
        near |= ((vd_at_most(pair, limit) | ~vd_at_most(limit, pair)) & ((1u << VD_LANES) - 1)) << l;
    }
    return near;
}

/* New bounds of eight rows on leaving for their second clusters. p: t->p. */
FC_INLINE void wong_pairs_p(const transfers *t, const wong_state *wong, const double *columns, const int32_t *own,
                            const int32_t *second, const double *weights, ptrdiff_t p, double *pair) {
    const ptrdiff_t padded = t->packs * TRANSFER_LANES;
    double left[TRANSFER_LANES], joined[TRANSFER_LANES], gain[TRANSFER_LANES], loss[TRANSFER_LANES];
    double since[TRANSFER_LANES];
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l += VD_LANES) {
        const vd w = vd_load(weights + l);
        const double *table = wong->table;
        vd to_own = vd_set1(0), to_second = to_own;
        for (ptrdiff_t i = 0; i < p; i++, table += padded) {
            const vd x = vd_load(columns + i * TRANSFER_LANES + l);
            const vd a = vd_sub(x, vd_lookup(table, padded, own + l));
            const vd b = vd_sub(x, vd_lookup(table, padded, second + l));
            to_own = vd_add(to_own, vd_mul(a, a));
            to_second = vd_add(to_second, vd_mul(b, b));
        }
        vd_store(left + l, vd_sqrt(to_own));
        vd_store(joined + l, vd_sqrt(to_second));
        vd_store(gain + l, vd_mul(w, vd_lookup(t->shares, padded, own + l)));
        vd_store(loss + l, vd_mul(w, vd_lookup(t->shares, padded, second + l)));
        vd_store(since + l, vd_add(vd_lookup(t->since, padded, own + l), vd_lookup(t->since, padded, second + l)));
    }
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l++) {
        const double least_loss = transfer_least_loss(loss[l]);
        pair[l] = transfer_gap(transfer_most_gain(gain[l]), left[l], least_loss, joined[l]) + since[l];
    }
}

/* New bounds for eight rows, of which `count` matter; returns how many of those may still leave. */
static inline ptrdiff_t wong_refresh(transfers *t, const wong_state *wong, const ptrdiff_t *ats, ptrdiff_t count,
                                     transfer_scratch *scratch) {
    double weights[TRANSFER_LANES], pair[TRANSFER_LANES];
    int32_t own[TRANSFER_LANES], second[TRANSFER_LANES];
    ptrdiff_t all[TRANSFER_LANES], near = 0;
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l++) {
        all[l] = ats[l < count ? l : 0];
        weights[l] = transfer_weight(t, all[l]);
    }
    transfer_gather_labels(t->labels, all, own);
    transfer_gather_labels(t->seconds, all, second);
    transfer_gather(t, all, scratch->columns, scratch);
    if (t->p == 3) wong_pairs_p(t, wong, scratch->columns, own, second, weights, 3, pair);
    else wong_pairs_p(t, wong, scratch->columns, own, second, weights, t->p, pair);
    for (ptrdiff_t l = 0; l < count; l++) {
        t->pair[all[l]] = pair[l];
        near += !(pair[l] > wong->limit[own[l]] + wong->limit[second[l]]);
    }
    return near;
}

/* The list's first step, for all chunks from row `first` on: how many rows of a chunk belong on the list? Their bounds,
 * and those of rows that do not as it turns out, are new. */
static inline void wong_count(transfers *t, const wong_state *wong, ptrdiff_t chunk, transfer_scratch *scratch) {
    const ptrdiff_t begin = chunk * WONG_CHUNK, end = begin + WONG_CHUNK, n = t->points.n_rows;
    const ptrdiff_t start = begin > wong->first ? begin : wong->first, stop = end < n ? end : n;
    ptrdiff_t ats[2 * TRANSFER_LANES], waiting = 0, count = 0;
    for (ptrdiff_t at = start; at < stop; at += TRANSFER_LANES) {
        for (uint32_t near = wong_near(t, wong->limit, at, stop - at); near; near &= near - 1) {
            ats[waiting++] = at + __builtin_ctz(near);
        }
        if (waiting < TRANSFER_LANES) continue;
        count += wong_refresh(t, wong, ats, TRANSFER_LANES, scratch);
        waiting -= TRANSFER_LANES;
        memcpy(ats, ats + TRANSFER_LANES, TRANSFER_LANES * sizeof(ptrdiff_t));
    }
    if (waiting > 0) count += wong_refresh(t, wong, ats, waiting, scratch);
    wong->counts[chunk] = count;
}

FC_INLINE ptrdiff_t wong_whole(ptrdiff_t count) {
    return (count + TRANSFER_LANES - 1) / TRANSFER_LANES * TRANSFER_LANES;
}

/* The second step: counts become places, and the list ends before the chunk it has no room for. Returns whether a list
 * is worth its making, which is more work than to go through all rows once. */
static inline int wong_lay_out(const transfers *t, wong_state *wong) {
    const ptrdiff_t n = t->points.n_rows, chunks = wong_chunks(n);
    ptrdiff_t place = 0, chunk = wong->first / WONG_CHUNK;
    ptrdiff_t rows = 0;
    for (ptrdiff_t c = chunk; c < chunks; c++) rows += wong->counts[c];
    if ((double)rows > WONG_DENSE * (double)(n - wong->first)) return 0;
    for (; chunk < chunks && place + wong_whole(wong->counts[chunk]) <= wong->capacity; chunk++) {
        /* Whole blocks, so that each is put by one thread. */
        const ptrdiff_t count = wong_whole(wong->counts[chunk]);
        if ((chunk + 1) * WONG_CHUNK - wong->first > WONG_SPAN) break;
        wong->counts[chunk] = place;
        place += count;
    }
    wong->counts[chunk] = wong->n_listed = place;
    wong->last = chunk < chunks ? chunk * WONG_CHUNK : n;
    wong->visited = 0;
    return 1;
}

/* Eight rows, of which `count` matter, to a block of the list. */
static inline void wong_put(const transfers *t, const wong_state *wong, wong_rows *rows, const ptrdiff_t *ats,
                            ptrdiff_t count, transfer_scratch *scratch) {
    ptrdiff_t all[TRANSFER_LANES];
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l++) {
        all[l] = ats[l < count ? l : 0];
        rows->row[l] = l < count ? (uint32_t)(all[l] - wong->first) : WONG_NO_ROW;
        if (t->weights) rows->columns[t->p * TRANSFER_LANES + l] = t->weights[all[l]];
    }
    transfer_gather_labels(t->labels, all, rows->own);
    transfer_gather_labels(t->seconds, all, rows->second);
    transfer_gather(t, all, rows->columns, scratch);
}

/* Rows [start, start + count) to a block. */
FC_INLINE void wong_put_block(const transfers *t, const wong_state *wong, wong_rows *rows, ptrdiff_t start,
                              ptrdiff_t count, transfer_scratch *scratch) {
    if (count < TRANSFER_LANES) {
        ptrdiff_t ats[TRANSFER_LANES];
        for (ptrdiff_t l = 0; l < count; l++) ats[l] = start + l;
        wong_put(t, wong, rows, ats, count, scratch);
        return;
    }
    for (uint32_t l = 0; l < TRANSFER_LANES; l++) rows->row[l] = (uint32_t)(start - wong->first) + l;
    *(transfer_labels *)rows->own = *(const transfer_labels *)(t->labels + start);
    *(transfer_labels *)rows->second = *(const transfer_labels *)(t->seconds + start);
    transfer_columns(t, start, count, rows->columns);
    if (t->weights) {
        memcpy(rows->columns + t->p * TRANSFER_LANES, t->weights + start, TRANSFER_LANES * sizeof(double));
    }
}

/* The third step, for all chunks with places: put rows there. */
static inline void wong_fill(const transfers *t, const wong_state *wong, ptrdiff_t chunk, transfer_scratch *scratch) {
    const ptrdiff_t begin = chunk * WONG_CHUNK, end = begin + WONG_CHUNK, n = t->points.n_rows;
    const ptrdiff_t start = begin > wong->first ? begin : wong->first, stop = end < n ? end : n;
    ptrdiff_t ats[2 * TRANSFER_LANES], waiting = 0, place = wong->counts[chunk];
    for (ptrdiff_t at = start; at < stop; at += TRANSFER_LANES) {
        for (uint32_t near = wong_near(t, wong->limit, at, stop - at); near; near &= near - 1) {
            ats[waiting++] = at + __builtin_ctz(near);
        }
        if (waiting < TRANSFER_LANES) continue;
        wong_put(t, wong, wong_rows_at(wong, place), ats, TRANSFER_LANES, scratch);
        place += TRANSFER_LANES;
        waiting -= TRANSFER_LANES;
        memcpy(ats, ats + TRANSFER_LANES, TRANSFER_LANES * sizeof(ptrdiff_t));
    }
    if (waiting > 0) wong_put(t, wong, wong_rows_at(wong, place), ats, waiting, scratch);
}

/* Cluster j as it is now, to the table: by whole vectors, as they are soon read again. */
FC_INLINE void wong_tabulate(const transfers *t, wong_state *wong, ptrdiff_t j) {
    const ptrdiff_t padded = t->packs * TRANSFER_LANES, from = j - j % VD_LANES;
    const double *center = transfer_center(t, t->centers, j);
    double *table = wong->table + from;
    const vd names = vd_load(wong->names + from), name = vd_set1((double)j);
    for (ptrdiff_t i = 0; i < t->p; i++, table += padded) {
        vd_store(table, vd_if_equal(names, name, vd_set1(center[i * TRANSFER_LANES]), vd_load(table)));
    }
    vd_store(table, vd_if_equal(names, name, vd_set1(t->sizes[j]), vd_load(table)));
}

/* Which of eight listed rows may gain by going to their second cluster? p: t->p. */
FC_INLINE uint32_t wong_gainers_p(const transfers *t, const wong_state *wong, const wong_rows *rows, ptrdiff_t p) {
    const ptrdiff_t padded = t->packs * TRANSFER_LANES;
    uint32_t gainers = 0;
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l += VD_LANES) {
        const double *table = wong->table;
        vd left = vd_set1(0), joined = left;
        for (ptrdiff_t i = 0; i < p; i++, table += padded) {
            const vd x = vd_load(rows->columns + i * TRANSFER_LANES + l);
            const vd a = vd_sub(x, vd_lookup(table, padded, rows->own + l));
            const vd b = vd_sub(x, vd_lookup(table, padded, rows->second + l));
            left = vd_add(left, vd_mul(a, a));
            joined = vd_add(joined, vd_mul(b, b));
        }
        const vd w = t->weights ? vd_load(rows->columns + p * TRANSFER_LANES + l) : vd_set1(1);
        const vd n1 = vd_lookup(table, padded, rows->own + l), n2 = vd_lookup(table, padded, rows->second + l);
        left = vd_mul(vd_mul(left, n1), vd_mul(vd_add(n2, w), vd_set1(WONG_CLOSE)));
        joined = vd_mul(vd_mul(joined, n2), vd_sub(n1, w));
        gainers |= vd_at_most(joined, left) << l;
    }
    return gainers;
}

FC_INLINE uint32_t wong_gainers(const transfers *t, const wong_state *wong, const wong_rows *rows) {
    return t->p == 3 ? wong_gainers_p(t, wong, rows, 3) : wong_gainers_p(t, wong, rows, t->p);
}

/* Would a point gain by going from a cluster of size n1 to one of size n2, from the squared distances? As AS 136 has
 * it, but without divisions where that is certain. */
FC_INLINE int wong_gains(double left, double n1, double joined, double n2, double w, double least_gain) {
    const double a = left * n1 * (n2 + w), b = joined * least_gain * n2 * (n1 - w);
    if (b > a * WONG_CLOSE) return 0;
    if (b * WONG_CLOSE < a && a < INFINITY) return 1;
    return joined * least_gain < left * transfer_gain(n1, w) / transfer_loss(n2, w);
}

/* A quick transfer of row l, if it gains by one. Returns whether it does; `rows` are left as they are. bounded: whether
 * bounds are kept up. */
FC_INLINE int wong_quick_transfer(transfers *t, wong_state *wong, const wong_rows *rows, int l, ptrdiff_t before,
                                  int bounded, transfer_scratch *scratch) {
    const ptrdiff_t at = wong->first + rows->row[l], own = rows->own[l], to = rows->second[l];
    double *row = scratch->row;
    const ptrdiff_t step = before + at + 1;
    if (step >= wong->updated[own] && step >= wong->updated[to]) return 0;
    /* Its place in the data is likely far from what was read last. */
    __builtin_prefetch(t->stay + at, 1);
    __builtin_prefetch(t->pair + at, 1);
    __builtin_prefetch(t->labels + at, 1);
    __builtin_prefetch(t->seconds + at, 1);
    for (ptrdiff_t i = 0; i < t->p; i++) row[i] = rows->columns[i * TRANSFER_LANES + l];
    const double w = t->weights ? rows->columns[t->p * TRANSFER_LANES + l] : 1;
    const double left = transfer_distance(t, row, own), joined = transfer_distance(t, row, to);
    if (!(w > 0) || !transfer_free(t, own, w)) return 0;
    if (!wong_gains(left, t->sizes[own], joined, t->sizes[to], w, wong->least_gain)) return 0;
    if (!bounded) transfer_shift(t, at, row, w, own, to, scratch);
    else if (transfer_move(t, at, row, w, own, to, scratch)) wong->limit[own] = -INFINITY;
    t->seconds[at] = (int32_t)own;
    wong_tabulate(t, wong, own);
    wong_tabulate(t, wong, to);
    wong->updated[own] = wong->updated[to] = step + t->points.n_rows;
    wong->was_quick[own] = wong->was_quick[to] = 1;
    wong->transfers++;
    wong->quiet = 0;
    wong->idle = -1 - at;
    return 1;
}

/* Quick transfers of the listed rows from row wong->at on, in order, while the list is good. */
static inline void wong_quick(transfers *t, wong_state *wong, ptrdiff_t before, transfer_scratch *scratch) {
    for (ptrdiff_t place = 0; place < wong->n_listed; place += TRANSFER_LANES) {
        wong_rows *rows = wong_rows_at(wong, place);
        uint32_t behind = ~0u;
        for (uint32_t gainers = wong_gainers(t, wong, rows); gainers & behind;) {
            const int l = __builtin_ctz(gainers & behind);
            behind = ~1u << l;
            if (rows->row[l] == WONG_NO_ROW || !wong_quick_transfer(t, wong, rows, l, before, 1, scratch)) continue;
            const int32_t own = rows->own[l], to = rows->second[l];
            /* First read, then write: parts of a vector cannot be stored and soon be read as a whole. */
            gainers = wong_gainers(t, wong, rows);
            rows->own[l] = to;
            rows->second[l] = own;
            if (!(t->clocks[own] <= wong->limit[own]) || !(t->clocks[to] <= wong->limit[to])) {
                wong->at = wong->first + rows->row[l] + 1;
                wong->visited += place;
                return;
            }
        }
    }
    wong->visited += wong->n_listed;
    wong->at = wong->last;
}

/* Quick transfers of rows [start, stop), in order, without a list. Where many rows move, all are looked at, and what
 * concerns bounds waits until the end. Returns how many moved. */
static inline ptrdiff_t wong_quick_rows(transfers *t, wong_state *wong, ptrdiff_t start, ptrdiff_t stop,
                                        ptrdiff_t before, int many, transfer_scratch *scratch) {
    const ptrdiff_t transfers_before = wong->transfers;
    wong_rows *rows = wong_rows_at(wong, wong->capacity);
    wong->first = start;
    wong->last = 0;
    for (ptrdiff_t at = start; at < stop; at += TRANSFER_LANES) {
        const ptrdiff_t count = stop - at < TRANSFER_LANES ? stop - at : TRANSFER_LANES;
        uint32_t turns = (1u << count) - 1;
        if (!many && !wong_near(t, t->clocks, at, count)) continue;
        transfer_prefetch(t, at + TRANSFER_AHEAD);
        wong_put_block(t, wong, rows, at, count, scratch);
        for (uint32_t gainers = wong_gainers(t, wong, rows); gainers & turns;) {
            const int l = __builtin_ctz(gainers & turns);
            turns &= ~1u << l;
            if (many ? wong_quick_transfer(t, wong, rows, l, before, 0, scratch)
                     : wong_quick_transfer(t, wong, rows, l, before, 1, scratch)) {
                gainers = wong_gainers(t, wong, rows);
            }
        }
    }
    if (many) transfer_catch_up(t);
    wong->at = stop;
    return wong->transfers - transfers_before;
}

/* Is the list, from the first row on, good for another pass, and not too long? */
static inline int wong_listed(const transfers *t, const wong_state *wong) {
    double reach = 0, advance = 0;
    if (wong->first > 0 || wong->last == 0) return 0;
    for (ptrdiff_t j = 0; j < t->k; j++) {
        if (!(t->clocks[j] + wong->advance[j] <= wong->limit[j])) return 0;
        reach += wong->reach[j];
        advance += wong->advance[j];
    }
    return wong->visited < WONG_VISITS * t->points.n_rows || WONG_SHORTER * WONG_REACH * advance > reach;
}

static inline void wong_set_limits(const transfers *t, wong_state *wong, ptrdiff_t first) {
    wong->first = first;
    for (ptrdiff_t j = 0; j < t->k; j++) {
        wong->limit[j] = t->clocks[j] + wong->reach[j] * (1 - TRANSFER_MARGIN);
    }
}

/* How a pass of quick transfers goes on: with the list; with another one; without. */
enum { WONG_LISTED, WONG_LIST, WONG_ROWS };

/* Begin a pass of quick transfers over the data. */
static inline int wong_begin_pass(transfers *t, wong_state *wong) {
    double most = 0;
    transfer_new_epoch(t);
    memcpy(wong->began, t->clocks, (size_t)t->k * sizeof(double));
    for (ptrdiff_t j = 0; j < t->k; j++) wong_tabulate(t, wong, j);
    wong->at = 0;
    const ptrdiff_t transfers_before = wong->transfers;
    wong->transfers = 0;
    if (wong_listed(t, wong)) return WONG_LISTED;
    if (transfers_before > t->points.n_rows / WONG_MANY) return WONG_ROWS;
    for (ptrdiff_t j = 0; j < t->k; j++) most = wong->advance[j] > most ? wong->advance[j] : most;
    for (ptrdiff_t j = 0; j < t->k; j++) wong->reach[j] = WONG_REACH * (wong->advance[j] + WONG_FLOOR * most);
    wong_set_limits(t, wong, 0);
    return WONG_LIST;
}

/* Go on with a pass for which the list was too short, or not good enough. */
static inline void wong_go_on(transfers *t, wong_state *wong) {
    for (ptrdiff_t j = 0; j < t->k; j++) {
        const double gone = t->clocks[j] - wong->began[j];
        if (t->clocks[j] <= wong->limit[j]) continue;
        wong->reach[j] = 2 * (wong->reach[j] > gone ? wong->reach[j] : gone);
    }
    wong_set_limits(t, wong, wong->at);
}

static inline void wong_end_pass(transfers *t, wong_state *wong) {
    wong->idle += t->points.n_rows;
    for (ptrdiff_t j = 0; j < t->k; j++) wong->advance[j] = t->clocks[j] - wong->began[j];
}

#endif
