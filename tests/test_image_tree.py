"""The dendrogram of an image: of its pixels, by way of its colors."""

import numpy as np
import pytest
import scipy.cluster.hierarchy as scipy_hierarchy
from matplotlib.figure import Figure
from reference_hierarchy import replay
from scipy.spatial.distance import pdist

from fastcluster_ext import (
    ColorHistogram,
    LinkageStep,
    cut_tree,
    image_linkage,
    kmeans,
    linkage,
    linkage_weights,
    quantize,
)
from fastcluster_ext._vectors import ward_centers
from fastcluster_ext.image_tree import IMAGE_METHODS
from fastcluster_ext.plot import dendrogram

rng = np.random.default_rng(5)


def picture(h=12, w=15, channels=3, colors=40, dtype=np.uint8):
    palette = rng.integers(0, np.iinfo(dtype).max, (colors, channels), dtype=dtype)
    return palette[rng.integers(0, colors, (h, w))]


@pytest.mark.parametrize("method", IMAGE_METHODS)
@pytest.mark.parametrize("channels", [1, 3])
def test_expanded_it_is_the_tree_of_all_pixels(channels, method):
    image = picture(channels=channels, colors=50)
    tree = image_linkage(image, method)
    expanded = tree.expand()
    assert scipy_hierarchy.is_valid_linkage(expanded)
    metric = "sqeuclidean" if method in ("average", "weighted") else "euclidean"
    pixels = image.reshape(-1, channels).astype(float)
    replay(pdist(pixels, metric), expanded, method, atol=1e-7)
    np.testing.assert_array_equal(tree.pixels, linkage_weights(tree.Z, tree.histogram.counts))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cuts_are_those_of_the_expanded_tree(dtype):
    image = picture(dtype=dtype)
    tree = image_linkage(image)
    expanded = tree.expand()
    for k in (1, 2, 7, tree.n_colors):
        cut = tree.cut(k)
        labels = cut_tree(expanded, k)[:, 0]
        pairs = set(zip(labels.tolist(), cut.indices.ravel().tolist(), strict=True))
        assert len(pairs) == k
        assert (np.diff(cut.counts) <= 0).all()
        assert cut.palette.dtype == dtype
        pixels = image.reshape(-1, 3).astype(float)
        for i in range(k):
            np.testing.assert_allclose(cut.centers[i], pixels[cut.indices.ravel() == i].mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(
            cut.inertia, ((pixels - cut.centers[cut.indices.ravel()]) ** 2).sum(), rtol=1e-10, atol=1e-9
        )
        np.testing.assert_array_equal(cut.palette, tree.palette(k))
        np.testing.assert_array_equal(cut.centers, tree.centers(k))
    np.testing.assert_array_equal(tree.cut(tree.n_colors).image, image)


def test_heights_of_ward_add_up_to_the_inertia():
    tree = image_linkage(picture())
    for k in (1, 5, 20):
        np.testing.assert_allclose(tree.cut(k).inertia, (tree.Z[: tree.n_colors - k, 2] ** 2).sum() / 2, rtol=1e-9)


def test_transparent_pixels_are_left_out():
    image = picture(channels=4)
    image[:5, :, 3] = 0
    tree = image_linkage(image, skip_transparent=True)
    kept = image[image[:, :, 3] > 0]
    assert tree.pixels[-1] == len(kept)
    assert len(tree.expand()) == len(kept) - 1
    cut = tree.cut(3)
    assert (cut.indices[:5] == 3).all()
    assert cut.indices[5:].max() < 3


def test_a_histogram_and_threads_give_the_same(photo):
    small = photo[::40, ::40]
    tree = image_linkage(small, n_threads=1)
    np.testing.assert_array_equal(image_linkage(ColorHistogram.from_image(small), n_threads=3).Z, tree.Z)
    found = linkage(tree.histogram.colors, "ward", weights=tree.histogram.counts, memory="vector")
    np.testing.assert_array_equal(found, tree.Z)


def test_one_color_and_two():
    tree = image_linkage(np.full((3, 4, 3), 9, np.uint8))
    assert tree.Z.shape == (0, 4)
    np.testing.assert_array_equal(tree.cut(1).image, np.full((3, 4, 3), 9))
    np.testing.assert_array_equal(tree.expand()[:, 3], np.arange(2, 13))
    with pytest.raises(ValueError, match="k must be from 1 to 1, got 2"):
        tree.cut(2)
    assert image_linkage(np.array([[0, 0], [0, 3]], np.uint8)[:, :, None]).Z[0, 2] == pytest.approx(3 * 1.5**0.5)


@pytest.mark.parametrize("method", IMAGE_METHODS)
def test_few_colors_and_colors_on_a_line(method):
    one = image_linkage(np.full((3, 4, 3), 9, np.uint8), method)
    assert one.Z.shape == (0, 4)
    np.testing.assert_array_equal(one.expand()[:, 2], 0)
    two = image_linkage(np.array([[7, 7, 4]], np.uint8)[:, :, None], method)
    height = {"average": 9, "weighted": 9, "ward": 3 * (4 / 3) ** 0.5}.get(method, 3)
    np.testing.assert_allclose(two.Z, [[0, 1, height, 2]], rtol=1e-15)
    np.testing.assert_array_equal(two.pixels, [3])
    ramp = np.arange(1200, dtype=np.uint16).reshape(30, 40, 1) * np.array([50, 0, 7], np.uint16)
    tree = image_linkage(ramp, method)
    assert (tree.pixels[-1], tree.Z[-1, 3]) == (1200, 1200)
    if method == "single":
        np.testing.assert_allclose(tree.Z[:, 2], (50**2 + 7**2) ** 0.5, rtol=1e-15)
    replay(
        pdist(ramp.reshape(-1, 3)[:1200:4].astype(float), "sqeuclidean" if height == 9 else "euclidean"),
        image_linkage(ramp.reshape(-1, 1, 3)[::4], method).Z,
        method,
        atol=1e-6,
    )


@pytest.mark.parametrize("method", IMAGE_METHODS)
def test_a_callback_sees_the_tree_of_colors_grow(method):
    image, steps = picture(colors=50), []
    tree = image_linkage(image, method, callback=steps.append)
    assert steps[-1] == LinkageStep(tree.n_colors - 1, tree.n_colors - 1)
    with pytest.raises(TypeError, match="callback must be callable"):
        image_linkage(image, method, callback="dots")


def test_bad_arguments():
    image = picture()
    with pytest.raises(ValueError, match="method must be one of 'ward'"):
        image_linkage(image, "warp")
    with pytest.raises(ValueError, match="too late"):
        image_linkage(ColorHistogram.from_image(picture(channels=4)), skip_transparent=True)
    with pytest.raises(TypeError, match="uint8 or uint16"):
        image_linkage(image.astype(float))
    tree = image_linkage(image)
    for k in (0, 10**6):
        with pytest.raises(ValueError, match="k must be from 1"):
            tree.labels(k)
    with pytest.raises(TypeError, match="k must be an integer"):
        tree.palette(2.5)


def test_ward_centers_start_k_means_well(photo):
    histogram = ColorHistogram.from_image(photo[::16, ::16])
    tree = image_linkage(histogram)
    points, weights = histogram.colors.astype(float), histogram.counts.astype(float)
    centers = ward_centers(points, 16, weights, n_threads=2)
    order = np.lexsort(centers.T)
    expected = tree.centers(16)
    np.testing.assert_allclose(centers[order], expected[np.lexsort(expected.T)], rtol=1e-12)
    polished = kmeans(points, 16, init=centers, sample_weight=weights)
    assert polished.inertia < tree.cut(16).inertia
    assert polished.inertia < 1.1 * quantize(histogram, 16, n_init=4, random_state=0).inertia
    weights[::2] = 0
    half = ward_centers(points, 16, weights, n_threads=1)
    np.testing.assert_array_equal(half, ward_centers(points[1::2], 16, weights[1::2], n_threads=1))
    np.testing.assert_array_equal(ward_centers(points[:1], 1, None, n_threads=1), points[:1])


@pytest.mark.parametrize("k", [1, 2, 8, 60])
def test_dendrogram(k):
    tree = image_linkage(picture(), "centroid")
    axes = dendrogram(tree, k, ax=Figure().subplots())
    leaves = min(k, tree.n_colors)
    (links,) = axes.collections
    segments = [segment for segment in links.get_segments() if len(segment)]
    assert len(segments) == leaves - 1
    np.testing.assert_allclose(sorted(s[1, 1] for s in segments), sorted(tree.Z[tree.n_colors - leaves :, 2]))
    shown = {tuple(np.rint(255 * np.array(patch.get_facecolor()[:3])).astype(int)) for patch in axes.patches}
    assert shown == set(map(tuple, tree.palette(leaves).tolist()))
    # Every leaf has a place of its own, every link joins two things that are there.
    assert sorted(patch.get_x() for patch in axes.patches) == [place - 0.5 for place in range(leaves)]
    ends = sorted(x for s in segments for x, y in (s[0], s[3]) if y == 0)
    assert ends == list(range(leaves)) or leaves == 1


def test_a_deep_tree_is_drawn():
    image = np.cumsum(np.arange(300)).astype(np.uint16)[:, None, None]
    tree = image_linkage(image, "centroid")
    assert dendrogram(tree, 300, ax=Figure().subplots()).get_xlim() == (-0.5, 299.5)
