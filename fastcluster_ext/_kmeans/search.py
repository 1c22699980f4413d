"""Which search for the nearest center Lloyd's algorithm uses. The labels are the same whichever it is."""

from __future__ import annotations

from typing import Any

from fastcluster_ext import _kernels
from fastcluster_ext._kmeans.result import Floats
from fastcluster_ext._validation import Array

__all__ = ["EXPECTED_ITERATIONS", "search_for"]

EXPECTED_ITERATIONS = 20  # of one run; most runs take more

# When ordering the points first pays (`_boxes_pay`). Of less than _BOX_SOME_POINTS: by the least iterations x centers
# for each number of columns, of few points and of more.
_BOX_LEAST_POINTS = 1024
_BOX_FEW_POINTS = 2**12
_BOX_SOME_POINTS = 2**14
_BOX_MANY_POINTS = 2**16
_BOX_LEAST_WORK = 80
_BOX_LEAST_WORK_OF_FEW = {1: 1280, 2: 1280}
_BOX_LEAST_WORK_OF_MORE = {1: 80, 2: 180, 3: 1280, 4: 20480}
_QUICK_COLUMNS = (3, 4)  # that the plain search adds up quickest
_BOX_NARROWEST = 4  # of which boxes may need clusters
_BOX_WIDE = 6
_BOX_VERY_WIDE = 7  # columns; of so wide points there have to be
_BOX_LEAST_POINTS_A_CENTER = 384
_BOX_MOST_COLUMNS = 8
_BOX_VERY_FEW_CENTERS = 4
_BOX_FEWEST_CENTERS = 8
_BOX_FEW_CENTERS = 16
_BOX_SOME_CENTERS = 64
_BOX_MOST_PAIRS = 0.9  # of not so many points and more than _BOX_SOME_CENTERS that boxes may leave at first
# Iterations after which boxes are taken where balls do not pay, and the share of the pairs of points and centers that
# balls may leave for that, of up to _BOX_SOME_CENTERS and of more.
_BOX_PATIENCE = 2
_BOX_MOST_PAIRS_LEFT = 0.85
_BOX_MOST_PAIRS_LEFT_OF_MORE = 0.7

# When keeping bounds pays (`_bounds_pay`).
_BOUND_LEAST_POINTS = 1024
_BOUND_LEAST_COLUMNS = 4
_BOUND_LEAST_WORK = 5120  # centers x columns
_BOUND_MANY_CENTERS = 1024  # enough for the fewest columns
_BOUND_WIDE = 48  # columns from which a few centers are enough
_BOUND_LEAST_CENTERS = 16
_BOUND_MOST_CENTERS = 8192
_BOUND_LEAST_ITERATIONS = 4
_BOUND_MOST_BYTES = 2**30  # a quarter of a byte for each pair of a point and a center
# Iterations after which they pay even where points have no clusters: labels hardly change then; sooner of wide points,
# as they save the more, unless few points and few centers make little of it.
_BOUND_PATIENCE = 32
_BOUND_PATIENCE_OF_WIDE = 8
_BOUND_PATIENCE_OF_FEW = 4  # points a center, less than _BALL_SOME_POINTS_A_CENTER
_BOUND_FEW_POINTS = 2**13
_BOUND_SOME_CENTERS = 32

# When balls of points are tried (`_balls_may_pay`).
_BALL_LEAST_POINTS = 1024
_BALL_LEAST_COLUMNS = 5
_BALL_LEAST_CENTERS = 8
_BALL_LEAST_WORK = 250_000  # points x columns x centers
_BALL_WIDE = 10  # columns; of fewer, few points a center are too few
_BALL_LEAST_CENTERS_BESIDE_BOXES = 32  # boxes, where they pay, do as well with a few centers
_BALL_LEAST_POINTS_A_CENTER = 32  # where bounds do not pay
_BALL_LEAST_POINTS_A_CENTER_OF_WIDE = 16
_BALL_SOME_POINTS_A_CENTER = 64  # where bounds pay
_BALL_SOME_POINTS_A_CENTER_OF_WIDE = 28  # the same from _BOUND_WIDE columns on
_BALL_SOME_POINTS_A_CENTER_OF_VERY_WIDE = 24  # where bounds pay less if there are fewer clusters than centers
_BALL_VERY_WIDE = 128  # columns
_BALL_LEAST_ITERATIONS = 4
_BALL_MOST_BYTES = 2**31  # of the copy of the points
# Share of the pairs of a point and a center that balls may leave; less of few columns, which the plain search is quick
# with, and if centers are few, too, or boxes leave fewer.
_BALL_MOST_PAIRS = 0.33
_BALL_MOST_PAIRS_OF_NARROW = 0.25
_BALL_FEW_CENTERS = 48
_BALL_MOST_PAIRS_OF_BOXES = 0.2
# The same of a sample: where boxes pay, balls are tried only if they leave no more of it. Of clustered points it is
# three tenths at most.
_BALL_HOPEFUL_PAIRS = 0.35
# The same where boxes need clusters. Of points without any, balls leave nearly all, of few centers, or of _BOX_WIDE
# columns; else seven tenths at least.
_BALL_MOST_PAIRS_OF_FEW = 0.75
_BALL_MOST_PAIRS_OF_SOME = 0.6


