"""ColorHistogram and quantize, against np.unique, Pillow's files and brute force."""

import copy
import itertools
import json
import pickle

import numpy as np
import pytest
import reference
from conftest import REPOSITORY
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from processes import MEASURED, needs_memory_peaks, run_python

from fastcluster_ext import ColorHistogram, quantize

THREADS = [1, 2, 3, 8]


def noise(shape, dtype=np.uint8, seed=0, most=None):
    limit = np.iinfo(dtype).max if most is None else most
    return np.random.default_rng(seed).integers(0, limit + 1, shape).astype(dtype)


def assert_histogram(image, histogram):
    """Colors, counts and the way back agree with np.unique; `image` is h x w x c or n x c."""
    colors, counts = reference.histogram(image)
    np.testing.assert_array_equal(histogram.colors, colors)
    assert histogram.colors.dtype == image.dtype.newbyteorder("=")
    np.testing.assert_array_equal(histogram.counts, counts)
    assert histogram.counts.dtype == np.int64
    assert histogram.shape == image.shape[:-1]
    assert histogram.n_transparent == 0
    np.testing.assert_array_equal(histogram.colors[histogram.expand(np.arange(len(colors)))], image)


def assert_quantized(image, result, k):
    """Palette, counts, indices and inertia of a result agree with each other; `image` is (..., c), nothing left out."""
    assert result.palette.shape == result.centers.shape == (k, image.shape[-1])
    assert result.palette.dtype == image.dtype
    assert result.indices.shape == image.shape[:-1]
    assert result.indices.dtype == (np.uint8 if k <= 256 else np.uint16)
    np.testing.assert_array_equal(result.palette, np.rint(result.centers))
    np.testing.assert_array_equal(result.counts, np.bincount(result.indices.reshape(-1), minlength=k))
    assert (np.diff(result.counts) <= 0).all()
    assert (result.counts > 0).all()
    np.testing.assert_allclose(result.percent, 100 * result.counts / result.indices.size)
    assert result.percent.sum() == pytest.approx(100)
    np.testing.assert_array_equal(result.image, result.palette[result.indices])
    pixels = image.reshape(-1, image.shape[-1])
    own = ((pixels - result.centers[result.indices.reshape(-1)]) ** 2).sum()
    assert result.inertia == pytest.approx(own, rel=1e-12)
    assert result.inertia == pytest.approx(reference.inertia(*_weighted(pixels, result.centers)), rel=1e-12)
    assert result.mean_squared_error == pytest.approx(own / pixels.size, rel=1e-12)


def _weighted(pixels, centers):
    colors, counts = reference.histogram(pixels)
    return colors, centers, counts


# --- ColorHistogram ------------------------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_histogram_of_many_pixels(channels, dtype, n_threads):
    # More than two chunks of 65536 pixels; the colors of all layouts and algorithms.
    image = noise((301, 503, channels), dtype, most=40 if channels > 1 else None)
    assert_histogram(image, ColorHistogram.from_image(image, n_threads=n_threads))


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_histogram_of_grey(dtype):
    image = noise((61, 47), dtype)
    histogram = ColorHistogram.from_image(image)
    np.testing.assert_array_equal(histogram.colors[:, 0], np.unique(image))
    assert histogram.shape == (61, 47)
    np.testing.assert_array_equal(histogram.colors[histogram.expand(np.arange(len(histogram.counts))), 0], image)


@pytest.mark.kernel
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_histogram_of_a_list_of_pixels(channels):
    pixels = noise((70_001, channels), most=9)
    assert_histogram(pixels, ColorHistogram.from_image(pixels))


LAYOUTS = {
    "every other": lambda a: a[::2, ::3],
    "reversed": lambda a: a[::-1, ::-1],
    "channels reversed": lambda a: a[:, :, ::-1],
    "transposed": lambda a: a.transpose(1, 0, 2),
    "Fortran": np.asfortranarray,
    "planes": lambda a: np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0),
    "part": lambda a: a[3:-5, 7:-2],
    "one row": lambda a: a[:1],
    "one column": lambda a: a[:, :1],
    "one pixel": lambda a: a[5:6, 5:6],
    "repeated": lambda a: np.broadcast_to(a[:1], a.shape),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "unaligned": lambda a: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
}


