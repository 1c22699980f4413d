"""Five points a (1,1), b (2,1), c (4,5), d (7,7), e (5,7), as they are worked by hand: k-means, then a hierarchy.

python examples/five_points_by_hand.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np

from fastcluster_ext import kmeans, linkage, pdist, squareform
from fastcluster_ext.plot import dendrogram, steps, voronoi

NAMES = "abcde"
POINTS = np.array([[1, 1], [2, 1], [4, 5], [7, 7], [5, 7]])


def main(folder):
    """Print every table of the two algorithms, and draw the iterations and the cells."""
    folder.mkdir(parents=True, exist_ok=True)
    result = kmeans(POINTS, 2, init=POINTS[:2], history=True)
    for step in result.history:
        print(f"iteration {step.iteration}: centers", *(tuple(center.round(2).tolist()) for center in step.centers))
        for name, distances, label in zip(NAMES, step.distances(POINTS), step.labels, strict=True):
            print(f"  {name}", *(f"{distance:6.2f}" for distance in distances), f"-> cluster {label + 1}")
        print(f"  sum of squares {step.inertia:.4g}")
    print(f"the centers stand still: {result.inertia:.4g} of {result.total_inertia:.4g} is left")

    panels = steps(POINTS, result)
    figure = panels[0].figure
    figure.savefig(folder / "five_points_steps.png")
    figure.clear()
    cells = voronoi(result, POINTS, ax=figure.add_subplot())
    for name, point in zip(NAMES, POINTS, strict=True):
        cells.annotate(name, point, xytext=(5, 5), textcoords="offset points")
    figure.savefig(folder / "five_points_cells.png")

    print("\nEuclidean distances:")
    for name, row in zip(NAMES, squareform(pdist(POINTS)), strict=True):
        print(f"  {name}", *(f"{distance:5.2f}" for distance in row))
    figure.clear()
    methods = ("single", "complete", "average")
    for method, ax in zip(methods, figure.subplots(1, 3), strict=True):
        clusters = list(NAMES)
        print(f"{method} linkage:")
        tree = linkage(POINTS, method)
        for first, second, height, _ in tree:
            clusters.append(clusters[int(first)] + clusters[int(second)])
            print(f"  {clusters[int(first)]} + {clusters[int(second)]} at {height:.2f}")
        dendrogram(tree, labels=NAMES, n_clusters=2, ax=ax).set_title(method)
    figure.savefig(folder / "five_points_trees.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
