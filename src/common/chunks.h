/* How rows are cut up: chunks, which fix every rounding, and slices, which bound the time to an interrupt.
 *
 * A chunk is the unit of work of one thread and of every floating-point partial sum. Its size depends on the problem
 * alone, never on the number of threads, and partial results are added in chunk order; hence the same bits for any
 * `n_threads`. A slice is a run of chunks computed between two looks at pending signals (Ctrl-C); it may depend on
 * anything, since it changes no result.
 */
#ifndef FASTCLUSTER_EXT_CHUNKS_H
#define FASTCLUSTER_EXT_CHUNKS_H

#include <stddef.h>

#define CHUNK_TILE 256       /* rows; equal to ARGMIN_TILE */
#define CHUNK_MOST 2048      /* rows; a chunk of k = 16, p = 3 is then about 10 us, long beside the 1 us to hand it out */
#define CHUNK_FEW 8          /* as many as few rows make, if the chunks are work enough, so that threads can share them */
#define CHUNK_LEAST_WORK 1e6 /* multiply-adds for that; about 40 us, long beside the time to add up what a chunk finds */
#define CHUNK_WORK 5e8       /* multiply-adds; about 15 ms of one core */
#define SLICE_WORK 1e9       /* multiply-adds a thread; about 30 ms */
#define SLICE_BYTES (1 << 25) /* partial sums alive at once */

/* Rows in a chunk, a multiple of CHUNK_TILE. work_per_row: multiply-adds. */
static inline ptrdiff_t chunk_rows(double work_per_row) {
    const double rows = CHUNK_WORK / (work_per_row + 1);
    if (rows >= CHUNK_MOST) return CHUNK_MOST;
    return rows < CHUNK_TILE ? CHUNK_TILE : (ptrdiff_t)(rows / CHUNK_TILE) * CHUNK_TILE;
}

/* The same for so few rows that these would be less than CHUNK_FEW. */
static inline ptrdiff_t chunk_rows_of(ptrdiff_t n_rows, double work_per_row) {
    const ptrdiff_t most = chunk_rows(work_per_row), share = (n_rows + CHUNK_FEW - 1) / CHUNK_FEW;
    const double least = CHUNK_LEAST_WORK / (work_per_row + 1), rows = (double)share > least ? (double)share : least;
    if (rows >= (double)most) return most;
    return ((ptrdiff_t)rows + CHUNK_TILE - 1) / CHUNK_TILE * CHUNK_TILE;
}

static inline ptrdiff_t chunk_count(ptrdiff_t n_rows, ptrdiff_t rows) { return (n_rows + rows - 1) / rows; }

/* Chunks in a slice: enough for every thread, few enough for a prompt interrupt and bounded partial sums. */
static inline ptrdiff_t slice_chunks(double work_per_row, ptrdiff_t rows, size_t partial_bytes, int n_threads) {
    const double by_time = SLICE_WORK * n_threads / ((work_per_row + 8) * (double)rows);
    const double by_memory = SLICE_BYTES / ((double)partial_bytes + 1);
    const double chunks = by_time < by_memory ? by_time : by_memory;
    return chunks < 2.0 * n_threads ? 2 * n_threads : (ptrdiff_t)chunks;
}

#endif
