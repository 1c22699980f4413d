/* The Lance-Williams formulas, side by side, with one signature.
 *
 * Clusters x and y, at distance `xy` and of sizes nx and ny, become one; the answer is its distance to a third cluster
 * i of size ni, whose distances to x and y were `xi` and `yi`. Ward's, the centroid and the median formula are linear
 * in *squared* distances: with these methods every matrix holds squares, and heights are square roots taken at the end.
 *
 * Reducible methods (complete, average, weighted, ward) never bring a merged cluster nearer to a third one than the
 * nearer of its halves was; centroid and median may.
 *
 * Sources: G. N. Lance, W. T. Williams, "A general theory of classificatory sorting strategies", Computer Journal 9(4),
 * 1967; M. Bruynooghe, "Methodes nouvelles en classification automatique", 1977 (reducibility).
 */
#ifndef FASTCLUSTER_EXT_LANCE_WILLIAMS_H
#define FASTCLUSTER_EXT_LANCE_WILLIAMS_H

#include "common/simd.h"

/* Adding a method: a code here and in _METHODS of fastcluster_ext/hierarchy.py, a formula, a line in LW_DISPATCH and in
 * lw_apply. */
typedef enum { LW_COMPLETE, LW_AVERAGE, LW_WEIGHTED, LW_WARD, LW_CENTROID, LW_MEDIAN } lw_method;

#define LW_REDUCIBLE(method) ((method) <= LW_WARD)
#define LW_SQUARED(method) ((method) >= LW_WARD)

#define LW_FORMULA(name, ...)                                                                                          \
    FC_INLINE float name##_f32(float xi, float yi, float xy, float nx, float ny, float ni) {                           \
        typedef float real;                                                                                            \
        __VA_ARGS__                                                                                                    \
    }                                                                                                                  \
    FC_INLINE double name##_f64(double xi, double yi, double xy, double nx, double ny, double ni) {                    \
        typedef double real;                                                                                           \
        __VA_ARGS__                                                                                                    \
    }

LW_FORMULA(lw_complete, (void)xy, (void)nx, (void)ny, (void)ni; return (real)(xi > yi ? xi : yi);)
LW_FORMULA(lw_average, (void)xy, (void)ni; return (real)((nx * xi + ny * yi) / (nx + ny));)
LW_FORMULA(lw_weighted, (void)xy, (void)nx, (void)ny, (void)ni; return (real)0.5 * (xi + yi);)
LW_FORMULA(lw_ward, return (real)(((nx + ni) * xi + (ny + ni) * yi - ni * xy) / (nx + ny + ni));)
LW_FORMULA(lw_centroid, (void)ni; return (real)((nx * xi + ny * yi - nx * ny * xy / (nx + ny)) / (nx + ny));)
LW_FORMULA(lw_median, (void)nx, (void)ny, (void)ni; return (real)0.5 * (xi + yi) - (real)0.25 * xy;)

/* The statement `call(formula, ...)` with the method's formula known to the compiler. */
#define LW_DISPATCH(method, call, ...)                                                                                 \
    switch (method) {                                                                                                  \
    case LW_COMPLETE: call(LW_TYPED(lw_complete), __VA_ARGS__); break;                                                 \
    case LW_AVERAGE: call(LW_TYPED(lw_average), __VA_ARGS__); break;                                                   \
    case LW_WEIGHTED: call(LW_TYPED(lw_weighted), __VA_ARGS__); break;                                                 \
    case LW_WARD: call(LW_TYPED(lw_ward), __VA_ARGS__); break;                                                         \
    case LW_CENTROID: call(LW_TYPED(lw_centroid), __VA_ARGS__); break;                                                 \
    case LW_MEDIAN: call(LW_TYPED(lw_median), __VA_ARGS__); break;                                                     \
    }

/* One distance. */
FC_INLINE double lw_apply(lw_method method, double xi, double yi, double xy, double nx, double ny, double ni) {
    switch (method) {
    case LW_COMPLETE: return lw_complete_f64(xi, yi, xy, nx, ny, ni);
    case LW_AVERAGE: return lw_average_f64(xi, yi, xy, nx, ny, ni);
    case LW_WEIGHTED: return lw_weighted_f64(xi, yi, xy, nx, ny, ni);
    case LW_WARD: return lw_ward_f64(xi, yi, xy, nx, ny, ni);
    case LW_CENTROID: return lw_centroid_f64(xi, yi, xy, nx, ny, ni);
    case LW_MEDIAN: return lw_median_f64(xi, yi, xy, nx, ny, ni);
    }
    return xi;
}

#endif
