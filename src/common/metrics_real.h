/* The metrics for one type of values, REAL; included by metrics.h alone, once for each type. */

#if defined(__AVX512F__)
#define METRIC_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#define METRIC_BYTES 32
#else
#define METRIC_BYTES 16
#endif
#define METRIC_LANES ((int)(METRIC_BYTES / sizeof(REAL)))

/* A block of METRIC_ROWS rows x METRIC_VECTORS vectors of columns is summed up in registers: half of all there are. */
#define METRIC_SUMS_HELD (VF_REGISTERS == 32 ? 16 : 8)
#define METRIC_VECTORS_MOST (VF_REGISTERS == 32 ? 4 : 2)
#define METRIC_VECTORS                                                                                                 \
    (METRIC_PANEL / METRIC_LANES < METRIC_VECTORS_MOST ? METRIC_PANEL / METRIC_LANES : METRIC_VECTORS_MOST)
#define METRIC_ROWS (METRIC_SUMS_HELD / METRIC_VECTORS)

#define lanes REAL_NAME(lanes)
#define lane_bits REAL_NAME(lane_bits)
#define lanes_anywhere REAL_NAME(lanes_anywhere)
typedef REAL lanes __attribute__((vector_size(METRIC_BYTES), may_alias));
typedef REAL_BITS lane_bits __attribute__((vector_size(METRIC_BYTES), may_alias));
typedef REAL lanes_anywhere __attribute__((vector_size(METRIC_BYTES), may_alias, aligned(sizeof(REAL))));

FC_INLINE lanes REAL_NAME(lanes_of)(REAL value) { return value - (lanes){0}; }
FC_INLINE lanes REAL_NAME(lanes_abs)(lanes a) { return (lanes)((lane_bits)a & (REAL_BITS)REAL_ABS); }
FC_INLINE lanes REAL_NAME(lanes_where)(lane_bits mask, lanes a, lanes b) {
    return (lanes)(((lane_bits)a & mask) | ((lane_bits)b & ~mask));
}
FC_INLINE lanes REAL_NAME(lanes_one_where)(lane_bits mask) {
    return (lanes)((lane_bits)REAL_NAME(lanes_of)(1) & mask);
}

/* a where a > b, and else b, so where one is NaN. */
FC_INLINE lanes REAL_NAME(lanes_larger)(lanes a, lanes b) {
#if defined(__SSE4_1__)
    return REAL_NAME(vector_larger)(a, b);
#else
    return REAL_NAME(lanes_where)(a > b, a, b);
#endif
}

/* A bit for every lane where a >= b. */
FC_INLINE unsigned REAL_NAME(lanes_reach)(lanes a, lanes b) {
#if defined(__SSE4_1__)
    return REAL_NAME(vector_reach)(a, b);
#else
    unsigned bits = 0;
    for (int i = 0; i < METRIC_LANES; i++) bits |= (unsigned)(a[i] >= b[i]) << i;
    return bits;
#endif
}

/* sum + term, taken as term * 1 + sum if `multiply`: the same bits, but on a multiplier. Where adders are apart from
 * multipliers (Zen) additions are the bottleneck of absolute differences, and so both have work. */
FC_INLINE lanes REAL_NAME(lanes_plus)(lanes sum, lanes term, int multiply) {
#if defined(__AVX512F__)
    if (multiply) return REAL_NAME(fmadd512)(term, REAL_NAME(lanes_of)(1), sum);
#elif defined(__AVX2__) && defined(__FMA__)
    if (multiply) return REAL_NAME(fmadd256)(term, REAL_NAME(lanes_of)(1), sum);
#endif
    (void)multiply;
    return sum + term;
}

/* y - *x, with AVX-512 taken as y - 1 * *x if `multiply`, as above. There both read x from memory, which compilers would
 * load once for many: a multiply-add of three registers takes a place from the adders of Zen 4 unless others read less
 * of them. A sixth less time. */
FC_INLINE lanes REAL_NAME(lanes_minus)(lanes y, const REAL *x, int multiply) {
#if defined(__AVX512F__)
    return multiply ? REAL_NAME(fnmadd512)(y, x) : REAL_NAME(subtract512)(y, x);
#else
    (void)multiply;
    return y - REAL_NAME(lanes_of)(*x);
#endif
}

