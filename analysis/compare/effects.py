"""What a person is shown of counts: estimate with bounds, start of the fault, counts per side and step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from analysis.bounds import confidence, reachable_abort, reachable_promote
from analysis.compare.claims import healthy_centres
from analysis.compare.counts import CountsEvidence
from analysis.evidence import Null
from analysis.grid import Floats
from analysis.likelihoods import against_equality, gained
from analysis.types import Effect, State

Asked = ParamSpec("Asked")
Found = TypeVar("Found")


def once(
    find: Callable[Concatenate[CountsEvidence, Asked], Found],
) -> Callable[Concatenate[CountsEvidence, Asked], Found]:
    """Remember what was found of evidence still in use: reason, forecast and costs of a verdict ask the same."""
    known: WeakKeyDictionary[CountsEvidence, dict[object, Found]] = WeakKeyDictionary()

    @wraps(find)
    def found(evidence: CountsEvidence, /, *asked: Asked.args, **named: Asked.kwargs) -> Found:
        of_this = known.setdefault(evidence, {})
        mark = asked, tuple(named.items())
        if mark not in of_this:
            of_this[mark] = find(evidence, *asked, **named)
        return of_this[mark]

    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCounts:
    """
    Counts of both sides at one weight, over the looks that were not left out.

    Parameters
    ----------
    first, last : int
        Indices of its first and last look.
    canary_bad, canary_total, baseline_bad, baseline_total : float
    """

    first: int
    last: int
    canary_bad: float
    canary_total: float
    baseline_bad: float
    baseline_total: float


@once
def _said(evidence: CountsEvidence) -> tuple[Floats, Floats]:
    """Return what all looks say of each ratio, see `analysis.likelihoods.against_equality`."""
    return against_equality(evidence.prepared.looks)


@once
def fault_start(evidence: CountsEvidence) -> int | None:
    """
    Return the index of the look at which harm most likely began.

    Returns
    -------
    int or None
        ``argmax_tau ln q_tau + sum_{k >= tau} l_k(g)`` at the node g that fits the whole run best; None before both
        sides have had traffic, or if no look was judged.
    """
    first = evidence.first_look
    if first is None or not evidence.used.any():
        return None
    looks = evidence.prepared.looks
    gain = gained(looks, int(_said(evidence)[0].argmax()))
    later = np.cumsum(gain[::-1])[::-1]
    start = np.log(looks.start_mass[0, first:]) + later[first:]
    return first + int(start.argmax())


@once
def effect(evidence: CountsEvidence, since: int = 0) -> Effect | None:
    """
    Return the canary's rate over stable's, with bounds that hold at every look (95 %).

    Parameters
    ----------
    evidence : CountsEvidence
    since : int, default 0
        First look that counts.

    Returns
    -------
    Effect or None
        None if no bad event was counted on either side: a ratio of nothing is unknown.
    """
    looks = evidence.prepared.looks
    if since:
        looks = looks.between(since, len(evidence.ends))
    if not (looks.used & (looks.bad_canary + looks.bad_baseline > 0)).any():
        return None
    said = against_equality(looks) if since else _said(evidence)
    found = confidence(*said, float(looks.pod_factor[0, -1]), looks.pod_weights[0, -1])
    if not evidence.question.swapped:
        return found
    high = 1 / found.low if found.low > 0 else math.inf
    return replace(found, estimate=1 / found.estimate, low=1 / found.high, high=high)


def limit_ratio(evidence: CountsEvidence) -> float | None:
    """Return the limit as canary over stable at stable's share: ``ratio + slack/p``; None while it is unknown."""
    if evidence.slack_final is None or not evidence.bad_share:
        return None
    if evidence.question.swapped:
        return max(0.0, 1 - evidence.slack_final / evidence.bad_share) / evidence.question.ratio
    return evidence.question.ratio + evidence.slack_final / evidence.bad_share


def shown_effect(evidence: CountsEvidence, state: State) -> Effect | None:
    """
    Return the effect as it is printed: bounds cut to what the tests proved.

    Parameters
    ----------
    evidence : CountsEvidence
    state : State
        ``degraded``: the bound on the side of "no harm" is 1 at best; ``worse``: the looks of the fault alone;
        ``no_worse`` and ``better``: the bound on the side of harm is the limit at worst.
    """
    started = fault_start(evidence) if state is State.WORSE else None
    found = effect(evidence, started) if started else effect(evidence)
    if found is None:
        return None
    falls = evidence.question.swapped
    low, high = found.low, found.high
    if state in (State.DEGRADED, State.WORSE):
        low, high = (low, min(high, 1.0)) if falls else (max(low, 1.0), high)
    if state in (State.NO_WORSE, State.BETTER):
        limit = limit_ratio(evidence)
        if limit is not None:
            low, high = (max(low, limit), high) if falls else (low, min(high, limit))
        if state is State.BETTER:
            low, high = (max(low, 1.0), high) if falls else (low, min(high, 1.0))
    low, high = min(low, high), max(low, high)
    return replace(found, low=low, high=high, estimate=min(max(found.estimate, low), high))


@once
def counts_by_step(evidence: CountsEvidence) -> tuple[StepCounts, ...]:
    """Return the counts of both sides at each weight, in order; their sums are the counts of the run."""
    looks = evidence.prepared.looks
    canary = looks.bad_canary, looks.total_canary
    baseline = looks.bad_baseline, looks.total_baseline
    if evidence.question.swapped:
        canary, baseline = baseline, canary
    each = np.concatenate([*canary, *baseline])
    if evidence.prepared.inconsistent.any():
        each = np.where(evidence.prepared.inconsistent, 0.0, each)
    starts = [0, *(k for k in np.flatnonzero(evidence.steps).tolist() if k)]
    ends = [*starts[1:], len(evidence.ends)]
    return tuple(
        StepCounts(first=start, last=end - 1, canary_bad=x, canary_total=n, baseline_bad=y, baseline_total=m)
        for start, end, (x, n, y, m) in zip(starts, ends, np.add.reduceat(each, starts, axis=1).T.tolist(), strict=True)
    )


def largest_abort(evidence: CountsEvidence, ratio: float) -> float:
    """
    Return the largest log A* that endless requests could earn with these pods.

    Parameters
    ----------
    evidence : CountsEvidence
    ratio : float
        True ratio of the worse side over the better, > 0.
    """
    looks, question = evidence.prepared.looks, evidence.question
    pods = float(looks.pod_factor[0, -1]), looks.pod_weights[0, -1]
    warn = reachable_abort(math.log(ratio), *pods)
    limit = question.ratio + (question.slack / evidence.bad_share if evidence.bad_share else question.slack)
    bonus = math.log(question.alphas.tolerated / question.alphas.abort)
    return min(warn, reachable_abort(math.log(ratio) - math.log(limit), *pods) + bonus)


def largest_promote(evidence: CountsEvidence) -> float:
    """Return the largest log P that endless requests could earn for a canary as good as stable, with these pods."""
    looks = evidence.prepared.looks
    null = Null(ratio=evidence.question.ratio, slack=evidence.slack_final or evidence.question.slack)
    share = None if evidence.bad_share is None else np.array([evidence.bad_share])
    centres = healthy_centres(null, share, 1, evidence.question.exposure)[0]
    return reachable_promote(centres, float(looks.pod_factor[0, -1]), looks.pod_weights[0, -1])
