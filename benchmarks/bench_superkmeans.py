"""Ten iterations of k-means on wide, clustered data beside superkmeans, which is not exact.

    python -m benchmarks.bench_superkmeans [workload ...]

superkmeans draws its own random rows to start from, so results differ: both start from random rows, both do ten
iterations and then label all points, and the sums of squares are printed beside the times. Its shortcuts (sampling,
hierarchy, an early end) are switched off. Two processes take turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.processes import JobProcess
from benchmarks.workloads import WORKLOADS
from fastcluster_ext import kmeans
from fastcluster_ext._threads import available_cpus

WIDE = ("wide-128", "wide-768")
ITERATIONS = 10
ROUNDS = 3


def ours(name: str, threads: int) -> Callable[[int], float]:
    """Return a job that takes a seed and returns the sum of squares."""
    X, k = WORKLOADS[name].points, WORKLOADS[name].k

    def job(seed: int) -> float:
        return kmeans(
            X, k, init="random", n_init=1, max_iter=ITERATIONS, tol=0, random_state=seed, n_threads=threads
        ).inertia

    return job


def theirs(name: str, threads: int) -> Callable[[int], Any]:
    """Return the same by superkmeans; what it returns gives the sum of squares, outside of the time."""
    from superkmeans import SuperKMeans

    X, k = WORKLOADS[name].points, WORKLOADS[name].k

    def job(seed: int) -> Callable[[], float]:
        model = SuperKMeans(
            k,
            X.shape[1],
            hierarchical=False,
            iters=ITERATIONS,
            sampling_fraction=1.0,
            max_points_per_cluster=len(X),
            early_termination=False,
            tol=0.0,
            n_threads=threads,
            seed=seed,
        )
        centers = model.train(X)
        labels = np.asarray(model.assign(X, centers))

        def sum_of_squares() -> float:
            blocks = np.array_split(np.arange(len(X)), 64)
            return float(sum(((X[rows] - centers[labels[rows]]).astype(np.float64) ** 2).sum() for rows in blocks))

        return sum_of_squares

    return job


def main(arguments: Sequence[str] | None = None) -> int:
    """Print times, ratio and sums of squares."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_superkmeans")
    parser.add_argument("workloads", nargs="*", metavar="workload", help=f"{', '.join(WIDE)} (all)")
    options = parser.parse_args(arguments)
    threads = available_cpus()
    print(
        f"{ITERATIONS} iterations from random rows, {threads} threads: seconds (medians of {ROUNDS}), sums of squares"
    )
    for name in options.workloads or WIDE:
        with JobProcess(ours, (name, threads), threads) as us, JobProcess(theirs, (name, threads), threads) as them:
            us.run()
            times = [(us.run(seed), them.run(seed)) for seed in range(ROUNDS)]
            mine, other = (statistics.median(column) for column in zip(*times, strict=True))
            print(
                f"{WORKLOADS[name].title.rpartition(',')[0]}: ours {mine:.2f}, superkmeans {other:.2f}, ratio "
                f"{other / mine:.2f}; {us.outcome():.6g}, {them.outcome():.6g}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
