"""The iterations of k-means, or the swaps of k-medoids, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext._plots._axes import cluster_colors, even_rows, panels_for
from fastcluster_ext._plots._plane import Plane
from fastcluster_ext._validation import as_points, check_integer
from fastcluster_ext.kmeans import KMeansResult
from fastcluster_ext.kmedoids import KMedoidsResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["steps"]

_MOST_POINTS = 5000


def steps(
    X: npt.ArrayLike, result: KMeansResult | KMedoidsResult, *, max_steps: int = 12, columns: int = 4, ax: Any = None
) -> tuple[Axes, ...]:
    """Draw each iteration: the centers, the points in the color of the nearest, and how the centers move next.

    Of k-medoids, the start and each swap: the medoids, and which of them goes where.

    Parameters
    ----------
    X : (n, p) array-like
        The points that were clustered; more than two features are shown by their first two principal components, more
        than 5000 points by so many rows at even distances.
    result : KMeansResult or KMedoidsResult
        From ``kmeans(X, ..., history=True)`` or ``kmedoids(X, ..., history=True)``.
    max_steps : int
        Pictures; of more iterations, the first ones and the last.
    columns : int
        Pictures in a row.
    ax : matplotlib Axes, optional
        Where to draw, one for each picture; by default in a new figure.

    Returns
    -------
    tuple of matplotlib Axes, one for each picture

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument has a wrong type or shape, or the result has no history.

    Examples
    --------
    >>> from fastcluster_ext import kmeans
    >>> X = [[1, 1], [2, 1], [4, 5], [7, 7], [5, 7]]
    >>> panels = steps(X, kmeans(X, 2, init=[[1, 1], [2, 1]], history=True))
    >>> [panel.get_title() for panel in panels]
    ['1: inertia 126', '2: inertia 15.8', '3: inertia 7.83']
    """
    if not isinstance(result, (KMeansResult, KMedoidsResult)):
        raise TypeError(f"result must be what kmeans or kmedoids returned, got {type(result).__name__}")
    if not result.history:
        raise ValueError("result has no history; call kmeans or kmedoids with history=True")
    points = as_points(X)
    if len(points) != len(result.labels):
        raise ValueError(f"X must be the {len(result.labels)} points that were clustered, got {len(points)}")
    most = check_integer(max_steps, "max_steps", minimum=1)
    if isinstance(result, KMeansResult):
        centers = [step.centers for step in result.history] + [result.centers]
        titles = [f"{step.iteration}: inertia {step.inertia:.3g}" for step in result.history]
    else:
        centers = [points[step.medoids] for step in result.history] + [points[result.medoids]]
        titles = [f"{step.iteration}: loss {step.loss:.3g}" for step in result.history]
    last = len(result.history) - 1
    shown = [*range(min(most - 1, last)), last]
    panels = panels_for(ax, len(shown), columns=check_integer(columns, "columns", minimum=1))
    plane = Plane(points, result.feature_names)
    rows = even_rows(len(points), _MOST_POINTS)
    spots = plane.project(points[rows])
    colors = cluster_colors(len(centers[0]))
    for panel, index in zip(panels, shown, strict=True):
        labels = result.history[index].labels
        assert labels is not None
        here, there = plane.project(centers[index]), plane.project(centers[index + 1])
        panel.scatter(*spots.T, s=12, color=colors[labels[rows]], linewidths=0)
        panel.quiver(*here.T, *(there - here).T, angles="xy", scale_units="xy", scale=1, width=0.006, color="gray")
        panel.scatter(*here.T, s=90, marker="X", color=colors, edgecolors="black")
        panel.set_title(titles[index], fontsize="small")
        panel.set(xlabel=plane.names[0], ylabel=plane.names[1])
    # All centers stay in view, also those that begin far away.
    everything = np.concatenate([spots, *(plane.project(centers[index]) for index in shown)])
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = np.where(high > low, 0.06 * (high - low), 1.0)
    for panel in panels:
        panel.set_xlim(low[0] - margin[0], high[0] + margin[0])
        panel.set_ylim(low[1] - margin[1], high[1] + margin[1])
    return tuple(panels)
