"""AgglomerativeClustering: `linkage` as an estimator of scikit-learn."""

from __future__ import annotations

import heapq
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_memory, validate_data

from fastcluster_ext import _metrics, distance, hierarchy, trees
from fastcluster_ext._validation import Array

__all__ = ["AgglomerativeClustering"]

_LINKAGES = ("ward", "complete", "average", "single")
_METRICS = {"l1": "cityblock", "manhattan": "cityblock", "l2": "euclidean"}


class AgglomerativeClustering(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Agglomerative clustering: `sklearn.cluster.AgglomerativeClustering` without connectivity.

    Parameters
    ----------
    n_clusters : int or None, default 2
        Clusters to find; None if `distance_threshold` is given.
    metric : str or callable, default "euclidean"
        A metric of `fastcluster_ext.distance.pdist`, "l1", "l2", "precomputed" for a square matrix of distances, or a
        function that makes one of the data.
    memory : str or object with a `cache` method, optional
        Where joblib keeps the tree.
    connectivity : None
        Constraints are not supported: anything else raises NotImplementedError.
    compute_full_tree : "auto" or bool, default "auto"
        The full tree is always computed.
    linkage : {"ward", "complete", "average", "single"}, default "ward"
        The method.
    distance_threshold : float or None
        Merges at or above it are not made.
    compute_distances : bool, default False
        Keep the heights although no threshold is given.

    Attributes
    ----------
    n_clusters_ : int
    labels_ : ndarray of shape (n,)
    n_leaves_ : int
    n_connected_components_ : int
        Always 1.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If the data have names of features.
    children_ : ndarray of shape (n - 1, 2)
        The two clusters of each merge; numbers below n are observations.
    distances_ : ndarray of shape (n - 1,)
        Heights, if they were asked for.

    Notes
    -----
    Time and memory O(n^2); see `fastcluster_ext.hierarchy.linkage`.

    Examples
    --------
    >>> AgglomerativeClustering(n_clusters=2).fit([[1, 1], [2, 1], [4, 5], [7, 7], [5, 7]]).labels_
    array([1, 1, 0, 0, 0])
    """

    _parameter_constraints = {  # noqa: RUF012
        "n_clusters": [Interval(Integral, 1, None, closed="left"), None],
        "metric": [str, callable],
        "memory": [str, HasMethods("cache"), None],
        "connectivity": "no_validation",
        "compute_full_tree": [StrOptions({"auto"}), "boolean"],
        "linkage": [StrOptions(set(_LINKAGES))],
        "distance_threshold": [Interval(Real, 0, None, closed="left"), None],
        "compute_distances": ["boolean"],
    }

    def __init__(
        self,
        n_clusters: int | None = 2,
        *,
        metric: Any = "euclidean",
        memory: Any = None,
        connectivity: None = None,
        compute_full_tree: Any = "auto",
        linkage: str = "ward",
        distance_threshold: float | None = None,
        compute_distances: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.metric = metric
        self.memory = memory
        self.connectivity = connectivity
        self.compute_full_tree = compute_full_tree
        self.linkage = linkage
        self.distance_threshold = distance_threshold
        self.compute_distances = compute_distances

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any = None) -> AgglomerativeClustering:
        """Cluster the rows of X, or what a square matrix of distances stands for.

        Parameters
        ----------
        X : array_like of shape (n, n_features) or (n, n)
            At least two observations.
        y : ignored

        Returns
        -------
        AgglomerativeClustering
            The estimator itself.

        Raises
        ------
        ValueError
            If parameters contradict each other, or data are not finite.
        NotImplementedError
            If connectivity is given.
        """
        X = validate_data(self, X, ensure_min_samples=2)
        if self.connectivity is not None:
            raise NotImplementedError("connectivity is not supported; use sklearn.cluster.AgglomerativeClustering")
        if (self.n_clusters is None) == (self.distance_threshold is None):
            raise ValueError(
                "Exactly one of n_clusters and distance_threshold has to be set, and the other needs to be None."
            )
        if self.distance_threshold is not None and not self.compute_full_tree:
            raise ValueError("compute_full_tree must be True if distance_threshold is set.")
        if self.linkage == "ward" and self.metric not in ("euclidean", "l2"):
            raise ValueError(
                f"{self.metric} was provided as metric. Ward can only work with euclidean distances (i.e. 'euclidean' "
                "and 'l2')."
            )
        n = len(X)
        if self.n_clusters is not None and self.n_clusters > n:
            raise ValueError(
                f"Cannot extract more clusters than samples: {self.n_clusters} clusters were given for a tree with {n} "
                "leaves."
            )
        tree = check_memory(self.memory).cache(_build_tree)(X, self.metric, self.linkage)
        self.children_ = tree[:, :2].astype(np.intp)
        self.n_leaves_ = n
        self.n_connected_components_ = 1
        if self.distance_threshold is not None or self.compute_distances:
            self.distances_ = tree[:, 2]
        if self.n_clusters is None:
            self.n_clusters_ = int(np.count_nonzero(tree[:, 2] >= self.distance_threshold)) + 1
        else:
            self.n_clusters_ = self.n_clusters
        self.labels_ = _cut(tree, self.n_clusters_)
        return self

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that a precomputed matrix is pairwise."""
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        return tags


def _build_tree(X: Array, metric: Any, method: str) -> Array:
    if callable(metric) or metric == "precomputed":
        square = np.asarray(metric(X) if callable(metric) else X)
        if square.ndim != 2 or square.shape[0] != square.shape[1]:
            raise ValueError(f"Distance matrix should be square, got matrix of shape {square.shape}")
        return hierarchy.linkage(square[np.triu_indices(len(square), k=1)], method, preserve_input=False)
    name = _METRICS.get(metric, metric)
    if name == "cosine" and not np.any(X, axis=1).all():
        raise ValueError("Cosine affinity cannot be used when X contains zero vectors")
    _metrics.resolve_metric(name)
    return hierarchy.linkage(distance.pdist(X, name), method, preserve_input=False)


def _cut(tree: Array, n_clusters: int) -> Array:
    """Return labels numbered as scikit-learn does: in the order of a heap of the clusters, the last merge on top."""
    n = len(tree) + 1
    heap = [-(2 * n - 2)]
    for _ in range(n_clusters - 1):
        left, right = tree[-heap[0] - n, :2].astype(int)
        heapq.heappush(heap, -left)
        heapq.heappushpop(heap, -right)
    _, ranges = trees._leaf_ranges(trees._as_tree(tree))
    leaves = trees.leaves_list(tree)
    labels = np.empty(n, np.intp)
    for label, node in enumerate(heap):
        labels[leaves[slice(*ranges[-node])]] = label
    return labels
