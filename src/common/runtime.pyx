"""What the machine and this build offer; the only compiled module that is loaded before an instruction set is chosen."""

cdef extern from "common/runtime.h" nogil:
    int runtime_openmp() noexcept
    int runtime_max_threads() noexcept
    const char* runtime_compiler() noexcept
    bint runtime_supports_x86_64_v2() noexcept
    bint runtime_supports_x86_64_v3() noexcept
    bint runtime_supports_x86_64_v4() noexcept
    bint runtime_supports_neon() noexcept


def supported():
    """Names of the instruction sets this processor runs, best first; "generic" (plain C) is always the last."""
    names = []
    if runtime_supports_x86_64_v4():
        names.append("x86_64_v4")
    if runtime_supports_x86_64_v3():
        names.append("x86_64_v3")
    if runtime_supports_x86_64_v2():
        names.append("x86_64_v2")
    if runtime_supports_neon():
        names.append("neon")
    names.append("generic")
    return tuple(names)


def compiler():
    """The C compiler and its version."""
    return runtime_compiler().decode()


def openmp():
    """The OpenMP specification of this build (yyyymm), or 0 if it was built without and computes serially."""
    return runtime_openmp()


def max_threads():
    """OpenMP's default number of threads for the calling thread (OMP_NUM_THREADS, threadpoolctl)."""
    return runtime_max_threads()
