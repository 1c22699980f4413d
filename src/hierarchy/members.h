/* Clusters with all their points: what linkage needs where a few numbers of a cluster do not tell.
 *
 * Complete linkage is the farthest pair of two clusters' points, average and weighted linkage of plain Euclidean
 * distances are weighted means over all pairs. Points are kept by column, those of a cluster in a few runs: whenever the
 * tree of clusters is built anew, all runs of a cluster become one; in between, clusters that merge append their lists of
 * runs.
 *
 * In the end there are few clusters, but each has many points, and every pair of clusters is sooner or later wanted. So
 * the means of all pairs are added up once, as soon as there is room for them in memory that is not needed any more;
 * those of merged clusters follow from them (`known`), and nobody asks for points again.
 *
 * Sums go to TREE_LEAF lanes, whatever the instruction set, and over the clusters in the order of their ids; so a
 * dissimilarity is the same seen from both sides, and in every build.
 */
#ifndef FASTCLUSTER_EXT_MEMBERS_H
#define FASTCLUSTER_EXT_MEMBERS_H

#include "cluster_tree.h"

#define MEMBERS_PAIRS 1000000 /* about a millisecond */
#define MEMBERS_BOXED_COLUMNS 16 /* with more, boxes of whole clusters tell next to nothing */

typedef enum { MEMBERS_FARTHEST, MEMBERS_MEAN } members_measure;

typedef struct {
    members_measure measure;
    ptrdiff_t p, stride;
    double *columns; /* p x stride coordinates; then, of MEMBERS_MEAN, the weights */
    double *boxes;   /* of every TREE_LEAF points in a row: p least, p greatest */
    /* A run, known by the id of the cluster that it was: its points, and the next run of its cluster. */
    int32_t *begin, *end, *next;
    /* Clusters, by id. */
    int32_t *first, *last; /* runs */
    /* Of MEMBERS_MEAN: what the weights of a run are to be multiplied by; the weight of a cluster. */
    double *factor, *total;
    /* Of MEMBERS_MEAN, in the end: the means of all pairs of `ranks` clusters, the i-th row those of rank i and lower
     * ones. `begin` is then the rank of a cluster. */
    double *known;
    ptrdiff_t ranks;
    /* Called now and then while many pairs are added up; if it says so, the rest does not matter any more. */
    int (*interrupted)(void *owner);
    void *owner;
} members;

/* Columns that are kept of the points. */
static inline ptrdiff_t members_columns(members_measure measure, ptrdiff_t p) {
    return measure == MEMBERS_MEAN ? p + 1 : p;
}

/* -- farthest pairs -- */

/* The greatest squared distance of points in two boxes, each of p least and p greatest coordinates. */
FC_INLINE double members_most(const double *a, const double *b, ptrdiff_t p) {
    double squared = 0;
    for (ptrdiff_t c = 0; c < p; c++) {
        const double up = b[p + c] - a[c], down = a[p + c] - b[c], span = up > down ? up : down;
        squared += span * span;
    }
    return squared;
}

FC_INLINE double members_squared(const members *m, int32_t x, int32_t y, ptrdiff_t p) {
    double squared = 0;
    for (ptrdiff_t c = 0; c < p; c++) {
        const double difference = m->columns[c * m->stride + y] - m->columns[c * m->stride + x];
        squared += difference * difference;
    }
    return squared;
}

/* Raises `most` to the greatest squared distance of point x to points [begin, end), and tells which has it. */
FC_INLINE void members_farther(const members *m, int32_t x, int32_t begin, int32_t end, double *most, int32_t *which,
                               ptrdiff_t p) {
    int32_t y = begin;
    for (; y + VD_LANES <= end; y += VD_LANES) {
        vd squared = vd_set1(0);
        for (ptrdiff_t c = 0; c < p; c++) {
            const double *column = m->columns + c * m->stride;
            const vd difference = vd_sub(vd_load(column + y), vd_set1(column[x]));
            squared = vd_add(squared, vd_mul(difference, difference));
        }
        if (vd_at_most(squared, vd_set1(*most)) == (1u << VD_LANES) - 1) continue;
        double squares[VD_LANES];
        vd_store(squares, squared);
        for (int l = 0; l < VD_LANES; l++) {
            if (squares[l] > *most) {
                *most = squares[l];
                *which = y + l;
            }
        }
    }
    for (; y < end; y++) {
        const double squared = members_squared(m, x, y, p);
        if (squared > *most) {
            *most = squared;
            *which = y;
        }
    }
}