/* Terms: what one feature of two points, *x and y, adds to the sums. Symmetric in them. `turn`, a constant, goes round 0
 * to 3 over the terms of a block, for lanes_plus and lanes_minus. */

/* Fused wherever it can be: a third fewer operations, and one rounding less. */
FC_INLINE void REAL_NAME(term_squared)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a, lanes *b) {
    const lanes difference = REAL_NAME(lanes_minus)(y, x, 0);
#if defined(__AVX512F__)
    *a = REAL_NAME(fmadd512)(difference, difference, *a);
#elif defined(__AVX2__) && defined(__FMA__)
    *a = REAL_NAME(fmadd256)(difference, difference, *a);
#else
    *a += difference * difference;
#endif
    (void)b, (void)exponent, (void)turn;
}

FC_INLINE void REAL_NAME(term_absolute)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a, lanes *b) {
    const lanes difference = REAL_NAME(lanes_minus)(y, x, turn % 2);
    *a = REAL_NAME(lanes_plus)(*a, REAL_NAME(lanes_abs)(difference), turn % 2);
    (void)b, (void)exponent;
}

/* Of the expanded form (metric_expands). Zen takes maxima on its adders, so the multipliers add. */
FC_INLINE void REAL_NAME(term_maximum)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a, lanes *b) {
#if defined(__AVX512F__)
    *a = REAL_NAME(lanes_plus)(*a, REAL_NAME(larger512)(y, x), 1);
#else
    *a = REAL_NAME(lanes_plus)(*a, REAL_NAME(lanes_larger)(y, REAL_NAME(lanes_of)(*x)), 1);
#endif
    (void)b, (void)exponent, (void)turn;
}

FC_INLINE void REAL_NAME(term_product)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a, lanes *b) {
#if defined(__AVX512F__)
    *a = REAL_NAME(fmadd512)(REAL_NAME(lanes_of)(*x), y, *a);
#elif defined(__AVX2__) && defined(__FMA__)
    *a = REAL_NAME(fmadd256)(REAL_NAME(lanes_of)(*x), y, *a);
#else
    *a += REAL_NAME(lanes_of)(*x) * y;
#endif
    (void)b, (void)exponent, (void)turn;
}

/* Direct and expanded sums at once. */
FC_INLINE void REAL_NAME(term_absolute_and_maximum)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a,
                                                    lanes *b) {
    REAL_NAME(term_absolute)(x, y, exponent, turn, a, NULL);
    REAL_NAME(term_maximum)(x, y, exponent, turn, b, NULL);
}

FC_INLINE void REAL_NAME(term_squared_and_product)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a, lanes *b) {
    REAL_NAME(term_squared)(x, y, exponent, turn, a, NULL);
    REAL_NAME(term_product)(x, y, exponent, turn, b, NULL);
}

/* A difference that is NaN is left out, as SciPy does. */
FC_INLINE void REAL_NAME(merge_larger)(lanes value, lanes *a) {
    *a = REAL_NAME(lanes_larger)(value, *a);
}

FC_INLINE void REAL_NAME(merge_add)(lanes value, lanes *a) { *a += value; }

FC_INLINE void REAL_NAME(term_largest)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a, lanes *b) {
    REAL_NAME(merge_larger)(REAL_NAME(lanes_abs)(REAL_NAME(lanes_minus)(y, x, 0)), a);
    (void)b, (void)exponent, (void)turn;
}

FC_INLINE void REAL_NAME(term_power)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a, lanes *b) {
    const lanes size = REAL_NAME(lanes_abs)(REAL_NAME(lanes_minus)(y, x, 0));
    for (int i = 0; i < METRIC_LANES; i++) {
        (*a)[i] += sizeof(REAL) == sizeof(float) ? powf(size[i], exponent) : pow(size[i], exponent);
    }
    (void)b, (void)turn;
}

/* 0 / 0 counts as 0: both values are zero, so any denominator does. */
FC_INLINE void REAL_NAME(term_relative)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a, lanes *b) {
    const lanes size = REAL_NAME(lanes_abs)(REAL_NAME(lanes_of)(*x)) + REAL_NAME(lanes_abs)(y);
    *a += REAL_NAME(lanes_abs)(REAL_NAME(lanes_minus)(y, x, 0)) / (size + REAL_NAME(lanes_one_where)(size == 0));
    (void)b, (void)exponent, (void)turn;
}

