"""Lloyd's algorithm for other metrics: k-medians (Manhattan) and spherical k-means (cosine).

Each is a search with the methods that the kernel of the Euclidean one has, so that runs, histories and results are the
same code. Labels are those of `fastcluster_ext.nearest` with the metric: the same kernel finds them.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels, _memory
from fastcluster_ext._kmeans.result import Floats
from fastcluster_ext._metrics import resolve_metric
from fastcluster_ext._validation import SQUARED, Array

__all__ = ["METRICS", "CosineSearch", "ManhattanSearch"]

METRICS = ("euclidean", "manhattan", "cosine")


class _MetricSearch(abc.ABC):
    """Points, and what a step of Lloyd's algorithm does with them; compare PlainSearch in lloyd.pyx."""

    metric: str

    def __init__(self, points: Array, weights: Floats | None, k: int, threads: int) -> None:
        self.points, self.weights, self.k, self.threads = points, weights, k, threads
        self.distances = _memory.allocate(len(points), np.float64, "the distances to the centers")

    @abc.abstractmethod
    def move(self, centers: Floats, labels: npt.NDArray[np.int32]) -> None:
        """Move the centers to where their points cost least."""

    @abc.abstractmethod
    def middle(self) -> Floats:
        """Return the best single center, (1, p)."""

    def total_inertia(self) -> float:
        """Return what all points cost with the best single center."""
        self._assign(self.middle(), np.empty(len(self.points), dtype=np.int32), self.distances)
        return self._sum(self.distances)

    def evaluate(self, centers: Floats, labels: npt.NDArray[np.int32]) -> Floats:
        """Fill in the labels of all points; return costs, k x 4: weighted distances, weight, points, nothing."""
        self._assign(centers, labels, self.distances)
        costs = np.zeros((self.k, 4))
        weighted = self.distances if self.weights is None else self.distances * self.weights
        costs[:, 0] = np.bincount(labels, weighted, minlength=self.k)
        costs[:, 1] = np.bincount(labels, self.weights, minlength=self.k)
        costs[:, 2] = np.bincount(labels, minlength=self.k)
        return costs

    def refill(self, centers: Floats, cluster_weights: Floats) -> None:
        """Move the centers without weight, each in turn, onto the point that is then farthest from all centers."""
        closest, again = np.empty(len(self.points)), np.empty(len(self.points))
        labels = np.empty(len(self.points), dtype=np.int32)
        self._assign(centers, labels, closest)
        if self.weights is not None:
            closest[self.weights == 0] = -1.0
        for j in np.flatnonzero(cluster_weights == 0):
            farthest = np.flatnonzero(closest == closest.max())
            centers[j] = min(self.points[farthest].tolist())  # of equals, the first in sorted order
            self._assign(centers[j : j + 1], labels, again)
            np.minimum(closest, again, out=closest)

    def lloyd(
        self,
        centers: Floats,
        *,
        max_iter: int,
        tolerance: float,
        observer: Callable[[int, Any, float], Any] | None = None,
    ) -> tuple[int, bool]:
        """Iterate, as `PlainSearch.lloyd` does."""
        labels = _memory.allocate(len(self.points), np.int32, "the labels")
        iteration, converged, stop = 0, False, False
        while iteration < max_iter and not converged and not stop:
            iteration += 1
            before = centers.copy()
            cluster_weights = self.evaluate(centers, labels)[:, 1]
            self.move(centers, labels)
            if not cluster_weights.all():
                refilled = before.copy()
                self.refill(refilled, cluster_weights)
                centers[cluster_weights == 0] = refilled[cluster_weights == 0]
            shift = float(((centers - before) ** 2).sum())
            stop = observer is not None and bool(observer(iteration, before, shift))
            converged = shift <= tolerance
        return iteration, converged

    def _sum(self, values: Floats) -> float:
        return float(values.sum() if self.weights is None else values @ self.weights)

    def _assign(self, centers: Floats, labels: npt.NDArray[np.int32], distances: Floats) -> None:
        found = resolve_metric(self.metric)
        _kernels.load("pairwise").nearest(
            self.points, centers, labels, distances, found.code, found.exponent, n_threads=self.threads
        )


class ManhattanSearch(_MetricSearch):
    """k-medians: the sum of absolute differences is least at the weighted medians of every feature."""

    metric = "manhattan"

    def move(self, centers: Floats, labels: npt.NDArray[np.int32]) -> None:
        """Move the centers onto the medians of their points."""
        _kernels.load("medians").label_medians(self.points, self.weights, labels, centers, n_threads=self.threads)

    def middle(self) -> Floats:
        """Return the medians of all points."""
        center = np.empty((1, self.points.shape[1]))
        self.move(center, np.zeros(len(self.points), dtype=np.int32))
        return center


class CosineSearch(_MetricSearch):
    """Spherical k-means: the sum of 1 - cos is least in the direction of the sum of the points, each of length 1."""

    metric = "cosine"

    def __init__(self, points: Array, weights: Floats | None, k: int, threads: int) -> None:
        super().__init__(points, weights, k, threads)
        squares = np.zeros(len(points))
        for column in points.T:
            squares += np.square(column, dtype=np.float64)
        if squares.min() < SQUARED:
            row = int(squares.argmin())
            if points[row].any():
                raise ValueError(f"X is too near to zero at row {row} to square it; rescale the data")
            raise ValueError(f"X holds only zeros at row {row}; without a direction it has no cosine")
        # Directions do not depend on the scale of the weights, which may be too large or small to square.
        self.shares = (1.0 if weights is None else weights / weights.max()) / np.sqrt(squares)

    def move(self, centers: Floats, labels: npt.NDArray[np.int32]) -> None:
        """Turn the centers into the direction of the sum of their points; those without a direction stay."""
        sums = np.empty_like(centers)
        for column, values in enumerate(self.points.T):
            sums[:, column] = np.bincount(labels, self.shares * values, minlength=len(centers))
        lengths = np.sqrt((sums**2).sum(axis=1))
        turned = lengths > 0
        centers[turned] = sums[turned] / lengths[turned, np.newaxis]

    def middle(self) -> Floats:
        """Return the direction of the sum of all points, or of the first one if that is nil."""
        center = self.points[:1].astype(np.float64)
        self.move(center, np.zeros(len(self.points), dtype=np.int32))
        return center
