"""What all commands share: numbers and images from the command line, times of stages, palettes on a terminal."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from fastcluster_ext.image import QuantizedImage

__all__ = [
    "DEFAULT_COLORS",
    "Progress",
    "UserError",
    "colors",
    "natural",
    "number",
    "positive",
    "print_palette",
    "print_timings",
    "read",
    "rgb",
    "stage",
    "write",
]

DEFAULT_COLORS = 16


class UserError(Exception):
    """A message for the user instead of a traceback."""


class Progress:
    """One line on a terminal, rewritten as work goes on; nothing anywhere else."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self.stream = stream
        self.name = name
        self.shown = stream.isatty()
        self.last = 0.0

    def show(self, text: str) -> None:
        """Write the line anew, ten times a second at most."""
        now = time.monotonic()
        if now - self.last >= 0.1:
            self.last = now
            self.stream.write(f"\r\x1b[K{self.name}: {text}")
            self.stream.flush()

    def clear(self) -> None:
        """Wipe the line."""
        if self.last:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


def number(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"must be from {least} to {most}, got {number}")
    return number


def positive(text: str) -> int:
    return number(text, 1, 2**31 - 1)


def natural(text: str) -> int:
    return number(text, 0, 2**63 - 1)


def colors(text: str) -> int:
    return number(text, 1, 65535)


def read(path: Path) -> Any:
    """Decode an image with Pillow, upright; its guard against decompression bombs stays on."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise UserError("reading images needs Pillow: pip install 'fastcluster_ext[image]'") from None
    import warnings

    try:
        with warnings.catch_warnings():
            # Pillow only warns of an image of suspicious size, and refuses one of twice that.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                return ImageOps.exif_transpose(picture)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: not an image that Pillow can read") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{path}: {error}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def rgb(picture: Any) -> Any:
    """Return a Pillow image as h x w x 3 uint8."""
    if picture.mode.startswith("I;16"):
        # Pillow clips 16 bits to 8 where it should scale.
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    return np.asarray(picture.convert("RGB"))


def write(path: Path, write: Callable[[Path], Any]) -> None:
    try:
        write(path)
    except (OSError, ValueError, ImportError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"{path}: cannot be written: {reason}") from None


@contextmanager
def stage(timings: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    timings[name] = time.perf_counter() - started


def print_palette(result: QuantizedImage, most: int = 64) -> None:
    swatches = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for code, share in list(zip(result.hex, result.percent, strict=True))[:most]:
        red, green, blue = bytes.fromhex(code[1:])
        swatch = f"\x1b[48;2;{red};{green};{blue}m      \x1b[0m  " if swatches else ""
        print(f"  {swatch}{code}  {share:6.2f} %")
    if len(result.palette) > most:
        print(f"  ... {len(result.palette) - most} more")


def print_timings(timings: dict[str, float]) -> None:
    stages = "  ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in timings.items())
    print(f"  {stages}")
