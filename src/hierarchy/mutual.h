/* Reducible methods: merging all pairs that are each other's nearest, and again, and again, by what lists of nearest
 * neighbors tell: most of the merges for one pass over the triangle.
 *
 * After a pass every cluster x knows its nearest neighbors, LISTED of them, and a radius: clusters not linked with it
 * are no nearer than that. Links go both ways; two clusters without one are at least as far apart as the greater of
 * their radii. When a and b merge, the merged cluster's links are those of both. A distance that only one of them has
 * is bounded from below, by the formula with a radius in its place, and computed from the triangle when the bound alone
 * does not decide; so is the merged cluster's radius. A cluster whose nearest link is beyond its radius has to wait for
 * the next pass.
 *
 * Reducible methods never bring a merged cluster nearer to a third one than the nearer of its halves was, and all their
 * formulas grow with the distances: so bounds stay bounds, and two clusters that are each other's nearest will be
 * merged whatever else is merged before them.
 */
#ifndef FASTCLUSTER_EXT_MUTUAL_H
#define FASTCLUSTER_EXT_MUTUAL_H

#include "merging.h"

enum { NODE_UNKNOWN = -2 };

/* Of a cluster, at most: distances may be computed from all pairs of members of two, for many of them. */
enum { MUTUAL_MEMBERS = 32 };

/* One end of a link between two clusters. */
typedef struct {
    double value;    /* their distance, or a lower bound for it */
    int32_t other;   /* node at the other end; NODE_NONE: the link is gone */
    int32_t twin;    /* the other end's index */
} link_end;

typedef struct {
    link_end *ends;
    uint8_t *exact;    /* whether an end's value is the distance */
    ptrdiff_t capacity, used;
    /* By position. */
    int32_t *begin, *count; /* of the links of the cluster there */
    int32_t *closest;       /* node of the nearest; NODE_UNKNOWN: to be found; NODE_NONE: beyond the radius */
    int32_t *mark;          /* while two clusters merge: where the merged one's link with the cluster here is */
    int32_t *queue;         /* n, in turn: positions whose nearest may be mutual */
    uint8_t *queued;
    double *radius;
    ptrdiff_t first_queued, n_queued;
    double least_size;
} mutual;

static inline void enqueue(mutual *m, ptrdiff_t n, int32_t position) {
    if (m->queued[position]) return;
    ptrdiff_t at = m->first_queued + m->n_queued++;
    m->queued[position] = 1;
    m->queue[at < n ? at : at - n] = position;
}

static inline int is_listed(const nearby *lists, int32_t neighbor, int32_t position) {
    const int32_t *ids = lists->ids + (ptrdiff_t)position * LISTED;
    int found = 0;
    for (int i = 0; i < lists->counts[position]; i++) found |= ids[i] == neighbor;
    return found;
}

/* Neighbor i of the list of x, or behind them its nearest, if x is to link with it: if nobody else does. */
static inline int32_t to_link(const triangle *t, const nearby *lists, int32_t x, int i) {
    const int count = lists->counts[x];
    const int32_t y = i < count ? lists->ids[(ptrdiff_t)x * LISTED + i] : t->nearest[x];
    if (y < 0 || (i == count && is_listed(lists, y, x))) return NODE_NONE;
    if (x < y) return y;
    /* y has done so, if x is on its list or its nearest. */
    return is_listed(lists, x, y) || t->nearest[y] == x ? NODE_NONE : y;
}

static inline void put_end(mutual *m, ptrdiff_t at, double value, int32_t other, ptrdiff_t twin, int exact) {
    m->ends[at].value = value;
    m->ends[at].other = other;
    m->ends[at].twin = (int32_t)twin;
    m->exact[at] = (uint8_t)exact;
}

