"""Where k-medoids starts: medoids given, drawn, built, or found for samples."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from fastcluster_ext._kmedoids.problem import Indices, Problem, defined
from fastcluster_ext._kmedoids.runs import Run, Settings, eager, sweep
from fastcluster_ext._random import Uniforms
from fastcluster_ext._validation import check_option

__all__ = ["INITS", "chosen_init", "given_medoids", "start_state"]

INITS = ("auto", "build", "random", "k-medoids++", "lab", "sample", "first")

# The start "sample" takes samples of this size and, from points, of 4, 16, ... times as much, up to an eighth of them.
# It is the automatic one for more than four times as many points. Before it looks at all points of the next sample it
# tries this many about each medoid, as nearly all swaps that improve are found there.
SAMPLED, _NEAR = 2048, 128


def given_medoids(init: Any, k: int, problem: Problem) -> Indices | None:
    if isinstance(init, str):
        check_option(init, "init", INITS)
        return None
    medoids = np.asarray(init)
    if medoids.dtype.kind not in "iu":
        raise TypeError(f"init must be one of {', '.join(map(repr, INITS))} or k rows of X as integers, got {init!r}")
    if medoids.shape != (k,):
        raise ValueError(f"init must have shape ({k},), one row of X for each medoid, got {medoids.shape}")
    if medoids.min() < 0 or medoids.max() >= problem.n:
        raise ValueError(f"init must hold rows of X, from 0 to {problem.n - 1}, got {medoids.tolist()}")
    if len(np.unique(medoids)) < k:
        raise ValueError(f"init holds a medoid more than once: {medoids.tolist()}")
    return medoids.astype(np.int64)


def chosen_init(init: Any, method: str, n: int) -> str:
    # Given medoids start the first run or search; this is for those that follow.
    if isinstance(init, str) and init != "auto":
        return init
    drawn = "sample" if n > 4 * SAMPLED and method != "clara" else "k-medoids++"
    return {"pam": "build", "clarans": "random"}.get(method, drawn)


def start_state(problem: Problem, state: Any, k: int, given: Indices | None, settings: Settings) -> None:
    """Put the initial medoids into the state."""
    if given is not None:
        medoids = given
    elif settings.init == "random":
        medoids = problem.draw(k, settings.uniforms, distinct=True)
    elif settings.init == "first":
        medoids = problem.candidates[:k]
    elif settings.init == "sample":
        defined(state.assign(_from_samples(problem, k, settings)))
        _polish(problem, state, replace(settings, history=False, callback=None))
        return
    else:
        {"build": _build, "lab": _lab, "k-medoids++": _plus_plus}[settings.init](problem, state, k, settings.uniforms)
        return
    defined(state.assign(medoids.astype(np.int64)))


def _from_samples(problem: Problem, k: int, settings: Settings) -> Indices:
    """Return the medoids that fasterpam finds for a sample, then, from these, for a larger one, and so on."""
    inner = replace(settings, init="k-medoids++", max_iter=300, history=False, callback=None)
    medoids: Indices | None = None
    size = max(SAMPLED, 4 * k)
    while medoids is None or (problem.points is not None and 8 * size <= problem.n):
        size = size if medoids is None else 4 * size
        hits = problem.spread(size, settings.uniforms)
        taken = problem.draw(k, settings.uniforms, distinct=True) if medoids is None else medoids
        # These may not have been hit; without weight they only are candidates, but the first must be enough points.
        hits[taken] = np.maximum(hits[taken], 1 if medoids is None else 0)
        rows = np.union1d(np.flatnonzero(hits), taken)
        part = problem.subset(rows, hits[rows].astype(np.float64))
        state = part.state(k, sifted=True)
        if medoids is None:
            start_state(part, state, k, None, inner)
        else:
            defined(state.assign(np.searchsorted(rows, medoids)))
            _polish(part, state, inner)
        sweep(Run(inner), part, state, inner)
        medoids = rows[state.medoids]
    return medoids


def _polish(problem: Problem, state: Any, settings: Settings) -> None:
    """Swap medoids for points near them while that improves."""
    run = Run(settings)
    swaps = -1
    while swaps < run.n_swap:
        swaps = run.n_swap
        ranked = np.lexsort((state.first, state.nearest))
        sizes = np.bincount(state.nearest, minlength=state.k)
        place = np.arange(problem.n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        near = ranked[place < _NEAR]

        def cyclic(start: int, count: int, near: Indices = near) -> Indices:
            return near[np.arange(start, start + count) % len(near)]

        eager(run, state, problem.least_batch, cyclic, len(near), 300 * len(near))


def _build(problem: Problem, state: Any, k: int, uniforms: Uniforms) -> None:
    """PAM's BUILD: the best first medoid, then, k - 1 times, the best one more."""
    candidates = problem.candidates
    changes = np.empty(len(candidates))
    state.totals(candidates, problem.weights, changes)
    defined(state.assign(candidates[[int(changes.argmin())]]))
    for _ in range(1, k):
        state.evaluate_addition(candidates, True, changes)
        changes[np.searchsorted(candidates, state.medoids[: state.k])] = math.inf
        state.add(int(candidates[changes.argmin()]))


def _plus_plus(problem: Problem, state: Any, k: int, uniforms: Uniforms) -> None:
    """Draw seeds in proportion to weight times dissimilarity to the nearest seed, each the best of some draws."""
    trials = 2 + int(math.log(k))
    weights = np.ones(problem.n) if problem.weights is None else problem.weights
    changes = np.empty(trials)
    for i in range(k):
        shares = np.cumsum(weights * state.first if i else weights)
        if not shares[-1] > 0:
            # All points lie on a seed: any others will do.
            defined(float(shares[-1]))
            rest = np.setdiff1d(problem.candidates, state.medoids[:i])
            for row in rest[: k - i]:
                state.add(int(row))
            return
        drawn = np.searchsorted(shares, uniforms(trials) * shares[-1], side="right")
        candidates = np.minimum(drawn, problem.n - 1).astype(np.int64)
        if i == 0:
            defined(state.assign(candidates[:1]))
        else:
            state.evaluate_addition(candidates, False, changes)
            state.add(int(candidates[changes.argmin()]))


def _lab(problem: Problem, state: Any, k: int, uniforms: Uniforms) -> None:
    """BUILD on a new sample for each medoid (linear approximate BUILD)."""
    size = min(problem.n, 10 + math.ceil(math.sqrt(problem.n)))
    for i in range(k):
        sample = problem.draw(size, uniforms, distinct=False)
        sample = sample if i == 0 else np.setdiff1d(sample, state.medoids[:i])
        if len(sample) == 0:
            sample = np.setdiff1d(problem.candidates, state.medoids[:i])
        part = problem.subset(sample, None)
        distances = np.empty((len(sample), len(sample)))
        part.state(1).table(np.arange(len(sample)), distances)
        if i == 0:
            defined(state.assign(sample[[int(distances.sum(axis=1).argmin())]]))
        else:
            gains = np.maximum(state.first[sample] - distances, 0).sum(axis=1)
            state.add(int(sample[gains.argmax()]))