FC_INLINE int32_t members_farthest_from(const members *m, int32_t x, int32_t cluster, double *most, ptrdiff_t p) {
    int32_t which = x;
    for (int32_t run = m->first[cluster]; run >= 0; run = m->next[run]) {
        members_farther(m, x, m->begin[run], m->end[run], most, &which, p);
    }
    return which;
}

/* Points [begin, end), all in `box`, against those of a cluster: raises `most`, until it is above `enough`. */
FC_INLINE void members_farthest_box(const members *m, int32_t begin, int32_t end, const double *box, int32_t cluster,
                                    double enough, double *most, ptrdiff_t p) {
    int32_t which;
    for (int32_t run = m->first[cluster]; run >= 0 && !(*most > enough); run = m->next[run]) {
        for (int32_t y = m->begin[run]; y < m->end[run];) {
            const int32_t block = y / TREE_LEAF, after = (block + 1) * TREE_LEAF;
            const int32_t stop = after < m->end[run] ? after : m->end[run];
            if (members_most(box, m->boxes + (ptrdiff_t)block * 2 * p, p) > *most) {
                for (int32_t x = begin; x < end; x++) members_farther(m, x, y, stop, most, &which, p);
            }
            y = stop;
        }
    }
}

/* A box of all points of a cluster. */
FC_INLINE void members_extent(const members *m, int32_t cluster, double *extent, ptrdiff_t p) {
    for (ptrdiff_t c = 0; c < p; c++) {
        const double *column = m->columns + c * m->stride;
        double least = INFINITY, most = -INFINITY;
        for (int32_t run = m->first[cluster]; run >= 0; run = m->next[run]) {
            for (int32_t y = m->begin[run]; y < m->end[run];) {
                const int whole = y % TREE_LEAF == 0 && y + TREE_LEAF <= m->end[run];
                const double *box = m->boxes + (ptrdiff_t)(y / TREE_LEAF) * 2 * p;
                const double low = whole ? box[c] : column[y], high = whole ? box[p + c] : column[y];
                least = low < least ? low : least;
                most = high > most ? high : most;
                y += whole ? TREE_LEAF : 1;
            }
        }
        extent[c] = least;
        extent[p + c] = most;
    }
}

/* The squared distance of the farthest pair of clusters a and b, or anything above `enough` if it is above that. */
FC_INLINE double members_farthest_p(const members *m, int32_t a, int32_t b, double enough, ptrdiff_t p) {
    /* To and fro: mostly this ends at the farthest pair, and almost always at one that is far enough to stop. */
    double most = -1;
    const int32_t y = members_farthest_from(m, m->begin[m->first[a]], b, &most, p);
    if (most > enough) return most;
    members_farthest_from(m, y, a, &most, p);
    if (most > enough) return most;
    double extent[2 * MEMBERS_BOXED_COLUMNS];
    const int boxed = p <= MEMBERS_BOXED_COLUMNS;
    if (boxed) members_extent(m, b, extent, p);
    for (int32_t run = m->first[a]; run >= 0; run = m->next[run]) {
        for (int32_t x = m->begin[run]; x < m->end[run];) {
            const int32_t block = x / TREE_LEAF, after = (block + 1) * TREE_LEAF;
            const int32_t stop = after < m->end[run] ? after : m->end[run];
            const double *box = m->boxes + (ptrdiff_t)block * 2 * p;
            if (!boxed || members_most(box, extent, p) > most) {
                members_farthest_box(m, x, stop, box, b, enough, &most, p);
                if (most > enough) return most;
            }
            x = stop;
        }
    }
    return most;
}

/* -- means -- */

