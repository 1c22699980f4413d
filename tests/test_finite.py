"""Unusable values are found wherever they are, by any number of threads."""

import numpy as np
import pytest

from fastcluster_ext import kmeans


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("row", [0, 5000, 49_999])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_single_unusable_value_is_found(n_threads, row, value):
    X = np.zeros((50_000, 3))
    X[row, 1] = value
    with pytest.raises(ValueError, match=f"row {row}, column 1"):
        kmeans(X, 1, n_threads=n_threads)