@pytest.mark.kernel
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("channels", "dtype", "shape"),
    [
        *itertools.product((1, 3, 4), (np.uint8, np.uint16), [(211, 400)]),
        # Of RGB pixels enough for a table of all possible colors, in most of the layouts.
        (3, np.uint8, (411, 523)),
    ],
)
def test_histogram_of_any_layout(layout, channels, dtype, shape):
    image = LAYOUTS[layout](noise((*shape, channels), dtype, most=30))
    if image.flags.owndata:
        image.flags.writeable = False
    assert_histogram(image, ColorHistogram.from_image(image))


def test_histogram_of_the_photo(photo, photo_histogram):
    histogram = ColorHistogram.from_image(photo)
    np.testing.assert_array_equal(histogram.colors, photo_histogram[0])
    np.testing.assert_array_equal(histogram.counts, photo_histogram[1])
    assert len(histogram.counts) == 172_540
    np.testing.assert_array_equal(histogram.colors[histogram.expand(np.arange(172_540))], photo)


@pytest.mark.kernel
@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_counts_about_the_range_of_a_byte(channels, n_threads):
    counts = np.array([1, 255, 256, 257, 511, 512, 65535, 65536, 65537, 100_000])
    colors = np.unique(noise((len(counts), channels), seed=3), axis=0)
    assert len(colors) == len(counts)
    pixels = np.random.default_rng(0).permutation(np.repeat(colors, counts, axis=0))
    histogram = ColorHistogram.from_image(pixels, n_threads=n_threads)
    np.testing.assert_array_equal(histogram.colors, colors)
    np.testing.assert_array_equal(histogram.counts, counts)


def test_histogram_of_millions_of_colors():
    keys = np.arange(4_300_000, dtype=np.uint32) * 3
    order = np.random.default_rng(0).permutation(np.concatenate([keys, keys[: 1 << 20], keys[:100]]))
    pixels = np.stack([order >> 16, order >> 8 & 255, order & 255], axis=1).astype(np.uint8)
    one, two = (ColorHistogram.from_image(pixels, n_threads=n_threads) for n_threads in (1, 2))
    found = one.colors.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    np.testing.assert_array_equal(found, keys)
    np.testing.assert_array_equal(
        one.counts, np.where(np.arange(len(keys)) < 1 << 20, 2, 1) + (np.arange(len(keys)) < 100)
    )
    np.testing.assert_array_equal(one.counts, two.counts)
    np.testing.assert_array_equal(two.expand(np.arange(len(keys))), order // 3)


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("n_threads", THREADS)
def test_table_of_colors_grows(dtype, n_threads):
    image = noise((200, 400, 4), dtype)
    assert_histogram(image, ColorHistogram.from_image(image, n_threads=n_threads))


@pytest.mark.kernel
def test_extreme_colors():
    for dtype in (np.uint8, np.uint16):
        most = np.iinfo(dtype).max
        for channels in (1, 2, 3, 4):
            image = np.zeros((2, 3, channels), dtype)
            assert_histogram(image, ColorHistogram.from_image(image))
            image[1] = most
            assert_histogram(image, ColorHistogram.from_image(image))


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("n_threads", THREADS)
def test_transparent_pixels_can_be_left_out(dtype, channels, n_threads):
    image = noise((301, 503, channels), dtype, most=5)
    if dtype == np.uint16:
        image[:, :, -1] *= 256  # only the whole alpha counts, not its low byte
    transparent = image[:, :, -1] == 0
    histogram = ColorHistogram.from_image(image, skip_transparent=True, n_threads=n_threads)
    colors, counts = reference.histogram(image[~transparent])
    np.testing.assert_array_equal(histogram.colors, colors)
    np.testing.assert_array_equal(histogram.counts, counts)
    assert histogram.n_transparent == transparent.sum()
    labels = histogram.expand(np.arange(len(colors)))
    assert labels.dtype.kind == "i"
    np.testing.assert_array_equal(labels == -1, transparent)
    np.testing.assert_array_equal(histogram.colors[labels[~transparent]], image[~transparent])


def test_nothing_transparent_and_everything_transparent():
    image = noise((20, 30, 4), most=3)
    image[:, :, 3] = 7
    np.testing.assert_array_equal(
        ColorHistogram.from_image(image, skip_transparent=True).colors, ColorHistogram.from_image(image).colors
    )
    image[:, :, 3] = 0
    assert ColorHistogram.from_image(image).n_transparent == 0
    with pytest.raises(ValueError, match="image is fully transparent"):
        ColorHistogram.from_image(image, skip_transparent=True)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("least", "most", "dtype"),
    [
        (0, 1, np.uint8),
        (0, 255, np.uint8),
        (0, 256, np.uint16),
        (0, 65535, np.uint16),
        (0, 65536, np.uint32),
        (0, 2**31 - 1, np.uint32),
        (-1, 127, np.int8),
        (-1, 128, np.int16),
        (-1, 32767, np.int16),
        (-1, 32768, np.int32),
        (-1, 2**31 - 1, np.int32),
    ],
)
@pytest.mark.parametrize(("channels", "shape"), [(3, (50, 60)), (4, (50, 60)), (3, (397, 401))])
def test_labels_take_the_smallest_dtype_that_holds_them(least, most, dtype, channels, shape):
    image = noise((*shape, channels), most=2)
    histogram = ColorHistogram.from_image(image)
    values = np.random.default_rng(0).integers(least, most + 1, len(histogram.counts))
    values[:2] = least, most
    labels = histogram.expand(values)
    assert labels.dtype == dtype
    _, inverse = np.unique(image.reshape(-1, channels), axis=0, return_inverse=True)
    np.testing.assert_array_equal(labels.reshape(-1), values[inverse.reshape(-1)])