/* Adds the weighted distances of point x to points [begin, end) to `lanes`, the first of them to lane 0. */
FC_INLINE void members_add(const members *m, int32_t x, int32_t begin, int32_t end, double weight, double *lanes,
                           ptrdiff_t p) {
    const double *weights = m->columns + p * m->stride;
    int32_t y = begin;
    for (; y + TREE_LEAF <= end; y += TREE_LEAF) {
        for (int l = 0; l < TREE_LEAF; l += VD_LANES) {
            vd squared = vd_set1(0);
            for (ptrdiff_t c = 0; c < p; c++) {
                const double *column = m->columns + c * m->stride;
                const vd difference = vd_sub(vd_load(column + y + l), vd_set1(column[x]));
                squared = vd_add(squared, vd_mul(difference, difference));
            }
            const vd weighted = vd_mul(vd_sqrt(squared), vd_mul(vd_set1(weight), vd_load(weights + y + l)));
            vd_store(lanes + l, vd_add(vd_load(lanes + l), weighted));
        }
    }
    for (int l = 0; y < end; y++, l++) lanes[l] += sqrt(members_squared(m, x, y, p)) * (weight * weights[y]);
}

FC_INLINE double members_mean_p(const members *m, int32_t a, int32_t b, ptrdiff_t p) {
    const double *weights = m->columns + p * m->stride;
    double lanes[TREE_LEAF] = {0}, sum = 0;
    ptrdiff_t pairs = 0;
    for (int32_t run = m->first[a]; run >= 0; run = m->next[run]) {
        for (int32_t other = m->first[b]; other >= 0; other = m->next[other]) {
            for (int32_t x = m->begin[run]; x < m->end[run]; x++) {
                /* Each share by itself is at most 1: products of weights and of totals could vanish. */
                const double weight = weights[x] * m->factor[run] / m->total[a] * (m->factor[other] / m->total[b]);
                members_add(m, x, m->begin[other], m->end[other], weight, lanes, p);
                pairs += m->end[other] - m->begin[other];
                if (pairs > MEMBERS_PAIRS) {
                    if (m->interrupted(m->owner)) return 0;
                    pairs = 0;
                }
            }
        }
    }
    for (int l = 0; l < TREE_LEAF; l++) sum += lanes[l];
    return sum;
}

static inline double members_mean(const members *m, int32_t a, int32_t b) {
    switch (m->p) {
    case 1: return members_mean_p(m, a, b, 1);
    case 2: return members_mean_p(m, a, b, 2);
    case 3: return members_mean_p(m, a, b, 3);
    case 4: return members_mean_p(m, a, b, 4);
    default: return members_mean_p(m, a, b, m->p);
    }
}

/* -- all means of few clusters -- */

/* So many pairs find room in two numbers a point. */
static inline ptrdiff_t members_few(ptrdiff_t n) {
    ptrdiff_t few = (ptrdiff_t)sqrt(4.0 * (double)n);
    return few * (few - 1) / 2 <= 2 * n ? few : few - 1;
}

/* Orders clusters, each a single run, by the number of their points: the longest sums come first. */
static inline void members_rank(const members *m, int32_t *ids, ptrdiff_t count) {
    for (ptrdiff_t i = 1; i < count; i++) {
        const int32_t id = ids[i], size = m->end[id] - m->begin[id];
        ptrdiff_t at = i;
        for (; at > 0 && m->end[ids[at - 1]] - m->begin[ids[at - 1]] < size; at--) ids[at] = ids[at - 1];
        ids[at] = id;
    }
}

FC_INLINE double *members_place(double *known, ptrdiff_t i, ptrdiff_t j) {
    return i > j ? known + i * (i - 1) / 2 + j : known + j * (j - 1) / 2 + i;
}

/* The means of the cluster of rank i and all of lower rank. */
static inline void members_measure_rank(const members *m, const int32_t *ids, ptrdiff_t i, double *known) {
    for (ptrdiff_t j = 0; j < i && !m->interrupted(m->owner); j++) {
        const int32_t a = ids[i] < ids[j] ? ids[i] : ids[j], b = ids[i] < ids[j] ? ids[j] : ids[i];
        *members_place(known, i, j) = members_mean(m, a, b);
    }
}

/* From now on means are known; points are not looked at any more. */
static inline void members_know(members *m, const int32_t *ids, ptrdiff_t count, double *known) {
    m->known = known;
    m->ranks = count;
    for (ptrdiff_t i = 0; i < count; i++) m->begin[ids[i]] = (int32_t)i;
}

/* The means of a cluster that a and b have become, in the place of `merged`; those of clusters that are gone do not
 * matter. */
