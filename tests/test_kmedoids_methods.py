"""k-medoids against worked examples, R, the kmedoids package and brute force."""

import itertools
import json
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import INTERRUPTIBLE, MEASURED, needs_memory_peaks, run_python
from reference import seeded_medoid_problem, swaps

from fastcluster_ext import cdist, cluster_spread, kmedoids, silhouette_samples

DATA = Path(__file__).parent / "data"
R_FIXTURES = json.loads((DATA / "pam.json").read_text())
PACKAGE_FIXTURES = json.loads((DATA / "kmedoids_package.json").read_text())
SWAPPING = ("fasterpam", "fastpam1", "pam")


def blobs(n, p, seed=0, n_blobs=6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_blobs, p))[rng.integers(0, n_blobs, n)] * 5 + rng.normal(size=(n, p))


def loss_of(distances, medoids, weights=None):
    return float(
        np.average(distances[:, medoids].min(axis=1), weights=weights)
        * (len(distances) if weights is None else np.sum(weights))
    )


def best_swap(distances, medoids, weights=None):
    """Least loss of all states one swap away, by brute force."""
    return min(
        loss_of(distances, [*medoids[:i], c, *medoids[i + 1 :]], weights)
        for i, c in itertools.product(range(len(medoids)), range(len(distances)))
    )


def test_voronoi_iteration_by_hand():
    X = [[0, 2], [1, 1], [2, 0], [1, 3], [2, 3], [5, 5], [6, 6], [7, 7]]
    result = kmedoids(X, 2, init=[1, 4], method="alternate", max_iter=1, history=True)
    start, first = result.history
    second = np.flatnonzero(start.labels == 1)
    sums = cdist(np.array(X)[second], np.array(X)[second], "cityblock").sum(axis=1)
    assert sums.tolist() == [25, 22, 17, 19, 25]
    assert np.array(X)[first.medoids].tolist() == [[1, 1], [5, 5]]
    assert result.sizes.tolist() == [5, 3]


def test_swap_by_hand():
    X = [[8, 7], [3, 7], [4, 9], [9, 6], [8, 5], [5, 8], [7, 3], [8, 4], [7, 5], [4, 5]]
    assert kmedoids(X, 2, init=[9, 4], max_iter=0).loss == 20
    assert kmedoids(X, 2, init=[9, 7], max_iter=0).loss == 22
    result = kmedoids(X, 2, init=[9, 4], method="pam", history=True)
    assert [step.loss for step in result.history] == [20, 18]
    assert result.history[1].swapped == (9, 1)
    assert result.loss == 18
    assert result.converged


@pytest.mark.parametrize("name", R_FIXTURES["pam"])
@pytest.mark.parametrize("precomputed", [False, True])
def test_pam_is_that_of_r(name, precomputed):
    fixture = R_FIXTURES["pam"][name]
    X = np.array(fixture["X"])
    metric = fixture["metric"]
    data = cdist(X, X, metric) if precomputed else X
    named = "precomputed" if precomputed else metric
    start = {"init": fixture["start"]} if fixture["start"] else {}
    result = kmedoids(data, fixture["k"], metric=named, method="pam", info=True, **start)
    assert sorted(result.medoids) == sorted(fixture["medoids"])
    assert result.loss / len(X) == pytest.approx(fixture["objective"][1], rel=1e-12)
    order = [result.medoids.tolist().index(medoid) for medoid in fixture["medoids"]]
    assert [order.index(label) for label in result.labels] == fixture["labels"]
    assert result.sizes[order].tolist() == fixture["size"]
    np.testing.assert_allclose((result.cluster_loss / result.sizes)[order], fixture["av_diss"], rtol=1e-12)
    spread = cluster_spread(data, result.labels, metric=named)
    np.testing.assert_allclose(spread.diameter[order], fixture["diameter"], rtol=1e-12)
    np.testing.assert_allclose(spread.separation[order], fixture["separation"], rtol=1e-12)
    assert spread.isolation[order].tolist() == fixture["isolation"]
    np.testing.assert_allclose(silhouette_samples(data, result.labels, metric=named), fixture["silhouette"], atol=1e-12)
    info = result.info
    assert info.sizes[order].tolist() == fixture["size"]
    np.testing.assert_allclose(info.max_dissimilarity[order], fixture["max_diss"], rtol=1e-12)
    np.testing.assert_allclose(info.average_dissimilarity[order], fixture["av_diss"], rtol=1e-12)
    np.testing.assert_allclose(info.diameter[order], fixture["diameter"], rtol=1e-12)
    np.testing.assert_allclose(info.separation[order], fixture["separation"], rtol=1e-12)
    assert info.isolation[order].tolist() == fixture["isolation"]
    np.testing.assert_allclose(info.silhouette, fixture["silhouette"], atol=1e-12)
    assert info.average_silhouette == pytest.approx(np.mean(fixture["silhouette"]), rel=1e-10)


