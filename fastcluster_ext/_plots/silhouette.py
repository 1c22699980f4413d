"""The silhouette of a clustering as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext._plots._axes import axes_for, cluster_colors, codes_of
from fastcluster_ext.validity import silhouette_samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["silhouette"]


def silhouette(
    X: npt.ArrayLike,
    labels: Any,
    *,
    metric: str = "euclidean",
    sample_weight: npt.ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the silhouette of every point, cluster by cluster, in ascending order, and their mean.

    Parameters
    ----------
    X, labels, metric, sample_weight
        As for `fastcluster_ext.silhouette_samples`; what `kmeans` or `kmedoids` returned stands for its labels. A
        weight is the height of a bar.
    ax : matplotlib Axes, optional
        Where to draw; by default the current axes of pyplot.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        As `silhouette_samples` does.

    Notes
    -----
    O(n^2 p) time, or O(n k p) for squared Euclidean distances. Source: P. J. Rousseeuw, "Silhouettes: a graphical aid
    to the interpretation and validation of cluster analysis", J. Comput. Appl. Math. 20, 1987.

    Examples
    --------
    >>> ax = silhouette([[0.0], [1.0], [8.0], [9.0]], [0, 0, 1, 1])
    >>> ax.get_title()
    'mean silhouette 0.87'
    """
    labels = getattr(labels, "labels", labels)
    values = silhouette_samples(X, labels, metric=metric, sample_weight=sample_weight)
    ax = axes_for(ax)
    names, codes = codes_of(labels, len(values))
    weights = np.ones(len(values)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    total = float(weights.sum())
    colors = cluster_colors(len(names))
    ticks: list[float] = []
    base, gap = 0.0, 0.02 * total
    for code in range(len(names)):
        own = np.flatnonzero(codes == code)
        own = own[np.argsort(values[own], kind="stable")]
        edges = base + np.concatenate([[0.0], np.cumsum(weights[own])])
        ax.fill_betweenx(np.repeat(edges, 2)[1:-1], 0, np.repeat(values[own], 2), color=colors[code], linewidth=0)
        ticks.append((edges[0] + edges[-1]) / 2)
        base = edges[-1] + gap
    mean = float(np.average(values, weights=weights))
    ax.axvline(mean, color="black", linestyle="--", linewidth=1)
    ax.set_yticks(ticks, [str(name) for name in names])
    ax.set_xlim(min(-0.1, float(values.min())), 1)
    ax.set_ylim(-gap, base)
    ax.set(xlabel="silhouette", ylabel="cluster", title=f"mean silhouette {mean:.2f}")
    return ax
