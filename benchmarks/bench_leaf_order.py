"""Optimal leaf order where nothing can be pruned: ours beside SciPy's, and how both grow.

    python -m benchmarks.bench_leaf_order [128 256 512]
    python -m pytest benchmarks/bench_leaf_order.py --benchmark-columns=median,rounds --benchmark-group-by=group

A balanced tree over distances that differ in the seventh digit only: a search that goes through the pairs of leaves of
both branches, stopping when no better one can follow, never stops. That makes O(n^4) of what takes O(n^3) where the
best partner of each leaf is found branch by branch. The first command lets both take turns and prints what twice the
leaves take; the second is pytest-benchmark's table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.cluster import hierarchy as scipy_hierarchy

from benchmarks.turns import Contestant, row, take_turns
from fastcluster_ext import optimal_leaf_ordering, squareform

Array = npt.NDArray[Any]

SIZES = (128, 256, 512)  # leaves, powers of two
PEER = "SciPy"
FUNCTIONS = {"ours": optimal_leaf_ordering, PEER: scipy_hierarchy.optimal_leaf_ordering}


def distances(n: int) -> Array:
    return 1 + 1e-6 * np.random.default_rng(n).random(n * (n - 1) // 2)


def balanced_tree(n: int) -> Array:
    """Return Z of n leaves, a power of two, in which every merge is of two neighbors with as many leaves."""
    Z = []
    level, leaves, first = list(range(n)), 2, n
    while len(level) > 1:
        Z += [[left, right, np.log2(leaves), leaves] for left, right in zip(level[::2], level[1::2], strict=True)]
        level = list(range(first, first + len(level) // 2))
        first, leaves = first + len(level), 2 * leaves
    return np.array(Z, dtype=np.float64)


def prepare(who: str, n: int) -> Callable[[], Array]:
    Z, y = balanced_tree(n), distances(n)
    return lambda: np.asarray(FUNCTIONS[who](Z, y))


def length(Z: Array) -> float:
    """Return the sum of the distances of neighboring leaves."""
    leaves, matrix = scipy_hierarchy.leaves_list(Z), squareform(distances(len(Z) + 1))
    return float(matrix[leaves[:-1], leaves[1:]].sum())


def check(lengths: Mapping[str, float]) -> None:
    # SciPy's comes out a little longer here.
    assert lengths["ours"] <= lengths[PEER] * (1 + 1e-12)


@pytest.mark.parametrize("who", FUNCTIONS)
@pytest.mark.parametrize("n", SIZES)
def test_leaf_order(benchmark: BenchmarkFixture, n: int, who: str) -> None:
    benchmark.group = f"optimal leaf order of {n}, nothing to prune"
    Z = benchmark.pedantic(prepare(who, n), rounds=3, warmup_rounds=1)
    check({"ours": length(prepare("ours", n)()), PEER: length(Z)})


def main() -> None:
    """Time both in turns, for growing trees."""
    print("optimal leaf order of a balanced tree, distances nearly alike; seconds, and times those of half the leaves")
    print(row("leaves", ["ours", PEER, "ratio", "ours grows", f"{PEER} grows"]))
    before: dict[str, float] = {}
    for n in map(int, sys.argv[1:] or SIZES):
        taken = take_turns({who: Contestant(prepare, (who, n), length) for who in FUNCTIONS}, 3, check)
        growth = [f"{taken[who] / before[who]:.1f}" if before else "" for who in FUNCTIONS]
        times = [f"{taken[who]:.5f}" for who in FUNCTIONS]
        print(row(str(n), [*times, f"{taken[PEER] / taken['ours']:.1f}", *growth]), flush=True)
        before = taken


if __name__ == "__main__":
    main()
