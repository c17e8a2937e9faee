"""
How an effect and its bounds moved, look by look: what a plot shows beside the figures of the last look.

A bound here is the one that a report of that look would have printed before it was cut to what the tests proved.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.bounds import LEVEL, confidence
from analysis.compare.counts import CountsEvidence
from analysis.compare.gauges import GaugeEvidence
from analysis.compare.latency import LatencyEvidence
from analysis.compare.latency_effects import shift_effect
from analysis.compare.lines import ABORT, Line, line_evidence
from analysis.compare.percentiles import PercentileEvidence
from analysis.compare.strengths import FEWEST
from analysis.compare.variation import HOLD_ONE
from analysis.evidence import Null, log_likelihood
from analysis.grid import Floats
from analysis.sequential import Sequential
from analysis.student import half_width
from analysis.types import Effect

MOST_POINTS = 40
"""Looks of which the bounds are worked out: each costs up to a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Track:
    """
    An effect at P looks, with bounds that hold at all looks at once.

    Parameters
    ----------
    looks : (P,) int64
        Indices of looks, rising.
    estimate, low, high : (P,) float64
        NaN where nothing is known; ``high`` may be infinite, and ``low`` 0 or minus infinity, where nothing bounds it.
    measure : str
        ``"ratio"`` (canary over baseline) or ``"difference"`` (in the metric's unit).
    level : float
        Confidence of the bounds.
    tolerated : float or None
        The effect beyond which harm is no longer tolerated, now; None while it is unknown.
    last_step : float or None
        The effect that the last step must be proved to stay within, where it is another.
    harm_above : bool
        Whether harm lies above the tolerated effect.
    """

    looks: NDArray[np.int64]
    estimate: Floats
    low: Floats
    high: Floats
    measure: str = "ratio"
    level: float = LEVEL
    tolerated: float | None = None
    last_step: float | None = None
    harm_above: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineTrack:
    """
    How one line moved against its own variation, at P of its samples.

    Parameters
    ----------
    samples : (P,) int64
        Indices of samples, rising.
    ratio : (P,) float64
        Canary over stable for the run up to there; NaN where nothing was known.
    hold, abort : (P,) float64
        The change, a ratio of at least 1, that would have held or been strong enough to abort; NaN where no variation
        was measured.
    sign : {1, -1, 0}
        Harm is a rise, a fall, or either.
    """

    samples: NDArray[np.int64]
    ratio: Floats
    hold: Floats
    abort: Floats
    sign: int


def line_track(line: Line, step_seconds: float) -> LineTrack | None:
    """Return how a line that ran beside stable moved against its own variation; None where it never told anything."""
    length = len(line.canary)
    if length < FEWEST or len(line.stable) != length:
        return None
    samples = chosen(FEWEST - 1, length)
    found = [line_evidence(line.first(int(k) + 1, beside=True), True, step_seconds) for k in samples]
    bars = [[one.change_for(strength) for one in found] for strength in (HOLD_ONE[line.sign == 0], ABORT)]
    ratio, hold, abort = (
        np.array([math.nan if value is None else value for value in column], dtype=np.float64)
        for column in ([one.ratio for one in found], *bars)
    )
    if np.isnan(ratio).all():
        return None
    return LineTrack(samples=samples, ratio=ratio, hold=hold, abort=abort, sign=line.sign)


def chosen(first: int, count: int, most: int = MOST_POINTS) -> NDArray[np.int64]:
    """
    Return at most ``most`` looks from ``first`` to the last of ``count``, evenly; first and last are among them.

    Examples
    --------
    >>> chosen(2, 10, most=3).tolist()
    [2, 6, 9]
    """
    return np.unique(np.linspace(first, count - 1, min(most, count - first)).round().astype(np.int64))


def track(evidence: Sequential) -> Track | None:
    """Return how the effect of a question of any kind moved; of percentiles, that of the one that weighs most."""
    if isinstance(evidence, CountsEvidence):
        return counts_track(evidence)
    if isinstance(evidence, LatencyEvidence):
        return latency_track(evidence)
    if isinstance(evidence, PercentileEvidence):
        evidence = evidence.by_name[evidence.guilty(tolerated=False)]
    return gauge_track(evidence) if isinstance(evidence, GaugeEvidence) else None


