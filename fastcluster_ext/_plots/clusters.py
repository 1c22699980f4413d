"""Points in the colors of their clusters, with true classes beside them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext._plots._axes import Colors, axes_for, cluster_colors, codes_of, even_rows, panels_for
from fastcluster_ext._plots._plane import Plane
from fastcluster_ext._validation import as_points, check_integer
from fastcluster_ext.validity import contingency

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["clusters"]


def clusters(
    X: npt.ArrayLike,
    labels: Any,
    *,
    centers: npt.ArrayLike | None = None,
    classes: npt.ArrayLike | None = None,
    max_points: int = 20_000,
    ax: Any = None,
) -> Axes | tuple[Axes, Axes]:
    """Draw points in a plane, each in the color of its cluster.

    Parameters
    ----------
    X : (n, p) array-like
        Points. More than two features are shown by their first two principal components.
    labels : (n,) array-like, or a result
        Cluster of each point; or what `kmeans` or `kmedoids` returned, whose labels and centers are drawn.
    centers : (k, p) array-like, optional
        Drawn as crosses.
    classes : (n,) array-like, optional
        True classes, drawn in a second picture beside the first; a class has the color of the cluster that it shares
        most points with, where that is not taken by another.
    max_points : int
        Points drawn; of more, so many rows at even distances.
    ax : matplotlib Axes, optional
        Where to draw; by default the current axes of pyplot. Two axes if there are classes, by default in a new figure.

    Returns
    -------
    matplotlib Axes, or two of them if there are classes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument has a wrong type or shape.

    Notes
    -----
    O(n p min(n, p)) time for more than two features.

    Examples
    --------
    >>> ax = clusters([[1, 1], [2, 1], [7, 7], [5, 7]], [0, 0, 1, 1])
    >>> len(ax.collections)
    2
    """
    points = as_points(X)
    if hasattr(labels, "labels"):
        centers = getattr(labels, "centers", None) if centers is None else centers
        labels = labels.labels
    rows = even_rows(len(points), check_integer(max_points, "max_points", minimum=1))
    found = codes_of(labels, len(points))
    plane = Plane(points, tuple(map(str, getattr(X, "columns", ()))))
    spots = plane.project(points[rows])
    crosses = None
    if centers is not None:
        middles = as_points(centers, "centers")
        if middles.shape[1] != points.shape[1]:
            raise ValueError(f"centers must have {points.shape[1]} features, as X has, got {middles.shape[1]}")
        crosses = plane.project(middles)
    if classes is None:
        ax = axes_for(ax)
        _scatter(ax, spots, found[0], found[1][rows], cluster_colors(len(found[0])), plane)
        _draw_centers(ax, crosses)
        return ax  # type: ignore[no-any-return]
    known = codes_of(classes, len(points), "classes")
    left, right = panels_for(ax, 2, columns=2, size=(4.5, 4.0))
    order = _matching(found[1], known[1], len(known[0]))
    colors = cluster_colors(max(len(found[0]), max(order) + 1))
    _scatter(left, spots, found[0], found[1][rows], colors, plane, "clusters")
    _draw_centers(left, crosses)
    _scatter(right, spots, known[0], known[1][rows], colors[order], plane, "classes")
    return left, right


def _matching(found: npt.NDArray[np.intp], known: npt.NDArray[np.intp], n_classes: int) -> list[int]:
    """Return the cluster whose color each class gets: the largest overlaps first, each cluster once, then new ones."""
    table = contingency(known, found).astype(np.float64)
    matched = [-1] * n_classes
    for _ in range(min(table.shape)):
        row, column = np.unravel_index(np.argmax(table), table.shape)
        matched[int(row)] = int(column)
        table[row], table[:, column] = -1.0, -1.0
    following = itertools.count(table.shape[1])
    return [next(following) if cluster < 0 else cluster for cluster in matched]


def _scatter(
    ax: Axes,
    spots: npt.NDArray[np.float64],
    names: npt.NDArray[Any],
    codes: npt.NDArray[np.intp],
    colors: Colors,
    plane: Plane,
    title: str = "",
) -> None:
    for code, name in enumerate(names):
        own = codes == code
        ax.scatter(spots[own, 0], spots[own, 1], s=16, color=colors[code], linewidths=0, label=str(name))
    ax.set(xlabel=plane.names[0], ylabel=plane.names[1], title=title)
    if len(names) <= 10:
        ax.legend(loc="best", fontsize="small", framealpha=0.5)


def _draw_centers(ax: Axes, centers: npt.NDArray[np.float64] | None) -> None:
    if centers is not None:
        ax.scatter(centers[:, 0], centers[:, 1], s=90, marker="X", color="black", edgecolors="white", label="_centers")