def in_order(result, medoids):
    """A result with its clusters in the order of these medoids."""
    order = [result.medoids.tolist().index(medoid) for medoid in medoids]
    by_cluster = ("medoids", "centers", "cluster_loss", "sizes", "cluster_weights")
    told = ("sizes", "max_dissimilarity", "average_dissimilarity", "diameter", "separation", "isolation")
    info = result.info and replace(
        result.info, **{name: getattr(result.info, name)[order] for name in (*told, "cluster_silhouette")}
    )
    return replace(
        result,
        labels=np.argsort(order).astype(np.int32)[result.labels],
        info=info,
        **{name: getattr(result, name)[order] for name in by_cluster},
    )


def counted_from_zero(lines):
    """What R has printed, with positions, rows and clusters less one, at the same width."""

    def less_one(match):
        return str(int(match[0]) - 1).rjust(len(match[0]))

    names = 2 if any("ID" in line for line in lines[:2]) else 1  # of a row: its number, and the medoid's
    changed = []
    for line in lines:
        if re.match(r" *\[\d+,\]", line):
            changed.append(re.sub(r"\d+", less_one, line, count=names))
        elif re.match(r" *\[\d+\]", line):
            changed.append(re.sub(r"\d+", less_one, line, count=1 if "." in line else 0))
        elif "-clusters:" in line:
            kind, numbers = line.replace("character(0)", "none").replace("[1] ", "").split(": ")
            changed.append(f"{kind}: {re.sub('[0-9]+', less_one, numbers)}")
        else:
            changed.append(line)
    return changed


@pytest.mark.parametrize("name", R_FIXTURES["pam"])
def test_printed_as_r_prints_pam(name):
    fixture = R_FIXTURES["pam"][name]
    X = pd.DataFrame(fixture["X"], columns=fixture["names"])
    start = {"init": fixture["start"]} if fixture["start"] else {}
    result = kmedoids(X, fixture["k"], metric=fixture["metric"], method="pam", info=True, **start)
    ours = in_order(result, fixture["medoids"])
    *lines, last = repr(ours).splitlines()
    assert lines == counted_from_zero(fixture["printed"])
    # R goes on with the names of the components.
    swaps = f"{result.n_swap} swap{'s' if result.n_swap != 1 else ''}"
    assert last == f"Converged after {swaps}, sum of dissimilarities {result.loss:.7g}"
    assert repr(ours.info).splitlines() == counted_from_zero(fixture["summary"])


@pytest.mark.parametrize("name", R_FIXTURES["clara"])
def test_clara_is_that_of_r(name):
    fixture = R_FIXTURES["clara"][name]
    X, k, sample = np.array(fixture["X"]), fixture["k"], np.array(fixture["sample"])
    options = {"metric": fixture["metric"], "info": True}
    # R's sample, since other generators draw others; its medoids; and these for all points.
    found = sample[kmedoids(X[sample], k, method="pam", **options).medoids]
    assert sorted(found) == sorted(fixture["medoids"])
    result = kmedoids(X, k, init=fixture["medoids"], max_iter=0, **options)
    assert result.labels.tolist() == fixture["labels"]
    assert result.sizes.tolist() == fixture["size"]
    assert result.loss / len(X) == pytest.approx(fixture["objective"][0], rel=1e-12)
    np.testing.assert_allclose(result.info.max_dissimilarity, fixture["max_diss"], rtol=1e-12)
    np.testing.assert_allclose(result.info.average_dissimilarity, fixture["av_diss"], rtol=1e-12)
    # As good on average up to chance, from BUILD as there, with as many samples of that size, each side's own.
    options |= {"method": "clara", "init": "build", "n_samples": fixture["samples"], "sample_size": len(sample)}
    losses = [kmedoids(X, k, random_state=seed, **options).loss / len(X) for seed in range(20)]
    theirs = np.array(fixture["objectives"])
    assert np.mean(losses) <= np.mean(theirs) * (1 + 1e-12) + 2 * np.std(theirs) / np.sqrt(len(theirs))


