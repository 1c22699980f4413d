/* One small problem from beginning to end by one thread: seeds, Lloyd's algorithm, labels and costs.
 *
 * Every step is that of the kernels for any problem (seeding.h, lloyd.h, moments.h) on a single chunk, so the results are
 * the same bits. Whatever is out of the ordinary - too few distinct rows, a cluster that becomes empty, sums that
 * overflow - is left to them.
 */
#ifndef FASTCLUSTER_EXT_MANY_H
#define FASTCLUSTER_EXT_MANY_H

#include "common/moments.h"
#include "lloyd.h"
#include "seeding.h"

typedef struct {
    matrix points;
    const double *weights;  /* n, or NULL for ones                              IN */
    const double *uniforms; /* k x trials; NULL where `centers` are given       IN */
    double *centers;        /* k x p                                            INOUT */
    int32_t *labels;        /* n                                                OUT */
    double *costs;          /* k x COST_STRIDE                                  OUT */
    double total_inertia;   /*                                                  OUT */
    ptrdiff_t n_iter;       /* 0 if the problem is left to others               OUT */
    int converged;          /*                                                  OUT */
} many_problem;

/* Of all problems. */
typedef struct {
    ptrdiff_t k, trials, max_iter;
    double tol;
} many_settings;

/* One thread's memory. */
typedef struct {
    centers_table table;
    double *sums, *moved, *closest, *moments, *candidates, *potentials, *seeding;
    int32_t *near;
    void *lloyd, *table_memory;
} many_scratch;

static inline size_t many_padded(size_t bytes) { return (bytes + FC_ALIGN - 1) / FC_ALIGN * FC_ALIGN; }

/* Lay the scratch out from `memory` on, or, where that is NULL, return how many bytes it takes. n, p: the most. */
static inline size_t many_scratch_place(many_scratch *scratch, ptrdiff_t n, ptrdiff_t p, ptrdiff_t k, ptrdiff_t trials,
                                        char *memory) {
    const size_t item = sizeof(double);
    const size_t sizes[] = {
        (size_t)(k * sums_stride(p)) * item, (size_t)(k * p) * item, (size_t)n * item,
        (size_t)(4 * p + 4) * item, (size_t)(trials * p) * item, (size_t)trials * item, seeding_scratch_bytes(p),
        (size_t)trials * sizeof(int32_t), lloyd_scratch_bytes(k, p), centers_table_bytes(k, p),
    };
    void *parts[sizeof(sizes) / sizeof(sizes[0])];
    size_t used = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        parts[i] = memory ? memory + used : NULL;
        used += many_padded(sizes[i]);
    }
    if (memory) {
        scratch->sums = (double *)parts[0];
        scratch->moved = (double *)parts[1];
        scratch->closest = (double *)parts[2];
        scratch->moments = (double *)parts[3];
        scratch->candidates = (double *)parts[4];
        scratch->potentials = (double *)parts[5];
        scratch->seeding = (double *)parts[6];
        scratch->near = (int32_t *)parts[7];
        scratch->lloyd = parts[8];
        scratch->table_memory = parts[9];
    }
    return used;
}

/* Do at least k rows of positive weight differ? The first rows of each value are kept in `distinct`, k of them. */
static inline int many_distinct(const many_problem *problem, ptrdiff_t k, int32_t *distinct) {
    const matrix *points = &problem->points;
    ptrdiff_t found = 0;
    for (ptrdiff_t at = 0; at < points->n_rows && found < k; at++) {
        ptrdiff_t j = 0;
        if (problem->weights && !(problem->weights[at] > 0)) continue;
        while (j < found && (row_precedes(points, at, distinct[j]) || row_precedes(points, distinct[j], at))) j++;
        if (j == found) distinct[found++] = (int32_t)at;
    }
    return found == k;
}

