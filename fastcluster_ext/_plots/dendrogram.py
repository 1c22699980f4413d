"""The top of the dendrogram of an image; needs matplotlib (extra ``plot``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext._validation import check_integer
from fastcluster_ext.image_tree import ColorTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["dendrogram"]

# The strip of colors under the tree, in parts of the height of the axes.
_STRIP = 0.06


def dendrogram(tree: ColorTree, k: int = 32, *, ax: Axes | None = None) -> Axes:
    """Draw the top of an image's dendrogram, with colors as leaves.

    Parameters
    ----------
    tree : ColorTree
        From `fastcluster_ext.image_linkage`.
    k : int, default 32
        Leaves: the clusters of a cut, each in its mean color and with its share of the pixels beneath where there is
        room for it. At most the number of distinct colors.
    ax : matplotlib Axes, optional
        Where to draw; by default the current axes of pyplot.

    Returns
    -------
    matplotlib Axes
        O(u) time for u distinct colors; nothing is recursive, so trees may be as deep as they like.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If `tree` is none, or k not an integer of at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from fastcluster_ext import image_linkage
    >>> from fastcluster_ext.plot import dendrogram
    >>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    >>> axes = dendrogram(image_linkage(image), k=8, ax=Figure().subplots())
    >>> axes.get_ylabel(), len(axes.patches)
    ('height (ward linkage)', 8)
    """
    if not isinstance(tree, ColorTree):
        raise TypeError(f"tree must be a ColorTree, made by image_linkage; got {type(tree).__name__}")
    k = min(check_integer(k, "k", minimum=1), tree.n_colors)
    try:
        from matplotlib import pyplot
        from matplotlib.collections import LineCollection
        from matplotlib.patches import Rectangle
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install 'fastcluster_ext[plot]'") from error
    axes = pyplot.gca() if ax is None else ax
    links, colors, shares = _links(tree, k)
    axes.add_collection(LineCollection(list(links), colors="0.25", linewidths=1.2))
    below = axes.get_xaxis_transform()
    for place, (color, share) in enumerate(zip(colors, shares, strict=True)):
        swatch = Rectangle((place - 0.5, -_STRIP), 1, _STRIP, facecolor=color, edgecolor="0.5", linewidth=0.3)
        swatch.set(transform=below, clip_on=False)
        axes.add_patch(swatch)
        if k <= 48:
            text = f"{100 * share:.3g} %"
            axes.text(place, -_STRIP - 0.01, text, rotation=90, ha="center", va="top", fontsize=7, transform=below)
    axes.set_xlim(-0.5, k - 0.5)
    top = float(links[:, :, 1].max(initial=0.0))
    axes.set_ylim(0, 1.03 * top if top > 0 else 1)
    axes.set_xticks([])
    axes.set_ylabel(f"height ({tree.method} linkage)")
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    return axes


def _links(tree: ColorTree, k: int) -> tuple[npt.NDArray[np.float64], list[Any], npt.NDArray[np.float64]]:
    """Return the lines of the last k - 1 merges (k - 1, 4, 2), and the color and the share of the k leaves in order."""
    n = tree.n_colors
    top = tree.Z[n - k :]
    children = top[:, :2].astype(np.int64)
    first = n + (n - k)  # nodes from here on are drawn as merges, all others as leaves
    place = np.zeros(2 * n - 1)
    height = np.zeros(2 * n - 1)
    stack = [2 * n - 2]
    leaves: list[int] = []
    while stack:
        node = stack.pop()
        if node >= first:
            stack.extend(children[node - first, ::-1].tolist())
        else:
            place[node] = len(leaves)
            leaves.append(node)
    links = np.empty((k - 1, 4, 2))
    for row, (left, right) in enumerate(children):
        links[row, :, 0] = place[left], place[left], place[right], place[right]
        links[row, :, 1] = height[left], top[row, 2], top[row, 2], height[right]
        place[first + row] = (place[left] + place[right]) / 2
        height[first + row] = top[row, 2]
    # A leaf's cluster is that of any color in it: the one found by going down its left side.
    some = np.arange(2 * n - 1)
    for row in range(n - k):
        some[n + row] = some[int(tree.Z[row, 0])]
    cut = tree.cut(k)
    labels = tree.labels(k)[some[leaves]]
    return links, [cut.hex[label] for label in labels], cut.percent[labels] / 100
