"""pdist and cdist against SciPy."""

import json
import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from processes import INTERRUPTIBLE, run_python
from scipy.spatial import distance as scipy_distance

from fastcluster_ext import _kernels, cdist, pdist
from fastcluster_ext._metrics import METRICS, resolve_metric

CASES = [(metric.name, {}) for metric in METRICS] + [("minkowski", {"p": p}) for p in (0.5, 1, 1.5, 2, 3, np.inf)]
ANGLES = ("cosine", "correlation")
BINARY = ("hamming", "jaccard")
SQUARES = ("euclidean", "sqeuclidean", "minkowski", "cosine", "correlation")  # Minkowski's exponent is 2 by default
# Instruction sets in which squares are added up with one rounding.
FUSING = ("x86_64_v3", "x86_64_v4")


@pytest.fixture(scope="module")
def nci60():
    with np.load(Path(__file__).parent / "data" / "nci60.npz") as data:
        return data["expression"]


def points(n, p, metric="euclidean", seed=0):
    values = np.random.default_rng(seed).normal(size=(n, p))
    return (values > 0.3).astype(float) if metric in BINARY else values


def tolerances(metric, n_features, dtype):
    """What the documentation promises, relative and absolute."""
    if dtype == np.float64:
        return {"rtol": 1e-12, "atol": 1e-14 if metric in ANGLES else 0.0}
    error = (min(n_features, 64) + n_features / 64 + 8) * 2.0**-24
    return {"rtol": error, "atol": error if metric in ANGLES else 0.0}


