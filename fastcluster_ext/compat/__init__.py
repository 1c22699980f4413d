"""Other libraries' interfaces on this library's kernels, and the switch that makes their users take them.

`installed()` is a context manager, `install()` and `uninstall()` are the same by hand. While it is on, `import
fastcluster` gives `fastcluster_ext.compat.fastcluster` (so that `seaborn.clustermap` uses it), and
`scipy.cluster.hierarchy.linkage` is `fastcluster_ext.hierarchy.linkage`. Names that a module has imported before keep
what they were.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from typing import Any

from fastcluster_ext import hierarchy
from fastcluster_ext.compat import fastcluster

__all__ = ["fastcluster", "install", "installed", "uninstall"]

_MISSING = object()
_replaced: dict[str, Any] = {}


def install() -> None:
    """Make seaborn and SciPy use this library; a second call changes nothing.

    SciPy need not be installed.

    Examples
    --------
    >>> install()
    >>> import fastcluster
    >>> fastcluster.__name__
    'fastcluster_ext.compat.fastcluster'
    >>> uninstall()
    """
    if _replaced:
        return
    _replaced["fastcluster"] = sys.modules.get("fastcluster", _MISSING)
    sys.modules["fastcluster"] = fastcluster
    with contextlib.suppress(ImportError):
        scipy_hierarchy = importlib.import_module("scipy.cluster.hierarchy")
        _replaced["linkage"] = scipy_hierarchy.linkage
        scipy_hierarchy.linkage = hierarchy.linkage  # type: ignore[attr-defined]


def uninstall() -> None:
    """Undo `install`."""
    if not _replaced:
        return
    module = _replaced.pop("fastcluster")
    if module is _MISSING:
        del sys.modules["fastcluster"]
    else:
        sys.modules["fastcluster"] = module
    if "linkage" in _replaced:
        scipy_hierarchy = importlib.import_module("scipy.cluster.hierarchy")
        scipy_hierarchy.linkage = _replaced.pop("linkage")  # type: ignore[attr-defined]


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Have seaborn and SciPy use this library inside a `with` block.

    Examples
    --------
    >>> with installed():
    ...     import fastcluster
    >>> fastcluster.ward([1.0, 4.0, 3.0])[0]
    array([0., 1., 1., 2.])
    """
    was_on = bool(_replaced)
    install()
    try:
        yield
    finally:
        if not was_on:
            uninstall()
