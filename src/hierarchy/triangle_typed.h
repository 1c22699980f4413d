/* triangle.h's work in one type: included there once with real = float and once with real = double. `index` is the
 * integer of that width, so that a loop over distances and positions is one vector loop. No include guard: on purpose.
 */

/* The first of [start, stop) with values[z] <= value; `stop` if there is none. */
static inline ptrdiff_t TYPED(first_at_most)(const real *restrict values, real value, ptrdiff_t start, ptrdiff_t stop) {
    ptrdiff_t z = start;
    const vec bound = VEC(set1)(value);
    while (z + VEC_LANES <= stop && !VEC(at_most)(VEC(load)(values + z), bound)) z += VEC_LANES;
    while (z < stop && !(values[z] <= value)) z++;
    return z;
}

/* The least of `count` values, those that are NaN left out; lanes[]: the least of disjoint parts of them so far. */
FC_INLINE real TYPED(least_value)(const real *values, ptrdiff_t count, real *lanes) {
    real both[VEC_LANES], least = INFINITY;
    vec low = VEC(set1)((real)INFINITY), next = low;
    ptrdiff_t i = 0;
    for (; i + 2 * VEC_LANES <= count; i += 2 * VEC_LANES) {
        low = VEC(min)(VEC(load)(values + i), low); /* in this order NaN is left out */
        next = VEC(min)(VEC(load)(values + i + VEC_LANES), next);
    }
    for (; i < count; i++) least = values[i] < least ? values[i] : least;
    VEC(store)(lanes, VEC(min)(low, VEC(load)(lanes)));
    VEC(store)(lanes + VEC_LANES, VEC(min)(next, VEC(load)(lanes + VEC_LANES)));
    VEC(store)(both, VEC(min)(low, next));
    for (int l = 0; l < VEC_LANES; l++) least = both[l] < least ? both[l] : least;
    return least;
}

/* The least of values[start..stop), and the first position that has it; -1 if the run is empty. */
static inline nearest_found TYPED(least_of)(const real *values, ptrdiff_t start, ptrdiff_t stop) {
    nearest_found best = {INFINITY, start < stop ? start : -1};
    real least = INFINITY, lanes[VEC_PARTS];
    for (int l = 0; l < VEC_PARTS; l++) lanes[l] = INFINITY;
    for (ptrdiff_t run = start; run < stop; run += NEAREST_RUN) {
        const real run_least =
            TYPED(least_value)(values + run, stop - run < NEAREST_RUN ? stop - run : NEAREST_RUN, lanes);
        if (run_least < least) {
            least = run_least;
            best.position = run;
        }
    }
    if (best.position >= 0) {
        best.position = TYPED(first_at_most)(values, least, best.position, stop);
        if (best.position == stop) best.position = start; /* nothing but NaN */
        best.distance = values[best.position];
    }
    return best;
}

/* A value stored at (i, j), i < j, as the formula wants it: squared, scaled, and multiplied by 2 w w' / (w + w') when
 * weights are given, as long as the triangle holds the caller's distances for a squared method. */
FC_INLINE real TYPED(taken)(const triangle *t, real value, ptrdiff_t i, ptrdiff_t j) {
    if (t->scale == 0) return value;
    if (!t->weights) {
        const real scaled = value * (real)t->scale;
        return scaled * scaled;
    }
    const double own = t->weights[i], other = t->weights[j], scaled = value * t->scale;
    return (real)(scaled * scaled * (2 * (own * (other / (own + other)))));
}

/* Ask for the run of a row that begins at `start`, while the one before is worked on: memory has nothing to do then. */
FC_INLINE void TYPED(fetch_run)(const real *row, ptrdiff_t start, ptrdiff_t n) {
    const ptrdiff_t stop = n - start < NEAREST_RUN ? n : start + NEAREST_RUN;
    for (ptrdiff_t j = start; j < stop; j += 64 / (ptrdiff_t)sizeof(real)) __builtin_prefetch(row + j);
}

/* What can be indexed with column numbers of [start, stop) for the values of a row: these themselves, or a copy in
 * `scratch` (that many) if they are not stored as they are wanted. */
