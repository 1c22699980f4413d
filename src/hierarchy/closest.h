/* Centroid and median linkage: merging the closest pair of clusters, and again, by all pairs that are nearer than some
 * reach: many of the merges for one pass over the triangle.
 *
 * Merging may bring clusters nearer to each other, so the order matters: every cluster has links with others that it
 * may be nearer to than a floor, each with the distance or a bound for it; the nearest of each are in a heap, and what
 * comes to its top as a bound is computed. Of equally near pairs the lowest position goes first, then the lowest
 * partner.
 *
 * The formulas are linear: the distance of two clusters is a weighted mean of those between their members, less a
 * spread of each of the two, which is all that the formula has taken off while the cluster was made. Pairs of members
 * within reach are known, all others are no nearer than the reach: that makes a bound for every pair of clusters, and
 * for most a close one. A cluster that is made is linked with all whose bound is below the floor; clusters that do not
 * know a member of each other are, if their spreads together are as great as what the floor is less than the reach.
 *
 * All in float64, whatever the triangle holds. One thread; nothing depends on time.
 */
#ifndef FASTCLUSTER_EXT_CLOSEST_H
#define FASTCLUSTER_EXT_CLOSEST_H

#include "merging.h"

/* Members of a cluster, at most. */
enum { CLOSEST_MEMBERS = 256 };

/* Tuning, by benchmarks/bench_hierarchy.py. How many pairs may be linked to begin with, for each cluster, and how near
 * they may be, of the reach; how many of a sample of two pairs for each cluster must be that near. Another merge before
 * the next pass is worth some distances that are read for it, one for WORTH clusters; what merges have not used, others
 * may, up to SAVED times as many. */
enum { LINKED_EACH = 8, CLOSE_SAMPLED = 3, WORTH = 64, SAVED = 64 };
enum { SAMPLED_AHEAD = 16 }; /* pairs of a sample that are asked for before they are read */
#define LINKED_REACH 0.45

/* A pair of members within reach, as one of them sees it. */
typedef struct {
    float distance; /* or a little less */
    int32_t other;  /* position */
} known_pair;

/* A link of a cluster with one that was there when it was made. */
typedef struct {
    double value;  /* their distance, or a lower bound for it */
    int32_t other; /* node */
    int32_t exact; /* whether the value is the distance */
} closest_link;

/* A member: a cluster of the triangle. */
typedef struct {
    double share;       /* its weight in the cluster it belongs to */
    int32_t at;         /* position of that cluster */
    int32_t next, last; /* the cluster's next member; its last one, told by its first, which is at its position */
} member;

/* What a cluster knows of another while it is linked. */
typedef struct {
    double sum, weight; /* of the distances of pairs of members */
    int32_t pairs;
} acquaintance;

typedef struct {
    double reach;         /* pairs of members nearer than that are known */
    double linked;        /* pairs of clusters nearer than that are linked, to begin with */
    double floor;         /* and always those nearer than that */
    double margin;        /* what bounds are less, for errors of rounding */
    known_pair *known;    /* two for each near pair */
    closest_link *links;
    ptrdiff_t capacity, used; /* of links */
    /* By position. */
    int32_t *known_begin; /* n + 1: of what its member knows */
    int32_t *begin, *count; /* of its cluster's links */
    double *spread;       /* of the cluster there */
    member *members;
    double *key;          /* what none of its cluster's links is below */
    int32_t *heap;        /* positions, the least key on top */
    int32_t *heap_at;     /* where in the heap; -1: not there */
    ptrdiff_t heaped;
    acquaintance *known_of; /* while a cluster is linked, by position of the other */
    int32_t *met;         /* n + 1: positions of those it knows of */
    int32_t *spreading;   /* positions where clusters have been made, some given up */
    ptrdiff_t n_spreading;
    double greatest;      /* spread */
    ptrdiff_t worth, reads; /* distances between members that may be read for a merge, and now */
} closest_first;

FC_INLINE int heap_before(const closest_first *c, int32_t x, int32_t y) {
    return c->key[x] < c->key[y] || (c->key[x] == c->key[y] && x < y);
}

