"""Images: counting colors, and reducing an image to k of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext._grouping import GroupedRows, groupable, paint
from fastcluster_ext._random import RandomState
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array, check_integer, check_option
from fastcluster_ext.kmeans import Floats, KMeansResult, kmeans
from fastcluster_ext.kmedoids import kmedoids

__all__ = ["ColorHistogram", "QuantizedImage", "as_histogram", "index_image", "quantize"]

_MOST_COLORS = 65535
_MOST_INDEXED_COLORS = 256

# Pillow's modes whose pixels are not plain channels, and what shows the same picture in plain channels.
_PLAIN_MODES = {"1": "L", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "RGBX": "RGB"}
_PLAIN_MODES |= {"RGBa": "RGBA", "La": "LA"}  # colors already multiplied by alpha
# What shows an image one color of which is transparent.
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA", "P": "RGBA"}


class ColorHistogram:
    """The distinct colors of an image and how often each occurs.

    Made by `from_image`. An image is, for clustering, a weighted set of colors: `colors` are the points and `counts`
    the weights, and `expand` brings labels of colors back to pixels. A pickle holds the image, whose colors are counted
    again when it is read.

    Attributes
    ----------
    colors : (u, c) array of the image's dtype
        Distinct colors, sorted channel by channel.
    counts : (u,) int64 array
        Number of pixels of each color.
    shape : tuple of int
        The image without its channels: (h, w), or (n,) for n x c pixels.
    n_transparent : int
        Number of pixels left out because they are fully transparent.

    Examples
    --------
    >>> import numpy as np
    >>> from fastcluster_ext import ColorHistogram
    >>> image = np.array([[[255, 0, 0], [0, 0, 255]], [[255, 0, 0], [255, 0, 0]]], dtype=np.uint8)
    >>> histogram = ColorHistogram.from_image(image)
    >>> histogram.colors
    array([[  0,   0, 255],
           [255,   0,   0]], dtype=uint8)
    >>> histogram.counts
    array([1, 3])
    >>> histogram.expand([7, 4])
    array([[4, 7],
           [4, 4]], dtype=uint8)
    """

    def __init__(self, groups: GroupedRows, shape: tuple[int, ...]) -> None:
        self._groups = groups
        self.shape = shape
        self.colors = groups.points
        self.counts = groups.counts
        self.n_transparent = groups.n_transparent

    @classmethod
    def from_image(cls, image: Any, *, skip_transparent: bool = False, n_threads: int | None = None) -> ColorHistogram:
        """Count the colors of an image.

        Parameters
        ----------
        image : (h, w), (h, w, c) or (n, c) array of uint8 or uint16, or a Pillow image
            1 to 4 channels. A two-dimensional array whose second dimension is at most 4 is taken as n pixels of c
            channels, any other as a grey image. Any strides; the array is not copied, and must not change while the
            histogram is in use.
        skip_transparent : bool
            Leave out the pixels whose last channel, alpha, is 0; the image must have two or four channels.
        n_threads : int, optional
            Number of threads; never changes the result.

        Returns
        -------
        ColorHistogram

        Raises
        ------
        TypeError
            If the image is not of uint8 or uint16.
        ValueError
            If it is empty or of a wrong shape, or has no alpha channel to go by.

        Notes
        -----
        Time O(pixels). Memory: at most 18 MiB for each of up to four threads where a pixel has at most 24 bits (and
        there are enough pixels), otherwise 32 to 64 bytes a color and thread.
        """
        pixels, shape = _pixels(image)
        if skip_transparent and pixels.shape[2] not in (2, 4):
            raise ValueError(
                f"skip_transparent needs an alpha channel (2 or 4 channels), image has {pixels.shape[2]} channels"
            )
        groups = GroupedRows(pixels, resolve_threads(n_threads), skip_transparent=skip_transparent)
        if len(groups.counts) == 0:
            raise ValueError("image is fully transparent: no color is left")
        return cls(groups, shape)

    def expand(self, labels: npt.ArrayLike) -> npt.NDArray[Any]:
        """Bring one integer per color back to the pixels.

        Parameters
        ----------
        labels : (u,) integer array-like
            A value for each color, from -1 to 2**31 - 1.

        Returns
        -------
        array of `shape`
            The value of each pixel's color, in the smallest dtype that holds all of them: unsigned, or signed where
            there is a -1. Pixels left out as transparent have -1.

        Raises
        ------
        ValueError, TypeError
            If `labels` is not one integer per color, or if the image was changed since its colors were counted.
        """
        try:
            values = np.asarray(labels)
        except ValueError as error:
            raise ValueError(f"labels is not a rectangular array: {error}") from error
        if values.dtype.kind not in "iu":
            raise TypeError(f"labels must be integers, got dtype {values.dtype}")
        if values.shape != self.counts.shape:
            raise ValueError(f"labels must have shape {self.counts.shape}, one for each color, got {values.shape}")
        least, most = int(values.min()), int(values.max())
        if least < -1 or most > np.iinfo(np.int32).max:
            raise ValueError(f"labels must be from -1 to {np.iinfo(np.int32).max}, got {least} to {most}")
        signed = least < 0 or self.n_transparent > 0
        candidates = (np.int8, np.int16, np.int32) if signed else (np.uint8, np.uint16, np.uint32)
        dtype = next(dtype for dtype in candidates if most <= np.iinfo(dtype).max)
        return self._expand(values.astype(dtype), -1 if signed else 0)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from."""
        return ColorHistogram, (self._groups, self.shape)

    def _expand(self, values: npt.NDArray[Any], transparent: int) -> npt.NDArray[Any]:
        return self._groups.expand(values, transparent).reshape(self.shape)

    def __repr__(self) -> str:
        """Show the image's size and the number of colors."""
        size = " x ".join(map(str, self.shape))
        return f"ColorHistogram of {size} pixels: {len(self.counts)} colors of {self.colors.dtype}"


