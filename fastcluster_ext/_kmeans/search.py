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
_BOX_LEAST_WORK = 640  # iterations x centers


def search_for(points: Array, weights: Floats | None, k: int, iterations: int, threads: int) -> Any:
    """Return the kernel that will be asked for about so many assignments of the points to k centers."""
    kernel = _kernels.load("lloyd")
    search = kernel.BoxSearch if _boxes_pay(points, k, iterations) else kernel.PlainSearch
    return search(points, weights, k, threads)


def _boxes_pay(points: Array, k: int, iterations: int) -> bool:
    """Return whether ordering the points by a k-d tree pays, to drop centers for whole boxes of them.

    Measured at p = 3 on 172 thousand colors and 4 million normal points, in ns a point of one core: ordering takes 33
    to 55, labels at the end 8 more, and each iteration saves about 0.1 k.
    """
    return (
        points.shape[1] <= _BOX_MOST_COLUMNS
        and _BOX_LEAST_POINTS <= len(points) < 2**32
        and iterations * k >= _BOX_LEAST_WORK
    )
