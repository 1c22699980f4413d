/* One step of Prim's algorithm on a condensed matrix: the tree has reached `x`; what is nearest to the tree now. */
#ifndef FASTCLUSTER_EXT_PRIM_H
#define FASTCLUSTER_EXT_PRIM_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include "triangle.h"

#define PRIM_STEP(name, real, least_of)                                                                                \
    static inline ptrdiff_t name(const real *values, ptrdiff_t x, ptrdiff_t n, real *restrict nearest,                 \
                                 int32_t *restrict from, uint8_t *restrict reached, real *restrict waiting) {          \
        const real *restrict right = values + triangle_offset(n, x);                                                   \
        reached[x] = 1;                                                                                                \
        for (ptrdiff_t z = 0; z < x; z++) {                                                                            \
            const ptrdiff_t ahead = z + COLUMN_AHEAD < x ? z + COLUMN_AHEAD : z;                                       \
            if (!reached[ahead]) __builtin_prefetch(values + triangle_offset(n, ahead) + x);                           \
            if (reached[z]) continue;                                                                                  \
            const real distance = values[triangle_offset(n, z) + x];                                                   \
            if (distance < nearest[z]) {                                                                               \
                nearest[z] = distance;                                                                                 \
                from[z] = (int32_t)x;                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
        for (ptrdiff_t z = x + 1; z < n; z++) {                                                                        \
            const int nearer = right[z] < nearest[z];                                                                  \
            nearest[z] = nearer ? right[z] : nearest[z];                                                               \
            from[z] = nearer && !reached[z] ? (int32_t)x : from[z];                                                    \
        }                                                                                                              \
        for (ptrdiff_t z = 0; z < n; z++) waiting[z] = reached[z] ? (real)INFINITY : nearest[z];                       \
        const nearest_found best = least_of(waiting, 0, n);                                                            \
        if (best.distance < INFINITY) return best.position;                                                            \
        for (ptrdiff_t z = 0; z < n; z++) {                                                                            \
            if (!reached[z]) return z;                                                                                 \
        }                                                                                                              \
        return -1;                                                                                                     \
    }

PRIM_STEP(prim_step_f32, float, least_of_f32)
PRIM_STEP(prim_step_f64, double, least_of_f64)

#endif
