/* Optimal transfers where many points move: no bounds, which would not hold, but every row decided at its turn.
 *
 * Rows come TRANSFER_LANES at a time. What joining each cluster costs is kept for all of them, as keys: the cost, whose
 * last bits are the cluster. The least key of a row is then both where it would go and, nearly, what it costs. A row is
 * decided by keys only where they leave no doubt, with a margin that exceeds what the last bits and rounding can do;
 * elsewhere as AS 136 does. When a row moves, the keys of two clusters change for the rows behind it: between two
 * transfers lies little more than a division.
 *
 * Only for points of unit weight while all clusters are live, so that the factors of costs and gains are the clusters'.
 */
#ifndef FASTCLUSTER_EXT_WONG_BUSY_H
#define FASTCLUSTER_EXT_WONG_BUSY_H

#include <float.h>
#include "hartigan_wong.h"

/* Costs closer than this, relative and absolute, are in doubt. Their last 8 bits are worth less than 6e-14. */
#define BUSY_TINY 1e-290
#define BUSY_MOST_CLUSTERS 256
#define BUSY_TAGS (BUSY_MOST_CLUSTERS - 1)

/* What is known of the rows of a block. */
typedef struct __attribute__((aligned(8 * TRANSFER_LANES))) {
    double own[TRANSFER_LANES];  /* their clusters */
    double gain[TRANSFER_LANES]; /* what leaving them wins; not a number if they may not leave */
    double least[TRANSFER_LANES]; /* the least key */
    double seconds[TRANSFER_LANES]; /* the key, at a row's turn, of its new second */
    uint32_t stays, goes;        /* rows that stay, or go, without doubt: a bit for each */
} busy_rows;

FC_INLINE double busy_tag(int64_t cluster) {
    double tag;
    memcpy(&tag, &cluster, sizeof tag);
    return tag;
}

FC_INLINE ptrdiff_t busy_cluster(double key) {
    int64_t bits;
    memcpy(&bits, &key, sizeof bits);
    return (ptrdiff_t)(bits & BUSY_TAGS);
}

/* Cluster j's factors, for points of weight 1. */
FC_INLINE void busy_set_factors(const transfers *t, wong_state *wong, ptrdiff_t j) {
    wong->join[j] = transfer_loss(t->sizes[j], 1);
    wong->leave[j] = transfer_free(t, j, 1) ? transfer_gain(t->sizes[j], 1) : NAN;
}

/* Are rows up to `stop` a case for this? */
static inline int busy_suits(const transfers *t, const wong_state *wong, ptrdiff_t stop) {
    if (t->weights || t->k > BUSY_MOST_CLUSTERS) return 0;
    for (ptrdiff_t j = 0; j < t->k; j++) {
        if (stop >= wong->live_until[j]) return 0;
    }
    return 1;
}

/* The key of cluster j, from squared distances. */
FC_INLINE vd busy_key(const wong_state *wong, ptrdiff_t j, vd squared) {
    const vd cost = vd_min(vd_mul(squared, vd_set1(wong->join[j])), vd_set1(DBL_MAX));
    return vd_or(vd_and(cost, vd_set1(busy_tag(~(int64_t)BUSY_TAGS))), vd_set1(busy_tag(j)));
}

/* The decisions that are without doubt: of rows from l on, of which the two least keys and the gains are given. */
FC_INLINE void busy_decide(busy_rows *rows, ptrdiff_t l, vd least, vd next, vd gain) {
    const vd tiny = vd_set1(BUSY_TINY), above = vd_add(vd_mul(least, vd_set1(WONG_CLOSE)), tiny);
    const vd below = vd_sub(vd_mul(least, vd_set1(2 - WONG_CLOSE)), tiny);
    const uint32_t alone = vd_at_most(above, next) & vd_at_most(above, vd_set1(DBL_MAX));
    vd_store(rows->gain + l, gain);
    vd_store(rows->least + l, least);
    rows->stays |= (alone & vd_at_most(gain, below)) << l;
    rows->goes |= (alone & vd_at_most(above, gain)) << l;
}

/* Squared distances become keys, gains are those of the own clusters: of all of a block's rows, whose labels are given.
 */
FC_INLINE void busy_begin(const transfers *t, const wong_state *wong, const int32_t *labels, busy_rows *rows,
                          transfer_scratch *scratch) {
    rows->stays = rows->goes = 0;
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l += VD_LANES) {
        double *keys = scratch->block_squared + l;
        const vd own = vd_load_i32(labels + l);
        vd least = vd_set1(INFINITY), next = least, gain = least;
        vd_store(rows->own + l, own);
        for (ptrdiff_t j = 0; j < t->k; j++, keys += TRANSFER_LANES) {
            const vd label = vd_set1(wong->names[j]), squared = vd_load(keys);
            const vd key = vd_if_equal(own, label, vd_set1(INFINITY), busy_key(wong, j, squared));
            gain = vd_if_equal(own, label, vd_mul(squared, vd_set1(wong->leave[j])), gain);
            vd_store(keys, key);
            next = vd_min(next, vd_max(least, key));
            least = vd_min(least, key);
        }
        busy_decide(rows, l, least, next, gain);
    }
}

