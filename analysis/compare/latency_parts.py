"""
What speaks for harm and what for a promotion in a latency, for N releases at once.

The score and the edges of the histogram are averaged for an abort; for a promotion both must speak.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.compare.arms import better as fewer
from analysis.compare.arms import final_demand, no_worse, step_demand
from analysis.compare.latency_arms import PreparedLatency
from analysis.compare.scores import Shift, shift_of
from analysis.compare.tails import both_nulls, tolerated_ratio
from analysis.errors import InvalidInput
from analysis.evidence import Null
from analysis.grid import Floats
from analysis.policy import Alphas
from analysis.stakes import log_sum
from analysis.types import BoolArray

HALF = float(np.log(0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyQuestion:
    """
    What is asked: harm means slower than tolerated.

    Parameters
    ----------
    shift : float, >= 1
        How many times slower a typical request may be.
    exceedance : float, >= 1
        How many times more requests may pass an edge.
    slack : float, in [0, 1)
        Share of requests that may pass the edge of an objective beyond that; also at the guard edge.
    slo_edges : tuple of float
        Edges of an objective, seconds: weighed more, and asked for a promotion.
    harm_budget : float, > 0
        Extra slow requests that the last step may cost in its first hour.
    alphas : Alphas
    """

    shift: float = 1.25
    exceedance: float = 2.0
    slack: float = 0.001
    slo_edges: tuple[float, ...] = ()
    harm_budget: float = 20.0
    alphas: Alphas = field(default_factory=Alphas)

    def __post_init__(self) -> None:
        for name in ("shift", "exceedance"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 1):
                raise InvalidInput(f"must be at least 1, got {value!r}", f"/tolerance/{name}")
        if not 0 <= self.slack < 1:
            raise InvalidInput(f"must lie in [0, 1), got {self.slack!r}", "/tolerance/absolute")
        if not all(np.isfinite(edge) and edge > 0 for edge in self.slo_edges):
            raise InvalidInput(f"must be positive numbers of seconds, got {list(self.slo_edges)!r}", "/slo_edges")
        if not (np.isfinite(self.harm_budget) and self.harm_budget > 0):
            raise InvalidInput(f"must be positive, got {self.harm_budget!r}", "/harm_budget")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AbortParts:
    """What speaks for harm in N releases: the shift, (P, K) logs of every edge, (N, K) logs of the whole."""

    shift: Shift
    edge_warn: Floats
    edge_tolerated: Floats
    warn: Floats
    tolerated: Floats


def abort_parts(prepared: PreparedLatency, question: LatencyQuestion) -> AbortParts:
    """
    Return the evidence for "slower than stable" and for "slower than tolerated", at every look.

    Parameters
    ----------
    prepared : PreparedLatency
    question : LatencyQuestion

    Returns
    -------
    AbortParts
        ``E = 1/2 E_score + 1/2 E_tail``, E_tail the mean over the edges, in which those of an objective have half the
        weight. A part of which nothing is known yet counts 1.
    """
    shift = shift_of(prepared.shift)
    tolerated = row_null(prepared, question)
    if len(prepared.release):
        edge_warn, edge_tolerated = both_nulls(prepared.rows.looks, tolerated)
    else:
        edge_warn = edge_tolerated = np.zeros((0, prepared.used.shape[1]))
    return AbortParts(
        shift=shift,
        edge_warn=edge_warn,
        edge_tolerated=edge_tolerated,
        warn=_halves(shift.slower(0.0), _mean_edges(prepared, edge_warn)),
        tolerated=_halves(shift.slower(np.log(question.shift)), _mean_edges(prepared, edge_tolerated)),
    )


def _halves(score: Floats, tail: Floats) -> Floats:
    return np.asarray(np.logaddexp(score, tail) + HALF)


def row_null(prepared: PreparedLatency, question: LatencyQuestion, row: int | None = None) -> Null:
    """Return what each edge tolerates: as written at an objective's, at least a tolerated shift at others."""
    slope, slo = prepared.slope, prepared.slo
    if row is not None:
        slope, slo = slope[row : row + 1], slo[row : row + 1]
    steep = tolerated_ratio(slope, question.shift, question.exceedance)
    return Null(ratio=np.where(slo, question.exceedance, steep), slack=np.where(slo, question.slack, 0.0))


def edge_weights(prepared: PreparedLatency) -> Floats:
    """Return, (P,), the log weight of each edge in its release's tail; an objective's edges have half of it."""
    releases = prepared.used.shape[0]
    counts = [np.bincount(prepared.release, weights=kind, minlength=releases) for kind in (prepared.slo, ~prepared.slo)]
    own = np.where(prepared.slo, counts[0][prepared.release], counts[1][prepared.release])
    both = (counts[0] > 0) & (counts[1] > 0)
    return np.asarray(-np.log(own) + np.where(both[prepared.release], HALF, 0.0))


def _mean_edges(prepared: PreparedLatency, log_e: Floats) -> Floats:
    """Return, (N, K), the log of the weighted mean over each release's edges; 0 without any."""
    terms = log_e + edge_weights(prepared)[:, None]
    found = np.zeros(prepared.used.shape)
    bounds = np.searchsorted(prepared.release, np.arange(len(found) + 1))
    for row, (start, end) in enumerate(itertools.pairwise(bounds)):
        if end > start:
            found[row] = log_sum(terms[start:end].T)
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromoteParts:
    """
    What speaks for a promotion of N releases.

    Parameters
    ----------
    promote : (N, K) float64
        log P: the least of the score and of every edge that is asked, less what speaks for "beyond the tolerance".
    slack : (G,) float64
        Of the edges asked.
    known : (G,) bool
        Whether the traffic behind it is.
    requests_per_second, share : (G,) float64
    """

    promote: Floats
    slack: Floats
    known: BoolArray
    requests_per_second: Floats
    share: Floats


