r"""A pytest plugin that runs SciPy's own tests on this library's linkage.

    python -m pytest -c tests/outside/pytest.ini --rootdir . -p tests.outside.scipy_linkage \
        --pyargs scipy.cluster.tests.test_hierarchy

SciPy's `linkage` validates and then calls three compiled routines; these are what is replaced, so that all of its tests
of linkages, and all that use one, run on ours. (Replacing `linkage` itself would break the collection of its tests.)
"""

from __future__ import annotations

import numpy as np
import scipy.cluster.hierarchy as scipy_hierarchy

from fastcluster_ext import hierarchy

_METHOD_BY_CODE = {code: name for name, code in scipy_hierarchy._LINKAGE_METHODS.items()}


class Routines:
    """SciPy's compiled module, less three of its functions."""

    def __init__(self, original):
        self._original = original

    def __getattr__(self, name):
        return getattr(self._original, name)

    def mst_single_linkage(self, y, n):
        """Replace SciPy's minimum spanning tree."""
        return self._linkage(y, n, "single")

    def nn_chain(self, y, n, code):
        """Replace SciPy's nearest-neighbor chain."""
        return self._linkage(y, n, _METHOD_BY_CODE[code])

    def fast_linkage(self, y, n, code):
        """Replace SciPy's generic algorithm."""
        return self._linkage(y, n, _METHOD_BY_CODE[code])

    @staticmethod
    def _linkage(y, n, method):
        assert n * (n - 1) // 2 == len(y)
        return hierarchy.linkage(np.asarray(y), method)


def pytest_configure(config):
    """Replace the routines before any test is collected."""
    scipy_hierarchy._hierarchy = Routines(scipy_hierarchy._hierarchy)
