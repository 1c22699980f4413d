/* Would centers drop out for balls of rows (balls.h)? Some rows are cut into balls, which are not kept, to find out. */
#ifndef FASTCLUSTER_EXT_TRIAL_H
#define FASTCLUSTER_EXT_TRIAL_H

#include "balls.h"

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
