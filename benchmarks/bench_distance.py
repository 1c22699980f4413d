"""Distances: ours in float64 and float32 beside SciPy's, which knows float64 alone. One group a workload.

    python -m benchmarks.bench_distance
    python -m pytest benchmarks/bench_distance.py --benchmark-columns=median,rounds --benchmark-group-by=group

The first compares `pdist` in processes that take turns, and says which targets are met, and how many times longer ours
takes than writing the result does; a second line is of `out=` given, where nobody waits for the system to clear new
memory. The second is pytest-benchmark's table; SciPy has no thread pool, so both run in its
process. Results are asserted equal after the timing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_allclose
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.spatial import distance as scipy_distance

import fastcluster_ext
from benchmarks.limits import least_seconds
from benchmarks.turns import Contestant, ratio, row, take_turns

Array = npt.NDArray[Any]

TOLERANCES = {"float64": 1e-12, "float32": 2e-5}

# Points, features, metric, and how often to time it: SciPy's correlation takes 11 s.
PDIST = [
    (10_000, 3, "euclidean", 10),
    (10_000, 64, "euclidean", 5),
    (10_000, 64, "cityblock", 5),
    (10_000, 64, "canberra", 3),
    (2_000, 6830, "correlation", 2),
]
# By how much SciPy is to take longer: than ours in float64, in float32.
TARGETS = {
    (10_000, 3, "euclidean"): (4.0, 7.0),
    (10_000, 64, "euclidean"): (12.0, 12.0),
    (10_000, 64, "cityblock"): (12.0, 12.0),
    (2_000, 6830, "correlation"): (10.0, 10.0),
}
PEER = "SciPy"
# Points, other points, features, metric.
CDIST = [(100_000, 500, 3, "euclidean"), (10_000, 5_000, 64, "cityblock")]


def normal(n: int, p: int) -> Array:
    return np.random.default_rng(0).normal(size=(n, p))


def time(benchmark: BenchmarkFixture, group: str, rounds: int, job: Callable[[], Array]) -> Array:
    benchmark.group = group
    result: Array = benchmark.pedantic(job, rounds=rounds, warmup_rounds=1)
    return result


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("n", "p", "metric", "rounds"), PDIST)
def test_pdist(benchmark: BenchmarkFixture, n: int, p: int, metric: str, rounds: int, dtype: str) -> None:
    points = normal(n, p).astype(dtype)
    found = time(benchmark, f"pdist {n} x {p} {metric}", rounds, lambda: fastcluster_ext.pdist(points, metric))
    first_row = scipy_distance.cdist(points[:1].astype(float), points[1:].astype(float), metric)[0]
    assert_allclose(found[: n - 1], first_row, rtol=TOLERANCES[dtype])


@pytest.mark.parametrize(("n", "p", "metric", "rounds"), PDIST)
def test_pdist_scipy(benchmark: BenchmarkFixture, n: int, p: int, metric: str, rounds: int) -> None:
    points = normal(n, p)
    rounds = min(rounds, 3)
    wanted = time(benchmark, f"pdist {n} x {p} {metric}", rounds, lambda: scipy_distance.pdist(points, metric))
    assert_allclose(fastcluster_ext.pdist(points, metric), wanted, rtol=TOLERANCES["float64"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("n", "m", "p", "metric"), CDIST)
def test_cdist(benchmark: BenchmarkFixture, n: int, m: int, p: int, metric: str, dtype: str) -> None:
    points = normal(n, p).astype(dtype)
    others = points[:m] + np.asarray(1, dtype)
    found = time(benchmark, f"cdist {n} x {p} {metric}", 5, lambda: fastcluster_ext.cdist(points, others, metric))
    wanted = scipy_distance.cdist(points.astype(float), others.astype(float), metric)
    assert_allclose(found, wanted, rtol=TOLERANCES[dtype])


@pytest.mark.parametrize(("n", "m", "p", "metric"), CDIST)
def test_cdist_scipy(benchmark: BenchmarkFixture, n: int, m: int, p: int, metric: str) -> None:
    points = normal(n, p)
    others = points[:m] + 1
    wanted = time(benchmark, f"cdist {n} x {p} {metric}", 3, lambda: scipy_distance.cdist(points, others, metric))
    assert_allclose(fastcluster_ext.cdist(points, others, metric), wanted, rtol=TOLERANCES["float64"])


@pytest.mark.parametrize("metric", ["euclidean", "cityblock"])
@pytest.mark.parametrize("peer", ["fastcluster_ext", "scipy"])
def test_nearest(benchmark: BenchmarkFixture, peer: str, metric: str) -> None:
    points = normal(400_000, 3)
    centers = points[:64] * 1.5

    def ours() -> Array:
        return fastcluster_ext.nearest(points, centers, metric)[0]

    def scipys() -> Array:
        return scipy_distance.cdist(points, centers, metric).argmin(axis=1)

    job, other = (ours, scipys) if peer == "fastcluster_ext" else (scipys, ours)
    assert (time(benchmark, f"nearest of 64, 400000 x 3 {metric}", 5, job) == other()).all()


@pytest.mark.parametrize("peer", ["fastcluster_ext", "scipy"])
def test_squareform(benchmark: BenchmarkFixture, peer: str) -> None:
    condensed = normal(6000 * 5999 // 2, 1).ravel()
    function = fastcluster_ext.squareform if peer == "fastcluster_ext" else scipy_distance.squareform
    matrix = time(benchmark, "squareform 6000", 5, lambda: function(condensed))
    assert (matrix == matrix.T).all()


# -- in turns ----------------------------------------------------------------------------------------------------------


def prepare(who: str, n: int, p: int, metric: str, given: bool) -> Callable[[], Array]:
    """Return the job; `given`: its result goes to memory that has been written to before."""
    points = normal(n, p)
    pdist = scipy_distance.pdist if who == PEER else fastcluster_ext.pdist
    points = points if who == PEER else points.astype(who)
    out = np.ones(n * (n - 1) // 2, dtype=points.dtype) if given else None
    return lambda: pdist(points, metric, out=out)


def some(distances: Array) -> Array:
    return distances[::997].copy()


def check(found: Mapping[str, Array]) -> None:
    for who, tolerance in TOLERANCES.items():
        assert_allclose(found[who], found[PEER], rtol=tolerance)


def report() -> None:
    out = np.empty(10_000 * 9_999 // 2)
    write = least_seconds(lambda: out.fill(1.0)) / out.nbytes
    print(f"pdist; seconds; {1e-9 / write:.1f} GB are written in a second, by one thread, where memory is not new")
    print(row("", [*TOLERANCES, PEER, "float64 ratio", "float32 ratio", "float64 by write"]))
    for (n, p, metric), targets in TARGETS.items():
        for given in (False, True) if p < 1000 else (False,):
            contestants = {who: Contestant(prepare, (who, n, p, metric, given), some) for who in (*TOLERANCES, PEER)}
            taken = take_turns(contestants, 7 if p < 1000 else 2, check)
            ratios = [
                f"{taken[PEER] / taken[who]:.1f}" if given else ratio(taken[PEER], taken[who], target)
                for who, target in zip(TOLERANCES, targets, strict=True)
            ]
            by_write = taken["float64"] / (4 * n * (n - 1) * write)
            figures = [*(f"{seconds:.4f}" for seconds in taken.values()), *ratios, f"{by_write:.1f}"]
            print(row("    the same, out= given" if given else f"{n} x {p} {metric}", figures), flush=True)


if __name__ == "__main__":
    report()