@pytest.mark.kernel
@pytest.mark.parametrize("most", [3, 300, 70_000])
@pytest.mark.parametrize(("channels", "shape"), [(1, (50, 60)), (3, (50, 60)), (4, (50, 60)), (3, (397, 401))])
def test_an_image_that_changed_is_noticed(channels, shape, most):
    image = noise((*shape, channels), most=2)
    histogram = ColorHistogram.from_image(image)
    image[30, 30] = 200
    labels = np.arange(len(histogram.counts))
    labels[-1] = most
    with pytest.raises(ValueError, match="the image changed"):
        histogram.expand(labels)


@pytest.mark.kernel
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_histogram_of_anything(data):
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(5, 40))
    channels, most = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([0, 1, 3, 255]))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, ">u2"]))
    image = noise((height, width, channels), np.uint8, data.draw(st.integers(0, 99)), most).astype(dtype)
    rows, columns = (data.draw(st.sampled_from([1, 2, 7, -1, -3])) for _ in range(2))
    view = image[::rows, ::columns]
    if data.draw(st.booleans()):
        view = view.transpose(1, 0, 2)
    assert_histogram(view, ColorHistogram.from_image(view, n_threads=data.draw(st.integers(1, 4))))


@pytest.mark.parametrize("again", [lambda histogram: pickle.loads(pickle.dumps(histogram)), copy.deepcopy])
@pytest.mark.parametrize("skip_transparent", [False, True])
def test_pickle_and_copy_of_a_histogram(again, skip_transparent):
    image = np.random.default_rng(0).integers(0, 3, (20, 30, 4)).astype(np.uint8)[::2, ::-1]
    histogram = ColorHistogram.from_image(image, skip_transparent=skip_transparent)
    other = again(histogram)
    np.testing.assert_array_equal(other.colors, histogram.colors)
    np.testing.assert_array_equal(other.counts, histogram.counts)
    assert other.n_transparent == histogram.n_transparent
    values = np.arange(len(histogram.colors))
    np.testing.assert_array_equal(other.expand(values), histogram.expand(values))


def test_repr_of_a_histogram():
    assert repr(ColorHistogram.from_image(np.zeros((4, 6, 3), np.uint8))) == (
        "ColorHistogram of 4 x 6 pixels: 1 colors of uint8"
    )


# --- Pillow --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "plain"),
    [
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("L", "L"),
        ("LA", "LA"),
        ("1", "L"),
        ("P", "RGB"),
        ("PA", "RGBA"),
        ("CMYK", "RGB"),
        ("YCbCr", "RGB"),
        ("HSV", "RGB"),
    ],
)
@pytest.mark.parametrize("width", [3, 60])
def test_pictures_of_any_mode(mode, plain, width):
    rgb = Image.fromarray(noise((50, width, 3), most=3) * 80)
    picture = rgb.convert("P").convert("PA") if mode == "PA" else rgb.convert(mode)
    pixels = np.asarray(picture.convert(plain))
    histogram = ColorHistogram.from_image(picture)
    assert histogram.shape == (50, width)
    assert_histogram(pixels.reshape(50, width, -1), histogram)


def test_pictures_with_a_transparent_palette_entry_and_of_16_bits():
    picture = Image.fromarray(noise((20, 30), most=3))
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.info["transparency"] = 2
    histogram = ColorHistogram.from_image(picture, skip_transparent=True)
    assert histogram.n_transparent == (np.asarray(picture) == 2).sum()
    deep = noise((20, 30), np.uint16)
    histogram = ColorHistogram.from_image(Image.fromarray(deep))
    np.testing.assert_array_equal(histogram.colors[:, 0], np.unique(deep))


