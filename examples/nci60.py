"""NCI60: 64 cancer cell lines by the expression of 6830 genes; hierarchies and k-means beside the kinds of cancer.

python examples/nci60.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np

from fastcluster_ext import adjusted_rand_score, contingency, cut_tree, kmeans, linkage
from fastcluster_ext.plot import clusters, dendrogram, silhouette

DATA = Path(__file__).parents[1] / "tests" / "data" / "nci60.npz"


def main(folder):
    """Cut three trees and run k-means; print tables, and draw the clusters beside the kinds, and the tree."""
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(DATA) as data:
        expression, kinds = data["expression"].astype(float), data["tumour_type"]
    scaled = (expression - expression.mean(axis=0)) / expression.std(axis=0, ddof=1)

    for method in ("complete", "average", "single"):
        tree = linkage(scaled, method)
        sizes = np.bincount(cut_tree(tree, 4)[:, 0])
        print(f"{method:9} linkage: highest merge {tree[-1, 2]:.1f}, four clusters of", *sizes)

    tree = linkage(scaled, "complete")
    labels = cut_tree(tree, 4)[:, 0]
    print("\nkinds of cancer by cluster of complete linkage:")
    for kind, row in zip(np.unique(kinds), contingency(kinds, labels), strict=True):
        print(f"  {kind:12}", *(f"{count:3}" for count in row))

    found = kmeans(scaled, 4, n_init=20, random_state=0)
    print(f"\nk-means: clusters of {found.sizes}, inertia {found.inertia:.0f}")
    print(f"adjusted Rand index of the two {adjusted_rand_score(labels, found.labels):.3f}")

    beside, _ = clusters(scaled, labels, classes=kinds)
    beside.figure.savefig(folder / "nci60_clusters.png")
    beside.figure.clear()
    ax = silhouette(scaled, labels, ax=beside.figure.add_subplot())
    ax.figure.savefig(folder / "nci60_silhouette.png")
    ax.figure.clear()
    ax = dendrogram(tree, labels=kinds, n_clusters=4, ax=ax.figure.add_subplot())
    ax.figure.savefig(folder / "nci60_tree.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