def scipys(function, *arguments, **options):
    """SciPy's answer, without its warnings of 0 / 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*(np.asarray(values, dtype=np.float64) for values in arguments), **options)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("metric", "options"), CASES)
@pytest.mark.parametrize(("n", "n_features"), [(2, 1), (33, 3), (300, 5), (70, 128), (90, 300)])
def test_pdist_is_scipys(metric, options, n, n_features, dtype, n_threads):
    values = points(n, n_features, metric).astype(dtype)
    found = pdist(values, metric, n_threads=n_threads, **options)
    assert found.dtype == dtype
    wanted = scipys(scipy_distance.pdist, values, metric=metric, **options)
    assert_allclose(found, wanted, **tolerances(metric, n_features, dtype))


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("metric", "options"), CASES)
@pytest.mark.parametrize(("n", "m", "n_features"), [(1, 1, 1), (3, 300, 7), (90, 65, 130)])
def test_cdist_is_scipys(metric, options, n, m, n_features, dtype, n_threads):
    values = points(n, n_features, metric).astype(dtype)
    others = points(m, n_features, metric, seed=1).astype(dtype)
    found = cdist(values, others, metric, n_threads=n_threads, **options)
    assert found.dtype == dtype
    wanted = scipys(scipy_distance.cdist, values, others, metric=metric, **options)
    assert_allclose(found, wanted, **tolerances(metric, n_features, dtype))


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "correlation"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gene_expression(nci60, metric, dtype):
    values = nci60.astype(dtype)
    wanted = scipys(scipy_distance.pdist, values, metric=metric)
    assert_allclose(pdist(values, metric), wanted, **tolerances(metric, values.shape[1], dtype))


def test_five_points_of_the_course():
    found = pdist([[1, 1], [2, 1], [4, 5], [7, 7], [5, 7]])
    assert_array_equal(found.round(1), [1.0, 5.0, 8.5, 7.2, 4.5, 7.8, 6.7, 3.6, 2.2, 2.0])


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", "i4", "i8", "f2", "f4", "f8", ">f4", ">f8", ">i2"])
def test_every_dtype(metric, dtype):
    values = np.random.default_rng(0).integers(0, 2 if dtype == "?" else 100, size=(40, 6)).astype(dtype)
    single = dtype in ("f2", "f4", ">f4")
    found = pdist(values, metric)
    assert found.dtype == (np.float32 if single else np.float64)
    wanted = scipys(scipy_distance.pdist, values, metric=metric)
    assert_allclose(found, wanted, **tolerances(metric, 6, found.dtype))
    assert_allclose(pdist(values, metric, dtype=np.float64), wanted, **tolerances(metric, 6, np.float64))
    assert pdist(values, metric, dtype="float32").dtype == np.float32


@pytest.mark.parametrize("metric", BINARY)
@pytest.mark.parametrize("n_features", [1, 64, 130])
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_booleans_and_rows_without_any_true(metric, n_features, share):
    values = np.random.default_rng(0).random((60, n_features)) < share
    values[[0, 7, 33]] = False
    values[8] = True
    for flags in (values, np.asfortranarray(values), values[::-1, ::-1]):
        assert_array_equal(pdist(flags, metric), scipy_distance.pdist(flags, metric))
        assert_array_equal(cdist(flags, flags[:9], metric), scipy_distance.cdist(flags, flags[:9], metric))


@pytest.mark.parametrize("metric", ["euclidean", "canberra", "correlation", "jaccard"])
def test_any_strides_and_read_only(metric):
    plain = points(60, 9, metric)
    wide = np.zeros((120, 27))
    wide[::2, ::3] = plain
    backwards = np.ascontiguousarray(plain[::-1, ::-1])[::-1, ::-1]
    locked = plain.copy()
    locked.flags.writeable = False
    wanted, wanted_matrix = pdist(plain, metric), cdist(plain, plain[:7], metric)
    for values in (wide[::2, ::3], np.asfortranarray(plain), backwards, locked, plain.tolist()):
        before = np.array(values)
        assert_array_equal(pdist(values, metric), wanted)
        assert_array_equal(cdist(values, np.asfortranarray(plain[:7]), metric), wanted_matrix)
        assert_array_equal(values, before)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("metric", "options"), CASES)
def test_equal_rows_are_at_zero_and_all_is_symmetric(metric, options, dtype):
    values = points(40, 200, metric).astype(dtype)
    values = np.vstack([values, values])
    matrix = cdist(values, values, metric, **options)
    assert_array_equal(np.diagonal(matrix), 0)
    assert_array_equal(np.diagonal(matrix, 40), 0)
    assert_array_equal(matrix, matrix.T)
    assert_array_equal(pdist(values, metric, **options), matrix[np.triu_indices(80, 1)])


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cityblock", "chebyshev"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_offset_costs_nothing(metric, dtype):
    values = np.random.default_rng(0).integers(-64, 64, size=(50, 20)) / 16
    assert_array_equal(pdist((values + 1e6).astype(dtype), metric), pdist(values.astype(dtype), metric))


@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_an_offset_leaves_correlation(dtype, error):
    values = np.random.default_rng(0).integers(-64, 64, size=(50, 20)) / 16
    assert_allclose(pdist((values + 1e6).astype(dtype), "correlation"), pdist(values, "correlation"), rtol=error)


def test_near_angles_keep_their_digits():
    # For small angles 1 - cos is half the squared angle; SciPy's form has no digit of it left.
    angles = np.array([0.0, 1e-9])
    assert_allclose(pdist(np.stack([np.cos(angles), np.sin(angles)], axis=1), "cosine"), 5e-19, rtol=1e-6)
    assert_allclose(pdist([[1e200, 1e200], [1e-200, 0.0]], "cosine"), 1 - np.sqrt(0.5), rtol=1e-12)


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_nan_infinity_and_zero_are_scipys(metric):
    values = [[np.nan, 1, 2], [0, 5, 1], [0, 0, 0], [0, 0, 0], [np.inf, 1, 2], [np.inf, 0, 2], [-1, 1, 0], [2, 2, 2]]
    found, wanted = pdist(values, metric), scipys(scipy_distance.pdist, values, metric=metric)
    assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)


def test_every_constant_row_has_no_correlation():
    # SciPy's mean of seven times 0.1 is not 0.1, so it finds a correlation of rounding errors.
    assert np.isnan(pdist([[0.1] * 7, range(7)], "correlation")).all()


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_no_points_and_no_features(metric):
    assert pdist(np.zeros((0, 3)), metric).shape == pdist(np.zeros((1, 3)), metric).shape == (0,)
    assert cdist(np.zeros((2, 3)), np.zeros((0, 3)), metric).shape == (2, 0)
    featureless = np.zeros((3, 0))
    assert_array_equal(pdist(featureless, metric), scipys(scipy_distance.pdist, featureless, metric=metric))


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.int64, st.tuples(st.integers(1, 90), st.integers(1, 6)), elements=st.integers(0, 3)),
    st.sampled_from(["sqeuclidean", "cityblock", "chebyshev", "hamming", "jaccard", "braycurtis"]),
)
def test_integers_are_exact(values, metric):
    wanted = scipys(scipy_distance.cdist, values, values, metric=metric)
    assert_allclose(cdist(values, values, metric), wanted, rtol=4e-16)
    assert_allclose(pdist(values, metric), scipys(scipy_distance.pdist, values, metric=metric), rtol=4e-16)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "correlation", "braycurtis"])
def test_threads_change_no_bit(metric, dtype):
    values = points(700, 150).astype(dtype)
    wanted = pdist(values, metric, n_threads=1)
    for n_threads in (2, 3, 8):
        assert_array_equal(pdist(values, metric, n_threads=n_threads), wanted)
        assert_array_equal(cdist(values, values, metric, n_threads=n_threads)[np.triu_indices(700, 1)], wanted)


EVERY_METRIC = """
import sys
import numpy as np
from fastcluster_ext import pdist
from fastcluster_ext._metrics import METRICS
values = np.random.default_rng(0).normal(size=(90, 150))
# Which of two sums is taken differs from pair to pair.
results = {"power": pdist(values, "minkowski", p=2.5), "doubtful": pdist(values + 31.5, "cityblock")}
results["euclidean, doubtful"] = pdist(values + 7.5)
for name in (metric.name for metric in METRICS):
    results |= {f"{name} {dtype}": pdist(values.astype(dtype), name) for dtype in ("f4", "f8")}