def test_clara_of_one_sample_of_all_points_is_that_of_r_and_printed_as_there():
    fixture = R_FIXTURES["clara"]["ruspini_whole"]
    X = pd.DataFrame(fixture["X"], columns=fixture["names"])
    result = kmedoids(X, 4, metric="manhattan", method="clara", init="build", n_samples=1, sample_size=len(X))
    np.testing.assert_array_equal(result.sample, fixture["sample"])
    assert_printed_as_clara(in_order(result, fixture["medoids"]), fixture)
    assert repr(result).endswith("Converged after 1 sample, sum of dissimilarities 1113")


@pytest.mark.parametrize("name", R_FIXTURES["clara"])
def test_printed_as_r_prints_clara(name):
    fixture = R_FIXTURES["clara"][name]
    X = pd.DataFrame(fixture["X"], columns=fixture["names"])
    result = kmedoids(X, fixture["k"], metric=fixture["metric"], init=fixture["medoids"], max_iter=0)
    assert_printed_as_clara(replace(result, sample=np.array(fixture["sample"])), fixture)


def assert_printed_as_clara(result, fixture):
    theirs = counted_from_zero(fixture["printed"])
    at = next(i for i, line in enumerate(theirs) if line.startswith("Clustering vector"))
    ours = repr(result).splitlines()[:-1]
    # Rows of the medoids stand before them, as in pam's; all labels are shown, as in R's summary, not the first ones.
    rows = [
        line[: len("[0,] ")] + line[line.index(str(row)) + len(str(row)) + 1 :]
        for row, line in zip(result.medoids, ours[2 : at - 1], strict=True)
    ]
    assert rows == theirs[2 : at - 1]
    assert ours[at - 1] == theirs[at - 1]
    until = next(i for i, line in enumerate(ours) if line.startswith("Cluster sizes"))
    labels = [int(label) for line in ours[at + 1 : until] for label in line.split("]")[1].split()]
    assert labels == fixture["labels"]
    assert [label + 1 for label in labels[:18]] == [int(label) for label in re.findall(r"\b\d\b", theirs[at])[1:]]
    assert ours[until:] == theirs[at + 1 :]


def test_what_is_printed_of_many_clusters_features_and_points():
    X = np.random.default_rng(0).normal(size=(3000, 12))
    lines = repr(kmedoids(X, 25, method="clara", random_state=0)).splitlines()
    assert lines[1].split()[-1] == "..."  # ten of twelve features
    assert lines[22] == "..."  # twenty of 25 medoids
    assert "... and 2900 more" in lines
    assert max(map(len, lines)) < 150
    tiny = repr(kmedoids([[1e-9], [2e-9], [1e9], [3e9]], 2, init=[0, 2]))
    assert [line.split()[-1] for line in tiny.splitlines()[2:4]] == ["1e-09", "3e+09"]


@pytest.mark.parametrize("metric", ["manhattan", "sqeuclidean", "precomputed"])
def test_information_about_clusters(metric):
    X = blobs(300, 2)
    weights = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    data = cdist(X, X, "cityblock") if metric == "precomputed" else X
    plain = kmedoids(data, 5, metric=metric, init=range(5), sample_weight=weights)
    result = kmedoids(data, 5, metric=metric, init=range(5), sample_weight=weights, info=True)
    assert plain.info is None
    distances = cdist(X, X, "sqeuclidean" if metric == "sqeuclidean" else "cityblock")
    means = np.stack(
        [np.average(distances[:, result.labels == j], axis=1, weights=weights[result.labels == j]) for j in range(5)],
        axis=1,
    )
    means[np.arange(len(X)), result.labels] = np.inf
    np.testing.assert_array_equal(result.info.neighbor, means.argmin(axis=1))
    np.testing.assert_allclose(
        result.info.silhouette, silhouette_samples(data, result.labels, metric=metric, sample_weight=weights), atol=1e-9
    )
    np.testing.assert_allclose(result.info.average_dissimilarity * result.cluster_weights, result.cluster_loss)
    assert result.info.average_silhouette == pytest.approx(np.average(result.info.silhouette, weights=weights))
    one = kmedoids(X, 1, info=True).info
    assert np.isnan(one.average_silhouette)
    assert one.separation[0] == np.inf