FC_INLINE void REAL_NAME(term_sums)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a, lanes *b) {
    *a += REAL_NAME(lanes_abs)(REAL_NAME(lanes_minus)(y, x, 0));
    *b += REAL_NAME(lanes_abs)(REAL_NAME(lanes_of)(*x) + y);
    (void)exponent, (void)turn;
}

FC_INLINE void REAL_NAME(term_unequal)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a, lanes *b) {
    *a += REAL_NAME(lanes_one_where)(REAL_NAME(lanes_of)(*x) != y);
    (void)b, (void)exponent, (void)turn;
}

/* x and y are 0 or 1: how often only one is 1, and how often any is. */
FC_INLINE void REAL_NAME(term_unshared)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a, lanes *b) {
    *a += REAL_NAME(lanes_abs)(REAL_NAME(lanes_minus)(y, x, 0));
    *b += (lanes)((lane_bits)REAL_NAME(lanes_of)(*x) | (lane_bits)y);
    (void)exponent, (void)turn;
}

/* Distances: what the sums come to. `turn` as above. */

FC_INLINE lanes REAL_NAME(distance_sum)(lanes a, lanes b, const metric *m, int turn) {
    (void)b, (void)m, (void)turn;
    return a;
}

FC_INLINE lanes REAL_NAME(distance_root)(lanes a, lanes b, const metric *m, int turn) {
    (void)b, (void)m, (void)turn;
#if defined(__AVX512F__)
    /* Two units at work beside each other: half the time. */
    return turn % 2 ? REAL_NAME(vector_root)(a) : REAL_NAME(root512)(a);
#elif defined(__SSE4_1__)
    return REAL_NAME(vector_root)(a);
#else
    for (int i = 0; i < METRIC_LANES; i++) {
        a[i] = sizeof(REAL) == sizeof(float) ? (REAL)sqrtf((float)a[i]) : (REAL)sqrt((double)a[i]);
    }
    return a;
#endif
}

FC_INLINE lanes REAL_NAME(distance_power_root)(lanes a, lanes b, const metric *m, int turn) {
    (void)b, (void)turn;
    for (int i = 0; i < METRIC_LANES; i++) a[i] = (REAL)pow((double)a[i], 1.0 / m->exponent);
    return a;
}

/* Half the squared distance of two unit vectors, 1 - cos; it is at most 2, and undefined without any feature. */
FC_INLINE lanes REAL_NAME(distance_half)(lanes a, lanes b, const metric *m, int turn) {
    (void)b, (void)turn;
    const lanes half = a * (REAL)(m->n_features > 0 ? 0.5 : NAN);
    return REAL_NAME(lanes_where)(half > 2, REAL_NAME(lanes_of)(2), half);
}

FC_INLINE lanes REAL_NAME(distance_ratio)(lanes a, lanes b, const metric *m, int turn) {
    (void)m, (void)turn;
    return a / b;
}

FC_INLINE lanes REAL_NAME(distance_mean)(lanes a, lanes b, const metric *m, int turn) {
    (void)b, (void)turn;
    return a / (REAL)m->n_features;
}

/* Two points without a single 1 are equal. */
FC_INLINE lanes REAL_NAME(distance_share)(lanes a, lanes b, const metric *m, int turn) {
    (void)m, (void)turn;
    return a / (b + REAL_NAME(lanes_one_where)(b == 0));
}

typedef void REAL_NAME(metric_term)(const REAL *x, lanes y, REAL exponent, int turn, lanes *a, lanes *b);
typedef void REAL_NAME(metric_merge)(lanes value, lanes *a);
typedef lanes REAL_NAME(metric_distance)(lanes a, lanes b, const metric *m, int turn);

/* What METRICS says of a metric; a constant wherever it is used. */
typedef struct {
    REAL_NAME(metric_term) *term;
    int n_sums;
    REAL_NAME(metric_merge) *merge;
    REAL_NAME(metric_distance) *distance;
    metric_expansion expansion;
    metric_order order;
} REAL_NAME(metric_functors);

