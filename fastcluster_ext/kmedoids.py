"""k-medoids: k of the points as centers, so that the sum of dissimilarities to the nearest of them is small."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext._kmedoids.methods import METHODS
from fastcluster_ext._kmedoids.problem import Floats, Indices, Problem, defined, problem_of
from fastcluster_ext._kmedoids.runs import Callback, KMedoidsStep, Run, Settings
from fastcluster_ext._kmedoids.starts import chosen_init, given_medoids
from fastcluster_ext._printing import aligned, table, vector
from fastcluster_ext._random import RandomState, uniforms_from
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array, check_integer, check_option
from fastcluster_ext.validity import ClusterInfo, cluster_info

__all__ = ["KMedoidsResult", "KMedoidsStep", "kmedoids"]

_PRINTED_CLUSTERS, _PRINTED_FEATURES = 20, 10


@dataclass(frozen=True, repr=False, eq=False)
class KMedoidsResult:
    """What `kmedoids` found. Printed, it shows what R prints of its `pam`, or of its `clara`.

    What is printed as objective function is the average dissimilarity at the start ("build") and at the end ("swap").

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
    start_loss : float
        The same at the start of the run that was kept, or after the first sample (clara).
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
    sample : (m,) int64 array or None
        Of "clara", the rows of the sample that the medoids were found in (R's ``sample``).
    info : ClusterInfo or None
        What R calls ``clusinfo``, ``isolation`` and ``silinfo``, if ``info=True``.
    """

    medoids: Indices
    centers: Array | None
    labels: npt.NDArray[np.int32]
    loss: float
    start_loss: float
    cluster_loss: Floats
    sizes: npt.NDArray[np.int64]
    cluster_weights: Floats
    n_iter: int
    n_swap: int
    converged: bool
    history: tuple[KMedoidsStep, ...] = ()
    feature_names: tuple[str, ...] = field(default=())
    sample: Indices | None = None
    info: ClusterInfo | None = None

    def __repr__(self) -> str:
        """Show what R's ``print.pam`` shows, or ``print.clara`` of what a sample has found; numbered from 0."""
        k = len(self.medoids)
        shown = slice(min(k, _PRINTED_CLUSTERS))
        columns = {"ID": list(map(str, self.medoids[shown]))}
        if self.centers is not None:
            names = self.feature_names or tuple(f"[{i}]" for i in range(self.centers.shape[1]))
            columns |= {name: aligned(self.centers[shown, i]) for i, name in enumerate(names[:_PRINTED_FEATURES])}
            if len(names) > _PRINTED_FEATURES:
                columns["..."] = [""] * len(columns["ID"])
        medoids = ["Medoids:", *table(columns), *(["..."] if k > _PRINTED_CLUSTERS else [])]
        total = float(self.cluster_weights.sum())
        start, end = aligned(np.array([self.start_loss, self.loss]) / total)
        if self.sample is None:
            width = max(len(end), len("build"))
            lines = [
                "Clustering vector:",
                *vector(self.labels),
                "Objective function:",
                f"{'build':>{width}} {'swap':>{width}}",
                f"{start:>{width}} {end:>{width}}",
            ]
        else:
            lines = [
                f"Objective function: {end}",
                "Clustering vector:",
                *vector(self.labels),
                f"Cluster sizes: {' '.join(map(str, self.sizes[shown]))}{' ...' if k > _PRINTED_CLUSTERS else ''}",
                "Best sample:",
                *vector(self.sample),
            ]
        count, unit = (self.n_swap, "swap") if self.sample is None else (self.n_iter, "sample")
        ended = f"{'Converged' if self.converged else 'Stopped'} after {count} {unit}{'s' if count != 1 else ''}"
        return "\n".join([*medoids, *lines, f"{ended}, sum of dissimilarities {self.loss:.7g}"])


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
    info: bool = False,
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
        Samples are drawn by weight: a point of weight 0 is in none, a heavy one counts as often as it is drawn.
    init : {"auto", "build", "random", "k-medoids++", "lab", "sample", "first"} or (k,) array-like of int
        "build": the best first medoid, then the best one more, as in PAM, O(n^2 k). "k-medoids++": drawn far apart,
        the best of ``2 + int(log(k))`` at each step. "lab": as build, on a new sample of ``10 + sqrt(n)`` points at
        each step. "sample": the medoids that fasterpam finds for 2048 points, drawn evenly by weight, then for four
        times as many, and so on. "first": the first k points of positive weight. An array gives the rows of the
        medoids. "auto" is "build" for "pam", "random" for "clarans", and "k-medoids++" for the others, or "sample" for
        them if there are more than 8192 points.
    n_init : int
        Number of runs from different starts, of which the one of least loss is returned. Given medoids are run once.
    max_iter : int
        Most passes, swaps (pam, fastpam1) or iterations (alternate) of one run. 0 only assigns points to the start.
    n_samples, sample_size : int
        Of "clara" and "onebatch": how many samples (clara), and of how many points, by default ``max(1000, 10 k)``
        (clara; the best medoids so far are among them, as in R) and ``max(100 log(k n), 4 k)`` (onebatch).
    num_local, max_neighbor : int
        Of "clarans": how many local searches, and after how many neighbors that are no better one ends; by default
        the larger of 250 and 1.25 % of all ``k (n - k)``.
    sample_weight : (n,) array-like, optional
        Weights, not negative, not all zero: a point of weight 3 counts as three equal points, and one of weight 0,
        which gets a label, as none: it only becomes a medoid if `init` names it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Source of randomness. An int gives the same result at every call.
    n_threads : int, optional
        Number of threads; by default OpenMP's, capped by the CPUs this process may use. Never changes a result.
    history : bool
        Keep medoids, labels and loss of the start and after every swap.
    callback : callable, optional
        Called with a `KMedoidsStep` for the start and after every swap; a true return value stops the run there.
    info : bool
        Find out diameter, separation, isolation and silhouettes of the clusters as well; O(n^2 p).

    Returns
    -------
    KMedoidsResult

    Raises
    ------
    TypeError, ValueError
        Naming the argument: X of the wrong shape, not finite, or not a matrix of dissimilarities; k less than 1 or more
        than the number of (distinct) points of positive weight; medoids given twice; unknown names; weights
        negative or all zero.
    FloatingPointError
        If the metric is undefined for some points, as the cosine distance of a zero vector is.

    Notes
    -----
    From points no n x n matrix is ever stored: distances are computed where they are needed, in float64, and for
    Manhattan, Euclidean, squared Euclidean and Chebyshev distances most are ruled out before, by the distance to a box
    around neighboring points. Time: O(n^2) a pass of fasterpam (at memory speed for a matrix), O(n) to O(n k) a swap;
    memory: O(n p), or O(n) beside a matrix. Differences are squared as they are: Euclidean distances below 1e-154 lose
    digits and below 1e-162 are 0, as SciPy's are; rescale such data.

    Sources: L. Kaufman and P. J. Rousseeuw, "Finding Groups in Data", 1990 (PAM, CLARA); R. T. Ng and J. Han, IEEE
    TKDE 14(5), 2002 (CLARANS); E. Schubert and P. J. Rousseeuw, Information Systems 101, 2021 (FastPAM1, FasterPAM,
    LAB, faster CLARA and CLARANS); A. de Mathelin et al., "OneBatchPAM", AAAI 2025.

    Examples
    --------
    >>> from fastcluster_ext import kmedoids
    >>> X = [[8, 7], [3, 7], [4, 9], [9, 6], [8, 5], [5, 8], [7, 3], [8, 4], [7, 5], [4, 5]]
    >>> kmedoids(X, 2, init=[9, 4], method="pam")
    Medoids:
         ID [0] [1]
    [0,]  1   3   7
    [1,]  4   8   5
    Clustering vector:
    [0] 1 0 0 1 1 0 1 1 1 0
    Objective function:
    build  swap
      2.0   1.8
    Converged after 1 swap, sum of dissimilarities 18
    """
    threads = resolve_threads(n_threads)
    check_option(method, "method", tuple(METHODS))
    k = check_integer(k, "k", minimum=1, maximum=np.iinfo(np.int32).max - 1)
    problem = problem_of(X, metric, sample_weight, threads)
    given = given_medoids(init, k, problem)
    settings = Settings(
        init=chosen_init(init, method, problem.n),
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
    best: Run | None = None
    for _ in range(runs):
        run = METHODS[method](problem, state, k, given, settings)
        if best is None or run.loss < best.loss:
            best = run
    assert best is not None
    return _result(
        problem, state, best, tuple(map(str, getattr(X, "columns", ()))) if problem.points is not None else (), info
    )


def _by_cluster(labels: npt.NDArray[np.int32], values: Floats, k: int) -> Floats:
    """Return the sum of values by cluster."""
    return np.bincount(labels, values, minlength=k).astype(np.float64)


def _result(problem: Problem, state: Any, run: Run, feature_names: tuple[str, ...], info: bool) -> KMedoidsResult:
    k = len(run.medoids)
    if np.array_equal(state.medoids[: state.k], run.medoids):
        loss, labels, distances = float(state.loss), state.nearest, state.first
    else:
        labels, distances = np.empty(problem.n, dtype=np.int32), np.empty(problem.n)
        loss = state.loss_of(run.medoids, labels, distances)
    sizes = np.bincount(labels, minlength=k)
    weights = problem.weights
    return KMedoidsResult(
        medoids=run.medoids,
        centers=None if problem.points is None else problem.points[run.medoids],
        labels=labels,
        loss=defined(loss),
        start_loss=run.start_loss,
        cluster_loss=_by_cluster(labels, distances if weights is None else distances * weights, k),
        sizes=sizes.astype(np.int64),
        cluster_weights=sizes.astype(np.float64) if weights is None else _by_cluster(labels, weights, k),
        n_iter=run.n_iter,
        n_swap=run.n_swap,
        converged=run.converged,
        history=tuple(run.steps),
        feature_names=feature_names,
        sample=run.sample,
        info=_info(problem, labels, distances, k) if info else None,
    )


def _info(problem: Problem, labels: npt.NDArray[np.int32], to_medoids: Floats, k: int) -> ClusterInfo:
    data = problem.matrix if problem.points is None else problem.points
    metric = "precomputed" if problem.metric is None else problem.metric.name
    assert data is not None
    return cluster_info(data, labels, to_medoids, k, metric, problem.weights, problem.threads)
