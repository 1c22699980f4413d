"""Which search does Lloyd's algorithm best with? A grid of sizes, and what the rule for "auto" loses on it.

``python -m benchmarks.grid_kmeans_search`` times `PlainSearch`, `BoxSearch`, `GroupSearch` and `BallSearch` (with
`PlainSearch` where balls do not pay) on clustered and uniform float32 data, from the same initial centers, building the
search included; it shows for each size the times, and how much longer what `search_for` chooses takes than the best.
A choice with another search behind it is timed as well, as "auto"; any other choice is one of those timed. All is ours,
so one process does it.

They take turns, and the least times count. After three turns those leave that took half again as long as the best; the
others go on until each has run for a quarter of a second, at least ten times. Their order changes: who comes next may
find memory in place that the last one gave back. A size at which the choice takes more than a tenth longer than the
best is timed once more when all have been, as a machine can be in another state for some seconds; it is a miss if that
is so again. Misses are counted, and listed, at the end.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels
from fastcluster_ext._kmeans.search import search_for
from fastcluster_ext._threads import available_cpus

_SIZES = (2_000, 20_000, 200_000)
_COLUMNS = (1, 2, 3, 4, 6, 8, 16, 64, 256)
_CENTERS = (4, 16, 64, 256, 1024)
_MOST_WORK = 1.2e9  # rows x columns x centers
_LEAST_ROWS_A_CENTER = 8
_BOX_MOST_COLUMNS = 8  # that the kernel orders rows by
_MANY_CENTERS = 8  # least, for groups and balls
_FIRST_TURNS, _LEAST_TURNS, _MOST_TURNS = 3, 10, 200
_SECONDS = 0.25  # of each, at least
_HOPELESS = 1.5  # times the best after the first turns
_MOST_LOSS = 0.1


def _points(n: int, p: int, k: int, data: str) -> npt.NDArray[np.float32]:
    draw = np.random.default_rng(n + p + k)
    if data == "uniform":
        return draw.random((n, p), dtype=np.float32)
    places = draw.uniform(-10, 10, (k, p)).astype(np.float32)
    return places[draw.integers(k, size=n)] + draw.standard_normal((n, p), dtype=np.float32)


def _grid(sizes: Sequence[int], columns: Sequence[int]) -> Iterator[tuple[int, int, int, str]]:
    for n in sizes:
        for p in columns:
            for k in _CENTERS:
                if n * p * k <= _MOST_WORK and k * _LEAST_ROWS_A_CENTER <= n:
                    yield from ((n, p, k, data) for data in ("clustered", "uniform"))


def _seconds(
    kinds: dict[str, Any], X: npt.NDArray[np.float32], k: int, iterations: int, threads: int
) -> dict[str, float]:
    start = X[np.random.default_rng(0).permutation(len(X))[:k]].astype(np.float64)
    labels = np.empty(len(X), dtype=np.int32)
    times: dict[str, list[float]] = {name: [] for name in kinds}
    turns, shuffle, left = 0, np.random.default_rng(0), list(kinds)
    while turns < _LEAST_TURNS or (turns < _MOST_TURNS and min(sum(times[name]) for name in left) < _SECONDS):
        if turns == _FIRST_TURNS:
            most = _HOPELESS * min(map(min, times.values()))
            left = [name for name in left if min(times[name]) <= most]
        turns += 1
        for name in shuffle.permutation(left):
            centers = start.copy()
            began = time.perf_counter()
            search = kinds[name](X, None, k, threads)
            search.lloyd(centers, max_iter=iterations, tolerance=-1.0)
            search.evaluate(centers, labels)
            times[name].append(time.perf_counter() - began)
    return {name: min(taken) for name, taken in times.items()}


def main() -> None:
    """Time the grid, and print it and what the rule loses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--threads", type=int, default=available_cpus())
    parser.add_argument("--columns", type=int, nargs="*", default=_COLUMNS, help="only these")
    parser.add_argument("--sizes", type=int, nargs="*", default=_SIZES, help="only so many points")
    options = parser.parse_args()
    kernel = _kernels.load("lloyd")

    def auto(X: Any, weights: None, k: int, threads: int) -> Any:
        return search_for(X, weights, k, options.iterations, threads)

    kinds = {
        "plain": kernel.PlainSearch,
        "boxes": kernel.BoxSearch,
        "groups": kernel.GroupSearch,
        "balls": kernel.BallSearch,
    }
    names_of_kinds = {kind.__name__: name for name, kind in kinds.items()}

    def show(n: int, p: int, k: int, data: str) -> float:
        """Time one size; return what the rule loses on it."""
        X = _points(n, p, k, data)
        choice = search_for(X, None, k, options.iterations, options.threads)
        chosen = type(choice).__name__
        timed = {
            name: kind
            for name, kind in kinds.items()
            if (name != "boxes" or p <= _BOX_MOST_COLUMNS) and (name not in ("groups", "balls") or k >= _MANY_CENTERS)
        }
        if getattr(choice, "otherwise", None) is not None:
            timed["auto"] = auto
        times = _seconds(timed, X, k, options.iterations, options.threads)
        if "auto" not in times:
            times["auto"] = times[names_of_kinds[chosen]]
        best = min(times, key=lambda name: times[name])
        loss = times["auto"] / times[best] - 1
        shown = " ".join(f"{1e3 * times[name]:9.2f}" if name in times else f"{'-':>9}" for name in (*kinds, "auto"))
        print(f"{n:7} {p:4} {k:5} {data:10} {shown}  {best:6} {chosen:11} {100 * loss:5.1f} %", flush=True)
        return loss

    names = " ".join(f"{name:>9}" for name in (*kinds, "auto"))
    print(f"times in ms; {options.iterations} iterations, {options.threads} threads")
    print(f"{'n':>7} {'p':>4} {'k':>5} {'data':10} {names}  best   auto         loss")
    sizes = list(_grid(options.sizes, options.columns))
    doubtful = [size for size in sizes if show(*size) > _MOST_LOSS]
    if doubtful:
        print("again:")
    misses = [size for size in doubtful if show(*size) > _MOST_LOSS]
    print(f"misses, of more than {100 * _MOST_LOSS:g} %: {len(misses)} of {len(sizes)} sizes", *misses, sep="\n")


if __name__ == "__main__":
    main()
