"""Pictures: which artists are drawn, where, in which colors, and what is written beside them."""

import doctest
import importlib
import pkgutil

import numpy as np
import pandas as pd
import pytest
import scipy.cluster.hierarchy as scipy_hierarchy
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import proj3d
from processes import run_python
from sklearn.decomposition import PCA

import fastcluster_ext
from fastcluster_ext import (
    ColorHistogram,
    _plots,
    cdist,
    cut_tree,
    image_linkage,
    kmeans,
    kmedoids,
    leaves_list,
    linkage,
    nearest,
    quantize,
    silhouette_samples,
)
from fastcluster_ext._plots import (
    choose_k,
    clusters,
    color_scatter,
    dendrogram,
    palette,
    silhouette,
    steps,
    voronoi,
)

MODULES = [module.name for module in pkgutil.iter_modules(_plots.__path__)]
FIVE = np.array([[1, 1], [2, 1], [4, 5], [7, 7], [5, 7]], dtype=float)
PAIR = [[0, 1, 1.0, 2]]
GRAYS = np.array([[0], [255]], dtype=np.uint8)


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
    result = kmedoids(FIVE, 2, init=[0, 3])
    ax = silhouette.silhouette(FIVE, result, metric="cityblock", ax=wide())
    assert ax.get_title() == silhouette.silhouette(FIVE, result.labels, metric="cityblock").get_title()
    pyplot.close("all")
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
    points = np.concatenate([iris[::10], iris[::10] ** 2, np.sin(iris[::10]) + 50, iris[1::10]], axis=1)
    points = points if wide else iris
    expected = PCA(2, svd_solver="full").fit(points)
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


@pytest.mark.parametrize("precomputed", [False, True])
def test_steps_show_the_swaps_of_medoids(precomputed):
    data = {"metric": "precomputed"} if precomputed else {}
    X = cdist(FIVE, FIVE, "cityblock") if precomputed else FIVE
    result = kmedoids(X, 2, init=[0, 1], method="pam", history=True, **data)
    panels = steps.steps(FIVE, result)
    assert [panel.get_title() for panel in panels] == [
        f"{i}: loss {step.loss:.3g}" for i, step in enumerate(result.history)
    ]
    assert len(panels) > 1
    for panel, step in zip(panels, result.history, strict=True):
        drawn, _, medoids = panel.collections
        np.testing.assert_array_equal(offsets(medoids), FIVE[step.medoids])
        np.testing.assert_array_equal(colors_of(drawn), colors_of(medoids)[step.labels])
    moves = panels[0].collections[1]
    went, came = result.history[1].swapped
    moved = result.history[0].medoids.tolist().index(went)
    np.testing.assert_array_equal([moves.U[moved], moves.V[moved]], FIVE[came] - FIVE[went])
    assert not moves.U[1 - moved]


def test_steps_of_a_long_run_end_with_the_last(iris):
    result = kmeans(iris, 8, init=iris[:8], history=True, tol=0)
    assert len(result.history) > 4
    panels = steps.steps(iris, result, max_steps=3, columns=2)
    assert [int(panel.get_title().split(":")[0]) for panel in panels] == [1, 2, len(result.history)]
    assert len(panels[0].figure.axes) == 3


# --- trees -----------------------------------------------------------------------------------------------------------


def lines_of(ax):
    """The corners of a dendrogram's lines, (k - 1, 4, 2)."""
    return np.array([segment for segment in ax.collections[0].get_segments() if len(segment)]).reshape(-1, 4, 2)


def names_of(ax, upright=True):
    return [text.get_text() for text in (ax.get_xticklabels() if upright else ax.get_yticklabels())]


def sorted_rows(corners):
    return np.array(sorted(map(tuple, corners.reshape(len(corners), -1).tolist())))


def wide():
    """Axes with room for the names of all of Iris."""
    return Figure(figsize=(16, 4)).subplots()


