"""The colors of a photograph: sixteen that stand for all of them, and how they lie in the color cube.

python examples/photo_colors.py FOLDER
"""

import sys
from pathlib import Path

from matplotlib import pyplot
from PIL import Image

from fastcluster_ext import ColorHistogram, quantize
from fastcluster_ext.plot import color_scatter, palette

PHOTO = Path(__file__).parent / "dandelion.jpg"


def main(folder):
    """Reduce the photograph to sixteen colors, and draw them."""
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(PHOTO) as photo:
        histogram = ColorHistogram.from_image(photo)
        reduced = quantize(photo, 16, random_state=0)
    print(f"{histogram.counts.sum()} pixels of {len(histogram.colors)} colors, reduced to {len(reduced.palette)}:")
    for code, percent in zip(reduced.hex, reduced.percent, strict=True):
        print(f"  {code}  {percent:5.1f} %")

    Image.fromarray(reduced.image[::4, ::4]).save(folder / "photo_reduced.png")

    figure = pyplot.figure(figsize=(10, 1.4), layout="constrained")
    palette(reduced, ax=figure.add_subplot())
    figure.savefig(folder / "photo_palette.png")

    cloud = color_scatter(histogram, palette=reduced)
    cloud.figure.savefig(folder / "photo_cloud.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
