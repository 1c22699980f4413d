"""The plane that shows points of many features best: their first two principal components."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastcluster_ext._validation import Array

__all__ = ["Plane"]


class Plane:
    """Two coordinates for points: the features if they are two, else the principal components of `points`.

    O(n p min(n, p)). Of a single feature, the second coordinate is 0.
    """

    def __init__(self, points: Array, names: tuple[str, ...] = ()) -> None:
        p = points.shape[1]
        self.names: tuple[str, str]
        if p <= 2:
            self._mean, self._directions = np.zeros(p), np.eye(p, 2)
            shown = names or tuple(f"feature {i}" for i in range(p))
            self.names = (shown[0], shown[1] if p == 2 else "")
            return
        self._mean = points.mean(axis=0, dtype=np.float64)
        deviations = points - self._mean
        wide = 2 <= len(points) < p  # then the smaller of the two matrices of products is that of the points
        variances, vectors = np.linalg.eigh(deviations @ deviations.T if wide else deviations.T @ deviations)
        best = vectors[:, :-3:-1]
        if wide:
            best = deviations.T @ best
            lengths = np.sqrt((best**2).sum(axis=0))
            best = best / np.where(lengths > 0, lengths, 1.0)
        # The largest part of each direction is positive, so that a picture is not mirrored by chance.
        largest = best[np.abs(best).argmax(axis=0), [0, 1]]
        self._directions = best * np.where(largest < 0, -1.0, 1.0)
        total = variances.sum()
        shares = np.maximum(variances[:-3:-1], 0.0) / total if total > 0 else np.zeros(2)
        self.names = (f"component 1 ({shares[0]:.1%})", f"component 2 ({shares[1]:.1%})")

    def project(self, points: Array) -> npt.NDArray[np.float64]:
        """Return the (n, 2) coordinates of points."""
        return np.asarray((points - self._mean) @ self._directions)
