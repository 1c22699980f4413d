"""`fastcluster-ext tree`: the dendrogram of a photo, and cuts of it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fastcluster_ext.cli._shared import (
    Progress,
    UserError,
    colors,
    positive,
    print_palette,
    print_timings,
    read,
    stage,
    write,
)
from fastcluster_ext.hierarchy import LinkageStep
from fastcluster_ext.image_tree import IMAGE_METHODS, ColorTree, image_linkage

__all__ = ["add_command"]

_CUTS = (2, 4, 8, 16, 32)
_MOST_SHOWN = 16


def add_command(commands: Any) -> None:
    """Describe the command and its options."""
    command = commands.add_parser("tree", help="the dendrogram of a photo, cut into k colors for any k")
    command.description = "Cluster all pixels of an image hierarchically, and cut the tree into k colors for several k."
    command.add_argument("image", type=Path, help="image file")
    command.add_argument(
        "-k", "--colors", type=_cuts, metavar="K,K,...", help=f"numbers of colors ({','.join(map(str, _CUTS))})"
    )
    command.add_argument("-o", "--output", type=Path, help="folder for the recolored images and the dendrogram")
    command.add_argument("--method", choices=IMAGE_METHODS, default="ward", help="linkage method (ward)")
    command.add_argument("--leaves", type=positive, default=32, metavar="N", help="leaves of the dendrogram drawn (32)")
    command.add_argument("--json", action="store_true", help="print the palettes as JSON")
    command.add_argument("--threads", type=positive, metavar="N", help="threads (all CPUs)")
    command.add_argument("--skip-transparent", action="store_true", help="leave fully transparent pixels out")
    command.set_defaults(run=_tree)


def _cuts(text: str) -> list[int]:
    return [colors(part) for part in text.split(",")]


def _tree(options: argparse.Namespace) -> int:
    timings: dict[str, float] = {}
    with stage(timings, "read"):
        pixels = read(options.image)
    progress = Progress(sys.stderr, options.image.name)

    def show(step: LinkageStep) -> None:
        progress.show(f"{100 * step.merges // step.total} % of {step.total} merges")

    try:
        tree = image_linkage(
            pixels,
            options.method,
            skip_transparent=options.skip_transparent,
            n_threads=options.threads,
            callback=show if progress.shown else None,
        )
    except (ValueError, TypeError, MemoryError) as error:
        raise UserError(f"{options.image}: {error}") from None
    finally:
        progress.clear()
    timings |= tree.timings
    if options.colors is None:
        cuts = [k for k in _CUTS if k <= tree.n_colors]
    else:
        cuts = options.colors
        if max(cuts) > tree.n_colors:
            raise UserError(f"{options.image}: -k {max(cuts)} is more than the {tree.n_colors} colors of the image")
    if options.output is not None:
        write(options.output, lambda folder: folder.mkdir(parents=True, exist_ok=True))
    if not options.json:
        size = " x ".join(map(str, reversed(tree.histogram.shape)))
        print(f"{options.image}: {size} pixels, {tree.n_colors} colors, {tree.method} linkage")
        print_timings(timings)
    reports = [_cut(tree, k, options) for k in cuts]
    if options.json:
        print(json.dumps({"image": str(options.image), "seconds": timings, "cuts": reports}, indent=2))
    if options.output is not None:
        _draw(tree, options)
    return 0


def _cut(tree: ColorTree, k: int, options: argparse.Namespace) -> dict[str, Any]:
    result = tree.cut(k)
    if not options.json:
        print(f"{k} colors: mean squared error {result.mean_squared_error:.4g} a channel")
        print_palette(result, _MOST_SHOWN)
    if options.output is not None:
        file = options.output / f"{options.image.stem}-{k}.png"
        if file.exists() and file.samefile(options.image):
            raise UserError(f"{file} is the image to read; choose another folder")
        write(file, result.save)
    report: dict[str, Any] = json.loads(result.to_json())
    return report


def _draw(tree: ColorTree, options: argparse.Namespace) -> None:
    file = options.output / f"{options.image.stem}-dendrogram.png"
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        print("fastcluster-ext: no dendrogram is drawn: pip install 'fastcluster_ext[plot]'", file=sys.stderr)
        return
    from fastcluster_ext.plot import dendrogram

    figure = Figure(figsize=(10, 5), layout="constrained")
    FigureCanvasAgg(figure)
    dendrogram(tree, min(options.leaves, tree.n_colors), ax=figure.subplots())
    write(file, figure.savefig)
