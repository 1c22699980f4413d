"""k-means of points that come in chunks, each seen once: memory for a chunk and the centers, whatever their number."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels
from fastcluster_ext._random import RandomState, generator_from, uniforms_from
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array, as_points, as_weights, check_integer, check_option, check_real
from fastcluster_ext.distance import nearest
from fastcluster_ext.kmeans import kmeans_plusplus

__all__ = ["KMeansStream"]

Floats = npt.NDArray[np.float64]

_INITS = ("k-means++", "random")
_LEAST_SEEDED_FROM = 4096  # rows; seeding on more takes longer than it gains
_SEEDED_FROM_BY_CENTER = 16
_CHUNK_NUMBERS = 1 << 21  # rows x columns, as `fit` cuts them: 16 MB of float64


class KMeansStream:
    """k-means over chunks of points, each of which is used once and not kept.

    Every chunk is assigned to the centers as they are, exactly; then every center becomes the weighted mean of all
    points that were ever assigned to it.

    Parameters
    ----------
    k : int
        Number of clusters.
    init : {"k-means++", "random"} or (k, p) array-like
        As for `fastcluster_ext.kmeans`; seeds are drawn from the first chunk.
    init_size : int, optional
        Rows of the first chunk, drawn at random, that seeds are drawn from; by default 4096, or 16 for each center if
        that is more.
    reassignment_ratio : float
        Clusters of less weight than this share of the heaviest one's are moved to random points of the chunk: after
        every ``10 * k`` points, or at once if a cluster has no points at all. 0 moves none.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Source of randomness.
    n_threads : int, optional
        As for `fastcluster_ext.kmeans`; never changes a result.

    Attributes
    ----------
    centers : (k, p) float64 array or None
        The centers; None before the first chunk, unless they were given.
    cluster_weights : (k,) float64 array
        Weight of all points that each center is the mean of. A center that was moved has the least weight of the
        others, so that it stays for a while.
    inertia : float
        Weighted sum of squared distances of the last chunk's points to the centers as they were before it.
    n_reassigned : int
        Centers that the last chunk moved.
    n_steps : int
        Chunks seen.
    n_points : int
        Points seen.

    Raises
    ------
    TypeError, ValueError
        Naming the argument that is wrong.

    Notes
    -----
    Time O(n k p) for a chunk of n points; memory O(n + k p). Clusters depend on the order of the points and on how they
    are cut; `fastcluster_ext.kmeans` is exact where the points fit in memory. Source: D. Sculley, "Web-scale k-means
    clustering", WWW 2010; reassignment as scikit-learn's `MiniBatchKMeans` documents it.

    Examples
    --------
    >>> from fastcluster_ext import KMeansStream
    >>> stream = KMeansStream(2, init=[[0.0], [10.0]])
    >>> for chunk in ([[1.0], [9.0]], [[3.0], [11.0]]):
    ...     stream = stream.partial_fit(chunk)
    >>> stream.centers.tolist(), stream.cluster_weights.tolist()
    ([[2.0], [10.0]], [2.0, 2.0])
    """

    def __init__(
        self,
        k: int,
        *,
        init: str | npt.ArrayLike = "k-means++",
        init_size: int | None = None,
        reassignment_ratio: float = 0.01,
        random_state: RandomState = None,
        n_threads: int | None = None,
    ) -> None:
        self.k = check_integer(k, "k", minimum=1, maximum=np.iinfo(np.int32).max)
        self.init_size = max(_LEAST_SEEDED_FROM, _SEEDED_FROM_BY_CENTER * self.k)
        if init_size is not None:
            self.init_size = check_integer(init_size, "init_size", minimum=self.k)
        self.reassignment_ratio = check_real(reassignment_ratio, "reassignment_ratio", minimum=0.0)
        resolve_threads(n_threads)  # raises if it is none; how many there are is asked for when they work
        self.n_threads = n_threads
        self._generator = generator_from(random_state)
        self.init = check_option(init, "init", _INITS) if isinstance(init, str) else "given"
        self.centers: Floats | None = None
        if not isinstance(init, str):
            centers = np.array(as_points(init, "init"), dtype=np.float64, order="C")
            if len(centers) != self.k:
                raise ValueError(f"init must have {self.k} rows, one for each center, got shape {centers.shape}")
            self.centers = centers
        self.cluster_weights = np.zeros(self.k)
        self.inertia = 0.0
        self.n_reassigned = 0
        self.n_steps = 0
        self.n_points = 0
        self._points_since_reassignment = 0

    def fit(self, X: npt.ArrayLike, *, chunk_rows: int | None = None) -> KMeansStream:
        """Go through the rows of an array once, chunk by chunk, and go on from what the stream has seen before.

        Parameters
        ----------
        X : (n, p) array-like
            Points, as for `fastcluster_ext.kmeans`, best in random order. Memory maps, and whatever else has a shape, a
            dtype and slices (HDF5 datasets, say), are read chunk by chunk.
        chunk_rows : int, optional
            Rows of a chunk, at least `k`; by default two million numbers' worth.
        """
        points: Any = X if hasattr(X, "shape") and hasattr(X, "dtype") else np.asarray(X)
        if len(points.shape) != 2 or 0 in points.shape:
            raise ValueError(f"X must be two-dimensional and not empty, got shape {points.shape}")
        n, p = points.shape
        if chunk_rows is None:
            rows = max(_CHUNK_NUMBERS // p, self.k)
        else:
            rows = check_integer(chunk_rows, "chunk_rows", minimum=self.k)
        # A rest of few rows goes with the chunk before it: reassignment needs points to choose from.
        starts = range(0, max(1, n - rows // 2), rows)
        for start in starts:
            self.partial_fit(points[start : n if start == starts[-1] else start + rows])
        return self

    def partial_fit(self, X: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> KMeansStream:
        """Use one more chunk.

        Parameters
        ----------
        X : (n, p) array-like
            Points, as for `fastcluster_ext.kmeans`. The first chunk has at least `k` distinct ones if seeds are to be
            drawn from it.
        sample_weight : (n,) array-like, optional
            Weights, not negative, not all zero.
        """
        threads = resolve_threads(self.n_threads)
        points = as_points(X, n_threads=threads)
        weights = as_weights(sample_weight, len(points))
        if self.centers is None:
            self.centers = self._draw(points, weights, threads)
        elif self.centers.shape[1] != points.shape[1]:
            raise ValueError(f"X must have {self.centers.shape[1]} columns, as the centers, got {points.shape[1]}")
        labels, squared = nearest(points, self.centers, "sqeuclidean", n_threads=threads)
        self.inertia = float((squared if weights is None else weights * squared).sum(dtype=np.float64))
        sums, added = np.empty(self.centers.shape), np.empty(self.k)
        _kernels.load("cluster_sums").cluster_sums(points, weights, labels, sums, added, n_threads=threads)
        moved = added > 0
        self.cluster_weights[moved] += added[moved]
        change = sums[moved] - added[moved, np.newaxis] * self.centers[moved]
        self.centers = self.centers.copy()
        self.centers[moved] += change / self.cluster_weights[moved, np.newaxis]
        self.n_steps += 1
        self.n_points += len(points)
        self._reassign(points, weights)
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Return the index of the nearest center of every row of X, the lowest where several are equally near."""
        if self.centers is None:
            raise ValueError("there are no centers before the first chunk")
        return nearest(X, self.centers, n_threads=self.n_threads)[0]

    def __repr__(self) -> str:
        """Show the number of clusters and what has been seen."""
        return f"KMeansStream of {self.k} clusters: {self.n_points} points seen in {self.n_steps} chunks"

    def _draw(self, points: Array, weights: Floats | None, threads: int) -> Floats:
        """Draw seeds from a sample of the rows, or from all if the sample has too few distinct ones."""
        sample, sample_weights = draw_rows(points, weights, self.init_size, self._generator)
        try:
            return draw_centers(sample, sample_weights, self.k, self.init, self._generator, threads)
        except ValueError:
            if len(sample) == len(points):
                raise
        return draw_centers(points, weights, self.k, self.init, self._generator, threads)

    def _reassign(self, points: Array, weights: Floats | None) -> None:
        """Move the centers of little weight to points of the chunk, at most half as many as it has."""
        assert self.centers is not None
        self.n_reassigned = 0
        self._points_since_reassignment += len(points)
        if self.cluster_weights.all() and self._points_since_reassignment < 10 * self.k:
            return
        self._points_since_reassignment = 0
        order = np.argsort(self.cluster_weights, kind="stable")[:-1]  # the heaviest stays, whatever the ratio
        light = order[self.cluster_weights[order] < self.reassignment_ratio * self.cluster_weights.max()]
        light = light[: len(points) // 2]
        if not len(light):
            return
        rows = draw_rows(points, weights, len(light), self._generator)[0]
        light = light[: len(rows)]
        self.centers[light] = rows
        others = np.ones(self.k, dtype=bool)
        others[light] = False
        self.cluster_weights[light] = self.cluster_weights[others].min()
        self.n_reassigned = len(light)


def draw_rows(
    points: Array, weights: Floats | None, size: int, random_state: RandomState
) -> tuple[Array, Floats | None]:
    """Draw at most `size` rows of positive weight without replacement, by weight; their weights are then ones.

    All rows, in their order and with their weights, if they are no more than `size`.
    """
    if len(points) <= size:
        return points, weights
    shares = np.ones(1) if weights is None else weights
    with np.errstate(divide="ignore", invalid="ignore"):
        # The least of independent exponential variables is each one's in proportion to its rate.
        order = np.argsort(-np.log1p(-uniforms_from(random_state)(len(points))) / shares, kind="stable")[:size]
    if weights is not None:
        order = order[weights[order] > 0]
    return points[order], None


def draw_centers(
    points: Array, weights: Floats | None, k: int, init: str, random_state: RandomState, threads: int
) -> Floats:
    """Draw k seeds."""
    if init == "k-means++":
        return kmeans_plusplus(points, k, sample_weight=weights, random_state=random_state, n_threads=threads)[0]
    distinct, owner = np.unique(points, axis=0, return_inverse=True)
    shares = np.bincount(owner.reshape(-1), weights, minlength=len(distinct)).astype(np.float64)
    available = int(np.count_nonzero(shares))
    if available < k:
        raise ValueError(f"k must be at most the number of distinct points, which is {available}, got {k}")
    if available == k:
        return distinct[shares > 0].astype(np.float64)
    return draw_rows(distinct, shares, k, random_state)[0].astype(np.float64)
