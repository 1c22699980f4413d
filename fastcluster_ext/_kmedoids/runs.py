"""A run of k-medoids: how it is watched, and eager swaps, which most methods are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext._kmedoids.problem import Indices, Problem
from fastcluster_ext._random import Uniforms

__all__ = ["LEAST_GAIN", "Callback", "KMedoidsStep", "Run", "Settings", "eager", "improve", "sweep"]

Callback = Callable[["KMedoidsStep"], Any]

# A swap counts as an improvement if it lowers the loss by more than this share of it: more than sums in another order
# can differ by, so that no two states are taken in turns for ever.
LEAST_GAIN = 1e-12


@dataclass(frozen=True, eq=False)
class KMedoidsStep:
    """The start (iteration 0) or one swap or iteration of k-medoids, as `history` and `callback` show it.

    Attributes
    ----------
    iteration : int
        0 for the start; then the number of the swap, or of the iteration of "alternate".
    medoids : (k,) int64 array
        Medoids after it.
    loss : float
        Weighted sum of the dissimilarities of the points to them.
    swapped : tuple of int or None
        The medoid that went and the point that came, where one was swapped for one.
    labels : (n,) int32 array or None
        Nearest medoid of each point; None unless a history is kept.
    """

    iteration: int
    medoids: Indices
    loss: float
    swapped: tuple[int, int] | None = None
    labels: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True, eq=False)
class Settings:
    """How a run is to go: the arguments of `kmedoids` by their names, and the source of randomness."""

    init: str
    max_iter: int
    n_samples: int
    sample_size: int | None
    num_local: int
    max_neighbor: int | None
    history: bool
    callback: Callback | None
    uniforms: Uniforms


@dataclass(eq=False)
class Run:
    """A run so far: what it is watched by, and in the end what is kept of it."""

    settings: Settings
    medoids: Indices = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    loss: float = math.inf
    start_loss: float = math.inf
    sample: Indices | None = None
    n_iter: int = 0
    n_swap: int = 0
    converged: bool = False
    stopped: bool = False
    steps: list[KMedoidsStep] = field(default_factory=list)

    @property
    def watched(self) -> bool:
        """Whether anybody asks for its steps."""
        return self.settings.history or self.settings.callback is not None

    def take(self, medoids: Indices, loss: float) -> None:
        """Go on from these medoids."""
        if len(self.medoids) == 0:
            self.start_loss = loss
        self.medoids, self.loss = medoids, loss

    def observe(self, state: Any, swapped: tuple[int, int] | None = None) -> None:
        """Record the state after the start or a swap; a callback may stop the run."""
        self.take(state.medoids.copy(), float(state.loss))
        settings = self.settings
        if not self.watched:
            return
        labels = state.nearest.copy() if settings.history else None
        step = KMedoidsStep(self.n_swap, self.medoids, self.loss, swapped, labels)
        if settings.history:
            self.steps.append(step)
        if settings.callback is not None and settings.callback(step):
            self.stopped = True


def improve(run: Run, state: Any, slot: int, candidate: int) -> bool:
    """Put `candidate` in the place of medoid `slot` if that lowers the loss; return whether it did.

    The change that was found for a swap is a difference of sums over points. Where distances differ by many orders of
    magnitude it may be nothing but what rounding left, so it is the loss afterwards that decides.
    """
    before, old = float(state.loss), int(state.medoids[slot])
    if not state.swap(slot, candidate) < before:
        state.swap(slot, old)
        return False
    run.n_swap += 1
    run.observe(state, (old, candidate))
    return True


def eager(
    run: Run,
    state: Any,
    least: int,
    candidates_at: Callable[[int, int], Indices],
    patience: int,
    budget: int,
) -> int:
    """Try candidates in turn, swap whenever that improves; until `patience` in a row did not, or `budget` are tried.

    Bounds on what candidates change are found for batches at once, against the same medoids; after the first candidate
    that improves, those behind it are tried again. So the swaps are those of one candidate at a time, for any batch;
    `least` is the smallest.
    Returns the number of candidates tried.
    """
    size, since, tried = least, 0, 0
    while since < patience and tried < budget and not run.stopped:
        candidates = candidates_at(tried, min(size, patience - since, budget - tried))
        found = state.first_improving(candidates, -LEAST_GAIN * state.loss)
        if found is None:
            since += len(candidates)
            tried += len(candidates)
            size = min(2 * size, 4096)
            continue
        at, slot = found
        tried += at + 1
        since += at + 1
        if improve(run, state, slot, int(candidates[at])):
            # The next improvement is about as far away as this one was; half of that wastes least.
            since, size = 0, max(least, (since - 1) // 2)
    run.converged = since >= patience
    return tried


def sweep(run: Run, problem: Problem, state: Any, settings: Settings) -> None:
    """Try all candidates in turn, over and over, until no swap improves or `max_iter` iterations have passed."""
    n = problem.n

    def cyclic(start: int, count: int) -> Indices:
        return np.arange(start, start + count) % n

    tried = eager(run, state, problem.least_batch, cyclic, n, (settings.max_iter - run.n_iter) * n)
    run.n_iter += -(-tried // n)
