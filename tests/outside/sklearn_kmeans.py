r"""A pytest plugin that runs scikit-learn's own tests on this library's KMeans and MiniBatchKMeans.

    python -m pytest -c tests/outside/pytest.ini --rootdir . -p tests.outside.sklearn_kmeans \
        --pyargs sklearn.cluster.tests.test_k_means

Deselected, and nothing else: tests of sparse matrices, which are refused; and those named in `PRIVATE`.
"""

from __future__ import annotations

import scipy.sparse
import sklearn.cluster
import sklearn.cluster._kmeans

from fastcluster_ext.estimators import KMeans, MiniBatchKMeans

# Tests that call scikit-learn's private functions, and so do not touch what is replaced or ask it for what it has not.
PRIVATE = {
    "test_relocate_empty_clusters": "_relocate_empty_clusters_dense and _sparse",
    "test_euclidean_distance": "_euclidean_dense_dense_wrapper and _euclidean_sparse_dense_wrapper",
    "test_inertia": "_inertia_dense and _inertia_sparse",
    "test_is_same_clustering": "_is_same_clustering",
    "test_minibatch_update_consistency": "_mini_batch_step",
    "test_minibatch_reassign": "_mini_batch_step",
    "test_kmeans_plusplus_wrong_params": "sklearn.cluster.kmeans_plusplus, which is not replaced",
    "test_kmeans_plusplus_output": "sklearn.cluster.kmeans_plusplus, which is not replaced",
    "test_kmeans_plusplus_norms": "sklearn.cluster.kmeans_plusplus, which is not replaced",
    "test_kmeans_plusplus_dataorder": "sklearn.cluster.kmeans_plusplus, which is not replaced",
    "test_sample_weight_init": "KMeans._init_centroids",
    "test_sample_weight_zero": "KMeans._init_centroids",
}


def pytest_configure(config):
    """Replace the classes before any test is collected."""
    for module in (sklearn.cluster, sklearn.cluster._kmeans):
        module.KMeans = KMeans
        module.MiniBatchKMeans = MiniBatchKMeans


def pytest_collection_modifyitems(config, items):
    """Leave out what is not for us."""
    kept, deselected = [], []
    for item in items:
        (deselected if item.originalname in PRIVATE or is_sparse(item) else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=deselected)


def is_sparse(item):
    """Return whether a test is run with a sparse matrix, or with what makes one."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    makers = (scipy.sparse.csr_matrix, scipy.sparse.csr_array)
    return any(scipy.sparse.issparse(value) or value in makers for value in parameters if not isinstance(value, list))
