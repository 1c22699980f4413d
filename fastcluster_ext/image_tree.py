"""The dendrogram of an image: all its colors, merged from one cluster each down to a single one, without a matrix."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels, _vectors
from fastcluster_ext._memory import allocate
from fastcluster_ext._threads import resolve_threads
from fastcluster_ext._validation import Array, check_integer, check_option
from fastcluster_ext.image import ColorHistogram, QuantizedImage, as_histogram, index_image

__all__ = ["IMAGE_METHODS", "ColorTree", "image_linkage"]

_Floats = npt.NDArray[np.float64]

# The metric for which each method needs no distance matrix.
_METRICS = {
    "ward": "euclidean",
    "single": "euclidean",
    "complete": "euclidean",
    "average": "sqeuclidean",
    "weighted": "sqeuclidean",
    "centroid": "euclidean",
    "median": "euclidean",
}

IMAGE_METHODS = tuple(_METRICS)


class ColorTree:
    """The dendrogram of an image's distinct colors, each weighted by its pixels.

    Made by `image_linkage`. Cutting it takes no more clustering: any number of colors is a few milliseconds and one
    pass over the pixels away.

    Attributes
    ----------
    histogram : ColorHistogram
        The colors and how many pixels each has.
    method : str
        The linkage method.
    Z : (u - 1, 4) float64 array
        The merges, as from `fastcluster_ext.linkage`, of u distinct colors; column 3 counts colors.
    pixels : (u - 1,) int64 array
        Beside it, how many pixels each merge's cluster has.
    timings : dict of str to float
        Seconds taken: "histogram" (0 if a histogram was given), "linkage".

    Examples
    --------
    >>> import numpy as np
    >>> from fastcluster_ext import image_linkage
    >>> image = np.zeros((4, 6, 3), dtype=np.uint8)
    >>> image[:, :2] = 250, 120, 10
    >>> image[0, 0] = 250, 120, 14
    >>> tree = image_linkage(image)
    >>> tree
    ColorTree of 4 x 6 pixels: 3 colors, ward linkage
    >>> tree.Z[:, [0, 1, 3]], tree.pixels
    (array([[1., 2., 2.],
           [0., 3., 3.]]), array([ 8, 24]))
    >>> tree.palette(2)
    array([[  0,   0,   0],
           [250, 120,  10]], dtype=uint8)
    """

    def __init__(self, histogram: ColorHistogram, method: str, linkage: _Floats, timings: dict[str, float]) -> None:
        self.histogram = histogram
        self.method = method
        self.Z = linkage
        self.timings = timings
        nodes = linkage[:, :2].astype(np.int64)
        self._left, self._right = np.ascontiguousarray(nodes[:, 0]), np.ascontiguousarray(nodes[:, 1])
        sums = np.concatenate((histogram.counts.astype(np.float64), np.empty(len(linkage))))
        _kernels.load("trees").node_sums(self._left, self._right, sums)
        self.pixels: npt.NDArray[np.int64] = sums[len(histogram.counts) :].astype(np.int64)

    @property
    def n_colors(self) -> int:
        """Number of distinct colors: the leaves."""
        return len(self.histogram.counts)

    def labels(self, k: int) -> npt.NDArray[np.int64]:
        """Return the cluster of each distinct color when the tree is cut into k clusters.

        Parameters
        ----------
        k : int
            Number of clusters, from 1 to the number of distinct colors.

        Returns
        -------
        (u,) int64 array
            Clusters from 0 on, the one with the most pixels first. O(u) time.

        Raises
        ------
        TypeError, ValueError
            If k is not such an integer.
        """
        k = check_integer(k, "k", minimum=1, maximum=self.n_colors)
        labels = np.zeros(self.n_colors, np.int64)
        if self.n_colors > 1:
            made = (np.arange(self.n_colors - 1) < self.n_colors - k).view(np.uint8)
            _kernels.load("trees").first_merges(self._left, self._right, made, labels)
        order = np.argsort(-np.bincount(labels, weights=self.histogram.counts), kind="stable")
        rank = np.empty(k, np.int64)
        rank[order] = np.arange(k)
        return rank[labels]

    def centers(self, k: int) -> _Floats:
        """Return the mean color of each of k clusters, (k, c), the one with the most pixels first."""
        return _vectors.cluster_means(self.histogram.colors, self.labels(k), k, self.histogram.counts)

    def palette(self, k: int) -> Array:
        """Return the mean colors of k clusters, rounded to the image's dtype, the one with the most pixels first."""
        colors: Array = np.rint(self.centers(k)).astype(self.histogram.colors.dtype)
        return colors

    def cut(self, k: int) -> QuantizedImage:
        """Return the image in k colors: each pixel has the mean of its cluster.

        Parameters
        ----------
        k : int
            Number of colors, from 1 to 65535 and to the number of distinct colors.

        Returns
        -------
        QuantizedImage
            Its ``n_iter`` is 0. O(pixels) time.

        Raises
        ------
        TypeError, ValueError
            If k is not such an integer.
        """
        k = check_integer(k, "k", minimum=1, maximum=min(self.n_colors, 65535))
        started = time.perf_counter()
        labels = self.labels(k)
        colors, counts = self.histogram.colors.astype(np.float64), self.histogram.counts
        centers = _vectors.cluster_means(colors, labels, k, counts)
        mean = _vectors.cluster_means(colors, np.zeros(len(colors), np.int64), 1, counts)
        return QuantizedImage(
            palette=np.rint(centers).astype(self.histogram.colors.dtype),
            centers=centers,
            counts=np.bincount(labels, weights=counts, minlength=k).astype(np.int64),
            indices=index_image(self.histogram, labels, k),
            n_transparent=self.histogram.n_transparent,
            inertia=float(((colors - centers[labels]) ** 2).sum(axis=1) @ counts),
            total_inertia=float(((colors - mean) ** 2).sum(axis=1) @ counts),
            n_iter=0,
            converged=True,
            timings={**self.timings, "labels": time.perf_counter() - started},
        )

    def expand(self) -> _Floats:
        """Return the tree of all pixels: those of one color join at height 0 before anything else.

        Returns
        -------
        (n - 1, 4) float64 array
            The merges of n pixels, numbered row by row, without those left out as transparent; column 3 counts pixels.
            32 bytes a pixel, and as much again for a while.

        Raises
        ------
        MemoryError
            If it does not fit.
        """
        color_of = np.ravel(self.histogram.expand(np.arange(self.n_colors)))
        color_of = color_of[color_of >= 0] if self.histogram.n_transparent else color_of
        n = len(color_of)
        tree: _Floats = allocate((n - 1, 4), np.float64, f"the tree of {n} pixels")
        # Pixels by color; all but the first of a color join what there is of it.
        by_color = np.argsort(color_of, kind="stable")
        begin = np.cumsum(self.histogram.counts) - self.histogram.counts
        nth = np.arange(n) - begin[color_of[by_color]]
        joins = np.flatnonzero(nth > 0)
        repeats = len(joins)
        tree[:repeats, 0] = by_color[joins]
        tree[:repeats, 1] = np.where(nth[joins] == 1, by_color[joins - 1], n - 1 + np.arange(repeats))
        tree[:repeats, 2] = 0
        tree[:repeats, 3] = nth[joins] + 1
        # What each color, and each of its merges, is in the new tree.
        last = begin + self.histogram.counts - 1
        whole = n - 1 + np.searchsorted(joins, last, side="right")
        node = np.concatenate(
            (np.where(self.histogram.counts == 1, by_color[begin], whole), np.arange(n + repeats, 2 * n - 1))
        )
        tree[repeats:, 0], tree[repeats:, 1] = node[self._left], node[self._right]
        tree[repeats:, 2], tree[repeats:, 3] = self.Z[:, 2], self.pixels
        tree[:, :2].sort(axis=1)
        return tree

    def __repr__(self) -> str:
        """Show the image's size, the number of colors and the method."""
        size = " x ".join(map(str, self.histogram.shape))
        return f"ColorTree of {size} pixels: {self.n_colors} colors, {self.method} linkage"