@pytest.mark.parametrize("method", ["single", "complete", "average", "ward", "centroid", "median"])
@pytest.mark.parametrize("k", [None, 150, 40, 2])
def test_dendrogram_is_the_drawing_of_scipy(iris, method, k):
    Z = linkage(iris, method)
    ax = dendrogram.dendrogram(Z, k, ax=wide())
    mode = {} if k is None else {"truncate_mode": "lastp", "p": k}
    theirs = scipy_hierarchy.dendrogram(Z, no_plot=True, **mode)
    places = (np.array(theirs["icoord"]) - 5) / 10
    np.testing.assert_array_equal(
        sorted_rows(lines_of(ax)), sorted_rows(np.stack([places, np.array(theirs["dcoord"])], axis=2))
    )
    assert names_of(ax) == theirs["ivl"]
    assert ax.get_ylabel() == "height"
    if k is None:
        assert names_of(ax) == [str(row) for row in leaves_list(Z)]


@pytest.mark.parametrize(
    ("orientation", "side"), [("top", "bottom"), ("bottom", "top"), ("left", "right"), ("right", "left")]
)
def test_dendrogram_turned(orientation, side):
    Z = linkage(FIVE, "centroid")
    ax = dendrogram.dendrogram(Z, labels="abcde", orientation=orientation, ax=wide())
    there = wide()
    scipy_hierarchy.dendrogram(Z, labels=list("abcde"), orientation=orientation, ax=there)
    theirs = np.concatenate([[path.vertices for path in lines.get_paths()] for lines in there.collections])
    upright = orientation in ("top", "bottom")
    theirs[:, :, 0 if upright else 1] = (theirs[:, :, 0 if upright else 1] - 5) / 10
    np.testing.assert_allclose(sorted_rows(lines_of(ax)), sorted_rows(theirs))
    assert names_of(ax, upright) == names_of(there, upright)
    for ours, other in ((ax.get_xlim(), there.get_xlim()), (ax.get_ylim(), there.get_ylim())):
        assert (ours[0] < ours[1]) == (other[0] < other[1])
    assert (ax.xaxis if upright else ax.yaxis).get_ticks_position() == side
    assert (ax.get_ylabel() if upright else ax.get_xlabel()) == "height"


@pytest.mark.parametrize("method", ["average", "centroid"])
@pytest.mark.parametrize("k", [150, 30])
@pytest.mark.parametrize("cut", [{"n_clusters": 3}, {"n_clusters": 14}, {"n_clusters": 60}, {"height": 0.8}, {}])
def test_dendrogram_in_the_colors_of_a_cut(iris, method, k, cut):
    Z = linkage(iris, method)
    ax = dendrogram.dendrogram(Z, k, ax=wide(), **cut)
    found = cut_tree(Z, **cut)[:, 0] if cut else np.arange(150)
    scatter = clusters.clusters(iris, found, ax=wide()).collections
    members = [{i} for i in range(150)]
    for left, right in Z[:, :2].astype(int):
        members.append(members[left] | members[right])

    def color_of(node):
        inside = {found[row] for row in members[node]}
        return to_hex(colors_of(scatter[inside.pop()])[0]) if len(inside) == 1 and cut else to_hex("0.25")

    first = 300 - k
    assert [to_hex(color) for color in ax.collections[0].get_colors()] == [color_of(i) for i in range(first, 299)]
    leaves = [node for node in Z[150 - k :, :2].ravel().astype(int) if node < first]
    position = {row: place for place, row in enumerate(leaves_list(Z))}
    leaves.sort(key=lambda node: min(position[row] for row in members[node]))
    assert [to_hex(text.get_color()) for text in ax.get_xticklabels()] == [color_of(node) for node in leaves]
    assert names_of(ax) == [str(node) if node < 150 else f"({len(members[node])})" for node in leaves]