np.savez(sys.argv[1], **results)
"""


def test_instruction_sets_change_no_bit_but_of_sums_of_squares(tmp_path):
    """Where an instruction set multiplies and adds with one rounding, others take two."""
    found = {}
    for isa in _kernels.built():
        run_python(EVERY_METRIC, tmp_path / f"{isa}.npz", **{_kernels.ENVIRONMENT: isa})
        with np.load(tmp_path / f"{isa}.npz") as file:
            found[isa] = dict(file)
    best, wanted = next(iter(found.items()))
    for isa, results in found.items():
        for name, distances in results.items():
            if (isa in FUSING) == (best in FUSING) or not name.startswith(SQUARES):
                assert_array_equal(distances, wanted[name], err_msg=f"{isa}: {name}")
            else:
                error = 1e-12 if "doubtful" in name else 20 * np.finfo(distances.dtype).eps
                assert_allclose(distances, wanted[name], rtol=error)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_out(dtype, tmp_path):
    values = points(50, 4)
    place = np.full(50 * 49 // 2, -1, dtype=dtype)
    assert pdist(values, out=place) is place
    assert_allclose(place, scipy_distance.pdist(values), rtol=1e-6)
    assert pdist(values.astype(np.float32), out=place) is place
    mapped = np.memmap(tmp_path / "distances", dtype=dtype, mode="w+", shape=(50, 50))
    assert cdist(values, values, out=mapped) is mapped
    mapped.flush()
    stored = np.fromfile(tmp_path / "distances", dtype=dtype).reshape(50, 50)
    assert_array_equal(stored, cdist(values, values, dtype=dtype))


def test_out_may_be_the_points():
    values = points(64, 64)
    wanted = cdist(values, values)
    assert_array_equal(cdist(values, values, out=values), wanted)


def test_float64_points_are_rounded_last():
    values = points(30, 4) + 1e9
    assert_array_equal(pdist(values, dtype=np.float32), pdist(values).astype(np.float32))


def test_names_and_aliases():
    for metric in METRICS:
        for name in (*metric.aliases, metric.name.upper()):
            assert resolve_metric(name).name == ("euclidean" if metric.name == "minkowski" else metric.name)
    values = points(9, 3)
    for names in (("manhattan", "cityblock"), ("chebychev", "chebyshev")):
        assert_array_equal(pdist(values, names[0]), pdist(values, names[1]))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([1.0, 2.0],), {}, ValueError, "2-dimensional array must be passed as XA?"),
        (([["a", "b"]],), {}, TypeError, "XA? must hold real numbers"),
        ((np.zeros((3, 2), complex),), {}, TypeError, "XA? must hold real numbers"),
        (([[1.0], [2.0, 3.0]],), {}, ValueError, "XA? is not a rectangular array"),
        ((np.zeros((3, 2)), "nope"), {}, ValueError, "Unknown Distance Metric: 'nope'.*'euclidean'"),
        ((np.zeros((3, 2)), 3), {}, TypeError, "metric must be a string"),
        ((np.zeros((3, 2)),), {"p": 3}, TypeError, "p is the exponent of metric='minkowski'"),
        ((np.zeros((3, 2)), "minkowski"), {"p": 0}, ValueError, "p must be greater than 0"),
        ((np.zeros((3, 2)), "minkowski"), {"p": -1}, ValueError, "p must be"),
        ((np.zeros((3, 2)), "minkowski"), {"p": np.nan}, ValueError, "p must be"),
        ((np.zeros((3, 2)), "minkowski"), {"p": "x"}, TypeError, "p must be a real number"),
        ((np.zeros((3, 2)),), {"dtype": int}, ValueError, "dtype must be float32 or float64"),
        ((np.zeros((3, 2)),), {"out": [0.0] * 3}, TypeError, "out must be a numpy array"),
        ((np.zeros((3, 2)),), {"out": np.zeros(4)}, ValueError, "incorrect shape"),
        ((np.zeros((3, 2)),), {"out": np.zeros(6)[::2]}, ValueError, "C-contiguous"),
        ((np.zeros((3, 2)),), {"out": np.zeros(3, int)}, ValueError, "must be of float64"),
        ((np.zeros((3, 2)),), {"out": np.zeros(3, ">f8")}, ValueError, "must be of float64"),
        ((np.zeros((3, 2)),), {"out": np.zeros(3), "dtype": "f4"}, ValueError, "must be of float32"),
        ((np.zeros((3, 2)),), {"n_threads": 0}, ValueError, "n_threads"),
    ],
)
def test_bad_input(arguments, options, error, message):
    with pytest.raises(error, match=message):
        pdist(*arguments, **options)
    if "out" not in options:
        with pytest.raises(error, match=message):
            cdist(arguments[0], np.zeros((3, 2)), *arguments[1:], **options)


@pytest.mark.parametrize("out", [np.zeros((4, 3)), np.zeros((4, 3)).T, np.zeros((3, 4), int)])
def test_bad_out_of_cdist(out):
    with pytest.raises(ValueError, match="Output array"):
        cdist(np.zeros((3, 2)), np.zeros((4, 2)), out=out)


def test_different_numbers_of_features():
    with pytest.raises(ValueError, match="same number of columns"):
        cdist(np.zeros((2, 3)), np.zeros((2, 4)))


TOO_LARGE = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
import numpy as np
from fastcluster_ext import cdist, pdist, squareform
values = np.zeros((100_000, 2))
condensed = np.zeros(70_000 * 69_999 // 2, "u1")
for call in (lambda: pdist(values), lambda: cdist(values, values), lambda: squareform(condensed)):
    try:
        call()
    except MemoryError as error:
        print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address spaces are limited on Linux")
@pytest.mark.parametrize("p", [2.5, 3, 10, 40])
@pytest.mark.parametrize("size", [1e-5, 1e-2, 1e4])
def test_high_powers_of_ordinary_float32_numbers(p, size):
    points = (np.random.default_rng(0).normal(size=(40, 3)) * size).astype(np.float32)
    expected = scipy_distance.cdist(points.astype(float), points.astype(float), "minkowski", p=p)
    found = cdist(points, points, "minkowski", p=p)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(pdist(points, "minkowski", p=p), found[np.triu_indices(40, 1)])


def test_too_large_is_said_in_bytes():
    lines = run_python(TOO_LARGE).stdout.strip().splitlines()
    assert "39999600000 bytes" in lines[0]
    assert "80000000000 bytes" in lines[1]
    assert "4900000000 bytes" in lines[2]


INTERRUPTED = (
    INTERRUPTIBLE
    + """
