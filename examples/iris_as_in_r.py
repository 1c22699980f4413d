"""Iris, as in R: kmeans(iris[, 1:4], 3, nstart = 20), the table of clusters and species, and how many clusters.

python examples/iris_as_in_r.py FOLDER
"""

import sys
from pathlib import Path

from sklearn.datasets import load_iris

import fastcluster_ext
from fastcluster_ext import adjusted_rand_score, contingency, kmeans
from fastcluster_ext.plot import choose_k, clusters, silhouette


def main(folder):
    """Print what R prints, and draw the clusters beside the species."""
    folder.mkdir(parents=True, exist_ok=True)
    iris = load_iris(as_frame=True)
    species = iris.target_names[iris.target]

    result = kmeans(iris.data, 3, n_init=20, random_state=0)
    print(result)

    table = contingency(species, result.labels)
    print("\nspecies by cluster:")
    for name, row in zip(iris.target_names, table, strict=True):
        print(f"  {name:12}", *(f"{count:4}" for count in row))
    print(f"{table.max(axis=0).sum() / table.sum():.1%} of the flowers are in the cluster of their species")
    print(f"adjusted Rand index {adjusted_rand_score(species, result.labels):.3f}")

    beside, _ = clusters(iris.data, result, classes=species)
    beside.figure.savefig(folder / "iris_clusters.png")

    numbers = fastcluster_ext.choose_k(iris.data, range(1, 9), random_state=0)
    print("\nsuggested numbers of clusters:", numbers.suggested)
    panels = choose_k(numbers)
    panels[0].figure.savefig(folder / "iris_choose_k.png")

    panels[0].figure.clear()
    ax = silhouette(iris.data, result.labels, ax=panels[0].figure.add_subplot())
    ax.figure.savefig(folder / "iris_silhouette.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
