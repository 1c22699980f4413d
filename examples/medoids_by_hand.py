"""k-medoids by hand: eight points by alternating, ten points by PAM, both with Manhattan distances.

python examples/medoids_by_hand.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import pyplot

from fastcluster_ext import cdist, kmedoids
from fastcluster_ext.plot import clusters

EIGHT = np.array([[0, 2], [1, 1], [2, 0], [1, 3], [2, 3], [5, 5], [6, 6], [7, 7]])
TEN = np.array([[8, 7], [3, 7], [4, 9], [9, 6], [8, 5], [5, 8], [7, 3], [8, 4], [7, 5], [4, 5]])


def point(points, row):
    """Return a point as it is written by hand."""
    return "({}, {})".format(*points[row])


def follow(points, **start):
    """Cluster, print each change of medoids, and return the result."""
    result = kmedoids(points, 2, history=True, **start)
    for step in result.history:
        print(f"  medoids {' and '.join(point(points, row) for row in step.medoids)}: cost {step.loss:g}")
    return result


def main(folder):
    """Print the costs and draw the clusters."""
    folder.mkdir(parents=True, exist_ok=True)
    print("alternating from (1, 1) and (2, 3):")
    first = follow(EIGHT, method="alternate", init=[1, 4])
    print("  clusters of", *first.sizes)

    print("PAM from (4, 5) and (8, 5):")
    start = [9, 4]
    for medoids in (start, [9, 7]):
        cost = cdist(TEN, TEN[medoids], "cityblock").min(axis=1).sum()
        print(f"  by hand, {' and '.join(point(TEN, row) for row in medoids)} costs {cost:g}")
    second = follow(TEN, method="pam", init=start)

    figure, panels = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for ax, points, result in zip(panels, (EIGHT, TEN), (first, second), strict=True):
        clusters(points, result, ax=ax)
        ax.set_title(f"cost {result.loss:g}")
    figure.savefig(folder / "medoids.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
