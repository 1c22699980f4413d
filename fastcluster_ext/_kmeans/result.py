"""What k-means returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext._validation import as_points

__all__ = ["Callback", "Floats", "KMeansResult", "KMeansStep"]

Floats = npt.NDArray[np.float64]
Callback = Callable[["KMeansStep"], Any]

_PRINTED_CLUSTERS = 20

# What centers are, what is added up, and what the share is called that lies between clusters, by metric.
_WORDS = {
    "euclidean": ("means", "sum of squares", "between_SS / total_SS"),
    "manhattan": ("medians", "sum of absolute differences", "between / total"),
    "cosine": ("directions", "sum of 1 - cos", "between / total"),
}


@dataclass(frozen=True, eq=False)
class KMeansStep:
    """One iteration of k-means, as `history` and `callback` show it.

    Attributes
    ----------
    iteration : int
        Number of the iteration, from 1.
    centers : (k, p) float64 array
        The centers to which this iteration assigned the points.
    center_shift : float
        Sum of the squared (Euclidean) distances by which the centers moved afterwards.
    labels : (n,) int32 array or None
        Nearest center of each point; None unless a history is kept.
    inertia : float or None
        Weighted sum of squared distances to these centers (or of what the metric adds up); None without a history.
    metric : str
        The metric of `kmeans`.
    """

    iteration: int
    centers: Floats
    center_shift: float
    labels: npt.NDArray[np.int32] | None = None
    inertia: float | None = None
    metric: str = "euclidean"

    def distances(self, X: npt.ArrayLike) -> Floats:
        """Return the (n, k) table of distances of points to this step's centers, to follow it on paper.

        Euclidean ones, or the metric's: sums of absolute differences, or 1 - cos.

        Examples
        --------
        >>> from fastcluster_ext import kmeans
        >>> X = [[2, 10], [2, 5], [8, 4], [5, 8], [7, 5], [6, 4], [1, 2]]
        >>> result = kmeans(X, 3, init=[[2, 10], [5, 8], [1, 2]], history=True)
        >>> print(result.history[0].distances(X).round(2)[1])
        [5.   4.24 3.16]
        """
        points = as_points(X).astype(np.float64)
        if self.metric == "cosine":
            lengths = np.linalg.norm(points, axis=1)[:, None] * np.linalg.norm(self.centers, axis=1)
            return np.asarray(1 - points @ self.centers.T / lengths)
        order = 1 if self.metric == "manhattan" else 2
        return np.stack([np.linalg.norm(points - center, order, axis=1) for center in self.centers], axis=1)


@dataclass(frozen=True, repr=False, eq=False)
class KMeansResult:
    """What `kmeans` found. Printed, it shows what R prints of its `kmeans`.

    Attributes
    ----------
    labels : (n,) int32 array
        Index of the nearest center of each point; the lowest index where several are equally near. For other points
        see `fastcluster_ext.nearest`.
    centers : (k, p) float64 array
        Cluster centers.
    inertia : float
        Weighted sum of the squared distances of the points to their centers (R's ``tot.withinss``); of the sums of
        absolute differences with ``metric="manhattan"``, of 1 - cos with ``"cosine"``.
    cluster_inertia : (k,) float64 array
        The same by cluster (R's ``withinss``).
    total_inertia : float
        The same of one cluster of all points (R's ``totss``).
    sizes : (k,) int64 array
        Number of points in each cluster (R's ``size``).
    cluster_weights : (k,) float64 array
        Sum of the weights in each cluster; equal to `sizes` without ``sample_weight``.
    n_iter : int
        Iterations of the run that was kept.
    converged : bool
        Whether that run ended because its centers stood still (or moved by less than `tol`), not by `max_iter`.
    history : tuple of KMeansStep
        Its iterations, if ``history=True``; otherwise empty.
    feature_names : tuple of str
        Column names of a DataFrame; otherwise empty.
    metric : str
        The metric of `kmeans`.
    """

    labels: npt.NDArray[np.int32]
    centers: Floats
    inertia: float
    cluster_inertia: Floats
    total_inertia: float
    sizes: npt.NDArray[np.int64]
    cluster_weights: Floats
    n_iter: int
    converged: bool
    history: tuple[KMeansStep, ...] = ()
    feature_names: tuple[str, ...] = field(default=())
    metric: str = "euclidean"

    @property
    def explained(self) -> float:
        """Share of the total inertia that lies between clusters (R's ``betweenss / totss``); 1.0 if there is none."""
        return 1.0 - self.inertia / self.total_inertia if self.total_inertia > 0 else 1.0

    def __repr__(self) -> str:
        """Show sizes, centers, labels and sums of squares in the layout of R's ``print.kmeans``."""
        k, p = self.centers.shape
        centers, summed, between = _WORDS[self.metric]
        shown = slice(None) if k <= _PRINTED_CLUSTERS else slice(_PRINTED_CLUSTERS)
        more = "" if k <= _PRINTED_CLUSTERS else ", ..."
        names = self.feature_names or tuple(f"[{i}]" for i in range(p))
        with np.printoptions(precision=6, suppress=True, threshold=60, linewidth=100):
            return "\n".join(
                [
                    f"K-means clustering with {k} cluster{'s' if k != 1 else ''} of sizes "
                    f"{', '.join(map(str, self.sizes[shown]))}{more}",
                    "",
                    f"Cluster {centers}:",
                    *_table(self.centers[shown], names),
                    *(["..."] if more else []),
                    "",
                    "Clustering vector:",
                    str(self.labels),
                    "",
                    f"Within cluster {summed} by cluster:",
                    f"{self.cluster_inertia[shown]}{more}",
                    f" ({between} = {100 * self.explained:5.1f} %)",
                    "",
                    f"{'Converged' if self.converged else 'Stopped'} after {self.n_iter} "
                    f"iteration{'s' if self.n_iter != 1 else ''}, inertia {self.inertia:.7g}",
                ]
            )


def _table(rows: Floats, names: tuple[str, ...]) -> list[str]:
    """Rows of numbers under column names, at most ten columns of them."""
    columns = [[name, *(f"{value:.6g}" for value in rows[:, i])] for i, name in enumerate(names[:10])]
    if len(names) > 10:
        columns.append(["...", *([""] * len(rows))])
    columns.insert(0, ["", *(str(j) for j in range(len(rows)))])
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