/* A sum of each pair of a group: rows x vectors of columns. */
typedef lanes REAL_NAME(metric_sums)[METRIC_ROWS][METRIC_VECTORS];

/* Sum up features [begin, end) of n_rows adjacent rows x METRIC_VECTORS vectors of columns, in registers, from first to
 * last. The first two arguments are constants wherever this is called. */
FC_INLINE void REAL_NAME(metric_add_up)(REAL_NAME(metric_functors) f, int n_rows, const metric *m, const REAL *rows,
                                        const REAL *columns, ptrdiff_t begin, ptrdiff_t end,
                                        REAL_NAME(metric_sums) *held) {
    const REAL exponent = (REAL)m->exponent;
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < METRIC_VECTORS; v++) held[0][r][v] = held[1][r][v] = (lanes){0};
    }
    for (ptrdiff_t i = begin; i < end; i++) {
        const REAL *x = rows + i * METRIC_PANEL;
        lanes y[METRIC_VECTORS];
        METRIC_ONE_ADDRESS(x)
#pragma GCC unroll 4
        for (int v = 0; v < METRIC_VECTORS; v++) y[v] = *(const lanes *)(columns + i * METRIC_PANEL + v * METRIC_LANES);
#pragma GCC unroll 16
        for (int r = 0; r < n_rows; r++) {
#pragma GCC unroll 4
            for (int v = 0; v < METRIC_VECTORS; v++) {
                f.term(x + r, y[v], exponent, (r + v) % 4, &held[0][r][v], &held[1][r][v]);
            }
        }
    }
}

/* What a sum of maxima or products comes to, and the least that is trusted. x and y are places of points in their
 * panels, `behind` is how far from there their X and Y are. */
FC_INLINE lanes REAL_NAME(expanded_sum)(metric_expansion expansion, lanes sum, const REAL *x, const REAL *y,
                                        ptrdiff_t behind) {
    const lanes parts = REAL_NAME(lanes_of)(x[behind]) + *(const lanes *)(y + behind);
    return expansion == EXPANDED_MAXIMA ? sum + sum - parts : parts - (sum + sum);
}

FC_INLINE lanes REAL_NAME(expanded_least)(const REAL *x, const REAL *y, ptrdiff_t behind) {
    return REAL_NAME(lanes_of)(x[behind + METRIC_PANEL]) + *(const lanes *)(y + behind + METRIC_PANEL);
}

/* Add up one row with METRIC_VECTORS vectors of columns, all features. */
FC_INLINE void REAL_NAME(metric_add_up_row)(REAL_NAME(metric_functors) f, const metric *m, const REAL *row,
                                            const REAL *columns, lanes *sums) {
    const ptrdiff_t p = m->n_features;
    for (ptrdiff_t begin = 0; begin < p; begin += METRIC_FEATURES) {
        REAL_NAME(metric_sums) held[2];
        const ptrdiff_t end = p - begin < METRIC_FEATURES ? p : begin + METRIC_FEATURES;
        REAL_NAME(metric_add_up)(f, 1, m, row, columns, begin, end, held);
        for (int v = 0; v < METRIC_VECTORS; v++) {
            if (begin > 0) f.merge(sums[v], &held[0][0][v]);
            sums[v] = held[0][0][v];
        }
    }
}

/* Correct the sums of one row: direct ones, if `direct`, some of which may be trusted in the expanded form, or else
 * expanded ones, some of which are not trusted. */
FC_INLINE void REAL_NAME(expanded_amend_as)(REAL_NAME(metric_term) *term, REAL_NAME(metric_term) *expanded_term,
                                            metric_expansion expansion, const metric *m, const REAL *row,
                                            const REAL *columns, int direct, lanes *sums) {
    const REAL_NAME(metric_functors) f = {direct ? expanded_term : term, 1, REAL_NAME(merge_add), NULL, expansion,
                                          EXPANDED_NEVER};
    const ptrdiff_t behind = m->n_features * METRIC_PANEL;
    lanes others[METRIC_VECTORS];
    REAL_NAME(metric_add_up_row)(f, m, row, columns, others);
    for (int v = 0; v < METRIC_VECTORS; v++) {
        const REAL *y = columns + v * METRIC_LANES;
        const lanes least = REAL_NAME(expanded_least)(row, y, behind);
        if (direct) others[v] = REAL_NAME(expanded_sum)(expansion, others[v], row, y, behind);
        const lanes found = direct ? others[v] : sums[v], sum = direct ? sums[v] : others[v];
        sums[v] = REAL_NAME(lanes_where)(found >= least, found, sum);
    }
}

