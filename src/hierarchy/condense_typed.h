/* Condensing a triangle, in one type: included by triangle.h, as triangle_typed.h is. One pass from the last row to the
 * first carries many merges out and leaves out the positions they give up.
 */

/* A merge of a row's own cluster, over all columns to its right and over `count` to its left. */
#define CONDENSE_OWN(formula, t, b, x, y, off, nx, part, to, count, earlier, left_x, left_y, left_to)                  \
    do {                                                                                                               \
        const real *sizes_ = (const real *)(t)->sizes;                                                                 \
        _Pragma("GCC ivdep")                                                                                           \
        for (ptrdiff_t j_ = (b) + 1; j_ < (t)->n; j_++) (to)[j_] = formula((x)[j_], (y)[j_], off, nx, part, sizes_[j_]); \
        _Pragma("GCC ivdep")                                                                                           \
        for (ptrdiff_t k_ = 0; k_ < (count); k_++) {                                                                   \
            (left_to)[k_] = formula((left_x)[k_], (left_y)[k_], off, nx, part, sizes_[(earlier)[k_]]);                 \
        }                                                                                                              \
    } while (0)

/* The merges of a row's columns, in order. */
#define CONDENSE_COLUMNS(formula, plan, begin, own_size, values)                                                       \
    do {                                                                                                               \
        const real *offs_ = (const real *)(plan)->offs, *first_sizes_ = (const real *)(plan)->first_sizes;             \
        const real *parts_ = (const real *)(plan)->parts;                                                              \
        for (ptrdiff_t q_ = begin; q_ < (plan)->n_pairs; q_++) {                                                       \
            real *second_ = (values) + (plan)->second[q_];                                                             \
            *second_ = formula((values)[(plan)->first[q_]], *second_, offs_[q_], first_sizes_[q_],                     \
                               parts_[q_], own_size);                                                                  \
            KEEP_SCALAR;                                                                                               \
        }                                                                                                              \
    } while (0)

/* What the new rows [start, stop) of a condensed triangle need from the rows above them of positions that are given up,
 * those of the pairs [begin, end): to[(row - start) * n_pairs + pair], where that position is to the left of the row.
 * The rows of a block read next to each other there: whole cache lines, while one row would take one value from each.
 * */
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

/* Of a row of the old triangle, `values`, what stays in new row `row`: to out[row + 1 .. n_new). */
static inline void TYPED(keep_columns)(const condense_plan *plan, ptrdiff_t row, const real *restrict values,
                                       real *restrict out) {
    const int32_t *restrict source = plan->source;
    const ptrdiff_t n_new = plan->n_new;
    ptrdiff_t v = row + 1;
#ifdef VF_COMPRESSES
    ptrdiff_t j = (source[row] + VEC_LANES) / VEC_LANES * VEC_LANES;
    while (v < n_new && source[v] < j) {
        out[v] = values[source[v]];
        v++;
    }
    /* There are as many old columns left as new ones, at least: whole vectors can be read, and written. */
    for (; v + VEC_LANES <= n_new; j += VEC_LANES) v += VEC(store_bits)(out + v, VEC(load)(values + j), plan->kept, j);
#endif
    for (; v < n_new; v++) {
        out[v] = values[source[v]];
        KEEP_SCALAR;
    }
}

/* Collect the distances of the given-up positions of ranks [start, start + GIVEN_LANES) to those of higher ranks: rows
 * are read as they lie, and written as columns, a cache line of each. scratch: condense_scratch_bytes. */
