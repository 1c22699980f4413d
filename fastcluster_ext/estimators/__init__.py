"""Estimators with scikit-learn's interface; they need the extra `sklearn`. One module an estimator."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "AgglomerativeClustering": "_agglomerative",
    "KMeans": "_kmeans",
    "KMedoids": "_kmedoids",
    "MiniBatchKMeans": "_minibatch",
}

__all__ = ["AgglomerativeClustering", "KMeans", "KMedoids", "MiniBatchKMeans"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{name} needs scikit-learn: pip install 'fastcluster_ext[sklearn]'") from error
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