def promote_parts(prepared: PreparedLatency, question: LatencyQuestion, against: AbortParts) -> PromoteParts:
    """
    Return the evidence for "no slower than tolerated" over the whole run, at every look.

    Parameters
    ----------
    prepared : PreparedLatency
    question : LatencyQuestion
    against : AbortParts
        Of the same looks.

    Returns
    -------
    PromoteParts
        Both the shift and the exceedance at the edges of the objective must be rejected; without an objective that of
        one guard edge, because each further one only asks the pods the same question. What another edge says
        for "beyond the tolerance" is taken off, nat for nat: a tail too thin for the guard is no proof of health.
    """
    asked = _asked(prepared)
    slack, known = final_demand(asked.rows, question.slack, question.harm_budget)
    history = asked.rows.history.traffic is not None
    null = Null(ratio=question.exceedance, slack=slack)
    share = known.bad_share if history else None
    edges = no_worse(asked.rows, null, share, known.since, asked.rows.first) if len(asked.release) else None
    limit = _shift_limit(prepared, asked, question, slack, known.bad_share)
    return PromoteParts(
        promote=_least(against.shift.within(limit[:, None]), asked, edges, prepared.provable)
        - np.maximum(0.0, against.tolerated),
        slack=slack,
        known=known.since < prepared.used.shape[1],
        requests_per_second=known.requests_per_second,
        share=known.bad_share,
    )


def _asked(prepared: PreparedLatency) -> PreparedLatency:
    """Return only the rows at which a promotion is asked."""
    at = np.flatnonzero(prepared.guard)
    rows, traffic = prepared.rows, prepared.rows.history.traffic
    history = rows.history if traffic is None else replace(rows.history, traffic=(traffic[0][at], traffic[1][at]))
    names = (
        "steps",
        "first",
        "canary_total",
        "stable_bad",
        "stable_total",
        "stable_looks",
        "empty",
        "inconsistent",
        "overruled",
    )
    chosen = replace(rows, looks=rows.looks.chosen(at), history=history, **{n: getattr(rows, n)[at] for n in names})
    own = ("release", "edge", "guard", "slo", "slope")
    return replace(prepared, rows=chosen, **{n: getattr(prepared, n)[at] for n in own})


def _shift_limit(
    prepared: PreparedLatency, asked: PreparedLatency, question: LatencyQuestion, slack: Floats, share: Floats
) -> Floats:
    """
    Return, (N,), the ln of the shift that a promotion may leave open.

    What the harm budget allows beyond the question's slack at an edge, it allows as the shift that would bring
    as many requests over that edge: ``shift (1 + extra/(exceedance p))^(1/slope)``, the least over the edges asked.
    """
    extra = np.maximum(0.0, slack - question.slack)
    wider = np.log1p(extra / (question.exceedance * share)) / asked.slope
    limit = np.full(prepared.used.shape[0], np.inf)
    np.minimum.at(limit, asked.release, wider)
    return np.asarray(np.log(question.shift) + np.where(np.isfinite(limit), limit, 0.0))


def _least(score: Floats, asked: PreparedLatency, edges: Floats | None, provable: BoolArray) -> Floats:
    """Return, (N, K), the least of the score and the edges asked; at most 0 where nothing may be proved."""
    least = np.where(provable, score, np.minimum(score, 0.0))
    if edges is not None:
        np.minimum.at(least, asked.release, edges)
    return least


def better(prepared: PreparedLatency, shift: Shift) -> Floats:
    """Return, (N, K), the log evidence for "faster than stable": half the score, half the edges asked."""
    asked = _asked(prepared)
    tail = np.zeros(prepared.used.shape)
    if len(asked.release):
        tail = _mean_edges(asked, fewer(asked.rows))
    return _halves(shift.within(0.0), tail)


def step_evidence(
    prepared: PreparedLatency, question: LatencyQuestion, next_weight: float | None, whole: Shift
) -> tuple[Floats, float | None, float | None, float | None]:
    """
    Return P_step over all weight steps, and slack, traffic and share of the running one; steps restart at 0.

    ``whole`` is the shift of all looks, for a run without steps.
    """
    asked = _asked(prepared)
    count = prepared.used.shape[1]
    bounds = [0, *(int(k) for k in np.flatnonzero(prepared.steps[0])), count]
    log_e = np.zeros(count)
    slack, known = np.zeros(0), None
    for start, end in itertools.pairwise(bounds):
        if end == start:
            continue
        rows = len(asked.release)
        weight = np.full(rows, next_weight) if end == count and next_weight is not None else None
        at = np.full(rows, start), np.full(rows, end)
        slack, known = step_demand(asked.rows, *at, question.harm_budget, weight)
        shift = whole if end - start == count else shift_of(prepared.shift.between(start, end))
        limit = _shift_limit(prepared, asked, question, slack, known.bad_share)
        edges = None
        if rows:
            since = np.clip(known.since, start, None) - start
            share = known.bad_share if asked.rows.history.traffic is not None else None
            part = replace(asked.rows, looks=asked.rows.looks.between(start, end))
            edges = no_worse(part, Null(ratio=question.exceedance, slack=slack), share, since, since)
        provable = prepared.provable[:, start:end]
        log_e[start:end] = _least(shift.within(limit[:, None]), asked, edges, provable)[0]
    if known is None or not len(slack) or not (known.since < count).any():
        return log_e, None, None, None
    return log_e, float(slack[0]), float(known.requests_per_second[0]), float(known.bad_share[0])