@pytest.mark.parametrize("method", SWAPPING)
@pytest.mark.parametrize("metric", ["manhattan", "euclidean", "sqeuclidean", "chebyshev", "canberra"])
@pytest.mark.parametrize("weighted", [False, True])
def test_no_swap_improves_and_points_equal_their_matrix(method, metric, weighted):
    X = blobs(120, 3)
    rng = np.random.default_rng(1)
    weights = rng.integers(1, 5, len(X)).astype(float) if weighted else None
    distances = cdist(X, X, metric)
    start = rng.permutation(len(X))[:5]
    result = kmedoids(X, 5, metric=metric, method=method, init=start, sample_weight=weights)
    same = kmedoids(distances, 5, metric="precomputed", method=method, init=start, sample_weight=weights)
    np.testing.assert_array_equal(result.medoids, same.medoids)
    np.testing.assert_array_equal(result.labels, same.labels)
    assert result.loss == same.loss
    assert result.loss == pytest.approx(loss_of(distances, result.medoids, weights), rel=1e-12)
    assert best_swap(distances, list(result.medoids), weights) >= result.loss * (1 - 1e-9)
    assert result.converged


@pytest.mark.parametrize("method", ["fasterpam", "fastpam1"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 2, 7])
def test_swaps_are_those_of_one_candidate_at_a_time(method, weighted, k):
    X = blobs(90, 3, seed=k)
    rng = np.random.default_rng(2)
    weights = rng.uniform(0.2, 3, len(X)) if weighted else None
    distances, start = cdist(X, X, "cityblock"), rng.permutation(len(X))[:k]
    expected = swaps(distances, start.tolist(), weights, eager=method == "fasterpam")
    assert k == 1 or len(expected) > 1
    for data, metric in ((X, "manhattan"), (distances, "precomputed")):
        result = kmedoids(data, k, metric=metric, method=method, init=start, sample_weight=weights, history=True)
        assert [step.swapped for step in result.history[1:]] == expected


@pytest.mark.parametrize("method", ["fasterpam", "fastpam1", "pam"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["uint16", "f4", "f8"])
def test_matrices_of_several_blocks(method, weighted, dtype):
    X = np.random.default_rng(3).integers(0, 5000, (1500, 3)).astype(float)
    weights = np.random.default_rng(4).uniform(0.5, 2, len(X)) if weighted else None
    options = {"method": method, "init": range(6), "sample_weight": weights}
    expected = kmedoids(X, 6, **options)
    matrix = cdist(X, X, "cityblock").astype(dtype)
    for n_threads in (1, 2, 3):
        result = kmedoids(matrix, 6, metric="precomputed", n_threads=n_threads, **options)
        np.testing.assert_array_equal(result.medoids, expected.medoids)
        assert result.loss == expected.loss
        assert result.n_swap == expected.n_swap


@pytest.mark.parametrize(
    ("dtype", "power"),
    [
        *((dtype, power) for dtype in ("f4", "f8") for power in (-60, 0, 60, 110)),
        ("f8", -900),
        ("f8", -120),
        ("f8", 900),
    ],
)
def test_matrices_of_every_magnitude(dtype, power):
    X = blobs(200, 2)
    matrix = cdist(X, X, "cityblock").astype(dtype)
    expected = kmedoids(matrix, 5, metric="precomputed", init=range(5))
    result = kmedoids(np.ldexp(matrix, power), 5, metric="precomputed", init=range(5))
    np.testing.assert_array_equal(result.medoids, expected.medoids)
    assert result.loss == np.ldexp(expected.loss, power)


@pytest.mark.parametrize("method", ["fasterpam", "fastpam1"])
def test_loss_is_that_of_the_kmedoids_package(method):
    ours, theirs = [], np.array(PACKAGE_FIXTURES["losses"][method])
    for seed in range(len(theirs)):
        X, start = seeded_medoid_problem(seed)
        ours.append(kmedoids(X, 6, method=method, init=start).loss)
    assert len(theirs) == 20
    assert np.max(ours / theirs) <= 1.01
    assert np.mean(ours) <= np.mean(theirs) * (1 + 1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 40).flatmap(
        lambda n: st.tuples(
            st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=n, max_size=n, unique=True),
            st.integers(1, min(n, 6)),
            st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any),
        )
    ),
    st.sampled_from(["fasterpam", "fastpam1", "alternate"]),
)
def test_weights_are_repeated_rows(problem, method):
    points, k, weights = problem
    X = np.array(points, dtype=float)
    repeated = np.repeat(X, weights, axis=0)
    first = np.cumsum(weights) - weights
    start = np.flatnonzero(weights)[:k]
    k = len(start)
    weighted = kmedoids(X, k, method=method, init=start, sample_weight=weights)
    plain = kmedoids(repeated, k, method=method, init=first[start])
    assert weighted.loss == pytest.approx(plain.loss, rel=1e-12)
    np.testing.assert_array_equal(weighted.centers, plain.centers)
    np.testing.assert_array_equal(np.repeat(weighted.labels, weights), plain.labels)
    np.testing.assert_array_equal(weighted.cluster_weights, plain.sizes)


