"""Linkage without a distance matrix: a photo's colors, and random points, beside fastcluster's and quitefastmst's.

    python -m pytest benchmarks/bench_image_tree.py --benchmark-columns=median,rounds --benchmark-group-by=group
    python -m benchmarks.bench_image_tree

The first is pytest-benchmark's table; the ratio that counts is the peer's median by ours. The second prints what is not
a matter of time alone: growth with the number of points, memory, where searching pays, and the errors of cut trees.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastcluster_ext import ColorHistogram, image_linkage, kmeans, linkage, quantize
from fastcluster_ext.image_tree import IMAGE_METHODS

PHOTO = Path(__file__).parents[1] / "examples" / "dandelion.jpg"
# Colors of the photo for fastcluster, whose time is quadratic.
FEW = 40_000


def photo_histogram():
    image = pytest.importorskip("PIL.Image")
    with image.open(PHOTO) as picture:
        return ColorHistogram.from_image(np.asarray(picture))


def some_colors(n):
    colors = photo_histogram().colors.astype(float)
    return colors[np.random.default_rng(0).permutation(len(colors))[:n]]


@pytest.mark.parametrize("method", IMAGE_METHODS)
def test_photo(benchmark, method):
    benchmark.group = f"photo {method}"
    histogram = photo_histogram()
    tree = benchmark.pedantic(image_linkage, (histogram, method), rounds=5, warmup_rounds=1)
    assert tree.pixels[-1] == histogram.counts.sum()


@pytest.mark.parametrize("who", ["ours", "fastcluster"])
@pytest.mark.parametrize("method", ["ward", "centroid", "median", "single"])
def test_vector(benchmark, method, who):
    fastcluster = pytest.importorskip("fastcluster")
    benchmark.group = f"{FEW} colors {method}"
    points = some_colors(FEW)
    run = linkage if who == "ours" else fastcluster.linkage_vector
    rounds = 5 if who == "ours" else 1
    tree = benchmark.pedantic(run, (points, method), rounds=rounds, warmup_rounds=rounds - 1)
    # Colors are tied, and ties may be broken in another order: the total is the same within a percent.
    if who == "fastcluster":
        np.testing.assert_allclose(linkage(points, method)[:, 2].sum(), tree[:, 2].sum(), rtol=0.01)


@pytest.mark.parametrize("who", ["ours", "quitefastmst"])
@pytest.mark.parametrize("p", [2, 3, 5])
def test_single(benchmark, p, who):
    benchmark.group = f"single 1000000 x {p}"
    points = np.random.default_rng(0).normal(size=(1_000_000, p))
    if who == "ours":
        tree = benchmark.pedantic(linkage, (points, "single"), rounds=3, warmup_rounds=1)
        assert len(tree) == len(points) - 1
    else:
        quitefastmst = pytest.importorskip("quitefastmst")
        lengths, _ = benchmark.pedantic(quitefastmst.mst_euclid, (points,), rounds=3, warmup_rounds=1)
        np.testing.assert_allclose(np.sort(lengths), linkage(points, "single")[:, 2], rtol=1e-9)


# -- what is not a matter of time alone --------------------------------------------------------------------------------


def seconds(run, *arguments, rounds=3, **options):
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        run(*arguments, **options)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def growth():
    print("growth with the number of colors, weighted ward: n, seconds, microseconds by n log2 n")
    histogram = photo_histogram()
    order = np.random.default_rng(0).permutation(len(histogram.counts))
    for n in (20_000, 40_000, 80_000, 160_000):
        some = order[:n]
        taken = seconds(linkage, histogram.colors[some], "ward", weights=histogram.counts[some])
        print(f"  {n:7d}  {taken:6.3f}  {1e6 * taken / (n * np.log2(n)):.3f}")


def memory():
    print("memory: bytes a color at the peak, beside the photo and its histogram")
    for method in IMAGE_METHODS:
        code = f"from benchmarks.bench_image_tree import peak_bytes; print(peak_bytes({method!r}))"
        # The peak is a process's: each method needs one of its own, which gives freed memory back at once.
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        print(f"  {method:9s} {float(done.stdout):5.0f}")


def peak_bytes(method):
    histogram = photo_histogram()
    image_linkage(ColorHistogram.from_image(histogram.colors[:2000]), method)
    statm = Path("/proc/self/statm").read_text().split()
    before = int(statm[1]) * os.sysconf("SC_PAGE_SIZE")
    Path("/proc/self/clear_refs").write_text("5")
    image_linkage(histogram, method)
    status = Path("/proc/self/status").read_text()
    peak = 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    return (peak - before) / len(histogram.counts)


def crossover():
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
        for p in (2, 3, 5, 8):
            ratios = []
            for n in sizes:
                points = np.random.default_rng(n).normal(size=(n, p))
                matrix, vector = (seconds(linkage, points, method, metric, memory=way) for way in ("matrix", "vector"))
                ratios.append(matrix / vector)
            print(f"  {method:9s} {p:2d} " + "".join(f"{ratio:8.2f}" for ratio in ratios) + f"  {metric}")


def errors():
    print(
        "mean squared error a channel: k, k-means++ (best of 10), ward's cut, ward's cut polished by Lloyd's algorithm"
    )
    histogram = photo_histogram()
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


if __name__ == "__main__":
    for part in sys.argv[1:] or ("growth", "memory", "crossover", "errors"):
        {"growth": growth, "memory": memory, "crossover": crossover, "errors": errors}[part]()
