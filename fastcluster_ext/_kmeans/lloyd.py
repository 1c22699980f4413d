"""Lloyd's algorithm: all points to their nearest centers, all centers to the means of their points, repeat."""

from __future__ import annotations

from fastcluster_ext._kmeans.problem import Problem
from fastcluster_ext._kmeans.result import Floats, KMeansStep
from fastcluster_ext._kmeans.runs import Run, Settings, observer, settled

__all__ = ["run"]


def run(problem: Problem, centers: Floats, settings: Settings) -> Run:
    """Iterate from given centers, which are overwritten."""
    steps: list[KMeansStep] = []
    n_iter, converged = problem.search.lloyd(
        centers,
        max_iter=settings.max_iter,
        tolerance=settings.tol * problem.mean_variance,
        observer=observer(problem, settings, steps),
    )
    return settled(problem, centers, n_iter, converged, steps)
