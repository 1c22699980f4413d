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

/* The least of values[start..stop), and the first position that has it; -1 if the run is empty. */
static inline nearest_found TYPED(least_of)(const real *values, ptrdiff_t start, ptrdiff_t stop) {
    nearest_found best = {INFINITY, start < stop ? start : -1};
    real least = INFINITY;
    for (ptrdiff_t run = start; run < stop; run += NEAREST_RUN) {
        const ptrdiff_t end = stop - run < NEAREST_RUN ? stop : run + NEAREST_RUN;
        real lanes[VEC_LANES], run_least = INFINITY;
        vec low = VEC(set1)((real)INFINITY), next = low;
        ptrdiff_t i = run;
        for (; i + 2 * VEC_LANES <= end; i += 2 * VEC_LANES) {
            low = VEC(min)(VEC(load)(values + i), low); /* in this order NaN is left out */
            next = VEC(min)(VEC(load)(values + i + VEC_LANES), next);
        }
        for (; i < end; i++) run_least = values[i] < run_least ? values[i] : run_least;
        VEC(store)(lanes, VEC(min)(low, next));
        for (int l = 0; l < VEC_LANES; l++) run_least = lanes[l] < run_least ? lanes[l] : run_least;
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

/* What can be indexed with column numbers from `start` on for the values of a row: the row itself, or a copy of them in
 * `scratch` (n) if they are not stored as they are wanted. */
static inline const real *TYPED(taken_row)(const triangle *t, ptrdiff_t row, ptrdiff_t start, real *restrict scratch) {
    const real *restrict values = (const real *)t->values + triangle_offset(t->n, row);
    if (t->scale == 0) return values;
    if (t->weights) {
        for (ptrdiff_t j = start; j < t->n; j++) scratch[j] = TYPED(taken)(t, values[j], row, j);
    } else {
        const real factor = (real)t->scale;
        for (ptrdiff_t j = start; j < t->n; j++) scratch[j] = (values[j] * factor) * (values[j] * factor);
    }
    return scratch;
}

/* Row `row` of the triangle `from` into t, of the same size, which may be the same memory. */
static inline void TYPED(load_row)(const triangle *t, const triangle *from, ptrdiff_t row, void *scratch) {
    const ptrdiff_t n = t->n;
    const real *values = TYPED(taken_row)(from, row, row + 1, (real *)scratch) + row + 1;
    real *to = (real *)t->values + triangle_offset(n, row) + row + 1;
    if (to != values) memcpy(to, values, (size_t)(n - 1 - row) * sizeof(real));
}

/* The nearest to the right of `row` to nearest[] and distances[]; and, unless column_least is NULL, the row offered to
 * all columns to its right as their nearest to the left. Rows must come in descending order. */
static inline void TYPED(row_nearest)(const triangle *t, ptrdiff_t row, void *scratch, void *column_least,
                                      void *column_rows) {
    const ptrdiff_t n = t->n;
    const real *restrict values = TYPED(taken_row)(t, row, row + 1, (real *)scratch);
    const nearest_found best = TYPED(least_of)(values, row + 1, n);
    t->nearest[row] = best.position < 0 ? NEAREST_NONE : (int32_t)best.position;
    ((real *)t->distances)[row] = best.position < 0 ? (real)INFINITY : (real)best.distance;
    if (column_least) {
        real *restrict least = (real *)column_least;
        index *restrict rows = (index *)column_rows;
        const index own = (index)row;
        for (ptrdiff_t j = row + 1; j < n; j++) {
            const int nearer = values[j] <= least[j];
            least[j] = nearer ? values[j] : least[j];
            rows[j] = nearer ? own : rows[j];
        }
    }
}

static inline void TYPED(clear_columns)(const triangle *t, void *column_least, void *column_rows) {
    for (ptrdiff_t j = 0; j < t->n; j++) {
        ((real *)column_least)[j] = INFINITY;
        ((index *)column_rows)[j] = -1;
    }
}

/* The nearest to the left, found by `parts` threads (n apart), joined with the nearest to the right. */
static inline void TYPED(columns_nearest)(const triangle *t, ptrdiff_t parts, const void *column_least,
                                          const void *column_rows) {
    const ptrdiff_t n = t->n;
    for (ptrdiff_t j = 0; j < n; j++) {
        real least = INFINITY;
        index row = -1;
        for (ptrdiff_t part = 0; part < parts; part++) {
            const real candidate = ((const real *)column_least)[part * n + j];
            const index candidate_row = ((const index *)column_rows)[part * n + j];
            if (candidate_row >= 0 && (row < 0 || candidate < least || (candidate == least && candidate_row < row))) {
                least = candidate;
                row = candidate_row;
            }
        }
        if (row >= 0 && (t->nearest[j] < 0 || least <= ((real *)t->distances)[j])) {
            t->nearest[j] = (int32_t)row;
            ((real *)t->distances)[j] = least;
        }
    }
}

#define CONDENSE_OWN_PAIR(formula, t, a, b, row_a, row_b, height, out)                                                 \
    do {                                                                                                               \
        const real *restrict sizes_ = (const real *)(t)->sizes;                                                        \
        const real size_a_ = sizes_[a], size_b_ = sizes_[b];                                                           \
        for (ptrdiff_t j_ = (b) + 1; j_ < (t)->n; j_++) {                                                              \
            (out)[j_] = formula((row_a)[j_], (row_b)[j_], height, size_a_, size_b_, sizes_[j_]);                       \
        }                                                                                                              \
    } while (0)

#define CONDENSE_EARLIER_PAIR(formula, t, a, b, height, count, earlier, to_a, to_b)                                    \
    do {                                                                                                               \
        const real *sizes_ = (const real *)(t)->sizes, size_a_ = sizes_[a], size_b_ = sizes_[b];                       \
        for (ptrdiff_t q_ = 0; q_ < (count); q_++) {                                                                   \
            (to_b)[q_] = formula((to_a)[q_], (to_b)[q_], height, size_a_, size_b_, sizes_[(earlier)[q_]]);             \
        }                                                                                                              \
    } while (0)

#define CONDENSE_COLUMNS(formula, count, to_first, to_second, heights, first_sizes, second_sizes, own)                 \
    do {                                                                                                               \
        for (ptrdiff_t q_ = 0; q_ < (count); q_++) {                                                                   \
            (to_second)[q_] = formula((to_first)[q_], (to_second)[q_], (heights)[q_], (first_sizes)[q_],               \
                                      (second_sizes)[q_], own);                                                        \
        }                                                                                                              \
    } while (0)

/* What the new rows [start, stop) of a condensed triangle need from the rows of earlier halves above them, for pairs
 * [begin, end): to[(row - start) * n_pairs + pair], where the earlier half is to the left of the row. The rows of a
 * block read next to each other there: whole cache lines, while one row would take one value from each. */
static inline void TYPED(gather_earlier)(const triangle *t, const condense_plan *plan, ptrdiff_t start, ptrdiff_t stop,
                                         ptrdiff_t begin, ptrdiff_t end, void *to) {
    const ptrdiff_t n = t->n, low = plan->source[start], high = plan->source[stop - 1], ld = plan->n_pairs;
    const ptrdiff_t line = 64 / sizeof(real);
    const real *values = (const real *)t->values;
    const int32_t *restrict columns = plan->source + start;
    for (ptrdiff_t pair = begin; pair < end; pair++) {
        const ptrdiff_t e = plan->first[pair], ahead = pair + GATHER_AHEAD < end ? plan->first[pair + GATHER_AHEAD] : n;
        if (ahead < low) {
            const real *chunk = values + triangle_offset(n, ahead);
            for (ptrdiff_t j = low; j < high + line; j += line) __builtin_prefetch(chunk + j);
        }
        const real *restrict row = values + triangle_offset(n, e);
        real *restrict out = (real *)to + pair;
        ptrdiff_t r = 0;
        while (r < stop - start && columns[r] <= e) r++;
        for (; r < stop - start; r++) {
            out[r * ld] = TYPED(taken)(t, row[columns[r]], e, columns[r]);
            KEEP_SCALAR;
        }
    }
}

/* New row `row` of a condensed triangle, from the old one, to out[0..n_new - 1 - row). `above`: this row's part of what
 * gather_earlier has found, by pair. scratch: condense_scratch_bytes.
 *
 * First the row's own pair merges, over all old columns to the right; then the columns of merging pairs do. The later
 * half of such a pair is to the right of this row; the earlier half may be to the left.
 */
static inline void TYPED(condense_row)(const triangle *t, const condense_plan *plan, lw_method method, ptrdiff_t row,
                                       const void *above, void *scratch, void *out_row) {
    const ptrdiff_t n = t->n, n_new = plan->n_new, b = plan->source[row], a = plan->partner[row];
    const real *values = (const real *)t->values, *sizes = (const real *)t->sizes;
    real *to_first = (real *)scratch, *to_second = to_first + n, *first_sizes = to_second + n, *own = first_sizes + n;
    real *copy = own + n, *copy_a = copy + n;
    const real *right = TYPED(taken_row)(t, b, b + 1, copy);
    const int32_t *restrict source = plan->source;
    real *restrict out = (real *)out_row - row - 1;
    const ptrdiff_t low = pairs_behind(plan, b), pairs = plan->n_pairs - low;
    const int32_t *first = plan->first + low, *second = plan->second + low, *position = plan->position + low;
    const real *heights = (const real *)plan->heights + low, *known = (const real *)above + low;
    real height = 0;
    if (a >= 0) {
        const real *row_a = TYPED(taken_row)(t, a, b + 1, copy_a);
        height = ((const real *)plan->heights)[low - 1]; /* this row's own pair is the last that is not to the right */
        LW_DISPATCH(method, CONDENSE_OWN_PAIR, t, a, b, row_a, right, height, own)
        right = own;
    }
    for (ptrdiff_t v = row + 1; v < n_new; v++) {
        out[v] = right[source[v]];
        KEEP_SCALAR;
    }
    if (!pairs) return;
    for (ptrdiff_t q = 0; q < pairs; q++) {
        const real *from = first[q] > b ? right + first[q] : known + q;
        to_first[q] = *from;
        KEEP_SCALAR;
    }
    if (a >= 0) {
        /* The earlier halves to the left of b have not met this row's own pair yet. */
        int32_t *earlier = (int32_t *)first_sizes, *which = (int32_t *)copy; /* `copy` has been read, and `own` */
        real *to_a = to_second, *to_b = own;
        ptrdiff_t count = 0;
        for (ptrdiff_t q = 0; q < pairs; q++) {
            which[count] = (int32_t)q;
            count += first[q] < b;
        }
        for (ptrdiff_t k = 0; k < count; k++) {
            const ptrdiff_t e = first[which[k]], least = e < a ? e : a, most = e < a ? a : e;
            earlier[k] = (int32_t)e;
            to_b[k] = to_first[which[k]];
            to_a[k] = TYPED(taken)(t, values[triangle_offset(n, least) + most], least, most);
            KEEP_SCALAR;
        }
        LW_DISPATCH(method, CONDENSE_EARLIER_PAIR, t, a, b, height, count, earlier, to_a, to_b)
        for (ptrdiff_t k = 0; k < count; k++) to_first[which[k]] = to_b[k];
    }
    real *second_sizes = own;
    for (ptrdiff_t q = 0; q < pairs; q++) {
        to_second[q] = out[position[q]];
        first_sizes[q] = sizes[first[q]];
        second_sizes[q] = sizes[second[q]];
        KEEP_SCALAR;
    }
    const real own_size = ((const real *)plan->sizes)[row];
    LW_DISPATCH(method, CONDENSE_COLUMNS, pairs, to_first, to_second, heights, first_sizes, second_sizes, own_size)
    for (ptrdiff_t q = 0; q < pairs; q++) out[position[q]] = to_second[q];
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

#define MERGE_LEFT(formula, t, a, b, start, stop, best)                                                                \
    do {                                                                                                               \
        real *values_ = (real *)(t)->values;                                                                           \
        const real *row_a_ = values_ + triangle_offset((t)->n, a), *sizes_ = (const real *)(t)->sizes;                 \
        const real height_ = row_a_[b], size_a_ = sizes_[a], size_b_ = sizes_[b];                                      \
        for (ptrdiff_t z_ = start; z_ < (stop); z_++) {                                                                \
            const ptrdiff_t ahead_ = z_ + COLUMN_AHEAD < (stop) ? z_ + COLUMN_AHEAD : z_;                              \
            PREFETCH(values_ + triangle_offset((t)->n, ahead_) + (b));                                                 \
            if (ahead_ < (a)) PREFETCH(values_ + triangle_offset((t)->n, ahead_) + (a));                               \
            if (!(sizes_[z_] > 0) || z_ == (a)) continue;                                                              \
            real *row_z_ = values_ + triangle_offset((t)->n, z_);                                                      \
            const real to_a_ = z_ < (a) ? row_z_[a] : row_a_[z_];                                                      \
            const real merged_ = formula(to_a_, row_z_[b], height_, size_a_, size_b_, sizes_[z_]);                     \
            row_z_[b] = merged_;                                                                                       \
            if ((t)->nearest[z_] == (a) || (t)->nearest[z_] == (b)) (t)->nearest[z_] = NEAREST_UNKNOWN;                \
            prefer_nearest(best, (double)merged_, z_);                                                                 \
        }                                                                                                              \
    } while (0)

/* row_to[z] from row_a[z] and row_b[z]: where both are stored side by side. */
#define MERGE_RIGHT(formula, t, a, b, start, stop, row_a, row_b, row_to)                                               \
    do {                                                                                                               \
        const real *restrict sizes_ = (const real *)(t)->sizes;                                                        \
        const real height_ = ((const real *)(t)->values)[triangle_offset((t)->n, a) + (b)];                            \
        const real size_a_ = sizes_[a], size_b_ = sizes_[b];                                                           \
        for (ptrdiff_t z_ = start; z_ < (stop); z_++) {                                                                \
            (row_to)[z_] = formula((row_a)[z_], (row_b)[z_], height_, size_a_, size_b_, sizes_[z_]);                   \
        }                                                                                                              \
    } while (0)

/* Reducible methods: clusters a < b become one at b, as the positions [start, stop) see it; its nearest among them. The
 * caller changes the sizes when all runs are done. Every position knows its nearest on both sides, and merging brings
 * nothing nearer. */
static inline nearest_found TYPED(merge_run)(const triangle *t, lw_method method, ptrdiff_t a, ptrdiff_t b,
                                             ptrdiff_t start, ptrdiff_t stop) {
    nearest_found best = {INFINITY, -1};
    const ptrdiff_t left_stop = stop < b ? stop : b, right_start = start > b ? start : b + 1;
    LW_DISPATCH(method, MERGE_LEFT, t, a, b, start, left_stop, &best)
    if (right_start >= stop) return best;
    const real *restrict row_a = (const real *)t->values + triangle_offset(t->n, a);
    real *row_b = (real *)t->values + triangle_offset(t->n, b);
    LW_DISPATCH(method, MERGE_RIGHT, t, a, b, right_start, stop, row_a, row_b, row_b)
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
#define ABSORB_COLUMNS(formula, t, a, b, z, count, start, is_left, merged)                                             \
    do {                                                                                                               \
        real *values_ = (real *)(t)->values, *row_a_ = values_ + triangle_offset((t)->n, a);                           \
        const real *sizes_ = (const real *)(t)->sizes, height_ = row_a_[b], size_a_ = sizes_[a], size_b_ = sizes_[b];  \
        for (ptrdiff_t q_ = -COLUMN_AHEAD; q_ < (count); q_++) {                                                       \
            if (q_ + COLUMN_AHEAD < (count)) {                                                                         \
                const real *ahead_ = values_ + triangle_offset((t)->n, (z)[q_ + COLUMN_AHEAD]);                        \
                if (is_left) PREFETCH(ahead_ + (a));                                                                   \
                PREFETCH(ahead_ + (b));                                                                                \
            }                                                                                                          \
            if (q_ < 0) continue;                                                                                      \
            const ptrdiff_t z_ = (z)[q_];                                                                              \
            real *row_ = values_ + triangle_offset((t)->n, z_), *own_ = (is_left) ? row_ + (a) : row_a_ + z_;          \
            const real merged_ = formula(*own_, row_[b], height_, size_a_, size_b_, sizes_[z_]);                       \
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
    LW_DISPATCH(method, ABSORB_COLUMNS, t, a, b, z, count, start, 1, merged)
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
    LW_DISPATCH(method, ABSORB_COLUMNS, t, a, b, z, count, start, 0, merged)
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
        LW_DISPATCH(method, MERGE_RIGHT, t, a, b, right_start, stop, row_a, row_b, row_a)
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