@dataclass(frozen=True, repr=False, eq=False)
class QuantizedImage:
    """An image reduced to k colors: the most frequent first.

    Attributes
    ----------
    palette : (k, c) array of the image's dtype
        The colors, rounded.
    centers : (k, c) float64 array
        The colors, exact: cluster means.
    counts : (k,) int64 array
        Number of pixels of each color.
    indices : (h, w) or (n,) array of the smallest unsigned dtype
        Each pixel's row in the palette; k for pixels left out as transparent.
    n_transparent : int
        Number of pixels left out as transparent.
    inertia : float
        Sum over the pixels of the squared distance between the color and its exact center.
    total_inertia : float
        The same with the mean color as the only center.
    n_iter : int
        Iterations of k-means.
    converged : bool
        Whether k-means ended before its ``max_iter``.
    timings : dict of str to float
        Seconds taken: "histogram" (0 if a histogram was given), "kmeans" or "linkage", "labels".
    """

    palette: Array
    centers: Floats
    counts: npt.NDArray[np.int64]
    indices: npt.NDArray[Any]
    n_transparent: int
    inertia: float
    total_inertia: float
    n_iter: int
    converged: bool
    timings: dict[str, float]

    @property
    def percent(self) -> Floats:
        """Share of the (not left out) pixels in each color, in percent."""
        shares: Floats = 100.0 * self.counts / self.counts.sum()
        return shares

    @property
    def mean_squared_error(self) -> float:
        """Inertia by pixel and channel."""
        return float(self.inertia / self.counts.sum() / self.palette.shape[1])

    @property
    def image(self) -> Array:
        """The recolored image, in the shape and dtype of the original; transparent pixels are all zero."""
        entries = self.palette
        if self.n_transparent:
            entries = np.vstack([entries, np.zeros_like(entries[:1])])
        return paint(entries, self.indices)

    @property
    def hex(self) -> list[str]:
        """The palette as "#rrggbb" (grey: r = g = b; alpha left out; 16-bit channels rounded to 8)."""
        return ["#" + bytes(color).hex() for color in self._rgb()]

    def _rgb(self) -> npt.NDArray[np.uint8]:
        """Return the palette as k x 3 uint8."""
        colors = self.palette if self.palette.dtype == np.uint8 else np.rint(self.palette / 257.0).astype(np.uint8)
        n_colors = 3 if colors.shape[1] >= 3 else 1
        return np.ascontiguousarray(np.broadcast_to(colors[:, :n_colors], (len(colors), 3)))

    def _alpha(self) -> npt.NDArray[np.uint8] | None:
        """Return the palette's alpha as uint8, or None if the image has none."""
        if self.palette.shape[1] not in (2, 4):
            return None
        alpha = self.palette[:, -1]
        return alpha if alpha.dtype == np.uint8 else np.rint(alpha / 257.0).astype(np.uint8)

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return palette, counts, percent and error as JSON."""
        rgb, alpha, codes, shares = self._rgb(), self._alpha(), self.hex, self.percent
        colors = [
            {
                "hex": codes[i],
                "rgb": rgb[i].tolist(),
                **({} if alpha is None else {"alpha": int(alpha[i])}),
                "exact": self.centers[i].tolist(),
                "count": int(self.counts[i]),
                "percent": float(shares[i]),
            }
            for i in range(len(self.palette))
        ]
        import json

        return json.dumps(
            {
                "k": len(self.palette),
                "shape": list(self.indices.shape),
                "transparent": self.n_transparent,
                "inertia": self.inertia,
                "mean_squared_error": self.mean_squared_error,
                "iterations": self.n_iter,
                "converged": self.converged,
                "colors": colors,
            },
            indent=indent,
        )

    def to_gpl(self, name: str = "fastcluster_ext") -> str:
        """Return the palette in the format of GIMP and Inkscape (.gpl)."""
        lines = ["GIMP Palette", f"Name: {name}", "Columns: 0", "#"]
        lines += [
            f"{r:3d} {g:3d} {b:3d}\t{code} {share:.2f}%"
            for (r, g, b), code, share in zip(self._rgb().tolist(), self.hex, self.percent, strict=True)
        ]
        return "\n".join(lines) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the recolored image; needs Pillow (extra ``image``).

        A PNG of at most 256 colors (transparency counts as one) is written as an indexed image. Any other goes the way
        Pillow writes that format.

        Raises
        ------
        ImportError
            If Pillow is not installed.
        ValueError
            If the image is not of h x w pixels, or the format is unknown or cannot hold it.
        OSError
            If the file cannot be written.
        """
        try:
            from PIL import Image
        except ImportError as error:
            raise ImportError("saving an image needs Pillow: pip install 'fastcluster_ext[image]'") from error
        from pathlib import Path

        if self.indices.ndim != 2:
            raise ValueError(f"only h x w pixels can be saved as an image, these are of shape {self.indices.shape}")
        path = Path(path)
        entries = len(self.palette) + (self.n_transparent > 0)
        if path.suffix.lower() == ".png" and entries <= _MOST_INDEXED_COLORS and self.palette.dtype == np.uint8:
            picture = Image.fromarray(self.indices)
            picture.putpalette(self._rgb().tobytes() + bytes(3 * (self.n_transparent > 0)))
            alpha = self._alpha()
            if alpha is None:
                picture.save(path)
            else:
                picture.save(path, transparency=alpha.tobytes() + bytes(self.n_transparent > 0))
            return
        recolored = self.image
        if recolored.ndim == 3 and recolored.shape[2] == 1:
            recolored = recolored[:, :, 0]
        try:
            Image.fromarray(recolored).save(path)
        except (TypeError, OSError) as error:
            # Without a number it is not the system's error, but Pillow's: the format has no such pixels.
            if isinstance(error, OSError) and error.errno is not None:
                raise
            kind = f"{recolored.dtype} pixels of {self.palette.shape[1]} channels"
            raise ValueError(f"{path.name} cannot be written with {kind}: {error}") from error

    def __repr__(self) -> str:
        """Show size, error and the first colors of the palette."""
        size = " x ".join(map(str, self.indices.shape))
        shown = [f"  {code}  {share:6.2f} %" for code, share in zip(self.hex[:16], self.percent, strict=False)]
        if len(self.palette) > len(shown):
            shown.append(f"  ... {len(self.palette) - len(shown)} more")
        head = f"QuantizedImage of {size} pixels in {len(self.palette)} colors, mean squared error "
        return "\n".join([f"{head}{self.mean_squared_error:.4g}", *shown])