def search_for(points: Array, weights: Floats | None, k: int, iterations: int, threads: int) -> Any:
    """Return the kernel that will be asked for about so many assignments of the points to k centers."""
    kernel = _kernels.load("lloyd")
    n, p = points.shape
    if _boxes_pay(points, k, iterations):
        return _search_by_boxes(points, weights, k, iterations, threads)
    kind = kernel.PlainSearch  # without balls, and where balls do not pay
    patience, most_pairs = 0, _BALL_MOST_PAIRS
    if _bounds_pay(points, k, iterations):
        kind, patience = kernel.GroupSearch, _BOUND_PATIENCE
        if p >= _BALL_VERY_WIDE and (n >= _BOUND_FEW_POINTS or k >= _BOUND_SOME_CENTERS):
            patience = _BOUND_PATIENCE_OF_WIDE
        elif n < _BALL_SOME_POINTS_A_CENTER * k:
            patience = _BOUND_PATIENCE_OF_FEW
    elif p <= _BOX_MOST_COLUMNS:
        most_pairs = _most_pairs_of_narrow(k)
    if not _balls_may_pay(points, k, iterations, kind is kernel.GroupSearch):
        return kind(points, weights, k, threads)
    otherwise = None if kind is kernel.PlainSearch else lambda: kind(points, weights, k, threads)
    return kernel.BallSearch(points, weights, k, threads, otherwise, patience, most_pairs)


def _search_by_boxes(points: Array, weights: Floats | None, k: int, iterations: int, threads: int) -> Any:
    """Return the same where boxes pay: for all points, or for clustered ones; or unless balls pay more for those."""
    kernel = _kernels.load("lloyd")
    n, p = points.shape
    few = k <= _BOX_FEWEST_CENTERS or p >= _BOX_WIDE
    most_pairs = _BALL_MOST_PAIRS_OF_FEW if few else _BALL_MOST_PAIRS_OF_SOME

    def boxes() -> Any:
        gives_up = k > _BOX_SOME_CENTERS and n < _BOX_MANY_POINTS
        return kernel.BoxSearch(points, weights, k, threads, most_pairs=_BOX_MOST_PAIRS if gives_up else 1.0)

    def if_clustered(share: float) -> Any:
        return boxes() if share <= most_pairs else None

    def unless_balls_pay(share: float) -> Any:
        if share > _BALL_HOPEFUL_PAIRS:
            return boxes()
        return kernel.BallSearch(points, weights, k, threads, boxes, 1, _BALL_MOST_PAIRS_OF_BOXES)

    if _boxes_need_clusters(points, k):
        return kernel.TrialSearch(points, weights, k, threads, if_clustered)
    if p < _BOX_WIDE or k < _BALL_LEAST_CENTERS_BESIDE_BOXES or not _balls_may_pay(points, k, iterations, False):
        return boxes()
    if n >= _BOX_MANY_POINTS:  # of which a sample is soon looked at
        return kernel.TrialSearch(points, weights, k, threads, unless_balls_pay)
    most_left = k * (_BOX_MOST_PAIRS_LEFT if k <= _BOX_SOME_CENTERS else _BOX_MOST_PAIRS_LEFT_OF_MORE)
    return kernel.BallSearch(points, weights, k, threads, boxes, _BOX_PATIENCE, _most_pairs_of_narrow(k), most_left)


def _most_pairs_of_narrow(k: int) -> float:
    return _BALL_MOST_PAIRS_OF_NARROW if k > _BALL_FEW_CENTERS else _BALL_MOST_PAIRS_OF_BOXES


