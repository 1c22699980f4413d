"""The implementations that are compared: each prepares a workload and returns a callable that does the job once.

Preparing is not timed: it imports the library, brings the data into the form that the implementation likes best
(float32 for scikit-learn and OpenCV), and sets the number of threads. What the callable does is timed, and returns an
`Outcome` that can be checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.workloads import WORKLOADS, Workload
from fastcluster_ext._threads import available_cpus

__all__ = ["OURS", "Implementation", "Outcome", "cases", "implementations_of", "thread_counts"]

Array = npt.NDArray[Any]
Job = Callable[[int], "Outcome"]

OURS = "fastcluster_ext"
_BLOCK = 8192  # rows: the scores of a block stay in the second-level cache; the best of 1024 to 32768 here


@dataclass(frozen=True)
class Outcome:
    """What a job returns.

    labels: (n,) integers; centers: (k, p), exact or, for `quantize`, the palette's exact colors if the implementation
    gives them, otherwise the palette; n_iter: iterations, or -1 where the implementation does not tell.
    """

    labels: Array
    centers: Array
    n_iter: int


@dataclass(frozen=True)
class Implementation:
    """One way to do a job.

    Attributes
    ----------
    name : str
        As shown.
    task : str
        The task it does.
    prepare : callable
        ``prepare(workload, points, n_threads)`` returns the job; the job is called with the number of the round, which
        seeds random initial centers.
    note : str
        What the reader of its figures has to know.
    tolerance : float
        For "lloyd": largest relative difference of its inertia to ours.
    most_other_labels : float
        For "lloyd": largest share of labels that differ from ours.
    threaded : bool
        Whether it can use more than one thread.
    most_distances : int
        If it would compute more distances than this in an iteration it is run on a part of the rows, evenly spaced; its
        time is then scaled up in proportion, and marked as such wherever it is shown.
    only : str
        The beginning of the names of the workloads it is for.
    """

    name: str
    task: str
    prepare: Callable[[Workload, Array, int], Job]
    note: str
    tolerance: float = 0.0
    most_other_labels: float = 0.0
    threaded: bool = True
    most_distances: int = 2**62
    only: str = ""

    def step(self, workload: Workload) -> int:
        """Every how many rows it takes one: 1 where it can afford all."""
        return -(-workload.n_distances // self.most_distances)

    def rounds(self, workload: Workload) -> tuple[int, int]:
        """Return the number of timed rounds and of those before: many for us, few for jobs of many seconds."""
        if self.name == OURS:
            return 10, 2
        n_distances = workload.n_distances // self.step(workload)
        if self.name.startswith("Pillow") or n_distances <= 2**26:
            return 3, 1
        return (2 if n_distances <= 2**28 else 1), 0


def _ours_lloyd(workload: Workload, points: Array, n_threads: int) -> Job:
    from fastcluster_ext import kmeans

    centers = workload.initial_centers()

    def job(_: int) -> Outcome:
        result = kmeans(points, workload.k, init=centers, max_iter=workload.iterations, tol=0, n_threads=n_threads)
        return Outcome(result.labels, result.centers, result.n_iter)

    return job


def _ours_quantize(workload: Workload, points: Array, n_threads: int) -> Job:
    from fastcluster_ext import quantize

    def job(seed: int) -> Outcome:
        result = quantize(workload.data, workload.k, random_state=seed, n_threads=n_threads)
        return Outcome(result.indices, result.centers, result.n_iter)

    return job


def _readable_numpy(workload: Workload, points: Array, n_threads: int) -> Job:
    X, initial = points.astype(np.float64), workload.initial_centers().astype(np.float64)

    def assign(centers: Array) -> Array:
        nearest: Array = ((X[:, np.newaxis] - centers) ** 2).sum(axis=2).argmin(axis=1)
        return nearest

    def job(_: int) -> Outcome:
        centers = initial.copy()
        for _ in range(workload.iterations):
            labels = assign(centers)
            for j in range(workload.k):
                if (labels == j).any():
                    centers[j] = X[labels == j].mean(axis=0)
        return Outcome(assign(centers), centers, workload.iterations)

    return job


def _weighted_lloyd(X: Array, weights: Array | None, initial: Array, iterations: int) -> Outcome:
    """Lloyd's algorithm in chunked NumPy: |c|^2 / 2 - x.c by a matrix product, sums by bincount (float64).

    Data and centers are float32, taken relative to a common point, as the scores lose digits otherwise.
    """
    k, p = initial.shape
    shift = initial.mean(axis=0).astype(X.dtype)
    X = X - shift
    centers = initial - shift
    labels = np.empty(len(X), dtype=np.intp)
    scores = np.empty((_BLOCK, k), dtype=np.float32)

    def assign() -> None:
        half_norms = (0.5 * (centers**2).sum(axis=1)).astype(np.float32)
        negative = np.ascontiguousarray(-centers.T, dtype=np.float32)
        for start in range(0, len(X), _BLOCK):
            rows = X[start : start + _BLOCK]
            block = np.matmul(rows, negative, out=scores[: len(rows)])
            block += half_norms
            block.argmin(axis=1, out=labels[start : start + _BLOCK])

    for _ in range(iterations):
        assign()
        mass = np.bincount(labels, weights, minlength=k)
        for i in range(p):
            values = X[:, i] if weights is None else X[:, i] * weights
            sums = np.bincount(labels, values, minlength=k)
            np.divide(sums, mass, out=centers[:, i], where=mass > 0)
    assign()
    return Outcome(labels, centers + shift, iterations)


def _chunked_numpy(workload: Workload, points: Array, n_threads: int) -> Job:
    X, initial = points.astype(np.float32), workload.initial_centers().astype(np.float64)
    return lambda _: _weighted_lloyd(X, None, initial, workload.iterations)


def _counted_numpy(workload: Workload, points: Array, n_threads: int) -> Job:
    initial = workload.initial_centers().astype(np.float64)

    def job(_: int) -> Outcome:
        keys = points[:, 0].astype(np.uint32)
        for channel in (1, 2):
            keys <<= 8
            keys |= points[:, channel]
        counts = np.bincount(keys, minlength=1 << 24)
        present = np.flatnonzero(counts)
        colors = np.stack([present >> 16, present >> 8 & 255, present & 255], axis=1).astype(np.float32)
        result = _weighted_lloyd(colors, counts[present].astype(np.float64), initial, workload.iterations)
        table = np.zeros(1 << 24, dtype=np.int32)
        table[present] = result.labels
        return Outcome(table[keys], result.centers, result.n_iter)

    return job


def _sklearn_lloyd(workload: Workload, points: Array, n_threads: int) -> Job:
    from sklearn.cluster import KMeans

    X, initial = points.astype(np.float32), workload.initial_centers().astype(np.float32)

    def job(_: int) -> Outcome:
        model = KMeans(workload.k, init=initial, n_init=1, max_iter=workload.iterations, tol=0, algorithm="lloyd").fit(
            X
        )
        return Outcome(model.labels_, model.cluster_centers_, model.n_iter_)

    return job


def _sklearn_default(workload: Workload, points: Array, n_threads: int) -> Job:
    from sklearn.cluster import KMeans

    X = points.astype(np.float32)

    def job(seed: int) -> Outcome:
        model = KMeans(workload.k, n_init=1, random_state=seed).fit(X)
        return Outcome(model.labels_, model.cluster_centers_, model.n_iter_)

    return job


def _opencv(workload: Workload, points: Array, n_threads: int) -> Job:
    import cv2

    cv2.setNumThreads(n_threads)
    X = points.astype(np.float32)
    initial = workload.initial_centers().astype(np.float32)
    first = np.concatenate(
        [
            ((rows[:, np.newaxis] - initial) ** 2).sum(axis=2).argmin(axis=1).astype(np.int32)
            for rows in np.array_split(X, max(1, workload.n_distances >> 22))
        ]
    )
    first = first.reshape(-1, 1)  # of a flat array it returns wrong labels
    # OpenCV starts with the means of the given labels, so its round i + 1 ends where our iteration i does.
    both = cv2.TERM_CRITERIA_MAX_ITER | cv2.TERM_CRITERIA_EPS
    criteria = (both, workload.iterations + 1, 0.0)

    def job(_: int) -> Outcome:
        _, labels, centers = cv2.kmeans(X, workload.k, first.copy(), criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)
        return Outcome(labels.reshape(-1), centers, workload.iterations)

    return job


def _pillow(method: str) -> Callable[[Workload, Array, int], Job]:
    def prepare(workload: Workload, points: Array, n_threads: int) -> Job:
        from PIL import Image

        picture = Image.fromarray(workload.data)
        code = Image.Quantize[method]

        def job(_: int) -> Outcome:
            quantized = picture.quantize(workload.k, method=code)
            palette = np.asarray(quantized.getpalette(), dtype=np.float64).reshape(-1, 3)
            return Outcome(np.asarray(quantized), palette, -1)

        return job

    return prepare


def _pillow_implementations() -> list[Implementation]:
    from PIL import features

    methods = {"median cut": "MEDIANCUT", "fast octree": "FASTOCTREE"}
    if features.check("libimagequant"):
        methods["libimagequant"] = "LIBIMAGEQUANT"
    return [
        Implementation(
            f"Pillow {name}", "quantize", _pillow(method), "another method of making a palette", threaded=False
        )
        for name, method in methods.items()
    ]


_IMPLEMENTATIONS = (
    Implementation(OURS, "lloyd", _ours_lloyd, "from the array as it is (the photo: uint8), labels out"),
    Implementation(
        "scikit-learn",
        "lloyd",
        _sklearn_lloyd,
        "KMeans(init=C, n_init=1, max_iter=20, tol=0, algorithm='lloyd') on float32; conversion from uint8 not timed; "
        "it adds up in float32, so on the photo its centers drift",
        tolerance=1e-3,
        most_other_labels=0.1,
    ),
    Implementation(
        "NumPy, chunked",
        "lloyd",
        _chunked_numpy,
        "matrix product in blocks of 8192 rows, argmin, bincount; float32; conversion from uint8 not timed",
        tolerance=1e-6,
        most_other_labels=1e-3,
    ),
    Implementation(
        "NumPy, colors counted",
        "lloyd",
        _counted_numpy,
        "our idea without our kernels: bincount of the colors, chunked NumPy on them, labels by a table",
        tolerance=1e-6,
        most_other_labels=1e-3,
        only="photo",
    ),
    Implementation(
        "OpenCV",
        "lloyd",
        _opencv,
        "cv2.kmeans on float32 from the labels that C gives (not timed): one assignment less and one update more than "
        "the others; it adds up in float32, so its centers drift",
        tolerance=1e-2,
        most_other_labels=0.3,
        most_distances=2**30,
    ),
    Implementation(
        "NumPy, readable",
        "lloyd",
        _readable_numpy,
        "three lines of broadcasting in float64",
        tolerance=1e-9,
        most_other_labels=1e-6,
        threaded=False,
        most_distances=2**22,
    ),
    Implementation(OURS, "quantize", _ours_quantize, "quantize(photo, 16, random_state=round)"),
    Implementation(
        "scikit-learn",
        "quantize",
        _sklearn_default,
        "KMeans(16, n_init=1, random_state=round) on the pixels as float32; conversion not timed",
    ),
    *_pillow_implementations(),
)


def implementations_of(workload: Workload) -> dict[str, Implementation]:
    """Return the implementations that can do a workload, ours first."""
    return {
        implementation.name: implementation
        for implementation in _IMPLEMENTATIONS
        if implementation.task == workload.task and workload.name.startswith(implementation.only)
    }


def thread_counts() -> tuple[int, ...]:
    """One thread, and all."""
    return tuple(sorted({1, available_cpus()}))


def cases(task: str) -> list[tuple[str, str, int]]:
    """Workload, implementation, threads: everything there is to time for a task."""
    return [
        (workload.name, implementation.name, n_threads)
        for workload in WORKLOADS.values()
        if workload.task == task
        for implementation in implementations_of(workload).values()
        for n_threads in thread_counts()
        if n_threads == 1 or implementation.threaded
    ]
