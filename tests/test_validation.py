"""Bad input is an error that names the argument; input of any real kind, shape and layout is read as it is."""

import re

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from fastcluster_ext import ColorHistogram, kmeans, kmeans_plusplus, quantize

X = np.random.default_rng(0).normal(size=(30, 3))
IMAGE = np.random.default_rng(0).integers(0, 9, (20, 30, 3)).astype(np.uint8)


def with_value(value, row, column, dtype=np.float64):
    bad = X.astype(dtype)
    bad[row, column] = value
    return bad


def sparse():
    return csr_array(X)


BAD_POINTS = {
    "NaN": (with_value(np.nan, 7, 2), ValueError, "X holds nan at row 7, column 2"),
    "NaN in float32": (with_value(np.nan, 7, 2, np.float32), ValueError, "X holds nan at row 7, column 2"),
    "NaN in float16": (with_value(np.nan, 7, 2, np.float16), ValueError, "X holds nan at row 7, column 2"),
    "infinity": (with_value(np.inf, 29, 0), ValueError, "X holds inf at row 29, column 0"),
    "minus infinity": (with_value(-np.inf, 0, 1, np.float32), ValueError, "X holds -inf at row 0, column 1"),
    "NaN far down": (np.r_[np.zeros((9000, 1)), [[np.nan]]], ValueError, "X holds nan at row 9000, column 0"),
    "NaN in a view": (with_value(np.nan, 6, 2)[::2, ::-1], ValueError, "X holds nan at row 3, column 0"),
    "NaN in a list": ([[1.0, 2.0], [float("nan"), 0.0]], ValueError, "X holds nan at row 1, column 0"),
    "too large to square": (with_value(1e200, 4, 1), ValueError, "X holds 1e+200 at row 4, column 1"),
    "no rows": (np.empty((0, 3)), ValueError, "X is empty: its shape is (0, 3)"),
    "no columns": (np.empty((3, 0)), ValueError, "X is empty: its shape is (3, 0)"),
    "an empty list": ([], ValueError, "X must be two-dimensional"),
    "one dimension": (np.arange(9.0), ValueError, "X must be two-dimensional"),
    "three dimensions": (np.zeros((3, 3, 3)), ValueError, "X must be two-dimensional"),
    "a number": (5.0, ValueError, "X must be two-dimensional"),
    "None": (None, TypeError, "X must hold real numbers, got None"),
    "ragged lists": ([[1, 2], [3]], ValueError, "X is not a rectangular array"),
    "objects": (X.astype(object), TypeError, "X must hold real numbers, got dtype object"),
    "complex numbers": (X + 1j, TypeError, "X must hold real numbers, got dtype complex128"),
    "strings": ([["a", "b"]], TypeError, "X must hold real numbers"),
    "a string": ("data.csv", TypeError, "X must hold real numbers"),
    "dates": (np.zeros((5, 2), "M8[s]"), TypeError, "X must hold real numbers, got dtype datetime64"),
    "records": (np.zeros(5, "f8,f8"), TypeError, "X must hold real numbers"),
    "long doubles": (X.astype(np.longdouble), TypeError, "X must hold real numbers"),
    "a sparse matrix": (sparse, TypeError, "X is a sparse matrix"),
    "masked values": (np.ma.masked_less(X, -1), ValueError, "X has masked values"),
    "a dictionary": ({"a": [1]}, TypeError, "X must hold real numbers"),
}


@pytest.mark.parametrize("function", [kmeans, kmeans_plusplus])
@pytest.mark.parametrize("name", BAD_POINTS)
def test_bad_points(function, name):
    values, error, message = BAD_POINTS[name]
    with pytest.raises(error, match=re.escape(message)):
        function(values() if callable(values) else values, 2)


