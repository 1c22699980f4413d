r"""A pytest plugin that runs scikit-learn's own tests on this library's AgglomerativeClustering.

    python -m pytest -c tests/outside/pytest.ini --rootdir . -p tests.outside.sklearn_agglomerative \
        --pyargs sklearn.cluster.tests.test_hierarchical

Tests of connectivity, which is not supported, are skipped where they ask for it.
"""

from __future__ import annotations

import pytest
import sklearn.cluster
import sklearn.cluster._agglomerative

from fastcluster_ext.estimators import AgglomerativeClustering


def pytest_configure(config):
    """Replace the class before any test is collected."""
    sklearn.cluster.AgglomerativeClustering = AgglomerativeClustering
    sklearn.cluster._agglomerative.AgglomerativeClustering = AgglomerativeClustering


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip what needs connectivity."""
    try:
        return (yield)
    except NotImplementedError as error:
        pytest.skip(str(error))
