"""Hartigan and Wong's algorithm from given centers, ours and R's `kmeans`. One group a workload.

R runs once, in a process of its own, and times itself; reading its data is not in that time. Where R fails ("Quick-
TRANSfer stage steps exceeded maximum"), its time is that until it gave up. A final sum of squares that differs by more
than rounding is shown, not asserted, where the algorithms do not take the same way: R's pixels move one by one, ours of
equal color together.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.workloads import photo
from fastcluster_ext import kmeans

_K = 16
_RSCRIPT = """
folder <- commandArgs(TRUE)[1]
p <- as.integer(commandArgs(TRUE)[2])
values <- function(name) matrix(readBin(file.path(folder, name), "double", 1e9), ncol = p, byrow = TRUE)
X <- values("points.bin"); C <- values("centers.bin")
seconds <- system.time(fit <- suppressWarnings(kmeans(X, C, iter.max = 1000)))[["elapsed"]]
cat(sprintf("%.17g", c(seconds, fit$tot.withinss, fit$iter, fit$ifault)))
"""

Points = npt.NDArray[Any]


def _crop() -> Points:
    """Return four megapixels of the photo."""
    return np.ascontiguousarray(photo()[400:2400, 1600:3600]).reshape(-1, 3)


def _normals() -> Points:
    return np.random.default_rng(0).normal(size=(1_000_000, 3))


def _groups(spread: float) -> Points:
    """Return a million points around sixteen places: farther apart, fewer points are between two of them."""
    generator = np.random.default_rng(0)
    places = 3 * generator.normal(size=(_K, 3))
    return places[generator.integers(_K, size=1_000_000)] + spread * generator.normal(size=(1_000_000, 3))


WORKLOADS: dict[str, Callable[[], Points]] = {
    "photo, 4 MP crop, k = 16": _crop,
    "1M x 3 float64, sixteen separate groups, k = 16": lambda: _groups(0.3),
    "1M x 3 float64, sixteen groups that overlap, k = 16": lambda: _groups(0.8),
    "1M x 3 float64, normal, k = 16": _normals,
}


def _run_r(X: Points, centers: Points, folder: Path) -> list[float]:
    """Return seconds, sum of squares, iterations and error code of R's kmeans."""
    for name, values in (("points.bin", X), ("centers.bin", centers)):
        values.astype(np.float64).tofile(folder / name)
    script = folder / "time.R"
    script.write_text(_RSCRIPT)
    command = ["Rscript", str(script), str(folder), str(X.shape[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R")
@pytest.mark.parametrize("algorithm", ["hartigan-wong", "hartigan"])
@pytest.mark.parametrize("name", WORKLOADS)
def test_hartigan(name: str, algorithm: str, benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    X = WORKLOADS[name]()
    distinct = np.unique(X[:: len(X) // 4096], axis=0)
    centers = np.random.default_rng(1).permutation(distinct)[:_K].astype(np.float64) + 0.25
    benchmark.group, benchmark.name = name, algorithm
    result = benchmark.pedantic(kmeans, (X, _K), {"init": centers, "algorithm": algorithm}, rounds=3, warmup_rounds=1)
    seconds, theirs, iterations, fault = _run_r(X, centers, tmp_path)
    ratio = seconds / float(np.median(benchmark.stats.stats.data)) if benchmark.stats else float("nan")
    benchmark.extra_info.update(
        r_seconds=seconds, r_iterations=iterations, r_fault=fault, ratio=ratio, inertia=result.inertia / theirs
    )
    print(
        f"\n{name}, {algorithm}: R takes {seconds:.2f} s, {ratio:.1f} times as long"
        f"{' until it fails' if fault else ''}; iterations {result.n_iter} and R {iterations:.0f}; "
        f"our sum of squares is {result.inertia / theirs:.9f} of R's"
    )
    if fault == 0 and algorithm == "hartigan-wong" and X.dtype == np.float64:
        assert result.inertia == pytest.approx(theirs, rel=1e-12)
        assert result.n_iter == iterations
    assert result.converged
