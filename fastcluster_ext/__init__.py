"""Fast, exact clustering: compiled kernels behind a thin NumPy API."""

from typing import Any

from fastcluster_ext._config import show_config
from fastcluster_ext.distance import cdist, nearest, pdist, squareform
from fastcluster_ext.hierarchy import (
    LinkageStep,
    cophenet,
    cut_tree,
    fcluster,
    inconsistent,
    leaves_list,
    linkage,
    linkage_weights,
    optimal_leaf_ordering,
    to_newick,
)
from fastcluster_ext.image import ColorHistogram, QuantizedImage, quantize
from fastcluster_ext.image_tree import ColorTree, image_linkage
from fastcluster_ext.kmeans import KMeansResult, KMeansStep, kmeans, kmeans_many, kmeans_plusplus
from fastcluster_ext.kmedoids import KMedoidsResult, KMedoidsStep, kmedoids
from fastcluster_ext.stream import KMeansStream
from fastcluster_ext.validity import (
    ClusterInfo,
    adjusted_rand_score,
    calinski_harabasz_score,
    choose_k,
    cluster_spread,
    contingency,
    davies_bouldin_score,
    gap_statistic,
    medoid_silhouette_score,
    rand_score,
    silhouette_samples,
    silhouette_score,
    simplified_silhouette_samples,
)

__version__ = "0.1.0"

# Not in __all__: they import scikit-learn.
_ESTIMATORS = ("AgglomerativeClustering", "KMeans", "KMedoids", "MiniBatchKMeans")

__all__ = [
    "ClusterInfo",
    "ColorHistogram",
    "ColorTree",
    "KMeansResult",
    "KMeansStep",
    "KMeansStream",
    "KMedoidsResult",
    "KMedoidsStep",
    "LinkageStep",
    "QuantizedImage",
    "__version__",
    "adjusted_rand_score",
    "calinski_harabasz_score",
    "cdist",
    "choose_k",
    "cluster_spread",
    "contingency",
    "cophenet",
    "cut_tree",
    "davies_bouldin_score",
    "fcluster",
    "gap_statistic",
    "image_linkage",
    "inconsistent",
    "kmeans",
    "kmeans_many",
    "kmeans_plusplus",
    "kmedoids",
    "leaves_list",
    "linkage",
    "linkage_weights",
    "medoid_silhouette_score",
    "nearest",
    "optimal_leaf_ordering",
    "pdist",
    "quantize",
    "rand_score",
    "show_config",
    "silhouette_samples",
    "silhouette_score",
    "simplified_silhouette_samples",
    "squareform",
    "to_newick",
]


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        from fastcluster_ext import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
