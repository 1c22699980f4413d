/* Condensing a triangle, in one type: included by triangle.h, as triangle_typed.h is. One pass from the last row to the
 * first carries many merges out and leaves out the positions they give up.
 *
 * New rows are made PANEL_ROWS at a time, as a panel: for every old column a cache line with its distances to all of
 * them. So two columns, which may lie anywhere, merge as whole lines. Before that the rows' own clusters are made of the
 * rows they unite, run by run of columns; after it the columns that are left become rows again.
 */

#define PANEL_ROWS (PANEL_LINE / (int)sizeof(real))

/* Columns that are worked on at once: those from `start` on, or, unless that is NULL, `columns`, ascending. */
typedef struct {
    ptrdiff_t start, count; /* at most PANEL_RUN */
    const int32_t *columns;
    int to_left;       /* whether `columns` all lie to the left of the panel's rows */
    const real *sizes; /* of their clusters */
} TYPED(column_run);

typedef struct {
    const triangle *t;
    const condense_plan *plan;
    lw_method method;
    ptrdiff_t row, count; /* new rows [row, row + count) */
    const int32_t *ends;  /* the old positions that these rows' clusters end at */
    ptrdiff_t own[PANEL_ROWS + 1]; /* where their own pairs begin: those of row i are [own[i], own[i + 1]) */
    real *lines;          /* by old column */
    /* For a run of columns. */
    real rows[PANEL_ROWS][PANEL_RUN + 64 / sizeof(real)]; /* not a power of two apart */
    real made[CONDENSE_BUFFERS][PANEL_RUN]; /* of a row's own clusters while they merge; at last, in the first, its own */
    real halves[2][PANEL_RUN];
} TYPED(panel);

FC_INLINE const real *TYPED(row_of)(const triangle *t, ptrdiff_t x) {
    return (const real *)t->values + triangle_offset(t->n, x);
}

/* Distances of position x to `count` others, as they are stored: as the formula wants them. */
static inline void TYPED(take_all)(const triangle *t, ptrdiff_t x, const int32_t *restrict others, ptrdiff_t count,
                                   real *restrict values) {
    if (t->scale == 0) return;
    if (t->weights) {
        for (ptrdiff_t k = 0; k < count; k++) {
            const ptrdiff_t y = others[k];
            values[k] = TYPED(taken)(t, values[k], x < y ? x : y, x < y ? y : x);
        }
    } else {
        const real factor = (real)t->scale;
        for (ptrdiff_t k = 0; k < count; k++) values[k] = (values[k] * factor) * (values[k] * factor);
    }
}

/* The distances of listed columns to position x of a row's cluster, which is given up, as they are stored. */
static inline void TYPED(gather_listed)(const triangle *t, const TYPED(column_run) *run, ptrdiff_t x,
                                        real *restrict to) {
    const ptrdiff_t n = t->n, count = run->count;
    const int32_t *restrict columns = run->columns;
    const real *column = (const real *)t->values + x, *row = TYPED(row_of)(t, x);
    ptrdiff_t k = 0;
    for (; k < count && columns[k] < x; k++) {
        if (k + COLUMN_AHEAD < count) PREFETCH(column + triangle_offset(n, columns[k + COLUMN_AHEAD]));
        to[k] = column[triangle_offset(n, columns[k])];
        KEEP_SCALAR;
    }
    if (k < count && columns[k] == x) to[k++] = 0; /* itself: nobody asks */
    for (; k < count; k++) {
        to[k] = row[columns[k]];
        KEEP_SCALAR;
    }
}

/* The distances of a run's columns to position x, as the formula wants them: in the triangle, or a copy in `to`. */
static inline const real *TYPED(distances_of)(const TYPED(panel) *p, const TYPED(column_run) *run, ptrdiff_t x,
                                              real *to) {
    const triangle *t = p->t;
    if (run->columns) {
        TYPED(gather_listed)(t, run, x, to);
        TYPED(take_all)(t, x, run->columns, run->count, to);
        return to;
    }
    const real *row = TYPED(row_of)(t, x);
    const ptrdiff_t stop = run->start + run->count, next = t->n - stop < PANEL_RUN ? t->n : stop + PANEL_RUN;
    for (ptrdiff_t j = stop; j < next; j += 64 / (ptrdiff_t)sizeof(real)) PREFETCH(row + j);
    return TYPED(taken_run)(t, x, row, run->start, stop, to) + run->start;
}