def test_dendrogram_colors_heights_as_scipy_does(iris):
    Z = linkage(iris, "average")
    ax = dendrogram.dendrogram(Z, height=1.5, ax=wide())
    theirs = scipy_hierarchy.dendrogram(Z, color_threshold=1.5, above_threshold_color="0.25", no_plot=True)
    groups = {}  # lines by color: the same ones, whichever the color
    for corners, color in zip(theirs["icoord"], theirs["color_list"], strict=True):
        groups.setdefault(color, set()).add(((np.array(corners) - 5) / 10).tobytes())
    ours = {}
    for corners, color in zip(lines_of(ax), ax.collections[0].get_colors(), strict=True):
        ours.setdefault(to_hex(color), set()).add(corners[:, 0].tobytes())
    assert ours.pop(to_hex("0.25")) == groups.pop("0.25")
    assert sorted(map(sorted, ours.values())) == sorted(map(sorted, groups.values()))


def test_dendrogram_of_a_merge_below_its_children():
    Z = np.array([[0, 1, 2.0, 2], [2, 4, 1.5, 3], [3, 5, 1.8, 4]])
    ax = dendrogram.dendrogram(Z, height=1.9, ax=wide())
    np.testing.assert_array_equal(lines_of(ax)[1, :, 1], [0, 1.5, 1.5, 2.0])
    assert ax.get_ylim()[1] > 2
    assert {to_hex(color) for color in ax.collections[0].get_colors()} == {to_hex("0.25")}


def test_dendrogram_names_are_left_out_where_there_is_no_room(iris):
    Z = linkage(iris)
    assert names_of(dendrogram.dendrogram(Z, ax=Figure(figsize=(5, 4)).subplots())) == []
    assert names_of(dendrogram.dendrogram(Z, ax=Figure(figsize=(5, 12)).subplots(), orientation="left"), False) != []


def test_dendrogram_names_are_level_where_they_are_short():
    tree = linkage(FIVE)
    for names, rotation in (("abcde", 0), (["a rather long name"] * 5, 90)):
        ax = dendrogram.dendrogram(tree, labels=names, ax=Figure(figsize=(4, 4)).subplots())
        assert {text.get_rotation() for text in ax.get_xticklabels()} == {rotation}


def test_dendrogram_of_a_deep_tree():
    Z = linkage(np.zeros((50_000, 2)), "single")
    ax = dendrogram.dendrogram(Z, n_clusters=50_000, ax=wide())
    assert len(lines_of(ax)) == 49_999
    assert ax.get_xlim() == (-0.5, 49_999.5)
    chain = np.stack([np.arange(49_999), np.arange(49_999, 99_998), np.arange(49_999.0), np.arange(2, 50_001)], axis=1)
    chain[0, 1] = 49_999
    chain[1:, 1] = np.arange(50_000, 99_998)
    ax = dendrogram.dendrogram(chain, height=40_000, ax=wide())
    assert lines_of(ax)[-1, 1, 1] == 49_998
    assert names_of(dendrogram.dendrogram(chain, 3, ax=wide())) == ["49998", "49997", "(49998)"]


def test_dendrogram_of_an_image(small):
    tree = image_linkage(small)
    assert len(dendrogram.dendrogram(tree, ax=wide()).patches) == 32
    ax = dendrogram.dendrogram(tree, 8, n_clusters=3, ax=wide())
    np.testing.assert_array_equal(lines_of(ax), lines_of(dendrogram.dendrogram(tree.Z, 8, ax=wide())))
    cut = tree.cut(8)
    share = {code: f"{percent:.3g} %" for code, percent in zip(cut.hex, cut.percent, strict=True)}
    assert names_of(ax) == [share[to_hex(patch.get_facecolor())] for patch in ax.patches]
    assert len({to_hex(text.get_color()) for text in ax.get_xticklabels()}) == 3
    one = dendrogram.dendrogram(image_linkage(np.full((2, 2, 3), 7, np.uint8)), n_clusters=1, ax=wide())
    assert names_of(one) == ["100 %"]
    assert len(lines_of(one)) == 0


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