@pytest.mark.parametrize("precomputed", [False, True])
def test_weights_are_repeated_rows_from_build(precomputed):
    X = blobs(150, 3)
    weights = np.random.default_rng(0).integers(1, 4, len(X))
    rows = np.repeat(np.arange(len(X)), weights)
    data, metric = (cdist(X, X, "cityblock"), "precomputed") if precomputed else (X, "manhattan")
    weighted = kmedoids(data, 6, metric=metric, method="pam", sample_weight=weights)
    repeated = kmedoids(data[np.ix_(rows, rows)] if precomputed else X[rows], 6, metric=metric, method="pam")
    np.testing.assert_array_equal(weighted.medoids, rows[repeated.medoids])
    assert weighted.loss == pytest.approx(repeated.loss, rel=1e-12)
    assert weighted.start_loss == pytest.approx(repeated.start_loss, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("precomputed", [False, True])
def test_clara_watched_or_not_is_the_same(weighted, precomputed):
    X = blobs(3000, 2)
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X)) if weighted else None
    data = cdist(X, X, "cityblock") if precomputed else X
    arguments = {"method": "clara", "sample_size": 80, "random_state": 0, "sample_weight": weights}
    arguments |= {"metric": "precomputed"} if precomputed else {}
    plain = kmedoids(data, 7, **arguments)
    watched = kmedoids(data, 7, history=True, **arguments)
    # Evaluated for all points without labels, with labels, and step by step.
    for name in ("medoids", "labels", "sample", "cluster_loss", "sizes", "cluster_weights"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(watched, name))
    assert plain.loss == watched.loss == kmedoids(data, 7, **{**arguments, "n_threads": 1}).loss
    assert watched.history[-1].loss == plain.loss == pytest.approx(plain.cluster_loss.sum())
    assert watched.history[0].loss == plain.start_loss
    np.testing.assert_array_equal(plain.labels, cdist(X, X[plain.medoids], "cityblock").argmin(axis=1))
    assert len(plain.sample) <= 80
    assert np.isin(plain.medoids, plain.sample).all()


@pytest.mark.parametrize("sample_size", [None, 60])
@pytest.mark.parametrize("precomputed", [False, True])
def test_points_without_weight_become_no_medoids(sample_size, precomputed):
    # Crosses whose middles would be the best medoids, had they a weight.
    cross = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    X = (np.random.default_rng(0).uniform(-100, 100, (80, 1, 2)) + cross).reshape(-1, 2)
    weights = np.tile([0, 1, 1, 1, 1], 80)
    X = cdist(X, X, "cityblock") if precomputed else X
    arguments = {"metric": "precomputed" if precomputed else "manhattan", "sample_weight": weights}
    for method in ("fasterpam", "fastpam1", "pam", "alternate", "clara", "clarans", "onebatch"):
        if method == "onebatch" and precomputed:
            continue
        arguments |= {"method": method, "sample_size": sample_size, "n_samples": 3}
        for init in ("auto", "lab", "random", "first", "build"):
            for seed in range(5 if method == "clara" else 1):
                assert weights[kmedoids(X, 40, init=init, random_state=seed, **arguments).medoids].all()
    # Given by name one may be a medoid, and stays if nothing is better.
    middle = kmedoids([[0.0], [1.0], [9.0]], 2, init=[0, 2], sample_weight=[0, 1, 1], max_iter=0)
    assert middle.medoids.tolist() == [0, 2]
    assert kmedoids([[0.0], [1.0], [9.0]], 2, init=[0, 2], sample_weight=[0, 1, 1]).medoids.tolist() == [1, 2]


