"""A process for each implementation: thread pools of different libraries slow each other when they share one.

The process prepares its job once and then does it as often as it is asked to, so that two implementations can take
turns and both see the same state of the machine.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks import limits
from benchmarks.peers import Implementation, Outcome, implementations_of
from benchmarks.workloads import WORKLOADS, Workload

__all__ = ["Job", "Worker", "measure_limits"]

_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Thread pools spin for some milliseconds after their work; the next one to be timed must not pay for that.
_SETTLE = 0.05


class _Process:
    """A process that answers questions, one at a time, until it is closed."""

    def __init__(self, serve: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()
        self._receive()

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join()

    def __enter__(self) -> Self:
        """Return this; it is closed at the end of the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def _ask(self, question: str, argument: Any) -> Any:
        self._connection.send((question, argument))
        return self._receive()

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"the process of a benchmark ended with code {self._process.exitcode}") from None
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Worker(_Process):
    """One implementation of one workload in a process of its own.

    Parameters
    ----------
    workload, implementation
        What is to be done, and by which.
    n_threads : int
        Size of every thread pool in the process.
    """

    def __init__(self, workload: Workload, implementation: Implementation, n_threads: int) -> None:
        with _pools_of(n_threads):
            super().__init__(_serve, workload.name, implementation.name, n_threads)

    def run(self, seed: int = 0) -> float:
        """Do the job once and return the seconds it took."""
        time.sleep(_SETTLE)
        return float(self._ask("run", seed))

    def outcome(self) -> Outcome:
        """Return what the last run found."""
        result = self._ask("outcome", None)
        assert isinstance(result, Outcome)
        return result

    def peak_bytes(self) -> int | None:
        """Return by how much the first run's peak passed the memory in use before it; None where that is not known."""
        return self._ask("peak", None)  # type: ignore[no-any-return]


class Job(_Process):
    """What ``prepare(*arguments)`` returns, in a process of its own; it is called with the number of the round.

    seconds: of the rounds so far, as the process measured them
    """

    def __init__(self, prepare: Callable[..., Callable[[int], Any]], *arguments: Any) -> None:
        self.seconds: list[float] = []
        super().__init__(_serve_job, prepare, arguments)

    def run(self, seed: int = 0) -> float:
        """Do the job once and return the seconds it took."""
        self.seconds.append(float(self._ask("run", seed)))
        return self.seconds[-1]

    def outcome(self) -> Any:
        """Return what the last run returned, or, if that is a function, what it returns."""
        return self._ask("outcome", None)


def _serve_job(connection: Any, prepare: Callable[..., Callable[[int], Any]], arguments: tuple[Any, ...]) -> None:
    """Answer the questions of a `Job` until it hangs up."""
    outcome: Any = None
    try:
        job = prepare(*arguments)
        connection.send(None)
        while True:
            question, argument = connection.recv()
            if question == "run":
                outcome = None
                time.sleep(_SETTLE)
                started = time.perf_counter()
                outcome = job(argument)
                connection.send(time.perf_counter() - started)
            else:
                connection.send(outcome() if callable(outcome) else outcome)
    except EOFError:
        return
    except Exception as error:
        connection.send(error)


def measure_limits(n_threads: int) -> dict[str, float]:
    """Measure what the machine can do, in a process of its own: bytes read and multiply-adds, a second."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_send_limits, args=(theirs, n_threads), daemon=True)
    with _pools_of(n_threads):
        process.start()
    theirs.close()
    measured: dict[str, float] = ours.recv()
    process.join()
    return measured


def _send_limits(connection: Any, n_threads: int) -> None:
    connection.send(
        {
            "read": limits.read_bytes_per_second(n_threads),
            "multiply_adds": limits.multiply_adds_per_second(),
        }
    )


@contextmanager
def _pools_of(n_threads: int) -> Iterator[None]:
    """Let processes started here have thread pools of this size."""
    before = {name: os.environ.get(name) for name in _POOLS}
    os.environ.update(dict.fromkeys(_POOLS, str(n_threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Any, workload_name: str, implementation_name: str, n_threads: int) -> None:
    """Answer the questions of a `Worker` until it hangs up."""
    outcome: Outcome | None = None
    peak: int | None = None
    try:
        workload = WORKLOADS[workload_name]
        implementation = implementations_of(workload)[implementation_name]
        job = implementation.prepare(workload, workload.points[:: implementation.step(workload)], n_threads)
        connection.send(None)
        while True:
            question, argument = connection.recv()
            if question == "run":
                first, outcome = outcome is None, None
                before = _restart_peak() if first else None
                started = time.perf_counter()
                outcome = job(argument)
                seconds = time.perf_counter() - started
                if before is not None:
                    peak = _status_bytes("VmHWM") - before
                connection.send(seconds)
            else:
                connection.send(outcome if question == "outcome" else peak)
    except EOFError:
        return
    except Exception as error:
        connection.send(error)


def _restart_peak() -> int | None:
    """Set this process's memory peak back to what it uses now, and return that; None if the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status_bytes("VmRSS")
    except OSError:
        return None


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {name}")