def image_linkage(
    image: Any,
    method: str = "ward",
    *,
    skip_transparent: bool = False,
    n_threads: int | None = None,
    callback: _vectors.LinkageCallback | None = None,
) -> ColorTree:
    """Cluster all pixels of an image hierarchically: the exact dendrogram, without a distance matrix.

    Parameters
    ----------
    image : array, Pillow image or ColorHistogram
        As for `ColorHistogram.from_image`.
    method : str, default "ward"
        "ward", "single", "complete", "centroid" or "median" linkage of Euclidean distances, or "average" or "weighted"
        linkage of squared ones.
    skip_transparent : bool
        Leave fully transparent pixels out.
    n_threads : int, optional
        By default as many as this process may use. It never changes a result.
    callback : callable, optional
        As for `fastcluster_ext.linkage`; not called for a single color.

    Returns
    -------
    ColorTree
        Of the distinct colors, each with its number of pixels as weight: the tree of all pixels, less the joins of
        equal ones at height 0.

    Raises
    ------
    TypeError, ValueError
        As `ColorHistogram.from_image`; unknown method; callback not callable.

    Notes
    -----
    See `fastcluster_ext.linkage` for the algorithms. For u distinct colors about O(u log u) time, and less than 300
    bytes a color of memory for three channels.

    Examples
    --------
    >>> import numpy as np
    >>> from fastcluster_ext import image_linkage
    >>> image = np.array([[10, 11, 200], [10, 205, 12]], dtype=np.uint8)[:, :, np.newaxis]
    >>> tree = image_linkage(image)
    >>> tree.Z[:, 2].round(2)
    array([  1.  ,   2.12,   5.  , 313.13])
    >>> tree.cut(2).indices
    array([[0, 0, 1],
           [0, 1, 0]], dtype=uint8)
    """
    check_option(method, "method", IMAGE_METHODS)
    _vectors.check_callback(callback)
    threads = resolve_threads(n_threads)
    started = time.perf_counter()
    histogram = as_histogram(image, skip_transparent, n_threads)
    counted = time.perf_counter()
    linkage = np.empty((0, 4))
    if len(histogram.counts) > 1:
        weights = histogram.counts.astype(np.float64)
        linkage = _vectors.link_points(
            histogram.colors, method, _METRICS[method], weights, n_threads=threads, callback=callback
        )
    timings = {"histogram": counted - started, "linkage": time.perf_counter() - counted}
    return ColorTree(histogram, method, linkage, timings)
