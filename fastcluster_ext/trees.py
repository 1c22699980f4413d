"""What is read off a dendrogram: SciPy's functions on Z, all of them iterative, and right where heights do not ascend.

Z is what `fastcluster_ext.hierarchy.linkage` returns: row i merges nodes Z[i, 0] and Z[i, 1] at height Z[i, 2].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels, _validation
from fastcluster_ext._memory import allocate
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array
from fastcluster_ext.distance import pdist, squareform

__all__ = [
    "cophenet",
    "cut_tree",
    "fcluster",
    "inconsistent",
    "leaves_list",
    "linkage_weights",
    "optimal_leaf_ordering",
    "to_newick",
]

_CRITERIA = ("inconsistent", "distance", "maxclust", "monocrit", "maxclust_monocrit")


class _Tree(NamedTuple):
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    heights: npt.NDArray[np.float64]

    @property
    def n(self) -> int:
        """Number of observations."""
        return len(self.left) + 1


def _as_tree(Z: npt.ArrayLike) -> _Tree:
    """Return Z's columns, sure to be a tree: kernels follow its numbers."""
    array = np.asarray(Z)
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "fiu":
        raise ValueError(f"Z must be a linkage of shape (n - 1, 4), got shape {array.shape} and dtype {array.dtype}")
    if len(array) == 0:
        raise ValueError("Z is empty")
    array = array.astype(np.float64, copy=False)
    if np.isnan(array).any():
        raise ValueError(f"Z holds NaN in row {int(np.argwhere(np.isnan(array))[0, 0])}")
    nodes = array[:, :2]
    merges = len(array)
    wrong = (nodes < 0) | (nodes > merges + np.arange(merges)[:, None]) | (nodes != np.floor(nodes))
    if wrong.any():
        row = int(np.argwhere(wrong)[0, 0])
        raise ValueError(
            f"Z merges {nodes[row, 0]:g} and {nodes[row, 1]:g} in row {row}: not clusters that exist there"
        )
    numbers = nodes.astype(np.int64)
    used = np.bincount(numbers.ravel(), minlength=2 * merges)
    if used.max() > 1:
        raise ValueError(f"Z merges cluster {int(used.argmax())} more than once")
    return _Tree(
        np.ascontiguousarray(numbers[:, 0]), np.ascontiguousarray(numbers[:, 1]), np.ascontiguousarray(array[:, 2])
    )


def _leaf_ranges(tree: _Tree) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    leaves = np.empty(tree.n, np.int64)
    ranges = np.empty((2 * tree.n - 1, 2), np.int64)
    _kernels.load("trees").leaf_ranges(tree.left, tree.right, leaves, ranges)
    return leaves, ranges