/* Seeds to problem->centers. Returns whether there are k. */
static inline int many_seeds(many_problem *problem, const many_settings *settings, many_scratch *scratch) {
    const matrix *points = &problem->points;
    const ptrdiff_t n = points->n_rows, p = points->n_columns, trials = settings->trials;
    seeding_chunk chunk = {0, INFINITY};
    for (ptrdiff_t r = 0; r < n; r++) {
        chunk.potential += problem->weights ? problem->weights[r] : 1.0;
        scratch->closest[r] = 1;
    }
    for (ptrdiff_t step = 0; step < settings->k; step++) {
        ptrdiff_t best = 0;
        for (ptrdiff_t c = 0; c < trials; c++) {
            const double target = problem->uniforms[step * trials + c] * chunk.potential;
            const ptrdiff_t row = seeding_locate(scratch->closest, problem->weights, 0, n, target);
            if (row < 0) return 0;
            matrix_row_f64(points, row, scratch->candidates + c * p);
        }
        if (step == 0) {
            for (ptrdiff_t r = 0; r < n; r++) scratch->closest[r] = INFINITY;
        } else {
            seeding_potentials(points, problem->weights, scratch->candidates, trials, 0, n, NULL, &chunk, scratch->closest,
                               scratch->seeding, scratch->near, scratch->potentials);
            for (ptrdiff_t c = 1; c < trials; c++) {
                if (scratch->potentials[c] < scratch->potentials[best]) best = c;
            }
        }
        memcpy(problem->centers + step * p, scratch->candidates + best * p, (size_t)p * sizeof(double));
        seeding_take(points, problem->weights, scratch->candidates + best * p, 0, n, NULL, &chunk, scratch->closest,
                     scratch->seeding);
    }
    return 1;
}

/* Iterate until the centers move by no more than `tolerance`. Returns whether no cluster became empty. */
static inline int many_lloyd(many_problem *problem, const many_settings *settings, double tolerance,
                             many_scratch *scratch) {
    const ptrdiff_t k = settings->k, p = problem->points.n_columns, stride = sums_stride(p);
    while (problem->n_iter < settings->max_iter && !problem->converged) {
        double shift = 0;
        problem->n_iter++;
        centers_table_fill(&scratch->table, problem->centers);
        lloyd_chunk(&scratch->table, &problem->points, problem->weights, 0, problem->points.n_rows, scratch->lloyd,
                    scratch->sums, NULL);
        for (ptrdiff_t j = 0; j < k; j++) {
            const double *sums = scratch->sums + j * stride;
            if (!(sums[p] > 0)) return 0;
            for (ptrdiff_t i = 0; i < p; i++) {
                /* As where several chunks are added up: of -0, 0. */
                const double mean = (0.0 + sums[i]) / sums[p], difference = mean - problem->centers[j * p + i];
                scratch->moved[j * p + i] = mean;
                shift += difference * difference;
            }
        }
        memcpy(problem->centers, scratch->moved, (size_t)(k * p) * sizeof(double));
        problem->converged = shift <= tolerance;
    }
    return 1;
}

/* problem->n_iter becomes positive if all goes well. */
static inline void many_solve(many_problem *problem, const many_settings *settings, many_scratch *scratch) {
    const matrix *points = &problem->points;
    const ptrdiff_t k = settings->k, n = points->n_rows, p = points->n_columns;
    double *total = scratch->moments, *part = total + 2 * p + 2;
    problem->n_iter = problem->converged = 0;
    if (n < k || !many_distinct(problem, k, problem->labels)) return;
    for (ptrdiff_t i = 0; i < p + 2; i++) total[i] = 0;
    moments_chunk(points, problem->weights, 0, n, part);
    moments_merge(total, part, p);
    problem->total_inertia = total[1];
    if (!(total[1] < INFINITY)) return;
    centers_table_place(&scratch->table, k, p, scratch->table_memory);
    if (problem->uniforms && !many_seeds(problem, settings, scratch)) return;
    if (!many_lloyd(problem, settings, settings->tol * (total[1] / total[0] / (double)p), scratch)) {
        problem->n_iter = 0;
        return;
    }
    centers_table_fill(&scratch->table, problem->centers);
    evaluate_chunk(&scratch->table, points, problem->weights, problem->centers, 0, n, scratch->lloyd, problem->costs,
                   problem->labels);
    for (ptrdiff_t j = 0; j < k; j++) {
        if (problem->costs[j * COST_STRIDE + COST_WEIGHT] == 0) problem->n_iter = 0;
    }
}

#endif
