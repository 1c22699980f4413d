"""The interface of the Python package `fastcluster`: its functions, arguments and error types.

What differs: single-precision distances are clustered in single precision; ties may be broken in another order.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _validation, distance, hierarchy
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array
from fastcluster_ext._vectors import LinkageCallback

__all__ = ["average", "centroid", "complete", "linkage", "linkage_vector", "median", "single", "ward", "weighted"]

_Linkage = npt.NDArray[np.float64]

_VECTOR_METHODS = ("single", "centroid", "median", "ward")


class _RefusedError(AssertionError, ValueError):
    """What `fastcluster` asserts; a ValueError too, which is what it should be."""


class _UnknownMetricError(KeyError, ValueError):
    """A metric that `linkage_vector` does not know: a KeyError in `fastcluster`."""


def _as_values(X: npt.ArrayLike) -> Array:
    """Return an array of numbers; as in `fastcluster`, text that is no number is a ValueError, and None is NaN."""
    array = np.asarray(X)
    return _validation.as_array(array.astype(np.float64) if array.dtype.kind in "OSU" else array, "X")


def linkage(
    X: npt.ArrayLike, method: str = "single", metric: Any = "euclidean", preserve_input: bool = True
) -> _Linkage:
    """Cluster a condensed distance matrix, or observations.

    Parameters
    ----------
    X : array_like of shape (n (n - 1) / 2,) or (n, p)
        Distances, infinite ones included; or observations.
    method : str, default "single"
        One of `fastcluster_ext.hierarchy.METHODS`, with any metric.
    metric : str or callable, default "euclidean"
        Of observations; what `fastcluster_ext.distance.pdist` does not know is left to SciPy, if it is installed.
    preserve_input : bool, default True
        False lets a condensed matrix be overwritten.

    Returns
    -------
    ndarray of shape (n - 1, 4), float64
        As from `fastcluster_ext.hierarchy.linkage`.

    Raises
    ------
    KeyError
        Unknown method.
    ValueError
        A length that no condensed matrix has, an unknown metric, text.
    AssertionError
        Neither one nor two dimensions (a ValueError at the same time).
    FloatingPointError
        NaN, given or computed.

    Examples
    --------
    >>> linkage([1.0, 4.0, 3.0], "average")
    array([[0. , 1. , 1. , 2. ],
           [2. , 3. , 3.5, 3. ]])
    """
    if method not in hierarchy.METHODS:
        raise KeyError(method)
    values = _as_values(X)
    if values.ndim == 2:
        if len(values) == 1:
            return np.empty((0, 4))
        distances = _pdist(values, metric)
        preserve_input = False
    elif values.ndim == 1:
        distances = np.ascontiguousarray(values, dtype=np.float32 if values.dtype == np.float32 else np.float64)
        preserve_input = preserve_input and np.shares_memory(distances, values)
    else:
        raise _RefusedError(f"X must have one or two dimensions, got {values.ndim}")
    return _cluster(distances, method, overwrite=not preserve_input)


def linkage_vector(
    X: npt.ArrayLike,
    method: str = "single",
    metric: Any = "euclidean",
    extraarg: Any = None,
    *,
    callback: LinkageCallback | None = None,
) -> _Linkage:
    """Cluster observations.

    Linkage of Euclidean distances takes O(n) memory where `fastcluster_ext.hierarchy.linkage` can do without a
    matrix and it pays; otherwise all n (n - 1) / 2 distances are held in memory.

    Parameters
    ----------
    X : array_like of shape (n, p)
        Observations.
    method : str, default "single"
        "single", or, with Euclidean distances only, "centroid", "median" or "ward".
    metric : str or callable, default "euclidean"
        As in `linkage`.
    extraarg : optional
        The metric's own argument: Minkowski's exponent.
    callback : callable, optional
        As for `fastcluster_ext.hierarchy.linkage`, if that does it; `fastcluster` has no such argument.

    Returns
    -------
    ndarray of shape (n - 1, 4), float64
        As from `fastcluster_ext.hierarchy.linkage`.

    Raises
    ------
    KeyError
        Unknown method.
    IndexError
        A method that needs a distance matrix.
    AssertionError
        Observations not two-dimensional, a metric that is not Euclidean where it must be, an `extraarg` for Euclidean
        distances (each a ValueError at the same time).
    TypeError
        Minkowski's exponent missing, or no number.
    ValueError
        No observations, no columns, an unknown metric (a KeyError at the same time), text.
    FloatingPointError
        NaN, given or computed.

    Examples
    --------
    >>> linkage_vector([[0.0], [1.0], [5.0]], "ward").round(3)
    array([[0.   , 1.   , 1.   , 2.   ],
           [2.   , 3.   , 5.196, 3.   ]])
    """
    if method not in hierarchy.METHODS:
        raise KeyError(method)
    if method not in _VECTOR_METHODS:
        raise IndexError(f"method {method!r} needs a distance matrix: use linkage")
    if method != "single" and metric != "euclidean":
        raise _RefusedError(f"method {method!r} needs Euclidean distances, got metric {metric!r}")
    values = _as_values(X)
    if values.ndim != 2:
        raise _RefusedError(f"X must have two dimensions, got {values.ndim}")
    if values.shape[0] and not values.shape[1]:
        raise ValueError("X must have at least one column")
    if metric == "euclidean" and extraarg is not None:
        raise _RefusedError("metric 'euclidean' has no extraarg")
    if metric == "minkowski" and extraarg is None:
        raise TypeError("metric 'minkowski' needs its exponent as extraarg")
    if len(values) == 1:
        return np.empty((0, 4))
    if metric == "euclidean" and values.size and np.isfinite(values).all():
        return hierarchy.linkage(values, method, callback=callback)
    try:
        distances = _pdist(values, metric, extraarg)
    except ValueError as error:
        if "metric" not in str(error).lower():
            raise
        raise _UnknownMetricError(str(error)) from None
    return _cluster(distances, method, overwrite=True)


def _pdist(values: Array, metric: Any, extraarg: Any = None) -> Array:
    exponent = extraarg if metric == "minkowski" else None
    if isinstance(metric, str) and (extraarg is None or metric == "minkowski"):
        try:
            return distance.pdist(values, metric, p=exponent)
        except ValueError:
            if len(values) == 0:
                raise
    try:
        scipy_distance = importlib.import_module("scipy.spatial.distance")
    except ImportError:
        raise ValueError(f"unknown metric {metric!r}; SciPy, which might know it, is not installed") from None
    options = {} if extraarg is None else {_EXTRA.get(metric, "p"): extraarg}
    return np.asarray(scipy_distance.pdist(values, metric, **options))


_EXTRA = {"seuclidean": "V", "mahalanobis": "VI", "minkowski": "p"}


def _cluster(distances: Array, method: str, *, overwrite: bool) -> _Linkage:
    n = hierarchy._observations(distances)
    return hierarchy._agglomerate(
        distances, n, method, None, _check, overwrite=overwrite, n_threads=resolve_threads(None)
    )


def _check(extremes: tuple[float, float]) -> None:
    if math.isnan(extremes[0]):
        raise FloatingPointError("NaN dissimilarity value.")


def single(D: npt.ArrayLike) -> _Linkage:
    """Return `linkage(D, "single")`."""
    return linkage(D, "single")


def complete(D: npt.ArrayLike) -> _Linkage:
    """Return `linkage(D, "complete")`."""
    return linkage(D, "complete")


def average(D: npt.ArrayLike) -> _Linkage:
    """Return `linkage(D, "average")`."""
    return linkage(D, "average")


def weighted(D: npt.ArrayLike) -> _Linkage:
    """Return `linkage(D, "weighted")`."""
    return linkage(D, "weighted")


def ward(D: npt.ArrayLike) -> _Linkage:
    """Return `linkage(D, "ward")`."""
    return linkage(D, "ward")


def centroid(D: npt.ArrayLike) -> _Linkage:
    """Return `linkage(D, "centroid")`."""
    return linkage(D, "centroid")


def median(D: npt.ArrayLike) -> _Linkage:
    """Return `linkage(D, "median")`."""
    return linkage(D, "median")