# --- what is seen ----------------------------------------------------------------------------------------------------


class Picture:
    """The pixels of the figure that an Axes is in, by the coordinates of its data."""

    def __init__(self, ax):
        canvas = FigureCanvasAgg(ax.figure)
        ax.figure.set_dpi(200)  # lines are some pixels wide
        canvas.draw()
        self.pixels = np.asarray(canvas.buffer_rgba())[::-1]
        self.ax = ax

    def at(self, x, y):
        """The color there, as #rrggbb."""
        column, row = np.floor(self.ax.transData.transform((x, y))).astype(int)
        return to_hex(self.pixels[row, column] / 255)


def test_seen_dendrogram_of_an_image(small):
    tree = image_linkage(small)
    picture = Picture(dendrogram.dendrogram(tree, 8, ax=Figure().subplots()))
    top = tree.Z[-1, 2]
    order = tree.labels(8)[leaves_list(tree.Z)]
    order = order[np.r_[True, np.diff(order) != 0]]
    assert [picture.at(place, -0.03 * top) for place in range(8)] == [tree.cut(8).hex[label] for label in order]
    left, right = lines_of(picture.ax)[-1, [0, 3], 0]
    assert picture.at((left + right) / 2, top) == to_hex("0.25")
    assert picture.at((left + right) / 2, 0.98 * top) == "#ffffff"


@pytest.mark.parametrize("orientation", ["top", "bottom", "left", "right"])
def test_seen_dendrogram_in_the_colors_of_a_cut(iris, orientation):
    Z = linkage(iris, "average")
    ax = dendrogram.dendrogram(Z, n_clusters=3, orientation=orientation, ax=Figure(figsize=(8, 8)).subplots())
    picture = Picture(ax)
    labels, lines = cut_tree(Z, 3)[:, 0], lines_of(ax)
    highest = [max(row for row in range(147) if labels[leaf_below(Z, row)] == cluster) for cluster in range(3)]
    seen = [picture.at(*(0.75 * lines[row, 1] + 0.25 * lines[row, 2])) for row in (148, 147, *highest)]
    assert seen == ["#404040", "#404040", *(to_hex(f"C{cluster}") for cluster in range(3))]


def leaf_below(Z, row):
    """An observation that row merges."""
    node = len(Z) + 1 + row
    while node > len(Z):
        node = int(Z[node - len(Z) - 1, 0])
    return node


def test_seen_points_in_the_colors_of_their_clusters():
    result = kmeans(FIVE, 2, init=FIVE[[0, 3]])
    picture = Picture(clusters.clusters(FIVE, result, ax=Figure().subplots()))
    assert [picture.at(*point) for point in FIVE] == [to_hex(f"C{label}") for label in result.labels]
    assert [picture.at(*center) for center in result.centers] == ["#000000"] * 2


def test_seen_cells_are_those_of_the_nearest_center():
    result = kmeans(FIVE, 3, random_state=0)
    picture = Picture(voronoi.voronoi(result, ax=Figure().subplots()))
    low, high = np.array([picture.ax.get_xlim(), picture.ax.get_ylim()]).T
    anywhere = low + np.random.default_rng(0).uniform(0.02, 0.98, (100, 2)) * (high - low)
    distances = np.sort(np.linalg.norm(anywhere[:, np.newaxis] - result.centers, axis=2), axis=1)
    beside = np.linalg.norm(anywhere[:, np.newaxis] - result.centers, axis=2).min(axis=1) > 0.5
    inside = anywhere[(distances[:, 1] - distances[:, 0] > 0.3) & beside]
    owners, _ = nearest(inside, result.centers)
    seen = np.array([picture.at(*point) for point in inside])
    colors = [set(seen[owners == j]) for j in range(3)]
    assert [len(found) for found in colors] == [1, 1, 1]
    assert len(set.union(*colors) - {"#ffffff"}) == 3


