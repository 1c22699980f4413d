"""A palette of an image to convergence, seeding and index image included. One group a workload."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.peers import cases


@pytest.mark.parametrize(("workload", "implementation", "n_threads"), cases("quantize"))
def test_quantize(
    workload: str,
    implementation: str,
    n_threads: int,
    time_one: Callable[[str, str, int], dict[str, float]],
) -> None:
    assert time_one(workload, implementation, n_threads)["mean_squared_error"] > 0
