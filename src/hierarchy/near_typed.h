/* All near pairs of a triangle, in one type: included by triangle.h, as triangle_typed.h is. */

/* The greatest number that is less than `reach`. */
static inline real TYPED(just_below)(double reach) {
    real value = (real)reach;
    if ((double)value >= reach) value = sizeof(real) == sizeof(float) ? (real)nextafterf((float)value, -INFINITY)
                                                                      : (real)nextafter((double)value, -INFINITY);
    return value;
}

/* What of [start, stop) is at most `most` away, ascending, to found[] and columns[]; how many. */
FC_INLINE ptrdiff_t TYPED(near_run)(const real *values, ptrdiff_t start, ptrdiff_t stop, real most, real *found,
                                    int32_t *columns) {
    const vec at_most = VEC(set1)(most);
    ptrdiff_t count = 0, j = start;
    for (; j + 2 * VEC_LANES <= stop; j += 2 * VEC_LANES) {
        uint32_t met = VEC(at_most)(VEC(load)(values + j), at_most) |
                       VEC(at_most)(VEC(load)(values + j + VEC_LANES), at_most) << VEC_LANES;
        for (; met; met &= met - 1) {
            const ptrdiff_t i = j + __builtin_ctz(met);
            found[count] = values[i];
            columns[count++] = (int32_t)i;
        }
    }
    for (; j < stop; j++) {
        found[count] = values[j];
        columns[count] = (int32_t)j;
        count += values[j] <= most;
    }
    return count;
}

/* What has been found in a row, to the place of all pairs, if they have room there. */
static inline void TYPED(keep_near)(near_pairs *near, ptrdiff_t row, const real *found, const int32_t *columns,
                                    ptrdiff_t count) {
    const ptrdiff_t begin = __atomic_fetch_add(&near->found, count, __ATOMIC_RELAXED);
    if (begin + count > near->capacity) return;
    near->begin[row] = (int32_t)begin;
    near->counts[row] = (int32_t)count;
    memcpy((real *)near->values + begin, found, (size_t)count * sizeof(real));
    memcpy(near->columns + begin, columns, (size_t)count * sizeof(int32_t));
}

/* Row `row` of a triangle of n, whose values [row + 1, n) are `from`, stored as t says: to `to`, unless that is NULL or
 * where they are; what is within reach to `near`, by way of `scratch` (condense_scratch_bytes). `seen`, not NULL, is
 * told of what is stored. */
static inline void TYPED(collect_row)(const triangle *t, ptrdiff_t row, const void *from, void *to, near_pairs *near,
                                      void *scratch, extent *seen) {
    const ptrdiff_t n = t->n;
    const real *stored = (const real *)from - row - 1, most = TYPED(just_below)(near->reach);
    real *place = to ? (real *)to - row - 1 : NULL, *found = (real *)scratch, taken[NEAREST_RUN];
    int32_t *columns = (int32_t *)(found + n);
    ptrdiff_t count = 0;
    for (ptrdiff_t run = row + 1, end; run < n; run = end) {
        end = n - run < NEAREST_RUN ? n : run + NEAREST_RUN;
        TYPED(fetch_run)(stored, end, n);
        if (seen) TYPED(see)(seen, stored + run, end - run);
        const real *values = TYPED(taken_run)(t, row, stored, run, end, taken);
        count += TYPED(near_run)(values, run, end, most, found + count, columns + count);
        if (place && place + run != values + run) {
            memcpy(place + run, values + run, (size_t)(end - run) * sizeof(real));
        }
    }
    TYPED(keep_near)(near, row, found, columns, count);
}