static inline const real *TYPED(taken_run)(const triangle *t, ptrdiff_t row, const real *restrict values,
                                           ptrdiff_t start, ptrdiff_t stop, real *restrict scratch) {
    if (t->scale == 0) return values;
    if (t->weights) {
        for (ptrdiff_t j = start; j < stop; j++) scratch[j - start] = TYPED(taken)(t, values[j], row, j);
    } else {
        const real factor = (real)t->scale;
        for (ptrdiff_t run = start, end; run < stop; run = end) {
            end = stop - run < NEAREST_RUN ? stop : run + NEAREST_RUN;
            TYPED(fetch_run)(values, end, stop);
            for (ptrdiff_t j = run; j < end; j++) scratch[j - start] = (values[j] * factor) * (values[j] * factor);
        }
    }
    return scratch - start;
}

/* Let `seen` know of `count` values. */
static inline void TYPED(see)(extent *seen, const real *values, ptrdiff_t count) {
    real lanes[VEC_LANES], least = INFINITY, greatest = -INFINITY, doubt = 0;
    vec low = VEC(set1)(least), high = VEC(set1)(greatest), doubts = VEC(set1)(0);
    ptrdiff_t i = 0;
    for (; i + VEC_LANES <= count; i += VEC_LANES) {
        const vec value = VEC(load)(values + i);
        low = VEC(min)(value, low);
        high = VEC(max)(value, high);
        doubts = VEC(add)(doubts, VEC(sub)(value, value)); /* 0, or NaN from one that is not finite on */
    }
    for (; i < count; i++) {
        least = values[i] < least ? values[i] : least;
        greatest = values[i] > greatest ? values[i] : greatest;
        doubt += values[i] - values[i];
    }
    VEC(store)(lanes, low);
    for (int l = 0; l < VEC_LANES; l++) least = lanes[l] < least ? lanes[l] : least;
    VEC(store)(lanes, high);
    for (int l = 0; l < VEC_LANES; l++) greatest = lanes[l] > greatest ? lanes[l] : greatest;
    VEC(store)(lanes, doubts);
    for (int l = 0; l < VEC_LANES; l++) doubt += lanes[l];
    seen->least = least < seen->least ? least : seen->least;
    seen->greatest = greatest > seen->greatest ? greatest : seen->greatest;
    seen->finite &= doubt == 0;
}

/* Row `row` of a triangle of n, whose values [row + 1, n) are `from`, stored as t says: to `to`, unless that is NULL or
 * where they are; its nearest to the right to nearest[] and distances[] of t. With `lists`, not NULL, its nearest ones
 * go onto its own list, and it is offered to all columns to its right. `seen`, not NULL, is told of what is stored.
 * Rows must come in descending order. */
static inline void TYPED(settle_row)(const triangle *t, ptrdiff_t row, const void *from, void *to,
                                     const nearby *lists, extent *seen) {
    const ptrdiff_t n = t->n;
    const real *stored = (const real *)from - row - 1;
    real *place = to ? (real *)to - row - 1 : NULL, scratch[NEAREST_RUN], least = INFINITY;
    real lanes[VEC_PARTS], leasts[SETTLED_RUNS];
    for (int l = 0; l < VEC_PARTS; l++) lanes[l] = INFINITY;
    ptrdiff_t best = row + 1;
    for (ptrdiff_t run = row + 1, end; run < n; run = end) {
        end = n - run < NEAREST_RUN ? n : run + NEAREST_RUN;
        TYPED(fetch_run)(stored, end, n);
        if (seen) TYPED(see)(seen, stored + run, end - run);
        const real *values = TYPED(taken_run)(t, row, stored, run, end, scratch);
        const real run_least = TYPED(least_value)(values + run, end - run, lanes);
        if (run_least < least) {
            least = run_least;
            best = run;
        }
        if (place && place + run != values + run) {
            memcpy(place + run, values + run, (size_t)(end - run) * sizeof(real));
        }
        if (lists) {
            leasts[(run - row - 1) / NEAREST_RUN % SETTLED_RUNS] = run_least;
            TYPED(offer_run)(lists, values, row, run, end);
        }
    }
    /* From here on: what has been written may have been written over what was stored. */
    const real most = TYPED(bound_of)(lanes, VEC_PARTS);
    for (ptrdiff_t run = row + 1, end; lists && run < n; run = end) {
        end = n - run < NEAREST_RUN ? n : run + NEAREST_RUN;
        const ptrdiff_t number = (run - row - 1) / NEAREST_RUN;
        /* Of very long rows not all are known any more. */
        if (n - row <= SETTLED_RUNS * NEAREST_RUN && leasts[number % SETTLED_RUNS] > most) continue;
        const real *values = place ? place : TYPED(taken_run)(t, row, stored, run, end, scratch);
        TYPED(list_run)(lists, values, row, run, end, most);
    }
    t->nearest[row] = NEAREST_NONE;
    if (best < n) {
        const ptrdiff_t end = n - best < NEAREST_RUN ? n : best + NEAREST_RUN;
        const real *values = place ? place : TYPED(taken_run)(t, row, stored, best, end, scratch);
        ptrdiff_t position = TYPED(first_at_most)(values, least, best, end);
        if (position == end) position = row + 1; /* nothing but NaN */
        t->nearest[row] = (int32_t)position;
        least = place ? place[position] : TYPED(taken)(t, stored[position], row, position);
    }
    ((real *)t->distances)[row] = least;
}

