"""Arguments become what kernels take, or an error that names the argument, what was wrong and what is allowed."""

from __future__ import annotations

import math
import operator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastcluster_ext import _kernels

__all__ = [
    "SQUARABLE",
    "SQUARED",
    "Array",
    "as_array",
    "as_points",
    "as_weights",
    "check_finite",
    "check_integer",
    "check_option",
    "check_real",
]

Array: TypeAlias = npt.NDArray[Any]

# Beyond this a squared difference may overflow float64; squares below the second lose digits, or vanish.
SQUARABLE = 1e150
SQUARED = 1e-290

_KERNEL_DTYPES = tuple(np.dtype(name) for name in ("uint8", "uint16", "float32", "float64"))


def as_array(values: Any, name: str) -> Array:
    """Return `values` as an array of a dtype that kernels read, in native byte order and aligned.

    uint8, uint16, float32 and float64 arrays are not copied, whatever their strides; float16 becomes float32; other
    integers and booleans become float64, as do tables of types that can lack values (pandas' Int64), those as NaN.
    """
    if values is None:
        raise TypeError(f"{name} must hold real numbers, got None")
    if hasattr(values, "toarray") and hasattr(values, "nnz"):
        raise TypeError(f"{name} is a sparse matrix; only dense data are supported, pass {name}.toarray()")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} has masked values; fill them or leave their rows out")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array: {error}") from error
    if array.dtype.kind == "O" and _holds_numbers(values):
        array = values.to_numpy(dtype=np.float64, na_value=np.nan)
    if array.dtype in _KERNEL_DTYPES:
        dtype = array.dtype
    elif array.dtype.kind == "f" and array.dtype.itemsize == 2:
        dtype = np.dtype(np.float32)
    elif array.dtype.kind in "iub" or (array.dtype.kind == "f" and array.dtype.itemsize <= 8):
        dtype = array.dtype.newbyteorder("=") if array.dtype.newbyteorder("=") in _KERNEL_DTYPES else np.dtype(float)
    else:
        hints = {"O": "; are there columns of text or of mixed types?", "f": "; at most 64 bits a number"}
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}{hints.get(array.dtype.kind, '')}")
    array = array.astype(dtype, copy=False)
    if not array.flags.aligned:
        array = array.copy()
    return array


def _holds_numbers(values: Any) -> bool:
    """Return whether all columns of a table are of numbers, though its array is of objects."""
    if not (hasattr(values, "dtypes") and hasattr(values, "to_numpy")):
        return False
    dtypes = values.dtypes
    return all(getattr(dtype, "kind", "O") in "iufb" for dtype in (dtypes if np.iterable(dtypes) else [dtypes]))


def as_points(values: Any, name: str = "X", *, finite: bool = True, n_threads: int = 1) -> Array:
    """Return `values` as an n x p array of points, n and p at least 1, all finite unless `finite` is False."""
    array = as_array(values, name)
    if array.ndim != 2:
        hint = ""
        if array.ndim == 1:
            hint = f"; use {name}.reshape(-1, 1) for n values of one feature"
        elif array.ndim == 3:
            hint = f"; use {name}.reshape(-1, {array.shape[2]}) for the pixels of an image"
        raise ValueError(f"{name} must be two-dimensional (n points x p features), got {array.ndim} dimensions{hint}")
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise ValueError(f"{name} is empty: its shape is {array.shape}")
    if finite:
        check_finite(array, name, n_threads=n_threads)
    return array


def check_finite(array: Array, name: str, *, limit: float = SQUARABLE, n_threads: int = 1) -> None:
    """Raise ValueError, naming the position, if a 2-D float array holds NaN, infinity or a value beyond +-limit."""
    if array.dtype.kind != "f":
        return
    if array.dtype == np.float32:
        limit = min(limit, float(np.finfo(np.float32).max))
    found = _kernels.load("finite").first_unusable(array, limit, n_threads=n_threads)
    if found is None:
        return
    start, stop = found
    with np.errstate(invalid="ignore"):
        row, column = (int(i) for i in np.argwhere(~(np.abs(array[start:stop]) <= limit))[0])
    value = array[start + row, column]
    if np.isnan(value) or np.isinf(value):
        raise ValueError(f"{name} holds {value} at row {start + row}, column {column}; all values must be finite")
    raise ValueError(
        f"{name} holds {value} at row {start + row}, column {column}; squares of values beyond {limit:g} overflow, "
        "rescale the data"
    )


def as_weights(values: Any, n: int, name: str = "sample_weight") -> npt.NDArray[np.float64] | None:
    """Return n weights as contiguous float64, none negative, not all zero; None for no weights, and for all ones."""
    if values is None:
        return None
    array = np.ascontiguousarray(as_array(values, name), dtype=np.float64)
    if array.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one weight for each point, got {array.shape}")
    if not np.isfinite(array).all():
        position = int(np.argmin(np.isfinite(array)))
        raise ValueError(f"{name} holds {array[position]} at position {position}; all weights must be finite")
    if array.min() < 0:
        raise ValueError(f"{name} must not be negative, got {array.min()} at position {int(array.argmin())}")
    with np.errstate(over="ignore"):
        total = float(array.sum())
    if total == 0:
        raise ValueError(f"{name} is zero for every point")
    if not math.isfinite(total):
        raise ValueError(f"{name} adds up to {total}; rescale the weights")
    return None if (array == 1.0).all() else array


def check_integer(value: Any, name: str, *, minimum: int, maximum: int | None = None) -> int:
    """Return `value` as an int within bounds."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if shape := getattr(value, "shape", ()):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__} of shape {shape}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < minimum or (maximum is not None and number > maximum):
        bounds = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ValueError(f"{name} must be {bounds}, got {number}")
    return number


def check_real(value: Any, name: str, *, minimum: float) -> float:
    """Return `value` as a finite float of at least `minimum`."""
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number, got {value!r}") from None
    if not minimum <= number < math.inf:
        raise ValueError(f"{name} must be a finite number of at least {minimum:g}, got {value!r}")
    return number


def check_option(value: Any, name: str, allowed: tuple[str, ...]) -> str:
    """Return `value` if it is one of the allowed strings."""
    if isinstance(value, str) and value in allowed:
        return value
    raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
