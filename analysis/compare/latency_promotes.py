"""
What speaks for a promotion in a latency, for N releases at once: both the score and the edges must.

What speaks for harm is in ``latency_parts.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from analysis.compare.arms import Prepared, Traffic
from analysis.compare.claims import BETTER, final_demand, healthy_centres, no_worse, no_worse_now, step_demand
from analysis.compare.latency_arms import Asked, PreparedLatency
from analysis.compare.latency_parts import (
    AbortParts,
    LatencyQuestion,
    halves,
    mean_edges,
    shift_over,
)
from analysis.compare.latency_sums import Origin
from analysis.compare.scores import Shift, shift_of
from analysis.compare.steps import StepEvidence
from analysis.evidence import Integers, Looks, Null, PromoteState, promote_evidence, promote_start
from analysis.grid import Floats
from analysis.resumed import Resumed
from analysis.types import BoolArray


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
    better : (N, K) float64 or None
        Log evidence for "faster than stable": half the score, half the edges asked. None if nobody asked.
    """

    promote: Floats
    slack: Floats
    known: BoolArray
    requests_per_second: Floats
    share: Floats
    better: Floats | None


def promote_parts(
    prepared: PreparedLatency, question: LatencyQuestion, against: AbortParts, *, better: bool = False
) -> PromoteParts:
    """
    Return the evidence for "no slower than tolerated" over the whole run, at every look.

    Parameters
    ----------
    prepared : PreparedLatency
    question : LatencyQuestion
    against : AbortParts
        Of the same looks.
    better : bool, default False
        Whether "faster than stable" is asked too.

    Returns
    -------
    PromoteParts
        Both the shift and the exceedance at the edges of the objective must be rejected; without an objective that of
        one guard edge, because each further one only asks the pods the same question. What another edge says
        for "beyond the tolerance" is taken off, nat for nat: a tail too thin for the guard is no proof of health.
    """
    asked, shift = prepared.asked, against.shift
    releases, count = prepared.used.shape
    slack, known = final_demand(asked.rows, question.slack, question.harm_budget)
    limit = _shift_limit(releases, asked, question, slack, known.bad_share)
    limits = np.stack([limit, np.zeros_like(limit)]) if better else limit[None]
    edges = _asked_edges(asked, Null(ratio=question.exceedance, slack=slack), known, better=better)

    def more(first: int, state: PromoteState | None) -> tuple[Floats, PromoteState | None]:
        part = shift.between(first, count)
        scores, (of_edges, after) = part.within(limits[..., None]), edges.more(first, state)
        promote = _least(scores[0], asked, of_edges[0], prepared.provable[:, first:])
        promote = promote - np.maximum(0.0, against.tolerated[:, first:])
        if not better:
            return promote, after
        tails = mean_edges(asked.release, of_edges[1] + edges.weights, part.mean.shape)
        return np.concatenate([promote, halves(scores[1], tails)]), after

    tolerance = repr((question.shift, question.exceedance, question.slack)).encode()
    own = prepared.origin.narrowed(b"promote", tolerance, limits.tobytes(), edges.mark)
    found = PROMOTES.run(own.frame, own.trail, more)[0].reshape(-1, releases, count)
    return PromoteParts(
        promote=found[0],
        slack=slack,
        known=known.since < count,
        requests_per_second=known.requests_per_second,
        share=known.bad_share,
        better=found[1] if better else None,
    )