/* The nearest of the clusters at [start, stop) to x, itself left out. */
static inline nearest_found TYPED(scan_run)(const triangle *t, ptrdiff_t x, ptrdiff_t start, ptrdiff_t stop) {
    const real *values = (const real *)t->values, *restrict sizes = (const real *)t->sizes;
    const real *restrict right = values + triangle_offset(t->n, x);
    nearest_found best = {INFINITY, -1};
    const ptrdiff_t left_stop = stop < x ? stop : x;
    for (ptrdiff_t z = start; z < left_stop; z++) {
        const ptrdiff_t ahead = z + COLUMN_AHEAD < left_stop ? z + COLUMN_AHEAD : z;
        const real value = values[triangle_offset(t->n, z) + x];
        PREFETCH(values + triangle_offset(t->n, ahead) + x);
        if (sizes[z] > 0) prefer_nearest(&best, value, z);
    }
    for (ptrdiff_t run = start > x ? start : x + 1; run < stop; run += NEAREST_RUN) {
        const ptrdiff_t count = stop - run < NEAREST_RUN ? stop - run : NEAREST_RUN;
        real alive[NEAREST_RUN];
        for (ptrdiff_t i = 0; i < count; i++) alive[i] = sizes[run + i] > 0 ? right[run + i] : (real)INFINITY;
        const nearest_found found = TYPED(least_of)(alive, 0, count);
        ptrdiff_t position = run + found.position;
        if (found.distance == INFINITY) { /* dead, or infinitely far */
            while (position < stop && !(sizes[position] > 0)) position++;
            if (position == stop) continue;
            position = right[position] == (real)INFINITY ? position : -1;
        }
        prefer_nearest(&best, found.distance, position);
    }
    return best;
}

#define MERGE_LEFT(formula, t, method, a, b, start, stop, best)                                                        \
    do {                                                                                                               \
        real *values_ = (real *)(t)->values;                                                                           \
        const real *row_a_ = values_ + triangle_offset((t)->n, a), *sizes_ = (const real *)(t)->sizes;                 \
        const real size_a_ = sizes_[a], size_b_ = sizes_[b];                                                           \
        const real off_ = LW_TYPED(lw_off)(method, row_a_[b], size_a_, size_b_);                                       \
        const real part_ = LW_TYPED(lw_part)(method, size_a_, size_b_);                                                \
        for (ptrdiff_t z_ = start; z_ < (stop); z_++) {                                                                \
            const ptrdiff_t ahead_ = z_ + COLUMN_AHEAD < (stop) ? z_ + COLUMN_AHEAD : z_;                              \
            PREFETCH(values_ + triangle_offset((t)->n, ahead_) + (b));                                                 \
            if (ahead_ < (a)) PREFETCH(values_ + triangle_offset((t)->n, ahead_) + (a));                               \
            if (!(sizes_[z_] > 0) || z_ == (a)) continue;                                                              \
            real *row_z_ = values_ + triangle_offset((t)->n, z_);                                                      \
            const real to_a_ = z_ < (a) ? row_z_[a] : row_a_[z_];                                                      \
            const real merged_ = formula(to_a_, row_z_[b], off_, size_a_, part_, sizes_[z_]);                          \
            row_z_[b] = merged_;                                                                                       \
            if ((t)->nearest[z_] == (a) || (t)->nearest[z_] == (b)) (t)->nearest[z_] = NEAREST_UNKNOWN;                \
            prefer_nearest(best, (double)merged_, z_);                                                                 \
        }                                                                                                              \
    } while (0)

