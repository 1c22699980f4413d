"""What the runs of all algorithms have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _memory
from fastcluster_ext._kmeans.problem import Problem, too_close
from fastcluster_ext._kmeans.result import Callback, Floats, KMeansStep

__all__ = ["LABELS", "Run", "Settings", "observer", "settled"]

LABELS = np.dtype(np.int32)


@dataclass(frozen=True, eq=False)
class Settings:
    """The arguments of `kmeans` that a run obeys."""

    max_iter: int
    tol: float
    history: bool
    callback: Callback | None


@dataclass
class Run:
    """Where a run ended: labels and costs (k x 4: inertia, weight, rows, nothing) of the problem's points."""

    labels: npt.NDArray[np.int32]
    centers: Floats
    costs: Floats
    n_iter: int
    converged: bool
    history: tuple[KMeansStep, ...]

    @property
    def inertia(self) -> float:
        """Weighted sum of the squared distances to the centers."""
        return float(self.costs[:, 0].sum())


def observer(problem: Problem, settings: Settings, steps: list[KMeansStep]) -> Callable[[int, Any, float], Any] | None:
    """Return what a kernel calls after each iteration, with its centers and their shift; None if nobody looks."""
    if not settings.history and settings.callback is None:
        return None

    def observe(iteration: int, assigned: Any, shift: float) -> Any:
        at = np.asarray(assigned)
        if settings.history:
            labels = np.empty(len(problem.points), dtype=LABELS)
            costs = problem.search.evaluate(at, labels)
            step = KMeansStep(iteration, at, shift, problem.expand(labels), float(costs[:, 0].sum()), problem.metric)
            steps.append(step)
        else:
            step = KMeansStep(iteration, at, shift, metric=problem.metric)
        return settings.callback is not None and settings.callback(step)

    return observe


def settled(problem: Problem, centers: Floats, n_iter: int, converged: bool, steps: list[KMeansStep]) -> Run:
    """Label all points by the centers, which are moved only if they leave a cluster empty."""
    labels = _memory.allocate(len(problem.points), LABELS, "the labels")
    refilled = np.zeros(problem.k, dtype=bool)
    while True:
        costs = problem.search.evaluate(centers, labels)
        empty = costs[:, 1] == 0
        if not empty.any():
            return Run(labels, centers, costs, n_iter, converged, tuple(steps))
        # The last movement emptied a cluster. A refilled center keeps the point it sits on, so this ends; unless no
        # point is left that is at any distance, in float64, from all centers.
        if (empty & refilled).any():
            raise too_close(problem.k)
        refilled |= empty
        problem.search.refill(centers, costs[:, 1].copy())
