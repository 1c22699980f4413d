"""Validity: how good a clustering is, how alike two are, and how many clusters there are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels
from fastcluster_ext._kmedoids.problem import as_dissimilarities
from fastcluster_ext._memory import allocate
from fastcluster_ext._metrics import resolve_metric
from fastcluster_ext._printing import aligned, table, vector
from fastcluster_ext._random import RandomState, uniforms_from
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array, as_points, as_weights, check_integer
from fastcluster_ext.distance import cdist
from fastcluster_ext.kmeans import KMeansResult, kmeans

__all__ = [
    "ClusterInfo",
    "ClusterSpread",
    "Gap",
    "NumberOfClusters",
    "adjusted_rand_score",
    "calinski_harabasz_score",
    "choose_k",
    "cluster_info",
    "cluster_spread",
    "contingency",
    "davies_bouldin_score",
    "gap_statistic",
    "medoid_silhouette_score",
    "rand_score",
    "silhouette_samples",
    "silhouette_score",
    "simplified_silhouette_samples",
]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

# Points in a panel of the kernels (METRIC_PANEL of src/common/metrics.h).
_PANEL = 32
# Rows whose sums are taken at once where NumPy does it; bounds the memory to this many rows x clusters or x points.
_BLOCK = 1024


def _codes(labels: Any, n: int, name: str = "labels") -> tuple[Codes, int]:
    """Labels as 0 ... k - 1, and k."""
    values = np.asarray(labels)
    if values.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one label for each point, got {values.shape}")
    try:
        distinct, codes = np.unique(values, return_inverse=True)
    except TypeError as error:
        raise TypeError(f"{name} must be of one kind, so that they can be put in order: {error}") from None
    return codes.reshape(-1).astype(np.int32), len(distinct)


def _check_clusters(codes: Codes, weights: Floats | None, least: int = 2) -> None:
    """Refuse too few or too many clusters, of points of positive weight; a point of weight 3 is three."""
    n = len(codes) if weights is None else max(len(codes), math.ceil(float(weights.sum())))
    k = len(np.unique(codes if weights is None else codes[weights > 0]))
    if not least <= k <= max(n - 1, least - 1):
        raise ValueError(f"labels must hold from {least} to {n - 1} clusters (n - 1), got {k}")


@dataclass(frozen=True, eq=False)
class _Neighborhood:
    """What the silhouette and its relatives are made of, for each point."""

    own: Floats
    other: Floats
    neighbor: Codes
    farthest: Floats | None
    nearest: Floats | None


def _neighborhood(
    X: Any, codes: Codes, k: int, metric: str, weights: Floats | None, threads: int, extremes: bool = False
) -> _Neighborhood:
    """Sum of distances to the own cluster, least mean distance to another; farthest of the own, nearest of others."""
    totals = np.bincount(codes, weights, minlength=k).astype(np.float64)
    own, other, neighbor = np.empty(len(codes)), np.empty(len(codes)), np.empty(len(codes), dtype=np.int32)
    farthest = np.empty(len(codes)) if extremes else None
    nearest = np.empty(len(codes)) if extremes else None

    def take(rows: npt.NDArray[np.int64], sums: Floats) -> None:
        mine = codes[rows]
        own[rows] = sums[np.arange(len(rows)), mine]
        with np.errstate(divide="ignore", invalid="ignore"):
            means = np.where(totals > 0, sums / totals, np.inf)
        means[np.arange(len(rows)), mine] = np.inf
        neighbor[rows] = means.argmin(axis=1)
        other[rows] = means[np.arange(len(rows)), neighbor[rows]]

    order = np.argsort(codes, kind="stable")
    if metric == "precomputed":
        share = np.zeros((len(codes), k))
        share[np.arange(len(codes)), codes] = 1.0 if weights is None else weights
        step = max(1, _BLOCK * 1024 // len(codes))
        for start in range(0, len(codes), step):
            rows = np.arange(start, min(start + step, len(codes)))
            distances = X[rows].astype(np.float64)
            take(rows, distances @ share)
            if farthest is not None and nearest is not None:
                same = codes[rows][:, np.newaxis] == codes
                farthest[rows] = np.where(same, distances, 0.0).max(axis=1)
                nearest[rows] = np.where(same, np.inf, distances).min(axis=1)
        return _Neighborhood(own, other, neighbor, farthest, nearest)
    resolved = resolve_metric(metric)
    if resolved.name == "sqeuclidean" and not extremes:
        for rows, sums in _squared_sums(X, codes, k, weights):
            take(rows, sums)
        return _Neighborhood(own, other, neighbor, None, None)
    starts, counts, owner = _panels(np.bincount(codes, minlength=k))
    places = starts[:, np.newaxis] + np.arange(_PANEL)
    used = np.arange(_PANEL) < counts[:, np.newaxis]
    rows_of = order[np.where(used, places, 0)]
    weight_of = np.where(used, 1.0 if weights is None else weights[rows_of], 0.0)

    shape = used.shape
    found: list[npt.NDArray[Any]] = [np.empty(shape), np.empty(shape), np.empty(shape, dtype=np.int32)]
    if farthest is not None and nearest is not None:
        found += [np.zeros(shape), np.full(shape, np.inf)]
    sums = allocate((len(starts), k, _PANEL), np.float64, "sums of distances by cluster")
    sums[:] = 0.0
    _kernels.load("silhouettes").cluster_sums(
        np.ascontiguousarray(X[order]),
        starts,
        counts,
        owner,
        weight_of,
        totals,
        sums,
        *found,
        *([None] * (5 - len(found))),
        code=resolved.code,
        exponent=resolved.exponent,
        n_threads=threads,
    )
    for values, array in zip(found, (own, other, neighbor, farthest, nearest), strict=False):
        if array is not None:
            array[rows_of[used]] = values[used]
    if np.isnan(own).any():
        raise FloatingPointError("the metric is undefined for some of these points (its value is NaN)")
    return _Neighborhood(own, other, neighbor, farthest, nearest)


def _panels(sizes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Codes]:
    """First row, number of rows and cluster of each panel of points that are sorted by cluster."""
    panels = -(-sizes // _PANEL)
    owner = np.repeat(np.arange(len(sizes)), panels)
    begin = np.cumsum(sizes) - sizes
    within = np.arange(len(owner)) - (np.cumsum(panels) - panels)[owner]
    starts = begin[owner] + within * _PANEL
    counts = np.minimum(sizes[owner] - within * _PANEL, _PANEL)
    return starts.astype(np.intp), counts.astype(np.intp), owner.astype(np.int32)


def _squared_sums(points: Array, codes: Codes, k: int, weights: Floats | None) -> Any:
    """Yield sums of squared distances by cluster: W |x|^2 - 2 x . (sum of y) + sum of |y|^2, from a common center."""
    n, p = points.shape
    center = points.mean(axis=0, dtype=np.float64)
    share = np.ones(n) if weights is None else weights
    totals = np.bincount(codes, share, minlength=k)
    sums, squares = np.zeros((k, p)), np.zeros(k)
    for start in range(0, n, _BLOCK):
        block = points[start : start + _BLOCK].astype(np.float64) - center
        part, w = codes[start : start + _BLOCK], share[start : start + _BLOCK]
        np.add.at(sums, part, block * w[:, np.newaxis])
        squares += np.bincount(part, w * (block**2).sum(axis=1), minlength=k)
    for start in range(0, n, _BLOCK):
        block = points[start : start + _BLOCK].astype(np.float64) - center
        norms = (block**2).sum(axis=1)[:, np.newaxis]
        yield np.arange(start, start + len(block)), np.maximum(norms * totals - 2 * block @ sums.T + squares, 0.0)


def silhouette_samples(
    X: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    metric: str = "euclidean",
    sample_weight: npt.ArrayLike | None = None,
    n_threads: int | None = None,
) -> Floats:
    """Return the silhouette of every point: how much nearer its own cluster is than the next one.

    Parameters
    ----------
    X : (n, p) array-like, or (n, n) dissimilarities if ``metric="precomputed"``
        Points.
    labels : (n,) array-like
        Cluster of each point; from 2 to n - 1 distinct values of any kind.
    metric : str
        Any of this package's metrics, or "precomputed".
    sample_weight : (n,) array-like, optional
        Weights, not negative, not all zero: a point of weight 3 counts as three equal points.
    n_threads : int, optional
        Number of threads; never changes a result.

    Returns
    -------
    (n,) float64 array
        ``(b - a) / max(a, b)``, where a is the mean distance to the other points of the own cluster and b the least
        mean distance to the points of another; 0 in clusters of one point (of weight at most 1).

    Raises
    ------
    TypeError, ValueError
        Naming the argument: wrong shapes, values not finite, fewer than 2 or more than n - 1 clusters.

    Notes
    -----
    Exact, in float64. O(n^2 p) time; O(n k p) for squared Euclidean distances, which have a closed form. O(n p) memory.
    Source: P. J. Rousseeuw, "Silhouettes", J. Comput. Appl. Math. 20, 1987.

    Examples
    --------
    >>> from fastcluster_ext import silhouette_samples
    >>> silhouette_samples([[0.0], [1.0], [9.0], [10.0]], [0, 0, 1, 1]).round(3)
    array([0.895, 0.882, 0.882, 0.895])
    """
    threads = resolve_threads(n_threads)
    points = as_dissimilarities(X, threads) if metric == "precomputed" else as_points(X, n_threads=threads)
    n = len(points)
    codes, k = _codes(labels, n)
    weights = as_weights(sample_weight, n)
    _check_clusters(codes, weights)
    found = _neighborhood(points, codes, k, metric, weights, threads)
    return _silhouettes(found, codes, k, weights)


def _silhouettes(found: _Neighborhood, codes: Codes, k: int, weights: Floats | None) -> Floats:
    others = np.bincount(codes, weights, minlength=k)[codes] - 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        own = found.own / others
        values = (found.other - own) / np.maximum(own, found.other)
    return np.where((others > 0) & ~np.isnan(values), values, 0.0)


def silhouette_score(
    X: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    metric: str = "euclidean",
    sample_weight: npt.ArrayLike | None = None,
    n_threads: int | None = None,
) -> float:
    """Return the (weighted) mean silhouette of all points, exactly; see `silhouette_samples`.

    Examples
    --------
    >>> from fastcluster_ext import silhouette_score
    >>> round(silhouette_score([[0.0], [1.0], [9.0], [10.0]], [0, 0, 1, 1]), 3)
    0.889
    """
    values = silhouette_samples(X, labels, metric=metric, sample_weight=sample_weight, n_threads=n_threads)
    return float(np.average(values, weights=as_weights(sample_weight, len(values))))


def simplified_silhouette_samples(
    X: npt.ArrayLike, centers: npt.ArrayLike, labels: npt.ArrayLike, *, metric: str = "euclidean"
) -> Floats:
    """Return the silhouette with distances to centers in place of mean distances: O(n k p), not the silhouette itself.

    Parameters
    ----------
    X, labels, metric
        As for `silhouette_samples`, without "precomputed"; labels are rows of `centers`.
    centers : (k, p) array-like
        Centers, k at least 2.

    Examples
    --------
    >>> from fastcluster_ext import simplified_silhouette_samples
    >>> simplified_silhouette_samples([[0.0], [1.0], [9.0]], [[0.5], [9.0]], [0, 0, 1]).round(3)
    array([0.944, 0.938, 1.   ])
    """
    points, middles = as_points(X), as_points(centers, "centers")
    k = len(middles)
    codes = np.asarray(labels)
    if codes.shape != (len(points),) or codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= k:
        raise ValueError(f"labels must be {len(points)} integers from 0 to {k - 1}, rows of centers")
    if k < 2:
        raise ValueError("centers must be at least 2")
    distances = np.asarray(cdist(points, middles, metric), dtype=np.float64)
    rows = np.arange(len(points))
    own = distances[rows, codes]
    distances[rows, codes] = np.inf
    other = distances.min(axis=1)
    with np.errstate(invalid="ignore"):
        values = (other - own) / np.maximum(own, other)
    return np.where(np.isnan(values), 0.0, values)


def medoid_silhouette_score(
    X: npt.ArrayLike, medoids: npt.ArrayLike, *, metric: str = "manhattan", sample_weight: npt.ArrayLike | None = None
) -> float:
    """Return the mean of ``1 - d1 / d2``, d1 and d2 the distances to the nearest and second nearest medoid; O(n k p).

    Source: M. Van der Laan, K. Pollard and J. Bryan, J. Stat. Comput. Simul. 73, 2003. Where both are 0 the value is 1.

    Examples
    --------
    >>> from fastcluster_ext import medoid_silhouette_score
    >>> round(medoid_silhouette_score([[0.0], [1.0], [9.0]], [0, 2]), 4)
    0.9583
    """
    points = as_points(X)
    rows = np.asarray(medoids)
    if rows.ndim != 1 or len(rows) < 2 or rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(points):
        raise ValueError(f"medoids must be at least 2 rows of X, integers from 0 to {len(points) - 1}")
    two = np.partition(np.asarray(cdist(points, points[rows], metric), dtype=np.float64), 1, axis=1)
    with np.errstate(invalid="ignore"):
        values = np.where(two[:, 1] > 0, 1.0 - two[:, 0] / two[:, 1], 1.0)
    return float(np.average(values, weights=as_weights(sample_weight, len(points))))


@dataclass(frozen=True, eq=False)
class ClusterSpread:
    """How wide clusters are and how far apart, as R's ``pam`` reports in ``clusinfo`` and ``isolation``.

    Attributes
    ----------
    diameter : (k,) float64 array
        Largest distance of two points of the cluster.
    separation : (k,) float64 array
        Smallest distance of a point of the cluster to one of another; infinity if there is no other.
    isolation : (k,) array of str
        "L*" if the diameter is less than the separation; "L" if every point is nearer to all points of its cluster
        than to any other; "no" otherwise.
    """

    diameter: Floats
    separation: Floats
    isolation: npt.NDArray[np.str_]


def cluster_spread(
    X: npt.ArrayLike, labels: npt.ArrayLike, *, metric: str = "euclidean", n_threads: int | None = None
) -> ClusterSpread:
    """Return diameter, separation and isolation of every cluster. O(n^2 p) time, O(n p) memory.

    Parameters
    ----------
    X, metric, n_threads
        As for `silhouette_samples`.
    labels : (n,) array-like
        Cluster of each point; clusters are reported in ascending order of their labels.

    Examples
    --------
    >>> from fastcluster_ext import cluster_spread
    >>> spread = cluster_spread([[0.0], [1.0], [9.0], [13.0]], [0, 0, 1, 1])
    >>> spread.diameter, spread.separation
    (array([1., 4.]), array([8., 8.]))
    """
    threads = resolve_threads(n_threads)
    points = as_dissimilarities(X, threads) if metric == "precomputed" else as_points(X, n_threads=threads)
    codes, k = _codes(labels, len(points))
    return _spread(_neighborhood(points, codes, k, metric, None, threads, extremes=True), codes, k)


def _spread(found: _Neighborhood, codes: Codes, k: int) -> ClusterSpread:
    assert found.farthest is not None
    assert found.nearest is not None
    diameter, separation = np.zeros(k), np.full(k, np.inf)
    np.maximum.at(diameter, codes, found.farthest)
    np.minimum.at(separation, codes, found.nearest)
    loose = np.bincount(codes, found.farthest >= found.nearest, minlength=k)
    isolation = np.where(diameter < separation, "L*", np.where(loose == 0, "L", "no"))
    return ClusterSpread(diameter, separation, isolation)


@dataclass(frozen=True, repr=False, eq=False)
class ClusterInfo:
    """What R's ``pam`` tells of its clusters: ``clusinfo``, ``isolation`` and ``silinfo``; printed as R's ``summary``.

    Attributes
    ----------
    sizes : (k,) int64 array
        Number of points.
    max_dissimilarity, average_dissimilarity : (k,) float64 array
        Largest and (weighted) average dissimilarity of the points of the cluster to its medoid.
    diameter, separation, isolation : (k,) array
        As in `ClusterSpread`.
    silhouette : (n,) float64 array
        Silhouette of each point; NaN if there is one cluster only.
    neighbor : (n,) int32 array
        The cluster other than its own whose points are nearest on average to each point; its own if it is the only one.
    cluster_silhouette : (k,) float64 array
        (Weighted) average silhouette by cluster.
    average_silhouette : float
        (Weighted) average silhouette of all points.
    """

    sizes: npt.NDArray[np.int64]
    max_dissimilarity: Floats
    average_dissimilarity: Floats
    diameter: Floats
    separation: Floats
    isolation: npt.NDArray[np.str_]
    silhouette: Floats
    neighbor: Codes
    cluster_silhouette: Floats
    average_silhouette: float

    def __repr__(self) -> str:
        """Show what R's ``summary.pam`` adds to ``print.pam``, less the silhouettes of all points."""
        columns = {
            "size": list(map(str, self.sizes)),
            "max_diss": aligned(self.max_dissimilarity),
            "av_diss": aligned(self.average_dissimilarity),
            "diameter": aligned(self.diameter),
            "separation": aligned(self.separation),
        }
        isolated = {kind: np.flatnonzero(self.isolation == kind) for kind in ("L", "L*")}
        return "\n".join(
            [
                "Numerical information per cluster:",
                *table(columns),
                "",
                "Isolated clusters:",
                *(f" {kind}-clusters: {' '.join(map(str, of_it)) or 'none'}" for kind, of_it in isolated.items()),
                "",
                "Average silhouette width per cluster:",
                *vector(aligned(self.cluster_silhouette)),
                "Average silhouette width of total data set:",
                *vector(aligned([self.average_silhouette])),
            ]
        )


