/* What the machine and this build offer: instruction sets, compiler, OpenMP. Compiled for the baseline only. */
#ifndef FASTCLUSTER_EXT_RUNTIME_H
#define FASTCLUSTER_EXT_RUNTIME_H

#ifdef _OPENMP
#include <omp.h>
#endif

/* The date of the OpenMP specification this build follows (yyyymm), or 0: serial. */
static inline int runtime_openmp(void) {
#ifdef _OPENMP
    return _OPENMP;
#else
    return 0;
#endif
}

/* OpenMP's own default for a parallel region opened by the calling thread. */
static inline int runtime_max_threads(void) {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

static inline const char *runtime_compiler(void) {
#if defined(__clang__)
    return "Clang " __clang_version__;
#elif defined(__GNUC__)
    return "GCC " __VERSION__;
#else
    return "unknown";
#endif
}

/* Does this processor run what the named build was compiled for? The lists repeat the flags in CMakeLists.txt. */
static inline int runtime_supports_x86_64_v2(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
#else
    return 0;
#endif
}

static inline int runtime_supports_x86_64_v3(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    return runtime_supports_x86_64_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
    return 0;
#endif
}

static inline int runtime_supports_x86_64_v4(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    return runtime_supports_x86_64_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
#else
    return 0;
#endif
}

static inline int runtime_supports_neon(void) {
#if defined(__aarch64__)
    return 1;
#else
    return 0;
#endif
}

#endif
