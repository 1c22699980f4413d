"""k-means: points to k clusters so that the sum of squared distances to the cluster means is small."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels, _memory
from fastcluster_ext._grouping import GroupedRows, groupable, pays
from fastcluster_ext._random import RandomState, Uniforms, uniforms_from
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array, as_points, as_weights, check_integer, check_option, check_real

__all__ = ["KMeansResult", "KMeansStep", "kmeans", "kmeans_plusplus"]

Floats = npt.NDArray[np.float64]
Callback = Callable[["KMeansStep"], Any]

_ALGORITHMS = ("auto", "lloyd")
_INITS = ("k-means++", "random")
_LABELS = np.dtype(np.int32)
_MOST_ITERATIONS = 2**62  # what the kernel can count to; nobody will see it
_MOST_TRIALS = 1024
_PRINTED_CLUSTERS = 20

# When ordering the points first pays (`_boxes_pay`).
_BOX_MOST_COLUMNS = 4
_BOX_LEAST_POINTS = 4096
_BOX_EXPECTED_ITERATIONS = 20  # of one run; most runs take more
_BOX_LEAST_WORK = 160  # iterations x centers


@dataclass(frozen=True, eq=False)
class KMeansStep:
    """One iteration of k-means, as `history` and `callback` show it.

    Attributes
    ----------
    iteration : int
        Number of the iteration, from 1.
    centers : (k, p) float64 array
        The centers to which this iteration assigned the points.
    center_shift : float
        Sum of the squared distances by which the centers moved afterwards.
    labels : (n,) int32 array or None
        Nearest center of each point; None unless a history is kept.
    inertia : float or None
        Weighted sum of squared distances to these centers; None unless a history is kept.
    """

    iteration: int
    centers: Floats
    center_shift: float
    labels: npt.NDArray[np.int32] | None = None
    inertia: float | None = None

    def distances(self, X: npt.ArrayLike) -> Floats:
        """Return the (n, k) table of Euclidean distances of points to this step's centers, to follow it on paper.

        Examples
        --------
        >>> from fastcluster_ext import kmeans
        >>> X = [[2, 10], [2, 5], [8, 4], [5, 8], [7, 5], [6, 4], [1, 2]]
        >>> result = kmeans(X, 3, init=[[2, 10], [5, 8], [1, 2]], history=True)
        >>> print(result.history[0].distances(X).round(2)[1])
        [5.   4.24 3.16]
        """
        points = as_points(X).astype(np.float64)
        squared = [((points - center) ** 2).sum(axis=1) for center in self.centers]
        return np.asarray(np.sqrt(np.stack(squared, axis=1)))


@dataclass(frozen=True, repr=False, eq=False)
class KMeansResult:
    """What `kmeans` found. Printed, it shows what R prints of its `kmeans`.

    Attributes
    ----------
    labels : (n,) int32 array
        Index of the nearest center of each point; the lowest index where several are equally near. For other points
        see `fastcluster_ext.nearest`.
    centers : (k, p) float64 array
        Cluster centers.
    inertia : float
        Weighted sum of the squared distances of the points to their centers (R's ``tot.withinss``).
    cluster_inertia : (k,) float64 array
        The same by cluster (R's ``withinss``).
    total_inertia : float
        Weighted sum of the squared distances of the points to their mean (R's ``totss``).
    sizes : (k,) int64 array
        Number of points in each cluster (R's ``size``).
    cluster_weights : (k,) float64 array
        Sum of the weights in each cluster; equal to `sizes` without ``sample_weight``.
    n_iter : int
        Iterations of the run that was kept.
    converged : bool
        Whether that run ended because its centers stood still (or moved by less than `tol`), not by `max_iter`.
    history : tuple of KMeansStep
        Its iterations, if ``history=True``; otherwise empty.
    feature_names : tuple of str
        Column names of a DataFrame; otherwise empty.
    """

    labels: npt.NDArray[np.int32]
    centers: Floats
    inertia: float
    cluster_inertia: Floats
    total_inertia: float
    sizes: npt.NDArray[np.int64]
    cluster_weights: Floats
    n_iter: int
    converged: bool
    history: tuple[KMeansStep, ...] = ()
    feature_names: tuple[str, ...] = field(default=())

    @property
    def explained(self) -> float:
        """Share of the total inertia that lies between clusters (R's ``betweenss / totss``); 1.0 if there is none."""
        return 1.0 - self.inertia / self.total_inertia if self.total_inertia > 0 else 1.0

    def __repr__(self) -> str:
        """Show sizes, centers, labels and sums of squares in the layout of R's ``print.kmeans``."""
        k, p = self.centers.shape
        shown = slice(None) if k <= _PRINTED_CLUSTERS else slice(_PRINTED_CLUSTERS)
        more = "" if k <= _PRINTED_CLUSTERS else ", ..."
        names = self.feature_names or tuple(f"[{i}]" for i in range(p))
        with np.printoptions(precision=6, suppress=True, threshold=60, linewidth=100):
            return "\n".join(
                [
                    f"K-means clustering with {k} cluster{'s' if k != 1 else ''} of sizes "
                    f"{', '.join(map(str, self.sizes[shown]))}{more}",
                    "",
                    "Cluster means:",
                    *_table(self.centers[shown], names),
                    *(["..."] if more else []),
                    "",
                    "Clustering vector:",
                    str(self.labels),
                    "",
                    "Within cluster sum of squares by cluster:",
                    f"{self.cluster_inertia[shown]}{more}",
                    f" (between_SS / total_SS = {100 * self.explained:5.1f} %)",
                    "",
                    f"{'Converged' if self.converged else 'Stopped'} after {self.n_iter} "
                    f"iteration{'s' if self.n_iter != 1 else ''}, inertia {self.inertia:.7g}",
                ]
            )


def _table(rows: Floats, names: tuple[str, ...]) -> list[str]:
    """Rows of numbers under column names, at most ten columns of them."""
    columns = [[name, *(f"{value:.6g}" for value in rows[:, i])] for i, name in enumerate(names[:10])]
    if len(names) > 10:
        columns.append(["...", *([""] * len(rows))])
    columns.insert(0, ["", *(str(j) for j in range(len(rows)))])
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]


def kmeans(
    X: npt.ArrayLike,
    k: int,
    *,
    algorithm: str = "auto",
    init: str | npt.ArrayLike = "k-means++",
    n_init: int | str = "auto",
    max_iter: int = 300,
    tol: float = 1e-4,
    sample_weight: npt.ArrayLike | None = None,
    random_state: RandomState = None,
    n_threads: int | None = None,
    history: bool = False,
    callback: Callback | None = None,
) -> KMeansResult:
    """Cluster points by k-means.

    Parameters
    ----------
    X : (n, p) array-like
        Points. uint8, uint16, float32 and float64 arrays are read as they are, whatever their strides, and never
        copied to a wider type; other real types become float64.
    k : int
        Number of clusters, at most the number of distinct points.
    algorithm : {"auto", "lloyd"}
        Lloyd's algorithm in either case.
    init : {"k-means++", "random"} or (k, p) array-like
        "k-means++" draws seeds far apart, the best of ``2 + int(log(k))`` candidates at each step (as scikit-learn
        does); "random" takes k distinct points at random (Forgy); an array gives the initial centers.
    n_init : int or "auto"
        Number of runs from different seeds, of which the one of least inertia is returned. "auto" is 10 for "random"
        and 1 for "k-means++". Given centers are run once.
    max_iter : int
        Most iterations of one run.
    tol : float
        A run has converged when the squared movements of all centers add up to no more than `tol` times the mean
        variance of the features. 0 iterates until the centers stand still.
    sample_weight : (n,) array-like, optional
        Weights, not negative, not all zero: a point of weight 3 counts as three equal points. Points of weight 0 are
        labelled but have no influence.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Source of randomness of the seeds. An int gives the same result at every call.
    n_threads : int, optional
        Number of threads; by default OpenMP's, capped by the CPUs this process may use. Never changes a result.
    history : bool
        Keep centers, labels and inertia of every iteration.
    callback : callable, optional
        Called with a `KMeansStep` after every iteration; a true return value stops the run there.

    Returns
    -------
    KMeansResult

    Raises
    ------
    TypeError, ValueError
        Naming the argument: X not a non-empty two-dimensional array of finite numbers; k less than 1 or more than the
        number of distinct points (of positive weight); weights negative, not finite, or all zero; a wrong shape.

    Notes
    -----
    Labels are those of a float64 brute-force search, also for float32 data far from the origin, and always those of
    the returned centers. A cluster that becomes empty is moved onto the point that costs most (of equals, the first in
    sorted order). Sums are accumulated in float64 in an order that does not depend on the number of threads. Long runs
    over many points and centers of up to four features first order the points by a k-d tree, which can change the last
    bits of sums of floating-point data; the choice depends on the shape of X, `k`, `max_iter` and `n_init`.

    uint8 and uint16 rows of at most 64 bits (pixels) are counted first where that pays, and the algorithm runs on the
    distinct rows with their counts. With given centers the result is that of running it on all rows; seeds are drawn
    among the distinct rows, in ascending order, in proportion to their counts.

    Time O(n k p) an iteration on the (distinct) points; memory O(n) for the labels, beyond that O(k p).
    Source: S. P. Lloyd, IEEE Trans. Inf. Theory 28(2), 1982; D. Arthur and S. Vassilvitskii, SODA 2007.

    Examples
    --------
    >>> from fastcluster_ext import kmeans
    >>> X = [[2, 10], [2, 5], [8, 4], [5, 8], [7, 5], [6, 4], [1, 2]]
    >>> result = kmeans(X, 3, init=[[2, 10], [5, 8], [1, 2]])
    >>> result.labels
    array([0, 2, 1, 1, 1, 1, 2], dtype=int32)
    >>> result.inertia
    20.75
    >>> result
    K-means clustering with 3 clusters of sizes 1, 4, 2
    <BLANKLINE>
    Cluster means:
       [0]   [1]
    0    2    10
    1  6.5  5.25
    2  1.5   3.5
    <BLANKLINE>
    Clustering vector:
    [0 2 1 1 1 1 2]
    <BLANKLINE>
    Within cluster sum of squares by cluster:
    [ 0.   15.75  5.  ]
     (between_SS / total_SS =  76.8 %)
    <BLANKLINE>
    Converged after 2 iterations, inertia 20.75
    """
    threads = resolve_threads(n_threads)
    points = as_points(X, n_threads=threads)
    weights = as_weights(sample_weight, len(points))
    check_option(algorithm, "algorithm", _ALGORITHMS)
    k = check_integer(k, "k", minimum=1, maximum=np.iinfo(_LABELS).max)
    max_iter = min(check_integer(max_iter, "max_iter", minimum=1), _MOST_ITERATIONS)
    tol = check_real(tol, "tol", minimum=0.0)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, got {type(callback).__name__}")
    given = _given_centers(init, k, points.shape[1])
    runs = _number_of_runs(n_init, init, given is not None)
    uniforms = uniforms_from(random_state)

    problem = _Problem(points, weights, k, runs * min(max_iter, _BOX_EXPECTED_ITERATIONS), threads)
    best: _Run | None = None
    for _ in range(runs):
        centers = given if given is not None else _seeds(problem, str(init), uniforms)
        run = _lloyd(problem, centers.copy(), max_iter, tol, history, callback)
        if best is None or run.inertia < best.inertia:
            best = run
    assert best is not None
    return _result(problem, best, tuple(map(str, getattr(X, "columns", ()))))


def kmeans_plusplus(
    X: npt.ArrayLike,
    k: int,
    *,
    sample_weight: npt.ArrayLike | None = None,
    n_local_trials: int | None = None,
    random_state: RandomState = None,
    n_threads: int | None = None,
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Draw k seeds by greedy k-means++.

    Parameters
    ----------
    X, k, sample_weight, random_state, n_threads
        As for `kmeans`.
    n_local_trials : int, optional
        Candidates drawn at each step, of which the best is taken, at most 1024; by default ``2 + int(log(k))``.

    Returns
    -------
    centers : (k, p) float64 array
        The seeds.
    indices : (k,) int64 array
        Their rows in X.

    Raises
    ------
    TypeError, ValueError
        As for `kmeans`.

    Notes
    -----
    Time O(n k p n_local_trials), memory O(n). Source: D. Arthur and S. Vassilvitskii, "k-means++: the advantages of
    careful seeding", SODA 2007.

    Examples
    --------
    >>> from fastcluster_ext import kmeans_plusplus
    >>> centers, indices = kmeans_plusplus([[0.0], [0.1], [9.0], [9.1]], 2, random_state=0)
    >>> sorted(int(i) // 2 for i in indices)
    [0, 1]
    """
    threads = resolve_threads(n_threads)
    points = as_points(X, n_threads=threads)
    weights = as_weights(sample_weight, len(points))
    k = check_integer(k, "k", minimum=1, maximum=np.iinfo(_LABELS).max)
    trials = (
        None
        if n_local_trials is None
        else check_integer(n_local_trials, "n_local_trials", minimum=1, maximum=_MOST_TRIALS)
    )
    uniforms = uniforms_from(random_state)
    _check_distinct(points, weights, k)
    return _draw_seeds(points, weights, k, uniforms, threads, trials)


class _Problem:
    """Points and weights as the kernels get them: grouped if that pays; and what depends on nothing else."""

    def __init__(self, points: Array, weights: Floats | None, k: int, iterations: int, threads: int) -> None:
        self.k = k
        self.threads = threads
        self.n_rows = len(points)
        self.groups: GroupedRows | None = None
        self.weighted = weights is not None
        if groupable(points) and pays(points):
            self.groups = GroupedRows(points[np.newaxis], threads)
            points, weights = self.groups.points, _grouped_weights(self.groups, weights)
        _check_distinct(points, weights, k)
        self.points, self.weights = points, weights
        kernel = _kernels.load("lloyd")
        search = kernel.BoxSearch if _boxes_pay(points, k, iterations) else kernel.PlainSearch
        self.search = search(points, weights, k, threads)
        self.mean = np.empty(points.shape[1])
        self.total_weight, self.total_inertia = _kernels.load("moments").moments(
            points, weights, self.mean, n_threads=threads
        )
        if not math.isfinite(self.total_inertia):
            raise ValueError(
                "X, weighted by sample_weight, has sums of squares beyond float64; rescale the data or weights"
            )

    @property
    def mean_variance(self) -> float:
        """Mean over the features of their variance."""
        return float(self.total_inertia / self.total_weight / self.points.shape[1])

    def expand(self, labels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Labels of all rows from labels of the points."""
        return labels if self.groups is None else self.groups.expand(labels).reshape(-1)


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


@dataclass
class _Run:
    labels: npt.NDArray[np.int32]
    centers: Floats
    costs: Floats
    n_iter: int
    converged: bool
    history: tuple[KMeansStep, ...]

    @property
    def inertia(self) -> float:
        return float(self.costs[:, 0].sum())


def _grouped_weights(groups: GroupedRows, weights: Floats | None) -> Floats:
    """Weight of each distinct row."""
    if weights is None:
        return groups.counts.astype(np.float64)
    rows = groups.expand(np.arange(len(groups.counts), dtype=np.int32)).reshape(-1)
    return np.bincount(rows, weights, minlength=len(groups.counts)).astype(np.float64)


def _given_centers(init: str | npt.ArrayLike, k: int, p: int) -> Floats | None:
    if isinstance(init, str):
        check_option(init, "init", _INITS)
        return None
    if callable(init):
        raise TypeError(f"init must be one of {_INITS} or a {k} x {p} array of centers, not a function")
    centers = as_points(init, "init")
    if centers.shape != (k, p):
        raise ValueError(f"init must have shape ({k}, {p}), one row for each center, got {centers.shape}")
    return np.ascontiguousarray(centers, dtype=np.float64)


def _number_of_runs(n_init: int | str, init: str | npt.ArrayLike, given: bool) -> int:
    if isinstance(n_init, str):
        check_option(n_init, "n_init", ("auto",))
        return 10 if isinstance(init, str) and init == "random" else 1
    runs = check_integer(n_init, "n_init", minimum=1)
    if given and runs > 1:
        warnings.warn(f"init gives the centers: one run instead of n_init={runs}", RuntimeWarning, stacklevel=3)
        return 1
    return runs


def _check_distinct(points: Array, weights: Floats | None, k: int) -> None:
    """Raise ValueError if fewer than k distinct points have a positive weight.

    Looks at as few rows as it needs: twice as many each time, until k distinct ones are among them.
    """
    if weights is not None and not weights.all():
        points = points[weights > 0]
    looked_at = max(4 * k, 1024)
    while True:
        distinct = len(np.unique(points[:looked_at], axis=0))
        if distinct >= k:
            return
        if looked_at >= len(points):
            raise ValueError(f"k must be at most the number of distinct points, which is {distinct}, got {k}")
        looked_at *= 2


def _draw_seeds(
    points: Array, weights: Floats | None, k: int, uniforms: Uniforms, threads: int, trials: int | None = None
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Greedy k-means++."""
    centers = np.empty((k, points.shape[1]))
    indices = np.empty(k, dtype=np.int64)
    drawn = uniforms((k, trials or 2 + int(np.log(k))))
    closest = _memory.allocate(len(points), np.float64, "the distances to the nearest seed")
    _kernels.load("seeding").kmeans_plusplus(points, weights, drawn, closest, centers, indices, n_threads=threads)
    if indices.min() < 0:
        raise _too_close(k)
    return centers, indices


def _too_close(k: int) -> ValueError:
    return ValueError(f"k must be at most the number of points that differ by more than rounding, got {k}")


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


def _seeds(problem: _Problem, init: str, uniforms: Uniforms) -> Floats:
    if init == "random":
        return _draw_distinct_points(problem.points, problem.weights, problem.k, uniforms)
    return _draw_seeds(problem.points, problem.weights, problem.k, uniforms, problem.threads)[0]


def _lloyd(
    problem: _Problem, centers: Floats, max_iter: int, tol: float, history: bool, callback: Callback | None
) -> _Run:
    """One run from given centers, which are overwritten."""
    search = problem.search
    steps: list[KMeansStep] = []

    def observe(iteration: int, assigned: Any, shift: float) -> Any:
        at = np.asarray(assigned)
        if history:
            labels = np.empty(len(problem.points), dtype=_LABELS)
            costs = problem.search.evaluate(at, labels)
            step = KMeansStep(iteration, at, shift, problem.expand(labels), float(costs[:, 0].sum()))
            steps.append(step)
        else:
            step = KMeansStep(iteration, at, shift)
        return callback is not None and callback(step)

    n_iter, converged = search.lloyd(
        centers,
        max_iter=max_iter,
        tolerance=tol * problem.mean_variance,
        observer=observe if history or callback is not None else None,
    )
    labels = _memory.allocate(len(problem.points), _LABELS, "the labels")
    refilled = np.zeros(problem.k, dtype=bool)
    while True:
        costs = search.evaluate(centers, labels)
        empty = costs[:, 1] == 0
        if not empty.any():
            return _Run(labels, centers, costs, n_iter, converged, tuple(steps))
        # The last movement emptied a cluster. A refilled center keeps the point it sits on, so this ends; unless no
        # point is left that is at any distance, in float64, from all centers.
        if (empty & refilled).any():
            raise _too_close(problem.k)
        refilled |= empty
        search.refill(centers, costs[:, 1].copy())


def _result(problem: _Problem, run: _Run, feature_names: tuple[str, ...]) -> KMeansResult:
    sizes = run.costs[:, 2].astype(np.int64)
    if problem.groups is not None:
        sizes = np.bincount(run.labels, problem.groups.counts, minlength=problem.k).astype(np.int64)
    return KMeansResult(
        labels=problem.expand(run.labels),
        centers=run.centers,
        inertia=run.inertia,
        cluster_inertia=run.costs[:, 0].copy(),
        total_inertia=float(problem.total_inertia),
        sizes=sizes,
        cluster_weights=run.costs[:, 1].copy(),
        n_iter=run.n_iter,
        converged=run.converged,
        history=run.history,
        feature_names=feature_names,
    )
