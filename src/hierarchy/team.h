/* A team of threads for very many very short loops.
 *
 * Merging two clusters is a few microseconds of work for each thread, and there are n of them: a parallel region for
 * each would wait, every time, until all threads have been scheduled. Here one parallel region holds the whole
 * computation. Its first thread runs it and offers the chunks of each loop; the others take chunks when they are
 * there and are never waited for unless they hold one. On a busy machine the first thread does it all.
 *
 * The ticket packs the loop's number, its chunks and the next chunk to be taken, so that taking one is a single
 * compare-and-swap that fails for a loop that is over.
 */
#ifndef FASTCLUSTER_EXT_TEAM_H
#define FASTCLUSTER_EXT_TEAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __unix__
#include <sched.h>
#endif

typedef void (*team_work)(void *context, ptrdiff_t chunk, int thread);
typedef void (*team_main)(void *context);

typedef struct {
    int n_threads;
    team_work work;
    void *context;
    _Alignas(64) _Atomic uint64_t ticket; /* loop number: 20 bits; chunks: 22; next chunk: 22 */
    _Alignas(64) _Atomic uint64_t done;   /* chunks finished in this loop */
    _Alignas(64) _Atomic int over;
} team;

enum { TEAM_CHUNK_BITS = 22, TEAM_MAX_CHUNKS = (1 << 22) - 1, TEAM_SPINS = 50000 };

static inline int team_take(team *t, ptrdiff_t *chunk) {
    uint64_t ticket = atomic_load_explicit(&t->ticket, memory_order_acquire);
    for (;;) {
        const uint64_t next = ticket & TEAM_MAX_CHUNKS, chunks = ticket >> TEAM_CHUNK_BITS & TEAM_MAX_CHUNKS;
        if (next >= chunks) return 0;
        if (atomic_compare_exchange_weak_explicit(&t->ticket, &ticket, ticket + 1, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            *chunk = (ptrdiff_t)next;
            return 1;
        }
    }
}

static inline int team_help(team *t, int thread) {
    ptrdiff_t chunk;
    int helped = 0;
    while (team_take(t, &chunk)) {
        t->work(t->context, chunk, thread);
        atomic_fetch_add_explicit(&t->done, 1, memory_order_release);
        helped = 1;
    }
    return helped;
}

static inline void team_pause(int *spins) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
    if (++*spins > TEAM_SPINS) {
#ifdef __unix__
        sched_yield();
#endif
        *spins = 0;
    }
}

/* work(context, chunk, thread) for all chunks; by the first thread alone if `n_threads` is 1. */
static inline void team_for(team *t, int n_threads, ptrdiff_t chunks, team_work work, void *context) {
    if (n_threads == 1 || t->n_threads == 1 || chunks < 2 || chunks > TEAM_MAX_CHUNKS) {
        for (ptrdiff_t chunk = 0; chunk < chunks; chunk++) work(context, chunk, 0);
        return;
    }
    const uint64_t loop = (atomic_load_explicit(&t->ticket, memory_order_relaxed) >> 2 * TEAM_CHUNK_BITS) + 1;
    t->work = work;
    t->context = context;
    atomic_store_explicit(&t->done, 0, memory_order_relaxed);
    atomic_store_explicit(&t->ticket, loop << 2 * TEAM_CHUNK_BITS | (uint64_t)chunks << TEAM_CHUNK_BITS,
                          memory_order_release);
    team_help(t, 0);
    int spins = 0;
    while (atomic_load_explicit(&t->done, memory_order_acquire) != (uint64_t)chunks) team_pause(&spins);
}

/* run(context) with a team: on the calling thread, while the others wait to help. */
static inline void team_run(team *t, int n_threads, team_main run, void *context) {
    t->n_threads = n_threads;
    atomic_init(&t->ticket, 0);
    atomic_init(&t->done, 0);
    atomic_init(&t->over, 0);
    if (n_threads == 1) {
        run(context);
        return;
    }
#pragma omp parallel num_threads(n_threads)
    {
#ifdef _OPENMP
        const int thread = omp_get_thread_num();
#else
        const int thread = 0;
#endif
        if (thread == 0) {
            run(context);
            atomic_store_explicit(&t->over, 1, memory_order_release);
        } else {
            int spins = 0;
            while (!atomic_load_explicit(&t->over, memory_order_acquire)) {
                if (team_help(t, thread)) {
                    spins = 0;
                } else {
                    team_pause(&spins);
                }
            }
        }
    }
}

#endif
