"""What this installation is: versions, instruction set, compiler, OpenMP, threads."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

import numpy as np

from fastcluster_ext import _kernels
from fastcluster_ext._threads import available_cpus, resolve_threads

__all__ = ["config", "show_config"]


def config() -> dict[str, Any]:
    """Return what `show_config` prints, as a dictionary."""
    # Here, because this import alone takes longer than that of the package.
    from importlib import metadata

    specification = _kernels.runtime.openmp()
    return {
        "fastcluster_ext": metadata.version("fastcluster_ext"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": f"{sys.platform} {platform.machine()}",
        "instruction set": _kernels.isa,
        "instruction sets usable here": ", ".join(_kernels.built()),
        "compiler": _kernels.runtime.compiler(),
        "OpenMP": f"yes (specification {specification})" if specification else "no: everything runs serially",
        "threads by default": resolve_threads(None),
        "CPUs available": available_cpus(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        _kernels.ENVIRONMENT: os.environ.get(_kernels.ENVIRONMENT, "not set"),
    }


def show_config() -> None:
    """Print versions, the instruction set in use, compiler, OpenMP and threads.

    Examples
    --------
    >>> import fastcluster_ext
    >>> fastcluster_ext.show_config()  # doctest: +ELLIPSIS
    fastcluster_ext ...
    """
    entries = config()
    width = max(map(len, entries))
    for key, value in entries.items():
        print(f"{key:<{width}}  {value}")
