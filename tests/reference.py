"""Slow and obvious NumPy versions of what the library computes; the tests compare with these."""

import numpy as np

# --- k-means -------------------------------------------------------------------------------------------------------


def squared_distances(points, centers):
    """(n, k) squared distances in float64, features added up in order."""
    points, centers = np.asarray(points, dtype=float), np.asarray(centers, dtype=float)
    squared = np.zeros((len(points), len(centers)))
    for i in range(points.shape[1]):
        squared += (points[:, i, np.newaxis] - centers[:, i]) ** 2
    return squared


def nearest(points, centers):
    """Index of the nearest center of each point, the lowest of equals."""
    rows = max(1, 4_000_000 // len(centers))
    return np.concatenate(
        [squared_distances(points[at : at + rows], centers).argmin(axis=1) for at in range(0, len(points), rows)]
    )


def inertia(points, centers, weights=None):
    """Weighted sum of squared distances to the nearest center."""
    squared = squared_distances(points, centers).min(axis=1)
    return float((squared if weights is None else weights * squared).sum())


def cluster_weights(points, centers, weights=None):
    """Sum of the weights of the points nearest to each center."""
    return np.bincount(nearest(points, centers), weights, minlength=len(centers)).astype(float)


def refilled(points, centers, empty, weights, moved, means=False):
    """Put the `empty` centers of `moved`, one after the other, onto the point farthest from all centers.

    If the centers are `means`, the one of the cluster that the point is taken from is taken again.
    """
    moved = moved.copy()
    labels = nearest(points, centers)
    closest = squared_distances(points, centers).min(axis=1)
    for j in empty:
        cost = np.where(weights > 0, closest, -1.0)
        moved[j] = min(points[cost == cost.max()].tolist())  # of equals, the first in sorted order
        equal = (points == moved[j]).all(axis=1)
        donor = labels[equal][0]
        labels[equal] = j
        left = labels == donor
        if means and weights[left].sum() > 0:
            moved[donor] = (weights[left, np.newaxis] * points[left]).sum(axis=0) / weights[left].sum()
        closest = np.minimum(closest, squared_distances(points, moved[j : j + 1])[:, 0])
    return moved


def lloyd(points, centers, max_iter=300, tolerance=0.0, weights=None):
    """Lloyd's algorithm from given centers: (labels, centers, inertia, n_iter)."""
    points, centers = np.asarray(points, dtype=float), np.array(centers, dtype=float)
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, dtype=float)
    for n_iter in range(1, max_iter + 1):  # noqa: B007
        labels = nearest(points, centers)
        moved = centers.copy()
        filled = np.bincount(labels, weights, minlength=len(centers)) > 0
        for j in np.flatnonzero(filled):
            own = labels == j
            moved[j] = (weights[own, np.newaxis] * points[own]).sum(axis=0) / weights[own].sum()
        moved = refilled(points, centers, np.flatnonzero(~filled), weights, moved, means=True)
        shift = ((moved - centers) ** 2).sum()
        centers = moved
        if shift <= tolerance:
            break
    while not (cluster_weights(points, centers, weights) > 0).all():
        empty = np.flatnonzero(cluster_weights(points, centers, weights) == 0)
        centers = refilled(points, centers, empty, weights, centers)
    return nearest(points, centers), centers, inertia(points, centers, weights), n_iter


def greedy_kmeans_plusplus(points, uniforms, weights=None):
    """Indices of the seeds that the k x candidates `uniforms` draw."""
    points = np.asarray(points, dtype=float)
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, dtype=float)
    closest, seeds = np.ones(len(points)), []
    for step, row in enumerate(uniforms):
        room = np.cumsum(weights * closest)
        candidates = np.searchsorted(room, row * room[-1], side="right")
        if step == 0:
            chosen, closest = candidates[0], np.full(len(points), np.inf)
        else:
            lowered = [np.minimum(closest, squared_distances(points, points[[c]])[:, 0]) for c in candidates]
            chosen = candidates[np.argmin([(weights * values).sum() for values in lowered])]
        closest = np.minimum(closest, squared_distances(points, points[[chosen]])[:, 0])
        seeds.append(int(chosen))
    return seeds


# --- images --------------------------------------------------------------------------------------------------------


def histogram(pixels):
    """Distinct colors in ascending order, and their counts, of (..., c) pixels."""
    pixels = np.asarray(pixels)
    return np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0, return_counts=True)