/* row_to[z] from row_a[z] and row_b[z]: where both are stored side by side. */
#define MERGE_RIGHT(formula, t, method, a, b, start, stop, row_a, row_b, row_to)                                       \
    do {                                                                                                               \
        const real *restrict sizes_ = (const real *)(t)->sizes;                                                        \
        const real size_a_ = sizes_[a], size_b_ = sizes_[b];                                                           \
        const real off_ = LW_TYPED(lw_off)(method, ((const real *)(t)->values)[triangle_offset((t)->n, a) + (b)],      \
                                           size_a_, size_b_);                                                          \
        const real part_ = LW_TYPED(lw_part)(method, size_a_, size_b_);                                                \
        for (ptrdiff_t z_ = start; z_ < (stop); z_++) {                                                                \
            (row_to)[z_] = formula((row_a)[z_], (row_b)[z_], off_, size_a_, part_, sizes_[z_]);                        \
        }                                                                                                              \
    } while (0)

/* Reducible methods: clusters a < b become one at b, as the positions [start, stop) see it; its nearest among them. The
 * caller changes the sizes when all runs are done. Every position knows its nearest on both sides, and merging brings
 * nothing nearer. */
static inline nearest_found TYPED(merge_run)(const triangle *t, lw_method method, ptrdiff_t a, ptrdiff_t b,
                                             ptrdiff_t start, ptrdiff_t stop) {
    nearest_found best = {INFINITY, -1};
    const ptrdiff_t left_stop = stop < b ? stop : b, right_start = start > b ? start : b + 1;
    LW_DISPATCH(method, MERGE_LEFT, t, method, a, b, start, left_stop, &best)
    if (right_start >= stop) return best;
    const real *restrict row_a = (const real *)t->values + triangle_offset(t->n, a);
    real *row_b = (real *)t->values + triangle_offset(t->n, b);
    LW_DISPATCH(method, MERGE_RIGHT, t, method, a, b, right_start, stop, row_a, row_b, row_b)
    const nearest_found right = TYPED(scan_run)(t, b, right_start, stop);
    prefer_nearest(&best, right.distance, right.position);
    int32_t *restrict nearest = t->nearest;
    const int32_t lost_a = (int32_t)a, lost_b = (int32_t)b;
    for (ptrdiff_t z = right_start; z < stop; z++) {
        nearest[z] = nearest[z] == lost_a || nearest[z] == lost_b ? NEAREST_UNKNOWN : nearest[z];
    }
    return best;
}

/* Other methods, where a position knows its nearest to the right only: what the distance of z, to the left of a, to the
 * cluster that a and b are now means for z's nearest. */
FC_INLINE void TYPED(meet_absorbed)(const triangle *t, ptrdiff_t a, ptrdiff_t b, ptrdiff_t z, real merged) {
    const int32_t nearest = t->nearest[z];
    const int lost = nearest == a || nearest == b;
    real *distance = (real *)t->distances + z;
    /* At a bound that is met others may be as near, and lower: they are looked for when it is the least. */
    if (merged < *distance || (merged == *distance && (lost || nearest > a))) {
        *distance = merged;
        t->nearest[z] = (int32_t)a;
    } else if (lost) {
        t->nearest[z] = NEAREST_UNKNOWN;
    }
}

/* Positions of [start, stop) that hold a cluster, ascending, to z; how many. */
FC_INLINE ptrdiff_t TYPED(occupied)(const triangle *t, ptrdiff_t start, ptrdiff_t stop, int32_t *z) {
    const real *sizes = (const real *)t->sizes;
    ptrdiff_t count = 0;
    for (ptrdiff_t i = start; i < stop; i++) {
        z[count] = (int32_t)i;
        count += sizes[i] > 0;
    }
    return count;
}