def quantize(
    image: Any,
    k: int,
    *,
    method: str = "kmeans",
    init: str | npt.ArrayLike = "k-means++",
    n_init: int | str = "auto",
    max_iter: int = 300,
    tol: float = 1e-4,
    skip_transparent: bool = False,
    random_state: RandomState = None,
    n_threads: int | None = None,
    callback: Callable[[Any], Any] | None = None,
) -> QuantizedImage:
    """Reduce an image to k colors by clustering all its pixels.

    Parameters
    ----------
    image : array, Pillow image or ColorHistogram
        As for `ColorHistogram.from_image`.
    k : int
        Number of colors, from 1 to 65535, at most the number of distinct colors.
    method : {"kmeans", "kmedoids"}
        "kmeans" makes the palette of mean colors, "kmedoids" of colors that occur in the image: medoids by Manhattan
        distance (FasterPAM), which takes longer.
    skip_transparent : bool
        Leave fully transparent pixels out; they get an entry of their own behind the palette.
    init, n_init, max_iter, tol, random_state, n_threads, callback
        As for `fastcluster_ext.kmeans`; with "kmedoids" as for `fastcluster_ext.kmedoids`, which has no `tol`, and
        where "k-means++" stands for its own default.

    Returns
    -------
    QuantizedImage

    Raises
    ------
    TypeError, ValueError
        As `ColorHistogram.from_image` and `fastcluster_ext.kmeans`; k more than 65535.

    Notes
    -----
    Runs on the distinct colors weighted by their counts, which is the same as running on all pixels.
    Time O(pixels) and O(u k) an iteration for u distinct colors. Memory: one or two bytes a pixel for the indices,
    about 100 bytes a distinct color, and a few MiB.

    Examples
    --------
    >>> import numpy as np
    >>> from fastcluster_ext import quantize
    >>> image = np.zeros((4, 6, 3), dtype=np.uint8)
    >>> image[:, :2] = 250, 120, 10
    >>> quantize(image, 2, random_state=0)
    QuantizedImage of 4 x 6 pixels in 2 colors, mean squared error 0
      #000000   66.67 %
      #fa780a   33.33 %
    """
    k = check_integer(k, "k", minimum=1, maximum=_MOST_COLORS)
    check_option(method, "method", ("kmeans", "kmedoids"))
    started = time.perf_counter()
    histogram = as_histogram(image, skip_transparent, n_threads)
    counted = time.perf_counter()
    options: dict[str, Any] = {
        "max_iter": max_iter,
        "sample_weight": histogram.counts,
        "random_state": random_state,
        "n_threads": n_threads,
        "callback": callback,
    }
    if method == "kmedoids":
        result = _medoid_colors(histogram, k, init, n_init, options)
    else:
        result = kmeans(histogram.colors, k, init=init, n_init=n_init, tol=tol, **options)
    clustered = time.perf_counter()
    order = np.argsort(-result.cluster_weights, kind="stable")
    rank = np.empty(k, dtype=np.int64)
    rank[order] = np.arange(k)
    indices = index_image(histogram, rank[result.labels], k)
    centers = result.centers[order]
    return QuantizedImage(
        palette=np.rint(centers).astype(histogram.colors.dtype),
        centers=centers,
        counts=result.cluster_weights[order].astype(np.int64),
        indices=indices,
        n_transparent=histogram.n_transparent,
        inertia=result.inertia,
        total_inertia=result.total_inertia,
        n_iter=result.n_iter,
        converged=result.converged,
        timings={
            "histogram": counted - started,
            method: clustered - counted,
            "labels": time.perf_counter() - clustered,
        },
    )


