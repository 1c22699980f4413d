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
from benchmarks.peers import Implementation, Job, Outcome, implementations_of
from benchmarks.workloads import WORKLOADS, Workload

__all__ = ["JobProcess", "Worker", "measure_limits"]

_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Thread pools spin for some milliseconds after their work; the next one to be timed must not pay for that.
_SETTLE = 0.05


class JobProcess:
    """One job in a process of its own.

    Parameters
    ----------
    prepare : callable
        A function that a process can import. ``prepare(*arguments)`` returns the job, a callable of one argument; it is
        not timed.
    arguments : tuple
        What it is called with.
    n_threads : int
        Size of every thread pool in the process.
    environment : str
        Further variables of the process's environment.
    """

    def __init__(
        self,
        prepare: Callable[..., Callable[[Any], Any]],
        arguments: tuple[Any, ...],
        n_threads: int,
        **environment: str,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, prepare, arguments), daemon=True)
        with _environment(**dict.fromkeys(_POOLS, str(n_threads)), **environment):
            self._process.start()
        theirs.close()
        self._receive()

    def run(self, argument: Any = 0) -> float:
        """Do the job once, with this argument, and return the seconds it took."""
        time.sleep(_SETTLE)
        return float(self._ask("run", argument))

    def outcome(self) -> Any:
        """Return what the last run found; of a function, which is not timed, what it returns."""
        return self._ask("outcome", None)

    def peak_bytes(self) -> int | None:
        """Return by how much the first run's peak passed the memory in use before it; None where that is not known."""
        return self._ask("peak", None)  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join()

    def __enter__(self) -> Self:
        """Return the process; it is ended at the end of the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the process."""
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


class Worker(JobProcess):
    """One implementation of one workload in a process of its own.

    Parameters
    ----------
    workload, implementation
        What is to be done, and by which.
    n_threads : int
        Size of every thread pool in the process.
    """

    def __init__(self, workload: Workload, implementation: Implementation, n_threads: int) -> None:
        super().__init__(_prepare, (workload.name, implementation.name, n_threads), n_threads)

    def outcome(self) -> Outcome:
        """Return what the last run found."""
        result = super().outcome()
        assert isinstance(result, Outcome)
        return result


def _prepare(workload_name: str, implementation_name: str, n_threads: int) -> Job:
    workload = WORKLOADS[workload_name]
    implementation = implementations_of(workload)[implementation_name]
    return implementation.prepare(workload, workload.points[:: implementation.step(workload)], n_threads)


def measure_limits(n_threads: int) -> dict[str, float]:
    """Measure what the machine can do, in a process of its own: bytes read and multiply-adds, a second."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_send_limits, args=(theirs, n_threads), daemon=True)
    with _environment(**dict.fromkeys(_POOLS, str(n_threads))):
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
def _environment(**variables: str) -> Iterator[None]:
    """Let processes started here have these variables in their environment."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Any, prepare: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
    """Answer the questions of a `JobProcess` until it hangs up."""
    outcome: Any = None
    peak: int | None = None
    first = True
    try:
        job = prepare(*arguments)
        connection.send(None)
        while True:
            question, argument = connection.recv()
            if question == "run":
                outcome = None
                before = _restart_peak() if first else None
                started = time.perf_counter()
                outcome = job(argument)
                seconds = time.perf_counter() - started
                if before is not None:
                    peak = _status_bytes("VmHWM") - before
                first = False
                connection.send(seconds)
            else:
                if question == "outcome" and callable(outcome):
                    outcome = outcome()
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
