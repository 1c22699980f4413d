"""Implementations in processes of their own that take turns: what the reports of distances and trees are made with.

Thread pools of different libraries slow each other when they share a process, and memory that one has just given back
is quicker to get for the next. In turns, all of them see the same state of the machine; what is compared are medians.
A turn is as many calls as take half a second, at least two, and its first is not counted: where a virtual machine hands
free memory back to its host, as some do within seconds, whoever touches it first pays many times what the next pays.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from benchmarks.processes import JobProcess
from fastcluster_ext._threads import available_cpus

__all__ = ["Contestant", "process_of", "ratio", "row", "take_turns"]

Job = Callable[[], Any]

_TURN = 0.5  # seconds


class Contestant(NamedTuple):
    """``prepare(*arguments)`` returns the job; ``summarize`` makes what it returns small enough to be sent.

    Both are functions of a module, for they are called in another process.
    """

    prepare: Callable[..., Job]
    arguments: tuple[Any, ...]
    summarize: Callable[[Any], Any]


def process_of(contestant: Contestant) -> JobProcess:
    """Return a contestant in a process of its own, prepared once and run as often as asked."""
    return JobProcess(_prepare, contestant, available_cpus())


def _prepare(
    prepare: Callable[..., Job], arguments: tuple[Any, ...], summarize: Callable[[Any], Any]
) -> Callable[[int], Job]:
    job = prepare(*arguments)

    def run(_: int) -> Job:
        result = job()
        return lambda: summarize(result)

    return run


def take_turns(
    contestants: Mapping[str, Contestant], rounds: int, check: Callable[[Mapping[str, Any]], None]
) -> dict[str, float]:
    """Return each contestant's median seconds in so many rounds, after a call to warm up; `check` gets the results."""
    with ExitStack() as stack:
        processes = {name: stack.enter_context(process_of(contestant)) for name, contestant in contestants.items()}
        for process in processes.values():
            process.run()
        seconds: dict[str, list[float]] = {name: [] for name in processes}
        for _ in range(rounds):
            for name, process in processes.items():
                taken = process.run()
                while True:
                    seconds[name].append(process.run())
                    taken += seconds[name][-1]
                    if taken > _TURN:
                        break
        check({name: process.outcome() for name, process in processes.items()})
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def row(title: str, columns: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"{title:26s}" + "".join(f"{column:>18s}" for column in columns)


def ratio(peer: float, ours: float, target: float) -> str:
    """Return by how much the peer takes longer, and whether that is what it should be."""
    return f"{peer / ours:.1f} ({'met' if peer / ours >= target else 'MISSED'}: {target:g})"
