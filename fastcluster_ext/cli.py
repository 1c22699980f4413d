"""The command line: reduce photos to k colors, the demonstration, and what this installation is.

Exit codes: 0 all done, 1 at least one image failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

import fastcluster_ext
from fastcluster_ext._config import config, show_config
from fastcluster_ext.image import ColorHistogram, QuantizedImage, quantize
from fastcluster_ext.kmeans import KMeansStep

__all__ = ["main"]

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm"}
_PHOTO = "dandelion.jpg"
_DEFAULT_COLORS = 16
_REFERENCE_PIXELS = 200_000
_REFERENCE_ITERATIONS = 5


class _UserError(Exception):
    """A message for the user instead of a traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with `arguments` (by default the process's) and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except _UserError as failure:
        print(f"fastcluster-ext: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fastcluster-ext: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastcluster-ext", description="Fast, exact clustering of images.")
    parser.add_argument("--version", action="version", version=f"fastcluster_ext {fastcluster_ext.__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    command = commands.add_parser("quantize", help="reduce images to k colors")
    command.description = "Reduce images to k colors by k-means on all their pixels."
    command.add_argument("images", nargs="+", type=Path, metavar="image", help="image files, or folders of them")
    command.add_argument(
        "-k", "--colors", type=_colors, metavar="K", help=f"number of colors ({_DEFAULT_COLORS}, or fewer if there are)"
    )
    command.add_argument("-o", "--output", type=Path, help="recolored image; a folder if there are several images")
    command.add_argument("--palette", type=Path, help="also write the palette for GIMP (.gpl); one image only")
    command.add_argument("--json", action="store_true", help="print palette, counts and error as JSON")
    command.add_argument("--init", choices=("k-means++", "random"), default="k-means++", help="seeds (k-means++)")
    command.add_argument("--n-init", type=_positive, default=1, metavar="N", help="runs, of which the best is kept (1)")
    command.add_argument("--max-iter", type=_positive, default=300, metavar="N", help="iterations of a run (300)")
    command.add_argument("--seed", type=_natural, default=0, help="seed of the random numbers (0)")
    command.add_argument("--threads", type=_positive, metavar="N", help="threads (all CPUs)")
    command.add_argument("--skip-transparent", action="store_true", help="leave fully transparent pixels out")
    command.set_defaults(run=_quantize)

    command = commands.add_parser("demo", help="cluster a photo of 16 million pixels, with timings")
    command.add_argument("--image", type=Path, help="another photo")
    command.add_argument("-k", "--colors", type=_colors, default=_DEFAULT_COLORS, metavar="K", help="colors (16)")
    command.add_argument("-o", "--output", type=Path, default=Path("demo-output"), help="folder (demo-output)")
    command.set_defaults(run=_demo)

    command = commands.add_parser("info", help="versions, instruction set, compiler, threads")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.set_defaults(run=_info)
    return parser


def _number(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"must be from {least} to {most}, got {number}")
    return number


def _positive(text: str) -> int:
    return _number(text, 1, 2**31 - 1)


def _natural(text: str) -> int:
    return _number(text, 0, 2**63 - 1)


def _colors(text: str) -> int:
    return _number(text, 1, 65535)


# -- quantize ----------------------------------------------------------------------------------------------------------


def _quantize(options: argparse.Namespace) -> int:
    paths = list(_image_files(options.images))
    several = len(paths) > 1 or any(path.is_dir() for path in options.images)
    if options.palette is not None and several:
        raise _UserError("--palette takes one image")
    outputs = _output_files(paths, options.output, several)
    failures = 0
    reports = []
    for path, output in zip(paths, outputs, strict=True):
        try:
            reports.append(_quantize_one(path, output, options))
        except _UserError as failure:
            print(f"fastcluster-ext: {failure}", file=sys.stderr)
            failures += 1
    if options.json and reports:
        print(json.dumps(reports if several else reports[0], indent=2))
    return 1 if failures else 0


def _output_files(paths: Sequence[Path], output: Path | None, several: bool) -> list[Path | None]:
    """Where each image goes: the output itself, or a PNG in it if there are several or it is a folder."""
    if output is None:
        return [None] * len(paths)
    if not several and not output.is_dir():
        return [output]
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _UserError(f"cannot make the folder {output}: {error.strerror}") from None
    files = [output / f"{path.stem}.png" for path in paths]
    for i, file in enumerate(files):
        if file in files[:i]:
            raise _UserError(f"{paths[files.index(file)]} and {paths[i]} would both be written to {file}")
        if any(file.exists() and path.exists() and file.samefile(path) for path in paths):
            raise _UserError(f"{file} is one of the images to read; choose another folder")
    return list(files)


def _image_files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            entries = sorted(entry for entry in path.iterdir() if entry.is_file())
            found = [entry for entry in entries if entry.suffix.lower() in _IMAGE_SUFFIXES]
            if not found:
                raise _UserError(f"no images in {path}")
            yield from found
        else:
            yield path


def _quantize_one(path: Path, output: Path | None, options: argparse.Namespace) -> dict[str, Any]:
    timings: dict[str, float] = {}
    with _stage(timings, "read"):
        pixels = _read(path)
    progress = _Progress(sys.stderr, path.name)
    try:
        started = time.perf_counter()
        histogram = ColorHistogram.from_image(
            pixels, skip_transparent=options.skip_transparent, n_threads=options.threads
        )
        timings["histogram"] = time.perf_counter() - started
        available = len(histogram.counts)
        if options.colors is not None and options.colors > available:
            raise _UserError(f"{path}: -k {options.colors} is more than the {available} colors of the image")
        result = quantize(
            histogram,
            min(_DEFAULT_COLORS, available) if options.colors is None else options.colors,
            init=options.init,
            n_init=options.n_init,
            max_iter=options.max_iter,
            random_state=options.seed,
            n_threads=options.threads,
            callback=progress.step if progress.shown else None,
        )
    except (ValueError, TypeError, MemoryError) as error:
        raise _UserError(f"{path}: {error}") from None
    finally:
        progress.clear()
    timings |= {stage: result.timings[stage] for stage in ("kmeans", "labels")}
    if output is not None:
        with _stage(timings, "write"):
            _write(output, result.save)
    if options.palette is not None:
        _write(options.palette, lambda to: to.write_text(result.to_gpl(path.stem)))
    if not options.json:
        _print_report(path, result, timings, output)
    return {"image": str(path), **json.loads(result.to_json()), "seconds": timings}


def _read(path: Path) -> Any:
    """Decode an image with Pillow, upright; its guard against decompression bombs stays on."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise _UserError("reading images needs Pillow: pip install 'fastcluster_ext[image]'") from None
    import warnings

    try:
        with warnings.catch_warnings():
            # Pillow only warns of an image of suspicious size, and refuses one of twice that.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                return ImageOps.exif_transpose(picture)
    except FileNotFoundError:
        raise _UserError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise _UserError(f"{path}: not an image that Pillow can read") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _UserError(f"{path}: {error}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise _UserError(f"{path}: cannot be read: {error}") from None


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    try:
        write(path)
    except (OSError, ValueError, ImportError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise _UserError(f"{path}: cannot be written: {reason}") from None


@contextmanager
def _stage(timings: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    timings[name] = time.perf_counter() - started


class _Progress:
    """One line on a terminal, rewritten at each iteration; nothing anywhere else."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self.stream = stream
        self.name = name
        self.shown = stream.isatty()
        self.last = 0.0

    def step(self, step: KMeansStep) -> None:
        now = time.monotonic()
        if now - self.last >= 0.1:
            self.last = now
            self.stream.write(f"\r\x1b[K{self.name}: iteration {step.iteration}, centers moved {step.center_shift:.3g}")
            self.stream.flush()

    def clear(self) -> None:
        if self.last:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


def _print_report(path: Path, result: QuantizedImage, timings: dict[str, float], output: Path | None) -> None:
    size = " x ".join(map(str, reversed(result.indices.shape)))
    print(f"{path}: {size} pixels in {len(result.palette)} colors")
    _print_palette(result)
    if result.n_transparent:
        print(f"  {result.n_transparent} transparent pixels left out")
    print(f"  inertia {result.inertia:.6g}, mean squared error {result.mean_squared_error:.4g} a channel, ", end="")
    print(f"{'converged' if result.converged else 'stopped'} after {result.n_iter} iterations")
    _print_timings(timings)
    if output is not None:
        print(f"  written to {output}")


def _print_palette(result: QuantizedImage, most: int = 64) -> None:
    swatches = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for code, share in list(zip(result.hex, result.percent, strict=True))[:most]:
        red, green, blue = bytes.fromhex(code[1:])
        swatch = f"\x1b[48;2;{red};{green};{blue}m      \x1b[0m  " if swatches else ""
        print(f"  {swatch}{code}  {share:6.2f} %")
    if len(result.palette) > most:
        print(f"  ... {len(result.palette) - most} more")


def _print_timings(timings: dict[str, float]) -> None:
    stages = "  ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in timings.items())
    print(f"  {stages}")


# -- demo --------------------------------------------------------------------------------------------------------------


def _demo(options: argparse.Namespace) -> int:
    photo = options.image or _example_photo()
    timings: dict[str, float] = {}
    with _stage(timings, "read"):
        pixels = _rgb(_read(photo))
    _write(options.output, lambda folder: folder.mkdir(parents=True, exist_ok=True))
    print(f"{photo.name}: {pixels.shape[1]} x {pixels.shape[0]} = {pixels[..., 0].size / 1e6:.1f} million pixels")
    print(f"instruction set {config()['instruction set']}, {config()['threads by default']} threads\n")
    try:
        started = time.perf_counter()
        result = quantize(pixels, options.colors, random_state=0)
        seconds = time.perf_counter() - started
    except ValueError as error:
        raise _UserError(f"{photo}: {error}") from None
    timings |= result.timings
    with _stage(timings, "recolor"):
        recolored = result.image
    _print_palette(result)
    print(f"\nk-means on all pixels, k = {options.colors}: {seconds:.3f} s to convergence ({result.n_iter} iterations)")
    _print_timings(timings)
    print(f"  inertia {result.inertia:.6g}, mean squared error {result.mean_squared_error:.4g} a channel\n")

    sample = pixels.reshape(-1, 3)[:: max(1, pixels[..., 0].size // _REFERENCE_PIXELS)]
    reference_seconds = _numpy_reference(sample, result.centers, _REFERENCE_ITERATIONS)
    estimate = reference_seconds / _REFERENCE_ITERATIONS / len(sample) * pixels[..., 0].size * result.n_iter
    print(
        f"NumPy, {len(sample)} pixels, {_REFERENCE_ITERATIONS} iterations: {reference_seconds:.3f} s; at that rate the "
        f"whole photo would take {estimate:.1f} s"
    )

    _write(options.output / "recolored.png", result.save)
    side_by_side = np.concatenate([pixels[::4, ::4], recolored[::4, ::4]], axis=1)
    from PIL import Image

    _write(options.output / "side-by-side.png", Image.fromarray(side_by_side).save)
    print(f"\nwritten: {options.output / 'recolored.png'}, {options.output / 'side-by-side.png'}")
    return 0


def _rgb(picture: Any) -> Any:
    """Return a Pillow image as h x w x 3 uint8."""
    if picture.mode.startswith("I;16"):
        # Pillow clips 16 bits to 8 where it should scale.
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    return np.asarray(picture.convert("RGB"))


def _example_photo() -> Path:
    """Find the photo that comes with the project: in a source checkout, or inside the installed package."""
    package = Path(__file__).parent
    for folder in (package.parent / "examples", package / "examples"):
        if (folder / _PHOTO).exists():
            return folder / _PHOTO
    raise _UserError(f"{_PHOTO} is not installed; name a photo with --image")


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


# -- info --------------------------------------------------------------------------------------------------------------


def _info(options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps(config(), indent=2))
    else:
        show_config()
    return 0
