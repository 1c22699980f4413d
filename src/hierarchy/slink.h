/* One row of SLINK: the observation `row` joins the single-linkage tree of all later ones.
 *
 * The tree is two arrays: level[j], the height at which j's cluster first meets an earlier observation, and link[j], the
 * last (here: lowest) one of the cluster it then joins. Both loops are branch-free.
 */
#ifndef FASTCLUSTER_EXT_SLINK_H
#define FASTCLUSTER_EXT_SLINK_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "triangle.h"

#define SLINK_ROW(name, real)                                                                                          \
    static inline void name(const real *distances, ptrdiff_t row, ptrdiff_t n, real *restrict level,                   \
                            int32_t *restrict link, real *restrict reach) {                                            \
        memcpy(reach + row + 1, distances, (size_t)(n - 1 - row) * sizeof(real));                                      \
        level[row] = INFINITY;                                                                                         \
        link[row] = (int32_t)row;                                                                                      \
        for (ptrdiff_t j = n - 1; j > row; j--) {                                                                      \
            const real now = reach[j], before = level[j];                                                              \
            const ptrdiff_t next = link[j];                                                                            \
            const real carried = before > now ? before : now, known = reach[next];                                     \
            reach[next] = known < carried ? known : carried;                                                           \
            level[j] = before > now ? now : before;                                                                    \
            link[j] = before >= now ? (int32_t)row : (int32_t)next;                                                    \
        }                                                                                                              \
        for (ptrdiff_t j = row + 1; j < n; j++) {                                                                      \
            const int32_t next = link[j];                                                                              \
            link[j] = level[j] >= level[next] ? (int32_t)row : next;                                                   \
            KEEP_SCALAR;                                                                                               \
        }                                                                                                              \
    }

SLINK_ROW(slink_row_f32, float)
SLINK_ROW(slink_row_f64, double)

#endif