static inline void members_unite_known(members *m, int32_t a, int32_t b, int32_t merged, double share) {
    const ptrdiff_t one = m->begin[a], two = m->begin[b];
    for (ptrdiff_t i = 0; i < m->ranks; i++) {
        if (i == one || i == two) continue;
        const double mean = share * *members_place(m->known, one, i) + (1 - share) * *members_place(m->known, two, i);
        *members_place(m->known, m->begin[merged], i) = mean;
    }
}

/* -- both -- */

/* The square of the dissimilarity of two clusters, or anything above `enough` if it is above that. */
static inline double members_between(const members *m, int32_t one, int32_t two, double enough) {
    const int32_t a = one < two ? one : two, b = one < two ? two : one;
    if (m->measure == MEMBERS_MEAN) {
        const double mean = m->known ? *members_place(m->known, m->begin[a], m->begin[b]) : members_mean(m, a, b);
        return mean * mean;
    }
    switch (m->p) {
    case 1: return members_farthest_p(m, a, b, enough, 1);
    case 2: return members_farthest_p(m, a, b, enough, 2);
    case 3: return members_farthest_p(m, a, b, enough, 3);
    case 4: return members_farthest_p(m, a, b, enough, 4);
    default: return members_farthest_p(m, a, b, enough, m->p);
    }
}

/* -- merging -- */

/* Clusters a and b become one, of id `merged`, which is one of theirs. halves: they count alike, whatever they weigh. */
static inline void members_unite(members *m, int32_t a, int32_t b, int32_t merged, int halves) {
    const int32_t both[2] = {a, b}, first = m->first[a], last = m->last[b];
    if (m->known) members_unite_known(m, a, b, merged, halves ? 0.5 : m->total[a] / (m->total[a] + m->total[b]));
    if (m->measure == MEMBERS_MEAN) {
        for (int i = 0; i < 2 && halves && !m->known; i++) {
            for (int32_t run = m->first[both[i]]; run >= 0; run = m->next[run]) m->factor[run] *= 0.5;
        }
        m->total[merged] = halves ? 1 : m->total[a] + m->total[b];
    }
    if (m->known) return;
    m->next[m->last[a]] = m->first[b];
    m->first[merged] = first;
    m->last[merged] = last;
}

/* The boxes of all TREE_LEAF points in a row. */
static inline void members_fit(members *m, ptrdiff_t n) {
    const ptrdiff_t p = m->p;
    for (ptrdiff_t block = 0; block * TREE_LEAF < n; block++) {
        const ptrdiff_t stop = (block + 1) * TREE_LEAF < n ? (block + 1) * TREE_LEAF : n;
        double *box = m->boxes + block * 2 * p;
        for (ptrdiff_t c = 0; c < p; c++) {
            double least = INFINITY, most = -INFINITY;
            for (ptrdiff_t y = block * TREE_LEAF; y < stop; y++) {
                const double value = m->columns[c * m->stride + y];
                least = value < least ? value : least;
                most = value > most ? value : most;
            }
            box[c] = least;
            box[p + c] = most;
        }
    }
}

/* Moves the points to `to` (p x stride, and weights) so that those of each cluster are one run, in this order. */
static inline void members_gather(members *m, const int32_t *ids, ptrdiff_t clusters, double *to) {
    const ptrdiff_t p = m->p, stride = m->stride;
    const int weighted = m->measure == MEMBERS_MEAN;
    int32_t at = 0;
    for (ptrdiff_t i = 0; i < clusters; i++) {
        const int32_t cluster = ids[i], begin = at;
        for (int32_t run = m->first[cluster]; run >= 0; run = m->next[run]) {
            for (int32_t y = m->begin[run]; y < m->end[run]; y++, at++) {
                for (ptrdiff_t c = 0; c < p; c++) to[c * stride + at] = m->columns[c * stride + y];
                if (weighted) to[p * stride + at] = m->columns[p * stride + y] * m->factor[run];
            }
        }
        /* For now; a run of another cluster may have this id. */
        m->first[cluster] = begin;
        m->last[cluster] = at;
    }
    for (ptrdiff_t i = 0; i < clusters; i++) {
        const int32_t cluster = ids[i];
        m->begin[cluster] = m->first[cluster];
        m->end[cluster] = m->last[cluster];
        m->next[cluster] = -1;
        if (weighted) m->factor[cluster] = 1;
        m->first[cluster] = m->last[cluster] = cluster;
    }
    m->columns = to;
    members_fit(m, at);
}

#endif
