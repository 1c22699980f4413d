"""Linkage without a distance matrix: a photo's colors, and random points, beside fastcluster's and quitefastmst's.

    python -m pytest benchmarks/bench_image_tree.py --benchmark-columns=median,rounds --benchmark-group-by=group
    python -m benchmarks.bench_image_tree [--plot FILE] [part ...]

The first is pytest-benchmark's table; the ratio that counts is the peer's median by ours. The second prints the targets
and whether they are hit, and what is not a matter of time alone: memory, growth with the number of points (it can draw
that, too), where searching pays, and the errors of cut trees. Whatever is timed is timed in a process of its own; two
that are compared take turns.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.processes import JobProcess
from benchmarks.workloads import photo
from fastcluster_ext import ColorHistogram, image_linkage, kmeans, linkage, quantize
from fastcluster_ext._threads import available_cpus
from fastcluster_ext.image_tree import IMAGE_METHODS

Array = npt.NDArray[Any]
Job = Callable[[Any], Any]

THREADS = available_cpus()
FEW = 40_000  # colors for fastcluster, whose time is quadratic
MANY = 1_000_000  # points for quitefastmst
COLUMNS = (2, 3, 5)
SIZES = (20_000, 40_000, 80_000, 160_000)
VECTOR_METHODS = ("ward", "centroid", "median", "single")

MOST_SECONDS = dict.fromkeys(IMAGE_METHODS, 6.0) | {"ward": 1.5, "single": 1.5, "complete": 10.0}
MOST_BYTES = 300  # a color
LEAST_RATIO = 25  # to fastcluster, ward


# -- jobs, each for a process of its own -------------------------------------------------------------------------------


def _some_colors(n: int) -> Array:
    colors = ColorHistogram.from_image(photo()).colors.astype(float)
    return colors[np.random.default_rng(0).permutation(len(colors))[:n]]


def _normal(p: int) -> Array:
    return np.random.default_rng(0).normal(size=(MANY, p))


def photo_tree(method: str) -> Job:
    histogram = ColorHistogram.from_image(photo())
    image_linkage(ColorHistogram.from_image(histogram.colors[:2000]), method)
    return lambda _: image_linkage(histogram, method).Z


def growing_tree(method: str) -> Job:
    """Return a job that takes how many of the photo's colors are to be clustered, with their weights."""
    histogram = ColorHistogram.from_image(photo())
    order = np.random.default_rng(0).permutation(len(histogram.counts))
    metric = "sqeuclidean" if method in ("average", "weighted") else "euclidean"

    def job(n: int) -> Array:
        some = order[:n]
        return linkage(histogram.colors[some], method, metric, weights=histogram.counts[some], memory="vector")

    return job


def tree_of_some_colors(who: str, method: str) -> Job:
    points = _some_colors(FEW)
    if who == "ours":
        return lambda _: linkage(points, method)
    import fastcluster

    return lambda _: fastcluster.linkage_vector(points, method)


def single_of_normal_points(who: str, p: int) -> Job:
    """Return a job that gives the heights: quitefastmst's edges are not a tree of clusters yet."""
    points = _normal(p)
    if who == "ours":
        return lambda _: linkage(points, "single")[:, 2]
    import quitefastmst

    return lambda _: quitefastmst.mst_euclid(points)[0]


# -- pytest-benchmark --------------------------------------------------------------------------------------------------


def _time(benchmark: BenchmarkFixture, group: str, prepare: Callable[..., Job], *arguments: Any, rounds: int) -> Array:
    benchmark.group = group
    with JobProcess(prepare, arguments, THREADS) as process:
        benchmark.pedantic(process.run, rounds=rounds, warmup_rounds=1 if rounds > 1 else 0)
        outcome: Array = process.outcome()
    return outcome


@pytest.mark.parametrize("method", IMAGE_METHODS)
def test_photo(benchmark: BenchmarkFixture, method: str) -> None:
    tree = _time(benchmark, f"photo {method}", photo_tree, method, rounds=5)
    assert tree[-1, 3] == len(tree) + 1


@pytest.mark.parametrize("who", ["ours", "fastcluster"])
@pytest.mark.parametrize("method", VECTOR_METHODS)
def test_vector(benchmark: BenchmarkFixture, method: str, who: str) -> None:
    pytest.importorskip("fastcluster")
    rounds = 5 if who == "ours" else 1
    tree = _time(benchmark, f"{FEW} colors {method}", tree_of_some_colors, who, method, rounds=rounds)
    _check_same_total(tree, tree_of_some_colors("ours", method)(0), method)