/* For the positions z[0 .. count): their distances to b, and to a if these are not in its row, down two columns; the
 * merged ones to row[a] or to row_a[z], and to `merged`, indexed with z - start. */
#define ABSORB_COLUMNS(formula, t, method, a, b, z, count, start, is_left, merged)                                     \
    do {                                                                                                               \
        real *values_ = (real *)(t)->values, *row_a_ = values_ + triangle_offset((t)->n, a);                           \
        const real *sizes_ = (const real *)(t)->sizes, size_a_ = sizes_[a], size_b_ = sizes_[b];                       \
        const real off_ = LW_TYPED(lw_off)(method, row_a_[b], size_a_, size_b_);                                       \
        const real part_ = LW_TYPED(lw_part)(method, size_a_, size_b_);                                                \
        for (ptrdiff_t q_ = -COLUMN_AHEAD; q_ < (count); q_++) {                                                       \
            if (q_ + COLUMN_AHEAD < (count)) {                                                                         \
                const real *ahead_ = values_ + triangle_offset((t)->n, (z)[q_ + COLUMN_AHEAD]);                        \
                if (is_left) PREFETCH(ahead_ + (a));                                                                   \
                PREFETCH(ahead_ + (b));                                                                                \
            }                                                                                                          \
            if (q_ < 0) continue;                                                                                      \
            const ptrdiff_t z_ = (z)[q_];                                                                              \
            real *row_ = values_ + triangle_offset((t)->n, z_), *own_ = (is_left) ? row_ + (a) : row_a_ + z_;          \
            const real merged_ = formula(*own_, row_[b], off_, size_a_, part_, sizes_[z_]);                            \
            *own_ = merged_;                                                                                           \
            (merged)[z_ - (start)] = merged_;                                                                          \
        }                                                                                                              \
    } while (0)

/* Other methods, positions [start, stop), at most NEAREST_RUN, left of a: cluster b joins cluster a. */
static inline void TYPED(absorb_left)(const triangle *t, lw_method method, ptrdiff_t a, ptrdiff_t b, ptrdiff_t start,
                                      ptrdiff_t stop) {
    real merged[NEAREST_RUN];
    int32_t z[NEAREST_RUN];
    const ptrdiff_t count = TYPED(occupied)(t, start, stop, z), length = stop - start;
    for (ptrdiff_t i = 0; i < length; i++) merged[i] = NAN; /* not nearer than anything */
    LW_DISPATCH(method, ABSORB_COLUMNS, t, method, a, b, z, count, start, 1, merged)
    const real *restrict distances = (const real *)t->distances + start;
    const int32_t *restrict nearest = t->nearest + start, own = (int32_t)a, other = (int32_t)b;
    for (ptrdiff_t run = 0; run < length; run += NEAREST_LANES) {
        const ptrdiff_t end = length - run < NEAREST_LANES ? length : run + NEAREST_LANES;
        int concerned = 0;
        for (ptrdiff_t i = run; i < end; i++) {
            concerned |= (merged[i] <= distances[i]) | (nearest[i] == own) | (nearest[i] == other);
        }
        for (ptrdiff_t i = run; i < end && concerned; i++) {
            TYPED(meet_absorbed)(t, a, b, start + i, merged[i]);
        }
    }
}

/* The same for positions between a and b, whose distances to a are in its row; the nearest to a among them. */
static inline nearest_found TYPED(absorb_middle)(const triangle *t, lw_method method, ptrdiff_t a, ptrdiff_t b,
                                                 ptrdiff_t start, ptrdiff_t stop) {
    real merged[NEAREST_RUN];
    int32_t z[NEAREST_RUN], *restrict nearest = t->nearest;
    const int32_t lost = (int32_t)b;
    const ptrdiff_t count = TYPED(occupied)(t, start, stop, z), length = stop - start;
    for (ptrdiff_t i = 0; i < length; i++) merged[i] = INFINITY;
    LW_DISPATCH(method, ABSORB_COLUMNS, t, method, a, b, z, count, start, 0, merged)
    for (ptrdiff_t i = start; i < stop; i++) nearest[i] = nearest[i] == lost ? NEAREST_UNKNOWN : nearest[i];
    nearest_found best = TYPED(least_of)(merged, 0, count ? length : 0);
    if (best.distance == INFINITY && count) best.position = z[0] - start;
    if (best.position >= 0) best.position += start;
    return best;
}

