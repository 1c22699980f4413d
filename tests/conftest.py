import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[1]

# Pictures are drawn into memory, also by processes that tests start.
os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture(scope="session")
def photo():
    """The photograph, 2988 x 5312 x 3 uint8, read-only."""
    with Image.open(REPOSITORY / "examples" / "dandelion.jpg") as picture:
        pixels = np.asarray(picture)
    pixels.flags.writeable = False
    return pixels


@pytest.fixture(scope="session")
def photo_histogram(photo):
    """Its distinct colors and their counts, by another way than the library's."""
    keys = photo.reshape(-1, 3).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    counts = np.bincount(keys, minlength=1 << 24)
    present = np.flatnonzero(counts)
    colors = np.stack([present >> 16, present >> 8 & 255, present & 255], axis=1).astype(np.uint8)
    return colors, counts[present]


@pytest.fixture(scope="session")
def iris():
    """Iris, 150 x 4 float64."""
    from sklearn.datasets import load_iris  # not there where only the tests of kernels are run

    return load_iris().data
