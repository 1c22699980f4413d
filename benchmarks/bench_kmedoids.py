"""k-medoids beside the kmedoids package: FasterPAM of a 20 000 x 20 000 float32 matrix, and of its points."""

import numpy as np
import pytest

from fastcluster_ext import cdist, kmedoids, silhouette_samples

N, K = 20_000, 16


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(24, 3))[rng.integers(0, 24, N)] * 4 + rng.normal(size=(N, 3))


@pytest.fixture(scope="module")
def matrix(points):
    distances = np.empty((N, N), dtype=np.float32)
    for start in range(0, N, 2000):
        distances[start : start + 2000] = cdist(points[start : start + 2000], points, "euclidean")
    return distances


@pytest.fixture(scope="module")
def start():
    return np.random.default_rng(0).permutation(N)[:K]


@pytest.mark.benchmark(group=f"fasterpam, {N} x {N} float32, k={K}")
@pytest.mark.parametrize("order", ["C", "F"])
def test_fasterpam_peer(benchmark, matrix, start, order):
    peer = pytest.importorskip("kmedoids")
    data = matrix if order == "C" else matrix.T
    benchmark.pedantic(peer.fasterpam, (data, start.astype(np.uint64)), rounds=3)


@pytest.mark.benchmark(group=f"fasterpam, {N} x {N} float32, k={K}")
def test_fasterpam_matrix(benchmark, matrix, points, start):
    found = benchmark.pedantic(kmedoids, (matrix, K), {"metric": "precomputed", "init": start}, rounds=3)
    assert found.loss == pytest.approx(kmedoids(points, K, metric="euclidean", init=start).loss, rel=1e-3)


@pytest.mark.benchmark(group=f"fasterpam, {N} x {N} float32, k={K}")
def test_fasterpam_points(benchmark, points, start):
    benchmark.pedantic(kmedoids, (points, K), {"metric": "euclidean", "init": start}, rounds=3)


@pytest.mark.benchmark(group=f"silhouette, {N} x 3")
def test_silhouette(benchmark, points, start):
    labels = kmedoids(points, K, metric="euclidean", init=start).labels
    found = benchmark.pedantic(silhouette_samples, (points, labels), rounds=3)
    metrics = pytest.importorskip("sklearn.metrics")
    np.testing.assert_allclose(found, metrics.silhouette_samples(points, labels), atol=1e-10)


@pytest.mark.benchmark(group=f"silhouette, {N} x 3")
def test_silhouette_peer(benchmark, points, start):
    metrics = pytest.importorskip("sklearn.metrics")
    labels = kmedoids(points, K, metric="euclidean", init=start).labels
    benchmark.pedantic(metrics.silhouette_samples, (points, labels), rounds=1)
