"""Numbers, vectors and tables as R prints them, but counted from 0: what results in R's layout are shown with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["aligned", "table", "vector"]

_DIGITS = 7  # R's getOption("digits")
_LINE = 80  # R's getOption("width")
_ALL, _FIRST = 1000, 100  # of more than `_ALL` values of a vector, the first are shown


def aligned(values: npt.ArrayLike) -> list[str]:
    """Return numbers of seven significant digits, all with as many decimals as the one that needs most."""
    numbers = [float(value) for value in np.asarray(values)]
    parts = [f"{value:.{_DIGITS - 1}e}".split("e") for value in numbers if math.isfinite(value)]
    mantissas = [len(mantissa.rstrip("0").partition(".")[2]) for mantissa, _ in parts]
    exponents = [int(exponent) for _, exponent in parts]
    decimals = max((m - e for m, e in zip(mantissas, exponents, strict=True)), default=0)
    fixed = [f"{value:.{max(0, decimals)}f}" for value in numbers]
    scientific = [f"{value:.{max(mantissas, default=0)}e}" for value in numbers]
    return fixed if max(map(len, fixed), default=0) <= max(map(len, scientific), default=0) else scientific


def vector(values: Sequence[Any] | npt.NDArray[Any]) -> list[str]:
    """Return lines of values in columns, each line with the position of its first value before it."""
    shown = [str(value) for value in (values if len(values) <= _ALL else values[:_FIRST])]
    width, place = max(map(len, shown), default=0), len(f"[{len(values) - 1}]")
    each = max(1, (_LINE - place) // (width + 1))
    lines = [
        " ".join([f"[{start}]".rjust(place), *(value.rjust(width) for value in shown[start : start + each])])
        for start in range(0, len(shown), each)
    ]
    return lines if len(shown) == len(values) else [*lines, f"... and {len(values) - len(shown)} more"]


def table(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Return lines of a table: the names, and what is in their columns, by row."""
    cells = [[name, *column] for name, column in columns.items()]
    cells.insert(0, ["", *(f"[{row},]" for row in range(len(cells[0]) - 1))])
    widths = [max(map(len, column)) for column in cells]
    return [
        " ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in zip(*cells, strict=True)
    ]
