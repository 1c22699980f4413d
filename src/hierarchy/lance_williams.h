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
 * LW_SWITCH. */
typedef enum { LW_COMPLETE, LW_AVERAGE, LW_WEIGHTED, LW_WARD, LW_CENTROID, LW_MEDIAN } lw_method;

#define LW_REDUCIBLE(method) ((method) <= LW_WARD)
#define LW_SQUARED(method) ((method) >= LW_WARD)

/* What is the same for every third cluster is computed once. name_off: what xy makes the formula take off; name_part:
 * what it takes of y, beside nx of x; name: the formula, given these. */
#define LW_FORMULA_OF(real, name, off_of_xy, part_of_y, ...)                                                           \
    FC_INLINE real name##_off(real xy, real nx, real ny) {                                                             \
        (void)xy, (void)nx, (void)ny;                                                                                  \
        return (real)(off_of_xy);                                                                                      \
    }                                                                                                                  \
    FC_INLINE real name##_part(real nx, real ny) {                                                                     \
        (void)nx, (void)ny;                                                                                            \
        return (real)(part_of_y);                                                                                      \
    }                                                                                                                  \
    FC_INLINE real name(real xi, real yi, real off, real nx, real part, real ni) {                                     \
        (void)off, (void)nx, (void)part, (void)ni;                                                                     \
        return (real)(__VA_ARGS__);                                                                                    \
    }
#define LW_FORMULA(name, off_of_xy, part_of_y, ...)                                                                    \
    LW_FORMULA_OF(float, name##_f32, off_of_xy, part_of_y, __VA_ARGS__)                                                \
    LW_FORMULA_OF(double, name##_f64, off_of_xy, part_of_y, __VA_ARGS__)

/* Factors that are powers of two are exact in either type. Equal distances to x and y are kept exactly. The centroid's
 * formula needs no division for a third cluster: it moves from the heavier of the two by the share of the lighter one,
 * which is negative if that is x. */
LW_FORMULA(lw_complete, 0, 0, xi > yi ? xi : yi)
LW_FORMULA(lw_average, 0, ny, (nx * xi + part * yi) / (nx + part))
LW_FORMULA(lw_weighted, 0, 0, (xi + yi) / 2)
LW_FORMULA(lw_ward, xy, ny, ((nx + ni) * xi + (part + ni) * yi - ni * off) / (nx + part + ni))
LW_FORMULA(lw_centroid, nx * ny * xy / (nx + ny) / (nx + ny), ny > nx ? -(nx / (nx + ny)) : ny / (nx + ny),
           part < 0 ? yi - part * (xi - yi) - off : xi + part * (yi - xi) - off)
LW_FORMULA(lw_median, xy / 4, 0, (xi + yi) / 2 - off)

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

#define LW_SWITCH(method, suffix, arguments)                                                                           \
    switch (method) {                                                                                                  \
    case LW_COMPLETE: return lw_complete_##suffix arguments;                                                           \
    case LW_AVERAGE: return lw_average_##suffix arguments;                                                             \
    case LW_WEIGHTED: return lw_weighted_##suffix arguments;                                                           \
    case LW_WARD: return lw_ward_##suffix arguments;                                                                   \
    case LW_CENTROID: return lw_centroid_##suffix arguments;                                                           \
    case LW_MEDIAN: return lw_median_##suffix arguments;                                                               \
    }                                                                                                                  \
    return 0;

FC_INLINE float lw_off_f32(lw_method method, float xy, float nx, float ny) {
    LW_SWITCH(method, f32_off, (xy, nx, ny))
}
FC_INLINE double lw_off_f64(lw_method method, double xy, double nx, double ny) {
    LW_SWITCH(method, f64_off, (xy, nx, ny))
}
FC_INLINE float lw_part_f32(lw_method method, float nx, float ny) { LW_SWITCH(method, f32_part, (nx, ny)) }
FC_INLINE double lw_part_f64(lw_method method, double nx, double ny) { LW_SWITCH(method, f64_part, (nx, ny)) }

/* One distance. */
FC_INLINE double lw_apply(lw_method method, double xi, double yi, double xy, double nx, double ny, double ni) {
    const double off = lw_off_f64(method, xy, nx, ny), part = lw_part_f64(method, nx, ny);
    LW_SWITCH(method, f64, (xi, yi, off, nx, part, ni))
}

#endif