def test_seen_palette_and_colors(small):
    image = quantize(small, 6, random_state=0)
    picture = Picture(palette.palette(image, ax=Figure().subplots()))
    middles = np.cumsum(image.percent) - image.percent / 2
    assert [picture.at(middle, 0.45) for middle in middles] == image.hex
    corners = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    panels = color_scatter.color_scatter(corners, kind="planes", ax=Figure(figsize=(12, 4)).subplots(1, 3))
    picture = Picture(panels[0])
    assert [picture.at(*color[:2]) for color in corners[1:3]] == ["#ff0000", "#00ff00"]


def in_space(ax, points):
    """Where points of three-dimensional axes, which have been drawn, are in their plane."""
    x, y, _ = proj3d.proj_transform(*np.transpose(points).astype(float), ax.get_proj())
    return np.transpose([x, y])


def test_seen_cloud_and_its_palette():
    corners = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [9, 120, 200]], np.uint8)
    picture = Picture(color_scatter.color_scatter(corners, ax=Figure().add_subplot(projection="3d")))
    seen = [picture.at(*spot) for spot in in_space(picture.ax, corners)]
    assert seen == [to_hex(color / 255) for color in corners]
    # Colors before and behind the two centers do not hide them.
    draws = np.random.default_rng(0)
    cloud = np.concatenate([draws.integers(0, 60, (500, 3)), draws.integers(190, 255, (500, 3))]).astype(np.uint8)
    image = quantize(cloud, 2, random_state=0)
    ax = Figure(figsize=(8, 8)).add_subplot(projection="3d")
    picture = Picture(color_scatter.color_scatter(cloud, palette=image, ax=ax))
    assert [picture.at(*spot) for spot in in_space(ax, image.centers)] == [
        to_hex(center / 255) for center in image.centers
    ]


def test_seen_steps():
    result = kmeans(FIVE, 2, init=FIVE[:2], history=True)
    panels = steps.steps(FIVE, result, ax=Figure(figsize=(12, 4)).subplots(1, 3))
    picture = Picture(panels[0])
    for panel, step in zip(panels, result.history, strict=True):
        picture.ax = panel
        assert [picture.at(*point) for point in FIVE] == [to_hex(f"C{label}") for label in step.labels]
        assert [picture.at(*center) for center in step.centers] == [to_hex("C0"), to_hex("C1")]
    picture.ax = panels[0]
    start, end = result.history[0].centers[1], result.history[1].centers[1]
    assert picture.at(*(start + end) / 2) == to_hex("gray")
    picture.ax = panels[-1]
    assert picture.at(*(start + end) / 2) == "#ffffff"


def test_seen_indices_and_what_they_suggest(iris):
    numbers = fastcluster_ext.choose_k(iris, range(1, 6), random_state=0)
    panels = choose_k.choose_k(numbers, ax=Figure(figsize=(16, 4)).subplots(1, 5))
    picture = Picture(panels[0])
    for panel, name in zip(
        panels, ("inertia", "silhouette", "calinski_harabasz", "davies_bouldin", "gap"), strict=True
    ):
        picture.ax = panel
        values = getattr(numbers, name)
        suggested = numbers.suggested["elbow" if name == "inertia" else name]
        for k, value in zip(numbers.ks, values, strict=True):
            assert np.isnan(value) or k == suggested or picture.at(k, value) == to_hex("C0")
        for k in range(2, 5):
            assert picture.at(k + 0.5, (values[k - 1] + values[k]) / 2) == to_hex("C0")
        low, high = panel.get_ylim()
        heights = np.linspace(low, high, 200)[5:-5]
        dark = {k: np.mean([max(to_rgba(picture.at(k, height))[:3]) < 0.2 for height in heights]) for k in numbers.ks}
        assert 0.4 < dark.pop(suggested) < 0.9  # dashes
        assert not any(dark.values())


