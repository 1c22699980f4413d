"""Implementations in processes of their own that take turns: what the reports of distances and trees are made with.

Thread pools of different libraries slow each other when they share a process, and memory that one has just given back
is quicker to get for the next. In turns, all of them see the same state of the machine; what is compared are medians.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple

__all__ = ["Contestant", "ratio", "row", "take_turns"]

Job = Callable[[], Any]
_SETTLE = 0.05  # seconds: thread pools spin for a while after their work


class Contestant(NamedTuple):
    """``prepare(*arguments)`` returns the job; ``summarize`` makes what it returns small enough to be sent.

    Both are functions of a module, for they are called in another process.
    """

    prepare: Callable[..., Job]
    arguments: tuple[Any, ...]
    summarize: Callable[[Any], Any]


class Process:
    """A contestant in a process of its own, prepared once and run as often as asked."""

    def __init__(self, contestant: Contestant) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *contestant), daemon=True)
        self._process.start()
        theirs.close()
        self._receive()

    def run(self) -> float:
        """Do the job once and return the seconds it took."""
        time.sleep(_SETTLE)
        self._connection.send("run")
        return float(self._receive())

    def result(self) -> Any:
        """Return the summary of what the last run returned."""
        self._connection.send("result")
        return self._receive()

    def __enter__(self) -> Process:
        """Return the process; it ends with the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the process."""
        self._connection.close()
        self._process.join()

    def _receive(self) -> Any:
        answer = self._connection.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _serve(
    connection: Any, prepare: Callable[..., Job], arguments: tuple[Any, ...], summarize: Callable[[Any], Any]
) -> None:
    result = None
    try:
        job = prepare(*arguments)
        connection.send(None)
        while True:
            if connection.recv() == "run":
                result = None
                started = time.perf_counter()
                result = job()
                connection.send(time.perf_counter() - started)
            else:
                connection.send(summarize(result))
    except EOFError:
        return
    except Exception as error:
        connection.send(error)


def take_turns(
    contestants: Mapping[str, Contestant], rounds: int, check: Callable[[Mapping[str, Any]], None]
) -> dict[str, float]:
    """Return each contestant's median seconds of so many rounds, after one to warm up; `check` gets the results."""
    with ExitStack() as stack:
        processes = {name: stack.enter_context(Process(contestant)) for name, contestant in contestants.items()}
        for process in processes.values():
            process.run()
        seconds: dict[str, list[float]] = {name: [] for name in processes}
        for _ in range(rounds):
            for name, process in processes.items():
                seconds[name].append(process.run())
        check({name: process.result() for name, process in processes.items()})
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def row(title: str, columns: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"{title:26s}" + "".join(f"{column:>18s}" for column in columns)


def ratio(peer: float, ours: float, target: float) -> str:
    """Return by how much the peer takes longer, and whether that is what it should be."""
    return f"{peer / ours:.1f} ({'met' if peer / ours >= target else 'MISSED'}: {target:g})"
