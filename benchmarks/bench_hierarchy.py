"""Linkage of a condensed matrix: ours in both precisions, and fastcluster.

    python -m pytest benchmarks/bench_hierarchy.py --benchmark-columns=median,rounds --benchmark-group-by=group

Each group is one method at one n; the ratio that counts is fastcluster's median by ours. 20 000 observations need 8 GB:
they are left out unless BENCH_LARGE is set.
"""

import os

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from fastcluster_ext.hierarchy import METHODS, linkage

fastcluster = pytest.importorskip("fastcluster")

SIZES = [10_000, 20_000] if os.environ.get("BENCH_LARGE") else [10_000]
_DISTANCES = {}


def distances_of(n, dtype):
    if (n, dtype) not in _DISTANCES:
        _DISTANCES.clear()
        exact = pdist(np.random.default_rng(0).normal(size=(n, 8)))
        _DISTANCES[n, np.float64], _DISTANCES[n, np.float32] = exact, exact.astype(np.float32)
    return _DISTANCES[n, dtype]


@pytest.mark.parametrize("who", ["float64", "float32", "fastcluster"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", SIZES)
def test_linkage(benchmark, n, method, who):
    benchmark.group = f"linkage {method} n={n}"
    distances = distances_of(n, np.float32 if who == "float32" else np.float64)
    run = fastcluster.linkage if who == "fastcluster" else linkage
    Z = benchmark.pedantic(run, (distances, method), rounds=3, warmup_rounds=1)
    if who == "float64":
        np.testing.assert_allclose(Z[:, 2], fastcluster.linkage(distances, method)[:, 2], rtol=1e-9)