static inline void TYPED(collect_given_up)(const triangle *t, const condense_plan *plan, ptrdiff_t start,
                                           void *scratch) {
    const ptrdiff_t count = plan->n_pairs, lanes = count - start < GIVEN_LANES ? count - start : GIVEN_LANES;
    const int32_t *restrict given = plan->given;
    real *rows = (real *)scratch; /* by rank - start, GIVEN_LANES times */
    const ptrdiff_t ld = count - start;
    for (ptrdiff_t i = 0; i < lanes; i++) {
        const real *row = (const real *)t->values + triangle_offset(t->n, given[start + i]);
        real *restrict out = rows + i * ld - start;
        for (ptrdiff_t rank = start + i + 1; rank < count; rank++) {
            out[rank] = row[given[rank]];
            KEEP_SCALAR;
        }
    }
    for (ptrdiff_t rank = start + 1; rank < count; rank++) {
        const ptrdiff_t before = rank - start < lanes ? rank - start : lanes;
        real *restrict out = (real *)plan->given_up + given_up_offset(rank) + start;
        for (ptrdiff_t i = 0; i < before; i++) out[i] = rows[i * ld + rank - start];
    }
}

/* The distances of position a of a cluster whose row is at b to the `count` positions `earlier`, all to the left of b
 * and all given up, as a is. */
static inline void TYPED(gather_left)(const triangle *t, const condense_plan *plan, ptrdiff_t a,
                                      const int32_t *restrict earlier, ptrdiff_t count, real *restrict to) {
    const real *values = (const real *)t->values, *row = values + triangle_offset(t->n, a);
    const ptrdiff_t n = t->n;
    if (plan->given_up) {
        const real *before = (const real *)plan->given_up + given_up_offset(plan->rank[a]);
        for (ptrdiff_t k = 0; k < count; k++) {
            const ptrdiff_t e = earlier[k], least = e < a ? e : a, most = e < a ? a : e;
            const real *place = e < a ? before + plan->rank[e] : row + e;
            to[k] = TYPED(taken)(t, *place, least, most);
            KEEP_SCALAR;
        }
        return;
    }
    for (ptrdiff_t k = 0; k < count; k++) {
        const ptrdiff_t next = k + COLUMN_AHEAD < count ? earlier[k + COLUMN_AHEAD] : a;
        if (next < a) PREFETCH(values + triangle_offset(n, next) + a);
        const ptrdiff_t e = earlier[k], least = e < a ? e : a, most = e < a ? a : e;
        to[k] = TYPED(taken)(t, values[triangle_offset(n, least) + most], least, most);
        KEEP_SCALAR;
    }
}

/* What a thread works in. */
typedef struct {
    real *right[CONDENSE_BUFFERS], *left[CONDENSE_BUFFERS]; /* distances of a row's own clusters while they merge */
    real *leaf_right[2], *leaf_left[2];                     /* the same of single positions, where they are copied */
    int32_t *earlier; /* positions to the left of the row that unite with one to its right: `count` */
    real *known;      /* their distances to the row's own position */
    ptrdiff_t count;
} TYPED(workspace);

/* `scratch` has CONDENSE_REALS rows. What is to the left takes as much as there is, and fits before what is to the
 * right: but not in buffer 0, the row to be, where it goes to its columns at last. */
static inline TYPED(workspace) TYPED(lay_out)(ptrdiff_t n, void *scratch) {
    real *rows = (real *)scratch;
    TYPED(workspace) w;
    for (int i = 0; i < CONDENSE_BUFFERS; i++, rows += n) w.right[i] = w.left[i] = rows;
    w.left[0] = rows;
    for (int i = 0; i < 2; i++) {
        w.leaf_right[i] = rows + (1 + i) * n;
        w.leaf_left[i] = rows + (3 + i) * n;
    }
    w.known = rows + 5 * n;
    w.earlier = (int32_t *)(rows + 7 * n); /* vectors of what is known may end behind it */
    w.count = 0;
    return w;
}