static __attribute__((noinline)) void REAL_NAME(expanded_amend)(const metric *m, const REAL *row, const REAL *columns,
                                                                int direct, lanes *sums) {
#define EXPANDED_AMEND(term, expanded_term, expansion)                                                                 \
    if (direct) {                                                                                                      \
        REAL_NAME(expanded_amend_as)(REAL_NAME(term), REAL_NAME(expanded_term), expansion, m, row, columns, 1, sums);  \
    } else {                                                                                                           \
        REAL_NAME(expanded_amend_as)(REAL_NAME(term), REAL_NAME(expanded_term), expansion, m, row, columns, 0, sums);  \
    }
    if (metric_expanded(m) == EXPANDED_MAXIMA) EXPANDED_AMEND(term_absolute, term_maximum, EXPANDED_MAXIMA)
    else EXPANDED_AMEND(term_squared, term_product, EXPANDED_PRODUCTS)
#undef EXPANDED_AMEND
}

/* Turn sums, expanded or direct ones, into those that are returned; of both, the direct ones come first. */
FC_INLINE void REAL_NAME(expanded_finish)(REAL_NAME(metric_functors) f, int n_rows, const metric *m, const REAL *rows,
                                          const REAL *columns, REAL_NAME(metric_sums) *both) {
    lanes(*held)[METRIC_VECTORS] = both[0];
    const unsigned all = (1u << METRIC_LANES) - 1;
    const ptrdiff_t behind = m->n_features * METRIC_PANEL;
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++) {
        unsigned doubtful = 0;
#pragma GCC unroll 4
        for (int v = 0; v < METRIC_VECTORS; v++) {
            const REAL *y = columns + v * METRIC_LANES;
            const lanes least = REAL_NAME(expanded_least)(rows + r, y, behind);
            if (f.order == EXPANDED_BOTH) {
                const lanes found = REAL_NAME(expanded_sum)(f.expansion, both[1][r][v], rows + r, y, behind);
                held[r][v] = REAL_NAME(lanes_where)(found >= least, found, held[r][v]);
            } else if (f.order == EXPANDED_FIRST) {
                held[r][v] = REAL_NAME(expanded_sum)(f.expansion, held[r][v], rows + r, y, behind);
                doubtful |= REAL_NAME(lanes_reach)(held[r][v], least) ^ all;
            } else {
                /* Both ways differ by less than this margin, so the others would not be trusted in expanded form. */
                doubtful |= REAL_NAME(lanes_reach)(held[r][v], least * (REAL)(1 - 0x1p-20));
            }
        }
        if (__builtin_expect(doubtful != 0, 0)) {
            /* A copy goes out, so that the sums themselves stay in registers. */
            lanes sums[METRIC_VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < METRIC_VECTORS; v++) sums[v] = held[r][v];
            REAL_NAME(expanded_amend)(m, rows + r, columns, f.order == EXPANDED_LAST, sums);
#pragma GCC unroll 4
            for (int v = 0; v < METRIC_VECTORS; v++) held[r][v] = sums[v];
        }
    }
}

/* Which sums of a tile should come first: a guess from some of its pairs and features. */
FC_INLINE metric_order REAL_NAME(expanded_order)(REAL_NAME(metric_term) *term, const metric *m, const REAL *rows,
                                                 ptrdiff_t count, const REAL *columns) {
    enum { ROWS = 4 };
    const ptrdiff_t p = m->n_features, step = p / 16;
    const int n_rows = count < ROWS ? (int)count : ROWS, n_columns = n_rows > 1 ? METRIC_PANEL : METRIC_LANES;
    /* Where one in 64 is not as the others, two of five rows of 32 have such. */
    const int few = n_rows * n_columns / 64;
    int trusted = 0;
    for (int r = 0; r < n_rows; r++) {
        const REAL *x = rows + r * (count < METRIC_PANEL ? count : METRIC_PANEL) / n_rows;
        for (int v = 0; v < n_columns; v += METRIC_LANES) {
            lanes sum = {0}, unused = {0};
            for (ptrdiff_t i = 0; i < p; i += step) {
                term(x + i * METRIC_PANEL, *(const lanes *)(columns + i * METRIC_PANEL + v), 0, 0, &sum, &unused);
            }
            const lanes least = REAL_NAME(expanded_least)(x, columns + v, p * METRIC_PANEL);
            trusted += __builtin_popcount(REAL_NAME(lanes_reach)(sum * (REAL)step, least));
        }
    }
    if (trusted >= n_rows * n_columns - few) return EXPANDED_FIRST;
    return trusted <= few ? EXPANDED_LAST : EXPANDED_BOTH;
}

