"""Many independent problems in one call: what is shared out among threads, in order and with an end."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels
from fastcluster_ext._kmeans.result import Floats, KMeansResult
from fastcluster_ext._kmeans.runs import LABELS, Settings
from fastcluster_ext._kmeans.seeding import trials_of
from fastcluster_ext._validation import SQUARED, Array, as_array

__all__ = ["in_threads", "most_rows", "parts", "solve_small"]

T = TypeVar("T")

# Problems that a thread takes at a time, at most, and shares that each thread takes, at least.
_MOST_AT_ONCE = 64
_SHARES = 8


def parts(values: Any, offsets: npt.ArrayLike | None, name: str) -> list[Any]:
    """Return the problems' arrays: of a sequence, or the slices of one array between offsets."""
    if offsets is None:
        if isinstance(values, np.ndarray) and values.ndim < 3:
            raise ValueError(f"{name} must be a sequence of arrays, one for each problem; or give offsets")
        try:
            return list(values)
        except TypeError:
            raise TypeError(f"{name} must be a sequence, one entry for each problem, got {values!r}") from None
    bounds = _bounds(offsets)
    array = as_array(values, name)
    if array.ndim == 0 or bounds[-1] != len(array):
        raise ValueError(f"offsets must end with the length of {name}, got {bounds[-1]}")
    return [array[start:stop] for start, stop in itertools.pairwise(bounds)]


def _bounds(offsets: npt.ArrayLike) -> list[int]:
    bounds: Array = np.asarray(offsets)
    if bounds.ndim != 1 or bounds.dtype.kind not in "iu" or len(bounds) < 2:
        raise ValueError("offsets must be a list of at least two integers")
    if bounds[0] != 0 or (np.diff(bounds.astype(np.int64)) <= 0).any():
        raise ValueError("offsets must begin with 0 and increase")
    return [int(bound) for bound in bounds]


def in_threads(task: Callable[[int], T], count: int, n_threads: int) -> list[T]:
    """Return ``[task(0), ..., task(count - 1)]``; errors name the problem, and end the other threads' work."""
    over = threading.Event()

    def share(start: int, stop: int) -> list[T]:
        done: list[T] = []
        for i in range(start, stop):
            if over.is_set():
                break
            try:
                done.append(task(i))
            except (TypeError, ValueError) as error:
                raise type(error)(f"problem {i}: {error}") from error
        return done

    if n_threads == 1:
        return share(0, count)
    from concurrent.futures import ThreadPoolExecutor  # brings logging with it: not for every import of the package

    size = max(1, min(_MOST_AT_ONCE, count // (_SHARES * n_threads)))
    results: list[T] = []
    with ThreadPoolExecutor(n_threads) as pool:
        futures = [pool.submit(share, start, min(start + size, count)) for start in range(0, count, size)]
        try:
            for future in futures:
                results += future.result()
        finally:
            # After an error or an interrupt: what has not begun is left undone.
            over.set()
    return results


def most_rows(k: int, p: int) -> int:
    """Return how many rows a problem for `solve_small` may have."""
    return int(_kernels.load("many").most_rows(k, p))


def solve_small(
    points: list[Array],
    weights: list[Floats | None],
    k: int,
    settings: Settings,
    given: list[Floats],
    drawn: list[Floats],
    threads: int,
) -> list[KMeansResult | None]:
    """Cluster small problems by Lloyd's algorithm, from given centers or from seeds drawn by k trials uniform numbers.

    None stands for a problem that needs more than the kernel knows: an empty cluster, or an error, also of scale.
    """
    m, trials = len(points), trials_of(k)
    if m == 0:
        return []
    rows = np.cumsum([0, *map(len, points)])
    places = np.cumsum([0, *(k * X.shape[1] for X in points)])
    centers = np.concatenate([c.reshape(-1) for c in given]) if given else np.empty(places[-1])
    labels = np.empty(rows[-1], dtype=LABELS)
    costs, totals = np.zeros((m, k, 4)), np.empty(m)
    n_iters, converged = np.empty(m, dtype=np.intp), np.empty(m, dtype=np.int32)
    _kernels.load("many").solve(
        list(zip(points, weights, strict=True)),
        k,
        trials,
        settings.max_iter,
        settings.tol,
        np.stack(drawn) if drawn else None,
        centers,
        labels,
        costs,
        totals,
        n_iters,
        converged,
        n_threads=threads,
    )
    sizes = costs[:, :, 2].astype(np.int64)
    return [
        KMeansResult(
            labels=labels[rows[i] : rows[i + 1]].copy(),
            centers=centers[places[i] : places[i + 1]].reshape(k, -1).copy(),
            inertia=float(costs[i, :, 0].sum()),
            cluster_inertia=costs[i, :, 0].copy(),
            total_inertia=total,
            sizes=sizes[i].copy(),
            cluster_weights=costs[i, :, 1].copy(),
            n_iter=n_iter,
            converged=bool(done),
        )
        if n_iter > 0 and (k == 1 or total >= SQUARED * max(1.0, costs[i, :, 1].sum()))
        else None
        for i, (total, n_iter, done) in enumerate(
            zip(totals.tolist(), n_iters.tolist(), converged.tolist(), strict=True)
        )
    ]
