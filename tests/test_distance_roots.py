"""The square roots of Euclidean distances are the correctly rounded ones: those of NumPy, which are the processor's.

The sums of squares to take roots of are made by points whose coordinates' squares add up to them without any rounding.
"""

import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastcluster_ext import cdist

# Rows that a block of sums has: each of its vectors meets both ways that roots are taken, see distance_root.
ROWS = 8


def squares(integers, exponent, dtype):
    """Points from 0, at squared distances of integers < 2^54 times 2^exponent, even, and these squares.

    Ever smaller coordinates: what each leaves is at most twice its root, so soon nothing is left. None is so large that
    its square would have to be rounded, as not every instruction set adds squares unrounded.
    """
    most = 1 << (np.finfo(dtype).nmant + 1) // 2
    left, columns = integers.copy(), []
    while left.any():
        root = np.sqrt(left.astype(np.float64)).astype(np.int64)
        root = np.minimum(root - (root * root > left), most)
        columns.append(root)
        left = left - root * root
    scale = 2.0 ** (exponent // 2)
    points = np.stack(columns[::-1], axis=1) * scale
    return points.astype(dtype), (integers * scale * scale).astype(dtype)


def check(integers, exponent, dtype):
    points, wanted = squares(np.asarray(integers, dtype=np.int64), exponent, dtype)
    origins = np.zeros((ROWS, points.shape[1]), dtype=dtype)
    assert_array_equal(cdist(origins[:1], points, "sqeuclidean")[0], wanted)
    found = cdist(origins, points)
    for row in found:
        assert_array_equal(row, np.sqrt(wanted))


def test_all_float32():
    # The mantissas of two exponents; others differ by even powers of two alone.
    for start in range(1 << 23, 1 << 24, 1 << 21):
        mantissas = np.arange(start, start + (1 << 21))
        check(mantissas, 0, np.float32)
        check(2 * mantissas, 0, np.float32)


@pytest.mark.parametrize("exponent", [-52, 0, 52, -900, 900])
def test_random_float64(exponent):
    mantissas = np.random.default_rng(exponent % 97).integers(1 << 52, 1 << 53, size=200_000)
    check(mantissas, exponent, np.float64)
    check(2 * mantissas, exponent, np.float64)


def square_roots_modulo(residue, bits):
    """All integers m < 2^bits with m^2 = residue modulo 2^bits; residue = 1 modulo 8."""
    root = 1
    for bit in range(3, bits):
        if (root * root - residue) >> bit & 1:
            root += 1 << (bit - 1)
    modulus = 1 << bits
    return {(sign * root + half) % modulus for sign in (1, -1) for half in (0, modulus // 2)}


def test_roots_beside_the_middle_of_two_doubles():
    """m^2 + k = x 2^s: the root of x, scaled, is off the middle of two doubles, m odd of 54 bits, by k / 2 m.

    Roots err by 2^-53 of a unit in the last place at most before they are rounded, so |k| < 9 could go wrong.
    """
    found = []
    for bits in (54, 55):
        for k in range(-4001, 4000, 8):
            for middle in square_roots_modulo(-k, bits):
                for m in range(middle, 1 << 54, 1 << bits):
                    square = m * m + k
                    if m * m >> 106 and square % (1 << bits) == 0 and (square >> 107 == 0) == (bits == 54):
                        found.append(square >> bits << bits % 2)
    assert len(found) > 1000
    assert {2**52 + 1, 2 * (2**53 - 1)} <= set(found)  # k = -1
    check(found, 0, np.float64)
    check(found, -700, np.float64)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_beside_powers_of_two(dtype):
    bits = np.finfo(dtype).nmant
    for power in (1 << bits, 1 << (bits + 1)):
        spacing = power >> bits
        above = power + np.arange(5000) * spacing
        below = power - np.arange(1, 5000) * max(spacing // 2, 1) if power > 1 << bits else above
        check(np.concatenate([above, below]), 0, dtype)


@pytest.mark.parametrize(("dtype", "powers"), [(np.float64, range(-540, 520)), (np.float32, range(-80, 70))])
def test_the_whole_range_zero_and_infinity(dtype, powers):
    """One coordinate, whose square may overflow or underflow: whatever it becomes, the root is its root."""
    values = np.array([0.0, math.inf, *(factor * 2.0**power for power in powers for factor in (1, 1.3, 1.7))])
    points = np.repeat(values, 3)[:, None].astype(dtype)
    points[1::3] = 1
    with np.errstate(all="ignore"):
        wanted = np.sqrt(points * points)[:, 0]
    origins = np.zeros((ROWS, 1), dtype=dtype)
    for row in cdist(origins, points):
        assert_array_equal(row, wanted)
    for row in cdist(origins, np.full((64, 1), np.nan, dtype=dtype)):
        assert np.isnan(row).all()
