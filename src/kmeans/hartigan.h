/* One point at a time: Hartigan's algorithm and MacQueen's, which differ in when a point moves.
 *
 * Hartigan: a point of weight w moves from cluster 1 to cluster 2 when n1 / (n1 - w) d1^2 > n2 / (n2 + w) d2^2, that is
 * when the inertia falls; among several, to the one where it falls most. MacQueen: when d2 < d1, to the nearest.
 */
#ifndef FASTCLUSTER_EXT_HARTIGAN_H
#define FASTCLUSTER_EXT_HARTIGAN_H

#include "transfer.h"

/* A move must lower the inertia by more than rounding, which could otherwise keep points going round. */
#define HARTIGAN_LEAST_GAIN 1e-12

/* The cluster that point `at` belongs in now; sets its bound. */
FC_INLINE ptrdiff_t hartigan_choice(transfers *t, ptrdiff_t at, const double *row, int macqueen,
                                  transfer_scratch *scratch) {
    const ptrdiff_t own = t->labels[at];
    const double w = transfer_weight(t, at);
    const double *squared = scratch->squared, *losses = macqueen ? squared : scratch->losses;
    double gain = 1, loss = 1;
    ptrdiff_t best = 0;
    transfer_distances(t, row, scratch);
    const double left = squared[own];
    if (!macqueen) {
        transfer_losses(t, w, scratch);
        gain = transfer_most_gain(w * t->shares[own]);
        loss = transfer_least_loss(w * t->shares[t->k]);
    }
    const double nearest = transfer_least(squared, t->packs, own, own);
    t->stay[at] =
        0.5 * transfer_gap(gain, sqrt(left), loss, sqrt(nearest)) + t->since[t->k];
    const double least = macqueen ? nearest : transfer_least(losses, t->packs, own, own);
    while (losses[best] > least || best == own) best++;
    if (macqueen) return least < left || (least == left && best < own) ? best : own;
    return least * (1 + HARTIGAN_LEAST_GAIN) < transfer_gain(t->sizes[own], w) * left ? best : own;
}

/* Bounds of those of rows [start, stop) that have none; decides nothing. */
static inline void hartigan_look(transfers *t, ptrdiff_t start, ptrdiff_t stop, int macqueen,
                                 transfer_scratch *scratch) {
    const double clock = t->clocks[t->k];
    for (ptrdiff_t at = transfer_next(t->stay, start, stop, clock); at < stop;
         at = transfer_next(t->stay, at + 1, stop, clock)) {
        if (!transfer_free(t, t->labels[at], transfer_weight(t, at))) continue;
        hartigan_choice(t, at, transfer_row(t, at, scratch), macqueen, scratch);
    }
}

/* Every one of rows [start, stop) in turn moves to where it belongs. Returns how many moved. */
static inline ptrdiff_t hartigan_rows(transfers *t, ptrdiff_t start, ptrdiff_t stop, int macqueen,
                                      transfer_scratch *scratch) {
    ptrdiff_t moves = 0;
    for (ptrdiff_t at = transfer_next(t->stay, start, stop, t->clocks[t->k]); at < stop;
         at = transfer_next(t->stay, at + 1, stop, t->clocks[t->k])) {
        const ptrdiff_t own = t->labels[at];
        const double w = transfer_weight(t, at);
        if (!transfer_free(t, own, w)) continue;
        const double *row = transfer_row(t, at, scratch);
        const ptrdiff_t to = hartigan_choice(t, at, row, macqueen, scratch);
        if (to == own) continue;
        transfer_move(t, at, row, w, own, to, scratch);
        moves++;
    }
    return moves;
}

#endif
