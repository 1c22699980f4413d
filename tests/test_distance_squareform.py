"""squareform against SciPy."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.spatial.distance import squareform as scipys

from fastcluster_ext import squareform


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "u1", "?", "c16", ">f8"])
@pytest.mark.parametrize("n", [1, 2, 3, 255, 256, 257, 600])
def test_there_and_back(n, dtype):
    condensed = (np.arange(n * (n - 1) // 2) % 97 + 1).astype(dtype)
    matrix = squareform(condensed)
    assert matrix.dtype == condensed.dtype
    assert_array_equal(matrix, scipys(condensed))
    back = squareform(matrix)
    assert back.dtype == condensed.dtype
    assert_array_equal(back, condensed)
    assert not np.shares_memory(back, matrix)


def test_strided_input():
    condensed = np.arange(1.0, 31.0)[::2]
    matrix = scipys(condensed)
    wide = np.zeros((12, 12))
    wide[::2, ::2] = matrix
    assert_array_equal(squareform(condensed), matrix)
    assert_array_equal(squareform(wide[::2, ::2]), condensed)
    assert_array_equal(squareform(matrix.tolist()), condensed)


def test_without_checks_the_upper_triangle_counts():
    assert_array_equal(squareform([[5.0, 1.0], [2.0, 0.0]], checks=False), [1.0])


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.zeros(2), {}, "Incompatible vector size"),
        (np.zeros((2, 3)), {}, "must be square"),
        (np.ones((2, 2)), {}, "diagonal must be zero"),
        ([[0.0, 1.0], [2.0, 0.0]], {}, "must be symmetric"),
        ([[0.0, np.nan], [np.nan, 0.0]], {}, "must be symmetric"),
        (np.zeros((2, 2, 2)), {}, "3-dimensional"),
        (np.zeros((2, 2)), {"force": "tomatrix"}, "not a distance vector"),
        (np.zeros(3), {"force": "tovector"}, "not a distance matrix"),
    ],
)
def test_bad_input(values, options, message):
    for function in (scipys, squareform):
        with pytest.raises(ValueError, match=message):
            function(values, **options)
