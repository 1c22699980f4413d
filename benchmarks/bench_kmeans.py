"""Lloyd's algorithm from given centers, validation and labels included. One group a workload."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.peers import cases


@pytest.mark.parametrize(("workload", "implementation", "n_threads"), cases("lloyd"))
def test_lloyd(
    workload: str,
    implementation: str,
    n_threads: int,
    time_one: Callable[[str, str, int], dict[str, float]],
) -> None:
    assert time_one(workload, implementation, n_threads)["inertia"] > 0
