"""What k-means is run on, whichever the algorithm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels
from fastcluster_ext._grouping import GroupedRows, groupable, pays
from fastcluster_ext._kmeans.metrics import CosineSearch, ManhattanSearch
from fastcluster_ext._kmeans.result import Floats
from fastcluster_ext._kmeans.search import search_for
from fastcluster_ext._validation import SQUARED, Array

__all__ = ["Problem", "check_distinct", "too_close"]


class Problem:
    """Points and weights as the kernels get them: grouped if that pays; and what depends on nothing else.

    iterations: how many assignments of all points to expect
    metric: one of `METRICS`
    """

    def __init__(
        self,
        points: Array,
        weights: Floats | None,
        k: int,
        iterations: int,
        threads: int,
        metric: str = "euclidean",
    ) -> None:
        self.k = k
        self.metric = metric
        self.threads = threads
        self.n_rows = len(points)
        self.groups: GroupedRows | None = None
        self.weighted = weights is not None
        if groupable(points) and pays(points):
            self.groups = GroupedRows(points[np.newaxis], threads)
            points, weights = self.groups.points, _grouped_weights(self.groups, weights)
        check_distinct(points, weights, k)
        self.points, self.weights = points, weights
        self.mean = np.empty(points.shape[1])
        self.total_weight, self.total_inertia = _kernels.load("moments").moments(
            points, weights, self.mean, n_threads=threads
        )
        if not math.isfinite(self.total_inertia):
            raise ValueError(
                "X, weighted by sample_weight, has sums of squares beyond float64; rescale the data or weights"
            )
        if k > 1 and self.total_inertia < SQUARED * max(1.0, self.total_weight):
            # There are k distinct points, so it is not zero.
            raise ValueError(
                f"X, weighted by sample_weight, has a sum of squares of only {self.total_inertia:g}, near the least "
                "numbers of float64; rescale the data or weights"
            )
        self.mean_variance = float(self.total_inertia / self.total_weight / points.shape[1])
        self.search: Any
        if metric == "euclidean":
            self.search = search_for(points, weights, k, iterations, threads)
        elif metric == "manhattan":
            self.search = ManhattanSearch(points, weights, k, threads)
            self.total_inertia = self.search.total_inertia()
        else:
            self.search = CosineSearch(points, weights, k, threads)
            self.total_inertia = self.search.total_inertia()
            # The points that count are of length 1; so much shorter is their mean.
            shorter = self.total_inertia / self.total_weight
            self.mean_variance = (2 - shorter) * shorter / points.shape[1]

    def expand(self, labels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Labels of all rows from labels of the points."""
        return labels if self.groups is None else self.groups.expand(labels).reshape(-1)


def _grouped_weights(groups: GroupedRows, weights: Floats | None) -> Floats:
    """Weight of each distinct row."""
    if weights is None:
        return groups.counts.astype(np.float64)
    rows = groups.expand(np.arange(len(groups.counts), dtype=np.int32)).reshape(-1)
    return np.bincount(rows, weights, minlength=len(groups.counts)).astype(np.float64)


def check_distinct(points: Array, weights: Floats | None, k: int) -> None:
    """Raise ValueError if fewer than k distinct points have a positive weight.

    Looks at as few rows as it needs: twice as many each time, until k distinct ones are among them.
    """
    if weights is not None and not weights.all():
        points = points[weights > 0]
    # Of few rows a set is quicker than sorting.
    if k <= 64 and len(set(map(tuple, points[: 4 * k].tolist()))) >= k:
        return
    looked_at = max(4 * k, 1024)
    while True:
        distinct = len(np.unique(points[:looked_at], axis=0))
        if distinct >= k:
            return
        if looked_at >= len(points):
            raise ValueError(f"k must be at most the number of distinct points, which is {distinct}, got {k}")
        looked_at *= 2


def too_close(k: int) -> ValueError:
    """Return the error to raise if points that are not equal have no distance in float64."""
    return ValueError(f"k must be at most the number of points that differ by more than rounding, got {k}")
