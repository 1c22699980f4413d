/* Lists of the nearest neighbors of every position, in one type: included by triangle.h, as triangle_typed.h is.
 *
 * Rows are settled from the last to the first; a position learns of those to its right from its own row, and of those
 * to its left one by one, as their rows are settled. Of equally near ones the right go before the left, and closer
 * positions before others: so whoever comes later has to be nearer to get onto a full list, and what is on it in the
 * end does not depend on which thread has seen which rows.
 */

/* Whether neighbor `one` of a position goes behind `other`, which is as near. */
FC_INLINE int TYPED(behind)(int32_t position, int32_t one, int32_t other) {
    const int one_left = one < position, other_left = other < position;
    if (one_left != other_left) return one_left;
    return one_left ? one < other : one > other;
}

/* The last of a full list: the farthest, or behind those as far. */
FC_INLINE int TYPED(last_listed)(const real *values, const int32_t *ids, int32_t position) {
    real most = values[0];
    for (int i = 1; i < LISTED; i++) most = values[i] > most ? values[i] : most;
    uint32_t farthest = 0;
    for (int i = 0; i < LISTED; i++) farthest |= (uint32_t)(values[i] == most) << i;
    int last = __builtin_ctz(farthest);
    while (farthest &= farthest - 1) {
        const int other = __builtin_ctz(farthest);
        if (TYPED(behind)(position, ids[other], ids[last])) last = other;
    }
    return last;
}

/* A neighbor nearer than the bound joins the list of `position`; of a full list the last one leaves. */
static inline void TYPED(list_neighbor)(const nearby *lists, ptrdiff_t position, real value, int32_t neighbor) {
    real *values = (real *)lists->values + position * LISTED, *bound = (real *)lists->bounds + position;
    int32_t *ids = lists->ids + position * LISTED;
    const int count = lists->counts[position], at = count < LISTED ? count : lists->last[position];
    values[at] = value;
    ids[at] = neighbor;
    if (count < LISTED) lists->counts[position]++;
    if (count >= LISTED - 1) {
        const int last = TYPED(last_listed)(values, ids, (int32_t)position);
        lists->last[position] = (uint8_t)last;
        *bound = values[last] < *bound ? values[last] : *bound;
    }
}

/* Offer `row`, with these values, to the columns [start, stop): as the nearest to the left, the lowest of those as
 * near, and for their lists. */
static inline void TYPED(offer)(const nearby *lists, const real *values, ptrdiff_t row, ptrdiff_t start,
                                ptrdiff_t stop) {
    real *restrict least = (real *)lists->least;
    index *restrict rows = (index *)lists->least_rows;
    for (ptrdiff_t j = start; j < stop; j++) {
        const int nearer = values[j] <= least[j];
        least[j] = nearer ? values[j] : least[j];
        rows[j] = nearer ? (index)row : rows[j];
    }
    for (ptrdiff_t j = start; j < stop; j++) {
        if (values[j] < ((const real *)lists->bounds)[j]) TYPED(list_neighbor)(lists, j, values[j], (int32_t)row);
    }
}

/* The same, quickly where no column's bound is met, as it is in most places. What is beyond a bound is not the nearest.
 * */
FC_INLINE void TYPED(offer_run)(const nearby *lists, const real *values, ptrdiff_t row, ptrdiff_t start,
                                ptrdiff_t stop) {
    const real *bounds = (const real *)lists->bounds;
    ptrdiff_t j = start;
    for (; j + 2 * VEC_LANES <= stop; j += 2 * VEC_LANES) {
        const uint32_t met = VEC(at_most)(VEC(load)(values + j), VEC(load)(bounds + j)) |
                             VEC(at_most)(VEC(load)(values + j + VEC_LANES), VEC(load)(bounds + j + VEC_LANES));
        if (met) TYPED(offer)(lists, values, row, j, j + 2 * VEC_LANES);
    }
    TYPED(offer)(lists, values, row, j, stop);
}

/* A bound that LISTED of some values keep: the LISTED-th of `count` of them that are the least of disjoint parts. */
FC_INLINE real TYPED(bound_of)(real *leasts, int count) {
    for (int i = 0; i < LISTED; i++) {
        int least = i;
        for (int l = i + 1; l < count; l++) least = leasts[l] < leasts[least] ? l : least;
        const real value = leasts[least];
        leasts[least] = leasts[i];
        leasts[i] = value;
    }
    return leasts[LISTED - 1];
}

