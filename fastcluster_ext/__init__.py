"""Fast, exact clustering: compiled kernels behind a thin NumPy API."""

from fastcluster_ext._config import show_config
from fastcluster_ext.distance import cdist, nearest, pdist, squareform
from fastcluster_ext.hierarchy import (
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
from fastcluster_ext.kmeans import KMeansResult, KMeansStep, kmeans, kmeans_plusplus

__version__ = "0.1.0"

__all__ = [
    "ColorHistogram",
    "KMeansResult",
    "KMeansStep",
    "QuantizedImage",
    "__version__",
    "cdist",
    "cophenet",
    "cut_tree",
    "fcluster",
    "inconsistent",
    "kmeans",
    "kmeans_plusplus",
    "leaves_list",
    "linkage",
    "linkage_weights",
    "nearest",
    "optimal_leaf_ordering",
    "pdist",
    "quantize",
    "show_config",
    "squareform",
    "to_newick",
]