import numpy as np
from fastcluster_ext import cdist, nearest, pdist
draw = np.random.default_rng(0)
wide, narrow = draw.random((6000, 8000), "f4"), draw.normal(size=(400_000, 3))
place = np.empty((400_000, 100))
calls = {
    "pdist": lambda: pdist(wide),
    "correlation": lambda: pdist(wide, "correlation"),
    "minkowski": lambda: pdist(wide, "minkowski", p=2.3),
    "cdist": lambda: [cdist(narrow, narrow[:100], "canberra", out=place) for _ in range(1000)],
    "nearest": lambda: nearest(narrow, narrow[::20], "canberra"),
}
late = {}
for name, call in calls.items():
    late[name] = [lateness(call, 0.15) for _ in range(5)]
print(json.dumps(late))
"""
)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer signal")
def test_signals_are_heard_within_100_milliseconds():
    for name, tries in json.loads(run_python(INTERRUPTED).stdout.strip()).items():
        assert None not in tries, f"{name} was not interrupted"
        assert min(tries) < 0.1, (name, tries)  # the least: other processes may hold this one up


FORKED = """
import os
import numpy as np
from fastcluster_ext import pdist
values = np.random.default_rng(0).normal(size=(2000, 8))
wanted = pdist(values, n_threads=2)
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(pdist(values, n_threads=2), wanted) else 1)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_computes():
    assert run_python(FORKED).stdout.strip() == "0"
