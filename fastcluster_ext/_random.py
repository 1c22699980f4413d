"""Random numbers: `random_state`, in every spelling users bring, as one function that draws uniforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["RandomState", "Uniforms", "generator_from", "uniforms_from"]

# A string, because naming numpy.random imports it: 18 ms that only calls with randomness should pay.
RandomState: TypeAlias = "int | np.integer[Any] | np.random.Generator | np.random.RandomState | None"

Uniforms: TypeAlias = Callable[[Any], npt.NDArray[np.float64]]


def uniforms_from(random_state: RandomState) -> Uniforms:
    """Return a function `shape -> float64 array` that draws from [0, 1).

    An integer seeds a new stream, so that equal seeds give equal results; None draws fresh entropy; a
    `numpy.random.Generator` or `RandomState` is used and advanced.

    Raises
    ------
    TypeError, ValueError
        If `random_state` is none of these, or a negative integer.
    """
    generator = generator_from(random_state)
    return generator.random_sample if isinstance(generator, np.random.RandomState) else generator.random


def generator_from(random_state: RandomState) -> np.random.Generator | np.random.RandomState:
    """Return what `uniforms_from` draws from: for calls that draw more than once in one stream.

    Raises
    ------
    TypeError, ValueError
        As `uniforms_from` does.
    """
    if isinstance(random_state, (np.random.Generator, np.random.RandomState)):
        return random_state
    if random_state is None:
        return np.random.default_rng()
    if isinstance(random_state, (int, np.integer)) and not isinstance(random_state, (bool, np.bool_)):
        if random_state < 0:
            raise ValueError(f"random_state must not be negative, got {random_state}")
        return np.random.default_rng(int(random_state))
    raise TypeError(
        "random_state must be None, a non-negative int, a numpy.random.Generator or a numpy.random.RandomState, "
        f"got {type(random_state).__name__}"
    )
