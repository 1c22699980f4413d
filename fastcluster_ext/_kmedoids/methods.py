"""The methods of k-medoids: which swaps are made, in which order, until when."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastcluster_ext._kmedoids.problem import Indices, Problem, defined
from fastcluster_ext._kmedoids.runs import LEAST_GAIN, Run, Settings, eager, improve, sweep
from fastcluster_ext._kmedoids.starts import start_state

__all__ = ["METHODS"]

# Points of a sample above which a sieve pays: clara with five samples of 400 of 200 000 points takes 23 ms with it and
# 21 ms without; of 1000 points 37 ms and 45 ms.
_SIEVED = 500


def _fasterpam(problem: Problem, state: Any, k: int, given: Indices | None, settings: Settings) -> Run:
    run = Run(settings)
    start_state(problem, state, k, given, settings)
    run.observe(state)
    sweep(run, problem, state, settings)
    return run


def _fastpam1(problem: Problem, state: Any, k: int, given: Indices | None, settings: Settings) -> Run:
    run = Run(settings)
    start_state(problem, state, k, given, settings)
    run.observe(state)
    while run.n_iter < settings.max_iter and not run.converged and not run.stopped:
        run.n_iter += 1
        found = state.best(-LEAST_GAIN * state.loss)
        if found is None:
            run.converged = True
            break
        best, slot = found
        if not improve(run, state, slot, best):
            # Rounding hides which swap is the best; any that does improve will do.
            sweep(run, problem, state, settings)
            break
    return run


def _alternate(problem: Problem, state: Any, k: int, given: Indices | None, settings: Settings) -> Run:
    run = Run(settings)
    start_state(problem, state, k, given, settings)
    run.observe(state)
    candidates = problem.candidates
    while run.n_iter < settings.max_iter and not run.converged and not run.stopped:
        run.n_iter += 1
        medoids = state.medoids.copy()
        for j in range(k):
            members = candidates[state.nearest[candidates] == j]
            if len(members):
                medoids[j] = members[_center(problem, state, members)]
        before = state.loss
        if np.array_equal(medoids, state.medoids) or not state.assign(medoids) < before * (1 - LEAST_GAIN):
            state.assign(run.medoids)
            run.converged = True
        else:
            run.n_swap += 1
            run.observe(state)
    return run


def _center(problem: Problem, state: Any, members: Indices) -> int:
    """Which of the members of a cluster has the least weighted sum of dissimilarities to the others."""
    sums = np.empty(len(members))
    weights = None if problem.weights is None else problem.weights[members]
    if problem.points is not None:
        part = problem.subset(members, weights)
        part.state(1).totals(np.arange(len(members)), weights, sums)
    else:
        mask = np.zeros(problem.n)
        mask[members] = 1.0 if weights is None else weights
        state.totals(members, mask, sums)
    return int(sums.argmin())


def _clara(problem: Problem, state: Any, k: int, given: Indices | None, settings: Settings) -> Run:
    best = Run(settings)
    size = min(problem.n, max(k, settings.sample_size or max(1000, 10 * k)))
    if given is not None:
        state.assign(given)
        best.observe(state)
    for sample_number in range(settings.n_samples):
        if best.stopped:
            break
        # The best medoids so far take part, so that a sample can only improve on them.
        rows, hits = problem.sample(size - len(best.medoids) if size >= 2 * k else size, settings.uniforms)
        enough = problem.count_distinct(rows, k) >= k
        drawn = rows if enough else problem.draw(k, settings.uniforms, distinct=True)
        sample = np.unique(np.concatenate([rows, drawn, best.medoids]))
        weights = np.zeros(len(sample))
        weights[np.searchsorted(sample, drawn)] = 1.0
        weights[np.searchsorted(sample, rows)] = hits
        part = problem.subset(sample, None if problem.weights is None else weights)
        inner = replace(
            settings, history=False, callback=None, init="k-medoids++" if settings.init == "sample" else settings.init
        )
        start = None if len(best.medoids) == 0 or sample_number else np.searchsorted(sample, best.medoids)
        found = _fasterpam(part, part.state(k, sifted=len(sample) > _SIEVED), k, start, inner)
        medoids = sample[found.medoids]
        loss = defined(state.loss_of(medoids))
        best.n_iter = sample_number + 1
        if loss < best.loss:
            best.n_swap += 1
            best.sample = sample
            if best.watched:
                state.assign(medoids)
                best.observe(state)
            else:
                best.take(medoids, loss)
    best.converged = not best.stopped
    return best


def _clarans(problem: Problem, state: Any, k: int, given: Indices | None, settings: Settings) -> Run:
    candidates = problem.candidates
    n = len(candidates)
    neighbors = settings.max_neighbor or max(250, math.ceil(0.0125 * k * (n - k)))
    # One candidate stands for k neighbors: its swaps with every medoid are evaluated at once.
    patience = max(1, -(-neighbors // k))
    best = Run(settings)
    for search in range(settings.num_local):
        run = Run(settings)
        start_state(problem, state, k, given if search == 0 else None, settings)
        run.observe(state)
        drawn: dict[int, int] = {}

        def random(start: int, count: int, drawn: dict[int, int] = drawn) -> Indices:
            # What is tried again in the next batch must be the same candidates.
            missing = [place for place in range(start, start + count) if place not in drawn]
            for place, value in zip(missing, (settings.uniforms(len(missing)) * n).astype(np.int64), strict=True):
                drawn[place] = int(value)
            return candidates[[drawn[place] for place in range(start, start + count)]]

        eager(run, state, problem.least_batch, random, patience, max(settings.max_iter, 0) * n)
        run.n_iter = search + 1
        if run.loss < best.loss:
            best = run
        if run.stopped:
            break
    return best


def _onebatch(problem: Problem, state: Any, k: int, given: Indices | None, settings: Settings) -> Run:
    run = Run(settings)
    n = problem.n
    size = min(n, settings.sample_size or max(math.ceil(100 * math.log(k * n + 1)), 4 * k))
    batch, hits = problem.sample(size, settings.uniforms)
    start_state(problem, state, k, given, settings)
    run.observe(state)
    start = state.medoids.copy()
    if problem.points is not None:
        weights = None if problem.weights is None else hits
        judges = problem.subset(batch, weights).state(k, among=problem, sifted=True)
    else:
        raise ValueError("method 'onebatch' works from points; from a matrix, use 'fasterpam' or 'clara'")
    judges.assign(start)
    inner = Run(replace(settings, history=False))

    sweep(inner, problem, judges, settings)
    run.n_iter, run.n_swap, run.converged = inner.n_iter, inner.n_swap, inner.converged
    if state.assign(inner.medoids if len(inner.medoids) else start) <= run.loss:
        run.observe(state)
    else:
        state.assign(start)
    return run


METHODS: dict[str, Callable[[Problem, Any, int, Indices | None, Settings], Run]] = {
    "fasterpam": _fasterpam,
    "fastpam1": _fastpam1,
    "pam": _fastpam1,
    "alternate": _alternate,
    "clara": _clara,
    "clarans": _clarans,
    "onebatch": _onebatch,
}
