"""How many threads a call may use: the one place that decides."""

from __future__ import annotations

import functools
import math
import os
from typing import TYPE_CHECKING

from fastcluster_ext import _validation
from fastcluster_ext._kernels import runtime

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["available_cpus", "resolve_threads"]

# Accepted on any machine, so that a program tuned for a large one runs on a small one.
_MOST_THREADS = 64

# libgomp's pool does not survive fork(): a child that opens a parallel region waits for ever for threads it does not
# have. Regions of one thread never touch the pool, so a forked child computes serially.
_in_forked_child = False


def _note_fork() -> None:
    global _in_forked_child
    _in_forked_child = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


@functools.cache
def _cgroup_quota() -> float:
    """CPUs that this process's control group may use, or infinity: cgroup v2's cpu.max, v1's cpu.cfs_quota_us."""
    from pathlib import Path  # here, because it takes long to import

    quota = math.inf
    try:
        memberships = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return quota
    for line in memberships:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            folders = [Path("/sys/fs/cgroup") / path.lstrip("/")]
        elif "cpu" in controllers.split(","):
            folders = [Path("/sys/fs/cgroup") / name / path.lstrip("/") for name in (controllers, "cpu")]
        else:
            continue
        for folder in folders:
            # A group is bound by its own limit and by those of all groups above it.
            for group in (folder, *folder.parents):
                if group == Path("/sys/fs"):
                    break
                quota = min(quota, _quota_of(group))
    return quota


def _quota_of(group: Path) -> float:
    try:
        if (group / "cpu.max").exists():
            allowed, period = (group / "cpu.max").read_text().split()
        else:
            allowed = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        return float(allowed) / float(period) if allowed != "max" and float(allowed) > 0 else math.inf
    except (OSError, ValueError):
        return math.inf


def available_cpus() -> int:
    """CPUs that this process may use: its affinity mask, capped by its control group's quota."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:
        cpus = os.cpu_count() or 1
    quota = _cgroup_quota()
    return cpus if quota == math.inf else max(1, min(cpus, math.ceil(quota)))


def resolve_threads(n_threads: int | None) -> int:
    """Return the number of threads to use.

    None stands for OpenMP's default in the calling thread (`OMP_NUM_THREADS`, `threadpoolctl`), capped by
    `available_cpus`. A given number is taken as it is; it never changes a result. In a forked child, and in a build
    without OpenMP, the answer is always 1.

    Raises
    ------
    TypeError, ValueError
        If `n_threads` is not an integer from 1 to 64, or to four times the available CPUs where that is more.
    """
    if n_threads is not None:
        # OpenMP ends the process when the system refuses it a thread.
        most = max(_MOST_THREADS, 4 * available_cpus())
        n_threads = _validation.check_integer(n_threads, "n_threads", minimum=1, maximum=most)
    if _in_forked_child or not runtime.openmp():
        return 1
    if n_threads is None:
        return max(1, min(runtime.max_threads(), available_cpus()))
    return n_threads
