"""MiniBatchKMeans: `KMeansStream` on random batches, as an estimator of scikit-learn."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array
from fastcluster_ext.estimators._kmeans import (
    MERGED_ROWS,
    BaseKMeans,
    Floats,
    as_sample_weight,
    assign,
    centers_dtype,
    merge_equal_rows,
    pad_with_last,
)
from fastcluster_ext.stream import KMeansStream, draw_centers, draw_rows

__all__ = ["MiniBatchKMeans"]


class MiniBatchKMeans(BaseKMeans):
    """k-means on random batches, with the constructor and attributes of `sklearn.cluster.MiniBatchKMeans`.

    Parameters
    ----------
    n_clusters : int, default 8
        Number of clusters.
    init : {"k-means++", "random"}, callable or array_like of shape (n_clusters, n_features), default "k-means++"
        As for `KMeans`.
    max_iter : int, default 100
        Most passes over the data, each of as many batches as it has.
    batch_size : int, default 1024
        Points of a batch, drawn with replacement in proportion to their weights.
    verbose : int, default 0
        Print the inertia of each batch.
    compute_labels : bool, default True
        Assign all points at the end.
    random_state : int, RandomState or None, default None
        Source of randomness.
    tol : float, default 0.0
        End when a batch moves the centers by less, in the sum of squares, than `tol` times the mean variance of the
        features. 0 turns this off.
    max_no_improvement : int or None, default 10
        End after so many batches in a row without a new least value of the smoothed inertia. None turns this off.
    init_size : int or None, default None
        Points that seeds are drawn from: by default three batches, or ``3 * n_clusters`` if that were too few.
    n_init : "auto" or int, default "auto"
        Number of starts, of which the one of least inertia on `init_size` random points is used. "auto" is 3 for
        "random" and for functions, otherwise 1.
    reassignment_ratio : float, default 0.01
        As for `fastcluster_ext.KMeansStream`.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        The centers, float32 if X is, otherwise float64.
    labels_ : ndarray of int32, shape (n,)
        Always those of `predict`; only if `compute_labels`.
    inertia_ : float
        Weighted sum of the squared distances of the points to their nearest centers; an estimate from the batches
        unless `compute_labels`.
    n_iter_ : int
        Passes over the data, begun ones included; by `fit` only.
    n_steps_ : int
        Batches.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If the data have names of features.

    See Also
    --------
    KMeans : exact, and often as fast.
    fastcluster_ext.KMeansStream : the same without scikit-learn, for chunks and memory maps.

    Notes
    -----
    Up to 1000 rows, as in `KMeans`, equal rows are merged first and all are sorted, so that a weight of 2 is the same
    as a row twice. If the points that seeds are drawn from are fewer than the clusters, the last centers are equal at
    first.

    Examples
    --------
    >>> from fastcluster_ext import MiniBatchKMeans
    >>> model = MiniBatchKMeans(2, init=[[0, 0], [9, 9]], random_state=0)
    >>> model.fit([[0, 1], [1, 0], [9, 8], [8, 9]]).labels_
    array([0, 0, 1, 1], dtype=int32)
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseKMeans._parameter_constraints,
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "compute_labels": ["boolean"],
        "max_no_improvement": [Interval(Integral, 0, None, closed="left"), None],
        "init_size": [Interval(Integral, 1, None, closed="left"), None],
        "reassignment_ratio": [Interval(Real, 0, None, closed="left")],
    }
    _runs_from_random_starts = 3

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        max_iter: int = 100,
        batch_size: int = 1024,
        verbose: int = 0,
        compute_labels: bool = True,
        random_state: Any = None,
        tol: float = 0.0,
        max_no_improvement: int | None = 10,
        init_size: int | None = None,
        n_init: Any = "auto",
        reassignment_ratio: float = 0.01,
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.verbose = verbose
        self.compute_labels = compute_labels
        self.random_state = random_state
        self.tol = tol
        self.max_no_improvement = max_no_improvement
        self.init_size = init_size
        self.n_init = n_init
        self.reassignment_ratio = reassignment_ratio

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any = None, sample_weight: npt.ArrayLike | None = None) -> MiniBatchKMeans:
        """Cluster the rows of X.

        Parameters
        ----------
        X : array_like of shape (n, n_features)
            At least `n_clusters` points.
        y : ignored
        sample_weight : array_like of shape (n,), optional
            Weights, not negative, not all zero.

        Returns
        -------
        MiniBatchKMeans
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            If parameters or data are not as described, or fewer points than clusters.
        """
        points = self._validated(X, reset=True)
        weights = as_sample_weight(sample_weight, points)
        init = self._checked_init(points)
        rows, row_weights = merge_equal_rows(points, weights) if len(points) <= MERGED_ROWS else (points, weights)
        self._choose_sizes(len(rows))
        random_state = check_random_state(self.random_state)
        self._stream = self._start(points, rows, row_weights, init, random_state)
        progress = _Progress(self, rows, row_weights, self._stream)
        cumulated = None if row_weights is None else np.cumsum(row_weights)
        n_steps = self.max_iter * len(rows) // self._batch_size
        for step in range(1, n_steps + 1):
            draws = random_state.random_sample(self._batch_size)
            if cumulated is None:
                batch = (draws * len(rows)).astype(np.intp)
            else:
                batch = np.searchsorted(cumulated, draws * cumulated[-1], side="right")
            self._stream.partial_fit(rows[np.minimum(batch, len(rows) - 1)])
            if progress.ended(step, n_steps, self._stream):
                break
        self.n_steps_ = step
        self.n_iter_ = -(-step * self._batch_size // len(rows))
        self.inertia_ = progress.smoothed * (len(points) if weights is None else float(weights.sum()))
        return self._publish(points, weights)

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any = None, sample_weight: npt.ArrayLike | None = None) -> MiniBatchKMeans:
        """Use X as one more batch.

        Parameters
        ----------
        X : array_like of shape (n, n_features)
            The first batch has at least `n_clusters` points.
        y : ignored
        sample_weight : array_like of shape (n,), optional
            Weights, not negative, not all zero.

        Returns
        -------
        MiniBatchKMeans
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            If parameters or data are not as described.
        """
        first = not hasattr(self, "cluster_centers_")
        points = self._validated(X, reset=first)
        weights = as_sample_weight(sample_weight, points)
        if first:
            init = self._checked_init(points)
            self._choose_sizes(len(points))
            self._stream = self._start(points, points, weights, init, check_random_state(self.random_state), runs=1)
        self._stream.partial_fit(points, weights)
        if self.verbose and self._stream.n_reassigned:
            print(f"[MiniBatchKMeans] Reassigning {self._stream.n_reassigned} cluster centers.")
        self.n_steps_ = getattr(self, "n_steps_", 0) + 1
        return self._publish(points, weights)

    def _publish(self, points: Array, weights: Floats | None) -> MiniBatchKMeans:
        self.cluster_centers_ = np.array(self._stream.centers, dtype=centers_dtype(points))
        if self.compute_labels:
            self.labels_, self.inertia_ = assign(points, weights, self.cluster_centers_)
        return self

    def _choose_sizes(self, n: int) -> None:
        """Set the sizes of batches and of the sample that seeds are drawn from."""
        self._batch_size = min(self.batch_size, n)
        self._init_size = 3 * self._batch_size if self.init_size is None else self.init_size
        if self._init_size < self.n_clusters:
            if self.init_size is not None:
                warnings.warn(
                    f"init_size={self.init_size} should be larger than n_clusters={self.n_clusters}. "
                    "Setting it to min(3*n_clusters, n_samples)",
                    RuntimeWarning,
                    stacklevel=3,
                )
            self._init_size = 3 * self.n_clusters
        self._init_size = min(self._init_size, n)

    def _start(
        self,
        points: Array,
        rows: Array,
        weights: Floats | None,
        init: Any,
        random_state: np.random.RandomState,
        runs: int | None = None,
    ) -> KMeansStream:
        """Return a stream with initial centers, the best of several draws; a function is given all points."""
        starts = []
        for run in range(runs or self._n_init):
            if self.verbose:
                print(f"Init {run + 1}/{runs or self._n_init} with method {init}")
            if callable(init):
                made = init(points, self.n_clusters, random_state=random_state)
                starts.append(self._checked_centers(points, made))
            elif isinstance(init, str):
                starts.append(self._draw(*draw_rows(rows, weights, self._init_size, random_state), init, random_state))
            else:
                starts.append(init)
        best = starts[0]
        if len(starts) > 1:
            sample = draw_rows(rows, weights, self._init_size, random_state)
            inertias = [assign(*sample, centers)[1] for centers in starts]
            best = starts[int(np.argmin(inertias))]
            if self.verbose:
                for run, inertia in enumerate(inertias):
                    print(f"Inertia for init {run + 1}/{len(starts)}: {inertia}")
        return KMeansStream(
            self.n_clusters, init=best, reassignment_ratio=self.reassignment_ratio, random_state=random_state
        )

    def _draw(self, sample: Array, weights: Floats | None, init: str, random_state: np.random.RandomState) -> Floats:
        """Draw seeds, as many as there are distinct points; the last stands for those that are missing."""
        rows, row_weights = merge_equal_rows(sample, weights)
        k = min(self.n_clusters, len(rows))
        return pad_with_last(
            draw_centers(rows, row_weights, k, init, random_state, resolve_threads(None)), self.n_clusters
        )