@pytest.mark.parametrize(("mode", "plain", "color"), [("RGB", "RGBA", (1, 2, 3)), ("L", "LA", 7)])
def test_pictures_with_one_transparent_color(tmp_path, mode, plain, color):
    picture = Image.new(mode, (4, 3), color)
    picture.putpixel((2, 1), 90 if mode == "L" else (90, 80, 70))
    picture.save(tmp_path / "some.png", transparency=color)
    with Image.open(tmp_path / "some.png") as read:
        histogram = ColorHistogram.from_image(read, skip_transparent=True)
    assert histogram.n_transparent == 11
    assert histogram.colors.shape == (1, len(plain))


def test_masked_pixels_and_ragged_labels_are_refused():
    image = np.ma.masked_equal(np.zeros((5, 5, 3), np.uint8), 0)
    with pytest.raises(ValueError, match="image has masked values"):
        ColorHistogram.from_image(image)
    with pytest.raises(ValueError, match="labels"):
        ColorHistogram.from_image(np.zeros((5, 5, 3), np.uint8)).expand([[1], [1, 2]])


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pictures_of_wide_numbers_are_refused(mode):
    with pytest.raises(TypeError, match="image must be of uint8 or uint16"):
        ColorHistogram.from_image(Image.new(mode, (20, 10)))


# --- quantize ------------------------------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_quantize(channels, dtype):
    image = noise((83, 97, channels), dtype, most=60)
    for k in (1, 2, 16, 61):
        assert_quantized(image, quantize(image, k, random_state=k), k)


@pytest.mark.kernel
@pytest.mark.parametrize("k", [1, 2, 255, 256, 257, 300])
def test_number_of_colors(k):
    image = noise((60, 70, 3), most=200)
    assert_quantized(image, quantize(image, k, random_state=0, max_iter=3), k)


def test_many_colors():
    image = noise((80, 90, 3))
    assert_quantized(image, quantize(image, 1000, init="random", n_init=1, random_state=0, max_iter=1), 1000)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_as_many_colors_as_the_image_has(channels):
    image = noise((40, 50, channels), most=4 if channels < 3 else 1)
    k = len(reference.histogram(image)[0])
    result = quantize(image, k, random_state=0)
    assert result.inertia == 0
    np.testing.assert_array_equal(result.image, image)
    with pytest.raises(ValueError, match=f"k must be at most the number of distinct .*{k}, got {k + 1}"):
        quantize(image, k + 1)


def test_colors_of_equal_counts_keep_their_order():
    image = np.repeat(np.arange(4, dtype=np.uint8) * 50, 3).reshape(1, 12, 1)
    result = quantize(image, 4, init=[[150.0], [0.0], [50.0], [100.0]])
    assert result.palette[:, 0].tolist() == [150, 0, 50, 100]


def test_quantize_the_photo(photo, photo_histogram):
    colors, counts = photo_histogram
    result = quantize(photo, 16, random_state=0)
    assert result.converged
    np.testing.assert_array_equal(result.counts, np.bincount(result.indices.reshape(-1), minlength=16))
    assert result.inertia == pytest.approx(reference.inertia(colors, result.centers, counts), rel=1e-12)
    nearest = reference.nearest(colors, result.centers)
    some = photo[::7, ::5]
    positions = {color.tobytes(): i for i, color in enumerate(colors)}
    rows = [positions[color.tobytes()] for color in some.reshape(-1, 3)[::40]]
    np.testing.assert_array_equal(result.indices[::7, ::5].reshape(-1)[::40], nearest[rows])
    assert set(result.timings) == {"histogram", "kmeans", "labels"}


def test_a_histogram_can_be_quantized_again():
    image = noise((60, 70, 3), most=20)
    histogram = ColorHistogram.from_image(image)
    for k in (2, 9):
        again, direct = quantize(histogram, k, random_state=0), quantize(image, k, random_state=0)
        np.testing.assert_array_equal(again.centers, direct.centers)
        np.testing.assert_array_equal(again.indices, direct.indices)


@pytest.mark.parametrize("n_threads", THREADS)
def test_quantize_is_the_same_for_any_number_of_threads(n_threads):
    image = noise((301, 503, 3), most=50)
    one, other = (quantize(image, 9, random_state=0, n_threads=n, max_iter=5) for n in (1, n_threads))
    assert one.centers.tobytes() == other.centers.tobytes()
    assert one.inertia == other.inertia
    np.testing.assert_array_equal(one.indices, other.indices)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("k", [2, 255, 256])
