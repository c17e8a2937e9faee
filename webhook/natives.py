"""
Native histograms as buckets with fixed bounds: a record counts by the same bounds in every look.

Bounds are taken from the histograms themselves and nothing is interpolated: where a bucket of a coarser histogram
crosses a pinned bound, that bound has no count and the look is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from analysis.compare.layouts import COARSEST, FINEST
from analysis.series import BUCKET_LABEL, Series
from analysis.types import FloatArray, Side
from webhook.ports import SIDE_LABEL, Points

MOST_EDGES: Final = 48
LEAST_SHARE: Final = 0.005
"""Share of requests that may lie below the first bound: what is faster than nearly all others is one bucket."""
OCTAVES_ABOVE: Final = 2
"""Doublings above the slowest request so far that still have bounds of their own: a canary may be slower."""
ALIKE: Final = 1e-6


def bounds_of(held: Sequence[Points]) -> tuple[float, ...]:
    """
    Return the bounds to count by: those of the first time at which both sides are there; empty if there is none.

    Parameters
    ----------
    held : sequence of Points
        Cumulative native histograms of both sides, as queried.

    Notes
    -----
    At that time stable's histograms hold all that its pods ever served, so the bounds span what is usual: from what
    1 in 200 are faster than to four times the slowest. Of exponential histograms they are those of the coarsest one,
    coarser still if there were more than 48; of histograms with bounds of their own all that none of them crosses.
    """
    times = [
        [float(one.times[0]) for one in held if one.labels.get(SIDE_LABEL) == side.value and one.times.size]
        for side in Side
    ]
    if not all(times):
        return ()
    common = sorted(
        set.intersection(
            *(
                {float(t) for one in held if one.labels.get(SIDE_LABEL) == side.value for t in one.times}
                for side in Side
            )
        )
    )
    for moment in common:
        rows = [one.histograms[int(np.searchsorted(one.times, moment))] for one in held if moment in one.times]
        pooled = np.concatenate(rows) if rows else np.zeros((0, 3))
        pooled = pooled[pooled[:, 2] > 0]
        if (pooled[:, 1] > 0).any():
            return _exponential(pooled) or _custom(pooled)
    return ()


def schema_of(buckets: FloatArray) -> int | None:
    """
    Return the schema of the widest bucket, None where a bucket is none of an exponential histogram.

    Parameters
    ----------
    buckets : (B, 3) float64
        Lower bound, upper bound, count; the bucket around zero says nothing.
    """
    lower, upper = buckets[:, 0], buckets[:, 1]
    positive = lower > 0
    if not positive.any() or np.isinf(upper[positive]).any():
        return None
    width = np.log2(upper[positive] / lower[positive])
    schema = np.rint(-np.log2(width))
    place = np.log2(upper[positive]) * 2.0**schema
    regular = np.abs(np.log2(width) + schema) < ALIKE
    regular &= (schema >= COARSEST) & (schema <= FINEST) & (np.abs(place - np.rint(place)) < 1e-4)
    return int(schema.min()) if regular.all() else None


def _exponential(buckets: FloatArray) -> tuple[float, ...]:
    """Return bounds of exponential histograms, empty if they are none."""
    schema = schema_of(buckets)
    if schema is None:
        return ()
    around_zero = buckets[:, 0] <= 0
    floor = float(buckets[around_zero, 1].max(initial=0.0))
    rising = buckets[~around_zero]
    rising = rising[np.argsort(rising[:, 1], kind="stable")]
    share = np.cumsum(rising[:, 2]) / rising[:, 2].sum()
    fast = float(rising[np.searchsorted(share, LEAST_SHARE), 1])
    slow = math.log2(rising[-1, 1]) + OCTAVES_ABOVE
    while True:
        low = math.ceil(math.log2(max(fast, floor)) * 2.0**schema - ALIKE)
        high = math.ceil(slow * 2.0**schema - ALIKE)
        if high - low < MOST_EDGES or schema == COARSEST:
            return tuple(2.0 ** (place * 2.0**-schema) for place in range(low, high + 1))
        schema -= 1


def _custom(buckets: FloatArray) -> tuple[float, ...]:
    """Return the bounds of histograms with bounds of their own that no bucket crosses."""
    found = np.unique(buckets[:, :2])
    found = found[(found > 0) & np.isfinite(found)]
    apart = found[np.diff(found, prepend=0.0) > ALIKE * found]
    return tuple(float(edge) for edge in apart if not _crossing(buckets, float(edge)).any())


def _crossing(buckets: FloatArray, edge: float) -> FloatArray:
    inside = (buckets[:, 0] < edge * (1 - ALIKE)) & (buckets[:, 1] > edge * (1 + ALIKE))
    return np.asarray(inside & (buckets[:, 2] > 0))


def cumulative(buckets: FloatArray, edges: FloatArray) -> FloatArray:
    """
    Return how many requests took at most each bound, and how many there were.

    Parameters
    ----------
    buckets : (B, 3) float64
    edges : (E,) float64
        Rising.

    Returns
    -------
    (E + 1,) float64
        NaN where a bucket with requests crosses the bound; the last is everything.
    """
    lower, upper, count = buckets.T
    below = count @ (upper[:, None] <= edges * (1 + ALIKE))
    crossing = (lower[:, None] < edges * (1 - ALIKE)) & (upper[:, None] > edges * (1 + ALIKE)) & (count[:, None] > 0)
    return np.append(np.where(crossing.any(axis=0), np.nan, below), count.sum())


def counted(held: Sequence[Points], kept: Sequence[Points], edges: Sequence[float]) -> tuple[Series, ...]:
    """
    Return increments per step and bound, as those of a classic histogram are read.

    Parameters
    ----------
    held, kept : sequence of Points
        What targets hold at the end of each step, and what of it they held at its beginning; none counts as 0.
    edges : sequence of float
        Bounds without +Inf; none: there is nothing to count by.

    Returns
    -------
    tuple of Series
        One per series and bound, with the label ``le``; a time at which a bound has no count is absent from it.
    """
    if not edges:
        return ()
    bounds = np.array(edges, dtype=np.float64)
    before = {_identity(one.labels): _table(one, bounds) for one in kept}
    result = []
    for one in held:
        past = before.get(_identity(one.labels), {})
        zero = np.zeros(len(bounds) + 1)
        grown = np.array([row - past.get(moment, zero) for moment, row in _table(one, bounds).items()])
        for column, bound in enumerate([*edges, math.inf]):
            known = np.isfinite(grown[:, column])
            name = "+Inf" if math.isinf(bound) else repr(float(bound))
            result.append(
                Series(labels={**one.labels, BUCKET_LABEL: name}, times=one.times[known], values=grown[known, column])
            )
    return tuple(result)


def _table(one: Points, bounds: FloatArray) -> dict[float, FloatArray]:
    return {
        float(moment): cumulative(buckets, bounds) for moment, buckets in zip(one.times, one.histograms, strict=True)
    }


def _identity(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))
