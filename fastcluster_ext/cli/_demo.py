"""`fastcluster-ext demo`: a photo of 16 million pixels clustered, with timings."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from fastcluster_ext._config import config
from fastcluster_ext.cli._shared import (
    DEFAULT_COLORS,
    UserError,
    colors,
    print_palette,
    print_timings,
    read,
    rgb,
    stage,
    write,
)
from fastcluster_ext.image import quantize

__all__ = ["add_command"]

_PHOTO = "dandelion.jpg"
_REFERENCE_PIXELS = 200_000
_REFERENCE_ITERATIONS = 5


def add_command(commands: Any) -> None:
    """Describe the command and its options."""
    command = commands.add_parser("demo", help="cluster a photo of 16 million pixels, with timings")
    command.add_argument("--image", type=Path, help="another photo")
    command.add_argument("-k", "--colors", type=colors, default=DEFAULT_COLORS, metavar="K", help="colors (16)")
    command.add_argument("-o", "--output", type=Path, default=Path("demo-output"), help="folder (demo-output)")
    command.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    photo = options.image or _example_photo()
    timings: dict[str, float] = {}
    with stage(timings, "read"):
        pixels = rgb(read(photo))
    write(options.output, lambda folder: folder.mkdir(parents=True, exist_ok=True))
    print(f"{photo.name}: {pixels.shape[1]} x {pixels.shape[0]} = {pixels[..., 0].size / 1e6:.1f} million pixels")
    print(f"instruction set {config()['instruction set']}, {config()['threads by default']} threads\n")
    try:
        started = time.perf_counter()
        result = quantize(pixels, options.colors, random_state=0)
        seconds = time.perf_counter() - started
    except ValueError as error:
        raise UserError(f"{photo}: {error}") from None
    timings |= result.timings
    with stage(timings, "recolor"):
        recolored = result.image
    print_palette(result)
    print(f"\nk-means on all pixels, k = {options.colors}: {seconds:.3f} s to convergence ({result.n_iter} iterations)")
    print_timings(timings)
    print(f"  inertia {result.inertia:.6g}, mean squared error {result.mean_squared_error:.4g} a channel\n")

    sample = pixels.reshape(-1, 3)[:: max(1, pixels[..., 0].size // _REFERENCE_PIXELS)]
    reference_seconds = _numpy_reference(sample, result.centers, _REFERENCE_ITERATIONS)
    estimate = reference_seconds / _REFERENCE_ITERATIONS / len(sample) * pixels[..., 0].size * result.n_iter
    print(
        f"NumPy, {len(sample)} pixels, {_REFERENCE_ITERATIONS} iterations: {reference_seconds:.3f} s; at that rate the "
        f"whole photo would take {estimate:.1f} s"
    )

    write(options.output / "recolored.png", result.save)
    side_by_side = np.concatenate([pixels[::4, ::4], recolored[::4, ::4]], axis=1)
    from PIL import Image

    write(options.output / "side-by-side.png", Image.fromarray(side_by_side).save)
    print(f"\nwritten: {options.output / 'recolored.png'}, {options.output / 'side-by-side.png'}")
    return 0


def _example_photo() -> Path:
    """Find the photo that comes with the project: in a source checkout, or inside the installed package."""
    package = Path(__file__).parents[1]
    for folder in (package.parent / "examples", package / "examples"):
        if (folder / _PHOTO).exists():
            return folder / _PHOTO
    raise UserError(f"{_PHOTO} is not installed; name a photo with --image")


def _numpy_reference(pixels: Any, centers: Any, iterations: int) -> float:
    """Seconds that readable NumPy takes for Lloyd iterations on these pixels."""
    points, centers = pixels.astype(np.float64), centers.copy()
    started = time.perf_counter()
    for _ in range(iterations):
        distances = np.stack([((points - center) ** 2).sum(axis=1) for center in centers], axis=1)
        labels = distances.argmin(axis=1)
        for j in range(len(centers)):
            if (labels == j).any():
                centers[j] = points[labels == j].mean(axis=0)
    return time.perf_counter() - started
