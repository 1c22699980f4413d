"""Pictures: which artists are drawn, where, in which colors, and what is written beside them."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest
from processes import run_python

import fastcluster_ext
from fastcluster_ext import ColorHistogram, kmeans, kmedoids, nearest, quantize, silhouette_samples

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.colors import to_hex, to_rgba  # noqa: E402

from fastcluster_ext import _plots  # noqa: E402
from fastcluster_ext._plots import choose_k, clusters, color_scatter, palette, silhouette, steps, voronoi  # noqa: E402

pd = pytest.importorskip("pandas")

MODULES = [module.name for module in pkgutil.iter_modules(_plots.__path__)]
FIVE = np.array([[1, 1], [2, 1], [4, 5], [7, 7], [5, 7]], dtype=float)


@pytest.fixture(autouse=True)
def no_open_figures():
    pyplot.close("all")
    yield
    for number in pyplot.get_fignums():  # it can be drawn, without warnings
        pyplot.figure(number).canvas.draw()
    pyplot.close("all")


def offsets(collection):
    return np.asarray(collection.get_offsets())


def colors_of(collection):
    return np.asarray(collection.get_facecolor())


@pytest.mark.parametrize("name", MODULES)
def test_documentation_examples(name):
    assert doctest.testmod(importlib.import_module(f"fastcluster_ext._plots.{name}")).failed == 0


# --- silhouette ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_silhouette_bars_are_the_samples(iris, weighted):
    labels = kmeans(iris, 3, random_state=0).labels
    weights = np.arange(1.0, 151.0) if weighted else np.ones(150)
    ax = silhouette.silhouette(iris, labels, sample_weight=weights if weighted else None)
    values = silhouette_samples(iris, labels, sample_weight=weights)
    assert len(ax.collections) == 3
    for j, bars in enumerate(ax.collections):
        outline = bars.get_paths()[0].vertices
        own = values[labels == j]
        assert outline[:, 0].max() == pytest.approx(max(own.max(), 0))
        assert np.ptp(outline[:, 1]) == pytest.approx(weights[labels == j].sum())
        assert {round(v, 9) for v in own} <= {round(x, 9) for x in outline[:, 0]}
    mean = np.average(values, weights=weights)
    assert ax.lines[0].get_xdata()[0] == pytest.approx(mean)
    assert ax.get_title() == f"mean silhouette {mean:.2f}"
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0", "1", "2"]


def test_silhouette_takes_other_metrics_and_names():
    ax = silhouette.silhouette(FIVE, ["b", "b", "a", "a", "a"], metric="cityblock")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]


# --- points in a plane -----------------------------------------------------------------------------------------------


def test_clusters_of_two_features():
    result = kmeans(FIVE, 2, init=FIVE[[0, 3]])
    ax = clusters.clusters(pd.DataFrame(FIVE, columns=["x", "y"]), result)
    first, second, centers = ax.collections
    np.testing.assert_array_equal(offsets(first), FIVE[:2])
    np.testing.assert_array_equal(offsets(second), FIVE[2:])
    np.testing.assert_array_equal(offsets(centers), result.centers)
    assert not np.array_equal(colors_of(first), colors_of(second))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0", "1"]


@pytest.mark.parametrize("wide", [False, True])
def test_clusters_of_many_features_are_projected_on_principal_components(iris, wide):
    decomposition = pytest.importorskip("sklearn.decomposition")
    points = np.concatenate([iris[::10], iris[::10] ** 2, np.sin(iris[::10]) + 50, iris[1::10]], axis=1)
    points = points if wide else iris
    expected = decomposition.PCA(2, svd_solver="full").fit(points)
    ax = clusters.clusters(points, np.zeros(len(points), int))
    found = offsets(ax.collections[0])
    for axis in range(2):
        theirs = expected.transform(points)[:, axis]
        sign = np.sign(found[0, axis] * theirs[0])
        np.testing.assert_allclose(found[:, axis], sign * theirs, atol=1e-8)
        share = expected.explained_variance_ratio_[axis]
        assert f"component {axis + 1} ({share:.1%})" == (ax.get_xlabel(), ax.get_ylabel())[axis]


def test_clusters_beside_classes_in_their_colors(iris):
    species = np.repeat(["setosa", "versicolor", "virginica"], 50)
    labels = np.repeat([2, 0, 1], 50)
    left, right = clusters.clusters(iris, labels, classes=species)
    assert (left.get_title(), right.get_title()) == ("clusters", "classes")
    of_clusters = {artist.get_label(): to_hex(colors_of(artist)[0]) for artist in left.collections}
    of_classes = {artist.get_label(): to_hex(colors_of(artist)[0]) for artist in right.collections}
    assert of_classes["setosa"] == of_clusters["2"]
    assert of_classes["versicolor"] == of_clusters["0"]
    assert of_classes["virginica"] == of_clusters["1"]
    more_classes = clusters.clusters(iris, np.repeat([0, 1], 75), classes=species)[1]
    assert len({to_hex(colors_of(artist)[0]) for artist in more_classes.collections}) == 3


def test_clusters_of_medoids_of_one_feature_and_of_many_points():
    points = np.arange(300.0)[:, np.newaxis]
    ax = clusters.clusters(points, kmedoids(points, 12, random_state=0), max_points=100)
    *drawn, centers = ax.collections
    assert sum(len(offsets(artist)) for artist in drawn) == 100
    assert len(offsets(centers)) == 12
    assert not offsets(drawn[0])[:, 1].any()
    assert ax.get_legend() is None
    one_point = clusters.clusters([[1.0, 2.0, 3.0]], [0], ax=pyplot.figure().add_subplot())
    np.testing.assert_array_equal(offsets(one_point.collections[0]), [[0.0, 0.0]])


def test_voronoi_cells_are_what_is_nearest(iris):
    points = iris[:, 2:]
    result = kmeans(points, 5, random_state=0)
    ax = voronoi.voronoi(result, points)
    assert len(ax.patches) == 5
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    anywhere = low + np.random.default_rng(0).random((500, 2)) * (high - low)
    owners, _ = nearest(anywhere, result.centers)
    for j, patch in enumerate(ax.patches):
        inside = patch.get_path().contains_points(anywhere)
        np.testing.assert_array_equal(inside, owners == j)
    drawn, centers = ax.collections
    np.testing.assert_array_equal(offsets(drawn), points)
    np.testing.assert_array_equal(colors_of(drawn)[:, :3], [ax.patches[j].get_facecolor()[:3] for j in result.labels])
    np.testing.assert_array_equal(offsets(centers), result.centers)


def test_voronoi_of_one_center_and_of_equal_ones():
    assert len(voronoi.voronoi([[1.0, 2.0]]).patches) == 1
    low, high = np.zeros(2), np.full(2, 4.0)
    first, second, third = voronoi.cells(np.array([[1.0, 1.0], [1.0, 1.0], [3.0, 1.0]]), low, high)
    assert sorted(map(tuple, first)) == [(0, 0), (0, 4), (2, 0), (2, 4)]
    assert len(second) == 0
    assert sorted(map(tuple, third)) == [(2, 0), (2, 4), (4, 0), (4, 4)]


def test_steps_show_the_history():
    result = kmeans(FIVE, 2, init=FIVE[:2], history=True)
    panels = steps.steps(FIVE, result)
    assert len(panels) == len(result.history) == 3
    for panel, step in zip(panels, result.history, strict=True):
        drawn, arrows, centers = panel.collections
        np.testing.assert_array_equal(offsets(drawn), FIVE)
        np.testing.assert_array_equal(offsets(centers), step.centers)
        np.testing.assert_array_equal(colors_of(drawn), colors_of(centers)[step.labels])
        np.testing.assert_array_equal(np.stack([arrows.X, arrows.Y], axis=1), step.centers)
        assert panel.get_title() == f"{step.iteration}: inertia {step.inertia:.3g}"
    moves = panels[0].collections[1]
    np.testing.assert_allclose(
        np.stack([moves.U, moves.V], axis=1), result.history[1].centers - result.history[0].centers
    )
    assert not panels[-1].collections[1].U.any()
    assert panels[0].get_xlim() == panels[-1].get_xlim()


def test_steps_of_a_long_run_end_with_the_last(iris):
    result = kmeans(iris, 8, init=iris[:8], history=True, tol=0)
    assert len(result.history) > 4
    panels = steps.steps(iris, result, max_steps=3, columns=2)
    assert [int(panel.get_title().split(":")[0]) for panel in panels] == [1, 2, len(result.history)]
    assert len(panels[0].figure.axes) == 3


# --- how many clusters -----------------------------------------------------------------------------------------------


def test_choose_k_shows_every_index(iris):
    numbers = fastcluster_ext.choose_k(iris, range(1, 6), random_state=0)
    grid = pyplot.subplots(2, 3)[1]
    panels = choose_k.choose_k(numbers, ax=grid)
    assert panels == tuple(grid.flat[:5])
    names = ["inertia", "silhouette", "calinski_harabasz", "davies_bouldin", "gap"]
    for panel, name in zip(panels, names, strict=True):
        line, mark = panel.lines[0], panel.lines[-1]
        np.testing.assert_array_equal(line.get_xdata(), numbers.ks)
        np.testing.assert_array_equal(line.get_ydata(), getattr(numbers, name))
        suggested = numbers.suggested["elbow" if name == "inertia" else name]
        assert mark.get_xdata()[0] == suggested
        assert panel.get_title().endswith(f": {suggested}")
    assert len(panels[4].collections) == 1  # the bars of the error
    one = choose_k.choose_k(fastcluster_ext.choose_k(iris, [1], random_state=0))
    assert one[1].get_title() == "silhouette (highest)"


# --- colors ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(photo):
    return photo[::50, ::50]


def test_palette_is_as_wide_as_its_shares(small):
    image = quantize(small, 12, random_state=0)
    ax = palette.palette(image)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], image.percent)
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches] == image.hex
    assert ax.patches[-1].get_x() + ax.patches[-1].get_width() == pytest.approx(100)
    shown = [(code, width) for code, width in zip(image.hex, image.percent, strict=True) if width >= 2]
    assert [text.get_text().split() for text in ax.texts] == [[code, f"{width:.1f}", "%"] for code, width in shown]
    for text, (code, _) in zip(ax.texts, shown, strict=True):
        assert np.abs(np.subtract(to_rgba(text.get_color()), to_rgba(code))).max() > 0.3


@pytest.mark.parametrize("kind", ["cloud", "planes"])
@pytest.mark.parametrize("as_histogram", [False, True])
def test_color_scatter_draws_every_color_once_in_itself(small, kind, as_histogram):
    image = quantize(small, 4, random_state=0)
    histogram = ColorHistogram.from_image(small)
    drawn = color_scatter.color_scatter(histogram if as_histogram else small, palette=image, kind=kind)
    panels = (drawn,) if kind == "cloud" else drawn
    views = [(0, 1, 2)] if kind == "cloud" else [(0, 1), (0, 2), (1, 2)]
    for panel, view in zip(panels, views, strict=True):
        colors, centers = panel.collections
        places = np.stack(colors._offsets3d, axis=1) if kind == "cloud" else offsets(colors)
        np.testing.assert_array_equal(places, histogram.colors[:, view])
        assert len(centers._offsets3d[0] if kind == "cloud" else offsets(centers)) == 4
        if kind == "planes":
            np.testing.assert_allclose(colors_of(colors)[:, :3], histogram.colors / 255)
        assert panel.get_xlabel() == ("red", "green", "blue")[view[0]]
        assert panel.get_ylabel() == ("red", "green", "blue")[view[1]]


def test_color_scatter_of_sixteen_bits_and_few_points(small):
    ax = color_scatter.color_scatter(small.astype(np.uint16) * 257, kind="planes", max_points=100)[0]
    assert len(offsets(ax.collections[0])) == 100
    assert ax.get_xlim()[1] > 65535


# --- axes and bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: clusters.clusters(FIVE, [0, 1]), ValueError, r"labels must have shape \(5,\)"),
        (lambda: clusters.clusters(FIVE, [0] * 5, classes=[1]), ValueError, "classes must have shape"),
        (lambda: clusters.clusters(FIVE, [0] * 5, max_points=0), ValueError, "max_points"),
        (lambda: clusters.clusters(FIVE, [0] * 5, classes=[0] * 5, ax=pyplot.gca()), ValueError, "ax must hold 2"),
        (lambda: voronoi.voronoi(np.eye(3)), ValueError, "centers must have two columns"),
        (lambda: voronoi.voronoi(FIVE, np.eye(3)), ValueError, "X must have two columns"),
        (lambda: steps.steps(FIVE, kmeans(FIVE, 2)), ValueError, "history=True"),
        (lambda: steps.steps(FIVE, None), TypeError, "result must be what kmeans returned"),
        (lambda: steps.steps(FIVE[:2], kmeans(FIVE, 2, history=True)), ValueError, "X must be the 5 points"),
        (lambda: choose_k.choose_k(3), TypeError, "numbers must be"),
        (lambda: palette.palette(["#000000"]), TypeError, "image must be"),
        (lambda: color_scatter.color_scatter(np.zeros((4, 9), np.uint8)), ValueError, "red, green and blue"),
        (lambda: color_scatter.color_scatter(np.zeros((4, 3), np.uint8), kind="cube"), ValueError, "kind must be"),
        (lambda: color_scatter.color_scatter(np.zeros((4, 3), np.uint8), ax=pyplot.gca()), ValueError, "three-dim"),
        (lambda: color_scatter.color_scatter(np.zeros((4, 3), np.uint8), palette=[1]), TypeError, "palette must be"),
        (lambda: silhouette.silhouette(FIVE, [0] * 5), ValueError, "cluster"),
    ],
)
def test_bad_input(draw, error, message):
    with pytest.raises(error, match=message):
        draw()


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: silhouette.silhouette(FIVE, [0, 0, 1, 1, 1], ax=ax),
        lambda ax: clusters.clusters(FIVE, [0, 0, 1, 1, 1], ax=ax),
        lambda ax: voronoi.voronoi(FIVE[:2], FIVE, ax=ax),
        lambda ax: steps.steps(FIVE, kmeans(FIVE, 2, history=True), max_steps=1, ax=ax)[0],
        lambda ax: palette.palette(quantize(np.eye(3, dtype=np.uint8), 2, random_state=0), ax=ax),
    ],
)
def test_draws_where_it_is_told(draw):
    there, elsewhere = pyplot.figure().subplots(1, 2)
    assert draw(there) is there
    assert there.has_data()
    assert not elsewhere.has_data()


def test_draws_in_space_where_it_is_told():
    there = pyplot.figure().add_subplot(projection="3d")
    assert color_scatter.color_scatter(np.eye(3, dtype=np.uint8), ax=there) is there


def test_without_matplotlib_the_extra_is_named():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from fastcluster_ext._plots.voronoi import voronoi\n"
        "try: voronoi([[0.0, 0.0]])\n"
        "except ImportError as error: print(error)"
    )
    assert run_python(code).stdout.strip() == "plots need matplotlib: pip install 'fastcluster_ext[plot]'"
