"""
Histograms of any layout brought to one: common edges of classic ones, the coarser schema of native ones, raw samples.

Two versions of a service may publish different buckets. Only edges that both have can be compared; nothing is ever
interpolated, because a guessed count is no evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.errors import InvalidInput
from analysis.grid import Floats

ALIKE: Final = 1e-6  # edges this close (relative) are one: sources print them with few digits
CLASSIC_SCHEMA: Final = -53  # native histograms with custom bounds
FINEST: Final = 8
COARSEST: Final = -4
RAW_SCHEMA: Final = 3  # buckets 9 % wide: finer than pods are alike
THINNEST: Final = 1e-4  # seconds; raw samples below are one bucket
WIDEST: Final = 1e4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """
    Counts in buckets.

    Parameters
    ----------
    edges : (B-1,) float64
        Upper bounds without +Inf, rising.
    counts : (..., B) float64
        Not cumulative; the last bucket is beyond every edge.
    """

    edges: Floats
    counts: Floats

    def __post_init__(self) -> None:
        if self.edges.ndim != 1 or np.any(np.diff(self.edges) <= 0) or not np.all(np.isfinite(self.edges)):
            raise InvalidInput("must be finite and rising, without +Inf", "/edges")
        if self.counts.shape[-1:] != (len(self.edges) + 1,):
            raise InvalidInput(
                f"needs {len(self.edges) + 1} buckets for {len(self.edges)} edges, got {self.counts.shape[-1:]}",
                "/counts",
            )


def common_edges(first: Floats, second: Floats) -> Floats:
    """
    Return the edges that two layouts share, those of the first; empty if none: the sides are then incomparable.

    Examples
    --------
    >>> common_edges(np.array([0.1, 0.25, 0.5]), np.array([0.1, 0.3, 0.5, 1.0])).tolist()
    [0.1, 0.5]
    """
    near = np.abs(first[:, None] - second[None, :]) <= ALIKE * np.abs(first[:, None])
    return first[near.any(axis=1)] if second.size else first[:0]


def on_edges(layout: Layout, edges: Floats) -> Layout:
    """
    Return the same counts on fewer edges.

    Parameters
    ----------
    layout : Layout
    edges : (E,) float64
        A subset of the layout's own.

    Raises
    ------
    InvalidInput
        If an edge is not one of the layout's.
    """
    place = np.searchsorted(layout.edges, edges * (1 - ALIKE))
    missing = place >= len(layout.edges)
    missing |= np.abs(layout.edges[np.minimum(place, len(layout.edges) - 1)] - edges) > ALIKE * np.abs(edges)
    if missing.any():
        raise InvalidInput(f"has no bucket that ends at {edges[missing][0]:g}", "/edges")
    starts = np.concatenate([[0], place + 1])
    return Layout(edges=edges, counts=np.add.reduceat(layout.counts, starts, axis=-1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """
    One native histogram, increments of one look.

    Parameters
    ----------
    schema : int
        Buckets per doubling are ``2**schema``, -4 to 8.
    zero : float
        Requests in the zero bucket.
    buckets : mapping of int to float
        Requests by index: bucket i ends at ``2**(i * 2**-schema)``.
    """

    schema: int
    zero: float
    buckets: Mapping[int, float]

    def __post_init__(self) -> None:
        if not COARSEST <= self.schema <= FINEST:
            words = "has custom bounds: it is a classic layout" if self.schema == CLASSIC_SCHEMA else "is unknown"
            raise InvalidInput(f"{words}, got {self.schema!r}", "/schema")


def coarser(histogram: Native, schema: int) -> Native:
    """
    Return a native histogram at a lower schema: neighbouring buckets are added, so nothing is guessed.

    Examples
    --------
    >>> dict(coarser(Native(schema=1, zero=0, buckets={1: 3, 2: 4, 3: 5}), 0).buckets)
    {1: 7.0, 2: 5.0}
    """
    if schema > histogram.schema:
        raise InvalidInput(f"must not exceed the histogram's own, {histogram.schema}, got {schema}", "/schema")
    merged: dict[int, float] = {}
    for index, count in histogram.buckets.items():
        target = -((-index) >> (histogram.schema - schema))
        merged[target] = merged.get(target, 0.0) + count
    return Native(schema=schema, zero=histogram.zero, buckets=merged)


def native_layout(histograms: Sequence[Native | None]) -> Layout:
    """
    Return native histograms of any schemas on one set of edges.

    Parameters
    ----------
    histograms : sequence of Native or None
        Of both sides, every replica and look; None is missing.

    Returns
    -------
    Layout
        Counts of shape ``(len(histograms), B)`` at the lowest schema seen; the zero bucket joins the lowest. Missing
        ones are NaN.

    Raises
    ------
    InvalidInput
        If there is no histogram with a bucket at all.
    """
    known = [h for h in histograms if h is not None]
    if not any(h.buckets for h in known):
        raise InvalidInput("needs at least one histogram with a request", "/histograms")
    schema = min(h.schema for h in known)
    merged = [None if h is None else coarser(h, schema) for h in histograms]
    seen = [index for h in merged if h is not None for index in h.buckets]
    low, high = min(seen), max(seen)
    counts = np.full((len(merged), high - low + 2), np.nan)
    for row, found in enumerate(merged):
        if found is None:
            continue
        counts[row] = 0.0
        counts[row, 0] = found.zero
        for index, count in found.buckets.items():
            counts[row, index - low] += count
    return Layout(edges=np.exp2(np.arange(low, high + 1, dtype=np.float64) * 2.0**-schema), counts=counts)


def sample_layout(samples: Sequence[Sequence[float]]) -> Layout:
    """
    Return raw latencies as a histogram with buckets 9 % wide.

    Parameters
    ----------
    samples : sequence of sequences of float
        Seconds; one sequence per replica and look. Values that are not positive and finite are dropped.

    Returns
    -------
    Layout
        Counts of shape ``(len(samples), B)``.

    Raises
    ------
    InvalidInput
        If there is no sample at all.
    """
    found: list[Native | None] = []
    for values in samples:
        array = np.asarray(values, dtype=np.float64)
        array = np.clip(array[np.isfinite(array) & (array > 0)], THINNEST, WIDEST)
        index, count = np.unique(np.ceil(np.log2(array) * 2**RAW_SCHEMA - 1e-9).astype(np.int64), return_counts=True)
        buckets = {int(i): float(c) for i, c in zip(index, count, strict=True)}
        found.append(Native(schema=RAW_SCHEMA, zero=0.0, buckets=buckets))
    return native_layout(found)