/* The distances of listed columns to the ends of all rows, as the formula wants them. A column's are close to each
 * other. */
static inline void TYPED(load_listed)(TYPED(panel) *p, const TYPED(column_run) *run) {
    const triangle *t = p->t;
    const int32_t *restrict ends = p->ends;
    const ptrdiff_t line = 64 / (ptrdiff_t)sizeof(real), low = ends[0], high = ends[p->count - 1];
    for (ptrdiff_t k = 0; k < run->count; k++) {
        const ptrdiff_t e = run->columns[k];
        const real *restrict row = TYPED(row_of)(t, e);
        if (run->to_left) {
            if (k + GATHER_AHEAD < run->count) {
                const real *ahead = TYPED(row_of)(t, run->columns[k + GATHER_AHEAD]);
                for (ptrdiff_t j = low; j < high + line; j += line) PREFETCH(ahead + j);
            }
            for (ptrdiff_t i = 0; i < p->count; i++) {
                p->rows[i][k] = row[ends[i]];
                KEEP_SCALAR;
            }
        } else {
            for (ptrdiff_t i = 0; i < p->count; i++) {
                const ptrdiff_t b = ends[i];
                p->rows[i][k] = e < b ? row[b] : e > b ? TYPED(row_of)(t, b)[e] : 0;
            }
        }
    }
    for (ptrdiff_t i = 0; i < p->count; i++) TYPED(take_all)(t, ends[i], run->columns, run->count, p->rows[i]);
}

#define UNITE_ROWS(formula, count, x, y, off, nx, part, sizes, to)                                                     \
    do {                                                                                                               \
        _Pragma("GCC ivdep")                                                                                           \
        for (ptrdiff_t j_ = 0; j_ < (count); j_++) (to)[j_] = formula((x)[j_], (y)[j_], off, nx, part, (sizes)[j_]);   \
    } while (0)

/* One half of pair q of row i's own cluster. */
static inline const real *TYPED(half_of)(TYPED(panel) *p, const TYPED(column_run) *run, ptrdiff_t i, ptrdiff_t q,
                                         int side) {
    const condense_plan *plan = p->plan;
    const int buffer = side ? plan->second_buffer[q] : plan->first_buffer[q];
    const int32_t position = side ? plan->second[q] : plan->first[q];
    if (buffer >= 0) return p->made[buffer];
    if (run->columns && position == p->ends[i]) return p->rows[i];
    return TYPED(distances_of)(p, run, position, p->halves[side]);
}

/* Row i's own cluster over a run of columns. */
static inline void TYPED(unite_rows)(TYPED(panel) *p, const TYPED(column_run) *run, ptrdiff_t i) {
    const condense_plan *plan = p->plan;
    for (ptrdiff_t q = p->own[i]; q < p->own[i + 1]; q++) {
        const real *x = TYPED(half_of)(p, run, i, q, 0), *y = TYPED(half_of)(p, run, i, q, 1);
        const real off = ((const real *)plan->offs)[q], part = ((const real *)plan->parts)[q];
        LW_DISPATCH(p->method, UNITE_ROWS, run->count, x, y, off, ((const real *)plan->first_sizes)[q], part,
                    run->sizes, p->made[plan->out_buffer[q]])
    }
    memcpy(p->rows[i], p->made[0], (size_t)run->count * sizeof(real));
}

FC_INLINE real *TYPED(line_of)(const TYPED(panel) *p, const TYPED(column_run) *run, ptrdiff_t k) {
    return p->lines + (run->columns ? run->columns[k] : run->start + k) * PANEL_ROWS;
}