def _share(asked: Asked, known: Traffic) -> Floats | None:
    """Return stable's share over the edges asked, where history tells it."""
    return known.bad_share if asked.rows.history.traffic is not None else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _AskedEdges:
    """
    The edges at which a promotion is asked, as one process of T claims: `analysis.compare.arms.no_worse`, and `better`.

    Parameters
    ----------
    looks : Looks
        Of G edges.
    null : Null
        Of T G rows.
    since : (T G,) int
        First look that may bet.
    centres : sequence of T (G, M) float64
        Where a healthy release lies.
    pods : ((G,), (G, 7)) float64
        Those that shape the alternative: factor and weights.
    weights : (G, 1) float64
        Log weight of each edge in the mean of its release.
    """

    looks: Looks
    null: Null
    since: Integers
    centres: Sequence[Floats]
    pods: tuple[Floats, Floats]
    weights: Floats

    @property
    def mark(self) -> bytes:
        """What tells it from others that are asked of the same looks."""
        told = self.since, *self.pods, *self.centres
        return b"".join([self.null.mark, *(each.tobytes() for each in told)])

    def more(self, first: int, state: PromoteState | None) -> tuple[Floats, PromoteState | None]:
        """Return log e of looks ``first …``, (T, G, k), 0 before the first bet, and where the process stands."""
        times, (rows, count) = len(self.centres), self.looks.used.shape
        if not rows:
            return np.zeros((times, 0, count - first)), None
        looks, since = self.looks.between(first, count), self.since - first
        log_e, after = promote_evidence(looks, self.null, state or self._start(), times=times, since=since)
        return np.where(np.arange(count - first) < since[:, None], 0.0, log_e).reshape(times, rows, -1), after

    def _start(self) -> PromoteState:
        alternative = np.concatenate([promote_start(each, *self.pods).alternative for each in self.centres])
        return PromoteState(log_likelihood=np.zeros_like(alternative), alternative=alternative)


def _asked_edges(asked: Asked, null: Null, known: Traffic, *, better: bool) -> _AskedEdges:
    """Return the process of the claim "within the limit", and of "fewer than stable" if that is asked too."""
    looks, rows = asked.rows.looks, len(asked.release)
    opening = np.arange(rows), np.minimum(asked.rows.first, looks.used.shape[1] - 1)
    since, centres = known.since, [healthy_centres(null, _share(asked, known), rows)]
    if better:
        since, centres = np.concatenate([since, asked.rows.first]), [*centres, np.broadcast_to(BETTER, (rows, 2))]
        ratio, slacks = np.ones(2 * rows), np.zeros(2 * rows)
        ratio[:rows], slacks[:rows] = null.ratio, null.slack
        null = Null(ratio=ratio, slack=slacks)
    return _AskedEdges(
        looks=looks, null=null, since=since, centres=centres, weights=asked.weights,
        pods=(looks.pod_factor[opening], looks.pod_weights[opening]),
    )  # fmt: skip


PROMOTES: Final[Resumed[PromoteState | None]] = Resumed(shared=True)
"""What earlier calls computed of the same looks, to go on from."""


def _shift_limit(releases: int, asked: Asked, question: LatencyQuestion, slack: Floats, share: Floats) -> Floats:
    """
    Return, (N,), the ln of the shift that a promotion may leave open.

    What the harm budget allows beyond the question's slack at an edge, it allows as the shift that would bring
    as many requests over that edge: ``shift (1 + extra/(exceedance p))^(1/slope)``, the least over the edges asked.
    """
    extra = np.maximum(0.0, slack - question.slack)
    wider = np.log1p(extra / (question.exceedance * share)) / asked.slope
    limit = np.full(releases, np.inf)
    np.minimum.at(limit, asked.release, wider)
    return np.asarray(np.log(question.shift) + np.where(np.isfinite(limit), limit, 0.0))


def _least(score: Floats, asked: Asked, edges: Floats, provable: BoolArray) -> Floats:
    """Return, (N, K), the least of the score and the edges asked; at most 0 where nothing may be proved."""
    least = np.where(provable, score, np.minimum(score, 0.0))
    if len(edges):
        np.minimum.at(least, asked.release, edges)
    return least


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Demand:
    """What one weight step is held to: its looks, the limits, and the traffic they came from."""

    start: int
    end: int
    rows: Prepared
    null: Null
    limit: Floats
    since: Integers
    known: Traffic