@pytest.mark.parametrize("method", ["fasterpam", "fastpam1", "pam", "alternate", "clarans"])
def test_no_swap_for_what_rounding_leaves(method):
    # Distances of 1e6 cancel in the change of the loss, which is of the size of 1; swaps went to and fro for ever.
    X = np.array([[-1.0906594, 1.0493201], [-2197639.25, 308653.375], [127183.82, -71156.117], [9.7e-06, -1.2e-05]])
    X = X.astype(np.float32)
    result = kmedoids(X, 3, method=method, init=[3, 0, 1], random_state=0, history=True)
    assert result.converged
    losses = [step.loss for step in result.history]
    assert all(after < before for before, after in itertools.pairwise(losses))
    D = cdist(X, X, "cityblock")
    assert result.loss == min(D[:, list(c)].min(axis=1).sum() for c in itertools.combinations(range(4), 3))


def test_samples_of_clara_are_drawn_by_weight():
    X = np.random.default_rng(1).uniform(size=(2000, 2))
    weights = np.where(np.arange(2000) % 10 == 0, 20.0, 1.0)  # a tenth of the points, and 20 / 29 of the weight
    chosen = []
    for seed in range(60):
        # Of a sample of five, five medoids: what was drawn.
        result = kmedoids(X, 5, method="clara", sample_size=5, n_samples=1, sample_weight=weights, random_state=seed)
        chosen.extend(weights[result.medoids] > 1)
    share = np.mean(chosen)
    error = np.sqrt(20 / 29 * 9 / 29 / len(chosen))
    assert abs(share - 20 / 29) < 3 * error


@pytest.mark.parametrize("method", ["clara", "onebatch"])
@pytest.mark.parametrize("n", [500, 4000])
def test_samples_stand_for_very_uneven_weights(method, n):
    X = blobs(n, 3)
    weights = np.random.default_rng(2).pareto(1.0, n) + 0.01
    best = kmedoids(X, 10, sample_weight=weights, n_init=5, random_state=0).loss
    arguments = {"method": method, "sample_weight": weights, "n_threads": 1}
    losses = [kmedoids(X, 10, random_state=seed, **arguments).loss for seed in range(5)]
    assert np.mean(losses) <= 1.03 * best


@pytest.mark.parametrize("method", ["fasterpam", "pam", "alternate", "clara", "clarans", "onebatch"])
@pytest.mark.parametrize("init", ["build", "random", "k-medoids++", "lab", "sample", "first"])
def test_every_method_from_every_start(method, init):
    X = blobs(400, 2)
    distances = cdist(X, X, "cityblock")
    result = kmedoids(X, 6, method=method, init=init, random_state=3, sample_size=100)
    assert len(set(result.medoids.tolist())) == 6
    assert result.loss == pytest.approx(loss_of(distances, result.medoids))
    np.testing.assert_array_equal(result.labels, distances[:, result.medoids].argmin(axis=1))
    again = kmedoids(X, 6, method=method, init=init, random_state=3, sample_size=100, n_threads=1)
    np.testing.assert_array_equal(result.medoids, again.medoids)
    best = kmedoids(X, 6, method="pam").loss
    assert result.loss <= best * (3.0 if method == "alternate" else 1.3)


@pytest.mark.parametrize("seed", [1, 9, 14, 23])
def test_threads_do_not_matter_where_one_group_is_very_far(seed):
    # What medoids save there is so large beside the loss that its rounding is.
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(300, 257))
    X[::3] += 1e15 * draw.uniform(1, 9)
    results = [kmedoids(X, 3, metric="euclidean", random_state=0, n_threads=n) for n in (1, 2, 3)]
    assert len({(result.loss, *result.medoids.tolist()) for result in results}) == 1