/* A run of columns, as the rows' own clusters see them, to their lines. */
static inline void TYPED(fill_lines)(TYPED(panel) *p, const TYPED(column_run) *run) {
    enum { L = VEC_LANES };
    const real *from[PANEL_ROWS];
    if (run->columns) TYPED(load_listed)(p, run);
    for (ptrdiff_t i = 0; i < p->count; i++) {
        from[i] = p->rows[i];
        if (p->own[i] < p->own[i + 1]) {
            TYPED(unite_rows)(p, run, i);
        } else if (!run->columns) {
            from[i] = TYPED(distances_of)(p, run, p->ends[i], p->rows[i]);
        }
    }
    for (ptrdiff_t i = p->count; i < PANEL_ROWS; i++) from[i] = from[0];
    ptrdiff_t k = 0;
    for (; k + L <= run->count; k += L) {
        for (int g = 0; g < PANEL_ROWS; g += L) {
            vec block[L];
            for (int a = 0; a < L; a++) block[a] = VEC(load)(from[g + a] + k);
            VEC(transpose)(block);
            for (int l = 0; l < L; l++) VEC(store)(TYPED(line_of)(p, run, k + l) + g, block[l]);
        }
    }
    for (; k < run->count; k++) {
        real *line = TYPED(line_of)(p, run, k);
        for (int i = 0; i < PANEL_ROWS; i++) line[i] = from[i][k];
    }
}

/* Lines of listed columns. */
static inline void TYPED(fill_listed)(TYPED(panel) *p, const int32_t *columns, ptrdiff_t count, int to_left) {
    real sizes[PANEL_RUN];
    for (ptrdiff_t k = 0; k < count; k += PANEL_RUN) {
        const ptrdiff_t length = count - k < PANEL_RUN ? count - k : PANEL_RUN;
        for (ptrdiff_t i = 0; i < length; i++) sizes[i] = ((const real *)p->t->sizes)[columns[k + i]];
        const TYPED(column_run) run = {0, length, columns + k, to_left, sizes};
        TYPED(fill_lines)(p, &run);
    }
}

#define UNITE_COLUMNS(formula, plan, begin, own_sizes, lines)                                                          \
    do {                                                                                                               \
        const real *offs_ = (const real *)(plan)->offs, *first_sizes_ = (const real *)(plan)->first_sizes;             \
        const real *parts_ = (const real *)(plan)->parts;                                                              \
        for (ptrdiff_t q_ = begin; q_ < (plan)->n_pairs; q_++) {                                                       \
            const real *x_ = (lines) + (ptrdiff_t)(plan)->first[q_] * PANEL_ROWS;                                      \
            real *y_ = (lines) + (ptrdiff_t)(plan)->second[q_] * PANEL_ROWS;                                           \
            const real off_ = offs_[q_], size_ = first_sizes_[q_], part_ = parts_[q_];                                 \
            const ptrdiff_t next_ = q_ + LINES_AHEAD < (plan)->n_pairs ? q_ + LINES_AHEAD : q_;                        \
            __builtin_prefetch((lines) + (ptrdiff_t)(plan)->first[next_] * PANEL_ROWS);                                \
            __builtin_prefetch((lines) + (ptrdiff_t)(plan)->second[next_] * PANEL_ROWS);                               \
            _Pragma("GCC ivdep")                                                                                       \
            for (int i_ = 0; i_ < PANEL_ROWS; i_++) y_[i_] = formula(x_[i_], y_[i_], off_, size_, part_, (own_sizes)[i_]); \
        }                                                                                                              \
    } while (0)