/* Features [begin, end) of n_rows adjacent rows x METRIC_VECTORS vectors of columns. The first two arguments are
 * constants wherever this is called. sums: set if these are the first features, else merged into; with the last
 * features the distances take their places, or go to to[row][column ...] if there is `to`. */
FC_INLINE void REAL_NAME(metric_group)(REAL_NAME(metric_functors) f, int n_rows, const metric *m, const REAL *rows,
                                       const REAL *columns, ptrdiff_t begin, ptrdiff_t end, REAL *sums, ptrdiff_t ld,
                                       ptrdiff_t plane, REAL *const *to, ptrdiff_t column) {
    REAL_NAME(metric_sums) held[2];
    REAL_NAME(metric_add_up)(f, n_rows, m, rows, columns, begin, end, held);
#pragma GCC unroll 2
    for (int s = 0; s < f.n_sums; s++) {
#pragma GCC unroll 16
        for (int r = 0; r < n_rows; r++) {
#pragma GCC unroll 4
            for (int v = 0; v < METRIC_VECTORS; v++) {
                lanes *at = (lanes *)(sums + s * plane + r * ld + v * METRIC_LANES);
                if (begin > 0) f.merge(*at, &held[s][r][v]);
                if (end < m->n_features) *at = held[s][r][v];
            }
        }
    }
    if (end < m->n_features) return;
    if (f.order != EXPANDED_NEVER) REAL_NAME(expanded_finish)(f, n_rows, m, rows, columns, held);
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++) {
        REAL *place = to ? to[r] + column : sums + r * ld;
#pragma GCC unroll 4
        for (int v = 0; v < METRIC_VECTORS; v++) {
            *(lanes_anywhere *)(place + v * METRIC_LANES) = f.distance(held[0][r][v], held[1][r][v], m, (r + v) % 4);
        }
    }
}

/* One row panel (its first `count` rows from `rows` on) against one column panel, features [begin, end). Roots and
 * quotients, and memory that takes them, are slow: the arithmetic of the next sums goes on beside them. */
FC_INLINE void REAL_NAME(metric_panel)(REAL_NAME(metric_functors) f, int n_rows, const metric *m, const REAL *rows,
                                       ptrdiff_t count, const REAL *columns, ptrdiff_t begin, ptrdiff_t end,
                                       REAL *sums, ptrdiff_t ld, ptrdiff_t plane, REAL *const *to,
                                       ptrdiff_t column) {
    for (ptrdiff_t r = 0; r < count; r += n_rows) {
        for (int i = 0; i < n_rows && to; i++) {
            const char *ahead = (const char *)(to[r + i] + column) + METRIC_AHEAD;
            for (size_t at = 0; at < METRIC_PANEL * sizeof(REAL); at += 64) __builtin_prefetch(ahead + at, 1);
        }
        for (ptrdiff_t c = 0; c < METRIC_PANEL; c += METRIC_VECTORS * METRIC_LANES) {
            REAL_NAME(metric_group)(f, n_rows, m, rows + r, columns + c, begin, end, sums + r * ld + c, ld, plane,
                                    to ? to + r : NULL, column + c);
        }
    }
}

