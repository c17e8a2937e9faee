"""
Published percentiles (summaries) of both sides: the weaker form of a latency, without counts.

A percentile per replica and look is a gauge on the log scale. Nothing is known of the requests behind it, so it is
flagged ``low_power``; where buckets of the same quantity exist, those are judged and this is information.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from analysis.compare import gauges
from analysis.compare.counts import demanded
from analysis.compare.gauge_curves import GaugeQuestion
from analysis.compare.gauges import GaugeData, GaugeEvidence
from analysis.errors import InvalidInput
from analysis.grid import Floats
from analysis.sequential import Older, backed
from analysis.types import BoolArray

MOST_CENSORED: Final = 1 / 3


def uncensored(values: Floats, last_edge: float | None = None) -> tuple[Floats, float]:
    """
    Return percentiles without those that only say "beyond the last bucket".

    Parameters
    ----------
    values : (R, K) float64
        Seconds; NaN is missing.
    last_edge : float, optional
        Largest finite bound: a percentile at or above it is that bound, not a measurement.

    Returns
    -------
    values : (R, K) float64
        NaN where the value was infinite, at the last edge, or not positive.
    share : float
        Share of the present values that were infinite or at the last edge; over `MOST_CENSORED` there is no data.
    """
    present = ~np.isnan(values)
    beyond = present & (values >= (np.inf if last_edge is None else last_edge))
    kept = np.where(present & ~beyond & (values > 0), values, np.nan)
    return kept, float(beyond.sum() / max(int(present.sum()), 1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PercentileEvidence:
    """
    The evidence of all percentiles of one question at every look; logs are natural.

    Parameters
    ----------
    question : GaugeQuestion
        On the log scale; its ratio is the tolerated shift.
    by_name : mapping of str to GaugeEvidence
        One per percentile (``p50``, ``p95`` ...) that was not censored away.
    warn, tolerated, abort, better : (K,) float64
        Of the mean of the e-values: any percentile may be guilty.
    promote, step : (K,) float64
        Of the least: every percentile must be proved.
    flags : tuple of str
        ``low_power``, ``censored``, and those of the percentiles.
    elder : Older, optional
        The same on replicas that are old enough to abort by.
    """

    question: GaugeQuestion
    by_name: Mapping[str, GaugeEvidence]
    warn: Floats
    tolerated: Floats
    abort: Floats
    better: Floats
    promote: Floats
    step: Floats
    flags: tuple[str, ...]
    elder: Older | None = None

    @property
    def _first(self) -> GaugeEvidence:
        return next(iter(self.by_name.values()))

    @property
    def ends(self) -> Floats:
        """(K,) unix time of each look's end."""
        return self._first.ends

    @property
    def noise_source(self) -> str:
        """``history`` or ``run``."""
        return self._first.noise_source

    @property
    def used(self) -> BoolArray:
        """(K,) bool: looks in which some percentile told something new."""
        return np.asarray(np.any([found.used for found in self.by_name.values()], axis=0))

    @property
    def first_look(self) -> int | None:
        """Index of the first look that told something; None if there is none."""
        used = np.flatnonzero(self.used)
        return int(used[0]) if used.size else None

    @property
    def step_start(self) -> int:
        """Index of the first look of the weight step that is running."""
        return self._first.step_start

    def guilty(self, look: int = -1, tolerated: bool = True) -> str:
        """Return the percentile that weighs most at a look."""
        return max(self.by_name, key=lambda n: float(getattr(self.by_name[n], _kind(tolerated))[look]))

    def loudest_look(self, look: int, tolerated: bool = True) -> int:
        """Return the look that adds most to the harm of the guilty percentile: what the burst check leaves out."""
        return self.by_name[self.guilty(look, tolerated)].loudest_look(look)

    def without_looks(self, left_out: Sequence[int]) -> PercentileEvidence:
        """Return the abort evidence with some looks left out: the burst check."""
        reduced = {name: found.without_looks(left_out) for name, found in self.by_name.items()}
        warn, tolerated = _mean(reduced, "warn"), _mean(reduced, "tolerated")
        abort = demanded(warn, tolerated, self.question.alphas)
        found = replace(self, by_name=reduced, warn=warn, tolerated=tolerated, abort=abort)
        return found if self.elder is None else found.backed(self.elder.without_looks(left_out))

    def backed(self, elder: Older | None) -> PercentileEvidence:
        """Return itself with an abort that ``elder``, weighed on older replicas, says too."""
        return replace(self, abort=backed(self.abort, None if elder is None else elder.abort), elder=elder)


def weigh(
    data: Mapping[str, GaugeData], question: GaugeQuestion, last_edge: float | None = None
) -> PercentileEvidence | None:
    """
    Return the evidence of published percentiles at every look.

    Parameters
    ----------
    data : mapping of str to GaugeData
        By percentile, over the same looks; seconds.
    question : GaugeQuestion
        With ``scale="log"``.
    last_edge : float, optional
        Largest finite bound of the histogram that the percentiles were made of, if they were.

    Returns
    -------
    PercentileEvidence or None
        None if over a third of every percentile is censored: there is no data.

    Raises
    ------
    InvalidInput
        If there is no percentile, or the question is not on the log scale.
    """
    if not data:
        raise InvalidInput("needs at least one percentile", "/percentiles")
    if question.scale != "log":
        raise InvalidInput(f"must be log, got {question.scale!r}", "/scale")
    by_name: dict[str, GaugeEvidence] = {}
    censored = False
    for name, values in data.items():
        canary, high_c = uncensored(values.canary, last_edge)
        baseline, high_s = uncensored(values.baseline, last_edge)
        history = None if values.history is None else uncensored(values.history, last_edge)[0]
        censored |= max(high_c, high_s) > 0
        if max(high_c, high_s) <= MOST_CENSORED:
            seen = replace(values, canary=canary, baseline=baseline, history=history)
            by_name[name] = gauges.weigh(seen, question)
    if not by_name:
        return None
    warn, tolerated = _mean(by_name, "warn"), _mean(by_name, "tolerated")
    own = [flag for found in by_name.values() for flag in found.flags]
    return PercentileEvidence(
        question=question,
        by_name=by_name,
        warn=warn,
        tolerated=tolerated,
        abort=demanded(warn, tolerated, question.alphas),
        better=_mean(by_name, "better"),
        promote=_least(by_name, "promote"),
        step=_least(by_name, "step"),
        flags=tuple(dict.fromkeys(["low_power", *(["censored"] if censored else []), *own])),
    )


def _kind(tolerated: bool) -> str:
    return "tolerated" if tolerated else "warn"


def _mean(found: Mapping[str, GaugeEvidence], field: str) -> Floats:
    stack = np.stack([getattr(one, field) for one in found.values()])
    return np.asarray(np.logaddexp.reduce(stack, axis=0) - np.log(len(stack)))


def _least(found: Mapping[str, GaugeEvidence], field: str) -> Floats:
    return np.asarray(np.stack([getattr(one, field) for one in found.values()]).min(axis=0))
