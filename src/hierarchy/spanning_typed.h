/* spanning.h's work in one type: included there once with real = float and once with real = double. `index` is the
 * integer of that width. No include guard: on purpose. */

/* Columns [from, to), at most SPANNING_COLUMNS, of a row: its least open edge among them, and the row offered to the
 * columns. `next`: these columns of the row that is next, which is asked for. Returns whether a value is not finite. */
FC_INLINE int TYPED(spanning_run)(const spanning *s, ptrdiff_t row, ptrdiff_t from, ptrdiff_t to, const real *next,
                                  real *restrict least, index *restrict rows) {
    const real *restrict values = (const real *)s->t.values + triangle_offset(s->t.n, row) + from;
    const index *restrict labels = (const index *)s->labels + from;
    const index own = ((const index *)s->labels)[row], number = (index)row;
    const ptrdiff_t count = to - from, line = 64 / sizeof(real);
    real open[SPANNING_COLUMNS];
    index odd = 0;
    for (ptrdiff_t j = 0; j < count; j += line) __builtin_prefetch(next + j);
    for (ptrdiff_t j = 0; j < count; j++) {
        const real value = values[j];
        odd |= value - value == 0 ? 0 : 1;
        open[j] = labels[j] == own ? (real)INFINITY : value;
    }
    least += from;
    rows += from;
    for (ptrdiff_t j = 0; j < count; j++) {
        const int nearer = open[j] <= least[j];
        least[j] = nearer ? open[j] : least[j];
        rows[j] = nearer ? number : rows[j];
    }
    real lanes[NEAREST_LANES], *distance = (real *)s->t.distances + row, best = *distance;
    ptrdiff_t j = 0;
    for (int l = 0; l < NEAREST_LANES; l++) lanes[l] = best;
    for (; j + NEAREST_LANES <= count; j += NEAREST_LANES) {
        for (int l = 0; l < NEAREST_LANES; l++) lanes[l] = open[j + l] < lanes[l] ? open[j + l] : lanes[l];
    }
    for (; j < count; j++) best = open[j] < best ? open[j] : best;
    for (int l = 0; l < NEAREST_LANES; l++) best = lanes[l] < best ? lanes[l] : best;
    if (best < *distance) {
        *distance = best;
        for (j = 0; open[j] != best;) j++;
        s->t.nearest[row] = (int32_t)(from + j);
    }
    return odd != 0;
}

/* The rows of [start, stop) that are this part's, last to first: slices must come in descending order. Returns whether
 * a value is not finite. */
static inline int TYPED(spanning_rows)(const spanning *s, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t part) {
    const ptrdiff_t n = s->t.n;
    real *least = (real *)s->least + part * n;
    index *rows = (index *)s->rows + part * n;
    int odd = 0;
    for (ptrdiff_t row = stop - 1 - part; row >= start; row -= s->parts) {
        ((real *)s->t.distances)[row] = INFINITY;
        s->t.nearest[row] = 0;
    }
    for (ptrdiff_t begin = start + 1; begin < n; begin += SPANNING_COLUMNS) {
        const ptrdiff_t end = n - begin < SPANNING_COLUMNS ? n : begin + SPANNING_COLUMNS;
        for (ptrdiff_t row = stop - 1 - part; row >= start; row -= s->parts) {
            const ptrdiff_t from = begin > row ? begin : row + 1, next = row - s->parts > start ? row - s->parts : start;
            const real *next_values = (const real *)s->t.values + triangle_offset(n, next) + from;
            if (from < end) odd |= TYPED(spanning_run)(s, row, from, end, next_values, least, rows);
        }
    }
    return odd;
}

static inline void TYPED(spanning_clear_columns)(const spanning *s, ptrdiff_t part) {
    const ptrdiff_t n = s->t.n;
    for (ptrdiff_t j = 0; j < n; j++) {
        ((real *)s->least)[part * n + j] = INFINITY;
        ((index *)s->rows)[part * n + j] = 0;
    }
}

/* The least edge to the left, found by all parts, joined with that to the right. Of equal ones that of the lower
 * observation counts, which is the one to the left. */
static inline void TYPED(spanning_join_columns)(const spanning *s) {
    const ptrdiff_t n = s->t.n;
    real *distances = (real *)s->t.distances;
    for (ptrdiff_t j = 0; j < n; j++) {
        real least = INFINITY;
        index row = 0;
        for (ptrdiff_t part = 0; part < s->parts; part++) {
            const real candidate = ((const real *)s->least)[part * n + j];
            const index candidate_row = ((const index *)s->rows)[part * n + j];
            if (candidate < least || (candidate == least && candidate_row < row)) {
                least = candidate;
                row = candidate_row;
            }
        }
        if (least < (real)INFINITY && least <= distances[j]) {
            distances[j] = least;
            s->t.nearest[j] = (int32_t)row;
        }
    }
}

/* One row of the table: the least distances between some members of a component and later observations, by their
 * components. First all rows merge, then the columns; scratch: n. */
static inline void TYPED(spanning_contract)(const spanning *s, ptrdiff_t component, ptrdiff_t piece, void *scratch) {
    const ptrdiff_t n = s->t.n, components = s->components;
    const ptrdiff_t first = s->begin[component] + (piece - s->piece[component]) * SPANNING_MEMBERS;
    const ptrdiff_t rest = s->begin[component + 1] - first;
    const int32_t *members = s->members + first, *restrict column_component = s->component;
    const ptrdiff_t count = rest < SPANNING_MEMBERS ? rest : SPANNING_MEMBERS;
    real *restrict row = (real *)scratch, *restrict out = (real *)s->table + piece * components;
    for (ptrdiff_t j = members[0] + 1; j < n; j++) row[j] = INFINITY;
    for (ptrdiff_t k = 0; k < count; k++) {
        const ptrdiff_t i = members[k];
        const real *restrict values = (const real *)s->t.values + triangle_offset(n, i);
        for (ptrdiff_t j = i + 1; j < n; j++) row[j] = values[j] < row[j] ? values[j] : row[j];
    }
    for (ptrdiff_t c = 0; c < components; c++) out[c] = INFINITY;
    for (ptrdiff_t j = members[0] + 1; j < n; j++) {
        real *at = out + column_component[j];
        *at = row[j] < *at ? row[j] : *at;
        KEEP_SCALAR;
    }
    out[component] = INFINITY;
}