/* All panels of a tile, blocks of features outermost. n_rows: METRIC_ROWS, or 1 for a single row. */
FC_INLINE void REAL_NAME(metric_sweep)(REAL_NAME(metric_functors) f, int n_rows, const metric *m, const REAL *rows,
                                       ptrdiff_t count, const REAL *columns, ptrdiff_t k, REAL *tile,
                                       REAL *const *to) {
    const ptrdiff_t p = m->n_features, ld = k * METRIC_PANEL, plane = metric_tile_plane(count, k);
    const ptrdiff_t size = metric_panel_size(m);
    for (ptrdiff_t begin = 0; begin == 0 || begin < p; begin += METRIC_FEATURES) {
        const ptrdiff_t end = p - begin < METRIC_FEATURES ? p : begin + METRIC_FEATURES;
        for (ptrdiff_t c = 0; c < k; c++) {
            for (ptrdiff_t r = 0; r < count; r += METRIC_PANEL) {
                REAL_NAME(metric_panel)(f, n_rows, m, rows + r / METRIC_PANEL * size,
                                        count - r < METRIC_PANEL ? count - r : METRIC_PANEL, columns + c * size, begin,
                                        end, tile + r * ld + c * METRIC_PANEL, ld, plane, to ? to + r : NULL,
                                        c * METRIC_PANEL);
            }
        }
    }
}

/* The same; the functors are constant. */
FC_INLINE void REAL_NAME(metric_sweep_any)(REAL_NAME(metric_functors) f, const metric *m, const REAL *rows,
                                           ptrdiff_t count, const REAL *columns, ptrdiff_t k, REAL *tile,
                                           REAL *const *to) {
    if (count == 1) REAL_NAME(metric_sweep)(f, 1, m, rows, 1, columns, k, tile, to);
    else REAL_NAME(metric_sweep)(f, METRIC_ROWS / f.n_sums, m, rows, count, columns, k, tile, to);
}

/* The same by the expanded form, if the metric has one and these are features enough for it. */
FC_INLINE void REAL_NAME(metric_sweep_expanding)(REAL_NAME(metric_functors) f, const metric *m, const REAL *rows,
                                                 ptrdiff_t count, const REAL *columns, ptrdiff_t k, REAL *tile,
                                                 REAL *const *to) {
    if (sizeof(REAL) == sizeof(float) || f.expansion == EXPANDED_NOTHING || !metric_expands(m)) {
        REAL_NAME(metric_sweep_any)(f, m, rows, count, columns, k, tile, to);
        return;
    }
    const int maxima = f.expansion == EXPANDED_MAXIMA;
    switch (REAL_NAME(expanded_order)(f.term, m, rows, count, columns + k / 2 * metric_panel_size(m))) {
    case EXPANDED_FIRST:
        f.term = maxima ? REAL_NAME(term_maximum) : REAL_NAME(term_product);
        f.order = EXPANDED_FIRST;
        REAL_NAME(metric_sweep_any)(f, m, rows, count, columns, k, tile, to);
        break;
    case EXPANDED_BOTH:
        f.term = maxima ? REAL_NAME(term_absolute_and_maximum) : REAL_NAME(term_squared_and_product);
        f.order = EXPANDED_BOTH;
        f.n_sums = 2;
        REAL_NAME(metric_sweep_any)(f, m, rows, count, columns, k, tile, to);
        break;
    default:
        f.order = EXPANDED_LAST;
        REAL_NAME(metric_sweep_any)(f, m, rows, count, columns, k, tile, to);
    }
}

