/* A clock that does not need the interpreter, to look at pending signals now and then. */
#ifndef FASTCLUSTER_EXT_CLOCK_H
#define FASTCLUSTER_EXT_CLOCK_H

#include <time.h>

static inline double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