/* A component's rows of the table as the first of them. */
static inline void TYPED(spanning_fold)(const spanning *s, ptrdiff_t component) {
    const ptrdiff_t components = s->components;
    real *restrict out = (real *)s->table + s->piece[component] * components;
    for (ptrdiff_t piece = s->piece[component] + 1; piece < s->piece[component + 1]; piece++) {
        const real *restrict row = (const real *)s->table + piece * components;
        for (ptrdiff_t c = 0; c < components; c++) out[c] = row[c] < out[c] ? row[c] : out[c];
    }
}

/* SPANNING_TILE rows of the folded table, from the diagonal on, and the columns that mirror them: the lesser of both. */
static inline void TYPED(spanning_mirror)(const spanning *s, ptrdiff_t tile) {
    const ptrdiff_t components = s->components, start = tile * SPANNING_TILE;
    const ptrdiff_t stop = components - start < SPANNING_TILE ? components : start + SPANNING_TILE;
    real *table = (real *)s->table;
    for (ptrdiff_t begin = start; begin < components; begin += SPANNING_TILE) {
        const ptrdiff_t end = components - begin < SPANNING_TILE ? components : begin + SPANNING_TILE;
        for (ptrdiff_t a = start; a < stop; a++) {
            for (ptrdiff_t b = begin > a ? begin : a + 1; b < end; b++) {
                real *one = table + s->piece[a] * components + b, *other = table + s->piece[b] * components + a;
                const real value = *one < *other ? *one : *other;
                *one = *other = value;
            }
        }
    }
}

/* The first edge between the components a and b that has their least distance. */
static inline spanning_edge TYPED(spanning_edge_between)(const spanning *s, ptrdiff_t a, ptrdiff_t b) {
    const real wanted = ((const real *)s->table)[s->piece[a] * s->components + b];
    const int32_t *at_a = s->members + s->begin[a], *end_a = s->members + s->begin[a + 1];
    const int32_t *at_b = s->members + s->begin[b], *end_b = s->members + s->begin[b + 1];
    while (at_a < end_a && at_b < end_b) {
        /* The lowest observation left, with all higher ones of the other component. */
        const int swap = *at_b < *at_a;
        const int32_t i = swap ? *at_b : *at_a, *others = swap ? at_a : at_b, *end = swap ? end_a : end_b;
        const real *row = (const real *)s->t.values + triangle_offset(s->t.n, i);
        for (; others < end; others++) {
            if (row[*others] == wanted) return (spanning_edge){i, *others, (int32_t)a};
        }
        if (swap) {
            at_b++;
        } else {
            at_a++;
        }
    }
    return (spanning_edge){0, 0, (int32_t)a}; /* not reached: one of them has that distance */
}

/* The edge that component c would join the tree by, found when it is first asked for. */
FC_INLINE spanning_edge TYPED(spanning_known)(const spanning *s, ptrdiff_t c, const void *from, spanning_edge *edges) {
    const int32_t other = (int32_t)((const index *)from)[c];
    if (edges[c].from != other) edges[c] = TYPED(spanning_edge_between)(s, other, c);
    return edges[c];
}

/* One step of Prim's algorithm: component x has joined the tree; returns which is next, or -1 if no other is at a finite
 * distance. nearest, from: how far each component is from the tree, and from which component of it; INFINITY and -1 if
 * that is not known, INFINITY and -2 in the tree. edges: by which observations; of any other component than `from` they
 * mean nothing. */
static inline ptrdiff_t TYPED(spanning_step)(const spanning *s, ptrdiff_t x, void *nearest, void *from,
                                             spanning_edge *edges) {
    const ptrdiff_t components = s->components;
    const real *restrict row = (const real *)s->table + s->piece[x] * components;
    real *restrict distance = (real *)nearest;
    index *restrict source = (index *)from, number = (index)x, ties = 0;
    for (ptrdiff_t c = 0; c < components; c++) {
        const real value = source[c] == -2 ? (real)INFINITY : row[c];
        const int nearer = value < distance[c];
        ties |= value == distance[c] && value < (real)INFINITY ? 1 : 0;
        distance[c] = nearer ? value : distance[c];
        source[c] = nearer ? number : source[c];
    }
    for (ptrdiff_t c = 0; ties && c < components; c++) {
        if (source[c] < 0 || source[c] == number || row[c] != distance[c]) continue;
        const spanning_edge other = TYPED(spanning_edge_between)(s, x, c);
        if (spanning_edge_before(other, TYPED(spanning_known)(s, c, from, edges))) {
            edges[c] = other;
            source[c] = number;
        }
    }
    const nearest_found best = TYPED(least_of)(distance, 0, components);
    if (!(best.distance < INFINITY)) return -1;
    ptrdiff_t next = best.position;
    TYPED(spanning_known)(s, next, from, edges);
    for (ptrdiff_t c = next + 1; c < components; c++) {
        if (distance[c] == (real)best.distance &&
            spanning_edge_before(TYPED(spanning_known)(s, c, from, edges), edges[next])) {
            next = c;
        }
    }
    return next;
}