/* The columns that are left, as rows: out[i][v] for new column v of row i. */
static inline void TYPED(write_rows)(const TYPED(panel) *p, real *const *out) {
    enum { L = VEC_LANES };
    const int32_t *restrict source = p->plan->source;
    const ptrdiff_t n_new = p->plan->n_new;
    ptrdiff_t v = p->row + 1;
    for (; v < p->row + p->count; v++) {
        for (ptrdiff_t i = 0; p->row + i < v; i++) out[i][v] = p->lines[(ptrdiff_t)source[v] * PANEL_ROWS + i];
    }
    if (p->count == PANEL_ROWS) {
        for (; v + L <= n_new; v += L) {
            for (int g = 0; g < PANEL_ROWS; g += L) {
                vec block[L];
                for (int l = 0; l < L; l++) block[l] = VEC(load)(p->lines + (ptrdiff_t)source[v + l] * PANEL_ROWS + g);
                VEC(transpose)(block);
                for (int a = 0; a < L; a++) VEC(store)(out[g + a] + v, block[a]);
            }
        }
    }
    for (; v < n_new; v++) {
        for (ptrdiff_t i = 0; i < p->count; i++) out[i][v] = p->lines[(ptrdiff_t)source[v] * PANEL_ROWS + i];
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

/* What unites with a column to the right of new row `row`, and lies to its left, ascending, to `earlier`; how many. */
static inline ptrdiff_t TYPED(find_earlier)(const condense_plan *plan, ptrdiff_t row, int32_t *earlier) {
    const ptrdiff_t low = plan->source[row], stop = low - row; /* what is before it and not a new row is given up */
    ptrdiff_t i = 0, count = 0;
#ifdef VF_COMPRESSES
    for (; i + VF_LANES <= stop; i += VF_LANES) {
        uint8_t bits[2];
        vi_less_bits(bits, plan->given_ends + i, (int32_t)low + 1);
        bits[0] = (uint8_t)~bits[0];
        bits[1] = (uint8_t)~bits[1];
        count += vi_store_bits(earlier + count, plan->given + i, bits);
    }
#endif
    for (; i < stop; i++) {
        earlier[count] = plan->given[i];
        count += plan->given_ends[i] > low;
    }
    return count;
}

/* New rows [row, row + count), at most PANEL_ROWS, of a condensed triangle: the one at `row + i` to out + i * apart if
 * that is not 0, else to its place in a triangle whose values are `out`. scratch: condense_scratch_bytes. */
static inline void TYPED(condense_rows)(const triangle *t, const condense_plan *plan, lw_method method, ptrdiff_t row,
                                        ptrdiff_t count, void *scratch, void *out, ptrdiff_t apart) {
    const ptrdiff_t n = t->n;
    real *rows[PANEL_ROWS];
    for (ptrdiff_t i = 0; i < count; i++) {
        rows[i] = (real *)out + (apart ? i * apart - (row + i) - 1 : triangle_offset(plan->n_new, row + i));
    }
    if (plan->n_pairs == 0) {
        for (ptrdiff_t i = 0; i < count; i++) {
            const ptrdiff_t b = plan->source[row + i];
            const real *values = TYPED(taken_run)(t, b, TYPED(row_of)(t, b), b + 1, n, (real *)scratch);
            TYPED(keep_columns)(plan, row + i, values, rows[i]);
        }
        return;
    }
    TYPED(panel) p;
    p.t = t;
    p.plan = plan;
    p.method = method;
    p.row = row;
    p.count = count;
    p.ends = plan->source + row;
    p.lines = (real *)scratch;
    int32_t *columns = (int32_t *)(p.lines + n * PANEL_ROWS);
    const ptrdiff_t low = p.ends[0], high = p.ends[count - 1];
    p.own[0] = pairs_behind(plan, low - 1);
    for (ptrdiff_t i = 0; i < count; i++) p.own[i + 1] = pairs_behind(plan, p.ends[i]);
    TYPED(fill_listed)(&p, columns, TYPED(find_earlier)(plan, row, columns), 1);
    for (ptrdiff_t j = low + 1; j <= high; j++) columns[j - low - 1] = (int32_t)j;
    TYPED(fill_listed)(&p, columns, high - low, 0);
    for (ptrdiff_t j = high + 1; j < n; j += PANEL_RUN) {
        const TYPED(column_run) run = {j, n - j < PANEL_RUN ? n - j : PANEL_RUN, NULL, 0, (const real *)t->sizes + j};
        TYPED(fill_lines)(&p, &run);
    }
    real own_sizes[PANEL_ROWS];
    for (int i = 0; i < PANEL_ROWS; i++) own_sizes[i] = ((const real *)plan->sizes)[row + (i < count ? i : 0)];
    LW_DISPATCH(method, UNITE_COLUMNS, plan, p.own[1], own_sizes, p.lines)
    TYPED(write_rows)(&p, rows);
}
#undef PANEL_ROWS
