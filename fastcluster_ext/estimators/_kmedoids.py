"""KMedoids: `kmedoids` as an estimator of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fastcluster_ext.distance import cdist
from fastcluster_ext.kmedoids import kmedoids

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
        data = validate_data(self, X, dtype=None if self.metric == "precomputed" else [np.float64, np.float32])
        if self.metric == "precomputed" and data.shape[0] != data.shape[1]:
            raise ValueError(f"X must be a square matrix of dissimilarities, got shape {data.shape}")
        result = kmedoids(
            data,
            self.n_clusters,
            metric=self.metric,
            method={"alternating": "alternate"}.get(self.method, self.method),
            init=self.init,
            n_init=self.n_init,
            max_iter=self.max_iter,
            sample_weight=sample_weight,
            random_state=self.random_state,
            n_threads=self.n_threads,
        )
        self.cluster_centers_ = result.centers
        self.medoid_indices_ = result.medoids
        self.labels_ = result.labels
        self.inertia_ = result.loss
        self.n_iter_ = max(1, result.n_iter)
        return self

    def transform(self, X: Any) -> npt.NDArray[Any]:
        """Return the dissimilarities of points to the medoids, (m, k); X is (m, n) if they are precomputed."""
        check_is_fitted(self)
        data = validate_data(self, X, reset=False, dtype=None if self.metric == "precomputed" else [float, np.float32])
        if self.metric == "precomputed":
            return np.asarray(data[:, self.medoid_indices_])
        assert self.cluster_centers_ is not None
        return np.asarray(cdist(data, self.cluster_centers_, self.metric))

    def predict(self, X: Any) -> npt.NDArray[np.int32]:
        """Return the index of the nearest medoid of every point, the lowest where several are equally near."""
        return np.asarray(self.transform(X).argmin(axis=1), dtype=np.int32)

    @property
    def _n_features_out(self) -> int:
        return len(self.medoid_indices_)

    def __sklearn_tags__(self) -> Any:
        """Say that X is square where it is."""
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        tags.input_tags.positive_only = self.metric == "precomputed"
        return tags