def counts_track(evidence: CountsEvidence) -> Track | None:
    """
    Return how the canary's rate over stable's was bounded; None before both sides had requests.

    Notes
    -----
    At each look what `analysis.compare.effects.effect` gives for the run up to it: the confidence sequence at that
    look, not intersected with those before, which would hide a late fault.
    """
    first = evidence.first_look
    if first is None:
        return None
    looks = chosen(first, len(evidence.ends))
    seen = evidence.prepared.looks
    events = np.cumsum(np.where(seen.used, seen.bad_canary + seen.bad_baseline, 0.0)[0])[looks]
    above, below = (np.cumsum(log_likelihood(seen, sign, Null())[0], axis=0)[looks] for sign in (1, -1))
    factors = seen.pod_factor[0, looks].tolist()
    found = list(map(confidence, above, below, factors, seen.pod_weights[0, looks]))
    estimate, low, high = _columns([one if some > 0 else None for one, some in zip(found, events, strict=True)])
    question, share = evidence.question, evidence.bad_share
    tolerated, last_step = (
        None if slack is None or not share else question.ratio + slack / share
        for slack in (question.slack, evidence.slack_final)
    )
    if question.swapped:
        estimate, low, high = (_inverse(bound) for bound in (estimate, high, low))
        tolerated, last_step = (
            None if slack is None or not share else max(0.0, 1 - slack / share) / question.ratio
            for slack in (question.slack, evidence.slack_final)
        )
    return Track(
        looks=looks, estimate=estimate, low=low, high=high,
        tolerated=tolerated, last_step=last_step, harm_above=not question.swapped,
    )  # fmt: skip


def latency_track(evidence: LatencyEvidence) -> Track | None:
    """Return how many times as long a typical request took, look by look; None before any look was judged."""
    first = evidence.first_look
    if first is None or not evidence.shift.weight[0].any():
        return None
    looks = chosen(first, len(evidence.ends))
    began = np.cumsum(evidence.shift.weight[0]) > 0
    found = [shift_effect(evidence, int(k)) if began[k] else None for k in looks]
    estimate, low, high = _columns(found)
    return Track(looks=looks, estimate=estimate, low=low, high=high, tolerated=evidence.question.shift)


def gauge_track(evidence: GaugeEvidence, level: float = LEVEL) -> Track | None:
    """
    Return how a level differed, look by look; None while nothing is known.

    Notes
    -----
    At each look what `analysis.compare.gauges.effect` gives for the run up to it, all in the measure of the last look.
    """
    paired, question = evidence.paired, evidence.question
    known = paired.known[0]
    if not known[-1]:
        return None
    looks = np.flatnonzero(known)
    looks = looks[chosen(0, len(looks))]
    mean = paired.mean[0, looks]
    width = half_width(paired.variance[0, looks], paired.dof[0, looks], 1 - level)
    edge = question.sign * question.boundary(paired.level)[0, -1]
    columns = mean, mean - width, mean + width
    ratio = question.scale == "log" or bool(paired.ratio[0, -1])
    if question.scale == "log":
        estimate, low, high = (np.exp(np.minimum(column, 700.0)) for column in columns)
        limit = math.exp(edge)
    elif ratio:
        estimate, low, high = (np.maximum(1 + column, 0.0) for column in columns)
        limit = 1 + edge
    else:
        estimate, low, high = (column * paired.level[0, looks] for column in columns)
        limit = edge * paired.level[0, -1]
    return Track(
        looks=looks, estimate=estimate, low=low, high=high, level=level,
        measure="ratio" if ratio else "difference",
        tolerated=float(limit) if math.isfinite(limit) else None, harm_above=question.sign > 0,
    )  # fmt: skip


def _columns(found: Sequence[Effect | None]) -> tuple[Floats, Floats, Floats]:
    """Return estimate, low and high as arrays, NaN where nothing is known."""
    unknown = (math.nan, math.nan, math.nan)
    rows = [unknown if one is None else (one.estimate, one.low, one.high) for one in found]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return columns[0], columns[1], columns[2]


def _inverse(values: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(1 / values)
