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


def best_single_move(points, labels, k, weights=None):
    """By how much the inertia could fall if one point (of positive weight, not alone) changed its cluster."""
    points, best = np.asarray(points, dtype=float), 0.0
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, dtype=float)
    sizes = np.bincount(labels, weights, minlength=k)
    counts = np.bincount(labels[weights > 0], minlength=k)
    centers = np.stack([np.average(points[labels == j], axis=0, weights=weights[labels == j]) for j in range(k)])
    squared = squared_distances(points, centers)
    for i in np.flatnonzero((weights > 0) & (counts[labels] > 1)):
        own, w = labels[i], weights[i]
        costs = w * sizes / (sizes + w) * squared[i]
        costs[own] = np.inf
        if sizes[own] > w:
            best = max(best, w * sizes[own] / (sizes[own] - w) * squared[i, own] - costs.min())
    return best


def one_at_a_time(points, centers, algorithm, weights=None):
    """Hartigan's algorithm or MacQueen's: (labels, passes)."""
    points, k = np.asarray(points, dtype=float), len(centers)
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, dtype=float)
    labels, passes, moved = nearest(points, centers), 0, True
    sizes = np.bincount(labels, weights, minlength=k)
    means = np.stack([np.average(points[labels == j], axis=0, weights=weights[labels == j]) for j in range(k)])
    while moved:
        moved, passes = False, passes + 1
        for i in np.flatnonzero(weights > 0):
            x, w, own = points[i], weights[i], labels[i]
            if (labels[weights > 0] == own).sum() == 1:
                continue
            squared = ((x - means) ** 2).sum(axis=1)
            if algorithm == "hartigan":
                squared *= np.where(np.arange(k) == own, sizes / np.maximum(sizes - w, 1e-300), sizes / (sizes + w))
            best = int(squared.argmin())
            if squared[best] < squared[own] or (squared[best] == squared[own] and best < own):
                means[own] = (means[own] * sizes[own] - w * x) / (sizes[own] - w)
                means[best] = (means[best] * sizes[best] + w * x) / (sizes[best] + w)
                sizes[own] -= w
                sizes[best] += w
                labels[i], moved = best, True
    return labels, passes


def hartigan_wong(points, centers):
    """AS 136 step by step, after Hartigan and Wong (1979): labels, centers, and optimal-transfer stages."""
    X, C = np.asarray(points, dtype=float).tolist(), np.asarray(centers, dtype=float).tolist()
    n, k = len(X), len(C)

    def apart(i, j):
        return sum((x - c) ** 2 for x, c in zip(X[i], C[j], strict=True))

    order = [sorted(range(k), key=lambda j, i=i: apart(i, j)) for i in range(n)]
    first, second = [o[0] for o in order], [o[1] for o in order]
    sizes = [first.count(j) for j in range(k)]
    C = [[sum(X[i][c] for i in range(n) if first[i] == j) / sizes[j] for c in range(len(X[0]))] for j in range(k)]
    changed_quickly, live, stages, quiet = [True] * k, [0] * k, 0, 0

    def move(i, to):
        own = first[i]
        C[own] = [(c * sizes[own] - x) / (sizes[own] - 1) for c, x in zip(C[own], X[i], strict=True)]
        C[to] = [(c * sizes[to] + x) / (sizes[to] + 1) for c, x in zip(C[to], X[i], strict=True)]
        sizes[own] -= 1
        sizes[to] += 1
        first[i], second[i] = to, own

    while True:
        stages += 1
        updated = [0] * k
        live = [n + 1 if quickly else until for quickly, until in zip(changed_quickly, live, strict=True)]
        for i in range(n):
            step, own, quiet = i + 1, first[i], quiet + 1
            if sizes[own] > 1:
                to = second[i]
                least = apart(i, to) * sizes[to] / (sizes[to] + 1)
                for j in range(k):
                    if j not in (own, second[i]) and (step < live[own] or step < live[j]):
                        cost = apart(i, j) * sizes[j] / (sizes[j] + 1)
                        to, least = (j, cost) if cost < least else (to, least)
                second[i] = to
                if least < apart(i, own) * sizes[own] / (sizes[own] - 1):
                    quiet = 0
                    live[own] = live[to] = n + step
                    updated[own] = updated[to] = step
                    move(i, to)
            if quiet == n:
                return np.array(first), np.array(C), stages
        changed_quickly, live = [False] * k, [until - n for until in live]
        step = idle = 0
        while idle < n:
            i, step, idle = step % n, step + 1, idle + 1
            own, to = first[i], second[i]
            if sizes[own] == 1 or (step >= updated[own] and step >= updated[to]):
                continue
            gain = apart(i, own) * sizes[own] / (sizes[own] - 1)
            if apart(i, to) * sizes[to] / (sizes[to] + 1) < gain:
                quiet = idle = 0
                changed_quickly[own] = changed_quickly[to] = True
                updated[own] = updated[to] = step + n
                move(i, to)
        if k == 2:
            return np.array(first), np.array(C), stages


def lloyd_of_metric(points, centers, metric, weights=None, max_iter=300):
    """k-medians ("manhattan") or spherical k-means ("cosine"), with no cluster ever empty: (centers, labels)."""
    points, centers = np.asarray(points, dtype=float), np.array(centers, dtype=float)
    weights = np.ones(len(points)) if weights is None else np.asarray(weights, dtype=float)
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    for _ in range(max_iter):
        if metric == "manhattan":
            costs = np.abs(points[:, np.newaxis] - centers).sum(axis=2)
        else:
            costs = 1 - units @ (centers / np.linalg.norm(centers, axis=1, keepdims=True)).T
        labels = costs.argmin(axis=1)
        before = centers.copy()
        for j in range(len(centers)):
            own = labels == j
            if metric == "manhattan":
                centers[j] = np.median(np.repeat(points[own], weights[own].astype(int), axis=0), axis=0)
            else:
                total = (weights[own, np.newaxis] * units[own]).sum(axis=0)
                centers[j] = total / np.linalg.norm(total)
        if np.allclose(before, centers, rtol=1e-14, atol=0):
            break
    return centers, labels


# --- images --------------------------------------------------------------------------------------------------------


def histogram(pixels):
    """Distinct colors in ascending order, and their counts, of (..., c) pixels."""
    pixels = np.asarray(pixels)
    return np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0, return_counts=True)


# --- k-medoids -----------------------------------------------------------------------------------------------------


def swaps(distances, start, weights=None, eager=True):
    """Swaps (gone, come) of FasterPAM, candidates in the order of their numbers, or of PAM; ties to the lowest."""
    medoids, done, since, candidate = list(start), [], 0, 0
    weights = np.ones(len(distances)) if weights is None else weights

    def losses(c):
        return [weights @ distances[:, [*medoids[:i], c, *medoids[i + 1 :]]].min(axis=1) for i in range(len(medoids))]

    while since < len(distances):
        loss = weights @ distances[:, medoids].min(axis=1)
        tried = [candidate] if eager else range(len(distances))
        least, c, i = min((least, c, i) for c in tried for i, least in enumerate(losses(c)))
        if least < loss * (1 - 1e-9):
            done.append((medoids[i], c))
            medoids[i], since = c, 0
        else:
            since += len(tried)
        candidate = (candidate + 1) % len(distances)
    return done


def seeded_medoid_problem(seed):
    """300 points of six clusters and six rows to start from; RandomState's streams are the same in every NumPy."""
    draw = np.random.RandomState(seed)
    X = 5 * draw.standard_normal((6, 2))[draw.randint(0, 6, 300)] + draw.standard_normal((300, 2))
    return X, draw.permutation(300)[:6]