BAD_OPTIONS = [
    ({"k": 0}, ValueError, "k must be from 1 to"),
    ({"k": -3}, ValueError, "k must be from 1 to"),
    ({"k": 31}, ValueError, "k must be at most the number of distinct points, which is 30, got 31"),
    ({"k": 2**31}, ValueError, "k must be from 1 to"),
    ({"k": 10**30}, ValueError, "k must be from 1 to"),
    ({"k": True}, TypeError, "k must be an integer, got True"),
    ({"k": 2.0}, TypeError, "k must be an integer, got 2.0"),
    ({"k": "2"}, TypeError, "k must be an integer, got '2'"),
    ({"k": None}, TypeError, "k must be an integer, got None"),
    ({"sample_weight": [1.0] * 29}, ValueError, "sample_weight must have shape (30,)"),
    ({"sample_weight": np.ones((30, 1))}, ValueError, "sample_weight must have shape (30,)"),
    ({"sample_weight": 1.0}, ValueError, "sample_weight must have shape (30,)"),
    ({"sample_weight": [1.0] * 29 + [-1.0]}, ValueError, "sample_weight must not be negative, got -1.0 at position 29"),
    ({"sample_weight": [1.0] * 29 + [np.nan]}, ValueError, "sample_weight holds nan at position 29"),
    ({"sample_weight": [np.inf] + [1.0] * 29}, ValueError, "sample_weight holds inf at position 0"),
    ({"sample_weight": np.zeros(30)}, ValueError, "sample_weight is zero for every point"),
    ({"sample_weight": ["heavy"] * 30}, TypeError, "sample_weight must hold real numbers"),
    ({"sample_weight": np.ones(30, complex)}, TypeError, "sample_weight must hold real numbers"),
    ({"sample_weight": [1.0] + [0.0] * 29}, ValueError, "k must be at most the number of distinct points, which is 1"),
    ({"n_threads": 0}, ValueError, "n_threads must be from 1 to"),
    ({"n_threads": -1}, ValueError, "n_threads must be from 1 to"),
    ({"n_threads": 10**9}, ValueError, "n_threads must be from 1 to"),
    ({"n_threads": 1.5}, TypeError, "n_threads must be an integer"),
    ({"n_threads": True}, TypeError, "n_threads must be an integer"),
    ({"n_threads": "2"}, TypeError, "n_threads must be an integer"),
    ({"random_state": -1}, ValueError, "random_state must not be negative"),
    ({"random_state": 1.5}, TypeError, "random_state must be None, a non-negative int"),
    ({"random_state": True}, TypeError, "random_state must be None, a non-negative int"),
    ({"random_state": "seed"}, TypeError, "random_state must be None, a non-negative int"),
]
BAD_KMEANS_OPTIONS = [
    ({"init": "plusplus"}, ValueError, "init must be one of 'k-means++', 'random'"),
    ({"init": np.zeros((3, 3))}, ValueError, "init must have shape (2, 3)"),
    ({"init": np.zeros((2, 4))}, ValueError, "init must have shape (2, 3)"),
    ({"init": np.zeros(6)}, ValueError, "init must be two-dimensional"),
    ({"init": np.full((2, 3), np.nan)}, ValueError, "init holds nan at row 0, column 0"),
    ({"init": np.zeros((2, 3), complex)}, TypeError, "init must hold real numbers"),
    ({"init": lambda X, k: X[:k]}, TypeError, "init must be one of"),
    ({"init": None}, TypeError, "init must"),
    ({"n_init": 0}, ValueError, "n_init must be at least 1"),
    ({"n_init": -1}, ValueError, "n_init must be at least 1"),
    ({"k": X[:3]}, TypeError, "k must be an integer, got ndarray of shape (3, 3)"),
    ({"n_init": 1.0}, TypeError, "n_init must be an integer"),
    ({"n_init": "many"}, ValueError, "n_init must be one of 'auto'"),
    ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
    ({"max_iter": 1e3}, TypeError, "max_iter must be an integer"),
    ({"tol": -1e-9}, ValueError, "tol must be a finite number of at least 0"),
    ({"tol": np.nan}, ValueError, "tol must be a finite number of at least 0"),
    ({"tol": np.inf}, ValueError, "tol must be a finite number of at least 0"),
    ({"tol": "1e-4"}, TypeError, "tol must be a real number"),
    ({"tol": None}, TypeError, "tol must be a real number"),
    ({"tol": True}, TypeError, "tol must be a real number"),
    ({"algorithm": "fastest"}, ValueError, "algorithm must be one of"),
    ({"algorithm": None}, ValueError, "algorithm must be one of"),
    ({"callback": "print"}, TypeError, "callback must be callable"),
]


