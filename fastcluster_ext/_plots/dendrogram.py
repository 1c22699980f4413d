"""The tree of a hierarchical clustering, or the top of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastcluster_ext import trees
from fastcluster_ext._plots._axes import Colors, axes_for, cluster_colors
from fastcluster_ext._validation import check_integer, check_option, check_real
from fastcluster_ext.image_tree import ColorTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["dendrogram"]

# The side that the leaves are on, by the side that the root is on.
_LEAVES_AT = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
_UPRIGHT = ("top", "bottom")

# Leaves of an image, unless told; its tree has too many to show them all.
_LEAVES_OF_IMAGES = 32

# The strip of an image's colors along the leaves, in parts of the height of the tree.
_STRIP = 0.06

# Points: the largest and the smallest size of the leaves' names; where there is no room for that, there are none.
_LARGEST_NAMES, _SMALLEST_NAMES = 8.0, 4.0

_ABOVE_THE_CUT = (0.25, 0.25, 0.25, 1.0)


class _Top(NamedTuple):
    """The last merges of a tree, as they are drawn.

    Attributes
    ----------
    links : (k - 1, 4, 2) float64 array
        The corners of the line of each merge: place along the leaves, and height.
    merges, leaves : (k - 1,) and (k,) int64 arrays
        Which node of the tree each line is, and each leaf from left to right.
    """

    links: npt.NDArray[np.float64]
    merges: npt.NDArray[np.int64]
    leaves: npt.NDArray[np.int64]


def dendrogram(
    Z: ColorTree | npt.ArrayLike,
    k: int | None = None,
    *,
    labels: npt.ArrayLike | None = None,
    n_clusters: int | None = None,
    height: float | None = None,
    orientation: str = "top",
    ax: Axes | None = None,
) -> Axes:
    """Draw the tree of a hierarchical clustering, or the top of it.

    Parameters
    ----------
    Z : (n - 1, 4) array-like, or ColorTree
        A linkage, as from `fastcluster_ext.linkage` or SciPy; or the tree of an image, from `image_linkage`, whose
        leaves are shown in the mean colors of their clusters, with their shares of the pixels.
    k : int, optional
        Leaves: the clusters that the last k - 1 merges join, at most n. By default all n observations, and 32 clusters
        of an image's colors.
    labels : sequence of n names, optional
        Of the observations; by default their numbers. A leaf that holds several observations shows how many, in
        parentheses. Names are left out where they would be smaller than 4 points: a wider figure has room for more.
    n_clusters, height : int or float, optional
        Color the clusters of a cut, lines and names: so many clusters, or those of the merges below a height (SciPy's
        ``color_threshold``). At most one of the two. They are the clusters of `cut_tree`, in the colors that
        `plot.clusters` gives its labels.
    orientation : {"top", "bottom", "left", "right"}
        Where the root is.
    ax : matplotlib Axes, optional
        Where to draw; by default the current axes of pyplot.

    Returns
    -------
    matplotlib Axes
        Leaves are at 0, 1, ..., k - 1, in the order of `leaves_list`; lines are the only collection, in the order of
        the rows of Z.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If Z is not a linkage of finite heights; k, n_clusters or height not such a number, or the latter two both
        given; labels not n names, or given for an image; orientation unknown.

    Notes
    -----
    O(n) time, and O(k) of drawing. Nothing is recursive, so trees may be as deep as they like. Where a merge is lower
    than one beneath it (centroid and median linkage), its line is drawn there, and the lines cross; such a merge is
    below a height only if all beneath it are.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from fastcluster_ext import image_linkage, linkage
    >>> from fastcluster_ext.plot import dendrogram
    >>> Z = linkage([[1, 1], [2, 1], [4, 5], [7, 7], [5, 7]], "average")
    >>> ax = dendrogram(Z, labels="abcde", n_clusters=2, ax=Figure().subplots())
    >>> [name.get_text() for name in ax.get_xticklabels()]
    ['a', 'b', 'c', 'd', 'e']
    >>> ax = dendrogram(Z, 3, orientation="left", ax=Figure().subplots())
    >>> [name.get_text() for name in ax.get_yticklabels()]
    ['(2)', '2', '(2)']
    >>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    >>> ax = dendrogram(image_linkage(image), 8, ax=Figure().subplots())
    >>> ax.get_ylabel(), len(ax.patches)
    ('height (ward linkage)', 8)
    """
    image = Z if isinstance(Z, ColorTree) else None
    tree = trees._Tree(Z._left, Z._right, Z.Z[:, 2]) if isinstance(Z, ColorTree) else trees._as_tree(Z)
    if not np.isfinite(tree.heights).all():
        raise ValueError("Z holds infinite heights, which cannot be drawn")
    if image is not None and labels is not None:
        raise ValueError("labels must be None for a ColorTree: its leaves are colors")
    check_option(orientation, "orientation", tuple(_LEAVES_AT))
    wanted = (tree.n if image is None else _LEAVES_OF_IMAGES) if k is None else check_integer(k, "k", minimum=1)
    observations, ranges = trees._leaf_ranges(tree)
    top = _top(tree, ranges, min(wanted, tree.n))
    first = observations[ranges[top.leaves, 0]]
    swatches: list[str] = []
    if image is None:
        names = _names_of_leaves(trees._names(labels, tree.n), first, np.diff(ranges[top.leaves]).ravel())
    else:
        names, swatches = _shares_and_colors(image, first)
    clusters = _cut(tree, n_clusters, height)
    codes = _codes_of_nodes(clusters, observations, ranges)
    ax = axes_for(ax)
    colors = np.vstack([cluster_colors(clusters.max() + 1), _ABOVE_THE_CUT])  # code -1 is the last of them
    _draw_links(ax, top, colors[codes[top.merges]], orientation)
    _draw_strip(ax, swatches, orientation)
    _draw_names(ax, names, colors[codes[top.leaves]], orientation)
    heights = ax.yaxis if orientation in _UPRIGHT else ax.xaxis
    heights.set_label_text("height" if image is None else f"height ({image.method} linkage)")
    return ax


def _names_of_leaves(names: list[str], first: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> list[str]:
    """Return the name of each leaf's observation, or how many it holds."""
    return [names[row] if size == 1 else f"({size})" for row, size in zip(first, sizes, strict=True)]


