"""Hierarchical clustering: SciPy's `linkage`, threaded, in float32 as well as in float64, and with weights.

What is read off a dendrogram (`cut_tree`, `fcluster`, `cophenet`, ...) is in `fastcluster_ext.trees` and can be
imported from here too.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels, _validation, _vectors
from fastcluster_ext._memory import allocate, available_bytes
from fastcluster_ext._metrics import resolve_metric
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array
from fastcluster_ext._vectors import LinkageCallback, LinkageStep
from fastcluster_ext.distance import pdist
from fastcluster_ext.trees import (
    cophenet,
    cut_tree,
    fcluster,
    inconsistent,
    leaves_list,
    linkage_weights,
    optimal_leaf_ordering,
    to_newick,
)

__all__ = [
    "METHODS",
    "ClusterWarning",
    "LinkageStep",
    "cophenet",
    "cut_tree",
    "fcluster",
    "inconsistent",
    "leaves_list",
    "linkage",
    "linkage_weights",
    "optimal_leaf_ordering",
    "to_newick",
]


class ClusterWarning(UserWarning):
    """The data look like something else than what they are taken for."""


class _Method(NamedTuple):
    code: int  # lw_method in src/hierarchy/lance_williams.h; -1: single linkage has its own algorithm
    sized: bool  # sizes of clusters count
    squared: bool  # the formula is linear in squared distances, which must be Euclidean to mean anything
    ordered: bool  # merges come out in no particular order and are sorted by height


_METHODS = {
    "single": _Method(-1, sized=False, squared=False, ordered=True),
    "complete": _Method(0, sized=False, squared=False, ordered=True),
    "average": _Method(1, sized=True, squared=False, ordered=True),
    "weighted": _Method(2, sized=False, squared=False, ordered=True),
    "ward": _Method(3, sized=True, squared=True, ordered=True),
    "centroid": _Method(4, sized=True, squared=True, ordered=False),
    "median": _Method(5, sized=False, squared=True, ordered=False),
}

METHODS = tuple(_METHODS)

# If the largest distance is between these, squares of distances, times the sizes of two clusters, can neither overflow
# nor vanish; others are scaled first, by a power of two.
_SAFE_TO_SQUARE = {np.dtype(np.float32): (1e-12, 1e13), np.dtype(np.float64): (1e-120, 1e140)}

# How many times larger than another one a weight may be: where squares are multiplied by products of two, and where
# distances are multiplied by one.
_PRODUCTS_RANGE = {np.dtype(np.float32): 1e15, np.dtype(np.float64): 1e120}
_SHARES_RANGE = {np.dtype(np.float32): 1e25, np.dtype(np.float64): 1e200}


def linkage(
    y: npt.ArrayLike,
    method: str = "single",
    metric: str = "euclidean",
    optimal_ordering: bool = False,
    *,
    weights: npt.ArrayLike | None = None,
    memory: str = "auto",
    preserve_input: bool = True,
    dtype: npt.DTypeLike | None = None,
    n_threads: int | None = None,
    callback: LinkageCallback | None = None,
) -> npt.NDArray[np.float64]:
    """Cluster observations, or what a condensed distance matrix stands for, from n clusters down to one.

    A drop-in for `scipy.cluster.hierarchy.linkage`: the same Z, errors and warnings.

    Parameters
    ----------
    y : array_like of shape (n (n - 1) / 2,) or (n, p)
        A condensed distance matrix, float32 or float64 (anything else becomes float64), or n observations.
    method : str, default "single"
        "single", "complete", "average" (UPGMA), "weighted" (WPGMA), "centroid" (UPGMC), "median" (WPGMC) or "ward". The
        last three only mean something for Euclidean distances.
    metric : str, default "euclidean"
        Of observations, as in `fastcluster_ext.distance.pdist`; not looked at when `y` is condensed.
    optimal_ordering : bool, default False
        Swap subtrees so that neighboring leaves are as near as they can be; see `optimal_leaf_ordering`.
    weights : array_like of shape (n,), optional
        Sizes of the initial clusters (R's `members`), all positive. The result has the heights that repeating rows has,
        less the joins at height 0; ward's distances are scaled by sqrt(2 w w' / (w + w')) to begin with. Column 3 of Z
        counts observations all the same; `linkage_weights` gives weights. Single, complete, weighted and median linkage
        do not depend on sizes.
    memory : str, default "auto"
        "matrix" computes all n (n - 1) / 2 distances of observations. "vector" takes O(n p) memory and searches for
        nearest neighbors instead: single, complete, average and weighted linkage of Euclidean distances (metric
        "euclidean") or squared ones ("sqeuclidean"), ward, centroid and median linkage of Euclidean ones. "auto"
        chooses the latter where it can be had for at least 1000 observations of up to 3 columns, twice as many for each
        column more, up to 8; or where the distances would not fit.
    preserve_input : bool, default True
        False lets a float32 or float64 condensed matrix be overwritten, which saves a copy of it.
    dtype : float32 or float64, optional
        Of the distances; by default that of `y`. Without a matrix everything is computed in float64.
    n_threads : int, optional
        By default as many as this process may use. It never changes a result.
    callback : callable, optional
        Called with a `LinkageStep` several times a second, and at the end; with a matrix, at the end. What it returns
        is not looked at: half a tree is none. An exception that it raises ends the computation.

    Returns
    -------
    ndarray of shape (n - 1, 4), float64
        Row i merges clusters Z[i, 0] < Z[i, 1] (numbers below n are observations, n + j is the cluster of row j) at
        height Z[i, 2] into one of Z[i, 3] observations. Heights ascend, but for centroid and median linkage, which may
        have inversions.

    Raises
    ------
    ValueError
        Unknown method or metric; ``memory="vector"`` with what it is not for; a method for Euclidean distances with
        another metric; no or one observation; a length that no condensed matrix has; distances or observations that are
        not finite (their place is named), or, where distances must be Euclidean, negative or far from it; weights not
        positive, or, with a matrix, beyond a factor of 1e120 for ward and centroid linkage, 1e200 for average linkage
        (float32: 1e15, 1e25).
    MemoryError
        If the distances or the working copy do not fit, naming the bytes, before they are allocated.

    Warns
    -----
    ClusterWarning
        If `y` looks like a square distance matrix.

    Notes
    -----
    Of equal distances the one between lower positions counts, a merged cluster having the later position of its two
    (centroid and median: or the earlier); with single linkage that of the lowest observation, then that of the lowest
    other one. Complete, average, weighted and ward merge several times between two passes over the distances; then a
    tie is between the near neighbors that were found, and another one as near may count later. Time O(n^2) (centroid
    and median: for most data). Memory for the working copy: n (n - 1) / 2 distances, as a rule half of that, a quarter
    at most for single; beside it, and with ``preserve_input=False`` alone (single: with a tenth), blocks of a few rows.
    Single linkage is the minimum spanning tree of the matrix (src/hierarchy/spanning.pyx). Complete, average, weighted
    and ward merge reciprocal nearest neighbors, and those that they become, by lists of the nearest of each
    (src/hierarchy/mutual.h), or follow nearest-neighbor chains where there are few. Centroid and median merge the
    closest pair first, by all pairs that are near (src/hierarchy/closest.h), or search rows one by one where that does
    not pay.

    Without a matrix single linkage is that tree, of the points (src/hierarchy/boruvka.pyx). For other methods equal
    observations merge first; then the same is done as with a matrix, but with centers of clusters in a tree of boxes
    that is searched for nearest neighbors (src/hierarchy/vectors.pyx), and the lowest of equally near ones counts. In
    few dimensions a search takes O(log n) time or so, and there are a few for each observation; in many, O(n p).
    Complete linkage looks for the farthest pair of the few clusters that may be nearest; average and weighted linkage
    of plain distances add up all pairs of those, O(n^2) in all. Centers have twice the digits of float64, so that
    heights are as exact as with a matrix, however near clusters are to each other beside their distance from 0.

    Examples
    --------
    >>> points = [[1, 1], [2, 1], [4, 5], [7, 7], [5, 7]]
    >>> linkage(points, "complete").round(3)
    array([[0.   , 1.   , 1.   , 2.   ],
           [3.   , 4.   , 2.   , 2.   ],
           [2.   , 6.   , 3.606, 3.   ],
           [5.   , 7.   , 8.485, 5.   ]])
    """
    if method not in _METHODS:
        raise ValueError(f"Invalid method: {method!r}; it must be one of {', '.join(map(repr, METHODS))}")
    _vectors.check_callback(callback)
    threads = resolve_threads(n_threads)
    values = _validation.as_array(y, "y")
    wanted = _working_dtype(values, dtype)
    _validation.check_option(memory, "memory", ("auto", "matrix", "vector"))
    if values.ndim == 2 and _without_matrix(values, method, metric, memory, optimal_ordering):
        tree = _merge_points(values, method, metric, weights, n_threads=threads, callback=callback)
        return optimal_leaf_ordering(tree, values, metric, n_threads=n_threads) if optimal_ordering else tree
    if values.ndim == 2:
        if _METHODS[method].squared and not resolve_metric(metric).euclidean:
            raise ValueError(f"method={method!r} requires the distance metric to be Euclidean, got {metric!r}")
        _warn_of_square(values)
        if len(values) < 2:
            raise ValueError(f"y must hold at least two observations, got {len(values)}")
        distances = pdist(values, metric, dtype=wanted, n_threads=n_threads)
        preserve_input = False
    elif values.ndim == 1:
        if memory == "vector":
            raise ValueError("memory='vector' takes observations, not a condensed distance matrix")
        distances = np.ascontiguousarray(values, dtype=wanted)
        preserve_input = preserve_input and np.shares_memory(distances, values)
    else:
        raise ValueError(f"y must be 1 or 2 dimensional, got {values.ndim} dimensions")
    n = _observations(distances)
    sizes = _as_sizes(weights, n)
    kept = distances.copy() if optimal_ordering and not preserve_input else distances
    if method == "single":
        tree = _span(distances, n, infinite=False, overwrite=not preserve_input, n_threads=threads)
    else:
        tree = _agglomerate_finite(distances, n, method, sizes, overwrite=not preserve_input, n_threads=threads)
    if callback is not None:
        callback(LinkageStep(n - 1, n - 1))
    return optimal_leaf_ordering(tree, kept, n_threads=n_threads) if optimal_ordering else tree


def _as_sizes(weights: npt.ArrayLike | None, n: int) -> npt.NDArray[np.float64] | None:
    sizes = _validation.as_weights(weights, n, "weights")
    if sizes is not None and not sizes.min() > 0:
        raise ValueError(f"weights must be positive, got 0 at position {int(sizes.argmin())}")
    return sizes


def _without_matrix(values: Array, method: str, metric: str, memory: str, optimal_ordering: bool) -> bool:
    """Decide whether observations are clustered without their distances."""
    name = resolve_metric(metric).name
    if not _vectors.possible(method, name):
        if memory == "vector":
            raise ValueError(f"memory='vector' is not for method={method!r} with metric={metric!r}")
        return False
    n, p = values.shape
    if memory != "auto":
        return memory == "vector"
    needed = 8.0 * n * (n - 1) / 2
    return not optimal_ordering and (_vectors.pays(n, p) or needed > available_bytes())


def _merge_points(
    values: Array,
    method: str,
    metric: str,
    weights: npt.ArrayLike | None,
    *,
    n_threads: int,
    callback: LinkageCallback | None,
) -> npt.NDArray[np.float64]:
    """Return Z of observations, without their distances."""
    if len(values) < 2:
        raise ValueError(f"y must hold at least two observations, got {len(values)}")
    points = _validation.as_points(values, "y", finite=False)
    _validation.check_finite(points, "y", limit=sys.float_info.max, n_threads=n_threads)
    sizes = _as_sizes(weights, len(points))
    return _vectors.link_points(
        points, method, resolve_metric(metric).name, sizes, n_threads=n_threads, callback=callback
    )


def _agglomerate_finite(
    distances: Array,
    n: int,
    method: str,
    sizes: npt.NDArray[np.float64] | None,
    *,
    overwrite: bool,
    n_threads: int,
) -> npt.NDArray[np.float64]:
    """Return Z from a contiguous condensed matrix; ValueError if distances are not what they must be."""

    def check(extremes: tuple[float, float]) -> None:
        if not all(map(math.isfinite, extremes)):
            raise ValueError(_describe_not_finite(distances, n))
        if _METHODS[method].squared and extremes[0] < 0:
            raise ValueError(f"method={method!r} requires Euclidean distances, but y holds {extremes[0]}")

    try:
        return _agglomerate(distances, n, method, sizes, check, overwrite=overwrite, n_threads=n_threads)
    except FloatingPointError as error:
        raise ValueError(f"{error}: they are not Euclidean") from None


def _agglomerate(
    distances: Array,
    n: int,
    method: str,
    sizes: npt.NDArray[np.float64] | None,
    check: Callable[[tuple[float, float]], None],
    *,
    overwrite: bool,
    n_threads: int,
) -> npt.NDArray[np.float64]:
    """Return Z from a contiguous condensed matrix; FloatingPointError if distances do not remain numbers.

    `check` is called with the least and the greatest distance (NaN if there is one) before anything is merged.
    """
    code, sized, squared, ordered = _METHODS[method]
    pairs = np.empty((2, n - 1), np.int32)
    heights = np.empty(n - 1)
    if method == "single":
        check(_extremes(distances, n_threads))
        return _span(distances, n, infinite=True, overwrite=overwrite, n_threads=n_threads)
    scale, finite, unit = 0.0, True, 1.0
    if not sized or sizes is None:
        sizes = None
    else:
        _check_range(sizes, distances.dtype, (_PRODUCTS_RANGE if squared else _SHARES_RANGE)[distances.dtype])
        sizes, unit = _near_one(sizes)

    def room(count: int) -> Array:
        return allocate(count, distances.dtype, f"the working copy of the distances of {n} points").view(np.int8)

    def scale_of(least: float, greatest: float, all_finite: bool) -> float:
        nonlocal scale, finite
        finite = all_finite
        extremes = (least, greatest) if finite else _extremes(distances, n_threads)
        check(extremes)
        scale = _scale_to_square(distances.dtype, extremes) if squared else 0.0
        return scale

    defined = _kernels.load("agglomerate").agglomerate(
        distances.view(np.int8),
        None if overwrite and distances.flags.writeable else room,
        n,
        is_double=distances.dtype == np.float64,
        method=code,
        weights=sizes,
        scale_of=scale_of,
        pairs=pairs,
        heights=heights,
        n_threads=n_threads,
    )
    if squared:
        with np.errstate(invalid="ignore"):
            heights = np.sqrt(_without_rounding(heights), out=heights)
        heights /= scale
        if method == "ward":
            with np.errstate(over="ignore"):
                heights *= math.sqrt(unit)
    if finite and np.isinf(heights).any():
        raise ValueError(
            f"{'distances' if sizes is None else 'weights and distances'} are so large that heights overflow"
        )
    if not defined or np.isnan(heights).any():
        raise FloatingPointError(f"{method} linkage of these distances leads to heights that are not numbers")
    if ordered:
        _vectors.raise_above_children(pairs, heights)
    return _vectors.as_linkage(pairs, heights, ordered=ordered)


def _span(distances: Array, n: int, *, infinite: bool, overwrite: bool, n_threads: int) -> npt.NDArray[np.float64]:
    """Return Z of single linkage; ValueError if a distance is not finite, unless it may be infinite."""
    pairs = np.empty((2, n - 1), np.int32)
    heights = np.empty(n - 1)

    def room(count: int) -> Array:
        return allocate(count, distances.dtype, f"the distances of parts of {n} points").view(np.int8)

    finite = _kernels.load("spanning").spanning_tree(
        distances.view(np.int8),
        room,
        n,
        few=n // (5 if overwrite else 3),
        is_double=distances.dtype == np.float64,
        infinite=infinite,
        pairs=pairs,
        heights=heights,
        n_threads=n_threads,
    )
    if not finite:
        raise ValueError(_describe_not_finite(distances, n))
    return _vectors.as_linkage(pairs, heights, ordered=True, rounds=np.zeros(n - 1, np.int32))


def _check_range(sizes: npt.NDArray[np.float64], dtype: np.dtype[Any], most: float) -> None:
    """Raise ValueError for sizes further apart than products with distances of this dtype can bear."""
    if sizes.max() / most > sizes.min():
        raise ValueError(
            f"weights of {dtype} distances may differ by a factor of {most:g}, got {sizes.min()} and {sizes.max()}"
        )


def _near_one(sizes: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float]:
    """Return sizes divided by a power of four, so that the largest is about 1, and that power."""
    exponent = math.frexp(sizes.max())[1] // 2 * 2
    return np.ldexp(sizes, -exponent), math.ldexp(1.0, exponent)


def _without_rounding(squares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the squares with those that only rounding has made negative at 0."""
    tolerance = 1e-6 * float(np.max(np.abs(squares), initial=0.0))
    return np.where((squares < 0) & (squares > -tolerance), 0.0, squares)


def _working_dtype(values: Array, dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    if dtype is None:
        return np.dtype(np.float32 if values.dtype == np.float32 else np.float64)
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {np.dtype(dtype)}")
    return np.dtype(dtype)


def _observations(distances: Array) -> int:
    """Return how many observations a condensed matrix is of."""
    if len(distances) == 0:
        raise ValueError("The number of observations cannot be determined on an empty distance matrix.")
    n = (1 + math.isqrt(1 + 8 * len(distances))) // 2
    if n * (n - 1) // 2 != len(distances):
        raise ValueError(f"y has {len(distances)} values, which is not n (n - 1) / 2 for any n: not a condensed matrix")
    if n > np.iinfo(np.int32).max:
        raise ValueError(f"y is of {n} observations; at most 2**31 - 1 are supported")
    return n


def _extremes(distances: Array, n_threads: int) -> tuple[float, float]:
    """Return the least and the greatest distance; NaN if there is one."""
    least, greatest = _kernels.load("agglomerate").condensed_extremes(
        distances.view(np.int8), len(distances), is_double=distances.dtype == np.float64, n_threads=n_threads
    )
    return float(least), float(greatest)


def _scale_to_square(dtype: np.dtype[Any], extremes: tuple[float, float]) -> float:
    largest = max(map(abs, extremes))
    low, high = _SAFE_TO_SQUARE[dtype]
    if low < largest < high or largest == 0 or not math.isfinite(largest):
        return 1.0
    return math.ldexp(1.0, min(-math.frexp(largest)[1], int(np.finfo(dtype).maxexp) - 1))


def _describe_not_finite(distances: Array, n: int) -> str:
    position = int(np.flatnonzero(~np.isfinite(distances))[0])
    row = 0
    while position >= n - 1 - row:
        position -= n - 1 - row
        row += 1
    other = row + 1 + position
    reason = ""
    for candidate in (row, other):
        before = np.arange(candidate)
        of_candidate = np.concatenate(
            (
                distances[before * (2 * n - before - 3) // 2 - 1 + candidate],
                distances[candidate * (2 * n - candidate - 1) // 2 :][: n - 1 - candidate],
            )
        )
        if n > 2 and not np.isfinite(of_candidate).any():
            reason = f"; so are all distances of row {candidate}"
            break
    value = distances[row * (2 * n - row - 3) // 2 - 1 + other]
    return (
        "The condensed distance matrix must contain only finite values: the distance of rows "
        f"{row} and {other} is {value}{reason}"
    )


def _warn_of_square(values: Array) -> None:
    """Warn, as SciPy does, of a square matrix that is symmetric, not negative, and 0 on the diagonal."""
    if values.shape[0] != values.shape[1] or values.shape[0] == 0 or values.dtype.kind != "f":
        return
    if np.allclose(np.diagonal(values), 0) and (values >= 0).all() and np.allclose(values, values.T):
        warnings.warn(
            "The symmetric non-negative hollow observation matrix looks suspiciously like an uncondensed distance "
            "matrix",
            ClusterWarning,
            stacklevel=3,
        )