def _medoid_colors(
    histogram: ColorHistogram, k: int, init: str | npt.ArrayLike, n_init: int | str, options: dict[str, Any]
) -> KMeansResult:
    """Cluster the colors by k-medoids; the sums of squares, by which palettes are compared, are to the medoids."""
    start = "auto" if isinstance(init, str) and init == "k-means++" else init
    runs = 1 if n_init == "auto" else check_integer(n_init, "n_init", minimum=1)
    found = kmedoids(histogram.colors, k, init=start, n_init=runs, **options)
    colors, counts = histogram.colors.astype(np.float64), histogram.counts.astype(np.float64)
    centers = colors[found.medoids]
    squares = counts * ((colors - centers[found.labels]) ** 2).sum(axis=1)
    mean = np.average(colors, axis=0, weights=counts)
    return KMeansResult(
        labels=found.labels,
        centers=centers,
        inertia=float(squares.sum()),
        cluster_inertia=np.bincount(found.labels, squares, minlength=k).astype(np.float64),
        total_inertia=float((counts * ((colors - mean) ** 2).sum(axis=1)).sum()),
        sizes=np.bincount(found.labels, minlength=k),
        cluster_weights=np.bincount(found.labels, counts, minlength=k).astype(np.float64),
        n_iter=found.n_iter,
        converged=found.converged,
    )