def test_quantize_without_transparent_pixels(dtype, channels, k):
    image = noise((60, 70, channels), dtype)
    image[:30, :20, -1] = 0
    transparent = image[:, :, -1] == 0
    result = quantize(image, k, skip_transparent=True, random_state=0, max_iter=2)
    assert result.n_transparent == transparent.sum()
    np.testing.assert_array_equal(result.indices == k, transparent)
    assert result.indices.dtype == (np.uint8 if k < 256 else np.uint16)
    np.testing.assert_array_equal(result.counts, np.bincount(result.indices.reshape(-1))[:k])
    assert (result.image[transparent] == 0).all()
    np.testing.assert_array_equal(result.image[~transparent], result.palette[result.indices[~transparent]])
    assert result.percent.sum() == pytest.approx(100)


# --- files ---------------------------------------------------------------------------------------------------------


def saved(result, path):
    result.save(path)
    with Image.open(path) as picture:
        picture.load()
        return picture


@pytest.mark.parametrize("k", [1, 2, 16, 255, 256])
def test_png_of_at_most_256_colors_is_indexed(tmp_path, k):
    image = noise((50, 60, 3), most=100)
    result = quantize(image, k, random_state=0, max_iter=2)
    picture = saved(result, tmp_path / "out.png")
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), result.image)
    np.testing.assert_array_equal(np.asarray(picture), result.indices)


def test_png_of_more_colors_is_not_indexed(tmp_path):
    result = quantize(noise((50, 60, 3)), 300, random_state=0, max_iter=2)
    picture = saved(result, str(tmp_path / "out.png"))
    assert picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(picture), result.image)


@pytest.mark.parametrize("k", [4, 255, 256, 300])
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("channels", [2, 4])
def test_png_with_alpha(tmp_path, channels, k, skip):
    image = noise((50, 60, channels), seed=1)
    image[:20, :20, -1] = 0
    result = quantize(image, k, skip_transparent=skip, random_state=0, max_iter=2)
    picture = saved(result, tmp_path / "out.png")
    assert (picture.mode == "P") == (k + skip <= 256)
    np.testing.assert_array_equal(np.asarray(picture.convert("LA" if channels == 2 else "RGBA")), result.image)


@pytest.mark.parametrize("k", [3, 200])
def test_png_of_grey(tmp_path, k):
    image = noise((50, 60))
    result = quantize(image, k, random_state=0, max_iter=2)
    picture = saved(result, tmp_path / "out.png")
    np.testing.assert_array_equal(np.asarray(picture.convert("L")), result.image[:, :, 0])


@pytest.mark.parametrize("k", [3, 400])
def test_png_of_16_bit_grey(tmp_path, k):
    result = quantize(noise((50, 60), np.uint16), k, random_state=0, max_iter=2)
    picture = saved(result, tmp_path / "out.png")
    np.testing.assert_array_equal(np.asarray(picture), result.image[:, :, 0])


def test_jpeg_is_close(tmp_path):
    image = np.full((64, 64, 3), 40, np.uint8)
    image[:, 32:] = 200, 100, 30
    result = quantize(image, 2, random_state=0)
    picture = saved(result, tmp_path / "out.jpg")
    assert picture.format == "JPEG"
    assert np.abs(np.asarray(picture).astype(int) - image).mean() < 4


@pytest.mark.parametrize(
    ("shape", "dtype", "name", "message"),
    [
        ((50, 60, 4), np.uint8, "out.jpg", "JPEG"),
        ((50, 60, 3), np.uint16, "out.png", "uint16"),
        ((50, 60, 3), np.uint8, "out.nonsense", "nonsense"),
        ((50, 60, 3), np.uint8, "out", "extension"),
        ((50, 3), np.uint8, "out.png", "h x w"),
    ],
)
def test_what_cannot_be_saved_is_a_value_error(tmp_path, shape, dtype, name, message):
    result = quantize(noise(shape, dtype), 4, random_state=0)
    with pytest.raises(ValueError, match=message):
        result.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_an_os_error(tmp_path):
    result = quantize(noise((20, 30, 3)), 4, random_state=0)
    with pytest.raises(OSError, match="missing"):
        result.save(tmp_path / "missing" / "out.png")