def test_seen_silhouette(iris):
    labels = np.repeat([0, 1, 2], 50)
    picture = Picture(silhouette.silhouette(iris, labels, ax=Figure(figsize=(8, 8)).subplots()))
    values = np.sort(silhouette_samples(iris, labels)[:50])
    assert picture.at(values[25] - 0.02, 25.5) == to_hex("C0")
    assert picture.at(values[25] + 0.02, 25.5) == "#ffffff"
    assert picture.at(0.02, 50 + 0.02 * 150 + 40) == to_hex("C1")


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
        (lambda: steps.steps(FIVE, kmedoids(FIVE, 2)), ValueError, "history=True"),
        (lambda: steps.steps(FIVE, None), TypeError, "result must be what kmeans or kmedoids"),
        (lambda: steps.steps(FIVE[:2], kmeans(FIVE, 2, history=True)), ValueError, "X must be the 5 points"),
        (lambda: dendrogram.dendrogram(FIVE), ValueError, r"Z must be a linkage of shape \(n - 1, 4\)"),
        (lambda: dendrogram.dendrogram(np.empty((0, 4))), ValueError, "Z is empty"),
        (lambda: dendrogram.dendrogram(None), ValueError, "Z must be a linkage"),
        (lambda: dendrogram.dendrogram([[0, 0, 1, 2]]), ValueError, "Z merges cluster 0 more than once"),
        (lambda: dendrogram.dendrogram([[0, 2, 1, 2]]), ValueError, "Z merges 0 and 2 in row 0"),
        (lambda: dendrogram.dendrogram([[0, 1, np.nan, 2]]), ValueError, "Z holds NaN in row 0"),
        (lambda: dendrogram.dendrogram([[0, 1, np.inf, 2]]), ValueError, "Z holds infinite heights"),
        (lambda: dendrogram.dendrogram(PAIR, 0), ValueError, "k must be at least 1"),
        (lambda: dendrogram.dendrogram(PAIR, 1.5), TypeError, "k must be an integer"),
        (lambda: dendrogram.dendrogram(PAIR, labels="abc"), ValueError, "labels must be 2 names"),
        (lambda: dendrogram.dendrogram(PAIR, n_clusters=3), ValueError, "n_clusters must be from 1 to 2"),
        (lambda: dendrogram.dendrogram(PAIR, n_clusters=[1]), TypeError, "n_clusters must be an integer"),
        (lambda: dendrogram.dendrogram(PAIR, height=np.nan), ValueError, "height must be a finite number"),
        (lambda: dendrogram.dendrogram(PAIR, n_clusters=1, height=1), ValueError, "n_clusters and height"),
        (lambda: dendrogram.dendrogram(PAIR, orientation="up"), ValueError, "orientation must be one of 'top'"),
        (lambda: dendrogram.dendrogram(image_linkage(GRAYS), labels="ab"), ValueError, "labels must be None"),
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
    "wrong", [{"labels": "a"}, {"n_clusters": 0}, {"height": -1}, {"k": 0}, {"orientation": "up"}, {"Z": FIVE}]
)
def test_a_refused_tree_draws_nothing(wrong):
    ax = wide()
    with pytest.raises(ValueError, match=next(iter(wrong))):
        dendrogram.dendrogram(**{"Z": PAIR, **wrong}, ax=ax)
    assert not ax.has_data()
    assert ax.get_xlim() == (0, 1)


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: silhouette.silhouette(FIVE, [0, 0, 1, 1, 1], ax=ax),
        lambda ax: clusters.clusters(FIVE, [0, 0, 1, 1, 1], ax=ax),
        lambda ax: voronoi.voronoi(FIVE[:2], FIVE, ax=ax),
        lambda ax: steps.steps(FIVE, kmeans(FIVE, 2, history=True), max_steps=1, ax=ax)[0],
        lambda ax: dendrogram.dendrogram(PAIR, ax=ax),
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
