/* Would centers drop out for balls of rows (balls.h)? Some rows are cut into balls, which are not kept, to find out. */
#ifndef FASTCLUSTER_EXT_TRIAL_H
#define FASTCLUSTER_EXT_TRIAL_H

#include "balls.h"

/* The i-th of a sample of rows, one of every `step`, at varying places: rows may repeat in some order of their own. */
static inline ptrdiff_t trial_row(ptrdiff_t i, ptrdiff_t step) {
    return i * step + (ptrdiff_t)((uint64_t)((uint32_t)i * 0x9E3779B1u) * (uint64_t)step >> 32);
}

/* Adds the sampled rows [start, stop) that have wanted labels to the `found` ones in `rows`, and returns how many these are
 * then. slots: the place of each label among the wanted ones, or -1. One more row than there are may be written. */
static inline ptrdiff_t trial_collect(const int32_t *labels, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t step,
                                      const int32_t *slots, uint32_t *rows, ptrdiff_t found) {
    for (ptrdiff_t i = start; i < stop; i++) {
        const ptrdiff_t at = trial_row(i, step);
        rows[found] = (uint32_t)at;
        found += slots[labels[at]] >= 0; /* without a branch: nobody can guess it */
    }
    return found;
}

/* The rows that were found, by slot: those of slot s are order[begins[s] ... begins[s + 1]]. Returns the most of a slot. */
static inline ptrdiff_t trial_sort(const int32_t *labels, const int32_t *slots, ptrdiff_t n_slots, const uint32_t *rows,
                                   ptrdiff_t found, ptrdiff_t *begins, uint32_t *order) {
    ptrdiff_t most = 0, at = 0;
    memset(begins, 0, (size_t)(n_slots + 1) * sizeof(ptrdiff_t));
    for (ptrdiff_t r = 0; r < found; r++) begins[slots[labels[rows[r]]] + 1]++;
    for (ptrdiff_t s = 0; s < n_slots; s++) {
        const ptrdiff_t size = begins[s + 1];
        most = size > most ? size : most;
        begins[s + 1] = at; /* where its next row goes; in the end, where the next slot begins */
        at += size;
    }
    for (ptrdiff_t r = 0; r < found; r++) order[begins[slots[labels[rows[r]]] + 1]++] = rows[r];
    return most;
}

/* One ball at a time, and what it takes to make it. Holds pointers to itself: it stays where it was placed. */
typedef struct {
    ball_set ball;
    ball_worker worker;
    ptrdiff_t starts[2], lanes[2];
    double radius;
    int32_t nearest;
    ball_member *members; /* 2 x rows that are cut at a time */
    int32_t *sizes;       /* as many as these rows */
} ball_trial;

static inline size_t ball_trial_bytes(ptrdiff_t k, ptrdiff_t p, ptrdiff_t most_rows) {
    return ball_worker_bytes(k, p) + sizeof(double) + (size_t)(sums_stride(p) + p) * sizeof(double) +
           (size_t)most_rows * (2 * sizeof(ball_member) + sizeof(int32_t)) + (size_t)k * sizeof(float);
}

/* memory: ball_trial_bytes(k, p, most_rows) bytes on a cache line. */
static inline void ball_trial_place(ball_trial *trial, const matrix *points, ptrdiff_t k, ptrdiff_t most_rows,
                                    char *memory) {
    const ptrdiff_t p = points->n_columns;
    ball_set *ball = &trial->ball;
    memset(trial, 0, sizeof(*trial));
    ball_worker_place(&trial->worker, k, p, memory);
    ball->k = k;
    ball->p = p;
    ball->points = *points;
    ball->dtype = points->dtype == MATRIX_FLOAT64 ? MATRIX_FLOAT64 : MATRIX_FLOAT32;
    ball->starts = trial->starts;
    ball->lanes = trial->lanes;
    ball->radii = &trial->radius;
    ball->nearest = &trial->nearest;
    const size_t worker_bytes = ball_worker_bytes(k, p);
    ball->sums = (double *)(memory + (worker_bytes + sizeof(double) - 1) / sizeof(double) * sizeof(double));
    ball->middles = ball->sums + sums_stride(p);
    trial->members = (ball_member *)(ball->middles + p);
    trial->sizes = (int32_t *)(trial->members + 2 * most_rows);
    ball->bounds = (float *)(trial->sizes + most_rows);
}

/* Cuts rows of one label into balls, which are brought into order; returns how many pairs of a row and a center these
 * leave. Balls of fewer rows count as if they had `least_rows`: they take as long to make and to keep. */
static inline double ball_trial_pairs(ball_trial *trial, const double *centers, uint32_t *order, ptrdiff_t count,
                                      ptrdiff_t least_rows) {
    ball_set *ball = &trial->ball;
    const ptrdiff_t found = ball_cut(&ball->points, order, count, trial->members, trial->worker.means, trial->sizes);
    double pairs = 0;
    ball->order = order;
    for (ptrdiff_t b = 0; b < found; b++) {
        const ptrdiff_t rows = trial->sizes[b];
        trial->starts[1] = rows;
        trial->lanes[1] = ball_lanes(rows);
        ball_fill(ball, 0, trial->worker.tile);
        const ptrdiff_t candidates = ball_candidates(ball, &trial->worker, centers, NULL, 0);
        pairs += (double)((rows < least_rows ? least_rows : rows) * candidates);
        ball->order += rows;
    }
    return pairs;
}

#endif
