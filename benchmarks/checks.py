"""Are the results of two implementations the same? Everything is computed here in float64, from labels and centers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peers import OURS, Implementation, Outcome, implementations_of
from benchmarks.workloads import Workload

__all__ = ["compare", "complaint", "inertia", "mean_squared_error", "ours_on"]

_BLOCK = 1 << 18  # rows
_SAMPLE = 20_000  # rows compared with all centers

Array = npt.NDArray[Any]


def inertia(points: Array, outcome: Outcome) -> float:
    """Sum of squared distances of the points to the centers they are labelled with."""
    centers = outcome.centers.astype(np.float64)
    labels = outcome.labels.reshape(-1)
    total = 0.0
    for start in range(0, len(points), _BLOCK):
        rows = slice(start, start + _BLOCK)
        total += float(((points[rows].astype(np.float64) - centers[labels[rows]]) ** 2).sum())
    return total


def mean_squared_error(points: Array, outcome: Outcome) -> float:
    """Error by pixel and channel of the image that is drawn with the palette: the centers, rounded."""
    palette = Outcome(outcome.labels, np.rint(outcome.centers), outcome.n_iter)
    return inertia(points, palette) / points.size


def ours_on(workload: Workload, step: int) -> Outcome:
    """Return what we find on every `step`-th row, for those that cannot afford all."""
    return implementations_of(workload)[OURS].prepare(workload, workload.points[::step], 1)(0)


def compare(workload: Workload, implementation: Implementation, theirs: Outcome, ours: Outcome) -> dict[str, float]:
    """Return the errors of a result and, where the task has one answer, how far it is from ours on the same rows."""
    points = workload.points[:: implementation.step(workload)]
    found = {"inertia": inertia(points, theirs), "mean_squared_error": mean_squared_error(points, theirs)}
    if workload.task == "lloyd":
        found["difference"] = abs(found["inertia"] / inertia(points, ours) - 1)
        found["other_labels"] = float(np.mean(theirs.labels != ours.labels))
    if implementation.name == OURS:
        _check_nearest(points, theirs)
    return found


def complaint(workload: Workload, implementation: Implementation, theirs: Outcome, found: dict[str, float]) -> str:
    """Say what is wrong with a result, of which `compare` found this; empty if nothing is.

    Lloyd's algorithm from given centers has one answer: as many iterations, and the same inertia and labels within
    what the implementation is stated to lose by rounding. A palette is a matter of luck and method: its error is
    reported, and only checked to be of k colors.
    """
    if theirs.labels.min() < 0 or theirs.labels.max() >= workload.k:
        return f"labels from {theirs.labels.min()} to {theirs.labels.max()}"
    if workload.task == "lloyd":
        if theirs.n_iter != workload.iterations:
            return f"{theirs.n_iter} iterations"
        if not found["difference"] <= implementation.tolerance:
            return f"inertia differs by {found['difference']:.1e} relative"
        if found["other_labels"] > implementation.most_other_labels:
            return f"{found['other_labels']:.3%} of the labels differ"
    return ""


def _check_nearest(points: Array, outcome: Outcome) -> None:
    """Our labels are those of a float64 brute-force search, ties within 1e-6 aside."""
    rows = np.random.default_rng(0).choice(len(points), min(_SAMPLE, len(points)), replace=False)
    for block in np.array_split(rows, 1 + len(rows) * outcome.centers.size // 2**24):
        distances = ((points[block].astype(np.float64)[:, np.newaxis] - outcome.centers) ** 2).sum(axis=2)
        chosen = np.take_along_axis(distances, outcome.labels.reshape(-1)[block, np.newaxis].astype(np.intp), axis=1)
        assert (chosen[:, 0] <= distances.min(axis=1) * (1 + 1e-6)).all()