/* What of [start, stop) is not farther from `row`, to their left, than `most`, joins its list. */
FC_INLINE void TYPED(list_run)(const nearby *lists, const real *values, ptrdiff_t row, ptrdiff_t start,
                               ptrdiff_t stop, real most) {
    const real *bound = (const real *)lists->bounds + row;
    const vec at_most = VEC(set1)(most);
    ptrdiff_t j = start;
    for (; j + 2 * VEC_LANES <= stop; j += 2 * VEC_LANES) {
        uint32_t met = VEC(at_most)(VEC(load)(values + j), at_most) |
                       VEC(at_most)(VEC(load)(values + j + VEC_LANES), at_most) << VEC_LANES;
        for (; met; met &= met - 1) {
            const ptrdiff_t i = j + __builtin_ctz(met);
            if (values[i] < *bound) TYPED(list_neighbor)(lists, row, values[i], (int32_t)i);
        }
    }
    for (; j < stop; j++) {
        if (values[j] < *bound) TYPED(list_neighbor)(lists, row, values[j], (int32_t)j);
    }
}

static inline void TYPED(clear_lists)(const nearby *lists, ptrdiff_t n) {
    memset(lists->counts, 0, (size_t)n);
    for (ptrdiff_t j = 0; j < n; j++) {
        ((real *)lists->least)[j] = INFINITY;
        ((index *)lists->least_rows)[j] = -1;
        ((real *)lists->bounds)[j] = INFINITY;
    }
}

/* Let all `parts` threads know the bounds of the rows [start, stop). */
static inline void TYPED(share_bounds)(const nearby *lists, ptrdiff_t parts, ptrdiff_t start, ptrdiff_t stop) {
    for (ptrdiff_t row = start; row < stop; row++) {
        real least = INFINITY;
        for (ptrdiff_t part = 0; part < parts; part++) {
            const real bound = ((const real *)lists[part].bounds)[row];
            least = bound < least ? bound : least;
        }
        for (ptrdiff_t part = 0; part < parts; part++) ((real *)lists[part].bounds)[row] = least;
    }
}

/* A neighbor of `position` that another thread has listed joins the list, if it belongs there. */
static inline void TYPED(join_neighbor)(const nearby *lists, ptrdiff_t position, real value, int32_t neighbor) {
    real *values = (real *)lists->values + position * LISTED;
    int32_t *ids = lists->ids + position * LISTED;
    int at = lists->counts[position];
    if (at < LISTED) {
        lists->counts[position]++;
    } else {
        at = TYPED(last_listed)(values, ids, (int32_t)position);
        if (value > values[at]) return;
        if (value == values[at] && TYPED(behind)((int32_t)position, neighbor, ids[at])) return;
    }
    values[at] = value;
    ids[at] = neighbor;
}

/* Put a list in the order of positions: which thread has seen which rows, and when, must not matter. */
static inline void TYPED(sort_list)(real *values, int32_t *ids, int count) {
    for (int i = 1; i < count; i++) {
        const real value = values[i];
        const int32_t id = ids[i];
        int at = i;
        for (; at > 0 && ids[at - 1] > id; at--) {
            values[at] = values[at - 1];
            ids[at] = ids[at - 1];
        }
        values[at] = value;
        ids[at] = id;
    }
}

/* What `parts` threads have found, joined: the nearest neighbors, the lowest of those as near, in t; the lists in
 * lists[0], with the greatest distance on a full one as its bound, and no bound elsewhere. */
static inline void TYPED(join_lists)(const triangle *t, const nearby *lists, ptrdiff_t parts) {
    for (ptrdiff_t j = 0; j < t->n; j++) {
        real least = INFINITY;
        index row = -1;
        for (ptrdiff_t part = 0; part < parts; part++) {
            const real candidate = ((const real *)lists[part].least)[j];
            const index candidate_row = ((const index *)lists[part].least_rows)[j];
            if (candidate_row >= 0 && (row < 0 || candidate < least || (candidate == least && candidate_row < row))) {
                least = candidate;
                row = candidate_row;
            }
        }
        if (row >= 0 && (t->nearest[j] < 0 || least <= ((real *)t->distances)[j])) {
            t->nearest[j] = (int32_t)row;
            ((real *)t->distances)[j] = least;
        }
        for (ptrdiff_t part = 1; part < parts; part++) {
            for (int i = 0; i < lists[part].counts[j]; i++) {
                TYPED(join_neighbor)(lists, j, ((const real *)lists[part].values)[j * LISTED + i],
                                     lists[part].ids[j * LISTED + i]);
            }
        }
        real *values = (real *)lists->values + j * LISTED, *bound = (real *)lists->bounds + j;
        int32_t *ids = lists->ids + j * LISTED;
        *bound = INFINITY;
        if (lists->counts[j] == LISTED) *bound = values[TYPED(last_listed)(values, ids, (int32_t)j)];
        TYPED(sort_list)(values, ids, lists->counts[j]);
    }
}
