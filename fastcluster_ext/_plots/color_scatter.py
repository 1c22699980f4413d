"""The colors of an image as points of the color cube."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from fastcluster_ext._plots._axes import even_rows, import_pyplot, panels_for
from fastcluster_ext._validation import check_integer, check_option
from fastcluster_ext.image import ColorHistogram, QuantizedImage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["color_scatter"]

_CHANNELS = ("red", "green", "blue")
_KINDS = ("cloud", "planes")
_MARGIN = 0.03  # around the cube, in parts of it


def color_scatter(
    image: Any,
    *,
    palette: QuantizedImage | None = None,
    kind: str = "cloud",
    max_points: int = 20_000,
    ax: Any = None,
) -> Axes | tuple[Axes, ...]:
    """Draw the distinct colors of an image, each in its own color, in the cube of red, green and blue.

    Parameters
    ----------
    image : (h, w, c) or (n, c) array of uint8 or uint16, Pillow image or ColorHistogram
        As for `fastcluster_ext.quantize`, of three or four channels; the fourth is not shown.
    palette : QuantizedImage, optional
        From `fastcluster_ext.quantize`; its centers are drawn over the colors.
    kind : {"cloud", "planes"}
        One three-dimensional picture, or the cube seen along its three edges.
    max_points : int
        Colors drawn; of more, so many at even distances in sorted order.
    ax : matplotlib Axes, optional
        Where to draw: for "cloud", three-dimensional axes; for "planes", three axes. By default in a new figure.

    Returns
    -------
    matplotlib Axes for "cloud"; three of them, red-green, red-blue and green-blue, for "planes"

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument has a wrong type or value, or the image has fewer than three channels.

    Notes
    -----
    O(n) time to count the pixels' colors; every color is drawn once, however frequent.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.array([[250, 20, 20], [20, 20, 250], [250, 20, 20]], np.uint8)
    >>> panels = color_scatter(pixels, kind="planes")
    >>> len(panels[0].collections[0].get_offsets())
    2
    """
    check_option(kind, "kind", _KINDS)
    most = check_integer(max_points, "max_points", minimum=1)
    if palette is not None and not isinstance(palette, QuantizedImage):
        raise TypeError(f"palette must be what fastcluster_ext.quantize returned, got {type(palette).__name__}")
    histogram = image if isinstance(image, ColorHistogram) else ColorHistogram.from_image(image)
    if histogram.colors.shape[1] < 3:
        raise ValueError(f"image must have red, green and blue, got {histogram.colors.shape[1]} channels")
    colors = histogram.colors[even_rows(len(histogram.colors), most), :3]
    top = float(np.iinfo(colors.dtype).max)
    centers = None if palette is None else palette.centers[:, :3]
    if kind == "cloud":
        panels = [import_pyplot().figure().add_subplot(projection="3d") if ax is None else ax]
        if not hasattr(panels[0], "set_zlim"):
            raise ValueError('ax must be three-dimensional: add_subplot(projection="3d")')
        views: list[tuple[int, ...]] = [(0, 1, 2)]
    else:
        panels = panels_for(ax, 3, columns=3)
        views = list(combinations(range(3), 2))
    unshaded = {"depthshade": False} if kind == "cloud" else {}  # colors would be lighter the farther they are
    for panel, channels in zip(panels, views, strict=True):
        panel.scatter(*colors[:, channels].T, s=4, color=colors / top, linewidths=0, **unshaded)
        if centers is not None:
            panel.computed_zorder = False  # in three dimensions, the colors around would hide the centers
            marks = {"s": 80, "edgecolors": "white", "zorder": 3} | unshaded
            panel.scatter(*centers[:, channels].T, color=centers / top, **marks)
        for axis, channel in zip("xyz", channels, strict=False):
            getattr(panel, f"set_{axis}label")(_CHANNELS[channel])
            getattr(panel, f"set_{axis}lim")(-_MARGIN * top, (1 + _MARGIN) * top)
    return panels[0] if kind == "cloud" else tuple(panels)