def test_json():
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, :2] = 250, 120, 10
    result = quantize(image, 2, random_state=0)
    data = json.loads(result.to_json())
    assert data["k"] == 2
    assert data["shape"] == [4, 6]
    assert data["inertia"] == 0
    assert data["converged"] is True
    assert [color["hex"] for color in data["colors"]] == result.hex == ["#000000", "#fa780a"]
    assert [color["rgb"] for color in data["colors"]] == [[0, 0, 0], [250, 120, 10]]
    assert [color["exact"] for color in data["colors"]] == [[0, 0, 0], [250, 120, 10]]
    assert [color["count"] for color in data["colors"]] == [16, 8]
    assert [color["percent"] for color in data["colors"]] == pytest.approx([200 / 3, 100 / 3])
    assert "alpha" not in data["colors"][0]
    assert json.loads(result.to_json(indent=None)) == data


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_hex_and_alpha_of_any_kind_of_image(channels, dtype):
    most = np.iinfo(dtype).max
    image = np.full((5, 6, channels), most, dtype)
    image[0] = 0
    result = quantize(image, 2, random_state=0)
    assert result.hex == ["#ffffff", "#000000"]
    colors = json.loads(result.to_json())["colors"]
    assert [color.get("alpha") for color in colors] == ([255, 0] if channels in (2, 4) else [None, None])


def test_gpl():
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, :2] = 250, 120, 10
    assert quantize(image, 2, random_state=0).to_gpl("two").splitlines() == [
        "GIMP Palette",
        "Name: two",
        "Columns: 0",
        "#",
        "  0   0   0\t#000000 66.67%",
        "250 120  10\t#fa780a 33.33%",
    ]


def test_repr_of_a_quantized_image():
    result = quantize(noise((40, 50, 3)), 20, random_state=0, max_iter=2)
    lines = repr(result).splitlines()
    assert lines[0].startswith("QuantizedImage of 40 x 50 pixels in 20 colors, mean squared error ")
    assert lines[1].startswith(f"  {result.hex[0]}  ")
    assert len(lines) == 18
    assert lines[-1] == "  ... 4 more"


def test_the_image_is_not_modified():
    image = noise((40, 50, 3))
    copy = image.copy()
    quantize(image, 7, random_state=0).image[:] = 0
    np.testing.assert_array_equal(image, copy)


# --- memory --------------------------------------------------------------------------------------------------------

MEMORY = (
    MEASURED
    + """
import numpy as np
from PIL import Image
from fastcluster_ext import quantize
with Image.open(sys.argv[1]) as picture:
    image = np.asarray(picture)
    del picture
print(extra_memory(lambda: quantize(image, 16, random_state=0)), image.nbytes)
"""
)


@needs_memory_peaks
def test_memory_of_quantize():
    added, size = map(int, run_python(MEMORY, REPOSITORY / "examples" / "dandelion.jpg").stdout.split())
    assert added <= size + 100_000_000


# --- palettes of colors that occur ---------------------------------------------------------------------------------


def test_medoid_palettes_are_colors_of_the_image():
    generator = np.random.default_rng(0)
    image = generator.integers(0, 6, (40, 50, 3)).astype(np.uint8) * 40
    small = quantize(image, 5, method="kmedoids", random_state=0)
    colors, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
    for color in small.palette:
        assert (colors == color).all(axis=1).any()
    # Every pixel has the nearest of them by Manhattan distance, and no swap of one for another color is cheaper.
    distances = np.abs(colors[:, np.newaxis] - small.centers).sum(axis=2)
    loss = (distances.min(axis=1) * counts).sum()
    shown = np.abs(image - small.image.astype(float)).sum()
    assert shown == loss
    between = np.abs(colors[:, np.newaxis] - colors.astype(float)).sum(axis=2)
    for j in range(5):
        rest = np.delete(distances, j, axis=1).min(axis=1)
        assert (np.minimum(rest[:, np.newaxis], between) * counts[:, np.newaxis]).sum(axis=0).min() >= loss
    difference = (image.reshape(-1, 3) - small.image.reshape(-1, 3).astype(float)) ** 2
    assert small.inertia == pytest.approx(difference.sum())
    assert small.counts.sum() == 2000


def test_medoid_palettes_of_bad_arguments():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    with pytest.raises(ValueError, match="method must be one of 'kmeans', 'kmedoids', got 'pam'"):
        quantize(image, 2, method="pam")
    with pytest.raises(ValueError, match="k must be"):
        quantize(image, 17, method="kmedoids")