def describe(case):
    return ", ".join(f"{key}={str(value)[:20]}" for key, value in case.items()) if isinstance(case, dict) else ""


@pytest.mark.parametrize(("options", "error", "message"), BAD_OPTIONS + BAD_KMEANS_OPTIONS, ids=describe)
def test_bad_options_of_kmeans(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        kmeans(X, **{"k": 2, **options})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        *BAD_OPTIONS,
        ({"n_local_trials": 0}, ValueError, "n_local_trials must be from 1 to 1024"),
        ({"n_local_trials": 1.0}, TypeError, "n_local_trials must be an integer"),
    ],
    ids=describe,
)
def test_bad_options_of_kmeans_plusplus(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        kmeans_plusplus(X, **{"k": 2, **options})


def test_sums_that_overflow_are_an_error():
    for points, weights in (([[1e100], [0.0], [3e100]], [1e120] * 3), ([[1e149], [0.0], [-1e149]], [1e12] * 3)):
        with pytest.raises(ValueError, match="X, weighted by sample_weight, has sums of squares beyond float64"):
            kmeans(points, 2, sample_weight=weights)
    with pytest.raises(ValueError, match="sample_weight"):
        kmeans(X, 2, sample_weight=np.full(30, 1e308))


BAD_IMAGES = {
    "floats": (np.zeros((20, 30, 3)), TypeError, "image must be of uint8 or uint16, got float64"),
    "signed integers": (np.zeros((20, 30, 3), int), TypeError, "image must be of uint8 or uint16, got int64"),
    "wide integers": (np.zeros((20, 30, 3), np.uint32), TypeError, "image must be of uint8 or uint16, got uint32"),
    "booleans": (np.zeros((20, 30, 3), bool), TypeError, "image must be of uint8 or uint16, got bool"),
    "objects": (IMAGE.astype(object), TypeError, "image must be of uint8 or uint16, got object"),
    "a path": ("photo.jpg", TypeError, "image must be an array or a Pillow image, got a path"),
    "None": (None, TypeError, "image must be of uint8 or uint16"),
    "ragged lists": ([[1, 2], [3]], ValueError, "image is not a rectangular array"),
    "no rows": (np.zeros((0, 30, 3), np.uint8), ValueError, "image is empty: its shape is (0, 30, 3)"),
    "no columns": (np.zeros((30, 0, 3), np.uint8), ValueError, "image is empty: its shape is (30, 0, 3)"),
    "no channels": (np.zeros((30, 20, 0), np.uint8), ValueError, "image is empty: its shape is (30, 20, 0)"),
    "five channels": (np.zeros((20, 30, 5), np.uint8), ValueError, "image must have 1 to 4 channels, got 5"),
    "one dimension": (np.zeros(30, np.uint8), ValueError, "image must be h x w"),
    "four dimensions": (np.zeros((2, 3, 4, 3), np.uint8), ValueError, "image must be h x w"),
    "no dimension": (np.uint8(3), ValueError, "image must be h x w"),
}


@pytest.mark.parametrize("function", [ColorHistogram.from_image, lambda image: quantize(image, 1)])
@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_images(function, name):
    image, error, message = BAD_IMAGES[name]
    with pytest.raises(error, match=re.escape(message)):
        function(image)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be from 1 to 65535, got 0"),
        ({"k": 65536}, ValueError, "k must be from 1 to 65535, got 65536"),
        ({"k": 2.0}, TypeError, "k must be an integer"),
        ({"k": True}, TypeError, "k must be an integer"),
        ({"k": 700}, ValueError, "k must be at most the number of distinct"),
        ({"skip_transparent": True}, ValueError, "skip_transparent needs an alpha channel"),
        *((o, e, m) for o, e, m in BAD_OPTIONS + BAD_KMEANS_OPTIONS if set(o) <= {"n_threads", "random_state", "tol"}),
        ({"init": "plusplus"}, ValueError, "init must be one of"),
        ({"n_init": 0}, ValueError, "n_init must be at least 1"),
        ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
        ({"callback": 5}, TypeError, "callback must be callable"),
    ],
    ids=describe,
)
def test_bad_options_of_quantize(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        quantize(IMAGE, **{"k": 2, **options})


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([1], ValueError, "labels must have shape"),
        ([[1, 2, 3]], ValueError, "labels must have shape"),
        ([1.0, 2.0, 3.0], TypeError, "labels must be integers"),
        (["a", "b", "c"], TypeError, "labels must be integers"),
        ([-2, 0, 0], ValueError, "labels must be from -1 to"),
        ([2**31, 0, 0], ValueError, "labels must be from -1 to"),
        (np.array([2**64 - 1, 0, 0], dtype=np.uint64), ValueError, "labels must be from -1 to"),
    ],
)
def test_bad_labels(labels, error, message):
    histogram = ColorHistogram.from_image(np.array([[[0], [1], [2], [1]]], np.uint8))
    with pytest.raises(error, match=re.escape(message)):
        histogram.expand(labels)


