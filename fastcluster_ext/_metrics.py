"""The metrics: their names, aliases and codes; the one table every API module reads.

Adding a metric takes one entry in `_TABLE` below, one in the METRICS table of src/common/metrics.h at the same place,
and its functors in src/common/metrics_real.h if none of those there will do.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from fastcluster_ext import _validation

__all__ = ["METRICS", "Metric", "resolve_metric"]


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric as kernels take it.

    Attributes
    ----------
    name : str
        SciPy's name of it.
    aliases : tuple of str
        Other names it goes by, SciPy's and R's.
    code : int
        Its number in src/common/metrics.h.
    exponent : float
        Minkowski's p; 2 for all others, which do not use it.
    euclidean : bool
        Whether it is the Euclidean distance, which Ward's, centroid and median linkage suppose.
    may_be_nan : bool
        Whether distances of finite points can be undefined (NaN): the correlation of a constant row, say.
    """

    name: str
    aliases: tuple[str, ...] = ()
    code: int = -1
    exponent: float = 2.0
    euclidean: bool = False
    may_be_nan: bool = False


_TABLE = (
    Metric("euclidean", ("euclid", "eu", "e"), euclidean=True),
    Metric("sqeuclidean", ("sqe", "sqeuclid")),
    Metric("cityblock", ("manhattan", "cblock", "cb", "c")),
    Metric("chebyshev", ("chebychev", "cheby", "cheb", "ch", "maximum")),
    Metric("minkowski", ("mi", "m", "pnorm")),
    Metric("cosine", ("cos",), may_be_nan=True),
    Metric("correlation", ("co",), may_be_nan=True),
    Metric("canberra"),
    Metric("braycurtis", may_be_nan=True),
    Metric("hamming", ("matching", "hamm", "ha", "h")),
    Metric("jaccard", ("jacc", "ja", "j")),
)

METRICS: tuple[Metric, ...] = tuple(dataclasses.replace(metric, code=code) for code, metric in enumerate(_TABLE))

_BY_NAME = {name: metric for metric in METRICS for name in (metric.name, *metric.aliases)}


def resolve_metric(metric: Any, p: Any = None) -> Metric:
    """Return the metric of a name or an alias, in upper or lower case.

    `p` is Minkowski's exponent, by default 2, and only allowed with it; exponents 1, 2 and infinity give the metrics
    that they are: city-block, Euclidean, Chebyshev.

    Raises
    ------
    TypeError
        If `metric` is not a string, or `p` is given for a metric without an exponent or is no number.
    ValueError
        If no metric has that name, or `p` is not positive.
    """
    if not isinstance(metric, str):
        raise TypeError(
            f"metric must be a string, one of {', '.join(repr(known.name) for known in METRICS)}; "
            f"got {type(metric).__name__}"
        )
    found = _BY_NAME.get(metric.lower())
    if found is None:
        raise ValueError(
            f"Unknown Distance Metric: {metric!r}; metric must be one of "
            f"{', '.join(repr(known.name) for known in METRICS)}"
        )
    if found.name != "minkowski":
        if p is not None:
            raise TypeError(f"p is the exponent of metric='minkowski'; {found.name!r} has none")
        return found
    exponent = 2.0 if p is None else math.inf if p == math.inf else _validation.check_real(p, "p", minimum=0.0)
    if exponent == 0:
        raise ValueError("p must be greater than 0")
    same = {1.0: "cityblock", 2.0: "euclidean", math.inf: "chebyshev"}.get(exponent)
    return _BY_NAME[same] if same else dataclasses.replace(found, exponent=exponent)