def _shares_and_colors(image: ColorTree, first: npt.NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """Return the share of the pixels and the mean color of each leaf, given any color in it."""
    cut, clusters = image.cut(len(first)), image.labels(len(first))[first]
    return [f"{percent:.3g} %" for percent in cut.percent[clusters]], [cut.hex[cluster] for cluster in clusters]


def _top(tree: trees._Tree, ranges: npt.NDArray[np.int64], k: int) -> _Top:
    """Return the last k - 1 merges, over leaves at 0, ..., k - 1 and at height 0."""
    first = 2 * tree.n - k  # nodes from here on are lines; what else they join is a leaf
    children = np.stack([tree.left, tree.right], axis=1)[tree.n - k :]
    leaves = children[children < first] if k > 1 else np.array([2 * tree.n - 2])
    leaves = leaves[np.argsort(ranges[leaves, 0])]
    place, height = np.zeros(2 * tree.n - 1), np.zeros(2 * tree.n - 1)
    place[leaves] = np.arange(k)
    height[first:] = tree.heights[tree.n - k :]
    for node, (left, right) in enumerate(children.tolist(), start=first):
        place[node] = (place[left] + place[right]) / 2
    merges = np.arange(first, 2 * tree.n - 1)
    left, right = children.T
    links = np.empty((k - 1, 4, 2))
    links[:, :, 0] = np.stack([place[left], place[left], place[right], place[right]], axis=1)
    links[:, :, 1] = np.stack([height[left], height[merges], height[merges], height[right]], axis=1)
    return _Top(links, merges, leaves)


def _cut(tree: trees._Tree, n_clusters: int | None, height: float | None) -> npt.NDArray[np.int64]:
    """Return the cluster of each observation, -1 without a cut."""
    if n_clusters is not None and height is not None:
        raise ValueError("n_clusters and height are two ways to cut: give one of them")
    if n_clusters is not None:
        count = check_integer(n_clusters, "n_clusters", minimum=1, maximum=tree.n)
        return trees._cut(tree, np.arange(tree.n - 1) < tree.n - count)
    if height is not None:
        threshold = check_real(height, "height", minimum=0.0)
        return trees._cut(tree, trees._maxima(tree, tree.heights) < threshold)
    return np.full(tree.n, -1)


def _codes_of_nodes(
    labels: npt.NDArray[np.int64], observations: npt.NDArray[np.int64], ranges: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the cluster that each node is in, -1 where it holds several.

    A cluster is a subtree, thus its leaves are neighbors: a node is within it if its first and last leaf are.
    """
    in_order = labels[observations]
    first, last = in_order[ranges[:, 0]], in_order[ranges[:, 1] - 1]
    return np.where(first == last, first, -1)


def _draw_links(ax: Axes, top: _Top, colors: Colors, orientation: str) -> None:
    """Draw the lines, and make the axes those of a tree with its root at `orientation`."""
    from matplotlib.collections import LineCollection

    upright = orientation in _UPRIGHT
    lines = top.links if upright else top.links[:, :, ::-1]
    ax.add_collection(LineCollection(list(lines), colors=colors, linewidths=1.2), autolim=False)
    across, along = (ax.set_xlim, ax.set_ylim) if upright else (ax.set_ylim, ax.set_xlim)
    across(-0.5, len(top.leaves) - 0.5)
    low, high = top.links[:, :, 1].min(initial=0.0), top.links[:, :, 1].max(initial=0.0)
    limits = (low, high + 0.03 * (high - low)) if high > low else (0.0, 1.0)
    along(*(limits if orientation in ("top", "right") else limits[::-1]))
    for side in _LEAVES_AT:
        ax.spines[side].set_visible(side == ("left" if upright else "bottom"))


def _draw_strip(ax: Axes, colors: list[str], orientation: str) -> None:
    """Draw the leaves' colors, if they have any, in a strip below height 0, for which the axes' limits make room."""
    from matplotlib.patches import Rectangle

    if not colors:
        return
    upright = orientation in _UPRIGHT
    root = (ax.get_ylim if upright else ax.get_xlim)()[orientation in ("top", "right")]
    width = _STRIP * root
    for place, color in enumerate(colors):
        corner, size = (place - 0.5, -width), (1.0, width)
        if not upright:
            corner, size = corner[::-1], size[::-1]
        ax.add_patch(Rectangle(corner, *size, facecolor=color, edgecolor="0.5", linewidth=0.3))
    limits = (-width, root) if orientation in ("top", "right") else (root, -width)
    (ax.set_ylim if upright else ax.set_xlim)(*limits)


def _draw_names(ax: Axes, names: list[str], colors: Colors, orientation: str) -> None:
    """Write the leaves' names beside them, as large as there is room for, and level if that is enough for them."""
    upright = orientation in _UPRIGHT
    room = (ax.bbox.width if upright else ax.bbox.height) * 72 / ax.figure.dpi / len(names)
    axis: Any = ax.xaxis if upright else ax.yaxis
    axis.set_ticks_position(_LEAVES_AT[orientation])
    if room < _SMALLEST_NAMES:
        axis.set_ticks([])
        return
    size = min(room, _LARGEST_NAMES)
    level = not upright or size * max(map(len, names)) <= room
    axis.set_ticks(np.arange(len(names)), names)
    axis.set_tick_params(length=0, labelsize=size, labelrotation=0 if level else 90)
    for text, color in zip(axis.get_ticklabels(), colors, strict=True):
        text.set_color(color)
