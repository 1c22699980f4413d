"""What this machine can do at best, and what a workload needs at least."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.workloads import Workload

__all__ = ["least_seconds", "multiply_adds_per_second", "needed", "read_bytes_per_second"]

_BYTES = 1 << 29
_SIZE = 3072
_REPEATS = 7


def read_bytes_per_second(n_threads: int) -> float:
    """Measure reading: the greatest of 64 million int64 (NumPy's vectorised maximum), a part for each thread."""
    values = np.ones(_BYTES // 8, dtype=np.int64)
    parts = np.array_split(values, n_threads)
    with ThreadPoolExecutor(n_threads) as pool:
        return _BYTES / least_seconds(lambda: list(pool.map(np.max, parts)))


def multiply_adds_per_second() -> float:
    """Measure float32 multiply-adds: a matrix product of NumPy's BLAS, whose pool was sized when this process began."""
    a = np.ones((_SIZE, _SIZE), dtype=np.float32)
    out = np.empty_like(a)
    return _SIZE**3 / least_seconds(lambda: np.matmul(a, a, out=out))


def least_seconds(job: Callable[[], object]) -> float:
    """Return the least of a few times that the job takes."""
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def needed(workload: Workload) -> tuple[float, float]:
    """Return the bytes that must move and the multiply-adds if every distance is computed, for Lloyd's algorithm.

    Floating-point points are read once for each assignment. Pixels are read twice, to count the colors and to label
    them, and distances are those of the distinct colors. Labels, four bytes each, are written once. The assignment that
    gives the labels is one more than there are iterations.
    """
    points = workload.points
    n, p = points.shape
    assignments = workload.iterations + 1
    if points.dtype == np.uint8:
        keys = points[:, 0].astype(np.uint32) << 16 | points[:, 1].astype(np.uint32) << 8 | points[:, 2]
        n_rows = np.count_nonzero(np.bincount(keys, minlength=1 << 24))
        return 2.0 * points.nbytes + 4.0 * n, float(n_rows) * workload.k * p * assignments
    return assignments * float(points.nbytes) + 4.0 * n, float(n) * workload.k * p * assignments
