"""The jobs that are timed: data, initial centers and targets. The same bits in every process that builds them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["WORKLOADS", "Workload", "photo"]

_PHOTO = Path(__file__).parent.parent / "examples" / "dandelion.jpg"
_N_NORMALS = 4_000_000
_SEED = 20


@dataclass(frozen=True)
class Workload:
    """One job, which several implementations do.

    Attributes
    ----------
    name, title : str
        For the command line; for the reader.
    task : {"lloyd", "quantize"}
        "lloyd": so many iterations from given centers with tol=0, then the labels for the last centers.
        "quantize": palette and index image of an image, seeding and convergence included.
    k : int
        Number of clusters.
    make : callable
        Builds the data: (n, p) points, or an (h, w, 3) image for "quantize".
    targets : dict of str to float
        How many times as fast as that implementation ours should be, both on all threads.
    iterations : int
        Of "lloyd".
    """

    name: str
    title: str
    task: str
    k: int
    make: Callable[[], npt.NDArray[Any]] = field(repr=False)
    targets: dict[str, float]
    iterations: int = 20

    @functools.cached_property
    def data(self) -> npt.NDArray[Any]:
        """The points or the image, built once."""
        return self.make()

    @property
    def points(self) -> npt.NDArray[Any]:
        """The data as (n, p) points."""
        return self.data.reshape(-1, self.data.shape[-1])

    @property
    def n_distances(self) -> int:
        """Distances from points to centers in one iteration; of more than four columns, as many as take the time."""
        return len(self.points) * self.k * -(-self.points.shape[1] // 4)

    def initial_centers(self) -> npt.NDArray[Any]:
        """Return the first k distinct points of a random order, in the dtype of the data."""
        rows = np.random.default_rng(_SEED).choice(len(self.points), size=4 * self.k, replace=False)
        drawn = self.points[rows]
        _, first = np.unique(drawn, axis=0, return_index=True)
        centers = drawn[np.sort(first)[: self.k]]
        assert len(centers) == self.k
        return centers


@functools.cache
def photo() -> npt.NDArray[np.uint8]:
    """Return the example photo, h x w x 3."""
    with Image.open(_PHOTO) as picture:
        return np.asarray(picture.convert("RGB"))


def _photo_pixels() -> npt.NDArray[np.uint8]:
    return photo().reshape(-1, 3)


@functools.cache
def _normals() -> npt.NDArray[np.float32]:
    """Draw standard normal points, no two of them equal."""
    points = np.random.default_rng(_SEED).standard_normal((_N_NORMALS, 3), dtype=np.float32)
    # Rows differ if already their first two coordinates, taken as one 64-bit integer, do.
    assert len(np.unique(np.ascontiguousarray(points[:, :2]).view(np.uint64))) == len(points)
    return points


def _clouds(n: int, p: int, clusters: int) -> npt.NDArray[np.float32]:
    """Draw points of normal clusters of standard deviation 1 about uniform places from -10 to 10 in every column."""
    draw = np.random.default_rng(_SEED)
    places = draw.uniform(-10, 10, (clusters, p)).astype(np.float32)
    return places[draw.integers(clusters, size=n)] + draw.standard_normal((n, p), dtype=np.float32)


def _uniform(n: int, p: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(_SEED).random((n, p), dtype=np.float32)


def _wide(n: int, p: int, k: int, clusters: int, target: float, iterations: int = 20) -> Workload:
    title = f"{n // 1000}k x {p} float32, {clusters} clusters, k = {k}, {iterations} iterations"
    targets = {"scikit-learn": target}
    return Workload(f"wide-{p}", title, "lloyd", k, lambda: _clouds(n, p, clusters), targets, iterations)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("photo-16", "photo, k = 16, 20 iterations", "lloyd", 16, _photo_pixels, {"scikit-learn": 50.0}),
        Workload("photo-256", "photo, k = 256, 20 iterations", "lloyd", 256, _photo_pixels, {"scikit-learn": 500.0}),
        Workload(
            "quantize-16",
            "quantize(photo, 16) to convergence",
            "quantize",
            16,
            photo,
            {"scikit-learn": 100.0, "Pillow median cut": 1.0},
        ),
        Workload("normals-16", "4M x 3 float32, k = 16, 20 iterations", "lloyd", 16, _normals, {"scikit-learn": 12.0}),
        Workload(
            "normals-256", "4M x 3 float32, k = 256, 20 iterations", "lloyd", 256, _normals, {"scikit-learn": 30.0}
        ),
        _wide(200_000, 16, 64, 16, 6.0),
        _wide(200_000, 64, 256, 64, 3.0),
        _wide(100_000, 128, 1024, 256, 2.5),
        # Of more clusters, ten iterations are not needed.
        _wide(50_000, 768, 1024, 16, 2.5, 10),
        Workload(
            "uniform-64",
            "200k x 64 uniform float32, k = 256, 20 iterations",
            "lloyd",
            256,
            lambda: _uniform(200_000, 64),
            {"scikit-learn": 1.0},
        ),
    )
}
