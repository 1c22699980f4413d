"""Which search for the nearest center Lloyd's algorithm uses. The labels are the same whichever it is."""

from __future__ import annotations

from typing import Any

from fastcluster_ext import _kernels
from fastcluster_ext._kmeans.result import Floats
from fastcluster_ext._validation import Array

__all__ = ["EXPECTED_ITERATIONS", "search_for"]

EXPECTED_ITERATIONS = 20  # of one run; most runs take more

# When ordering the points first pays (`_boxes_pay`).
_BOX_MOST_COLUMNS = 4
_BOX_LEAST_POINTS = 4096
_BOX_LEAST_WORK = 160  # iterations x centers

# When keeping bounds pays (`_bounds_pay`).
_BOUND_LEAST_POINTS = 4096
_BOUND_LEAST_WORK = 8192  # centers x columns
_BOUND_LEAST_CENTERS = 64
_BOUND_MOST_CENTERS = 8192
_BOUND_LEAST_ITERATIONS = 4
_BOUND_MOST_BYTES = 2**30  # a quarter of a byte for each pair of a point and a center


def search_for(points: Array, weights: Floats | None, k: int, iterations: int, threads: int) -> Any:
    """Return the kernel that will be asked for about so many assignments of the points to k centers."""
    kernel = _kernels.load("lloyd")
    if _boxes_pay(points, k, iterations):
        return kernel.BoxSearch(points, weights, k, threads)
    if _bounds_pay(points, k, iterations):
        return kernel.GroupSearch(points, weights, k, threads)
    return kernel.PlainSearch(points, weights, k, threads)


def _boxes_pay(points: Array, k: int, iterations: int) -> bool:
    """Return whether ordering the points by a k-d tree pays, to drop centers for whole boxes of them.

    Measured at p = 3 on 172 thousand colors and 4 million normal points, in ns a point of one core: ordering takes 25,
    and each iteration saves about 0.15 k.
    """
    return (
        points.shape[1] <= _BOX_MOST_COLUMNS
        and _BOX_LEAST_POINTS <= len(points) < 2**32
        and iterations * k >= _BOX_LEAST_WORK
    )


def _bounds_pay(points: Array, k: int, iterations: int) -> bool:
    """Return whether keeping bounds of the distances to groups of centers pays.

    Measured on 200 thousand points of 64 columns, k = 256, and 100 thousand of 128, k = 1024, ten iterations: of
    clusters well apart a half to a third of the time without, of points without clusters a tenth more; at 16 columns,
    k = 64, twice as much.
    """
    n, p = points.shape
    return (
        p > _BOX_MOST_COLUMNS
        and _BOUND_LEAST_POINTS <= n < 2**32
        and _BOUND_LEAST_CENTERS <= k <= _BOUND_MOST_CENTERS
        and k * p >= _BOUND_LEAST_WORK
        and iterations >= _BOUND_LEAST_ITERATIONS
        and n * k // 4 <= _BOUND_MOST_BYTES
    )
