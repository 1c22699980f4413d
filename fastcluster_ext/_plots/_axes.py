"""Axes to draw in, and colors of clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Colors", "axes_for", "cluster_colors", "codes_of", "even_rows", "import_pyplot", "panels_for"]

Colors = npt.NDArray[np.float64]

_DISTINCT_COLORS = 10  # of matplotlib's "tab10"


def import_pyplot() -> Any:
    """Return matplotlib's pyplot, or raise ImportError that names the extra."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'fastcluster_ext[plot]'") from error
    return pyplot


def axes_for(ax: Any) -> Any:
    """Return `ax`, or pyplot's current axes."""
    pyplot = import_pyplot()
    return pyplot.gca() if ax is None else ax


def panels_for(ax: Any, n: int, *, columns: int, size: tuple[float, float] = (3.2, 3.0)) -> list[Any]:
    """Return n axes: those given, or those of a new figure."""
    pyplot = import_pyplot()
    if ax is None:
        columns = min(columns, n)
        rows = -(-n // columns)
        _, grid = pyplot.subplots(
            rows, columns, squeeze=False, figsize=(size[0] * columns, size[1] * rows), layout="constrained"
        )
        for unused in grid.flat[n:]:
            unused.remove()
        return list(grid.flat[:n])
    panels = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(panels) < n:
        raise ValueError(f"ax must hold {n} axes, got {len(panels)}")
    return panels[:n]


def cluster_colors(k: int) -> Colors:
    """Return k colors, (k, 4): matplotlib's ten distinct ones, or as many as are wanted along a spectrum."""
    pyplot = import_pyplot()
    if k <= _DISTINCT_COLORS:
        return np.array([pyplot.get_cmap("tab10")(i) for i in range(k)]).reshape(-1, 4)
    return np.asarray(pyplot.get_cmap("turbo")(np.linspace(0.05, 0.95, k)))


def codes_of(labels: Any, n: int, name: str = "labels") -> tuple[npt.NDArray[Any], npt.NDArray[np.intp]]:
    """Return the distinct labels, and for each of n points the position of its label among them."""
    array = np.asarray(labels)
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one for each point, got {array.shape}")
    values, codes = np.unique(array, return_inverse=True)
    return values, codes.reshape(-1)


def even_rows(n: int, most: int) -> npt.NDArray[np.intp]:
    """Return at most `most` of n rows, evenly spaced: more only make a picture slow."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.intp)