/* Begin with the triangle's clusters, the lists of a pass over it, and the links they make. */
static inline void mutual_begin(mutual *m, merging *g, const triangle *t, const nearby *lists) {
    const int32_t n = (int32_t)t->n;
    merging_begin(g, t);
    m->first_queued = m->n_queued = 0;
    m->least_size = INFINITY;
    for (int32_t x = 0; x < n; x++) m->count[x] = 0;
    for (int32_t x = 0; x < n; x++) {
        for (int i = 0; i <= lists->counts[x]; i++) {
            const int32_t y = to_link(t, lists, x, i);
            if (y < 0) continue;
            m->count[x]++;
            m->count[y]++;
        }
    }
    m->used = 0;
    for (int32_t x = 0; x < n; x++) {
        m->begin[x] = (int32_t)m->used;
        m->used += m->count[x];
        m->count[x] = 0;
        m->mark[x] = -1;
        m->queued[x] = 0;
        m->least_size = g->sizes[x] < m->least_size ? g->sizes[x] : m->least_size;
        m->radius[x] = triangle_real(t, lists->bounds, x);
        m->closest[x] = t->nearest[x] < 0 ? NODE_NONE : t->nearest[x];
    }
    for (int32_t x = 0; x < n; x++) {
        for (int i = 0; i <= lists->counts[x]; i++) {
            const int32_t y = to_link(t, lists, x, i);
            if (y < 0) continue;
            const ptrdiff_t own = m->begin[x] + m->count[x]++, its = m->begin[y] + m->count[y]++;
            const double value = i < lists->counts[x] ? triangle_real(t, lists->values, (ptrdiff_t)x * LISTED + i)
                                                      : triangle_real(t, t->distances, x);
            put_end(m, own, value, y, its, 1);
            put_end(m, its, value, x, own, 1);
        }
    }
    for (int32_t x = 0; x < n; x++) enqueue(m, n, x);
}

/* The nearest cluster to the one at `position`, the lowest position of those as near; NODE_NONE if it may be one
 * without a link. Ends that are gone are dropped on the way. */
static inline int32_t find_closest(mutual *m, const merging *g, const triangle *t, lw_method method, int32_t position) {
    const int32_t begin = m->begin[position];
    int32_t kept = begin;
    for (int32_t i = begin; i < begin + m->count[position]; i++) {
        if (m->ends[i].other == NODE_NONE) continue;
        if (kept < i) {
            m->ends[kept] = m->ends[i];
            m->exact[kept] = m->exact[i];
            m->ends[m->ends[kept].twin].twin = kept;
        }
        kept++;
    }
    m->count[position] = kept - begin;
    for (;;) {
        int32_t best = -1;
        for (int32_t i = begin; i < kept; i++) {
            const link_end *end = m->ends + i;
            if (best < 0 || end->value < m->ends[best].value ||
                (end->value == m->ends[best].value && g->place[end->other] < g->place[m->ends[best].other])) {
                best = i;
            }
        }
        if (best < 0 || !(m->ends[best].value <= m->radius[position])) return NODE_NONE;
        if (m->exact[best]) return m->ends[best].other;
        const int32_t twin = m->ends[best].twin;
        const double value = distance_between(g, t, method, g->node[position], m->ends[best].other);
        m->ends[best].value = m->ends[twin].value = value;
        m->exact[best] = m->exact[twin] = 1;
    }
}

static inline double height_of(const mutual *m, int32_t position, int32_t other) {
    const int32_t begin = m->begin[position];
    for (int32_t i = begin; i < begin + m->count[position]; i++) {
        if (m->ends[i].other == other) return m->ends[i].value;
    }
    return NAN;
}