@pytest.mark.parametrize("method", ["fasterpam", "pam", "alternate", "clara", "clarans"])
def test_threads_do_not_matter(method):
    X = blobs(5000, 3).astype(np.float32)
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X))
    results = [
        kmedoids(X, 5, method=method, init=range(5), sample_weight=weights, random_state=0, n_threads=n)
        for n in (1, 2, 5)
    ]
    for result in results[1:]:
        np.testing.assert_array_equal(result.medoids, results[0].medoids)
        assert result.loss == results[0].loss
        assert result.n_swap == results[0].n_swap


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "f2", "f4", "f8", ">f4", ">i4"]
)
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_matrices_of_every_type_and_layout(dtype, layout):
    rng = np.random.default_rng(0)
    points = rng.integers(0, 30, (90, 2))
    expected = cdist(points, points, "cityblock")
    wanted = kmedoids(expected, 4, metric="precomputed", init=[0, 1, 2, 3])
    matrix = np.asarray(expected, dtype=dtype, order="F" if layout == "F" else "C")
    if layout == "strided":
        wide = np.zeros((180, 270), dtype=dtype)
        wide[::2, ::3] = matrix
        matrix = wide[::2, ::3]
    matrix.flags.writeable = False
    result = kmedoids(matrix, 4, metric="precomputed", init=[0, 1, 2, 3])
    np.testing.assert_array_equal(result.medoids, wanted.medoids)
    assert result.loss == wanted.loss
    assert result.centers is None


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_points_far_from_the_origin(dtype):
    X = (np.random.default_rng(0).integers(0, 100, (500, 3)) + (0 if dtype == "uint8" else 60000)).astype(dtype)
    X = np.unique(X, axis=0)
    distances = cdist(X, X, "cityblock")
    result = kmedoids(X, 7, init=range(7))
    same = kmedoids(distances, 7, metric="precomputed", init=range(7))
    np.testing.assert_array_equal(result.medoids, same.medoids)
    assert result.loss == same.loss


def test_many_features_and_one():
    for p in (1, 2, 4, 5, 70):
        X = blobs(150, p)
        distances = cdist(X, X, "euclidean")
        result = kmedoids(X, 4, metric="euclidean", init=range(4))
        same = kmedoids(distances, 4, metric="precomputed", init=range(4))
        np.testing.assert_array_equal(result.medoids, same.medoids)


def test_one_cluster_and_all_clusters():
    X = blobs(50, 2)
    distances = cdist(X, X, "cityblock")
    for method in SWAPPING:
        assert kmedoids(X, 1, method=method).medoids.tolist() == [distances.sum(axis=1).argmin()]
    everything = kmedoids(X, 50, method="fasterpam", random_state=0)
    assert everything.loss == 0
    assert sorted(everything.medoids) == list(range(50))


def test_history_and_callback():
    X = blobs(300, 2)
    steps = []
    result = kmedoids(X, 5, init="first", history=True, callback=steps.append)
    assert len(steps) == len(result.history) == result.n_swap + 1
    losses = [step.loss for step in result.history]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == result.loss
    np.testing.assert_array_equal(result.history[-1].labels, result.labels)
    stopped = kmedoids(X, 5, init="first", callback=lambda step: step.iteration == 2)
    assert stopped.n_swap == 2
    assert not stopped.converged
    np.testing.assert_array_equal(stopped.medoids, result.history[2].medoids)


MEMORY = (
    MEASURED
    + """
import numpy as np
from fastcluster_ext import kmedoids
points = np.random.default_rng(0).random((6000, 3))
matrix = np.abs(points[:, :1] - points[:, 0]).astype("f4")
bytes_each = []
for X, metric in ((matrix, "precomputed"), (points, "manhattan")):
    kmedoids(X[:50, :50], 3, metric=metric)
    bytes_each.append(extra_memory(lambda: kmedoids(X, 8, metric=metric, init=np.arange(8))) / len(X))
print(json.dumps(bytes_each))
"""
)


@needs_memory_peaks
def test_memory_is_linear():
    """A matrix is not copied (24 000 bytes a point), nor made from points."""
    assert max(json.loads(run_python(MEMORY).stdout)) < 1000


