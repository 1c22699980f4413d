"""The compiled kernels, and the one place that chooses among their builds.

Every kernel is compiled once for each instruction set of CMakeLists.txt, into a sub-package of that name. At import the
best build that this processor runs is chosen, or the one named by the environment variable FASTCLUSTER_EXT_ISA. A build
that is missing or does not load is an error: nothing ever falls back silently to a slower one.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType

try:
    from . import runtime
except ImportError as error:
    from pathlib import Path

    raise ImportError(
        f"the compiled kernels of fastcluster_ext are not in {Path(__file__).parent}: {error}. In a source checkout "
        "run `pip install -e .`, or leave the checkout's folder to import the installed package."
    ) from error

__all__ = ["ENVIRONMENT", "built", "isa", "load", "runtime"]

ENVIRONMENT = "FASTCLUSTER_EXT_ISA"


def built() -> tuple[str, ...]:
    """Names of the instruction sets that this processor runs and that were built, best first."""
    return tuple(name for name in runtime.supported() if importlib.util.find_spec(f"{__name__}.{name}") is not None)


def _choose() -> str:
    asked = os.environ.get(ENVIRONMENT, "")
    available = built()
    if asked:
        if asked not in available:
            raise ImportError(
                f"{ENVIRONMENT}={asked!r} cannot be used: this machine and installation have {', '.join(available)}"
            )
        return asked
    if not available:
        raise ImportError(f"fastcluster_ext has no kernels for this processor (it runs {runtime.supported()})")
    return available[0]


isa: str = _choose()


def load(name: str) -> ModuleType:
    """Return the kernel module `name` of the chosen instruction set."""
    return importlib.import_module(f"{__name__}.{isa}.{name}")