def step_evidence(
    prepared: PreparedLatency,
    question: LatencyQuestion,
    next_weight: float | None,
    whole: Shift,
    each: Sequence[PreparedLatency] | None = None,
) -> list[StepEvidence]:
    """
    Return P_step of each of N releases over all its weight steps; it begins at 0 with each.

    Parameters
    ----------
    prepared : PreparedLatency
    question : LatencyQuestion
    next_weight : float or None
        The canary's next share, in (0, 1]; None: it follows from the observed one, as it does for closed steps.
    whole : Shift
        Of all looks, for a run without steps.
    each : sequence of PreparedLatency, optional
        The releases one by one, where there are several.
    """
    asked, count, alone = prepared.asked, prepared.used.shape[1], each or [prepared]
    bounds = [[0, *(k for k in np.flatnonzero(marks).tolist() if k), count] for marks in prepared.steps]
    start = bounds[0][-2]
    if any(some[-2] != start for some in bounds):  # each has its own looks
        parts = zip(alone, whole.one_by_one, strict=True)
        return [found for one, shift in parts for found in step_evidence(one, question, next_weight, shift)]
    running = _demand(asked, question, (start, count), next_weight, len(bounds))
    shift = whole
    if start:
        begun = Origin(trail=prepared.origin.trail.after(start), frame=prepared.origin.frame)
        shift = shift_over(prepared.shift.between(start, count), begun)
    now = shift.between(count - start - 1, count - start).within(running.limit[:, None])
    edges = np.zeros((0, 1))
    if len(asked.release):
        edges = no_worse_now(running.rows, running.null, _share(asked, running.known), running.since)[:, None]
    least = _least(now, asked, edges, prepared.provable[:, -1:])
    found = []
    for row, one in enumerate(alone):
        own = np.flatnonzero(asked.release == row)
        known = running.known.chosen(own)
        found.append(
            StepEvidence(
                now=float(least[row, 0]),
                slack=float(np.asarray(running.null.slack)[own[0]]) if (known.since < count).any() else None,
                known=known,
                draw=_Drawing(one, question, bounds[row], next_weight),
            )
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Drawing:
    """Works out log P_step of one release at every look: looks between ``bounds`` ran at one weight each."""

    prepared: PreparedLatency
    question: LatencyQuestion
    bounds: Sequence[int]
    next_weight: float | None

    def __call__(self) -> Floats:
        *closed, running = itertools.pairwise(self.bounds)
        steps = [(span, None) for span in closed] + [(running, self.next_weight)]
        asked = self.prepared.asked
        return np.concatenate([_drawn(self.prepared, _demand(asked, self.question, *step)) for step in steps])


def _demand(
    asked: Asked, question: LatencyQuestion, span: tuple[int, int], next_weight: float | None, releases: int = 1
) -> _Demand:
    count, (start, end) = len(asked.release), span
    weight = None if next_weight is None else np.full(count, next_weight)
    slack, known = step_demand(asked.rows, np.full(count, start), np.full(count, end), question.harm_budget, weight)
    looks = asked.rows.looks.between(start, end)
    return _Demand(
        start=start,
        end=end,
        rows=asked.rows if looks is asked.rows.looks else replace(asked.rows, looks=looks),
        null=Null(ratio=question.exceedance, slack=slack),
        limit=_shift_limit(releases, asked, question, slack, known.bad_share),
        since=np.maximum(known.since, start) - start,
        known=known,
    )


def _drawn(prepared: PreparedLatency, step: _Demand) -> Floats:
    """Return, (end - start,), log P_step at every look of one weight step."""
    asked, edges = prepared.asked, np.zeros((0, step.end - step.start))
    if len(asked.release):
        edges = no_worse(step.rows, step.null, _share(asked, step.known), step.since, step.since)
    score = shift_of(prepared.shift.between(step.start, step.end)).within(step.limit[:, None])
    return np.asarray(_least(score, asked, edges, prepared.provable[:, step.start : step.end])[0])