def as_histogram(image: Any, skip_transparent: bool, n_threads: int | None) -> ColorHistogram:
    """Return the histogram of an image, or the histogram that was given instead of one."""
    if not isinstance(image, ColorHistogram):
        return ColorHistogram.from_image(image, skip_transparent=skip_transparent, n_threads=n_threads)
    if skip_transparent:
        raise ValueError("skip_transparent comes too late for a ColorHistogram: give it to from_image")
    return image


def index_image(histogram: ColorHistogram, labels: npt.NDArray[np.int64], k: int) -> npt.NDArray[Any]:
    """Return the label below k of each pixel's color, k where it was left out as transparent, in few bytes."""
    entries = k + (histogram.n_transparent > 0)
    dtype = np.uint8 if entries <= 256 else np.uint16 if entries <= 65536 else np.uint32
    return histogram._expand(labels.astype(dtype), k if histogram.n_transparent else 0)


def _pixels(image: Any) -> tuple[Array, tuple[int, ...]]:
    """Return the image as h x w x c, a view where possible, and its shape without channels."""
    if hasattr(image, "mode") and hasattr(image, "convert"):
        image = np.asarray(_plain_channels(image))
        # A narrow grey picture must not be taken for a list of pixels.
        image = image[:, :, np.newaxis] if image.ndim == 2 else image
    if isinstance(image, (str, os.PathLike)):
        raise TypeError("image must be an array or a Pillow image, got a path; open it: PIL.Image.open(path)")
    if np.ma.is_masked(image):
        raise ValueError("image has masked values; fill them, or give the n x c pixels that are left")
    try:
        pixels = np.asarray(image)
    except ValueError as error:
        raise ValueError(f"image is not a rectangular array: {error}") from error
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        raise TypeError(
            f"image must be of uint8 or uint16, got {pixels.dtype}; scale other values first, for example "
            "(255 * image).round().astype(np.uint8)"
        )
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if not pixels.flags.aligned:
        pixels = pixels.copy()
    if pixels.ndim == 2 and pixels.shape[1] <= 4:
        pixels, shape = pixels[np.newaxis], pixels.shape[:1]
    elif pixels.ndim == 2:
        pixels, shape = pixels[:, :, np.newaxis], pixels.shape
    elif pixels.ndim == 3:
        shape = pixels.shape[:2]
    else:
        raise ValueError(f"image must be h x w, h x w x c or n x c, got {pixels.ndim} dimensions")
    if pixels.size == 0:
        raise ValueError(f"image is empty: its shape is {np.shape(image)}")
    if not groupable(pixels) or pixels.shape[2] > 4:
        raise ValueError(f"image must have 1 to 4 channels, got {pixels.shape[2]}")
    return pixels, shape


def _plain_channels(picture: Any) -> Any:
    """Return a Pillow image whose array holds plain channels; palettes, bits and print colors are converted."""
    if "transparency" in picture.info and picture.mode in _WITH_ALPHA:
        return picture.convert(_WITH_ALPHA[picture.mode])
    if picture.mode == "P":
        return picture.convert("RGB")
    return picture.convert(_PLAIN_MODES[picture.mode]) if picture.mode in _PLAIN_MODES else picture
