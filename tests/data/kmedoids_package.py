"""What the PyPI package kmedoids finds: python tests/data/kmedoids_package.py > tests/data/kmedoids_package.json"""

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

import kmedoids

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference import seeded_medoid_problem

losses = {"fasterpam": [], "fastpam1": []}
for seed in range(20):
    X, start = seeded_medoid_problem(seed)
    distances = cdist(X, X, "cityblock")
    # On several CPUs fasterpam tries candidates in a random order.
    losses["fasterpam"].append(kmedoids.fasterpam(distances, start.astype(np.uint64), n_cpu=1).loss)
    losses["fastpam1"].append(kmedoids.fastpam1(distances, start.astype(np.uint64)).loss)
X, start = seeded_medoid_problem(0)
fixture = {
    "versions": {name: importlib.metadata.version(name) for name in ("kmedoids", "numpy", "scipy", "scikit-learn")},
    "losses": losses,
    "medoid_silhouette": kmedoids.medoid_silhouette(cdist(X, X, "cityblock"), start.astype(np.uint64))[0],
    "parameters": kmedoids.KMedoids(3, random_state=0).get_params(),
    "attributes": sorted(
        name
        for name in vars(kmedoids.KMedoids(3, metric="euclidean", random_state=0).fit(X))
        if name.endswith("_") and not name.startswith("_")
    ),
}
print(json.dumps(fixture, indent=1))
