"""What is clustered: points and their metric or a matrix of dissimilarities, and weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels
from fastcluster_ext._metrics import Metric, resolve_metric
from fastcluster_ext._random import Uniforms
from fastcluster_ext._validation import Array, as_points, as_weights

__all__ = ["Floats", "Indices", "Problem", "as_dissimilarities", "defined", "problem_of"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# Half of a float32 matrix may have been rounded apart from the other, and likewise of a float64 matrix.
_ASYMMETRY = {4: 1e-4, 8: 1e-8}

# Distances that take about as long as a call of the kernel: fasterpam on 400 points takes 2.0 ms instead of 2.4.
_CALL = 1 << 13

# Points are put in an order in which neighbors are close by interleaving this many bits of at most this many features.
_ORDER_BITS, _ORDER_FEATURES = 10, 6
_TINY = float(np.finfo(np.float64).smallest_subnormal)


@dataclass(frozen=True, eq=False)
class Problem:
    """What is clustered: points and their metric, or a matrix; the weights; and who may not become a medoid."""

    points: Array | None
    matrix: Array | None
    metric: Metric | None
    weights: Floats | None
    threads: int
    excluded: Indices | None = None

    @property
    def n(self) -> int:
        """Number of points."""
        given = self.matrix if self.points is None else self.points
        assert given is not None
        return len(given)

    @property
    def candidates(self) -> Indices:
        """The points that may become medoids, ascending."""
        everyone = np.arange(self.n)
        return everyone if self.excluded is None else np.delete(everyone, self.excluded)

    @property
    def least_batch(self) -> int:
        """Number of candidates that take about as long to look at as the call that asks for it."""
        return max(self.threads, _CALL // self.n)

    def state(self, k: int, *, among: Problem | None = None, sifted: bool = False) -> Any:
        """Return the kernel's state for up to k medoids; from points, they may be taken from `among` another's."""
        medoids = _kernels.load("medoids")
        if self.metric is None:
            return medoids.Medoids(
                matrix=self.matrix, k=k, weights=self.weights, excluded=self.excluded, n_threads=self.threads
            )
        assert self.points is not None
        source = self if among is None else among
        return medoids.Medoids(
            rows=source.points,
            points=self.points,
            code=self.metric.code,
            exponent=self.metric.exponent,
            order=_neighbors_in_order(self.points) if sifted else None,
            k=k,
            weights=self.weights,
            excluded=source.excluded,
            n_threads=self.threads,
        )

    def subset(self, rows: Indices, weights: Floats | None) -> Problem:
        """Return the problem of some of the points."""
        return Problem(
            None if self.points is None else np.ascontiguousarray(self.points[rows]),
            None if self.matrix is None else self.matrix[np.ix_(rows, rows)],
            self.metric,
            weights,
            self.threads,
        )

    def count_distinct(self, rows: Indices | None, enough: int) -> int:
        """Return how many distinct points there are among `rows`, or all; or some number that is `enough` or more.

        Objects in a matrix are all distinct.
        """
        available = self.n if rows is None else len(rows)
        if self.points is None:
            return available
        looked_at = 4 * enough
        while True:
            some = self.points[:looked_at] if rows is None else self.points[rows[:looked_at]]
            distinct = len({row.tobytes() for row in some + 0})  # plus 0: negative zeros are zeros
            if distinct >= enough or looked_at >= available:
                return distinct
            looked_at *= 2

    def check_distinct(self, k: int) -> None:
        """Raise ValueError if there are fewer than k (distinct) points of positive weight."""
        rows = None if self.weights is None else np.flatnonzero(self.weights)
        available = self.n if rows is None else len(rows)
        weighty = "" if available == self.n else " of positive weight"
        if available < k:
            raise ValueError(f"k must be at most the number of points{weighty}, which is {available}, got {k}")
        distinct = self.count_distinct(rows, k)
        if distinct < k:
            raise ValueError(f"k must be at most the number of distinct points{weighty}, which is {distinct}, got {k}")

    def spread(self, count: int, uniforms: Uniforms) -> Indices:
        """Return how often each point is hit by `count` draws, evenly spaced: in proportion to weight, everywhere."""
        order = np.arange(self.n) if self.points is None else _neighbors_in_order(self.points)
        passed = np.cumsum(np.ones(self.n) if self.weights is None else self.weights[order])
        at = np.searchsorted(passed, (np.arange(count) + uniforms(1)[0]) * (passed[-1] / count), side="right")
        return np.bincount(order[np.minimum(at, self.n - 1)], minlength=self.n)

    def sample(self, count: int, uniforms: Uniforms) -> tuple[Indices, Floats]:
        """Return at most `count` points, ascending, and weights for them which stand for the weights of all points.

        Without weights, these are 1; with weights, those of all points that have one if they are so few, else how often
        they are hit: a heavy point is not one among equals then.
        """
        if self.weights is None:
            rows = self.draw(count, uniforms, distinct=False)
            return rows, np.ones(len(rows))
        hits = self.weights
        if np.count_nonzero(hits) > count:
            hits = self.spread(count, uniforms).astype(np.float64)
        rows = np.flatnonzero(hits)
        return rows, hits[rows]

    def draw(self, count: int, uniforms: Uniforms, distinct: bool) -> Indices:
        """Draw points without replacement, in proportion to their weights; distinct ones if that is asked for.

        Points without weight are never drawn, so there may be fewer.
        """
        if self.weights is None and not distinct and 4 * count <= self.n:
            rows = np.empty(0, dtype=np.int64)
            while len(rows) < count:
                more = (uniforms(count - len(rows)) * self.n).astype(np.int64)
                rows = np.union1d(rows, more)
            return rows
        with np.errstate(divide="ignore"):
            keys = -np.log1p(-uniforms(self.n)) / (1.0 if self.weights is None else self.weights)
        if not distinct or self.points is None:
            count = count if self.weights is None else min(count, int(np.count_nonzero(self.weights)))
            return np.sort(np.argpartition(keys, count - 1)[:count]) if count < self.n else np.arange(self.n)
        chosen: dict[bytes, int] = {}
        for row in np.argsort(keys, kind="stable"):
            chosen.setdefault((self.points[row].astype(np.float64) + 0.0).tobytes(), int(row))
            if len(chosen) == count:
                break
        return np.array(list(chosen.values()), dtype=np.int64)


def problem_of(X: Any, metric: Any, sample_weight: Any, threads: int) -> Problem:
    if isinstance(metric, str) and metric == "precomputed":
        matrix = as_dissimilarities(X, threads)
        weights = as_weights(sample_weight, len(matrix))
        return Problem(None, matrix, None, weights, threads, _weightless(weights))
    points = as_points(X, n_threads=threads)
    weights = as_weights(sample_weight, len(points))
    return Problem(points, None, resolve_metric(metric), weights, threads, _weightless(weights))


def _weightless(weights: Floats | None) -> Indices | None:
    """Return the points of weight 0: they are as good as absent, so none becomes a medoid."""
    return None if weights is None or weights.all() else np.flatnonzero(weights == 0)


def as_dissimilarities(values: Any, threads: int, name: str = "X") -> Array:
    """Return a square, symmetric, non-negative matrix of a type that the kernels read, not copied if it has one."""
    matrix = np.asarray(values)
    if matrix.dtype.kind not in "iubf" or matrix.dtype.itemsize > 8:
        raise TypeError(f"{name} must hold real numbers, got dtype {matrix.dtype}")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        condensed = "; make a square of a condensed one by squareform" if matrix.ndim == 1 else ""
        raise ValueError(
            f"{name} must be a square matrix of dissimilarities (metric='precomputed'), got {matrix.shape}{condensed}"
        )
    if matrix.dtype == np.float16:
        matrix = matrix.astype(np.float32)
    elif not matrix.dtype.isnative or not matrix.flags.aligned:
        matrix = matrix.astype(matrix.dtype.newbyteorder("="))
    relative = _ASYMMETRY[matrix.dtype.itemsize] if matrix.dtype.kind == "f" else 0.0
    wrong = _kernels.load("medoids").check_dissimilarities(matrix, relative=relative, n_threads=threads)
    if wrong is not None:
        what, i, j = wrong
        if what == "value":
            raise ValueError(f"{name} holds {matrix[i, j]} at row {i}, column {j}; dissimilarities are finite and >= 0")
        raise ValueError(
            f"{name} is not symmetric: {matrix[i, j]} at row {i}, column {j}, but {matrix[j, i]} at row {j}, column {i}"
        )
    return matrix


def _neighbors_in_order(points: Array) -> npt.NDArray[np.int32]:
    """Return a permutation that puts neighbors side by side: by the interleaved bits of the widest features."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    widest = np.argsort(low - high, kind="stable")[:_ORDER_FEATURES]
    keys = np.zeros(len(points), dtype=np.uint64)
    for place, feature in enumerate(widest):
        # The share of the span, not the place times a factor, which overflows for subnormal spans.
        shares = (points[:, feature].astype(np.float64) - low[feature]) / max(high[feature] - low[feature], _TINY)
        cells = (shares * (2**_ORDER_BITS - 1)).astype(np.uint64)
        for bit in range(_ORDER_BITS):
            keys |= ((cells >> np.uint64(bit)) & np.uint64(1)) << np.uint64(bit * len(widest) + place)
    return np.argsort(keys, kind="stable").astype(np.int32)


def defined(loss: float) -> float:
    if math.isnan(loss):
        raise FloatingPointError("the metric is undefined for some of these points (its value is NaN)")
    return loss