@pytest.mark.parametrize("who", ["ours", "quitefastmst"])
@pytest.mark.parametrize("p", COLUMNS)
def test_single(benchmark: BenchmarkFixture, p: int, who: str) -> None:
    pytest.importorskip("quitefastmst")
    lengths = _time(benchmark, f"single {MANY} x {p}", single_of_normal_points, who, p, rounds=3)
    np.testing.assert_allclose(lengths, single_of_normal_points("ours", p)(0), rtol=1e-9)


def _check_same_total(tree: Array, other: Array, method: str) -> None:
    """Colors are tied, and ties may be broken in another order: totals are the same within a percent."""
    tolerance = 1e-9 if method == "single" else 0.01
    np.testing.assert_allclose(tree[:, 2].sum(), other[:, 2].sum(), rtol=tolerance)


# -- targets -----------------------------------------------------------------------------------------------------------


def _verdict(hit: bool) -> str:
    return "hit" if hit else "MISSED"


def print_photo() -> None:
    print(f"the whole tree of the photo's colors, {THREADS} threads: seconds (median of 5), bytes a color beside it")
    for method in IMAGE_METHODS:
        with JobProcess(photo_tree, (method,), THREADS) as process:
            process.run()
            seconds = statistics.median(process.run() for _ in range(5))
            n = len(process.outcome()) + 1
        # Memory that was freed goes back to the system at once: the peak is that of what is in use.
        with JobProcess(photo_tree, (method,), THREADS, MALLOC_MMAP_THRESHOLD_="65536") as process:
            process.run()
            peak = process.peak_bytes()
        most = MOST_SECONDS[method]
        print(f"  {method:9s} {seconds:6.3f}  (at most {most:4.1f}: {_verdict(seconds <= most)})", end="")
        if peak is not None:
            each = peak / n
            print(f"  {each:5.0f}  (at most {MOST_BYTES}: {_verdict(each <= MOST_BYTES)})", end="")
        print(flush=True)


def _take_turns(prepare: Callable[..., Job], arguments: tuple[Any, ...], peer: str, rounds: int) -> tuple[Any, ...]:
    """Return our median and the peer's, in seconds, and what both found."""
    with (
        JobProcess(prepare, ("ours", *arguments), THREADS) as ours,
        JobProcess(prepare, (peer, *arguments), THREADS) as theirs,
    ):
        ours.run()
        times = [(ours.run(), theirs.run()) for _ in range(rounds)]
        medians = (statistics.median(column) for column in zip(*times, strict=True))
        return (*medians, ours.outcome(), theirs.outcome())


def print_vector() -> None:
    print(f"{FEW} of the photo's colors: ours and fastcluster.linkage_vector, seconds, ratio")
    for method in VECTOR_METHODS:
        ours, theirs, tree, other = _take_turns(tree_of_some_colors, (method,), "fastcluster", 1)
        _check_same_total(other, tree, method)
        print(f"  {method:9s} {ours:6.3f} {theirs:7.3f}  {theirs / ours:6.1f}x", end="")
        verdict = f"  (at least {LEAST_RATIO}x: {_verdict(theirs / ours >= LEAST_RATIO)})"
        print(verdict if method == "ward" else "", flush=True)


def print_single() -> None:
    print(f"single linkage of {MANY} normal points: columns, ours and quitefastmst, seconds (medians of 3), ratio")
    for p in COLUMNS:
        ours, theirs, lengths, others = _take_turns(single_of_normal_points, (p,), "quitefastmst", 3)
        np.testing.assert_allclose(others, lengths, rtol=1e-9)
        ratio = theirs / ours
        print(f"  {p:2d}  {ours:6.3f} {theirs:7.3f}  {ratio:6.2f}x  (faster: {_verdict(ratio > 1)})", flush=True)


# -- what is not a matter of time alone --------------------------------------------------------------------------------


