"""k-medoids: k of the points as centers, so that the sum of dissimilarities to the nearest of them is small."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels
from fastcluster_ext._metrics import Metric, resolve_metric
from fastcluster_ext._random import RandomState, Uniforms, uniforms_from
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array, as_points, as_weights, check_integer, check_option

__all__ = ["KMedoidsResult", "KMedoidsStep", "kmedoids"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Callback = Callable[["KMedoidsStep"], Any]

METHODS = ("fasterpam", "fastpam1", "pam", "alternate", "clara", "clarans", "onebatch")
INITS = ("auto", "build", "random", "k-medoids++", "lab", "sample", "first")
_PRINTED_CLUSTERS = 20

# A swap counts as an improvement if it lowers the loss by more than this share of it: more than sums in another order
# can differ by, so that no two states are taken in turns for ever.
_LEAST_GAIN = 1e-12

# Half of a float32 matrix may have been rounded apart from the other, and likewise of a float64 matrix.
_ASYMMETRY = {4: 1e-4, 8: 1e-8}

# The start "sample" takes samples of this size and, from points, of 4, 16, ... times as much, up to an eighth of them.
# It is the automatic one for more than four times as many points. Before it looks at all points of the next sample it
# tries this many about each medoid, as nearly all swaps that improve are found there.
_SAMPLED, _NEAR = 2048, 128

# Points are put in an order in which neighbors are close by interleaving this many bits of at most this many features.
_ORDER_BITS, _ORDER_FEATURES = 10, 6


@dataclass(frozen=True)
class KMedoidsStep:
    """The start (iteration 0) or one swap or iteration of k-medoids, as `history` and `callback` show it.

    Attributes
    ----------
    iteration : int
        0 for the start; then the number of the swap, or of the iteration of "alternate".
    medoids : (k,) int64 array
        Medoids after it.
    loss : float
        Weighted sum of the dissimilarities of the points to them.
    swapped : tuple of int or None
        The medoid that went and the point that came, where one was swapped for one.
    labels : (n,) int32 array or None
        Nearest medoid of each point; None unless a history is kept.
    """

    iteration: int
    medoids: Indices
    loss: float
    swapped: tuple[int, int] | None = None
    labels: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True, repr=False, eq=False)
class KMedoidsResult:
    """What `kmedoids` found. Printed, it shows what R prints of its `pam`.

    Attributes
    ----------
    medoids : (k,) int64 array
        Rows of the medoids (R's ``id.med``).
    centers : (k, p) array or None
        The medoids' rows of X; None for precomputed dissimilarities.
    labels : (n,) int32 array
        Index of the nearest medoid of each point; the lowest index where several are equally near.
    loss : float
        Weighted sum of the dissimilarities of the points to their medoids.
    cluster_loss : (k,) float64 array
        The same by cluster.
    sizes : (k,) int64 array
        Number of points in each cluster.
    cluster_weights : (k,) float64 array
        Sum of the weights in each cluster; equal to `sizes` without ``sample_weight``.
    n_iter : int
        Passes over all candidates (fasterpam, pam, fastpam1, onebatch), iterations (alternate), samples (clara) or
        local searches (clarans) of the run that was kept.
    n_swap : int
        Swaps made in it.
    converged : bool
        Whether it ended because nothing improved any more, not by `max_iter` or the callback.
    history : tuple of KMedoidsStep
        Its start and its swaps, if ``history=True``; otherwise empty.
    feature_names : tuple of str
        Column names of a DataFrame; otherwise empty.
    """

    medoids: Indices
    centers: Array | None
    labels: npt.NDArray[np.int32]
    loss: float
    cluster_loss: Floats
    sizes: npt.NDArray[np.int64]
    cluster_weights: Floats
    n_iter: int
    n_swap: int
    converged: bool
    history: tuple[KMedoidsStep, ...] = ()
    feature_names: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        """Show medoids, labels and the objective in the layout of R's ``print.pam``."""
        k = len(self.medoids)
        shown = slice(None) if k <= _PRINTED_CLUSTERS else slice(_PRINTED_CLUSTERS)
        names = self.feature_names or tuple(
            f"[{i}]" for i in range(0 if self.centers is None else self.centers.shape[1])
        )
        columns = [["", *(str(j) for j in range(k)[shown])], ["ID", *(str(row) for row in self.medoids[shown])]]
        if self.centers is not None:
            columns += [
                [name, *(f"{value:.6g}" for value in self.centers[shown, i])] for i, name in enumerate(names[:10])
            ]
        if len(names) > 10:
            columns.append(["...", *([""] * (len(columns[0]) - 1))])
        widths = [max(map(len, column)) for column in columns]
        average = self.loss / max(float(self.cluster_weights.sum()), np.finfo(float).tiny)
        with np.printoptions(precision=6, suppress=True, threshold=60, linewidth=100):
            return "\n".join(
                [
                    "Medoids:",
                    *(
                        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
                        for line in zip(*columns, strict=True)
                    ),
                    *(["..."] if k > _PRINTED_CLUSTERS else []),
                    "Clustering vector:",
                    str(self.labels),
                    f"Objective function: {average:.7g} a point, {self.loss:.7g} in all",
                    f"{'Converged' if self.converged else 'Stopped'} after {self.n_swap} "
                    f"swap{'s' if self.n_swap != 1 else ''}",
                ]
            )


def kmedoids(
    X: npt.ArrayLike,
    k: int,
    *,
    metric: str = "manhattan",
    method: str = "fasterpam",
    init: str | npt.ArrayLike = "auto",
    n_init: int = 1,
    max_iter: int = 300,
    n_samples: int = 5,
    sample_size: int | None = None,
    num_local: int = 2,
    max_neighbor: int | None = None,
    sample_weight: npt.ArrayLike | None = None,
    random_state: RandomState = None,
    n_threads: int | None = None,
    history: bool = False,
    callback: Callback | None = None,
) -> KMedoidsResult:
    """Cluster points, or objects of known dissimilarities, by k-medoids.

    Parameters
    ----------
    X : (n, p) array-like, or (n, n) if ``metric="precomputed"``
        Points; or their dissimilarities: symmetric, not negative, of any integer or float type, read where they are.
    k : int
        Number of clusters, at most the number of distinct points.
    metric : str
        "manhattan", "euclidean" or any other of this package's metrics, or "precomputed".
    method : {"fasterpam", "fastpam1", "pam", "alternate", "clara", "clarans", "onebatch"}
        "fasterpam" tries every point in turn as a medoid and swaps as soon as that improves, until no swap does.
        "fastpam1" and "pam" make the best of all swaps each time (they find the same; "pam" starts from BUILD).
        "alternate" assigns points to medoids and moves each medoid to the best point of its cluster (Voronoi
        iteration; quick and often poor). "clara" runs fasterpam on samples and keeps what is best for all points.
        "clarans" tries random swaps. "onebatch" runs fasterpam with all points as candidates and one sample as judges.
    init : {"auto", "build", "random", "k-medoids++", "lab", "sample", "first"} or (k,) array-like of int
        "build": the best first medoid, then the best one more, as in PAM, O(n^2 k). "k-medoids++": drawn far apart,
        the best of ``2 + int(log(k))`` at each step. "lab": as build, on a new sample of ``10 + sqrt(n)`` points at
        each step. "sample": the medoids that fasterpam finds for 2048 points, drawn evenly by weight, then for four
        times as many, and so on. "first": the first k points. An array gives the rows of the medoids. "auto" is
        "build" for "pam", "random" for "clarans", and "k-medoids++" for the others, or "sample" for them if there are
        more than 8192 points.
    n_init : int
        Number of runs from different starts, of which the one of least loss is returned. Given medoids are run once.
    max_iter : int
        Most passes, swaps (pam, fastpam1) or iterations (alternate) of one run. 0 only assigns points to the start.
    n_samples, sample_size : int
        Of "clara" and "onebatch": how many samples (clara), and of how many points, by default ``max(1000, 10 k)``
        (clara) and ``max(100 log(k n), 4 k)`` (onebatch).
    num_local, max_neighbor : int
        Of "clarans": how many local searches, and after how many neighbors that are no better one ends; by default
        the larger of 250 and 1.25 % of all ``k (n - k)``.
    sample_weight : (n,) array-like, optional
        Weights, not negative, not all zero: a point of weight 3 counts as three equal points.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Source of randomness. An int gives the same result at every call.
    n_threads : int, optional
        Number of threads; by default OpenMP's, capped by the CPUs this process may use. Never changes a result.
    history : bool
        Keep medoids, labels and loss of the start and after every swap.
    callback : callable, optional
        Called with a `KMedoidsStep` for the start and after every swap; a true return value stops the run there.

    Returns
    -------
    KMedoidsResult

    Raises
    ------
    TypeError, ValueError
        Naming the argument: X of the wrong shape, not finite, or not a matrix of dissimilarities; k less than 1 or more
        than the number of (distinct) points; medoids given twice; unknown names; weights negative or all zero.
    FloatingPointError
        If the metric is undefined for some points, as the cosine distance of a zero vector is.

    Notes
    -----
    From points no n x n matrix is ever stored: distances are computed where they are needed, in float64, and for
    Manhattan, Euclidean, squared Euclidean and Chebyshev distances most are ruled out before, by the distance to a box
    around neighboring points. Time: O(n^2) a pass of fasterpam (at memory speed for a matrix), O(n) to O(n k) a swap;
    memory: O(n p), or O(n) beside a matrix.

    Sources: L. Kaufman and P. J. Rousseeuw, "Finding Groups in Data", 1990 (PAM, CLARA); R. T. Ng and J. Han, IEEE
    TKDE 14(5), 2002 (CLARANS); E. Schubert and P. J. Rousseeuw, Information Systems 101, 2021 (FastPAM1, FasterPAM,
    LAB, faster CLARA and CLARANS); A. de Mathelin et al., "OneBatchPAM", AAAI 2025.

    Examples
    --------
    >>> from fastcluster_ext import kmedoids
    >>> X = [[8, 7], [3, 7], [4, 9], [9, 6], [8, 5], [5, 8], [7, 3], [8, 4], [7, 5], [4, 5]]
    >>> kmedoids(X, 2, init=[9, 4], method="pam")
    Medoids:
       ID  [0]  [1]
    0   1    3    7
    1   4    8    5
    Clustering vector:
    [1 0 0 1 1 0 1 1 1 0]
    Objective function: 1.8 a point, 18 in all
    Converged after 1 swap
    """
    threads = resolve_threads(n_threads)
    check_option(method, "method", METHODS)
    k = check_integer(k, "k", minimum=1, maximum=np.iinfo(np.int32).max - 1)
    problem = _problem(X, metric, sample_weight, threads)
    given = _given_medoids(init, k, problem)
    settings = _Settings(
        init=_chosen_init(init, method, problem.n),
        max_iter=check_integer(max_iter, "max_iter", minimum=0),
        n_samples=check_integer(n_samples, "n_samples", minimum=1),
        sample_size=None if sample_size is None else check_integer(sample_size, "sample_size", minimum=1),
        num_local=check_integer(num_local, "num_local", minimum=1),
        max_neighbor=None if max_neighbor is None else check_integer(max_neighbor, "max_neighbor", minimum=1),
        history=history,
        callback=callback,
        uniforms=uniforms_from(random_state),
    )
    runs = check_integer(n_init, "n_init", minimum=1)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, got {type(callback).__name__}")
    if given is not None and runs > 1:
        warnings.warn(f"init gives the medoids: one run instead of n_init={runs}", RuntimeWarning, stacklevel=2)
        runs = 1
    problem.check_distinct(k)
    state = problem.state(k, sifted=method in ("fasterpam", "fastpam1", "pam", "clarans"))
    best: _Run | None = None
    for _ in range(runs):
        run = _METHODS[method](problem, state, k, given, settings)
        if best is None or run.loss < best.loss:
            best = run
    assert best is not None
    return _result(
        problem, state, best, tuple(map(str, getattr(X, "columns", ()))) if problem.points is not None else ()
    )


@dataclass(frozen=True)
class _Settings:
    init: str
    max_iter: int
    n_samples: int
    sample_size: int | None
    num_local: int
    max_neighbor: int | None
    history: bool
    callback: Callback | None
    uniforms: Uniforms


@dataclass
class _Run:
    """A run so far: what it is watched by, and in the end what is kept of it."""

    settings: _Settings
    medoids: Indices = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    loss: float = math.inf
    n_iter: int = 0
    n_swap: int = 0
    converged: bool = False
    stopped: bool = False
    steps: list[KMedoidsStep] = field(default_factory=list)

    def observe(self, state: Any, swapped: tuple[int, int] | None = None) -> None:
        """Record the state after the start or a swap; a callback may stop the run."""
        self.medoids, self.loss = state.medoids.copy(), float(state.loss)
        settings = self.settings
        if not settings.history and settings.callback is None:
            return
        labels = state.nearest.copy() if settings.history else None
        step = KMedoidsStep(self.n_swap, self.medoids, self.loss, swapped, labels)
        if settings.history:
            self.steps.append(step)
        if settings.callback is not None and settings.callback(step):
            self.stopped = True


@dataclass(frozen=True)
class Problem:
    """What is clustered: points and their metric, or a matrix; and the weights."""

    points: Array | None
    matrix: Array | None
    metric: Metric | None
    weights: Floats | None
    threads: int

    @property
    def n(self) -> int:
        """Number of points."""
        return len(self.points if self.points is not None else self.matrix)  # type: ignore[arg-type]

    def state(self, k: int, *, rows: Array | None = None, sifted: bool = False) -> Any:
        """Return the kernel's state for up to k medoids, taken from `rows` if they are not taken from the points."""
        medoids = _kernels.load("medoids")
        if self.metric is None:
            return medoids.Medoids(matrix=self.matrix, k=k, weights=self.weights, n_threads=self.threads)
        assert self.points is not None
        return medoids.Medoids(
            rows=self.points if rows is None else rows,
            points=self.points,
            code=self.metric.code,
            exponent=self.metric.exponent,
            order=_neighbors_in_order(self.points) if sifted else None,
            k=k,
            weights=self.weights,
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

    def check_distinct(self, k: int) -> None:
        """Raise ValueError if there are fewer than k (distinct) points of positive weight."""
        rows = np.arange(self.n) if self.weights is None else np.flatnonzero(self.weights)
        if len(rows) < k:
            raise ValueError(f"k must be at most the number of points, which is {len(rows)}, got {k}")
        if self.points is None:
            return
        looked_at = max(4 * k, 1024)
        while True:
            distinct = len(np.unique(self.points[rows[:looked_at]], axis=0))
            if distinct >= k:
                return
            if looked_at >= len(rows):
                raise ValueError(f"k must be at most the number of distinct points, which is {distinct}, got {k}")
            looked_at *= 2

    def spread(self, count: int, uniforms: Uniforms) -> Indices:
        """Return how often each point is hit by `count` draws, evenly spaced: in proportion to weight, everywhere."""
        order = np.arange(self.n) if self.points is None else _neighbors_in_order(self.points)
        passed = np.cumsum(np.ones(self.n) if self.weights is None else self.weights[order])
        at = np.searchsorted(passed, (np.arange(count) + uniforms(1)[0]) * (passed[-1] / count), side="right")
        return np.bincount(order[np.minimum(at, self.n - 1)], minlength=self.n)

    def draw(self, count: int, uniforms: Uniforms, distinct: bool) -> Indices:
        """Draw points without replacement, in proportion to their weights; distinct ones if that is asked for."""
        if self.weights is None and not distinct and 4 * count <= self.n:
            rows = np.empty(0, dtype=np.int64)
            while len(rows) < count:
                more = (uniforms(count - len(rows)) * self.n).astype(np.int64)
                rows = np.union1d(rows, more)
            return rows
        with np.errstate(divide="ignore"):
            keys = -np.log1p(-uniforms(self.n)) / (1.0 if self.weights is None else self.weights)
        if not distinct or self.points is None:
            return np.sort(np.argpartition(keys, count - 1)[:count]) if count < self.n else np.arange(self.n)
        chosen: dict[bytes, int] = {}
        for row in np.argsort(keys, kind="stable"):
            chosen.setdefault((self.points[row].astype(np.float64) + 0.0).tobytes(), int(row))
            if len(chosen) == count:
                break
        return np.array(list(chosen.values()), dtype=np.int64)


def _problem(X: Any, metric: Any, sample_weight: Any, threads: int) -> Problem:
    if isinstance(metric, str) and metric == "precomputed":
        matrix = as_dissimilarities(X, threads)
        return Problem(None, matrix, None, as_weights(sample_weight, len(matrix)), threads)
    points = as_points(X, n_threads=threads)
    return Problem(points, None, resolve_metric(metric), as_weights(sample_weight, len(points)), threads)


def as_dissimilarities(values: Any, threads: int, name: str = "X") -> Array:
    """Return a square, symmetric, non-negative matrix of a type that the kernels read, not copied if it has one."""
    matrix = np.asarray(values)
    if matrix.dtype.kind not in "iubf" or matrix.dtype.itemsize > 8:
        raise TypeError(f"{name} must hold real numbers, got dtype {matrix.dtype}")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        raise ValueError(
            f"{name} must be a square matrix of dissimilarities (metric='precomputed'), got {matrix.shape}"
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
        span = high[feature] - low[feature]
        scale = (2**_ORDER_BITS - 1) / span if span > 0 else 0.0
        cells = ((points[:, feature].astype(np.float64) - low[feature]) * scale).astype(np.uint64)
        for bit in range(_ORDER_BITS):
            keys |= ((cells >> np.uint64(bit)) & np.uint64(1)) << np.uint64(bit * len(widest) + place)
    return np.argsort(keys, kind="stable").astype(np.int32)


def _given_medoids(init: Any, k: int, problem: Problem) -> Indices | None:
    if isinstance(init, str):
        check_option(init, "init", INITS)
        return None
    medoids = np.asarray(init)
    if medoids.dtype.kind not in "iu":
        raise TypeError(f"init must be one of {', '.join(map(repr, INITS))} or k rows of X as integers, got {init!r}")
    if medoids.shape != (k,):
        raise ValueError(f"init must have shape ({k},), one row of X for each medoid, got {medoids.shape}")
    if medoids.min() < 0 or medoids.max() >= problem.n:
        raise ValueError(f"init must hold rows of X, from 0 to {problem.n - 1}, got {medoids.tolist()}")
    if len(np.unique(medoids)) < k:
        raise ValueError(f"init holds a medoid more than once: {medoids.tolist()}")
    return medoids.astype(np.int64)


def _chosen_init(init: Any, method: str, n: int) -> str:
    # Given medoids start the first run or search; this is for those that follow.
    if isinstance(init, str) and init != "auto":
        return init
    drawn = "sample" if n > 4 * _SAMPLED and method != "clara" else "k-medoids++"
    return {"pam": "build", "clarans": "random"}.get(method, drawn)


def _start(problem: Problem, state: Any, k: int, given: Indices | None, settings: _Settings) -> None:
    """Put the initial medoids into the state."""
    if given is not None:
        medoids = given
    elif settings.init == "random":
        medoids = problem.draw(k, settings.uniforms, distinct=True)
    elif settings.init == "first":
        medoids = np.arange(k)
    elif settings.init == "sample":
        _defined(state.assign(_from_samples(problem, k, settings)))
        _polished(problem, state, replace(settings, history=False, callback=None))
        return
    else:
        {"build": _build, "lab": _lab, "k-medoids++": _plus_plus}[settings.init](problem, state, k, settings.uniforms)
        return
    _defined(state.assign(medoids.astype(np.int64)))


def _from_samples(problem: Problem, k: int, settings: _Settings) -> Indices:
    """Return the medoids that fasterpam finds for a sample, then, from these, for a larger one, and so on."""
    inner = replace(settings, init="k-medoids++", max_iter=300, history=False, callback=None)
    medoids: Indices | None = None
    size = max(_SAMPLED, 4 * k)
    while medoids is None or (problem.points is not None and 8 * size <= problem.n):
        size = size if medoids is None else 4 * size
        hits = problem.spread(size, settings.uniforms)
        taken = problem.draw(k, settings.uniforms, distinct=True) if medoids is None else medoids
        # These may not have been hit; without weight they only are candidates, but the first must be enough points.
        hits[taken] = np.maximum(hits[taken], 1 if medoids is None else 0)
        rows = np.union1d(np.flatnonzero(hits), taken)
        part = problem.subset(rows, hits[rows].astype(np.float64))
        state = part.state(k, sifted=True)
        start = None
        if medoids is not None:
            _defined(state.assign(np.searchsorted(rows, medoids)))
            start = _polished(part, state, inner)
        medoids = rows[_fasterpam(part, state, k, start, inner).medoids]
    return medoids


def _polished(problem: Problem, state: Any, settings: _Settings) -> Indices:
    """Swap medoids for points near them while that improves; return the medoids."""
    run = _Run(settings)
    swaps = -1
    while swaps < run.n_swap:
        swaps = run.n_swap
        ranked = np.lexsort((state.first, state.nearest))
        sizes = np.bincount(state.nearest, minlength=state.k)
        place = np.arange(problem.n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        near = ranked[place < _NEAR]

        def cyclic(start: int, count: int, near: Indices = near) -> Indices:
            return near[np.arange(start, start + count) % len(near)]

        _eager(run, state, problem.threads, cyclic, len(near), 300 * len(near))
    return state.medoids.copy()  # type: ignore[no-any-return]


def _defined(loss: float) -> float:
    if math.isnan(loss):
        raise FloatingPointError("the metric is undefined for some of these points (its value is NaN)")
    return loss


def _build(problem: Problem, state: Any, k: int, uniforms: Uniforms) -> None:
    """PAM's BUILD: the best first medoid, then, k - 1 times, the best one more."""
    candidates = np.arange(problem.n)
    changes = np.empty(problem.n)
    state.totals(candidates, problem.weights, changes)
    _defined(state.assign(candidates[[int(changes.argmin())]]))
    for _ in range(1, k):
        state.evaluate_addition(candidates, True, changes)
        changes[state.medoids[: state.k]] = math.inf
        state.add(int(changes.argmin()))


def _plus_plus(problem: Problem, state: Any, k: int, uniforms: Uniforms) -> None:
    """Draw seeds in proportion to weight times dissimilarity to the nearest seed, each the best of some draws."""
    trials = 2 + int(math.log(k))
    weights = np.ones(problem.n) if problem.weights is None else problem.weights
    changes = np.empty(trials)
    for i in range(k):
        shares = np.cumsum(weights * state.first if i else weights)
        if not shares[-1] > 0:
            # All points lie on a seed: any others will do.
            _defined(float(shares[-1]))
            rest = np.setdiff1d(np.arange(problem.n), state.medoids[:i])
            for row in rest[: k - i]:
                state.add(int(row))
            return
        drawn = np.searchsorted(shares, uniforms(trials) * shares[-1], side="right")
        candidates = np.minimum(drawn, problem.n - 1).astype(np.int64)
        if i == 0:
            _defined(state.assign(candidates[:1]))
        else:
            state.evaluate_addition(candidates, False, changes)
            state.add(int(candidates[changes.argmin()]))


def _lab(problem: Problem, state: Any, k: int, uniforms: Uniforms) -> None:
    """BUILD on a new sample for each medoid (linear approximate BUILD)."""
    size = min(problem.n, 10 + math.ceil(math.sqrt(problem.n)))
    for i in range(k):
        sample = problem.draw(size, uniforms, distinct=False)
        sample = sample if i == 0 else np.setdiff1d(sample, state.medoids[:i])
        if len(sample) == 0:
            sample = np.setdiff1d(np.arange(problem.n), state.medoids[:i])
        part = problem.subset(sample, None)
        distances = np.empty((len(sample), len(sample)))
        part.state(1).table(np.arange(len(sample)), distances)
        if i == 0:
            _defined(state.assign(sample[[int(distances.sum(axis=1).argmin())]]))
        else:
            gains = np.maximum(state.first[sample] - distances, 0).sum(axis=1)
            state.add(int(sample[gains.argmax()]))


def _eager(
    run: _Run,
    state: Any,
    threads: int,
    candidates_at: Callable[[int, int], Indices],
    patience: int,
    budget: int,
) -> int:
    """Try candidates in turn, swap whenever that improves; until `patience` in a row did not, or `budget` are tried.

    Batches of candidates are evaluated at once, against the same medoids; after the first that improves, the others of
    its batch are evaluated again. So the swaps are those of one candidate at a time, for any size of batch.
    Returns the number of candidates tried.
    """
    size, since, tried = threads, 0, 0
    while since < patience and tried < budget and not run.stopped:
        candidates = candidates_at(tried, min(size, patience - since, budget - tried))
        found = state.first_improving(candidates, -_LEAST_GAIN * state.loss)
        if found is None:
            since += len(candidates)
            tried += len(candidates)
            size = min(2 * size, 4096)
            continue
        at, slot = found
        tried += at + 1
        # The next improvement is about as far away as this one was; half of that wastes least.
        since, size = 0, max(threads, (since + at) // 2)
        old, new = int(state.medoids[slot]), int(candidates[at])
        state.swap(slot, new)
        run.n_swap += 1
        run.observe(state, (old, new))
    run.converged = since >= patience
    return tried


def _fasterpam(problem: Problem, state: Any, k: int, given: Indices | None, settings: _Settings) -> _Run:
    run = _Run(settings)
    _start(problem, state, k, given, settings)
    run.observe(state)
    n = problem.n

    def cyclic(start: int, count: int) -> Indices:
        return np.arange(start, start + count) % n

    tried = _eager(run, state, problem.threads, cyclic, n, settings.max_iter * n)
    run.n_iter = -(-tried // n)
    return run


def _fastpam1(problem: Problem, state: Any, k: int, given: Indices | None, settings: _Settings) -> _Run:
    run = _Run(settings)
    _start(problem, state, k, given, settings)
    run.observe(state)
    while run.n_iter < settings.max_iter and not run.converged and not run.stopped:
        run.n_iter += 1
        found = state.best(-_LEAST_GAIN * state.loss)
        if found is None:
            run.converged = True
            break
        best, slot = found
        old = int(state.medoids[slot])
        state.swap(slot, best)
        run.n_swap += 1
        run.observe(state, (old, best))
    return run


def _alternate(problem: Problem, state: Any, k: int, given: Indices | None, settings: _Settings) -> _Run:
    run = _Run(settings)
    _start(problem, state, k, given, settings)
    run.observe(state)
    while run.n_iter < settings.max_iter and not run.converged and not run.stopped:
        run.n_iter += 1
        medoids = state.medoids.copy()
        for j in range(k):
            members = np.flatnonzero(state.nearest == j)
            if len(members):
                medoids[j] = members[_center(problem, state, members)]
        before = state.loss
        if np.array_equal(medoids, state.medoids) or not state.assign(medoids) < before * (1 - _LEAST_GAIN):
            state.assign(run.medoids)
            run.converged = True
        else:
            run.n_swap += 1
            run.observe(state)
    return run


def _center(problem: Problem, state: Any, members: Indices) -> int:
    """Which of the members of a cluster has the least weighted sum of dissimilarities to the others."""
    sums = np.empty(len(members))
    weights = None if problem.weights is None else problem.weights[members]
    if problem.points is not None:
        part = problem.subset(members, weights)
        part.state(1).totals(np.arange(len(members)), weights, sums)
    else:
        mask = np.zeros(problem.n)
        mask[members] = 1.0 if weights is None else weights
        state.totals(members, mask, sums)
    return int(sums.argmin())


def _clara(problem: Problem, state: Any, k: int, given: Indices | None, settings: _Settings) -> _Run:
    best = _Run(settings)
    size = min(problem.n, max(k, settings.sample_size or max(1000, 10 * k)))
    if given is not None:
        state.assign(given)
        best.observe(state)
    for sample_number in range(settings.n_samples):
        if best.stopped:
            break
        sample = problem.draw(size, settings.uniforms, distinct=False)
        # The best medoids so far take part, so that a sample can only improve on them.
        sample = np.union1d(sample, best.medoids)
        part = problem.subset(sample, None)
        if part.points is not None and len(np.unique(part.points, axis=0)) < k:
            sample = np.union1d(sample, problem.draw(k, settings.uniforms, distinct=True))
            part = problem.subset(sample, None)
        inner = replace(
            settings, history=False, callback=None, init="k-medoids++" if settings.init == "sample" else settings.init
        )
        start = None if len(best.medoids) == 0 or sample_number else np.searchsorted(sample, best.medoids)
        found = _fasterpam(part, part.state(k, sifted=True), k, start, inner)
        loss = _defined(state.assign(sample[found.medoids]))
        best.n_iter = sample_number + 1
        if loss < best.loss:
            best.n_swap += 1
            best.observe(state)
    best.converged = not best.stopped
    state.assign(best.medoids)
    return best


def _clarans(problem: Problem, state: Any, k: int, given: Indices | None, settings: _Settings) -> _Run:
    n = problem.n
    neighbors = settings.max_neighbor or max(250, math.ceil(0.0125 * k * (n - k)))
    # One candidate stands for k neighbors: its swaps with every medoid are evaluated at once.
    patience = max(1, -(-neighbors // k))
    best = _Run(settings)
    for search in range(settings.num_local):
        run = _Run(settings)
        _start(problem, state, k, given if search == 0 else None, settings)
        run.observe(state)
        drawn: dict[int, int] = {}

        def random(start: int, count: int, drawn: dict[int, int] = drawn) -> Indices:
            # What is tried again in the next batch must be the same candidates.
            missing = [place for place in range(start, start + count) if place not in drawn]
            for place, value in zip(missing, (settings.uniforms(len(missing)) * n).astype(np.int64), strict=True):
                drawn[place] = int(value)
            return np.array([drawn[place] for place in range(start, start + count)], dtype=np.int64)

        _eager(run, state, problem.threads, random, patience, max(settings.max_iter, 0) * n)
        run.n_iter = search + 1
        if run.loss < best.loss:
            best = run
        if run.stopped:
            break
    state.assign(best.medoids)
    return best


def _onebatch(problem: Problem, state: Any, k: int, given: Indices | None, settings: _Settings) -> _Run:
    run = _Run(settings)
    n = problem.n
    size = min(n, settings.sample_size or max(math.ceil(100 * math.log(k * n + 1)), 4 * k))
    batch = problem.draw(size, settings.uniforms, distinct=False)
    _start(problem, state, k, given, settings)
    run.observe(state)
    start = state.medoids.copy()
    if problem.points is not None:
        judges = problem.subset(batch, None).state(k, rows=problem.points, sifted=True)
    else:
        raise ValueError("method 'onebatch' works from points; from a matrix, use 'fasterpam' or 'clara'")
    judges.assign(start)
    inner = _Run(replace(settings, history=False))

    def cyclic(first: int, count: int) -> Indices:
        return np.arange(first, first + count) % n

    tried = _eager(inner, judges, problem.threads, cyclic, n, settings.max_iter * n)
    run.n_iter, run.n_swap, run.converged = -(-tried // n), inner.n_swap, inner.converged
    if state.assign(inner.medoids if len(inner.medoids) else start) <= run.loss:
        run.observe(state)
    else:
        state.assign(start)
    return run


_METHODS: dict[str, Callable[[Problem, Any, int, Indices | None, _Settings], _Run]] = {
    "fasterpam": _fasterpam,
    "fastpam1": _fastpam1,
    "pam": _fastpam1,
    "alternate": _alternate,
    "clara": _clara,
    "clarans": _clarans,
    "onebatch": _onebatch,
}


def _by_cluster(labels: npt.NDArray[np.int32], values: Floats | None, k: int) -> Floats:
    """Return the sum of values, or the number of points, by cluster."""
    return np.bincount(labels, values, minlength=k).astype(np.float64)


def _result(problem: Problem, state: Any, run: _Run, feature_names: tuple[str, ...]) -> KMedoidsResult:
    k = len(run.medoids)
    if not np.array_equal(state.medoids, run.medoids):
        state.assign(run.medoids)
    loss = _defined(float(state.loss))
    labels = state.nearest
    sizes = np.bincount(labels, minlength=k)
    weights = problem.weights
    return KMedoidsResult(
        medoids=run.medoids,
        centers=None if problem.points is None else problem.points[run.medoids],
        labels=labels,
        loss=loss,
        cluster_loss=_by_cluster(labels, state.first if weights is None else state.first * weights, k),
        sizes=sizes.astype(np.int64),
        cluster_weights=_by_cluster(labels, weights, k),
        n_iter=run.n_iter,
        n_swap=run.n_swap,
        converged=run.converged,
        history=tuple(run.steps),
        feature_names=feature_names,
    )