def test_a_data_frame_gives_its_column_names():
    class Frame:
        """What kmeans uses of a pandas.DataFrame."""

        columns = ("width", "height")

        def __array__(self, dtype=None, copy=None):
            return np.array([[2, 10], [2, 5], [8, 4], [5, 8]], dtype=dtype)

    result = kmeans(Frame(), 2, random_state=0)
    assert result.feature_names == ("width", "height")
    assert "width" in repr(result)


def test_a_table_of_integers_that_can_be_missing():
    import pandas as pd  # not there where only the tests of kernels are run

    numbers = np.arange(60).reshape(20, 3) ** 2 % 17
    numbers[:, 2] %= 2
    table = pd.DataFrame(numbers, columns=list("abc")).astype({"a": "Int64", "b": "Float64"})
    table["c"] = table["c"].astype(bool).astype("boolean")
    expected = kmeans(numbers, 3, random_state=0)
    weights = pd.Series(np.ones(20), dtype="Int8")
    np.testing.assert_array_equal(kmeans(table, 3, sample_weight=weights, random_state=0).labels, expected.labels)
    table.iloc[7, 1] = pd.NA
    with pytest.raises(ValueError, match="X holds nan at row 7, column 1"):
        kmeans(table, 3)
    with pytest.raises(TypeError, match="are there columns of text"):
        kmeans(table.assign(name="text"), 3)


def test_a_pandas_data_frame():
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2, 30], "b": [1.0, 2.0, 40.0]})
    result = kmeans(frame, 2, random_state=0, sample_weight=pd.Series([1, 1, 1]))
    assert result.feature_names == ("a", "b")
    assert sorted(result.sizes) == [1, 2]
    with pytest.raises(TypeError, match="X must hold real numbers"):
        kmeans(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), 1)


@pytest.mark.kernel
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_points_of_any_shape_kind_and_layout(data):
    n, p = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 10))
    kind = data.draw(st.sampled_from(["u1", "u2", "f4", "f8", ">u2", ">f4", ">f8", "f2", "i1", "i8", "u4", "?"]))
    most = data.draw(st.sampled_from([1, 3, 100]))
    generator = np.random.default_rng(data.draw(st.integers(0, 999)))
    whole = generator.integers(0, most + 1, (3 * n, 2 * p)).astype(kind)
    rows, columns = (data.draw(st.sampled_from([1, 2, -1, -2])) for _ in range(2))
    points = whole[::rows, ::columns][:n, :p]
    if data.draw(st.booleans()):
        points = np.asfortranarray(points)
    weights = generator.integers(0, 4, len(points)) if data.draw(st.booleans()) else None
    heavy = points if weights is None else points[weights > 0]
    distinct = np.unique(heavy.astype(float), axis=0)
    if len(distinct) == 0:
        return
    k = data.draw(st.integers(1, len(distinct)))
    init = generator.integers(-5, most + 6, (k, points.shape[1])).astype(float)
    result = kmeans(points, k, init=init, sample_weight=weights, tol=0, n_threads=data.draw(st.integers(1, 3)))
    labels, centers, inertia, n_iter = reference.lloyd(points, init, weights=weights)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_array_equal(result.centers, centers)
    assert result.inertia == pytest.approx(inertia, rel=1e-12, abs=1e-12)
    assert result.n_iter == n_iter
    seeded = kmeans(points, k, sample_weight=weights, random_state=0)
    np.testing.assert_array_equal(seeded.labels, reference.nearest(points, seeded.centers))
    assert (seeded.cluster_weights > 0).all()
