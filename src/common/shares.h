/* Tasks that are done again and again by the same threads: each thread has a range of them to itself, and takes from
 * those of others when it is done. What a task reads and writes then mostly is where its thread left it the last time;
 * a cache line of another core, maybe beside another cache, takes up to 250 ns. No thread waits for a slower one. */
#ifndef FASTCLUSTER_EXT_SHARES_H
#define FASTCLUSTER_EXT_SHARES_H

#include <stddef.h>

#define SHARE_BYTES 128 /* lines are often brought in pairs */

typedef union {
    struct {
        ptrdiff_t next, end;
    } of;
    char bytes[SHARE_BYTES];
} work_share;

/* Tasks [first, last), among `count` threads. */
static inline void shares_fill(work_share *shares, int count, ptrdiff_t first, ptrdiff_t last) {
    for (int t = 0; t < count; t++) {
        shares[t].of.next = first + t * (last - first) / count;
        shares[t].of.end = first + (t + 1) * (last - first) / count;
    }
}

/* The next task of thread `own`, or else of those after it; -1 if all are taken. */
static inline ptrdiff_t shares_next(work_share *shares, int count, int own) {
    for (int t = 0; t < count; t++) {
        work_share *share = shares + (own + t) % count;
        if (__atomic_load_n(&share->of.next, __ATOMIC_RELAXED) >= share->of.end) continue;
        const ptrdiff_t task = __atomic_fetch_add(&share->of.next, 1, __ATOMIC_RELAXED);
        if (task < share->of.end) return task;
    }
    return -1;
}

#endif