FC_INLINE void heap_put(closest_first *c, ptrdiff_t at, int32_t x) {
    c->heap[at] = x;
    c->heap_at[x] = (int32_t)at;
}

static inline void heap_up(closest_first *c, ptrdiff_t at) {
    const int32_t x = c->heap[at];
    while (at > 0 && heap_before(c, x, c->heap[(at - 1) / 2])) {
        heap_put(c, at, c->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(c, at, x);
}

static inline void heap_down(closest_first *c, ptrdiff_t at) {
    const int32_t x = c->heap[at];
    for (ptrdiff_t child; (child = 2 * at + 1) < c->heaped; at = child) {
        if (child + 1 < c->heaped && heap_before(c, c->heap[child + 1], c->heap[child])) child++;
        if (!heap_before(c, c->heap[child], x)) break;
        heap_put(c, at, c->heap[child]);
    }
    heap_put(c, at, x);
}

static inline void heap_remove(closest_first *c, int32_t x) {
    const ptrdiff_t at = c->heap_at[x];
    if (at < 0) return;
    c->heap_at[x] = -1;
    const int32_t last = c->heap[--c->heaped];
    if (last == x) return;
    heap_put(c, at, last);
    heap_up(c, at);
    heap_down(c, c->heap_at[last]);
}

static inline void heap_set(closest_first *c, int32_t x, double key) {
    c->key[x] = key;
    if (c->heap_at[x] < 0) heap_put(c, c->heaped++, x);
    heap_up(c, c->heap_at[x]);
    heap_down(c, c->heap_at[x]);
}

/* What all members know, from the near pairs of a pass, by position. */
static inline void sort_known(closest_first *c, const triangle *t, const near_pairs *near) {
    const ptrdiff_t n = t->n;
    int32_t *put = c->met; /* where the next of each goes */
    for (ptrdiff_t x = 0; x <= n; x++) c->known_begin[x] = 0;
    for (ptrdiff_t x = 0; x < n; x++) {
        const int32_t *columns = near->columns + near->begin[x];
        c->known_begin[x + 1] += near->counts[x];
        for (int32_t i = 0; i < near->counts[x]; i++) c->known_begin[columns[i] + 1]++;
    }
    for (ptrdiff_t x = 0; x < n; x++) {
        put[x] = c->known_begin[x];
        c->known_begin[x + 1] += c->known_begin[x];
    }
    for (int32_t x = 0; x < (int32_t)n; x++) {
        for (int32_t i = near->begin[x]; i < near->begin[x] + near->counts[x]; i++) {
            const int32_t y = near->columns[i];
            const double distance = triangle_real(t, near->values, i);
            float least = (float)distance;
            if ((double)least > distance) least = nextafterf(least, -INFINITY);
            c->known[put[x]++] = (known_pair){least, y};
            c->known[put[y]++] = (known_pair){least, x};
        }
    }
}

/* Links go no farther than this. */
static inline void set_floor(closest_first *c) {
    const double reached = c->reach - c->greatest - c->margin;
    c->floor = reached < c->linked ? reached : c->linked;
}

static inline int add_link(closest_first *c, double value, int32_t other, int exact) {
    if (c->used >= c->capacity) return 0;
    c->links[c->used++] = (closest_link){value, other, exact};
    return 1;
}

/* The nearest link of the cluster at `position`, of those as near that with the lowest positions; -1: it has none.
 * Links with what has merged are dropped. */
static inline ptrdiff_t nearest_link(closest_first *c, const merging *g, int32_t position) {
    const ptrdiff_t begin = c->begin[position];
    ptrdiff_t stop = begin + c->count[position], best = -1;
    int32_t best_place = 0;
    for (ptrdiff_t i = begin; i < stop;) {
        const int32_t place = g->place[c->links[i].other];
        if (place == NODE_NONE) {
            c->links[i] = c->links[--stop];
            continue;
        }
        /* All have one end in common: the lower the other, the lower the pair. */
        if (best < 0 || c->links[i].value < c->links[best].value ||
            (c->links[i].value == c->links[best].value && place < best_place)) {
            best = i;
            best_place = place;
        }
        i++;
    }
    c->count[position] = (int32_t)(stop - begin);
    return best;
}

static inline void find_key(closest_first *c, const merging *g, int32_t position) {
    const ptrdiff_t best = nearest_link(c, g, position);
    if (best < 0) {
        heap_remove(c, position);
    } else {
        heap_set(c, position, c->links[best].value);
    }
}

/* Begin with the triangle's clusters and the near pairs of them that a pass has found. */
static inline void closest_begin(closest_first *c, merging *g, const triangle *t, const near_pairs *near) {
    const int32_t n = (int32_t)t->n;
    merging_begin(g, t);
    c->used = c->heaped = c->n_spreading = 0;
    c->reach = near->reach;
    c->linked = near->linked;
    c->margin = isfinite(c->reach) ? fabs(c->reach) * 0x1p-40 : 0;
    c->greatest = 0;
    c->worth = 8 + n / WORTH;
    c->reads = SAVED * c->worth;
    set_floor(c);
    for (int32_t x = 0; x < n; x++) {
        c->begin[x] = c->count[x] = 0;
        c->spread[x] = 0;
        c->members[x] = (member){1, x, NODE_NONE, x};
        c->known_of[x] = (acquaintance){0, 0, 0};
        c->heap_at[x] = -1;
    }
    if (near->found > near->capacity) return; /* some have been left out */
    sort_known(c, t, near);
    for (int32_t x = 0; x < n; x++) {
        c->begin[x] = (int32_t)c->used;
        for (int32_t i = near->begin[x]; i < near->begin[x] + near->counts[x]; i++) {
            const double value = triangle_real(t, near->values, i);
            if (value < c->linked && !add_link(c, value, near->columns[i], 1)) c->floor = -INFINITY;
        }
        c->count[x] = (int32_t)c->used - c->begin[x];
        find_key(c, g, x);
    }
}

/* Sum up, for all clusters, what the members of the one at b know of theirs. Returns how many clusters there are. */
static inline ptrdiff_t meet_known(closest_first *c, int32_t b) {
    const member *members = c->members;
    int32_t *met = c->met;
    for (int32_t x = b; x != NODE_NONE; x = members[x].next) {
        const double own = members[x].share;
        for (int32_t i = c->known_begin[x]; i < c->known_begin[x + 1]; i++) {
            const known_pair pair = c->known[i];
            const member *other = members + pair.other;
            const double weight = own * other->share;
            acquaintance *of = c->known_of + other->at;
            *met = other->at;
            met += of->pairs == 0;
            of->pairs++;
            of->sum += weight * (double)pair.distance;
            of->weight += weight;
        }
    }
    return met - c->met;
}

/* Link the cluster that has just been made at b. */
static inline void link_made(closest_first *c, const merging *g, int32_t b) {
    const double own = c->spread[b], apart = c->reach - c->linked - 2 * c->margin;
    const ptrdiff_t met = meet_known(c, b);
    int room = 1;
    c->begin[b] = (int32_t)c->used;
    c->known_of[b].pairs = 1; /* not with itself */
    for (ptrdiff_t i = 0; i < met; i++) {
        const int32_t y = c->met[i];
        if (y == b) continue;
        const acquaintance *of = c->known_of + y;
        double mean = of->sum;
        if (of->pairs < g->members[g->node[b]] * g->members[g->node[y]]) mean += (1 - of->weight) * c->reach;
        const double bound = below(mean - own - c->spread[y]) - c->margin;
        if (bound < c->floor) room &= add_link(c, bound, g->node[y], 0);
    }
    const ptrdiff_t spreading = own + c->greatest < apart ? 0 : c->n_spreading;
    for (ptrdiff_t i = 0; i < spreading; i++) {
        const int32_t y = c->spreading[i];
        if (c->members[y].at != y || c->known_of[y].pairs || own + c->spread[y] < apart) continue;
        const double bound = below(c->reach - own - c->spread[y]) - c->margin;
        if (bound < c->floor) room &= add_link(c, bound, g->node[y], 0);
    }
    for (ptrdiff_t i = 0; i < met; i++) c->known_of[c->met[i]] = (acquaintance){0, 0, 0};
    c->known_of[b].pairs = 0;
    c->count[b] = (int32_t)c->used - c->begin[b];
    if (!room) c->floor = -INFINITY;
}

static inline void merge_closest(closest_first *c, merging *g, lw_method method, int32_t a, int32_t b, double height) {
    const double size_a = g->sizes[g->node[a]], size_b = g->sizes[g->node[b]];
    const double share_a = lw_apply(method, 1, 0, 0, size_a, size_b, 0);
    const double share_b = lw_apply(method, 0, 1, 0, size_a, size_b, 0);
    member *members = c->members;
    for (int32_t x = a; x != NODE_NONE; x = members[x].next) {
        members[x].share *= share_a;
        members[x].at = b;
    }
    for (int32_t x = b; x != NODE_NONE; x = members[x].next) members[x].share *= share_b;
    members[members[b].last].next = a;
    members[b].last = members[a].last;
    if (g->node[b] < g->n) c->spreading[c->n_spreading++] = b;
    c->spread[b] = -lw_apply(method, -c->spread[a], -c->spread[b], height, size_a, size_b, 0);
    if (c->spread[b] > c->greatest) c->greatest = c->spread[b];
    merge_clusters(g, a, b, height);
    c->reads = c->reads + c->worth < SAVED * c->worth ? c->reads + c->worth : SAVED * c->worth;
    set_floor(c);
    link_made(c, g, b);
    heap_remove(c, a);
    find_key(c, g, b);
}

/* The two clusters of a link, ascending. */
typedef struct {
    int32_t a, b;
} position_pair;

static inline position_pair ends_of(const closest_first *c, const merging *g, int32_t x, ptrdiff_t link) {
    const int32_t y = g->place[c->links[link].other];
    return x < y ? (position_pair){x, y} : (position_pair){y, x};
}

/* Compute the distance that a link of x tells a bound for. Returns whether that may be done. */
static inline int make_exact(closest_first *c, const merging *g, const triangle *t, lw_method method, int32_t x,
                             closest_link *link) {
    const ptrdiff_t pairs = (ptrdiff_t)g->members[g->node[x]] * g->members[link->other];
    if (c->reads < pairs) return 0;
    c->reads -= pairs;
    if (pairs > 1) prefetch_between(g, t, g->node[x], link->other);
    link->value = distance_between(g, t, method, g->node[x], link->other);
    link->exact = 1;
    return 1;
}

/* The closest pair is on top of the heap, link `nearest` of x, but others may be as close: the lowest of them, to
 * `best`. Returns whether that can be told. */
static inline int lowest_closest(closest_first *c, const merging *g, const triangle *t, lw_method method, int32_t x,
                                 ptrdiff_t nearest, position_pair *best) {
    const double value = c->links[nearest].value;
    int32_t *tied = c->met;
    ptrdiff_t n_tied = 0;
    int told = 1;
    *best = ends_of(c, g, x, nearest);
    tied[n_tied++] = x;
    heap_remove(c, x);
    while (told && c->heaped > 0 && !(c->key[c->heap[0]] > value)) {
        x = c->heap[0];
        nearest = nearest_link(c, g, x);
        if (nearest < 0 || c->links[nearest].value > value) {
            find_key(c, g, x);
        } else if (!c->links[nearest].exact) {
            told = make_exact(c, g, t, method, x, c->links + nearest) && c->links[nearest].value >= value;
        } else {
            const position_pair pair = ends_of(c, g, x, nearest);
            if (pair.a < best->a || (pair.a == best->a && pair.b < best->b)) *best = pair;
            tied[n_tied++] = x;
            heap_remove(c, x);
            told = c->reads-- > 0;
        }
    }
    for (ptrdiff_t i = 0; i < n_tied; i++) heap_set(c, tied[i], value);
    return told;
}

/* Look at so many links, and merge what can be. Returns whether there are more. */
static inline int closest_go_on(closest_first *c, merging *g, const triangle *t, lw_method method, ptrdiff_t many) {
    while (many-- > 0) {
        if (c->heaped == 0 || 2 * g->merges >= g->n) return 0;
        const int32_t x = c->heap[0];
        const ptrdiff_t nearest = nearest_link(c, g, x);
        if (nearest < 0 || c->links[nearest].value > c->key[x]) {
            find_key(c, g, x);
            continue;
        }
        closest_link *link = c->links + nearest;
        const double value = link->value;
        if (!(value < c->floor)) return 0;
        if (!link->exact) {
            if (!make_exact(c, g, t, method, x, link)) return 0;
            find_key(c, g, x);
            continue;
        }
        position_pair pair;
        if (!lowest_closest(c, g, t, method, x, nearest, &pair)) return 0;
        if (!can_merge(g, pair.a, pair.b, CLOSEST_MEMBERS)) return 0;
        merge_closest(c, g, method, pair.a, pair.b, value);
    }
    return 1;
}

FC_INLINE uint64_t next_random(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* The least but `rank` of `count` values, which change places. */
static inline double select_value(double *values, ptrdiff_t count, ptrdiff_t rank) {
    for (ptrdiff_t low = 0, high = count - 1; low < high;) {
        const double pivot = values[low + (high - low) / 2];
        ptrdiff_t i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot) i++;
            while (pivot < values[j]) j--;
            if (i > j) break;
            const double value = values[i];
            values[i++] = values[j];
            values[j--] = value;
        }
        if (rank <= j) {
            high = j;
        } else if (rank >= i) {
            low = i;
        } else {
            break;
        }
    }
    return values[rank];
}

/* How near the pairs are that the next pass over the clusters, as merged so far, is to find, about `pairs` of them, and
 * those of them that are linked to begin with: from a sample of their distances, which takes the place of links.
 * Returns whether it is worth while: where hardly any pair is much nearer than the reach, as in many dimensions, few
 * will merge. */
static inline int choose_reach(closest_first *c, const merging *g, const triangle *t, lw_method method, double pairs,
                               near_pairs *near) {
    int32_t *alive = c->met;
    ptrdiff_t n = 0, sampled = 0, close = 0;
    for (int32_t x = 0; x < (int32_t)g->n; x++) {
        if (g->node[x] != NODE_NONE) alive[n++] = g->node[x];
    }
    double *sample = (double *)c->links; /* two of each cluster: there is room for as many */
    uint64_t state = 0;
    for (ptrdiff_t i = 0; i < 2 * n; i += SAMPLED_AHEAD) {
        int32_t x[SAMPLED_AHEAD], y[SAMPLED_AHEAD];
        for (int s = 0; s < SAMPLED_AHEAD; s++) {
            const uint64_t random = next_random(&state);
            x[s] = alive[(random & 0xFFFFFFFFu) * (uint64_t)n >> 32];
            y[s] = alive[(random >> 32) * (uint64_t)n >> 32];
            if (x[s] != y[s]) prefetch_between(g, t, x[s], y[s]);
        }
        for (int s = 0; s < SAMPLED_AHEAD && i + s < 2 * n; s++) {
            if (x[s] == y[s]) continue;
            const double value = distance_between(g, t, method, x[s], y[s]);
            if (value == value) sample[sampled++] = value;
        }
    }
    if (sampled == 0) return 0;
    const double each = (double)sampled / ((double)n * (double)(n - 1) / 2);
    const ptrdiff_t last = sampled - 1, reach = (ptrdiff_t)(pairs * each);
    const ptrdiff_t linked = (ptrdiff_t)((double)LINKED_EACH * (double)n * each);
    near->reach = select_value(sample, sampled, reach < last ? reach : last);
    near->linked = select_value(sample, sampled, linked < last ? linked : last);
    const double most = near->reach > 0 ? near->reach * LINKED_REACH : near->reach;
    near->linked = near->linked < most ? near->linked : most;
    for (ptrdiff_t i = 0; i < sampled; i++) close += sample[i] < near->linked;
    return close >= CLOSE_SAMPLED;
}

#endif
