"""What each side of a question did, as a person would plot it: values over time, and latencies as a distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis import levels
from analysis.grid import Floats
from analysis.latencies import UNITS
from analysis.policy import Latency, Question
from analysis.record import QuestionRecord, Record, SideSeries
from analysis.types import BoolArray, Side

QUOTIENTS: Final = {
    "proportion": ("bad", "total"),
    "rate": ("events", "exposure"),
    "ratio": ("numerator", "denominator"),
}
MOST_POINTS: Final = 120
BAND: Final = (0.025, 0.975)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """
    One number per side over time.

    Parameters
    ----------
    times : (B,) float64
        Unix seconds at which each point ends.
    baseline, canary : (B,) float64
        The quotient of the counters of all replicas, or the mean level of the replicas; NaN where a side said nothing.
    band : (float, float) or None
        Levels only: between which the values of single stable replicas lay, history included, 19 times in 20.
    looks : int
        How many looks a point sums up, at most.
    percentile : str
        Of published percentiles the highest one is shown: its name; else empty.
    """

    times: Floats
    baseline: Floats
    canary: Floats
    band: tuple[float, float] | None
    looks: int
    percentile: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distribution:
    """
    Requests of both sides by how long they took, over all looks that were used.

    Parameters
    ----------
    edges : (E,) float64
        Upper bounds of the buckets in seconds, rising, without +Inf.
    baseline, canary : (E+1,) float64
        Requests up to each edge, cumulative; the last is all of them.
    shift, exceedance : float
        What is tolerated: how many times as long a request may take, how many times as many may pass an edge.
    objectives : tuple of float
        Edges of objectives, seconds.
    """

    edges: Floats
    baseline: Floats
    canary: Floats
    shift: float
    exceedance: float
    objectives: tuple[float, ...]

    def slower(self, side: Side) -> Floats:
        """Return the share of one side's requests that took longer than each edge, (E,); NaN without requests."""
        counted = self.baseline if side is Side.BASELINE else self.canary
        whole = counted[-1]
        return 1 - counted[:-1] / whole if whole > 0 else np.full(self.edges.shape, np.nan)


def series(question: Question, record: Record, most: int = MOST_POINTS) -> Series | None:
    """
    Return both sides of a question over time, neighbouring looks together so that there are at most ``most`` points.

    Parameters
    ----------
    question : Question
    record : Record
    most : int, default 120

    Returns
    -------
    Series or None
        None if neither side said anything, or it has no single number per look (buckets of latencies).
    """
    found = record.questions.get(question.name)
    if found is None or not len(record.ends):
        return None
    fields = tuple(name for name in levels.fields_of(found)[-1:] if name != levels.QUOTIENT)
    fields = fields or QUOTIENTS.get(question.kind, ())
    if not any(one.replicas and set(fields) & set(one.fields) for one in (found.baseline, found.canary)):
        return None
    used = np.array([reason is None for reason in found.left_out], dtype=bool)
    width = -(-len(used) // most)
    starts = np.arange(0, len(used), width)
    values = [_values(side, fields, used, starts) for side in (found.baseline, found.canary)]
    if all(np.isnan(one).all() for one in values):
        return None
    return Series(
        times=record.ends[np.minimum(starts + width, len(used)) - 1],
        baseline=values[0],
        canary=values[1],
        band=_band(found, fields[0], used) if len(fields) == 1 else None,
        looks=width,
        percentile=fields[0] if len(fields) == 1 and fields[0] != levels.VALUES else "",
    )


def _values(side: SideSeries, fields: tuple[str, ...], used: BoolArray, starts: np.ndarray) -> Floats:
    """Return one side's number per point, (B,)."""
    if not set(fields) <= set(side.fields):
        return np.full(len(starts), np.nan)
    if len(fields) == 2:
        above, below = (np.where(used, side.total(field), 0.0) for field in fields)
    else:
        level = np.where(used, side.fields[fields[0]], np.nan)
        above, below = np.nansum(level, axis=0), np.sum(~np.isnan(level), axis=0).astype(np.float64)
    sums = np.add.reduceat(above, starts), np.add.reduceat(below, starts)
    return np.where(sums[1] > 0, sums[0] / np.where(sums[1] > 0, sums[1], 1.0), np.nan)


def _band(found: QuestionRecord, field: str, used: BoolArray) -> tuple[float, float] | None:
    """Return where single stable replicas lay, their history included; None where they publish no levels."""
    told = [np.where(used, found.baseline.fields[field], np.nan)] if field in found.baseline.fields else []
    if found.history is not None and field in found.history.fields:
        told.append(found.history.fields[field])
    known = np.concatenate([one[~np.isnan(one)] for one in told]) if told else np.zeros(0)
    if known.size < 1 / (1 - (BAND[1] - BAND[0])):
        return None
    low, high = np.quantile(known, BAND)
    return float(low), float(high)


def distribution(question: Question, record: Record) -> Distribution | None:
    """
    Return how long the requests of both sides took, in the buckets of the record.

    Returns
    -------
    Distribution or None
        None if the question is no latency, the record has no bucket edges, or neither side had a request.
    """
    found = record.questions.get(question.name)
    if not isinstance(question, Latency) or found is None or not found.edges:
        return None
    used = np.array([reason is None for reason in found.left_out], dtype=bool)
    buckets = len(found.edges) + 1
    counted = [_cumulative(side, used, buckets) for side in (found.baseline, found.canary)]
    if not any(one[-1] > 0 for one in counted):
        return None
    return Distribution(
        edges=np.array(found.edges, dtype=np.float64) * UNITS[question.unit],
        baseline=counted[0],
        canary=counted[1],
        shift=question.tolerance.shift,
        exceedance=question.tolerance.exceedance,
        objectives=tuple(edge * UNITS[question.unit] for edge in question.slo_edges),
    )


def _cumulative(side: SideSeries, used: BoolArray, buckets: int) -> Floats:
    if "counts" not in side.fields or not side.replicas:
        return np.zeros(buckets)
    return np.asarray(np.cumsum(side.total("counts")[used].sum(axis=0)))
