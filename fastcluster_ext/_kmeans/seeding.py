"""Where k-means begins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels, _memory
from fastcluster_ext._kmeans.problem import Problem, too_close
from fastcluster_ext._kmeans.result import Floats
from fastcluster_ext._random import Uniforms
from fastcluster_ext._validation import Array
from fastcluster_ext._vectors import ward_centers

__all__ = ["INITS", "draw_seeds", "seeds", "trials_of"]

INITS = ("k-means++", "random", "random-partition", "ward")


# When ordering the points by a k-d tree pays, to leave out what is far from a candidate (`_order_pays`).
_ORDER_MOST_COLUMNS = 4
_ORDER_LEAST_POINTS = 2**16
_ORDER_LEAST_WORK = 64  # candidates drawn in all
_ORDER_NUMBERED = 64  # centers for which the ordered points certainly know their rows


def trials_of(k: int) -> int:
    """Return how many candidates are drawn at each step."""
    return 2 + int(np.log(k))


def draw_seeds(
    points: Array, weights: Floats | None, k: int, uniforms: Uniforms, threads: int, trials: int | None = None
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Greedy k-means++."""
    n, p = points.shape
    drawn = uniforms((k, trials or trials_of(k)))
    if _order_pays(n, p, drawn.size):
        search = _kernels.load("lloyd").BoxSearch(points, weights, max(k, _ORDER_NUMBERED), threads)
        rows, weights, numbers, chunks, boxes = search.layout()
        centers, indices = _draw(rows, weights, drawn, chunks, boxes, threads)
        return centers, numbers[indices].astype(np.int64)
    return _draw(points, weights, drawn, _kernels.load("seeding").plain_chunks(n, p), None, threads)


def _draw(
    points: Array,
    weights: Floats | None,
    drawn: Floats,
    chunks: npt.NDArray[np.intp],
    boxes: Floats | None,
    threads: int,
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Greedy k-means++ from given uniform numbers, in the order of the points."""
    k = len(drawn)
    centers = np.empty((k, points.shape[1]))
    indices = np.empty(k, dtype=np.int64)
    closest = _memory.allocate(len(points), np.float64, "the distances to the nearest seed")
    _kernels.load("seeding").kmeans_plusplus(
        points, weights, drawn, closest, chunks, boxes, centers, indices, n_threads=threads
    )
    if indices.min() < 0:
        raise too_close(k)
    return centers, indices


def _order_pays(n: int, p: int, candidates: int) -> bool:
    """Return whether ordering the points by a k-d tree pays."""
    return p <= _ORDER_MOST_COLUMNS and _ORDER_LEAST_POINTS <= n < 2**32 and candidates >= _ORDER_LEAST_WORK


def _draw_distinct_points(points: Array, weights: Floats | None, k: int, uniforms: Uniforms) -> Floats:
    """Forgy's start: k distinct points, drawn in proportion to their weights."""
    running = None if weights is None else np.cumsum(weights)
    chosen: dict[bytes, int] = {}
    # Almost every draw is new while k is small beside the number of distinct points.
    for _ in range(10):
        draws = uniforms(2 * k)
        rows = (
            (draws * len(points)).astype(np.int64)
            if running is None
            else np.searchsorted(running, draws * running[-1], side="right")
        )
        for row in np.minimum(rows, len(points) - 1):
            if len(chosen) == k:
                break
            if weights is None or weights[row] > 0:
                chosen.setdefault((points[row].astype(np.float64) + 0.0).tobytes(), int(row))
        if len(chosen) == k:
            return points[list(chosen.values())].astype(np.float64)
    # Otherwise: all distinct points in random order, each by the least of exponential variables of its weight's rate.
    distinct, owner = np.unique(points, axis=0, return_inverse=True)
    shares = np.bincount(owner.reshape(-1), weights, minlength=len(distinct))
    with np.errstate(divide="ignore"):
        order = np.argsort(-np.log1p(-uniforms(len(distinct))) / shares, kind="stable")
    return distinct[order[:k]].astype(np.float64)


def _random_partition(problem: Problem, uniforms: Uniforms) -> Floats:
    """Hartigan's start: the means of k random clusters, of which none is empty."""
    points, weights, k = problem.points, problem.weights, problem.k
    draws = uniforms((2, len(points)))
    labels = np.minimum((draws[0] * k).astype(np.int64), k - 1)
    order = np.argsort(draws[1], kind="stable")
    labels[(order if weights is None else order[weights[order] > 0])[:k]] = np.arange(k)
    sizes = np.bincount(labels, weights, minlength=k)
    centers = np.empty((k, points.shape[1]))
    for i, column in enumerate(points.T):
        centers[:, i] = np.bincount(labels, column if weights is None else column * weights, minlength=k) / sizes
    return centers


def seeds(problem: Problem, init: str, uniforms: Uniforms) -> Floats:
    """Return initial centers, found as one of `INITS` says."""
    if init == "random":
        return _draw_distinct_points(problem.points, problem.weights, problem.k, uniforms)
    if init == "random-partition":
        return _random_partition(problem, uniforms)
    if init == "ward":
        return ward_centers(problem.points, problem.k, problem.weights, n_threads=problem.threads)
    points = problem.points
    if problem.metric == "cosine":
        points = points / np.sqrt(np.square(points, dtype=np.float64).sum(axis=1, keepdims=True))
    return draw_seeds(points, problem.weights, problem.k, uniforms, problem.threads)[0]
