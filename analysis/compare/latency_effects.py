"""What a person is shown of a latency: shift and exceedance with bounds, the most guilty edge, one line of reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis import words
from analysis.bounds import LEVEL, confidence, reachable_promote
from analysis.compare.claims import healthy_centres
from analysis.compare.latency import LatencyEvidence
from analysis.evidence import Null
from analysis.likelihoods import against_equality
from analysis.student import half_width
from analysis.types import Effect

LEANING = math.log(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeEffect:
    """
    One edge of the histogram, as it is shown.

    Parameters
    ----------
    edge : float
        Seconds.
    slo : bool
        Whether it is an objective's.
    canary, baseline : float
        Share of requests that took longer.
    effect : Effect or None
        Canary's share over stable's with bounds; None if nothing passed the edge on either side.
    warn, tolerated : float
        log E of "more than stable" and "more than tolerated".
    """

    edge: float
    slo: bool
    canary: float
    baseline: float
    effect: Effect | None
    warn: float
    tolerated: float


def shift_effect(evidence: LatencyEvidence, look: int = -1) -> Effect | None:
    """
    Return how many times as long a typical request of the canary takes, with bounds that hold at every look.

    Returns
    -------
    Effect or None
        A ratio: 1.25 is 25 % slower; None before any look was judged, bounds 0 and infinity while the noise is unknown.
    """
    shift = evidence.shift
    if not shift.weight[0].any():
        return None
    mean = float(shift.mean[0, look])
    if not shift.bets[0, look]:
        return Effect(estimate=math.exp(mean), low=0.0, high=math.inf, level=LEVEL)
    variance = shift.noise[0, look] + shift.pods[0, look]
    half = float(half_width(variance, shift.dof[0, look], 1 - LEVEL))
    if not half < 700:
        return Effect(estimate=math.exp(mean), low=0.0, high=math.inf, level=LEVEL)
    return Effect(estimate=math.exp(mean), low=math.exp(mean - half), high=math.exp(mean + half), level=LEVEL)


def edges(evidence: LatencyEvidence) -> tuple[EdgeEffect, ...]:
    """Return every weighed edge, rising; without their effects, which would cost most of a report."""
    prepared = evidence.prepared
    looks = prepared.rows.looks
    counts = looks.bad_canary, looks.total_canary, looks.bad_baseline, looks.total_baseline
    slow, tried, slow_stable, stable = np.array(counts) @ prepared.used[0].astype(np.float64)
    with np.errstate(invalid="ignore"):  # nothing was asked
        shares = slow / tried, slow_stable / stable
    columns = (
        evidence.edges[prepared.edges.edge], prepared.edges.slo, *shares,
        evidence.edge_warn[:, -1], evidence.edge_tolerated[:, -1],
    )  # fmt: skip
    return tuple(
        EdgeEffect(edge=edge, slo=slo, canary=canary, baseline=baseline, effect=None, warn=warn, tolerated=tolerated)
        for edge, slo, canary, baseline, warn, tolerated in zip(*(each.tolist() for each in columns), strict=True)
    )


def bounded(evidence: LatencyEvidence, row: int) -> Effect | None:
    """Return the canary's share over stable's beyond one edge, with bounds; None if nothing passed it on a side."""
    own = evidence.prepared.rows.looks.chosen(np.array([row]))
    if not (own.used & (own.bad_canary + own.bad_baseline > 0)).any():
        return None
    return confidence(*against_equality(own), float(own.pod_factor[0, -1]), own.pod_weights[0, -1])


def shown_edge(evidence: LatencyEvidence, every: Sequence[EdgeEffect]) -> EdgeEffect | None:
    """Return which of `edges` to name: one that speaks for harm at 3 : 1, else that at which the promotion is asked."""
    row = evidence.guilty_row(tolerated=False)
    guards = evidence.prepared.edges.asked
    if (row is None or evidence.edge_warn[row, -1] < LEANING) and guards.size:
        row = int(guards[0])
    return None if row is None else replace(every[row], effect=bounded(evidence, row))


def as_proved(found: Effect | None, evidence: LatencyEvidence, *, proved: bool) -> Effect | None:
    """
    Return the shift as it is printed.

    Parameters
    ----------
    found : Effect or None
        From `shift_effect`.
    evidence : LatencyEvidence
    proved : bool
        Whether "no slower than tolerated" was proved: the upper bound is then the tolerance at worst.
    """
    if found is None or not proved:
        return found
    high = max(min(found.high, evidence.question.shift), found.low)
    return replace(found, high=high, estimate=min(found.estimate, high))


def compared(label: str, shift: Effect | None, edge: EdgeEffect | None) -> str:
    """
    Return one line for people, of what `shift_effect` and `shown_edge` say.

    For example ``latency 1.32x (1.12x to 1.55x); over 500 ms 2.1 % vs 0.9 % (1.6x to 3.1x)``.
    """
    if shift is None:
        return f"{label}: too few requests"
    text = f"{label} {words.ratio(shift.estimate)}{_bounds(shift)}"
    if edge is None or math.isnan(edge.canary) or math.isnan(edge.baseline):
        return text
    size = _bounds(edge.effect) if edge.effect is not None else ""
    return f"{text}; over {seconds(edge.edge)} {words.percent(edge.canary)} vs {words.percent(edge.baseline)}{size}"


def _bounds(found: Effect) -> str:
    """Return the bounds in brackets, nothing where nothing is bounded."""
    if found.low <= 0 and math.isinf(found.high):
        return ""
    return f" ({words.bounds(found.low, found.high)})"


def seconds(value: float) -> str:
    """Return a bucket's edge as text: ``250 ms``, ``2.5 s``."""
    return f"{value * 1000:.4g} ms" if value < 1 else f"{value:.4g} s"


def guilt(evidence: LatencyEvidence) -> str:
    """Return what is worst, in words: the typical request, or the requests over one edge."""
    row = evidence.guilty_row(tolerated=False)
    if row is None:
        return "a typical request is slower"
    return f"more requests over {seconds(float(evidence.edges[evidence.prepared.edges.edge[row]]))}"


def largest_promote(evidence: LatencyEvidence) -> float:
    """
    Return the largest log P that endless requests could earn for a canary as fast as stable, with these pods.

    Below the goal the question is limited by pods: more replicas help, more time does not.
    """
    score = float(evidence.shift.reachable(math.log(evidence.question.shift))[0])
    asked = evidence.prepared.edges.asked
    looks = evidence.prepared.rows.looks
    if evidence.bad_share is None or not asked.size:
        return score
    slack = evidence.slack_final if evidence.slack_final is not None else evidence.question.slack
    null = Null(ratio=evidence.question.exceedance, slack=slack)
    centres = healthy_centres(null, np.array([evidence.bad_share]), 1)[0]
    tails = [reachable_promote(centres, float(looks.pod_factor[r, -1]), looks.pod_weights[r, -1]) for r in asked]
    return min(score, *tails)