def cluster_info(
    points: Array, labels: Codes, to_medoids: Floats, k: int, metric: str, weights: Floats | None, threads: int
) -> ClusterInfo:
    """Return what is to be told of clusters about medoids; labels are 0 ... k - 1, arguments validated. O(n^2 p)."""
    found = _neighborhood(points, labels, k, metric, weights, threads, extremes=True)
    spread = _spread(found, labels, k)
    share = np.ones(len(labels)) if weights is None else weights
    totals = np.bincount(labels, share, minlength=k)
    values = _silhouettes(found, labels, k, weights) if k > 1 else np.full(len(labels), np.nan)
    farthest = np.zeros(k)
    np.maximum.at(farthest, labels, to_medoids)

    def average(of: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.bincount(labels, share * of, minlength=k) / totals

    return ClusterInfo(
        sizes=np.bincount(labels, minlength=k).astype(np.int64),
        max_dissimilarity=farthest,
        average_dissimilarity=average(to_medoids),
        diameter=spread.diameter,
        separation=spread.separation,
        isolation=spread.isolation,
        silhouette=values,
        neighbor=found.neighbor,
        cluster_silhouette=average(values),
        average_silhouette=float(np.average(values, weights=weights)),
    )


def contingency(
    labels_true: npt.ArrayLike, labels_pred: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None
) -> npt.NDArray[Any]:
    """Return the table of how many points have which pair of labels: int64, or float64 sums of weights.

    Rows are the distinct values of `labels_true`, columns those of `labels_pred`, both ascending. O(n log n).

    Examples
    --------
    >>> from fastcluster_ext import contingency
    >>> contingency([0, 0, 1, 1], ["a", "a", "a", "b"])
    array([[2, 0],
           [1, 1]])
    """
    true = np.asarray(labels_true)
    if true.ndim != 1 or len(true) == 0:
        raise ValueError(f"labels_true must be one-dimensional and not empty, got shape {true.shape}")
    rows, k = _codes(true, len(true), "labels_true")
    columns, m = _codes(labels_pred, len(true), "labels_pred")
    weights = as_weights(sample_weight, len(true))
    pairs = np.bincount(rows.astype(np.int64) * m + columns, weights, minlength=k * m).reshape(k, m)
    return pairs.astype(np.int64 if sample_weight is None else np.float64)


def _pairs(table: npt.ArrayLike) -> tuple[Any, Any, Any, Any]:
    """Pairs of points together in both, in the rows', in the columns' clustering, and all, as Python's integers."""
    values = np.asarray(table)
    if values.ndim != 2 or values.size == 0 or values.dtype.kind not in "iuf" or not values.min() >= 0:
        raise ValueError("table must be a two-dimensional contingency table of counts")
    if values.dtype.kind == "f" and not (np.isfinite(values) & (np.floor(values) == values)).all():
        raise ValueError("pairs of points are counted: table, or sample_weight, must hold whole numbers")
    exact = np.array([[int(value) for value in row] for row in values], dtype=object)

    def count(sizes: Any) -> Any:
        return (sizes * (sizes - 1)).sum() // 2

    return (
        count(exact),
        count(exact.sum(axis=1)),
        count(exact.sum(axis=0)),
        count(np.array([exact.sum()], dtype=object)),
    )


def _table(labels_true: Any, labels_pred: Any, table: Any, sample_weight: Any) -> npt.NDArray[Any]:
    if table is not None:
        if labels_true is not None or labels_pred is not None or sample_weight is not None:
            raise TypeError("table stands for the labels and their weights; give one or the other")
        return np.asarray(table)
    if labels_true is None or labels_pred is None:
        raise TypeError("labels_true and labels_pred are needed, or table")
    return contingency(labels_true, labels_pred, sample_weight=sample_weight)


def rand_score(
    labels_true: npt.ArrayLike | None = None,
    labels_pred: npt.ArrayLike | None = None,
    *,
    table: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> float:
    """Return the Rand index: the share of pairs of points on which two clusterings agree.

    Parameters
    ----------
    labels_true, labels_pred : (n,) array-like
        The two clusterings; the order does not matter.
    table : (k, m) array-like, optional
        Their `contingency`, in place of the labels.
    sample_weight : (n,) array-like, optional
        Whole numbers: a point of weight 3 counts as three points.

    Raises
    ------
    TypeError, ValueError
        Naming the argument: labels of unequal numbers; a table that does not hold counts; weights that are not whole.

    Notes
    -----
    Pairs are counted in integers of any size: right for any number of points. Source: W. M. Rand, JASA 66, 1971.

    Examples
    --------
    >>> from fastcluster_ext import rand_score
    >>> round(rand_score([0, 0, 1, 2], [0, 0, 1, 1]), 3)
    0.833
    """
    both, rows, columns, every = _pairs(_table(labels_true, labels_pred, table, sample_weight))
    return 1.0 if every == 0 else float((every + 2 * both - rows - columns) / every)


def adjusted_rand_score(
    labels_true: npt.ArrayLike | None = None,
    labels_pred: npt.ArrayLike | None = None,
    *,
    table: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> float:
    """Return the Rand index adjusted for chance: 1 for equal clusterings, 0 on average for random ones.

    Parameters and exactness as for `rand_score`. Source: L. Hubert and P. Arabie, J. Classification 2, 1985.

    Examples
    --------
    >>> from fastcluster_ext import adjusted_rand_score
    >>> round(adjusted_rand_score([0, 0, 1, 2], [0, 0, 1, 1]), 3)
    0.571
    """
    both, rows, columns, every = _pairs(_table(labels_true, labels_pred, table, sample_weight))
    # 2 (both * every - rows * columns) / ((rows + columns) * every - 2 * rows * columns), all exact.
    scale = (rows + columns) * every - 2 * rows * columns
    return 1.0 if scale == 0 else float(2 * (both * every - rows * columns) / scale)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Weights, means, sums of squared deviations and mean distances to the mean, by cluster."""

    weights: Floats
    means: Floats
    squares: Floats
    distances: Floats
    center: Floats


def _moments(X: Any, labels: Any, sample_weight: Any) -> _Moments:
    points = as_points(X)
    codes, k = _codes(labels, len(points))
    weights = as_weights(sample_weight, len(points))
    _check_clusters(codes, weights)
    share = np.ones(len(points)) if weights is None else weights
    if not share.all():
        # Points of weight 0, and clusters of nothing else, are as good as absent.
        counted = np.flatnonzero(share)
        points, share = points[counted], share[counted]
        codes, k = _codes(codes[counted], len(counted))
    totals = np.bincount(codes, share, minlength=k).astype(np.float64)
    shift = points[0].astype(np.float64)
    means = np.zeros((k, points.shape[1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        for i in range(points.shape[1]):
            sums = np.bincount(codes, share * (points[:, i].astype(np.float64) - shift[i]), minlength=k)
            means[:, i] = np.where(totals > 0, sums / totals, 0.0) + shift[i]
        deviations = np.zeros(len(points))
        for i in range(points.shape[1]):
            deviations += (points[:, i].astype(np.float64) - means[codes, i]) ** 2
        distances = np.bincount(codes, share * np.sqrt(deviations), minlength=k) / totals
    center = (means * totals[:, np.newaxis]).sum(axis=0) / totals.sum()
    squares = np.bincount(codes, share * deviations, minlength=k).astype(np.float64)
    return _Moments(totals, means, squares, distances, center)


def calinski_harabasz_score(
    X: npt.ArrayLike, labels: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Return the variance ratio: between clusters over within, each over its degrees of freedom; larger is better.

    Parameters as for `silhouette_samples`. O(n p). Source: T. Caliński and J. Harabasz, Comm. Statist. 3, 1974.

    Examples
    --------
    >>> from fastcluster_ext import calinski_harabasz_score
    >>> calinski_harabasz_score([[0.0], [1.0], [9.0], [10.0]], [0, 0, 1, 1])
    162.0
    """
    moments = _moments(X, labels, sample_weight)
    within = float(moments.squares.sum())
    between = float((moments.weights * ((moments.means - moments.center) ** 2).sum(axis=1)).sum())
    k, total = len(moments.weights), float(moments.weights.sum())
    return 1.0 if within == 0 else between * (total - k) / (within * (k - 1))


def davies_bouldin_score(
    X: npt.ArrayLike, labels: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None
) -> float:
    """Return the mean likeness of each cluster to the most alike other one; smaller is better, 0 the best.

    Parameters as for `silhouette_samples`. O(n p + k^2 p). Source: D. L. Davies and D. W. Bouldin, IEEE PAMI 1, 1979.

    Examples
    --------
    >>> from fastcluster_ext import davies_bouldin_score
    >>> round(davies_bouldin_score([[0.0], [1.0], [9.0], [10.0]], [0, 0, 1, 1]), 4)
    0.1111
    """
    moments = _moments(X, labels, sample_weight)
    apart = np.asarray(cdist(moments.means, moments.means, "euclidean"), dtype=np.float64)
    wide = moments.distances
    if np.allclose(wide, 0) or np.allclose(apart, 0):
        return 0.0
    apart[apart == 0] = np.inf
    return float(((wide[:, np.newaxis] + wide) / apart).max(axis=1).mean())


@dataclass(frozen=True, eq=False)
class Gap:
    """The gap statistic of several numbers of clusters.

    Attributes
    ----------
    ks : tuple of int
        The numbers of clusters.
    gap : (m,) float64 array
        Mean log inertia of reference data less that of X.
    error : (m,) float64 array
        Standard deviation of the references, times ``sqrt(1 + 1 / n_references)``.
    k : int
        The least k whose gap is at least the next one's less its error; the last of `ks` if there is none.
    """

    ks: tuple[int, ...]
    gap: Floats
    error: Floats
    k: int


def gap_statistic(
    X: npt.ArrayLike,
    ks: Iterable[int],
    *,
    n_references: int = 10,
    n_init: int = 3,
    sample_weight: npt.ArrayLike | None = None,
    random_state: RandomState = None,
    n_threads: int | None = None,
) -> Gap:
    """Compare the inertia of `kmeans` with that of points spread evenly over the box of X.

    Parameters
    ----------
    X, sample_weight, random_state, n_threads
        As for `kmeans`.
    ks : iterable of int
        Numbers of clusters.
    n_references : int
        How many times points are spread.
    n_init : int
        Runs of `kmeans` for each k, of X and of each reference.

    Returns
    -------
    Gap

    Notes
    -----
    O((n_references + 1) n_init) runs of k-means for each k; each uses all threads. Source: R. Tibshirani, G. Walther
    and T. Hastie, J. Royal Statistical Society B 63, 2001.

    Weights are those of the points spread as well, one for each row; rows without weight do not count at all, and a
    common factor of all weights changes nothing. But the gap of weights is not that of repeated rows: these are spread
    apart from each other, so that it is a gap to other references, of more points.

    Examples
    --------
    >>> from fastcluster_ext import gap_statistic
    >>> X = [[i / 10, 10 * j + i % 3] for j in range(2) for i in range(10)]
    >>> gap_statistic(X, range(1, 5), random_state=0).k
    2
    """
    threads = resolve_threads(n_threads)
    points, weights = _weighted_points(X, sample_weight, threads)
    numbers = _numbers(ks, len(points))
    n_references = check_integer(n_references, "n_references", minimum=1)
    uniforms = uniforms_from(random_state)
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)

    def log_inertias(data: Array) -> Floats:
        return np.array([_log(_fit(data, k, n_init, weights, uniforms, threads).inertia) for k in numbers])

    observed = log_inertias(points)
    references = np.array([log_inertias(low + uniforms(points.shape) * (high - low)) for _ in range(n_references)])
    gap = references.mean(axis=0) - observed
    error = references.std(axis=0) * math.sqrt(1 + 1 / n_references)
    chosen = next((k for i, k in enumerate(numbers[:-1]) if gap[i] >= gap[i + 1] - error[i + 1]), numbers[-1])
    return Gap(numbers, gap, error, chosen)


def _weighted_points(
    X: npt.ArrayLike, sample_weight: npt.ArrayLike | None, threads: int
) -> tuple[Array, Floats | None]:
    """Return the points that have a weight, and the weights."""
    points = as_points(X, n_threads=threads)
    weights = as_weights(sample_weight, len(points))
    if weights is None:
        return points, None
    return points[weights > 0], weights[weights > 0]


def _log(inertia: float) -> float:
    return math.log(max(inertia, np.finfo(float).tiny))


def _numbers(ks: Iterable[int], n: int) -> tuple[int, ...]:
    if not isinstance(ks, Iterable):
        raise TypeError(f"ks must be numbers of clusters, such as range(1, 9), got {ks!r}")
    numbers = tuple(check_integer(k, "ks", minimum=1, maximum=n) for k in ks)
    if not numbers or sorted(set(numbers)) != list(numbers):
        raise ValueError(f"ks must be ascending numbers of clusters, got {list(numbers)}")
    return numbers


def _fit(points: Array, k: int, n_init: int, weights: Any, uniforms: Any, threads: int) -> KMeansResult:
    seed = int(uniforms(1)[0] * 2**32)
    return kmeans(points, k, n_init=n_init, sample_weight=weights, random_state=seed, n_threads=threads)


@dataclass(frozen=True, repr=False, eq=False)
class NumberOfClusters:
    """What several indices say of the number of clusters; printed as a table.

    Attributes
    ----------
    ks : tuple of int
        The numbers of clusters.
    inertia, explained, silhouette, calinski_harabasz, davies_bouldin, gap, gap_error : (m,) float64 array
        The index for each; NaN where it does not exist (k = 1).
    suggested : dict
        What each index suggests, by its name; "elbow" is the k farthest from the line between the ends of the
        inertia's curve, which always exists and means little alone.
    """

    ks: tuple[int, ...]
    inertia: Floats
    explained: Floats
    silhouette: Floats
    calinski_harabasz: Floats
    davies_bouldin: Floats
    gap: Floats
    gap_error: Floats
    suggested: dict[str, int] = field(default_factory=dict)

    @property
    def k(self) -> int:
        """The k that most indices other than the elbow suggest; the least such k."""
        return self._favorites()[0]

    def _favorites(self) -> list[int]:
        """Return every k that no other is suggested more often than, ascending."""
        votes = [k for name, k in self.suggested.items() if name != "elbow"]
        return sorted({k for k in votes if all(votes.count(k) >= votes.count(other) for other in votes)} or self.ks[:1])

    def __repr__(self) -> str:
        """Show the table and what each index suggests."""
        names = ("k", "inertia", "explained", "silhouette", "Calinski-Harabasz", "Davies-Bouldin", "gap")
        columns = (self.inertia, self.explained, self.silhouette, self.calinski_harabasz, self.davies_bouldin, self.gap)
        lines = ["  ".join(names)]
        for i, k in enumerate(self.ks):
            cells = [str(k), *(f"{column[i]:.4g}" for column in columns)]
            lines.append("  ".join(cell.rjust(len(name)) for cell, name in zip(cells, names, strict=True)))
        votes = ", ".join(f"{name} {k}" for name, k in self.suggested.items())
        most = " or ".join(map(str, self._favorites()))
        return "\n".join([*lines, f"Suggested: {votes}; most: {most}"])


def choose_k(
    X: npt.ArrayLike,
    ks: Iterable[int],
    *,
    n_init: int = 3,
    n_references: int = 5,
    sample_weight: npt.ArrayLike | None = None,
    random_state: RandomState = None,
    n_threads: int | None = None,
) -> NumberOfClusters:
    """Cluster by `kmeans` for several k and report what all indices say of them.

    Parameters
    ----------
    X, sample_weight, random_state, n_threads
        As for `kmeans`.
    ks : iterable of int
        Ascending numbers of clusters.
    n_init, n_references
        As for `gap_statistic`.

    Notes
    -----
    The silhouette is exact, O(n^2 p) for each k; the others are O(n k p).

    Weights count as repeated rows in all indices but the gap (see `gap_statistic`).

    Examples
    --------
    >>> from fastcluster_ext import choose_k
    >>> X = [[i / 10 + 10 * j] for j in range(3) for i in range(10)]
    >>> choose_k(X, range(1, 6), random_state=0).k
    3
    """
    threads = resolve_threads(n_threads)
    points, weights = _weighted_points(X, sample_weight, threads)
    numbers = _numbers(ks, len(points))
    uniforms = uniforms_from(random_state)
    indices = {name: np.full(len(numbers), np.nan) for name in ("silhouette", "calinski_harabasz", "davies_bouldin")}
    inertia, explained = np.empty(len(numbers)), np.empty(len(numbers))
    for i, k in enumerate(numbers):
        found = _fit(points, k, n_init, weights, uniforms, threads)
        inertia[i], explained[i] = found.inertia, found.explained if k > 1 else 0.0
        if 2 <= k < len(points):
            indices["silhouette"][i] = silhouette_score(points, found.labels, sample_weight=weights, n_threads=threads)
            indices["calinski_harabasz"][i] = calinski_harabasz_score(points, found.labels, sample_weight=weights)
            indices["davies_bouldin"][i] = davies_bouldin_score(points, found.labels, sample_weight=weights)
    gap = gap_statistic(
        points,
        numbers,
        n_references=n_references,
        n_init=n_init,
        sample_weight=weights,
        random_state=int(uniforms(1)[0] * 2**32),
        n_threads=threads,
    )
    suggested = {"gap": gap.k, "elbow": numbers[_elbow(np.array(numbers, dtype=np.float64), inertia)]}
    for name, values in indices.items():
        if not np.isnan(values).all():
            best = np.nanargmin(values) if name == "davies_bouldin" else np.nanargmax(values)
            suggested[name] = numbers[int(best)]
    return NumberOfClusters(
        ks=numbers,
        inertia=inertia,
        explained=explained,
        gap=gap.gap,
        gap_error=gap.error,
        suggested=suggested,
        **indices,
    )


def _elbow(ks: Floats, inertia: Floats) -> int:
    """Index of the point farthest below the line between the ends."""
    if len(ks) < 3 or inertia[0] == inertia[-1]:
        return 0
    x = (ks - ks[0]) / (ks[-1] - ks[0])
    y = (inertia - inertia[-1]) / (inertia[0] - inertia[-1])
    return int(np.argmin(x + y))
