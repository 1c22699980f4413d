"""The colors of an image as a strip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastcluster_ext._plots._axes import axes_for
from fastcluster_ext.image import QuantizedImage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["palette"]

# Percent: narrower strips have their text upright, still narrower ones none.
_LEAST_LEVEL = 8.0
_LEAST_LABELLED = 2.0


def palette(image: QuantizedImage, *, ax: Axes | None = None) -> Axes:
    r"""Draw the palette: every color as wide as its share of the pixels, with its share and hexadecimal code.

    Parameters
    ----------
    image : QuantizedImage
        From `fastcluster_ext.quantize`.
    ax : matplotlib Axes, optional
        Where to draw; by default the current axes of pyplot.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If `image` is no QuantizedImage.

    Examples
    --------
    >>> import numpy as np
    >>> from fastcluster_ext import quantize
    >>> pixels = np.repeat(np.array([[250, 20, 20], [20, 20, 250]], np.uint8), [75, 25], axis=0)
    >>> ax = palette(quantize(pixels, 2, random_state=0))
    >>> [text.get_text() for text in ax.texts]
    ['#fa1414\n75.0 %', '#1414fa\n25.0 %']
    """
    if not isinstance(image, QuantizedImage):
        raise TypeError(f"image must be what fastcluster_ext.quantize returned, got {type(image).__name__}")
    ax = axes_for(ax)
    widths = image.percent
    starts = np.concatenate([[0.0], np.cumsum(widths)[:-1]])
    ax.barh(0, widths, left=starts, height=1.0, color=image.hex, linewidth=0)
    for code, start, width in zip(image.hex, starts, widths, strict=True):
        if width < _LEAST_LABELLED:
            continue
        red, green, blue = bytes.fromhex(code[1:])
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 128
        level = width >= _LEAST_LEVEL
        ax.text(
            start + width / 2,
            0,
            f"{code}\n{width:.1f} %" if level else f"{code}  {width:.1f} %",
            rotation="horizontal" if level else "vertical",
            ha="center",
            va="center",
            fontsize=7,
            color="white" if dark else "black",
        )
    ax.set_xlim(0, 100)
    ax.set_ylim(-0.5, 0.5)
    ax.set_yticks([])
    ax.set_xlabel("percent of the pixels")
    return ax
