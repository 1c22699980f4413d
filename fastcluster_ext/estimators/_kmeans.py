"""KMeans: `kmeans` as an estimator of scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastcluster_ext._grouping import GroupedRows, groupable, pays
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array, as_weights
from fastcluster_ext.distance import cdist, nearest
from fastcluster_ext.kmeans import _ALGORITHMS, KMeansResult, KMeansStep, kmeans

__all__ = ["MERGED_ROWS", "BaseKMeans", "KMeans"]

Floats = npt.NDArray[np.float64]

# Up to so many rows, equal ones are merged and all are sorted. 1000 rows of ten features: 0.1 ms without ties in the
# first column, 0.9 ms with; kmeans takes 1.4 ms for eight clusters of them.
MERGED_ROWS = 1000


class BaseKMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """What KMeans and MiniBatchKMeans share: the checks of their parameters, and all that uses the centers."""

    _parameter_constraints = {  # noqa: RUF012
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"}), callable, "array-like"],
        "n_init": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    _runs_from_random_starts: int
    n_clusters: int
    init: Any
    n_init: Any
    cluster_centers_: Array
    labels_: npt.NDArray[np.int32]

    def fit_predict(self, X: Any, y: Any = None, sample_weight: npt.ArrayLike | None = None) -> npt.NDArray[np.int32]:
        """Fit, and return the labels of the rows of X."""
        return self.fit(X, sample_weight=sample_weight).labels_  # type: ignore[no-any-return]

    def fit_transform(self, X: Any, y: Any = None, sample_weight: npt.ArrayLike | None = None) -> Any:
        """Fit, and return what `transform` makes of X."""
        return self.fit(X, sample_weight=sample_weight).transform(X)

    def predict(self, X: Any) -> npt.NDArray[np.int32]:
        """Return the index of the nearest center of every row of X, the lowest where several are equally near."""
        check_is_fitted(self)
        points = self._validated(X, reset=False)
        if not (groupable(points) and pays(points)):
            return nearest(points, self.cluster_centers_)[0]
        pixels = GroupedRows(points[np.newaxis], resolve_threads(None))
        return pixels.expand(nearest(pixels.points, self.cluster_centers_)[0]).reshape(-1)

    def transform(self, X: Any) -> Any:
        """Return the (n, n_clusters) Euclidean distances of the rows of X to the centers."""
        check_is_fitted(self)
        return cdist(self._validated(X, reset=False), self.cluster_centers_)

    def score(self, X: Any, y: Any = None, sample_weight: npt.ArrayLike | None = None) -> float:
        """Return minus the weighted sum of the squared distances of the rows of X to their nearest centers."""
        check_is_fitted(self)
        points = self._validated(X, reset=False)
        return -assign(points, as_sample_weight(sample_weight, points), self.cluster_centers_)[1]

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    def _validated(self, X: Any, *, reset: bool) -> Array:
        """X as the kernels take it; float64 unless it is of a type they read."""
        dtypes = (np.float64, np.float32, np.uint8, np.uint16)
        return validate_data(self, X, reset=reset, dtype=dtypes)  # type: ignore[no-any-return]

    def _checked_init(self, points: Array) -> Any:
        """`init`, an array of a right shape if it is one; sets the number of runs."""
        if len(points) < self.n_clusters:
            raise ValueError(f"n_samples={len(points)} should be >= n_clusters={self.n_clusters}.")
        given = not isinstance(self.init, str) and not callable(self.init)
        if self.n_init == "auto":
            drawn = callable(self.init) or (isinstance(self.init, str) and self.init == "random")
            self._n_init = self._runs_from_random_starts if drawn else 1
        else:
            self._n_init = self.n_init
        if not given:
            return self.init
        if self._n_init > 1:
            warnings.warn(
                "Explicit initial center position passed: performing only one init in "
                f"{type(self).__name__} instead of n_init={self._n_init}.",
                RuntimeWarning,
                stacklevel=3,
            )
            self._n_init = 1
        return self._checked_centers(points, self.init)

    def _checked_centers(self, points: Array, centers: Any) -> Array:
        checked: Array = check_array(centers, dtype=(np.float64, np.float32))
        for axis, expected, what in (
            (0, self.n_clusters, "the number of clusters"),
            (1, points.shape[1], "the number of features of the data"),
        ):
            if checked.shape[axis] != expected:
                raise ValueError(f"The shape of the initial centers {checked.shape} does not match {what} {expected}.")
        return checked


class KMeans(BaseKMeans):
    """k-means with the constructor and attributes of `sklearn.cluster.KMeans`.

    Parameters
    ----------
    n_clusters : int, default 8
        Number of clusters.
    init : {"k-means++", "random"}, callable or array_like of shape (n_clusters, n_features), default "k-means++"
        As for `fastcluster_ext.kmeans`; or a function of X, n_clusters and, by keyword, `random_state`, that returns
        initial centers.
    n_init : "auto" or int, default "auto"
        Number of runs, of which the best is kept. "auto" is 10 for "random" and for functions, otherwise 1.
    max_iter : int, default 300
        Most iterations of a run.
    tol : float, default 1e-4
        As for `fastcluster_ext.kmeans`.
    verbose : int, default 0
        Print each iteration and its inertia, which costs one more pass over the points.
    random_state : int, RandomState or None, default None
        Source of randomness.
    copy_x : bool, default True
        Not used: X is neither changed nor copied.
    algorithm : str, default "lloyd"
        "lloyd" and "elkan" are scikit-learn's two ways to Lloyd's iterations, and stand for whichever exact way is
        fastest here; other names are those of `fastcluster_ext.kmeans`.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        The centers, float32 if X is, otherwise float64.
    labels_ : ndarray of int32, shape (n,)
        Always those of `predict`.
    inertia_ : float
        Weighted sum of the squared distances of the points to their nearest centers.
    n_iter_ : int
        Iterations of the run that was kept.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If the data have names of features.

    See Also
    --------
    fastcluster_ext.kmeans : says what is computed, and how.

    Notes
    -----
    uint8 and uint16 data are not turned into floats. The number of threads is OpenMP's default, as for `kmeans`.

    A weight of 2 is the same as a row twice. Up to 1000 rows that holds for random starts also, and the order of the
    rows does not matter: equal rows are merged and all are sorted before seeds are drawn.

    Sparse matrices are refused.

    Examples
    --------
    >>> from fastcluster_ext import KMeans
    >>> model = KMeans(n_clusters=2, random_state=0).fit([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> model.cluster_centers_[model.predict([[0, 0], [12, 3]])]
    array([[ 1.,  2.],
           [10.,  2.]])
    """

    _parameter_constraints = {  # noqa: RUF012
        **BaseKMeans._parameter_constraints,
        "copy_x": ["boolean"],
        "algorithm": [StrOptions({"elkan", *_ALGORITHMS})],
    }
    _runs_from_random_starts = 10

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: Any = "k-means++",
        n_init: Any = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        verbose: int = 0,
        random_state: Any = None,
        copy_x: bool = True,
        algorithm: str = "lloyd",
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any = None, sample_weight: npt.ArrayLike | None = None) -> KMeans:
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
        KMeans
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            If parameters or data are not as described, or fewer points than clusters.

        Warns
        -----
        ConvergenceWarning
            If there are fewer distinct points than clusters: the last centers are then equal, and have no points.
        RuntimeWarning
            If centers are given and several runs asked for, or for "elkan" with one cluster.
        """
        points = self._validated(X, reset=True)
        weights = as_sample_weight(sample_weight, points)
        init = self._checked_init(points)
        if self.algorithm == "elkan" and self.n_clusters == 1:
            warnings.warn(
                "algorithm='elkan' doesn't make sense for a single cluster. Using 'lloyd' instead.",
                RuntimeWarning,
                stacklevel=2,
            )
        merged = len(points) <= MERGED_ROWS
        rows, row_weights = merge_equal_rows(points, weights) if merged else (points, weights)
        try:
            result = None if merged and len(rows) < self.n_clusters else self._best_run(points, rows, row_weights, init)
        except ValueError:
            rows, _ = merge_equal_rows(points, weights)
            if len(rows) >= self.n_clusters:
                raise
            result = None
        if result is None:
            warnings.warn(
                f"Number of distinct clusters ({len(rows)}) found smaller than n_clusters ({self.n_clusters}). "
                "Possibly due to duplicate points in X.",
                ConvergenceWarning,
                stacklevel=2,
            )
        centers = pad_with_last(rows, self.n_clusters) if result is None else result.centers
        self.n_iter_ = 1 if result is None else result.n_iter
        self.cluster_centers_ = centers.astype(centers_dtype(points), copy=False)
        if result is not None and not merged and self.cluster_centers_ is result.centers:
            self.labels_, self.inertia_ = result.labels, result.inertia
        else:
            self.labels_, self.inertia_ = assign(points, weights, self.cluster_centers_)
        return self

    def _best_run(self, points: Array, rows: Array, weights: Floats | None, init: Any) -> KMeansResult:
        """Return the best of all runs on `rows`; functions that make centers are given `points`, as they came."""
        random_state = check_random_state(self.random_state)

        def run(init: Any, n_init: int) -> KMeansResult:
            return kmeans(
                rows,
                self.n_clusters,
                algorithm="auto" if self.algorithm in ("lloyd", "elkan") else self.algorithm,
                init=init,
                n_init=n_init,
                max_iter=self.max_iter,
                tol=self.tol,
                sample_weight=weights,
                random_state=random_state,
                callback=_printer(rows, weights, self.tol) if self.verbose else None,
            )

        if not callable(init):
            return run(init, self._n_init)
        results = []
        for _ in range(self._n_init):
            centers = init(points, self.n_clusters, random_state=random_state)
            results.append(run(self._checked_centers(points, centers), 1))
        return min(results, key=lambda result: result.inertia)


def as_sample_weight(sample_weight: Any, points: Array) -> Floats | None:
    """Weights as scikit-learn takes them: one for each point, or one number for all."""
    if sample_weight is None:
        return None
    return as_weights(_check_sample_weight(sample_weight, points, dtype=np.float64), len(points))


def merge_equal_rows(points: Array, weights: Floats | None) -> tuple[Array, Floats]:
    """Return the distinct rows of positive weight in ascending order, and their weights."""
    order = np.argsort(points[:, 0])
    first = points[order, 0]
    if (first[1:] != first[:-1]).all():  # the other columns decide nothing: nine times faster
        rows, row_weights = points[order], np.ones(len(points)) if weights is None else weights[order]
    else:
        rows, owner = np.unique(points, axis=0, return_inverse=True)
        row_weights = np.bincount(owner.reshape(-1), weights, minlength=len(rows)).astype(np.float64)
    return rows[row_weights > 0], row_weights[row_weights > 0]


def pad_with_last(rows: Array, k: int) -> Array:
    """Return k rows: all rows there are, and the last again and again."""
    return np.asarray(rows[np.minimum(np.arange(k), len(rows) - 1)])


def centers_dtype(points: Array) -> np.dtype[Any]:
    """Return the dtype of centers: float32 for float32, otherwise float64."""
    return np.dtype(np.float32 if points.dtype == np.float32 else np.float64)


def assign(points: Array, weights: Floats | None, centers: Array) -> tuple[npt.NDArray[np.int32], float]:
    """Return the labels of points and their inertia."""
    labels, squared = nearest(points, centers, "sqeuclidean")
    costs = squared if weights is None else weights * squared
    return labels, float(costs.sum(dtype=np.float64))


def _printer(points: Array, weights: Floats | None, tol: float) -> Callable[[KMeansStep], None]:
    """Return a callback that prints what scikit-learn prints of a run."""
    deviations = points - np.average(points, axis=0, weights=weights)
    tolerance = tol * np.average(np.square(deviations, out=deviations).mean(axis=1), weights=weights)

    def show(step: KMeansStep) -> None:
        if step.iteration == 1:
            print("Initialization complete")
        print(f"Iteration {step.iteration - 1}, inertia {assign(points, weights, step.centers)[1]}.")
        if step.center_shift == 0:
            print(f"Converged at iteration {step.iteration - 1}: strict convergence.")
        elif step.center_shift <= tolerance:
            print(
                f"Converged at iteration {step.iteration - 1}: center shift {step.center_shift} within tolerance "
                f"{tolerance}."
            )

    return show