/* What unites, of the pairs from `begin` on, with a column to the right of b, and lies to its left. */
static inline void TYPED(find_earlier)(const condense_plan *plan, TYPED(workspace) *w, ptrdiff_t b, ptrdiff_t begin,
                                       const real *restrict above) {
    const int32_t *restrict first = plan->first;
    ptrdiff_t q = begin, count = 0;
#ifdef VF_COMPRESSES
    for (; q + VF_LANES <= plan->n_pairs; q += VF_LANES) {
        uint8_t bits[2];
        vi_less_bits(bits, first + q, (int32_t)b);
        ptrdiff_t known = count;
        for (ptrdiff_t part = 0; part < VF_LANES; part += VEC_LANES) {
            known += VEC(store_bits)(w->known + known, VEC(load)(above + q + part), bits, part);
        }
        count += vi_store_bits(w->earlier + count, first + q, bits);
    }
#endif
    for (; q < plan->n_pairs; q++) {
        w->earlier[count] = first[q];
        w->known[count] = above[q];
        count += first[q] < b;
    }
    w->count = count;
}

/* One half of pair q of the cluster that ends at b: where its distances to the right, and to the left, are. */
static inline void TYPED(half_of)(const triangle *t, const condense_plan *plan, const TYPED(workspace) *w, ptrdiff_t b,
                                  ptrdiff_t q, int side, const real **right, const real **left) {
    const int buffer = side ? plan->second_buffer[q] : plan->first_buffer[q];
    if (buffer >= 0) {
        *right = w->right[buffer];
        *left = w->left[buffer];
        return;
    }
    const ptrdiff_t position = side ? plan->second[q] : plan->first[q];
    const real *row = (const real *)t->values + triangle_offset(t->n, position);
    TYPED(fetch_run)(row, b + 1, t->n);
    *right = TYPED(taken_run)(t, position, row, b + 1, t->n, w->leaf_right[side]);
    *left = w->known;
    if (position != b) {
        TYPED(gather_left)(t, plan, position, w->earlier, w->count, w->leaf_left[side]);
        *left = w->leaf_left[side];
    }
}

/* New row `row` of a condensed triangle, from the old one, to out[0..n_new - 1 - row). `above`: this row's part of what
 * gather_earlier has found, by pair. scratch: condense_scratch_bytes.
 *
 * First the row's own cluster is made of the positions it unites, over all old columns to its right, and over those to
 * its left that will unite with one to its right; then these columns unite, each into the last of its cluster.
 */
static inline void TYPED(condense_row)(const triangle *t, const condense_plan *plan, lw_method method, ptrdiff_t row,
                                       const void *above, void *scratch, void *out_row) {
    const ptrdiff_t n = t->n, b = plan->source[row], begin = pairs_behind(plan, b), own = pairs_behind(plan, b - 1);
    const real *first_sizes = (const real *)plan->first_sizes, *parts = (const real *)plan->parts;
    TYPED(workspace) w = TYPED(lay_out)(n, scratch);
    TYPED(find_earlier)(plan, &w, b, begin, (const real *)above);
    real *values = w.right[0];
    const real *left = w.known;
    for (ptrdiff_t q = own; q < begin; q++) {
        const real *right_x, *left_x, *right_y, *left_y, off = ((const real *)plan->offs)[q];
        TYPED(half_of)(t, plan, &w, b, q, 0, &right_x, &left_x);
        TYPED(half_of)(t, plan, &w, b, q, 1, &right_y, &left_y);
        const int to = plan->out_buffer[q];
        LW_DISPATCH(method, CONDENSE_OWN, t, b, right_x, right_y, off, first_sizes[q], parts[q], w.right[to],
                    w.count, w.earlier, left_x, left_y, w.left[to])
        left = w.left[to];
    }
    if (own == begin) {
        const real *row_b = (const real *)t->values + triangle_offset(n, b);
        const real *only = TYPED(taken_run)(t, b, row_b, b + 1, n, values + b + 1);
        if (only != values) memcpy(values + b + 1, only + b + 1, (size_t)(n - b - 1) * sizeof(real));
    }
    for (ptrdiff_t k = 0; k < w.count; k++) values[w.earlier[k]] = left[k];
    const real own_size = ((const real *)plan->sizes)[row];
    LW_DISPATCH(method, CONDENSE_COLUMNS, plan, begin, own_size, values)
    TYPED(keep_columns)(plan, row, values, (real *)out_row - row - 1);
}
