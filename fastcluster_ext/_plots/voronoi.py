"""The cells of a two-dimensional k-means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext._plots._axes import axes_for, cluster_colors, even_rows
from fastcluster_ext._validation import as_points
from fastcluster_ext.distance import nearest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cells", "voronoi"]

Floats = npt.NDArray[np.float64]

_MARGIN = 0.08  # around all points and centers, in parts of their range
_MOST_POINTS = 20_000


def voronoi(centers: Any, X: npt.ArrayLike | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw the part of the plane that is nearer to each center than to any other.

    Parameters
    ----------
    centers : (k, 2) array-like, or a result
        Centers; or what `kmeans` returned.
    X : (n, 2) array-like, optional
        Points to draw into the cells; of more than 20 000, so many rows at even distances.
    ax : matplotlib Axes, optional
        Where to draw; by default the current axes of pyplot.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If points or centers are not two-dimensional.

    Notes
    -----
    O(k^2) time for the cells; O(n k) for the colors of the points.

    Examples
    --------
    >>> ax = voronoi([[1.5, 1.0], [4.5, 6.0]], [[1, 1], [2, 1], [4, 5], [5, 7]])
    >>> len(ax.patches)
    2
    """
    places = as_points(getattr(centers, "centers", centers), "centers").astype(np.float64)
    points = None if X is None else as_points(X)
    for array, name in ((places, "centers"), (points, "X")):
        if array is not None and array.shape[1] != 2:
            raise ValueError(f"{name} must have two columns to be drawn in a plane, got {array.shape[1]}")
    ax = axes_for(ax)
    everything = places if points is None else np.concatenate([places, points])
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = np.where(high > low, _MARGIN * (high - low), 1.0)
    low, high = low - margin, high + margin
    colors = cluster_colors(len(places))
    for cell, color in zip(cells(places, low, high), colors, strict=True):
        if len(cell):
            ax.fill(*cell.T, facecolor=color, edgecolor="white", alpha=0.35)
    if points is not None:
        shown = points[even_rows(len(points), _MOST_POINTS)]
        ax.scatter(shown[:, 0], shown[:, 1], s=12, color=colors[nearest(shown, places)[0]], linewidths=0)
    ax.scatter(places[:, 0], places[:, 1], s=90, marker="X", color="black", edgecolors="white")
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_aspect("equal")  # or borders would not be at right angles to the lines between centers
    names = tuple(map(str, getattr(X, "columns", getattr(centers, "feature_names", ())))) or ("feature 0", "feature 1")
    ax.set(xlabel=names[0], ylabel=names[1])
    return ax


def cells(centers: Floats, low: Floats, high: Floats) -> list[Floats]:
    """Return the corners of every center's cell, cut off at a box; none for the later of equal centers.

    Of the box, what lies beyond the bisector with each other center is cut off in turn.
    """
    box = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    found = []
    for j, center in enumerate(centers):
        cell = box
        for i, other in enumerate(centers):
            if (other == center).all():
                cell = cell if i >= j else cell[:0]
            else:
                direction = other - center
                cell = _cut(cell, direction, float(direction @ (center + other)) / 2)
        found.append(cell)
    return found


def _cut(polygon: Floats, direction: Floats, limit: float) -> Floats:
    """Return the part of a convex polygon where ``direction @ point <= limit``."""
    beyond = polygon @ direction - limit
    corners: list[Floats] = []
    for i in range(len(polygon)):
        last, here = beyond[i - 1], beyond[i]
        if (last > 0) != (here > 0):
            corners.append(polygon[i - 1] + (polygon[i] - polygon[i - 1]) * (last / (last - here)))
        if here <= 0:
            corners.append(polygon[i])
    return np.array(corners).reshape(-1, 2)
