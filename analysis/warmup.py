"""
How long young replicas differ from old ones, learned from past births of the workload.

A canary is young by definition. Without this, a cache that has to fill or a compiler that has to warm is a
regression. Only the length of the youth is learned; its curve is not subtracted, since its size differs between births.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from analysis.errors import InvalidInput
from analysis.grid import Floats
from analysis.types import BoolArray, Json

FEWEST_BIRTHS: Final = 5
MINUTE: Final = 60.0
OBSERVED: Final = 60  # minutes of each birth
LONGEST: Final = 30  # minutes
NOTICED: Final = 0.05
ERRORS: Final = 2.0
KNOWN: Final = 2 / 3  # of the minutes in which a pod is young
OLD: Final = 1800.0  # seconds
UNKNOWN_HOLD: Final = 300.0
UNKNOWN_ABORT: Final = 600.0
FEWEST_SAMPLES: Final = 10
SHORT_STEP: Final = 900.0
EXACT: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """
    How old a replica must be before its levels and latencies count; error counts are judged from the first request.

    Parameters
    ----------
    hold, abort : float
        Seconds, for holds and promotions and for aborts.
    births : int
        Births behind it; 0 where nothing was learned.
    ago : float or None
        Seconds between the newest of them and the release; None: the hours before the release showed them, or none.
    flags : tuple of str
        ``young canary``: the step is so short that nothing can abort in its burn-in; ``warm-up unknown``.
    """

    hold: float
    abort: float
    births: int
    ago: float | None = None
    flags: tuple[str, ...] = ()

    def document(self) -> dict[str, Json]:
        """Return what a report shows."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def learned_length(births: Floats) -> float | None:
    """
    Return for how many seconds young replicas differ from old ones.

    Parameters
    ----------
    births : (B, 60) float64
        ``ln(pod/mean of pods older than 30 min)`` of each birth by age, in minutes; NaN is missing.

    Returns
    -------
    float or None
        W: the end of the last minute within the first 30 in which the mean over births, less each birth's own last
        third of the hour and smoothed over three minutes, lies beyond ``max(5 %, 2 standard errors)``; 0 if none
        does. None with fewer than five births that are `grown_up`.
    """
    if births.ndim != 2 or births.shape[1] != OBSERVED:
        raise InvalidInput(f"needs (births, {OBSERVED}) minutes, got {births.shape}", "/births")
    grown = births[grown_up(births)]
    if len(grown) < FEWEST_BIRTHS:
        return None
    away = grown - np.nanmean(grown[:, OBSERVED * 2 // 3 :], axis=1, keepdims=True)
    smooth = _three_minutes(away)
    count = np.isfinite(smooth).sum(axis=0)
    mean = np.where(count > 0, np.nansum(smooth, axis=0) / np.maximum(count, 1), 0.0)
    squares = np.nansum((smooth - mean) ** 2, axis=0) / np.maximum(count - 1, 1)
    error = np.sqrt(squares / np.maximum(count, 1))
    differs = (np.abs(mean) > np.maximum(NOTICED, ERRORS * error)) & (count >= 2)
    beyond = np.flatnonzero(differs[:LONGEST])
    return MINUTE * float(beyond[-1] + 1) if beyond.size else 0.0


def grown_up(births: Floats) -> BoolArray:
    """
    Return which births were seen young and old, (...,): two thirds of the first 30 minutes, and the last third.

    Parameters
    ----------
    births : (..., 60) float64
        See `learned_length`; a minute is known if it or a neighbour of it is.

    Notes
    -----
    An update that replaces all pods within minutes leaves nobody old to compare the young with until they are old
    themselves: such births tell nothing, least of all that nobody was ever different.
    """
    told = np.isfinite(births)
    near = told.copy()
    near[..., 1:] |= told[..., :-1]
    near[..., :-1] |= told[..., 1:]
    young = near[..., :LONGEST].mean(axis=-1) >= KNOWN
    return np.asarray(young & told[..., OBSERVED * 2 // 3 :].any(axis=-1))


def _three_minutes(away: Floats) -> Floats:
    """Return each birth's curve, smoothed over the minute itself and its neighbours that are there."""
    gap = np.full((len(away), 1), np.nan)
    padded = np.concatenate([gap, away, gap], axis=1)
    stacked = np.stack([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]])
    known = np.isfinite(stacked)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, stacked, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def birth_curve(pod: Floats, others: Floats, age: Floats, ages_of_others: Floats) -> Floats:
    """
    Return how one young pod departed from the old ones, minute by minute.

    Parameters
    ----------
    pod : (n,) float64
        Its values, > 0; NaN is missing.
    others : (R, n) float64
        Values of the other pods at the same times.
    age : (n,) float64
        Its age in seconds.
    ages_of_others : (R, n) float64

    Returns
    -------
    (60,) float64
        ``ln(pod/mean of pods older than 30 min)``, mean over each minute of its first hour; NaN without a sample.
    """
    old = np.isfinite(others) & (ages_of_others > OLD)
    count = old.sum(axis=0)
    mean = np.where(old, others, 0.0).sum(axis=0) / np.maximum(count, 1)
    known = np.isfinite(pod) & (pod > 0) & (count > 0) & (mean > 0) & (age >= 0) & (age < OBSERVED * MINUTE)
    minute = (age[known] // MINUTE).astype(np.int64)
    logs = np.log(pod[known] / mean[known])
    here = np.bincount(minute, minlength=OBSERVED)
    sums = np.bincount(minute, weights=logs, minlength=OBSERVED)
    return np.where(here > 0, sums / np.maximum(here, 1), np.nan)


def warm_up(births: Sequence[Floats], sample_seconds: float, step_seconds: float | None = None) -> WarmUp:
    """
    Return how old replicas must be, from past births or, without enough of them, by rule.

    Parameters
    ----------
    births : sequence of (60,) float64
        From `birth_curve`; the roll-out of the previous release usually gives them.
    sample_seconds : float
        Time between samples.
    step_seconds : float, optional
        Length of the running step, if it is limited.

    Returns
    -------
    WarmUp
        Unknown: five minutes (at least ten samples) for holds and promotions, ten for aborts; in a step shorter than
        15 minutes a third of the step, in which levels and latency cannot abort.
    """
    length = learned_length(np.array(births)) if len(births) else None
    if length is not None:
        return WarmUp(hold=length, abort=length, births=len(births))
    hold = max(UNKNOWN_HOLD, FEWEST_SAMPLES * sample_seconds)
    if step_seconds is not None and step_seconds < SHORT_STEP:
        third = step_seconds / 3
        return WarmUp(hold=third, abort=max(UNKNOWN_ABORT, third), births=0, flags=("warm-up unknown", "young canary"))
    return WarmUp(hold=hold, abort=max(UNKNOWN_ABORT, hold), births=0, flags=("warm-up unknown",))


def old_enough(born: Floats, ends: Floats, length: float) -> BoolArray:
    """
    Return in which slots each replica is old enough to be judged, (R, n).

    Parameters
    ----------
    born : (R,) float64
        Unix seconds of each replica's start; -inf: always there.
    ends : (n,) float64
        Unix seconds of each slot's end.
    length : float
        Seconds, ``hold`` or ``abort`` of `WarmUp`.
    """
    return np.asarray(ends[None, :] - born[:, None] >= length - EXACT)
