"""Linkage of a condensed matrix: ours in both precisions, and fastcluster's, each in a process of its own.

    python -m benchmarks.bench_hierarchy [10000 20000] [ward ...]
    python -m pytest benchmarks/bench_hierarchy.py --benchmark-columns=median,rounds --benchmark-group-by=group

The first compares them in turns and says which targets are met, and how many times longer ours takes than reading the
matrix once does: no algorithm can do with less. 20 000 observations need 9 GB, and are timed once, after a first run.
The second is pytest-benchmark's table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.limits import read_bytes_per_second
from benchmarks.turns import Contestant, process_of, ratio, row, take_turns
from fastcluster_ext import linkage, pdist
from fastcluster_ext._threads import available_cpus
from fastcluster_ext.hierarchy import METHODS

PEER = "fastcluster"
# By how much fastcluster, which is float64, is to take longer.
TARGETS = {"float64": 4.0, "float32": 6.0}


def prepare(who: str, method: str, n: int) -> Callable[[], Any]:
    distances = pdist(np.random.default_rng(0).normal(size=(n, 8)))
    if who == PEER:
        import fastcluster

        return lambda: fastcluster.linkage(distances, method)
    matrix = distances.astype(who)
    return lambda: linkage(matrix, method)


def heights(Z: Any) -> Any:
    return np.sort(Z[:, 2])


def check(found: Mapping[str, Any]) -> None:
    np.testing.assert_allclose(found["float64"], found[PEER], rtol=1e-9)
    # In single precision an inversion may come out otherwise.
    np.testing.assert_allclose(found["float32"].sum(), found[PEER].sum(), rtol=1e-4)


@pytest.mark.parametrize("who", [*TARGETS, PEER])
@pytest.mark.parametrize("method", METHODS)
def test_linkage(benchmark: BenchmarkFixture, method: str, who: str) -> None:
    n = 10_000
    pytest.importorskip("fastcluster")
    benchmark.group = f"linkage {method} n={n}"
    with process_of(Contestant(prepare, (who, method, n), heights)) as process:
        benchmark.pedantic(process.run, rounds=3, warmup_rounds=1)
        wanted = np.sort(linkage(pdist(np.random.default_rng(0).normal(size=(n, 8))), method)[:, 2])
        np.testing.assert_allclose(process.outcome().sum(), wanted.sum(), rtol=1e-4)


def report(n: int, methods: Sequence[str]) -> None:
    matrix_bytes = 8 * n * (n - 1) / 2
    read = matrix_bytes / read_bytes_per_second(available_cpus())
    print(f"linkage of {n} observations' distances; seconds; the float64 matrix is read in {read:.3f} s")
    print(row("", ["float64", "float32", PEER, "float64 ratio", "float32 ratio", "float64 by read"]))
    for method in methods:
        contestants = {who: Contestant(prepare, (who, method, n), heights) for who in (*TARGETS, PEER)}
        taken = take_turns(contestants, 5 if n <= 10_000 else 1, check)
        ratios = [ratio(taken[PEER], taken[who], target) for who, target in TARGETS.items()]
        print(
            row(method, [*(f"{seconds:.3f}" for seconds in taken.values()), *ratios, f"{taken['float64'] / read:.1f}"]),
            flush=True,
        )


if __name__ == "__main__":
    sizes = [int(word) for word in sys.argv[1:] if word.isdigit()]
    chosen = [word for word in sys.argv[1:] if not word.isdigit()]
    for size in sizes or [10_000]:
        report(size, chosen or METHODS)