/* The same again for a cluster that has changed, except for decisions. */
FC_INLINE void busy_again(const transfers *t, const wong_state *wong, ptrdiff_t j, busy_rows *rows,
                          transfer_scratch *scratch) {
    transfer_block_again(t, j, scratch);
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l += VD_LANES) {
        double *keys = scratch->block_squared + j * TRANSFER_LANES + l;
        const vd squared = vd_load(keys), own = vd_load(rows->own + l), label = vd_set1(wong->names[j]);
        const vd gain = vd_mul(squared, vd_set1(wong->leave[j]));
        vd_store(rows->gain + l, vd_if_equal(own, label, gain, vd_load(rows->gain + l)));
        vd_store(keys, vd_if_equal(own, label, vd_set1(INFINITY), busy_key(wong, j, squared)));
    }
}

/* All decisions, again. */
FC_INLINE void busy_decide_again(const transfers *t, busy_rows *rows, const transfer_scratch *scratch) {
    rows->stays = rows->goes = 0;
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l += VD_LANES) {
        const double *keys = scratch->block_squared + l;
        vd least = vd_set1(INFINITY), next = least;
        for (ptrdiff_t j = 0; j < t->k; j++, keys += TRANSFER_LANES) {
            const vd key = vd_load(keys);
            next = vd_min(next, vd_max(least, key));
            least = vd_min(least, key);
        }
        busy_decide(rows, l, least, next, vd_load(rows->gain + l));
    }
}

/* Where a row that is in doubt goes, as AS 136 has it: its own cluster if it stays. Sets its second. */
static inline ptrdiff_t busy_choice(const transfers *t, const wong_state *wong, ptrdiff_t at,
                                    transfer_scratch *scratch) {
    const ptrdiff_t own = t->labels[at];
    double cost;
    if (!transfer_free(t, own, 1)) return own;
    transfer_distances(t, transfer_row(t, at, scratch), scratch);
    const ptrdiff_t to = wong_cheapest(t, wong, at, 1, scratch, &cost);
    const double left = scratch->squared[own];
    t->seconds[at] = (int32_t)to;
    return cost < left * transfer_gain(t->sizes[own], 1) ? to : own;
}

/* Row l of a block goes from one cluster to another. */
FC_INLINE void busy_move(transfers *t, wong_state *wong, ptrdiff_t at, int l, ptrdiff_t from, ptrdiff_t to,
                         transfer_scratch *scratch) {
    for (ptrdiff_t i = 0; i < t->p; i++) scratch->row[i] = scratch->columns[i * TRANSFER_LANES + l];
    transfer_shift(t, at, scratch->row, 1, from, to, scratch);
    busy_set_factors(t, wong, from);
    busy_set_factors(t, wong, to);
    wong->updated[from] = wong->updated[to] = at + 1;
    wong->live_until[from] = wong->live_until[to] = t->points.n_rows + at + 1;
}

/* Optimal transfers of TRANSFER_LANES rows; returns how many, and sets *last to the row that moved last, if one did. */
static inline ptrdiff_t busy_block(transfers *t, wong_state *wong, ptrdiff_t start, transfer_scratch *scratch,
                                   ptrdiff_t *last) {
    busy_rows rows;
    ptrdiff_t moves = 0;
    transfer_prefetch(t, start + TRANSFER_AHEAD);
    transfer_columns(t, start, TRANSFER_LANES, scratch->columns);
    transfer_block_distances(t, scratch);
    busy_begin(t, wong, t->labels + start, &rows, scratch);
    memcpy(rows.seconds, rows.least, sizeof rows.seconds);
    uint32_t turns = (1u << TRANSFER_LANES) - 1;
    while (turns & ~rows.stays) {
        const int l = __builtin_ctz(turns & ~rows.stays);
        const ptrdiff_t at = start + l, own = t->labels[at];
        ptrdiff_t to;
        turns &= ~1u << l;
        if (rows.goes >> l & 1) {
            to = busy_cluster(rows.least[l]);
        } else {
            to = busy_choice(t, wong, at, scratch);
            rows.seconds[l] = busy_tag(t->seconds[at]);
        }
        if (to == own) continue;
        busy_move(t, wong, at, l, own, to, scratch);
        rows.seconds[l] = busy_tag(own);
        *last = at;
        moves++;
        if (!turns) break;
        busy_again(t, wong, own, &rows, scratch);
        busy_again(t, wong, to, &rows, scratch);
        busy_decide_again(t, &rows, scratch);
        for (int behind = l + 1; behind < TRANSFER_LANES; behind++) rows.seconds[behind] = rows.least[behind];
    }
    for (ptrdiff_t l = 0; l < TRANSFER_LANES; l++) {
        t->seconds[start + l] = (int32_t)busy_cluster(rows.seconds[l]);
        t->stay[start + l] = t->pair[start + l] = -INFINITY;
    }
    return moves;
}

/* Optimal transfers of rows [start, stop), as `wong_optimal`. start: a multiple of TRANSFER_LANES. */
static inline ptrdiff_t busy_optimal(transfers *t, wong_state *wong, ptrdiff_t start, ptrdiff_t stop,
                                     transfer_scratch *scratch) {
    const ptrdiff_t whole = start + (stop - start) / TRANSFER_LANES * TRANSFER_LANES;
    ptrdiff_t last = start - 1 - wong->quiet, moves = 0;
    for (ptrdiff_t j = 0; j < t->k; j++) busy_set_factors(t, wong, j);
    for (ptrdiff_t at = start; at < whole; at += TRANSFER_LANES) moves += busy_block(t, wong, at, scratch, &last);
    wong->quiet = whole - 1 - last;
    transfer_catch_up(t);
    return whole < stop ? moves + wong_optimal(t, wong, whole, stop, scratch) : moves;
}

#endif
