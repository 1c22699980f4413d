"""Algorithms that move one point at a time: Hartigan's, Hartigan and Wong's, MacQueen's."""

from __future__ import annotations

import functools

import numpy as np

from fastcluster_ext import _kernels, _memory
from fastcluster_ext._kmeans.problem import Problem, too_close
from fastcluster_ext._kmeans.result import Floats, KMeansStep
from fastcluster_ext._kmeans.runs import LABELS, Run, Settings, observer, settled

__all__ = ["hartigan", "hartigan_wong", "macqueen"]


def _run(problem: Problem, centers: Floats, settings: Settings, *, algorithm: str) -> Run:
    """Iterate from given centers, which are overwritten."""
    steps: list[KMeansStep] = []
    n, k = len(problem.points), problem.k
    if k == 1:
        centers[0] = problem.mean
        return settled(problem, centers, 1, True, steps)
    # The kernel reads single rows, many times. Distinct colors, a copy as it is, are quicker to read in float64.
    points = problem.points if problem.groups is None else problem.points.astype(np.float64)
    labels = _memory.allocate((2, n), LABELS, "the labels")
    bounds = _memory.allocate((2, n), np.float64, "the bounds of the points")
    transfers = _kernels.load("transfer").Transfers(
        points, problem.weights, k, labels[0], labels[1], bounds[0], bounds[1], problem.threads
    )
    refilled = np.zeros(k, dtype=bool)
    while not (weights := transfers.assign(centers)).all():
        # A refilled center keeps the point it sits on, so this ends.
        if ((weights == 0) & refilled).any():
            raise too_close(k)
        refilled |= weights == 0
        problem.search.refill(centers, weights)
    n_iter, converged = transfers.run(
        algorithm, centers, max_iter=settings.max_iter, observer=observer(problem, settings, steps)
    )
    return settled(problem, centers, n_iter, converged, steps)


hartigan = functools.partial(_run, algorithm="hartigan")
hartigan_wong = functools.partial(_run, algorithm="hartigan-wong")
macqueen = functools.partial(_run, algorithm="macqueen")
