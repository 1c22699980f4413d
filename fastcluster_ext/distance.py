"""Distances between the rows of matrices: SciPy's functions, threaded, and in float32 as well as in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels, _validation
from fastcluster_ext._memory import allocate
from fastcluster_ext._metrics import Metric, resolve_metric
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array

__all__ = ["cdist", "nearest", "pdist", "squareform"]


def pdist(
    X: npt.ArrayLike,
    metric: str = "euclidean",
    *,
    out: Array | None = None,
    p: float | None = None,
    dtype: npt.DTypeLike | None = None,
    n_threads: int | None = None,
) -> Array:
    """Return the distances of all pairs of rows, condensed.

    A drop-in for `scipy.spatial.distance.pdist`: the same names, values, order and errors, threaded, and in single
    precision if the data are.

    Parameters
    ----------
    X : array_like of shape (n, p)
        The points. uint8, uint16, float32 and float64 are used as they are, whatever their strides; booleans count as
        0 and 1, other integers become float64. Never modified; NaN and infinity are taken as SciPy takes them.
    metric : str, default "euclidean"
        "euclidean", "sqeuclidean", "cityblock" ("manhattan"), "chebyshev" ("chebychev"), "minkowski", "cosine",
        "correlation", "canberra", "braycurtis", "hamming" or "jaccard" (of nonzero values), or one of SciPy's short
        names of these.
    out : ndarray of shape (n (n - 1) / 2,), optional
        Where the distances go: C-contiguous, float32 or float64; a memory map will do. Returned.
    p : float, optional
        Minkowski's exponent, greater than 0; by default 2.
    dtype : float32 or float64, optional
        Of the result. By default that of `out`, else float32 for data of float32 or float16, else float64. float64
        data are always computed in float64, and rounded at the end if need be.
    n_threads : int, optional
        By default as many as this process may use. It never changes a result.

    Returns
    -------
    ndarray of shape (n (n - 1) / 2,)
        The distance of rows i < j is at `n * i - i * (i + 1) // 2 + (j - i - 1)`.

    Raises
    ------
    TypeError
        If an argument has a wrong type: X of text or complex numbers, a metric that is no string, `p` with a metric
        that has no exponent.
    ValueError
        If X is not two-dimensional, the metric is unknown, `p` is not positive, or `out` has a wrong shape or dtype.
    MemoryError
        If the distances are more bytes, which it names, than there are; before anything is computed.

    See Also
    --------
    squareform : turns the result into a matrix and back.

    Notes
    -----
    O(n^2 p) time; beside the result, memory for one copy of X. Rows that are equal are at distance exactly 0, and a
    common offset costs no digits, since differences are taken directly (but see below). float64 results agree with
    SciPy's within 1e-12 relatively (cosine and correlation, which SciPy takes as 1 - cos: within 1e-14 absolutely).
    float32 results have a relative error of at most about (min(p, 64) + p / 64 + 8) 2^-24, cosine and correlation the
    same beside 1. All are the same bits for every number of threads, and for every instruction set except where squares
    are added up ("euclidean", "sqeuclidean", "cosine", "correlation"): x86-64-v2, which has no fused multiply-add, may
    differ there from -v3 and -v4, by no more than the errors named here. Squares are taken in the dtype of the data:
    with float32, differences beyond about 1e19, or below 1e-19 and not 0, need ``dtype=float`` where a metric squares
    them; with float64, beyond 1e154 or below 1e-154, rescaling. Higher powers (Minkowski's) are float64's in any case.

    Euclidean and city-block distances of float64, of 32 to 16384 columns, come from inner products and sums of maxima,
    sooner by a third and on some processors by a fifth, wherever that is proven to be right within 5e-13, and else from
    differences: for rows that are near each other beside their distance from 0 (of up to 1000 columns, nearer than a
    fifth of it, city-block a twenty-fifth). Where these are some of the pairs but not most, at random, all takes up to
    1.7 times as long as differences alone would; centered, or sorted by groups, the same rows may take less.

    Correlation with a constant row, cosine with a row of zeros and Bray-Curtis of two such rows are NaN, as in SciPy.
    Minkowski's powers are the C library's, one by one: several times slower than the other metrics. SciPy's weights
    (`w`), its other metrics and functions as metrics are not offered.

    Examples
    --------
    >>> from fastcluster_ext import pdist
    >>> pdist([[1, 1], [2, 1], [4, 5], [7, 7], [5, 7]]).round(1)
    array([1. , 5. , 8.5, 7.2, 4.5, 7.8, 6.7, 3.6, 2.2, 2. ])
    """
    found = resolve_metric(metric, p)
    rows = _as_rows(X, "X")
    threads = resolve_threads(n_threads)
    n = rows.shape[0]
    result = _result(out, (n * (n - 1) // 2,), _result_dtype(dtype, out, rows), "the condensed distances")
    if result.size:
        single = _in_single(found, result, rows)
        _kernels.load("pairwise").condensed(rows, result, found.code, found.exponent, single, n_threads=threads)
    return result


def cdist(
    XA: npt.ArrayLike,
    XB: npt.ArrayLike,
    metric: str = "euclidean",
    *,
    out: Array | None = None,
    p: float | None = None,
    dtype: npt.DTypeLike | None = None,
    n_threads: int | None = None,
) -> Array:
    """Return the distances of all rows of XA to all rows of XB.

    A drop-in for `scipy.spatial.distance.cdist`: the same names, values and errors, threaded, and in single precision
    if the data are.

    Parameters
    ----------
    XA : array_like of shape (n, p)
        Points, as for `pdist`.
    XB : array_like of shape (m, p)
        Points, as for `pdist`.
    metric, p, n_threads
        As for `pdist`.
    out : ndarray of shape (n, m), optional
        Where the distances go: C-contiguous, float32 or float64; a memory map will do. Returned.
    dtype : float32 or float64, optional
        Of the result. By default that of `out`, else float32 if both XA and XB are float32 or float16, else float64.

    Returns
    -------
    ndarray of shape (n, m)

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `pdist` does, and ValueError if XA and XB have different numbers of columns.

    Notes
    -----
    O(n m p) time; beside the result, at most 256 MB for copies of the points. Accuracy as for `pdist`.

    Examples
    --------
    >>> from fastcluster_ext import cdist
    >>> cdist([[0, 0], [3, 4]], [[0, 0], [0, 4], [3, 0]], "cityblock")
    array([[0., 4., 3.],
           [7., 3., 4.]])
    """
    found = resolve_metric(metric, p)
    rows, others = _as_rows(XA, "XA"), _as_rows(XB, "XB")
    _check_same_features(rows, others, "XA", "XB")
    threads = resolve_threads(n_threads)
    shape = (rows.shape[0], others.shape[0])
    result = _result(out, shape, _result_dtype(dtype, out, rows, others), "the matrix of distances")
    if result.size:
        if out is not None:
            # Points are read slice by slice while results are written, so they must not share memory.
            rows, others = (points.copy() if np.may_share_memory(points, out) else points for points in (rows, others))
        single = _in_single(found, result, rows, others)
        kernel = _kernels.load("pairwise").rectangular
        kernel(rows, others, result, found.code, found.exponent, single, n_threads=threads)
    return result


def nearest(
    X: npt.ArrayLike,
    centers: npt.ArrayLike,
    metric: str = "euclidean",
    *,
    p: float | None = None,
    n_threads: int | None = None,
) -> tuple[npt.NDArray[np.int32], Array]:
    """Return, for every row of X, the index of the nearest center and the distance to it.

    Parameters
    ----------
    X : array_like of shape (n, p)
        The points, all finite; dtypes as for `pdist`.
    centers : array_like of shape (k, p)
        The centers, all finite.
    metric, p, n_threads
        As for `pdist`.

    Returns
    -------
    labels : ndarray of int32, shape (n,)
        Those of a search through all float64 distances; equal distances go to the lowest index.
    distances : ndarray of shape (n,)
        float32 if X is float32 or float16, else float64.

    Raises
    ------
    TypeError
        As `pdist` does.
    ValueError
        If X or `centers` is empty, not two-dimensional or not finite, if their numbers of columns differ, or if a point
        is at no defined distance from any center: the correlation of a constant row, say.

    Notes
    -----
    O(n k p) time and O(n + k p) memory: no n x k matrix. For "euclidean" and "sqeuclidean" a float32 filter leaves few
    candidates to float64; all other metrics are computed in float64.

    Examples
    --------
    >>> from fastcluster_ext import nearest
    >>> labels, distances = nearest([[0, 0], [3, 4], [9, 9]], [[0, 0], [9, 8]])
    >>> labels, distances
    (array([0, 0, 1], dtype=int32), array([0., 5., 1.]))
    """
    found = resolve_metric(metric, p)
    threads = resolve_threads(n_threads)
    points = _validation.as_points(_without_booleans(X), "X", n_threads=threads)
    others = _validation.as_points(_without_booleans(centers), "centers", n_threads=threads)
    _check_same_features(points, others, "X", "centers")
    labels = allocate(points.shape[0], np.int32, "labels")
    distances = allocate(points.shape[0], np.float64, "distances")
    kernels = _kernels.load("pairwise")
    if found.name in ("euclidean", "sqeuclidean"):
        exact = np.ascontiguousarray(others, dtype=np.float64)
        kernels.nearest_euclidean(points, exact, labels, distances, found.euclidean, n_threads=threads)
    else:
        kernels.nearest(points, others, labels, distances, found.code, found.exponent, n_threads=threads)
        _check_defined(labels, found)
    return labels, distances.astype(np.float32) if points.dtype == np.float32 else distances


def squareform(X: npt.ArrayLike, force: str = "no", checks: bool = True) -> Array:
    """Turn condensed distances into the full symmetric matrix, or such a matrix into condensed distances.

    A drop-in for `scipy.spatial.distance.squareform`.

    Parameters
    ----------
    X : array_like of shape (n (n - 1) / 2,) or (n, n)
        Condensed distances, or a distance matrix. Any dtype.
    force : {"no", "tomatrix", "tovector"}, default "no"
        "tomatrix" demands condensed input, "tovector" a matrix.
    checks : bool, default True
        Whether a matrix must be symmetric and zero on its diagonal. Without, its upper triangle is taken.

    Returns
    -------
    ndarray
        Of the dtype of X, and never sharing its memory.

    Raises
    ------
    ValueError
        If X is no such vector or matrix, or not the one that `force` demands.
    MemoryError
        If the result is more bytes, which it names, than there are.

    Notes
    -----
    O(n^2) time, bound by memory.

    Examples
    --------
    >>> from fastcluster_ext import squareform
    >>> squareform([1.0, 5.0, 4.5])
    array([[0. , 1. , 5. ],
           [1. , 0. , 4.5],
           [5. , 4.5, 0. ]])
    """
    array = np.asarray(X)
    if force.lower() == "tomatrix" and array.ndim != 1:
        raise ValueError("Forcing 'tomatrix' but input X is not a distance vector.")
    if force.lower() == "tovector" and array.ndim != 2:
        raise ValueError("Forcing 'tovector' but input X is not a distance matrix.")
    if array.ndim == 1:
        return _to_matrix(array)
    if array.ndim == 2:
        return _to_condensed(array, checks)
    raise ValueError(
        f"The first argument must be one or two dimensional array. A {array.ndim}-dimensional array is not permitted"
    )


# Rows and columns of a square block that is transposed, or compared with its mirror image, at once: two of them fit in
# the second-level cache.
_BLOCK = 256


def _to_matrix(condensed: Array) -> Array:
    n = math.isqrt(2 * condensed.size) + 1
    if n * (n - 1) != 2 * condensed.size:
        raise ValueError(
            "Incompatible vector size. It must be a binomial coefficient n choose 2 for some integer n >= 2."
        )
    matrix = allocate((n, n), condensed.dtype, "the square distance matrix")
    at = 0
    for i in range(n):
        matrix[i, i] = 0
        matrix[i, i + 1 :] = condensed[at : at + n - i - 1]
        at += n - i - 1
    for begin in range(0, n, _BLOCK):
        own = slice(begin, begin + _BLOCK)
        for i in range(begin, min(begin + _BLOCK, n)):
            matrix[i + 1 : begin + _BLOCK, i] = matrix[i, i + 1 : begin + _BLOCK]
        for right in range(begin + _BLOCK, n, _BLOCK):
            matrix[right : right + _BLOCK, own] = matrix[own, right : right + _BLOCK].T
    return matrix


def _to_condensed(matrix: Array, checks: bool) -> Array:
    n = matrix.shape[0]
    if matrix.shape[1] != n:
        raise ValueError("The matrix argument must be square.")
    if checks:
        _check_symmetric(matrix)
    condensed = allocate(n * (n - 1) // 2, matrix.dtype, "the condensed distances")
    at = 0
    for i in range(n - 1):
        condensed[at : at + n - i - 1] = matrix[i, i + 1 :]
        at += n - i - 1
    return condensed


def _check_symmetric(matrix: Array) -> None:
    n = matrix.shape[0]
    for begin in range(0, n, _BLOCK):
        own = slice(begin, begin + _BLOCK)
        for right in range(begin, n, _BLOCK):
            other = slice(right, right + _BLOCK)
            if not (matrix[own, other] == matrix[other, own].T).all():
                raise ValueError("Distance matrix 'X' must be symmetric.")
    if matrix.diagonal().any():
        raise ValueError("Distance matrix 'X' diagonal must be zero.")


def _without_booleans(values: Any) -> Any:
    """Return an array of booleans as the bytes it holds, 0 and 1, which kernels read; anything else as it is."""
    return values.view(np.uint8) if isinstance(values, np.ndarray) and values.dtype == np.bool_ else values


def _as_rows(values: Any, name: str) -> Array:
    """Return a 2-D array as kernels read it; as in SciPy it may be empty and hold NaN and infinity."""
    array = _validation.as_array(_without_booleans(values), name)
    if array.ndim != 2:
        raise ValueError(f"A 2-dimensional array must be passed as {name}. (Shape was {array.shape}).")
    return array


def _check_same_features(rows: Array, others: Array, name: str, other_name: str) -> None:
    if rows.shape[1] != others.shape[1]:
        raise ValueError(
            f"{name} and {other_name} must have the same number of columns (i.e. feature dimension), "
            f"got {rows.shape[1]} and {others.shape[1]}."
        )


def _result_dtype(dtype: npt.DTypeLike | None, out: Array | None, *points: Array) -> np.dtype[Any]:
    if dtype is not None:
        chosen = np.dtype(dtype)
        if chosen not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, got {chosen}")
        return chosen
    if isinstance(out, np.ndarray):
        return np.dtype(np.float32 if out.dtype == np.float32 else np.float64)
    return np.dtype(np.float32 if all(array.dtype == np.float32 for array in points) else np.float64)


def _result(out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any], purpose: str) -> Array:
    """Return `out`, if it can take the distances, or a new array."""
    if out is None:
        return allocate(shape, dtype, purpose)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy array, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"Output array has incorrect shape: {out.shape}, not {shape}.")
    if not out.flags.c_contiguous:
        raise ValueError("Output array must be C-contiguous.")
    if not out.flags.writeable or not out.flags.aligned:
        raise ValueError("Output array must be writable and aligned.")
    if out.dtype != dtype or not out.dtype.isnative:
        raise ValueError(f"Output array must be of {dtype}, not {out.dtype}.")
    return out


def _in_single(metric: Metric, result: Array, *points: Array) -> bool:
    """Return whether to compute in float32: it holds the result and every value of the points exactly.

    Powers above the second leave its range for ordinary numbers (10 000 to the tenth), so they are float64's.
    """
    powers = metric.name == "minkowski" and metric.exponent > 2
    return not powers and result.dtype == np.float32 and all(array.dtype != np.float64 for array in points)


def _check_defined(labels: npt.NDArray[np.int32], metric: Metric) -> None:
    undefined = np.flatnonzero(labels < 0)
    if undefined.size:
        raise ValueError(
            f"row {undefined[0]} of X has no finite {metric.name} distance to any center"
            + (" (it or all centers are constant, or zero)" if metric.may_be_nan else "; rescale the data")
        )
