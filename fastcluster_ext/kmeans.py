"""k-means: points to k clusters so that the sum of squared distances to the cluster means is small."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext._grouping import groupable
from fastcluster_ext._kmeans import lloyd, transfer
from fastcluster_ext._kmeans.many import in_threads, most_rows, parts, solve_small
from fastcluster_ext._kmeans.metrics import METRICS
from fastcluster_ext._kmeans.problem import Problem, check_distinct
from fastcluster_ext._kmeans.result import Callback, Floats, KMeansResult, KMeansStep
from fastcluster_ext._kmeans.runs import LABELS, Run, Settings
from fastcluster_ext._kmeans.search import EXPECTED_ITERATIONS
from fastcluster_ext._kmeans.seeding import INITS, draw_seeds, seeds, trials_of
from fastcluster_ext._random import RandomState, Uniforms, uniforms_from
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array, as_points, as_weights, check_integer, check_option, check_real

__all__ = ["Callback", "Floats", "KMeansResult", "KMeansStep", "kmeans", "kmeans_many", "kmeans_plusplus"]

_ALGORITHMS: dict[str, Callable[[Problem, Floats, Settings], Run]] = {
    "auto": lloyd.run,
    "lloyd": lloyd.run,
    "forgy": lloyd.run,
    "macqueen": transfer.macqueen,
    "hartigan": transfer.hartigan,
    "hartigan-wong": transfer.hartigan_wong,
}
_MOST_ITERATIONS = 2**62  # what the kernel can count to; nobody will see it
_MOST_TRIALS = 1024
# Distances times features of a problem: below, threads wait for the interpreter's lock more than they compute. Measured
# on two cores: 200 x 2 points, k = 5 (2000), take 0.6 times as long in one thread; 3000 x 16, k = 16, 1.6 times.
_LEAST_WORK_FOR_THREADS = 50_000
# Values of a problem, and times centers, up to which the kernel for many small problems takes it: an iteration is then
# at most 0.1 ms, and what a call costs besides, 0.15 ms, worth saving.
_MOST_SMALL_VALUES = 2**16
_MOST_SMALL_WORK = 2**18


def kmeans(
    X: npt.ArrayLike,
    k: int,
    *,
    algorithm: str = "auto",
    metric: str = "euclidean",
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
    algorithm : {"auto", "lloyd", "forgy", "macqueen", "hartigan", "hartigan-wong"}
        "lloyd" assigns all points, then moves all centers; "auto" and, as in R, "forgy" are the same. The others move
        one point at a time, and the centers with it: "macqueen" to the nearest center, "hartigan" wherever the inertia
        falls most, and "hartigan-wong", R's default, by the two stages of AS 136. The last two end where no single
        point can move and lower the inertia, which are some of the places where Lloyd's ends, and mostly better ones.
        R's names, in capitals or not.
    metric : {"euclidean", "manhattan", "cosine"}
        What the inertia adds up, and where centers are: "euclidean", squared distances and means; "manhattan", sums of
        absolute differences and weighted medians of every feature (k-medians), also called "cityblock"; "cosine",
        ``1 - cos`` and directions of length 1 (spherical k-means). The last two by Lloyd's algorithm only.
    init : {"k-means++", "random", "random-partition", "ward"} or (k, p) array-like
        "k-means++" draws seeds far apart, the best of ``2 + int(log(k))`` candidates at each step (as scikit-learn
        does), by Euclidean distance, for "cosine" of the points scaled to length 1; "random" takes k distinct points at
        random (Forgy); "random-partition" takes the means of k random clusters (Hartigan); "ward" cuts Ward's tree of
        the (distinct) points into k clusters and takes their means, the same at every call: as good as several
        restarts, fast up to about eight features, for "euclidean" only; an array gives the centers.
    n_init : int or "auto"
        Number of runs from different seeds, of which the one of least inertia is returned. "auto" is 1 for "k-means++"
        and 10 for the two random ones. Given centers, and "ward", are run once. R's ``nstart``.
    max_iter : int
        Most iterations of one run. R's ``iter.max``, which is 10 there.
    tol : float
        A run has converged when the squared movements of all centers add up to no more than `tol` times the mean
        variance of the features. 0 iterates until the centers stand still. The algorithms that move single points take
        no notice of it: they end when none moves.
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
        number of distinct points (of positive weight); weights negative, not finite, or all zero; a wrong shape; a row
        of zeros, which has no cosine; an algorithm that does not know the metric.

    Notes
    -----
    Labels are those of a float64 brute-force search, also for float32 data far from the origin, and always those of
    the returned centers. A cluster that becomes empty is moved onto the point that costs most (of equals, the first in
    sorted order). Sums are accumulated in float64 in an order that does not depend on the number of threads. Long runs
    over many points and centers of up to eight features first order the points by a k-d tree, which can change the last
    bits of sums of floating-point data; the choice depends on the shape of X, `k`, `max_iter` and `n_init`.

    uint8 and uint16 rows of at most 64 bits (pixels) are counted first where that pays, and the algorithm runs on the
    distinct rows with their counts. With given centers the result is that of running it on all rows; seeds are drawn
    among the distinct rows, in ascending order, in proportion to their counts.

    "hartigan-wong" from given centers goes the way of R's `kmeans`, to the same labels and in as many iterations, but
    for what R calls errors: an empty cluster at the start is refilled, and there is no limit to quick-transfer steps.
    Equal rows that were counted, and a point of weight w, move as one; n / (n - w) and n / (n + w) then stand for R's
    n / (n - 1) and n / (n + 1), and no cluster is ever left without a point.

    Time O(n k p) an iteration on the (distinct) points, at most: where it pays, centers that cannot be nearest are left
    out for many points at once, by boxes of a k-d tree (few columns) or balls of points that shared a label, or for
    single points by bounds. Memory O(n) for the labels, beyond that O(k p), and a copy of the points where they are put
    into boxes or balls (of balls at most 2 GiB), or 12 + k / 4 bytes a point of bounds; 28 bytes a (distinct) point
    where single points move, and for "hartigan-wong" another 10 + 4 p, but no more than 65 MB.
    Source: S. P. Lloyd, IEEE Trans. Inf. Theory 28(2), 1982; D. Arthur and S. Vassilvitskii, SODA 2007; J. B. MacQueen,
    5th Berkeley Symposium, 1967; J. A. Hartigan, "Clustering Algorithms", 1975; J. A. Hartigan and M. A. Wong, "AS
    136", Applied Statistics 28(1), 1979; N. Slonim, E. Aharoni and K. Crammer, IJCAI 2013; I. S. Dhillon and D. S.
    Modha, "Concept decompositions for large sparse text data using clustering", Machine Learning 42, 2001.

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
    plan = _plan(k, points.shape[1], algorithm, metric, init, n_init, max_iter, tol, history, callback)
    return _cluster(points, weights, plan, uniforms_from(random_state), threads, tuple(map(str, _names(X))))


def kmeans_many(
    Xs: Sequence[npt.ArrayLike] | npt.ArrayLike,
    k: int,
    *,
    offsets: npt.ArrayLike | None = None,
    algorithm: str = "auto",
    metric: str = "euclidean",
    init: str | Sequence[npt.ArrayLike] | npt.ArrayLike = "k-means++",
    n_init: int | str = "auto",
    max_iter: int = 300,
    tol: float = 1e-4,
    sample_weight: Sequence[npt.ArrayLike] | npt.ArrayLike | None = None,
    random_state: RandomState = None,
    n_threads: int | None = None,
) -> list[KMeansResult]:
    """Cluster many independent sets of points, each into k clusters, a thread for each at a time.

    Parameters
    ----------
    Xs : sequence of (n_i, p_i) array-likes, or (n, p) array-like with `offsets`
        The problems.
    k : int
        Number of clusters of every problem.
    offsets : (m + 1,) integers, optional
        From 0 to n, increasing: problem i is the rows from ``offsets[i]`` to ``offsets[i + 1]`` of the one array `Xs`.
    algorithm, metric, n_init, max_iter, tol
        As for `kmeans`.
    init : {"k-means++", "random", "random-partition", "ward"} or sequence of m (k, p_i) array-likes
        As for `kmeans`; given centers, those of each problem.
    sample_weight : sequence of m (n_i,) array-likes, or (n,) array-like with `offsets`, optional
        Weights of each problem's points.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Source of randomness, from which problem i gets a stream of its own.
    n_threads : int, optional
        Number of problems that are worked on at the same time, where they are large enough. Never changes a result.

    Returns
    -------
    list of KMeansResult
        Those of ``kmeans(Xs[i], k, ..., random_state=numpy.random.default_rng([random_state, i]))``, for an int.

    Raises
    ------
    TypeError, ValueError
        As for `kmeans`; the message begins with the number of the problem.

    Notes
    -----
    Every problem is solved by one thread, from beginning to end, so a single large one should rather be given to
    `kmeans`. Small problems that are NumPy arrays are solved together by one kernel (Lloyd's algorithm, one run from
    given centers or those of "k-means++"). Time that of the problems, memory that of their results.

    Examples
    --------
    >>> from fastcluster_ext import kmeans_many
    >>> results = kmeans_many([[[0.0], [1.0], [9.0]], [[5.0], [7.0], [20.0], [22.0]]], 2, random_state=0)
    >>> [result.inertia for result in results]
    [0.5, 4.0]
    """
    threads = resolve_threads(n_threads)
    problems = parts(Xs, offsets, "Xs")
    m = len(problems)
    weights = [None] * m if sample_weight is None else parts(sample_weight, offsets, "sample_weight")
    starts = [init] * m if isinstance(init, str) else parts(init, None, "init")
    for name, values in (("sample_weight", weights), ("init", starts)):
        if len(values) != m:
            raise ValueError(f"{name} must have one entry for each of the {m} problems, got {len(values)}")
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, (bool, np.bool_)):
        uniforms_from(random_state)  # raises if it is negative
        seed = int(random_state)
    else:
        seed = int(uniforms_from(random_state)(1)[0] * 2**53)

    def plan_of(i: int, p: int) -> _Plan:
        return _plan(k, p, algorithm, metric, starts[i], n_init, max_iter, tol, False, None)

    def uniforms_of(i: int) -> Uniforms:
        return uniforms_from(np.random.default_rng([seed, i]))

    def solve(i: int) -> KMeansResult:
        if (done := small[i]) is not None:
            return done
        points = as_points(problems[i])
        own = as_weights(weights[i], len(points))
        return _cluster(
            points, own, plan_of(i, points.shape[1]), uniforms_of(i), 1, tuple(map(str, _names(problems[i])))
        )

    small: list[KMeansResult | None] = [None] * m
    if m > 1:
        _solve_small(problems, weights, plan_of, uniforms_of, threads, small)
    rest = [problem for problem, done in zip(problems, small, strict=True) if done is None]
    work = k * sum(float(np.size(values)) for values in rest)
    return in_threads(solve, m, min(threads, m) if work > len(rest) * _LEAST_WORK_FOR_THREADS else 1)


def _solve_small(
    problems: list[Any],
    weights: list[Any],
    plan_of: Callable[[int, int], _Plan],
    uniforms_of: Callable[[int], Uniforms],
    threads: int,
    results: list[KMeansResult | None],
) -> None:
    """Solve small and simple problems by one kernel; what it does not know, and errors, is left to others."""
    chosen, points, own, given, drawn = [], [], [], [], []
    plan: _Plan | None = None
    drawing = False
    draws = 0
    most: dict[int, int] = {}  # rows, by the number of columns
    for i, problem in enumerate(problems):
        try:
            if not isinstance(problem, np.ndarray) or problem.ndim != 2 or problem.size > _MOST_SMALL_VALUES:
                continue
            # Given centers differ from problem to problem; everything else is the same.
            if plan is None or not drawing:
                plan = plan_of(i, problem.shape[1])
                drawing, draws = plan.given is None, plan.k * trials_of(plan.k)
            if _ALGORITHMS[plan.algorithm] is not lloyd.run or plan.metric != "euclidean" or plan.runs > 1:
                return
            if drawing and plan.init != "k-means++":
                return
            n, p = problem.shape
            if p not in most:
                most[p] = most_rows(plan.k, p)
            if n * p * plan.k > _MOST_SMALL_WORK or n > most[p]:
                continue
            X = as_points(problem)
            if groupable(X):
                continue
            w = as_weights(weights[i], n)
        except (TypeError, ValueError):
            continue
        chosen.append(i)
        points.append(X)
        own.append(w)
        if drawing:
            drawn.append(uniforms_of(i)(draws))
        else:
            assert plan.given is not None
            given.append(plan.given)
    if plan is None:
        return
    for i, result in zip(chosen, solve_small(points, own, plan.k, plan.settings, given, drawn, threads), strict=True):
        results[i] = result


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
    Points take room in the order of their rows, or, where 65 536 or more of up to four features are drawn from many
    times, in that of a k-d tree; what is far from a candidate is then left out, which changes no draw.

    Time O(n k p n_local_trials), about O(n p log(k) n_local_trials) with a tree; memory O(n). Source: D.
    Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.

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
    k = check_integer(k, "k", minimum=1, maximum=np.iinfo(LABELS).max)
    trials = (
        None
        if n_local_trials is None
        else check_integer(n_local_trials, "n_local_trials", minimum=1, maximum=_MOST_TRIALS)
    )
    uniforms = uniforms_from(random_state)
    check_distinct(points, weights, k)
    return draw_seeds(points, weights, k, uniforms, threads, trials)


@dataclass(frozen=True, eq=False)
class _Plan:
    """The arguments of `kmeans`, checked, without the data."""

    k: int
    algorithm: str
    metric: str
    init: str
    given: Floats | None
    runs: int
    settings: Settings


def _plan(
    k: int,
    p: int,
    algorithm: str,
    metric: str,
    init: str | npt.ArrayLike,
    n_init: int | str,
    max_iter: int,
    tol: float,
    history: bool,
    callback: Callback | None,
) -> _Plan:
    # R writes "Hartigan-Wong"; and `pdist` knows Manhattan distances by SciPy's name.
    algorithm = algorithm.lower() if isinstance(algorithm, str) else algorithm
    check_option(algorithm, "algorithm", tuple(_ALGORITHMS))
    metric = "manhattan" if isinstance(metric, str) and metric == "cityblock" else metric
    check_option(metric, "metric", METRICS)
    if metric != "euclidean" and _ALGORITHMS[algorithm] is not lloyd.run:
        raise ValueError(f"algorithm must be 'auto' or 'lloyd' with metric={metric!r}, got {algorithm!r}")
    k = check_integer(k, "k", minimum=1, maximum=np.iinfo(LABELS).max)
    max_iter = min(check_integer(max_iter, "max_iter", minimum=1), _MOST_ITERATIONS)
    tol = check_real(tol, "tol", minimum=0.0)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, got {type(callback).__name__}")
    given = _given_centers(init, k, p)
    if metric == "cosine" and given is not None and not given.any(axis=1).all():
        raise ValueError(f"init holds only zeros at row {int(given.any(axis=1).argmin())}; it has no direction")
    drawn = given is None and not (isinstance(init, str) and init == "ward")
    if metric != "euclidean" and given is None and not drawn:
        raise ValueError(f"init must not be 'ward' with metric={metric!r}: Ward's tree is one of Euclidean distances")
    runs = _number_of_runs(n_init, init, drawn)
    settings = Settings(max_iter, tol, history, callback)
    return _Plan(k, algorithm, metric, init if isinstance(init, str) else "", given, runs, settings)


def _cluster(
    points: Array, weights: Floats | None, plan: _Plan, uniforms: Uniforms, threads: int, names: tuple[str, ...] = ()
) -> KMeansResult:
    """Return the best of the runs."""
    assignments = EXPECTED_ITERATIONS if _ALGORITHMS[plan.algorithm] is lloyd.run else 1
    iterations = plan.runs * min(plan.settings.max_iter, assignments)
    problem = Problem(points, weights, plan.k, iterations, threads, plan.metric)
    best: Run | None = None
    for _ in range(plan.runs):
        centers = plan.given if plan.given is not None else seeds(problem, plan.init, uniforms)
        run = _ALGORITHMS[plan.algorithm](problem, centers.copy(), plan.settings)
        if best is None or run.inertia < best.inertia:
            best = run
    assert best is not None
    return _result(problem, best, names)


def _names(X: object) -> Any:
    """Return the column names of a DataFrame."""
    return getattr(X, "columns", ())


def _given_centers(init: str | npt.ArrayLike, k: int, p: int) -> Floats | None:
    if isinstance(init, str):
        check_option(init, "init", INITS)
        return None
    if callable(init):
        raise TypeError(f"init must be one of {INITS} or a {k} x {p} array of centers, not a function")
    centers = as_points(init, "init")
    if centers.shape != (k, p):
        raise ValueError(f"init must have shape ({k}, {p}), one row for each center, got {centers.shape}")
    return np.ascontiguousarray(centers, dtype=np.float64)


def _number_of_runs(n_init: int | str, init: str | npt.ArrayLike, drawn: bool) -> int:
    if isinstance(n_init, str):
        check_option(n_init, "n_init", ("auto",))
        return 10 if drawn and init != "k-means++" else 1
    runs = check_integer(n_init, "n_init", minimum=1)
    if not drawn and runs > 1:
        warnings.warn(f"init gives the centers: one run instead of n_init={runs}", RuntimeWarning, stacklevel=4)
        return 1
    return runs


def _result(problem: Problem, run: Run, feature_names: tuple[str, ...]) -> KMeansResult:
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
        metric=problem.metric,
    )
