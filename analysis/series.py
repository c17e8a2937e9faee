"""
Series as a source gave them: scrape interval, start, growth of raw counters, sums per look.

Counters arrive as increments per step (or raw, see `increments`), levels as values. ``replicas.py`` sorts them by
replica and look, ``closing.py`` says which looks can be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.errors import InvalidInput
from analysis.types import FloatArray

SCRAPES = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Scrape intervals that are in use, seconds."""
MEMORY = 300.0
"""Seconds for which a series that is not seen is still the same series."""
SIDE_LABEL = "weighbridge_side"
BUCKET_LABEL = "le"
TOLERANCE = 1.5e-3
"""Seconds: sources round times to milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """One series: its labels, rising ``times`` in unix seconds and as many ``values``, both of shape ``(n,)``."""

    labels: Mapping[str, str]
    times: FloatArray
    values: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """
    Everything that was read for one question.

    Parameters
    ----------
    fields : mapping of str to sequence of Series
        By field: increments of the step that ends at their time (``bad``, ``total``, ``events``, ``exposure``,
        ``numerator``, ``denominator``, and ``counts`` with the label ``le``), or levels (``values``, ``p95`` ...).
        The label `SIDE_LABEL` is ``baseline`` or ``canary``.
    whole : str
        The field by which a replica exists (``total``); the other fields count as zero where it does. Empty for
        levels and for ``counts``.
    replica : tuple of str
        Labels that together name one replica; empty where replicas are not visible.
    presence : sequence of Series
        Which replicas were scraped: 1, or 0 where the scrape failed. Empty where nothing is known.
    overlap : sequence of Series
        How many series both sides share, where replicas cannot show it.
    metric : str
        What is counted, for people.
    edges : tuple of float
        Bucket bounds pinned by earlier looks, without +Inf; empty: none yet.
    unseparated, partial, missing : str
        Reasons to leave out every look: both sides ask for the same series, the source said that its answer is partial,
        a label that the question needs is absent. Empty: no such reason.
    """

    fields: Mapping[str, Sequence[Series]]
    whole: str = ""
    replica: tuple[str, ...] = ()
    presence: Sequence[Series] = ()
    overlap: Sequence[Series] = ()
    metric: str = "the metric"
    edges: tuple[float, ...] = ()
    unseparated: str = ""
    partial: str = ""
    missing: str = ""


def scrape_interval(counts: ArrayLike, window: float = 300.0) -> float:
    """
    Return the scrape interval in seconds, one of `SCRAPES`.

    Parameters
    ----------
    counts : (n,) array_like
        How many samples series have in a window, both ends of which may be included; the median is used.
    window : float
        Length of that window in seconds.

    Raises
    ------
    InvalidInput
        No count, or none that is positive: there is nothing to measure.

    Examples
    --------
    >>> scrape_interval([20, 21, 21]), scrape_interval([300]), scrape_interval([61])
    (15.0, 1.0, 5.0)
    """
    values = np.asarray(counts, dtype=np.float64).ravel()
    values = values[np.isfinite(values) & (values > 0)]
    if values.size == 0:
        raise InvalidInput("a scrape interval needs at least one series with samples")
    seconds = window / float(np.median(values))
    return min(SCRAPES, key=lambda known: abs(np.log(known / seconds)))


def start_of_presence(times: ArrayLike, step: float, gap: float) -> float | None:
    """
    Return when a release was first seen after the last gap in its presence, or None if it was never seen.

    Parameters
    ----------
    times : (n,) array_like
        Rising unix seconds at which it was seen, multiples of ``step``.
    step : float
        Each time stands for the ``step`` seconds before it.
    gap : float
        Seconds without a sight that make a new release: ``max(5 scrapes, 120 s)``.

    Returns
    -------
    float or None
        The beginning of the first step after the last gap that is longer than ``gap``.

    Examples
    --------
    >>> start_of_presence([15.0, 30.0, 45.0, 300.0, 315.0], step=15.0, gap=120.0)
    285.0
    """
    seen = np.asarray(times, dtype=np.float64)
    if seen.size == 0:
        return None
    breaks = np.flatnonzero(np.diff(seen) - step > gap - TOLERANCE)
    return float(seen[breaks[-1] + 1 if breaks.size else 0]) - step


def increments(times: ArrayLike, values: ArrayLike, *, seen_before: ArrayLike = False) -> FloatArray:
    """
    Return by how much one raw counter grew at each of its samples.

    Parameters
    ----------
    times : (n,) array_like
        Rising unix seconds.
    values : (n,) array_like
        Samples as scraped; NaN is a broken exporter, not an absent sample.
    seen_before : array_like of bool, broadcast to (n,)
        Whether the target was scraped not long before each sample (without this series, if it is a birth).

    Returns
    -------
    (n,) float64
        The difference to the sample before; the value itself after a fall (a restart counts from 0) and at a birth
        under a target that was scraped before; 0 at any other first sample: what it counted before is not known
        to be ours. NaN at a NaN sample and after one.

    Notes
    -----
    A series that was not seen for more than `MEMORY` seconds is born again, as for Prometheus, whose lookback is the
    same. This is the definition; the expressions sent to a source compute the same there.

    Examples
    --------
    >>> increments([0, 15, 30, 45], [100.0, 110.0, 4.0, 6.0]).tolist()
    [0.0, 10.0, 4.0, 2.0]
    >>> increments([0, 15], [1.0, 3.0], seen_before=True).tolist()
    [1.0, 2.0]
    """
    when = np.asarray(times, dtype=np.float64)
    value = np.asarray(values, dtype=np.float64)
    if when.shape != value.shape or when.ndim != 1 or np.any(np.diff(when) <= 0):
        raise InvalidInput("a counter needs as many values as times, and times that rise")
    seen = np.broadcast_to(np.asarray(seen_before, dtype=np.bool_), value.shape)
    before = np.concatenate([[np.nan], value[:-1]])[: value.size]
    born = np.ones(value.shape, dtype=np.bool_)
    born[1:] = np.diff(when) > MEMORY
    known = np.isnan(before) | np.isnan(value)
    grown = np.where(known, np.nan, np.where(value < before, value, value - before))
    return np.where(born, np.where(seen | np.isnan(value), value, 0.0), grown)


def per_look(
    times: FloatArray, values: FloatArray, start: float, ends: FloatArray
) -> tuple[FloatArray, NDArray[np.int64]]:
    """
    Return sum and number of the points in each look; look ``k`` holds ``ends[k-1] < t <= ends[k]``.

    Parameters
    ----------
    times, values : (n,) float64
    start : float
        Where the first look begins.
    ends : (K,) float64

    Returns
    -------
    sums : (K,) float64
        NaN where a point is NaN.
    counts : (K,) int64
    """
    look = np.searchsorted(ends, times - TOLERANCE, side="left")
    inside = (times > start + TOLERANCE) & (look < ends.size)
    look = look[inside]
    sums = np.asarray(np.bincount(look, weights=values[inside], minlength=ends.size), dtype=np.float64)
    return sums, np.asarray(np.bincount(look, minlength=ends.size), dtype=np.int64)
