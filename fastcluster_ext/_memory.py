"""Large arrays are asked for before they are allocated, so that too much is an error and not a killed process."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["allocate", "available_bytes"]

# Below this an allocation is not worth a look at the machine's memory.
_UNCHECKED_BYTES = 1 << 26


def available_bytes() -> float:
    """Bytes that can still be allocated: free memory, the control group's and the address space's limits."""
    from pathlib import Path  # here, because it takes long to import

    limits = [math.inf]
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits.append(1024.0 * float(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    for group, limit, usage in (
        (Path("/sys/fs/cgroup"), "memory.max", "memory.current"),
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):
            used = float((group / usage).read_text()) - _file_cache(group)
            limits.append(float((group / limit).read_text()) - used)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
        if address_space != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limits.append(address_space - pages * resource.getpagesize())
    return max(0.0, min(limits))


def _file_cache(group: Path) -> float:
    """Bytes of cached files in a control group's usage, which the kernel gives back when memory is asked for."""
    with contextlib.suppress(OSError, ValueError):
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return float(statistics.get("inactive_file", 0)) + float(statistics.get("active_file", 0))
    return 0.0


def allocate(shape: int | tuple[int, ...], dtype: npt.DTypeLike, purpose: str) -> npt.NDArray[Any]:
    """Return an uninitialised C-ordered array.

    Raises
    ------
    MemoryError
        Naming the bytes and the purpose, before anything is allocated, if they are more than the machine has left.
    """
    dimensions = (shape,) if isinstance(shape, int) else shape
    wanted = math.prod(dimensions) * np.dtype(dtype).itemsize
    if wanted > _UNCHECKED_BYTES:
        available = available_bytes()
        if wanted > available:
            raise MemoryError(f"{purpose} would take {wanted} bytes, but only {int(available)} are available")
    try:
        return np.empty(dimensions, dtype=dtype)
    except (MemoryError, ValueError) as error:
        raise MemoryError(f"{purpose} would take {wanted} bytes, which cannot be allocated") from error