class _Progress:
    """Decides when the batches have done enough."""

    def __init__(self, model: MiniBatchKMeans, rows: Array, weights: Floats | None, stream: KMeansStream) -> None:
        self.model = model
        self.centers: Any = stream.centers
        self.share = min(1.0, 2.0 * model._batch_size / (len(rows) + 1))
        self.tolerance = 0.0
        if model.tol > 0:
            deviations = rows - np.average(rows, axis=0, weights=weights)
            self.tolerance = model.tol * float(np.average((deviations**2).mean(axis=1), weights=weights))
        self.smoothed = 0.0
        self.least = np.inf
        self.steps_without = 0

    def ended(self, step: int, n_steps: int, stream: KMeansStream) -> bool:
        """Take a batch's result into account; return whether it was the last."""
        say = print if self.model.verbose else _say_nothing
        inertia = stream.inertia / self.model._batch_size
        shift = float(((stream.centers - self.centers) ** 2).sum())
        self.centers = stream.centers
        if stream.n_reassigned:
            say(f"[MiniBatchKMeans] Reassigning {stream.n_reassigned} cluster centers.")
        if step == 1:  # the inertia of the start
            self.smoothed = inertia
            say(f"Minibatch step {step}/{n_steps}: mean batch inertia: {inertia}")
            return False
        # An exponentially weighted mean, which the second batch begins.
        self.smoothed = inertia if step == 2 else (1 - self.share) * self.smoothed + self.share * inertia
        say(f"Minibatch step {step}/{n_steps}: mean batch inertia: {inertia}, ewa inertia: {self.smoothed}")
        if self.tolerance > 0 and shift <= self.tolerance:
            say(f"Converged (small centers change) at step {step}/{n_steps}")
            return True
        self.steps_without = 0 if self.smoothed < self.least else self.steps_without + 1
        self.least = min(self.least, self.smoothed)
        if self.model.max_no_improvement is not None and self.steps_without >= self.model.max_no_improvement:
            say(f"Converged (lack of improvement in inertia) at step {step}/{n_steps}")
            return True
        return False


def _say_nothing(_: str) -> None:
    pass
