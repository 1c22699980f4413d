"""What the benchmarks share: every implementation in a process of its own, its result checked after the timing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.checks import compare, complaint, ours_on
from benchmarks.peers import Outcome, implementations_of
from benchmarks.processes import Worker
from benchmarks.workloads import WORKLOADS


@pytest.fixture(scope="session")
def reference() -> Callable[[str, int], Outcome]:
    """Return our result on every so many-th row of a workload; computed once."""
    known: dict[tuple[str, int], Outcome] = {}

    def find(name: str, step: int) -> Outcome:
        if (name, step) not in known:
            known[name, step] = ours_on(WORKLOADS[name], step)
        return known[name, step]

    return find


@pytest.fixture
def time_one(
    benchmark: BenchmarkFixture, reference: Callable[[str, int], Outcome]
) -> Callable[[str, str, int], dict[str, float]]:
    """Time one implementation of one workload, check its result, and return what was found about it."""

    def time(workload_name: str, implementation_name: str, n_threads: int) -> dict[str, float]:
        workload = WORKLOADS[workload_name]
        implementation = implementations_of(workload)[implementation_name]
        step = implementation.step(workload)
        benchmark.group = workload.title
        shown = implementation.name if step == 1 else f"{implementation.name} (on 1/{step} of the rows)"
        benchmark.name = f"{workload.title} | {shown} | {n_threads}"
        rounds, warmup_rounds = implementation.rounds(workload)
        with Worker(workload, implementation, n_threads) as worker:
            benchmark.pedantic(worker.run, rounds=rounds, warmup_rounds=warmup_rounds)
            outcome = worker.outcome()
        found = compare(workload, implementation, outcome, reference(workload_name, step))
        assert not complaint(workload, implementation, outcome, found)
        benchmark.extra_info.update(found, step=step, n_threads=n_threads)
        return found

    return time