/* See metrics.h. */
static inline void REAL_NAME(metric_tile_to)(const metric *m, const REAL *rows, ptrdiff_t count, const REAL *columns,
                                             ptrdiff_t k, REAL *tile, REAL *const *to) {
    switch (m->code) {
#define METRIC_CASE(CODE, preparation, term, n_sums, merge, distance, expanded)                                        \
    case METRIC_##CODE: {                                                                                              \
        const REAL_NAME(metric_functors) f = {REAL_NAME(term_##term), n_sums, REAL_NAME(merge_##merge),                \
                                              REAL_NAME(distance_##distance), EXPANDED_##expanded, EXPANDED_NEVER};    \
        REAL_NAME(metric_sweep_expanding)(f, m, rows, count, columns, k, tile, to);                                    \
        break;                                                                                                         \
    }
        METRICS(METRIC_CASE)
#undef METRIC_CASE
    default: break;
    }
}

/* See metrics.h. */
static inline void REAL_NAME(metric_tile)(const metric *m, const REAL *rows, ptrdiff_t count, const REAL *columns,
                                          ptrdiff_t k, REAL *tile) {
    REAL_NAME(metric_tile_to)(m, rows, count, columns, k, tile, NULL);
}

/* One panel of metric_pack: count <= METRIC_PANEL. */
FC_INLINE void REAL_NAME(metric_pack_typed)(const matrix *view, ptrdiff_t start, ptrdiff_t count,
                                            metric_preparation preparation, const metric_unit *units,
                                            REAL *restrict panel, matrix_dtype dtype) {
    enum { BLOCK = 16 }; /* features: a cache line or two of every row, while the panel's lines stay in L1 */
    const ptrdiff_t p = view->n_columns;
    for (ptrdiff_t begin = 0; begin < p; begin += BLOCK) {
        const ptrdiff_t end = p - begin < BLOCK ? p : begin + BLOCK;
        for (ptrdiff_t r = 0; r < count; r++) {
            const char *row = view->data + (start + r) * view->row_stride;
            for (ptrdiff_t i = begin; i < end; i++) {
                double value = matrix_value(row + i * view->column_stride, dtype);
                if (units) value = (value - units[r].mean) * units[r].scale / units[r].length;
                else if (preparation == PREPARE_BINARY) value = value != 0;
                panel[i * METRIC_PANEL + r] = (REAL)value;
            }
        }
        for (ptrdiff_t i = begin; i < end; i++) {
            memset(panel + i * METRIC_PANEL + count, 0, (size_t)(METRIC_PANEL - count) * sizeof(REAL));
        }
    }
}

/* X and t of the points of a panel, behind its features; see metric_expands. */
static inline void REAL_NAME(metric_pack_sums)(const metric *m, REAL *panel) {
    const ptrdiff_t behind = m->n_features * METRIC_PANEL;
    const int products = metric_expanded(m) == EXPANDED_PRODUCTS;
    for (int v = 0; v < METRIC_PANEL; v += METRIC_LANES) {
        /* What each addition rounds off (Knuth's TwoSum) is added up beside the sum. */
        lanes sum = {0}, rest = {0}, size = {0};
        for (ptrdiff_t at = v; at < behind; at += METRIC_PANEL) {
            lanes part = *(const lanes *)(panel + at);
            if (products) part *= part;
            const lanes next = sum + part, added = next - sum;
            rest += (sum - (next - added)) + (part - added);
            sum = next;
            size += REAL_NAME(lanes_abs)(part);
        }
        *(lanes *)(panel + behind + v) = sum + rest;
        size = REAL_NAME(lanes_where)(size <= (REAL)METRIC_LARGEST, size, REAL_NAME(lanes_of)(NAN));
        *(lanes *)(panel + behind + METRIC_PANEL + v) = size * (REAL)metric_trust(m) + (REAL)METRIC_LEAST;
    }
}

/* See metrics.h. */
static inline void REAL_NAME(metric_pack)(const metric *m, const matrix *view, ptrdiff_t start, ptrdiff_t count,
                                   REAL *panels) {
    const metric_preparation preparation = metric_prepares(m);
    const int scaled = preparation == PREPARE_UNIT || preparation == PREPARE_CENTERED;
    for (ptrdiff_t r = 0; r < count; r += METRIC_PANEL) {
        const ptrdiff_t some = count - r < METRIC_PANEL ? count - r : METRIC_PANEL;
        metric_unit units[METRIC_PANEL];
        for (ptrdiff_t i = 0; scaled && i < some; i++) {
            units[i] = metric_unit_of(view, start + r + i, preparation == PREPARE_CENTERED);
        }
        REAL *panel = panels + r / METRIC_PANEL * metric_panel_size(m);
        MATRIX_DISPATCH(view, REAL_NAME(metric_pack_typed), start + r, some, preparation, scaled ? units : NULL, panel)
        if (sizeof(REAL) == sizeof(double) && metric_expands(m)) REAL_NAME(metric_pack_sums)(m, panel);
    }
}

#undef lanes
#undef lane_bits
#undef lanes_anywhere
#undef METRIC_BYTES
#undef METRIC_LANES
#undef METRIC_SUMS_HELD
#undef METRIC_VECTORS_MOST
#undef METRIC_VECTORS
#undef METRIC_ROWS
#undef REAL
#undef REAL_NAME
#undef REAL_BITS
#undef REAL_ABS
