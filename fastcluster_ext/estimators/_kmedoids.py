"""KMedoids: `kmedoids` as an estimator of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fastcluster_ext._validation import Array
from fastcluster_ext.distance import cdist
from fastcluster_ext.estimators._kmeans import MERGED_ROWS, as_sample_weight, merge_equal_rows
from fastcluster_ext.kmedoids import KMedoidsResult, kmedoids

__all__ = ["KMedoids"]


class KMedoids(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """k-medoids with the constructor and attributes of the `kmedoids` package's estimator.

    Parameters
    ----------
    n_clusters : int
        Number of clusters.
    metric : str
        "precomputed" (`fit` takes dissimilarities) or any metric of `kmedoids`.
    metric_params : None
        Not used; here for compatibility.
    method : str
        As for `kmedoids`; "alternating" stands for "alternate".
    init : str or array-like of int
        As for `kmedoids`.
    max_iter : int
        As for `kmedoids`.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Source of randomness.
    n_init : int
        Number of runs, of which the best is kept.
    n_threads : int, optional
        Number of threads; never changes a result.

    Attributes
    ----------
    cluster_centers_ : (k, p) array or None
        The medoids; None for precomputed dissimilarities.
    medoid_indices_ : (k,) int64 array
        Their rows.
    labels_ : (n,) int32 array
        Nearest medoid of each point.
    inertia_ : float
        Sum of the dissimilarities of the points to their medoids.
    n_iter_ : int
        Iterations of the run that was kept, at least 1.

    Notes
    -----
    A weight of 2 is the same as a row twice. Of up to 1000 points that holds for random starts also, and the order of
    the rows does not matter: equal rows are merged and all are sorted before medoids are drawn.

    Examples
    --------
    >>> from fastcluster_ext.estimators import KMedoids
    >>> model = KMedoids(2, metric="manhattan", random_state=0).fit([[0.0], [1.0], [9.0], [10.0], [11.0]])
    >>> model.predict([[0.4], [12.0]]).tolist() == model.labels_[[0, 4]].tolist()
    True
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        metric: str = "precomputed",
        metric_params: dict[str, Any] | None = None,
        method: str = "fasterpam",
        init: Any = "random",
        max_iter: int = 300,
        random_state: Any = None,
        n_init: int = 1,
        n_threads: int | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.metric = metric
        self.metric_params = metric_params
        self.method = method
        self.init = init
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_init = n_init
        self.n_threads = n_threads

    def fit(self, X: Any, y: Any = None, sample_weight: npt.ArrayLike | None = None) -> KMedoids:
        """Find the medoids of X: points, or their dissimilarities if ``metric="precomputed"``."""
        data = self._validated(X, reset=True)
        if self.metric == "precomputed" and data.shape[0] != data.shape[1]:
            raise ValueError(
                f"X must be a square matrix of dissimilarities, got shape {data.shape}; "
                f"for points, give another metric than 'precomputed', such as 'manhattan'"
            )
        weights = as_sample_weight(sample_weight, data)
        if self.metric != "precomputed" and isinstance(self.init, str) and len(data) <= MERGED_ROWS:
            rows, row_weights = merge_equal_rows(data, weights)
            found = self._run(rows, row_weights, self.init, self.max_iter)
            assert found.centers is not None
            medoids = [int((data == center).all(axis=1).argmax()) for center in found.centers]
            result = self._run(data, weights, medoids, 0, n_init=1)
        else:
            result = found = self._run(data, weights, self.init, self.max_iter)
        self.cluster_centers_ = result.centers
        self.medoid_indices_ = result.medoids
        self.labels_ = result.labels
        self.inertia_ = result.loss
        self.n_iter_ = max(1, found.n_iter)
        return self

    def _run(self, data: Array, weights: Any, init: Any, max_iter: int, n_init: int | None = None) -> KMedoidsResult:
        return kmedoids(
            data,
            self.n_clusters,
            metric=self.metric,
            method={"alternating": "alternate"}.get(self.method, self.method),
            init=init,
            n_init=self.n_init if n_init is None else n_init,
            max_iter=max_iter,
            sample_weight=weights,
            random_state=self.random_state,
            n_threads=self.n_threads,
        )

    def transform(self, X: Any) -> npt.NDArray[Any]:
        """Return the dissimilarities of points to the medoids, (m, k); X is (m, n) if they are precomputed."""
        check_is_fitted(self)
        data = self._validated(X, reset=False)
        if self.metric == "precomputed":
            return np.asarray(data[:, self.medoid_indices_])
        assert self.cluster_centers_ is not None
        return np.asarray(cdist(data, self.cluster_centers_, self.metric))

    def predict(self, X: Any) -> npt.NDArray[np.int32]:
        """Return the index of the nearest medoid of every point, the lowest where several are equally near."""
        return np.asarray(self.transform(X).argmin(axis=1), dtype=np.int32)

    def _validated(self, X: Any, *, reset: bool) -> Array:
        precomputed = self.metric == "precomputed"
        dtype: Any = "numeric" if precomputed else [np.float64, np.float32]
        return np.asarray(validate_data(self, X, reset=reset, dtype=dtype, ensure_non_negative=precomputed))

    @property
    def _n_features_out(self) -> int:
        return len(self.medoid_indices_)

    def __sklearn_tags__(self) -> Any:
        """Say that X is square where it is."""
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        tags.input_tags.positive_only = self.metric == "precomputed"
        return tags
