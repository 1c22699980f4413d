"""KMeans and MiniBatchKMeans beside scikit-learn's, each in a process of its own, from the same centers.

    python -m pytest benchmarks/bench_estimators.py --benchmark-columns=median,rounds --benchmark-group-by=group

The ratio that counts is scikit-learn's median by ours. KMeans must find the same; batches are drawn from different
random numbers, so there the inertias of all points are compared, within 10 %.
"""

import functools
import importlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

PACKAGES = {"ours": "fastcluster_ext.estimators", "scikit-learn": "sklearn.cluster"}

# Rows, features, clusters, dtype; what is fitted, and by how much inertias may differ.
WORKLOADS = {
    "KMeans, 20 iterations": (200_000, 16, 64, np.float64, "KMeans", {"max_iter": 20, "tol": 0}, 1e-9),
    "MiniBatchKMeans, one pass in batches of 10 000": (
        1_000_000,
        3,
        16,
        np.float32,
        "MiniBatchKMeans",
        {"max_iter": 1, "batch_size": 10_000, "max_no_improvement": None, "compute_labels": False},
        0.1,
    ),
    "MiniBatchKMeans.partial_fit, chunks of 50 000": (
        1_000_000,
        3,
        16,
        np.float32,
        "MiniBatchKMeans",
        {"compute_labels": False},
        0.1,
    ),
}


@functools.cache
def points_of(name):
    """Return a workload's points: normal clouds around random places."""
    n, p, k, dtype, *_ = WORKLOADS[name]
    rng = np.random.default_rng(0)
    places = rng.normal(size=(k, p)) * 3
    return (places[rng.integers(0, k, n)] + rng.normal(size=(n, p))).astype(dtype)


def fit(name, package):
    """Fit a model, in the process that this is called in."""
    *_, k, _, kind, options, _ = WORKLOADS[name]
    points = points_of(name)
    make = getattr(importlib.import_module(PACKAGES[package]), kind)
    model = make(k, init=points[:k], n_init=1, random_state=0, **options)
    if "partial_fit" not in name:
        return model.fit(points)
    for start in range(0, len(points), 50_000):
        model.partial_fit(points[start : start + 50_000])
    return model


def run(name, package):
    """Fit, and return nothing: what goes through the pipe is timed too."""
    fit(name, package)


def inertia(name, package):
    """Fit, and return the inertia of all points in float64."""
    distances = importlib.import_module("fastcluster_ext").nearest
    centers = fit(name, package).cluster_centers_
    return float((distances(points_of(name), centers)[1].astype(float) ** 2).sum())


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("name", WORKLOADS)
def test_fit(benchmark, name, package):
    n, p, k, dtype, *_, tolerance = WORKLOADS[name]
    benchmark.group = f"{name}: {n} x {p} {np.dtype(dtype)}, k={k}"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        benchmark.pedantic(lambda: process.submit(run, name, package).result(), rounds=5, warmup_rounds=1)
        found = process.submit(inertia, name, package).result()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        assert found == pytest.approx(process.submit(inertia, name, "ours").result(), rel=tolerance)
