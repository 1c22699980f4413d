/* The minimum spanning tree of a condensed matrix: what one thread does with some of its rows.
 *
 * Edges i < j are ordered by distance, then by i, then by j, so that the tree is unique. In a round of Boruvka's
 * algorithm every observation finds the least edge to another component, in one pass over the matrix in the order in
 * which it is stored. When few components are left, one more pass makes a table of them: the least distance of any two,
 * and Prim's algorithm completes the tree. The table says nothing of observations; where they are wanted, for an edge
 * of the tree or to tell equal distances apart, those of the two components are looked through.
 *
 * Infinite distances are as good as none.
 */
#ifndef FASTCLUSTER_EXT_SPANNING_H
#define FASTCLUSTER_EXT_SPANNING_H

#include "triangle.h"

/* Columns that a pass takes at a time: what it keeps of them, 24 bytes for each, then stays in the first-level cache. */
enum { SPANNING_COLUMNS = 1024 };
/* Members of a component whose rows are merged into one row of the table; a larger component has several rows. */
enum { SPANNING_MEMBERS = 64 };
/* The table is turned around in square tiles. */
enum { SPANNING_TILE = 64 };

/* `labels`, `least`, `rows` and `table` hold int32 and float, or int64 and double, as `values` does. */
typedef struct {
    triangle t; /* nearest, distances: the least edge of every observation to another component; 0 and INFINITY: none */
    int parts;  /* among which rows are dealt out */
    int32_t *component;   /* n */
    void *labels;         /* n: the same */
    void *least, *rows;   /* parts x n: the least distance of a column to rows of the part above, and the first of them */
    ptrdiff_t components;
    int32_t *members;     /* n: observations by component, ascending */
    int32_t *begin;       /* components + 1: where each one's members are */
    int32_t *piece;       /* components + 1: where each one's rows of the table are */
    void *table;          /* pieces x components */
} spanning;

/* An edge of observations, i < j; and a component that one of them is in. */
typedef struct {
    int32_t i, j, from;
} spanning_edge;

FC_INLINE int spanning_edge_before(spanning_edge a, spanning_edge b) { return a.i < b.i || (a.i == b.i && a.j < b.j); }

#define real float
#define index int32_t
#define TYPED(name) name##_f32
#include "spanning_typed.h"
#undef real
#undef index
#undef TYPED

#define real double
#define index int64_t
#define TYPED(name) name##_f64
#include "spanning_typed.h"
#undef real
#undef index
#undef TYPED

static inline void spanning_set_label(const spanning *s, ptrdiff_t i, int32_t component) {
    s->component[i] = component;
    if (s->t.is_double) {
        ((int64_t *)s->labels)[i] = component;
    } else {
        ((int32_t *)s->labels)[i] = component;
    }
}

static inline int spanning_rows(const spanning *s, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t part) {
    return TRIANGLE_DISPATCH(s->t.is_double, spanning_rows, s, start, stop, part);
}

static inline void spanning_clear_columns(const spanning *s, ptrdiff_t part) {
    TRIANGLE_DISPATCH(s->t.is_double, spanning_clear_columns, s, part);
}

static inline void spanning_join_columns(const spanning *s) {
    TRIANGLE_DISPATCH(s->t.is_double, spanning_join_columns, s);
}

static inline void spanning_contract(const spanning *s, ptrdiff_t component, ptrdiff_t piece, void *scratch) {
    TRIANGLE_DISPATCH(s->t.is_double, spanning_contract, s, component, piece, scratch);
}

static inline void spanning_fold(const spanning *s, ptrdiff_t component) {
    TRIANGLE_DISPATCH(s->t.is_double, spanning_fold, s, component);
}

static inline void spanning_mirror(const spanning *s, ptrdiff_t tile) {
    TRIANGLE_DISPATCH(s->t.is_double, spanning_mirror, s, tile);
}

static inline ptrdiff_t spanning_step(const spanning *s, ptrdiff_t x, void *nearest, void *from,
                                      spanning_edge *edges) {
    return TRIANGLE_DISPATCH(s->t.is_double, spanning_step, s, x, nearest, from, edges);
}

#endif
