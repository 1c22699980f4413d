"""What the indices say of the number of clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastcluster_ext._plots._axes import panels_for
from fastcluster_ext.validity import NumberOfClusters

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["choose_k"]

# Attribute, and what is written over its panel.
_PANELS = {
    "inertia": "inertia (elbow)",
    "silhouette": "silhouette (highest)",
    "calinski_harabasz": "Calinski-Harabasz (highest)",
    "davies_bouldin": "Davies-Bouldin (lowest)",
    "gap": "gap (first that the next does not beat)",
}


def choose_k(numbers: NumberOfClusters, *, ax: Any = None) -> tuple[Axes, ...]:
    """Draw every index against the number of clusters, with the number that each suggests.

    Parameters
    ----------
    numbers : NumberOfClusters
        What `fastcluster_ext.choose_k` returned.
    ax : five matplotlib Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    five matplotlib Axes
        Of the inertia, silhouette, Calinski-Harabasz and Davies-Bouldin indices, and the gap with its error.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument has a wrong type, or fewer than five axes are given.

    Examples
    --------
    >>> import fastcluster_ext
    >>> X = [[i / 10 + 10 * j] for j in range(3) for i in range(10)]
    >>> panels = choose_k(fastcluster_ext.choose_k(X, range(1, 6), random_state=0))
    >>> panels[1].get_title()
    'silhouette (highest): 3'
    """
    if not isinstance(numbers, NumberOfClusters):
        raise TypeError(f"numbers must be what fastcluster_ext.choose_k returned, got {type(numbers).__name__}")
    panels = panels_for(ax, len(_PANELS), columns=5, size=(2.6, 2.8))
    for panel, (name, title) in zip(panels, _PANELS.items(), strict=True):
        errors = numbers.gap_error if name == "gap" else None
        panel.errorbar(numbers.ks, getattr(numbers, name), yerr=errors, marker="o", markersize=4, linewidth=1)
        suggested = numbers.suggested.get("elbow" if name == "inertia" else name)
        if suggested is not None:
            panel.axvline(suggested, color="black", linestyle="--", linewidth=1)
            title = f"{title}: {suggested}"
        panel.set_title(title, fontsize="small")
        panel.set_xlabel("k")
    return tuple(panels)