def _maxima(tree: _Tree, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the greatest value at and below each merge."""
    maxima = np.array(values, dtype=np.float64)
    _kernels.load("trees").node_maxima(tree.left, tree.right, maxima)
    return maxima


def _cut(tree: _Tree, made: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the clusters that the merges that are `made` leave, numbered from 0 by their first observation."""
    labels = np.empty(tree.n, np.int64)
    _kernels.load("trees").first_merges(tree.left, tree.right, made.view(np.uint8), labels)
    return labels


def _names(labels: Any, n: int) -> list[str]:
    """Return a name for each of n observations: those given, or their numbers."""
    names = [str(name) for name in (range(n) if labels is None else labels)]
    if len(names) != n:
        raise ValueError(f"labels must be {n} names, one for each observation, got {len(names)}")
    return names


def leaves_list(Z: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Return the observations from left to right in the dendrogram.

    Parameters
    ----------
    Z : array_like of shape (n - 1, 4)
        A linkage.

    Returns
    -------
    ndarray of shape (n,), int32
        O(n) time and memory.

    Raises
    ------
    ValueError
        If Z is not a linkage.

    Examples
    --------
    >>> leaves_list([[0, 2, 1.0, 2], [1, 3, 2.0, 3]])
    array([1, 0, 2], dtype=int32)
    """
    return _leaf_ranges(_as_tree(Z))[0].astype(np.int32)


def linkage_weights(Z: npt.ArrayLike, weights: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the weight of each merge's cluster: the companion of Z's column 3, which counts observations.

    Parameters
    ----------
    Z : array_like of shape (n - 1, 4)
        A linkage.
    weights : array_like of shape (n,)
        The weights that `linkage` was given.

    Returns
    -------
    ndarray of shape (n - 1,), float64
        O(n) time and memory.

    Raises
    ------
    ValueError
        If Z is not a linkage, or there is not one weight for each observation.

    Examples
    --------
    >>> linkage_weights([[0, 2, 1.0, 2], [1, 3, 2.0, 3]], [10, 20, 30])
    array([40., 60.])
    """
    tree = _as_tree(Z)
    given = _validation.as_weights(weights, tree.n, "weights")
    if given is None:
        raise ValueError("weights must be given")
    values = np.concatenate((given, np.empty(tree.n - 1)))
    _kernels.load("trees").node_sums(tree.left, tree.right, values)
    return values[tree.n :]


def cophenet(Z: npt.ArrayLike, Y: npt.ArrayLike | None = None) -> Any:
    """Return the heights at which observations first share a cluster; with Y, their correlation with Y too.

    Parameters
    ----------
    Z : array_like of shape (n - 1, 4)
        A linkage.
    Y : array_like of shape (n (n - 1) / 2,), optional
        The condensed distances that it is of.

    Returns
    -------
    c : float
        The cophenetic correlation coefficient; only if Y is given.
    d : ndarray of shape (n (n - 1) / 2,), float64
        Cophenetic distances, condensed. O(n^2) time and memory.

    Raises
    ------
    ValueError
        If Z is not a linkage or Y not of that many observations.

    Examples
    --------
    >>> cophenet([[0, 2, 1.0, 2], [1, 3, 2.0, 3]])
    array([2., 1., 2.])
    """
    tree = _as_tree(Z)
    leaves, ranges = _leaf_ranges(tree)
    pairs = tree.n * (tree.n - 1) // 2
    joined = allocate(pairs, np.float64, f"the cophenetic distances of {tree.n} observations")
    _kernels.load("trees").cophenetic(tree.left, tree.right, tree.heights, leaves, ranges, joined)
    if Y is None:
        return joined
    given = np.asarray(Y, dtype=np.float64)
    if given.shape != (pairs,):
        raise ValueError(f"Y must have shape ({pairs},), the condensed distances of {tree.n} observations")
    with np.errstate(invalid="ignore", divide="ignore"):
        centered, other = given - given.mean(), joined - joined.mean()
        correlation = (centered @ other) / np.sqrt((centered @ centered) * (other @ other))
    return correlation, joined


def inconsistent(Z: npt.ArrayLike, d: int = 2) -> npt.NDArray[np.float64]:
    """Return statistics of the heights of the merges down to `d` levels at and below each one.

    Parameters
    ----------
    Z : array_like of shape (n - 1, 4)
        A linkage.
    d : int, default 2
        Levels; 1 is the merge itself.

    Returns
    -------
    ndarray of shape (n - 1, 4), float64
        Mean, standard deviation, number of heights, and by how many standard deviations the merge's own height exceeds
        the mean. O(n min(n, 2^d)) time.

    Raises
    ------
    ValueError
        If Z is not a linkage or d less than 1.

    Examples
    --------
    >>> inconsistent([[0, 2, 1.0, 2], [1, 3, 2.0, 3]]).round(3)
    array([[1.   , 0.   , 1.   , 0.   ],
           [1.5  , 0.707, 2.   , 0.707]])
    """
    tree = _as_tree(Z)
    depth = _validation.check_integer(d, "d", minimum=1)
    statistics = np.empty((tree.n - 1, 4))
    _kernels.load("trees").inconsistency(tree.left, tree.right, tree.heights, depth, statistics)
    return statistics


def fcluster(
    Z: npt.ArrayLike,
    t: float,
    criterion: str = "inconsistent",
    depth: int = 2,
    R: npt.ArrayLike | None = None,
    monocrit: npt.ArrayLike | None = None,
) -> npt.NDArray[np.int32]:
    """Return flat clusters: SciPy's function, its numbering included.

    Parameters
    ----------
    Z : array_like of shape (n - 1, 4)
        A linkage.
    t : float
        The threshold, or, for "maxclust" and "maxclust_monocrit", the greatest number of clusters.
    criterion : str, default "inconsistent"
        What must not exceed t at and below a merge for it to be one cluster: its "inconsistent" coefficient, its height
        ("distance"), or `monocrit`. "maxclust" and "maxclust_monocrit" find the least threshold of heights, or of
        `monocrit`, that leaves at most t clusters.
    depth : int, default 2
        Of the inconsistency coefficients.
    R : array_like of shape (n - 1, 4), optional
        The inconsistency statistics, if they are known.
    monocrit : array_like of shape (n - 1,), optional
        A value for each merge.

    Returns
    -------
    ndarray of shape (n,), int32
        Clusters from 1 on. O(n log n) time, O(n) memory.

    Raises
    ------
    ValueError
        Unknown criterion, Z not a linkage, t less than 1 where it counts clusters.

    Examples
    --------
    >>> fcluster([[0, 1, 1.0, 2], [2, 3, 2.0, 3]], 1.5, "distance")
    array([1, 1, 2], dtype=int32)
    """
    tree = _as_tree(Z)
    _validation.check_option(criterion, "criterion", _CRITERIA)
    if criterion in ("distance", "maxclust"):
        values = tree.heights
    elif criterion == "inconsistent":
        statistics = inconsistent(Z, depth) if R is None else np.asarray(R, dtype=np.float64)
        if statistics.shape != (tree.n - 1, 4):
            raise ValueError(f"R must have shape ({tree.n - 1}, 4), got {statistics.shape}")
        values = statistics[:, 3]
    else:
        values = np.asarray(monocrit, dtype=np.float64)
        if values.shape != (tree.n - 1,):
            raise ValueError(f"monocrit must have shape ({tree.n - 1},), one value for each merge, got {values.shape}")
    values = _maxima(tree, values)
    threshold = float(t)
    if criterion.startswith("maxclust"):
        if not threshold >= 1:
            raise ValueError(f"t must be at least 1 cluster, got {t!r}")
        # Cutting at the i-th least value leaves at most n - i clusters.
        if threshold >= tree.n:
            return np.arange(1, tree.n + 1, dtype=np.int32)
        threshold = float(np.sort(values)[tree.n - int(threshold) - 1])
    labels = np.empty(tree.n, np.int32)
    _kernels.load("trees").flat_clusters(tree.left, tree.right, (values <= threshold).view(np.uint8), labels)
    return labels


def cut_tree(
    Z: npt.ArrayLike, n_clusters: int | npt.ArrayLike | None = None, height: float | npt.ArrayLike | None = None
) -> npt.NDArray[np.int64]:
    """Return the clusters of a cut through the dendrogram: a number of clusters, or a height, for each column.

    Unlike SciPy's function this is right where heights do not ascend, by inversions or by rounding: k clusters are what
    the first n - k rows of Z leave, and a merge is below a height if all merges beneath it are too.

    Parameters
    ----------
    Z : array_like of shape (n - 1, 4)
        A linkage.
    n_clusters : int or array_like of int, optional
        Numbers of clusters.
    height : float or array_like of float, optional
        Heights; merges below them are made. Without either argument, all cuts from n clusters to one.

    Returns
    -------
    ndarray of shape (n, cuts), int64
        Clusters, numbered from 0 by their first observation. O(n cuts) time and memory.

    Raises
    ------
    ValueError
        Both arguments given, a number of clusters not from 1 to n, Z not a linkage.

    Examples
    --------
    >>> cut_tree([[0, 2, 1.0, 2], [1, 3, 2.0, 3]], n_clusters=[2, 1]).T
    array([[0, 1, 0],
           [0, 0, 0]])
    """
    tree = _as_tree(Z)
    if n_clusters is not None and height is not None:
        raise ValueError("At least one of either height or n_clusters must be None")
    merges = np.arange(tree.n - 1)
    if height is not None:
        below = _maxima(tree, tree.heights)
        cuts = [below < h for h in np.atleast_1d(np.asarray(height, dtype=np.float64))]
    else:
        wanted = np.arange(tree.n, 0, -1) if n_clusters is None else np.atleast_1d(np.asarray(n_clusters))
        numbers = [_validation.check_integer(k, "n_clusters", minimum=1, maximum=tree.n) for k in wanted]
        cuts = [merges < tree.n - k for k in numbers]
    labels = allocate((len(cuts), tree.n), np.int64, f"{len(cuts)} cuts of {tree.n} observations")
    for row, made in zip(labels, cuts, strict=True):
        row[:] = _cut(tree, made)
    return labels.T


def optimal_leaf_ordering(
    Z: npt.ArrayLike, y: npt.ArrayLike, metric: str = "euclidean", *, n_threads: int | None = None
) -> npt.NDArray[np.float64]:
    """Return Z with subtrees swapped so that the distances of neighboring leaves add up to the least.

    Parameters
    ----------
    Z : array_like of shape (n - 1, 4)
        A linkage.
    y : array_like of shape (n (n - 1) / 2,) or (n, p)
        The condensed distances, or the observations.
    metric : str, default "euclidean"
        Of observations.
    n_threads : int, optional
        By default as many as this process may use. It never changes a result.

    Returns
    -------
    ndarray of shape (n - 1, 4), float64
        O(n^3) time, three n x n matrices.

    Raises
    ------
    ValueError
        If Z is not a linkage, or y not of that many observations or not finite.
    MemoryError
        If the matrices do not fit.

    References
    ----------
    Z. Bar-Joseph, D. K. Gifford, T. S. Jaakkola, "Fast optimal leaf ordering for hierarchical clustering",
    Bioinformatics 17, 2001.

    Examples
    --------
    >>> Z = [[0, 1, 1.0, 2], [2, 3, 3.0, 3]]
    >>> leaves_list(optimal_leaf_ordering(Z, [1.0, 9.0, 4.0]))
    array([2, 1, 0], dtype=int32)
    """
    tree = _as_tree(Z)
    threads = resolve_threads(n_threads)
    given = np.asarray(y)
    condensed = pdist(given, metric, dtype=np.float64, n_threads=n_threads) if given.ndim == 2 else given
    if condensed.shape != (tree.n * (tree.n - 1) // 2,):
        raise ValueError(f"y must hold the distances of the {tree.n} observations of Z, got shape {given.shape}")
    if not np.isfinite(condensed).all():
        raise ValueError("y must contain only finite distances")
    leaves, ranges = _leaf_ranges(tree)
    distances = np.ascontiguousarray(_square(condensed)[np.ix_(leaves, leaves)], dtype=np.float64)
    best = allocate((tree.n, tree.n), np.float64, f"optimal leaf ordering of {tree.n} observations")
    through = allocate((tree.n, tree.n), np.float64, f"optimal leaf ordering of {tree.n} observations")
    swapped = np.zeros(tree.n - 1, np.uint8)
    _kernels.load("trees").optimal_order(
        tree.left, tree.right, ranges, distances, best, through, swapped, n_threads=threads
    )
    ordered = np.array(Z, dtype=np.float64)
    change = swapped.astype(bool)
    ordered[change, :2] = ordered[change, 1::-1]
    return ordered


def _square(condensed: Array) -> Array:
    return squareform(np.asarray(condensed, dtype=np.float64), checks=False)


def to_newick(Z: npt.ArrayLike, labels: Any = None, *, precision: int = 6) -> str:
    """Return the dendrogram in Newick's format, with branch lengths.

    Parameters
    ----------
    Z : array_like of shape (n - 1, 4)
        A linkage.
    labels : sequence of n names, optional
        By default the numbers of the observations. Names with characters that mean something in the format are quoted.
    precision : int, default 6
        Significant digits of branch lengths.

    Returns
    -------
    str
        A node's branch is as long as its parent is higher; where there is an inversion that is negative.

    Raises
    ------
    ValueError
        If Z is not a linkage or there is not one label for each observation.

    Examples
    --------
    >>> to_newick([[0, 2, 1.0, 2], [1, 3, 2.0, 3]], labels=["a", "b", "c d"])
    "(b:2,(a:1,'c d':1):1);"
    """
    tree = _as_tree(Z)
    names = _names(labels, tree.n)
    heights = np.concatenate((np.zeros(tree.n), tree.heights))
    # What is still to be written, the next part last: text, or a node and the height of its parent.
    parts: list[str | tuple[int, float]] = [";", (2 * tree.n - 2, np.nan)]
    text: list[str] = []
    while parts:
        part = parts.pop()
        if isinstance(part, str):
            text.append(part)
            continue
        node, parent = part
        length = "" if np.isnan(parent) else f":{parent - heights[node]:.{precision}g}"
        if node < tree.n:
            text.append(_quoted(names[node]) + length)
        else:
            own = float(heights[node])
            parts += [
                ")" + length,
                (int(tree.right[node - tree.n]), own),
                ",",
                (int(tree.left[node - tree.n]), own),
                "(",
            ]
    return "".join(text)


def _quoted(name: str) -> str:
    if name and not any(character.isspace() or character in "()[]{}/\\,;:=*'\"`+-<>" for character in name):
        return name
    return "'" + name.replace("'", "''") + "'"