/* Other methods: cluster b joins cluster a < b, at a, as the positions [start, stop) see it; the nearest to the right
 * of a among them. At the earlier position columns are shorter, now and when the cluster merges again. The caller
 * changes the sizes when all runs are done. */
static inline nearest_found TYPED(absorb_run)(const triangle *t, lw_method method, ptrdiff_t a, ptrdiff_t b,
                                              ptrdiff_t start, ptrdiff_t stop) {
    const ptrdiff_t n = t->n;
    nearest_found best = {INFINITY, -1};
    const ptrdiff_t left_stop = stop < a ? stop : a, middle_stop = stop < b ? stop : b;
    for (ptrdiff_t run = start; run < left_stop; run += NEAREST_RUN) {
        TYPED(absorb_left)(t, method, a, b, run, left_stop - run < NEAREST_RUN ? left_stop : run + NEAREST_RUN);
    }
    for (ptrdiff_t run = start > a ? start : a + 1; run < middle_stop; run += NEAREST_RUN) {
        const ptrdiff_t end = middle_stop - run < NEAREST_RUN ? middle_stop : run + NEAREST_RUN;
        const nearest_found found = TYPED(absorb_middle)(t, method, a, b, run, end);
        prefer_nearest(&best, found.distance, found.position);
    }
    const ptrdiff_t right_start = start > b ? start : b + 1;
    if (right_start < stop) {
        real *row_a = (real *)t->values + triangle_offset(n, a);
        const real *restrict row_b = (const real *)t->values + triangle_offset(n, b);
        LW_DISPATCH(method, MERGE_RIGHT, t, method, a, b, right_start, stop, row_a, row_b, row_a)
        const nearest_found found = TYPED(scan_run)(t, a, right_start, stop);
        prefer_nearest(&best, found.distance, found.position);
    }
    return best;
}

/* The first cluster whose distance (or bound) to the right is least; -1 if none has anything to its right. */
static inline ptrdiff_t TYPED(closest_row)(const triangle *t) {
    const nearest_found best = TYPED(least_of)((const real *)t->distances, 0, t->n);
    if (best.distance < INFINITY) return best.position;
    for (ptrdiff_t z = 0; z < t->n; z++) {
        if (t->nearest[z] != NEAREST_NONE) return z;
    }
    return -1;
}

/* The least and the greatest of `count` values; NaN if any is NaN. */
static inline void TYPED(extremes)(const void *values, ptrdiff_t start, ptrdiff_t stop, double *least,
                                   double *greatest) {
    const real *restrict from = (const real *)values;
    real low[NEAREST_LANES], high[NEAREST_LANES];
    index unordered[NEAREST_LANES] = {0};
    for (int l = 0; l < NEAREST_LANES; l++) low[l] = high[l] = from[start];
    ptrdiff_t i = start;
    for (; i + NEAREST_LANES <= stop; i += NEAREST_LANES) {
        for (int l = 0; l < NEAREST_LANES; l++) {
            const real value = from[i + l];
            unordered[l] = value != value ? 1 : unordered[l];
            low[l] = value < low[l] ? value : low[l];
            high[l] = value > high[l] ? value : high[l];
        }
    }
    for (; i < stop; i++) {
        unordered[0] |= from[i] != from[i];
        low[0] = from[i] < low[0] ? from[i] : low[0];
        high[0] = from[i] > high[0] ? from[i] : high[0];
    }
    for (int l = 1; l < NEAREST_LANES; l++) {
        unordered[0] |= unordered[l];
        low[0] = low[l] < low[0] ? low[l] : low[0];
        high[0] = high[l] > high[0] ? high[l] : high[0];
    }
    *least = unordered[0] ? NAN : (double)low[0];
    *greatest = unordered[0] ? NAN : (double)high[0];
}
