"""Linkage of points without their distances: which method can do it, when it pays, and how the kernels are called.

Equal heights. Single linkage has the minimum spanning tree in which edges are ordered by length, then by the lower
observation, then by the other; it merges in that order. Other reducible methods merge, round by round, all clusters
that are each other's nearest, where of equally near ones the lowest counts; equal observations merge before. What has
merged in one round at the same height is listed by the lower of the two clusters. Centroid and median linkage merge, of
equally near pairs, that of the lowest cluster, then of the lowest other one. A cluster is as low as its last
observation, and equal observations count as their first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels
from fastcluster_ext._validation import Array

__all__ = [
    "LinkageCallback",
    "LinkageStep",
    "as_linkage",
    "check_callback",
    "cluster_means",
    "link_points",
    "pays",
    "possible",
    "raise_above_children",
    "ward_centers",
]

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LinkageStep:
    """How far a linkage has come, as `callback` is told.

    Attributes
    ----------
    merges : int
        How many merges have been made.
    total : int
        How many there will be: one less than observations.
    """

    merges: int
    total: int


LinkageCallback = Callable[[LinkageStep], Any]

_SECONDS_BETWEEN_STEPS = 0.05


class _Vector(NamedTuple):
    run: str  # the way to do it, in src/hierarchy/vectors.pyx; "edges": src/hierarchy/boruvka.pyx
    code: int  # of the method, in src/hierarchy/vectors.pyx
    squared: bool  # the heights are squared distances
    weighted: bool  # they depend on weights


# By method and metric.
_VECTOR = {
    ("single", "euclidean"): _Vector("edges", -1, squared=False, weighted=False),
    ("single", "sqeuclidean"): _Vector("edges", -1, squared=True, weighted=False),
    ("ward", "euclidean"): _Vector("reciprocal", 0, squared=False, weighted=True),
    ("average", "sqeuclidean"): _Vector("reciprocal", 1, squared=True, weighted=True),
    ("weighted", "sqeuclidean"): _Vector("reciprocal", 2, squared=True, weighted=False),
    ("centroid", "euclidean"): _Vector("closest_first", 3, squared=False, weighted=True),
    ("median", "euclidean"): _Vector("closest_first", 4, squared=False, weighted=False),
    ("complete", "euclidean"): _Vector("reciprocal", 5, squared=False, weighted=False),
    ("complete", "sqeuclidean"): _Vector("reciprocal", 5, squared=True, weighted=False),
    ("average", "euclidean"): _Vector("reciprocal", 6, squared=False, weighted=True),
    ("weighted", "euclidean"): _Vector("reciprocal", 7, squared=False, weighted=False),
}

# Where the matrix fits, searching pays from so many points on, for each column beyond three twice as many, and up to so
# many columns. Random normal points, 2 to 12 columns, 300 to 4000 of them (benchmarks/bench_image_tree.py).
_LEAST_POINTS = 1000
_MOST_COLUMNS = 8

# Powers of numbers within these neither overflow nor vanish.
_SAFE = (1e-60, 1e60)
_MOST_WEIGHT_RATIO = 1e300


def possible(method: str, metric: str) -> bool:
    """Return whether this linkage can be had without a distance matrix."""
    return (method, metric) in _VECTOR


def pays(n: int, p: int) -> bool:
    """Return whether n points of p columns are clustered sooner without the distance matrix."""
    return p <= _MOST_COLUMNS and n >= _LEAST_POINTS << max(0, p - 3)


def check_callback(callback: LinkageCallback | None) -> None:
    """Raise TypeError unless it is callable or None."""
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, got {type(callback).__name__}")


def link_points(
    values: Array,
    method: str,
    metric: str,
    weights: _Floats | None,
    *,
    n_threads: int,
    callback: LinkageCallback | None = None,
) -> _Floats:
    """Return Z of at least two points: (n, p) finite; weights: (n,) positive, or None for ones."""
    kind = _VECTOR[method, metric]
    pairs, heights, rounds = _merge(values, method, kind, weights, n_threads, _Reporter(callback, len(values) - 1))
    if kind.run == "reciprocal" and (method == "weighted" or weights is not None):
        raise_above_children(pairs, heights)
    tree = as_linkage(pairs, heights, ordered=kind.run != "closest_first", rounds=rounds)
    if callback is not None:
        callback(LinkageStep(len(tree), len(tree)))
    return tree


class _Reporter:
    """Tells a callback of merges, beside those that were made before, now and then."""

    def __init__(self, callback: LinkageCallback | None, total: int) -> None:
        self.callback = callback
        self.total = total
        self.before = 0
        self.last = time.monotonic()

    def __call__(self, merges: int) -> None:
        now = time.monotonic()
        if self.callback is not None and now - self.last >= _SECONDS_BETWEEN_STEPS:
            self.last = now
            self.callback(LinkageStep(self.before + merges, self.total))


def _merge(
    values: Array, method: str, kind: _Vector, weights: _Floats | None, n_threads: int, report: _Reporter
) -> tuple[npt.NDArray[np.int32], _Floats, npt.NDArray[np.int32]]:
    """Return pairs (2, n - 1), an observation of both clusters of every merge, heights (n - 1), and rounds (n - 1).

    Of merges at the same height those of an earlier round come first, in each round those of lower observations. What
    is merged first comes first where the closest pair always does; otherwise merges come in no particular order.
    """
    points, scale = _scaled(values)
    n = len(points)
    pairs = np.empty((2, n - 1), np.int32)
    squares = np.zeros(n - 1)
    rounds = np.zeros(n - 1, np.int32)
    weight_scale = 1.0
    progress = None if report.callback is None else report
    if kind.run == "edges":
        _kernels.load("boruvka").SpanningTree(points, n_threads, progress).edges(pairs, squares)
    else:
        sizes, weight_scale = _scaled_weights(np.ones(n) if weights is None or not kind.weighted else weights)
        first = np.empty(n, np.int32)
        _kernels.load("vectors").first_equal(points, first)
        distinct = np.flatnonzero(first == np.arange(n)).astype(np.int32)
        repeats = n - len(distinct)
        if repeats:
            # Equal points merge at height 0 before anything else.
            again = np.flatnonzero(first != np.arange(n))
            pairs[:, :repeats] = first[again], again
            points = points[distinct]
            sizes = np.asarray(np.bincount(first, weights=sizes, minlength=n), dtype=np.float64)[distinct]
        report.before = repeats
        if len(distinct) > 1:
            merging = _kernels.load("vectors").Merging(points, sizes, kind.code, n_threads, progress)
            found = np.empty((2, len(distinct) - 1), np.int32)
            getattr(merging, kind.run)(found, squares[repeats:], rounds[repeats:])
            del merging
            pairs[:, repeats:] = distinct[found]
            rounds[repeats:] += 1
    with np.errstate(over="ignore"):
        if kind.squared:
            squares /= scale
        else:
            np.sqrt(squares, out=squares)
            squares /= weight_scale if method == "ward" else 1.0
        squares /= scale
    if not np.isfinite(squares).all():
        raise ValueError(f"heights of {method} linkage are beyond float64; rescale the data")
    return pairs, squares, rounds


def raise_above_children(pairs: npt.NDArray[np.int32], heights: _Floats) -> None:
    """Make no merge lower than those below it, which come before it: with equal distances, rounding can.

    Sorted by height, the upper would be made first, by other clusters. As a rule they are as near, but for WPGMA, whose
    distances depend on the order of merges, and where weights differ so much that the lighter cluster does not count.
    """
    tree = np.empty((len(heights), 4))
    trees = _kernels.load("trees")
    trees.label_merges(pairs, np.arange(len(heights)), tree)
    left, right = tree[:, :2].astype(np.int64).T.copy()
    trees.node_maxima(left, right, heights)


def as_linkage(
    pairs: npt.NDArray[np.int32], heights: _Floats, *, ordered: bool, rounds: npt.NDArray[np.int32] | None = None
) -> _Floats:
    """Return Z from an observation of each of the two clusters of every merge.

    Sorted by height, if `ordered`; equal heights as they are, or by rounds, lower and higher observation.
    """
    order = np.argsort(heights) if ordered else np.arange(len(heights))
    if ordered and (heights[order[1:]] == heights[order[:-1]]).any():
        order = np.argsort(heights, kind="stable")
        if rounds is not None:
            order = np.lexsort((pairs.max(axis=0), pairs.min(axis=0), rounds, heights))
    tree = np.empty((len(heights), 4))
    tree[:, 2] = heights[order]
    _kernels.load("trees").label_merges(pairs, order, tree)
    return tree


def ward_centers(points: Array, k: int, weights: _Floats | None, *, n_threads: int) -> _Floats:
    """Return the (k, p) means of the clusters into which Ward's tree of the points is cut.

    points: (n, p) finite, k of them distinct at least; weights: (n,) or None for ones; points of weight 0 do not count.
    The clusters are in the order of their first points. The tree is built without a distance matrix: O(n log n) time or
    so in few dimensions, O(n^2 p) in many; O(n p) memory.
    """
    if weights is not None and weights.min() == 0:
        points, weights = points[weights > 0], weights[weights > 0]
    n = len(points)
    labels = np.zeros(n, np.int64)
    if n > 1:
        tree = link_points(points, "ward", "euclidean", weights, n_threads=n_threads)
        nodes = tree[:, :2].astype(np.int64)
        made = (np.arange(n - 1) < n - k).view(np.uint8)
        left, right = np.ascontiguousarray(nodes[:, 0]), np.ascontiguousarray(nodes[:, 1])
        _kernels.load("trees").first_merges(left, right, made, labels)
    return cluster_means(points, labels, k, weights)


def cluster_means(points: Array, labels: npt.NDArray[np.int64], k: int, weights: npt.NDArray[Any] | None) -> _Floats:
    """Return the (k, p) weighted means of the points with each label."""
    totals = np.bincount(labels, weights=weights, minlength=k)
    sizes = 1.0 if weights is None else weights
    sums = [np.bincount(labels, weights=column * sizes, minlength=k) for column in points.T]
    means: _Floats = np.stack(sums, axis=1) / totals[:, np.newaxis]
    return means


def _scaled(values: Array) -> tuple[_Floats, float]:
    """Return the points as new contiguous float64, moved and multiplied by a power of two, and that factor.

    A column far from 0 is moved towards it: bounds from centers are then as exact as the distances between them. It is
    moved only where that is exact (P. H. Sterbenz, "Floating-Point Computation", 1974: x - y is so for
    y / 2 <= x <= 2 y).
    """
    points = np.array(values, dtype=np.float64, order="C")
    low = np.array([column.min() for column in points.T])
    high = np.array([column.max() for column in points.T])
    middle = low / 2 + high / 2
    far = (np.sign(low) == np.sign(high)) & (
        np.maximum(np.abs(low), np.abs(high)) <= 3 * np.minimum(np.abs(low), np.abs(high))
    )
    shift = np.where(far, middle, 0.0)
    if far.any():
        points -= shift
    largest = float(max(np.max(high - shift), np.max(shift - low)))
    if largest == 0 or _SAFE[0] < largest < _SAFE[1]:
        return points, 1.0
    exponent = min(max(-math.frexp(largest)[1], -1022), 1000)
    np.ldexp(points, exponent, out=points)
    return points, math.ldexp(1.0, exponent)


def _scaled_weights(weights: _Floats) -> tuple[_Floats, float]:
    """Return weights times a power of four, and the root of that factor."""
    least, most = float(weights.min()), float(weights.max())
    if most > _MOST_WEIGHT_RATIO * least:
        raise ValueError(f"weights must not differ by more than a factor of {_MOST_WEIGHT_RATIO:g}: {least} to {most}")
    if _SAFE[0] < least and most < _SAFE[1]:
        return np.ascontiguousarray(weights), 1.0
    exponent = -math.frexp(most)[1] // 2
    return np.ldexp(weights, 2 * exponent), math.ldexp(1.0, exponent)