def print_growth() -> dict[str, list[float]]:
    print("growth with the number of colors: seconds (medians of 5), and nanoseconds by n log2 n")
    print("  method    " + "".join(f"{n:>16d}" for n in SIZES))
    seconds: dict[str, list[float]] = {}
    for method in IMAGE_METHODS:
        with JobProcess(growing_tree, (method,), THREADS) as process:
            seconds[method] = [statistics.median(process.run(n) for _ in range(5)) for n in SIZES]
        cells = (f"{s:9.3f} {1e9 * s / (n * np.log2(n)):6.1f}" for n, s in zip(SIZES, seconds[method], strict=True))
        print(f"  {method:10s}" + "".join(cells), flush=True)
    return seconds


def _plot_growth(seconds: dict[str, list[float]], file: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    sizes = np.array(SIZES)
    ordered = sorted(seconds, key=lambda method: -seconds[method][-1])
    for method in ordered:
        axes.plot(sizes, seconds[method], "o-", markersize=4, label=method)
    # From the first point of the lowest and of the highest line on.
    for i, method in enumerate((ordered[0], ordered[-1])):
        guide = seconds[method][0] * sizes * np.log2(sizes) / (sizes[0] * np.log2(sizes[0]))
        axes.plot(sizes, guide, "--", color="0.6", linewidth=1, zorder=0, label=None if i else "n log n")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{n // 1000}k" for n in SIZES])
    axes.set_xlabel("distinct colors of a photo, with their pixels as weights")
    axes.set_ylabel("seconds")
    axes.set_title(f"linkage without a distance matrix, {THREADS} threads", fontsize=11)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[:, :, :3]
    quantize(drawn, 48, random_state=0).save(file)
    print(f"  drawn to {file}")


def _median_of(run: Callable[[], object], rounds: int = 3) -> float:
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def ratio_of_memories(method: str, metric: str) -> Job:
    """Return a job that takes n and p and gives the time with the matrix by that without."""

    def job(size: tuple[int, int]) -> float:
        points = np.random.default_rng(size[0]).normal(size=size)
        matrix, vector = (
            _median_of(functools.partial(linkage, points, method, metric, memory=way)) for way in ("matrix", "vector")
        )
        return matrix / vector

    return job


def print_crossover() -> None:
    print("seconds with the matrix by seconds without")
    sizes = (500, 1000, 2000, 4000)
    print("  method     p " + "".join(f"{n:8d}" for n in sizes))
    for method, metric in (
        ("ward", "euclidean"),
        ("single", "euclidean"),
        ("average", "sqeuclidean"),
        ("complete", "euclidean"),
        ("average", "euclidean"),
    ):
        with JobProcess(ratio_of_memories, (method, metric), THREADS) as process:
            for p in (2, 3, 5, 8):
                ratios = []
                for n in sizes:
                    process.run((n, p))
                    ratios.append(process.outcome())
                cells = "".join(f"{ratio:8.2f}" for ratio in ratios)
                print(f"  {method:9s} {p:2d} {cells}  {metric}", flush=True)


def print_errors() -> None:
    print("mean squared error a channel: k, k-means++ (best of 10), ward's cut, that polished by Lloyd's algorithm")
    histogram = ColorHistogram.from_image(photo())
    tree = image_linkage(histogram)
    for k in (4, 16, 64, 256):
        started = time.perf_counter()
        best = quantize(histogram, k, n_init=10, random_state=0)
        restarts = time.perf_counter() - started
        started = time.perf_counter()
        polished = kmeans(histogram.colors, k, init=tree.centers(k), sample_weight=histogram.counts)
        polish = time.perf_counter() - started
        by = histogram.counts.sum() * histogram.colors.shape[1]
        print(
            f"  {k:4d}  {best.mean_squared_error:9.3f} ({restarts:.2f} s)  {tree.cut(k).mean_squared_error:9.3f}  "
            f"{polished.inertia / by:9.3f} ({polish:.2f} s and the tree's {tree.timings['linkage']:.2f} s)"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the parts asked for."""
    parts: dict[str, Callable[[], dict[str, list[float]] | None]] = {
        "photo": print_photo,
        "vector": print_vector,
        "single": print_single,
        "growth": print_growth,
        "crossover": print_crossover,
        "errors": print_errors,
    }
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_image_tree")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(parts)} (all)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the growth to this file")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(parts):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    for part in options.parts or parts:
        seconds = parts[part]()
        if seconds is not None and options.plot is not None:
            _plot_growth(seconds, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