INTERRUPTED = (
    INTERRUPTIBLE
    + """
import numpy as np
from fastcluster_ext import cluster_spread, kmedoids, silhouette_samples
draw = np.random.default_rng(0)
X = draw.normal(size=(100_000, 3)).astype("f4")
matrix = draw.random((5000, 5000), "f4")
matrix += matrix.T
labels = np.arange(len(X)) % 7
calls = {
    method: lambda method=method: [kmedoids(X, 30, method=method, metric="canberra") for _ in range(100)]
    for method in ("fasterpam", "fastpam1", "pam", "alternate", "clara", "clarans", "onebatch")
}
calls |= {
    "points": lambda: [kmedoids(X, 30, method="fastpam1", init="first") for _ in range(100)],
    "build": lambda: kmedoids(X, 30, init="build", metric="euclidean"),
    "lab": lambda: [kmedoids(X, 30, init="lab", max_iter=0) for _ in range(100)],
    "matrix": lambda: [kmedoids(matrix, 30, metric="precomputed") for _ in range(100)],
    "silhouette": lambda: [silhouette_samples(X, labels) for _ in range(100)],
    "spread": lambda: [cluster_spread(X, labels, metric="canberra") for _ in range(100)],
}
late = {}
for name, call in calls.items():
    tries = []
    while len(tries) < 5 and (not tries or min(tries) > 0.05):
        late_by = lateness(call, 0.15)
        tries.append(99 if late_by is None else late_by)
    late[name] = tries
print(json.dumps(late))
"""
)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer signal")
def test_signals_are_heard_within_100_milliseconds():
    for name, tries in json.loads(run_python(INTERRUPTED).stdout).items():
        assert min(tries) < 0.1, (name, tries)  # the least: other processes may hold this one up


def test_restarts_keep_the_best():
    X = blobs(300, 2)
    one = kmedoids(X, 6, method="alternate", init="random", random_state=0)
    several = kmedoids(X, 6, method="alternate", init="random", n_init=8, random_state=0)
    assert several.loss < one.loss
    with pytest.warns(RuntimeWarning, match="n_init"):
        kmedoids(X, 2, init=[0, 1], n_init=3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ValueError, "k must be"),
        ({"k": 21}, ValueError, "k must be at most the number of points"),
        ({"k": 2.5}, TypeError, "k must be an integer"),
        ({"method": "pem"}, ValueError, "method must be one of"),
        ({"metric": "no"}, ValueError, "metric"),
        ({"init": "no"}, ValueError, "init must be one of"),
        ({"init": [0, 0, 1]}, ValueError, "more than once"),
        ({"init": [0, 1]}, ValueError, "shape"),
        ({"init": [0, 1, 20]}, ValueError, "rows of X"),
        ({"init": [0.5, 1, 2]}, TypeError, "integers"),
        ({"sample_weight": -np.ones(20)}, ValueError, "sample_weight"),
        ({"max_iter": -1}, ValueError, "max_iter"),
        ({"callback": 3}, TypeError, "callback"),
    ],
)
def test_bad_arguments(change, error, message):
    arguments = {"X": blobs(20, 2), "k": 3} | change
    with pytest.raises(error, match=message):
        kmedoids(arguments.pop("X"), arguments.pop("k"), **arguments)


def test_bad_matrices():
    good = cdist(blobs(100, 2), blobs(100, 2), "cityblock")
    for change, message in [
        (lambda d: d[:50], "square"),
        (lambda d: d[0], "squareform"),
        (lambda d: np.where(np.arange(100) == 71, d + 1, d), "not symmetric"),
        (lambda d: -d, "finite and >= 0"),
        (lambda d: np.where(d == d.max(), np.nan, d), "nan"),
        (lambda d: np.where(d == d.max(), np.inf, d), "inf"),
    ]:
        for dtype in (np.float32, np.float64):
            with pytest.raises(ValueError, match=message):
                kmedoids(change(good).astype(dtype), 3, metric="precomputed")
    with pytest.raises(TypeError, match="real numbers"):
        kmedoids(good.astype(complex), 3, metric="precomputed")
    with pytest.raises(ValueError, match="distinct"):
        kmedoids(np.ones((30, 2)), 2)
    with pytest.raises(FloatingPointError, match="undefined"):
        kmedoids(np.vstack([np.zeros(2), blobs(20, 2)]), 2, metric="cosine", init=[1, 2])