/* The clusters at a < b, which are each other's nearest, become one at b. */
static inline void merge_mutual(mutual *m, merging *g, lw_method method, int32_t a, int32_t b) {
    const int32_t node_a = g->node[a], node_b = g->node[b], merged = (int32_t)(g->n + g->merges);
    const double height = height_of(m, a, node_b), size_a = g->sizes[node_a], size_b = g->sizes[node_b];
    const double radius_a = m->radius[a], radius_b = m->radius[b];
    const double radius = below(lw_apply(method, radius_a, radius_b, height, size_a, size_b, m->least_size));
    const ptrdiff_t begin = m->used;
    const int32_t sides[2] = {a, b};
    /* The ends of a's and b's links become those of the merged one; at the other end one of two is kept. Beside
     * `exact`, a bit tells for the time being that a link is of one of them alone: 2 of a, 4 of b. */
    for (int side = 0; side < 2; side++) {
        const int32_t from = m->begin[sides[side]];
        for (int32_t i = from; i < from + m->count[sides[side]]; i++) {
            const link_end end = m->ends[i];
            if (end.other == NODE_NONE || end.other == node_a || end.other == node_b) continue;
            const int32_t y = g->place[end.other], at = m->mark[y];
            if (at < 0) {
                m->mark[y] = (int32_t)m->used;
                put_end(m, m->used++, end.value, end.other, end.twin, m->exact[i] | (side ? 4 : 2));
            } else {
                m->ends[at].value = lw_apply(method, m->ends[at].value, end.value, height, size_a, size_b,
                                             g->sizes[end.other]);
                m->exact[at] = m->exact[at] & m->exact[i] & 1;
                if (!m->exact[at]) m->ends[at].value = below(m->ends[at].value);
                m->ends[end.twin].other = NODE_NONE;
            }
        }
    }
    ptrdiff_t kept = begin;
    for (ptrdiff_t i = begin; i < m->used; i++) {
        link_end end = m->ends[i];
        const int32_t y = g->place[end.other];
        const double radius_y = m->radius[y];
        int exact = m->exact[i] & 1;
        m->mark[y] = -1;
        if (m->closest[y] == node_a || m->closest[y] == node_b) {
            m->closest[y] = NODE_UNKNOWN;
            enqueue(m, g->n, y);
        }
        if (m->exact[i] & 6) { /* a link of one of the two only */
            const double other_radius = m->exact[i] & 2 ? radius_b : radius_a;
            const double bound = other_radius > radius_y ? other_radius : radius_y;
            end.value = m->exact[i] & 2
                            ? lw_apply(method, end.value, bound, height, size_a, size_b, g->sizes[end.other])
                            : lw_apply(method, bound, end.value, height, size_a, size_b, g->sizes[end.other]);
            end.value = below(end.value);
            exact = 0;
        }
        if (!exact && end.value >= radius && end.value >= radius_y) { /* as good as none */
            m->ends[end.twin].other = NODE_NONE;
            continue;
        }
        put_end(m, kept, end.value, end.other, end.twin, exact);
        put_end(m, end.twin, end.value, merged, kept, exact);
        kept++;
    }
    m->used = kept;
    m->begin[b] = (int32_t)begin;
    m->count[b] = (int32_t)(kept - begin);
    m->count[a] = 0;
    merge_clusters(g, a, b, height);
    m->radius[b] = radius;
    m->closest[b] = NODE_UNKNOWN;
    enqueue(m, g->n, b);
}

/* Look at so many of the queue, and merge what can be. Returns whether there are more. */
static inline int mutual_go_on(mutual *m, merging *g, const triangle *t, lw_method method, ptrdiff_t many) {
    while (m->n_queued > 0 && many-- > 0) {
        const int32_t x = m->queue[m->first_queued];
        m->first_queued = m->first_queued + 1 < g->n ? m->first_queued + 1 : 0;
        m->n_queued--;
        m->queued[x] = 0;
        if (g->node[x] == NODE_NONE) continue;
        if (m->closest[x] == NODE_UNKNOWN) m->closest[x] = find_closest(m, g, t, method, x);
        if (m->closest[x] == NODE_NONE) continue;
        const int32_t y = g->place[m->closest[x]];
        if (m->closest[y] == NODE_UNKNOWN) m->closest[y] = find_closest(m, g, t, method, y);
        if (m->closest[y] != g->node[x]) continue;
        if (!can_merge(g, x, y, MUTUAL_MEMBERS)) continue;
        if (m->used + m->count[x] + m->count[y] > m->capacity) return 0;
        merge_mutual(m, g, method, x < y ? x : y, x < y ? y : x);
    }
    return m->n_queued > 0;
}

#endif