# The rules were fitted to benchmarks/grid_kmeans_search.py: 212 sizes, 2 thousand to 200 thousand points, 1 to 256
# columns, 4 to 1024 centers, 20 iterations; two cores with AVX-512 that share a cache. Which search is best also
# depends on the data: at 200k x 6, k = 64, balls make clustered points twice as fast as boxes do, uniform ones no
# faster. Where the two disagree, the rules take what loses least at worst: the grid aims at a tenth, and counts the
# sizes that lose more. Of 5 to 8 columns, points were also looked at whose columns go together (of unequal widths, of a
# few factors, neighborhoods in a photo): boxes make them up to three times as fast, balls are slow to make.
#
# Where the cores share no cache, and a line takes 250 ns from one to the other instead of 50, or where others keep the
# multipliers busy, what is read again and again, and comparing all, takes up to twice as long: the rules were looked at
# in both states.


def _boxes_pay(points: Array, k: int, iterations: int) -> bool:
    """Return whether ordering the points by a k-d tree pays, to drop centers for whole boxes of them."""
    n, p = points.shape
    if not _BOX_LEAST_POINTS <= n < 2**32 or iterations * k < _BOX_LEAST_WORK or p > _BOX_MOST_COLUMNS:
        return False
    if n >= _BOX_MANY_POINTS:
        return p < _BOX_VERY_WIDE or k <= _BOX_FEW_CENTERS or n >= _BOX_LEAST_POINTS_A_CENTER * k
    if n >= _BOX_SOME_POINTS:
        return p < _BOX_WIDE or not _bounds_pay(points, k, iterations)
    if k <= _BOX_VERY_FEW_CENTERS and p not in _QUICK_COLUMNS:
        return True
    if n >= _BOX_FEW_POINTS and k <= _BOX_FEWEST_CENTERS and p not in _QUICK_COLUMNS:
        return True
    least = _BOX_LEAST_WORK_OF_MORE if n >= _BOX_FEW_POINTS else _BOX_LEAST_WORK_OF_FEW
    return p in least and min(iterations, EXPECTED_ITERATIONS) * k >= least[p]


def _boxes_need_clusters(points: Array, k: int) -> bool:
    """Return whether boxes, where they pay, do so for clustered points only."""
    n, p = len(points), points.shape[1]  # len() is an int to type checkers, too
    return p >= _BOX_NARROWEST and _BOX_VERY_FEW_CENTERS < k <= _BOX_FEW_CENTERS and n < _BOX_SOME_POINTS


def _balls_may_pay(points: Array, k: int, iterations: int, bounds_pay: bool) -> bool:
    """Return whether to try to drop centers for balls of points; on data without clusters the search gives them up."""
    n, p = points.shape
    wide = p >= _BALL_WIDE
    enough = _BALL_LEAST_POINTS_A_CENTER_OF_WIDE if wide else _BALL_LEAST_POINTS_A_CENTER
    if bounds_pay and p >= _BALL_VERY_WIDE:
        enough = _BALL_SOME_POINTS_A_CENTER_OF_VERY_WIDE
    elif bounds_pay:
        enough = _BALL_SOME_POINTS_A_CENTER if p < _BOUND_WIDE else _BALL_SOME_POINTS_A_CENTER_OF_WIDE
    return (
        p >= _BALL_LEAST_COLUMNS
        and _BALL_LEAST_POINTS <= n < 2**32
        and _BALL_LEAST_CENTERS <= k <= n // enough
        and n * p * k >= _BALL_LEAST_WORK
        and iterations >= _BALL_LEAST_ITERATIONS
        and points.size * max(4, points.dtype.itemsize) <= _BALL_MOST_BYTES
    )


def _bounds_pay(points: Array, k: int, iterations: int) -> bool:
    """Return whether keeping bounds of the distances to groups of centers pays."""
    n, p = points.shape
    return (
        p >= _BOUND_LEAST_COLUMNS
        and _BOUND_LEAST_POINTS <= n < 2**32
        and _BOUND_LEAST_CENTERS <= k <= _BOUND_MOST_CENTERS
        and (k * p >= _BOUND_LEAST_WORK or k >= _BOUND_MANY_CENTERS or p >= _BOUND_WIDE)
        and iterations >= _BOUND_LEAST_ITERATIONS
        and n * k // 4 <= _BOUND_MOST_BYTES
    )
