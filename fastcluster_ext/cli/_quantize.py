"""`fastcluster-ext quantize`: images in k colors by k-means."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fastcluster_ext.cli._shared import (
    DEFAULT_COLORS,
    Progress,
    UserError,
    colors,
    natural,
    positive,
    print_palette,
    print_timings,
    read,
    stage,
    write,
)
from fastcluster_ext.image import ColorHistogram, QuantizedImage, quantize
from fastcluster_ext.kmeans import KMeansStep

__all__ = ["add_command"]

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm"}


def add_command(commands: Any) -> None:
    """Describe the command and its options."""
    command = commands.add_parser("quantize", help="reduce images to k colors")
    command.description = "Reduce images to k colors by k-means on all their pixels."
    command.add_argument("images", nargs="+", type=Path, metavar="image", help="image files, or folders of them")
    command.add_argument(
        "-k", "--colors", type=colors, metavar="K", help=f"number of colors ({DEFAULT_COLORS}, or fewer if there are)"
    )
    command.add_argument("-o", "--output", type=Path, help="recolored image; a folder if there are several images")
    command.add_argument("--palette", type=Path, help="also write the palette for GIMP (.gpl); one image only")
    command.add_argument("--json", action="store_true", help="print palette, counts and error as JSON")
    methods = ("kmeans", "kmedoids")
    command.add_argument("--method", choices=methods, default="kmeans", help="mean colors, or colors of the image")
    starts = ("k-means++", "random", "ward")
    command.add_argument("--init", choices=starts, default="k-means++", help="where to start (k-means++)")
    command.add_argument("--n-init", type=positive, default=1, metavar="N", help="runs, of which the best is kept (1)")
    command.add_argument("--max-iter", type=positive, default=300, metavar="N", help="iterations of a run (300)")
    command.add_argument("--seed", type=natural, default=0, help="seed of the random numbers (0)")
    command.add_argument("--threads", type=positive, metavar="N", help="threads (all CPUs)")
    command.add_argument("--skip-transparent", action="store_true", help="leave fully transparent pixels out")
    command.set_defaults(run=_quantize)


def _quantize(options: argparse.Namespace) -> int:
    paths = list(_image_files(options.images))
    several = len(paths) > 1 or any(path.is_dir() for path in options.images)
    if options.palette is not None and several:
        raise UserError("--palette takes one image")
    outputs = _output_files(paths, options.output, several)
    failures = 0
    reports = []
    for path, output in zip(paths, outputs, strict=True):
        try:
            reports.append(_quantize_one(path, output, options))
        except UserError as failure:
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
        raise UserError(f"cannot make the folder {output}: {error.strerror}") from None
    files = [output / f"{path.stem}.png" for path in paths]
    for i, file in enumerate(files):
        if file in files[:i]:
            raise UserError(f"{paths[files.index(file)]} and {paths[i]} would both be written to {file}")
        if any(file.exists() and path.exists() and file.samefile(path) for path in paths):
            raise UserError(f"{file} is one of the images to read; choose another folder")
    return list(files)


def _image_files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            entries = sorted(entry for entry in path.iterdir() if entry.is_file())
            found = [entry for entry in entries if entry.suffix.lower() in _IMAGE_SUFFIXES]
            if not found:
                raise UserError(f"no images in {path}")
            yield from found
        else:
            yield path


def _quantize_one(path: Path, output: Path | None, options: argparse.Namespace) -> dict[str, Any]:
    timings: dict[str, float] = {}
    with stage(timings, "read"):
        pixels = read(path)
    progress = Progress(sys.stderr, path.name)
    try:
        started = time.perf_counter()
        histogram = ColorHistogram.from_image(
            pixels, skip_transparent=options.skip_transparent, n_threads=options.threads
        )
        timings["histogram"] = time.perf_counter() - started
        available = len(histogram.counts)
        if options.colors is not None and options.colors > available:
            raise UserError(f"{path}: -k {options.colors} is more than the {available} colors of the image")
        result = quantize(
            histogram,
            min(DEFAULT_COLORS, available) if options.colors is None else options.colors,
            method=options.method,
            init=options.init,
            n_init=options.n_init,
            max_iter=options.max_iter,
            random_state=options.seed,
            n_threads=options.threads,
            callback=_shown_by(progress) if progress.shown and options.method == "kmeans" else None,
        )
    except (ValueError, TypeError, MemoryError) as error:
        raise UserError(f"{path}: {error}") from None
    finally:
        progress.clear()
    timings |= {stage: result.timings[stage] for stage in (options.method, "labels")}
    if output is not None:
        with stage(timings, "write"):
            write(output, result.save)
    if options.palette is not None:
        write(options.palette, lambda to: to.write_text(result.to_gpl(path.stem)))
    if not options.json:
        _print_report(path, result, timings, output)
    return {"image": str(path), **json.loads(result.to_json()), "seconds": timings}


def _shown_by(progress: Progress) -> Callable[[KMeansStep], None]:
    def show(step: KMeansStep) -> None:
        progress.show(f"iteration {step.iteration}, centers moved {step.center_shift:.3g}")

    return show


def _print_report(path: Path, result: QuantizedImage, timings: dict[str, float], output: Path | None) -> None:
    size = " x ".join(map(str, reversed(result.indices.shape)))
    print(f"{path}: {size} pixels in {len(result.palette)} colors")
    print_palette(result)
    if result.n_transparent:
        print(f"  {result.n_transparent} transparent pixels left out")
    print(f"  inertia {result.inertia:.6g}, mean squared error {result.mean_squared_error:.4g} a channel, ", end="")
    print(f"{'converged' if result.converged else 'stopped'} after {result.n_iter} iterations")
    print_timings(timings)
    if output is not None:
        print(f"  written to {output}")
